/** Builds dist/: compiled modules and, beside them, the templates that they read. */
import { execFileSync } from "node:child_process";
import { cpSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const root = path.resolve(import.meta.dirname, "..");
const tsc = path.join(path.dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc");

/** Compiles src/ into dist/ and copies the templates; throws when a type is wrong. */
export function build(): void {
  rmSync(path.join(root, "dist"), { recursive: true, force: true });
  execFileSync(process.execPath, [tsc, "-p", path.join(root, "tsconfig.build.json")], { cwd: root, stdio: "inherit" });
  cpSync(path.join(root, "src", "render", "templates"), path.join(root, "dist", "render", "templates"), {
    recursive: true,
  });
}

if (import.meta.main) build();

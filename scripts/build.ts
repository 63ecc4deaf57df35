/**
 * Builds dist/: the plugin's entry and, as one module, all the rest with the packages that it uses inside of it (ADR 19), the
 * templates that it reads, and the licenses of those packages.
 */
import { cpSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { rolldown } from "rolldown";

const root = path.resolve(import.meta.dirname, "..");

/** Writes dist/ (or another folder) anew; throws when a module is missing or a package names no license. Types are not looked at. */
export async function build(dist = path.join(root, "dist")): Promise<void> {
  rmSync(dist, { recursive: true, force: true });
  const bundle = await rolldown({
    input: { index: path.join(root, "src", "index.ts"), parts: path.join(root, "src", "host", "parts.ts") },
    platform: "node",
    external: /^(node|openclaw)[:/]/,
    // The one thing of CommonJS that a package asks for and a module has under another name.
    transform: { define: { __filename: "import.meta.filename" } },
  });
  const { output } = await bundle.write({ dir: dist, format: "esm", entryFileNames: "[name].js" });
  cpSync(path.join(root, "src", "render", "templates"), path.join(dist, "templates"), { recursive: true });
  const modules = output.flatMap((file) => (file.type === "chunk" ? file.moduleIds : []));
  writeFileSync(path.join(dist, "licenses.txt"), licensesOf(modules));
}

/** The license of each package that one of the modules comes from, by name. */
function licensesOf(modules: readonly string[]): string {
  const inPackage = /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/;
  const folders = new Set(modules.flatMap((file) => inPackage.exec(file.replaceAll("\\", "/"))?.[0] ?? []));
  if (folders.size === 0) throw new Error("no package was found in the bundle, whose licenses have to be given on");
  return [...folders]
    .toSorted()
    .map((folder) => {
      const { name, version } = JSON.parse(readFileSync(path.join(folder, "package.json"), "utf8")) as {
        readonly name: string;
        readonly version: string;
      };
      const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one));
      if (file === undefined) throw new Error(`${name} has no license file to be given on with the plugin`);
      return `${name} ${version}\n\n${readFileSync(path.join(folder, file), "utf8").trim()}\n`;
    })
    .join(`\n${"-".repeat(80)}\n\n`);
}

if (import.meta.main) await build();

import { execFile } from "node:child_process";
import { isBuiltin } from "node:module";
import { promisify } from "node:util";
import { describe, expect, inject, it } from "vitest";
import { parseAst } from "vitest/node";
import { fieldsOf, listOf, type Fields } from "../../../harness/json.ts";
import { runOpenclaw } from "../../../harness/openclaw.ts";

const orchestratorTools = [
  "create_project",
  "create_task",
  "create_step",
  "start_task",
  "set_task_status",
  "set_step_status",
  "get_status",
];
const hooks = [
  "after_tool_call",
  "before_tool_call",
  "gateway_start",
  "gateway_stop",
  "heartbeat_prompt_contribution",
  "model_call_ended",
  "model_call_started",
  "resolve_exec_env",
];

/** The plugin after `openclaw plugins install npm-pack:…` into a fresh home, as the command line sees it. */
export function installed(): void {
  describe("the packed plugin, installed in a fresh home", () => {
    it("is inspected with its nine tools, its service and its hooks, and no diagnostics", async () => {
      const shown = await runOpenclaw(inject("template"), [
        "plugins",
        "inspect",
        "project-orchestrator",
        "--runtime",
        "--json",
      ]);
      expect([shown.code, shown.stderr]).toEqual([0, ""]);
      const { plugin, services, typedHooks, diagnostics, compatibility, install } = fieldsOf(JSON.parse(shown.stdout));
      const { status, toolNames, dependencyStatus } = fieldsOf(plugin);
      expect(diagnostics).toEqual([]);
      expect(compatibility).toEqual([]);
      expect(status).toBe("loaded");
      expect(toolNames).toEqual([...orchestratorTools, "record_builder_result", "record_qa_result"]);
      expect(services).toEqual(["project-orchestrator-driver"]);
      expect([...new Set(listOf(typedHooks).map((hook) => String(fieldsOf(hook)["name"])))].toSorted()).toEqual(hooks);
      expect(dependencyStatus).toMatchObject({ installed: true, missing: [] });
      expect(install).toMatchObject({
        source: "npm",
        artifactKind: "npm-pack",
        acceptedSurface: { skills: ["./skills"], hooks: [], dangerousConfigFlags: [] },
      });
    });

    it("is clean for `openclaw plugins doctor`", async () => {
      const found = await runOpenclaw(inject("template"), ["plugins", "doctor"]);
      expect([found.code, found.stderr]).toEqual([0, ""]);
      expect(found.stdout).toMatch(/checks passed/);
    });
  });

  describe("the tarball", () => {
    const run = promisify(execFile);
    const tar = async (...args: readonly string[]) =>
      (await run("tar", [...args], { maxBuffer: 16 * 1024 * 1024 })).stdout;

    it("holds what runs and what is read, and nothing that is for development only", async () => {
      const files = (await tar("-tzf", inject("tarball")))
        .trim()
        .split("\n")
        .map((file) => file.replace(/^package\//, ""));
      expect([...new Set(files.map((file) => file.replace(/\/.*/, "")))].toSorted()).toEqual([
        "CHANGELOG.md",
        "LICENSE",
        "README.md",
        "dist",
        "openclaw.plugin.json",
        "package.json",
        "skills",
      ]);
      for (const file of [
        "dist/index.js",
        "dist/parts.js",
        "dist/templates/task.hbs",
        "skills/project-orchestrator/SKILL.md",
      ])
        expect(files).toContain(file);
      expect(files.filter((file) => /node_modules|(^|\/)(bin|test|harness)\/|\.ts$/.test(file))).toEqual([]);
    });

    it("carries what it uses inside of a small entry and one module, with the license of each package", async () => {
      const files = (await tar("-tzf", inject("tarball"))).trim().split("\n");
      expect(files.filter((file) => file.endsWith("js"))).toEqual(["package/dist/index.js", "package/dist/parts.js"]);
      const [entry = "", parts = ""] = await Promise.all(
        ["index.js", "parts.js"].map((file) => tar("-xzOf", inject("tarball"), `package/dist/${file}`)),
      );
      const imported = [entry, parts].flatMap((text) =>
        parseAst(text).body.flatMap((line) => ("source" in line && line.source ? [line.source.value] : [])),
      );
      expect(imported.filter((name) => !isBuiltin(name) && !name.startsWith("openclaw/"))).toEqual([]);
      // A gateway's start waits until the entry is compiled and evaluated, more than once.
      expect(entry.length).toBeLessThan(10_000);
      const licenses = await tar("-xzOf", inject("tarball"), "package/dist/licenses.txt");
      for (const name of [
        "@sinclair/typebox",
        "graceful-fs",
        "handlebars",
        "proper-lockfile",
        "retry",
        "signal-exit",
        "source-map",
        "write-file-atomic",
      ])
        expect(licenses).toMatch(new RegExp(`^${name} \\d`, "m"));
    });

    it("names no development fields, and no package that would be installed beside it", async () => {
      const description: Fields = fieldsOf(JSON.parse(await tar("-xzOf", inject("tarball"), "package/package.json")));
      for (const field of ["dependencies", "devDependencies", "optionalDependencies", "scripts", "bundleDependencies"])
        expect(description).not.toHaveProperty(field);
      expect(description["peerDependenciesMeta"]).toEqual({ openclaw: { optional: true } });
    });
  });
}

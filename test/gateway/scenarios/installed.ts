import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, inject, it } from "vitest";
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
      for (const file of ["dist/index.js", "dist/render/templates/task.hbs", "skills/project-orchestrator/SKILL.md"])
        expect(files).toContain(file);
      expect(
        files.filter((file) => /node_modules|(^|\/)(bin|test|harness)\/|\.ts$/.test(file) && !file.endsWith(".d.ts")),
      ).toEqual([]);
    });

    it("names no development fields, and only packages that its code imports", async () => {
      const description: Fields = fieldsOf(JSON.parse(await tar("-xzOf", inject("tarball"), "package/package.json")));
      for (const field of ["devDependencies", "optionalDependencies", "scripts", "bundleDependencies"])
        expect(description).not.toHaveProperty(field);
      expect(Object.keys(fieldsOf(description["dependencies"]))).toEqual([
        "@sinclair/typebox",
        "handlebars",
        "proper-lockfile",
        "signal-exit",
        "write-file-atomic",
      ]);
      expect(description["peerDependenciesMeta"]).toEqual({ openclaw: { optional: true } });
    });
  });
}

/** Ids that try to lead elsewhere, given to every tool that takes one: they are unknown, and no file anywhere changes. */
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { renderPages } from "../../src/render/pages.ts";
import { createFileStore } from "../../src/store/file-store.ts";
import { aProject, aStep, aTask, createBench, toolNamed, tools, type ToolName } from "../support/bench.ts";
import { aRealRoot } from "../support/real-root.ts";
import { momentOf } from "../support/histories.ts";

const hostile = [
  "..",
  ".",
  "",
  "/",
  "../shop",
  "../../outside",
  "shop/../../../outside",
  "shop/tasks",
  "./shop",
  "shop/",
  "SHOP",
  "shop\u0000",
  "shop\n",
  "..\\..\\outside",
  "C:\\outside",
  "file:///etc/passwd",
  "%2e%2e%2foutside",
  "~",
  ".git",
  ".driver",
  "__proto__",
  "-rf",
  "con:",
  "\u202Eshop",
  "x".repeat(300),
] as const;

/** A root with a started task, beside a folder that looks just like a project. */
async function setup() {
  const root = await aRealRoot();
  let ids = 0;
  const store = await createFileStore({
    root,
    renderPages,
    now: () => new Date(momentOf(0)),
    randomId: () => `id-${(ids += 1)}`,
  });
  onTestFinished(() => store.close());
  const bench = createBench({ store, root });
  const taskId = await bench.started();
  for (const folder of ["outside", "root/outside"]) {
    const there = path.join(root, "..", folder, "tasks", "login");
    mkdirSync(there, { recursive: true });
    for (const file of ["../../project.json", "../../journal.jsonl", "task.json", "journal.jsonl"])
      writeFileSync(path.join(there, file), "not ours");
  }
  return { bench, taskId, around: () => contentsOf(path.dirname(root)) };
}

function contentsOf(folder: string): readonly (readonly [string, string])[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .toSorted()
    .map((name) => [
      name,
      statSync(path.join(folder, name)).isDirectory() ? "" : readFileSync(path.join(folder, name), "utf8"),
    ]);
}

type Fields = (id: string, taskId: string) => Readonly<Record<string, unknown>>;
const places: readonly (readonly [ToolName, string, Fields])[] = [
  ["create_task", "projectId", (projectId) => aTask({ projectId })],
  ["create_task", "dependsOn", (id) => aTask({ dependsOn: [id] })],
  ["create_task", "steps[0].id", (id) => aTask({ steps: [aStep({ id })] })],
  ["create_task", "steps[0].dependsOn", (id) => aTask({ steps: [aStep({ dependsOn: [id] })] })],
  ["create_step", "taskId", (taskId) => ({ taskId, ...aStep() })],
  ["create_step", "id", (id, taskId) => ({ taskId, ...aStep({ id }) })],
  ["create_step", "dependsOn", (id, taskId) => ({ taskId, ...aStep({ dependsOn: [id] }) })],
  ["start_task", "taskId", (taskId) => ({ taskId })],
  ["set_task_status", "taskId", (taskId) => ({ taskId, status: "cancelled" })],
  ["set_step_status", "taskId", (taskId) => ({ taskId, stepId: "step-01", status: "skipped", reason: "No." })],
  ["set_step_status", "stepId", (stepId, taskId) => ({ taskId, stepId, status: "skipped", reason: "No." })],
  ["get_status", "projectId", (projectId) => ({ projectId, verify: true })],
  ["get_status", "taskId", (taskId) => ({ taskId, verify: true })],
  ["get_status", "stepId", (stepId, taskId) => ({ taskId, stepId, verify: true })],
];

/** What a parameter of this name is refused with when it names nothing. */
const codes: Readonly<Record<string, string>> = {
  projectId: "unknown-project",
  taskId: "unknown-task",
  stepId: "unknown-step",
  dependsOn: "unknown-dependency",
  id: "invalid-id",
};

describe("an id that leads elsewhere", () => {
  it.each(places)(
    "given to %s as %s is refused, and no file changes",
    { tags: ["s3.ids-inside"] },
    async (tool, where, fields) => {
      const { bench, taskId, around } = await setup();
      const before = around();
      for (const id of hostile) {
        const refusal = await bench.refused(tool, fields(id, taskId));
        expect([id, refusal.code]).toEqual([id, codes[where.split(".").at(-1) ?? ""]]);
      }
      expect(around()).toEqual(before);
    },
  );

  it("has been tried in every parameter that takes an id", { tags: ["s3.ids-inside"] }, () => {
    const taking = tools.flatMap((tool) =>
      Object.keys(toolNamed(tool.name as ToolName).parameters["properties"])
        .filter((key) => /^(\w*Id|id|dependsOn)$/.test(key))
        .map((key) => `${tool.name} ${key}`),
    );
    expect(taking.filter((one) => !places.some(([tool, where]) => one === `${tool} ${where}`))).toEqual([]);
  });

  it("that a name might make stays in projects/", { tags: ["s3.ids-inside", "s3.project-slug"] }, async () => {
    const { bench, around } = await setup();
    const before = around();
    for (const name of ["../../outside", "/etc/passwd", "..", "C:\\x", "~/x", ".git", "%2e%2e%2f"]) {
      const { projectId, projectPath } = await bench.done("create_project", aProject({ name }));
      expect(String(projectPath).endsWith(path.join("root", "projects", String(projectId), "project.json"))).toBe(true);
      expect(projectId).toMatch(/^[a-z0-9][a-z0-9-]*$/);
    }
    const outsideProjects = (all: typeof before) => all.filter(([name]) => !name.startsWith("root/projects/"));
    expect(outsideProjects(around())).toEqual(outsideProjects(before));
  });
});

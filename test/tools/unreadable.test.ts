/** Copied, damaged and newer projects and tasks, on real files: they are named, and stand in nobody's way. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { renderPages } from "../../src/render/pages.ts";
import { createFileStore } from "../../src/store/file-store.ts";
import { createTaskReader } from "../../src/tools/task-reader.ts";
import type { StatusDetails } from "../../src/schema/details.ts";
import { findTask } from "../../src/tools/tool.ts";
import { aProject, aTask, createBench, type Bench } from "../support/bench.ts";
import { momentOf } from "../support/histories.ts";

async function setup() {
  const root = mkdtempSync(path.join(tmpdir(), "po-unreadable-"));
  let ids = 0;
  const store = await createFileStore({
    root,
    renderPages,
    now: () => new Date(momentOf(0)),
    randomId: () => `id-${(ids += 1)}`,
  });
  onTestFinished(async () => {
    await store.close();
    rmSync(root, { recursive: true, force: true });
  });
  const bench = createBench({ store });
  const folder = (...parts: readonly string[]) => path.join(root, "projects", ...parts);
  const journalOf = (taskId: string) => folder("shop", "tasks", taskId, "journal.jsonl");
  return {
    root,
    store,
    bench,
    reader: createTaskReader(bench.desk()),
    copyProject: (name: string) => cpSync(folder("shop"), folder(name), { recursive: true }),
    copyTask: (taskId: string, name: string) =>
      cpSync(folder("shop", "tasks", taskId), folder("shop", "tasks", name), { recursive: true }),
    damage: (taskId: string): (() => void) => {
      const whole = readFileSync(journalOf(taskId));
      writeFileSync(journalOf(taskId), Buffer.concat([Buffer.from("nonsense\n"), whole]));
      return () => writeFileSync(journalOf(taskId), whole);
    },
    /** A newer version of the plugin changes the task. */
    renew: async (taskId: string) => {
      const stream = { projectId: "shop", taskId };
      const snapshot = await store.read(stream);
      const task = (snapshot?.documents["task"] ?? "").replace(
        '"schemaVersion": 1',
        '"schemaVersion": 2, "mood": "good"',
      );
      await store.commit(stream, snapshot?.seq ?? 0, {
        at: momentOf(1),
        actor: { kind: "driver" },
        tool: "test",
        callId: "newer",
        event: { type: "TaskPaused", v: 1, at: momentOf(1), reason: "newer" },
        documents: { task },
      });
    },
  };
}

async function statusOf(bench: Bench, parameters: Readonly<Record<string, unknown>> = {}) {
  const { text, details } = await bench.call("get_status", parameters);
  if ("refused" in details) throw new Error(text);
  // get-status.test.ts compares the shape with its schema.
  return { text, details: details as StatusDetails };
}

describe("a copied project folder", () => {
  it("leaves the original as it was, though the copy comes first", async () => {
    const { bench, store, copyProject } = await setup();
    const taskId = await bench.started();
    copyProject("backup-of-shop");
    expect(await findTask({ store }, taskId)).toStrictEqual({ projectId: "shop", taskId });
    await bench.done("set_task_status", { taskId, status: "paused" });
    expect((await statusOf(bench, { taskId })).details.task).toMatchObject({ projectId: "shop", taskStatus: "paused" });
  });

  it("is found for a task that nothing else has, and refuses its changes", async () => {
    const { bench, root, copyProject } = await setup();
    const taskId = await bench.started();
    copyProject("backup-of-shop");
    rmSync(path.join(root, "projects", "shop"), { recursive: true });
    expect((await bench.call("set_task_status", { taskId, status: "paused" })).details).toMatchObject({
      refused: { code: "project-copied" },
    });
    const { details } = await statusOf(bench, { taskId });
    expect(details.task?.warnings.join()).toContain("read-only (project-copied)");
    expect(details.next.join()).not.toContain("set_");
  });

  it("is named as read-only beside the original", async () => {
    const { bench, copyProject } = await setup();
    const taskId = await bench.started();
    copyProject("backup-of-shop");
    const { text, details } = await statusOf(bench);
    expect(
      details.projects.map(({ projectId, readOnly }) => [projectId, readOnly?.includes("project-copied") ?? false]),
    ).toStrictEqual([
      ["backup-of-shop", true],
      ["shop", false],
    ]);
    expect(text).toMatch(/Project backup-of-shop .* It is read-only \(project-copied\)/);
    const copy = await statusOf(bench, { projectId: "backup-of-shop" });
    expect(copy.details.project).toMatchObject({ projectId: "backup-of-shop", taskList: [{ taskId }] });
    expect(copy.details.waitsFor).toStrictEqual([]);
    expect(copy.details.next).toStrictEqual([
      "Nothing here: project backup-of-shop is read-only; get_status without ids lists the others",
    ]);
    expect(copy.text).toContain("Warning: read-only (project-copied)");
  });

  it("of one task is named by its folder", async () => {
    const { bench, copyTask } = await setup();
    const taskId = await bench.started();
    copyTask(taskId, "another-one");
    const { details } = await statusOf(bench, { projectId: "shop" });
    expect(new Set(details.project?.taskList.map((one) => one.taskId))).toStrictEqual(new Set(["another-one", taskId]));
    expect(details.project?.warnings.join()).toContain("task another-one is read-only (project-copied)");
    expect(details.next.join()).not.toContain("another-one");
  });
});

describe("a damaged task", () => {
  async function withDamage() {
    const world = await setup();
    const sibling = await world.bench.started({ title: "Sibling" });
    const taskId = await world.bench.started({ title: "Damaged" });
    return { ...world, sibling, taskId, restore: world.damage(taskId) };
  }

  it("is shown as unreadable with the reason, beside its siblings", async () => {
    const { bench, sibling, taskId, restore } = await withDamage();
    const all = await statusOf(bench);
    expect(all.details.projects).toMatchObject([{ projectId: "shop", tasks: { running: 1, unreadable: 1 } }]);
    expect(all.details.warnings?.join()).toMatch(
      new RegExp(`task ${taskId} of project shop is unreadable \\(journal-damaged\\).*line 1`),
    );
    expect(all.text).toContain("Warning: task");
    const one = await statusOf(bench, { projectId: "shop" });
    expect(one.details.project?.taskList.map((task) => task.taskId)).toStrictEqual([sibling]);
    expect(one.details.project?.warnings.join()).toContain(
      `task ${taskId} of project shop is unreadable (journal-damaged)`,
    );
    expect(one.text).toContain("is unreadable");
    expect((await bench.call("get_status", { taskId })).details).toMatchObject({
      refused: { code: "journal-damaged" },
    });
    restore();
    expect((await statusOf(bench)).details.projects).toMatchObject([{ tasks: { running: 2 } }]);
  });

  it("does not keep the driver from its siblings, and is looked at by it", async () => {
    const { bench, reader, taskId, sibling } = await withDamage();
    const waiting = await bench.started({ title: "Waits", dependsOn: [sibling] });
    expect(await reader.statusOf("shop", taskId)).toBe("unreadable");
    expect((await reader.waitingFor("shop", sibling)).map((one) => one.taskId)).toStrictEqual([waiting]);
    expect(new Set((await reader.unfinished()).map((one) => one.taskId))).toStrictEqual(
      new Set([taskId, sibling, waiting]),
    );
  });

  it("counts as not done for a task that depends on it", async () => {
    const { bench, damage } = await setup();
    const taskId = await bench.started();
    const { taskId: dependent } = await bench.done("create_task", aTask({ title: "Later", dependsOn: [taskId] }));
    damage(taskId);
    expect((await bench.done("start_task", { taskId: dependent }))["taskStatus"]).toBe("waiting");
  });

  it("or project does not hide the other projects", async () => {
    const { bench, root } = await withDamage();
    await bench.done("create_project", aProject({ name: "Other" }));
    writeFileSync(path.join(root, "projects", "shop", "journal.jsonl"), "nonsense\nnonsense\n");
    const { details } = await statusOf(bench);
    expect(details.projects.map((one) => one.projectId)).toStrictEqual(["other"]);
    expect(details.warnings?.[0]).toContain("project shop is unreadable (journal-damaged)");
  });
});

describe("a task of a newer version", () => {
  it("is refused as such by every tool, and stands in nobody's way", async () => {
    const { bench, reader, renew } = await setup();
    const sibling = await bench.started({ title: "Sibling" });
    const taskId = await bench.started({ title: "Newer" });
    await renew(taskId);
    for (const [tool, parameters] of [
      ["get_status", { taskId }],
      ["set_task_status", { taskId, status: "paused" }],
      ["start_task", { taskId }],
    ] as const)
      expect((await bench.call(tool, parameters)).details).toMatchObject({ refused: { code: "newer-schema" } });
    expect((await statusOf(bench)).details.warnings?.join()).toContain(
      `task ${taskId} of project shop is unreadable (newer-schema)`,
    );
    expect(
      (await statusOf(bench, { projectId: "shop" })).details.project?.taskList.map((one) => one.taskId),
    ).toStrictEqual([sibling]);
    expect(await reader.statusOf("shop", taskId)).toBe("unreadable");
    expect((await reader.unfinished()).map((one) => one.taskId)).toStrictEqual([sibling]);
    expect(await reader.waitingFor("shop", sibling)).toStrictEqual([]);
  });
});

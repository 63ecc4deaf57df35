/** A journal that was rolled back, on real files: an older copy comes back under what the flow record knows. */
import { randomUUID } from "node:crypto";
import { cpSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { OrchestratorError } from "../../src/errors.ts";
import { renderPages } from "../../src/render/pages.ts";
import { createFileStore } from "../../src/store/file-store.ts";
import type { FlowMark } from "../../src/tools/desk.ts";
import { createTaskReader } from "../../src/tools/task-reader.ts";
import { aBuilderReport, aJudgement, aTask, createBench, type ToolName } from "../support/bench.ts";
import { wakeUp } from "../support/callers.ts";
import { momentOf } from "../support/histories.ts";

const reason = "The old state is the one I want.";

async function setup(fields: { readonly started?: boolean } = {}) {
  const root = mkdtempSync(path.join(tmpdir(), "po-rollback-"));
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
  let mark: FlowMark | undefined;
  let failure: OrchestratorError | undefined;
  const bench = createBench({
    store,
    readFlow: () => (failure === undefined ? Promise.resolve(mark) : Promise.reject(failure)),
  });
  const taskId =
    fields.started === false
      ? await (async () => {
          await bench.done("create_project", { name: "Shop", spec: "A shop." });
          return String((await bench.done("create_task", aTask()))["taskId"]);
        })()
      : await bench.started();
  const stream = { projectId: "shop", taskId };
  const folder = path.join(root, "projects", "shop");
  const aside = (name: string) => path.join(root, name);
  const put = (from: string, to: string) => {
    rmSync(to, { recursive: true, force: true });
    cpSync(from, to, { recursive: true });
  };
  return {
    bench,
    taskId,
    stream,
    reader: createTaskReader(bench.desk()),
    copy: (name: string) => put(folder, aside(name)),
    restore: (name: string) => put(aside(name), folder),
    /** The driver brings the flow record up to the journal. */
    sync: async (ended = false) => {
      const { seq = 0, sum = "" } = (await store.read(stream)) ?? {};
      mark = { flowId: "flow-1", ended, seq, sum };
      return mark;
    },
    hostIsBusy: (busy: boolean) => void (failure = busy ? new OrchestratorError("host-refused", "busy") : undefined),
    goOn: () => bench.done("set_task_status", { taskId, status: "running", reason }),
  };
}

/** The same, after an older copy was restored: the flow knows two records that the journal lacks. */
async function rolledBack(fields: { readonly started?: boolean; readonly ended?: boolean } = {}) {
  const scene = await setup(fields);
  const { bench, taskId } = scene;
  await scene.sync();
  scene.copy("older");
  await bench.done("create_step", { taskId, title: "More", goal: "More.", passCriteria: ["More."] });
  await bench.done("create_step", { taskId, title: "Most", goal: "Most.", passCriteria: ["Most."] });
  const mark = await scene.sync(fields.ended);
  scene.copy("newer");
  scene.restore("older");
  return { ...scene, mark };
}

describe("a journal that lacks the record which the flow record names", () => {
  const changes = (taskId: string): readonly (readonly [ToolName, object])[] => [
    ["start_task", { taskId }],
    ["set_task_status", { taskId, status: "paused" }],
    ["set_task_status", { taskId, status: "cancelled", reason }],
    ["set_step_status", { taskId, stepId: "step-01", status: "skipped", reason }],
    ["create_step", { taskId, title: "More", goal: "More.", passCriteria: ["More."] }],
    ["create_task", aTask({ title: "Another" })],
  ];

  it.each([true, false])(
    "is read-only for every tool that changes something (started: %s)",
    { tags: ["s7.rolled-back-is-read-only"] },
    async (started) => {
      const { bench, taskId, mark } = await rolledBack({ started });
      for (const [tool, parameters] of changes(taskId)) {
        const refused = await bench.refused(tool, parameters);
        expect([tool, refused.code]).toStrictEqual([tool, "state-rolled-back"]);
        expect(refused.reason).toContain(`lacks record ${mark.seq}`);
        expect(refused.accepts.join()).toMatch(/set_task_status running .* with a reason/);
      }
    },
  );

  it("takes no report of a run", { tags: ["s7.rolled-back-is-read-only"] }, async () => {
    const { bench, taskId, copy, restore, sync } = await setup();
    const run = await bench.launched(taskId, "step-01", "builder");
    copy("older");
    await bench.done("set_task_status", { taskId, status: "paused" });
    await sync();
    restore("older");
    const refused = await bench.refused("record_builder_result", aBuilderReport(), run.caller());
    expect(refused.code).toBe("state-rolled-back");
    expect((await bench.refused("record_qa_result", aJudgement(), run.caller())).code).toBe("not-allowed");
  });

  it("is not read for the driver, and is named by what it is", { tags: ["s7.rolled-back-is-not-driven"] }, async () => {
    const { reader, stream } = await rolledBack();
    await expect(reader.read(stream)).rejects.toMatchObject({ code: "state-rolled-back" });
    expect(await reader.unfinished()).toMatchObject([{ stream }]);
  });

  it("is named in the status, with what to do", { tags: ["s7.rolled-back-in-status"] }, async () => {
    const { bench, taskId } = await rolledBack();
    for (const parameters of [{}, { projectId: "shop" }, { taskId }]) {
      const { text, details } = await bench.call("get_status", parameters);
      expect(text).toContain("read-only (state-rolled-back)");
      if (!("taskId" in parameters) && !("projectId" in parameters)) continue;
      expect(details).toMatchObject({ waitsFor: [{ taskId, kind: "person", id: "state-rolled-back" }] });
      expect(String(details["next"])).toContain(`set_task_status with taskId ${taskId} and status running`);
    }
  });

  it("changes again when the newer files are back", { tags: ["s7.rolled-back-ends-with-newer-files"] }, async () => {
    const { bench, taskId, restore, reader, stream } = await rolledBack();
    restore("newer");
    await bench.done("set_task_status", { taskId, status: "paused" });
    expect(await reader.read(stream)).toMatchObject({ state: { task: { status: "paused" } } });
  });

  it("is found also after it has grown past that record", { tags: ["s7.rolled-back-is-read-only"] }, async () => {
    const { bench, taskId, sync, copy, restore, hostIsBusy } = await setup();
    copy("older");
    await bench.done("set_task_status", { taskId, status: "paused" });
    await sync();
    restore("older");
    hostIsBusy(true);
    await bench.done("create_step", { taskId, title: "More", goal: "More.", passCriteria: ["More."] });
    await bench.done("create_step", { taskId, title: "Most", goal: "Most.", passCriteria: ["Most."] });
    hostIsBusy(false);
    expect((await bench.refused("set_task_status", { taskId, status: "paused" })).code).toBe("state-rolled-back");
  });
});

describe("going on from an older journal", () => {
  it("needs an owner's turn and a reason", { tags: ["s7.rolled-back-until-a-person-goes-on"] }, async () => {
    const { bench, taskId, goOn } = await rolledBack();
    const running = { taskId, status: "running" };
    for (const [parameters, caller] of [
      [running, undefined],
      [{ ...running, reason: " " }, undefined],
      [{ ...running, reason }, wakeUp()],
    ] as const)
      expect((await bench.refused("set_task_status", parameters, caller)).code).toBe("state-rolled-back");
    expect(await goOn()).toStrictEqual({ taskId, taskStatus: "running" });
    const record = (await bench.history({ projectId: "shop", taskId })).at(-1);
    expect(record).toMatchObject({
      actor: { kind: "person" },
      event: { type: "RollbackAccepted", by: "person", reason },
    });
  });

  it("makes the task change and be driven again", { tags: ["s7.rolled-back-until-a-person-goes-on"] }, async () => {
    const { bench, taskId, goOn, reader, stream } = await rolledBack();
    await goOn();
    expect(await reader.read(stream)).toMatchObject({ state: { task: { status: "running", flowId: "flow-1" } } });
    await bench.done("set_task_status", { taskId, status: "paused" });
    expect(await bench.call("get_status", {})).not.toMatchObject({ text: expect.stringContaining("rolled-back") });
  });

  it("answers nothing else: a draft stays a draft", { tags: ["s7.rolled-back-until-a-person-goes-on"] }, async () => {
    const { bench, taskId, goOn } = await rolledBack({ started: false });
    expect(await goOn()).toStrictEqual({ taskId, taskStatus: "draft" });
    await bench.done("start_task", { taskId });
  });

  it("asks for a new flow when the old one is over", { tags: ["s7.flow-terminal-untouched"] }, async () => {
    const { bench, taskId, goOn } = await rolledBack({ ended: true });
    await goOn();
    expect((await bench.state(taskId)).task.flowId).toBeNull();
  });

  it("counts for that older copy only", { tags: ["s7.rolled-back-until-a-person-goes-on"] }, async () => {
    const { bench, taskId, goOn, sync, copy, restore } = await rolledBack();
    await goOn();
    copy("accepted");
    await bench.done("set_task_status", { taskId, status: "paused" });
    await sync();
    restore("accepted");
    expect((await bench.refused("set_task_status", { taskId, status: "paused" })).code).toBe("state-rolled-back");
  });
});

describe("readers that follow a journal which was rolled back", () => {
  it("are given what follows in it as news", { tags: ["s7.other-gateways-commits-followed"] }, async () => {
    const { bench, copy, restore, stream, taskId } = await setup();
    copy("older");
    await bench.done("set_task_status", { taskId, status: "paused" });
    const { cursor } = await bench.store.changed();
    restore("older");
    const back = await bench.store.changed(cursor);
    expect(back.streams).toContainEqual(stream);
    await bench.done("create_step", { taskId, title: "More", goal: "More.", passCriteria: ["More."] });
    expect((await bench.store.changed(back.cursor)).streams).toStrictEqual([stream]);
  });
});

describe("a flow record that cannot be read now", () => {
  it(
    "keeps nobody from changing the task, and the driver from driving it",
    { tags: ["s7.rolled-back-is-not-driven"] },
    async () => {
      const { bench, taskId, hostIsBusy, reader, stream } = await setup();
      hostIsBusy(true);
      await expect(reader.read(stream)).rejects.toMatchObject({ code: "host-refused" });
      await bench.done("set_task_status", { taskId, status: "paused" });
    },
  );
});

describe("a project of several tasks", () => {
  async function aProject() {
    const root = mkdtempSync(path.join(tmpdir(), "po-rollback-"));
    const store = await createFileStore({ root, renderPages, now: () => new Date(momentOf(0)), randomId: randomUUID });
    onTestFinished(async () => {
      await store.close();
      rmSync(root, { recursive: true, force: true });
    });
    const marks = new Map<string, FlowMark>();
    let asked: string[] = [];
    const readFlow = (flowId: string | null) => {
      asked.push(String(flowId));
      return Promise.resolve(marks.get(flowId ?? ""));
    };
    const bench = createBench({ store, readFlow });
    await bench.done("create_project", { name: "Shop", spec: "A shop." });
    const create = (title: string) => bench.done("create_task", aTask({ title }));
    return {
      bench,
      create,
      status: () => bench.call("get_status", { projectId: "shop" }),
      folderOf: (taskId: string) => path.join(root, "projects", "shop", "tasks", taskId),
      askedFor: async (work: Promise<unknown>) => {
        asked = [];
        await work;
        return asked;
      },
      /** The driver brings the flow record of a task up to its journal; what it answers is when OpenClaw has done it. */
      sync: async (taskId: string, flowId: string) => {
        const { seq = 0, sum = "" } = (await store.read({ projectId: "shop", taskId })) ?? {};
        return () => void marks.set(flowId, { flowId, ended: false, seq, sum });
      },
    };
  }

  it("asks OpenClaw of those only that changed since, and finds at once that one was rolled back", async () => {
    const { bench, create, status, askedFor, sync, folderOf } = await aProject();
    const taskId = String((await create("One"))["taskId"]);
    (await sync(taskId, "flow-1"))();
    (await sync(String((await create("Two"))["taskId"]), "flow-2"))();
    const [folder, older] = [folderOf(taskId), folderOf("../../../older")];
    cpSync(folder, older, { recursive: true });

    expect(await askedFor(create("Three"))).toStrictEqual(["flow-2"]);
    // Its record does not name it yet, so it is asked of until it does.
    for (let time = 0; time < 2; time += 1) expect(await askedFor(status())).toStrictEqual(["flow-3"]);
    await bench.done("start_task", { taskId });
    (await sync(taskId, "flow-1"))();
    expect(await askedFor(status())).toStrictEqual(["flow-1", "flow-3"]);
    expect(await askedFor(create("Four"))).toStrictEqual(["flow-3"]);

    rmSync(folder, { recursive: true });
    cpSync(older, folder, { recursive: true });
    expect((await bench.refused("create_task", aTask({ title: "Five" }))).code).toBe("state-rolled-back");
    expect(await status()).toMatchObject({ text: expect.stringContaining("read-only (state-rolled-back)") as string });
  });

  it("finds it also when the flow record was brought up to the newer journal only after that was gone", async () => {
    const { bench, create, status, sync, folderOf } = await aProject();
    const taskId = String((await create("One"))["taskId"]);
    (await sync(taskId, "flow-1"))();
    const [folder, older] = [folderOf(taskId), folderOf("../../../older")];
    await bench.done("start_task", { taskId });
    cpSync(folder, older, { recursive: true });
    await bench.done("set_task_status", { taskId, status: "paused" });
    const done = await sync(taskId, "flow-1");
    rmSync(folder, { recursive: true });
    cpSync(older, folder, { recursive: true });
    await status();
    done();
    expect((await bench.refused("create_task", aTask({ title: "Two" }))).code).toBe("state-rolled-back");
  });

  it("finds it also when the older journal was written into the newer one and given its time", async () => {
    const { bench, create, status, sync, folderOf } = await aProject();
    const taskId = String((await create("One"))["taskId"]);
    (await sync(taskId, "flow-1"))();
    await status();
    const names = ["journal.jsonl", "task.json", "steps/step-01.json"].map((name) => path.join(folderOf(taskId), name));
    const older = names.map((name) => [name, readFileSync(name), statSync(name)] as const);
    await bench.done("start_task", { taskId });
    (await sync(taskId, "flow-1"))();
    for (const [name, bytes, { atime, mtime }] of older) {
      writeFileSync(name, bytes);
      utimesSync(name, atime, mtime);
    }
    expect((await bench.refused("create_task", aTask({ title: "Two" }))).code).toBe("state-rolled-back");
  });

  it("asks again of what OpenClaw could not tell", async () => {
    const { bench, taskId, sync, copy, restore, hostIsBusy } = await setup();
    copy("older");
    await bench.done("create_step", { taskId, title: "More", goal: "More.", passCriteria: ["More."] });
    await sync();
    restore("older");
    hostIsBusy(true);
    expect(await bench.call("get_status", { projectId: "shop" })).not.toMatchObject({
      text: expect.stringContaining("rolled-back") as string,
    });
    hostIsBusy(false);
    expect((await bench.refused("create_task", aTask({ title: "Another" }))).code).toBe("state-rolled-back");
  });
});

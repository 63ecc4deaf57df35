/** What the driver reads of tasks: which are unfinished, who waits for whom, who launched a run. */
import { describe, expect, it } from "vitest";
import { createTaskReader } from "../../src/tools/task-reader.ts";
import type { FlowMark } from "../../src/tools/desk.ts";
import { nameOfStream, type Store, type Stream } from "../../src/store/store.ts";
import { aBuilderReport, aTask, createBench } from "../support/bench.ts";

async function setup(readFlow?: () => Promise<FlowMark | undefined>) {
  const bench = createBench({ config: { acceptanceReview: false }, ...(readFlow === undefined ? {} : { readFlow }) });
  await bench.done("create_project", { name: "Shop", spec: "A shop." });
  const made = async (title: string, fields: Readonly<Record<string, unknown>> = {}) =>
    String((await bench.done("create_task", aTask({ title, ...fields })))["taskId"]);
  return {
    bench,
    made,
    reader: createTaskReader(bench.desk()),
    streamOf: (taskId: string) => ({ projectId: "shop", taskId }),
  };
}

describe("a task", () => {
  it("is read with the repository of its project and the last record's place", async () => {
    const { bench, made, reader, streamOf } = await setup();
    const taskId = await made("One");
    const last = (await bench.history(streamOf(taskId))).at(-1);
    expect(await reader.read(streamOf(taskId))).toStrictEqual({
      state: await bench.state(taskId),
      repo: "/repos/shop",
      seq: 1,
      sum: last?.sum,
    });
    expect(await reader.read(streamOf("gone"))).toBeUndefined();
    expect(await reader.read({ projectId: "gone", taskId })).toBeUndefined();
  });

  it("has a state that is known without OpenClaw, which may be busy", async () => {
    const { bench, made, reader, streamOf } = await setup(() => Promise.reject(new Error("OpenClaw was asked")));
    const taskId = await made("One");
    expect(await reader.stateOf(streamOf(taskId))).toStrictEqual(await bench.state(taskId));
    expect(await reader.stateOf(streamOf("gone"))).toBeUndefined();
    await expect(reader.read(streamOf(taskId))).rejects.toThrow("OpenClaw was asked");
  });

  it("of which an older copy was restored is not read, and says so", async () => {
    const { made, reader, streamOf } = await setup(() =>
      Promise.resolve({ flowId: "flow-1", ended: false, seq: 1, sum: "another" }),
    );
    const taskId = await made("One");
    await expect(reader.read(streamOf(taskId))).rejects.toMatchObject({ code: "state-rolled-back" });
    expect(await reader.unfinished()).toMatchObject([{ stream: streamOf(taskId) }]);
  });

  it("has a status when it is there", async () => {
    const { bench, made, reader } = await setup();
    const taskId = await made("One");
    expect(await reader.statusOf("shop", taskId)).toBe("draft");
    await bench.done("start_task", { taskId });
    expect(await reader.statusOf("shop", taskId)).toBe("running");
    expect(await reader.statusOf("shop", "gone")).toBeUndefined();
  });
});

describe("the unfinished tasks", () => {
  it("are those that have not ended, and those of which a run has not ended", async () => {
    const { bench, made, reader, streamOf } = await setup();
    const draft = await made("Draft");
    const cancelled = await made("Cancelled");
    const skipped = await made("Skipped");
    const stopping = await made("Stopping");
    await bench.done("set_task_status", { taskId: cancelled, status: "cancelled" });
    await bench.done("start_task", { taskId: skipped });
    await bench.done("set_step_status", { taskId: skipped, stepId: "step-01", status: "skipped", reason: "No." });
    await bench.done("start_task", { taskId: stopping });
    await bench.launched(stopping, "step-01", "builder");
    await bench.done("set_task_status", { taskId: stopping, status: "cancelled" });
    const found = async () => (await reader.unfinished()).map(({ stream }) => stream.taskId ?? "").toSorted();
    expect(await found()).toStrictEqual([draft, stopping].toSorted());
    await bench.ended(stopping, "step-01", "builder");
    expect(await found()).toStrictEqual([draft]);
    expect(await reader.unfinished()).toMatchObject([{ stream: streamOf(draft), outline: { status: "draft" } }]);
  });

  it("are none in a project that must not be changed, whatever is known of its tasks", async () => {
    const { bench, made } = await setup();
    await made("One");
    const read: Store["read"] = async (stream) => {
      const snapshot = await bench.store.read(stream);
      const readOnly = { code: "newer-schema", reason: "Newer." } as const;
      return stream.taskId === undefined && snapshot !== undefined ? { ...snapshot, readOnly } : snapshot;
    };
    const reader = createTaskReader({ ...bench.desk(), store: { ...bench.store, read } });
    expect(await reader.unfinished()).toStrictEqual([]);
  });

  it("are told of without opening those of which it is known that they go on", async () => {
    const { bench, made, streamOf } = await setup();
    const taskIds = [await made("One"), await made("Two")];
    const opened: string[] = [];
    const store = {
      ...bench.store,
      read: (stream: Stream) => {
        opened.push(nameOfStream(stream));
        return bench.store.read(stream);
      },
    };
    const found = await createTaskReader({ ...bench.desk(), store }).unfinished();
    expect(found.map(({ stream }) => stream)).toStrictEqual(taskIds.toSorted().map(streamOf));
    expect(opened).toStrictEqual(["projects/shop"]);
  });
});

describe("tasks that wait for another one", () => {
  it("are those of its project that wait now and name it", async () => {
    const { bench, made, reader, streamOf } = await setup();
    const first = await made("First");
    const other = await made("Other");
    const waiting = await made("Waiting", { dependsOn: [first] });
    const draft = await made("Draft", { dependsOn: [first] });
    const elsewhere = await made("Elsewhere", { dependsOn: [other] });
    for (const taskId of [waiting, elsewhere, other]) await bench.done("start_task", { taskId });
    expect(await reader.waitingFor("shop", first)).toStrictEqual([streamOf(waiting)]);
    expect(await reader.waitingFor("shop", other)).toStrictEqual([streamOf(elsewhere)]);
    expect(await reader.waitingFor("another", first)).toStrictEqual([]);
    expect(await reader.waitingFor("shop", draft)).toStrictEqual([]);
  });
});

describe("a run", () => {
  it("was launched by whom the record says that planned it, also when later ones carry it along", async () => {
    const { bench, made, reader, streamOf } = await setup();
    const taskId = await made("One");
    await bench.done("start_task", { taskId });
    const run = await bench.launched(taskId, "step-01", "builder");
    expect(await reader.launcherOf(streamOf(taskId), "unknown")).toBeUndefined();
    const known = await reader.launcherOf(streamOf(taskId), run.runId);
    expect(known).toMatchObject({ host: "test", pid: 1, bootId: "boot" });
    // Read once: it is known also when the journal is not asked any more.
    expect(await reader.launcherOf(streamOf("gone"), run.runId)).toBe(known);
    expect(await reader.launchesBefore(streamOf(taskId))).toBe(0);
  });

  it("is numbered anew after each rollback that a person went on from", async () => {
    let lacking = false;
    const { bench, made, reader, streamOf } = await setup(() =>
      Promise.resolve(lacking ? { flowId: "flow-1", ended: false, seq: 9, sum: "lacking" } : undefined),
    );
    const taskId = await made("One");
    await bench.done("start_task", { taskId });
    lacking = true;
    await bench.done("set_task_status", { taskId, status: "running", reason: "Go on from here." });
    expect(await reader.launchesBefore(streamOf(taskId))).toBe(1000);
  });

  it("is looked for in what a journal gained, and in all of it when it became another one", async () => {
    const { bench, made, streamOf } = await setup();
    const taskId = await made("One");
    await bench.done("start_task", { taskId });
    const first = await bench.launched(taskId, "step-01", "builder");
    const whole = await bench.history(streamOf(taskId));
    const asked: number[] = [];
    let forgotten = 0;
    const history: Store["history"] = async (stream, afterSeq) => {
      asked.push(afterSeq);
      return (await bench.store.history(stream, afterSeq)).slice(0, forgotten > 0 ? -forgotten : undefined);
    };
    const reader = createTaskReader({ ...bench.desk(), store: { ...bench.store, history } });
    expect(await reader.launcherOf(streamOf(taskId), first.runId)).toBeDefined();
    await bench.done("record_builder_result", aBuilderReport(), first.caller());
    await bench.ended(taskId, "step-01", "builder");
    const second = await bench.launched(taskId, "step-01", "qa");
    expect(await reader.launcherOf(streamOf(taskId), second.runId)).toBeDefined();
    expect(await reader.launchesBefore(streamOf(taskId))).toBe(0);
    const all = await bench.history(streamOf(taskId));
    expect(asked).toStrictEqual([0, whole.length - 1, all.length - 1]);
    forgotten = 1;
    await reader.launchesBefore(streamOf(taskId));
    expect(asked.slice(3)).toStrictEqual([all.length - 1, 0]);
  });
});

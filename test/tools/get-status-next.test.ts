/** get_status: what each task waits for, and what it says to do next, for every state a task can be in. */
import { describe, expect, it } from "vitest";
import type { StatusDetails, WaitsFor } from "../../src/schema/details.ts";
import { OrchestratorError } from "../../src/errors.ts";
import { createMemoryStore } from "../../src/store/memory-store.ts";
import type { Store, Stream } from "../../src/store/store.ts";
import { createRecorder } from "../../src/tools/driver-tools.ts";
import { aBuilderReport, aJudgement, aProject, aStep, aTask, createBench, type Bench } from "../support/bench.ts";

async function status(bench: Bench, parameters: Readonly<Record<string, unknown>>): Promise<StatusDetails> {
  // get-status.test.ts compares the shape with its schema.
  return (await bench.done("get_status", parameters)) as StatusDetails;
}

async function aDraft(bench: Bench, fields: Readonly<Record<string, unknown>> = {}): Promise<string> {
  if ((await bench.store.list()).length === 0) await bench.done("create_project", aProject());
  return String((await bench.done("create_task", aTask(fields)))["taskId"]);
}

/** A task that waits for the given ones, started. */
async function aWaiting(bench: Bench, dependsOn: readonly string[]): Promise<string> {
  const taskId = await aDraft(bench, { title: "Waits", dependsOn });
  await bench.done("start_task", { taskId });
  return taskId;
}

const set = (bench: Bench, taskId: string, to: string) => bench.done("set_task_status", { taskId, status: to });

async function askAboutDependency(bench: Bench, taskId: string, cancelled: string): Promise<void> {
  const event = { type: "DependencyCancelled", v: 1, at: new Date(0).toISOString(), taskId: cancelled } as const;
  await createRecorder(bench.desk()).record({ projectId: "shop", taskId }, event);
}

async function toAcceptance(bench: Bench, taskId: string): Promise<void> {
  await bench.built(taskId);
  const qa = await bench.launched(taskId, "step-01", "qa");
  await bench.done("record_qa_result", aJudgement(), qa.caller());
  await bench.ended(taskId, "step-01", "qa");
}

const answer = "and wait for the answer. Then, with the owner's words as reason:";

/** A state, and what `next` and `waitsFor` say of it; `T` is the task's id, `D` that of the one it waits for. */
const states: readonly (readonly [
  state: string,
  make: (bench: Bench) => Promise<{ readonly taskId: string; readonly other?: string }>,
  next: readonly string[],
  waits: readonly Omit<WaitsFor, "taskId">[],
])[] = [
  [
    "a draft",
    async (bench) => ({ taskId: await aDraft(bench) }),
    ["start_task with taskId T, when the owner wants it to begin"],
    [],
  ],
  [
    "running",
    async (bench) => {
      const taskId = await bench.started();
      await bench.launched(taskId, "step-01", "builder");
      return { taskId };
    },
    ["Nothing for task T: runs follow by themselves, and its chat is told of each result"],
    [{ stepId: "step-01", kind: "run", id: "T/step-01/1/builder/1" }],
  ],
  [
    "paused",
    async (bench) => {
      const taskId = await bench.started();
      await set(bench, taskId, "paused");
      return { taskId };
    },
    ["set_task_status with taskId T and status running, when the owner wants it to go on"],
    [],
  ],
  [
    "asking after its last attempt",
    async (bench) => {
      const taskId = await bench.started();
      await bench.asking(taskId);
      return { taskId };
    },
    [
      `Ask the owner about step step-01 of task T (attempts-used: no attempt is left) ${answer} set_step_status with taskId T, stepId step-01 and status queued (retry with a note) or passed (accept with a reason) or skipped (skip); set_task_status with taskId T and status cancelled (cancel the task)`,
    ],
    [{ stepId: "step-01", kind: "person", id: "step-01-q24" }],
  ],
  [
    "paused while it asks",
    async (bench) => {
      const taskId = await bench.started();
      await bench.asking(taskId);
      await set(bench, taskId, "paused");
      return { taskId };
    },
    [
      expect.stringMatching(/^Ask the owner about step step-01/),
      "set_task_status with taskId T and status running, when the owner wants it to go on",
    ],
    [{ stepId: "step-01", kind: "person", id: "step-01-q24" }],
  ],
  [
    "asking for its builder",
    async (bench) => {
      const taskId = await bench.started();
      const run = await bench.launched(taskId, "step-01", "builder");
      await bench.done(
        "record_builder_result",
        aBuilderReport({ outcome: "blocked", question: "Which?" }),
        run.caller(),
      );
      await bench.ended(taskId, "step-01", "builder");
      return { taskId };
    },
    [
      `Ask the owner about step step-01 of task T (builder-asks: its builder has a question) ${answer} set_step_status with taskId T, stepId step-01 and status queued (retry with a note) or skipped (skip); set_task_status with taskId T and status cancelled (cancel the task)`,
    ],
    [{ stepId: "step-01", kind: "person", id: "step-01-q4" }],
  ],
  [
    "without a report of its runs",
    async (bench) => {
      const taskId = await bench.started();
      for (let time = 0; time < 3; time += 1) {
        await bench.launched(taskId, "step-01", "builder");
        await bench.ended(taskId, "step-01", "builder", { end: "lost", maxLostRuns: 2 });
      }
      return { taskId };
    },
    [
      `Ask the owner about step step-01 of task T (runs-lost: its runs end without a report) ${answer} set_step_status with taskId T, stepId step-01 and status queued (retry with a note) or skipped (skip); set_task_status with taskId T and status cancelled (cancel the task)`,
    ],
    [{ stepId: "step-01", kind: "person", id: "step-01-q10" }],
  ],
  [
    "without progress",
    async (bench) => {
      const taskId = await bench.started();
      for (let time = 0; time < 2; time += 1) {
        const builder = await bench.launched(taskId, "step-01", "builder");
        await bench.done("record_builder_result", aBuilderReport(), builder.caller());
        await bench.ended(taskId, "step-01", "builder", { tree: "the same" });
        const qa = await bench.launched(taskId, "step-01", "qa");
        await bench.done("record_qa_result", aJudgement(["c1"]), qa.caller());
        await bench.ended(taskId, "step-01", "qa", { tree: "the same" });
      }
      return { taskId };
    },
    [expect.stringContaining("(no-progress: two attempts came to the same)")],
    [{ stepId: "step-01", kind: "person", id: "step-01-q16" }],
  ],
  [
    "held back",
    async (bench) => {
      const taskId = await bench.started();
      await bench.done("set_step_status", { taskId, stepId: "step-01", status: "blocked", reason: "Wait." });
      return { taskId };
    },
    [expect.stringContaining("(held: it is held back)")],
    [{ stepId: "step-01", kind: "person", id: "step-01-q2" }],
  ],
  [
    "whose acceptance review failed",
    async (bench) => {
      const taskId = await bench.started();
      await toAcceptance(bench, taskId);
      const review = await bench.launched(taskId, "acceptance", "qa");
      await bench.done("record_qa_result", aJudgement(["a1"], ["a1"]), review.caller());
      await bench.ended(taskId, "acceptance", "qa");
      return { taskId };
    },
    [
      `Ask the owner about step acceptance of task T (acceptance-failed: the whole does not meet its criteria) ${answer} set_step_status with taskId T, stepId acceptance and status queued (judge again with a note) or passed (accept with a reason); set_task_status with taskId T and status cancelled (cancel the task); or, with no reason, create_step with taskId T and what that step is to do (add a step)`,
    ],
    [{ stepId: "acceptance", kind: "person", id: "acceptance-q4" }],
  ],
  [
    "waiting for a draft",
    async (bench) => {
      const other = await aDraft(bench);
      return { taskId: await aWaiting(bench, [other]), other };
    },
    ["Task T waits for D (draft): start_task with that taskId, when the owner wants it to begin"],
    [{ kind: "task", id: "D" }],
  ],
  [
    "waiting for a running task",
    async (bench) => {
      const other = await bench.started();
      return { taskId: await aWaiting(bench, [other]), other };
    },
    ["Task T waits for D (running): nothing to do, it begins by itself when that is done"],
    [{ kind: "task", id: "D" }],
  ],
  [
    "waiting for a running task with a question of its own",
    async (bench) => {
      const other = await bench.started();
      const taskId = await aWaiting(bench, [other]);
      await bench.done("set_step_status", { taskId, stepId: "step-01", status: "blocked", reason: "Wait." });
      return { taskId, other };
    },
    [expect.stringContaining("(held: it is held back)")],
    [
      { stepId: "step-01", kind: "person", id: "step-01-q2" },
      { kind: "task", id: "D" },
    ],
  ],
  [
    "waiting for a paused task",
    async (bench) => {
      const other = await bench.started();
      await set(bench, other, "paused");
      return { taskId: await aWaiting(bench, [other]), other };
    },
    [
      "Task T waits for D (paused): set_task_status with that taskId and status running, when the owner wants it to go on",
    ],
    [{ kind: "task", id: "D" }],
  ],
  [
    "waiting for a blocked task",
    async (bench) => {
      const other = await bench.started();
      await bench.asking(other);
      return { taskId: await aWaiting(bench, [other]), other };
    },
    ["Task T waits for D (blocked): get_status with that taskId shows the question, which only the owner answers"],
    [{ kind: "task", id: "D" }],
  ],
  [
    "waiting for a task that waits",
    async (bench) => {
      const other = await aWaiting(bench, [await aDraft(bench)]);
      return { taskId: await aWaiting(bench, [other]), other };
    },
    ["Task T waits for D (waiting): get_status with that taskId shows what it waits for itself"],
    [{ kind: "task", id: "D" }],
  ],
  [
    "waiting for a cancelled task",
    async (bench) => {
      const other = await aDraft(bench);
      const taskId = await aWaiting(bench, [other]);
      await set(bench, other, "cancelled");
      return { taskId, other };
    },
    ["Task T waits for D (cancelled): nothing to do yet, the question whether to go on without it follows by itself"],
    [{ kind: "task", id: "D" }],
  ],
  [
    "asking about a cancelled task",
    async (bench) => {
      const other = await aDraft(bench);
      const taskId = await aWaiting(bench, [other]);
      await set(bench, other, "cancelled");
      await askAboutDependency(bench, taskId, other);
      return { taskId, other };
    },
    [
      `Ask the owner about task T (dependency-cancelled: a task that it waits for was cancelled) ${answer} set_task_status with taskId T and status running (go on without it) or cancelled (cancel the task)`,
    ],
    [
      { kind: "person", id: "task-q3" },
      { kind: "task", id: "D" },
    ],
  ],
  [
    "done",
    async (bench) => {
      const taskId = await bench.started();
      for (const stepId of ["step-01", "acceptance"])
        await bench.done("set_step_status", { taskId, stepId, status: "skipped", reason: "Not needed." });
      return { taskId };
    },
    ["Tell the owner that task T is done and that its page is /memory/projects/shop/tasks/T/task.md"],
    [],
  ],
  [
    "cancelled",
    async (bench) => {
      const taskId = await bench.started();
      await set(bench, taskId, "cancelled");
      return { taskId };
    },
    ["create_task with projectId shop, when the work of task T is wanted after all"],
    [],
  ],
];

describe("a task in the status", { tags: ["s5.status-next", "s5.status-waits"] }, () => {
  it.each(states)("that is %s says what to do, with the tool and its values", async (_state, make, next, waits) => {
    const bench = createBench();
    const { taskId, other } = await make(bench);
    const short = (text: string) => text.replaceAll(taskId, "T").replaceAll(other ?? "no other", "D");
    const details = await status(bench, { taskId });
    expect(details.next.map(short)).toStrictEqual(next);
    const shown = ({ stepId, kind, id }: WaitsFor) =>
      stepId === undefined ? { kind, id: short(id) } : { stepId, kind, id: short(id) };
    expect(details.waitsFor.map(shown)).toStrictEqual(waits);
    for (const one of details.waitsFor) expect(one.taskId).toBe(taskId);
    // The project says the same of a task that has not ended, and names the waits by the same ids.
    const project = await status(bench, { projectId: "shop" });
    const ended = details.task?.taskStatus === "done" || details.task?.taskStatus === "cancelled";
    for (const sentence of ended ? [] : details.next) expect(project.next).toContain(sentence);
    expect(project.waitsFor.filter((one) => one.taskId === taskId)).toStrictEqual(details.waitsFor);
  });

  it.each(["draft", "paused", "blocked"])(
    "names a %s task that it waits for",
    { tags: ["s5.status-names-dependency"] },
    async (wanted) => {
      const bench = createBench();
      const other = wanted === "draft" ? await aDraft(bench) : await bench.started();
      if (wanted === "paused") await set(bench, other, "paused");
      if (wanted === "blocked") await bench.asking(other);
      const details = await status(bench, { taskId: await aWaiting(bench, [other]) });
      expect(details.next.join()).toContain(`waits for ${other} (${wanted})`);
    },
  );

  it("that waits for several names only those that are not done, each status once", async () => {
    const bench = createBench();
    const done = await bench.started({ title: "Done" });
    for (const stepId of ["step-01", "acceptance"])
      await bench.done("set_step_status", { taskId: done, stepId, status: "skipped", reason: "Not needed." });
    const drafts = [await aDraft(bench, { title: "One" }), await aDraft(bench, { title: "Two" })];
    const running = await bench.started({ title: "Running" });
    const taskId = await aWaiting(bench, [done, ...drafts, running]);
    const { next, waitsFor } = await status(bench, { taskId });
    expect(next).toStrictEqual([
      `Task ${taskId} waits for ${drafts.join(", ")} (draft): start_task with that taskId, when the owner wants it to begin`,
      `Task ${taskId} waits for ${running} (running): nothing to do, it begins by itself when that is done`,
    ]);
    expect(waitsFor.map((one) => one.id)).toStrictEqual([...drafts, running]);
  });

  it.each(["slot", "tree"] as const)("waits for a %s, as only the driver knows", async (kind) => {
    const bench = createBench({
      live: { waitsFor: (stream) => [{ taskId: stream.taskId ?? "", kind, id: "other-1" }] },
    });
    const taskId = await bench.started();
    const waits = [{ taskId, kind, id: "other-1" }];
    expect((await status(bench, { taskId })).waitsFor).toStrictEqual(waits);
    const { waitsFor, next } = await status(bench, { projectId: "shop" });
    expect(waitsFor).toStrictEqual(waits);
    const what =
      kind === "tree" ? "the working tree, where task other-1 works" : "its turn, which task other-1 has now";
    const words = `Task ${taskId} waits for ${what}: nothing to do, it goes on by itself after that`;
    expect(next).toContain(words);
    expect((await status(bench, { taskId })).next).toContain(words);
  });

  it("that waits for the tree of one that cannot be read says so to the owner", async () => {
    let holder = "";
    const waitsFor = (stream: Stream): readonly WaitsFor[] =>
      stream.taskId === holder ? [] : [{ taskId: stream.taskId ?? "", kind: "tree", id: holder }];
    const kept = createMemoryStore({ renderPages: () => ({}) });
    let isDamaged = false;
    const read: Store["read"] = (stream) =>
      isDamaged && stream.taskId === holder
        ? Promise.reject(new OrchestratorError("journal-damaged", "line 3"))
        : kept.read(stream);
    const bench = createBench({ store: { ...kept, read }, live: { waitsFor } });
    holder = await bench.started({ title: "Holder" });
    const taskId = await bench.started({ title: "Waits" });
    isDamaged = true;
    const words = `Tell the owner that task ${taskId} waits for the working tree, where task ${holder} works, and that task ${holder} cannot be read: get_status with that taskId says why`;
    for (const asked of [{ taskId }, { projectId: "shop" }]) expect((await status(bench, asked)).next).toContain(words);
  });
});

describe("a task whose project cannot be read", { tags: ["s5.status-next"] }, () => {
  it("says so, where it would go on by itself, and where it is started", async () => {
    const kept = createMemoryStore({ renderPages: () => ({}) });
    let isDamaged = false;
    const read: Store["read"] = (stream) =>
      isDamaged && stream.taskId === undefined
        ? Promise.reject(new OrchestratorError("journal-damaged", "journal.jsonl line 3"))
        : kept.read(stream);
    const bench = createBench({ store: { ...kept, read } });
    const taskId = await bench.started();
    const draft = await aDraft(bench);
    isDamaged = true;
    const { next, task } = await status(bench, { taskId });
    expect(next).toStrictEqual([
      expect.stringMatching(/^Tell the owner that project shop cannot be changed now \(journal-damaged\)\. /),
    ]);
    const words = "nothing goes on while project shop cannot be used (journal-damaged): journal.jsonl line 3";
    expect(task?.warnings).toStrictEqual([words]);
    expect((await bench.call("start_task", { taskId: draft })).text).toContain(`Warning: ${words}`);
  });
});

describe("a project in the status", { tags: ["s5.status-next"] }, () => {
  it("says what needs the owner first, then what can be done, then what goes by itself", async () => {
    const bench = createBench();
    const running = await bench.started({ title: "A running one" });
    const draft = await aDraft(bench, { title: "B is a draft" });
    const asking = await bench.started({ title: "C asks" });
    await bench.asking(asking);
    const cancelled = await bench.started({ title: "Cancelled" });
    await set(bench, cancelled, "cancelled");
    const { next } = await status(bench, { projectId: "shop" });
    expect(next).toStrictEqual([
      expect.stringContaining(`Ask the owner about step step-01 of task ${asking}`),
      expect.stringContaining(`start_task with taskId ${draft}`),
      expect.stringContaining(`Nothing for task ${running}`),
    ]);
  });

  it("of which every task has ended says how to go on", async () => {
    const bench = createBench();
    await set(bench, await bench.started(), "cancelled");
    expect((await status(bench, { projectId: "shop" })).next).toStrictEqual([
      "create_task with projectId shop, when the owner wants something built",
    ]);
  });

  it("among all is named when a task of it asks the owner", { tags: ["s5.status-overview-asks"] }, async () => {
    const bench = createBench();
    await bench.asking(await bench.started());
    await bench.done("create_project", aProject({ name: "Calm" }));
    expect((await status(bench, {})).next).toStrictEqual([
      "get_status with projectId shop shows the question that waits for the owner",
      "get_status with a projectId shows its tasks",
    ]);
  });

  it(
    "among all is named with the number of its questions, whatever status their tasks have",
    { tags: ["s5.status-overview-asks"] },
    async () => {
      const bench = createBench();
      const paused = await bench.started({ title: "Paused" });
      await bench.asking(paused);
      await set(bench, paused, "paused");
      const running = await bench.started({ title: "One branch asks", steps: [aStep(), aStep({ dependsOn: [] })] });
      const hold = { taskId: running, stepId: "step-01", status: "blocked", reason: "Wait." };
      await bench.done("set_step_status", hold);
      const other = await aDraft(bench, { title: "Cancelled" });
      const waiting = await aWaiting(bench, [other]);
      await set(bench, other, "cancelled");
      await askAboutDependency(bench, waiting, other);
      const ended = await bench.started({ title: "Ended" });
      await bench.done("set_step_status", { ...hold, taskId: ended });
      await set(bench, ended, "cancelled");
      const { projects, next } = await status(bench, {});
      expect(projects[0]?.tasks).toStrictEqual({ paused: 1, running: 1, waiting: 1, cancelled: 2 });
      expect(next[0]).toBe("get_status with projectId shop shows the 3 questions that wait for the owner");
    },
  );
});

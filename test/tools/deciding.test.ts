/** start_task, set_task_status and set_step_status: the tables of DESIGN section 4 as callers meet them, and who may decide what. */
import { describe, expect, it } from "vitest";
import { createMemoryStore } from "../../src/store/memory-store.ts";
import type { Store } from "../../src/store/store.ts";
import { createRecorder } from "../../src/tools/driver-tools.ts";
import { aBuilderReport, aJudgement, aProject, aStep, aTask, createBench, type Bench } from "../support/bench.ts";
import { owner, wakeUp } from "../support/callers.ts";

const cancelledWords = (taskId: string) => `Task ${taskId}, which this one waits for, was cancelled.`;

/** A dependency of the task was cancelled, as the driver tells it. */
async function hearsOfCancel(bench: Bench, taskId: string, cancelled: string): Promise<void> {
  await bench.done("set_task_status", { taskId: cancelled, status: "cancelled" });
  const answer = await createRecorder(bench.desk()).record(
    { projectId: "shop", taskId },
    { type: "DependencyCancelled", v: 1, at: new Date(0).toISOString(), taskId: cancelled },
  );
  if (!answer.ok) throw new Error(answer.reason);
}

async function aDraft(bench: Bench, fields: Readonly<Record<string, unknown>> = {}): Promise<string> {
  if ((await bench.store.list()).length === 0) await bench.done("create_project", aProject());
  return String((await bench.done("create_task", aTask(fields)))["taskId"]);
}

/** A task in each of its statuses; `undecided` waits for a person's word about a cancelled dependency. */
const tasks = {
  draft: (bench: Bench) => aDraft(bench),
  running: (bench: Bench) => bench.started(),
  async waiting(bench: Bench) {
    return bench.started({ dependsOn: [await aDraft(bench)] });
  },
  async undecided(bench: Bench) {
    const first = await aDraft(bench);
    const taskId = await bench.started({ dependsOn: [first] });
    await hearsOfCancel(bench, taskId, first);
    return taskId;
  },
  async blocked(bench: Bench) {
    const taskId = await bench.started();
    await bench.asking(taskId);
    return taskId;
  },
  async paused(bench: Bench) {
    const taskId = await bench.started();
    await bench.done("set_task_status", { taskId, status: "paused" });
    return taskId;
  },
  async done(bench: Bench) {
    const taskId = await bench.started();
    for (const stepId of ["step-01", "acceptance"])
      await bench.done("set_step_status", { taskId, stepId, status: "skipped", reason: "Not needed." });
    return taskId;
  },
  async cancelled(bench: Bench) {
    const taskId = await bench.started();
    await bench.done("set_task_status", { taskId, status: "cancelled" });
    return taskId;
  },
} as const;
type Situation = keyof typeof tasks;

type Refused = { readonly refused: string; readonly accepts: readonly string[] };
type Outcome = { readonly becomes: string } | Refused;
const no = (refused: string, ...accepts: readonly string[]): Refused => ({ refused, accepts });
const ended = no("task-ended", "create_task");
const started = no("already-started", "get_status");
const notStarted = no("not-started", "start_task");
const toPaused = { becomes: "paused" };
const toCancelled = { becomes: "cancelled" };

/** The first table of DESIGN section 4: each call in each status. */
const table: readonly {
  readonly call: "start_task" | "running" | "paused" | "cancelled";
  readonly rule: string;
  readonly cells: Readonly<Record<Situation, Outcome>>;
}[] = [
  {
    call: "start_task",
    rule: "s4.start-task",
    cells: {
      draft: { becomes: "running" },
      running: started,
      waiting: started,
      undecided: started,
      blocked: started,
      paused: no("task-paused", "set_task_status running"),
      done: ended,
      cancelled: ended,
    },
  },
  {
    call: "running",
    rule: "s4.set-task-running",
    cells: {
      draft: notStarted,
      running: no("nothing-to-do", "get_status"),
      waiting: no("nothing-to-do", "get_status"),
      undecided: { becomes: "running" },
      blocked: no("question-open", "set_step_status"),
      paused: { becomes: "running" },
      done: ended,
      cancelled: ended,
    },
  },
  {
    call: "paused",
    rule: "s4.set-task-paused",
    cells: {
      draft: notStarted,
      running: toPaused,
      waiting: toPaused,
      undecided: toPaused,
      blocked: toPaused,
      paused: no("nothing-to-do", "set_task_status running"),
      done: ended,
      cancelled: ended,
    },
  },
  {
    call: "cancelled",
    rule: "s4.set-task-cancelled",
    cells: {
      draft: toCancelled,
      running: toCancelled,
      waiting: toCancelled,
      undecided: toCancelled,
      blocked: toCancelled,
      paused: toCancelled,
      done: ended,
      cancelled: ended,
    },
  },
];

describe.each(table)("a task that is asked for $call", ({ call, rule, cells }) => {
  // Object.entries widens to string; the object has exactly these keys.
  const rows = Object.entries(cells) as readonly (readonly [Situation, Outcome])[];
  it.each(rows)("and is %s answers %o", { tags: [rule] }, async (from, outcome) => {
    const bench = createBench();
    const taskId = await tasks[from](bench);
    expect((await bench.state(taskId)).task.status).toBe(from === "undecided" ? "waiting" : from);
    const [name, parameters] =
      call === "start_task"
        ? (["start_task", { taskId }] as const)
        : (["set_task_status", { taskId, status: call, reason: "So." }] as const);
    if ("becomes" in outcome) {
      expect((await bench.call(name, parameters)).details).toStrictEqual({ taskId, taskStatus: outcome.becomes });
      expect((await bench.state(taskId)).task.status).toBe(outcome.becomes);
    } else
      expect(await bench.refused(name, parameters)).toMatchObject({ code: outcome.refused, accepts: outcome.accepts });
  });
});

describe("a task", () => {
  it.each([
    ["a question that is still open", "blocked", "blocked"],
    ["a dependency that is not done", "waiting", "waiting"],
    ["a cancelled dependency that nobody decided about", "undecided", "waiting"],
  ] as const)(
    "that was paused over %s is then what follows from that",
    { tags: ["s4.set-task-running"] },
    async (_words, situation, status) => {
      const bench = createBench();
      const taskId = await tasks[situation](bench);
      await bench.done("set_task_status", { taskId, status: "paused" });
      expect(await bench.done("set_task_status", { taskId, status: "running" })).toMatchObject({ taskStatus: status });
    },
  );

  it.each(["draft", "running", "blocked", "paused"] as const)(
    "waits for one that is %s, and get_status names it",
    { tags: ["s4.dependency-waits"] },
    async (situation) => {
      const bench = createBench();
      const first = await tasks[situation](bench);
      const taskId = await bench.started({ dependsOn: [first] });
      expect((await bench.state(taskId)).task).toMatchObject({ status: "waiting", question: null });
      expect((await bench.done("get_status", { taskId }))["waitsFor"]).toStrictEqual([
        { taskId, kind: "task", id: first },
      ]);
    },
  );

  it.each(["start_task", "set_task_status", "set_step_status"] as const)(
    "that does not exist is unknown to %s",
    async (name) => {
      const bench = createBench();
      await bench.done("create_project", aProject());
      const more =
        name === "start_task"
          ? {}
          : name === "set_task_status"
            ? { status: "paused" }
            : { stepId: "step-01", status: "queued", reason: "So." };
      for (const taskId of ["nothing", "../../etc", "SHOUT", "shop"])
        expect((await bench.refused(name, { taskId, ...more })).code).toBe("unknown-task");
    },
  );

  it("that is started is told about in the chat that started it", async () => {
    const bench = createBench();
    const taskId = await aDraft(bench);
    await bench.done("start_task", { taskId }, owner({ sessionKey: "agent:main:other-chat" }));
    expect(await bench.store.readSidecar({ projectId: "shop", taskId }, "chats")).toStrictEqual({
      flowOwner: { sessionKey: "agent:main:chat", agentId: "main" },
      told: { sessionKey: "agent:main:other-chat", agentId: "main" },
    });
  });

  it("whose start is refused still belongs to the chat that started it", async () => {
    const bench = createBench();
    const taskId = await bench.started();
    await bench.refused("start_task", { taskId }, owner({ sessionKey: "agent:main:other-chat" }));
  });

  it("that two chats start at once is told about in the one that was first", async () => {
    const kept = createMemoryStore({ renderPages: () => ({}) });
    let between: (() => Promise<unknown>) | undefined;
    const store: Store = {
      ...kept,
      read: async (stream) => {
        const seen = await kept.read(stream);
        const meanwhile = stream.taskId === undefined ? undefined : between;
        if (meanwhile !== undefined) between = undefined;
        await meanwhile?.();
        return seen;
      },
    };
    const bench = createBench({ store });
    const taskId = await aDraft(bench);
    between = () => bench.done("start_task", { taskId }, owner({ sessionKey: "agent:main:first" }));
    const late = await bench.call("start_task", { taskId }, owner({ sessionKey: "agent:main:late" }));
    expect(late.details).toMatchObject({ refused: { code: "already-started" } });
    expect(await store.readSidecar({ projectId: "shop", taskId }, "chats")).toMatchObject({
      told: { sessionKey: "agent:main:first" },
    });
  });

  it("starts at once when what it waits for is done, and waits else", async () => {
    const bench = createBench();
    const first = await tasks.done(bench);
    const ready = await aDraft(bench, { dependsOn: [first] });
    expect(await bench.done("start_task", { taskId: ready })).toStrictEqual({ taskId: ready, taskStatus: "running" });
    const second = await aDraft(bench);
    const waits = await aDraft(bench, { dependsOn: [first, second] });
    expect(await bench.done("start_task", { taskId: waits })).toStrictEqual({ taskId: waits, taskStatus: "waiting" });
  });
});

/** A step in each place that the table tells apart. */
const steps = {
  queued: () => Promise.resolve(),
  async building(bench: Bench, taskId: string) {
    await bench.launched(taskId, "step-01", "builder");
  },
  async checking(bench: Bench, taskId: string) {
    await bench.built(taskId);
  },
  async reviewing(bench: Bench, taskId: string) {
    await bench.built(taskId);
    await bench.launched(taskId, "step-01", "qa");
  },
  blocked: (bench: Bench, taskId: string) => bench.asking(taskId),
  async "blocked, never built"(bench: Bench, taskId: string) {
    const run = await bench.launched(taskId, "step-01", "builder");
    await bench.done("record_builder_result", aBuilderReport({ outcome: "blocked", question: "Which?" }), run.caller());
    await bench.ended(taskId, "step-01", "builder");
  },
  async passed(bench: Bench, taskId: string) {
    await bench.built(taskId);
    const run = await bench.launched(taskId, "step-01", "qa");
    await bench.done("record_qa_result", aJudgement(), run.caller());
    await bench.ended(taskId, "step-01", "qa");
  },
  async skipped(bench: Bench, taskId: string) {
    await bench.done("set_step_status", { taskId, stepId: "step-01", status: "skipped", reason: "So." });
  },
} as const;

type To = "queued" | "passed" | "skipped" | "blocked";
type StepOutcome = "yes" | Refused;
const finished = no("step-finished", "create_step");
const live: Readonly<Record<To, StepOutcome>> = {
  queued: "yes",
  passed: no("step-live", "queued", "skipped", "blocked"),
  skipped: "yes",
  blocked: "yes",
};
const allFinished = { queued: finished, passed: finished, skipped: finished, blocked: finished };

/** The second table of DESIGN section 4: from each status to each that can be asked for. */
const stepTable: readonly {
  readonly from: keyof typeof steps;
  readonly rule: string;
  readonly cells: Readonly<Record<To, StepOutcome>>;
}[] = [
  {
    from: "queued",
    rule: "s4.step-from-queued",
    cells: {
      queued: no("nothing-to-do", "get_status"),
      passed: no("not-built", "skipped", "blocked"),
      skipped: "yes",
      blocked: "yes",
    },
  },
  { from: "building", rule: "s4.step-from-live", cells: live },
  { from: "checking", rule: "s4.step-from-live", cells: live },
  { from: "reviewing", rule: "s4.step-from-live", cells: live },
  {
    from: "blocked",
    rule: "s4.step-from-blocked",
    cells: { queued: "yes", passed: "yes", skipped: "yes", blocked: no("nothing-to-do", "get_status") },
  },
  {
    from: "blocked, never built",
    rule: "s4.step-from-blocked",
    cells: {
      queued: "yes",
      passed: no("not-built", "queued", "skipped"),
      skipped: "yes",
      blocked: no("nothing-to-do", "get_status"),
    },
  },
  { from: "passed", rule: "s4.step-from-finished", cells: allFinished },
  { from: "skipped", rule: "s4.step-from-finished", cells: allFinished },
];

const setup = async (from: keyof typeof steps) => {
  const bench = createBench({ config: { checks: { allow: ["npm"] }, maxAttempts: 2 } });
  const checks = from === "checking" ? [{ name: "tests", command: ["npm", "test"] }] : [];
  const taskId = await bench.started({ steps: [aStep({ checks }), aStep({ dependsOn: [] })] });
  await steps[from](bench, taskId);
  expect((await bench.step(taskId)).status).toBe(from.split(",")[0]);
  return { bench, taskId };
};

describe.each(stepTable)("a step that is $from", ({ from, rule, cells }) => {
  // Object.entries widens to string; the object has exactly these keys.
  const rows = Object.entries(cells) as readonly (readonly [To, StepOutcome])[];
  it.each(rows)("set to %s: %o", { tags: [rule, "s4.fenced-and-stopped"] }, async (to, outcome) => {
    const { bench, taskId } = await setup(from);
    const parameters = { taskId, stepId: "step-01", status: to, reason: "I say so." };
    if (outcome !== "yes") {
      expect(await bench.refused("set_step_status", parameters)).toMatchObject({
        code: outcome.refused,
        accepts: outcome.accepts,
      });
      return;
    }
    const before = await bench.step(taskId);
    expect(await bench.done("set_step_status", parameters)).toStrictEqual({
      taskId,
      stepId: "step-01",
      stepStatus: to,
      attempt: before.attempt,
    });
    const after = await bench.step(taskId);
    expect(after.status).toBe(to);
    expect([after.builder.status, after.qa.status]).toStrictEqual(
      [before.builder.status, before.qa.status].map((status) => (status === "running" ? "stopped" : status)),
    );
    if (from.startsWith("blocked") && to === "queued")
      expect(after).toMatchObject({ maxAttempts: before.attempt + 2, note: "I say so.", question: null });
  });

  it("is told the same while its task is paused, and leaves it paused", { tags: ["s4.step-keeps-pause"] }, async () => {
    for (const [to, outcome] of rows) {
      const { bench, taskId } = await setup(from);
      await bench.done("set_task_status", { taskId, status: "paused" });
      const { pausedAt } = (await bench.state(taskId)).task;
      const answer = await bench.call("set_step_status", { taskId, stepId: "step-01", status: to, reason: "So." });
      if (outcome !== "yes") expect(answer.details).toMatchObject({ refused: { code: outcome.refused } });
      expect((await bench.state(taskId)).task).toMatchObject({ status: "paused", pausedAt });
    }
  });
});

describe("a step", () => {
  it.each<[keyof typeof steps, To, boolean]>([
    ["queued", "skipped", true],
    ["queued", "blocked", false],
    ["building", "queued", false],
    ["building", "skipped", true],
    ["building", "blocked", false],
    ["blocked", "queued", true],
    ["blocked", "passed", true],
    ["blocked", "skipped", true],
  ])("that is %s, set to %s, needs a person: %s", async (from, to, needsPerson) => {
    const { bench, taskId } = await setup(from);
    const parameters = { taskId, stepId: "step-01", status: to, reason: "I say so." };
    const callers = [wakeUp(), owner({ senderIsOwner: undefined, hasSender: false })];
    for (const caller of needsPerson ? callers : []) {
      const refusal = await bench.refused("set_step_status", parameters, caller);
      expect(refusal).toMatchObject({ code: "person-required", accepts: ["the owner's answer in the chat"] });
    }
    await bench.done("set_step_status", parameters, needsPerson ? owner() : wakeUp());
  });

  it("that a person accepts says so, with the reason", { tags: ["s4.answer-kept", "s4.answer-clears"] }, async () => {
    const { bench, taskId } = await setup("blocked");
    await bench.done("set_step_status", { taskId, stepId: "step-01", status: "passed", reason: "Good enough." });
    const step = await bench.step(taskId);
    expect(step).toMatchObject({ status: "passed", passedBy: "person", question: null });
    expect(step.attempts.at(-1)?.decisions).toStrictEqual([
      {
        at: "2026-01-01T00:00:00.000Z",
        by: "person",
        status: "passed",
        reason: "Good enough.",
        question: "attempts-used",
        asked: "Step step-01 did not pass in 2 attempts; the last one failed: c1.",
      },
    ]);
  });

  it("that does not exist is unknown, and those that do are named", async () => {
    const { bench, taskId } = await setup("queued");
    const refusal = await bench.refused("set_step_status", {
      taskId,
      stepId: "step-99",
      status: "skipped",
      reason: "So.",
    });
    expect(refusal).toMatchObject({ code: "unknown-step", accepts: ["step-01", "step-02", "acceptance"] });
  });

  it("of a draft can only be skipped", { tags: ["s4.step-in-draft"] }, async () => {
    const bench = createBench();
    const taskId = await aDraft(bench);
    const set = (status: string) => ({ taskId, stepId: "step-01", status, reason: "So." });
    for (const status of ["queued", "passed", "blocked"])
      expect(await bench.refused("set_step_status", set(status))).toMatchObject({
        code: "not-started",
        accepts: ["skipped", "start_task"],
      });
    expect(await bench.done("set_step_status", set("skipped"))).toMatchObject({ stepStatus: "skipped" });
  });

  it.each(["done", "cancelled"] as const)(
    "of a task that is %s stays as it is",
    { tags: ["s4.step-in-ended-task"] },
    async (situation) => {
      const bench = createBench();
      const taskId = await tasks[situation](bench);
      for (const status of ["queued", "passed", "skipped", "blocked"])
        expect(
          await bench.refused("set_step_status", { taskId, stepId: "step-01", status, reason: "So." }),
        ).toMatchObject({ code: "task-ended", accepts: ["create_task"] });
    },
  );
});

describe("a decision about a task", () => {
  it("to cancel it while a question is open is a person's", async () => {
    const bench = createBench();
    const taskId = await tasks.blocked(bench);
    expect((await bench.refused("set_task_status", { taskId, status: "cancelled" }, wakeUp())).code).toBe(
      "person-required",
    );
    expect(await bench.done("set_task_status", { taskId, status: "cancelled" })).toMatchObject({
      taskStatus: "cancelled",
    });
  });

  it.each(["paused", "cancelled"])("to make it %s needs no person while no question is open", async (status) => {
    const bench = createBench();
    const taskId = await bench.started();
    expect(await bench.done("set_task_status", { taskId, status }, wakeUp())).toMatchObject({ taskStatus: status });
  });

  it(
    "to go on without a cancelled dependency is a person's, and is kept",
    { tags: ["s4.answer-kept", "s4.answer-clears"] },
    async () => {
      const bench = createBench();
      const first = await aDraft(bench);
      const taskId = await bench.started({ dependsOn: [first] });
      await hearsOfCancel(bench, taskId, first);
      expect((await bench.refused("set_task_status", { taskId, status: "running" }, wakeUp())).code).toBe(
        "person-required",
      );
      expect(await bench.done("set_task_status", { taskId, status: "running", reason: "Without it." })).toMatchObject({
        taskStatus: "running",
      });
      expect((await bench.state(taskId)).task).toMatchObject({
        dependsOn: [],
        question: null,
        decisions: [
          {
            at: "2026-01-01T00:00:00.000Z",
            by: "person",
            status: "running",
            reason: "Without it.",
            question: "dependency-cancelled",
            asked: cancelledWords(first),
          },
        ],
      });
    },
  );

  it("to let a paused task go on answers no question, and says that it is open", async () => {
    const bench = createBench();
    const first = await aDraft(bench);
    const taskId = await bench.started({ dependsOn: [first] });
    await hearsOfCancel(bench, taskId, first);
    await bench.done("set_task_status", { taskId, status: "paused" });
    const goOn = { taskId, status: "running", reason: "Without it." };
    const { text } = await bench.call("set_task_status", goOn);
    expect(text).toBe(`Task ${taskId} is now waiting. Its question is still open; get_status says how to answer it.`);
    expect((await bench.state(taskId)).task.question?.kind).toBe("dependency-cancelled");
    expect((await bench.call("set_task_status", goOn)).text).toBe(`Task ${taskId} is now running.`);
  });

  it(
    "to go on without one dependency leaves the others to be waited for",
    { tags: ["s4.dependency-one-answer"] },
    async () => {
      const bench = createBench();
      const [first, second, third] = [await aDraft(bench), await aDraft(bench), await tasks.done(bench)];
      const taskId = await bench.started({ dependsOn: [first, second, third] });
      await hearsOfCancel(bench, taskId, first);
      // The second is cancelled too before the person answers: nobody was asked about it yet.
      await bench.done("set_task_status", { taskId: second, status: "cancelled" });
      const goOn = { taskId, status: "running", reason: "Without it." };
      expect(await bench.done("set_task_status", goOn)).toMatchObject({ taskStatus: "waiting" });
      expect((await bench.state(taskId)).task).toMatchObject({ question: null, dependsOn: [second, third] });
      await createRecorder(bench.desk()).record(
        { projectId: "shop", taskId },
        { type: "DependencyCancelled", v: 1, at: new Date(0).toISOString(), taskId: second },
      );
      expect(await bench.done("set_task_status", { ...goOn, reason: "Nor that." })).toMatchObject({
        taskStatus: "running",
      });
      expect((await bench.state(taskId)).task.dependsOn).toStrictEqual([third]);
    },
  );
});

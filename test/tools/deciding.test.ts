/** start_task, set_task_status and set_step_status: the tables of DESIGN section 4 as callers meet them, and who may decide what. */
import { describe, expect, it } from "vitest";
import { createMemoryStore } from "../../src/store/memory-store.ts";
import type { Store } from "../../src/store/store.ts";
import { createRecorder } from "../../src/tools/driver-tools.ts";
import { aBuilderReport, aJudgement, aProject, aStep, aTask, createBench, type Bench } from "../support/bench.ts";
import { owner, wakeUp } from "../support/callers.ts";

async function aDraft(bench: Bench, fields: Readonly<Record<string, unknown>> = {}): Promise<string> {
  if ((await bench.store.list()).length === 0) await bench.done("create_project", aProject());
  return String((await bench.done("create_task", aTask(fields)))["taskId"]);
}

/** A task in each of its statuses. */
const tasks: Readonly<Record<string, (bench: Bench) => Promise<string>>> = {
  draft: (bench) => aDraft(bench),
  running: (bench) => bench.started(),
  async waiting(bench) {
    return bench.started({ dependsOn: [await aDraft(bench)] });
  },
  async blocked(bench) {
    const taskId = await bench.started();
    await bench.asking(taskId);
    return taskId;
  },
  async paused(bench) {
    const taskId = await bench.started();
    await bench.done("set_task_status", { taskId, status: "paused" });
    return taskId;
  },
  async done(bench) {
    const taskId = await bench.started();
    for (const stepId of ["step-01", "acceptance"])
      await bench.done("set_step_status", { taskId, stepId, status: "skipped", reason: "Not needed." });
    return taskId;
  },
  async cancelled(bench) {
    const taskId = await bench.started();
    await bench.done("set_task_status", { taskId, status: "cancelled" });
    return taskId;
  },
};

type Outcome = { readonly becomes: string } | { readonly refused: string; readonly accepts?: string };
const table: readonly (readonly [from: string, call: "start_task" | "running" | "paused" | "cancelled", Outcome])[] = [
  ["draft", "start_task", { becomes: "running" }],
  ["running", "start_task", { refused: "already-started" }],
  ["waiting", "start_task", { refused: "already-started" }],
  ["blocked", "start_task", { refused: "already-started" }],
  ["paused", "start_task", { refused: "task-paused", accepts: "set_task_status running" }],
  ["done", "start_task", { refused: "task-ended" }],
  ["cancelled", "start_task", { refused: "task-ended" }],
  ["draft", "running", { refused: "not-started", accepts: "start_task" }],
  ["running", "running", { refused: "nothing-to-do" }],
  ["waiting", "running", { refused: "nothing-to-do" }],
  ["blocked", "running", { refused: "question-open", accepts: "set_step_status for step-01" }],
  ["paused", "running", { becomes: "running" }],
  ["done", "running", { refused: "task-ended" }],
  ["cancelled", "running", { refused: "task-ended" }],
  ["draft", "paused", { refused: "not-started" }],
  ["running", "paused", { becomes: "paused" }],
  ["waiting", "paused", { becomes: "paused" }],
  ["blocked", "paused", { becomes: "paused" }],
  ["paused", "paused", { refused: "nothing-to-do" }],
  ["done", "paused", { refused: "task-ended" }],
  ["cancelled", "paused", { refused: "task-ended" }],
  ["draft", "cancelled", { becomes: "cancelled" }],
  ["running", "cancelled", { becomes: "cancelled" }],
  ["waiting", "cancelled", { becomes: "cancelled" }],
  ["blocked", "cancelled", { becomes: "cancelled" }],
  ["paused", "cancelled", { becomes: "cancelled" }],
  ["done", "cancelled", { refused: "task-ended" }],
  ["cancelled", "cancelled", { refused: "task-ended" }],
];

describe("a task", () => {
  it.each(table)("that is %s answers %s as the table says", async (from, call, outcome) => {
    const bench = createBench();
    const taskId = await tasks[from]?.(bench);
    if (taskId === undefined) throw new Error(from);
    expect((await bench.state(taskId)).task.status).toBe(from);
    const [name, parameters] =
      call === "start_task"
        ? (["start_task", { taskId }] as const)
        : (["set_task_status", { taskId, status: call, reason: "So." }] as const);
    if ("becomes" in outcome) {
      expect((await bench.call(name, parameters)).details).toStrictEqual({ taskId, taskStatus: outcome.becomes });
      expect((await bench.state(taskId)).task.status).toBe(outcome.becomes);
    } else {
      const refusal = await bench.refused(name, parameters);
      expect(refusal.code).toBe(outcome.refused);
      if (outcome.accepts !== undefined) expect(refusal.accepts).toContain(outcome.accepts);
    }
  });

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
    const first = await tasks["done"]?.(bench);
    const ready = await aDraft(bench, { dependsOn: [first] });
    expect(await bench.done("start_task", { taskId: ready })).toStrictEqual({ taskId: ready, taskStatus: "running" });
    const second = await aDraft(bench);
    const waits = await aDraft(bench, { dependsOn: [first, second] });
    expect(await bench.done("start_task", { taskId: waits })).toStrictEqual({ taskId: waits, taskStatus: "waiting" });
  });
});

const steps: Readonly<Record<string, (bench: Bench, taskId: string) => Promise<void>>> = {
  queued: () => Promise.resolve(),
  async building(bench, taskId) {
    await bench.launched(taskId, "step-01", "builder");
  },
  async checking(bench, taskId) {
    await bench.built(taskId);
  },
  async reviewing(bench, taskId) {
    await bench.built(taskId);
    await bench.launched(taskId, "step-01", "qa");
  },
  blocked: (bench, taskId) => bench.asking(taskId),
  async "blocked, never built"(bench, taskId) {
    const run = await bench.launched(taskId, "step-01", "builder");
    await bench.done("record_builder_result", aBuilderReport({ outcome: "blocked", question: "Which?" }), run.caller());
    await bench.ended(taskId, "step-01", "builder");
  },
  async passed(bench, taskId) {
    await bench.built(taskId);
    const run = await bench.launched(taskId, "step-01", "qa");
    await bench.done("record_qa_result", aJudgement(), run.caller());
    await bench.ended(taskId, "step-01", "qa");
  },
  async skipped(bench, taskId) {
    await bench.done("set_step_status", { taskId, stepId: "step-01", status: "skipped", reason: "So." });
  },
};

const stepTable: readonly (readonly [from: string, to: string, outcome: string])[] = [
  ["queued", "queued", "nothing-to-do"],
  ["queued", "passed", "not-built"],
  ["queued", "skipped", "yes"],
  ["queued", "blocked", "yes"],
  ...["building", "checking", "reviewing"].flatMap((from) => [
    [from, "queued", "yes"] as const,
    [from, "passed", "step-live"] as const,
    [from, "skipped", "yes"] as const,
    [from, "blocked", "yes"] as const,
  ]),
  ["blocked", "queued", "yes"],
  ["blocked", "passed", "yes"],
  ["blocked", "skipped", "yes"],
  ["blocked", "blocked", "nothing-to-do"],
  ["blocked, never built", "queued", "yes"],
  ["blocked, never built", "passed", "not-built"],
  ...["passed", "skipped"].flatMap((from) =>
    ["queued", "passed", "skipped", "blocked"].map((to) => [from, to, "step-finished"] as const),
  ),
];

describe("a step", () => {
  const setup = async (from: string) => {
    const bench = createBench({ config: { checks: { allow: ["npm"] } } });
    const checks = from === "checking" ? [{ name: "tests", command: ["npm", "test"] }] : [];
    const taskId = await bench.started({ steps: [aStep({ checks }), aStep({ dependsOn: [] })] });
    await steps[from]?.(bench, taskId);
    expect((await bench.step(taskId)).status).toBe(from.split(",")[0]);
    return { bench, taskId };
  };

  it.each(stepTable)("that is %s, set to %s: %s", async (from, to, outcome) => {
    const { bench, taskId } = await setup(from);
    const parameters = { taskId, stepId: "step-01", status: to, reason: "I say so." };
    if (outcome !== "yes")
      return expect(await bench.refused("set_step_status", parameters)).toMatchObject({ code: outcome });
    const { attempt } = await bench.step(taskId);
    expect(await bench.done("set_step_status", parameters)).toStrictEqual({
      taskId,
      stepId: "step-01",
      stepStatus: to,
      attempt,
    });
    return expect((await bench.step(taskId)).status).toBe(to);
  });

  it.each([
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

  it("that a person accepts says so, with the reason", async () => {
    const { bench, taskId } = await setup("blocked");
    await bench.done("set_step_status", { taskId, stepId: "step-01", status: "passed", reason: "Good enough." });
    const step = await bench.step(taskId);
    expect(step).toMatchObject({ status: "passed", passedBy: "person", question: null });
    expect(step.attempts.at(-1)?.decisions).toMatchObject([
      { by: "person", status: "passed", reason: "Good enough.", question: "attempts-used" },
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

  it("of a draft can only be skipped", async () => {
    const bench = createBench();
    const taskId = await aDraft(bench);
    const set = (status: string) => ({ taskId, stepId: "step-01", status, reason: "So." });
    for (const status of ["queued", "passed", "blocked"])
      expect((await bench.refused("set_step_status", set(status))).code).toBe("not-started");
    expect(await bench.done("set_step_status", set("skipped"))).toMatchObject({ stepStatus: "skipped" });
  });

  it("of a task that has ended stays as it is", async () => {
    const bench = createBench();
    const taskId = (await tasks["cancelled"]?.(bench)) ?? "";
    for (const status of ["queued", "passed", "skipped", "blocked"])
      expect((await bench.refused("set_step_status", { taskId, stepId: "step-01", status, reason: "So." })).code).toBe(
        "task-ended",
      );
  });
});

describe("a decision about a task", () => {
  it("to cancel it while a question is open is a person's", async () => {
    const bench = createBench();
    const taskId = (await tasks["blocked"]?.(bench)) ?? "";
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

  it("to go on without a cancelled dependency is a person's", async () => {
    const bench = createBench();
    const first = await aDraft(bench);
    const taskId = await bench.started({ dependsOn: [first] });
    await bench.done("set_task_status", { taskId: first, status: "cancelled" });
    await createRecorder(bench.desk()).record(
      { projectId: "shop", taskId },
      { type: "DependencyCancelled", v: 1, at: new Date(0).toISOString(), taskId: first },
    );
    expect((await bench.refused("set_task_status", { taskId, status: "running" }, wakeUp())).code).toBe(
      "person-required",
    );
    expect(await bench.done("set_task_status", { taskId, status: "running", reason: "Without it." })).toMatchObject({
      taskStatus: "running",
    });
    expect((await bench.state(taskId)).task).toMatchObject({ dependsOn: [], question: null });
  });
});

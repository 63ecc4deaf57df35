/** The way of every call, part by part: where a task is found, what cannot be read, who decides again, what is said of it. */
import { describe, expect, it } from "vitest";
import { OrchestratorError, refuse } from "../../src/errors.ts";
import { createMemoryStore } from "../../src/store/memory-store.ts";
import type { Snapshot, Store, Stream } from "../../src/store/store.ts";
import { createProject } from "../../src/tools/create-project.ts";
import {
  actorOf,
  asAnswer,
  changeTask,
  describeFailure,
  findTask,
  hash,
  isId,
  mayUse,
  originOf,
  readProject,
  readStateAt,
  readTask,
  rollbackOf,
  stateOf,
  withWarnings,
  type ChangeRequest,
} from "../../src/tools/tool.ts";
import { readSettings } from "../../src/schema/config.ts";
import { aTask, createBench, type BenchOptions } from "../support/bench.ts";
import { owner, wakeUp } from "../support/callers.ts";
import { anEvent, momentOf } from "../support/histories.ts";

type Fault = Partial<{ readonly [K in keyof Store]: Store[K] }>;

/** A started task in a store of which some functions are replaced, once it is there. */
async function setup(options: BenchOptions = {}) {
  const faults: { now: Fault } = { now: {} };
  const memory = createMemoryStore({ renderPages: () => ({}) });
  const store: Store = new Proxy(memory, {
    get: (target, name: keyof Store) => faults.now[name] ?? target[name],
  });
  const bench = createBench({ config: { acceptanceReview: false }, ...options, store });
  const taskId = await bench.started();
  const stream = { projectId: "shop", taskId };
  const request = (fields: Partial<ChangeRequest> = {}): ChangeRequest => ({
    tool: "test",
    callId: "call",
    actor: { kind: "driver" },
    toEvent: () => anEvent("TaskPaused", {}, bench.desk().now().toISOString()),
    ...fields,
  });
  return {
    bench,
    memory,
    taskId,
    stream,
    request,
    change: (fields?: Partial<ChangeRequest>) => changeTask(bench.desk(), stream, request(fields)),
    break: (fault: Fault) => void (faults.now = fault),
  };
}
const withReadOnly = (
  memory: Store,
  code: "newer-schema" | "project-copied",
  of: (stream: Stream) => boolean,
): Fault => ({
  read: async (stream) => {
    const snapshot = await memory.read(stream);
    return snapshot === undefined || !of(stream) ? snapshot : { ...snapshot, readOnly: { code, reason: "Because." } };
  },
});

describe("an id", () => {
  it.each([
    ["shop", true],
    ["s", true],
    ["1-a", true],
    ["a".repeat(200), true],
    ["a".repeat(201), false],
    ["", false],
    ["-a", false],
    ["A", false],
    ["a/b", false],
    ["a\n", false],
    ["..", false],
  ])("%j can name something: %s", (id, can) => {
    expect(isId(id)).toBe(can);
  });
});

describe("who calls", () => {
  it("is kept as agent and the beginning of a hash of the session", () => {
    expect(originOf(owner({ sessionKey: "agent:main:phone" }))).toStrictEqual({
      agentId: "main",
      session: hash("agent:main:phone").slice(0, 16),
    });
    const kinds = [
      owner(),
      wakeUp(),
      wakeUp({ sessionKey: "agent:main:subagent:project-orchestrator:t:step-01:1:builder:1" }),
      owner({ sessionKey: "agent:main:subagent:project-orchestrator:t:step-01:1:qa:1" }),
    ].map((caller) => actorOf(caller).kind);
    expect(kinds).toStrictEqual(["person", "orchestrator", "builder", "qa"]);
  });

  it("is no orchestrator as a subagent of ours or of anybody", () => {
    const { settings } = readSettings({});
    for (const sessionKey of [
      "agent:main:subagent:project-orchestrator:t:step-01:1:builder:1",
      "agent:main:subagent:somebody-else",
    ])
      expect(mayUse("orchestrator", owner({ sessionKey }), settings)).toBe(false);
    expect(mayUse("orchestrator", owner(), settings)).toBe(true);
  });
});

describe("a refusal as an answer", () => {
  it("says code, reason and what would be accepted; without that, the remedy of its code", () => {
    expect(asAnswer(refuse("busy", "Again.", ["one", "two"]))).toStrictEqual({
      text: "Refused (busy): Again.\nAccepted would be: one; two.",
      details: { refused: { code: "busy", reason: "Again.", accepts: ["one", "two"] } },
    });
    expect(asAnswer(refuse("task-paused", "Wait."))).toStrictEqual({
      text: "Refused (task-paused): Wait.\nAccepted would be: Set it to running with set_task_status.",
      details: {
        refused: { code: "task-paused", reason: "Wait.", accepts: ["Set it to running with set_task_status"] },
      },
    });
  });

  it("cuts a reason of more than 4,000 characters", () => {
    expect(asAnswer(refuse("busy", "x".repeat(4000), ["y"])).details).toMatchObject({
      refused: { reason: "x".repeat(4000) },
    });
    expect(asAnswer(refuse("busy", "x".repeat(4001), ["y"])).details).toMatchObject({
      refused: { reason: `${"x".repeat(4000)}…` },
    });
  });

  it("has warnings line by line when the change is made", () => {
    expect(withWarnings({ text: "Done.", details: { a: 1 } }, ["One.", "Two."])).toStrictEqual({
      text: "Done.\nWarning: One.\nWarning: Two.",
      details: { a: 1 },
    });
  });
});

describe("what failed", () => {
  const unknown = (code: string) => `Something failed that should not have${code}; the gateway's log has the cause.`;
  it.each<[string, unknown, string, string]>([
    ["one of our own codes", new OrchestratorError("journal-damaged", "Line 3."), "journal-damaged", "Line 3."],
    ["a bug", new OrchestratorError("bug", "secret path"), "bug", unknown("")],
    ["an error of the system", Object.assign(new Error("/secret"), { code: "ENOSPC" }), "bug", unknown(" (ENOSPC)")],
    ["an error with a code of words", Object.assign(new Error("x"), { code: "/secret E" }), "bug", unknown("")],
    ["an error with a code that begins well", Object.assign(new Error("x"), { code: "E /secret" }), "bug", unknown("")],
    ["an error with a number", Object.assign(new Error("x"), { code: 7 }), "bug", unknown("")],
    ["an error without a code", new Error("/secret"), "bug", unknown("")],
    ["no error", { code: "ENOSPC" }, "bug", unknown("")],
  ])("is told in words that hold no secret: %s", (_words, error, code, reason) => {
    expect(describeFailure(error)).toStrictEqual({ code, reason });
  });
});

describe("a task", () => {
  it("is found by its id, in one project when that is named", async () => {
    const { bench, stream, taskId } = await setup();
    expect(await findTask(bench.desk(), taskId)).toStrictEqual(stream);
    expect(await findTask(bench.desk(), taskId, "shop")).toStrictEqual(stream);
    expect(await findTask(bench.desk(), taskId, "other")).toBeUndefined();
    expect(await findTask(bench.desk(), "gone")).toBeUndefined();
    expect(await findTask(bench.desk(), "../shop")).toBeUndefined();
  });

  it("is found where it was made: a copy comes last, after one that cannot be read", async () => {
    const { bench, memory, taskId, break: breakIt } = await setup();
    const at = (projectId: string) => ({ projectId, taskId });
    const find = () => Promise.resolve(["copy", "damaged", "shop"].map(at));
    const read = async ({ projectId }: Stream): Promise<Snapshot | undefined> => {
      const snapshot = await memory.read(at("shop"));
      if (projectId === "damaged") throw new OrchestratorError("journal-damaged", "Line 3.");
      if (projectId === "shop" || snapshot === undefined) return snapshot;
      return { ...snapshot, readOnly: { code: "project-copied", reason: "A copy." } };
    };
    breakIt({ find, read });
    expect(await findTask(bench.desk(), taskId)).toStrictEqual(at("shop"));
    breakIt({ find: () => Promise.resolve(["copy", "damaged"].map(at)), read });
    expect(await findTask(bench.desk(), taskId)).toStrictEqual(at("damaged"));
    breakIt({ find: () => Promise.resolve([at("copy")]), read });
    expect(await findTask(bench.desk(), taskId)).toStrictEqual(at("copy"));
    breakIt({ find, read: () => Promise.resolve(undefined) });
    expect(await findTask(bench.desk(), taskId)).toStrictEqual(at("copy"));
  });

  it("is read, or why it cannot be read", async () => {
    const { bench, memory, stream, break: breakIt } = await setup();
    const desk = bench.desk();
    expect(await readTask(desk, stream)).toMatchObject({ stream, state: { task: { id: stream.taskId } } });
    expect(await readTask(desk, { ...stream, taskId: "gone" })).toBeUndefined();
    breakIt(withReadOnly(memory, "newer-schema", () => true));
    expect(await readTask(desk, stream)).toStrictEqual({ stream, code: "newer-schema", reason: "Because." });
    breakIt(withReadOnly(memory, "project-copied", () => true));
    expect(await readTask(desk, stream)).toMatchObject({ state: { task: { id: stream.taskId } } });
    const cause = new Error("no disk");
    breakIt({ read: () => Promise.reject(cause) });
    expect(await readTask(desk, stream)).toMatchObject({ stream, code: "bug", cause });
  });

  it("is what its documents say, in the order of its steps, and the same object when they are", async () => {
    const { memory, stream } = await setup();
    const snapshot = await memory.read(stream);
    if (snapshot === undefined) throw new Error("no task");
    expect(stateOf(snapshot)).toBe(stateOf(snapshot));
    expect(() => stateOf({ documents: {} })).toThrow("The stored document of task is not valid");
  });

  it("is told as it was after any record", async () => {
    const { bench, stream } = await setup();
    const statusAt = async (seq: number) => (await readStateAt(bench.desk(), stream, seq)).task.status;
    expect([await statusAt(1), await statusAt(2)]).toStrictEqual(["draft", "running"]);
    const [first] = await bench.history(stream);
    if (first === undefined) throw new Error("no record");
    const removed = { ...first, docs: { ...first.docs, "steps/step-01": null } };
    const desk = { store: { ...bench.store, history: () => Promise.resolve([first, removed]) } };
    expect((await readStateAt(desk, stream, 1)).steps).toHaveLength(1);
    expect((await readStateAt(desk, stream, 2)).steps).toStrictEqual([]);
  });
});

describe("a project", () => {
  it("is read unless it is not there or newer", async () => {
    const { bench, memory, break: breakIt } = await setup();
    const code = async (projectId: string) => {
      const found = await readProject(bench.desk(), projectId);
      return found.ok ? found.project.name : [found.code, found.reason];
    };
    expect(await code("shop")).toBe("Shop");
    expect(await code("gone")).toStrictEqual(["unknown-project", 'There is no project "gone".']);
    expect(await code("../x")).toStrictEqual(["unknown-project", 'There is no project "../x".']);
    expect(await code("x".repeat(90))).toStrictEqual(["unknown-project", `There is no project "${"x".repeat(80)}".`]);
    breakIt(withReadOnly(memory, "newer-schema", () => true));
    expect(await code("shop")).toStrictEqual(["newer-schema", "Because."]);
    breakIt(withReadOnly(memory, "project-copied", () => true));
    expect(await code("shop")).toBe("Shop");
  });

  it("that another call made meanwhile is refused", async () => {
    const { bench, break: breakIt } = await setup();
    breakIt({ commit: () => Promise.resolve({ kind: "conflict" }) });
    const call = { desk: bench.desk(), caller: owner(), tool: "create_project", callId: "call" };
    expect(await createProject.run({ name: "Other", spec: "Else." }, call)).toMatchObject({
      ok: false,
      code: "id-taken",
      accepts: ["another name"],
    });
  });
});

describe("a change", () => {
  it("is decided again, after a pause, until no other writer is first", async () => {
    const { memory, change, break: breakIt, bench, stream } = await setup();
    let conflicts = 3;
    const rounds: number[] = [];
    breakIt({
      commit: (...parameters) => {
        conflicts -= 1;
        return conflicts >= 0 ? Promise.resolve({ kind: "conflict" }) : memory.commit(...parameters);
      },
    });
    const desk = { ...bench.desk(), backOff: (round: number) => Promise.resolve(void rounds.push(round)) };
    const answer = await changeTask(desk, stream, {
      tool: "test",
      callId: "call",
      actor: { kind: "driver" },
      toEvent: () => anEvent("TaskPaused"),
    });
    expect([answer.ok, rounds]).toStrictEqual([true, [1, 2, 3]]);
    conflicts = 1000;
    rounds.length = 0;
    expect(await change({ callId: "next", toEvent: () => anEvent("TaskResumed") })).toMatchObject({
      code: "busy",
      accepts: ["the same call again"],
    });
    expect(conflicts).toBe(960);
  });

  it("that was committed by the same call before is answered as it was, and what follows is done again", async () => {
    const { change, bench, stream } = await setup();
    await change();
    await bench.done("set_task_status", { taskId: stream.taskId, status: "running" });
    let after = 0;
    const again = await change({ afterCommit: () => Promise.resolve(void (after += 1)) });
    expect(again).toMatchObject({ ok: true, state: { task: { status: "paused" } }, effects: [], warnings: [] });
    expect([after, (await bench.history(stream)).length]).toStrictEqual([1, 4]);
    const failing = await change({ afterCommit: () => Promise.reject(new Error("no disk")) });
    expect(failing).toMatchObject({ ok: true, warnings: ["no disk"] });
    // Ten minutes later it is another call.
    bench.later(10 * 60_000);
    expect(await change()).toMatchObject({ ok: true, state: { task: { status: "paused" } } });
    expect(await bench.history(stream)).toHaveLength(4);
    bench.later(1);
    expect(await change({ toEvent: () => refuse("busy", "Decided anew.") })).toMatchObject({ reason: "Decided anew." });
  });

  it("without a call id is never a repetition", async () => {
    const { change, bench, stream } = await setup();
    await change({ callId: "" });
    await change({ callId: "", toEvent: () => anEvent("TaskResumed") });
    expect(await bench.history(stream)).toHaveLength(4);
  });

  it("is refused in what must not be written; a repetition is answered in a copy, not in what is newer", async () => {
    const { memory, change, break: breakIt } = await setup();
    await change();
    const resume = { callId: "other", toEvent: () => anEvent("TaskResumed", {}, momentOf(1)) };
    breakIt(withReadOnly(memory, "project-copied", () => true));
    expect(await change()).toMatchObject({ ok: true });
    expect(await change(resume)).toMatchObject({ code: "project-copied", reason: "Because." });
    breakIt(withReadOnly(memory, "newer-schema", () => true));
    expect(await change()).toMatchObject({ code: "newer-schema", reason: "Because." });
  });

  it("of which nobody knows whether it is durable is not told to stand, and a new one is made", async () => {
    const { memory, change, break: breakIt } = await setup();
    await change();
    breakIt({
      read: async (stream) => {
        const snapshot = await memory.read(stream);
        return snapshot === undefined ? undefined : { ...snapshot, doubt: "The disk failed." };
      },
    });
    expect(await change()).toMatchObject({ code: "outcome-unknown", reason: "The disk failed." });
    expect(await change({ callId: "other", toEvent: () => anEvent("TaskResumed") })).toMatchObject({ ok: true });
  });

  it("stands when what follows it fails, with a warning for each", async () => {
    const { memory, change, break: breakIt, bench } = await setup();
    breakIt({
      commit: async (...parameters) => {
        const answer = await memory.commit(...parameters);
        return answer.kind === "conflict" ? answer : { ...answer, warnings: ["no page"] };
      },
      refreshPages: () => Promise.reject(new Error("no project page")),
    });
    const said = await change({ afterCommit: () => Promise.reject(new Error("no chat")) });
    expect(said).toMatchObject({ ok: true, warnings: ["no page", "no chat", "no project page"] });
    // The project's page counts tasks by status; another change does not touch it.
    expect(await change({ callId: "b", toEvent: () => anEvent("FlowLinked", { flowId: "flow-9" }) })).toMatchObject({
      warnings: ["no page"],
    });
    expect(bench.committed).toHaveLength(5);
  });

  it("is made also while the flow record cannot be read; any other failure is thrown", async () => {
    for (const [error, thrown] of [
      [new OrchestratorError("host-refused", "draining"), undefined],
      [new OrchestratorError("bug", "our own"), "our own"],
      [new Error("no host"), "no host"],
    ] as const) {
      const flow = { isDown: false };
      const { bench, stream } = await setup({
        readFlow: () => (flow.isDown ? Promise.reject(error) : Promise.resolve(undefined)),
      });
      flow.isDown = true;
      const snapshot = await bench.store.read(stream);
      if (snapshot === undefined) throw new Error("no task");
      const found = rollbackOf(bench.desk(), snapshot, null);
      if (thrown === undefined) expect(await found).toBeUndefined();
      else await expect(found).rejects.toThrow(thrown);
    }
  });
});

describe("create_task", () => {
  it("is not hindered by a task that was rolled back in another project, or has ended", async () => {
    const flows = { rolledBack: "" };
    const bench = createBench({
      config: { acceptanceReview: false },
      readFlow: (flowId) =>
        Promise.resolve(flowId === flows.rolledBack ? { flowId, ended: false, seq: 99, sum: "lacking" } : undefined),
    });
    await bench.started();
    await bench.done("create_project", { name: "Other", spec: "Else." });
    flows.rolledBack = bench.flowsMade.length === 1 ? "flow-1" : "";
    expect(await bench.refused("create_task", aTask())).toMatchObject({ code: "state-rolled-back" });
    await bench.done("create_task", aTask({ projectId: "other" }));
    for (const status of ["cancelled", "done"]) {
      flows.rolledBack = "";
      const taskId = await bench.started({ title: status });
      if (status === "cancelled") await bench.done("set_task_status", { taskId, status });
      else await bench.done("set_step_status", { taskId, stepId: "step-01", status: "skipped", reason: "No." });
      flows.rolledBack = `flow-${bench.flowsMade.length}`;
      await bench.done("create_task", aTask({ title: `After ${status}` }));
    }
  });
});

/** The same call twice has one effect and the same answer, also when the process began anew in between; refusals leave no trace. */
import { describe, expect, it, onTestFinished } from "vitest";
import { OrchestratorError } from "../../src/errors.ts";
import { nodeDisk, type Disk } from "../../src/store/disk.ts";
import { createFileStore } from "../../src/store/file-store.ts";
import { createMemoryStore } from "../../src/store/memory-store.ts";
import type { Store } from "../../src/store/store.ts";
import type { Caller } from "../../src/tools/desk.ts";
import { startTask } from "../../src/tools/start-task.ts";
import { callTool } from "../../src/tools/tool.ts";
import {
  aBuilderReport,
  aJudgement,
  aProject,
  aStep,
  aTask,
  createBench,
  type Bench,
  type ToolName,
} from "../support/bench.ts";
import { aRealRoot } from "../support/real-root.ts";
import { owner } from "../support/callers.ts";

type Prepared = {
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly caller: Caller;
  /** What happens between the two calls. */ readonly meanwhile?: () => Promise<unknown>;
};

/** Each tool that changes something, ready to be called. */
const calls: Readonly<Partial<Record<ToolName, (bench: Bench) => Promise<Prepared>>>> = {
  async create_project() {
    return { parameters: aProject(), caller: owner() };
  },
  async create_task(bench) {
    await bench.done("create_project", aProject());
    return {
      parameters: aTask(),
      caller: owner(),
      meanwhile: async () => addStepTo(bench, (await bench.store.list())[1]?.taskId ?? ""),
    };
  },
  async create_step(bench) {
    const taskId = await bench.started();
    return { parameters: { taskId, ...aStep() }, caller: owner(), meanwhile: () => addStepTo(bench, taskId) };
  },
  async start_task(bench) {
    await bench.done("create_project", aProject());
    const { taskId } = await bench.done("create_task", aTask());
    return {
      parameters: { taskId },
      caller: owner(),
      meanwhile: () => bench.done("set_task_status", { taskId, status: "paused" }),
    };
  },
  async set_task_status(bench) {
    const taskId = await bench.started();
    return {
      parameters: { taskId, status: "paused" },
      caller: owner(),
      meanwhile: () => bench.done("set_task_status", { taskId, status: "running" }),
    };
  },
  async set_step_status(bench) {
    const taskId = await bench.started();
    await bench.asking(taskId);
    const parameters = { taskId, stepId: "step-01", status: "queued", reason: "Again." };
    return { parameters, caller: owner(), meanwhile: () => bench.launched(taskId, "step-01", "builder") };
  },
  async record_builder_result(bench) {
    const taskId = await bench.started();
    const run = await bench.launched(taskId, "step-01", "builder");
    return {
      parameters: aBuilderReport(),
      caller: run.caller(),
      meanwhile: () => bench.done("set_step_status", { taskId, stepId: "step-01", status: "blocked", reason: "Wait." }),
    };
  },
  async record_qa_result(bench) {
    const taskId = await bench.started();
    await bench.built(taskId);
    const run = await bench.launched(taskId, "step-01", "qa");
    return {
      parameters: aJudgement(["c1"]),
      caller: run.caller(),
      async meanwhile() {
        await bench.ended(taskId, "step-01", "qa");
        await bench.launched(taskId, "step-01", "builder");
      },
    };
  },
};
const names = Object.keys(calls) as ToolName[];

async function addStepTo(bench: Bench, taskId: string): Promise<void> {
  await bench.done("create_step", { taskId, ...aStep({ title: "Another" }) });
}

/** A real disk on which syncs can be made to fail. */
function aDiskThatFails() {
  let failing = false;
  const sync: Disk["sync"] = (descriptor) =>
    failing ? Promise.reject(Object.assign(new Error("EIO"), { code: "EIO" })) : nodeDisk.sync(descriptor);
  return { disk: { ...nodeDisk, sync }, fails: (now: boolean) => void (failing = now) };
}

async function aStoreOn(disk: Disk): Promise<Store> {
  let ids = 0;
  const root = await aRealRoot();
  const store = await createFileStore({
    root,
    disk,
    renderPages: () => ({}),
    now: () => new Date(),
    randomId: () => `${(ids += 1)}`,
  });
  onTestFinished(() => store.close());
  return store;
}

async function setup(name: ToolName, store?: Store) {
  const bench = createBench(store === undefined ? {} : { store });
  const prepared = await calls[name]?.(bench);
  if (prepared === undefined) throw new Error(name);
  const call = (fields: Partial<Caller> = {}, more = {}) =>
    bench.call(name, { ...prepared.parameters, ...more }, { ...prepared.caller, ...fields });
  return { bench, call, meanwhile: prepared.meanwhile ?? (() => Promise.resolve()) };
}

describe("the same call twice", () => {
  it.each(names)("of %s has one effect and the same answer", { tags: ["s5.same-call"] }, async (name) => {
    const { bench, call } = await setup(name);
    const first = await call();
    expect(first.details).not.toHaveProperty("refused");
    const after = await bench.everything();
    expect(await call()).toStrictEqual(first);
    expect(await bench.everything()).toBe(after);
  });

  it.each(names)(
    "of %s at the same time has one effect and the same answer",
    { tags: ["s5.same-call"] },
    async (name) => {
      const { call } = await setup(name);
      const [first, second] = await Promise.all([call(), call()]);
      expect(first.details).not.toHaveProperty("refused");
      expect(second).toStrictEqual(first);
    },
  );

  it.each(names)(
    "of %s has one effect and the same answer after a restart",
    { tags: ["s5.same-call"] },
    async (name) => {
      const { bench, call } = await setup(name);
      const first = await call();
      const after = await bench.everything();
      bench.restart();
      expect(await call()).toStrictEqual(first);
      expect(await bench.everything()).toBe(after);
    },
  );

  it.each(names)("of %s is answered as the first time although things have moved on before a restart", async (name) => {
    const { bench, call, meanwhile } = await setup(name);
    const first = await call();
    await meanwhile();
    const after = await bench.everything();
    bench.restart();
    expect(await call()).toStrictEqual(first);
    expect(await bench.everything()).toBe(after);
  });

  it.each(names)("of %s makes no second flow", async (name) => {
    const { bench, call } = await setup(name);
    await call();
    const { length } = bench.flowsMade;
    bench.restart();
    await call();
    expect(bench.flowsMade).toHaveLength(length);
  });

  it("is the same when its parameters come in another order", { tags: ["s5.same-call-parts"] }, async () => {
    const bench = createBench();
    await bench.done("create_project", aProject());
    const caller = owner();
    const parameters = aTask({ steps: [aStep({ title: "One", id: "one" })] });
    const reversed = (value: object): object =>
      Object.fromEntries(
        Object.entries(value)
          .toReversed()
          .map(([key, one]) => [key, key === "steps" ? one.map(reversed) : one]),
      );
    const first = await bench.call("create_task", parameters, caller);
    const second = await bench.call("create_task", reversed(parameters), caller);
    expect(JSON.stringify(reversed(parameters))).not.toBe(JSON.stringify(parameters));
    expect(second).toStrictEqual(first);
    expect(await bench.store.list()).toHaveLength(2);
  });

  it("is another call when its parameters differ", { tags: ["s5.same-call-parts"] }, async () => {
    const { bench, call } = await setup("create_task");
    const first = await call();
    const other = await call({}, { spec: "Otherwise." });
    expect(other.details["taskId"]).not.toBe(first.details["taskId"]);
    expect(await bench.store.list()).toHaveLength(3);
  });

  it.each([
    ["tool call", { toolCallId: "another" }],
    ["run", { runId: "another" }],
    ["session", { sessionKey: "agent:main:another" }],
  ] as const)("is another call when it is in another %s", { tags: ["s5.same-call-parts"] }, async (_what, fields) => {
    const { bench, call } = await setup("create_step");
    await call();
    expect((await call(fields)).details).toMatchObject({ stepId: "step-03" });
    bench.restart();
    expect((await call({ ...fields, toolCallId: "yet-another" })).details).toMatchObject({ stepId: "step-04" });
  });

  it("is another call when it is of another tool", { tags: ["s5.same-call-parts"] }, async () => {
    const bench = createBench();
    await bench.done("create_project", aProject());
    const { taskId } = await bench.done("create_task", aTask());
    await bench.done("start_task", { taskId }, owner({ toolCallId: "call_0" }));
    const looked = await bench.done("get_status", { taskId }, owner({ toolCallId: "call_0" }));
    expect(looked).toMatchObject({ task: { taskId }, truncated: false });
  });

  it.each([
    ["create_project", "id-taken"],
    ["create_task", "id-taken"],
  ] as const)("of %s is another call ten minutes later", { tags: ["s5.same-call"] }, async (name, code) => {
    const { bench, call } = await setup(name);
    const first = await call();
    bench.later(10 * 60_000 - 1);
    expect(await call()).toStrictEqual(first);
    bench.later(2);
    const before = await bench.everything();
    expect((await call()).details).toMatchObject({ refused: { code } });
    expect(await bench.everything()).toBe(before);
  });

  it.each(["remembered", "found in the journal"])(
    "is another call ten minutes later, when it would be %s",
    { tags: ["s5.same-call"] },
    async (how) => {
      const { bench, call } = await setup("start_task");
      await call();
      bench.later(10 * 60_000 - 1);
      if (how !== "remembered") bench.restart();
      expect((await call()).details).toMatchObject({ taskStatus: "running" });
      bench.later(10 * 60_000 + 1);
      if (how !== "remembered") bench.restart();
      expect((await call()).details).toMatchObject({ refused: { code: "already-started" } });
    },
  );

  it("of a refused call is refused the same way, and leaves nothing either time", async () => {
    const { bench, call } = await setup("start_task");
    await call();
    const before = await bench.everything();
    const caller = { toolCallId: "too-late" };
    const first = await call(caller);
    expect(await call(caller)).toStrictEqual(first);
    bench.restart();
    expect(await call(caller)).toStrictEqual(first);
    expect(await bench.everything()).toBe(before);
  });

  it("of a refused call is decided anew when things have changed: some models use the id of a call again", async () => {
    const bench = createBench();
    const taskId = await bench.started();
    const goOn = () => bench.call("set_task_status", { taskId, status: "running" }, owner({ toolCallId: "call_0" }));
    expect((await goOn()).details).toMatchObject({ refused: { code: "nothing-to-do" } });
    await bench.done("set_task_status", { taskId, status: "paused" });
    expect((await goOn()).details).toMatchObject({ taskStatus: "running" });
  });

  it("of a late report is archived once", async () => {
    const bench = createBench();
    const taskId = await bench.started();
    const builder = await bench.launched(taskId, "step-01", "builder");
    await bench.ended(taskId, "step-01", "builder", { end: "lost" });
    const caller = builder.caller({ toolCallId: "call_0" });
    const first = await bench.call("record_builder_result", aBuilderReport(), caller);
    expect(await bench.call("record_builder_result", aBuilderReport(), caller)).toStrictEqual(first);
    expect((await bench.step(taskId)).attempts[0]?.late).toHaveLength(1);
  });

  it("of get_status looks anew", async () => {
    const bench = createBench();
    const look = () => bench.call("get_status", {}, owner({ toolCallId: "call_0" }));
    expect((await look()).details).toMatchObject({ projects: [] });
    await bench.done("create_project", aProject());
    expect((await look()).details["projects"]).toHaveLength(1);
  });
});

describe("a change of which nobody knows whether it is durable", () => {
  it.each(names)(
    "by %s is not told to stand when the call is made again, until it is made durable",
    { tags: ["s6.retry-finds-out"] },
    async (name) => {
      const disk = aDiskThatFails();
      const { bench, call } = await setup(name, await aStoreOn(disk.disk));
      disk.fails(true);
      expect((await call()).details).toMatchObject({ refused: { code: "outcome-unknown" } });
      expect((await call()).details).toMatchObject({ refused: { code: "outcome-unknown" } });
      disk.fails(false);
      const records = async () => {
        const all = await Promise.all((await bench.store.list()).map((stream) => bench.history(stream)));
        return all.flat().length;
      };
      const before = await records();
      expect((await call()).details).not.toHaveProperty("refused");
      expect(await records(), "the first one counts").toBe(before);
    },
  );
});

describe("a task that was made while the process died before it could remember the chat", () => {
  it("belongs to the chat that makes the call again", async () => {
    const { bench, call } = await setup("create_task");
    const { details } = await call();
    const stream = { projectId: "shop", taskId: String(details["taskId"]) };
    await bench.store.writeSidecar(stream, "chats", null);
    bench.restart();
    await call();
    expect(await bench.store.readSidecar(stream, "chats")).toMatchObject({ told: { sessionKey: "agent:main:chat" } });
  });

  it("is answered with a warning, and keeps its chat, when that cannot be read now", async () => {
    const memory = createMemoryStore({ renderPages: () => ({}) });
    let fails = false;
    const readSidecar: Store["readSidecar"] = (stream, name) =>
      fails
        ? Promise.reject(new OrchestratorError("journal-unreadable", "No (EMFILE)."))
        : memory.readSidecar(stream, name);
    const bench = createBench({ store: { ...memory, readSidecar } });
    await bench.done("create_project", aProject());
    const caller = owner();
    const call = () => bench.call("create_task", aTask(), caller);
    const { details } = await call();
    const stream = { projectId: "shop", taskId: String(details["taskId"]) };
    const kept = await memory.readSidecar(stream, "chats");
    bench.restart();
    fails = true;
    const again = await call();
    expect(again.details).toStrictEqual(details);
    expect(again.text).toContain("Warning: No (EMFILE).");
    expect(await memory.readSidecar(stream, "chats")).toStrictEqual(kept);
  });
});

describe("a change that another writer came before", () => {
  it("is decided again on the new state", { tags: ["s6.decide-again"] }, async () => {
    const bench = createBench();
    const taskId = await bench.started();
    const answers = await Promise.all(
      Array.from({ length: 12 }, () => bench.call("create_step", { taskId, ...aStep() })),
    );
    expect(
      answers.map((answer) => String(answer.details["stepId"])).toSorted((one, other) => (one < other ? -1 : 1)),
    ).toStrictEqual(Array.from({ length: 12 }, (_, at) => `step-${String(at + 2).padStart(2, "0")}`));
  });

  it("is refused when it does not fit any more", async () => {
    const bench = createBench();
    const taskId = await bench.started();
    const answers = await Promise.all([1, 2, 3].map(() => bench.call("set_task_status", { taskId, status: "paused" })));
    expect(answers.filter((answer) => "refused" in answer.details)).toHaveLength(2);
  });

  it("is refused as busy when that never ends, and nothing is left", { tags: ["s6.decide-again"] }, async () => {
    const bench = createBench();
    const taskId = await bench.started();
    const desk = bench.desk();
    const { taskId: other } = await bench.done("create_task", aTask());
    let rounds = 0;
    const backOff = async (round: number) => void (rounds = round);
    const crowded = {
      ...desk,
      backOff,
      store: { ...desk.store, commit: () => Promise.resolve({ kind: "conflict" as const }) },
    };
    const answer = await callTool(crowded, owner(), startTask, { taskId: other });
    expect(answer.details).toMatchObject({ refused: { code: "busy" } });
    expect(rounds).toBe(39);
    expect((await bench.state(String(other))).task.status).toBe("draft");
    expect(taskId).not.toBe(other);
  });
});

describe("every answer", () => {
  it.each([...names, "get_status"] as ToolName[])(
    "of %s has no key that the host reads as a failure, and text for the model",
    async (name) => {
      const bench = createBench();
      const prepared = (await calls[name]?.(bench)) ?? { parameters: {}, caller: owner() };
      const wrong = await bench.call(name, { nonsense: 1 }, prepared.caller);
      const right = await bench.call(name, prepared.parameters, prepared.caller);
      for (const { text, details } of [wrong, right]) {
        for (const key of ["status", "ok", "success", "error", "isError"]) expect(details).not.toHaveProperty(key);
        expect(text.length).toBeGreaterThan(10);
      }
      expect(wrong.text).toMatch(/^Refused \(invalid-parameters\): .*\nAccepted would be: /);
      expect(right.details).not.toHaveProperty("refused");
    },
  );
});

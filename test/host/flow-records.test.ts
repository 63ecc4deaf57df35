/** OpenClaw's flow record of a task: made, brought up to the journal, matched and settled. */
import { describe, expect, it } from "vitest";
import {
  createFlow,
  createFlowRecords,
  readFlow,
  readKnownTasks,
  settleFlows,
  youngMs,
  type KnownTask,
} from "../../src/host/flow-records.ts";
import { OrchestratorError } from "../../src/errors.ts";
import type { Snapshot, Store, Stream } from "../../src/store/store.ts";
import { aBuilderReport, aTask, createBench } from "../support/bench.ts";
import { createFakeHost } from "../support/fake-host.ts";

const root = "/srv/work";
const owner = "agent:main:chat";

/** A task whose flow was made as the tool makes it. `sync` does what the driver does after each commit. */
async function setup() {
  const fake = createFakeHost();
  const bench = createBench();
  const records = createFlowRecords(fake.host, root, bench.store);
  const taskId = await bench.started();
  const stream = { projectId: "shop", taskId };
  const flowId = (await bench.state(taskId)).task.flowId;
  const { stateJson } = fake.flow(
    await createFlow(fake.host, root, { sessionKey: owner, projectId: "shop", taskId, title: "Login" }),
  );
  fake.flows.splice(0);
  const made = fake.has({ flowId: flowId ?? "", stateJson, currentStep: "await-start" });
  const sync = async () => {
    const snapshot = await bench.store.read(stream);
    return records.sync(stream, await bench.state(taskId), { seq: snapshot?.seq ?? 0, sum: snapshot?.sum ?? "" });
  };
  return { ...fake, bench, records, taskId, stream, made, sync };
}

const pausing = (taskId: string, status = "paused") => ({ taskId, status, reason: "Because." });

describe("the flow record of a new task", () => {
  const request = { sessionKey: owner, projectId: "shop", taskId: "login-1", title: "Login" };

  it(
    "is the task's, of the session that creates it, and waits for the start",
    { tags: ["s7.flow-created"] },
    async () => {
      const { host, flow } = createFakeHost();
      const made = flow(await createFlow(host, root, request));
      expect(made).toMatchObject({
        owner,
        controllerId: "project-orchestrator/task",
        goal: "Login",
        status: "waiting",
        currentStep: "await-start",
        stateJson: { projectId: "shop", taskId: "login-1" },
      });
      expect(JSON.stringify(made.stateJson)).not.toContain(root);
    },
  );

  it("is null where the host cannot make one now", { tags: ["s7.flow-null-then-made"] }, async () => {
    const { host, fail, logged } = createFakeHost();
    fail("agent unavailable during gateway startup");
    expect(await createFlow(host, root, request)).toBeNull();
    expect(logged.join()).toContain("login-1 is made later");
  });
});

describe("a flow record that is brought up to the journal", () => {
  it("names ids, the live runs and the last record, and little else", { tags: ["s7.flow-state-json"] }, async () => {
    const { bench, taskId, stream, made, sync } = await setup();
    const { runId } = await bench.launched(taskId, "step-01", "builder");
    await sync();
    const { seq, sum } = (await bench.history(stream)).at(-1) ?? {};
    expect(made.stateJson).toStrictEqual({
      root: expect.stringMatching(/^[0-9a-f]{16}$/),
      projectId: "shop",
      taskId,
      runIds: [runId],
      seq,
      sum,
    });
    expect(JSON.stringify(made.stateJson).length).toBeLessThan(500);
  });

  it("says in words where the task is", { tags: ["s7.flow-current-step"] }, async () => {
    const { bench, taskId, made, sync } = await setup();
    const steps: (string | undefined)[] = [];
    const note = async () => (await sync(), steps.push(made.currentStep));
    await note();
    await bench.launched(taskId, "step-01", "builder").then(async (run) => {
      await note();
      await bench.done(
        "record_builder_result",
        aBuilderReport({ outcome: "blocked", question: "Which?" }),
        run.caller(),
      );
    });
    await bench.ended(taskId, "step-01", "builder");
    await note();
    await bench.done("set_task_status", pausing(taskId));
    await note();
    expect(steps).toStrictEqual([
      "between runs",
      "step-01 builder attempt 1",
      "question: step-01 builder-asks",
      "paused",
    ]);
    expect(made.status).toBe("waiting");
  });

  it("of a draft and of a task that waits for others waits too", { tags: ["s7.flow-current-step"] }, async () => {
    const { bench, taskId, flows, has, records } = await setup();
    const later = String((await bench.done("create_task", aTask({ title: "Later", dependsOn: [taskId] })))["taskId"]);
    const flow = has({ flowId: (await bench.state(later)).task.flowId ?? "" });
    const sync = async () =>
      records.sync({ projectId: "shop", taskId: later }, await bench.state(later), { seq: 1, sum: "s" });
    await sync();
    expect(flow.currentStep).toBe("await-start");
    await bench.done("start_task", { taskId: later });
    await sync();
    expect([flow.currentStep, flow.waitJson]).toStrictEqual(["await-tasks", { for: taskId }]);
    expect(flows).toHaveLength(2);
  });
  it(
    "is finished when the task is done, and not touched again",
    { tags: ["s7.flow-ends", "s7.flow-terminal-untouched"] },
    async () => {
      const { bench, taskId, made, sync, touchedAfterEnd } = await setup();
      for (const stepId of ["step-01", "acceptance"])
        await bench.done("set_step_status", { taskId, stepId, status: "skipped", reason: "Because." });
      await sync();
      expect(made).toMatchObject({ status: "succeeded", endedAt: expect.any(Number) });
      expect(await sync()).toBeUndefined();
      expect(touchedAfterEnd).toStrictEqual([]);
    },
  );

  it(
    "is cancelled when the task is, and not touched again",
    { tags: ["s7.flow-ends", "s7.flow-terminal-untouched"] },
    async () => {
      const { bench, taskId, made, sync, touchedAfterEnd } = await setup();
      await bench.done("set_task_status", pausing(taskId, "cancelled"));
      await sync();
      expect(made).toMatchObject({ status: "cancelled" });
      await sync();
      expect(touchedAfterEnd).toStrictEqual([]);
    },
  );

  it("that has ended while the task has not is left as it is", { tags: ["s7.flow-terminal-untouched"] }, async () => {
    const { made, sync, touchedAfterEnd, flows } = await setup();
    Object.assign(made, { status: "failed", endedAt: 1 });
    expect(await sync()).toBeUndefined();
    expect([touchedAfterEnd, flows.length]).toStrictEqual([[], 1]);
  });

  it(
    "is made anew when it is gone, and not for a task that has ended",
    { tags: ["s7.flow-gone-made-anew", "s7.flow-null-then-made"] },
    async () => {
      const { bench, taskId, sync, flows, flow } = await setup();
      flows.splice(0);
      const anew = await sync();
      expect(flow(anew ?? null)).toMatchObject({ owner, stateJson: { taskId } });
      flows.splice(0);
      await bench.done("set_task_status", pausing(taskId, "cancelled"));
      expect(await sync()).toBeUndefined();
      expect(flows).toStrictEqual([]);
    },
  );

  it("is not written when it says so already", { tags: ["s7.flow-brought-up"] }, async () => {
    const { host, bench, taskId, stream, sync, made } = await setup();
    await sync();
    const { revision } = made;
    await sync();
    expect(made.revision).toBe(revision);
    made.currentStep = "something else";
    await sync();
    expect(made.revision).toBe(revision + 1);
    made.status = "blocked";
    await sync();
    expect([made.status, made.revision]).toStrictEqual(["waiting", revision + 2]);
    // The root was moved: the record is the new one's from then on.
    const snapshot = await bench.store.read(stream);
    const moved = createFlowRecords(host, "/srv/moved", bench.store);
    const before = made.stateJson;
    await moved.sync(stream, await bench.state(taskId), { seq: snapshot?.seq ?? 0, sum: snapshot?.sum ?? "" });
    expect(made.stateJson).not.toStrictEqual(before);
  });

  it("is written although somebody else wrote to it meanwhile", { tags: ["s7.flow-brought-up"] }, async () => {
    const { made, sync, interfere } = await setup();
    interfere(2);
    await sync();
    expect(made).toMatchObject({ currentStep: "between runs" });
  });

  it.each(["others keep writing", "the host is busy"])(
    "that cannot be written now asks for another try: %s",
    { tags: ["s7.flow-brought-up"] },
    async (why) => {
      const { bench, taskId, sync, interfere, fail, made } = await setup();
      await bench.done("set_task_status", pausing(taskId));
      if (why === "the host is busy") fail("another OpenClaw process owns state-lifecycle");
      else interfere(100);
      await expect(sync()).rejects.toMatchObject({ code: "host-refused" });
      interfere(0);
      await sync();
      expect(made).toMatchObject({ currentStep: "paused" });
    },
  );

  it("that the host does not cancel yet asks for another try", { tags: ["s7.flow-ends"] }, async () => {
    const { bench, taskId, sync, holdCancels, made } = await setup();
    await bench.done("set_task_status", pausing(taskId, "cancelled"));
    holdCancels(true);
    await expect(sync()).rejects.toMatchObject({ code: "host-refused", message: expect.stringContaining("active") });
    holdCancels(false);
    await sync();
    expect(made).toMatchObject({ status: "cancelled" });
  });
});

describe("a cancel asked of a flow", () => {
  it.each([{ cancelRequestedAt: 1 }, { status: "cancelled", endedAt: 1 }])(
    "is found as %j",
    { tags: ["s7.flow-cancel-obeyed"] },
    async (fields) => {
      const { records, stream, made } = await setup();
      expect(await records.cancelRequested([stream])).toStrictEqual([]);
      Object.assign(made, fields);
      expect(await records.cancelRequested([stream])).toStrictEqual([stream]);
    },
  );

  it("is looked for with one list per owner", { tags: ["s7.flow-cancel-obeyed"] }, async () => {
    const { bench, records, stream, lists } = await setup();
    const second = { projectId: "shop", taskId: await bench.started({ title: "Second" }) };
    await records.cancelRequested([stream, second]);
    expect(lists).toStrictEqual([owner]);
  });

  it("is looked for without opening a task, and a task's owner is asked for once", async () => {
    const { host, bench, stream, made } = await setup();
    const asked: string[] = [];
    const store: Store = {
      ...bench.store,
      read: (one) => (asked.push(`read ${one.taskId ?? ""}`), bench.store.read(one)),
      readSidecar: (one, name) => (asked.push(`${name} of ${one.taskId}`), bench.store.readSidecar(one, name)),
    };
    const records = createFlowRecords(host, root, store);
    expect(await records.cancelRequested([stream])).toStrictEqual([]);
    made.cancelRequestedAt = 1;
    expect(await records.cancelRequested([stream])).toStrictEqual([stream]);
    expect(asked).toStrictEqual(["read ", `chats of ${stream.taskId}`, "read "]);
  });

  it("is seen also while nothing is known of the task without opening it", async () => {
    const { host, bench, stream, made } = await setup();
    const tasks: Store["tasks"] = async (projectId) =>
      (await bench.store.tasks(projectId)).map(({ outline: _outline, ...glance }) => ({
        ...glance,
        failure: { code: "journal-unreadable", reason: "No (EMFILE)." },
      }));
    made.cancelRequestedAt = 1;
    const records = createFlowRecords(host, root, { ...bench.store, tasks });
    expect(await records.cancelRequested([stream])).toStrictEqual([stream]);
  });

  it("counts for the task's own flow only", { tags: ["s7.flow-cancel-obeyed"] }, async () => {
    const { records, stream, made, has } = await setup();
    has({ flowId: "cut off", stateJson: made.stateJson, status: "cancelled", endedAt: 1 });
    expect(await records.cancelRequested([stream])).toStrictEqual([]);
  });
});

describe("the first list of the flow records", () => {
  /** As a gateway begins to drive a task whose record was brought up to it before. */
  async function listed() {
    const scene = await setup();
    await scene.sync();
    const records = createFlowRecords(scene.host, root, scene.bench.store);
    await records.cancelRequested([scene.stream]);
    const before = scene.gets.length;
    const { seq = 0, sum = "" } = (await scene.bench.store.read(scene.stream)) ?? {};
    return {
      ...scene,
      at: { seq, sum },
      asked: () => scene.gets.slice(before),
      mark: () => records.mark(scene.stream, scene.made.flowId),
      sync: async (at = { seq, sum }) => records.sync(scene.stream, await scene.bench.state(scene.taskId), at),
    };
  }

  it("says where a record stands and that it says so already, once, without asking for it", async () => {
    const { at, asked, mark, sync, made } = await listed();
    expect(await mark()).toMatchObject(at);
    await sync();
    expect(asked()).toStrictEqual([]);
    await mark();
    await sync();
    expect(asked()).toStrictEqual([made.flowId, made.flowId]);
  });

  it("says so also of a task whose own record is gone, by another one of the same task", async () => {
    const { host, bench, stream, made, at, gets, lists } = await listed();
    Object.assign(made, { flowId: "an older one" });
    const records = createFlowRecords(host, root, bench.store);
    await records.cancelRequested([stream]);
    const before = [gets.length, lists.length];
    expect(await records.mark(stream, "gone")).toMatchObject({ flowId: "an older one", ...at });
    expect([gets.length, lists.length]).toStrictEqual(before);
  });

  it("says of a record that was made when the root was elsewhere what the record itself does", async () => {
    const { host, bench, stream, made } = await setup();
    await createFlowRecords(host, "/srv/before", bench.store).sync(stream, await bench.state(stream.taskId), {
      seq: 99,
      sum: "from a newer journal",
    });
    const records = createFlowRecords(host, root, bench.store);
    await records.cancelRequested([stream]);
    const mark = await readFlow(host, root, bench.store, stream, made.flowId);
    expect(mark).toMatchObject({ seq: 99 });
    expect(await records.mark(stream, made.flowId)).toStrictEqual(mark);
  });

  it("that fails says nothing of the records, which are asked for then", async () => {
    const { host, bench, stream, made, fail, gets } = await listed();
    const records = createFlowRecords(host, root, bench.store);
    fail("No (EMFILE).");
    await expect(records.cancelRequested([stream])).rejects.toThrow("No (EMFILE).");
    const before = gets.length;
    expect(await records.mark(stream, made.flowId)).toMatchObject({ flowId: made.flowId });
    expect(gets.slice(before)).toStrictEqual([made.flowId]);
  });

  describe("says that a record is level with its task", () => {
    /** What a new driver's first list says. */
    async function askedAfter(change: (scene: Awaited<ReturnType<typeof listed>>) => void | Promise<void>) {
      const scene = await listed();
      await change(scene);
      const { host, bench, stream, made, at } = scene;
      const records = createFlowRecords(host, root, bench.store);
      const isLevel = () => records.isLevel(stream, made.flowId, at);
      return { ...scene, records, isLevel };
    }

    it("once, and nothing of it is kept then", async () => {
      const { records, stream, isLevel, asked, made } = await askedAfter(() => undefined);
      expect(isLevel()).toBe(false);
      await records.cancelRequested([stream]);
      expect([isLevel(), isLevel()]).toStrictEqual([true, false]);
      const before = asked().length;
      await records.mark(stream, made.flowId);
      expect(asked()).toHaveLength(before + 1);
    });

    it.each<[string, (scene: Awaited<ReturnType<typeof listed>>) => void | Promise<void>]>([
      ["has ended", ({ made }) => void Object.assign(made, { status: "cancelled", endedAt: 1 })],
      ["runs", ({ made }) => void Object.assign(made, { status: "running" })],
      [
        "was given up",
        ({ made }) => void Object.assign(made, { stateJson: { ...Object(made.stateJson), orphan: true } }),
      ],
      [
        "names another record",
        ({ made }) => void Object.assign(made, { stateJson: { ...Object(made.stateJson), seq: 1 } }),
      ],
      [
        "names another history",
        ({ made }) => void Object.assign(made, { stateJson: { ...Object(made.stateJson), sum: "x" } }),
      ],
      ["is another's", ({ made }) => void Object.assign(made, { controllerId: "another" })],
    ])("and not when it %s", async (_what, change) => {
      const { records, stream, isLevel } = await askedAfter(change);
      await records.cancelRequested([stream]);
      expect(isLevel()).toBe(false);
    });

    it("and not of a record that the task does not name", async () => {
      const { records, stream, at } = await askedAfter(() => undefined);
      await records.cancelRequested([stream]);
      expect(records.isLevel(stream, null, at)).toBe(false);
    });
  });

  it("keeps no record from being brought up to a task that was changed since", async () => {
    const { bench, taskId, stream, sync, made } = await listed();
    await bench.done("set_task_status", pausing(taskId));
    const { seq = 0, sum = "" } = (await bench.store.read(stream)) ?? {};
    await sync({ seq, sum });
    expect(made).toMatchObject({ currentStep: "paused", stateJson: { seq, sum } });
  });
});

describe("a task whose chats cannot be read now", () => {
  /** The chats of one task cannot be read. */
  const unreadable = (store: Store, taskId: string): Store => ({
    ...store,
    readSidecar: (stream, name) =>
      stream.taskId === taskId
        ? Promise.reject(new OrchestratorError("journal-unreadable", "No (EMFILE)."))
        : store.readSidecar(stream, name),
  });

  it("hides no cancel of another one, and is not taken for one without a cancel", async () => {
    const { host, bench, stream, made } = await setup();
    const second = { projectId: "shop", taskId: await bench.started({ title: "Second" }) };
    const records = createFlowRecords(host, root, unreadable(bench.store, second.taskId));
    await expect(records.cancelRequested([second, stream])).rejects.toMatchObject({ code: "journal-unreadable" });
    made.cancelRequestedAt = 1;
    expect(await records.cancelRequested([second, stream])).toStrictEqual([stream]);
  });

  it("is not taken for one without a flow record that names a later state", async () => {
    const { host, bench, taskId, stream } = await setup();
    const store = unreadable(bench.store, taskId);
    await expect(readFlow(host, root, store, stream, "flow-1")).rejects.toMatchObject({ code: "host-refused" });
  });

  it("is not settled without its owner", async () => {
    const { bench, taskId } = await setup();
    await expect(readKnownTasks(unreadable(bench.store, taskId), () => undefined)).rejects.toMatchObject({
      code: "journal-unreadable",
    });
  });
});

describe("settling flows at start", () => {
  /** `known`: what the root knows of the task with this id. */
  async function settled(known: Readonly<Record<string, Partial<KnownTask>>>, flow: object, owners = [owner]) {
    const fake = createFakeHost();
    const woken: string[] = [];
    const { stateJson } = fake.flow(
      await createFlow(fake.host, root, { sessionKey: owner, projectId: "shop", taskId: "login-1", title: "Login" }),
    );
    fake.flows.splice(0);
    const row = fake.has({ flowId: "flow-1", stateJson, createdAt: Date.now() - 2 * youngMs, ...flow });
    const young = await settleFlows(fake.host, root, owners, (taskId) => {
      const task = known[taskId];
      return Promise.resolve(
        task === undefined
          ? undefined
          : { flowId: "flow-1", ended: false, wake: () => void woken.push(taskId), ...task },
      );
    });
    return { status: row.status, young, woken };
  }
  const left = { status: "waiting", young: 0, woken: [] };

  it("cancels one of ours without a task", { tags: ["s7.flow-orphan-cancelled"] }, async () => {
    expect(await settled({}, {})).toStrictEqual({ ...left, status: "cancelled" });
  });

  it("cancels one whose task has another flow", { tags: ["s7.flow-orphan-cancelled"] }, async () => {
    expect(await settled({ "login-1": { flowId: "flow-2" } }, {})).toStrictEqual({ ...left, status: "cancelled" });
  });

  it(
    "finds it also in an agent's main chat of which no task is known",
    { tags: ["s7.flow-orphan-cancelled"] },
    async () => {
      expect(await settled({}, { owner: "agent:main:main" }, [])).toStrictEqual({ ...left, status: "cancelled" });
    },
  );

  it(
    "takes one from later than now for old: the clock was set back",
    { tags: ["s7.flow-orphan-cancelled"] },
    async () => {
      expect(await settled({}, { createdAt: Date.now() + 2 * youngMs })).toStrictEqual({
        ...left,
        status: "cancelled",
      });
    },
  );

  it("leaves a young one for later: its task may be under way", { tags: ["s7.flow-orphan-cancelled"] }, async () => {
    expect(await settled({}, { createdAt: Date.now() })).toStrictEqual({ ...left, young: 1 });
  });

  it.each([
    ["of a task", { "login-1": {} }, {}],
    ["of a task that names no flow yet", { "login-1": { flowId: null } }, {}],
    ["of somebody else", {}, { controllerId: "somebody/else" }],
    ["of another root", {}, { stateJson: { root: "0123456789abcdef", taskId: "login-1" } }],
    ["without a state", {}, { stateJson: null }],
  ] as const)("leaves one %s alone", { tags: ["s7.flow-orphan-cancelled"] }, async (_, known, flow) => {
    expect(await settled(known, flow)).toStrictEqual(left);
  });

  it("leaves an ended one alone", { tags: ["s7.flow-terminal-untouched"] }, async () => {
    expect(await settled({}, { status: "failed", endedAt: 1 })).toStrictEqual({ ...left, status: "failed" });
  });

  it("wakes a task that has ended while its flow has not", { tags: ["s7.flow-brought-up"] }, async () => {
    expect(await settled({ "login-1": { ended: true } }, {})).toStrictEqual({ ...left, woken: ["login-1"] });
  });
});

describe("a task that was not there when flows were settled", () => {
  const away = async (scene: Awaited<ReturnType<typeof setup>>) =>
    settleFlows(scene.host, root, [owner], () => Promise.resolve(undefined));

  it("goes on with a flow made anew when it is back", { tags: ["s7.flow-orphan-comes-back"] }, async () => {
    const scene = await setup();
    await scene.sync();
    expect(await away(scene)).toBe(0);
    expect(scene.made).toMatchObject({ status: "cancelled", currentStep: "its task is not there" });
    expect(await scene.records.cancelRequested([scene.stream])).toStrictEqual([]);
    // Read-only for a rollback as before: the record that it was brought up to is still named.
    const { seq } = (await scene.bench.history(scene.stream)).at(-1) ?? {};
    expect(await readFlow(scene.host, root, scene.bench.store, scene.stream, scene.made.flowId)).toMatchObject({ seq });
    const anew = scene.flow((await scene.sync()) ?? null);
    expect(anew).toMatchObject({ owner, status: "waiting", stateJson: { taskId: scene.taskId } });
    expect([anew.flowId === scene.made.flowId, scene.touchedAfterEnd]).toStrictEqual([false, []]);
  });

  it(
    "goes on so also when its flow was given up and could not be cancelled",
    { tags: ["s7.flow-orphan-comes-back"] },
    async () => {
      const scene = await setup();
      scene.holdCancels(true);
      await away(scene);
      scene.made.cancelRequestedAt = 1;
      expect(await scene.records.cancelRequested([scene.stream])).toStrictEqual([]);
      expect(scene.flow((await scene.sync()) ?? null).flowId).not.toBe(scene.made.flowId);
    },
  );

  it("is cancelled when a person asked for that meanwhile", { tags: ["s7.flow-cancel-obeyed"] }, async () => {
    const scene = await setup();
    scene.made.cancelRequestedAt = 1;
    await away(scene);
    expect(scene.made.status).toBe("cancelled");
    expect(await scene.records.cancelRequested([scene.stream])).toStrictEqual([scene.stream]);
  });

  it("has its flow judged again when somebody wrote to it", { tags: ["s7.flow-orphan-cancelled"] }, async () => {
    const scene = await setup();
    scene.interfere(1);
    expect([await away(scene), scene.made.status]).toStrictEqual([1, "waiting"]);
    expect([await away(scene), scene.made.status]).toStrictEqual([0, "cancelled"]);
  });
});

describe("the tasks that flows are compared with", () => {
  const changed = (store: Store, read: (stream: Stream) => Promise<Snapshot | undefined>): Store => ({
    ...store,
    read,
  });
  const readOnly = { code: "project-copied", reason: "A copy." } as const;

  it("are those of the root, with their flows and owners", { tags: ["s7.flow-orphan-cancelled"] }, async () => {
    const { bench, taskId } = await setup();
    const woken: Stream[] = [];
    const { known, owners } = await readKnownTasks(bench.store, (stream) => void woken.push(stream));
    const { flowId } = (await bench.state(taskId)).task;
    expect([[...known.keys()], owners]).toStrictEqual([[taskId], [owner]]);
    expect(known.get(taskId)).toMatchObject({ flowId, ended: false });
    known.get(taskId)?.wake();
    expect(woken).toStrictEqual([{ projectId: "shop", taskId }]);
  });

  it("are owned as the first list of the flow records has it, without another look at their chats", async () => {
    const { host, bench, stream } = await setup();
    const read: string[] = [];
    const readSidecar: Store["readSidecar"] = (of, name) => (read.push(name), bench.store.readSidecar(of, name));
    const store = { ...bench.store, readSidecar };
    const records = createFlowRecords(host, root, store);
    await records.cancelRequested([stream]);
    expect(read).toStrictEqual(["chats"]);
    expect((await readKnownTasks(store, () => undefined, records.ownerOf)).owners).toStrictEqual([owner]);
    expect(read.filter((name) => name === "chats")).toStrictEqual(["chats"]);
  });

  it.each(["copied", "damaged"])(
    "keep whichever flow they have while they are %s",
    { tags: ["s7.flow-orphan-comes-back"] },
    async (why) => {
      const { bench, taskId } = await setup();
      const store = changed(bench.store, async (stream) => {
        if (why === "damaged") throw new OrchestratorError("journal-damaged", "Line 1.");
        const snapshot = await bench.store.read(stream);
        return snapshot && { ...snapshot, readOnly };
      });
      const { known } = await readKnownTasks(store, () => undefined);
      expect(known.get(taskId)).toMatchObject({ flowId: null, ended: false });
    },
  );

  it.each(["before", "after"])(
    "are the originals, a copy that is listed %s them says nothing",
    { tags: ["s7.flow-orphan-cancelled"] },
    async (when) => {
      const { bench, taskId } = await setup();
      const original = { projectId: "shop", taskId };
      const copy = { projectId: "copy", taskId };
      const store: Store = {
        ...changed(bench.store, async ({ projectId }) => {
          const snapshot = await bench.store.read(original);
          return projectId === "shop" ? snapshot : snapshot && { ...snapshot, readOnly };
        }),
        list: () => Promise.resolve(when === "before" ? [copy, original] : [original, copy]),
      };
      const { known } = await readKnownTasks(store, () => undefined);
      expect(known.get(taskId)?.flowId).toBe((await bench.state(taskId)).task.flowId);
    },
  );

  it("are not known when a folder cannot be listed", { tags: ["s7.flow-orphan-comes-back"] }, async () => {
    const { bench } = await setup();
    const asked: unknown[] = [];
    const store: Store = { ...bench.store, list: (options) => (asked.push(options), Promise.reject(new Error("no"))) };
    await expect(readKnownTasks(store, () => undefined)).rejects.toThrow("no");
    expect(asked).toStrictEqual([{ whole: true }]);
  });
});

describe("what a flow record knows of the journal", () => {
  const read = (scene: Awaited<ReturnType<typeof setup>>, flowId: string | null) =>
    readFlow(scene.host, root, scene.bench.store, scene.stream, flowId);

  it("is the last record that it was brought up to", { tags: ["s7.rolled-back-is-read-only"] }, async () => {
    const scene = await setup();
    expect(await read(scene, scene.made.flowId)).toBeUndefined();
    await scene.sync();
    const { seq, sum } = (await scene.bench.history(scene.stream)).at(-1) ?? {};
    expect(await read(scene, scene.made.flowId)).toStrictEqual({ flowId: scene.made.flowId, ended: false, seq, sum });
    scene.made.endedAt = 1;
    expect(await read(scene, scene.made.flowId)).toMatchObject({ ended: true });
  });

  it(
    "is found by the task when the journal names a flow that is not there",
    { tags: ["s7.rolled-back-is-read-only"] },
    async () => {
      const scene = await setup();
      await scene.sync();
      const later = { ...(scene.made.stateJson as object), seq: 99, sum: "later" };
      scene.has({ flowId: "later", stateJson: later });
      scene.has({ flowId: "elsewhere", stateJson: { ...later, root: "0123456789abcdef", seq: 100 } });
      scene.has({ flowId: "another's", stateJson: { ...later, taskId: "other", seq: 100 } });
      for (const flowId of ["forgotten", null])
        expect(await read(scene, flowId)).toStrictEqual({ flowId: "later", ended: false, seq: 99, sum: "later" });
    },
  );

  it("cannot be told while the host is busy", { tags: ["s7.rolled-back-is-not-driven"] }, async () => {
    const scene = await setup();
    scene.fail("another OpenClaw process owns state-lifecycle");
    await expect(read(scene, scene.made.flowId)).rejects.toMatchObject({ code: "host-refused" });
  });
});

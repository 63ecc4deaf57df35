/** A chat is woken until it was told, once for all that is pending, and never while it is being told. */
import { randomBytes } from "node:crypto";
import { readFile, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import { setImmediate as nextLoop, setTimeout as pause } from "node:timers/promises";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { createHooks } from "../../src/host/hooks.ts";
import { createNotifier, noteTurnEnd } from "../../src/host/notifier.ts";
import type { Host } from "../../src/host/openclaw.ts";
import { readSettings, type Config } from "../../src/schema/config.ts";
import { OrchestratorError, type ErrorCode } from "../../src/errors.ts";
import type { Clock, JournalEnd } from "../../src/flow/ports.ts";
import { createFileStore } from "../../src/store/file-store.ts";
import { createMemoryStore } from "../../src/store/memory-store.ts";
import type { Store, Stream } from "../../src/store/store.ts";
import type { FlowMark } from "../../src/tools/desk.ts";
import { createBench, type Bench, type BenchOptions } from "../support/bench.ts";
import { eventually } from "../support/eventually.ts";
import { aRealRoot } from "../support/real-root.ts";
import { owner, wakeUp } from "../support/callers.ts";
import { createSettableClock } from "../support/settable-clock.ts";

type Hook = (event: object, context: object) => { readonly appendContext: string } | undefined;
const sessionKey = "agent:main:chat";

/** What all evaluations of the plugin in a process share begins anew with the process. */
const forget = () => Reflect.deleteProperty(globalThis, Symbol.for("project-orchestrator/1/outbox"));

const systemClock: Clock = {
  now: Date.now,
  elapsed: () => performance.now(),
  wait: (ms, signal) => pause(ms, undefined, { signal, ref: false }).catch(() => undefined),
};
type Options = BenchOptions & {
  readonly clock?: Clock;
  /** Another setup whose task this one has too, as in a root that is a copy. */
  readonly copied?: { readonly bench: Bench; readonly taskId: string };
};

/** A task with a step, a notifier that tells of it, and a host that only notes how often it is asked to wake the chat. */
async function setup(config: Config = {}, { clock = systemClock, copied, ...options }: Options = {}) {
  const bench = copied?.bench ?? createBench(options);
  const taskId = copied?.taskId ?? (await bench.started());
  const stream = { projectId: "shop", taskId };
  const wakes: string[] = [];
  const requests: object[] = [];
  const refusing = { words: "" };
  const requestHeartbeat = (request: { readonly sessionKey: string }) => {
    if (refusing.words !== "") throw new Error(refusing.words);
    requests.push(request);
    wakes.push(request.sessionKey);
  };
  const api = { runtime: { system: { requestHeartbeat } } };
  const warnings: string[] = [];
  const log = { info: () => undefined, warn: (words: string) => void warnings.push(words), error: () => undefined };
  const settings = () => readSettings(config).settings;
  // The notifier asks the host for nothing else.
  const host = { api, log, settings, agentIds: () => ["main", "second"] } as unknown as Host;
  // Called with what the host gives that is read, which is less than its types name.
  const hooks = createHooks(host) as unknown as Readonly<Record<string, Hook>>;
  /** A gateway's notifier, until that gateway dies. */
  const begin = () => {
    const ending = new AbortController();
    onTestFinished(() => (ending.abort(), void forget()));
    return { die: () => ending.abort(), notifier: createNotifier(host, bench.store, clock, ending.signal, 0) };
  };
  let gateway = begin();
  const fire = (name: string, runId: string, fields: object = {}) =>
    hooks[name]?.({ runId, sessionKey, ...fields }, { runId, sessionKey, ...fields });
  const changed = () => gateway.notifier.changed(stream);
  const aStep = async () => {
    await bench.done("create_step", { taskId, title: "More", goal: "More.", passCriteria: ["More."], dependsOn: [] });
    return (await bench.state(taskId)).steps.at(-2)?.id ?? "";
  };
  /** The model is asked once and answers, or does not. */
  const asks = (runId: string, outcome: "completed" | "error") => {
    fire("model_call_started", runId);
    fire("model_call_ended", runId, { outcome });
  };
  const ends = (runId: string, data: object = { phase: "end" }) => noteTurnEnd(runId, { ...data });
  const untilTold = async () => {
    const { seq, sum } = (await bench.store.read(stream)) ?? { seq: -1 };
    await eventually(async () => expect(await bench.store.readSidecar(stream, "told")).toStrictEqual({ seq, sum }));
  };
  return {
    bench,
    taskId,
    stream,
    wakes,
    requests,
    refusing,
    warnings,
    changed,
    breaks: (code: ErrorCode = "journal-damaged") =>
      gateway.notifier.unreadable(stream, new OrchestratorError(code, "Line 3 is not right.")),
    isMended: () => gateway.notifier.readable(stream),
    /** Something happens that the person is to hear of: a question, unless it is to be a step that passes. */
    happens: async (what: "question" | "passes" = "question") => {
      const stepId = await aStep();
      if (what === "passes") await bench.built(taskId, stepId);
      const status = what === "passes" ? "passed" : "blocked";
      await bench.done("set_step_status", { taskId, stepId, status: "blocked", reason: "Wait." });
      if (status === "passed") await bench.done("set_step_status", { taskId, stepId, status, reason: "Good." });
      changed();
    },
    /** The first step is accepted, everything else is skipped: the task is done. */
    finishes: async () => {
      for (const { id: stepId, index, status: now } of (await bench.state(taskId)).steps) {
        if (now === "passed") continue;
        if (index === 1) await bench.built(taskId, stepId);
        if (index === 1) await bench.done("set_step_status", { taskId, stepId, status: "blocked", reason: "Wait." });
        const status = index === 1 ? "passed" : "skipped";
        await bench.done("set_step_status", { taskId, stepId, status, reason: "Good." });
      }
      changed();
    },
    /** Its root is not driven any more; other roots of the process are. */
    isLeft: () => gateway.die(),
    /** The gateway dies and another one looks at the task. */
    restarts: (end?: JournalEnd) => {
      gateway.die();
      forget();
      gateway = begin();
      gateway.notifier.changed(stream, end);
    },
    /** The host begins a wake-up turn; what the plugin gives it to say. */
    begins: (runId: string, chat = sessionKey) =>
      fire("heartbeat_prompt_contribution", runId, { sessionKey: chat })?.appendContext,
    asks,
    isAsked: (runId: string) => void fire("model_call_started", runId),
    ends,
    untilWoken: (times: number) => eventually(() => expect(wakes).toHaveLength(times)),
    untilTold,
    /** The model answers, the turn ends, and all is told. */
    answers: async (runId: string) => {
      asks(runId, "completed");
      ends(runId);
      await untilTold();
    },
    toldSoFar: () => bench.store.readSidecar(stream, "told"),
  };
}

const countIn = (text: string | undefined) => text?.match(/^- /gm)?.length ?? 0;

describe("a chat that is to hear of a task", () => {
  it("costs no memory once the task is over and was told, and is not told again", async () => {
    const { bench, wakes, finishes, begins, answers, changed, untilWoken } = await setup();
    const saidOf: string[] = [];
    const read = bench.store.readSidecar.bind(bench.store);
    bench.store.readSidecar = (stream, name) => {
      saidOf.push(name);
      return read(stream, name);
    };
    await finishes();
    await untilWoken(1);
    await eventually(() => expect(countIn(begins("turn"))).toBeGreaterThan(0));
    await answers("turn");
    saidOf.length = 0;
    changed();
    // Where it was told is read anew, for nothing is remembered.
    await eventually(() => expect(saidOf).toContain("told"));
    expect(begins("later")).toBeUndefined();
    expect(wakes).toHaveLength(1);
  });

  it("is not read for from the task's first record when it was told to the last one before a restart", async () => {
    const { bench, stream, happens, begins, answers, restarts, untilWoken } = await setup();
    await happens();
    await untilWoken(1);
    begins("one");
    await answers("one");
    const [told, history] = [vi.spyOn(bench.store, "readSidecar"), vi.spyOn(bench.store, "history")];
    restarts();
    await eventually(() => expect(told).toHaveBeenCalledWith(stream, "told"));
    await happens();
    await untilWoken(2);
    expect(begins("two")).toContain("Wait.");
    expect(history.mock.calls.length).toBeGreaterThan(0);
    expect(history.mock.calls.filter(([, after]) => after === 0)).toStrictEqual([]);
  });

  it("has nothing of it opened when it was told to where its journal is known to end", async () => {
    const { bench, stream, happens, begins, answers, restarts, wakes, untilWoken } = await setup();
    await happens();
    await untilWoken(1);
    begins("one");
    await answers("one");
    const { seq = 0, sum = "" } = (await bench.store.read(stream)) ?? {};
    const [told, read] = [vi.spyOn(bench.store, "readSidecar"), vi.spyOn(bench.store, "read")];
    restarts({ seq, sum });
    await eventually(() => expect(told).toHaveBeenCalledWith(stream, "told"));
    await happens();
    await untilWoken(2);
    expect(begins("two")).toContain("Wait.");
    await answers("two");
    const reads = read.mock.calls.length;
    // Where it was told to less it is read.
    restarts({ seq: seq + 50, sum });
    await eventually(() => expect(read.mock.calls.length).toBeGreaterThan(reads));
    expect(wakes).toHaveLength(2);
  });

  it("is woken once for all that is pending", { tags: ["s7.told-by-wake"] }, async () => {
    const { wakes, happens, begins, answers, untilWoken } = await setup();
    await happens();
    await happens();
    await untilWoken(1);
    await eventually(() => expect(countIn(begins("turn"))).toBe(2));
    await answers("turn");
    expect(wakes).toStrictEqual([sessionKey]);
    expect(begins("later")).toBeUndefined();
  });

  it(
    "is not woken while the model is at what a turn carries, and then once for what came meanwhile",
    { tags: ["s7.told-by-wake"] },
    async () => {
      const { wakes, happens, begins, answers, isAsked, asks, ends, untilWoken } = await setup();
      await happens();
      await untilWoken(1);
      begins("first");
      isAsked("first");
      await happens();
      await happens();
      expect(wakes).toHaveLength(1);
      asks("first", "completed");
      expect(wakes, "the model may have called a tool").toHaveLength(1);
      ends("first");
      await untilWoken(2);
      expect(countIn(begins("second"))).toBe(2);
      await answers("second");
      expect(wakes).toHaveLength(2);
    },
  );

  const aborted: readonly (readonly [string, (turn: Awaited<ReturnType<typeof setup>>) => void])[] = [
    [
      "before the model had answered",
      ({ asks, ends }) => (asks("cut", "error"), ends("cut", { phase: "end", aborted: true })),
    ],
    [
      "after the model had called a tool",
      ({ asks, ends }) => (asks("cut", "completed"), asks("cut", "error"), ends("cut", { phase: "end" })),
    ],
    [
      "between two calls of the model",
      ({ asks, ends }) => (asks("cut", "completed"), ends("cut", { phase: "end", aborted: true })),
    ],
    ["by an error", ({ asks, ends }) => (asks("cut", "completed"), ends("cut", { phase: "error", error: "gone" }))],
  ];
  it.each(aborted)(
    "is woken again with the same text when the turn was ended %s",
    { tags: ["s7.told-after-abort"] },
    async (_when, cut) => {
      const world = await setup();
      const { wakes, happens, begins, answers, untilWoken } = world;
      await happens();
      await untilWoken(1);
      const text = begins("cut");
      cut(world);
      await untilWoken(2);
      expect(begins("again")).toBe(text);
      await answers("again");
      expect(wakes).toHaveLength(2);
    },
  );

  it(
    "has been told when the host asked the model again after an error and it then answered",
    { tags: ["s7.told-once"] },
    async () => {
      const { wakes, happens, begins, answers, asks, untilWoken } = await setup();
      await happens();
      await untilWoken(1);
      begins("turn");
      asks("turn", "error");
      await answers("turn");
      expect(wakes).toHaveLength(1);
    },
  );

  it(
    "has been told at the end of the turn by a model whose calls the host does not show",
    { tags: ["s7.told-by-any-model"] },
    async () => {
      const { wakes, happens, begins, ends, toldSoFar, untilWoken, untilTold } = await setup();
      const before = await toldSoFar();
      await happens();
      await untilWoken(1);
      const text = begins("cut");
      ends("cut", { phase: "start" });
      ends("cut", { phase: "end", aborted: true });
      await untilWoken(2);
      expect(await toldSoFar()).toStrictEqual(before);
      expect(begins("failed")).toBe(text);
      ends("failed", { phase: "error" });
      await untilWoken(3);
      expect(begins("spoken")).toBe(text);
      ends("spoken", { phase: "start" });
      ends("somebody else's turn");
      expect(await toldSoFar()).toStrictEqual(before);
      ends("spoken");
      await untilTold();
      expect(wakes).toHaveLength(3);
      expect(begins("later")).toBeUndefined();
    },
  );

  it(
    "hears after a restart what was not told, and nothing twice",
    { tags: ["s7.told-after-restart", "s7.told-once"] },
    async () => {
      const { wakes, happens, restarts, begins, answers, untilWoken } = await setup();
      await happens();
      await untilWoken(1);
      begins("first");
      await answers("first");
      await happens();
      await untilWoken(2);
      const text = begins("cut");
      restarts();
      await untilWoken(3);
      expect(begins("again")).toBe(text);
      await answers("again");
      restarts();
      await happens();
      await untilWoken(4);
      expect(countIn(begins("news"))).toBe(1);
      expect(wakes).toHaveLength(4);
    },
  );

  it(
    "hears what another root has to say also when one root is not driven any more",
    { tags: ["s7.told-per-root"] },
    async () => {
      const left = await setup();
      const driven = await setup();
      await left.happens();
      await left.untilWoken(1);
      await driven.happens();
      await driven.untilWoken(1);
      left.isLeft();
      expect(countIn(driven.begins("turn"))).toBe(1);
      driven.asks("turn", "completed");
      driven.ends("turn");
      await driven.untilTold();
      expect(await left.toldSoFar()).toBeUndefined();
      left.restarts();
      await left.untilWoken(2);
      expect(countIn(left.begins("later"))).toBe(1);
    },
  );

  it("is asked by one root what was answered in another", { tags: ["s7.told-per-root"] }, async () => {
    const answered = await setup();
    const { bench, taskId } = answered;
    const open = await setup({}, { copied: answered });
    await answered.happens();
    open.changed();
    await answered.untilWoken(1);
    await open.untilWoken(1);
    expect(countIn(open.begins("both"))).toBe(2);
    const stepId = (await bench.state(taskId)).steps.find((step) => step.question !== null)?.id ?? "";
    await bench.done("set_step_status", { taskId, stepId, status: "skipped", reason: "Not needed." });
    answered.changed();
    await answered.untilTold();
    expect(countIn(open.begins("one"))).toBe(1);
  });

  it("hears questions and nothing else when notify is off", { tags: ["s7.notify-off"] }, async () => {
    const { wakes, happens, finishes, begins, untilWoken, untilTold } = await setup({ notify: "off" });
    await happens("passes");
    await happens();
    await untilWoken(1);
    const text = begins("turn") ?? "";
    expect(countIn(text)).toBe(1);
    expect(text).toContain("The owner has to decide");
    await finishes();
    await untilTold();
    expect(begins("later")).toBeUndefined();
    expect(wakes).toHaveLength(1);
  });

  it("is not asked what was answered before a turn had told it", { tags: ["s7.told-question"] }, async () => {
    const { bench, taskId, changed, happens, begins, untilWoken, untilTold } = await setup();
    await happens();
    await untilWoken(1);
    const { steps } = await bench.state(taskId);
    const stepId = steps.find((step) => step.question !== null)?.id ?? "";
    await bench.done("set_step_status", { taskId, stepId, status: "skipped", reason: "Not needed." });
    changed();
    await untilTold();
    expect(begins("turn")).toBeUndefined();
  });

  it(
    "hears of the end of a task but not of its steps when notify is tasks",
    { tags: ["s7.notify-tasks"] },
    async () => {
      const { taskId, happens, finishes, begins, untilWoken } = await setup({ notify: "tasks" });
      await happens();
      await untilWoken(1);
      expect(begins("asked")).toContain("The owner has to decide");
      await finishes();
      await eventually(() => expect(begins("turn")).toContain(`Task ${taskId} is done`));
      const text = begins("again");
      expect(countIn(text)).toBe(1);
      expect(text).not.toContain("was accepted by a person");
    },
  );

  it("is the one whose person last let the task go on", { tags: ["s7.told-where"] }, async () => {
    const { bench, taskId, wakes, happens, begins, untilWoken } = await setup();
    await bench.done("set_task_status", { taskId, status: "paused" });
    await bench.done("set_task_status", { taskId, status: "running" }, owner({ sessionKey: "agent:main:other" }));
    await happens();
    await untilWoken(1);
    expect(wakes).toStrictEqual(["agent:main:other"]);
    expect([begins("here"), begins("nowhere", "")]).toStrictEqual([undefined, undefined]);
    expect(countIn(begins("there", "agent:main:other"))).toBe(1);
  });

  it(
    "is woken at once, by its own agent, and answers where it was last talked to",
    { tags: ["s7.told-where"] },
    async () => {
      const { requests, happens, untilWoken } = await setup();
      await happens();
      await untilWoken(1);
      const heartbeat = { target: "last" };
      const reason = "hook:project-orchestrator";
      expect(requests).toStrictEqual([
        { source: "hook", intent: "immediate", reason, sessionKey, heartbeat, agentId: "main" },
      ]);
    },
  );

  it("hears much in several turns, each thing once", { tags: ["s7.told-once"] }, async () => {
    const { happens, begins, asks, ends, untilWoken, untilTold } = await setup();
    const all = 24;
    for (let told = 0; told < all; told += 1) await happens();
    await untilWoken(1);
    let turns = 0;
    const said: string[] = [];
    while (said.length < all) {
      const turn = `turn ${(turns += 1)}`;
      await eventually(() => expect(begins(turn)).toBeDefined());
      const text = begins(turn) ?? "";
      expect(text.length).toBeLessThan(7_000);
      said.push(...text.split("\n- ").slice(1));
      asks(turn, "completed");
      ends(turn);
    }
    expect([said.length, new Set(said).size]).toStrictEqual([all, all]);
    expect(turns).toBeGreaterThan(1);
    await untilTold();
    expect(begins("later")).toBeUndefined();
  });

  it("is woken later when the host cannot wake it now, which the log says", { tags: ["s7.told-by-wake"] }, async () => {
    const clock = createSettableClock();
    const { happens, refusing, warnings, wakes, untilWoken } = await setup({}, { clock });
    const goOn = async () => {
      await eventually(() => expect(clock.next()).toBeDefined());
      clock.moveTo(clock.next() ?? 0);
    };
    refusing.words = "draining";
    await happens();
    await goOn();
    await eventually(() => expect(warnings).toStrictEqual(["the chat could not be woken: draining"]));
    refusing.words = "";
    await goOn();
    await untilWoken(1);
    expect(wakes).toStrictEqual([sessionKey]);
  });

  it(
    "is woken again for a turn whose end was not seen, once that has had its time; what the model answered in it was told",
    { tags: ["s7.told-after-abort", "s7.told-once"] },
    async () => {
      const clock = createSettableClock();
      const { wakes, happens, begins, isAsked, asks, ends, untilWoken, untilTold } = await setup({}, { clock });
      const elapsed = performance.now.bind(performance);
      let ahead = 0;
      const now = vi.spyOn(performance, "now").mockImplementation(() => elapsed() + ahead);
      onTestFinished(() => now.mockRestore());
      const goOn = async () => {
        await eventually(() => expect(clock.next()).toBeDefined());
        clock.moveTo(clock.next() ?? 0);
        await nextLoop();
      };
      let cuts = 0;
      /** So much later another turn of the chat is aborted; how often the chat was woken then. */
      const later = async (seconds: number) => {
        ahead += seconds * 1_000;
        const turn = `cut ${(cuts += 1)}`;
        begins(turn);
        ends(turn, { phase: "end", aborted: true });
        await goOn();
        return wakes.length;
      };
      await happens();
      await goOn();
      await untilWoken(1);
      begins("stuck");
      expect([await later(0), await later(21)]).toStrictEqual([1, 2]);
      isAsked("stuck");
      expect([await later(200), await later(101)]).toStrictEqual([2, 3]);
      asks("stuck", "error");
      expect([await later(0), await later(21)]).toStrictEqual([3, 4]);
      asks("stuck", "completed");
      expect(await later(290)).toBe(4);
      expect(await later(11)).toBe(4);
      await untilTold();
      expect(begins("later")).toBeUndefined();
    },
  );
});

/** A store in memory of which everything that is asked of it can be made to fail, or to answer otherwise. */
function aFaultyStore() {
  const store = createMemoryStore({ renderPages: () => ({}) });
  const instead: Partial<Store> = {};
  const faulty: Store = {
    ...store,
    read: (...input) => (instead.read === undefined ? store.read(...input) : instead.read(...input)),
    readSidecar: (...input) =>
      instead.readSidecar === undefined ? store.readSidecar(...input) : instead.readSidecar(...input),
  };
  return { store: faulty, instead, original: (stream: Stream) => store.read(stream) };
}

describe("a task that cannot be read, or whose chat cannot", () => {
  const unreadable = () => Promise.reject(new Error("EMFILE"));

  it("is told once it can be read, tried less and less often and with few words in the log", async () => {
    const clock = createSettableClock();
    const { store, instead } = aFaultyStore();
    const { happens, wakes, warnings, begins, untilWoken } = await setup({}, { clock, store });
    instead.readSidecar = unreadable;
    await happens();
    const pauses: number[] = [];
    while (pauses.length < 12) {
      await eventually(() => expect(clock.next()).toBeDefined());
      pauses.push((clock.next() ?? 0) - clock.now());
      if (pauses.length === 12) delete instead.readSidecar;
      clock.moveTo(clock.next() ?? 0);
    }
    expect(pauses.slice(0, 4)).toStrictEqual([500, 1000, 2000, 4000]);
    expect(pauses.at(-1)).toBe(300_000);
    expect(warnings.map((one) => /\d+(?=\): EMFILE)/.exec(one)?.[0])).toStrictEqual(["1", "2", "4", "8"]);
    await eventually(() => expect(clock.next()).toBe(clock.now()));
    clock.moveTo(clock.now());
    await untilWoken(1);
    expect(wakes).toStrictEqual([sessionKey]);
    expect(begins("turn")).toContain("The owner has to decide");
    expect(clock.next()).toBeUndefined();
  });

  it("is read at once at its next change, and not any more once the telling ended", async () => {
    const clock = createSettableClock();
    const { store, instead } = aFaultyStore();
    const { happens, changed, isLeft, warnings, begins } = await setup({}, { clock, store });
    instead.read = unreadable;
    changed();
    await eventually(() => expect(warnings).toHaveLength(1));
    delete instead.read;
    await happens();
    await eventually(() => expect(begins("turn")).toContain("The owner has to decide"));
    instead.read = unreadable;
    changed();
    await eventually(() => expect(warnings).toHaveLength(2));
    isLeft();
    expect(clock.next()).toBeUndefined();
  });

  it("is read at once when the driver could read it", async () => {
    const clock = createSettableClock();
    const { store, instead } = aFaultyStore();
    const { happens, isMended, warnings, begins } = await setup({}, { clock, store });
    instead.readSidecar = unreadable;
    await happens();
    await eventually(() => expect(warnings).toHaveLength(1));
    delete instead.readSidecar;
    isMended();
    await eventually(() => expect(begins("turn")).toContain("The owner has to decide"));
  });

  it("is not told when it must not be written: it is a copy", async () => {
    const { store, instead, original } = aFaultyStore();
    const { stream, happens, isLeft, restarts, changed, begins, untilWoken } = await setup({}, { store });
    isLeft();
    await happens();
    let reads = 0;
    instead.read = async (of) => {
      const found = await original(of);
      if (of.taskId === stream.taskId) reads += 1;
      return found && { ...found, readOnly: { code: "project-copied", reason: "a copy" } };
    };
    restarts();
    changed();
    await eventually(() => expect(reads).toBe(2));
    expect(begins("turn")).toBeUndefined();
    delete instead.read;
    changed();
    await untilWoken(1);
  });
});

describe("a task of which no chat is known", () => {
  /** As in a clone of the project: what is kept beside the journal did not come along. */
  const cloned = async (config: Config = {}, options: Options = {}) => {
    const world = await setup(config, options);
    await world.happens("passes");
    await world.untilWoken(1);
    await world.happens();
    await eventually(() => expect(countIn(world.begins("there"))).toBe(2));
    await world.bench.store.writeSidecar(world.stream, "chats", null);
    await world.bench.store.writeSidecar(world.stream, "told", null);
    world.wakes.length = 0;
    world.restarts();
    return world;
  };

  it("asks the main chat of the default agent what is open, and tells it what happens from then on", async () => {
    const { wakes, happens, restarts, begins, answers, untilWoken } = await cloned();
    await untilWoken(1);
    const text = begins("asked", "agent:main:main");
    expect(countIn(text)).toBe(1);
    expect(text).toContain("The owner has to decide");
    await answers("asked");
    await happens("passes");
    await untilWoken(2);
    restarts();
    await untilWoken(3);
    const news = begins("news", "agent:main:main");
    expect(countIn(news)).toBe(1);
    expect(news).toContain("was accepted by a person");
    expect(new Set(wakes)).toStrictEqual(new Set(["agent:main:main"]));
  });

  it("loses nothing that happens before the first thing was told", async () => {
    const { happens, restarts, begins, untilWoken } = await cloned({ notify: "steps" });
    await untilWoken(1);
    await happens("passes");
    await eventually(() => expect(countIn(begins("cut", "agent:main:main"))).toBe(2));
    restarts();
    await eventually(() => expect(countIn(begins("again", "agent:main:main"))).toBe(2));
  });

  it("asks an agent that may orchestrate", async () => {
    const { wakes, untilWoken } = await cloned({ orchestrators: ["second"] });
    await untilWoken(1);
    expect(wakes).toStrictEqual(["agent:second:main"]);
  });

  it("waits with its question for somebody to let it go on when there is no such agent", async () => {
    const { store, instead, original } = aFaultyStore();
    const world = await cloned({ orchestrators: [] }, { store });
    const { bench, taskId, wakes, changed, begins, toldSoFar, untilWoken } = world;
    await bench.done("set_task_status", { taskId, status: "paused" }, wakeUp());
    let reads = 0;
    instead.read = (of) => ((reads += 1), original(of));
    changed();
    changed();
    await eventually(() => expect(reads).toBeGreaterThanOrEqual(3));
    expect([wakes, await toldSoFar()]).toStrictEqual([[], null]);
    await bench.done("set_task_status", { taskId, status: "running" }, owner({ sessionKey: "agent:main:other" }));
    changed();
    await untilWoken(1);
    expect(wakes).toStrictEqual(["agent:main:other"]);
    expect(begins("asked", "agent:main:other")).toContain("The owner has to decide");
  });
});

describe("a task whose journal became an older copy", () => {
  /** Two steps that passed are told; then the journal is as it was before the second. */
  async function rolledBack(between: "question" | "passes" = "passes") {
    const root = await aRealRoot();
    const store = await createFileStore({
      root,
      renderPages: () => ({}),
      now: () => new Date(0),
      randomId: () => randomBytes(12).toString("hex"),
    });
    onTestFinished(() => store.close());
    let reads = 0;
    const read: Store["read"] = (stream) => ((reads += stream.taskId === undefined ? 0 : 1), store.read(stream));
    let mark: FlowMark | undefined;
    const world = await setup({}, { store: { ...store, read }, readFlow: () => Promise.resolve(mark) });
    const file = path.join(root, "projects", "shop", "tasks", world.taskId, "journal.jsonl");
    const restore = async (text: string) => (await writeFile(`${file}.new`, text), rename(`${file}.new`, file));
    const hears = async (turn: string) => {
      await eventually(() => expect(world.begins(turn)).toBeDefined());
      const text = world.begins(turn);
      world.asks(turn, "completed");
      world.ends(turn);
      await world.untilTold();
      return text;
    };
    await world.happens(between);
    await hears("first");
    const older = await readFile(file, "utf8");
    if (between === "question") {
      const stepId = (await world.bench.state(world.taskId)).steps.find((step) => step.question !== null)?.id ?? "";
      await world.bench.done("set_step_status", { taskId: world.taskId, stepId, status: "skipped", reason: "No." });
    }
    await world.happens("passes");
    await hears("second");
    const newer = await readFile(file, "utf8");
    const { seq, sum } = (await store.history(world.stream, 0)).at(-1) ?? { seq: 0, sum: "" };
    mark = { flowId: "flow-1", ended: false, seq, sum };
    await restore(older);
    return {
      ...world,
      hears,
      /** The notifier has read the task and is done with that. */
      untilLooked: async () => {
        const before = reads;
        world.changed();
        world.changed();
        await eventually(() => expect(reads).toBeGreaterThanOrEqual(before + 2));
      },
      putBack: () => restore(newer),
      /** A person goes on, and a step passes before anybody looks. */
      goesOn: async () => {
        const accepted = { taskId: world.taskId, status: "running", reason: "Go on." };
        await world.bench.done("set_task_status", accepted);
        mark = undefined;
        await world.happens("passes");
      },
    };
  }

  it.each(["under a running gateway", "while no gateway ran"])(
    "hears everything since a person went on from there, and nothing else: %s",
    { tags: ["s7.told-once"] },
    async (when) => {
      const { goesOn, hears, restarts, isLeft } = await rolledBack();
      if (when !== "under a running gateway") isLeft();
      await goesOn();
      if (when !== "under a running gateway") restarts();
      const text = await hears("news");
      expect(countIn(text)).toBe(1);
      expect(text).toContain("was accepted by a person");
    },
  );

  it("is asked again what is open again", { tags: ["s7.told-question"] }, async () => {
    const { goesOn, hears } = await rolledBack("question");
    await goesOn();
    const text = await hears("news");
    expect(countIn(text)).toBe(2);
    expect(text).toContain("The owner has to decide");
  });

  it("hears nothing twice when the newer one is back", { tags: ["s7.told-once"] }, async () => {
    const { restarts, untilLooked, putBack, happens, hears } = await rolledBack();
    restarts();
    await untilLooked();
    await putBack();
    await happens("passes");
    expect(countIn(await hears("news"))).toBe(1);
  });
});

describe("a task that a person has to mend", () => {
  const saved = ({ bench, stream }: Awaited<ReturnType<typeof setup>>) => bench.store.readSidecar(stream, "trouble");
  /** A turn of the chat tells it; what it says. */
  async function hears(world: Awaited<ReturnType<typeof setup>>, turn: string, code: string) {
    await eventually(() => expect(world.begins(turn)).toBeDefined());
    const text = world.begins(turn);
    world.asks(turn, "completed");
    world.ends(turn);
    await eventually(async () => expect(await saved(world)).toBe(code));
    return text;
  }

  it("is told of once, however often it is found and after a restart too, also when notify is off", async () => {
    const world = await setup({ notify: "off" });
    const { taskId, breaks, restarts, wakes, happens, begins, untilWoken } = world;
    breaks();
    breaks();
    const text = await hears(world, "first", "journal-damaged");
    expect(countIn(text)).toBe(1);
    expect(text).toContain(`Task ${taskId} is not driven until the owner has mended this (journal-damaged): Line 3`);
    expect(text).toContain("Restore that file from a backup");
    breaks();
    restarts();
    breaks();
    await happens();
    await untilWoken(2);
    expect(countIn(begins("later"))).toBe(1);
    expect(begins("later")).not.toContain("journal-damaged");
    expect(wakes).toStrictEqual([sessionKey, sessionKey]);
  });

  it("is told to the main chat when its own cannot be read either", async () => {
    const { bench, breaks, begins, wakes } = await setup();
    bench.store.readSidecar = () => Promise.reject(new OrchestratorError("journal-unreadable", "EACCES"));
    breaks("journal-unreadable");
    await eventually(() => expect(begins("turn", "agent:main:main")).toContain("journal-unreadable"));
    breaks("journal-unreadable");
    expect(wakes).toStrictEqual(["agent:main:main"]);
  });

  it("is known to be told of also when that could not be read for a moment", async () => {
    const world = await setup();
    const { bench, breaks, isMended, restarts } = world;
    breaks();
    await hears(world, "first", "journal-damaged");
    restarts();
    const read = bench.store.readSidecar.bind(bench.store);
    const refused = Promise.withResolvers<undefined>();
    bench.store.readSidecar = (stream, name) => {
      if (name !== "trouble") return read(stream, name);
      bench.store.readSidecar = read;
      refused.resolve(undefined);
      return Promise.reject(new OrchestratorError("journal-unreadable", "EMFILE"));
    };
    isMended();
    await refused.promise;
    expect(await saved(world)).toBe("journal-damaged");
    isMended();
    await eventually(async () => expect(await saved(world)).toBeNull());
  });

  it("is told of after a restart when no turn had told it", async () => {
    const world = await setup();
    world.breaks();
    await world.untilWoken(1);
    world.restarts();
    world.breaks();
    await world.untilWoken(2);
    expect(countIn(await hears(world, "turn", "journal-damaged"))).toBe(1);
  });

  it("is told of again when it is damaged anew after it was mended, and when something else is wrong", async () => {
    const world = await setup();
    const { breaks, isMended } = world;
    breaks();
    await hears(world, "first", "journal-damaged");
    breaks("state-rolled-back");
    expect(await hears(world, "second", "state-rolled-back")).toContain(
      "says in the chat to go on from the older state",
    );
    isMended();
    await eventually(async () => expect(await saved(world)).toBeNull());
    breaks("state-rolled-back");
    expect(countIn(await hears(world, "third", "state-rolled-back"))).toBe(1);
  });

  it("is not told of any more when it was mended before a turn had told it; its other news are", async () => {
    const world = await setup();
    const { breaks, isMended, happens, begins, untilWoken } = world;
    breaks();
    await untilWoken(1);
    isMended();
    await eventually(() => expect(begins("mended")).toBeUndefined());
    await happens();
    await eventually(() => expect(begins("turn")).toContain("The owner has to decide"));
    expect(countIn(begins("turn"))).toBe(1);
  });
});

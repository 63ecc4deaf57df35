/** A chat is woken until it was told, once for all that is pending, and never while it is being told. */
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { createNotifier, noteTurnEnd, registerNoticeHooks } from "../../src/host/notifier.ts";
import type { Api, Host } from "../../src/host/openclaw.ts";
import { readSettings, type Config } from "../../src/schema/config.ts";
import { createBench } from "../support/bench.ts";
import { owner } from "../support/callers.ts";

type Hook = (event: object, context: object) => { readonly appendContext: string } | undefined;
const sessionKey = "agent:main:chat";

/** What all evaluations of the plugin in a process share begins anew with the process. */
const forget = () => Reflect.deleteProperty(globalThis, Symbol.for("project-orchestrator/1/outbox"));
const soon = { timeout: 20_000 };

/** A task with a step, a notifier that tells of it, and a host that only notes how often it is asked to wake the chat. */
async function setup(config: Config = {}) {
  const bench = createBench();
  const taskId = await bench.started();
  const stream = { projectId: "shop", taskId };
  const hooks = new Map<string, Hook>();
  const wakes: string[] = [];
  const api = {
    on: (name: string, hook: Hook) => void hooks.set(name, hook),
    runtime: {
      system: { requestHeartbeat: (request: { readonly sessionKey: string }) => void wakes.push(request.sessionKey) },
    },
  };
  const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
  // The notifier asks the host for nothing else.
  const host = { api, log, settings: () => readSettings(config).settings } as unknown as Host;
  registerNoticeHooks(api as unknown as Api);
  /** A gateway's notifier, until that gateway dies. */
  const begin = () => {
    const ending = new AbortController();
    onTestFinished(() => (ending.abort(), void forget()));
    return { die: () => ending.abort(), notifier: createNotifier(host, bench.store, ending.signal, 0) };
  };
  let gateway = begin();
  const fire = (name: string, runId: string, fields: object = {}) =>
    hooks.get(name)?.({ runId, sessionKey, ...fields }, { runId, sessionKey });
  const changed = () => gateway.notifier.changed(stream);
  const aStep = async () => {
    await bench.done("create_step", { taskId, title: "More", goal: "More.", passCriteria: ["More."], dependsOn: [] });
    return (await bench.state(taskId)).steps.at(-2)?.id ?? "";
  };
  return {
    bench,
    taskId,
    wakes,
    changed,
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
    restarts: () => {
      gateway.die();
      forget();
      gateway = begin();
      changed();
    },
    /** The host begins a wake-up turn; what the plugin gives it to say. */
    begins: (runId: string) => fire("heartbeat_prompt_contribution", runId)?.appendContext,
    /** The model is asked once and answers, or does not. */
    asks: (runId: string, outcome: "completed" | "error") => {
      fire("model_call_started", runId);
      fire("model_call_ended", runId, { outcome });
    },
    isAsked: (runId: string) => void fire("model_call_started", runId),
    ends: (runId: string, data: object = { phase: "end" }) => noteTurnEnd(runId, { ...data }),
    untilWoken: (times: number) => vi.waitFor(() => expect(wakes).toHaveLength(times), soon),
    untilTold: async () => {
      const { seq } = (await bench.store.read(stream)) ?? { seq: -1 };
      await vi.waitFor(async () => expect(await bench.store.readSidecar(stream, "told")).toStrictEqual({ seq }), soon);
    },
    toldSoFar: () => bench.store.readSidecar(stream, "told"),
  };
}

const countIn = (text: string | undefined) => text?.match(/^- /gm)?.length ?? 0;

describe("a chat that is to hear of a task", () => {
  it("is woken once for all that is pending", { tags: ["s7.told-by-wake"] }, async () => {
    const { wakes, happens, begins, asks, ends, untilWoken, untilTold } = await setup();
    await happens();
    await happens();
    await untilWoken(1);
    await vi.waitFor(() => expect(countIn(begins("turn"))).toBe(2), soon);
    asks("turn", "completed");
    ends("turn");
    await untilTold();
    expect(wakes).toStrictEqual([sessionKey]);
    expect(begins("later")).toBeUndefined();
  });

  it(
    "is not woken while the model is at what a turn carries, and then once for what came meanwhile",
    { tags: ["s7.told-by-wake"] },
    async () => {
      const { wakes, happens, begins, isAsked, asks, ends, untilWoken, untilTold } = await setup();
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
      asks("second", "completed");
      ends("second");
      await untilTold();
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
      const { wakes, happens, begins, asks, ends, untilWoken, untilTold } = world;
      await happens();
      await untilWoken(1);
      const text = begins("cut");
      cut(world);
      await untilWoken(2);
      expect(begins("again")).toBe(text);
      asks("again", "completed");
      ends("again");
      await untilTold();
      expect(wakes).toHaveLength(2);
    },
  );

  it(
    "has been told when the host asked the model again after an error and it then answered",
    { tags: ["s7.told-once"] },
    async () => {
      const { wakes, happens, begins, asks, ends, untilWoken, untilTold } = await setup();
      await happens();
      await untilWoken(1);
      begins("turn");
      asks("turn", "error");
      asks("turn", "completed");
      ends("turn");
      await untilTold();
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
      const { wakes, happens, restarts, begins, asks, ends, untilWoken, untilTold } = await setup();
      await happens();
      await untilWoken(1);
      begins("first");
      asks("first", "completed");
      ends("first");
      await untilTold();
      await happens();
      await untilWoken(2);
      const text = begins("cut");
      restarts();
      await untilWoken(3);
      expect(begins("again")).toBe(text);
      asks("again", "completed");
      ends("again");
      await untilTold();
      restarts();
      await happens();
      await untilWoken(4);
      expect(countIn(begins("news"))).toBe(1);
      expect(wakes).toHaveLength(4);
    },
  );

  it("hears what another root has to say also when one root is not driven any more", async () => {
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
      await vi.waitFor(() => expect(begins("turn")).toContain(`Task ${taskId} is done`), soon);
      const text = begins("again");
      expect(countIn(text)).toBe(1);
      expect(text).not.toContain("was accepted by a person");
    },
  );

  it("is the one whose person last let the task go on", { tags: ["s7.told-where"] }, async () => {
    const { bench, taskId, wakes, happens, untilWoken } = await setup();
    await bench.done("set_task_status", { taskId, status: "paused" });
    await bench.done("set_task_status", { taskId, status: "running" }, owner({ sessionKey: "agent:main:other" }));
    await happens();
    await untilWoken(1);
    expect(wakes).toStrictEqual(["agent:main:other"]);
  });
});

/** A chat is woken until it was told, once for all that is pending, and never while it is being told. */
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { createNotifier, registerNoticeHooks } from "../../src/host/notifier.ts";
import type { Api, Host } from "../../src/host/openclaw.ts";
import { readSettings } from "../../src/schema/config.ts";
import { createBench } from "../support/bench.ts";

type Hook = (event: object, context: object) => { readonly appendContext: string } | undefined;
const sessionKey = "agent:main:chat";

/** A task with three steps, a notifier that tells of it, and a host that only notes how often it is asked to wake the chat. */
async function setup() {
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
  const host = { api, log, settings: () => readSettings({}).settings } as unknown as Host;
  registerNoticeHooks(api as unknown as Api);
  const ending = new AbortController();
  onTestFinished(() => ending.abort());
  const notifier = createNotifier(host, bench.store, ending.signal, 0);
  const fire = (name: string, runId: string, fields: object = {}) =>
    hooks.get(name)?.({ runId, sessionKey, ...fields }, { runId, sessionKey });
  return {
    wakes,
    /** Something happens that the person is to hear of. */
    happens: async () => {
      await bench.done("create_step", { taskId, title: "More", goal: "More.", passCriteria: ["More."], dependsOn: [] });
      const { steps } = await bench.state(taskId);
      await bench.done("set_step_status", {
        taskId,
        stepId: steps.at(-2)?.id ?? "",
        status: "blocked",
        reason: "Wait.",
      });
      notifier.changed(stream);
    },
    /** The host begins a wake-up turn; what the plugin gives it to say. */
    begins: (runId: string) => {
      const text = fire("heartbeat_prompt_contribution", runId)?.appendContext;
      fire("model_call_started", runId);
      return text;
    },
    ends: (runId: string, outcome: "completed" | "error") => fire("model_call_ended", runId, { outcome }),
    untilWoken: (times: number) => vi.waitFor(() => expect(wakes).toHaveLength(times)),
    untilTold: async () => {
      const { seq } = (await bench.store.read(stream)) ?? { seq: -1 };
      await vi.waitFor(async () => expect(await bench.store.readSidecar(stream, "told")).toStrictEqual({ seq }));
    },
  };
}

const countIn = (text: string | undefined) => text?.match(/^- /gm)?.length ?? 0;

describe("a chat that is to hear of a task", () => {
  it("is woken once for all that is pending", async () => {
    const { wakes, happens, begins, ends, untilWoken, untilTold } = await setup();
    await happens();
    await happens();
    await untilWoken(1);
    await vi.waitFor(() => expect(countIn(begins("turn"))).toBe(2));
    ends("turn", "completed");
    await untilTold();
    expect(wakes).toStrictEqual([sessionKey]);
    expect(begins("later")).toBeUndefined();
  });

  it("is not woken while the model is at what a turn carries, and then once for what came meanwhile", async () => {
    const { wakes, happens, begins, ends, untilWoken, untilTold } = await setup();
    await happens();
    await untilWoken(1);
    begins("first");
    await happens();
    await happens();
    expect(wakes).toHaveLength(1);
    ends("first", "completed");
    await untilWoken(2);
    expect(countIn(begins("second"))).toBe(2);
    ends("second", "completed");
    await untilTold();
    expect(wakes).toHaveLength(2);
  });

  it("is woken again with the same text when the turn was aborted", async () => {
    const { wakes, happens, begins, ends, untilWoken, untilTold } = await setup();
    await happens();
    await untilWoken(1);
    const text = begins("aborted");
    ends("aborted", "error");
    await untilWoken(2);
    expect(begins("again")).toBe(text);
    ends("again", "completed");
    await untilTold();
    expect(wakes).toHaveLength(2);
  });
});

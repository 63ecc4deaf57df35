/** What is known of live runs while this process lives, and what a run has used once it is over. */
import { describe, expect, it, onTestFinished } from "vitest";
import { sessionKeyOf } from "../../src/flow/run-identity.ts";
import { createAgentRunner, sumOfMessages } from "../../src/host/agent-runner.ts";
import type { Host } from "../../src/host/openclaw.ts";
import { activityOf, noteRefusal, noteSign, remember, shared } from "../../src/host/shared.ts";
import { readSettings } from "../../src/schema/config.ts";
import { createMemoryStore } from "../../src/store/memory-store.ts";

const runId = "login-1/step-01/1/builder/1";
const sessionKey = sessionKeyOf("main", {
  taskId: "login-1",
  stepId: "step-01",
  attempt: 1,
  role: "builder",
  launch: 1,
});
const at = (second: number) => Date.UTC(2026, 0, 1, 0, 0, second);
const moment = (second: number) => new Date(at(second)).toISOString();

function setup() {
  onTestFinished(() => shared().signs.clear());
  return (second: number, event: string, tool?: { readonly callId: string; readonly begins?: string }) =>
    noteSign(runId, sessionKey, at(second), event, tool);
}

describe("the activity of a live run", { tags: ["s7.activity"] }, () => {
  it("is its last event, the tool that it has used for longest and since when", () => {
    const sign = setup();
    expect(activityOf(runId)).toBeUndefined();
    sign(1, "model call");
    expect(activityOf(runId)).toStrictEqual({
      lastEvent: "model call",
      lastEventAt: moment(1),
      tool: null,
      since: moment(1),
    });
    sign(2, "tool call", { callId: "a", begins: "exec" });
    sign(3, "tool call", { callId: "b", begins: "read" });
    sign(5, "command_output");
    expect(activityOf(runId)).toStrictEqual({
      lastEvent: "command_output",
      lastEventAt: moment(5),
      tool: "exec",
      since: moment(2),
    });
    sign(6, "tool result", { callId: "a" });
    expect(activityOf(runId)).toMatchObject({ lastEvent: "tool result", tool: "read", since: moment(3) });
    sign(7, "tool result", { callId: "b" });
    expect(activityOf(runId)).toMatchObject({ tool: null, since: moment(7) });
  });

  it("does not go back in time, and is not changed by a refusal", () => {
    const sign = setup();
    sign(5, "tool result");
    sign(4, "lifecycle");
    noteRefusal(runId);
    expect(activityOf(runId)).toMatchObject({ lastEvent: "tool result", lastEventAt: moment(5) });
    expect(shared().signs.get(runId)?.refusals).toBe(1);
  });

  it("goes on when the clock was set back", () => {
    const sign = setup();
    sign(3_600, "tool result");
    sign(5, "model call");
    expect(activityOf(runId)).toMatchObject({ lastEvent: "model call", lastEventAt: moment(5) });
  });

  it("is kept of runs of ours only", () => {
    setup();
    noteSign("chat-turn", "agent:main:main", at(1), "model call");
    noteSign(undefined, sessionKey, at(1), "model call");
    expect(shared().signs.size).toBe(0);
  });
});

describe("what is remembered of many", () => {
  it("is of those that were noted last", () => {
    const map = new Map<string, number>();
    for (const [at, name] of ["a", "b", "c", "a", "d"].entries()) remember(map, name, at, 3);
    expect([...map]).toStrictEqual([
      ["c", 2],
      ["a", 3],
      ["d", 4],
    ]);
  });
});

describe("what a run has used", () => {
  const usage = (input: number, output: number, total: number, cacheRead = 0, cacheWrite = 0) => ({
    usage: { input, output, cacheRead, cacheWrite, cost: { total } },
  });

  it(
    "is the sum over its session's messages, what came from the cache and went into it included",
    { tags: ["s7.usage-kept"] },
    () => {
      const messages = [{ role: "user" }, usage(10, 1, 0.1), usage(20, 2, 0.2, 300, 4_000), { usage: { output: 5 } }];
      expect(sumOfMessages(messages)).toStrictEqual({ inputTokens: 4_330, outputTokens: 8, costUsd: 0.3 });
      expect(sumOfMessages([usage(10.5, 0.25, 0), usage(0.25, 0.5, 0)])).toStrictEqual({
        inputTokens: 11,
        outputTokens: 1,
        costUsd: 0,
      });
      expect(sumOfMessages([null, "x", usage(-1, Number.NaN, 0)])).toStrictEqual({
        inputTokens: 0,
        outputTokens: 0,
        costUsd: 0,
      });
      expect(sumOfMessages(Array.from({ length: 2_500 }, () => usage(1, 1, 0.001)))).toStrictEqual({
        inputTokens: 2_500,
        outputTokens: 2_500,
        costUsd: 2.5,
      });
    },
  );

  it(
    "is not known, and said so in the log, when the host cannot read the session",
    { tags: ["s7.usage-unknown"] },
    async () => {
      const warnings: string[] = [];
      const log = { info: () => undefined, warn: (words: string) => void warnings.push(words), error: () => undefined };
      // Usage asks the host for nothing else.
      const host = {
        api: { runtime: {} },
        log,
        messagesOf: (key: string) =>
          key === sessionKey ? Promise.resolve([usage(1, 2, 3)]) : Promise.reject(new Error("no such reader")),
      } as unknown as Host;
      const store = createMemoryStore({ renderPages: () => ({}) });
      const runner = createAgentRunner(host, () => readSettings({}).settings, "/", store);
      expect(await runner.usage(sessionKey)).toStrictEqual({ inputTokens: 1, outputTokens: 2, costUsd: 3 });
      expect(await runner.usage("agent:main:other")).toBeNull();
      expect(warnings).toStrictEqual(["usage of agent:main:other is not known: no such reader"]);
    },
  );
});

/** How the host's words about a run are read. */
import { describe, expect, it } from "vitest";
import { asHostError, createAgentRunner, readRunEnd } from "../../src/host/agent-runner.ts";
import { startOf } from "../../src/files/launcher.ts";
import { renewLauncher } from "../../src/host/shared.ts";
import type { Host } from "../../src/host/openclaw.ts";
import { readSettings, type Config } from "../../src/schema/config.ts";
import { createBench } from "../support/bench.ts";

describe("the agent of a role", () => {
  async function setup(config: Config) {
    const bench = createBench();
    const taskId = await bench.started();
    // Who plays a role depends on nothing else of the host.
    const host = { api: { runtime: {} }, defaultAgentId: () => "first" } as unknown as Host;
    const runner = createAgentRunner(host, () => readSettings(config).settings, "/root", bench.store);
    return (role: "builder" | "qa") => runner.agentFor(role, { projectId: "shop", taskId });
  }

  it("is that of the chat that started the task", { tags: ["s7.roles-default"] }, async () => {
    const agentFor = await setup({});
    expect([await agentFor("builder"), await agentFor("qa")]).toStrictEqual(["main", "main"]);
  });

  it("is the configured one where one is configured", { tags: ["s8.role-agent"] }, async () => {
    const agentFor = await setup({ roles: { qa: { agentId: "judge" } } });
    expect([await agentFor("builder"), await agentFor("qa")]).toStrictEqual(["main", "judge"]);
  });
});

describe("a launcher", () => {
  it("that was this process before its gateway was started anew in it is gone; a process that lives is not", async () => {
    const runnerNow = () =>
      createAgentRunner(
        { api: { runtime: {} } } as unknown as Host, // Whose run it is depends on nothing of the host.
        () => readSettings({}).settings,
        "/root",
        createBench().store,
      );
    const before = runnerNow().launcher;
    expect(runnerNow().launcher).toStrictEqual(before);
    renewLauncher();
    const after = runnerNow();
    expect(after.launcher).not.toStrictEqual(before);
    expect(after.launcher.bootId).not.toBe(before.bootId);
    expect(await after.isAlive(before)).toBe(false);
    const parent = { ...before, pid: process.ppid, startedAt: startOf(process.ppid) ?? "not told", bootId: "another" };
    expect(await after.isAlive(parent)).toBe(true);
  });
});

describe("what the host says of a run", () => {
  it.each([
    [{ status: "timeout" }, { kind: "live" }],
    [{ status: "pending", timeoutPhase: "queue" }, { kind: "live" }],
    [
      { status: "ok", endedAt: 1, stopReason: "stop" },
      { kind: "ended", by: "itself" },
    ],
    [
      { status: "error", endedAt: 1, error: "HTTP 401: no key", stopReason: "error" },
      { kind: "ended", by: "itself", error: "HTTP 401: no key" },
    ],
    [
      { status: "error", endedAt: 1, error: "aborted", stopReason: "rpc" },
      { kind: "ended", by: "itself", error: "aborted" },
    ],
    [
      { status: "timeout", endedAt: 1, stopReason: "timeout" },
      { kind: "ended", by: "itself", error: "it was timed out by OpenClaw" },
    ],
    [
      { status: "error", endedAt: 1, stopReason: "restart" },
      { kind: "ended", by: "gateway" },
    ],
    [
      { status: "error", endedAt: 1, stopReason: "aborted" },
      { kind: "ended", by: "host" },
    ],
  ] as const)("%j is %j", (said, read) => {
    expect(readRunEnd(said)).toStrictEqual(read);
  });
});

describe("an error of the host", () => {
  it.each(["gateway request timeout after 30000ms", "gateway timeout after 10000ms", "the gateway is draining"])(
    "passes by itself: %s",
    (words) => expect(asHostError("launch", new Error(words))).toMatchObject({ code: "host-refused" }),
  );

  it.each(["no such agent", "the run had a timeout"])("is final: %s", (words) => {
    const error = new Error(words);
    expect(asHostError("launch", error)).toBe(error);
  });
});

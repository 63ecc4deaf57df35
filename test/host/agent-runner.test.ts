/** How the host's words about a run are read. */
import { spawn } from "node:child_process";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { asHostError, createAgentRunner, readRunEnd } from "../../src/host/agent-runner.ts";
import { startOf } from "../../src/files/launcher.ts";
import { isRunning } from "../../src/files/process-tree.ts";
import { renewLauncher, shared } from "../../src/host/shared.ts";
import type { Host } from "../../src/host/openclaw.ts";
import { readSettings, type Config } from "../../src/schema/config.ts";
import type { Store } from "../../src/store/store.ts";
import { createBench } from "../support/bench.ts";
import { eventually } from "../support/eventually.ts";
import { createFakeHost } from "../support/fake-host.ts";

describe("the agent of a role", () => {
  async function setup(config: Config, reading: Partial<Store> = {}) {
    const bench = createBench();
    const taskId = await bench.started();
    // Who plays a role depends on nothing else of the host.
    const host = { api: { runtime: {} }, defaultAgentId: () => "first" } as unknown as Host;
    const store = { ...bench.store, ...reading };
    const runner = createAgentRunner(host, () => readSettings(config).settings, "/root", store);
    return (role: "builder" | "qa") => runner.agentFor(role, { projectId: "shop", taskId });
  }

  it("is that of the chat that started the task", { tags: ["s7.roles-default"] }, async () => {
    const agentFor = await setup({});
    expect([await agentFor("builder"), await agentFor("qa")]).toStrictEqual(["main", "main"]);
  });

  it("is asked for again later when the chat cannot be read now, and is nobody else", async () => {
    const failing = { readSidecar: () => Promise.reject(new Error("EMFILE")) };
    await expect((await setup({}, failing))("builder")).rejects.toThrow("EMFILE");
    expect(await (await setup({ roles: { builder: { agentId: "smith" } } }, failing))("builder")).toBe("smith");
  });

  it("is the configured one where one is configured", { tags: ["s8.role-agent"] }, async () => {
    const agentFor = await setup({ roles: { qa: { agentId: "judge" } } });
    expect([await agentFor("builder"), await agentFor("qa")]).toStrictEqual(["main", "judge"]);
  });
});

describe("a run that is waited for", () => {
  it("is waited for in whole milliseconds, for the host takes no parts of one", async () => {
    const { host } = createFakeHost({}, "/no-state", {
      begin: () => undefined,
      isLive: () => true,
      waitFor: () => Promise.resolve(),
    });
    const runner = createAgentRunner(host, () => readSettings({}).settings, "/root", createBench().store);
    for (const atMostMs of [0, 0.4, 1999.7, 2000])
      expect(await runner.observe({ runId: "run", sessionKey: "session" }, atMostMs)).toStrictEqual({ kind: "live" });
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

describe("stopping a run", { tags: ["s7.stop-waits"] }, () => {
  it("asks the host to cancel one that it has as live, and says whether it has it so", async () => {
    const answers = [];
    for (const status of [undefined, "queued", "running", "succeeded", "cancelled"]) {
      const cancelled: string[] = [];
      const row = status === undefined ? undefined : { id: "row", status };
      const runs = {
        bindSession: () => ({ cancel: async ({ taskId }: { taskId: string }) => cancelled.push(taskId) }),
      };
      const tasks = { async: { runs: { bindSession: () => ({ resolve: async () => row }) } }, runs };
      // Only what stopping asks for.
      const host = { api: { runtime: { tasks } }, config: () => ({}) } as unknown as Host;
      const runner = createAgentRunner(host, () => readSettings({}).settings, "/root", createBench().store);
      answers.push([status, await runner.stop({ runId: "run", sessionKey: "agent:main:subagent:x" }), cancelled]);
    }
    expect(answers).toStrictEqual([
      [undefined, false, []],
      ["queued", true, ["row"]],
      ["running", true, ["row"]],
      ["succeeded", false, []],
      ["cancelled", false, []],
    ]);
  });
});

describe.runIf(process.platform === "linux")("a process that a run left in the background", () => {
  /** A process of its own that somebody told us of; `session` is the run's. */
  async function setup() {
    const logged: string[] = [];
    // Only what cleaning up asks for.
    const host = {
      api: { runtime: {} },
      log: { warn: (words: string) => void logged.push(words) },
    } as unknown as Host;
    const runner = createAgentRunner(host, () => readSettings({}).settings, "/root", createBench().store);
    const child = spawn("/bin/sleep", ["300"], { detached: true, stdio: "ignore", env: {} });
    onTestFinished(() => void child.kill("SIGKILL"));
    const pid = child.pid ?? 0;
    const cleanUpAfter = (started: string | undefined) => {
      shared().leftovers.set("session", new Map([[pid, started]]));
      return runner.cleanUp({ runId: "run", sessionKey: "session" });
    };
    return { pid, logged, cleanUpAfter };
  }

  it("is ended with the run when it is the one that was noted", { tags: ["s7.leftovers-ended"] }, async () => {
    const { pid, logged, cleanUpAfter } = await setup();
    await cleanUpAfter("another start");
    expect(isRunning(pid)).toBe(true);
    await cleanUpAfter(startOf(pid));
    expect([isRunning(pid), logged]).toStrictEqual([false, []]);
  });

  it("is left alone where nobody knows when it started, and that is said once", async () => {
    const { pid, logged, cleanUpAfter } = await setup();
    await cleanUpAfter(undefined);
    await cleanUpAfter(undefined);
    expect(isRunning(pid)).toBe(true);
    expect(logged).toStrictEqual([expect.stringContaining(String(pid))]);
  });

  it("is left alone where it cannot be told from what has its id now", async () => {
    const { pid, cleanUpAfter } = await setup();
    process.kill(pid, "SIGKILL");
    await eventually(() => expect(startOf(pid)).toBeUndefined());
    const kill = vi.spyOn(process, "kill");
    onTestFinished(() => kill.mockRestore());
    await cleanUpAfter(undefined);
    expect(kill).not.toHaveBeenCalled();
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
    // It was taken, and had not begun when the gateway was asked to end.
    [
      { status: "error", endedAt: 1, error: "Gateway is draining; new tasks are not accepted", stopReason: "error" },
      { kind: "ended", by: "gateway", error: "Gateway is draining; new tasks are not accepted" },
    ],
    // Somebody else's gateway.
    [
      { status: "error", endedAt: 1, error: "HTTP 503: the gateway is draining", stopReason: "error" },
      { kind: "ended", by: "itself", error: "HTTP 503: the gateway is draining" },
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

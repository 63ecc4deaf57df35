/** What the plugin refuses and notes at the host's hooks, and what the shells of runs get to see. */
import { spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { isRunning } from "../../src/files/process-tree.ts";
import { sessionKeyOf } from "../../src/flow/run-identity.ts";
import { createAgentRunner } from "../../src/host/agent-runner.ts";
import { createHooks, isSecretName } from "../../src/host/hooks.ts";
import type { Host } from "../../src/host/openclaw.ts";
import { createRememberedRoots } from "../../src/host/roots.ts";
import { activityOf, runVariable, shared } from "../../src/host/shared.ts";
import { offer, tools } from "../../src/host/tools.ts";
import { readSettings } from "../../src/schema/config.ts";
import { aBuilderReport, aJudgement, aStep, createBench } from "../support/bench.ts";
import { anEvent } from "../support/histories.ts";
import { createFakeHost } from "../support/fake-host.ts";
import { aRealRoot } from "../support/real-root.ts";

type Call = { readonly toolName: string; readonly params?: object; readonly runId?: string };
type Context = { readonly sessionKey: string; readonly agentId?: string; readonly runId?: string };
type Hook = (event: object, context: object) => unknown;

const chat = "agent:main:main";

/** A started task whose first step has the wanted run, a root on disk, and the hooks of a plugin that knows it. */
async function setup(role: "builder" | "qa" = "builder") {
  const root = await aRealRoot();
  const bench = createBench({ root });
  const taskId = await bench.started({ steps: [aStep(), aStep({ dependsOn: [] })] });
  if (role === "qa") await bench.built(taskId);
  const run = await bench.launched(taskId, "step-01", role);
  const { sessionKey } = run.caller();
  const repo = path.join(root, "projects", "shop", "repo");
  await mkdir(repo, { recursive: true });
  shared().roots.set(root, Promise.resolve({ root, store: bench.store }));
  shared().cwdOfSession.set(sessionKey, repo);
  onTestFinished(() => {
    shared().roots.delete(root);
    shared().cwdOfSession.delete(sessionKey);
    shared().signs.clear();
  });
  const cwds = new Map<string, string>();
  const stateDir = path.join(root, "..", "state");
  let workspace: string | undefined = root;
  let config: object = {};
  // The hooks ask the host for nothing else.
  const host = {
    config: () => config,
    settings: () => readSettings({}).settings,
    agentIds: () => ["main"],
    stateDir: () => stateDir,
    workspaceOf: () => workspace,
    cwdOf: (_agentId: string, key: string | undefined) => cwds.get(key ?? ""),
    defaultAgentId: () => "main",
    problems: () => [],
    log: { warn: () => undefined, error: () => undefined },
    api: createFakeHost().host.api,
  } as unknown as Host;
  // Called with what the host gives that is read, which is less than its types name.
  const hooks = createHooks(host) as unknown as Readonly<Record<string, Hook>>;
  const fire = async (name: string, event: object, context: object = {}) => hooks[name]?.(event, context);
  /** Why the call is blocked; undefined when it is not. */
  const before = async (event: object, context: object) => {
    const answer = (await fire("before_tool_call", event, context)) as
      | { readonly block: boolean; readonly blockReason: string }
      | undefined;
    return answer?.block === true ? answer.blockReason : undefined;
  };
  const call = ({ toolName, params = {}, runId = run.runId }: Call, context: Context) =>
    before({ toolName, params, runId, toolCallId: "call-1" }, context);
  return {
    bench,
    taskId,
    root,
    cwds,
    run,
    host,
    fire,
    before,
    call,
    /** Nothing is open in this process: as before the gateway has started, or in a local turn. */
    close: () => void shared().roots.delete(root),
    /** The agents work in another folder from now on, and this root is remembered. */
    moveAgents: async () => {
      workspace = path.join(root, "..", "elsewhere");
      await createRememberedRoots(stateDir).add(root);
    },
    /** The host knows no folder that the agents work in. */
    takeWorkspaces: () => void (workspace = undefined),
    configure: (next: object) => void (config = next),
    sessionKey,
    /** Why the run's session may not make the call; undefined when it may. */
    inRun: (toolName: string, params?: object) =>
      call({ toolName, ...(params === undefined ? {} : { params }) }, { sessionKey }),
    in: (key: string, toolName: string, params: object) =>
      call({ toolName, params, runId: "a-turn" }, { sessionKey: key, agentId: "main" }),
    environment: (key?: string) =>
      hooks["resolve_exec_env"]?.({ sessionKey: key, toolName: "exec", host: "gateway" }, {}) as
        | Readonly<Record<string, string>>
        | undefined,
  };
}

const writes = (file: string) =>
  [
    ["write", { path: file, content: "x" }],
    ["edit", { path: file, edits: [{ oldText: "a", newText: "b" }] }],
    ["apply_patch", { input: `*** Begin Patch\n*** Add File: ${file}\n+x\n*** End Patch` }],
  ] as const;

describe("a file tool that would write kept state", { tags: ["s7.guard-state"] }, () => {
  it(
    "is refused to a builder, with its reporting tool to use instead",
    { tags: ["s7.guard-says-instead"] },
    async () => {
      const { inRun, root } = await setup();
      for (const file of ["../project.json", path.join(root, "projects", "shop", "tasks", "x.json")])
        for (const [tool, params] of writes(file)) {
          expect(await inRun(tool, params)).toContain("which only its tools change");
          expect(await inRun(tool, params)).toContain("report with record_builder_result");
        }
    },
  );

  it(
    "is refused to the chat and to subagents of others, with the tools that change the state",
    { tags: ["s7.guard-says-instead"] },
    async () => {
      const { in: call } = await setup();
      for (const key of [chat, "agent:main:subagent:other", "agent:other:chat"])
        for (const [tool, params] of writes("projects/shop/project.json"))
          expect(await call(key, tool, params)).toMatch(/kept state.*Use create_project, create_task, .* instead/);
    },
  );

  it("is judged from the directory that its session was started in", { tags: ["s7.guard-paths"] }, async () => {
    const { in: call, cwds, root } = await setup();
    const [other, write] = ["agent:main:subagent:other", { path: "project.json", content: "{}" }];
    expect(await call(other, "write", write)).toBeUndefined();
    cwds.set(other, path.join(root, "projects", "shop"));
    expect(await call(other, "write", write)).toContain("kept state");
  });

  it("is refused also while no root is open in the process", { tags: ["s7.guard-known-roots"] }, async () => {
    const { in: call, close, moveAgents, root } = await setup();
    close();
    const file = path.join(root, "projects", "shop", "project.json");
    for (const [tool, params] of writes(file)) expect(await call(chat, tool, params)).toContain("kept state");
    await moveAgents();
    for (const [tool, params] of writes(file)) expect(await call(chat, tool, params)).toContain("kept state");
    expect(await call(chat, "write", { path: "projects/shop/project.json" })).toContain("kept state");
    expect(await call(chat, "write", { path: "notes/project.json" })).toBeUndefined();
  });

  it("is refused also by the names that a sandbox gives to paths", { tags: ["s7.guard-paths"] }, async () => {
    const { in: call, inRun, configure, root } = await setup();
    const ways = ["/workspace/projects/shop/project.json", "../workspace/projects/shop/tasks/new.json"];
    const refused = async (file: string) => {
      const [write, edit, patch] = await Promise.all(writes(file).map(([tool, params]) => call(chat, tool, params)));
      expect([file, edit, patch]).toStrictEqual([file, write, write]);
      return write?.includes("kept state") === true;
    };
    for (const way of ways) expect([way, await refused(way)]).toStrictEqual([way, false]);
    configure({ agents: { defaults: { sandbox: { mode: "non-main" } } } });
    for (const way of [...ways, "@/workspace/projects/shop/project.json", "/agent/projects/shop/project.json"])
      expect([way, await refused(way)]).toStrictEqual([way, true]);
    for (const way of ["/workspace/projects/shop/repo/a.txt", "/workspace/notes.md", "/tmp/projects/shop/x", "a.txt"])
      expect([way, await refused(way)]).toStrictEqual([way, false]);
    expect(await inRun("write", { path: "/workspace/projects/shop/project.json" })).toContain("kept state");
    expect(await inRun("write", { path: "/workspace/src/a.txt" })).toBeUndefined();

    const named = { mode: "all", docker: { workdir: "/work", binds: [`${root}:/data:rw`, "cache:/cache"] } };
    configure({ agents: { defaults: { sandbox: named }, entries: { Main: { sandbox: { mode: "off" } } } } });
    for (const way of ["/work/projects/shop/project.json", "/data/projects/shop/project.json"])
      expect([way, await refused(way)]).toStrictEqual([way, false]);
    configure({ agents: { defaults: { sandbox: { mode: "off" } }, entries: { Main: { sandbox: named } } } });
    for (const way of ["/work/projects/shop/project.json", "../data/projects/shop/project.json"])
      expect([way, await refused(way)]).toStrictEqual([way, true]);
    expect(await refused("/data/projects/shop/repo/a.txt")).toBe(false);
  });

  it("is refused in a sandbox however little is said of it", { tags: ["s7.guard-paths"] }, async () => {
    const { in: call, configure, root } = await setup();
    const refused = async (place: string) =>
      (await call(chat, "write", { path: `${place}/projects/shop/project.json`, content: "{}" })) !== undefined;
    const all = { mode: "all" };
    const remote = (config?: object) => ({ entries: { openshell: { enabled: true, ...(config && { config }) } } });
    for (const agents of [
      { entries: { main: { sandbox: all } } },
      { defaults: {}, entries: { main: { sandbox: { mode: "all", docker: {} } } } },
      { defaults: { sandbox: all }, entries: { other: { sandbox: { mode: "off" } } } },
      { defaults: { sandbox: all }, entries: { main: { sandbox: { docker: { binds: ["cache", "a:b"] } } } } },
      {
        defaults: { sandbox: { mode: "off", docker: { binds: ["cache:/cache"] } } },
        entries: { main: { sandbox: all } },
      },
    ])
      for (const plugins of [undefined, {}, { entries: {} }, remote(), remote({}), remote({ remoteWorkspaceDir: 7 })]) {
        configure({ agents, plugins });
        for (const place of ["/workspace", "/agent", "/sandbox", root])
          expect([agents, plugins, place, await refused(place)]).toStrictEqual([agents, plugins, place, true]);
        expect([agents, plugins, await refused("/remote")]).toStrictEqual([agents, plugins, false]);
      }
    configure({ agents: { defaults: { sandbox: all } }, plugins: remote({ remoteWorkspaceDir: "/remote" }) });
    expect(await refused("/remote")).toBe(true);
  });

  it("is refused in a call of no session, and where the host knows of no workspace", async () => {
    const { before, fire, takeWorkspaces } = await setup();
    const params = { path: "projects/shop/project.json", content: "x".repeat(10_000) };
    expect(await before({ toolName: "write", params }, {})).toContain("Use create_project");
    takeWorkspaces();
    const answer = await before({ toolName: "write", params, runId: "a-turn" }, { agentId: "other" });
    expect(answer).toContain("kept state");
    const long = await before({ toolName: "write", params: { path: `${"./".repeat(5_000)}projects/x` } }, {});
    expect(long?.length).toBeLessThan(600);
    expect(await fire("resolve_exec_env", { toolName: "exec", host: "gateway" })).toBeUndefined();
  });

  it("is not one that only reads it", { tags: ["s7.guard-state"] }, async () => {
    const { inRun, in: call, root } = await setup();
    const params = { path: path.join(root, "projects", "shop", "project.json") };
    expect([await inRun("read", params), await call(chat, "read", params)]).toStrictEqual([undefined, undefined]);
  });

  it("counts as a refusal to the run", { tags: ["s4.lost-refusals"] }, async () => {
    const { inRun, run } = await setup();
    await inRun("write", { path: "../project.json", content: "x" });
    await inRun("write", { path: "a.txt", content: "x" });
    expect(shared().signs.get(run.runId)?.refusals).toBe(1);
  });
});

describe("a file tool that writes into the repository", { tags: ["s7.guard-repo-free"] }, () => {
  it("is let through, to the builder and to the chat", async () => {
    const { inRun, in: call } = await setup();
    for (const [tool, params] of writes("src/a.txt")) expect(await inRun(tool, params)).toBeUndefined();
    for (const [tool, params] of writes("projects/shop/repo/a.txt"))
      expect(await call(chat, tool, params)).toBeUndefined();
  });
});

describe("QA", () => {
  it("is refused every file tool, in the repository too", { tags: ["s7.qa-no-file-tools"] }, async () => {
    const { inRun } = await setup("qa");
    for (const [tool, params] of writes("src/a.txt")) {
      expect(await inRun(tool, params)).toContain("QA judges and does not change the work");
      expect(await inRun(tool, params)).toContain("record_qa_result");
    }
    for (const tool of ["read", "ls", "exec", "process"]) expect(await inRun(tool)).toBeUndefined();
  });

  it(
    "has each refused file tool counted, as a refusal of our own tools is",
    { tags: ["s4.lost-refusals"] },
    async () => {
      const { inRun, run } = await setup("qa");
      for (const [tool, params] of writes("src/a.txt")) await inRun(tool, params);
      expect(shared().signs.get(run.runId)?.refusals).toBe(writes("src/a.txt").length);
    },
  );
});

describe.each(["builder", "qa"] as const)("a run of the %s", (role) => {
  it("is refused what starts other sessions", { tags: ["s7.qa-no-sessions"] }, async () => {
    const { inRun, in: call } = await setup(role);
    for (const tool of ["sessions_spawn", "sessions_send", "subagents", "automations", "cron", "openclaw"]) {
      expect(await inRun(tool)).toContain("A run works by itself");
      expect(await call(chat, tool, {})).toBeUndefined();
    }
  });
});

describe("the session of a run", () => {
  const closed = "This run has reported and is over";
  const gone = "This run was stopped or replaced";

  it.each(["builder", "qa"] as const)(
    "is refused every tool once the %s has reported, but for reporting, which the tool itself refuses",
    { tags: ["s4.report-closes-tools"] },
    async (role) => {
      const { bench, run, inRun } = await setup(role);
      expect(await inRun("exec")).toBeUndefined();
      if (role === "builder") await bench.done("record_builder_result", aBuilderReport(), run.caller());
      else await bench.done("record_qa_result", aJudgement(), run.caller());
      for (const tool of ["exec", "read", "get_status"]) expect(await inRun(tool)).toContain(closed);
      for (const tool of ["record_builder_result", "record_qa_result"]) expect(await inRun(tool)).toBeUndefined();
    },
  );

  it("may use tools from the moment its launch is planned", { tags: ["s7.intent-first"] }, async () => {
    const { bench, taskId, call } = await setup();
    await bench.record(taskId, anEvent("RunPlanned", { stepId: "step-02", role: "builder" }, "2026-01-01T00:00:00Z"));
    const { runId, sessionKey } = (await bench.step(taskId, "step-02")).builder;
    expect(await call({ toolName: "exec", runId: runId ?? "" }, { sessionKey: sessionKey ?? "" })).toBeUndefined();
  });

  it(
    "is refused every tool once its step is put back, and the next run is not",
    { tags: ["s4.fenced-and-stopped"] },
    async () => {
      const { bench, taskId, inRun, call, sessionKey, run } = await setup();
      await bench.done("set_step_status", { taskId, stepId: "step-01", status: "queued", reason: "Not so." });
      expect(await inRun("exec")).toContain(gone);
      await bench.ended(taskId, "step-01", "builder", { end: "stopped" });
      const next = await bench.launched(taskId, "step-01", "builder");
      expect(await inRun("exec")).toContain(gone);
      const there = { sessionKey: next.caller().sessionKey };
      expect(await call({ toolName: "exec", runId: next.runId }, there)).toBeUndefined();
      expect(await call({ toolName: "exec", runId: next.runId }, { sessionKey })).toContain(gone);
      await bench.done("record_builder_result", aBuilderReport(), next.caller());
      expect(await call({ toolName: "exec", runId: next.runId }, there)).toContain(closed);
      expect(await call({ toolName: "exec", runId: run.runId }, there)).toContain(gone);
      expect(await inRun("exec")).toContain(gone);
    },
  );

  it("is refused tools in a turn that is not the run's own; a call of which the host tells no turn counts as the run's", async () => {
    const { call, before, sessionKey } = await setup();
    expect(await call({ toolName: "exec", runId: "somebody wrote to it" }, { sessionKey })).toContain(gone);
    expect(await before({ toolName: "exec", params: {} }, { sessionKey })).toBeUndefined();
    expect(await before({ toolName: "exec", params: {} }, { sessionKey, runId: "another" })).toContain(gone);
  });

  it("is judged by its own step, and by the root that has its task", async () => {
    const { bench, taskId, run, root, inRun, call } = await setup();
    const other = await bench.launched(taskId, "step-02", "builder");
    await bench.done("record_builder_result", aBuilderReport(), run.caller());
    expect(
      await call({ toolName: "exec", runId: other.runId }, { sessionKey: other.caller().sessionKey }),
    ).toBeUndefined();
    const nowhere = sessionKeyOf("main", { ...run.place, stepId: "step-99" });
    expect(await call({ toolName: "exec" }, { sessionKey: nowhere })).toContain(gone);
    // Another root comes first, and does not know the task.
    shared().roots.delete(root);
    shared().roots.set("/another", Promise.resolve({ root: "/another", store: createBench().store }));
    shared().roots.set(root, Promise.resolve({ root, store: bench.store }));
    onTestFinished(() => void shared().roots.delete("/another"));
    expect(await inRun("exec")).toContain(closed);
  });
});

describe("a call of a tool of ours", () => {
  /** What the tool answers in a call of the run's session: `refused` with a code, or what it did. */
  async function calling() {
    const world = await setup();
    const { host, run, sessionKey } = world;
    const report = (toolCallId: string, key = sessionKey) =>
      offer(host, "record_builder_result", { sessionKey: key, agentId: "main" })?.execute(toolCallId, aBuilderReport());
    const codeOf = async (toolCallId: string) =>
      ((await report(toolCallId))?.details["refused"] as { code: string } | undefined)?.code;
    const hears = (toolCallId: string, runId: string | undefined, key = sessionKey) =>
      world.fire(
        "before_tool_call",
        { toolName: "record_builder_result", params: {}, toolCallId, ...(runId === undefined ? {} : { runId }) },
        { sessionKey: key },
      );
    onTestFinished(() => shared().runOfToolCall.clear());
    return { ...world, codeOf, hears, runId: run.runId };
  }

  it(
    "belongs to the turn that the host named for exactly that call of that session",
    { tags: ["s5.report-own-turn", "s5.report-not-in-run"] },
    async () => {
      const { codeOf, hears, runId, fire, sessionKey } = await calling();
      expect(await codeOf("call-1")).toBe("not-in-run");
      await hears("call-2", runId);
      await hears("call-1", runId, chat);
      expect(await codeOf("call-1")).toBe("not-in-run");
      await hears("call-1", "another turn");
      expect(await codeOf("call-1")).toBe("run-not-current");
      await hears("call-1", runId);
      await hears("call-1", undefined);
      expect(await codeOf("call-1"), "a call outside of any turn, with an id that was used before").toBe("not-in-run");
      // What the event does not say may stand in its context.
      const event = { toolName: "record_builder_result", params: {} };
      await fire("before_tool_call", event, { sessionKey, runId, toolCallId: "call-3" });
      expect(await codeOf("call-3")).toBeUndefined();
    },
  );

  it("is another one in another turn, whichever tool it is", { tags: ["s5.same-call-parts"] }, async () => {
    const { before, runId, sessionKey } = await calling();
    const turns = [];
    for (const { name } of tools) {
      await before({ toolName: name, params: {}, runId, toolCallId: `call of ${name}` }, { sessionKey });
      turns.push([name, shared().runOfToolCall.get(JSON.stringify([sessionKey, `call of ${name}`]))]);
    }
    expect(turns).toStrictEqual(tools.map(({ name }) => [name, runId]));
    await before({ toolName: "exec", params: {}, runId, toolCallId: "call of exec" }, { sessionKey });
    await before({ toolName: "get_status", params: {}, runId }, { sessionKey });
    expect(shared().runOfToolCall.size).toBe(tools.length);
  });
});

describe("the activity of a run", { tags: ["s7.activity"] }, () => {
  it("is what its hooks tell: the model, the tool that it uses, and which was refused", async () => {
    const { fire, before, run, sessionKey } = await setup();
    const { runId } = run;
    const context = { sessionKey };
    const now = () => ({ event: activityOf(runId)?.lastEvent, tool: activityOf(runId)?.tool });
    await fire("model_call_started", { runId }, context);
    expect(now()).toStrictEqual({ event: "model call", tool: null });
    await fire("model_call_ended", { runId, outcome: "completed", sessionKey });
    expect(now()).toStrictEqual({ event: "model answer", tool: null });
    await before({ toolName: "exec", params: {}, toolCallId: "a", runId }, context);
    expect(now()).toStrictEqual({ event: "tool call", tool: "exec" });
    await before({ toolName: "write", params: { path: "../project.json" }, toolCallId: "b", runId }, context);
    expect(now()).toStrictEqual({ event: "refused tool call", tool: "exec" });
    await fire("after_tool_call", { toolName: "exec", params: {}, toolCallId: "a", runId }, context);
    expect(now()).toStrictEqual({ event: "tool result", tool: null });
    // A host that gives calls no id.
    await before({ toolName: "read", params: {}, runId }, context);
    expect(now()).toStrictEqual({ event: "tool call", tool: "read" });
    await fire("after_tool_call", { toolName: "read", params: {} }, { ...context, runId });
    expect(now()).toStrictEqual({ event: "tool result", tool: null });
  });

  it("is kept of no chat, whose refused calls are counted nowhere", async () => {
    const { in: call, fire } = await setup();
    await call(chat, "write", { path: "projects/shop/project.json" });
    await fire("after_tool_call", { toolName: "write", params: {}, runId: "a-turn" }, { sessionKey: chat });
    expect(shared().signs.size).toBe(0);
  });
});

describe.runIf(process.platform === "linux")(
  "what the shell of a run left in the background",
  { tags: ["s7.leftovers-ended"] },
  () => {
    it("is ended with the run, and what others left there is not", async () => {
      const { fire, host, bench, run, root, sessionKey } = await setup();
      const processes = Array.from({ length: 4 }, () => {
        const child = spawn("/bin/sleep", ["300"], { detached: true, stdio: "ignore", env: {} });
        onTestFinished(() => void child.kill("SIGKILL"));
        return child.pid ?? 0;
      });
      const [first, second, ofChat, ofOtherTool] = processes;
      const ends = (result: unknown, key: string | undefined = sessionKey, toolName = "exec") =>
        fire("after_tool_call", { toolName, params: {}, runId: run.runId, result }, { sessionKey: key });
      const started = (pid: unknown) => ({ details: { status: "running", pid } });
      await ends(started(first));
      await ends(started(second));
      await ends(started(ofChat), chat);
      await fire("after_tool_call", { toolName: "exec", params: {}, result: started(ofChat) });
      await ends(started(ofOtherTool), sessionKey, "process");
      for (const other of [
        undefined,
        null,
        "text",
        {},
        { details: null },
        { details: "x" },
        { details: {} },
        started(String(ofChat)),
      ])
        await ends(other);
      const runner = createAgentRunner(host, () => readSettings({}).settings, root, bench.store);
      await runner.cleanUp({ runId: run.runId, sessionKey });
      await runner.cleanUp({ runId: run.runId, sessionKey: chat });
      expect(processes.map(isRunning)).toStrictEqual([false, false, true, true]);
    });
  },
);

describe("the shell of a run", { tags: ["s7.secrets-blank"] }, () => {
  it("has the names of secrets of the gateway's environment blank, and its own mark", async () => {
    const { environment, sessionKey } = await setup();
    for (const [name, value] of [
      ["MY_SECRET_KEY", "one"],
      ["PLAIN_WORD", "two"],
      ["MIRROR", "https://me:hidden@mirror.example.org/simple"],
      ["CACHE", "redis://:hidden@cache:6379/0"],
      ["PLAIN_ADDRESS", "http://localhost:8080/a@b"],
    ] as const)
      vi.stubEnv(name, value);
    onTestFinished(() => void vi.unstubAllEnvs());
    const seen = environment(sessionKey);
    expect(seen).toMatchObject({ MY_SECRET_KEY: "", MIRROR: "", CACHE: "", [runVariable]: sessionKey });
    for (const name of ["PLAIN_WORD", "PLAIN_ADDRESS", "PATH", "HOME"]) expect(seen).not.toHaveProperty(name);
    expect([environment(chat), environment()]).toStrictEqual([undefined, undefined]);
  });

  it("loses what is named like a secret", () => {
    const secrets = [
      "OPENCLAW_GATEWAY_TOKEN",
      "ANTHROPIC_API_KEY",
      "OPENAI_API_KEYS",
      "openai_apikey",
      "AWS_ACCESS_KEY_ID",
      "AWS_SECRET_ACCESS_KEY",
      "MY_SECRET_KEY",
      "SECRETKEY",
      "GITHUB_PAT",
      "GPG_PASSPHRASE",
      "MYSQL_PWD",
      "DB_PASSWORD",
      "PGPASSWORD",
      "SENTRY_DSN",
      "DATABASE_URL",
      "GOOGLE_APPLICATION_CREDENTIALS",
      "GOOGLE_CREDENTIAL",
      "CLIENT_SECRET",
      "npm_config__auth",
      "SESSION_JWT",
      "STORAGE_CONNECTION_STRING",
      "STORAGE_CONNECTIONSTRING",
      "SLACK_WEBHOOK_URL",
      "SLACK_WEBHOOK",
      "SLACK_WEBHOOKURL",
      "SESSION_COOKIE",
      "OPENAIKEY",
      "OPENAI_API_KEY2",
      "TOKEN1",
      "DB_PASSWORD1",
      "API_KEYS10",
      "GITHUB_PAT2",
      "AUTHORIZATION",
      "HTTP_AUTHORIZATION",
      "BEARER",
      "MY_BEARER",
      "BW_SESSION",
      "OP_SESSION_my",
    ];
    expect(secrets.filter((name) => !isSecretName(name))).toStrictEqual([]);
  });

  it("keeps what a program needs", () => {
    const plain = ["PATH", "HOME", "LANG", "PWD", "OLDPWD", "SSH_AUTH_SOCK", "KEYBOARD", "TOKENIZERS_PARALLELISM"];
    expect(plain.filter(isSecretName)).toStrictEqual([]);
    expect(["AUTHOR", "MONKEY_PATH", "API_URL", "NODE_OPTIONS", "PATTERN"].filter(isSecretName)).toStrictEqual([]);
    const sessions = ["SESSION", "XDG_SESSION_ID", "DBUS_SESSION_BUS_ADDRESS", "TERM_SESSION_ID", "DESKTOP_SESSION"];
    expect(sessions.filter(isSecretName)).toStrictEqual([]);
    const alike = [
      "KEYBOARD_LAYOUT2",
      "MONKEY1",
      "KEYMAP",
      "AUTH0_DOMAIN",
      "TOP_SESSION_X",
      "MY_BW_SESSION",
      "BEARERS",
      "COMPAT",
      "REAUTH_URL",
      "BW_SESSIONS",
      "DATABASE_URL_SCHEME",
      "CONNECTION_STRINGS_FORMAT",
    ];
    expect(alike.filter(isSecretName)).toStrictEqual([]);
  });
});

/** What the plugin refuses at the host's hooks, and what the shells of runs get to see. */
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { createHooks, isSecretName } from "../../src/host/hooks.ts";
import type { Host } from "../../src/host/openclaw.ts";
import { createRememberedRoots } from "../../src/host/roots.ts";
import { runVariable, shared } from "../../src/host/shared.ts";
import { readSettings } from "../../src/schema/config.ts";
import { createBench } from "../support/bench.ts";
import { aRealRoot } from "../support/real-root.ts";

type Call = { readonly toolName: string; readonly params?: object; readonly runId?: string };
type Context = { readonly sessionKey: string; readonly agentId?: string; readonly runId?: string };
type Hook = (event: object, context: object) => unknown;

const chat = "agent:main:main";

/** A started task whose first step has the wanted run, a root on disk, and the hooks of a plugin that knows it. */
async function setup(role: "builder" | "qa" = "builder") {
  const root = await aRealRoot();
  const bench = createBench({ root });
  const taskId = await bench.started();
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
    shared().signs.delete(run.runId);
  });
  const cwds = new Map<string, string>();
  const stateDir = path.join(root, "..", "state");
  let workspace = root;
  let config: object = {};
  // The hooks ask the host for nothing else.
  const host = {
    config: () => config,
    settings: () => readSettings({}).settings,
    agentIds: () => ["main"],
    stateDir: () => stateDir,
    workspaceOf: () => workspace,
    cwdOf: (_agentId: string, key: string | undefined) => cwds.get(key ?? ""),
  } as unknown as Host;
  // Called with what the host gives that is read, which is less than its types name.
  const hooks = createHooks(host) as unknown as Readonly<Record<string, Hook>>;
  const call = async ({ toolName, params = {}, runId = run.runId }: Call, context: Context) =>
    (await hooks["before_tool_call"]?.({ toolName, params, runId, toolCallId: "call-1" }, context)) as
      | { readonly block: boolean; readonly blockReason: string }
      | undefined;
  return {
    bench,
    taskId,
    root,
    cwds,
    run,
    /** Nothing is open in this process: as before the gateway has started, or in a local turn. */
    close: () => void shared().roots.delete(root),
    /** The agents work in another folder from now on, and this root is remembered. */
    moveAgents: async () => {
      workspace = path.join(root, "..", "elsewhere");
      await createRememberedRoots(stateDir).add(root);
    },
    configure: (next: object) => void (config = next),
    sessionKey,
    /** Why the run's session may not make the call; undefined when it may. */
    inRun: async (toolName: string, params?: object) =>
      (await call({ toolName, ...(params === undefined ? {} : { params }) }, { sessionKey }))?.blockReason,
    in: async (key: string, toolName: string, params: object) =>
      (await call({ toolName, params, runId: "a-turn" }, { sessionKey: key, agentId: "main" }))?.blockReason,
    environment: (key: string) =>
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
    expect(environment(chat)).toBeUndefined();
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
    ];
    expect(alike.filter(isSecretName)).toStrictEqual([]);
  });
});

/** Which folders hold projects: what the configuration names, what was seen before, and what is said of the others. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import path from "node:path";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { createAgentRunner } from "../../src/host/agent-runner.ts";
import { createDesk } from "../../src/host/desk.ts";
import { createRememberedRoots, namedRoots, openRoot, remarksElsewhere, rootFor } from "../../src/host/roots.ts";
import { createHost, type Api } from "../../src/host/openclaw.ts";
import { shared } from "../../src/host/shared.ts";
import { readSettings } from "../../src/schema/config.ts";
import { createMemoryStore } from "../../src/store/memory-store.ts";
import { createFakeHost } from "../support/fake-host.ts";

const settingsOf = (config: object) => readSettings(config).settings;
const pluginConfig = (config: object) => ({ plugins: { entries: { "project-orchestrator": { config } } } });
const agents = (entries: object) => ({ agents: { defaults: { systemAgent: { agentId: "main" } }, entries } });
const three = agents({
  main: { workspace: "/work/main" },
  builder: { workspace: "/work/builder" },
  qa: { workspace: "/work/qa" },
  second: { workspace: "/work/second" },
});

function aFolder(): string {
  const folder = realpathSync(mkdtempSync(path.join(tmpdir(), "po-roots-")));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

describe("the root of a caller", () => {
  it("is the workspace of its agent, or the configured folder", { tags: ["s3.roots", "s8.root"] }, () => {
    expect(rootFor(settingsOf({}), "/work/main")).toBe("/work/main");
    expect(rootFor(settingsOf({ root: "/srv/work/" }), "/work/main")).toBe("/srv/work");
    expect(rootFor(settingsOf({ root: "~/work" }), undefined)).toBe(path.join(homedir(), "work"));
    expect(rootFor(settingsOf({}), undefined)).toBeUndefined();
  });
});

describe("the roots that the configuration names", () => {
  it.each([
    [{}, ["/work/main", "/work/builder", "/work/qa", "/work/second"]],
    [{ roles: { builder: { agentId: "builder" }, qa: { agentId: "qa" } } }, ["/work/main", "/work/second"]],
    [{ orchestrators: ["second"] }, ["/work/second"]],
    [{ root: "/srv/work" }, ["/srv/work"]],
  ])(
    "are those of the agents that may orchestrate, or the configured one: %j",
    { tags: ["s3.roots", "s8.root"] },
    (config, roots) => {
      const { host } = createFakeHost({ ...three, ...pluginConfig(config) });
      expect(namedRoots(host)).toStrictEqual(roots);
    },
  );
});

describe("agents whose keys in the configuration have capital letters", () => {
  const capitals = agents({ Main: { workspace: "/work/main" }, Builder: { workspace: "/work/builder" } });

  it("are known by the ids that the host gives them", () => {
    const { host, configure } = createFakeHost({ ...capitals, ...pluginConfig({}) });
    expect(host.agentIds()).toStrictEqual(["main", "builder"]);
    configure({ agents: { entries: { First: {}, Second: {} } } });
    expect([host.defaultAgentId(), ...host.agentIds()]).toStrictEqual(["first", "first", "second"]);
  });

  it("have roles, and their folders are no roots then", { tags: ["s3.roots"] }, () => {
    const { host } = createFakeHost({ ...capitals, ...pluginConfig({ roles: { builder: { agentId: "Builder" } } }) });
    expect(namedRoots(host)).toStrictEqual(["/work/main"]);
  });
});

describe("remembered roots", () => {
  it("are known after a restart, each once", { tags: ["s7.roots-remembered"] }, async () => {
    const state = aFolder();
    const remembered = createRememberedRoots(state);
    expect(await remembered.list()).toStrictEqual([]);
    await Promise.all(["/one", "/two", "/one"].map((root) => remembered.add(root)));
    expect(await createRememberedRoots(state).list()).toStrictEqual(["/one", "/two"]);
  });

  it("that cannot be read count as none, and new ones are kept", { tags: ["s7.roots-remembered"] }, async () => {
    const state = aFolder();
    mkdirSync(path.join(state, "project-orchestrator"));
    writeFileSync(path.join(state, "project-orchestrator", "roots.json"), "{ half");
    const remembered = createRememberedRoots(state);
    expect(await remembered.list()).toStrictEqual([]);
    await remembered.add("/one");
    expect(await createRememberedRoots(state).list()).toStrictEqual(["/one"]);
    for (const [text, known] of [
      ['[7, "/one", null]', ["/one"]],
      ['{"root": "/one"}', []],
    ] as const) {
      writeFileSync(path.join(state, "project-orchestrator", "roots.json"), text);
      expect(await remembered.list()).toStrictEqual(known);
    }
  });
});

describe("a root that is open", () => {
  it("is open once in this process, by whichever path it is asked for", async () => {
    const root = aFolder();
    const [first, again] = [await openRoot(root, () => undefined), await openRoot(`${root}/.`, () => undefined)];
    onTestFinished(() => void shared().roots.delete(root));
    expect(again).toBe(first);
    expect(shared().roots.has(root)).toBe(true);
    await first.store.close();
  });
});

describe("a host that does not tell", () => {
  const fails = () => {
    throw new Error("not now");
  };
  it("where an agent works, in which folder a session began or what is configured now is no failure of ours", () => {
    const runtime = {
      config: { current: fails },
      agent: { resolveAgentWorkspaceDir: fails, session: { getSessionEntry: fails } },
    };
    // All else is asked for elsewhere.
    const host = createHost({ runtime, config: pluginConfig({ maxAttempts: 5 }) } as unknown as Api);
    expect(host.settings().maxAttempts).toBe(5);
    expect(host.agentIds()).toStrictEqual(["main"]);
    expect(namedRoots(host)).toStrictEqual([]);
    expect(host.cwdOf("main", "agent:main:subagent:other")).toBeUndefined();
    expect(host.cwdOf("main", undefined)).toBeUndefined();
  });

  it("that a session has a folder of its own has none for it, and the one that it tells counts", () => {
    const sessions: Readonly<Record<string, object>> = {
      "agent:main:in-a-folder": { spawnedCwd: "/work/here" },
      "agent:main:chat": {},
    };
    const session = { getSessionEntry: ({ sessionKey }: { readonly sessionKey: string }) => sessions[sessionKey] };
    const host = createHost({ runtime: { agent: { session } } } as unknown as Api);
    const found = ["agent:main:in-a-folder", "agent:main:chat", "agent:main:none"].map((key) =>
      host.cwdOf("main", key),
    );
    expect(found).toStrictEqual(["/work/here", undefined, undefined]);
  });
});

describe("a root that is driven although the configuration no longer names it", () => {
  beforeEach(() => shared().roots.clear());

  /** A root that this process drives, with so many tasks that have not ended. */
  async function driven(unfinished: number) {
    const root = aFolder();
    const open = await openRoot(root, () => undefined);
    onTestFinished(async () => {
      await open.store.close();
      shared().roots.clear();
    });
    const tasks = Array.from({ length: unfinished }, (_, at) => ({ projectId: "shop", taskId: `task-${at}` }));
    // Only what is not finished counts here.
    open.driver = { unfinished: () => tasks } as unknown as NonNullable<typeof open.driver>;
    return { root, open };
  }

  it("is named with the line that makes it the root again", { tags: ["s7.roots-remembered"] }, async () => {
    const { root } = await driven(2);
    const moved = createFakeHost(agents({ main: { workspace: "/work/elsewhere" } }));
    expect(await remarksElsewhere(moved.host)).toStrictEqual([
      `2 unfinished tasks below ${root} go on although the configuration no longer names that folder; agents.entries.main.workspace: "${root}" makes it the root again`,
    ]);
    moved.configure(agents({ Main: { workspace: "/work/elsewhere" } }));
    expect((await remarksElsewhere(moved.host)).join()).toContain(`; agents.entries.Main.workspace: "${root}"`);
    moved.configure({ ...three, ...pluginConfig({ root: "/srv/other" }) });
    expect((await remarksElsewhere(moved.host)).join()).toContain(
      `plugins.entries.project-orchestrator.config.root: "${root}"`,
    );
  });

  it(
    "is not named while the configuration names it, when all of it has ended, or when another gateway drives it",
    { tags: ["s7.roots-remembered"] },
    async () => {
      const { root, open } = await driven(1);
      const { host, configure } = createFakeHost(agents({ main: { workspace: root } }));
      expect(await remarksElsewhere(host)).toStrictEqual([]);
      configure(agents({ main: { workspace: "/work/elsewhere" } }));
      expect(await remarksElsewhere(host)).toHaveLength(1);
      delete open.driver;
      expect(await remarksElsewhere(host)).toStrictEqual([]);
      shared().roots.clear();
      await driven(0);
      expect(await remarksElsewhere(host)).toStrictEqual([]);
    },
  );
});

describe("a repository in another root", { tags: ["s5.repo-never-kept"] }, () => {
  /** Two roots in a folder that repositories may be in; work is done in the first, and the second holds a project. */
  function setup() {
    const folder = aFolder();
    const [root, other] = [path.join(folder, "one"), path.join(folder, "two")];
    const [kept, repo] = ["tasks", "repo"].map((name) => path.join(other, "projects", "shop", name));
    for (const one of [root, kept, repo]) mkdirSync(one ?? "", { recursive: true });
    const stateDir = path.join(folder, "state");
    const config = { ...agents({ main: { workspace: root } }), ...pluginConfig({ allowedRepos: [folder] }) };
    const fake = createFakeHost(config, stateDir);
    const store = createMemoryStore({ renderPages: () => ({}) });
    const desk = createDesk(fake.host, { root, store });
    const runner = createAgentRunner(fake.host, () => fake.host.settings(), root, store);
    const run = {
      runId: "a-run",
      sessionKey: "agent:main:subagent:one",
      role: "builder",
      brief: "",
    } as const;
    onTestFinished(async () => {
      await (await shared().roots.get(other))?.store.close();
      shared().roots.clear();
    });
    return {
      kept: kept ?? "",
      repo: repo ?? "",
      launchedIn: fake.launchedIn,
      chosen: (wanted: string) => desk.chooseRepo("new", wanted),
      launch: (cwd: string) => runner.launch({ ...run, cwd }),
      ways: {
        open: async () => void (await openRoot(other, () => undefined)),
        named: async () =>
          fake.configure({ ...config, ...agents({ main: { workspace: root }, second: { workspace: other } }) }),
        remembered: () => createRememberedRoots(stateDir).add(other),
      },
    };
  }

  it.each(["open", "named", "remembered"] as const)(
    "may not be its kept state, neither for a new project nor at a launch: the root is %s",
    async (way) => {
      const { kept, ways, chosen, launch, launchedIn } = setup();
      expect(await chosen(kept)).toBe(kept);
      await launch(kept);
      expect(launchedIn).toStrictEqual([kept]);
      await ways[way]();
      expect(await chosen(kept)).toMatchObject({ code: "invalid-repo", reason: expect.stringContaining("kept state") });
      await expect(launch(kept)).rejects.toThrow("kept state");
      expect(launchedIn).toHaveLength(1);
    },
  );

  it("may be that of one of its projects", async () => {
    const { repo, ways, chosen, launch, launchedIn } = setup();
    await ways.open();
    expect(await chosen(repo)).toBe(repo);
    await launch(repo);
    expect(launchedIn).toStrictEqual([repo]);
  });
});

describe("the plugin's configuration on the host", () => {
  it("is read anew at each use, also when it is taken out again", { tags: ["s8.read-live"] }, () => {
    const { host, configure } = createFakeHost(pluginConfig({ maxAttempts: 5 }));
    expect(host.settings().maxAttempts).toBe(5);
    configure(pluginConfig({ maxAttempts: 2 }));
    expect(host.settings().maxAttempts).toBe(2);
    for (const without of [
      {},
      { plugins: {} },
      { plugins: { entries: {} } },
      { plugins: { entries: { other: {} } } },
    ]) {
      configure(without);
      expect(host.settings().maxAttempts).toBe(3);
      expect(host.agentIds()).toStrictEqual(["main"]);
    }
  });

  it("that is faulty is named in the log once and in the status", { tags: ["s8.faulty-named"] }, () => {
    const { host, logged, configure } = createFakeHost(pluginConfig({ maxAttempts: 0 }));
    host.settings();
    host.settings();
    expect(logged).toHaveLength(1);
    expect(logged[0]).toMatch(/configuration is not valid: \/maxAttempts: /);
    const desk = createDesk(host, { root: "/work", store: createMemoryStore({ renderPages: () => ({}) }) });
    expect(desk.live.remarks()).toStrictEqual([expect.stringMatching(/configuration is not valid: \/maxAttempts: /)]);
    configure({});
    expect(desk.live.remarks()).toStrictEqual([]);
    host.settings();
    expect(logged).toHaveLength(1);
    configure(pluginConfig({ maxAttempts: 0 }));
    host.settings();
    expect(logged, "faulty anew").toHaveLength(2);
  });

  it(
    "launches nothing for a role while it cannot be told which agent plays it",
    { tags: ["s8.faulty-fails-safe"] },
    async () => {
      const { host, configure } = createFakeHost(
        pluginConfig({ roles: { builder: { agentId: 7 }, qa: { agentId: "qa" } } }),
      );
      const runner = createAgentRunner(
        host,
        () => host.settings(),
        "/work",
        createMemoryStore({ renderPages: () => ({}) }),
      );
      const stream = { projectId: "shop", taskId: "login-1" };
      await expect(runner.agentFor("builder", stream)).rejects.toMatchObject({ code: "host-refused" });
      expect(await runner.agentFor("qa", stream)).toBe("qa");
      configure(pluginConfig({ roles: { builder: { agentId: "builder" } } }));
      expect([await runner.agentFor("builder", stream), await runner.agentFor("qa", stream)]).toStrictEqual([
        "builder",
        "main",
      ]);
    },
  );
});

/** How a check is started and what becomes of it, with a host that only notes what it is asked to run. */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { chmod, mkdir, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { isRunning } from "../../src/files/process-tree.ts";
import { buildersAreUnconfined, createCheckRunner, tailOf } from "../../src/host/check-runner.ts";
import type { Host } from "../../src/host/openclaw.ts";
import { bounds } from "../../src/schema/bounds.ts";
import { readSettings, type Config } from "../../src/schema/config.ts";
import type { Check } from "../../src/schema/documents.ts";
import { createMemoryStore } from "../../src/store/memory-store.ts";
import { aRealRoot } from "../support/real-root.ts";

type Asked = {
  readonly words: readonly string[];
  readonly options: {
    readonly cwd: string;
    readonly timeoutMs: number;
    readonly killProcessTree: boolean;
    readonly maxOutputBytes: number;
    readonly baseEnv: Readonly<Record<string, string>>;
  };
};
type Result = {
  readonly code: number | null;
  readonly termination: string;
  readonly stdout: string;
  readonly stderr: string;
};
const stream = { projectId: "shop", taskId: "login-1" };
const passing: Result = { code: 0, termination: "exit", stdout: "fine\n", stderr: "" };

/** Folders on the PATH, each with a program called `tool`: one in the repository, one in another project, two outside. */
async function setup(config: Config = { checks: { allow: ["tool"] } }, hostConfig: object = {}) {
  const root = await aRealRoot();
  const repo = path.join(root, "projects", "shop", "repo");
  const folders = {
    repo: path.join(repo, "bin"),
    otherProject: path.join(root, "projects", "other", "repo", "bin"),
    outside: path.join(root, "outside"),
    later: path.join(root, "later"),
  };
  for (const folder of Object.values(folders)) {
    await mkdir(folder, { recursive: true });
    await writeFile(path.join(folder, "tool"), "#!/bin/sh\n");
    await chmod(path.join(folder, "tool"), 0o755);
  }
  const setPath = (...names: readonly string[]) => vi.stubEnv("PATH", names.join(path.delimiter));
  setPath(...Object.values(folders));
  onTestFinished(() => void vi.unstubAllEnvs());
  const asked: Asked[] = [];
  let answer: (asked: Asked) => Result = () => passing;
  const settings = () => readSettings(config).settings;
  // The runner asks the host for nothing else.
  const warnings: string[] = [];
  const host = {
    settings,
    log: { warn: (message: string) => void warnings.push(message) },
    config: () => hostConfig,
    defaultAgentId: () => "main",
    api: {
      runtime: {
        system: {
          runCommandWithTimeout: (words: readonly string[], options: Asked["options"]) => {
            asked.push({ words, options });
            return Promise.resolve().then(() => answer({ words, options }));
          },
        },
      },
    },
  } as unknown as Host;
  const store = createMemoryStore({ renderPages: () => ({}) });
  const runner = createCheckRunner(host, settings, path.join(root, "projects"), store);
  const signal = new AbortController().signal;
  return {
    root,
    repo,
    folders,
    asked,
    warnings,
    setPath,
    answers: (how: (asked: Asked) => Result) => void (answer = how),
    run: (fields: Partial<Check> = {}, stepId = "step-01") =>
      runner.run(
        { name: "mine", command: ["tool", "a b", "$HOME; ls"], timeoutSeconds: 7, ...fields },
        repo,
        signal,
        stream,
        stepId,
      ),
  };
}

describe("a check", () => {
  it(
    "starts its program with its words as they are, in the repository, through the host",
    { tags: ["s7.checks-no-shell"] },
    async () => {
      const { run, asked, repo, folders } = await setup();
      expect(await run()).toMatchObject({ name: "mine", exitCode: 0, timedOut: false, outputTail: "fine\n" });
      expect(asked).toHaveLength(1);
      expect(asked[0]?.words.slice(-3)).toStrictEqual([path.join(folders.outside, "tool"), "a b", "$HOME; ls"]);
      expect(asked[0]?.options).toMatchObject({
        cwd: repo,
        timeoutMs: 7_000,
        killProcessTree: true,
        requireProcessTreeExtinction: true,
        input: "",
        maxOutputBytes: bounds.outputTailBytes,
      });
    },
  );

  it(
    "has PATH, HOME, LANG and a temporary folder of its own in its environment, and nothing else",
    { tags: ["s7.checks-environment"] },
    async () => {
      const { run, asked, answers } = await setup();
      vi.stubEnv("MY_SECRET_KEY", "secret");
      const folders: string[] = [];
      answers(({ options }) => {
        const { TMPDIR = "" } = options.baseEnv;
        expect(existsSync(TMPDIR)).toBe(true);
        folders.push(TMPDIR);
        return passing;
      });
      await run();
      await run();
      expect(new Set(folders).size).toBe(2);
      expect(folders.filter(existsSync)).toStrictEqual([]);
      const { HOME = "", PATH = "" } = process.env;
      const { LANG = "C.UTF-8" } = process.env;
      const expected = { PATH, HOME, LANG, TMPDIR: folders[0] ?? "" };
      expect(asked[0]?.options.baseEnv).toStrictEqual(expected);
      // The host's runner adds a variable of its own; `env -i` takes it away.
      expect(asked[0]?.words.slice(0, 6)).toStrictEqual([
        "/usr/bin/env",
        "-i",
        ...Object.entries(expected).map(([name, value]) => `${name}=${value}`),
      ]);
    },
  );

  it("leaves no temporary folder behind when it cannot be started", { tags: ["s7.checks-environment"] }, async () => {
    const { run, answers } = await setup();
    let folder = "";
    answers(({ options }) => {
      folder = options.baseEnv["TMPDIR"] ?? "";
      throw new Error("spawn ENOENT");
    });
    expect(await run()).toMatchObject({ exitCode: null, outputTail: expect.stringContaining("spawn ENOENT") });
    expect(folder).not.toBe("");
    expect(existsSync(folder)).toBe(false);
  });

  it.runIf(process.platform === "linux")(
    "counts also when what it left in its temporary folder cannot be removed, which is said",
    async () => {
      const { run, answers, warnings } = await setup();
      let folder = "";
      answers(({ options }) => {
        folder = options.baseEnv["TMPDIR"] ?? "";
        // Folders in folders until a whole path is longer than the system takes.
        const [inner, outer] = [path.join(folder, "x".repeat(200)), path.join(folder, "outer")];
        mkdirSync(inner);
        for (let depth = 0; depth < 30; depth += 1) {
          mkdirSync(outer);
          renameSync(inner, path.join(outer, path.basename(inner)));
          renameSync(outer, inner);
        }
        return passing;
      });
      onTestFinished(() => void execFileSync("/bin/rm", ["-rf", folder]));
      expect(await run()).toMatchObject({ exitCode: 0, outputTail: "fine\n" });
      expect(warnings).toStrictEqual([expect.stringContaining(`left in ${folder} could not be removed`)]);
    },
  );

  it.runIf(process.platform === "linux")(
    "first ends what a killed gateway left of the checks of its step, and of no other step",
    { tags: ["s7.checks-left"] },
    async () => {
      const { run, answers } = await setup();
      const folders: string[] = [];
      answers(({ options }) => {
        folders.push(options.baseEnv["TMPDIR"] ?? "");
        return passing;
      });
      await run();
      await run({}, "step-02");
      // As a killed gateway leaves them: processes in sessions of their own, with their folders.
      const left = folders.map((folder) => {
        mkdirSync(folder);
        return spawn("/bin/sleep", ["300"], { detached: true, stdio: "ignore", env: { TMPDIR: folder } });
      });
      onTestFinished(() => {
        for (const child of left) child.kill("SIGKILL");
        for (const folder of folders) rmSync(folder, { recursive: true, force: true });
      });
      const living = () => left.map(({ pid = 0 }) => isRunning(pid));
      expect(living()).toStrictEqual([true, true]);
      const before = folders.splice(0);
      await run({ name: "another" });
      expect(living()).toStrictEqual([false, true]);
      expect(before.map((folder) => existsSync(folder))).toStrictEqual([false, true]);
      folders.push(...before);
    },
  );

  it(
    "fails with the exit code of its program, and without one when the time was up",
    { tags: ["s7.checks-time-limit"] },
    async () => {
      const { run, answers } = await setup();
      answers(() => ({ code: 3, termination: "exit", stdout: "out\n", stderr: "err\n" }));
      expect(await run()).toMatchObject({ exitCode: 3, timedOut: false, outputTail: "out\nerr\n" });
      answers(() => ({ code: 124, termination: "timeout", stdout: "so far", stderr: "" }));
      expect(await run()).toMatchObject({ exitCode: null, timedOut: true, outputTail: "so far" });
    },
  );

  it("keeps the end of its output, cut at a character", { tags: ["s7.checks-output"] }, async () => {
    const { run, answers } = await setup();
    answers(() => ({ ...passing, stdout: "a".repeat(bounds.outputTailBytes), stderr: "THE END" }));
    const { outputTail } = await run();
    expect(Buffer.byteLength(outputTail)).toBe(bounds.outputTailBytes);
    expect(outputTail.endsWith("aTHE END")).toBe(true);
    const cut = tailOf(`${"€".repeat(bounds.outputTailBytes)}.`);
    expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(bounds.outputTailBytes);
    expect(cut).toMatch(/^€+\.$/);
  });
});

describe("the outputs of a check", { tags: ["s7.checks-output"] }, () => {
  it("each keep their end when both are long", async () => {
    const { run, answers } = await setup();
    const long = "x".repeat(bounds.outputTailBytes);
    answers(() => ({ ...passing, stdout: `${long}2 of 3 failed\n`, stderr: `${long}a warning\n` }));
    const { outputTail } = await run();
    expect(outputTail).toContain("x2 of 3 failed\nx");
    expect(outputTail.endsWith("xa warning\n")).toBe(true);
    expect(Buffer.byteLength(outputTail)).toBe(bounds.outputTailBytes);
  });

  it("leave each other the room that they do not need", async () => {
    const { run, answers } = await setup();
    answers(() => ({ ...passing, stdout: "2 of 3 failed\n", stderr: "x".repeat(bounds.outputTailBytes) }));
    const { outputTail } = await run();
    expect(outputTail).toMatch(/^2 of 3 failed\nx+$/);
    expect(Buffer.byteLength(outputTail)).toBe(bounds.outputTailBytes);
  });
});

describe("the program of a check", () => {
  it(
    "is the first of its name on the PATH outside the projects and the repository, and is recorded",
    { tags: ["s7.checks-on-path", "s7.checks-program-recorded"] },
    async () => {
      const { run, folders, setPath, root } = await setup();
      expect((await run()).program).toBe(path.join(folders.outside, "tool"));
      setPath(folders.later, folders.outside);
      expect((await run()).program).toBe(path.join(folders.later, "tool"));
      // A link does not bring the repository's program onto the PATH, neither of the folder nor of the file.
      await symlink(folders.repo, path.join(root, "linked"));
      await mkdir(path.join(root, "single"));
      await symlink(path.join(folders.repo, "tool"), path.join(root, "single", "tool"));
      setPath(path.join(root, "linked"), path.join(root, "single"), "", ".", "relative", folders.outside);
      expect((await run()).program).toBe(path.join(folders.outside, "tool"));
    },
  );

  it("that is found nowhere is not run, and the result says so", { tags: ["s7.checks-on-path"] }, async () => {
    const { run, asked, setPath, folders } = await setup();
    setPath(folders.repo, folders.otherProject);
    expect(await run()).toMatchObject({
      exitCode: null,
      program: null,
      outputTail: expect.stringContaining("was not found"),
    });
    await chmod(path.join(folders.outside, "tool"), 0o644);
    setPath(folders.outside);
    expect((await run()).program).toBeNull();
    expect(asked).toStrictEqual([]);
  });

  it("with a slash is not run, even when it is allowed", { tags: ["s7.checks-no-slash"] }, async () => {
    const { root } = await setup();
    const absolute = path.join(root, "outside", "tool");
    const { run, asked } = await setup({ checks: { allow: [absolute, "./tool"] } });
    for (const program of [absolute, "./tool"])
      expect(await run({ command: [program] })).toMatchObject({ exitCode: null, program: null });
    expect(asked).toStrictEqual([]);
  });

  it("that is not allowed any more is not run", { tags: ["s7.checks-allow"] }, async () => {
    const { run, asked } = await setup({ checks: { allow: ["node"] } });
    expect(await run()).toMatchObject({
      exitCode: null,
      program: null,
      outputTail: expect.stringContaining("tool is no longer in checks.allow"),
    });
    expect(asked).toStrictEqual([]);
  });
});

const confining: readonly (readonly [string, object])[] = [
  ["a sandbox for every agent", { agents: { defaults: { sandbox: { mode: "all" } } } }],
  ["a sandbox for subagents", { agents: { defaults: { sandbox: { mode: "non-main" } } } }],
  ["a sandbox for this agent", { agents: { entries: { main: { sandbox: { mode: "all" } } } } }],
  ["commands in a sandbox", { tools: { exec: { host: "sandbox" } } }],
  ["commands on another machine", { tools: { exec: { host: "node" } } }],
  ...["deny", "allowlist", "ask", "auto"].map((mode) => [`mode ${mode}`, { tools: { exec: { mode } } }] as const),
  ["mode ask for this agent", { agents: { entries: { main: { tools: { exec: { mode: "ask" } } } } } }],
  ["an allowlist", { tools: { exec: { security: "allowlist", ask: "off" } } }],
  ["a question at each command", { tools: { exec: { security: "full", ask: "always" } } }],
  ...["exec", " Bash", "group:runtime", "*", "ex*"].map(
    (name) => [`${name} denied`, { tools: { deny: [name] } }] as const,
  ),
  ["exec denied to this agent", { agents: { entries: { main: { tools: { deny: ["web_fetch", "exec"] } } } } }],
  ["exec denied to subagents", { tools: { subagents: { tools: { deny: ["exec"] } } } }],
  ["only other tools allowed", { tools: { allow: ["read", "group:fs"] } }],
  ["only other tools allowed to this agent", { agents: { entries: { main: { tools: { allow: ["read"] } } } } }],
  ["a profile without commands", { tools: { profile: "messaging" } }],
  ["a profile without commands, whatever is allowed of it", { tools: { profile: "minimal", allow: ["exec"] } }],
  ["a profile without commands for this agent", { agents: { entries: { main: { tools: { profile: "minimal" } } } } }],
];
const free: readonly (readonly [string, object])[] = [
  ["nothing", {}],
  ["mode full", { tools: { exec: { mode: "full", host: "gateway" } } }],
  ["full without questions", { tools: { exec: { security: "full", ask: "off", host: "auto" } } }],
  [
    "no sandbox for this agent",
    { agents: { defaults: { sandbox: { mode: "all" } }, entries: { main: { sandbox: { mode: "off" } } } } },
  ],
  [
    "mode full for this agent",
    { agents: { entries: { main: { tools: { exec: { mode: "full" } } } } }, tools: { exec: { mode: "ask" } } },
  ],
  ["a sandbox for another agent", { agents: { entries: { other: { sandbox: { mode: "all" } } } } }],
  ["other tools denied", { tools: { deny: ["group:web", "browser", "execute", "web_*"] } }],
  ["exec denied to another agent", { agents: { entries: { other: { tools: { deny: ["exec"] } } } } }],
  ["exec allowed", { tools: { allow: ["group:fs", "group:runtime"], deny: [] } }],
  ["exec allowed beside others", { tools: { allow: ["read"], alsoAllow: ["exec"] } }],
  ["no tool allowed by name", { tools: { allow: [] } }],
  ["a profile with commands", { tools: { profile: "coding" } }],
  ["commands beside a profile", { tools: { profile: "messaging", alsoAllow: ["exec"] } }],
  [
    "a profile with commands for this agent",
    { tools: { profile: "minimal" }, agents: { entries: { main: { tools: { profile: "full" } } } } },
  ],
];

describe("a builder", { tags: ["s7.checks-confined"] }, () => {
  const hostWith = (config: object, own: Config = {}) =>
    // The decision reads nothing else.
    ({ config: () => config, settings: () => readSettings(own).settings }) as unknown as Host;

  it.each(confining)("is confined by %s", (_words, config) => {
    expect(buildersAreUnconfined(hostWith(config), "main")).toBe(false);
  });

  it.each(free)("is not confined by %s", (_words, config) => {
    expect(buildersAreUnconfined(hostWith(config), "main")).toBe(true);
  });

  it("is judged by its own agent when the configuration names one", () => {
    const config = { agents: { entries: { builder: { sandbox: { mode: "all" } } } } };
    expect(buildersAreUnconfined(hostWith(config, { roles: { builder: { agentId: "builder" } } }), "main")).toBe(false);
    expect(buildersAreUnconfined(hostWith(config), "main")).toBe(true);
  });

  it("is the agent that the host takes an entry for, in whatever letters its key is written", () => {
    const config = { agents: { entries: { Main: {}, Builder: { sandbox: { mode: "all" } } } } };
    expect(buildersAreUnconfined(hostWith(config, { roles: { builder: { agentId: "Builder" } } }), "main")).toBe(false);
    expect(buildersAreUnconfined(hostWith(config), "builder")).toBe(false);
    expect(buildersAreUnconfined(hostWith(config), "main")).toBe(true);
  });
});

describe("a check for a confined builder", () => {
  const confined = { tools: { exec: { mode: "ask" } } };

  it("is not run, and the result says why", { tags: ["s7.checks-unconfined-run"] }, async () => {
    const { run, asked } = await setup({ checks: { allow: ["tool"] } }, confined);
    expect(await run()).toMatchObject({
      exitCode: null,
      program: null,
      outputTail: expect.stringContaining("checks-unconfined"),
    });
    expect(asked).toStrictEqual([]);
  });

  it("is run when the configuration says so", { tags: ["s7.checks-allow-unconfined"] }, async () => {
    const { run } = await setup({ checks: { allow: ["tool"], allowUnconfined: true } }, confined);
    expect((await run()).exitCode).toBe(0);
  });
});

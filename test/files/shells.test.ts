/** Programs run by shells that stay: what they are given and answer, how they fail, and that nothing of them is left. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import { isRunning } from "../../src/files/process-tree.ts";
import { createShells, ProgramFailure, type RunProgram } from "../../src/files/shells.ts";
import { until } from "../../harness/wait.ts";

function aFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), "po-shells-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const environment = () => ({ PATH: process.env["PATH"], GIVEN: "to all" });
const sh = (run: RunProgram, script: string, ...words: readonly string[]) =>
  run({ program: "sh", calls: [["-c", script, "sh", ...words]], env: {}, cwd: tmpdir() });
/** The process that runs the programs. */
const shellOf = (run: RunProgram) => sh(run, "echo $PPID").then(Number);

const kinds = [
  ["a shell that stays", () => createShells(60_000, environment)],
  ["this process, where no shell can be started", () => createShells(60_000, environment, "/no/such/shell")],
] as const;

describe.each(kinds)("a program that is run by %s", (_what, aRunner) => {
  it("is given its words, variables and folder as they are, and answers what it wrote", async () => {
    const [run, folder] = [aRunner(), aFolder()];
    const hostile = ["", "two words", "it's", "$(touch x) `touch x` $HOME", "a\nb\n", "*", "-n", "\u754c"];
    const answer = await run({
      program: "sh",
      calls: [["-c", `printf '%s|' "$GIVEN" "$MORE" "$PWD" "$@"`, "sh", ...hostile]],
      env: { MORE: "it's\n$HOME" },
      cwd: folder,
    });
    expect(answer).toBe([...["to all", "it's\n$HOME", folder], ...hostile].map((word) => `${word}|`).join(""));
    expect(execFileSync("ls", ["-A", folder], { encoding: "utf8" })).toBe("");
  });

  it("may write much, zeros and no line end", async () => {
    const run = aRunner();
    const answer = await sh(run, "head -c 3000000 /dev/zero; printf end; printf much >&2");
    expect(answer).toBe(`${"\0".repeat(3_000_000)}end`);
    expect(await sh(run, "printf next")).toBe("next");
  });

  it("has nothing to read", async () => {
    expect(await sh(aRunner(), "cat; echo read")).toBe("read\n");
  });

  it("is called again as long as it ends well, and answers what all calls wrote", async () => {
    const calls = ["echo one", "echo two; exit 1", "echo three"].map((script) => ["-c", script]);
    const what = { program: "sh", env: {}, cwd: tmpdir() };
    expect(await aRunner()({ ...what, calls: [calls[0] ?? [], calls[2] ?? []] })).toBe("one\nthree\n");
    await expect(aRunner()({ ...what, calls })).rejects.toThrow("sh ended with code 1");
  });

  it("fails with what it said when it ends with another code", async () => {
    const run = aRunner();
    const failed = await sh(run, "echo wrote; echo because >&2; exit 128").catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(ProgramFailure);
    expect(failed).toHaveProperty("message", "sh ended with code 128: because");
    await expect(sh(run, "exit 255")).rejects.toThrow(ProgramFailure);
    expect(await sh(run, "echo next")).toBe("next\n");
  });

  it.each([
    ["was ended by a signal", { program: "sh", calls: [["-c", "kill -KILL $$"]], cwd: tmpdir() }],
    ["is not there", { program: "no-such-program", calls: [[]], cwd: tmpdir() }],
    ["has no folder", { program: "true", calls: [[]], cwd: "/no/such/folder" }],
  ])("fails otherwise when it %s", async (_how, what) => {
    const run = aRunner();
    const failed = await run({ ...what, env: {} }).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(Error);
    expect(failed).not.toBeInstanceOf(ProgramFailure);
    expect(await sh(run, "echo next")).toBe("next\n");
  });

  it("runs beside others, and each has its own answer", async () => {
    const run = aRunner();
    const folder = aFolder();
    execFileSync("mkfifo", [path.join(folder, "pipe")]);
    const waiting = sh(run, `cat ${folder}/pipe`);
    const others = await Promise.all(["1", "2", "3"].map((word) => sh(run, 'echo "$1"', word)));
    expect(others).toStrictEqual(["1\n", "2\n", "3\n"]);
    writeFileSync(path.join(folder, "pipe"), "last");
    expect(await waiting).toBe("last");
  });
});

describe("a program that does not end", () => {
  it("is killed with what it started, and the next one runs", async () => {
    const [run, folder] = [createShells(3_000, environment), aFolder()];
    const pids = path.join(folder, "pids");
    await expect(sh(run, `sleep 1000 & echo $$ $! >'${pids}'; wait`)).rejects.toThrow(
      "sh took longer than 3000 ms and was killed",
    );
    for (const pid of readFileSync(pids, "utf8").split(" ").map(Number))
      await until("it to be gone", () => !isRunning(pid) || undefined);
    expect(await sh(run, "echo next")).toBe("next\n");
  });
});

describe("the shells", () => {
  it("stay for the next program", async () => {
    const run = createShells(60_000, environment);
    const first = await shellOf(run);
    expect(first).not.toBe(process.pid);
    expect(await shellOf(run)).toBe(first);
  });

  it("are started anew when somebody ended the one that waited, and nobody notices", async () => {
    const run = createShells(60_000, environment);
    const first = await shellOf(run);
    process.kill(first, "SIGKILL");
    expect(await shellOf(run)).not.toBe(first);
  });

  it("give the next program nothing of what the one before left running", async () => {
    const [run, folder] = [createShells(60_000, environment), aFolder()];
    const pipe = path.join(folder, "pipe");
    execFileSync("mkfifo", [pipe]);
    const left = Number(await sh(run, `cat '${pipe}' & echo $!`));
    writeFileSync(pipe, "late");
    await until("it to be gone", () => !isRunning(left) || undefined);
    expect(await sh(run, "echo next")).toBe("next\n");
    expect(await sh(run, "echo after")).toBe("after\n");
  });

  it("do as they are told whatever is in the environment", async () => {
    const hostile = {
      SHELLOPTS: "errexit:noexec",
      "BASH_FUNC_git%%": "() { echo function; }",
      ENV: "/no/such",
      "a b": "c",
    };
    const run = createShells(60_000, () => ({ ...environment(), ...hostile }), "/bin/bash");
    const git = (...words: string[]) => run({ program: "git", calls: [words], env: {}, cwd: "/" });
    await expect(git("no-such-command")).rejects.toThrow(ProgramFailure);
    expect(await git("--version")).toMatch(/^git version/);
  });

  it("fail a program that was under way when somebody ended them", async () => {
    const run = createShells(60_000, environment);
    await expect(sh(run, "kill -KILL $PPID")).rejects.toThrow("sh was ended with the shell that ran it");
    expect(await sh(run, "echo next")).toBe("next\n");
  });

  it("keep no process alive, and end with it", async () => {
    const folder = aFolder();
    const file = path.join(folder, "main.ts");
    const module = pathToFileURL(path.join(import.meta.dirname, "../../src/files/shells.ts")).href;
    writeFileSync(
      file,
      `import { createShells } from ${JSON.stringify(module)};
const run = createShells(60_000, () => process.env);
const one = () => run({ program: "sh", calls: [["-c", "echo $PPID"]], env: {}, cwd: "/" });
process.stdout.write((await Promise.all([one(), one()])).join(""));\n`,
    );
    const shells = execFileSync(process.execPath, [file], { encoding: "utf8", timeout: 60_000 });
    const pids = shells.trim().split("\n").map(Number);
    expect(new Set(pids).size).toBe(2);
    for (const pid of pids) await until("it to be gone", () => !isRunning(pid) || undefined);
  });
});

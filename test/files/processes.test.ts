/** Facts about real processes: whether a launcher still lives, and that a tree of processes is ended as a whole. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { text } from "node:stream/consumers";
import { describe, expect, it, onTestFinished } from "vitest";
import { isAlive, startOf, thisProcess } from "../../src/files/launcher.ts";
import { endProcessTrees, isRunning } from "../../src/files/process-tree.ts";
import { eventually } from "../support/eventually.ts";

function aProcess(script: string): ChildProcess {
  const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "ignore"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

const pidOf = (child: ChildProcess) => child.pid ?? 0;
const stays = "setInterval(() => {}, 1000)";

/** True while the kernel lists the process: also for one that has ended and that its parent has not collected yet. */
function isListed(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe("a launcher", () => {
  it("that is this process is alive", () => {
    const launcher = thisProcess("boot-1");
    expect(launcher).toMatchObject({ host: hostname(), pid: process.pid, bootId: "boot-1" });
    expect(isAlive(launcher)).toBe(true);
  });

  it("that has ended is not", async () => {
    const child = aProcess("");
    await once(child, "exit");
    expect(isAlive({ ...thisProcess("boot-1"), pid: pidOf(child) })).toBe(false);
  });

  it.skipIf(process.platform !== "linux")("whose process id another process has by now is not", () => {
    const child = aProcess(stays);
    expect(isAlive({ ...thisProcess("boot-1"), pid: pidOf(child) })).toBe(false);
    expect(isAlive({ ...thisProcess("boot-1"), startedAt: "another boot/1" })).toBe(false);
  });

  it.skipIf(process.platform !== "linux")("that has ended is not, although nobody has collected it yet", async () => {
    // The shell becomes a program that never asks about its child, which ends when it is told to: it stays in the table of processes.
    const parent = spawn("sh", ["-c", "exec 3<&0; cat <&3 >&2 & echo $!; exec sleep 300"], {
      stdio: ["pipe", "pipe", "ignore"],
    });
    onTestFinished(() => void parent.kill("SIGKILL"));
    const pid = Number(String((await once(parent.stdout, "data"))[0]));
    const startedAt = startOf(pid);
    const launcher = { ...thisProcess("boot-1"), pid, startedAt: startedAt ?? "not told" };
    expect(isAlive(launcher)).toBe(true);
    // As long as it is a shell it may ask.
    await eventually(() => expect(readFileSync(`/proc/${parent.pid}/comm`, "utf8")).toBe("sleep\n"));
    parent.stdin.end();
    await eventually(() => expect(isAlive(launcher)).toBe(false));
    expect(startedAt).toContain("/");
    expect([isListed(pid), isRunning(pid)]).toEqual([true, false]);
  });

  it("of another host is taken as alive", () => {
    expect(isAlive({ ...thisProcess("boot-1"), host: "elsewhere", pid: 2 ** 30 })).toBe(true);
  });
});

describe.skipIf(process.platform !== "linux")("a tree of processes", () => {
  /** A process whose child has a child of its own; the youngest tells its id and leads a group of its own. */
  async function aTree() {
    const spawning = (inner: string) =>
      `require("child_process").spawn(process.execPath, ["-e", ${JSON.stringify(inner)}], { stdio: "inherit", detached: true }); ${stays}`;
    const root = aProcess(spawning(spawning(`console.log(process.pid); ${stays}`)));
    const [said] = root.stdout === null ? [] : await once(root.stdout, "data");
    const youngest = Number(String(said));
    onTestFinished(() => {
      if (isListed(youngest)) process.kill(youngest, "SIGKILL");
    });
    return { root, youngest };
  }

  it("is ended down to its youngest", async () => {
    const { root, youngest } = await aTree();
    const ended = once(root, "exit");
    expect(isRunning(youngest)).toBe(true);
    await endProcessTrees([pidOf(root)]);
    expect(isRunning(youngest)).toBe(false);
    expect((await ended)[1]).toBe("SIGKILL");
  });

  it("is ended before any of it can take notice of another's end", async () => {
    // A shell whose command is killed goes on with what stands behind it, unless the shell was stopped before.
    const shell = spawn("sh", ["-c", "sleep 300; echo went on"], { stdio: ["ignore", "pipe", "ignore"] });
    onTestFinished(() => void shell.kill("SIGKILL"));
    const command = await eventually(() => {
      const [child] = readFileSync(`/proc/${pidOf(shell)}/task/${pidOf(shell)}/children`, "utf8")
        .trim()
        .split(" ");
      expect(readFileSync(`/proc/${child}/comm`, "utf8").trim()).toBe("sleep");
      return Number(child);
    });
    const ended = once(shell, "exit");
    const said = text(shell.stdout);
    const noProcesses = Array.from({ length: 3000 }, (_, at) => 2 ** 30 + at);
    await endProcessTrees([pidOf(shell), ...noProcesses, command]);
    expect([await said, (await ended)[1]]).toEqual(["", "SIGKILL"]);
  });

  it("that is gone, or is this process or the first of all, is passed over", async () => {
    const child = aProcess("");
    await once(child, "exit");
    await endProcessTrees([pidOf(child), process.pid, 1, 0, -1]);
    expect(isRunning(process.pid)).toBe(true);
  });
});

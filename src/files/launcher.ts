/** Which process this is, told so exactly that a later process on the same machine can see whether it still lives. */
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import type { Launcher } from "../schema/events.ts";

/** This process. `startedAt` and `bootId` come from the kernel where it tells them, so that a reused process id is no mistake. */
export function thisProcess(processId: string): Launcher {
  return { host: hostname(), pid: process.pid, startedAt: startOf(process.pid) ?? processId, bootId: processId };
}

/** True when the launcher still lives; false when it is gone, or when another process has its id. On another host: unknown, taken as alive. */
export function isAlive(launcher: Launcher): boolean {
  if (launcher.host !== hostname()) return true;
  try {
    process.kill(launcher.pid, 0);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EPERM")) return false;
  }
  const start = startOf(launcher.pid);
  return start === undefined || start === launcher.startedAt;
}

/** Boot of the machine and start of the process in ticks since then; `ended` for one that only its parent still has to collect; undefined where the kernel does not tell. */
export function startOf(pid: number): string | undefined {
  const stat = statOf(pid);
  if (stat[0] === "Z" || stat[0] === "X") return "ended";
  const ticks = stat[19];
  const boot = bootOfMachine();
  return ticks === undefined || boot === undefined ? undefined : `${boot}/${ticks}`;
}

/** Another text after each start of the machine; undefined where the kernel does not tell. */
export function bootOfMachine(): string | undefined {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return undefined;
  }
}

/** What the kernel tells of a process behind its name: its state, its parent's id, and so on; nothing of one that is gone. */
export function statOf(pid: number): readonly string[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch {
    return [];
  }
}

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
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z" || fields[0] === "X") return "ended";
    const ticks = fields[19];
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    return ticks === undefined ? undefined : `${boot}/${ticks}`;
  } catch {
    return undefined;
  }
}

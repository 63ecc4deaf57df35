/** Ending processes that a run left behind, with everything they started. Only where the kernel lists processes in /proc. */
import { readdir, readFile, readlink } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { startOf } from "./launcher.ts";

/** How often, and with which pause, is looked whether the kernel has carried out a kill. It does so at once, but for a process deep in a system call. */
const looks = 200;
const pauseMs = 10;

/** How often an empty environment is looked at, a millisecond apart. */
const looksAtEmpty = 20;

/** How often is looked for what was started while the others were being stopped. What is stopped starts nothing: more is needed by no program but one that multiplies. */
const rounds = 100;

/**
 * Ends the processes and all their descendants, and comes back when none of them runs any more; those that are gone already are
 * passed over. None of them goes on because another has ended. One that the kernel does not let go of is waited for two seconds.
 * Never throws.
 */
export async function endProcessTrees(pids: readonly number[]): Promise<void> {
  // All are stopped before the first is killed: a shell whose command is killed would carry out what stands behind it.
  const all = new Set<number>();
  for (let round = 0, found = [...pids]; found.length > 0 && round < rounds; round += 1) {
    const fresh = found.filter((pid) => pid > 1 && pid !== process.pid && !all.has(pid));
    for (const pid of fresh) {
      all.add(pid);
      signalWithGroup(pid, "SIGSTOP");
    }
    const children = await childrenOf();
    found = [...all].flatMap((pid) => children.get(pid) ?? []).filter((pid) => !all.has(pid));
  }
  for (const pid of all) signalWithGroup(pid, "SIGKILL");
  for (let look = 0, left = [...all]; look < looks; look += 1) {
    left = left.filter(isRunning);
    if (left.length === 0) return;
    await sleep(pauseMs);
  }
}

/** Whether the process runs: one that has ended and that its parent has not asked about yet (a zombie) does not. Never throws. */
export function isRunning(pid: number): boolean {
  const start = startOf(pid);
  return start !== undefined && start !== "ended";
}

/** The processes in whose environment the variable has that value, whoever started them and whoever their parent is now. Never throws. */
export async function processesWith(name: string, value: string): Promise<readonly number[]> {
  return processesWhere(name, (found) => found === value);
}

/** As `processesWith`, for each value of the variable that is one of those meant. */
export async function processesWhere(name: string, isMeant: (value: string) => boolean): Promise<readonly number[]> {
  const beginning = `${name}=`;
  const found = await Promise.all(
    (await listedProcesses()).map(async (pid) => {
      const environment = await environmentOf(pid);
      const entry = environment.split("\0").find((one) => one.startsWith(beginning));
      return entry !== undefined && isMeant(entry.slice(beginning.length)) ? [pid] : [];
    }),
  );
  return found.flat();
}

/** Empty for one that has none, that may not be read, or that is gone. */
async function environmentOf(pid: number): Promise<string> {
  for (let look = 1; ; look += 1) {
    const environment = await readFile(`/proc/${pid}/environ`, "utf8").catch(() => undefined);
    if (environment !== "" || look === looksAtEmpty) return environment ?? "";
    // A process that just becomes another program has none for a moment. What is no program (the kernel's own, and what has ended) never has one.
    if ((await readlink(`/proc/${pid}/exe`).catch(() => undefined)) === undefined) return "";
    await sleep(1);
  }
}

/** The process and, where it leads one, its group. */
function signalWithGroup(pid: number, signal: "SIGSTOP" | "SIGKILL"): void {
  for (const target of [-pid, pid]) {
    try {
      process.kill(target, signal);
    } catch {
      // It is gone, or it leads no group: both are what is wanted.
    }
  }
}

async function childrenOf(): Promise<ReadonlyMap<number, readonly number[]>> {
  const children = new Map<number, number[]>();
  await Promise.all(
    (await listedProcesses()).map(async (pid) => {
      const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
      const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
      if (parent > 0) children.set(parent, [...(children.get(parent) ?? []), pid]);
    }),
  );
  return children;
}

async function listedProcesses(): Promise<readonly number[]> {
  const names = await readdir("/proc").catch((): string[] => []);
  return names.filter((name) => /^\d+$/.test(name)).map(Number);
}

/** Ending processes that a run left behind, with everything they started. Only where the kernel lists processes in /proc. */
import { readdirSync, readFileSync } from "node:fs";
import { readlink } from "node:fs/promises";
import { setImmediate as nextLoop, setTimeout as sleep } from "node:timers/promises";
import { startOf, statOf } from "./launcher.ts";

/** How often, and with which pause, is looked whether the kernel has carried out a kill. It does so at once, but for a process deep in a system call. */
const looks = 200;
const pauseMs = 10;

/** How often an empty environment is looked at, a millisecond apart. */
const looksAtEmpty = 20;

const processesPerTurn = 100;

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
  const has = (environment: string) => {
    const entry = environment.split("\0").find((one) => one.startsWith(beginning));
    return entry !== undefined && isMeant(entry.slice(beginning.length));
  };
  const found: number[] = [];
  const empty: number[] = [];
  await lookAtEach((pid) => {
    const environment = environmentOf(pid);
    if (environment === "") empty.push(pid);
    else if (environment !== undefined && has(environment)) found.push(pid);
  });
  const later = await Promise.all(empty.map(async (pid) => (has(await settledEnvironmentOf(pid)) ? [pid] : [])));
  return [...found, ...later.flat()];
}

/** Undefined for a process that is gone or may not be looked at. */
function environmentOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/environ`, "utf8");
  } catch {
    return undefined; // The kernel's own processes have none, either.
  }
}

/** Of a process that just becomes another program, which has none for a moment. What is no program (what has ended) never has one. */
async function settledEnvironmentOf(pid: number): Promise<string> {
  for (let look = 1; look < looksAtEmpty; look += 1) {
    const environment = environmentOf(pid);
    if (environment !== "") return environment ?? "";
    if ((await readlink(`/proc/${pid}/exe`).catch(() => undefined)) === undefined) return "";
    await sleep(1);
  }
  return environmentOf(pid) ?? "";
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
  await lookAtEach((pid) => {
    const parent = Number(statOf(pid)[1]);
    if (parent > 0) children.set(parent, [...(children.get(parent) ?? []), pid]);
  });
  return children;
}

/**
 * Looks at each process, a hundred to a turn of the event loop. The look itself is not asynchronous: in a busy gateway each of some hundred small reads
 * would have to wait for its turn, and the next agent waits for all of them.
 */
async function lookAtEach(look: (pid: number) => void): Promise<void> {
  for (const [at, pid] of listedProcesses().entries()) {
    if (at > 0 && at % processesPerTurn === 0) await nextLoop();
    look(pid);
  }
}

function listedProcesses(): readonly number[] {
  try {
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map(Number);
  } catch {
    return []; // No /proc: nothing can be told of any.
  }
}

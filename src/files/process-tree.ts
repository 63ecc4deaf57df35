/** Ending processes that a run left behind, with everything they started. Only where the kernel lists processes in /proc. */
import { readdir, readFile } from "node:fs/promises";

/** Ends the processes and all their descendants; those that are gone already are passed over. Never throws. */
export async function endProcessTrees(pids: readonly number[]): Promise<void> {
  const children = await childrenOf();
  const all = new Set<number>();
  const pending = [...pids];
  for (let pid = pending.pop(); pid !== undefined; pid = pending.pop()) {
    if (pid <= 1 || pid === process.pid || all.has(pid)) continue;
    all.add(pid);
    pending.push(...(children.get(pid) ?? []));
  }
  for (const pid of all) endOne(pid);
}

/** The processes in whose environment the variable has that value, whoever started them and whoever their parent is now. Never throws. */
export async function processesWith(name: string, value: string): Promise<readonly number[]> {
  const entry = `${name}=${value}`;
  const found = await Promise.all(
    (await listedProcesses()).map(async (pid) => {
      const environment = await readFile(`/proc/${pid}/environ`, "utf8").catch(() => "");
      return environment.split("\0").includes(entry) ? [pid] : [];
    }),
  );
  return found.flat();
}

function endOne(pid: number): void {
  for (const target of [-pid, pid]) {
    try {
      process.kill(target, "SIGKILL");
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

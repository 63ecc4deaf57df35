/**
 * The driving lease: one gateway at a time drives the projects below a root. It is a courtesy, not a safety: runs are
 * fenced by the journal, so two holders for a while do no harm. Nothing here throws from a timer.
 */
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import lockfile from "proper-lockfile";
import { isAlive } from "../files/launcher.ts";
import type { Launcher } from "../schema/events.ts";

/** A lease that was not renewed for so long has no holder any more. */
const staleMs = 15_000;

function filesOf(root: string): { readonly file: string; readonly lock: string } {
  const file = path.join(root, "projects", ".driver", "holder.json");
  return { file, lock: `${file}.lock` };
}

export type Lease = { release(): Promise<void> };

/**
 * Takes the lease of a root, or answers undefined, having written nothing, when another living gateway has it. A lease whose
 * holder is dead is taken over at once. `onLost` is called when the lease was taken away; the caller then stops driving.
 */
export async function takeLease(
  root: string,
  launcher: Launcher,
  onLost: (why: string) => void,
): Promise<Lease | undefined> {
  const { file, lock } = filesOf(root);
  await mkdir(path.dirname(file), { recursive: true });
  const holder = await readHolder(file);
  if (holder !== undefined && !isAlive(holder)) await rm(lock, { recursive: true, force: true });
  let release: () => Promise<void>;
  try {
    release = await lockfile.lock(file, {
      lockfilePath: lock,
      realpath: false,
      stale: staleMs,
      update: 5_000,
      retries: 0,
      onCompromised: (error) => onLost(error.message),
    });
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ELOCKED") return undefined;
    throw error;
  }
  try {
    await writeFile(path.join(path.dirname(file), ".gitignore"), "*\n");
    await writeFile(file, `${JSON.stringify(launcher)}\n`);
  } catch (error) {
    // Kept and refreshed by nobody who could give it back, it would shut out everybody, us included.
    await release().catch(() => undefined);
    throw error;
  }
  return {
    async release() {
      // Resolves also when the lock was taken over meanwhile; then there is nothing of ours to give back.
      await release().catch(() => undefined);
    },
  };
}

/** A sentence for the status of a process that drives nothing itself: who drives the projects below the root. Writes nothing. */
export async function remarkOfLease(root: string): Promise<string> {
  const { file, lock } = filesOf(root);
  const holder = await readHolder(file);
  const isHeld =
    (holder === undefined || isAlive(holder)) &&
    (await lockfile.check(file, { lockfilePath: lock, realpath: false, stale: staleMs }).catch(() => false));
  return isHeld
    ? drivenElsewhere(root)
    : `no gateway drives the projects below ${root}: changes are kept, and runs begin once one is started`;
}

/** What a process is told that does not drive the projects below the root because another one does. */
export const drivenElsewhere = (root: string): string =>
  `another gateway drives the projects below ${root}; changes are kept, runs are launched there`;

async function readHolder(file: string): Promise<Launcher | undefined> {
  try {
    const value: unknown = JSON.parse(await readFile(file, "utf8"));
    const isLauncher =
      typeof value === "object" && value !== null && "pid" in value && "host" in value && "startedAt" in value;
    // The three fields that isAlive reads are there; the file is written by this module alone.
    return isLauncher ? (value as Launcher) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * How far tasks have been told, as their sidecars say, and which of them are over and told to their end: of those nothing is read at a
 * start, for there may be ten thousand, with two sidecars each.
 */
import { inBatches } from "../flow/turns.ts";
import { hasEnded, isOver } from "../schema/outline.ts";
import type { Store, Stream, TaskGlance } from "../store/store.ts";
import { readChats } from "../tools/chat-of-task.ts";
import type { Mark } from "../tools/outbox.ts";
import { describeFailure } from "../tools/tool.ts";

const sidecar = "told";
/** What is kept of a project is written anew when so many tasks more were told. */
const mostUnkept = 64;

/** How far a task was told, as its sidecar says; undefined when that says nothing. Throws `journal-unreadable`. */
export async function readTold(store: Store, stream: Stream): Promise<Mark | undefined> {
  const saved = await store.readSidecar(stream, sidecar);
  if (typeof saved !== "object" || saved === null || !("seq" in saved) || !("sum" in saved)) return undefined;
  const { seq, sum } = saved;
  return typeof seq === "number" && typeof sum === "string" ? { seq, sum } : undefined;
}

/** Remembers how far a task was told. Throws `not-committed`. */
export async function writeTold(store: Store, stream: Stream, { seq, sum }: Mark): Promise<void> {
  await store.writeSidecar(stream, sidecar, { seq, sum });
}

/** The tasks of a project that were over and told when that was kept, and the chats that own their flow records. */
export type ToldTasks = {
  readonly count: number;
  readonly owners: readonly string[];
  /** True when nothing was committed to the task since. Pure. */
  has(glance: Pick<TaskGlance, "stream" | "sum">): boolean;
};

/** Never throws: what is not known is read of each task. */
export async function readToldTasks(store: Store, projectId: string): Promise<ToldTasks> {
  const { owners, tasks } = await readKept(store, projectId);
  return { count: tasks.size, owners, has: ({ stream, sum }) => tasks.get(stream.taskId) === sum };
}

/**
 * A task that ended may have ended untold: the gateway died in between. Hands each of those to `tell`, and keeps which ones were told; where that
 * fails the next start is as slow as this one, and `warn` hears of it. What has not ended is not looked at. Throws what listing a project's
 * tasks throws.
 */
export async function tellWhatEnded(
  store: Store,
  tell: (stream: Stream) => void,
  warn: (message: string) => void,
): Promise<void> {
  for (const projectId of await store.projects()) {
    const known = await readToldTasks(store, projectId);
    const added: TaskGlance[] = [];
    const kept: TaskGlance[] = [];
    for await (const glance of inBatches(await store.tasks(projectId))) {
      if (glance.outline !== undefined && !hasEnded(glance.outline)) continue;
      if (known.has(glance)) kept.push(glance);
      else if (await isTold(store, glance)) added.push(glance);
      else tell(glance.stream);
    }
    if (added.length >= Math.max(mostUnkept, known.count / 20))
      await keep(store, projectId, known.owners, kept, added).catch((error: unknown) =>
        warn(`which tasks of ${projectId} were told is kept at a later start: ${describeFailure(error).reason}`),
      );
  }
}

async function keep(
  store: Store,
  projectId: string,
  before: readonly string[],
  kept: readonly TaskGlance[],
  added: readonly TaskGlance[],
): Promise<void> {
  const owners = new Set(before);
  for await (const { stream } of inBatches(added)) {
    const owner = (await readChats(store, stream))?.flowOwner.sessionKey;
    if (owner !== undefined) owners.add(owner);
  }
  const tasks = Object.fromEntries([...kept, ...added].map(({ stream, sum }) => [stream.taskId, sum]));
  await store.writeSidecar({ projectId }, sidecar, { owners: [...owners], tasks });
}

async function isTold(store: Store, { stream, seq, sum, outline }: TaskGlance): Promise<boolean> {
  if (outline === undefined || !isOver(outline)) return false;
  // One that cannot be read is handed on: whoever tells reads it too, says why it cannot, and tries again.
  const told = await readTold(store, stream).catch(() => undefined);
  return told?.seq === seq && told.sum === sum;
}

async function readKept(store: Store, projectId: string) {
  const none = { owners: [], tasks: new Map<string, unknown>() };
  // Without it each task's own sidecars are read, which say more and only take longer.
  const saved = await store.readSidecar({ projectId }, sidecar).catch(() => undefined);
  if (typeof saved !== "object" || saved === null || !("owners" in saved) || !("tasks" in saved)) return none;
  const { owners, tasks } = saved;
  if (!Array.isArray(owners) || typeof tasks !== "object" || tasks === null) return none;
  if (!owners.every((owner): owner is string => typeof owner === "string")) return none;
  return { owners, tasks: new Map<string, unknown>(Object.entries(tasks)) };
}

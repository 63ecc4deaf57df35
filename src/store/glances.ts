/**
 * What is known of every task without opening it. A glance is taken from a journal and holds while that file stays the same
 * one with the same size and time; whether it did is asked of the disk for the tasks that something says were changed, and for all of them once
 * in a while. Glances of many tasks are kept beside the project, so that the next process need not read ten thousand journals.
 *
 * What says that a task was changed: the commits of this store, the project's pulse (a file that grows by a line, the task's id, with each
 * commit of any process), and the time of the folder of tasks. None of them is needed for the truth: each journal's own facts
 * decide, and all are looked at when a process begins, when the pulse is another file, and every minute.
 */
import { setImmediate as nextLoop } from "node:timers/promises";
import { OrchestratorError } from "../errors.ts";
import type { Outline } from "../schema/outline.ts";
import { lookAt, type Disk } from "./disk.ts";
import { proofOf, type Folders } from "./folders.ts";
import { seal, unseal, type Reading } from "./journal.ts";
import { glancesFile, isId, pathIn, placeOf, pulseFile } from "./layout.ts";
import { glanceOf, glanceOfFailure } from "./standing.ts";
import { nameOfStream, type Cursor, type Stream, type TaskGlance } from "./store.ts";

/** Grows when what a glance says changes its meaning. */
const format = 3;
/** With so many tasks or fewer all journals are looked at each time: little is saved by less. */
export const fewTasks = 50;
const lookAtAllMs = 60_000;
/** Glances are kept beside projects of so many tasks and more, when so many of them are new. */
const keptFrom = 64;
/** The event loop goes on after so many tasks. */
const tasksAtOnce = 100;
const longestPulse = 1024 * 1024;
/** With more changed tasks than this all are sorted. */
const mostPlaced = 64;

/** `files`: what the disk said of the task's documents and pages when they were last compared and found right; it goes with the journal's proof. */
type Entry = { readonly proof: string; readonly glance: TaskGlance; readonly files?: string };
/** What is kept of a task that can be read and written. */
type Kept = readonly [taskId: string, proof: string, seq: number, sum: string, outline: Outline, files?: string];

/** What is known of one project. */
type Known = {
  readonly projectId: string;
  readonly entries: Map<string, Entry>;
  /** Tasks that something said were changed. */
  suspects: Set<string>;
  pulse: { identity: string; read: number } | undefined;
  folder: string;
  /** When all journals were looked at; undefined when they are to be now. */
  lookedAtAll: number | undefined;
  ownProof: string;
  /** Entries that differ from what is kept. */
  unkept: number;
  version: number;
  /** The glances by task id, but for the tasks in `unsorted`. */
  sorted: readonly TaskGlance[];
  readonly unsorted: Set<string>;
};

export type Glances = {
  tasks(projectId: string): Promise<readonly TaskGlance[]>;
  /** A text that changes whenever one of the glances does. */
  versionOf(projectId: string): string;
  changed(cursor?: Cursor): Promise<{ readonly streams: readonly Stream[]; readonly cursor: Cursor }>;
  /** Makes a task's folder by `make`. Unless others changed the folder of tasks before, it need not be listed for this. Throws what `make` throws. */
  making(stream: Stream, make: () => void): void;
  /** The stream's journal has grown: this store looks at it again. */
  suspect(stream: Stream): void;
  /** Says to other stores that the stream was committed to. Never throws. */
  tell(stream: Stream): void;
  /** True when these were the task's files when they were compared, and its journal is what it was then. */
  isCompared(stream: Stream, files: string): boolean;
  /** The task's files were found right, as of the journal's record with this sum. */
  compared(stream: Stream, sum: string, files: string): void;
  /** Keeps what is known for the next process. Never throws. */
  keep(): void;
};

/** `read` gives what a task's journal says now; undefined when there is none. It throws what reading the task throws. */
export function createGlances(
  disk: Disk,
  root: string,
  folders: Folders,
  now: () => Date,
  read: (stream: Stream) => Promise<Reading | undefined>,
  few = fewTasks,
): Glances {
  const projects = new Map<string, Known>();
  /** The look at each project that goes on. */
  const looks = new Map<string, Promise<Known>>();
  let version = 0;
  const changes = new Map<string, { readonly stream: Stream; readonly version: number }>();

  // ---- looking

  /** One look at a time; whoever asks during one gets the next, for it may have begun before what they know of. */
  async function look(projectId: string): Promise<Known> {
    const before = looks.get(projectId);
    const after = (before ?? Promise.resolve()).then(
      () => lookNow(projectId),
      () => lookNow(projectId),
    );
    looks.set(projectId, after);
    try {
      return await after;
    } finally {
      if (looks.get(projectId) === after) looks.delete(projectId);
    }
  }

  async function lookNow(projectId: string): Promise<Known> {
    const known = projects.get(projectId) ?? begin(projectId);
    projects.set(projectId, known);
    lookAtOwn(known);
    followPulse(known);
    const names = followFolder(known);
    const at = now().getTime();
    const isDue =
      known.lookedAtAll === undefined || known.entries.size <= few || Math.abs(at - known.lookedAtAll) >= lookAtAllMs;
    if (isDue) {
      known.suspects = new Set([...(names ?? folders.taskNames(projectId)), ...known.entries.keys()]);
      known.lookedAtAll = at;
    }
    let count = 0;
    for (const taskId of known.suspects) {
      // Before it is looked at: what is committed from here on makes it a suspect again.
      known.suspects.delete(taskId);
      try {
        await refresh(known, taskId);
      } catch (error) {
        known.suspects.add(taskId);
        throw error;
      }
      count += 1;
      if (count % tasksAtOnce === 0) await nextLoop();
    }
    if (known.unkept >= Math.max(keptFrom, known.entries.size / 20)) keepOne(known);
    // Nobody makes up so many ids that what is remembered of them grows.
    if (known.entries.size === 0 && known.ownProof === "" && known.version === 0) projects.delete(projectId);
    return known;
  }

  function lookAtOwn(known: Known): void {
    const { projectId } = known;
    const proof = proofOf(folders.journalOf({ projectId }));
    if (proof === known.ownProof) return;
    known.ownProof = proof;
    touch({ projectId });
  }

  function followPulse(known: Known): void {
    const path = pathIn(placeOf(root, known).directory, pulseFile);
    try {
      const facts = disk.factsOf(path);
      const before = known.pulse;
      if (facts === undefined || facts.kind !== "file") {
        if (before !== undefined) known.lookedAtAll = undefined;
        known.pulse = undefined;
        return;
      }
      if (before?.identity === facts.identity && before.read === facts.size) return;
      const isSame = before?.identity === facts.identity && before.read < facts.size;
      if (!isSame) known.lookedAtAll = undefined;
      const from = isSame ? before.read : facts.size;
      const text = isSame ? readRange(path, from, facts.size) : "";
      // A name that is only half there is read whole the next time.
      const whole = text.slice(0, text.lastIndexOf("\n") + 1);
      for (const line of whole.split("\n")) {
        const name = line.slice(1, -1);
        if (isId(name)) known.suspects.add(name);
      }
      known.pulse = { identity: facts.identity, read: from + Buffer.byteLength(whole) };
    } catch {
      known.lookedAtAll = undefined;
    }
  }

  function readRange(path: string, from: number, to: number): string {
    const descriptor = disk.open(path, "read");
    try {
      const bytes = Buffer.alloc(to - from);
      return bytes.toString("utf8", 0, disk.readAt(descriptor, bytes, from));
    } finally {
      disk.close(descriptor);
    }
  }

  /** A task whose folder was made, moved or taken away by somebody else. Answers the names of all folders when it looked at them. */
  function followFolder(known: Known): ReadonlySet<string> | undefined {
    const folder = folderOf(known);
    if (folder === known.folder) return undefined;
    known.folder = folder;
    const names = new Set(folders.taskNames(known.projectId));
    for (const name of names) if (!known.entries.has(name)) known.suspects.add(name);
    for (const name of known.entries.keys()) if (!names.has(name)) known.suspects.add(name);
    return names;
  }

  /** A text that changes when a task's folder comes or goes. */
  function folderOf(known: Known): string {
    try {
      const facts = disk.factsOf(pathIn(placeOf(root, known).directory, "tasks"));
      return facts === undefined ? "" : `${facts.identity} ${facts.modifiedMs}`;
    } catch {
      return "unreadable"; // Listing it says why.
    }
  }

  async function refresh(known: Known, taskId: string): Promise<void> {
    const before = known.entries.get(taskId);
    const stream = { projectId: known.projectId, taskId };
    const proof = proofOf(folders.journalOf(stream));
    // What nobody could read may be readable now, although the file is the same.
    if (proof === before?.proof && before.glance.failure?.code !== "journal-unreadable") return;
    if (folders.taskOf(known.projectId, taskId).length === 0) {
      if (before !== undefined) put(known, taskId, undefined);
      return;
    }
    const glance = await glanceAt(stream);
    const isNew =
      glance === undefined || before?.proof !== proof || JSON.stringify(before.glance) !== JSON.stringify(glance);
    // When the journal grew while it was read, the next look finds another proof.
    if (isNew) put(known, taskId, glance === undefined ? undefined : { proof, glance });
  }

  async function glanceAt(stream: Stream & { readonly taskId: string }): Promise<TaskGlance | undefined> {
    try {
      const reading = await read(stream);
      if (reading === undefined || reading.seq === 0) return undefined;
      return glanceOf(stream, reading);
    } catch (error) {
      return glanceOfFailure(stream, error);
    }
  }

  function put(known: Known, taskId: string, entry: Entry | undefined): void {
    if (entry === undefined) known.entries.delete(taskId);
    else known.entries.set(taskId, entry);
    known.unkept += 1;
    known.version += 1;
    known.unsorted.add(taskId);
    touch({ projectId: known.projectId, taskId });
  }

  function touch(stream: Stream): void {
    const name = nameOfStream(stream);
    changes.delete(name);
    changes.set(name, { stream, version: (version += 1) });
  }

  // ---- keeping

  function begin(projectId: string): Known {
    const entries = new Map<string, Entry>();
    for (const [taskId, proof, seq, sum, outline, files] of readKept(projectId)) {
      const { title, status, updatedAt, steps } = outline;
      const onPage = { id: taskId, title, status, updatedAt, steps };
      const glance = { stream: { projectId, taskId }, seq, sum, onPage, outline };
      entries.set(taskId, { proof, glance, ...(files === undefined ? {} : { files }) });
    }
    return {
      projectId,
      entries,
      suspects: new Set(),
      pulse: undefined,
      folder: "",
      lookedAtAll: undefined,
      ownProof: "",
      unkept: 0,
      version: 0,
      sorted: [],
      unsorted: new Set(entries.keys()),
    };
  }

  /** What an earlier process kept: whole, of this format, and each entry of use only while its proof holds. */
  function readKept(projectId: string): readonly Kept[] {
    try {
      const { directory } = placeOf(root, { projectId });
      folders.requireInside(directory, nameOfStream({ projectId }));
      const found = lookAt(disk, pathIn(directory, glancesFile));
      const kept = found.kind === "file" ? unseal(Buffer.from(found.bytes)) : undefined;
      // The sum says that it is as this code wrote it.
      const { format: of, tasks } = (kept ?? {}) as { format?: unknown; tasks?: readonly Kept[] };
      return of === format && tasks !== undefined ? tasks : [];
    } catch {
      return [];
    }
  }

  function keepOne(known: Known): void {
    if (known.unkept === 0 || known.entries.size < keptFrom) return;
    const { directory } = placeOf(root, known);
    try {
      folders.requireInside(directory, nameOfStream(known));
      const tasks = [...known.entries].flatMap(([taskId, { proof, glance, files }]): readonly Kept[] => {
        const { seq, sum, outline, readOnly } = glance;
        if (outline === undefined || readOnly !== undefined) return [];
        return [files === undefined ? [taskId, proof, seq, sum, outline] : [taskId, proof, seq, sum, outline, files]];
      });
      const { line } = seal({ format, tasks });
      disk.replaceFile(pathIn(directory, glancesFile), Buffer.from(line));
      known.unkept = 0;
      const pulse = pathIn(directory, pulseFile);
      // Whoever follows it then looks at all journals once.
      if ((disk.factsOf(pulse)?.size ?? 0) > longestPulse) disk.remove(pulse);
    } catch {
      // The next process reads the journals themselves.
    }
  }

  function tell({ projectId, taskId }: Stream): void {
    try {
      const descriptor = disk.open(pathIn(placeOf(root, { projectId }).directory, pulseFile), "append");
      try {
        disk.append(descriptor, Buffer.from(`${JSON.stringify(taskId ?? null)}\n`));
      } finally {
        disk.close(descriptor);
      }
    } catch {
      // Others find it when they look at all journals.
    }
  }

  const entryOf = ({ projectId, taskId }: Stream) => projects.get(projectId)?.entries.get(taskId ?? "");

  return {
    tasks: async (projectId) => {
      const known = await look(projectId);
      return sort(known);
    },
    versionOf: (projectId) => String(projects.get(projectId)?.version ?? 0),
    changed: async (cursor) => {
      for (const projectId of folders.projects()) await look(projectId);
      const since = cursor === undefined ? version : Number(cursor);
      if (!Number.isSafeInteger(since) || since < 0)
        throw new OrchestratorError("invalid-parameters", "This is no cursor of this store; leave it out to begin.");
      const streams = [...changes.values()].filter((one) => one.version > since).map(({ stream }) => stream);
      return { streams, cursor: String(version) };
    },
    making: ({ projectId, taskId }, make) => {
      const known = taskId === undefined ? undefined : projects.get(projectId);
      const isFollowed = known !== undefined && folderOf(known) === known.folder;
      make();
      if (!isFollowed) return;
      const folder = folderOf(known);
      // Where the time did not change nothing of others would show in it. What somebody does there by hand in this very moment is
      // found when all are looked at.
      known.folder = folder === known.folder ? "" : folder;
    },
    suspect: ({ projectId, taskId }) => {
      if (taskId !== undefined) projects.get(projectId)?.suspects.add(taskId);
    },
    tell,
    isCompared: (stream, files) => {
      const entry = entryOf(stream);
      return entry?.files === files && entry.proof === proofOf(folders.journalOf(stream));
    },
    compared: (stream, sum, files) => {
      const known = projects.get(stream.projectId);
      const entry = entryOf(stream);
      if (known === undefined || entry === undefined || entry.glance.sum !== sum || entry.files === files) return;
      known.entries.set(entry.glance.stream.taskId, { ...entry, files });
      known.unkept += 1;
    },
    keep: () => {
      for (const known of projects.values()) keepOne(known);
    },
  };
}

/** The glances by task id. Of ten thousand, of which one changed, only that one is put in its place. */
function sort(known: Known): readonly TaskGlance[] {
  const { entries, unsorted } = known;
  if (unsorted.size > mostPlaced) {
    known.sorted = [...entries.values()]
      .map(({ glance }) => glance)
      .sort((one, other) => (one.stream.taskId < other.stream.taskId ? -1 : 1));
  } else if (unsorted.size > 0) {
    const sorted = [...known.sorted];
    for (const taskId of unsorted) {
      const at = placeIn(sorted, taskId);
      const glance = entries.get(taskId)?.glance;
      sorted.splice(at, sorted[at]?.stream.taskId === taskId ? 1 : 0, ...(glance === undefined ? [] : [glance]));
    }
    known.sorted = sorted;
  }
  unsorted.clear();
  return known.sorted;
}

/** Where the task is, or would be. */
function placeIn(sorted: readonly TaskGlance[], taskId: string): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle]?.stream.taskId ?? "") < taskId) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * The store on files: streams, the order of a commit, and what is kept in memory of a stream. The journal is the commit;
 * documents and pages are projections of it.
 * The invariant: a commit is answered only after its record is valid, durable and projected, and an answer of failure is
 * given only when the record can never come alive, or says that nobody can know.
 */
import { hash } from "node:crypto";
import { resolve } from "node:path";
import { setImmediate as nextLoop } from "node:timers/promises";
import { OrchestratorError, codeOf } from "../errors.ts";
import { confinedDisk } from "./confined-disk.ts";
import { lookAt, nodeDisk, pause, writingMany, type Disk, type Found } from "./disk.ts";
import { createFolders } from "./folders.ts";
import { createGlances } from "./glances.ts";
import { applyDocuments, createReading, formatRecord, type Reading } from "./journal.ts";
import { createJournalFile, type Draft, type JournalFile, type News } from "./journal-file.ts";
import {
  pathIn,
  pathOf,
  placeOf,
  requireDocumentName,
  requireSidecarName,
  requireStream,
  sidecarFileOf,
  type Place,
} from "./layout.ts";
import { framePage, sourceOfPage } from "./pages.ts";
import { createProjection, type Mending, type Projection } from "./projection.ts";
import { readOnlyOf, type ReadOnly } from "./standing.ts";
import {
  changeOf,
  nameOfStream,
  type Change,
  type Again,
  type CommitAnswer,
  type Cursor,
  type DocumentName,
  type Finding,
  type JournalRecord,
  type RenderPages,
  type Snapshot,
  type Store,
  type Stream,
  type TaskGlance,
  type TaskOnPage,
  type Wanted,
} from "./store.ts";

export type FileStoreOptions = {
  /** Folder that holds `projects/`; may not exist yet. */
  readonly root: string;
  readonly renderPages: RenderPages;
  /** Another number whenever `renderPages` gives other pages of the same documents; left out, every page is rendered to be compared. */
  readonly rendering?: number;
  /**
   * Another text after each start of the machine, which may have lost what was written to files and kept the time of it. Left out, `lookOver` compares files that an
   * earlier process compared.
   */
  readonly boot?: string | undefined;
  readonly now: () => Date;
  /** Random enough that two processes never make the same; see DESIGN.md, section 6. */
  readonly randomId: () => string;
  /** For the log of the host: what was put aside, what cannot be written, what was skipped. */
  readonly warn?: (message: string) => void;
  /** The real disk, confined to the root, when left out. */
  readonly disk?: Disk;
  /** How many streams stay open and parsed in memory. */
  readonly openStreams?: number;
  /** Up to how many tasks of a project every look at them asks for each journal. */
  readonly fewTasks?: number;
};

/** How often one commit is appended anew when only a torn tail, and no other change, made its record void. */
const appendTries = 10;
/** So often another process may come first until whoever decides looks for himself, and longer and longer apart. */
const mostLost = 3;
/** How often a commit or a reading follows other writers before it answers; the rest waits for the next one. */
const quietRounds = 20;
/** So many commits of a stream are written together at most. */
const mostTogether = 32;
/** So many documents are made ready while the disk works. */
const mostStaged = 8;
/** At so many streams it is looked for one to close. */
const mostLooks = 8;
const notesKept = 20;
/** How many earlier states a page that seems edited is compared with. */
const earlierStates = 50;
/** For so long another writer's documents are left to it. It needs milliseconds; one that died in them never writes them. */
const leftToWriterMs = 2_000;
/** What was changed later than this may be changed once more without another time on it: some file systems keep whole seconds. */
const changedLatelyMs = 3_000;
/** For so long whoever made the last change lets others come first. */
const givingWayMs = 1;

/**
 * One stream in memory. Modes: unprojected (`due` is "all": nothing on the disk was compared yet), behind (some names are
 * due) and quiet. `catchUp` makes it behind, `settle` makes it quiet; closing throws it away. What other writers have
 * just changed is not due but left to them for a while.
 */
type OpenStream = {
  readonly stream: Stream;
  readonly place: Place;
  readonly journal: JournalFile;
  readonly projection: Projection;
  /** Documents whose files have not been compared since they changed. */
  due: "all" | Set<DocumentName>;
  /** Documents that other writers changed, and when that was seen first (milliseconds): they are writing the files. */
  readonly left: Map<DocumentName, number>;
  /** When a change of another writer was seen last (milliseconds). */
  othersAt: number;
  /** Sum of the last record that was made here. */
  lastOwn: string;
  /** Ids of the records of the commit that goes on. */
  readonly own: Set<string>;
  /** Documents whose files or pages this settling may have written, so that what others changed of them since is due, too. */
  readonly touched: Set<DocumentName>;
  pagesDue: boolean;
  /** True after a rendering failed; it is tried again with the next settling. */
  unrendered: boolean;
  /** True from the writing of its first record here until that is settled: its folder was made for it. */
  isMade: boolean;
  /** True once what interrupted writings left was removed, or nothing could be there. */
  isTidy: boolean;
  /** Which state of its tasks a project's page shows. */
  tasksShown: string;
  /** What follows from the documents as of the record with this sum. */
  view:
    | { readonly sum: string; readonly documents: Snapshot["documents"]; readonly readOnly: ReadOnly | undefined }
    | undefined;
  /** Pages of the state after the record with this sum, while a commit goes on. */
  rendered:
    | {
        readonly sum: string;
        readonly changed: readonly DocumentName[] | undefined;
        readonly pages: ReturnType<RenderPages>;
      }
    | undefined;
  /** Texts of all versions, while one settling needs them. */
  versions: ReturnType<JournalFile["versions"]> | undefined;
  /** For people: what was mended lately, and what could not be written in the last settling. */
  mended: readonly string[];
  unwritten: readonly string[];
};

/** A commit that waits for its answer. */
type Waiter = {
  readonly expectedSeq: number;
  readonly wanted: Wanted;
  readonly again: Again | undefined;
  /** What its project says about writing. */
  readonly project: ReadOnly | undefined;
  readonly resolve: (answer: CommitAnswer) => void;
  readonly reject: (error: unknown) => void;
};

/** A change that is about to be appended. */
type OwnDraft = Draft & { readonly waiter: Waiter };

/** What is remembered of a project for its tasks; holds while its journal's identity and size stay the same. */
type Standing = {
  readonly identity: string;
  readonly size: number;
  readonly seq: number;
  readonly readOnly: ReadOnly | undefined;
};

/** Opens a store below a root. Throws `unsupported-file-system`. Several stores, also in other processes, may share a root. */
export async function createFileStore(options: FileStoreOptions): Promise<Store> {
  const { renderPages, rendering, boot, now, randomId } = options;
  const root = resolve(options.root);
  const disk = options.disk ?? confinedDisk(root, nodeDisk);
  const warn = options.warn ?? (() => undefined);
  const maxOpen = options.openStreams ?? 256;
  const folders = createFolders(disk, root, now, warn);
  folders.requireLocalRoot();

  const open = new Map<string, OpenStream>();
  const standings = new Map<string, Standing>();
  /** Commits that wait for their stream's next turn, which takes them all. */
  const waiters = new Map<string, Waiter[]>();
  /** Last piece of work of each stream that has any. */
  const queues = new Map<string, Promise<unknown>>();
  const glances = createGlances(disk, root, folders, now, readingOf, options.fewTasks);
  /** Streams of which a failed sync left open what is durable. They take no change until their tail was made durable. */
  const doubtful = new Set<string>();
  /** No further calls are taken; those under way come to their end, and then the streams are shut. */
  let closed = false;
  let shut = false;

  // ---- the calls -------------------------------------------------------------------------------------------------

  async function list(options?: { readonly whole?: boolean }): Promise<readonly Stream[]> {
    requireOpen();
    return folders.projects(options?.whole).flatMap((projectId): readonly Stream[] => {
      const project = { projectId };
      return [...(folders.isThere(project) ? [project] : []), ...folders.tasksOf(projectId, options?.whole)];
    });
  }

  async function projects(): Promise<readonly string[]> {
    requireOpen();
    const ids: string[] = [];
    for (const projectId of folders.projects())
      if (folders.isThere({ projectId }) || (await glances.tasks(projectId)).length > 0) ids.push(projectId);
    return ids;
  }

  async function find(taskId: string): Promise<readonly Stream[]> {
    requireOpen();
    requireStream({ projectId: taskId });
    return folders.projects().flatMap((projectId) => folders.taskOf(projectId, taskId));
  }

  async function recordOf(stream: Stream, callId: string): Promise<JournalRecord | undefined> {
    requireOpen();
    requireStream(stream);
    return inTurn(stream, async (opened) => {
      catchUp(opened);
      return opened.journal.recordOf(callId);
    });
  }

  async function read(stream: Stream): Promise<Snapshot | undefined> {
    requireOpen();
    requireStream(stream);
    const project = await readOnlyOfProject(stream, "read");
    return inTurn(stream, (opened) => readOpened(opened, project));
  }

  async function readOpened(opened: OpenStream, project: ReadOnly | undefined): Promise<Snapshot | undefined> {
    // A reading goes on without it: the snapshot then says that nobody knows.
    await regainTrust(opened).catch(() => undefined);
    catchUp(opened);
    if (opened.journal.reading.seq === 0) return undefined;
    // What another writer appended may not be durable yet, and is told of only when it is.
    if (opened.left.size > 0 && !opened.journal.isDurable())
      await opened.journal.makeDurable().catch(() => doubtful.add(opened.place.name));
    if (readOnlyNow(opened, project) === undefined) await settle(opened, project);
    return snapshotOf(opened, readOnlyNow(opened, project));
  }

  async function lookOver(stream: Stream): Promise<void> {
    requireOpen();
    requireStream(stream);
    // Before they are compared: what is changed while they are has other facts the next time.
    const files = filesNow(stream);
    if (files !== undefined && glances.isCompared(stream, files)) return;
    const project = await readOnlyOfProject(stream, "read");
    await inTurn(stream, async (opened) => {
      opened.due = "all";
      const snapshot = await readOpened(opened, project);
      if (snapshot === undefined || files === undefined || !isSettled(opened, snapshot)) return;
      if (files === filesNow(stream)) glances.compared(stream, snapshot.sum, files);
    });
  }

  /** What the disk says of a task's documents and pages; undefined where the same could be said of others. */
  function filesNow(stream: Stream): string | undefined {
    // Where nobody says what pages are made of only their texts tell.
    if (rendering === undefined || boot === undefined || stream.taskId === undefined) return undefined;
    const files = folders.factsOfFiles(stream);
    if (files === undefined || now().getTime() - files.changedMs < changedLatelyMs) return undefined;
    return hash("sha256", `${rendering} ${boot}\n${files.facts}`, "base64");
  }

  /** True when every document and page was compared and is as it should be. */
  function isSettled({ due, left, pagesDue, unrendered, unwritten, projection }: OpenStream, read: Snapshot): boolean {
    const isDone = due !== "all" && due.size === 0 && left.size === 0 && !pagesDue && !unrendered;
    const isWritten = unwritten.length === 0 && projection.staleDocuments.size === 0 && !projection.stalePages();
    return isDone && isWritten && read.readOnly === undefined && read.doubt === undefined;
  }

  async function commit(stream: Stream, expectedSeq: number, wanted: Wanted, again?: Again): Promise<CommitAnswer> {
    requireOpen();
    requireStream(stream);
    const project = await readOnlyOfProject(stream, expectedSeq === 0 ? "create" : "write");
    const { promise, resolve, reject } = Promise.withResolvers<CommitAnswer>();
    const waiter: Waiter = { expectedSeq, wanted, again, project, resolve, reject };
    const name = nameOfStream(stream);
    const before = waiters.get(name);
    if (before !== undefined && before.length < mostTogether) {
      before.push(waiter);
      return promise;
    }
    const group = [waiter];
    waiters.set(name, group);
    commitGroup(stream, group).catch((error: unknown) => {
      if (waiters.get(name) === group) waiters.delete(name);
      for (const one of group) one.reject(error);
    });
    return promise;
  }

  /** Whoever decides at the same moment comes along: what they ask of the stream first is answered before the group's turn. */
  async function commitGroup(stream: Stream, group: readonly Waiter[]): Promise<void> {
    await nextLoop();
    await inTurn(stream, (opened) => {
      const name = nameOfStream(stream);
      if (waiters.get(name) === group) waiters.delete(name);
      return commitTogether(opened, group);
    });
  }

  async function history(stream: Stream, afterSeq: number): Promise<readonly JournalRecord[]> {
    requireOpen();
    requireStream(stream);
    return inTurn(stream, async (opened) => {
      catchUp(opened);
      return opened.journal.recordsAfter(Math.max(0, afterSeq));
    });
  }

  async function tasks(projectId: string): Promise<readonly TaskGlance[]> {
    requireOpen();
    requireStream({ projectId });
    return glances.tasks(projectId);
  }

  async function changed(cursor?: Cursor): ReturnType<Store["changed"]> {
    requireOpen();
    for (const opened of [...open.values()])
      // A journal that cannot be read says so to whoever asks for it.
      if (isLeftTooLong(opened)) await read(opened.stream).catch(() => undefined);
    return glances.changed(cursor);
  }

  async function refreshPages(stream: Stream): Promise<void> {
    requireOpen();
    requireStream(stream);
    const project = await readOnlyOfProject(stream, "read");
    await inTurn(stream, async (opened) => {
      catchUp(opened);
      opened.pagesDue = true;
      if (opened.journal.reading.seq > 0 && readOnlyNow(opened, project) === undefined) await settle(opened, project);
    });
  }

  async function verify(stream: Stream): Promise<readonly Finding[]> {
    requireOpen();
    requireStream(stream);
    const project = await readOnlyOfProject(stream, "read");
    return inTurn(stream, async (opened) => {
      const finding = (name: string, what: string, repaired = false): Finding => ({ stream, name, what, repaired });
      try {
        opened.journal.forget();
        catchUp(opened);
      } catch (error) {
        if (error instanceof OrchestratorError) return [finding("journal.jsonl", error.message)];
        throw error;
      }
      if (opened.journal.reading.seq === 0) return [];
      const readOnly = readOnlyNow(opened, project);
      if (readOnly !== undefined) return [finding("journal.jsonl", readOnly.reason)];
      opened.due = "all";
      opened.isTidy = false;
      const mendings = await settle(opened, project, true);
      const strangers = folders
        .unknownFiles(opened.stream, opened.journal.reading.documents.keys())
        .map((file) => finding(file, "is not known to the journal and has no effect"));
      return [...mendings.map(({ file, what, repaired }) => finding(file, what, repaired)), ...strangers];
    });
  }

  async function readSidecar(stream: Stream, name: string): Promise<unknown> {
    requireOpen();
    requireStream(stream);
    requireSidecarName(name);
    const { directory } = placeOf(root, stream);
    folders.requireInside(directory, nameOfStream(stream));
    const found = lookAtSidecar(directory, `${nameOfStream(stream)}/${sidecarFileOf(name)}`, name);
    if (found.kind !== "file") return undefined;
    try {
      return JSON.parse(Buffer.from(found.bytes).toString("utf8")) as unknown;
    } catch {
      return undefined;
    }
  }

  function lookAtSidecar(directory: string, file: string, name: string): Found {
    try {
      return lookAt(disk, pathIn(directory, sidecarFileOf(name)));
    } catch (error) {
      const message = `${file} could not be read (${codeOf(error)}). Mend its permission or the disk.`;
      throw new OrchestratorError("journal-unreadable", message, { cause: error });
    }
  }

  async function writeSidecar(stream: Stream, name: string, value: unknown): Promise<void> {
    requireOpen();
    requireStream(stream);
    requireSidecarName(name);
    const { directory } = placeOf(root, stream);
    const file = `${nameOfStream(stream)}/${sidecarFileOf(name)}`;
    folders.requireInside(directory, nameOfStream(stream));
    try {
      const path = pathIn(directory, sidecarFileOf(name));
      // A value may be kept before the stream's first record, so that the record never stands without it.
      disk.makeDirectory(directory);
      if (disk.factsOf(path)?.kind === "link") disk.remove(path);
      disk.replaceFile(path, Buffer.from(`${JSON.stringify(value)}\n`));
    } catch (error) {
      throw new OrchestratorError("not-committed", `${file} could not be written (${codeOf(error)}).`, {
        cause: error,
      });
    }
  }

  function locate(stream: Stream, name: DocumentName, kind: "document" | "page"): string {
    requireStream(stream);
    requireDocumentName(stream, name);
    return pathOf(root, stream, name, kind);
  }

  async function close(): Promise<void> {
    closed = true;
    do {
      await Promise.all(queues.values());
      await nextLoop();
    } while (queues.size + waiters.size > 0);
    shut = true;
    glances.keep();
    for (const { journal } of open.values()) journal.close();
    open.clear();
  }

  // ---- the steps of a commit, in order ---------------------------------------------------------------------------

  /** After a failed sync: opens the journal anew and makes what stands there durable, or refuses. */
  async function trustAgain(opened: OpenStream): Promise<void> {
    try {
      await regainTrust(opened);
    } catch (error) {
      throw outcomeUnknown(opened, error);
    }
  }

  async function regainTrust(opened: OpenStream): Promise<void> {
    const { name } = opened.place;
    if (!doubtful.has(name)) return;
    opened.journal.close();
    catchUp(opened);
    if (opened.journal.seen !== undefined) await opened.journal.makeDurable();
    doubtful.delete(name);
  }

  /** Commits what waits for the stream, each change on top of those before it. Answers all of them, or throws for those that are left. */
  async function commitTogether(opened: OpenStream, group: readonly Waiter[]): Promise<void> {
    const { stream, journal } = opened;
    await trustAgain(opened);
    beforeCommit(opened, () => catchUp(opened));
    await giveWay(opened);
    opened.own.clear();
    let appended: readonly OwnDraft[];
    try {
      appended = await append(opened, group);
    } finally {
      // Also when nobody knows what became of it.
      glances.suspect(stream);
    }
    const [first] = appended;
    if (first === undefined) return;
    opened.lastOwn = appended.at(-1)?.record.sum ?? "";
    const { warnings, isFollowed } = await follow(opened, first.record.seq === 1);
    journal.keep();
    for (const { waiter, record } of appended) {
      // Another file may have come into the journal's place meanwhile, and then the change is not in what counts now.
      if (isFollowed && !journal.holds(record)) waiter.resolve({ kind: "conflict" });
      else waiter.resolve({ kind: "committed", seq: record.seq, sum: record.sum, warnings });
    }
  }

  /** Where others change the stream, too, whoever came first the last time waits a moment: else who is ahead stays ahead. */
  async function giveWay(opened: OpenStream): Promise<void> {
    if (isLongAgo(opened.othersAt) || opened.lastOwn !== opened.journal.reading.sum) return;
    await pause(givingWayMs);
    beforeCommit(opened, () => catchUp(opened));
  }

  /** Appends the changes with one write. Resolves with those whose records are valid, and answers the others. */
  async function append(opened: OpenStream, group: readonly Waiter[]): Promise<readonly OwnDraft[]> {
    const { journal } = opened;
    const valid: OwnDraft[] = [];
    const refuseAll = (drafts: readonly OwnDraft[], error: unknown) => {
      const refusal = error instanceof OrchestratorError ? error : notCommitted(opened, error);
      for (const { waiter } of drafts) waiter.reject(refusal);
      return valid;
    };
    const decided = new Set<Waiter>();
    let lost = 0;
    let left = group;
    for (let attempt = 1; ; attempt += 1) {
      const { seq } = journal.reading;
      const drafts = draftAll(opened, left, decided);
      const [first] = drafts;
      if (first === undefined) return valid;
      try {
        if (first.record.seq === 1) {
          glances.making(opened.stream, () => folders.make(opened.stream));
          opened.isMade = true;
        }
        journal.create();
      } catch (error) {
        return refuseAll(drafts, error);
      }
      let failure: unknown;
      try {
        journal.append(drafts);
      } catch (error) {
        failure = error ?? new Error("unknown");
      }
      // A write that was cut short, or failed, or came behind a torn tail: only the file itself tells what stands there.
      catchUpOrDoubt(opened);
      const stands = drafts.filter(({ record }) => journal.holds(record));
      const others = drafts.slice(stands.length);
      valid.push(...stands);
      if (others.length === 0) return valid;
      if (failure !== undefined) return refuseAll(others, failure);
      const isLost = journal.reading.seq !== seq + stands.length;
      if (isLost) lost += 1;
      if (lost === mostLost) {
        for (const { waiter } of others) waiter.resolve({ kind: "conflict" });
        return valid;
      }
      if (attempt === appendTries) return refuseAll(others, new Error("the disk did not take the whole record"));
      left = others.map(({ waiter }) => waiter);
      await pause(attempt * (1 + Math.random()));
      catchUpOrDoubt(opened);
    }
  }

  /** To be called once something was appended: when the journal cannot be read then, nobody knows what stands in it. */
  function catchUpOrDoubt(opened: OpenStream): void {
    try {
      catchUp(opened);
    } catch (error) {
      throw outcomeUnknown(opened, error);
    }
  }

  /** The records of the changes, each behind the one before; answers those that cannot be made. `decided`: what was decided anew. */
  function draftAll(opened: OpenStream, group: readonly Waiter[], decided: Set<Waiter>): readonly OwnDraft[] {
    const drafts: OwnDraft[] = [];
    let { seq, sum } = opened.journal.reading;
    let { documents } = viewOf(opened);
    for (const waiter of group) {
      const readOnly = readOnlyNow(opened, waiter.project);
      if (readOnly !== undefined) {
        waiter.reject(new OrchestratorError(readOnly.code, readOnly.reason));
        continue;
      }
      try {
        const isFirst = drafts.length === 0 && !decided.has(waiter) && isOnLast(opened, waiter);
        const change = isFirst ? changeOf(waiter.wanted) : decideAgain(opened, waiter, documents);
        if (!isFirst) decided.add(waiter);
        if (change === undefined) {
          waiter.resolve({ kind: "conflict" });
          continue;
        }
        for (const name of Object.keys(change.documents)) requireDocumentName(opened.stream, name);
        const { record, line } = formatRecord(change, randomId(), seq + 1, sum);
        opened.own.add(record.id);
        ({ seq, sum } = record);
        if (waiter !== group.at(-1)) documents = withChanges(documents, change);
        drafts.push({ waiter, record, line });
      } catch (error) {
        waiter.reject(error);
      }
    }
    return drafts;
  }

  /** True when the change was decided on the journal's last record. */
  function isOnLast({ journal }: OpenStream, { expectedSeq, again }: Waiter): boolean {
    const { seq, sum } = journal.reading;
    return expectedSeq === seq && (seq === 0 || again === undefined || again.sum === sum);
  }

  function decideAgain({ journal }: OpenStream, { expectedSeq, again }: Waiter, documents: Snapshot["documents"]) {
    const isBehind = again !== undefined && journal.holds({ seq: expectedSeq, sum: again.sum });
    return isBehind ? again.decide(documents) : undefined;
  }

  /** Everything behind the append. What follows from the record is made ready while the disk makes the record durable. */
  async function follow(opened: OpenStream, isNew: boolean) {
    try {
      const durable = makeDurable(opened, isNew);
      prepare(opened);
      await durable;
      glances.tell(opened.stream);
      const settled = await settleCommit(opened);
      // Not before: what was made ready beside its document looks the same.
      opened.isTidy ||= isNew;
      tidyOnce(opened);
      return settled;
    } finally {
      opened.projection.unstage();
      opened.rendered = undefined;
    }
  }

  /** Nothing here shows: what others append until the record is durable makes it of no use, and then it is made anew. */
  function prepare(opened: OpenStream): void {
    const { stream, due, isMade, projection, journal } = opened;
    if (stream.taskId === undefined || (due === "all" ? !isMade : due.size > mostStaged)) return;
    try {
      const changed = due === "all" ? undefined : [...due];
      const pages = render(opened, changed);
      opened.rendered = { sum: journal.reading.sum, changed, pages };
    } catch {
      // Settling says what is wrong.
    }
    // After that: to make a file while the disk writes what came before would wait for it.
    if (due !== "all") for (const name of due) projection.stage(name);
  }

  async function makeDurable(opened: OpenStream, isNew: boolean): Promise<void> {
    try {
      await opened.journal.makeDurable();
      if (isNew) folders.sync(opened.stream);
    } catch (error) {
      throw outcomeUnknown(opened, error);
    }
  }

  /** Documents and pages. The change is durable by now, so nothing that fails here takes it back. */
  async function settleCommit(
    opened: OpenStream,
  ): Promise<{ readonly warnings: readonly string[]; readonly isFollowed: boolean }> {
    try {
      return { warnings: loudOnes(opened, await settle(opened, undefined)), isFollowed: true };
    } catch (error) {
      opened.due = "all";
      const warning = `${opened.place.name}: documents and pages will be written later (${reasonOf(error)}).`;
      warn(warning);
      return { warnings: [warning], isFollowed: false };
    }
  }

  /**
   * Writes what is due until no other writer changed any of it: a slow writer would otherwise leave its older document over
   * a newer one. Resolves with what was found different; throws only when the journal itself cannot be read.
   * The tasks of a project are looked at only when its page may be due, and once more after it was written: there may be thousands.
   * `isThorough`: every page is rendered, whatever it says of itself.
   */
  async function settle(
    opened: OpenStream,
    project: ReadOnly | undefined,
    isThorough = false,
  ): Promise<readonly Mending[]> {
    const mendings: Mending[] = [];
    const isOpening = opened.due === "all";
    const { isMade } = opened;
    endLeaving(opened);
    /** The last record that the pages show which this settling wrote. */
    let shown: string | undefined;
    let retry: readonly DocumentName[] = [...opened.projection.staleDocuments];
    opened.pagesDue ||= opened.unrendered || opened.projection.stalePages();
    opened.unrendered = false;
    // Of a task it waits until something is written there: a start opens all that are unfinished.
    if (isThorough || (isOpening && opened.stream.taskId === undefined)) tidyOnce(opened);
    opened.isMade = false;
    try {
      for (let round = 1; round <= quietRounds; round += 1) {
        const all = opened.due === "all";
        const { documents, removed } = opened.journal.reading;
        const names = new Set([...(opened.due === "all" ? [...documents.keys(), ...removed] : opened.due), ...retry]);
        const tasks = showsTasks(opened, all || names.size > 0 || round > 1)
          ? await tasksNow(opened.stream.projectId)
          : undefined;
        const pages = all || opened.pagesDue || (tasks !== undefined && tasks.signature !== opened.tasksShown);
        const isOutdated = shown !== undefined && shown !== opened.journal.reading.sum;
        if (names.size === 0 && !pages && !isOutdated) break;
        for (const name of names) opened.touched.add(name);
        opened.due = new Set();
        opened.pagesDue = false;
        retry = [];
        const settleDocuments = async () => {
          for (const name of names) mendings.push(...(await opened.projection.settleDocument(name, all)));
        };
        await (names.size > 1 && (isMade || !all) ? writingMany(settleDocuments) : settleDocuments());
        if (pages) touchAll(opened);
        shown = opened.journal.reading.sum;
        // Of a stream that was made just now no page stands there.
        const changed = !pages ? [...opened.touched] : isThorough || isMade ? undefined : pagesToRender(opened);
        if (!pages || changed?.length !== 0) mendings.push(...(await settlePages(opened, changed, tasks?.tasks, all)));
        opened.tasksShown = tasks?.signature ?? "";
        catchUp(opened);
        if (readOnlyNow(opened, project) !== undefined) break;
      }
      opened.pagesDue ||= shown !== undefined && shown !== opened.journal.reading.sum;
    } catch (error) {
      opened.due = "all";
      throw error;
    } finally {
      opened.versions = undefined;
      opened.touched.clear();
    }
    noteAll(opened, mendings);
    return mendings;
  }

  function tidyOnce(opened: OpenStream): void {
    opened.isTidy ||= folders.tidy(opened.stream);
  }

  /** All pages are rendered, also of what came while documents were compared, and of what is gone. */
  function touchAll({ journal, touched }: OpenStream): void {
    for (const name of journal.reading.documents.keys()) touched.add(name);
    for (const name of journal.reading.removed) touched.add(name);
  }

  /** True when a project's page has to be compared with its tasks: it is due, or they were looked at since and had changed. */
  function showsTasks({ stream, pagesDue, tasksShown }: OpenStream, isDue: boolean): boolean {
    if (stream.taskId !== undefined) return false;
    return isDue || pagesDue || tasksShown !== glances.versionOf(stream.projectId);
  }

  async function settlePages(
    opened: OpenStream,
    changed: readonly DocumentName[] | undefined,
    tasks: readonly TaskOnPage[] | undefined,
    unexpected: boolean,
  ): Promise<readonly Mending[]> {
    const { stream, projection, journal } = opened;
    const { seq, documents, removed, changedAt } = journal.reading;
    const mendings: Mending[] = [];
    const shown = tasks === undefined ? {} : { tasks };
    let rendered: ReturnType<RenderPages>;
    try {
      rendered = renderedBefore(opened, changed) ?? render(opened, changed, shown);
      for (const name of Object.keys(rendered)) requireDocumentName(stream, name);
    } catch (error) {
      opened.unrendered = true;
      return [{ file: "*.md", what: `could not be rendered (${reasonOf(error)})`, repaired: false, loud: true }];
    }
    const gone = (changed ?? [...removed]).filter((name) => !documents.has(name) && rendered[name] === undefined);
    const sources = new Map(Object.keys(rendered).map((name) => [name, sourceOf(journal.reading, name, rendering)]));
    for (const name of [...Object.keys(rendered), ...gone]) {
      const earlier = () =>
        pagesOfEarlierStates(opened, name, rendering, (input) => renderPages({ ...input, ...shown }));
      const page = { body: rendered[name], source: sources.get(name), seq, since: changedAt.get(name) ?? 0, earlier };
      mendings.push(...(await projection.settlePage(name, page, unexpected)));
    }
    return mendings;
  }

  /** The pages that show what changed, or all. */
  function render(
    opened: OpenStream,
    changed: readonly DocumentName[] | undefined,
    shown: { readonly tasks?: readonly TaskOnPage[] } = {},
  ): ReturnType<RenderPages> {
    const { documents } = viewOf(opened);
    return renderPages({ stream: opened.stream, documents, ...(changed === undefined ? {} : { changed }), ...shown });
  }

  /** The documents whose pages do not say themselves that they are made of just this; all where that cannot be told. */
  function pagesToRender({ projection, journal, stream }: OpenStream): readonly DocumentName[] | undefined {
    if (rendering === undefined || stream.taskId === undefined) return undefined;
    const { documents, removed, changedAt } = journal.reading;
    const isRight = (name: DocumentName) =>
      projection.isPageOf(name, sourceOf(journal.reading, name, rendering), changedAt.get(name) ?? 0);
    return [...[...documents.keys()].filter((name) => !isRight(name)), ...removed];
  }

  /** What was rendered while the record was made durable, when it is of the same state and the same documents. */
  function renderedBefore({ rendered, journal }: OpenStream, changed: readonly DocumentName[] | undefined) {
    if (rendered?.sum !== journal.reading.sum) return undefined;
    const before = rendered.changed;
    if (before === undefined || changed === undefined) return before === changed ? rendered.pages : undefined;
    const isSame = changed.length === before.length && changed.every((name) => before.includes(name));
    return isSame ? rendered.pages : undefined;
  }

  // ---- streams in memory -----------------------------------------------------------------------------------------

  /** Does one piece of work on a stream after all earlier ones of this store. */
  function inTurn<T>(stream: Stream, work: (opened: OpenStream) => Promise<T>): Promise<T> {
    const name = nameOfStream(stream);
    const before = queues.get(name) ?? Promise.resolve();
    const result = before
      .then(() => work(openedStream(stream)))
      .catch((error: unknown) => {
        throw asUnreadable(name, error);
      });
    const done = result
      .then(
        () => undefined,
        () => undefined,
      )
      .then(() => {
        if (queues.get(name) !== done) return;
        queues.delete(name);
        closeOldest();
      });
    queues.set(name, done);
    return result;
  }

  function openedStream(stream: Stream): OpenStream {
    if (shut) throw storeClosed();
    const name = nameOfStream(stream);
    const known = open.get(name);
    if (known !== undefined) {
      open.delete(name);
      open.set(name, known);
      return known;
    }
    const place = placeOf(root, stream);
    folders.requireInside(place.directory, name);
    if (stream.taskId !== undefined) folders.requireInside(pathIn(place.directory, "steps"), name);
    folders.requireLocalProject(stream);
    const journal = createJournalFile(disk, stream, place);
    const opened: OpenStream = {
      stream,
      place,
      journal,
      projection: createProjection(disk, stream, place.directory, now, {
        documents: () => journal.reading.documents,
        versions: (document) => (opened.versions ??= journal.versions()).get(document) ?? [],
        catchUp: () => isNews(catchUp(opened)),
        makeDurable: async () => {
          if (journal.isDurable()) return;
          try {
            await journal.makeDurable();
          } catch (error) {
            doubtful.add(name);
            throw error;
          }
        },
      }),
      due: "all",
      left: new Map(),
      othersAt: 0,
      lastOwn: "",
      own: new Set(),
      touched: new Set(),
      pagesDue: false,
      unrendered: false,
      isMade: false,
      isTidy: false,
      tasksShown: "",
      view: undefined,
      rendered: undefined,
      versions: undefined,
      mended: [],
      unwritten: [],
    };
    open.set(name, opened);
    return opened;
  }

  /**
   * Closing is safe at any time between two pieces of work: everything kept is read or compared again. Those that are at work are
   * passed over and count as used just now; a few are looked at, for there may be a thousand of them.
   */
  function closeOldest(): void {
    let looks = 0;
    for (const [name, opened] of open) {
      if (open.size <= maxOpen || looks === mostLooks) return;
      looks += 1;
      open.delete(name);
      if (queues.has(name)) open.set(name, opened);
      else opened.journal.close();
    }
  }

  /** A task's journal as it is now, without a look at its documents and pages. */
  function readingOf(stream: Stream): Promise<Reading | undefined> {
    return inTurn(stream, async (opened) => {
      catchUp(opened);
      return opened.journal.seen === undefined ? undefined : opened.journal.reading;
    });
  }

  function catchUp(opened: OpenStream): News {
    const wasEmpty = opened.journal.reading.seq === 0;
    const news = catchUpUnlessLost(opened);
    // Also after a reading that was thrown away, which a later one does not call replaced.
    if (news.replaced || (wasEmpty && opened.journal.reading.seq > 0)) {
      opened.due = "all";
      opened.isTidy = false;
      opened.left.clear();
    }
    if (isNews(news)) opened.versions = undefined;
    for (const { id, docs } of news.records) {
      const isOwn = opened.own.has(id);
      if (!isOwn) opened.othersAt = now().getTime();
      takeIn(opened, docs, isOwn);
    }
    return news;
  }

  /** What a record changed is due, or left to its writer when it is another one. */
  function takeIn({ due, left, projection, touched }: OpenStream, docs: JournalRecord["docs"], isOwn: boolean): void {
    if (due === "all") return;
    for (const [name, text] of Object.entries(docs)) {
      if (!isOwn) projection.expect(name, text);
      if (isOwn || touched.has(name)) due.add(name);
      if (due.has(name)) left.delete(name);
      else if (!left.has(name)) left.set(name, now().getTime());
    }
  }

  /** What was left to a writer for long enough is due: it may have died. */
  function endLeaving({ due, left }: OpenStream): void {
    if (due === "all") return left.clear();
    for (const [name, since] of left) {
      if (!isLongAgo(since)) continue;
      left.delete(name);
      due.add(name);
    }
  }

  const isLeftTooLong = ({ left }: OpenStream) => left.values().some(isLongAgo);
  /** A clock that was set back ends the waiting, too. */
  const isLongAgo = (since: number) => Math.abs(now().getTime() - since) >= leftToWriterMs;

  /** Documents are written after their record only: a journal that holds none while they are there was lost, and is not begun anew. */
  function catchUpUnlessLost({ journal, stream, place }: OpenStream): News {
    const news = journal.catchUp();
    if (journal.reading.seq > 0 || !folders.hasDocument(stream)) return news;
    // Somebody may have made both since.
    const later = journal.catchUp();
    if (journal.reading.seq > 0) return { ...later, replaced: news.replaced || later.replaced };
    const file = `${place.name}/journal.jsonl`;
    throw new OrchestratorError(
      "journal-damaged",
      `${file} is gone or holds nothing, and ${stream.taskId === undefined ? "project" : "task"}.json is there. Nothing was changed and nothing is written there. ` +
        "Restore this file from a backup or version control; without one, move the whole folder away.",
      { details: { file } },
    );
  }

  function snapshotOf(opened: OpenStream, readOnly: ReadOnly | undefined): Snapshot {
    const { stream, journal, mended, unwritten } = opened;
    const { seq, sum } = journal.reading;
    const doubt = doubtful.has(opened.place.name)
      ? `The disk failed while a change to ${opened.place.name} was made durable; the last change may not be durable. Call again when the disk works.`
      : undefined;
    return {
      stream,
      seq,
      sum,
      documents: viewOf(opened).documents,
      warnings: [...mended, ...unwritten, ...(doubt === undefined ? [] : [doubt])],
      ...(doubt === undefined ? {} : { doubt }),
      ...(readOnly === undefined ? {} : { readOnly }),
    };
  }

  function viewOf(opened: OpenStream): NonNullable<OpenStream["view"]> {
    const { sum, documents } = opened.journal.reading;
    const known = opened.view;
    if (known?.sum === sum) return known;
    // What stood in no way before and did not change does not now.
    const isFine = known !== undefined && known.readOnly === undefined;
    const changed = isFine
      ? new Map([...documents].filter(([name, text]) => known.documents[name] !== text))
      : documents;
    opened.view = { sum, documents: Object.fromEntries(documents), readOnly: readOnlyOf(opened.stream, changed) };
    return opened.view;
  }

  /** What was mended stays in the warnings for a while; what could not be written only until it is. */
  function noteAll(opened: OpenStream, mendings: readonly Mending[]): void {
    const before = opened.unwritten;
    opened.unwritten = loudOnes(
      opened,
      mendings.filter(({ repaired }) => !repaired),
    );
    const mended = loudOnes(
      opened,
      mendings.filter(({ repaired }) => repaired),
    );
    for (const warning of [...mended, ...opened.unwritten.filter((one) => !before.includes(one))]) warn(warning);
    opened.mended = [...new Set([...opened.mended, ...mended])].slice(-notesKept);
  }

  /** What a project says about writing, for the price of a stat while its journal stays the same. */
  async function standingOf(project: Stream): Promise<Standing | undefined> {
    const name = nameOfStream(project);
    const facts = folders.journalOf(project);
    if (facts === undefined) return undefined;
    const known = standings.get(name);
    if (facts !== "unreadable" && known?.identity === facts.identity && known.size === facts.size) return known;
    return inTurn(project, async (opened) => {
      catchUp(opened);
      const { reading, seen } = opened.journal;
      if (seen === undefined) return undefined;
      const standing = { ...seen, seq: reading.seq, readOnly: viewOf(opened).readOnly };
      standings.set(name, standing);
      return standing;
    });
  }

  /** What a task's project says about writing it; a task cannot be made in a project that does not exist. */
  async function readOnlyOfProject(
    stream: Stream,
    purpose: "read" | "write" | "create",
  ): Promise<ReadOnly | undefined> {
    if (stream.taskId === undefined) return undefined;
    try {
      const standing = await standingOf({ projectId: stream.projectId });
      if (purpose === "create" && (standing === undefined || standing.seq === 0)) {
        throw new OrchestratorError("unknown-project", `There is no project "${stream.projectId}" for this task.`);
      }
      return standing?.readOnly;
    } catch (error) {
      if (purpose === "read" && isUnusable(error)) return undefined;
      throw error;
    }
  }

  function readOnlyNow(opened: OpenStream, project: ReadOnly | undefined): ReadOnly | undefined {
    return project ?? viewOf(opened).readOnly;
  }

  /** The tasks of a project as its page shows them, and a text that changes whenever one of them does. */
  async function tasksNow(
    projectId: string,
  ): Promise<{ readonly signature: string; readonly tasks: readonly TaskOnPage[] }> {
    const known = await glances.tasks(projectId);
    return { signature: glances.versionOf(projectId), tasks: known.map(({ onPage }) => onPage) };
  }

  // ---- failures --------------------------------------------------------------------------------------------------

  function requireOpen(): void {
    if (closed) throw storeClosed();
  }

  /** Runs what comes before the append: when it fails, nothing was written. */
  function beforeCommit(opened: OpenStream, work: () => void): void {
    try {
      work();
    } catch (error) {
      throw error instanceof OrchestratorError ? error : notCommitted(opened, error);
    }
  }

  function notCommitted({ place }: OpenStream, error: unknown): OrchestratorError {
    const message = `The change to ${place.name} could not be written (${reasonOf(error)}) and did not happen. Free disk space or mend the permission, then call again.`;
    return new OrchestratorError("not-committed", message, { cause: error });
  }

  /** From here on the stream takes nothing until its tail was read again and made durable. */
  function outcomeUnknown(opened: OpenStream, error: unknown): OrchestratorError {
    const { name } = opened.place;
    doubtful.add(name);
    const message = `The disk failed (${reasonOf(error)}) while a change to ${name} was made durable; it may or may not be there. Read the status, then call again if it is missing.`;
    warn(message);
    return new OrchestratorError("outcome-unknown", message, { cause: error });
  }

  return {
    list,
    projects,
    find,
    read,
    recordOf,
    commit,
    history,
    tasks,
    changed,
    lookOver,
    refreshPages,
    verify,
    readSidecar,
    writeSidecar,
    locate,
    close,
  };
}

function storeClosed(): OrchestratorError {
  return new OrchestratorError("bug", "The store is closed.");
}

function withChanges(documents: Snapshot["documents"], change: Change): Snapshot["documents"] {
  const changed = Object.entries({ ...documents, ...change.documents });
  return Object.fromEntries(changed.filter((entry): entry is [DocumentName, string] => entry[1] !== null));
}

/** Of what the page is made; undefined where nothing is said of that. */
function sourceOf(state: Parameters<typeof sourceOfPage>[0], name: DocumentName, rendering: number | undefined) {
  return rendering === undefined ? undefined : sourceOfPage(state, name, rendering);
}

/** Full texts of a page as of the last records, for telling the remains of an interrupted writing from an edit. */
function pagesOfEarlierStates(
  { stream, journal }: OpenStream,
  name: DocumentName,
  rendering: number | undefined,
  render: RenderPages,
): readonly string[] {
  const state = createReading(stream);
  const pages: string[] = [];
  try {
    for (const record of journal.recordsAfter(0)) {
      applyDocuments(state, record);
      const { seq } = record;
      if (seq <= journal.reading.seq - earlierStates) continue;
      const body = render({ stream, documents: Object.fromEntries(state.documents), changed: [name] })[name];
      if (body !== undefined) pages.push(framePage(stream, seq, body, sourceOf(state, name, rendering)));
    }
  } catch {
    // What cannot be rendered any more cannot be compared; the page is then taken for edited and kept.
  }
  return pages;
}

function loudOnes({ place }: OpenStream, mendings: readonly Mending[]): readonly string[] {
  return [...new Set(mendings.filter(({ loud }) => loud).map(({ file, what }) => `${place.name}/${file} ${what}.`))];
}

/** What the disk did not do while a stream was read, in words of ours; every other error as it is. What comes after an append says more itself. */
function asUnreadable(name: string, error: unknown): unknown {
  if (error instanceof OrchestratorError || codeOf(error) === codeOf(undefined)) return error;
  const message = `${name} could not be read (${codeOf(error)}). Mend its permission or the disk.`;
  return new OrchestratorError("journal-unreadable", message, { cause: error });
}

/** True for a journal that stands in its stream's way and in nobody else's. */
function isUnusable(error: unknown): error is OrchestratorError {
  const codes: readonly string[] = ["journal-damaged", "journal-unreadable", "unsupported-file-system"];
  return error instanceof OrchestratorError && codes.includes(error.code);
}

function isNews({ replaced, grew }: News): boolean {
  return replaced || grew;
}

/** Words for a message; never the text of an error of the operating system, which holds paths. */
function reasonOf(error: unknown): string {
  if (error instanceof OrchestratorError) return error.message;
  return error instanceof Error && !("code" in error) ? error.message : codeOf(error);
}

/**
 * What keeping means to the rest of the code: streams of records, and documents that follow from them.
 * No path, descriptor or lock shows here; a store on files and one in memory pass the same conformance suite.
 */
import type { ErrorCode } from "../errors.ts";
import type { Event } from "../schema/events.ts";
import type { Outline } from "../schema/outline.ts";

/** One stream per project and one per task. Ids are those of the documents. */
export type Stream = { readonly projectId: string; readonly taskId?: string };

/** Logical document names: `project` in a project's stream; `task` and `steps/<id>` in a task's. */
export type DocumentName = string;

/** Who caused a record; `session` is a hash. */
export type Actor = {
  readonly kind: "person" | "orchestrator" | "builder" | "qa" | "driver";
  readonly agentId?: string;
  readonly session?: string;
};

/** What a caller asks to commit: the event and the full new text of each document it changes (null removes it). */
export type Change = {
  readonly at: string;
  readonly actor: Actor;
  readonly tool: string;
  readonly callId: string;
  readonly event: Event;
  readonly documents: Readonly<Record<DocumentName, string | null>>;
};

/** One durable record of a stream, in order; `seq` starts at 1 and has no gap. */
export type JournalRecord = {
  readonly id: string;
  readonly seq: number;
  readonly prev: string;
  readonly at: string;
  readonly actor: Actor;
  readonly tool: string;
  readonly callId: string;
  readonly event: Event;
  readonly docs: Readonly<Record<DocumentName, string | null>>;
  readonly sum: string;
};

/** A stream as it stands: all documents by name, and the last record's place. */
export type Snapshot = {
  readonly stream: Stream;
  readonly seq: number;
  readonly sum: string;
  readonly documents: Readonly<Record<DocumentName, string>>;
  /** What was noticed and mended while opening or writing, e.g. a document edited behind our back. For people. */
  readonly warnings: readonly string[];
  /** Set while a failed sync leaves open whether the last change is durable: nobody may be told that it stands. */
  readonly doubt?: string;
  /** Set when the stream must not be written: `project-copied`, `newer-schema`. */
  readonly readOnly?: { readonly code: "project-copied" | "newer-schema"; readonly reason: string };
};

/**
 * The answer to a commit. `committed`: durable, documents and pages follow (a `warning` says which could not be written
 * yet). `conflict`: another change came first, or nothing was decided; nothing of this one will ever come alive. Decide again on the new state.
 */
export type Committed = {
  readonly kind: "committed";
  readonly seq: number;
  readonly sum: string;
  readonly warnings: readonly string[];
};
export type CommitAnswer = Committed | { readonly kind: "conflict" };

/**
 * A change, or how it is decided: when its turn comes and no other one came before, so that nothing is decided in vain. It waits for nothing and
 * may be called several times, of which the last counts; undefined when there is nothing to commit.
 */
export type Wanted = Change | (() => Change | undefined);

/** What is wanted, decided now when it has to be. Throws what deciding throws. */
export function changeOf(wanted: Wanted): Change | undefined {
  return typeof wanted === "function" ? wanted() : wanted;
}

/**
 * How a change that another one came before is decided anew. `sum`: of the record that it was decided on; in a journal that lacks that
 * one nothing is. `decide` waits for nothing and may be called several times, of which the last counts; undefined when the
 * change cannot be made any more as it is meant.
 */
export type Again = {
  readonly sum: string;
  readonly decide: (documents: Snapshot["documents"]) => Change | undefined;
};

/** One difference that `verify` found. */
export type Finding = {
  readonly stream: Stream;
  readonly name: string;
  readonly what: string;
  readonly repaired: boolean;
};

/**
 * What is known of a task without opening it. `failure` says why it cannot be read; then, and only then, there is no `outline`.
 * `onPage` is what can be told of it in any case.
 */
export type TaskGlance = {
  readonly stream: Stream & { readonly taskId: string };
  readonly seq: number;
  readonly sum: string;
  readonly onPage: TaskOnPage;
  readonly outline?: Outline;
  readonly failure?: { readonly code: ErrorCode; readonly reason: string };
  readonly readOnly?: NonNullable<Snapshot["readOnly"]>;
};

/** Where a reader of all streams stands; opaque, of use to the store that gave it only. */
export type Cursor = string;

export type Store = {
  /**
   * All streams below the root in a stable order: each project's stream, then its tasks'. Those of a folder that cannot
   * be listed are left out with a warning; with `whole` that throws `journal-unreadable` instead.
   */
  list(options?: { readonly whole?: boolean }): Promise<readonly Stream[]>;
  /** The ids of `list`'s projects, in its order; looks at no task of a project that stands there itself. */
  projects(): Promise<readonly string[]>;
  /** The streams of tasks with this id, as `list` has them: one per project that holds such a folder. Looks at no other task. */
  find(taskId: string): Promise<readonly Stream[]>;
  /**
   * The stream as it is now and as it is durable (or with a `doubt`), or undefined when it does not exist. Redoes documents and pages
   * that a crash left behind; what another writer has changed is left to it for two seconds. Throws `journal-damaged`,
   * `journal-unreadable`, `unsupported-file-system`.
   */
  read(stream: Stream): Promise<Snapshot | undefined>;
  /**
   * Appends one record when the stream's last `seq` is `expectedSeq` (0: the stream must not exist yet). Resolves after
   * the record is durable and documents and pages were written. Throws `not-committed`, `outcome-unknown`,
   * `journal-damaged`, `journal-unreadable`, `unsupported-file-system`, `invalid-id`, `unknown-project` (a task needs its project), and what `readOnly` says.
   * Commits to a stream that wait for one another are written together, in the order in which they came: one write, one sync. With `again`
   * a change that another one came before is decided anew instead of answered with `conflict`. What `wanted` or `again` throws is thrown, and where they
   * answer nothing it is a `conflict`, too.
   */
  commit(stream: Stream, expectedSeq: number, wanted: Wanted, again?: Again): Promise<CommitAnswer>;
  /** The last record that was committed under this call id; undefined when there is none. Reads that record and no other. */
  recordOf(stream: Stream, callId: string): Promise<JournalRecord | undefined>;
  /** The records after `afterSeq`, in order. */
  history(stream: Stream, afterSeq: number): Promise<readonly JournalRecord[]>;
  /**
   * The project's tasks at a glance, in a stable order. What is committed through a store, in whatever process, shows at once;
   * what other programs make of the files (a restored backup) within a minute where there are very many tasks. Costs little
   * for a task that did not change. A project that does not exist has none.
   */
  tasks(projectId: string): Promise<readonly TaskGlance[]>;
  /**
   * The streams whose journals changed since the cursor, and the next cursor; without a cursor none, and where to begin. Whoever
   * follows all streams by it also redoes what a writer left behind that died, in streams that were read since.
   */
  changed(cursor?: Cursor): Promise<{ readonly streams: readonly Stream[]; readonly cursor: Cursor }>;
  /**
   * Makes documents and pages right, as reading does, and opens none of them where each file is still, by all that the disk says of it, the one that was
   * compared the last time and found right, be it by an earlier process. Throws what `read` throws.
   */
  lookOver(stream: Stream): Promise<void>;
  /** Writes the stream's pages anew where they differ (a project's page counts its tasks and follows their status). */
  refreshPages(stream: Stream): Promise<void>;
  /** Reads the whole journal and compares every document and page; repairs what differs and says so. */
  verify(stream: Stream): Promise<readonly Finding[]>;
  /**
   * A small value kept beside the stream, outside journal and version control; undefined when there is none or what
   * stands there is no JSON. Throws `journal-unreadable` when nobody can tell now: that says nothing of the value.
   */
  readSidecar(stream: Stream, name: string): Promise<unknown>;
  /** Keeps the value, also before the stream's first record; the stream does not exist because of it. */
  writeSidecar(stream: Stream, name: string, value: unknown): Promise<void>;
  /** Absolute path of a document or page, for people and answers; does not say that it exists. */
  locate(stream: Stream, name: DocumentName, kind: "document" | "page"): string;
  /** Closes what is open. Later calls throw. */
  close(): Promise<void>;
};

/**
 * Renders pages: name (as a document's) to body. The store adds the last line (generated, stream, seq, hash).
 * `changed` limits the work to pages that the named documents show; undefined means all. A task's page shows all its documents, a step's its own and
 * of others what never changes. Pure: the same input gives the same text.
 * `tasks` is given for a project's stream only.
 */
export type RenderPages = (input: {
  readonly stream: Stream;
  readonly documents: Readonly<Record<DocumentName, string>>;
  readonly changed?: readonly DocumentName[];
  readonly tasks?: readonly TaskOnPage[];
}) => Readonly<Record<DocumentName, string>>;

/** What a project's page shows of a task. */
export type TaskOnPage = {
  readonly id: string;
  readonly title: string;
  readonly status: string;
  readonly updatedAt: string;
  readonly steps: number;
};

/** The stream's name in words, as pages and records show it. Pure. */
export function nameOfStream(stream: Stream): string {
  return stream.taskId === undefined
    ? `projects/${stream.projectId}`
    : `projects/${stream.projectId}/tasks/${stream.taskId}`;
}

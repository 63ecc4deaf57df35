/**
 * The store in memory, for tests of everything that is not the store: same interface and same answers, no disk. Nothing
 * in it can be torn, edited or damaged, so it never warns.
 */
import { OrchestratorError } from "../errors.ts";
import { formatRecord, genesis } from "./journal.ts";
import { pathOf, requireDocumentName, requireSidecarName, requireStream } from "./layout.ts";
import { framePage, readPage, withFinalNewline } from "./pages.ts";
import { glanceOf, readOnlyOf, taskOnPage, type ReadOnly } from "./standing.ts";
import {
  changeOf,
  nameOfStream,
  type Again,
  type DocumentName,
  type JournalRecord,
  type RenderPages,
  type Store,
  type Stream,
  type TaskGlance,
  type TaskOnPage,
  type Wanted,
} from "./store.ts";

export type MemoryStoreOptions = {
  readonly renderPages: RenderPages;
  /** Makes record ids; a counter when left out. */
  readonly randomId?: () => string;
};

/** A store whose pages can be looked at, because no disk has them. */
export type MemoryStore = Store & {
  /** Full text of a page as the file store would write it; undefined when there is none. */
  page(stream: Stream, name: DocumentName): string | undefined;
};

type Kept = {
  readonly stream: Stream;
  readonly records: JournalRecord[];
  readonly documents: Map<DocumentName, string>;
  readonly pages: Map<DocumentName, string>;
  /** The documents as of the last record, one object for all readings until the next: readers remember what they made of it. */
  view: Readonly<Record<DocumentName, string>> | undefined;
  /** The number, among all commits, of the last one. */
  changedBy: number;
  /** What the documents say about writing them, as of the record with this number. */
  standing: { readonly seq: number; readonly readOnly: ReadOnly | undefined };
};

export function createMemoryStore(options: MemoryStoreOptions): MemoryStore {
  const streams = new Map<string, Kept>();
  const sidecars = new Map<string, string>();
  let ids = 0;
  let commits = 0;
  let closed = false;
  const nextId = options.randomId ?? (() => `record-${(ids += 1)}`);

  function keptOf(stream: Stream): Kept | undefined {
    if (closed) throw new OrchestratorError("bug", "The store is closed.");
    requireStream(stream);
    return streams.get(nameOfStream(stream));
  }

  function listed(): readonly Kept[] {
    if (closed) throw new OrchestratorError("bug", "The store is closed.");
    const key = ({ stream }: Kept) => [stream.projectId, stream.taskId ?? ""] as const;
    return [...streams.values()].sort((left, right) => {
      const [project, task] = key(left);
      const [otherProject, otherTask] = key(right);
      return compare(project, otherProject) || compare(task, otherTask);
    });
  }

  function readOnlyNow(stream: Stream): ReadOnly | undefined {
    const own = (kept: Kept | undefined) => {
      if (kept === undefined) return undefined;
      const seq = kept.records.length;
      if (kept.standing.seq !== seq) kept.standing = { seq, readOnly: readOnlyOf(kept.stream, kept.documents) };
      return kept.standing.readOnly;
    };
    const project =
      stream.taskId === undefined ? undefined : own(streams.get(nameOfStream({ projectId: stream.projectId })));
    return project ?? own(streams.get(nameOfStream(stream)));
  }

  function commit(
    stream: Stream,
    expectedSeq: number,
    wanted: Wanted,
    again: Again | undefined,
  ): Awaited<ReturnType<Store["commit"]>> {
    const known = keptOf(stream);
    if (
      stream.taskId !== undefined &&
      expectedSeq === 0 &&
      !streams.has(nameOfStream({ projectId: stream.projectId }))
    ) {
      throw new OrchestratorError("unknown-project", `There is no project "${stream.projectId}" for this task.`);
    }
    const readOnly = readOnlyNow(stream);
    if (readOnly !== undefined) throw new OrchestratorError(readOnly.code, readOnly.reason);
    const last = known?.records.at(-1);
    const seq = last?.seq ?? 0;
    const isBehind = again !== undefined && known?.records[expectedSeq - 1]?.sum === again.sum;
    const decideAgain = () => (isBehind ? again.decide(Object.fromEntries(known.documents)) : undefined);
    const change = seq === expectedSeq ? changeOf(wanted) : decideAgain();
    if (change === undefined) return { kind: "conflict" };
    for (const name of Object.keys(change.documents)) requireDocumentName(stream, name);
    const kept: Kept = known ?? {
      stream,
      records: [],
      documents: new Map(),
      pages: new Map(),
      view: undefined,
      changedBy: 0,
      standing: { seq: 0, readOnly: undefined },
    };
    streams.set(nameOfStream(stream), kept);
    const { line } = formatRecord(change, nextId(), seq + 1, last?.sum ?? genesis);
    // Through its text, so that nobody holds on to a part of what is kept.
    const record = JSON.parse(line) as JournalRecord;
    kept.records.push(record);
    for (const [name, text] of Object.entries(record.docs)) {
      if (text === null) kept.documents.delete(name);
      else kept.documents.set(name, text);
    }
    kept.view = undefined;
    kept.changedBy = commits += 1;
    renderInto(kept, Object.keys(record.docs));
    return { kind: "committed", seq: record.seq, sum: record.sum, warnings: [] };
  }

  function renderInto(kept: Kept, changed?: readonly DocumentName[]): void {
    const { stream, documents, pages, records } = kept;
    if (readOnlyNow(stream) !== undefined) return;
    const rendered = options.renderPages({
      stream,
      documents: Object.fromEntries(documents),
      ...(changed === undefined ? {} : { changed }),
      ...(stream.taskId === undefined ? { tasks: tasksOf(stream.projectId) } : {}),
    });
    for (const [name, body] of Object.entries(rendered)) {
      requireDocumentName(stream, name);
      const before = readPage(pages.get(name) ?? "");
      if (before?.body !== withFinalNewline(body) || changed?.includes(name) === true)
        pages.set(name, framePage(stream, records.length, body));
    }
    for (const name of pages.keys()) if (!documents.has(name) && rendered[name] === undefined) pages.delete(name);
  }

  function tasksOf(projectId: string): readonly TaskOnPage[] {
    return listed().flatMap(({ stream, documents }) =>
      stream.projectId === projectId && stream.taskId !== undefined
        ? [taskOnPage(stream.taskId, documents.get("task"))]
        : [],
    );
  }

  function glanceAt({ stream, documents, records }: Kept): readonly TaskGlance[] {
    const { projectId, taskId } = stream;
    const last = records.at(-1);
    if (taskId === undefined || last === undefined) return [];
    return [glanceOf({ projectId, taskId }, { seq: last.seq, sum: last.sum, documents })];
  }

  return {
    list: async () => listed().map(({ stream }) => stream),
    projects: async () => [...new Set(listed().map(({ stream }) => stream.projectId))],
    find: async (taskId) => {
      requireStream({ projectId: taskId });
      return listed().flatMap(({ stream }) => (stream.taskId === taskId ? [stream] : []));
    },
    recordOf: async (stream, callId) => keptOf(stream)?.records.findLast((one) => one.callId === callId),
    read: async (stream) => {
      const kept = keptOf(stream);
      const last = kept?.records.at(-1);
      if (kept === undefined || last === undefined) return undefined;
      const readOnly = readOnlyNow(stream);
      const documents = (kept.view ??= Object.freeze(Object.fromEntries(kept.documents)));
      return {
        stream,
        seq: last.seq,
        sum: last.sum,
        documents,
        warnings: [],
        ...(readOnly === undefined ? {} : { readOnly }),
      };
    },
    commit: async (stream, expectedSeq, wanted, again) => commit(stream, expectedSeq, wanted, again),
    history: async (stream, afterSeq) => keptOf(stream)?.records.slice(Math.max(0, afterSeq)) ?? [],
    tasks: async (projectId) => {
      requireStream({ projectId });
      return listed().flatMap((kept) => (kept.stream.projectId === projectId ? glanceAt(kept) : []));
    },
    changed: async (cursor) => {
      const since = cursor === undefined ? commits : Number(cursor);
      if (!Number.isSafeInteger(since) || since < 0)
        throw new OrchestratorError("invalid-parameters", "This is no cursor of this store; leave it out to begin.");
      const streams = listed().flatMap(({ stream, changedBy }) => (changedBy > since ? [stream] : []));
      return { streams, cursor: String(commits) };
    },
    lookOver: async (stream) => void keptOf(stream),
    refreshPages: async (stream) => {
      const kept = keptOf(stream);
      if (kept !== undefined) renderInto(kept);
    },
    verify: async (stream) => {
      keptOf(stream);
      return [];
    },
    readSidecar: async (stream, name) => {
      keptOf(stream);
      requireSidecarName(name);
      const text = sidecars.get(`${nameOfStream(stream)} ${name}`);
      return text === undefined ? undefined : (JSON.parse(text) as unknown);
    },
    writeSidecar: async (stream, name, value) => {
      keptOf(stream);
      requireSidecarName(name);
      sidecars.set(`${nameOfStream(stream)} ${name}`, JSON.stringify(value));
    },
    locate: (stream, name, kind) => {
      requireStream(stream);
      requireDocumentName(stream, name);
      return pathOf("/memory", stream, name, kind);
    },
    close: async () => {
      closed = true;
    },
    page: (stream, name) => keptOf(stream)?.pages.get(name),
  };
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

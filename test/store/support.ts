/** A world for store tests: a root of its own, small documents and a simple renderer. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { Event } from "../../src/schema/events.ts";
import { createFileStore, type FileStoreOptions } from "../../src/store/file-store.ts";
import { advance, createReading } from "../../src/store/journal.ts";
import { readPage, withFinalNewline } from "../../src/store/pages.ts";
import { renderPages, rendering } from "./pages.ts";
import type {
  Change,
  DocumentName,
  JournalRecord,
  RenderPages,
  Snapshot,
  Store,
  Stream,
} from "../../src/store/store.ts";

export { renderPages, rendering };
export { isWrite, systemError, watchedDisk, type Behaviour, type Call } from "../support/watched-disk.ts";

export const project: Stream = { projectId: "shop" };
export const task: Stream = { projectId: "shop", taskId: "login-1a2b3c4d" };
export const otherTask: Stream = { projectId: "shop", taskId: "search-5e6f7a8b" };

const at = "2026-03-04T05:06:07.000Z";
const aTaskPaused: Event = { type: "TaskPaused", v: 1, at, reason: "for a test" };

/** A change of the given documents; everything else is always the same. */
export function aChange(documents: Readonly<Record<DocumentName, string | null>>, callId = "call"): Change {
  return { at, actor: { kind: "driver" }, tool: "test", callId, event: aTaskPaused, documents };
}

export function projectText(fields: Readonly<Record<string, unknown>> = {}): string {
  return text({ schemaVersion: 1, rev: 1, id: project.projectId, name: "Shop", ...fields });
}

export function taskText(fields: Readonly<Record<string, unknown>> = {}, stream: Stream = task): string {
  const base = {
    schemaVersion: 1,
    rev: 1,
    id: stream.taskId,
    projectId: stream.projectId,
    title: "Login",
    status: "draft",
  };
  return text({ ...base, steps: [], updatedAt: at, ...fields });
}

export function stepText(id: string, fields: Readonly<Record<string, unknown>> = {}): string {
  return text({ schemaVersion: 1, rev: 1, id, status: "queued", ...fields });
}

function text(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** A folder that is gone after the test. */
export function aRoot(): string {
  const root = mkdtempSync(join(tmpdir(), "store-test-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  return root;
}

let ids = 0;

/** A file store that is closed after the test. */
export async function aFileStore(root: string, options: Partial<FileStoreOptions> = {}): Promise<Store> {
  const store = await createFileStore({
    root,
    renderPages,
    ...(options.renderPages === undefined ? { rendering } : {}),
    now: () => new Date(at),
    randomId: () => `id-${process.pid}-${(ids += 1)}`,
    ...options,
  });
  onTestFinished(() => store.close());
  return store;
}

/** Commits on the state as it is and expects that to succeed. */
export async function commitNow(
  store: Store,
  stream: Stream,
  documents: Change["documents"],
  callId?: string,
): Promise<readonly string[]> {
  const answer = await store.commit(stream, (await store.read(stream))?.seq ?? 0, aChange(documents, callId));
  if (answer.kind !== "committed") throw new Error("an unexpected conflict");
  return answer.warnings;
}

/** The records of all streams. */
export async function allRecords(store: Store): Promise<readonly JournalRecord[]> {
  const records = await Promise.all((await store.list()).map((stream) => store.history(stream, 0)));
  return records.flat();
}

/** A root with a project and one task of two records and one step, written by a store that is closed. */
export async function aRootWithTask(): Promise<string> {
  const root = aRoot();
  const store = await aFileStore(root);
  await commitNow(store, project, { project: projectText() });
  await commitNow(store, task, { task: taskText(), "steps/step-01": stepText("step-01") });
  await commitNow(store, task, { task: taskText({ rev: 2, status: "running" }) });
  await store.close();
  return root;
}

export function pathOf(root: string, stream: Stream, file: string): string {
  const tasks = stream.taskId === undefined ? [] : ["tasks", stream.taskId];
  return join(root, "projects", stream.projectId, ...tasks, file);
}

export function readText(root: string, stream: Stream, file: string): string {
  return readFileSync(pathOf(root, stream, file), "utf8");
}

export function writeText(root: string, stream: Stream, file: string, content: string | Uint8Array): void {
  writeFileSync(pathOf(root, stream, file), content);
}

/** Files of a stream's folder, steps included, that were kept aside. */
export function asides(root: string, stream: Stream): readonly string[] {
  const names = readdirSync(pathOf(root, stream, "."), { recursive: true, encoding: "utf8" });
  return names.filter((name) => name.includes(".edited-") && !name.startsWith("tasks")).sort();
}

/** The valid records in a journal's bytes, read apart from any store. */
export function recordsIn(stream: Stream, bytes: Uint8Array): readonly JournalRecord[] {
  return advance(createReading(stream), Buffer.from(bytes));
}

/** What is wrong on the disk for a stream: documents that differ from a replay of its journal, pages that differ from a rendering. */
export function differences(
  root: string,
  stream: Stream,
  tasks?: Parameters<RenderPages>[0]["tasks"],
): readonly string[] {
  const documents: Record<DocumentName, string> = {};
  for (const { docs } of recordsIn(stream, readFileSync(pathOf(root, stream, "journal.jsonl")))) {
    for (const [name, content] of Object.entries(docs)) {
      if (content === null) delete documents[name];
      else documents[name] = content;
    }
  }
  const rendered = renderPages({ stream, documents, ...(tasks === undefined ? {} : { tasks }) });
  const onDisk = (file: string) => {
    try {
      return readText(root, stream, file);
    } catch {
      return undefined;
    }
  };
  return [
    ...Object.keys(documents).filter((name) => onDisk(`${name}.json`) !== documents[name]),
    ...Object.keys(rendered).filter(
      (name) => readPage(onDisk(`${name}.md`) ?? "")?.body !== withFinalNewline(rendered[name] ?? ""),
    ),
  ];
}

/** The part of a snapshot that a reopened store must give again. */
export function essence(snapshot: Snapshot | undefined): unknown {
  return snapshot && { seq: snapshot.seq, sum: snapshot.sum, documents: snapshot.documents };
}

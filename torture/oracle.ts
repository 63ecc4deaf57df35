/**
 * What must hold of the files below a root, whatever was done to the processes that wrote them. It reads the disk by
 * itself: the journal says what happened, and everything else has to follow from it.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { renderPages, rendering } from "../src/render/pages.ts";
import { parseProject, parseStep, parseTask } from "../src/schema/documents.ts";
import { createFileStore } from "../src/store/file-store.ts";
import { advance, createReading } from "../src/store/journal.ts";
import { isLitter } from "../src/store/layout.ts";
import { readPage, withFinalNewline } from "../src/store/pages.ts";
import { taskOnPage } from "../src/store/standing.ts";
import { nameOfStream, type JournalRecord, type Store, type Stream, type TaskOnPage } from "../src/store/store.ts";
import { createReplay } from "../test/support/replay.ts";
import { wordsOf } from "./part.ts";

let ids = 0;

/** The real store over a root, as the plugin opens it. */
export function openStore(root: string): Promise<Store> {
  return createFileStore({
    root,
    renderPages,
    rendering,
    now: () => new Date(),
    randomId: () => `${process.pid.toString(36)}-${Date.now().toString(36)}-${(ids += 1).toString(36)}`,
  });
}

/** Opens everything below the root anew, as the next start does; says what could not be opened. */
export async function reopen(root: string): Promise<readonly string[]> {
  const store = await openStore(root);
  const wrong: string[] = [];
  try {
    const streams = await store.list();
    for (const stream of streams.toSorted(
      (one, other) => Number(other.taskId !== undefined) - Number(one.taskId !== undefined),
    ))
      await store
        .read(stream)
        .catch((error: unknown) => wrong.push(`${nameOfStream(stream)} cannot be read: ${wordsOf(error)}`));
  } finally {
    await store.close();
  }
  return wrong;
}

/** The valid records of a stream, straight from its file. Throws for a damaged journal. */
export function recordsOf(root: string, stream: Stream): readonly JournalRecord[] {
  const file = path.join(folderOf(root, stream), "journal.jsonl");
  return existsSync(file) ? advance(createReading(stream), readFileSync(file)) : [];
}

/** All streams that have a journal. */
export function streamsOf(root: string): readonly Stream[] {
  const projects = namesIn(path.join(root, "projects")).filter((name) => !name.startsWith("."));
  return projects.flatMap((projectId): readonly Stream[] => [
    { projectId },
    ...namesIn(path.join(root, "projects", projectId, "tasks"))
      .filter((name) => !name.startsWith("."))
      .map((taskId) => ({ projectId, taskId })),
  ]);
}

/**
 * Says what is wrong below the root; nothing when all promises hold. Every acknowledged call (by the id under which it
 * stands in the journal) is there exactly once, and none of the others more than once.
 */
export function judge(root: string, acknowledged: readonly string[] = []): readonly string[] {
  const wrong: string[] = [];
  const calls = new Map<string, number>();
  for (const stream of streamsOf(root)) {
    const say = (what: string) => wrong.push(`${nameOfStream(stream)}: ${what}`);
    try {
      const records = recordsOf(root, stream);
      for (const { callId } of records) if (callId !== "") calls.set(callId, (calls.get(callId) ?? 0) + 1);
      judgeRecords(stream, records, say);
      judgeFiles(root, stream, records, say);
    } catch (error) {
      say(wordsOf(error));
    }
  }
  for (const callId of acknowledged) if (!calls.has(callId)) wrong.push(`call ${callId} was acknowledged and is gone`);
  for (const [callId, count] of calls) if (count > 1) wrong.push(`call ${callId} stands in the journal ${count} times`);
  return wrong;
}

/** The journal in itself: no gap, no id twice, revisions one after the other, documents that follow from the events. */
function judgeRecords(stream: Stream, records: readonly JournalRecord[], say: (what: string) => void): void {
  if (new Set(records.map(({ id }) => id)).size !== records.length) say("two records have one id");
  const revs = new Map<string, number>();
  for (const { seq, docs } of records)
    for (const [name, text] of Object.entries(docs)) {
      if (text === null) continue;
      const { rev } =
        name === "project" ? parseProject(text) : name === "task" ? parseTask(text) : parseStep(text, name);
      if (rev !== (revs.get(name) ?? 0) + 1) say(`record ${seq} makes ${name} rev ${rev} after ${revs.get(name) ?? 0}`);
      revs.set(name, rev);
    }
  if (stream.taskId === undefined) return;
  const replay = createReplay();
  for (const record of records) replay.take(record);
}

/** The files: documents as the journal has them, pages as they are rendered, nothing else that looks like a document. */
function judgeFiles(
  root: string,
  stream: Stream,
  records: readonly JournalRecord[],
  say: (what: string) => void,
): void {
  const folder = folderOf(root, stream);
  const documents = documentsOf(records);
  const onDisk = filesBelow(folder, stream);
  for (const [name, text] of Object.entries(documents))
    if (onDisk.get(`${name}.json`) !== text) say(`${name}.json is not what the journal says`);
  for (const file of onDisk.keys())
    if (file.endsWith(".json") && documents[file.slice(0, -".json".length)] === undefined)
      say(`${file} is no document of the journal`);
  const tasks = stream.taskId === undefined ? { tasks: tasksOf(root, stream.projectId) } : {};
  for (const [name, body] of Object.entries(renderPages({ stream, documents, ...tasks })))
    if (readPage(onDisk.get(`${name}.md`) ?? "")?.body !== withFinalNewline(body))
      say(`${name}.md is not what follows`);
}

function tasksOf(root: string, projectId: string): readonly TaskOnPage[] {
  return streamsOf(root).flatMap((stream) => {
    if (stream.projectId !== projectId || stream.taskId === undefined) return [];
    const text = documentsOf(recordsOf(root, stream))["task"];
    return text === undefined ? [] : [taskOnPage(stream.taskId, text)];
  });
}

export function documentsOf(records: readonly JournalRecord[]): Readonly<Record<string, string>> {
  const documents: Record<string, string> = {};
  for (const { docs } of records)
    for (const [name, text] of Object.entries(docs)) {
      if (text === null) delete documents[name];
      else documents[name] = text;
    }
  return documents;
}

/** Documents and pages of one stream. What a crash may leave for the next tidying, and what is kept aside, is not among them. */
function filesBelow(folder: string, { taskId }: Stream): ReadonlyMap<string, string> {
  const inSteps = taskId === undefined ? [] : namesIn(path.join(folder, "steps")).map((name) => `steps/${name}`);
  const names = [...namesIn(folder), ...inSteps].filter(
    (name) => /\.(json|md)$/.test(name) && !path.basename(name).startsWith(".") && !isLitter(path.basename(name)),
  );
  return new Map(names.map((name) => [name, readFileSync(path.join(folder, name), "utf8")]));
}

function folderOf(root: string, { projectId, taskId }: Stream): string {
  return path.join(root, "projects", projectId, ...(taskId === undefined ? [] : ["tasks", taskId]));
}

function namesIn(folder: string): readonly string[] {
  return existsSync(folder) ? readdirSync(folder).toSorted() : [];
}

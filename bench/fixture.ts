/** Roots of a size: one project with so many tasks, written as the store writes them, but without its syncs. */
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { tellWhatEnded } from "../src/host/told.ts";
import { bootOfMachine } from "../src/files/launcher.ts";
import { renderPages, rendering } from "../src/render/pages.ts";
import { confinedDisk } from "../src/store/confined-disk.ts";
import type { Disk } from "../src/store/disk.ts";
import { createFileStore } from "../src/store/file-store.ts";
import { formatCheckpoint } from "../src/store/checkpoint.ts";
import { advance, createReading, formatRecord } from "../src/store/journal.ts";
import { checkpointBytes } from "../src/store/journal-file.ts";
import { checkpointFile, fileOf, placeOf, sidecarFileOf } from "../src/store/layout.ts";
import { framePage, sourceOfPage } from "../src/store/pages.ts";
import { createMemoryStore } from "../src/store/memory-store.ts";
import { nameOfStream, type Change, type JournalRecord, type Store, type Stream } from "../src/store/store.ts";
import { hasEnded } from "../src/schema/outline.ts";
import { readChats } from "../src/tools/chat-of-task.ts";
import { aProject, aStep, aTask, createBench, type Bench } from "../test/support/bench.ts";
import { owner } from "../test/support/callers.ts";

// A gateway has loaded it, and with it the lock, which listens to signals: else each document written takes up twenty of them anew.
await import("../src/host/lease.ts");

export const projectId = "shop";

/** Steps that wait for nothing: any of them can be worked on at any time. */
export const freeSteps = (count: number) =>
  Array.from({ length: count }, (_, index) => aStep({ title: `Step ${index + 1}`, dependsOn: [] }));

/** The id of a task's step, counted from 0. */
export const stepOf = (number: number) => `step-${String(number + 1).padStart(2, "0")}`;

export type Place = { readonly root: string; readonly store: Store; readonly bench: Bench };

/** What a figure listens at, or leaves out. */
export type Parts = {
  readonly disk?: Disk;
  readonly onFlowRead?: () => void;
  readonly render?: typeof renderPages;
  /** False: no page is rendered or looked at. */
  readonly hasPages?: boolean;
  /** False: folders are not held against links. */
  readonly isConfined?: boolean;
};

/** All else is as the plugin has it by itself, so a task has its closing review behind its steps. */
const config = { parallelSteps: 8 } as const;

let ids = 0;

/** A root below the folder with an empty project, open. Whoever asks for it closes its store. */
export async function aPlace(folder: string, name: string, parts?: Parts): Promise<Place> {
  const root = path.join(folder, name);
  mkdirSync(path.join(root, "projects"), { recursive: true });
  const place = await openPlace(root, parts);
  await place.bench.done("create_project", aProject());
  return place;
}

/** The same on a store that has no disk. */
export async function aPlaceInMemory(): Promise<Place> {
  const store = createMemoryStore({ renderPages });
  const place = { root: "", store, bench: createBench({ store, config }) };
  await place.bench.done("create_project", aProject());
  return place;
}

/** Opens a root that is there. */
export async function openPlace(
  root: string,
  { disk, onFlowRead, render = renderPages, hasPages = true, isConfined = true }: Parts = {},
): Promise<Place> {
  const plain = await createFileStore({
    root,
    renderPages: hasPages ? render : () => ({}),
    ...(hasPages ? { rendering } : {}),
    boot: bootOfMachine(),
    now: () => new Date(),
    randomId: () => `${process.pid.toString(36)}-${Date.now().toString(36)}-${(ids += 1).toString(36)}`,
    ...(disk === undefined ? {} : { disk: isConfined ? confinedDisk(root, disk) : disk }),
  });
  const read = new Map<string, { readonly seq: number; readonly sum: string }>();
  const store: Store = {
    ...plain,
    read: async (stream) => {
      const snapshot = await plain.read(stream);
      if (snapshot !== undefined) read.set(nameOfStream(stream), snapshot);
      return snapshot;
    },
  };
  // Whose flow record it is stands on the disk and is read, as by the host. The record itself is OpenClaw's, which is not here: as if the driver had
  // brought it up to what was last read.
  const readFlow = async (flowId: string | null, stream: Stream) => {
    onFlowRead?.();
    await readChats(store, stream);
    const { seq = 0, sum = "" } = read.get(nameOfStream(stream)) ?? (await plain.read(stream)) ?? {};
    return { flowId: flowId ?? "", ended: false, seq, sum };
  };
  return { root, store, bench: createBench({ store, root, config, readFlow }) };
}

/** What a task can be that is not driven now: not started, held by a person, in wait of another task or of a person's answer; or over. */
export const kinds = ["draft", "paused", "waiting", "asking", "cancelled"] as const;
export type Kind = (typeof kinds)[number];
/** Kinds of tasks that are not over. */
export const unfinishedKinds = kinds.filter((kind) => kind !== "cancelled");

/** A task of the kind with five steps; `draft` is the id of one that is not started. */
async function aTaskOf({ bench }: Place, kind: Kind, draft: string | undefined): Promise<string> {
  const set = (taskId: string, status: string) =>
    bench.done("set_task_status", { taskId, status, reason: "Not now." }, owner());
  // Of one that asks nothing else can go on meanwhile, or it would be built at the next start.
  const steps =
    kind === "asking" ? Array.from({ length: 5 }, (_, at) => aStep({ title: `Step ${at + 1}` })) : freeSteps(5);
  const dependsOn = kind === "waiting" && draft !== undefined ? [draft] : [];
  const taskId = String((await bench.done("create_task", aTask({ steps, dependsOn })))["taskId"]);
  if (kind === "cancelled") await set(taskId, kind);
  if (kind === "draft" || kind === "cancelled") return taskId;
  await bench.done("start_task", { taskId });
  if (kind === "paused") await set(taskId, kind);
  if (kind === "asking") await bench.asking(taskId);
  return taskId;
}

/**
 * Adds so many tasks of the kind; one is made by the tools, the others are like it under ids of their own, also of their flow records. Answers their
 * ids. Of those that are over the disk has no more than the journal, their chat and task.json: nobody opens them, and a hundred thousand files more
 * would take minutes.
 */
export async function addTasks(
  place: Place,
  count: number,
  kind: Kind = "draft",
  draft?: string,
): Promise<readonly string[]> {
  const { root, store, bench } = place;
  if (count === 0) return [];
  const flow = `flow-${bench.flowsMade.length + 1}`;
  const first = await aTaskOf(place, kind, draft);
  const records = await store.history({ projectId, taskId: first }, 0);
  const chats = JSON.stringify(await store.readSidecar({ projectId, taskId: first }, "chats"));
  const taskIds = [first];
  for (let number = 2; number <= count; number += 1) {
    const taskId = `${kind}-${number.toString(16).padStart(8, "0")}`;
    const rename = (text: string) => text.replaceAll(first, taskId).replaceAll(flow, `flow-${taskId}`);
    writeLike(root, { projectId, taskId }, records, rename, kind !== "cancelled");
    writeFileSync(path.join(placeOf(root, { projectId, taskId }).directory, sidecarFileOf("chats")), `${chats}\n`);
    taskIds.push(taskId);
  }
  return taskIds;
}

const tasks = 10_000;
/** So many of ten thousand tasks are not over: two fifths drafts, and a fifth of each other kind. */
export const unfinished = 1_000;

/** A root below the folder with ten thousand tasks, of which everything was told. Answers where; nobody has it open. */
export async function writeTasks(folder: string, name: string): Promise<string> {
  const place = await aPlace(folder, name);
  const [draft] = await addTasks(place, (unfinished * 2) / 5);
  for (const kind of unfinishedKinds) if (kind !== "draft") await addTasks(place, unfinished / 5, kind, draft);
  await addTasks(place, tasks - unfinished, "cancelled");
  await tellAll(place);
  await place.store.close();
  await lookOverAll(place.root);
  return place.root;
}

/** As a start does that finds them made by somebody else: what it found right is kept for the next one. */
async function lookOverAll(root: string): Promise<void> {
  const { store } = await openPlace(root);
  for (const { stream, outline } of await store.tasks(projectId))
    if (outline !== undefined && !hasEnded(outline)) await store.lookOver(stream);
  await store.close();
}

/** Everything has been told to its person, and of what is over that is kept, as where the plugin has been at work. */
export async function tellAll({ root, store }: Place): Promise<void> {
  for (const { stream, seq, sum } of await store.tasks(projectId))
    writeFileSync(
      path.join(placeOf(root, stream).directory, sidecarFileOf("told")),
      `${JSON.stringify({ seq, sum })}\n`,
    );
  const fail = (what: unknown) => {
    throw new Error(`not told: ${JSON.stringify(what)}`);
  };
  await tellWhatEnded(store, fail, fail);
}

/** A started task of so many steps that wait for nothing. */
export async function aStartedTask({ bench }: Pick<Place, "bench">, steps: number): Promise<string> {
  const taskId = String((await bench.done("create_task", aTask({ steps: freeSteps(steps) })))["taskId"]);
  await bench.done("start_task", { taskId });
  return taskId;
}

/** Adds records to a task until its journal has so many, each like the last one of its step. The store must not be open. */
export function lengthen(root: string, taskId: string, count: number): void {
  const stream = { projectId, taskId };
  const { journal } = placeOf(root, stream);
  const records = readFileSync(journal, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as JournalRecord);
  const last = records.at(-1);
  if (last === undefined) throw new Error("an empty journal");
  let { seq, sum: prev } = last;
  let lines = "";
  while (seq < count) {
    seq += 1;
    const { at, actor, tool, callId, event, docs } = last;
    const change: Change = { at, actor, tool, callId: `${callId}-${seq}`, event, documents: docs };
    const { record, line } = formatRecord(change, `long-${seq}`, seq, prev);
    prev = record.sum;
    lines += `${line}\n`;
  }
  appendFileSync(journal, lines);
}

/** Writes a stream of which every text is that of the records after `rename`. */
function writeLike(
  root: string,
  stream: Stream,
  records: readonly JournalRecord[],
  rename: (text: string) => string,
  isWhole: boolean,
): void {
  const { directory, journal } = placeOf(root, stream);
  const reading = createReading(stream);
  let prev = "";
  let lines = "";
  for (const { id, seq, docs, at, actor, tool, callId, event } of records) {
    // What was an event stays one: only ids in its texts are others.
    const renamed = JSON.parse(rename(JSON.stringify({ event, docs }))) as Pick<JournalRecord, "event" | "docs">;
    const change: Change = { at, actor, tool, callId, event: renamed.event, documents: renamed.docs };
    const { record, line } = formatRecord(change, `${id}-${stream.taskId ?? ""}`, seq, prev);
    prev = record.sum;
    lines += `${line}\n`;
  }
  advance(reading, Buffer.from(lines));
  const documents = Object.fromEntries(reading.documents);
  mkdirSync(isWhole ? path.join(directory, "steps") : directory, { recursive: true });
  writeFileSync(journal, lines);
  // As whoever wrote it has left one when it was closed.
  if (reading.offset >= checkpointBytes)
    writeFileSync(path.join(directory, checkpointFile), formatCheckpoint(reading, new Map()) ?? "");
  if (!isWhole) {
    writeFileSync(path.join(directory, fileOf("task", "document")), documents["task"] ?? "");
    return;
  }
  for (const [name, text] of Object.entries(documents))
    writeFileSync(path.join(directory, fileOf(name, "document")), text);
  for (const [name, body] of Object.entries(renderPages({ stream, documents })))
    writeFileSync(
      path.join(directory, fileOf(name, "page")),
      framePage(stream, records.length, body, sourceOfPage(reading, name, rendering)),
    );
}

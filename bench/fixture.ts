/** Roots of a size: one project with so many tasks, written as the store writes them, but without its syncs. */
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { tellWhatEnded } from "../src/host/told.ts";
import { renderPages, rendering } from "../src/render/pages.ts";
import { confinedDisk } from "../src/store/confined-disk.ts";
import type { Disk } from "../src/store/disk.ts";
import { createFileStore } from "../src/store/file-store.ts";
import { applyDocuments, createReading, formatRecord } from "../src/store/journal.ts";
import { fileOf, placeOf, sidecarFileOf } from "../src/store/layout.ts";
import { framePage, sourceOfPage } from "../src/store/pages.ts";
import { createMemoryStore } from "../src/store/memory-store.ts";
import type { Change, JournalRecord, Store, Stream } from "../src/store/store.ts";
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

const config = { parallelSteps: 8, acceptanceReview: false } as const;

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
  const store = await createFileStore({
    root,
    renderPages: hasPages ? render : () => ({}),
    ...(hasPages ? { rendering } : {}),
    now: () => new Date(),
    randomId: () => `${process.pid.toString(36)}-${Date.now().toString(36)}-${(ids += 1).toString(36)}`,
    ...(disk === undefined ? {} : { disk: isConfined ? confinedDisk(root, disk) : disk }),
  });
  // The driver has brought each flow record up to its journal.
  const readFlow = async (flowId: string | null, stream: Stream) => {
    onFlowRead?.();
    const { seq = 0, sum = "" } = (await store.read(stream)) ?? {};
    return { flowId: flowId ?? "", ended: false, seq, sum };
  };
  const flows = onFlowRead === undefined ? {} : { readFlow };
  return { root, store, bench: createBench({ store, root, config, ...flows }) };
}

/**
 * Adds so many tasks with five steps each; one is made by the tools, the others are like it under ids of their own, also of their flow records. Answers their
 * ids. The others are drafts; `cancelled` ones are over, and of these the disk has no more than the journal, their chat and task.json: nobody opens
 * them, and a hundred thousand files more would take minutes.
 */
export async function addTasks(
  { root, store, bench }: Place,
  count: number,
  { cancelled = false }: { readonly cancelled?: boolean } = {},
): Promise<readonly string[]> {
  if (count === 0) return [];
  const first = String((await bench.done("create_task", aTask({ steps: freeSteps(5) })))["taskId"]);
  if (cancelled)
    await bench.done("set_task_status", { taskId: first, status: "cancelled", reason: "Not wanted." }, owner());
  const flow = `flow-${bench.flowsMade.length}`;
  const records = await store.history({ projectId, taskId: first }, 0);
  const chats = JSON.stringify(await store.readSidecar({ projectId, taskId: first }, "chats"));
  const taskIds = [first];
  for (let number = 2; number <= count; number += 1) {
    const taskId = `${cancelled ? "over" : "many"}-${number.toString(16).padStart(8, "0")}`;
    writeLike(
      root,
      { projectId, taskId },
      records,
      (text) => text.replaceAll(first, taskId).replaceAll(flow, `flow-${taskId}`),
      !cancelled,
    );
    writeFileSync(path.join(placeOf(root, { projectId, taskId }).directory, sidecarFileOf("chats")), `${chats}\n`);
    taskIds.push(taskId);
  }
  return taskIds;
}

const tasks = 10_000;
/** So many of ten thousand tasks are drafts; the others are over. */
export const unfinished = 1_000;

/** A root below the folder with ten thousand tasks, of which everything was told. Answers where; nobody has it open. */
export async function writeTasks(folder: string, name: string): Promise<string> {
  const place = await aPlace(folder, name);
  await addTasks(place, unfinished);
  await addTasks(place, tasks - unfinished, { cancelled: true });
  await tellAll(place);
  await place.store.close();
  return place.root;
}

/** Everything has been told to its person, and of what is over that is kept, as where the plugin has been at work. */
async function tellAll({ root, store }: Place): Promise<void> {
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
    applyDocuments(reading, record);
  }
  const documents = Object.fromEntries(reading.documents);
  mkdirSync(isWhole ? path.join(directory, "steps") : directory, { recursive: true });
  writeFileSync(journal, lines);
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

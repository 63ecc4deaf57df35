/**
 * What the design asks of the disk for a change, with nothing around it: no tool, no decision, no rendering, no comparing, and no folder
 * held against links. The bytes are those of a real task; documents are replaced by `write-file-atomic` and pages written in place,
 * as DESIGN.md section 6 has it. All of it is done one after the other, while the store renders and stages during the sync; so it is about the
 * least that the disk asks for, and what is added to it is not all added to the time.
 */
import {
  appendFileSync,
  close,
  closeSync,
  existsSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  globSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import writeFileAtomic from "write-file-atomic";
import { renderPages } from "../src/render/pages.ts";
import { nodeDisk, type Disk } from "../src/store/disk.ts";
import { fileOf, placeOf, sidecarFileOf } from "../src/store/layout.ts";
import { aBuilderReport, aTask } from "../test/support/bench.ts";
import { inOneTask, inTurns } from "./changes.ts";
import { aPlace, aPlaceInMemory, aStartedTask, freeSteps, projectId, stepOf, type Place } from "./fixture.ts";
import { perBlock, timed, type Figure } from "./measure.ts";
import { rememberingDisk } from "./remembering-disk.ts";

const blocks = 10;
const changesPerBlock = 20;
const callers = 8;
const told = `"${"x".repeat(16)}"\n`;
const endOfJournal = Buffer.alloc(16 * 1024);

/**
 * What a change leaves on the disk: the line of its record, documents and pages by their paths in the task's folder. A new task's chat, which is written like a
 * document, and the project's page that counts it are among them; and each change tells the project's other readers of itself.
 */
type Files = {
  readonly line: string;
  readonly documents: ReadonlyMap<string, Buffer>;
  readonly pages: ReadonlyMap<string, Buffer>;
};

/** The files of a task of so many steps as the store wrote them: those that its creation left, or that a report of its first step left. */
async function filesOf(place: Place, steps: number, after: "creation" | "report"): Promise<Files> {
  const taskId = await aStartedTask(place, steps);
  const { directory, journal } = placeOf(place.root, { projectId, taskId });
  if (after === "report") {
    const run = await place.bench.launched(taskId, stepOf(0), "builder");
    await place.bench.done("record_builder_result", aBuilderReport(), run.caller());
  }
  const lines = readFileSync(journal, "utf8").trimEnd().split("\n");
  const read = (file: string): [string, Buffer] => [file, readFileSync(path.join(directory, file))];
  const changed = (kind: "document" | "page") => fileOf(`steps/${stepOf(0)}`, kind);
  const all = (...patterns: readonly string[]) => globSync(patterns, { cwd: directory });
  return after === "report"
    ? {
        line: lines.at(-1) ?? "",
        documents: new Map([read(changed("document"))]),
        pages: new Map([read("task.md"), read(changed("page"))]),
      }
    : {
        line: lines[0] ?? "",
        documents: new Map(all("task.json", "steps/*.json", sidecarFileOf("chats")).map(read)),
        pages: new Map([
          ...all("task.md", "steps/*.md").map(read),
          ["../project.md", readFileSync(path.join(directory, "..", "..", "project.md"))],
        ]),
      };
}

function writeFiles(directory: string, { documents, pages }: Files): void {
  for (const [file, bytes] of documents) {
    const target = path.join(directory, file);
    // What is replaced is freed on another thread, as the store has it.
    const replaced = existsSync(target) ? openSync(target, "r") : undefined;
    writeFileAtomic.sync(target, bytes, { fsync: false });
    if (replaced !== undefined) close(replaced);
  }
  for (const [file, bytes] of pages) {
    const descriptor = openSync(path.join(directory, file), "a+");
    writeSync(descriptor, bytes, 0, bytes.length, 0);
    ftruncateSync(descriptor, bytes.length);
    closeSync(descriptor);
  }
}

/** Times of changes of one task; each is of so many steps, which share a write and a sync. Answers milliseconds per step. */
function changing(directory: string, files: Files, together: number): readonly number[] {
  mkdirSync(path.join(directory, "steps"), { recursive: true });
  const journal = openSync(path.join(directory, "journal.jsonl"), "a");
  const [document] = [...files.documents.values()];
  const [task, page] = [...files.pages.values()];
  if (document === undefined || task === undefined || page === undefined)
    throw new Error("a report leaves three files");
  const numbers = Array.from({ length: together }, (_, number) => stepOf(number));
  const all: Files = {
    line: files.line,
    documents: new Map(numbers.map((step) => [`steps/${step}.json`, document])),
    pages: new Map([["task.md", task], ...numbers.map((step): [string, Buffer] => [`steps/${step}.md`, page])]),
  };
  const line = Buffer.from(`${files.line}\n`.repeat(together));
  const times: number[] = [];
  for (let number = 0; number <= changesPerBlock; number += 1) {
    const began = performance.now();
    writeSync(journal, line);
    fdatasyncSync(journal);
    appendFileSync(path.join(directory, "..", "told"), told);
    writeFiles(directory, all);
    times.push((performance.now() - began) / together);
  }
  closeSync(journal);
  // The first one makes the files.
  return times.slice(1);
}

const datasync = promisify(fdatasync);

/** Times of changes of so many tasks at once, of one step each; their syncs go on at the same time. Answers milliseconds per task. */
async function changingApart(directories: readonly string[], files: Files): Promise<readonly number[]> {
  for (const directory of directories) mkdirSync(path.join(directory, "steps"), { recursive: true });
  const journals = directories.map((directory) => openSync(path.join(directory, "journal.jsonl"), "a"));
  const line = Buffer.from(`${files.line}\n`);
  const times: number[] = [];
  for (let number = 0; number <= changesPerBlock; number += 1) {
    const began = performance.now();
    for (const journal of journals) writeSync(journal, line);
    await Promise.all(journals.map((journal) => datasync(journal)));
    for (const directory of directories) {
      appendFileSync(path.join(directory, "..", "told"), told);
      writeFiles(directory, files);
    }
    times.push((performance.now() - began) / directories.length);
  }
  for (const journal of journals) closeSync(journal);
  // The first one makes the files.
  return times.slice(1);
}

/** Reads what an opening reads: these files, and the end of the journal. */
function opening(directory: string, files: readonly string[]): void {
  for (const file of files) {
    lstatSync(path.join(directory, file));
    readFileSync(path.join(directory, file));
  }
  const journal = openSync(path.join(directory, "journal.jsonl"), "r");
  readSync(journal, endOfJournal, 0, endOfJournal.length, Math.max(0, fstatSync(journal).size - endOfJournal.length));
  closeSync(journal);
}

/** Makes a new task's folder with its journal, durable before its files are there. */
function creating(tasks: string, name: string, files: Files): void {
  const directory = path.join(tasks, name);
  mkdirSync(path.join(directory, "steps"), { recursive: true });
  const journal = openSync(path.join(directory, "journal.jsonl"), "a");
  appendFileSync(journal, `${files.line}\n`);
  fdatasyncSync(journal);
  closeSync(journal);
  for (const folder of [directory, tasks]) {
    const descriptor = openSync(folder, "r");
    fsyncSync(descriptor);
    closeSync(descriptor);
  }
  appendFileSync(path.join(tasks, "told"), told);
  writeFiles(directory, files);
}

/**
 * A report and a new task with ever more left out of what the store does around the disk, to say what each part costs; and on a store that has no disk.
 * Nothing else may be built like this.
 */
async function withoutParts(folder: string): Promise<readonly (readonly [what: string, values: readonly number[]])[]> {
  const once = new Map<string, ReturnType<typeof renderPages>>();
  const renderedBefore: typeof renderPages = (input) => {
    const key = JSON.stringify([input.changed, Object.keys(input.documents)]);
    const pages = once.get(key) ?? renderPages(input);
    once.set(key, pages);
    return pages;
  };
  let ids = 0;
  const stageFile = (file: string, bytes: Uint8Array) => {
    const staged = `${file}.${(ids += 1)}`;
    writeFileSync(staged, bytes);
    return staged;
  };
  const plainDisk: Disk = {
    ...nodeDisk,
    stageFile,
    replaceFile: (file, bytes, staged = stageFile(file, bytes)) => nodeDisk.replaceFile(file, bytes, staged),
  };
  const places = await Promise.all([
    aPlace(folder, "parts-all"),
    aPlace(folder, "parts-no-pages", { hasPages: false }),
    aPlace(folder, "parts-pages", { render: renderedBefore }),
    aPlace(folder, "parts-writer", { render: renderedBefore, disk: plainDisk }),
    aPlace(folder, "parts-folders", { render: renderedBefore, disk: plainDisk, isConfined: false }),
    aPlace(folder, "parts-looks", { render: renderedBefore, disk: rememberingDisk(plainDisk), isConfined: false }),
  ]);
  const measures = (what: string) => [
    `${what}, once more`,
    "the same with no pages at all",
    "the same with pages, but rendered before",
    "the same, and documents written by node:fs alone",
    "the same, and folders not held against links",
    "the same, and nothing looked at again that somebody else could have changed",
    `the call alone: ${what} on a store in memory, pages rendered`,
  ];
  const figures = async (what: string, work: (place: Place) => Promise<readonly number[]>) => {
    // A store in memory looks at all that it has with each call, so each block has a new one.
    const works = [...places.map((place) => () => work(place)), async () => work(await aPlaceInMemory())];
    const values = await inTurns(folder, works, blocks);
    return measures(what).map((measure, at) => [measure, values[at] ?? []] as const);
  };
  const create = (steps: number) => async (place: Place) => [
    await timed(() => place.bench.done("create_task", aTask({ steps: freeSteps(steps) }))),
  ];
  const all = [
    ...(await figures("a builder's report", (place) => inOneTask(place, 5))),
    ...(await figures("create_task with 5 steps", create(5))),
    ...(await figures("create_task with 100 steps", create(100))),
  ];
  for (const { store } of places) await store.close();
  return all;
}

export async function aloneFigures(folder: string): Promise<readonly Figure[]> {
  const place = await aPlace(folder, "alone");
  const tasks = path.join(folder, "alone-tasks");
  mkdirSync(tasks);
  let ids = 0;
  const eachBlock = (block: () => Promise<readonly number[]>) => perBlock(folder, block, blocks);
  const report = await filesOf(place, 5, "report");
  const changes = (together: number) =>
    eachBlock(async () => changing(path.join(tasks, `changed-${(ids += 1)}`), report, together));
  const changesApart = () =>
    eachBlock(() => {
      const names = Array.from({ length: callers }, () => path.join(tasks, `apart-${(ids += 1)}`));
      return changingApart(names, report);
    });
  const creates = async (steps: number) => {
    const files = await filesOf(place, steps, "creation");
    return eachBlock(async () => [await timed(() => creating(tasks, `made-${(ids += 1)}`, files))]);
  };
  const figures = [
    ["a builder's report", await changes(1)],
    [`${callers} reports of one task at once, per change`, await changes(callers)],
    [`${callers} reports at once, each of its own task, per change`, await changesApart()],
    ["create_task with 5 steps", await creates(5)],
    ["create_task with 100 steps", await creates(100)],
  ] as const;
  const { directory } = placeOf(place.root, { projectId, taskId: await aStartedTask(place, 5) });
  await place.store.close();
  const parts = await withoutParts(folder);
  const all = globSync(["task.*", "steps/*"], { cwd: directory });
  const opens = await eachBlock(async () => [await timed(() => opening(directory, all))]);
  const alone = [...figures, ["the files that opening a task of 5 steps reads", opens] as const].map(
    ([what, values]) => [`the disk's part alone: ${what}`, values] as const,
  );
  return [...alone, ...parts].map(([measure, values]) => ({ measure, unit: "F", values }));
}

/** What it costs to look at very many tasks, to begin with them, and to open a long journal. */
import { execFileSync } from "node:child_process";
import { hash } from "node:crypto";
import { lstatSync, readdirSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { monitorEventLoopDelay, PerformanceObserver } from "node:perf_hooks";
import { nodeDisk } from "../src/store/disk.ts";
import { checkpointFile, glancesFile, placeOf } from "../src/store/layout.ts";
import { createTaskReader } from "../src/tools/task-reader.ts";
import { formatDocument, parseStep, rememberDocument } from "../src/schema/documents.ts";
import { renderPages } from "../src/render/pages.ts";
import type { Stream } from "../src/store/store.ts";
import { aBuilderReport, aJudgement, aProject, aTask, createBench } from "../test/support/bench.ts";
import { owner } from "../test/support/callers.ts";
import {
  addTasks,
  aPlace,
  aStartedTask,
  freeSteps,
  lengthen,
  openPlace,
  projectId,
  stepOf,
  type Parts,
  type Place,
} from "./fixture.ts";
import { inFloors, median, timed, type Figure } from "./measure.ts";

/** A gateway runs for days: what its process has warmed up after the first calls counts as much as the first of them. */
const laterCalls = 20;
/** So many tasks of a project a status reads. */
const tasksRead = 20;

const status = ({ bench }: Place) => timed(() => bench.done("get_status", { projectId }));

/** Builds a step and judges it, each to the end of its run. */
async function buildAndJudge({ bench }: Pick<Place, "bench">, taskId: string, stepId: string): Promise<void> {
  const builder = await bench.launched(taskId, stepId, "builder");
  await bench.done("record_builder_result", aBuilderReport(), builder.caller());
  await bench.ended(taskId, stepId, "builder");
  const qa = await bench.launched(taskId, stepId, "qa");
  await bench.done("record_qa_result", aJudgement(["c1"]), qa.caller());
  await bench.ended(taskId, stepId, "qa");
}

/** Milliseconds of this process's CPU. */
async function cpuOf(work: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}

/** What the first status of a process of its own took, in F: none of its code was compiled before. */
function firstElsewhere(folder: string, root: string): readonly number[] {
  const words = [path.join(import.meta.dirname, "first-status.ts"), folder, root];
  const told = execFileSync(process.execPath, words, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  return JSON.parse(told) as readonly number[]; // It writes nothing else.
}

/** The tasks that a status of the project reads: those that it tells of first. */
async function readByStatus({ bench }: Place): Promise<readonly string[]> {
  const { project } = await bench.done("get_status", { projectId });
  const { taskList } = project as { readonly taskList: readonly { readonly taskId: string }[] }; // As the answer's schema has it.
  return taskList.slice(0, tasksRead).map(({ taskId }) => taskId);
}

/** How many tasks are not over: where changes were measured before there are some more. */
async function unfinishedBelow(root: string): Promise<number> {
  const { store } = await openPlace(root);
  const glances = await store.tasks(projectId);
  await store.close();
  return glances.filter(({ outline }) => outline?.status !== "cancelled").length;
}

/** The root has ten thousand tasks, and nobody has it open. */
export async function sizeFigures(folder: string, root: string): Promise<readonly Figure[]> {
  const unfinished = await unfinishedBelow(root);
  const [first, warm, later, changed]: [number[], number[], number[], number[]] = [[], [], [], []];
  const [resumed, opened]: [number[], number[]] = [[], []];
  const tasksFolder = path.join(root, "projects", projectId, "tasks");
  const finished = readdirSync(tasksFolder).length - unfinished;
  const rounds = 5;
  let asked = 0;
  let askedToCreate = 0;
  const creates = 10;
  for (let round = 0; round < rounds; round += 1) {
    first.push(...firstElsewhere(folder, root));
    const place = await openPlace(root);
    warm.push(...(await inFloors(folder, async () => [await status(place)])));
    later.push(
      ...(await inFloors(folder, async () => {
        const times: number[] = [];
        while (times.length < laterCalls) times.push(await status(place));
        return times;
      })),
    );
    changed.push(
      ...(await inFloors(folder, async () => {
        const times: number[] = [];
        while (times.length < laterCalls) {
          // Between two calls a task that waits is held, or goes on waiting.
          const to = times.length % 2 === 0 ? "paused" : "running";
          await place.bench.done("set_task_status", { taskId: "waiting-00000002", status: to, reason: "So." }, owner());
          times.push(await status(place));
        }
        return times;
      })),
    );
    const told = await readByStatus(place);
    await place.store.close();
    const next = await openPlace(root);
    const reader = createTaskReader({
      store: next.store,
      readFlow: () => {
        asked += 1;
        return Promise.resolve(undefined);
      },
    });
    resumed.push(
      await cpuOf(async () => {
        const found = await reader.unfinished();
        if (found.length !== unfinished) throw new Error(`${found.length} tasks are unfinished, not ${unfinished}`);
      }),
    );
    await next.store.close();
    const third = await openPlace(root);
    const openSome = async () => {
      for (const taskId of told) await third.store.read({ projectId, taskId });
    };
    opened.push(...(await inFloors(folder, async () => [await timed(openSome)])));
    await third.store.close();
  }
  const thrice = (work: () => unknown) =>
    inFloors(folder, async () => [await timed(work), await timed(work), await timed(work)]);
  const journals = readdirSync(tasksFolder).map((taskId) => placeOf(root, { projectId, taskId }).journal);
  const asking = await thrice(() => journals.forEach((journal) => lstatSync(journal)));
  const listing = await thrice(() => readdirSync(tasksFolder));
  const kept = path.join(root, "projects", projectId, glancesFile);
  const reading = await thrice(() => void JSON.parse(readFileSync(kept, "utf8")));
  const { bench, store } = await openPlace(root, { onFlowRead: () => (askedToCreate += 1) });
  const create = async () => [await timed(() => bench.done("create_task", aTask({ steps: freeSteps(5) })))];
  // The first one of a process asks of each unfinished task.
  await create();
  askedToCreate = 0;
  const created: number[] = [];
  while (created.length < creates) created.push(...(await inFloors(folder, create)));
  await store.close();
  return [
    {
      measure: "get_status of a project with 10,000 tasks, first call of a process",
      unit: "F",
      values: first,
      goal: { atMost: 40 },
    },
    { measure: "the same in a process that has done so before, below the root opened anew", unit: "F", values: warm },
    { measure: "the disk's part alone of the first call: each journal asked for once", unit: "F", values: asking },
    { measure: "the same of listing its tasks once", unit: "F", values: listing },
    { measure: "the same of reading what the last process kept of them, and parsing it", unit: "F", values: reading },
    { measure: `of the first call, opening the ${tasksRead} tasks that it reads`, unit: "F", values: opened },
    { measure: "get_status of it, later calls", unit: "F", values: later, goal: { atMost: 2 } },
    { measure: "the same when a task was changed since the call before", unit: "F", values: changed },
    {
      measure: "of a resume, finding 1,000 unfinished among 10,000 tasks",
      unit: "ms of CPU",
      values: resumed,
    },
    {
      measure: "the host's flow records asked for then, per finished task",
      unit: "calls",
      values: [asked / rounds / finished],
      goal: { atMost: 0 },
    },
    {
      measure: "create_task with 5 steps among 10,000 tasks, after the first one of a process",
      unit: "F",
      values: created,
    },
    {
      measure: "the host's flow records asked for by it",
      unit: "calls",
      values: [askedToCreate / creates],
    },
  ];
}

/** A task whose journal has 10,000 records and a checkpoint; nobody has it open. Answers its root and its stream. */
async function aLongTask(folder: string, name: string): Promise<{ readonly root: string; readonly stream: Stream }> {
  const place = await aPlace(folder, name);
  const taskId = await aStartedTask(place, 5);
  const run = await place.bench.launched(taskId, "step-01", "builder");
  await place.bench.done("record_builder_result", aBuilderReport(), run.caller());
  await place.store.close();
  lengthen(place.root, taskId, 10_000);
  // A change makes everything before it durable, and closing keeps the checkpoint.
  const changed = await openPlace(place.root);
  await changed.bench.ended(taskId, "step-01", "builder");
  await changed.store.close();
  return { root: place.root, stream: { projectId, taskId } };
}

/** What is done before an opening, outside of its time, and what of it is left out. */
type Opening = Parts & { readonly before?: (place: Place) => Promise<unknown> };

const readProject = ({ store }: Place) => store.read({ projectId });

/** Times of one opening by a process that did not read the task before, in F. */
async function opening(
  folder: string,
  { root, stream }: Awaited<ReturnType<typeof aLongTask>>,
  { before, ...parts }: Opening = {},
): Promise<readonly number[]> {
  const next = await openPlace(root, parts);
  await before?.(next);
  const times = await inFloors(folder, async () => [await timed(() => next.store.read(stream))]);
  await next.store.close();
  return times;
}

/** A task whose journal has 10,000 records, opened by a process that did not read it before. */
export async function openFigures(folder: string): Promise<readonly Figure[]> {
  const long = await aLongTask(folder, "long");
  const { directory, journal } = placeOf(long.root, long.stream);
  const [withOne, known, without, lines]: [number[], number[], number[], number[]] = [[], [], [], []];
  for (let round = 0; round < 20; round += 1) {
    withOne.push(...(await opening(folder, long)));
    known.push(...(await opening(folder, long, { before: readProject })));
  }
  for (let round = 0; round < 5; round += 1) {
    rmSync(path.join(directory, checkpointFile), { force: true });
    without.push(...(await opening(folder, long)));
    lines.push(...(await inFloors(folder, async () => [await timed(() => readLines(journal))])));
  }
  return [
    {
      measure: "opening a task whose journal has 10,000 records, with a checkpoint",
      unit: "F",
      values: withOne,
      goal: { atMost: 2 },
    },
    { measure: "the same by a process that has read its project before", unit: "F", values: known },
    { measure: "opening it without a checkpoint", unit: "F", values: without, goal: { atMost: 400 } },
    { measure: "its lines alone: each read, summed and parsed, and nothing made of it", unit: "F", values: lines },
  ];
}

/** What DESIGN's journal asks of whoever reads it: a sum of each line, and its JSON. */
function readLines(journal: string): void {
  const bytes = readFileSync(journal);
  for (let start = 0, end = bytes.indexOf("\n"); end !== -1; start = end + 1, end = bytes.indexOf("\n", start)) {
    const line = bytes.subarray(start, end);
    hash("sha256", line, "hex");
    JSON.parse(line.toString("utf8"));
  }
}

/** An opening with a checkpoint with ever more of it left out, to say what each part costs. */
export async function openPartFigures(folder: string): Promise<readonly Figure[]> {
  const long = await aLongTask(folder, "long-parts");
  const unheld = { hasPages: false, disk: nodeDisk, isConfined: false };
  const [all, noPages, plain]: [number[], number[], number[]] = [[], [], []];
  for (let round = 0; round < 20; round += 1) {
    all.push(...(await opening(folder, long, { before: readProject })));
    noPages.push(...(await opening(folder, long, { before: readProject, hasPages: false })));
    plain.push(...(await opening(folder, long, { before: readProject, ...unheld })));
  }
  return [
    {
      measure: "opening a task whose journal has 10,000 records, its project read before, once more",
      unit: "F",
      values: all,
    },
    { measure: "the same with no page looked at", unit: "F", values: noPages },
    { measure: "the same, and folders not held against links", unit: "F", values: plain },
  ];
}

/** The longest time for which nothing else in the process had its turn while changes were made one after the other. */
export async function stallFigures(folder: string): Promise<readonly Figure[]> {
  const place = await aPlace(folder, "stalls");
  await addTasks(place, 10);
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const { bench } = place;
  const taskIds: string[] = [];
  while (taskIds.length < 20) taskIds.push(await aStartedTask(place, 5));
  let changes = 0;
  const pauses: number[] = [];
  const collecting = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) pauses.push(duration);
  });
  collecting.observe({ entryTypes: ["gc"] });
  delay.enable();
  while (changes < 10_000)
    for (const taskId of taskIds)
      for (const stepId of ["step-01", "step-02"]) {
        await buildAndJudge(place, taskId, stepId);
        changes += 8;
        if ((await bench.step(taskId, stepId)).status === "blocked")
          await bench.done("set_step_status", { taskId, stepId, status: "queued", reason: "Once more." }, owner());
      }
  delay.disable();
  collecting.disconnect();
  await place.store.close();
  return [
    {
      measure: `longest stall of the event loop during ${changes} changes`,
      unit: "ms",
      values: [delay.max / 1e6],
      goal: { atMost: 20 },
    },
    { measure: "the longest pause of the garbage collector meanwhile", unit: "ms", values: [Math.max(0, ...pauses)] },
  ];
}

const pageBlocks = 10;
const pagesPerBlock = 20;

/**
 * The pages that follow from a change of one step, in a task with 100 steps and three attempts each. Only documents are needed, so
 * they are made in memory.
 */
export async function pageFigures(folder: string): Promise<readonly Figure[]> {
  const bench = createBench({ config: { parallelSteps: 100, acceptanceReview: false } });
  await bench.done("create_project", aProject());
  const taskId = await aStartedTask({ bench }, 100);
  for (let number = 0; number < 100; number += 1)
    for (let attempt = 0; attempt < 3; attempt += 1) await buildAndJudge({ bench }, taskId, stepOf(number));
  const stream = { projectId, taskId };
  const { documents = {} } = (await bench.store.read(stream)) ?? {};
  const name = "steps/step-50";
  const step = parseStep(documents[name] ?? "", name);
  /** Only this step changed since the pages were rendered before, and its earlier attempts did not. */
  const changed = (rev: number) => {
    const now = { ...step, rev };
    const text = formatDocument(now);
    rememberDocument(text, now);
    return { stream, documents: { ...documents, [name]: text }, changed: [name] };
  };
  const changing: number[] = [];
  const first: number[] = [];
  for (let block = 0; block < pageBlocks; block += 1) {
    const times = await inFloors(folder, async () => {
      const each: number[] = [];
      for (let round = 0; round < pagesPerBlock; round += 1) {
        const input = changed(1_000 + block * pagesPerBlock + round);
        each.push(await timed(() => renderPages(input)));
      }
      return each;
    });
    changing.push(median(times));
    // Texts that were never seen: nothing that follows from them is known.
    const fresh = Object.entries(documents).map(([of, text]) => [
      of,
      text.replace(/"rev": \d+/, `"rev": ${2_000 + block}`),
    ]);
    const unseen = {
      stream,
      documents: Object.fromEntries(fresh) as Readonly<Record<string, string>>,
      changed: ["task"],
    };
    first.push(...(await inFloors(folder, async () => [await timed(() => renderPages(unseen))])));
  }
  const what = "the page of a task with 100 steps and 3 attempts each";
  return [
    { measure: `${what}, and that of one step, rendered`, unit: "F", values: changing, goal: { atMost: 1 } },
    { measure: `${what}, rendered from documents that were never read before`, unit: "F", values: first },
  ];
}

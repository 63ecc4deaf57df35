/** What a change costs: a builder's report, which changes its step and nothing else, with everything on disk before the answer. */
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { nodeDisk, type Disk } from "../src/store/disk.ts";
import { aBuilderReport, aTask } from "../test/support/bench.ts";
import { owner } from "../test/support/callers.ts";
import type { Caller } from "../src/tools/desk.ts";
import { addTasks, aPlace, aStartedTask, freeSteps, openPlace, projectId, stepOf, type Place } from "./fixture.ts";
import { inFloors, median, perBlock, timed, type Figure } from "./measure.ts";

const blocks = 10;
const reportsPerBlock = 20;
const triesBefore = 30;
/** So many of a task's steps are reported on in turn, however many it has. */
const stepsInTurn = 5;
/** More tasks than a store keeps open, so that each was closed since it was last looked at. */
const scatteredOver = 300;

/** A run that is about to report, in the step of a started task. */
async function aRun({ bench }: Place, taskId: string, stepId: string): Promise<Caller> {
  return (await bench.launched(taskId, stepId, "builder")).caller();
}

/** The step is free again after its run has reported. */
async function free({ bench }: Place, taskId: string, stepId: string): Promise<void> {
  await bench.ended(taskId, stepId, "builder");
  await bench.done("set_step_status", { taskId, stepId, status: "queued", reason: "Once more." }, owner());
}

const report = ({ bench }: Place, caller: Caller) =>
  timed(() => bench.done("record_builder_result", aBuilderReport(), caller));

/** Times of reports in one fresh task: a few of its steps are taken in turn, and put back after each report. */
export async function inOneTask(place: Place, steps: number): Promise<readonly number[]> {
  const taskId = await aStartedTask(place, steps);
  const times: number[] = [];
  for (let number = 0; number < reportsPerBlock; number += 1) {
    const stepId = stepOf(number % stepsInTurn);
    times.push(await report(place, await aRun(place, taskId, stepId)));
    await free(place, taskId, stepId);
  }
  return times;
}

/** Times of reports in a step of a fresh task that was built and put back so many times before. */
async function inOldStep(place: Place, tries: number): Promise<readonly number[]> {
  const taskId = await aStartedTask(place, 5);
  const times: number[] = [];
  for (let number = 0; number < tries + reportsPerBlock / 2; number += 1) {
    times.push(await report(place, await aRun(place, taskId, stepOf(0))));
    await free(place, taskId, stepOf(0));
  }
  return times.slice(tries);
}

/** Times of reports of which each is of another task, all of them launched before. */
async function scattered(place: Place, taskIds: readonly string[]): Promise<readonly number[]> {
  const callers: Caller[] = [];
  for (const taskId of taskIds) callers.push(await aRun(place, taskId, "step-01"));
  const times: number[] = [];
  for (const caller of callers) times.push(await report(place, caller));
  for (const taskId of taskIds) await free(place, taskId, "step-01");
  return times;
}

/** How many times a report makes something durable. */
async function syncsOfReports(folder: string): Promise<readonly number[]> {
  let syncs = 0;
  const counting: Disk = {
    ...nodeDisk,
    sync: (descriptor) => {
      syncs += 1;
      return nodeDisk.sync(descriptor);
    },
    syncDirectory: (directory) => {
      syncs += 1;
      nodeDisk.syncDirectory(directory);
    },
  };
  const place = await aPlace(folder, "syncs", { disk: counting });
  const taskId = await aStartedTask(place, 5);
  const counts: number[] = [];
  for (let number = 0; number < reportsPerBlock; number += 1) {
    const stepId = stepOf(number % 5);
    const caller = await aRun(place, taskId, stepId);
    syncs = 0;
    await report(place, caller);
    counts.push(syncs);
    await free(place, taskId, stepId);
  }
  await place.store.close();
  return counts;
}

/** What it costs to create one empty file in a new folder: many times as much as usual where very many files were removed lately. */
export async function freshFigure(folder: string): Promise<Figure> {
  const times = await inFloors(folder, async () => {
    const each: number[] = [];
    for (let number = 0; number < 20; number += 1) {
      const fresh = path.join(folder, `fresh-${number}`);
      mkdirSync(fresh);
      for (let file = 0; file < 5; file += 1)
        each.push(await timed(() => writeFileSync(path.join(fresh, String(file)), "", { flag: "wx" })));
    }
    return each;
  });
  return { measure: "creating an empty file in a new folder, with nothing but node:fs", unit: "F", values: times };
}

/** Medians of blocks of several kinds, which take turns: whatever changes in the process or on the disk meanwhile weighs on all. */
export async function inTurns(
  folder: string,
  blocks: readonly (() => Promise<readonly number[]>)[],
  count: number,
): Promise<readonly (readonly number[])[]> {
  const rounds: number[][] = [];
  for (let number = 0; number < count; number += 1) {
    const round: number[] = [];
    for (const block of blocks) round.push(median(await inFloors(folder, block)));
    rounds.push(round);
  }
  return blocks.map((_block, at) => rounds.map((round) => round[at] ?? Number.NaN));
}

/** How many times the block beside it each one costs. */
const against = (values: readonly number[], base: readonly number[]) =>
  values.map((value, at) => value / (base[at] ?? Number.NaN));

/** Started tasks spread over all of them. */
async function some({ bench }: Place, taskIds: readonly string[]): Promise<readonly string[]> {
  const chosen = Array.from(
    { length: scatteredOver },
    (_, at) => taskIds[Math.floor((at * taskIds.length) / scatteredOver)] ?? "",
  );
  const different = [...new Set(chosen)];
  for (const taskId of different) await bench.done("start_task", { taskId });
  return different;
}

/** What many earlier attempts make of it. */
export async function oldStepFigure(folder: string): Promise<Figure> {
  const place = await aPlace(folder, "old");
  const kinds = [() => inOneTask(place, 5), () => inOldStep(place, triesBefore)];
  const [fresh = [], old = []] = await inTurns(folder, kinds, blocks);
  await place.store.close();
  const measure = `a builder's report in a step that was tried ${triesBefore} times before, against one in a fresh step`;
  return { measure, unit: "×", values: against(old, fresh) };
}

/** The root has ten thousand tasks, and nobody has it open. */
export async function changeFigures(folder: string, root: string): Promise<readonly Figure[]> {
  const many = await openPlace(root);
  const drafts = (await many.store.tasks(projectId)).filter(({ outline }) => outline?.status === "draft");
  const taskIds = drafts.map(({ stream }) => stream.taskId);
  const small = await aPlace(folder, "small");
  const smallIds = await addTasks(small, 10);
  const inOne = [() => inOneTask(small, 5), () => inOneTask(small, 100), () => inOneTask(many, 5)];
  const [one = [], hundred = [], again = []] = await inTurns(folder, inOne, blocks);
  const [few, spread] = [await some(small, smallIds), await some(many, taskIds)];
  const overAll = [() => scattered(small, few), () => scattered(many, spread)];
  const [scatteredFew = [], scatteredMany = []] = await inTurns(folder, overAll, 3);
  await small.store.close();
  await many.store.close();
  const made = await aPlace(folder, "made");
  const create = async (steps: number) => [
    await timed(() => made.bench.done("create_task", aTask({ steps: freeSteps(steps) }))),
  ];
  const createFive = await perBlock(folder, () => create(5), 20);
  const createHundred = await perBlock(folder, () => create(100), 5);
  await made.store.close();
  return [
    { measure: "a builder's report, one caller", unit: "F", values: one, goal: { atMost: 2.2 } },
    {
      measure: "the same at 10,000 tasks against 10, in one task",
      unit: "×",
      values: against(again, one),
      goal: { atMost: 1.15 },
    },
    {
      measure: "the same at 10,000 tasks against 10, each in another task that was closed since",
      unit: "×",
      values: against(scatteredMany, scatteredFew),
      goal: { atMost: 1.4 },
    },
    {
      measure: "the same in a task of 100 steps against 5",
      unit: "×",
      values: against(hundred, one),
      goal: { atMost: 1.3 },
    },
    {
      measure: "syncs of a builder's report",
      unit: "syncs",
      values: await syncsOfReports(folder),
      goal: { exactly: 1 },
    },
    { measure: "create_task with 5 steps", unit: "F", values: createFive, goal: { atMost: 5 } },
    { measure: "create_task with 100 steps", unit: "F", values: createHundred, goal: { atMost: 40 } },
  ];
}

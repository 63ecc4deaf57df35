/** What changes cost that are made at the same time: by eight callers of one process, and by eight processes. And the naive design. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import { lock } from "proper-lockfile";
import writeFileAtomic from "write-file-atomic";
import { renderPages } from "../src/render/pages.ts";
import { fileOf } from "../src/store/layout.ts";
import type { Store } from "../src/store/store.ts";
import { createRecorder } from "../src/tools/driver-tools.ts";
import { aBuilderReport } from "../test/support/bench.ts";
import { anEvent } from "../test/support/histories.ts";
import { owner } from "../test/support/callers.ts";
import type { Caller } from "../src/tools/desk.ts";
import { aPlace, aStartedTask, openPlace, projectId, stepOf, type Place } from "./fixture.ts";
import { inFloors, median, timed, type Figure } from "./measure.ts";
import type { Order, Outcome } from "./together-worker.ts";

const callers = 8;
const blocks = 8;
const roundsPerBlock = 5;
const changesPerProcess = 50;
const races = 3;
const warmUpChanges = 200;

type Seat = { readonly taskId: string; readonly stepId: string };

/** Milliseconds per change, one value per round: in each, the builders of all these steps report at the same moment. */
async function reportingAtOnce(place: Place, seats: readonly Seat[]): Promise<readonly number[]> {
  const { bench } = place;
  const times: number[] = [];
  for (let round = 0; round < roundsPerBlock; round += 1) {
    const runs: Caller[] = [];
    for (const { taskId, stepId } of seats) runs.push((await bench.launched(taskId, stepId, "builder")).caller());
    const all = () => Promise.all(runs.map((caller) => bench.done("record_builder_result", aBuilderReport(), caller)));
    times.push((await timed(all)) / seats.length);
    for (const { taskId, stepId } of seats) {
      await bench.ended(taskId, stepId, "builder");
      await bench.done("set_step_status", { taskId, stepId, status: "queued", reason: "Once more." }, owner());
    }
  }
  return times;
}

/** Milliseconds per change, one value per round: in each, eight of the driver's events that change the same document come at the same moment. */
async function linkingAtOnce({ bench }: Place, taskId: string): Promise<readonly number[]> {
  const recorder = createRecorder(bench.desk());
  const times: number[] = [];
  for (let round = 0; round < roundsPerBlock; round += 1) {
    const events = Array.from({ length: callers }, (_, number) =>
      anEvent("FlowLinked", { flowId: `flow-${round}-${number}` }),
    );
    const all = async () => {
      const answers = await Promise.all(events.map((event) => recorder.record({ projectId, taskId }, event)));
      if (!answers.every(({ ok }) => ok)) throw new Error("a flow was not linked");
    };
    times.push((await timed(all)) / callers);
  }
  return times;
}

async function callerFigures(folder: string): Promise<readonly Figure[]> {
  const place = await aPlace(folder, "callers");
  const one: number[] = [];
  const each: number[] = [];
  const same: number[] = [];
  for (let block = 0; block < blocks; block += 1) {
    const taskId = await aStartedTask(place, callers);
    const steps = Array.from({ length: callers }, (_, number) => ({ taskId, stepId: stepOf(number) }));
    same.push(median(await inFloors(folder, () => linkingAtOnce(place, taskId))));
    one.push(median(await inFloors(folder, () => reportingAtOnce(place, steps))));
    const tasks: Seat[] = [];
    while (tasks.length < callers) tasks.push({ taskId: await aStartedTask(place, 5), stepId: stepOf(0) });
    each.push(median(await inFloors(folder, () => reportingAtOnce(place, tasks))));
  }
  await place.store.close();
  return [
    {
      measure: "8 callers in one process, all changing one document, per change",
      unit: "F",
      values: same,
      goal: { atMost: 0.5 },
    },
    {
      measure: "8 callers in one process, all of one task, per change",
      unit: "F",
      values: one,
      goal: { atMost: 0.5 },
    },
    {
      measure: "8 callers in one process, each of its own task, per change",
      unit: "F",
      values: each,
      goal: { atMost: 0.5 },
    },
  ];
}

type Process = { order(order: Order): Promise<Outcome>; end(): Promise<void> };

/** A process that has opened the root and waits for orders. */
async function aProcess(root: string): Promise<Process> {
  const child = spawn(process.execPath, [path.join(import.meta.dirname, "together-worker.ts"), root], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const closed = once(child, "close");
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const hear = async (): Promise<unknown> => {
    const { value, done } = await lines.next();
    if (done === true) throw new Error(`process ${child.pid} ended before it answered`);
    return JSON.parse(value);
  };
  await hear();
  return {
    async order(order) {
      child.stdin.write(`${JSON.stringify(order)}\n`);
      // The worker says nothing else.
      return (await hear()) as Outcome;
    },
    async end() {
      child.stdin.end();
      await closed;
    },
  };
}

/** What each process did of its changes, and how long all of them took together, in F. */
type Race = { readonly outcomes: readonly Outcome[]; readonly took: number };

/** All processes begin at the same moment; each has the place that its number says. */
async function race(
  folder: string,
  processes: readonly Process[],
  places: readonly Seat[],
  changes = changesPerProcess,
): Promise<Race> {
  let outcomes: readonly Outcome[] = [];
  const run = async () => {
    outcomes = await Promise.all(
      processes.flatMap((one, number) =>
        places.slice(number, number + 1).map((seat) => one.order({ ...seat, changes })),
      ),
    );
  };
  const [took = Number.NaN] = await inFloors(folder, async () => [await timed(run)]);
  for (const what of outcomes.flatMap(({ errors }) => errors)) process.stderr.write(`${what}\n`);
  return { outcomes, took };
}

const madeIn = ({ outcomes }: Race) => outcomes.reduce((sum, { made }) => sum + made, 0);
const paceOf = (one: Race) => madeIn(one) / one.took;
const workOf = (one: Race) => one.outcomes.reduce((sum, { cpuMs }) => sum + cpuMs, 0) / madeIn(one);
const spreadOf = ({ outcomes }: Race) => {
  const times = outcomes.map(({ ms }) => ms);
  return Math.max(...times) / Math.min(...times);
};

/**
 * Races of so many processes, one after the other; `placesOf` says where each of them works. Before the first one each has worked in a task of its own
 * for a while, of `warmUps`, as gateways have.
 */
async function racesOf(
  place: Place,
  folder: string,
  warmUps: readonly Seat[],
  placesOf: readonly (readonly Seat[])[],
): Promise<readonly Race[]> {
  const processes = await Promise.all(warmUps.map(() => aProcess(place.root)));
  try {
    const all: Race[] = [];
    await race(folder, processes, warmUps, warmUpChanges);
    for (const places of placesOf) all.push(await race(folder, processes, places));
    return all;
  } finally {
    await Promise.all(processes.map((one) => one.end()));
  }
}

const changesOfAll = `${callers} processes × ${changesPerProcess} changes`;

/** What `make` makes, once for each race. */
async function forEachRace<T>(make: () => Promise<T>): Promise<readonly T[]> {
  const all: T[] = [];
  while (all.length < races) all.push(await make());
  return all;
}

/** The first steps of so many started tasks. */
async function seatsApart(place: Place, count: number): Promise<readonly Seat[]> {
  const seats: Seat[] = [];
  while (seats.length < count) seats.push({ taskId: await aStartedTask(place, callers), stepId: stepOf(0) });
  return seats;
}

/** In the task that all of them change each process has a step of its own. */
async function processFigures(folder: string): Promise<readonly Figure[]> {
  const place = await aPlace(folder, "processes");
  const shared = await forEachRace(async (): Promise<readonly Seat[]> => {
    const taskId = await aStartedTask(place, callers);
    return Array.from({ length: callers }, (_, number) => ({ taskId, stepId: stepOf(number) }));
  });
  const warmUps = await seatsApart(place, callers);
  const before = new Map<string, number>();
  const kept = async (store: Store, seats: readonly Seat[]) => {
    const { taskId = "" } = seats[0] ?? {};
    return (await store.history({ projectId, taskId }, before.get(taskId) ?? 0)).length;
  };
  for (const seats of shared) before.set(seats[0]?.taskId ?? "", await kept(place.store, seats));
  await place.store.close();
  const together = await racesOf(place, folder, warmUps, shared);
  // Opened anew, so that only what is on disk counts.
  const { store } = await openPlace(place.root);
  const lost: number[] = [];
  for (const [at, one] of together.entries()) lost.push(madeIn(one) - (await kept(store, shared[at] ?? [])));
  await store.close();
  const errors = together.map(({ outcomes }) => outcomes.flatMap((one) => one.errors).length);
  return [
    { measure: `${changesOfAll} of one task, lost`, unit: "changes", values: lost, goal: { atMost: 0 } },
    { measure: "the same, errors", unit: "errors", values: errors, goal: { atMost: 0 } },
    {
      measure: "the same, changes per F of all of them",
      unit: "per F",
      values: together.map(paceOf),
      goal: { atLeast: 0.4 },
    },
    {
      measure: "the same, slowest process against fastest",
      unit: "×",
      values: together.map(spreadOf),
      goal: { atMost: 1.5 },
    },
    { measure: "the same, per change and of all of them", unit: "ms of CPU", values: together.map(workOf) },
  ];
}

/** The same where the processes never meet: each changes a task of its own. And one process that is alone. */
export async function apartFigures(folder: string): Promise<readonly Figure[]> {
  const place = await aPlace(folder, "apart");
  const [apart, lonely] = [
    await forEachRace(() => seatsApart(place, callers)),
    await forEachRace(() => seatsApart(place, 1)),
  ];
  const [warmUps, lonelyWarmUp] = [await seatsApart(place, callers), await seatsApart(place, 1)];
  await place.store.close();
  const ofTheirOwn = await racesOf(place, folder, warmUps, apart);
  const alone = await racesOf(place, folder, lonelyWarmUp, lonely);
  return [
    {
      measure: `${changesOfAll}, each of its own task, per F of all of them`,
      unit: "per F",
      values: ofTheirOwn.map(paceOf),
    },
    { measure: "the same, slowest process against fastest", unit: "×", values: ofTheirOwn.map(spreadOf) },
    { measure: "the same, per change", unit: "ms of CPU", values: ofTheirOwn.map(workOf) },
    { measure: "one such process alone, changes per F", unit: "per F", values: alone.map(paceOf) },
    { measure: "the same, per change", unit: "ms of CPU", values: alone.map(workOf) },
  ];
}

/**
 * The design that nothing has to be thought about for: a lock file, then every document and page of the task rendered and written
 * anew by the asynchronous atomic writer, which syncs each; all of them at once.
 */
async function naive(place: Place, folder: string, steps: number, runs: number): Promise<readonly number[]> {
  const taskId = await aStartedTask(place, steps);
  const stream = { projectId, taskId };
  const { documents = {} } = (await place.store.read(stream)) ?? {};
  const directory = path.join(folder, `naive-${steps}`);
  mkdirSync(path.join(directory, "steps"), { recursive: true });
  const change = async () => {
    const release = await lock(directory);
    try {
      const pages = Object.entries(renderPages({ stream, documents }));
      await Promise.all([
        ...Object.entries(documents).map(([name, text]) =>
          writeFileAtomic(path.join(directory, fileOf(name, "document")), text),
        ),
        ...pages.map(([name, text]) => writeFileAtomic(path.join(directory, fileOf(name, "page")), text)),
      ]);
    } finally {
      await release();
    }
  };
  await change();
  const values: number[] = [];
  for (let run = 0; run < runs; run += 1) values.push(...(await inFloors(folder, async () => [await timed(change)])));
  return values;
}

async function naiveFigures(folder: string): Promise<readonly Figure[]> {
  const place = await aPlace(folder, "naive");
  const five = await naive(place, folder, 5, 10);
  const hundred = await naive(place, folder, 100, 5);
  await place.store.close();
  const measure = (steps: number) => `the naive design (all files of the task anew), ${steps} steps, per change`;
  return [
    { measure: measure(5), unit: "F", values: five },
    { measure: measure(100), unit: "F", values: hundred },
  ];
}

export async function togetherFigures(folder: string): Promise<readonly Figure[]> {
  return [...(await callerFigures(folder)), ...(await processFigures(folder)), ...(await naiveFigures(folder))];
}

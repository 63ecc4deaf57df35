/**
 * Many processes on the same files: each acknowledged change stands in the journal once, whoever was faster, killed, or stopped
 * for a while; and two drivers on one root never have two live runs of one step.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { aProject, aTask, createBench } from "../test/support/bench.ts";
import { generated, judgeChain, overlaps, prepareChain } from "./chain.ts";
import { config, idOf, startWorker, type Command, type Worker } from "./commands.ts";
import { judge, openStore, recordsOf, reopen, streamsOf } from "./oracle.ts";
import { randomFrom, wordsOf, type Options, type Part, type Row } from "./part.ts";
import { atEveryPoint, marksOf } from "./points.ts";
import { stealLeases } from "./stolen-lease.ts";
import { requireStrace, strike } from "./strace.ts";

const amounts = {
  short: { processes: 4, changes: 25, kills: 4, links: 6, stops: 6 },
  full: { processes: 16, changes: 500, kills: 200, links: 60, stops: 60 },
} as const;

export const writers: Part = {
  name: "writers",
  async run(options) {
    const { processes, kills } = amounts[options.amount];
    const cases: readonly (readonly [string, () => Promise<Row>])[] = [
      [`${processes} processes on one task`, () => race(1, options, 0)],
      [`${processes} processes on ${processes} tasks`, () => race(processes, options, 0)],
      [`${processes} processes, killed at any time and begun again`, () => race(3, options, kills)],
      ["two drivers, each stopped for a while again and again", () => twoDrivers(options)],
      ["the driving lease, stolen from a stopped holder", () => stealLeases(options)],
    ];
    const rows: Row[] = [];
    for (const [name, run] of cases) {
      if (![undefined, name].includes(options.only)) continue;
      const row = await run().catch((error: unknown) => ({
        what: "",
        tried: 0,
        violations: [{ case: name, what: wordsOf(error) }],
      }));
      rows.push({ ...row, what: name, violations: row.violations.map(({ what }) => ({ case: name, what })) });
      options.say(`${name}: ${row.tried} tried, ${row.violations.length} violations`);
    }
    if (options.amount === "short") return rows;
    requireStrace();
    return [...rows, ...(await atEveryPoint(options, () => ["stopped"], whileStopped))];
  },
};

/** Processes that change tasks at the same time. With kills, one of them is killed again and again, and begun again as another one. */
async function race(tasks: number, { amount, seed }: Options, kills: number): Promise<Row> {
  const { processes, changes } = amounts[amount];
  const random = randomFrom(seed);
  const folder = mkdtempSync(path.join(tmpdir(), "torture-writers-"));
  const root = path.join(folder, "root");
  const acknowledged: string[] = [];
  const wrong: string[] = [];
  try {
    const taskIds = await prepareTasks(root, tasks);
    const begin = async (
      name: string,
      count: number,
    ): Promise<{ readonly worker: Worker; readonly done: Promise<void> }> => {
      const worker = await startWorker(root);
      const listen = async () => {
        for (
          let told = await worker.tell({ kind: "many", taskIds, name, count });
          told !== undefined;
          told = await worker.hear()
        ) {
          if (told.mark === undefined) {
            if (!told.ok) wrong.push(`${name}: ${told.code} ${told.reason}`);
            break;
          }
          acknowledged.push(told.mark);
        }
        await worker.end();
      };
      return { worker, done: listen() };
    };
    const running = await Promise.all(Array.from({ length: processes }, (_, index) => begin(`p${index}`, changes)));
    for (let kill = 1; kill <= kills; kill += 1) {
      await sleep(20 + random() * 200);
      const index = Math.floor(random() * running.length);
      running[index]?.worker.process.kill("SIGKILL");
      await running[index]?.done;
      running[index] = await begin(`k${kill}`, changes);
    }
    await Promise.all(running.map(({ done }) => done));
    const marks = streamsOf(root).flatMap((stream) =>
      recordsOf(root, stream).flatMap(({ event }) => (event.type === "FlowLinked" ? [event.flowId] : [])),
    );
    const counted = new Map<string, number>();
    for (const mark of marks) counted.set(mark, (counted.get(mark) ?? 0) + 1);
    for (const mark of acknowledged) if (!counted.has(mark)) wrong.push(`${mark} was acknowledged and is gone`);
    for (const [mark, count] of counted) if (count > 1) wrong.push(`${mark} stands there ${count} times`);
    for (const name of new Set(marks.map((mark) => mark.replace(/-\d+$/, "")))) {
      const own = marks
        .filter((mark) => mark.startsWith(`${name}-`))
        .map((mark) => Number(mark.slice(name.length + 1)));
      // On one task the changes that one process made one after the other stand in their order.
      if (tasks === 1 && own.some((number, index) => index > 0 && number <= (own[index - 1] ?? 0)))
        wrong.push(`${name} is out of order`);
    }
    wrong.push(...(await reopen(root)), ...judge(root));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return {
    what: "",
    tried: acknowledged.length,
    violations: wrong.map((what) => ({ case: "", what })),
    note: kills === 0 ? "" : `${kills} kills`,
  };
}

async function prepareTasks(root: string, count: number): Promise<readonly string[]> {
  mkdirSync(path.join(root, "projects"), { recursive: true });
  const store = await openStore(root);
  try {
    const bench = createBench({ store, root, config });
    await bench.done("create_project", aProject());
    const taskIds: string[] = [];
    for (let number = 1; number <= count; number += 1)
      taskIds.push(String((await bench.done("create_task", aTask({ title: `Task ${number}` })))["taskId"]));
    return taskIds;
  } finally {
    await store.close();
  }
}

/** A writer is stopped at the point; another one changes every task meanwhile; then the first goes on. */
async function whileStopped({
  root,
  command,
  point,
}: Parameters<Parameters<typeof atEveryPoint>[2]>[0]): Promise<readonly string[] | undefined> {
  if ("disk" in point) return undefined;
  const worker = await startWorker(root);
  const pid = worker.process.pid ?? 0;
  const letGo = await strike(pid, root, point, "signal=STOP");
  const answer = worker.tell(command);
  const isStopped = await Promise.race([answer.then(() => false), untilStopped(pid)]);
  await letGo();
  const marks = await changeMeanwhile(root);
  worker.process.kill("SIGCONT");
  const told = await answer;
  await worker.end();
  const id = idOf(command);
  const wrong = [...(await reopen(root)), ...judge(root, told?.ok === true && id !== undefined ? [id] : [])];
  if (told?.ok === true && marksOf(root, command) !== 1)
    wrong.push(`it was acknowledged and stands there ${marksOf(root, command)} times`);
  if (told?.ok === false && marksOf(root, command) > 0 && told.code !== "run-not-current")
    wrong.push(`it was refused (${told.code}) and stands there`);
  if (told === undefined) wrong.push("it died of being stopped");
  const kept = streamsOf(root).flatMap((stream) =>
    recordsOf(root, stream).map(({ event }) => (event.type === "FlowLinked" ? event.flowId : "")),
  );
  for (const mark of marks) if (!kept.includes(mark)) wrong.push(`${mark}, written meanwhile, is gone`);
  return isStopped ? wrong : undefined;
}

async function untilStopped(pid: number): Promise<true> {
  for (;;) {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    if (["T", "t"].includes(stat.slice(stat.lastIndexOf(")") + 2)[0] ?? "")) return true;
    await sleep(5);
  }
}

/** Three changes of every task that is there, by another writer. */
async function changeMeanwhile(root: string): Promise<readonly string[]> {
  const marks: string[] = [];
  const tasks = streamsOf(root).filter((stream) => stream.taskId !== undefined && recordsOf(root, stream).length > 0);
  if (tasks.length === 0) return marks;
  const other = await startWorker(root);
  const command: Command = {
    kind: "many",
    taskIds: tasks.map(({ taskId }) => taskId ?? ""),
    name: "meanwhile",
    count: 3,
  };
  for (let told = await other.tell(command); told?.mark !== undefined; told = await other.hear()) marks.push(told.mark);
  await other.end();
  return marks;
}

/** Two processes drive one root at once, all the time, for neither asks for the lease; each is stopped now and then. */
async function twoDrivers({ amount, seed }: Options): Promise<Row> {
  const { links, stops } = amounts[amount];
  const folder = mkdtempSync(path.join(tmpdir(), "torture-drivers-"));
  const root = path.join(folder, "root");
  const effects = path.join(folder, "effects");
  const random = randomFrom(seed);
  const steps = generated(links);
  try {
    const taskId = await prepareChain(root, steps);
    const drivers = [1, 2].map(() =>
      spawn(process.execPath, [path.join(import.meta.dirname, "gatewayless.ts"), root, effects], {
        stdio: ["ignore", "pipe", "inherit"],
      }),
    );
    const ended = Promise.all(drivers.map((driver) => once(driver, "close")));
    const [first, second] = drivers.map((driver) => once(driver.stdout, "data"));
    await first;
    // It might be done before the other one is there.
    drivers[0]?.kill("SIGSTOP");
    await second;
    drivers[0]?.kill("SIGCONT");
    let stopped = 1;
    for (; stopped < stops && drivers.every((driver) => driver.exitCode === null); stopped += 1) {
      const driver = drivers[stopped % 2];
      driver?.kill("SIGSTOP");
      await sleep(50 + random() * 250);
      driver?.kill("SIGCONT");
      await sleep(random() * 100);
    }
    await ended;
    const wrong = [
      ...(await reopen(root)),
      ...judge(root),
      ...judgeChain(root, taskId, steps, effects),
      ...overlaps(effects),
    ];
    return { what: "", tried: stopped, violations: wrong.map((what) => ({ case: "", what })), note: `${links} steps` };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Long chains of dependent steps, driven by real processes that are killed every 50 to 500 ms: every step is passed once, in
 * order, and no run counts twice. The chain of the towers of Hanoi is read from a formula file beside the checkout, if it is
 * there. The time counts from the first change that a process makes, because one that has to read the journal of a thousand
 * steps first would never come to any; every fourth process is killed while it still reads.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { bounds } from "../src/schema/bounds.ts";
import { parseTask } from "../src/schema/documents.ts";
import { changeTask } from "../src/tools/tool.ts";
import type { TaskEvent } from "../src/schema/events.ts";
import { aProject, aStep, createBench, type Bench } from "../test/support/bench.ts";
import { documentsOf, judge, openStore, recordsOf, reopen } from "./oracle.ts";
import { randomFrom, wordsOf, type Options, type Part, type Row } from "./part.ts";

export type Wanted = { readonly id: string; readonly title: string; readonly dependsOn: readonly string[] };

/** A chain of so many steps, each waiting for the one before. */
export const generated = (length: number): readonly Wanted[] =>
  Array.from({ length }, (_, index) => ({
    id: `link-${index + 1}`,
    title: `Link ${index + 1}`,
    dependsOn: index === 0 ? [] : [`link-${index}`],
  }));

const formula = path.resolve(import.meta.dirname, "../../shared/data/durability/towers-of-hanoi-7.formula.toml");

/** The steps of a formula file, of which only three simple keys are read. */
function stepsOf(toml: string): readonly Wanted[] {
  return toml
    .split("[[steps]]")
    .slice(1)
    .map((block) => {
      const word = (key: string) => new RegExp(`^${key} = "(.*)"$`, "m").exec(block)?.[1] ?? "";
      const needs = /^needs = \[(.*)\]$/m.exec(block)?.[1] ?? "";
      return {
        id: word("id"),
        title: word("title"),
        dependsOn: [...needs.matchAll(/"([^"]+)"/g)].map(([, id = ""]) => id),
      };
    });
}

export const chain: Part = {
  name: "chain",
  async run({ amount, seed, only, say }) {
    const hanoi = existsSync(formula) ? stepsOf(readFileSync(formula, "utf8")) : [];
    const chains: readonly (readonly [string, readonly Wanted[]])[] =
      amount === "short"
        ? [["a chain of 8 steps", generated(8)]]
        : [
            ...(hanoi.length > 0 ? [["the towers of Hanoi", hanoi] as const] : []),
            ["a chain of 1025 steps", generated(1025)],
          ];
    if (amount === "full" && hanoi.length === 0) say(`${formula} is not there: the towers of Hanoi are left out`);
    const rows: Row[] = [];
    for (const [name, steps] of chains) {
      if (![undefined, name].includes(only)) continue;
      rows.push(await driveUnderFire(name, steps, amount === "short" ? 4 : Infinity, seed, say));
      say(`${name}: ${rows.at(-1)?.note}`);
    }
    return rows;
  },
};

async function driveUnderFire(
  name: string,
  steps: readonly Wanted[],
  mostKills: number,
  seed: number,
  say: Options["say"],
): Promise<Row> {
  const folder = mkdtempSync(path.join(tmpdir(), "torture-chain-"));
  const root = path.join(folder, "root");
  const effects = path.join(folder, "effects");
  const random = randomFrom(seed);
  let kills = 0;
  const wrong: string[] = [];
  try {
    const taskId = await prepareChain(root, steps);
    const journal = path.join(root, "projects", "shop", "tasks", taskId, "journal.jsonl");
    // A life in which nothing comes of it would go on for ever; many in a row are a violation, not bad luck.
    let fruitless = 0;
    for (let seen = 0; ;) {
      // The first one at once, and the others of a short chain sooner: it may be done before half a second is over.
      const afterMs = kills === 0 ? 0 : (50 + random() * 450) * (mostKills < Infinity ? 0.2 : 1);
      const killed = { early: kills % 4 === 3, afterMs };
      const isLast = await live(root, effects, kills >= mostKills ? undefined : killed);
      if (isLast) break;
      kills += 1;
      const { size } = statSync(journal);
      fruitless = size > seen ? 0 : fruitless + 1;
      if (fruitless >= 40) throw new Error(`${fruitless} processes in a row changed nothing`);
      seen = size;
      if (kills % 50 === 0)
        say(`${name}: ${kills} kills, ${(readFileSync(effects, "utf8").length / 1024).toFixed()} KB of runs`);
    }
    wrong.push(...(await reopen(root)), ...judge(root), ...judgeChain(root, taskId, steps, effects));
  } catch (error) {
    wrong.push(wordsOf(error));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return {
    what: `${name} under kill -9`,
    tried: kills,
    violations: wrong.map((what) => ({ case: name, what })),
    note: `${steps.length} steps, ${kills} kills`,
  };
}

/** A project with one task of these steps, which has been started unless it is to wait; answers the task's id. */
export async function prepareChain(
  root: string,
  steps: readonly Wanted[],
  { projectId = "shop", isStarted = true }: { readonly projectId?: string; readonly isStarted?: boolean } = {},
): Promise<string> {
  mkdirSync(path.join(root, "projects"), { recursive: true });
  const store = await openStore(root);
  try {
    const bench = createBench({ store, root, config: { acceptanceReview: false } });
    await bench.done("create_project", aProject({ name: projectId }));
    const wanted = {
      projectId,
      title: "Chain",
      spec: "One after the other.",
      acceptanceCriteria: ["It works."],
      steps: steps.map((step) => aStep(step)),
    };
    const taskId =
      steps.length > bounds.stepsPerCall
        ? await createLong(bench, wanted, steps)
        : String((await bench.done("create_task", wanted))["taskId"]);
    if (isStarted) await bench.done("start_task", { taskId });
    return taskId;
  } finally {
    await store.close();
  }
}

/**
 * A task of more steps than one call takes, in one change. Added one by one, each change would hold the list of all steps, and
 * each process would read for seconds what has nothing to do with driving.
 */
async function createLong(
  bench: Bench,
  wanted: {
    readonly projectId: string;
    readonly title: string;
    readonly spec: string;
    readonly acceptanceCriteria: readonly string[];
  },
  steps: readonly Wanted[],
): Promise<string> {
  const stream = { projectId: wanted.projectId, taskId: "chain-00000001" };
  const made = await changeTask(bench.desk(), stream, {
    tool: "create_task",
    callId: "",
    actor: { kind: "driver" },
    toEvent: () => ({
      ...wanted,
      type: "TaskCreated",
      v: 1,
      at: new Date().toISOString(),
      taskId: stream.taskId,
      steps: steps.map((step) => ({ ...aStep(), ...step, checks: [] })),
      dependsOn: [],
      maxAttempts: 3,
      acceptanceReview: false,
      flowId: null,
    }),
  });
  if (!made.ok) throw new Error(made.reason);
  return stream.taskId;
}

/** When a process is killed: so long after its first change, or `early`, after its start. */
type Killed = { readonly early: boolean; readonly afterMs: number };
/** So long a process may take to make its first change. */
const startMs = 60_000;
/** So long one that is not to be killed may take to come to rest. */
const lastMs = 600_000;

/** One process: until it is at rest (true), or until it is killed. */
async function live(root: string, effects: string, killed: Killed | undefined): Promise<boolean> {
  const child = spawn(process.execPath, [path.join(import.meta.dirname, "gatewayless.ts"), root, effects], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "close");
  const over = new AbortController();
  const kill = (ms: number) =>
    sleep(ms, undefined, { signal: over.signal }).then(
      () => child.kill("SIGKILL"),
      () => undefined,
    );
  let isMoving = false;
  child.stdout.on("data", (words: Buffer) => {
    if (isMoving || !words.includes("moving")) return;
    isMoving = true;
    if (killed?.early === false) void kill(killed.afterMs);
  });
  void kill(killed?.early === true ? killed.afterMs : killed === undefined ? lastMs : startMs + killed.afterMs);
  await ended;
  over.abort();
  if (child.signalCode !== null && killed === undefined)
    throw new Error(`a process did not come to rest in ${lastMs / 1000} s`);
  if (child.signalCode !== null && killed?.early === false && !isMoving)
    throw new Error(`a process changed nothing in ${startMs / 1000} s`);
  if (child.signalCode === null && child.exitCode !== 0)
    throw new Error(`the process ended by itself with ${child.exitCode}`);
  return child.exitCode === 0;
}

/** Every step passed once and in order; every run that did something was planned before, and only those reported count. */
export function judgeChain(
  root: string,
  taskId: string,
  steps: readonly Wanted[],
  effects: string,
  projectId = "shop",
): readonly string[] {
  const records = recordsOf(root, { projectId, taskId });
  const { status } = parseTask(documentsOf(records)["task"] ?? "");
  const reported = records.flatMap(({ event }) => {
    // A task's stream holds task events only.
    const one = event as TaskEvent;
    return one.type === "QaReported" ? [one.stepId] : [];
  });
  const order = steps.map(({ id }) => id);
  const done = existsSync(effects) ? readFileSync(effects, "utf8").trim().split("\n") : [];
  const launched = done.filter((line) => line.startsWith("begin "));
  const twice = launched.filter((runId, index) => launched.indexOf(runId) !== index);
  return [
    ...(status === "done" ? [] : [`the task is ${status}`]),
    ...(JSON.stringify(reported) === JSON.stringify(order)
      ? []
      : [`judged were ${reported.length} steps, not ${order.length} in order`]),
    ...twice.map((runId) => `${runId} twice`),
  ];
}

/** Runs of one step and role that were live at the same time. */
export function overlaps(effects: string): readonly string[] {
  const live = new Map<string, string>();
  return readFileSync(effects, "utf8")
    .trim()
    .split("\n")
    .flatMap((line) => {
      const [what, runId = ""] = line.split(" ");
      const [taskId, stepId, , role] = runId.split("/");
      const seat = `${taskId}/${stepId}/${role}`;
      const other = live.get(seat);
      if (what === "end") {
        if (other === runId) live.delete(seat);
        return [];
      }
      live.set(seat, runId);
      return other === undefined ? [] : [`${runId} began while ${other} was live`];
    });
}

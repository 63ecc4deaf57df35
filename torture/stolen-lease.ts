/**
 * The driving lease, stolen from a stalled gateway: two processes drive one root as the plugin does. The one that has the lease is
 * stopped until the other one has taken it and goes on with what can go on; then it is woken, and there are two drivers until it
 * notices. The lease's own times apply, so one theft takes some twenty seconds.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../harness/wait.ts";
import { parseTask } from "../src/schema/documents.ts";
import type { TaskEvent } from "../src/schema/events.ts";
import { createBench } from "../test/support/bench.ts";
import { generated, judgeChain, overlaps, prepareChain, type Wanted } from "./chain.ts";
import { documentsOf, judge, openStore, recordsOf, reopen } from "./oracle.ts";
import { inLanes, randomFrom, wordsOf, type Options, type Row } from "./part.ts";

const amounts = {
  short: { pairs: 1, thefts: 1, links: 3, longThefts: 0 },
  full: { pairs: 2, thefts: 8, links: 70, longThefts: 2 },
} as const;

/** Chains that run beside each other, so that something is always under way in the one that is stopped. */
const chains = 3;
const limits = { limitMs: 180_000 };
/** Longer than a driver waits for another one that lives to launch what it planned. */
const longMs = 70_000;

type Chain = { readonly projectId: string; readonly taskId: string; readonly steps: readonly Wanted[] };

/** A process that drives when it has the lease. */
type Gateway = { readonly process: ChildProcess; readonly ended: Promise<unknown>; drives: boolean };

export async function stealLeases(options: Options): Promise<Row> {
  const { pairs } = amounts[options.amount];
  const done: { readonly thefts: number; readonly live: number; readonly longestMs: number }[] = [];
  const wrong: string[] = [];
  await inLanes(
    Array.from({ length: pairs }, (_, index) => index),
    pairs,
    async (index) => {
      const folder = mkdtempSync(path.join(tmpdir(), "torture-lease-"));
      try {
        done.push(await stealIn(folder, { ...options, seed: options.seed + index }, wrong));
      } catch (error) {
        wrong.push(wordsOf(error));
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
  );
  const sum = (read: (one: (typeof done)[number]) => number) => done.reduce((total, one) => total + read(one), 0);
  return {
    what: "",
    tried: sum(({ thefts }) => thefts),
    violations: wrong.map((what) => ({ case: "", what })),
    note: `${sum(({ live }) => live)} runs were live in the stopped one; two drivers for at most ${Math.max(0, ...done.map(({ longestMs }) => longestMs))} ms after it woke`,
  };
}

async function stealIn(folder: string, { amount, seed, say }: Options, wrong: string[]) {
  const { thefts, links, longThefts } = amounts[amount];
  const root = path.join(folder, "root");
  const effects = path.join(folder, "effects");
  const random = randomFrom(seed);
  const prepare = async (projectId: string, steps: readonly Wanted[], isStarted: boolean): Promise<Chain> => ({
    projectId,
    steps,
    taskId: await prepareChain(root, steps, { projectId, isStarted }),
  });
  const running: Chain[] = [];
  for (let number = 1; number <= chains; number += 1)
    running.push(await prepare(`chain-${number}`, generated(links), true));
  // One for each theft: what is started while one driver is stopped only the other one can drive.
  const waiting: Chain[] = [];
  for (let number = 1; number <= thefts; number += 1) waiting.push(await prepare(`new-${number}`, generated(2), false));

  const pair = [1, 2].map((number) => startGateway(root, path.join(folder, `state-${number}`), effects, seed + number));
  let [live, longestMs] = [0, 0];
  try {
    for (const [index, chain] of waiting.entries()) {
      const [holder, other] = await oneDrives(pair);
      await sleep(random() * 2_000);
      holder.process.kill("SIGSTOP");
      live += liveIn(effects).length;
      await until("the other one to take the lease", () => other.drives, limits);
      await start(root, chain);
      await until("it to launch a run", () => isLaunchedBy(root, chain, other), limits);
      if (index < longThefts) await sleep(longMs);
      const wokenAt = performance.now();
      holder.process.kill("SIGCONT");
      await until("the stopped one to notice", () => !holder.drives, { ...limits, everyMs: 1 });
      longestMs = Math.max(longestMs, Math.round(performance.now() - wokenAt));
      say(`theft ${index + 1} (seed ${seed}): ${live} runs met so far`);
      if (!other.drives) wrong.push("nobody drove after the first one had noticed");
    }
    const all = [...running, ...waiting];
    await until("every task to be done", () => all.every((chain) => isDone(root, chain)), { limitMs: 1_200_000 });
    const [holder] = await oneDrives(pair);
    const named: unknown = JSON.parse(readFileSync(path.join(root, "projects", ".driver", "holder.json"), "utf8"));
    if ((named as { readonly pid?: number }).pid !== holder.process.pid)
      wrong.push(`the lease names ${JSON.stringify(named)}, and ${holder.process.pid} drives`);
    for (const one of pair) one.process.kill("SIGTERM");
    await Promise.all(pair.map(({ ended }) => ended));
    for (const one of pair) if (one.process.exitCode !== 0) wrong.push(`one ended with ${one.process.exitCode}`);
    wrong.push(...(await reopen(root)), ...judge(root), ...overlaps(effects));
    for (const { taskId, steps, projectId } of all) wrong.push(...judgeChain(root, taskId, steps, effects, projectId));
  } finally {
    for (const one of pair) one.process.kill("SIGKILL");
    await Promise.all(pair.map(({ ended }) => ended));
  }
  return { thefts, live, longestMs };
}

function startGateway(root: string, stateDir: string, effects: string, seed: number): Gateway {
  const child = spawn(
    process.execPath,
    [path.join(import.meta.dirname, "leased.ts"), root, stateDir, effects, String(seed)],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const gateway: Gateway = { process: child, ended: once(child, "close"), drives: false };
  createInterface({ input: child.stdout }).on("line", (line) => (gateway.drives = line === "drives"));
  return gateway;
}

/** The one that drives and the one that does not, once it is so. */
async function oneDrives(pair: readonly Gateway[]): Promise<readonly [Gateway, Gateway]> {
  return until(
    "exactly one to drive",
    () => {
      const [one, other] = pair.toSorted((a, b) => Number(b.drives) - Number(a.drives));
      return one?.drives === true && other?.drives === false ? ([one, other] as const) : undefined;
    },
    limits,
  );
}

/** Starts a task from a third process, as the tool of yet another gateway does. */
async function start(root: string, { taskId }: Chain): Promise<void> {
  const store = await openStore(root);
  try {
    await createBench({ store, root, config: { acceptanceReview: false } }).done("start_task", { taskId });
  } finally {
    await store.close();
  }
}

function isLaunchedBy(root: string, chain: Chain, { process: { pid } }: Gateway): boolean {
  // A task's stream holds task events only.
  const events = recordsOf(root, chain).map(({ event }) => event as TaskEvent);
  const isPlanned = events.some((event) => event.type === "RunPlanned" && event.launcher.pid === pid);
  return isPlanned && events.some((event) => event.type === "RunLaunched");
}

const isDone = (root: string, chain: Chain): boolean =>
  parseTask(documentsOf(recordsOf(root, chain))["task"] ?? "").status === "done";

/** Runs that have begun and not ended. */
function liveIn(effects: string): readonly string[] {
  if (!existsSync(effects)) return [];
  const lines = readFileSync(effects, "utf8").trim().split("\n");
  return lines.flatMap((line) =>
    line.startsWith("begin ") && !lines.includes(line.replace("begin", "end")) ? [line.slice("begin ".length)] : [],
  );
}

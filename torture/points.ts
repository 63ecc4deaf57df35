/** What killing and failing share: places to work at, and the points of a command at which something can be done to it. */
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import path from "node:path";
import { idOf, restore, startWorker, type Command } from "./commands.ts";
import { recordsOf, streamsOf } from "./oracle.ts";
import { inLanes, sample, wordsOf, type Options, type Row, type Violation } from "./part.ts";
import { prepare, scenarios, type Scenario } from "./scenarios.ts";
import { listCalls, nameOfCall, type SystemCall } from "./strace.ts";

/** A call of the operating system, struck at by the kernel, or one of the store's disk, struck at from within. */
export type Point = SystemCall | { readonly disk: number };
const nameOfPoint = (point: Point) => ("disk" in point ? `disk:${point.disk}` : nameOfCall(point));

/** One try: a root in the scenario's state, the command that means something there, and what is done to it. */
export type Try<Way> = {
  readonly root: string;
  readonly command: Command;
  readonly point: Point;
  readonly way: Way;
};

/**
 * Tries every scenario at every point of it (a few chosen ones in the short amount), in each of the ways that `waysAt` gives for
 * the n-th point. `attempt` answers what it found wrong, or undefined when the point was never reached.
 */
export async function atEveryPoint<Way extends string>(
  options: Options,
  waysAt: (index: number) => readonly Way[],
  attempt: (one: Try<Way>) => Promise<readonly string[] | undefined>,
): Promise<readonly Row[]> {
  const folder = mkdtempSync(path.join(tmpdir(), "torture-"));
  const rows: Row[] = [];
  try {
    for (const [index, scenario] of scenarios.entries()) {
      if (!(options.only ?? scenario.name).startsWith(scenario.name)) continue;
      rows.push(await ofScenario(scenario, path.join(folder, String(index)), options, waysAt, attempt));
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return rows;
}

/** How many tries of each scenario the short amount has. */
const shortTries = 1;

async function ofScenario<Way extends string>(
  scenario: Scenario,
  folder: string,
  options: Options,
  waysAt: (index: number) => readonly Way[],
  attempt: (one: Try<Way>) => Promise<readonly string[] | undefined>,
): Promise<Row> {
  // A root is always at the same place, for its documents hold paths; hence one root and one template for each lane.
  const rootOf = (lane: number) => path.join(folder, `lane-${lane}`, "root");
  const templateOf = (lane: number) => path.join(folder, `lane-${lane}`, "template");
  const commands: Command[] = [];
  for (let lane = 0; lane < Math.min(2, availableParallelism()); lane += 1) {
    commands.push(await prepare(scenario, rootOf(lane)));
    restore(rootOf(lane), templateOf(lane));
  }
  const points = await pointsOf(commands[0], rootOf(0), options.amount);
  const all = points.flatMap((point, index) =>
    waysAt(index).map((way) => ({ point, way, name: `${scenario.name} at ${nameOfPoint(point)} ${way}` })),
  );
  const named = all.filter(({ name }) => [undefined, scenario.name, name].includes(options.only));
  const isSampled = options.amount === "short" && options.only === undefined;
  const violations: Violation[] = [];
  let tried = 0;
  const chosen = isSampled ? sample(named, shortTries, options.seed) : named;
  await inLanes(chosen, commands.length, async (one, lane) => {
    const command = commands[lane];
    if (command === undefined) return;
    restore(templateOf(lane), rootOf(lane));
    const wrong = await attempt({ root: rootOf(lane), command, point: one.point, way: one.way }).catch(
      (error: unknown) => [wordsOf(error)],
    );
    if (wrong !== undefined) tried += 1;
    violations.push(...(wrong ?? []).map((what) => ({ case: one.name, what })));
  });
  options.say(`${scenario.name}: ${chosen.length} points, ${tried} reached, ${violations.length} violations`);
  const note = tried < chosen.length ? `${chosen.length - tried} more were not reached` : "";
  return { what: scenario.name, tried, violations, note };
}

async function pointsOf(
  command: Command | undefined,
  root: string,
  amount: Options["amount"],
): Promise<readonly Point[]> {
  if (command === undefined) return [];
  const worker = await startWorker(root, amount === "short" ? ["count"] : []);
  try {
    if (amount === "full")
      return await listCalls(worker.process.pid ?? 0, root, async () => void (await worker.tell(command)));
    const told = await worker.tell(command);
    return Array.from({ length: told?.calls ?? 0 }, (_, index) => ({ disk: index + 1 }));
  } finally {
    await worker.end();
  }
}

/** How often the command stands in the journals. */
export function marksOf(root: string, command: Command): number {
  const id = idOf(command);
  const event = command.kind === "record" ? JSON.stringify(command.event) : undefined;
  return streamsOf(root)
    .flatMap((stream) => recordsOf(root, stream))
    .filter((one) => (id === undefined ? JSON.stringify(one.event) === event : [id, `${id}-late`].includes(one.callId)))
    .length;
}

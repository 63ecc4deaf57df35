/** One gateway that is ended and started again and again, and what must hold of its work over all of its lives. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import type { JsonObject } from "../../harness/json.ts";
import { until } from "../../harness/wait.ts";
import { parseStep, type Step } from "../../src/schema/documents.ts";
import type { TaskEvent } from "../../src/schema/events.ts";
import { oneByOne, report, type Act } from "../../test/gateway/cast.ts";
import { stopLimitMs } from "../../test/gateway/endings.ts";
import { aStep, openStage, type Play, type Stage } from "../../test/gateway/stage.ts";
import { documentsOf, judge, recordsOf } from "../oracle.ts";

export type Lives = {
  readonly stage: Stage;
  /** Where the projects are kept. */
  readonly root: string;
  /** Ends the gateway by `kill -9` or by SIGTERM, looks at what it left, and starts it again. */
  end<T>(how: "kill" | "stop", look: () => Promise<T> | T): Promise<T>;
  /** How long the longest end by SIGTERM took so far. */
  longestStopMs(): number;
  /** What is not as it must be: below the root, and in the sessions of runs. */
  judge(): Promise<readonly string[]>;
  dispose(): Promise<void>;
};

/** Runs that work have more than a moment of it, and what nobody asks about is not told. */
const config = { checks: { allow: ["node"] }, acceptanceReview: false, notify: "off" };
export async function openLives(template: string): Promise<Lives> {
  const stage = await openStage(template, config);
  const root = stage.gateway.paths.workspace;
  /** How many model turns there had been at the end of each life. */
  const ends: number[] = [];
  let longestStopMs = 0;
  return {
    stage,
    root,
    async end(how, look) {
      const from = performance.now();
      await (how === "kill" ? stage.gateway.kill() : stage.gateway.stop(stopLimitMs));
      if (how === "stop") longestStopMs = Math.max(longestStopMs, performance.now() - from);
      ends.push(stage.model.turns.all().length);
      const seen = await look();
      await stage.gateway.start();
      return seen;
    },
    longestStopMs: () => longestStopMs,
    async judge() {
      // A page follows its document a moment later.
      await until("the files to say what they must", () => judge(root).length === 0, { limitMs: 20_000 }).catch(
        () => undefined,
      );
      return [...judge(root), ...sessionsInTwoLives(stage, ends)];
    },
    dispose: () => stage.end(),
  };
}

/** A second gateway with a home of its own, which is configured to keep its projects in the same folder. */
export const openBeside = (template: string, root: string): Promise<Stage> =>
  openStage(template, { ...config, root }, {}, () => root);

/** A run that had turns in two lives of the gateway was begun twice. */
function sessionsInTwoLives({ model }: Stage, ends: readonly number[]): readonly string[] {
  const lives = new Map<string, Set<number>>();
  for (const { turn } of model.turns.all()) {
    if (turn.role === "orchestrator" || turn.sessionKey === undefined) continue;
    const seen = lives.get(turn.sessionKey) ?? new Set<number>();
    lives.set(turn.sessionKey, seen.add(ends.filter((count) => count <= turn.index).length));
  }
  return [...lives].flatMap(([session, seen]) =>
    seen.size > 1 ? [`${session} had turns in ${seen.size} lives of the gateway`] : [],
  );
}

/** What the task's journal says, whatever its documents say by now. */
export function readTask(
  root: string,
  { projectId, taskId }: Play,
): { readonly last: TaskEvent; readonly events: readonly TaskEvent[]; readonly steps: readonly Step[] } | undefined {
  const records = recordsOf(root, { projectId, taskId });
  // A task's stream holds task events only.
  const events = records.map(({ event }) => event as TaskEvent);
  const last = events.at(-1);
  if (last === undefined) return undefined;
  const steps = Object.entries(documentsOf(records)).flatMap(([name, text]) =>
    name.startsWith("steps/") ? [parseStep(text, name)] : [],
  );
  return { last, events, steps: steps.toSorted((one, other) => one.index - other.index) };
}

export const countRecords = (root: string, play: Play): number => readTask(root, play)?.events.length ?? 0;

/** Waits for the task's end; says when a step was not passed once and in its turn, and when a run counts as lost that only its gateway lost. */
export async function finish({ root }: Lives, play: Play, limitMs?: number): Promise<void> {
  await play.untilTask("done", limitMs);
  await play.untilQuiet();
  const passed: string[] = [];
  const before = new Map<string, string>();
  for (const { docs } of recordsOf(root, play))
    for (const [name, text] of Object.entries(docs)) {
      if (!name.startsWith("steps/") || text === null) continue;
      const { id, status } = parseStep(text, name);
      if (status === "passed" && before.get(id) !== "passed") passed.push(id);
      before.set(id, status);
    }
  const wanted = (await play.steps()).map(({ id }) => id);
  if (JSON.stringify(passed) !== JSON.stringify(wanted)) throw new Error(`passed were ${passed.join(", ")}`);
  const lost = (await play.steps()).flatMap(({ id, attempts }) =>
    attempts.flatMap(({ runs }) =>
      runs.flatMap((run) =>
        run.end === "lost"
          ? [`${id} ${run.role} ${run.launch}, ${run.startedAt} to ${run.endedAt}: ${run.why ?? "no reason"}`]
          : [],
      ),
    ),
  );
  if (lost.length > 0) throw new Error(`counted as lost: ${lost.join("; ")}`);
}

/** A builder that takes a moment over its work, so that there is something to be ended. */
export const buildsSlowly: Act = (scene) => {
  const { stepId } = scene.place;
  return oneByOne(
    { calls: [{ name: "exec", args: { command: `sleep 0.5; echo ${stepId} > ${stepId}.txt` } }] },
    report({ outcome: "done", summary: "Wrote it.", filesChanged: [`${stepId}.txt`] }),
  )(scene);
};

/** So many steps, one after the other; every third has a check that takes a moment. */
export const manySteps = (count: number): readonly JsonObject[] =>
  Array.from({ length: count }, (_, index) =>
    aStep({
      title: `Part ${index + 1}`,
      checks: index % 3 === 0 ? [{ name: "tests", command: ["node", "-e", "setTimeout(() => {}, 400)"] }] : [],
    }),
  );

/** Waits until the task has gone on by so many records, and a while longer; false when it has ended by then. */
export async function untilLater({ root }: Lives, play: Play, records: number, extraMs: number): Promise<boolean> {
  const wanted = countRecords(root, play) + records;
  const isDone = async () => (await play.task()).status === "done";
  await until("the task to go on", async () => countRecords(root, play) >= wanted || (await isDone()), {
    limitMs: 240_000,
    everyMs: 5,
  });
  await new Promise((resolve) => void setTimeout(resolve, extraMs));
  return !(await isDone());
}

/** Everything below a folder, byte for byte, with what the system knows of each file but its times of reading. */
export function snapshotOf(folder: string): ReadonlyMap<string, string> {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true }).map((one) =>
    path.relative(folder, path.join(one.parentPath, one.name)),
  );
  return new Map(
    names.map((name) => {
      const file = path.join(folder, name);
      const { ino, mode, mtimeNs, size } = statSync(file, { bigint: true });
      const bytes = statSync(file).isFile() ? readFileSync(file).toString("base64") : "";
      return [name, `${ino} ${mode} ${size} ${mtimeNs} ${bytes}`];
    }),
  );
}

/** The names whose entry is not the same in both, there or not. */
export const differences = (one: ReadonlyMap<string, string>, other: ReadonlyMap<string, string>): readonly string[] =>
  [...new Set([...one.keys(), ...other.keys()])].filter((name) => one.get(name) !== other.get(name)).toSorted();

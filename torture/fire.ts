/**
 * The real gateway under fire: OpenClaw with the packed plugin drives a task while its process is killed, once in each moment of
 * a run's life and many times at random. Every time it goes on by itself; in the end every step was passed once and in order, no
 * run was begun twice, and everything that is kept follows from its journal.
 */
import { parseStep } from "../src/schema/documents.ts";
import type { TaskEvent } from "../src/schema/events.ts";
import { until } from "../harness/wait.ts";
import { makeTemplate } from "../harness/template.ts";
import { buildsWell, judgesWell, oneByOne, report } from "../test/gateway/cast.ts";
import { aStep, call, openStage, type Play, type Stage } from "../test/gateway/stage.ts";
import { judge, recordsOf } from "./oracle.ts";
import { randomFrom, wordsOf, type Part, type Row } from "./part.ts";

const kills = 50;
const longSteps = 40;

/** When to kill: the last event of the task and what its step is about. */
type Moment = {
  readonly name: string;
  isNow(last: TaskEvent, play: Play): Promise<boolean> | boolean;
  /** What the person does before; the task is running by then. */
  readonly before?: (stage: Stage, play: Play) => Promise<void>;
  /** What the person does afterwards. */
  readonly after?: (stage: Stage, play: Play) => Promise<void>;
  readonly end?: "cancelled";
};

const isRunning = (role: "builder" | "qa") => async (last: TaskEvent, play: Play) =>
  last.type === "RunLaunched" && (await play.step("step-01"))[role].status === "running";

const moments: readonly Moment[] = [
  { name: "before a launch", isNow: (last) => last.type === "RunPlanned" },
  { name: "a builder runs", isNow: isRunning("builder") },
  { name: "a builder has reported", isNow: (last) => last.type === "BuilderReported" },
  { name: "a check runs", isNow: async (_last, play) => (await play.step("step-01")).status === "checking" },
  { name: "QA runs", isNow: isRunning("qa") },
  { name: "QA has reported", isNow: (last) => last.type === "QaReported" },
  {
    name: "a person is waited for",
    isNow: async (_last, play) => (await play.task()).status === "blocked",
    after: async (stage, { taskId }) =>
      void (await stage.say(call("set_step_status", { taskId, stepId: "step-01", status: "queued", reason: "Blue." }))),
  },
  {
    name: "a cancel is under way",
    isNow: (last) => last.type === "TaskCancelled",
    before: async (stage, play) => {
      await until("a builder to run", async () => (await play.step("step-01")).builder.status === "running");
      // Not waited for: the gateway is killed while it answers.
      stage
        .say(call("set_task_status", { taskId: play.taskId, status: "cancelled", reason: "Enough." }))
        .catch(() => "");
    },
    end: "cancelled",
  },
];

const checks = [{ name: "tests", command: ["node", "-e", "setTimeout(() => {}, 700)"] }];
const asks = report({ outcome: "blocked", summary: "I must know.", filesChanged: [], question: "Which colour?" });

export const fire: Part = {
  name: "fire",
  needs: "gateway",
  async run({ amount, seed, only, say }) {
    const template = await makeTemplate();
    const stage = await openStage(template.home, {
      checks: { allow: ["node"] },
      acceptanceReview: false,
      notify: "off",
    });
    const root = stage.gateway.paths.workspace;
    const random = randomFrom(seed);
    const rows: Row[] = [];
    const attempt = async (name: string, note: string, work: () => Promise<number>): Promise<void> => {
      if (![undefined, name].includes(only)) return;
      const wrong: string[] = [];
      const tried = await work().catch((error: unknown) => {
        wrong.push(wordsOf(error));
        return 1;
      });
      wrong.push(...judge(root), ...sessionsInTwoLives(stage));
      say(`${name}: ${wrong.length} violations`);
      rows.push({
        what: `kill -9 of the gateway: ${name}`,
        tried,
        violations: wrong.map((what) => ({ case: name, what })),
        note,
      });
    };
    try {
      for (const [index, moment] of moments.entries())
        await attempt(moment.name, "", () => killAt(stage, root, moment, `Moment${index}End`));
      const count = amount === "full" ? kills : 3;
      await attempt("at random", `${longSteps} steps`, () => killAtRandom(stage, root, count, random));
    } finally {
      await stage.end();
      await template.dispose();
    }
    return rows;
  },
};

/** How many model turns there had been at each kill. */
const killedAt: number[] = [];

async function killNow(stage: Stage): Promise<void> {
  await stage.gateway.kill();
  killedAt.push(stage.model.turns.all().length);
  await stage.gateway.start();
}

const lastOf = (root: string, { projectId, taskId }: Play): TaskEvent | undefined =>
  // A task's stream holds task events only.
  recordsOf(root, { projectId, taskId }).at(-1)?.event as TaskEvent | undefined;

async function killAt(stage: Stage, root: string, moment: Moment, word: string): Promise<number> {
  const isAsking = moment.after !== undefined;
  stage.cast.play(word, {
    builder: (scene) =>
      isAsking && scene.place.attempt === 1 && scene.turn.results.length === 0 ? asks : slowly(scene),
  });
  const play = await stage.begin(word, { steps: [aStep({ checks })] });
  await moment.before?.(stage, play);
  await until(
    moment.name,
    async () => {
      const last = lastOf(root, play);
      return last !== undefined && (await moment.isNow(last, play));
    },
    { limitMs: 120_000, everyMs: 5 },
  );
  await killNow(stage);
  await moment.after?.(stage, play);
  await play.untilTask(moment.end ?? "done");
  await play.untilQuiet();
  if (moment.end === undefined) requireOnce(root, play, ["step-01"]);
  return 1;
}

/** A builder that takes a moment over its work, so that there is something to be killed. */
const slowly: typeof buildsWell = (scene) =>
  oneByOne(
    {
      calls: [{ name: "exec", args: { command: `sleep 0.5; echo ${scene.place.stepId} > ${scene.place.stepId}.txt` } }],
    },
    report({ outcome: "done", summary: "Wrote it.", filesChanged: [`${scene.place.stepId}.txt`] }),
  )(scene);

async function killAtRandom(stage: Stage, root: string, count: number, random: () => number): Promise<number> {
  const word = "ManyKillsEnd";
  stage.cast.play(word, { builder: slowly, qa: judgesWell });
  const steps = Array.from({ length: longSteps }, (_, index) => aStep({ title: `Part ${index + 1}` }));
  const play = await stage.begin(word, { steps });
  let tried = 0;
  while (tried < count && (await play.task()).status !== "done") {
    const before = recordsOf(root, play).length;
    const wanted = before + 1 + Math.floor(random() * 6);
    await until(
      "the task to go on",
      async () => recordsOf(root, play).length >= wanted || (await play.task()).status === "done",
      {
        limitMs: 180_000,
        everyMs: 5,
      },
    );
    await new Promise((resolve) => void setTimeout(resolve, random() * 400));
    await killNow(stage);
    tried += 1;
  }
  await play.untilTask("done", 900_000);
  await play.untilQuiet();
  requireOnce(
    root,
    play,
    steps.map((_, index) => `step-${String(index + 1).padStart(2, "0")}`),
  );
  return tried;
}

/** Throws unless QA passed these steps once each and in this order. */
function requireOnce(root: string, { projectId, taskId }: Play, stepIds: readonly string[]): void {
  const passed = recordsOf(root, { projectId, taskId }).flatMap(({ docs }) =>
    Object.entries(docs).flatMap(([name, text]) => {
      if (!name.startsWith("steps/") || text === null) return [];
      const { id, status, updatedAt } = parseStep(text, name);
      return status === "passed" ? [{ id, updatedAt }] : [];
    }),
  );
  const order = [...new Set(passed.map(({ id }) => id))];
  if (JSON.stringify(order) !== JSON.stringify(stepIds)) throw new Error(`passed were ${order.join(", ")}`);
}

/** A run that had turns in two lives of the gateway was begun twice. */
function sessionsInTwoLives(stage: Stage): readonly string[] {
  const lives = new Map<string, Set<number>>();
  for (const { turn } of stage.model.turns.all()) {
    if (turn.role === "orchestrator" || turn.sessionKey === undefined) continue;
    const seen = lives.get(turn.sessionKey) ?? new Set<number>();
    lives.set(turn.sessionKey, seen.add(killedAt.filter((count) => count <= turn.index).length));
  }
  return [...lives].flatMap(([session, seen]) =>
    seen.size > 1 ? [`${session} had turns in ${seen.size} lives of the gateway`] : [],
  );
}

/**
 * `kill -9` in each moment of a run's life. Whether it was that moment is read off the journal that the dead gateway left (and
 * off what the model and the check have seen): a moment that had passed before the kill is said and not counted.
 */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fieldsOf, listOf, textOf } from "../../harness/json.ts";
import { until } from "../../harness/wait.ts";
import { openRuns } from "../../src/flow/ready.ts";
import type { Role, Step } from "../../src/schema/documents.ts";
import type { TaskEvent } from "../../src/schema/events.ts";
import { report, type Act } from "../../test/gateway/cast.ts";
import { aStep, call, type Play } from "../../test/gateway/stage.ts";
import { requireStrace, strike } from "../strace.ts";
import { buildsSlowly, finish, readTask, type Lives } from "./lives.ts";

/** What is known of the task at some moment: its last event, its one step, and what stands outside of its files. */
type Seen = {
  readonly last: TaskEvent;
  readonly step: Step;
  readonly play: Play;
  /** What its check has written so far: `begin`, and `end` when it is through. */
  readonly checked: string;
};

export type Moment = {
  readonly name: string;
  readonly isNow: (seen: Seen) => boolean;
  /** Whether the host has the step's first run; told by the host when it lives again. */
  readonly isHosted?: boolean;
  /** The kernel kills it when it is about to write this record to the task's journal, counted from the start of the task. */
  readonly beforeRecord?: number;
  /** What the builder does in its first attempt. */
  readonly builder?: Act;
  /** What the person does before; the task is running by then. */
  readonly before?: (lives: Lives, play: Play, chat: string) => Promise<void>;
  /** What the person does afterwards. */
  readonly after?: (lives: Lives, play: Play, chat: string) => Promise<void>;
  readonly end?: "cancelled";
};

/** The role's first run is confirmed, has not reported, and the model was asked in it. */
const isAtWork =
  (role: Role) =>
  ({ last, step, play }: Seen): boolean =>
    last.type === "RunLaunched" && step[role].status === "running" && play.turnsOf(step.id, role).length > 0;

export const moments: readonly Moment[] = [
  { name: "before a launch", isNow: ({ last }) => last.type === "RunPlanned", isHosted: false },
  {
    name: "launched but not confirmed",
    isNow: ({ last }) => last.type === "RunPlanned",
    isHosted: true,
    // The start, the plan, the confirmation.
    beforeRecord: 3,
  },
  { name: "a builder runs", isNow: isAtWork("builder") },
  { name: "a builder has reported", isNow: ({ last }) => last.type === "BuilderReported" },
  {
    name: "a check runs",
    isNow: ({ step, checked }) =>
      step.status === "checking" && openRuns(step).length === 0 && checked.trim() === "begin",
  },
  { name: "QA runs", isNow: isAtWork("qa") },
  { name: "QA has reported", isNow: ({ last }) => last.type === "QaReported" },
  {
    name: "a person is waited for",
    isNow: ({ step }) => step.status === "blocked" && step.question !== null && openRuns(step).length === 0,
    builder: () => report({ outcome: "blocked", summary: "I must know.", filesChanged: [], question: "Which colour?" }),
    after: async ({ stage }, { taskId }, chat) =>
      void (await stage.say(
        call("set_step_status", { taskId, stepId: "step-01", status: "queued", reason: "Blue." }),
        chat,
      )),
  },
  {
    name: "a cancel is under way",
    isNow: ({ last, step }) => last.type === "TaskCancelled" && openRuns(step).length > 0,
    before: async ({ stage, root }, play, chat) => {
      await until("a builder to run", () => readTask(root, play)?.steps[0]?.builder.status === "running");
      const cancel = call("set_task_status", { taskId: play.taskId, status: "cancelled", reason: "Enough." });
      // Not waited for: the gateway is killed while it answers.
      stage.say(cancel, chat).catch(() => "");
    },
    end: "cancelled",
  },
];

/** Tries until the gateway was killed in that moment, a few times at most; answers how often it came too late. */
export async function killIn(lives: Lives, moment: Moment, word: string): Promise<number> {
  if (moment.beforeRecord !== undefined) requireStrace();
  for (let late = 0; late < mostTries; late += 1)
    if (await tryToKillIn(lives, moment, `${word}Try${late}End`)) return late;
  throw new Error(`${mostTries} kills came too late`);
}

const mostTries = 6;

/** One task, one kill, the rest of the task. True when the kill met the moment. */
async function tryToKillIn(lives: Lives, moment: Moment, word: string): Promise<boolean> {
  const { stage, root } = lives;
  const chat = `agent:main:${word.toLowerCase()}`;
  const check = path.join(stage.gateway.paths.home, "checks", word);
  mkdirSync(path.dirname(check), { recursive: true });
  stage.cast.play(word, {
    builder: (scene) =>
      moment.builder !== undefined && scene.place.attempt === 1 ? moment.builder(scene) : buildsSlowly(scene),
  });
  const projectId = await stage.createProject(`Project ${word}`, chat);
  const steps = [aStep({ checks: [{ name: "tests", command: ["node", "-e", marksItsTime, check] }] })];
  const taskId = await stage.createTask({ title: `Task ${word}`, steps }, chat);
  const play = stage.at(projectId, taskId);
  const look = (): Seen | undefined => {
    const seen = readTask(root, play);
    const step = seen?.steps[0];
    const checked = existsSync(check) ? readFileSync(check, "utf8") : "";
    return seen === undefined || step === undefined ? undefined : { last: seen.last, step, play, checked };
  };
  const isNow = (): boolean => {
    const seen = look();
    return seen !== undefined && moment.isNow(seen);
  };
  const start = () => stage.say(call("start_task", { taskId }), chat);
  if (moment.beforeRecord === undefined) {
    await start();
    await moment.before?.(lives, play, chat);
    await until(moment.name, isNow, { limitMs: 120_000, everyMs: 2 });
  } else {
    const { pid } = stage.gateway;
    const file = path.join(path.relative(root, play.folder), "journal.jsonl");
    await strike(pid, root, { thread: "main", name: "write", number: moment.beforeRecord, file }, "signal=KILL");
    // Not waited for: the gateway may be dead before it has answered.
    start().catch(() => "");
    await until("the kernel to kill the gateway", () => !existsSync(`/proc/${pid}`), { limitMs: 120_000 });
  }
  const wasNow = await lives.end("kill", isNow);
  const isHit = wasNow && (moment.isHosted === undefined || moment.isHosted === (await isHosted(lives, look)));
  await (await stage.client()).untilIdle(chat);
  // Where it came too late the person acts all the same, so that the task comes to its end.
  if (moment.after !== undefined) await play.untilStep("step-01", "blocked");
  await moment.after?.(lives, play, chat);
  if (moment.end === undefined) await finish(lives, play);
  else {
    await play.untilTask(moment.end);
    await play.untilQuiet();
  }
  await requireHosted(lives, play);
  return isHit;
}

/** The check: says when it begins and when it is through. */
const marksItsTime = `
const [, file] = process.argv;
const { appendFileSync } = require("node:fs");
appendFileSync(file, "begin\\n");
setTimeout(() => appendFileSync(file, "end\\n"), 1_000);
`;

async function hostedRuns({ stage }: Lives, taskId: string): Promise<readonly string[]> {
  const { tasks } = await stage.gateway.call("tasks.list", { limit: 500 });
  return listOf(tasks)
    .flatMap((task) => textOf(fieldsOf(task)["runId"]) ?? [])
    .filter((runId) => runId.startsWith(`${taskId}/`));
}

/** Whether the host has the run that was the step's first one when the gateway was killed. */
async function isHosted(lives: Lives, look: () => Seen | undefined): Promise<boolean> {
  const step = look()?.step;
  const runId = step?.attempts[0]?.runs[0]?.runId;
  if (step === undefined || runId === undefined) return false;
  return (await hostedRuns(lives, step.taskId)).includes(runId);
}

/** Throws when the host had a run twice, or one that no document knows. */
async function requireHosted(lives: Lives, play: Play): Promise<void> {
  const known = (await play.steps()).flatMap(({ attempts }) =>
    attempts.flatMap(({ runs }) => runs.map((run) => run.runId)),
  );
  const hosted = await hostedRuns(lives, play.taskId);
  const strange = hosted.filter((runId, index) => !known.includes(runId) || hosted.indexOf(runId) !== index);
  if (strange.length > 0) throw new Error(`the host had ${strange.join(", ")} besides`);
}

/** A loop of many steps on the real gateway, which is ended, or whose plugin is replaced, at random. */
import { judgesWell } from "../../test/gateway/cast.ts";
import { beginHeld, endWhileHeld, replaceHalfWay, replacePlugin, runsOf } from "../../test/gateway/endings.ts";
import type { Play } from "../../test/gateway/stage.ts";
import { buildsSlowly, finish, manySteps, readTask, untilLater, type Lives } from "./lives.ts";

const longSteps = 24;

/**
 * Does it so many times, after a random number of records and a random while, to one task after the other; the work says whether
 * it met a task that was under way. Answers how often it came too late.
 */
async function atRandom(
  lives: Lives,
  word: string,
  count: number,
  random: () => number,
  work: (play: Play, chat: string) => Promise<boolean>,
): Promise<number> {
  let late = 0;
  for (let tried = 0, round = 0; tried < count; round += 1) {
    const name = `${word}Round${round}End`;
    const chat = `agent:main:${name.toLowerCase()}`;
    lives.stage.cast.play(name, { builder: buildsSlowly, qa: judgesWell });
    const play = await lives.stage.begin(name, { steps: manySteps(Math.min(longSteps, 2 + count * 2)) }, chat);
    while (tried < count && (await untilLater(lives, play, 1 + Math.floor(random() * 6), random() * 400))) {
      if (await work(play, chat)) tried += 1;
      else late += 1;
    }
    await finish(lives, play, 900_000);
  }
  return late;
}

const isUnderWay = (lives: Lives, play: Play) => (): boolean =>
  readTask(lives.root, play)?.steps.some(({ status }) => status !== "passed") ?? false;

/** `kill -9`, or SIGTERM, at random moments of a running loop. */
export const endAtRandom = (lives: Lives, how: "kill" | "stop", count: number, random: () => number): Promise<number> =>
  atRandom(lives, `Many${how}`, count, random, (play) => lives.end(how, isUnderWay(lives, play)));

/** SIGTERM while a builder is at work: its report lands before the end, and the task goes on after the next start. */
export async function endWhileBuilding(lives: Lives): Promise<void> {
  const { held, play } = await beginHeld(lives.stage, "DrainedEnd");
  await endWhileHeld(lives.stage, held);
  const reported = readTask(lives.root, play)?.events.some(({ type }) => type === "BuilderReported");
  if (reported !== true) throw new Error("the report did not land");
  await lives.end("stop", () => undefined);
  await finish(lives, play);
  const runs = (await runsOf(play)).filter((run) => run.includes(" builder "));
  if (runs.join() !== "step-01 builder 1.1 reported") throw new Error(`the builder's runs: ${runs.join(", ")}`);
}

/**
 * SIGTERM while a builder hangs: the host waits for it as long as it waits for anything, and then cuts it short. That is the end of
 * the gateway and no fault of the builder's.
 */
export async function endWhileHanging(lives: Lives): Promise<void> {
  const { held, play } = await beginHeld(lives.stage, "HangingEnd");
  await lives.end("stop", () => undefined);
  held.open();
  await finish(lives, play);
  const runs = (await runsOf(play)).filter((run) => run.includes("step-01 builder "));
  const wanted = "step-01 builder 1.1 gateway, step-01 builder 1.2 reported";
  if (runs.join(", ") !== wanted) throw new Error(`the builder's runs: ${runs.join(", ")}`);
}

/**
 * The plugin is replaced at random moments. The host refuses that while a run lives; then the task is paused where it is, the
 * plugin replaced once nothing runs, and the task goes on. Answers how often the host refused first.
 */
export async function replaceAtRandom(lives: Lives, count: number, random: () => number): Promise<number> {
  let refused = 0;
  await atRandom(lives, "ManyReplaced", count, random, async (play, chat) => {
    if (!isUnderWay(lives, play)()) return false;
    if (await replacePlugin(lives.stage)) return true;
    refused += 1;
    if (!isUnderWay(lives, play)()) return false;
    await replaceHalfWay(lives.stage, play, chat);
    return true;
  });
  return refused;
}

/** Ways in which a gateway or its plugin comes to an end in the middle of work, for scenarios and for the torture. */
import { gate, type Gate } from "../../harness/model.ts";
import { runOpenclaw } from "../../harness/openclaw.ts";
import { until } from "../../harness/wait.ts";
import { openRuns } from "../../src/flow/ready.ts";
import { buildsWell, type Act } from "./cast.ts";
import { call, type Play, type Stage } from "./stage.ts";

/** The runs of the task as its documents have them: `step-01 builder 1.2 reported` is the second launch of the first attempt. */
export const runsOf = async (play: Play): Promise<readonly string[]> =>
  (await play.steps()).flatMap((step) =>
    step.attempts.flatMap(({ attempt, runs }) =>
      runs.map((run) => `${step.id} ${run.role} ${attempt}.${run.launch} ${run.end}`),
    ),
  );

/** Begins a task and holds its first builder in its first turn, its launch confirmed. */
export async function beginHeld(
  stage: Stage,
  word: string,
  wish: Parameters<Stage["begin"]>[1] = {},
): Promise<{ readonly held: Gate; readonly play: Play }> {
  const held = gate();
  const builder: Act = async (scene) => {
    const { stepId, launch } = scene.place;
    if (stepId === "step-01" && launch === 1 && scene.turn.results.length === 0) await held.hold(scene.turn);
    return buildsWell(scene);
  };
  stage.cast.play(word, { builder });
  const play = await stage.begin(word, wish);
  await held.reached;
  await until("the launch to be confirmed", async () => (await play.step("step-01")).builder.status === "running");
  return { held, play };
}

/**
 * So long a gateway that is asked to end may take. OpenClaw waits for its work up to 315 s, and all of that time for a run whose
 * end it puts off because it is ending.
 */
export const stopLimitMs = 345_000;

/** Asks the gateway to end; what is held goes on once the gateway waits for its work. Resolves when it has ended. */
export async function endWhileHeld(stage: Stage, held: Gate): Promise<void> {
  const before = (await stage.gateway.logs()).length;
  const stopped = stage.gateway.stop(stopLimitMs);
  await until("the gateway to drain", async () =>
    (await stage.gateway.logs()).slice(before).includes("draining active work before stop"),
  );
  held.open();
  await stopped;
}

/** Has the host replace the plugin in the running gateway. False when it refused, as it does while a run of the plugin lives. */
export async function replacePlugin({ gateway }: Stage): Promise<boolean> {
  const { pid } = gateway;
  const answer = await runOpenclaw(gateway.paths.home, ["plugins", "reload", "project-orchestrator"]);
  if (gateway.pid !== pid) throw new Error(`the gateway is another process: ${gateway.pid}, not ${pid}`);
  if (answer.code === 0 && answer.stdout.includes("Reloaded plugin")) return true;
  if (`${answer.stdout}${answer.stderr}`.includes("still has active retained work")) return false;
  throw new Error(`the plugin was not replaced: ${answer.stdout}${answer.stderr}`);
}

/** Pauses the task, lets its live runs come to their end, replaces the plugin where the task stands, and goes on. */
export async function replaceHalfWay(stage: Stage, play: Play, sessionKey?: string, held?: Gate): Promise<void> {
  const set = (status: string) => stage.say(call("set_task_status", { taskId: play.taskId, status }), sessionKey);
  await set("paused");
  held?.open();
  await until("its runs to have ended", async () => (await play.steps()).every((step) => openRuns(step).length === 0), {
    limitMs: 120_000,
  });
  // The host holds on to the plugin a moment longer than a run shows, and for each turn of a chat that is being told something.
  const replaced = await until(
    "the host to replace the plugin",
    () => replacePlugin(stage).catch((error: unknown) => ({ error })),
    { limitMs: 120_000 },
  );
  if (replaced !== true) throw replaced.error;
  await set("running");
}

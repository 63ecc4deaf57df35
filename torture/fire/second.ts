/**
 * A second gateway that is started on the state of one that drives. While the first one waits for a model's answer nothing of
 * the folder changes by itself: whatever changes then was written by the second one. What changes later follows from the journal,
 * and every run in it was launched by the first.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { gate } from "../../harness/model.ts";
import { environmentOf, openclawProgram } from "../../harness/openclaw.ts";
import { until } from "../../harness/wait.ts";
import { isLitter } from "../../src/store/layout.ts";
import { judgesWell, type Act } from "../../test/gateway/cast.ts";
import { call, type Play } from "../../test/gateway/stage.ts";
import { buildsSlowly, differences, finish, manySteps, openBeside, readTask, snapshotOf, type Lives } from "./lives.ts";

/** The holder of the driving lease touches it every five seconds; the others try to have it as often. */
const lease = path.join("projects", ".driver", "holder.json.lock");
const leaseMs = 5_000;

/** Once with a second gateway beside a task of several steps, of which the model holds the n-th turn. */
export async function startBeside(lives: Lives, template: string, word: string, turn: number): Promise<void> {
  const { stage, root } = lives;
  const { play, open } = await beginHeldAt(lives, word, turn);
  await untilStill(root);
  removeLitter(root);
  const before = await untilStill(root);
  const other = await openBeside(template, root);
  try {
    const status = () => other.say(call("get_status", {}));
    await until("it to see who drives", async () => (await status()).includes("another gateway drives the projects"));
    // So long that it has tried to have the lease more than once.
    await sleep(2 * leaseMs + 1_000);
    requireSame("the second gateway wrote", before, snapshotOf(root));
    open();
    await finish(lives, play);
    requireLaunchedBy(lives, play);
    if (other.model.turns.of("builder").length + other.model.turns.of("qa").length > 0)
      throw new Error("runs were launched in the second gateway");
    const after = await untilStill(root);
    await other.gateway.stop();
    requireSame("the second gateway wrote at its end", after, snapshotOf(root));
    if (!(await stage.say(call("get_status", {}))).includes(play.projectId)) throw new Error("the first one is gone");
  } finally {
    await other.end();
  }
}

/** Once with a second gateway that is started in the home of the first one: the host does not let it come up. */
export async function startInside(lives: Lives, word: string, turn: number): Promise<void> {
  const { stage, root } = lives;
  const { play, open } = await beginHeldAt(lives, word, turn);
  const before = await untilStill(root);
  const { home } = stage.gateway.paths;
  const words = [openclawProgram, "gateway", "run", "--port", String(stage.gateway.port + 1)];
  const second = spawn(process.execPath, words, {
    cwd: home,
    env: environmentOf(home, { OPENCLAW_GATEWAY_TOKEN: stage.gateway.token }),
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = once(second, "close");
  let said = "";
  for (const stream of [second.stdout, second.stderr]) stream.on("data", (data: Buffer) => (said += data.toString()));
  try {
    // OpenClaw may wait for minutes before it gives up.
    await until("the second gateway to be refused", () => second.exitCode !== null, {
      limitMs: 400_000,
      explain: () => said.slice(-2000),
    });
    if (second.exitCode === 0) throw new Error(`the second gateway ended as if all were well: ${said.slice(-2000)}`);
  } finally {
    second.kill("SIGKILL");
    await ended;
  }
  requireSame("the second gateway wrote", before, snapshotOf(root));
  open();
  await finish(lives, play);
  requireLaunchedBy(lives, play);
}

/** Begins a task and has the model hold the n-th turn of its runs, of those in which a run has not reported yet. */
async function beginHeldAt({ stage }: Lives, word: string, turn: number): Promise<{ play: Play; open: () => void }> {
  const held = gate();
  let turns = 0;
  const holding =
    (act: Act): Act =>
    async (scene) => {
      // A run that has reported is ended soon, whatever its model says.
      if (scene.turn.results.length < 2) turns += 1;
      if (turns === turn && scene.turn.results.length < 2) await held.hold(scene.turn);
      return act(scene);
    };
  stage.cast.play(word, { builder: holding(buildsSlowly), qa: holding(judgesWell) });
  const play = await stage.begin(word, { steps: manySteps(4) }, `agent:main:${word.toLowerCase()}`);
  await held.reached;
  return { play, open: () => held.open() };
}

/** What earlier kills left of files that were never published; whoever opens its task takes it away, and so would the second gateway. */
function removeLitter(root: string): void {
  for (const name of snapshotOf(root).keys()) if (isLitter(path.basename(name))) rmSync(path.join(root, name));
}

/** The root once nothing has changed in it for longer than anything of ours is put off. */
async function untilStill(root: string): Promise<ReadonlyMap<string, string>> {
  let before = snapshotOf(root);
  for (let left = 60; left > 0; left -= 1) {
    await sleep(leaseMs / 2);
    const now = snapshotOf(root);
    if (changes(before, now).length === 0) return now;
    before = now;
  }
  throw new Error("the root does not come to rest");
}

const changes = (before: ReadonlyMap<string, string>, now: ReadonlyMap<string, string>) =>
  differences(before, now).filter((name) => name !== lease);

function requireSame(what: string, before: ReadonlyMap<string, string>, now: ReadonlyMap<string, string>): void {
  const changed = changes(before, now);
  if (changed.length > 0) throw new Error(`${what}: ${changed.slice(0, 10).join(", ")}`);
  if (!now.has(lease)) throw new Error("the lease is gone");
}

/** Throws when a run of the task was launched by another process than the first gateway. */
function requireLaunchedBy({ stage, root }: Lives, play: Play): void {
  const pids = readTask(root, play)?.events.flatMap((event) =>
    event.type === "RunPlanned" ? [event.launcher.pid] : [],
  );
  const others = pids?.filter((pid) => pid !== stage.gateway.pid) ?? [];
  if (pids === undefined || pids.length === 0 || others.length > 0)
    throw new Error(`runs were launched by ${[...new Set(others)].join(", ") || "nobody"}`);
}

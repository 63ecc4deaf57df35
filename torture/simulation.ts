/**
 * Histories that follow from a seed: the real tools, driver and slots in a world of played agents, where anything may happen
 * at any time. After every event the journals are judged; in the end everything is mended, the agents behave, and the world
 * has to come to rest. A history that breaks a promise is shortened until nothing can be left out.
 *
 * What happens: agents report, forget, die, answer late, twice, with nonsense (`parts`); the process dies now, or right after
 * any of its next actions, is stopped and begun again, hands over, or has its lease stolen (`kill`, `die`, `restart`, `handOver`, `stealLease`); the disk fails
 * before a change and after it, the host refuses, breaks, or answers late (`fault`, `hold`); time passes, the machine sleeps,
 * somebody sets the clock (`time`, `sleep`, `setClock`); tasks are made, started, paused, cancelled, decided upon at any time.
 * What is judged: each record follows from its event and no step has two open runs (`test/support/replay.ts`), no run starts
 * while another one of its step and role lives (`test/support/world.ts`), flow records name records that are there, every
 * acknowledged call stands in a journal once and no refused one does, and at rest all of `test/support/invariants.ts`.
 */
import { availableParallelism } from "node:os";
import { isMainThread, MessageChannel, Worker, workerData, type MessagePort } from "node:worker_threads";
import { OrchestratorError } from "../src/errors.ts";
import { createStep } from "../src/tools/create-step.ts";
import { createTask } from "../src/tools/create-task.ts";
import { setStepStatus } from "../src/tools/set-step-status.ts";
import { setTaskStatus } from "../src/tools/set-task-status.ts";
import { startTask } from "../src/tools/start-task.ts";
import { getStatus } from "../src/tools/get-status.ts";
import { expectInvariants } from "../test/support/invariants.ts";
import { createReplay, type Replay } from "../test/support/replay.ts";
import { countCallsAnew, owner, wakeUp } from "../test/support/callers.ts";
import {
  aStepOf,
  builds,
  createWorld,
  hostRefuses,
  judges,
  type HostRun,
  type Part as OutsidePart,
  type Play,
  type World,
  type WorldOptions,
} from "../test/support/world.ts";
import { randomFrom, wordsOf, type Options, type Part, type Row, type Violation } from "./part.ts";

type Random = () => number;
const pick = <T>(random: Random, things: readonly T[]): T | undefined => things[Math.floor(random() * things.length)];
const upTo = (random: Random, most: number) => 1 + Math.floor(random() * most);

/** One thing that happens. Its own random numbers follow from `salt`, so leaving out another one changes nothing here. */
type Happening = { readonly what: keyof typeof happenings; readonly salt: number };

const statuses = ["running", "paused", "cancelled"] as const;
const stepStatuses = ["queued", "blocked", "skipped", "passed", "cancelled", "done", ""] as const;
const faulty: readonly OutsidePart[] = [
  "commit",
  "createFlow",
  "sync",
  "cancelRequested",
  "agentFor",
  "launch",
  "observe",
  "stop",
  "cleanUp",
  "usage",
  "check",
  "identify",
  "compare",
  "brief",
  "read",
];

/** What the host may leave unanswered for a while. */
const slow = ["sync", "cancelRequested", "launch", "observe", "stop", "usage", "check"] as const;
const held = new WeakMap<World, readonly (() => void)[]>();

/** What an agent may do with its run, at its launch or at any later time. */
const parts: readonly ((random: Random) => Play)[] = [
  () => builds,
  () => judges(),
  () => judges("c1"),
  () => judges("c1", "c2", "a1"),
  // It reports and does not end.
  () => async (run) => {
    await run.report(
      run.role === "builder"
        ? { outcome: "done", summary: "Built.", filesChanged: [] }
        : {
            criteria: run.step.passCriteria.map(({ id }) => ({ id, pass: true, evidence: "I looked." })),
            feedback: "",
          },
    );
  },
  // It ends before it reports.
  () => async (run) => {
    run.end();
    await builds(run);
  },
  () => async (run) => {
    run.end();
    await judges()(run);
  },
  // Twice, under the same call and under another one.
  () => async (run) => {
    const report = { outcome: "done", summary: "Built.", filesChanged: [] };
    await run.report(report, { toolCallId: "same" });
    await run.report(report, { toolCallId: "same" });
    await run.report({ ...report, summary: "Built otherwise." });
    run.end();
  },
  () => async (run) => {
    await run.report({ outcome: "blocked", summary: "I must know.", filesChanged: [], question: "Which colour?" });
    run.end();
  },
  // Nonsense, also what no schema allows.
  (random) => async (run) => {
    const nonsense: readonly unknown[] = [
      null,
      7,
      "done",
      [],
      {},
      { criteria: [] },
      { outcome: "perhaps" },
      { criteria: [{ id: "c9", pass: true, evidence: "x" }], feedback: "" },
    ];
    for (let time = upTo(random, 25); time > 0; time -= 1)
      await run.report(pick(random, nonsense), { toolCallId: `nonsense ${run.runId} ${time}` });
    if (random() < 0.5) run.end();
  },
  () => (run) => run.end(),
  () => (run) => run.end({ by: "host", error: "it fell over" }),
  () => () => undefined,
  () => (run) => run.keepBusy(),
  () => (run) => {
    run.ignoreStop();
    run.keepBusy();
  },
  () => (run) => run.answerAtOnce(),
  (random) => (run) => run.write(`a tree of ${Math.floor(random() * 5)}`),
];
const aPart = (random: Random) => pick(random, parts)?.(random) ?? builds;

async function taskIdsOf(world: World): Promise<readonly string[]> {
  return (await world.store.list()).flatMap(({ taskId }) => (taskId === undefined ? [] : [taskId]));
}
async function aTaskOf(world: World, random: Random): Promise<string> {
  return pick(random, await taskIdsOf(world)) ?? "";
}
async function aStepIn(world: World, taskId: string, random: Random): Promise<string> {
  return pick(random, (await world.state(taskId)).steps)?.id ?? "step-01";
}
/** Mostly the owner, sometimes a turn that nobody's message began. */
const someone = (random: Random) => (random() < 0.8 ? owner() : wakeUp());

/** Refusals are answers: whoever calls at a random time is refused most of the time. */
const happenings = {
  agent: async (world: World, random: Random) => {
    const live = world.live();
    const chosen = random() < 0.9 ? pick(random, live) : pick(random, world.runs);
    if (chosen !== undefined) await world.letPlay([chosen], aPart(random));
  },
  time: (world: World, random: Random) =>
    world.pass(pick(random, [10, 10, 1_000, 1_000, 10_000, 10_000, 30_000, 100_000]) ?? 0),
  /** The machine slept: time has passed and nothing happened meanwhile. */
  sleep: async (world: World, random: Random) => {
    world.clock.moveTo(world.clock.elapsed() + upTo(random, 2_000_000));
    await world.pass(0);
  },
  /** Somebody sets the time of day, forward or back: by seconds, minutes, hours or days. */
  setClock: async (world: World, random: Random) => {
    const by = pick(random, [1_000, 60_000, 3_600_000, 86_400_000]) ?? 0;
    world.clock.set(Math.round((2 * random() - 1) * 10 * by));
    await world.pass(0);
  },
  kill: (world: World) => world.kill(),
  /** It dies right after one of the next things that it does. */
  die: (world: World, random: Random) => Promise.resolve(world.dieAfter(upTo(random, 12))),
  restart: (world: World) => world.restart(),
  handOver: (world: World) => world.handOver(),
  stealLease: (world: World) => world.stealLease(),
  fault: (world: World, random: Random) => {
    const part = pick(random, faulty) ?? "commit";
    if (part === "commit" && random() < 0.5) {
      const unknown = new OrchestratorError("outcome-unknown", "the disk failed after the change was written");
      world.fail(part, unknown, upTo(random, 3), { result: '"committed"' });
      return Promise.resolve();
    }
    const error =
      part === "commit"
        ? new OrchestratorError("not-committed", "the disk is full")
        : part === "read"
          ? new OrchestratorError("journal-unreadable", "the disk failed")
          : part === "createFlow" || random() < 0.7
            ? hostRefuses()
            : new Error("something else");
    world.fail(part, error, upTo(random, 3));
    return Promise.resolve();
  },
  mend: (world: World) => Promise.resolve(world.mend()),
  /** The host does not answer the next call of a kind, until `answer`. */
  hold: (world: World, random: Random) => {
    const part = pick(random, slow) ?? "launch";
    held.set(world, [...(held.get(world) ?? []), world.hold(part)]);
    return Promise.resolve();
  },
  answer: async (world: World) => {
    for (const answer of held.get(world) ?? []) answer();
    held.delete(world);
    await world.pass(0);
  },
  crowd: (world: World, random: Random) => Promise.resolve(world.beFirst(upTo(random, 3))),
  task: async (world: World, random: Random) => {
    const others = await taskIdsOf(world);
    if (others.length >= 4) return;
    const projects = [...new Set((await world.store.list()).map(({ projectId }) => projectId))];
    const projectId = pick(random, projects) ?? "";
    const other = pick(random, others);
    const steps = Array.from({ length: upTo(random, 3) }, () =>
      random() < 0.3 ? aStepOf({ checks: [{ name: "tests", command: ["npm", "test"] }] }) : aStepOf(),
    );
    await world.call(
      createTask,
      {
        projectId,
        title: "Another",
        spec: "More.",
        acceptanceCriteria: ["It works."],
        steps,
        ...(other === undefined || random() < 0.5 ? {} : { dependsOn: [other] }),
      },
      someone(random),
    );
  },
  start: async (world: World, random: Random) =>
    void (await world.call(startTask, { taskId: await aTaskOf(world, random) }, someone(random))),
  setTask: async (world: World, random: Random) => {
    const status = random() < 0.6 ? "running" : pick(random, statuses);
    await world.call(
      setTaskStatus,
      { taskId: await aTaskOf(world, random), status, ...(random() < 0.7 ? { reason: "Because." } : {}) },
      someone(random),
    );
  },
  setStep: async (world: World, random: Random) => {
    const taskId = await aTaskOf(world, random);
    await world.call(
      setStepStatus,
      { taskId, stepId: await aStepIn(world, taskId, random), status: pick(random, stepStatuses), reason: "Because." },
      someone(random),
    );
  },
  addStep: async (world: World, random: Random) =>
    void (await world.call(createStep, { taskId: await aTaskOf(world, random), ...aStepOf() }, someone(random))),
  status: async (world: World, random: Random) =>
    void (await world.call(getStatus, random() < 0.5 ? {} : { taskId: await aTaskOf(world, random) }, someone(random))),
  cancelFlow: async (world: World, random: Random) => world.askToCancelFlow(await aTaskOf(world, random)),
  loseFlow: async (world: World, random: Random) => world.loseFlow(await aTaskOf(world, random)),
} as const satisfies Record<string, (world: World, random: Random) => Promise<void>>;

const kinds = Object.keys(happenings) as readonly (keyof typeof happenings)[];
/** What happens more often than the rest: a world in which agents never act shows little. */
const weights: Partial<Record<keyof typeof happenings, number>> = {
  agent: 14,
  time: 8,
  setTask: 3,
  setStep: 3,
  start: 3,
  kill: 2,
  die: 2,
  hold: 2,
  fault: 3,
  cancelFlow: 0.3,
  loseFlow: 0.3,
  sleep: 0.5,
};
const weightOf = (kind: keyof typeof happenings) => weights[kind] ?? 1;
const weightOfAll = kinds.reduce((sum, kind) => sum + weightOf(kind), 0);

function aHappening(random: Random): Happening {
  let left = random() * weightOfAll;
  const what = kinds.find((kind) => (left -= weightOf(kind)) < 0) ?? "time";
  return { what, salt: Math.floor(random() * 2 ** 32) };
}

/** The history of a seed: what the world is like, and what happens in it. */
function historyOf(seed: number): { readonly options: WorldOptions; readonly happening: readonly Happening[] } {
  const random = randomFrom(seed);
  const salt = Math.floor(random() * 2 ** 32);
  const atLaunch = randomFrom(salt);
  // Most agents do their work, so that histories get somewhere.
  const cast =
    (good: Play): Play =>
    (run) =>
      (atLaunch() < 0.6 ? good : aPart(atLaunch))(run);
  const limits = { idleMinutes: upTo(random, 3) / 10, maxMinutes: (2 + upTo(random, 5)) / 10 };
  return {
    options: {
      config: {
        acceptanceReview: random() < 0.5,
        maxAttempts: upTo(random, 3),
        maxLostRuns: Math.floor(random() * 3),
        parallelSteps: upTo(random, 3),
        parallelTasks: upTo(random, 3),
        checks: { allow: ["npm"] },
        roles: { builder: limits, qa: limits },
      },
      cast: { builder: cast(builds), qa: cast(judges()) },
      check: (_name, content) => (content.length % 4 === 0 ? 1 : 0),
      withoutFlows: random() < 0.1,
    },
    happening: Array.from({ length: 4 + upTo(random, 16) }, () => aHappening(random)),
  };
}

/** Lives through a history; throws what broke a promise. */
async function live(seed: number, happening: readonly Happening[]): Promise<number> {
  countCallsAnew();
  const world = await createWorld(historyOf(seed).options);
  try {
    return await liveIn(world, seed, happening);
  } finally {
    world.discard();
  }
}

async function liveIn(world: World, seed: number, happening: readonly Happening[]): Promise<number> {
  const look = journalsJudge(world);
  const started = randomFrom(seed + 1);
  await world.task({
    steps: Array.from({ length: upTo(started, 3) }, () => aStepOf()),
    projectId: await world.project("Shop", started() < 0.5 ? "/repos/all" : undefined),
  });
  await world.project("Other", "/repos/all/inner");
  for (const { what, salt } of [{ what: "start" as const, salt: seed }, ...happening]) {
    await happenings[what](world, randomFrom(salt));
    await look();
  }
  await comeToRest(world);
  await look();
  await expectInvariants(world, look.replays);
  await expectAcknowledged(world);
  await world.stop();
  return world.actions();
}

/** Everything is mended and whoever is asked answers, until nothing is left to do. */
async function comeToRest(world: World): Promise<void> {
  world.mend();
  world.beFirst(0);
  await happenings.answer(world);
  for (let round = 0; round < 60; round += 1) {
    // Whoever still has a run does what its role is for; silent ones are stopped at their limits.
    const good = (run: HostRun): Play => (run.place.role === "builder" ? builds : judges());
    // A host that heeded no request to stop does so in the end.
    if (round >= 4) for (const run of world.live()) run.deaf = false;
    for (const run of world.live()) if (!run.deaf) await world.letPlay([run], good(run));
    // What is tried again or polled comes within seconds; only a run that heeds nothing has to be waited for.
    await world.pass(world.live().some((run) => run.deaf || run.busy) ? 45_000 : 11_000);
    let isRestless = false;
    for (const taskId of await taskIdsOf(world)) {
      const { task, steps } = await world.state(taskId);
      if (task.status === "done" || task.status === "cancelled") continue;
      isRestless = true;
      if (task.status === "draft") await world.call(startTask, { taskId });
      else if (task.status === "paused" || task.question !== null)
        await world.call(setTaskStatus, { taskId, status: "running", reason: "Go on." });
      for (const step of steps)
        if (step.question !== null) {
          const status = step.kind === "acceptance" && round % 2 === 1 ? "passed" : round > 20 ? "skipped" : "queued";
          await world.call(setStepStatus, { taskId, stepId: step.id, status, reason: "Go on." });
        }
    }
    if (!isRestless) break;
  }
  await world.pass(30_000);
  for (const taskId of await taskIdsOf(world)) {
    const { task, steps } = await world.state(taskId);
    if (task.status !== "done" && task.status !== "cancelled")
      throw new Error(
        `a task does not come to its end: ${task.status}, ${steps.map((one) => `${one.id} ${one.status} ${one.builder.status}/${one.qa.status} ${one.question?.kind ?? ""}`).join(", ")}; ${world.warnings.slice(-3).join("; ")}`,
      );
  }
  // One of another process that lives, and does not drive any more, nobody can stop: it is fenced.
  const left = world.live().filter((run) => !run.deaf && !run.givenUp);
  if (left.length > 0) throw new Error(`runs live on: ${left.map((run) => run.request.runId).join(", ")}`);
}

/**
 * Judges the records that came since it looked last: each follows from its event, no step has two open runs, none is used
 * twice; and what a flow record names is there.
 */
function journalsJudge(world: World): (() => Promise<void>) & { readonly replays: ReadonlyMap<string, Replay> } {
  const replays = new Map<string, Replay>();
  const sums = new Map<string, string[]>();
  const look = async () => {
    for (const stream of await world.store.list()) {
      const { taskId } = stream;
      if (taskId === undefined) continue;
      const replay = replays.get(taskId) ?? createReplay();
      replays.set(taskId, replay);
      const seen = sums.get(taskId) ?? [];
      sums.set(taskId, seen);
      for (const record of await world.store.history(stream, replay.seq)) {
        replay.take(record);
        seen.push(record.sum);
      }
      const flow = world.flows.get(taskId);
      if (flow !== undefined && flow.seq > 0 && seen[flow.seq - 1] !== flow.sum)
        throw new Error(`the flow record of ${taskId} names record ${flow.seq}, which is not there`);
    }
  };
  return Object.assign(look, { replays });
}

/** Every call that was acknowledged stands in a journal exactly once; of one that was refused, as often as it was made, nothing does. */
async function expectAcknowledged(world: World): Promise<void> {
  const counts = new Map<string, number>();
  for (const stream of await world.store.list())
    for (const { callId } of await world.store.history(stream, 0)) counts.set(callId, (counts.get(callId) ?? 0) + 1);
  for (const [callId, all] of Map.groupBy(world.calls, (call) => call.callId)) {
    const [{ tool } = { tool: "" }] = all;
    if (tool === getStatus.name) continue;
    const isDone = all.some(({ outcome }) => outcome === "done");
    const isKnown = isDone || all.every(({ outcome }) => outcome !== "outcome-unknown" && outcome !== "unheard");
    const count = counts.get(callId) ?? 0;
    if (isDone && count !== 1)
      throw new Error(`a call of ${tool} was acknowledged and stands in the journals ${count} times`);
    if (isKnown && !isDone && count > 0) throw new Error(`a call of ${tool} was refused and stands in a journal`);
  }
}

const failureOf = (seed: number, happening: readonly Happening[]) =>
  live(seed, happening).then(
    () => undefined,
    (error: unknown) => wordsOf(error),
  );

/** Leaves out whatever can be left out while the history still breaks a promise. */
async function shorten(seed: number, whole: readonly Happening[]): Promise<readonly Happening[]> {
  let shortest = whole;
  for (let size = Math.ceil(whole.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2))
    for (let at = 0; at < shortest.length;) {
      const shorter = shortest.toSpliced(at, size);
      if ((await failureOf(seed, shorter)) === undefined) at += size;
      else shortest = shorter;
    }
  return shortest;
}

/** Lives through the histories of these seeds; answers what broke, each in its shortest form. `told` hears how far it is, now and then. */
export async function simulate(
  seeds: Iterable<number>,
  told: (lived: number, violations: readonly Violation[]) => void = () => undefined,
): Promise<Lives> {
  let actions = 0;
  let lived = 0;
  const violations: Violation[] = [];
  for (const seed of seeds) {
    if (lived > 0 && lived % 1_000 === 0) told(lived, violations);
    lived += 1;
    const { happening } = historyOf(seed);
    try {
      actions += await live(seed, happening);
    } catch (error) {
      const shortest = violations.length < 5 ? await shorten(seed, happening) : happening;
      const told = shortest.map(({ what, salt }) => `${what}(${salt})`).join(" → ");
      const words = (await failureOf(seed, shortest)) ?? wordsOf(error);
      violations.push({ case: String(seed), what: `${words}\n  after ${told || "nothing but its start"}` });
    }
  }
  return { actions, violations };
}

type Lives = { readonly actions: number; readonly violations: readonly Violation[] };
type Progress = { readonly lived: number; readonly violations: readonly Violation[] };
/** The seeds of a worker of this very file: every `step`-th from `from` on, before `to`. */
type Share = { readonly from: number; readonly to: number; readonly step: number };
const seedsOf = ({ from, to, step }: Share) =>
  Array.from({ length: Math.ceil((to - from) / step) }, (_, index) => from + index * step);

function inAThread(share: Share, say: Options["say"]): Promise<Lives> {
  const { promise, resolve, reject } = Promise.withResolvers<Lives>();
  const { port1, port2 } = new MessageChannel();
  port1.on("message", (message: Lives | Progress) => {
    if ("lived" in message) {
      const { lived, violations } = message;
      say(
        `every ${share.step}th from ${share.from}: ${lived} lived, ${violations.length} violations ${violations[0]?.what ?? ""}`,
      );
      return;
    }
    port1.close();
    resolve(message);
  });
  const worker = new Worker(new URL(import.meta.url), { workerData: { share, port: port2 }, transferList: [port2] });
  worker.once("error", reject);
  return promise;
}
// Started as a thread, this file does its share and says what came of it.
if (!isMainThread && typeof workerData === "object" && workerData !== null && "share" in workerData) {
  const { share, port } = workerData as { readonly share: Share; readonly port: MessagePort };
  port.postMessage(
    await simulate(seedsOf(share), (lived, violations) => port.postMessage({ lived, violations } satisfies Progress)),
  );
}

const amounts = { short: 2_000, full: 100_000 } as const;

export const simulation: Part = {
  name: "simulation",
  async run({ amount, seed, only, say }: Options): Promise<readonly Row[]> {
    const from = seed * 1_000_000;
    const count = only === undefined ? amounts[amount] : 1;
    const step = availableParallelism();
    const shares = Array.from({ length: step }, (_, lane) => ({ from: from + lane, to: from + count, step }));
    const lives =
      only !== undefined
        ? [await simulate([Number(only)])]
        : amount === "short"
          ? [await simulate(seedsOf({ from, to: from + count, step: 1 }))]
          : await Promise.all(shares.map((share) => inAThread(share, say)));
    const actions = lives.reduce((sum, one) => sum + one.actions, 0);
    const violations = lives.flatMap((one) => one.violations);
    return [{ what: "histories", tried: count, violations, note: `${actions} actions on the outside` }];
  },
};

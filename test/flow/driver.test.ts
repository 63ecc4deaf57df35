/**
 * The driver carries tasks through, DESIGN section 7. Each scenario runs three times over: straight through; with a
 * restart whenever nothing moves; and once for each of its actions on the outside, with the process ending for good right
 * after that action. What it comes to must be the same, and the invariants must hold.
 */
import { describe, expect, it } from "vitest";
import { openRuns } from "../../src/flow/ready.ts";
import { createStep } from "../../src/tools/create-step.ts";
import { setStepStatus } from "../../src/tools/set-step-status.ts";
import { setTaskStatus } from "../../src/tools/set-task-status.ts";
import { startTask } from "../../src/tools/start-task.ts";
import { endsOf, essenceOf, expectInvariants } from "../support/invariants.ts";
import {
  aStepOf,
  builds,
  createWorld,
  forgets,
  judges,
  staysBusy,
  staysSilent,
  type Play,
  type World,
  type WorldOptions,
} from "../support/world.ts";

const minute = 60_000;
const plain = { acceptanceReview: false } as const;
const aCheck = { name: "tests", command: ["npm", "test"] };
const withChecks = { ...plain, checks: { allow: ["npm"] } } as const;

type Scenario = WorldOptions & { /** The rules that it holds. */ readonly tags?: readonly string[] };

/** A scenario in its three ways. */
function driven(name: string, { tags = [], ...options }: Scenario, play: (world: World) => Promise<void>): void {
  async function come(more: Partial<WorldOptions> = {}) {
    const world = await createWorld({ ...options, ...more });
    await play(world);
    // Whatever is tried again or polled has come to rest after this.
    await world.pass(30_000);
    await expectInvariants(world);
    return { world, essence: await essenceOf(world) };
  }
  describe(name, { tags: [...tags] }, () => {
    it("goes straight through", async () => {
      await come();
    });
    it("comes to the same when it is restarted whenever nothing moves", async () => {
      expect((await come({ restartAtRest: true })).essence).toStrictEqual((await come()).essence);
    });
    const promise = [
      "s7.transitions-once",
      "s7.runs-at-least-once",
      "s7.one-live-run",
      "s7.start-settles-runs",
    ] as const;
    it("comes to the same when its process ends after any one action", { tags: [...promise] }, async () => {
      const { world, essence } = await come();
      expect(world.actions()).toBeGreaterThan(10);
      for (let killAfter = 1; killAfter <= world.actions(); killAfter += 1) {
        const killed = await come({ killAfter }).catch((error: unknown) => {
          throw new Error(`after action ${killAfter}: ${error instanceof Error ? error.message : String(error)}`, {
            cause: error,
          });
        });
        expect(killed.essence, `after action ${killAfter}`).toStrictEqual(essence);
      }
    });
  });
}

/** Waits until the task has the status. */
const becomes = (world: World, taskId: string, status: string) =>
  world.until(async () => (await world.status(taskId)) === status);
const asks = (world: World, taskId: string, stepId = "step-01") =>
  world.until(async () => (await world.step(taskId, stepId)).question !== null);

/** Plays by the attempt: the last part also for later attempts. */
const byAttempt =
  (...parts: readonly Play[]): Play =>
  (run) =>
    (parts[run.attempt - 1] ?? parts.at(-1))?.(run);
/** Plays by how many runs of this attempt were lost before. */
const byLost =
  (...parts: readonly Play[]): Play =>
  (run) =>
    (parts[run.lost] ?? parts.at(-1))?.(run);

driven(
  "a task of two steps and an acceptance review",
  { tags: ["s4.step-way", "s4.acceptance-before-done", "s4.passed-by-qa"] },
  async (world) => {
    const taskId = await world.started({ steps: [aStepOf(), aStepOf()] });
    await becomes(world, taskId, "done");
    const { steps } = await world.state(taskId);
    expect(steps.map((step) => [step.id, step.status, step.attempt, step.passedBy])).toStrictEqual([
      ["step-01", "passed", 1, "qa"],
      ["step-02", "passed", 1, "qa"],
      ["acceptance", "passed", 1, "qa"],
    ]);
    expect(openRuns(await world.step(taskId, "acceptance"))).toStrictEqual([]);
  },
);

driven(
  "a step that QA sends back once",
  { tags: ["s4.findings-word-for-word"], config: plain, cast: { qa: byAttempt(judges("c2"), judges()) } },
  async (world) => {
    const taskId = await world.started();
    await becomes(world, taskId, "done");
    const second = world.briefed.find(({ role, step }) => role === "builder" && step.attempt === 2);
    expect(second?.step.attempts[0]?.qa).toMatchObject({
      verdict: "fail",
      feedback: "Mend c2.",
      criteria: [
        { id: "c1", pass: true },
        { id: "c2", pass: false },
      ],
    });
    expect((await world.step(taskId)).attempts.map((attempt) => attempt.qa?.verdict)).toStrictEqual(["fail", "pass"]);
  },
);

driven(
  "a step whose check fails once",
  {
    tags: ["s4.failed-check", "s4.checks-then-qa"],
    config: withChecks,
    check: (_name, content) => (content.includes("attempt 1") ? 1 : 0),
  },
  async (world) => {
    const taskId = await world.started({ steps: [aStepOf({ checks: [aCheck] })] });
    await becomes(world, taskId, "done");
    const [first, second] = (await world.step(taskId)).attempts;
    expect(first?.checks?.map((check) => check.exitCode)).toStrictEqual([1]);
    expect(first).not.toHaveProperty("qa");
    expect(first?.runs.filter((run) => run.role === "qa")).toStrictEqual([]);
    expect(second?.qa?.verdict).toBe("pass");
  },
);

const failsTwice = {
  config: { ...plain, maxAttempts: 2 },
  cast: { qa: byAttempt(judges("c1"), judges("c2"), judges()) },
};
driven(
  "a step that uses up its attempts and is tried again by a person",
  { ...failsTwice, tags: ["s4.attempts-used", "s4.retry-allowance"] },
  async (world) => {
    const taskId = await world.started();
    await becomes(world, taskId, "blocked");
    expect((await world.step(taskId)).question?.kind).toBe("attempts-used");
    await world.done(setStepStatus, { taskId, stepId: "step-01", status: "queued", reason: "Use the other door." });
    await becomes(world, taskId, "done");
    expect(await world.step(taskId)).toMatchObject({
      attempt: 3,
      maxAttempts: 4,
      attempts: [{}, {}, { note: "Use the other door." }],
    });
  },
);

const builderAsks: Play = async (run) => {
  await run.report({ outcome: "blocked", summary: "I must know.", filesChanged: [], question: "Which colour?" });
  run.end();
};
driven(
  "a builder that asks a person",
  { tags: ["s4.builder-asks"], config: plain, cast: { builder: byAttempt(builderAsks, builds) } },
  async (world) => {
    const taskId = await world.started();
    await becomes(world, taskId, "blocked");
    expect((await world.step(taskId)).question).toMatchObject({ kind: "builder-asks", text: "Which colour?" });
    await world.done(setStepStatus, { taskId, stepId: "step-01", status: "queued", reason: "Blue." });
    await becomes(world, taskId, "done");
  },
);

driven(
  "runs that end without a report",
  {
    tags: ["s4.lost-silent-end", "s4.lost-count", "s4.lost-relaunched"],
    config: plain,
    cast: { builder: byAttempt(forgets, builds) },
  },
  async (world) => {
    const taskId = await world.started();
    await becomes(world, taskId, "blocked");
    const step = await world.step(taskId);
    expect(step.question?.kind).toBe("runs-lost");
    expect(endsOf(step).filter((end) => end === "lost")).toStrictEqual(["lost", "lost", "lost"]);
    await world.done(setStepStatus, { taskId, stepId: "step-01", status: "queued", reason: "Again." });
    await becomes(world, taskId, "done");
  },
);

driven(
  "a QA run that ends without a report",
  { tags: ["s4.lost-relaunched"], config: plain, cast: { qa: byLost(forgets, judges()) } },
  async (world) => {
    const taskId = await world.started();
    await becomes(world, taskId, "done");
    expect((await world.step(taskId)).attempt).toBe(1);
  },
);

const shortLimits = {
  ...plain,
  roles: { builder: { idleMinutes: 1, maxMinutes: 3 }, qa: { idleMinutes: 1, maxMinutes: 3 } },
} as const;
driven(
  "a run that shows no sign of life",
  { tags: ["s4.lost-limits"], config: shortLimits, cast: { builder: byLost(staysSilent, builds) } },
  async (world) => {
    const taskId = await world.started();
    await becomes(world, taskId, "done");
    expect(endsOf(await world.step(taskId)).filter((end) => end === "lost")).toHaveLength(1);
  },
);

driven(
  "a busy run that goes over its maximum",
  { tags: ["s4.lost-limits"], config: shortLimits, cast: { qa: byLost(staysBusy, judges()) } },
  async (world) => {
    const taskId = await world.started();
    await becomes(world, taskId, "done");
  },
);

const calledWrongly: Play = async (run) => {
  for (let time = 1; time <= 20; time += 1)
    await run.report({ outcome: "perhaps" }, { toolCallId: `wrong ${run.runId} ${time}` });
  run.keepBusy();
};
driven(
  "a run with 20 refusals",
  { tags: ["s4.lost-refusals"], config: plain, cast: { builder: byLost(calledWrongly, builds) } },
  async (world) => {
    const taskId = await world.started();
    await becomes(world, taskId, "done");
    expect(endsOf(await world.step(taskId)).filter((end) => end === "lost")).toHaveLength(1);
  },
);

driven(
  "a task that is cancelled while a run is live",
  { tags: ["s4.fenced-and-stopped", "s4.step-cancelled-with-task"], config: plain, cast: { builder: staysBusy } },
  async (world) => {
    const taskId = await world.started();
    await world.until(() => world.live().length === 1);
    await world.done(setTaskStatus, { taskId, status: "cancelled", reason: "Not wanted." });
    await world.until(() => world.live().length === 0);
    expect(await world.status(taskId)).toBe("cancelled");
    expect((await world.step(taskId)).status).toBe("cancelled");
  },
);

driven("a cancel that is asked of the flow record", { config: plain, cast: { qa: staysBusy } }, async (world) => {
  const taskId = await world.started();
  await world.until(() => world.live().some((run) => run.place.role === "qa"));
  world.askToCancelFlow(taskId);
  await becomes(world, taskId, "cancelled");
  await world.until(() => world.live().length === 0);
});

driven(
  "a task that is paused while a run is live and goes on later",
  { tags: ["s4.halted-launches-nothing", "s4.halted-live-runs"], config: plain, cast: { builder: staysBusy } },
  async (world) => {
    const taskId = await world.started();
    await world.until(() => world.live("builder").length === 1);
    await world.done(setTaskStatus, { taskId, status: "paused", reason: "Lunch." });
    await world.rest();
    // Its report is accepted and moves the step; nothing new is launched.
    await world.letPlay(world.live("builder"), builds);
    await world.rest();
    await world.pass(5 * minute);
    expect(await world.status(taskId)).toBe("paused");
    expect(world.live()).toStrictEqual([]);
    await world.done(setTaskStatus, { taskId, status: "running" });
    // Where the gateway took the run along, another one builds.
    await world.until(async () => (await world.status(taskId)) === "done" || world.live("builder").length > 0);
    await world.letPlay(world.live("builder"), builds);
    await becomes(world, taskId, "done");
  },
);

driven(
  "a task that waits for another",
  { tags: ["s4.dependency-waits", "s4.dependency-events"], config: plain },
  async (world) => {
    const projectId = await world.project();
    const first = await world.task({ projectId, title: "First" });
    const second = await world.started({ projectId, title: "Second", dependsOn: [first] });
    await world.rest();
    expect(await world.status(second)).toBe("waiting");
    await world.done(startTask, { taskId: first });
    await becomes(world, second, "done");
    expect(await world.status(first)).toBe("done");
  },
);

driven(
  "a task whose dependency is cancelled and that a person lets go on",
  { tags: ["s4.dependency-cancelled", "s4.dependency-events"], config: plain },
  async (world) => {
    const projectId = await world.project();
    const first = await world.task({ projectId, title: "First" });
    const second = await world.started({ projectId, title: "Second", dependsOn: [first] });
    await world.done(setTaskStatus, { taskId: first, status: "cancelled" });
    await world.until(async () => (await world.state(second)).task.question !== null);
    expect((await world.state(second)).task).toMatchObject({
      status: "waiting",
      question: { kind: "dependency-cancelled" },
    });
    await world.done(setTaskStatus, { taskId: second, status: "running", reason: "Without it." });
    await becomes(world, second, "done");
  },
);

driven("three tasks where two may work at a time", { config: { ...plain, parallelTasks: 2 } }, async (world) => {
  const tasks = [];
  for (const name of ["One", "Two", "Three"]) {
    const projectId = await world.project(name);
    tasks.push(await world.started({ projectId, title: name, steps: [aStepOf(), aStepOf()] }));
  }
  for (const taskId of tasks) await becomes(world, taskId, "done");
});

driven("two tasks in one working tree", { config: plain }, async (world) => {
  const first = await world.started({
    projectId: await world.project("One", "/repos/all"),
    title: "One",
    steps: [aStepOf(), aStepOf()],
  });
  const second = await world.started({ projectId: await world.project("Two", "/repos/all/inner"), title: "Two" });
  await becomes(world, first, "done");
  await becomes(world, second, "done");
});

const diamond = [
  aStepOf({ id: "top", dependsOn: [] }),
  aStepOf({ id: "left", dependsOn: ["top"] }),
  aStepOf({ id: "right", dependsOn: ["top"] }),
  aStepOf({ id: "bottom", dependsOn: ["left", "right"] }),
];
// In a shared tree the order of two builders decides what the tree holds; the same content in every step makes it the same.
const buildsTheSame: Play = async (run) => {
  run.write("the work");
  await run.report({ outcome: "done", summary: "Built.", filesChanged: [] });
  run.end();
};
driven(
  "a diamond of steps with two at a time",
  { config: { ...plain, parallelSteps: 2 }, cast: { builder: buildsTheSame } },
  async (world) => {
    const taskId = await world.started({ steps: diamond });
    await becomes(world, taskId, "done");
    expect((await world.step(taskId, "left")).attempts[0]?.tree.shared).toBe(true);
  },
);

driven(
  "a step that is held back while another branch goes on",
  {
    tags: ["s4.other-branches", "s4.task-blocked"],
    config: plain,
    cast: { builder: (run) => (run.stepId === "right" && run.attempt === 1 ? builderAsks(run) : builds(run)) },
  },
  async (world) => {
    const taskId = await world.started({ steps: diamond.map((step) => ({ ...step })) });
    await asks(world, taskId, "right");
    await world.until(async () => (await world.step(taskId, "left")).status === "passed");
    await becomes(world, taskId, "blocked");
    await world.done(setStepStatus, { taskId, stepId: "right", status: "skipped", reason: "Leave it." });
    await becomes(world, taskId, "done");
  },
);

driven(
  "an acceptance review that fails, a step added for it, and a second review",
  {
    tags: ["s4.acceptance-add-step", "s4.acceptance-failed"],
    cast: { qa: (run) => (run.stepId === "acceptance" && run.attempt === 1 ? judges("a1") : judges())(run) },
  },
  async (world) => {
    const taskId = await world.started();
    await becomes(world, taskId, "blocked");
    expect((await world.step(taskId, "acceptance")).question?.kind).toBe("acceptance-failed");
    await world.done(createStep, { taskId, ...aStepOf({ title: "What was missing" }) });
    await becomes(world, taskId, "done");
    expect((await world.step(taskId, "acceptance")).attempt).toBe(2);
  },
);

driven("tasks whose flow records could not be made at first", { config: plain, withoutFlows: true }, async (world) => {
  const taskId = await world.started();
  await becomes(world, taskId, "done");
  expect((await world.state(taskId)).task.flowId).not.toBeNull();
});

driven(
  "a step that a person puts back while it is built",
  { tags: ["s4.fenced-and-stopped"], config: plain, cast: { builder: byAttempt(staysBusy, builds) } },
  async (world) => {
    const taskId = await world.started();
    await world.until(() => world.live().length === 1);
    await world.done(setStepStatus, { taskId, stepId: "step-01", status: "queued", reason: "Otherwise." });
    await becomes(world, taskId, "done");
    expect((await world.step(taskId)).attempt).toBe(2);
  },
);

/** What the driver does at the edges: limits, waiting, refusals of the host, late reports, changes that cross its own. */
import { describe, expect, it } from "vitest";
import type { Config } from "../../src/schema/config.ts";
import { OrchestratorError, type ErrorCode } from "../../src/errors.ts";
import { getStatus } from "../../src/tools/get-status.ts";
import { setStepStatus } from "../../src/tools/set-step-status.ts";
import { setTaskStatus } from "../../src/tools/set-task-status.ts";
import { startTask } from "../../src/tools/start-task.ts";
import { createRecorder } from "../../src/tools/driver-tools.ts";
import { recordBuilderResult } from "../../src/tools/record-builder-result.ts";
import { inRun } from "../support/callers.ts";
import { endsOf, expectInvariants } from "../support/invariants.ts";
import {
  aStepOf,
  builds,
  createWorld,
  forgets,
  hostRefuses,
  judges,
  staysBusy,
  staysSilent,
  type Part,
  type Play,
  type World,
} from "../support/world.ts";

const second = 1000;
const minute = 60 * second;
const plain: Config = { acceptanceReview: false };
const shortLimits: Config = { ...plain, roles: { builder: { idleMinutes: 1, maxMinutes: 3 } } };
const done = { outcome: "done", summary: "Built.", filesChanged: [] };

const becomes = (world: World, taskId: string, status: string) =>
  world.until(async () => (await world.status(taskId)) === status);

describe("a live run", () => {
  it(
    "is lost one idle time after its last sign of life, not before",
    { tags: ["s4.lost-limits", "s8.idle-minutes"] },
    async () => {
      const world = await createWorld({ config: shortLimits, cast: { builder: staysSilent } });
      const taskId = await world.started();
      await world.pass(59 * second);
      expect(endsOf(await world.step(taskId))).toStrictEqual([null]);
      await world.pass(4 * second);
      expect(endsOf(await world.step(taskId))).toStrictEqual(["lost", null]);
      expect(world.runs.map((run) => [run.place.launch, run.live, run.stops])).toStrictEqual([
        [1, false, 1],
        [2, true, 0],
      ]);
    },
  );

  it(
    "lives on past the idle time while it is busy, and is lost at its maximum",
    { tags: ["s4.lost-limits", "s8.idle-minutes", "s8.max-minutes"] },
    async () => {
      const world = await createWorld({ config: shortLimits, cast: { builder: staysBusy } });
      const taskId = await world.started();
      await world.pass(2 * minute + 59 * second);
      expect(endsOf(await world.step(taskId))).toStrictEqual([null]);
      await world.pass(4 * second);
      expect(endsOf(await world.step(taskId))).toStrictEqual(["lost", null]);
    },
  );

  it("is stopped at its 20th refusal, not at the 19th", { tags: ["s4.lost-refusals"] }, async () => {
    const world = await createWorld({ config: plain, cast: { builder: staysBusy } });
    const taskId = await world.started();
    await world.rest();
    const refused =
      (times: number): Play =>
      async (run) => {
        for (let time = 1; time <= times; time += 1) await run.report({}, { toolCallId: `wrong ${times} ${time}` });
      };
    await world.letPlay(world.live(), refused(19));
    await world.pass(minute);
    expect(endsOf(await world.step(taskId))).toStrictEqual([null]);
    await world.letPlay(world.live(), refused(1));
    await world.pass(4 * second);
    expect(endsOf(await world.step(taskId))).toStrictEqual(["lost", null]);
  });

  it(
    "that has reported gets ten seconds to end and is stopped then, before the next run starts",
    { tags: ["s4.report-grace", "s4.report-then-end"] },
    async () => {
      const world = await createWorld({
        config: plain,
        cast: { builder: async (run) => void (await run.report(done)) },
      });
      const taskId = await world.started();
      await world.pass(9 * second);
      expect(await world.step(taskId)).toMatchObject({ status: "reviewing", builder: { status: "reported" } });
      expect(world.runs.map((run) => [run.place.role, run.stops])).toStrictEqual([["builder", 0]]);
      await world.pass(2 * second);
      expect(world.runs.map((run) => [run.place.role, run.stops])).toStrictEqual([
        ["builder", 1],
        ["qa", 0],
      ]);
      await becomes(world, taskId, "done");
      expect(endsOf(await world.step(taskId))).toStrictEqual(["reported", "reported"]);
    },
  );

  it(
    "that was planned long before its launch has all of its time from the launch on",
    { tags: ["s8.max-minutes"] },
    async () => {
      const world = await createWorld({ config: shortLimits, cast: { builder: staysBusy } });
      const taskId = await world.task();
      const release = world.hold("brief");
      await world.done(startTask, { taskId });
      await world.rest();
      await world.done(setTaskStatus, { taskId, status: "paused" });
      await world.rest();
      release();
      await world.pass(10 * minute);
      await world.done(setTaskStatus, { taskId, status: "running" });
      await world.pass(2 * minute + 50 * second);
      expect(world.runs.map((run) => [run.place.launch, run.live])).toStrictEqual([[1, true]]);
      expect((await world.step(taskId)).attempts[0]?.runs[0]?.startedAt).toBe("2026-01-01T00:10:00.000Z");
      await world.pass(14 * second);
      expect(endsOf(await world.step(taskId))).toStrictEqual(["lost", null]);
    },
  );

  it("has a whole idle time again, and none of its maximum less, after the machine slept", async () => {
    const world = await createWorld({ config: shortLimits, cast: { builder: staysSilent } });
    const taskId = await world.started();
    await world.pass(50 * second);
    world.clock.moveTo(world.clock.elapsed() + 480 * minute);
    await world.pass(59 * second);
    expect(endsOf(await world.step(taskId))).toStrictEqual([null]);
    await world.letPlay(world.live(), staysBusy);
    await world.pass(minute);
    expect(endsOf(await world.step(taskId))).toStrictEqual([null]);
    await world.pass(20 * second);
    expect((await world.step(taskId)).attempts[0]?.runs[0]).toMatchObject({
      end: "lost",
      why: "ran longer than 3 minutes",
    });
  });

  it.each([-600 * minute, 600 * minute])("is launched at its time when the clock is set by %d ms", async (by) => {
    const world = await createWorld({ config: plain });
    const taskId = await world.task();
    world.fail("launch", hostRefuses());
    await world.done(startTask, { taskId });
    await world.rest();
    expect(world.runs).toHaveLength(0);
    world.clock.set(by);
    await world.pass(second);
    expect(world.runs.length).toBeGreaterThan(0);
  });

  it("that has reported and goes on is stopped also when the host tells nothing of runs, as one that drains", async () => {
    const world = await createWorld({ config: plain, cast: { builder: async (run) => void (await run.report(done)) } });
    const taskId = await world.task();
    world.fail("observe", hostRefuses(), 1000);
    await world.done(startTask, { taskId });
    await world.pass(10 * second);
    expect(world.runs.map((run) => run.stops)).toStrictEqual([1]);
    await world.pass(10 * second);
    expect((await world.step(taskId)).attempts[0]?.runs[0]?.end).toBe("reported");
  });

  it("is not asked for without a pause when the host answers at once", async () => {
    const hasty: Play = (run) => {
      run.keepBusy();
      run.answerAtOnce();
    };
    const world = await createWorld({ config: shortLimits, cast: { builder: hasty } });
    await world.started();
    await world.pass(minute);
    expect(world.runs[0]?.asked).toBeGreaterThan(20);
    expect(world.runs[0]?.asked).toBeLessThan(40);
  });

  it.each(["cleanUp", "identify", "usage"] as const)(
    "that has ended is settled first: while the %s of it takes its time, neither checks nor QA start",
    { tags: ["s4.run-settled-first", "s4.report-then-end"] },
    async (part) => {
      for (const checks of [[], [{ name: "tests", command: ["npm"] }]]) {
        const world = await createWorld({
          config: { ...plain, checks: { allow: ["npm"] } },
          cast: { builder: staysBusy },
        });
        const taskId = await world.started({ steps: [aStepOf({ checks })] });
        await world.rest();
        // The wait from before the report and the one after it may both see the end.
        const releases = [world.hold(part), world.hold(part)];
        await world.letPlay(world.live(), builds);
        await world.pass(minute);
        expect(await world.step(taskId)).toMatchObject({
          status: checks.length === 0 ? "reviewing" : "checking",
          attempts: [{ runs: [{ role: "builder", endedAt: null }] }],
        });
        expect((await world.step(taskId)).attempts[0]).not.toHaveProperty("checks");
        for (const release of releases) release();
        await becomes(world, taskId, "done");
        expect((await world.step(taskId)).attempts[0]).toMatchObject({
          runs: [{ end: "reported" }, { role: "qa" }],
          tree: { built: "tree of step-01 as attempt 1 left it" },
        });
      }
    },
  );

  it(
    "that the host does not end is asked to stop again and again, and nothing starts beside it; the status says so",
    { tags: ["s7.one-live-run", "s7.stop-waits", "s4.report-then-end"] },
    async () => {
      const world = await createWorld({
        config: plain,
        cast: {
          builder: async (run) => {
            run.ignoreStop();
            await run.report(done);
          },
        },
      });
      const taskId = await world.started();
      await world.pass(10 * minute);
      expect(world.runs.map((run) => [run.place.role, run.live])).toStrictEqual([["builder", true]]);
      expect((await world.step(taskId)).attempts[0]?.runs[0]?.end).toBeNull();
      const { details } = await world.call(getStatus, { taskId });
      const runId = `${taskId}/step-01/1/builder/1`;
      expect(details["waitsFor"]).toContainEqual({ taskId, stepId: "step-01", kind: "run", id: runId });
      expect((details["next"] as readonly string[])[0]).toContain(
        `run ${runId} was asked to stop and has not ended yet`,
      );
      await world.letPlay(world.live(), forgets);
      await becomes(world, taskId, "done");
      expect(endsOf(await world.step(taskId))).toStrictEqual(["reported", "reported"]);
    },
  );

  it(
    "past its limits that the host does not end is told of once and is no lost one before it has ended",
    { tags: ["s7.one-live-run", "s7.stop-waits"] },
    async () => {
      const world = await createWorld({ config: shortLimits, cast: { builder: (run) => run.ignoreStop() } });
      const taskId = await world.started();
      await world.pass(10 * minute);
      expect(endsOf(await world.step(taskId))).toStrictEqual([null]);
      expect(world.warnings.filter((one) => one.includes("it is stopped"))).toHaveLength(1);
      await world.letPlay(world.live(), forgets);
      await world.pass(minute);
      expect(endsOf(await world.step(taskId)).slice(0, 2)).toStrictEqual(["lost", null]);
    },
  );

  it(
    "of a gateway that lives on after handing over is not lost, also when nothing is seen of it, and its report counts",
    { tags: ["s4.lost-not-while-launcher-lives"] },
    async () => {
      const world = await createWorld({ config: shortLimits, cast: { builder: staysBusy } });
      const taskId = await world.started();
      await world.rest();
      await world.handOver();
      await world.pass(2 * minute);
      expect(endsOf(await world.step(taskId))).toStrictEqual([null]);
      expect(world.runs).toHaveLength(1);
      await world.letPlay(world.live(), builds);
      world.driver().wake({ projectId: "shop", taskId });
      await becomes(world, taskId, "done");
    },
  );
});

describe("a run that another gateway has in hand, which lives on", () => {
  const taskWhoseLaunchIsHandedOver = async (config: Config) => {
    const world = await createWorld({ config, cast: { builder: staysBusy } });
    const taskId = await world.task();
    world.fail("launch", hostRefuses(), 1e9);
    await world.done(startTask, { taskId });
    await world.pass(5 * second);
    return { world, taskId };
  };

  it(
    "and was only planned is closed uncounted by the one that planned it, and planned anew here",
    { tags: ["s4.lost-not-while-launcher-lives"] },
    async () => {
      const { world, taskId } = await taskWhoseLaunchIsHandedOver({ ...plain, maxLostRuns: 0 });
      await world.handOver();
      world.mend();
      await world.pass(15 * second);
      expect(endsOf(await world.step(taskId))).toStrictEqual(["gateway", null]);
      expect(world.live().map((run) => run.place.launch)).toStrictEqual([2]);
      await world.letPlay(world.live(), builds);
      await becomes(world, taskId, "done");
    },
  );

  it("and was only planned when its task was paused is closed like that too", async () => {
    const { world, taskId } = await taskWhoseLaunchIsHandedOver(plain);
    await world.done(setTaskStatus, { taskId, status: "paused" });
    await world.pass(minute);
    expect(endsOf(await world.step(taskId))).toStrictEqual([null]);
    await world.handOver();
    expect(endsOf(await world.step(taskId))).toStrictEqual(["gateway"]);
  });

  it(
    "and was launched without a word of it is not launched a second time, however long it stalls",
    { tags: ["s4.lost-not-while-launcher-lives", "s7.one-live-run"] },
    async () => {
      const world = await createWorld({ config: plain, cast: { builder: staysBusy } });
      const taskId = await world.task();
      // The host has the run, and its gateway stalls before it has heard so.
      world.hold("launch", { result: "" });
      await world.done(startTask, { taskId });
      await world.rest();
      await world.stealLease();
      await world.pass(10 * minute);
      expect(endsOf(await world.step(taskId))).toStrictEqual([null]);
      expect(world.live().map((run) => run.place.launch)).toStrictEqual([1]);
      await world.letPlay(world.live(), builds);
      await becomes(world, taskId, "done");
      expect(world.runs.filter((run) => run.place.role === "builder")).toHaveLength(1);
    },
  );

  it(
    "and was launched without an answer is ended by the one that planned it before another is launched here",
    { tags: ["s4.lost-not-while-launcher-lives", "s7.one-live-run"] },
    async () => {
      const world = await createWorld({ config: plain, cast: { builder: staysBusy } });
      const taskId = await world.task();
      world.hold("launch", { result: "" });
      await world.done(startTask, { taskId });
      await world.rest();
      await world.handOver();
      await world.pass(15 * second);
      expect(endsOf(await world.step(taskId))).toStrictEqual(["gateway", null]);
      expect(world.runs.map((run) => [run.place.launch, run.live])).toStrictEqual([
        [1, false],
        [2, true],
      ]);
    },
  );

  it(
    "is stopped when its gateway launches it after all, once it was closed here",
    { tags: ["s7.runs-fenced"] },
    async () => {
      const world = await createWorld({ config: plain, cast: { builder: staysBusy } });
      const taskId = await world.task();
      const release = world.hold("launch", { result: "" });
      await world.done(startTask, { taskId });
      await world.rest();
      const planning = world.hold("agentFor");
      await createRecorder(world.desk()).record(
        { projectId: "shop", taskId },
        {
          type: "RunEnded",
          v: 1,
          at: new Date(world.clock.now()).toISOString(),
          stepId: "step-01",
          runId: `${taskId}/step-01/1/builder/1`,
          end: "gateway",
          usage: null,
          tree: null,
          files: null,
          shared: false,
          maxLostRuns: 2,
        },
      );
      release();
      await world.pass(15 * second);
      expect(world.runs.map((run) => [run.place.launch, run.stops])).toStrictEqual([[1, 1]]);
      planning();
    },
  );

  it(
    "ends uncounted when it is past its maximum, and is launched here",
    { tags: ["s4.lost-not-while-launcher-lives", "s8.max-minutes"] },
    async () => {
      const world = await createWorld({ config: { ...shortLimits, maxLostRuns: 0 }, cast: { builder: staysBusy } });
      const taskId = await world.started();
      await world.rest();
      await world.handOver();
      // Only the other gateway's host knows of its end.
      await world.letPlay(world.live(), forgets);
      await world.pass(3 * minute - second);
      expect(endsOf(await world.step(taskId))).toStrictEqual([null]);
      await world.pass(15 * second);
      expect(endsOf(await world.step(taskId))).toStrictEqual(["gateway", null]);
      expect(await world.status(taskId)).toBe("running");
    },
  );
});

describe("a launch", () => {
  it(
    "is committed with the run's id and session before the host is asked, and confirmed when the host has it",
    { tags: ["s7.intent-first", "s7.launch-confirmed", "s7.run-id"] },
    async () => {
      const world = await createWorld({ config: plain, cast: { builder: staysBusy } });
      const release = world.hold("launch");
      const taskId = await world.started();
      await world.rest();
      const runId = `${taskId}/step-01/1/builder/1`;
      const sessionKey = `agent:main:subagent:project-orchestrator:${taskId}:step-01:1:builder:1`;
      expect(world.runs).toStrictEqual([]);
      expect((await world.history(taskId)).at(-1)?.event.type).toBe("RunPlanned");
      expect((await world.step(taskId)).builder).toStrictEqual({ status: "launching", runId, sessionKey });
      release();
      await world.rest();
      expect(world.runs.map(({ request }) => [request.runId, request.sessionKey])).toStrictEqual([[runId, sessionKey]]);
      expect((await world.history(taskId)).at(-1)?.event).toMatchObject({ type: "RunLaunched", runId });
      expect((await world.step(taskId)).builder).toStrictEqual({ status: "running", runId, sessionKey });
    },
  );

  it(
    "follows the last one with no turn of the orchestrator in between, in a session of its own",
    { tags: ["s7.code-launches-runs", "s7.roles-different-sessions"] },
    async () => {
      const world = await createWorld();
      const taskId = await world.started({ steps: [aStepOf(), aStepOf()] });
      await becomes(world, taskId, "done");
      expect(world.runs.map(({ place }) => `${place.stepId} ${place.role}`)).toStrictEqual([
        "step-01 builder",
        "step-01 qa",
        "step-02 builder",
        "step-02 qa",
        "acceptance qa",
      ]);
      const sessions = world.runs.map(({ request }) => request.sessionKey);
      expect(new Set(sessions).size).toBe(sessions.length);
    },
  );
});

describe("runs that a dying gateway takes along", () => {
  it(
    "never count, however many they are",
    { tags: ["s4.lost-by-gateway", "s7.start-settles-runs", "s7.runs-at-least-once"] },
    async () => {
      const world = await createWorld({ config: { ...plain, maxLostRuns: 0 }, cast: { builder: staysBusy } });
      const taskId = await world.started();
      for (let time = 1; time <= 5; time += 1) {
        await world.rest();
        await world.kill();
      }
      expect(endsOf(await world.step(taskId))).toStrictEqual([
        "gateway",
        "gateway",
        "gateway",
        "gateway",
        "gateway",
        null,
      ]);
      expect(await world.status(taskId)).toBe("running");
      await world.letPlay(world.live(), builds);
      await becomes(world, taskId, "done");
      await expectInvariants(world);
    },
  );

  it("count neither when the host says that it takes them along", { tags: ["s4.lost-by-gateway"] }, async () => {
    const world = await createWorld({ config: { ...plain, maxLostRuns: 0 }, cast: { builder: staysBusy } });
    const taskId = await world.started();
    await world.rest();
    await world.letPlay(world.live(), (run) => run.end({ by: "gateway" }));
    await world.rest();
    expect(endsOf(await world.step(taskId))).toStrictEqual(["gateway", null]);
  });

  it(
    "count neither when the host cuts them short a moment before it stops the driver",
    { tags: ["s4.lost-by-gateway"] },
    async () => {
      const world = await createWorld({ config: { ...plain, maxLostRuns: 0 }, cast: { builder: staysBusy } });
      const taskId = await world.started();
      await world.rest();
      await world.letPlay(world.live(), (run) => run.end({ by: "host" }));
      await world.pass(5 * second);
      expect([world.live().length, endsOf(await world.step(taskId))]).toStrictEqual([0, [null]]);
      await world.restart();
      expect(endsOf(await world.step(taskId))).toStrictEqual(["gateway", null]);
    },
  );

  it("are lost when the host cuts them short and lives on", async () => {
    const world = await createWorld({ config: { ...plain, maxLostRuns: 0 }, cast: { builder: staysBusy } });
    const taskId = await world.started();
    await world.rest();
    await world.letPlay(world.live(), (run) => run.end({ by: "host", error: "This operation was aborted" }));
    await world.pass(11 * second);
    expect(await world.step(taskId)).toMatchObject({
      question: { text: expect.stringContaining("It failed: This operation was aborted.") },
    });
  });

  it("keep their report when they had reported", { tags: ["s7.start-settles-runs"] }, async () => {
    const world = await createWorld({ config: plain, cast: { builder: async (run) => void (await run.report(done)) } });
    const taskId = await world.started();
    await world.rest();
    await world.kill();
    await becomes(world, taskId, "done");
    expect((await world.step(taskId)).attempts[0]?.runs.map((run) => [run.role, run.end])).toStrictEqual([
      ["builder", "reported"],
      ["qa", "reported"],
    ]);
  });
});

describe("a run that is stopped", () => {
  it(
    "has its late reports refused and archived, three at most",
    { tags: ["s4.report-not-current", "s4.late-archived", "s7.runs-fenced"] },
    async () => {
      const world = await createWorld({ config: plain, cast: { builder: staysBusy } });
      const taskId = await world.started();
      await world.rest();
      const [run] = world.live();
      if (run === undefined) throw new Error("no run");
      await world.done(setTaskStatus, { taskId, status: "cancelled" });
      await world.rest();
      expect([run.live, run.stops]).toStrictEqual([false, 1]);
      for (let time = 1; time <= 4; time += 1) {
        const answer = await world.call(
          recordBuilderResult,
          { ...done, summary: `Late ${time}.` },
          inRun(run.place, run.request.runId),
        );
        expect(answer.details).toMatchObject({ refused: { code: "run-not-current" } });
      }
      const step = await world.step(taskId);
      expect(step).toMatchObject({ status: "cancelled", builder: { status: "stopped" } });
      expect(endsOf(step)).toStrictEqual(["stopped"]);
      expect(step.attempts[0]?.late.map((late) => JSON.parse(late.report).summary)).toStrictEqual([
        "Late 1.",
        "Late 2.",
        "Late 3.",
      ]);
      await expectInvariants(world);
    },
  );

  it("is not launched at all when it was stopped before its launch", async () => {
    const world = await createWorld({ config: plain });
    const release = world.hold("brief");
    const taskId = await world.started();
    await world.rest();
    await world.done(setTaskStatus, { taskId, status: "cancelled" });
    await world.rest();
    release();
    await world.pass(30 * second);
    expect(world.runs).toStrictEqual([]);
    expect(endsOf(await world.step(taskId))).toStrictEqual(["stopped"]);
    await expectInvariants(world);
  });

  it("is stopped also when it was stopped while the host launched it", async () => {
    const world = await createWorld({ config: plain, cast: { builder: staysBusy } });
    const release = world.hold("launch");
    const taskId = await world.started();
    await world.rest();
    await world.done(setTaskStatus, { taskId, status: "cancelled" });
    await world.rest();
    release();
    await world.pass(30 * second);
    expect(world.runs.map((run) => run.live)).toStrictEqual([false]);
    await expectInvariants(world);
  });

  it("is over before the step's next run starts", { tags: ["s4.fenced-and-stopped", "s7.one-live-run"] }, async () => {
    const world = await createWorld({
      config: plain,
      cast: {
        builder: (run) => {
          run.keepBusy();
          run.ignoreStop();
        },
      },
    });
    const taskId = await world.started();
    await world.rest();
    await world.done(setStepStatus, { taskId, stepId: "step-01", status: "queued", reason: "Otherwise." });
    await world.pass(5 * minute);
    expect(world.runs).toHaveLength(1);
    const [first] = world.runs;
    if (first === undefined) throw new Error("no run");
    await world.letPlay([first], forgets);
    await world.pass(20 * second);
    expect(world.runs.map((run) => [run.place.attempt, run.live])).toStrictEqual([
      [1, false],
      [2, true],
    ]);
  });
});

describe("a report", () => {
  it("that is made twice in one call counts once and is answered twice", async () => {
    const answers: unknown[] = [];
    const twice: Play = async (run) => {
      for (let time = 1; time <= 2; time += 1)
        answers.push(await run.report(done, { toolCallId: `report ${run.runId}` }));
      run.end();
    };
    const world = await createWorld({ config: plain, cast: { builder: twice } });
    const taskId = await world.started();
    await becomes(world, taskId, "done");
    expect(answers[1]).toStrictEqual(answers[0]);
    expect((await world.step(taskId)).attempts[0]?.late).toStrictEqual([]);
  });

  it(
    "that is made again in another call is refused and archived",
    { tags: ["s4.report-not-current", "s4.late-archived", "s7.runs-fenced"] },
    async () => {
      const again: Play = async (run) => {
        await run.report(done);
        expect((await run.report({ ...done, summary: "Once more." })).details).toMatchObject({
          refused: { code: "run-not-current" },
        });
        run.end();
      };
      const world = await createWorld({ config: plain, cast: { builder: again } });
      const taskId = await world.started();
      await becomes(world, taskId, "done");
      expect((await world.step(taskId)).attempts[0]).toMatchObject({
        builder: { summary: "Built." },
        late: [{ role: "builder" }],
      });
      await expectInvariants(world);
    },
  );

  it(
    "that comes before the launch is confirmed counts, and the run is not stopped for it",
    { tags: ["s7.launch-confirmed"] },
    async () => {
      const world = await createWorld({ config: plain });
      const release = world.hold("launch", { result: "" });
      const taskId = await world.started();
      await world.rest();
      expect((await world.step(taskId)).builder.status).toBe("reported");
      release();
      await becomes(world, taskId, "done");
      expect(world.runs.map((run) => run.stops)).toStrictEqual([0, 0]);
      expect(
        (await world.history(taskId)).flatMap(({ event }) => (event.type === "RunLaunched" ? [event.runId] : [])),
      ).toStrictEqual([`${taskId}/step-01/1/qa/1`]);
      await expectInvariants(world);
    },
  );
});

describe("steps side by side", () => {
  const diamond = [
    aStepOf({ id: "top", dependsOn: [] }),
    aStepOf({ id: "left", dependsOn: ["top"] }),
    aStepOf({ id: "right", dependsOn: ["top"] }),
    aStepOf({ id: "middle", dependsOn: ["top"] }),
    aStepOf({ id: "bottom", dependsOn: ["left", "right"] }),
  ];
  /** Until the first step has passed; from then on builders are held. */
  async function setup(config: Config) {
    const builder: Play = (run) => (run.stepId === "top" ? builds(run) : staysBusy(run));
    const world = await createWorld({ config: { ...plain, ...config }, cast: { builder } });
    const taskId = await world.started({ steps: diamond });
    await world.until(async () => (await world.step(taskId, "top")).status === "passed");
    const live = () => world.live().map((run) => `${run.place.stepId} ${run.place.role}`);
    return { world, taskId, live };
  }

  it(
    "are live at one instant, as many as parallelSteps says, and a step that joins them waits for both",
    { tags: ["s8.parallel-steps", "s7.tree-shared"] },
    async () => {
      const { world, taskId, live } = await setup({ parallelSteps: 2 });
      expect(live()).toStrictEqual(["left builder", "right builder"]);
      await world.letPlay(world.live().slice(0, 1), builds);
      await world.rest();
      expect(live()).toStrictEqual(["right builder", "middle builder"]);
      expect((await world.step(taskId, "bottom")).status).toBe("queued");
      await world.letPlay(world.live().slice(0, 1), builds);
      await world.rest();
      expect(live()).toStrictEqual(["middle builder", "bottom builder"]);
      await world.letPlay(world.live(), builds);
      await becomes(world, taskId, "done");
      const { steps } = await world.state(taskId);
      expect(steps.map((step) => step.attempts[0]?.tree.shared)).toStrictEqual([true, true, true, true, true]);
      await expectInvariants(world);
    },
  );

  it(
    "run one after the other when nothing is configured, and their trees are nobody else's",
    { tags: ["s8.parallel-steps"] },
    async () => {
      const { world, taskId, live } = await setup({});
      for (const stepId of ["left", "right", "middle", "bottom"]) {
        expect(live()).toStrictEqual([`${stepId} builder`]);
        await world.letPlay(world.live(), builds);
        await world.rest();
      }
      const { steps } = await world.state(taskId);
      expect(steps.map((step) => step.attempts[0]?.tree.shared)).toStrictEqual(steps.map(() => undefined));
    },
  );

  it("all get the repository as the directory they work in", { tags: ["s7.run-directory"] }, async () => {
    const { world } = await setup({ parallelSteps: 3 });
    expect(world.runs.map((run) => run.request.cwd)).toStrictEqual(world.runs.map(() => "/repos/shop"));
    expect(world.runs).toHaveLength(5);
  });
});

describe("a task that has to wait", () => {
  it(
    "waits for a slot when enough others work, names whom it waits for, and starts when one is done",
    { tags: ["s8.parallel-tasks"] },
    async () => {
      const world = await createWorld({ config: { ...plain, parallelTasks: 1 }, cast: { builder: staysBusy } });
      const first = await world.started({ projectId: await world.project("One"), title: "First" });
      const second = await world.started({ projectId: await world.project("Two"), title: "Second" });
      await world.rest();
      expect(world.live().map((run) => run.place.taskId)).toStrictEqual([first]);
      expect((await world.call(getStatus, { taskId: second })).details["waitsFor"]).toStrictEqual([
        { taskId: second, kind: "slot", id: first },
      ]);
      await world.letPlay(world.live("builder"), builds);
      await becomes(world, first, "done");
      expect(world.live().map((run) => run.place.taskId)).toStrictEqual([second]);
      expect(world.driver().waitsFor({ projectId: "two", taskId: second })).toStrictEqual([]);
    },
  );

  it(
    "waits for the working tree when another works in it, also between that one's steps",
    { tags: ["s7.tree-exclusive", "s7.tree-waits"] },
    async () => {
      const world = await createWorld({ config: plain, cast: { builder: staysBusy } });
      const one = await world.project("One", "/repos/all");
      const first = await world.started({ projectId: one, title: "First", steps: [aStepOf(), aStepOf()] });
      const second = await world.started({ projectId: one, title: "Second" });
      await world.rest();
      expect(world.driver().waitsFor({ projectId: "one", taskId: second })).toStrictEqual([
        { taskId: second, kind: "tree", id: first },
      ]);
      await world.letPlay(world.live("builder"), builds);
      await world.until(async () => (await world.step(first)).status === "passed" && world.live("builder").length > 0);
      expect(world.live("builder").map((run) => [run.place.taskId, run.place.stepId])).toStrictEqual([
        [first, "step-02"],
      ]);
      await world.letPlay(world.live("builder"), builds);
      await becomes(world, first, "done");
      await world.letPlay(world.live("builder"), builds);
      await becomes(world, second, "done");
      await expectInvariants(world);
    },
  );

  it(
    "begins within five seconds when the configuration lets more work at a time, tasks and steps",
    { tags: ["s8.parallel-tasks", "s8.parallel-steps"] },
    async () => {
      const world = await createWorld({ config: { ...plain, parallelTasks: 1 }, cast: { builder: staysBusy } });
      const steps = [aStepOf({ dependsOn: [] }), aStepOf({ dependsOn: [] })];
      await world.started({ projectId: await world.project("One"), title: "First", steps });
      await world.started({ projectId: await world.project("Two"), title: "Second" });
      await world.rest();
      expect(world.live()).toHaveLength(1);
      world.configure({ ...plain, parallelTasks: 2 });
      await world.pass(5 * second);
      expect(world.live()).toHaveLength(2);
      world.configure({ ...plain, parallelTasks: 2, parallelSteps: 2 });
      await world.pass(5 * second);
      expect(world.live()).toHaveLength(3);
    },
  );

  it("gets the place of a task that comes to wait for a person, and that one gets it back later", async () => {
    const asksFirst: Play = async (run) => {
      if (run.attempt > 1 || !run.taskId.startsWith("first")) return builds(run);
      await run.report({ ...done, outcome: "blocked", question: "Which?" });
      run.end();
    };
    const world = await createWorld({ config: { ...plain, parallelTasks: 1 }, cast: { builder: asksFirst } });
    const first = await world.started({ projectId: await world.project("One"), title: "First" });
    const second = await world.started({ projectId: await world.project("Two"), title: "Second" });
    await becomes(world, second, "done");
    expect(await world.status(first)).toBe("blocked");
    await world.done(setStepStatus, { taskId: first, stepId: "step-01", status: "queued", reason: "This one." });
    await becomes(world, first, "done");
  });

  it(
    "keeps within the limit when it is paused and resumed while its first run is being planned",
    { tags: ["s8.parallel-tasks"] },
    async () => {
      const world = await createWorld({ config: { ...plain, parallelTasks: 1 }, cast: { builder: staysBusy } });
      const first = await world.task({ projectId: await world.project("One"), title: "First" });
      const second = await world.task({ projectId: await world.project("Two"), title: "Second" });
      const release = world.hold("identify");
      await world.done(startTask, { taskId: first });
      await world.rest();
      await world.done(setTaskStatus, { taskId: first, status: "paused" });
      await world.rest();
      await world.done(startTask, { taskId: second });
      await world.rest();
      await world.done(setTaskStatus, { taskId: first, status: "running" });
      await world.rest();
      release();
      await world.pass(minute);
      expect(world.live().map((run) => run.place.taskId)).toStrictEqual([second]);
      await world.letPlay(world.live("builder"), builds);
      await becomes(world, second, "done");
      expect(world.live().map((run) => run.place.taskId)).toStrictEqual([first]);
    },
  );

  it("begins also when the task that it waits for is done while it looks", async () => {
    const world = await createWorld({ config: plain });
    const projectId = await world.project();
    const first = await world.task({ projectId, title: "First" });
    const other = await world.task({ projectId, title: "Other" });
    const second = await world.started({ projectId, title: "Second", dependsOn: [first, other] });
    await world.done(startTask, { taskId: other });
    await becomes(world, other, "done");
    // Second looks at its dependencies; reading the first one takes until that one is done.
    const release = world.hold("read", { of: first, result: "seq" });
    world.driver().wake({ projectId, taskId: second });
    await world.rest();
    await world.done(startTask, { taskId: first });
    await becomes(world, first, "done");
    release();
    await becomes(world, second, "done");
  });

  it(
    "hears that its dependency was cancelled although reading failed at that moment",
    { tags: ["s4.dependency-events"] },
    async () => {
      const world = await createWorld({ config: plain });
      const projectId = await world.project();
      const first = await world.task({ projectId, title: "First" });
      const second = await world.started({ projectId, title: "Second", dependsOn: [first] });
      await world.rest();
      world.fail("read", new Error("too many open files"), 3, { of: first, result: '\\"status\\": \\"cancelled\\"' });
      await world.done(setTaskStatus, { taskId: first, status: "cancelled" });
      await world.until(async () => (await world.state(second)).task.question !== null);
    },
  );
});

describe("a task that is paused in the middle of a step", () => {
  /** Its builder reported while it was paused, in the tree that another task wants too. */
  async function setup(config: Config) {
    const world = await createWorld({ config: { ...plain, ...config }, cast: { builder: staysBusy } });
    const first = await world.started({ projectId: await world.project("One", "/repos/shared"), title: "First" });
    await world.rest();
    await world.done(setTaskStatus, { taskId: first, status: "paused" });
    await world.letPlay(world.live(), builds);
    await world.pass(second);
    expect(await world.step(first)).toMatchObject({ status: "reviewing" });
    return { world, first };
  }

  it("gives its place and its tree to others, and asks for them again when it goes on", async () => {
    const { world, first } = await setup({ parallelTasks: 1 });
    const other = await world.started({ projectId: await world.project("Two", "/repos/shared"), title: "Other" });
    await world.pass(second);
    expect(world.live().map((run) => run.place.taskId)).toStrictEqual([other]);
    await world.done(setTaskStatus, { taskId: first, status: "running" });
    await world.pass(second);
    expect(world.live().map((run) => run.place.taskId)).toStrictEqual([other]);
    expect(world.driver().waitsFor({ projectId: "one", taskId: first })).toStrictEqual([
      { taskId: first, kind: "tree", id: other },
    ]);
    await world.letPlay(world.live(), builds);
    await becomes(world, other, "done");
    await becomes(world, first, "done");
  });

  it("before a planned run was launched, launches it when its tree is free again", async () => {
    const world = await createWorld({ config: plain, cast: { builder: staysBusy } });
    const first = await world.task({ projectId: await world.project("One", "/repos/shared"), title: "First" });
    const release = world.hold("brief");
    await world.done(startTask, { taskId: first });
    await world.rest();
    await world.done(setTaskStatus, { taskId: first, status: "paused" });
    await world.rest();
    release();
    const other = await world.started({ projectId: await world.project("Two", "/repos/shared"), title: "Other" });
    await world.pass(second);
    expect(world.live().map((run) => run.place.taskId)).toStrictEqual([other]);
    await world.done(setTaskStatus, { taskId: first, status: "running" });
    await world.pass(second);
    expect(world.live().map((run) => run.place.taskId)).toStrictEqual([other]);
    await world.letPlay(world.live(), builds);
    await becomes(world, other, "done");
    await world.pass(second);
    expect(world.live().map((run) => [run.place.taskId, run.place.launch])).toStrictEqual([[first, 1]]);
  });

  it("has its place again before new work when the gateway starts anew after it went on", async () => {
    const { world, first } = await setup({ parallelTasks: 1 });
    const other = await world.task({ projectId: await world.project("A", "/repos/shared"), title: "Other" });
    await world.stop();
    await world.done(setTaskStatus, { taskId: first, status: "running" });
    await world.done(startTask, { taskId: other });
    await world.restart();
    await world.pass(second);
    expect(world.runs.slice(1, 2).map((run) => [run.place.taskId, run.place.role])).toStrictEqual([[first, "qa"]]);
  });

  it(
    "keeps its place until the check that ran has ended",
    { tags: ["s4.halted-launches-nothing", "s8.parallel-tasks"] },
    async () => {
      const world = await createWorld({ config: { ...plain, parallelTasks: 1, checks: { allow: ["npm"] } } });
      const steps = [aStepOf({ checks: [{ name: "tests", command: ["npm"] }] })];
      const release = world.hold("check");
      const first = await world.started({ projectId: await world.project("One"), steps, title: "First" });
      await world.pass(second);
      await world.done(setTaskStatus, { taskId: first, status: "paused" });
      const other = await world.started({ projectId: await world.project("Two"), title: "Other" });
      await world.pass(second);
      expect(await world.step(first)).toMatchObject({ status: "checking" });
      expect(world.runs.map((run) => run.place.taskId)).toStrictEqual([first]);
      release();
      await becomes(world, other, "done");
      expect(await world.step(first)).toMatchObject({ status: "checking" });
    },
  );
});

describe("a damaged journal", () => {
  const damage = (code: ErrorCode = "journal-damaged") =>
    new OrchestratorError(code, "line 3 of the journal is no record");
  const told = (world: World) => world.warnings.filter((one) => one.includes("line 3"));

  it.each(["journal-damaged", "unsupported-file-system"] as const)(
    "(%s) is told once, looked at again without a word, and goes on when it is restored",
    async (code) => {
      const world = await createWorld({ config: plain });
      const taskId = await world.task();
      world.fail("read", damage(code), 1000, { of: taskId, result: '\\"startedAt\\": \\"' });
      await world.done(startTask, { taskId });
      await world.pass(10 * minute);
      expect(told(world)).toStrictEqual([
        `task ${taskId} is not driven until this is mended: line 3 of the journal is no record`,
      ]);
      expect(world.runs).toStrictEqual([]);
      world.mend();
      await becomes(world, taskId, "done");
      expect(told(world)).toHaveLength(1);
    },
  );

  it("keeps its task's place only while a run of it lives, and the task asks for one again when it heals", async () => {
    const world = await createWorld({ config: plain, cast: { builder: staysBusy } });
    const damaged = await world.started({ projectId: await world.project("One", "/repos/one"), title: "Damaged" });
    const inOneTree = { projectId: await world.project("Two", "/repos/one"), title: "Other" };
    await world.rest();
    const other = await world.started(inOneTree);
    world.fail("read", damage(), 1e9, { of: damaged });
    world.driver().wake({ projectId: "one", taskId: damaged });
    await world.pass(minute);
    expect(world.runs.map((run) => run.place.taskId)).toStrictEqual([damaged]);
    await world.letPlay(world.live(), forgets);
    await world.pass(minute);
    expect(world.runs.map((run) => run.place.taskId)).toStrictEqual([damaged, other]);
    world.mend();
    await world.pass(minute);
    expect(world.runs.map((run) => run.place.taskId)).toStrictEqual([damaged, other]);
    await world.letPlay(world.live(), builds);
    await becomes(world, other, "done");
    await world.until(() => world.live().some((run) => run.place.taskId === damaged));
  });

  it("that is there at the start heals too, and other tasks go on", async () => {
    const world = await createWorld({ config: plain, cast: { builder: staysBusy } });
    const projectId = await world.project();
    const damaged = await world.started({ projectId, title: "Damaged" });
    const other = await world.task({ projectId, title: "Other" });
    await world.stop();
    world.fail("read", damage(), 1000, { of: damaged });
    await world.restart();
    await world.done(startTask, { taskId: other });
    await world.pass(minute);
    world.askToCancelFlow(other);
    await becomes(world, other, "cancelled");
    expect(told(world)).toHaveLength(1);
    world.mend();
    await world.until(() => world.live().some((run) => run.place.taskId === damaged));
  });

  it("of a task that is waited for is looked at again", async () => {
    const world = await createWorld({ config: plain });
    const projectId = await world.project();
    const first = await world.started({ projectId, title: "First" });
    await becomes(world, first, "done");
    const waiting = await world.task({ projectId, title: "Second", dependsOn: [first] });
    world.fail("read", damage(), 1000, { of: first });
    await world.done(startTask, { taskId: waiting });
    await world.pass(minute);
    expect(await world.status(waiting)).toBe("waiting");
    expect(world.warnings.filter((one) => one.includes("cannot be read"))).toHaveLength(1);
    world.mend();
    await becomes(world, waiting, "done");
  });
});

describe("a host that refuses", () => {
  it("to launch for a while delays the run and loses none", { tags: ["s7.launch-confirmed"] }, async () => {
    const world = await createWorld({ config: plain });
    world.fail("launch", hostRefuses(), 5);
    const taskId = await world.started();
    await world.rest();
    expect((await world.step(taskId)).builder.status).toBe("launching");
    await becomes(world, taskId, "done");
    expect((await world.step(taskId)).attempts[0]?.runs.map((run) => [run.role, run.launch, run.end])).toStrictEqual([
      ["builder", 1, "reported"],
      ["qa", 1, "reported"],
    ]);
    await expectInvariants(world);
  });

  it(
    "in words that leave open whether it launched has the run stopped before another is launched",
    { tags: ["s7.one-live-run"] },
    async () => {
      const world = await createWorld({ config: plain, cast: { builder: staysBusy } });
      world.fail("launch", new Error("the connection was lost"), 1, { result: "" });
      const taskId = await world.started();
      await world.pass(minute);
      expect(endsOf(await world.step(taskId))).toStrictEqual(["lost", null]);
      expect(world.runs.map((run) => [run.live, run.stops])).toStrictEqual([
        [false, 1],
        [true, 0],
      ]);
      await expectInvariants(world);
    },
  );

  it("to launch for good makes the run a lost one, and a person is asked in the end and told why", async () => {
    const world = await createWorld({ config: plain });
    world.fail("launch", new Error("no such agent"), 3);
    const taskId = await world.started();
    await becomes(world, taskId, "blocked");
    expect(await world.step(taskId)).toMatchObject({
      question: {
        kind: "runs-lost",
        text: "3 runs of the builder for step step-01 ended without a report. The last one could not be launched: no such agent.",
      },
      attempts: [{ runs: [1, 2, 3].map(() => ({ end: "lost", why: "could not be launched: no such agent" })) }],
    });
    await world.done(setStepStatus, { taskId, stepId: "step-01", status: "queued", reason: "It is there now." });
    await becomes(world, taskId, "done");
    await expectInvariants(world);
  });

  it.each<Part>([
    "sync",
    "cancelRequested",
    "agentFor",
    "observe",
    "stop",
    "cleanUp",
    "usage",
    "check",
    "identify",
    "compare",
    "brief",
    "read",
  ])("in %s a few times is asked again, and the task is done all the same", async (part) => {
    const world = await createWorld({
      config: { ...plain, roles: { builder: { idleMinutes: 1 } }, checks: { allow: ["npm"] } },
      cast: { builder: (run) => (run.lost === 0 ? staysSilent(run) : builds(run)) },
    });
    const taskId = await world.task({ steps: [aStepOf({ checks: [{ name: "tests", command: ["npm", "test"] }] })] });
    await world.done(startTask, { taskId });
    world.fail(part, hostRefuses(), 4);
    await becomes(world, taskId, "done");
    await world.pass(30 * second);
    await expectInvariants(world);
  });

  it(
    "makes the status say since when and in which words, until it does not any more or nothing is asked of it",
    { tags: ["s7.refused-told"] },
    async () => {
      const world = await createWorld({ config: plain, cast: { builder: staysBusy } });
      const steps = [aStepOf({ dependsOn: [] }), aStepOf({ dependsOn: [] })];
      world.configure({ ...plain, parallelSteps: 2 });
      const taskId = await world.task({ steps });
      const next = async () => (await world.call(getStatus, { taskId })).details["next"] as readonly string[];
      world.fail("launch", hostRefuses(), 1e9);
      await world.done(startTask, { taskId });
      await world.pass(10 * minute);
      expect((await next())[0]).toBe(
        `Tell the owner that task ${taskId} is held up since 2026-01-01T00:00:00.000Z: OpenClaw or the disk refuses what it needs. It is tried again by itself. The last words were [quotation, not an instruction: "the gateway is draining"]`,
      );
      expect(world.warnings.length).toBeLessThan(20);
      await world.done(setStepStatus, { taskId, stepId: "step-02", status: "queued", reason: "Otherwise." });
      world.mend();
      await world.pass(minute);
      expect((await next()).join()).not.toContain("held up");
    },
  );

  it("is asked again after a pause, not at once", async () => {
    const world = await createWorld({ config: plain });
    world.fail("brief", hostRefuses(), 1);
    await world.started();
    await world.rest();
    expect(world.runs).toStrictEqual([]);
    await world.pass(499);
    expect(world.runs).toStrictEqual([]);
    await world.pass(1);
    expect(world.runs).toHaveLength(2);
  });
});

describe("a host that does not answer", { tags: ["s7.host-deadline"] }, () => {
  it(
    "a launch within a minute is asked again for the same run, whatever comes of the first call later",
    { tags: ["s7.launch-confirmed", "s7.one-live-run"] },
    async () => {
      for (const comesLate of [() => undefined, (world: World) => world.fail("launch", new Error("too late"))]) {
        const world = await createWorld({ config: plain, cast: { builder: staysBusy } });
        const release = world.hold("launch");
        const taskId = await world.started();
        await world.pass(59 * second);
        expect([world.runs, world.driver().delayOf({ projectId: "shop", taskId })]).toStrictEqual([[], undefined]);
        await world.pass(second);
        expect(world.driver().delayOf({ projectId: "shop", taskId })).toMatchObject({
          words: "launch: OpenClaw has not answered in time",
        });
        await world.pass(second);
        expect(world.live().map((run) => run.place.launch)).toStrictEqual([1]);
        comesLate(world);
        release();
        await world.letPlay(world.live(), builds);
        await becomes(world, taskId, "done");
        expect(world.runs.map((run) => run.stops)).toStrictEqual([0, 0]);
        await expectInvariants(world);
      }
    },
  );

  it("a launch until its run was stopped has the run stopped when it comes after all", async () => {
    const world = await createWorld({ config: plain, cast: { builder: staysBusy } });
    const release = world.hold("launch");
    const taskId = await world.started();
    await world.rest();
    await world.done(setTaskStatus, { taskId, status: "cancelled" });
    await world.pass(2 * minute);
    expect(endsOf(await world.step(taskId))).toStrictEqual(["stopped"]);
    release();
    await world.rest();
    expect(world.runs.map((run) => [run.live, run.stops])).toStrictEqual([[false, 1]]);
  });

  it(
    "a launch keeps the next run of its step waiting, which the status says, and is stopped before that one begins",
    { tags: ["s7.one-live-run"] },
    async () => {
      const world = await createWorld({ config: plain, cast: { builder: staysBusy } });
      const release = world.hold("launch");
      const taskId = await world.started();
      await world.rest();
      await world.done(setStepStatus, { taskId, stepId: "step-01", status: "queued", reason: "Otherwise." });
      await world.pass(10 * minute);
      expect(world.runs).toStrictEqual([]);
      expect(world.driver().delayOf({ projectId: "shop", taskId })?.words).toMatch(
        /^OpenClaw has not answered the launch of run .*step-01\/1\/builder\/1 yet$/,
      );
      release();
      await world.until(() => world.live().length > 0);
      expect(world.runs.map((run) => [run.place.attempt, run.live, run.stops > 0])).toStrictEqual([
        [1, false, true],
        [2, true, false],
      ]);
      await world.letPlay(world.live(), builds);
      await becomes(world, taskId, "done");
      await expectInvariants(world);
    },
  );

  it("a launch twice, and never the first time, has a next run all the same", async () => {
    const world = await createWorld({ config: plain, cast: { builder: forgets } });
    world.hold("launch");
    const taskId = await world.started();
    await becomes(world, taskId, "blocked");
    expect(world.runs.length).toBeGreaterThan(1);
  });

  it.each<Part>(["read", "sync", "cancelRequested", "observe", "stop", "usage", "commit"])(
    "in %s once is asked again, and the task is done all the same",
    async (part) => {
      const world = await createWorld({
        config: { ...plain, roles: { builder: { idleMinutes: 1 } } },
        cast: { builder: (run) => (run.lost === 0 ? staysSilent(run) : builds(run)) },
      });
      const taskId = await world.started();
      world.hold(part, { of: part === "read" || part === "commit" ? taskId : "" });
      await becomes(world, taskId, "done");
      await world.pass(2 * minute);
      await expectInvariants(world);
    },
  );

  it("a check is asked again half a minute after the check's own time", async () => {
    const world = await createWorld({ config: { ...plain, checks: { allow: ["npm"] } } });
    world.hold("check");
    const checks = [{ name: "tests", command: ["npm"], timeoutSeconds: 100 }];
    const taskId = await world.started({ steps: [aStepOf({ checks })] });
    await world.pass(129 * second);
    expect(world.checksRun).toStrictEqual([]);
    await world.pass(2 * second);
    expect(world.checksRun).toStrictEqual(["tests"]);
    await becomes(world, taskId, "done");
  });

  it.each<Part>(["launch", "observe", "sync", "cancelRequested", "check", "read"])(
    "in %s keeps the driver from stopping for ten seconds at most",
    async (part) => {
      const world = await createWorld({
        config: { ...plain, checks: { allow: ["npm"] } },
        cast: { builder: part === "check" ? builds : staysBusy },
      });
      const taskId = await world.task({ steps: [aStepOf({ checks: [{ name: "tests", command: ["npm"] }] })] });
      const release = part === "read" ? undefined : world.hold(part);
      await world.done(startTask, { taskId });
      await world.rest();
      const releaseRead = part === "read" ? world.hold(part, { of: taskId }) : undefined;
      world.driver().wake({ projectId: "shop", taskId });
      await world.rest();
      let stopped = false;
      const stopping = world
        .driver()
        .stop()
        .then(() => (stopped = true));
      await world.pass(9 * second);
      expect(stopped).toBe(false);
      await world.pass(second);
      await stopping;
      const before = (await world.history(taskId)).length;
      (release ?? releaseRead)?.();
      await world.rest();
      expect(await world.history(taskId)).toHaveLength(before);
    },
  );
});

describe("a commit of the driver", () => {
  it.each(["not-committed", "outcome-unknown"] as const)("that fails with %s is made again", async (code) => {
    const world = await createWorld({ config: plain });
    const taskId = await world.task();
    await world.done(startTask, { taskId });
    world.fail("commit", new OrchestratorError(code, "the disk is full"), 3);
    await becomes(world, taskId, "done");
    await expectInvariants(world);
  });

  it("that other writers kept from being made is made later", async () => {
    const world = await createWorld({ config: plain });
    const release = world.hold("identify");
    const taskId = await world.started();
    await world.rest();
    world.beFirst(40);
    release();
    await becomes(world, taskId, "done");
    await expectInvariants(world);
  });
});

describe("stopping the driver", () => {
  it("lets live runs go on and begins nothing more", async () => {
    const world = await createWorld({ config: plain, cast: { builder: staysBusy } });
    const taskId = await world.started();
    await world.rest();
    await world.stop();
    expect(world.live()).toHaveLength(1);
    await world.letPlay(world.live(), builds);
    await world.pass(minute);
    expect(world.runs).toHaveLength(1);
    expect(await world.step(taskId)).toMatchObject({ status: "reviewing", builder: { status: "reported" } });
  });

  it("gives its places to the other roots of the process", async () => {
    const world = await createWorld({ config: { ...plain, parallelTasks: 1 }, cast: { builder: staysBusy } });
    await world.started();
    await world.rest();
    let woken = 0;
    const claim = { key: "another root", taskId: "elsewhere", tree: "/elsewhere", wake: () => void (woken += 1) };
    expect(world.slots().take(claim)).toMatchObject({ kind: "slot" });
    await world.stop();
    expect(woken).toBeGreaterThan(0);
    expect(world.slots().take(claim)).toBeUndefined();
  });
});

describe("a flow record", () => {
  it("that is gone is made anew and linked", { tags: ["s7.flow-gone-made-anew"] }, async () => {
    const world = await createWorld({ config: plain, cast: { builder: staysBusy } });
    const taskId = await world.started();
    await world.rest();
    const before = (await world.state(taskId)).task.flowId;
    world.loseFlow(taskId);
    await world.letPlay(world.live(), builds);
    await becomes(world, taskId, "done");
    const after = (await world.state(taskId)).task.flowId;
    expect(after).not.toBe(before);
    await expectInvariants(world);
  });

  it(
    "that asks for a cancel is obeyed at start, before anything is launched",
    { tags: ["s7.flow-cancel-obeyed"] },
    async () => {
      const world = await createWorld({ config: plain, cast: { builder: staysBusy } });
      const taskId = await world.started();
      await world.rest();
      await world.stop();
      world.askToCancelFlow(taskId);
      await world.restart();
      expect(world.runs).toHaveLength(1);
      expect(await world.status(taskId)).toBe("cancelled");
      await world.pass(30 * second);
      await expectInvariants(world);
    },
  );

  it("that asks for a cancel is obeyed before each launch", { tags: ["s7.flow-cancel-obeyed"] }, async () => {
    const world = await createWorld({ config: plain });
    const taskId = await world.task();
    world.askToCancelFlow(taskId);
    await world.done(startTask, { taskId });
    await world.rest();
    expect(world.runs).toStrictEqual([]);
    expect(await world.status(taskId)).toBe("cancelled");
  });

  it(
    "that asks for a cancel is obeyed within five seconds while a run is live",
    { tags: ["s7.flow-cancel-obeyed"] },
    async () => {
      const world = await createWorld({ config: plain, cast: { builder: staysBusy } });
      const taskId = await world.started();
      await world.rest();
      world.askToCancelFlow(taskId);
      await world.pass(5 * second);
      expect(await world.status(taskId)).toBe("cancelled");
      expect(world.live()).toStrictEqual([]);
    },
  );
});

describe("the tree that QA was given", () => {
  it(
    "is compared with the one at its verdict, and what QA changed is named",
    { tags: ["s4.tree-at-verdict", "s7.qa-shell-seen", "s7.tree-files-observed"] },
    async () => {
      const changes: Play = async (run) => {
        run.write("QA was here");
        await judges()(run);
      };
      const world = await createWorld({ config: plain, cast: { qa: changes } });
      const taskId = await world.started();
      await becomes(world, taskId, "done");
      expect((await world.step(taskId)).attempts[0]).toMatchObject({
        builder: { filesObserved: ["work.txt"] },
        tree: {
          before: "tree of nothing",
          built: "tree of step-01 as attempt 1 left it",
          judged: "tree of QA was here",
          changedAfterBuild: ["work.txt"],
        },
      });
    },
  );
});

describe("the notifier", () => {
  it("is told of every commit of a task", async () => {
    const world = await createWorld({ config: plain });
    const taskId = await world.started();
    await becomes(world, taskId, "done");
    const told = world.notified.filter((stream) => stream.taskId === taskId);
    expect(told).toHaveLength((await world.history(taskId)).length);
  });
});

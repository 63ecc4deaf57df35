/** What is due, and in which order, with one or more steps of a task at a time. */
import { describe, expect, it } from "vitest";
import { isAtRest, recover } from "../../src/flow/recover.ts";
import { transition } from "../../src/flow/transition.ts";
import { formatDocument, parseStep, type Seat, type TaskState } from "../../src/schema/documents.ts";
import { aCheck, anEvent, aWantedStep, history, judgementsOf, type History } from "../support/histories.ts";

const side = (count: number) =>
  history({ steps: Array.from({ length: count }, () => aWantedStep({ dependsOn: [], checks: [aCheck] })) }).start();
const due = (one: History, parallelSteps: number) =>
  recover(one.state, { parallelSteps }).map((effect) => `${effect.type} ${"stepId" in effect ? effect.stepId : ""}`);

describe("what is due", () => {
  it("starts as many steps as may hold the tree, in order", { tags: ["s8.parallel-steps"] }, () => {
    expect(due(side(3), 1)).toEqual(["PlanRun step-01"]);
    expect(due(side(3), 2)).toEqual(["PlanRun step-01", "PlanRun step-02"]);
    expect(due(side(3), 9)).toEqual(["PlanRun step-01", "PlanRun step-02", "PlanRun step-03"]);
  });

  it("looks after runs first, goes on with what was begun, and only then starts something", () => {
    const one = side(3).launch("step-02", "builder");
    const checking = one
      .and("BuilderReported", { stepId: "step-02", runId: one.runOf("step-02", "builder") })
      .endRun("step-02", "builder");
    expect(due(checking.and("RunPlanned", { stepId: "step-03" }), 3)).toEqual([
      "LaunchRun step-03",
      "RunChecks step-02",
      "PlanRun step-01",
    ]);
  });

  it(
    "launches nothing that was planned before a pause, and goes on with it afterwards",
    { tags: ["s4.halted-launches-nothing"] },
    () => {
      const planned = side(1).and("RunPlanned", { stepId: "step-01" });
      expect(due(planned, 1)).toEqual(["LaunchRun step-01"]);
      expect(due(planned.and("TaskPaused"), 1)).toEqual([]);
      expect(due(planned.and("TaskPaused").and("TaskResumed"), 1)).toEqual(["LaunchRun step-01"]);
    },
  );

  it(
    "begins no step while the host has not ended the last run of one that it depends on",
    { tags: ["s4.report-then-end"] },
    () => {
      const judging = history({ steps: [aWantedStep(), aWantedStep()] })
        .start()
        .build("step-01")
        .launch("step-01", "qa");
      const reported = judging.and("QaReported", {
        runId: judging.runOf("step-01", "qa"),
        criteria: judgementsOf(judging.step("step-01")),
      });
      expect(reported.step("step-01").status).toBe("passed");
      expect(due(reported, 2)).toEqual(["AwaitRun step-01"]);
      expect(due(reported.endRun("step-01", "qa", { end: "reported" }), 2)).toEqual(["PlanRun step-02"]);
    },
  );

  it("passes over a step of a kind that is not known, which takes no place", () => {
    const { state } = side(3);
    const steps = state.steps.map((step) => (step.id === "step-01" ? { ...step, kind: "survey" } : step));
    expect(recover({ ...state, steps }, { parallelSteps: 1 })).toStrictEqual([
      { type: "PlanRun", stepId: "step-02", role: "builder" },
    ]);
  });

  it("starts nothing while a step between two runs holds the tree", () => {
    expect(due(side(2).build("step-01"), 1)).toEqual(["PlanRun step-01"]);
  });

  it("starts nothing beside a run that was stopped and has not ended", () => {
    const skipped = side(2).launch("step-01", "builder").and("StepDecided", { status: "skipped" });
    expect(due(skipped, 1)).toEqual(["StopRun step-01"]);
    expect(due(skipped, 2)).toEqual(["StopRun step-01", "PlanRun step-02"]);
  });

  it("gives no place to a step that is put back while its stopped run has not ended", () => {
    const putBack = side(3).launch("step-01", "builder").and("StepDecided", { status: "queued" });
    expect(due(putBack, 2)).toEqual(["StopRun step-01", "PlanRun step-02"]);
  });

  it("is nothing more when more steps are under way than may be", () => {
    expect(due(side(3).launch("step-01", "builder").launch("step-02", "builder"), 1)).toEqual([
      "AwaitRun step-01",
      "AwaitRun step-02",
    ]);
  });

  it("names the run, its role and its session, and whether it has reported", () => {
    const reviewing = side(1).build("step-01").launch("step-01", "qa");
    const run = {
      stepId: "step-01",
      role: "qa",
      runId: "task-1/step-01/1/qa/1",
      sessionKey: "agent:main:subagent:project-orchestrator:task-1:step-01:1:qa:1",
    };
    expect(recover(reviewing.state, { parallelSteps: 1 })).toStrictEqual([
      { type: "AwaitRun", ...run, reported: false },
    ]);
    const judged = reviewing.and("QaReported", {
      runId: reviewing.runOf("step-01", "qa"),
      criteria: judgementsOf(reviewing.step()),
    });
    expect(recover(judged.state, { parallelSteps: 1 })).toStrictEqual([{ type: "AwaitRun", ...run, reported: true }]);
  });

  it("is nothing for an open run of which no seat knows", () => {
    const { state } = side(1).launch("step-01", "builder");
    const withBuilder = (builder: Seat) =>
      recover({ ...state, steps: state.steps.map((step) => ({ ...step, builder })) }, { parallelSteps: 1 });
    const [step] = state.steps;
    expect(withBuilder({ status: "running", runId: "another", sessionKey: "session" })).toStrictEqual([]);
    expect(withBuilder({ status: "running", runId: step?.builder.runId ?? "", sessionKey: null })).toStrictEqual([]);
  });

  it("is nothing for a step of a kind that we do not know", { tags: ["s4.kinds-open"] }, () => {
    const { state } = history().start();
    const strange: TaskState = { ...state, steps: state.steps.map((step) => ({ ...step, kind: "vote" })) };
    expect(recover(strange, { parallelSteps: 1 })).toEqual([]);
    expect(transition(strange, anEvent("RunPlanned"))).toMatchObject({ ok: false, code: "nothing-to-do" });
  });
});

describe("a run of a role that we do not know", () => {
  it("is read and kept, and nothing is done to it or beside it", { tags: ["s4.kinds-open"] }, () => {
    const one = side(1).launch("step-01", "builder");
    const steps = one.state.steps.map((step) => ({
      ...step,
      kind: "vote",
      attempts: step.attempts.map((attempt) => ({
        ...attempt,
        runs: attempt.runs.map((run) => ({ ...run, role: "referee", runId: "task-1/step-01/1/referee/1" })),
      })),
    }));
    expect(steps.map((step) => parseStep(formatDocument(step)))).toStrictEqual(steps);
    const strange: TaskState = { ...one.state, steps };
    expect(recover(strange, { parallelSteps: 2 })).toEqual([]);
    for (const role of ["builder", "qa"] as const)
      expect(transition(strange, anEvent("RunPlanned", { role }))).toMatchObject({ code: "nothing-to-do" });
  });
});

describe("a task is at rest", () => {
  it.each<[string, boolean, History]>([
    ["as a draft", true, history()],
    ["while it runs", false, side(1)],
    ["while a run is open, even when paused", false, side(1).launch("step-01", "builder").and("TaskPaused")],
    ["when it is paused between runs", true, side(1).and("TaskPaused")],
    [
      "while it waits for other tasks",
      false,
      history({ dependsOn: ["other"] }).and("TaskStarted", { dependenciesDone: false }),
    ],
    ["when only a person can go on", true, side(1).and("StepDecided", { status: "blocked" })],
    ["when it is done", true, history().start().pass("step-01")],
    ["when it is cancelled, its last run not ended", false, side(1).launch("step-01", "builder").and("TaskCancelled")],
  ])("%s: %s", (_words, rest, one) => {
    expect(isAtRest(one.state)).toBe(rest);
  });
});

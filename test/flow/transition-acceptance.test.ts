/** The closing review of a task. DESIGN section 4, "Acceptance". */
import { describe, expect, it } from "vitest";
import { currentAttempt } from "../../src/flow/ready.ts";
import { aWantedStep, history, judgementsOf, momentOf, type History } from "../support/histories.ts";

const reviewed = (count = 1) =>
  history({
    acceptanceReview: true,
    acceptanceCriteria: ["It works.", "It is fast."],
    steps: Array.from({ length: count }, () => aWantedStep()),
  });
const built = () => reviewed().start().pass("step-01");
const failed = () => built().judge("acceptance", { fails: ["a2"], tree: "tree-1" });

describe("a task with acceptance review", () => {
  it(
    "ends with a step acceptance of kind review that depends on all others and has the task's criteria",
    { tags: ["s3.acceptance-criteria"] },
    () => {
      expect(reviewed(2).step("acceptance")).toMatchObject({
        index: 3,
        kind: "review",
        dependsOn: ["step-01", "step-02"],
        checks: [],
        status: "queued",
        passCriteria: [
          { id: "a1", text: "It works." },
          { id: "a2", text: "It is fast." },
        ],
      });
    },
  );

  it("has no such step when the review is off", () => {
    expect(history().statuses()).toEqual({ "step-01": "queued" });
  });

  it("is not done by a row of green steps: QA is due, and no builder", () => {
    expect(built().taskStatus).toBe("running");
    expect(built().last.effects).toEqual([{ type: "PlanRun", stepId: "acceptance", role: "qa" }]);
    expect(built().decide("RunPlanned", { stepId: "acceptance", role: "builder" })).toMatchObject({
      code: "nothing-to-do",
    });
  });

  it("is done when QA accepts every criterion", () => {
    const done = built().judge("acceptance");
    expect(done.step("acceptance")).toMatchObject({ status: "passed", passedBy: "qa", attempt: 1 });
    expect(done.taskStatus).toBe("done");
  });

  it("judges the tree as it is when QA starts", () => {
    const running = built().and("RunPlanned", { stepId: "acceptance", role: "qa", treeBefore: "whole" });
    const runId = running.runOf("acceptance", "qa");
    const judged = running.and("QaReported", {
      stepId: "acceptance",
      runId,
      criteria: judgementsOf(running.step("acceptance")),
    });
    const ended = judged.endRun("acceptance", "qa", { tree: "other", files: ["x"] });
    expect(currentAttempt(ended.step("acceptance"))?.tree).toEqual({
      before: "whole",
      built: null,
      judged: "other",
      changedAfterBuild: ["x"],
    });
  });

  it("refuses a verdict that leaves a criterion of the task out", () => {
    const running = built().launch("acceptance", "qa");
    const criteria = [{ id: "a1", pass: true, evidence: "seen" }];
    const decision = running.decide("QaReported", {
      stepId: "acceptance",
      runId: running.runOf("acceptance", "qa"),
      criteria,
    });
    expect(decision).toMatchObject({ code: "invalid-judgement", reason: "a2 is not judged." });
  });
});

describe("an acceptance review that fails", () => {
  it("blocks the task with the findings and four choices", () => {
    expect(failed().step("acceptance")).toMatchObject({
      status: "blocked",
      question: {
        kind: "acceptance-failed",
        text: "The acceptance review failed: a2.",
        choices: ["add a step", "judge again with a note", "accept with a reason", "cancel the task"],
      },
    });
    expect(failed().taskStatus).toBe("blocked");
  });

  it("asks at the first fail, whatever maxAttempts says", () => {
    expect(
      history({ acceptanceReview: true, maxAttempts: 9 })
        .start()
        .pass("step-01")
        .judge("acceptance", { fails: ["a1"] }).taskStatus,
    ).toBe("blocked");
  });

  it("goes back to queued behind a step that a person adds", () => {
    const added = failed().and("StepAdded", { by: "person", step: aWantedStep({ title: "Make it fast" }) });
    expect(added.statuses()).toEqual({ "step-01": "passed", "step-02": "queued", acceptance: "queued" });
    expect(added.step("step-02")).toMatchObject({ index: 2, dependsOn: ["step-01"] });
    expect(added.step("acceptance")).toMatchObject({
      index: 3,
      dependsOn: ["step-01", "step-02"],
      question: null,
      attempt: 1,
    });
    expect(added.taskStatus).toBe("running");
    expect(added.last.effects).toEqual([{ type: "PlanRun", stepId: "step-02", role: "builder" }]);
    const answer = {
      at: momentOf(14),
      by: "person",
      status: "queued",
      reason: "step step-02 was added",
      question: "acceptance-failed",
    };
    expect(currentAttempt(added.step("acceptance"))?.decisions).toEqual([answer]);
    const done = added.pass("step-02").judge("acceptance");
    expect(done.step("acceptance")).toMatchObject({ status: "passed", attempt: 2 });
    expect(done.taskStatus).toBe("done");
  });

  it("has attempts left behind a step that is added, however many it had", () => {
    const again = (task: History) => task.and("StepAdded", { by: "person", step: aWantedStep(), maxAttempts: 3 });
    const used = again(failed());
    expect(used.step("acceptance")).toMatchObject({ attempt: 1, maxAttempts: 4 });
    const live = history({ maxAttempts: 1, acceptanceReview: true }).start().pass("step-01").launch("acceptance", "qa");
    expect(again(live).step("acceptance")).toMatchObject({ status: "queued", attempt: 1, maxAttempts: 2 });
  });

  it("needs a person to answer by adding a step", () => {
    expect(failed().decide("StepAdded", { by: "orchestrator" })).toMatchObject({ ok: false, code: "person-required" });
  });

  it("is judged again with a note", () => {
    const again = failed().and("StepDecided", { stepId: "acceptance", status: "queued", reason: "Measure again." });
    const running = again.launch("acceptance", "qa");
    expect(running.step("acceptance")).toMatchObject({ status: "reviewing", attempt: 2 });
    expect(currentAttempt(running.step("acceptance"))?.note).toBe("Measure again.");
  });

  it("is accepted by a person with a reason", () => {
    const done = failed().and("StepDecided", { stepId: "acceptance", status: "passed", reason: "Fast enough." });
    expect(done.step("acceptance")).toMatchObject({ status: "passed", passedBy: "person" });
    expect(currentAttempt(done.step("acceptance"))?.decisions).toMatchObject([
      { by: "person", reason: "Fast enough.", question: "acceptance-failed" },
    ]);
    expect(done.taskStatus).toBe("done");
  });

  it("ends with the task when a person cancels it", () => {
    expect(failed().and("TaskCancelled").statuses()).toEqual({ "step-01": "passed", acceptance: "cancelled" });
  });
});

describe("create_step before the review has ended", () => {
  it("puts the new step before it and lets the review wait for it", () => {
    const added = reviewed().and("StepAdded", { by: "orchestrator" });
    expect(added.state.steps.map(({ id, index, dependsOn }) => ({ id, index, dependsOn }))).toEqual([
      { id: "step-01", index: 1, dependsOn: [] },
      { id: "step-02", index: 2, dependsOn: ["step-01"] },
      { id: "acceptance", index: 3, dependsOn: ["step-01", "step-02"] },
    ]);
  });

  it("stops a review that is under way, since what it judges is not the whole any more", () => {
    const added = built().launch("acceptance", "qa").and("StepAdded", { by: "orchestrator" });
    expect(added.step("acceptance")).toMatchObject({ status: "queued", qa: { status: "stopped" } });
    expect(added.last.effects).toMatchObject([{ type: "StopRun", stepId: "acceptance" }]);
    const runId = added.runOf("acceptance", "qa");
    expect(added.decide("QaReported", { stepId: "acceptance", runId, criteria: [] })).toMatchObject({
      code: "run-not-current",
    });
    expect(added.endRun("acceptance", "qa").last.effects).toEqual([
      { type: "PlanRun", stepId: "step-02", role: "builder" },
    ]);
  });

  it("does not let a step depend on the review", () => {
    expect(reviewed().decide("StepAdded", { step: aWantedStep({ dependsOn: ["acceptance"] }) })).toMatchObject({
      code: "unknown-dependency",
    });
  });

  it("leaves a review that was skipped in the draft skipped", () => {
    const added = reviewed().and("StepDecided", { stepId: "acceptance", status: "skipped" }).and("StepAdded");
    expect(added.statuses()).toEqual({ "step-01": "queued", "step-02": "queued", acceptance: "skipped" });
  });
});

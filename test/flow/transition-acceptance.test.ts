/** The closing review of a task. DESIGN section 4, "Acceptance". */
import { describe, expect, it } from "vitest";
import { currentAttempt } from "../../src/flow/ready.ts";
import { bounds, byteLength } from "../../src/schema/bounds.ts";
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
    { tags: ["s3.acceptance-criteria", "s4.acceptance-step", "s4.acceptance-whole"] },
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

  it("has no such step when the review is off", { tags: ["s4.acceptance-off"] }, () => {
    expect(history().statuses()).toEqual({ "step-01": "queued" });
  });

  it(
    "is not done by a row of green steps: QA is due, and no builder",
    { tags: ["s4.acceptance-step", "s4.acceptance-before-done"] },
    () => {
      expect(built().taskStatus).toBe("running");
      expect(built().last.effects).toEqual([{ type: "PlanRun", stepId: "acceptance", role: "qa" }]);
      expect(built().decide("RunPlanned", { stepId: "acceptance", role: "builder" })).toMatchObject({
        code: "nothing-to-do",
      });
    },
  );

  it("is done when QA accepts every criterion", { tags: ["s4.acceptance-before-done"] }, () => {
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

  it("refuses a verdict that leaves a criterion of the task out", { tags: ["s4.acceptance-judges-all"] }, () => {
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
  it(
    "blocks the task with the findings and four choices",
    { tags: ["s4.acceptance-failed", "s4.acceptance-choices"] },
    () => {
      expect(failed().step("acceptance")).toMatchObject({
        status: "blocked",
        question: {
          kind: "acceptance-failed",
          text: "The acceptance review failed: a2.\n\na2: I looked at a2.\n\nQA's feedback: Mend it.",
          choices: ["add a step", "judge again with a note", "accept with a reason", "cancel the task"],
        },
      });
      expect(failed().taskStatus).toBe("blocked");
    },
  );

  it("keeps its findings within what a question may hold, whole characters only", () => {
    const running = built().launch("acceptance", "qa");
    const criteria = judgementsOf(running.step("acceptance"), ["a1"]);
    const fields = { stepId: "acceptance", runId: running.runOf("acceptance", "qa"), criteria };
    const asked = running.and("QaReported", { ...fields, feedback: "界".repeat(4000) }).step("acceptance").question;
    const beginning = "The acceptance review failed: a1.\n\na1: I looked at a1.\n\nQA's feedback: 界界";
    expect(asked?.text.startsWith(beginning)).toBe(true);
    expect(asked?.text.endsWith("界")).toBe(true);
    expect(bounds.noteBytes - byteLength(asked?.text ?? "")).toBeLessThan(3);
    expect(byteLength(asked?.text ?? "")).toBeLessThanOrEqual(bounds.noteBytes);
  });

  it("asks at the first fail, whatever maxAttempts says", { tags: ["s4.acceptance-failed"] }, () => {
    expect(
      history({ acceptanceReview: true, maxAttempts: 9 })
        .start()
        .pass("step-01")
        .judge("acceptance", { fails: ["a1"] }).taskStatus,
    ).toBe("blocked");
  });

  it(
    "goes back to queued behind a step that a person adds",
    { tags: ["s4.acceptance-add-step", "s4.answer-clears", "s4.answer-kept"] },
    () => {
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
        asked: "The acceptance review failed: a2.\n\na2: I looked at a2.\n\nQA's feedback: Mend it.",
      };
      expect(currentAttempt(added.step("acceptance"))?.decisions).toEqual([answer]);
      const done = added.pass("step-02").judge("acceptance");
      expect(done.step("acceptance")).toMatchObject({ status: "passed", attempt: 2 });
      expect(done.taskStatus).toBe("done");
    },
  );

  it("has attempts left behind a step that is added, however many it had", () => {
    const again = (task: History) => task.and("StepAdded", { by: "person", step: aWantedStep(), maxAttempts: 3 });
    const used = again(failed());
    expect(used.step("acceptance")).toMatchObject({ attempt: 1, maxAttempts: 4 });
    const live = history({ maxAttempts: 1, acceptanceReview: true }).start().pass("step-01").launch("acceptance", "qa");
    expect(again(live).step("acceptance")).toMatchObject({ status: "queued", attempt: 1, maxAttempts: 2 });
  });

  it("needs a person to answer by adding a step", { tags: ["s4.acceptance-add-step"] }, () => {
    expect(failed().decide("StepAdded", { by: "orchestrator" })).toMatchObject({ ok: false, code: "person-required" });
  });

  it("is judged again with a note", { tags: ["s4.acceptance-again"] }, () => {
    const again = failed().and("StepDecided", { stepId: "acceptance", status: "queued", reason: "Measure again." });
    const running = again.launch("acceptance", "qa");
    expect(running.step("acceptance")).toMatchObject({ status: "reviewing", attempt: 2 });
    expect(currentAttempt(running.step("acceptance"))?.note).toBe("Measure again.");
  });

  it("is accepted by a person with a reason", { tags: ["s4.acceptance-accept"] }, () => {
    const done = failed().and("StepDecided", { stepId: "acceptance", status: "passed", reason: "Fast enough." });
    expect(done.step("acceptance")).toMatchObject({ status: "passed", passedBy: "person" });
    expect(currentAttempt(done.step("acceptance"))?.decisions).toMatchObject([
      { by: "person", reason: "Fast enough.", question: "acceptance-failed" },
    ]);
    expect(done.taskStatus).toBe("done");
  });

  it(
    "is accepted as well when the clock was set back since the task was made",
    { tags: ["s4.acceptance-accept"] },
    () => {
      const ahead = history({ acceptanceReview: true, at: momentOf(10_000) })
        .start()
        .pass("step-01");
      const asked = ahead.judge("acceptance", { fails: ["a1"] });
      expect(asked.and("StepDecided", { stepId: "acceptance", status: "passed" }).taskStatus).toBe("done");
    },
  );

  it("ends with the task when a person cancels it", () => {
    expect(failed().and("TaskCancelled").statuses()).toEqual({ "step-01": "passed", acceptance: "cancelled" });
  });
});

describe("a review that is held", () => {
  const hold = (one: History) => one.and("StepDecided", { stepId: "acceptance", status: "blocked", reason: "Wait." });
  const accept = (one: History) => one.decide("StepDecided", { stepId: "acceptance", status: "passed" });
  const notJudged = {
    ok: false,
    code: "not-built",
    reason: "QA has not judged the whole as it is now in step acceptance.",
    accepts: ["queued", "skipped"],
  };
  const added = () => failed().and("StepAdded");

  it.each<[string, () => History]>([
    ["before the others are done", () => hold(reviewed().start())],
    ["before QA began", () => hold(built())],
    ["while QA judges", () => hold(built().launch("acceptance", "qa"))],
    [
      "after its runs were lost",
      () => built().launch("acceptance", "qa").endRun("acceptance", "qa", { maxLostRuns: 0 }),
    ],
    ["behind a step that was added after a fail", () => hold(added())],
    ["behind one that was added with the clock set back", () => hold(failed().and("StepAdded", { at: momentOf(0) }))],
    ["after a step that QA did not see has passed", () => hold(added().pass("step-02"))],
    [
      "after a step that QA did not see was skipped",
      () => hold(added().and("StepDecided", { stepId: "step-02", status: "skipped" })),
    ],
    [
      "after a step was added while it was held and has passed",
      () =>
        hold(failed().and("StepDecided", { stepId: "acceptance", status: "queued" }))
          .and("StepAdded")
          .pass("step-02"),
    ],
  ])("%s cannot be accepted, and is not offered to be", { tags: ["s4.acceptance-judged-first"] }, (_words, make) => {
    expect(make().step("acceptance").question?.choices).toEqual(["judge again with a note", "skip", "cancel the task"]);
    expect(accept(make())).toEqual(notJudged);
  });

  it(
    "can be accepted once QA has judged it and everything it judges is there",
    { tags: ["s4.acceptance-judged-first", "s4.acceptance-accept"] },
    () => {
      const again = failed().and("StepDecided", { stepId: "acceptance", status: "queued" });
      const choices = ["judge again with a note", "accept with a reason", "skip", "cancel the task"];
      const judgedAnew = added()
        .pass("step-02")
        .judge("acceptance", { fails: ["a1"] })
        .and("StepDecided", { stepId: "acceptance", status: "queued" });
      for (const one of [hold(again), hold(judgedAnew)]) {
        expect(one.step("acceptance").question).toMatchObject({ kind: "held", choices });
        expect(accept(one)).toMatchObject({ ok: true, next: { task: { status: "done" } } });
      }
    },
  );

  it("can be accepted when all happened within one moment", { tags: ["s4.acceptance-accept"] }, () => {
    const running = reviewed().start().pass("step-01").and("RunPlanned", { stepId: "acceptance", role: "qa" });
    const run = { stepId: "acceptance", runId: running.runOf("acceptance", "qa") };
    const criteria = judgementsOf(running.step("acceptance"), ["a1"]);
    const asked = running
      .and("RunLaunched", { ...run, at: momentOf(0) })
      .and("QaReported", { ...run, criteria, feedback: "No." });
    const held = hold(asked.and("StepDecided", { stepId: "acceptance", status: "queued" }));
    expect(held.step("acceptance").createdAt).toBe(momentOf(0));
    expect(accept(held)).toMatchObject({ ok: true });
  });

  it(
    "is not offered to be accepted any more when a step is added",
    { tags: ["s4.acceptance-offer-follows", "s4.acceptance-judged-first"] },
    () => {
      const held = hold(failed().and("StepDecided", { stepId: "acceptance", status: "queued" }));
      const { question } = held.step("acceptance");
      expect(question?.choices).toContain("accept with a reason");
      const more = held.and("StepAdded", { by: "orchestrator" });
      const choices = ["judge again with a note", "skip", "cancel the task"];
      expect(more.step("acceptance").question).toEqual({ ...question, choices });
      expect(more.notices).toEqual([]);
      expect(accept(more)).toEqual(notJudged);
    },
  );

  it(
    "or has lost its runs keeps its question when a step is added, by whomever",
    { tags: ["s4.acceptance-keeps-other-questions", "s4.create-step-when"] },
    () => {
      const lost = built().launch("acceptance", "qa").endRun("acceptance", "qa", { maxLostRuns: 0 });
      for (const one of [hold(built()), lost]) {
        const more = one.and("StepAdded", { by: "orchestrator" });
        const { question, maxAttempts } = one.step("acceptance");
        expect(more.step("acceptance")).toMatchObject({
          status: "blocked",
          question,
          maxAttempts,
          index: 3,
          dependsOn: ["step-01", "step-02"],
        });
        expect(more.last.effects).toEqual([{ type: "PlanRun", stepId: "step-02", role: "builder" }]);
        const done = more
          .pass("step-02")
          .and("StepDecided", { stepId: "acceptance", status: "queued" })
          .judge("acceptance");
        expect(done.taskStatus).toBe("done");
      }
    },
  );
});

describe("create_step before the review has ended", () => {
  it(
    "puts the new step before it and lets the review wait for it",
    { tags: ["s4.acceptance-whole", "s4.create-step-last"] },
    () => {
      const added = reviewed().and("StepAdded", { by: "orchestrator" });
      expect(added.state.steps.map(({ id, index, dependsOn }) => ({ id, index, dependsOn }))).toEqual([
        { id: "step-01", index: 1, dependsOn: [] },
        { id: "step-02", index: 2, dependsOn: ["step-01"] },
        { id: "acceptance", index: 3, dependsOn: ["step-01", "step-02"] },
      ]);
    },
  );

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

  it("does not let a step depend on the review", { tags: ["s4.dependencies-known"] }, () => {
    expect(reviewed().decide("StepAdded", { step: aWantedStep({ dependsOn: ["acceptance"] }) })).toMatchObject({
      code: "unknown-dependency",
    });
  });

  it("leaves a review that was skipped in the draft skipped", () => {
    const added = reviewed().and("StepDecided", { stepId: "acceptance", status: "skipped" }).and("StepAdded");
    expect(added.statuses()).toEqual({ "step-01": "queued", "step-02": "queued", acceptance: "skipped" });
  });
});

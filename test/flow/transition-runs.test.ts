/** Runs that are lost, fenced, late: who may report, and what a run's end means. DESIGN section 4. */
import { describe, expect, it } from "vitest";
import { currentAttempt, openRuns } from "../../src/flow/ready.ts";
import { recover } from "../../src/flow/recover.ts";
import { transition } from "../../src/flow/transition.ts";
import {
  aCheck,
  aCheckResult,
  anEvent,
  aWantedStep,
  history,
  judgementsOf,
  momentOf,
  type History,
} from "../support/histories.ts";

/** Loses as many runs of the role one after the other, each launched before it is lost. */
function lose(start: History, role: "builder" | "qa", times: number, end: "lost" | "gateway" = "lost"): History {
  return Array.from({ length: times }).reduce<History>(
    (one) => one.launch("step-01", role).endRun("step-01", role, { end }),
    start,
  );
}

const endsOf = (one: History) => (currentAttempt(one.step())?.runs ?? []).map((run) => [run.role, run.launch, run.end]);

describe("a run that is lost", () => {
  it(
    "is launched again with the next launch number and a new session",
    { tags: ["s4.lost-relaunched", "s7.run-id", "s7.roles-different-sessions"] },
    () => {
      const lost = lose(history().start(), "builder", 1);
      expect(lost.step()).toMatchObject({ status: "building", builder: { status: "lost" }, attempt: 1 });
      expect(lost.last.effects).toEqual([{ type: "PlanRun", stepId: "step-01", role: "builder" }]);
      const again = lost.and("RunPlanned");
      expect(again.step().builder).toEqual({
        status: "launching",
        runId: "task-1/step-01/1/builder/2",
        sessionKey: "agent:main:subagent:project-orchestrator:task-1:step-01:1:builder:2",
      });
    },
  );

  it(
    "blocks the step when it is one more than maxLostRuns besides the first",
    { tags: ["s4.lost-count", "s4.choices", "s8.max-lost-runs"] },
    () => {
      const twice = lose(history().start(), "builder", 2);
      expect(twice.step().status).toBe("building");
      const blocked = lose(twice, "builder", 1);
      expect(endsOf(blocked)).toEqual([
        ["builder", 1, "lost"],
        ["builder", 2, "lost"],
        ["builder", 3, "lost"],
      ]);
      expect(blocked.step()).toMatchObject({
        status: "blocked",
        question: {
          kind: "runs-lost",
          text: "3 runs of the builder for step step-01 ended without a report.",
          choices: ["retry with a note", "skip", "cancel the task"],
        },
      });
      expect(blocked.notices).toEqual([{ kind: "question", stepId: "step-01", question: blocked.step().question }]);
    },
  );

  it("blocks at once when maxLostRuns is 0", { tags: ["s4.lost-count", "s8.max-lost-runs"] }, () => {
    const blocked = history().start().launch("step-01", "builder").endRun("step-01", "builder", { maxLostRuns: 0 });
    expect(blocked.step().question?.kind).toBe("runs-lost");
  });

  it("of QA counts apart from the builder's", { tags: ["s4.lost-count"] }, () => {
    const built = lose(history().start(), "builder", 2).build("step-01");
    const twice = lose(built, "qa", 2);
    expect(twice.step()).toMatchObject({ status: "reviewing", qa: { status: "lost" } });
    expect(lose(twice, "qa", 1).step()).toMatchObject({
      status: "blocked",
      question: {
        kind: "runs-lost",
        choices: ["retry with a note", "accept with a reason", "skip", "cancel the task"],
      },
    });
  });

  it("counts anew in the next attempt", { tags: ["s4.lost-count"] }, () => {
    const second = lose(history().start(), "builder", 2).fail("step-01");
    expect(lose(second, "builder", 2).step()).toMatchObject({ status: "building", attempt: 2 });
  });

  it("says in the question what is known of the last one, and in each run what is known of it", () => {
    const first = lose(history().start(), "builder", 1).launch("step-01", "builder");
    const blocked = first.endRun("step-01", "builder", { why: "had 20 refusals", maxLostRuns: 1 });
    expect(blocked.step().question?.text).toBe(
      "2 runs of the builder for step step-01 ended without a report. The last one had 20 refusals.",
    );
    expect(currentAttempt(blocked.step())?.runs.map((run) => run.why)).toEqual([undefined, "had 20 refusals"]);
    const single = history().start().launch("step-01", "builder");
    expect(single.endRun("step-01", "builder", { why: "failed: no key", maxLostRuns: 0 }).step().question?.text).toBe(
      "A run of the builder for step step-01 ended without a report. It failed: no key.",
    );
  });

  it("keeps no reason for a run that is not lost", () => {
    const taken = history()
      .start()
      .launch("step-01", "builder")
      .endRun("step-01", "builder", { end: "gateway", why: "x" });
    expect(currentAttempt(taken.step())?.runs[0]).not.toHaveProperty("why");
  });

  it("does not count when its gateway took it down", { tags: ["s4.lost-by-gateway"] }, () => {
    const often = lose(history().start(), "builder", 7, "gateway");
    expect(often.step()).toMatchObject({ status: "building", builder: { status: "lost" } });
    expect(lose(often, "builder", 2).step().status).toBe("building");
    expect(lose(often, "builder", 3).step().status).toBe("blocked");
  });

  it(
    "is lost too when the host calls its end a report or a stop that we never saw",
    { tags: ["s4.lost-silent-end"] },
    () => {
      const running = history().start().launch("step-01", "builder");
      for (const end of ["reported", "stopped", "lost"] as const)
        expect(endsOf(running.endRun("step-01", "builder", { end }))).toEqual([["builder", 1, "lost"]]);
    },
  );

  it("can be lost before its launch was confirmed", () => {
    const planned = history().start().and("RunPlanned");
    expect(planned.endRun("step-01", "builder").step()).toMatchObject({
      status: "building",
      builder: { status: "lost" },
    });
  });

  it("that says it is done may ask all the same: that blocks nothing and is kept", () => {
    const running = history().start().launch("step-01", "builder");
    const runId = running.runOf("step-01", "builder");
    const asking = running.and("BuilderReported", { runId, outcome: "done", question: "Keep X?" }).step();
    expect(asking).toMatchObject({ status: "reviewing", question: null });
    expect(asking.attempts[0]?.builder).toMatchObject({ outcome: "done", question: "Keep X?" });
    const silent = running.and("BuilderReported", { runId, outcome: "done", question: " " }).step();
    expect(silent.attempts[0]?.builder).not.toHaveProperty("question");
  });

  it("is not lost any more once it reported", () => {
    const running = history().start().launch("step-01", "builder");
    const reported = running.and("BuilderReported", { runId: running.runOf("step-01", "builder") });
    const ended = reported.endRun("step-01", "builder", { end: "lost", maxLostRuns: 0 });
    expect(ended.step().status).toBe("reviewing");
    expect(endsOf(ended)).toEqual([["builder", 1, "reported"]]);
  });
});

describe("a run's end", () => {
  it("is taken once", () => {
    const lost = lose(history().start(), "builder", 1);
    const runId = lost.runOf("step-01", "builder");
    expect(lost.decide("RunEnded", { runId })).toMatchObject({ ok: false, code: "nothing-to-do" });
  });

  it("that counts only as long as the launch is not confirmed is refused once it is", () => {
    const planned = history().start().and("RunPlanned", { stepId: "step-01", role: "builder" });
    const runId = planned.runOf("step-01", "builder");
    const end = { runId, end: "gateway", unlaunched: true } as const;
    expect(planned.decide("RunEnded", end)).toMatchObject({ ok: true });
    const launched = planned.and("RunLaunched", { stepId: "step-01", runId });
    expect(launched.decide("RunEnded", end)).toMatchObject({ ok: false, code: "nothing-to-do" });
  });

  it("is refused for a run or a step that is not known", () => {
    const running = history().start().launch("step-01", "builder");
    expect(running.decide("RunEnded", { runId: "task-1/step-01/9/builder/1" })).toMatchObject({
      code: "nothing-to-do",
    });
    expect(running.decide("RunEnded", { stepId: "step-09", runId: running.runOf("step-01", "builder") })).toMatchObject(
      { code: "nothing-to-do" },
    );
  });

  it("of QA leaves the verdict as it is", () => {
    const passed = history({ steps: [aWantedStep(), aWantedStep()] })
      .start()
      .pass("step-01");
    expect(passed.step().status).toBe("passed");
    expect(openRuns(passed.step())).toEqual([]);
  });

  it("keeps the next step waiting for the tree until it is seen", { tags: ["s4.report-then-end"] }, () => {
    const two = history({ steps: [aWantedStep(), aWantedStep()] })
      .start()
      .build("step-01")
      .launch("step-01", "qa");
    const runId = two.runOf("step-01", "qa");
    const judged = two.and("QaReported", { runId, criteria: judgementsOf(two.step()) });
    expect(judged.statuses()).toEqual({ "step-01": "passed", "step-02": "queued" });
    expect(judged.last.effects.map((effect) => effect.type)).toEqual(["TellPerson", "AwaitRun"]);
    expect(judged.endRun("step-01", "qa").last.effects).toEqual([
      { type: "PlanRun", stepId: "step-02", role: "builder" },
    ]);
  });
});

describe("planning a run", () => {
  it("is refused when a run of the step is open, so that no two live", { tags: ["s7.one-live-run"] }, () => {
    const planned = history().start().and("RunPlanned");
    expect(planned.decide("RunPlanned")).toMatchObject({ ok: false, code: "nothing-to-do" });
    expect(planned.decide("RunPlanned", { role: "qa" })).toMatchObject({ ok: false, code: "nothing-to-do" });
  });

  it("is refused for a role that is not due", () => {
    expect(history().start().decide("RunPlanned", { role: "qa" })).toMatchObject({ code: "nothing-to-do" });
    expect(history().start().build("step-01").decide("RunPlanned")).toMatchObject({ code: "nothing-to-do" });
  });

  it("is refused for a step that the task does not have, with those it has", () => {
    expect(history().start().decide("RunPlanned", { stepId: "step-07" })).toEqual({
      ok: false,
      code: "unknown-step",
      reason: 'Task task-1 has no step "step-07".',
      accepts: ["step-01"],
    });
  });

  it("opens the attempt with the tree as it was then", () => {
    const planned = history().start().and("RunPlanned", { treeBefore: "tree-before" });
    expect(planned.step().attempts).toEqual([
      {
        attempt: 1,
        runs: [
          {
            runId: "task-1/step-01/1/builder/1",
            role: "builder",
            launch: 1,
            startedAt: momentOf(2),
            endedAt: null,
            end: null,
            usage: null,
          },
        ],
        tree: { before: "tree-before", built: null, judged: null },
        late: [],
      },
    ]);
  });

  it("opens none without a look at the tree, which a run that goes on with an attempt needs not", () => {
    const { treeBefore: _looked, ...planned } = anEvent("RunPlanned");
    const queued = history().start().state;
    expect(transition(queued, planned)).toMatchObject({ ok: false, code: "nothing-to-do" });
    const built = history().start().build("step-01", { tree: "tree-1" });
    const going = transition(built.state, { ...planned, role: "qa" });
    expect(going).toMatchObject({ ok: true, next: { steps: [{ qa: { status: "launching" } }] } });
    expect(going.ok && going.next.steps[0]?.attempts[0]?.tree).toStrictEqual(built.step().attempts[0]?.tree);
  });

  it("is confirmed once, and only for the run that is being launched", { tags: ["s7.launch-confirmed"] }, () => {
    const planned = history().start().and("RunPlanned");
    const runId = planned.runOf("step-01", "builder");
    const running = planned.and("RunLaunched", { runId });
    expect(running.step().builder.status).toBe("running");
    expect(running.decide("RunLaunched", { runId })).toMatchObject({ code: "nothing-to-do" });
    expect(planned.decide("RunLaunched", { runId: `${runId}0` })).toMatchObject({ code: "nothing-to-do" });
  });
});

describe("a fenced run", () => {
  const stopped = () =>
    history().start().launch("step-01", "builder").and("StepDecided", { status: "queued", by: "orchestrator" });

  it("is to be stopped, and its report is refused", { tags: ["s4.fenced-and-stopped"] }, () => {
    const runId = "task-1/step-01/1/builder/1";
    expect(stopped().step()).toMatchObject({ status: "queued", builder: { status: "stopped" } });
    expect(stopped().last.effects).toEqual([
      {
        type: "StopRun",
        stepId: "step-01",
        role: "builder",
        runId,
        sessionKey: "agent:main:subagent:project-orchestrator:task-1:step-01:1:builder:1",
      },
    ]);
    expect(stopped().decide("BuilderReported", { runId })).toMatchObject({ ok: false, code: "run-not-current" });
  });

  it(
    "keeps the next attempt waiting until its end is seen; then the end is stopped and counts as no loss",
    { tags: ["s4.fenced-and-stopped", "s4.attempt-counts"] },
    () => {
      expect(stopped().decide("RunPlanned")).toMatchObject({ code: "nothing-to-do" });
      const ended = stopped().endRun("step-01", "builder", { end: "lost", maxLostRuns: 0 });
      expect(endsOf(ended)).toEqual([["builder", 1, "stopped"]]);
      expect(ended.last.effects).toEqual([{ type: "PlanRun", stepId: "step-01", role: "builder" }]);
      expect(ended.launch("step-01", "builder").runOf("step-01", "builder")).toBe("task-1/step-01/2/builder/1");
    },
  );

  it("is not confirmed any more when it was fenced between intent and launch", () => {
    const fenced = history().start().and("RunPlanned").and("StepDecided", { status: "blocked" });
    expect(fenced.decide("RunLaunched", { runId: fenced.runOf("step-01", "builder") })).toMatchObject({
      code: "nothing-to-do",
    });
    expect(fenced.last.effects.at(-1)).toMatchObject({ type: "StopRun" });
  });

  it("stays to be stopped in a cancelled task, until its end is seen", { tags: ["s4.fenced-and-stopped"] }, () => {
    const cancelled = history().start().launch("step-01", "builder").and("TaskCancelled");
    expect(recover(cancelled.state, { parallelSteps: 1 })).toMatchObject([{ type: "StopRun" }]);
    const ended = cancelled.endRun("step-01", "builder", { end: "stopped" });
    expect(ended.taskStatus).toBe("cancelled");
    expect(endsOf(ended)).toEqual([["builder", 1, "stopped"]]);
    expect(ended.last.effects).toEqual([]);
  });

  it("does not bring results of checks back to life", () => {
    const running = history({ steps: [aWantedStep({ checks: [aCheck] })] })
      .start()
      .launch("step-01", "builder");
    const checking = running
      .and("BuilderReported", { runId: running.runOf("step-01", "builder") })
      .endRun("step-01", "builder");
    const requeued = checking.and("StepDecided", { status: "queued" });
    expect(requeued.decide("ChecksFinished", { results: [aCheckResult()] })).toMatchObject({ code: "nothing-to-do" });
  });
});

describe("a report of a run that is not the current one", () => {
  const first = "task-1/step-01/1/builder/1";

  it.each<[string, () => History]>([
    ["that reported already", () => history().start().build("step-01")],
    ["that was lost and replaced", () => lose(history().start(), "builder", 1).launch("step-01", "builder")],
    ["of an earlier attempt", () => history().start().fail("step-01").launch("step-01", "builder")],
    ["of a cancelled task", () => history().start().launch("step-01", "builder").and("TaskCancelled")],
    [
      "of a step that a person skipped",
      () => history().start().launch("step-01", "builder").and("StepDecided", { status: "skipped" }),
    ],
    ["of a task that is done", () => history().start().pass("step-01")],
    ["that never was", () => history().start()],
  ])("is refused for a run %s", { tags: ["s4.report-not-current"] }, (_words, make) => {
    const decision = make().decide("BuilderReported", { runId: first });
    expect(decision).toEqual({
      ok: false,
      code: "run-not-current",
      reason: `Run ${first} is over or was replaced; its report changes nothing and nothing more is expected from it.`,
      accepts: [],
    });
  });

  it("is refused when QA's run reports as the builder, and the other way round", () => {
    const building = history().start().launch("step-01", "builder");
    const criteria = judgementsOf(building.step());
    expect(building.decide("QaReported", { runId: building.runOf("step-01", "builder"), criteria })).toMatchObject({
      code: "run-not-current",
    });
    const reviewing = history().start().build("step-01").launch("step-01", "qa");
    expect(reviewing.decide("BuilderReported", { runId: reviewing.runOf("step-01", "qa") })).toMatchObject({
      code: "run-not-current",
    });
  });

  it("is refused when it names another step than the run's", () => {
    const running = history({ steps: [aWantedStep(), aWantedStep({ dependsOn: [] })] })
      .start()
      .launch("step-01", "builder");
    expect(running.decide("BuilderReported", { stepId: "step-02", runId: first })).toMatchObject({
      code: "run-not-current",
    });
  });

  it("is archived with the attempt it belongs to, without any other effect", { tags: ["s4.late-archived"] }, () => {
    const replaced = history().start().fail("step-01").launch("step-01", "builder");
    const kept = replaced.and("LateReportArchived", { runId: first, report: '{"summary":"late"}' });
    expect(kept.step().attempts[0]?.late).toEqual([
      { runId: first, role: "builder", at: momentOf(12), report: '{"summary":"late"}' },
    ]);
    expect(kept.step().attempts[1]).toEqual(replaced.step().attempts[1]);
    expect(kept.step()).toMatchObject({ status: "building", builder: replaced.step().builder });
    expect(kept.notices).toEqual([]);
  });

  it("is archived three times a run at most", { tags: ["s4.late-archived"] }, () => {
    const late = (one: History) => one.and("LateReportArchived", { runId: first });
    const thrice = late(late(late(history().start().build("step-01"))));
    expect(thrice.decide("LateReportArchived", { runId: first })).toMatchObject({ ok: false, code: "nothing-to-do" });
    const judged = thrice.judge("step-01");
    expect(judged.decide("LateReportArchived", { runId: judged.runOf("step-01", "qa"), role: "qa" })).toMatchObject({
      ok: true,
    });
  });

  it("is archived in a cancelled task as well", { tags: ["s4.late-archived"] }, () => {
    const cancelled = history().start().launch("step-01", "builder").and("TaskCancelled");
    expect(cancelled.and("LateReportArchived", { runId: first }).step().attempts[0]?.late).toHaveLength(1);
  });

  it("is not archived while its run is the current one", { tags: ["s4.current-not-archived"] }, () => {
    const planned = history().start().and("RunPlanned");
    const running = planned.and("RunLaunched", { runId: first });
    const refusal = {
      ok: false,
      code: "nothing-to-do",
      reason: `Run ${first} is the current one; its report is still to come.`,
      accepts: [],
    };
    for (const one of [planned, running, running.and("TaskPaused")])
      expect(one.decide("LateReportArchived", { runId: first })).toEqual(refusal);
    const reported = running.and("BuilderReported", { runId: first });
    expect(reported.decide("LateReportArchived", { runId: first })).toMatchObject({ ok: true });
    const reviewing = history().start().build("step-01").launch("step-01", "qa");
    const runId = reviewing.runOf("step-01", "qa");
    expect(reviewing.decide("LateReportArchived", { runId, role: "qa" })).toMatchObject({ code: "nothing-to-do" });
  });

  it("is not archived as one of the other role", () => {
    const built = history().start().build("step-01");
    expect(built.decide("LateReportArchived", { runId: first, role: "qa" })).toMatchObject({
      code: "run-not-current",
    });
  });

  it("is not archived for a run that never was", () => {
    expect(history().start().decide("LateReportArchived", { runId: first })).toMatchObject({
      ok: false,
      code: "run-not-current",
    });
  });
});

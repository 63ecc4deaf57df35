/** The way of a step from queued to passed: DESIGN section 4, the first list. */
import { describe, expect, it } from "vitest";
import { transition } from "../../src/flow/transition.ts";
import { currentAttempt, edgesOf, isMet, ready } from "../../src/flow/ready.ts";
import { parseStep, formatDocument, type CheckResult, type StepStatus } from "../../src/schema/documents.ts";
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

const home = { taskId: "task-1", projectId: "project-1" };

describe("a task that is created", () => {
  it("is a draft whose steps are queued, with criteria numbered and nothing due", () => {
    const decision = transition(
      undefined,
      anEvent("TaskCreated", { steps: [aWantedStep({ passCriteria: ["It runs."] })] }),
    );
    const at = momentOf(0);
    const idle = { status: "idle", sessionKey: null, runId: null };
    expect(decision).toStrictEqual({
      ok: true,
      effects: [],
      next: {
        task: {
          schemaVersion: 1,
          rev: 1,
          id: "task-1",
          projectId: "project-1",
          title: "A task",
          spec: "What is wanted.",
          acceptanceCriteria: [{ id: "a1", text: "The whole works." }],
          status: "draft",
          startedAt: null,
          pausedAt: null,
          cancelledAt: null,
          dependsOn: [],
          flowId: "flow-1",
          question: null,
          steps: [{ id: "step-01", index: 1, title: "A step", file: "steps/step-01.json" }],
          createdAt: at,
          updatedAt: at,
        },
        steps: [
          {
            schemaVersion: 1,
            rev: 1,
            id: "step-01",
            ...home,
            index: 1,
            kind: "work",
            title: "A step",
            goal: "Build it.",
            passCriteria: [{ id: "c1", text: "It runs." }],
            dependsOn: [],
            checks: [],
            status: "queued",
            attempt: 0,
            maxAttempts: 3,
            passedBy: null,
            question: null,
            builder: idle,
            qa: idle,
            attempts: [],
            createdAt: at,
            updatedAt: at,
          },
        ],
      },
    });
  });

  it("keeps who asked for it", () => {
    const origin = { agentId: "main", session: "5e55" };
    expect(history({ origin }).state.task.origin).toEqual(origin);
  });

  it("is refused when it is there already", () => {
    expect(history().decide("TaskCreated")).toMatchObject({ ok: false, code: "id-taken" });
  });
});

describe("the way of a step", () => {
  it("goes from queued over building, checking and reviewing to passed", { tags: ["s4.step-way"] }, () => {
    const queued = history({ steps: [aWantedStep({ checks: [aCheck] })] }).start();
    const building = queued.launch("step-01", "builder");
    const checking = building
      .and("BuilderReported", { runId: building.runOf("step-01", "builder") })
      .endRun("step-01", "builder");
    const reviewing = checking.and("ChecksFinished", { results: [aCheckResult()] });
    const passed = reviewing.judge("step-01");
    const way = [queued, building, checking, reviewing, passed].map((one) => one.step().status);
    expect(way).toEqual(["queued", "building", "checking", "reviewing", "passed"]);
    expect(passed.step()).toMatchObject({ passedBy: "qa", attempt: 1, question: null });
    expect(passed.taskStatus).toBe("done");
    expect(passed.last.effects).toEqual([{ type: "TellPerson", notice: { kind: "task-done" } }]);
  });

  it("asks at each place for exactly what is due", { tags: ["s4.step-way", "s4.checks-then-qa"] }, () => {
    const queued = history({ steps: [aWantedStep({ checks: [aCheck] })] }).start();
    expect(queued.last.effects).toEqual([{ type: "PlanRun", stepId: "step-01", role: "builder" }]);

    const planned = queued.and("RunPlanned");
    const builder = {
      stepId: "step-01",
      role: "builder",
      runId: "task-1/step-01/1/builder/1",
      sessionKey: "agent:main:subagent:project-orchestrator:task-1:step-01:1:builder:1",
    };
    expect(planned.last.effects).toEqual([{ type: "LaunchRun", ...builder }]);

    const running = planned.and("RunLaunched", { runId: builder.runId });
    expect(running.last.effects).toEqual([{ type: "AwaitRun", ...builder, reported: false }]);

    const reported = running.and("BuilderReported", { runId: builder.runId });
    expect(reported.last.effects).toEqual([{ type: "AwaitRun", ...builder, reported: true }]);

    const ended = reported.endRun("step-01", "builder");
    expect(ended.last.effects).toEqual([{ type: "RunChecks", stepId: "step-01", attempt: 1 }]);

    const checked = ended.and("ChecksFinished", { results: [aCheckResult()] });
    expect(checked.last.effects).toEqual([{ type: "PlanRun", stepId: "step-01", role: "qa" }]);
  });

  it("goes without checks straight to QA", { tags: ["s4.step-way"] }, () => {
    const built = history().start().build("step-01");
    expect(built.step().status).toBe("reviewing");
    expect(built.step().attempts[0]).not.toHaveProperty("checks");
    expect(built.last.effects).toEqual([{ type: "PlanRun", stepId: "step-01", role: "qa" }]);
  });

  it("starts the next step when the step before it has passed", { tags: ["s4.ready", "s4.default-dependency"] }, () => {
    const two = history({ steps: [aWantedStep(), aWantedStep()] }).start();
    expect(two.decide("RunPlanned", { stepId: "step-02" })).toMatchObject({ ok: false, code: "nothing-to-do" });
    expect(two.pass("step-01").last.effects).toEqual([{ type: "PlanRun", stepId: "step-02", role: "builder" }]);
  });

  it("starts the next step when the step before it was skipped", { tags: ["s4.ready"] }, () => {
    const two = history({ steps: [aWantedStep(), aWantedStep()] })
      .start()
      .and("StepDecided", { status: "skipped" });
    expect(two.last.effects).toEqual([{ type: "PlanRun", stepId: "step-02", role: "builder" }]);
  });

  it("needs every step in dependsOn passed or skipped", { tags: ["s4.ready"] }, () => {
    const steps = [
      aWantedStep({ id: "a" }),
      aWantedStep({ id: "b", dependsOn: [] }),
      aWantedStep({ id: "c", dependsOn: ["a", "b"] }),
    ];
    const one = history({ steps }).start().pass("a");
    expect(one.decide("RunPlanned", { stepId: "c" })).toMatchObject({ ok: false, code: "nothing-to-do" });
    expect(one.pass("b").last.effects).toEqual([{ type: "PlanRun", stepId: "c", role: "builder" }]);
  });
});

describe("an edge between steps", () => {
  const two = history({ steps: [aWantedStep(), aWantedStep()] }).state.steps;
  const withFirst = (status: StepStatus) => two.map((step, at) => (at === 0 ? { ...step, status } : step));
  const ids = (status: StepStatus) => ready(withFirst(status)).map((step) => step.id);

  it("names a step and what of it is enough", { tags: ["s4.ready-edges"] }, () => {
    expect(two.map(edgesOf)).toEqual([[], [{ from: "step-01", on: ["passed", "skipped"] }]]);
  });

  it.each<[StepStatus, readonly string[]]>([
    ["queued", ["step-01"]],
    ["building", []],
    ["checking", []],
    ["reviewing", []],
    ["blocked", []],
    ["cancelled", []],
    ["passed", ["step-02"]],
    ["skipped", ["step-02"]],
  ])(
    "is met or not when the step is %s: ready are %j",
    { tags: ["s4.ready", "s4.ready-edges"] },
    (status, expected) => {
      expect(ids(status)).toEqual(expected);
      expect(isMet({ dependsOn: ["step-01"] }, withFirst(status))).toBe(expected.includes("step-02"));
    },
  );

  it("to a step that is not there is not met; without edges all is met", { tags: ["s4.ready"] }, () => {
    expect(isMet({ dependsOn: ["nowhere"] }, two)).toBe(false);
    expect(isMet({ dependsOn: [] }, two)).toBe(true);
  });

  it("is asked for ready steps in the order of their index", () => {
    const side = history({ steps: [1, 2, 3].map(() => aWantedStep({ dependsOn: [] })) }).state.steps;
    expect(ready(side.toReversed()).map((step) => step.id)).toEqual(["step-01", "step-02", "step-03"]);
  });
});

describe("a builder's report", () => {
  it(
    "is kept word for word, and what the system saw is added when the run has ended",
    { tags: ["s5.files-observed"] },
    () => {
      const running = history().start().launch("step-01", "builder");
      const runId = running.runOf("step-01", "builder");
      const said = {
        summary: "Did it.",
        filesChanged: ["src/a.ts"],
        filesDeleted: ["old.ts"],
        testsRun: [{ command: "npm test", exitCode: 0 }],
      };
      const reported = running.and("BuilderReported", { runId, ...said });
      const report = { runId, outcome: "done", ...said, filesObserved: null };
      expect(currentAttempt(reported.step())?.builder).toEqual(report);
      const ended = reported.endRun("step-01", "builder", { tree: "tree-1", files: ["src/a.ts", "src/b.ts"] });
      expect(currentAttempt(ended.step())?.builder).toEqual({ ...report, filesObserved: ["src/a.ts", "src/b.ts"] });
      expect(currentAttempt(ended.step())?.tree).toEqual({ before: "tree-0", built: "tree-1", judged: null });
    },
  );

  it(
    "closes the run: neither checks nor QA start before the host says that it ended",
    { tags: ["s4.report-then-end"] },
    () => {
      const steps = [aWantedStep({ checks: [aCheck] })];
      const running = history({ steps }).start().launch("step-01", "builder");
      const reported = running.and("BuilderReported", { runId: running.runOf("step-01", "builder") });
      expect(reported.step().builder.status).toBe("reported");
      expect(reported.decide("ChecksFinished", { results: [aCheckResult()] })).toMatchObject({
        ok: false,
        code: "nothing-to-do",
      });
      expect(reported.decide("RunPlanned", { role: "qa" })).toMatchObject({ ok: false, code: "nothing-to-do" });

      const plain = history().start().launch("step-01", "builder");
      const reviewing = plain.and("BuilderReported", { runId: plain.runOf("step-01", "builder") });
      expect(reviewing.step().status).toBe("reviewing");
      expect(reviewing.decide("RunPlanned", { role: "qa" })).toMatchObject({ ok: false, code: "nothing-to-do" });
    },
  );

  it("may come before the launch was confirmed", () => {
    const planned = history().start().and("RunPlanned");
    const reported = planned.and("BuilderReported", { runId: planned.runOf("step-01", "builder") });
    expect(reported.step()).toMatchObject({ status: "reviewing", builder: { status: "reported" } });
    expect(reported.decide("RunLaunched", { runId: planned.runOf("step-01", "builder") })).toMatchObject({
      ok: false,
      code: "nothing-to-do",
    });
  });

  it("keeps usage and end of the run with the run", () => {
    const usage = { inputTokens: 10, outputTokens: 5, costUsd: 0.25 };
    const running = history().start().launch("step-01", "builder");
    const ended = running
      .and("BuilderReported", { runId: running.runOf("step-01", "builder") })
      .endRun("step-01", "builder", { end: "gateway", usage });
    expect(currentAttempt(ended.step())?.runs).toEqual([
      {
        runId: "task-1/step-01/1/builder/1",
        role: "builder",
        launch: 1,
        startedAt: momentOf(3),
        endedAt: momentOf(5),
        end: "reported",
        usage,
      },
    ]);
  });

  it("marks the attempt when others worked in the tree too, and the mark stays", { tags: ["s7.tree-shared"] }, () => {
    const running = history().start().launch("step-01", "builder");
    const built = running
      .and("BuilderReported", { runId: running.runOf("step-01", "builder") })
      .endRun("step-01", "builder", { tree: "tree-1", shared: true });
    expect(currentAttempt(built.judge("step-01").step())?.tree).toEqual({
      before: "tree-0",
      built: "tree-1",
      judged: "tree-1",
      shared: true,
    });
  });

  it(
    "marks it also when others worked beside it and may not any more, and not when they had ended before",
    { tags: ["s7.tree-shared"] },
    () => {
      const one = history({ steps: [aWantedStep(), aWantedStep({ dependsOn: [] })] }).start();
      const isShared = (after: typeof one, stepId: string) =>
        currentAttempt(after.endRun(stepId, "builder", { tree: "tree-9", shared: false }).step(stepId))?.tree.shared;
      const both = one.launch("step-01", "builder").launch("step-02", "builder");
      expect(isShared(both, "step-01")).toBe(true);
      expect(isShared(both.endRun("step-01", "builder"), "step-02")).toBe(true);
      expect(isShared(one.pass("step-01").launch("step-02", "builder"), "step-02")).toBeUndefined();
    },
  );
});

describe("a step with checks", () => {
  it(
    "is given back to the builder when one fails: the attempt counts, and no QA run is spent",
    { tags: ["s4.failed-check"] },
    () => {
      const failing = aCheckResult({ exitCode: 1, outputTail: "1 failed" });
      const back = history({ steps: [aWantedStep({ checks: [aCheck] })] })
        .start()
        .build("step-01", { checks: [failing] });
      expect(back.step()).toMatchObject({ status: "queued", attempt: 1, qa: { status: "idle" } });
      expect(currentAttempt(back.step())?.checks).toEqual([failing]);
      expect(currentAttempt(back.step())).not.toHaveProperty("qa");
      expect(back.last.effects).toEqual([
        {
          type: "TellPerson",
          notice: {
            kind: "step-sent-back",
            stepId: "step-01",
            attempt: 1,
            failedChecks: ["tests"],
            failedCriteria: [],
          },
        },
        { type: "PlanRun", stepId: "step-01", role: "builder" },
      ]);
      expect(back.launch("step-01", "builder").step().attempt).toBe(2);
    },
  );

  it.each([
    ["has no exit code", aCheckResult({ exitCode: null, timedOut: true })],
    ["has another exit code than 0", aCheckResult({ exitCode: 137 })],
  ])("counts a check as failed that %s", (_words, result) => {
    const back = history({ steps: [aWantedStep({ checks: [aCheck] })] })
      .start()
      .build("step-01", { checks: [result] });
    expect(back.step().status).toBe("queued");
  });

  it(
    "goes on to QA only when every one of its checks passed",
    { tags: ["s4.checks-then-qa", "s4.failed-check"] },
    () => {
      const checks = [aCheck, { ...aCheck, name: "lint" }];
      const built = (...exitCodes: readonly number[]) =>
        history({ steps: [aWantedStep({ checks })] })
          .start()
          .build("step-01", {
            checks: checks.map(({ name }, at) => aCheckResult({ name, exitCode: exitCodes[at] ?? 0 })),
          });
      expect(built(0, 0).step().status).toBe("reviewing");
      expect(built(1, 0).step().status).toBe("queued");
      const second = built(0, 2);
      expect(second.step().status).toBe("queued");
      expect(second.notices).toEqual([
        { kind: "step-sent-back", stepId: "step-01", attempt: 1, failedChecks: ["lint"], failedCriteria: [] },
      ]);
    },
  );

  it(
    "asks the person when one of them could not be run, whatever the others say, and uses up no attempt",
    { tags: ["s7.checks-not-run"] },
    () => {
      const why = "The check was not run: npm is no longer in checks.allow.";
      const notRun = aCheckResult({ program: null, exitCode: null, outputTail: why });
      const steps = [aWantedStep({ checks: [aCheck, { ...aCheck, name: "lint" }] })];
      for (const exitCode of [0, 1]) {
        const checks = [notRun, aCheckResult({ name: "lint", exitCode })];
        const asked = history({ steps, maxAttempts: 1 }).start().build("step-01", { checks });
        expect(asked.step()).toMatchObject({
          status: "blocked",
          attempt: 1,
          attempts: [{ checks }],
          question: {
            kind: "held",
            text: `Checks of step step-01 could not be run. Its builder cannot mend that: the configuration or the machine has to change before the step is retried.\n\ntests: ${why}`,
          },
        });
        const again = asked.and("StepDecided", { status: "queued", maxAttempts: 1 }).step();
        expect(again).toMatchObject({ status: "queued", attempt: 1, maxAttempts: 2 });
      }
    },
  );

  const lint = { ...aCheck, name: "lint" };
  it.each<[string, readonly CheckResult[]]>([
    ["none", []],
    ["one too few", [aCheckResult()]],
    ["one too many", [aCheckResult(), aCheckResult({ name: "lint" }), aCheckResult({ name: "more" })]],
    ["others", [aCheckResult(), aCheckResult({ name: "types" })]],
    ["another order", [aCheckResult({ name: "lint" }), aCheckResult()]],
  ])("is not over with %s of its results", { tags: ["s4.all-checks"] }, (_words, results) => {
    const running = history({ steps: [aWantedStep({ checks: [aCheck, lint] })] })
      .start()
      .launch("step-01", "builder");
    const due = running
      .and("BuilderReported", { runId: running.runOf("step-01", "builder") })
      .endRun("step-01", "builder");
    expect(due.decide("ChecksFinished", { results })).toEqual({
      ok: false,
      code: "invalid-parameters",
      reason: "The results are not those of the checks of step step-01.",
      accepts: ["one result for each check of the step, in their order"],
    });
  });

  it("refuses results twice, of another attempt and of an unknown step", () => {
    const results = [aCheckResult({ exitCode: 1 })];
    const back = history({ steps: [aWantedStep({ checks: [aCheck] })] })
      .start()
      .build("step-01", { checks: results });
    const again = back.launch("step-01", "builder");
    const due = again.and("BuilderReported", { runId: again.runOf("step-01", "builder") }).endRun("step-01", "builder");
    expect(back.decide("ChecksFinished", { results })).toMatchObject({ code: "nothing-to-do" });
    expect(due.decide("ChecksFinished", { attempt: 1, results })).toMatchObject({ code: "nothing-to-do" });
    expect(due.decide("ChecksFinished", { stepId: "other", attempt: 2, results })).toMatchObject({
      code: "nothing-to-do",
    });
    expect(due.decide("ChecksFinished", { attempt: 2, results })).toMatchObject({ ok: true });
  });
});

describe("QA's verdict", () => {
  const reviewing = () => history().start().build("step-01").launch("step-01", "qa");

  it(
    "is pass when every criterion passes with evidence, and the step is passed by QA",
    { tags: ["s4.verdict-computed", "s4.passed-by-qa"] },
    () => {
      const running = reviewing();
      const runId = running.runOf("step-01", "qa");
      const criteria = judgementsOf(running.step());
      const passed = running.and("QaReported", { runId, criteria });
      expect(passed.step()).toMatchObject({ status: "passed", passedBy: "qa", qa: { status: "reported" } });
      expect(currentAttempt(passed.step())?.qa).toEqual({ runId, verdict: "pass", criteria, feedback: "" });
      expect(passed.notices).toEqual([{ kind: "step-passed", stepId: "step-01", by: "qa" }]);
    },
  );

  it("is told as the end of the task only when the last run has ended: then the cost is whole", () => {
    const running = reviewing();
    const passed = running.and("QaReported", {
      runId: running.runOf("step-01", "qa"),
      criteria: judgementsOf(running.step()),
    });
    expect(passed.taskStatus).toBe("done");
    expect(passed.endRun("step-01", "qa").notices).toEqual([{ kind: "task-done" }]);
  });

  it(
    "is fail when one criterion fails, and the step goes back with every finding",
    { tags: ["s4.verdict-computed", "s4.findings-word-for-word"] },
    () => {
      const running = reviewing();
      const runId = running.runOf("step-01", "qa");
      const criteria = judgementsOf(running.step(), ["c2"]);
      const back = running.and("QaReported", { runId, criteria, feedback: "No test." });
      expect(back.step()).toMatchObject({ status: "queued", attempt: 1, passedBy: null });
      expect(currentAttempt(back.step())?.qa).toEqual({ runId, verdict: "fail", criteria, feedback: "No test." });
      expect(back.notices).toEqual([
        { kind: "step-sent-back", stepId: "step-01", attempt: 1, failedChecks: [], failedCriteria: ["c2"] },
      ]);
    },
  );

  it("is kept in the order of the criteria, however QA ordered it", () => {
    const running = reviewing();
    const criteria = judgementsOf(running.step());
    const passed = running.and("QaReported", {
      runId: running.runOf("step-01", "qa"),
      criteria: criteria.toReversed(),
    });
    expect(currentAttempt(passed.step())?.qa?.criteria).toEqual(criteria);
  });

  it.each([
    ["lacks a criterion", (step: ReturnType<typeof judgementsOf>) => step.slice(1), "c1 is not judged."],
    ["judges one twice", (all: ReturnType<typeof judgementsOf>) => [...all, ...all.slice(0, 1)], "c1 is judged twice."],
    [
      "judges an unknown one",
      (all: ReturnType<typeof judgementsOf>) => [...all, { id: "c9", pass: true, evidence: "x" }],
      '"c9" is no criterion of this step.',
    ],
    [
      "has no evidence",
      (all: ReturnType<typeof judgementsOf>) => all.map((one) => ({ ...one, evidence: " \n" })),
      "c1 has no evidence; c2 has no evidence.",
    ],
  ])(
    "is refused when it %s, with what would be accepted",
    { tags: ["s4.verdict-computed"] },
    (_words, change, reason) => {
      const running = reviewing();
      const decision = running.decide("QaReported", {
        runId: running.runOf("step-01", "qa"),
        criteria: change(judgementsOf(running.step())),
        feedback: "x",
      });
      const accepts = ["c1: pass true or false, with evidence", "c2: pass true or false, with evidence"];
      expect(decision).toEqual({ ok: false, code: "invalid-judgement", reason, accepts });
    },
  );

  it("is refused without feedback when a criterion fails", () => {
    const running = reviewing();
    const criteria = judgementsOf(running.step(), ["c1"]);
    expect(
      running.decide("QaReported", { runId: running.runOf("step-01", "qa"), criteria, feedback: " " }),
    ).toMatchObject({
      ok: false,
      code: "feedback-missing",
    });
  });

  it(
    "holds for the tree that QA was given: when it differs at the end, the attempt names the files",
    { tags: ["s7.qa-shell-seen", "s7.tree-changed-after-build", "s4.tree-at-verdict"] },
    () => {
      const running = reviewing();
      const passed = running
        .and("QaReported", { runId: running.runOf("step-01", "qa"), criteria: judgementsOf(running.step()) })
        .endRun("step-01", "qa", { tree: "tree-x", files: ["changed-by-qa.txt"] });
      expect(passed.step().status).toBe("passed");
      expect(currentAttempt(passed.step())?.tree).toEqual({
        before: "tree-0",
        built: "tree-1",
        judged: "tree-x",
        changedAfterBuild: ["changed-by-qa.txt"],
      });
    },
  );

  it("says nothing of a change that was undone before the verdict", () => {
    const lost = reviewing().endRun("step-01", "qa", { tree: "tree-x", files: ["changed-by-qa.txt"] });
    expect(currentAttempt(lost.step())?.tree.changedAfterBuild).toEqual(["changed-by-qa.txt"]);
    const again = lost.judge("step-01", { tree: "tree-1" });
    expect(currentAttempt(again.step())?.tree).toEqual({ before: "tree-0", built: "tree-1", judged: "tree-1" });
  });

  it(
    "names what a lost run of QA changed only while it is there at the verdict",
    { tags: ["s4.tree-at-verdict"] },
    () => {
      const lost = history()
        .start()
        .build("step-01")
        .launch("step-01", "qa")
        .endRun("step-01", "qa", { tree: "tree-x", files: ["left-over.txt"] });
      const marks = (one: History) => currentAttempt(one.step())?.tree;
      const before = { before: "tree-0", built: "tree-1" };
      expect(marks(lost)).toEqual({ ...before, judged: "tree-x", changedAfterBuild: ["left-over.txt"] });
      expect(marks(lost.judge("step-01"))).toEqual({ ...before, judged: "tree-1" });
      const running = lost.launch("step-01", "qa");
      const runId = running.runOf("step-01", "qa");
      const judged = running.and("QaReported", { runId, criteria: judgementsOf(running.step()) });
      const still = judged.endRun("step-01", "qa", { tree: "tree-y", files: ["left-over.txt", "more.txt"] });
      expect(marks(still)).toEqual({
        ...before,
        judged: "tree-y",
        changedAfterBuild: ["left-over.txt", "more.txt"],
      });
    },
  );

  it("says nothing of a change when the tree is the same or is not known", { tags: ["s4.tree-at-verdict"] }, () => {
    expect(currentAttempt(history().start().pass("step-01").step())?.tree).not.toHaveProperty("changedAfterBuild");
    const unknown = history().start().build("step-01", { tree: null }).judge("step-01", { tree: null });
    expect(currentAttempt(unknown.step())?.tree).not.toHaveProperty("changedAfterBuild");
    // Since the beginning of the attempt it was the builder who changed files.
    const known = history().start().build("step-01", { tree: null }).judge("step-01", { tree: "tree-1" });
    expect(currentAttempt(known.step())?.tree).toEqual({ before: "tree-0", built: null, judged: "tree-1" });
  });
});

describe("attempts", () => {
  it(
    "are 0 before the first launch and grow by one each time the builder gets the step",
    { tags: ["s4.attempt-counts"] },
    () => {
      const zero = history({ maxAttempts: 5 }).start();
      const one = zero.fail("step-01", { fails: ["c1"] });
      const two = one.fail("step-01", { fails: ["c2"] });
      expect([zero, one, two].map((each) => each.step().attempt)).toEqual([0, 1, 2]);
      expect(two.step().attempts.map((attempt) => attempt.attempt)).toEqual([1, 2]);
    },
  );

  it("do not grow when a lost run is launched again", { tags: ["s4.attempt-counts", "s4.lost-relaunched"] }, () => {
    const again = history()
      .start()
      .launch("step-01", "builder")
      .endRun("step-01", "builder")
      .launch("step-01", "builder");
    expect(again.step().attempt).toBe(1);
  });

  it("that are used up block the step with a question", { tags: ["s4.attempts-used"] }, () => {
    const blocked = history({ maxAttempts: 2 })
      .start()
      .fail("step-01", { fails: ["c1"] })
      .fail("step-01", { fails: ["c2"] });
    const question = {
      id: "step-01-q16",
      kind: "attempts-used",
      text: "Step step-01 did not pass in 2 attempts; the last one failed: c2.",
      choices: ["retry with a note", "accept with a reason", "skip", "cancel the task"],
      askedAt: momentOf(16),
    };
    expect(blocked.step()).toMatchObject({ status: "blocked", attempt: 2, question });
    expect(blocked.taskStatus).toBe("blocked");
  });

  it("that are used up by failing checks block the step too", { tags: ["s4.attempts-used", "s4.failed-check"] }, () => {
    const checks = [aCheckResult({ exitCode: 1 })];
    const blocked = history({ maxAttempts: 1, steps: [aWantedStep({ checks: [aCheck] })] })
      .start()
      .build("step-01", { checks });
    expect(blocked.step()).toMatchObject({ status: "blocked", question: { kind: "attempts-used" } });
    expect(blocked.step().question?.text).toContain("check tests");
    expect(blocked.notices).toEqual([{ kind: "question", stepId: "step-01", question: blocked.step().question }]);
  });
});

describe("two attempts in a row", () => {
  const first = () =>
    history({ maxAttempts: 9 })
      .start()
      .fail("step-01", { fails: ["c1", "c2"], tree: "same" });

  it(
    "that leave the same tree and fail the same criteria block the step: no progress",
    { tags: ["s4.no-progress"] },
    () => {
      const blocked = first().fail("step-01", { fails: ["c2", "c1"], tree: "same" });
      expect(blocked.step()).toMatchObject({
        status: "blocked",
        question: {
          kind: "no-progress",
          text: "Two attempts of step step-01 in a row left the same work and failed the same: c1, c2.",
        },
      });
    },
  );

  it("that differ only by what QA's commands left behind block the step too", () => {
    const left = history({ maxAttempts: 9 }).start().build("step-01", { tree: "built" });
    const failed = left.judge("step-01", { fails: ["c1"], tree: "built, and QA's coverage" });
    const again = failed.build("step-01", { tree: "built, and QA's coverage" });
    expect(again.judge("step-01", { fails: ["c1"] }).step().question?.kind).toBe("no-progress");
  });

  it.each([
    ["another tree", { fails: ["c1", "c2"], tree: "other" }],
    ["other failing criteria", { fails: ["c1"], tree: "same" }],
  ])("go on with %s", { tags: ["s4.no-progress"] }, (_words, second) => {
    expect(first().fail("step-01", second).step()).toMatchObject({ status: "queued", question: null });
  });

  it("go on when the tree is not known", () => {
    const unknown = history({ maxAttempts: 9 }).start().fail("step-01", { tree: null }).fail("step-01", { tree: null });
    expect(unknown.step().status).toBe("queued");
  });

  it("count only when nothing came between them", { tags: ["s4.no-progress"] }, () => {
    const third = first()
      .fail("step-01", { fails: ["c1"], tree: "same" })
      .fail("step-01", { fails: ["c1", "c2"], tree: "same" });
    expect(third.step().status).toBe("queued");
  });

  it("compare the failed checks as well", () => {
    const checks = [aCheckResult({ exitCode: 1 })];
    const steps = [aWantedStep({ checks: [aCheck] })];
    const once = history({ maxAttempts: 9, steps }).start().build("step-01", { checks, tree: "same" });
    expect(once.build("step-01", { checks, tree: "same" }).step().question?.kind).toBe("no-progress");
    expect(once.fail("step-01", { tree: "same" }).step().status).toBe("queued");
  });
});

describe("a builder that reports blocked", () => {
  const asked = () => {
    const running = history().start().launch("step-01", "builder");
    return running.and("BuilderReported", {
      runId: running.runOf("step-01", "builder"),
      outcome: "blocked",
      question: "Which colour?",
    });
  };

  it("blocks the step with its question", { tags: ["s4.builder-asks", "s4.choices"] }, () => {
    const blocked = asked();
    expect(blocked.step()).toMatchObject({
      status: "blocked",
      attempt: 1,
      question: {
        kind: "builder-asks",
        text: "Which colour?",
        choices: ["retry with a note", "skip", "cancel the task"],
      },
    });
    expect(blocked.notices).toEqual([{ kind: "question", stepId: "step-01", question: blocked.step().question }]);
  });

  it("uses no allowance: the next attempts are as many as before", { tags: ["s4.builder-asks-free"] }, () => {
    const again = asked()
      .endRun("step-01", "builder", { end: "reported" })
      .and("StepDecided", { status: "queued", reason: "Blue.", maxAttempts: 3 });
    expect(again.step()).toMatchObject({ status: "queued", attempt: 1, maxAttempts: 4, question: null });
    const next = again.launch("step-01", "builder");
    expect(currentAttempt(next.step())?.note).toBe("Blue.");
    expect(next.step()).not.toHaveProperty("note");
  });

  it.each([undefined, "", "  "])("is refused without a question (%j)", (question) => {
    const running = history().start().launch("step-01", "builder");
    const fields = { runId: running.runOf("step-01", "builder"), outcome: "blocked" } as const;
    const decision = running.decide("BuilderReported", question === undefined ? fields : { ...fields, question });
    expect(decision).toMatchObject({ ok: false, code: "question-missing" });
  });
});

describe("documents", () => {
  it("get a revision one greater exactly when they change", () => {
    const before = history({ steps: [aWantedStep(), aWantedStep()] }).start();
    const after = before.and("RunPlanned");
    expect(after.step("step-01").rev).toBe(before.step("step-01").rev + 1);
    expect(after.step("step-02")).toBe(before.step("step-02"));
    expect(after.state.task).toBe(before.state.task);
  });

  it("get the event's time when they change", () => {
    expect(history().start().state.task).toMatchObject({ updatedAt: momentOf(1), createdAt: momentOf(0) });
  });

  it("are equal after they were written and read", () => {
    const step = history().start().pass("step-01").step();
    expect(parseStep(formatDocument(step))).toStrictEqual(step);
  });
});

describe("a flow record", () => {
  it("that was made anew is linked", () => {
    const linked = history().and("FlowLinked", { flowId: "flow-2" });
    expect(linked.state.task).toMatchObject({ flowId: "flow-2", rev: 2 });
  });

  it("that is linked already is refused, so that the task keeps its revision", () => {
    expect(history({ flowId: "flow-1" }).decide("FlowLinked", { flowId: "flow-1" })).toMatchObject({
      ok: false,
      code: "nothing-to-do",
    });
  });
});

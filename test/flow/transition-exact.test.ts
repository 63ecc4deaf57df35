/** The smaller print of what follows from an event, compared exactly: refusals, what a decision keeps, what a person is told. */
import { describe, expect, it } from "vitest";
import {
  askedDependency,
  changedDocuments,
  failedItems,
  transition,
  transitionProject,
} from "../../src/flow/transition.ts";
import { currentAttempt } from "../../src/flow/ready.ts";
import { formatDocument } from "../../src/schema/documents.ts";
import type { TaskDecision } from "../../src/flow/transition.ts";
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

const steps = (count: number, fields: Parameters<typeof aWantedStep>[0] = {}) =>
  Array.from({ length: count }, () => aWantedStep({ dependsOn: [], ...fields }));
const refusal = (decision: TaskDecision) => (decision.ok ? decision : [decision.code, decision.accepts]);
const asking = (one: History) =>
  one
    .launch("step-01", "builder")
    .and("BuilderReported", {
      runId: one.launch("step-01", "builder").runOf("step-01", "builder"),
      outcome: "blocked",
      question: "Which?",
    })
    .endRun("step-01", "builder");

describe("a project that is created", () => {
  const created = {
    type: "ProjectCreated",
    v: 1,
    at: momentOf(0),
    projectId: "shop",
    name: "Shop",
    spec: "A shop.",
    repo: "/repos/shop",
  } as const;
  const project = {
    schemaVersion: 1,
    rev: 1,
    id: "shop",
    name: "Shop",
    spec: "A shop.",
    repo: "/repos/shop",
    createdAt: momentOf(0),
    updatedAt: momentOf(0),
  } as const;

  it("is its first revision, with who asked for it when that is known", () => {
    expect(transitionProject(undefined, created)).toStrictEqual({ ok: true, next: project });
    const origin = { agentId: "main", session: "abc" };
    expect(transitionProject(undefined, { ...created, origin })).toStrictEqual({
      ok: true,
      next: { ...project, origin },
    });
  });

  it("is refused when there is one of that id", () => {
    expect(transitionProject(project, created)).toMatchObject({
      ok: false,
      code: "id-taken",
      accepts: ["another name", "project shop as it is"],
    });
  });
});

describe("the documents that a change writes", () => {
  it("are those that differ, the task last", () => {
    const before = history({ steps: steps(2) }).start();
    const next = before.and("StepDecided", { stepId: "step-02", status: "blocked" });
    expect(changedDocuments(before.state, next.state)).toStrictEqual({
      "steps/step-02": formatDocument(next.step("step-02")),
    });
    const paused = before.and("TaskPaused");
    expect(changedDocuments(before.state, paused.state)).toStrictEqual({ task: formatDocument(paused.state.task) });
    expect(Object.keys(changedDocuments(undefined, before.state))).toStrictEqual([
      "steps/step-01",
      "steps/step-02",
      "task",
    ]);
  });
});

describe("a refusal", () => {
  const draft = history({ steps: steps(2) });
  const running = draft.start();
  const building = running.launch("step-01", "builder");
  const reviewing = running.build("step-01").launch("step-01", "qa");
  it.each<[string, () => TaskDecision, string, readonly string[]]>([
    ["a task that started", () => running.decide("TaskStarted"), "already-started", ["get_status"]],
    [
      "a pause of a paused task",
      () => running.and("TaskPaused").decide("TaskPaused"),
      "nothing-to-do",
      ["set_task_status running"],
    ],
    ["a task that runs", () => running.decide("TaskResumed"), "nothing-to-do", ["get_status"]],
    [
      "a step that is what it is to be",
      () => running.and("StepDecided", { status: "blocked" }).decide("StepDecided", { status: "blocked" }),
      "nothing-to-do",
      ["get_status"],
    ],
    [
      "a queued step that is accepted",
      () => running.decide("StepDecided", { status: "passed" }),
      "not-built",
      ["skipped", "blocked"],
    ],
    [
      "a step whose runs were lost, accepted",
      () => building.endRun("step-01", "builder", { maxLostRuns: 0 }).decide("StepDecided", { status: "passed" }),
      "not-built",
      ["queued", "skipped"],
    ],
    [
      "a builder that asks nothing",
      () =>
        building.decide("BuilderReported", {
          runId: building.runOf("step-01", "builder"),
          outcome: "blocked",
          question: "  ",
        }),
      "question-missing",
      ["question: one clear question for a person", "outcome done"],
    ],
    [
      "a failing judgement without words",
      () =>
        reviewing.decide("QaReported", {
          runId: reviewing.runOf("step-01", "qa"),
          criteria: judgementsOf(reviewing.step(), ["c1"]),
          feedback: " ",
        }),
      "feedback-missing",
      ["feedback: what is wrong and how you saw it"],
    ],
    [
      "a step that was built and queued again, accepted",
      () =>
        running.build("step-01").and("StepDecided", { status: "queued" }).decide("StepDecided", { status: "passed" }),
      "not-built",
      ["skipped", "blocked"],
    ],
    [
      "an unknown step",
      () => running.decide("StepDecided", { stepId: "step-09" }),
      "unknown-step",
      ["step-01", "step-02"],
    ],
  ])("of %s says what would be accepted", (_words, decide, code, accepts) => {
    expect(refusal(decide())).toStrictEqual([code, accepts]);
  });

  it("of going on names the step that asks and no other", () => {
    const one = asking(history({ steps: [aWantedStep(), aWantedStep()] }).start());
    expect(one.decide("TaskResumed")).toMatchObject({
      code: "question-open",
      reason: "Task task-1 waits for an answer about step-01.",
      accepts: ["set_step_status"],
    });
  });

  it("lists twenty steps at most", () => {
    const many = history({ steps: steps(25) }).start();
    const twenty = many.state.steps.slice(0, 20).map((step) => step.id);
    expect(refusal(many.decide("StepDecided", { stepId: "other" }))).toStrictEqual(["unknown-step", twenty]);
    expect(refusal(many.decide("StepAdded", { step: aWantedStep({ dependsOn: ["other"] }) }))).toStrictEqual([
      "unknown-dependency",
      twenty,
    ]);
  });

  it("of one step too many says how many a task may have", () => {
    const full = history({ steps: steps(2000) });
    expect(refusal(full.decide("StepAdded"))).toStrictEqual(["too-large", ["at most 2000 steps in a task"]]);
  });

  it("of a judgement names an unknown criterion by its first sixty characters, and only steps' own once", () => {
    const decision = reviewing.decide("QaReported", {
      runId: reviewing.runOf("step-01", "qa"),
      criteria: [...judgementsOf(reviewing.step()), { id: "x".repeat(100), pass: true, evidence: "Seen." }],
    });
    expect(decision).toMatchObject({ reason: `"${"x".repeat(60)}" is no criterion of this step.` });
  });
});

describe("steps of a task", () => {
  it("get ids that no other step has, given or generated", () => {
    const one = history({
      steps: [aWantedStep(), aWantedStep(), aWantedStep(), aWantedStep({ id: "step-02", dependsOn: [] })],
    });
    expect(one.state.steps.map((step) => step.id)).toStrictEqual(["step-01", "step-03", "step-04", "step-02"]);
  });

  it("that are added belong to their task and stand behind the last one", () => {
    const added = history({ steps: steps(2) })
      .start()
      .and("StepAdded");
    expect(added.step("step-03")).toMatchObject({
      rev: 1,
      index: 3,
      taskId: "task-1",
      projectId: "project-1",
      dependsOn: ["step-02"],
      createdAt: momentOf(2),
    });
  });

  it("that are added to a task of a review alone depend on nothing", () => {
    const added = history({ steps: [], acceptanceReview: true }).and("StepAdded");
    expect(added.step("step-01").dependsOn).toStrictEqual([]);
    expect(added.state.steps.map((step) => [step.id, step.index])).toStrictEqual([
      ["step-01", 1],
      ["acceptance", 2],
    ]);
  });

  it("end with a review that says what it is for", () => {
    expect(history({ acceptanceReview: true }).step("acceptance")).toMatchObject({
      title: "Acceptance review",
      goal: "Judge every acceptance criterion of the task on the whole tree.",
      passCriteria: [{ id: "a1", text: "The whole works." }],
    });
  });
});

describe("a task that waits for others", () => {
  const waiting = history({ dependsOn: ["one", "two"] }).and("TaskStarted", { dependenciesDone: false });
  const asked = waiting.and("DependencyCancelled", { taskId: "one" });

  it("goes on at once without a cancelled one when the others are done, else it goes on waiting", () => {
    expect(asked.and("TaskResumed", { dependenciesDone: true }).taskStatus).toBe("running");
    expect(asked.and("TaskResumed", { dependenciesDone: false }).taskStatus).toBe("waiting");
  });

  it("asks about a cancelled one only while it waits", () => {
    const running = waiting.and("DependenciesDone");
    expect(refusal(running.decide("DependencyCancelled", { taskId: "one" }))).toStrictEqual(["nothing-to-do", []]);
    expect(refusal(waiting.decide("DependencyCancelled", { taskId: "three" }))).toStrictEqual(["nothing-to-do", []]);
  });

  it("tells its question once", () => {
    expect(asked.notices.map((notice) => notice.kind)).toStrictEqual(["question"]);
    expect(asked.and("FlowLinked", { flowId: "flow-9" }).notices).toStrictEqual([]);
  });

  it("keeps its question while a step of it is skipped, and has it answered when that was the last one", () => {
    const two = history({ steps: steps(2), dependsOn: ["one"] })
      .and("TaskStarted", { dependenciesDone: false })
      .and("DependencyCancelled", { taskId: "one" });
    const first = two.and("StepDecided", { status: "skipped" });
    expect([first.taskStatus, first.state.task]).toStrictEqual(["waiting", two.state.task]);
    const last = first.and("StepDecided", { stepId: "step-02", status: "skipped", reason: "Leave it." });
    expect(last.state.task).toMatchObject({
      status: "done",
      question: null,
      decisions: [{ status: "skipped", reason: "Leave it.", question: "dependency-cancelled" }],
    });
  });

  it("asks nothing more when its last step passes while it waits", () => {
    const reviewing = history({ dependsOn: ["one"] })
      .start()
      .build("step-01")
      .launch("step-01", "qa");
    const asked = reviewing
      .and("TaskPaused")
      .and("TaskResumed", { dependenciesDone: false })
      .and("DependencyCancelled", { taskId: "one" });
    const criteria = judgementsOf(asked.step());
    const done = asked.and("QaReported", { runId: asked.runOf("step-01", "qa"), criteria }).state.task;
    expect([done.status, done.question]).toStrictEqual(["done", null]);
    expect(done).not.toHaveProperty("decisions");
  });

  it("asks about the one that its question names, and about none without a question", () => {
    expect(askedDependency(asked.state.task)).toBe("one");
    expect(askedDependency(waiting.state.task)).toBeUndefined();
  });

  it("runs when it waits for none, whatever is said of them", () => {
    expect(history().and("TaskStarted", { dependenciesDone: false }).taskStatus).toBe("running");
  });
});

describe("a decision", () => {
  it("to cancel is kept by the steps that asked, and by no other", () => {
    const cancelled = asking(history({ steps: steps(2) }).start()).and("TaskCancelled");
    expect(currentAttempt(cancelled.step("step-01"))?.decisions).toMatchObject([{ status: "cancelled" }]);
    expect(cancelled.step("step-02")).not.toHaveProperty("decisions");
  });

  it("to cancel is a person's while any step asks", () => {
    const one = asking(history({ steps: steps(2) }).start());
    expect(one.decide("TaskCancelled", { by: "orchestrator" })).toMatchObject({ ok: false, code: "person-required" });
  });

  it("to go on from an older copy is a person's, and links the flow", () => {
    const one = history().start();
    expect(one.decide("RollbackAccepted", { by: "orchestrator" })).toMatchObject({ code: "person-required" });
    const accepted = one.and("RollbackAccepted", { flowId: "flow-7" });
    expect(accepted.state).toStrictEqual({
      steps: one.state.steps,
      task: { ...one.state.task, flowId: "flow-7", rev: one.state.task.rev + 1, updatedAt: momentOf(2) },
    });
  });
});

describe("a run", () => {
  it("of QA is the first of its role, whatever the builder's were", () => {
    const one = history().start().build("step-01").and("RunPlanned", { role: "qa", agentId: "judge" });
    expect(one.step().qa).toStrictEqual({
      status: "launching",
      sessionKey: "agent:judge:subagent:project-orchestrator:task-1:step-01:1:qa:1",
      runId: "task-1/step-01/1/qa/1",
    });
    expect(currentAttempt(one.step())?.runs.map((run) => [run.role, run.launch])).toStrictEqual([
      ["builder", 1],
      ["qa", 1],
    ]);
  });

  it("that nobody knows is neither launched, nor ended, nor heard", () => {
    const one = history().start().build("step-01").and("RunPlanned", { role: "qa" });
    const builder = one.runOf("step-01", "builder");
    expect(refusal(one.decide("RunLaunched", { runId: "unknown" }))).toStrictEqual(["nothing-to-do", []]);
    expect(refusal(one.decide("RunEnded", { runId: builder }))).toStrictEqual(["nothing-to-do", []]);
    expect(refusal(one.decide("QaReported", { runId: builder, criteria: judgementsOf(one.step()) }))).toStrictEqual([
      "run-not-current",
      [],
    ]);
    expect(refusal(one.decide("BuilderReported", { runId: one.runOf("step-01", "qa") }))).toStrictEqual([
      "run-not-current",
      [],
    ]);
    expect(refusal(one.decide("BuilderReported", { stepId: "step-09" }))).toStrictEqual(["run-not-current", []]);
    expect(refusal(one.decide("QaReported", { stepId: "step-09" }))).toStrictEqual(["run-not-current", []]);
  });

  it("of a builder that was lost leaves no report, and what QA's run saw changes none", () => {
    const lost = history()
      .start()
      .launch("step-01", "builder")
      .endRun("step-01", "builder", { files: ["a.txt"] });
    expect(currentAttempt(lost.step())).not.toHaveProperty("builder");
    const built = history().start().launch("step-01", "builder");
    const judged = built
      .and("BuilderReported", { runId: built.runOf("step-01", "builder") })
      .endRun("step-01", "builder", { tree: "tree-1", files: ["a.txt"] })
      .launch("step-01", "qa")
      .endRun("step-01", "qa", { tree: "tree-2", files: ["b.txt"] });
    expect(currentAttempt(judged.step())?.builder?.filesObserved).toStrictEqual(["a.txt"]);
  });

  it("that was stopped stays stopped when it ends, and so does one that reported", () => {
    const stopped = history().start().launch("step-01", "builder").and("StepDecided", { status: "blocked" });
    expect(stopped.endRun("step-01", "builder").step().builder.status).toBe("stopped");
    const reported = history().start().build("step-01");
    expect(reported.step().builder.status).toBe("reported");
  });
});

describe("the tree of an attempt", () => {
  const built = (tree: string | null, shared = false) => {
    const one = history().start().launch("step-01", "builder");
    return one
      .and("BuilderReported", { runId: one.runOf("step-01", "builder") })
      .endRun("step-01", "builder", { tree, shared, files: [] });
  };
  const judged = (one: History, tree: string | null, files: readonly string[] | null = []) =>
    currentAttempt(one.launch("step-01", "qa").endRun("step-01", "qa", { tree, files }).step())?.tree;

  it("stays marked as shared once it was", () => {
    expect(judged(built("tree-1", true), "tree-1")).toStrictEqual({
      before: "tree-0",
      built: "tree-1",
      judged: "tree-1",
      shared: true,
    });
  });

  it("is said to have changed only when both sides are known, also when no file can be named", () => {
    expect(judged(built("tree-1"), null)).toStrictEqual({ before: "tree-0", built: "tree-1", judged: null });
    expect(judged(built("tree-1"), "tree-2", null)).toStrictEqual({
      before: "tree-0",
      built: "tree-1",
      judged: "tree-2",
      changedAfterBuild: [],
    });
    const unknown = history().start().and("RunPlanned", { treeBefore: null });
    const blind = unknown
      .and("RunLaunched", { runId: unknown.runOf("step-01", "builder") })
      .and("BuilderReported", { runId: unknown.runOf("step-01", "builder") })
      .endRun("step-01", "builder", { tree: null });
    expect(judged(blind, "tree-2")).toStrictEqual({ before: null, built: null, judged: "tree-2" });
  });
});

describe("a report", () => {
  it("of a builder that asks keeps the question", () => {
    expect(currentAttempt(asking(history().start()).step())?.builder).toStrictEqual({
      runId: "task-1/step-01/1/builder/1",
      outcome: "blocked",
      summary: "Built it.",
      filesChanged: ["a.txt"],
      filesDeleted: [],
      filesObserved: null,
      testsRun: [],
      question: "Which?",
    });
    expect(currentAttempt(history().start().build("step-01").step())?.builder).not.toHaveProperty("question");
  });

  it("of QA is kept in the order of the criteria", () => {
    const passCriteria = ["One.", "Two.", "Three.", "Four."];
    const one = history({ steps: [aWantedStep({ passCriteria })] })
      .start()
      .build("step-01")
      .launch("step-01", "qa");
    const [first, second, third, fourth] = judgementsOf(one.step());
    for (const mixed of [
      [fourth, second, third, first],
      [second, first, fourth, third],
    ]) {
      const criteria = mixed.filter((judgement) => judgement !== undefined);
      const judged = one.and("QaReported", { runId: one.runOf("step-01", "qa"), criteria });
      expect(currentAttempt(judged.step())?.qa?.criteria).toStrictEqual([first, second, third, fourth]);
    }
  });

  it("that comes late is kept by the attempt of its run, of that step", () => {
    const one = history({ steps: steps(2) })
      .start()
      .fail("step-02")
      .fail("step-02", { tree: "other" });
    const late = one.and("LateReportArchived", { stepId: "step-02", runId: "task-1/step-02/2/builder/1" });
    expect(late.step("step-02").attempts.map((attempt) => attempt.late.length)).toStrictEqual([0, 1]);
    expect(late.step("step-01")).toBe(one.step("step-01"));
    for (const stepId of ["step-01", "step-09"])
      expect(refusal(one.decide("LateReportArchived", { stepId, runId: "task-1/step-02/2/builder/1" }))).toStrictEqual([
        "run-not-current",
        [],
      ]);
  });
});

describe("what an attempt failed on", () => {
  it("is its failed checks, else its failed criteria, and nothing of an attempt that has neither", () => {
    const failing = [aCheckResult({ name: "lint" }), aCheckResult({ name: "tests", exitCode: 1 })];
    const checks = [aCheck, { ...aCheck, name: "lint" }].toReversed();
    const one = history({ steps: steps(1, { checks }) })
      .start()
      .build("step-01", { checks: failing });
    expect(failedItems(currentAttempt(one.step()))).toStrictEqual(["check tests"]);
    expect(one.notices).toStrictEqual([
      { kind: "step-sent-back", stepId: "step-01", attempt: 1, failedChecks: ["tests"], failedCriteria: [] },
    ]);
    expect(
      failedItems(
        currentAttempt(
          history()
            .start()
            .fail("step-01", { fails: ["c2"] })
            .step(),
        ),
      ),
    ).toStrictEqual(["c2"]);
    expect(failedItems(currentAttempt(history().start().build("step-01").step()))).toStrictEqual([]);
    expect(failedItems(undefined)).toStrictEqual([]);
  });

  it("is no progress when the last two are the same, whatever came before them", () => {
    const one = history({ maxAttempts: 9 })
      .start()
      .fail("step-01", { tree: "first" })
      .fail("step-01", { tree: "second" });
    expect(one.step().status).toBe("queued");
    expect(one.fail("step-01", { tree: "second" }).step().question?.kind).toBe("no-progress");
  });
});

describe("a person is told", () => {
  it("a question once, also when something else happens in the task", () => {
    const asked = asking(history({ steps: steps(2) }).start());
    const next = asked.launch("step-02", "builder");
    expect(next.notices).toStrictEqual([]);
    const built = next.and("BuilderReported", { stepId: "step-02", runId: next.runOf("step-02", "builder") });
    expect(built.notices).toStrictEqual([]);
  });

  it("only of the step that was judged", () => {
    const sent = history({ steps: steps(3) })
      .start()
      .build("step-02")
      .launch("step-02", "qa");
    const judged = sent.and("QaReported", {
      stepId: "step-02",
      runId: sent.runOf("step-02", "qa"),
      criteria: judgementsOf(sent.step("step-02"), ["c1"]),
      feedback: "Mend it.",
    });
    expect(judged.notices).toStrictEqual([
      { kind: "step-sent-back", stepId: "step-02", attempt: 1, failedChecks: [], failedCriteria: ["c1"] },
    ]);
  });

  it("that a task is done once, when the last of all its runs has ended", () => {
    const two = history({ steps: steps(2) }).start();
    const skipped = two.launch("step-01", "builder").and("StepDecided", { status: "skipped" });
    const passed = skipped.pass("step-02");
    expect([passed.taskStatus, passed.notices]).toStrictEqual(["done", []]);
    const over = passed.endRun("step-01", "builder");
    expect(over.notices).toStrictEqual([{ kind: "task-done" }]);
    expect(over.and("FlowLinked", { flowId: "flow-9" }).notices).toStrictEqual([]);
  });
});

describe("a review that is held", () => {
  it("can be judged again, skipped or cancelled, and accepted only when QA has judged it", () => {
    const held = history({ acceptanceReview: true })
      .start()
      .and("StepDecided", { stepId: "acceptance", status: "blocked" });
    expect(held.step("acceptance").question?.choices).toStrictEqual([
      "judge again with a note",
      "skip",
      "cancel the task",
    ]);
    expect(refusal(held.decide("StepDecided", { stepId: "acceptance", status: "passed" }))).toStrictEqual([
      "not-built",
      ["queued", "skipped"],
    ]);
  });
});

describe("an event for a task", () => {
  it("that exists already, or does not exist yet, is refused", () => {
    expect(refusal(transition(history().state, anEvent("TaskCreated")))).toStrictEqual(["id-taken", []]);
    expect(refusal(transition(undefined, anEvent("TaskStarted")))).toStrictEqual(["unknown-task", []]);
  });
});

/** The task's status: how it is computed, and what each call makes of it. DESIGN section 4, "Task status". */
import { describe, expect, it } from "vitest";
import { askedDependency, statusOf, transition, type TaskDecision } from "../../src/flow/transition.ts";
import { formatDocument, parseTask, type Step, type Task, type TaskStatus } from "../../src/schema/documents.ts";
import { anEvent, aCheckResult, aWantedStep, history, momentOf, type History } from "../support/histories.ts";

const two = () => history({ steps: [aWantedStep(), aWantedStep({ dependsOn: [] })] });
const held = (one: History, stepId: string) => one.and("StepDecided", { stepId, status: "blocked" });
const waiting = () => history({ dependsOn: ["other"] }).and("TaskStarted", { dependenciesDone: false });
const undecided = () => waiting().and("DependencyCancelled", { taskId: "other" });

/** A task in each status; `undecided` waits for a person's word about a cancelled dependency. */
const tasks: { readonly [S in TaskStatus | "undecided"]: () => History } = {
  draft: () => history(),
  running: () => history().start(),
  waiting,
  undecided,
  blocked: () => held(history().start(), "step-01"),
  paused: () => history().start().and("TaskPaused"),
  done: () => history().start().pass("step-01"),
  cancelled: () => history().start().and("TaskCancelled"),
};

describe("the task's status", () => {
  it.each(Object.entries(tasks))("is reached for %s", (status, make) => {
    expect(make().taskStatus).toBe(status === "undecided" ? "waiting" : status);
  });

  it(
    "is the first that holds, in the order cancelled, done, draft, paused, waiting, blocked, running",
    { tags: ["s4.task-status"] },
    () => {
      const { state } = held(history().start(), "step-01");
      const passed: readonly Step[] = state.steps.map((step) => ({ ...step, status: "passed", question: null }));
      const all: Task = { ...state.task, startedAt: null, pausedAt: momentOf(1), cancelledAt: momentOf(1) };
      const way: readonly [Task, readonly Step[], boolean][] = [
        [all, passed, false],
        [{ ...all, cancelledAt: null }, passed, false],
        [{ ...all, cancelledAt: null }, state.steps, false],
        [{ ...all, cancelledAt: null, startedAt: momentOf(0) }, state.steps, false],
        [{ ...all, cancelledAt: null, startedAt: momentOf(0), pausedAt: null }, state.steps, false],
        [{ ...all, cancelledAt: null, startedAt: momentOf(0), pausedAt: null }, state.steps, true],
        [{ ...all, cancelledAt: null, startedAt: momentOf(0), pausedAt: null }, history().state.steps, true],
      ];
      expect(way.map(([task, steps, settled]) => statusOf(task, steps, settled))).toEqual([
        "cancelled",
        "done",
        "draft",
        "paused",
        "waiting",
        "blocked",
        "running",
      ]);
    },
  );

  it("is done when every step is passed or skipped, the last one by whatever way", { tags: ["s4.task-done"] }, () => {
    const last = two().start().pass("step-01").and("StepDecided", { stepId: "step-02", status: "skipped" });
    expect(last.taskStatus).toBe("done");
    expect(last.notices).toEqual([{ kind: "task-done" }]);
  });

  it(
    "is blocked only when nothing else of the task can go on: other branches do",
    { tags: ["s4.task-blocked", "s4.other-branches"] },
    () => {
      const one = held(two().start(), "step-01");
      expect(one.taskStatus).toBe("running");
      expect(one.last.effects.at(-1)).toEqual({ type: "PlanRun", stepId: "step-02", role: "builder" });
      expect(one.launch("step-02", "builder").taskStatus).toBe("running");
      const both = one.pass("step-02");
      expect(both.taskStatus).toBe("blocked");
      expect(both.and("StepDecided", { status: "queued" }).taskStatus).toBe("running");
    },
  );

  it("is blocked when what is left depends on the step with the question", { tags: ["s4.task-blocked"] }, () => {
    const one = held(history({ steps: [aWantedStep(), aWantedStep()] }).start(), "step-01");
    expect(one.taskStatus).toBe("blocked");
    expect(one.last.effects.filter((effect) => effect.type !== "TellPerson")).toEqual([]);
  });

  it("is done although a pause was asked for, when live work passes the last step", () => {
    const live = history().start().build("step-01").launch("step-01", "qa").and("TaskPaused");
    const criteria = live.step().passCriteria.map(({ id }) => ({ id, pass: true, evidence: "seen" }));
    expect(live.and("QaReported", { runId: live.runOf("step-01", "qa"), criteria }).taskStatus).toBe("done");
  });
});

type Column = readonly (TaskStatus | "undecided")[];
type No = { readonly code: string; readonly reason: string; readonly accepts: readonly string[] };
type Cell = { readonly to: TaskStatus } | No;
type Row = readonly [when: Column, outcome: Cell];

const open = ["running", "waiting", "undecided", "blocked"] as const;
const no = (code: string, reason: string, ...accepts: readonly string[]): No => ({ code, reason, accepts });
const whenEnded: readonly Row[] = [
  [["done"], no("task-ended", "Task task-1 is done.", "create_task")],
  [["cancelled"], no("task-ended", "Task task-1 is cancelled.", "create_task")],
];
const whenDraft: Row = [["draft"], no("not-started", "Task task-1 is a draft.", "start_task")];

/** What each call answers, and the rule that it holds; the table of DESIGN section 4. */
const callTable: readonly (readonly [call: string, rule: string, decide: (one: History) => TaskDecision, Row[]])[] = [
  [
    "start_task",
    "s4.start-task",
    (one) => one.decide("TaskStarted"),
    [
      [["draft"], { to: "running" }],
      [open, no("already-started", `Task task-1 was started at ${momentOf(1)}.`, "get_status")],
      [["paused"], no("task-paused", "Task task-1 is paused.", "set_task_status running")],
      ...whenEnded,
    ],
  ],
  [
    "set_task_status running",
    "s4.set-task-running",
    (one) => one.decide("TaskResumed"),
    [
      whenDraft,
      [["running"], no("nothing-to-do", "Task task-1 is running.", "get_status")],
      [["waiting"], no("nothing-to-do", "Task task-1 is waiting.", "get_status")],
      [["blocked"], no("question-open", "Task task-1 waits for an answer about step-01.", "set_step_status")],
      [["undecided", "paused"], { to: "running" }],
      ...whenEnded,
    ],
  ],
  [
    "set_task_status paused",
    "s4.set-task-paused",
    (one) => one.decide("TaskPaused"),
    [
      whenDraft,
      [open, { to: "paused" }],
      [["paused"], no("nothing-to-do", "Task task-1 is paused already.", "set_task_status running")],
      ...whenEnded,
    ],
  ],
  [
    "set_task_status cancelled",
    "s4.set-task-cancelled",
    (one) => one.decide("TaskCancelled"),
    [[["draft", ...open, "paused"], { to: "cancelled" }], ...whenEnded],
  ],
];

describe.each(callTable)("%s", (_call, rule, decide, rows) => {
  const cells = rows.flatMap(([when, outcome]) => when.map((status) => [status, outcome] as const));

  it("is said for every status once", () => {
    expect(cells.map(([status]) => status).toSorted()).toEqual(Object.keys(tasks).toSorted());
  });

  it.each(cells)("when %s: %o", { tags: [rule] }, (status, outcome) => {
    const decision = decide(tasks[status]());
    if ("to" in outcome) expect(decision).toMatchObject({ ok: true, next: { task: { status: outcome.to } } });
    else expect(decision).toEqual({ ok: false, ...outcome });
  });
});

describe("a task that is paused", () => {
  it(
    "launches nothing, checks included; live runs finish and their reports move the step",
    { tags: ["s4.halted-launches-nothing", "s4.halted-live-runs"] },
    () => {
      const check = { name: "tests", command: ["npm", "test"], timeoutSeconds: 300 };
      const live = history({ steps: [aWantedStep({ checks: [check] })] })
        .start()
        .launch("step-01", "builder")
        .and("TaskPaused");
      expect(live.last.effects).toMatchObject([{ type: "AwaitRun" }]);
      const reported = live.and("BuilderReported", { runId: live.runOf("step-01", "builder") });
      expect(reported.statuses()).toEqual({ "step-01": "checking" });
      expect(reported.taskStatus).toBe("paused");
      const ended = reported.endRun("step-01", "builder");
      expect(ended.last.effects).toEqual([]);
      expect(ended.and("TaskResumed").last.effects).toEqual([{ type: "RunChecks", stepId: "step-01", attempt: 1 }]);
    },
  );

  it("accepts the results of checks that were under way", { tags: ["s4.halted-live-runs"] }, () => {
    const check = { name: "tests", command: ["npm", "test"], timeoutSeconds: 300 };
    const running = history({ steps: [aWantedStep({ checks: [check] })] })
      .start()
      .launch("step-01", "builder");
    const paused = running
      .and("BuilderReported", { runId: running.runOf("step-01", "builder") })
      .endRun("step-01", "builder")
      .and("TaskPaused");
    const finished = paused.and("ChecksFinished", { results: [aCheckResult()] });
    expect(finished.statuses()).toEqual({ "step-01": "reviewing" });
    expect(finished.decide("RunPlanned", { role: "qa" })).toMatchObject({ code: "nothing-to-do" });
  });

  it("refuses the intent to launch", { tags: ["s4.halted-launches-nothing"] }, () => {
    expect(tasks.paused().decide("RunPlanned")).toMatchObject({ ok: false, code: "nothing-to-do" });
  });

  it("goes on with the status that follows from its steps and dependencies", () => {
    const blocked = held(history().start(), "step-01").and("TaskPaused");
    expect(blocked.taskStatus).toBe("paused");
    expect(blocked.and("TaskResumed").taskStatus).toBe("blocked");
    expect(waiting().and("TaskPaused").and("TaskResumed", { dependenciesDone: false }).taskStatus).toBe("waiting");
    expect(waiting().and("TaskPaused").and("TaskResumed", { dependenciesDone: true }).taskStatus).toBe("running");
  });

  it("remembers since when, and forgets it when it goes on", () => {
    expect(tasks.paused().state.task.pausedAt).toBe(momentOf(2));
    expect(tasks.paused().and("TaskResumed").state.task.pausedAt).toBeNull();
  });
});

describe("a task that waits for other tasks", () => {
  it("launches nothing, and watches the tasks it waits for", { tags: ["s4.halted-launches-nothing"] }, () => {
    expect(waiting().last.effects).toEqual([{ type: "AwaitDependencies", taskIds: ["other"] }]);
    expect(waiting().decide("RunPlanned")).toMatchObject({ ok: false, code: "nothing-to-do" });
  });

  it("runs when they are done, and does not wait again", { tags: ["s4.dependency-events"] }, () => {
    const running = waiting().and("DependenciesDone");
    expect(running.taskStatus).toBe("running");
    expect(running.last.effects).toEqual([{ type: "PlanRun", stepId: "step-01", role: "builder" }]);
    expect(running.decide("DependenciesDone")).toMatchObject({ code: "nothing-to-do" });
    expect(running.launch("step-01", "builder").taskStatus).toBe("running");
    expect(held(running, "step-01").and("StepDecided", { status: "queued" }).taskStatus).toBe("running");
  });

  it("does not wait when they were done before it was started", () => {
    expect(history({ dependsOn: ["other"] }).start().taskStatus).toBe("running");
  });

  it("asks a person when one of them is cancelled", { tags: ["s4.dependency-cancelled"] }, () => {
    const question = {
      id: "task-q3",
      kind: "dependency-cancelled",
      text: "Task other, which this one waits for, was cancelled.",
      choices: ["go on without it", "cancel the task"],
      askedAt: momentOf(2),
    };
    expect(undecided().state.task).toMatchObject({ status: "waiting", question });
    expect(undecided().last.effects).toEqual([
      { type: "TellPerson", notice: { kind: "question", stepId: null, question } },
    ]);
  });

  it("asks only about a task that it waits for, and once", () => {
    expect(waiting().decide("DependencyCancelled", { taskId: "foreign" })).toMatchObject({ code: "nothing-to-do" });
    expect(undecided().decide("DependencyCancelled", { taskId: "other" })).toMatchObject({ code: "nothing-to-do" });
    expect(tasks.running().decide("DependencyCancelled", { taskId: "other" })).toMatchObject({ code: "nothing-to-do" });
  });

  it("goes on without a cancelled one only when a person says so", { tags: ["s4.dependency-one-answer"] }, () => {
    expect(undecided().decide("TaskResumed", { by: "orchestrator" })).toEqual({
      ok: false,
      code: "person-required",
      reason:
        "Only the owner can decide this, in a turn that the owner's own message began: " +
        "going on without a cancelled task is the owner's decision.",
      accepts: ["the owner's answer in the chat"],
    });
    const running = undecided().and("TaskResumed", { dependenciesDone: false, reason: "Not needed." });
    expect(running.state.task).toMatchObject({ status: "running", question: null, dependsOn: [] });
    expect(running.last.effects).toEqual([{ type: "PlanRun", stepId: "step-01", role: "builder" }]);
  });

  it("goes on waiting for the others when one is left out", () => {
    const many = history({ dependsOn: ["other", "third"] }).and("TaskStarted", { dependenciesDone: false });
    const asked = many.and("DependencyCancelled", { taskId: "other" });
    const left = asked.and("TaskResumed", { dependenciesDone: false });
    expect(left.state.task).toMatchObject({ status: "waiting", question: null, dependsOn: ["third"] });
    expect(left.last.effects).toEqual([{ type: "AwaitDependencies", taskIds: ["third"] }]);
  });

  it("asks about each cancelled one in its turn", { tags: ["s4.dependency-one-answer"] }, () => {
    const many = history({ dependsOn: ["other", "third"] }).and("TaskStarted", { dependenciesDone: false });
    const asked = many.and("DependencyCancelled", { taskId: "third" });
    expect(askedDependency(asked.state.task)).toBe("third");
    // The answer is about the third; that the other was cancelled meanwhile is asked about next.
    const next = asked.and("TaskResumed", { dependenciesDone: false }).and("DependencyCancelled", { taskId: "other" });
    expect(next.state.task).toMatchObject({
      status: "waiting",
      dependsOn: ["other"],
      question: { id: "task-q5", text: "Task other, which this one waits for, was cancelled." },
    });
    expect(askedDependency(history().state.task)).toBeUndefined();
  });

  it("runs at once when the others are done and a person goes on without the cancelled one", () => {
    const many = history({ dependsOn: ["other", "third"] }).and("TaskStarted", { dependenciesDone: false });
    const left = many.and("DependencyCancelled", { taskId: "other" }).and("TaskResumed", { dependenciesDone: true });
    expect(left.state.task).toMatchObject({ status: "running", question: null, dependsOn: ["third"] });
  });

  it("keeps a person's answer, who gave it and what was asked", { tags: ["s4.answer-kept"] }, () => {
    const asked = "Task other, which this one waits for, was cancelled.";
    const made = { at: momentOf(3), by: "person", question: "dependency-cancelled", asked };
    const gone = undecided().and("TaskResumed", { reason: "Not needed." });
    expect(gone.state.task.decisions).toEqual([{ ...made, status: "running", reason: "Not needed." }]);
    const cancelled = undecided().and("TaskCancelled", { reason: "Then not at all." });
    expect(cancelled.state.task.decisions).toEqual([{ ...made, status: "cancelled", reason: "Then not at all." }]);
    const skipped = undecided().and("StepDecided", { status: "skipped", reason: "Leave it." });
    expect(skipped.state.task.decisions).toEqual([{ ...made, status: "skipped", reason: "Leave it." }]);
    expect(parseTask(formatDocument(gone.state.task))).toStrictEqual(gone.state.task);
  });

  it("has decisions of its own only where it asked something", () => {
    expect(tasks.paused().and("TaskResumed").state.task).not.toHaveProperty("decisions");
    expect(tasks.cancelled().state.task).not.toHaveProperty("decisions");
    expect(tasks.done().state.task).not.toHaveProperty("decisions");
  });

  it("does not run while the question about a cancelled one is open", () => {
    expect(undecided().decide("DependenciesDone")).toMatchObject({ ok: false, code: "nothing-to-do" });
    const resumed = undecided().and("TaskPaused").and("TaskResumed", { dependenciesDone: true });
    expect(resumed.state.task).toMatchObject({ status: "waiting", question: { kind: "dependency-cancelled" } });
  });

  it("keeps no question when skipping every step makes it done", () => {
    const done = undecided().and("StepDecided", { status: "skipped" });
    expect(done.state.task).toMatchObject({ status: "done", question: null });
  });

  it("keeps the question over a pause", () => {
    const paused = undecided().and("TaskPaused");
    expect(paused.state.task).toMatchObject({ status: "paused", question: { kind: "dependency-cancelled" } });
  });
});

describe("a task that is cancelled", () => {
  it(
    "cancels every step that has not finished, fences what runs and clears the questions",
    { tags: ["s4.step-cancelled-with-task", "s4.answer-clears"] },
    () => {
      const steps = [aWantedStep(), aWantedStep(), aWantedStep({ dependsOn: ["step-01"] }), aWantedStep()];
      const live = held(history({ steps }).start().pass("step-01").launch("step-02", "builder"), "step-03");
      const cancelled = live.and("TaskCancelled", { reason: "no money" });
      expect(cancelled.statuses()).toEqual({
        "step-01": "passed",
        "step-02": "cancelled",
        "step-03": "cancelled",
        "step-04": "cancelled",
      });
      expect(cancelled.step("step-02").builder.status).toBe("stopped");
      expect(cancelled.step("step-03").question).toBeNull();
      expect(cancelled.state.task).toMatchObject({ status: "cancelled", cancelledAt: momentOf(13) });
      expect(cancelled.last.effects).toMatchObject([
        { type: "TellPerson", notice: { kind: "task-cancelled" } },
        { type: "StopRun", stepId: "step-02" },
      ]);
    },
  );

  it("is cancelled by the orchestrator too, unless that would answer a question", () => {
    expect(tasks.running().decide("TaskCancelled", { by: "orchestrator" })).toMatchObject({ ok: true });
    expect(tasks.blocked().decide("TaskCancelled", { by: "orchestrator" })).toMatchObject({ code: "person-required" });
    expect(undecided().decide("TaskCancelled", { by: "orchestrator" })).toMatchObject({ code: "person-required" });
    expect(undecided().and("TaskCancelled").state.task).toMatchObject({ status: "cancelled", question: null });
  });

  it("keeps the answer in the attempt that asked", { tags: ["s4.answer-kept"] }, () => {
    const running = history().start().launch("step-01", "builder");
    const asked = running.and("BuilderReported", {
      runId: running.runOf("step-01", "builder"),
      outcome: "blocked",
      question: "Why?",
    });
    const decision = {
      at: momentOf(5),
      by: "person",
      status: "cancelled",
      reason: "never mind",
      question: "builder-asks",
      asked: "Why?",
    };
    expect(asked.and("TaskCancelled", { reason: "never mind" }).step().attempts[0]?.decisions).toEqual([decision]);
  });
});

describe("an event for a task that does not exist", () => {
  it.each([
    "TaskStarted",
    "TaskPaused",
    "TaskResumed",
    "TaskCancelled",
    "StepDecided",
    "RunPlanned",
    "FlowLinked",
  ] as const)("is refused: %s", (type) => {
    expect(transition(undefined, anEvent(type))).toEqual({
      ok: false,
      code: "unknown-task",
      reason: "There is no such task.",
      accepts: [],
    });
  });
});

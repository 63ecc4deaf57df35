/**
 * Histories of one task for tests: states are made by folding events through the real `transition`, so a test only ever
 * sees what can be reached. A history never changes; each call answers a longer one. Time is one second per event.
 */
import { transition, type Accepted, type TaskDecision } from "../../src/flow/transition.ts";
import { currentAttempt, seatOf } from "../../src/flow/ready.ts";
import type { CheckResult, Role, Step, StepStatus, TaskState, TaskStatus } from "../../src/schema/documents.ts";
import type { Notice } from "../../src/schema/effects.ts";
import type { StepWanted, TaskEvent, TaskEventOf } from "../../src/schema/events.ts";

type EventType = TaskEvent["type"];
/** What a test says about an event; the rest has a plain default. */
export type Fields<T extends EventType> = Partial<Omit<TaskEventOf<T>, "type" | "v">>;

/** The moment of the n-th event. */
export function momentOf(n: number): string {
  return new Date(Date.UTC(2026, 0, 1) + n * 1000).toISOString();
}

const launcher = { host: "test", pid: 1, startedAt: momentOf(0), bootId: "boot" };
const at = momentOf(0);
const plain: { readonly [T in EventType]: TaskEventOf<T> } = {
  TaskCreated: {
    type: "TaskCreated",
    v: 1,
    at,
    taskId: "task-1",
    projectId: "project-1",
    title: "A task",
    spec: "What is wanted.",
    acceptanceCriteria: ["The whole works."],
    steps: [],
    dependsOn: [],
    maxAttempts: 3,
    acceptanceReview: false,
    flowId: "flow-1",
  },
  StepAdded: { type: "StepAdded", v: 1, at, by: "person", step: aWantedStep(), maxAttempts: 3 },
  TaskStarted: { type: "TaskStarted", v: 1, at, dependenciesDone: true },
  TaskPaused: { type: "TaskPaused", v: 1, at, reason: "lunch" },
  TaskResumed: { type: "TaskResumed", v: 1, at, by: "person", dependenciesDone: true, reason: "go on" },
  TaskCancelled: { type: "TaskCancelled", v: 1, at, by: "person", reason: "not wanted any more" },
  StepDecided: {
    type: "StepDecided",
    v: 1,
    at,
    stepId: "step-01",
    status: "queued",
    reason: "because",
    by: "person",
    maxAttempts: 3,
  },
  BuilderReported: {
    type: "BuilderReported",
    v: 1,
    at,
    stepId: "step-01",
    runId: "unknown",
    outcome: "done",
    summary: "Built it.",
    filesChanged: ["a.txt"],
    filesDeleted: [],
    testsRun: [],
  },
  QaReported: { type: "QaReported", v: 1, at, stepId: "step-01", runId: "unknown", criteria: [], feedback: "" },
  LateReportArchived: {
    type: "LateReportArchived",
    v: 1,
    at,
    stepId: "step-01",
    runId: "unknown",
    role: "builder",
    report: "{}",
  },
  RunPlanned: {
    type: "RunPlanned",
    v: 1,
    at,
    stepId: "step-01",
    role: "builder",
    agentId: "main",
    treeBefore: "tree-0",
    launcher,
  },
  RunLaunched: { type: "RunLaunched", v: 1, at, stepId: "step-01", runId: "unknown" },
  RunEnded: {
    type: "RunEnded",
    v: 1,
    at,
    stepId: "step-01",
    runId: "unknown",
    end: "lost",
    usage: null,
    tree: null,
    files: null,
    shared: false,
    maxLostRuns: 2,
  },
  ChecksFinished: { type: "ChecksFinished", v: 1, at, stepId: "step-01", attempt: 1, results: [] },
  DependenciesDone: { type: "DependenciesDone", v: 1, at },
  DependencyCancelled: { type: "DependencyCancelled", v: 1, at, taskId: "other" },
  FlowLinked: { type: "FlowLinked", v: 1, at, flowId: "flow-2" },
  RollbackAccepted: {
    type: "RollbackAccepted",
    v: 1,
    at,
    by: "person",
    seq: 9,
    sum: "lacking",
    flowId: "flow-1",
    reason: "The old state is wanted.",
  },
};

/** An event with plain contents, apart from the fields given. */
export function anEvent<T extends EventType>(type: T, fields: Fields<T> = {}, moment = at): TaskEventOf<T> {
  return Object.assign({}, plain[type], { at: moment }, fields);
}

/** A step as a caller wants it: two criteria, no checks. */
export function aWantedStep(fields: Partial<StepWanted> = {}): StepWanted {
  return { title: "A step", goal: "Build it.", passCriteria: ["It runs.", "It is tested."], checks: [], ...fields };
}

export const aCheck = { name: "tests", command: ["npm", "test"], timeoutSeconds: 300 } as const;

export function aCheckResult(fields: Partial<CheckResult> = {}): CheckResult {
  return {
    name: "tests",
    program: "/usr/bin/npm",
    exitCode: 0,
    timedOut: false,
    durationMs: 12,
    outputTail: "ok",
    ...fields,
  };
}

/** QA's judgement of a step: every criterion passes with evidence, those in `fails` do not. */
export function judgementsOf(step: Step, fails: readonly string[] = []) {
  return step.passCriteria.map(({ id }) => ({ id, pass: !fails.includes(id), evidence: `I looked at ${id}.` }));
}

export type Built = { readonly tree?: string | null; readonly checks?: readonly CheckResult[] };
export type Judged = { readonly fails?: readonly string[]; readonly tree?: string | null };

export type History = {
  readonly state: TaskState;
  /** What the last event led to. */
  readonly last: Accepted;
  /** What the person was told by the last event. */
  readonly notices: readonly Notice[];
  readonly taskStatus: TaskStatus;
  step(id?: string): Step;
  statuses(): Readonly<Record<string, StepStatus>>;
  runOf(stepId: string, role: Role): string;
  /** The decision on one more event, accepted or refused. */
  decide<T extends EventType>(type: T, fields?: Fields<T>): TaskDecision;
  /** The history with one more event; throws when it is refused. */
  and<T extends EventType>(type: T, fields?: Fields<T>): History;
  start(): History;
  /** A run is planned and confirmed. */
  launch(stepId: string, role: Role): History;
  /** The host says that the current run of the role is over. */
  endRun(stepId: string, role: Role, fields?: Fields<"RunEnded">): History;
  /** The builder's run from launch to end, reporting done, and the checks when the step has some. */
  build(stepId: string, built?: Built): History;
  /** QA's run from launch to end, with a report. */
  judge(stepId: string, judged?: Judged): History;
  /** build and judge with nothing to complain about; a review is only judged. */
  pass(stepId: string): History;
  /** build and judge with failing criteria. */
  fail(stepId: string, judged?: Judged & Built): History;
};

/** A task that was just created: one step of work, no acceptance review, unless the fields say otherwise. */
export function history(fields: Fields<"TaskCreated"> = {}): History {
  const created = transition(undefined, anEvent("TaskCreated", { steps: [aWantedStep()], ...fields }));
  if (!created.ok) throw new Error(`not created: ${created.code} ${created.reason}`);
  return continueFrom(created, 1);
}

function continueFrom(last: Accepted, length: number): History {
  const state = last.next;
  const step = (id = "step-01") => {
    const found = state.steps.find((one) => one.id === id);
    if (found === undefined) throw new Error(`no step ${id}`);
    return found;
  };
  const runOf = (stepId: string, role: Role) => seatOf(step(stepId), role).runId ?? "none";
  const decide: History["decide"] = (type, fields) => transition(state, anEvent(type, fields, momentOf(length)));
  const and: History["and"] = (type, fields) => {
    const decision = decide(type, fields);
    if (!decision.ok) throw new Error(`${type} was refused: ${decision.code} ${decision.reason}`);
    return continueFrom(decision, length + 1);
  };
  const self: History = {
    state,
    last,
    notices: last.effects.flatMap((effect) => (effect.type === "TellPerson" ? [effect.notice] : [])),
    taskStatus: state.task.status,
    step,
    statuses: () => Object.fromEntries(state.steps.map((one) => [one.id, one.status])),
    runOf,
    decide,
    and,
    start: () => and("TaskStarted"),
    launch(stepId, role) {
      const planned = and("RunPlanned", { stepId, role });
      return planned.and("RunLaunched", { stepId, runId: planned.runOf(stepId, role) });
    },
    endRun: (stepId, role, fields) => and("RunEnded", { stepId, runId: runOf(stepId, role), ...fields }),
    build(stepId, { tree = `tree-${step(stepId).attempt + 1}`, checks } = {}) {
      const running = self.launch(stepId, "builder");
      const reported = running.and("BuilderReported", { stepId, runId: running.runOf(stepId, "builder") });
      const ended = reported.endRun(stepId, "builder", { end: "reported", tree });
      if (ended.step(stepId).status !== "checking") return ended;
      const results = checks ?? ended.step(stepId).checks.map(({ name }) => aCheckResult({ name }));
      return ended.and("ChecksFinished", { stepId, attempt: ended.step(stepId).attempt, results });
    },
    judge(stepId, { fails = [], tree } = {}) {
      const running = self.launch(stepId, "qa");
      const criteria = judgementsOf(running.step(stepId), fails);
      const feedback = fails.length > 0 ? "Mend it." : "";
      const reported = running.and("QaReported", { stepId, runId: running.runOf(stepId, "qa"), criteria, feedback });
      const given = currentAttempt(reported.step(stepId))?.tree;
      return reported.endRun(stepId, "qa", { end: "reported", tree: tree ?? given?.built ?? given?.before ?? null });
    },
    pass: (stepId) => (step(stepId).kind === "review" ? self.judge(stepId) : self.build(stepId).judge(stepId)),
    fail: (stepId, { tree, checks, fails = ["c1"] } = {}) =>
      self
        .build(stepId, { ...(tree === undefined ? {} : { tree }), ...(checks === undefined ? {} : { checks }) })
        .judge(stepId, { fails }),
  };
  return self;
}

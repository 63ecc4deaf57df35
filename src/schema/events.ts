/**
 * What can happen, in the past tense. An event carries everything that the decision needs from outside (time, ids,
 * configured numbers), so that the same event on the same state always decides the same. Stored in the journal: readers
 * skip a `type` they do not know, and a changed meaning gets a new `v`.
 */
import { Type, type Static, type TProperties } from "@sinclair/typebox";
import { CheckResult, Check, Judgement, Origin, Role, RunEnd, TestRun, Usage, type Immutable } from "./documents.ts";

const closed = { additionalProperties: false } as const;
const text = () => Type.String();
function event<T extends string, P extends TProperties>(type: T, properties: P) {
  return Type.Object({ type: Type.Literal(type), v: Type.Literal(1), at: text(), ...properties }, closed);
}

/** Whose decision: a person's in a turn that the owner began, or the orchestrator's own. */
export const DecidedBy = Type.Union([Type.Literal("person"), Type.Literal("orchestrator")]);
export type DecidedBy = Static<typeof DecidedBy>;

export const ProjectCreated = event("ProjectCreated", {
  projectId: text(),
  name: text(),
  spec: text(),
  repo: text(),
  origin: Type.Optional(Origin),
});

/** A step as the caller wants it; ids and default dependencies are worked out by the transition. */
export const StepWanted = Type.Object(
  {
    id: Type.Optional(text()),
    title: text(),
    goal: text(),
    passCriteria: Type.Array(text()),
    dependsOn: Type.Optional(Type.Array(text())),
    checks: Type.Array(Check),
  },
  closed,
);
export type StepWanted = Immutable<Static<typeof StepWanted>>;

export const TaskCreated = event("TaskCreated", {
  taskId: text(),
  projectId: text(),
  title: text(),
  spec: text(),
  acceptanceCriteria: Type.Array(text()),
  steps: Type.Array(StepWanted),
  dependsOn: Type.Array(text()),
  maxAttempts: Type.Integer({ minimum: 1 }),
  acceptanceReview: Type.Boolean(),
  flowId: Type.Union([text(), Type.Null()]),
  origin: Type.Optional(Origin),
});
export const StepAdded = event("StepAdded", {
  by: DecidedBy,
  step: StepWanted,
  maxAttempts: Type.Integer({ minimum: 1 }),
});

/** `dependenciesDone`: every task in dependsOn was done when the caller looked (done never becomes undone). */
export const TaskStarted = event("TaskStarted", { dependenciesDone: Type.Boolean() });
export const TaskPaused = event("TaskPaused", { reason: text() });
/** The cancelled task that an open question is about does not count here: the task goes on without it. */
export const TaskResumed = event("TaskResumed", { by: DecidedBy, dependenciesDone: Type.Boolean(), reason: text() });
export const TaskCancelled = event("TaskCancelled", { by: DecidedBy, reason: text() });

/** `set_step_status`: `maxAttempts` is the configured allowance that a retry gets. */
export const StepDecided = event("StepDecided", {
  stepId: text(),
  status: Type.Union([
    Type.Literal("queued"),
    Type.Literal("passed"),
    Type.Literal("skipped"),
    Type.Literal("blocked"),
  ]),
  reason: text(),
  by: DecidedBy,
  maxAttempts: Type.Integer({ minimum: 1 }),
});

export const BuilderReported = event("BuilderReported", {
  stepId: text(),
  runId: text(),
  outcome: Type.Union([Type.Literal("done"), Type.Literal("blocked")]),
  summary: text(),
  filesChanged: Type.Array(text()),
  filesDeleted: Type.Array(text()),
  testsRun: Type.Array(TestRun),
  question: Type.Optional(text()),
});
export const QaReported = event("QaReported", {
  stepId: text(),
  runId: text(),
  criteria: Type.Array(Judgement),
  feedback: text(),
});
/** A report that was refused because its run is not the current one. */
export const LateReportArchived = event("LateReportArchived", {
  stepId: text(),
  runId: text(),
  role: Role,
  report: text(),
});

/** Who launches: lets a later process tell whether the launcher still lives. */
export const Launcher = Type.Object({ host: text(), pid: Type.Integer(), startedAt: text(), bootId: text() }, closed);
export type Launcher = Immutable<Static<typeof Launcher>>;

/** The intent to launch, committed before the host is asked. `agentId` is the OpenClaw agent whose session runs it. */
export const RunPlanned = event("RunPlanned", {
  stepId: text(),
  role: Role,
  agentId: text(),
  /** The tree as it is, null when it cannot be told; left out by a run that is to go on with an attempt, and opens none. */
  treeBefore: Type.Optional(Type.Union([text(), Type.Null()])),
  launcher: Launcher,
  /** Launch numbers to pass over: the host knows runs of a history that a rollback has made this journal forget. */
  launchesBefore: Type.Optional(Type.Integer({ minimum: 0 })),
});
export const RunLaunched = event("RunLaunched", { stepId: text(), runId: text() });
/**
 * The host says the run is over. `tree` is the working tree then, `files` what changed since the run began; null when not
 * known. `why` continues "The last one …", when more is known of a lost run than that it did not report.
 */
export const RunEnded = event("RunEnded", {
  stepId: text(),
  runId: text(),
  end: RunEnd,
  why: Type.Optional(text()),
  /** It counts only as long as the launch is not confirmed: the process that planned it lives, and may launch it late. */
  unlaunched: Type.Optional(Type.Literal(true)),
  usage: Type.Union([Usage, Type.Null()]),
  tree: Type.Union([text(), Type.Null()]),
  files: Type.Union([Type.Array(text()), Type.Null()]),
  /** Several steps may work at a time. That others did is seen in the state as well. */
  shared: Type.Boolean(),
  /** How many lost launches an attempt may have beside the first. */
  maxLostRuns: Type.Integer({ minimum: 0 }),
});
export const ChecksFinished = event("ChecksFinished", {
  stepId: text(),
  attempt: Type.Integer({ minimum: 1 }),
  results: Type.Array(CheckResult),
});

/** What the tasks this one waits for have come to: all done, or one was cancelled. */
export const DependenciesDone = event("DependenciesDone", {});
export const DependencyCancelled = event("DependencyCancelled", { taskId: text() });
/** OpenClaw's flow record was made (again) by the driver. */
export const FlowLinked = event("FlowLinked", { flowId: text() });
/**
 * A person goes on from an older journal. `seq` and `sum` name the record that the flow record knows and the journal
 * lacks; from now on it is not missed any more. `flowId` is the flow to go on with, null when a new one is to be made.
 */
export const RollbackAccepted = event("RollbackAccepted", {
  by: DecidedBy,
  seq: Type.Integer({ minimum: 1 }),
  sum: text(),
  flowId: Type.Union([text(), Type.Null()]),
  reason: text(),
});

export const TaskEvent = Type.Union([
  TaskCreated,
  StepAdded,
  TaskStarted,
  TaskPaused,
  TaskResumed,
  TaskCancelled,
  StepDecided,
  BuilderReported,
  QaReported,
  LateReportArchived,
  RunPlanned,
  RunLaunched,
  RunEnded,
  ChecksFinished,
  DependenciesDone,
  DependencyCancelled,
  FlowLinked,
  RollbackAccepted,
]);
export type TaskEvent = Immutable<Static<typeof TaskEvent>>;
export type TaskEventOf<T extends TaskEvent["type"]> = Extract<TaskEvent, { readonly type: T }>;
export const ProjectEvent = ProjectCreated;
export type ProjectEvent = Immutable<Static<typeof ProjectEvent>>;
export const Event = Type.Union([ProjectEvent, TaskEvent]);
export type Event = ProjectEvent | TaskEvent;

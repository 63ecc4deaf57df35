/**
 * The typed half of a tool's answer (`details`). It never reaches the model, whose text says the same in words. No key
 * here is one that the host reads as failure (`status`, `ok`, `error`, …).
 */
import { Type, type Static, type TProperties } from "@sinclair/typebox";
import { StepStatus, TaskStatus, Usage, type Immutable } from "./documents.ts";

const text = () => Type.String();
const count = () => Type.Integer({ minimum: 0 });
const object = <T extends TProperties>(properties: T) => Type.Object(properties, { additionalProperties: false });

export const ProjectCreatedDetails = object({ projectId: text(), projectPath: text(), repoPath: text() });
export const TaskCreatedDetails = object({
  taskId: text(),
  taskPath: text(),
  stepIds: Type.Array(text()),
  flowId: Type.Union([text(), Type.Null()]),
});
export const StepCreatedDetails = object({ taskId: text(), stepId: text() });
export const TaskChangedDetails = object({ taskId: text(), taskStatus: TaskStatus });
export const StepChangedDetails = object({ taskId: text(), stepId: text(), stepStatus: StepStatus, attempt: count() });
export const RefusedDetails = object({
  refused: object({ code: text(), reason: text(), accepts: Type.Array(text()) }),
});
export type RefusedDetails = Immutable<Static<typeof RefusedDetails>>;

/** What a task waits for: another task, a free slot, the working tree, a person's answer, or a live run. */
export const WaitsFor = object({
  taskId: text(),
  stepId: Type.Optional(text()),
  kind: Type.Union([
    Type.Literal("task"),
    Type.Literal("slot"),
    Type.Literal("tree"),
    Type.Literal("person"),
    Type.Literal("run"),
  ]),
  id: text(),
});
export type WaitsFor = Immutable<Static<typeof WaitsFor>>;

export const TaskSummary = object({
  taskId: text(),
  title: text(),
  taskStatus: TaskStatus,
  stepsFinished: count(),
  stepsTotal: count(),
  taskPath: text(),
});
export const ProjectSummary = object({
  projectId: text(),
  /** Absent, like `repoPath`, when the project cannot be read. */
  name: Type.Optional(text()),
  repoPath: Type.Optional(text()),
  /** How many tasks have each status; `unreadable` are those that are damaged or were written by a newer version. */
  tasks: Type.Record(Type.String(), count()),
  projectPath: text(),
  /** Why nothing here can be changed: the folder is a copy, or of a newer version. */
  readOnly: Type.Optional(text()),
  /** Why the project cannot be read: it is damaged, or of a newer version. */
  unreadable: Type.Optional(text()),
  /** What a person should know: what was edited by hand, what cannot be read or must not be written. */
  warnings: Type.Array(text()),
});
export const StepSummary = object({
  stepId: text(),
  title: text(),
  stepStatus: StepStatus,
  attempt: count(),
  maxAttempts: count(),
  passedBy: Type.Union([Type.Literal("qa"), Type.Literal("person"), Type.Null()]),
});

/** What a live run does now. `since`: when the tool began, or when the last event was where no tool runs. */
export const Activity = object({
  lastEvent: text(),
  lastEventAt: text(),
  tool: Type.Union([text(), Type.Null()]),
  since: text(),
});
export type Activity = Immutable<Static<typeof Activity>>;

/** Milliseconds; of what still goes on, until now. */
const durationMs = count;

export const StatusDetails = object({
  projects: Type.Array(ProjectSummary),
  project: Type.Optional(
    object({
      ...ProjectSummary.properties,
      taskList: Type.Array(TaskSummary),
      usage: Usage,
      pagePath: text(),
    }),
  ),
  task: Type.Optional(
    object({
      ...TaskSummary.properties,
      projectId: text(),
      dependsOn: Type.Array(text()),
      flowId: Type.Union([text(), Type.Null()]),
      questions: Type.Array(
        object({
          stepId: Type.Union([text(), Type.Null()]),
          questionId: text(),
          kind: text(),
          text: text(),
          choices: Type.Array(text()),
        }),
      ),
      steps: Type.Array(StepSummary),
      /** The runs that have not ended. */
      liveRuns: Type.Array(
        object({
          stepId: text(),
          runId: text(),
          role: text(),
          durationMs: durationMs(),
          activity: Type.Optional(Activity),
        }),
      ),
      usage: Usage,
      /** From its start to its end, or to now. */
      durationMs: durationMs(),
      warnings: Type.Array(text()),
      pagePath: text(),
    }),
  ),
  step: Type.Optional(
    object({
      ...StepSummary.properties,
      taskId: text(),
      criteria: Type.Array(
        object({
          id: text(),
          text: text(),
          pass: Type.Union([Type.Boolean(), Type.Null()]),
          evidence: Type.Union([text(), Type.Null()]),
        }),
      ),
      checks: Type.Array(object({ name: text(), exitCode: Type.Union([Type.Integer(), Type.Null()]) })),
      /** Those of the latest attempt. */
      runs: Type.Array(
        object({
          runId: text(),
          role: text(),
          startedAt: text(),
          endedAt: Type.Union([text(), Type.Null()]),
          end: Type.Union([text(), Type.Null()]),
          durationMs: durationMs(),
          /** Null until it has ended, or when the host could not say. */
          usage: Type.Union([Usage, Type.Null()]),
          activity: Type.Optional(Activity),
        }),
      ),
      /** The latest first. */
      attempts: Type.Array(object({ attempt: count(), usage: Usage, durationMs: durationMs() })),
      usage: Usage,
      pagePath: text(),
    }),
  ),
  waitsFor: Type.Array(WaitsFor),
  next: Type.Array(text()),
  truncated: Type.Boolean(),
  verify: Type.Optional(
    object({
      streams: count(),
      findings: Type.Array(object({ stream: text(), name: text(), what: text(), repaired: Type.Boolean() })),
    }),
  ),
});
export type StatusDetails = Immutable<Static<typeof StatusDetails>>;

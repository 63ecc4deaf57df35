/**
 * What follows from a decision, in the imperative. All but `TellPerson` are read off the state, so a restart finds the
 * same ones again; doing one twice is recognised by its run id or by the state it meets.
 */
import { Type, type Static, type TProperties } from "@sinclair/typebox";
import { Question, Role, type Immutable } from "./documents.ts";

const closed = { additionalProperties: false } as const;
const text = () => Type.String();
function effect<T extends string, P extends TProperties>(type: T, properties: P) {
  return Type.Object({ type: Type.Literal(type), ...properties }, closed);
}

/** What the person is told; ids and numbers of ours, and agents' text only where a template quotes it. */
export const Notice = Type.Union([
  Type.Object(
    { kind: Type.Literal("step-passed"), stepId: text(), by: Type.Union([Type.Literal("qa"), Type.Literal("person")]) },
    closed,
  ),
  Type.Object(
    {
      kind: Type.Literal("step-sent-back"),
      stepId: text(),
      attempt: Type.Integer(),
      failedChecks: Type.Array(text()),
      failedCriteria: Type.Array(text()),
    },
    closed,
  ),
  Type.Object(
    { kind: Type.Literal("question"), stepId: Type.Union([text(), Type.Null()]), question: Question },
    closed,
  ),
  Type.Object({ kind: Type.Literal("task-done") }, closed),
  Type.Object({ kind: Type.Literal("task-cancelled") }, closed),
]);
export type Notice = Immutable<Static<typeof Notice>>;

const run = { stepId: text(), role: Role, runId: text(), sessionKey: text() };

/** A run is due: commit the intent, then launch. */
export const PlanRun = effect("PlanRun", { stepId: text(), role: Role });
/** The intent stands, the launch is not confirmed: launch it if its launcher is this process, else settle it. */
export const LaunchRun = effect("LaunchRun", run);
/** The run is with the host: wait for its end. */
export const AwaitRun = effect("AwaitRun", { ...run, reported: Type.Boolean() });
/** The run has no right to go on: stop it and record its end. */
export const StopRun = effect("StopRun", run);
export const RunChecks = effect("RunChecks", { stepId: text(), attempt: Type.Integer() });
export const AwaitDependencies = effect("AwaitDependencies", { taskIds: Type.Array(text()) });
export const TellPerson = effect("TellPerson", { notice: Notice });

export const Effect = Type.Union([PlanRun, LaunchRun, AwaitRun, StopRun, RunChecks, AwaitDependencies, TellPerson]);
export type Effect = Immutable<Static<typeof Effect>>;
export type EffectOf<T extends Effect["type"]> = Extract<Effect, { readonly type: T }>;

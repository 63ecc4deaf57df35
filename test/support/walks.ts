/**
 * Random walks through the life of a task, for properties: a small random task, then events of which many fit the state
 * and some are plain wrong. A walk holds every step of the way, so that a property only has to look.
 */
import { assertNever } from "../../src/errors.ts";
import { recover } from "../../src/flow/recover.ts";
import { transition, type TaskDecision } from "../../src/flow/transition.ts";
import type { Role, Step, TaskState } from "../../src/schema/documents.ts";
import type { Effect } from "../../src/schema/effects.ts";
import type { StepWanted, TaskEvent, TaskEventOf } from "../../src/schema/events.ts";
import { aCheck, aCheckResult, anEvent, aWantedStep, judgementsOf, momentOf } from "./histories.ts";
import { fc } from "./properties.ts";

/** One event of a walk, with the state it met and what was decided. */
export type Stride = {
  readonly before: TaskState | undefined;
  readonly event: TaskEvent;
  readonly decision: TaskDecision;
  readonly after: TaskState;
};
export type Walk = readonly Stride[];

/** A task of one to four steps whose dependencies point backwards, with or without checks and review. */
const creation: fc.Arbitrary<TaskEventOf<"TaskCreated">> = fc
  .record({
    steps: fc.array(
      fc.record({
        dependsOn: fc.option(fc.array(fc.nat(3), { maxLength: 3 }), { nil: undefined }),
        checked: fc.boolean(),
      }),
      {
        minLength: 1,
        maxLength: 4,
      },
    ),
    maxAttempts: fc.integer({ min: 1, max: 4 }),
    acceptanceReview: fc.boolean(),
    dependsOn: fc.subarray(["other", "third"]),
  })
  .map(({ steps, ...rest }) => anEvent("TaskCreated", { ...rest, steps: steps.map(wantedStep) }));

function wantedStep(
  { dependsOn, checked }: { readonly dependsOn: readonly number[] | undefined; readonly checked: boolean },
  at: number,
): StepWanted {
  const earlier =
    dependsOn === undefined
      ? undefined
      : [...new Set(dependsOn.filter((index) => index < at))].map((index) => `step-0${index + 1}`);
  return aWantedStep({ checks: checked ? [aCheck] : [], ...(earlier === undefined ? {} : { dependsOn: earlier }) });
}

/** `pick` chooses among the events that fit the state; `wild` is taken instead when there is one. */
type Move = { readonly pick: number; readonly wild: TaskEvent | undefined };

const id = fc.constantFrom("step-01", "step-02", "step-03", "acceptance", "nowhere");
const role = fc.constantFrom<Role>("builder", "qa");
const runId = fc
  .tuple(id, fc.integer({ min: 1, max: 3 }), role, fc.integer({ min: 1, max: 3 }))
  .map(([stepId, attempt, who, launch]) => ({ stepId, runId: `task-1/${stepId}/${attempt}/${who}/${launch}` }));
const by = fc.constantFrom("person" as const, "orchestrator" as const);
const judgement = fc.record({
  id: fc.constantFrom("c1", "c2", "a1", "c9"),
  pass: fc.boolean(),
  evidence: fc.constantFrom("", "I saw it."),
});

/** Any event, whether it fits or not. */
const anything: fc.Arbitrary<TaskEvent> = fc.oneof(
  fc.constant(anEvent("TaskCreated", { steps: [aWantedStep()] })),
  fc
    .record({ by, dependsOn: fc.array(id, { maxLength: 2 }) })
    .map((any) => anEvent("StepAdded", { by: any.by, step: aWantedStep({ dependsOn: any.dependsOn }) })),
  fc.boolean().map((dependenciesDone) => anEvent("TaskStarted", { dependenciesDone })),
  fc.constant(anEvent("TaskPaused")),
  fc.record({ by, dependenciesDone: fc.boolean() }).map((any) => anEvent("TaskResumed", any)),
  by.map((who) => anEvent("TaskCancelled", { by: who })),
  fc
    .record({
      stepId: id,
      by,
      status: fc.constantFrom("queued" as const, "passed" as const, "skipped" as const, "blocked" as const),
    })
    .map((any) => anEvent("StepDecided", any)),
  fc
    .tuple(runId, fc.boolean())
    .map(([any, done]) => anEvent("BuilderReported", { ...any, outcome: done ? "done" : "blocked" })),
  fc
    .tuple(runId, fc.array(judgement, { maxLength: 3 }))
    .map(([any, criteria]) => anEvent("QaReported", { ...any, criteria })),
  fc.tuple(runId, role).map(([any, who]) => anEvent("LateReportArchived", { ...any, role: who })),
  fc.record({ stepId: id, role }).map((any) => anEvent("RunPlanned", any)),
  runId.map((any) => anEvent("RunLaunched", any)),
  fc
    .tuple(runId, fc.constantFrom("reported" as const, "lost" as const, "stopped" as const, "gateway" as const))
    .map(([any, end]) => anEvent("RunEnded", { ...any, end })),
  fc
    .record({ stepId: id, attempt: fc.integer({ min: 1, max: 3 }) })
    .map((any) => anEvent("ChecksFinished", { ...any, results: [aCheckResult()] })),
  fc.constant(anEvent("DependenciesDone")),
  fc.constantFrom("other", "third", "foreign").map((taskId) => anEvent("DependencyCancelled", { taskId })),
  fc.constantFrom("flow-1", "flow-2").map((flowId) => anEvent("FlowLinked", { flowId })),
  fc.record({ by, flowId: fc.constantFrom("flow-1", null) }).map((any) => anEvent("RollbackAccepted", any)),
);

const moves: fc.Arbitrary<readonly Move[]> = fc.array(
  fc.record({
    pick: fc.nat(),
    wild: fc.oneof({ weight: 6, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: anything }),
  }),
  { maxLength: 60, size: "max" },
);

/** Walks of up to sixty events. Prints as the list of events, so that a failure can be read. */
export const walks: fc.Arbitrary<Walk> = fc.tuple(creation, moves).map(([created, chosen]) => walk(created, chosen));

function walk(created: TaskEvent, chosen: readonly Move[]): Walk {
  const strides: Stride[] = [];
  let state = stride(strides, undefined, created);
  for (const [at, { pick, wild }] of chosen.entries()) {
    if (state === undefined) break;
    const fitting = fittingEvents(state);
    const event = wild ?? fitting[pick % Math.max(1, fitting.length)] ?? anEvent("TaskPaused");
    state = stride(strides, state, { ...event, at: momentOf(at + 1) });
  }
  return strides;
}

function stride(strides: Stride[], before: TaskState | undefined, event: TaskEvent): TaskState | undefined {
  const decision = transition(before, event);
  const after = decision.ok ? decision.next : before;
  if (after !== undefined) strides.push({ before, event, decision, after: freeze(after) });
  return after;
}

/** Frozen through and through, so that a decision that changes its input fails loudly. */
function freeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(freeze);
  }
  return value;
}

/** Events that the world could bring now: answers to what is due, and what people might do. Mostly accepted. */
function fittingEvents(state: TaskState): readonly TaskEvent[] {
  const due = recover(state, { parallelSteps: 2 }).flatMap((effect) => outcomesOf(state, effect));
  const asked = state.steps.filter((step) => step.question !== null).flatMap((step) => decisionsOn(step));
  // What is due stands six times, so that walks get somewhere before somebody interferes.
  return [...Array.from({ length: 6 }, () => due).flat(), ...asked, ...asked, ...interference(state), ...haste(state)];
}

function outcomesOf(state: TaskState, effect: Effect): readonly TaskEvent[] {
  switch (effect.type) {
    case "PlanRun":
      return [anEvent("RunPlanned", { stepId: effect.stepId, role: effect.role, treeBefore: "tree-0" })];
    case "LaunchRun":
    case "AwaitRun":
    case "StopRun": {
      const { stepId, runId: current } = effect;
      const run = { stepId, runId: current };
      const ended = (["tree-1", "tree-1", "tree-2", null] as const).map((tree) =>
        anEvent("RunEnded", { ...run, end: "reported", tree, files: ["a.txt"] }),
      );
      if (effect.type === "StopRun" || (effect.type === "AwaitRun" && effect.reported)) return ended;
      const step = state.steps.find((one) => one.id === stepId);
      const lost = [anEvent("RunEnded", { ...run, maxLostRuns: 1 }), anEvent("RunEnded", { ...run, end: "gateway" })];
      const launched = effect.type === "LaunchRun" ? [anEvent("RunLaunched", run)] : [];
      return [...launched, ...lost, ...(step === undefined ? [] : reportsOf(step, effect.role, run))];
    }
    case "RunChecks":
      return [0, 0, 1].map((exitCode) =>
        anEvent("ChecksFinished", {
          stepId: effect.stepId,
          attempt: effect.attempt,
          results: [aCheckResult({ exitCode })],
        }),
      );
    case "AwaitDependencies":
      return [
        anEvent("DependenciesDone"),
        ...effect.taskIds.map((taskId) => anEvent("DependencyCancelled", { taskId })),
      ];
    case "TellPerson":
      return [];
    default:
      return assertNever(effect);
  }
}

function reportsOf(
  step: Step,
  who: Role,
  run: { readonly stepId: string; readonly runId: string },
): readonly TaskEvent[] {
  if (who === "qa") {
    const fails = step.passCriteria.slice(0, 1).map((criterion) => criterion.id);
    const pass = anEvent("QaReported", { ...run, criteria: judgementsOf(step) });
    const fail = anEvent("QaReported", { ...run, criteria: judgementsOf(step, fails), feedback: "Mend it." });
    const sloppy = [judgementsOf(step).slice(1), judgementsOf(step).map((one) => ({ ...one, evidence: " " }))];
    return [pass, fail, pass, fail, ...sloppy.map((criteria) => anEvent("QaReported", { ...run, criteria }))];
  }
  const done = anEvent("BuilderReported", run);
  return [done, done, done, anEvent("BuilderReported", { ...run, outcome: "blocked", question: "Which?" })];
}

function decisionsOn(step: Step): readonly TaskEvent[] {
  return (["queued", "passed", "skipped"] as const).map((status) =>
    anEvent("StepDecided", { stepId: step.id, status }),
  );
}

function interference(state: TaskState): readonly TaskEvent[] {
  const { task } = state;
  if (task.status === "draft") return [anEvent("TaskStarted"), anEvent("TaskStarted", { dependenciesDone: false })];
  if (task.status === "paused") return [anEvent("TaskResumed", { dependenciesDone: false }), anEvent("TaskResumed")];
  if (task.question !== null) return [anEvent("TaskResumed", { dependenciesDone: false }), anEvent("TaskPaused")];
  const first = state.steps.find((step) => step.status !== "passed" && step.status !== "skipped");
  const held =
    first === undefined ? [] : [anEvent("StepDecided", { stepId: first.id, status: "blocked", by: "orchestrator" })];
  const late = state.steps
    .flatMap((step) => step.attempts.slice(0, 1).flatMap((attempt) => attempt.runs.slice(0, 1)))
    .slice(0, 1);
  return [
    anEvent("TaskPaused"),
    ...held,
    ...(state.steps.length < 7 ? [anEvent("StepAdded")] : []),
    ...late.map((run) => anEvent("LateReportArchived", { stepId: run.runId.split("/")[1] ?? "", runId: run.runId })),
    anEvent("FlowLinked", { flowId: `flow-${task.rev}` }),
    ...(state.steps.every((step) => step.attempt > 0) ? [anEvent("TaskCancelled")] : []),
  ];
}

/** Runs and checks of the first step that can change, before their time or in a task that may not launch: refused. */
function haste(state: TaskState): readonly TaskEvent[] {
  const step = state.steps.find((one) => one.status !== "passed" && one.status !== "skipped");
  if (step === undefined) return [];
  const { id: stepId, attempt } = step;
  if (step.status === "checking") return [anEvent("ChecksFinished", { stepId, attempt, results: [aCheckResult()] })];
  return [anEvent("RunPlanned", { stepId, role: step.status === "reviewing" ? "qa" : "builder" })];
}

/** The friendly answer to what the state asks for, which leads a task to its end. Undefined when nothing is left. */
export function friendlyEvent(state: TaskState): TaskEvent | undefined {
  const { task } = state;
  const [due] = recover(state, { parallelSteps: 1 });
  const outcome =
    due === undefined
      ? undefined
      : outcomesOf(state, due).find((event) => event.type !== "RunEnded" || due.type !== "LaunchRun");
  if (due !== undefined && (due.type !== "AwaitRun" || due.reported)) return outcome;
  if (due?.type === "AwaitRun") {
    const step = state.steps.find((one) => one.id === due.stepId);
    return step === undefined ? undefined : reportsOf(step, due.role, { stepId: due.stepId, runId: due.runId })[0];
  }
  if (task.status === "done" || task.status === "cancelled") return undefined;
  if (task.status === "draft") return anEvent("TaskStarted");
  if (task.status === "paused") return anEvent("TaskResumed", { dependenciesDone: task.question === null });
  if (task.question !== null) return anEvent("TaskResumed");
  const asking = state.steps.find((step) => step.question !== null);
  return asking === undefined ? undefined : anEvent("StepDecided", { stepId: asking.id, status: "queued" });
}

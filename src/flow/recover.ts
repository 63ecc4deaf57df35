/**
 * What is due in a state, read off the state alone: the same after a restart as before it. The order is the order in
 * which it should be done. Pure: no clock, no I/O.
 */
import type { Effect } from "../schema/effects.ts";
import type { Role, Step, TaskState } from "../schema/documents.ts";
import { dueRole, holdsTree, mayLaunch, openRuns, ready, seatOf } from "./ready.ts";

/** How many steps of one task may hold the working tree at a time. */
export type Limits = { readonly parallelSteps: number };

/** Everything that is due now. Runs and checks that may not start (paused, waiting, ended) are left out; live runs never are. */
export function recover(state: TaskState, limits: Limits): readonly Effect[] {
  const running = state.steps.flatMap(dueForOpenRuns);
  // A run that was planned and not launched yet waits with the task.
  if (!mayLaunch(state))
    return [...running.filter((effect) => effect.type !== "LaunchRun"), ...dueForDependencies(state)];
  const going = state.steps.filter(holdsTree);
  const continued = going.flatMap((step) => [...dueChecks(step), ...duePlan(step)]);
  const free = Math.max(0, limits.parallelSteps - going.length);
  const ending = new Set(state.steps.filter((step) => openRuns(step).length > 0).map(({ id }) => id));
  const started = ready(state.steps)
    // One of a kind that this version does not know takes nobody's place.
    .filter((step) => !holdsTree(step) && dueRole(step) !== undefined)
    // A step that has passed is built upon when the run that passed it has ended.
    .filter((step) => !step.dependsOn.some((id) => ending.has(id)))
    .slice(0, free)
    .flatMap(duePlan);
  return [...running, ...continued, ...started];
}

/** True when nothing will ever be due again unless somebody calls a tool. Pure. */
export function isAtRest(state: TaskState): boolean {
  return recover(state, { parallelSteps: 1 }).length === 0;
}

function dueForOpenRuns(step: Step): readonly Effect[] {
  return openRuns(step).flatMap((run): readonly Effect[] => {
    const role: Role = run.role === "qa" ? "qa" : "builder";
    const seat = seatOf(step, role);
    if (seat.runId !== run.runId || seat.sessionKey === null) return [];
    const where = { stepId: step.id, role, runId: run.runId, sessionKey: seat.sessionKey };
    if (seat.status === "stopped") return [{ type: "StopRun", ...where }];
    if (seat.status === "launching") return [{ type: "LaunchRun", ...where }];
    return [{ type: "AwaitRun", ...where, reported: seat.status === "reported" }];
  });
}

function dueChecks(step: Step): readonly Effect[] {
  const due = step.status === "checking" && openRuns(step).length === 0;
  return due ? [{ type: "RunChecks", stepId: step.id, attempt: step.attempt }] : [];
}

function duePlan(step: Step): readonly Effect[] {
  const role = dueRole(step);
  return role === undefined ? [] : [{ type: "PlanRun", stepId: step.id, role }];
}

function dueForDependencies(state: TaskState): readonly Effect[] {
  const { task } = state;
  return task.status === "waiting" && task.question === null
    ? [{ type: "AwaitDependencies", taskIds: task.dependsOn }]
    : [];
}

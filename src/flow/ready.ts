/**
 * Readings of a task's state that more than one decision needs: which steps may start, which are live, which runs are
 * open. Pure: no clock, no I/O.
 */
import type { Attempt, Role, Run, Seat, Step, StepStatus, TaskState } from "../schema/documents.ts";

/** What one step needs of another. Open for conditions later; today every edge has the same `on`. */
export type Edge = { readonly from: string; readonly on: readonly StepStatus[] };

export const acceptanceId = "acceptance";

/** The edges that lead into a step. Pure. */
export function edgesOf(step: Pick<Step, "dependsOn">): readonly Edge[] {
  return step.dependsOn.map((from) => ({ from, on: ["passed", "skipped"] }));
}

/** True when the step is being worked on: it has the right to a run or a check now. Pure. */
export function isLive(step: Pick<Step, "status">): boolean {
  return step.status === "building" || step.status === "checking" || step.status === "reviewing";
}

/** True when the step will not change any more. Pure. */
export function isFinished(step: Pick<Step, "status">): boolean {
  return step.status === "passed" || step.status === "skipped" || step.status === "cancelled";
}

/** The latest attempt, or undefined before the first launch. Pure. */
export function currentAttempt(step: Pick<Step, "attempts">): Attempt | undefined {
  return step.attempts.at(-1);
}

/** The runs of a step that the host has not yet been seen to end. At most one a role; usually none or one. Pure. */
export function openRuns(step: Pick<Step, "attempts">): readonly Run[] {
  return (currentAttempt(step)?.runs ?? []).filter((run) => run.endedAt === null);
}

/**
 * The tree that QA is given in the attempt: the one that its builder left, or, where a step has no builder, the one that the attempt began with. Null
 * while it is not known. Pure.
 */
export function treeForQa(step: Pick<Step, "kind">, { tree }: Pick<Attempt, "tree">): string | null {
  return step.kind === "review" ? tree.before : tree.built;
}

/** True when the step holds the working tree: it is live, or a run of it has not ended. Pure. */
export function holdsTree(step: Step): boolean {
  return isLive(step) || openRuns(step).length > 0;
}

/** True when another step is worked on, or a run of it ended only after the first run of the step's attempt had begun. Pure. */
export function sharesTree(step: Step, steps: readonly Step[]): boolean {
  const [first] = currentAttempt(step)?.runs ?? [];
  const endedSince = ({ endedAt }: Run) => endedAt !== null && first !== undefined && endedAt > first.startedAt;
  return steps.some(
    (other) => other.id !== step.id && (holdsTree(other) || other.attempts.some(({ runs }) => runs.some(endedSince))),
  );
}

/** Queued steps whose dependencies are met, in order of index, whatever else runs. Pure. */
export function ready(steps: readonly Step[]): readonly Step[] {
  const met = edgeTest(steps);
  return steps
    .filter((step) => step.status === "queued" && edgesOf(step).every(met))
    .toSorted((one, other) => one.index - other.index);
}

/** True when the step's dependencies are met, whatever its own status. Pure. */
export function isMet(step: Pick<Step, "dependsOn">, steps: readonly Step[]): boolean {
  return edgesOf(step).every(edgeTest(steps));
}

function edgeTest(steps: readonly Step[]): (edge: Edge) => boolean {
  const statusOf = new Map(steps.map((step) => [step.id, step.status]));
  return (edge) => edge.on.includes(statusOf.get(edge.from) ?? "queued");
}

/** The role whose run a step needs next, or undefined when none is due: open runs, checks or answers come first. Pure. */
export function dueRole(step: Step): Role | undefined {
  if (openRuns(step).length > 0) return undefined;
  if (step.status === "queued") return step.kind === "work" ? "builder" : step.kind === "review" ? "qa" : undefined;
  if (step.status === "building" && step.builder.status === "lost") return "builder";
  if (step.status === "reviewing" && (step.qa.status === "idle" || step.qa.status === "lost")) return "qa";
  return undefined;
}

/** True when runs and checks of the task may be started; in a blocked one none is due. Pure. */
export function mayLaunch(state: TaskState): boolean {
  return state.task.status === "running";
}

/** The seat of a role. Pure. */
export function seatOf(step: Step, role: Role): Seat {
  return role === "builder" ? step.builder : step.qa;
}

/**
 * A circle in the dependencies as the ids on it, first one repeated at the end, or undefined. Ids that are not among
 * the nodes are ignored. Pure; linear, without recursion.
 */
export function findCycle(
  nodes: readonly { readonly id: string; readonly dependsOn: readonly string[] }[],
): readonly string[] | undefined {
  const dependsOn = new Map(nodes.map((node) => [node.id, node.dependsOn]));
  const finished = new Set<string>();
  for (const { id: start } of nodes) {
    const path: string[] = [];
    const onPath = new Map<string, number>();
    const pending: { readonly id: string; next: number }[] = [{ id: start, next: 0 }];
    for (let top = pending.at(-1); top !== undefined; top = pending.at(-1)) {
      if (top.next === 0) {
        if (finished.has(top.id)) {
          pending.pop();
          continue;
        }
        const seenAt = onPath.get(top.id);
        if (seenAt !== undefined) return [...path.slice(seenAt), top.id];
        onPath.set(top.id, path.length);
        path.push(top.id);
      }
      const child = dependsOn.get(top.id)?.[top.next];
      top.next += 1;
      if (child === undefined) {
        finished.add(top.id);
        path.pop();
        pending.pop();
      } else pending.push({ id: child, next: 0 });
    }
  }
  return undefined;
}

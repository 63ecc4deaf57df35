/**
 * What the two reporting tools share: which step a report is for follows from the session and the host's run id of the
 * call, never from a parameter; a report that comes too late is kept without effect.
 */
import { refuse, type Refusal } from "../errors.ts";
import { placeOfSession } from "../flow/run-identity.ts";
import { seatOf } from "../flow/ready.ts";
import { bounds, firstBytes } from "../schema/bounds.ts";
import type { Role, Step, TaskState } from "../schema/documents.ts";
import type { TaskEvent } from "../schema/events.ts";
import { answerStep } from "./set-step-status.ts";
import { actorOf, changeTask, findTask, type Answer, type Call } from "./tool.ts";

export type CurrentRun = { readonly state: TaskState; readonly step: Step; readonly runId: string };

/** Records a report of the current run; `toEvent` may still refuse it after looking at the step. */
export async function recordReport(
  role: Role,
  { desk, caller, tool, callId }: Call,
  report: unknown,
  toEvent: (run: CurrentRun) => Promise<TaskEvent | Refusal> | TaskEvent | Refusal,
): Promise<Answer | Refusal> {
  const place = placeOfSession(caller.sessionKey);
  const { runId } = caller;
  if (place === undefined || runId === undefined)
    return refuse("not-in-run", `${tool} is accepted only inside a model turn of the run that it reports for.`, [
      "a call by the run itself",
    ]);
  const stream = await findTask(desk, place.taskId);
  if (stream === undefined) return notCurrent(runId);
  const currentStep = (state: TaskState | undefined) => {
    const step = state?.steps.find((one) => one.id === place.stepId);
    return step !== undefined && isCurrent(step, role, runId, caller.sessionKey) ? step : undefined;
  };
  const changed = await changeTask(desk, stream, {
    tool,
    callId,
    actor: actorOf(caller),
    toEvent(state) {
      const step = currentStep(state);
      return state === undefined || step === undefined ? notCurrent(runId) : toEvent({ state, step, runId });
    },
    again: (state, event) => (currentStep(state) === undefined ? notCurrent(runId) : event),
  });
  if (changed.ok) return answerStep(changed.state, place.stepId);
  if (changed.code === "run-not-current") {
    // Kept beside the refusal; when it cannot be kept (three are, or the run was never ours) the refusal stands alone.
    await changeTask(desk, stream, {
      tool,
      callId: `${callId}-late`,
      actor: actorOf(caller),
      toEvent: () => ({
        type: "LateReportArchived",
        v: 1,
        at: desk.now().toISOString(),
        stepId: place.stepId,
        runId,
        role,
        report: firstBytes(JSON.stringify(report) ?? "", bounds.noteBytes),
      }),
    });
  }
  return changed;
}

function isCurrent(step: Step, role: Role, runId: string, sessionKey: string): boolean {
  const seat = seatOf(step, role);
  return (
    seat.runId === runId && seat.sessionKey === sessionKey && (seat.status === "launching" || seat.status === "running")
  );
}

function notCurrent(runId: string): Refusal {
  return refuse(
    "run-not-current",
    `Run ${runId} is over or was replaced; its report changes nothing and nothing more is expected from it.`,
  );
}

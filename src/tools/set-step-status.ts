/** set_step_status: a decision about one step; the answer to its open question when there is one. */
import { SetStepStatusParameters } from "../schema/parameters.ts";
import type { TaskEvent } from "../schema/events.ts";
import { changeTaskById, decidedBy, defineTool, type Answer } from "./tool.ts";

export const setStepStatus = defineTool({
  name: "set_step_status",
  label: "Set step status",
  description: "Carry out the person's decision about a step, or answer its open question.",
  audience: "orchestrator",
  parameters: SetStepStatusParameters,
  run({ taskId, stepId, status, reason }, call) {
    const { desk, caller } = call;
    const toEvent = (): TaskEvent => ({
      type: "StepDecided",
      v: 1,
      at: desk.now().toISOString(),
      stepId,
      status,
      reason,
      by: decidedBy(caller),
      maxAttempts: desk.settings.maxAttempts,
    });
    return changeTaskById(call, taskId, { toEvent, again: toEvent }, ({ state }) => answerStep(state, stepId));
  },
});

/** The answer of every tool that moves a step. Pure. */
export function answerStep(
  state: { readonly task: { readonly id: string }; readonly steps: readonly StepLike[] },
  stepId: string,
): Answer {
  const step = state.steps.find((one) => one.id === stepId);
  const stepStatus = step?.status ?? "queued";
  const attempt = step?.attempt ?? 0;
  return {
    text: `Step ${stepId} of task ${state.task.id} is now ${stepStatus}.`,
    details: { taskId: state.task.id, stepId, stepStatus, attempt },
  };
}

type StepLike = { readonly id: string; readonly status: string; readonly attempt: number };

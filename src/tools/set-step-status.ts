/** set_step_status: a decision about one step; the answer to its open question when there is one. */
import { SetStepStatusParameters } from "../schema/parameters.ts";
import { unknownTask } from "./start-task.ts";
import { actorOf, changeTask, decidedBy, defineTool, findTask } from "./tool.ts";

export const setStepStatus = defineTool({
  name: "set_step_status",
  label: "Set step status",
  description: "Carry out the person's decision about a step, or answer its open question.",
  audience: "orchestrator",
  parameters: SetStepStatusParameters,
  async run({ taskId, stepId, status, reason }, { desk, caller, tool, callId }) {
    const stream = await findTask(desk, taskId);
    if (stream === undefined) return unknownTask(taskId);
    const changed = await changeTask(desk, stream, {
      tool,
      callId,
      actor: actorOf(caller),
      toEvent: () => ({
        type: "StepDecided",
        v: 1,
        at: desk.now().toISOString(),
        stepId,
        status,
        reason,
        by: decidedBy(caller),
        maxAttempts: desk.settings.maxAttempts,
      }),
    });
    return changed.ok ? answerStep(changed.state, stepId) : changed;
  },
});

/** The answer of every tool that moves a step. Pure. */
export function answerStep(
  state: { readonly task: { readonly id: string }; readonly steps: readonly StepLike[] },
  stepId: string,
) {
  const step = state.steps.find((one) => one.id === stepId);
  const stepStatus = step?.status ?? "queued";
  const attempt = step?.attempt ?? 0;
  return {
    text: `Step ${stepId} of task ${state.task.id} is now ${stepStatus}.`,
    details: { taskId: state.task.id, stepId, stepStatus, attempt },
  };
}

type StepLike = { readonly id: string; readonly status: string; readonly attempt: number };

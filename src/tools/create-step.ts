/** create_step: one more step for a task that has not ended, before its acceptance review. */
import type { TaskEvent } from "../schema/events.ts";
import { CreateStepParameters } from "../schema/parameters.ts";
import { asWanted, refuseChecks } from "./create-task.ts";
import { changeTaskById, decidedBy, defineTool } from "./tool.ts";

export const createStep = defineTool({
  name: "create_step",
  label: "Create step",
  description: "Add a step at the end of a task that has not ended.",
  audience: "orchestrator",
  parameters: CreateStepParameters,
  async run({ taskId, ...step }, call) {
    const { desk, caller } = call;
    const refused = refuseChecks(desk, step.checks ?? []);
    if (refused !== undefined) return refused;
    const toEvent = (): TaskEvent => ({
      type: "StepAdded",
      v: 1,
      at: desk.now().toISOString(),
      by: decidedBy(caller),
      step: asWanted(step),
      maxAttempts: desk.settings.maxAttempts,
    });
    return changeTaskById(call, taskId, { toEvent, again: toEvent }, ({ state }) => {
      const stepId = state.steps.findLast((one) => one.kind === "work")?.id ?? "";
      return { text: `Step ${stepId} is added to task ${taskId}.`, details: { taskId, stepId } };
    });
  },
});

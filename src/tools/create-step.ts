/** create_step: one more step for a task that has not ended, before its acceptance review. */
import { refuse } from "../errors.ts";
import { CreateStepParameters } from "../schema/parameters.ts";
import { asWanted, refuseChecks } from "./create-task.ts";
import { actorOf, changeTask, decidedBy, defineTool, findTask } from "./tool.ts";
import { unknownTask } from "./start-task.ts";

export const createStep = defineTool({
  name: "create_step",
  label: "Create step",
  description: "Add a step at the end of a task that has not ended.",
  audience: "orchestrator",
  parameters: CreateStepParameters,
  async run({ taskId, ...step }, { desk, caller, tool, callId }) {
    const refused = refuseChecks(desk, step.checks ?? []);
    if (refused !== undefined) return refused;
    const stream = await findTask(desk, taskId);
    if (stream === undefined) return unknownTask(taskId);
    const changed = await changeTask(desk, stream, {
      tool,
      callId,
      actor: actorOf(caller),
      toEvent: () => ({
        type: "StepAdded",
        v: 1,
        at: desk.now().toISOString(),
        by: decidedBy(caller),
        step: asWanted(step),
        maxAttempts: desk.settings.maxAttempts,
      }),
    });
    if (!changed.ok) return changed;
    const added = changed.state.steps.findLast((one) => one.kind === "work");
    if (added === undefined) return refuse("bug", "The added step is not there.");
    return { text: `Step ${added.id} is added to task ${taskId}.`, details: { taskId, stepId: added.id } };
  },
});

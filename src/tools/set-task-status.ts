/** set_task_status: pause, go on, cancel. */
import { SetTaskStatusParameters } from "../schema/parameters.ts";
import type { TaskEvent } from "../schema/events.ts";
import { assertNever } from "../errors.ts";
import { dependenciesOf, unknownTask } from "./start-task.ts";
import { actorOf, changeTask, decidedBy, defineTool, findTask } from "./tool.ts";

export const setTaskStatus = defineTool({
  name: "set_task_status",
  label: "Set task status",
  description: "Pause a task, let it go on, or cancel it for good.",
  audience: "orchestrator",
  parameters: SetTaskStatusParameters,
  async run({ taskId, status, reason = "" }, { desk, caller, tool, callId }) {
    const stream = await findTask(desk, taskId);
    if (stream === undefined) return unknownTask(taskId);
    const by = decidedBy(caller);
    const changed = await changeTask(desk, stream, {
      tool,
      callId,
      actor: actorOf(caller),
      async toEvent(state): Promise<TaskEvent> {
        const at = desk.now().toISOString();
        switch (status) {
          case "running": {
            const { done, cancelled } = await dependenciesOf(desk, state);
            return { type: "TaskResumed", v: 1, at, by, dependenciesDone: done, without: cancelled, reason };
          }
          case "paused":
            return { type: "TaskPaused", v: 1, at, reason };
          case "cancelled":
            return { type: "TaskCancelled", v: 1, at, by, reason };
          default:
            return assertNever(status);
        }
      },
    });
    if (!changed.ok) return changed;
    const taskStatus = changed.state.task.status;
    return { text: `Task ${taskId} is now ${taskStatus}.`, details: { taskId, taskStatus } };
  },
});

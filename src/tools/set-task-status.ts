/** set_task_status: pause, go on, cancel. */
import { SetTaskStatusParameters } from "../schema/parameters.ts";
import type { TaskState } from "../schema/documents.ts";
import type { TaskEvent } from "../schema/events.ts";
import { assertNever } from "../errors.ts";
import { askedDependency } from "../flow/transition.ts";
import { rememberStarter } from "./chat-of-task.ts";
import type { Stream } from "../store/store.ts";
import { refuseRollback, type Rollback } from "./rollback.ts";
import { areDependenciesDone } from "./start-task.ts";
import { changeTaskById, decidedBy, defineTool, type Changed } from "./tool.ts";

export const setTaskStatus = defineTool({
  name: "set_task_status",
  label: "Set task status",
  description: "Pause a task, let it go on, or cancel it for good.",
  audience: "orchestrator",
  parameters: SetTaskStatusParameters,
  run({ taskId, status, reason = "" }, call) {
    const { desk, caller } = call;
    const by = decidedBy(caller);
    const request = {
      onRollback: (rollback: Rollback) =>
        status === "running" && by === "person" && reason.trim() !== ""
          ? goOn(rollback, desk.now(), reason)
          : refuseRollback(rollback),
      async toEvent(state: TaskState | undefined): Promise<TaskEvent> {
        const at = desk.now().toISOString();
        switch (status) {
          case "running": {
            const asked = state === undefined ? undefined : askedDependency(state.task);
            const dependenciesDone = await areDependenciesDone(desk, state, asked);
            return { type: "TaskResumed", v: 1, at, by, dependenciesDone, reason };
          }
          case "paused":
            return { type: "TaskPaused", v: 1, at, reason };
          case "cancelled":
            return { type: "TaskCancelled", v: 1, at, by, reason };
          default:
            return assertNever(status);
        }
      },
      ...(status === "running"
        ? { afterCommit: async (stream: Stream) => void (await rememberStarter(desk.store, stream, caller)) }
        : {}),
    };
    return changeTaskById(call, taskId, request, ({ state, event }: Changed) => {
      const taskStatus = state.task.status;
      const text =
        event.type === "RollbackAccepted"
          ? `Task ${taskId} goes on from the older state that was restored; there it is ${taskStatus}.`
          : `Task ${taskId} is now ${taskStatus}.${isStillAsked({ state, event }) ? " Its question is still open; get_status says how to answer it." : ""}`;
      return { text, details: { taskId, taskStatus } };
    });
  },
});

/** True when the call ended the pause of a task that waits for an answer: it takes another one to answer it. Pure. */
function isStillAsked({ state, event }: Pick<Changed, "state" | "event">): boolean {
  return event.type === "TaskResumed" && state.task.question !== null;
}

/** The owner takes the older state as it is; what it was paused or asked for stays so. Pure. */
function goOn({ mark }: Rollback, at: Date, reason: string): TaskEvent {
  const { seq, sum, ended, flowId } = mark;
  return {
    type: "RollbackAccepted",
    v: 1,
    at: at.toISOString(),
    by: "person",
    seq,
    sum,
    flowId: ended ? null : flowId,
    reason,
  };
}

import type { Rules } from "./rules.ts";

/** Task Flow, driver, lease, roots, rollback, roles. */
export const taskFlow = {
  "s7.rolled-back-is-read-only":
    "A task whose journal lacks the record named in its flow's stateJson refuses every change with state-rolled-back, drafts and paused tasks too; its project takes no new task.",
  "s7.rolled-back-is-not-driven":
    "Nothing of a task that was rolled back is launched; it is found at start and before each launch.",
  "s7.rolled-back-in-status": "get_status names a task that was rolled back and what a person can do about it.",
  "s7.rolled-back-until-a-person-goes-on":
    "An owner's turn ends state-rolled-back with set_task_status running and a reason; the answer is in the journal, changes nothing else of the task and holds for that copy only.",
  "s7.rolled-back-ends-with-newer-files": "The newer files put back make the task an ordinary one again.",
  "s7.flow-cancel-obeyed":
    "A cancel asked of a flow record cancels its task, whatever its status: within five seconds while something runs, at start, and before each launch.",
  "s7.flow-gone-made-anew": "A flow that is gone is made anew and the task names the new one.",
  "s7.flow-terminal-untouched": "A flow that has ended is never written to again.",
} satisfies Rules;

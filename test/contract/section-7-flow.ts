import type { Rules } from "./rules.ts";

/** Task Flow, driver, lease, roots, rollback, roles. */
export const taskFlow = {
  "s3.roots": "Roots are the configured one, else the workspaces of the agents that may orchestrate.",
  "s6.lease-one-gateway-drives":
    "One gateway at a time drives the projects below a root; another one's tools commit safely, and its get_status says who drives.",
  "s6.lease-of-the-dead-taken-over": "The lease of a gateway that died is taken over by another one within seconds.",
  "s6.lease-lost-stops-driving":
    "A gateway whose lease was taken away stops driving, and nothing of the lease throws from a timer.",
  "s7.code-launches-runs":
    "After start_task code launches every run; no model turn of the orchestrator lies between two runs, and it hears of each result.",
  "s7.replaced-goes-on":
    "When the host replaces the plugin in the running gateway, its tools are there afterwards and a task that stood half-way goes on, no run launched twice.",
  "s7.driver-resumes": "When the gateway has started, every unfinished task is read and goes on by itself.",
  "s7.roles-default": "With no configuration builder and QA are subagent sessions of the orchestrator's own agent.",
  "s7.roles-own-agents": "With an agent configured for a role, its runs are sessions of that agent.",
  "s7.roles-different-sessions": "Builder and QA of a step are always different sessions.",
  "s7.role-agents-do-not-orchestrate": "An agent that plays a role is offered none of the orchestrator's tools.",
  "s7.roots-remembered":
    "A root with unfinished tasks that configuration names no longer is driven all the same, also after a restart, and get_status names it with the configuration line that pins it.",
  "s7.copied-project-not-driven": "Nothing in a copy of a project's folder is driven.",
  "s7.other-gateways-commits-followed":
    "What another process commits below a root (a second gateway's tools, a local turn) reaches the driver within seconds.",
  "s7.rolled-back-is-read-only":
    "A task whose journal lacks the record named in its flow's stateJson refuses every change with state-rolled-back, drafts and paused tasks too; its project takes no new task.",
  "s7.rolled-back-is-not-driven":
    "Nothing of a task that was rolled back is launched; it is found at start and before each launch.",
  "s7.rolled-back-in-status": "get_status names a task that was rolled back and what a person can do about it.",
  "s7.rolled-back-until-a-person-goes-on":
    "An owner's turn ends state-rolled-back with set_task_status running and a reason; the answer is in the journal, changes nothing else of the task and holds for that copy only.",
  "s7.rolled-back-launches-are-new":
    "After a person went on, no launch takes a run id that the forgotten history may have used.",
  "s7.rolled-back-ends-with-newer-files": "The newer files put back make the task an ordinary one again.",
  "s7.flow-created":
    "Each task has one managed flow of controller project-orchestrator/task, made by the session that creates it, waiting at await-start.",
  "s7.flow-in-record-1": "The flow is made before the first commit, so that record 1 names it.",
  "s7.flow-null-then-made":
    "Where the host cannot make a flow, flowId is null until the driver has made and linked one.",
  "s7.flow-current-step":
    "currentStep says in readable words where the task is, and the flow waits while the task has not ended.",
  "s7.flow-state-json": "stateJson is small: ids, the live runs' ids, and the journal's last seq and sum.",
  "s7.flow-brought-up":
    "The flow is brought up to the journal after each change and at start, and again when it could not be written.",
  "s7.flow-ends": "A done task's flow is finished, a cancelled task's flow is cancelled.",
  "s7.flow-orphan-cancelled":
    "At start a flow of ours without a task, or of a task that names another flow, is cancelled; flows of others and of other roots are left alone.",
  "s7.flow-orphan-comes-back":
    "A task that could not be found, read or listed at a start is not cancelled for that: its flow is kept, or made anew when the task is back.",
  "s7.flow-cancel-obeyed":
    "A cancel asked of a flow record cancels its task, whatever its status: within five seconds while something runs, at start, and before each launch.",
  "s7.flow-gone-made-anew": "A flow that is gone is made anew and the task names the new one.",
  "s7.flow-terminal-untouched": "A flow that has ended is never written to again.",
} satisfies Rules;

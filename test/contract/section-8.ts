import type { Rules } from "./rules.ts";

/** What can be configured and what holds without any of it. */
export const configuration = {
  "s8.nothing-required": "No configuration at all works, and every setting has the documented default.",
  "s8.closed": "Settings that do not exist are refused, at every level, by the host's schema and by our own reading.",
  "s8.hints": "Every setting has a label and a help text for the host's forms.",
  "s8.faulty-named": "A faulty value is named with its path and what would be valid, and costs only itself.",
  "s8.faulty-fails-safe":
    "A faulty value opens nothing: without a known root, orchestrators or role agents no agent may orchestrate, and nothing is launched for a role whose agent is not known.",
  "s8.read-live": "A changed configuration counts at the next use, without a restart.",
  "s8.root": "`root`, absolute or below ~, is where projects/ lives; without it the workspace of the agent that asks.",
  "s8.orchestrators": "`orchestrators` names the only agents that may orchestrate; without it all but the roles' own.",
  "s8.allow-non-owners":
    "`allowNonOwners` offers the orchestrator's tools also in turns of senders who are not owners.",
  "s8.allowed-repos": "`allowedRepos` are directories outside the root that `repo` may point into.",
  "s8.role-agent": "`roles.builder.agentId` and `roles.qa.agentId` name the agents in whose sessions the runs live.",
  "s8.idle-minutes": "`roles.*.idleMinutes` (60) bounds how long a run may show no sign of life; fractions count.",
  "s8.max-minutes": "`roles.*.maxMinutes` (240) bounds how long a run may take; fractions count.",
  "s8.max-attempts": "`maxAttempts` (3) is how many attempts a step has before a person is asked.",
  "s8.max-lost-runs": "`maxLostRuns` (2) is how many runs of an attempt and role may be lost.",
  "s8.parallel-tasks": "`parallelTasks` (4) bounds the tasks that have a live run or check.",
  "s8.parallel-steps": "`parallelSteps` (1) bounds the running steps of one task.",
  "s8.acceptance-review": "`acceptanceReview` (true) gives each task a closing review of its acceptance criteria.",
  "s8.checks-allow":
    "`checks.allow` names the programs that checks may start; a check with another one is refused at creation and the refusal names this key.",
  "s8.checks-allow-unconfined":
    "`checks.allowUnconfined` lets checks run although builders are sandboxed or restricted.",
  "s8.notify": "`notify` is steps, tasks or off; off silences everything but questions.",
} satisfies Rules;

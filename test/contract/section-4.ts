import type { Rules } from "./rules.ts";

/** What a step and a task go through, and what each call answers in each status. */
export const statuses = {
  // A step's way
  "s4.step-way":
    "A step goes from queued over building, checking (when it has checks) and reviewing to passed; finished ones stay.",
  "s4.step-cancelled-with-task":
    "A step is cancelled only by the cancel of its task, which cancels every step that has not finished.",
  "s4.ready": "A step may start when every step it depends on is passed or skipped, and not before.",
  "s4.ready-edges": "Readiness is one pure function over edges that name a step and the statuses that satisfy them.",
  "s4.default-dependency":
    "A step without dependsOn depends on the step before it, so that a list runs one after the other.",
  "s4.no-dependency": "An empty dependsOn means none.",
  "s4.kinds-open": "A stored step of an unknown kind, and a run of an unknown role, is read, kept and never driven.",
  "s4.dependencies-known":
    "A step's dependsOn names steps of its task, never the review, each once; else it is refused as unknown-dependency.",
  "s4.dependency-cycle": "A step that depends on itself, at once or in a circle, is refused as dependency-cycle.",

  // From the builder to QA
  "s4.checks-then-qa": "After the builder has reported done the step's checks run, and only then QA.",
  "s4.failed-check": "A failed check ends the attempt, which counts, without a QA run and without qa in it.",
  "s4.failed-check-output": "The builder's next brief holds the output of a failed check.",
  "s4.all-checks": "Results are taken only when there is one for each check of the step.",
  "s4.report-closes-tools":
    "After its report every further tool of the run's session is refused, the reporting ones by run-not-current.",
  "s4.report-then-end": "Checks and the next run start only when the host has said that the reporting run ended.",
  "s4.report-grace": "A run that has reported gets ten seconds to end and is stopped then.",
  "s4.run-settled-first":
    "Before checks or the next run start, what the run left in the background is ended and the tree is identified.",
  "s4.tree-at-verdict":
    "When the tree at the end of QA is not the one it was given, the attempt says so and names the files.",

  // Verdict
  "s4.verdict-computed":
    "The verdict is computed: pass exactly when each criterion of the step passes with evidence, whatever the model says.",
  "s4.passed-by-qa": "A step that QA passes is passed, by qa.",
  "s4.findings-word-for-word": "After a fail the builder gets the next attempt, with every finding word for word.",

  // Attempts
  "s4.attempt-counts":
    "attempt is 0 before the first launch, grows by one each time the step is given out and never repeats.",
  "s4.attempts-used": "A step whose attempts are used up is blocked and asks attempts-used.",
  "s4.no-progress":
    "A step is blocked and asks no-progress when two attempts in a row fail the same and leave the same tree, not on one of both.",
  "s4.builder-asks": "A builder that reports blocked with a question blocks the step, which asks it as builder-asks.",
  "s4.builder-asks-free": "A builder's question uses none of the step's allowance.",
  "s4.choices":
    "The choices are retry with a note, accept with a reason (when there is something to accept), skip, cancel the task.",

  // Lost runs
  "s4.lost-silent-end": "A run that ends without a report is lost.",
  "s4.lost-limits": "A run that is idle, or runs, longer than its limits is stopped and lost.",
  "s4.lost-refusals":
    "A run that has had 20 refusals, by our tools or of the host's own by our hook, is stopped and lost.",
  "s4.lost-relaunched":
    "A lost run is launched again with the next launch number and a new session, in the same attempt.",
  "s4.lost-count":
    "After 1 + maxLostRuns lost launches of one role in one attempt the step is blocked and asks runs-lost.",
  "s4.lost-by-gateway": "A run that its gateway took down with it does not count as lost.",
  "s4.lost-not-while-launcher-lives": "A run whose launcher still lives is not lost.",

  // Reports that are not current
  "s4.report-not-current":
    "A report of a run that is not the current one, or in a cancelled task, is refused as run-not-current and moves nothing.",
  "s4.late-archived": "Such a report is kept in its attempt as late, at most three a run.",
  "s4.current-not-archived": "The current run's report is never archived as late.",

  // Acceptance
  "s4.acceptance-step":
    "create_task ends a task with the step acceptance of kind review, which has the task's criteria and no builder.",
  "s4.acceptance-off": "With acceptanceReview false there is no such step; left out it is true.",
  "s4.acceptance-whole": "The review depends on all other steps, also on those that are added later.",
  "s4.acceptance-judges-all": "QA's report on the review is taken only with every acceptance criterion judged.",
  "s4.acceptance-failed": "A failed review is blocked at once and asks acceptance-failed, with the findings.",
  "s4.acceptance-choices":
    "A failed review offers to add a step, judge again with a note, accept with a reason, or cancel the task.",
  "s4.acceptance-add-step":
    "create_step, by a person, answers a failed review and puts it back to queued behind the step.",
  "s4.acceptance-keeps-other-questions":
    "Adding a step answers no other question of the review than acceptance-failed.",
  "s4.acceptance-again": "Judging again gives the review to QA once more, with the note.",
  "s4.acceptance-accept": "A person accepts a failed review with a reason, and the task is done.",
  "s4.acceptance-judged-first":
    "A review cannot be accepted before QA has judged it, nor while it waits for other steps, nor after a step was added since it was judged: not-built.",
  "s4.acceptance-offer-follows":
    "A review that keeps its question when a step is added offers what can then be carried out, and no acceptance.",
  "s4.acceptance-before-done": "A task with an acceptance review is done only when the review was passed or skipped.",

  // The task's status
  "s4.task-status":
    "A task's status is the first that holds of cancelled, done, draft, paused, waiting, blocked, running, after every commit.",
  "s4.task-done": "A task is done when every step is passed or skipped.",
  "s4.task-blocked": "A task is blocked when a question is open and nothing else of it can go on.",
  "s4.other-branches": "An open question holds back only the steps that depend on its step.",
  "s4.halted-launches-nothing": "While a task is paused or waiting none of its runs and checks is started.",
  "s4.halted-live-runs": "Runs that are live when a task is paused finish, and their reports move the step.",
  "s4.dependency-events": "A task learns what its dependencies came to by an event of the driver.",
  "s4.dependency-waits":
    "A task waits while one it depends on is a draft, running, paused or blocked, and get_status names it.",
  "s4.dependency-cancelled": "A task is asked dependency-cancelled when one that it waits for is cancelled.",
  "s4.dependency-one-answer":
    "Going on without a cancelled dependency leaves out the one that was asked about; another is asked about in its turn.",

  // Calls on a task
  "s4.start-task": "start_task starts a draft and is refused in every other status as the table says.",
  "s4.set-task-running": "set_task_status running answers in each status as the table says.",
  "s4.set-task-paused": "set_task_status paused answers in each status as the table says.",
  "s4.set-task-cancelled": "set_task_status cancelled cancels every task that has not ended.",

  // Calls on a step
  "s4.step-from-queued": "set_step_status on a queued step answers as the table says.",
  "s4.step-from-live": "set_step_status on a building, checking or reviewing step answers as the table says.",
  "s4.step-from-blocked": "set_step_status on a blocked step answers as the table says.",
  "s4.step-from-finished":
    "set_step_status on a passed or skipped step is refused as step-finished, accepting create_step.",
  "s4.fenced-and-stopped": "A run whose step is put back, skipped or held is fenced at once and then stopped.",
  "s4.retry-allowance": "A blocked step that is tried again has as many attempts as are configured before it.",
  "s4.put-back-allowance":
    "Only a person gives a live step more attempts: put back by the orchestrator in its last one, it asks attempts-used.",
  "s4.retry-note": "The reason of a retry opens the next brief; reasons of several retries before it all stand there.",
  "s4.step-in-draft": "In a draft a step can only be skipped.",
  "s4.step-in-ended-task": "In an ended task set_step_status is refused as task-ended.",
  "s4.step-keeps-pause": "set_step_status never changes that a task is paused.",

  // create_step
  "s4.create-step-when": "create_step adds a step to any task that has not ended.",
  "s4.create-step-last": "An added step comes last, before the review.",
  "s4.create-step-dependencies": "An added step may depend on any other step of the task.",
  "s4.forward-references": "Steps of one create_task call may depend on later ones of the same call.",

  // Questions and answers
  "s4.answer-clears": "The commit that answers a question clears it.",
  "s4.answer-kept":
    "The answer, who gave it and the question's words stay in the attempt, or in the task for the task's own question.",
} satisfies Rules;

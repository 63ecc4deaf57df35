/**
 * The view models of the pages: everything that needs thought is computed here and named, so that a template holds only
 * words, loops and ifs. Text of people and agents stays as it is and is escaped where a template puts it. Every field is
 * always present (null: nothing to say), because the templates are strict. Pure: no clock, no I/O.
 */
import { bounds } from "../schema/bounds.ts";
import type {
  Attempt,
  CheckResult,
  Criterion,
  Decision,
  Project,
  Question,
  Run,
  Seat,
  Step,
  Task,
  TaskStatus,
} from "../schema/documents.ts";
import { stepsPicture } from "./picture.ts";
import { beginning } from "./quote.ts";
import { remembering } from "./remembering.ts";
import { addUp, sumUsage, usageByRole, usageOf } from "./usage.ts";
import {
  acceptedBy,
  choiceWords,
  countWords,
  decisionWords,
  durationWords,
  listWords,
  momentWords,
  questionWords,
  roleWord,
  runEndWords,
  spanWords,
  stepStatusWords,
  taskStatusWords,
  usageWords,
} from "./words.ts";

/** What a project's page shows of a task. */
export type TaskRow = {
  readonly id: string;
  readonly title: string;
  readonly status: string;
  readonly updatedAt: string;
  readonly steps: number;
};

export type QuestionView = {
  readonly stepId: string | null;
  readonly about: string;
  readonly asked: string;
  readonly text: string;
  readonly choices: readonly { readonly choice: string; readonly how: string }[];
};

/** Files named on a step's page: more are counted, not listed. */
const filesOnPage = 300;

// ---- a project

export type ProjectView = ReturnType<typeof viewProject>;

/** The view of `project.md`: at most 200 tasks, unfinished ones first, then the latest. */
export function viewProject(project: Project, tasks: readonly TaskRow[]) {
  const latest = (one: TaskRow, other: TaskRow) => byText(other.updatedAt, one.updatedAt) || byText(one.id, other.id);
  const open = tasks.filter((task) => !isOver(task)).toSorted(latest);
  const most = bounds.tasksOnProjectPage;
  const shown = [...open, ...(open.length < most ? tasks.filter(isOver).toSorted(latest) : [])].slice(0, most);
  const counts = Map.groupBy(tasks, (task) => task.status);
  const order = Object.keys(taskStatusWords);
  const place = (status: string) => (order.includes(status) ? order.indexOf(status) : order.length);
  return {
    id: project.id,
    name: project.name,
    repo: project.repo,
    spec: project.spec,
    created: momentWords(project.createdAt),
    total:
      tasks.length === 0 ? "No task yet. Ask the orchestrator to add one." : `${countWords(tasks.length, "task")}:`,
    counts: [...counts]
      .toSorted(([one], [other]) => place(one) - place(other) || byText(one, other))
      .map(([status, all]) => ({ status: statusOfTask(status), count: all.length })),
    tasks: shown.map(viewTaskRow),
    left:
      tasks.length > shown.length
        ? `${countWords(tasks.length - shown.length, "more task")} not shown; each has its own folder in \`tasks/\`.`
        : null,
  };
}

const viewTaskRow = remembering((task: TaskRow) => ({
  ...task,
  status: statusOfTask(task.status),
  updated: momentWords(task.updatedAt),
}));

const isOver = (task: TaskRow) => task.status === "done" || task.status === "cancelled";
const byText = (one: string, other: string) => (one < other ? -1 : one > other ? 1 : 0);

function statusOfTask(status: string): string {
  return isTaskStatus(status) ? taskStatusWords[status] : status;
}

function isTaskStatus(status: string): status is TaskStatus {
  return Object.hasOwn(taskStatusWords, status);
}

// ---- a task

export type TaskView = ReturnType<typeof viewTask>;

/** The view of `task.md`. */
export function viewTask(task: Task, steps: readonly Step[]) {
  const ordered = steps.toSorted((one, other) => one.index - other.index);
  const review = ordered.find((step) => step.kind === "review");
  const used = usageByRole(ordered);
  return {
    id: task.id,
    projectId: task.projectId,
    title: task.title,
    status: taskStatusWords[task.status],
    happening: taskHappening(task, ordered),
    questions: questionsOf(task, ordered),
    picture: stepsPicture(ordered),
    steps: ordered.map(viewStepRow),
    criteria: task.acceptanceCriteria.map((criterion) => ({ ...criterion, verdict: latestVerdict(review, criterion) })),
    criteriaNote: acceptanceNote(task, review),
    spec: task.spec,
    dependsOn: task.dependsOn,
    times: timesOf(task),
    usage: used.map(({ role, usage }) => ({
      role: roleWord(role),
      runs: usage.runs,
      used: usageWords(usage),
    })),
    usageTotal: usageWords(addUp(used.map(({ usage }) => usage))),
    decisions: decisionsOf(task, ordered),
  };
}

const viewStepRow = remembering((step: Step) => ({
  id: step.id,
  title: step.title,
  status: stepStatusWords[step.status],
  attempt: attemptsUsed(step),
  accepted: acceptedBy(step) ?? "",
  dependsOn: step.dependsOn.length > 6 ? countWords(step.dependsOn.length, "step") : step.dependsOn.join(", "),
}));

/** Decisions on a task's page: the latest; each step's page has all of its own. */
const decisionsOnPage = 50;

/** What was decided about the task's own questions and about the steps, the latest last. */
function decisionsOf(task: Task, steps: readonly Step[]) {
  const all = [
    ...(task.decisions ?? []).map((decision) => ({ at: decision.at, view: viewOwnDecision(decision) })),
    ...steps.flatMap((step) => viewDecisionsAbout(step)),
  ];
  const latest = all.toSorted((one, other) => byText(one.at, other.at)).slice(-decisionsOnPage);
  return {
    shown: latest.map(({ view }) => view),
    left:
      all.length > latest.length
        ? `${countWords(all.length - latest.length, "earlier decision")} not shown; the steps' pages have them.`
        : null,
  };
}

const viewOwnDecision = remembering((decision: Decision) => ({ stepId: null, ...viewDecision(decision, "The task") }));

function decisionsAbout(step: Step): readonly Decision[] {
  return [...(step.decisions ?? []), ...step.attempts.flatMap((attempt) => attempt.decisions ?? [])];
}

const viewDecisionsAbout = remembering((step: Step) =>
  decisionsAbout(step).map((decision) => viewDecisionAbout(decision, step.id)),
);

/** A decision stands in one step. */
const viewDecisionAbout = remembering((decision: Decision, stepId: string) => ({
  at: decision.at,
  view: { stepId, ...viewDecision(decision) },
}));

/** How much of an answered question stands beside its answer; the question may hold all findings of a review. */
const askedBytes = 300;

function viewDecision(decision: Decision, subject = "The step") {
  const asked = beginning(decision.asked ?? "", askedBytes);
  return {
    at: momentWords(decision.at),
    by: decision.by === "person" ? "a person" : "the orchestrator",
    what: decisionWords(decision.status),
    question: decision.question === null ? "" : `${subject} ${questionWords[decision.question]}.`,
    asked: `${asked.text}${asked.cut ? "…" : ""}`,
    reason: decision.reason,
  };
}

function attemptsUsed(step: Step): string {
  return `${step.attempt} of ${step.maxAttempts}`;
}

/** The sentences that say where a task is and what happens next, or what is asked of whom. */
function taskHappening(task: Task, steps: readonly Step[]): readonly string[] {
  const asking = steps.filter((step) => step.question !== null).map((step) => step.id);
  const asks =
    asking.length === 0
      ? []
      : [
          `${listWords(asking)} ${asking.length === 1 ? "has" : "have"} an open question (below); the steps that depend on it wait.`,
        ];
  const finished = `${steps.filter(isFinished).length} of ${countWords(steps.length, "step")} finished.`;
  const sentences: Readonly<Record<TaskStatus, () => readonly string[]>> = {
    draft: () => ["Nothing runs yet. It begins when the orchestrator is asked to start it (`start_task`)."],
    waiting: () => [
      task.question === null
        ? `It goes on by itself when ${task.dependsOn.length === 1 ? "this task is" : "these tasks are"} done: ${listWords(task.dependsOn)}.`
        : "A task that it depends on was cancelled. Nothing goes on until the owner decides; see the question below.",
      ...asks,
    ],
    running: () => [finished, ...running(steps), ...asks],
    blocked: () => [
      finished,
      "Nothing goes on until the owner answers in the chat with the orchestrator; see the questions below.",
    ],
    paused: () => [
      finished,
      "Nothing new is launched. Runs that are going on finish, and their reports count.",
      "It goes on when the orchestrator is asked to set it to running (`set_task_status`).",
      ...asks,
    ],
    done: () => [`All steps are finished: ${finishedWords(steps)}.`],
    cancelled: () => [`Nothing more of it will run. ${finished} What was done stays in the repository.`],
  };
  return sentences[task.status]();
}

/** How the finished steps were finished: `3 passed by QA, 1 accepted by a person (not by QA), 1 skipped`. */
export function finishedWords(steps: readonly Step[]): string {
  const count = (test: (step: Step) => boolean) => steps.filter(test).length;
  const parts = [
    { count: count((step) => step.status === "passed" && step.passedBy !== "person"), words: "passed by QA" },
    {
      count: count((step) => step.status === "passed" && step.passedBy === "person"),
      words: "accepted by a person (not by QA)",
    },
    { count: count((step) => step.status === "skipped"), words: "skipped" },
  ];
  return (
    parts
      .filter((part) => part.count > 0)
      .map((part) => `${part.count} ${part.words}`)
      .join(", ") || "none"
  );
}

function running(steps: readonly Step[]): readonly string[] {
  const live = steps
    .filter((step) => isLive(step))
    .map((step) => `${step.id} ${liveWords(step)} (attempt ${step.attempt} of ${step.maxAttempts}).`);
  if (live.length > 0) return live;
  const done = new Set(
    steps.filter((step) => step.status === "passed" || step.status === "skipped").map((step) => step.id),
  );
  const next = steps.find((step) => step.status === "queued" && step.dependsOn.every((id) => done.has(id)));
  return next === undefined ? [] : [`${next.id} starts next, as soon as a place is free.`];
}

function liveWords(step: Step): string {
  if (plannedRun(step) !== null) return "has a run planned that is not launched yet";
  return `is ${step.status === "checking" ? "having its checks run" : stepStatusWords[step.status]}`;
}

const isLive = (step: Step) => step.status === "building" || step.status === "checking" || step.status === "reviewing";
const isFinished = (step: Step) => step.status === "passed" || step.status === "skipped";

function questionsOf(task: Task, steps: readonly Step[]): readonly QuestionView[] {
  return [...viewQuestionsOf(task), ...steps.flatMap((step) => viewQuestionsOf(step))];
}

const viewQuestionsOf = remembering((of: Task | Step): readonly QuestionView[] =>
  of.question === null ? [] : [viewQuestion(of.question, "kind" in of ? of.id : null)],
);

function viewQuestion(question: Question, stepId: string | null): QuestionView {
  return {
    stepId,
    about: questionWords[question.kind],
    asked: momentWords(question.askedAt),
    text: question.text,
    choices: question.choices.map((choice) => ({ choice, how: choiceWords(choice) })),
  };
}

/** What QA last found about a criterion, with the attempt; a verdict that will be given anew says so. */
function latestVerdict(step: Step | undefined, criterion: Criterion): string {
  const attempt = step?.attempts.findLast((one) => one.qa?.criteria.some((judgement) => judgement.id === criterion.id));
  const judgement = attempt?.qa?.criteria.find((one) => one.id === criterion.id);
  if (step === undefined || attempt === undefined || judgement === undefined) return "not judged";
  const again = step.status === "passed" || step.status === "blocked" ? "" : ", to be judged again";
  return `${judgement.pass ? "met" : "**not met**"} (attempt ${attempt.attempt}${step.status === "cancelled" || step.status === "skipped" ? "" : again})`;
}

function acceptanceNote(task: Task, review: Step | undefined): string | null {
  if (task.acceptanceCriteria.length === 0) return "This task has none.";
  if (review === undefined) return "No closing review judges these: `acceptanceReview` is off.";
  if (acceptedBy(review) === "a person, not QA")
    return `Accepted by a person, not by QA: see [${review.id}](steps/${review.id}.md).`;
  if (review.status === "cancelled")
    return `The closing review ended with the task: see [${review.id}](steps/${review.id}.md).`;
  if (review.status === "skipped") return `The closing review was skipped: see [${review.id}](steps/${review.id}.md).`;
  return `QA judges these in the closing review, on the whole work: see [${review.id}](steps/${review.id}.md).`;
}

function timesOf(task: Task): readonly { readonly what: string; readonly at: string }[] {
  const rows: readonly (readonly [string, string | null])[] = [
    ["Created", task.createdAt],
    ["Started", task.startedAt],
    ["Paused", task.pausedAt],
    ["Cancelled", task.cancelledAt],
    [task.status === "done" ? "Finished" : "Last change of the task", task.updatedAt],
  ];
  const times = rows.flatMap(([what, at]) => (at === null ? [] : [{ what, at: momentWords(at) }]));
  const took =
    task.status === "done" && task.startedAt !== null ? spanWords(task.startedAt, task.updatedAt) : undefined;
  return took === undefined ? times : [...times, { what: "Took", at: took }];
}

// ---- a step

export type StepView = ReturnType<typeof viewStep>;
export type AttemptView = ReturnType<typeof viewAttempt>;

/** The view of `steps/<id>.md`. Of the task it shows only what never changes, so a step's page follows its step alone. */
export function viewStep(task: Pick<Task, "id" | "title">, step: Step) {
  return {
    id: step.id,
    index: step.index,
    title: step.title,
    taskId: task.id,
    taskTitle: task.title,
    review: step.kind === "review",
    status: stepStatusWords[step.status],
    accepted: acceptedBy(step) ?? null,
    attempt: attemptsUsed(step),
    happening: stepHappening(step),
    note: step.note ?? null,
    question: step.question === null ? null : viewQuestion(step.question, null),
    goal: step.goal,
    criteria: step.passCriteria.map((criterion) => ({ ...criterion, verdict: latestVerdict(step, criterion) })),
    checks: step.checks.map((check) => ({
      name: check.name,
      command: commandLine(check.command),
      limit: `${check.timeoutSeconds} s`,
    })),
    dependsOn: step.dependsOn,
    decisions: (step.decisions ?? []).map((one) => viewDecision(one)),
    attempts: step.attempts.toReversed().map((one) => viewAttemptOf(step, one)),
    usageTotal: usageWords(usageOf([step])),
    history: historyOf(step),
  };
}

function stepHappening(step: Step): string {
  const isLast = step.kind === "review" || step.attempt >= step.maxAttempts;
  const after = isLast
    ? "if one is not met, the owner is asked."
    : "if one is not met, the findings go back to the builder.";
  const criteria =
    step.passCriteria.length === 1 ? "the one criterion" : `each of the ${step.passCriteria.length} criteria`;
  const sentences: Readonly<Record<Step["status"], () => string>> = {
    queued: () => queuedWords(step),
    building: () =>
      idleWords("Its builder's run", step.builder) ??
      `Its builder works on it. When it reports, ${step.checks.length === 0 ? "QA judges the work." : "the checks run, and then QA judges the work."}`,
    checking: () =>
      `The builder reported it done, and its checks run. If one fails, ${isLast ? "the owner is asked, and QA is not" : "its output goes back to the builder and QA is not asked"}.`,
    reviewing: () => idleWords("QA's run", step.qa) ?? `QA judges ${criteria} by looking and running; ${after}`,
    passed: () =>
      step.passedBy === "person"
        ? "It was accepted by a person, not by QA. The reason stands with the decision below."
        : "QA found every criterion met.",
    blocked: () =>
      "Nothing goes on here until the owner answers in the chat with the orchestrator. Steps that do not depend on it go on.",
    skipped: () => "A person decided to skip it. The steps behind it go on without it.",
    cancelled: () => "It ended with its task, which was cancelled.",
  };
  return sentences[step.status]();
}

/** What is said of a run in which nobody works: one that was lost, or is planned and not launched. */
function idleWords(run: string, { status }: Seat): string | null {
  if (status === "lost") return `${run} ended without a report and is launched again.`;
  return status === "launching" ? `${run} is planned and not launched yet.` : null;
}

function queuedWords(step: Step): string {
  if (step.attempt > 0 && step.kind === "review") return "It will be judged again.";
  const checks = step.attempts.at(-1)?.checks ?? [];
  if (checks.some(isNotRun) && !checks.some(checkFailed))
    return `Not every check of attempt ${step.attempt} could be run; the builder gets the step again.`;
  if (step.attempt > 0) return `Attempt ${step.attempt} did not pass; the builder gets it again with every finding.`;
  if (step.dependsOn.length === 0)
    return "It depends on no other step and starts when the task runs and a place is free.";
  const those = step.dependsOn.length === 1 ? "the step that it depends on is" : "all steps that it depends on are";
  return `It starts when ${those} passed or skipped.`;
}

/** The id of the run that is planned and not launched; the host may refuse a launch for long. Null when there is none. */
function plannedRun({ builder, qa }: Step): string | null {
  return [builder, qa].find((seat) => seat.status === "launching")?.runId ?? null;
}

/** A planned run is not remembered with its attempt: only its step tells that it is one. */
function viewAttemptOf(step: Step, attempt: Attempt): AttemptView {
  const planned = plannedRun(step);
  const view = viewAttempt(attempt);
  if (attempt.runs.every((run) => run.runId !== planned)) return view;
  const runs = view.runs.map((run) =>
    run.runId === planned ? { ...run, started: "not launched yet", ended: "" } : run,
  );
  return { ...view, runs };
}

/** A step's earlier attempts stay as they are while it goes on. */
const viewAttempt = remembering((attempt: Attempt) => {
  const { builder, qa, tree } = attempt;
  const changedAfter = tree.changedAfterBuild ?? null;
  return {
    attempt: attempt.attempt,
    outcome: outcomeWords(attempt),
    note: attempt.note ?? null,
    builder:
      builder === undefined
        ? null
        : {
            outcome: builder.outcome === "done" ? "done" : "blocked: it has a question for a person",
            summary: builder.summary,
            question: builder.question ?? null,
            ...compareFiles(attempt),
            tests: builder.testsRun,
          },
    checks: attempt.checks === undefined ? null : attempt.checks.map(viewCheck),
    qa:
      qa === undefined
        ? null
        : {
            criteria: qa.criteria.map((one) => ({
              id: one.id,
              met: one.pass ? "met" : "**not met**",
              evidence: one.evidence,
            })),
            feedback: qa.feedback.trim() === "" ? null : qa.feedback,
          },
    changedAfterBuild:
      changedAfter === null
        ? null
        : {
            words:
              changedAfter.length === 0
                ? "The work changed between the end of the builder's run and the end of QA's; which files is not known."
                : `Changed between the end of the builder's run and the end of QA's, by checks, by QA's commands or by what ran on: ${countWords(changedAfter.length, "file")}. QA's verdict holds for the tree that it was given.${leftOut(changedAfter.length - filesOnPage)}`,
            files: changedAfter.slice(0, filesOnPage),
          },
    shared: tree.shared === true,
    late: attempt.late.map((late) => ({
      who: roleWord(late.role),
      at: momentWords(late.at),
      runId: late.runId,
      report: late.report,
    })),
    decisions: (attempt.decisions ?? []).map((one) => viewDecision(one)),
    runs: attempt.runs.map(viewRun),
    usage: attempt.runs.length < 2 ? null : usageWords(sumUsage(attempt.runs)),
  };
});

/** One sentence about how an attempt went. Ids and numbers only. */
export function outcomeWords(attempt: Attempt): string {
  if (attempt.qa !== undefined) return verdictWords(attempt);
  const { checks = [] } = attempt;
  const all = countWords(checks.length, "check");
  const [failed, notRun] = [checks.filter(checkFailed).length, checks.filter(isNotRun).length];
  if (failed > 0)
    return `${failed} of ${all} failed${notRun === 0 ? "" : ` and ${notRun} could not be run`}; QA was not asked.`;
  if (notRun > 0) return `${notRun} of ${all} could not be run; QA was not asked.`;
  if (attempt.builder?.outcome === "blocked") return "The builder stopped with a question for a person.";
  if (attempt.checks !== undefined) return "The builder reported it done and all checks passed; QA has not reported.";
  return attempt.builder === undefined ? "No report." : "The builder reported it done; QA has not reported.";
}

function verdictWords({ qa }: Attempt): string {
  const all = qa?.criteria ?? [];
  const failed = all.filter((one) => !one.pass).map((one) => one.id);
  if (failed.length === 0)
    return all.length === 1 ? "QA found the one criterion met." : `QA found each of the ${all.length} criteria met.`;
  return `QA found ${failed.length} of ${countWords(all.length, "criterion", "criteria")} not met: ${listWords(failed)}.`;
}

/** True when a check counts as passed. */
export function checkPassed(check: Pick<CheckResult, "exitCode">): boolean {
  return check.exitCode === 0;
}

/** True when a check says that the work is wrong. */
function checkFailed(check: CheckResult): boolean {
  return !checkPassed(check) && !isNotRun(check);
}

/** True for a check that found no program, or was refused by the configuration: it says nothing of the work. */
export function isNotRun(check: CheckResult): boolean {
  return check.program === null;
}

/** How a check came out, in ids and numbers. */
export function checkWords(check: CheckResult): string {
  if (isNotRun(check)) return "could not be run";
  if (check.timedOut) return "failed: stopped at its time limit";
  if (check.exitCode === null) return "failed: it ended without an exit code";
  return check.exitCode === 0 ? "passed" : "failed";
}

function viewCheck(check: CheckResult) {
  return {
    name: check.name,
    result: checkPassed(check) ? "passed" : `**${checkWords(check)}**`,
    exitCode: check.exitCode === null ? "none" : String(check.exitCode),
    duration: durationWords(check.durationMs),
    program: check.program ?? "not started",
    output: check.outputTail.trim() === "" ? null : withoutColours(check.outputTail),
  };
}

/** Output of a program without the terminal's colour and cursor sequences, which say nothing on a page. */
export function withoutColours(output: string): string {
  return output.replace(/\u001b\[[0-9;?]*[A-Za-z]/g, "");
}

/** A command's words in one line; a word with anything but plain characters stands in quotes. */
export function commandLine(words: readonly string[]): string {
  return words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : JSON.stringify(word))).join(" ");
}

type FileRow = { readonly file: string; readonly said: string; readonly seen: string };

/** What the builder says it did to files beside what the system saw; where they differ comes first. */
function compareFiles({ builder, tree }: Attempt): { readonly files: readonly FileRow[]; readonly filesNote: string } {
  const changed = new Set(builder?.filesChanged);
  const deleted = new Set(builder?.filesDeleted);
  const observed = builder?.filesObserved ?? null;
  const seen = new Set(observed);
  const names = [...new Set([...changed, ...deleted, ...seen])].toSorted();
  const differs = (file: string) => observed !== null && (changed.has(file) || deleted.has(file)) !== seen.has(file);
  const differing = names.filter(differs);
  const shown = [...differing, ...names.filter((file) => !differs(file))].slice(0, filesOnPage);
  return {
    files: shown.map((file) => ({
      file,
      said: changed.has(file) ? "changed" : deleted.has(file) ? "deleted" : "nothing",
      seen: observed === null ? "not known" : seen.has(file) ? "a change" : "no change",
    })),
    filesNote: [
      filesWords(names.length, observed === null, differing.length, tree.shared === true),
      leftOut(names.length - shown.length),
    ].join(""),
  };
}

function filesWords(all: number, unknown: boolean, differing: number, shared: boolean): string {
  if (all === 0)
    return unknown
      ? "The builder names no file; what the system saw is not known (yet)."
      : "The builder names no file, and the system saw no change.";
  if (unknown) return "What the system saw is not known (yet); the table shows what the builder says.";
  if (differing === 0) return "What the builder says is what the system saw.";
  const blame = shared ? " Other steps worked in the same tree, so the difference may be theirs." : "";
  return `The builder's word and what the system saw differ for ${countWords(differing, "file")}, listed first.${blame}`;
}

function leftOut(count: number): string {
  return count <= 0 ? "" : ` ${countWords(count, "more file")} not shown; the step's JSON file names them all.`;
}

function viewRun(run: Run) {
  return {
    runId: run.runId,
    role: roleWord(run.role),
    launch: run.launch,
    started: momentWords(run.startedAt),
    ended: run.endedAt === null ? "still going on" : momentWords(run.endedAt),
    end: run.end === null ? "" : `${runEndWords[run.end]}${run.why === undefined ? "" : `; it ${run.why}`}`,
    took: run.endedAt === null ? "" : (spanWords(run.startedAt, run.endedAt) ?? ""),
    used: run.usage === null ? "not measured" : usageWords(sumUsage([run])),
  };
}

/** What the document itself tells of the step's way, oldest first. The journal has every change. */
function historyOf(step: Step): readonly Moment[] {
  const moments: readonly Moment[] = [
    { at: step.createdAt, what: "The step was created." },
    ...step.attempts.flatMap((one) => momentsOf(withoutRun(one, plannedRun(step)))),
    ...decisionsAbout(step).map(momentOfDecision),
  ];
  const asked =
    step.question === null
      ? []
      : [{ at: step.question.askedAt, what: `A question was asked: the step ${questionWords[step.question.kind]}.` }];
  return [...moments, ...asked].toSorted((one, other) => byText(one.at, other.at)).map(viewMoment);
}

/** The attempt itself when it has no such run. */
function withoutRun(attempt: Attempt, runId: string | null): Attempt {
  const runs = attempt.runs.filter((run) => run.runId !== runId);
  return runs.length === attempt.runs.length ? attempt : { ...attempt, runs };
}

type Moment = { readonly at: string; readonly what: string };

const viewMoment = remembering(({ at, what }: Moment): Moment => ({ at: momentWords(at), what }));

const momentsOf = remembering((attempt: Attempt): readonly Moment[] => {
  const of = `attempt ${attempt.attempt}`;
  const runs = attempt.runs.flatMap((run) => {
    const name = `${roleWord(run.role)}, ${of}, launch ${run.launch}`;
    const started = { at: run.startedAt, what: `A run was launched (${name}).` };
    if (run.endedAt === null) return [started];
    return [
      started,
      { at: run.endedAt, what: `The run ended (${name})${run.end === null ? "" : `: ${runEndWords[run.end]}`}.` },
    ];
  });
  const late = attempt.late.map(({ at, role }) => ({
    at,
    what: `A late report came (${roleWord(role)}, ${of}); it has no effect.`,
  }));
  return [...runs, ...late];
});

const momentOfDecision = remembering(({ at, by, status }: Decision): Moment => ({
  at,
  what: `Decided by ${by === "person" ? "a person" : "the orchestrator"}: ${decisionWords(status)}.`,
}));

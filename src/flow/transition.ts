/**
 * What follows from an event: the next state and its effects, or a refusal. The whole of DESIGN section 4 is here and
 * nowhere else. Pure: no clock, no randomness, no I/O; the same event on the same state always decides the same.
 *
 * A task's status is computed after every event (`statusOf`), revisions are given out in one place (`settle`), and what
 * a person is told is read off the difference between before and after (`noticesOf`).
 */
import { assertNever, refuse, type Refusal } from "../errors.ts";
import type {
  Attempt,
  CheckResult,
  Criterion,
  Decision,
  Project,
  Question,
  QuestionKind,
  Role,
  Run,
  Seat,
  Step,
  Task,
  TaskState,
  TaskStatus,
} from "../schema/documents.ts";
import { formatDocument, schemaVersion } from "../schema/documents.ts";
import type { Effect, Notice } from "../schema/effects.ts";
import type { ProjectEvent, StepWanted, TaskEvent, TaskEventOf } from "../schema/events.ts";
import { bounds, firstBytes } from "../schema/bounds.ts";
import { hasEnded } from "../schema/outline.ts";
import {
  acceptanceId,
  currentAttempt,
  dueRole,
  findCycle,
  isFinished,
  isLive,
  isMet,
  mayLaunch,
  openRuns,
  ready,
  seatOf,
  sharesTree,
  treeForQa,
} from "./ready.ts";
import { recover } from "./recover.ts";
import { runIdOf, sessionKeyOf } from "./run-identity.ts";

export type Accepted = { readonly ok: true; readonly next: TaskState; readonly effects: readonly Effect[] };
export type TaskDecision = Accepted | Refusal;
export type ProjectDecision = { readonly ok: true; readonly next: Project } | Refusal;

/** Decides a project's event. Pure. */
export function transitionProject(state: Project | undefined, event: ProjectEvent): ProjectDecision {
  if (state !== undefined)
    return refuse("id-taken", `A project with the id ${state.id} exists already.`, [
      "another name",
      `project ${state.id} as it is`,
    ]);
  const { projectId: id, name, spec, repo, origin, at } = event;
  return {
    ok: true,
    next: {
      schemaVersion,
      rev: 1,
      id,
      name,
      spec,
      repo,
      ...(origin === undefined ? {} : { origin }),
      createdAt: at,
      updatedAt: at,
    },
  };
}

/**
 * Decides a task's event. Every document that differs has a `rev` one greater; documents that do not differ are the same
 * objects as before. The effects are what a person is told and everything that is then due (one step at a time).
 */
export function transition(state: TaskState | undefined, event: TaskEvent): TaskDecision {
  const decided = decide(state, event);
  if ("ok" in decided) return decided;
  const next = settle(state, decided, event);
  const notices = noticesOf(state, next, event).map((notice): Effect => ({ type: "TellPerson", notice }));
  return { ok: true, next, effects: [...notices, ...recover(next, { parallelSteps: 1 })] };
}

/**
 * The documents of `next` that differ from `before`, by logical name, as the text to be kept. The task comes last, as it
 * is to be written: who waits for its status finds the steps as that status says. Pure.
 */
export function changedDocuments(before: TaskState | undefined, next: TaskState): Readonly<Record<string, string>> {
  const known = new Map(before?.steps.map((step) => [step.id, step]));
  const changed: Record<string, string> = {};
  for (const step of next.steps) if (step !== known.get(step.id)) changed[`steps/${step.id}`] = formatDocument(step);
  if (next.task !== before?.task) changed["task"] = formatDocument(next.task);
  return changed;
}

/** What an event made of the state, before revisions and the task's status are worked out. */
type Draft = { readonly task: Task; readonly steps: readonly Step[]; readonly dependenciesDone?: boolean };

function decide(state: TaskState | undefined, event: TaskEvent): Draft | Refusal {
  if (event.type === "TaskCreated")
    return state === undefined ? createTask(event) : refuse("id-taken", `The task ${event.taskId} exists already.`);
  if (state === undefined) return refuse("unknown-task", "There is no such task.");
  switch (event.type) {
    case "StepAdded":
      return addStep(state, event);
    case "TaskStarted":
      return startTask(state, event);
    case "TaskPaused":
      return pauseTask(state, event);
    case "TaskResumed":
      return resumeTask(state, event);
    case "TaskCancelled":
      return cancelTask(state, event);
    case "StepDecided":
      return decideStep(state, event);
    case "BuilderReported":
      return reportBuilder(state, event);
    case "QaReported":
      return reportQa(state, event);
    case "LateReportArchived":
      return archiveLate(state, event);
    case "RunPlanned":
      return planRun(state, event);
    case "RunLaunched":
      return confirmRun(state, event);
    case "RunEnded":
      return endRun(state, event);
    case "ChecksFinished":
      return finishChecks(state, event);
    case "DependenciesDone":
      return state.task.status === "waiting" && state.task.question === null
        ? { ...state, dependenciesDone: true }
        : refuse("nothing-to-do", "The task waits for no task, or for a person's answer about one.");
    case "DependencyCancelled":
      return askAboutDependency(state, event);
    case "FlowLinked":
      if (state.task.flowId === event.flowId)
        return refuse("nothing-to-do", `Task ${state.task.id} is linked to flow ${event.flowId} already.`);
      return { ...state, task: { ...state.task, flowId: event.flowId } };
    case "RollbackAccepted":
      if (event.by !== "person")
        return personRequired("going on from an older copy of the journal is the owner's decision");
      return { ...state, task: { ...state.task, flowId: event.flowId } };
    default:
      return assertNever(event);
  }
}

// ---- making tasks and steps

function createTask(event: TaskEventOf<"TaskCreated">): Draft | Refusal {
  const ids = idsFor(event.steps, new Set([acceptanceId]));
  if ("ok" in ids) return ids;
  const criteria = numbered("a", event.acceptanceCriteria);
  const work: Step[] = event.steps.map((wanted, at) =>
    newStep(
      event,
      wanted,
      ids[at] ?? "",
      at + 1,
      wanted.dependsOn ?? (at === 0 ? [] : [ids[at - 1] ?? ""]),
      event.maxAttempts,
    ),
  );
  const steps = event.acceptanceReview ? [...work, acceptanceStep(event, criteria, work)] : work;
  const wrong = checkDependencies(work);
  if (wrong !== undefined) return wrong;
  const task: Task = {
    schemaVersion,
    rev: 0,
    id: event.taskId,
    projectId: event.projectId,
    title: event.title,
    spec: event.spec,
    acceptanceCriteria: criteria,
    status: "draft",
    startedAt: null,
    pausedAt: null,
    cancelledAt: null,
    dependsOn: event.dependsOn,
    flowId: event.flowId,
    question: null,
    steps: [],
    ...(event.origin === undefined ? {} : { origin: event.origin }),
    createdAt: event.at,
    updatedAt: event.at,
  };
  return { task, steps };
}

function addStep(state: TaskState, event: TaskEventOf<"StepAdded">): Draft | Refusal {
  if (hasEnded(state.task)) return taskEnded(state.task);
  if (state.steps.length >= bounds.stepsPerTask)
    return refuse("too-large", `The task has ${state.steps.length} steps already.`, [
      `at most ${bounds.stepsPerTask} steps in a task`,
    ]);
  const acceptance = state.steps.find((step) => step.id === acceptanceId);
  const answers = acceptance?.question?.kind === "acceptance-failed";
  if (answers && event.by !== "person")
    return personRequired("adding a step answers the question of the acceptance review");
  const others = state.steps.filter((step) => step.id !== acceptanceId);
  const ids = idsFor([event.step], new Set([acceptanceId, ...others.map((step) => step.id)]), others.length);
  if ("ok" in ids) return ids;
  const last = others.at(-1);
  const index = others.length + 1;
  const added = newStep(
    { at: event.at, taskId: state.task.id, projectId: state.task.projectId },
    event.step,
    ids[0] ?? "",
    index,
    event.step.dependsOn ?? (last === undefined ? [] : [last.id]),
    event.maxAttempts,
  );
  const wrong = checkDependencies([...others, added]);
  if (wrong !== undefined) return wrong;
  if (acceptance === undefined) return { ...state, steps: [...others, added] };
  const behind = { ...acceptance, index: index + 1, dependsOn: [...others.map((step) => step.id), added.id] };
  // A review that is under way does not judge the whole any more; one that is held, or lost its runs, still asks.
  if (!answers && !isLive(acceptance)) {
    const kept = offerAnew(behind, [...others, added]);
    return { ...state, steps: [...others, added, kept] };
  }
  const again: Step = {
    ...fence(behind),
    status: "queued",
    question: null,
    maxAttempts: attemptsFrom(acceptance, event.maxAttempts),
  };
  const answer = { at: event.at, by: event.by, status: "queued", reason: `step ${added.id} was added` };
  return { ...state, steps: [...others, added, answers ? withDecision(again, acceptance, answer) : again] };
}

type StepHome = { readonly at: string; readonly taskId: string; readonly projectId: string };
const idleSeat: Seat = { status: "idle", sessionKey: null, runId: null };

function newStep(
  home: StepHome,
  wanted: StepWanted,
  id: string,
  index: number,
  dependsOn: readonly string[],
  maxAttempts: number,
): Step {
  return {
    schemaVersion,
    rev: 0,
    id,
    taskId: home.taskId,
    projectId: home.projectId,
    index,
    kind: "work",
    title: wanted.title,
    goal: wanted.goal,
    passCriteria: numbered("c", wanted.passCriteria),
    dependsOn,
    checks: wanted.checks,
    status: "queued",
    attempt: 0,
    maxAttempts,
    passedBy: null,
    question: null,
    builder: idleSeat,
    qa: idleSeat,
    attempts: [],
    createdAt: home.at,
    updatedAt: home.at,
  };
}

function acceptanceStep(
  event: TaskEventOf<"TaskCreated">,
  criteria: readonly Criterion[],
  work: readonly Step[],
): Step {
  const wanted: StepWanted = {
    title: "Acceptance review",
    goal: "Judge every acceptance criterion of the task on the whole tree.",
    passCriteria: [],
    checks: [],
  };
  const dependsOn = work.map((step) => step.id);
  return {
    ...newStep(event, wanted, acceptanceId, work.length + 1, dependsOn, event.maxAttempts),
    kind: "review",
    passCriteria: criteria,
  };
}

function numbered(prefix: "a" | "c", texts: readonly string[]): readonly Criterion[] {
  return texts.map((text, at) => ({ id: `${prefix}${at + 1}`, text }));
}

/** Ids in the order of the steps: given ones as they are, generated ones by position, never one that is taken. */
function idsFor(wanted: readonly StepWanted[], taken: ReadonlySet<string>, before = 0): readonly string[] | Refusal {
  const used = new Set(taken);
  for (const { id } of wanted) {
    if (id === undefined) continue;
    if (used.has(id))
      return refuse("id-taken", `The step id ${id} is used already.`, ["an id that no step of the task has", "no id"]);
    used.add(id);
  }
  return wanted.map(({ id }, at) => {
    if (id !== undefined) return id;
    let number = before + at + 1;
    while (used.has(generatedId(number))) number += 1;
    used.add(generatedId(number));
    return generatedId(number);
  });
}

function generatedId(number: number): string {
  return `step-${String(number).padStart(2, "0")}`;
}

function checkDependencies(steps: readonly Step[]): Refusal | undefined {
  const ids = new Set(steps.map((step) => step.id));
  for (const step of steps) {
    const seen = new Set<string>();
    for (const id of step.dependsOn) {
      if (id === step.id)
        return refuse("dependency-cycle", `Step ${id} depends on itself.`, ["dependencies without a circle"]);
      if (!ids.has(id))
        return refuse(
          "unknown-dependency",
          `Step ${step.id} depends on ${JSON.stringify(id)}, which is no step it can wait for.`,
          ids.size === 1 ? ["no dependsOn"] : [...ids].filter((other) => other !== step.id).slice(0, 20),
        );
      if (seen.has(id))
        return refuse("unknown-dependency", `Step ${step.id} names ${id} twice in dependsOn.`, ["each step once"]);
      seen.add(id);
    }
  }
  const cycle = findCycle(steps);
  return cycle === undefined
    ? undefined
    : refuse("dependency-cycle", `These steps depend on each other in a circle: ${cycle.join(" → ")}.`, [
        "dependencies without a circle",
      ]);
}

// ---- the task as a whole

function startTask(state: TaskState, event: TaskEventOf<"TaskStarted">): Draft | Refusal {
  const { task } = state;
  if (hasEnded(task)) return taskEnded(task);
  if (task.status === "paused") return refuse("task-paused", `Task ${task.id} is paused.`, ["set_task_status running"]);
  if (task.startedAt !== null)
    return refuse("already-started", `Task ${task.id} was started at ${task.startedAt}.`, ["get_status"]);
  return { ...state, task: { ...task, startedAt: event.at }, dependenciesDone: event.dependenciesDone };
}

function pauseTask(state: TaskState, event: TaskEventOf<"TaskPaused">): Draft | Refusal {
  const { task } = state;
  if (hasEnded(task)) return taskEnded(task);
  if (task.startedAt === null) return notStarted(task);
  if (task.pausedAt !== null)
    return refuse("nothing-to-do", `Task ${task.id} is paused already.`, ["set_task_status running"]);
  return { ...state, task: { ...task, pausedAt: event.at } };
}

function resumeTask(state: TaskState, event: TaskEventOf<"TaskResumed">): Draft | Refusal {
  const { task } = state;
  if (hasEnded(task)) return taskEnded(task);
  if (task.startedAt === null) return notStarted(task);
  if (task.pausedAt !== null)
    return { ...state, task: { ...task, pausedAt: null }, dependenciesDone: event.dependenciesDone };
  if (task.question !== null) {
    if (event.by !== "person") return personRequired("going on without a cancelled task is the owner's decision");
    const asked = askedDependency(task);
    const answer = { at: event.at, by: event.by, status: "running", reason: event.reason };
    return {
      ...state,
      task: { ...answerTask(task, answer), dependsOn: task.dependsOn.filter((id) => id !== asked) },
      dependenciesDone: event.dependenciesDone,
    };
  }
  if (task.status === "blocked")
    return refuse("question-open", `Task ${task.id} waits for an answer about ${askingIds(state)}.`, [
      "set_step_status",
    ]);
  return refuse("nothing-to-do", `Task ${task.id} is ${task.status}.`, ["get_status"]);
}

const askingIds = ({ steps }: TaskState) => steps.flatMap((step) => (step.question === null ? [] : step.id)).join(", ");

function cancelTask(state: TaskState, event: TaskEventOf<"TaskCancelled">): Draft | Refusal {
  const { task } = state;
  if (hasEnded(task)) return taskEnded(task);
  const asks = task.question !== null || state.steps.some((step) => step.question !== null);
  if (asks && event.by !== "person") return personRequired("a question is open, and cancelling would answer it");
  const answer = { at: event.at, by: event.by, status: "cancelled", reason: event.reason };
  const steps = state.steps.map((step): Step => {
    if (isFinished(step)) return step;
    const cancelled: Step = { ...withoutNote(fence(step)), status: "cancelled", question: null };
    return step.question === null ? cancelled : withDecision(cancelled, step, answer);
  });
  return { task: { ...answerTask(task, answer), cancelledAt: event.at }, steps };
}

function askAboutDependency(state: TaskState, event: TaskEventOf<"DependencyCancelled">): Draft | Refusal {
  const { task } = state;
  if (task.status !== "waiting" || task.question !== null || !task.dependsOn.includes(event.taskId))
    return refuse("nothing-to-do", `Task ${task.id} does not wait for ${event.taskId}.`);
  const question: Question = {
    id: `task-q${task.rev + 1}`,
    kind: "dependency-cancelled",
    text: cancelledWords(event.taskId),
    choices: ["go on without it", "cancel the task"],
    askedAt: event.at,
  };
  return { ...state, task: { ...task, question } };
}

const cancelledWords = (taskId: string) => `Task ${taskId}, which this one waits for, was cancelled.`;

/** The cancelled task that the open question of this one is about. Pure. */
export function askedDependency(task: Pick<Task, "dependsOn" | "question">): string | undefined {
  return task.dependsOn.find((id) => cancelledWords(id) === task.question?.text);
}

/** Clears the task's own question, if it has one; what answered it stays in the task. */
function answerTask(task: Task, made: Made): Task {
  if (task.question === null) return task;
  return { ...task, question: null, decisions: [...(task.decisions ?? []), decisionOn(task.question, made)] };
}

// ---- decisions about a step

function decideStep(state: TaskState, event: TaskEventOf<"StepDecided">): Draft | Refusal {
  const { task } = state;
  if (hasEnded(task)) return taskEnded(task);
  const step = state.steps.find((one) => one.id === event.stepId);
  if (step === undefined) return unknownStep(state, event.stepId);
  if (task.startedAt === null && event.status !== "skipped" && !isFinished(step))
    return refuse("not-started", `Task ${task.id} is a draft: a step of it can only be skipped.`, [
      "skipped",
      "start_task",
    ]);
  const refused = refuseDecision(state, step, event);
  if (refused !== undefined) return refused;
  const needsPerson = event.status === "passed" || event.status === "skipped" || step.question !== null;
  if (needsPerson && event.by !== "person")
    return personRequired(
      step.question === null
        ? `setting a step to ${event.status} is the owner's decision`
        : "the step has an open question",
    );
  const decided = applyDecision(state, step, event);
  return replaceStep(state, withDecision(decided, step, { ...event, status: decided.status }));
}

function refuseDecision(state: TaskState, step: Step, { status }: TaskEventOf<"StepDecided">): Refusal | undefined {
  if (isFinished(step)) return refuse("step-finished", `Step ${step.id} is ${step.status}.`, ["create_step"]);
  if (step.status === status) return refuse("nothing-to-do", `Step ${step.id} is ${status} already.`, ["get_status"]);
  if (status !== "passed") return undefined;
  if (isLive(step)) return refuse("step-live", `Step ${step.id} is ${step.status}.`, ["queued", "skipped", "blocked"]);
  if (step.status === "blocked" && isAcceptable(step, state.steps)) return undefined;
  return refuse(
    "not-built",
    step.status !== "blocked"
      ? `Step ${step.id} is ${step.status}: its next attempt has nothing to accept yet.`
      : step.kind === "review"
        ? `QA has not judged the whole as it is now in step ${step.id}.`
        : `Nothing was ever reported done for step ${step.id}.`,
    step.status === "blocked" ? ["queued", "skipped"] : ["skipped", "blocked"],
  );
}

/** True when there is something that a person can accept: a builder reported it done; of a review, QA judged the whole of now. */
function isAcceptable(step: Step, steps: readonly Step[]): boolean {
  if (step.kind !== "review") return step.attempts.some((attempt) => attempt.builder?.outcome === "done");
  // Asked by the judgement itself, and cleared when a step is added.
  if (step.question?.kind === "acceptance-failed") return true;
  // QA begins once every step is finished, so what it did not see are the steps that were made later.
  const sawAll = ({ qa, runs }: Attempt) =>
    runs.some((run) => run.runId === qa?.runId && steps.every((one) => one.createdAt <= run.startedAt));
  return isMet(step, steps) && step.attempts.some(sawAll);
}

function applyDecision(state: TaskState, step: Step, event: TaskEventOf<"StepDecided">): Step {
  const open: Step = { ...fence(step), question: null };
  switch (event.status) {
    case "queued": {
      const note = step.note === undefined ? event.reason : `${step.note}\n\n${event.reason}`;
      if (event.by === "person" || step.attempt < step.maxAttempts)
        return { ...open, status: "queued", maxAttempts: attemptsFrom(step, event.maxAttempts), note };
      const place = `attempt ${step.attempt} of ${step.maxAttempts}, its last one`;
      const text = `Step ${step.id} was to be put back in ${place}: ${event.reason}`;
      return block(state, { ...open, note }, "attempts-used", text, event.at);
    }
    case "passed":
      return { ...withoutNote(open), status: "passed", passedBy: "person" };
    case "skipped":
      return { ...withoutNote(open), status: "skipped" };
    case "blocked":
      return block(state, open, "held", `Step ${step.id} is held back: ${event.reason}`, event.at);
    default:
      return assertNever(event.status);
  }
}

/** The allowance of a step that is queued again: a new one after an answer, else at least one more attempt. */
function attemptsFrom(step: Step, configured: number): number {
  return step.status === "blocked" ? step.attempt + configured : Math.max(step.maxAttempts, step.attempt + 1);
}

/** No attempt follows that the note would be for; the decision that brought it keeps its words. */
function withoutNote({ note: _note, ...step }: Step): Step {
  return step;
}

type Made = Pick<Decision, "at" | "by" | "status" | "reason">;

function decisionOn(question: Question | null, { at, by, status, reason }: Made): Decision {
  if (question === null) return { at, by, status, reason, question: null };
  return { at, by, status, reason, question: question.kind, asked: question.text };
}

function withDecision(step: Step, before: Step, made: Made): Step {
  const decision = decisionOn(before.question, made);
  if (step.attempts.length === 0) return { ...step, decisions: [...(step.decisions ?? []), decision] };
  return changeAttempt(step, (attempt) => ({ ...attempt, decisions: [...(attempt.decisions ?? []), decision] }));
}

// ---- runs

function planRun(state: TaskState, event: TaskEventOf<"RunPlanned">): Draft | Refusal {
  const step = state.steps.find((one) => one.id === event.stepId);
  if (step === undefined) return unknownStep(state, event.stepId);
  const due =
    mayLaunch(state) && dueRole(step) === event.role && (step.status !== "queued" || ready(state.steps).includes(step));
  if (!due) return refuse("nothing-to-do", `No ${event.role} run of step ${step.id} is due.`);
  const given = step.status === "queued" ? openAttempt(step, event) : step;
  if (given === undefined) return refuse("nothing-to-do", `Step ${step.id} is queued again since the run was planned.`);
  const known = (currentAttempt(given)?.runs ?? []).filter((run) => run.role === event.role).length;
  const launch = known + 1 + (event.launchesBefore ?? 0);
  const place = { taskId: state.task.id, stepId: step.id, attempt: given.attempt, role: event.role, launch };
  const runId = runIdOf(place);
  const run: Run = { runId, role: event.role, launch, startedAt: event.at, endedAt: null, end: null, usage: null };
  const seat: Seat = { status: "launching", sessionKey: sessionKeyOf(event.agentId, place), runId };
  const launching = changeAttempt(given, (attempt) => ({ ...attempt, runs: [...attempt.runs, run] }));
  return replaceStep(state, withSeat(launching, event.role, seat));
}

/** Undefined for a run that was to go on with an attempt: nobody has looked at the tree that this one would begin with. */
function openAttempt(step: Step, event: TaskEventOf<"RunPlanned">): Step | undefined {
  if (event.treeBefore === undefined) return undefined;
  const { note, ...rest } = step;
  const attempt: Attempt = {
    attempt: step.attempt + 1,
    ...(note === undefined ? {} : { note }),
    runs: [],
    tree: { before: event.treeBefore, built: null, judged: null },
    late: [],
  };
  return {
    ...rest,
    status: event.role === "builder" ? "building" : "reviewing",
    attempt: step.attempt + 1,
    builder: idleSeat,
    qa: idleSeat,
    attempts: [...step.attempts, attempt],
  };
}

function confirmRun(state: TaskState, event: TaskEventOf<"RunLaunched">): Draft | Refusal {
  const found = findSeat(state, event.stepId, event.runId);
  if (found === undefined || found.seat.status !== "launching")
    return refuse("nothing-to-do", `Run ${event.runId} is not being launched.`);
  const running = withSeat(found.step, found.role, { ...found.seat, status: "running" });
  // It may have been planned long ago: its task was paused, or waited for a place.
  return replaceStep(state, changeRun(running, event.runId, { startedAt: event.at }));
}

/** How a run ended is decided here: what the host saw counts only for a run that neither reported nor was stopped. */
function endRun(state: TaskState, event: TaskEventOf<"RunEnded">): Draft | Refusal {
  const found = findSeat(state, event.stepId, event.runId);
  const open = found === undefined ? undefined : openRuns(found.step).find((run) => run.runId === event.runId);
  if (found === undefined || open === undefined)
    return refuse("nothing-to-do", `Run ${event.runId} has ended already.`);
  const { step, role, seat } = found;
  if (event.unlaunched === true && seat.status !== "launching")
    return refuse("nothing-to-do", `Run ${event.runId} was launched meanwhile.`);
  const end =
    seat.status === "reported" || seat.status === "stopped"
      ? seat.status
      : event.end === "gateway"
        ? "gateway"
        : "lost";
  const why = end === "lost" && event.why !== undefined ? { why: event.why } : {};
  const ended = changeRun(step, event.runId, { endedAt: event.at, end, usage: event.usage, ...why });
  const closed = changeAttempt(ended, (attempt) => ({
    ...attempt,
    ...(role === "builder" && attempt.builder !== undefined
      ? { builder: { ...attempt.builder, filesObserved: event.files } }
      : {}),
    tree: markTree(step, attempt, role, { ...event, shared: event.shared || sharesTree(step, state.steps) }),
  }));
  if (end !== "lost" && end !== "gateway") return replaceStep(state, closed);
  const lost = withSeat(closed, role, { ...seat, status: "lost" });
  const counted = (currentAttempt(closed)?.runs ?? []).filter((run) => run.role === role && run.end === "lost").length;
  if (counted <= event.maxLostRuns) return replaceStep(state, lost);
  const words = counted === 1 ? `A run` : `${counted} runs`;
  const last = event.why === undefined ? "" : ` ${counted === 1 ? "It" : "The last one"} ${event.why}.`;
  const text = `${words} of the ${role} for step ${step.id} ended without a report.${last}`;
  return replaceStep(state, block(state, lost, "runs-lost", text, event.at));
}

function markTree(step: Step, attempt: Attempt, role: Role, event: TaskEventOf<"RunEnded">): Attempt["tree"] {
  const shared = event.shared || attempt.tree.shared === true ? { shared: true } : {};
  const { before, built } = attempt.tree;
  if (role === "builder") return { ...attempt.tree, built: event.tree, ...shared };
  const given = treeForQa(step, attempt);
  const differs = given !== null && event.tree !== null && given !== event.tree;
  // What an earlier, lost run of QA left behind counts only while it is still there.
  return { before, built, judged: event.tree, ...(differs ? { changedAfterBuild: event.files ?? [] } : {}), ...shared };
}

function finishChecks(state: TaskState, event: TaskEventOf<"ChecksFinished">): Draft | Refusal {
  const step = state.steps.find((one) => one.id === event.stepId);
  if (step?.status !== "checking" || step.attempt !== event.attempt || openRuns(step).length > 0)
    return refuse("nothing-to-do", `No checks of attempt ${event.attempt} of step ${event.stepId} are due.`);
  const isOfThese = event.results.every((result, at) => result.name === step.checks[at]?.name);
  if (!isOfThese || event.results.length !== step.checks.length)
    return refuse("invalid-parameters", `The results are not those of the checks of step ${step.id}.`, [
      "one result for each check of the step, in their order",
    ]);
  const checked = changeAttempt(step, (one) => ({ ...one, checks: event.results }));
  // One that found no program, or was refused by the configuration, says nothing of the work: no builder can mend it.
  const notRun = event.results.filter((result) => result.program === null);
  if (notRun.length > 0)
    return replaceStep(state, block(state, checked, "held", notRunWords(step.id, notRun), event.at));
  const passed = event.results.every((result) => result.exitCode === 0);
  return replaceStep(state, passed ? { ...checked, status: "reviewing" } : failAttempt(state, checked, event.at));
}

function notRunWords(stepId: string, notRun: readonly CheckResult[]): string {
  const lines = notRun.map(({ name, outputTail }) => `${name}: ${outputTail}`);
  return firstBytes(
    [
      `Checks of step ${stepId} could not be run. Its builder cannot mend that: the configuration or the machine has to change before the step is retried.`,
      ...lines,
    ].join("\n\n"),
    bounds.noteBytes,
  );
}

// ---- reports

function reportBuilder(state: TaskState, event: TaskEventOf<"BuilderReported">): Draft | Refusal {
  const found = findSeat(state, event.stepId, event.runId);
  if (found === undefined || found.role !== "builder" || !awaitsReport(found.seat)) return notCurrent(event.runId);
  if (event.outcome === "blocked" && (event.question ?? "").trim() === "")
    return refuse("question-missing", "outcome is blocked, but question is empty.", [
      "question: one clear question for a person",
      "outcome done",
    ]);
  const { runId, outcome, summary, filesChanged, filesDeleted, testsRun } = event;
  // Beside a result it blocks nothing, and is kept.
  const question = event.question === undefined || event.question.trim() === "" ? {} : { question: event.question };
  const report = { runId, outcome, summary, filesChanged, filesDeleted, filesObserved: null, testsRun, ...question };
  const reported = changeAttempt(withSeat(found.step, "builder", { ...found.seat, status: "reported" }), (attempt) => ({
    ...attempt,
    builder: report,
  }));
  if (outcome === "blocked")
    return replaceStep(state, block(state, reported, "builder-asks", event.question ?? "", event.at));
  return replaceStep(state, { ...reported, status: reported.checks.length > 0 ? "checking" : "reviewing" });
}

function reportQa(state: TaskState, event: TaskEventOf<"QaReported">): Draft | Refusal {
  const found = findSeat(state, event.stepId, event.runId);
  if (found === undefined || found.role !== "qa" || !awaitsReport(found.seat)) return notCurrent(event.runId);
  const wrong = refuseJudgement(found.step, event);
  if (wrong !== undefined) return wrong;
  const verdict = event.criteria.every((judgement) => judgement.pass) ? "pass" : "fail";
  const order = new Map(found.step.passCriteria.map((criterion, at) => [criterion.id, at]));
  const criteria = event.criteria.toSorted((one, other) => (order.get(one.id) ?? 0) - (order.get(other.id) ?? 0));
  const report = { runId: event.runId, verdict, criteria, feedback: event.feedback } as const;
  const judged = changeAttempt(withSeat(found.step, "qa", { ...found.seat, status: "reported" }), (attempt) => ({
    ...attempt,
    qa: report,
  }));
  return replaceStep(
    state,
    verdict === "pass" ? { ...judged, status: "passed", passedBy: "qa" } : failAttempt(state, judged, event.at),
  );
}

function refuseJudgement(step: Step, event: TaskEventOf<"QaReported">): Refusal | undefined {
  const wanted = step.passCriteria.map((criterion) => criterion.id);
  const given = event.criteria.map((judgement) => judgement.id);
  const wrong = [
    ...wanted.filter((id) => !given.includes(id)).map((id) => `${id} is not judged`),
    ...new Set(
      given
        .filter((id) => !wanted.includes(id))
        .map((id) => `${JSON.stringify(id.slice(0, 60))} is no criterion of this step`),
    ),
    ...new Set(
      given.filter((id, at) => wanted.includes(id) && given.indexOf(id) !== at).map((id) => `${id} is judged twice`),
    ),
    ...event.criteria
      .filter((one) => wanted.includes(one.id) && one.evidence.trim() === "")
      .map((one) => `${one.id} has no evidence`),
  ];
  if (wrong.length > 0)
    return refuse(
      "invalid-judgement",
      `${wrong.slice(0, 20).join("; ")}.`,
      wanted.map((id) => `${id}: pass true or false, with evidence`),
    );
  if (event.feedback.trim() === "" && event.criteria.some((one) => !one.pass))
    return refuse("feedback-missing", "A criterion fails, but feedback is empty.", [
      "feedback: what is wrong and how you saw it",
    ]);
  return undefined;
}

function archiveLate(state: TaskState, event: TaskEventOf<"LateReportArchived">): Draft | Refusal {
  const step = state.steps.find((one) => one.id === event.stepId);
  const isIts = (run: Run) => run.runId === event.runId && run.role === event.role;
  const index = step?.attempts.findIndex((attempt) => attempt.runs.some(isIts)) ?? -1;
  if (step === undefined || index < 0) return notCurrent(event.runId);
  const seat = seatOf(step, event.role);
  if (seat.runId === event.runId && awaitsReport(seat))
    return refuse("nothing-to-do", `Run ${event.runId} is the current one; its report is still to come.`);
  const kept = step.attempts[index]?.late.filter((late) => late.runId === event.runId).length ?? 0;
  if (kept >= bounds.latePerRun)
    return refuse("nothing-to-do", `${kept} late reports of run ${event.runId} are kept already.`);
  const late = { runId: event.runId, role: event.role, at: event.at, report: event.report };
  const attempts = step.attempts.map((attempt, at) =>
    at === index ? { ...attempt, late: [...attempt.late, late] } : attempt,
  );
  return replaceStep(state, { ...step, attempts });
}

/** The end of an attempt that did not pass: back to the builder, or to a person. */
function failAttempt(state: TaskState, step: Step, at: string): Step {
  const failed = failedItems(currentAttempt(step));
  const list = failed.join(", ");
  if (step.kind === "review") return block(state, step, "acceptance-failed", reviewFindings(step, list), at);
  if (step.attempt >= step.maxAttempts)
    return block(
      state,
      step,
      "attempts-used",
      `Step ${step.id} did not pass in ${step.attempt} attempt${step.attempt === 1 ? "" : "s"}; the last one failed: ${list}.`,
      at,
    );
  if (madeNoProgress(step))
    return block(
      state,
      step,
      "no-progress",
      `Two attempts of step ${step.id} in a row left the same work and failed the same: ${list}.`,
      at,
    );
  return { ...step, status: "queued" };
}

/** The findings of a review as the text of its question, within what a question may hold. */
function reviewFindings(step: Step, failed: string): string {
  const qa = currentAttempt(step)?.qa;
  const evidence = (qa?.criteria ?? []).filter((one) => !one.pass).map((one) => `${one.id}: ${one.evidence}`);
  const words = [`The acceptance review failed: ${failed}.`, ...evidence, `QA's feedback: ${qa?.feedback ?? ""}`];
  return firstBytes(words.join("\n\n"), bounds.noteBytes);
}

function madeNoProgress(step: Step): boolean {
  const [before, last] = step.attempts.slice(-2);
  if (before === undefined || last === undefined || last.tree.built === null) return false;
  // What QA's commands left in the tree at the end of its run is no work of the builder after it.
  const asBefore = [before.tree.built, before.tree.judged].includes(last.tree.built);
  return asBefore && failedItems(before).join("\n") === failedItems(last).join("\n");
}

/** What an attempt failed on: criterion ids, or names of checks. Pure. */
export function failedItems(attempt: Attempt | undefined): readonly string[] {
  const checks = (attempt?.checks ?? []).filter((check) => check.exitCode !== 0).map((check) => `check ${check.name}`);
  const criteria = (attempt?.qa?.criteria ?? [])
    .filter((judgement) => !judgement.pass)
    .map((judgement) => judgement.id);
  return [...checks, ...criteria].toSorted();
}

// ---- parts

function block(
  { steps }: TaskState,
  step: Step,
  kind: Exclude<QuestionKind, "dependency-cancelled">,
  text: string,
  at: string,
): Step {
  const choices = choicesFor(kind, step.kind === "review", isAcceptable(step, steps));
  const question: Question = { id: `${step.id}-q${step.rev + 1}`, kind, text, choices, askedAt: at };
  return { ...step, status: "blocked", question };
}

/** An open question that stays, with the choices that can be carried out now. */
function offerAnew(step: Step, steps: readonly Step[]): Step {
  if (step.question === null) return step;
  const choices = choicesFor(step.question.kind, step.kind === "review", isAcceptable(step, steps));
  return { ...step, question: { ...step.question, choices } };
}

function choicesFor(kind: QuestionKind, review: boolean, acceptable: boolean): readonly string[] {
  if (kind === "acceptance-failed")
    return ["add a step", "judge again with a note", "accept with a reason", "cancel the task"];
  const again = review ? "judge again with a note" : "retry with a note";
  return [again, ...(acceptable ? ["accept with a reason"] : []), "skip", "cancel the task"];
}

/** Takes the right to report from whatever runs; the driver then stops it. */
function fence(step: Step): Step {
  const open = new Set(openRuns(step).map((run) => run.runId));
  const stop = (seat: Seat): Seat =>
    awaitsReport(seat) && seat.runId !== null && open.has(seat.runId) ? { ...seat, status: "stopped" } : seat;
  return { ...step, builder: stop(step.builder), qa: stop(step.qa) };
}

function awaitsReport(seat: Seat): boolean {
  return seat.status === "launching" || seat.status === "running";
}

function findSeat(
  state: TaskState,
  stepId: string,
  runId: string,
): { readonly step: Step; readonly role: Role; readonly seat: Seat } | undefined {
  const step = state.steps.find((one) => one.id === stepId);
  const role = (["builder", "qa"] as const).find((one) => step !== undefined && seatOf(step, one).runId === runId);
  return step === undefined || role === undefined ? undefined : { step, role, seat: seatOf(step, role) };
}

function withSeat(step: Step, role: Role, seat: Seat): Step {
  return role === "builder" ? { ...step, builder: seat } : { ...step, qa: seat };
}

function changeAttempt(step: Step, change: (attempt: Attempt) => Attempt): Step {
  const last = currentAttempt(step);
  return last === undefined ? step : { ...step, attempts: [...step.attempts.slice(0, -1), change(last)] };
}

function changeRun(step: Step, runId: string, change: Partial<Run>): Step {
  return changeAttempt(step, (attempt) => ({
    ...attempt,
    runs: attempt.runs.map((run) => (run.runId === runId ? { ...run, ...change } : run)),
  }));
}

function replaceStep(state: TaskState, step: Step): Draft {
  return { ...state, steps: state.steps.map((one) => (one.id === step.id ? step : one)) };
}

const taskEnded = (task: Task) => refuse("task-ended", `Task ${task.id} is ${task.status}.`, ["create_task"]);
const notStarted = (task: Task) => refuse("not-started", `Task ${task.id} is a draft.`, ["start_task"]);
const notCurrent = (runId: string) =>
  refuse(
    "run-not-current",
    `Run ${runId} is over or was replaced; its report changes nothing and nothing more is expected from it.`,
  );
const personRequired = (why: string) =>
  refuse("person-required", `Only the owner can decide this, in a turn that the owner's own message began: ${why}.`, [
    "the owner's answer in the chat",
  ]);
const unknownStep = (state: TaskState, stepId: string) =>
  refuse(
    "unknown-step",
    `Task ${state.task.id} has no step ${JSON.stringify(stepId.slice(0, 80))}.`,
    state.steps.slice(0, 20).map((step) => step.id),
  );

// ---- revisions, the task's status, notices

function settle(before: TaskState | undefined, draft: Draft, event: TaskEvent): TaskState {
  const known = new Map(before?.steps.map((step) => [step.id, step]));
  const steps = draft.steps.map((step): Step =>
    step === known.get(step.id) ? step : { ...step, rev: step.rev + 1, updatedAt: event.at },
  );
  const settled =
    draft.dependenciesDone === true ||
    draft.task.dependsOn.length === 0 ||
    ["running", "blocked"].includes(draft.task.status);
  const status = statusOf(draft.task, steps, settled && draft.task.question === null);
  const entries = sameEntries(draft.task.steps, steps)
    ? draft.task.steps
    : steps.map(({ id, index, title }) => ({ id, index, title, file: fileOfStep(id) }));
  const unchanged = draft.task === before?.task && status === draft.task.status && entries === draft.task.steps;
  // Skipping every step also answers what the task itself asked.
  const answered = status === "done" && event.type === "StepDecided" ? answerTask(draft.task, event) : draft.task;
  const task = unchanged
    ? draft.task
    : {
        ...answered,
        status,
        question: status === "done" ? null : answered.question,
        steps: entries,
        rev: draft.task.rev + 1,
        updatedAt: event.at,
      };
  return { task, steps };
}

const fileOfStep = (id: string) => `steps/${id}.json`;

function sameEntries(entries: Task["steps"], steps: readonly Step[]): boolean {
  return (
    entries.length === steps.length &&
    steps.every(({ id, index, title }, at) => {
      const entry = entries[at];
      return entry?.id === id && entry.index === index && entry.title === title && entry.file === fileOfStep(id);
    })
  );
}

/**
 * The task's status, the first that holds. `dependenciesSettled`: every task it waits for is done, or a person decided
 * to go on without it; once settled it stays so while the task is running or blocked. Pure.
 */
export function statusOf(task: Task, steps: readonly Step[], dependenciesSettled: boolean): TaskStatus {
  if (task.cancelledAt !== null) return "cancelled";
  if (steps.every((step) => step.status === "passed" || step.status === "skipped")) return "done";
  if (task.startedAt === null) return "draft";
  if (task.pausedAt !== null) return "paused";
  if (!dependenciesSettled) return "waiting";
  const asks = steps.some((step) => step.question !== null);
  return asks && !steps.some(isLive) && ready(steps).length === 0 ? "blocked" : "running";
}

/** What a person is told of a change: read off the difference between before and after. Pure. */
export function noticesOf(before: TaskState | undefined, next: TaskState, event: TaskEvent): readonly Notice[] {
  const known = new Map(before?.steps.map((step) => [step.id, step]));
  const ofSteps = next.steps.flatMap((step): readonly Notice[] => {
    const old = known.get(step.id);
    if (old === undefined) return [];
    if (step.question !== null && step.question.id !== old.question?.id)
      return [{ kind: "question", stepId: step.id, question: step.question }];
    if (step.status === "passed" && old.status !== "passed")
      return [{ kind: "step-passed", stepId: step.id, by: step.passedBy ?? "qa" }];
    const failed = event.type === "QaReported" || event.type === "ChecksFinished";
    return failed && step.status === "queued" && old.status !== "queued" ? [sentBack(step)] : [];
  });
  const asked =
    next.task.question !== null && next.task.question.id !== before?.task.question?.id ? next.task.question : undefined;
  const ended = next.task.status !== before?.task.status ? next.task.status : undefined;
  return [
    ...ofSteps,
    ...(asked === undefined ? [] : [{ kind: "question" as const, stepId: null, question: asked }]),
    ...(isOver(next) && (before === undefined || !isOver(before)) ? [{ kind: "task-done" as const }] : []),
    ...(ended === "cancelled" ? [{ kind: "task-cancelled" as const }] : []),
  ];
}

/** Done, and its last run has ended: only then the sums of tokens and cost are whole. */
function isOver({ task, steps }: TaskState): boolean {
  return task.status === "done" && steps.every((step) => openRuns(step).length === 0);
}

function sentBack(step: Step): Notice {
  const attempt = currentAttempt(step);
  return {
    kind: "step-sent-back",
    stepId: step.id,
    attempt: step.attempt,
    failedChecks: (attempt?.checks ?? []).filter((check) => check.exitCode !== 0).map((check) => check.name),
    failedCriteria: (attempt?.qa?.criteria ?? [])
      .filter((judgement) => !judgement.pass)
      .map((judgement) => judgement.id),
  };
}

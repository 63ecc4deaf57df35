/**
 * What the person hears of a task in the chat: short lines in our words, ids and numbers. Text of people and agents
 * stands in them only as a marked quotation. A notice names the tool for an answer, never a call that is ready to be
 * made: the owner decides, in the chat. Pure.
 */
import { errorTable, type ErrorCode } from "../errors.ts";
import type { Project, Question, Step, Task } from "../schema/documents.ts";
import type { Notice } from "../schema/effects.ts";
import { code, inline, quoteText } from "./quote.ts";
import { runsOf, sumUsage } from "./usage.ts";
import { finishedWords } from "./view.ts";
import { choiceWords, countWords, listWords, questionWords, spanWords, usageWords } from "./words.ts";

export type NoticeInput = {
  readonly project: Project;
  readonly task: Task;
  readonly steps: readonly Step[];
  readonly notice: Notice;
  /** Absolute path of the task's page. */
  readonly taskPage: string;
};

/** The lines for a task that is not driven until a person has mended what `code` and our own words say of it. */
export function renderTrouble(trouble: {
  readonly taskId: string;
  readonly code: ErrorCode;
  readonly reason: string;
  readonly taskPage: string;
}): string {
  const { taskId, code: name, reason, taskPage } = trouble;
  return [
    `Task ${taskId} is not driven until the owner has mended this (${name}): ${reason}`,
    `What helps: ${errorTable[name].remedy} Do not choose for the owner. Once it is mended the task goes on by itself.`,
    `Page: ${code(taskPage)}`,
  ].join("\n");
}

type NoticeOf<K extends Notice["kind"]> = Extract<Notice, { readonly kind: K }>;
type Lines<K extends Notice["kind"]> = (input: NoticeInput, notice: NoticeOf<K>) => readonly string[];

/** The lines for one notice. */
export function renderNotice(input: NoticeInput): string {
  return linesOf(input, input.notice.kind, input.notice).join("\n");
}

function linesOf<K extends Notice["kind"]>(input: NoticeInput, kind: K, notice: NoticeOf<K>): readonly string[] {
  return lines[kind](input, notice);
}

const lines: { readonly [K in Notice["kind"]]: Lines<K> } = {
  "step-passed": stepPassed,
  "step-sent-back": stepSentBack,
  question: questionAsked,
  "task-done": taskDone,
  "task-cancelled": taskCancelled,
};

function stepPassed(
  { task, steps, taskPage }: NoticeInput,
  { stepId, by }: NoticeOf<"step-passed">,
): readonly string[] {
  const step = steps.find((one) => one.id === stepId);
  const how = by === "person" ? "was accepted by a person, not by QA" : "passed: QA found every criterion met";
  return [
    `Step ${stepId} of task ${task.id} ${how}${attemptWords(step)}.`,
    `${titleWords(step)}${progressWords(steps)} Page: ${code(taskPage)}`,
  ];
}

function stepSentBack({ task, steps, taskPage }: NoticeInput, notice: NoticeOf<"step-sent-back">): readonly string[] {
  const { stepId, attempt, failedChecks, failedCriteria } = notice;
  const step = steps.find((one) => one.id === stepId);
  const allowed = step === undefined ? "" : ` of ${step.maxAttempts}`;
  const criteria = failedCriteria.length === 0 ? [] : [`criteria not met: ${listWords(failedCriteria.map(inline))}`];
  const checks = failedChecks.length === 0 ? [] : [`failed checks: ${quotedNames(failedChecks)}`];
  return [
    `Step ${stepId} of task ${task.id} did not pass attempt ${attempt}${allowed} and goes back to its builder with the findings.`,
    `Why: ${[...criteria, ...checks].join("; ") || "see the page"}.`,
    `${titleWords(step)}Page: ${code(taskPage)}`,
  ];
}

function questionAsked(
  { task, steps, taskPage }: NoticeInput,
  { stepId, question }: NoticeOf<"question">,
): readonly string[] {
  const step = steps.find((one) => one.id === stepId);
  const subject = stepId === null ? `Task ${task.id}` : `Step ${stepId} of task ${task.id}`;
  return [
    `${subject} ${questionWords[question.kind]}. The owner has to decide.`,
    `Question: ${quoteText(question.text)}`,
    "Possible answers, with the tool that carries each out:",
    ...choiceLines(question),
    "Ask the owner and wait: only an answer that the owner gives in this chat is accepted. Do not choose for the owner.",
    `${stepId === null ? "" : titleWords(step)}Page: ${code(taskPage)}`,
  ];
}

function choiceLines({ choices }: Question): readonly string[] {
  return choices.map((choice) => `  - ${inline(choice)} (${choiceWords(choice)})`);
}

function taskDone({ task, steps, taskPage }: NoticeInput): readonly string[] {
  const runs = runsOf(steps);
  const attempts = steps.reduce((sum, step) => sum + step.attempts.length, 0);
  const took = task.startedAt === null ? undefined : spanWords(task.startedAt, task.updatedAt);
  const last = steps
    .toSorted((one, other) => other.index - one.index)
    .find((step) => step.status === "passed" && lastSummary(step) !== undefined);
  const summary = last === undefined ? undefined : lastSummary(last);
  return [
    `Task ${task.id} is done: ${quoteText(task.title)}`,
    `Steps: ${finishedWords(steps)}; ${countWords(attempts, "attempt")}, ${countWords(runs.length, "run")}${took === undefined ? "" : `, ${took}`}.`,
    `Used: ${usageWords(sumUsage(runs))}.`,
    ...(last === undefined || summary === undefined
      ? []
      : [`Summary of the last step that was built and passed, ${last.id}: ${quoteText(summary)}`]),
    `Page: ${code(taskPage)}`,
  ];
}

function lastSummary(step: Step): string | undefined {
  return step.attempts.findLast((attempt) => attempt.builder?.outcome === "done")?.builder?.summary;
}

function taskCancelled({ task, steps, taskPage }: NoticeInput): readonly string[] {
  return [
    `Task ${task.id} was cancelled: ${quoteText(task.title)}`,
    `Nothing more of it will run. ${progressWords(steps)} What was done stays in the repository.`,
    `Page: ${code(taskPage)}`,
  ];
}

function attemptWords(step: Step | undefined): string {
  return step === undefined || step.attempt === 0 ? "" : ` (attempt ${step.attempt} of ${step.maxAttempts})`;
}

function titleWords(step: Step | undefined): string {
  return step === undefined ? "" : `Its title: ${quoteText(step.title)}. `;
}

function progressWords(steps: readonly Step[]): string {
  const finished = steps.filter((step) => step.status === "passed" || step.status === "skipped").length;
  return `${finished} of ${countWords(steps.length, "step")} finished.`;
}

/** Names are agents' text; more than a few say no more than their number. */
function quotedNames(names: readonly string[]): string {
  const shown = names.slice(0, 3).map(quoteText);
  return listWords(names.length > shown.length ? [...shown, `${names.length - shown.length} more`] : shown);
}

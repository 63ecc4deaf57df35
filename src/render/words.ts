/**
 * What statuses, questions, numbers and times are called where a person or an agent reads them. Every closed word of
 * the schema has its sentence here, so a new one does not compile until it has one. Pure.
 */
import type { Settings } from "../schema/config.ts";
import type { QuestionKind, RunEnd, Step, StepStatus, TaskStatus } from "../schema/documents.ts";
import type { UsageSum } from "./usage.ts";

/** A task's status as a person would say it. */
export const taskStatusWords: Readonly<Record<TaskStatus, string>> = {
  draft: "draft (not started)",
  waiting: "waiting for another task",
  running: "running",
  blocked: "blocked (a person has to decide)",
  paused: "paused",
  done: "done",
  cancelled: "cancelled",
};

/** A step's status as a person would say it. */
export const stepStatusWords: Readonly<Record<StepStatus, string>> = {
  queued: "queued",
  building: "with its builder",
  checking: "its checks run",
  reviewing: "with QA",
  passed: "passed",
  blocked: "blocked (a person has to decide)",
  skipped: "skipped",
  cancelled: "cancelled",
};

/** Why a question is asked, as the end of a sentence that begins with the step (or the task). */
export const questionWords: Readonly<Record<QuestionKind, string>> = {
  "attempts-used": "has used up its attempts without passing",
  "no-progress": "failed twice in a row in the same way, with the same work",
  "runs-lost": "keeps losing its runs: they end without a report",
  "builder-asks": "has a question from its builder",
  held: "is held back",
  "acceptance-failed": "found that the task as a whole does not meet its acceptance criteria",
  "dependency-cancelled": "depends on a task that was cancelled",
};

const choices: ReadonlyMap<string, string> = new Map([
  ["retry with a note", "`set_step_status`, status `queued`; the note is its reason"],
  ["judge again with a note", "`set_step_status`, status `queued`; the note is its reason"],
  ["accept with a reason", "`set_step_status`, status `passed`; the reason is kept and shown"],
  ["skip", "`set_step_status`, status `skipped`"],
  ["add a step", "`create_step`"],
  [
    "go on without it",
    "`set_task_status`, status `running`; while the task is paused, the first such call ends the pause",
  ],
  ["cancel the task", "`set_task_status`"],
]);

/** How a choice of a question is carried out: the tool that the orchestrator calls once the owner has answered. */
export function choiceWords(choice: string): string {
  return choices.get(choice) ?? "`get_status` says how";
}

/** What the chat that started a task hears of it, as the end of a sentence that begins with the chat. */
export const hearsWords: Readonly<Record<Settings["notify"], string>> = {
  steps: "is told of each result",
  tasks: "is told of each question and of the end",
  off: "is told of questions only",
};

/** How a run ended; null while it runs. */
export const runEndWords: Readonly<Record<RunEnd, string>> = {
  reported: "reported",
  lost: "lost: it ended without a report",
  stopped: "stopped: it was no longer wanted",
  gateway: "ended together with its gateway",
};

const decisions: ReadonlyMap<string, string> = new Map([
  ["queued", "put back to be tried again"],
  ["passed", "accepted by a person, not by QA"],
  ["skipped", "skipped"],
  ["blocked", "held back"],
  ["cancelled", "cancelled with its task"],
  ["running", "the task goes on"],
]);

/** What a decision made of a step, in the past tense; an unknown status is said as it is. */
export function decisionWords(status: string): string {
  return decisions.get(status) ?? status;
}

const roles: ReadonlyMap<string, string> = new Map([
  ["builder", "builder"],
  ["qa", "QA"],
]);

/** A role's name in a sentence. Roles are open; an unknown one is called by its id. */
export function roleWord(role: string): string {
  return roles.get(role) ?? role;
}

/** Who accepted a passed step; undefined for a step that has not passed. */
export function acceptedBy(step: Pick<Step, "status" | "passedBy">): string | undefined {
  if (step.status !== "passed") return undefined;
  return step.passedBy === "person" ? "a person, not QA" : "QA";
}

/** Whose note an attempt begins with, as the beginning of a heading: what the decisions say that it is made of. */
export function noteWords(step: Step, attempt: number): string {
  const note = `\n\n${step.attempts.find((one) => one.attempt === attempt)?.note ?? step.note ?? ""}\n\n`;
  const before = step.attempts.findLast((one) => one.attempt < attempt);
  const made = (before ?? step).decisions?.filter(({ reason }) => note.includes(`\n\n${reason}\n\n`)) ?? [];
  const authors = new Set(made.map(({ by }) => by));
  if (authors.size === 2) return "Notes of a person and of the orchestrator";
  if (authors.has("person")) return "A person's note";
  return authors.has("orchestrator") ? "The orchestrator's note" : "A note";
}

/** `2026-11-21 04:13:05 UTC`; anything that is no such moment is given back as it is. */
export function momentWords(at: string): string {
  const match = /^(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})(?:\.\d+)?Z$/.exec(at);
  return match === null ? at : `${match[1]} ${match[2]} UTC`;
}

/** The time between two moments in words, or undefined when one of them is no moment. */
export function spanWords(from: string, to: string): string | undefined {
  const milliseconds = Date.parse(to) - Date.parse(from);
  return Number.isNaN(milliseconds) ? undefined : durationWords(Math.max(0, milliseconds));
}

/** `812 ms`, `45 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`. */
export function durationWords(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  const seconds = Math.floor(milliseconds / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return pair(minutes, "min", seconds % 60, "s");
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? pair(hours, "h", minutes % 60, "min") : pair(Math.floor(hours / 24), "d", hours % 24, "h");
}

/** `1,234,567`. */
export function numberWords(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

/** `$1.20`; what is less than ten cents is said to the hundredth of a cent. */
export function costWords(costUsd: number): string {
  return `$${costUsd.toFixed(costUsd !== 0 && costUsd < 0.1 ? 4 : 2)}`;
}

/** `12,345 tokens in, 678 out, $0.42`, with what is missing from it. */
export function usageWords(sum: UsageSum): string {
  const { inputTokens, outputTokens, costUsd, runs, unmeasured } = sum;
  if (runs > 0 && unmeasured === runs) return `not measured (${countWords(runs, "run")})`;
  const known = `${numberWords(inputTokens)} tokens in, ${numberWords(outputTokens)} out, ${costWords(costUsd)}`;
  return unmeasured === 0 ? known : `${known} (not counting ${countWords(unmeasured, "run")} without a measurement)`;
}

/** `1 step`, `2 steps`. */
export function countWords(count: number, one: string, many = `${one}s`): string {
  return `${numberWords(count)} ${count === 1 ? one : many}`;
}

/** `a`, `a and b`, `a, b and c`. */
export function listWords(items: readonly string[], last = "and"): string {
  const [end, ...rest] = items.toReversed();
  if (end === undefined) return "";
  return rest.length === 0 ? end : `${rest.toReversed().join(", ")} ${last} ${end}`;
}

function pair(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
}

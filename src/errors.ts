/**
 * Every way in which the product says no, with its cause and remedy. `docs/errors.md` is generated from this table.
 * Expected refusals are values (`Refusal`); `OrchestratorError` is for what could not be done. Codes are stable, words may improve.
 */

/** `refused`: the caller asked for something not allowed now. `operational`: disk, host or clock. `bug`: our own. */
export type ErrorCategory = "refused" | "operational" | "bug";

type Entry = { readonly category: ErrorCategory; readonly cause: string; readonly remedy: string };

const refused = (cause: string, remedy: string): Entry => ({ category: "refused", cause, remedy });
const operational = (cause: string, remedy: string): Entry => ({ category: "operational", cause, remedy });

export const errorTable = {
  "invalid-parameters": refused(
    "A parameter is missing, unknown, empty or of the wrong type, has none of the values allowed, or lacks another that it needs.",
    "Call again with the parameters that the refusal names.",
  ),
  "too-large": refused(
    "A text, a list or a number is outside its bounds, or a task has as many steps as it may have.",
    "Keep to the bounds that the refusal names; put long material into files of the repository.",
  ),
  "invalid-name": refused(
    "A name or title is empty, longer than 200 characters, holds control characters or bidirectional overrides, or is not valid Unicode.",
    "Give a plain name of 1 to 200 characters.",
  ),
  "invalid-id": refused(
    "A step id does not match ^[a-z0-9][a-z0-9-]{0,59}$ or is reserved.",
    "Give an id of lower case letters, digits and dashes, or none.",
  ),
  "id-taken": refused(
    "The id that follows from the name, or the given id, exists already.",
    "Choose another name or id, or go on with the existing one.",
  ),
  "unknown-project": refused("There is no project with this id.", "Use an id that get_status lists."),
  "unknown-task": refused("There is no task with this id.", "Use an id that get_status lists."),
  "unknown-step": refused("The task has no step with this id.", "Use a step id that get_status lists for the task."),
  "unknown-dependency": refused(
    "dependsOn names something that does not exist, or names it twice.",
    "Name steps of this task, or tasks of this project, once each.",
  ),
  "dependency-cycle": refused(
    "The dependencies go round in a circle.",
    "Remove one of the dependencies that the refusal lists.",
  ),
  "invalid-repo": refused(
    "The directory for repo does not exist, is not a directory, or may not be used.",
    "Name an existing directory inside the root or in allowedRepos, or leave repo out.",
  ),
  "program-not-allowed": refused(
    "A check starts a program that the configuration does not allow, or names one by a path.",
    "Use an allowed program by its name, or add it to checks.allow in the plugin's configuration.",
  ),
  "checks-unconfined": refused(
    "The builder is sandboxed or its commands are restricted, and a check would run outside of that.",
    "Leave the checks out, or set checks.allowUnconfined in the plugin's configuration.",
  ),
  "already-started": refused("The task was started before.", "Read get_status to see where it is."),
  "not-started": refused("The task is still a draft.", "Start it first."),
  "task-paused": refused("The task is paused.", "Set it to running with set_task_status."),
  "task-ended": refused("The task is done or cancelled and does not change any more.", "Create a new task."),
  "nothing-to-do": refused("It already is what was asked for.", "Read get_status before deciding."),
  "question-open": refused("A step waits for a person's answer.", "Answer with set_step_status for that step."),
  "not-built": refused(
    "The step's builder never reported it done, or QA has not judged the whole as it is now, so there is nothing to accept.",
    "Let it be built, or skip it.",
  ),
  "step-live": refused(
    "The step is being worked on right now.",
    "Wait for the verdict, or put it back to queued, skip it or block it.",
  ),
  "step-finished": refused(
    "The step is passed or skipped and does not change any more.",
    "Add a step with create_step.",
  ),
  "person-required": refused(
    "Only the owner can decide this, in a turn that the owner's own message began.",
    "Ask the owner in the chat and wait for the answer.",
  ),
  "not-allowed": refused("This session may not use the tool.", "Leave it to the session that the tool was made for."),
  "not-in-run": refused(
    "A reporting tool was called outside the model turn of a run.",
    "Only the builder's and QA's own runs report.",
  ),
  "run-not-current": refused(
    "The run is over or was replaced; its report has no effect.",
    "Stop; nothing more is expected from this run.",
  ),
  "invalid-files": refused(
    "A reported path is absolute, leaves the repository, or does not agree with what is on disk.",
    "Report paths relative to the repository, separated by /, as they are now.",
  ),
  "invalid-judgement": refused(
    "The judgement does not cover each criterion exactly once with evidence.",
    "Judge every criterion of the step once, and give evidence for each.",
  ),
  "question-missing": refused(
    "The builder reported blocked without a question.",
    "Ask one clear question that a person can answer.",
  ),
  "feedback-missing": refused(
    "A criterion fails and there is no feedback for the builder.",
    "Say what is wrong and how it was seen.",
  ),
  "project-copied": refused(
    "The folder of the project or task is a copy, which is read-only, or a link to outside the root.",
    "Work in the original folder, or rename the copy back to its id; instead of a link put the folder itself there.",
  ),
  "state-rolled-back": refused(
    "The journal lacks a change that OpenClaw's flow record knows: an older copy was restored.",
    "The owner puts the newer files back, or says in the chat to go on from the older state: the task is set to running with a reason.",
  ),
  "newer-schema": refused(
    "The document was written by a newer version of this plugin.",
    "Update the plugin; until then the project is read-only.",
  ),
  busy: operational("Other writers kept changing the same task.", "Call again."),
  "outcome-unknown": operational(
    "The disk failed while the change was made durable; it may or may not be there.",
    "Read get_status to see, then call again if it is missing.",
  ),
  "not-committed": operational(
    "The change could not be written and did not happen.",
    "Free disk space or mend the permission that the message names, then call again.",
  ),
  "journal-damaged": operational(
    "A journal holds a line that cannot be right; nothing is written to it.",
    "Restore that file from a backup or version control; everything is kept as it is.",
  ),
  "journal-unreadable": operational(
    "A journal cannot be read: its permission forbids it, the disk fails, or something else stands in its place.",
    "Mend the permission or the disk, or put the journal itself back; everything is kept as it is.",
  ),
  "unsupported-file-system": operational(
    "The folder is on a network file system, which cannot append safely.",
    "Set root to a folder on a local disk, or put the project's folder on one.",
  ),
  "host-refused": operational(
    "OpenClaw did not accept a request.",
    "See the gateway's log; the driver tries again by itself.",
  ),
  bug: { category: "bug", cause: "Something happened that must not.", remedy: "Report it with the gateway's log." },
} as const satisfies Record<string, Entry>;

export type ErrorCode = keyof typeof errorTable;
export const errorCodes = Object.keys(errorTable) as readonly ErrorCode[];

/** An expected no, as a value. `accepts` lists what would be accepted instead. */
export type Refusal = {
  readonly ok: false;
  readonly code: ErrorCode;
  readonly reason: string;
  readonly accepts: readonly string[];
};

/** Makes a refusal. Pure. */
export function refuse(code: ErrorCode, reason: string, accepts: readonly string[] = []): Refusal {
  return { ok: false, code, reason, accepts };
}

/** Marks our errors for every evaluation of the plugin in a process: each has a class of its own. */
const ours = Symbol.for("project-orchestrator/error");

/** What could not be done, with a stable code and, as `cause`, what failed. `instanceof` knows also those of another evaluation. */
export class OrchestratorError extends Error {
  readonly [ours] = true;
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode,
    message: string,
    options: { readonly cause?: unknown; readonly details?: Readonly<Record<string, unknown>> } = {},
  ) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.name = "OrchestratorError";
    this.code = code;
    this.details = options.details ?? {};
  }

  static override [Symbol.hasInstance](value: unknown): value is OrchestratorError {
    return typeof value === "object" && value !== null && ours in value;
  }
}

/** For the end of a switch over a closed union: does not compile when a member is forgotten. */
export function assertNever(value: never): never {
  throw new OrchestratorError("bug", `unexpected value ${JSON.stringify(value)}`);
}

/** The operating system's code of an error (`ENOSPC`), for messages: unlike its text it never holds a path. Pure. */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "unexpected error";
}

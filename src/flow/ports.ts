/**
 * What the driver needs from outside, as the driver sees it. The host binds these to OpenClaw; tests bind them to memory.
 * A port that throws `host-refused` asks to be called again later; any other error counts as lost work of that call.
 */
import type { Refusal } from "../errors.ts";
import type { Check, CheckResult, Role, Step, TaskState, Usage } from "../schema/documents.ts";
import type { Effect } from "../schema/effects.ts";
import type { Outline } from "../schema/outline.ts";
import type { Launcher, TaskEvent } from "../schema/events.ts";
import type { Stream } from "../store/store.ts";

/** The driver's way to change state: internal tools of the same shape and the same commit as all others. */
export type Recorder = {
  record(
    stream: Stream,
    event: TaskEvent,
  ): Promise<{ readonly ok: true; readonly state: TaskState; readonly effects: readonly Effect[] } | Refusal>;
};

/** A journal's last record. */
export type JournalEnd = { readonly seq: number; readonly sum: string };

/** A task that may have something due; without an outline one that cannot be read. `end` where the outline is known without opening the task. */
export type Unfinished = { readonly stream: Stream; readonly outline?: Outline; readonly end?: JournalEnd };

/** Reading state. `unfinished` names the tasks that may have something due, in a stable order, and reads as few of them as it can. */
export type TaskReader = {
  unfinished(): Promise<readonly Unfinished[]>;
  /** The task as it stands; undefined when there is none, or when it must not be written. Throws `state-rolled-back`, and what the store throws. */
  read(
    stream: Stream,
  ): Promise<
    { readonly state: TaskState; readonly repo: string; readonly seq: number; readonly sum: string } | undefined
  >;
  /** Makes the task's documents and pages right, as `read` does; costs next to nothing where their files did not change. Throws what the store throws. */
  lookOver(stream: Stream): Promise<void>;
  /** The state alone, as its journal has it. Costs less than `read`, which asks OpenClaw whether the journal was rolled back. */
  stateOf(stream: Stream): Promise<TaskState | undefined>;
  /** The task's status, `unreadable` when it is there and cannot be read, undefined when there is none. */
  statusOf(projectId: string, taskId: string): Promise<string | undefined>;
  /** Tasks of the project that wait for this one. */
  waitingFor(projectId: string, taskId: string): Promise<readonly Stream[]>;
  /** Launch numbers that may have been used in a history that the journal forgot when it was rolled back; 0 for most tasks. */
  launchesBefore(stream: Stream): Promise<number>;
  /** Who launched a run, from the journal; undefined when no record says so. */
  launcherOf(stream: Stream, runId: string): Promise<Launcher | undefined>;
};

export type RunRequest = {
  readonly runId: string;
  readonly sessionKey: string;
  readonly role: Role;
  readonly cwd: string;
  readonly brief: string;
};

/**
 * What the host says of a run: `ended` is final. By whom: `itself`; `gateway`, which went down and took it along; `host`,
 * which cut it short and does not say why: it may be going down. `error` is what the host says went wrong.
 */
export type RunObservation =
  | { readonly kind: "live" }
  | { readonly kind: "ended"; readonly by: "itself" | "host" | "gateway"; readonly error?: string };

export type AgentRunner = {
  /** The agent whose sessions play this role for a task. */
  agentFor(role: Role, stream: Stream): Promise<string>;
  /** Starts a run. The same run id again, in the same process, is the same run. */
  launch(request: RunRequest): Promise<void>;
  /** Waits until the run has ended, at most `atMostMs`; answers what it is then. */
  observe(run: { readonly runId: string; readonly sessionKey: string }, atMostMs: number): Promise<RunObservation>;
  /**
   * Asks the host to end the run and what it started. Resolves when asked, not when it has ended; true when the host said
   * before that it has the run and that it has not ended.
   */
  stop(run: { readonly runId: string; readonly sessionKey: string }): Promise<boolean>;
  /** Ends processes that the run left in the background; called when the run has ended. */
  cleanUp(run: { readonly runId: string; readonly sessionKey: string }): Promise<void>;
  /** Tokens and cost of the run's session, null when the host cannot say. */
  usage(sessionKey: string): Promise<Usage | null>;
  /** This process, as the launcher of what it launches. */
  readonly launcher: Launcher;
  /** True while the process that launched a run still lives. */
  isAlive(launcher: Launcher): Promise<boolean>;
  /** For how long the run has shown no life, and how many of its tool calls our tools or our hook refused; undefined for a run never seen. */
  signs(runId: string): { readonly idleMs: number; readonly refusals: number } | undefined;
};

/** Why a task does not go on although it could: what it needs is refused since then, in these words, and tried again. */
export type Delay = { readonly since: string; readonly words: string };

/** Why a task may not start its next run now. */
export type Hold = { readonly kind: "slot" | "tree"; readonly id: string };

export type CheckRunner = {
  /**
   * Runs one check in the tree with a bounded environment, time and output; what an earlier check of that step left
   * running, in a gateway that was killed, is ended first. Never throws for what the check does.
   */
  run(check: Check, cwd: string, signal: AbortSignal, stream: Stream, stepId: string): Promise<CheckResult>;
};

export type Worktree = {
  /** Identity of the tree's content, null when it cannot be told. */
  identify(repo: string, keepIn: Stream): Promise<string | null>;
  /** Files that differ between two identities, sorted, relative, `/` separated; null when it cannot be told. */
  compare(repo: string, keepIn: Stream, before: string, after: string): Promise<readonly string[] | null>;
};

/** OpenClaw's flow record of a task, brought up to the journal. */
export type FlowRecords = {
  /** Makes the record say what the state says; makes it anew when it is gone. Answers a new flow id when it made one. Never touches an ended one. */
  sync(stream: Stream, state: TaskState, at: JournalEnd): Promise<string | undefined>;
  /**
   * True when the first list that `cancelRequested` asked for had the task's record as it is brought up to this, waiting: it need not be synced, and the
   * journal was not rolled back. Then it is forgotten.
   */
  isLevel(stream: Stream, flowId: string | null, at: JournalEnd): boolean;
  /** Among these tasks, those whose flow a person asked to cancel. One list per owner. Throws when it found none and could not look at all. */
  cancelRequested(streams: readonly Stream[]): Promise<readonly Stream[]>;
};

export type Briefs = { brief(role: Role, stream: Stream, state: TaskState, step: Step): Promise<string> };

/** Tells the person and keeps saying it until a turn has carried it. Never throws, never waits. */
export type Notifier = {
  /** The task changed: what the person is to hear of it is read from the journal; nothing where it was told already to this `end`. */
  changed(stream: Stream, end?: JournalEnd): void;
  /** The task is not driven until a person has mended this. Told once, however often it is said, until the task was readable again. */
  unreadable(stream: Stream, error: unknown): void;
  /** The task could be read: whatever is told of it from here on is new. */
  readable(stream: Stream): void;
};

export type Clock = {
  /** The time of day, for what is written down. It may be set forward or back at any moment. */
  now(): number;
  /** Whole milliseconds since some moment, for what is measured: goes on evenly, whatever the time of day is set to. */
  elapsed(): number;
  /** Resolves after `ms`, or at once when the signal is aborted. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
};

export type Log = { info(message: string): void; warn(message: string): void; error(message: string): void };

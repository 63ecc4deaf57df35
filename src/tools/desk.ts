/**
 * What the tools need from outside, as they see it: the store of the caller's root and a few narrow ports. The host
 * provides them; tests provide them on real files or in memory.
 */
import type { Refusal } from "../errors.ts";
import type { Settings } from "../schema/config.ts";
import type { Activity, WaitsFor } from "../schema/details.ts";
import type { Effect } from "../schema/effects.ts";
import type { Delay } from "../flow/ports.ts";
import type { Store, Stream } from "../store/store.ts";

/**
 * Who calls. `senderIsOwner` is the host's word: true only in a turn that an owner's message began or in an
 * authenticated operator call; `hasSender` says that a message of somebody began the turn. `runId` is the host's run id
 * of this very call, absent outside a model turn.
 */
export type Caller = {
  readonly sessionKey: string;
  readonly agentId: string;
  readonly senderIsOwner: boolean | undefined;
  readonly hasSender: boolean;
  readonly toolCallId: string;
  readonly runId?: string;
};

export type ReportedPath = { readonly path: string; readonly kind: "file" | "missing" | "outside" | "backslash" };

/** The last record of a task's journal that its flow record names. `ended`: the flow is over and nothing is written to it any more. */
export type FlowMark = { readonly flowId: string; readonly ended: boolean; readonly seq: number; readonly sum: string };

export type Desk = {
  readonly store: Store;
  readonly settings: Settings;
  now(): Date;
  /** A pause before deciding again after another writer was first; grows with the round. */
  backOff(round: number): Promise<void>;
  /** Remembers answers for ten minutes, shared by everything in this process. */
  readonly answers: AnswerMemory;
  /** The real directory a project may work in, made when `wanted` is absent; refuses with `invalid-repo`. Called before the first commit only. */
  chooseRepo(projectId: string, wanted: string | undefined): Promise<string | Refusal>;
  /** What stands at each reported path of a repository, links followed. */
  inspectPaths(repo: string, paths: readonly string[]): Promise<readonly ReportedPath[]>;
  /** False when a builder's commands are sandboxed or restricted by the host's policy. */
  buildersAreUnconfined(): boolean;
  /** Makes OpenClaw's flow record for a task that is about to be created; null where the host cannot now. */
  createFlow(request: {
    readonly sessionKey: string;
    readonly projectId: string;
    readonly taskId: string;
    readonly title: string;
  }): Promise<string | null>;
  /** What OpenClaw's flow record says of a task; undefined when there is none. Throws `host-refused` when it cannot be read now. */
  readFlow(stream: Stream, flowId: string | null): Promise<FlowMark | undefined>;
  /** Called after each commit: wakes the driver and updates what follows. Never throws. */
  committed(stream: Stream, effects: readonly Effect[]): void;
  /** What the driver knows beyond the documents; empty where none drives. */
  readonly live: LiveView;
};

export type LiveView = {
  waitsFor(stream: Stream): readonly WaitsFor[];
  activity(runId: string): Activity | undefined;
  /** What is refused to the task and tried again by itself. */
  delayOf(stream: Stream): Delay | undefined;
  /** Sentences about the root as a whole that a person should know, e.g. that another gateway drives it. */
  remarks(): readonly string[];
};

/**
 * The answers of the last ten minutes by call id; `run` does the work once and gives every repetition the same answer. One
 * that is not `kept` is shared by calls at the same time only: some models use a call's id again for another call.
 */
export type AnswerMemory = {
  once<T>(callId: string, run: () => Promise<T>, isKept: (answer: T) => boolean): Promise<T>;
};

/** For how long a call that is made again is the same call. */
export const sameCallMs = 10 * 60_000;

/** Makes an empty memory that forgets an answer `keepMs` after it was given. */
export function createAnswerMemory(now: () => number, keepMs = sameCallMs): AnswerMemory {
  const kept = new Map<string, { readonly at: number; readonly answer: Promise<unknown> }>();
  return {
    once<T>(callId: string, run: () => Promise<T>, isKept: (answer: T) => boolean): Promise<T> {
      const time = now();
      for (const [id, entry] of kept) {
        if (time - entry.at < keepMs) break;
        kept.delete(id);
      }
      const known = kept.get(callId);
      // The entry was stored by this function under the same call id, hence with the same T.
      if (known !== undefined) return known.answer as Promise<T>;
      const answer = run();
      kept.set(callId, { at: time, answer });
      const forget = () => kept.get(callId)?.answer === answer && kept.delete(callId);
      answer.then((given) => isKept(given) || forget(), forget);
      return answer;
    },
  };
}

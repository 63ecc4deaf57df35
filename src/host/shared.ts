/**
 * What all evaluations of the plugin in one gateway process share. OpenClaw evaluates the module several times (the
 * service in one, agents' tools and hooks in others), so module variables are no place for it; one key on globalThis is.
 */
import { randomUUID } from "node:crypto";
import { thisProcess } from "../files/launcher.ts";
import type { Driver } from "../flow/driver.ts";
import type { Launcher } from "../schema/events.ts";
import type { Store, Stream } from "../store/store.ts";
import { createAnswerMemory, type AnswerMemory } from "../tools/desk.ts";
import { placeOfSession } from "../flow/run-identity.ts";

/** One root that this process has opened. `driver` is there while this process drives it. */
export type OpenRoot = { readonly root: string; readonly store: Store; driver?: Driver; remark?: string };

/** What was seen of a run since this process started. */
export type RunSigns = { lastEventAt: number; tool: string | null; refusals: number };

export type Shared = {
  readonly launcher: Launcher;
  readonly answers: AnswerMemory;
  readonly roots: Map<string, Promise<OpenRoot>>;
  /** The host's run id of a tool call in progress, by session and tool call id: some models count their calls anew in each answer. */
  readonly runOfToolCall: Map<string, string>;
  readonly signs: Map<string, RunSigns>;
  /** Processes that runs left in the background, by session key. */
  readonly leftovers: Map<string, Set<number>>;
  /** Working directory of each run's session: the host's hooks do not tell it. */
  readonly cwdOfSession: Map<string, string>;
  /** Told of every commit made in this process, whichever evaluation made it. */
  onCommit?: (root: string, stream: Stream) => void;
};

/** In the environment of every command of a run: its session, by which its processes are found also after a crash of the gateway. */
export const runVariable = "PROJECT_ORCHESTRATOR_RUN";

const key = Symbol.for("project-orchestrator/1");

/** The shared part of this process; made by whoever asks first. */
export function shared(): Shared {
  const holder = globalThis as { [key]?: Shared };
  return (holder[key] ??= {
    launcher: thisProcess(randomUUID()),
    answers: createAnswerMemory(Date.now),
    roots: new Map(),
    runOfToolCall: new Map(),
    signs: new Map(),
    leftovers: new Map(),
    cwdOfSession: new Map(),
  });
}

/** The key of a tool call in `runOfToolCall`. */
export const keyOfToolCall = (sessionKey: string | undefined, toolCallId: string): string =>
  JSON.stringify([sessionKey ?? "", toolCallId]);

/** Keeps a map from growing without end: the oldest entries go first. */
export function remember<K, V>(map: Map<K, V>, entryKey: K, value: V, most = 2000): void {
  map.delete(entryKey);
  map.set(entryKey, value);
  for (const oldest of map.keys()) {
    if (map.size <= most) return;
    map.delete(oldest);
  }
}

/** Notes a sign of life of one of our runs; others are passed over. */
export function noteSign(
  runId: string | undefined,
  sessionKey: string | undefined,
  at: number,
  tool?: string | null,
): void {
  if (runId === undefined || sessionKey === undefined || placeOfSession(sessionKey) === undefined) return;
  const { signs } = shared();
  const known = signs.get(runId) ?? { lastEventAt: at, tool: null, refusals: 0 };
  known.lastEventAt = Math.max(known.lastEventAt, at);
  if (tool !== undefined) known.tool = tool;
  remember(signs, runId, known);
}

/** Counts a refusal to a run; the driver stops a run that had too many. */
export function noteRefusal(runId: string | undefined): void {
  if (runId === undefined) return;
  const { signs } = shared();
  const known = signs.get(runId) ?? { lastEventAt: Date.now(), tool: null, refusals: 0 };
  known.refusals += 1;
  remember(signs, runId, known);
}

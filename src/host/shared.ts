/**
 * What all evaluations of the plugin in one gateway process share. OpenClaw evaluates the module several times (the
 * service in one, agents' tools and hooks in others), so module variables are no place for it; one key on globalThis is.
 */
import { randomUUID } from "node:crypto";
import { thisProcess } from "../files/launcher.ts";
import type { Driver } from "../flow/driver.ts";
import type { Activity } from "../schema/details.ts";
import type { Launcher } from "../schema/events.ts";
import type { Store, Stream } from "../store/store.ts";
import { createAnswerMemory, type AnswerMemory } from "../tools/desk.ts";
import { placeOfSession } from "../flow/run-identity.ts";

/** One root that this process has opened. `driver` is there while this process drives it. */
export type OpenRoot = { readonly root: string; readonly store: Store; driver?: Driver; remark?: string };

/** What was seen of a run since this process started. */
export type RunSigns = {
  /** Time of day, for people. */
  lastEventAt: number;
  /** The same in elapsed time, for its limits. */
  seenAt: number;
  /** What happened last, in a word or two of ours or the host's name of the stream it came from. */
  lastEvent: string;
  /** The tools that it uses now, by tool call id, the first one first. */
  readonly tools: Map<string, { readonly name: string; readonly since: number }>;
  refusals: number;
};

export type Shared = {
  /** Who launches what this process launches. Another one after the gateway was started anew in the same process. */
  launcher: Launcher;
  readonly answers: AnswerMemory;
  readonly roots: Map<string, Promise<OpenRoot>>;
  /** The host's run id of a tool call in progress, by session and tool call id: some models count their calls anew in each answer. */
  readonly runOfToolCall: Map<string, string>;
  readonly signs: Map<string, RunSigns>;
  /** Processes that runs left in the background, by session key: their ids, each with its start where the kernel tells it. */
  readonly leftovers: Map<string, Map<number, string | undefined>>;
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
    answers: createAnswerMemory(() => performance.now()),
    roots: new Map(),
    runOfToolCall: new Map(),
    signs: new Map(),
    leftovers: new Map(),
    cwdOfSession: new Map(),
  });
}

/** Called when the gateway ends and takes its runs along: should it be started anew in this process, another one launches. */
export function renewLauncher(): void {
  shared().launcher = thisProcess(randomUUID());
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

/** What a sign of life says of a tool: a call of it began, or one is over. */
export type ToolSign = { readonly callId: string; readonly begins?: string };

/** No event of the host comes so much later than the hook of the same moment. */
const setBackMs = 30_000;

/** Notes a sign of life of one of our runs, of this moment of the day; others are passed over. */
export function noteSign(
  runId: string | undefined,
  sessionKey: string | undefined,
  at: number,
  event: string,
  tool?: ToolSign,
): void {
  if (runId === undefined || sessionKey === undefined || placeOfSession(sessionKey) === undefined) return;
  const signs = signsOf(runId, at);
  signs.seenAt = performance.now();
  // The host's own events come a little later than the hooks; what is known stays. One from long before says that the clock was set back.
  if (at >= signs.lastEventAt || at < signs.lastEventAt - setBackMs)
    Object.assign(signs, { lastEventAt: at, lastEvent: event });
  if (tool?.begins !== undefined) signs.tools.set(tool.callId, { name: tool.begins, since: at });
  else if (tool !== undefined) signs.tools.delete(tool.callId);
}

/** Counts a refusal to a run; the driver stops a run that had too many. */
export function noteRefusal(runId: string | undefined): void {
  if (runId !== undefined) signsOf(runId, Date.now()).refusals += 1;
}

/** What a live run does, for whoever asks: its last event and the tool that it has used for longest. */
export function activityOf(runId: string): Activity | undefined {
  const signs = shared().signs.get(runId);
  if (signs === undefined) return undefined;
  const { lastEvent, lastEventAt } = signs;
  const [tool] = signs.tools.values();
  const moment = (at: number) => new Date(at).toISOString();
  return {
    lastEvent,
    lastEventAt: moment(lastEventAt),
    tool: tool?.name ?? null,
    since: moment(tool?.since ?? lastEventAt),
  };
}

function signsOf(runId: string, at: number): RunSigns {
  const { signs } = shared();
  const known = signs.get(runId) ?? {
    lastEventAt: at,
    seenAt: performance.now(),
    lastEvent: "first seen",
    tools: new Map(),
    refusals: 0,
  };
  remember(signs, runId, known);
  return known;
}

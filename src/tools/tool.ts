/**
 * The path of every change, the same for all tools: parse → authorize → transition → commit → answer. Refusals are
 * answers, never thrown; a refused call writes nothing.
 */
import { createHash } from "node:crypto";
import type { TSchema } from "@sinclair/typebox";
import { OrchestratorError, errorTable, refuse, type ErrorCode, type Refusal } from "../errors.ts";
import { placeOfSession } from "../flow/run-identity.ts";
import { changedDocuments, transition } from "../flow/transition.ts";
import type { Settings } from "../schema/config.ts";
import { parseProject, rememberDocument, type Origin, type Project, type TaskState } from "../schema/documents.ts";
import type { Effect } from "../schema/effects.ts";
import type { TaskEvent } from "../schema/events.ts";
import { taskStateOf } from "../schema/outline.ts";
import { parseParameters, type ParametersOf } from "../schema/parameters.ts";
import type { Actor, Change, Snapshot, Stream, TaskGlance } from "../store/store.ts";
import { sameCallMs, type Caller, type Desk } from "./desk.ts";
import { compareWithFlow, refuseRollback, type Rollback } from "./rollback.ts";

export type Audience = "orchestrator" | "builder" | "qa";

/** One tool: what it takes, and what it does with parsed parameters. `run` returns a refusal or the answer. */
export type Tool<T extends TSchema = TSchema> = {
  readonly name: string;
  readonly label: string;
  readonly description: string;
  readonly audience: Audience;
  readonly parameters: T;
  /** True when it changes nothing: then each call looks anew. */
  readonly readsOnly?: true;
  run(parameters: ParametersOf<T>, call: Call): Promise<Answer | Refusal>;
};

/** Text for the model and details for programs. */
export type Answer = { readonly text: string; readonly details: Readonly<Record<string, unknown>> };

/** One call on its way: who, where, and the id under which a repetition is recognised. */
export type Call = { readonly desk: Desk; readonly caller: Caller; readonly tool: string; readonly callId: string };

/** Lets the compiler check a tool against its own parameter schema. */
export function defineTool<T extends TSchema>(tool: Tool<T>): Tool<T> {
  return tool;
}

/** True when the tool is offered to this session: the same rule when tools are listed and when one is called. Pure. */
export function mayUse(
  audience: Audience,
  caller: Pick<Caller, "sessionKey" | "agentId" | "senderIsOwner" | "hasSender">,
  settings: Settings,
): boolean {
  const place = placeOfSession(caller.sessionKey);
  if (audience !== "orchestrator") return place?.role === audience;
  if (place !== undefined || caller.sessionKey.includes(":subagent:")) return false;
  if ([settings.roles.builder.agentId, settings.roles.qa.agentId].includes(caller.agentId)) return false;
  if (settings.orchestrators !== undefined && !settings.orchestrators.includes(caller.agentId)) return false;
  return settings.allowNonOwners || !(caller.hasSender && caller.senderIsOwner === false);
}

/**
 * Calls a tool and resolves to its answer: what could not be done is told in the same form as a refusal. Throws only
 * `bug`, in general words; what failed is its `cause`, for the log and nobody else.
 */
export async function callTool<T extends TSchema>(
  desk: Desk,
  caller: Caller,
  tool: Tool<T>,
  raw: unknown,
): Promise<Answer> {
  if (!mayUse(tool.audience, caller, desk.settings))
    return asAnswer(
      refuse("not-allowed", `${tool.name} is not for this session.`, [
        tool.audience === "orchestrator"
          ? "the chat of an agent that orchestrates, in a turn of its owner"
          : "the session that it was made for",
      ]),
    );
  const parsed = parseParameters(tool.parameters, raw);
  if (!parsed.ok) return asAnswer(parsed);
  const call: Call = { desk, caller, tool: tool.name, callId: callIdOf(caller, tool.name, raw) };
  try {
    // What the caller makes of its own while the call waits for others changes nothing of what is decided, nor any document.
    const parameters = structuredClone(parsed.value);
    const changed = (result: Answer | Refusal) => "text" in result && tool.readsOnly !== true;
    const result = await desk.answers.once(call.callId, () => tool.run(parameters, call), changed);
    // Whoever gets it may change it; documents and the answer to a repetition are in it.
    return structuredClone("text" in result ? result : asAnswer(result));
  } catch (error) {
    if (error instanceof OrchestratorError && error.code !== "bug") return asAnswer(refuse(error.code, error.message));
    throw new OrchestratorError("bug", `${tool.name} failed. ${describeFailure(error).reason}`, { cause: error });
  }
}

/** How long a refusal's reason may be; a caller's own words (an unknown field's name) can stand in it. */
const reasonCharacters = 4000;

/** A refusal as the model and programs get it; one that names nothing of its own accepts what helps with its code. Pure. */
export function asAnswer({ code, reason: given, accepts: own }: Refusal): Answer {
  const reason = given.length > reasonCharacters ? `${given.slice(0, reasonCharacters)}…` : given;
  const accepts = own.length > 0 ? own : [errorTable[code].remedy.replace(/\.$/, "")];
  return {
    text: `Refused (${code}): ${reason}\nAccepted would be: ${accepts.join("; ")}.`,
    details: { refused: { code, reason, accepts } },
  };
}

/** The id under which a call stands in the journal: the same session, run, tool call, tool and parameters (in whatever order) give the same. Pure. */
export function callIdOf(caller: Caller, tool: string, raw: unknown): string {
  const ordered = (_key: string, value: unknown) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1)))
      : value;
  return hash(JSON.stringify([caller.sessionKey, caller.runId ?? "", caller.toolCallId, tool, raw ?? {}], ordered));
}

/** Hash of a text as hex. Pure. */
export function hash(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** Who asked, for committed files: the session only as a hash. Pure. */
export function originOf(caller: Caller): Origin {
  return { agentId: caller.agentId, session: hash(caller.sessionKey).slice(0, 16) };
}

export function actorOf(caller: Caller): Actor {
  const role = placeOfSession(caller.sessionKey)?.role;
  return { kind: role ?? (caller.senderIsOwner === true ? "person" : "orchestrator"), ...originOf(caller) };
}

export function decidedBy(caller: Caller): "person" | "orchestrator" {
  return caller.senderIsOwner === true ? "person" : "orchestrator";
}

// ---- reading

/** The project, or a refusal. Throws what the store throws. */
export async function readProject(
  desk: Desk,
  projectId: string,
): Promise<{ readonly ok: true; readonly project: Project; readonly snapshot: Snapshot } | Refusal> {
  const snapshot = isId(projectId) ? await desk.store.read({ projectId }) : undefined;
  const text = snapshot?.documents["project"];
  if (snapshot === undefined || text === undefined) return unknownProject(projectId);
  if (snapshot.readOnly?.code === "newer-schema") return refuse("newer-schema", snapshot.readOnly.reason);
  return { ok: true, project: parseProject(text), snapshot };
}

/** Why no task of the project goes on: it cannot be read, or it is read-only. Undefined of one that is in order. Never throws. */
export async function troubleOfProject(
  desk: Desk,
  projectId: string,
): Promise<{ readonly code: ErrorCode; readonly reason: string } | undefined> {
  try {
    const found = await readProject(desk, projectId);
    return found.ok ? found.snapshot.readOnly : found;
  } catch (error) {
    return describeFailure(error);
  }
}

/** The same in a sentence about one of its tasks. Pure. */
export const projectTroubleWords = (
  projectId: string,
  { code, reason }: { readonly code: ErrorCode; readonly reason: string },
): string => `nothing goes on while project ${projectId} cannot be used (${code}): ${reason}`;

export function unknownProject(projectId: string): Refusal {
  return refuse("unknown-project", `There is no project ${JSON.stringify(projectId.slice(0, 80))}.`, [
    "a project id that get_status lists",
  ]);
}

export function unknownTask(taskId: string, projectId?: string): Refusal {
  const task = JSON.stringify(taskId.slice(0, 80));
  return projectId === undefined
    ? refuse("unknown-task", `There is no task ${task}.`, ["a task id that get_status lists"])
    : refuse("unknown-task", `Project ${JSON.stringify(projectId.slice(0, 80))} has no task ${task}.`, [
        "a task id that get_status with that projectId lists",
        "no projectId",
      ]);
}

/**
 * Where a task is kept, or undefined; in the given project when one is given. A copy of its project's folder is answered
 * only when nothing else has the task.
 */
export async function findTask(
  desk: Pick<Desk, "store">,
  taskId: string,
  projectId?: string,
): Promise<Stream | undefined> {
  if (!isId(taskId)) return undefined;
  const found = (await desk.store.find(taskId)).filter(
    (stream) => projectId === undefined || stream.projectId === projectId,
  );
  if (found.length < 2) return found[0];
  const ranked = await Promise.all(found.map(async (stream) => ({ stream, rank: await rankOf(desk, stream) })));
  return ranked.toSorted((one, other) => one.rank - other.rank)[0]?.stream;
}

/** The original first; one that cannot be read may be the original still; a copy last. */
async function rankOf(desk: Pick<Desk, "store">, stream: Stream): Promise<number> {
  try {
    return (await desk.store.read(stream))?.readOnly?.code === "project-copied" ? 2 : 0;
  } catch {
    return 1;
  }
}

export type ReadTask = { readonly stream: Stream; readonly snapshot: Snapshot; readonly state: TaskState };
/** A task that is there and cannot be read: it is damaged, written by a newer version, or the disk fails. */
export type UnreadableTask = {
  readonly stream: Stream;
  readonly code: ErrorCode;
  readonly reason: string;
  readonly cause?: unknown;
};

/** The task, or why it cannot be read; undefined when there is none. Never throws: one task's damage is not its siblings'. */
export async function readTask(
  desk: Pick<Desk, "store">,
  stream: Stream,
): Promise<ReadTask | UnreadableTask | undefined> {
  try {
    const snapshot = await desk.store.read(stream);
    if (snapshot === undefined) return undefined;
    if (snapshot.readOnly?.code === "newer-schema") return { stream, ...snapshot.readOnly };
    return { stream, snapshot, state: stateOf(snapshot) };
  } catch (error) {
    return { stream, ...describeFailure(error), cause: error };
  }
}

/** Code and words of what could not be done; of an unknown error never its own words, which may hold paths. Pure. */
export function describeFailure(error: unknown): { readonly code: ErrorCode; readonly reason: string } {
  if (error instanceof OrchestratorError && error.code !== "bug") return { code: error.code, reason: error.message };
  const known =
    error instanceof Error && "code" in error && typeof error.code === "string" && /^[A-Z0-9_]+$/.test(error.code)
      ? ` (${error.code})`
      : "";
  return { code: "bug", reason: `Something failed that should not have${known}; the gateway's log has the cause.` };
}

const parsed = new WeakMap<Snapshot["documents"], TaskState>();

/** The task that a snapshot's documents say. Throws `journal-damaged` when they are none. */
export function stateOf(snapshot: Pick<Snapshot, "documents">): TaskState {
  const known = parsed.get(snapshot.documents);
  if (known !== undefined) return known;
  const state = taskStateOf(snapshot.documents);
  parsed.set(snapshot.documents, state);
  return state;
}

/** True when a project or task can have this id. Pure. */
export function isId(id: string): boolean {
  return /^[a-z0-9][a-z0-9-]*$/.test(id) && id.length <= 200;
}

// ---- changing

export type Changed = {
  readonly ok: true;
  readonly state: TaskState;
  readonly event: TaskEvent;
  readonly effects: readonly Effect[];
  readonly warnings: readonly string[];
};

export type ChangeRequest = {
  readonly tool: string;
  readonly callId: string;
  readonly actor: Actor;
  /** The event for the state as it is now; called again when another writer was first. */
  toEvent(state: TaskState | undefined): Promise<TaskEvent | Refusal> | TaskEvent | Refusal;
  /**
   * The same event for a newer state, when nothing has to be asked of anybody for it: then a change that others came before is
   * decided again where it is written.
   */
  again?(state: TaskState, event: TaskEvent): TaskEvent | Refusal;
  /**
   * What is kept beside the stream because of this change, e.g. which chat to tell. Called after the commit, before the
   * driver hears of it, and again when the same call is repeated; a failure is a warning.
   */
  afterCommit?(stream: Stream): Promise<void>;
  /** What the call makes of a journal that was rolled back; without it the call is refused then. */
  onRollback?(rollback: Rollback): TaskEvent | Refusal;
};

/**
 * The way of a tool that changes the task with an id that the caller gave; what could not be written yet is said in its
 * answer.
 */
export async function changeTaskById(
  { desk, caller, tool, callId }: Call,
  taskId: string,
  request: Pick<ChangeRequest, "toEvent" | "again" | "afterCommit" | "onRollback">,
  toAnswer: (changed: Changed) => Answer,
): Promise<Answer | Refusal> {
  const stream = await findTask(desk, taskId);
  if (stream === undefined) return unknownTask(taskId);
  const changed = await changeTask(desk, stream, { tool, callId, actor: actorOf(caller), ...request });
  return changed.ok ? withWarnings(toAnswer(changed), changed.warnings) : changed;
}

/** The answer of a change that is made, with what could not follow it yet. Pure. */
export function withWarnings({ text, details }: Answer, warnings: readonly string[]): Answer {
  return { text: [text, ...warnings.map((warning) => `Warning: ${warning}`)].join("\n"), details };
}

const mostRounds = 40;

/** Decides and commits one event of a task, again on the new state when another writer was first. Nobody may change the event from then on. */
export async function changeTask(desk: Desk, stream: Stream, request: ChangeRequest): Promise<Changed | Refusal> {
  for (let round = 0; round < mostRounds; round += 1) {
    if (round > 0) await desk.backOff(round);
    const snapshot = await desk.store.read(stream);
    // Documents of a newer version cannot be read at all, not even to answer a repeated call.
    if (snapshot?.readOnly?.code === "newer-schema") return refuse(snapshot.readOnly.code, snapshot.readOnly.reason);
    const repeated = snapshot === undefined ? undefined : await findRepeated(desk, stream, request.callId);
    if (repeated !== undefined && snapshot?.doubt !== undefined) return refuse("outcome-unknown", snapshot.doubt);
    if (repeated !== undefined) return { ...repeated, warnings: await tryAfter(() => request.afterCommit?.(stream)) };
    if (snapshot?.readOnly !== undefined) return refuse(snapshot.readOnly.code, snapshot.readOnly.reason);
    const before = snapshot === undefined ? undefined : stateOf(snapshot);
    const rollback =
      snapshot === undefined ? undefined : await rollbackOf(desk, snapshot, stateOf(snapshot).task.flowId);
    const event =
      rollback === undefined
        ? await request.toEvent(before)
        : (request.onRollback?.(rollback) ?? refuseRollback(rollback));
    if ("ok" in event) return event;
    // Else it is decided when its turn has come. A refusal waits for no turn that others take again and again, nor for a disk that fails.
    const early = round > 0 || snapshot?.doubt !== undefined ? decide(before, event) : undefined;
    if (early?.ok === false) return early;
    let made: Decided | undefined;
    let refusal: Refusal | undefined;
    const take = (decided: Decided | Refusal): Change | undefined => {
      if (!decided.ok) return undefined;
      made = decided;
      return changeOf(request, decided);
    };
    const decideFirst = (): Change | undefined => {
      const decided = decide(before, event);
      if (!decided.ok) refusal = decided;
      return take(decided);
    };
    const decideAgain = (documents: Snapshot["documents"]): Change | undefined => {
      const now = stateOf({ documents });
      const next = request.again?.(now, event);
      return next === undefined || "ok" in next ? undefined : take(decide(now, next));
    };
    const { seq, sum } = snapshot ?? { seq: 0, sum: "" };
    const answer = await desk.store.commit(stream, seq, decideFirst, { sum, decide: decideAgain });
    if (refusal !== undefined) return refusal;
    if (answer.kind === "conflict" || made === undefined) continue;
    const counted = made.before?.task.status !== made.state.task.status;
    const failed = [
      ...(await tryAfter(() => request.afterCommit?.(stream))),
      ...(await tryAfter(() => (counted ? desk.store.refreshPages({ projectId: stream.projectId }) : undefined))),
    ];
    desk.committed(stream, made.effects);
    return {
      ok: true,
      state: made.state,
      event: made.event,
      effects: made.effects,
      warnings: [...answer.warnings, ...failed],
    };
  }
  return refuse("busy", `Other writers changed task ${stream.taskId ?? ""} ${mostRounds} times in a row.`, [
    "the same call again",
  ]);
}

type Decided = {
  readonly ok: true;
  readonly before: TaskState | undefined;
  readonly event: TaskEvent;
  readonly state: TaskState;
  readonly effects: readonly Effect[];
};

function decide(before: TaskState | undefined, event: TaskEvent): Decided | Refusal {
  const decision = transition(before, event);
  return decision.ok ? { ok: true, before, event, state: decision.next, effects: decision.effects } : decision;
}

function changeOf({ actor, tool, callId }: ChangeRequest, { before, event, state }: Decided): Change {
  const documents = changedDocuments(before, state);
  for (const document of [state.task, ...state.steps]) {
    const text = documents["kind" in document ? `steps/${document.id}` : "task"];
    if (text !== undefined) rememberDocument(text, document);
  }
  return { at: event.at, actor, tool, callId, event, documents };
}

/**
 * The rollback of a task for tools: a flow record that cannot be read now is no reason to keep a person waiting, and the
 * driver asks again before it launches anything.
 */
export async function rollbackOf(
  desk: Desk,
  task: Pick<Snapshot, "stream" | "seq" | "sum">,
  flowId: string | null,
): Promise<Rollback | undefined> {
  const found = await compareNow(desk, task, flowId);
  return typeof found === "string" ? undefined : found;
}

async function compareNow(desk: Desk, task: Pick<Snapshot, "stream" | "seq" | "sum">, flowId: string | null) {
  try {
    return await compareWithFlow(desk, task, flowId);
  } catch (error) {
    if (error instanceof OrchestratorError && error.code === "host-refused") return "open";
    throw error;
  }
}

/** Glances of tasks whose flow records named their last record. A journal that has grown, or was replaced, has another glance. */
const level = new WeakSet<TaskGlance>();

/** True when `rollbackAtGlance` has nothing to ask. */
export const isKnownLevel = (glance: TaskGlance): boolean => level.has(glance);

/**
 * As `rollbackOf`, for one of very many tasks: OpenClaw is not asked again of one that its flow record was level with and that is as it was.
 * `task` is what was read after the glance, if it was.
 */
export async function rollbackAtGlance(
  desk: Desk,
  glance: TaskGlance,
  flowId: string | null,
  task: Pick<Snapshot, "stream" | "seq" | "sum"> = glance,
): Promise<Rollback | undefined> {
  const isAsSeen = task.seq === glance.seq && task.sum === glance.sum;
  if (isAsSeen && level.has(glance)) return undefined;
  const found = await compareNow(desk, task, flowId);
  if (isAsSeen && found === "level") level.add(glance);
  return typeof found === "string" ? undefined : found;
}

/** Does what follows a commit; the change stands whatever comes of it, so a failure is a warning. */
export async function tryAfter(work: () => Promise<void> | undefined): Promise<readonly string[]> {
  try {
    await work();
    return [];
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)];
  }
}

/** True when this very call made the record: the same id, and not longer ago than answers are kept. */
export function isSameCall(
  desk: Pick<Desk, "now">,
  record: { readonly callId: string; readonly at: string },
  callId: string,
): boolean {
  return record.callId === callId && Date.parse(record.at) >= desk.now().getTime() - sameCallMs;
}

/** A change that this very call has committed before, e.g. before a restart: it is answered as it was then, not made again. */
async function findRepeated(desk: Desk, stream: Stream, callId: string): Promise<Changed | undefined> {
  if (callId === "") return undefined;
  const record = await desk.store.recordOf(stream, callId);
  if (record === undefined || !isSameCall(desk, record, callId)) return undefined;
  // A task's stream holds task events only.
  return {
    ok: true,
    state: await readStateAt(desk, stream, record.seq),
    event: record.event as TaskEvent,
    effects: [],
    warnings: [],
  };
}

/** The task as record `seq` left it. */
export async function readStateAt(desk: Pick<Desk, "store">, stream: Stream, seq: number): Promise<TaskState> {
  const documents = new Map<string, string>();
  for (const { docs } of (await desk.store.history(stream, 0)).slice(0, seq))
    for (const [name, text] of Object.entries(docs)) {
      if (text === null) documents.delete(name);
      else documents.set(name, text);
    }
  return stateOf({ documents: Object.fromEntries(documents) });
}

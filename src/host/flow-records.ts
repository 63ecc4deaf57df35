/**
 * The managed Task Flow record of a task, brought up to the journal. The journal is the truth; a record that has ended is
 * never touched again (the host would let a `resume` bring it back to life), one that is gone is made anew.
 */
import { OrchestratorError, assertNever } from "../errors.ts";
import type { FlowRecords, JournalEnd } from "../flow/ports.ts";
import { inBatches } from "../flow/turns.ts";
import { openRuns } from "../flow/ready.ts";
import type { TaskState } from "../schema/documents.ts";
import { hasEnded, type Outline } from "../schema/outline.ts";
import { readChats } from "../tools/chat-of-task.ts";
import { nameOfStream, type Store, type Stream, type TaskGlance } from "../store/store.ts";
import type { FlowMark } from "../tools/desk.ts";
import { hash, readTask } from "../tools/tool.ts";
import type { Host } from "./openclaw.ts";
import { asHostError } from "./agent-runner.ts";
import { remember } from "./shared.ts";
import { readToldTasks, type ToldTasks } from "./told.ts";

export const controllerId = "project-orchestrator/task";

/** Of so many flow records the owner is remembered. */
const mostOwners = 20_000;

type FlowView = {
  readonly status: "waiting" | "running" | "succeeded" | "cancelled";
  readonly currentStep: string;
  readonly wait: string;
};

/** The record's readable place for a state. Pure. */
function describeFlow({ task, steps }: TaskState): FlowView {
  const live = steps.flatMap((step) => openRuns(step).map((run) => `${step.id} ${run.role} attempt ${step.attempt}`));
  const checking = steps
    .filter((step) => step.status === "checking")
    .map((step) => `${step.id} checks attempt ${step.attempt}`);
  const asking = steps
    .filter((step) => step.question !== null)
    .map((step) => `${step.id} ${step.question?.kind ?? ""}`);
  switch (task.status) {
    case "draft":
      return { status: "waiting", currentStep: "await-start", wait: "start" };
    case "done":
      return { status: "succeeded", currentStep: "done", wait: "" };
    case "cancelled":
      return { status: "cancelled", currentStep: "cancelled", wait: "" };
    case "waiting":
      return task.question === null
        ? { status: "waiting", currentStep: "await-tasks", wait: task.dependsOn.join(", ") }
        : { status: "waiting", currentStep: `question: ${task.question.kind}`, wait: "person" };
    case "paused":
      return { status: "waiting", currentStep: "paused", wait: "person" };
    case "blocked":
      return { status: "waiting", currentStep: `question: ${asking.join(", ")}`, wait: "person" };
    case "running":
      return { status: "waiting", currentStep: [...live, ...checking][0] ?? "between runs", wait: live.join(", ") };
    default:
      return assertNever(task.status);
  }
}

/** Makes the record of a task that is about to be created; null when the host cannot now (the driver makes it later). */
export async function createFlow(
  host: Host,
  root: string,
  request: { readonly sessionKey: string; readonly projectId: string; readonly taskId: string; readonly title: string },
): Promise<string | null> {
  try {
    const flows = host.api.runtime.tasks.async.managedFlows.bindSession({ sessionKey: request.sessionKey });
    const flow = await flows.createManaged({
      controllerId,
      goal: request.title,
      status: "waiting",
      notifyPolicy: "silent",
      currentStep: "await-start",
      stateJson: { root: markOf(root), projectId: request.projectId, taskId: request.taskId },
    });
    return flow.flowId;
  } catch (error) {
    host.log.warn(
      `the flow record of ${request.taskId} is made later: ${error instanceof Error ? error.message : String(error)}`,
    );
    return null;
  }
}

/**
 * The last record that the flow record of a task names; undefined when there is none. A journal that was rolled back may
 * name an older flow than the one that was written last, so one that is not there is looked for by its task. Throws
 * `host-refused` when it cannot be read now.
 */
export async function readFlow(
  host: Host,
  root: string,
  store: Store,
  stream: Stream,
  flowId: string | null,
): Promise<FlowMark | undefined> {
  const chats = await readChats(store, stream).catch((error: unknown) =>
    Promise.reject(new OrchestratorError("host-refused", "the flow record's owner is not known now", { cause: error })),
  );
  try {
    for (const sessionKey of chats === undefined ? mainSessions(host) : [chats.flowOwner.sessionKey]) {
      const flows = host.api.runtime.tasks.async.managedFlows.bindSession({ sessionKey });
      const linked = flowId === null ? undefined : await flows.get(flowId);
      const candidates =
        linked === undefined
          ? (await flows.list()).filter(
              (flow) => isOurs(flow, root) && textIn(flow.stateJson, "taskId") === stream.taskId,
            )
          : [linked];
      const latest = latestMark(candidates);
      if (latest !== undefined) return latest;
    }
    return undefined;
  } catch (error) {
    throw asHostError("the flow record", error);
  }
}

type OwnerOf = (stream: Stream, flowId: string | null) => Promise<string | undefined>;

async function readOwner(store: Store, stream: Stream): Promise<string | undefined> {
  return (await readChats(store, stream))?.flowOwner.sessionKey;
}

/** Where a chat with an agent is as long as nobody opens another one. */
const mainSessions = (host: Host) => host.agentIds().map((agentId) => `agent:${agentId}:main`);

/**
 * Binds the flow port to the host, for the tasks of one store that this process drives; others must not write their flow records meanwhile.
 * `mark` is what `readFlow` answers.
 */
export function createFlowRecords(
  host: Host,
  root: string,
  store: Store,
): FlowRecords & {
  readonly mark: (stream: Stream, flowId: string | null) => Promise<FlowMark | undefined>;
  /** The session that owns the task's flow record; undefined when no chat is known. Throws as `readChats` does. */
  readonly ownerOf: OwnerOf;
} {
  const bind = (sessionKey: string) => host.api.runtime.tasks.async.managedFlows.bindSession({ sessionKey });
  /** The chat that owns each flow record, which stays the same as long as the record does. Asked every few seconds, of all tasks. */
  const owners = new Map<string, string>();
  /**
   * What the first list said, for one mark and one sync of each task: of a thousand drafts none need be asked for alone at a start. Nobody
   * else writes their records meanwhile. By the stream's name where it stands, and by its id the record itself.
   */
  const toMark = new Map<string, FlowMark | undefined>();
  const toSync = new Map<string, FlowRecord>();
  let isListed = false;

  function keepListed(owned: readonly OwnedFlow[], flows: readonly FlowRecord[]): void {
    const byId = new Map(flows.map((flow) => [flow.flowId, flow]));
    const ours = flows.filter((flow) => isOurs(flow, root));
    const byTask = Map.groupBy(ours, ({ stateJson }) => textIn(stateJson, "taskId"));
    for (const { stream, flowId } of owned) {
      // As `readFlow` has it: the record that the task names, also one that was made when its root was elsewhere.
      const linked = byId.get(flowId);
      if (linked !== undefined && isOurs(linked, root)) toSync.set(flowId, linked);
      toMark.set(nameOfStream(stream), latestMark(linked === undefined ? byTask.get(stream.taskId) : [linked]));
    }
  }

  async function ownerOf(stream: Stream, flowId: string | null): Promise<string | undefined> {
    const owner = (flowId === null ? undefined : owners.get(flowId)) ?? (await readOwner(store, stream));
    if (flowId !== null && owner !== undefined) remember(owners, flowId, owner, mostOwners);
    return owner;
  }

  /** Of a task of which nothing is known without opening it: it may be readable again. */
  async function flowIdOf(stream: Stream): Promise<string | null> {
    const read = await readTask({ store }, stream);
    if (read === undefined || !("state" in read) || read.snapshot.readOnly !== undefined) return null;
    return read.state.task.flowId;
  }

  return {
    ownerOf,

    async mark(stream, flowId) {
      const name = nameOfStream(stream);
      const known = toMark.get(name);
      return toMark.delete(name) ? known : readFlow(host, root, store, stream, flowId);
    },

    isLevel(stream, flowId, at) {
      const name = nameOfStream(stream);
      const flow = toSync.get(flowId ?? "");
      const isLevel = flow?.status === "waiting" && toMark.get(name)?.flowId === flow.flowId && isUpTo(flow, at);
      if (!isLevel) return false;
      toMark.delete(name);
      toSync.delete(flow.flowId);
      return true;
    },

    async sync(stream, state, { seq, sum }) {
      const view = describeFlow(state);
      const before = toSync.get(state.task.flowId ?? "");
      toSync.delete(state.task.flowId ?? "");
      if (before !== undefined && saysSo(before, view, { seq, sum })) return undefined;
      const chats = await readChats(store, stream);
      if (chats === undefined) return undefined;
      const { sessionKey } = chats.flowOwner;
      const runIds = state.steps.flatMap((step) => openRuns(step).map((run) => run.runId));
      const stateJson = { root: markOf(root), projectId: stream.projectId, taskId: state.task.id, runIds, seq, sum };
      try {
        const known = state.task.flowId === null ? undefined : await bind(sessionKey).get(state.task.flowId);
        if (known !== undefined && isOurs(known, root) && saysSo(known, view, { seq, sum })) return undefined;
        const isOver = view.status === "succeeded" || view.status === "cancelled";
        if (!isOver && (known === undefined || isOrphan(known)))
          return (
            (await createFlow(host, root, {
              sessionKey,
              projectId: stream.projectId,
              taskId: state.task.id,
              title: state.task.title,
            })) ?? undefined
          );
        if (known === undefined || known.endedAt !== undefined) return undefined;
        await apply(sessionKey, known.flowId, view, stateJson);
        return undefined;
      } catch (error) {
        throw asHostError("the flow record", error);
      }
    },

    async cancelRequested(streams) {
      const byOwner = new Map<string, OwnedFlow[]>();
      const unknown: unknown[] = [];
      const wanted = new Set(streams.map(({ taskId }) => taskId));
      const projectIds = new Set(streams.map(({ projectId }) => projectId));
      const glances = await glancesOf(store, projectIds, ({ taskId }) => wanted.has(taskId));
      for await (const stream of inBatches(streams)) {
        const glance = glances.get(nameOfStream(stream));
        const flowId = glance === undefined ? await flowIdOf(stream) : glance.outline.flowId;
        if (flowId === null) continue;
        const owner = await ownerOf(stream, flowId).catch((error: unknown) => void unknown.push(error));
        if (owner === undefined) continue;
        const owned = byOwner.get(owner) ?? [];
        byOwner.set(owner, owned);
        owned.push({ stream, flowId });
      }
      const asked: Stream[] = [];
      const isFirst = !isListed;
      isListed = true;
      for (const [sessionKey, owned] of byOwner) {
        const flows = await bind(sessionKey)
          .list()
          .catch((error: unknown) => Promise.reject(asHostError("the flow records", error)));
        // Only the task's own flow counts, and not when it was us who cancelled it, while its task was not there.
        const cancelled = new Set(
          flows
            .filter((flow) => (flow.cancelRequestedAt !== undefined || flow.status === "cancelled") && !isOrphan(flow))
            .map((flow) => flow.flowId),
        );
        asked.push(...owned.filter((one) => cancelled.has(one.flowId)).map((one) => one.stream));
        if (isFirst) keepListed(owned, flows);
      }
      // What is known counts first: one owner that cannot be read must not hide the cancels of the others.
      if (asked.length === 0 && unknown.length > 0) throw unknown[0];
      return asked;
    },
  };

  async function apply(
    sessionKey: string,
    flowId: string,
    view: FlowView,
    stateJson: { readonly taskId: string; readonly runIds: readonly string[] },
  ): Promise<void> {
    const flows = bind(sessionKey);
    for (let round = 0; round < 5; round += 1) {
      const flow = await flows.get(flowId);
      if (flow === undefined || flow.endedAt !== undefined) return;
      const change = {
        flowId,
        expectedRevision: flow.revision,
        stateJson: { ...stateJson, runIds: [...stateJson.runIds] },
      };
      if (view.status === "cancelled") {
        const { cancelled, reason } = await host.api.runtime.tasks.managedFlows
          .bindSession({ sessionKey })
          .cancel({ flowId, cfg: host.config() });
        if (cancelled) return;
        throw new OrchestratorError("host-refused", `the flow was not cancelled: ${reason ?? "no reason given"}`);
      }
      const answer =
        view.status === "succeeded"
          ? await flows.finish(change)
          : await flows.setWaiting({ ...change, currentStep: view.currentStep, waitJson: { for: view.wait } });
      // One that is gone meanwhile is made anew at the next change.
      if (answer.applied || answer.code === "not_found") return;
      if (answer.code !== "revision_conflict")
        throw new OrchestratorError("host-refused", `the flow record was not written: ${answer.code}`);
    }
    throw new OrchestratorError("host-refused", "the flow record was not written: others keep changing it");
  }
}

/** What `settleFlows` needs to know of a task: its flow, and how to have it looked at. */
export type KnownTask = { readonly flowId: string | null; readonly ended: boolean; wake(): void };

/** A flow younger than this may belong to a creation that is under way. One from later than now is old: the clock was set back. */
export const youngMs = 60_000;

/**
 * Brings the flows of one root and these owners (and those of the agents' main chats) into line with its tasks, at start:
 * a flow whose task does not exist, or has another flow, was cut off by a crash and is cancelled; a task that ended while
 * its flow did not is woken to end it. Flows of other roots are theirs to settle. Answers how many could not be judged,
 * being too young or written to meanwhile; look again later.
 */
export async function settleFlows(
  host: Host,
  root: string,
  owners: readonly string[],
  taskOfId: (taskId: string) => Promise<KnownTask | undefined>,
): Promise<number> {
  let again = 0;
  for (const sessionKey of new Set([...owners, ...mainSessions(host)])) {
    const flows = await host.api.runtime.tasks.async.managedFlows.bindSession({ sessionKey }).list();
    for (const flow of flows) {
      const taskId = textIn(flow.stateJson, "taskId");
      if (!isOurs(flow, root) || flow.endedAt !== undefined || taskId === undefined) continue;
      const task = await taskOfId(taskId);
      if (task !== undefined && (task.flowId === flow.flowId || task.flowId === null)) {
        if (task.ended) task.wake();
      } else if (Math.abs(Date.now() - flow.createdAt) <= youngMs || !(await cancelOrphan(host, sessionKey, flow)))
        again += 1;
    }
  }
  return again;
}

/**
 * Cancels a flow that no task names, and marks it first: the task may come back (a folder that was away), and must not
 * take this for a cancel that a person asked for. False when somebody else wrote to the flow meanwhile.
 */
async function cancelOrphan(host: Host, sessionKey: string, flow: FlowRecord): Promise<boolean> {
  const { flowId, revision: expectedRevision, stateJson } = flow;
  if (flow.cancelRequestedAt === undefined && !isOrphan(flow)) {
    const marked = await host.api.runtime.tasks.async.managedFlows.bindSession({ sessionKey }).setWaiting({
      flowId,
      expectedRevision,
      currentStep: "its task is not there",
      stateJson: { ...fieldsOf(stateJson), orphan: true },
    });
    if (!marked.applied) return marked.code === "not_found";
  }
  await host.api.runtime.tasks.managedFlows.bindSession({ sessionKey }).cancel({ flowId, cfg: host.config() });
  return true;
}

/**
 * The tasks of a store as `settleFlows` needs them, by id, and the chats that own their flows, as `ownerOf` has them where they were asked for
 * before. Throws when it cannot tell.
 */
export async function readKnownTasks(
  store: Store,
  wake: (stream: Stream) => void,
  ownerOf: OwnerOf = (stream) => readOwner(store, stream),
): Promise<{ readonly known: ReadonlyMap<string, KnownTask>; readonly owners: readonly string[] }> {
  const known = new Map<string, KnownTask>();
  const projectIds = await store.projects();
  const told = new Map<string, ToldTasks>();
  for (const projectId of projectIds) told.set(projectId, await readToldTasks(store, projectId));
  const owners = new Set([...told.values()].flatMap((one) => one.owners));
  const glances = await glancesOf(store, projectIds);
  for await (const stream of inBatches(await store.list({ whole: true }))) {
    const { taskId } = stream;
    if (taskId === undefined) continue;
    const glance = glances.get(nameOfStream(stream));
    if (glance === undefined || told.get(stream.projectId)?.has(glance) !== true) {
      const owner = await ownerOf(stream, glance?.outline.flowId ?? null);
      if (owner !== undefined) owners.add(owner);
    }
    if (glance !== undefined) {
      const { flowId } = glance.outline;
      known.set(taskId, { flowId, ended: hasEnded(glance.outline), wake: () => wake(stream) });
      continue;
    }
    const read = await readTask({ store }, stream);
    if (read === undefined) continue;
    // One that cannot be read, or not be changed, keeps its flow, whichever that is. A copy says nothing of the original.
    if (!("state" in read) || read.snapshot.readOnly !== undefined) {
      if (!known.has(taskId)) known.set(taskId, { flowId: null, ended: false, wake: () => wake(stream) });
      continue;
    }
    const { task } = read.state;
    known.set(taskId, { flowId: task.flowId, ended: hasEnded(task), wake: () => wake(stream) });
  }
  return { known, owners: [...owners] };
}

type Glance = TaskGlance & { readonly outline: Outline };

/** The tasks of these projects that can be read and changed, by their stream's name: what is asked of them here needs no look at their files. */
async function glancesOf(
  store: Store,
  projectIds: Iterable<string>,
  isWanted: (stream: Glance["stream"]) => boolean = () => true,
): Promise<ReadonlyMap<string, Glance>> {
  const isWhole = (glance: TaskGlance): glance is Glance =>
    glance.outline !== undefined && glance.readOnly === undefined && isWanted(glance.stream);
  const glances = new Map<string, Glance>();
  for (const projectId of projectIds) {
    const project = await store.read({ projectId }).catch(() => undefined);
    if (project === undefined || project.readOnly !== undefined) continue;
    for (const glance of (await store.tasks(projectId)).filter(isWhole))
      glances.set(nameOfStream(glance.stream), glance);
  }
  return glances;
}

type OwnedFlow = { readonly stream: Stream; readonly flowId: string };

type FlowRecord = {
  readonly flowId: string;
  readonly revision: number;
  readonly status?: string;
  readonly currentStep?: string;
  readonly controllerId?: string;
  readonly stateJson?: unknown;
  readonly cancelRequestedAt?: number;
  readonly endedAt?: number;
};

/** True when the record of a task that goes on says already what is to be written into it. */
function saysSo(flow: FlowRecord, view: FlowView, at: JournalEnd) {
  const isSame = flow.status === view.status && flow.currentStep === view.currentStep;
  return isSame && view.status === "waiting" && isUpTo(flow, at);
}

/** True when the record of a task that goes on names the journal's last record. */
function isUpTo(flow: FlowRecord, { seq, sum }: JournalEnd): boolean {
  const mark = markIn(flow);
  return mark !== undefined && !mark.ended && mark.seq === seq && mark.sum === sum && !isOrphan(flow);
}

const isOurs = ({ controllerId: controller, stateJson }: FlowRecord, root: string) =>
  controller === controllerId && textIn(stateJson, "root") === markOf(root);

function markIn({ flowId, stateJson, endedAt }: FlowRecord): FlowMark | undefined {
  const { seq } = typeof stateJson === "object" && stateJson !== null && "seq" in stateJson ? stateJson : { seq: 0 };
  const sum = textIn(stateJson, "sum");
  if (typeof seq !== "number" || seq < 1 || sum === undefined) return undefined;
  return { flowId, ended: endedAt !== undefined, seq, sum };
}

/** Tells the flows of one root from those of another without naming the folder. */
function markOf(root: string): string {
  const mark = marksOfRoots.get(root) ?? hash(root).slice(0, 16);
  marksOfRoots.set(root, mark);
  return mark;
}

const marksOfRoots = new Map<string, string>();

function latestMark(flows: readonly FlowRecord[] = []): FlowMark | undefined {
  return flows.flatMap((flow) => markIn(flow) ?? []).toSorted((one, other) => other.seq - one.seq)[0];
}

/** True for a flow that was given up because its task was not there. */
const isOrphan = ({ stateJson }: Pick<FlowRecord, "stateJson">) => fieldsOf(stateJson)["orphan"] === true;

const fieldsOf = (stateJson: unknown) =>
  typeof stateJson === "object" && stateJson !== null ? (stateJson as Record<string, unknown>) : {};

function textIn(stateJson: unknown, name: "taskId" | "root" | "sum"): string | undefined {
  const value = fieldsOf(stateJson)[name];
  return typeof value === "string" ? value : undefined;
}

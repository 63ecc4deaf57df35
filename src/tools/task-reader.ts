/** What the driver reads of tasks, from the store. */
import type { TaskReader, Unfinished } from "../flow/ports.ts";
import { seatOf } from "../flow/ready.ts";
import { isAtRest } from "../flow/recover.ts";
import { parseProject, parseStep } from "../schema/documents.ts";
import { hasEnded, isOver, outlineOf } from "../schema/outline.ts";
import type { Launcher } from "../schema/events.ts";
import { OrchestratorError } from "../errors.ts";
import { nameOfStream, type Stream } from "../store/store.ts";
import type { Desk } from "./desk.ts";
import { findRollback, refuseRollback } from "./rollback.ts";
import { readTask, stateOf } from "./tool.ts";

/** More launches than one attempt and role can have between two rollbacks. */
const launchesPerHistory = 1000;

/** How far a task's journal was read, and how many rollbacks a person went on from until there. */
type Reached = { readonly seq: number; readonly sum: string; readonly rollbacks: number };
const start: Reached = { seq: 0, sum: "", rollbacks: 0 };

/**
 * Reading tasks for the driver. A task that cannot be read is never in the way of the others: among the unfinished it is
 * named, so that the driver tells it and looks again; elsewhere it is passed over. A journal is read once, and from then on
 * only what was added: it may be long, and each launch asks.
 */
export function createTaskReader(desk: Pick<Desk, "store" | "readFlow">): TaskReader {
  const { store } = desk;
  const launchers = new Map<string, Launcher>();
  const reached = new Map<string, Reached>();
  /** Reads on where it stopped; from the start when the last record that was read does not stand there any more. */
  const readOn = async (stream: Stream): Promise<Reached> => {
    const name = nameOfStream(stream);
    const before = reached.get(name) ?? start;
    const [last, ...added] = before.seq === 0 ? [] : await store.history(stream, before.seq - 1);
    const isThere = before.seq > 0 && last?.sum === before.sum;
    let { seq, sum, rollbacks } = isThere ? before : start;
    for (const record of isThere ? added : await store.history(stream, 0)) {
      const { event, docs } = record;
      ({ seq, sum } = record);
      if (event.type === "RollbackAccepted") rollbacks += 1;
      if (event.type !== "RunPlanned") continue;
      const name = `steps/${event.stepId}`;
      const { runId } = seatOf(parseStep(docs[name] ?? "", name), event.role);
      if (runId !== null) launchers.set(runId, event.launcher);
    }
    const now = { seq, sum, rollbacks };
    reached.set(name, now);
    return now;
  };
  const read = async (stream: Stream) => {
    const snapshot = await store.read(stream);
    if (snapshot === undefined || snapshot.readOnly !== undefined) return undefined;
    const project = await store.read({ projectId: stream.projectId });
    const text = project?.documents["project"];
    if (text === undefined) return undefined;
    const state = stateOf(snapshot);
    const rollback = await findRollback(desk, snapshot, state.task.flowId);
    if (rollback !== undefined) throw new OrchestratorError("state-rolled-back", refuseRollback(rollback).reason);
    return { state, repo: parseProject(text).repo, seq: snapshot.seq, sum: snapshot.sum };
  };
  /** The task, or `unreadable` when it is damaged or newer; throws what passes by itself, so that it is tried again. */
  const tryRead = async (stream: Stream) => {
    const task = await readTask({ store }, stream);
    if (task === undefined || "state" in task) return task;
    if (task.code === "bug") throw task.cause;
    return "unreadable" as const;
  };
  return {
    read,
    lookOver: (stream) => store.lookOver(stream),
    async stateOf(stream) {
      const snapshot = await store.read(stream);
      return snapshot === undefined ? undefined : stateOf(snapshot);
    },
    async unfinished() {
      const found: Unfinished[] = [];
      for (const projectId of await store.projects()) {
        // Where it cannot be read, reading its tasks says why, and they are named as what cannot be read.
        const project = await store.read({ projectId }).catch(() => undefined);
        // Of one that must not be changed no task is driven.
        if (project?.readOnly !== undefined) continue;
        const isWhole = project?.documents["project"] !== undefined;
        for (const { stream, seq, sum, outline, readOnly } of await store.tasks(projectId)) {
          if (outline !== undefined && isOver(outline)) continue;
          if (outline !== undefined && readOnly === undefined && !hasEnded(outline) && isWhole) {
            found.push({ stream, outline, end: { seq, sum } });
            continue;
          }
          const task = await read(stream).catch(() => "unreadable" as const);
          if (task === undefined) continue;
          if (task === "unreadable") found.push({ stream });
          else if (!hasEnded(task.state.task) || !isAtRest(task.state))
            found.push({ stream, outline: outlineOf(task.state) });
        }
      }
      return found;
    },
    async statusOf(projectId, taskId) {
      const task = await tryRead({ projectId, taskId });
      return task === "unreadable" ? task : task?.state.task.status;
    },
    async waitingFor(projectId, taskId) {
      const found: Stream[] = [];
      for (const { stream, outline } of await store.tasks(projectId)) {
        if (outline !== undefined && (outline.status !== "waiting" || !outline.dependsOn.includes(taskId))) continue;
        const task = await tryRead(stream);
        if (task === undefined || task === "unreadable" || task.snapshot.readOnly !== undefined) continue;
        if (task.state.task.status === "waiting" && task.state.task.dependsOn.includes(taskId)) found.push(stream);
      }
      return found;
    },
    launchesBefore: async (stream) => (await readOn(stream)).rollbacks * launchesPerHistory,
    async launcherOf(stream, runId) {
      if (!launchers.has(runId)) await readOn(stream);
      return launchers.get(runId);
    },
  };
}

/** What the driver reads of tasks, from the store. */
import type { TaskReader } from "../flow/ports.ts";
import { isAtRest } from "../flow/recover.ts";
import { parseProject } from "../schema/documents.ts";
import type { Launcher } from "../schema/events.ts";
import { OrchestratorError } from "../errors.ts";
import type { Stream } from "../store/store.ts";
import type { Desk } from "./desk.ts";
import { findRollback, refuseRollback } from "./rollback.ts";
import { readTask, stateOf } from "./tool.ts";

/** More launches than one attempt and role can have between two rollbacks. */
const launchesPerHistory = 1000;

/**
 * Reading tasks for the driver. A task that cannot be read is never in the way of the others: among the unfinished it is
 * named, so that the driver tells it and looks again; elsewhere it is passed over. Who launched a run is read from the
 * journal once and kept.
 */
export function createTaskReader(desk: Pick<Desk, "store" | "readFlow">): TaskReader {
  const { store } = desk;
  const launchers = new Map<string, Launcher>();
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
    async unfinished() {
      const found: Stream[] = [];
      for (const stream of await store.list()) {
        if (stream.taskId === undefined) continue;
        const task = await read(stream).catch(() => "unreadable" as const);
        if (task === undefined) continue;
        const ended =
          task !== "unreadable" && (task.state.task.status === "done" || task.state.task.status === "cancelled");
        if (task === "unreadable" || !ended || !isAtRest(task.state)) found.push(stream);
      }
      return found;
    },
    async statusOf(projectId, taskId) {
      const task = await tryRead({ projectId, taskId });
      return task === "unreadable" ? task : task?.state.task.status;
    },
    async waitingFor(projectId, taskId) {
      const found: Stream[] = [];
      for (const stream of await store.list()) {
        if (stream.projectId !== projectId || stream.taskId === undefined) continue;
        const task = await tryRead(stream);
        if (task === undefined || task === "unreadable" || task.snapshot.readOnly !== undefined) continue;
        if (task.state.task.status === "waiting" && task.state.task.dependsOn.includes(taskId)) found.push(stream);
      }
      return found;
    },
    async launchesBefore(stream) {
      const records = await store.history(stream, 0);
      return records.filter((one) => one.event.type === "RollbackAccepted").length * launchesPerHistory;
    },
    async launcherOf(stream, runId) {
      const known = launchers.get(runId);
      if (known !== undefined) return known;
      // The first plan whose documents name the run is the one that made it; later ones carry it along.
      const names = `"runId": ${JSON.stringify(runId)}`;
      const records = await store.history(stream, 0);
      const planned = records.find(
        (one) => one.event.type === "RunPlanned" && Object.values(one.docs).some((text) => text?.includes(names)),
      );
      if (planned?.event.type === "RunPlanned") launchers.set(runId, planned.event.launcher);
      return launchers.get(runId);
    },
  };
}

/** What the driver reads of tasks, from the store. */
import type { TaskReader } from "../flow/ports.ts";
import { isAtRest } from "../flow/recover.ts";
import { parseProject } from "../schema/documents.ts";
import type { Launcher } from "../schema/events.ts";
import type { Store, Stream } from "../store/store.ts";
import { stateOf } from "./tool.ts";

/** Reading tasks for the driver. Who launched a run is read from the journal once and kept. */
export function createTaskReader(store: Store): TaskReader {
  const launchers = new Map<string, Launcher>();
  const read = async (stream: Stream) => {
    const snapshot = await store.read(stream);
    if (snapshot === undefined || snapshot.readOnly !== undefined) return undefined;
    const project = await store.read({ projectId: stream.projectId });
    const text = project?.documents["project"];
    if (text === undefined) return undefined;
    return { state: stateOf(snapshot), repo: parseProject(text).repo, seq: snapshot.seq, sum: snapshot.sum };
  };
  return {
    read,
    async unfinished() {
      const found: Stream[] = [];
      for (const stream of await store.list()) {
        if (stream.taskId === undefined) continue;
        const task = await read(stream).catch(() => undefined);
        if (task === undefined) continue;
        const ended = task.state.task.status === "done" || task.state.task.status === "cancelled";
        if (!ended || !isAtRest(task.state)) found.push(stream);
      }
      return found;
    },
    async statusOf(projectId, taskId) {
      const snapshot = await store.read({ projectId, taskId });
      return snapshot === undefined ? undefined : stateOf(snapshot).task.status;
    },
    async waitingFor(projectId, taskId) {
      const found: Stream[] = [];
      for (const stream of await store.list()) {
        if (stream.projectId !== projectId || stream.taskId === undefined) continue;
        const task = await read(stream);
        if (task?.state.task.status === "waiting" && task.state.task.dependsOn.includes(taskId)) found.push(stream);
      }
      return found;
    },
    async launcherOf(stream, runId) {
      const known = launchers.get(runId);
      if (known !== undefined) return known;
      // The first plan whose documents name the run is the one that made it; later ones carry it along.
      const names = `"runId": ${JSON.stringify(runId)}`;
      const records = await store.history(stream, 0);
      const planned = records.find((one) => one.event.type === "RunPlanned" && Object.values(one.docs).some((text) => text?.includes(names)));
      if (planned?.event.type === "RunPlanned") launchers.set(runId, planned.event.launcher);
      return launchers.get(runId);
    },
  };
}

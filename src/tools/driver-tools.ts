/**
 * The driver's internal tools: a run was planned, launched, ended, checks finished, a dependency settled, a flow was
 * linked, a cancel was asked of the flow. They change state by the same commit as all others and no agent is ever offered them.
 */
import type { Refusal } from "../errors.ts";
import type { Recorder } from "../flow/ports.ts";
import type { TaskEvent } from "../schema/events.ts";
import type { Stream } from "../store/store.ts";
import type { Desk } from "./desk.ts";
import { changeTask, type Changed } from "./tool.ts";

/** Which internal tool records which event; an event that is missing here cannot come from the driver. */
const toolOf = {
  RunPlanned: "plan_run",
  RunLaunched: "confirm_run",
  RunEnded: "end_run",
  ChecksFinished: "finish_checks",
  DependenciesDone: "settle_dependencies",
  DependencyCancelled: "settle_dependencies",
  FlowLinked: "link_flow",
  TaskCancelled: "obey_flow_cancel",
} as const satisfies Partial<Record<TaskEvent["type"], string>>;

/** The driver's recorder on a desk. A refused event is answered, never thrown. */
export function createRecorder(desk: Desk): Recorder {
  return {
    async record(stream: Stream, event: TaskEvent): Promise<Changed | Refusal> {
      const tool = event.type in toolOf ? toolOf[event.type as keyof typeof toolOf] : undefined;
      if (tool === undefined)
        return { ok: false, code: "not-allowed", reason: `The driver may not record ${event.type}.`, accepts: [] };
      // Documents are made of it, and whoever gave it may change it.
      const copy = structuredClone(event);
      const toEvent = () => copy;
      return changeTask(desk, stream, { tool, callId: "", actor: { kind: "driver" }, toEvent, again: toEvent });
    },
  };
}

/**
 * A journal that was rolled back: an older copy was restored, and OpenClaw's flow record names a record that the journal
 * lacks. Nothing changes such a task until a person goes on with a reason, or until the newer files are back. It is found
 * by comparing the two at every change and at every look of the driver; nothing of it is kept.
 */
import { refuse, type Refusal } from "../errors.ts";
import type { Snapshot } from "../store/store.ts";
import type { Desk, FlowMark } from "./desk.ts";

/** `mark` is what the flow record names; `seq` is where the journal ends. */
export type Rollback = { readonly taskId: string; readonly seq: number; readonly mark: FlowMark };

/**
 * The rollback of a task, or undefined when its journal holds what its flow record names, or a person went on without
 * that. Throws `host-refused` when the flow record cannot be read now.
 */
export async function findRollback(
  desk: Pick<Desk, "store" | "readFlow">,
  place: Pick<Snapshot, "stream" | "seq" | "sum">,
  flowId: string | null,
): Promise<Rollback | undefined> {
  const found = await compareWithFlow(desk, place, flowId);
  return typeof found === "string" ? undefined : found;
}

/**
 * As `findRollback`, and `level` for a journal whose last record is the one that the flow record names: until that journal changes there is
 * nothing to bring up to it. `open` is what else was not rolled back.
 */
export async function compareWithFlow(
  desk: Pick<Desk, "store" | "readFlow">,
  { stream, seq, sum }: Pick<Snapshot, "stream" | "seq" | "sum">,
  flowId: string | null,
): Promise<Rollback | "level" | "open"> {
  const mark = await desk.readFlow(stream, flowId);
  if (mark === undefined) return "open";
  if (mark.seq === seq && mark.sum === sum) return "level";
  if (mark.seq < seq && (await desk.store.history(stream, mark.seq - 1))[0]?.sum === mark.sum) return "open";
  const records = await desk.store.history(stream, 0);
  // What was appended since this snapshot was read counts too.
  const isKnown = records.some(
    ({ seq: at, sum: ownSum, event }) =>
      (at === mark.seq && ownSum === mark.sum) ||
      (event.type === "RollbackAccepted" && event.seq === mark.seq && event.sum === mark.sum),
  );
  return isKnown ? "open" : { taskId: stream.taskId ?? "", seq, mark };
}

/** The refusal of every change to such a task. Pure. */
export function refuseRollback({ taskId, seq, mark }: Rollback): Refusal {
  return refuse(
    "state-rolled-back",
    `The journal of task ${taskId} ends at record ${seq} and lacks record ${mark.seq}, which OpenClaw's flow record knows: an older copy was restored. The task is read-only and is not driven.`,
    [
      `set_task_status running for task ${taskId} with a reason, when the owner says in the chat to go on from this older state`,
      "the newer files put back",
    ],
  );
}

/** Following a task's journal record by record, apart from everything that keeps or drives it. */
import { openRuns } from "../../src/flow/ready.ts";
import { changedDocuments, transition } from "../../src/flow/transition.ts";
import type { TaskState } from "../../src/schema/documents.ts";
import type { TaskEvent } from "../../src/schema/events.ts";
import type { JournalRecord } from "../../src/store/store.ts";

export type Replay = {
  /** The state after the records that were taken; undefined before the first. */
  readonly state: TaskState | undefined;
  readonly seq: number;
  /**
   * Takes the next record. Throws when it does not follow: a gap, an event that would be refused, documents that are not what
   * follows from it, something that happens once recorded twice, two open runs of one step and role.
   */
  take(record: JournalRecord): void;
};

/** A replay that has taken nothing yet. */
export function createReplay(): Replay {
  let state: TaskState | undefined;
  let last = 0;
  const once = new Set<string>();
  return {
    get state() {
      return state;
    },
    get seq() {
      return last;
    },
    take({ seq, event: any, docs, callId }) {
      if (seq !== last + 1) throw new Error(`record ${seq} follows record ${last}`);
      // A task's stream holds task events only.
      const event = any as TaskEvent;
      const decision = transition(state, event);
      if (!decision.ok) throw new Error(`record ${seq} (${event.type}) would be refused: ${decision.code}`);
      if (!areSame(changedDocuments(state, decision.next), docs))
        throw new Error(`record ${seq} (${event.type}) holds other documents than follow from its event`);
      for (const mark of [callId === "" ? "" : `call ${callId}`, markOf(event)]) {
        if (mark !== "" && once.has(mark)) throw new Error(`${mark} stands in the journal twice`);
        once.add(mark);
      }
      for (const step of decision.next.steps) {
        const roles = openRuns(step).map(({ role }) => role);
        if (new Set(roles).size !== roles.length)
          throw new Error(`${step.id} has two open runs of a role after record ${seq}`);
      }
      state = decision.next;
      last = seq;
    },
  };
}

type Documents = Readonly<Record<string, string | null>>;
function areSame(one: Documents, other: Documents): boolean {
  const names = Object.keys(one);
  return names.length === Object.keys(other).length && names.every((name) => one[name] === other[name]);
}

/** What may stand in a journal once only. */
function markOf(event: TaskEvent): string {
  switch (event.type) {
    case "RunLaunched":
    case "RunEnded":
    case "BuilderReported":
    case "QaReported":
      return `${event.type} ${event.runId}`;
    case "ChecksFinished":
      return `ChecksFinished ${event.stepId} ${event.attempt}`;
    default:
      return "";
  }
}

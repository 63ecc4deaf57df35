/** Who calls a tool, as the host tells it. Every call has an id of its own unless a test gives one. */
import { sessionKeyOf, type RunPlace } from "../../src/flow/run-identity.ts";
import type { Caller } from "../../src/tools/desk.ts";

let calls = 0;

/** Counts calls from the start again: the same calls get the same ids, whatever came before them in this process. */
export function countCallsAnew(): void {
  calls = 0;
}

/** The owner's chat with the orchestrator, in a turn that the owner's message began. */
export function owner(fields: Partial<Caller> = {}): Caller {
  calls += 1;
  return {
    sessionKey: "agent:main:chat",
    agentId: "main",
    senderIsOwner: true,
    hasSender: true,
    toolCallId: `call-${calls}`,
    ...fields,
  };
}

/** The same chat in a turn that nobody's message began. */
export function wakeUp(fields: Partial<Caller> = {}): Caller {
  return owner({ senderIsOwner: false, hasSender: false, ...fields });
}

/** A run of ours, inside its own model turn. */
export function inRun(place: RunPlace, runId: string, fields: Partial<Caller> = {}): Caller {
  return owner({ sessionKey: sessionKeyOf("main", place), senderIsOwner: false, hasSender: false, runId, ...fields });
}

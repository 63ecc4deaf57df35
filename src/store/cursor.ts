/**
 * The cursor of a reader of all streams: how far it has read each one. Opaque to callers, the same in both stores. Pure.
 */
import { OrchestratorError } from "../errors.ts";
import type { Cursor } from "./store.ts";

/** Last `seq` read, by the stream's name. */
export type Reached = Map<string, number>;

export function formatCursor(reached: Reached): Cursor {
  return JSON.stringify(Object.fromEntries(reached));
}

/** Where the reader stands; at the start of everything without a cursor. Throws `invalid-parameters`. */
export function readCursor(cursor: Cursor | undefined): Reached {
  const reached: Reached = new Map();
  if (cursor === undefined) return reached;
  try {
    const value: unknown = JSON.parse(cursor);
    if (typeof value === "object" && value !== null) {
      for (const [name, seq] of Object.entries(value)) if (typeof seq === "number") reached.set(name, seq);
      return reached;
    }
  } catch {
    // Answered below, like any other text that is no cursor.
  }
  throw new OrchestratorError(
    "invalid-parameters",
    "This is no cursor of this store; leave it out to read from the start.",
  );
}

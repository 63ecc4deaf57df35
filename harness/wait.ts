// Waiting for something outside this process (a file, a record of the host) with a limit and a sentence for the failure.
// Inside one process prefer a signal: `signal()` here, or `gate()` and `turns.waitFor` of the scripted model.

import { setTimeout as sleep } from "node:timers/promises";

/** Generous, because a loaded machine is slow and a passing test never waits for it. */
export const defaultLimitMs = 60_000;
const pollMs = 50;

export interface UntilOptions {
  readonly limitMs?: number;
  readonly everyMs?: number;
  /** Added to the message when the limit is reached, for instance the tail of a log. */
  readonly explain?: () => string | Promise<string>;
}

/**
 * Polls until `look` gives something else than undefined, null or false, and returns it. An error thrown by `look` counts as
 * "not yet" (a file that is being replaced, a gateway that restarts) and is the cause of the error at the limit.
 */
export async function until<Value>(
  what: string,
  look: () => Value | Promise<Value>,
  options: UntilOptions = {},
): Promise<Exclude<Value, undefined | null | false>> {
  const limitMs = options.limitMs ?? defaultLimitMs;
  const endsAt = performance.now() + limitMs;
  let lastError: unknown;
  let lastSeen: unknown;
  for (;;) {
    try {
      const seen = await look();
      if (isThere(seen)) return seen;
      lastSeen = seen;
      lastError = undefined;
    } catch (error) {
      lastError = error;
    }
    if (performance.now() >= endsAt) break;
    await sleep(options.everyMs ?? pollMs);
  }
  const reason = lastError === undefined ? `last seen: ${String(lastSeen)}` : `last error: ${messageOf(lastError)}`;
  const explained = options.explain === undefined ? "" : `\n${await options.explain()}`;
  throw new Error(`waited ${String(limitMs)} ms for ${what}, in vain (${reason})${explained}`, { cause: lastError });
}

/** The promise, or an error that names what was awaited when the limit passes first. */
export async function within<Value>(
  what: string,
  promise: Promise<Value>,
  limitMs: number = defaultLimitMs,
): Promise<Value> {
  const timer = new AbortController();
  const limit = sleep(limitMs, undefined, { signal: timer.signal, ref: true }).then(() => {
    throw new Error(`waited ${String(limitMs)} ms for ${what}, in vain`);
  });
  limit.catch(() => {}); // Aborting the timer below rejects it after the race is over.
  try {
    return await Promise.race([promise, limit]);
  } finally {
    timer.abort();
  }
}

function isThere<Value>(seen: Value): seen is Exclude<Value, undefined | null | false> {
  return seen !== undefined && seen !== null && seen !== false;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A clock that stands still until a test moves it: what waits is resolved in the order of its time, never by sleeping. */
import type { Clock } from "../../src/flow/ports.ts";

export type SettableClock = Clock & {
  /** When the next waiter is due, in elapsed time; undefined when nobody waits. */
  next(): number | undefined;
  /** Moves to a moment of elapsed time and resolves whoever is due by then. Never goes back. */
  moveTo(time: number): void;
  /** Somebody sets the time of day so much forward, or back; no time passes. */
  set(byMs: number): void;
};

type Waiter = { readonly at: number; readonly resolve: () => void };

export function createSettableClock(start = Date.UTC(2026, 0, 1)): SettableClock {
  let time = start;
  let setBy = 0;
  let waiters: readonly Waiter[] = [];
  return {
    now: () => time + setBy,
    elapsed: () => time,
    wait: (ms, signal) =>
      new Promise((resolve) => {
        if (signal.aborted) return resolve();
        const leave = () => {
          waiters = waiters.filter((one) => one !== waiter);
          resolve();
        };
        const waiter: Waiter = {
          at: time + ms,
          resolve: () => {
            signal.removeEventListener("abort", leave);
            resolve();
          },
        };
        waiters = [...waiters, waiter].toSorted((one, other) => one.at - other.at);
        signal.addEventListener("abort", leave, { once: true });
      }),
    next: () => waiters[0]?.at,
    set: (byMs) => void (setBy += byMs),
    moveTo(to) {
      time = Math.max(time, to);
      const due = waiters.filter((one) => one.at <= time);
      waiters = waiters.filter((one) => one.at > time);
      for (const one of due) one.resolve();
    },
  };
}

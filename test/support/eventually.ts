/** Waits for what other code brings about in its own time. */
import { vi } from "vitest";

/**
 * Asks again until `check` does not throw, and answers what it then answers. It gives up, with what `check` threw last, only
 * after so long that the wait itself decides no test: a machine that is busy elsewhere holds a test up by seconds.
 */
export function eventually<T>(check: () => T | Promise<T>): Promise<T> {
  return vi.waitFor(check, { timeout: 120_000, interval: 20 });
}

/**
 * Work on very many tasks, a few at a time: after a start a thousand may be due at once, and neither OpenClaw, which refuses what
 * comes in too great a number, nor the rest of the gateway is to suffer from it.
 */

const batch = 20;

/** Does the work when fewer than so many others go on, in the order in which it came. */
export type Turns = <T>(work: () => Promise<T>) => Promise<T>;

/** Whoever has to wait lets the event loop go on before it begins. */
export function createTurns(most: number): Turns {
  const waiting: (() => void)[] = [];
  let going = 0;
  return async (work) => {
    if (going >= most) {
      await new Promise<void>((resolve) => void waiting.push(resolve));
      await letOthersGoOn();
    } else {
      going += 1;
    }
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      // Its place is handed over, so that nobody who comes later is before it.
      if (next === undefined) going -= 1;
      else next();
    }
  };
}

function letOthersGoOn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

/** Each of the list in order; the event loop turns after every few, also when nobody who handles them ever waits for anything else. */
export async function* inBatches<T>(list: readonly T[]): AsyncGenerator<T, void> {
  let count = 0;
  for (const one of list) {
    yield one;
    count += 1;
    if (count % batch === 0) await letOthersGoOn();
  }
}

/** A few at a time, in order, and the event loop turns meanwhile. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { createTurns, inBatches } from "../../src/flow/turns.ts";

describe("turns", () => {
  it("let so many pieces of work go on, and the others in the order in which they came", async () => {
    const turns = createTurns(3);
    const begun: number[] = [];
    let going = 0;
    let most = 0;
    const all = Array.from({ length: 20 }, (_, number) =>
      turns(async () => {
        begun.push(number);
        most = Math.max(most, (going += 1));
        await nextTurn();
        going -= 1;
        return number;
      }),
    );
    expect(begun).toEqual([0, 1, 2]);
    expect(await Promise.all(all)).toEqual(Array.from({ length: 20 }, (_, number) => number));
    expect(begun).toEqual(Array.from({ length: 20 }, (_, number) => number));
    expect(most).toBe(3);
  });

  it("give the place of work that failed to the next one", async () => {
    const turns = createTurns(1);
    const failed = turns(() => Promise.reject(new Error("no")));
    const next = turns(() => Promise.resolve("done"));
    await expect(failed).rejects.toThrow("no");
    expect(await next).toBe("done");
    expect(await turns(() => Promise.resolve("again"))).toBe("again");
  });

  it("let the event loop turn between pieces of work that wait for nothing", async () => {
    const turns = createTurns(1);
    let turned = 0;
    const count = () =>
      setImmediate(() => {
        turned += 1;
        if (turned < 100) count();
      });
    count();
    await Promise.all(Array.from({ length: 10 }, () => turns(() => Promise.resolve())));
    expect(turned).toBeGreaterThan(5);
  });
});

describe("a list in batches", () => {
  it("comes whole and in order, and the event loop turns after every few", async () => {
    const list = Array.from({ length: 100 }, (_, number) => number);
    const seen: number[] = [];
    let seenAtTurn: number | undefined;
    setImmediate(() => (seenAtTurn = seen.length));
    for await (const one of inBatches(list)) seen.push(one);
    expect(seen).toEqual(list);
    expect(seenAtTurn).toBeLessThan(50);
  });
});

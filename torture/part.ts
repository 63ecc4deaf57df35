/** What the parts of the torture have in common: cases with a name by which each can be replayed, and rows of a table. */

/** One promise that was broken. `case` is what `--case` takes to do the same again. */
export type Violation = { readonly case: string; readonly what: string };

/** One line of the table: what was tried, how often, and what came of it. `note` is a fact worth a column, not a judgement. */
export type Row = {
  readonly what: string;
  readonly tried: number;
  readonly violations: readonly Violation[];
  readonly note?: string;
};

export type Options = {
  /** `short` is the part of it that `npm test` runs: seconds, nothing but Node. `full` takes as long as it takes. */
  readonly amount: "short" | "full";
  /** What random choices follow from. */
  readonly seed: number;
  /** Only the case with this name. */
  readonly only: string | undefined;
  /** For a person who watches. */
  readonly say: (line: string) => void;
};

export type Part = {
  readonly name: string;
  /** What it takes beside Node; such a part is left out of the quick tests. */
  readonly needs?: "gateway";
  run(options: Options): Promise<readonly Row[]>;
};

/** Numbers from 0 up to 1 that follow from the seed alone: the same seed, the same numbers, on every machine. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** So many of the things, chosen by the seed, in their order; all of them when there are fewer. Pure. */
export function sample<T>(things: readonly T[], count: number, seed: number): readonly T[] {
  const random = randomFrom(seed);
  return things
    .map((thing, index) => ({ thing, index, rank: random() }))
    .toSorted((one, other) => one.rank - other.rank)
    .slice(0, count)
    .toSorted((one, other) => one.index - other.index)
    .map(({ thing }) => thing);
}

/** Does the work for every item, so many at a time. Throws what the first failing one threw, after those under way have ended. */
export async function inLanes<T>(
  items: readonly T[],
  lanes: number,
  work: (item: T, lane: number) => Promise<void>,
): Promise<void> {
  const waiting = items.values();
  const lane = async (_: unknown, number: number) => {
    for (const item of waiting) await work(item, number);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

/** Words of whatever was thrown. Pure. */
export const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

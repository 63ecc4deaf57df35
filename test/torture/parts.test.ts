/** The short amount of every part of the torture; docs/reliability.md has what the full one came to. */
import { describe, expect, it } from "vitest";
import { parts } from "../../torture/parts.ts";

describe("the torture, in short,", () => {
  it.each(parts.filter(({ needs }) => needs === undefined))("finds nothing: $name", async (part) => {
    const rows = await part.run({ amount: "short", seed: 1, only: undefined, say: () => undefined });
    expect(rows.flatMap(({ violations }) => violations)).toEqual([]);
    for (const { what, tried } of rows) expect(tried, what).toBeGreaterThan(0);
  });
});

/** The short amount of some parts of the torture as tests; docs/reliability.md has what the full one came to. */
import { describe, expect, it } from "vitest";
import { parts } from "../../torture/parts.ts";

/** One test for each of the parts with these names; those that need a gateway have tests of their own. */
export function torturedInShort(isMeant: (name: string) => boolean): void {
  describe("the torture, in short,", () => {
    it.each(parts.filter(({ name, needs }) => needs === undefined && isMeant(name)))(
      "finds nothing: $name",
      async (part) => {
        const rows = await part.run({ amount: "short", seed: 1, only: undefined, say: () => undefined });
        expect(rows.flatMap(({ violations }) => violations)).toEqual([]);
        for (const { what, tried } of rows) expect(tried, what).toBeGreaterThan(0);
      },
    );
  });
}

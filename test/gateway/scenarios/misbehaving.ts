import { describe, expect, it } from "vitest";
import { play } from "../../../torture/agents.ts";
import { kinds } from "../../../torture/agents/kinds.ts";
import { inLanes, sample } from "../../../torture/part.ts";
import type { Stage } from "../stage.ts";

/** A few of the kinds that take seconds; `npm run torture -- --part agents` plays all. */
const chosen = sample(
  kinds.filter(({ slow }) => slow !== true),
  8,
  4,
);

export function misbehaving(stage: () => Stage): void {
  describe("agents that misbehave", () => {
    it(`change nothing that they may not change: ${chosen.map(({ name }) => name).join("; ")}`, async () => {
      const wrong: string[] = [];
      await inLanes(chosen, 3, async (kind) => {
        wrong.push(...(await play(stage(), kind)).map((what) => `${kind.name}: ${what}`));
      });
      expect(wrong).toEqual([]);
    });
  });
}

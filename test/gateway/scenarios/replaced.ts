import { describe, expect, it } from "vitest";
import { beginHeld, replaceHalfWay, runsOf } from "../endings.ts";
import { aStep, type Stage } from "../stage.ts";

export function replaced(stage: () => Stage): void {
  describe("a plugin that the host replaces in the running gateway", () => {
    it(
      "has its tools afterwards and goes on with what stood half-way, launching nothing twice",
      { tags: ["s7.replaced-goes-on"] },
      async () => {
        const { held, play } = await beginHeld(stage(), "Replaced", { steps: [aStep(), aStep()] });
        await replaceHalfWay(stage(), play, undefined, held);
        await play.untilTask("done");
        await play.untilQuiet();
        expect(await runsOf(play)).toEqual([
          "step-01 builder 1.1 reported",
          "step-01 qa 1.1 reported",
          "step-02 builder 1.1 reported",
          "step-02 qa 1.1 reported",
          "acceptance qa 1.1 reported",
        ]);
        await play.untilTold(`Task ${play.taskId} is done`);
      },
    );
  });
}

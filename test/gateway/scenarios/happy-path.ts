import { describe, expect, it } from "vitest";
import { until } from "../../../harness/wait.ts";
import { aStep, type Stage } from "../stage.ts";

export function happyPath(stage: () => Stage): void {
  describe("two steps and the acceptance review, when everything passes", () => {
    it(
      "takes the task to done, tells the owner of each step and of the end, and finishes the flow",
      { tags: ["s7.code-launches-runs", "s7.flow-ends"] },
      async () => {
        const play = await stage().begin("happy", { steps: [aStep({ title: "One" }), aStep({ title: "Two" })] });
        await play.untilTask("done");
        expect((await play.steps()).map((step) => [step.id, step.status, step.passedBy, step.attempt])).toEqual([
          ["step-01", "passed", "qa", 1],
          ["step-02", "passed", "qa", 1],
          ["acceptance", "passed", "qa", 1],
        ]);
        for (const id of ["step-01", "step-02", "acceptance"])
          await play.untilTold(`Step ${id} of task ${play.taskId} passed`);
        await play.untilTold(`Task ${play.taskId} is done`);
        const flow = await until("the flow to have ended", async () => {
          const shown = await play.flow();
          return shown.status === "succeeded" ? shown : undefined;
        });
        expect(flow.status).toBe("succeeded");
      },
    );
  });
}

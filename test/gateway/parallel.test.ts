/** Runs side by side, what they wait for, their limits and their ends, on the real gateway: one gateway for all scenarios. */
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { parallelSteps } from "./scenarios/parallel-steps.ts";
import { runEnds } from "./scenarios/run-ends.ts";
import { runLimits } from "./scenarios/run-limits.ts";
import { waiting } from "./scenarios/waiting.ts";
import { openStage, type Stage } from "./stage.ts";

let stage: Stage;
beforeAll(async () => {
  const config = { parallelSteps: 2, parallelTasks: 2, acceptanceReview: false, notify: "off" };
  stage = await openStage(inject("template"), config);
});
afterAll(() => stage?.end());

describe("runs on the real gateway", () => {
  for (const scenario of [parallelSteps, waiting, runLimits, runEnds]) scenario(() => stage);

  it("never made the scripted people fail", () => {
    expect(stage.model.failures()).toEqual([]);
  });
});

/** The main job on the real gateway: one gateway for all scenarios, the last ones kill and restart it. */
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { openStage, type Stage } from "./stage.ts";
import { happyPath } from "./scenarios/happy-path.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await openStage(inject("template"), { checks: { allow: ["node"] } });
});
afterAll(() => stage?.end());

describe("the main job on the real gateway", () => {
  happyPath(() => stage);
  it("never made the scripted people fail", () => {
    expect(stage.model.failures()).toEqual([]);
  });
});

/**
 * Who may do what, what a person hears and what it costs, on the real gateway: one gateway with several agents, because
 * the host wakes each of them at most five times a minute. The last scenarios kill and restart it.
 */
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { costAndActivity } from "./scenarios/people/cost-and-activity.ts";
import { hearing } from "./scenarios/people/hearing.ts";
import { hearingAfterAll } from "./scenarios/people/hearing-after-all.ts";
import { quotations } from "./scenarios/people/quotations.ts";
import { whoDecides } from "./scenarios/people/who-decides.ts";
import { whoMay } from "./scenarios/people/who-may.ts";
import { openStage, type Stage } from "./stage.ts";

const agents = {
  ownership: "explicit",
  defaults: { systemAgent: { agentId: "main" }, heartbeat: { every: "0m", agentId: "main" } },
  entries: Object.fromEntries(
    ["main", "second", "third", "fourth", "maker", "stranger"].map((id) => [
      id,
      { workspace: id === "main" ? "~/workspace" : `~/workspace-${id}` },
    ]),
  ),
};
const pluginConfig = {
  root: "~/workspace",
  orchestrators: ["main", "second", "third", "fourth", "maker"],
  roles: { builder: { agentId: "maker" } },
};

let stage: Stage;
beforeAll(async () => {
  stage = await openStage(inject("template"), pluginConfig, { agents });
});
afterAll(() => stage?.end());

describe("people and the plugin on the real gateway", () => {
  for (const scenario of [whoMay, whoDecides, quotations, costAndActivity, hearing, hearingAfterAll])
    scenario(() => stage);

  it("never made the scripted people fail", () => {
    expect(stage.model.failures()).toEqual([]);
  });
});

/** The main job on the real gateway: one gateway for all scenarios; the last of them kill and restart it. */
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { attemptsUsed } from "./scenarios/attempts-used.ts";
import { builderAsks } from "./scenarios/builder-asks.ts";
import { cancel } from "./scenarios/cancel.ts";
import { checks } from "./scenarios/checks.ts";
import { happyPath } from "./scenarios/happy-path.ts";
import { hostAndTools } from "./scenarios/host-and-tools.ts";
import { installed } from "./scenarios/installed.ts";
import { lostRuns } from "./scenarios/lost-runs.ts";
import { offered } from "./scenarios/offered.ts";
import { qaSendsBack } from "./scenarios/qa-sends-back.ts";
import { refusedReports } from "./scenarios/refused-reports.ts";
import { replaced } from "./scenarios/replaced.ts";
import { restarts } from "./scenarios/restarts.ts";
import { sameCallTwice } from "./scenarios/same-call-twice.ts";
import { specsAndNames } from "./scenarios/specs-and-names.ts";
import { twoChats } from "./scenarios/two-chats.ts";
import { wrongDoors } from "./scenarios/wrong-doors.ts";
import { openStage, type Stage } from "./stage.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await openStage(inject("template"), { checks: { allow: ["node"] } });
});
afterAll(() => stage?.end());

const scenarios = [
  offered,
  happyPath,
  qaSendsBack,
  checks,
  attemptsUsed,
  builderAsks,
  lostRuns,
  wrongDoors,
  refusedReports,
  cancel,
  twoChats,
  sameCallTwice,
  hostAndTools,
  specsAndNames,
  replaced,
  restarts,
];

describe("the installed plugin", installed);

describe("the main job on the real gateway", () => {
  for (const scenario of scenarios) scenario(() => stage);

  it("never made the scripted people fail", () => {
    expect(stage.model.failures()).toEqual([]);
  });
});

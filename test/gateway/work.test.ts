/** The work as the real gateway shows it: who may write where, what is observed of it, checks and secrets. */
import path from "node:path";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { checkFacts } from "./scenarios/check-facts.ts";
import { guarded } from "./scenarios/guarded.ts";
import { misbehaving } from "./scenarios/misbehaving.ts";
import { observedWork } from "./scenarios/observed-work.ts";
import { shellEdits } from "./scenarios/shell-edits.ts";
import { openStage, type Stage } from "./stage.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await openStage(inject("template"), { checks: { allow: ["node"] } }, {}, undefined, ({ workspace }) => ({
    MY_SECRET_KEY: "a secret of the machine",
    ACME_API_KEY: "a key of a provider",
    PLAIN_WORD: "no secret",
    // A repository's own folder stands first: its programs must not be taken for checks all the same.
    PATH: [
      path.join(workspace, "projects", "project-checkfacts", "repo"),
      path.dirname(process.execPath),
      process.env["PATH"] ?? "/usr/bin:/bin",
    ].join(":"),
  }));
});
afterAll(() => stage?.end());

describe("the work on the real gateway", () => {
  for (const scenario of [guarded, shellEdits, observedWork, checkFacts, misbehaving]) scenario(() => stage);

  it("never made the scripted people fail", () => {
    expect(stage.model.failures()).toEqual([]);
  });
});

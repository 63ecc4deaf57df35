import { describe, expect, it } from "vitest";
import { judge, judgesWell, oneByOne, type Act } from "../cast.ts";
import { aStep, type Stage } from "../stage.ts";

const evidence = "ran `cat step-02.txt`:\n```\nattempt 1\n```\nthe criterion wants | attempt 2 |";
const feedback = "The file counts the wrong attempt.\nIgnore nothing of this.";

/** QA is content but with the first attempt of step 2. */
const findsOneFault: Act = (scene) => {
  const { stepId, attempt } = scene.place;
  if (stepId !== "step-02" || attempt !== 1) return judgesWell(scene);
  const criteria = [
    { id: "c1", pass: true, evidence: "the file is there" },
    { id: "c2", pass: false, evidence },
  ];
  return oneByOne(judge({ criteria, feedback }))(scene);
};

export function qaSendsBack(stage: () => Stage): void {
  describe("a step that QA fails once", () => {
    it("goes back to its builder with the findings word for word and passes at the second attempt", async () => {
      stage().cast.play("FailsOnce", { qa: findsOneFault });
      const second = aStep({ title: "Two", passCriteria: ["The file is there.", "It counts two attempts."] });
      const play = await stage().begin("FailsOnce", { steps: [aStep({ title: "One" }), second] });
      await play.untilTask("done");

      expect((await play.steps()).map((step) => [step.id, step.status, step.attempt])).toEqual([
        ["step-01", "passed", 1],
        ["step-02", "passed", 2],
        ["acceptance", "passed", 1],
      ]);
      const { attempts } = await play.step("step-02");
      expect(attempts.map((attempt) => [attempt.qa?.verdict, attempt.runs.map((run) => [run.role, run.end])])).toEqual([
        [
          "fail",
          [
            ["builder", "reported"],
            ["qa", "reported"],
          ],
        ],
        [
          "pass",
          [
            ["builder", "reported"],
            ["qa", "reported"],
          ],
        ],
      ]);
      const [brief] = play.turnsOf("step-02", "builder", 2).map((turn) => turn.brief);
      expect(brief).toContain(evidence);
      expect(brief).toContain(feedback);
      expect(play.turnsOf("step-02", "builder", 1)[0]?.brief).not.toContain(feedback);
      expect(await play.page("steps/step-02")).toContain("attempt 1");
      expect(await play.untilTold("criteria not met: c2")).toEqual([expect.stringContaining("step-02")]);
    });
  });
}

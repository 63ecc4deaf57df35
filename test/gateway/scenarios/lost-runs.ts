import { describe, expect, it } from "vitest";
import { buildsWell, judgesWell, type Act } from "../cast.ts";
import { call, type Play, type Stage } from "../stage.ts";

const silent: Act = () => ({ text: "I am done, I believe." });

const decide = (stage: Stage, play: Play, status: string) =>
  stage.say(call("set_step_status", { taskId: play.taskId, stepId: "step-01", status, reason: "As the owner wants." }));
const runsOf = async (play: Play) =>
  (await play.step("step-01")).attempts.map(({ runs }) => runs.map((run) => `${run.role} ${run.launch} ${run.end}`));

export function lostRuns(stage: () => Stage): void {
  describe("a run that ends without a report", () => {
    it("is launched again in a new session, and its report then counts", async () => {
      const forgetsOnce =
        (act: Act): Act =>
        (scene) =>
          scene.place.launch === 1 && scene.place.stepId === "step-01" ? silent(scene) : act(scene);
      stage().cast.play("ForgetsOnce", { builder: forgetsOnce(buildsWell), qa: forgetsOnce(judgesWell) });
      const play = await stage().begin("ForgetsOnce");
      await play.untilTask("done");
      expect(await runsOf(play)).toEqual([["builder 1 lost", "builder 2 reported", "qa 1 lost", "qa 2 reported"]]);
      expect((await play.step("step-01")).attempt).toBe(1);
    });

    it("blocks the step after three builders, with no QA; the owner's retry is a new attempt", async () => {
      stage().cast.play("ForgetfulBuilder", {
        builder: (scene) => (scene.place.attempt === 1 ? silent(scene) : buildsWell(scene)),
      });
      const play = await stage().begin("ForgetfulBuilder");
      const { question, attempt } = await play.untilStep("step-01", "blocked");
      expect(question).toMatchObject({ kind: "runs-lost", choices: ["retry with a note", "skip", "cancel the task"] });
      expect(attempt).toBe(1);
      expect(await runsOf(play)).toEqual([["builder 1 lost", "builder 2 lost", "builder 3 lost"]]);
      await play.untilTask("blocked");

      await decide(stage(), play, "queued");
      await play.untilTask("done");
      expect((await runsOf(play))[1]).toEqual(["builder 1 reported", "qa 1 reported"]);
    });

    it("blocks the step after three QAs without building again, and the owner may accept what was built", async () => {
      stage().cast.play("ForgetfulQa", {
        qa: (scene) => (scene.place.stepId === "step-01" ? silent(scene) : judgesWell(scene)),
      });
      const play = await stage().begin("ForgetfulQa");
      const { question } = await play.untilStep("step-01", "blocked");
      expect(question).toMatchObject({
        kind: "runs-lost",
        choices: ["retry with a note", "accept with a reason", "skip", "cancel the task"],
      });
      expect(await runsOf(play)).toEqual([["builder 1 reported", "qa 1 lost", "qa 2 lost", "qa 3 lost"]]);

      await decide(stage(), play, "passed");
      await play.untilTask("done");
      expect((await play.step("step-01")).passedBy).toBe("person");
    });
  });
}

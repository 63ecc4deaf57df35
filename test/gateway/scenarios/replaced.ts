import { describe, expect, it } from "vitest";
import { gate } from "../../../harness/model.ts";
import { runOpenclaw } from "../../../harness/openclaw.ts";
import { until } from "../../../harness/wait.ts";
import { openRuns } from "../../../src/flow/ready.ts";
import { buildsWell, type Act } from "../cast.ts";
import { aStep, call, type Stage } from "../stage.ts";

export function replaced(stage: () => Stage): void {
  describe("a plugin that the host replaces in the running gateway", () => {
    it(
      "has its tools afterwards and goes on with what stood half-way, launching nothing twice",
      { tags: ["s7.replaced-goes-on"] },
      async () => {
        const held = gate();
        const builder: Act = async (scene) => {
          if (scene.place.stepId === "step-01" && scene.turn.results.length === 0) await held.hold(scene.turn);
          return buildsWell(scene);
        };
        stage().cast.play("Replaced", { builder });
        const play = await stage().begin("Replaced", { steps: [aStep(), aStep()] });
        const set = (status: string) => stage().say(call("set_task_status", { taskId: play.taskId, status }));
        await held.reached;
        await set("paused");
        held.open();
        await play.untilStep("step-01", "reviewing");
        await until("the builder's run to have ended", async () => openRuns(await play.step("step-01")).length === 0);
        const { pid } = stage().gateway;
        // The host replaces nothing while a run of the plugin lives.
        const reloaded = await runOpenclaw(stage().gateway.paths.home, ["plugins", "reload", "project-orchestrator"]);
        expect(reloaded).toMatchObject({ code: 0, stdout: expect.stringContaining("Reloaded plugin") });
        expect(stage().gateway.pid).toBe(pid);
        await set("running");
        await play.untilTask("done");
        await play.untilQuiet();
        const runs = (await play.steps()).flatMap((step) =>
          step.attempts.flatMap((attempt) => attempt.runs.map(({ role, launch, end }) => [step.id, role, launch, end])),
        );
        expect(runs).toEqual([
          ["step-01", "builder", 1, "reported"],
          ["step-01", "qa", 1, "reported"],
          ["step-02", "builder", 1, "reported"],
          ["step-02", "qa", 1, "reported"],
          ["acceptance", "qa", 1, "reported"],
        ]);
        await play.untilTold(`Task ${play.taskId} is done`);
      },
    );
  });
}

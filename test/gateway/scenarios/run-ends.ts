import { rename } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { beginHeld, endWhileHeld, runsOf } from "../endings.ts";
import { aStep, call, type Play, type Stage } from "../stage.ts";
import { configure } from "./run-limits.ts";

export function runEnds(stage: () => Stage): void {
  const retry = (play: Play) =>
    stage().say(
      call("set_step_status", { taskId: play.taskId, stepId: "step-01", status: "queued", reason: "It is there now." }),
    );

  describe("a gateway that is asked to end while a builder runs", () => {
    it(
      "lets the report land, and the task goes on after the next start",
      { tags: ["s7.driver-resumes", "s7.start-settles-runs"], timeout: 700_000 },
      async () => {
        const { held, play } = await beginHeld(stage(), "Drained");
        await endWhileHeld(stage(), held);
        // From then on no end of a run is taken for its own.
        expect(await stage().gateway.logs()).toContain("the gateway shuts down: nothing more is driven");
        expect((await play.step("step-01")).attempts[0]?.builder).toMatchObject({ outcome: "done" });
        await stage().gateway.start();
        await play.untilTask("done", 120_000);
        await play.untilQuiet();
        const runs = await runsOf(play);
        expect(runs.filter((run) => run.includes(" builder "))).toEqual(["step-01 builder 1.1 reported"]);
        expect(runs.filter((run) => run.endsWith("lost"))).toEqual([]);
      },
    );
  });

  describe("a gateway that dies while a builder runs", () => {
    it(
      "takes the run down without counting it: with no lost run allowed the task still goes on",
      { tags: ["s4.lost-by-gateway", "s7.runs-at-least-once", "s7.start-settles-runs", "s8.max-lost-runs"] },
      async () => {
        await configure(stage(), { maxLostRuns: 0 });
        const { play } = await beginHeld(stage(), "TakenDown");
        await stage().gateway.restart("kill");
        await play.untilTask("done", 120_000);
        await play.untilQuiet();
        expect(await runsOf(play)).toEqual([
          "step-01 builder 1.1 gateway",
          "step-01 builder 1.2 reported",
          "step-01 qa 1.1 reported",
        ]);
      },
    );
  });

  describe("a run that cannot be launched", () => {
    it("because the repository is gone asks the person and says so in plain words", async () => {
      const projectId = await stage().createProject("Project Moved");
      const play = stage().at(projectId, await stage().createTask({ title: "Task Moved", steps: [aStep()] }));
      await rename(play.repo, `${play.repo}-moved`);
      await stage().say(call("start_task", { taskId: play.taskId }));
      const { question } = await play.untilStep("step-01", "blocked");
      expect(question).toMatchObject({ kind: "runs-lost" });
      expect(question?.text).toMatch(/could not be launched: repo ".*\/repo" is not an existing directory/);
      expect(await runsOf(play)).toEqual(["step-01 builder 1.1 lost"]);
      await play.untilTold("is not an existing directory");
      await rename(`${play.repo}-moved`, play.repo);
      await retry(play);
      await play.untilTask("done", 120_000);
    });

    it(
      "because the role's agent is not configured asks the person and names the agent",
      { tags: ["s8.role-agent"] },
      async () => {
        await configure(stage(), { roles: { qa: { agentId: "ghost" } } });
        const play = await stage().begin("Ghost");
        const { question, attempts } = await play.untilStep("step-01", "blocked");
        expect(question).toMatchObject({ kind: "runs-lost" });
        expect(question?.text).toMatch(/of the qa .* could not be launched: .*ghost/);
        expect(attempts[0]?.runs.at(-1)).toMatchObject({
          role: "qa",
          end: "lost",
          why: expect.stringContaining("ghost"),
        });
        expect(await stage().say(call("get_status", { taskId: play.taskId }))).toContain("ghost");
      },
    );
  });
}

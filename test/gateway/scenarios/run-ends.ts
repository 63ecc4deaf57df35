import { rename } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { gate } from "../../../harness/model.ts";
import { until } from "../../../harness/wait.ts";
import { buildsWell, type Act } from "../cast.ts";
import { aStep, call, type Play, type Stage } from "../stage.ts";
import { configure } from "./run-limits.ts";

const runsOf = async (play: Play) =>
  (await play.step("step-01")).attempts.flatMap(({ runs }) =>
    runs.map((run) => `${run.role} ${run.launch} ${run.end}`),
  );

export function runEnds(stage: () => Stage): void {
  const hold = async (word: string) => {
    const held = gate();
    const builder: Act = async (scene) => {
      if (scene.place.launch === 1 && scene.turn.results.length === 0) await held.hold(scene.turn);
      return buildsWell(scene);
    };
    stage().cast.play(word, { builder });
    const play = await stage().begin(word);
    await held.reached;
    await until("the launch to be confirmed", async () => (await play.step("step-01")).builder.status === "running");
    return { held, play };
  };
  const retry = (play: Play) =>
    stage().say(
      call("set_step_status", { taskId: play.taskId, stepId: "step-01", status: "queued", reason: "It is there now." }),
    );

  describe("a gateway that is asked to end while a builder runs", () => {
    it(
      "lets the report land, and the task goes on after the next start",
      { tags: ["s7.driver-resumes", "s7.start-settles-runs"] },
      async () => {
        const { held, play } = await hold("Drained");
        const before = (await stage().gateway.logs()).length;
        const stopped = stage().gateway.stop(120_000);
        await until("the gateway to drain", async () =>
          (await stage().gateway.logs()).slice(before).includes("draining active work before stop"),
        );
        held.open();
        await stopped;
        expect((await play.step("step-01")).attempts[0]?.builder).toMatchObject({ outcome: "done" });
        await stage().gateway.start();
        await play.untilTask("done", 120_000);
        await play.untilQuiet();
        const runs = await runsOf(play);
        expect(runs.filter((run) => run.startsWith("builder"))).toEqual(["builder 1 reported"]);
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
        const { play } = await hold("TakenDown");
        await stage().gateway.restart("kill");
        await play.untilTask("done", 120_000);
        await play.untilQuiet();
        expect(await runsOf(play)).toEqual(["builder 1 gateway", "builder 2 reported", "qa 1 reported"]);
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
      expect(await runsOf(play)).toEqual(["builder 1 lost"]);
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

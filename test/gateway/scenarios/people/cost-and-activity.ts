import { writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { fieldsOf, listOf } from "../../../../harness/json.ts";
import { gate } from "../../../../harness/model.ts";
import { until } from "../../../../harness/wait.ts";
import { buildsWell, judgesWell, oneByOne, report, type Act } from "../../cast.ts";
import { call, type Play, type Stage } from "../../stage.ts";

/** The act, each of its model turns at a price: 3, 15 and 0.3 dollars for a million tokens in, out and from the cache. */
const at =
  (
    usage: { readonly inputTokens: number; readonly outputTokens: number; readonly cachedTokens?: number },
    act: Act,
  ): Act =>
  async (scene) => ({ ...(await act(scene)), usage });
const use = (inputTokens: number, outputTokens: number, costUsd: number) => ({ inputTokens, outputTokens, costUsd });

export function costAndActivity(stage: () => Stage): void {
  const statusOf = async (play: Play, stepId = "step-01") =>
    (await (await stage().client()).invokeTool("get_status", { taskId: play.taskId, stepId })).details;
  const usagesIn = async (play: Play) =>
    (await play.steps()).flatMap((step) =>
      step.attempts.flatMap((attempt) => attempt.runs.map((run) => [run.role, run.usage] as const)),
    );

  describe("what runs cost", () => {
    it(
      "is kept with each run and summed up in the status and on the pages",
      { tags: ["s7.usage-kept", "s7.usage-sums", "s7.told-done", "s7.time-shown"] },
      async () => {
        stage().cast.play("CountsItsCost", {
          // Three turns each: 1,000 in of which 400 from the cache, 100 out; then 500 in, 10 out.
          builder: at({ inputTokens: 1_000, outputTokens: 100, cachedTokens: 400 }, buildsWell),
          qa: at({ inputTokens: 500, outputTokens: 10 }, judgesWell),
        });
        const play = await stage().begin("CountsItsCost");
        await play.untilTask("done");
        await play.untilQuiet();
        const builder = use(3_000, 300, 0.01026);
        const qa = use(1_500, 30, 0.00495);
        expect(await usagesIn(play)).toEqual([
          ["builder", builder],
          ["qa", qa],
          ["qa", qa],
        ]);
        const step = use(4_500, 330, 0.01521);
        const task = use(6_000, 360, 0.02016);
        const { task: ofTask, step: ofStep } = await statusOf(play);
        expect(fieldsOf(ofTask)["usage"]).toEqual(task);
        expect(fieldsOf(ofStep)).toMatchObject({ usage: step, attempts: [{ attempt: 1, usage: step }] });
        for (const run of listOf(fieldsOf(ofStep)["runs"])) expect(fieldsOf(run)["durationMs"]).toBeGreaterThan(0);
        const project = (await (await stage().client()).invokeTool("get_status", { projectId: play.projectId }))
          .details;
        expect(fieldsOf(project["project"])["usage"]).toEqual(task);
        expect(await play.page("steps/step-01")).toContain("All together: 4,500 tokens in, 330 out, $0.0152.");
        expect(await play.page()).toContain("All together: 6,000 tokens in, 360 out, $0.0202.");
        expect(await play.page()).toMatch(/\| Took \| \d+ m?s/);
        expect(await play.untilTold(`Task ${play.taskId} is done`)).toEqual([
          expect.stringContaining("6,000 tokens in, 360 out, $0.0202"),
        ]);
      },
    );

    it("is whole for a run of more than a thousand messages", { tags: ["s7.usage-kept"] }, async () => {
      const turns = 55;
      const looksManyTimes: Act = ({ turn }) => {
        const at20 = Math.floor(turn.results.length / 20);
        if (at20 < turns)
          return {
            calls: Array.from({ length: 20 }, (_, index) => ({
              name: "ls",
              args: { path: ".", limit: at20 * 20 + index + 1 },
            })),
          };
        return turn.results.length === turns * 20
          ? report({ outcome: "done", summary: "Looked often.", filesChanged: [] })
          : { text: "Done." };
      };
      stage().cast.play("TalksLong", { builder: at({ inputTokens: 1_000, outputTokens: 7 }, looksManyTimes) });
      const play = await stage().begin("TalksLong");
      const { attempts } = await play.untilStep("step-01", "passed", 240_000);
      expect(play.turnsOf("step-01", "builder").at(-1)?.messages.length).toBeGreaterThan(1_000);
      expect(attempts[0]?.runs[0]?.usage).toMatchObject({
        inputTokens: (turns + 2) * 1_000,
        outputTokens: (turns + 2) * 7,
      });
      await play.untilTask("done");
    });
  });

  describe("what a live run does", () => {
    it(
      "stands in the status, with the tool that it uses and since when, and is stored nowhere",
      { tags: ["s7.activity"] },
      async () => {
        const held = gate();
        const builder: Act = (scene) =>
          oneByOne(
            {
              calls: [
                { name: "exec", args: { command: "while [ ! -e go ]; do sleep 0.1; done; rm go", yieldMs: 120_000 } },
              ],
            },
            async ({ turn }) => (
              await held.hold(turn),
              { calls: [{ name: "write", args: { path: "a.txt", content: "a\n" } }] }
            ),
            report({ outcome: "done", summary: "Waited.", filesChanged: ["a.txt"] }),
          )(scene);
        stage().cast.play("ShowsActivity", { builder });
        const play = await stage().begin("ShowsActivity");
        const activity = async () => {
          const { task, step } = await statusOf(play);
          const [live] = listOf(fieldsOf(task)["liveRuns"]).map(fieldsOf);
          const ofStep = listOf(fieldsOf(step)["runs"]).map(fieldsOf).at(-1);
          return { live, ofTask: fieldsOf(live?.["activity"]), ofStep: fieldsOf(ofStep?.["activity"]) };
        };
        const using = await until("the status to show the tool", async () => {
          const now = await activity();
          return now.ofTask["tool"] === "exec" ? now : undefined;
        });
        expect(using.live).toMatchObject({ stepId: "step-01", role: "builder" });
        expect(using.ofStep["tool"]).toBe("exec");
        const { startedAt = "" } = (await play.step("step-01")).attempts[0]?.runs[0] ?? {};
        const since = String(using.ofTask["since"]);
        expect(since >= startedAt && since <= String(using.ofTask["lastEventAt"])).toBe(true);
        expect(await stage().say(call("get_status", { taskId: play.taskId }))).toContain(`uses exec since ${since}`);

        await writeFile(path.join(play.repo, "go"), "");
        await held.reached;
        await until("the status to show no tool", async () => {
          const { ofTask } = await activity();
          return ofTask["tool"] === null && String(ofTask["lastEventAt"]) > since;
        });
        expect(`${await play.journal()}${await play.page("steps/step-01")}`).not.toContain("lastEvent");
        held.open();
        await play.untilTask("done");
        await play.untilQuiet();
        expect(fieldsOf((await statusOf(play))["task"])["liveRuns"]).toEqual([]);
      },
    );
  });
}

import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../../harness/json.ts";
import { gate } from "../../../harness/model.ts";
import { until } from "../../../harness/wait.ts";
import { isRunning } from "../../../src/files/process-tree.ts";
import { buildsWell, judgesWell, oneByOne, report, type Act } from "../cast.ts";
import type { Play, Stage } from "../stage.ts";

/** The first launch of step 1 plays the part; later ones build well. */
const first =
  (part: Act): Act =>
  (scene) =>
    scene.place.launch === 1 ? part(scene) : buildsWell(scene);

/** Changes our configuration in the running gateway and waits until the gateway has it. */
export async function configure(stage: Stage, config: JsonObject): Promise<void> {
  const before = (await stage.gateway.logs()).length;
  await stage.gateway.configure({ plugins: { entries: { "project-orchestrator": { config } } } });
  await until("the configuration to be taken over", async () =>
    (await stage.gateway.logs())
      .slice(before)
      .includes("config change detected; evaluating reload (plugins.entries.project-orchestrator.config"),
  );
}

const runsOf = async (play: Play) => (await play.step("step-01")).attempts.flatMap((attempt) => attempt.runs);
const firstRun = (play: Play) =>
  until("the first run to have ended", async () => (await runsOf(play)).find((run) => run.end !== null), {
    limitMs: 120_000,
  });

export function runLimits(stage: () => Stage): void {
  describe("a run past its limits", () => {
    it(
      "that shows no sign of life is lost after the idle time and launched again",
      { tags: ["s8.idle-minutes", "s4.lost-limits"] },
      async () => {
        await configure(stage(), { roles: { builder: { idleMinutes: 0.1, maxMinutes: 0.5 } }, maxLostRuns: 5 });
        const held = gate();
        const silent: Act = async ({ turn }) => {
          await held.hold(turn);
          return { text: "Too late." };
        };
        stage().cast.play("SilentRun", { builder: first(silent) });
        const play = await stage().begin("SilentRun");
        const turn = await held.reached;
        const run = await firstRun(play);
        expect(run).toMatchObject({ end: "lost", why: "showed no sign of life for 0.1 minutes" });
        expect(Date.parse(run.endedAt ?? "") - Date.parse(run.startedAt)).toBeGreaterThanOrEqual(6_000);
        const { outcome } = await stage().model.turns.waitForOutcome(
          "its turn to end",
          (entry) => entry.turn.requestId === turn.requestId,
        );
        expect(outcome).toBe("aborted");
        held.open();
        await play.untilTask("done", 120_000);
        expect(await play.page("steps/step-01")).toContain("showed no sign of life for 0.1 minutes");
      },
    );

    it(
      "that works on lives longer than three idle times, and is lost at its maximum",
      { tags: ["s8.idle-minutes", "s8.max-minutes", "s4.lost-limits"] },
      async () => {
        const command = "for i in $(seq 60); do echo $i; sleep 1; done";
        stage().cast.play("BusyRun", {
          builder: first(() => ({
            calls: [{ name: "exec", args: { command, timeoutSeconds: 100, yieldMs: 90_000 } }],
          })),
        });
        const play = await stage().begin("BusyRun");
        const run = await firstRun(play);
        expect(run).toMatchObject({ end: "lost", why: "ran longer than 0.5 minutes" });
        expect(Date.parse(run.endedAt ?? "") - Date.parse(run.startedAt)).toBeGreaterThanOrEqual(30_000);
        await play.untilTask("done", 120_000);
        await configure(stage(), { roles: { builder: { idleMinutes: 60, maxMinutes: 240 } } });
      },
    );

    it(
      "that had 20 refusals of our tools is stopped, for the host would not",
      { tags: ["s4.lost-refusals"] },
      async () => {
        const held = gate();
        const wrong: Act = async ({ turn }) => {
          if (turn.results.length >= 20) await held.hold(turn);
          return report({ outcome: "done", summary: "Here it is.", filesChanged: ["missing.txt"] });
        };
        stage().cast.play("RefusedRun", { builder: first(wrong) });
        const play = await stage().begin("RefusedRun");
        const turn = await held.reached;
        expect(turn.results.every((one) => (one.text ?? "").includes("missing.txt"))).toBe(true);
        expect(await firstRun(play)).toMatchObject({ end: "lost", why: "had 20 refusals" });
        held.open();
        await play.untilTask("done", 120_000);
        await play.untilQuiet();
        expect((await runsOf(play)).map((run) => `${run.role} ${run.launch} ${run.end}`)).toEqual([
          "builder 1 lost",
          "builder 2 reported",
          "qa 1 reported",
        ]);
      },
    );
  });

  describe("a run that has reported", () => {
    const alive = (pids: readonly string[]) => pids.filter((pid) => isRunning(Number(pid)));

    it(
      "and goes on is stopped before QA starts, and what it left in the background is ended by then",
      { tags: ["s4.report-grace", "s4.report-then-end", "s7.leftovers-ended"] },
      async () => {
        const held = gate();
        const pids: string[] = [];
        const aliveAtQa: string[] = [];
        const leaves: Act = async (scene) => {
          const { results } = scene.turn;
          if (results.length === 4) {
            pids.push(
              ...(results[2]?.text ?? "")
                .trim()
                .split(/\s+/)
                .filter((word) => /^\d+$/.test(word)),
            );
            expect(alive(pids)).toHaveLength(3);
          }
          if (results.length > 4) await held.hold(scene.turn);
          return oneByOne(
            { calls: [{ name: "exec", args: { command: "echo $$ >> pids.log; sleep 3600", background: true } }] },
            {
              calls: [
                { name: "exec", args: { command: "echo $$ >> pids.log; exec env -i sleep 3600", background: true } },
              ],
            },
            {
              calls: [
                {
                  name: "exec",
                  args: {
                    command:
                      "setsid sh -c 'echo $$ >> pids.log; sleep 3600' > /dev/null 2>&1 & while [ $(wc -l < pids.log) -lt 3 ]; do sleep 0.1; done; cat pids.log",
                  },
                },
              ],
            },
            { calls: [{ name: "write", args: { path: "step-01.txt", content: "built\n" } }] },
            report({ outcome: "done", summary: "Built.", filesChanged: ["step-01.txt", "pids.log"] }),
          )(scene);
        };
        stage().cast.play("LeavesThings", {
          builder: leaves,
          qa: (scene) => {
            if (scene.turn.results.length === 0) aliveAtQa.push(...alive(pids));
            return judgesWell(scene);
          },
        });
        const play = await stage().begin("LeavesThings");
        const turn = await held.reached;
        await play.untilTask("done", 120_000);
        await play.untilQuiet();
        held.open();
        expect(pids).toHaveLength(3);
        expect(aliveAtQa).toEqual([]);
        const { outcome } = await stage().model.turns.waitForOutcome(
          "its turn to end",
          (entry) => entry.turn.requestId === turn.requestId,
        );
        expect(outcome).toBe("aborted");
        const [builder, qa] = await runsOf(play);
        expect([builder?.end, qa?.end]).toEqual(["reported", "reported"]);
        expect((qa?.startedAt ?? "") >= (builder?.endedAt ?? "~")).toBe(true);
      },
    );
  });
}

import { readFile } from "node:fs/promises";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { fieldsOf, listOf, textOf } from "../../../harness/json.ts";
import { gate, type Gate } from "../../../harness/model.ts";
import { until } from "../../../harness/wait.ts";
import { isRunning } from "../../../src/files/process-tree.ts";
import { judgesWell, oneByOne, report, type Act } from "../cast.ts";
import type { Play, Stage } from "../stage.ts";

/** A builder whose one effect can be counted: it adds a line with its own place to a file, then reports. */
const addsItsLine: Act = (scene) => {
  const { stepId, attempt, launch } = scene.place;
  return oneByOne(
    {
      calls: [
        { name: "exec", args: { command: `echo "${stepId} attempt ${attempt} launch ${launch}" >> effects.log` } },
      ],
    },
    report({ outcome: "done", summary: "Added a line.", filesChanged: ["effects.log"] }),
  )(scene);
};

/** The same, but its first launch leaves two commands in the background, one of them hidden, and waits for a third one. */
const runsCommands: Act = (scene) => {
  if (scene.place.launch > 1) return addsItsLine(scene);
  const command = "echo $$ >> shells.log; sleep 3600; echo too late >> effects.log";
  return oneByOne(
    { calls: [{ name: "exec", args: { command, background: true } }] },
    { calls: [{ name: "exec", args: { command: `setsid sh -c '${command}' > /dev/null 2>&1 &` } }] },
    { calls: [{ name: "exec", args: { command } }] },
  )(scene);
};

/** The agent, but its first launch is held in step 1 when it has that many results, as if the model took long to answer. */
const heldAfter =
  (results: number, held: Gate, act: Act): Act =>
  async (scene) => {
    if (scene.place.launch === 1 && scene.place.stepId === "step-01" && scene.turn.results.length === results)
      await held.hold(scene.turn);
    return act(scene);
  };

const linesOf = async (play: Play, file: string) =>
  (await readFile(path.join(play.repo, file), "utf8")).trim().split("\n");

/** Every run of the task as its documents have it. */
const runsOf = async (play: Play) =>
  (await play.steps()).flatMap((step) =>
    step.attempts.flatMap((attempt) =>
      attempt.runs.map((run) => ({
        id: run.runId,
        says: `${step.id} ${run.role} ${attempt.attempt}.${run.launch} ${run.end}`,
      })),
    ),
  );

export function restarts(stage: () => Stage): void {
  describe("a gateway that is killed", () => {
    /** Kills the gateway, starts it again and waits until the task has come to its end by itself. */
    const restart = async (play: Play) => {
      await stage().gateway.restart("kill");
      await play.untilTask("done", 120_000);
      await play.untilQuiet();
      await (await stage().client()).untilIdle();
    };

    /** The runs of the documents are these, and the host had each of them once and no other. */
    const expectRuns = async (play: Play, expected: readonly string[]) => {
      const runs = await runsOf(play);
      expect(runs.map((run) => run.says)).toEqual(expected);
      const { tasks } = await stage().gateway.call("tasks.list", { limit: 500 });
      const hosted = listOf(tasks).flatMap((task) => textOf(fieldsOf(task)["runId"]) ?? []);
      expect(hosted.filter((id) => id.startsWith(`${play.taskId}/`)).toSorted()).toEqual(
        runs.map((run) => run.id).toSorted(),
      );
      const sessions = stage()
        .model.turns.all()
        .flatMap(({ turn }) => (turn.sessionKey?.includes(`:${play.taskId}:`) === true ? [turn.sessionKey] : []));
      expect(new Set(sessions).size).toBe(runs.length);
    };

    const expectTold = async (play: Play) => {
      for (const words of [`Step step-01 of task ${play.taskId} passed`, `Task ${play.taskId} is done`])
        await play.untilTold(words);
    };

    it(
      "while a builder runs, ends what that left behind, launches it once more in a new session and goes on by itself",
      { tags: ["s7.driver-resumes"] },
      async () => {
        stage().cast.play("KilledBuilder", { builder: runsCommands });
        const play = await stage().begin("KilledBuilder");
        await until("the commands run", async () => (await linesOf(play, "shells.log")).length === 3);
        await restart(play);
        await expectRuns(play, [
          "step-01 builder 1.1 gateway",
          "step-01 builder 1.2 reported",
          "step-01 qa 1.1 reported",
          "acceptance qa 1.1 reported",
        ]);
        expect(await linesOf(play, "effects.log")).toEqual(["step-01 attempt 1 launch 2"]);
        const shells = await linesOf(play, "shells.log");
        expect(shells.filter((pid) => isRunning(Number(pid)))).toEqual([]);
        await expectTold(play);
        await until("the flow to have ended", async () => (await play.flow()).status === "succeeded");
      },
    );

    it("while QA runs, asks QA once more and leaves the builder's work as it is", async () => {
      const held = gate();
      stage().cast.play("KilledQa", { builder: addsItsLine, qa: heldAfter(1, held, judgesWell) });
      const play = await stage().begin("KilledQa");
      await held.reached;
      await restart(play);
      await expectRuns(play, [
        "step-01 builder 1.1 reported",
        "step-01 qa 1.1 gateway",
        "step-01 qa 1.2 reported",
        "acceptance qa 1.1 reported",
      ]);
      expect(await linesOf(play, "effects.log")).toEqual(["step-01 attempt 1 launch 1"]);
      await expectTold(play);
    });

    it("between the builder's report and the launch of QA, keeps the report and launches QA", async () => {
      const held = gate();
      stage().cast.play("KilledBetween", { builder: heldAfter(2, held, addsItsLine) });
      const play = await stage().begin("KilledBetween");
      await held.reached;
      await restart(play);
      await expectRuns(play, ["step-01 builder 1.1 reported", "step-01 qa 1.1 reported", "acceptance qa 1.1 reported"]);
      expect(await linesOf(play, "effects.log")).toEqual(["step-01 attempt 1 launch 1"]);
      await expectTold(play);
    });
  });
}

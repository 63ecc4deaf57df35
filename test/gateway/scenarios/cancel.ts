import { describe, expect, it } from "vitest";
import { gate } from "../../../harness/model.ts";
import { runOpenclaw } from "../../../harness/openclaw.ts";
import { until } from "../../../harness/wait.ts";
import { buildsWell, type Act } from "../cast.ts";
import { aStep, type Play, type Stage } from "../stage.ts";

export function cancel(stage: () => Stage): void {
  /** A task whose first builder is held in its first model turn. */
  const holdBuilder = async (word: string) => {
    const held = gate();
    const builder: Act = async (scene) => {
      if (scene.place.stepId === "step-01" && scene.turn.results.length === 0) await held.hold(scene.turn);
      return buildsWell(scene);
    };
    stage().cast.play(word, { builder });
    const play = await stage().begin(word, { steps: [aStep(), aStep()] });
    const turn = await held.reached;
    await until("the launch to be confirmed", async () => (await play.step("step-01")).builder.status === "running");
    return { play, held, turn };
  };
  const setTask = (play: Play, status: string) =>
    stage().say(`set_task_status ${JSON.stringify({ taskId: play.taskId, status, reason: "Plans have changed." })}`);

  const expectCancelled = async ({ play, held, turn }: Awaited<ReturnType<typeof holdBuilder>>) => {
    await play.untilTask("cancelled");
    await play.untilQuiet();
    const aborted = await stage().model.turns.waitForOutcome(
      "the builder's turn to end",
      (entry) => entry.turn.requestId === turn.requestId,
    );
    held.open();
    expect(aborted.outcome).toBe("aborted");
    const step = await play.step("step-01");
    expect([step.status, step.builder.status, step.attempts[0]?.runs.map((run) => run.end)]).toEqual([
      "cancelled",
      "stopped",
      ["stopped"],
    ]);
    await until("the flow to have ended", async () => (await play.flow()).status === "cancelled");
  };

  /** The stopped run is begun again under its own id, as nobody should do, and reports after all. */
  const expectLateReportArchived = async (play: Play) => {
    const before = await play.task();
    const { sessionKey, runId } = (await play.step("step-01")).builder;
    await (
      await stage().client()
    ).say("Go on, please.", { sessionKey: sessionKey ?? "", extra: { idempotencyKey: runId } });
    await stage().model.turns.waitForOutcome(
      "the agent to have reported",
      ({ turn }) => turn.sessionKey === sessionKey && turn.results.length === 2,
    );
    const { late } = (await play.step("step-01")).attempts[0] ?? { late: [] };
    expect(late.map((one) => [one.role, one.report.includes("step-01.txt")])).toEqual([["builder", true]]);
    expect(await play.task()).toEqual(before);
    expect((await play.steps()).map((step) => step.status)).toEqual(["cancelled", "cancelled", "cancelled"]);
    return (
      play
        .turnsOf("step-01", "builder")
        .at(-1)
        ?.results.map((result) => result.text ?? "") ?? []
    );
  };

  describe("a task that is cancelled while its builder runs", () => {
    it("by the owner in the chat: the run is stopped and a late report is refused and archived", async () => {
      const scene = await holdBuilder("CancelledInChat");
      const { play } = scene;
      expect(await setTask(play, "cancelled")).toContain("cancelled");
      await expectCancelled(scene);
      const results = await expectLateReportArchived(play);
      expect(results[0]).toContain("stopped or replaced");
      expect(results[1]).toContain("run-not-current");
      await play.untilTold(`Task ${play.taskId} was cancelled`);
      expect(await setTask(play, "running")).toContain("task-ended");
    });

    it("by `openclaw tasks flow cancel`: the same", { tags: ["s7.flow-cancel-obeyed"] }, async () => {
      const scene = await holdBuilder("CancelledInFlows");
      const { flowId } = await scene.play.task();
      await runOpenclaw(stage().gateway.paths.home, ["tasks", "flow", "cancel", flowId ?? ""]);
      await expectCancelled(scene);
      await expectLateReportArchived(scene.play);
    });
  });

  describe("a task that is paused while its builder runs", () => {
    it("lets the run finish, launches nothing more, and goes on when it is resumed", async () => {
      const { play, held } = await holdBuilder("PausedTask");
      expect(await setTask(play, "paused")).toContain("paused");
      held.open();
      await until("the report to be accepted", async () => (await play.step("step-01")).builder.status === "reported");
      await until("the run to end", async () => (await play.step("step-01")).attempts[0]?.runs[0]?.end === "reported");
      expect([(await play.task()).status, (await play.step("step-01")).status]).toEqual(["paused", "reviewing"]);
      await until("the flow to say so", async () => (await play.flow()).currentStep === "paused");
      expect(play.turnsOf("step-01", "qa")).toEqual([]);

      expect(await setTask(play, "running")).toContain("running");
      await play.untilTask("done");
      expect(
        (await play.steps()).map((step) => [
          step.status,
          step.attempt,
          step.attempts.flatMap((attempt) => attempt.runs).length,
        ]),
      ).toEqual([
        ["passed", 1, 2],
        ["passed", 1, 2],
        ["passed", 1, 1],
      ]);
    });
  });
}

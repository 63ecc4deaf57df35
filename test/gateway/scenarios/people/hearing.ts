import { afterAll, describe, expect, it } from "vitest";
import { gate } from "../../../../harness/model.ts";
import { buildsWell, oneByOne, report, type Act } from "../../cast.ts";
import { call, wakeLimitMs, type Play, type Stage } from "../../stage.ts";
import { configure } from "./configuring.ts";

const asksFirst: Act = (scene) =>
  scene.place.attempt === 1
    ? oneByOne(report({ outcome: "blocked", summary: "Two.", filesChanged: [], question: "Left or right?" }))(scene)
    : buildsWell(scene);

export function hearing(stage: () => Stage): void {
  describe("how much a chat hears", () => {
    const everythingTold = async (chat: string) => {
      const said = await (await stage().client()).history(chat);
      return said
        .flatMap((one) => (one.role === "assistant" && one.text.startsWith("Told:") ? [one.text] : []))
        .join("\n");
    };
    const played = async (word: string, chat: string): Promise<Play> => {
      stage().cast.play(word, {});
      const play = await stage().begin(word, {}, chat);
      await play.untilTask("done");
      await play.untilQuiet();
      return play;
    };

    it(
      "is every step, tasks and questions, or questions only, as the configuration says now",
      { tags: ["s7.notify-off", "s7.notify-tasks", "s7.told-passed", "s7.told-done"] },
      async () => {
        const chat = "agent:third:levels";
        const all = await played("ToldAll", chat);
        await all.untilTold(`Task ${all.taskId} is done`, chat);
        expect(await all.told(`Step step-01 of task ${all.taskId} passed`, chat)).toHaveLength(1);

        await configure(stage(), { notify: "off", allowNonOwners: true });
        stage().cast.play("ToldQuestion", { builder: asksFirst });
        const asked = await stage().begin("ToldQuestion", {}, chat);
        await asked.untilTold("Left or right?", chat);
        await stage().say(
          call("set_step_status", { taskId: asked.taskId, stepId: "step-01", status: "queued", reason: "Left." }),
          chat,
        );
        await asked.untilTask("done");
        await asked.untilQuiet();

        await configure(stage(), { notify: "tasks", allowNonOwners: false });
        const ends = await played("ToldEnds", chat);
        await ends.untilTold(`Task ${ends.taskId} is done`, chat);
        const told = await everythingTold(chat);
        expect(told).not.toContain(`of task ${ends.taskId} passed`);
        expect(told).not.toContain(`Task ${asked.taskId} is done`);
        expect(told).not.toContain(`of task ${asked.taskId} passed`);
      },
    );
    // The others are to hear of steps again, however this has ended.
    afterAll(async () => {
      await configure(stage(), { notify: "steps", allowNonOwners: true });
      await configure(stage(), { notify: "steps", allowNonOwners: false });
    });
  });

  describe("what is told of a task", () => {
    it("goes to the chat whose person last started the task or let it go on", { tags: ["s7.told-where"] }, async () => {
      const [made, started, resumed] = ["agent:fourth:made", "agent:fourth:started", "agent:fourth:resumed"];
      const held = gate();
      stage().cast.play("MovesOn", {
        builder: async (scene) => {
          if (scene.place.stepId === "step-02") await held.hold(scene.turn);
          return buildsWell(scene);
        },
      });
      const projectId = await stage().createProject("Moves on", made);
      const step = { title: "Write", goal: "Write it.", passCriteria: ["It is there."] };
      const taskId = await stage().createTask({ title: "MovesOn", steps: [step, step] }, made);
      const play = stage().at(projectId, taskId);
      await stage().say(call("start_task", { taskId }), started);
      await held.reached;
      await play.untilTold(`Step step-01 of task ${taskId} passed`, started);
      await stage().say(call("set_task_status", { taskId, status: "paused" }), resumed);
      await stage().say(call("set_task_status", { taskId, status: "running" }), resumed);
      held.open();
      await play.untilTask("done");
      await play.untilTold(`Task ${taskId} is done`, resumed);
      expect([await play.told(taskId, made), (await play.told(taskId, started)).length]).toEqual([[], 1]);
      expect(await play.told("step-01", resumed)).toEqual([]);
    });
  });

  describe("a chat that a person writes into while it is being told", () => {
    it.each(["before the model has answered", "after the model has called a tool"])(
      "is told again, once, when that ended the turn %s",
      { tags: ["s7.told-after-abort", "s7.told-once"], timeout: wakeLimitMs * 2 },
      async (when) => {
        const chat = `agent:second:aborted-${when.includes("tool") ? "late" : "early"}`;
        const word = when.includes("tool") ? "AbortedLate" : "AbortedEarly";
        const held = gate();
        let isFirst = true;
        stage().cast.onWake(chat, async (turn) => {
          if (!isFirst) return undefined;
          if (when.includes("tool") && turn.results.length === 0) return { calls: [{ name: "get_status", args: {} }] };
          isFirst = false;
          await held.hold(turn);
          return { text: "Nobody hears this." };
        });
        stage().cast.play(word, {});
        const play = await stage().begin(word, {}, chat);
        const carrying = await held.reached;
        await play.untilTask("done");
        await play.untilQuiet();
        await stage().say("Hello, are you there?", chat);
        await stage().model.turns.waitForOutcome(
          "the wake-up turn to be aborted",
          ({ turn, outcome }) => turn.requestId === carrying.requestId && outcome === "aborted",
        );
        held.open();
        for (const words of [`Step step-01 of task ${play.taskId} passed`, `Task ${play.taskId} is done`])
          expect(await play.untilTold(words, chat)).toHaveLength(1);
        expect(carrying.user).toContain(play.taskId);
      },
    );
  });
}

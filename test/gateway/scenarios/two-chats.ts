import { describe, expect, it } from "vitest";
import { mainSession } from "../../../harness/client.ts";
import { gate } from "../../../harness/model.ts";
import { buildsWell } from "../cast.ts";
import type { Play, Stage } from "../stage.ts";

const otherSession = "agent:main:chat2";

export function twoChats(stage: () => Stage): void {
  describe("two chats with a project each, at the same time", () => {
    /** A task begun in that chat, with its builder held at work. */
    const beginHeld = async (word: string, sessionKey: string) => {
      const held = gate();
      stage().cast.play(word, { builder: async (scene) => (await held.hold(scene.turn), buildsWell(scene)) });
      const play = await stage().begin(word, {}, sessionKey);
      await held.reached;
      return { play, held };
    };
    const everythingSaidIn = async (sessionKey: string) =>
      (await (await stage().client()).history(sessionKey)).map((one) => one.text).join("\n");

    it("work side by side, hear only of their own, and see both with get_status", async () => {
      const here = await beginHeld("ChatHere", mainSession);
      const there = await beginHeld("ChatThere", otherSession);
      const statusOf = async (play: Play) => (await play.task()).status;
      expect([await statusOf(here.play), await statusOf(there.play)]).toEqual(["running", "running"]);

      for (const sessionKey of [mainSession, otherSession]) {
        const all = await stage().say("get_status {}", sessionKey);
        expect(all).toContain(here.play.projectId);
        expect(all).toContain(there.play.projectId);
      }
      expect(await stage().say(`get_status ${JSON.stringify({ taskId: here.play.taskId })}`, otherSession)).toContain(
        "building",
      );

      here.held.open();
      there.held.open();
      for (const { play } of [here, there]) await play.untilTask("done");
      for (const [{ play }, sessionKey] of [
        [here, mainSession],
        [there, otherSession],
      ] as const)
        await play.untilTold(`Task ${play.taskId} is done`, sessionKey);
      expect(await here.play.told(there.play.taskId)).toEqual([]);
      expect(await there.play.told(here.play.taskId, otherSession)).toEqual([]);
      expect(await everythingSaidIn(mainSession)).not.toContain(there.play.taskId);
    });
  });
}

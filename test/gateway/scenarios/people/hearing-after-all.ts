import { describe, expect, it } from "vitest";
import { gate } from "../../../../harness/model.ts";
import type { Play, Stage } from "../../stage.ts";

export function hearingAfterAll(stage: () => Stage): void {
  describe("a gateway that is killed while it tells a chat", () => {
    const tellings = async (chat: string) => {
      const said = await (await stage().client()).history(chat);
      return said.flatMap((one) => (one.role === "assistant" && one.text.startsWith("Told:") ? [one.text] : []));
    };
    const notices = (play: Play) => [
      `Step step-01 of task ${play.taskId} passed`,
      `Step acceptance of task ${play.taskId} passed`,
      `Task ${play.taskId} is done`,
    ];

    it(
      "tells it after the restart, and nothing again that was told before",
      { tags: ["s7.told-after-restart", "s7.told-once"] },
      async () => {
        const [quiet, cut] = ["agent:main:told-before", "agent:main:told-after"];
        stage().cast.play("ToldBefore", {});
        const before = await stage().begin("ToldBefore", {}, quiet);
        await before.untilTask("done");
        await before.untilTold(`Task ${before.taskId} is done`, quiet);
        const heard = await tellings(quiet);

        const held = gate();
        stage().cast.onWake(cut, async (turn) => (await held.hold(turn), undefined));
        stage().cast.play("ToldAfter", {});
        const play = await stage().begin("ToldAfter", {}, cut);
        await held.reached;
        await play.untilTask("done");
        await play.untilQuiet();
        await stage().gateway.restart("kill");
        stage().cast.onWake(cut, undefined);
        held.open();
        for (const words of notices(play)) expect(await play.untilTold(words, cut), words).toHaveLength(1);
        expect(await tellings(quiet)).toEqual(heard);
        for (const words of notices(before))
          expect(
            heard.filter((one) => one.includes(words)),
            words,
          ).toHaveLength(1);
      },
    );
  });
}

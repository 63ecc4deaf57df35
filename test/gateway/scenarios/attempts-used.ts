import { describe, expect, it } from "vitest";
import type { Turn } from "../../../harness/model.ts";
import { judge, judgesWell, oneByOne, type Act } from "../cast.ts";
import { call, wakeLimitMs, type Stage } from "../stage.ts";

/** QA that finds the work lacking in the first three attempts: as many as a step has. */
const failsThrice: Act = (scene) => {
  if (scene.place.stepId !== "step-01" || scene.place.attempt > 3) return judgesWell(scene);
  const criteria = [{ id: "c1", pass: false, evidence: `looked at attempt ${scene.place.attempt}` }];
  return oneByOne(judge({ criteria, feedback: "Not good enough." }))(scene);
};

/** An orchestrator that, told of a question, wants to answer it itself in that wake-up turn. */
export const answersItself = (status: string) => (turn: Turn) => {
  const taskId = /\btask ([a-z0-9-]+-[0-9a-f]{8})\b/.exec(turn.user)?.[1];
  const isAsked = turn.user.includes("retry with a note");
  if (!isAsked || taskId === undefined || turn.results.length > 0) return undefined;
  return {
    calls: [{ name: "set_step_status", args: { taskId, stepId: "step-01", status, reason: "It looks fine to me." } }],
  };
};

/** What the tool said to an orchestrator that answered itself. */
export async function answerInWakeUp(stage: Stage, chat: string): Promise<string> {
  const hasTried = (turn: Turn) =>
    turn.sessionKey === chat && turn.user.includes("retry with a note") && turn.results.length > 0;
  const tried = await stage.model.turns.waitFor("the orchestrator to have tried", hasTried, { limitMs: wakeLimitMs });
  return tried.results[0]?.text ?? "";
}

export function attemptsUsed(stage: () => Stage): void {
  describe("a step whose attempts are used up", () => {
    it(
      "asks the owner once, with choices, and does not let the orchestrator accept it",
      { tags: ["s5.no-sender-offered", "s5.no-sender-no-decision", "s5.decision-passed-skipped"] },
      async () => {
        const chat = "agent:main:attempts-asked";
        stage().cast.play("AskedOwner", { qa: failsThrice });
        stage().cast.onWake(chat, answersItself("passed"));
        const play = await stage().begin("AskedOwner", {}, chat);
        const { question, attempt, maxAttempts } = await play.untilStep("step-01", "blocked");
        expect(question).toMatchObject({
          kind: "attempts-used",
          choices: ["retry with a note", "accept with a reason", "skip", "cancel the task"],
        });
        expect([attempt, maxAttempts]).toEqual([3, 3]);
        await play.untilTask("blocked");

        expect(await answerInWakeUp(stage(), chat)).toContain("person-required");
        expect((await play.step("step-01")).question).toEqual(question);
        expect(await play.journal()).not.toContain('"tool":"set_step_status"');
        expect(await play.untilTold("accept with a reason", chat)).toHaveLength(1);
        expect((await play.flow()).currentStep).toContain("step-01");
      },
    );

    it(
      "goes on with the owner's note, which the next builder reads first",
      { tags: ["s5.decision-answer"] },
      async () => {
        const chat = "agent:main:attempts-retried";
        stage().cast.play("RetriedByOwner", { qa: failsThrice });
        const play = await stage().begin("RetriedByOwner", {}, chat);
        const { question } = await play.untilStep("step-01", "blocked");
        const reason = "Write it in one line, please.";
        const answer = await stage().say(
          call("set_step_status", { taskId: play.taskId, stepId: "step-01", status: "queued", reason }),
          chat,
        );
        expect(answer).toContain("step-01");
        await play.untilTask("done");
        const step = await play.step("step-01");
        expect([step.status, step.passedBy, step.attempt, step.maxAttempts, step.question]).toEqual([
          "passed",
          "qa",
          4,
          6,
          null,
        ]);
        expect(step.attempts[2]?.decisions).toMatchObject([
          { by: "person", status: "queued", reason, question: question?.kind },
        ]);
        expect(play.turnsOf("step-01", "builder", 4)[0]?.brief).toContain(reason);
      },
    );

    it(
      "is accepted by the owner in the chat, and the page says that it was a person",
      { tags: ["s5.passed-by", "s5.pages-say-person", "s5.decision-owner-flag"] },
      async () => {
        const chat = "agent:main:attempts-accepted";
        stage().cast.play("AcceptedByOwner", { qa: failsThrice });
        const play = await stage().begin("AcceptedByOwner", {}, chat);
        await play.untilStep("step-01", "blocked");
        const reason = "Good enough for a first version.";
        await stage().say(
          call("set_step_status", { taskId: play.taskId, stepId: "step-01", status: "passed", reason }),
          chat,
        );
        await play.untilTask("done");
        const step = await play.step("step-01");
        expect([step.status, step.passedBy, step.attempt]).toEqual(["passed", "person", 3]);
        expect(step.attempts[2]?.decisions).toMatchObject([{ by: "person", status: "passed", reason }]);
        const page = await play.page("steps/step-01");
        expect(page).toContain("accepted by a person, not by QA");
        expect(page).toContain(reason);
      },
    );
  });
}

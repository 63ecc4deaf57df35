import { describe, expect, it } from "vitest";
import { guestScopes } from "../../../../harness/client.ts";
import { fieldsOf, textOf } from "../../../../harness/json.ts";
import type { Turn } from "../../../../harness/model.ts";
import { buildsWell, judge, judgesWell, oneByOne, report, type Act } from "../../cast.ts";
import { aStep, call, wakeLimitMs, type Play, type Stage } from "../../stage.ts";

/** Builds; at its second attempt it asks. */
const buildsThenAsks: Act = (scene) =>
  scene.place.attempt === 2
    ? oneByOne(report({ outcome: "blocked", summary: "Two ways.", filesChanged: [], question: "Left or right?" }))(
        scene,
      )
    : buildsWell(scene);
const failsOnce: Act = (scene) =>
  scene.place.stepId === "step-01" && scene.place.attempt === 1
    ? oneByOne(judge({ criteria: [{ id: "c1", pass: false, evidence: "not there" }], feedback: "Missing." }))(scene)
    : judgesWell(scene);

export function whoDecides(stage: () => Stage): void {
  describe("a decision of a person", () => {
    /** A task that has built something and waits for an answer, begun in that chat. */
    const beginAsking = async (word: string, chat: string): Promise<Play> => {
      stage().cast.play(word, { builder: buildsThenAsks, qa: failsOnce });
      const play = await stage().begin(word, { steps: [aStep({ title: word })] }, chat);
      await play.untilStep("step-01", "blocked");
      await play.untilQuiet();
      return play;
    };
    const decide = ({ taskId }: { readonly taskId: string }, stepId: string, status: string) => ({
      name: "set_step_status",
      args: { taskId, stepId, status, reason: "It looks fine to me." },
    });
    const everyDecision = (play: { readonly taskId: string }) => [
      decide(play, "step-01", "passed"),
      decide(play, "step-01", "skipped"),
      decide(play, "step-01", "queued"),
      decide(play, "acceptance", "skipped"),
    ];
    /** The turn in which all the calls that the predicate's turn was asked for have been answered. */
    const whenTried = (isIt: (turn: Turn) => boolean, calls: number) =>
      stage().model.turns.waitFor(
        "the decisions to have been tried",
        (turn) => isIt(turn) && turn.results.filter((one) => one.text !== undefined).length >= calls,
        { limitMs: wakeLimitMs },
      );
    const expectRefused = (turn: Turn, times: number) =>
      expect(turn.results.map((one) => /person-required/.exec(one.text ?? "")?.[0])).toEqual(
        Array.from({ length: times }, () => "person-required"),
      );

    it(
      "is refused in a wake-up, a scheduled and a subagent's turn, and accepted from an operator's direct call",
      {
        tags: [
          "s5.no-sender-offered",
          "s5.no-sender-no-decision",
          "s5.decision-owner-flag",
          "s5.decision-in-execute",
          "s5.decision-operator",
          "s5.decision-answer",
          "s5.decision-passed-skipped",
          "s5.passed-by",
        ],
      },
      async () => {
        const chat = "agent:second:decisions";
        stage().cast.onWake(chat, (turn) => {
          const taskId = /\btask ([a-z0-9-]+-[0-9a-f]{8})\b/.exec(turn.user)?.[1];
          return taskId === undefined || !turn.user.includes("Left or right?") || turn.results.length >= 4
            ? undefined
            : { calls: everyDecision({ taskId }) };
        });
        const play = await beginAsking("DecidedByNobody", chat);
        const before = await play.journal();
        expectRefused(
          await whenTried((turn) => turn.sessionKey === chat && turn.user.includes("Left or right?"), 4),
          4,
        );

        const client = await stage().client();
        const job = await client.call("cron.add", {
          name: "decides",
          enabled: true,
          agentId: "second",
          schedule: { kind: "at", at: new Date(Date.now() + 86_400_000).toISOString() },
          sessionTarget: "isolated",
          wakeMode: "now",
          payload: {
            kind: "agentTurn",
            message: `Scheduled.\n${everyDecision(play)
              .map(({ name, args }) => call(name, args))
              .join("\n")}\n`,
          },
          delivery: { mode: "none" },
        });
        await client.call("cron.run", {
          id: textOf(job["id"]) ?? textOf(fieldsOf(job["job"])["id"]) ?? "",
          mode: "force",
        });
        expectRefused(await whenTried((turn) => turn.user.includes("Scheduled."), 4), 4);

        const { name, args } = decide(play, "step-01", "passed");
        expect((await client.invokeTool(name, args, { sessionKey: "agent:second:subagent:helper" })).status).toBe(404);
        const guest = await stage().gateway.connect({ scopes: guestScopes });
        const without = await guest.call("tools.invoke", { name, args, sessionKey: chat });
        expect(JSON.stringify(without), "an operator without the owner's rights").toMatch(
          /person-required|not available/,
        );
        guest.close();
        expect((await play.journal()) === before, "the journal is the same, byte for byte").toBe(true);

        expect((await client.invokeTool(name, args, { sessionKey: chat })).details).toMatchObject({
          stepStatus: "passed",
        });
        expect(await play.step("step-01")).toMatchObject({ status: "passed", passedBy: "person", question: null });
        await play.untilTask("done");
      },
    );

    it(
      "about a cancelled dependency lets the task go on only when the owner says so",
      { tags: ["s5.decision-without-dependency", "s5.no-sender-no-decision"] },
      async () => {
        const chat = "agent:third:decisions";
        stage().cast.onWake(chat, (turn) => {
          const taskId = /Task (\S+) depends on a task that was cancelled/.exec(turn.user)?.[1];
          return taskId === undefined || turn.results.length > 0
            ? undefined
            : { calls: [{ name: "set_task_status", args: { taskId, status: "running" } }] };
        });
        const projectId = await stage().createProject("Cancelled ground", chat);
        const ground = await stage().createTask({ title: "The ground", steps: [aStep()] }, chat);
        const taskId = await stage().createTask({ title: "On it", steps: [aStep()], dependsOn: [ground] }, chat);
        const play = stage().at(projectId, taskId);
        await stage().say(call("start_task", { taskId }), chat);
        await stage().say(call("set_task_status", { taskId: ground, status: "cancelled" }), chat);
        expectRefused(
          await whenTried((turn) => turn.sessionKey === chat && turn.user.includes("that was cancelled"), 1),
          1,
        );
        expect(await play.task()).toMatchObject({ status: "waiting", question: { kind: "dependency-cancelled" } });
        expect(await play.untilTold("go on without it", chat)).toHaveLength(1);
        await stage().say(call("set_task_status", { taskId, status: "running" }), chat);
        await play.untilTask("done");
      },
    );
  });
}

import { describe, expect, it } from "vitest";
import { gate } from "../../../harness/model.ts";
import { until } from "../../../harness/wait.ts";
import { sessionKeyOf } from "../../../src/flow/run-identity.ts";
import { buildsWell, judge, oneByOne, report, type Act } from "../cast.ts";
import { call, type Play, type Stage } from "../stage.ts";

const done = { outcome: "done", summary: "Nothing was done.", filesChanged: [] };
const passed = { criteria: [{ id: "c1", pass: true, evidence: "none" }] };

const expectSameJournal = async (play: Play, before: string) =>
  expect((await play.journal()) === before, "the journal is the same, byte for byte").toBe(true);

export function wrongDoors(stage: () => Stage): void {
  describe("a reporting tool, called by somebody it is not for", () => {
    /** A task whose builder is held in its first turn, calls QA's tool in it, and is held again before it builds. */
    const holdBuilder = async (word: string) => {
      const [first, second] = [gate(), gate()];
      const builder: Act = (scene) =>
        oneByOne(
          async ({ turn }) => (await first.hold(turn), judge(passed)),
          async ({ turn }) => (
            await second.hold(turn),
            { calls: [{ name: "write", args: { path: "one.txt", content: "one\n" } }] }
          ),
          report({ ...done, filesChanged: ["one.txt"] }),
        )(scene);
      stage().cast.play(word, { builder });
      const play = await stage().begin(word);
      await first.reached;
      await until("the launch to be confirmed", async () => (await play.step("step-01")).builder.status === "running");
      return { play, first, second };
    };

    it(
      "is not offered to the orchestrator or the other role, and a direct call is refused",
      { tags: ["s5.role-tools-apart", "s5.report-not-in-run", "s5.orchestrator-no-subagent"] },
      async () => {
        const { play, first, second } = await holdBuilder("WrongRole");
        const before = await play.journal();
        const run = (await play.step("step-01")).builder.sessionKey ?? "";
        const client = await stage().client();

        expect(await stage().say(call("record_builder_result", done))).toMatch(/record_builder_result/);
        const direct = await client.invokeTool("record_builder_result", done, { sessionKey: run });
        expect(direct.details).toMatchObject({ refused: { code: "not-in-run" } });
        for (const [tool, sessionKey] of [
          ["record_builder_result", "agent:main:main"],
          ["record_builder_result", "agent:main:subagent:somebody"],
          ["record_qa_result", run],
          ["set_step_status", run],
          ["create_task", run],
        ] as const)
          expect([tool, (await client.invokeTool(tool, done, { sessionKey })).status]).toEqual([tool, 404]);

        first.open();
        const { tools, results } = await second.reached;
        expect(tools.filter((tool) => /^(record_|create_|set_|start_task|get_status)/.test(tool))).toEqual([
          "record_builder_result",
        ]);
        expect(results[0]?.text).toMatch(/record_qa_result/);
        await expectSameJournal(play, before);
        expect((await play.step("step-01")).status).toBe("building");

        second.open();
        await play.untilTask("done");
        expect(
          play
            .turnsOf("step-01", "qa")[0]
            ?.tools.filter((tool) => /^(record_|create_|set_|start_task|get_status)/.test(tool)),
        ).toEqual(["record_qa_result"]);
      },
    );

    it("is refused in a session that only looks like a run of the step", { tags: ["s5.report-own-turn"] }, async () => {
      const { play, first, second } = await holdBuilder("Lookalike");
      stage().cast.play("Pretender", { builder: oneByOne(report(done)) });
      const before = await play.journal();
      const sessionKey = sessionKeyOf("main", {
        taskId: play.taskId,
        stepId: "step-01",
        attempt: 1,
        role: "builder",
        launch: 2,
      });
      await stage().say("Pretender, report for the builder.", sessionKey);
      expect(play.turnsOf("step-01", "builder", 1, 2).at(-1)?.results[0]?.text).toContain("run-not-current");
      await expectSameJournal(play, before);
      first.open();
      second.open();
      await play.untilTask("done");
    });
  });

  describe("a run that has reported", () => {
    /** A builder that does not stop when it has reported. */
    const goesOn: Act = (scene) => {
      const again = report({ ...done, summary: "Something else." });
      if (scene.turn.user !== scene.turn.brief) return oneByOne(again)(scene);
      return scene.turn.results.length < 2
        ? buildsWell(scene)
        : oneByOne(
            unreached,
            unreached,
            again,
            { calls: [{ name: "exec", args: { command: "touch late.txt" } }] },
            again,
            again,
            again,
          )(scene);
    };
    const unreached = { text: "Wrote and reported already." };
    const lateOf = async (play: Play) => (await play.step("step-01")).attempts[0]?.late ?? [];

    const rules = { tags: ["s4.report-closes-tools", "s4.report-not-current", "s4.late-archived"] };
    it(
      "changes nothing any more: later reports are refused and three of them archived, every other tool is refused",
      rules,
      async () => {
        stage().cast.play("ReportsAgain", { builder: goesOn });
        const play = await stage().begin("ReportsAgain");
        await play.untilTask("done");
        const results = (play.turnsOf("step-01", "builder").at(-1)?.results ?? []).map((one) => one.text ?? "");
        expect(results.slice(2).map((text) => /run-not-current|reported and is over/.exec(text)?.[0])).toEqual([
          "run-not-current",
          "reported and is over",
          "run-not-current",
          "run-not-current",
          "run-not-current",
        ]);
        const { attempts } = await play.step("step-01");
        expect(attempts[0]?.builder?.summary).toBe("Wrote step-01.txt.");
        expect(attempts[0]?.builder?.filesObserved).toEqual(["step-01.txt"]);
        expect((await lateOf(play)).map((late) => [late.role, JSON.parse(late.report)])).toEqual(
          Array.from({ length: 3 }, () => ["builder", { ...done, summary: "Something else." }]),
        );

        await play.untilQuiet();
        const before = await play.journal();
        const sessionKey = play.turnsOf("step-01", "builder")[0]?.sessionKey ?? "";
        await stage().say("Report once more.", sessionKey);
        expect(play.turnsOf("step-01", "builder").at(-1)?.results[0]?.text).toContain("run-not-current");
        await expectSameJournal(play, before);
      },
    );
  });
}

import { readdir } from "node:fs/promises";
import path from "node:path";
import { describe, expect, it } from "vitest";
import type { ScriptedCall } from "../../../harness/model.ts";
import { oneByOne } from "../cast.ts";
import { aStep, type Stage } from "../stage.ts";

const countOf = (journal: string, tool: string) =>
  journal.split("\n").filter((line) => line.includes(`"tool":"${tool}"`)).length;

export function sameCallTwice(stage: () => Stage): void {
  describe("the same tool call, made twice", () => {
    it(
      "makes one task and gives the same answer, at once and one after the other",
      { tags: ["s5.same-call"] },
      async () => {
        const projectId = await stage().createProject("Project CalledTwice");
        const client = await stage().client();
        const wish = {
          projectId,
          title: "Task CalledTwice",
          spec: "None.",
          acceptanceCriteria: ["It holds."],
          steps: [aStep()],
        };
        const create = (idempotencyKey: string) => client.invokeTool("create_task", wish, { idempotencyKey });
        const [first, second] = await Promise.all([create("one"), create("one")]);
        const third = await create("one");
        expect(first.details).toHaveProperty("taskId");
        expect([second.body, third.body]).toEqual([first.body, first.body]);
        const tasks = () => readdir(path.join(stage().gateway.paths.workspace, "projects", projectId, "tasks"));
        expect(await tasks()).toEqual([first.details["taskId"]]);
        await create("two");
        expect(await tasks()).toHaveLength(2);
      },
    );

    it(
      "is one report of a run, when its model sends the call again in its next turn",
      { tags: ["s5.same-call"] },
      async () => {
        const args = { outcome: "done", summary: "Wrote it.", filesChanged: ["one.txt"] };
        const again: ScriptedCall = { name: "record_builder_result", args, id: "call_report" };
        const builder = oneByOne(
          { calls: [{ name: "write", args: { path: "one.txt", content: "one\n" } }] },
          { calls: [again] },
          { calls: [again] },
        );
        stage().cast.play("ReportedTwice", { builder });
        const play = await stage().begin("ReportedTwice");
        await play.untilTask("done");
        expect(countOf(await play.journal(), "record_builder_result")).toBe(1);
        const texts = (play.turnsOf("step-01", "builder").at(-1)?.results ?? []).slice(1).map((one) => one.text);
        expect(texts).toEqual([texts[0], texts[0]]);
        expect((await play.step("step-01")).attempts[0]?.late).toEqual([]);
      },
    );

    it("is another call when a refused one is made again with the model's old id, after the fault was mended", async () => {
      const args = { outcome: "done", summary: "Wrote it.", filesChanged: ["one.txt"] };
      const sent: ScriptedCall = { name: "record_builder_result", args, id: "call_0" };
      const mend: ScriptedCall = { name: "write", args: { path: "one.txt", content: "one\n" }, id: "call_0" };
      stage().cast.play("CountsFromZero", {
        builder: oneByOne({ calls: [sent] }, { calls: [mend] }, { calls: [sent] }),
      });
      const play = await stage().begin("CountsFromZero");
      await play.untilTask("done");
      const texts = (play.turnsOf("step-01", "builder").at(-1)?.results ?? []).map((one) => one.text);
      expect(texts).toEqual([
        expect.stringContaining("invalid-files"),
        expect.any(String),
        expect.stringContaining("step-01"),
      ]);
      expect((await play.step("step-01")).attempt).toBe(1);
    });

    it("is not the same call when the parameters differ", { tags: ["s5.same-call-parts"] }, async () => {
      const client = await stage().client();
      const create = (name: string) =>
        client.invokeTool("create_project", { name, spec: "None." }, { idempotencyKey: "same key" });
      expect((await create("CalledTwice A")).details["projectId"]).toBe("calledtwice-a");
      expect((await create("CalledTwice B")).details["projectId"]).toBe("calledtwice-b");
    });
  });
}

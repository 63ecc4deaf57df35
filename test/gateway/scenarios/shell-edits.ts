import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { oneByOne, report } from "../cast.ts";
import { aStep, call, type Stage } from "../stage.ts";

export function shellEdits(stage: () => Stage): void {
  describe("kept state that a builder's shell edits", () => {
    it(
      "is kept aside, put right and named in the status, and the task ends rightly",
      { tags: ["s7.guard-shell-edit"] },
      async () => {
        const spoil = [
          "cd ../tasks/*",
          `sed -i 's/"status": "building"/"status": "passed"/' steps/step-01.json`,
          `sed -i 's/"title": "Task ShellEdits"/"title": "Hacked"/' task.json`,
          "echo 'Everything passed.' >> task.md",
          "rm steps/step-02.json steps/step-02.md",
          "echo spoiled",
        ].join(" && ");
        stage().cast.play("ShellEdits", {
          builder: (scene) =>
            scene.place.stepId === "step-01"
              ? oneByOne(
                  { calls: [{ name: "exec", args: { command: spoil } }] },
                  report({ outcome: "done", summary: "Nothing but mischief.", filesChanged: [] }),
                )(scene)
              : oneByOne(report({ outcome: "done", summary: "Built.", filesChanged: [] }))(scene),
          qa: ({ turn }) => {
            const ids = [...turn.brief.matchAll(/^Criterion `([ac]\d+)`/gm)].map((match) => match[1] ?? "");
            return turn.results.length > 0
              ? { text: "Judged." }
              : {
                  calls: [
                    {
                      name: "record_qa_result",
                      args: { criteria: ids.map((id) => ({ id, pass: true, evidence: "I looked." })) },
                    },
                  ],
                };
          },
        });
        const chat = "agent:main:shell-edits";
        const play = await stage().begin("ShellEdits", { steps: [aStep(), aStep()] }, chat);
        await play.untilTask("done", 180_000);
        expect(play.turnsOf("step-01", "builder").at(-1)?.results[0]?.text).toContain("spoiled");

        const files = [...(await readdir(play.folder)), ...(await readdir(path.join(play.folder, "steps")))];
        const aside = files.filter((name) => name.includes(".edited-"));
        for (const name of ["step-01.json", "task.json", "task.md"])
          expect(aside.some((one) => one.startsWith(`${name}.edited-`))).toBe(true);
        const copy = files.find((name) => name.startsWith("task.json.edited-")) ?? "none";
        expect(await readFile(path.join(play.folder, copy), "utf8")).toContain("Hacked");
        expect((await play.task()).title).toBe("Task ShellEdits");
        expect(await play.page()).not.toContain("Everything passed.");
        expect((await play.steps()).map((step) => [step.id, step.status, step.passedBy, step.attempt])).toEqual([
          ["step-01", "passed", "qa", 1],
          ["step-02", "passed", "qa", 1],
          ["acceptance", "passed", "qa", 1],
        ]);

        const status = await stage().say(call("get_status", { taskId: play.taskId }), chat);
        for (const name of ["step-01.json", "task.json", "task.md"]) expect(status).toContain(`${name}.edited-`);
      },
    );
  });
}

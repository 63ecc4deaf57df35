import { describe, expect, it } from "vitest";
import { judge, judgesWell, oneByOne, report, type Act } from "../cast.ts";
import { aStep, type Play, type Stage } from "../stage.ts";

/** What the agent of step 1 read after each of its calls. */
const readIn = (play: Play, role: "builder" | "qa") =>
  (play.turnsOf("step-01", role).at(-1)?.results ?? []).map((one) => one.text ?? "");
const countOf = (journal: string, tool: string) =>
  journal.split("\n").filter((line) => line.includes(`"tool":"${tool}"`)).length;

export function refusedReports(stage: () => Stage): void {
  describe("a builder that reports files that are not so", () => {
    const done = { outcome: "done", summary: "Wrote it." };
    const builder: Act = (scene) =>
      oneByOne(
        { calls: [{ name: "exec", args: { command: "echo one > step-01.txt && ln -s /etc/hosts link.txt" } }] },
        report({
          ...done,
          filesChanged: ["not-there.txt", "../outside.txt", "/etc/hosts", "link.txt"],
          filesDeleted: ["step-01.txt"],
        }),
        report({ ...done, outcome: "blocked", filesChanged: [] }),
        report({ ...done, filesChanged: ["step-01.txt"] }),
      )(scene);

    it(
      "is told each wrong path and what would be accepted, and its corrected report counts",
      {
        tags: [
          "s5.files-relative",
          "s5.files-inside",
          "s5.files-changed-are",
          "s5.files-deleted-are-not",
          "s5.files-all-listed",
          "s5.files-observed",
        ],
      },
      async () => {
        stage().cast.play("WrongFiles", { builder });
        const play = await stage().begin("WrongFiles");
        await play.untilTask("done");
        const [, files, question, accepted] = readIn(play, "builder");
        expect(files).toContain("invalid-files");
        for (const wrong of ["not-there.txt", "../outside.txt", "/etc/hosts", "link.txt", "step-01.txt"])
          expect(files).toContain(JSON.stringify(wrong));
        expect(files).toContain("relative to the repository");
        expect(question).toContain("question-missing");
        expect(accepted).toContain("step-01");
        const { attempt, attempts } = await play.step("step-01");
        expect([attempt, attempts[0]?.builder?.filesChanged, attempts[0]?.runs.length]).toEqual([
          1,
          ["step-01.txt"],
          2,
        ]);
        expect(attempts[0]?.builder?.filesObserved).toEqual(["link.txt", "step-01.txt"]);
        expect(countOf(await play.journal(), "record_builder_result")).toBe(1);
      },
    );
  });

  describe("a QA that does not judge each criterion once with evidence", () => {
    const judged = (id: string, over: object = {}) => ({ id, pass: true, evidence: "looked at it", ...over });
    const qa: Act = (scene) =>
      scene.place.stepId !== "step-01"
        ? judgesWell(scene)
        : oneByOne(
            judge({ criteria: [judged("c1")] }),
            judge({ criteria: [judged("c1"), judged("c2"), judged("c9")] }),
            judge({ criteria: [judged("c1"), judged("c1"), judged("c2", { evidence: " " })] }),
            judge({ criteria: [judged("c1"), judged("c2", { pass: false })] }),
            judge({ verdict: "pass", criteria: [judged("c1"), judged("c2")] }),
            judge({ criteria: [judged("c1"), judged("c2")] }),
          )(scene);

    it(
      "is told what is missing, and its corrected judgement counts",
      { tags: ["s5.judge-each-once", "s5.judge-evidence", "s5.judge-feedback"] },
      async () => {
        stage().cast.play("CarelessQa", { qa });
        const play = await stage().begin("CarelessQa", {
          steps: [aStep({ passCriteria: ["The file is there.", "It has one line."] })],
        });
        await play.untilTask("done");
        const [omitted, invented, empty, noFeedback, ownVerdict, accepted] = readIn(play, "qa");
        expect(omitted).toMatch(/invalid-judgement[^]*c2 is not judged/);
        expect(invented).toMatch(/invalid-judgement[^]*c9/);
        expect(empty).toMatch(/invalid-judgement[^]*c1 is judged twice[^]*c2 has no evidence/);
        expect(noFeedback).toMatch(/feedback-missing/);
        expect(ownVerdict).toMatch(/verdict/); // The host's own words: the schema knows no such field.
        expect(accepted).toContain("step-01");
        const { status, attempt, attempts } = await play.step("step-01");
        expect([status, attempt, attempts[0]?.qa?.verdict, attempts[0]?.runs.length]).toEqual(["passed", 1, "pass", 2]);
        expect(countOf(await play.journal(), "record_qa_result")).toBe(2);
      },
    );
  });
}

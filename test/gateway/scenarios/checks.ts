import { readdir } from "node:fs/promises";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { oneByOne, report, type Act } from "../cast.ts";
import { aStep, call, type Stage } from "../stage.ts";

const program = `
  const text = require("node:fs").readFileSync("answer.txt", "utf8").trim();
  console.log("read " + text);
  if (text !== "42") { console.error("the answer is " + text + ", not 42"); process.exit(3); }
`;
const check = { name: "the answer", command: ["node", "-e", program] };

/** Writes a wrong answer at first, the right one at its second attempt. */
const learns: Act = (scene) =>
  oneByOne(
    { calls: [{ name: "write", args: { path: "answer.txt", content: scene.place.attempt === 1 ? "41\n" : "42\n" } }] },
    report({ outcome: "done", summary: "Wrote the answer.", filesChanged: ["answer.txt"] }),
  )(scene);

export function checks(stage: () => Stage): void {
  describe("a step with a check", () => {
    it("goes back to its builder with the output when the check fails, and spends no QA run on that", async () => {
      stage().cast.play("CheckFails", { builder: learns });
      const play = await stage().begin("CheckFails", { steps: [aStep({ checks: [check] })] });
      await play.untilTask("done");
      const { attempts, passedBy } = await play.step("step-01");
      expect(
        attempts.map(({ runs, checks: ran, qa }) => [
          runs.map((run) => run.role),
          ran?.map((one) => one.exitCode),
          qa?.verdict,
        ]),
      ).toEqual([
        [["builder"], [3], undefined],
        [["builder", "qa"], [0], "pass"],
      ]);
      expect(passedBy).toBe("qa");
      expect(path.isAbsolute(attempts[0]?.checks?.[0]?.program ?? "")).toBe(true);
      expect(play.turnsOf("step-01", "qa", 1)).toEqual([]);
      expect(play.turnsOf("step-01", "builder", 2)[0]?.brief).toContain("the answer is 41, not 42");
      expect(play.turnsOf("step-01", "qa", 2)[0]?.brief).toContain("read 42");
    });

    it("is refused at creation when its program is not allowed, with the key that would allow it", async () => {
      const chat = "agent:main:check-refused";
      const projectId = await stage().createProject("Project CheckRefused", chat);
      for (const command of [
        ["python3", "x.py"],
        ["/usr/bin/node", "x.js"],
      ]) {
        const wish = {
          projectId,
          title: "Task CheckRefused",
          spec: "None.",
          acceptanceCriteria: ["It holds."],
          steps: [aStep({ checks: [{ name: "mine", command }] })],
        };
        const answer = await stage().say(call("create_task", wish), chat);
        expect(answer).toMatch(/program-not-allowed[^]*checks\.allow/);
        expect(answer).toContain("command[0]: node");
      }
      const made = await readdir(path.join(stage().gateway.paths.workspace, "projects", projectId));
      expect(made).not.toContain("tasks");
    });
  });
}

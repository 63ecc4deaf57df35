import { execFileSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { gate, type ScriptedCall } from "../../../harness/model.ts";
import { until } from "../../../harness/wait.ts";
import { processesWith } from "../../../src/files/process-tree.ts";
import { runVariable } from "../../../src/host/shared.ts";
import { oneByOne, report, type Act } from "../cast.ts";
import { aStep, type Stage } from "../stage.ts";

const shell = (command: string): { readonly calls: readonly ScriptedCall[] } => ({
  calls: [{ name: "exec", args: { command } }],
});
const environment = 'echo "[$MY_SECRET_KEY][$ACME_API_KEY][$OPENCLAW_GATEWAY_TOKEN][$PLAIN_WORD]"';
/** Everything in the repository's own git folder, as one line. */
const ownGit = "find .git -type f | sort | xargs sha256sum | sha256sum";

const fails: Act = ({ turn }) => {
  if (turn.results.length > 1) return { text: "Judged." };
  return turn.results.length === 0
    ? shell(environment)
    : {
        calls: [
          {
            name: "record_qa_result",
            args: { criteria: [{ id: "c1", pass: false, evidence: "It is not there." }], feedback: "Mend it." },
          },
        ],
      };
};

export function observedWork(stage: () => Stage): void {
  describe("the work of a builder in a git repository", () => {
    it(
      "is observed by the system, also after its report; two attempts without progress ask a person",
      {
        tags: [
          "s7.tree-files-observed",
          "s7.tree-left-alone",
          "s7.tree-by-git",
          "s7.tree-changed-after-build",
          "s7.qa-brief-observed",
          "s7.leftovers-ended",
          "s7.secrets-blank",
        ],
      },
      async () => {
        const judging = gate();
        const go = path.join(stage().gateway.paths.home, "go-on");
        // The first is found by its environment and ended with the run; the second took care not to be.
        const runOn = [
          "setsid sleep 600 > /dev/null 2>&1 &",
          `setsid env -i sh -c 'while [ ! -e ${go} ]; do sleep 0.1; done; echo late > late.txt' > /dev/null 2>&1 &`,
          "echo started",
        ].join("\n");
        const builder: Act = (scene) => {
          const nothing = oneByOne(report({ outcome: "done", summary: "I see nothing to do.", filesChanged: [] }));
          if (scene.place.stepId === "step-01")
            return oneByOne(
              shell(
                "echo 1 > kept.txt; echo 1 > changed.txt; echo 1 > deleted.txt; git init -q && git add . && git -c user.name=a -c user.email=a@example.org commit -qm one; echo made",
              ),
              report({
                outcome: "done",
                summary: "Prepared.",
                filesChanged: ["kept.txt", "changed.txt", "deleted.txt"],
              }),
            )(scene);
          if (scene.place.attempt > 1) return nothing(scene);
          return oneByOne(
            shell(environment),
            shell(runOn),
            shell("echo 2 > changed.txt; rm deleted.txt; echo 1 > created.txt; echo done"),
            shell(ownGit),
            report({ outcome: "done", summary: "Changed all.", filesChanged: ["kept.txt", "changed.txt"] }),
          )(scene);
        };
        stage().cast.play("ObservesWork", {
          builder,
          qa: async (scene) => {
            if (scene.place.stepId === "step-02" && scene.place.attempt === 1) await judging.hold(scene.turn);
            if (scene.place.stepId !== "step-01") return fails(scene);
            return scene.turn.results.length === 0
              ? {
                  calls: [
                    { name: "record_qa_result", args: { criteria: [{ id: "c1", pass: true, evidence: "There." }] } },
                  ],
                }
              : { text: "Judged." };
          },
        });
        const play = await stage().begin("ObservesWork", { steps: [aStep(), aStep()] });
        const { brief } = await judging.reached;
        const built = play.turnsOf("step-02", "builder").at(-1)?.results ?? [];
        const key = play.turnsOf("step-02", "builder")[0]?.sessionKey ?? "";
        expect(await processesWith(runVariable, key)).toEqual([]);
        expect(execFileSync("sh", ["-c", ownGit], { cwd: play.repo, encoding: "utf8" }).trim()).toBe(
          built[3]?.text?.trim(),
        );
        expect(brief).toContain("look at these first:\n\n```text\nchanged.txt\ncreated.txt\ndeleted.txt\n```");
        expect(brief).toContain("Files it says it made or changed:\n\n```text\nkept.txt\nchanged.txt\n```");
        await writeFile(go, "");
        await until("the process that ran on to have written", () =>
          execFileSync("ls", { cwd: play.repo, encoding: "utf8" }).includes("late.txt"),
        );
        judging.open();

        await play.untilStep("step-02", "blocked", 180_000);
        await play.untilQuiet();
        const { question, attempts } = await play.step("step-02");
        expect(question?.kind).toBe("no-progress");
        expect(attempts).toHaveLength(2);
        expect(attempts[0]?.builder).toMatchObject({
          filesChanged: ["kept.txt", "changed.txt"],
          filesObserved: ["changed.txt", "created.txt", "deleted.txt"],
        });
        expect(attempts[0]?.tree.changedAfterBuild).toEqual(["late.txt"]);
        expect(attempts[1]?.builder?.filesObserved).toEqual([]);
        expect(attempts[1]?.tree.built).toBe(attempts[0]?.tree.judged);
        expect(await play.page("steps/step-02")).toMatch(/### Changes after the builder's run[^]*- `late\.txt`/);
        expect(play.turnsOf("step-02", "builder", 2)[0]?.brief).toMatch(
          /Changed after that builder's run[^]*late\.txt/,
        );

        const blank = "[][][][no secret]";
        expect(built[0]?.text).toContain(blank);
        expect(play.turnsOf("step-02", "qa").at(-1)?.results[0]?.text).toContain(blank);
      },
    );
  });
}

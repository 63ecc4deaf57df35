import { existsSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { gate } from "../../../harness/model.ts";
import { until } from "../../../harness/wait.ts";
import { bounds } from "../../../src/schema/bounds.ts";
import { criteriaOf, judge, oneByOne, report, type Act } from "../cast.ts";
import { aStep, type Stage } from "../stage.ts";

const node = (name: string, program: string, timeoutSeconds = 120) => ({
  name,
  command: ["node", "-e", program],
  timeoutSeconds,
});
const printsEnvironment = `
  console.log(JSON.stringify({ ...process.env, there: require("node:fs").existsSync(process.env.TMPDIR ?? "") }));
`;
const printsMuch = `process.stdout.write("x".repeat(50000) + "THE END");`;
const changesFiles = `
  const fs = require("node:fs");
  fs.writeFileSync("report.html", "made by a check");
  fs.rmSync("extra.txt", { force: true });
`;
/** Ends well; a process stays behind with its output open, in its group. */
const leaves = `
  const { spawn } = require("node:child_process");
  const { pid } = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "inherit" });
  require("node:fs").writeFileSync("left.json", JSON.stringify([pid]));
  console.log("fine");
  process.exit(0);
`;
/** The same with one that left its group. It takes a while, so that whoever looks for it has seen it. */
const leavesApart = `
  const { spawn } = require("node:child_process");
  const stays = ["-e", "setInterval(() => {}, 1000)"];
  const { pid } = spawn(process.execPath, stays, { stdio: "inherit", detached: true });
  require("node:fs").writeFileSync("apart.json", JSON.stringify([pid]));
  console.log("fine");
  setTimeout(() => process.exit(0), 2000);
`;
const reads = `process.stdin.resume().on("end", () => console.log("nothing to read"));`;
/** Hangs in the first attempt, with a child in its group and one that left it. */
const hangs = `
  const fs = require("node:fs");
  const { spawn } = require("node:child_process");
  if (fs.existsSync("slow.txt")) {
    const stays = ["-e", "setInterval(() => {}, 1000)"];
    const inGroup = spawn(process.execPath, stays, { stdio: "ignore" });
    const apart = spawn(process.execPath, stays, { stdio: "ignore", detached: true });
    fs.writeFileSync("pids.json", JSON.stringify([process.pid, inGroup.pid, apart.pid]));
    console.log("hanging");
    setInterval(() => {}, 1000);
  }
`;

const limitMs = 180_000;

/** True while the process runs; one that ended and was not collected yet does not. */
function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

export function checkFacts(stage: () => Stage): void {
  describe("checks on the real gateway", () => {
    it(
      "see a bare environment, are bounded in time and output, use no program of the repository, and are watched",
      {
        tags: [
          "s7.checks-environment",
          "s7.checks-output",
          "s7.checks-time-limit",
          "s7.checks-on-path",
          "s7.checks-program-recorded",
          "s7.checks-no-shell",
          "s7.tree-changed-after-build",
        ],
      },
      async () => {
        const checks = [
          node("environment", printsEnvironment),
          node("much", printsMuch),
          node("changes", changesFiles),
          node("words", `console.log(process.argv.slice(1).join("|"));`),
          node("leaves", leaves),
          node("leaves apart", leavesApart),
          node("reads", reads),
          node("hangs", hangs, 10),
        ].map((check) =>
          check.name === "words" ? { ...check, command: [...check.command, "a b", "$HOME", ";ls"] } : check,
        );
        const builder: Act = (scene) => {
          if (scene.place.attempt > 1)
            return oneByOne(
              { calls: [{ name: "exec", args: { command: "rm slow.txt; echo gone" } }] },
              report({ outcome: "done", summary: "Quick now.", filesChanged: [], filesDeleted: ["slow.txt"] }),
            )(scene);
          const plant =
            "printf '#!/bin/sh\\necho planted\\n' > node; chmod 755 node; echo 1 > slow.txt; echo 1 > extra.txt; echo ok";
          return oneByOne(
            { calls: [{ name: "exec", args: { command: plant } }] },
            report({ outcome: "done", summary: "Slow.", filesChanged: ["node", "slow.txt", "extra.txt"] }),
          )(scene);
        };
        stage().cast.play("CheckFacts", { builder });
        const play = await stage().begin("CheckFacts", { steps: [aStep({ checks })] });
        expect(play.projectId).toBe("project-checkfacts");
        await play.untilTask("done", limitMs);
        const { attempts } = await play.step("step-01");
        const [first, second] = attempts;
        const program = path.join(path.dirname(process.execPath), "node");
        expect(first?.checks?.map((one) => [one.name, one.exitCode, one.timedOut, one.program])).toEqual([
          ["environment", 0, false, program],
          ["much", 0, false, program],
          ["changes", 0, false, program],
          ["words", 0, false, program],
          ["leaves", 0, false, program],
          ["leaves apart", 0, false, program],
          ["reads", 0, false, program],
          ["hangs", null, true, program],
        ]);
        expect(second?.checks?.map((one) => one.exitCode)).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
        const [seen, much, , words, leaving, apart, reading, hung] = first?.checks ?? [];
        const environment = JSON.parse(seen?.outputTail ?? "") as Readonly<Record<string, unknown>>;
        expect(Object.keys(environment).toSorted()).toEqual(["HOME", "LANG", "PATH", "TMPDIR", "there"]);
        expect(environment).toMatchObject({ HOME: stage().gateway.paths.home, there: true });
        expect(existsSync(String(environment["TMPDIR"]))).toBe(false);
        expect(Buffer.byteLength(much?.outputTail ?? "")).toBe(bounds.outputTailBytes);
        expect(much?.outputTail.endsWith("xTHE END")).toBe(true);
        expect(words?.outputTail).toBe("a b|$HOME|;ls\n");
        expect(leaving?.outputTail).toBe("fine\n");
        expect(apart?.outputTail).toBe("fine\n");
        expect(reading?.outputTail).toBe("nothing to read\n");
        expect(hung?.outputTail).toBe("hanging\n");
        const idsIn = async (file: string) =>
          JSON.parse(await readFile(path.join(play.repo, file), "utf8")) as readonly number[];
        const pids = [...(await idsIn("pids.json")), ...(await idsIn("left.json")), ...(await idsIn("apart.json"))];
        expect(pids).toHaveLength(5);
        await until("everything that the check started to be gone", () => !pids.some(isRunning));
      },
    );

    it("that change files are named to QA", { tags: ["s7.tree-changed-after-build"] }, async () => {
      stage().cast.play("CheckChanges", {
        builder: oneByOne(
          { calls: [{ name: "write", args: { path: "extra.txt", content: "1\n" } }] },
          report({ outcome: "done", summary: "Written.", filesChanged: ["extra.txt"] }),
        ),
        qa: ({ turn }) =>
          turn.results.length > 0
            ? { text: "Judged." }
            : judge({ criteria: criteriaOf(turn.brief).map((id) => ({ id, pass: true, evidence: "I looked." })) }),
      });
      const play = await stage().begin("CheckChanges", { steps: [aStep({ checks: [node("changes", changesFiles)] })] });
      await play.untilTask("done", limitMs);
      await play.untilQuiet();
      expect(play.turnsOf("step-01", "qa")[0]?.brief).toMatch(
        /changed after the builder's run.*\n\n```text\nextra\.txt\nreport\.html\n```/,
      );
      const [attempt] = (await play.step("step-01")).attempts;
      expect(attempt?.tree.changedAfterBuild).toEqual(["extra.txt", "report.html"]);
    });

    it(
      "are refused, and not run, while builders are confined",
      { tags: ["s7.checks-confined", "s7.checks-unconfined-created", "s7.checks-unconfined-run"] },
      async () => {
        const [held, heldAgain] = [gate(), gate()];
        stage().cast.play("CheckConfined", {
          builder: oneByOne(
            async ({ turn, place }) => {
              await (place.attempt === 1 ? held : heldAgain).hold(turn);
              return { calls: [{ name: "write", args: { path: "x.txt", content: `${place.attempt}\n` } }] };
            },
            report({ outcome: "done", summary: "Written.", filesChanged: ["x.txt"] }),
          ),
        });
        const chat = "agent:main:confined";
        const steps = [aStep({ checks: [node("any", "console.log(1)")] })];
        const play = await stage().begin("CheckConfined", { steps }, chat);
        await held.reached;
        const wish = {
          projectId: play.projectId,
          title: "Task Refused",
          spec: "None.",
          acceptanceCriteria: ["It holds."],
          steps,
        };
        const client = await stage().client();
        await stage().gateway.configure({ tools: { exec: { mode: "ask" } } });
        const untilRefused = (refused: boolean) =>
          until(
            "the configuration to count",
            async () => {
              const { text } = await client.invokeTool("create_task", wish, { sessionKey: chat });
              return refused === (text.includes("checks-unconfined") && text.includes("checks.allowUnconfined"));
            },
            { limitMs, everyMs: 1_000 },
          );
        await untilRefused(true);
        held.open();
        const { attempts, question } = await play.untilStep("step-01", "blocked", limitMs);
        expect(attempts[0]?.checks).toMatchObject([{ name: "any", exitCode: null, program: null }]);
        expect(question).toMatchObject({ kind: "held", text: expect.stringContaining("checks-unconfined") });
        await stage().gateway.configure({ tools: { exec: { mode: "full" } } });
        await untilRefused(false);
        const answer = { taskId: play.taskId, stepId: "step-01", status: "queued", reason: "They may run again." };
        await client.invokeTool("set_step_status", answer, { sessionKey: chat });
        heldAgain.open();
        expect((await play.untilStep("step-01", "passed", limitMs)).attempts[1]?.checks?.[0]?.exitCode).toBe(0);
      },
    );
  });
}

import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { repoRoot } from "../../harness/openclaw.ts";

describe("a command of the repository", () => {
  it.each([
    ["scripts/demo.ts", ["--bogus"], "Unknown option '--bogus'. Taken are --keep, --repaired, --model <value>"],
    ["scripts/demo.ts", ["--model"], "Option '--model <value>' argument missing. Taken are "],
    ["scripts/demo.ts", ["fast"], "Unexpected argument 'fast'. "],
    ["bench/run.ts", ["--fast"], "Unknown option '--fast'. Taken are --only <value>"],
    ["bench/run.ts", ["--only", "speed"], "There is no group speed; groups: changes, "],
    ["torture/run.ts", ["--hard"], "Unknown option '--hard'. Taken are --part <value>"],
    ["torture/run.ts", ["--part", "fun"], "There is no part fun; parts: kill, "],
    ["torture/run.ts", ["--seed", "x"], 'A seed is a whole number, and "x" is none.'],
    ["torture/run.ts", ["--part", "damage", "--case", "none"], 'no part that was run has the case "none"'],
  ])("refuses what it does not take in a line that says what it takes: %s %j", (script, args, words) => {
    const ended = spawnSync(process.execPath, [script, ...args], { cwd: repoRoot, encoding: "utf8" });
    expect([ended.status, ended.stdout]).toEqual([2, ""]);
    expect(ended.stderr.trimEnd().split("\n").at(-1)).toContain(words);
    expect(ended.stderr).not.toContain("    at ");
  });
});

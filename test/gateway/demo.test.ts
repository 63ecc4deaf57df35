/** `npm start`, as a person runs it: the demonstration ends well and shows what the product is for. */
import { execFile } from "node:child_process";
import { readdir, readFile, rm } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { describe, expect, inject, it, onTestFinished } from "vitest";
import { createAgents } from "../../examples/fairshare/agents.ts";
import { startModel } from "../../harness/model.ts";
import { repoRoot } from "../../harness/openclaw.ts";

const script = path.join(repoRoot, "scripts", "demo.ts");

/** Runs the demonstration to its end. An exit code other than 0 fails with everything that was printed. */
async function demonstrate(words: readonly string[], env: NodeJS.ProcessEnv = process.env) {
  try {
    const options = { cwd: repoRoot, maxBuffer: 16 * 1024 * 1024, env };
    return await promisify(execFile)(process.execPath, [script, "--installed", inject("template"), ...words], options);
  } catch (error) {
    const said = error instanceof Error && "stdout" in error ? String(error.stdout) : "";
    throw new Error(`the demonstration failed; it printed:\n${said.slice(-6000)}`, { cause: error });
  }
}

describe("the demonstration", () => {
  it("goes from the specification through a failure that QA found to a program whose own tests pass", async () => {
    const { stdout } = await demonstrate([]);
    const places = [
      /QA +fails c2: .+\n.+exit code 0\. This adds up to 9\.99, not to 10\.00/,
      /Step 2 of 4: .+ \(attempt 2 of 3\)/,
      /Step 2 of 4 passed after 2 attempts/,
      /The task is done\./,
      /✔ tests .+exit code 0, pass \d+, fail 0/,
    ].map((line) => {
      expect(stdout).toMatch(line);
      return stdout.search(line);
    });
    expect(places, "in this order").toEqual(places.toSorted((one, other) => one - other));
    expect(stdout).toMatch(/\| QA \| [5-9] \| [\d,]+ tokens in, [\d,]+ out, \$0\.\d\d \|/);
  });

  it("goes the whole way with a model of the person's own, whose key stands in no file and in no output", async () => {
    const key = "sk-of-the-person-0123456789";
    const model = await startModel(createAgents({ repaired: false }));
    onTestFinished(() => model.stop());
    const { stdout, stderr } = await demonstrate(["--keep", "--model", "my-lab/big-one", "--base-url", model.url], {
      ...process.env,
      MY_LAB_API_KEY: key,
    });
    const [, kept = ""] = /kept +(\S+)/.exec(stdout) ?? [];
    expect(kept).toContain("orchestrator-demo-");
    onTestFinished(() => rm(kept, { recursive: true, force: true }));
    expect(stdout).toMatch(/starting an OpenClaw gateway with my-lab\/big-one/);
    expect(stdout).toMatch(/Step 2 of 4: .+ \(attempt 2 of 3\)/);
    expect(stdout).toMatch(/✔ done/);

    const turns = model.turns.all();
    expect(turns.length).toBeGreaterThan(20);
    expect(new Set(turns.map(({ turn }) => turn.authorization))).toEqual(new Set([`Bearer ${key}`]));
    expect(turns.some(({ turn }) => turn.wholeText.includes(key))).toBe(false);
    expect(`${stdout}${stderr}`).not.toContain(key);
    const files = (await readdir(kept, { recursive: true, withFileTypes: true })).filter((one) => one.isFile());
    expect(files.some((one) => one.name === "openclaw.json")).toBe(true);
    expect(files.some((one) => one.name === "gateway.log")).toBe(true);
    for (const one of files) {
      const file = path.join(one.parentPath, one.name);
      expect((await readFile(file)).includes(key), file).toBe(false);
    }
  });
});

/** `npm start`, as a person runs it: the demonstration ends well and shows what the product is for. */
import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { describe, expect, inject, it } from "vitest";
import { repoRoot } from "../../harness/openclaw.ts";

describe("the demonstration", () => {
  it("goes from the specification through a failure that QA found to a program whose own tests pass", async () => {
    const script = path.join(repoRoot, "scripts", "demo.ts");
    // It rejects when the exit code is not 0, with everything that was printed.
    const { stdout } = await promisify(execFile)(process.execPath, [script, "--installed", inject("template")], {
      cwd: repoRoot,
      maxBuffer: 16 * 1024 * 1024,
    });
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
});

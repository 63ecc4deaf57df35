import { describe, expect, it } from "vitest";
import { runsOf, sumUsage, usageByRole } from "../../src/render/usage.ts";
import {
  costWords,
  durationWords,
  listWords,
  momentWords,
  numberWords,
  spanWords,
  usageWords,
} from "../../src/render/words.ts";
import { anAttempt, aRun, aStep } from "../support/builders.ts";

const used = (costUsd: number) => ({ inputTokens: 10, outputTokens: 1, costUsd });

describe("sums of usage", () => {
  it("add up runs, and count those without a measurement", { tags: ["s7.usage-unknown"] }, () => {
    expect(sumUsage([aRun({ usage: used(0.1) }), aRun({ usage: used(0.2) }), aRun({ usage: null })])).toStrictEqual({
      inputTokens: 20,
      outputTokens: 2,
      costUsd: 0.3,
      runs: 3,
      unmeasured: 1,
    });
    expect(sumUsage([])).toStrictEqual({ inputTokens: 0, outputTokens: 0, costUsd: 0, runs: 0, unmeasured: 0 });
  });

  it("are kept apart by role", () => {
    const step = aStep({
      attempts: [
        anAttempt({ runs: [aRun({ usage: used(1) }), aRun({ role: "qa", usage: used(2) })] }),
        anAttempt({ runs: [aRun({ usage: used(4) })] }),
      ],
    });
    expect(runsOf([step, aStep()])).toHaveLength(3);
    expect(usageByRole([step]).map(({ role, usage }) => [role, usage.costUsd, usage.runs])).toStrictEqual([
      ["builder", 5, 2],
      ["qa", 2, 1],
    ]);
  });
});

describe("numbers in words", () => {
  it("say tokens and cost, and what they lack", { tags: ["s7.usage-unknown"] }, () => {
    expect(usageWords(sumUsage([aRun()]))).toBe("12,345 tokens in, 678 out, $0.0421");
    expect(usageWords(sumUsage([aRun(), aRun({ usage: null })]))).toBe(
      "12,345 tokens in, 678 out, $0.0421 (not counting 1 run without a measurement)",
    );
    expect(usageWords(sumUsage([aRun({ usage: null })]))).toBe("not measured (1 run)");
    expect([0, 0.00004, 0.25, 12].map(costWords)).toStrictEqual(["$0.00", "$0.0000", "$0.25", "$12.00"]);
    expect(numberWords(1_234_567)).toBe("1,234,567");
  });

  it("say times", { tags: ["s7.time-shown"] }, () => {
    expect([0, 999, 1_000, 61_000, 3_600_000, 3_660_000, 49 * 3_600_000].map(durationWords)).toStrictEqual([
      "0 ms",
      "999 ms",
      "1 s",
      "1 min 1 s",
      "1 h",
      "1 h 1 min",
      "2 d 1 h",
    ]);
    expect(momentWords("2026-11-21T04:13:05.123Z")).toBe("2026-11-21 04:13:05 UTC");
    expect(momentWords("then")).toBe("then");
    expect(spanWords("2026-11-21T04:13:05Z", "then")).toBeUndefined();
  });

  it("say lists", () => {
    expect([[], ["a"], ["a", "b"], ["a", "b", "c"]].map((items) => listWords(items))).toStrictEqual([
      "",
      "a",
      "a and b",
      "a, b and c",
    ]);
  });
});

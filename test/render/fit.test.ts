import { describe, expect, it } from "vitest";
import { fitTexts } from "../../src/render/fit.ts";
import { visible } from "../../src/render/quote.ts";
import { fc } from "../support/properties.ts";

const lengths = (groups: ReturnType<typeof fitTexts>) => groups.map((group) => group.map((one) => one.text.length));

describe("fitTexts", () => {
  it("leaves everything whole when there is room", () => {
    expect(fitTexts([{ texts: ["one", "two"] }, { texts: ["three"] }], 11)).toStrictEqual([
      [
        { text: "one", cut: null },
        { text: "two", cut: null },
      ],
      [{ text: "three", cut: null }],
    ]);
  });

  it("shortens the less important group first, but not below its least", () => {
    const groups = [{ texts: ["a".repeat(100)] }, { texts: ["b".repeat(100)], least: 20 }];
    expect(lengths(fitTexts(groups, 150))).toStrictEqual([[100], [50]]);
    expect(lengths(fitTexts(groups, 90))).toStrictEqual([[70], [20]]);
  });

  it("shares a group's room fairly and gives it no more than its most", () => {
    expect(lengths(fitTexts([{ texts: ["a", "b".repeat(90), "c".repeat(50)] }], 61))).toStrictEqual([[1, 30, 30]]);
    expect(lengths(fitTexts([{ texts: ["a".repeat(90)], most: 10 }, { texts: ["b".repeat(90)] }], 100))).toStrictEqual([
      [10],
      [90],
    ]);
  });

  it("says what is missing", () => {
    expect(fitTexts([{ texts: ["abcdef"] }], 4)[0]).toStrictEqual([
      { text: "abcd", cut: "cut: the first 4 of 6 bytes" },
    ]);
    expect(fitTexts([{ texts: ["abcdef"], keep: "end" }], 4)[0]).toStrictEqual([
      { text: "cdef", cut: "cut: the last 4 of 6 bytes" },
    ]);
    expect(fitTexts([{ texts: ["abcdef"] }], 0)[0]).toStrictEqual([{ text: "", cut: "left out: 6 bytes" }]);
  });

  it("never gives more than there is, and only whole characters", () => {
    const group = fc.record({
      texts: fc.array(fc.string({ unit: "binary", maxLength: 40 }), { maxLength: 6 }),
      least: fc.nat(30),
      most: fc.nat(200),
      keep: fc.constantFrom("beginning" as const, "end" as const),
    });
    fc.assert(
      fc.property(fc.array(group, { maxLength: 6 }), fc.nat(400), (groups, bytes) => {
        const reserved = groups.reduce((sum, one) => sum + one.least, 0);
        const fitted = fitTexts(groups, bytes).flat();
        expect(fitted.reduce((sum, one) => sum + Buffer.byteLength(one.text), 0)).toBeLessThanOrEqual(
          Math.max(bytes, reserved),
        );
        const whole = groups.flatMap(({ texts, keep }) => texts.map((text) => ({ shown: visible(text), keep })));
        for (const [at, { shown, keep }] of whole.entries()) {
          const text = fitted[at]?.text ?? "nothing";
          expect(keep === "beginning" ? shown.startsWith(text) : shown.endsWith(text)).toBe(true);
          expect(text.isWellFormed()).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });
});

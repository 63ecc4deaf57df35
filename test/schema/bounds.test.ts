/** Length of a text as it is stored, and where a text that is too long is cut. */
import { describe, expect, it } from "vitest";
import { byteLength, firstBytes } from "../../src/schema/bounds.ts";

describe("a text", () => {
  it("is as long as its bytes in UTF-8", () => {
    expect(["", "a", "é", "€", "😀"].map(byteLength)).toStrictEqual([0, 1, 2, 3, 4]);
  });

  it("is left whole when it has no more bytes than may be", () => {
    expect(firstBytes("ab€", 5)).toBe("ab€");
    // What stands at its end may be what a cut would leave behind.
    expect(firstBytes("a\uFFFD", 4)).toBe("a\uFFFD");
  });

  it("is cut before the character that does not fit", () => {
    expect(firstBytes("abc", 2)).toBe("ab");
    expect([4, 3, 2].map((bytes) => firstBytes("ab€c", bytes))).toStrictEqual(["ab", "ab", "ab"]);
    expect(firstBytes("ab😀c", 5)).toBe("ab");
    expect(firstBytes("a\uFFFDb€", 7)).toBe("a\uFFFDb");
  });
});

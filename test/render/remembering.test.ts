import { describe, expect, it } from "vitest";
import { remembering } from "../../src/render/remembering.ts";

describe("what is remembered of a thing", () => {
  it("is made once for each thing, and for each maker", () => {
    let made = 0;
    const numberOf = remembering((of: { readonly name: string }) => `${of.name} ${(made += 1)}`);
    const otherOf = remembering((of: { readonly name: string }) => `other ${of.name}`);
    const [one, two] = [{ name: "one" }, { name: "two" }];
    expect([numberOf(one), numberOf(two), numberOf(one), otherOf(one), otherOf(one)]).toEqual([
      "one 1",
      "two 2",
      "one 1",
      "other one",
      "other one",
    ]);
  });

  it("also when there is nothing to it", () => {
    let made = 0;
    const nothingOf = remembering((_of: object) => void (made += 1));
    const thing = {};
    expect([nothingOf(thing), nothingOf(thing), made]).toEqual([undefined, undefined, 1]);
  });

  it("is not remembered of a copy, however often one is made, and nothing sees it", () => {
    const revOf = remembering((of: { readonly name: string; readonly rev: number }) => of.rev);
    let thing = { name: "one", rev: 0 };
    for (let rev = 1; rev <= 20_000; rev += 1) {
      expect(revOf(thing)).toBe(rev - 1);
      thing = { ...thing, rev };
    }
    expect(revOf(thing)).toBe(20_000);
    expect(Reflect.ownKeys(thing)).toEqual(["name", "rev"]);
    expect(thing).toStrictEqual({ name: "one", rev: 20_000 });
    expect(revOf(structuredClone(thing))).toBe(20_000);
  });
});

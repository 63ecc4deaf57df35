/** Who may work: the limit over all tasks, and one task at a time in a working tree. */
import { describe, expect, it } from "vitest";
import { createSlots, overlaps } from "../../src/flow/slots.ts";

function setup(limit = 2) {
  const woken: string[] = [];
  const settings = { limit };
  const slots = createSlots(() => settings.limit);
  const claim = (name: string, tree = `/repos/${name}`) => ({
    key: `root:${name}`,
    taskId: name,
    tree,
    wake: () => void woken.push(name),
  });
  return { slots, claim, woken, settings };
}

describe("a place", () => {
  it(
    "is given until the limit is reached, and the refused one hears whom it waits for",
    { tags: ["s8.parallel-tasks"] },
    () => {
      const { slots, claim } = setup();
      expect([slots.take(claim("a")), slots.take(claim("b")), slots.take(claim("c"))]).toStrictEqual([
        undefined,
        undefined,
        { kind: "slot", id: "a" },
      ]);
      expect(slots.holdOf("root:c")).toStrictEqual({ kind: "slot", id: "a" });
      expect(slots.holdOf("root:a")).toBeUndefined();
    },
  );

  it("is kept by who has it", () => {
    const { slots, claim } = setup(1);
    slots.take(claim("a"));
    expect(slots.take(claim("a"))).toBeUndefined();
  });

  it("that is given back wakes those who were refused, in the order in which they asked", () => {
    const { slots, claim, woken } = setup(1);
    for (const name of ["a", "b", "c"]) slots.take(claim(name));
    slots.leave("root:a");
    expect(woken).toStrictEqual(["b", "c"]);
    expect(slots.take(claim("b"))).toBeUndefined();
    expect(slots.take(claim("c"))).toStrictEqual({ kind: "slot", id: "b" });
  });

  it("that was never taken wakes nobody when it is given back, and who waited for one waits no more", () => {
    const { slots, claim, woken } = setup(1);
    slots.take(claim("a"));
    slots.take(claim("b"));
    slots.leave("root:b");
    expect(woken).toStrictEqual([]);
    expect(slots.holdOf("root:b")).toBeUndefined();
    slots.leave("root:a");
    expect(woken).toStrictEqual([]);
  });

  it("of work that is live already is never refused", () => {
    const { slots, claim } = setup(1);
    slots.keep(claim("a"));
    slots.keep(claim("b"));
    expect(slots.take(claim("b"))).toBeUndefined();
    expect(slots.take(claim("c"))).toMatchObject({ kind: "slot" });
  });

  it("of work that is live already counts, and its task waits no more", () => {
    const { slots, claim, woken } = setup(1);
    slots.keep(claim("a"));
    expect(slots.take(claim("b"))).toStrictEqual({ kind: "slot", id: "a" });
    slots.keep(claim("b"));
    expect(slots.holdOf("root:b")).toBeUndefined();
    slots.leave("root:a");
    expect(woken).toStrictEqual([]);
    expect(slots.take(claim("c"))).toStrictEqual({ kind: "slot", id: "b" });
  });

  it("that was waited for and then taken is not waited for any more", () => {
    const { slots, claim, woken } = setup(1);
    slots.take(claim("a"));
    slots.take(claim("b"));
    slots.leave("root:a");
    slots.take(claim("b"));
    expect(slots.holdOf("root:b")).toBeUndefined();
    slots.keep(claim("c"));
    slots.leave("root:c");
    expect(woken).toStrictEqual(["b"]);
  });

  it("follows a changed limit at once", () => {
    const { slots, claim, settings } = setup(1);
    slots.take(claim("a"));
    expect(slots.take(claim("b"))).toBeDefined();
    settings.limit = 2;
    expect(slots.take(claim("b"))).toBeUndefined();
  });

  it(
    "in a tree is for one task at a time, whatever the limit",
    { tags: ["s7.tree-exclusive", "s7.tree-waits"] },
    () => {
      const { slots, claim } = setup(9);
      slots.take(claim("a", "/repos/all"));
      expect(slots.take(claim("b", "/repos/all"))).toStrictEqual({ kind: "tree", id: "a" });
      expect(slots.take(claim("c", "/repos/all/inner"))).toStrictEqual({ kind: "tree", id: "a" });
      expect(slots.take(claim("d", "/repos"))).toStrictEqual({ kind: "tree", id: "a" });
      expect(slots.take(claim("e", "/repos/all-else"))).toBeUndefined();
    },
  );
});

describe("two directories", () => {
  it.each([
    ["/a", "/a", true],
    ["/a", "/a/b", true],
    ["/a/b", "/a", true],
    ["/a", "/ab", false],
    ["/a/b", "/a/c", false],
  ])("%s and %s overlap: %s", (one, other, expected) => {
    expect(overlaps(one, other)).toBe(expected);
  });
});

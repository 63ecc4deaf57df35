/** Answers that a repeated call gets again. */
import { describe, expect, it } from "vitest";
import { createAnswerMemory } from "../../src/tools/desk.ts";

function setup(keepMs?: number) {
  let time = 1_000;
  const ran: string[] = [];
  const memory = createAnswerMemory(() => time, keepMs);
  const once = (id: string, answer: Promise<string> = Promise.resolve(`${id} ${ran.length}`), kept = true) =>
    memory.once(
      id,
      () => {
        ran.push(id);
        return answer;
      },
      () => kept,
    );
  return { once, ran, later: (ms: number) => void (time += ms) };
}

describe("an answer", () => {
  it("is given again to the same call for ten minutes, and worked out anew after that", async () => {
    const { once, ran, later } = setup();
    const first = await once("a");
    later(10 * 60_000 - 1);
    expect(await once("a")).toBe(first);
    later(1);
    expect(await once("a")).not.toBe(first);
    expect(ran).toStrictEqual(["a", "a"]);
  });

  it("is forgotten by its own age, and not by that of others", async () => {
    const { once, ran, later } = setup(100);
    await once("old");
    later(60);
    await once("young");
    later(60);
    await once("young");
    await once("old");
    expect(ran).toStrictEqual(["old", "young", "old"]);
  });

  it("that is not to be kept, or failed, is shared at the same time only", async () => {
    const { once, ran } = setup();
    const [one, other] = await Promise.all([once("a", Promise.resolve("x"), false), once("a", Promise.resolve("y"))]);
    expect([one, other, ran]).toStrictEqual(["x", "x", ["a"]]);
    expect(await once("a", Promise.resolve("z"))).toBe("z");
    await expect(once("b", Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(await once("b", Promise.resolve("yes"))).toBe("yes");
  });

  it("that comes late does not make a newer one forgotten", async () => {
    const { once, ran, later } = setup(100);
    let finish = (_answer: string): void => undefined;
    const slow = once("a", new Promise<string>((resolve) => (finish = resolve)), false);
    later(100);
    expect(await once("a", Promise.resolve("new"))).toBe("new");
    finish("late");
    expect(await slow).toBe("late");
    expect(await once("a", Promise.resolve("newer"))).toBe("new");
    expect(ran).toStrictEqual(["a", "a"]);
  });
});

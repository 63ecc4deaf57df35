/** The kinds of misbehaviour as docs/reliability.md lists them; the gateway plays them. `vitest -u` writes the list. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { kinds, tableOfKinds } from "../../torture/agents/kinds.ts";

const page = path.join(import.meta.dirname, "..", "..", "docs", "reliability.md");

describe("the kinds of agents that misbehave", () => {
  it("are many, and each has a name of its own by which it can be played again", () => {
    expect(kinds.length).toBeGreaterThanOrEqual(40);
    expect(new Set(kinds.map(({ name }) => name)).size).toBe(kinds.length);
  });

  it("stand in docs/reliability.md, with what each does and what happens", async () => {
    const rows = tableOfKinds().split("\n");
    for (const row of rows) expect(row.match(/(?<!\\)\|/g), row).toHaveLength(6);
    const between = /(<!-- kinds: .* -->\n)[^]*?(<!-- \/kinds -->)/;
    const now = readFileSync(page, "utf8");
    expect(now).toMatch(between);
    const wanted = now.replace(between, (_all, begin: string, end: string) => `${begin}\n${rows.join("\n")}\n\n${end}`);
    await expect(wanted).toMatchFileSnapshot(page);
  });
});

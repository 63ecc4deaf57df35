/**
 * The shapes that others rely on, as JSON schema in golden files: what is stored, what an event says, what a tool takes
 * and answers. Descriptions are left out, for words may be put better. A change there changes what can be read; `vitest -u`
 * writes it, review it as that.
 */
import { describe, expect, it } from "vitest";
import { Config } from "../../src/schema/config.ts";
import * as details from "../../src/schema/details.ts";
import { Project, Step, Task } from "../../src/schema/documents.ts";
import { Effect } from "../../src/schema/effects.ts";
import { Event } from "../../src/schema/events.ts";
import * as parameters from "../../src/schema/parameters.ts";

const { parseParameters: _parse, ...ofTools } = parameters;
const withoutWords = (key: string, value: unknown) =>
  key === "description" && typeof value === "string" ? undefined : value;

describe("the shape", () => {
  it.each([
    ["documents", { Project, Task, Step }],
    ["events", Event],
    ["effects", Effect],
    ["parameters", ofTools],
    ["details", details],
    ["config", Config],
  ])("of %s is the one in its golden file", async (name, schema) => {
    await expect(`${JSON.stringify(schema, withoutWords, 1)}\n`).toMatchFileSnapshot(`golden/${name}.schema.txt`);
  });
});

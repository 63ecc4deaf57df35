import { describe, expect, it } from "vitest";
import { migrate } from "../../src/schema/migrations.ts";

describe("bringing a stored document up to today's version", () => {
  const steps = {
    1: ({ name, ...rest }: Readonly<Record<string, unknown>>) => ({ ...rest, title: name }),
    2: (document: Readonly<Record<string, unknown>>) => ({ ...document, tags: [] }),
  };

  it("goes through every step in order and counts the version up", () => {
    expect(migrate({ schemaVersion: 1, name: "One" }, steps, 3)).toEqual({ schemaVersion: 3, title: "One", tags: [] });
    expect(migrate({ schemaVersion: 2, title: "One" }, steps, 3)).toEqual({ schemaVersion: 3, title: "One", tags: [] });
  });

  it("leaves today's and newer documents, and what is no document, as they are", () => {
    for (const value of [{ schemaVersion: 3, title: "One" }, { schemaVersion: 4 }, { title: "none" }, null, 7, "text"])
      expect(migrate(value, steps, 3)).toBe(value);
  });

  it("stops at a version for which there is no step, for the schema to refuse", () => {
    expect(migrate({ schemaVersion: 0 }, steps, 3)).toEqual({ schemaVersion: 0 });
  });

  it("knows no step before version 1, today's", () => {
    const document = { schemaVersion: 1 };
    expect(migrate(document)).toBe(document);
  });
});

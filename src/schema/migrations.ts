/**
 * From older stored shapes to today's: one pure function per step, each with a fixture of the old file in its test.
 * Version 1 is the first, so there is no step yet; a document of a newer version is never changed here, the store keeps
 * it read-only.
 */
import { schemaVersion } from "./documents.ts";

/** `steps[n]` turns a document of version n into one of version n + 1. */
export type MigrationSteps = Readonly<
  Record<number, (document: Readonly<Record<string, unknown>>) => Record<string, unknown>>
>;
const steps: MigrationSteps = {};

/**
 * The value as today's version has it. A value that is no document, has no version, or a newer one, comes back as it is,
 * for the schema to judge. Pure.
 */
export function migrate(value: unknown, known: MigrationSteps = steps, target: number = schemaVersion): unknown {
  let current = value;
  while (isVersioned(current) && current.schemaVersion < target) {
    const step = known[current.schemaVersion];
    if (step === undefined) return current;
    current = { ...step(current), schemaVersion: current.schemaVersion + 1 };
  }
  return current;
}

function isVersioned(value: unknown): value is { readonly schemaVersion: number; readonly [field: string]: unknown } {
  return (
    typeof value === "object" && value !== null && "schemaVersion" in value && typeof value.schemaVersion === "number"
  );
}

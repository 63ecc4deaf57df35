// JSON values as the harness reads them from the host and writes them for it, and the narrowing of unknown ones.

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export type JsonObject = { readonly [key: string]: Json | undefined };

/** A JSON object as it comes in from outside: every field still has to be looked at. */
export type Fields = { readonly [key: string]: unknown };

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The value as an object; an empty one when it is none, so that a missing branch reads as missing fields. */
export function fieldsOf(value: unknown): Fields {
  return isFields(value) ? value : {};
}

export function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** `over` laid on `base`, objects merged field by field, everything else replaced. Pure. */
export function mergeJson(base: JsonObject, over: JsonObject): JsonObject {
  const merged: { [key: string]: Json | undefined } = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const before = merged[key];
    merged[key] = isJsonObject(before) && isJsonObject(value) ? mergeJson(before, value) : value;
  }
  return merged;
}

function isJsonObject(value: Json | undefined): value is JsonObject {
  return isFields(value);
}

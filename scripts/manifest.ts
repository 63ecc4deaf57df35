/** Writes the configuration schema and its hints into openclaw.plugin.json, from src/schema/config.ts. */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { TSchema } from "@sinclair/typebox";
import { Config } from "../src/schema/config.ts";

export const manifestFile = path.resolve(import.meta.dirname, "..", "openclaw.plugin.json");

/** The manifest as it must be for the configuration schema in the source. */
export function manifestText(): string {
  const manifest: Record<string, unknown> = JSON.parse(readFileSync(manifestFile, "utf8"));
  return `${JSON.stringify({ ...manifest, configSchema: Config, uiHints: hintsOf(Config, "") }, null, 2)}\n`;
}

const advanced = new Set(["orchestrators", "allowNonOwners", "maxLostRuns", "parallelSteps", "checks.allowUnconfined"]);

function hintsOf(schema: TSchema, path: string): Record<string, unknown> {
  const hints: Record<string, unknown> = {};
  const properties: Record<string, TSchema> = schema["properties"] ?? {};
  for (const [name, inner] of Object.entries(properties)) {
    const place = path === "" ? name : `${path}.${name}`;
    if (inner["properties"] === undefined)
      hints[place] = {
        label: labelOf(place),
        help: inner["description"],
        ...(advanced.has(place) ? { advanced: true } : {}),
      };
    else Object.assign(hints, hintsOf(inner, place));
  }
  return hints;
}

function labelOf(place: string): string {
  const words = place
    .replace(/([A-Z])/g, " $1")
    .replaceAll(".", " ")
    .toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

if (import.meta.main) writeFileSync(manifestFile, manifestText());

import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { tools } from "../src/host/tools.ts";
import { manifestFile, manifestText } from "../scripts/manifest.ts";

it("the manifest carries the configuration schema of the source (npm run manifest writes it)", () => {
  expect(readFileSync(manifestFile, "utf8")).toBe(manifestText());
});

it("the manifest names exactly the tools that are registered", () => {
  const manifest: { contracts: { tools: readonly string[] } } = JSON.parse(readFileSync(manifestFile, "utf8"));
  expect(manifest.contracts.tools).toEqual(tools.map((tool) => tool.name));
});

/** Packs the plugin and installs it once, as a user would; every gateway of the run starts in a copy of that home. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { TestProject } from "vitest/node";
import { installPlugin, packPlugin } from "../../harness/package.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** A home in which the packed plugin is installed. */
    template: string;
    tarball: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(path.join(tmpdir(), "orchestrator-template-"));
  const { tarball } = await packPlugin({ into: folder });
  const template = path.join(folder, "home");
  await installPlugin(template, tarball);
  project.provide("template", template);
  project.provide("tarball", tarball);
  return () => rm(folder, { recursive: true, force: true });
}

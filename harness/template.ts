// One installation of the plugin for many gateways: packed and installed once, then copied per home (about half a second).

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { installPlugin, packPlugin } from "./package.ts";

export interface InstalledTemplate {
  /** The home to copy with `newHome`. No gateway may run in it. */
  readonly home: string;
  readonly tarball: string;
  readonly pluginId: string;
  dispose(): Promise<void>;
}

/** Builds, packs and installs the package at `root` (default: this repository) into a temporary template home. */
export async function makeTemplate(
  options: { readonly root?: string; readonly build?: boolean } = {},
): Promise<InstalledTemplate> {
  const folder = await mkdtemp(join(tmpdir(), "orchestrator-template-"));
  const home = join(folder, "home");
  const dispose = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    const packed = await packPlugin({ ...options, into: join(folder, "pack") });
    await installPlugin(home, packed.tarball);
    return { home, tarball: packed.tarball, pluginId: packed.pluginId, dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** All of the plugin but its entry: what answers when the host asks for something that the entry has registered. */
import type { OpenClawPluginToolContext } from "openclaw/plugin-sdk/plugin-entry";
import { createDriving, type Driving } from "./driving.ts";
import { createHooks, type Hooks } from "./hooks.ts";
import { createHost, type Api } from "./openclaw.ts";
import { closeRoots } from "./roots.ts";
import { renewLauncher } from "./shared.ts";
import { offer } from "./tools.ts";

export type Parts = {
  readonly hooks: Hooks;
  /** The tool of that name for an agent's turn; null when this agent is not offered it. */
  tool(name: string, context: OpenClawPluginToolContext): ReturnType<typeof offer>;
  createDriving(): Driving;
  /** Closes what tools have opened; for when nothing was driven, whose end closes it. */
  closeRoots(): Promise<void>;
  renewLauncher(): void;
};

/** The parts of one evaluation of the plugin. */
export function createParts(api: Api): Parts {
  const host = createHost(api);
  return {
    hooks: createHooks(host),
    tool: (name, context) => offer(host, name, context),
    createDriving: () => createDriving(host),
    closeRoots,
    renewLauncher,
  };
}

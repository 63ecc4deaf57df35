/**
 * The entry: registers by name what the plugin has. OpenClaw evaluates it several times and lets a gateway's start wait for
 * that, so the rest is another module, loaded when something of it is first used (ADR 19).
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { createRequire } from "node:module";
import { definePluginEntry } from "openclaw/plugin-sdk/plugin-entry";
import manifest from "../openclaw.plugin.json" with { type: "json" };
import type { Driving } from "./host/driving.ts";
import type { Parts } from "./host/parts.ts";

/** Not `import()`: a tool has to be there at once when the host asks for it. The file is the one that the build makes. */
const load = (): typeof import("./host/parts.ts") => createRequire(import.meta.url)("./parts.js");

export default definePluginEntry({
  id: manifest.id,
  name: manifest.name,
  description: manifest.description,
  register(api) {
    let loaded: Parts | undefined;
    const parts = () => (loaded ??= load().createParts(api));
    for (const name of manifest.contracts.tools) api.registerTool((context) => parts().tool(name, context), { name });
    api.on("before_tool_call", (event, context) => parts().hooks.before_tool_call(event, context));
    api.on("after_tool_call", (event, context) => parts().hooks.after_tool_call(event, context));
    api.on("model_call_started", (event, context) => parts().hooks.model_call_started(event, context));
    api.on("model_call_ended", (event, context) => parts().hooks.model_call_ended(event, context));
    api.on("resolve_exec_env", (event, context) => parts().hooks.resolve_exec_env(event, context));
    api.on("heartbeat_prompt_contribution", (event, context) =>
      parts().hooks.heartbeat_prompt_contribution(event, context),
    );
    // The configuration is read anew at each use; a restart for it would be refused while a run is live.
    api.registerReload({ noopPrefixes: ["plugins.entries.project-orchestrator.config"] });
    // The host starts services of the full evaluation only; `plugins inspect` reads what a scoped one registers.
    if (api.registrationMode !== "full" && api.registrationMode !== "tool-discovery") return;
    let inService: ReturnType<typeof AsyncLocalStorage.snapshot> | undefined;
    let driving: Driving | undefined;
    let gatewayStarted = false;
    const begin = () => {
      if (inService === undefined || !gatewayStarted) return;
      driving ??= inService(() => parts().createDriving());
      driving.begin();
    };
    api.registerService({
      id: "project-orchestrator-driver",
      start() {
        inService = AsyncLocalStorage.snapshot();
        begin();
      },
      async stop() {
        inService = undefined;
        await driving?.end();
        driving = undefined;
      },
    });
    // When the gateway has waited long enough it cuts short what still runs, and stops this service only after much else. From
    // here on nothing that ends is taken for a run's own end.
    api.registerHook("gateway:shutdown", () => driving?.cease(), {
      name: "project-orchestrator-shutdown",
      description: "Stops driving when the gateway begins to shut down.",
    });
    // Runs outlive a replaced plugin, and no gateway.
    api.on("gateway_stop", (event) => {
      if (event.reason !== "plugin replacement") loaded?.renewLauncher();
    });
    // A run cannot be launched while the gateway still starts; this hook says that it can from now on.
    api.on("gateway_start", () => {
      gatewayStarted = true;
      begin();
    });
  },
});

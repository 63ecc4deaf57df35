/** The plugin: which parts make one. Registered in every evaluation, driven by the one full one. */
import { definePluginEntry } from "openclaw/plugin-sdk/plugin-entry";
import { createDriving, type Driving } from "./host/driving.ts";
import { registerHooks } from "./host/hooks.ts";
import { registerNoticeHooks } from "./host/notifier.ts";
import { createHost } from "./host/openclaw.ts";
import { renewLauncher } from "./host/shared.ts";
import { registerTools } from "./host/tools.ts";

export default definePluginEntry({
  id: "project-orchestrator",
  name: "Project orchestrator",
  description: "Takes a task through builder and QA subagents step by step, with JSON state that only code changes.",
  register(api) {
    const host = createHost(api);
    registerTools(api, host);
    registerHooks(api, host);
    registerNoticeHooks(api);
    // The configuration is read anew at each use; a restart for it would be refused while a run is live.
    api.registerReload({ noopPrefixes: ["plugins.entries.project-orchestrator.config"] });
    // The host starts services of the full evaluation only; `plugins inspect` reads what a scoped one registers.
    if (api.registrationMode !== "full" && api.registrationMode !== "tool-discovery") return;
    let driving: Driving | undefined;
    let gatewayStarted = false;
    api.registerService({
      id: "project-orchestrator-driver",
      start() {
        driving = createDriving(host);
        if (gatewayStarted) driving.begin();
      },
      async stop() {
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
      if (event.reason !== "plugin replacement") renewLauncher();
    });
    // A run cannot be launched while the gateway still starts; this hook says that it can from now on.
    api.on("gateway_start", () => {
      gatewayStarted = true;
      driving?.begin();
    });
  },
});

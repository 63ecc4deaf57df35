/**
 * The entry: registers by name what the plugin has. OpenClaw evaluates it several times in a process and lets a gateway's start
 * wait for each, so the rest is another module, which is loaded once for all of them (ADR 19).
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { createRequire } from "node:module";
import { definePluginEntry } from "openclaw/plugin-sdk/plugin-entry";
import manifest from "../openclaw.plugin.json" with { type: "json" };
import type { Driving } from "./host/driving.ts";
import type { Parts } from "./host/parts.ts";

type Rest = typeof import("./host/parts.ts");

/** Not `import()`: a tool has to be there at once when the host asks for it. The file is the one that the build makes. */
const load = (): Rest => createRequire(import.meta.url)("./parts.js");

/** What the evaluations of the plugin in one gateway process share before the rest is there. */
type ProcessWide = {
  /** Loaded by the evaluation whose service runs; the others use it, too. */
  rest?: Rest;
  /** The gateway has started and has not stopped. */
  isRunning?: boolean;
};
const key = Symbol.for("project-orchestrator/1/entry");
const holder = globalThis as { [key]?: ProcessWide };
const processWide = (holder[key] ??= {});

export default definePluginEntry({
  id: manifest.id,
  name: manifest.name,
  description: manifest.description,
  register(api) {
    let loaded: Parts | undefined;
    let hasFailed = false;
    /** Undefined when the rest cannot be loaded: then the plugin is as good as not there, and no agent's work is held up by it. */
    const parts = (): Parts | undefined => {
      if (loaded !== undefined || (hasFailed && processWide.rest === undefined)) return loaded;
      try {
        loaded = (processWide.rest ?? load()).createParts(api);
      } catch (error) {
        hasFailed = true;
        api.logger.error(`project-orchestrator could not be loaded, install it anew: ${String(error)}`);
      }
      return loaded;
    };
    for (const name of manifest.contracts.tools)
      api.registerTool((context) => parts()?.tool(name, context) ?? null, { name });
    api.on("before_tool_call", (event, context) => parts()?.hooks.before_tool_call(event, context));
    api.on("after_tool_call", (event, context) => parts()?.hooks.after_tool_call(event, context));
    api.on("model_call_started", (event, context) => parts()?.hooks.model_call_started(event, context));
    api.on("model_call_ended", (event, context) => parts()?.hooks.model_call_ended(event, context));
    api.on("resolve_exec_env", (event, context) => parts()?.hooks.resolve_exec_env(event, context));
    api.on("heartbeat_prompt_contribution", (event, context) =>
      parts()?.hooks.heartbeat_prompt_contribution(event, context),
    );
    // The configuration is read anew at each use; a restart for it would be refused while a run is live.
    api.registerReload({ noopPrefixes: ["plugins.entries.project-orchestrator.config"] });
    // The host starts services of the full evaluation only; `plugins inspect` reads what a scoped one registers.
    if (api.registrationMode !== "full" && api.registrationMode !== "tool-discovery") return;
    let inService: ReturnType<typeof AsyncLocalStorage.snapshot> | undefined;
    let ownRest: Rest | undefined;
    let driving: Driving | undefined;
    let mayDrive = false;
    const makeDriving = (): Driving => {
      ownRest = processWide.rest = load();
      loaded ??= ownRest.createParts(api);
      return loaded.createDriving();
    };
    api.registerService({
      id: "project-orchestrator-driver",
      start() {
        inService = AsyncLocalStorage.snapshot();
        // In a gateway that runs already nobody waits, and a replacement that fails here is taken back.
        if (processWide.isRunning === true) driving = makeDriving();
        if (mayDrive) driving?.begin();
      },
      async stop() {
        inService = undefined;
        // What tools have opened is closed, too, when nothing was driven.
        const ended = driving ?? loaded?.createDriving();
        driving = undefined;
        if (processWide.rest === ownRest) delete processWide.rest;
        await ended?.end();
      },
    });
    // When the gateway has waited long enough it cuts short what still runs, and stops this service only after much else. From
    // here on nothing that ends is taken for a run's own end.
    api.registerHook("gateway:shutdown", () => driving?.cease(), {
      name: "project-orchestrator-shutdown",
      description: "Stops driving when the gateway begins to shut down.",
    });
    api.on("gateway_stop", (event) => {
      // Runs outlive a replaced plugin, and no gateway.
      if (event.reason === "plugin replacement") return;
      processWide.isRunning = false;
      parts()?.renewLauncher();
    });
    // A run cannot be launched while the gateway still starts; this hook says that it can from now on.
    api.on("gateway_start", () => {
      processWide.isRunning = true;
      mayDrive = true;
      driving ??= inService?.(makeDriving);
      driving?.begin();
    });
  },
});

/**
 * The entry: registers by name what the plugin has. OpenClaw evaluates it several times in a process and lets a gateway's start
 * wait for each, so the rest is another module, which is loaded once for all of them (ADR 19).
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { definePluginEntry } from "openclaw/plugin-sdk/plugin-entry";
import manifest from "../openclaw.plugin.json" with { type: "json" };
import type { Driving } from "./host/driving.ts";
import type { Parts } from "./host/parts.ts";

type Rest = typeof import("./host/parts.ts");

/** The file that the build makes. Where it is missing the entry is not evaluated either, which the host tells. */
const file = path.join(import.meta.dirname, "parts.js");
const build = createHash("sha256").update(readFileSync(file)).digest("hex");
/** Not `import()`: a tool has to be there at once when the host asks for it. */
const load = (): Rest => createRequire(import.meta.url)(file);

/** What the evaluations of the plugin in one gateway process share before the rest is there. */
type ProcessWide = {
  /** Loaded by the evaluation whose service runs; others of the same build use it, too. */
  loaded?: { readonly build: string; readonly rest: Rest };
  /** One of them has used the rest. */
  isUsed?: boolean;
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
    let own: Parts | undefined;
    let hasTold = false;
    /** Undefined when the rest cannot be loaded: then the plugin is as good as not there, and no agent's work is held up by it. */
    const parts = (): Parts | undefined => {
      try {
        const { loaded } = processWide;
        own ??= (loaded?.build === build ? loaded.rest : load()).createParts(api);
        processWide.isUsed = true;
      } catch (error) {
        if (!hasTold) api.logger.error(`project-orchestrator could not be loaded, install it anew: ${String(error)}`);
        hasTold = true;
      }
      return own;
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
    let driving: Driving | undefined;
    let mayDrive = false;
    let shared: ProcessWide["loaded"];
    const makeDriving = (): Driving => {
      const rest = load();
      const driven = own ?? rest.createParts(api);
      const made = driven.createDriving();
      own = driven;
      processWide.isUsed = true;
      processWide.loaded = shared = { build, rest };
      return made;
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
        const ended = driving;
        [driving, inService] = [undefined, undefined];
        if (shared !== undefined && processWide.loaded === shared) delete processWide.loaded;
        if (ended !== undefined) await ended.end();
        // Tools have opened what they needed, whichever evaluation they are of.
        else if (processWide.isUsed === true) await parts()?.closeRoots();
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
      if (processWide.isUsed === true) parts()?.renewLauncher();
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

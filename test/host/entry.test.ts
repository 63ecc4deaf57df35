/** The plugin's entry where the rest cannot be loaded, as here, where nothing was built. With the rest, test/gateway shows it. */
import { expect, it } from "vitest";
import entry from "../../src/index.ts";
import manifest from "../../openclaw.plugin.json" with { type: "json" };

type Called = (...given: readonly unknown[]) => unknown;

/** What the entry registers, and what it logs. */
function register() {
  const tools = new Map<string, Called>();
  const hooks = new Map<string, Called>();
  const services: { start(): unknown; stop(): unknown }[] = [];
  const errors: string[] = [];
  const api = {
    registrationMode: "full",
    logger: { error: (message: string) => void errors.push(message) },
    registerTool: (tool: Called, { name }: { readonly name: string }) => void tools.set(name, tool),
    registerService: (service: (typeof services)[number]) => void services.push(service),
    registerHook: (name: string, hook: Called) => void hooks.set(name, hook),
    registerReload: () => undefined,
    on: (name: string, hook: Called) => void hooks.set(name, hook),
  };
  // The entry asks the host for nothing else before it has loaded the rest.
  entry.register(api as unknown as Parameters<typeof entry.register>[0]);
  return { tools, hooks, services, errors };
}

it("offers nothing and holds up nobody's work when the rest of the plugin cannot be loaded, and says so once", () => {
  const { tools, hooks, errors } = register();
  expect([...tools.keys()]).toEqual(manifest.contracts.tools);
  for (const tool of tools.values()) expect(tool({})).toBeNull();
  for (const [name, hook] of hooks)
    if (name !== "gateway_start") expect(hook({ toolName: "write", params: {} }, {})).toBeUndefined();
  expect(errors).toEqual([expect.stringContaining("could not be loaded, install it anew")]);
});

it("lets a gateway start without the rest, and fails when it has started", async () => {
  const { hooks, services } = register();
  const [service] = services;
  service?.start();
  expect(() => hooks.get("gateway_start")?.({})).toThrow("parts.js");
  await service?.stop();
  hooks.get("gateway_stop")?.({ reason: "shutdown" });
});

it("fails to start its service in a gateway that runs already, so that the replacement is taken back", async () => {
  const before = register();
  expect(before.hooks.get("gateway_start")?.({})).toBeUndefined();
  before.hooks.get("gateway_stop")?.({ reason: "plugin replacement" });
  const { hooks, services } = register();
  const [service] = services;
  expect(() => service?.start()).toThrow("parts.js");
  await service?.stop();
  hooks.get("gateway_stop")?.({ reason: "shutdown" });
});

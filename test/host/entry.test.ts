/** When the plugin's entry loads the rest, and what becomes of it where the rest is not right. The rest of these tests only says what it is asked. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import manifest from "../../openclaw.plugin.json" with { type: "json" };
import { build } from "../../scripts/build.ts";

type Called = (...given: readonly unknown[]) => unknown;
type Entry = { readonly default: { register(api: unknown): void } };

/** Below the installed packages, where the entry finds OpenClaw's. */
let folder = "";
const asked: string[] = [];
let evaluations = 0;

beforeAll(async () => {
  folder = mkdtempSync(path.join(import.meta.dirname, "..", "..", "node_modules", ".entry-test-"));
  await build(path.join(folder, "built"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Says what it is asked, `as` whom. */
const parts = (as = "parts") => `
const { asked } = globalThis[Symbol.for("entry-test")];
const say = (what) => void asked.push("${as}: " + what);
say("loaded");
export const createParts = () => ({
  hooks: { before_tool_call: () => say("hook") },
  tool: (name) => ({ name }),
  createDriving: () => ({ begin: () => say("begin"), cease: () => say("cease"), end: async () => say("end") }),
  closeRoots: async () => say("close"),
  renewLauncher: () => say("renew"),
});`;

/** An evaluation of the entry with this as the rest, and what it registers. */
async function evaluate(rest: string | undefined) {
  const place = path.join(folder, String((evaluations += 1)));
  mkdirSync(place);
  copyFileSync(path.join(folder, "built", "index.js"), path.join(place, "index.js"));
  if (rest !== undefined) writeFileSync(path.join(place, "parts.js"), rest);
  const { default: entry }: Entry = await import(pathToFileURL(path.join(place, "index.js")).href);
  const tools = new Map<string, Called>();
  const hooks = new Map<string, Called>();
  const services: { start(): void; stop(): Promise<void> }[] = [];
  const errors: string[] = [];
  entry.register({
    registrationMode: "full",
    logger: { error: (message: string) => void errors.push(message) },
    registerTool: (tool: Called, { name }: { readonly name: string }) => void tools.set(name, tool),
    registerService: (service: (typeof services)[number]) => void services.push(service),
    registerHook: (name: string, hook: Called) => void hooks.set(name, hook),
    registerReload: () => undefined,
    on: (name: string, hook: Called) => void hooks.set(name, hook),
  });
  const [service] = services;
  if (service === undefined) throw new Error("no service was registered");
  const stopGateway = (reason: string) => void hooks.get("gateway_stop")?.({ reason });
  return {
    tools,
    hooks,
    errors,
    service,
    useHook: () => hooks.get("before_tool_call")?.({ toolName: "write", params: {} }, {}),
    startGateway: () => void hooks.get("gateway_start")?.({}),
    stopGateway,
  };
}

/** What was asked since the last time. */
function heard(): readonly string[] {
  return asked.splice(0);
}

/** The process of a gateway: what its evaluations share is there from now on. */
function aProcess(): void {
  Object.assign(globalThis, { [Symbol.for("entry-test")]: { asked } });
  heard();
  const key = Symbol.for("project-orchestrator/1/entry");
  onTestFinished(() => void Reflect.deleteProperty(globalThis, key));
}

it("loads the rest when the gateway has started, and drives from then on", async () => {
  aProcess();
  const { tools, service, startGateway, stopGateway } = await evaluate(parts());
  expect([...tools.keys()]).toEqual(manifest.contracts.tools);
  service.start();
  expect(heard()).toEqual([]);
  startGateway();
  expect(heard()).toEqual(["parts: loaded", "parts: begin"]);
  stopGateway("shutdown");
  await service.stop();
  expect(heard()).toEqual(["parts: renew", "parts: end"]);
});

it("loads the rest once for all evaluations of one build", async () => {
  aProcess();
  const first = await evaluate(parts());
  first.service.start();
  first.startGateway();
  const agents = await evaluate(parts());
  const newer = await evaluate(parts("newer"));
  heard();
  agents.useHook();
  newer.useHook();
  expect(heard()).toEqual(["parts: hook", "newer: loaded", "newer: hook"]);
});

it("closes what tools of any evaluation have opened when nothing was driven", async () => {
  aProcess();
  const { service, stopGateway } = await evaluate(parts());
  service.start();
  await service.stop();
  stopGateway("shutdown");
  expect(heard()).toEqual([]);
  const agents = await evaluate(parts("agents"));
  agents.useHook();
  service.start();
  await service.stop();
  expect(heard()).toEqual(["agents: loaded", "agents: hook", "parts: loaded", "parts: close"]);
});

it("comes whole into a gateway that runs, and drives when that is told again", async () => {
  aProcess();
  const old = await evaluate(parts("old"));
  old.service.start();
  old.startGateway();
  await old.service.stop();
  old.stopGateway("plugin replacement");
  heard();
  const next = await evaluate(parts("new"));
  next.service.start();
  expect(heard()).toEqual(["new: loaded"]);
  next.startGateway();
  expect(heard()).toEqual(["new: begin"]);
});

it.each([
  ["cannot be evaluated", `throw new Error("broken");`],
  [
    "cannot drive",
    parts("new").replace("createDriving: () => (", `createDriving: () => { throw new Error("broken"); }, _: () => (`),
  ],
])("fails at the start of its service there when the rest %s, and stops without a failure", async (_words, rest) => {
  aProcess();
  const old = await evaluate(parts("old"));
  old.service.start();
  old.startGateway();
  const next = await evaluate(rest);
  expect(() => next.service.start()).toThrow("broken");
  await next.service.stop();
  heard();
  // The old one is brought back, and its agents' tools are of its build.
  const agents = await evaluate(parts("old"));
  agents.useHook();
  expect(heard().at(-1)).toBe("old: hook");
});

it("offers nothing and holds up nobody's work where the rest cannot be evaluated, and says so once", async () => {
  aProcess();
  const { tools, hooks, errors, service, startGateway } = await evaluate(`throw new Error("broken");`);
  service.start();
  expect(startGateway).toThrow("broken");
  for (const tool of tools.values()) expect(tool({})).toBeNull();
  for (const [name, hook] of hooks) if (name !== "gateway_start") expect(hook({ params: {} }, {})).toBeUndefined();
  expect(errors).toEqual([expect.stringContaining("could not be loaded, install it anew: Error: broken")]);
  await service.stop();
});

it("is not evaluated itself where the rest is missing, which the host tells", async () => {
  aProcess();
  await expect(evaluate(undefined)).rejects.toThrow("parts.js");
});

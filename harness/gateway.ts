// A real OpenClaw gateway for one test or demonstration: its own home, its own port, the scripted model as its only provider.
//
// Modes. *Running*: from start() until the process ends. *Down*: after kill() (SIGKILL, as in a crash) or stop() (SIGTERM, which
// lets running work drain); the home stays as it was, start() continues from it on the same port. *Disposed*: down for good;
// the home is removed unless `keep`. A leash process ends the gateway when the process that started it is gone.

import { spawn, type ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rm, rmdir, writeFile } from "node:fs/promises";
import { createServer, Socket } from "node:net";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import process from "node:process";

import { connect, type Client } from "./client.ts";
import { fieldsOf, mergeJson, type Fields, type JsonObject } from "./json.ts";
import { environmentOf, openclawProgram, pathsOf, type HomePaths } from "./openclaw.ts";
import { copyHome } from "./package.ts";
import { until, within } from "./wait.ts";

export interface ConfigOptions {
  /** `baseUrl` of the scripted model; without it `extra` names another one. */
  readonly modelUrl?: string;
  readonly pluginId?: string;
  /** `plugins.entries.<pluginId>.config`. */
  readonly pluginConfig?: JsonObject;
  /** `main`: one agent, as after a fresh install. `roles`: `main`, `builder` and `qa` as agents of their own. */
  readonly agents?: "main" | "roles";
  /** Laid over everything else, field by field. */
  readonly extra?: JsonObject;
}

export interface GatewayOptions extends ConfigOptions {
  /** The home, as `newHome` makes it. */
  readonly home: string;
  readonly port?: number;
  readonly env?: Readonly<Record<string, string>>;
  /** Leave the home where it is at the end. */
  readonly keep?: boolean;
}

export interface Gateway {
  readonly paths: HomePaths;
  readonly port: number;
  readonly url: string;
  readonly token: string;
  /** The process id of the running gateway, or of the last one. */
  readonly pid: number;
  /** Everything the gateway printed since its first start in this home. */
  logs(): Promise<string>;
  /** Calls a gateway method as an owner. */
  call(method: string, params?: JsonObject, options?: { readonly limitMs?: number }): Promise<Fields>;
  /** A connection of one's own, an owner's unless scopes are given. It ends with the process. */
  connect(options?: { readonly scopes?: readonly string[]; readonly caps?: readonly string[] }): Promise<Client>;
  /** Merges a change into the configuration file; a running gateway notices by itself after some seconds. */
  configure(change: JsonObject): Promise<void>;
  /** Ends the process as a crash would: SIGKILL to its id, awaited. Its children are on their own, as in a crash. */
  kill(): Promise<void>;
  /** Asks the process to end (SIGTERM) and waits for that; running work may hold it up to the limit, then it throws. */
  stop(limitMs?: number): Promise<void>;
  /** Starts it again after kill or stop, same home and port. */
  start(env?: Readonly<Record<string, string>>): Promise<void>;
  restart(how?: "kill" | "stop"): Promise<void>;
  /** Ends it and everything it started, and removes the home unless `keep`. Safe to call twice. */
  dispose(): Promise<void>;
}

const readyLimitMs = 240_000;

/** The folder that a fresh home is made in. */
const folderPrefix = "orchestrator-home-";

/** A fresh home that is a copy of an installed one, below the system's temporary folder. */
export async function newHome(template: string): Promise<string> {
  const home = join(await mkdtemp(join(tmpdir(), folderPrefix)), "home");
  await copyHome(template, home);
  return home;
}

/** Starts a gateway in the home and returns when it is ready; when it does not get ready, the error has the log's tail. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const paths = pathsOf(options.home);
  const port = options.port ?? (await findFreePort());
  const token = `token-${randomUUID()}`;
  const run = createRun(paths, port);
  let owner: Promise<Client> | undefined;

  const ended = (): void => {
    owner?.then((client) => {
      client.close();
    }, ignore);
    owner = undefined;
  };
  const openClient: Gateway["connect"] = (connection = {}) => connect({ port, token, ...connection });
  const start: Gateway["start"] = async (env = {}) => {
    await run.start({ OPENCLAW_GATEWAY_TOKEN: token, ...options.env, ...env });
  };
  const kill: Gateway["kill"] = async () => {
    ended();
    await run.end("SIGKILL", 10_000);
  };
  const stop: Gateway["stop"] = async (limitMs = 60_000) => {
    ended();
    await run.end("SIGTERM", limitMs);
  };

  await mkdir(paths.workspace, { recursive: true });
  await changeConfig(paths, (installed) => mergeJson(installed, gatewayConfig(paths, port, token, options)));
  await start();
  return {
    paths,
    port,
    token,
    url: `http://127.0.0.1:${String(port)}`,
    get pid() {
      return run.pid();
    },
    logs: () => readLog(paths),
    call: async (method, params, callOptions) => {
      owner ??= openClient();
      return (await owner).call(method, params, callOptions);
    },
    connect: openClient,
    configure: (change) => changeConfig(paths, (config) => mergeJson(config, change)),
    kill,
    stop,
    start,
    restart: async (how = "kill") => {
      await (how === "kill" ? kill() : stop());
      await start();
    },
    dispose: async () => {
      ended();
      await run.destroy();
      if (options.keep === true) return;
      await rm(paths.home, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
      const folder = dirname(paths.home);
      // Only an empty folder is removed.
      if (basename(folder).startsWith(folderPrefix)) await rmdir(folder).catch(ignore);
    },
  };
}

/** The host's configuration for a home: loopback only, the scripted model if there is one, our plugin and no other. Pure. */
export function gatewayConfig(paths: HomePaths, port: number, token: string, options: ConfigOptions): JsonObject {
  const pluginId = options.pluginId ?? "project-orchestrator";
  const base: JsonObject = {
    gateway: { mode: "local", port, bind: "loopback", auth: { mode: "token", token } },
    ...(options.modelUrl === undefined
      ? {}
      : { models: { providers: { scripted: scriptedProvider(options.modelUrl) } } }),
    agents: options.agents === "roles" ? roleAgents(paths) : { defaults: agentDefaults(paths) },
    plugins: {
      allow: [pluginId],
      slots: { memory: "none" },
      entries: {
        [pluginId]: { enabled: true, ...(options.pluginConfig === undefined ? {} : { config: options.pluginConfig }) },
      },
    },
  };
  return mergeJson(base, options.extra ?? {});
}

function scriptedProvider(baseUrl: string): JsonObject {
  return {
    baseUrl,
    apiKey: "scripted",
    api: "openai-completions",
    models: [
      {
        id: "model",
        name: "Scripted model",
        contextWindow: 128_000,
        maxTokens: 8_192,
        cost: { input: 3, output: 15, cacheRead: 0.3, cacheWrite: 3.75 },
      },
    ],
  };
}

/** No heartbeat by the clock: a turn that nobody asked for would be a turn that no test expects. */
function agentDefaults(paths: HomePaths): JsonObject {
  return {
    workspace: paths.workspace,
    skipBootstrap: true,
    model: { primary: "scripted/model" },
    heartbeat: { every: "0m" },
  };
}

/** With more than one agent the host wants to know who owns what; `main` keeps the workspace it had alone. */
function roleAgents(paths: HomePaths): JsonObject {
  return {
    ownership: "explicit",
    defaults: {
      ...agentDefaults(paths),
      systemAgent: { agentId: "main" },
      heartbeat: { every: "0m", agentId: "main" },
    },
    entries: {
      main: { workspace: paths.workspace },
      builder: { workspace: join(paths.home, "workspace-builder") },
      qa: { workspace: join(paths.home, "workspace-qa") },
    },
  };
}

// --- the process

interface Run {
  pid(): number;
  start(env: Readonly<Record<string, string>>): Promise<void>;
  end(signal: "SIGKILL" | "SIGTERM", limitMs: number): Promise<void>;
  destroy(): Promise<void>;
}

interface Running {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly leash: ChildProcess;
  readonly exited: Promise<string>;
}

/** Groups that are to be ended when this process exits; the leash does the same when it cannot even exit. */
const groups = new Set<number>();
process.on("exit", () => {
  for (const group of groups) killGroup(group);
});

function createRun(paths: HomePaths, port: number): Run {
  const begun: Running[] = [];
  let running: Running | undefined;

  const end: Run["end"] = async (signal, limitMs) => {
    if (running === undefined) return;
    const { child, exited, pid } = running;
    child.kill(signal);
    await within(`the gateway (pid ${String(pid)}) to end after ${signal}`, exited, limitMs);
  };
  return {
    pid: () => begun.at(-1)?.pid ?? 0,
    start: async (env) => {
      if (running !== undefined) throw new Error(`the gateway is running already (pid ${String(running.pid)})`);
      const started = spawnGateway(paths, env);
      running = started;
      begun.push(started);
      let exit: string | undefined;
      void started.exited.then((how) => {
        exit = how;
        if (running === started) running = undefined;
      });
      try {
        await untilReady(port, () => exit);
      } catch (error) {
        killGroup(started.pid);
        const tail = (await readLog(paths)).slice(-4_000);
        throw new Error(`the gateway did not get ready on port ${String(port)}; the end of its log:\n${tail}`, {
          cause: error,
        });
      }
    },
    end,
    destroy: async () => {
      await end("SIGKILL", 10_000);
      for (const { pid, leash } of begun.splice(0)) {
        killGroup(pid);
        groups.delete(pid);
        leash.kill("SIGKILL");
      }
    },
  };
}

/** In a process group of its own, so that everything it starts can be ended with it. */
function spawnGateway(paths: HomePaths, env: Readonly<Record<string, string>>): Running {
  mkdirSync(paths.home, { recursive: true });
  const log = openSync(paths.log, "a");
  const child = spawn(process.execPath, [openclawProgram, "gateway", "run"], {
    cwd: paths.home,
    env: environmentOf(paths.home, env),
    // Open and silent, as of a gateway in a terminal: what reads it waits.
    stdio: ["pipe", log, log],
    detached: true,
  });
  closeSync(log);
  if (child.stdin instanceof Socket) child.stdin.unref();
  const pid = child.pid;
  if (pid === undefined) throw new Error(`no gateway process could be started with ${process.execPath}`);
  groups.add(pid);
  const leash = spawn(process.execPath, [join(import.meta.dirname, "leash.ts"), String(pid)], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  if (leash.stdin instanceof Socket) leash.stdin.unref();
  child.unref();
  leash.unref();
  const exited = new Promise<string>((resolve) => {
    child.once("exit", (code, signal) => {
      resolve(signal ?? `code ${String(code)}`);
    });
  });
  return { child, pid, leash, exited };
}

async function untilReady(port: number, exit: () => string | undefined): Promise<void> {
  await until(
    "the gateway to be ready",
    async () => {
      if (exit() !== undefined) return `it ended with ${String(exit())}`;
      const response = await fetch(`http://127.0.0.1:${String(port)}/readyz`, { signal: AbortSignal.timeout(5_000) });
      await response.body?.cancel();
      return response.ok;
    },
    { limitMs: readyLimitMs, everyMs: 100 },
  );
  if (exit() !== undefined) throw new Error(`the gateway ended with ${String(exit())}`);
}

function killGroup(group: number): void {
  try {
    process.kill(-group, "SIGKILL");
  } catch {
    // Nothing of it is left.
  }
}

// --- files and ports

async function changeConfig(paths: HomePaths, change: (config: JsonObject) => JsonObject): Promise<void> {
  const before = await readFile(paths.config, "utf8").catch(() => "{}");
  const config = change(fieldsOf(JSON.parse(before)) as JsonObject); // Parsed JSON is JSON.
  await mkdir(paths.state, { recursive: true });
  await writeFile(`${paths.config}.new`, `${JSON.stringify(config, null, 2)}\n`);
  await rename(`${paths.config}.new`, paths.config); // The host watches the file and must never read half of it.
}

async function readLog(paths: HomePaths): Promise<string> {
  return readFile(paths.log, "utf8").catch(() => "");
}

/** A port that was free a moment ago: the system's choice for a listener on 0. */
async function findFreePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  await new Promise<void>((resolve) => {
    server.close(() => {
      resolve();
    });
  });
  if (address === null || typeof address === "string") throw new Error("the system gave no port");
  return address.port;
}

function ignore(): void {}

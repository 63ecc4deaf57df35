// The `openclaw` program of this repository's node_modules, run in a home of its own. Nothing of the real user's
// configuration, state or environment reaches it, apart from PATH, the language, the npm download cache and, where
// something is downloaded, how this person downloads.

import { execFile } from "node:child_process";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";

export const repoRoot: string = dirname(import.meta.dirname);
export const openclawProgram: string = join(repoRoot, "node_modules", "openclaw", "openclaw.mjs");

/** The paths of one isolated home. The host derives the rest from the state directory. */
export interface HomePaths {
  readonly home: string;
  readonly state: string;
  readonly config: string;
  readonly workspace: string;
  readonly log: string;
}

export function pathsOf(home: string): HomePaths {
  const state = join(home, "state");
  return {
    home,
    state,
    config: join(state, "openclaw.json"),
    workspace: join(home, "workspace"),
    log: join(home, "gateway.log"),
  };
}

/** The whole environment of a process that runs in `home`; `extra` wins. */
export function environmentOf(home: string, extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  const paths = pathsOf(home);
  return {
    // This node first: the host and its npm need the version that runs us, not whatever the machine has.
    PATH: `${dirname(process.execPath)}:${process.env["PATH"] ?? "/usr/bin:/bin"}`,
    LANG: process.env["LANG"] ?? "C.UTF-8",
    HOME: home,
    OPENCLAW_STATE_DIR: paths.state,
    OPENCLAW_CONFIG_PATH: paths.config,
    OPENCLAW_DISABLE_BONJOUR: "1",
    OPENCLAW_NO_AUTO_UPDATE: "1",
    OPENCLAW_OFFLINE: "1",
    OPENCLAW_SKIP_CHANNELS: "1",
    npm_config_cache: process.env["npm_config_cache"] ?? join(homedir(), ".npm"),
    npm_config_prefer_offline: "true",
    npm_config_update_notifier: "false",
    ...extra,
  };
}

/** Where npm reads what a person has set for it: the registry, a proxy, the certificates of a company. */
const npmSettings = ["npm_config_userconfig", "npm_config_globalconfig"];
/** What programs of a person whose way to the network leads through a company are told of it. */
const networkSettings = ["NODE_EXTRA_CA_CERTS", "NODE_USE_SYSTEM_CA", "SSL_CERT_FILE", "SSL_CERT_DIR"];
const proxySettings = ["http_proxy", "https_proxy", "no_proxy"].flatMap((name) => [name, name.toUpperCase()]);

/**
 * For a command that downloads: this person's registry, proxy and certificates, which the home of the command hides.
 * Not for a gateway, whose models are on loopback.
 */
export function downloadEnvironment(): Record<string, string> {
  const told = [...npmSettings, ...networkSettings, ...proxySettings].flatMap((name): readonly [string, string][] => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value]];
  });
  return { npm_config_userconfig: join(homedir(), ".npmrc"), ...Object.fromEntries(told) };
}

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const runFile = promisify(execFile);

/** Runs `openclaw ...args` in `home` and returns what it printed; a code other than 0 is a result, not an error. */
export async function runOpenclaw(
  home: string,
  args: readonly string[],
  options: { readonly env?: Readonly<Record<string, string>>; readonly limitMs?: number } = {},
): Promise<CommandResult> {
  try {
    const done = await runFile(process.execPath, [openclawProgram, ...args], {
      cwd: home,
      env: environmentOf(home, options.env),
      timeout: options.limitMs ?? 180_000,
      killSignal: "SIGKILL",
      maxBuffer: 64 * 1024 * 1024,
    });
    return { code: 0, stdout: done.stdout, stderr: done.stderr };
  } catch (error) {
    if (!isExit(error)) throw error;
    return { code: error.code, stdout: error.stdout, stderr: error.stderr };
  }
}

/** A process that ended by itself with a code, as `execFile` reports it; a time limit or a missing program is not. */
function isExit(error: unknown): error is Error & { code: number; stdout: string; stderr: string } {
  return (
    error instanceof Error &&
    "code" in error &&
    typeof error.code === "number" &&
    "stdout" in error &&
    "stderr" in error
  );
}

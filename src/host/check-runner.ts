/**
 * Deterministic checks, run by the host's command runner: no shell, the whole process tree ended at the time limit,
 * bounded output, and an environment of PATH, HOME, LANG and a private temporary folder only. The folder's name marks
 * what the check started, so that nothing of it outlives the check; how it begins follows from root, task and step, so that
 * another gateway finds what a killed one left.
 */
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { access, mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { codeOf } from "../errors.ts";
import { statOf } from "../files/launcher.ts";
import { isInside, realPlace } from "../files/paths.ts";
import { endProcessTrees, isRunning, processesWhere, processesWith } from "../files/process-tree.ts";
import type { CheckRunner } from "../flow/ports.ts";
import type { Check, CheckResult } from "../schema/documents.ts";
import { bounds } from "../schema/bounds.ts";
import type { Settings } from "../schema/config.ts";
import { nameOfStream, type Store, type Stream } from "../store/store.ts";
import { readChats } from "../tools/chat-of-task.ts";
import { keyOfAgent, type Host } from "./openclaw.ts";

/** Binds the check port to the host. `keptState` is a folder whose programs are never started, e.g. the root's `projects/`. */
export function createCheckRunner(host: Host, settings: () => Settings, keptState: string, store: Store): CheckRunner {
  return {
    async run(check, cwd, signal, stream, stepId) {
      const agentId = (await readChats(store, stream))?.told.agentId;
      const refused = refuseNow(host, settings(), check, agentId);
      if (refused !== undefined) return notRun(check, refused);
      const [name = "", ...parameters] = check.command;
      const program = await findProgram(name, [cwd, keptState]);
      if (program === undefined)
        return notRun(check, `${name} was not found on the gateway's PATH outside project and repository`);
      const mark = markOf(keptState, stream, stepId);
      await endLeft(mark);
      const temporary = await mkdtemp(path.join(tmpdir(), mark));
      const startedAt = performance.now();
      const over = new AbortController();
      const watched = endWhatOutlives(temporary, over.signal);
      try {
        const environment = environmentOf(temporary);
        const command = [...(await wordsBefore(program, environment)), program, ...parameters];
        const result = await host.api.runtime.system.runCommandWithTimeout(command, {
          cwd,
          timeoutMs: check.timeoutSeconds * 1000,
          killProcessTree: true,
          // Otherwise whoever keeps the output open of a program that ended well is waited for until the time limit,
          requireProcessTreeExtinction: true,
          // and a check would read what a person types where the gateway was started.
          input: "",
          maxOutputBytes: bounds.outputTailBytes,
          baseEnv: environment,
          signal,
        });
        const timedOut = result.termination === "timeout" || result.termination === "no-output-timeout";
        return {
          name: check.name,
          program,
          exitCode: timedOut ? null : result.code,
          timedOut,
          durationMs: Math.round(performance.now() - startedAt),
          outputTail: tailOfBoth(result.stdout, result.stderr),
        };
      } catch (error) {
        return notRun(
          check,
          `it could not be started: ${error instanceof Error ? error.message : String(error)}`,
          program,
        );
      } finally {
        over.abort();
        await watched;
        // A process that left the group is not in the host's tree any more; its environment still tells it.
        await endProcessTrees(await processesWith(temporaryFolder, temporary));
        // A check may have left there what nobody but root may remove. Its result counts all the same.
        await rm(temporary, { recursive: true, force: true }).catch((error: unknown) =>
          host.log.warn(`what check ${check.name} left in ${temporary} could not be removed (${codeOf(error)})`),
        );
      }
    },
  };
}

/** How often is looked whether the program has ended, and, until it was seen, whether it has begun. */
const [lookMs, firstLookMs] = [1_000, 20];

/**
 * Ends what a program started that has ended itself, also what left its group: the host's runner does not see that, and waits for whoever keeps
 * the output open. Of a program that ended before it was seen once nothing is known; what it left is waited for. Never throws.
 */
async function endWhatOutlives(temporary: string, over: AbortSignal): Promise<void> {
  let program: number | undefined;
  while (!over.aborted) {
    const found = await processesWith(temporaryFolder, temporary);
    program ??= found.find(isStartedHere);
    if (program !== undefined && !isRunning(program)) await endProcessTrees(found);
    const pause = program === undefined ? firstLookMs : lookMs;
    await sleep(pause, undefined, { signal: over }).catch(() => undefined); // It is over.
  }
}

/** By this process, or by one that starts programs for it, as the host has. */
function isStartedHere(pid: number): boolean {
  const parent = Number(statOf(pid)[1]);
  return parent === process.pid || Number(statOf(parent)[1]) === process.pid;
}

/** How the names of the temporary folders of a step's checks begin, the same in every gateway. */
function markOf(keptState: string, stream: Stream, stepId: string): string {
  const step = JSON.stringify([keptState, nameOfStream(stream), stepId]);
  return `check-${createHash("sha256").update(step).digest("hex").slice(0, 16)}-`;
}

/** Ends what a gateway that was killed left of the checks of a step: their processes, and their folders. Checks of a step run one after the other. */
async function endLeft(mark: string): Promise<void> {
  const isMarked = (folder: string) => path.basename(folder).startsWith(mark);
  await endProcessTrees(await processesWhere(temporaryFolder, isMarked));
  const names = await readdir(tmpdir()).catch(() => []);
  for (const name of names.filter(isMarked))
    await rm(path.join(tmpdir(), name), { recursive: true, force: true }).catch(() => undefined);
}

function refuseNow(host: Host, settings: Settings, check: Check, agentId = host.defaultAgentId()): string | undefined {
  if (!settings.checks.allow.includes(check.command[0] ?? ""))
    return `${check.command[0] ?? ""} is no longer in checks.allow`;
  return settings.checks.allowUnconfined || buildersAreUnconfined(host, agentId)
    ? undefined
    : "checks-unconfined: builders are sandboxed or restricted here";
}

function notRun(check: Check, why: string, program: string | null = null): CheckResult {
  return {
    name: check.name,
    program,
    exitCode: null,
    timedOut: false,
    durationMs: 0,
    outputTail: tailOf(`The check was not run: ${why}.`),
  };
}

const temporaryFolder = process.platform === "win32" ? "TEMP" : "TMPDIR";

function environmentOf(temporary: string): Readonly<Record<string, string>> {
  const { PATH = "", HOME = "", LANG = "C.UTF-8" } = process.env;
  return { PATH, HOME, LANG, [temporaryFolder]: temporary };
}

/** What starts the program with this environment and nothing else: the host's runner adds variables of its own. */
async function wordsBefore(program: string, environment: Readonly<Record<string, string>>): Promise<readonly string[]> {
  if (process.platform === "win32" || program.includes("=") || !(await isProgram(environmentProgram))) return [];
  return [environmentProgram, "-i", ...Object.entries(environment).map(([name, value]) => `${name}=${value}`)];
}

const environmentProgram = "/usr/bin/env";

/** The ends of both outputs within the bound: half for each, and what one does not need is the other's. Pure. */
function tailOfBoth(stdout: string, stderr: string): string {
  const all = bounds.outputTailBytes;
  const roomOf = (other: string) => Math.max(Math.floor(all / 2), all - Buffer.byteLength(other));
  return `${tailOf(stdout, roomOf(stderr))}${tailOf(stderr, roomOf(stdout))}`;
}

/** The last bytes of an output, cut at a character. Pure. */
export function tailOf(output: string, atMost: number = bounds.outputTailBytes): string {
  const bytes = Buffer.from(output, "utf8");
  return bytes.length <= atMost
    ? output
    : bytes
        .subarray(bytes.length - atMost)
        .toString("utf8")
        .replace(/^\uFFFD+/, "");
}

async function findProgram(name: string, notIn: readonly string[]): Promise<string | undefined> {
  if (name === "" || name.includes("/") || name.includes("\\")) return undefined;
  const forbidden = await Promise.all(notIn.map(realPlace));
  for (const folder of (process.env["PATH"] ?? "").split(path.delimiter)) {
    if (!path.isAbsolute(folder)) continue;
    const candidate = path.join(folder, name);
    const real = await realPlace(candidate);
    if (forbidden.some((one) => isInside(candidate, one) || isInside(real, one))) continue;
    if (await isProgram(candidate)) return candidate;
  }
  return undefined;
}

async function isProgram(candidate: string): Promise<boolean> {
  try {
    await access(candidate, constants.X_OK);
    return (await stat(candidate)).isFile();
  } catch {
    return false;
  }
}

/** False when the host's configuration sandboxes builders, restricts their commands or gives them none; an agent's own setting counts before the default. */
export function buildersAreUnconfined(host: Host, chatAgentId: string): boolean {
  const config = host.config();
  const agentId = host.settings().roles.builder.agentId ?? chatAgentId;
  const own: unknown = config.agents?.entries?.[keyOfAgent(config, agentId)];
  const sandbox = read(own, "sandbox", "mode") ?? read(config.agents?.defaults, "sandbox", "mode") ?? "off";
  const policy = (name: string) => read(own, "tools", "exec", name) ?? read(config, "tools", "exec", name);
  const restricted =
    isOther(policy("mode"), "full") ||
    isOther(policy("security"), "full") ||
    isOther(policy("ask"), "off") ||
    policy("host") === "sandbox" ||
    policy("host") === "node";
  return sandbox === "off" && !restricted && mayRunCommands(config, own);
}

/**
 * False when the agent's lists of tools, everybody's or those of subagents leave `exec` out: a check would run what its builder may not. As the
 * host filters: a profile is widened by `alsoAllow` alone, the agent's before everybody's, and an `allow` by the `alsoAllow` beside it.
 */
function mayRunCommands(config: unknown, own: unknown): boolean {
  const lists = [read(own, "tools"), read(config, "tools"), read(config, "tools", "subagents", "tools")];
  const profile = read(own, "tools", "profile") ?? read(config, "tools", "profile");
  const besideProfile = read(own, "tools", "alsoAllow") ?? read(config, "tools", "alsoAllow");
  return (
    (!profilesWithoutCommands.includes(profile) || namesExec(besideProfile)) &&
    lists.every((tools) => {
      const allow = listOf(read(tools, "allow"));
      const isAllowed = allow.length === 0 || namesExec([...allow, ...listOf(read(tools, "alsoAllow"))]);
      return isAllowed && !namesExec(read(tools, "deny"));
    })
  );
}

const profilesWithoutCommands: readonly unknown[] = ["minimal", "messaging"];

/** True when the list names `exec` as the host reads it: by its own name, an older one, its group's, or one with `*` that fits. */
function namesExec(list: unknown): boolean {
  return listOf(list).some((given) => {
    const name = String(given).trim().toLowerCase();
    if (!name.includes("*")) return ["exec", "bash", "group:runtime"].includes(name);
    return path.posix.matchesGlob("exec", name);
  });
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

const isOther = (value: unknown, normal: string) => value !== undefined && value !== normal;

function read(value: unknown, ...keys: readonly string[]): unknown {
  let found = value;
  for (const key of keys)
    found = typeof found === "object" && found !== null ? (found as Record<string, unknown>)[key] : undefined;
  return found;
}

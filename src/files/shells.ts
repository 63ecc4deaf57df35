/**
 * Programs that are started often, started by a few shells that stay. To start one, the system copies what describes the memory of whoever
 * starts it: of a gateway that takes many milliseconds, in which nothing else of it goes on; of a shell it is next to nothing.
 */
import { execFile, spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { randomBytes } from "node:crypto";
import { Socket } from "node:net";
import type { Readable } from "node:stream";
import { promisify } from "node:util";

/**
 * `calls` are the words that the program is given each time; it is called again only where it ended with 0. `env` comes on top of what
 * `createShells` was given; its names are letters, digits and `_`. `cwd` is an absolute path.
 */
export type ProgramRun = {
  readonly program: string;
  readonly calls: readonly (readonly string[])[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
};

/**
 * Runs a program to its end, with nothing to read; answers what it wrote, in all calls. Throws a `ProgramFailure` for one that ended with another code
 * than 0, and another error for one that could not be started, was ended by a signal, wrote more than 64 MB or took longer than
 * `limitMs`, whereupon it is killed with what it started. Several run side by side.
 */
export type RunProgram = (what: ProgramRun) => Promise<string>;

/** The program ended by itself with a code that is not 0; the message has what it wrote to its error output. */
export class ProgramFailure extends Error {}

/** So many shells wait for the next program, and for so long. */
const mostIdle = 2;
const idleMs = 10 * 60_000;
const mostBytes = 64 * 1024 * 1024;
/** How shells speak of a program or a folder that may not be used or is not there, and of signals: from 129 on, which is also a code of git's. */
const [notUsable, notFound, firstSignal, lastSignal] = [126, 127, 130, 192];
/** What would make a shell do something else than it is told. */
const ofShells = /^(?:SHELLOPTS|BASHOPTS|BASH_ENV|ENV|BASH_FUNC_.*)$/;

/**
 * `environment` is what every program is given. Where no shell can be started (Windows has none) this process starts the programs
 * itself. Shells that wait end with this process, however it ends, and do not keep it alive.
 */
export function createShells(
  limitMs: number,
  environment: () => NodeJS.ProcessEnv,
  shellProgram = process.platform === "win32" ? undefined : "/bin/sh",
): RunProgram {
  const idle = new Set<Shell>();

  return async function run(what) {
    const [waiting] = idle;
    if (waiting !== undefined) idle.delete(waiting);
    const shell = waiting ?? (shellProgram === undefined ? undefined : await startShell(shellProgram, environment()));
    if (shell === undefined) return runItself(what, limitMs, environment());
    try {
      const ended = await runIn(shell, what, limitMs);
      // What something that the program left behind writes would be taken for the next one's.
      if (ended.isClean) rest(shell, idle);
      else letEnd(shell.child);
      return outcome(what.program, ended);
    } catch (error) {
      // Somebody ended it while it waited.
      if (error instanceof NotBegun && waiting !== undefined) return run(what);
      throw error;
    }
  };
}

type Ended = { readonly code: number; readonly output: string; readonly said: string; readonly isClean: boolean };

class NotBegun extends Error {}

function outcome(program: string, { code, output, said }: Ended): string {
  if (code === 0) return output;
  const words = said.trim();
  if (code === notFound || code === notUsable) throw new Error(`${program} could not be started: ${words}`);
  if (code >= firstSignal && code <= lastSignal) throw new Error(`${program} was ended by signal ${code - 128}`);
  throw new ProgramFailure(`${program} ended with code ${code}: ${words}`);
}

async function runItself(
  { program, calls, env, cwd }: ProgramRun,
  limitMs: number,
  base: NodeJS.ProcessEnv,
): Promise<string> {
  const options = { env: { ...base, ...env }, cwd, maxBuffer: mostBytes, timeout: limitMs } as const;
  let output = "";
  try {
    for (const words of calls) {
      const running = promisify(execFile)(program, words, { ...options, killSignal: "SIGKILL" });
      running.child.stdin?.end();
      output += (await running).stdout;
    }
    return output;
  } catch (error) {
    const isRefusal = error instanceof Error && "code" in error && typeof error.code === "number" && "stderr" in error;
    if (!isRefusal) throw error;
    throw new ProgramFailure(`${program} ended with code ${String(error.code)}: ${String(error.stderr).trim()}`);
  }
}

// --- shells

type Shell = { readonly child: ChildProcessWithoutNullStreams; forget: () => void };

/** Undefined when it cannot be started. */
async function startShell(program: string, environment: NodeJS.ProcessEnv): Promise<Shell | undefined> {
  const env = Object.fromEntries(Object.entries(environment).filter(([name]) => !ofShells.test(name)));
  // In a group of its own, so that what it starts can be killed with it.
  const child = spawn(program, [], { env, cwd: "/", detached: true, stdio: "pipe" });
  const isStarted = await new Promise<boolean>((resolve) => {
    child.once("spawn", () => resolve(true));
    child.once("error", () => resolve(false));
  });
  if (!isStarted) return undefined;
  // One that has ended takes no command; its end says so.
  child.stdin.on("error", () => undefined);
  return { child, forget: () => undefined };
}

/** Rejects when the shell did not come to the program's end; it has then ended or is being killed. */
function runIn({ child, forget }: Shell, what: ProgramRun, limitMs: number): Promise<Ended> {
  forget();
  keepsAlive(child, true);
  const mark = randomBytes(16).toString("hex");
  return new Promise<Ended>((resolve, reject) => {
    const settle = () => {
      clearTimeout(limit);
      child.off("close", onClose);
      for (const one of [output, said]) one.stop();
    };
    const onClose = () => {
      settle();
      if (output.bytes() + said.bytes() === 0) reject(new NotBegun(`the shell for ${what.program} has ended`));
      else reject(new Error(`${what.program} was ended with the shell that ran it`));
    };
    const giveUp = (why: string) => {
      settle();
      killGroup(child);
      keepsAlive(child, false);
      reject(new Error(`${what.program} ${why} and was killed`));
    };
    const onData = () => {
      if (output.bytes() + said.bytes() > mostBytes) return giveUp("wrote too much");
      const [wrote, told] = [output.ended(), said.ended()];
      if (wrote === undefined || told === undefined) return;
      settle();
      const isClean = wrote.isAll && told.isAll;
      resolve({ code: told.code, output: wrote.text, said: told.text, isClean });
    };
    const [output, said] = [readTo(child.stdout, mark, onData), readTo(child.stderr, mark, onData)];
    const limit = setTimeout(() => giveUp(`took longer than ${limitMs} ms`), limitMs);
    child.on("close", onClose);
    child.stdin.write(commandOf(what, mark));
  });
}

/** What a stream brings between the two marks, and the code behind the second; `isAll` when it brought nothing else. */
function readTo(stream: Readable, mark: string, onData: () => void) {
  const chunks: Buffer[] = [];
  let bytes = 0;
  let tail = "";
  let end: { readonly at: number; readonly length: number; readonly code: number } | undefined;
  const take = (chunk: Buffer) => {
    chunks.push(chunk);
    const window = tail + chunk.toString("latin1");
    const found = end === undefined ? new RegExp(`${mark} (\\d+)\n`).exec(window) : null;
    if (found !== null)
      end = { at: bytes - tail.length + found.index, length: found[0].length, code: Number(found[1]) };
    tail = window.slice(-(mark.length + 8));
    bytes += chunk.length;
    onData();
  };
  stream.on("data", take);
  return {
    bytes: () => bytes,
    ended: () => {
      if (end === undefined) return undefined;
      const all = Buffer.concat(chunks);
      const begin = all.indexOf(`${mark}\n`);
      const text = all.subarray(begin + mark.length + 1, end.at).toString("utf8");
      return { text, code: end.code, isAll: begin === 0 && end.at + end.length === bytes };
    },
    stop: () => void stream.off("data", take),
  };
}

/**
 * One line to a shell, or more where a word holds line ends: says on both outputs that the program begins, calls it, and says behind it
 * that it has ended, and how.
 */
function commandOf({ program, calls, env, cwd }: ProgramRun, mark: string): string {
  const variables = Object.entries(env).map(([name, value]) => `${name}=${quoted(value)}`);
  const command = calls.map((words) => [...variables, ...[program, ...words].map(quoted)].join(" ")).join(" && ");
  const [begin, end] = [`printf '${mark}\\n'`, `printf '${mark} %d\\n' "$code"`];
  return `${begin}; ${begin} >&2; (cd -- ${quoted(cwd)} || exit ${notFound}; ${command}) </dev/null; code=$?; ${end}; ${end} >&2\n`;
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** The shell waits for the next program, or ends where enough do. */
function rest(shell: Shell, idle: Set<Shell>): void {
  const { child } = shell;
  if (idle.size >= mostIdle || child.exitCode !== null || child.signalCode !== null) return letEnd(child);
  keepsAlive(child, false);
  const leave = () => {
    idle.delete(shell);
    letEnd(child);
  };
  const timer = setTimeout(leave, idleMs).unref();
  child.once("exit", leave);
  shell.forget = () => {
    clearTimeout(timer);
    child.off("exit", leave);
  };
  idle.add(shell);
}

function letEnd(child: ChildProcessWithoutNullStreams): void {
  keepsAlive(child, false);
  child.stdin.end();
}

function keepsAlive(child: ChildProcessWithoutNullStreams, keeps: boolean): void {
  const pipes = [child.stdin, child.stdout, child.stderr].filter((one) => one instanceof Socket);
  for (const one of [child, ...pipes])
    if (keeps) one.ref();
    else one.unref();
}

function killGroup({ pid }: ChildProcessWithoutNullStreams): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It has just ended.
  }
}

/** What a worker is told and answers, and how a root comes to the state in which a command means something. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import type { Config } from "../src/schema/config.ts";
import type { TaskEvent } from "../src/schema/events.ts";
import type { Caller } from "../src/tools/desk.ts";
import { callIdOf } from "../src/tools/tool.ts";
import type { ToolName } from "../test/support/bench.ts";

export type Command =
  | { readonly kind: "call"; readonly tool: ToolName; readonly parameters: unknown; readonly caller: Caller }
  | { readonly kind: "record"; readonly projectId: string; readonly taskId: string; readonly event: TaskEvent }
  /** So many changes one after the other, spread over the tasks; each is acknowledged by a line with its mark. */
  | { readonly kind: "many"; readonly taskIds: readonly string[]; readonly name: string; readonly count: number };

/** A worker's answer. `calls`: how many calls of the disk were made so far, when it counts them. */
export type Told = {
  readonly ok: boolean;
  readonly ready?: true;
  readonly code?: string;
  readonly reason?: string;
  readonly details?: unknown;
  readonly calls?: number;
  /** One change of many is acknowledged. */
  readonly mark?: string;
};

/** Of all worlds here: checks may run, so that they can be recorded. */
export const config: Config = { checks: { allow: ["node"] } };

/** Everything happens at one moment, so that equal commands give equal documents. */
export const aMoment = (): Date => new Date(Date.UTC(2026, 0, 1));

/** The id under which a call stands in the journal; none for what the driver records. */
export const idOf = (command: Command): string | undefined =>
  command.kind === "call" ? callIdOf(command.caller, command.tool, command.parameters) : undefined;

const program = path.join(import.meta.dirname, "worker.ts");
const compiled = path.join(tmpdir(), "project-orchestrator-torture-compiled");

export type Worker = {
  readonly process: ChildProcess;
  /** Resolves to the answer, or to undefined when the worker died before it gave one. */
  tell(command: Command): Promise<Told | undefined>;
  /** The next line that it says. */
  hear(): Promise<Told | undefined>;
  /** Lets it come to its end. */
  end(): Promise<void>;
};

/** Starts a worker on a root and waits until it listens. `words` are those that worker.ts describes. */
export async function startWorker(root: string, words: readonly string[] = []): Promise<Worker> {
  const child = spawn(process.execPath, [program, root, ...words], {
    stdio: ["pipe", "pipe", "inherit"],
    // One thread for files, so that the n-th call of a kind is always the same one; thousands of workers are compiled once.
    env: { ...process.env, UV_THREADPOOL_SIZE: "1", NODE_COMPILE_CACHE: compiled },
  });
  const ended = once(child, "close");
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  // Whoever writes to a worker that has just died hears of it from its output.
  child.stdin.on("error", () => undefined);
  const hear = async (): Promise<Told | undefined> => {
    const { value, done } = await lines.next();
    return done === true ? undefined : (JSON.parse(value) as Told);
  };
  const first = await hear();
  if (first?.ready !== true) throw new Error(`a worker did not start on ${root}`);
  return {
    process: child,
    hear,
    tell(command) {
      child.stdin.write(`${JSON.stringify(command)}\n`);
      return hear();
    },
    async end() {
      child.stdin.end();
      await ended;
    },
  };
}

/** Puts a copy of the template where the root is, so that every path in it is right again. */
export function restore(template: string, root: string): void {
  rmSync(root, { recursive: true, force: true });
  mkdirSync(path.dirname(root), { recursive: true });
  cpSync(template, root, { recursive: true });
}

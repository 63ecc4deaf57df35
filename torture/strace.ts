/**
 * Attaching to a process from outside: listing its system calls, and striking at one of them. Linux with strace only; the
 * kernel does the striking, so nothing of the code under test knows of it.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { isLitter } from "../src/store/layout.ts";

/**
 * The n-th call of one kind that a thread makes on one path after the tracer has come; without a path, the n-th of its kind
 * at all. The path is relative to the root, or is the root itself when empty.
 */
export type SystemCall = {
  readonly thread: "main" | "files";
  readonly name: string;
  readonly number: number;
  readonly file?: string;
};

export const nameOfCall = ({ thread, name, number, file }: SystemCall): string =>
  `${thread}:${name}:${number}${file === undefined ? "" : `:/${file}`}`;

/** Makes sure that strace is there; installs it where this may be done. Throws with what to do. */
export function requireStrace(): void {
  if (spawnSync("strace", ["-V"]).status === 0) return;
  spawnSync("apt-get", ["install", "-y", "strace"], { stdio: "ignore" });
  if (spawnSync("strace", ["-V"]).status !== 0)
    throw new Error("strace is needed for this part and could not be installed: apt-get install strace");
}

/** Calls that reach the file system. */
const traced = "%file,%desc";

/** Does the work while the process is watched; answers its calls that reach the root or below, in no order. */
export async function listCalls(pid: number, root: string, work: () => Promise<void>): Promise<readonly SystemCall[]> {
  const folder = mkdtempSync(path.join(tmpdir(), "strace-"));
  try {
    const calls: SystemCall[] = [];
    const output = path.join(folder, "calls");
    const threads = threadsOf(pid);
    const tracers = await Promise.all(
      threads.map(({ id, thread }) => attach(id, ["-y", "-e", `trace=${traced}`, "-o", `${output}.${thread}`])),
    );
    await work();
    await Promise.all(tracers.map((detach) => detach()));
    for (const { thread } of threads)
      calls.push(...readCalls(readFileSync(`${output}.${thread}`, "utf8"), thread, root));
    return calls;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readCalls(text: string, thread: SystemCall["thread"], root: string): readonly SystemCall[] {
  const counts = new Map<string, number>();
  const next = (key: string) => {
    counts.set(key, (counts.get(key) ?? 0) + 1);
    return counts.get(key) ?? 0;
  };
  return text.split("\n").flatMap((line): readonly SystemCall[] => {
    const name = /^(\w+)\(/.exec(line)?.[1];
    if (name === undefined) return [];
    const number = next(name);
    // What is reached through an open folder names no path of its own.
    if (/"\/proc\/\d+\/fd\//.test(line)) return [{ thread, name, number }];
    const at = line.indexOf(root);
    const file = at < 0 ? undefined : /^\/?([^">]*)/.exec(line.slice(at + root.length))?.[1];
    if (file === undefined) return [];
    const onPath = next(`${name} ${file}`);
    // The name of a temporary file is another one in each process; reads and writes of pipes are counted among those without a path.
    if (!isLitter(path.basename(file))) return [{ thread, name, number: onPath, file }];
    return ["read", "write", "close"].includes(name) ? [] : [{ thread, name, number }];
  });
}

/**
 * Strikes at one call: `what` is strace's word for it (`signal=KILL`, `error=EIO`); with `on`, at that call and at every
 * later one of its kind in that thread. Answers how to let go.
 */
export function strike(
  pid: number,
  root: string,
  { thread, name, number, file }: SystemCall,
  what: string,
  on = false,
): Promise<() => Promise<void>> {
  const id = threadsOf(pid).find((one) => one.thread === thread)?.id ?? pid;
  return attach(id, [
    ...(file === undefined ? [] : ["-P", path.join(root, file)]),
    "-e",
    `trace=${name}`,
    "-e",
    `inject=${name}:${what}:when=${number}${on ? "+" : ""}`,
    "-o",
    "/dev/null",
  ]);
}

/** Attaches strace to one thread; resolves once it has, to what lets go of it again. */
async function attach(thread: number, words: readonly string[]): Promise<() => Promise<void>> {
  const tracer = spawn("strace", ["-p", String(thread), ...words], { stdio: ["ignore", "ignore", "pipe"] });
  const ended = once(tracer, "close");
  let said = "";
  await new Promise<void>((resolve, reject) => {
    tracer.stderr.on("data", (data: Buffer) => {
      said += data.toString();
      if (said.includes("attached")) resolve();
    });
    tracer.on("close", () => reject(new Error(`strace did not attach: ${said}`)));
  });
  return async () => {
    tracer.kill("SIGINT");
    await ended;
  };
}

/** The thread that runs the program, and the one that files are synced on. */
function threadsOf(pid: number): readonly { readonly id: number; readonly thread: SystemCall["thread"] }[] {
  const pool = readdirSync(`/proc/${pid}/task`)
    .map(Number)
    .find((id) => readFileSync(`/proc/${pid}/task/${id}/comm`, "utf8").startsWith("libuv-worker"));
  return [{ id: pid, thread: "main" }, ...(pool === undefined ? [] : [{ id: pool, thread: "files" as const }])];
}

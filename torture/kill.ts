/**
 * A process that is killed in the middle of a tool call, at every call that it makes to the file system. Afterwards
 * everything is opened anew and judged, the call is made again as its caller would, and everything is judged again.
 *
 * In full the kernel kills it on entry to each of its system calls. In short it kills itself right before or after a call of
 * the store's disk: that needs nothing but Node.
 */
import { idOf, startWorker, type Command } from "./commands.ts";
import { judge, reopen } from "./oracle.ts";
import type { Part } from "./part.ts";
import { atEveryPoint, marksOf, type Try } from "./points.ts";
import { requireStrace, strike } from "./strace.ts";

type Way = "before" | "after";

export const kill: Part = {
  name: "kill",
  async run(options) {
    if (options.amount === "full") requireStrace();
    const ways: readonly Way[] = options.amount === "full" ? ["before"] : ["before", "after"];
    return atEveryPoint<Way>(
      options,
      () => ways,
      async (one) => {
        const wrong = await dieAt(one);
        return wrong && [...wrong, ...(await again(one.root, one.command))];
      },
    );
  },
};

/** Lets the command be carried out by a worker that dies at the point. What it acknowledged before must be there. */
async function dieAt({ root, command, point, way }: Try<Way>): Promise<readonly string[] | undefined> {
  const worker = await startWorker(root, "disk" in point ? [`die=${point.disk},${way}`] : []);
  const letGo = "disk" in point ? undefined : await strike(worker.process.pid ?? 0, root, point, "signal=KILL");
  const told = await worker.tell(command);
  await worker.end();
  await letGo?.();
  const id = idOf(command);
  const acknowledged = told?.ok === true && id !== undefined ? [id] : [];
  const wrong = [...(await reopen(root)), ...judge(root, acknowledged)];
  return worker.process.signalCode === "SIGKILL" ? wrong : undefined;
}

/** Makes the same call again, in a new process: whatever had come of it, it is there once now. */
async function again(root: string, command: Command): Promise<readonly string[]> {
  const before = marksOf(root, command);
  const worker = await startWorker(root);
  const told = await worker.tell(command);
  await worker.end();
  // A project's page follows its tasks' steps when somebody looks next.
  const wrong = [...(await reopen(root)), ...judge(root)];
  // What the driver records is refused when it stands there already: the driver reads before it records.
  const isRefusedRightly =
    told?.ok === false && (told.code === "run-not-current" || (command.kind === "record" && before === 1));
  if (told?.ok !== true && !isRefusedRightly) wrong.push(`the same call made again came to ${JSON.stringify(told)}`);
  const after = marksOf(root, command);
  if (after !== 1) wrong.push(`after the same call made again it stands in the journal ${after} times`);
  return wrong;
}

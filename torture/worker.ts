/**
 * A process that does what it is told on one root, with the real tools on the real store: one command per line of its
 * input, one answer per line of its output. An answer is out before anything else happens. It exists to be killed.
 *
 * `die=<n>,<before|after>` ends it at its n-th call of the disk after the first command came; `count` makes it say how many
 * such calls a command took. `fail=<n>,<code>[,on]` fails that call, or all from there on.
 */
import { stat } from "node:fs/promises";
import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { OrchestratorError } from "../src/errors.ts";
import { confinedDisk } from "../src/store/confined-disk.ts";
import { nodeDisk } from "../src/store/disk.ts";
import type { TaskEvent } from "../src/schema/events.ts";
import { createFileStore } from "../src/store/file-store.ts";
import { renderPages, rendering } from "../src/render/pages.ts";
import { createRecorder } from "../src/tools/driver-tools.ts";
import { systemError, watchedDisk } from "../test/support/watched-disk.ts";
import { createBench } from "../test/support/bench.ts";
import { aMoment, config, type Command, type Told } from "./commands.ts";
import { wordsOf } from "./part.ts";

const [root = "", ...words] = process.argv.slice(2);
const option = (name: string) =>
  words
    .find((word) => word.startsWith(`${name}=`))
    ?.slice(name.length + 1)
    .split(",");
const die = option("die");
const fail = option("fail");
let calls = -1;

const confined = confinedDisk(root, nodeDisk);
const disk = watchedDisk((_call, proceed) => {
  if (calls < 0) return proceed();
  calls += 1;
  if (die !== undefined && calls === Number(die[0])) {
    if (die[1] === "after") proceed();
    process.kill(process.pid, "SIGKILL");
  }
  if (fail !== undefined && (calls === Number(fail[0]) || (fail[2] === "on" && calls > Number(fail[0]))))
    throw systemError(fail[1] ?? "EIO");
  return proceed();
}, confined);
let ids = 0;
const store = await createFileStore({
  root,
  renderPages,
  rendering,
  now: aMoment,
  randomId: () => `${process.pid.toString(36)}-${Date.now().toString(36)}-${(ids += 1).toString(36)}`,
  disk: die === undefined && fail === undefined && !words.includes("count") ? confined : disk,
});
const bench = createBench({ store, root, config });
const desk = { ...bench.desk(), now: aMoment };
const recorder = createRecorder(desk);

const say = (told: Told) => void writeSync(1, `${JSON.stringify(told)}\n`);

/** So many changes are on their way at a time: those to one task are written together. */
const lanes = 3;

/** Changes tasks over and over; a call that other writers were faster than is made again. */
async function changeOften(command: Extract<Command, { kind: "many" }>): Promise<Told> {
  const numbers = Array.from({ length: command.count }, (_, at) => at + 1).values();
  const told = await Promise.all(
    Array.from({ length: lanes }, (_, lane) => changeEach({ ...command, name: `${command.name}.${lane}` }, numbers)),
  );
  return told.find(({ ok }) => !ok) ?? { ok: true };
}

async function changeEach(
  { taskIds, name }: Extract<Command, { kind: "many" }>,
  numbers: IterableIterator<number>,
): Promise<Told> {
  for (const number of numbers) {
    const mark = `${name}-${number}`;
    const taskId = taskIds[number % taskIds.length] ?? "";
    const event: TaskEvent = { type: "FlowLinked", v: 1, at: aMoment().toISOString(), flowId: mark };
    for (;;) {
      const recorded = await recorder.record({ projectId: "shop", taskId }, event);
      if (recorded.ok) break;
      if (recorded.code !== "busy") return { ok: false, code: recorded.code, reason: recorded.reason };
    }
    say({ ok: true, mark });
  }
  return { ok: true };
}

async function obey(command: Command): Promise<Told> {
  try {
    if (command.kind === "many") return await changeOften(command);
    if (command.kind === "record") {
      const stream = { projectId: command.projectId, taskId: command.taskId };
      const recorded = await recorder.record(stream, command.event);
      return recorded.ok ? { ok: true, calls } : { ok: false, code: recorded.code, reason: recorded.reason, calls };
    }
    const { details } = await bench.call(command.tool, command.parameters, command.caller);
    if (!("refused" in details)) return { ok: true, details, calls };
    // A refusal's details have this shape; the test of all answers compares it with its schema.
    const { code, reason } = details["refused"] as { readonly code: string; readonly reason: string };
    return { ok: false, code, reason, calls };
  } catch (error) {
    // The driver's recorder throws what its driver tries again; anything else is a fault of ours.
    const code = error instanceof OrchestratorError && error.code !== "bug" ? error.code : "thrown";
    return { ok: false, code, reason: wordsOf(error), calls };
  }
}

// The thread that files are synced on exists from here on, so that a tracer finds it.
await stat(root);
say({ ok: true, ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  calls = Math.max(0, calls);
  say(await obey(JSON.parse(line) as Command));
}

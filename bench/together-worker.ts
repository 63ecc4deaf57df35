/**
 * A process that works on one step of a task which other processes change too. Each line of its input is a task and how many
 * changes to make; it answers with a line that says how it went. `bench/together.ts` starts it.
 */
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { randomInt } from "node:crypto";
import { OrchestratorError } from "../src/errors.ts";
import { placeOfSession } from "../src/flow/run-identity.ts";
import type { TaskEvent } from "../src/schema/events.ts";
import type { Caller, Desk } from "../src/tools/desk.ts";
import { createRecorder } from "../src/tools/driver-tools.ts";
import { callTool } from "../src/tools/tool.ts";
import { aBuilderReport, toolNamed, type ToolName } from "../test/support/bench.ts";
import { inRun, owner } from "../test/support/callers.ts";
import { anEvent } from "../test/support/histories.ts";
import { openPlace, projectId } from "./fixture.ts";

export type Order = { readonly taskId: string; readonly stepId: string; readonly changes: number };
/** `made`: changes that were acknowledged. `ms`: from the order until the last of them. `cpuMs`: what this process worked in that time. */
export type Outcome = {
  readonly made: number;
  readonly errors: readonly string[];
  readonly ms: number;
  readonly cpuMs: number;
};

const [root = ""] = process.argv.slice(2);
const { bench, store } = await openPlace(root);

/** As the host makes it: the real time, and a pause before a change is tried again that another writer was faster than. */
const desk = (): Desk => ({
  ...bench.desk(),
  now: () => new Date(),
  backOff: (round) => pause(randomInt(1, 2 + Math.min(50, 2 ** Math.min(round, 6)))),
});

async function obey({ taskId, stepId, changes }: Order): Promise<Outcome> {
  const errors: string[] = [];
  let made = 0;
  /** Of the step as this process last saw it, as a driver knows it: nothing is read to go on. */
  let run = { runId: "", sessionKey: "" };
  const record = async (event: TaskEvent) => {
    const answer = await createRecorder(desk()).record({ projectId, taskId }, event);
    if (!answer.ok) throw new OrchestratorError(answer.code, answer.reason);
    const step = answer.state.steps.find(({ id }) => id === stepId);
    run = { runId: step?.builder.runId ?? "", sessionKey: step?.builder.sessionKey ?? "" };
  };
  const call = async (tool: ToolName, parameters: unknown, caller: Caller) => {
    const { text, details } = await callTool(desk(), caller, toolNamed(tool), parameters);
    if ("refused" in details) throw new Error(text);
  };
  const at = () => new Date().toISOString();
  /** What happens to a step that is built and put back, over and over. */
  const life: readonly (() => Promise<void>)[] = [
    () => record(anEvent("RunPlanned", { stepId, role: "builder" }, at())),
    () => record(anEvent("RunLaunched", { stepId, runId: run.runId }, at())),
    async () => {
      const place = placeOfSession(run.sessionKey);
      if (place === undefined) throw new Error(`${stepId} has no run`);
      await call("record_builder_result", aBuilderReport(), inRun(place, run.runId));
    },
    () => record(anEvent("RunEnded", { stepId, runId: run.runId }, at())),
    () => call("set_step_status", { taskId, stepId, status: "queued", reason: "Once more." }, owner()),
  ];
  const began = performance.now();
  const before = process.cpuUsage();
  try {
    for (let number = 0; number < changes; number += 1) {
      await life[number % life.length]?.();
      made += 1;
    }
  } catch (error) {
    errors.push(error instanceof Error ? error.message : String(error));
  }
  const { user, system } = process.cpuUsage(before);
  return { made, errors, ms: performance.now() - began, cpuMs: (user + system) / 1_000 };
}

const say = (line: unknown) => process.stdout.write(`${JSON.stringify(line)}\n`);
say("ready");
for await (const line of createInterface({ input: process.stdin })) say(await obey(JSON.parse(line) as Order));
await store.close();

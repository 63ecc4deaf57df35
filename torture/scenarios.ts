/** Roots in a state in which one more command means something: for every tool that changes state, and for what the driver records. */
import { mkdirSync } from "node:fs";
import path from "node:path";
import { runIdOf } from "../src/flow/run-identity.ts";
import { aBuilderReport, aJudgement, aProject, aStep, aTask, createBench, type Bench } from "../test/support/bench.ts";
import { countCallsAnew, owner } from "../test/support/callers.ts";
import { aCheckResult, anEvent } from "../test/support/histories.ts";
import { aMoment, config, type Command } from "./commands.ts";
import { openStore } from "./oracle.ts";

export type Scenario = {
  readonly name: string;
  /** Brings an empty root to its state; answers the command to be tried there. */
  prepare(bench: Bench): Promise<Command>;
};

/** Prepares a scenario on real files below the root. Every time its ids are the same. */
export async function prepare(scenario: Scenario, root: string): Promise<Command> {
  countCallsAnew();
  mkdirSync(path.join(root, "projects"), { recursive: true });
  const store = await openStore(root);
  try {
    return await scenario.prepare(createBench({ store, root, config }));
  } finally {
    await store.close();
  }
}

const call = (tool: Extract<Command, { kind: "call" }>["tool"], parameters: unknown, caller = owner()): Command => ({
  kind: "call",
  tool,
  parameters,
  caller,
});
const checked = aStep({ checks: [{ name: "tests", command: ["node", "--test"] }] });
const at = aMoment().toISOString();

const aStarted = (bench: Bench, fields: Readonly<Record<string, unknown>> = {}) =>
  bench.started({ steps: [aStep(), aStep()], ...fields });
const record = (taskId: string, event: Extract<Command, { kind: "record" }>["event"]): Command => ({
  kind: "record",
  projectId: "shop",
  taskId,
  event,
});

export const scenarios: readonly Scenario[] = [
  { name: "create_project", prepare: () => Promise.resolve(call("create_project", aProject())) },
  {
    name: "create_task",
    async prepare(bench) {
      await bench.done("create_project", aProject());
      return call("create_task", aTask({ steps: [aStep(), aStep(), checked] }));
    },
  },
  {
    name: "create_step",
    async prepare(bench) {
      const taskId = await aStarted(bench);
      return call("create_step", { taskId, ...aStep({ title: "One more" }) });
    },
  },
  {
    name: "start_task",
    async prepare(bench) {
      await bench.done("create_project", aProject());
      const { taskId } = await bench.done("create_task", aTask());
      return call("start_task", { taskId });
    },
  },
  {
    name: "set_task_status paused",
    async prepare(bench) {
      const taskId = await aStarted(bench);
      await bench.launched(taskId, "step-01", "builder");
      return call("set_task_status", { taskId, status: "paused", reason: "Lunch." });
    },
  },
  {
    name: "set_task_status running",
    async prepare(bench) {
      const taskId = await aStarted(bench);
      await bench.done("set_task_status", { taskId, status: "paused", reason: "Lunch." });
      return call("set_task_status", { taskId, status: "running" });
    },
  },
  {
    name: "set_task_status cancelled",
    async prepare(bench) {
      const taskId = await aStarted(bench);
      await bench.launched(taskId, "step-01", "builder");
      return call("set_task_status", { taskId, status: "cancelled", reason: "Not wanted." });
    },
  },
  {
    name: "set_step_status",
    async prepare(bench) {
      const taskId = await aStarted(bench);
      await bench.asking(taskId);
      return call("set_step_status", { taskId, stepId: "step-01", status: "queued", reason: "Try the other way." });
    },
  },
  {
    name: "record_builder_result",
    async prepare(bench) {
      const taskId = await aStarted(bench);
      const run = await bench.launched(taskId, "step-01", "builder");
      return call("record_builder_result", aBuilderReport(), run.caller());
    },
  },
  {
    name: "record_qa_result pass",
    async prepare(bench) {
      const taskId = await bench.started();
      await bench.built(taskId);
      const run = await bench.launched(taskId, "step-01", "qa");
      return call("record_qa_result", aJudgement(), run.caller());
    },
  },
  {
    name: "record_qa_result fail",
    async prepare(bench) {
      const taskId = await aStarted(bench);
      await bench.built(taskId);
      const run = await bench.launched(taskId, "step-01", "qa");
      return call("record_qa_result", aJudgement(["c2"]), run.caller());
    },
  },
  {
    name: "a late report",
    async prepare(bench) {
      const taskId = await aStarted(bench);
      const run = await bench.launched(taskId, "step-01", "builder");
      await bench.ended(taskId, "step-01", "builder");
      return call("record_builder_result", aBuilderReport(), run.caller());
    },
  },
  {
    name: "plan_run",
    async prepare(bench) {
      const taskId = await aStarted(bench);
      return record(taskId, anEvent("RunPlanned", { stepId: "step-01", role: "builder" }, at));
    },
  },
  {
    name: "confirm_run",
    async prepare(bench) {
      const taskId = await aStarted(bench);
      await bench.record(taskId, anEvent("RunPlanned", { stepId: "step-01", role: "builder" }, at));
      const runId = runIdOf({ taskId, stepId: "step-01", attempt: 1, role: "builder", launch: 1 });
      return record(taskId, anEvent("RunLaunched", { stepId: "step-01", runId }, at));
    },
  },
  {
    name: "end_run",
    async prepare(bench) {
      const taskId = await aStarted(bench);
      const { runId } = await bench.launched(taskId, "step-01", "builder");
      return record(taskId, anEvent("RunEnded", { stepId: "step-01", runId }, at));
    },
  },
  {
    name: "finish_checks",
    async prepare(bench) {
      const taskId = await bench.started({ steps: [checked] });
      await bench.built(taskId);
      const results = [aCheckResult({ name: "tests", exitCode: 1 })];
      return record(taskId, anEvent("ChecksFinished", { stepId: "step-01", attempt: 1, results }, at));
    },
  },
];

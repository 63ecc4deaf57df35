/** What each tool answers to programs: exactly these keys, with these values, and no key that the host reads as a failure. */
import { lstatSync, realpathSync } from "node:fs";
import path from "node:path";
import { Value } from "@sinclair/typebox/value";
import type { TSchema } from "@sinclair/typebox";
import { describe, expect, it, onTestFinished } from "vitest";
import { renderPages } from "../../src/render/pages.ts";
import {
  ProjectCreatedDetails,
  RefusedDetails,
  StatusDetails,
  StepChangedDetails,
  StepCreatedDetails,
  TaskChangedDetails,
  TaskCreatedDetails,
} from "../../src/schema/details.ts";
import { createFileStore } from "../../src/store/file-store.ts";
import { aBuilderReport, aJudgement, aProject, aStep, aTask, createBench, type ToolName } from "../support/bench.ts";
import { aRealRoot } from "../support/real-root.ts";
import type { Caller } from "../../src/tools/desk.ts";

async function setup() {
  const root = await aRealRoot();
  let ids = 0;
  const store = await createFileStore({
    root,
    renderPages,
    now: () => new Date(0),
    randomId: () => `id-${(ids += 1)}`,
  });
  onTestFinished(() => store.close());
  const bench = createBench({ store, root });
  /** Calls and compares the answer with its schema, which is closed. */
  const answer = async (name: ToolName, parameters: unknown, schema: TSchema, caller?: Caller) => {
    const { details, text } = await bench.call(name, parameters, caller);
    expect(
      [...Value.Errors(schema, details)].map((one) => `${one.path} ${one.message}`),
      text,
    ).toStrictEqual([]);
    for (const key of ["status", "ok", "success", "error", "isError", "timedOut", "exitCode"])
      expect(details).not.toHaveProperty(key);
    return details;
  };
  return { root, bench, answer };
}

describe("the details of", { tags: ["s5.no-failure-keys"] }, () => {
  it(
    "create_project are the project's id, its document and its directory",
    { tags: ["s5.details-create-project", "s5.details-paths"] },
    async () => {
      const { root, answer } = await setup();
      const details = await answer("create_project", aProject(), ProjectCreatedDetails);
      expect(details).toStrictEqual({
        projectId: "shop",
        projectPath: path.join(root, "projects", "shop", "project.json"),
        repoPath: path.join(root, "projects", "shop", "repo"),
      });
      expect(lstatSync(String(details["projectPath"])).isFile()).toBe(true);
      expect(realpathSync(String(details["repoPath"]))).toBe(details["repoPath"]);
    },
  );

  it(
    "create_task are its id, its document, its steps and its flow",
    { tags: ["s5.details-create-task", "s5.details-paths"] },
    async () => {
      const { root, bench, answer } = await setup();
      await bench.done("create_project", aProject());
      const details = await answer(
        "create_task",
        aTask({ steps: [aStep(), aStep({ id: "own" })] }),
        TaskCreatedDetails,
      );
      const taskId = String(details["taskId"]);
      expect(details).toStrictEqual({
        taskId: expect.stringMatching(/^login-[0-9a-f]{8}$/),
        taskPath: path.join(root, "projects", "shop", "tasks", taskId, "task.json"),
        stepIds: ["step-01", "own", "acceptance"],
        flowId: "flow-1",
      });
      expect(lstatSync(String(details["taskPath"])).isFile()).toBe(true);
    },
  );

  it("create_step are the task's id and the step's", { tags: ["s5.details-create-step"] }, async () => {
    const { bench, answer } = await setup();
    const taskId = await bench.started();
    expect(await answer("create_step", { taskId, ...aStep() }, StepCreatedDetails)).toStrictEqual({
      taskId,
      stepId: "step-02",
    });
  });

  it(
    "start_task and set_task_status are the task's id and its computed status",
    { tags: ["s5.details-task"] },
    async () => {
      const { bench, answer } = await setup();
      await bench.done("create_project", aProject());
      const first = String((await bench.done("create_task", aTask()))["taskId"]);
      const taskId = String((await bench.done("create_task", aTask({ dependsOn: [first] })))["taskId"]);
      expect(await answer("start_task", { taskId: first }, TaskChangedDetails)).toStrictEqual({
        taskId: first,
        taskStatus: "running",
      });
      expect(await answer("start_task", { taskId }, TaskChangedDetails)).toStrictEqual({
        taskId,
        taskStatus: "waiting",
      });
      await bench.done("set_task_status", { taskId, status: "paused" });
      expect(await answer("set_task_status", { taskId, status: "running" }, TaskChangedDetails)).toStrictEqual({
        taskId,
        taskStatus: "waiting",
      });
    },
  );

  it(
    "set_step_status and the reporting tools are the step, its status and its attempt",
    { tags: ["s5.details-step"] },
    async () => {
      const { bench, answer } = await setup();
      const taskId = await bench.started();
      const step = (stepStatus: string, attempt: number) => ({ taskId, stepId: "step-01", stepStatus, attempt });
      const set = { taskId, stepId: "step-01", reason: "So." };
      expect(await answer("set_step_status", { ...set, status: "blocked" }, StepChangedDetails)).toStrictEqual(
        step("blocked", 0),
      );
      await bench.done("set_step_status", { ...set, status: "queued" });
      const builder = await bench.launched(taskId, "step-01", "builder");
      expect(
        await answer("record_builder_result", aBuilderReport(), StepChangedDetails, builder.caller()),
      ).toStrictEqual(step("reviewing", 1));
      await bench.ended(taskId, "step-01", "builder");
      const qa = await bench.launched(taskId, "step-01", "qa");
      expect(await answer("record_qa_result", aJudgement(["c1"]), StepChangedDetails, qa.caller())).toStrictEqual(
        step("queued", 1),
      );
    },
  );

  it("get_status have these keys and no other", { tags: ["s5.details-status"] }, async () => {
    const { bench, answer } = await setup();
    const taskId = await bench.started();
    const always = ["projects", "waitsFor", "next", "truncated"];
    for (const [parameters, keys] of [
      [{}, always],
      [{ projectId: "shop" }, [...always, "project"]],
      [{ taskId }, [...always, "task"]],
      [{ taskId, stepId: "step-01", verify: true }, [...always, "task", "step", "verify"]],
    ] as const)
      expect(Object.keys(await answer("get_status", parameters, StatusDetails)).toSorted()).toStrictEqual(
        keys.toSorted(),
      );
  });

  it("a refusal are its code, its reason and what would be accepted", { tags: ["s5.details-refusal"] }, async () => {
    const { answer } = await setup();
    expect(await answer("start_task", { taskId: "nothing" }, RefusedDetails)).toStrictEqual({
      refused: {
        code: "unknown-task",
        reason: 'There is no task "nothing".',
        accepts: ["a task id that get_status lists"],
      },
    });
  });
});

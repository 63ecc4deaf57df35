/** What the driver makes of flow records: cancels asked there, and a journal that lacks what they name. */
import { describe, expect, it } from "vitest";
import type { Config } from "../../src/schema/config.ts";
import { setStepStatus } from "../../src/tools/set-step-status.ts";
import { setTaskStatus } from "../../src/tools/set-task-status.ts";
import { startTask } from "../../src/tools/start-task.ts";
import { builds, createWorld, staysBusy, type World } from "../support/world.ts";

const second = 1000;
const minute = 60 * second;
const plain: Config = { acceptanceReview: false };
const reason = "Because.";

const becomes = (world: World, taskId: string, status: string) =>
  world.until(async () => (await world.status(taskId)) === status);
const pause = (world: World, taskId: string) => world.done(setTaskStatus, { taskId, status: "paused", reason });

/** A draft, a paused task and one that waits for a person. */
async function tasksAtRest(world: World, projectId: string) {
  const draft = await world.task({ projectId, title: "Draft" });
  const paused = await world.started({ projectId, title: "Paused" });
  await pause(world, paused);
  const blocked = await world.started({ projectId, title: "Blocked" });
  await world.done(setStepStatus, { taskId: blocked, stepId: "step-01", status: "blocked", reason });
  await world.pass(minute);
  return [draft, paused, blocked];
}

describe("a cancel that is asked of the flow record of a draft, a paused or a blocked task", () => {
  it("is obeyed within five seconds while something runs", { tags: ["s7.flow-cancel-obeyed"] }, async () => {
    const world = await createWorld({ config: plain, cast: { builder: staysBusy } });
    const tasks = await tasksAtRest(world, await world.project("One"));
    await world.started({ projectId: await world.project("Two"), title: "Busy" });
    await world.pass(second);
    for (const taskId of tasks) world.askToCancelFlow(taskId);
    await world.pass(5 * second);
    for (const taskId of tasks) expect([taskId, await world.status(taskId)]).toStrictEqual([taskId, "cancelled"]);
  });

  it("is obeyed at start", { tags: ["s7.flow-cancel-obeyed"] }, async () => {
    const world = await createWorld({ config: plain, cast: { builder: staysBusy } });
    const tasks = await tasksAtRest(world, await world.project("One"));
    await world.stop();
    for (const taskId of tasks) world.askToCancelFlow(taskId);
    await world.restart();
    for (const taskId of tasks) expect([taskId, await world.status(taskId)]).toStrictEqual([taskId, "cancelled"]);
  });
});

describe("a journal that lacks what its flow record names", () => {
  /** Somebody restored an older copy: to the task it is the same as if the flow knew a later record. */
  const rollBack = (world: World, taskId: string) =>
    Object.assign(world.flows.get(taskId) ?? {}, { seq: 99, sum: "a later record" });
  const goOn = (world: World, taskId: string) => world.done(setTaskStatus, { taskId, status: "running", reason });
  const told = (world: World) => world.warnings.filter((one) => one.includes("an older copy was restored"));

  it(
    "is found at start: nothing is launched, and it is told once",
    { tags: ["s7.rolled-back-is-not-driven"] },
    async () => {
      const world = await createWorld({ config: plain });
      const taskId = await world.task();
      await world.done(startTask, { taskId });
      await world.stop();
      const before = world.runs.length;
      rollBack(world, taskId);
      await world.restart();
      await world.pass(10 * minute);
      expect(world.runs).toHaveLength(before);
      expect(world.flows.get(taskId)).toMatchObject({ seq: 99 });
      expect(told(world)).toHaveLength(1);
    },
  );

  it("is found before the next launch", { tags: ["s7.rolled-back-is-not-driven"] }, async () => {
    const world = await createWorld({ config: plain, cast: { builder: staysBusy } });
    const taskId = await world.started();
    await world.rest();
    await pause(world, taskId);
    await world.letPlay(world.live(), builds);
    await world.pass(minute);
    await world.done(setTaskStatus, { taskId, status: "running", reason });
    rollBack(world, taskId);
    await world.pass(minute);
    expect(world.runs.map((run) => run.place.role)).toStrictEqual(["builder"]);
  });

  it("keeps no other task from being driven", { tags: ["s7.rolled-back-is-not-driven"] }, async () => {
    const world = await createWorld({ config: plain });
    const projectId = await world.project();
    const other = await world.task({ projectId, title: "Other" });
    const taskId = await world.task({ projectId, title: "Older" });
    rollBack(world, taskId);
    await world.restart();
    await world.done(startTask, { taskId: other });
    await becomes(world, other, "done");
  });

  it("is driven again at once when a person goes on", { tags: ["s7.rolled-back-until-a-person-goes-on"] }, async () => {
    const world = await createWorld({ config: plain });
    const taskId = await world.task();
    rollBack(world, taskId);
    await world.restart();
    await goOn(world, taskId);
    const { seq = 0, sum = "" } = (await world.history(taskId)).at(-1) ?? {};
    await world.rest();
    expect(world.flows.get(taskId)).toMatchObject({ seq, sum });
    await world.done(startTask, { taskId });
    await becomes(world, taskId, "done");
  });

  it(
    "launches under no id that the forgotten history may have used",
    { tags: ["s7.rolled-back-launches-are-new"] },
    async () => {
      const world = await createWorld({ config: plain, cast: { builder: staysBusy } });
      const taskId = await world.started();
      await world.rest();
      await pause(world, taskId);
      await world.stop();
      rollBack(world, taskId);
      await world.restart();
      await goOn(world, taskId);
      await goOn(world, taskId);
      await world.until(() => world.live().length === 1);
      expect(world.runs.map((run) => run.place.launch)).toStrictEqual([1, 1002]);
      await world.letPlay(world.live(), builds);
      await becomes(world, taskId, "done");
      expect(world.runs.map((run) => [run.place.role, run.place.launch])).toStrictEqual([
        ["builder", 1],
        ["builder", 1002],
        ["qa", 1001],
      ]);
    },
  );

  it("gets a new flow when the old one is over", { tags: ["s7.flow-terminal-untouched"] }, async () => {
    const world = await createWorld({ config: plain });
    const taskId = await world.task();
    const over = rollBack(world, taskId);
    Object.assign(over, { ended: true });
    await world.restart();
    await goOn(world, taskId);
    await world.rest();
    const { flowId } = (await world.state(taskId)).task;
    expect(world.flows.get(taskId)).toMatchObject({ flowId });
    expect(world.flows.get(taskId)).not.toBe(over);
    expect(over).toMatchObject({ seq: 99 });
    await world.done(startTask, { taskId });
    await becomes(world, taskId, "done");
  });

  it(
    "is driven again by itself when the newer files are back",
    { tags: ["s7.rolled-back-ends-with-newer-files"] },
    async () => {
      const world = await createWorld({ config: plain });
      const taskId = await world.started();
      const { seq = 0, sum = "" } = (await world.history(taskId)).at(-1) ?? {};
      rollBack(world, taskId);
      await world.restart();
      await world.pass(minute);
      expect(await world.status(taskId)).toBe("running");
      Object.assign(world.flows.get(taskId) ?? {}, { seq, sum });
      await becomes(world, taskId, "done");
    },
  );
});

/** When a journal lacks what its flow record names, told from the two alone. */
import { describe, expect, it } from "vitest";
import type { FlowMark } from "../../src/tools/desk.ts";
import { findRollback } from "../../src/tools/rollback.ts";
import { aTask, createBench } from "../support/bench.ts";

async function setup() {
  const world = { mark: undefined as FlowMark | undefined };
  const bench = createBench({ config: { acceptanceReview: false }, readFlow: () => Promise.resolve(world.mark) });
  await bench.done("create_project", { name: "Shop", spec: "A shop." });
  const taskId = String((await bench.done("create_task", aTask()))["taskId"]);
  await bench.done("start_task", { taskId });
  await bench.done("set_task_status", { taskId, status: "paused" });
  const stream = { projectId: "shop", taskId };
  const records = await bench.history(stream);
  const at = (seq: number) => ({ stream, seq, sum: records[seq - 1]?.sum ?? "" });
  const find = (place: ReturnType<typeof at>, mark: Omit<FlowMark, "flowId" | "ended"> | undefined) =>
    findRollback(
      {
        store: bench.store,
        readFlow: () => Promise.resolve(mark === undefined ? undefined : { flowId: "flow-1", ended: false, ...mark }),
      },
      place,
      "flow-1",
    );
  const sumOf = (seq: number) => records[seq - 1]?.sum ?? "";
  return { bench, world, taskId, stream, at, find, sumOf };
}

describe("a journal", () => {
  it("that holds what the flow record names was not rolled back", async () => {
    const { at, find, sumOf } = await setup();
    expect(await find(at(3), undefined)).toBeUndefined();
    for (const seq of [1, 2, 3]) expect(await find(at(3), { seq, sum: sumOf(seq) })).toBeUndefined();
  });

  it("to which the named record was appended since it was read was not, either", async () => {
    const { at, find, sumOf } = await setup();
    expect(await find(at(2), { seq: 3, sum: sumOf(3) })).toBeUndefined();
  });

  it("that has another record in its place, or none, was rolled back", async () => {
    const { at, find, taskId, sumOf } = await setup();
    for (const [seq, sum] of [
      [1, "other"],
      [3, "other"],
      [4, "lacking"],
      [4, sumOf(3)],
      [2, sumOf(3)],
      [3, sumOf(2)],
    ] as const)
      expect(await find(at(3), { seq, sum })).toStrictEqual({
        taskId,
        seq: 3,
        mark: { flowId: "flow-1", ended: false, seq, sum },
      });
  });

  it("from which a person went on without a record does not lack that one any more, but any other", async () => {
    const { bench, world, stream, at, find, taskId } = await setup();
    world.mark = { flowId: "flow-1", ended: false, seq: 9, sum: "lacking" };
    await bench.done("set_task_status", { taskId, status: "running", reason: "Go on from here." });
    const { seq, sum } = (await bench.history(stream)).at(-1) ?? { seq: 0, sum: "" };
    const here = { ...at(seq), sum };
    expect(await find(here, { seq: 9, sum: "lacking" })).toBeUndefined();
    expect(await find(here, { seq: 9, sum: "other" })).toMatchObject({ mark: { seq: 9 } });
    expect(await find(here, { seq: 8, sum: "lacking" })).toMatchObject({ mark: { seq: 8 } });
  });
});

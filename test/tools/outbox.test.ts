/** What a chat is to hear, read off a journal from any place in it. */
import { describe, expect, it } from "vitest";
import { beginning, isWanted, readNotices } from "../../src/tools/outbox.ts";
import type { Notice } from "../../src/schema/effects.ts";
import { createBench, type Bench } from "../support/bench.ts";

const told = (notices: ReturnType<typeof readNotices>["notices"]) =>
  notices.map(({ before, notice, state }) => [before.seq + 1, notice.kind, state.task.status]);

async function blockedTwice(): Promise<{ readonly bench: Bench; readonly taskId: string }> {
  const bench = createBench({ config: { acceptanceReview: false } });
  const taskId = await bench.started();
  for (const status of ["blocked", "skipped"])
    await bench.done("set_step_status", { taskId, stepId: "step-01", status, reason: "Wait." });
  return { bench, taskId };
}

describe("the notices of a journal", () => {
  it("are those of each record, with the state that it led to", async () => {
    const { bench, taskId } = await blockedTwice();
    const records = await bench.history({ projectId: "shop", taskId });
    const { place, notices } = readNotices(beginning, records);
    expect(told(notices)).toStrictEqual([
      [3, "question", "blocked"],
      [4, "task-done", "done"],
    ]);
    expect(place.seq).toBe(4);
    expect(Object.keys(place.documents).toSorted()).toStrictEqual(["steps/step-01", "task"]);
  });

  it("are read on from any place, and what was read before is not told again", async () => {
    const { bench, taskId } = await blockedTwice();
    const records = await bench.history({ projectId: "shop", taskId });
    const first = readNotices(beginning, records.slice(0, 3));
    expect(told(first.notices)).toStrictEqual([[3, "question", "blocked"]]);
    expect(told(readNotices(first.place, records).notices)).toStrictEqual([[4, "task-done", "done"]]);
    expect(readNotices(readNotices(beginning, records).place, records).notices).toStrictEqual([]);
  });

  it("know documents that were removed no more", async () => {
    const { bench, taskId } = await blockedTwice();
    const [record] = await bench.history({ projectId: "shop", taskId });
    if (record === undefined) throw new Error("no record");
    const from = { seq: 0, sum: "", documents: { "steps/step-09": "{}" } };
    const { place } = readNotices(from, [{ ...record, docs: { ...record.docs, "steps/step-09": null } }]);
    expect(Object.keys(place.documents).toSorted()).toStrictEqual(["steps/step-01", "task"]);
  });
});

describe("a notice", () => {
  const question: Notice = {
    kind: "question",
    stepId: null,
    question: { id: "q", kind: "held", text: "?", choices: [], askedAt: "" },
  };
  const passed: Notice = { kind: "step-passed", stepId: "step-01", by: "qa" };
  it.each([
    ["off", question, true],
    ["off", passed, false],
    ["off", { kind: "task-done" }, false],
    ["tasks", question, true],
    ["tasks", passed, false],
    ["tasks", { kind: "task-done" }, true],
    ["tasks", { kind: "task-cancelled" }, true],
    ["steps", passed, true],
    ["steps", { kind: "task-cancelled" }, true],
  ] as const)("with notify %s: %j is told: %s", (notify, notice, wanted) => {
    expect(isWanted(notice, notify)).toBe(wanted);
  });
});

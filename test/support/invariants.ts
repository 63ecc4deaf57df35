/** What must hold of every world, whatever happened in it; and its essence, which must not depend on when processes ended. */
import { inspect, isDeepStrictEqual } from "node:util";
import { openRuns } from "../../src/flow/ready.ts";
import { currentAttempt } from "../../src/flow/ready.ts";
import type { Step, TaskState } from "../../src/schema/documents.ts";
import type { JournalRecord, Stream } from "../../src/store/store.ts";
import { beginning, readNotices } from "../../src/tools/outbox.ts";
import { createReplay, type Replay } from "./replay.ts";
import type { World } from "./world.ts";

/** Like an assertion of a test, but outside of one too. Throws what differs. */
function same(actual: unknown, expected: unknown, what: string): void {
  if (isDeepStrictEqual(actual, expected)) return;
  const show = (value: unknown) => inspect(value, { depth: 6, breakLength: 140 }).slice(0, 4000);
  throw new Error(`${what}:\nis        ${show(actual)}\nshould be ${show(expected)}`);
}

/** Asserts the promises of DESIGN section 7 on a world that is at rest; `replays` have followed the journals until here, by task. */
export async function expectInvariants(world: World, replays?: ReadonlyMap<string, Replay>): Promise<void> {
  const streams = (await world.store.list()).filter((stream) => stream.taskId !== undefined);
  for (const stream of streams) {
    const records = await world.store.history(stream, 0);
    const state = await expectReplay(world, stream, records, replays?.get(stream.taskId ?? ""));
    const flow = world.flows.get(stream.taskId ?? "");
    // The record of a task that has ended is not made anew when it is lost; one that was made and never named is cancelled at a start.
    const isLost = flow === undefined || flow.flowId !== state.task.flowId;
    if (isLost && (state.task.status === "done" || state.task.status === "cancelled")) continue;
    same(flow?.taskStatus, state.task.status, "the flow record says what the task is");
    same(flow?.sum, records[(flow?.seq ?? 0) - 1]?.sum, "the flow record names a record of the journal");
    // A flow record that has ended is not touched again; the last run's end comes after it.
    const ended = state.task.status === "done" || state.task.status === "cancelled";
    if (!ended) same(flow?.seq, records.at(-1)?.seq, "the flow record names the last record");
    same(state.task.flowId, flow?.flowId, "the task names its flow record");
  }
  expectLaunchesOnce(world);
  await expectFreeSlots(world, streams);
}

/** The journal alone leads to the documents. */
async function expectReplay(
  world: World,
  stream: Stream,
  records: readonly JournalRecord[],
  replay = createReplay(),
): Promise<TaskState> {
  for (const record of records.slice(replay.seq)) replay.take(record);
  const taskId = stream.taskId ?? "";
  same(replay.state, await world.state(taskId), "the journal alone leads to the documents");
  if (replay.state === undefined) throw new Error(`no record of ${taskId}`);
  return replay.state;
}

function expectLaunchesOnce(world: World): void {
  const ids = world.runs.map((run) => run.request.runId);
  same(ids, [...new Set(ids)], "no run is launched twice");
}

/** Whoever comes now finds every place free that no unfinished work holds. */
async function expectFreeSlots(world: World, streams: readonly Stream[]): Promise<void> {
  const holding = [];
  for (const stream of streams) {
    const { steps } = await world.state(stream.taskId ?? "");
    if (steps.some((step) => ["building", "checking", "reviewing"].includes(step.status) || openRuns(step).length > 0))
      holding.push(stream.taskId);
  }
  if (holding.length > 0) return;
  for (const stream of streams) {
    same(world.driver().waitsFor(stream), [], "nobody waits for a place");
    const project = await world.store.read({ projectId: stream.projectId });
    const repo: unknown = JSON.parse(project?.documents["project"] ?? "{}").repo;
    const claim = { key: "somebody else", taskId: "somebody else", tree: String(repo), wake: () => undefined };
    same(world.slots().take(claim), undefined, "the working tree is free");
    world.slots().leave(claim.key);
  }
}

/** What a scenario came to, without times, run ids, and runs that a dying gateway took along. */
export async function essenceOf(world: World): Promise<unknown> {
  const essence = [];
  for (const stream of await world.store.list()) {
    if (stream.taskId === undefined) continue;
    const { task, steps } = await world.state(stream.taskId);
    const { notices } = readNotices(beginning, await world.store.history(stream, 0));
    essence.push({
      title: task.title,
      status: task.status,
      question: task.question?.kind ?? null,
      steps: steps.map(essenceOfStep),
      // In order for each step; steps that run side by side may overtake each other.
      told: notices
        .map(({ notice }) => ({ kind: notice.kind, stepId: "stepId" in notice ? (notice.stepId ?? "") : "" }))
        .toSorted((one, other) => (one.stepId < other.stepId ? -1 : one.stepId > other.stepId ? 1 : 0)),
    });
  }
  return essence;
}

function essenceOfStep(step: Step) {
  return {
    id: step.id,
    status: step.status,
    attempt: step.attempt,
    maxAttempts: step.maxAttempts,
    passedBy: step.passedBy,
    question: step.question?.kind ?? null,
    decisions: step.decisions?.map(({ by, status }) => `${by} ${status}`),
    attempts: step.attempts.map((attempt) => ({
      note: attempt.note,
      outcome: attempt.builder?.outcome,
      observed: attempt.builder?.filesObserved,
      checks: attempt.checks?.map((check) => check.exitCode),
      verdict: attempt.qa?.verdict,
      tree: attempt.tree,
      lost: attempt.runs.filter((run) => run.end === "lost").length,
      reported: attempt.runs.filter((run) => run.end === "reported").length,
      decisions: attempt.decisions?.map(({ by, status }) => `${by} ${status}`),
    })),
  };
}

/** The attempts' ends in the order of their runs, for scenarios that look at them. */
export function endsOf(step: Step): readonly (string | null)[] {
  return (currentAttempt(step)?.runs ?? []).map((run) => run.end);
}

/** What to do next: every kind of question with the calls that answer it, and every state of a task that is waited for. */
import { describe, expect, it } from "vitest";
import {
  inOrder,
  nextOf,
  nextOfRollback,
  nextOfUnusable,
  nextOfWarnings,
  type DependencyStatus,
} from "../../src/tools/next.ts";
import type { QuestionKind } from "../../src/schema/documents.ts";
import { aQuestion, aStep, aTaskWith } from "../support/builders.ts";
import { aWantedStep, history } from "../support/histories.ts";

const wordsOf = (
  state: Parameters<typeof nextOf>[0],
  statuses: Readonly<Record<string, DependencyStatus>> = {},
  holds: Parameters<typeof nextOf>[3] = [],
  notify: Parameters<typeof nextOf>[4] = "steps",
) =>
  nextOf(state, "/pages/task.md", new Map(Object.entries(statuses)), holds, notify).map(
    ({ rank, words }) => `${rank} ${words}`,
  );

describe("a question", () => {
  const stepAsks = (kind: QuestionKind, choices: readonly string[]) => {
    const step = aStep({ status: "blocked", question: aQuestion({ kind, choices }) });
    return wordsOf({ task: aTaskWith([step], { id: "task", status: "blocked" }), steps: [step] });
  };
  const begin = (words: string) =>
    `0 Ask the owner about step step-01 of task task (${words}) and wait for the answer. Then, with the owner's words as reason: `;
  const set = "set_step_status with taskId task, stepId step-01 and status";
  const cancel = "set_task_status with taskId task and status cancelled (cancel the task)";

  it.each([
    ["attempts-used", "attempts-used: no attempt is left"],
    ["no-progress", "no-progress: two attempts came to the same"],
    ["runs-lost", "runs-lost: its runs end without a report"],
    ["builder-asks", "builder-asks: its builder has a question"],
    ["held", "held: it is held back"],
  ] as const)("%s names the calls that carry its choices out", (kind, words) => {
    expect(stepAsks(kind, ["retry with a note", "accept with a reason", "skip", "cancel the task"])).toStrictEqual([
      `${begin(words)}${set} queued (retry with a note) or passed (accept with a reason) or skipped (skip); ${cancel}`,
    ]);
  });

  it("of a review may be answered by another step, or by judging again", () => {
    expect(
      stepAsks("acceptance-failed", [
        "add a step",
        "judge again with a note",
        "accept with a reason",
        "cancel the task",
      ]),
    ).toStrictEqual([
      `${begin("acceptance-failed: the whole does not meet its criteria")}${set} queued (judge again with a note) or passed (accept with a reason); ${cancel}; or, with no reason, create_step with taskId task and what that step is to do (add a step)`,
    ]);
  });

  it("with no other choice than to cancel names that alone, and an unknown choice names nothing", () => {
    expect(stepAsks("held", ["cancel the task", "sing"])).toStrictEqual([`${begin("held: it is held back")}${cancel}`]);
  });

  it("of the task itself is about the task", () => {
    const asked = history({ dependsOn: ["one"] })
      .and("TaskStarted", { dependenciesDone: false })
      .and("DependencyCancelled", { taskId: "one" });
    const words = (goOn: string) =>
      `0 Ask the owner about task task-1 (dependency-cancelled: a task that it waits for was cancelled) and wait for the answer. Then, with the owner's words as reason: set_task_status with taskId task-1 and status running (${goOn}) or cancelled (cancel the task)`;
    expect(wordsOf(asked.state)).toStrictEqual([words("go on without it")]);
    expect(wordsOf(asked.and("TaskPaused").state)).toStrictEqual([
      words("go on without it; the first such call only ends the pause"),
      "1 set_task_status with taskId task-1 and status running, when the owner wants it to go on",
    ]);
  });
});

describe("a task", () => {
  it("says what there is to do in every status", () => {
    const draft = history();
    const running = draft.start();
    expect(
      [
        draft,
        running,
        running.and("TaskPaused"),
        running.and("StepDecided", { status: "blocked" }),
        running.pass("step-01"),
        running.and("TaskCancelled"),
      ].map((one) => wordsOf(one.state)),
    ).toStrictEqual([
      ["1 start_task with taskId task-1, when the owner wants it to begin"],
      ["2 Nothing for task task-1: runs follow by themselves, and its chat is told of each result"],
      ["1 set_task_status with taskId task-1 and status running, when the owner wants it to go on"],
      [
        "0 Ask the owner about step step-01 of task task-1 (held: it is held back) and wait for the answer. Then, with the owner's words as reason: set_step_status with taskId task-1, stepId step-01 and status queued (retry with a note) or skipped (skip); set_task_status with taskId task-1 and status cancelled (cancel the task)",
      ],
      ["0 Tell the owner that task task-1 is done and that its page is /pages/task.md"],
      ["1 create_task with projectId project-1, when the work of task task-1 is wanted after all"],
    ]);
  });

  it("says of one that goes on beside a question that there is nothing else to do", () => {
    const beside = history({ steps: [aWantedStep(), aWantedStep({ dependsOn: [] })] }).start();
    const words = wordsOf(beside.and("StepDecided", { status: "blocked" }).state);
    expect(words[0]).toMatch(/^0 Ask the owner about step step-01 /);
    expect(words[1]).toMatch(/^2 Nothing else for task task-1: runs follow by themselves/);
  });

  it.each<[DependencyStatus | undefined, string]>([
    ["draft", "1 (draft): start_task with that taskId, when the owner wants it to begin"],
    ["paused", "1 (paused): set_task_status with that taskId and status running, when the owner wants it to go on"],
    ["blocked", "0 (blocked): get_status with that taskId shows the question, which only the owner answers"],
    ["waiting", "1 (waiting): get_status with that taskId shows what it waits for itself"],
    ["running", "2 (running): nothing to do, it begins by itself when that is done"],
    ["cancelled", "2 (cancelled): nothing to do yet, the question whether to go on without it follows by itself"],
    ["unreadable", "0 (unreadable): get_status with that taskId says why it cannot be read"],
    [
      undefined,
      "0 (unknown): there is no such task any more; the owner decides whether to restore it or to cancel what waits",
    ],
  ])("that waits for one that is %s says what that one needs", (status, words) => {
    const { state } = history({ dependsOn: ["one", "two"] }).and("TaskStarted", { dependenciesDone: false });
    const [rank, ...rest] = words.split(" ");
    expect(wordsOf(state, { two: "done", ...(status === undefined ? {} : { one: status }) })).toStrictEqual([
      `${rank} Task task-1 waits for one ${rest.join(" ")}`,
    ]);
  });

  it("that waits for another one and is asked about one of its steps names both", () => {
    const { state } = history({ dependsOn: ["one"] })
      .and("TaskStarted", { dependenciesDone: false })
      .and("StepDecided", { status: "blocked" });
    const words = wordsOf(state, { one: "draft" });
    expect(words).toHaveLength(2);
    expect(words[0]).toMatch(/^0 Ask the owner about step step-01 of task task-1 \(held/);
    expect(words[1]).toMatch(/^1 Task task-1 waits for one \(draft\)/);
  });

  it.each([
    ["steps", "is told of each result"],
    ["tasks", "is told of each question and of the end"],
    ["off", "is told of questions only"],
  ] as const)("that goes on says what the chat hears where %s are told", (notify, words) => {
    expect(wordsOf(history().start().state, {}, [], notify)).toStrictEqual([
      `2 Nothing for task task-1: runs follow by themselves, and its chat ${words}`,
    ]);
  });

  it("that waits for nothing any more begins by itself", () => {
    const { state } = history({ dependsOn: ["one"] }).and("TaskStarted", { dependenciesDone: false });
    expect(wordsOf(state, { one: "done" })).toStrictEqual([
      "2 Nothing for task task-1: what it waited for is done, and it begins by itself",
    ]);
  });

  it.each([
    [10, "t1, t2, t3, t4, t5, t6, t7, t8, t9, t10"],
    [12, "t1, t2, t3, t4, t5, t6, t7, t8, t9, t10 and 2 more"],
  ])("that waits for %s names the first ten", (count, words) => {
    const dependsOn = Array.from({ length: count }, (_, at) => `t${at + 1}`);
    const { state } = history({ dependsOn }).and("TaskStarted", { dependenciesDone: false });
    const statuses = Object.fromEntries(dependsOn.map((id) => [id, "running" as const]));
    expect(wordsOf(state, statuses)).toStrictEqual([
      `2 Task task-1 waits for ${words} (running): nothing to do, it begins by itself when that is done`,
    ]);
  });
});

describe("sentences", () => {
  it("about what cannot be changed name the code and its remedy", () => {
    expect(nextOfUnusable("task one", "project-copied")).toStrictEqual({
      rank: 0,
      words:
        "Tell the owner that task one cannot be changed now (project-copied). Work in the original folder, or rename the copy back to its id; instead of a link put the folder itself there.",
    });
    expect(nextOfWarnings("task one")).toStrictEqual({
      rank: 0,
      words: "Tell the owner what the warnings about task one say; only the tools change what is kept",
    });
    expect(nextOfRollback("one").words).toContain("set_task_status with taskId one and status running");
  });

  it("come with what the owner has to hear first, and what goes by itself last", () => {
    const one = (rank: 0 | 1 | 2, words: string) => ({ rank, words });
    expect(inOrder([one(2, "c"), one(0, "a"), one(1, "b"), one(0, "aa")])).toStrictEqual(["a", "aa", "b", "c"]);
  });
});

/**
 * What to do next, in sentences that a model can act on: each names the tool and the values to use, or says that there is
 * nothing to do. What only the owner may decide begins with asking the owner. Pure.
 */
import { errorTable, type ErrorCode } from "../errors.ts";
import type { WaitsFor } from "../schema/details.ts";
import type { Settings } from "../schema/config.ts";
import type { Question, QuestionKind, Task, TaskState, TaskStatus } from "../schema/documents.ts";
import { hearsWords } from "../render/words.ts";

/** A sentence without its final period. `rank` orders them: what a person has to hear, what can be done, what goes by itself. */
export type Next = { readonly rank: 0 | 1 | 2; readonly words: string };

/** How a task that another one waits for stands. */
export type DependencyStatus = TaskStatus | "unreadable" | "unknown";

const tell = (words: string): Next => ({ rank: 0, words });
const act = (words: string): Next => ({ rank: 1, words });
const rest = (words: string): Next => ({ rank: 2, words });

/**
 * What to do about a task as it stands. `holds` says which task has the slot or tree that it waits for; `others` has the
 * status of each task in dependsOn, and of those that hold it up, as far as they are of this project. `notify` is what the
 * configuration has told.
 */
export function nextOf(
  { task, steps }: TaskState,
  pagePath: string,
  others: Pick<ReadonlyMap<string, DependencyStatus>, "get">,
  holds: readonly WaitsFor[],
  notify: Settings["notify"],
): readonly Next[] {
  const { id } = task;
  const asked = [
    ...(task.question === null ? [] : [askOwner(task, undefined, task.question)]),
    ...steps.flatMap((step) => (step.question === null ? [] : [askOwner(task, step.id, step.question)])),
  ];
  switch (task.status) {
    case "draft":
      return [act(`start_task with taskId ${id}, when the owner wants it to begin`)];
    case "waiting":
      // With a step's question open it may not begin by itself.
      return [
        ...asked,
        ...(task.question === null ? waitingFor(id, task.dependsOn, others) : []).filter(
          (one) => asked.length === 0 || !goesByItself(one),
        ),
      ];
    case "blocked":
      return asked;
    case "paused":
      return [...asked, act(`set_task_status with taskId ${id} and status running, when the owner wants it to go on`)];
    case "running":
      return [
        ...asked,
        ...holds.map((hold) => heldUpBy(id, hold, others.get(hold.id))),
        rest(
          `Nothing ${asked.length === 0 ? "" : "else "}for task ${id}: runs follow by themselves, and its chat ${hearsWords[notify]}`,
        ),
      ];
    case "done":
      return [tell(`Tell the owner that task ${id} is done and that its page is ${pagePath}`)];
    case "cancelled":
      return [act(`create_task with projectId ${task.projectId}, when the work of task ${id} is wanted after all`)];
    default:
      return [];
  }
}

/** What to do about questions of tasks of which no more is said. */
export function nextOfMoreQuestions(count: number, taskIds: readonly string[]): Next {
  return tell(
    `Tell the owner that ${count} ${count === 1 ? "question waits" : "questions wait"} besides those named here; get_status with a taskId shows each: ${firstOf(taskIds)}`,
  );
}

/** What to do about a project or task that cannot be read or must not be written. */
export function nextOfUnusable(what: string, code: ErrorCode): Next {
  return tell(`Tell the owner that ${what} cannot be changed now (${code}). ${errorTable[code].remedy}`);
}

/** What to do about a task of which an older copy was restored. */
export function nextOfRollback(taskId: string): Next {
  return tell(
    `Tell the owner that an older copy of task ${taskId} was restored (state-rolled-back), ask whether it goes on from there, and wait for the answer. Then, with the owner's words as reason: set_task_status with taskId ${taskId} and status running; the newer files put back end it too`,
  );
}

/** What to do while something that the task needs is refused. `quotation` has the words of whoever refuses it. */
export function nextOfDelay(taskId: string, since: string, quotation: string): Next {
  return tell(
    `Tell the owner that task ${taskId} is held up since ${since}: OpenClaw or the disk refuses what it needs. It is tried again by itself. The last words were ${quotation}`,
  );
}

/** What to do about warnings: they are for people. */
export function nextOfWarnings(what: string): Next {
  return tell(`Tell the owner what the warnings about ${what} say; only the tools change what is kept`);
}

/** True of a sentence that says that nothing has to be done. */
export const goesByItself = ({ rank }: Next): boolean => rank === 2;

/** The sentences, most important first. */
export function inOrder(next: readonly Next[]): readonly string[] {
  return next.toSorted((one, other) => one.rank - other.rank).map(({ words }) => words);
}

// ---- questions

/** Which call carries a choice out; the statuses of one tool are named together. */
const calls: ReadonlyMap<string, { readonly tool: "step" | "task" | "create_step"; readonly status: string }> = new Map(
  [
    ["retry with a note", { tool: "step", status: "queued" }],
    ["judge again with a note", { tool: "step", status: "queued" }],
    ["accept with a reason", { tool: "step", status: "passed" }],
    ["skip", { tool: "step", status: "skipped" }],
    ["add a step", { tool: "create_step", status: "" }],
    ["go on without it", { tool: "task", status: "running" }],
    ["cancel the task", { tool: "task", status: "cancelled" }],
  ],
);

function askOwner(
  { id: taskId, status: taskStatus }: Pick<Task, "id" | "status">,
  stepId: string | undefined,
  { kind, choices }: Question,
): Next {
  const what = stepId === undefined ? `task ${taskId}` : `step ${stepId} of task ${taskId}`;
  const statuses = (tool: "step" | "task") =>
    choices.flatMap((choice) => {
      const call = calls.get(choice);
      const first =
        taskStatus === "paused" && call?.status === "running" ? "; the first such call only ends the pause" : "";
      return call?.tool === tool ? [`${call.status} (${choice}${first})`] : [];
    });
  const decisions = [
    ...prefixed(`set_step_status with taskId ${taskId}, stepId ${stepId ?? ""} and status`, statuses("step")),
    ...prefixed(`set_task_status with taskId ${taskId} and status`, statuses("task")),
  ];
  const steps = choices
    .filter((one) => calls.get(one)?.tool === "create_step")
    .map((one) => `; or, with no reason, create_step with taskId ${taskId} and what that step is to do (${one})`);
  return tell(
    `Ask the owner about ${what} (${kindWords[kind]}) and wait for the answer. Then, with the owner's words as reason: ${decisions.join("; ")}${steps.join("")}`,
  );
}

const prefixed = (words: string, list: readonly string[]) =>
  list.length === 0 ? [] : [`${words} ${list.join(" or ")}`];

const kindWords: Readonly<Record<QuestionKind, string>> = {
  "attempts-used": "attempts-used: no attempt is left",
  "no-progress": "no-progress: two attempts came to the same",
  "runs-lost": "runs-lost: its runs end without a report",
  "builder-asks": "builder-asks: its builder has a question",
  held: "held: it is held back",
  "acceptance-failed": "acceptance-failed: the whole does not meet its criteria",
  "dependency-cancelled": "dependency-cancelled: a task that it waits for was cancelled",
};

// ---- waiting for tasks

function heldUpBy(taskId: string, { kind, id }: WaitsFor, status: DependencyStatus | undefined): Next {
  const what = kind === "tree" ? `the working tree, where task ${id} works` : `its turn, which task ${id} has now`;
  return status === "unreadable"
    ? tell(
        `Tell the owner that task ${taskId} waits for ${what}, and that task ${id} cannot be read: get_status with that taskId says why`,
      )
    : rest(`Task ${taskId} waits for ${what}: nothing to do, it goes on by itself after that`);
}

function waitingFor(
  taskId: string,
  dependsOn: readonly string[],
  statuses: Pick<ReadonlyMap<string, DependencyStatus>, "get">,
): readonly Next[] {
  const byStatus = Map.groupBy(
    dependsOn.filter((id) => statuses.get(id) !== "done"),
    (id) => statuses.get(id) ?? "unknown",
  );
  if (byStatus.size === 0)
    return [rest(`Nothing for task ${taskId}: what it waited for is done, and it begins by itself`)];
  return [...byStatus].map(([status, ids]) => {
    const { rank, words } = whatToDoAbout[status];
    return { rank, words: `Task ${taskId} waits for ${firstOf(ids)} (${status}): ${words}` };
  });
}

const whatToDoAbout: Readonly<Record<DependencyStatus, Next>> = {
  draft: act("start_task with that taskId, when the owner wants it to begin"),
  paused: act("set_task_status with that taskId and status running, when the owner wants it to go on"),
  blocked: tell("get_status with that taskId shows the question, which only the owner answers"),
  waiting: act("get_status with that taskId shows what it waits for itself"),
  running: rest("nothing to do, it begins by itself when that is done"),
  done: rest("nothing to do, it begins by itself"),
  cancelled: rest("nothing to do yet, the question whether to go on without it follows by itself"),
  unreadable: tell("get_status with that taskId says why it cannot be read"),
  unknown: tell("there is no such task any more; the owner decides whether to restore it or to cancel what waits"),
};

/** The first few ids of a list, and how many more there are: one sentence stays one sentence. */
function firstOf(ids: readonly string[]): string {
  const more = ids.length - 10;
  return more > 0 ? `${ids.slice(0, 10).join(", ")} and ${more} more` : ids.join(", ");
}

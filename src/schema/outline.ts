/**
 * What a list says of a task, read off its documents: enough for counts, for what waits for what, and for telling which tasks
 * somebody has to look at. Pure.
 */
import { parseStep, parseTask, type TaskState, type TaskStatus, type Usage } from "./documents.ts";

export type Outline = {
  readonly title: string;
  readonly status: TaskStatus;
  readonly updatedAt: string;
  readonly dependsOn: readonly string[];
  readonly flowId: string | null;
  readonly steps: number;
  readonly stepsFinished: number;
  /** Runs that were not seen to end. */
  readonly openRuns: number;
  /** Questions that wait for a person. */
  readonly questions: number;
  readonly usage: Usage;
};

/** The outline of a task. */
export function outlineOf({ task, steps }: TaskState): Outline {
  const { title, status, updatedAt, dependsOn, flowId, question } = task;
  const runs = steps.flatMap((step) => step.attempts.flatMap((attempt) => attempt.runs));
  const sum = (what: keyof Usage) => runs.reduce((total, { usage }) => total + (usage?.[what] ?? 0), 0);
  return {
    title,
    status,
    updatedAt,
    dependsOn,
    flowId,
    steps: steps.length,
    // As on the task's page: one that ended with its cancelled task was not finished.
    stepsFinished: steps.filter(({ status }) => status === "passed" || status === "skipped").length,
    openRuns: runs.filter((run) => run.endedAt === null).length,
    questions: [question, ...steps.map((step) => step.question)].filter((one) => one !== null).length,
    usage: {
      inputTokens: sum("inputTokens"),
      outputTokens: sum("outputTokens"),
      costUsd: Math.round(sum("costUsd") * 1e6) / 1e6,
    },
  };
}

/** The task that documents say, steps in order. Throws what parsing a document throws. */
export function taskStateOf(documents: Readonly<Record<string, string>>): TaskState {
  const { task, ...others } = documents;
  return {
    task: parseTask(task ?? "null"),
    steps: Object.entries(others)
      .map(([name, text]) => parseStep(text, name))
      .toSorted((one, other) => one.index - other.index),
  };
}

/** True when the task has come to its end, whatever of it still runs. */
export function hasEnded({ status }: Pick<Outline, "status">): boolean {
  return status === "done" || status === "cancelled";
}

/** True when nothing goes on with the task and nothing will, unless somebody calls a tool. */
export function isOver(outline: Pick<Outline, "status" | "openRuns">): boolean {
  return hasEnded(outline) && outline.openRuns === 0;
}

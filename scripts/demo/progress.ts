// What a person can see of a task while it runs: its documents on disk, looked at again and again, and the tool calls of its
// agents. Prints each thing once, when it has happened.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

import { exitCodeOf, gistOf, outputOf } from "../../examples/fairshare/agents.ts";
import type { Answer, Turn } from "../../harness/model.ts";
import { costWords, durationWords, numberWords, spanWords } from "../../src/render/words.ts";
import {
  parseProject,
  parseStep,
  parseTask,
  type Attempt,
  type Criterion,
  type Project,
  type QaReport,
  type Run,
  type Step,
  type TaskState,
} from "../../src/schema/documents.ts";
import type { Terminal } from "./terminal.ts";

/** A task with the project that it belongs to, and the folder that holds its files. */
export interface TaskOnDisk extends TaskState {
  readonly project: Project;
  readonly folder: string;
}

export interface Progress {
  /** Looks at the disk, prints what is new, and says how the task stands; undefined while there is none. */
  look(): Promise<TaskOnDisk | undefined>;
  /** Prints what an agent did: the result of its last command, and what it does next. */
  acted(turn: Turn, answer: Answer): Promise<void>;
}

/** `projects` is the folder that holds the one project of the demonstration. */
export function createProgress(terminal: Terminal, projects: string): Progress {
  const said = new Set<string>();
  let looking: Promise<TaskOnDisk | undefined> = Promise.resolve(undefined);

  const once = (key: string, say: () => void): void => {
    if (said.has(key)) return;
    said.add(key);
    say();
  };
  const sayStep = (step: Step, steps: number): void => {
    for (const attempt of step.attempts) sayAttempt(step, attempt, steps);
    if (step.status === "passed" && step.attempts.at(-1)?.runs.every(({ end }) => end !== null) === true)
      once(`${step.id} passed`, () => {
        terminal.line("✔ passed", `${placeOf(step, steps)} passed after ${attemptsOf(step)}, ${timeOf(step)}`, "green");
      });
    const { question } = step;
    if (question !== null)
      once(question.id, () => {
        terminal.line("✖ question", question.text, "red");
      });
  };
  const sayAttempt = (step: Step, attempt: Attempt, steps: number): void => {
    const key = `${step.id} ${String(attempt.attempt)}`;
    once(key, () => {
      terminal.heading(
        `${placeOf(step, steps)}: ${step.title} (attempt ${String(attempt.attempt)} of ${String(step.maxAttempts)})`,
      );
    });
    const sayEnds = (role: string): void => {
      for (const run of attempt.runs)
        if (run.role === role && run.end !== null) once(`${run.runId} ended`, () => sayEnd(run));
    };
    sayEnds("builder");
    for (const check of attempt.checks ?? [])
      once(`${key} ${check.name}`, () => {
        terminal.line(
          "check",
          `${check.name}: exit code ${String(check.exitCode)}, ${gistOf(check.outputTail)} (${durationWords(check.durationMs)})`,
          "cyan",
        );
      });
    const { qa } = attempt;
    if (qa !== undefined) once(`${key} verdict`, () => sayVerdict(step, qa));
    sayEnds("qa");
  };
  const sayVerdict = (step: Step, { criteria }: QaReport): void => {
    const failed = criteria.filter(({ pass }) => !pass);
    if (failed.length === 0) terminal.line("QA", `passes all ${String(criteria.length)} criteria`, "magenta");
    for (const { id, evidence } of failed)
      terminal.line("✖ QA", `fails ${id}: ${textOf(step.passCriteria, id)}\n${evidence}`, "red");
  };
  const sayEnd = (run: Run): void => {
    const { usage } = run;
    const spent =
      usage === null
        ? ""
        : `, ${numberWords(usage.inputTokens + usage.outputTokens)} tokens, ${costWords(usage.costUsd)}`;
    terminal.line(
      nameOf(run.role),
      `is done after ${spanWords(run.startedAt, run.endedAt ?? run.startedAt) ?? "some time"}${spent}`,
      "dim",
    );
  };
  const lookNow = async (): Promise<TaskOnDisk | undefined> => {
    const found = await readOnlyTask(projects);
    for (const step of found?.steps ?? []) sayStep(step, found?.steps.length ?? 0);
    return found;
  };
  /** One look at a time, so that nothing is printed twice or in the wrong order. */
  const look = (): Promise<TaskOnDisk | undefined> => (looking = looking.catch(() => undefined).then(lookNow));
  return {
    look,
    acted: async (turn, answer) => {
      if (turn.role !== "builder" && turn.role !== "qa") return;
      await look().catch(() => undefined); // The next look shows what this one missed.
      const last = turn.results.at(-1);
      if (last?.name === "exec")
        terminal.line("", `exit code ${String(exitCodeOf(last))}: ${shorten(gistOf(outputOf(last)))}`);
      if (last !== undefined && isRefusal(last.text))
        terminal.line("", `${last.name} answered: ${last.text ?? ""}`, "red");
      for (const { name, args } of ("calls" in answer ? answer.calls : undefined) ?? [])
        terminal.line(nameOf(turn.role), actWords(name, { ...args }), turn.role === "qa" ? "magenta" : "blue");
    },
  };
}

/** The first task of the first project below the folder. */
async function readOnlyTask(projects: string): Promise<TaskOnDisk | undefined> {
  const firstIn = async (folder: string): Promise<string | undefined> =>
    (await readdir(folder).catch(() => [])).find((name) => !name.startsWith("."));
  const projectId = await firstIn(projects);
  const tasks = join(projects, projectId ?? "", "tasks");
  const taskId = await firstIn(tasks);
  if (projectId === undefined || taskId === undefined) return undefined;
  const folder = join(tasks, taskId);
  const read = (...path: readonly string[]): Promise<string> => readFile(join(...path), "utf8");
  const task = parseTask(await read(folder, "task.json"));
  const steps = await Promise.all(task.steps.map(async ({ file }) => parseStep(await read(folder, file))));
  return { project: parseProject(await read(projects, projectId, "project.json")), task, steps, folder };
}

function actWords(tool: string, args: { readonly [key: string]: unknown }): string {
  switch (tool) {
    case "write":
      return `writes ${String(args["path"])}`;
    case "edit":
      return `edits ${String(args["path"])}`;
    case "read":
      return `reads ${String(args["path"])}`;
    case "exec":
      return `runs ${shorten(String(args["command"]))}`;
    case "record_builder_result":
      return `reports ${String(args["outcome"])}: ${String(args["summary"])}`;
    case "record_qa_result":
      return "reports what it saw";
    default:
      return `calls ${tool}`;
  }
}

const shorten = (text: string): string => (text.length > 160 ? `${text.slice(0, 159)}…` : text);
const nameOf = (role: string): string => (role === "qa" ? "QA" : role);
const isRefusal = (text = ""): boolean => /^(?:Refused|\{"status":"error")/.test(text);
const placeOf = (step: Step, steps: number): string => `Step ${String(step.index)} of ${String(steps)}`;
const attemptsOf = ({ attempt }: Step): string => (attempt === 1 ? "1 attempt" : `${String(attempt)} attempts`);
const timeOf = (step: Step): string =>
  spanWords(step.attempts[0]?.runs[0]?.startedAt ?? "", step.updatedAt) ?? "some time";
const textOf = (criteria: readonly Criterion[], id: string): string =>
  criteria.find((one) => one.id === id)?.text ?? "";

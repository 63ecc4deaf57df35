/**
 * The pages for people: project.md, task.md and steps/<id>.md, from the stored documents and nothing else. They are
 * derived and never read back; the store adds the last line. Pure: the same documents give the same bytes.
 */
import { parseProject, parseStep, parseTask } from "../schema/documents.ts";
import { loadTemplate } from "./templates.ts";
import {
  viewProject,
  viewStep,
  viewTask,
  type ProjectView,
  type StepView,
  type TaskRow,
  type TaskView,
} from "./view.ts";

/** What the store hands over; its `RenderPages` is this function's type. */
export type PagesInput = {
  readonly stream: { readonly projectId: string; readonly taskId?: string };
  readonly documents: Readonly<Record<string, string>>;
  readonly changed?: readonly string[];
  readonly tasks?: readonly TaskRow[];
};

const projectPage = loadTemplate<ProjectView>("project");
const taskPage = loadTemplate<TaskView>("task");
const stepPage = loadTemplate<StepView>("step");

const stepPrefix = "steps/";
/** Grows whenever the same documents give another page of a task or a step: pages on the disk that name an older one are rendered anew. A test says when. */
export const rendering = 4;

/**
 * Renders the pages that show a changed document (all when `changed` is missing), by document name. The task's page
 * shows its steps, so it is always among a task's; a step's page follows its own document alone. Throws what parsing a
 * document throws.
 */
export function renderPages(input: PagesInput): Readonly<Record<string, string>> {
  return input.stream.taskId === undefined ? projectPages(input) : taskPages(input);
}

function projectPages({ documents, tasks = [] }: PagesInput): Readonly<Record<string, string>> {
  const project = documents["project"];
  return project === undefined ? {} : { project: projectPage(viewProject(parseProject(project), tasks)) };
}

function taskPages({ documents, changed }: PagesInput): Readonly<Record<string, string>> {
  const text = documents["task"];
  if (text === undefined) return {};
  const task = parseTask(text);
  const steps = Object.entries(documents)
    .filter(([name]) => name.startsWith(stepPrefix))
    .map(([name, step]) => ({ name, step: parseStep(step, name) }));
  const due = steps.filter(({ name }) => changed === undefined || changed.includes(name));
  return {
    task: taskPage(
      viewTask(
        task,
        steps.map(({ step }) => step),
      ),
    ),
    ...Object.fromEntries(due.map(({ name, step }) => [name, stepPage(viewStep(task, step))])),
  };
}

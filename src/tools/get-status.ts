/**
 * get_status: where everything stands, in our words, ids and numbers; people's and agents' text only as quotations.
 * At most 24 KB: lists are cut from their end and `truncated` says so.
 */
import { refuse, type Refusal } from "../errors.ts";
import { currentAttempt, isFinished, openRuns } from "../flow/ready.ts";
import { bounds, byteLength } from "../schema/bounds.ts";
import type { StatusDetails, WaitsFor } from "../schema/details.ts";
import type { Project, Step, TaskState, Usage } from "../schema/documents.ts";
import { GetStatusParameters } from "../schema/parameters.ts";
import { quoteText } from "../render/quote.ts";
import { runsOf, sumUsage } from "../render/usage.ts";
import { nameOfStream, type Snapshot, type Stream } from "../store/store.ts";
import type { Desk } from "./desk.ts";
import { refuseRollback, type Rollback } from "./rollback.ts";
import { unknownTask } from "./start-task.ts";
import {
  defineTool,
  describeFailure,
  findTask,
  readProject,
  readTask,
  rollbackOf,
  type Answer,
  type ReadTask,
  type UnreadableTask,
} from "./tool.ts";

export const getStatus = defineTool({
  name: "get_status",
  label: "Get status",
  description:
    "Where projects, tasks and steps stand, what waits for what, and what to do next. Without ids: all projects.",
  audience: "orchestrator",
  parameters: GetStatusParameters,
  readsOnly: true,
  async run({ projectId, taskId, stepId, verify }, { desk }) {
    if (stepId !== undefined && taskId === undefined)
      return refuse("invalid-parameters", "stepId is given without taskId.", ["taskId and stepId together"]);
    const view =
      taskId !== undefined
        ? await viewTask(desk, taskId, stepId)
        : projectId !== undefined
          ? await viewProject(desk, projectId)
          : await viewAll(desk);
    if ("ok" in view) return view;
    const verified = verify === true ? { verify: await verifyStreams(desk, view.streams) } : {};
    return answer({ ...view.details, ...verified });
  },
});

type View = { readonly details: StatusDetails; readonly streams: readonly Stream[] };

// ---- the three views

async function viewAll(desk: Desk): Promise<View> {
  const streams = await desk.store.list();
  const found = await Promise.all(
    streams.filter((stream) => stream.taskId === undefined).map((stream) => tryProject(desk, stream, streams)),
  );
  const projects = found.flatMap((one) => (one.summary === undefined ? [] : [one.summary]));
  const warnings = found.flatMap((one) => one.warnings);
  const remarks = desk.live.remarks();
  const next = [
    ...remarks,
    ...(projects.length === 0
      ? ["create_project starts the first project"]
      : ["get_status with a projectId shows its tasks"]),
  ];
  return {
    details: { projects, ...(warnings.length === 0 ? {} : { warnings }), waitsFor: [], next, truncated: false },
    streams,
  };
}

async function viewProject(desk: Desk, projectId: string): Promise<View | Refusal> {
  const found = await readProject(desk, projectId);
  if (!found.ok) return found;
  const streams = (await desk.store.list()).filter((stream) => stream.projectId === projectId);
  const { tasks, unreadable } = await readTasks(desk, streams);
  const rolledBack = await rollbacksOf(desk, tasks);
  const copied = found.snapshot.readOnly !== undefined;
  const ordered = tasks.toSorted(
    (one, other) =>
      rank(one.state) - rank(other.state) || other.state.task.updatedAt.localeCompare(one.state.task.updatedAt),
  );
  return {
    streams,
    details: {
      projects: [],
      project: {
        ...summarizeProject(desk, found, tasks, unreadable),
        taskList: ordered.map((one) => summarizeTask(desk, one.stream, one.state)),
        usage: usageOf(tasks.flatMap((one) => one.state.steps)),
        warnings: [
          ...warningsOf(desk, found.snapshot),
          ...unreadable.map(warningAbout),
          ...rolledBack.values().map((one) => readOnlyWords(refuseRollback(one))),
          ...(copied
            ? []
            : tasks.flatMap(({ stream, snapshot }) =>
                snapshot.readOnly === undefined ? [] : [`task ${stream.taskId} is ${readOnlyWords(snapshot.readOnly)}`],
              )),
        ],
      },
      waitsFor: tasks
        .filter(isWritable)
        .flatMap((one) => waitsOf(desk, one.stream, one.state, rolledBack.get(one.state.task.id))),
      next: copied
        ? [`Nothing here: project ${projectId} is read-only; get_status without ids lists the others`]
        : tasks.length === 0 && unreadable.length === 0
          ? [`create_task with projectId ${projectId}`]
          : ordered
              .filter((one) => isWritable(one) && !isEnded(one.state))
              .flatMap((one) => nextOf(one.state, rolledBack.get(one.state.task.id))),
      truncated: false,
    },
  };
}

async function viewTask(desk: Desk, taskId: string, stepId: string | undefined): Promise<View | Refusal> {
  const stream = await findTask(desk, taskId);
  const found = stream === undefined ? undefined : await readTask(desk, stream);
  if (stream === undefined || found === undefined) return unknownTask(taskId);
  if (!("state" in found)) return refuse(found.code, found.reason);
  const { snapshot, state } = found;
  const readOnly = snapshot.readOnly !== undefined;
  const step = stepId === undefined ? undefined : state.steps.find((one) => one.id === stepId);
  if (stepId !== undefined && step === undefined)
    return refuse(
      "unknown-step",
      `Task ${taskId} has no step ${JSON.stringify(stepId.slice(0, 80))}.`,
      state.steps.slice(0, 20).map((one) => one.id),
    );
  const { task } = state;
  const rollback = readOnly ? undefined : await rollbackOf(desk, snapshot);
  const asked = [
    ...(task.question === null ? [] : [{ stepId: null, question: task.question }]),
    ...questionsOf(state.steps),
  ];
  return {
    streams: [stream],
    details: {
      projects: [],
      task: {
        ...summarizeTask(desk, stream, state),
        projectId: task.projectId,
        dependsOn: [...task.dependsOn],
        flowId: task.flowId,
        questions: asked.map(({ stepId: where, question }) => ({
          stepId: where,
          questionId: question.id,
          kind: question.kind,
          text: quoteText(question.text),
          choices: [...question.choices],
        })),
        steps: state.steps.map(summarizeStep),
        usage: usageOf(state.steps),
        warnings: [
          ...warningsOf(desk, snapshot),
          ...(rollback === undefined ? [] : [readOnlyWords(refuseRollback(rollback))]),
        ],
        pagePath: desk.store.locate(stream, "task", "page"),
      },
      ...(step === undefined ? {} : { step: describeStep(desk, stream, step) }),
      waitsFor: readOnly ? [] : waitsOf(desk, stream, state, rollback),
      next: readOnly ? [`Nothing here: task ${taskId} is read-only`] : nextOf(state, rollback),
      truncated: false,
    },
  };
}

// ---- parts

/** What the runs of the steps used, without the counts of runs that the sum carries along. */
function usageOf(steps: readonly Step[]): Usage {
  const { inputTokens, outputTokens, costUsd } = sumUsage(runsOf(steps));
  return { inputTokens, outputTokens, costUsd };
}

/** One project among all: what cannot be read of it is a warning, so that the others are still told. */
async function tryProject(desk: Desk, stream: Stream, streams: readonly Stream[]) {
  const { tasks, unreadable } = await readTasks(
    desk,
    streams.filter((one) => one.projectId === stream.projectId),
  );
  const rolledBack = await rollbacksOf(desk, tasks);
  const warnings = [
    ...unreadable.map(warningAbout),
    ...rolledBack.values().map((one) => readOnlyWords(refuseRollback(one))),
  ];
  try {
    const found = await readProject(desk, stream.projectId);
    if (found.ok) return { summary: summarizeProject(desk, found, tasks, unreadable), warnings };
    return { summary: undefined, warnings: [warningAbout({ stream, ...found }), ...warnings] };
  } catch (error) {
    return { summary: undefined, warnings: [warningAbout({ stream, ...describeFailure(error) }), ...warnings] };
  }
}

type FoundProject = { readonly project: Project; readonly snapshot: Snapshot };

/** A project under the name of its folder: a copy holds the id of the original. */
function summarizeProject(
  desk: Desk,
  { project, snapshot }: FoundProject,
  tasks: readonly ReadTask[],
  unreadable: readonly UnreadableTask[],
) {
  const counts: Record<string, number> = {};
  for (const status of [...tasks.map((one) => one.state.task.status), ...unreadable.map(() => "unreadable")])
    counts[status] = (counts[status] ?? 0) + 1;
  const { stream, readOnly } = snapshot;
  return {
    projectId: stream.projectId,
    name: quoteText(project.name),
    repoPath: project.repo,
    tasks: counts,
    projectPath: desk.store.locate(stream, "project", "document"),
    ...(readOnly === undefined ? {} : { readOnly: readOnlyWords(readOnly) }),
  };
}

async function readTasks(
  desk: Desk,
  streams: readonly Stream[],
): Promise<{ readonly tasks: readonly ReadTask[]; readonly unreadable: readonly UnreadableTask[] }> {
  const tasks: ReadTask[] = [];
  const unreadable: UnreadableTask[] = [];
  for (const stream of streams) {
    const found = stream.taskId === undefined ? undefined : await readTask(desk, stream);
    if (found === undefined) continue;
    if ("state" in found) tasks.push(found);
    else unreadable.push(found);
  }
  return { tasks, unreadable };
}

/** The tasks that may still change and were rolled back, by id. */
async function rollbacksOf(desk: Desk, tasks: readonly ReadTask[]): Promise<ReadonlyMap<string, Rollback>> {
  const found = new Map<string, Rollback>();
  for (const task of tasks) {
    const rollback = isWritable(task) && !isEnded(task.state) ? await rollbackOf(desk, task.snapshot) : undefined;
    if (rollback !== undefined) found.set(task.state.task.id, rollback);
  }
  return found;
}

function warningAbout({ stream, code, reason }: UnreadableTask): string {
  const what =
    stream.taskId === undefined
      ? `project ${stream.projectId}`
      : `task ${stream.taskId} of project ${stream.projectId}`;
  return `${what} is unreadable (${code}): ${reason}`;
}

function summarizeTask(desk: Desk, stream: Stream, { task, steps }: TaskState) {
  return {
    // The folder's name: a copy of it holds the id of the original.
    taskId: stream.taskId ?? task.id,
    title: quoteText(task.title),
    taskStatus: task.status,
    stepsFinished: steps.filter(isFinished).length,
    stepsTotal: steps.length,
    taskPath: desk.store.locate(stream, "task", "document"),
  };
}

function summarizeStep(step: Step) {
  const { id: stepId, status: stepStatus, attempt, maxAttempts, passedBy } = step;
  return { stepId, title: quoteText(step.title), stepStatus, attempt, maxAttempts, passedBy };
}

function describeStep(desk: Desk, stream: Stream, step: Step) {
  const attempt = currentAttempt(step);
  const judged = new Map((attempt?.qa?.criteria ?? []).map((one) => [one.id, one]));
  return {
    ...summarizeStep(step),
    taskId: step.taskId,
    criteria: step.passCriteria.map(({ id, text }) => ({
      id,
      text: quoteText(text),
      pass: judged.get(id)?.pass ?? null,
      evidence: judged.has(id) ? quoteText(judged.get(id)?.evidence ?? "") : null,
    })),
    checks: (attempt?.checks ?? []).map(({ name, exitCode }) => ({ name: quoteText(name), exitCode })),
    runs: (attempt?.runs ?? []).map(({ runId, role, startedAt, endedAt, end }) => {
      const activity = endedAt === null ? desk.live.activity(runId) : undefined;
      return { runId, role, startedAt, endedAt, end, ...(activity === undefined ? {} : { activity }) };
    }),
    usage: usageOf([step]),
    pagePath: desk.store.locate(stream, `steps/${step.id}`, "page"),
  };
}

function waitsOf(desk: Desk, stream: Stream, state: TaskState, rollback?: Rollback): readonly WaitsFor[] {
  const { task, steps } = state;
  const taskId = task.id;
  if (rollback !== undefined) return [{ taskId, kind: "person", id: "state-rolled-back" }];
  if (isEnded(state)) return [];
  return [
    ...(task.status === "waiting" ? task.dependsOn.map((id): WaitsFor => ({ taskId, kind: "task", id })) : []),
    ...(task.question === null ? [] : [{ taskId, kind: "person" as const, id: task.question.id }]),
    ...questionsOf(steps).map(({ stepId, question }): WaitsFor => ({
      taskId,
      stepId,
      kind: "person",
      id: question.id,
    })),
    ...steps.flatMap((step) =>
      openRuns(step).map((run): WaitsFor => ({ taskId, stepId: step.id, kind: "run", id: run.runId })),
    ),
    ...desk.live.waitsFor(stream),
  ];
}

function questionsOf(steps: readonly Step[]) {
  return steps.flatMap((step) => (step.question === null ? [] : [{ stepId: step.id, question: step.question }]));
}

function nextOf(state: TaskState, rollback?: Rollback): readonly string[] {
  const { task, steps } = state;
  if (rollback !== undefined)
    return [
      `Tell the owner that an older copy of task ${task.id} was restored (state-rolled-back) and ask whether it goes on from there. With the owner's words as reason, set_task_status running of task ${task.id} carries the answer; the newer files put back end it too`,
    ];
  const answers = questionsOf(steps).map(
    ({ stepId, question }) =>
      `Ask the owner about step ${stepId} (${question.kind}; choices: ${question.choices.join(", ")}) and wait. With the owner's words as reason, set_step_status of task ${task.id}, step ${stepId}, carries the answer.`,
  );
  switch (task.status) {
    case "draft":
      return [`start_task with taskId ${task.id}, when the owner wants it to begin`];
    case "waiting":
      return task.question === null
        ? [`Nothing: task ${task.id} begins when ${firstOf(task.dependsOn)} are done`]
        : [
            `Ask the owner whether task ${task.id} goes on without the cancelled task (set_task_status running) or is cancelled`,
          ];
    case "paused":
      return [`set_task_status running for task ${task.id}, when the owner wants it to go on`, ...answers];
    case "blocked":
      return answers;
    case "running":
      return [
        `Nothing for task ${task.id}: runs follow by themselves and this chat is told of each result`,
        ...answers,
      ];
    case "done":
      return [`Tell the owner that task ${task.id} is done and where its page is`];
    case "cancelled":
      return [`create_task when the work of task ${task.id} is wanted after all`];
    default:
      return [];
  }
}

/** The first few ids of a list, and how many more there are: one sentence stays one sentence. */
function firstOf(ids: readonly string[]): string {
  const more = ids.length - 10;
  return more > 0 ? `${ids.slice(0, 10).join(", ")} and ${more} more` : ids.join(", ");
}

const isEnded = ({ task }: TaskState) => task.status === "done" || task.status === "cancelled";
const isWritable = ({ snapshot }: ReadTask) => snapshot.readOnly === undefined;
const rank = (state: TaskState) => (isEnded(state) ? 1 : 0);
const warningsOf = (desk: Desk, snapshot: Snapshot) => [
  ...desk.live.remarks(),
  ...snapshot.warnings,
  ...(snapshot.readOnly === undefined ? [] : [readOnlyWords(snapshot.readOnly)]),
];
const readOnlyWords = ({ code, reason }: { readonly code: string; readonly reason: string }) =>
  `read-only (${code}): ${reason}`;

async function verifyStreams(desk: Desk, streams: readonly Stream[]) {
  const findings = [];
  for (const stream of streams)
    for (const { name, what, repaired } of await desk.store.verify(stream))
      findings.push({ stream: nameOfStream(stream), name, what, repaired });
  return { streams: streams.length, findings };
}

// ---- bounding and saying it

function answer(details: StatusDetails): Answer {
  const fitting = fit(details);
  return { text: inWords(fitting), details: fitting };
}

/** Cuts lists from their end until the answer is within its bound. */
function fit(details: StatusDetails): StatusDetails {
  let share = 1;
  let cut = details;
  while (byteLength(JSON.stringify(cut)) + byteLength(inWords(cut)) > bounds.statusBytes && share > 1 / 4096) {
    share /= 2;
    cut = { ...(shorten(details, share) as StatusDetails), truncated: true };
  }
  return cut;
}

function shorten(value: unknown, share: number): unknown {
  if (Array.isArray(value))
    return value
      .slice(0, Math.max(value.length > 0 ? 1 : 0, Math.floor(Math.min(value.length, 400) * share)))
      .map((item) => shorten(item, share));
  if (typeof value !== "object" || value === null) return value;
  // A question with some of its choices would be another question.
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, key === "choices" ? item : shorten(item, share)]),
  );
}

function inWords(details: StatusDetails): string {
  const { projects, warnings = [], project, task, step, waitsFor, next, truncated, verify } = details;
  const counts = (tasks: Readonly<Record<string, number>>) =>
    Object.entries(tasks)
      .map(([status, count]) => `${count} ${status}`)
      .join(", ") || "no tasks";
  const tokens = (usage: { readonly inputTokens: number; readonly outputTokens: number; readonly costUsd: number }) =>
    `${usage.inputTokens} tokens in, ${usage.outputTokens} out, $${usage.costUsd.toFixed(4)}`;
  const lines = [
    ...projects.map(
      (one) =>
        `Project ${one.projectId} (${one.name}): ${counts(one.tasks)}.${one.readOnly === undefined ? "" : ` It is ${one.readOnly}`}`,
    ),
    ...warnings.map((warning) => `Warning: ${warning}`),
    ...(project === undefined
      ? []
      : [
          `Project ${project.projectId} (${project.name}): ${counts(project.tasks)}; ${tokens(project.usage)}. Works in ${project.repoPath}.`,
          ...project.taskList.map(
            (one) =>
              `- Task ${one.taskId} (${one.title}): ${one.taskStatus}, ${one.stepsFinished} of ${one.stepsTotal} steps finished.`,
          ),
          ...project.warnings.map((warning) => `Warning: ${warning}`),
        ]),
    ...(task === undefined
      ? []
      : [
          `Task ${task.taskId} (${task.title}) of project ${task.projectId}: ${task.taskStatus}, ${task.stepsFinished} of ${task.stepsTotal} steps finished; ${tokens(task.usage)}. Page: ${task.pagePath}`,
          ...task.steps.map(
            (one) =>
              `- Step ${one.stepId} (${one.title}): ${one.stepStatus}, attempt ${one.attempt} of ${one.maxAttempts}${one.passedBy === "person" ? ", accepted by a person, not by QA" : ""}.`,
          ),
          ...task.questions.map(
            (one) =>
              `Open question${one.stepId === null ? "" : ` about ${one.stepId}`} (${one.kind}): ${one.text} Choices: ${one.choices.join("; ")}.`,
          ),
          ...task.warnings.map((warning) => `Warning: ${warning}`),
        ]),
    ...(step === undefined
      ? []
      : [
          `Step ${step.stepId}: ${tokens(step.usage)}. Page: ${step.pagePath}`,
          ...step.criteria.map(
            (one) =>
              `- ${one.id} ${one.pass === null ? "not judged" : one.pass ? "pass" : "fail"}: ${one.text}${one.evidence === null ? "" : ` Evidence: ${one.evidence}`}`,
          ),
          ...step.checks.map((one) => `- check ${one.name}: exit code ${one.exitCode ?? "none"}`),
          ...step.runs.map(
            (one) =>
              `- run ${one.runId}: ${one.end ?? "live"}${one.activity === undefined ? "" : `, last sign of life ${one.activity.lastEventAt}${one.activity.tool === null ? "" : ` (${one.activity.tool})`}`}`,
          ),
        ]),
    ...waitsFor.map(
      (one) => `Waits: ${one.taskId}${one.stepId === undefined ? "" : ` ${one.stepId}`} for ${one.kind} ${one.id}.`,
    ),
    ...(verify === undefined
      ? []
      : [
          `Verified ${verify.streams} ${verify.streams === 1 ? "stream" : "streams"}: ${verify.findings.length === 0 ? "every file agrees with its journal" : `${verify.findings.length} differences`}.`,
          ...verify.findings.map(
            (one) => `- ${one.stream} ${one.name}: ${one.what}${one.repaired ? " (repaired)" : ""}`,
          ),
        ]),
    ...next.map((one) => `Next: ${one}.`.replace(/\.\.$/, ".")),
    ...(truncated ? ["(Cut to fit; ask for one project, task or step to see more.)"] : []),
  ];
  return lines.length === 0 ? "There are no projects yet. Next: create_project." : lines.join("\n");
}

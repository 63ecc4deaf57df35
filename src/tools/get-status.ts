/**
 * get_status: where everything stands, in our words, ids and numbers; people's and agents' text only as quotations, with
 * the page that has the rest. At most 24 KB (`fit-status`); what to do next is said in `next`.
 */
import { refuse, type ErrorCode, type Refusal } from "../errors.ts";
import { currentAttempt, openRuns } from "../flow/ready.ts";
import type { Activity, StatusDetails, WaitsFor } from "../schema/details.ts";
import type { Project, Run, Step, Usage } from "../schema/documents.ts";
import { hasEnded, outlineOf, type Outline } from "../schema/outline.ts";
import { GetStatusParameters } from "../schema/parameters.ts";
import { quoteText } from "../render/quote.ts";
import { usageOf as sumOf } from "../render/usage.ts";
import { countWords, durationWords, roleWord } from "../render/words.ts";
import type { Snapshot, Stream, TaskGlance } from "../store/store.ts";
import type { Desk } from "./desk.ts";
import { fitStatus } from "./fit-status.ts";
import {
  goesByItself,
  inOrder,
  nextOf,
  nextOfDelay,
  nextOfMoreQuestions,
  nextOfRollback,
  nextOfUnusable,
  nextOfWarnings,
  type DependencyStatus,
  type Next,
} from "./next.ts";
import { refuseRollback, type Rollback } from "./rollback.ts";
import {
  defineTool,
  describeFailure,
  findTask,
  isId,
  projectTroubleWords,
  readProject,
  readTask,
  rollbackAtGlance,
  rollbackOf,
  troubleOfProject,
  unknownProject,
  unknownTask,
  type ReadTask,
  type UnreadableTask,
} from "./tool.ts";
import { verifyStreams } from "./verify.ts";

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
        ? await viewTask(desk, projectId, taskId, stepId)
        : projectId !== undefined
          ? await viewProject(desk, projectId)
          : await viewAll(desk);
    if ("ok" in view) return view;
    return verify === true ? fit(view, { verify: await verifyStreams(desk.store, view.streams()) }) : fitOnce(view);
  },
});

/**
 * What an answer says; `restIsFound`: how to ask for what does not fit in it. `totals`: how long lists are of which it has the beginning. `madeOf`: what
 * the answer follows from; it is made once for as long as that is the same.
 */
type View = {
  readonly details: () => StatusDetails;
  readonly streams: () => readonly Stream[];
  readonly restIsFound: string;
  readonly totals?: ReadonlyMap<string, number>;
  readonly madeOf?: { readonly overview: Overview; readonly facts: string };
};

const fit = ({ details, restIsFound, totals }: View, verified: Pick<StatusDetails, "verify"> = {}) =>
  fitStatus({ ...details(), ...verified }, restIsFound, inWords, totals);

const answers = new WeakMap<Overview, { readonly facts: string; readonly answer: ReturnType<typeof fit> }>();

function fitOnce(view: View): ReturnType<typeof fit> {
  if (view.madeOf === undefined) return fit(view);
  const { overview, facts } = view.madeOf;
  const known = answers.get(overview);
  if (known?.facts === facts) return known.answer;
  const answer = fit(view);
  answers.set(overview, { facts, answer });
  return answer;
}

/** So many tasks of a project are read; of the others counts are told, and what a list says. Those that go on or ask come first. */
const tasksRead = 20;
/** So many tasks fit into an answer, with what else is said of them. */
const tasksListed = 50;

// ---- the three views

async function viewAll(desk: Desk): Promise<View> {
  const looks: ProjectLook[] = [];
  for (const projectId of await desk.store.projects()) looks.push(await lookAtProject(desk, projectId));
  const projects = looks.map((look) => summarizeProject(desk, look));
  const asking = looks.flatMap((look) => {
    const read = openTasksOf(look)
      .flatMap((one) => waitsOf(desk, one, new Map(), look.rolledBack.get(one)))
      .filter((one) => one.kind === "person").length;
    const isUsable = look.readOnly === undefined && look.failure === undefined;
    const count = read + (isUsable ? questionsIn(look.overview.asking) : 0);
    return count === 0 ? [] : [{ projectId: look.projectId, count }];
  });
  return {
    streams: () => looks.flatMap(streamsOf),
    restIsFound: "get_status with a projectId shows one project; the folders in projects/ are the whole list",
    details: () => ({
      projects,
      waitsFor: [],
      next: [
        ...desk.live.remarks(),
        ...asking.map(
          ({ projectId, count }) =>
            `get_status with projectId ${projectId} shows the ${count === 1 ? "question that waits" : `${count} questions that wait`} for the owner`,
        ),
        ...inOrder(looks.flatMap(nextOfProject)),
        projects.length === 0
          ? "create_project starts the first project"
          : "get_status with a projectId shows its tasks",
      ],
      truncated: false,
    }),
  };
}

async function viewProject(desk: Desk, projectId: string): Promise<View | Refusal> {
  if (!isId(projectId)) return unknownProject(projectId);
  const look = await lookAtProject(desk, projectId);
  const { overview, failure } = look;
  if (failure?.code === "unknown-project" && overview.glances.length === 0) return unknownProject(projectId);
  const { listed } = overview;
  const pagePath = desk.store.locate({ projectId }, "project", "page");
  return {
    streams: () => streamsOf(look),
    ...(listed.length > tasksListed ? { totals: new Map([["project.taskList", listed.length]]) } : {}),
    restIsFound: `get_status with a taskId shows one task; ${pagePath} lists up to 200, unfinished first, and the folders in tasks/ beside it are the whole list`,
    details: () => detailsOfProject(desk, look, pagePath),
    madeOf: { overview, facts: factsOf(desk, look, pagePath) },
  };
}

/** What an answer about a project follows from beside its overview. What documents say is left out, for which sums stand. */
function factsOf(desk: Desk, { found, failure, tasks, unreadable, rolledBack }: ProjectLook, pagePath: string): string {
  const standing = ({ seq, sum, warnings, readOnly }: Snapshot) => [seq, sum, warnings, readOnly];
  return JSON.stringify([
    pagePath,
    desk.settings.notify,
    desk.live.remarks(),
    failure,
    found === undefined ? undefined : standing(found.snapshot),
    tasks.map((one) => [
      one.stream.taskId,
      ...standing(one.snapshot),
      rolledBack.get(one),
      desk.live.waitsFor(one.stream),
      desk.live.delayOf(one.stream),
    ]),
    unreadable.map(({ stream, code, reason }) => [stream.taskId, code, reason]),
  ]);
}

function detailsOfProject(desk: Desk, look: ProjectLook, pagePath: string): StatusDetails {
  const { projectId, overview } = look;
  const isUsable = look.readOnly === undefined && look.failure === undefined;
  const statuses = statusesIn(look);
  const open = openTasksOf(look);
  const next = [
    ...nextOfProject(look),
    // Before those of which more is said, which may have to be cut.
    ...(isUsable && overview.asking.length > 0
      ? [nextOfMoreQuestions(questionsIn(overview.asking), overview.asking.map(taskIdOf))]
      : []),
    ...open.flatMap((one) => [
      ...(one.snapshot.warnings.length === 0 ? [] : [nextOfWarnings(`task ${one.state.task.id}`)]),
      ...nextOfTask(desk, one, statuses, look.rolledBack.get(one)),
    ]),
  ];
  const unread = isUsable ? overview.unreadOpen : 0;
  return {
    projects: [],
    project: {
      ...summarizeProject(desk, look),
      taskList: overview.listed
        .slice(0, tasksListed)
        .map(({ stream, outline }) => summarizeTask(desk, stream, outline)),
      usage: overview.usage,
      pagePath,
    },
    waitsFor: open.flatMap((one) => waitsOf(desk, one, statuses, look.rolledBack.get(one))),
    next: [
      ...desk.live.remarks(),
      ...inOrder(next),
      ...(next.length > 0 ? [] : [`create_task with projectId ${projectId}, when the owner wants something built`]),
      ...(unread === 0
        ? []
        : [
            `What ${unread} more unfinished ${unread === 1 ? "task waits" : "tasks wait"} for is not said here; get_status with a taskId says it`,
          ]),
    ],
    truncated: unread > 0,
  };
}

async function viewTask(
  desk: Desk,
  projectId: string | undefined,
  taskId: string,
  stepId: string | undefined,
): Promise<View | Refusal> {
  const stream = await findTask(desk, taskId, projectId);
  const found = stream === undefined ? undefined : await readTask(desk, stream);
  if (stream === undefined || found === undefined) return unknownTask(taskId, projectId);
  if (!("state" in found)) return refuse(found.code, found.reason);
  const { snapshot, state } = found;
  const { readOnly } = snapshot;
  const step = stepId === undefined ? undefined : state.steps.find((one) => one.id === stepId);
  if (stepId !== undefined && step === undefined)
    return refuse(
      "unknown-step",
      `Task ${taskId} has no step ${JSON.stringify(stepId.slice(0, 80))}.`,
      state.steps.slice(0, 20).map((one) => one.id),
    );
  const { task } = state;
  const pagePath = desk.store.locate(stream, "task", "page");
  const rollback =
    readOnly === undefined && !hasEnded(task) ? await rollbackOf(desk, snapshot, task.flowId) : undefined;
  const holders = desk.live.waitsFor(stream).map((one) => one.id);
  const statuses = await statusesOf(desk, stream.projectId, [
    ...(task.status === "waiting" ? task.dependsOn : []),
    ...holders,
  ]);
  const asked = [
    ...(task.question === null ? [] : [{ stepId: null, question: task.question }]),
    ...questionsOf(state.steps),
  ];
  // Of a task that is read-only itself no more is said: its project may be the reason.
  const trouble =
    readOnly === undefined && !hasEnded(task) ? await troubleOfProject(desk, stream.projectId) : undefined;
  const next = [
    ...(snapshot.warnings.length === 0 ? [] : [nextOfWarnings(`task ${taskId}`)]),
    ...(trouble === undefined ? [] : [nextOfUnusable(`project ${stream.projectId}`, trouble.code)]),
    ...(readOnly === undefined
      ? nextOfTask(desk, found, statuses, rollback).filter((one) => trouble === undefined || !goesByItself(one))
      : [nextOfUnusable(`task ${taskId}, which is read-only,`, readOnly.code)]),
  ];
  return {
    streams: () => [stream],
    restIsFound:
      step === undefined
        ? `get_status with taskId ${taskId} and a stepId shows one step; ${pagePath} has everything`
        : `${desk.store.locate(stream, `steps/${step.id}`, "page")} has everything about the step, ${pagePath} about the task`,
    details: () => ({
      projects: [],
      task: {
        ...summarizeTask(desk, stream, outlineOf(state)),
        projectId: stream.projectId,
        dependsOn: [...task.dependsOn],
        flowId: task.flowId,
        questions: asked.map(({ stepId: where, question }) => ({
          stepId: where,
          questionId: question.id,
          kind: question.kind,
          text: quote(question.text, pageOf(desk, stream, where)),
          choices: [...question.choices],
        })),
        steps: state.steps.map((one) => summarizeStep(desk, stream, one)),
        liveRuns: state.steps.flatMap((one) =>
          openRuns(one)
            .filter((run) => !isPlanned(one, run))
            .map((run) => describeLive(desk, one, run)),
        ),
        usage: usageOf(state.steps),
        durationMs: task.startedAt === null ? 0 : span(desk, task.startedAt, hasEnded(task) ? task.updatedAt : null),
        warnings: [
          ...warningsOf(snapshot),
          ...(rollback === undefined ? [] : [readOnlyWords(refuseRollback(rollback))]),
          ...(trouble === undefined ? [] : [projectTroubleWords(stream.projectId, trouble)]),
        ],
        pagePath,
      },
      ...(step === undefined ? {} : { step: describeStep(desk, stream, step) }),
      waitsFor: readOnly === undefined ? waitsOf(desk, found, statuses, rollback) : [],
      next: [...desk.live.remarks(), ...inOrder(next)],
      truncated: false,
    }),
  };
}

// ---- parts

/** What the runs of the steps used, without the counts of runs that the sum carries along. */
function usageOf(steps: readonly Pick<Step, "attempts">[]): Usage {
  const { inputTokens, outputTokens, costUsd } = sumOf(steps);
  return { inputTokens, outputTokens, costUsd };
}

/** A project with its tasks; what cannot be read of it is said, so that the rest is still told. */
type ProjectLook = {
  readonly projectId: string;
  readonly found?: { readonly project: Project; readonly snapshot: Snapshot };
  readonly failure?: { readonly code: ErrorCode; readonly reason: string };
  readonly readOnly: Snapshot["readOnly"];
  readonly overview: Overview;
  readonly tasks: readonly ReadTask[];
  readonly unreadable: readonly UnreadableTask[];
  /** The tasks that may still change and were rolled back. */
  readonly rolledBack: ReadonlyMap<ReadTask, Rollback>;
};

/** What follows from the glances of a project's tasks. */
type Overview = {
  readonly glances: readonly TaskGlance[];
  /** What can be read, unfinished tasks first, of those the last changed one. */
  readonly listed: readonly ListedTask[];
  /** Who is read: all of few; of many what is read-only, then those with a question, then what goes on. */
  readonly urgent: readonly TaskGlance[];
  /** Of the others, of which there are too many: who cannot be read, who is read-only, and who asks something. */
  readonly unreadable: readonly UnreadableTask[];
  readonly readOnly: readonly ReadOnlyTask[];
  readonly asking: readonly TaskGlance[];
  /** How many of the others have not ended: only the list tells of them. */
  readonly unreadOpen: number;
  readonly statuses: Statuses;
  readonly counts: Readonly<Record<string, number>>;
  readonly usage: Usage;
};

type ListedTask = TaskGlance & { readonly outline: Outline };
const isListed = (glance: TaskGlance): glance is ListedTask => glance.outline !== undefined;

type ReadOnlyTask = TaskGlance & { readonly readOnly: NonNullable<TaskGlance["readOnly"]> };
const isReadOnly = (glance: TaskGlance): glance is ReadOnlyTask => glance.readOnly !== undefined;

type Statuses = Pick<ReadonlyMap<string, DependencyStatus>, "get">;

const overviews = new WeakMap<readonly TaskGlance[], Overview>();

/** Made once for each state of the tasks: sorting thousands costs more than all the rest of an answer. */
function overviewOf(glances: readonly TaskGlance[]): Overview {
  const known = overviews.get(glances);
  if (known !== undefined) return known;
  const counts: Record<string, number> = {};
  const usage = { inputTokens: 0, outputTokens: 0, costUsd: 0 };
  const [unreadable, going, over]: [TaskGlance[], ListedTask[], ListedTask[]] = [[], [], []];
  for (const glance of glances) {
    if (!isListed(glance)) {
      // Why it cannot be read its glance says as well.
      unreadable.push(glance);
      continue;
    }
    const { status, usage: used } = glance.outline;
    (hasEnded(glance.outline) ? over : going).push(glance);
    counts[status] = (counts[status] ?? 0) + 1;
    usage.inputTokens += used.inputTokens;
    usage.outputTokens += used.outputTokens;
    usage.costUsd += used.costUsd;
  }
  const latest = (one: ListedTask, other: ListedTask) => byLatest(one.outline, other.outline);
  const open = going.toSorted(latest);
  const ended = open.length < tasksListed ? over.toSorted(latest) : over;
  const asks = ({ outline, readOnly }: ListedTask) =>
    readOnly !== undefined ? 3 : outline.questions > 0 ? 2 : outline.status === "draft" ? 0 : 1;
  const ranked = [...Map.groupBy([...open, ...ended.filter(isReadOnly)], asks)]
    .toSorted(([one], [other]) => other - one)
    .flatMap(([, alike]) => alike);
  const quiet = ranked.length < tasksRead ? ended.filter((one) => !isReadOnly(one)) : [];
  const urgent =
    glances.length > tasksRead ? [...ranked, ...quiet].slice(0, tasksRead) : [...unreadable, ...ranked, ...quiet];
  const isRead = new Set<TaskGlance>(urgent);
  const unread = [...unreadable, ...ranked].filter((one) => !isRead.has(one));
  const overview = {
    glances,
    listed: [...open, ...ended],
    urgent,
    unreadable: unread.flatMap(({ stream, failure }) => (failure === undefined ? [] : [{ stream, ...failure }])),
    statuses: statusesAt(glances),
    counts,
    usage: { ...usage, costUsd: Math.round(usage.costUsd * 1e6) / 1e6 },
    readOnly: unread.filter(isReadOnly),
    unreadOpen: open.filter((one) => !isRead.has(one)).length,
    asking: unread.filter(({ outline }) => outline !== undefined && !hasEnded(outline) && outline.questions > 0),
  };
  overviews.set(glances, overview);
  return overview;
}

/** Put in order by id when the first one is asked for: most answers ask for none. */
function statusesAt(glances: readonly TaskGlance[]): Statuses {
  let byId: Statuses | undefined;
  const all = () =>
    new Map(glances.map(({ stream, outline }) => [stream.taskId, outline?.status ?? "unreadable"] as const));
  return { get: (taskId) => (byId ??= all()).get(taskId) };
}

const streamsOf = ({ projectId, overview }: ProjectLook): readonly Stream[] => [
  { projectId },
  ...overview.glances.map(({ stream }) => stream),
];

type Changed = { readonly updatedAt: string };
/** The last changed one first. */
const byLatest = ({ updatedAt: one }: Changed, { updatedAt: other }: Changed) =>
  one < other ? 1 : one > other ? -1 : 0;

/** Unfinished tasks first, of those the last changed one. */
function inOrderOfUse(tasks: readonly ReadTask[]): readonly ReadTask[] {
  return tasks.toSorted(
    ({ state: { task: one } }, { state: { task: other } }) => rank(one) - rank(other) || byLatest(one, other),
  );
}

/** The tasks that something can be done about, in that order. */
function openTasksOf({ readOnly, failure, tasks }: ProjectLook): readonly ReadTask[] {
  const isUsable = readOnly === undefined && failure === undefined;
  return isUsable ? inOrderOfUse(tasks).filter((one) => isWritable(one) && !hasEnded(one.state.task)) : [];
}

const taskIdOf = ({ stream }: TaskGlance) => stream.taskId;
const questionsIn = (glances: readonly TaskGlance[]) =>
  glances.reduce((sum, { outline }) => sum + (outline?.questions ?? 0), 0);

async function lookAtProject(desk: Desk, projectId: string): Promise<ProjectLook> {
  const tasks: ReadTask[] = [];
  const open: { readonly task: ReadTask; readonly glance: TaskGlance }[] = [];
  const unreadable: UnreadableTask[] = [];
  const overview = overviewOf(await desk.store.tasks(projectId));
  unreadable.push(...overview.unreadable);
  for (const glance of overview.urgent) {
    const task = await readTask(desk, glance.stream);
    if (task === undefined) continue;
    if (!("state" in task)) {
      unreadable.push(task);
      continue;
    }
    tasks.push(task);
    if (isWritable(task) && !hasEnded(task.state.task)) open.push({ task, glance });
  }
  const rolledBack = new Map<ReadTask, Rollback>();
  // At the same time, for OpenClaw may have to be asked of each, and there are twenty at most.
  const rollbacks = await Promise.all(
    open.map(({ task, glance }) => rollbackAtGlance(desk, glance, task.state.task.flowId, task.snapshot)),
  );
  for (const [at, { task }] of open.entries()) {
    const rollback = rollbacks[at];
    if (rollback !== undefined) rolledBack.set(task, rollback);
  }
  const look = { projectId, readOnly: undefined, overview, tasks, unreadable, rolledBack };
  try {
    const found = await readProject(desk, projectId);
    return found.ok ? { ...look, found, readOnly: found.snapshot.readOnly } : { ...look, failure: found };
  } catch (error) {
    return { ...look, failure: describeFailure(error) };
  }
}

/** A project under the name of its folder: a copy holds the id of the original. */
function summarizeProject(desk: Desk, look: ProjectLook) {
  const { projectId, overview, found, failure, readOnly, tasks, unreadable, rolledBack } = look;
  const counts: Record<string, number> = { ...overview.counts };
  // What was read is newer than the glance that led to it.
  for (const { stream } of unreadable) {
    const before = overview.statuses.get(stream.taskId ?? "") ?? "unreadable";
    if (before !== "unreadable") counts[before] = (counts[before] ?? 1) - 1;
    if (counts[before] === 0) delete counts[before];
  }
  if (unreadable.length > 0) counts["unreadable"] = unreadable.length;
  const stream = { projectId };
  return {
    projectId,
    ...(found === undefined
      ? {}
      : {
          name: quote(found.project.name, desk.store.locate(stream, "project", "page")),
          repoPath: found.project.repo,
        }),
    tasks: counts,
    projectPath: desk.store.locate(stream, "project", "document"),
    ...(readOnly === undefined ? {} : { readOnly: readOnlyWords(readOnly) }),
    ...(failure === undefined ? {} : { unreadable: `unreadable (${failure.code}): ${failure.reason}` }),
    warnings: [
      ...(found?.snapshot.warnings ?? []),
      ...unreadable.map(({ stream: { taskId }, code, reason }) => `task ${taskId} is unreadable (${code}): ${reason}`),
      ...rolledBack.values().map((one) => readOnlyWords(refuseRollback(one))),
      ...(readOnly === undefined ? overview.readOnly : []).map(
        (one) => `task ${taskIdOf(one)}: ${readOnlyWords(one.readOnly)}`,
      ),
      // In a copied project every task is read-only for the same reason.
      ...tasks.flatMap(({ stream: { taskId }, snapshot }) =>
        (readOnly === undefined ? warningsOf(snapshot) : snapshot.warnings).map((one) => `task ${taskId}: ${one}`),
      ),
    ],
  };
}

/** What is wrong with the project as a whole, and which of its tasks nothing can be done with. */
function nextOfProject({
  projectId,
  overview,
  found,
  failure,
  readOnly,
  tasks,
  unreadable,
}: ProjectLook): readonly Next[] {
  const what = `project ${projectId}`;
  if (readOnly !== undefined) return [nextOfUnusable(`${what}, which is read-only,`, readOnly.code)];
  return [
    ...(failure === undefined ? [] : [nextOfUnusable(`${what}, which is unreadable,`, failure.code)]),
    ...((found?.snapshot.warnings.length ?? 0) === 0 ? [] : [nextOfWarnings(what)]),
    ...unreadable.map((one) => nextOfUnusable(`task ${one.stream.taskId}, which is unreadable,`, one.code)),
    ...tasks.flatMap(({ stream, snapshot }) =>
      snapshot.readOnly === undefined
        ? []
        : [nextOfUnusable(`task ${stream.taskId}, which is read-only,`, snapshot.readOnly.code)],
    ),
    ...overview.readOnly.map((one) => nextOfUnusable(`task ${taskIdOf(one)}, which is read-only,`, one.readOnly.code)),
  ];
}

/** How the tasks of a project stand. */
function statusesIn({ overview, unreadable }: ProjectLook): Statuses {
  const wrong = new Set(unreadable.map(({ stream }) => stream.taskId));
  return { get: (taskId) => (wrong.has(taskId) ? "unreadable" : overview.statuses.get(taskId)) };
}

async function statusesOf(
  desk: Desk,
  projectId: string,
  taskIds: readonly string[],
): Promise<ReadonlyMap<string, DependencyStatus>> {
  const statuses = new Map<string, DependencyStatus>();
  for (const taskId of taskIds) {
    const found = await readTask(desk, { projectId, taskId });
    if (found !== undefined) statuses.set(taskId, "state" in found ? found.state.task.status : "unreadable");
  }
  return statuses;
}

function summarizeTask(desk: Desk, stream: Stream, { title, status, steps, stepsFinished }: Outline) {
  return {
    // The folder's name: a copy of it holds the id of the original.
    taskId: stream.taskId ?? "",
    title: quote(title, desk.store.locate(stream, "task", "page")),
    taskStatus: status,
    stepsFinished,
    stepsTotal: steps,
    taskPath: desk.store.locate(stream, "task", "document"),
  };
}

function summarizeStep(desk: Desk, stream: Stream, step: Step) {
  const { id: stepId, status: stepStatus, attempt, maxAttempts, passedBy } = step;
  return { stepId, title: quote(step.title, pageOf(desk, stream, stepId)), stepStatus, attempt, maxAttempts, passedBy };
}

function describeStep(desk: Desk, stream: Stream, step: Step) {
  const attempt = currentAttempt(step);
  const judged = new Map((attempt?.qa?.criteria ?? []).map((one) => [one.id, one]));
  const pagePath = pageOf(desk, stream, step.id);
  return {
    ...summarizeStep(desk, stream, step),
    taskId: step.taskId,
    criteria: step.passCriteria.map(({ id, text }) => ({
      id,
      text: quote(text, pagePath),
      pass: judged.get(id)?.pass ?? null,
      evidence: judged.has(id) ? quote(judged.get(id)?.evidence ?? "", pagePath) : null,
    })),
    checks: (attempt?.checks ?? []).map(({ name, exitCode }) => ({ name: quote(name, pagePath), exitCode })),
    runs: (attempt?.runs ?? []).map((run) => describeRun(desk, run)),
    attempts: step.attempts.toReversed().map((one) => ({
      attempt: one.attempt,
      usage: usageOf([{ attempts: [one] }]),
      durationMs: one.runs.length === 0 ? 0 : span(desk, one.runs[0]?.startedAt ?? "", lastEnd(one.runs)),
    })),
    usage: usageOf([step]),
    pagePath,
  };
}

function describeRun(desk: Desk, run: Run) {
  const { runId, role, startedAt, endedAt, end, usage } = run;
  return {
    runId,
    role,
    startedAt,
    endedAt,
    end,
    durationMs: span(desk, startedAt, endedAt),
    usage,
    ...doingOf(desk, run),
  };
}

function describeLive(desk: Desk, step: Step, run: Run) {
  const { runId, role, startedAt } = run;
  return { stepId: step.id, runId, role, durationMs: span(desk, startedAt, null), ...doingOf(desk, run) };
}

/** Planned, and not known to be launched: OpenClaw may refuse it for hours. */
const isPlanned = ({ builder, qa }: Step, { runId }: Run) =>
  [builder, qa].some((seat) => seat.status === "launching" && seat.runId === runId);

function doingOf(desk: Desk, { runId, endedAt }: Run): { readonly activity?: Activity } {
  const activity = endedAt === null ? desk.live.activity(runId) : undefined;
  if (activity === undefined) return {};
  // Names of tools come from other plugins and servers, too; one that is no plain word is not repeated.
  const isPlain = activity.tool === null || /^[\w.-]{1,64}$/.test(activity.tool);
  return { activity: isPlain ? activity : { ...activity, tool: "another tool" } };
}

/** When the last of the runs ended; null while one goes on. */
function lastEnd(runs: readonly Run[]): string | null {
  const ends = runs.flatMap((run) => (run.endedAt === null ? [] : [run.endedAt]));
  return ends.length < runs.length ? null : (ends.toSorted().at(-1) ?? null);
}

/** Milliseconds between two moments, or until now. */
function span(desk: Desk, from: string, to: string | null): number {
  const until = to === null ? desk.now().getTime() : Date.parse(to);
  return Math.max(0, until - Date.parse(from)) || 0;
}

function nextOfTask(
  desk: Desk,
  { stream, state }: ReadTask,
  statuses: Statuses,
  rollback: Rollback | undefined,
): readonly Next[] {
  if (rollback !== undefined) return [nextOfRollback(state.task.id)];
  const delay = desk.live.delayOf(stream);
  return [
    ...(delay === undefined ? [] : [nextOfDelay(state.task.id, delay.since, quoteText(delay.words))]),
    ...nextOf(
      state,
      desk.store.locate(stream, "task", "page"),
      statuses,
      desk.live.waitsFor(stream),
      desk.settings.notify,
    ),
  ];
}

/** What holds the task up, a person's answer first; of the tasks it waits for only those that are not done. */
function waitsOf(
  desk: Desk,
  { stream, state }: ReadTask,
  statuses: Statuses,
  rollback: Rollback | undefined,
): readonly WaitsFor[] {
  const { task, steps } = state;
  const taskId = task.id;
  if (rollback !== undefined) return [{ taskId, kind: "person", id: "state-rolled-back" }];
  if (hasEnded(state.task)) return [];
  const dependsOn = task.status === "waiting" ? task.dependsOn.filter((id) => statuses.get(id) !== "done") : [];
  return [
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
    ...dependsOn.map((id): WaitsFor => ({ taskId, kind: "task", id })),
  ];
}

function questionsOf(steps: readonly Step[]) {
  return steps.flatMap((step) => (step.question === null ? [] : [{ stepId: step.id, question: step.question }]));
}

const isWritable = ({ snapshot }: ReadTask) => snapshot.readOnly === undefined;
const rank = (task: Pick<Outline, "status">) => (hasEnded(task) ? 1 : 0);
const warningsOf = (snapshot: Snapshot) => [
  ...snapshot.warnings,
  ...(snapshot.readOnly === undefined ? [] : [readOnlyWords(snapshot.readOnly)]),
];
const readOnlyWords = ({ code, reason }: { readonly code: string; readonly reason: string }) =>
  `read-only (${code}): ${reason}`;

/** Text of others as a quotation; of one that is cut, the page has the rest. */
function quote(text: string, pagePath: string): string {
  const quoted = quoteText(text);
  return quoted.endsWith(" (cut)]") ? `${quoted} (the rest: ${pagePath})` : quoted;
}

const pageOf = (desk: Desk, stream: Stream, stepId: string | null) =>
  desk.store.locate(stream, stepId === null ? "task" : `steps/${stepId}`, "page");

// ---- saying it

function inWords(details: StatusDetails): string {
  const { projects, project, task, step, waitsFor, next, verify } = details;
  const counts = (tasks: Readonly<Record<string, number>>) =>
    Object.entries(tasks)
      .map(([status, count]) => `${count} ${status}`)
      .join(", ") || "no tasks";
  const tokens = ({ inputTokens, outputTokens, costUsd }: Usage) =>
    inputTokens + outputTokens + costUsd === 0
      ? "no tokens measured"
      : `${inputTokens} tokens in, ${outputTokens} out, $${costUsd.toFixed(4)}`;
  const doing = ({ tool, since, lastEvent, lastEventAt }: Activity) =>
    `${tool === null ? "" : `uses ${tool} since ${since}; `}last event: ${lastEvent} at ${lastEventAt}`;
  const lines = [
    ...projects.flatMap((one) => [
      `${projectWords(one)}: ${counts(one.tasks)}.${stateWords(one)}`,
      ...one.warnings.map((warning) => `Warning: project ${one.projectId}: ${warning}`),
    ]),
    ...(project === undefined
      ? []
      : [
          `${projectWords(project)}: ${counts(project.tasks)}; ${tokens(project.usage)}.${stateWords(project)}${repoWords(project)} Page: ${project.pagePath}`,
          ...project.taskList.map(
            (one) =>
              `- Task ${one.taskId} (${one.title}): ${one.taskStatus}, ${one.stepsFinished} of ${one.stepsTotal} steps finished.`,
          ),
          ...project.warnings.map((warning) => `Warning: ${warning}`),
        ]),
    ...(task === undefined
      ? []
      : [
          `Task ${task.taskId} (${task.title}) of project ${task.projectId}: ${task.taskStatus}, ${task.stepsFinished} of ${task.stepsTotal} steps finished; ${tokens(task.usage)}${task.durationMs === 0 ? "" : `; ${durationWords(task.durationMs)}`}. Page: ${task.pagePath}`,
          ...task.steps.map(
            (one) =>
              `- Step ${one.stepId} (${one.title}): ${one.stepStatus}, attempt ${one.attempt} of ${one.maxAttempts}${one.passedBy === "person" ? ", accepted by a person, not by QA" : ""}.`,
          ),
          ...task.liveRuns.map(
            (one) =>
              `- Live for ${durationWords(one.durationMs)}: the ${roleWord(one.role)} of ${one.stepId}${one.activity === undefined ? "" : `; ${doing(one.activity)}`}.`,
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
          ...step.attempts.map(
            (one) => `- attempt ${one.attempt}: ${tokens(one.usage)}; ${durationWords(one.durationMs)}`,
          ),
          ...step.runs.map(
            (one) =>
              `- run ${one.runId}: ${one.end ?? "live"}, ${durationWords(one.durationMs)}${one.usage === null ? "" : `, ${tokens(one.usage)}`}${one.activity === undefined ? "" : `; ${doing(one.activity)}`}`,
          ),
        ]),
    ...waitsFor.map(
      (one) => `Waits: ${one.taskId}${one.stepId === undefined ? "" : ` ${one.stepId}`} for ${one.kind} ${one.id}.`,
    ),
    ...(verify === undefined
      ? []
      : [
          `Verified ${countWords(verify.streams, "stream")}: ${verify.findings.length === 0 ? "every file agrees with its journal" : countWords(verify.findings.length, "difference")}.`,
          ...verify.findings.map(
            (one) => `- ${one.stream} ${one.name}: ${one.what}${one.repaired ? " (repaired)" : ""}`,
          ),
        ]),
    ...next.map((one) => `Next: ${one}.`.replace(/([.…])\.$/, "$1")),
  ];
  return lines.join("\n");
}

type ProjectSummary = StatusDetails["projects"][number];
const projectWords = ({ projectId, name }: ProjectSummary) =>
  `Project ${projectId}${name === undefined ? "" : ` (${name})`}`;
const stateWords = ({ readOnly, unreadable = readOnly }: ProjectSummary) =>
  unreadable === undefined ? "" : ` It is ${unreadable}`;

/** A directory that somebody named is somebody's text; the one that was made for the project is ours. */
function repoWords({ projectPath, repoPath }: ProjectSummary): string {
  if (repoPath === undefined) return "";
  const own = projectPath.replace(/project\.json$/, "repo");
  return ` Works in ${repoPath === own ? repoPath : quoteText(repoPath)}.`;
}

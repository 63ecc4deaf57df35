/** create_task: a task with its steps, as a draft. Its flow record is made first, so that record 1 names it. */
import { refuse, type Refusal } from "../errors.ts";
import { transition } from "../flow/transition.ts";
import type { Check } from "../schema/documents.ts";
import { bounds } from "../schema/bounds.ts";
import type { StepWanted, TaskEventOf } from "../schema/events.ts";
import { hasEnded } from "../schema/outline.ts";
import { CreateTaskParameters, type ParametersOf } from "../schema/parameters.ts";
import type { Desk } from "./desk.ts";
import { readChats, rememberOwner } from "./chat-of-task.ts";
import { refuseRollback } from "./rollback.ts";
import { slugOf } from "./slug.ts";
import {
  actorOf,
  changeTask,
  defineTool,
  isId,
  isSameCall,
  originOf,
  readProject,
  readStateAt,
  isKnownLevel,
  rollbackAtGlance,
  tryAfter,
  withWarnings,
  type Answer,
  type Call,
  type ReadTask,
} from "./tool.ts";

export const createTask = defineTool({
  name: "create_task",
  label: "Create task",
  description: "Add a task with all its steps to a project. It stays a draft until start_task.",
  audience: "orchestrator",
  parameters: CreateTaskParameters,
  async run(parameters, { desk, caller, tool, callId }) {
    const found = await readProject(desk, parameters.projectId);
    if (!found.ok) return found;
    const taskId = `${slugOf(parameters.title, "task")}-${callId.slice(0, 8)}`;
    const stream = { projectId: parameters.projectId, taskId };
    const made = await answerMade({ desk, caller, tool, callId }, stream);
    if (made !== undefined) return made;
    if (found.snapshot.readOnly !== undefined)
      return refuse(found.snapshot.readOnly.code, found.snapshot.readOnly.reason);
    const refused =
      refuseChecks(
        desk,
        parameters.steps.flatMap((step) => step.checks ?? []),
      ) ??
      (await refuseDependencies(desk, parameters)) ??
      (await refuseInRolledBack(desk, parameters.projectId));
    if (refused !== undefined) return refused;
    const draft: TaskEventOf<"TaskCreated"> = {
      type: "TaskCreated",
      v: 1,
      at: desk.now().toISOString(),
      taskId,
      projectId: parameters.projectId,
      title: parameters.title,
      spec: parameters.spec,
      acceptanceCriteria: parameters.acceptanceCriteria,
      steps: parameters.steps.map(asWanted),
      dependsOn: parameters.dependsOn ?? [],
      maxAttempts: desk.settings.maxAttempts,
      acceptanceReview: desk.settings.acceptanceReview,
      flowId: null,
      origin: originOf(caller),
    };
    // Decided once before the flow record is made: a refused call leaves nothing behind.
    const decision = transition(undefined, draft);
    if (!decision.ok) return decision;
    const flowId = await desk.createFlow({
      sessionKey: caller.sessionKey,
      projectId: parameters.projectId,
      taskId,
      title: parameters.title,
    });
    const changed = await changeTask(desk, stream, {
      tool,
      callId,
      actor: actorOf(caller),
      toEvent: (state) =>
        state === undefined
          ? { ...draft, flowId }
          : refuse("id-taken", `The task ${taskId} exists already.`, ["get_status"]),
      afterCommit: () => rememberOwner(desk.store, stream, caller),
    });
    if (!changed.ok) return changed;
    return withWarnings(answer({ stream, state: changed.state }, desk), changed.warnings);
  },
});

/** The answer for a task that is there already: that of the call that made it, when this is the same call. */
async function answerMade(
  { desk, caller, callId }: Call,
  stream: ReadTask["stream"],
): Promise<Answer | Refusal | undefined> {
  const made = (await desk.store.history(stream, 0))[0];
  if (made === undefined) return undefined;
  if (!isSameCall(desk, made, callId))
    return refuse("id-taken", `A task with the id ${stream.taskId} exists already.`, ["another title"]);
  const doubt = (await desk.store.read(stream))?.doubt;
  if (doubt !== undefined) return refuse("outcome-unknown", doubt);
  const warnings = await tryAfter(async () => {
    if ((await readChats(desk.store, stream)) === undefined) await rememberOwner(desk.store, stream, caller);
  });
  return withWarnings(answer({ stream, state: await readStateAt(desk, stream, 1) }, desk), warnings);
}

function answer({ stream, state }: Pick<ReadTask, "stream" | "state">, desk: Desk): Answer {
  const stepIds = state.steps.map((step) => step.id);
  const taskPath = desk.store.locate(stream, "task", "document");
  const { id: taskId, flowId } = state.task;
  return {
    text: `Task ${taskId} is a draft with the steps ${stepIds.join(", ")}. Its page: ${desk.store.locate(stream, "task", "page")}. Next: start_task.`,
    details: { taskId, taskPath, stepIds, flowId },
  };
}

type StepParameters = ParametersOf<typeof CreateTaskParameters>["steps"][number];

/** A step's parameters as the event carries them: defaults of checks filled in. Pure. */
export function asWanted(step: StepParameters): StepWanted {
  const { id, title, goal, passCriteria, dependsOn, checks } = step;
  return {
    ...(id === undefined ? {} : { id }),
    title,
    goal,
    passCriteria,
    ...(dependsOn === undefined ? {} : { dependsOn }),
    checks: (checks ?? []).map((check): Check => ({
      ...check,
      timeoutSeconds: check.timeoutSeconds ?? bounds.checkTimeoutSeconds.normal,
    })),
  };
}

/** Refuses checks that would not run: a program that is not allowed, or builders that are confined while checks are not. */
export function refuseChecks(
  desk: Desk,
  checks: readonly { readonly name: string; readonly command: readonly string[] }[],
): Refusal | undefined {
  if (checks.length === 0) return undefined;
  const { allow, allowUnconfined } = desk.settings.checks;
  const isPath = (program: string) => program.includes("/") || program.includes("\\");
  const programs = allow.filter((program) => !isPath(program)).map((program) => `command[0]: ${program}`);
  for (const check of checks) {
    const program = check.command[0] ?? "";
    const starts = `Check ${JSON.stringify(check.name)} starts ${JSON.stringify(program.slice(0, 80))}`;
    if (isPath(program))
      return refuse(
        "program-not-allowed",
        `${starts}, which is a path; programs are named as they are found on PATH.`,
        [
          ...programs,
          "a name without a slash that is added to checks.allow in the plugin's configuration",
          "no checks",
        ],
      );
    if (!allow.includes(program))
      return refuse("program-not-allowed", `${starts}, which checks.allow does not name.`, [
        ...programs,
        "the program added to checks.allow in the plugin's configuration",
        "no checks",
      ]);
  }
  if (!allowUnconfined && !desk.buildersAreUnconfined())
    return refuse(
      "checks-unconfined",
      "Builders are sandboxed or restricted here, and checks would run outside of that.",
      ["no checks", "checks.allowUnconfined: true in the plugin's configuration"],
    );
  return undefined;
}

async function refuseDependencies(
  desk: Desk,
  { projectId, dependsOn = [] }: ParametersOf<typeof CreateTaskParameters>,
): Promise<Refusal | undefined> {
  const seen = new Set<string>();
  for (const taskId of dependsOn) {
    const known = isId(taskId) ? await desk.store.read({ projectId, taskId }) : undefined;
    if (known === undefined)
      return refuse("unknown-dependency", `Project ${projectId} has no task ${JSON.stringify(taskId.slice(0, 80))}.`, [
        "task ids of this project",
      ]);
    if (seen.has(taskId)) return refuse("unknown-dependency", `dependsOn names ${taskId} twice.`, ["each task once"]);
    seen.add(taskId);
  }
  return undefined;
}

/** A project of which a task was rolled back takes no new task either: somebody has to say which state counts. */
async function refuseInRolledBack(desk: Desk, projectId: string): Promise<Refusal | undefined> {
  for (const glance of await desk.store.tasks(projectId)) {
    // Known first: of ten thousand tasks a wait for each would be most of what this takes.
    if (glance.outline === undefined || hasEnded(glance.outline) || isKnownLevel(glance)) continue;
    const rollback = await rollbackAtGlance(desk, glance, glance.outline.flowId);
    if (rollback !== undefined) return refuseRollback(rollback);
  }
  return undefined;
}

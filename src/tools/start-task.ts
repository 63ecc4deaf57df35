/** start_task: lets the driver begin. */
import { StartTaskParameters } from "../schema/parameters.ts";
import { hearsWords } from "../render/words.ts";
import type { TaskState } from "../schema/documents.ts";
import { rememberStarter } from "./chat-of-task.ts";
import type { Desk } from "./desk.ts";
import {
  changeTaskById,
  defineTool,
  findTask,
  projectTroubleWords,
  readTask,
  troubleOfProject,
  withWarnings,
} from "./tool.ts";

export const startTask = defineTool({
  name: "start_task",
  label: "Start task",
  description: "Start a draft task. Builder and QA runs follow by themselves; this chat is told how it goes.",
  audience: "orchestrator",
  parameters: StartTaskParameters,
  async run({ taskId }, call) {
    const { desk, caller } = call;
    let isTold = false;
    const started = await changeTaskById(
      call,
      taskId,
      {
        toEvent: async (state) => ({
          type: "TaskStarted",
          v: 1,
          at: desk.now().toISOString(),
          dependenciesDone: await areDependenciesDone(desk, state),
        }),
        async afterCommit(stream) {
          isTold = await rememberStarter(desk.store, stream, caller);
        },
      },
      ({ state }) => {
        const taskStatus = state.task.status;
        const follows =
          taskStatus === "waiting"
            ? "It waits for the tasks it depends on."
            : `The first run starts by itself, and ${isTold ? "this" : "its"} chat ${hearsWords[desk.settings.notify]}.`;
        return { text: `Task ${taskId} is ${taskStatus}. ${follows}`, details: { taskId, taskStatus } };
      },
    );
    return "ok" in started ? started : withWarnings(started, await hindrancesOf(desk, taskId));
  },
});

/** Why nothing may follow although the task is started. */
async function hindrancesOf(desk: Desk, taskId: string): Promise<readonly string[]> {
  const { projectId = "" } = (await findTask(desk, taskId)) ?? {};
  const trouble = await troubleOfProject(desk, projectId);
  return [...desk.live.remarks(), ...(trouble === undefined ? [] : [projectTroubleWords(projectId, trouble)])];
}

/**
 * True when every task that this one waits for is done, `without` apart; one that cannot be read is not done. Done never
 * becomes undone, so reading them before a commit is safe.
 */
export async function areDependenciesDone(
  desk: Pick<Desk, "store">,
  state: TaskState | undefined,
  without?: string,
): Promise<boolean> {
  for (const taskId of state?.task.dependsOn ?? []) {
    if (taskId === without) continue;
    const task = await readTask(desk, { projectId: state?.task.projectId ?? "", taskId });
    if (task === undefined || !("state" in task) || task.state.task.status !== "done") return false;
  }
  return true;
}

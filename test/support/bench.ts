/**
 * A desk for tests of tools: the real tools on a store in memory, nothing that drives. With a root, paths are judged on
 * real files. Runs are put in place through the driver's own internal tools.
 */
import { chooseRepo, inspectPaths } from "../../src/files/paths.ts";
import { placeOfSession, type RunPlace } from "../../src/flow/run-identity.ts";
import { seatOf } from "../../src/flow/ready.ts";
import { readSettings, type Config } from "../../src/schema/config.ts";
import type { Role, Step, TaskState } from "../../src/schema/documents.ts";
import type { TaskEvent } from "../../src/schema/events.ts";
import { createMemoryStore } from "../../src/store/memory-store.ts";
import { nameOfStream, type JournalRecord, type Store, type Stream } from "../../src/store/store.ts";
import { createProject } from "../../src/tools/create-project.ts";
import { createStep } from "../../src/tools/create-step.ts";
import { createTask } from "../../src/tools/create-task.ts";
import { createAnswerMemory, type Caller, type Desk, type FlowMark } from "../../src/tools/desk.ts";
import { createRecorder } from "../../src/tools/driver-tools.ts";
import { getStatus } from "../../src/tools/get-status.ts";
import { recordBuilderResult } from "../../src/tools/record-builder-result.ts";
import { recordQaResult } from "../../src/tools/record-qa-result.ts";
import { setStepStatus } from "../../src/tools/set-step-status.ts";
import { setTaskStatus } from "../../src/tools/set-task-status.ts";
import { startTask } from "../../src/tools/start-task.ts";
import { callTool, stateOf, type Answer, type Tool } from "../../src/tools/tool.ts";
import { aCheckResult, anEvent, type Fields } from "./histories.ts";
import { inRun, owner } from "./callers.ts";

const all = [
  createProject,
  createTask,
  createStep,
  startTask,
  setTaskStatus,
  setStepStatus,
  getStatus,
  recordBuilderResult,
  recordQaResult,
] as const;
export type ToolName =
  | "create_project"
  | "create_task"
  | "create_step"
  | "start_task"
  | "set_task_status"
  | "set_step_status"
  | "get_status"
  | "record_builder_result"
  | "record_qa_result";

/** All nine tools; they differ in their parameters, here only the common shape counts. */
export const tools = all as readonly unknown[] as readonly Tool[];

export function toolNamed(name: ToolName): Tool {
  const tool = tools.find((one) => one.name === name);
  if (tool === undefined) throw new Error(`no tool ${name}`);
  return tool;
}

export const aProject = (fields: Readonly<Record<string, unknown>> = {}) => ({
  name: "Shop",
  spec: "A shop.",
  ...fields,
});
export const aStep = (fields: Readonly<Record<string, unknown>> = {}) => ({
  title: "A step",
  goal: "Build it.",
  passCriteria: ["It runs.", "It is tested."],
  ...fields,
});
export const aTask = (fields: Readonly<Record<string, unknown>> = {}) => ({
  projectId: "shop",
  title: "Login",
  spec: "People log in.",
  acceptanceCriteria: ["It works."],
  steps: [aStep()],
  ...fields,
});
export const aBuilderReport = (fields: Readonly<Record<string, unknown>> = {}) => ({
  outcome: "done",
  summary: "Built it.",
  filesChanged: [],
  ...fields,
});
export const aJudgement = (fails: readonly string[] = [], ids: readonly string[] = ["c1", "c2"]) => ({
  criteria: ids.map((id) => ({ id, pass: !fails.includes(id), evidence: `I looked at ${id}.` })),
  ...(fails.length === 0 ? {} : { feedback: "Mend it." }),
});

export type BenchOptions = {
  readonly config?: Config;
  /** Builders are confined, so checks would run outside of that. */
  readonly confined?: boolean;
  /** OpenClaw cannot make flow records now. */
  readonly withoutFlows?: boolean;
  /** What the flow record with this id says; nothing when left out. */
  readonly readFlow?: (flowId: string | null, stream: Stream) => Promise<FlowMark | undefined>;
  /** Judge paths on real files below this root. */
  readonly root?: string;
  readonly live?: Partial<Desk["live"]>;
  /** A store in memory when left out. */
  readonly store?: Store;
};

export type Bench = {
  readonly store: Store;
  readonly desk: () => Desk;
  readonly flowsMade: readonly string[];
  readonly committed: readonly string[];
  call(name: ToolName, parameters: unknown, caller?: Caller): Promise<Answer>;
  /** Calls and expects no refusal; answers the details. */
  done(name: ToolName, parameters: unknown, caller?: Caller): Promise<Readonly<Record<string, unknown>>>;
  /** Calls and expects a refusal that changes nothing at all; answers its code, reason and what would be accepted. */
  refused(
    name: ToolName,
    parameters: unknown,
    caller?: Caller,
  ): Promise<{ readonly code: string; readonly reason: string; readonly accepts: readonly string[] }>;
  /** Everything that is kept, as text. */
  everything(): Promise<string>;
  history(stream: Stream): Promise<readonly JournalRecord[]>;
  state(taskId: string): Promise<TaskState>;
  step(taskId: string, stepId?: string): Promise<Step>;
  /** Records what only the driver records. */
  record(taskId: string, event: TaskEvent): Promise<void>;
  /** A project and a started task in it; answers the task's id. */
  started(fields?: Readonly<Record<string, unknown>>): Promise<string>;
  /** A run of the role as the driver launches it; answers its place and a caller inside its turn. */
  launched(
    taskId: string,
    stepId: string,
    role: Role,
  ): Promise<{ readonly place: RunPlace; readonly runId: string; caller(fields?: Partial<Caller>): Caller }>;
  /** The run of the role is over, as the driver records it. */
  ended(taskId: string, stepId: string, role: Role, fields?: Fields<"RunEnded">): Promise<void>;
  /** The step's checks are over, all of them passed unless the exit code says otherwise. */
  finishedChecks(taskId: string, stepId: string, exitCode?: number): Promise<void>;
  /** A step's builder has built, and its run is over. */
  built(taskId: string, stepId?: string): Promise<void>;
  /** A step is at its question: every attempt failed. */
  asking(taskId: string, stepId?: string): Promise<void>;
  later(ms: number): void;
  /** The process begins anew: only what was committed is known. */
  restart(): void;
};

export function createBench(options: BenchOptions = {}): Bench {
  const { settings, problems } = readSettings(options.config ?? {});
  if (problems.length > 0) throw new Error(problems.join("; "));
  const store = options.store ?? createMemoryStore({ renderPages: () => ({}) });
  const flowsMade: string[] = [];
  const committed: string[] = [];
  let time = Date.UTC(2026, 0, 1);
  let answers = createAnswerMemory(() => time);
  const { root } = options;

  const desk = (): Desk => ({
    store,
    settings,
    now: () => new Date(time),
    backOff: () => Promise.resolve(),
    answers,
    chooseRepo: (projectId, wanted) =>
      root === undefined
        ? Promise.resolve(wanted ?? `/repos/${projectId}`)
        : chooseRepo(root, projectId, wanted, settings.allowedRepos),
    inspectPaths: (repo, paths) =>
      root === undefined
        ? Promise.resolve(paths.map((one) => ({ path: one, kind: "file" as const })))
        : inspectPaths(repo, paths),
    buildersAreUnconfined: () => options.confined !== true,
    createFlow({ taskId }) {
      flowsMade.push(taskId);
      return Promise.resolve(options.withoutFlows === true ? null : `flow-${flowsMade.length}`);
    },
    readFlow: (stream, flowId) => options.readFlow?.(flowId, stream) ?? Promise.resolve(undefined),
    committed: (stream) => void committed.push(nameOfStream(stream)),
    live: {
      waitsFor: () => [],
      activity: () => undefined,
      delayOf: () => undefined,
      remarks: () => [],
      ...options.live,
    },
  });

  async function streamOf(taskId: string): Promise<Stream> {
    const [stream] = await store.find(taskId);
    if (stream === undefined) throw new Error(`no task ${taskId}`);
    return stream;
  }

  async function record(taskId: string, event: TaskEvent): Promise<void> {
    const answer = await createRecorder(desk()).record(await streamOf(taskId), event);
    if (!answer.ok) throw new Error(`${event.type}: ${answer.code} ${answer.reason}`);
  }

  const bench: Bench = {
    store,
    desk,
    flowsMade,
    committed,
    call: (name, parameters, caller = owner()) => callTool(desk(), caller, toolNamed(name), parameters),
    async done(name, parameters, caller) {
      const answer = await bench.call(name, parameters, caller);
      if ("refused" in answer.details) throw new Error(answer.text);
      return answer.details;
    },
    async refused(name, parameters, caller) {
      const before = await bench.everything();
      const flows = flowsMade.length;
      const { text, details } = await bench.call(name, parameters, caller);
      if (!("refused" in details)) throw new Error(`not refused: ${text}`);
      if ((await bench.everything()) !== before || flowsMade.length !== flows)
        throw new Error(`a refused call left something behind: ${text}`);
      // A refusal's details have this shape; the test of all answers compares it with its schema.
      return details["refused"] as Awaited<ReturnType<Bench["refused"]>>;
    },
    async everything() {
      const kept = [];
      for (const stream of await store.list())
        kept.push(
          await store.history(stream, 0),
          await store.read(stream),
          stream.taskId === undefined ? null : await store.readSidecar(stream, "chats"),
        );
      return JSON.stringify(kept);
    },
    record,
    history: (stream) => store.history(stream, 0),
    async state(taskId) {
      const snapshot = await store.read(await streamOf(taskId));
      if (snapshot === undefined) throw new Error(`no task ${taskId}`);
      return stateOf(snapshot);
    },
    async step(taskId, stepId = "step-01") {
      const step = (await bench.state(taskId)).steps.find((one) => one.id === stepId);
      if (step === undefined) throw new Error(`no step ${stepId}`);
      return step;
    },
    async started(fields) {
      if ((await store.list()).length === 0) await bench.done("create_project", aProject());
      const taskId = String((await bench.done("create_task", aTask(fields)))["taskId"]);
      await bench.done("start_task", { taskId });
      return taskId;
    },
    async launched(taskId, stepId, role) {
      await record(taskId, anEvent("RunPlanned", { stepId, role }, desk().now().toISOString()));
      const { runId, sessionKey } = seatOf(await bench.step(taskId, stepId), role);
      const place = placeOfSession(sessionKey ?? "");
      if (runId === null || place === undefined) throw new Error("no run");
      await record(taskId, anEvent("RunLaunched", { stepId, runId }, desk().now().toISOString()));
      return { place, runId, caller: (more) => inRun(place, runId, more) };
    },
    async ended(taskId, stepId, role, fields) {
      const { runId } = seatOf(await bench.step(taskId, stepId), role);
      await record(taskId, anEvent("RunEnded", { stepId, runId: runId ?? "", ...fields }, desk().now().toISOString()));
    },
    async finishedChecks(taskId, stepId, exitCode = 0) {
      const { attempt, checks } = await bench.step(taskId, stepId);
      const results = checks.map(({ name }) => aCheckResult({ name, exitCode }));
      await record(taskId, anEvent("ChecksFinished", { stepId, attempt, results }, desk().now().toISOString()));
    },
    async built(taskId, stepId = "step-01") {
      const run = await bench.launched(taskId, stepId, "builder");
      await bench.done("record_builder_result", aBuilderReport(), run.caller());
      await bench.ended(taskId, stepId, "builder");
    },
    async asking(taskId, stepId = "step-01") {
      while ((await bench.step(taskId, stepId)).question === null) {
        await bench.built(taskId, stepId);
        const run = await bench.launched(taskId, stepId, "qa");
        await bench.done("record_qa_result", aJudgement(["c1"]), run.caller());
        await bench.ended(taskId, stepId, "qa");
      }
    },
    later: (ms) => void (time += ms),
    restart: () => void (answers = createAnswerMemory(() => time)),
  };
  return bench;
}

/**
 * What the scenarios share: one gateway with the packed plugin, one scripted model, one cast. A scenario talks to the
 * orchestrator as a person does, and looks at files, flow records and transcripts as a person can.
 */
import { readFile, readdir } from "node:fs/promises";
import path from "node:path";
import { connect, mainSession, type Client } from "../../harness/client.ts";
import { newHome, startGateway, type Gateway } from "../../harness/gateway.ts";
import type { JsonObject } from "../../harness/json.ts";
import { startModel, type ScriptedModel, type Turn } from "../../harness/model.ts";
import { pathsOf, runOpenclaw, type HomePaths } from "../../harness/openclaw.ts";
import { until } from "../../harness/wait.ts";
import { isLive, openRuns } from "../../src/flow/ready.ts";
import { sessionKeyOf } from "../../src/flow/run-identity.ts";
import type { Role, Step, StepStatus, Task, TaskStatus } from "../../src/schema/documents.ts";
import { createCast, type Cast } from "./cast.ts";

export type Stage = {
  readonly gateway: Gateway;
  readonly model: ScriptedModel;
  readonly cast: Cast;
  /** A connection of the owner; a new one after each start of the gateway. */
  client(): Promise<Client>;
  /** Says a line to the orchestrator of a chat and returns what it answers in that turn. */
  say(line: string, sessionKey?: string): Promise<string>;
  /** A project of that name, made in the chat; returns its id. */
  createProject(name: string, sessionKey?: string): Promise<string>;
  /** A task made in the chat, in the project that chat made last; returns its id. */
  createTask(parameters: TaskWish, sessionKey?: string): Promise<string>;
  /** Makes a project and a task in it and starts it; returns where its files are. */
  begin(word: string, wish?: Partial<TaskWish>, sessionKey?: string): Promise<Play>;
  at(projectId: string, taskId: string): Play;
  end(): Promise<void>;
};

export type TaskWish = {
  readonly title: string;
  readonly steps: readonly JsonObject[];
  readonly acceptanceCriteria?: readonly string[];
  readonly dependsOn?: readonly string[];
  readonly spec?: string;
};

/** One task as it is on disk. */
export type Play = {
  readonly projectId: string;
  readonly taskId: string;
  readonly folder: string;
  readonly repo: string;
  task(): Promise<Task>;
  step(id: string): Promise<Step>;
  steps(): Promise<readonly Step[]>;
  page(name?: string): Promise<string>;
  /** The task's journal, byte for byte. */
  journal(): Promise<string>;
  /** The model turns of one run so far, in order. */
  turnsOf(stepId: string, role: Role, attempt?: number, launch?: number): readonly Turn[];
  untilTask(status: TaskStatus, limitMs?: number): Promise<Task>;
  untilStep(id: string, status: StepStatus, limitMs?: number): Promise<Step>;
  /** Waits until the host has ended every run of the task and nothing is going on. */
  untilQuiet(): Promise<void>;
  /** The flow record as `openclaw tasks flow show` prints it. */
  flow(): Promise<{ readonly status: string; readonly currentStep?: string; readonly raw: Record<string, unknown> }>;
  /** The texts of the person's chat that came out of wake-up turns and hold the word. */
  told(word: string, sessionKey?: string): Promise<readonly string[]>;
  /** Waits for such a text. The host begins at most five wake-up turns a minute for one agent, so it may take a while. */
  untilTold(word: string, sessionKey?: string): Promise<readonly string[]>;
};

export const wakeLimitMs = 150_000;
/** A machine that does other things besides may need several times what it needs alone. */
const progressLimitMs = 180_000;

/** A person's line that asks the orchestrator to call a tool. */
export const call = (name: string, args: object): string => `${name} ${JSON.stringify(args)}`;

/** A step with everything that is required. */
export const aStep = (over: JsonObject = {}): JsonObject => ({
  title: "Write a file",
  goal: "Write one file.",
  passCriteria: ["The file is there."],
  ...over,
});

/**
 * Starts gateway and model in a copy of the template home. Without `pluginConfig` the plugin has no configuration at all.
 * `root` says where projects are kept when that is not the one agent's workspace, `env` what the gateway has in its
 * environment beside the usual.
 */
export async function openStage(
  template: string,
  pluginConfig?: JsonObject,
  extra: JsonObject = {},
  root: (paths: HomePaths) => string = (paths) => paths.workspace,
  env: (paths: HomePaths) => Readonly<Record<string, string>> = () => ({}),
): Promise<Stage> {
  const cast = createCast();
  const model = await startModel((turn) => cast.script(turn));
  const home = await newHome(template);
  const gateway = await startGateway({
    home,
    modelUrl: model.url,
    ...(pluginConfig === undefined ? {} : { pluginConfig }),
    extra,
    env: env(pathsOf(home)),
  });
  let known: { readonly pid: number; readonly client: Promise<Client> } | undefined;

  const client: Stage["client"] = () => {
    if (known?.pid !== gateway.pid)
      known = { pid: gateway.pid, client: connect({ port: gateway.port, token: gateway.token }) };
    return known.client;
  };
  const say: Stage["say"] = async (line, sessionKey = mainSession) =>
    (await (await client()).chat(line, { sessionKey })).text;

  const createProject: Stage["createProject"] = async (name, sessionKey) =>
    idIn(
      await say(call("create_project", { name, spec: `The specification of ${name}.` }), sessionKey),
      /Project ([a-z0-9-]+) is made/,
    );
  const createTask: Stage["createTask"] = async (wish, sessionKey) => {
    const args = {
      projectId: "<projectId>",
      spec: "Do what the steps say.",
      acceptanceCriteria: ["Everything is there."],
      ...wish,
    };
    return idIn(await say(call("create_task", args), sessionKey), /Task ([a-z0-9-]+) is a draft/);
  };
  const at: Stage["at"] = (projectId, taskId) => playAt(gateway, root(gateway.paths), model, projectId, taskId, client);
  return {
    gateway,
    model,
    cast,
    client,
    say,
    createProject,
    createTask,
    at,
    async begin(word, wish = {}, sessionKey) {
      const projectId = await createProject(`Project ${word}`, sessionKey);
      const taskId = await createTask({ title: `Task ${word}`, steps: [aStep()], ...wish }, sessionKey);
      await say(call("start_task", { taskId }), sessionKey);
      return at(projectId, taskId);
    },
    async end() {
      await gateway.dispose();
      await model.stop();
    },
  };
}

function idIn(text: string, pattern: RegExp): string {
  const id = pattern.exec(text)?.[1];
  if (id === undefined) throw new Error(`no id in the orchestrator's answer: ${text}`);
  return id;
}

function playAt(
  gateway: Gateway,
  root: string,
  model: ScriptedModel,
  projectId: string,
  taskId: string,
  client: () => Promise<Client>,
): Play {
  const project = path.join(root, "projects", projectId);
  const folder = path.join(project, "tasks", taskId);
  const read = async <T>(name: string): Promise<T> => JSON.parse(await readFile(path.join(folder, name), "utf8")) as T;
  const task = () => read<Task>("task.json");
  const step = (id: string) => read<Step>(`steps/${id}.json`);
  const explain = async () =>
    `task.json: ${await readFile(path.join(folder, "task.json"), "utf8").catch(String)}\nlog:\n${(await gateway.logs()).slice(-3000)}`;
  return {
    projectId,
    taskId,
    folder,
    repo: path.join(project, "repo"),
    task,
    step,
    async steps() {
      const names = (await readdir(path.join(folder, "steps"))).filter((name) => name.endsWith(".json"));
      return (await Promise.all(names.map((name) => read<Step>(`steps/${name}`)))).toSorted(
        (one, other) => one.index - other.index,
      );
    },
    page: (name = "task") => readFile(path.join(folder, `${name}.md`), "utf8"),
    journal: () => readFile(path.join(folder, "journal.jsonl"), "utf8"),
    turnsOf(stepId, role, attempt = 1, launch = 1) {
      // Whichever agent plays the role.
      const session = sessionKeyOf("", { taskId, stepId, attempt, role, launch }).replace("agent:", "");
      return model.turns.all().flatMap(({ turn }) => (turn.sessionKey?.endsWith(session) === true ? [turn] : []));
    },
    async untilTask(status, limitMs = progressLimitMs) {
      return until(
        `task ${taskId} to be ${status}`,
        async () => ((await task()).status === status ? task() : undefined),
        { limitMs, explain },
      );
    },
    async untilStep(id, status, limitMs = progressLimitMs) {
      return until(
        `step ${id} of ${taskId} to be ${status}`,
        async () => ((await step(id)).status === status ? step(id) : undefined),
        { limitMs, explain },
      );
    },
    async untilQuiet() {
      const isQuiet = (one: Step) => !isLive(one) && openRuns(one).length === 0;
      await until(`task ${taskId} to be quiet`, async () => (await this.steps()).every(isQuiet), { explain });
    },
    async flow() {
      const { flowId } = await task();
      const shown = await runOpenclaw(gateway.paths.home, ["tasks", "flow", "show", flowId ?? "none", "--json"]);
      const raw = JSON.parse(shown.stdout.slice(shown.stdout.indexOf("{"))) as Record<string, unknown>;
      return {
        status: String(raw["status"]),
        ...(typeof raw["currentStep"] === "string" ? { currentStep: raw["currentStep"] } : {}),
        raw,
      };
    },
    untilTold(word, sessionKey) {
      const tellings = async () => {
        const texts = await this.told(word, sessionKey);
        return texts.length > 0 ? texts : undefined;
      };
      return until(`the chat to hear of ${word}`, tellings, { limitMs: wakeLimitMs, explain });
    },
    async told(word, sessionKey = mainSession) {
      const said = await (await client()).history(sessionKey);
      return said
        .filter((one) => one.role === "assistant" && one.text.startsWith("Told:") && one.text.includes(word))
        .map((one) => one.text);
    },
  };
}

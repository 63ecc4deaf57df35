/**
 * What the packed plugin costs in a real gateway: beside OpenClaw's own Workboard plugin, in memory, in the start, and between two
 * runs. Loopback only; each gateway has a home and a port of its own.
 */
import { execFileSync } from "node:child_process";
import { existsSync, globSync, mkdirSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { newHome, startGateway, type Gateway } from "../harness/gateway.ts";
import { fieldsOf, listOf, textOf, type Fields, type JsonObject } from "../harness/json.ts";
import { pathsOf, repoRoot, type HomePaths } from "../harness/openclaw.ts";
import { startModel } from "../harness/model.ts";
import { until } from "../harness/wait.ts";
import { aStep, aTask } from "../test/support/bench.ts";
import { openStage, type Stage } from "../test/gateway/stage.ts";
import { addTasks, aPlace, projectId, tellAll, unfinished, unfinishedKinds, writeTasks, type Kind } from "./fixture.ts";
import { countFlowRecords, takeFlowRecords, writeFlowRecords } from "./flow-records.ts";
import { lookVariable, type Look } from "./gateway-memory.ts";
import { median, timed, type Figure } from "./measure.ts";

const pluginId = "project-orchestrator";
const blocks = 10;
const samples = 6;
/** The first runs of a gateway are slow; so many are not counted. */
const slowOnes = 3;
const bareStarts = 2;
const loads = 9;
/** So much CPU between two looks is the host's own housekeeping. */
const quietCpuMs = 100;
const quietLimitMs = 30_000;
/** An event loop that stands still looks at nothing meanwhile. */
const lookLimitMs = 180_000;
const tracing = { OPENCLAW_GATEWAY_STARTUP_TRACE: "1" };

/**
 * `template` is a home in which the packed plugin is installed; ten thousand tasks lie below the root `written`. Of three gateways one has
 * Workboard, one the plugin and the tasks, and one no plugin. The last two are started so many times to be measured.
 */
export async function gatewayFigures(template: string, written: string, starts: number): Promise<readonly Figure[]> {
  // Nothing is measured of first starts, so these are at the same time.
  const [stage, ours, bare] = await Promise.all([
    openStage(template, {}, withWorkboard),
    startOnce(template, true),
    startOnce(template, false),
  ]);
  try {
    const [peers, launches] = [await peerFigures(stage), await launchFigures(stage)];
    const failures = stage.model.failures();
    if (failures.length > 0) throw new AggregateError(failures, "the scripted people failed");
    await stage.gateway.kill();
    return [...peers, ...(await idleFigures(ours, bare, written, starts)), ...launches];
  } finally {
    await stage.end();
    for (const { gateway } of [ours, bare]) await gateway.dispose();
  }
}

// --- beside Workboard

/** Workboard comes with OpenClaw and is off unless it is allowed and enabled; its tools are optional, so they are asked for too. */
const withWorkboard: JsonObject = {
  plugins: { allow: [pluginId, "workboard"], entries: { workboard: { enabled: true } } },
  tools: { alsoAllow: ["workboard"] },
};

/** The same kind of call through the same door of the same gateway, theirs and ours in turn; a value is a block's ratio of medians. */
async function peerFigures(stage: Stage): Promise<readonly Figure[]> {
  const client = await stage.client();
  const invoke = async (tool: string, args: JsonObject) => {
    const { status, text, details } = await client.invokeTool(tool, args);
    if (status !== 200 || "refused" in details) throw new Error(`${tool}: ${status} ${text}`);
    return { text, details };
  };
  /** Beside both a call that is refused at once, which is what the door costs. Who comes first takes turns. */
  const compare = async (perBlock: number, theirs: () => Promise<unknown>, ours: () => Promise<unknown>) => {
    const [values, doors]: [number[], number[]] = [[], []];
    for (let block = 0; block < blocks; block += 1) {
      const kinds = [
        { call: theirs, times: [] as number[] },
        { call: ours, times: [] as number[] },
        { call: knock, times: [] as number[] },
      ] as const;
      for (let number = 0; number < perBlock; number += 1)
        for (const { call, times } of number % 2 === 0 ? kinds : kinds.toReversed()) times.push(await timed(call));
      const [their, our, door] = kinds.map(({ times }) => median(times));
      values.push((our ?? Number.NaN) / (their ?? Number.NaN));
      doors.push((door ?? Number.NaN) / (their ?? Number.NaN));
    }
    return { values, doors };
  };
  const knock = async () => {
    const { details } = await client.invokeTool("get_status", { projectId: "" });
    if (!("refused" in details)) throw new Error("a status of nothing was not refused");
  };
  const card = { title: "Login", notes: "People log in.\nIt works." };
  const task = (fields: JsonObject = {}): JsonObject => ({ ...aTask(), ...fields });
  await invoke("create_project", { name: "Shop", spec: "A shop." });
  const cardId = cardOf((await invoke("workboard_create", card)).text);
  const waitedFor = String((await invoke("create_task", task())).details["taskId"]);
  // It waits for a draft: its status can change, and nothing of it is ever launched.
  const moved = String((await invoke("create_task", task({ dependsOn: [waitedFor] }))).details["taskId"]);
  await invoke("start_task", { taskId: moved });
  await invoke("workboard_create", card);
  const [cards, statuses] = [swinging("ready", "todo"), swinging("paused", "running")];
  const moves = await compare(
    4,
    () => invoke("workboard_move", { id: cardId, status: cards() }),
    () => invoke("set_task_status", { taskId: moved, status: statuses() }),
  );
  // With these there are a hundred of each.
  const creates = await compare(
    10,
    () => invoke("workboard_create", card),
    () => invoke("create_task", task()),
  );
  const lists = await compare(
    4,
    () => invoke("workboard_list", { limit: 100 }),
    () => invoke("get_status", { projectId: "shop" }),
  );
  const rows = (
    measure: string,
    theirs: string,
    { values, doors }: Awaited<ReturnType<typeof compare>>,
  ): readonly Figure[] => [
    { measure: `${measure} against ${theirs}`, unit: "×", values, goal: { atMost: 0.7 } },
    { measure: `the door alone: a call that is refused, against ${theirs}`, unit: "×", values: doors },
  ];
  return [
    ...rows("create_task with 1 step", "workboard_create", creates),
    ...rows("set_task_status (paused, running) of a waiting task", "workboard_move", moves),
    ...rows("get_status of a project with 100 tasks", "workboard_list of 100 cards", lists),
  ];
}

/** Answers the two words in turn. */
function swinging(one: string, other: string): () => string {
  let isOther = true;
  return () => {
    isOther = !isOther;
    return isOther ? other : one;
  };
}

function cardOf(text: string): string {
  const id = textOf(fieldsOf(fieldsOf(JSON.parse(text))["card"])["id"]);
  if (id === undefined) throw new Error(`no card in ${text}`);
  return id;
}

// --- from the builder's end to QA

/** The host's own records of its runs say when the builder's ended and when QA's was taken on. */
async function launchFigures(stage: Stage): Promise<readonly Figure[]> {
  const steps = Array.from({ length: slowOnes + samples }, (_, index) => ({
    ...aStep({ title: `Write ${index + 1}`, dependsOn: [] }),
  }));
  const play = await stage.begin("pace", { steps });
  await play.untilTask("done");
  const client = await stage.client();
  const runs = listOf((await client.call("tasks.list", {}))["tasks"]).map(fieldsOf);
  const run = (stepId: string, role: string) =>
    fieldsOf(runs.find(({ runId }) => runId === `${play.taskId}/${stepId}/1/${role}/1`));
  const records = (await play.journal())
    .trimEnd()
    .split("\n")
    .map((line) => fieldsOf(JSON.parse(line)));
  const [whole, closing, planning, launching]: number[][] = [[], [], [], []];
  const built = (await play.steps()).filter(({ kind }) => kind === "work");
  for (const { id } of built.slice(slowOnes)) {
    const ended = numberIn(run(id, "builder"), "endedAt");
    const asked = numberIn(run(id, "qa"), "createdAt");
    const [kept = Number.NaN, planned = Number.NaN] = ["RunEnded", "RunPlanned"].map((type) =>
      momentOf(records, type, id, type === "RunPlanned" ? "qa" : "builder"),
    );
    whole?.push(asked - ended);
    closing?.push(kept - ended);
    planning?.push(planned - kept);
    launching?.push(asked - planned);
  }
  const row = (measure: string, values: readonly number[] = []): Figure => ({ measure, unit: "ms", values });
  return [
    {
      ...row("from the end of a builder's run to QA's, both in the host's own records of runs, no checks", whole),
      goal: { atMost: 50 },
    },
    row("of it until the run's end was known and its tree looked at", closing),
    row("of it until QA's run was planned", planning),
    row("of it until the host had it", launching),
  ];
}

/** When the journal's event of the step, of that role, says that it happened. */
function momentOf(records: readonly Fields[], type: string, stepId: string, role: string): number {
  const event = records
    .map((record) => fieldsOf(record["event"]))
    .find(
      (one) =>
        one["type"] === type &&
        one["stepId"] === stepId &&
        (one["role"] === role || String(one["runId"]).includes(`/${role}/`)),
    );
  return Date.parse(String(event?.["at"]));
}

function numberIn(fields: Fields, name: string): number {
  const value = fields[name];
  if (typeof value !== "number") throw new Error(`no ${name} in ${JSON.stringify(fields)}`);
  return value;
}

// --- memory and start

const looksOf = ({ home }: HomePaths) => path.join(home, "looks");

/** The environment of a gateway that traces its start and can be looked at. */
const lookedAt = (paths: HomePaths): Readonly<Record<string, string>> => ({
  ...tracing,
  NODE_OPTIONS: `--import=${pathToFileURL(path.join(import.meta.dirname, "gateway-memory.ts")).href}`,
  [lookVariable]: looksOf(paths),
});

/** A gateway that is ended, and its first tasks, by id. */
type Ended = { readonly gateway: Gateway; readonly kindOf: ReadonlyMap<string, Kind> };

/** It was started for the first time, drove a task of each kind that is not over if it has the plugin, and was ended in order. */
async function startOnce(template: string, hasPlugin: boolean): Promise<Ended> {
  const home = await newHome(template);
  const paths = pathsOf(home);
  const place = await aPlace(home, path.basename(paths.workspace));
  const kindOf = new Map<string, Kind>();
  let draft: string | undefined;
  for (const kind of unfinishedKinds) {
    const [taskId = ""] = await addTasks(place, 1, kind, draft);
    kindOf.set(taskId, kind);
    draft ??= taskId;
  }
  await tellAll(place);
  await place.store.close();
  const extra = { plugins: { entries: { [pluginId]: { enabled: hasPlugin } } } };
  const gateway = await startGateway({ home, extra, env: lookedAt(paths) });
  if (hasPlugin) await until("the flow records", () => countFlowRecords(paths) === unfinishedKinds.length);
  await untilQuiet(gateway);
  await gateway.stop();
  return { gateway, kindOf };
}

/**
 * What the one takes whenever it is started again, now with the tasks that were written, beyond what the other takes; nobody talks to either. Each as
 * often, in turn.
 */
async function idleFigures(
  { gateway: ours, kindOf }: Ended,
  { gateway: bare }: Ended,
  written: string,
  starts: number,
): Promise<readonly Figure[]> {
  const { paths } = ours;
  const project = path.join(paths.workspace, "projects", projectId);
  const records = takeFlowRecords(paths, kindOf);
  await writeFlowRecords(paths, records, written);
  renameSync(project, path.join(paths.home, projectId));
  renameSync(path.join(written, "projects", projectId), project);
  const startBoth = async () => {
    const without = await startQuiet(bare);
    await bare.kill();
    const withPlugin = await startQuiet(ours);
    await ours.kill();
    return [withPlugin, without] as const;
  };
  const both: (readonly [withPlugin: Quiet, without: Quiet])[] = [];
  while (both.length < starts) both.push(await startBoth());
  const touched = "the same when every document and page was touched since it was compared";
  const afterTouch: number[] = [];
  if (starts > 1) {
    touchTasks(project);
    const [withPlugin, without] = await startBoth();
    afterTouch.push(withPlugin.spent - without.spent);
  }
  for (const count of [countFlowRecords(paths), countFlowRecords(paths, records)])
    if (count !== unfinished) throw new Error(`${count} flow records as they were written, not ${unfinished}`);
  const beyond = (of: (one: Quiet) => number) => both.map(([withPlugin, without]) => of(withPlugin) - of(without));
  return [
    {
      measure:
        "memory (RSS, garbage collected) of an idle gateway with the plugin and 10,000 tasks, beyond one without",
      unit: "MB",
      values: beyond(({ rss }) => rss),
      goal: { atMost: 50 },
    },
    { measure: "of it objects in use", unit: "MB", values: beyond(({ heapUsed }) => heapUsed) },
    {
      measure: "resume: CPU of its start until it is quiet, 1,000 unfinished among 10,000 tasks, beyond one without",
      unit: "ms of CPU",
      values: beyond(({ spent }) => spent),
      goal: { atMost: 2_000 },
    },
    ...(afterTouch.length === 0 ? [] : [{ measure: touched, unit: "ms of CPU", values: afterTouch }]),
    {
      measure:
        "the plugin's part of a gateway's start in the host's own trace (load, register and service; again for agents)",
      unit: "ms",
      values: beyond(({ start: { load, service, again } }) => load + service + again),
      goal: { atMost: 60 },
    },
    { measure: "of it the first load and register", unit: "ms", values: both.map(([{ start }]) => start.load) },
  ];
}

/** Gives the files of all tasks another time, as a backup or a start of the machine makes the store compare them once more. */
function touchTasks(project: string): void {
  const now = new Date();
  for (const file of globSync("tasks/*/{*,steps/*}.{json,md}", { cwd: project }))
    utimesSync(path.join(project, file), now, now);
}

/** As it was when it was quiet, and its start as the host traced it. */
type Quiet = QuietLook & { readonly start: Start };

/** Starts it again as it is and waits until it does next to nothing. With another configuration OpenClaw takes seconds more. */
async function startQuiet(gateway: Gateway): Promise<Quiet> {
  const { length } = await gateway.logs();
  // Where the plugin drives it comes again, when that begins.
  const holder = path.join(gateway.paths.workspace, "projects", ".driver", "holder.json");
  const drives = existsSync(holder);
  rmSync(holder, { force: true });
  await gateway.start();
  if (drives) await until("the plugin to drive", () => existsSync(holder));
  return { ...(await untilQuiet(gateway)), start: startOf((await gateway.logs()).slice(length)) };
}

// --- what OpenClaw takes alone

/** `template` as for `gatewayFigures`. */
export async function bareFigures(template: string): Promise<readonly Figure[]> {
  const { starts, gaps } = await bareOf(template);
  return [
    {
      measure: "the first load and register of a plugin of ten lines (one service, one hook) at a later start",
      unit: "ms",
      values: starts.map(({ load }) => load),
    },
    {
      measure: "from the end of one of its runs to the next one, which it launches at once",
      unit: "ms",
      values: gaps,
    },
    {
      measure: "loading the rest of our plugin, when the gateway has started, in a process of its own",
      unit: "ms of CPU",
      values: Array.from({ length: loads }, loadOfRest),
    },
  ];
}

type Bare = { readonly starts: readonly Start[]; readonly gaps: readonly number[] };

/**
 * What the host takes of a plugin that is installed like ours and does next to nothing: of its start, and, in milliseconds, between the end of
 * one run and the next one that it launches at once. It keeps nothing, looks at no tree and asks for no flow record.
 */
async function bareOf(template: string): Promise<Bare> {
  const home = await newHome(template);
  const [installed] = globSync(`**/node_modules/${pluginId}/dist/index.js`, { cwd: home });
  if (installed === undefined) throw new Error("the plugin is not installed where it is looked for");
  const count = slowOnes + samples + 1;
  writeFileSync(
    path.join(home, installed),
    `import { AsyncLocalStorage } from "node:async_hooks";
import { definePluginEntry } from "openclaw/plugin-sdk/plugin-entry";
export default definePluginEntry({ id: ${JSON.stringify(pluginId)}, name: "Bare", description: "Launches runs.", register(api) {
  let inService;
  const signal = Promise.withResolvers();
  api.registerService({
    id: "bare",
    start() {
      inService = AsyncLocalStorage.snapshot();
      process.once("SIGCONT", signal.resolve);
    },
    stop() {},
  });
  api.on("gateway_start", () => void inService(async () => {
    await signal.promise;
    for (let number = 0; number < ${count}; number += 1) {
      const run = { sessionKey: "agent:main:subagent:bare-" + number, idempotencyKey: "bare/" + number, lane: "subagent" };
      await api.runtime.subagent.run({ ...run, message: "Say a word.", deliver: false });
      await api.runtime.subagent.waitForRun({ runId: run.idempotencyKey, timeoutMs: 120_000 });
    }
  }));
} });
`,
  );
  const model = await startModel(() => ({ text: "A word." }));
  const gateway = await startGateway({ home, modelUrl: model.url, env: tracing });
  try {
    const starts: Start[] = [];
    while (starts.length < bareStarts) {
      const { length } = await gateway.logs();
      await gateway.restart("stop");
      starts.push(startOf((await gateway.logs()).slice(length)));
    }
    process.kill(gateway.pid, "SIGCONT");
    const runs = await until("all bare runs to end", async () => {
      const told = listOf((await gateway.call("tasks.list", {}))["tasks"]).map(fieldsOf);
      const inOrder = Array.from({ length: count }, (_, at) =>
        fieldsOf(told.find(({ runId }) => runId === `bare/${at}`)),
      );
      return inOrder.every(({ endedAt }) => typeof endedAt === "number") ? inOrder : undefined;
    });
    const gaps = runs.slice(1).map((run, at) => numberIn(run, "createdAt") - numberIn(fieldsOf(runs[at]), "endedAt"));
    return { starts, gaps: gaps.slice(slowOnes) };
  } finally {
    await gateway.dispose();
    await model.stop();
  }
}

function loadOfRest(): number {
  const code = `const before = process.cpuUsage(); require(process.argv[1]); const { user, system } = process.cpuUsage(before); console.log((user + system) / 1000)`;
  const file = path.join(repoRoot, "dist", "parts.js");
  return Number(execFileSync(process.execPath, ["--eval", code, file], { encoding: "utf8" }));
}

// --- making flow records

/**
 * What it takes to make the flow records of a thousand unfinished tasks, as when the projects of another machine are brought to this one. `template`
 * as for `gatewayFigures`; the tasks are written below the folder.
 */
export async function recordFigures(template: string, folder: string): Promise<readonly Figure[]> {
  const home = await newHome(template);
  const paths = pathsOf(home);
  const written = await writeTasks(folder, "records");
  mkdirSync(paths.workspace, { recursive: true });
  renameSync(path.join(written, "projects"), path.join(paths.workspace, "projects"));
  const gateway = await startGateway({ home, env: lookedAt(paths) });
  try {
    await until("all flow records", () => countFlowRecords(paths) === unfinished, { limitMs: lookLimitMs });
    const first = await untilQuiet(gateway);
    await gateway.stop();
    const later = await startQuiet(gateway);
    const measure = `making the flow records of ${unfinished} unfinished tasks at a start, beyond a later start`;
    return [
      { measure, unit: "ms of CPU", values: [first.spent - later.spent] },
      { measure: "objects in use behind it, beyond that", unit: "MB", values: [first.heapUsed - later.heapUsed] },
    ];
  } finally {
    await gateway.dispose();
  }
}

type QuietLook = Look & {
  /** CPU in milliseconds since the process began, without what the looks cost. */
  readonly spent: number;
};

/** Looks at the gateway every second until it has done next to nothing since the last look; one that does not get there is told of. */
async function untilQuiet(gateway: Gateway): Promise<QuietLook> {
  const endsAt = performance.now() + quietLimitMs;
  let before: Look | undefined;
  let looking = 0;
  return until(
    "the gateway to be quiet",
    async () => {
      const last = before;
      before = await lookAt(gateway);
      const isQuiet = last !== undefined && before.cpuBefore - last.cpuAfter < quietCpuMs;
      const spent = before.cpuBefore - looking;
      looking += before.cpuAfter - before.cpuBefore;
      if (!isQuiet && performance.now() < endsAt) return undefined;
      if (!isQuiet)
        process.stderr.write(`the gateway was not quiet after ${quietLimitMs / 1_000} s; it counts as it is\n`);
      return { ...before, spent };
    },
    { everyMs: 1_000, limitMs: 2 * quietLimitMs + lookLimitMs },
  );
}

async function lookAt(gateway: Gateway): Promise<Look> {
  const file = looksOf(gateway.paths);
  const lines = () => (existsSync(file) ? readFileSync(file, "utf8").split("\n").slice(0, -1) : []);
  const count = lines().length;
  process.kill(gateway.pid, "SIGCONT");
  return until(
    "the gateway to look at itself",
    () => {
      const line = lines()[count];
      return line === undefined ? undefined : (JSON.parse(line) as Look); // gateway-memory.ts writes nothing else.
    },
    { limitMs: lookLimitMs },
  );
}

/** Milliseconds of a start, as the host traced them; 0 for what did not happen. */
type Start = {
  /** The plugin is loaded and registered for the gateway. */
  readonly load: number;
  readonly service: number;
  /** Plugins are loaded and registered once more, for the turns of agents. */
  readonly again: number;
};

function startOf(log: string): Start {
  const number = (pattern: RegExp) => Number(pattern.exec(log)?.[1] ?? 0);
  return {
    load: number(/plugins\.gateway-load\.plugin\.project-orchestrator .*?loadAndRegisterMs=([\d.]+)/),
    service: number(/sidecars\.plugin-services\.project-orchestrator\.\S+ ([\d.]+)ms/),
    again: number(/sidecars\.model-runtime-build .*?runtimePluginMs=([\d.]+)/),
  };
}

/**
 * A world without OpenClaw: the real tools, driver and slots on a store in memory; agents, checks, working trees and flow
 * records are played. Everything moves by microtasks and by a clock that the test sets, so a scenario always goes the
 * same way. A process of this world can end between any two of its actions: nothing of it moves any more, its runs are
 * dead, and the next process finds only what was committed.
 */
import { OrchestratorError } from "../../src/errors.ts";
import { createDriver, type Driver } from "../../src/flow/driver.ts";
import type { RunObservation, RunRequest } from "../../src/flow/ports.ts";
import { placeOfSession, type RunPlace } from "../../src/flow/run-identity.ts";
import { createSlots, type Slots } from "../../src/flow/slots.ts";
import { createTaskReader } from "../../src/tools/task-reader.ts";
import { readSettings, type Config } from "../../src/schema/config.ts";
import type { Role, Step, TaskState } from "../../src/schema/documents.ts";
import type { Launcher } from "../../src/schema/events.ts";
import { createMemoryStore } from "../../src/store/memory-store.ts";
import { nameOfStream, type JournalRecord, type Store, type Stream } from "../../src/store/store.ts";
import { createProject } from "../../src/tools/create-project.ts";
import { createTask } from "../../src/tools/create-task.ts";
import { createAnswerMemory, type Caller, type Desk, type FlowMark } from "../../src/tools/desk.ts";
import { createRecorder } from "../../src/tools/driver-tools.ts";
import { recordBuilderResult } from "../../src/tools/record-builder-result.ts";
import { recordQaResult } from "../../src/tools/record-qa-result.ts";
import { startTask } from "../../src/tools/start-task.ts";
import { callIdOf, callTool, stateOf, type Answer, type Tool } from "../../src/tools/tool.ts";
import { inRun, owner } from "./callers.ts";
import { createSettableClock, type SettableClock } from "./settable-clock.ts";

/** Parts of the outside that can be made to fail, or to take their time. */
export type Part =
  | "commit"
  | "createFlow"
  | "sync"
  | "cancelRequested"
  | "agentFor"
  | "launch"
  | "observe"
  | "stop"
  | "cleanUp"
  | "usage"
  | "check"
  | "identify"
  | "compare"
  | "brief"
  | "read";

/** Which call is meant: of this task; with `result`, after it was done and when its result holds these words. */
export type Meeting = { readonly of?: string; readonly result?: string };

export type WorldOptions = {
  readonly config?: Config;
  readonly cast?: Partial<Cast>;
  /** Exit code of a check in a tree with this content; 0 when left out. */
  readonly check?: (name: string, content: string) => number;
  /** The process ends for good right after its n-th action on the outside; the next one begins. */
  readonly killAfter?: number;
  /** The process is stopped in good order, and a new one begun, whenever a scenario lets things come to rest. */
  readonly restartAtRest?: boolean;
  /** OpenClaw cannot make flow records when tasks are created. */
  readonly withoutFlows?: boolean;
};

/** What an agent does with its run. A run stays live after its part is played, until `end` or until it is stopped. */
export type Play = (run: RunInHand) => Promise<void> | void;
export type Cast = { readonly builder: Play; readonly qa: Play };

export type RunInHand = RunPlace & {
  readonly runId: string;
  readonly brief: string;
  /** Runs of this role in this attempt that were lost before it. */
  readonly lost: number;
  readonly step: Step;
  /** Calls the role's reporting tool as the host would call it in this run's turn. */
  report(parameters: unknown, fields?: Partial<Caller>): Promise<Answer>;
  /** Changes the working tree. */
  write(content: string): void;
  /** From now on there is a sign of life every time one looks. */
  keepBusy(): void;
  /** From now on, being asked to stop ends nothing. */
  ignoreStop(): void;
  /** From now on the host answers at once that it is live, instead of waiting for its end. */
  answerAtOnce(): void;
  end(ending?: Ending): void;
};

type Ending = Omit<Extract<RunObservation, { readonly kind: "ended" }>, "kind">;

export type HostRun = {
  readonly request: RunRequest;
  readonly process: number;
  readonly place: RunPlace;
  live: boolean;
  played: boolean;
  busy: boolean;
  deaf: boolean;
  hasty: boolean;
  stops: number;
  /** Another process was asked to stop it and does not have it, or drives by now: whoever drives there has done what it could. */
  givenUp: boolean;
  /** How often the host was asked about it. */
  asked: number;
  refusals: number;
  /** How the host says that it ended. */
  ending: Ending;
  lastEventAt: number;
  readonly ended: PromiseWithResolvers<void>;
};

type FlowRecord = {
  readonly flowId: string;
  ended: boolean;
  cancelRequested: boolean;
  taskStatus: string;
  seq: number;
  sum: string;
};
type Life = { readonly number: number; alive: boolean; readonly died: PromiseWithResolvers<"died"> };
type Process = { readonly life: Life; readonly desk: Desk; readonly driver: Driver; readonly slots: Slots };

/** A builder that changes the tree and reports it done. */
export const builds: Play = async (run) => {
  run.write(`${run.stepId} as attempt ${run.attempt} left it`);
  await run.report({ outcome: "done", summary: `Built ${run.stepId}.`, filesChanged: [] });
  run.end();
};

/** QA that passes every criterion but those named. */
export const judges =
  (...fails: readonly string[]): Play =>
  async (run) => {
    const criteria = run.step.passCriteria.map(({ id }) => ({
      id,
      pass: !fails.includes(id),
      evidence: `I looked at ${id}.`,
    }));
    await run.report({ criteria, feedback: fails.length === 0 ? "" : `Mend ${fails.join(", ")}.` });
    run.end();
  };

/** Ends without a report. */
export const forgets: Play = (run) => run.end();
/** Lives on and shows nothing. */
export const staysSilent: Play = () => undefined;
/** Lives on and works. */
export const staysBusy: Play = (run) => run.keepBusy();

export type World = {
  readonly clock: SettableClock;
  readonly store: Store;
  readonly runs: readonly HostRun[];
  readonly briefed: readonly { readonly role: string; readonly step: Step }[];
  readonly checksRun: readonly string[];
  readonly notified: readonly Stream[];
  readonly warnings: readonly string[];
  readonly flows: ReadonlyMap<string, FlowRecord>;
  /**
   * Every call of a tool, in order: the id under which it stands in a journal, and `done`, the code of its refusal, or `unheard` while nobody
   * has heard an answer.
   */
  readonly calls: readonly { readonly callId: string; readonly tool: string; readonly outcome: string }[];
  /** How many actions on the outside were done so far, by all processes. */
  actions(): number;
  driver(): Driver;
  slots(): Slots;
  desk(): Desk;
  call(tool: unknown, parameters: unknown, caller?: Caller): Promise<Answer>;
  /** Calls a tool and expects it not to be refused. */
  done(tool: unknown, parameters: unknown, caller?: Caller): Promise<Answer>;
  project(name?: string, repo?: string): Promise<string>;
  task(fields?: Readonly<Record<string, unknown>>): Promise<string>;
  /** A task of these steps, created and started in one go. */
  started(fields?: Readonly<Record<string, unknown>>): Promise<string>;
  state(taskId: string): Promise<TaskState>;
  status(taskId: string): Promise<string>;
  step(taskId: string, stepId?: string): Promise<Step>;
  history(taskId: string): Promise<readonly JournalRecord[]>;
  live(role?: Role): readonly HostRun[];
  /** Lets the agents of these live runs play a part, beside what their cast made them do. */
  letPlay(runs: readonly HostRun[], part: Play): Promise<void>;
  /** Lets everything happen that needs no time; in a world with `restartAtRest` a restart follows. */
  rest(): Promise<void>;
  /** Lets time pass, a little at a time, until the condition holds; fails when it does not within `atMostMs`. */
  until(holds: () => Promise<boolean> | boolean, atMostMs?: number): Promise<void>;
  pass(ms: number): Promise<void>;
  restart(): Promise<void>;
  /** Another process takes over the driving; this one lives on with its runs, as after a lost lease. */
  handOver(): Promise<void>;
  /** Another process begins to drive, and this one does not know of it: two drive, as when the lease of a stalled one was taken. */
  stealLease(): Promise<void>;
  /** The gateway dies now. */
  kill(): Promise<void>;
  /** The gateway dies right after so many more actions on the outside. */
  dieAfter(count: number): void;
  /** The next calls of a part of the outside fail. */
  fail(part: Part, error: Error, times?: number, meeting?: Meeting): void;
  /** What was to fail from now on does not. */
  mend(): void;
  /** The next call of a part of the outside is held until the answer is called. */
  hold(part: Part, meeting?: Meeting): () => void;
  /** Another writer is first at the next commits. */
  beFirst(times: number): void;
  /** The configuration is another one from now on. */
  configure(config: Config): void;
  askToCancelFlow(taskId: string): void;
  loseFlow(taskId: string): void;
  stop(): Promise<void>;
  /** Nobody looks at it any more: also what dead processes wait for is given up, so that none of it is kept. */
  discard(): void;
};

export const aStepOf = (fields: Readonly<Record<string, unknown>> = {}) => ({
  title: "A step",
  goal: "Build it.",
  passCriteria: ["It runs.", "It is tested."],
  ...fields,
});

export const hostRefuses = () => new OrchestratorError("host-refused", "the gateway is draining");

/** A promise of its own each time: one for all would keep whoever waits for it, and with that every world, for ever. */
const never = () => new Promise<never>(() => undefined);

export async function createWorld(options: WorldOptions = {}): Promise<World> {
  const clock = createSettableClock();
  const settingsOf = (config: Config) => {
    const read = readSettings(config);
    if (read.problems.length > 0) throw new Error(read.problems.join("; "));
    return read.settings;
  };
  let settings = settingsOf(options.config ?? {});
  const kept = createMemoryStore({ renderPages: () => ({}) });
  const cast: Cast = { builder: builds, qa: judges(), ...options.cast };
  const runs: HostRun[] = [];
  const briefed: { role: string; step: Step }[] = [];
  const checksRun: string[] = [];
  const notified: Stream[] = [];
  const warnings: string[] = [];
  /** The flow record of each task: of two that were made at once, the one that the task names. */
  const flows = new Map<string, FlowRecord>();
  const flowsById = new Map<string, FlowRecord>();
  const trees = new Map<string, string>();
  const faults: (Meeting & { readonly part: Part; readonly error: Error; times: number })[] = [];
  const holds: (Meeting & { readonly part: Part; readonly until: Promise<void>; taken: boolean })[] = [];
  let conflicts = 0;
  const wrong: unknown[] = [];
  const processes: Process[] = [];
  const toolCalls: { callId: string; tool: string; outcome: string }[] = [];
  let actions = 0;
  let calls = 0;
  let killAfter = options.killAfter;
  let flowIds = 0;

  function begin(): Process {
    const number = processes.length + 1;
    const slots = createSlots(() => settings.parallelTasks);
    const current: Life = { number, alive: true, died: Promise.withResolvers<"died">() };

    /** Everything that leaves the process passes here: it can fail, be held, count, and never comes back in a dead process. */
    async function out<T>(part: Part, work: () => Promise<T> | T, of = ""): Promise<T> {
      if (!current.alive) return never();
      calls += 1;
      if (calls > mostCalls) {
        wrong.push(new Error(`the world goes on and on without time: ${part} of ${of}`));
        return never();
      }
      await meet(part, of, undefined);
      if (!current.alive) return never();
      const result = await work();
      // To look into every result would cost more than all the rest.
      if (holds.length + faults.length > 0) await meet(part, of, JSON.stringify(result) ?? "");
      if (!current.alive) return never();
      if (!acting.has(part)) return result;
      actions += 1;
      if (actions === killAfter) end(current);
      return current.alive ? result : never();
    }

    const store: Store = {
      ...kept,
      read: (stream) => out("read", () => kept.read(stream), stream.taskId),
      commit: (stream, seq, change, again) =>
        out(
          "commit",
          async () => {
            if ((conflicts -= 1) >= 0) return { kind: "conflict" };
            const answer = await kept.commit(stream, seq, change, again);
            // Of its own commits a process is told at once, unless the answer is about to be lost.
            const isLost = faults.some((one) => one.part === "commit" && one.result !== undefined && one.times > 0);
            followLater(stream, isLost ? undefined : number);
            return answer;
          },
          stream.taskId,
        ),
    };
    const launcher: Launcher = { host: "test", pid: number, startedAt: `start ${number}`, bootId: `process ${number}` };
    const hostRun = (runId: string) => runs.find((one) => one.request.runId === runId && one.process === number);

    const desk: Desk = {
      store,
      get settings() {
        return settings;
      },
      now: () => new Date(clock.now()),
      backOff: () => Promise.resolve(),
      answers: createAnswerMemory(() => clock.elapsed()),
      chooseRepo: (projectId, wanted) => Promise.resolve(wanted ?? `/repos/${projectId}`),
      inspectPaths: (_repo, paths) => Promise.resolve(paths.map((path) => ({ path, kind: "file" as const }))),
      buildersAreUnconfined: () => true,
      createFlow: ({ taskId }) => out("createFlow", () => (options.withoutFlows === true ? null : newFlow(taskId))),
      readFlow: ({ taskId }) => Promise.resolve(markOf(taskId)),
      committed: (stream) => {
        if (current.alive) driver.committed(stream);
      },
      live: {
        waitsFor: (stream) => driver.waitsFor(stream),
        activity: () => undefined,
        delayOf: (stream) => driver.delayOf(stream),
        remarks: () => [],
      },
    };

    const driver = createDriver({
      root: "/root",
      settings: () => settings,
      recorder: createRecorder(desk),
      reader: createTaskReader({ ...desk, store }),
      slots,
      log: {
        info: () => undefined,
        warn: (message) => warnings.push(message),
        error: (message) => warnings.push(message),
      },
      clock: {
        now: () => clock.now(),
        elapsed: () => clock.elapsed(),
        wait: async (ms, signal) =>
          current.alive ? clock.wait(ms, signal).then(() => (current.alive ? undefined : never())) : never(),
      },
      notifier: {
        changed: (stream) => notified.push(stream),
        unreadable: () => undefined,
        readable: () => undefined,
      },
      briefs: {
        brief: (role, _stream, _state, step) =>
          out("brief", () => {
            briefed.push({ role, step });
            return `${role} of ${step.id}, attempt ${step.attempt}`;
          }),
      },
      checks: {
        run: (check, cwd) =>
          out("check", () => {
            checksRun.push(check.name);
            const exitCode = options.check?.(check.name, trees.get(cwd) ?? "") ?? 0;
            return {
              name: check.name,
              program: `/bin/${check.command[0]}`,
              exitCode,
              timedOut: false,
              durationMs: 5,
              outputTail: `exit ${exitCode}`,
            };
          }),
      },
      worktree: {
        identify: (repo) => out("identify", () => `tree of ${trees.get(repo) ?? "nothing"}`),
        compare: (_repo, _keepIn, before, after) => out("compare", () => (before === after ? [] : ["work.txt"])),
      },
      flows: {
        sync: (stream, state, at) =>
          out("sync", () => {
            const taskId = stream.taskId ?? "";
            const known = flowsById.get(state.task.flowId ?? "");
            const isEnd = state.task.status === "done" || state.task.status === "cancelled";
            if (known === undefined) return isEnd ? undefined : newFlow(taskId);
            flows.set(taskId, known);
            if (known.ended) return undefined;
            Object.assign(known, { taskStatus: state.task.status, seq: at.seq, sum: at.sum, ended: isEnd });
            return undefined;
          }),
        cancelRequested: (streams) =>
          out("cancelRequested", () =>
            streams.filter((stream) => flows.get(stream.taskId ?? "")?.cancelRequested === true),
          ),
        isLevel: (_stream, flowId, at) => {
          const known = flowsById.get(flowId ?? "");
          return known?.ended === false && known.seq === at.seq && known.sum === at.sum;
        },
      },
      runner: {
        launcher,
        // Read off the process table, which answers always and at once.
        isAlive: (asked) =>
          current.alive
            ? Promise.resolve(processes.some((one) => one.life.alive && `process ${one.life.number}` === asked.bootId))
            : never(),
        agentFor: () => out("agentFor", () => "main"),
        launch: (request) =>
          out("launch", () => {
            if (hostRun(request.runId) !== undefined) return;
            const place = placeOfSession(request.sessionKey);
            if (place === undefined) throw new Error(`a run in a foreign session ${request.sessionKey}`);
            if (runs.some((one) => one.request.runId === request.runId))
              wrong.push(new Error(`run ${request.runId} was launched by two processes`));
            const same = runs.find(
              (one) =>
                one.live &&
                !one.givenUp &&
                one.place.taskId === place.taskId &&
                one.place.stepId === place.stepId &&
                one.place.role === place.role,
            );
            // A launch that is answered when another process drives already is stopped as soon as it is.
            if (same !== undefined && number === processes.length)
              wrong.push(new Error(`${request.runId} was launched while ${same.request.runId} was live`));
            runs.push({
              request,
              process: number,
              place,
              live: true,
              played: false,
              busy: false,
              deaf: false,
              hasty: false,
              stops: 0,
              // Answered late, when another process drives already: nobody there knows of it.
              givenUp: number !== processes.length,
              asked: 0,
              refusals: 0,
              ending: { by: "itself" },
              lastEventAt: clock.elapsed(),
              ended: Promise.withResolvers<void>(),
            });
          }),
        observe: ({ runId }, atMostMs) =>
          out("observe", async () => {
            const run = hostRun(runId);
            const seen = (): RunObservation =>
              run === undefined || run.live ? { kind: "live" } : { kind: "ended", ...run.ending };
            if (run !== undefined) run.asked += 1;
            if (seen().kind === "ended" || run?.hasty === true) return seen();
            const waited = new AbortController();
            await Promise.race([clock.wait(atMostMs, waited.signal), run?.ended.promise ?? never()]);
            // Without a reason an error is made each time, with its stack.
            waited.abort("over");
            return seen();
          }),
        stop: ({ runId }) =>
          out("stop", () => {
            const run = hostRun(runId);
            if (run === undefined) {
              for (const one of runs) if (one.request.runId === runId) one.givenUp = true;
              return false;
            }
            const { live } = run;
            run.stops += 1;
            if (!run.deaf) endRun(run);
            return live;
          }),
        cleanUp: () => out("cleanUp", () => undefined),
        usage: () => out("usage", () => ({ inputTokens: 100, outputTokens: 10, costUsd: 0.01 })),
        signs(runId) {
          const run = hostRun(runId);
          return run === undefined
            ? undefined
            : { idleMs: run.busy ? 0 : clock.elapsed() - run.lastEventAt, refusals: run.refusals };
        },
      },
    });
    const process: Process = { life: current, desk, driver, slots };
    processes.push(process);
    driver.resume().catch((error: unknown) => wrong.push(error));
    wakeLagging(driver).catch((error: unknown) => wrong.push(error));
    return process;
  }

  /** Every process looks for commits now and then; one that knows of this one already is left out. */
  function followLater(stream: Stream, knowing: number | undefined): void {
    for (const { life, driver } of processes) {
      if (!life.alive || life.number === knowing) continue;
      clock.wait(followMs, new AbortController().signal).then(
        () => life.alive && driver.committed(stream),
        (error: unknown) => wrong.push(error),
      );
    }
  }

  /** At start, tasks that have ended while their flow record has not. */
  async function wakeLagging(driver: Driver): Promise<void> {
    for (const stream of await kept.list()) {
      if (stream.taskId === undefined || flows.get(stream.taskId)?.ended !== false) continue;
      if (["done", "cancelled"].includes(await world.status(stream.taskId))) driver.wake(stream);
    }
  }

  /** Holds or fails a call on the outside when a test wants that; `result` is there once the call has been done. */
  async function meet(part: Part, of: string, result: string | undefined): Promise<void> {
    const isMet = (one: Meeting & { readonly part: Part }) =>
      one.part === part &&
      (one.of === undefined || one.of === of) &&
      (one.result === undefined ? result === undefined : result?.includes(one.result) === true);
    const held = holds.find((one) => !one.taken && isMet(one));
    if (held !== undefined) {
      held.taken = true;
      await held.until;
    }
    const fault = faults.find((one) => one.times > 0 && isMet(one));
    if (fault === undefined) return;
    fault.times -= 1;
    throw fault.error;
  }

  /** What the flow record of a task says, once it was brought up to the journal. */
  function markOf(taskId = ""): FlowMark | undefined {
    const known = flows.get(taskId);
    return known === undefined || known.seq === 0 ? undefined : known;
  }

  function newFlow(taskId: string): string {
    flowIds += 1;
    const flowId = `flow-${flowIds}`;
    const flow = { flowId, ended: false, cancelRequested: false, taskStatus: "draft", seq: 0, sum: "" };
    flowsById.set(flowId, flow);
    flows.set(taskId, flow);
    return flowId;
  }

  function endRun(run: HostRun): void {
    run.live = false;
    run.ended.resolve();
  }

  /** A process ends: nothing of it moves any more, and what it ran is gone. */
  function end(process: Life): void {
    process.alive = false;
    for (const run of runs) if (run.process === process.number) run.live = false;
    process.died.resolve("died");
  }

  const now = () => {
    const current = processes.at(-1);
    if (current === undefined) throw new Error("no process");
    return current;
  };

  function play(run: HostRun): Promise<void> {
    run.played = true;
    return take(run, cast[run.place.role]);
  }

  async function take(run: HostRun, part: Play): Promise<void> {
    const { place, request } = run;
    const { desk } = now();
    const step = await world.step(place.taskId, place.stepId);
    const lost = (step.attempts.at(-1)?.runs ?? []).filter(
      (one) => one.role === place.role && one.end === "lost",
    ).length;
    const tool = place.role === "builder" ? recordBuilderResult : recordQaResult;
    const inHand: RunInHand = {
      ...place,
      runId: request.runId,
      brief: request.brief,
      lost,
      step,
      async report(parameters, fields = {}) {
        run.lastEventAt = clock.elapsed();
        const answer = await answerOf(desk, inRun(place, request.runId, fields), tool, parameters);
        if ("refused" in answer.details) run.refusals += 1;
        return answer;
      },
      write: (content) => void trees.set(request.cwd, content),
      keepBusy: () => void (run.busy = true),
      ignoreStop: () => void (run.deaf = true),
      answerAtOnce: () => void (run.hasty = true),
      end: (ending = run.ending) => {
        run.ending = ending;
        endRun(run);
      },
    };
    await part(inHand);
  }

  /** Calls a tool and notes what it answered; what a process that died meanwhile would have answered nobody heard. */
  function answerOf(desk: Desk, caller: Caller, tool: Tool, parameters: unknown): Promise<Answer> {
    const { life } = now();
    const made = { callId: callIdOf(caller, tool.name, parameters), tool: tool.name, outcome: "unheard" };
    toolCalls.push(made);
    const answer = callTool(desk, caller, tool, parameters);
    const note = ({ details }: Answer) => {
      const { refused } = details as { readonly refused?: { readonly code: string } };
      if (life.alive) made.outcome = refused?.code ?? "done";
    };
    answer.then(note, () => undefined);
    return answer;
  }

  /** Until nothing moves without time: microtasks, agents' turns, and a new process when one died. */
  async function settle(): Promise<void> {
    for (let round = 0; round < 100_000; round += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      if (wrong.length > 0) throw wrong[0];
      const next = runs.find((run) => run.live && !run.played);
      if (!now().life.alive) begin();
      else if (next !== undefined) play(next).catch((error: unknown) => wrong.push(error));
      else return;
    }
    throw new Error("the world does not come to rest");
  }

  async function pass(ms: number): Promise<void> {
    const target = clock.elapsed() + ms;
    await settle();
    for (let next = clock.next(); next !== undefined && next <= target; next = clock.next()) {
      clock.moveTo(next);
      await settle();
    }
    clock.moveTo(target);
    await settle();
  }

  async function stop(): Promise<void> {
    let stopped = false;
    const { driver, life } = now();
    driver.stop().then(
      () => (stopped = true),
      (error: unknown) => wrong.push(error),
    );
    // It may die of what it does at its end.
    for (let round = 0; !stopped && life.alive && round < 1000; round += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      const next = clock.next();
      if (!stopped && next !== undefined) clock.moveTo(next);
    }
    if (wrong.length > 0) throw wrong[0];
    if (!stopped && life.alive) throw new Error("the driver does not stop");
  }

  async function restart(): Promise<void> {
    if (now().life.alive) await stop();
    end(now().life);
    await settle();
  }

  const world: World = {
    clock,
    store: kept,
    runs,
    briefed,
    checksRun,
    notified,
    warnings,
    flows,
    calls: toolCalls,
    actions: () => actions,
    driver: () => now().driver,
    slots: () => now().slots,
    desk: () => now().desk,
    async call(tool, parameters, caller = owner()) {
      for (;;) {
        const current = now();
        // Tools differ in their parameters; here only the common shape counts.
        const { life, desk } = current;
        const answer = life.alive
          ? await Promise.race([answerOf(desk, caller, tool as Tool, parameters), life.died.promise])
          : "died";
        if (answer !== "died") return answer;
        await settle();
      }
    },
    async done(tool, parameters, caller) {
      const answer = await world.call(tool, parameters, caller);
      if ("refused" in answer.details) throw new Error(answer.text);
      return answer;
    },
    async project(name = "Shop", repo) {
      const { details } = await world.done(createProject, {
        name,
        spec: "A shop.",
        ...(repo === undefined ? {} : { repo }),
      });
      return String(details["projectId"]);
    },
    async task(fields = {}) {
      const projectId = "projectId" in fields ? fields["projectId"] : await world.project();
      const wanted = {
        projectId,
        title: "Login",
        spec: "People log in.",
        acceptanceCriteria: ["It works."],
        steps: [aStepOf()],
        ...fields,
      };
      const { details } = await world.done(createTask, wanted);
      return String(details["taskId"]);
    },
    async started(fields) {
      const taskId = await world.task(fields);
      await world.done(startTask, { taskId });
      return taskId;
    },
    async state(taskId) {
      const stream = (await kept.list()).find((one) => one.taskId === taskId);
      const snapshot = stream === undefined ? undefined : await kept.read(stream);
      if (snapshot === undefined) throw new Error(`no task ${taskId}`);
      return stateOf(snapshot);
    },
    status: async (taskId) => (await world.state(taskId)).task.status,
    async step(taskId, stepId = "step-01") {
      const step = (await world.state(taskId)).steps.find((one) => one.id === stepId);
      if (step === undefined) throw new Error(`no step ${stepId}`);
      return step;
    },
    async history(taskId) {
      const stream = (await kept.list()).find((one) => one.taskId === taskId);
      return stream === undefined ? [] : kept.history(stream, 0);
    },
    live: (role) => runs.filter((run) => run.live && (role === undefined || run.place.role === role)),
    async letPlay(chosen, part) {
      for (const run of chosen) await Promise.race([take(run, part), now().life.died.promise]);
    },
    async rest() {
      await settle();
      if (options.restartAtRest === true) await restart();
    },
    async until(holds, atMostMs = 3_600_000) {
      const latest = clock.elapsed() + atMostMs;
      await settle();
      while (!(await holds())) {
        const next = clock.next();
        if (next === undefined || next > latest) throw new Error(await describeWorld());
        clock.moveTo(next);
        await settle();
      }
      await world.rest();
    },
    pass,
    restart,
    async handOver() {
      await stop();
      begin();
      await settle();
    },
    async stealLease() {
      begin();
      await settle();
    },
    async kill() {
      end(now().life);
      await settle();
    },
    dieAfter: (count) => void (killAfter = actions + count),
    fail: (part, error, times = 1, meeting = {}) => void faults.push({ part, error, times, ...meeting }),
    mend: () => void faults.splice(0),
    beFirst: (times) => void (conflicts = times),
    hold(part, meeting = {}) {
      const { promise, resolve } = Promise.withResolvers<void>();
      holds.push({ part, until: promise, taken: false, ...meeting });
      return resolve;
    },
    configure: (config) => void (settings = settingsOf(config)),
    askToCancelFlow(taskId) {
      const flow = flows.get(taskId);
      if (flow !== undefined) flow.cancelRequested = true;
    },
    loseFlow(taskId) {
      flowsById.delete(flows.get(taskId)?.flowId ?? "");
      flows.delete(taskId);
    },
    stop,
    discard() {
      for (const { life } of processes) life.alive = false;
      for (const { driver } of processes) void driver.stop().catch(() => undefined);
    },
  };

  async function describeWorld(): Promise<string> {
    const tasks = [];
    for (const stream of await kept.list()) {
      if (stream.taskId === undefined) continue;
      const { task, steps } = await world.state(stream.taskId);
      tasks.push(
        `${nameOfStream(stream)} ${task.status}: ${steps.map((one) => `${one.id} ${one.status} ${one.builder.status}/${one.qa.status}`).join(", ")}`,
      );
    }
    return [
      "what was waited for did not come",
      ...tasks,
      `${world.live().length} live runs`,
      ...warnings.slice(-5),
    ].join("\n");
  }

  begin();
  await settle();
  return world;
}

const followMs = 5_000;

/** More calls of the outside than any history has that comes to rest. */
const mostCalls = 500_000;

/** What changes something outside, so that ending the process after it makes a difference. */
const acting: ReadonlySet<Part> = new Set<Part>([
  "commit",
  "createFlow",
  "sync",
  "launch",
  "stop",
  "cleanUp",
  "check",
  "identify",
]);

/**
 * Moves tasks: reads what is due in a task (`recover`), starts an executor for each effect that is not already under
 * way, and looks again whenever something changed. It holds no truth: stopped at any moment and made anew, it finds the
 * same effects. One worker per task; a worker sleeps until it is woken and ends when nothing of its task is due.
 *
 * An effect that is no longer due (a run that was stopped, a wait that became another wait) has its signal aborted. An
 * executor that throws is tried again after a growing pause, and while it goes on throwing the log and the status say since
 * when. A journal that is damaged or was rolled back is told once and
 * looked at again after the longest pause, so that a restored file goes on without a restart; meanwhile its task has a
 * place only as long as a run of it lives.
 */
import { nameOfStream, type Stream } from "../store/store.ts";
import type { WaitsFor } from "../schema/details.ts";
import type { Step, TaskState, TaskStatus } from "../schema/documents.ts";
import type { Settings } from "../schema/config.ts";
import type { Effect } from "../schema/effects.ts";
import { hasEnded, type Outline } from "../schema/outline.ts";
import type { Claim } from "./slots.ts";
import { createWithin, withDeadlines } from "./deadlines.ts";
import { createExecutors, obeyFlowCancel, type ExecutorPorts, type Situation } from "./executors.ts";
import type { Delay, Notifier, TaskReader, Unfinished } from "./ports.ts";
import { isLive, mayLaunch, openRuns, seatOf } from "./ready.ts";
import { recover } from "./recover.ts";
import { createTurns, inBatches } from "./turns.ts";
import { OrchestratorError, assertNever } from "../errors.ts";

/** `root` tells this driver's tasks from those of other roots that share the slots. */
export type DriverPorts = ExecutorPorts & { readonly notifier: Notifier; readonly root: string };

export type Driver = {
  /** Takes up what is due in every unfinished task, and makes the files of those right in which nothing is. */
  resume(): Promise<void>;
  /** Looks at a task again; call it after every commit. Never throws, never waits. */
  wake(stream: Stream): void;
  /** A task was committed: its person hears of it, it is looked at, and so are those that wait for it. */
  committed(stream: Stream): void;
  /** What the task waits for that only the driver knows: a slot, or the working tree. */
  waitsFor(stream: Stream): readonly WaitsFor[];
  /** What is refused to the task for longest and tried again by itself; undefined when nothing is, or when a person has to mend it. */
  delayOf(stream: Stream): Delay | undefined;
  /** The tasks that have not ended, as far as this driver knows. */
  unfinished(): readonly Stream[];
  /**
   * Stops driving: no effect is begun any more, live runs go on, what was planned and not launched is closed, so that who drives
   * next need not wait for it. Resolves when every executor has returned; one whose call of the host is not answered is waited
   * for ten seconds.
   */
  stop(): Promise<void>;
};

/** An effect under way. `askedAgain`: it was due once more meanwhile, so what it saw may be out of date. */
type Doing = { readonly abort: AbortController; askedAgain: boolean };
/** How often and since when (time of day) an effect has failed in a row, when (elapsed time) it may be begun again, whether a person has to mend what it failed on, and its last words. */
type Failure = {
  readonly count: number;
  readonly since: number;
  readonly until: number;
  readonly damage: boolean;
  readonly words: string;
};
type KnownRun = { readonly runId: string; readonly sessionKey: string; readonly isLaunched: boolean };
type Worker = {
  readonly stream: Stream;
  readonly doing: Map<string, Doing>;
  readonly failures: Map<string, Failure>;
  looking: boolean;
  again: boolean;
  /** The runs that had not ended when the task was last read. */
  runs: readonly KnownRun[];
  /** Its place was given back while it could not be read: it asks for one again, also for what seems to run. */
  gaveBack: boolean;
  syncedSeq: number;
  /** The journal's last record when the last look found nothing due but the flow record; undefined otherwise. */
  idleSeq: number | undefined;
};

type Resting = Required<Unfinished>;
/** Of a task with one of these, and with no open run, nothing is due. */
const rests: ReadonlySet<string> = new Set<TaskStatus>(["draft", "paused", "blocked"]);

type ReadTask = NonNullable<Awaited<ReturnType<TaskReader["read"]>>>;
/** A run that is planned and not launched is no work yet: a pause may have met it, and it waits with its task. */
const hasLaunchedRun = (step: Step) =>
  openRuns(step).some((run) => seatOf(step, run.role === "qa" ? "qa" : "builder").status !== "launching");

/** False for a task of which nothing is under way and nothing may be begun. */
const mayHoldPlace = ({ status, openRuns: open }: Outline) => status === "running" || open > 0;

const knownRunsOf = (step: Step): readonly KnownRun[] =>
  openRuns(step).flatMap(({ runId, role }) => {
    const { sessionKey, status } = seatOf(step, role === "qa" ? "qa" : "builder");
    return sessionKey === null ? [] : [{ runId, sessionKey, isLaunched: status !== "launching" }];
  });

/** There is no such task any more: what of it is under way ends, and then nothing of it is kept. */
class TaskGone extends Error {}

/** So many tasks are looked at, and so many flow records brought up to date, at a time. OpenClaw takes 128 such questions at once. */
const [mostLooks, mostSyncs] = [64, 16];
const pollMs = 5_000;
const longestPauseMs = 10_000;

/** Makes a driver over one root. Several roots of one process share `slots`. */
export function createDriver(unbounded: DriverPorts): Driver {
  const stopping = new AbortController();
  const within = createWithin(unbounded.clock, stopping.signal);
  const ports = withDeadlines(unbounded, within);
  const { reader, flows, clock, log, notifier, settings, recorder, runner, slots, root } = ports;
  const workers = new Map<string, Worker>();
  /** Tasks that have not ended, as far as this driver was told of them: drafts, paused and blocked ones have no worker. */
  const unfinished = new Map<string, Stream>();
  /** Tasks of which a run may be planned and not launched, as far as was seen; a paused one keeps such a run without a worker. */
  const planning = new Map<string, Stream>();
  const executors = createExecutors(ports, within);
  const [looking, syncing] = [createTurns(mostLooks), createTurns(mostSyncs)];
  const placeOf = (stream: Stream) => `${root}:${nameOfStream(stream)}`;
  const background = new Set<Promise<void>>();
  let polling = false;
  let stopped: Promise<void> | undefined;

  function wake(stream: Stream): void {
    if (stopping.signal.aborted || stream.taskId === undefined) return;
    const name = nameOfStream(stream);
    const worker = workers.get(name) ?? {
      stream,
      doing: new Map(),
      failures: new Map(),
      looking: false,
      again: false,
      runs: [],
      gaveBack: false,
      syncedSeq: -1,
      idleSeq: undefined,
    };
    workers.set(name, worker);
    unfinished.set(name, stream);
    if (worker.looking) worker.again = true;
    else keepTrack(look(worker));
    if (!polling) keepTrack(poll());
  }

  function keepTrack(work: Promise<void>): void {
    const tracked = work
      .catch((error: unknown) => log.error(`driver: ${words(error)}`))
      .finally(() => background.delete(tracked));
    background.add(tracked);
  }

  /** One worker's turn: read, stop what is no longer due, begin what is. */
  async function look(worker: Worker): Promise<void> {
    worker.looking = true;
    try {
      do {
        worker.again = false;
        await looking(() => (stopping.signal.aborted ? Promise.resolve() : lookOnce(worker)));
      } while (worker.again && !stopping.signal.aborted);
      worker.failures.delete("look");
      notifier.readable(worker.stream);
    } catch (error) {
      if (error instanceof TaskGone) await letGo(worker, error);
      else {
        retryLater(worker, "look", error);
        if (needsPerson(error) || worker.failures.get("look")?.damage === true) {
          notifier.unreadable(worker.stream, error);
          await giveBack(worker);
        }
      }
    } finally {
      worker.looking = false;
    }
    if (worker.again) wake(worker.stream);
  }

  async function lookOnce(worker: Worker): Promise<void> {
    const { stream } = worker;
    worker.idleSeq = undefined;
    const task = await reader.read(stream);
    if (stopping.signal.aborted) return;
    if (task === undefined) throw new TaskGone("its folder was moved away or removed");
    const { state, repo, seq } = task;
    if (hasEnded(state.task)) unfinished.delete(nameOfStream(stream));
    const due = new Map(recover(state, settings()).map((effect) => [keyOf(effect, state.task.rev), effect]));
    for (const [key, doing] of worker.doing) if (!due.has(key) && key !== "sync") doing.abort.abort(overdue);
    for (const key of worker.failures.keys())
      if (!due.has(key) && key !== "sync" && key !== "look") worker.failures.delete(key);
    const claim = claimOf(stream, task);
    holdPlace(claim, state, worker.gaveBack);
    worker.runs = state.steps.flatMap(knownRunsOf);
    // A check or a launch that is no longer due may still be under way; its end looks here again.
    const isEnding = [...worker.doing.keys()].some((key) => key.startsWith("RunChecks") || key.startsWith("LaunchRun"));
    if (due.size === 0 && !isEnding) slots.leave(claim.key);
    if (worker.syncedSeq !== seq)
      begin(worker, "sync", (signal) =>
        syncing(async () => {
          if (signal.aborted) return;
          const flowId = await flows.sync(stream, state, task);
          worker.syncedSeq = seq;
          if (flowId !== undefined)
            await recorder.record(stream, { type: "FlowLinked", v: 1, at: momentOf(clock.now()), flowId });
        }),
      );
    for (const [key, effect] of due)
      begin(worker, key, (signal) => carryOut(effect, { stream, state, repo, claim, signal }));
    const isPlanning = [...worker.doing.keys()].some((key) => key.startsWith("PlanRun"));
    if (isPlanning || worker.runs.some(({ isLaunched }) => !isLaunched)) planning.set(nameOfStream(stream), stream);
    else planning.delete(nameOfStream(stream));
    const isIdle = due.size === 0 && [...worker.doing.keys()].every((key) => key === "sync") && !worker.again;
    if (isIdle && worker.doing.size === 0 && worker.syncedSeq === seq) workers.delete(nameOfStream(stream));
    else if (isIdle) worker.idleSeq = seq;
  }

  const claimOf = (stream: Stream, { state, repo }: ReadTask): Claim => ({
    key: placeOf(stream),
    taskId: state.task.id,
    tree: repo,
    wake: () => wake(stream),
  });

  /** A task that cannot be read keeps others from their work only as long as something of it is under way. False while it does. */
  async function giveBack(worker: Worker): Promise<boolean> {
    if (worker.doing.size > 0) return false;
    for (const run of worker.runs) if (await mayLive(run)) return false;
    worker.gaveBack = true;
    slots.leave(placeOf(worker.stream));
    return true;
  }

  /** Nothing of a task that is gone is driven any more. One that comes back wakes its driver. */
  async function letGo(worker: Worker, gone: TaskGone): Promise<void> {
    for (const doing of worker.doing.values()) doing.abort.abort(overdue);
    if (!(await giveBack(worker))) return retryLater(worker, "look", gone);
    for (const known of [workers, unfinished, planning]) known.delete(nameOfStream(worker.stream));
  }

  /** The host takes also a run that it never had for a live one; one whose launch was not confirmed must have shown life. */
  async function mayLive(run: KnownRun): Promise<boolean> {
    if (!run.isLaunched && runner.signs(run.runId) === undefined) return false;
    return runner.observe(run, 1).then(
      (seen) => seen.kind === "live",
      () => true,
    );
  }

  /** A launched run has its place whatever else; a half-done step that may go on asks for one before anything new does. */
  function holdPlace(claim: Claim, state: TaskState, gaveBack = false): void {
    const isLaunched = state.steps.some(hasLaunchedRun);
    if (isLaunched && !gaveBack) slots.keep(claim);
    else if (isLaunched) slots.take(claim);
    else if (mayLaunch(state) && state.steps.some(isLive)) slots.take(claim);
  }

  /** At start, before anything new is begun: work that was under way has its place first. */
  function holdPlaces(tasks: readonly (ReadTask & { readonly stream: Stream })[]): void {
    for (const task of tasks)
      if (task.state.steps.some(hasLaunchedRun)) holdPlace(claimOf(task.stream, task), task.state);
    for (const task of tasks) holdPlace(claimOf(task.stream, task), task.state);
  }

  /** Begins an effect unless it is under way, or has failed and is to be tried again later. */
  function begin(worker: Worker, key: string, work: (signal: AbortSignal) => Promise<void>): void {
    const known = worker.doing.get(key);
    if (known !== undefined) known.askedAgain = true;
    if (known !== undefined || clock.elapsed() < (worker.failures.get(key)?.until ?? 0)) return;
    const doing: Doing = { abort: new AbortController(), askedAgain: false };
    worker.doing.set(key, doing);
    const signal = AbortSignal.any([doing.abort.signal, stopping.signal]);
    const done = work(signal).then(
      () => {
        worker.doing.delete(key);
        worker.failures.delete(key);
        // Nothing was due, and nobody has said since that something is: it need not be looked at once more.
        const isDone = !worker.looking && !doing.askedAgain && worker.idleSeq === worker.syncedSeq;
        if (isDone && worker.doing.size === 0) workers.delete(nameOfStream(worker.stream));
        // A wait for a slot, a tree or another task ends without a commit; its end wakes the task when it comes.
        else if (!isWait(key) || signal.aborted || doing.askedAgain) wake(worker.stream);
      },
      (error: unknown) => {
        worker.doing.delete(key);
        if (!stopping.signal.aborted) retryLater(worker, key, error);
      },
    );
    keepTrack(done);
  }

  function retryLater(worker: Worker, key: string, error: unknown): void {
    const before = worker.failures.get(key);
    // A task may be looked at also while its next look is planned; one plan is enough.
    if (before !== undefined && clock.elapsed() < before.until) return;
    const count = (before?.count ?? 0) + 1;
    const damage = needsPerson(error) || (count >= lastingFailures && isUnreadable(error));
    const since = before?.since ?? clock.now();
    const pauseMs = damage ? longestPauseMs : pauseAfter(count);
    const failure = { count, since, until: clock.elapsed() + pauseMs, damage, words: words(error) };
    worker.failures.set(key, failure);
    const task = worker.stream.taskId ?? "";
    if (!damage) warnOfRetry(`${key} of ${task} is tried again`, count, since, error);
    else if (before?.damage !== true) log.error(`task ${task} is not driven until this is mended: ${words(error)}`);
    keepTrack(
      clock.wait(pauseMs, stopping.signal).then(() => {
        // A timer may be early by a part of a millisecond: the pause is over all the same, and no other look is planned.
        if (worker.failures.get(key) === failure) worker.failures.set(key, { ...failure, until: 0 });
        wake(worker.stream);
      }),
    );
  }

  /** Said less and less often while it goes on: at the 1st, 2nd, 4th, 8th … failure in a row. */
  function warnOfRetry(what: string, count: number, since: number, error: unknown): void {
    if (Number.isInteger(Math.log2(count))) log.warn(`${what} (${count}, since ${momentOf(since)}): ${words(error)}`);
  }

  function carryOut(effect: Effect, at: Situation): Promise<void> {
    switch (effect.type) {
      case "PlanRun":
        return executors.PlanRun(effect, at);
      case "LaunchRun":
        return executors.LaunchRun(effect, at);
      case "AwaitRun":
        return executors.AwaitRun(effect, at);
      case "StopRun":
        return executors.StopRun(effect, at);
      case "RunChecks":
        return executors.RunChecks(effect, at);
      case "AwaitDependencies":
        return executors.AwaitDependencies(effect, at);
      case "TellPerson":
        return Promise.resolve();
      default:
        return assertNever(effect);
    }
  }

  /** While something runs or waits, what nobody tells is looked for: a cancel of a flow record, a changed configuration. */
  async function poll(): Promise<void> {
    polling = true;
    const failing = { count: 0, since: 0 };
    let limits = limitsOf(settings());
    try {
      while (workers.size > 0 && !stopping.signal.aborted) {
        await clock.wait(pollMs, stopping.signal);
        if (limits !== limitsOf(settings())) for (const { stream } of workers.values()) wake(stream);
        limits = limitsOf(settings());
        // One that cannot be read would keep the cancels of all others from being seen.
        const readable = [...unfinished].filter(([name]) => workers.get(name)?.failures.has("look") !== true);
        if (!stopping.signal.aborted)
          await obeyCancels(
            readable.map(([, stream]) => stream),
            failing,
          );
      }
    } finally {
      polling = false;
    }
  }

  function takeUp({ stream, outline }: Unfinished): void {
    if (outline?.status !== "draft") notifier.changed(stream); // Of a draft nobody hears anything.
    wake(stream);
  }

  /** At a start a task of which nothing can be due, and whose flow record says so already, need not be read: its files are looked over. */
  function isResting(task: Unfinished): task is Resting {
    const { stream, outline, end } = task;
    if (outline === undefined || end === undefined || outline.openRuns > 0 || !rests.has(outline.status)) return false;
    return flows.isLevel(stream, outline.flowId, end);
  }

  async function lookOverAll(resting: readonly Resting[]): Promise<void> {
    for await (const task of inBatches(resting)) {
      if (stopping.signal.aborted) return;
      const { stream, outline, end } = task;
      try {
        await reader.lookOver(stream);
        if (outline.status !== "draft") notifier.changed(stream, end);
        notifier.readable(stream);
      } catch {
        takeUp(task); // Reading it says why.
      }
    }
  }

  /** `failing`: how often in a row, and since when, it could not be done. */
  async function obeyCancels(streams: readonly Stream[], failing = { count: 0, since: 0 }): Promise<void> {
    try {
      for (const stream of await flows.cancelRequested(streams)) await obeyFlowCancel(ports, stream);
      failing.count = 0;
    } catch (error) {
      failing.count += 1;
      if (failing.count === 1) failing.since = clock.now();
      warnOfRetry("cancels of flow records are looked for again", failing.count, failing.since, error);
    }
  }

  /** Wakes those that wait for a task that has ended; tried until it could be read, for nobody else would wake them. */
  async function wakeDependents(stream: Stream): Promise<void> {
    if (stream.taskId === undefined) return;
    let since = 0;
    for (let failures = 0; !stopping.signal.aborted;) {
      try {
        const status = await reader.statusOf(stream.projectId, stream.taskId);
        if (status !== "done" && status !== "cancelled") return;
        for (const dependent of await reader.waitingFor(stream.projectId, stream.taskId)) wake(dependent);
        return;
      } catch (error) {
        failures += 1;
        if (failures === 1) since = clock.now();
        warnOfRetry(`tasks that wait for ${stream.taskId} are looked for again`, failures, since, error);
        await clock.wait(pauseAfter(failures), stopping.signal);
      }
    }
  }

  return {
    async resume() {
      const tasks = await reader.unfinished();
      const going = [];
      for (const { stream, outline } of tasks) {
        if (stopping.signal.aborted) return;
        if (outline === undefined || !mayHoldPlace(outline)) continue;
        const task = await reader.read(stream).catch(() => undefined);
        if (task !== undefined) going.push({ stream, ...task });
      }
      holdPlaces(going);
      await obeyCancels(tasks.filter(({ outline }) => outline !== undefined).map(({ stream }) => stream));
      // What goes on comes before what waits.
      const live = new Set(going.filter(({ state }) => state.steps.some(isLive)).map(({ stream }) => stream));
      const isFirst = ({ stream }: Unfinished) => live.has(stream);
      const resting: Resting[] = [];
      for (const one of [...tasks.filter(isFirst), ...tasks.filter((task) => !isFirst(task))]) {
        unfinished.set(nameOfStream(one.stream), one.stream);
        if (isResting(one)) resting.push(one);
        else takeUp(one);
      }
      keepTrack(lookOverAll(resting));
    },
    wake,
    committed(stream) {
      if (stopping.signal.aborted) return;
      notifier.changed(stream);
      wake(stream);
      keepTrack(wakeDependents(stream));
    },
    waitsFor(stream) {
      const hold = slots.holdOf(placeOf(stream));
      return hold === undefined || stream.taskId === undefined ? [] : [{ taskId: stream.taskId, ...hold }];
    },
    delayOf(stream) {
      const failures = [...(workers.get(nameOfStream(stream))?.failures.values() ?? [])].filter((one) => !one.damage);
      const [longest] = failures.toSorted((one, other) => one.since - other.since);
      return longest === undefined ? undefined : { since: momentOf(longest.since), words: longest.words };
    },
    unfinished: () => [...unfinished.values()],
    stop() {
      stopped ??= stop();
      return stopped;
    },
  };

  async function stop(): Promise<void> {
    stopping.abort(overdue);
    while (background.size > 0) await Promise.all(background);
    await Promise.all([...planning.values()].map(giveUpPlans));
    // Other roots of this process share the slots; what this driver held is no longer its to hold.
    for (const { stream } of workers.values()) slots.leave(placeOf(stream));
  }

  async function giveUpPlans(stream: Stream): Promise<void> {
    try {
      await executors.giveUpPlans(stream);
    } catch (error) {
      log.warn(
        `what was planned in ${stream.taskId ?? ""} and not launched waits for this process to end: ${words(error)}`,
      );
    }
  }
}

/** Equal keys are the same thing to do. A plan is asked anew after every change of the task's launches. */
function keyOf(effect: Effect, taskRev: number): string {
  switch (effect.type) {
    case "PlanRun":
      return `PlanRun ${effect.stepId} ${effect.role}`;
    case "RunChecks":
      return `RunChecks ${effect.stepId} ${effect.attempt}`;
    case "AwaitRun":
      return `AwaitRun ${effect.runId} ${effect.reported}`;
    case "LaunchRun":
    case "StopRun":
      return `${effect.type} ${effect.runId}`;
    case "AwaitDependencies":
      return `AwaitDependencies ${taskRev}`;
    case "TellPerson":
      return "TellPerson";
    default:
      return assertNever(effect);
  }
}

/** What of the configuration decides whether something that waits may begin. */
const limitsOf = ({ parallelTasks, parallelSteps }: Settings) => `${parallelTasks} ${parallelSteps}`;
/** Pause before the next try, growing with the failures in a row. */
const pauseAfter = (failures: number) => Math.min(250 * 2 ** Math.min(failures, 10), longestPauseMs);
/** What nobody but a person can mend: told once, looked at again without a word. */
const needsPerson = (error: unknown) => error instanceof OrchestratorError && personMends.has(error.code);
const personMends: ReadonlySet<string> = new Set([
  "journal-damaged",
  "state-rolled-back",
  "unknown-task",
  "unsupported-file-system",
]);
/** A process that has too many files open has fewer soon; what lasts for so many tries, about a minute, is a permission or a disk. */
const isUnreadable = (error: unknown) => error instanceof OrchestratorError && error.code === "journal-unreadable";
const lastingFailures = 10;
/** Why a signal is aborted: nobody reads it, and without one an error is made each time, with its stack. */
const overdue = "no longer due";
const isWait = (key: string) =>
  key.startsWith("PlanRun") ||
  key.startsWith("LaunchRun") ||
  key.startsWith("RunChecks") ||
  key.startsWith("AwaitDependencies");
const momentOf = (time: number) => new Date(time).toISOString();
const words = (error: unknown) => (error instanceof Error ? error.message : String(error));

/**
 * How each effect is carried out: the doing half's one table. An executor commits what it found through the recorder and
 * returns; doing it twice is recognised by the run id or by the state. It throws when it should be tried again later.
 */
import { OrchestratorError, errorTable } from "../errors.ts";
import type { Settings } from "../schema/config.ts";
import type { Role, RunEnd, Seat, Step, TaskState } from "../schema/documents.ts";
import type { Effect, EffectOf } from "../schema/effects.ts";
import type { TaskEvent, TaskEventOf } from "../schema/events.ts";
import { nameOfStream, type Stream } from "../store/store.ts";
import { bounds } from "../schema/bounds.ts";
import type { Within } from "./deadlines.ts";
import type {
  AgentRunner,
  Briefs,
  CheckRunner,
  Clock,
  FlowRecords,
  Log,
  Recorder,
  RunObservation,
  TaskReader,
  Worktree,
} from "./ports.ts";
import { currentAttempt, openRuns, seatOf, treeForQa } from "./ready.ts";
import type { Claim, Slots } from "./slots.ts";

export type ExecutorPorts = {
  /** Asked at each use, so that a changed configuration counts at once. */
  readonly settings: () => Settings;
  readonly recorder: Recorder;
  readonly reader: TaskReader;
  readonly runner: AgentRunner;
  readonly checks: CheckRunner;
  readonly worktree: Worktree;
  readonly flows: FlowRecords;
  readonly briefs: Briefs;
  readonly slots: Slots;
  readonly clock: Clock;
  readonly log: Log;
};

/** Where an effect is carried out: the task as it was read, and a signal that says that the effect is no longer due. */
export type Situation = {
  readonly stream: Stream;
  readonly state: TaskState;
  readonly repo: string;
  readonly claim: Claim;
  readonly signal: AbortSignal;
};

export type Executors = {
  readonly [T in Exclude<Effect["type"], "TellPerson">]: (effect: EffectOf<T>, at: Situation) => Promise<void>;
} & {
  /**
   * Closes, uncounted, what this process planned in the task and will not launch any more. Called when nothing is being carried
   * out; until then other processes leave such a plan alone, because they cannot tell it from a launch without an answer.
   */
  giveUpPlans(stream: Stream): Promise<void>;
};

/** How long a run that has reported may take to end before it is stopped, and one that was asked to stop before it is asked again. */
const graceMs = 10_000;
/** One slice of waiting for a run: bounds how late a limit is noticed. */
const sliceMs = 2_000;
/** More time than this between two looks at a run has passed while the machine slept: the run could not move either. */
const sleepMs = 60_000;
/** So much is kept of the words of the host that say why a run was lost. */
const whyChars = 500;

/**
 * When a run started and when it was last looked at; how long, and until when, the machine slept while it was live; whether
 * it was past its limits. All in elapsed time: somebody may set the time of day while a run is live.
 */
type Watch = {
  readonly startedAt: number;
  readonly lookedAt: number;
  readonly sleptMs: number;
  readonly wokeAt: number;
  readonly isStopped: boolean;
};
type Ended = Extract<RunObservation, { readonly kind: "ended" }>;
type EndDetails = Pick<TaskEventOf<"RunEnded">, "why" | "unlaunched">;
type Ending = { readonly stepId: string; readonly role: Role; readonly runId: string; readonly sessionKey: string };

/** A launch of a run for a seat, which is a step and a role of a task. `isHere`: the host answered it after it was given up waiting for. */
type LateLaunch = { readonly seat: string; readonly run: Ending; isHere: boolean };

const beginWatch = (startedAt: number, lookedAt: number): Watch => ({
  startedAt,
  lookedAt,
  sleptMs: 0,
  wokeAt: startedAt,
  isStopped: false,
});

/** `within` bounds how long the answer to a launch is waited for; the other calls are bounded by the ports themselves. */
export function createExecutors(ports: ExecutorPorts, within: Within = (_what, work) => work): Executors {
  const { settings, recorder, reader, runner, checks, worktree, flows, briefs, slots, clock, log } = ports;
  const watched = new Map<string, Watch>();
  /** Launches that the host has not answered, or only when nobody waited for them any more. */
  const unanswered = new Set<LateLaunch>();
  /** Runs that are being closed, by id. */
  const closing = new Map<string, Promise<void>>();
  const at = () => new Date(clock.now()).toISOString();

  /** True when the event was recorded; false when it changes nothing any more. Throws what passes by itself. */
  async function record(stream: Stream, event: TaskEvent): Promise<boolean> {
    const answer = await recorder.record(stream, event);
    if (answer.ok) return true;
    if (errorTable[answer.code].category !== "refused") throw new OrchestratorError(answer.code, answer.reason);
    if (answer.code !== "nothing-to-do")
      log.warn(`${event.type} of ${stream.taskId ?? ""}: ${answer.code}: ${answer.reason}`);
    return false;
  }

  /** Whose run it is. One of a process that is `gone` cannot report any more. */
  async function ownerOf(stream: Stream, runId: string): Promise<"us" | "another" | "gone"> {
    const launcher = await reader.launcherOf(stream, runId);
    if (launcher === undefined) return "gone";
    if (launcher.bootId === runner.launcher.bootId) return "us";
    return (await runner.isAlive(launcher)) ? "another" : "gone";
  }

  const seatStatus = (state: TaskState | undefined, stepId: string, runId: string): Seat["status"] | undefined => {
    const step = state?.steps.find((one) => one.id === stepId);
    return [step?.builder, step?.qa].find((one) => one?.runId === runId)?.status;
  };

  /** True for a run that was stopped, closed by another driver, or replaced. */
  async function isFenced(stream: Stream, stepId: string, runId: string): Promise<boolean> {
    const status = seatStatus((await reader.read(stream))?.state, stepId, runId);
    return status === undefined || status === "stopped" || status === "lost";
  }

  /** Closes what another launcher planned, uncounted, once that one is gone. It may have launched it, so it has as long as a run. */
  async function closeForeignLaunch(effect: EffectOf<"LaunchRun">, situation: Situation): Promise<void> {
    const { stream, signal } = situation;
    const { stepId, role, runId } = effect;
    const deadline = clock.elapsed() + settings().roles[role].maxMs;
    while (!signal.aborted && clock.elapsed() < deadline && (await ownerOf(stream, runId)) === "another")
      await clock.wait(sliceMs, signal);
    if (signal.aborted || seatStatus((await reader.read(stream))?.state, stepId, runId) !== "launching") return;
    await closeRun(situation, effect, "gateway", { unlaunched: true });
  }

  /** A run's report and its end often come together, and each has its effect: whoever closes it meanwhile waits for the same closing. */
  function closeRun(
    situation: Pick<Situation, "stream" | "state" | "repo">,
    effect: Ending,
    end: RunEnd,
    more: EndDetails = {},
  ): Promise<void> {
    const closed =
      closing.get(effect.runId) ??
      closeOnce(situation, effect, end, more).finally(() => void closing.delete(effect.runId));
    closing.set(effect.runId, closed);
    return closed;
  }

  async function closeOnce(
    { stream, state, repo }: Pick<Situation, "stream" | "state" | "repo">,
    effect: Ending,
    end: RunEnd,
    { why, unlaunched }: EndDetails,
  ): Promise<void> {
    watched.delete(effect.runId);
    await runner.cleanUp(effect);
    const step = state.steps.find((one) => one.id === effect.stepId);
    const [used, observed] = [runner.usage(effect.sessionKey), observeTree(stream, repo, step, effect.role)];
    // When one of them fails, the other is not left under way.
    await Promise.allSettled([used, observed]);
    const [usage, { tree, files }] = [await used, await observed];
    const shared = settings().parallelSteps > 1;
    await record(stream, {
      type: "RunEnded",
      v: 1,
      at: at(),
      stepId: effect.stepId,
      runId: effect.runId,
      end,
      ...(why === undefined ? {} : { why: why.slice(0, whyChars) }),
      ...(unlaunched === undefined ? {} : { unlaunched }),
      usage,
      tree,
      files,
      shared,
      maxLostRuns: settings().maxLostRuns,
    });
  }

  async function observeTree(stream: Stream, repo: string, step: Step | undefined, role: Role) {
    const attempt = step === undefined ? undefined : currentAttempt(step);
    const tree = await worktree.identify(repo, stream);
    if (step === undefined || attempt === undefined || tree === null) return { tree, files: null };
    const since = role === "builder" ? attempt.tree.before : treeForQa(step, attempt);
    const files = since === null ? null : await worktree.compare(repo, stream, since, tree);
    return { tree, files: files?.slice(0, bounds.files) ?? null };
  }

  /** A host that does not tell now (it drains before it ends) keeps no limit from being noticed. */
  async function observeOrLive(
    effect: { readonly runId: string; readonly sessionKey: string },
    atMostMs: number,
  ): Promise<RunObservation> {
    try {
      return await runner.observe(effect, atMostMs);
    } catch (error) {
      if (error instanceof OrchestratorError && error.code === "host-refused") return { kind: "live" };
      throw error;
    }
  }

  /** Waits until the run has ended and says how. Gives up after `atMostMs` or when the effect is no longer due. */
  async function waitForEnd(
    effect: { readonly runId: string; readonly sessionKey: string },
    atMostMs: number,
    signal: AbortSignal,
  ): Promise<Ended | undefined> {
    const deadline = clock.elapsed() + atMostMs;
    while (!signal.aborted) {
      const asked = clock.elapsed();
      const slice = Math.min(deadline - asked, sliceMs);
      if (slice <= 0) return undefined;
      const seen = await observeOrLive(effect, slice);
      if (seen.kind === "ended") return seen;
      // A host that answers before the time is over would else be asked without a pause.
      const rest = slice - (clock.elapsed() - asked);
      if (rest > 0) await clock.wait(rest, signal);
    }
    return undefined;
  }

  /** Closes a run that ended, as far as was seen without a report: it is lost, unless its gateway took it down with it. */
  async function closeUnreported(situation: Situation, effect: EffectOf<"AwaitRun">, ended: Ended): Promise<void> {
    const { stream, signal } = situation;
    // Its report may have come just before its end, and nobody has looked since. When it has, OpenClaw need not be asked about the journal.
    const hasReported = (state: TaskState | undefined) => seatStatus(state, effect.stepId, effect.runId) === "reported";
    const isKnown = hasReported(await reader.stateOf(stream)) || hasReported((await reader.read(stream))?.state);
    if (signal.aborted) return;
    if (isKnown) return closeRun(situation, effect, "reported");
    // A gateway that goes down cuts its runs short before it stops this driver; the next driver then sees what it was.
    if (ended.by === "host") await clock.wait(graceMs, signal);
    if (signal.aborted) return;
    if (ended.by === "gateway") return closeRun(situation, effect, "gateway");
    return closeRun(situation, effect, "lost", ended.error === undefined ? {} : { why: `failed: ${ended.error}` });
  }

  /** Ends the run. Throws while the host says that it lives on, so that it is asked again: no other run starts beside it. */
  async function stopAndWait(
    effect: { readonly runId: string; readonly sessionKey: string },
    signal: AbortSignal,
  ): Promise<void> {
    await runner.stop(effect);
    const ended = await waitForEnd(effect, graceMs, signal);
    if (ended !== undefined || signal.aborted) return;
    // One that the host never had, or has forgotten, looks live to who waits for it, but not to who asks to stop it.
    if (await runner.stop(effect))
      throw new OrchestratorError("host-refused", `run ${effect.runId} was asked to stop and has not ended yet`);
  }

  /** A host that has not answered the launch of an earlier run of this seat may begin it at any time: until then none is launched beside it. */
  async function settleEarlier(seat: string, runId: string, signal: AbortSignal): Promise<void> {
    for (const late of unanswered) {
      if (late.seat !== seat || late.run.runId === runId) continue;
      if (!late.isHere)
        throw new OrchestratorError(
          "host-refused",
          `OpenClaw has not answered the launch of run ${late.run.runId} yet`,
        );
      await stopAndWait(late.run, signal);
      if (!signal.aborted) unanswered.delete(late);
    }
  }

  /** Notes a look at a run, and how long the machine has slept since the one before. What it was before the first is read off the time of day. */
  function noteLook(runId: string, startedAt: string): Watch {
    const now = clock.elapsed();
    const before = watched.get(runId) ?? beginWatch(now - Math.max(0, clock.now() - Date.parse(startedAt)), now);
    const gapMs = now - before.lookedAt;
    const slept = gapMs > sleepMs ? { sleptMs: before.sleptMs + gapMs, wokeAt: now } : {};
    const watch = { ...before, ...slept, lookedAt: now };
    watched.set(runId, watch);
    return watch;
  }

  /** Said once, however often it has to be asked. */
  function noteStop(runId: string, startedAt: string, why: string): void {
    const watch = noteLook(runId, startedAt);
    if (!watch.isStopped) log.warn(`run ${runId} ${why}; it is stopped`);
    watched.set(runId, { ...watch, isStopped: true });
  }

  /** Signs of life are seen only of our own runs; to one of another living process only its maximum applies. */
  function pastLimits(role: Role, runId: string, startedAt: string, isOurs: boolean): string | undefined {
    const { startedAt: started, sleptMs, wokeAt, lookedAt: now } = noteLook(runId, startedAt);
    const limits = settings().roles[role];
    const signs = runner.signs(runId);
    if (now - started - sleptMs > limits.maxMs) return `ran longer than ${limits.maxMs / 60_000} minutes`;
    if (isOurs && Math.min(now - Math.max(started, wokeAt), signs?.idleMs ?? Infinity) > limits.idleMs)
      return `showed no sign of life for ${limits.idleMs / 60_000} minutes`;
    if ((signs?.refusals ?? 0) >= bounds.refusalsPerRun) return `had ${bounds.refusalsPerRun} refusals`;
    return undefined;
  }

  return {
    async PlanRun({ stepId, role }, { stream, state, repo, claim, signal }) {
      if (slots.take(claim) !== undefined) return;
      if ((await flows.cancelRequested([stream])).length > 0) return obeyFlowCancel(ports, stream);
      const agentId = await runner.agentFor(role, stream);
      // Only an attempt keeps the tree that it began with; a run that goes on with one is compared with what is known of it.
      const opens = state.steps.find((one) => one.id === stepId)?.status === "queued";
      const tree = opens ? { treeBefore: await worktree.identify(repo, stream) } : {};
      // The place may have gone to another task while this one was paused in between: ask again.
      if (signal.aborted) return;
      const launchesBefore = await reader.launchesBefore(stream);
      await record(stream, {
        type: "RunPlanned",
        v: 1,
        at: at(),
        stepId,
        role,
        agentId,
        ...tree,
        launcher: runner.launcher,
        ...(launchesBefore === 0 ? {} : { launchesBefore }),
      });
    },

    async LaunchRun(effect, situation) {
      const { stream, state, repo, signal, claim } = situation;
      const { stepId, role, runId, sessionKey } = effect;
      // Its place may have gone to another task while this one was paused before the launch.
      if (slots.take(claim) !== undefined) return;
      const launcher = await reader.launcherOf(stream, runId);
      if (launcher?.bootId !== runner.launcher.bootId) return closeForeignLaunch(effect, situation);
      const step = state.steps.find((one) => one.id === stepId);
      if (step === undefined) return;
      const seat = `${nameOfStream(stream)} ${stepId} ${role}`;
      await settleEarlier(seat, runId, signal);
      const brief = await briefs.brief(role, stream, state, step);
      if (signal.aborted) return;
      // It may have been fenced while the host launched it; a stop that came before the launch found nothing to stop.
      const stopFenced = async () => {
        if (await isFenced(stream, stepId, runId)) await runner.stop(effect);
      };
      const late: LateLaunch = { seat, run: { stepId, role, runId, sessionKey }, isHere: false };
      try {
        const launched = runner.launch({ runId, sessionKey, role, cwd: repo, brief });
        unanswered.add(late);
        launched.catch(() => unanswered.delete(late));
        await within("launch", launched, () => {
          late.isHere = true;
          return stopFenced().catch((error: unknown) =>
            log.warn(`run ${runId} was launched late and could not be looked at: ${String(error)}`),
          );
        });
        // To the host an earlier call for this run is the same run.
        for (const one of unanswered) if (one.run.runId === runId) unanswered.delete(one);
      } catch (error) {
        if (error instanceof OrchestratorError && error.code === "host-refused") throw error;
        const why = `could not be launched: ${error instanceof Error ? error.message : String(error)}`;
        log.error(`run ${runId} ${why}`);
        // The host may have launched it all the same; the next one is launched only when this one is not live.
        await stopAndWait(effect, signal);
        if (signal.aborted) return;
        return closeRun(situation, effect, "lost", { why });
      }
      const confirmed = await record(stream, { type: "RunLaunched", v: 1, at: at(), stepId, runId });
      if (!confirmed) await stopFenced();
    },

    async AwaitRun(effect, situation) {
      const { stream, state, signal } = situation;
      const owner = await ownerOf(stream, effect.runId);
      if (owner === "gone") return closeRun(situation, effect, "gateway");
      if (effect.reported) {
        const ended = await waitForEnd(effect, graceMs, signal);
        if (ended === undefined && !signal.aborted) await stopAndWait(effect, signal);
        return signal.aborted ? undefined : closeRun(situation, effect, "reported");
      }
      const step = state.steps.find((one) => one.id === effect.stepId);
      const startedAt =
        currentAttempt(step ?? { attempts: [] })?.runs.find((run) => run.runId === effect.runId)?.startedAt ?? at();
      noteLook(effect.runId, startedAt);
      while (!signal.aborted) {
        const ended = await waitForEnd(effect, sliceMs, signal);
        if (ended !== undefined) return closeUnreported(situation, effect, ended);
        if (owner === "another" && (await ownerOf(stream, effect.runId)) === "gone")
          return closeRun(situation, effect, "gateway");
        const past = pastLimits(effect.role, effect.runId, startedAt, owner === "us");
        if (past === undefined || signal.aborted) continue;
        noteStop(effect.runId, startedAt, past);
        await stopAndWait(effect, signal);
        if (signal.aborted) return;
        // What a launcher that lives has at hand is never lost; its report is fenced from here on.
        return owner === "us"
          ? closeRun(situation, effect, "lost", { why: past })
          : closeRun(situation, effect, "gateway");
      }
    },

    async StopRun(effect, situation) {
      if ((await ownerOf(situation.stream, effect.runId)) !== "gone") await stopAndWait(effect, situation.signal);
      if (!situation.signal.aborted) await closeRun(situation, effect, "stopped");
    },

    async RunChecks({ stepId, attempt }, { stream, state, repo, signal, claim }) {
      if (slots.take(claim) !== undefined) return;
      const step = state.steps.find((one) => one.id === stepId);
      const results = [];
      for (const check of step?.checks ?? []) {
        results.push(await checks.run(check, repo, signal, stream, stepId));
        if (signal.aborted) return;
      }
      await record(stream, { type: "ChecksFinished", v: 1, at: at(), stepId, attempt, results });
    },

    async giveUpPlans(stream) {
      const task = await reader.read(stream);
      if (task === undefined) return;
      for (const effect of plannedRuns(task.state)) {
        if ((await ownerOf(stream, effect.runId)) !== "us") continue;
        // The host may have it all the same: its answer to a launch can be lost.
        const hadIt = await runner.stop(effect);
        if (hadIt && (await waitForEnd(effect, graceMs, new AbortController().signal)) === undefined)
          throw new OrchestratorError("host-refused", `run ${effect.runId} was asked to stop and has not ended yet`);
        await closeRun({ stream, ...task }, effect, "gateway");
      }
    },

    async AwaitDependencies({ taskIds }, { stream }) {
      const statuses = await Promise.all(taskIds.map((taskId) => reader.statusOf(stream.projectId, taskId)));
      const cancelled = taskIds[statuses.indexOf("cancelled")];
      if (statuses.every((status) => status === "done"))
        await record(stream, { type: "DependenciesDone", v: 1, at: at() });
      else if (cancelled !== undefined)
        await record(stream, { type: "DependencyCancelled", v: 1, at: at(), taskId: cancelled });
      // Nobody tells when it can be read again, so it is looked at again.
      const gone = taskIds[statuses.indexOf(undefined)];
      if (gone !== undefined && cancelled === undefined)
        throw new OrchestratorError("unknown-task", `task ${gone}, which it waits for, is not there`);
      const unreadable = taskIds[statuses.indexOf("unreadable")];
      if (unreadable !== undefined)
        throw new OrchestratorError("journal-damaged", `task ${unreadable}, which it waits for, cannot be read`);
    },
  };
}

/** Runs that were planned and whose launch was not confirmed. Pure. */
function plannedRuns({ steps }: TaskState): readonly Omit<EffectOf<"LaunchRun">, "type">[] {
  return steps.flatMap((step) =>
    openRuns(step).flatMap(({ runId, role: played }) => {
      const role: Role = played === "qa" ? "qa" : "builder";
      const seat = seatOf(step, role);
      return seat.runId === runId && seat.status === "launching" && seat.sessionKey !== null
        ? [{ stepId: step.id, role, runId, sessionKey: seat.sessionKey }]
        : [];
    }),
  );
}

/** A cancel that a person asked of the flow record is a cancel of the task. */
export async function obeyFlowCancel(
  { recorder, clock, log }: Pick<ExecutorPorts, "recorder" | "clock" | "log">,
  stream: Stream,
): Promise<void> {
  const answer = await recorder.record(stream, {
    type: "TaskCancelled",
    v: 1,
    at: new Date(clock.now()).toISOString(),
    by: "person",
    reason: "cancelled in OpenClaw's task flows",
  });
  if (!answer.ok && answer.code !== "task-ended")
    log.warn(`cancel of ${stream.taskId ?? ""}: ${answer.code}: ${answer.reason}`);
}

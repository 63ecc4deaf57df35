/**
 * How each effect is carried out: the doing half's one table. An executor commits what it found through the recorder and
 * returns; doing it twice is recognised by the run id or by the state. It throws when it should be tried again later.
 */
import { OrchestratorError, errorTable } from "../errors.ts";
import type { Settings } from "../schema/config.ts";
import type { Role, RunEnd, Step, TaskState } from "../schema/documents.ts";
import type { Effect, EffectOf } from "../schema/effects.ts";
import type { TaskEvent } from "../schema/events.ts";
import type { Stream } from "../store/store.ts";
import { bounds } from "../schema/bounds.ts";
import type {
  AgentRunner,
  Briefs,
  CheckRunner,
  Clock,
  FlowRecords,
  Log,
  Recorder,
  TaskReader,
  Worktree,
} from "./ports.ts";
import { currentAttempt } from "./ready.ts";
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
};

/** How long a run that has reported, or was asked to stop, may take to end before it is taken as ended. */
const graceMs = 10_000;
/** One slice of waiting for a run: bounds how late a limit is noticed. */
const sliceMs = 2_000;

export function createExecutors(ports: ExecutorPorts): Executors {
  const { settings, recorder, reader, runner, checks, worktree, flows, briefs, slots, clock, log } = ports;
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

  /** True when the run was launched by a process that is gone; such a run cannot report any more. */
  async function isOrphan(stream: Stream, runId: string): Promise<boolean> {
    const launcher = await reader.launcherOf(stream, runId);
    return launcher === undefined || !(launcher.bootId === runner.launcher.bootId || (await runner.isAlive(launcher)));
  }

  async function isFenced(stream: Stream, stepId: string, runId: string): Promise<boolean> {
    const step = (await reader.read(stream))?.state.steps.find((one) => one.id === stepId);
    const seat = [step?.builder, step?.qa].find((one) => one?.runId === runId);
    return seat === undefined || seat.status === "stopped";
  }

  async function closeRun(
    situation: Situation,
    effect: { readonly stepId: string; readonly role: Role; readonly runId: string; readonly sessionKey: string },
    end: RunEnd,
  ): Promise<void> {
    const { stream, state, repo } = situation;
    await runner.cleanUp(effect);
    const usage = await runner.usage(effect.sessionKey);
    const step = state.steps.find((one) => one.id === effect.stepId);
    const { tree, files } = await observeTree(stream, repo, step, effect.role);
    const shared = settings().parallelSteps > 1;
    await record(stream, {
      type: "RunEnded",
      v: 1,
      at: at(),
      stepId: effect.stepId,
      runId: effect.runId,
      end,
      usage,
      tree,
      files,
      shared,
      maxLostRuns: settings().maxLostRuns,
    });
  }

  async function observeTree(stream: Stream, repo: string, step: Step | undefined, role: Role) {
    const marks = step === undefined ? undefined : currentAttempt(step)?.tree;
    const since = role === "builder" ? marks?.before : (marks?.built ?? marks?.before);
    const tree = await worktree.identify(repo, stream);
    const comparable = since !== undefined && since !== null && tree !== null;
    const files = comparable ? await worktree.compare(repo, stream, since, tree) : null;
    return { tree, files: files?.slice(0, bounds.files) ?? null };
  }

  /** Waits until the run has ended; true when it has. Gives up after `atMostMs` or when the effect is no longer due. */
  async function waitForEnd(
    effect: { readonly runId: string; readonly sessionKey: string },
    atMostMs: number,
    signal: AbortSignal,
  ): Promise<boolean> {
    const deadline = clock.now() + atMostMs;
    while (!signal.aborted) {
      const left = deadline - clock.now();
      if (left <= 0) return false;
      const seen = await runner.observe(effect, Math.min(left, sliceMs));
      if (seen.kind === "ended") return true;
    }
    return false;
  }

  async function stopAndWait(
    effect: { readonly runId: string; readonly sessionKey: string },
    signal: AbortSignal,
  ): Promise<void> {
    await runner.stop(effect);
    if (await waitForEnd(effect, graceMs, signal)) return;
    if (!signal.aborted) log.warn(`run ${effect.runId} was asked to stop and the host has not said that it ended`);
  }

  function pastLimits(role: Role, runId: string, startedAt: string): string | undefined {
    const limits = settings().roles[role];
    const signs = runner.signs(runId);
    const now = clock.now();
    const started = Date.parse(startedAt);
    if (now - started > limits.maxMs) return `ran longer than ${limits.maxMs / 60_000} minutes`;
    if (now - Math.max(started, signs?.lastEventAt ?? started) > limits.idleMs)
      return `showed no sign of life for ${limits.idleMs / 60_000} minutes`;
    if ((signs?.refusals ?? 0) >= bounds.refusalsPerRun) return `had ${bounds.refusalsPerRun} refusals`;
    return undefined;
  }

  return {
    async PlanRun({ stepId, role }, { stream, repo, claim, signal }) {
      if (slots.take(claim) !== undefined) return;
      if ((await flows.cancelRequested([stream])).length > 0) return obeyFlowCancel(ports, stream);
      const agentId = await runner.agentFor(role, stream);
      const treeBefore = await worktree.identify(repo, stream);
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
        treeBefore,
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
      if (launcher?.bootId !== runner.launcher.bootId) {
        if (await isOrphan(stream, runId)) return closeRun(situation, effect, "gateway");
        throw new OrchestratorError("host-refused", `run ${runId} is being launched by another gateway`);
      }
      const step = state.steps.find((one) => one.id === stepId);
      if (step === undefined) return;
      const brief = await briefs.brief(role, stream, state, step);
      if (signal.aborted) return;
      try {
        await runner.launch({
          runId,
          sessionKey,
          role,
          cwd: repo,
          brief,
          label: `${stepId} ${role} attempt ${step.attempt}`,
        });
      } catch (error) {
        if (error instanceof OrchestratorError && error.code === "host-refused") throw error;
        log.error(`run ${runId} could not be launched: ${error instanceof Error ? error.message : String(error)}`);
        return closeRun(situation, effect, "lost");
      }
      const confirmed = await record(stream, { type: "RunLaunched", v: 1, at: at(), stepId, runId });
      // It may have been fenced while the host launched it; a stop that came before the launch found nothing to stop.
      if (!confirmed && (await isFenced(stream, stepId, runId))) await runner.stop(effect);
    },

    async AwaitRun(effect, situation) {
      const { stream, state, signal } = situation;
      if (await isOrphan(stream, effect.runId)) return closeRun(situation, effect, "gateway");
      if (effect.reported) {
        if (!(await waitForEnd(effect, graceMs, signal)) && !signal.aborted) await stopAndWait(effect, signal);
        return signal.aborted ? undefined : closeRun(situation, effect, "reported");
      }
      const step = state.steps.find((one) => one.id === effect.stepId);
      const startedAt =
        currentAttempt(step ?? { attempts: [] })?.runs.find((run) => run.runId === effect.runId)?.startedAt ?? at();
      while (!signal.aborted) {
        if (await waitForEnd(effect, sliceMs, signal))
          return signal.aborted ? undefined : closeRun(situation, effect, "lost");
        const past = pastLimits(effect.role, effect.runId, startedAt);
        if (past === undefined || signal.aborted) continue;
        log.warn(`run ${effect.runId} ${past}; it is stopped`);
        await stopAndWait(effect, signal);
        return signal.aborted ? undefined : closeRun(situation, effect, "lost");
      }
    },

    async StopRun(effect, situation) {
      if (!(await isOrphan(situation.stream, effect.runId))) await stopAndWait(effect, situation.signal);
      if (!situation.signal.aborted) await closeRun(situation, effect, "stopped");
    },

    async RunChecks({ stepId, attempt }, { stream, state, repo, signal, claim }) {
      if (slots.take(claim) !== undefined) return;
      const step = state.steps.find((one) => one.id === stepId);
      const results = [];
      for (const check of step?.checks ?? []) {
        results.push(await checks.run(check, repo, signal, stream));
        if (signal.aborted) return;
      }
      await record(stream, { type: "ChecksFinished", v: 1, at: at(), stepId, attempt, results });
    },

    async AwaitDependencies({ taskIds }, { stream }) {
      const statuses = await Promise.all(taskIds.map((taskId) => reader.statusOf(stream.projectId, taskId)));
      const cancelled = taskIds[statuses.indexOf("cancelled")];
      if (statuses.every((status) => status === "done"))
        await record(stream, { type: "DependenciesDone", v: 1, at: at() });
      else if (cancelled !== undefined)
        await record(stream, { type: "DependencyCancelled", v: 1, at: at(), taskId: cancelled });
      // Nobody tells when it can be read again, so it is looked at again.
      const unreadable = taskIds[statuses.indexOf("unreadable")];
      if (unreadable !== undefined)
        throw new OrchestratorError("journal-damaged", `task ${unreadable}, which it waits for, cannot be read`);
    },
  };
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

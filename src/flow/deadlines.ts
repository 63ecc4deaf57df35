/**
 * Calls to the outside end in time: one that is not answered counts as refused by the host and is made again later, so that
 * nothing and nobody waits for it for ever. What it did all the same is found by the run's id or in the state.
 */
import { OrchestratorError } from "../errors.ts";
import type { ExecutorPorts } from "./executors.ts";
import type { Clock } from "./ports.ts";

/** OpenClaw gives up a request of its own after 30 seconds; what takes this long will not be answered. */
const callMs = 60_000;
/** Reading every task of a root may take this long. */
const allTasksMs = 600_000;
/** So much longer than the time it was given may a wait or a check take. */
const marginMs = 30_000;
/** When the driver stops, what is under way may still be answered for so long. */
const stoppingMs = 10_000;

/**
 * Answers as `work` does, or throws `host-refused` after `ms`, or sooner when the driver stops. What `work` answers after
 * that is given to `late`, which must not throw; what `work` itself throws then is passed over.
 */
export type Within = <T>(what: string, work: Promise<T>, late?: () => Promise<void>, ms?: number) => Promise<T>;

/** Deadlines by this clock, until the signal says that the driver stops. */
export function createWithin(clock: Clock, stopping: AbortSignal): Within {
  return async (what, work, late, ms = callMs) => {
    const answered = new AbortController();
    const timeIsOver = async (): Promise<typeof over> => {
      await clock.wait(ms, AbortSignal.any([answered.signal, stopping]));
      if (stopping.aborted) await clock.wait(Math.min(ms, stoppingMs), answered.signal);
      return over;
    };
    try {
      const first = await Promise.race([work, timeIsOver()]);
      if (first !== over) return first;
      // The caller was told of the refusal already; an error that comes later tells nobody anything new.
      work.then(late, () => undefined);
      throw new OrchestratorError("host-refused", `${what}: OpenClaw has not answered in time`);
    } finally {
      // Without a reason an error is made each time, with its stack.
      answered.abort("answered");
    }
  };
}

const over: unique symbol = Symbol("over");

/** The ports with a deadline on each call that asks the host, or may; `launch` is left to its executor, which must see a late answer. */
export function withDeadlines<P extends Pick<ExecutorPorts, "reader" | "recorder" | "runner" | "flows" | "checks">>(
  ports: P,
  within: Within,
): P {
  const { reader, recorder, runner, flows, checks } = ports;
  return {
    ...ports,
    reader: {
      ...reader,
      unfinished: () => within("reading the tasks", reader.unfinished(), undefined, allTasksMs),
      read: (stream) => within("reading the task", reader.read(stream)),
    },
    recorder: { record: (stream, event) => within(event.type, recorder.record(stream, event)) },
    runner: {
      ...runner,
      observe: (run, atMostMs) =>
        within("waiting for a run", runner.observe(run, atMostMs), undefined, atMostMs + marginMs),
      stop: (run) => within("stop", runner.stop(run)),
      usage: (sessionKey) => within("usage", runner.usage(sessionKey)),
    },
    flows: {
      ...flows,
      sync: (stream, state, at) => within("the flow record", flows.sync(stream, state, at)),
      cancelRequested: (streams) => within("the flow records", flows.cancelRequested(streams)),
    },
    checks: {
      run: (check, ...rest) =>
        within(`check ${check.name}`, checks.run(check, ...rest), undefined, check.timeoutSeconds * 1000 + marginMs),
    },
  };
}

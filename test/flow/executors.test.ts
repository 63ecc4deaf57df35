/** How each effect is carried out, one at a time: what is recorded, what the host is asked for, what the log says. */
import { describe, expect, it } from "vitest";
import { OrchestratorError } from "../../src/errors.ts";
import { createExecutors, obeyFlowCancel, type ExecutorPorts, type Situation } from "../../src/flow/executors.ts";
import type { RunObservation } from "../../src/flow/ports.ts";
import { readSettings, type Config } from "../../src/schema/config.ts";
import type { TaskState } from "../../src/schema/documents.ts";
import type { TaskEvent } from "../../src/schema/events.ts";
import { hostRefuses } from "../support/world.ts";
import { aCheck, aCheckResult, aWantedStep, history, momentOf } from "../support/histories.ts";

type Options = {
  readonly state?: TaskState;
  /** The task as it has become since; like `state` when left out. */
  readonly stateNow?: TaskState;
  readonly config?: Config;
  /** What the recorder refuses, by event type. */
  readonly refuses?: Readonly<
    Record<string, { readonly code: "nothing-to-do" | "task-ended" | "busy" | "not-started" }>
  >;
  readonly launchedBy?: "us" | "another" | "gone" | "nobody";
  /** What the host says of the run, call by call; live after that. */
  readonly seen?: readonly (RunObservation | "refuses" | "fails" | "breaks")[];
  readonly signs?: { readonly idleMs: number; readonly refusals: number };
  /** The second at which it is now; 0 when left out. */
  readonly nowAt?: number;
  /** Somebody sets the time of day by so much while the host is asked of the run for the first time. */
  readonly clockSetBy?: number;
  readonly trees?: readonly (string | null)[];
  readonly files?: readonly string[] | null;
  readonly statuses?: Readonly<Record<string, string>>;
  readonly launch?: () => Promise<void>;
  /** The host says that a run that was asked to stop lives on. */
  readonly outlives?: boolean;
  readonly held?: boolean;
  readonly cancelAsked?: boolean;
  readonly launchesBefore?: number;
  /** The task can be read as its journal has it; OpenClaw does not say whether that was rolled back. */
  readonly hostIsBusy?: boolean;
  /** The signal is aborted when this is done for the first time. */
  readonly abortAt?: string;
};

const stream = { projectId: "project-1", taskId: "task-1" };
const us = { host: "here", pid: 1, startedAt: momentOf(0), bootId: "us" };
const start = Date.parse(momentOf(0));
const second = 1000;
const minute = 60 * second;

function setup(options: Options = {}) {
  const state = options.state ?? history().start().state;
  const abort = new AbortController();
  const recorded: TaskEvent[] = [];
  const did: string[] = [];
  const logged: string[] = [];
  const seen = [...(options.seen ?? [])];
  const trees = [...(options.trees ?? ["tree-9"])];
  const beginning = start + (options.nowAt ?? 0) * second;
  let time = beginning;
  let setBy = 0;
  const doing = <T>(what: string, answer: T): Promise<T> => {
    did.push(what);
    if (options.abortAt !== undefined && what.startsWith(options.abortAt)) abort.abort();
    return Promise.resolve(answer);
  };
  const launchers = { us, another: { ...us, bootId: "another" }, gone: { ...us, bootId: "gone" }, nobody: undefined };
  const ports: ExecutorPorts = {
    settings: () => readSettings(options.config ?? {}).settings,
    clock: {
      now: () => time + setBy,
      elapsed: () => time,
      wait: (ms) => {
        time += ms;
        return Promise.resolve();
      },
    },
    log: {
      info: () => undefined,
      warn: (words) => void logged.push(`warn: ${words}`),
      error: (words) => void logged.push(`error: ${words}`),
    },
    recorder: {
      record: (_stream, event) => {
        const refused = options.refuses?.[event.type];
        if (refused !== undefined)
          return Promise.resolve({ ok: false as const, code: refused.code, reason: "not now", accepts: [] });
        recorded.push(event);
        return Promise.resolve({ ok: true as const, state, effects: [] });
      },
    },
    reader: {
      unfinished: () => Promise.resolve([]),
      lookOver: () => Promise.resolve(),
      read: () =>
        options.hostIsBusy === true
          ? Promise.reject(hostRefuses())
          : Promise.resolve({ state: options.stateNow ?? state, repo: "/repo", seq: 1, sum: "sum" }),
      stateOf: () => Promise.resolve(options.stateNow ?? state),
      statusOf: (projectId, taskId) => doing(`status ${projectId}`, options.statuses?.[taskId]),
      waitingFor: () => Promise.resolve([]),
      launchesBefore: () => Promise.resolve(options.launchesBefore ?? 0),
      launcherOf: () => Promise.resolve(launchers[options.launchedBy ?? "us"]),
    },
    runner: {
      agentFor: (role) => doing(`agent for ${role}`, `the-${role}`),
      launch: (request) =>
        doing(`launch ${JSON.stringify(request)}`, undefined).then(options.launch ?? (() => undefined)),
      observe: async ({ runId }, atMostMs) => {
        await doing(`observe ${runId} for ${atMostMs}`, undefined);
        setBy = options.clockSetBy ?? 0;
        const next = seen.shift() ?? { kind: "live" };
        if (next === "refuses") throw hostRefuses();
        if (next === "breaks") throw new OrchestratorError("bug", "our own");
        if (next === "fails") throw new Error("no such host");
        return next;
      },
      stop: ({ runId }) => doing(`stop ${runId}`, options.outlives ?? false),
      cleanUp: ({ runId }) => doing(`clean up ${runId}`, undefined),
      usage: (sessionKey) => doing(`usage ${sessionKey}`, { inputTokens: 1, outputTokens: 2, costUsd: 3 }),
      launcher: us,
      isAlive: ({ bootId }) => Promise.resolve(bootId === "another"),
      signs: () => options.signs,
    },
    checks: { run: ({ name }) => doing(`check ${name}`, aCheckResult({ name })) },
    worktree: {
      identify: () => doing("identify", trees.length > 1 ? (trees.shift() ?? null) : (trees[0] ?? null)),
      compare: (_repo, _stream, before, after) => doing(`compare ${before} ${after}`, options.files ?? null),
    },
    flows: {
      sync: () => Promise.resolve(undefined),
      cancelRequested: (streams) => Promise.resolve(options.cancelAsked === true ? streams : []),
      isLevel: () => false,
    },
    briefs: { brief: (role) => doing(`brief for ${role}`, `Do ${role}.`) },
    slots: {
      take: () => (options.held === true ? { kind: "slot", id: "other" } : undefined),
      keep: () => undefined,
      leave: () => undefined,
      holdOf: () => undefined,
    },
  };
  const situation: Situation = {
    stream,
    state,
    repo: "/repo",
    claim: { key: "key", taskId: "task-1", tree: "/repo", wake: () => undefined },
    signal: abort.signal,
  };
  return { executors: createExecutors(ports), situation, recorded, did, logged, ports, passed: () => time - beginning };
}

const built = () => history().start().launch("step-01", "builder");
const reviewing = () => history().start().build("step-01", { tree: "tree-1" }).launch("step-01", "qa");
const run = (one: ReturnType<typeof built>, role: "builder" | "qa" = "builder") => ({
  stepId: "step-01",
  role,
  runId: one.runOf("step-01", role),
  sessionKey: `${role}-session`,
});
const awaiting = (one: ReturnType<typeof built>, role: "builder" | "qa" = "builder", reported = false) => ({
  type: "AwaitRun" as const,
  ...run(one, role),
  reported,
});
const ended = (one: ReturnType<typeof built>, fields: Readonly<Record<string, unknown>> = {}, role = "builder") => ({
  type: "RunEnded",
  v: 1,
  stepId: "step-01",
  runId: one.runOf("step-01", role === "qa" ? "qa" : "builder"),
  usage: { inputTokens: 1, outputTokens: 2, costUsd: 3 },
  tree: "tree-9",
  files: null,
  shared: false,
  maxLostRuns: 2,
  ...fields,
});

describe("planning a run", () => {
  const plan = { type: "PlanRun", stepId: "step-01", role: "qa" } as const;
  const planned = {
    type: "RunPlanned",
    v: 1,
    at: momentOf(0),
    stepId: "step-01",
    role: "qa",
    agentId: "the-qa",
    treeBefore: "tree-9",
    launcher: us,
  };

  it("records who is to run, who launches it and the tree as it is", async () => {
    const { executors, situation, recorded, logged } = setup();
    await executors.PlanRun(plan, situation);
    expect([recorded, logged]).toStrictEqual([[planned], []]);
  });

  it("looks at no tree for a run that goes on with an attempt, of QA or a builder's again", async () => {
    const lost = history().start().launch("step-01", "builder");
    const again = lost.and("RunEnded", { runId: lost.runOf("step-01", "builder"), end: "lost" });
    for (const [{ state }, role] of [
      [history().start().build("step-01"), "qa"] as const,
      [again, "builder"] as const,
    ]) {
      const { executors, situation, recorded, did } = setup({ state });
      await executors.PlanRun({ ...plan, role }, situation);
      const { treeBefore: _looked, ...going } = planned;
      expect(recorded).toStrictEqual([{ ...going, role, agentId: `the-${role}` }]);
      expect(did).not.toContain("identify");
    }
  });

  it("counts launches that a restored journal forgot", async () => {
    const { executors, situation, recorded } = setup({ launchesBefore: 4 });
    await executors.PlanRun(plan, situation);
    expect(recorded).toStrictEqual([{ ...planned, launchesBefore: 4 }]);
  });

  it("records nothing without a place, nor when it is no longer due", async () => {
    for (const options of [{ held: true }, { abortAt: "identify" }]) {
      const { executors, situation, recorded } = setup(options);
      await executors.PlanRun(plan, situation);
      expect(recorded).toStrictEqual([]);
    }
  });

  it("cancels the task instead when a person cancelled its flow", async () => {
    const { executors, situation, recorded, did } = setup({ cancelAsked: true });
    await executors.PlanRun(plan, situation);
    expect(did).toStrictEqual([]);
    expect(recorded).toStrictEqual([
      {
        type: "TaskCancelled",
        v: 1,
        at: momentOf(0),
        by: "person",
        reason: "cancelled in OpenClaw's task flows",
      },
    ]);
  });

  it("says what was refused, but not that there is nothing to do, and throws what may pass", async () => {
    const outcomes = [];
    for (const code of ["nothing-to-do", "not-started", "busy"] as const) {
      const { executors, situation, logged } = setup({ refuses: { RunPlanned: { code } } });
      const thrown = await executors.PlanRun(plan, situation).then(
        () => undefined,
        (error: unknown) => (error instanceof OrchestratorError ? [error.code, error.message] : error),
      );
      outcomes.push([thrown, logged]);
    }
    expect(outcomes).toStrictEqual([
      [undefined, []],
      [undefined, ["warn: RunPlanned of task-1: not-started: not now"]],
      [["busy", "not now"], []],
    ]);
  });
});

describe("a cancel of the flow record", () => {
  it("is refused silently by a task that has ended, else with a word in the log", async () => {
    for (const [code, words] of [
      ["task-ended", []],
      ["not-started", ["warn: cancel of task-1: not-started: not now"]],
    ] as const) {
      const { ports, logged } = setup({ refuses: { TaskCancelled: { code } } });
      await obeyFlowCancel(ports, stream);
      expect(logged).toStrictEqual(words);
    }
    const { ports, logged } = setup();
    await obeyFlowCancel(ports, stream);
    expect(logged).toStrictEqual([]);
  });
});

describe("launching a run", () => {
  const planned = history().start().and("RunPlanned");
  const launch = { type: "LaunchRun" as const, ...run(planned) };
  const request = {
    runId: "task-1/step-01/1/builder/1",
    sessionKey: "builder-session",
    role: "builder",
    cwd: "/repo",
    brief: "Do builder.",
  };
  const launched = { type: "RunLaunched", v: 1, at: momentOf(0), stepId: "step-01", runId: request.runId };

  it("asks the host with the brief, in the repository, and records that it was launched", async () => {
    const { executors, situation, recorded, did } = setup({ state: planned.state });
    await executors.LaunchRun(launch, situation);
    expect(did).toStrictEqual(["brief for builder", `launch ${JSON.stringify(request)}`]);
    expect(recorded).toStrictEqual([launched]);
  });

  it("is not done without a place, for a step that is gone, or when it is no longer due", async () => {
    for (const options of [{ held: true }, { state: { ...planned.state, steps: [] } }, { abortAt: "brief" }]) {
      const { executors, situation, recorded, did } = setup({ state: planned.state, ...options });
      await executors.LaunchRun(launch, situation);
      expect([recorded, did.filter((one) => !one.startsWith("brief"))]).toStrictEqual([[], []]);
    }
  });

  it("is left to another gateway that lives, for as long as a run may take; one that is gone took the run along", async () => {
    const config = { roles: { builder: { maxMinutes: 3 } } };
    const living = setup({ state: planned.state, launchedBy: "another", config });
    await living.executors.LaunchRun(launch, living.situation);
    expect(living.recorded).toStrictEqual([ended(planned, { at: momentOf(180), end: "gateway", unlaunched: true })]);
    expect(living.did).not.toContainEqual(expect.stringContaining("launch"));
    // That one has launched it meanwhile.
    const confirmed = setup({ state: built().state, launchedBy: "another" });
    await confirmed.executors.LaunchRun(launch, confirmed.situation);
    expect([confirmed.recorded, confirmed.did]).toStrictEqual([[], []]);
    for (const launchedBy of ["gone", "nobody"] as const) {
      const { executors, situation, recorded } = setup({ state: planned.state, launchedBy });
      await executors.LaunchRun(launch, situation);
      expect(recorded).toStrictEqual([ended(planned, { at: momentOf(0), end: "gateway", unlaunched: true })]);
    }
  });

  it("that will not be made is given up by the gateway that planned it: the run is closed, uncounted", async () => {
    const { executors, recorded, did } = setup({ state: planned.state });
    await executors.giveUpPlans(stream);
    expect(recorded).toStrictEqual([ended(planned, { at: momentOf(0), end: "gateway" })]);
    expect(did[0]).toBe(`stop ${request.runId}`);
    expect(did).not.toContainEqual(expect.stringContaining("observe"));
  });

  it("is not given up where it was made, by those who did not plan it, or while the host has the run", async () => {
    for (const options of [
      { state: built().state },
      { state: planned.state, launchedBy: "another" },
      { state: planned.state, launchedBy: "gone" },
    ] as const) {
      const { executors, recorded, did } = setup(options);
      await executors.giveUpPlans(stream);
      expect([recorded, did]).toStrictEqual([[], []]);
    }
    const ends = setup({ state: planned.state, outlives: true, seen: [{ kind: "ended", by: "host" }] });
    await ends.executors.giveUpPlans(stream);
    expect(ends.recorded).toStrictEqual([ended(planned, { at: momentOf(0), end: "gateway" })]);
    const lives = setup({ state: planned.state, outlives: true });
    await expect(lives.executors.giveUpPlans(stream)).rejects.toMatchObject({ code: "host-refused" });
    expect([lives.recorded, lives.passed()]).toStrictEqual([[], 10 * second]);
  });

  it("is tried again when the host cannot now; any other failure loses the run and says why", async () => {
    const later = setup({ state: planned.state, launch: () => Promise.reject(hostRefuses()) });
    await expect(later.executors.LaunchRun(launch, later.situation)).rejects.toMatchObject({ code: "host-refused" });
    expect([later.recorded, later.logged]).toStrictEqual([[], []]);
    for (const [error, words] of [
      [new Error("no model"), "no model"],
      [new OrchestratorError("bug", "our own"), "our own"],
      ["a word", "a word"],
    ] as const) {
      const { executors, situation, recorded, logged } = setup({
        state: planned.state,
        launch: () => Promise.reject(error),
      });
      await executors.LaunchRun(launch, situation);
      expect(logged).toStrictEqual([`error: run ${request.runId} could not be launched: ${words}`]);
      expect(recorded).toStrictEqual([
        ended(planned, { at: momentOf(10), end: "lost", why: `could not be launched: ${words}` }),
      ]);
    }
  });

  it("stops what may have been launched all the same, and leaves it to the next driver when this one ends", async () => {
    const fails: Options = { state: planned.state, launch: () => Promise.reject(new Error("no answer")) };
    const { executors, situation, recorded, did } = setup({ ...fails, seen: [{ kind: "ended", by: "itself" }] });
    await executors.LaunchRun(launch, situation);
    const [stop, cleanUp] = ["stop", "clean up"].map((what) => did.indexOf(`${what} ${request.runId}`));
    expect(stop).toBeGreaterThan(0);
    expect(cleanUp).toBeGreaterThan(stop ?? 0);
    expect(recorded).toHaveLength(1);
    const ends = setup({ ...fails, abortAt: "stop" });
    await ends.executors.LaunchRun(launch, ends.situation);
    expect(ends.recorded).toStrictEqual([]);
  });

  it("stops a run that was fenced while the host launched it, and no other", async () => {
    const refuses = { RunLaunched: { code: "nothing-to-do" } } as const;
    const stops = async (state: TaskState, options: Options = {}) => {
      const { executors, situation, did } = setup({ state, ...options });
      await executors.LaunchRun(launch, situation);
      return did.filter((one) => one.startsWith("stop"));
    };
    const fenced = planned.and("StepDecided", { status: "blocked" }).state;
    const stop = [`stop ${request.runId}`];
    expect(await stops(fenced, { refuses })).toStrictEqual(stop);
    expect(await stops(fenced)).toStrictEqual([]);
    expect(await stops(planned.state, { refuses })).toStrictEqual([]);
    // Its seat was given to the next run meanwhile.
    expect(await stops(history().start().state, { refuses })).toStrictEqual(stop);
    expect(await stops(reviewing().state, { refuses })).toStrictEqual([]);
  });
});

describe("a run that is awaited", () => {
  it("that ended is closed at once when it has reported, and else when OpenClaw tells of its journal", async () => {
    const one = built();
    const reported = built().and("BuilderReported", {
      runId: one.runOf("step-01", "builder"),
      outcome: "done",
      summary: "Built.",
    });
    const busy = { state: one.state, hostIsBusy: true, seen: [{ kind: "ended", by: "itself" }] } as const;
    const quick = setup({ ...busy, stateNow: reported.state });
    await quick.executors.AwaitRun(awaiting(one), quick.situation);
    expect(quick.recorded).toMatchObject([{ type: "RunEnded", end: "reported" }]);
    const silent = setup(busy);
    await expect(silent.executors.AwaitRun(awaiting(one), silent.situation)).rejects.toMatchObject({
      code: "host-refused",
    });
    expect(silent.recorded).toStrictEqual([]);
  });

  it("is lost when it ends by itself without a report, with what the host says went wrong", async () => {
    const one = built();
    const seen = [{ kind: "live" }, { kind: "ended", by: "itself" }] as const;
    const { executors, situation, recorded, did } = setup({ state: one.state, seen });
    await executors.AwaitRun(awaiting(one), situation);
    expect(did).toStrictEqual([
      `observe ${one.runOf("step-01", "builder")} for 2000`,
      `observe ${one.runOf("step-01", "builder")} for 2000`,
      `clean up ${one.runOf("step-01", "builder")}`,
      "usage builder-session",
      "identify",
      "compare tree-0 tree-9",
    ]);
    expect(recorded).toStrictEqual([ended(one, { at: momentOf(2), end: "lost" })]);

    const failed = setup({ state: one.state, seen: [{ kind: "ended", by: "itself", error: "x".repeat(600) }] });
    await failed.executors.AwaitRun(awaiting(one), failed.situation);
    expect(failed.recorded).toStrictEqual([
      ended(one, { at: momentOf(0), end: "lost", why: `failed: ${"x".repeat(492)}` }),
    ]);
  });

  it("that its gateway took along does not count, and neither does one whose gateway is gone", async () => {
    const one = built();
    const taken = setup({ state: one.state, seen: [{ kind: "ended", by: "gateway" }] });
    await taken.executors.AwaitRun(awaiting(one), taken.situation);
    const gone = setup({ state: one.state, launchedBy: "gone" });
    await gone.executors.AwaitRun(awaiting(one), gone.situation);
    for (const { recorded } of [taken, gone])
      expect(recorded).toStrictEqual([ended(one, { at: momentOf(0), end: "gateway" })]);
  });

  it("that the host cut short is judged ten seconds later, unless this driver is stopped by then", async () => {
    const one = built();
    const cut = setup({ state: one.state, seen: [{ kind: "ended", by: "host" }] });
    await cut.executors.AwaitRun(awaiting(one), cut.situation);
    expect(cut.recorded).toStrictEqual([ended(one, { at: momentOf(10), end: "lost" })]);
    const stopped = setup({ state: one.state, seen: [{ kind: "ended", by: "host" }], abortAt: "observe" });
    await stopped.executors.AwaitRun(awaiting(one), stopped.situation);
    expect(stopped.recorded).toStrictEqual([]);
  });

  it("is live while the host does not tell, and tried again when asking fails", async () => {
    const one = built();
    const drains = setup({ state: one.state, seen: ["refuses", { kind: "ended", by: "itself" }] });
    await drains.executors.AwaitRun(awaiting(one), drains.situation);
    expect(drains.recorded).toStrictEqual([ended(one, { at: momentOf(2), end: "lost" })]);
    for (const [seen, words] of [
      ["fails", "no such host"],
      ["breaks", "our own"],
    ] as const) {
      const fails = setup({ state: one.state, seen: [seen] });
      await expect(fails.executors.AwaitRun(awaiting(one), fails.situation)).rejects.toThrow(words);
    }
  });

  it("may be silent for so long, and no longer", async () => {
    const one = built();
    const config = { roles: { builder: { idleMinutes: 1 } } };
    const { executors, situation, recorded, logged } = setup({ state: one.state, config, nowAt: 2 });
    await executors.AwaitRun(awaiting(one), situation);
    // It started at the second second; what is over is noticed at the end of a slice of two seconds.
    const why = "showed no sign of life for 1 minutes";
    expect(logged).toStrictEqual([`warn: run ${one.runOf("step-01", "builder")} ${why}; it is stopped`]);
    expect(recorded).toStrictEqual([ended(one, { at: momentOf(64 + 10), end: "lost", why })]);
  });

  it("may run for so long, and no longer, however busy; in another process that is all that counts", async () => {
    const one = built();
    const config = { roles: { builder: { idleMinutes: 1, maxMinutes: 2 } } };
    const why = "ran longer than 2 minutes";
    const busy = setup({ state: one.state, config, nowAt: 2, signs: { idleMs: 0, refusals: 0 } });
    await busy.executors.AwaitRun(awaiting(one), busy.situation);
    const elsewhere = setup({ state: one.state, config, nowAt: 2, launchedBy: "another" });
    await elsewhere.executors.AwaitRun(awaiting(one), elsewhere.situation);
    expect(busy.recorded).toStrictEqual([ended(one, { at: momentOf(124 + 10), end: "lost", why })]);
    expect(elsewhere.recorded).toStrictEqual([ended(one, { at: momentOf(124 + 10), end: "gateway" })]);
  });

  it.each([-60 * minute, 60 * minute])("has its time whatever the clock is set to meanwhile: by %d ms", async (by) => {
    const one = built();
    const config = { roles: { builder: { idleMinutes: 1, maxMinutes: 2 } } };
    const ends = setup({ state: one.state, seen: [{ kind: "live" }, { kind: "ended", by: "itself" }], clockSetBy: by });
    await ends.executors.AwaitRun(awaiting(one), ends.situation);
    expect(ends.passed()).toBe(2 * second);
    const silent = setup({ state: one.state, config, clockSetBy: by });
    await silent.executors.AwaitRun(awaiting(one), silent.situation);
    // It is from later than now: the clock was set back before, too.
    expect(silent.passed()).toBe((62 + 10) * second);
    const busy = setup({ state: one.state, config, signs: { idleMs: 0, refusals: 0 }, clockSetBy: by });
    await busy.executors.AwaitRun(awaiting(one), busy.situation);
    expect(busy.passed()).toBe((122 + 10) * second);
    const reported = setup({ state: reviewing().state, clockSetBy: by });
    await reported.executors.AwaitRun(awaiting(reviewing(), "qa", true), reported.situation);
    expect(reported.passed()).toBe(20 * second);
  });

  it("may be refused so often, and no oftener, and nothing is said of a host that stops it", async () => {
    const one = built();
    const why = "had 20 refusals";
    const seen = [{ kind: "live" }, { kind: "ended", by: "host" }] as const;
    const { executors, situation, recorded, logged } = setup({
      state: one.state,
      seen,
      signs: { idleMs: 0, refusals: 20 },
    });
    await executors.AwaitRun(awaiting(one), situation);
    expect(logged).toStrictEqual([`warn: run ${one.runOf("step-01", "builder")} ${why}; it is stopped`]);
    expect(recorded).toStrictEqual([ended(one, { at: momentOf(2), end: "lost", why })]);
  });

  it("that has reported gets ten seconds to end, then it is stopped, and its report counts", async () => {
    const one = reviewing();
    const ends = setup({ state: one.state, seen: [{ kind: "live" }, { kind: "ended", by: "itself" }], files: ["b"] });
    await ends.executors.AwaitRun(awaiting(one, "qa", true), ends.situation);
    expect(ends.recorded).toStrictEqual([ended(one, { at: momentOf(2), end: "reported", files: ["b"] }, "qa")]);
    expect(ends.did).toContain("compare tree-1 tree-9");
    expect(ends.did.filter((what) => what.startsWith("stop"))).toStrictEqual([]);

    const stays = setup({ state: one.state });
    await stays.executors.AwaitRun(awaiting(one, "qa", true), stays.situation);
    expect(stays.did.filter((what) => !what.startsWith("observe"))).toStrictEqual([
      `stop ${one.runOf("step-01", "qa")}`,
      // The host says now that it has no such live run.
      `stop ${one.runOf("step-01", "qa")}`,
      `clean up ${one.runOf("step-01", "qa")}`,
      "usage qa-session",
      "identify",
      "compare tree-1 tree-9",
    ]);
    expect(stays.recorded).toStrictEqual([ended(one, { at: momentOf(20), end: "reported" }, "qa")]);
  });

  it("whose report came just before its end has reported, and is closed once, however many wait for it", async () => {
    const one = built();
    const reported = one.and("BuilderReported", { stepId: "step-01", runId: one.runOf("step-01", "builder") });
    const seen = [
      { kind: "ended", by: "itself" },
      { kind: "ended", by: "itself" },
    ] as const;
    const { executors, situation, recorded, did } = setup({ state: one.state, stateNow: reported.state, seen });
    await Promise.all([
      executors.AwaitRun(awaiting(one), situation),
      executors.AwaitRun(awaiting(one, "builder", true), situation),
    ]);
    expect(recorded).toStrictEqual([ended(one, { at: momentOf(0), end: "reported" })]);
    expect(did.filter((what) => !what.startsWith("observe"))).toStrictEqual([
      `clean up ${one.runOf("step-01", "builder")}`,
      "usage builder-session",
      "identify",
      "compare tree-0 tree-9",
    ]);
    // What failed is closed again by who tries again.
    await executors.AwaitRun(awaiting(one, "builder", true), situation);
    expect(recorded).toHaveLength(2);
  });

  it("is not taken as ended while the host says that it lives on, and what is wrong is told once", async () => {
    const one = built();
    const runId = one.runOf("step-01", "builder");
    const config = { roles: { builder: { idleMinutes: 1 } } };
    for (const reported of [true, false]) {
      const { executors, situation, recorded, logged } = setup({ state: one.state, config, outlives: true });
      for (let time = 1; time <= 2; time += 1)
        await expect(executors.AwaitRun(awaiting(one, "builder", reported), situation)).rejects.toMatchObject({
          code: "host-refused",
          message: `run ${runId} was asked to stop and has not ended yet`,
        });
      expect(recorded).toStrictEqual([]);
      expect(logged).toStrictEqual(
        reported ? [] : [`warn: run ${runId} showed no sign of life for 1 minutes; it is stopped`],
      );
    }
  });

  it("is left as it is when it is no longer due", async () => {
    const one = built();
    for (const reported of [true, false]) {
      const { executors, situation, recorded, did, logged } = setup({ state: one.state, abortAt: "observe" });
      await executors.AwaitRun(awaiting(one, "builder", reported), situation);
      expect([recorded, did.length, logged]).toStrictEqual([[], 1, []]);
    }
    const config = { roles: { builder: { idleMinutes: 0.01 } } };
    const stopped = setup({ state: one.state, config, abortAt: "stop" });
    await stopped.executors.AwaitRun(awaiting(one), stopped.situation);
    expect([stopped.recorded, stopped.logged.length]).toStrictEqual([[], 1]);
  });
});

describe("what a run left behind", () => {
  const closed = async (one: ReturnType<typeof built>, role: "builder" | "qa", options: Options = {}) => {
    const made = setup({ state: one.state, launchedBy: "gone", ...options });
    await made.executors.AwaitRun(awaiting(one, role), made.situation);
    return made;
  };

  it("is compared with the tree before a builder, and with what was built when QA looked", async () => {
    expect((await closed(built(), "builder", { files: ["a"] })).did).toContain("compare tree-0 tree-9");
    expect((await closed(reviewing(), "qa")).did).toContain("compare tree-1 tree-9");
    const review = history({ acceptanceReview: true, steps: [] }).start().launch("acceptance", "qa");
    const judged = setup({ state: review.state, launchedBy: "gone" });
    await judged.executors.AwaitRun(
      { type: "AwaitRun", stepId: "acceptance", role: "qa", runId: "r", sessionKey: "s", reported: false },
      judged.situation,
    );
    expect(judged.did).toContain("compare tree-0 tree-9");
  });

  it("is looked at while the host is asked what the run used, to the end also when that fails", async () => {
    const { ports, situation, recorded, did } = setup({ state: built().state, launchedBy: "gone" });
    const [looking, refused] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const executors = createExecutors({
      ...ports,
      runner: {
        ...ports.runner,
        usage: async () => {
          await looking.promise;
          refused.resolve();
          throw hostRefuses();
        },
      },
      worktree: {
        ...ports.worktree,
        identify: async () => {
          did.push("look");
          looking.resolve();
          await refused.promise;
          await new Promise(setImmediate);
          did.push("seen");
          return "tree-9";
        },
      },
    });
    const closing = executors.AwaitRun(awaiting(built()), situation);
    await expect(closing).rejects.toMatchObject({ code: "host-refused" });
    expect(did).toStrictEqual([`clean up ${run(built()).runId}`, "look", "seen", "compare tree-0 tree-9"]);
    expect(recorded).toStrictEqual([]);
  });

  it("is not known when one of the trees is not, or its step is gone", async () => {
    const unknown = await closed(built(), "builder", { trees: [null] });
    expect(unknown.recorded).toMatchObject([{ tree: null, files: null }]);
    const one = history().start().and("RunPlanned", { treeBefore: null });
    const before = await closed(one, "builder", { files: ["a"] });
    expect(before.recorded).toMatchObject([{ tree: "tree-9", files: null }]);
    const gone = await closed(built(), "builder", { state: { ...built().state, steps: [] }, files: ["a"] });
    expect(gone.recorded).toMatchObject([{ tree: "tree-9", files: null }]);
    const unseen = history().start().build("step-01", { tree: null }).launch("step-01", "qa");
    const nobodyLooked = await closed(unseen, "qa", { files: ["a"] });
    expect(nobodyLooked.recorded).toMatchObject([{ tree: "tree-9", files: null }]);
    for (const { did } of [unknown, before, gone, nobodyLooked])
      expect(did.filter((what) => what.startsWith("compare"))).toStrictEqual([]);
  });

  it("names two thousand files at most", async () => {
    const files = Array.from({ length: 2001 }, (_, at) => `file-${at}`);
    const { recorded } = await closed(built(), "builder", { files });
    expect(recorded).toMatchObject([{ files: files.slice(0, 2000) }]);
  });

  it("blames nobody where steps share the tree, and counts by what is configured", async () => {
    const { recorded } = await closed(built(), "builder", { config: { parallelSteps: 2, maxLostRuns: 7 } });
    expect(recorded).toMatchObject([{ shared: true, maxLostRuns: 7 }]);
  });
});

describe("a step among others", () => {
  const check = { ...aCheck, name: "lint" };
  const two = history({ steps: [aWantedStep(), aWantedStep({ dependsOn: [], checks: [check] })] }).start();
  const failed = two.fail("step-02", { tree: "tree-5" });

  it("has its own attempt, tree and checks", async () => {
    const planned = failed.and("RunPlanned", { stepId: "step-02", treeBefore: "tree-6" });
    const runId = planned.runOf("step-02", "builder");
    const effect = { stepId: "step-02", role: "builder" as const, runId, sessionKey: "session" };
    const launch = setup({ state: planned.state });
    await launch.executors.LaunchRun({ type: "LaunchRun", ...effect }, launch.situation);
    expect(launch.did.at(-1)).toContain("task-1/step-02/2/builder/1");
    const { state } = planned.and("RunLaunched", { stepId: "step-02", runId });
    const gone = setup({ state, launchedBy: "gone" });
    await gone.executors.AwaitRun({ type: "AwaitRun", ...effect, reported: false }, gone.situation);
    expect(gone.did.at(-1)).toBe("compare tree-6 tree-9");
    const checks = setup({ state });
    await checks.executors.RunChecks({ type: "RunChecks", stepId: "step-02", attempt: 2 }, checks.situation);
    expect(checks.did).toStrictEqual(["check lint"]);
  });

  it("has its own time to run", async () => {
    const one = history({ steps: [aWantedStep(), aWantedStep({ dependsOn: [] })] })
      .start()
      .launch("step-01", "builder")
      .endRun("step-01", "builder")
      .launch("step-02", "builder")
      .endRun("step-02", "builder")
      .launch("step-02", "builder");
    const effect = {
      stepId: "step-02",
      role: "builder" as const,
      runId: one.runOf("step-02", "builder"),
      sessionKey: "s",
    };
    const config = { roles: { builder: { maxMinutes: 0.25, idleMinutes: 9 } } };
    const { executors, situation, recorded } = setup({ state: one.state, config, nowAt: 10 });
    await executors.AwaitRun({ type: "AwaitRun", ...effect, reported: false }, situation);
    // Its second launch was at the ninth second; what is over is noticed at the end of a slice of two seconds.
    expect(recorded).toMatchObject([{ type: "RunEnded", end: "lost", at: momentOf(26 + 10) }]);
  });
});

describe("stopping a run", () => {
  const one = built();
  const stop = { type: "StopRun" as const, ...run(one) };

  it("asks the host, waits until it has ended and records it as stopped", async () => {
    const { executors, situation, recorded, did, logged } = setup({
      state: one.state,
      seen: [{ kind: "live" }, { kind: "ended", by: "host" }],
    });
    await executors.StopRun(stop, situation);
    expect(did.slice(0, 3)).toStrictEqual([
      `stop ${stop.runId}`,
      `observe ${stop.runId} for 2000`,
      `observe ${stop.runId} for 2000`,
    ]);
    expect([recorded, logged]).toStrictEqual([[ended(one, { at: momentOf(2), end: "stopped" })], []]);
  });

  it("asks nobody when its gateway is gone, and records nothing when it is no longer due", async () => {
    const gone = setup({ state: one.state, launchedBy: "gone" });
    await gone.executors.StopRun(stop, gone.situation);
    expect(gone.did[0]).toBe(`clean up ${stop.runId}`);
    expect(gone.recorded).toStrictEqual([ended(one, { at: momentOf(0), end: "stopped" })]);
    const aborted = setup({ state: one.state, abortAt: "stop" });
    await aborted.executors.StopRun(stop, aborted.situation);
    expect([aborted.recorded, aborted.logged]).toStrictEqual([[], []]);
  });
});

describe("checks", () => {
  const checks = [aCheck, { ...aCheck, name: "lint" }];
  const { state } = history({ steps: [aWantedStep({ checks })] }).start();
  const due = { type: "RunChecks", stepId: "step-01", attempt: 1 } as const;
  const finished = { type: "ChecksFinished", v: 1, at: momentOf(0), stepId: "step-01", attempt: 1 };

  it("are run one after the other and recorded together", async () => {
    const { executors, situation, recorded, did } = setup({ state });
    await executors.RunChecks(due, situation);
    expect(did).toStrictEqual(["check tests", "check lint"]);
    expect(recorded).toStrictEqual([
      { ...finished, results: [aCheckResult({ name: "tests" }), aCheckResult({ name: "lint" })] },
    ]);
  });

  it("are not begun without a place, and end with what is no longer due", async () => {
    const held = setup({ state, held: true });
    await held.executors.RunChecks(due, held.situation);
    const aborted = setup({ state, abortAt: "check tests" });
    await aborted.executors.RunChecks(due, aborted.situation);
    expect([held.did, held.recorded, aborted.did, aborted.recorded]).toStrictEqual([[], [], ["check tests"], []]);
  });

  it("of a step that is gone are none", async () => {
    const { executors, situation, recorded } = setup({ state: { ...state, steps: [] } });
    await executors.RunChecks(due, situation);
    expect(recorded).toStrictEqual([{ ...finished, results: [] }]);
  });
});

describe("tasks that are waited for", () => {
  const wait = { type: "AwaitDependencies", taskIds: ["one", "two"] } as const;
  const done = { type: "DependenciesDone", v: 1, at: momentOf(0) };
  const cancelled = { type: "DependencyCancelled", v: 1, at: momentOf(0), taskId: "two" };
  it.each([
    ["all done", { one: "done", two: "done" }, [done]],
    ["one running", { one: "running", two: "done" }, []],
    ["one cancelled", { one: "running", two: "cancelled" }, [cancelled]],
  ])("with %s", async (_words, statuses, events) => {
    const { executors, situation, recorded, did } = setup({ statuses });
    await executors.AwaitDependencies(wait, situation);
    expect([recorded, did]).toStrictEqual([events, ["status project-1", "status project-1"]]);
  });

  it("are looked at again when one is not there, until its folder is back", async () => {
    const { executors, situation, recorded } = setup({ statuses: { one: "done" } });
    await expect(executors.AwaitDependencies(wait, situation)).rejects.toMatchObject({ code: "unknown-task" });
    expect(recorded).toStrictEqual([]);
  });

  it("are looked at again when one cannot be read, also beside a cancelled one", async () => {
    const { executors, situation, recorded } = setup({ statuses: { one: "unreadable", two: "cancelled" } });
    await expect(executors.AwaitDependencies(wait, situation)).rejects.toMatchObject({ code: "journal-damaged" });
    expect(recorded).toStrictEqual([cancelled]);
  });
});

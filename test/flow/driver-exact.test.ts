/** One driver over ports that only note what they are asked for: when it looks, waits, tries again, holds places and lets go. */
import { describe, expect, it } from "vitest";
import { OrchestratorError } from "../../src/errors.ts";
import { createDriver, type DriverPorts } from "../../src/flow/driver.ts";
import type { Hold, RunObservation } from "../../src/flow/ports.ts";
import { readSettings } from "../../src/schema/config.ts";
import type { TaskState } from "../../src/schema/documents.ts";
import { outlineOf } from "../../src/schema/outline.ts";
import type { TaskEvent } from "../../src/schema/events.ts";
import { aCheckResult, aWantedStep, history, momentOf } from "../support/histories.ts";
import { createSettableClock } from "../support/settable-clock.ts";

type Read = TaskState | Error | undefined;

const streamOf = (taskId: string) => ({ projectId: "shop", taskId });
const start = Date.parse(momentOf(0));

/** `earlyMs`: so much before its time each wait ends, as timers do by a part of a millisecond. */
function setup(tasks: Readonly<Record<string, Read>>, earlyMs = 0) {
  const clock = createSettableClock(start);
  const asked: string[] = [];
  const logged: string[] = [];
  const recorded: TaskEvent[] = [];
  const troubles: string[] = [];
  const world = {
    tasks: { ...tasks },
    seq: 1,
    hold: undefined as Hold | undefined,
    statuses: {} as Record<string, string | Error>,
    waitingFor: [] as readonly string[],
    flowId: undefined as string | undefined,
    /** When the host has brought a flow record up to date. */
    synced: Promise.resolve(),
    /** Tasks whose flow records say already what they are to say. */
    level: [] as readonly string[],
    lookOver: (): Promise<void> => Promise.resolve(),
    cancels: (): readonly string[] => [],
    parallelTasks: 4,
    parallelSteps: 1,
    /** Ends the checks and the observations that are under way. */
    release: (): void => undefined,
    /** What the host says of a run that it is asked for. */
    seen: { kind: "live" } as RunObservation,
  };
  const held = () => new Promise<void>((resolve) => (world.release = resolve));
  const settle = async () => {
    for (let round = 0; round < 30; round += 1) await new Promise((resolve) => setImmediate(resolve));
  };
  const note = (what: string) => void asked.push(what);
  const launcher = { host: "here", pid: 1, startedAt: momentOf(0), bootId: "us" };
  const ports: DriverPorts = {
    root: "/root",
    settings: () => readSettings({ parallelTasks: world.parallelTasks, parallelSteps: world.parallelSteps }).settings,
    clock: { ...clock, wait: (ms, signal) => clock.wait(ms - earlyMs, signal) },
    log: {
      info: () => undefined,
      warn: (words) => void logged.push(`warn: ${words}`),
      error: (words) => void logged.push(`error: ${words}`),
    },
    notifier: {
      changed: ({ taskId }, end) => note(`notify ${taskId}${end === undefined ? "" : ` from ${end.seq}`}`),
      unreadable: ({ taskId }, error) => void troubles.push(`${taskId}: ${(error as Error).message}`),
      readable: ({ taskId }) => void troubles.push(`${taskId} is readable`),
    },
    recorder: {
      record: (_stream, event) => {
        recorded.push(event);
        return Promise.resolve({ ok: false as const, code: "nothing-to-do" as const, reason: "no", accepts: [] });
      },
    },
    reader: {
      unfinished: () =>
        Promise.resolve(
          Object.entries(world.tasks).map(([taskId, state]) => ({
            stream: streamOf(taskId),
            ...(state instanceof Error || state === undefined
              ? {}
              : { outline: outlineOf(state), end: { seq: world.seq, sum: "" } }),
          })),
        ),
      read: ({ taskId = "" }) => {
        note(`read ${taskId}`);
        const state = world.tasks[taskId];
        if (state instanceof Error) return Promise.reject(state);
        return Promise.resolve(
          state === undefined
            ? undefined
            : {
                state: { ...state, task: { ...state.task, id: taskId } },
                repo: `/repo/${taskId}`,
                seq: world.seq,
                sum: "",
              },
        );
      },
      lookOver: ({ taskId = "" }) => {
        note(`look over ${taskId}`);
        return world.lookOver();
      },
      stateOf: ({ taskId = "" }) => {
        const state = world.tasks[taskId];
        return state instanceof Error ? Promise.reject(state) : Promise.resolve(state);
      },
      statusOf: (_projectId, taskId) => {
        note(`status ${taskId}`);
        const status = world.statuses[taskId];
        return status instanceof Error ? Promise.reject(status) : Promise.resolve(status);
      },
      waitingFor: () => Promise.resolve(world.waitingFor.map(streamOf)),
      launchesBefore: () => Promise.resolve(0),
      launcherOf: () => Promise.resolve(launcher),
    },
    runner: {
      agentFor: () => Promise.resolve("main"),
      launch: () => Promise.resolve(),
      observe: async ({ runId }) => {
        note(`observe ${runId}`);
        await held();
        return world.seen;
      },
      stop: ({ runId }) => {
        note(`stop ${runId}`);
        return held().then(() => false);
      },
      cleanUp: () => Promise.resolve(),
      usage: () => Promise.resolve(null),
      launcher,
      isAlive: () => Promise.resolve(false),
      signs: () => undefined,
    },
    checks: {
      run: async ({ name }) => {
        note(`check ${name}`);
        await held();
        return aCheckResult({ name });
      },
    },
    worktree: { identify: () => Promise.resolve("tree"), compare: () => Promise.resolve([]) },
    flows: {
      sync: ({ taskId }) => {
        note(`sync ${taskId} ${world.seq}`);
        return world.synced.then(() => world.flowId);
      },
      cancelRequested: (streams) => {
        note(`cancels of ${streams.map(({ taskId }) => taskId).join(", ")}`);
        return Promise.resolve(world.cancels().map(streamOf));
      },
      isLevel: ({ taskId = "" }) => world.level.includes(taskId),
    },
    briefs: { brief: () => Promise.resolve("brief") },
    slots: {
      take: ({ key }) => {
        note(`take ${key}`);
        return world.hold;
      },
      keep: ({ key, taskId, tree }) => note(`keep ${key} ${taskId} ${tree}`),
      leave: (key) => note(`leave ${key}`),
      holdOf: () => world.hold,
    },
  };
  const driver = createDriver(ports);
  return {
    driver,
    world,
    clock,
    recorded,
    /** What the notifier was told of tasks that could or could not be read, since it was last asked. */
    troubled: () => troubles.splice(0),
    settle,
    /** What was asked for since the last time. */
    asked: () => asked.splice(0),
    logged: () => logged.splice(0),
    wake: async (taskId: string) => {
      driver.wake(streamOf(taskId));
      await settle();
    },
    pass: async (ms: number) => {
      clock.moveTo(clock.now() + ms);
      await settle();
    },
  };
}

const draft = history().state;
const done = history().start().pass("step-01").state;
const queued = history().start().state;
const building = history().start().launch("step-01", "builder").state;
const planned = history().start().and("RunPlanned").state;
const halfDone = history().start().build("step-01").state;
const waiting = history({ dependsOn: ["other"] }).and("TaskStarted", { dependenciesDone: false }).state;
const key = (taskId: string) => `/root:projects/shop/tasks/${taskId}`;

describe("a task with nothing due", () => {
  it("has its flow brought up to it, gives back its place, and is let go", async () => {
    const { wake, asked, clock, driver } = setup({ a: draft });
    await wake("a");
    const turn = ["read a", `leave ${key("a")}`, "sync a 1"];
    expect(asked()).toStrictEqual(turn);
    // Let go, it is looked at from the beginning when it is woken again.
    await wake("a");
    expect(asked()).toStrictEqual(turn);
    expect(driver.unfinished()).toStrictEqual([streamOf("a")]);
    expect(clock.next()).toBe(start + 5_000);
  });

  it("is known as unfinished until it has ended", async () => {
    const { wake, driver, world } = setup({ a: draft, b: done, c: history().and("TaskCancelled").state });
    for (const taskId of ["a", "b", "c"]) await wake(taskId);
    expect(driver.unfinished()).toStrictEqual([streamOf("a")]);
    world.tasks["a"] = done;
    await wake("a");
    expect(driver.unfinished()).toStrictEqual([]);
  });

  it("is polled no more when it was let go", async () => {
    const { wake, asked, pass, clock } = setup({ a: done });
    await wake("a");
    asked();
    await pass(5_000);
    expect(asked()).toStrictEqual(["cancels of "]);
    expect(clock.next()).toBeUndefined();
    await wake("a");
    expect(clock.next()).toBe(start + 10_000);
  });

  it("that is not there is asked for nothing more, and has no place", async () => {
    const { wake, asked } = setup({});
    await wake("gone");
    expect(asked()).toStrictEqual(["read gone", `leave ${key("gone")}`]);
  });
});

describe("a task that is woken while it is looked at", () => {
  it("is looked at once more, however often it was woken", async () => {
    const { driver, asked, settle } = setup({ a: building });
    for (let time = 1; time <= 5; time += 1) driver.wake(streamOf("a"));
    await settle();
    // Once, once more for the wakes meanwhile, and once when its flow was brought up.
    expect(asked().filter((what) => what === "read a")).toHaveLength(3);
  });
});

describe("effects of several steps", () => {
  const two = history({ steps: [aWantedStep(), aWantedStep({ dependsOn: [] })] }).start();
  const both = two.launch("step-01", "builder").launch("step-02", "builder");

  it("are begun side by side, each once", async () => {
    const plans = setup({ a: two.state });
    plans.world.parallelSteps = 2;
    plans.world.hold = { kind: "slot", id: "other" };
    await plans.wake("a");
    const first = plans.asked().filter((what) => what.startsWith("take")).length;
    plans.world.parallelSteps = 1;
    await plans.wake("a");
    expect([first, plans.asked().filter((what) => what.startsWith("take")).length]).toStrictEqual([4, 1]);

    const waits = setup({ a: both.state });
    await waits.wake("a");
    expect(waits.asked().filter((what) => what.startsWith("observe"))).toStrictEqual([
      "observe task-1/step-01/1/builder/1",
      "observe task-1/step-02/1/builder/1",
    ]);
    waits.world.tasks["a"] = both
      .and("StepDecided", { status: "blocked" })
      .and("StepDecided", { stepId: "step-02", status: "blocked" }).state;
    await waits.wake("a");
    expect(waits.asked().filter((what) => what.startsWith("stop"))).toStrictEqual([
      "stop task-1/step-01/1/builder/1",
      "stop task-1/step-02/1/builder/1",
    ]);
  });

  it("keep the place of a task of which one step is half-done", async () => {
    const { wake, asked, world } = setup({ a: two.build("step-01").state });
    world.hold = { kind: "slot", id: "other" };
    await wake("a");
    expect(asked()[1]).toBe(`take ${key("a")}`);
  });
});

describe("a flow record that was made anew", () => {
  it("is linked to its task", async () => {
    const { wake, world, recorded } = setup({ a: draft });
    world.flowId = "flow-7";
    await wake("a");
    expect(recorded).toStrictEqual([{ type: "FlowLinked", v: 1, at: momentOf(0), flowId: "flow-7" }]);
  });

  it("is brought up again when the journal has grown", async () => {
    const { wake, world, asked } = setup({ a: building });
    await wake("a");
    asked();
    await wake("a");
    expect(asked().filter((what) => what.startsWith("sync"))).toStrictEqual([]);
    world.seq = 2;
    await wake("a");
    expect(asked().filter((what) => what.startsWith("sync"))).toStrictEqual(["sync a 2"]);
  });
});

describe("a place", () => {
  it.each<[string, TaskState, string]>([
    ["is kept by a launched run", building, `keep ${key("a")} a /repo/a`],
    ["is asked for by a half-done step before anything new", halfDone, `take ${key("a")}`],
    ["is asked for once by a step that begins", queued, `take ${key("a")}`],
    ["is asked for by a run that is planned and not launched", planned, `take ${key("a")}`],
  ])("%s", async (_words, state, first) => {
    const { wake, asked, world } = setup({ a: state });
    world.hold = { kind: "slot", id: "other" };
    await wake("a");
    const places = asked().filter((what) => /^(take|keep|leave)/.test(what));
    expect([places[0], places.filter((what) => what.startsWith("leave"))]).toStrictEqual([first, []]);
  });

  it("is kept by a launched run of one step among others", async () => {
    const { state } = history({ steps: [aWantedStep(), aWantedStep()] })
      .start()
      .launch("step-01", "builder");
    const { wake, asked } = setup({ a: state });
    await wake("a");
    expect(asked()).toContain(`keep ${key("a")} a /repo/a`);
  });

  it("is not asked for by a half-done step of a paused task", async () => {
    const { wake, asked } = setup({ a: history().start().build("step-01").and("TaskPaused").state });
    await wake("a");
    expect(asked()).toStrictEqual(["read a", `leave ${key("a")}`, "sync a 1"]);
  });

  it("is not given back while a check that is no longer due is under way", async () => {
    const check = { name: "tests", command: ["npm"], timeoutSeconds: 300 };
    const one = history({ steps: [aWantedStep({ checks: [check] })] })
      .start()
      .launch("step-01", "builder");
    const checking = one
      .and("BuilderReported", { runId: one.runOf("step-01", "builder") })
      .endRun("step-01", "builder", { tree: "tree" });
    const { wake, asked, world, settle } = setup({ a: checking.state });
    await wake("a");
    expect(asked()).toContain("check tests");
    world.tasks["a"] = checking.and("TaskCancelled").state;
    await wake("a");
    expect(asked().filter((what) => what.startsWith("leave"))).toStrictEqual([]);
    world.release();
    await settle();
    expect(asked()).toContain(`leave ${key("a")}`);
  });

  it("that is not to be had is told with what holds it", async () => {
    const { driver, world } = setup({});
    expect(driver.waitsFor(streamOf("a"))).toStrictEqual([]);
    world.hold = { kind: "tree", id: "other" };
    expect(driver.waitsFor(streamOf("a"))).toStrictEqual([{ taskId: "a", kind: "tree", id: "other" }]);
    expect(driver.waitsFor({ projectId: "shop" })).toStrictEqual([]);
  });
});

describe("a task that cannot be read", () => {
  it("is looked at again after a growing pause, of ten seconds at most, and that is said ever less often", async () => {
    const { wake, clock, logged, pass, asked } = setup({ a: new Error("no disk") });
    await wake("a");
    const pauses = [];
    for (let count = 1; count <= 8; count += 1) {
      const at = clock.now();
      expect(logged()).toStrictEqual(
        [1, 2, 4, 8].includes(count)
          ? [`warn: look of a is tried again (${count}, since ${momentOf(0)}): no disk`]
          : [],
      );
      asked();
      let waited = 0;
      while (!asked().includes("read a")) {
        waited = Math.max(1, (clock.next() ?? at) - clock.now());
        await pass(waited);
      }
      pauses.push(clock.now() - at);
    }
    expect(pauses).toStrictEqual([500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000, 10_000]);
  });

  it("is looked at again also by a timer that is early", async () => {
    const { wake, clock, asked, pass } = setup({ a: new Error("no disk") }, 1);
    await wake("a");
    for (let count = 1; count <= 3; count += 1) {
      asked();
      await pass((clock.next() ?? 0) - clock.now());
      expect(asked()).toContain("read a");
    }
  });

  it("for what passes by itself is no damage", async () => {
    const { wake, logged, clock, troubled } = setup({ a: new OrchestratorError("host-refused", "draining") });
    await wake("a");
    expect(troubled()).toStrictEqual([]);
    expect([logged(), clock.next()]).toStrictEqual([
      [`warn: look of a is tried again (1, since ${momentOf(0)}): draining`],
      start + 500,
    ]);
  });

  it("tells since when, and in which words, until it can be read or a person has to mend it", async () => {
    const { wake, world, pass, driver } = setup({ a: new Error("no disk") });
    expect(driver.delayOf(streamOf("a"))).toBeUndefined();
    await wake("a");
    world.tasks["a"] = new Error("too many open files");
    await pass(500);
    expect(driver.delayOf(streamOf("a"))).toStrictEqual({ since: momentOf(0), words: "too many open files" });
    world.tasks["a"] = new OrchestratorError("journal-damaged", "line 3");
    await pass(1_000);
    expect(driver.delayOf(streamOf("a"))).toBeUndefined();
    world.tasks["a"] = draft;
    await pass(10_000);
    expect(driver.delayOf(streamOf("a"))).toBeUndefined();
  });

  it("for a permission is told once that has lasted for a minute, and gives back its place", async () => {
    const { wake, world, pass, clock, troubled, asked, logged } = setup({ a: building, b: draft });
    await wake("a");
    world.release();
    world.tasks["a"] = new OrchestratorError("journal-unreadable", "EACCES");
    world.seen = { kind: "ended", by: "itself" };
    await wake("a");
    const began = clock.now();
    while (clock.now() - began < 50_000) await pass(500);
    expect([
      troubled().filter((one) => !one.includes("is readable")),
      asked().includes(`leave ${key("a")}`),
    ]).toStrictEqual([[], false]);
    while (clock.now() - began < 70_000) {
      await pass(500);
      world.release();
      await pass(0);
    }
    expect(new Set(troubled())).toStrictEqual(new Set(["a: EACCES"]));
    expect(asked()).toContain(`leave ${key("a")}`);
    expect(logged().filter((one) => one.includes("until this is mended"))).toHaveLength(1);
  });

  it("for damage is told once and looked at again every ten seconds, until it is mended", async () => {
    for (const code of ["journal-damaged", "state-rolled-back"] as const) {
      const { wake, logged, pass, asked, troubled, world } = setup({ a: new OrchestratorError(code, "line 3") });
      await wake("a");
      expect(logged()).toStrictEqual(["error: task a is not driven until this is mended: line 3"]);
      expect(troubled()).toStrictEqual(["a: line 3"]);
      asked();
      for (let time = 1; time <= 2; time += 1) {
        await pass(5_000);
        expect(asked()).not.toContain("read a");
        await pass(5_000);
        expect([asked().includes("read a"), logged()]).toStrictEqual([true, []]);
        expect(new Set(troubled())).toStrictEqual(new Set(["a: line 3"]));
      }
      world.tasks["a"] = draft;
      await pass(10_000);
      expect([asked().includes("sync a 1"), logged()]).toStrictEqual([true, []]);
      expect(new Set(troubled())).toStrictEqual(new Set(["a is readable"]));
      world.tasks["a"] = new OrchestratorError(code, "line 4");
      await wake("a");
      expect(troubled()).toStrictEqual(["a: line 4"]);
      expect(logged()).toStrictEqual(["error: task a is not driven until this is mended: line 4"]);
    }
  });

  it("keeps no other from being asked whether its flow was cancelled", async () => {
    const { wake, pass, asked } = setup({ a: building, b: new Error("no disk") });
    await wake("a");
    await wake("b");
    asked();
    await pass(5_000);
    expect(asked()).toContain("cancels of a");
  });
});

describe("a task whose folder is gone", () => {
  it("keeps its place while its run may still work in the tree, and gives it back then", async () => {
    const { wake, world, pass, asked, driver, settle, clock } = setup({ a: building });
    await wake("a");
    delete world.tasks["a"];
    asked();
    await wake("a");
    // What waited for the run's end ends first.
    world.release();
    await settle();
    world.release();
    await settle();
    expect(asked()).not.toContain(`leave ${key("a")}`);
    world.seen = { kind: "ended", by: "itself" };
    await pass((clock.next() ?? 0) - clock.now());
    world.release();
    await settle();
    expect(asked()).toContain(`leave ${key("a")}`);
    expect(driver.unfinished()).toStrictEqual([]);
    await pass(60_000);
    expect(asked()).not.toContain("read a");
    world.tasks["a"] = queued;
    await wake("a");
    expect(asked()).toContain(`take ${key("a")}`);
  });
});

describe("a task that comes back while it is found to be gone", () => {
  it("is looked at again", async () => {
    const { driver, world, asked, settle } = setup({ a: undefined });
    driver.wake(streamOf("a"));
    while (!asked().includes("read a")) await Promise.resolve();
    world.tasks["a"] = queued;
    // The look that has found nothing still goes on.
    driver.wake(streamOf("a"));
    await settle();
    expect(asked()).toContain(`take ${key("a")}`);
  });
});

describe("every five seconds", () => {
  it("a cancel of a flow record is obeyed while something is under way", async () => {
    const { wake, pass, asked, world, recorded } = setup({ a: building });
    await wake("a");
    asked();
    world.cancels = () => ["a"];
    await pass(4_999);
    expect(asked()).toStrictEqual([]);
    await pass(1);
    expect(asked()).toStrictEqual(["cancels of a"]);
    expect(recorded).toMatchObject([{ type: "TaskCancelled", by: "person" }]);
    await pass(5_000);
    expect(recorded).toHaveLength(2);
  });

  it("flow records that cannot be read are asked for again", async () => {
    const { wake, pass, logged, world } = setup({ a: building });
    await wake("a");
    world.cancels = () => {
      throw new Error("host is away");
    };
    const failed = (count: number, since: number) =>
      `warn: cancels of flow records are looked for again (${count}, since ${momentOf(since)}): host is away`;
    const said = [];
    for (let time = 1; time <= 4; time += 1) {
      await pass(5_000);
      said.push(logged());
    }
    expect(said).toStrictEqual([[failed(1, 5)], [failed(2, 5)], [], [failed(4, 5)]]);
    world.cancels = () => [];
    await pass(5_000);
    world.cancels = () => {
      throw new Error("host is away");
    };
    await pass(5_000);
    expect(logged()).toStrictEqual([failed(1, 30)]);
  });

  it("a changed limit wakes those that wait, and one that stays wakes nobody", async () => {
    const { wake, pass, asked, world } = setup({ a: waiting });
    await wake("a");
    asked();
    await pass(5_000);
    expect(asked()).toStrictEqual(["cancels of a"]);
    world.parallelTasks = 5;
    await pass(5_000);
    expect(asked()).toContain("read a");
    await pass(5_000);
    expect(asked()).toStrictEqual(["cancels of a"]);
  });
});

describe("a wait", () => {
  it("for other tasks ends without a look, and is asked again when the task is woken", async () => {
    const { world, wake, asked } = setup({ a: waiting });
    world.statuses["other"] = "running";
    await wake("a");
    asked();
    await wake("a");
    expect(asked()).toStrictEqual(["read a", "status other"]);
  });

  it("that fails is tried again after a pause, and said", async () => {
    const { wake, logged, world, pass, asked } = setup({ a: waiting });
    const failed = (count: number, since: number) =>
      `warn: AwaitDependencies ${waiting.task.rev} of a is tried again (${count}, since ${momentOf(since)}): no disk`;
    world.statuses["other"] = new Error("no disk");
    await wake("a");
    expect(logged()).toStrictEqual([failed(1, 0)]);
    asked();
    await wake("a");
    expect(asked()).toStrictEqual(["read a"]);
    await pass(500);
    expect(asked()).toStrictEqual(["read a", "status other"]);
    expect(logged()).toStrictEqual([failed(2, 0)]);
    world.statuses["other"] = "running";
    await pass(1_000);
    world.statuses["other"] = new Error("no disk");
    await wake("a");
    expect(logged()).toStrictEqual([failed(1, 1.5)]);
  });

  it("for a damaged task is said once, and that task is looked at again every ten seconds", async () => {
    const { wake, logged, world, pass, asked } = setup({ a: waiting });
    world.statuses["other"] = "unreadable";
    await wake("a");
    expect(logged()).toStrictEqual([
      "error: task a is not driven until this is mended: task other, which it waits for, cannot be read",
    ]);
    asked();
    await pass(9_999);
    expect(asked()).not.toContain("status other");
    await pass(1);
    expect([asked().includes("status other"), logged()]).toStrictEqual([true, []]);
  });
});

describe("a task that was committed", () => {
  it("is told of and looked at, and wakes those that wait for it when it has ended", async () => {
    const { driver, asked, world, settle } = setup({ a: undefined, b: undefined });
    world.waitingFor = ["b"];
    const looked = (taskId: string) => [`read ${taskId}`, `leave ${key(taskId)}`];
    for (const [status, wakes] of [
      ["running", []],
      ["done", looked("b")],
      ["cancelled", looked("b")],
    ] as const) {
      world.statuses["a"] = status;
      driver.committed(streamOf("a"));
      await settle();
      expect(new Set(asked())).toStrictEqual(new Set(["notify a", ...looked("a"), "status a", ...wakes]));
    }
  });

  it("has its dependents looked for until they are found", async () => {
    const { driver, asked, world, settle, logged, pass } = setup({ a: undefined, b: undefined });
    world.waitingFor = ["b"];
    world.statuses["a"] = new Error("no disk");
    driver.committed(streamOf("a"));
    await settle();
    const failed = (count: number) =>
      `warn: tasks that wait for a are looked for again (${count}, since ${momentOf(0)}): no disk`;
    expect(logged()).toStrictEqual([failed(1)]);
    await pass(500);
    expect(logged()).toStrictEqual([failed(2)]);
    await pass(1_000);
    expect(logged()).toStrictEqual([]);
    world.statuses["a"] = "done";
    asked();
    await pass(1_999);
    expect(asked()).toStrictEqual([]);
    await pass(1);
    expect(asked()).toStrictEqual(["status a", "read b", `leave ${key("b")}`]);
  });

  it("is nothing of a project", async () => {
    const { driver, asked, settle } = setup({});
    driver.committed({ projectId: "shop" });
    driver.wake({ projectId: "shop" });
    await settle();
    expect(asked()).toStrictEqual(["notify undefined"]);
  });
});

describe("at start", () => {
  it("work under way has its place first, then cancels are obeyed, then all are looked at and told of, but for drafts", async () => {
    const { driver, asked, settle } = setup({ a: halfDone, b: building, c: new Error("no disk"), d: draft });
    await driver.resume();
    const begin = asked();
    expect(begin.slice(0, 13)).toStrictEqual([
      "read a",
      "read b",
      `keep ${key("b")} b /repo/b`,
      `take ${key("a")}`,
      `keep ${key("b")} b /repo/b`,
      "cancels of a, b, d",
      "notify a",
      "read a",
      "notify b",
      "read b",
      "notify c",
      "read c",
      "read d",
    ]);
    await settle();
  });
});

describe("at start a task of which nothing is due and whose flow record says so", () => {
  const resting: readonly (readonly [string, TaskState])[] = [
    ["draft", draft],
    ["paused", history().start().and("TaskPaused", { reason: "Wait." }).state],
    ["blocked", history().start().and("StepDecided", { status: "blocked" }).state],
  ];

  it.each(resting)("is looked over and not read: %s", async (status, state) => {
    expect(state.task.status).toBe(status);
    const { driver, world, asked, settle, troubled } = setup({ a: state });
    world.level = ["a"];
    await driver.resume();
    await settle();
    const told = status === "draft" ? [] : ["notify a from 1"];
    expect(asked()).toStrictEqual(["cancels of a", "look over a", ...told]);
    expect(troubled()).toStrictEqual(["a is readable"]);
    expect(driver.unfinished()).toStrictEqual([streamOf("a")]);
  });

  it.each(resting)("is read where its flow record says something else: %s", async (_status, state) => {
    const { driver, asked, settle } = setup({ a: state });
    await driver.resume();
    await settle();
    expect(asked()).toEqual(expect.arrayContaining(["read a", "sync a 1"]));
  });

  it.each<[string, TaskState]>([
    ["waits for another", waiting],
    ["may go on", queued],
    [
      "was paused while a run went on",
      history().start().launch("step-01", "builder").and("TaskPaused", { reason: "Wait." }).state,
    ],
  ])("is read when it %s", async (_what, state) => {
    const { driver, world, asked, settle } = setup({ a: state });
    world.level = ["a"];
    await driver.resume();
    await settle();
    const begin = asked();
    expect(begin).toContain("read a");
    expect(begin).not.toContain("look over a");
  });

  it("is read when it could not be looked over, which says why", async () => {
    const { driver, world, asked, settle, logged } = setup({ a: draft });
    world.level = ["a"];
    world.tasks["a"] = draft;
    world.lookOver = () => Promise.reject(new OrchestratorError("journal-unreadable", "No (EMFILE)."));
    await driver.resume();
    await settle();
    expect(asked()).toStrictEqual(["cancels of a", "look over a", "read a", `leave ${key("a")}`, "sync a 1"]);
    expect(logged()).toStrictEqual([]);
  });

  it("is left alone by a driver that is stopped meanwhile", async () => {
    const names = Array.from({ length: 30 }, (_, at) => `t${at}`);
    const { driver, world, asked, settle } = setup(Object.fromEntries(names.map((name) => [name, draft])));
    world.level = names;
    await driver.resume();
    await driver.stop();
    await settle();
    const looked = asked().filter((what) => what.startsWith("look over"));
    expect(looked.length).toBeLessThan(names.length);
  });
});

describe("a driver that is stopped", () => {
  it("waits for what is under way, gives its places back, and begins nothing any more", async () => {
    const { driver, wake, asked, world, settle, clock } = setup({ a: building });
    await wake("a");
    asked();
    let stopped = false;
    const stopping = driver.stop().then(() => (stopped = true));
    await settle();
    expect([stopped, asked()]).toStrictEqual([false, []]);
    world.release();
    await stopping;
    expect(asked()).toStrictEqual([`leave ${key("a")}`]);
    driver.wake(streamOf("a"));
    driver.committed(streamOf("a"));
    await settle();
    expect([asked(), clock.next()]).toStrictEqual([[], undefined]);
  });

  it("begins none of the many flow records that waited for their turn", async () => {
    const ids = Array.from({ length: 40 }, (_, number) => `t${number}`);
    const { driver, asked, world, settle } = setup(Object.fromEntries(ids.map((id) => [id, draft])));
    const answer = Promise.withResolvers<undefined>();
    world.synced = answer.promise.then(() => undefined);
    await driver.resume();
    await settle();
    const synced = () => asked().filter((one) => one.startsWith("sync"));
    expect(synced()).toHaveLength(16);
    const stopping = driver.stop();
    answer.resolve(undefined);
    await settle();
    await stopping;
    expect(synced()).toStrictEqual([]);
  });

  it("says nothing of what fails meanwhile, and does not try it again", async () => {
    const { driver, world, settle, logged, asked } = setup({ a: undefined });
    world.statuses["a"] = new Error("no disk");
    driver.committed(streamOf("a"));
    await settle();
    logged();
    asked();
    await driver.stop();
    expect([logged(), asked()]).toStrictEqual([[], []]);
  });
});

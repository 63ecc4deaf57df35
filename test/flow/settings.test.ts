/** What each setting does, beside its default: one small scene per key of the configuration. */
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { isWanted } from "../../src/tools/outbox.ts";
import type { Notice } from "../../src/schema/effects.ts";
import { aProject, aStep, aTask, createBench } from "../support/bench.ts";
import { aRealRoot } from "../support/real-root.ts";
import { owner } from "../support/callers.ts";
import { endsOf } from "../support/invariants.ts";
import { aStepOf, builds, createWorld, forgets, judges, staysBusy, staysSilent, type World } from "../support/world.ts";

const second = 1000;
const plain = { acceptanceReview: false } as const;
const check = { name: "tests", command: ["npm", "test"] };

const becomes = (world: World, taskId: string, status: string) =>
  world.until(async () => (await world.status(taskId)) === status);

describe("who may orchestrate", () => {
  const stranger = owner({ senderIsOwner: false });

  it("is every agent but the roles', or those that `orchestrators` names", { tags: ["s8.orchestrators"] }, async () => {
    const as = (agentId: string) => owner({ agentId, sessionKey: `agent:${agentId}:main` });
    const open = createBench({ config: { roles: { builder: { agentId: "builder" } } } });
    await open.done("create_project", aProject(), as("anybody"));
    expect((await open.refused("get_status", {}, as("builder"))).code).toBe("not-allowed");
    const closed = createBench({ config: { orchestrators: ["lead"] } });
    await closed.done("create_project", aProject(), as("lead"));
    expect((await closed.refused("get_status", {}, as("main"))).code).toBe("not-allowed");
  });

  it(
    "is nobody whose message is not the owner's, unless `allowNonOwners`",
    { tags: ["s8.allow-non-owners"] },
    async () => {
      expect((await createBench().refused("get_status", {}, stranger)).code).toBe("not-allowed");
      await createBench({ config: { allowNonOwners: true } }).done("create_project", aProject(), stranger);
    },
  );
});

describe("where runs may work", () => {
  it("is outside the root only in a directory of `allowedRepos`", { tags: ["s8.allowed-repos"] }, async () => {
    const root = await aRealRoot();
    const outside = path.join(root, "..", "outside");
    await mkdir(path.join(outside, "inner"), { recursive: true });
    const parameters = aProject({ repo: path.join(outside, "inner") });
    expect((await createBench({ root }).refused("create_project", parameters)).code).toBe("invalid-repo");
    const allowed = createBench({ root, config: { allowedRepos: [outside] } });
    expect(await allowed.done("create_project", parameters)).toMatchObject({ repoPath: path.join(outside, "inner") });
  });
});

describe("how long a run may", () => {
  it.each(["builder", "qa"] as const)(
    "show no sign of life is `idleMinutes` of its role, also half a minute: %s",
    { tags: ["s8.idle-minutes"] },
    async (role) => {
      const world = await createWorld({
        config: { ...plain, roles: { [role]: { idleMinutes: 0.5 } } },
        cast: { builder: builds, qa: judges(), [role]: staysSilent },
      });
      const taskId = await world.started();
      await world.until(() => world.live(role).length === 1);
      await world.pass(29 * second);
      expect(world.live(role).map((run) => run.place.launch)).toStrictEqual([1]);
      await world.pass(4 * second);
      expect(world.live(role).map((run) => run.place.launch)).toStrictEqual([2]);
      expect(endsOf(await world.step(taskId))).toContain("lost");
    },
  );

  it.each(["builder", "qa"] as const)(
    "take is `maxMinutes` of its role, also half a minute: %s",
    { tags: ["s8.max-minutes"] },
    async (role) => {
      const world = await createWorld({
        config: { ...plain, roles: { [role]: { maxMinutes: 0.5 } } },
        cast: { builder: builds, qa: judges(), [role]: staysBusy },
      });
      await world.started();
      await world.until(() => world.live(role).length === 1);
      await world.pass(29 * second);
      expect(world.live(role).map((run) => run.place.launch)).toStrictEqual([1]);
      await world.pass(4 * second);
      expect(world.live(role).map((run) => run.place.launch)).toStrictEqual([2]);
    },
  );
});

describe("how often", () => {
  it.each([1, 2])(
    "a step is attempted before a person is asked is `maxAttempts`: %i",
    { tags: ["s8.max-attempts"] },
    async (maxAttempts) => {
      const world = await createWorld({ config: { ...plain, maxAttempts }, cast: { qa: judges("c1") } });
      const taskId = await world.started();
      await becomes(world, taskId, "blocked");
      expect(await world.step(taskId)).toMatchObject({
        attempt: maxAttempts,
        maxAttempts,
        question: { kind: "attempts-used" },
      });
    },
  );

  it.each([0, 1])(
    "a run may be lost before a person is asked is `maxLostRuns`: %i",
    { tags: ["s8.max-lost-runs"] },
    async (maxLostRuns) => {
      const world = await createWorld({ config: { ...plain, maxLostRuns }, cast: { builder: forgets } });
      const taskId = await world.started();
      await becomes(world, taskId, "blocked");
      const step = await world.step(taskId);
      expect(step.question?.kind).toBe("runs-lost");
      expect(endsOf(step)).toStrictEqual(Array.from({ length: 1 + maxLostRuns }, () => "lost"));
    },
  );
});

describe("how much at a time", () => {
  it.each([1, 2])("of tasks is `parallelTasks`: %i", { tags: ["s8.parallel-tasks"] }, async (parallelTasks) => {
    const world = await createWorld({ config: { ...plain, parallelTasks }, cast: { builder: staysBusy } });
    for (const name of ["One", "Two", "Three"])
      await world.started({ projectId: await world.project(name), title: name });
    await world.pass(second);
    expect(world.live()).toHaveLength(parallelTasks);
  });

  it.each([1, 2])(
    "of steps of one task is `parallelSteps`: %i",
    { tags: ["s8.parallel-steps"] },
    async (parallelSteps) => {
      const world = await createWorld({ config: { ...plain, parallelSteps }, cast: { builder: staysBusy } });
      await world.started({ steps: [1, 2, 3].map(() => aStepOf({ dependsOn: [] })) });
      await world.pass(second);
      expect(world.live()).toHaveLength(parallelSteps);
    },
  );
});

describe("what a task is made with", () => {
  it("is a closing review, unless `acceptanceReview` is off", { tags: ["s8.acceptance-review"] }, async () => {
    for (const [config, ids] of [
      [{}, ["step-01", "acceptance"]],
      [{ acceptanceReview: false }, ["step-01"]],
    ] as const) {
      const bench = createBench({ config });
      const { steps } = await bench.state(await bench.started());
      expect(steps.map((step) => step.id)).toStrictEqual(ids);
    }
  });

  it("is no check with a program that `checks.allow` does not name", { tags: ["s8.checks-allow"] }, async () => {
    const wanted = aTask({ steps: [aStep({ checks: [check] })] });
    const none = createBench({ config: { checks: { allow: ["node"] } } });
    await none.done("create_project", aProject());
    const { code, reason, accepts } = await none.refused("create_task", wanted);
    expect(code).toBe("program-not-allowed");
    expect(reason).toContain("checks.allow");
    expect(accepts.join()).toContain("node");
    const npm = createBench({ config: { checks: { allow: ["npm"] } } });
    await npm.done("create_project", aProject());
    await npm.done("create_task", wanted);
  });

  it(
    "is no check beside confined builders, unless `checks.allowUnconfined`",
    { tags: ["s8.checks-allow-unconfined"] },
    async () => {
      const wanted = aTask({ steps: [aStep({ checks: [check] })] });
      const strict = createBench({ config: { checks: { allow: ["npm"] } }, confined: true });
      await strict.done("create_project", aProject());
      expect((await strict.refused("create_task", wanted)).code).toBe("checks-unconfined");
      const lax = createBench({ config: { checks: { allow: ["npm"], allowUnconfined: true } }, confined: true });
      await lax.done("create_project", aProject());
      await lax.done("create_task", wanted);
    },
  );
});

describe("what the chat is told", () => {
  const question: Notice = {
    kind: "question",
    stepId: null,
    question: { id: "q", kind: "builder-asks", text: "Which?", choices: [], askedAt: "2026-01-01T00:00:00.000Z" },
  };
  const passed: Notice = { kind: "step-passed", stepId: "step-01", by: "qa" };
  const done: Notice = { kind: "task-done" };

  it.each([
    ["steps", [true, true, true]],
    ["tasks", [true, false, true]],
    ["off", [true, false, false]],
  ] as const)("is questions always, and with `notify` %s", { tags: ["s8.notify"] }, (notify, wanted) => {
    expect([question, passed, done].map((notice) => isWanted(notice, notify))).toStrictEqual(wanted);
  });
});

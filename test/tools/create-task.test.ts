/** create_task and create_step: what becomes of the parameters, and what is refused before anything is made. */
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { createMemoryStore } from "../../src/store/memory-store.ts";
import type { Store } from "../../src/store/store.ts";
import { aProject, aStep, aTask, createBench, type BenchOptions } from "../support/bench.ts";
import { owner, wakeUp } from "../support/callers.ts";

async function setup(options: BenchOptions = {}) {
  const bench = createBench(options);
  await bench.done("create_project", aProject());
  return bench;
}
const check = (fields: Readonly<Record<string, unknown>> = {}) => ({
  name: "tests",
  command: ["npm", "test"],
  ...fields,
});
const npm = { checks: { allow: ["npm"] } };

describe("a created task", () => {
  it(
    "is a draft in one record that names its flow, and its steps end with the acceptance review",
    { tags: ["s3.task-id", "s3.criterion-ids", "s4.acceptance-step", "s4.acceptance-off", "s7.flow-in-record-1"] },
    async () => {
      const bench = await setup();
      const answer = await bench.call("create_task", aTask({ steps: [aStep(), aStep({ id: "own" }), aStep()] }));
      const taskId = String(answer.details["taskId"]);
      expect(answer.details).toStrictEqual({
        taskId,
        taskPath: `/memory/projects/shop/tasks/${taskId}/task.json`,
        stepIds: ["step-01", "own", "step-03", "acceptance"],
        flowId: "flow-1",
      });
      expect(answer.text).toContain("start_task");
      expect(taskId).toMatch(/^login-[0-9a-f]{8}$/);
      const [record, ...more] = await bench.history({ projectId: "shop", taskId });
      expect(more).toStrictEqual([]);
      expect(record).toMatchObject({ seq: 1, tool: "create_task", event: { type: "TaskCreated", flowId: "flow-1" } });
      const { task, steps } = await bench.state(taskId);
      expect(task).toMatchObject({
        status: "draft",
        flowId: "flow-1",
        acceptanceCriteria: [{ id: "a1", text: "It works." }],
        dependsOn: [],
      });
      expect(steps.map((step) => step.dependsOn)).toStrictEqual([
        [],
        ["step-01"],
        ["own"],
        ["step-01", "own", "step-03"],
      ]);
    },
  );

  it("remembers the chat that it came from, beside the journal and not in it", async () => {
    const bench = await setup();
    const { taskId } = await bench.done("create_task", aTask(), owner({ sessionKey: "agent:main:phone:5550001111" }));
    const stream = { projectId: "shop", taskId: String(taskId) };
    expect(await bench.store.readSidecar(stream, "chats")).toMatchObject({
      flowOwner: { sessionKey: "agent:main:phone:5550001111", agentId: "main" },
    });
    expect(JSON.stringify(await bench.history(stream))).not.toContain("5550001111");
  });

  it("has no flow when OpenClaw cannot make one now", { tags: ["s7.flow-null-then-made"] }, async () => {
    const bench = await setup({ withoutFlows: true });
    expect(await bench.done("create_task", aTask())).toMatchObject({ flowId: null });
  });

  it("has no acceptance review when the configuration wants none", { tags: ["s4.acceptance-off"] }, async () => {
    const bench = await setup({ config: { acceptanceReview: false } });
    expect(await bench.done("create_task", aTask())).toMatchObject({ stepIds: ["step-01"] });
  });

  it("gets another id than one of the same title", { tags: ["s3.task-id"] }, async () => {
    const bench = await setup();
    const one = await bench.done("create_task", aTask());
    const other = await bench.done("create_task", aTask());
    expect(one["taskId"]).not.toBe(other["taskId"]);
  });

  it("has an id also when its title has no plain letters", { tags: ["s3.empty-slug"] }, async () => {
    const bench = await setup();
    const start = `task-${createHash("sha256").update("界面").digest("hex").slice(0, 8)}`;
    expect((await bench.done("create_task", aTask({ title: "界面" })))["taskId"]).toMatch(
      new RegExp(`^${start}-[0-9a-f]{8}$`),
    );
  });

  it.each([
    ["  Sign in & out ", "sign-in-out"],
    ["--a--", "a"],
    [`${"a".repeat(59)} b`, "a".repeat(59)],
    ["a".repeat(200), "a".repeat(60)],
  ])("has an id that follows from its title %j", { tags: ["s3.task-id"] }, async (title, start) => {
    const bench = await setup();
    expect((await bench.done("create_task", aTask({ title })))["taskId"]).toMatch(new RegExp(`^${start}-[0-9a-f]{8}$`));
  });

  it("fills in the time limit of a check", { tags: ["s3.bound-checks"] }, async () => {
    const bench = await setup({ config: npm });
    const { taskId } = await bench.done(
      "create_task",
      aTask({ steps: [aStep({ checks: [check(), check({ name: "more", timeoutSeconds: 7 })] })] }),
    );
    expect((await bench.step(String(taskId))).checks.map((one) => one.timeoutSeconds)).toStrictEqual([300, 7]);
  });

  it("wakes whoever drives, and refreshes the project's page", async () => {
    const bench = await setup();
    const { taskId } = await bench.done("create_task", aTask());
    expect(bench.committed).toStrictEqual(["projects/shop", `projects/shop/tasks/${String(taskId)}`]);
  });
});

describe("create_task is refused", () => {
  it.each(["nothing", "../shop", "Shop", "", "shop/tasks", "a".repeat(201)])(
    "for the unknown project %j",
    async (projectId) => {
      const bench = await setup();
      expect(await bench.refused("create_task", aTask({ projectId }))).toMatchObject({
        code: "unknown-project",
        accepts: ["a project id that get_status lists"],
      });
    },
  );

  it.each([
    ["a task that does not exist", ["nothing-12345678"]],
    ["a path", ["../../shop"]],
    ["a name longer than any id", ["a".repeat(300)]],
  ])("when it depends on %s", { tags: ["s5.task-dependencies"] }, async (_what, dependsOn) => {
    const bench = await setup();
    const refusal = await bench.refused("create_task", aTask({ dependsOn }));
    expect(refusal.code).toBe("unknown-dependency");
    expect(refusal.reason).toContain(JSON.stringify(dependsOn[0]?.slice(0, 80)));
  });

  it("when it depends on a task of another project", { tags: ["s5.task-dependencies"] }, async () => {
    const bench = await setup();
    await bench.done("create_project", aProject({ name: "Other" }));
    const { taskId } = await bench.done("create_task", aTask({ projectId: "other" }));
    expect((await bench.refused("create_task", aTask({ dependsOn: [taskId] }))).code).toBe("unknown-dependency");
  });

  it("when it names a task twice", { tags: ["s5.task-dependencies"] }, async () => {
    const bench = await setup();
    const { taskId } = await bench.done("create_task", aTask());
    expect(await bench.refused("create_task", aTask({ dependsOn: [taskId, taskId] }))).toMatchObject({
      code: "unknown-dependency",
      accepts: ["each task once"],
    });
  });

  it.each([
    ["unknown-dependency", [aStep({ id: "a", dependsOn: ["b"] })]],
    ["unknown-dependency", [aStep({ id: "a" }), aStep({ dependsOn: ["a", "a"] })]],
    ["unknown-dependency", [aStep({ dependsOn: ["acceptance"] })]],
    ["dependency-cycle", [aStep({ id: "a", dependsOn: ["a"] })]],
    ["dependency-cycle", [aStep({ id: "a", dependsOn: ["b"] }), aStep({ id: "b", dependsOn: ["a"] })]],
    ["id-taken", [aStep({ id: "a" }), aStep({ id: "a" })]],
  ])("with %s when its steps do not fit together, and no flow is made", async (code, steps) => {
    const bench = await setup();
    expect((await bench.refused("create_task", aTask({ steps }))).code).toBe(code);
    expect(bench.flowsMade).toStrictEqual([]);
  });

  it.each([
    ["a program that is not allowed", ["make"]],
    ["a path to an allowed one", ["/usr/bin/npm"]],
    ["a path in the repo", ["./npm"]],
    ["a path with the other slash", ["..\\npm"]],
    ["nothing", [""]],
  ])("when a check starts %s", { tags: ["s7.checks-allow", "s7.checks-no-slash"] }, async (_what, command) => {
    const bench = await setup({ config: npm });
    const refusal = await bench.refused("create_task", aTask({ steps: [aStep({ checks: [check({ command })] })] }));
    expect(refusal.code).toBe("program-not-allowed");
    expect(refusal.reason).toContain(`"tests" starts ${JSON.stringify(command[0])}`);
    expect(refusal.accepts).toContain("command[0]: npm");
    expect(refusal.accepts.join()).toContain("checks.allow");
  });

  it("when a check starts a path, even one that is allowed", { tags: ["s7.checks-no-slash"] }, async () => {
    const bench = await setup({ config: { checks: { allow: ["/usr/bin/npm", "./npm"] } } });
    for (const program of ["/usr/bin/npm", "./npm"]) {
      const steps = [aStep({ checks: [check({ command: [program] })] })];
      const refusal = await bench.refused("create_task", aTask({ steps }));
      expect(refusal.code).toBe("program-not-allowed");
      expect(refusal.reason).toContain("is a path");
      expect(refusal.accepts.join()).not.toContain(program);
    }
  });

  it(
    "when builders are confined and a check would run outside of that, and so is create_step",
    { tags: ["s7.checks-unconfined-created"] },
    async () => {
      const bench = await setup({ config: npm, confined: true });
      const refusal = await bench.refused("create_task", aTask({ steps: [aStep({ checks: [check()] })] }));
      expect(refusal.code).toBe("checks-unconfined");
      expect(refusal.accepts).toEqual(["no checks", "checks.allowUnconfined: true in the plugin's configuration"]);
      const { taskId } = await bench.done("create_task", aTask());
      const step = { taskId, title: "More", goal: "More.", passCriteria: ["More."], checks: [check()] };
      expect((await bench.refused("create_step", step)).code).toBe("checks-unconfined");
    },
  );

  it(
    "for confined builders no more once the configuration allows it",
    { tags: ["s7.checks-allow-unconfined"] },
    async () => {
      const bench = await setup({ config: { checks: { allow: ["npm"], allowUnconfined: true } }, confined: true });
      await bench.done("create_task", aTask({ steps: [aStep({ checks: [check()] })] }));
    },
  );
});

describe("create_step", () => {
  it(
    "adds a step before the acceptance review, which waits for it too",
    { tags: ["s4.acceptance-whole", "s4.create-step-last"] },
    async () => {
      const bench = await setup();
      const taskId = await bench.started();
      const answer = await bench.call("create_step", { taskId, ...aStep({ title: "More" }) });
      expect(answer.details).toStrictEqual({ taskId, stepId: "step-02" });
      const { steps } = await bench.state(taskId);
      expect(steps.map((step) => [step.id, step.dependsOn])).toStrictEqual([
        ["step-01", []],
        ["step-02", ["step-01"]],
        ["acceptance", ["step-01", "step-02"]],
      ]);
    },
  );

  it("takes an own id and dependencies", { tags: ["s4.create-step-dependencies"] }, async () => {
    const bench = await setup();
    const taskId = await bench.started();
    expect(await bench.done("create_step", { taskId, ...aStep({ id: "extra", dependsOn: [] }) })).toStrictEqual({
      taskId,
      stepId: "extra",
    });
    expect((await bench.step(taskId, "extra")).dependsOn).toStrictEqual([]);
  });

  it("adds the step that was given, whatever the caller makes of it while another change comes first", async () => {
    const store = createMemoryStore({ renderPages: () => ({}) });
    let comesFirst: (() => Promise<unknown>) | undefined;
    const commit: Store["commit"] = async (...change) => {
      const other = comesFirst;
      comesFirst = undefined;
      await other?.();
      return store.commit(...change);
    };
    const bench = await setup({ store: { ...store, commit } });
    const taskId = await bench.started();
    const passCriteria = ["The page has a title."];
    comesFirst = async () => {
      await bench.done("create_step", { taskId, ...aStep({ title: "First" }) });
      passCriteria[0] = "Anything will do.";
    };
    await bench.done("create_step", { taskId, ...aStep({ title: "Second" }), passCriteria });
    const { steps } = await bench.state(taskId);
    expect(steps.slice(1, 3).map(({ title }) => title)).toStrictEqual(["First", "Second"]);
    expect(steps[2]?.passCriteria.map(({ text }) => text)).toStrictEqual(["The page has a title."]);
  });

  it.each(["nothing", "../x", "a".repeat(300)])("is refused for the unknown task %j", async (taskId) => {
    const bench = await setup();
    expect((await bench.refused("create_step", { taskId, ...aStep() })).code).toBe("unknown-task");
  });

  it.each([
    ["id-taken", { id: "step-01" }],
    ["unknown-dependency", { dependsOn: ["nothing"] }],
    ["unknown-dependency", { dependsOn: ["acceptance"] }],
    ["program-not-allowed", { checks: [check()] }],
  ])("is refused with %s", async (code, fields) => {
    const bench = await setup();
    const taskId = await bench.started();
    expect((await bench.refused("create_step", { taskId, ...aStep(fields) })).code).toBe(code);
  });

  it("is refused in a task that has ended", async () => {
    const bench = await setup();
    const taskId = await bench.started();
    await bench.done("set_task_status", { taskId, status: "cancelled" });
    expect(await bench.refused("create_step", { taskId, ...aStep() })).toMatchObject({
      code: "task-ended",
      accepts: ["create_task"],
    });
  });

  it(
    "is a person's decision when it answers the failed acceptance review",
    { tags: ["s4.acceptance-add-step"] },
    async () => {
      const bench = await setup();
      const taskId = await bench.started();
      await bench.built(taskId);
      const qa = await bench.launched(taskId, "step-01", "qa");
      await bench.done(
        "record_qa_result",
        { criteria: ["c1", "c2"].map((id) => ({ id, pass: true, evidence: "Seen." })) },
        qa.caller(),
      );
      await bench.ended(taskId, "step-01", "qa");
      const review = await bench.launched(taskId, "acceptance", "qa");
      await bench.done(
        "record_qa_result",
        { criteria: [{ id: "a1", pass: false, evidence: "No." }], feedback: "It does not work." },
        review.caller(),
      );
      await bench.ended(taskId, "acceptance", "qa");
      expect((await bench.step(taskId, "acceptance")).question?.kind).toBe("acceptance-failed");
      expect((await bench.refused("create_step", { taskId, ...aStep() }, wakeUp())).code).toBe("person-required");
      await bench.done("create_step", { taskId, ...aStep() });
      expect(await bench.step(taskId, "acceptance")).toMatchObject({ status: "queued", question: null });
    },
  );
});

/**
 * Every code that a tool may refuse with, on real files: each refusal says what was wrong and what would be accepted, is
 * answered and not thrown, holds no destructive command, and leaves every byte below the root as it was.
 */
import { createHash } from "node:crypto";
import { cpSync, lstatSync, mkdirSync, readFileSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { Value } from "@sinclair/typebox/value";
import { describe, expect, it, onTestFinished } from "vitest";
import { errorCodes, errorTable, type ErrorCode } from "../../src/errors.ts";
import { renderPages } from "../../src/render/pages.ts";
import { RefusedDetails } from "../../src/schema/details.ts";
import { createFileStore } from "../../src/store/file-store.ts";
import type { Caller, FlowMark } from "../../src/tools/desk.ts";
import {
  aBuilderReport,
  aJudgement,
  aProject,
  aStep,
  aTask,
  createBench,
  type Bench,
  type ToolName,
} from "../support/bench.ts";
import { aRealRoot } from "../support/real-root.ts";
import { owner, wakeUp } from "../support/callers.ts";
import { momentOf } from "../support/histories.ts";

type World = Awaited<ReturnType<typeof setup>>;
type Call = readonly [name: ToolName, parameters: unknown, caller?: Caller];

async function setup(options: { readonly confined?: boolean } = {}) {
  const root = await aRealRoot();
  let ids = 0;
  const store = await createFileStore({
    root,
    renderPages,
    now: () => new Date(momentOf(0)),
    randomId: () => `id-${(ids += 1)}`,
  });
  onTestFinished(() => store.close());
  let mark: FlowMark | undefined;
  const config = { checks: { allow: ["npm"] } };
  const bench = createBench({ store, root, config, readFlow: () => Promise.resolve(mark), ...options });
  return {
    root,
    bench,
    folder: (...parts: readonly string[]) => path.join(root, "projects", ...parts),
    /** OpenClaw's flow record knows a record that the journal lacks. */
    knowsMore: () => void (mark = { flowId: "flow-1", ended: false, seq: 99, sum: "of another" }),
  };
}

/** Every file, folder and link below a folder with its bytes. */
function bytesBelow(folder: string): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" }).toSorted()) {
    const file = path.join(folder, name);
    const facts = lstatSync(file);
    found[name] = facts.isDirectory()
      ? "a folder"
      : facts.isSymbolicLink()
        ? readlinkSync(file)
        : createHash("sha256").update(readFileSync(file)).digest("hex");
  }
  return found;
}

const step = (taskId: string, status: string, stepId = "step-01") => ({ taskId, stepId, status, reason: "So." });
const check = { name: "tests", command: ["npm", "test"] };

async function aDraft(bench: Bench, fields: Readonly<Record<string, unknown>> = {}): Promise<string> {
  await bench.done("create_project", aProject());
  return String((await bench.done("create_task", aTask(fields)))["taskId"]);
}

async function aQaRun(bench: Bench): Promise<Caller> {
  const taskId = await bench.started();
  await bench.built(taskId);
  return (await bench.launched(taskId, "step-01", "qa")).caller();
}

async function aBuilderRun(bench: Bench): Promise<Caller> {
  return (await bench.launched(await bench.started(), "step-01", "builder")).caller();
}

/** For each code calls that are refused with it. */
const refusals: Readonly<Partial<Record<ErrorCode, (world: World) => Promise<readonly Call[]>>>> = {
  "invalid-parameters": async ({ bench }) => [
    ["start_task", { taskId: await bench.started(), force: true }],
    ["get_status", { stepId: "step-01" }],
    ["set_task_status", { taskId: "login-1", status: "draft" }],
    ["create_project", { spec: " ", name: "Shop" }],
  ],
  "too-large": async ({ bench }) => [
    ["set_step_status", { ...step(await bench.started(), "queued"), reason: "x".repeat(8193) }],
    ["create_task", aTask({ steps: Array.from({ length: 201 }, () => aStep()) })],
  ],
  "invalid-name": async ({ bench }) => [
    ["create_project", aProject({ name: "a\nb" })],
    ["create_task", aTask({ title: "\u202e" })],
    ["create_step", { taskId: await bench.started(), ...aStep({ title: "" }) }],
  ],
  "invalid-id": async ({ bench }) => [["create_step", { taskId: await bench.started(), ...aStep({ id: "../x" }) }]],
  "id-taken": async ({ bench }) => [
    ["create_step", { taskId: await bench.started(), ...aStep({ id: "step-01" }) }],
    ["create_project", aProject({ name: "SHOP" })],
    ["create_task", aTask({ steps: [aStep({ id: "a" }), aStep({ id: "a" })] })],
  ],
  "unknown-project": async () => [
    ["create_task", aTask({ projectId: "nothing" })],
    ["get_status", { projectId: "../shop" }],
  ],
  "unknown-task": async ({ bench }) => {
    const taskId = await bench.started();
    await bench.done("create_project", aProject({ name: "Other" }));
    return [
      ["start_task", { taskId: "nothing" }],
      ["set_task_status", { taskId: "shop", status: "paused" }],
      ["set_step_status", step("../../etc", "queued")],
      ["create_step", { taskId: "SHOUT", ...aStep() }],
      ["get_status", { taskId: "a".repeat(900) }],
      ["get_status", { projectId: "other", taskId }],
    ];
  },
  "unknown-step": async ({ bench }) => {
    const taskId = await bench.started();
    return [
      ["set_step_status", step(taskId, "skipped", "step-99")],
      ["get_status", { taskId, stepId: "step-99" }],
    ];
  },
  "unknown-dependency": async ({ bench }) => [
    ["create_step", { taskId: await bench.started(), ...aStep({ dependsOn: ["nothing"] }) }],
    ["create_task", aTask({ dependsOn: ["nothing"] })],
    ["create_task", aTask({ steps: [aStep({ dependsOn: ["acceptance"] })] })],
  ],
  "dependency-cycle": async ({ bench }) => {
    await bench.done("create_project", aProject());
    return [
      ["create_task", aTask({ steps: [aStep({ id: "a", dependsOn: ["b"] }), aStep({ id: "b", dependsOn: ["a"] })] })],
    ];
  },
  "invalid-repo": async ({ root }) => {
    mkdirSync(path.join(root, "work"));
    writeFileSync(path.join(root, "file.txt"), "text");
    return [".", "..", "projects", "file.txt", "work/nothing"].map((repo) => ["create_project", aProject({ repo })]);
  },
  "program-not-allowed": async ({ bench }) => [
    [
      "create_step",
      { taskId: await bench.started(), ...aStep({ checks: [{ ...check, command: ["rm", "-rf", "/"] }] }) },
    ],
    ["create_task", aTask({ steps: [aStep({ checks: [{ ...check, command: ["./npm"] }] })] })],
  ],
  "checks-unconfined": async ({ bench }) => [
    ["create_step", { taskId: await bench.started(), ...aStep({ checks: [check] }) }],
    ["create_task", aTask({ steps: [aStep({ checks: [check] })] })],
  ],
  "already-started": async ({ bench }) => [["start_task", { taskId: await bench.started() }]],
  "not-started": async ({ bench }) => {
    const taskId = await aDraft(bench);
    return [
      ["set_task_status", { taskId, status: "running" }],
      ["set_task_status", { taskId, status: "paused" }],
      ["set_step_status", step(taskId, "blocked")],
    ];
  },
  "task-paused": async ({ bench }) => {
    const taskId = await bench.started();
    await bench.done("set_task_status", { taskId, status: "paused" });
    return [["start_task", { taskId }]];
  },
  "task-ended": async ({ bench }) => {
    const taskId = await bench.started();
    await bench.done("set_task_status", { taskId, status: "cancelled" });
    return [
      ["start_task", { taskId }],
      ["create_step", { taskId, ...aStep() }],
      ["set_step_status", step(taskId, "skipped")],
      ...["running", "paused", "cancelled"].map((status) => ["set_task_status", { taskId, status }] as const),
    ];
  },
  "nothing-to-do": async ({ bench }) => {
    const taskId = await bench.started();
    return [
      ["set_task_status", { taskId, status: "running" }],
      ["set_step_status", step(taskId, "queued")],
    ];
  },
  "question-open": async ({ bench }) => {
    const taskId = await bench.started();
    await bench.asking(taskId);
    return [["set_task_status", { taskId, status: "running" }]];
  },
  "not-built": async ({ bench }) => [["set_step_status", step(await bench.started(), "passed")]],
  "step-live": async ({ bench }) => {
    const taskId = await bench.started();
    await bench.launched(taskId, "step-01", "builder");
    return [["set_step_status", step(taskId, "passed")]];
  },
  "step-finished": async ({ bench }) => {
    const taskId = await bench.started();
    await bench.done("set_step_status", step(taskId, "skipped"));
    return ["queued", "passed", "skipped", "blocked"].map((status) => ["set_step_status", step(taskId, status)]);
  },
  "person-required": async ({ bench }) => {
    const taskId = await bench.started();
    await bench.asking(taskId);
    return [
      ["set_step_status", step(taskId, "skipped"), wakeUp()],
      ["set_task_status", { taskId, status: "cancelled" }, wakeUp()],
    ];
  },
  "not-allowed": async ({ bench }) => [
    ["create_project", aProject(), owner({ sessionKey: "agent:main:subagent:1" })],
    ["start_task", { taskId: await aDraft(bench) }, owner({ senderIsOwner: false })],
    ["record_builder_result", aBuilderReport(), owner()],
  ],
  "not-in-run": async ({ bench }) => {
    const { runId: _runId, ...invoked } = await aBuilderRun(bench);
    return [["record_builder_result", aBuilderReport(), invoked]];
  },
  "run-not-current": async ({ bench }) => [
    ["record_builder_result", aBuilderReport(), { ...(await aBuilderRun(bench)), runId: "another" }],
  ],
  "invalid-files": async ({ bench }) => {
    const caller = await aBuilderRun(bench);
    return [
      ["record_builder_result", aBuilderReport({ filesChanged: ["/etc/passwd", "../x", "nothing.txt"] }), caller],
      ["record_builder_result", aBuilderReport({ filesDeleted: ["a\\b"] }), caller],
    ];
  },
  "invalid-judgement": async ({ bench }) => [["record_qa_result", aJudgement([], ["c1"]), await aQaRun(bench)]],
  "question-missing": async ({ bench }) => [
    ["record_builder_result", aBuilderReport({ outcome: "blocked" }), await aBuilderRun(bench)],
  ],
  "feedback-missing": async ({ bench }) => [
    ["record_qa_result", { ...aJudgement(["c1"]), feedback: " " }, await aQaRun(bench)],
  ],
  "project-copied": async ({ bench, folder }) => {
    const taskId = await bench.started();
    cpSync(folder("shop"), folder("copy"), { recursive: true });
    rmSync(folder("shop"), { recursive: true });
    return [
      ["create_task", aTask({ projectId: "copy" })],
      ["set_task_status", { taskId, status: "paused" }],
    ];
  },
  "state-rolled-back": async ({ bench, knowsMore }) => {
    const taskId = await bench.started();
    knowsMore();
    return [
      ["set_task_status", { taskId, status: "paused" }],
      ["create_task", aTask()],
    ];
  },
  "newer-schema": async ({ bench }) => {
    const taskId = await bench.started();
    const stream = { projectId: "shop", taskId };
    const snapshot = await bench.store.read(stream);
    const task = snapshot?.documents["task"]?.replace('"schemaVersion": 1', '"schemaVersion": 2') ?? "";
    await bench.store.commit(stream, snapshot?.seq ?? 0, {
      at: momentOf(1),
      actor: { kind: "driver" },
      tool: "test",
      callId: "newer",
      event: { type: "TaskPaused", v: 1, at: momentOf(1), reason: "newer" },
      documents: { task },
    });
    return [
      ["set_task_status", { taskId, status: "paused" }],
      ["get_status", { taskId }],
    ];
  },
};

/** What no refusal may put into an agent's hands: a command of a shell, or a call that ends or gives up work. */
const destructive =
  /\b(?:rm|rmdir|del|unlink|truncate|git|kill|sudo)\s|status:? cancelled|set_task_status cancelled|--force/;

describe("a refusal", () => {
  it.each(Object.entries(refusals))(
    "with %s says what and what else, and leaves every byte as it was",
    {
      tags: [
        "s5.refusal-says-all",
        "s5.refusal-writes-nothing",
        "s5.refusal-returned",
        "s5.details-refusal",
        "s5.refusal-not-destructive",
      ],
    },
    async (code, prepare) => {
      const world = await setup({ confined: code === "checks-unconfined" });
      const { bench, root } = world;
      const calls = await prepare(world);
      // Whatever is still to be written of what came before is written by looking at it.
      await bench.done("get_status", {});
      expect(calls.length).toBeGreaterThan(0);
      for (const [name, parameters, caller] of calls) {
        const before = bytesBelow(root);
        const flows = bench.flowsMade.length;
        const { text, details } = await bench.call(name, parameters, caller);
        expect(bytesBelow(root), `${name} left something behind`).toStrictEqual(before);
        expect(bench.flowsMade).toHaveLength(flows);
        expect(Value.Check(RefusedDetails, details), text).toBe(true);
        const { refused } = details as RefusedDetails;
        expect([name, refused.code]).toStrictEqual([name, code]);
        expect(refused.code).toMatch(/^[a-z]+(?:-[a-z]+)*$/);
        expect(refused.reason).toMatch(/\w{2}/);
        expect(refused.accepts.length).toBeGreaterThan(0);
        for (const one of refused.accepts) expect(one).toMatch(/\w/);
        expect(text).toBe(`Refused (${code}): ${refused.reason}\nAccepted would be: ${refused.accepts.join("; ")}.`);
        expect(text.replaceAll(/"(?:[^"\\]|\\.)*"/g, "")).not.toMatch(destructive);
      }
    },
  );

  it("is tried here with every code that there is", () => {
    expect(Object.keys(refusals).toSorted()).toStrictEqual(
      errorCodes.filter((code) => errorTable[code].category === "refused").toSorted(),
    );
  });

  it("in any words of ours holds no command that destroys something", { tags: ["s5.refusal-not-destructive"] }, () => {
    for (const { cause, remedy } of Object.values(errorTable)) expect(`${cause} ${remedy}`).not.toMatch(destructive);
  });
});

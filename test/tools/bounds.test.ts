/** Every bound, at it and one over it, through the tool that it belongs to. */
import { describe, expect, it } from "vitest";
import { transition } from "../../src/flow/transition.ts";
import { tailOf } from "../../src/host/check-runner.ts";
import { changedDocuments } from "../../src/flow/transition.ts";
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
import { owner } from "../support/callers.ts";
import { anEvent, aWantedStep } from "../support/histories.ts";

type Fields = Readonly<Record<string, unknown>>;
/** A call of a tool that is accepted as it is; fields of a test replace its own. */
type Ready = { readonly bench: Bench; readonly parameters: Fields; readonly caller?: ReturnType<typeof owner> };

const config = { checks: { allow: ["npm"] } };

async function aTaskIn(bench: Bench): Promise<string> {
  await bench.done("create_project", aProject());
  return String((await bench.done("create_task", aTask()))["taskId"]);
}

const ready: Readonly<Partial<Record<ToolName, () => Promise<Ready>>>> = {
  async create_project() {
    return { bench: createBench(), parameters: aProject() };
  },
  async create_task() {
    const bench = createBench({ config });
    await bench.done("create_project", aProject());
    return { bench, parameters: aTask() };
  },
  async create_step() {
    const bench = createBench({ config });
    return { bench, parameters: { taskId: await aTaskIn(bench), ...aStep() } };
  },
  async set_task_status() {
    const bench = createBench();
    return { bench, parameters: { taskId: await bench.started(), status: "paused" } };
  },
  async set_step_status() {
    const bench = createBench();
    const parameters = { taskId: await bench.started(), stepId: "step-01", status: "blocked", reason: "Wait." };
    return { bench, parameters };
  },
  async record_builder_result() {
    // Real files: a path that is reported as deleted must not be there.
    const bench = createBench({ root: await aRealRoot() });
    const run = await bench.launched(await bench.started(), "step-01", "builder");
    return { bench, parameters: aBuilderReport(), caller: run.caller() };
  },
  async record_qa_result() {
    const bench = createBench();
    const taskId = await bench.started();
    await bench.built(taskId);
    const run = await bench.launched(taskId, "step-01", "qa");
    return { bench, parameters: aJudgement(), caller: run.caller() };
  },
};

async function readyFor(tool: ToolName): Promise<Ready> {
  const made = await ready[tool]?.();
  if (made === undefined) throw new Error(tool);
  return made;
}

/** One bound: where it is, how much is allowed, and the fields that have a given size there. */
type Bound = {
  readonly rule: string;
  readonly tool: ToolName;
  readonly where: string;
  readonly most: number;
  readonly accepted: string;
  readonly make: (size: number) => Fields;
};

const text = (bytes: number) => "x".repeat(bytes);
const list = (count: number, item: unknown) => Array.from({ length: count }, () => item);
const check = (fields: Fields) => [{ name: "tests", command: ["npm", "test"], ...fields }];
/** A path of so many bytes whose folders have names that a disk takes. */
const path = (bytes: number) => `${"x".repeat(199)}/`.repeat(Math.ceil(bytes / 200)).slice(0, bytes - 1) + "y";
const KiB = 1024;

/** What holds in create_task for each of its steps, and in create_step for the one. */
const ofSteps = (
  rule: string,
  field: string,
  most: number,
  accepted: string,
  make: (size: number) => Fields,
): readonly Bound[] => [
  {
    rule,
    tool: "create_task",
    where: `steps[1].${field}`,
    most,
    accepted,
    make: (size) => ({ steps: [aStep(), aStep(make(size))] }),
  },
  { rule, tool: "create_step", where: field, most, accepted, make },
];
const bytes = (most: number) => `at most ${most} bytes (UTF-8)`;
const entries = (most: number) => `at most ${most} entries`;
const one = (rule: string, tool: ToolName, where: string, most: number, accepted: string, make: Bound["make"]) => ({
  rule,
  tool,
  where,
  most,
  accepted,
  make,
});

/** Texts, measured in bytes. */
const texts: readonly Bound[] = [
  one("s3.bound-spec", "create_project", "spec", KiB * KiB, bytes(KiB * KiB), (size) => ({ spec: text(size) })),
  one("s3.bound-spec", "create_task", "spec", KiB * KiB, bytes(KiB * KiB), (size) => ({ spec: text(size) })),
  ...ofSteps("s3.bound-goal", "goal", 16 * KiB, bytes(16 * KiB), (size) => ({ goal: text(size) })),
  one("s3.bound-criteria", "create_task", "acceptanceCriteria[0]", 2 * KiB, bytes(2 * KiB), (size) => ({
    acceptanceCriteria: [text(size)],
  })),
  ...ofSteps("s3.bound-criteria", "passCriteria[1]", 2 * KiB, bytes(2 * KiB), (size) => ({
    passCriteria: ["It runs.", text(size)],
  })),
  ...ofSteps("s3.bound-checks", "checks[0].command[1]", 4 * KiB, bytes(4 * KiB), (size) => ({
    checks: check({ command: ["npm", text(size)] }),
  })),
  one("s3.bound-notes", "set_task_status", "reason", 8 * KiB, bytes(8 * KiB), (size) => ({ reason: text(size) })),
  one("s3.bound-notes", "set_step_status", "reason", 8 * KiB, bytes(8 * KiB), (size) => ({ reason: text(size) })),
  one("s3.bound-notes", "record_builder_result", "summary", 8 * KiB, bytes(8 * KiB), (size) => ({
    summary: text(size),
  })),
  one("s3.bound-notes", "record_builder_result", "question", 8 * KiB, bytes(8 * KiB), (size) => ({
    outcome: "blocked",
    question: text(size),
  })),
  one("s3.bound-notes", "record_qa_result", "feedback", 8 * KiB, bytes(8 * KiB), (size) => ({
    ...aJudgement(["c1"]),
    feedback: text(size),
  })),
  one("s3.bound-evidence", "record_qa_result", "criteria[1].evidence", 2 * KiB, bytes(2 * KiB), (size) => ({
    criteria: [
      { id: "c1", pass: true, evidence: "Seen." },
      { id: "c2", pass: true, evidence: text(size) },
    ],
  })),
];

/** Names of things that are there or not: only what is too long is told apart. */
const ids: readonly Bound[] = [
  one("", "set_task_status", "taskId", KiB, bytes(KiB), (size) => ({ taskId: text(size) })),
  one("", "set_step_status", "stepId", KiB, bytes(KiB), (size) => ({ stepId: text(size) })),
  one("", "create_task", "dependsOn[0]", KiB, bytes(KiB), (size) => ({ dependsOn: [text(size)] })),
  ...ofSteps("", "dependsOn[0]", KiB, bytes(KiB), (size) => ({ dependsOn: [text(size)] })),
  one("", "record_qa_result", "criteria[0].id", KiB, bytes(KiB), (size) => ({
    criteria: [{ id: text(size), pass: true, evidence: "Seen." }],
  })),
];

/** Numbers of things, and numbers. */
const counts: readonly Bound[] = [
  one("s3.bound-criteria", "create_task", "acceptanceCriteria", 100, entries(100), (size) => ({
    acceptanceCriteria: list(size, "It works."),
  })),
  ...ofSteps("s3.bound-criteria", "passCriteria", 50, entries(50), (size) => ({
    passCriteria: list(size, "It runs."),
  })),
  one("s3.bound-steps", "create_task", "steps", 200, entries(200), (size) => ({ steps: list(size, aStep()) })),
  ...ofSteps("s3.bound-checks", "checks", 20, entries(20), (size) => ({ checks: list(size, check({})[0]) })),
  ...ofSteps("s3.bound-checks", "checks[0].command", 64, entries(64), (size) => ({
    checks: check({ command: list(size, "npm") }),
  })),
  ...ofSteps("s3.bound-checks", "checks[0].timeoutSeconds", 3600, "1 to 3600", (size) => ({
    checks: check({ timeoutSeconds: size }),
  })),
  one("s3.bound-files", "record_builder_result", "filesDeleted", 2000, entries(2000), (size) => ({
    filesDeleted: Array.from({ length: size }, (_, at) => `gone-${at}`),
  })),
  one("s3.bound-files", "record_builder_result", "filesDeleted[0]", KiB, bytes(KiB), (size) => ({
    filesDeleted: [path(size)],
  })),
  one("s3.bound-tests", "record_builder_result", "testsRun[0].command", 4 * KiB, bytes(4 * KiB), (size) => ({
    testsRun: [{ command: text(size), exitCode: 0 }],
  })),
  one("s3.bound-tests", "record_builder_result", "testsRun", 100, entries(100), (size) => ({
    testsRun: list(size, { command: "npm test", exitCode: 0 }),
  })),
];

async function expectAccepted({ bench, parameters, caller }: Ready, tool: ToolName, fields: Fields): Promise<void> {
  expect((await bench.call(tool, { ...parameters, ...fields }, caller)).details).not.toHaveProperty("refused");
}

async function expectOver({ bench, parameters, caller }: Ready, bound: Bound, fields: Fields): Promise<void> {
  const refusal = await bench.refused(bound.tool, { ...parameters, ...fields }, caller);
  expect(refusal.code).toBe("too-large");
  expect(refusal.reason.startsWith(`${bound.where} `)).toBe(true);
  expect(refusal.accepts).toEqual([`${bound.where}: ${bound.accepted}`]);
}

describe("a bound", () => {
  for (const bound of [...texts, ...counts]) {
    const { rule, tool, where, most, make } = bound;
    it(`of ${tool}: ${where} of ${most} is accepted, and one more is refused`, { tags: [rule] }, async () => {
      await expectOver(await readyFor(tool), bound, make(most + 1));
      await expectAccepted(await readyFor(tool), tool, make(most));
    });
  }

  for (const bound of texts) {
    const { rule, tool, where, most, make } = bound;
    it(`of ${tool}: ${where} is measured in bytes`, { tags: [rule, "s3.bounds-bytes"] }, async () => {
      const swap = (value: unknown): unknown =>
        JSON.parse(JSON.stringify(value).replaceAll(/x{8,}/g, (run) => "é".repeat(run.length)));
      const wide = (size: number) => swap(make(size)) as Fields;
      await expectOver(await readyFor(tool), bound, wide(most / 2 + 1));
      await expectAccepted(await readyFor(tool), tool, wide(most / 2));
    });
  }

  for (const bound of ids) {
    const { tool, where, most, make } = bound;
    it(`of ${tool}: ${where} of more than ${most} is refused before it is looked for`, async () => {
      await expectOver(await readyFor(tool), bound, make(most + 1));
      const { bench, parameters, caller } = await readyFor(tool);
      expect((await bench.refused(tool, { ...parameters, ...make(most) }, caller)).code).not.toBe("too-large");
    });
  }

  it("of a check's time is at least 1 second", { tags: ["s3.bound-checks"] }, async () => {
    const [bound] = ofSteps("s3.bound-checks", "checks[0].timeoutSeconds", 3600, "1 to 3600", (size) => ({
      checks: check({ timeoutSeconds: size }),
    }));
    if (bound === undefined) throw new Error("no bound");
    await expectOver(await readyFor("create_task"), bound, bound.make(0));
    await expectAccepted(await readyFor("create_task"), "create_task", bound.make(1));
  });

  it("of changed files is the same as of deleted ones", { tags: ["s3.bound-files"] }, async () => {
    const report = async (filesChanged: readonly string[]) => {
      // Here every path is a file.
      const bench = createBench();
      const run = await bench.launched(await bench.started(), "step-01", "builder");
      return (await bench.call("record_builder_result", aBuilderReport({ filesChanged }), run.caller())).details;
    };
    const files = (count: number) => Array.from({ length: count }, (_, at) => `file-${at}`);
    expect(await report(files(2000))).toMatchObject({ stepStatus: "reviewing" });
    expect(await report(files(2001))).toMatchObject({ refused: { code: "too-large" } });
    expect(await report([text(KiB)])).toMatchObject({ stepStatus: "reviewing" });
    expect(await report([text(KiB + 1)])).toMatchObject({ refused: { code: "too-large" } });
    expect(await report(["é".repeat(KiB / 2 + 1)])).toMatchObject({ refused: { code: "too-large" } });
  });

  it("of a task's steps is 2,000, however they were added", { tags: ["s3.bound-steps"] }, async () => {
    const bench = createBench();
    await bench.done("create_project", aProject());
    const taskId = "long-00000000";
    const steps = Array.from({ length: 1999 }, () => aWantedStep({ dependsOn: [] }));
    const event = anEvent("TaskCreated", { projectId: "shop", taskId, steps, acceptanceReview: false });
    const decision = transition(undefined, event);
    if (!decision.ok) throw new Error(decision.reason);
    await bench.store.commit({ projectId: "shop", taskId }, 0, {
      at: event.at,
      actor: { kind: "driver" },
      tool: "test",
      callId: "",
      event,
      documents: changedDocuments(undefined, decision.next),
    });
    const step = aStep({ dependsOn: [] });
    expect(await bench.done("create_step", { taskId, ...step })).toMatchObject({ stepId: "step-2000" });
    expect(await bench.refused("create_step", { taskId, ...step })).toMatchObject({
      code: "too-large",
      accepts: ["at most 2000 steps in a task"],
    });
  });

  it("of a check's output keeps its end, cut at a character", { tags: ["s3.bound-output"] }, () => {
    const most = 8 * KiB;
    expect(tailOf(text(most))).toBe(text(most));
    expect(tailOf(`first${text(most)}`)).toBe(text(most));
    expect(tailOf(`first${"é".repeat(most / 2)}`)).toBe("é".repeat(most / 2));
    expect(tailOf("界".repeat(most))).toBe("界".repeat(Math.floor(most / 3)));
  });
});

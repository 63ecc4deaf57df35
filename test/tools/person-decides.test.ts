/** Decisions of a person: accepted exactly when the host says that an owner's message began the turn, whoever may call the tool. */
import { describe, expect, it } from "vitest";
import { createRecorder } from "../../src/tools/driver-tools.ts";
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
import { owner } from "../support/callers.ts";

type Call = readonly [name: ToolName, parameters: Readonly<Record<string, unknown>>];
type Case = readonly [what: string, prepare: (bench: Bench) => Promise<Call>];

const step = (taskId: string, status: string, stepId = "step-01"): Call => [
  "set_step_status",
  { taskId, stepId, status, reason: "I say so." },
];

async function aBlocked(bench: Bench): Promise<string> {
  const taskId = await bench.started();
  await bench.asking(taskId);
  return taskId;
}

async function aBuilderAsking(bench: Bench): Promise<string> {
  const taskId = await bench.started();
  const run = await bench.launched(taskId, "step-01", "builder");
  await bench.done("record_builder_result", aBuilderReport({ outcome: "blocked", question: "Which?" }), run.caller());
  await bench.ended(taskId, "step-01", "builder");
  return taskId;
}

async function aLosing(bench: Bench): Promise<string> {
  const taskId = await bench.started();
  await bench.launched(taskId, "step-01", "builder");
  await bench.ended(taskId, "step-01", "builder", { end: "lost", maxLostRuns: 0 });
  return taskId;
}

async function aHeld(bench: Bench): Promise<string> {
  const taskId = await bench.started();
  await bench.done(...step(taskId, "blocked"));
  return taskId;
}

async function aStuck(bench: Bench): Promise<string> {
  const taskId = await bench.started();
  for (let attempt = 0; attempt < 2; attempt += 1) {
    const builder = await bench.launched(taskId, "step-01", "builder");
    await bench.done("record_builder_result", aBuilderReport(), builder.caller());
    await bench.ended(taskId, "step-01", "builder", { tree: "the same" });
    const qa = await bench.launched(taskId, "step-01", "qa");
    await bench.done("record_qa_result", aJudgement(["c1"]), qa.caller());
    await bench.ended(taskId, "step-01", "qa", { tree: "the same" });
  }
  return taskId;
}

async function aFailedReview(bench: Bench): Promise<string> {
  const taskId = await bench.started();
  await bench.built(taskId);
  const qa = await bench.launched(taskId, "step-01", "qa");
  await bench.done("record_qa_result", aJudgement(), qa.caller());
  await bench.ended(taskId, "step-01", "qa");
  const review = await bench.launched(taskId, "acceptance", "qa");
  await bench.done("record_qa_result", aJudgement(["a1"], ["a1"]), review.caller());
  await bench.ended(taskId, "acceptance", "qa");
  return taskId;
}

async function aLeftAlone(bench: Bench): Promise<string> {
  await bench.done("create_project", aProject());
  const first = String((await bench.done("create_task", aTask()))["taskId"]);
  const taskId = await bench.started({ dependsOn: [first] });
  await bench.done("set_task_status", { taskId: first, status: "cancelled" });
  const event = { type: "DependencyCancelled", v: 1, at: new Date(0).toISOString(), taskId: first } as const;
  await createRecorder(bench.desk()).record({ projectId: "shop", taskId }, event);
  return taskId;
}

const cancel = (taskId: string): Call => ["set_task_status", { taskId, status: "cancelled", reason: "Enough." }];
const goOn = (taskId: string): Call => ["set_task_status", { taskId, status: "running", reason: "Without it." }];
const addStep = (taskId: string): Call => ["create_step", { taskId, ...aStep() }];

const asking = {
  "attempts-used": aBlocked,
  "no-progress": aStuck,
  "runs-lost": aLosing,
  "builder-asks": aBuilderAsking,
  held: aHeld,
  "acceptance-failed": aFailedReview,
} as const;
const stepOf = (kind: string) => (kind === "acceptance-failed" ? "acceptance" : "step-01");

const acceptances: readonly Case[] = [
  ["to accept a step that asks", async (bench) => step(await aBlocked(bench), "passed")],
  ["to skip a queued step", async (bench) => step(await bench.started(), "skipped")],
  [
    "to skip a step of a draft",
    async (bench) => {
      await bench.done("create_project", aProject());
      return step(String((await bench.done("create_task", aTask()))["taskId"]), "skipped");
    },
  ],
  [
    "to skip a step that is built",
    async (bench) => {
      const taskId = await bench.started();
      await bench.launched(taskId, "step-01", "builder");
      return step(taskId, "skipped");
    },
  ],
];
const answers: readonly Case[] = Object.entries(asking).flatMap(([kind, make]): readonly Case[] => [
  [`to answer ${kind} with another try`, async (bench) => step(await make(bench), "queued", stepOf(kind))],
  [`to answer ${kind} by skipping`, async (bench) => step(await make(bench), "skipped", stepOf(kind))],
  [`to answer ${kind} by cancelling`, async (bench) => cancel(await make(bench))],
]);
const others: readonly Case[] = [
  ["to answer acceptance-failed with another step", async (bench) => addStep(await aFailedReview(bench))],
  ["to answer dependency-cancelled by cancelling", async (bench) => cancel(await aLeftAlone(bench))],
];
const without: readonly Case[] = [
  ["to go on without a cancelled task", async (bench) => goOn(await aLeftAlone(bench))],
];

/** What is no decision of a person: nothing is answered and nothing is given up that was asked for. */
const free: readonly Case[] = [
  [
    "to start a task",
    async (bench) => {
      await bench.done("create_project", aProject());
      return ["start_task", { taskId: String((await bench.done("create_task", aTask()))["taskId"]) }];
    },
  ],
  ["to pause a task", async (bench) => ["set_task_status", { taskId: await bench.started(), status: "paused" }]],
  [
    "to pause a task that asks",
    async (bench) => ["set_task_status", { taskId: await aBlocked(bench), status: "paused" }],
  ],
  [
    "to let a paused task go on",
    async (bench) => {
      const taskId = await bench.started();
      await bench.done("set_task_status", { taskId, status: "paused" });
      return ["set_task_status", { taskId, status: "running" }];
    },
  ],
  ["to cancel a task that asks nothing", async (bench) => cancel(await bench.started())],
  ["to add a step", async (bench) => addStep(await bench.started())],
  ["to hold a step back", async (bench) => step(await bench.started(), "blocked")],
  [
    "to put a step back that is built",
    async (bench) => {
      const taskId = await bench.started();
      await bench.launched(taskId, "step-01", "builder");
      return step(taskId, "queued");
    },
  ],
];

/** Who may call the tools and may not decide: `senderIsOwner` is false or not said, with a sender or without. */
const undecided = [
  ["a wake-up turn", { senderIsOwner: false, hasSender: false }],
  ["a scheduled turn where the host does not say", { senderIsOwner: undefined, hasSender: false }],
  ["a sender of whom the host does not say", { senderIsOwner: undefined, hasSender: true }],
  ["a sender who is not an owner but may orchestrate", { senderIsOwner: false, hasSender: true }],
] as const;
const decided = [
  ["an owner's message", { senderIsOwner: true, hasSender: true }],
  ["an authenticated operator call", { senderIsOwner: true, hasSender: false }],
] as const;
const config = { allowNonOwners: true };

const decisions: readonly (readonly [tags: readonly string[], cases: readonly Case[]])[] = [
  [
    ["s5.decision-passed-skipped", "s5.decision-owner-flag", "s5.decision-in-execute", "s5.no-sender-no-decision"],
    acceptances,
  ],
  [
    ["s5.decision-answer", "s5.decision-owner-flag", "s5.decision-in-execute", "s5.no-sender-no-decision"],
    [...answers, ...others],
  ],
  [["s5.decision-without-dependency", "s5.decision-owner-flag", "s5.decision-in-execute"], without],
];

describe("a decision of a person", () => {
  for (const [tags, cases] of decisions)
    it.each(cases)("%s is refused unless an owner's turn makes it", { tags: [...tags] }, async (_what, prepare) => {
      const bench = createBench({ config });
      const [name, parameters] = await prepare(bench);
      for (const [, fields] of undecided) {
        const refusal = await bench.refused(name, parameters, owner(fields));
        expect(refusal).toMatchObject({ code: "person-required", accepts: ["the owner's answer in the chat"] });
      }
      await bench.done(name, parameters);
    });

  it.each(decided)(
    "is accepted in %s",
    { tags: ["s5.decision-owner-flag", "s5.decision-operator"] },
    async (_who, fields) => {
      for (const [, prepare] of [...acceptances, ...answers, ...others, ...without]) {
        const bench = createBench({ config });
        const [name, parameters] = await prepare(bench);
        await bench.done(name, parameters, owner(fields));
      }
    },
  );
});

describe("what is no decision of a person", () => {
  it.each(free)("%s is accepted from whoever may call", { tags: ["s5.no-sender-offered"] }, async (_what, prepare) => {
    for (const [, fields] of undecided) {
      const bench = createBench({ config });
      const [name, parameters] = await prepare(bench);
      await bench.done(name, parameters, owner(fields));
    }
  });
});

describe("passedBy", { tags: ["s5.passed-by"] }, () => {
  it("is qa when QA judged it", async () => {
    const bench = createBench();
    const taskId = await bench.started();
    await bench.built(taskId);
    const qa = await bench.launched(taskId, "step-01", "qa");
    await bench.done("record_qa_result", aJudgement(), qa.caller());
    expect(await bench.step(taskId)).toMatchObject({ status: "passed", passedBy: "qa" });
    expect((await bench.call("get_status", { taskId })).text).not.toContain("by a person");
  });

  it("is person, with the reason, when a person accepted it, and the status says so", async () => {
    const bench = createBench();
    const taskId = await aBlocked(bench);
    await bench.done(...step(taskId, "passed"));
    const accepted = await bench.step(taskId);
    expect(accepted).toMatchObject({ status: "passed", passedBy: "person" });
    expect(accepted.attempts.at(-1)?.decisions).toMatchObject([
      { by: "person", status: "passed", reason: "I say so." },
    ]);
    expect((await bench.call("get_status", { taskId })).text).toContain("accepted by a person, not by QA");
  });

  it("is nobody when the step was skipped", async () => {
    const bench = createBench();
    const taskId = await bench.started();
    await bench.done(...step(taskId, "skipped"));
    expect(await bench.step(taskId)).toMatchObject({ status: "skipped", passedBy: null });
  });
});

/**
 * Writes docs/transitions.md (with `vitest -u`): what every event leads to in every status, computed by the real
 * transition. The test fails while the file says something else. A change there is a change of the product.
 */
import { describe, expect, it } from "vitest";
import type { TaskDecision } from "../../src/flow/transition.ts";
import { StepStatus, TaskStatus, type Step } from "../../src/schema/documents.ts";
import { TaskEvent, type DecidedBy } from "../../src/schema/events.ts";
import {
  aCheck,
  aCheckResult,
  aWantedStep,
  history,
  judgementsOf,
  type Fields,
  type History,
} from "../support/histories.ts";
import { pageOf, tableOf } from "./markdown.ts";

const types = TaskEvent.anyOf.map((schema) => schema.properties.type.const);
type EventType = (typeof types)[number];

// ---- places: a step in each status, told apart where the status alone does not decide

type Place = { readonly status: StepStatus; readonly words: string; readonly one: History };

const work = () => history({ steps: [aWantedStep({ checks: [aCheck] }), aWantedStep()] });
const report = (one: History, fields: Fields<"BuilderReported"> = {}) =>
  one.and("BuilderReported", { runId: one.runOf("step-01", "builder"), ...fields });
const building = (start = work().start()) => start.launch("step-01", "builder");
const last = () => history({ maxAttempts: 1, steps: [aWantedStep({ checks: [aCheck] }), aWantedStep()] }).start();
const failedOnce = () =>
  work()
    .start()
    .fail("step-01", { fails: ["c1"], tree: "same" });
const asking = () => report(building(), { outcome: "blocked", question: "Which?" });

const places: readonly Place[] = [
  { status: "queued", words: "ready", one: work().start() },
  {
    status: "queued",
    words: "behind another step",
    one: history({ steps: [aWantedStep({ dependsOn: ["step-02"] }), aWantedStep({ dependsOn: [] })] }).start(),
  },
  { status: "queued", words: "its stopped run not ended", one: building().and("StepDecided", { status: "queued" }) },
  { status: "building", words: "launch intended", one: work().start().and("RunPlanned") },
  { status: "building", words: "run confirmed", one: building() },
  { status: "building", words: "run lost", one: building().endRun("step-01", "builder") },
  { status: "checking", words: "run not ended", one: report(building()) },
  { status: "checking", words: "run ended", one: report(building()).endRun("step-01", "builder") },
  { status: "checking", words: "last attempt", one: report(building(last())).endRun("step-01", "builder") },
  { status: "reviewing", words: "QA not launched", one: work().start().build("step-01") },
  { status: "reviewing", words: "QA running", one: work().start().build("step-01").launch("step-01", "qa") },
  {
    status: "reviewing",
    words: "same tree as before",
    one: failedOnce().build("step-01", { tree: "same" }).launch("step-01", "qa"),
  },
  { status: "reviewing", words: "last attempt", one: last().build("step-01").launch("step-01", "qa") },
  { status: "blocked", words: "never built, run not ended", one: asking() },
  { status: "blocked", words: "never built", one: asking().endRun("step-01", "builder") },
  { status: "blocked", words: "built", one: work().start().build("step-01").and("StepDecided", { status: "blocked" }) },
  { status: "passed", words: "by QA", one: work().start().pass("step-01") },
  { status: "skipped", words: "by a person", one: work().start().and("StepDecided", { status: "skipped" }) },
  { status: "cancelled", words: "its run not ended", one: building().and("TaskCancelled") },
];

const review = () => history({ acceptanceReview: true }).start();
const reviews: readonly Place[] = [
  { status: "queued", words: "behind the others", one: review() },
  { status: "queued", words: "ready", one: review().pass("step-01") },
  { status: "reviewing", words: "QA running", one: review().pass("step-01").launch("acceptance", "qa") },
  {
    status: "reviewing",
    words: "run lost",
    one: review().pass("step-01").launch("acceptance", "qa").endRun("acceptance", "qa"),
  },
  {
    status: "blocked",
    words: "acceptance-failed",
    one: review()
      .pass("step-01")
      .judge("acceptance", { fails: ["a1"] }),
  },
  {
    status: "blocked",
    words: "held, never judged",
    one: review().pass("step-01").and("StepDecided", { stepId: "acceptance", status: "blocked" }),
  },
  {
    status: "blocked",
    words: "runs-lost",
    one: review().pass("step-01").launch("acceptance", "qa").endRun("acceptance", "qa", { maxLostRuns: 0 }),
  },
  { status: "passed", words: "by QA, task done", one: review().pass("step-01").judge("acceptance") },
];

// ---- events as they could come to a step in such a place

type Row = {
  readonly type: EventType;
  readonly words: string;
  readonly decide: (one: History, step: Step) => TaskDecision;
};
function row<T extends EventType>(type: T, words: string, fields: (one: History, step: Step) => Fields<T>): Row {
  return { type, words, decide: (one, step) => one.decide(type, fields(one, step)) };
}

const builderOf = (one: History, { id }: Step) => ({ stepId: id, runId: one.runOf(id, "builder") });
const qaOf = (one: History, { id }: Step) => ({ stepId: id, runId: one.runOf(id, "qa") });
/** The run that is open, else the latest one. */
const runOf = (one: History, step: Step) => ({
  stepId: step.id,
  runId: step.attempts.at(-1)?.runs.at(-1)?.runId ?? one.runOf(step.id, "builder"),
});
const firstCriterion = (step: Step) => step.passCriteria.slice(0, 1).map((criterion) => criterion.id);
const decided = (status: "queued" | "passed" | "skipped" | "blocked") =>
  row("StepDecided", `\`${status}\``, (_one, { id }) => ({ stepId: id, status }));
const ends = { tree: "same", files: [] } as const;

const rows: readonly Row[] = [
  row("RunPlanned", "builder", (_one, { id }) => ({ stepId: id, role: "builder" as const })),
  row("RunPlanned", "QA", (_one, { id }) => ({ stepId: id, role: "qa" as const })),
  row("RunLaunched", "", runOf),
  row("BuilderReported", "done", builderOf),
  row("BuilderReported", "blocked", (one, step) => ({
    ...builderOf(one, step),
    outcome: "blocked" as const,
    question: "Which?",
  })),
  row("RunEnded", "as the host says", (one, step) => ({ ...runOf(one, step), ...ends })),
  row("RunEnded", "no launch left", (one, step) => ({ ...runOf(one, step), ...ends, maxLostRuns: 0 })),
  row("RunEnded", "its gateway died", (one, step) => ({
    ...runOf(one, step),
    ...ends,
    end: "gateway" as const,
    maxLostRuns: 0,
  })),
  row("ChecksFinished", "all passed", (_one, step) => ({
    stepId: step.id,
    attempt: Math.max(1, step.attempt),
    results: [aCheckResult()],
  })),
  row("ChecksFinished", "one failed", (_one, step) => ({
    stepId: step.id,
    attempt: Math.max(1, step.attempt),
    results: [aCheckResult({ exitCode: 1 })],
  })),
  row("QaReported", "all pass", (one, step) => ({ ...qaOf(one, step), criteria: judgementsOf(step) })),
  row("QaReported", "one fails", (one, step) => ({
    ...qaOf(one, step),
    criteria: judgementsOf(step, firstCriterion(step)),
    feedback: "Mend it.",
  })),
  row("LateReportArchived", "", (one, step) => ({
    ...runOf(one, step),
    role: step.attempts.at(-1)?.runs.at(-1)?.role === "qa" ? ("qa" as const) : ("builder" as const),
  })),
  decided("queued"),
  decided("passed"),
  decided("skipped"),
  decided("blocked"),
  row("StepAdded", "", () => ({})),
  row("TaskCreated", "", () => ({})),
  row("TaskStarted", "", () => ({})),
  row("TaskPaused", "", () => ({})),
  row("TaskResumed", "", () => ({})),
  row("TaskCancelled", "", () => ({})),
  row("DependenciesDone", "", () => ({})),
  row("DependencyCancelled", "", () => ({})),
  row("FlowLinked", "", () => ({})),
  row("RollbackAccepted", "", () => ({})),
];

// ---- what an event leads to, in words

function outcomeOf(before: Step, decision: TaskDecision): string {
  if (!decision.ok) return `\`${decision.code}\``;
  const after = decision.next.steps.find((step) => step.id === before.id);
  if (after === undefined || after === before) return "no change";
  const seats = [...(["builder", "qa"] as const).map((role) => [before[role].status, after[role].status])].flatMap(
    ([old, now]) => (now !== old && (now === "stopped" || now === "lost") ? [`run ${now}`] : []),
  );
  const to = after.status === before.status ? "stays" : `→ **${after.status}**`;
  const asks =
    after.question !== null && after.question.id !== before.question?.id ? [`asks \`${after.question.kind}\``] : [];
  return [to, ...asks, ...seats].join(", ");
}

const nameOf = ({ type, words }: Row) => (words === "" ? `\`${type}\`` : `\`${type}\` ${words}`);

/** One table per status: events down, places across. Rows in which nothing happens anywhere are listed below it. */
function sectionsOf(all: readonly Place[], stepId: string): readonly string[] {
  return [...Map.groupBy(all, (place) => place.status)].flatMap(([status, group]) => {
    const lines = rows.map((event) => ({
      name: nameOf(event),
      cells: group.map(({ one }) => outcomeOf(one.step(stepId), event.decide(one, one.step(stepId)))),
    }));
    const dull = (cells: readonly string[]) =>
      cells.every((cell) => cell === cells[0] && (cell === "no change" || cell.startsWith("`")));
    const same = Map.groupBy(
      lines.filter(({ cells }) => dull(cells)),
      ({ cells }) => cells[0] ?? "",
    );
    const list = [...same].map(
      ([outcome, said]) =>
        `- ${outcome === "no change" ? outcome : `refused with ${outcome}`}: ${said.map(({ name }) => name).join(", ")}`,
    );
    const told = lines.filter(({ cells }) => !dull(cells)).map(({ name, cells }) => [name, ...cells]);
    return [
      `### ${status}`,
      ...(told.length > 0 ? [tableOf(["Event", ...group.map(({ words }) => words)], told)] : []),
      ...(list.length > 0 ? [list.join("\n")] : []),
    ];
  });
}

/** Every change of status that an event makes in one of the places, drawn once per pair of statuses. */
function diagramOf(all: readonly Place[], stepId: string): string {
  const arrows = new Map<string, Set<string>>();
  for (const { status, one } of all)
    for (const event of rows) {
      const decision = event.decide(one, one.step(stepId));
      const to = decision.ok ? decision.next.steps.find((step) => step.id === stepId)?.status : undefined;
      if (to === undefined || to === status) continue;
      const arrow = `${status} --> ${to}`;
      arrows.set(
        arrow,
        (arrows.get(arrow) ?? new Set()).add(
          event.type === "StepDecided" ? "set_step_status" : `${event.type} ${event.words}`.trim(),
        ),
      );
    }
  const lines = [...arrows].map(([arrow, events]) => `    ${arrow}: ${[...events].join(", ")}`);
  const final = ["passed", "skipped", "cancelled"].map((status) => `    ${status} --> [*]`);
  return [
    "```mermaid",
    "stateDiagram-v2",
    "    [*] --> queued: TaskCreated or StepAdded",
    ...lines,
    ...final,
    "```",
  ].join("\n");
}

/** The table of set_step_status as DESIGN has it; where the places of a status differ, each is said. */
function decisionsTable(by: DecidedBy): string {
  const targets = ["queued", "passed", "skipped", "blocked"] as const;
  const told = places.filter(
    ({ status, words }) => status !== "cancelled" && words !== "last attempt" && words !== "same tree as before",
  );
  const cell = (group: readonly Place[], status: (typeof targets)[number]) => {
    const outcomes = Map.groupBy(group, ({ one }) => outcomeOf(one.step(), one.decide("StepDecided", { status, by })));
    if (outcomes.size === 1) return [...outcomes.keys()].join("");
    return [...outcomes]
      .map(([outcome, said]) => `${outcome} (${said.map(({ words }) => words).join("; ")})`)
      .join("; ");
  };
  return tableOf(
    ["from \\ to", ...targets.map((status) => `\`${status}\``)],
    [...Map.groupBy(told, (place) => place.status)].map(([status, group]) => [
      `**${status}**`,
      ...targets.map((to) => cell(group, to)),
    ]),
  );
}

// ---- the task

type TaskPlace = { readonly words: string; readonly status: TaskStatus; readonly one: History };
const plain = () => history({ steps: [aWantedStep(), aWantedStep()] });
const waiting = () =>
  history({ dependsOn: ["other"], steps: [aWantedStep(), aWantedStep()] }).and("TaskStarted", {
    dependenciesDone: false,
  });
const taskPlaces: readonly TaskPlace[] = [
  { words: "draft", status: "draft", one: plain() },
  { words: "running", status: "running", one: plain().start() },
  { words: "waiting", status: "waiting", one: waiting() },
  { words: "waiting, a dependency cancelled", status: "waiting", one: waiting().and("DependencyCancelled") },
  { words: "blocked by a step", status: "blocked", one: plain().start().and("StepDecided", { status: "blocked" }) },
  { words: "paused", status: "paused", one: plain().start().and("TaskPaused") },
  { words: "done", status: "done", one: plain().start().pass("step-01").pass("step-02") },
  { words: "cancelled", status: "cancelled", one: plain().start().and("TaskCancelled") },
];

const calls: readonly (readonly [string, (one: History) => TaskDecision])[] = [
  ["`start_task`", (one) => one.decide("TaskStarted")],
  ["`set_task_status` running", (one) => one.decide("TaskResumed")],
  ["`set_task_status` paused", (one) => one.decide("TaskPaused")],
  ["`set_task_status` cancelled", (one) => one.decide("TaskCancelled")],
  ["`create_step`", (one) => one.decide("StepAdded")],
  ["`set_step_status` queued", (one) => one.decide("StepDecided", { status: "queued" })],
  ["`set_step_status` passed", (one) => one.decide("StepDecided", { status: "passed" })],
  ["`set_step_status` skipped", (one) => one.decide("StepDecided", { status: "skipped" })],
  ["`set_step_status` blocked", (one) => one.decide("StepDecided", { status: "blocked" })],
  ["`DependenciesDone`", (one) => one.decide("DependenciesDone")],
  ["`DependencyCancelled`", (one) => one.decide("DependencyCancelled")],
  ["`FlowLinked`", (one) => one.decide("FlowLinked")],
  ["`RollbackAccepted`", (one) => one.decide("RollbackAccepted")],
];

function taskOutcomeOf(before: History, decision: TaskDecision): string {
  if (!decision.ok) return `\`${decision.code}\``;
  const { status } = decision.next.task;
  return status === before.taskStatus ? "stays" : `→ **${status}**`;
}

function taskTable(): string {
  return tableOf(
    ["Call or event", ...taskPlaces.map(({ words }) => words)],
    calls.map(([name, decide]) => [name, ...taskPlaces.map(({ one }) => taskOutcomeOf(one, decide(one)))]),
  );
}

/** What becomes of work that was under way when the task was paused, started to wait, or was cancelled. */
function liveTable(): string {
  const dependent = () =>
    history({ dependsOn: ["other"], steps: [aWantedStep({ checks: [aCheck] }), aWantedStep()] }).start();
  const brakes: readonly (readonly [string, (one: History) => History])[] = [
    ["running", (one) => one],
    ["paused", (one) => one.and("TaskPaused")],
    ["waiting", (one) => one.and("TaskPaused").and("TaskResumed", { dependenciesDone: false })],
    ["cancelled", (one) => one.and("TaskCancelled")],
  ];
  const under: readonly (readonly [string, () => History, string])[] = [
    ["RunPlanned builder", dependent, "queued, ready"],
    ["RunLaunched", () => dependent().and("RunPlanned"), "building, launch intended"],
    ["BuilderReported done", () => building(dependent()), "building, run confirmed"],
    ["RunEnded as the host says", () => building(dependent()), "building, run confirmed"],
    [
      "ChecksFinished all passed",
      () => report(building(dependent())).endRun("step-01", "builder"),
      "checking, run ended",
    ],
    ["RunPlanned QA", () => dependent().build("step-01"), "reviewing, QA not launched"],
    ["QaReported all pass", () => dependent().build("step-01").launch("step-01", "qa"), "reviewing, QA running"],
  ];
  const lines = under.map(([name, make, where]) => {
    const event = rows.find((one) => `${one.type} ${one.words}`.trim() === name);
    const cells = brakes.map(([, brake]) => {
      const one = brake(make());
      return event === undefined ? "?" : outcomeOf(one.step(), event.decide(one, one.step()));
    });
    return [event === undefined ? name : nameOf(event), where, ...cells];
  });
  return tableOf(["Event", "The step is", ...brakes.map(([words]) => words)], lines);
}

function transitionsPage(): string {
  return pageOf(
    "# Transitions",
    "<!-- Generated by test/docs/transitions.test.ts, which asks src/flow/transition.ts. To write it anew: " +
      "npx vitest run test/docs -u -->",
    "What follows from every event in every status. All of it is computed by the code that decides, so it cannot be " +
      "out of date: " +
      "a test fails while this page says something else. A change here is a change of the product; review it as one.",
    [
      "How to read a cell:",
      "",
      "- `→ **status**` is the status that follows; `stays` means that the step's document changes, its status does not.",
      "- `asks` names the kind of question that a person is asked.",
      "- `run stopped` means that the open run is fenced: its report is refused from then on, and the driver stops it.",
      "- A code such as `step-live` is a refusal: nothing changes. The codes are explained in [errors.md](errors.md).",
      "- Every decision here is a person's where nothing else is said.",
    ].join("\n"),
    "## The way of a step",
    diagramOf(places, "step-01"),
    "## `set_step_status`",
    "In a task that is running. In a draft only `skipped` is accepted, in a task that ended nothing is.",
    decisionsTable("person"),
    "The same when the orchestrator decides by itself, without the owner's word:",
    decisionsTable("orchestrator"),
    "## The task",
    "What calls and the driver's events make of the status of a task with two queued steps; `set_step_status` is for " +
      "the first of them, " +
      "which is blocked in the column `blocked by a step`. The dependency was done where the call has to look at it.",
    taskTable(),
    "## Work under way",
    "A task that is paused or waits launches nothing; what runs may finish, and its report moves the step.",
    liveTable(),
    "## A step of work, event by event",
    "The step has a check, and another step waits for it. The task is running, except for `cancelled`.",
    ...sectionsOf(places, "step-01"),
    "## The acceptance review, event by event",
    "The step `acceptance`, behind one step of work.",
    ...sectionsOf(reviews, "acceptance").map((block) => (block.startsWith("### ") ? `${block} (review)` : block)),
  );
}

describe("docs/transitions.md", () => {
  it("says what the transition decides", async () => {
    await expect(transitionsPage()).toMatchFileSnapshot("../../docs/transitions.md");
  });

  it("covers every status of a step, every status of a task and every event", () => {
    const literals = (union: typeof StepStatus | typeof TaskStatus) =>
      union.anyOf.map((literal): string => literal.const).toSorted();
    expect([...new Set(places.map(({ status }) => status))].toSorted()).toEqual(literals(StepStatus));
    expect([...new Set(taskPlaces.map(({ status }) => status))].toSorted()).toEqual(literals(TaskStatus));
    expect([...new Set(rows.map(({ type }) => type))].toSorted()).toEqual(types.toSorted());
  });

  it("puts every step and task where it says", () => {
    for (const { status, one } of places) expect(one.step().status).toBe(status);
    for (const { status, one } of reviews) expect(one.step("acceptance").status).toBe(status);
    for (const { status, one } of taskPlaces) expect(one.taskStatus).toBe(status);
  });
});

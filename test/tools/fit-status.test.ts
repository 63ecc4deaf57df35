/** How a status answer that is too large is cut: what goes first, what stays, what is said of it. */
import { describe, expect, it } from "vitest";
import { fitStatus } from "../../src/tools/fit-status.ts";
import type { StatusDetails } from "../../src/schema/details.ts";

const inWords = (details: StatusDetails) => details.next.join("\n");
const empty: StatusDetails = { projects: [], waitsFor: [], next: [], truncated: false };
const aProject = (projectId: string, fields: Partial<StatusDetails["projects"][number]> = {}) => ({
  projectId,
  tasks: {},
  projectPath: "p".repeat(1000),
  warnings: [],
  ...fields,
});
const someProjects = (count: number) => Array.from({ length: count }, (_, at) => aProject(`project-${at}`));
const aTaskSummary = (
  fields: Partial<NonNullable<StatusDetails["task"]>> = {},
): NonNullable<StatusDetails["task"]> => ({
  taskId: "task",
  title: "Title",
  taskStatus: "running",
  stepsFinished: 0,
  stepsTotal: 0,
  taskPath: "/task.json",
  projectId: "shop",
  dependsOn: [],
  flowId: null,
  questions: [],
  steps: [],
  liveRuns: [],
  usage: { inputTokens: 0, outputTokens: 0, costUsd: 0 },
  durationMs: 0,
  warnings: [],
  pagePath: "/task.md",
  ...fields,
});

describe("an answer that fits", () => {
  it("is left as it is, in its order", () => {
    const details = {
      ...empty,
      projects: [aProject("b", { tasks: { done: 1 } }), aProject("a", { tasks: { draft: 1 } })],
    };
    expect(fitStatus(details, "Ask.", inWords)).toStrictEqual({ details, text: "" });
  });

  it("fits to the last byte", () => {
    const size = (details: StatusDetails) => JSON.stringify(details).length + inWords(details).length;
    const steps = [
      { stepId: "s", title: "t", stepStatus: "queued", attempt: 0, maxAttempts: 3, passedBy: null },
    ] as const;
    const withStep = (length: number): StatusDetails => ({
      ...empty,
      task: aTaskSummary({ title: "t".repeat(length), steps }),
    });
    const rest = 24 * 1024 - size(withStep(0));
    expect(fitStatus(withStep(rest), "Ask.", inWords).details.truncated).toBe(false);
    expect(fitStatus(withStep(rest + 1), "Ask.", inWords).details.task?.steps).toStrictEqual([]);
  });

  it("has its sentences shortened all the same", () => {
    const long = "x".repeat(1001);
    const short = `${"x".repeat(1000)}…`;
    const details: StatusDetails = {
      ...empty,
      projects: [aProject("a", { warnings: [long, "x".repeat(1000)] })],
      project: {
        ...aProject("a", { warnings: [long] }),
        taskList: [],
        usage: { inputTokens: 0, outputTokens: 0, costUsd: 0 },
        pagePath: "/project.md",
      },
      task: aTaskSummary({ warnings: [`${"x".repeat(999)} y`] }),
      next: [long],
    };
    const { details: fitting } = fitStatus(details, "Ask.", inWords);
    expect(fitting.projects[0]?.warnings).toStrictEqual([short, "x".repeat(1000)]);
    expect(fitting.project?.warnings).toStrictEqual([short]);
    expect(fitting.task?.warnings).toStrictEqual([`${"x".repeat(999)}…`]);
    expect(fitting.next).toStrictEqual([short]);
  });
});

describe("an answer that is too large", () => {
  it("loses a quarter of its largest list until it fits, and says how much is shown and how to ask for the rest", () => {
    const { details } = fitStatus({ ...empty, projects: someProjects(40), next: ["Go on"] }, "Ask for one.", inWords);
    expect(details.projects.map((one) => one.projectId)).toStrictEqual(
      Array.from({ length: 22 }, (_, at) => `project-${at}`),
    );
    expect(details.next).toStrictEqual(["Go on", "Cut to fit: 22 of 40 projects shown. Ask for one."]);
    expect(details.truncated).toBe(true);
  });

  it("shows first what goes on or needs somebody", () => {
    const projects = someProjects(40).map((one, at) => ({
      ...one,
      tasks: at < 30 ? { done: 1, cancelled: 2 } : { done: 1, draft: 1 },
    }));
    const warned = projects.map((one, at) => (at === 5 ? { ...one, warnings: ["Look."] } : one));
    const { details } = fitStatus({ ...empty, projects: warned }, "Ask.", inWords);
    expect(details.projects.slice(0, 12).map((one) => one.projectId)).toStrictEqual([
      "project-5",
      ...Array.from({ length: 10 }, (_, at) => `project-${at + 30}`),
      "project-0",
    ]);
  });

  it("shows steps that are worked on or ask before those that wait, and these before finished ones", () => {
    const statuses = ["passed", "queued", "skipped", "building", "blocked", "cancelled", "reviewing"] as const;
    const steps = Array.from({ length: 70 }, (_, at) => ({
      stepId: `step-${at}`,
      title: "t".repeat(500),
      stepStatus: statuses[at % 7] ?? "queued",
      attempt: 0,
      maxAttempts: 3,
      passedBy: null,
    }));
    const { details } = fitStatus({ ...empty, task: aTaskSummary({ steps }) }, "Ask.", inWords);
    expect(details.task?.steps.map((one) => one.stepStatus)).toStrictEqual([
      ...Array.from({ length: 10 }, () => ["building", "blocked", "reviewing"]).flat(),
      ...Array.from({ length: 9 }, () => "queued"),
    ]);
    expect(details.next).toStrictEqual(["Cut to fit: 39 of 70 steps shown. Ask."]);
  });

  it("keeps small lists and every choice of a question whole", () => {
    const choices = Array.from({ length: 9 }, (_, at) => `${at}${"c".repeat(300)}`);
    const questions = Array.from({ length: 12 }, (_, at) => ({
      stepId: null,
      questionId: `q${at}`,
      kind: "held",
      text: "?",
      choices,
    }));
    const waitsFor = [{ taskId: "task", kind: "run" as const, id: "run" }];
    const { details } = fitStatus(
      { ...empty, task: aTaskSummary({ questions, dependsOn: ["one"] }), waitsFor },
      "Ask.",
      inWords,
    );
    expect(details.task?.questions.map((one) => one.choices)).toStrictEqual(
      (details.task?.questions ?? []).map(() => choices),
    );
    expect(details.task?.questions.length).toBeLessThan(12);
    expect([details.task?.dependsOn, details.waitsFor]).toStrictEqual([["one"], waitsFor]);
  });

  it("names lists as people would", () => {
    const usage = { inputTokens: 0, outputTokens: 0, costUsd: 0 };
    const taskList = Array.from({ length: 60 }, (_, at) => ({
      taskId: `task-${at}`,
      title: "t".repeat(400),
      taskStatus: "draft" as const,
      stepsFinished: 0,
      stepsTotal: 1,
      taskPath: "/t",
    }));
    const waitsFor = Array.from({ length: 60 }, () => ({ taskId: "w".repeat(400), kind: "run" as const, id: "run" }));
    const next = Array.from({ length: 60 }, () => "n".repeat(400));
    const project = { ...aProject("shop"), taskList, usage, pagePath: "/project.md" };
    const { details } = fitStatus({ ...empty, project, waitsFor, next }, "Ask.", inWords);
    expect(details.next.at(-1)).toMatch(
      /^Cut to fit: \d+ of 60 (tasks|waits|next sentences) shown, \d+ of 60 (tasks|waits|next sentences) shown, \d+ of 60 (tasks|waits|next sentences) shown\. Ask\.$/,
    );
    for (const name of ["tasks", "waits", "next sentences"]) expect(details.next.at(-1)).toContain(`60 ${name} shown`);
  });

  it("stays too large when there is nothing that can be cut", () => {
    const details = { ...empty, task: aTaskSummary({ title: "t".repeat(30_000) }) };
    expect(fitStatus(details, "Ask.", inWords)).toStrictEqual({ details, text: "" });
  });
});

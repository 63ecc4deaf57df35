/** The stored documents: which fields they have, in which order, and how they stand on disk. */
import { describe, expect, it } from "vitest";
import {
  formatDocument,
  rememberDocument,
  parseProject,
  parseStep,
  parseTask,
  Question,
  QuestionKind,
  type Project,
  type Step,
  type Task,
} from "../../src/schema/documents.ts";
import {
  aBuilderReport,
  aCheckResult,
  aDecision,
  anAttempt,
  aProject,
  aQaReport,
  aQuestion,
  aRun,
  aStep,
  aTaskWith,
  minute,
} from "../support/builders.ts";

const origin = { agentId: "main", session: "0123456789abcdef" };

/** Documents with every field that there is. */
const project: Project = aProject({ origin });
const step: Step = aStep({
  rev: 7,
  status: "blocked",
  checks: [{ name: "tests", command: ["npm", "test"], timeoutSeconds: 300 }],
  question: aQuestion(),
  note: "Mind the hyphen.",
  decisions: [aDecision()],
  builder: { status: "reported", sessionKey: "agent:main:subagent:one", runId: "one" },
  qa: { status: "reported", sessionKey: "agent:main:subagent:two", runId: "two" },
  attempts: [
    anAttempt({
      note: "Again.",
      runs: [aRun()],
      builder: aBuilderReport({ question: "Which one?" }),
      checks: [aCheckResult()],
      qa: aQaReport(["c1"]),
      tree: { before: "a", built: "b", judged: "c", changedAfterBuild: ["wc.js"], shared: true },
      late: [{ runId: "zero", role: "builder", at: minute(3), report: "{}" }],
      decisions: [aDecision()],
    }),
  ],
});
const task: Task = aTaskWith([step], {
  origin,
  dependsOn: ["other-00000001"],
  question: aQuestion({ id: "q", kind: "dependency-cancelled" }),
});
const all = { project, task, step } as const;

/** The same value, with the keys of every object in it the other way round. */
function turned<T>(value: T): T {
  // The shape does not change, only the order of keys.
  return reversed(value) as T;
}
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([key, item]) => [key, reversed(item)]),
  );
}

const keysOf = (value: unknown): readonly string[] =>
  typeof value === "object" && value !== null ? Object.keys(value) : [];
const onDisk = <T extends Project | Task | Step>(document: T): T =>
  // Read back as it stands: `formatDocument` wrote it from a T.
  JSON.parse(formatDocument(turned(document))) as T;

describe("project.json", () => {
  it("has these fields in this order, and lists no tasks", { tags: ["s3.project-fields"] }, () => {
    expect(keysOf(onDisk(project))).toEqual([
      "schemaVersion",
      "rev",
      "id",
      "name",
      "spec",
      "repo",
      "origin",
      "createdAt",
      "updatedAt",
    ]);
  });
});

describe("task.json", () => {
  it("has these fields in this order", { tags: ["s3.task-fields", "s3.sums-computed"] }, () => {
    const kept = onDisk(task);
    expect(keysOf(kept)).toEqual([
      "schemaVersion",
      "rev",
      "id",
      "projectId",
      "title",
      "spec",
      "acceptanceCriteria",
      "status",
      "startedAt",
      "pausedAt",
      "cancelledAt",
      "dependsOn",
      "flowId",
      "question",
      "steps",
      "origin",
      "createdAt",
      "updatedAt",
    ]);
    expect(keysOf(kept.acceptanceCriteria[0])).toEqual(["id", "text"]);
  });

  it("says of a step where it is, and not how it is", { tags: ["s3.task-fields", "s3.step-status-once"] }, () => {
    expect(keysOf(onDisk(task).steps[0])).toEqual(["id", "index", "title", "file"]);
  });
});

describe("a step's document", () => {
  it("has these fields in this order", { tags: ["s3.step-fields", "s3.sums-computed"] }, () => {
    const kept = onDisk(step);
    expect(keysOf(kept)).toEqual([
      "schemaVersion",
      "rev",
      "id",
      "taskId",
      "projectId",
      "index",
      "kind",
      "title",
      "goal",
      "passCriteria",
      "dependsOn",
      "checks",
      "status",
      "attempt",
      "maxAttempts",
      "passedBy",
      "question",
      "note",
      "decisions",
      "builder",
      "qa",
      "attempts",
      "createdAt",
      "updatedAt",
    ]);
    expect(keysOf(kept.passCriteria[0])).toEqual(["id", "text"]);
    expect(keysOf(kept.checks[0])).toEqual(["name", "command", "timeoutSeconds"]);
    for (const seat of [kept.builder, kept.qa]) expect(keysOf(seat)).toEqual(["status", "sessionKey", "runId"]);
  });

  it("has an attempt with these fields in this order", { tags: ["s3.step-fields", "s3.sums-computed"] }, () => {
    const attempt = onDisk(step).attempts[0];
    expect(keysOf(attempt)).toEqual([
      "attempt",
      "note",
      "runs",
      "builder",
      "checks",
      "qa",
      "tree",
      "late",
      "decisions",
    ]);
    expect(keysOf(attempt?.runs[0])).toEqual(["runId", "role", "launch", "startedAt", "endedAt", "end", "usage"]);
    expect(keysOf(attempt?.runs[0]?.usage)).toEqual(["inputTokens", "outputTokens", "costUsd"]);
    expect(keysOf(attempt?.builder)).toEqual([
      "runId",
      "outcome",
      "summary",
      "filesChanged",
      "filesDeleted",
      "filesObserved",
      "testsRun",
      "question",
    ]);
    expect(keysOf(attempt?.builder?.testsRun[0])).toEqual(["command", "exitCode"]);
    expect(keysOf(attempt?.checks?.[0])).toEqual([
      "name",
      "program",
      "exitCode",
      "timedOut",
      "durationMs",
      "outputTail",
    ]);
    expect(keysOf(attempt?.qa)).toEqual(["runId", "verdict", "criteria", "feedback"]);
    expect(keysOf(attempt?.qa?.criteria[0])).toEqual(["id", "pass", "evidence"]);
    expect(keysOf(attempt?.tree)).toEqual(["before", "built", "judged", "changedAfterBuild", "shared"]);
    expect(keysOf(attempt?.decisions?.[0])).toEqual(["at", "by", "status", "reason", "question"]);
  });
});

describe("a question", () => {
  it("has these fields in this order", { tags: ["s3.question-fields"] }, () => {
    for (const { question } of [onDisk(step), onDisk(task)])
      expect(keysOf(question)).toEqual(["id", "kind", "text", "choices", "askedAt"]);
    expect(keysOf(Question.properties)).toEqual(["id", "kind", "text", "choices", "askedAt"]);
  });

  it("is of one of these kinds", { tags: ["s3.question-kinds"] }, () => {
    expect(QuestionKind.anyOf.map((one) => one.const)).toEqual([
      "attempts-used",
      "no-progress",
      "runs-lost",
      "builder-asks",
      "held",
      "acceptance-failed",
      "dependency-cancelled",
    ]);
  });
});

describe("a document on disk", () => {
  it.each(Object.keys(all) as (keyof typeof all)[])(
    "(%s) is these very bytes, in whatever order its keys were set",
    { tags: ["s3.format"] },
    async (name) => {
      const text = formatDocument(all[name]);
      expect(formatDocument(turned(all[name]))).toBe(text);
      // A name of its own, so that no formatter changes it.
      await expect(text).toMatchFileSnapshot(`golden/${name}.json.txt`);
    },
  );

  it("reads back as the same document", () => {
    expect(parseProject(formatDocument(project))).toStrictEqual(project);
    expect(parseTask(formatDocument(task))).toStrictEqual(task);
    expect(parseStep(formatDocument(step))).toStrictEqual(step);
  });

  it.each([
    ["has a field too many", (text: string) => text.replace('"rev": 1', '"rev": 1,\n  "mood": "good"'), "at /mood"],
    ["has a field of another type", (text: string) => text.replace('"rev": 1', '"rev": "one"'), "at /rev"],
    ["lacks a field", (text: string) => text.replace('  "rev": 1,\n', ""), "at /rev"],
    ["is no JSON", (text: string) => text.slice(0, 40), "as a whole"],
    ["is something else", () => "[]", "as a whole"],
  ])("that %s is refused, and the refusal names the document and the place", (_what, change, where) => {
    const text = change(formatDocument({ ...step, rev: 1 }));
    expect(() => parseStep(text, "steps/step-01")).toThrow(
      expect.objectContaining({
        code: "journal-damaged",
        message: expect.stringContaining(`The stored document of steps/step-01 is not valid ${where}: `) as unknown,
      }),
    );
    expect(() => parseTask("{}")).toThrow("The stored document of task is not valid");
    expect(() => parseProject("{}")).toThrow("The stored document of project is not valid");
  });
});

describe("a text that was parsed before", () => {
  it("is the same document for everybody, as long as it is the same text", () => {
    const text = formatDocument(step);
    expect(parseStep(text)).toBe(parseStep(text));
    expect(parseTask(formatDocument(task))).toBe(parseTask(formatDocument(task)));
    expect(parseProject(formatDocument(project))).toBe(parseProject(formatDocument(project)));
    expect(parseStep(formatDocument({ ...step, rev: step.rev + 1 }))).not.toBe(parseStep(text));
  });

  it("is the document that it was made of, when that was said", () => {
    const [changedStep, changedTask] = [
      { ...step, rev: 41 },
      { ...task, rev: 41 },
    ];
    rememberDocument(formatDocument(changedStep), changedStep);
    rememberDocument(formatDocument(changedTask), changedTask);
    expect(parseStep(formatDocument(changedStep))).toBe(changedStep);
    expect(parseTask(formatDocument(changedTask))).toBe(changedTask);
  });

  it("is parsed anew when much else was read meanwhile", () => {
    const text = formatDocument(step);
    const first = parseStep(text);
    const goal = "x".repeat(1024 * 1024);
    for (let rev = 1; rev <= 20; rev += 1) parseStep(formatDocument({ ...step, goal, rev }));
    expect(parseStep(text)).not.toBe(first);
    expect(parseStep(text)).toStrictEqual(first);
  });

  it("is refused every time when it is no document", () => {
    for (let time = 0; time < 2; time += 1) expect(() => parseStep("{}", "steps/step-01")).toThrow("steps/step-01");
  });
});

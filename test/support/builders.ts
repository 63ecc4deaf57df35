/**
 * Builders of stored documents for tests: each answers a plain, valid value, and the fields given replace its own. They
 * do not keep documents consistent with each other; for states that can be reached use `histories.ts`.
 */
import type {
  Attempt,
  BuilderReport,
  CheckResult,
  Decision,
  Project,
  QaReport,
  Question,
  Run,
  Step,
  StepStatus,
  Task,
} from "../../src/schema/documents.ts";
import { formatDocument } from "../../src/schema/documents.ts";

const createdAt = "2026-03-01T09:00:00.000Z";

/** The moment so many minutes after the documents were created. */
export function minute(minutes: number): string {
  return new Date(Date.parse(createdAt) + minutes * 60_000).toISOString();
}

export function aProject(fields: Partial<Project> = {}): Project {
  return {
    schemaVersion: 1,
    rev: 1,
    id: "word-count",
    name: "Word count",
    spec: "A small command line program that counts words.\nIt has no dependencies.",
    repo: "/home/ada/work/projects/word-count/repo",
    createdAt,
    updatedAt: createdAt,
    ...fields,
  };
}

/** A running task without steps of its own; give `aTaskWith` steps to have them listed. */
export function aTask(fields: Partial<Task> = {}): Task {
  return {
    schemaVersion: 1,
    rev: 1,
    id: "count-words-1a2b3c4d",
    projectId: "word-count",
    title: "Count words in files",
    spec: "`wc.js FILE` prints the number of words in FILE.\n\nWords are separated by white space.",
    acceptanceCriteria: [
      { id: "a1", text: "`node wc.js sample.txt` prints 5." },
      { id: "a2", text: "A missing file is reported without a stack trace." },
    ],
    status: "running",
    startedAt: minute(5),
    pausedAt: null,
    cancelledAt: null,
    dependsOn: [],
    flowId: "flow-1",
    question: null,
    steps: [],
    createdAt,
    updatedAt: minute(5),
    ...fields,
  };
}

/** A task that lists the steps. */
export function aTaskWith(steps: readonly Step[], fields: Partial<Task> = {}): Task {
  return aTask({
    steps: steps.map(({ id, index, title }) => ({ id, index, title, file: `steps/${id}.json` })),
    ...fields,
  });
}

/** A queued work step. A `passed` one is passed by QA unless `passedBy` says otherwise. */
export function aStep(fields: Partial<Step> = {}): Step {
  const status: StepStatus = fields.status ?? "queued";
  return {
    schemaVersion: 1,
    rev: 1,
    id: "step-01",
    taskId: "count-words-1a2b3c4d",
    projectId: "word-count",
    index: 1,
    kind: "work",
    title: "Count the words",
    goal: "Write `wc.js`, which prints the number of words in a file.",
    passCriteria: [
      { id: "c1", text: "`node wc.js sample.txt` prints 5." },
      { id: "c2", text: "An empty file has 0 words." },
    ],
    dependsOn: [],
    checks: [],
    attempt: fields.attempts?.length ?? 0,
    maxAttempts: 3,
    passedBy: status === "passed" ? "qa" : null,
    question: null,
    builder: { status: "idle", sessionKey: null, runId: null },
    qa: { status: "idle", sessionKey: null, runId: null },
    attempts: [],
    createdAt,
    updatedAt: createdAt,
    ...fields,
    status,
  };
}

/** The closing review of a task, over the given steps. */
export function aReview(steps: readonly Step[], fields: Partial<Step> = {}): Step {
  return aStep({
    id: "acceptance",
    index: steps.length + 1,
    kind: "review",
    title: "Acceptance review",
    goal: "Judge every acceptance criterion of the task on the whole tree.",
    passCriteria: aTask().acceptanceCriteria,
    dependsOn: steps.map((step) => step.id),
    ...fields,
  });
}

export function anAttempt(fields: Partial<Attempt> = {}): Attempt {
  return { attempt: 1, runs: [], tree: { before: "tree-0", built: null, judged: null }, late: [], ...fields };
}

/** A builder's run that reported after ten minutes. */
export function aRun(fields: Partial<Run> = {}): Run {
  return {
    runId: "count-words-1a2b3c4d/step-01/1/builder/1",
    role: "builder",
    launch: 1,
    startedAt: minute(5),
    endedAt: minute(15),
    end: "reported",
    usage: { inputTokens: 12_345, outputTokens: 678, costUsd: 0.0421 },
    ...fields,
  };
}

export function aBuilderReport(fields: Partial<BuilderReport> = {}): BuilderReport {
  return {
    runId: "count-words-1a2b3c4d/step-01/1/builder/1",
    outcome: "done",
    summary: "Wrote wc.js and a test for it. Both cases print the right number.",
    filesChanged: ["wc.js", "wc.test.js"],
    filesDeleted: [],
    filesObserved: ["wc.js", "wc.test.js"],
    testsRun: [{ command: "node --test", exitCode: 0 }],
    ...fields,
  };
}

export function aCheckResult(fields: Partial<CheckResult> = {}): CheckResult {
  return {
    name: "tests",
    program: "/usr/bin/node",
    exitCode: 0,
    timedOut: false,
    durationMs: 812,
    outputTail: "# pass 2\n# fail 0\n",
    ...fields,
  };
}

/** QA's report on a step with two criteria; `failed` names the criteria that are not met. */
export function aQaReport(failed: readonly string[] = [], fields: Partial<QaReport> = {}): QaReport {
  return {
    runId: "count-words-1a2b3c4d/step-01/1/qa/1",
    verdict: failed.length === 0 ? "pass" : "fail",
    criteria: ["c1", "c2"].map((id) => ({
      id,
      pass: !failed.includes(id),
      evidence: failed.includes(id) ? `Ran it for ${id}: it printed NaN.` : `Ran it for ${id}: as wanted.`,
    })),
    feedback: failed.length === 0 ? "" : "The empty file is not handled: `''.split(/\\s+/)` has one element.",
    ...fields,
  };
}

export function aQuestion(fields: Partial<Question> = {}): Question {
  return {
    id: "step-01-q7",
    kind: "builder-asks",
    text: "Shall a hyphenated word count as one?",
    choices: ["retry with a note", "skip", "cancel the task"],
    askedAt: minute(20),
    ...fields,
  };
}

export function aDecision(fields: Partial<Decision> = {}): Decision {
  return {
    at: minute(40),
    by: "person",
    status: "queued",
    reason: "One word, please.",
    question: "builder-asks",
    ...fields,
  };
}

/** The stored texts of a task and its steps, by document name. */
export function documentsOf(task: Task, steps: readonly Step[]): Readonly<Record<string, string>> {
  return {
    task: formatDocument(task),
    ...Object.fromEntries(steps.map((step) => [`steps/${step.id}`, formatDocument(step)])),
  };
}

/** The states that the golden pages, briefs and notices show. */
import type { Step, Task } from "../../src/schema/documents.ts";
import {
  aBuilderReport,
  aCheckResult,
  aDecision,
  anAttempt,
  aQaReport,
  aQuestion,
  aReview,
  aRun,
  aStep,
  aTaskWith,
  minute,
} from "../support/builders.ts";

export type State = { readonly task: Task; readonly steps: readonly Step[] };

const runId = (stepId: string, attempt: number, role: string, launch = 1) =>
  `count-words-1a2b3c4d/${stepId}/${attempt}/${role}/${launch}`;
const check = { name: "tests", command: ["node", "--test", "wc test.js"], timeoutSeconds: 60 };

const firstPassed = aStep({
  status: "passed",
  checks: [check],
  attempts: [
    anAttempt({
      runs: [
        aRun({ end: "lost", endedAt: minute(9), usage: null }),
        aRun({ runId: runId("step-01", 1, "builder", 2), launch: 2, startedAt: minute(9), endedAt: minute(15) }),
      ],
      builder: aBuilderReport(),
      checks: [
        aCheckResult({
          exitCode: 1,
          outputTail: "\u001b[31mnot ok 2\u001b[39m - an empty file\n  expected: 0\n  actual: 1\n# fail 1\n",
        }),
      ],
      tree: { before: "tree-0", built: "tree-1", judged: null },
    }),
    anAttempt({
      attempt: 2,
      runs: [
        aRun({ runId: runId("step-01", 2, "builder"), startedAt: minute(16), endedAt: minute(20) }),
        aRun({
          runId: runId("step-01", 2, "qa"),
          role: "qa",
          startedAt: minute(21),
          endedAt: minute(24),
          usage: { inputTokens: 4_000, outputTokens: 300, costUsd: 0.9 },
        }),
      ],
      builder: aBuilderReport({
        summary: "An empty file has 0 words now.",
        filesChanged: ["wc.js"],
        filesObserved: ["wc.js"],
      }),
      checks: [aCheckResult()],
      qa: aQaReport(),
      tree: { before: "tree-1", built: "tree-2", judged: "tree-2" },
      late: [
        {
          runId: runId("step-01", 1, "builder"),
          role: "builder",
          at: minute(17),
          report: '{"outcome":"done","summary":"I finished after all."}',
        },
      ],
    }),
  ],
});

/** A first attempt that QA sent back, with more in it than a real one has. */
const secondFailedOnce = anAttempt({
  note: "Exit codes matter to me.",
  runs: [
    aRun({ runId: runId("step-02", 1, "builder"), startedAt: minute(25), endedAt: minute(31) }),
    aRun({ runId: runId("step-02", 1, "qa"), role: "qa", startedAt: minute(32), endedAt: minute(35) }),
  ],
  builder: aBuilderReport({
    summary: "Missing files are reported.\n\n- exit code 2\n- no stack trace",
    filesChanged: ["wc.js", "README.md"],
    filesDeleted: ["old|name.js"],
    filesObserved: ["wc.js", "package.json"],
    testsRun: [{ command: "node wc.js missing.txt | cat", exitCode: 2 }],
  }),
  checks: [aCheckResult({ durationMs: 65_000 })],
  qa: aQaReport(["c2"]),
  tree: {
    before: "tree-2",
    built: "tree-3",
    judged: "tree-4",
    changedAfterBuild: ["coverage/index.html"],
    shared: true,
  },
});

const second = aStep({
  id: "step-02",
  index: 2,
  title: "Report a missing file",
  goal: "A missing file is reported in one line, with exit code 2.",
  dependsOn: ["step-01"],
  checks: [check],
});
const third = aStep({ id: "step-03", index: 3, title: "Write the README", dependsOn: ["step-01"] });

const withReview = (steps: readonly Step[], fields: Partial<Step> = {}): readonly Step[] => [
  ...steps,
  aReview(steps, fields),
];
const state = (steps: readonly Step[], fields: Partial<Task> = {}): State => ({
  task: aTaskWith(steps, fields),
  steps,
});

const secondBuilding: Step = {
  ...second,
  status: "building",
  attempt: 2,
  builder: { status: "running", sessionKey: "agent:main:subagent:x", runId: runId("step-02", 2, "builder") },
  attempts: [
    secondFailedOnce,
    anAttempt({
      attempt: 2,
      runs: [
        aRun({ runId: runId("step-02", 2, "builder"), startedAt: minute(36), endedAt: null, end: null, usage: null }),
      ],
    }),
  ],
};

const secondPassed: Step = {
  ...secondBuilding,
  status: "passed",
  passedBy: "qa",
  attempts: [
    secondFailedOnce,
    anAttempt({
      attempt: 2,
      runs: [
        aRun({ runId: runId("step-02", 2, "builder"), startedAt: minute(36), endedAt: minute(40) }),
        aRun({ runId: runId("step-02", 2, "qa"), role: "qa", startedAt: minute(41), endedAt: minute(43) }),
      ],
      builder: aBuilderReport({
        summary: "Exit code 2 and one line.",
        filesChanged: ["wc.js"],
        filesObserved: ["wc.js"],
      }),
      checks: [aCheckResult()],
      qa: aQaReport(),
    }),
  ],
};

const thirdAsks: Step = {
  ...third,
  status: "blocked",
  attempt: 1,
  question: aQuestion({ id: "step-03-q4" }),
  attempts: [
    anAttempt({
      runs: [aRun({ runId: runId("step-03", 1, "builder"), startedAt: minute(44), endedAt: minute(46) })],
      builder: aBuilderReport({
        outcome: "blocked",
        summary: "The spec does not say what a word is.",
        filesChanged: [],
        filesObserved: [],
        testsRun: [],
      }),
    }),
  ],
};

const thirdAccepted: Step = {
  ...third,
  status: "passed",
  passedBy: "person",
  attempt: 3,
  attempts: [
    anAttempt({
      attempt: 3,
      runs: [aRun({ runId: runId("step-03", 3, "builder"), startedAt: minute(50), endedAt: minute(55) })],
      builder: aBuilderReport({ filesObserved: null }),
      qa: aQaReport(["c1"]),
      decisions: [
        aDecision({
          at: minute(60),
          status: "passed",
          reason: "Good enough for now.\nI mend the wording myself.",
          question: "attempts-used",
          asked: "Step step-03 did not pass in 3 attempts; the last one failed: c1.",
        }),
      ],
    }),
  ],
};

const judged = (failed: readonly string[]) => ({
  runId: runId("acceptance", 1, "qa"),
  verdict: failed.length === 0 ? ("pass" as const) : ("fail" as const),
  criteria: ["a1", "a2"].map((id) => ({
    id,
    pass: !failed.includes(id),
    evidence: `Ran the whole program for ${id}.`,
  })),
  feedback: failed.length === 0 ? "" : "A missing file still prints a stack trace when two files are given.",
});
const reviewRun = aRun({ runId: runId("acceptance", 1, "qa"), role: "qa", startedAt: minute(61), endedAt: minute(66) });

const bothPassed = [firstPassed, secondPassed];

/** Each representative state, by the name of its golden file. */
export const states = {
  draft: state(withReview([aStep(), second, third]), { status: "draft", startedAt: null }),
  running: state(withReview([firstPassed, secondBuilding, third])),
  blocked: state(withReview([...bothPassed, thirdAsks]), { status: "blocked" }),
  done: state(
    withReview(bothPassed, {
      status: "passed",
      attempt: 1,
      attempts: [anAttempt({ runs: [reviewRun], qa: judged([]) })],
    }),
    {
      status: "done",
      updatedAt: minute(66),
    },
  ),
  skipped: state(
    withReview([
      firstPassed,
      {
        ...second,
        status: "skipped",
        decisions: [aDecision({ at: minute(26), status: "skipped", reason: "Not | needed.\nReally.", question: null })],
      },
      third,
    ]),
  ),
  cancelled: state(
    withReview([firstPassed, { ...secondBuilding, status: "cancelled" }, { ...third, status: "cancelled" }], {
      status: "cancelled",
    }),
    {
      status: "cancelled",
      cancelledAt: minute(38),
    },
  ),
  "accepted-by-person": state(
    withReview([...bothPassed, thirdAccepted], {
      status: "reviewing",
      attempt: 1,
      attempts: [anAttempt({ runs: [{ ...reviewRun, endedAt: null, end: null, usage: null }] })],
    }),
  ),
  "review-failed": state(
    withReview(bothPassed, {
      status: "blocked",
      attempt: 1,
      question: aQuestion({
        id: "acceptance-q3",
        kind: "acceptance-failed",
        text: "The acceptance review failed: a2.",
        choices: ["add a step", "judge again with a note", "accept with a reason", "cancel the task"],
      }),
      attempts: [anAttempt({ runs: [reviewRun], qa: judged(["a2"]) })],
    }),
    { status: "blocked" },
  ),
  waiting: state([aStep()], { status: "waiting", dependsOn: ["lay-the-ground-0f0f0f0f"] }),
  "dependency-cancelled": state([aStep()], {
    status: "waiting",
    dependsOn: ["lay-the-ground-0f0f0f0f"],
    question: aQuestion({
      id: "task-q2",
      kind: "dependency-cancelled",
      text: "Task lay-the-ground-0f0f0f0f, which this task waits for, was cancelled.",
      choices: ["go on without it", "cancel the task"],
    }),
  }),
  "dependency-left-out": state([aStep()], {
    decisions: [
      aDecision({
        status: "running",
        reason: "It works without.",
        question: "dependency-cancelled",
        asked: "Task lay-the-ground-0f0f0f0f, which this one waits for, was cancelled.",
      }),
    ],
  }),
  paused: state(withReview([firstPassed, secondBuilding, thirdAsks]), { status: "paused", pausedAt: minute(37) }),
} satisfies Record<string, State>;

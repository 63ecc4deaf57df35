import { describe, expect, it } from "vitest";
import { renderNotice, renderTrouble } from "../../src/render/notices.ts";
import type { Notice } from "../../src/schema/effects.ts";
import type { Step } from "../../src/schema/documents.ts";
import { aProject, aQuestion, aStep } from "../support/builders.ts";
import { hostileText, withHostileTexts } from "../support/hostile.ts";
import { unseenCharacters } from "../support/markdown.ts";
import { fc } from "../support/properties.ts";
import { states, type State } from "./states.ts";

const taskPage = "/home/ada/work/projects/word-count/tasks/count-words-1a2b3c4d/task.md";
const tell = ({ task, steps }: State, notice: Notice) =>
  renderNotice({ project: aProject(), task, steps, notice, taskPage });

const notices: readonly (readonly [string, State, Notice])[] = [
  ["step-passed", states.done, { kind: "step-passed", stepId: "step-01", by: "qa" }],
  ["step-accepted", states["accepted-by-person"], { kind: "step-passed", stepId: "step-03", by: "person" }],
  [
    "sent-back-by-qa",
    states.running,
    { kind: "step-sent-back", stepId: "step-02", attempt: 1, failedChecks: [], failedCriteria: ["c2", "c1"] },
  ],
  [
    "sent-back-by-checks",
    states.running,
    {
      kind: "step-sent-back",
      stepId: "step-01",
      attempt: 1,
      failedChecks: ["tests", "lint", "types", "format"],
      failedCriteria: [],
    },
  ],
  ["question-of-a-step", states.blocked, { kind: "question", stepId: "step-03", question: aQuestion() }],
  [
    "question-of-the-review",
    states["review-failed"],
    { kind: "question", stepId: "acceptance", question: states["review-failed"].steps[2]?.question ?? aQuestion() },
  ],
  [
    "question-of-a-task",
    states["dependency-cancelled"],
    { kind: "question", stepId: null, question: states["dependency-cancelled"].task.question ?? aQuestion() },
  ],
  ["task-done", states.done, { kind: "task-done" }],
  ["task-cancelled", states.cancelled, { kind: "task-cancelled" }],
];

describe("what the person hears", () => {
  it(
    "of each kind",
    { tags: ["s7.told-passed", "s7.told-sent-back", "s7.told-question", "s7.told-done"] },
    async () => {
      const text = notices.map(([name, state, notice]) => `== ${name}\n${tell(state, notice)}\n`).join("\n");
      await expect(text).toMatchFileSnapshot("golden/notices.txt");
    },
  );

  it("of a task that is done quotes no work of a step that was skipped", () => {
    const [first, second, review] = states.done.steps;
    const said = (steps: readonly (Step | undefined)[]) =>
      tell({ ...states.done, steps: steps.filter((step) => step !== undefined) }, { kind: "task-done" });
    const skipped: Step = { ...aStep(), ...second, status: "skipped", passedBy: null };
    expect(said([first, skipped, review])).toContain("Summary of the last step that was built and passed, step-01: ");
    expect(said([first, skipped, review])).not.toContain("Exit code 2 and one line.");
    expect(said([skipped, review])).not.toContain("Summary of");
  });

  it("of a task that a person has to mend, with what helps", async () => {
    const told = (["journal-damaged", "state-rolled-back"] as const).map((code) =>
      renderTrouble({ taskId: "count-words-1a2b3c4d", code, reason: "Line 3 is not right.", taskPage }),
    );
    await expect(`${told.join("\n\n")}\n`).toMatchFileSnapshot("golden/troubles.txt");
  });

  it("is the same for the same state", () => {
    for (const [, state, notice] of notices) expect(tell(structuredClone(state), notice)).toBe(tell(state, notice));
  });

  it("is still said when the step is not known", () => {
    expect(tell(states.draft, { kind: "step-passed", stepId: "step-99", by: "qa" })).toContain("Step step-99 of task");
  });

  it("names for each answer its tool, and never a call with its arguments", { tags: ["s7.told-question"] }, () => {
    for (const [, state, notice] of notices) expect(tell(state, notice)).not.toMatch(/taskId|stepId|[{}]|cancelled`/);
  });
});

describe("text of people and agents in the chat", () => {
  it(
    "stands only inside of marked quotations, in the same lines, however it is written",
    { tags: ["s5.quoted-in-chat", "s5.quotation-escaped"] },
    () => {
      const shape = (text: string) =>
        text.replace(/\[quotation, not an instruction: "(?:[^"\\[\]`]|\\.)*"(?: \(cut\))?\]/g, "[…]");
      fc.assert(
        fc.property(hostileText, (hostile) => {
          for (const [, state, notice] of notices) {
            const said = tell(withHostileTexts(state, hostile), withNames(withHostileTexts(notice, hostile), hostile));
            expect(shape(said)).toBe(
              shape(tell(withHostileTexts(state, "calm"), withNames(withHostileTexts(notice, "calm"), "calm"))),
            );
            expect(said).not.toMatch(unseenCharacters);
          }
        }),
        { numRuns: 200 },
      );
    },
  );

  it("is short even when it is long", () => {
    for (const [, state, notice] of notices) {
      const long = "\u0000".repeat(100_000);
      expect(tell(withHostileTexts(state, long), withNames(withHostileTexts(notice, long), long)).length).toBeLessThan(
        3_500,
      );
    }
  });
});

function withNames(notice: Notice, hostile: string): Notice {
  return notice.kind === "step-sent-back"
    ? { ...notice, failedChecks: notice.failedChecks.map((name) => `${hostile}${name}`) }
    : notice;
}

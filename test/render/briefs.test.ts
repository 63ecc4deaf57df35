import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { briefBytes, renderBuilderBrief, renderQaBrief, type BriefInput } from "../../src/render/briefs.ts";
import type { Attempt, Step } from "../../src/schema/documents.ts";
import {
  aBuilderReport,
  aCheckResult,
  anAttempt,
  aProject,
  aQaReport,
  aRun,
  aStep,
  aTaskWith,
} from "../support/builders.ts";
import { hostileText, withHostileTexts } from "../support/hostile.ts";
import { linesOutside, skeletonOf, unseenCharacters } from "../support/markdown.ts";
import { states, type State } from "./states.ts";

const folder = "/home/ada/work/projects/word-count";
const taskFolder = `${folder}/tasks/count-words-1a2b3c4d`;

function inputOf({ task, steps }: State, stepId: string, fields: Partial<BriefInput> = {}): BriefInput {
  const step = steps.find((one) => one.id === stepId) ?? aStep();
  return {
    project: aProject(),
    task,
    steps,
    step,
    attempt: step.attempt,
    repo: `${folder}/repo`,
    paths: {
      projectPage: `${folder}/project.md`,
      taskPage: `${taskFolder}/task.md`,
      stepPage: `${taskFolder}/steps/${stepId}.md`,
    },
    ...fields,
  };
}

/** A brief for a step alone, in its attempt. */
function inputFor(step: Step, fields: Partial<BriefInput> = {}): BriefInput {
  return inputOf({ task: aTaskWith([step]), steps: [step] }, step.id, fields);
}

const secondAttemptAfter = (first: Attempt, fields: Partial<Step> = {}): Step =>
  aStep({ status: "building", attempts: [first, anAttempt({ attempt: 2 })], ...fields });

const mib = (letter: string) => letter.repeat(1024 * 1024);

describe("the builder's brief", () => {
  it("for a first attempt", async () => {
    await expect(
      renderBuilderBrief(inputFor(aStep({ status: "building", attempts: [anAttempt()] }))),
    ).toMatchFileSnapshot("golden/builder-first.brief.md");
  });

  it("for an attempt after findings, behind another step", async () => {
    await expect(renderBuilderBrief(inputOf(states.running, "step-02"))).toMatchFileSnapshot(
      "golden/builder-again.brief.md",
    );
  });

  it("after a failed check, with a person's note", async () => {
    const [first, second] = states.running.steps[0]?.attempts ?? [];
    const attempts = [
      first ?? anAttempt(),
      { ...(second ?? anAttempt()), note: "Use no dependency.", runs: [aRun({ end: "gateway" })] },
    ];
    await expect(
      renderBuilderBrief(inputFor({ ...aStep(), ...states.running.steps[0], attempts })),
    ).toMatchFileSnapshot("golden/builder-noted.brief.md");
  });

  it("holds every finding of every earlier attempt word for word", () => {
    const attempts = [1, 2, 3].map((attempt) =>
      anAttempt({
        attempt,
        checks: [aCheckResult({ exitCode: 3, outputTail: `output ${attempt}\n\tindented` })],
        qa: aQaReport(["c1", "c2"], {
          criteria: [
            { id: "c1", pass: false, evidence: `first evidence ${attempt}` },
            { id: "c2", pass: false, evidence: `second\nevidence ${attempt}` },
          ],
          feedback: `feedback ${attempt}`,
        }),
      }),
    );
    const brief = renderBuilderBrief(
      inputFor(aStep({ status: "building", attempts: [...attempts, anAttempt({ attempt: 4 })], maxAttempts: 6 })),
    );
    for (const attempt of [1, 2, 3])
      for (const words of [
        `output ${attempt}\n\tindented`,
        `first evidence ${attempt}`,
        `second\nevidence ${attempt}`,
        `feedback ${attempt}`,
      ])
        expect(brief).toContain(words);
  });

  it("puts a person's note first, wherever it is kept", () => {
    for (const step of [
      aStep({ status: "building", attempts: [anAttempt({ note: "Mind the gap." })] }),
      aStep({ status: "building", attempts: [anAttempt()], note: "Mind the gap." }),
    ]) {
      const brief = renderBuilderBrief(inputFor(step));
      expect(brief.indexOf("Mind the gap.")).toBeLessThan(brief.indexOf("## Rules"));
    }
  });

  it("says when an earlier run of the attempt was lost", () => {
    const runs = [aRun({ end: "lost" }), aRun({ launch: 2, end: null, endedAt: null })];
    expect(renderBuilderBrief(inputFor(aStep({ status: "building", attempts: [anAttempt({ runs })] })))).toContain(
      "ended without a report. Some of its work",
    );
    expect(
      renderBuilderBrief(inputFor(aStep({ status: "building", attempts: [anAttempt({ runs: runs.slice(1) })] }))),
    ).not.toContain("Some of its work");
  });
});

describe("QA's brief", () => {
  const judging = (fields: Partial<Attempt>) =>
    aStep({ status: "reviewing", attempts: [anAttempt({ builder: aBuilderReport(), ...fields })] });

  it("for a step", async () => {
    await expect(renderQaBrief(inputFor(judging({ checks: [aCheckResult()] })))).toMatchFileSnapshot(
      "golden/qa-step.brief.md",
    );
  });

  it("for the closing review", async () => {
    await expect(renderQaBrief(inputOf(states["accepted-by-person"], "acceptance"))).toMatchFileSnapshot(
      "golden/qa-review.brief.md",
    );
  });

  it("takes what was observed from the caller when that is given", () => {
    expect(renderQaBrief(inputFor(judging({}), { filesObserved: ["other.js"] }))).toContain(
      "look at these first:\n\n```text\nother.js\n```",
    );
    expect(renderQaBrief(inputFor(judging({}), { filesObserved: [] }))).toContain("No file changed in the tree");
    expect(renderQaBrief(inputFor(judging({ builder: aBuilderReport({ filesObserved: null }) })))).toContain(
      "Which files changed is not known",
    );
  });

  it("names every criterion that is to be judged", () => {
    const passCriteria = Array.from({ length: 50 }, (_, at) => ({ id: `c${at + 1}`, text: `It holds ${at + 1}.` }));
    const brief = renderQaBrief(inputFor({ ...judging({}), passCriteria }));
    expect(brief).toContain(passCriteria.map((one) => one.id).join(", "));
    for (const one of passCriteria) expect(brief).toContain(one.text);
  });
});

describe("a brief that would be too long", () => {
  const finding = "f".repeat(2_000);
  const first = anAttempt({ builder: aBuilderReport(), qa: aQaReport(["c1"], { feedback: finding }) });

  it("shortens the specs first and says so with the page that has the whole", () => {
    const step = secondAttemptAfter(first);
    const input = inputFor(step, {
      project: aProject({ spec: mib("p") }),
      task: { ...aTaskWith([step]), spec: mib("t") },
    });
    const brief = renderBuilderBrief(input);
    expect(Buffer.byteLength(brief)).toBeLessThanOrEqual(briefBytes);
    expect(Buffer.byteLength(brief)).toBeGreaterThan(briefBytes - 2_000);
    expect(brief).toContain(finding);
    expect(brief).toMatch(/\(cut: the first [\d,]+ of 1,048,576 bytes\)/);
    expect(brief).toContain('where it says "cut" or "left out"');
    for (const page of Object.values(input.paths)) expect(brief).toContain(page);
  });

  it("says nothing of a cut when nothing was cut", () => {
    expect(renderBuilderBrief(inputFor(secondAttemptAfter(first)))).not.toContain("was cut to keep");
  });

  it("keeps the end of a check's output, where the error is", () => {
    const checks = Array.from({ length: 20 }, (_, at) =>
      aCheckResult({ name: `check ${at}`, exitCode: 1, outputTail: `${"o".repeat(8_000)}THE ERROR ${at}.` }),
    );
    const brief = renderBuilderBrief(inputFor(secondAttemptAfter(anAttempt({ checks }))));
    for (let at = 0; at < 20; at += 1) expect(brief).toContain(`THE ERROR ${at}.`);
    expect(brief).toMatch(/\(cut: the last [\d,]+ of 8,\d\d\d bytes\)/);
  });

  it("never cuts a finding while a spec is longer than its least", () => {
    const length = fc.integer({ min: 0, max: 40_000 });
    fc.assert(
      fc.property(length, length, length, (evidence, feedback, spec) => {
        const qa = aQaReport(["c1"], {
          criteria: [{ id: "c1", pass: false, evidence: "e".repeat(evidence) }],
          feedback: `${"b".repeat(feedback)}.`,
        });
        const step = secondAttemptAfter(anAttempt({ qa }));
        const brief = renderBuilderBrief(
          inputFor(step, {
            project: aProject({ spec: "p".repeat(spec) }),
            task: { ...aTaskWith([step]), spec: "t".repeat(spec) },
          }),
        );
        expect(Buffer.byteLength(brief)).toBeLessThanOrEqual(briefBytes);
        const whole = brief.includes("e".repeat(evidence)) && brief.includes("b".repeat(feedback));
        const longestSpec = Math.max(...[...brief.matchAll(/^(?:p+|t+)$/gm)].map((match) => match[0].length), 0);
        expect(whole || longestSpec <= 1_500).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  it("stays bounded for the greatest documents that there can be", () => {
    const kib = (size: number) => "`".repeat(512) + "\u202e".repeat(size * 128);
    const passCriteria = Array.from({ length: 100 }, (_, at) => ({ id: `c${at + 1}`, text: kib(2) }));
    const attempts = Array.from({ length: 60 }, (_, at) =>
      anAttempt({
        attempt: at + 1,
        note: kib(8),
        builder: aBuilderReport({
          summary: kib(8),
          filesChanged: Array.from({ length: 2_000 }, (_, file) => `${file}${kib(1)}`),
          filesObserved: Array.from({ length: 2_000 }, (_, file) => `${file}`),
          testsRun: Array.from({ length: 100 }, () => ({ command: kib(4), exitCode: 1 })),
        }),
        checks: Array.from({ length: 20 }, () => aCheckResult({ name: kib(1), exitCode: 1, outputTail: kib(8) })),
        qa: aQaReport([], {
          criteria: passCriteria.map(({ id }) => ({ id, pass: false, evidence: kib(2) })),
          feedback: kib(8),
        }),
      }),
    );
    const others = Array.from({ length: 2_000 }, (_, at) =>
      aStep({
        id: `step-${at}`,
        index: at + 2,
        title: "t".repeat(200),
        status: "passed",
        attempts: attempts.slice(0, 1),
      }),
    );
    const checks = Array.from({ length: 20 }, () => ({
      name: kib(1),
      command: Array.from({ length: 64 }, () => kib(4)),
      timeoutSeconds: 1,
    }));
    const step = aStep({ id: "step-x", passCriteria, attempts, checks, goal: kib(16), status: "building" });
    const steps = [step, ...others];
    const task = aTaskWith(steps, { acceptanceCriteria: passCriteria, spec: mib("`") });
    const input = inputOf({ task, steps }, "step-x", { project: aProject({ spec: mib("\u0000") }) });
    for (const brief of [
      renderBuilderBrief(input),
      renderQaBrief(input),
      renderQaBrief({ ...input, step: { ...step, kind: "review" } }),
    ]) {
      expect(Buffer.byteLength(brief)).toBeLessThanOrEqual(briefBytes);
      expect(brief.match(/^(`{3,})text$/gm)?.length).toBeGreaterThan(100);
    }
  });
});

describe("text of people and agents in a brief", () => {
  const places = [
    ["step-02", states.running],
    ["acceptance", states["accepted-by-person"]],
    ["step-03", states["accepted-by-person"]],
  ] as const;
  const briefsOf = (hostile: string) =>
    places.flatMap(([stepId, state]) => {
      const input = withHostileTexts(inputOf(state, stepId, { project: aProject() }), hostile);
      return [renderBuilderBrief(input), renderQaBrief(input)];
    });
  const calm = briefsOf("calm");

  it("never gets out of its block, nor changes the structure of the brief", () => {
    fc.assert(
      fc.property(hostileText, (hostile) => {
        for (const [at, brief] of briefsOf(hostile).entries()) {
          expect(skeletonOf(brief)).toStrictEqual(skeletonOf(calm[at] ?? ""));
          expect(linesOutside(brief)).toHaveLength(linesOutside(calm[at] ?? "").length);
          expect(linesOutside(brief).some((line) => line === "# INJECTED" || line === "INJECTED")).toBe(false);
          expect(brief).not.toMatch(unseenCharacters);
          expect(brief.isWellFormed()).toBe(true);
        }
      }),
      { numRuns: 60 },
    );
  });

  it("may be a whole brief itself", () => {
    const nested = renderBuilderBrief(inputOf(states.running, "step-02"));
    const step = secondAttemptAfter(anAttempt({ qa: aQaReport(["c1"], { feedback: nested }) }));
    const brief = renderBuilderBrief(inputFor(step));
    expect(brief).toContain(nested);
    expect(linesOutside(brief).filter((line) => line === "## Rules")).toHaveLength(1);
    expect(skeletonOf(brief).filter((part) => part === "heading 1")).toHaveLength(1);
  });

  it("gives the same bytes twice", () => {
    expect(briefsOf("same")).toStrictEqual(briefsOf("same"));
  });
});

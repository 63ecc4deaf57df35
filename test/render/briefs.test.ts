import { bounds } from "../../src/schema/bounds.ts";
import { describe, expect, it } from "vitest";
import { briefBytes, renderBuilderBrief, renderQaBrief, type BriefInput } from "../../src/render/briefs.ts";
import { fence } from "../../src/render/quote.ts";
import type { Attempt, BuilderReport, CheckResult, Decision, Step } from "../../src/schema/documents.ts";
import {
  aBuilderReport,
  aCheckResult,
  anAttempt,
  aProject,
  aQaReport,
  aReview,
  aRun,
  aStep,
  aTaskWith,
} from "../support/builders.ts";
import { hostileText, withHostileTexts } from "../support/hostile.ts";
import { linesOutside, skeletonOf, unseenCharacters } from "../support/markdown.ts";
import { fc } from "../support/properties.ts";
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

/** What put a step back with these words. */
const aNote = (by: Decision["by"], reason: string): Decision => ({
  at: "2026-11-21T04:00:00.000Z",
  by,
  status: "queued",
  reason,
  question: null,
});

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
      { ...(first ?? anAttempt()), decisions: [aNote("person", "Use no dependency.")] },
      { ...(second ?? anAttempt()), note: "Use no dependency.", runs: [aRun({ end: "gateway" })] },
    ];
    await expect(
      renderBuilderBrief(inputFor({ ...aStep(), ...states.running.steps[0], attempts })),
    ).toMatchFileSnapshot("golden/builder-noted.brief.md");
  });

  it(
    "has the specs, the step with its criteria and checks, what was delivered, the place and how to report",
    {
      tags: ["s7.builder-brief-specs", "s7.builder-brief-step", "s7.builder-brief-delivered", "s7.builder-brief-place"],
    },
    () => {
      const checks = [{ name: "tests", command: ["npm", "test", "a b"], timeoutSeconds: 77 }];
      const step = aStep({ id: "step-02", index: 2, status: "building", checks, attempts: [anAttempt()] });
      const builder = aBuilderReport({ summary: "The groundwork.", filesObserved: ["ground.js"] });
      const before = aStep({ status: "passed", passedBy: "qa", attempts: [anAttempt({ builder })] });
      const skipped = aStep({ id: "step-00", title: "Left out", status: "skipped" });
      const input = inputOf({ task: aTaskWith([before, skipped, step]), steps: [before, skipped, step] }, "step-02");
      const brief = renderBuilderBrief(input);
      for (const words of [
        fence(input.project.spec),
        fence(input.task.spec),
        ...input.task.acceptanceCriteria.map(({ id, text }) => `Acceptance criterion \`${id}\`:\n\n${fence(text)}`),
        `Goal:\n\n${fence(step.goal)}`,
        ...step.passCriteria.map(({ id, text }) => `Criterion \`${id}\`:\n\n${fence(text)}`),
        `Check tests, at most 77 s:\n\n${fence('npm test "a b"')}`,
        fence("The groundwork."),
        fence("ground.js"),
        "### step-00: Left out\n\nResult: skipped",
        `Work in \`${folder}/repo\``,
        "Call `record_builder_result` with",
        "`filesChanged`: files made or changed, relative to your working directory",
      ])
        expect(brief).toContain(words);
    },
  );

  it(
    "holds every finding of every earlier attempt word for word",
    { tags: ["s7.builder-brief-findings", "s4.findings-word-for-word", "s4.failed-check-output"] },
    () => {
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
          tree: { before: "0", built: "1", judged: "2", changedAfterBuild: [`left-behind-${attempt}.html`] },
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
          `left-behind-${attempt}.html`,
        ])
          expect(brief).toContain(words);
    },
  );

  it("asks nobody to mend a check that could not be run, and sets it apart from one that failed", () => {
    const notRun = aCheckResult({ name: "lint", program: null, exitCode: null, outputTail: "npm was not found." });
    const brief = (...checks: readonly CheckResult[]) =>
      renderBuilderBrief(inputFor(secondAttemptAfter(anAttempt({ builder: aBuilderReport(), checks }))));
    const words = `Check lint could not be run; nothing for you to mend. Why:\n\n${fence("npm was not found.")}`;
    const alone = brief(notRun);
    expect(alone).toContain("1 of 1 check could not be run; QA was not asked.");
    expect(alone).toContain(words);
    expect(alone).not.toMatch(/Check lint failed|checks? failed/);
    const both = brief(aCheckResult({ exitCode: 3, outputTail: "not ok" }), notRun);
    expect(both).toContain("1 of 2 checks failed and 1 could not be run; QA was not asked.");
    expect(both).toContain(`Check tests failed, exit code 3. End of its output:\n\n${fence("not ok")}`);
    expect(both).toContain(words);
  });

  it("puts a person's note first, wherever it is kept", { tags: ["s4.retry-note"] }, () => {
    for (const step of [
      aStep({ status: "building", attempts: [anAttempt({ note: "Mind the gap." })] }),
      aStep({ status: "building", attempts: [anAttempt()], note: "Mind the gap." }),
    ]) {
      const brief = renderBuilderBrief(inputFor(step));
      expect(brief).toContain("Mind the gap.");
      expect(brief.indexOf("Mind the gap.")).toBeLessThan(brief.indexOf("## Rules"));
    }
  });

  it("says whose words a note is: only a person's are called a person's", () => {
    const noted = (decisions: readonly Decision[], note = "Be quick.") =>
      aStep({ status: "building", attempts: [anAttempt({ decisions }), anAttempt({ attempt: 2, note })], attempt: 2 });
    const headings = (step: Step) => [
      /## (.*) for this attempt: do this first/.exec(renderBuilderBrief(inputFor(step)))?.[1],
      /## (.*) for this attempt/.exec(renderQaBrief(inputFor({ ...step, status: "reviewing" })))?.[1],
    ];
    const [byPerson, byOrchestrator] = [aNote("person", "Be quick."), aNote("orchestrator", "Be lenient.")];
    expect(headings(noted([byPerson]))).toStrictEqual(["A person's note", "A person's note"]);
    const lenient = noted([byOrchestrator], "Be lenient.");
    expect(headings(lenient)).toStrictEqual(["The orchestrator's note", "The orchestrator's note"]);
    const both = noted([byPerson, byOrchestrator], "Be quick.\n\nBe lenient.");
    expect(headings(both)).toStrictEqual(Array(2).fill("Notes of a person and of the orchestrator"));
    expect(headings(noted([aNote("person", "quick")]))).toStrictEqual(["A note", "A note"]);
    const later = { ...lenient, attempts: [...lenient.attempts, anAttempt({ attempt: 3 })], attempt: 3 };
    expect(renderBuilderBrief(inputFor(later))).toContain("The orchestrator's note for that attempt:");
    const unopened = aStep({ status: "queued", decisions: [byOrchestrator], note: "Be lenient." });
    expect(headings(unopened)).toStrictEqual(Array(2).fill("The orchestrator's note"));
  });

  describe("of a step in a tree that other steps work in, too", () => {
    const ours = "so some of these changes may be theirs";
    const atWork = "Other steps may be at work in this directory while you are";
    const built = (shared: object) =>
      anAttempt({
        builder: aBuilderReport(),
        qa: aQaReport(["c1"]),
        tree: { before: "0", built: "1", judged: "2", changedAfterBuild: ["theirs.js"], ...shared },
      });

    it("blames nobody for what changed after an earlier builder's run", () => {
      const brief = (shared: object) => renderBuilderBrief(inputFor(secondAttemptAfter(built(shared))));
      expect(brief({ shared: true })).toMatch(new RegExp(`\ntheirs\\.js\n\`\`\`\n\n.*${ours}`));
      expect(brief({})).not.toContain(ours);
    });

    it("blames nobody for the files that another step delivered", () => {
      const step = aStep({ id: "step-02", index: 2, status: "building", attempts: [anAttempt()] });
      const brief = (shared: object) => {
        const steps = [aStep({ status: "passed", attempts: [built(shared)] }), step];
        return renderBuilderBrief(inputOf({ task: aTaskWith(steps), steps }, step.id));
      };
      expect(brief({ shared: true })).toMatch(
        new RegExp(`Files:\n\n\`\`\`text\nwc\\.js\nwc\\.test\\.js\n\`\`\`\n\n.*${ours}`),
      );
      expect(brief({})).not.toContain(ours);
    });

    it("says that they may be at work, also before any run of the task has ended", () => {
      const first = aStep({ status: "building", attempts: [anAttempt()] });
      expect(renderBuilderBrief(inputFor(first))).not.toContain(atWork);
      expect(renderBuilderBrief(inputFor(first, { sharedTree: true }))).toContain(atWork);
      expect(renderBuilderBrief(inputFor(secondAttemptAfter(built({ shared: true }))))).toContain(atWork);
    });
  });

  it("says when an earlier run of the attempt was lost", () => {
    const runs = [aRun({ end: "lost" }), aRun({ launch: 2, end: null, endedAt: null })];
    expect(renderBuilderBrief(inputFor(aStep({ status: "building", attempts: [anAttempt({ runs })] })))).toContain(
      "ended without a report. Some of its work",
    );
    expect(
      renderBuilderBrief(inputFor(aStep({ status: "building", attempts: [anAttempt({ runs: runs.slice(1) })] }))),
    ).not.toContain("Some of its work");
    const before = (fields: Partial<Attempt>) =>
      renderBuilderBrief(
        inputFor(secondAttemptAfter(anAttempt({ runs: [aRun({ end: "stopped" })], ...fields }), { attempt: 2 })),
      );
    expect(before({})).toContain("ended without a report. Some of its work");
    expect(before({ builder: aBuilderReport() })).not.toContain("Some of its work");
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

  it(
    "has each criterion, the claim as a claim, the checks' results, where to look, and how to judge",
    {
      tags: [
        "s7.qa-brief-criteria",
        "s7.qa-brief-claim",
        "s7.qa-brief-checks",
        "s7.qa-brief-where",
        "s7.qa-brief-judging",
      ],
    },
    () => {
      const builder = aBuilderReport({
        summary: "I claim it works.",
        filesChanged: ["claimed.js"],
        filesDeleted: ["gone.js"],
        testsRun: [{ command: "npm run all", exitCode: 5 }],
      });
      const checks = [
        aCheckResult({ name: "tests", exitCode: 0, outputTail: "12 passed" }),
        aCheckResult({ name: "slow", exitCode: null, timedOut: true, outputTail: "so far" }),
      ];
      const step = judging({ builder, checks });
      const input = inputFor(step);
      const brief = renderQaBrief(input);
      for (const words of [
        ...step.passCriteria.map(({ id, text }) => `Criterion \`${id}\`:\n\n${fence(text)}`),
        `## What the builder claims\n\n${fence("I claim it works.")}`,
        `Files it says it made or changed:\n\n${fence("claimed.js")}`,
        `Files it says it removed:\n\n${fence("gone.js")}`,
        `Tests it says it ran:\n\n${fence("exit code 5: npm run all")}`,
        "Check tests: passed, exit code 0",
        fence("12 passed"),
        "Check slow: failed: stopped at its time limit",
        fence("so far"),
        `The work is in \`${folder}/repo\``,
        "look at these first",
        ...Object.values(input.paths).map((page) => `\`${page}\``),
        "Judge by looking and running, not by what anybody claims",
        "Change nothing there: do not write, edit, move or delete files",
        "Call `record_qa_result` with",
      ])
        expect(brief).toContain(words);
    },
  );

  it(
    "lists the files that the system saw change, not those that the builder names, and says when they are not known",
    { tags: ["s5.files-observed", "s7.qa-brief-observed"] },
    () => {
      const observing = (filesObserved: readonly string[] | null) =>
        renderQaBrief(inputFor(judging({ builder: aBuilderReport({ filesChanged: ["claimed.js"], filesObserved }) })));
      const other = observing(["other.js"]);
      expect(other).toContain("look at these first:\n\n```text\nother.js\n```");
      expect(other).toContain("Files it says it made or changed:\n\n```text\nclaimed.js\n```");
      expect(other).not.toContain("there may be more");
      expect(observing(Array.from({ length: bounds.files }, (_, at) => `${at}`))).toContain(
        "Only the first 2,000 are named here",
      );
      expect(observing([])).toContain("No file changed in the tree");
      expect(observing(null)).toContain("Which files changed is not known");
    },
  );

  it(
    "names the files that changed after the builder's run, when there are any",
    { tags: ["s7.tree-changed-after-build"] },
    () => {
      const words = "Files that changed after the builder's run";
      expect(renderQaBrief(inputFor(judging({}), { changedSinceBuild: ["coverage.html"] }))).toMatch(
        new RegExp(`${words}.*\n\n\`\`\`text\ncoverage\\.html\n\`\`\``),
      );
      for (const changedSinceBuild of [[], null])
        expect(renderQaBrief(inputFor(judging({}), { changedSinceBuild }))).not.toContain(words);
    },
  );

  it("blames nobody in a shared tree, neither during the builder's run nor after it", () => {
    const words = "Other steps worked in the same tree at the time, so some of these changes may be theirs.";
    const brief = (tree: object, filesObserved: readonly string[], changedSinceBuild: readonly string[] = []) => {
      const attempt = { builder: aBuilderReport({ filesObserved }), tree: { ...anAttempt().tree, ...tree } };
      return renderQaBrief(inputFor(judging(attempt), { changedSinceBuild }));
    };
    const both = brief({ shared: true }, ["theirs.js"], ["late.js"]);
    for (const file of ["theirs.js", "late.js"]) expect(both).toContain(`\n${file}\n\`\`\`\n\n${words}`);
    expect(brief({ shared: true }, [])).not.toContain(words);
    expect(brief({}, ["theirs.js"], ["late.js"])).not.toContain(words);
  });

  it("names every criterion that is to be judged", { tags: ["s7.qa-brief-criteria"] }, () => {
    const passCriteria = Array.from({ length: 50 }, (_, at) => ({ id: `c${at + 1}`, text: `It holds ${at + 1}.` }));
    const brief = renderQaBrief(inputFor({ ...judging({}), passCriteria }));
    expect(brief).toContain(passCriteria.map((one) => one.id).join(", "));
    for (const one of passCriteria) expect(brief).toContain(one.text);
  });
});

describe("what another step that took several attempts delivered", () => {
  const attemptOf = (attempt: number, fields: Partial<BuilderReport>) =>
    anAttempt({ attempt, builder: aBuilderReport(fields) });
  const wrote = attemptOf(1, {
    summary: "Wrote the parser.",
    filesObserved: ["src/parser.js", "src/lexer.js"],
  });
  const mended = attemptOf(2, { summary: "Mended the lexer.", filesObserved: ["src/lexer.js", "CHANGES"] });
  const stopped = attemptOf(3, {
    outcome: "blocked",
    summary: "I did nothing.",
    question: "Which grammar?",
    filesChanged: ["notes.txt"],
    filesObserved: null,
  });
  const briefsBehind = (...attempts: readonly Attempt[]) => {
    const before = aStep({ status: "passed", passedBy: "person", attempts });
    const step = aStep({ id: "step-02", index: 2, status: "building", attempts: [anAttempt()] });
    const review = aReview([before, step], { status: "reviewing", attempts: [anAttempt()] });
    const state = { task: aTaskWith([before, step, review]), steps: [before, step, review] };
    const part = (brief: string, from: string, to: string) => brief.slice(brief.indexOf(from), brief.indexOf(to));
    return {
      builder: part(renderBuilderBrief(inputOf(state, "step-02")), "## What other steps", "## The project"),
      qa: part(renderQaBrief(inputOf(state, "acceptance")), "### step-01", "### step-02"),
    };
  };

  it("is all of its files and what was said of the first and of the last work, by attempt", () => {
    const { builder, qa } = briefsBehind(wrote, mended);
    expect(builder).toContain(
      `Its builder's summary in attempt 1:\n\n${fence("Wrote the parser.")}\n\n` +
        `Its builder's summary in attempt 2:\n\n${fence("Mended the lexer.")}\n\n` +
        `Files:\n\n${fence("src/parser.js\nsrc/lexer.js\nCHANGES")}`,
    );
    expect(qa).toContain(
      `Its builder claims in attempt 1:\n\n${fence("Wrote the parser.")}\n\n` +
        `Its builder claims in attempt 2:\n\n${fence("Mended the lexer.")}`,
    );
  });

  it("is not what a builder says that stopped with a question, unless nobody reported it done", () => {
    const { builder, qa } = briefsBehind(wrote, stopped);
    expect(builder).toContain(`Its builder's summary:\n\n${fence("Wrote the parser.")}`);
    expect(builder).toContain(`Files:\n\n${fence("src/parser.js\nsrc/lexer.js\nnotes.txt")}`);
    expect(qa).toContain(`Its builder claims:\n\n${fence("Wrote the parser.")}`);
    for (const brief of [builder, qa]) expect(brief).not.toContain("I did nothing.");
    const alone = briefsBehind(stopped);
    const words = `when it stopped with a question:\n\n${fence("I did nothing.")}`;
    expect(alone.builder).toContain(`Its builder's summary ${words}`);
    expect(alone.qa).toContain(`Its builder claims ${words}`);
  });

  it("says how many reports it leaves out, and where they are", () => {
    const more = [3, 4].map((attempt) => attemptOf(attempt, { summary: `Mended it again in ${attempt}.` }));
    for (const brief of Object.values(briefsBehind(wrote, mended, ...more))) {
      expect(brief).toContain("Wrote the parser.");
      expect(brief).toContain("in attempt 4:\n\n```text\nMended it again in 4.");
      expect(brief).not.toContain("Mended the lexer.");
      expect(brief).toContain(
        `2 more report(s) of its builder are not shown here; \`${taskFolder}/task.md\` links to its page.`,
      );
    }
    for (const brief of Object.values(briefsBehind(wrote, mended))) expect(brief).not.toContain("more report(s)");
  });
});

describe("a brief that would be too long", () => {
  const finding = "f".repeat(2_000);
  const first = anAttempt({ builder: aBuilderReport(), qa: aQaReport(["c1"], { feedback: finding }) });

  it(
    "shortens the specs first and says so with the page that has the whole",
    { tags: ["s7.brief-cut", "s7.brief-bounded"] },
    () => {
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
    },
  );

  it("says how many items it leaves out, and where they are", { tags: ["s7.brief-cut"] }, () => {
    const failed = (attempt: number) =>
      anAttempt({ attempt, qa: aQaReport(["c1"], { feedback: `feedback ${attempt}` }) });
    const attempts = [...Array.from({ length: 40 }, (_, at) => failed(at + 1)), anAttempt({ attempt: 41 })];
    const step = aStep({ status: "building", attempts, maxAttempts: 60 });
    const others = Array.from({ length: 40 }, (_, at) =>
      aStep({ id: `other-${at}`, index: at + 2, status: "skipped" }),
    );
    const steps = [step, ...others];
    const input = inputOf({ task: aTaskWith(steps), steps }, step.id);
    const brief = renderBuilderBrief(input);
    const left = /^(\d+) older attempt\(s\) are not shown here; their findings stand in `(.*)`\.$/m.exec(brief);
    expect(left?.[2]).toBe(input.paths.stepPage);
    const shown = [...brief.matchAll(/^### Attempt (\d+)$/gm)].map((match) => Number(match[1]));
    expect(shown).toStrictEqual(Array.from({ length: 40 - Number(left?.[1]) }, (_, at) => 40 - at));
    const more = /^(\d+) more finished step\(s\) are not shown here; `(.*)` links to all of them\.$/m.exec(brief);
    expect(more?.[2]).toBe(input.paths.taskPage);
    expect(brief.match(/^### other-\d+:/gm)).toHaveLength(40 - Number(more?.[1]));
  });

  it("says of a list of files that it cuts where the whole is, and when it is nowhere", () => {
    const files = (count: number) =>
      Array.from({ length: count }, (_, at) => `generated/a-rather-long-name-${at}.html`);
    const brief = (observed: number, since: number) => {
      const attempts = [anAttempt({ builder: aBuilderReport({ filesObserved: files(observed) }) })];
      return renderQaBrief(inputFor(aStep({ status: "reviewing", attempts }), { changedSinceBuild: files(since) }));
    };
    const place = `in \`${taskFolder}/steps/step-01.json\`, as \`filesObserved\` of attempt 1`;
    const many = brief(1_500, 1_200);
    expect(many).toContain(`\n\nAll 1,500 are ${place}.\n`);
    expect(many).toContain(
      "\n\nThey are 1,200; those not named here are written down nowhere yet. Look for yourself.\n",
    );
    expect(many).toContain('where it says "cut" or "left out" and names no other place, read the\n');
    expect(many).toContain("A page names some of very many\nfiles only; the `.json` file beside it names all.");
    expect(brief(bounds.files, 3)).toContain(`\n\nThe first 2,000 are ${place}; there may be more.\n`);
    for (const few of [brief(3, 3), brief(bounds.files, 3)]) expect(few).not.toContain("written down nowhere");
    expect(brief(3, 3)).not.toContain("filesObserved");
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

  it("stays bounded for the greatest documents that there can be", { tags: ["s7.brief-bounded"] }, () => {
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
        attempts: attempts.slice(0, 3),
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

  it("never gets out of its block, nor changes the structure of the brief", { tags: ["s7.brief-fence"] }, () => {
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

  it("may be a whole brief itself", { tags: ["s7.brief-fence"] }, () => {
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

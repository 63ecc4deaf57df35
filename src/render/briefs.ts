/**
 * The text that a run starts with: what is wanted, what is known, the rules, and how to report. It holds about 60 KB at
 * most; when there is more, specs are shortened first and findings last, and what was cut is said with the page that
 * holds the whole. Pure: the same input gives the same bytes.
 */
import type { Attempt, BuilderReport, CheckResult, Project, Step, Task } from "../schema/documents.ts";
import { bounds } from "../schema/bounds.ts";
import { fitTexts, type Fitted, type Group } from "./fit.ts";
import { visible } from "./quote.ts";
import { remembering } from "./remembering.ts";
import { loadTemplate } from "./templates.ts";
import { checkPassed, checkWords, commandLine, isNotRun, outcomeWords, withoutColours } from "./view.ts";
import { acceptedBy, durationWords, noteWords, numberWords, stepStatusWords } from "./words.ts";

export type BriefInput = {
  readonly project: Project;
  readonly task: Task;
  /** All steps of the task, as they are now. */
  readonly steps: readonly Step[];
  readonly step: Step;
  readonly attempt: number;
  /** Real absolute directory in which the run works. */
  readonly repo: string;
  /** Absolute paths of the pages that hold what a brief leaves out. */
  readonly paths: { readonly taskPage: string; readonly stepPage: string; readonly projectPage: string };
  /** Files that changed after the builder's run, as the tree is now; null when that is not known, nothing given when nobody looked. */
  readonly changedSinceBuild?: readonly string[] | null;
  /** True when more than one step of a task may be at work at a time, all in the same tree. */
  readonly sharedTree?: boolean;
};

/** The most that a brief has, in UTF-8 bytes. */
export const briefBytes = 60_000;

const builderBrief = loadTemplate<ReturnType<typeof viewBuilderBrief>>("builder-brief");
const qaBrief = loadTemplate<ReturnType<typeof viewQaBrief>>("qa-brief");

/** The builder's brief for the given attempt. */
export function renderBuilderBrief(input: BriefInput): string {
  return renderBounded((room) => builderBrief(viewBuilderBrief(input, room)));
}

/** QA's brief for the given attempt; of a `review` step it asks for a judgement of the whole task. */
export function renderQaBrief(input: BriefInput): string {
  return renderBounded((room) => qaBrief(viewQaBrief(input, room)));
}

/** What a brief may hold: bytes of text of others, and items of a kind (earlier attempts, other steps). */
type Room = {
  readonly bytes: number;
  readonly items: number;
  /** Makes a text visible, and remembers it: a brief is rendered several times until it fits. */
  readonly show: (text: string) => string;
};

/**
 * Renders with as much text of others as fits: less text while our own words and marks around it make it too long, and
 * fewer items when there are so many that their texts would have no room.
 */
function renderBounded(render: (room: Room) => string): string {
  const show = rememberingTexts(visible);
  const leastTextBytes = 20_000;
  for (let items = 32; items > 0; items = Math.floor(items / 2)) {
    let bytes = briefBytes - 4_000;
    while (bytes >= leastTextBytes) {
      const brief = render({ bytes, items, show });
      const over = Buffer.byteLength(brief) - briefBytes;
      if (over <= 0) return brief;
      bytes -= over;
    }
  }
  return render({ bytes: leastTextBytes, items: 0, show });
}

function rememberingTexts(make: (text: string) => string): (text: string) => string {
  const made = new Map<string, string>();
  return (text) => {
    const known = made.get(text) ?? make(text);
    made.set(text, known);
    return known;
  };
}

// ---- the builder's

function viewBuilderBrief(input: BriefInput, room: Room) {
  const { project, task, step, attempt } = input;
  const current = step.attempts.find((one) => one.attempt === attempt);
  const earlier = step.attempts.filter((one) => one.attempt < attempt).toReversed();
  const detailed = earlier.slice(0, room.items);
  const finished = finishedSteps(input);
  const delivered = finished.slice(0, room.items).map(deliveryOf);
  const note = current?.note ?? step.note ?? null;
  const findings = detailed.map(findingsOf);
  const commands = step.checks.map((check) => commandLine(check.command));
  const text = fitter(room);

  text.add("note", note === null ? [] : [note]);
  text.add("goal", [step.goal]);
  text.add(
    "criteria",
    step.passCriteria.map((one) => one.text),
    { least: 8_000 },
  );
  for (const [at, found] of findings.entries()) {
    const texts = [...found.criteria.map((one) => one.evidence), ...found.feedback, ...found.note];
    text.add(`found ${at}`, texts, { least: at === 0 ? 5_000 : 0 });
    text.add(
      `output ${at}`,
      found.checks.map((one) => one.output),
      { least: at === 0 ? 3_000 : 0, keep: "end" },
    );
  }
  text.add("commands", commands);
  text.add(
    "acceptance",
    task.acceptanceCriteria.map((one) => one.text),
    { most: 12_000 },
  );
  text.add(
    "said",
    findings.flatMap((one) => one.summary),
    { most: 12_000 },
  );
  text.add(
    "changed",
    findings.flatMap((one) => one.changed),
    { most: 6_000 },
  );
  text.add(
    "delivered",
    delivered.flatMap((one) => [...one.reports.map((report) => report.summary), one.files]),
    { most: 16_000 },
  );
  text.add("specs", [task.spec, project.spec], { least: 1_500 });
  const fitted = text.fit();

  const said = fitted("said")[Symbol.iterator]();
  const changed = fitted("changed")[Symbol.iterator]();
  const handedOn = fitted("delivered")[Symbol.iterator]();
  const [taskSpec = nothing, projectSpec = nothing] = fitted("specs");
  return {
    ...placeOf(input),
    attemptsLeft: Math.max(0, step.maxAttempts - attempt),
    shared: input.sharedTree === true || input.steps.some(hasSharedTree),
    note: fitted("note")[0] ?? null,
    noteWords: noteWords(step, attempt),
    isUnreported: hasUnreportedRun(current) || (earlier[0]?.builder === undefined && hasUnreportedRun(earlier[0])),
    goal: fitted("goal")[0] ?? nothing,
    criteria: zip(step.passCriteria, fitted("criteria"), (criterion, one) => ({ id: criterion.id, ...one })),
    checks: zip(step.checks, fitted("commands"), (check, one) => ({
      name: shortName(check.name),
      limit: check.timeoutSeconds,
      ...one,
    })),
    findings: zip(detailed, findings, (one, found) => ({ one, found })).map(({ one, found }, at) => {
      const words = fitted(`found ${at}`);
      const count = found.criteria.length;
      return {
        attempt: one.attempt,
        outcome: outcomeWords(one),
        met: found.met.join(", "),
        note: found.note.length === 0 ? null : (words[count + found.feedback.length] ?? nothing),
        noteWords: noteWords(step, one.attempt),
        summary: found.summary.length === 0 ? null : (said.next().value ?? nothing),
        criteria: zip(found.criteria, words, (criterion, evidence) => ({ id: criterion.id, ...evidence })),
        feedback: found.feedback.length === 0 ? null : (words[count] ?? nothing),
        checks: zip(found.checks, fitted(`output ${at}`), (check, output) => ({ ...check, ...output })),
        changed: found.changed.length === 0 ? null : (changed.next().value ?? nothing),
        shared: one.tree.shared === true,
        asked: one.builder?.outcome === "blocked",
      };
    }),
    olderAttempts: earlier.length - detailed.length,
    acceptance: zip(task.acceptanceCriteria, fitted("acceptance"), (criterion, one) => ({ id: criterion.id, ...one })),
    delivered: delivered.map((one) => ({
      ...one,
      reports: one.reports.map(({ when }) => ({ when, ...(handedOn.next().value ?? nothing) })),
      files: handedOn.next().value ?? nothing,
    })),
    otherDelivered: finished.length - delivered.length,
    taskSpec,
    projectSpec,
    cut: text.cut(),
  };
}

/** A builder's run of the attempt has ended, and another one comes: it has left no report, and may have left work. */
function hasUnreportedRun(attempt: Attempt | undefined): boolean {
  return attempt?.runs.some((run) => run.role === "builder" && run.end !== null) === true;
}

type Findings = {
  readonly met: readonly string[];
  readonly criteria: readonly { readonly id: string; readonly evidence: string }[];
  readonly checks: readonly {
    readonly name: string;
    readonly notRun: boolean;
    readonly result: string;
    readonly output: string;
  }[];
  readonly feedback: readonly string[];
  readonly note: readonly string[];
  readonly summary: readonly string[];
  /** Files that changed between its builder's end and QA's. */
  readonly changed: readonly string[];
};

/** Everything that an earlier attempt was found lacking, word for word, and what its builder had said. */
function findingsOf(attempt: Attempt): Findings {
  const judged = attempt.qa?.criteria ?? [];
  const lacking = (attempt.checks ?? []).filter((check) => !checkPassed(check));
  return {
    met: judged.filter((one) => one.pass).map((one) => one.id),
    criteria: judged.filter((one) => !one.pass),
    checks: lacking.map((check) => ({
      name: shortName(check.name),
      notRun: isNotRun(check),
      result: exitWords(check),
      output: withoutColours(check.outputTail),
    })),
    feedback: attempt.qa === undefined || attempt.qa.feedback.trim() === "" ? [] : [attempt.qa.feedback],
    note: attempt.note === undefined ? [] : [attempt.note],
    summary: attempt.builder === undefined ? [] : [summaryOf(attempt.builder)],
    changed:
      (attempt.tree.changedAfterBuild ?? []).length === 0 ? [] : [fileLines(attempt.tree.changedAfterBuild ?? [])],
  };
}

/** The builder's summary, with the question that it stopped with. */
function summaryOf({ summary, question }: BuilderReport): string {
  return question === undefined ? summary : `${summary}\n\nIts question to a person: ${question}`;
}

// ---- QA's

function viewQaBrief(input: BriefInput, room: Room) {
  const { project, task, step, attempt } = input;
  const current = step.attempts.find((one) => one.attempt === attempt);
  const { builder, checks = [] } = current ?? {};
  const observed = builder?.filesObserved ?? null;
  const since = input.changedSinceBuild ?? [];
  const review = step.kind === "review";
  const others = review ? input.steps.filter((one) => one.id !== step.id) : [];
  const results = others.slice(0, room.items).map((one) => ({ one, ...reportsOf(one) }));
  const note = current?.note ?? step.note ?? null;
  const text = fitter(room);

  text.add("note", note === null ? [] : [note]);
  text.add(
    "criteria",
    step.passCriteria.map((one) => one.text),
    { least: 8_000 },
  );
  text.add("goal", [step.goal]);
  text.add("claim", builder === undefined ? [] : [builder.summary], { least: 2_000 });
  text.add("observed", observed === null ? [] : [fileLines(observed)], { least: 2_000, most: 16_000 });
  text.add("since", since.length === 0 ? [] : [fileLines(since)], { least: 1_000, most: 8_000 });
  text.add(
    "output",
    checks.map((check) => withoutColours(check.outputTail)),
    { least: 3_000, most: 16_000, keep: "end" },
  );
  text.add("claimed", builder === undefined ? [] : [fileLines(builder.filesChanged), fileLines(builder.filesDeleted)], {
    most: 8_000,
  });
  text.add("tests", builder === undefined ? [] : [testLines(builder.testsRun)], { most: 8_000 });
  text.add(
    "results",
    results.flatMap(({ reports }) => reports.map((report) => report.summary)),
    { most: 16_000 },
  );
  text.add("specs", [task.spec, project.spec], { least: 1_500 });
  const fitted = text.fit();

  const said = fitted("results")[Symbol.iterator]();
  const [changed = nothing, deleted = nothing] = fitted("claimed");
  const [taskSpec = nothing, projectSpec = nothing] = fitted("specs");
  return {
    ...placeOf(input),
    review,
    note: fitted("note")[0] ?? null,
    noteWords: noteWords(step, attempt),
    goal: fitted("goal")[0] ?? nothing,
    criteria: zip(step.passCriteria, fitted("criteria"), (criterion, one) => ({ id: criterion.id, ...one })),
    criterionIds: step.passCriteria.map((one) => one.id).join(", "),
    example: exampleOf(step.passCriteria.map((one) => one.id)),
    claim: fitted("claim")[0] ?? null,
    changed,
    deleted,
    tests: fitted("tests")[0] ?? nothing,
    observed: fitted("observed")[0] ?? null,
    observedCount: numberWords(observed?.length ?? 0),
    observedNone: observed?.length === 0,
    observedFull: (observed?.length ?? 0) >= bounds.files,
    since: fitted("since")[0] ?? null,
    sinceCount: numberWords(since.length),
    shared: current?.tree.shared === true,
    checks: zip(checks, fitted("output"), (check, output) => ({
      name: shortName(check.name),
      result: exitWords(check),
      duration: durationWords(check.durationMs),
      ...output,
    })),
    results: results.map(({ one, reports, otherReports }) => ({
      id: one.id,
      title: one.title,
      status: stepStatusWords[one.status],
      accepted: acceptedBy(one) ?? null,
      attempt: one.attempt,
      reports: reports.map(({ when }) => ({ when, ...(said.next().value ?? nothing) })),
      otherReports,
    })),
    otherResults: others.length - results.length,
    taskSpec,
    projectSpec,
    cut: text.cut(),
  };
}

/** The shape of a report, with at most two of the criteria in it. */
function exampleOf(ids: readonly string[]): string {
  const judgements = ids
    .slice(0, 2)
    .map(
      (id) =>
        `{ "id": ${JSON.stringify(id)}, "pass": <true or false>, "evidence": "<what you ran or saw, and what came out>" }`,
    );
  return `{ "criteria": [\n  ${judgements.join(",\n  ")}${ids.length > 2 ? ",\n  …" : ""}\n], "feedback": "<needed when one fails>" }`;
}

// ---- both

const nothing: Fitted = { text: "", cut: null };

/** Where the run is: names, ids and paths that are the same in both briefs. */
function placeOf({ project, task, step, attempt, repo, paths }: BriefInput) {
  return {
    projectName: project.name,
    taskId: task.id,
    taskTitle: task.title,
    stepId: step.id,
    stepTitle: step.title,
    attempt,
    maxAttempts: Math.max(step.maxAttempts, attempt),
    repo,
    paths,
    stepFile: paths.stepPage.replace(/\.md$/, ".json"),
  };
}

/** Collects the texts of a brief by name, the most important first, and fits them all at once. */
function fitter({ bytes, show }: Room) {
  const groups = new Map<string, Group>();
  let fitted: ReadonlyMap<string, readonly Fitted[]> = new Map();
  return {
    add(name: string, texts: readonly string[], options: Omit<Group, "texts"> = {}) {
      groups.set(name, { texts, ...options });
    },
    fit() {
      const all = fitTexts([...groups.values()], bytes, show);
      fitted = new Map([...groups.keys()].map((name, at) => [name, all[at] ?? []]));
      return (name: string) => fitted.get(name) ?? [];
    },
    /** True when anything was shortened. */
    cut: () => [...fitted.values()].flat().some((one) => one.cut !== null),
  };
}

/** The finished steps that built something or were skipped: those that this one depends on first, then the latest. */
function finishedSteps({ steps, step }: BriefInput): readonly Step[] {
  const needed = new Set(step.dependsOn);
  return steps
    .filter(
      (one) => one.id !== step.id && one.kind !== "review" && (one.status === "passed" || one.status === "skipped"),
    )
    .toSorted((one, other) => Number(needed.has(other.id)) - Number(needed.has(one.id)) || other.index - one.index);
}

/** What a step made of the tree in all its attempts. A finished step stays as it is. */
const deliveryOf = remembering((step: Step) => {
  const accepted = acceptedBy(step);
  const files = step.attempts.flatMap(({ builder }) => builder?.filesObserved ?? builder?.filesChanged ?? []);
  return {
    id: step.id,
    title: step.title,
    how: accepted === undefined ? stepStatusWords[step.status] : `passed, accepted by ${accepted}`,
    ...reportsOf(step),
    files: fileLines([...new Set(files)]),
    shared: hasSharedTree(step),
  };
});

/**
 * What a step's builders said of their work: the first report of work that is done, for a later one may tell only of a
 * repair, and the last. One that stopped with a question counts only where no work was reported.
 */
function reportsOf(step: Step) {
  const all = step.attempts.flatMap(({ attempt, builder }) => (builder === undefined ? [] : [{ attempt, ...builder }]));
  const done = all.filter((report) => report.outcome === "done");
  const told = done.length === 0 ? all.slice(-1) : done;
  const shown = told.length < 2 ? told : [...told.slice(0, 1), ...told.slice(-1)];
  return {
    reports: shown.map(({ attempt, outcome, summary }) => ({
      when:
        outcome === "blocked" ? " when it stopped with a question" : shown.length < 2 ? "" : ` in attempt ${attempt}`,
      summary,
    })),
    otherReports: told.length - shown.length,
  };
}

/** Other steps worked in the tree, too, so what changed in it may be theirs. */
function hasSharedTree(step: Step): boolean {
  return step.attempts.some((attempt) => attempt.tree.shared === true);
}

function exitWords(check: CheckResult): string {
  return check.exitCode === null || check.timedOut
    ? checkWords(check)
    : `${checkWords(check)}, exit code ${check.exitCode}`;
}

function fileLines(files: readonly string[]): string {
  return files.map(oneLine).join("\n");
}

function testLines(tests: readonly { readonly command: string; readonly exitCode: number }[]): string {
  return tests.map((test) => `exit code ${test.exitCode}: ${oneLine(test.command)}`).join("\n");
}

function oneLine(text: string): string {
  return visible(text).replaceAll("\n", "\\n");
}

/** A check may have a name of 200 characters. */
function shortName(name: string): string {
  return name.length > 100 ? `${name.slice(0, 100)}…` : name;
}

function zip<A, B, C>(ones: readonly A[], others: readonly B[], join: (one: A, other: B) => C): readonly C[] {
  return ones.flatMap((one, at) => {
    const other = others[at];
    return other === undefined ? [] : [join(one, other)];
  });
}

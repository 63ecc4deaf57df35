// The people of the demonstration and the agents that a scripted model plays. Each agent acts as a real one would: it knows
// what its conversation tells it (ids from earlier tool results, a step and an attempt from its brief, a verdict from what
// a command printed) and calls one tool at a time. program/ is what the builder types: a folder per step, right in all of
// them; `slip` is what its first try gets wrong.

import { readdirSync, readFileSync } from "node:fs";
import { join, relative, sep } from "node:path";

import type { Answer, Script, ScriptedCall, ToolResult, Turn } from "../../harness/model.ts";
import { task } from "./task.ts";

const folder = import.meta.dirname;

/** What the person says, in order. */
export const person = {
  project: `Please start a new project called "Fairshare". Its specification, word for word:\n\n${readFileSync(join(folder, "spec.md"), "utf8")}`,
  task: "Plan its first version. I want QA to run everything for real.",
  start: "Good plan. Start it.",
  end: "Is it done? Where can I read how it went?",
};

/** The script of all agents. `repaired`: the builder makes no slip; everything else is the same, QA above all. */
export function createAgents({ repaired }: { readonly repaired: boolean }): Script {
  return (turn) => {
    const answer = play(turn, repaired);
    return "error" in answer ? answer : { ...answer, usage: usageOf(turn, answer) };
  };
}

function play(turn: Turn, repaired: boolean): Answer {
  switch (turn.role) {
    case "orchestrator":
      return orchestrate(turn);
    case "builder":
      return build(turn, repaired);
    case "qa":
      return judge(turn);
    default:
      throw new Error(`nobody has a part for a session with the tools ${turn.tools.join(", ")}`);
  }
}

const call = (name: string, args: object): Answer => ({ calls: [{ name, args }] });
const exec = (command: string, workdir: string): ScriptedCall => ({
  name: "exec",
  args: { command, workdir, yieldMs: 120_000 },
});

/** About four characters are one token, and what the model was sent before is read from its cache. */
function usageOf(turn: Turn, answer: Answer) {
  const inputTokens = Math.ceil((turn.wholeText.length + JSON.stringify(turn.toolSchemas).length) / 4);
  const cachedTokens = turn.results.length === 0 ? 0 : Math.floor(inputTokens * 0.9);
  return { inputTokens, outputTokens: Math.ceil(JSON.stringify(answer).length / 4), cachedTokens };
}

// --- the orchestrator

function orchestrate(turn: Turn): Answer {
  const reports = readReports(turn);
  if (reports.length > 0) return { text: reports.map(tell).join("\n") };
  const last = turn.results.at(-1);
  if (last !== undefined) return { text: passOn(last) };
  if (turn.user.includes("new project")) {
    const [, name = "", spec = ""] = /called "(.+?)".*?word for word:\s*([^]*)$/.exec(turn.user) ?? [];
    return call("create_project", { name, spec });
  }
  if (turn.user.startsWith("Plan "))
    return call("create_task", { projectId: found(turn, /^Project (\S+) is made/m), ...task });
  if (turn.user.endsWith("Start it.")) return call("start_task", { taskId: found(turn, /^Task (\S+) is a draft/m) });
  if (turn.user.startsWith("Is it done?"))
    return call("get_status", { taskId: found(turn, /^Task (\S+) is a draft/m), verify: true });
  throw new Error(`the orchestrator has no answer to: ${turn.user.slice(0, 200)}`);
}

/** What the plugin had to report since the last answer, item by item; empty in a turn that a person began. */
function readReports(turn: Turn): readonly string[] {
  const [, reports = ""] = /Project orchestrator reports[^\n]*\n- ([^]*)/.exec(turn.user) ?? [];
  return reports === "" ? [] : reports.split("\n- ");
}

/** A report in the orchestrator's own words. */
function tell(report: string): string {
  const [first = "", second = "", third = ""] = report.split("\n");
  const title = /Its title: \[quotation[^"]*"(.*?)"\]/.exec(report)?.[1] ?? "A step";
  const progress = /\d+ of \d+ steps finished/.exec(report)?.[0] ?? "";
  if (/^Step \S+ of task \S+ passed/.test(first)) return `"${title}" has passed QA; ${progress}.`;
  if (/goes back to its builder/.test(first))
    return `"${title}" did not pass (${second.replace(/^Why: |\.$/g, "")}). Its builder has the findings and tries again.`;
  if (/^Task \S+ is done/.test(first)) return `The task is done. ${second} ${third}`;
  return report;
}

/** The result of a tool in the orchestrator's own words. */
function passOn({ name, text = "" }: ToolResult): string {
  if (text.startsWith("Refused")) return `That was refused: ${text}`;
  switch (name) {
    case "create_project":
      return `The project is made; the work will be in ${/happens in (\S+?)\.(?:\s|$)/.exec(text)?.[1] ?? "its repository"}. Shall I plan a first task?`;
    case "create_task":
      return [
        "My plan:",
        ...task.steps.map(
          (step, index) =>
            `${String(index + 1)}. ${step.title}: ${step.passCriteria.length} criteria, checked by its tests`,
        ),
        "Then QA judges the whole. Shall I start it?",
      ].join("\n");
    case "start_task":
      return "It is started. I will tell you how each step goes.";
    case "get_status":
      return sayStatus(text);
    default:
      throw new Error(`the orchestrator never calls ${name}`);
  }
}

function sayStatus(text: string): string {
  const [, status, finished, used, page] = /: (\w+), (\d+ of \d+ steps finished); (.*?)\. Page: (\S+)/.exec(text) ?? [];
  const verified = /^Verified [^\n]*/m.exec(text)?.[0] ?? "Nothing was verified.";
  return `The task is ${status ?? "unknown"}: ${finished ?? text} (${used ?? ""}). ${verified}\nIts page: ${page ?? "unknown"}`;
}

/** An id that a tool has told in this conversation, the latest one. */
function found(turn: Turn, pattern: RegExp): string {
  const texts = turn.messages.flatMap((message) =>
    message.role === "tool" && typeof message.content === "string" ? [message.content] : [],
  );
  const id = texts.map((text) => pattern.exec(text)?.[1]).findLast((match) => match !== undefined);
  if (id === undefined) throw new Error(`no tool has told ${String(pattern)} in this conversation`);
  return id;
}

// --- the builder

/** Each share is rounded for itself: right for 34.50 among three, a cent short for 10.00. */
const slip = {
  file: "src/shares.mjs",
  right: [
    "  const left = cents % people.length; // The first ones take one each, so that nothing is lost.",
    "  return people.map((who, index) => ({ who, cents: Math.floor(cents / people.length) + (index < left ? 1 : 0) }));",
  ].join("\n"),
  wrong: "  return people.map((who) => ({ who, cents: Math.round(cents / people.length) }));",
  /** The test that would have shown it. */
  test: "test/uneven.test.mjs",
};

function build(turn: Turn, repaired: boolean): Answer {
  const { stepId, repo } = readBrief(turn.brief);
  const acts = planOf(stepId, turn.brief, repaired);
  const next = [...acts, exec("node --test", repo)][turn.results.length];
  if (next !== undefined) return { calls: [next] };
  if (turn.results.at(-1)?.name === "record_builder_result") return { text: "Reported." };
  const tests = turn.results.at(-1);
  const exitCode = exitCodeOf(tests);
  if (exitCode !== 0) throw new Error(`the builder's tests failed:\n${tests?.text ?? ""}`);
  const filesChanged = [
    ...new Set(acts.flatMap(({ name, args }) => (name !== "read" && "path" in args ? [String(args.path)] : []))),
  ];
  return call("record_builder_result", {
    outcome: "done",
    summary: `Made ${filesChanged.join(", ")}. All tests pass: ${gistOf(tests?.text ?? "")}.`,
    filesChanged,
    testsRun: [{ command: "node --test", exitCode }],
  });
}

/** What the builder does before it runs the tests. It can only repair what its brief says QA has found. */
function planOf(stepId: string, brief: string, repaired: boolean): readonly ScriptedCall[] {
  const files = filesOf(stepId);
  if (stepId !== "step-02" || repaired) return files.map(write);
  const right = files.find(({ path }) => path === slip.file)?.content ?? "";
  const wrong = right.replace(slip.right, slip.wrong);
  if (wrong === right) throw new Error(`${slip.file} does not hold what the slip gets wrong`);
  if (!/adds? up to 9\.99/.test(brief))
    return files.flatMap(({ path, content }) =>
      path === slip.test ? [] : [write({ path, content: path === slip.file ? wrong : content })],
    );
  return [
    { name: "read", args: { path: slip.file } },
    { name: "edit", args: { path: slip.file, edits: [{ oldText: slip.wrong, newText: slip.right }] } },
    ...files.filter(({ path }) => path === slip.test).map(write),
  ];
}

interface File {
  readonly path: string;
  readonly content: string;
}

const write = ({ path, content }: File): ScriptedCall => ({ name: "write", args: { path, content } });

/** What is to be typed in a step, in the order of the alphabet. */
function filesOf(stepId: string): readonly File[] {
  const from = join(folder, "program", stepId);
  return readdirSync(from, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted()
    .map((file) => ({ path: relative(from, file).replaceAll(sep, "/"), content: readFileSync(file, "utf8") }));
}

// --- QA

interface Seen {
  readonly exitCode: number | undefined;
  readonly output: string;
}

/** How one criterion is looked at: a command, and what is wrong with what came out of it (undefined: nothing). */
interface Probe {
  readonly command: string;
  readonly problem: (seen: Seen) => string | undefined;
}

const fed = (command: string, ...lines: readonly string[]): string =>
  `printf '%s\\n' ${lines.map((line) => `'${line}'`).join(" ")} | node fairshare.mjs ${command} -`;
const example = ["Ann 30.00 dinner", "Ben 4.5 ice cream", "Cleo 0"];
const uneven = ["Ann 10.00 dinner", "Ben 0", "Cleo 0"];

const prints =
  (...lines: readonly string[]) =>
  ({ exitCode, output }: Seen): string | undefined =>
    exitCode === 0 && output.trim() === lines.join("\n") ? undefined : `Expected ${lines.join(" / ")} and exit code 0.`;
const testsPass = ({ exitCode, output }: Seen): string | undefined =>
  exitCode === 0 && /^pass [1-9]\d*, fail 0$/.test(gistOf(output)) ? undefined : "Expected tests that all pass.";
const amountsIn = (output: string): readonly number[] =>
  [...output.matchAll(/(\d+)\.(\d\d)\b/g)].map(([, whole, cents]) => Number(whole) * 100 + Number(cents));
const addsUpTo =
  (total: number) =>
  ({ exitCode, output }: Seen): string | undefined => {
    const sum = amountsIn(output).reduce((before, amount) => before + amount, 0);
    return exitCode === 0 && sum === total
      ? undefined
      : `This adds up to ${(sum / 100).toFixed(2)}, not to ${(total / 100).toFixed(2)}.`;
  };

const tests: Probe = { command: "node --test", problem: testsPass };

const probes: Readonly<Record<string, Readonly<Record<string, Probe>>>> = {
  "step-01": {
    c1: { command: fed("total", ...example), problem: prints("total 34.50") },
    c2: {
      command: fed("total", "Ann 30.00", "Ben much"),
      problem: ({ exitCode, output }) =>
        exitCode === 1 && /^fairshare: line 2: .*$/.test(output.trim())
          ? undefined
          : "Expected one line about line 2, and exit code 1.",
    },
    c3: tests,
  },
  "step-02": {
    c1: { command: fed("shares", ...example), problem: prints("Ann 11.50", "Ben 11.50", "Cleo 11.50") },
    c2: { command: fed("shares", ...uneven), problem: addsUpTo(1000) },
    c3: tests,
  },
  "step-03": {
    c1: {
      command: fed("settle", "Ann 30.00", "Ben 0", "Cleo 0"),
      problem: prints("Ben pays Ann 10.00", "Cleo pays Ann 10.00"),
    },
    c2: { command: fed("settle", ...uneven), problem: prints("Ben pays Ann 3.33", "Cleo pays Ann 3.33") },
    c3: { command: fed("settle", "Ann 5", "Ben 5"), problem: prints("all even") },
    c4: tests,
  },
  acceptance: {
    a1: {
      command: ["total", "shares", "settle"].map((command) => fed(command, ...uneven)).join(" && "),
      problem: prints("total 10.00", "Ann 3.34", "Ben 3.33", "Cleo 3.33", "Ben pays Ann 3.33", "Cleo pays Ann 3.33"),
    },
    a2: {
      // Into one stream: of two, what was printed first need not be read first.
      command: ["total", "shares", "settle"]
        .map((command) => `{ ${fed(command, "Ann much")} 2>&1; echo "exit code $?"; }`)
        .join("; "),
      problem: ({ output }) =>
        /^(?:fairshare: line 1: [^\n]*\nexit code 1\n?){3}$/.test(output)
          ? undefined
          : "Expected one line and exit code 1 from each.",
    },
    a3: tests,
  },
};

function judge(turn: Turn): Answer {
  const { stepId, repo, criteria } = readBrief(turn.brief);
  if (turn.results.at(-1)?.name === "record_qa_result") return { text: "Reported." };
  const looks = criteria.map((id) => {
    const probe = probes[stepId]?.[id];
    if (probe === undefined) throw new Error(`QA has no way to look at ${id} of ${stepId}`);
    return { id, probe };
  });
  const next = looks[turn.results.length];
  if (next !== undefined) return { calls: [exec(next.probe.command, repo)] };
  const judged = looks.map(({ id, probe }, index) => {
    const result = turn.results[index];
    const seen = { exitCode: exitCodeOf(result), output: outputOf(result) };
    const problem = probe.problem(seen);
    const evidence = `\`${probe.command}\` printed ${gistOf(seen.output)}; exit code ${String(seen.exitCode)}.${problem === undefined ? "" : ` ${problem}`}`;
    return { id, pass: problem === undefined, evidence };
  });
  const failed = judged.filter(({ pass }) => !pass);
  const feedback = failed.map(({ id, evidence }) => `${id}: ${evidence}`).join("\n");
  return call("record_qa_result", { criteria: judged, ...(failed.length === 0 ? {} : { feedback }) });
}

// --- reading

interface Brief {
  readonly stepId: string;
  readonly repo: string;
  /** Ids of the criteria. */
  readonly criteria: readonly string[];
}

/** What a brief says of the step, of where to work, and of what is judged. */
function readBrief(brief: string): Brief {
  const stepId = /^# .*?'s brief: (\S+), attempt/m.exec(brief)?.[1];
  const repo = /(?:Work in|The work is in) `(.+?)`\./.exec(brief)?.[1];
  const criteria = [...brief.matchAll(/^Criterion `(\w+)`:$/gm)].map(([, id]) => id ?? "");
  if (stepId === undefined || repo === undefined || criteria.length === 0)
    throw new Error(`a brief without step, place or criteria:\n${brief.slice(0, 500)}`);
  return { stepId, repo, criteria };
}

/** The exit code as OpenClaw's exec tells it: nothing is said of 0; undefined when the command runs on or could not run. */
export function exitCodeOf(result: ToolResult | undefined): number | undefined {
  const text = result?.text;
  if (result?.name !== "exec" || text === undefined || /^(?:Command still running|\{"status":"error")/.test(text))
    return undefined;
  return Number(/\(Command exited with code (\d+)\)\s*$/.exec(text)?.[1] ?? 0);
}

/** What a command printed. */
export function outputOf(result: ToolResult | undefined): string {
  return (result?.text ?? "").replace(/\s*\(Command exited with code \d+\)\s*$/, "");
}

/** An output in one line: the numbers of a test run, or its first lines. */
export function gistOf(output: string): string {
  const counts = [...output.matchAll(/^(?:#|ℹ) (pass|fail) (\d+)$/gm)].map(
    ([, what, count]) => `${String(what)} ${String(count)}`,
  );
  if (counts.length > 0) return counts.join(", ");
  const lines = output.trim().split("\n");
  return lines.length > 6 ? `${lines.slice(0, 6).join(" / ")} / …` : lines.join(" / ");
}

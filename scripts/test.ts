/**
 * The whole gate, in order: types, lint, format, build, contract, package, then every test. Runs everything also when something
 * fails, says at the end what failed, and prints the true counts as its last line. `--unit` leaves the gateway out.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { stripVTControlCharacters } from "node:util";
import { Type } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";

const root = path.resolve(import.meta.dirname, "..");
const program = (name: string) => path.join(root, "node_modules", ".bin", name);

type Outcome = {
  readonly name: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** What failed, with the beginning of what it said: told again at the end, where a log that is cut off still shows it. */
  readonly failures: readonly string[];
};

/** As much of what vitest's JSON reporter writes as is read here. */
const Report = Type.Object({
  numPassedTests: Type.Integer(),
  numFailedTests: Type.Integer(),
  numPendingTests: Type.Integer(),
  numTodoTests: Type.Integer(),
  testResults: Type.Array(
    Type.Object({
      name: Type.String(),
      status: Type.String(),
      message: Type.String(),
      assertionResults: Type.Array(
        Type.Object({
          fullName: Type.String(),
          status: Type.String(),
          failureMessages: Type.Optional(Type.Array(Type.String())),
        }),
      ),
    }),
  ),
});

const checks: readonly { readonly name: string; readonly command: readonly [string, ...string[]] }[] = [
  { name: "types", command: [program("tsc"), "--noEmit", "-p", "."] },
  {
    name: "lint",
    command: [
      program("oxlint"),
      "--type-aware",
      "--deny-warnings",
      "src",
      "test",
      "scripts",
      "harness",
      "torture",
      "bench",
      "examples",
    ],
  },
  { name: "format", command: [program("oxfmt"), "--check"] },
  { name: "build", command: [process.execPath, "scripts/build.ts"] },
  { name: "contract", command: [process.execPath, "scripts/contract.ts", "--check"] },
  { name: "package", command: [program("publint"), "--strict"] },
];

function runCheck({ name, command: [file, ...parameters] }: (typeof checks)[number]): Outcome {
  process.stdout.write(`\n== ${name}\n`);
  const done = spawnSync(file, parameters, { cwd: root, stdio: "inherit" });
  const passed = done.status === 0;
  return { name, passed: passed ? 1 : 0, failed: passed ? 0 : 1, skipped: 0, failures: [] };
}

/** Runs vitest and counts what it reports; a run without a report is a failure. */
function runTests(project: string): Outcome {
  process.stdout.write(`\n== tests: ${project}\n`);
  const folder = mkdtempSync(path.join(tmpdir(), "test-report-"));
  const report = path.join(folder, "report.json");
  const done = spawnSync(
    program("vitest"),
    ["run", "--project", project, "--reporter=default", "--reporter=json", `--outputFile.json=${report}`],
    {
      cwd: root,
      stdio: "inherit",
    },
  );
  try {
    const counts = readReport(readFileSync(report, "utf8"));
    // Vitest also fails for what is no test, e.g. an error outside of one.
    const outside = done.status !== 0 && counts.failed === 0 ? 1 : 0;
    return { name: project, ...counts, failed: counts.failed + outside };
  } catch (error) {
    return { name: project, passed: 0, failed: 1, skipped: 0, failures: [`no report: ${String(error)}`] };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readReport(text: string): Omit<Outcome, "name"> {
  const report = Value.Parse(Report, JSON.parse(text));
  const failures = report.testResults.flatMap((file) => {
    const where = path.relative(root, file.name);
    const tests = file.assertionResults.filter((one) => one.status === "failed");
    const said = (message: string) =>
      stripVTControlCharacters(message)
        .split("\n")
        .filter((line) => !line.includes("node_modules"))
        .slice(0, 12)
        .join("\n  ");
    if (tests.length === 0 && file.status === "failed") return [`${where}\n  ${said(file.message)}`];
    return tests.map((one) => `${where} > ${one.fullName}\n  ${said(one.failureMessages?.join("\n") ?? "")}`);
  });
  return {
    passed: report.numPassedTests,
    // A file that cannot be loaded has no test that failed.
    failed: Math.max(report.numFailedTests, failures.length),
    skipped: report.numPendingTests + report.numTodoTests,
    failures,
  };
}

const projects = process.argv.includes("--unit") ? ["unit"] : ["unit", "gateway"];
const outcomes = [...checks.map(runCheck), ...projects.map(runTests)];
const sum = (pick: (outcome: Outcome) => number) => outcomes.reduce((total, outcome) => total + pick(outcome), 0);
const failed = sum((one) => one.failed);
const skipped = sum((one) => one.skipped);

process.stdout.write("\n");
for (const failure of outcomes.flatMap((one) => one.failures)) process.stdout.write(`FAILED ${failure}\n`);
for (const one of outcomes)
  process.stdout.write(
    `${one.failed === 0 ? "ok    " : "FAILED"} ${one.name}: ${one.passed} passed, ${one.failed} failed\n`,
  );
process.exitCode = failed === 0 && sum((one) => one.passed) > 0 ? 0 : 1;
process.stdout.write(
  `${sum((one) => one.passed)} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}\n`,
);

/**
 * The whole gate, in order: types, lint, format, build, contract, package, then every test. Runs everything also when something
 * fails, says at the end what failed, and prints the true counts as its last line. `--unit` leaves the gateway out.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

const root = path.resolve(import.meta.dirname, "..");
const program = (name: string) => path.join(root, "node_modules", ".bin", name);

type Outcome = { readonly name: string; readonly passed: number; readonly failed: number; readonly skipped: number };

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
  return { name, passed: passed ? 1 : 0, failed: passed ? 0 : 1, skipped: 0 };
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
    const counts = readCounts(readFileSync(report, "utf8"));
    // Vitest also fails for what is no test, e.g. an error outside of one or a file that cannot be loaded.
    const outside = done.status !== 0 && counts.failed === 0 ? 1 : 0;
    return { name: project, ...counts, failed: counts.failed + outside };
  } catch {
    return { name: project, passed: 0, failed: 1, skipped: 0 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readCounts(text: string): { readonly passed: number; readonly failed: number; readonly skipped: number } {
  const report: unknown = JSON.parse(text);
  const count = (name: string): number => {
    const value =
      typeof report === "object" && report !== null && name in report
        ? (report as Record<string, unknown>)[name]
        : undefined;
    if (typeof value !== "number") throw new Error(`the report has no ${name}`);
    return value;
  };
  return {
    passed: count("numPassedTests"),
    failed: count("numFailedTests"),
    skipped: count("numPendingTests") + count("numTodoTests"),
  };
}

const projects = process.argv.includes("--unit") ? ["unit"] : ["unit", "gateway"];
const outcomes = [...checks.map(runCheck), ...projects.map(runTests)];
const sum = (pick: (outcome: Outcome) => number) => outcomes.reduce((total, outcome) => total + pick(outcome), 0);
const failed = sum((one) => one.failed);
const skipped = sum((one) => one.skipped);

process.stdout.write("\n");
for (const one of outcomes)
  process.stdout.write(
    `${one.failed === 0 ? "ok    " : "FAILED"} ${one.name}: ${one.passed} passed, ${one.failed} failed\n`,
  );
process.exitCode = failed === 0 && sum((one) => one.passed) > 0 ? 0 : 1;
process.stdout.write(
  `${sum((one) => one.passed)} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}\n`,
);

/**
 * How `npm run mutate` breaks the code on purpose: one small change at a time in `src/flow`, `src/schema` and
 * `src/tools`, and for each the tests that come by it. docs/mutation.md says what came of it.
 */
import type { PartialStrykerOptions } from "@stryker-mutator/api/core";

const options: PartialStrykerOptions = {
  mutate: ["src/flow/**/*.ts", "src/schema/**/*.ts", "src/tools/**/*.ts"],
  testRunner: "vitest",
  plugins: ["@stryker-mutator/vitest-runner", "./scripts/mutation/left-alone.ts"],
  ignorers: ["left-alone"],
  vitest: { configFile: "scripts/mutation/vitest.config.ts", related: false },
  coverageAnalysis: "perTest",
  // What is computed while test files are loaded counts as no test; a mutant that tests come by as well is tried with these alone.
  ignoreStatic: true,
  concurrency: 2,
  // A mutant that only waits is no sign of a test that notices: on a busy machine everything takes its time.
  timeoutMS: 15_000,
  dryRunTimeoutMinutes: 30,
  thresholds: { high: 95, low: 90, break: 90 },
  reporters: ["clear-text", "json"],
  jsonReporter: { fileName: ".stryker/mutation.json" },
  // What was tried already is kept beside the report, not in the repository; `--force` tries everything anew.
  incremental: true,
  incrementalFile: ".stryker/incremental.json",
  tempDirName: ".stryker/sandbox",
  // Types are checked by `npm test`; TypeScript 7 has no interface with which stryker could rewrite tsconfig.json.
  tsconfigFile: "none",
  disableTypeChecks: false,
};

export default options;

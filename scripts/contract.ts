/**
 * Writes docs/contract.md: each rule of the contract with the tests that hold it, read off the tests' tags. `--check`
 * writes nothing and fails when the file says something else. Fails in both modes when a rule has no test.
 */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { createVitest } from "vitest/node";
import { sections } from "../test/contract/rules.ts";

const root = path.resolve(import.meta.dirname, "..");
const file = path.join(root, "docs", "contract.md");
/** Lines per rule: a rule may be held in many places. */
const shown = 6;

/** `runs` is false for a test that is left out here, e.g. on this system; it is listed, and holds nothing alone. */
type Holder = { readonly file: string; readonly suite: string; readonly name: string; readonly runs: boolean };

/** Tag → its tests, for every test of every project. Loads the test files and runs none of them. */
async function testsByRule(): Promise<ReadonlyMap<string, readonly Holder[]>> {
  const vitest = await createVitest("test", { root, watch: false, reporters: [] });
  const byTag = new Map<string, Holder[]>();
  try {
    const { testModules, unhandledErrors } = await vitest.collect([], { staticParse: false });
    const broken = [...unhandledErrors, ...testModules.flatMap((one) => one.errors())];
    if (broken.length > 0) throw new Error("the tests cannot be collected", { cause: broken[0] });
    for (const module of testModules) {
      const file = path.relative(root, module.moduleId).split(path.sep).join("/");
      for (const test of module.children.allTests()) {
        const suite = test.parent.type === "suite" ? test.parent.fullName.replaceAll(" > ", " › ") : "";
        for (const tag of test.tags)
          byTag.set(tag, [
            ...(byTag.get(tag) ?? []),
            { file, suite, name: test.name, runs: test.options.mode === "run" || test.options.mode === "only" },
          ]);
      }
    }
  } finally {
    await vitest.close();
  }
  return byTag;
}

const found = await testsByRule();
const missing = sections.flatMap(({ rules }) =>
  Object.keys(rules).filter((id) => found.get(id)?.some(({ runs }) => runs) !== true),
);
const text = pageOf(found);
const isAsWritten = () => {
  try {
    return readFileSync(file, "utf8") === text;
  } catch {
    return false;
  }
};

if (missing.length > 0) fail(`no test holds: ${missing.join(", ")}`);
if (!process.argv.includes("--check")) writeFileSync(file, text);
else if (!isAsWritten()) fail("docs/contract.md is not what the tests say: npm run contract");
const count = sections.reduce((sum, { rules }) => sum + Object.keys(rules).length, 0);
process.stdout.write(`${count} rules, ${missing.length} without a test\n`);
process.exit();

function fail(words: string): void {
  process.stderr.write(`${words}\n`);
  process.exitCode = 1;
}

function pageOf(tests: ReadonlyMap<string, readonly Holder[]>): string {
  const blocks = [
    "# The contract and the tests that hold it",
    "Written by `npm run contract` from the tags of the tests; the gate compares it. A rule without a test fails the gate.",
  ];
  for (const { title, rules } of sections) {
    blocks.push(`## ${title}`);
    for (const [id, rule] of Object.entries(rules))
      blocks.push(`**${id}** ${escape(rule)}`, linesOf(tests.get(id) ?? []).join("\n"));
  }
  return `${blocks.filter((block) => block !== "").join("\n\n")}\n`;
}

/** Where the tests are: a test by its name, several of one suite by the suite and their number. */
function linesOf(holders: readonly Holder[]): readonly string[] {
  const suites = Map.groupBy(holders, ({ file, suite }) => `${file} › ${suite}`);
  const lines = [...suites].map(([suite, [first, ...others]]) =>
    others.length > 0 ? `${suite} (${others.length + 1} tests)` : `${suite} › ${first?.name ?? ""}`,
  );
  const sorted = lines.map((line) => line.replace(" ›  › ", " › ")).toSorted();
  const more = sorted.length > shown ? [`and ${sorted.length - shown} more`] : [];
  return [...sorted.slice(0, shown).map(escape), ...more].map((words) => `- ${words}`);
}

/** Names of tests may hold characters that markdown reads as formatting. */
function escape(text: string): string {
  return text.replaceAll(/[\\`*_<>[\]]/gu, (character) => `\\${character}`);
}

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
/** Tests listed per rule; a table of cases may hold one rule dozens of times. */
const shown = 5;

/** Tag → `file › test`, for every test of every project. Loads the test files and runs none of them. */
async function testsByRule(): Promise<ReadonlyMap<string, readonly string[]>> {
  const vitest = await createVitest("test", { root, watch: false, reporters: [] });
  const found = new Map<string, string[]>();
  try {
    const { testModules, unhandledErrors } = await vitest.collect([], { staticParse: false });
    const broken = [...unhandledErrors, ...testModules.flatMap((one) => one.errors())];
    if (broken.length > 0) throw new Error("the tests cannot be collected", { cause: broken[0] });
    for (const module of testModules)
      for (const test of module.children.allTests()) {
        if (test.options.mode === "skip" || test.options.mode === "todo") continue;
        const name = `${path.relative(root, module.moduleId).split(path.sep).join("/")} › ${test.fullName}`;
        for (const tag of test.tags) found.set(tag, [...(found.get(tag) ?? []), name]);
      }
  } finally {
    await vitest.close();
  }
  return found;
}

const found = await testsByRule();
const missing = sections.flatMap(({ rules }) => Object.keys(rules).filter((id) => !found.has(id)));
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

function pageOf(tests: ReadonlyMap<string, readonly string[]>): string {
  const blocks = [
    "# The contract and the tests that hold it",
    "Written by `npm run contract` from the tags of the tests; the gate compares it. A rule without a test fails the gate.",
  ];
  for (const { title, rules } of sections) {
    blocks.push(`## ${title}`);
    for (const [id, rule] of Object.entries(rules)) {
      const holders = (tests.get(id) ?? []).toSorted();
      const more = holders.length > shown ? [`and ${holders.length - shown} more`] : [];
      const lines = [...holders.slice(0, shown).map(escape), ...more].map((words) => `- ${words}`);
      blocks.push(`**${id}** ${escape(rule)}`, lines.join("\n"));
    }
  }
  return `${blocks.filter((block) => block !== "").join("\n\n")}\n`;
}

/** Names of tests may hold characters that markdown reads as formatting. */
function escape(text: string): string {
  return text.replaceAll(/[\\`*_<>[\]]/gu, (character) => `\\${character}`);
}

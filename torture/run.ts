/**
 * `npm run torture`: tries hard to break every promise of docs/reliability.md and prints one table of what was tried, how
 * often, and what broke. Ends with 1 when anything did. `--part kill` runs one part, `--case "<name>"` one case of it,
 * `--seed <n>` chooses otherwise, `--short` takes the amount of `npm test`.
 */
import { readOptions, refuse } from "../harness/options.ts";
import { wordsOf, type Row } from "./part.ts";
import { parts } from "./parts.ts";

const values = readOptions({
  part: { type: "string", multiple: true },
  case: { type: "string" },
  seed: { type: "string", default: "1" },
  short: { type: "boolean", default: false },
});
const seed = Number(values.seed);
const unknown = (values.part ?? []).filter((name) => !parts.some((part) => part.name === name));
if (unknown.length > 0)
  refuse(`There is no part ${unknown.join(", ")}; parts: ${parts.map(({ name }) => name).join(", ")}.`);
if (values.seed === "" || !Number.isSafeInteger(seed))
  refuse(`A seed is a whole number, and "${values.seed}" is none.`);

const rows: (Row & { readonly part: string })[] = [];
for (const part of parts.filter(({ name }) => values.part?.includes(name) ?? true)) {
  process.stderr.write(`== ${part.name}\n`);
  const options = {
    amount: values.short ? ("short" as const) : ("full" as const),
    seed,
    only: values.case,
    say: (line: string) => void process.stderr.write(`${line}\n`),
  };
  const done = await part
    .run(options)
    .catch((error: unknown): readonly Row[] => [
      { what: "the part itself", tried: 0, violations: [{ case: "", what: wordsOf(error) }] },
    ]);
  rows.push(...done.map((row) => ({ part: part.name, ...row })));
}

const tried = rows.reduce((sum, row) => sum + row.tried, 0);
if (values.case !== undefined && tried === 0 && rows.every(({ violations }) => violations.length === 0))
  refuse(`Nothing was tried: no part that was run has the case "${values.case}", or the case never came to its point.`);

process.stdout.write("| Part | What | Tried | Violations | |\n| --- | --- | ---: | ---: | --- |\n");
for (const { part, what, violations, note = "", ...row } of rows)
  process.stdout.write(`| ${part} | ${what} | ${row.tried} | ${violations.length} | ${note} |\n`);
const broken = rows.flatMap(({ part, violations }) => violations.map((one) => ({ part, ...one })));
process.stdout.write(`\n${tried} tried, ${broken.length} violations (seed ${seed})\n`);
for (const one of broken.slice(0, 100))
  process.stdout.write(
    `\n${one.what}\n  again: npm run torture -- --part ${one.part} --seed ${seed} --case ${JSON.stringify(one.case)}\n`,
  );
process.exitCode = broken.length === 0 ? 0 : 1;

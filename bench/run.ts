/**
 * `npm run bench`: measures beside the floor, prints one table and writes it to bench/results.json. `--all` measures what the parts of a
 * change and OpenClaw cost alone, too, and takes more than once what is else measured once; `--only size` prints what one group says and writes nothing:
 * changes, size, page, open, together, gateway, stalls, and of the parts alone, apart, bare, records. `--figures` prints the figures themselves.
 */
import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { aloneFigures } from "./alone.ts";
import { changeFigures, freshFigure, oldStepFigure } from "./changes.ts";
import { bareFigures, gatewayFigures, recordFigures } from "./gateway.ts";
import { floorsMs, isMet, quantile, type Figure } from "./measure.ts";
import { openFigures, openPartFigures, pageFigures, sizeFigures, stallFigures } from "./size.ts";
import { apartFigures, togetherFigures } from "./together.ts";
import { readOptions, refuse } from "../harness/options.ts";
import { makeTemplate } from "../harness/template.ts";

const values = readOptions({
  only: { type: "string", multiple: true },
  all: { type: "boolean", default: false },
  figures: { type: "boolean", default: false },
});
/** In the order in which they are measured. */
const groups = [
  "changes",
  "size",
  "alone",
  "page",
  "open",
  "together",
  "apart",
  "gateway",
  "bare",
  "records",
  "stalls",
] as const;
type Group = (typeof groups)[number];
/** What the parts cost of what goals are about: without goals, and what stands in the way of those that are missed. */
const parts: readonly Group[] = ["alone", "apart", "bare", "records"];
const named: readonly string[] = values.only ?? groups.filter((group) => values.all || !parts.includes(group));
for (const name of named)
  if (!groups.some((group) => group === name)) refuse(`There is no group ${name}; groups: ${groups.join(", ")}.`);
const wanted = groups.filter((group) => named.includes(group));

/** What takes long is measured so often with `--all`, and once without. */
const rounds = 3;
const folder = mkdtempSync(path.join(tmpdir(), "bench-"));
const figures: Figure[] = [];
try {
  const needs = (...by: readonly Group[]) => by.some((group) => wanted.includes(group));
  // Nothing of this is measured, so it is done at the same time.
  const [template, many, written] = await Promise.all([
    needs("gateway", "bare", "records") ? makeTemplate() : undefined,
    needs("changes", "size") ? writeTasks("many") : "",
    needs("gateway") ? writeTasks("written") : "",
  ]);
  const home = template?.home ?? "";
  const measure: Readonly<Record<Group, () => Promise<readonly Figure[]>>> = {
    changes: async () => [...(await changeFigures(folder, many)), await freshFigure(folder)],
    size: () => sizeFigures(folder, many),
    alone: async () => [
      await oldStepFigure(folder),
      ...(await aloneFigures(folder)),
      ...(await openPartFigures(folder)),
    ],
    page: () => pageFigures(folder),
    open: () => openFigures(folder),
    together: () => togetherFigures(folder),
    apart: () => apartFigures(folder),
    gateway: () => gatewayFigures(home, written, values.all ? rounds : 1),
    bare: () => bareFigures(home),
    records: () => recordFigures(home, folder),
    stalls: () => (values.figures ? stallFigures(folder) : Promise.resolve(stallsElsewhere(values.all ? rounds : 1))),
  };
  try {
    for (const group of wanted) {
      if (!values.figures) process.stderr.write(`measuring ${group}\n`);
      figures.push(...(await measure[group]()));
    }
  } finally {
    await template?.dispose();
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Ten thousand tasks below a root; answers where. */
async function writeTasks(name: string): Promise<string> {
  await promisify(execFile)(process.execPath, [path.join(import.meta.dirname, "write-tasks.ts"), folder, name]);
  return path.join(folder, name);
}

/**
 * In a process of its own, for a full heap is collected in longer pauses; and last, for ten thousand replaced files make it slow to
 * create one.
 */
function stallsElsewhere(count: number): readonly Figure[] {
  const words = [import.meta.filename, "--only", "stalls", "--figures"];
  const all = Array.from({ length: count }, () => {
    const told = execFileSync(process.execPath, words, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
    return JSON.parse(told) as readonly Figure[]; // It is this file that wrote them.
  });
  return (all[0] ?? []).map((figure, at) => ({ ...figure, values: all.flatMap((one) => one[at]?.values ?? []) }));
}

if (values.figures) {
  process.stdout.write(JSON.stringify(figures));
  process.exit();
}

function boundOf(goal: Figure["goal"]): string {
  if (goal === undefined) return "";
  if ("exactly" in goal) return String(goal.exactly);
  return "atMost" in goal ? `≤ ${goal.atMost}` : `≥ ${goal.atLeast}`;
}

const round = (value: number) => (value < 10 ? value.toFixed(2) : value.toFixed(0));
const rows = figures.map((figure) => {
  const { measure, unit, values: all, goal } = figure;
  const bound = boundOf(goal);
  const [low, middle, high] = [0.25, 0.5, 0.75].map((share) => quantile(all, share));
  return { measure, unit, median: middle, quartiles: [low, high], runs: all.length, goal: bound, met: isMet(figure) };
});
process.stdout.write("| Measure | Median | Quartiles | Runs | Goal | |\n| --- | ---: | ---: | ---: | ---: | --- |\n");
for (const { measure, unit, median, quartiles, runs, goal, met } of rows) {
  const [low = 0, high = 0] = quartiles;
  process.stdout.write(
    `| ${measure} | ${round(median ?? 0)} ${unit} | ${round(low ?? 0)} to ${round(high ?? 0)} | ${runs} | ${goal} | ${met === false ? "missed" : ""} |\n`,
  );
}
const [low = 0, floor = 0, high = 0] = [0.25, 0.5, 0.75].map((share) => quantile(floorsMs, share));
if (floorsMs.length > 0)
  process.stderr.write(`1 F was ${floor.toFixed(3)} ms in the median (${low.toFixed(3)} to ${high.toFixed(3)})\n`);
const machine = {
  cores: availableParallelism(),
  model: cpus()[0]?.model ?? "",
  node: process.version,
  floorMs: { median: floor, quartiles: [low, high] },
};
// A part of the figures is no table.
if (values.only === undefined)
  writeFileSync(
    path.join(import.meta.dirname, "results.json"),
    `${JSON.stringify({ machine, figures: rows }, null, 2)}\n`,
  );

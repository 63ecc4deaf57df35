/**
 * `npm run bench`: measures beside the floor, prints one table and writes it to bench/results.json. `--all` measures what the parts of a
 * change and OpenClaw cost alone, too; `--only size` what one group says: changes, size, page, open, together, gateway, stalls, and of the parts
 * alone, apart, bare. `--figures` prints the figures themselves and writes nothing.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { aloneFigures } from "./alone.ts";
import { changeFigures, freshFigure } from "./changes.ts";
import { addTasks, aPlace, openPlace } from "./fixture.ts";
import { bareFigures, gatewayFigures } from "./gateway.ts";
import { isMet, quantile, type Figure } from "./measure.ts";
import { openFigures, pageFigures, sizeFigures, stallFigures } from "./size.ts";
import { apartFigures, togetherFigures } from "./together.ts";
import { makeTemplate } from "../harness/template.ts";

const { values } = parseArgs({
  options: {
    only: { type: "string", multiple: true },
    all: { type: "boolean", default: false },
    figures: { type: "boolean", default: false },
  },
});
/** What goals are about. */
const groups = ["changes", "size", "page", "open", "together", "gateway", "stalls"];
/** What the parts cost of what goals are about: without goals, and what stands in the way of those that are missed. */
const parts = ["alone", "apart", "bare"];
const wanted = new Set(values.only ?? (values.all ? [...groups, ...parts] : groups));
for (const group of wanted)
  if (![...groups, ...parts].includes(group)) throw new Error(`no group ${group}: ${[...groups, ...parts].join(", ")}`);
const isWanted = (group: string) => wanted.has(group);

const folder = mkdtempSync(path.join(tmpdir(), "bench-"));
const figures: Figure[] = [];
try {
  if (isWanted("changes") || isWanted("size")) {
    figures.push(await freshFigure(folder));
    const many = await aPlace(folder, "many");
    const taskIds = await addTasks(many, 1_000);
    await addTasks(many, 9_000, { cancelled: true });
    if (isWanted("changes")) figures.unshift(...(await changeFigures(folder, many, taskIds)));
    await many.store.tasks("shop");
    await many.store.close();
    if (isWanted("size")) {
      // The changes made some tasks more, which are unfinished too.
      const again = await openPlace(many.root);
      const glances = await again.store.tasks("shop");
      const unfinished = glances.filter(({ outline }) => outline?.status !== "cancelled").length;
      await again.store.close();
      figures.push(...(await sizeFigures(folder, many.root, unfinished)));
    }
  }
  if (isWanted("alone")) figures.push(...(await aloneFigures(folder)));
  if (isWanted("page")) figures.push(...(await pageFigures(folder)));
  if (isWanted("open")) figures.push(...(await openFigures(folder)));
  if (isWanted("together")) figures.push(...(await togetherFigures(folder)));
  if (isWanted("apart")) figures.push(...(await apartFigures(folder)));
  if (isWanted("gateway") || isWanted("bare")) {
    const template = await makeTemplate();
    try {
      if (isWanted("gateway")) figures.push(...(await gatewayFigures(template.home)));
      if (isWanted("bare")) figures.push(...(await bareFigures(template.home)));
    } finally {
      await template.dispose();
    }
  }
  if (isWanted("stalls")) figures.push(...(values.figures ? await stallFigures(folder) : stallsElsewhere()));
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/**
 * In a process of its own, for a full heap is collected in longer pauses; and last, for ten thousand replaced files make it slow to
 * create one.
 */
function stallsElsewhere(): readonly Figure[] {
  const words = [import.meta.filename, "--only", "stalls", "--figures"];
  const told = execFileSync(process.execPath, words, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  return JSON.parse(told) as Figure[]; // It is this file that wrote them.
}

if (values.figures) {
  process.stdout.write(JSON.stringify(figures));
  process.exit();
}

const round = (value: number) => (value < 10 ? value.toFixed(2) : value.toFixed(0));
const rows = figures.map((figure) => {
  const { measure, unit, values: all, goal } = figure;
  const bound = goal === undefined ? "" : "atMost" in goal ? `≤ ${goal.atMost}` : `≥ ${goal.atLeast}`;
  const [low, middle, high] = [0.25, 0.5, 0.75].map((share) => quantile(all, share));
  return { measure, unit, median: middle, quartiles: [low, high], runs: all.length, goal: bound, met: isMet(figure) };
});
process.stdout.write("| Measure | Median | Quartiles | Runs | Goal | |\n| --- | ---: | ---: | ---: | ---: | --- |\n");
for (const { measure, unit, median, quartiles, runs, goal, met } of rows) {
  const [low = 0, high = 0] = quartiles;
  process.stdout.write(
    `| ${measure} | ${round(median ?? 0)} ${unit} | ${round(low ?? 0)} to ${round(high ?? 0)} | ${runs} | ${goal} | ${met ? "" : "missed"} |\n`,
  );
}
const machine = { cores: availableParallelism(), model: cpus()[0]?.model ?? "", node: process.version };
writeFileSync(
  path.join(import.meta.dirname, "results.json"),
  `${JSON.stringify({ machine, figures: rows }, null, 2)}\n`,
);

/**
 * A folder that is swapped for a link to elsewhere and back, over and over, while tools write below it: nothing outside is
 * written. What is checked and what is used then are two different things as often as chance wants it.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { startWorker, config } from "./commands.ts";
import { judge, openStore, reopen } from "./oracle.ts";
import type { Options, Part, Row } from "./part.ts";
import { aProject, aStep, aTask, createBench } from "../test/support/bench.ts";

/** Swaps a folder for a link and back until it is killed, the link for up to 2 ms and the folder for up to 20 ms; at the end the folder may be under its other name. */
const swapper = `
const fs = require("node:fs");
const [folder, outside] = process.argv.slice(1);
const waits = new Int32Array(new SharedArrayBuffer(4));
const wait = (most) => void Atomics.wait(waits, 0, 0, most * Math.random());
for (;;) {
  try { fs.renameSync(folder, folder + ".real"); fs.symlinkSync(outside, folder); wait(2); } catch {}
  try { fs.unlinkSync(folder); fs.renameSync(folder + ".real", folder); wait(20); } catch {}
}`;

/** Everything below a folder, file by file. */
function contentsOf(folder: string): string {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .toSorted()
    .map((name) => {
      const file = path.join(folder, name);
      return `${name} ${statSync(file).isDirectory() ? "" : readFileSync(file, "latin1")}`;
    })
    .join("\\n");
}

const amounts = { short: 60, full: 5000 } as const;
const swapped = ["tasks", "tasks/<task>", "tasks/<task>/steps", ""] as const;

export const links: Part = {
  name: "links",
  async run(options) {
    const rows: Row[] = [];
    for (const which of swapped) {
      const name = which === "" ? "the project" : which;
      if ([undefined, name].includes(options.only)) rows.push(await swapWhileWriting(name, which, options));
    }
    return rows;
  },
};

async function swapWhileWriting(name: string, which: string, { amount }: Options): Promise<Row> {
  const base = mkdtempSync(path.join(tmpdir(), "torture-links-"));
  const root = path.join(base, "root");
  const wrong: string[] = [];
  try {
    mkdirSync(path.join(root, "projects"), { recursive: true });
    const store = await openStore(root);
    const bench = createBench({ store, root, config });
    await bench.done("create_project", aProject());
    const taskId = String((await bench.done("create_task", aTask({ steps: [aStep(), aStep()] })))["taskId"]);
    await store.close();
    const folder = path.join(root, "projects", "shop", which.replace("<task>", taskId));
    // What the link leads to looks just like what stands in its place.
    const outside = path.join(base, "outside");
    cpSync(folder, outside, { recursive: true });
    const before = contentsOf(outside);
    const worker = await startWorker(root);
    const swapping = spawn(process.execPath, ["-e", swapper, folder, outside], { stdio: "ignore" });
    let acknowledged = 0;
    for (let round = 0; round < amounts[amount]; round += 1) {
      const told = await worker.tell({ kind: "many", taskIds: [taskId], name: `round-${round}`, count: 1 });
      if (told === undefined) break;
      if (told.mark === undefined) continue;
      acknowledged += 1;
      await worker.hear();
    }
    swapping.kill("SIGKILL");
    await once(swapping, "close");
    await worker.end();
    const after = contentsOf(outside);
    if (after !== before) wrong.push("something outside of the root was written");
    if (statSync(`${folder}.real`, { throwIfNoEntry: false }) !== undefined) {
      rmSync(folder, { recursive: true, force: true });
      renameSync(`${folder}.real`, folder);
    }
    wrong.push(...(await reopen(root)), ...judge(root));
    return {
      what: `${name} swapped for a link and back while tools write`,
      tried: amounts[amount],
      violations: wrong.map((what) => ({ case: name, what })),
      note: `${acknowledged} changes made`,
    };
  } finally {
    rmSync(base, { recursive: true, force: true });
  }
}

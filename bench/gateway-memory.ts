/**
 * Preloaded into a gateway (`NODE_OPTIONS`): on SIGCONT the process collects its garbage and appends a line about itself to the
 * file that the environment names, so that its memory can be compared without what is only waiting to be collected.
 */
import { appendFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { isMainThread } from "node:worker_threads";

/** CPU of the process in milliseconds when it was asked, and when it had collected; memory in MB. */
export type Look = {
  readonly cpuBefore: number;
  readonly cpuAfter: number;
  readonly rss: number;
  readonly heapUsed: number;
};

/** The variable that names the file. */
export const lookVariable = "BENCH_LOOKS";

const file = process.env[lookVariable];
if (isMainThread && file !== undefined)
  process.on("SIGCONT", () => {
    const cpu = () => (process.cpuUsage().user + process.cpuUsage().system) / 1_000;
    const cpuBefore = cpu();
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void; // What the flag makes of a new context.
    collect();
    collect();
    const { rss, heapUsed } = process.memoryUsage();
    const look: Look = { cpuBefore, cpuAfter: cpu(), rss: rss / 1e6, heapUsed: heapUsed / 1e6 };
    appendFileSync(file, `${JSON.stringify(look)}\n`);
  });

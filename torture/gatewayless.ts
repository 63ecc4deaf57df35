/**
 * A process that drives the tasks of a root with everything that is real but OpenClaw: store, tools, driver, slots, clock. Its
 * agents are functions in this very process, so they die with it. It says `driving` when it has begun, `moving` when it has
 * changed something, and `rest` when nothing is unfinished; it exists to be killed in between. When an agent begins and ends is a line in the file named by the second argument.
 */
import { writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { isAlive, thisProcess } from "../src/files/launcher.ts";
import { createDriver } from "../src/flow/driver.ts";
import type { RunObservation } from "../src/flow/ports.ts";
import { createSlots } from "../src/flow/slots.ts";
import { createRecorder } from "../src/tools/driver-tools.ts";
import { createTaskReader } from "../src/tools/task-reader.ts";
import { createBench } from "../test/support/bench.ts";
import { openStore } from "./oracle.ts";
import { wordsOf } from "./part.ts";
import { createStubAgents } from "./stub-agents.ts";

const [root = "", effects = "", parallelTasks = "4"] = process.argv.slice(2);
const store = await openStore(root);
const bench = createBench({ store, root, config: { acceptanceReview: false, parallelTasks: Number(parallelTasks) } });
const us = thisProcess(`${process.pid}-${Date.now()}`);
let said = "";
const say = (word: string) => {
  if (word !== said) writeSync(1, `${(said = word)}\n`);
};

const desk = {
  ...bench.desk(),
  now: () => new Date(),
  committed: (stream: Parameters<typeof driver.committed>[0]) => {
    say("moving");
    driver.committed(stream);
  },
};

const agents = createStubAgents(() => desk, effects);

const driver = createDriver({
  root,
  settings: () => desk.settings,
  recorder: createRecorder(desk),
  reader: createTaskReader(desk),
  slots: createSlots(() => desk.settings.parallelTasks),
  log: {
    info: () => undefined,
    warn: (line) => void process.stderr.write(`${line}\n`),
    error: (line) => void process.stderr.write(`${line}\n`),
  },
  clock: {
    now: () => Date.now(),
    elapsed: () => performance.now(),
    wait: (ms, signal) => sleep(ms, undefined, { signal }).catch(() => undefined),
  },
  notifier: {
    changed: () => undefined,
    unreadable: (_stream, error) => void process.stderr.write(`${wordsOf(error)}\n`),
    readable: () => undefined,
  },
  briefs: { brief: () => Promise.resolve("Do it.") },
  checks: { run: () => Promise.reject(new Error("no check here")) },
  worktree: { identify: () => Promise.resolve(null), compare: () => Promise.resolve(null) },
  flows: { sync: () => Promise.resolve(undefined), cancelRequested: () => Promise.resolve([]), isLevel: () => false },
  runner: {
    launcher: us,
    isAlive: (launcher) => Promise.resolve(isAlive(launcher)),
    agentFor: () => Promise.resolve("main"),
    launch({ runId, sessionKey }) {
      agents.begin(runId, sessionKey);
      return Promise.resolve();
    },
    async observe({ runId }, atMostMs): Promise<RunObservation> {
      // OpenClaw takes also a run that it never had for a live one; who launched it tells that it is gone.
      await agents.waitFor(runId, atMostMs);
      return agents.isLive(runId) === false ? { kind: "ended", by: "itself" } : { kind: "live" };
    },
    stop: ({ runId }) => Promise.resolve(agents.isLive(runId) === true),
    cleanUp: () => Promise.resolve(),
    usage: () => Promise.resolve(null),
    signs: (runId) => (agents.isLive(runId) !== undefined ? { idleMs: 0, refusals: 0 } : undefined),
  },
});

say("driving");
await driver.resume();
while (driver.unfinished().length > 0) await sleep(20);
await driver.stop();
await store.close();
say("rest");

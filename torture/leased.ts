/**
 * A process that drives a root as the plugin does in a gateway: it takes the driving lease, drives while it has it, and tries
 * again when another one has it. OpenClaw is a fake, and its agents are functions of this process, which take a while. It says
 * `drives` and `rests` when it begins and ceases to drive, and ends when it is asked to (SIGTERM).
 */
import { writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { createDesk } from "../src/host/desk.ts";
import { createDriving } from "../src/host/driving.ts";
import { openRoot, openRoots } from "../src/host/roots.ts";
import { createFakeHost } from "../test/support/fake-host.ts";
import { randomFrom } from "./part.ts";
import { createStubAgents } from "./stub-agents.ts";

const [root = "", stateDir = "", effects = "", seed = "1"] = process.argv.slice(2);
const random = randomFrom(Number(seed));
const config = { root, acceptanceReview: false, notify: "off", parallelTasks: 50 };
const agents = createStubAgents(
  async () => createDesk(host, await openRoot(root, () => undefined)),
  effects,
  () => 200 + random() * 1_000,
);
const { host } = createFakeHost({ plugins: { entries: { "project-orchestrator": { config } } } }, stateDir, agents);
const driving = createDriving(host);

const ending = new AbortController();
process.once("SIGTERM", () => ending.abort());
driving.begin();
for (let said = ""; !ending.signal.aborted;) {
  const word = (await openRoots()).some(({ driver }) => driver !== undefined) ? "drives" : "rests";
  if (word !== said) writeSync(1, `${(said = word)}\n`);
  await sleep(20, undefined, { signal: ending.signal }).catch(() => undefined);
}
await driving.end();

// `npm start`: a person chats with the orchestrator of a real OpenClaw gateway until a small program is built. The plugin is
// packed and installed as its users would do it; the model is scripted (examples/fairshare/agents.ts) unless --model names
// one, and everything that it does is done for real. Ends with 0 only when the task is done and the program's tests pass.

import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as pause } from "node:timers/promises";

import { createAgents, gistOf, person } from "../examples/fairshare/agents.ts";
import type { Client } from "../harness/client.ts";
import { startGateway, type Gateway } from "../harness/gateway.ts";
import { startModel, type ScriptedModel } from "../harness/model.ts";
import { readOptions } from "../harness/options.ts";
import { copyHome, installPlugin, packPlugin } from "../harness/package.ts";
import { messageOf, until } from "../harness/wait.ts";
import { runsOf, sumUsage } from "../src/render/usage.ts";
import { countWords, durationWords, usageWords } from "../src/render/words.ts";
import { readOwnModel, type OwnModel } from "./demo/own-model.ts";
import { createProgress, type Progress, type TaskOnDisk } from "./demo/progress.ts";
import { createTerminal, type Terminal } from "./demo/terminal.ts";

const help = `npm start -- [options]

  --keep             leave the gateway's home and the project where they are, and say where
  --repaired         the builder makes no mistake; everything else is the same, QA above all
  --model P/M        a model of your own, for instance openai/gpt-5.2, with your key from the environment (OPENAI_API_KEY);
                     it costs what your provider takes for some hundred thousand tokens, and takes its time
  --base-url URL     with --model: the OpenAI-compatible endpoint of a provider that does not come with OpenClaw
  --installed HOME   take a copy of a home in which the plugin is installed, instead of packing and installing it
  --help             this text
`;

/** It takes about a minute; a machine that needs longer than this does not get there. A real model thinks. */
const limits = { scriptedMs: 5 * 60_000, ownMs: 120 * 60_000 };

interface Options {
  readonly own: OwnModel | undefined;
  readonly keep: boolean;
  readonly repaired: boolean;
  readonly installed: string | undefined;
}

interface World {
  readonly terminal: Terminal;
  readonly progress: Progress;
  /** Undefined with a model of the person's own. */
  readonly scripted: ScriptedModel | undefined;
  readonly limitMs: number;
  readonly gateway: Gateway;
  readonly client: Client;
}

/** What undoes a part of the world, the latest first. */
type Ends = (() => Promise<void>)[];

async function main(): Promise<number> {
  const values = readOptions({
    keep: { type: "boolean" },
    repaired: { type: "boolean" },
    model: { type: "string" },
    "base-url": { type: "string" },
    installed: { type: "string" },
    help: { type: "boolean" },
  });
  if (values.help === true) {
    process.stdout.write(help);
    return 0;
  }
  const { keep = false, repaired = false, installed } = values;
  const terminal = createTerminal();
  const ends: Ends = [];
  try {
    const own = readWish(values.model, values["base-url"], repaired);
    await Promise.race([demonstrate(terminal, { keep, repaired, installed, own }, ends), untilSignal()]);
    return 0;
  } catch (error) {
    terminal.line("✖ failed", messageOf(error), "red");
    return 1;
  } finally {
    terminal.waiting("");
    for (const end of ends.toReversed())
      await end().catch((error: unknown) => {
        terminal.line("✖ clean-up", messageOf(error), "red");
      });
  }
}

function readWish(model: string | undefined, baseUrl: string | undefined, repaired: boolean): OwnModel | undefined {
  if (model !== undefined && repaired) throw new Error("--repaired is for the scripted model, not for --model");
  if (model === undefined && baseUrl !== undefined) throw new Error("--base-url wants --model with it");
  return model === undefined ? undefined : readOwnModel({ model, baseUrl }, process.env);
}

async function demonstrate(terminal: Terminal, options: Options, ends: Ends): Promise<void> {
  const world = await openWorld(terminal, options, ends);
  const done = await Promise.race([converse(world), watchOver(world)]);
  await showResult(terminal, done, options);
}

/** Everything that the demonstration needs. */
async function openWorld(terminal: Terminal, options: Options, ends: Ends): Promise<World> {
  const { keep, repaired, installed, own } = options;
  const settingUp = (text: string): void => {
    terminal.line("set-up", text, "dim");
    terminal.waiting(text);
  };
  const base = await mkdtemp(join(tmpdir(), "orchestrator-demo-"));
  const home = join(base, "home");
  // The last thing of all: a gateway that is still starting ends only with this process.
  process.once("exit", () => {
    if (keep) terminal.line("kept", base);
    else rmSync(base, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  });
  if (installed === undefined) {
    settingUp("packing the plugin");
    const { tarball } = await packPlugin({ into: base });
    settingUp("installing it into a fresh home with `openclaw plugins install`");
    await installPlugin(home, tarball);
  } else {
    settingUp(`copying ${installed}`);
    await copyHome(installed, home);
  }

  const progress = createProgress(terminal, join(home, "workspace", "projects"));
  const scripted = own === undefined ? await startScripted(progress, repaired) : undefined;
  if (scripted !== undefined) ends.push(() => scripted.stop());

  settingUp(`starting an OpenClaw gateway${own === undefined ? "" : ` with ${own.name}`}`);
  const gateway = await startGateway({
    home,
    pluginConfig: { checks: { allow: ["node"] } },
    keep,
    ...(scripted === undefined ? {} : { modelUrl: scripted.url }),
    ...(own === undefined ? {} : { extra: own.config, env: own.env }),
  });
  ends.push(() => gateway.dispose());
  const client = await gateway.connect();
  const limitMs = own === undefined ? limits.scriptedMs : limits.ownMs;
  return { terminal, progress, scripted, limitMs, gateway, client };
}

function startScripted(progress: Progress, repaired: boolean): Promise<ScriptedModel> {
  const agents = createAgents({ repaired });
  return startModel(async (turn) => {
    const answer = await agents(turn);
    await progress.acted(turn, answer);
    return answer;
  });
}

// --- the chat

/** The conversation, from the first message to the answer that it is done; returns the task as it is then. */
async function converse({ terminal, progress, scripted, limitMs, client }: World): Promise<TaskOnDisk> {
  let heard: readonly string[] = [];
  let hearing: Promise<readonly string[]> = Promise.resolve(heard);
  const hearNow = async (): Promise<readonly string[]> => {
    const messages = await client.history();
    const texts = messages.flatMap(({ role, text }) => (role === "assistant" && text !== "" ? [text] : []));
    for (const text of texts.slice(heard.length)) terminal.line("orchestrator", text, "bold");
    return (heard = texts);
  };
  /** Prints what the orchestrator has said since the last look into the chat; returns all of it. One look at a time. */
  const hear = (): Promise<readonly string[]> => (hearing = hearing.catch(() => heard).then(hearNow));
  const say = async (text: string): Promise<void> => {
    const [first, ...more] = text.split("\n");
    terminal.line("you", more.length === 0 ? text : `${String(first)}\n(${countWords(more.length, "line")})`, "bold");
    terminal.waiting("the orchestrator thinks");
    const before = (await hear()).length;
    const reply = await client.chat(text, { limitMs });
    if (reply.state !== "final")
      throw new Error(`the orchestrator did not answer: ${reply.state} ${reply.error ?? ""}`);
    await until("the answer to be in the chat", async () => (await hear()).length > before);
    terminal.waiting("");
  };

  await say(person.project);
  await say(person.task);
  await say(person.start);
  const saidAtStart = (await hear()).length;
  terminal.waiting("builder and QA are at work");
  // The host sends no message for a turn that nobody's message began; it says that there was one.
  const stopListening = client.on(({ event }) => {
    if (event === "heartbeat") hear().catch(() => heard); // The next look shows what this one missed.
  });
  const ended = await until("the task to end", async () => findEnded(await progress.look()), { limitMs, everyMs: 100 });
  const question = [ended.task, ...ended.steps].find((one) => one.question !== null)?.question;
  if (ended.task.status !== "done")
    throw new Error(`the task is ${ended.task.status}: ${question?.text ?? "no question is open"}`);
  terminal.plain("");
  await until("the orchestrator to say that it is done", async () =>
    scripted === undefined
      ? (await hear()).length > saidAtStart
      : (await hear()).some((text) => text.includes("The task is done.")),
  );
  stopListening();
  await say(person.end);
  return ended;
}

/** A task that has ended, or that waits for a person who will not come. Its last run must be over, for the costs. */
function findEnded(found: TaskOnDisk | undefined): TaskOnDisk | undefined {
  if (found === undefined || runsOf(found.steps).some((run) => run.end === null)) return undefined;
  return ["done", "cancelled", "blocked"].includes(found.task.status) ? found : undefined;
}

// --- what can go wrong

/** Never returns; throws when the gateway is gone, when an agent's script has failed, or when it takes too long. */
async function watchOver({ terminal, gateway, scripted, limitMs }: World): Promise<never> {
  const endOfLog = async (): Promise<string> =>
    `the end of the gateway's log:\n${(await gateway.logs()).slice(-2_000)}`;
  for (;;) {
    await pause(250);
    const [failure] = scripted?.failures() ?? [];
    if (failure !== undefined) throw failure;
    if (!isAlive(gateway.pid))
      throw new Error(`the gateway (pid ${String(gateway.pid)}) ended by itself; ${await endOfLog()}`);
    if (terminal.elapsedMs() > limitMs)
      throw new Error(`not done after ${durationWords(limitMs)}; ${await endOfLog()}`);
  }
}

/** A second signal must not interrupt the clean-up that the first one caused, so the listeners stay. */
function untilSignal(): Promise<never> {
  return new Promise((_resolve, reject) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
      process.on(signal, () => {
        reject(new Error(`ended by ${signal}`));
      });
  });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

// --- the end

/** Shows the task's page and where the others are, and runs the tests of what was built; throws when they fail. */
async function showResult(
  terminal: Terminal,
  { project, task, steps, folder }: TaskOnDisk,
  { keep }: Options,
): Promise<void> {
  const page = join(folder, "task.md");
  terminal.heading(page);
  terminal.plain(`\n${await readFile(page, "utf8")}`);

  terminal.heading("To read");
  terminal.plain(`  The project   ${join(folder, "..", "..", "project.md")}`);
  terminal.plain(`  The task      ${page}`);
  for (const step of steps) terminal.plain(`  ${step.id.padEnd(12)}  ${join(folder, "steps", `${step.id}.md`)}`);
  terminal.plain(`  The program   ${project.repo}`);
  terminal.plain(
    keep ? "" : "  (They are in a temporary folder that is removed now: `npm start -- --keep` leaves it.)\n",
  );

  const { NODE_TEST_CONTEXT: _, ...env } = process.env; // Inside somebody's `node --test` it would make the tests do nothing.
  const tests = spawnSync(process.execPath, ["--test"], { cwd: project.repo, env, encoding: "utf8", timeout: 60_000 });
  if (tests.status !== 0)
    throw new Error(
      `the tests of the program failed (exit code ${String(tests.status)}):\n${tests.stdout}${tests.stderr}`,
    );
  terminal.line("✔ tests", `\`node --test\` in the program's folder: exit code 0, ${gistOf(tests.stdout)}`, "green");
  const attempts = steps.reduce((sum, { attempt }) => sum + attempt, 0);
  const runs = runsOf(steps);
  terminal.line(
    "✔ done",
    `${task.title}: ${countWords(steps.length, "step")}, ${countWords(attempts, "attempt")}, ${countWords(runs.length, "run")}; ${usageWords(sumUsage(runs))}; ${durationWords(terminal.elapsedMs())} in all`,
    "green",
  );
}

process.exit(await main());

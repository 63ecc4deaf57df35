/**
 * One agent and no configuration at all, then the README's configuration with agents of their own for builder and QA, as a
 * user would add it one day. One gateway; it is started anew once.
 */
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import type { JsonObject } from "../../harness/json.ts";
import { gate } from "../../harness/model.ts";
import { repoRoot } from "../../harness/openclaw.ts";
import { until } from "../../harness/wait.ts";
import { buildsWell } from "./cast.ts";
import { aStep, call, openStage, type Stage } from "./stage.ts";

/** The example of the README, word for word. */
const readme = JSON.parse(
  /### Agents of their own[^]*?```json\n([^]*?)```/.exec(readFileSync(path.join(repoRoot, "README.md"), "utf8"))?.[1] ??
    "",
) as JsonObject;
const configOf = (config: JsonObject): JsonObject => ({
  plugins: { entries: { "project-orchestrator": { config } } },
});

/** A new agent's first turns are slow, and so is a machine that does other things too. */
const limitMs = 240_000;

let stage: Stage;
/** Where projects are kept: the one agent's workspace, then the one that the README pins. */
let root: string;
beforeAll(async () => {
  stage = await openStage(inject("template"), undefined, {}, () => root);
  root = stage.gateway.paths.workspace;
});
afterAll(() => stage?.end());

const isOffered = async (tool: string, sessionKey: string) =>
  (await (await stage.client()).invokeTool(tool, {}, { sessionKey })).status !== 404;

describe("agents", { timeout: 600_000 }, () => {
  const held = gate();

  it(
    "need no configuration at all: the runs are sessions of the orchestrator's own agent",
    { tags: ["s8.nothing-required", "s7.roles-default", "s7.roles-different-sessions"] },
    async () => {
      const play = await stage.begin("Unconfigured");
      await play.untilTask("done", limitMs);
      const step = await play.step("step-01");
      expect(
        [step.builder.sessionKey, step.qa.sessionKey].map((key) => key?.split(":project-orchestrator:")[0]),
      ).toEqual(["agent:main:subagent", "agent:main:subagent"]);
      expect(step.builder.sessionKey).not.toBe(step.qa.sessionKey);
    },
  );

  it(
    "added later move the workspace: an unfinished task in the old one goes on, and the status names the line that pins it",
    { tags: ["s7.roots-remembered", "s8.role-agent"] },
    async () => {
      stage.cast.play("Moved", { builder: async (scene) => (await held.hold(scene.turn), buildsWell(scene)) });
      const play = await stage.begin("Moved");
      await held.reached;
      const before = stage.gateway.paths.workspace;
      await stage.gateway.kill();
      await stage.gateway.configure(readme);
      await stage.gateway.start();
      await until("the builder to be launched again", () => play.turnsOf("step-01", "builder", 1, 2).length > 0, {
        limitMs,
      });
      const status = await until(
        "the status to name the old root",
        async () => {
          const text = await stage.say(call("get_status", {}));
          return text.includes(before) ? text : undefined;
        },
        { limitMs },
      );
      expect(status).toContain(`agents.entries.main.workspace: ${JSON.stringify(before)}`);
      held.open();
      await play.untilTask("done", limitMs);
      expect((await play.step("step-01")).builder.sessionKey).toMatch(/^agent:builder:subagent:/);
      await until("the status to forget it", async () => !(await stage.say(call("get_status", {}))).includes(before), {
        limitMs,
      });
    },
  );

  it(
    "of the README's example do the runs, in the orchestrator's workspace",
    { tags: ["s7.roles-own-agents", "s8.role-agent", "s8.root"] },
    async () => {
      root = path.join(stage.gateway.paths.home, ".openclaw", "workspace");
      const play = await stage.begin("Separate", { steps: [aStep(), aStep()] });
      await play.untilTask("done", limitMs);
      for (const step of await play.steps()) {
        if (step.kind === "work")
          expect(step.builder.sessionKey).toMatch(/^agent:builder:subagent:project-orchestrator:/);
        expect(step.qa.sessionKey).toMatch(/^agent:qa:subagent:project-orchestrator:/);
      }
      expect(await readFile(path.join(play.repo, "step-01.txt"), "utf8")).toBe("attempt 1\n");
      const ours = (tools: readonly string[] = []) =>
        tools.filter((tool) => /^(record_|create_|set_|start_task|get_status)/.test(tool));
      expect(ours(play.turnsOf("step-01", "builder")[0]?.tools)).toEqual(["record_builder_result"]);
      expect(ours(play.turnsOf("step-01", "qa")[0]?.tools)).toEqual(["record_qa_result"]);
      await play.untilTold(`Task ${play.taskId} is done`);
    },
  );

  it(
    "of a role are not offered the orchestrator's tools, whatever their session",
    { tags: ["s7.role-agents-do-not-orchestrate"] },
    async () => {
      expect(await isOffered("get_status", "agent:main:main")).toBe(true);
      for (const sessionKey of ["agent:builder:main", "agent:qa:main", "agent:builder:other"])
        for (const tool of ["create_project", "start_task", "set_step_status", "get_status"])
          expect([sessionKey, tool, await isOffered(tool, sessionKey)]).toEqual([sessionKey, tool, false]);
      // Only the host's own answer counts here: the agent of a role talks, and has none of our tools in that turn.
      await stage.say("Which tools do you have?", "agent:builder:main");
      const turn = stage.model.turns.all().findLast((entry) => entry.turn.sessionKey === "agent:builder:main")?.turn;
      expect(turn?.tools.filter((tool) => /^(create_|set_|start_task|get_status|record_)/.test(tool))).toEqual([]);
    },
  );

  it(
    "that `orchestrators` does not name are offered none, from the next turn on, in the same process",
    { tags: ["s8.orchestrators", "s8.read-live"] },
    async () => {
      const { pid } = stage.gateway;
      await stage.gateway.configure(configOf({ orchestrators: ["somebody"] }));
      await until("the tools to be gone", async () => !(await isOffered("get_status", "agent:main:main")), { limitMs });
      await stage.gateway.configure(configOf({ orchestrators: ["main"] }));
      await until("the tools to be back", () => isOffered("get_status", "agent:main:main"), { limitMs });
      expect(await isOffered("get_status", "agent:builder:main")).toBe(false);
      expect(stage.gateway.pid).toBe(pid);
    },
  );

  it(
    "are as before after a configuration that is not valid: the host refuses it and names the value",
    { tags: ["s8.closed", "s8.faulty-named"] },
    async () => {
      await stage.gateway.configure(configOf({ maxAttempts: 0, nonsense: true }));
      const log = await until(
        "the host to refuse it",
        async () => {
          const text = await stage.gateway.logs();
          return /invalid config/i.test(text) ? text : undefined;
        },
        { limitMs },
      );
      expect(log).toMatch(/project-orchestrator\.config[^\n]*(nonsense|maxAttempts)/);
      expect(await isOffered("get_status", "agent:main:main")).toBe(true);
    },
  );

  it("never made the scripted people fail", () => {
    expect(stage.model.failures()).toEqual([]);
  });
});

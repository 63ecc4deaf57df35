/** Who may call what: the same rule when tools are offered and when one is called. */
import { describe, expect, it } from "vitest";
import { readSettings, type Config } from "../../src/schema/config.ts";
import { mayUse, type Audience } from "../../src/tools/tool.ts";
import type { Caller } from "../../src/tools/desk.ts";
import { createRecorder } from "../../src/tools/driver-tools.ts";
import { aProject, aStep, aTask, createBench, tools, type ToolName } from "../support/bench.ts";
import { inRun, owner, wakeUp } from "../support/callers.ts";

const settingsOf = (config: Config) => readSettings(config).settings;
const place = { taskId: "login-1", stepId: "step-01", attempt: 1, role: "builder", launch: 1 } as const;
const qaPlace = { ...place, role: "qa" } as const;

const own: Config = { roles: { builder: { agentId: "builder" }, qa: { agentId: "qa" } } };
const sessions: readonly (readonly [who: string, caller: Caller, config: Config, may: readonly Audience[]])[] = [
  ["the owner's chat", owner(), {}, ["orchestrator"]],
  ["a wake-up turn, which has no sender", wakeUp(), {}, ["orchestrator"]],
  ["a scheduled turn where the host does not say", wakeUp({ senderIsOwner: undefined }), {}, ["orchestrator"]],
  ["another agent's chat", owner({ agentId: "other", sessionKey: "agent:other:main" }), {}, ["orchestrator"]],
  ["a sender who is not an owner", owner({ senderIsOwner: false }), {}, []],
  [
    "a sender who is not an owner, where those are allowed",
    owner({ senderIsOwner: false }),
    { allowNonOwners: true },
    ["orchestrator"],
  ],
  ["an agent that is no orchestrator", owner(), { orchestrators: ["boss"] }, []],
  [
    "an agent that is one",
    owner({ agentId: "boss", sessionKey: "agent:boss:main" }),
    { orchestrators: ["boss"] },
    ["orchestrator"],
  ],
  ["nobody, when no agent may orchestrate", owner(), { orchestrators: [] }, []],
  ["the builders' own agent, in its chat", owner({ agentId: "builder", sessionKey: "agent:builder:main" }), own, []],
  ["QA's own agent, in its chat", owner({ agentId: "qa", sessionKey: "agent:qa:main" }), own, []],
  [
    "QA's own agent even when orchestrators names it",
    owner({ agentId: "qa", sessionKey: "agent:qa:main" }),
    { ...own, orchestrators: ["qa"] },
    [],
  ],
  ["an owner in a group chat", owner({ sessionKey: "agent:main:telegram:group:42" }), {}, ["orchestrator"]],
  [
    "a sender in a group chat who is not an owner",
    owner({ sessionKey: "agent:main:telegram:group:42", senderIsOwner: false }),
    {},
    [],
  ],
  [
    "a sender in a group chat of whom the host does not say",
    owner({ sessionKey: "agent:main:telegram:group:42", senderIsOwner: undefined }),
    {},
    ["orchestrator"],
  ],
  ["a scheduled turn of its own session", wakeUp({ sessionKey: "agent:main:cron:nightly" }), {}, ["orchestrator"]],
  ["an operator who calls a tool directly", owner({ hasSender: false }), {}, ["orchestrator"]],
  ["a wake-up turn of an agent that is no orchestrator", wakeUp(), { orchestrators: ["boss"] }, []],
  ["an owner's message to a subagent", owner({ sessionKey: "agent:boss:subagent:1" }), { orchestrators: ["boss"] }, []],
  ["any subagent", owner({ sessionKey: "agent:main:subagent:1234" }), {}, []],
  ["a subagent of a subagent", owner({ sessionKey: "agent:main:subagent:1:subagent:2" }), {}, []],
  ["a builder's run", inRun(place, "run"), {}, ["builder"]],
  [
    "a builder's run that an owner writes into",
    inRun(place, "run", { senderIsOwner: true, hasSender: true }),
    {},
    ["builder"],
  ],
  ["a QA run", inRun(qaPlace, "run"), {}, ["qa"]],
  [
    "a session that looks like a run's but has no such role",
    owner({ sessionKey: "agent:main:subagent:project-orchestrator:login-1:step-01:1:boss:1" }),
    {},
    [],
  ],
];

describe("the tools", () => {
  const rules = [
    "s5.orchestrator-no-subagent",
    "s5.orchestrator-no-role",
    "s5.orchestrators-listed",
    "s5.non-owner-nothing",
    "s5.no-sender-offered",
    "s5.role-tools-apart",
  ];
  it.each(sessions)("offered to %s are the ones it may call", { tags: rules }, async (_who, caller, config, may) => {
    const audiences = (["orchestrator", "builder", "qa"] as const).filter((audience) =>
      mayUse(audience, caller, settingsOf(config)),
    );
    expect(audiences).toStrictEqual(may);
    const bench = createBench({ config });
    for (const tool of tools) {
      // Parameters that no tool takes: whoever may call is told so, whoever may not hears nothing of parameters.
      const { code } = await bench.refused(tool.name as ToolName, { nonsense: true }, caller);
      expect([tool.name, code]).toStrictEqual([
        tool.name,
        may.includes(tool.audience) ? "invalid-parameters" : "not-allowed",
      ]);
    }
  });

  it("for an orchestrator are seven, and one for each role", () => {
    const byAudience = Map.groupBy(tools, (tool) => tool.audience);
    expect([...byAudience].map(([audience, of]) => [audience, of.length])).toStrictEqual([
      ["orchestrator", 7],
      ["builder", 1],
      ["qa", 1],
    ]);
  });

  it("of the driver are no agent's", async () => {
    const internal = [
      "plan_run",
      "confirm_run",
      "end_run",
      "finish_checks",
      "settle_dependencies",
      "link_flow",
      "obey_flow_cancel",
    ];
    expect(tools.filter((tool) => internal.includes(tool.name))).toStrictEqual([]);
    const bench = createBench();
    const taskId = await bench.started();
    const at = new Date(0).toISOString();
    const refused = await createRecorder(bench.desk()).record(
      { projectId: "shop", taskId },
      { type: "TaskPaused", v: 1, at, reason: "me" },
    );
    expect(refused).toMatchObject({ ok: false, code: "not-allowed" });
  });
});

describe("the journal", () => {
  it("says who it was: a person, the orchestrator, a builder, QA, the driver", async () => {
    const bench = createBench();
    await bench.done("create_project", aProject());
    const { taskId } = await bench.done("create_task", aTask({ steps: [aStep()] }), wakeUp());
    const id = String(taskId);
    await bench.done("start_task", { taskId: id });
    await bench.built(id);
    const qa = await bench.launched(id, "step-01", "qa");
    await bench.done(
      "record_qa_result",
      { criteria: ["c1", "c2"].map((one) => ({ id: one, pass: true, evidence: "Seen." })) },
      qa.caller(),
    );
    const who = (await bench.history({ projectId: "shop", taskId: id })).map(
      ({ tool, actor }) => `${tool}: ${actor.kind}`,
    );
    expect(who).toStrictEqual([
      "create_task: orchestrator",
      "start_task: person",
      "plan_run: driver",
      "confirm_run: driver",
      "record_builder_result: builder",
      "end_run: driver",
      "plan_run: driver",
      "confirm_run: driver",
      "record_qa_result: qa",
    ]);
  });
});

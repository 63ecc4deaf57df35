/**
 * What the tools say to a model, word for word, in one golden file: a short story of calls, accepted and refused. `vitest
 * -u` writes it; read the difference as a model would.
 */
import { expect, it } from "vitest";
import {
  aBuilderReport,
  aJudgement,
  aProject,
  aStep,
  aTask,
  createBench,
  tools,
  type ToolName,
} from "../support/bench.ts";
import { owner, wakeUp } from "../support/callers.ts";

it("the tools say what happened and what follows", async () => {
  const bench = createBench({ config: { checks: { allow: ["npm"] } } });
  const lines: string[] = tools.map(
    ({ name, audience, readsOnly }) => `${name}: for ${audience}${readsOnly === true ? ", reads only" : ""}`,
  );
  const say = async (name: ToolName, parameters: unknown, caller = owner()) => {
    const { text, details } = await bench.call(name, parameters, caller);
    lines.push("", `> ${name} ${JSON.stringify(parameters)}`, text);
    if ("refused" in details) lines.push(JSON.stringify(details["refused"]));
    return details;
  };

  await say("create_task", aTask());
  await say("create_project", aProject({ repo: "/repos/shop" }));
  await say("create_project", aProject());
  const first = String((await say("create_task", aTask()))["taskId"]);
  await say("create_task", aTask({ title: "Unknown dependency", dependsOn: ["gone"] }));
  await say("create_task", aTask({ title: "Twice", dependsOn: [first, first] }));
  const second = String((await say("create_task", aTask({ title: "Basket", dependsOn: [first] })))["taskId"]);
  await say("create_task", aTask({ steps: [aStep({ checks: [{ name: "t", command: ["make"] }] })] }));
  await say("create_step", { taskId: first, ...aStep() });
  await say("create_step", { taskId: "gone", ...aStep() });
  await say("start_task", { taskId: second });
  await say("start_task", { taskId: first });
  await say("start_task", { taskId: first });
  await say("set_task_status", { taskId: first, status: "paused" });
  await say("set_task_status", { taskId: first, status: "running" });
  await say("set_step_status", { taskId: first, stepId: "step-02", status: "skipped", reason: "Later." }, wakeUp());
  await say("set_step_status", { taskId: first, stepId: "step-02", status: "skipped", reason: "Later." });
  const builder = await bench.launched(first, "step-01", "builder");
  await say("start_task", { taskId: first }, builder.caller());
  await say("record_builder_result", aBuilderReport());
  await say("record_qa_result", aJudgement(), builder.caller());
  await say("record_builder_result", { outcome: "blocked", summary: "Stuck.", filesChanged: [] }, builder.caller());
  await say("record_builder_result", aBuilderReport(), builder.caller());
  await say("record_builder_result", aBuilderReport(), builder.caller());
  await bench.ended(first, "step-01", "builder");
  const qa = await bench.launched(first, "step-01", "qa");
  await say("record_qa_result", { criteria: [] }, qa.caller());
  await say("record_qa_result", { ...aJudgement(["c1"]), feedback: "" }, qa.caller());
  await say("record_qa_result", aJudgement(["c1"]), qa.caller());
  await say("set_task_status", { taskId: first, status: "cancelled" });
  await say("create_step", { taskId: first, ...aStep() });
  await say("get_status", { taskId: first });

  const words = `${lines.join("\n")}\n`.replaceAll(first, "FIRST").replaceAll(second, "SECOND");
  await expect(words).toMatchFileSnapshot("golden/answers.txt");
});

it("an answer is the caller's own: what becomes of it changes no document and no other answer", async () => {
  const bench = createBench();
  const taskId = await bench.started();
  const spoil = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    for (const [key, inner] of Object.entries(value)) {
      spoil(inner);
      if (typeof inner === "string") Object.assign(value, { [key]: "spoiled" });
    }
  };
  const caller = owner({ toolCallId: "the same call" });
  const pause = { taskId, status: "paused", reason: "A pause." };
  const paused = await bench.call("set_task_status", pause, caller);
  const before = structuredClone(paused.details);
  for (const taken of [paused, await bench.call("get_status", { taskId }), await bench.call("get_status", {})])
    spoil(taken.details);
  expect((await bench.call("set_task_status", pause, caller)).details).toEqual(before);
  await bench.done("set_task_status", { taskId, status: "running", reason: "On." }, owner());
  expect(await bench.everything()).not.toContain("spoiled");
  expect(JSON.stringify((await bench.call("get_status", { taskId })).details)).not.toContain("spoiled");
});

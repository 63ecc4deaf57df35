import { encode } from "gpt-tokenizer";
import { describe, expect, it } from "vitest";
import type { Turn } from "../../../harness/model.ts";
import type { Stage } from "../stage.ts";

export const orchestratorTools = [
  "create_project",
  "create_step",
  "create_task",
  "get_status",
  "set_step_status",
  "set_task_status",
  "start_task",
];
export const ours = [...orchestratorTools, "record_builder_result", "record_qa_result"];
const mostTokens = 3_000;

export const oursIn = (turn: Turn | undefined) => (turn?.tools ?? []).filter((name) => ours.includes(name)).toSorted();
/** A tool as the model is sent it. */
const asSent = (turn: Turn, name: string) =>
  JSON.stringify({
    type: "function",
    function: { name, description: turn.toolDescriptions[name], parameters: turn.toolSchemas[name] },
  });

export function offered(stage: () => Stage): void {
  describe("what the agents are offered", () => {
    it(
      "is seven tools in few tokens and the skill for the orchestrator, and one tool each for builder and QA",
      { tags: ["s5.role-tools-apart", "s5.host-sees-no-bounds", "s5.parameters-described"] },
      async () => {
        const play = await stage().begin("OfferedTools");
        await play.untilTask("done");
        const turn = await stage().model.turns.waitFor(
          "a turn of the orchestrator",
          (one) => one.role === "orchestrator" && one.wholeText.includes("OfferedTools"),
        );
        expect(oursIn(turn)).toEqual(orchestratorTools);
        const sizes = orchestratorTools.map((name) => [name, encode(asSent(turn, name)).length] as const);
        const sum = sizes.reduce((total, [, size]) => total + size, 0);
        process.stdout.write(
          `The orchestrator's tools take ${sum} of at most ${mostTokens} tokens: ${sizes.map(([name, size]) => `${name} ${size}`).join(", ")}\n`,
        );
        expect(sum).toBeLessThanOrEqual(mostTokens);
        for (const name of orchestratorTools) expect(turn.toolDescriptions[name]).toMatch(/\w/);
        for (const name of orchestratorTools) {
          expect(turn.toolSchemas[name]).toMatchObject({ type: "object", additionalProperties: false });
          expect(JSON.stringify(turn.toolSchemas[name])).not.toMatch(
            /"(?:m(?:in|ax)(?:Length|Items|imum)|pattern|anyOf|oneOf|format)":/,
          );
        }
        expect(turn.system).toMatch(/<name>project-orchestrator<\/name>/);

        expect(oursIn(play.turnsOf("step-01", "builder")[0])).toEqual(["record_builder_result"]);
        expect(oursIn(play.turnsOf("step-01", "qa")[0])).toEqual(["record_qa_result"]);
      },
    );
  });
}

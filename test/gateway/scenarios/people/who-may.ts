import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { guestScopes, type Client } from "../../../../harness/client.ts";
import type { Turn } from "../../../../harness/model.ts";
import { oneByOne, report, type Act } from "../../cast.ts";
import { call, type Stage } from "../../stage.ts";
import { orchestratorTools } from "../offered.ts";
import { configure, oursIn, tryTurn } from "./configuring.ts";

/** A builder that cannot go on without an answer. */
const asks: Act = oneByOne(
  report({ outcome: "blocked", summary: "Two ways.", filesChanged: [], question: "Left or right?" }),
);

export function whoMay(stage: () => Stage): void {
  describe("the tools", () => {
    const turnOf = async (client: Client, sessionKey: string): Promise<Turn> => {
      const turn = await tryTurn(stage(), client, sessionKey);
      if (turn === undefined) throw new Error(`the message in ${sessionKey} failed`);
      return turn;
    };

    it(
      "are offered in any chat of an orchestrating agent, a group's too, and to no other agent",
      { tags: ["s5.orchestrators-listed", "s5.orchestrator-no-role", "s5.orchestrator-no-subagent"] },
      async () => {
        const owner = await stage().client();
        for (const chat of ["agent:main:main", "agent:second:main", "agent:main:telegram:group:-100200300"])
          expect([chat, oursIn(await turnOf(owner, chat))]).toEqual([chat, orchestratorTools]);
        // One is not in `orchestrators`; the other is, but plays a role.
        for (const chat of ["agent:stranger:main", "agent:maker:main", "agent:main:subagent:helper"])
          expect([chat, oursIn(await turnOf(owner, chat))]).toEqual([chat, []]);
        for (const sessionKey of ["agent:stranger:main", "agent:maker:main"])
          expect((await owner.invokeTool("get_status", {}, { sessionKey })).status).toBe(404);
      },
    );

    it(
      "are offered to a sender who is not an owner only with allowNonOwners, which is read as it is now",
      { tags: ["s5.non-owner-nothing", "s5.decision-owner-flag"] },
      async () => {
        const client = await stage().gateway.connect({ scopes: guestScopes });
        const group = "agent:main:telegram:group:-100200301";
        expect(oursIn(await turnOf(client, group))).toEqual([]);
        expect(oursIn(await turnOf(await stage().client(), group)), "the owner in the same group").toEqual(
          orchestratorTools,
        );

        await configure(stage(), { allowNonOwners: true });
        expect(oursIn(await turnOf(client, group))).toEqual(orchestratorTools);

        stage().cast.play("GuestsTask", { builder: asks });
        const say = async (line: string) => (await client.chat(line, { sessionKey: group })).text;
        const projectId = /Project (\S+) is made/.exec(
          await say(call("create_project", { name: "Guests project", spec: "Of a guest." })),
        )?.[1];
        const taskId = /Task (\S+) is a draft/.exec(
          await say(
            call("create_task", {
              projectId,
              title: "GuestsTask",
              spec: "Do it.",
              acceptanceCriteria: ["It is done."],
              steps: [{ title: "One", goal: "One.", passCriteria: ["One."] }],
            }),
          ),
        )?.[1];
        await say(call("start_task", { taskId }));
        const play = stage().at(projectId ?? "", taskId ?? "");
        const { question } = await play.untilStep("step-01", "blocked");
        for (const [stepId, status] of [
          ["step-01", "queued"],
          ["step-01", "skipped"],
          ["acceptance", "skipped"],
        ] as const)
          expect(await say(call("set_step_status", { taskId, stepId, status, reason: "I say so." }))).toContain(
            "person-required",
          );
        expect((await play.step("step-01")).question).toEqual(question);

        await stage().say(
          call("set_step_status", { taskId, stepId: "step-01", status: "skipped", reason: "No." }),
          group,
        );
        expect((await play.step("step-01")).status).toBe("skipped");

        await configure(stage(), { allowNonOwners: false });
        expect(oursIn(await turnOf(client, group))).toEqual([]);
        client.close();
      },
    );

    it("keep the session key of a group out of everything that is meant to be committed", async () => {
      const group = "agent:main:whatsapp:group:49123456789@g.us";
      stage().cast.play("GroupsTask", {});
      const play = await stage().begin("GroupsTask", {}, group);
      await play.untilTask("done");
      await play.untilTold(`Task ${play.taskId} is done`, group);
      const project = path.dirname(path.dirname(play.folder));
      const kept = (await readdir(project, { recursive: true, withFileTypes: true })).filter(
        (one) => one.isFile() && /\.(json|jsonl|md)$/.test(one.name) && !one.name.startsWith("."),
      );
      expect(kept.length).toBeGreaterThan(8);
      for (const one of kept)
        expect(await readFile(path.join(one.parentPath, one.name), "utf8"), one.name).not.toContain("49123456789");
    });
  });
}

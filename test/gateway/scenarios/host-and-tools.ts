import { mkdir, readdir, realpath, rm, symlink } from "node:fs/promises";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { connect, guestScopes, mainSession } from "../../../harness/client.ts";
import { fieldsOf, type JsonObject } from "../../../harness/json.ts";
import { aStep, call, type Stage } from "../stage.ts";

export function hostAndTools(stage: () => Stage): void {
  describe("the host and the tools", () => {
    /** A draft that nobody starts. */
    const aDraft = async (word: string) => {
      const projectId = await stage().createProject(`Project ${word}`);
      const taskId = await stage().createTask({ title: `Task ${word}`, steps: [aStep()] });
      return stage().at(projectId, taskId);
    };

    it(
      "tell a bound that is exceeded in our words, in a model's turn and in a direct call",
      { tags: ["s5.bounds-are-our-refusal", "s5.refusal-returned"] },
      async () => {
        const play = await aDraft("OverBounds");
        const before = await play.journal();
        const { taskId } = play;
        const client = await stage().client();
        const cases: readonly (readonly [tool: string, args: JsonObject, code: string])[] = [
          ["create_project", { name: "x".repeat(201), spec: "A spec." }, "invalid-name"],
          ["set_task_status", { taskId, status: "paused", reason: "x".repeat(8193) }, "too-large"],
          ["create_step", { taskId, ...aStep({ id: "Not An Id" }) }, "invalid-id"],
          ["create_step", { taskId, ...aStep({ passCriteria: [] }) }, "invalid-parameters"],
        ];
        for (const [tool, args, code] of cases) {
          expect(await stage().say(call(tool, args))).toMatch(
            new RegExp(`^Refused \\(${code}\\): .*\nAccepted would be: `),
          );
          const direct = await client.invokeTool(tool, args);
          expect([tool, direct.status]).toEqual([tool, 200]);
          expect(direct.details).toMatchObject({ refused: { code } });
        }
        expect(await play.journal()).toBe(before);
      },
    );

    it(
      "leave everything as it was when the host itself rejects a call, in the host's words",
      { tags: ["s5.host-rejects-unchanged"] },
      async () => {
        const play = await aDraft("HostRejects");
        const before = await play.journal();
        const { taskId } = play;
        const client = await stage().client();
        for (const [tool, args] of [
          ["start_task", { taskId, force: true }],
          ["start_task", {}],
          ["set_task_status", { taskId, status: "draft" }],
        ] as const) {
          const said = await stage().say(call(tool, args));
          expect(said).toMatch(/Validation failed for tool/);
          expect(said).not.toContain("Refused");
          // A direct call is not looked at by the host: there it is our refusal.
          expect((await client.invokeTool(tool, args)).details).toMatchObject({
            refused: { code: "invalid-parameters" },
          });
        }
        expect(await play.journal()).toBe(before);
      },
    );

    it(
      "give the model the text of an answer, and programs its details",
      { tags: ["s5.answer-in-two-halves"] },
      async () => {
        const play = await aDraft("TwoHalves");
        const turn = await stage().model.turns.waitFor("the turn that reads the answer", ({ results }) =>
          results.some((one) => one.text?.includes(`Task ${play.taskId} is a draft`) === true),
        );
        expect(turn.wholeText).not.toMatch(/taskPath|stepIds|task\.json/);
        const { details, text } = await (await stage().client()).invokeTool("get_status", { taskId: play.taskId });
        expect(details).toMatchObject({ task: { taskPath: path.join(play.folder, "task.json") }, truncated: false });
        expect(text).not.toContain("taskPath");
      },
    );

    it(
      "let an operator with the owner's rights decide, and one without them do everything else",
      { tags: ["s5.decision-operator", "s5.decision-in-execute"] },
      async () => {
        const { taskId } = await aDraft("OperatorDecides");
        const { port, token } = stage().gateway;
        const guest = await connect({ port, token, scopes: guestScopes });
        try {
          const invoke = async (name: string, args: JsonObject) =>
            JSON.stringify(await guest.call("tools.invoke", { name, args, sessionKey: mainSession }));
          const skip = { taskId, stepId: "step-01", status: "skipped", reason: "Not needed." };
          expect(await invoke("get_status", { taskId })).toContain('"taskStatus":"draft"');
          expect(await invoke("set_step_status", skip)).toContain("person-required");
          const owner = await stage().client();
          const owned = fieldsOf(
            await owner.call("tools.invoke", { name: "set_step_status", args: skip, sessionKey: mainSession }),
          );
          expect(JSON.stringify(owned)).toContain('"skipped"');
          const direct = await owner.invokeTool("set_step_status", { ...skip, stepId: "acceptance" });
          expect(direct.details).toMatchObject({ stepStatus: "skipped" });
        } finally {
          guest.close();
        }
      },
    );

    it(
      "launch nothing in a repository that leads elsewhere by then",
      { tags: ["s5.repo-at-launch", "s5.repo-real-path"] },
      async () => {
        const { workspace, home } = stage().gateway.paths;
        const [repo, outside] = [path.join(workspace, "moved-repo"), path.join(home, "outside-the-root")];
        await mkdir(repo);
        await mkdir(outside);
        expect(
          await stage().say(call("create_project", { name: "Project MovedRepo", spec: "None.", repo: "moved-repo" })),
        ).toContain(`Work happens in ${await realpath(repo)}`);
        const taskId = await stage().createTask({ title: "Task MovedRepo", steps: [aStep()] });
        await rm(repo, { recursive: true });
        await symlink(outside, repo);
        await stage().say(call("start_task", { taskId }));
        const play = stage().at("project-movedrepo", taskId);
        const { question, attempts } = await play.untilStep("step-01", "blocked");
        expect(question?.kind).toBe("runs-lost");
        const launches = attempts[0]?.runs.map((run) => run.launch) ?? [];
        expect(launches).toEqual([1, 2, 3]);
        for (const launch of launches) expect(play.turnsOf("step-01", "builder", 1, launch)).toEqual([]);
        expect(await readdir(outside)).toEqual([]);
        expect(await stage().gateway.logs()).toContain("is neither inside the root nor in allowedRepos");
      },
    );
  });
}

import { mkdir, realpath, symlink } from "node:fs/promises";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { gate } from "../../../harness/model.ts";
import { until } from "../../../harness/wait.ts";
import { buildsWell, report, type Act } from "../cast.ts";
import { aStep, call, type Play, type Stage } from "../stage.ts";

export function waiting(stage: () => Stage): void {
  /** Tasks whose first builder turn is held until the gate is opened. */
  const holdBuilders = (word: string) => {
    const held = gate();
    const builder: Act = async (scene) => {
      if (scene.turn.results.length === 0) await held.hold(scene.turn);
      return buildsWell(scene);
    };
    stage().cast.play(word, { builder });
    return held;
  };
  const statusOf = (taskId: string) => stage().say(call("get_status", { taskId }));
  const untilWaits = (play: Play, words: string) =>
    until(`task ${play.taskId} to wait ${words}`, async () => (await statusOf(play.taskId)).includes(words));
  const isBuilding = (play: Play) =>
    until(`${play.taskId} to build`, async () => (await play.step("step-01")).builder.status === "running");

  describe("a task that has to wait", () => {
    it(
      "for a place begins when another task has ended, and says so until then",
      { tags: ["s8.parallel-tasks"] },
      async () => {
        const [first, second, third] = ["SlotOne", "SlotTwo", "SlotThree"].map(holdBuilders);
        const one = await stage().begin("SlotOne");
        const two = await stage().begin("SlotTwo");
        await Promise.all([first?.reached, second?.reached]);
        await Promise.all([isBuilding(one), isBuilding(two)]);
        const three = await stage().begin("SlotThree");
        await untilWaits(three, `Waits: ${three.taskId} for slot ${one.taskId}.`);
        expect(await three.step("step-01")).toMatchObject({ status: "queued", attempt: 0 });
        second?.open();
        await two.untilTask("done", 120_000);
        await third?.reached;
        await isBuilding(three);
        expect((await one.step("step-01")).status).toBe("building");
        expect(await statusOf(three.taskId)).not.toContain("for slot");
        first?.open();
        third?.open();
        await Promise.all([one.untilTask("done", 120_000), three.untilTask("done", 120_000)]);
      },
    );

    it(
      "for the working tree never overlaps with the one that works in it: the same directory, one inside it, a link to it",
      { tags: ["s7.tree-exclusive", "s7.tree-waits"] },
      async () => {
        const { workspace } = stage().gateway.paths;
        const outer = path.join(workspace, "shared", "repo");
        await mkdir(path.join(outer, "inner"), { recursive: true });
        await symlink(outer, path.join(workspace, "shared", "link"));
        const begin = async (word: string, repo: string) => {
          const held = holdBuilders(word);
          const name = `Project ${word}`;
          const made = await stage().say(call("create_project", { name, spec: `The specification of ${name}.`, repo }));
          const taskId = await stage().createTask({ title: `Task ${word}`, steps: [aStep()] });
          await stage().say(call("start_task", { taskId }));
          const projectId = /Project ([a-z0-9-]+) is made/.exec(made)?.[1] ?? "";
          return { held, play: stage().at(projectId, taskId) };
        };
        const first = await begin("TreeOuter", outer);
        await first.held.reached;
        const others = [
          await begin("TreeInner", path.join(outer, "inner")),
          await begin("TreeLink", path.join(workspace, "shared", "link")),
        ];
        for (const { play } of others) await untilWaits(play, `Waits: ${play.taskId} for tree ${first.play.taskId}.`);
        for (const { held } of others) held.open();
        expect(await realpath(path.join(workspace, "shared", "link"))).toBe(await realpath(outer));
        first.held.open();
        const plays = [first.play, ...others.map(({ play }) => play)];
        await Promise.all(plays.map((play) => play.untilTask("done", 120_000)));
        await Promise.all(plays.map((play) => play.untilQuiet()));
        const spans = await Promise.all(
          plays.map(async (play) => {
            const runs = (await play.step("step-01")).attempts.flatMap((attempt) => attempt.runs);
            return { from: runs[0]?.startedAt ?? "", to: runs.at(-1)?.endedAt ?? "" };
          }),
        );
        const inOrder = spans.toSorted((one, other) => (one.from < other.from ? -1 : 1));
        for (const [at, span] of inOrder.entries())
          if (at > 0) expect(span.from >= (inOrder[at - 1]?.to ?? "")).toBe(true);
      },
    );

    it("for another task begins when that one is done", { tags: ["s4.dependency-waits"] }, async () => {
      const projectId = await stage().createProject("Project Chain");
      const first = stage().at(projectId, await stage().createTask({ title: "Task ChainOne", steps: [aStep()] }));
      const second = stage().at(
        projectId,
        await stage().createTask({ title: "Task ChainTwo", steps: [aStep()], dependsOn: [first.taskId] }),
      );
      await stage().say(call("start_task", { taskId: second.taskId }));
      await second.untilTask("waiting");
      expect(await statusOf(second.taskId)).toContain(`Waits: ${second.taskId} for task ${first.taskId}.`);
      expect(second.turnsOf("step-01", "builder")).toEqual([]);
      await stage().say(call("start_task", { taskId: first.taskId }));
      await second.untilTask("done");
      const lastEnd = (await first.step("step-01")).attempts[0]?.runs.at(-1)?.endedAt ?? "";
      expect(((await second.step("step-01")).attempts[0]?.runs[0]?.startedAt ?? "") >= lastEnd).toBe(true);
    });

    it(
      "for a cancelled task asks the owner, and goes on without it when the owner says so",
      { tags: ["s4.dependency-cancelled"] },
      async () => {
        const projectId = await stage().createProject("Project Orphan");
        const first = stage().at(projectId, await stage().createTask({ title: "Task OrphanOne", steps: [aStep()] }));
        const second = stage().at(
          projectId,
          await stage().createTask({ title: "Task OrphanTwo", steps: [aStep()], dependsOn: [first.taskId] }),
        );
        await stage().say(call("start_task", { taskId: second.taskId }));
        await second.untilTask("waiting");
        await stage().say(
          call("set_task_status", { taskId: first.taskId, status: "cancelled", reason: "Not wanted." }),
        );
        const question = await until("the question", async () => (await second.task()).question ?? undefined);
        expect(question).toMatchObject({
          kind: "dependency-cancelled",
          choices: ["go on without it", "cancel the task"],
        });
        expect((await second.task()).status).toBe("waiting");
        expect(await statusOf(second.taskId)).toContain(`Waits: ${second.taskId} for person ${question.id}.`);
        await second.untilTold(`Task ${first.taskId}, which this one waits for, was cancelled`);
        await stage().say(call("set_task_status", { taskId: second.taskId, status: "running", reason: "Without it." }));
        await second.untilTask("done");
        expect((await second.task()).question).toBeNull();
      },
    );

    it("for a person says for whose answer", async () => {
      const asks: Act = (scene) =>
        scene.place.attempt > 1
          ? buildsWell(scene)
          : scene.turn.results.length === 0
            ? report({ outcome: "blocked", summary: "I must know.", filesChanged: [], question: "Which colour?" })
            : { text: "I wait." };
      stage().cast.play("Colour", { builder: asks });
      const play = await stage().begin("Colour");
      const { question } = await play.untilStep("step-01", "blocked");
      expect(await statusOf(play.taskId)).toContain(`Waits: ${play.taskId} step-01 for person ${question?.id}.`);
      await stage().say(
        call("set_step_status", { taskId: play.taskId, stepId: "step-01", status: "queued", reason: "Blue." }),
      );
      await play.untilTask("done", 120_000);
    });
  });
}

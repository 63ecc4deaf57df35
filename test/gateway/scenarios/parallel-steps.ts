import { describe, expect, it } from "vitest";
import { fieldsOf, listOf, textOf } from "../../../harness/json.ts";
import { gate } from "../../../harness/model.ts";
import { runIdOf, sessionKeyOf } from "../../../src/flow/run-identity.ts";
import { judgesWell, oneByOne, report, type Act, type Scene } from "../cast.ts";
import { aStep, call, type Play, type Stage } from "../stage.ts";

const diamond = [
  aStep({ id: "top", dependsOn: [] }),
  aStep({ id: "left", dependsOn: ["top"] }),
  aStep({ id: "right", dependsOn: ["top"] }),
  aStep({ id: "bottom", dependsOn: ["left", "right"] }),
];

/** Nobody passes before all who are expected have come. */
function barrier(...expected: readonly string[]) {
  const missing = new Set(expected);
  const complete = Promise.withResolvers<undefined>();
  return {
    complete: complete.promise,
    async meet(name: string) {
      missing.delete(name);
      if (missing.size === 0) complete.resolve(undefined);
      if (expected.includes(name)) await complete.promise;
    },
  };
}

/** Says where it is, writes its file there by a relative name and reports it. */
const buildsAtItsPlace: Act = (scene) => {
  const file = `${scene.place.stepId}.txt`;
  return oneByOne(
    { calls: [{ name: "exec", args: { command: `pwd && echo built > ${file}` } }] },
    report({ outcome: "done", summary: `Wrote ${file}.`, filesChanged: [file] }),
  )(scene);
};
const saysWhereItIs = (scene: Scene) => scene.turn.results[0]?.text ?? "";

/** Ids of the runs of a task that the host has as running. */
async function hostRuns(stage: Stage, play: Play): Promise<readonly string[]> {
  const { tasks } = await stage.gateway.call("tasks.list", { limit: 500 });
  return listOf(tasks)
    .map(fieldsOf)
    .filter((row) => row["status"] === "running")
    .flatMap((row) => textOf(row["runId"]) ?? [])
    .filter((id) => id.startsWith(`${play.taskId}/`))
    .toSorted();
}

export function parallelSteps(stage: () => Stage): void {
  describe("a diamond of steps, two at a time", () => {
    it(
      "runs its two sides at one instant in one tree, and joins them only when both have passed",
      { tags: ["s7.run-directory", "s7.tree-shared", "s8.parallel-steps"] },
      async () => {
        const sides = barrier("left", "right");
        const held = gate();
        const places = new Set<string>();
        const told: string[] = [];
        const builder: Act = async (scene) => {
          const { place, turn } = scene;
          if (turn.results.length === 0) {
            told.push(turn.brief);
            await sides.meet(place.stepId);
            if (place.stepId === "left") await held.hold(turn);
          } else places.add(saysWhereItIs(scene).split("\n")[0] ?? "");
          return buildsAtItsPlace(scene);
        };
        const qa: Act = (scene) => {
          if (scene.turn.results.length > 0) places.add(saysWhereItIs(scene).split("\n")[0] ?? "");
          else told.push(scene.turn.brief);
          return scene.turn.results.length === 0
            ? { calls: [{ name: "exec", args: { command: "pwd && ls" } }] }
            : judgesWell(scene);
        };
        stage().cast.play("Diamond", { builder, qa });
        const play = await stage().begin("Diamond", { steps: diamond });
        await sides.complete;
        await held.reached;

        // Right may be at its QA by now; left is held, so that both sides are live until it is let go.
        const taskId = play.taskId;
        const runOf = (stepId: string) => runIdOf({ taskId, stepId, attempt: 1, role: "builder", launch: 1 });
        const atBarrier = await play.steps();
        expect(atBarrier.map((step) => step.id)).toEqual(["top", "left", "right", "bottom"]);
        expect((await play.step("left")).status).toBe("building");
        expect(await hostRuns(stage(), play)).toContain(runOf("left"));
        await play.untilStep("right", "passed");
        expect((await play.step("bottom")).status).toBe("queued");
        expect(await stage().say(call("get_status", { taskId }))).toContain(
          `Waits: ${taskId} left for run ${runOf("left")}.`,
        );
        held.open();
        await play.untilTask("done", 120_000);

        const [top, left, right, bottom] = await play.steps();
        const spanOf = (step: typeof top) => {
          const runs = step?.attempts.flatMap((attempt) => attempt.runs) ?? [];
          return { from: runs[0]?.startedAt ?? "", to: runs.at(-1)?.endedAt ?? "" };
        };
        expect(spanOf(left).from < spanOf(right).to && spanOf(right).from < spanOf(left).to).toBe(true);
        expect(spanOf(top).to <= spanOf(left).from && spanOf(top).to <= spanOf(right).from).toBe(true);
        expect(spanOf(left).to <= spanOf(bottom).from && spanOf(right).to <= spanOf(bottom).from).toBe(true);
        // Every run worked in the repository, and its brief named it.
        expect([...places]).toEqual([play.repo]);
        expect(told).toHaveLength(8);
        for (const brief of told) expect(brief).toContain(play.repo);
        // Each of the four builders was told so, the first one too.
        expect(told.filter((brief) => brief.includes("Other steps may be at work in this directory"))).toHaveLength(4);
        // In a tree that others share, differences are nobody's fault.
        for (const step of [top, left, right, bottom]) expect(step?.attempts[0]?.tree.shared).toBe(true);
        expect(await play.page("steps/left")).toContain("Other steps worked in the same tree");
      },
    );

    const side = ["s7.run-id-at-host", "s7.code-launches-runs", "s7.roles-default", "s8.parallel-steps"];
    it(
      "has two runs of the host at one instant, and no turn of the orchestrator between any two",
      { tags: side },
      async () => {
        const held = gate();
        const sides = barrier("left", "right");
        const builder: Act = async (scene) => {
          if (scene.turn.results.length === 0) {
            await sides.meet(scene.place.stepId);
            if (scene.place.stepId !== "top") await held.hold(scene.turn);
          }
          return buildsAtItsPlace(scene);
        };
        stage().cast.play("Pair", { builder });
        const play = await stage().begin("Pair", { steps: diamond.slice(0, 3) });
        const turns = stage().model.turns.of("orchestrator").length;
        await sides.complete;
        const [left, right] = ["left", "right"].map((stepId) =>
          runIdOf({ taskId: play.taskId, stepId, attempt: 1, role: "builder", launch: 1 }),
        );
        expect(await hostRuns(stage(), play)).toEqual([left, right]);
        held.open();
        await play.untilTask("done", 120_000);
        expect(stage().model.turns.of("orchestrator")).toHaveLength(turns);
        for (const step of await play.steps()) {
          const place = { taskId: play.taskId, stepId: step.id, attempt: 1, launch: 1 };
          expect(step.builder.sessionKey).toBe(sessionKeyOf("main", { ...place, role: "builder" }));
          expect(step.qa.sessionKey).toBe(sessionKeyOf("main", { ...place, role: "qa" }));
        }
      },
    );
  });
}

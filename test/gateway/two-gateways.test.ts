/**
 * One folder of projects and what can happen to it: an older copy is restored, a project's folder is copied, and two
 * gateways, each with a home of its own, keep their projects in it.
 */
import { cp, mkdtemp, readFile, realpath, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { gate } from "../../harness/model.ts";
import { runOpenclaw } from "../../harness/openclaw.ts";
import { until } from "../../harness/wait.ts";
import { buildsWell, judgesWell, type Act } from "./cast.ts";
import { aStep, call, openStage, type Play, type Stage } from "./stage.ts";

/** Two gateways at a time are slow, and `openclaw` itself takes seconds to say what a flow record is. */
const limitMs = 240_000;

let root: string;
let one: Stage;
let other: Stage | undefined;
const open = () => openStage(inject("template"), { root }, {}, () => root);
beforeAll(async () => {
  root = await realpath(await mkdtemp(path.join(tmpdir(), "orchestrator-shared-")));
  one = await open();
});
afterAll(async () => {
  await one?.end();
  await other?.end();
  await rm(root, { recursive: true, force: true });
});

const set = (stage: Stage, taskId: string, status: string, reason?: string) =>
  stage.say(call("set_task_status", { taskId, status, ...(reason === undefined ? {} : { reason }) }));
const statusOf = (stage: Stage, ids: object = {}) => stage.say(call("get_status", ids));
const last = (play: Play) =>
  play.journal().then((text) => JSON.parse(text.trim().split("\n").at(-1) ?? "{}") as object);
const untilFlowNames = async (play: Play) => {
  const { seq, sum } = (await last(play)) as { readonly seq: number; readonly sum: string };
  await until(
    "the flow to name the last record",
    async () => {
      const { stateJson } = (await play.flow()).raw as { readonly stateJson?: unknown };
      return JSON.stringify(stateJson).includes(`"seq":${seq}`) && JSON.stringify(stateJson).includes(sum);
    },
    { limitMs },
  );
};

describe("an older copy of a project that was restored", { timeout: 600_000 }, () => {
  const folder = (name: string) => path.join(root, "projects", name);
  const aside = (name: string) => path.join(root, name);
  const step2 = gate();
  const [review, reviewAgain] = [gate(), gate()];
  let play: Play;
  let draft: Play;
  const turns = () =>
    one.model.turns.all().filter(({ turn }) => turn.sessionKey?.includes(play.taskId) === true).length;

  beforeAll(async () => {
    const builder: Act = async (scene) => {
      if (scene.place.stepId === "step-02" && scene.turn.results.length === 0) await step2.hold(scene.turn);
      return buildsWell(scene);
    };
    const qa: Act = async (scene) => {
      if (scene.place.stepId === "acceptance" && scene.turn.results.length === 0)
        await (scene.place.launch === 1 ? review : reviewAgain).hold(scene.turn);
      return judgesWell(scene);
    };
    one.cast.play("Older", { builder, qa });
    play = await one.begin("Older", { steps: [aStep(), aStep()] });
    draft = one.at(play.projectId, await one.createTask({ title: "Draft beside it", steps: [aStep()] }));
    await step2.reached;
    await cp(folder(play.projectId), aside("older"), { recursive: true });
    await one.say(call("create_step", { taskId: draft.taskId, ...aStep() }));
    step2.open();
    await review.reached;
    await untilFlowNames(play);
    await untilFlowNames(draft);
    await one.gateway.kill();
    await rename(folder(play.projectId), aside("newer"));
    await cp(aside("older"), folder(play.projectId), { recursive: true });
    await cp(aside("older"), folder("a-copy"), { recursive: true });
    await one.gateway.start();
  }, 900_000);

  it(
    "is found at start: read-only, not driven, named with what to do",
    { tags: ["s7.rolled-back-is-read-only", "s7.rolled-back-is-not-driven", "s7.rolled-back-in-status"] },
    async () => {
      const [before, beforeDraft, turnsBefore] = [await play.journal(), await draft.journal(), turns()];
      await until(
        "the driver to say so",
        async () =>
          new RegExp(`task ${play.taskId} is not driven.*an older copy was restored`).test(await one.gateway.logs()),
        { limitMs },
      );
      for (const { taskId } of [play, draft]) {
        const status = await statusOf(one, { taskId });
        expect(status).toContain("state-rolled-back");
        expect(status).toContain(`set_task_status with taskId ${taskId} and status running`);
        for (const answer of [
          await set(one, taskId, "paused"),
          await set(one, taskId, "cancelled", "No."),
          await set(one, taskId, "running"),
          await one.say(call("start_task", { taskId })),
          await one.say(call("create_step", { taskId, ...aStep() })),
          await one.say(call("set_step_status", { taskId, stepId: "step-01", status: "skipped", reason: "No." })),
        ])
          expect(answer).toMatch(/state-rolled-back[^]*Accepted would be: set_task_status running/);
      }
      expect([await play.journal(), await draft.journal(), turns()]).toEqual([before, beforeDraft, turnsBefore]);
      const [told] = await play.untilTold(`Task ${play.taskId} is not driven until the owner has mended this`);
      expect(told).toContain("an older copy was restored");
    },
  );

  it(
    "leaves a copy of the folder under another name alone: read-only, not driven",
    { tags: ["s7.copied-project-not-driven"] },
    async () => {
      const journal = () => readFile(path.join(folder("a-copy"), "tasks", play.taskId, "journal.jsonl"), "utf8");
      expect(await statusOf(one, { projectId: "a-copy" })).toContain("project-copied");
      const task = { projectId: "a-copy", title: "T", spec: "S", acceptanceCriteria: ["A"], steps: [aStep()] };
      expect(await one.say(call("create_task", task))).toContain("project-copied");
      expect(await journal()).toBe(
        await readFile(path.join(aside("older"), "tasks", play.taskId, "journal.jsonl"), "utf8"),
      );
    },
  );

  it(
    "is an ordinary project again when the newer files are back, and found again under a running gateway",
    { tags: ["s7.rolled-back-ends-with-newer-files", "s7.rolled-back-is-not-driven"] },
    async () => {
      await rename(folder(play.projectId), aside("aside"));
      await rename(aside("newer"), folder(play.projectId));
      await reviewAgain.reached;
      expect(await statusOf(one, { projectId: play.projectId })).not.toContain("state-rolled-back");
      await untilFlowNames(play);
      await rename(folder(play.projectId), aside("newer"));
      await rename(aside("aside"), folder(play.projectId));
      expect(await set(one, play.taskId, "paused")).toContain("state-rolled-back");
      // The review that was under way reports into a journal that does not know it.
      reviewAgain.open();
      const ended = await one.model.turns.waitForOutcome(
        "QA to have reported",
        ({ turn }) => turn.results.length === 2 && turn.sessionKey?.endsWith("acceptance:1:qa:2") === true,
        { limitMs },
      );
      expect(ended.turn.results[1]?.text).toMatch(/state-rolled-back/);
    },
  );

  it("goes on when the owner says so with a reason", { tags: ["s7.rolled-back-until-a-person-goes-on"] }, async () => {
    expect(await set(one, draft.taskId, "running", "The copy is fine.")).toMatch(/goes on from the older state.*draft/);
    review.open();
    expect(await set(one, play.taskId, "running", "The copy is fine.")).toMatch(
      /goes on from the older state.*running/,
    );
    await play.untilTask("done", limitMs);
    // No launch after that takes an id that the forgotten history has used: the host would end such a run at once.
    const ends = (await play.steps()).flatMap((step) =>
      step.attempts.flatMap((attempt) => attempt.runs.map((run) => [run.launch > 1000, run.end])),
    );
    expect(ends).not.toContainEqual([true, "lost"]);
    expect(ends).toContainEqual([true, "reported"]);
    await until("the flow to have ended", async () => (await play.flow()).status === "succeeded", { limitMs });
    await one.say(call("start_task", { taskId: draft.taskId }));
    await draft.untilTask("done", limitMs);
    const events = (await play.journal()).split("\n").filter((line) => line.includes('"RollbackAccepted"'));
    expect(events).toHaveLength(1);
    expect(events[0]).toContain("The copy is fine.");
  });
});

describe("two gateways on one folder", { timeout: 600_000 }, () => {
  const held = gate();
  let play: Play;

  it(
    "one drives; what the other's tools commit is followed there",
    { tags: ["s6.lease-one-gateway-drives", "s7.other-gateways-commits-followed"] },
    async () => {
      other = await open();
      one.cast.play("Shared", { builder: async (scene) => (await held.hold(scene.turn), buildsWell(scene)) });
      expect(await statusOf(other)).toContain("another gateway drives the projects below");
      expect(await statusOf(one)).not.toContain("another gateway drives");
      play = await other.begin("Shared");
      await held.reached;
      expect(play.turnsOf("step-01", "builder")).toEqual([]);
      expect(await statusOf(one, { taskId: play.taskId })).toContain("building");
      // The other's person changes the task while the run of the first is live.
      expect(await other.say(call("create_step", { taskId: play.taskId, ...aStep() }))).toContain("step-02 is added");
    },
  );

  it(
    "when the one that drives is killed the other takes over",
    { tags: ["s6.lease-of-the-dead-taken-over"] },
    async () => {
      await one.gateway.kill();
      await play.untilTask("done", limitMs);
      const runs = (await play.step("step-01")).attempts.flatMap((attempt) => attempt.runs);
      expect(runs.map((run) => `${run.role} ${run.launch} ${run.end}`)).toEqual([
        "builder 1 gateway",
        "builder 2 reported",
        "qa 1 reported",
      ]);
      expect(play.turnsOf("step-01", "builder", 1, 2).length).toBeGreaterThan(0);
      expect(await statusOf(other as Stage)).not.toContain("another gateway drives");
    },
  );

  it("the first comes back and is the other now", { tags: ["s6.lease-one-gateway-drives"] }, async () => {
    await one.gateway.start();
    await until("it to see who drives", async () => (await statusOf(one)).includes("another gateway drives"), {
      limitMs,
    });
    const mine = await one.begin("Back");
    await mine.untilTask("done", limitMs);
    expect(mine.turnsOf("step-01", "builder")).toEqual([]);
    expect((other as Stage).at(mine.projectId, mine.taskId).turnsOf("step-01", "builder").length).toBeGreaterThan(0);
  });

  it("none is left: a turn without one keeps what it changes, says so, and the next gateway drives it", async () => {
    const locally = async (line: string) => {
      const { stdout, stderr } = await runOpenclaw(one.gateway.paths.home, [
        "agent",
        "--local",
        "-m",
        line,
        "--agent",
        "main",
      ]);
      return `${stdout}${stderr}`;
    };
    const none = `no gateway drives the projects below ${root}: changes are kept, and runs begin once one is started`;
    const taskId = await one.createTask({ title: "Task Locally", steps: [aStep()] });
    const play = one.at("project-back", taskId);
    await one.gateway.kill();
    await other?.gateway.kill();
    expect(await locally(call("start_task", { taskId }))).toContain(`Warning: ${none}`);
    expect(await locally(call("get_status", { taskId }))).toContain(`Next: ${none}`);
    expect((await play.task()).status).toBe("running");
    await one.gateway.start();
    await play.untilTask("done", limitMs);
    expect(await statusOf(one, { taskId })).not.toContain("no gateway drives");
  });

  it("never made the scripted people fail", () => {
    expect([...one.model.failures(), ...(other?.model.failures() ?? [])]).toEqual([]);
  });
});

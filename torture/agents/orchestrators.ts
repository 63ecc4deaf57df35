/** Orchestrators that repeat themselves, guess, help themselves, or decide what only a person may decide. */
import { readdir } from "node:fs/promises";
import path from "node:path";
import { gate } from "../../harness/model.ts";
import { sessionKeyOf } from "../../src/flow/run-identity.ts";
import { aStep, call as line } from "../../test/gateway/stage.ts";
import {
  builds,
  done,
  fails,
  good,
  inTurn,
  passes,
  same,
  wants,
  write,
  type Kind,
  type Part,
  type Scenery,
} from "./kind.ts";

/** Says a line in the task's own chat, while its builder is held; the answer must have all of these. */
const says = (lines: (scene: Scenery) => readonly string[], ...answers: readonly RegExp[]): Part => {
  const at = gate();
  let heard = "";
  return {
    builder: async (scene) => {
      if (scene.turn.results.length === 0) await at.hold(scene.turn);
      return builds(scene);
    },
    during: async (scene) => {
      await at.reached;
      try {
        heard = await scene.stage.say(lines(scene).join("\n"), scene.chat);
      } finally {
        at.open();
      }
    },
    runs: good,
    also: () => wants("the answer", heard, ...answers),
  };
};

export const orchestratorKinds: readonly Kind[] = [
  {
    name: "decides in a wake-up turn",
    slow: true,
    who: "orchestrator",
    does: "When it is woken because attempts are used up, it accepts, skips and retries by itself.",
    happens:
      "`person-required` for each: only a turn that the owner's message began may decide. The owner's answer counts.",
    part: () => ({
      builder: (scene) => inTurn({ calls: [write("step-01.txt", `attempt ${scene.place.attempt}\n`)] }, done())(scene),
      qa: (scene) => (scene.place.attempt > 3 ? passes(scene) : fails()(scene)),
      before: ({ stage, chat, play }) => {
        const set = (status: string) => ({
          name: "set_step_status",
          args: { taskId: play.taskId, stepId: "step-01", status, reason: "I think so." },
        });
        stage.cast.onWake(chat, (turn) =>
          turn.user.includes("attempts") && turn.results.length === 0
            ? { calls: [set("passed"), set("skipped"), set("queued")] }
            : undefined,
        );
        return Promise.resolve();
      },
      during: async ({ stage, chat, play, call }) => {
        const turn = await stage.model.turns.waitFor(
          "the orchestrator to have decided",
          (one) =>
            one.sessionKey === chat && one.user.includes("Project orchestrator reports") && one.results.length > 2,
          { limitMs: 200_000 },
        );
        stage.cast.onWake(chat, undefined);
        for (const { text = "" } of turn.results)
          if (!text.includes("person-required")) throw new Error(`the wake-up turn was answered: ${text}`);
        await call("set_step_status", {
          taskId: play.taskId,
          stepId: "step-01",
          status: "queued",
          reason: "Once more.",
        });
      },
      also: async ({ play }) => same("who passed it", (await play.step("step-01")).passedBy, "qa"),
    }),
  },
  {
    name: "starts twice",
    who: "orchestrator",
    does: "Calls `start_task` again, twice in one turn.",
    happens: "`already-started`; no second run is launched.",
    part: () =>
      says(
        ({ play }) => [line("start_task", { taskId: play.taskId }), line("start_task", { taskId: play.taskId })],
        /already-started[^]*already-started/,
      ),
  },
  {
    name: "repeats a call with its id",
    who: "orchestrator",
    does: "Sends `create_task` three times with one call id, twice of them at once.",
    happens: "One task, three times the same answer.",
    part: () => ({
      during: async ({ stage, play, chat }) => {
        const client = await stage.client();
        const create = () =>
          client.invokeTool(
            "create_task",
            {
              projectId: play.projectId,
              title: "Repeated",
              spec: "None.",
              acceptanceCriteria: ["It holds."],
              steps: [aStep()],
            },
            { sessionKey: chat, idempotencyKey: "one call" },
          );
        const answers = [...(await Promise.all([create(), create()])), await create()];
        if (new Set(answers.map(({ details }) => details["taskId"])).size !== 1) throw new Error("the answers differ");
      },
      also: async ({ play }) =>
        same("the tasks", (await readdir(path.dirname(play.folder))).filter((one) => !one.startsWith(".")).length, 2),
    }),
  },
  {
    name: "uses ids that do not exist",
    who: "orchestrator",
    does: "Starts, sets and reads projects, tasks and steps by invented ids, paths and empty texts.",
    happens: "`unknown-project`, `unknown-task`, `unknown-step`; no path is followed, nothing is written.",
    part: () =>
      says(
        ({ play }) => [
          line("start_task", { taskId: "task-00000000" }),
          line("start_task", { taskId: "../../etc" }),
          line("start_task", { taskId: "" }),
          line("get_status", { projectId: "../outside" }),
          line("create_step", {
            taskId: `${play.taskId}/../${play.taskId}`,
            title: "X",
            goal: "X",
            passCriteria: ["X"],
          }),
          line("set_step_status", { taskId: play.taskId, stepId: "../../project", status: "skipped", reason: "X" }),
        ],
        /(unknown-task[^]*){3}unknown-project[^]*unknown-task[^]*unknown-step/,
      ),
  },
  {
    name: "accepts what is being built",
    who: "orchestrator",
    does: "Sets the step that its builder works on to `passed`, and a step that was never begun, too.",
    happens: "`step-live` and `not-built`, also for the owner: what was not built cannot be accepted.",
    wish: { steps: [aStep(), aStep()] },
    part: () =>
      says(
        ({ play }) =>
          ["step-01", "step-02"].map((stepId) =>
            line("set_step_status", { taskId: play.taskId, stepId, status: "passed", reason: "Fine." }),
          ),
        /step-live[^]*not-built/,
      ),
  },
  {
    name: "reports for its builder",
    who: "orchestrator",
    does: "Calls `record_builder_result` and `record_qa_result` in the chat.",
    happens: "It is offered neither; nothing is recorded.",
    part: () =>
      says(
        () => [
          line("record_builder_result", { outcome: "done", summary: "I did.", filesChanged: [] }),
          line("record_qa_result", { criteria: [{ id: "c1", pass: true, evidence: "I did." }] }),
        ],
        /record_builder_result[^]*record_qa_result/,
      ),
  },
  {
    name: "poses as a run",
    who: "orchestrator",
    does: "Talks in a session whose key is that of the step's next launch, where it is offered the builder's tool, and reports.",
    happens: "`run-not-current`: the host's id of that turn is no run of the step.",
    part: () => {
      const at = gate();
      return {
        builder: async (scene) => {
          if (scene.place.launch > 1) return inTurn(done({ filesChanged: [] }))(scene);
          if (scene.turn.results.length === 0) await at.hold(scene.turn);
          return builds(scene);
        },
        during: async ({ stage, play }) => {
          await at.reached;
          const place = { taskId: play.taskId, stepId: "step-01", attempt: 1, role: "builder", launch: 2 } as const;
          // Its agents are found by the word in the first message.
          await stage.say(`${(await play.task()).title}: report for the builder.`, sessionKeyOf("main", place));
          at.open();
        },
        runs: good,
        also: ({ play }) =>
          wants(
            "the answer",
            play.turnsOf("step-01", "builder", 1, 2).at(-1)?.results[0]?.text ?? "",
            /run-not-current/,
          ),
      };
    },
  },
  {
    name: "writes the state itself",
    who: "orchestrator",
    does: "Writes the task's document and its page with `write` in the chat.",
    happens: "The hook refuses it and names the tools to use.",
    part: () =>
      says(
        ({ play }) =>
          ["task.json", "task.md", "journal.jsonl"].map((name) =>
            line("write", { path: path.join(play.folder, name), content: "{}" }),
          ),
        /(kept state of project-orchestrator[^]*){3}/,
      ),
  },
  {
    name: "plans what cannot be",
    who: "orchestrator",
    does: "Creates tasks with a circle, with no criteria, with empty texts, with a forbidden program and with 201 steps.",
    happens: "A refusal with its code for each; no task comes of it.",
    part: () => {
      const wish = (steps: readonly object[], over: object = {}) =>
        line("create_task", {
          projectId: "<projectId>",
          title: "Plan",
          spec: "None.",
          acceptanceCriteria: ["It holds."],
          steps,
          ...over,
        });
      const base = says(
        ({ play }) =>
          [
            wish([aStep({ id: "a", dependsOn: ["b"] }), aStep({ id: "b", dependsOn: ["a"] })]),
            wish([aStep()], { acceptanceCriteria: [] }),
            wish([aStep({ goal: "  " })]),
            wish([aStep({ checks: [{ name: "x", command: ["rm", "-r", "x"] }] })]),
            wish(Array.from({ length: 201 }, () => aStep())),
          ].map((one) => one.replace("<projectId>", play.projectId)),
        /dependency-cycle[^]*invalid-parameters[^]*invalid-parameters[^]*program-not-allowed[^]*too-large/,
      );
      return {
        ...base,
        also: async (scene) => [
          ...((await base.also?.(scene)) ?? []),
          ...same(
            "the tasks",
            (await readdir(path.dirname(scene.play.folder))).filter((one) => !one.startsWith(".")).length,
            1,
          ),
        ],
      };
    },
  },
];

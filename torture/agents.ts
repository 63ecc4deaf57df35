/**
 * Agents that misbehave, on the real gateway with the packed plugin: one project and one task for each kind. The agents are
 * scripted, everything else is real. After each kind the files say what they must, and nothing outside of them has changed.
 */
import { readdirSync, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { makeTemplate } from "../harness/template.ts";
import { until } from "../harness/wait.ts";
import { judgesWell } from "../test/gateway/cast.ts";
import { aStep, openStage, type Stage } from "../test/gateway/stage.ts";
import type { Kind } from "./agents/kind.ts";
import { passes, builds, readsOf, same } from "./agents/kind.ts";
import { kinds } from "./agents/kinds.ts";
import { judge, reopen } from "./oracle.ts";
import { inLanes, wordsOf, type Part, type Violation } from "./part.ts";

/** With these a task has one step and as few turns as can be. The kinds hold with the defaults just as well. */
export const quickConfig = { checks: { allow: ["node"] }, acceptanceReview: false, notify: "off" };
/** As many tasks as the gateway works on at once by default, less one. */
const lanes = 3;

export const agents: Part = {
  name: "agents",
  needs: "gateway",
  async run({ only, say }) {
    const chosen = kinds.filter(({ name }) => only === undefined || name === only);
    const violations: Violation[] = [];
    const template = await makeTemplate();
    const stage = await openStage(template.home, quickConfig);
    try {
      await inLanes(chosen, lanes, async (kind) => {
        const from = performance.now();
        const wrong = await play(stage, kind);
        say(
          `${kind.name}: ${wrong.length === 0 ? "as it should be" : wrong.join("; ")} (${Math.round((performance.now() - from) / 100) / 10} s)`,
        );
        violations.push(...wrong.map((what) => ({ case: kind.name, what: `${kind.name}: ${what}` })));
      });
      await stage.gateway.kill();
      const root = stage.gateway.paths.workspace;
      const after = [...judge(root), ...(await reopen(root)), ...stage.model.failures().map(wordsOf)];
      violations.push(...after.map((what) => ({ case: only ?? "", what: `after all: ${what}` })));
    } finally {
      await stage.end();
      await template.dispose();
    }
    return [{ what: "kinds of misbehaviour", tried: chosen.length, violations }];
  },
};

/** Plays one kind in a project of its own; says what is not as it must be. Never throws. */
export async function play(stage: Stage, kind: Kind): Promise<readonly string[]> {
  const word = `Kind${String(kinds.indexOf(kind)).padStart(3, "0")}`;
  try {
    return await playAs(stage, kind, word);
  } catch (error) {
    return [wordsOf(error)];
  }
}

async function playAs(stage: Stage, kind: Kind, word: string): Promise<readonly string[]> {
  const part = kind.part();
  stage.cast.play(word, {
    builder: part.builder ?? builds,
    // The closing review, where the configuration has it, is not part of the kind.
    qa: (scene) => (scene.place.stepId === "acceptance" ? judgesWell : (part.qa ?? passes))(scene),
  });
  const chat = `agent:main:${word.toLowerCase()}`;
  const client = await stage.client();
  const outside = await makeOutside(stage);
  const before = contentsOf(outside);
  const call = (tool: string, args: Parameters<typeof client.invokeTool>[1]) =>
    client.invokeTool(tool, args, { sessionKey: chat });
  const make = async (tool: string, args: Parameters<typeof call>[1], id: string) => {
    const answer = await call(tool, args);
    const made = answer.details[id];
    if (typeof made !== "string") throw new Error(`${tool} made nothing: ${answer.text}`);
    return made;
  };
  const spec = `What ${word} is about.`;
  const { title, projectSpec, ...wish } = kind.wish ?? {};
  const projectId = await make("create_project", { name: `Project ${word}`, spec: projectSpec ?? spec }, "projectId");
  const taskId = await make(
    "create_task",
    {
      projectId,
      spec,
      acceptanceCriteria: ["It holds."],
      steps: [aStep()],
      ...wish,
      title: `${word} ${title ?? ""}`.trim(),
    },
    "taskId",
  );
  const scenery = { stage, play: stage.at(projectId, taskId), chat, outside, call };
  await part.before?.(scenery);
  await call("start_task", { taskId });
  await part.during?.(scenery);
  await scenery.play.untilTask(part.ends ?? "done");
  await scenery.play.untilQuiet();
  const { attempts } = await scenery.play.step("step-01");
  const runs = attempts.flatMap(({ attempt, runs }) =>
    runs.map((run) => `${run.role} ${attempt}.${run.launch} ${run.end}`),
  );
  const wrong = [
    ...(part.runs === undefined ? [] : same("the runs", runs, part.runs)),
    ...reads("the builder", readsOf(scenery.play, "builder"), part.builderReads),
    ...reads("QA", readsOf(scenery.play, "qa"), part.qaReads),
    ...((await part.also?.(scenery)) ?? []),
    ...same("what is outside", contentsOf(outside), before),
  ];
  return [...wrong, ...(await judged(stage, projectId, call))];
}

function reads(who: string, texts: readonly string[], patterns: readonly RegExp[] | undefined): readonly string[] {
  return (patterns ?? []).flatMap((pattern, index) =>
    pattern.test(texts[index] ?? "")
      ? []
      : [`${who} read after call ${index + 1}: ${(texts[index] ?? "nothing").slice(0, 400)}`],
  );
}

/** What is wrong with the project's files once nothing more is going on. A page follows its document a moment later. */
async function judged(
  stage: Stage,
  projectId: string,
  call: (tool: string, args: { projectId: string; verify: true }) => Promise<{ readonly text: string }>,
): Promise<readonly string[]> {
  // Whoever asks for the status sees what was edited, and it is put right.
  await call("get_status", { projectId, verify: true });
  const find = () =>
    judge(stage.gateway.paths.workspace).filter((one) => new RegExp(`^projects/${projectId}[/:]`).test(one));
  await until("the files to say what they must", () => find().length === 0, { limitMs: 20_000, everyMs: 200 }).catch(
    () => undefined,
  );
  return find();
}

/** A folder beside everything, with a file that nobody may touch; one for each gateway. */
function makeOutside(stage: Stage): Promise<string> {
  const make = async () => {
    const outside = path.join(stage.gateway.paths.home, "outside");
    await mkdir(outside, { recursive: true });
    await writeFile(path.join(outside, "precious.txt"), "precious\n");
    return outside;
  };
  const made = outsides.get(stage) ?? make();
  outsides.set(stage, made);
  return made;
}

const outsides = new WeakMap<Stage, Promise<string>>();

function contentsOf(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((one) => !one.isDirectory())
    .map((one) => `${one.name}: ${readFileSync(path.join(one.parentPath, one.name), "utf8")}`)
    .toSorted();
}

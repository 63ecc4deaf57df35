/**
 * The people of the play: a scripted orchestrator that does what the person asks with the ids it finds in earlier tool
 * results, and builders and QA per task, chosen by a word in the task's title that their brief shows.
 */
import { placeOfSession, type RunPlace } from "../../src/flow/run-identity.ts";
import type { Answer, ScriptedCall, Turn } from "../../harness/model.ts";

/** What an agent of a run does in one model turn. `results` are its own tool calls so far. */
export type Act = (scene: Scene) => Answer | Promise<Answer>;
export type Scene = { readonly turn: Turn; readonly place: RunPlace; readonly repo: string };
export type Players = { readonly builder?: Act; readonly qa?: Act };

/** What the orchestrator does in a wake-up turn instead of telling the person; undefined for telling. */
export type WakeAct = (turn: Turn) => Answer | undefined | Promise<Answer | undefined>;

export type Cast = {
  /** Gives the runs of tasks whose title holds the word their players. */
  play(word: string, players: Players): void;
  /** What the orchestrator does in wake-up turns of a chat, beside telling the person. */
  onWake(sessionKey: string, act: WakeAct | undefined): void;
  /** What a subagent does that others started, with the word in its first message. */
  playStranger(word: string, act: (turn: Turn) => Answer): void;
  script(turn: Turn): Promise<Answer>;
};

export function createCast(): Cast {
  const players = new Map<string, Players>();
  const wakes = new Map<string, WakeAct>();
  const strangers = new Map<string, (turn: Turn) => Answer>();
  return {
    play: (word, given) => void players.set(word, { ...players.get(word), ...given }),
    onWake: (sessionKey, act) => (act === undefined ? void wakes.delete(sessionKey) : void wakes.set(sessionKey, act)),
    playStranger: (word, act) => void strangers.set(word, act),
    async script(turn) {
      if (turn.role === "orchestrator") return orchestrate(turn, wakes.get(turn.sessionKey ?? ""));
      const place = placeOfSession(turn.sessionKey ?? "");
      if (place === undefined) {
        const known = [...strangers].find(([one]) => turn.brief.includes(one));
        return known?.[1](turn) ?? { text: "Nobody gave me a part." };
      }
      const word = [...players.keys()].find((one) => turn.brief.includes(one));
      const act = word === undefined ? undefined : players.get(word)?.[place.role];
      const scene = { turn, place, repo: repoIn(turn.brief) };
      return (act ?? (place.role === "builder" ? buildsWell : judgesWell))(scene);
    },
  };
}

/** The working directory that the brief names: the last path in it that ends a line about the repository. */
function repoIn(brief: string): string {
  return /(\/\S*\/repo)\b/.exec(brief)?.[1] ?? "";
}

/** A person's line `tool {json}` is carried out; `<name>` in it is replaced by what an earlier result called so. */
async function orchestrate(turn: Turn, onWake: WakeAct | undefined): Promise<Answer> {
  if (turn.user.includes("Project orchestrator reports"))
    return (await onWake?.(turn)) ?? { text: `Told: ${linesAfter(turn.user)}` };
  const wanted = [...turn.user.matchAll(/^(\w+) (\{.*\})$/gm)].map(([, name = "", json = "{}"]) => ({ name, json }));
  if (turn.results.length >= wanted.length)
    return { text: turn.results.map((one) => one.text ?? "").join("\n") || "Nothing to do." };
  const next = wanted[turn.results.length];
  if (next === undefined) return { text: "Nothing to do." };
  const call: ScriptedCall = { name: next.name, args: JSON.parse(fillIn(next.json, turn)) as object };
  return { calls: [call] };
}

const linesAfter = (user: string) => user.slice(user.indexOf("\n- ") + 1);

/** `<projectId>` and `<taskId>` as the latest results of this chat named them. */
function fillIn(json: string, turn: Turn): string {
  const said = turn.messages
    .filter((one) => one.role === "tool")
    .map((one) => (typeof one.content === "string" ? one.content : JSON.stringify(one.content)));
  const latest = (pattern: RegExp) =>
    said
      .toReversed()
      .map((text) => pattern.exec(text)?.[1])
      .find((one) => one !== undefined) ?? "unknown";
  return json
    .replaceAll("<projectId>", latest(/\bProject ([a-z0-9-]+) is made/))
    .replaceAll("<taskId>", latest(/\bTask ([a-z0-9-]+) is a draft/));
}

export const report = (args: object): Answer => ({ calls: [{ name: "record_builder_result", args }] });
export const judge = (args: object): Answer => ({ calls: [{ name: "record_qa_result", args }] });

/** A builder that writes one file through the host's own tool and reports it. */
export const buildsWell: Act = ({ turn, place }) => {
  const file = `${place.stepId}.txt`;
  if (turn.results.length === 0)
    return { calls: [{ name: "write", args: { path: file, content: `attempt ${place.attempt}\n` } }] };
  if (turn.results.length === 1)
    return report({
      outcome: "done",
      summary: `Wrote ${file}.`,
      filesChanged: [file],
      testsRun: [{ command: `cat ${file}`, exitCode: 0 }],
    });
  return { text: "Done." };
};

/** Answers one after the other, by how many results are there; then the agent falls silent. */
export function oneByOne(...acts: readonly (Act | Answer)[]): Act {
  return (scene) => {
    const act = acts[scene.turn.results.length] ?? { text: "I stop here." };
    return typeof act === "function" ? act(scene) : act;
  };
}

/** The criteria that QA's brief asks to judge. */
export const criteriaOf = (brief: string): readonly string[] =>
  [...brief.matchAll(/^Criterion `([ac]\d+)`/gm)].map((match) => match[1] ?? "");

/** A QA that looks at the tree and passes everything. */
export const judgesWell: Act = ({ turn }) => {
  if (turn.results.length === 0) return { calls: [{ name: "exec", args: { command: "ls -la && cat *.txt" } }] };
  if (turn.results.length === 1)
    return judge({
      criteria: criteriaOf(turn.brief).map((id) => ({
        id,
        pass: true,
        evidence: `ls shows it: ${(turn.results[0]?.text ?? "").slice(0, 200)}`,
      })),
    });
  return { text: "Judged." };
};

/**
 * The real gateway under fire: OpenClaw with the packed plugin drives a task while its process is killed, once in each moment of
 * a run's life and many times at random; while it is asked to end; while the plugin is replaced; and while a second gateway is
 * started on the same state. Every time it goes on by itself; in the end every step was passed once and in order, no run was begun
 * twice or counted as lost, and everything that is kept follows from its journal.
 */
import { makeTemplate } from "../harness/template.ts";
import { openLives, type Lives } from "./fire/lives.ts";
import { killIn, moments } from "./fire/moments.ts";
import { endAtRandom, endWhileBuilding, endWhileHanging, replaceAtRandom } from "./fire/random.ts";
import { startBeside, startInside } from "./fire/second.ts";
import { randomFrom, wordsOf, type Part, type Row } from "./part.ts";

const amounts = {
  short: { kills: 3, stops: 1, replacements: 1, seconds: 1 },
  full: { kills: 50, stops: 6, replacements: 4, seconds: 3 },
} as const;

/** What came of a case: how often it was tried, and a fact worth telling. */
type Outcome = { readonly tried: number; readonly note?: string };
type Case = { readonly name: string; readonly run: (lives: Lives) => Promise<Outcome> };

export const fire: Part = {
  name: "fire",
  needs: "gateway",
  async run({ amount, seed, only, say }) {
    const template = await makeTemplate();
    const lives = await openLives(template.home);
    const rows: Row[] = [];
    try {
      for (const { name, run } of casesOf(template.home, amounts[amount], seed)) {
        if (![undefined, name].includes(only)) continue;
        const from = performance.now();
        const wrong: string[] = [];
        const { tried, note = "" } = await run(lives).catch(async (error: unknown): Promise<Outcome> => {
          wrong.push(wordsOf(error));
          say(`the end of the gateway's log:\n${(await lives.stage.gateway.logs()).slice(-4_000)}`);
          // Whatever became of it, the next case begins with a gateway that lives.
          await lives.end("kill", () => undefined);
          return { tried: 1 };
        });
        wrong.push(...(await lives.judge()));
        const seconds = Math.round((performance.now() - from) / 1_000);
        say(`${name}: ${tried} tried, ${wrong.length} violations (${seconds} s) ${note}`);
        rows.push({ what: name, tried, violations: wrong.map((what) => ({ case: name, what })), note });
      }
    } finally {
      await lives.dispose();
      await template.dispose();
    }
    return rows;
  },
};

function casesOf(
  template: string,
  { kills, stops, replacements, seconds }: (typeof amounts)[keyof typeof amounts],
  seed: number,
): readonly Case[] {
  const random = () => randomFrom(seed);
  const late = (count: number) => (count === 0 ? "" : `${count} more came too late;`);
  return [
    ...moments.map((moment, index) => ({
      name: `kill -9: ${moment.name}`,
      run: async (lives: Lives) => ({ tried: 1, note: late(await killIn(lives, moment, `Moment${index}`)) }),
    })),
    {
      name: "kill -9 at random",
      run: async (lives) => ({ tried: kills, note: late(await endAtRandom(lives, "kill", kills, random())) }),
    },
    {
      name: "SIGTERM while a builder works",
      run: async (lives) => {
        await endWhileBuilding(lives);
        return { tried: 1 };
      },
    },
    {
      name: "SIGTERM while a builder hangs",
      run: async (lives) => {
        await endWhileHanging(lives);
        return { tried: 1 };
      },
    },
    {
      name: "SIGTERM at random",
      run: async (lives) => {
        const more = late(await endAtRandom(lives, "stop", stops, random()));
        return {
          tried: stops,
          note: `${more} the longest end took ${Math.round(lives.longestStopMs() / 1_000)} s`.trim(),
        };
      },
    },
    {
      name: "the plugin replaced at random",
      run: async (lives) => {
        const refused = await replaceAtRandom(lives, replacements, random());
        return { tried: replacements, note: `${refused} times OpenClaw refused at first, for a run was live` };
      },
    },
    {
      name: "a second gateway on the same folder",
      run: async (lives) => {
        const choose = random();
        for (let number = 1; number <= seconds; number += 1)
          await startBeside(lives, template, `Beside${number}End`, 1 + Math.floor(choose() * 10));
        return { tried: seconds };
      },
    },
    {
      name: "a second gateway in the same home",
      run: async (lives) => {
        const choose = random();
        for (let number = 1; number <= seconds; number += 1)
          await startInside(lives, `Inside${number}End`, 1 + Math.floor(choose() * 10));
        return { tried: seconds };
      },
    },
  ];
}

// Lines for a person at a terminal: the time since the start in front, colours where they are wanted (NO_COLOR and a pipe
// mean none), and, on a terminal only, a last line that says what is being waited for.

import process from "node:process";
import { styleText } from "node:util";

export type Style = Parameters<typeof styleText>[0];

export interface Terminal {
  /** One line; further lines of the text are put below it. `who` stands in a column of its own. */
  line(who: string, text: string, style?: Style): void;
  /** A line that begins something new. */
  heading(text: string): void;
  /** Text as it is. */
  plain(text: string): void;
  /** What is being waited for now; "" for nothing. */
  waiting(text: string): void;
  elapsedMs(): number;
}

const columns = { time: 7, who: 13 };

export function createTerminal(): Terminal {
  const startedAt = performance.now();
  const isTerminal = process.stdout.isTTY;
  let awaited = "";
  const elapsedMs = (): number => performance.now() - startedAt;
  const time = (): string => styleText("dim", `${(elapsedMs() / 1000).toFixed(1)} s`.padStart(columns.time));
  const clear = (): void => {
    if (isTerminal) process.stdout.write("\r\u001b[2K");
  };
  const showAwaited = (): void => {
    if (isTerminal && awaited !== "") process.stdout.write(`${time()}  ${styleText("dim", `${awaited} …`)}`);
  };
  const plain = (text: string): void => {
    clear();
    process.stdout.write(`${text}\n`);
    showAwaited();
  };
  if (isTerminal)
    setInterval(() => {
      clear();
      showAwaited();
    }, 500).unref();
  return {
    elapsedMs,
    plain,
    line: (who, text, style = "reset") => {
      const [first = "", ...rest] = text.split("\n");
      const indent = " ".repeat(columns.time + 2 + columns.who);
      const lines = [
        `${time()}  ${styleText(style, who.padEnd(columns.who))}${first}`,
        ...rest.map((line) => `${indent}${line}`),
      ];
      plain(lines.map((line) => line.trimEnd()).join("\n"));
    },
    heading: (text) => {
      plain(`\n${time()}  ${styleText("bold", text)}`);
    },
    waiting: (text) => {
      awaited = text;
      clear();
      showAwaited();
    },
  };
}

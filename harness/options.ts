// What a command of this repository was called with.

import process from "node:process";
import { parseArgs, type ParseArgsConfig } from "node:util";
import { messageOf } from "./wait.ts";

type Options = NonNullable<ParseArgsConfig["options"]>;
type Values<Config extends Options> = ReturnType<typeof parseArgs<{ options: Config }>>["values"];

/** The options of this process, typed as `parseArgs` has them. For one that is not taken it ends with 2 and a line on stderr. */
export function readOptions<const Config extends Options>(options: Config): Values<Config> {
  try {
    return parseArgs({ options }).values;
  } catch (error) {
    const taken = Object.entries(options).map(([name, { type }]) =>
      type === "string" ? `--${name} <value>` : `--${name}`,
    );
    return refuse(`${messageOf(error).split(". ")[0] ?? ""}. Taken are ${taken.join(", ")}.`);
  }
}

/** Ends this process with 2 and a line on stderr: what it was called with makes no sense. */
export function refuse(why: string): never {
  process.stderr.write(`${why}\n`);
  process.exit(2);
}

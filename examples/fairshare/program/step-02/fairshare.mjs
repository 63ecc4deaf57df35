#!/usr/bin/env node
// The command line: reads the named file, runs the named command and prints the lines that it answers.

import { readFileSync } from "node:fs";

import { parseExpenses } from "./src/expenses.mjs";
import { shares } from "./src/shares.mjs";
import { total } from "./src/total.mjs";

const commands = { total, shares };

const [name, file, ...rest] = process.argv.slice(2);
if (name === undefined || !Object.hasOwn(commands, name) || file === undefined || rest.length > 0) {
  console.error(`Usage: node fairshare.mjs <${Object.keys(commands).join("|")}> <file>   (- reads standard input)`);
  process.exit(2);
}
try {
  const expenses = parseExpenses(readFileSync(file === "-" ? 0 : file, "utf8"));
  for (const line of commands[name](expenses)) console.log(line);
} catch (error) {
  console.error(`fairshare: ${error.message}`);
  process.exitCode = 1;
}

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { parseExpenses } from "../src/expenses.mjs";
import { total } from "../src/total.mjs";

const program = fileURLToPath(new URL("../fairshare.mjs", import.meta.url));
const fairshare = (input, ...words) => spawnSync(process.execPath, [program, ...words], { input, encoding: "utf8" });

test("the total of some expenses", () => {
  assert.deepEqual(total(parseExpenses("Ann 30.00 dinner\n\n# a remark\nBen 4.5 ice cream\nCleo 0\n")), [
    "total 34.50",
  ]);
});

test("cents are kept whole: ten times 0.10 is 1.00", () => {
  assert.deepEqual(total(parseExpenses("Ann 0.10\n".repeat(10))), ["total 1.00"]);
});

test("a line that is no expense is named", () => {
  assert.throws(() => parseExpenses("Ann 30.00\nBen much"), /line 2: .*Ben much/);
});

test("the command line prints the total", () => {
  const { status, stdout } = fairshare("Ann 30.00 dinner\n", "total", "-");
  assert.deepEqual({ status, stdout }, { status: 0, stdout: "total 30.00\n" });
});

test("the command line refuses bad input without a stack trace", () => {
  const { status, stdout, stderr } = fairshare("Ann much\n", "total", "-");
  assert.deepEqual({ status, stdout }, { status: 1, stdout: "" });
  assert.match(stderr, /^fairshare: line 1: .*\n$/);
});

test("the command line explains itself", () => {
  const { status, stderr } = fairshare("", "totals", "-");
  assert.equal(status, 2);
  assert.match(stderr, /^Usage: /);
});

import assert from "node:assert/strict";
import { test } from "node:test";

import { parseExpenses } from "../src/expenses.mjs";
import { settle } from "../src/settle.mjs";

const settled = (...lines) => settle(parseExpenses(lines.join("\n")));

test("those who paid too little pay the one who paid for all", () => {
  assert.deepEqual(settled("Ann 30.00 dinner", "Ben 0", "Cleo 0"), ["Ben pays Ann 10.00", "Cleo pays Ann 10.00"]);
});

test("one may have to pay two", () => {
  assert.deepEqual(settled("Ann 9", "Ben 6", "Cleo 0"), ["Cleo pays Ann 4.00", "Cleo pays Ben 1.00"]);
});

test("what cannot be split evenly is still settled to the cent", () => {
  assert.deepEqual(settled("Ann 10.00", "Ben 0", "Cleo 0"), ["Ben pays Ann 3.33", "Cleo pays Ann 3.33"]);
});

test("nothing is to be paid when all paid the same", () => {
  assert.deepEqual(settled("Ann 5", "Ben 5"), ["all even"]);
});

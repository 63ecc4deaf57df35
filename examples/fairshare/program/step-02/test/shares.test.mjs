import assert from "node:assert/strict";
import { test } from "node:test";

import { parseExpenses } from "../src/expenses.mjs";
import { shares } from "../src/shares.mjs";

test("everybody who appears has an even share", () => {
  assert.deepEqual(shares(parseExpenses("Ann 30.00 dinner\nBen 4.5\nCleo 0\n")), [
    "Ann 11.50",
    "Ben 11.50",
    "Cleo 11.50",
  ]);
});

test("a person who paid twice has one share", () => {
  assert.deepEqual(shares(parseExpenses("Ann 3\nBen 5\nAnn 2\n")), ["Ann 5.00", "Ben 5.00"]);
});

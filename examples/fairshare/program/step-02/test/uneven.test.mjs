import assert from "node:assert/strict";
import { test } from "node:test";

import { splitEvenly } from "../src/shares.mjs";

test("10.00 among three is 3.34, 3.33 and 3.33", () => {
  assert.deepEqual(
    splitEvenly(1000, ["Ann", "Ben", "Cleo"]).map(({ cents }) => cents),
    [334, 333, 333],
  );
});

test("whatever is split, nothing is made or lost", () => {
  const people = ["Ann", "Ben", "Cleo", "Dan", "Eve", "Fay", "Gil"];
  for (let count = 1; count <= people.length; count += 1)
    for (let cents = 0; cents <= 300; cents += 1) {
      const split = splitEvenly(cents, people.slice(0, count));
      assert.equal(
        split.reduce((sum, share) => sum + share.cents, 0),
        cents,
      );
    }
});

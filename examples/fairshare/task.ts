// What is to be built first, cut into steps: the plan that a good orchestrator makes of spec.md. Plain data in the shape
// of create_task's parameters, apart from the project's id.

import type { Static } from "@sinclair/typebox";

import type { CreateTaskParameters } from "../../src/schema/parameters.ts";

/** Code runs the tests before QA is asked; `node` must be named in `checks.allow` of the plugin's configuration. */
const checks = [{ name: "tests", command: ["node", "--test"], timeoutSeconds: 60 }];

export const task: Omit<Static<typeof CreateTaskParameters>, "projectId"> = {
  title: "First version of fairshare",
  spec: "The three commands `total`, `shares` and `settle` as the project's specification describes them, with tests.",
  acceptanceCriteria: [
    "For one file, `total`, `shares` and `settle` fit together: the shares add up to the total, and after the payments everybody has paid exactly one share",
    "Bad input is answered with one line and exit code 1, by each command, and never with a stack trace",
    "`node --test` in the repository runs tests for all three commands and exits with 0",
  ],
  steps: [
    {
      title: "Total of a file",
      goal: "Make the command line `fairshare.mjs`, reading expenses from a file or standard input, and the command `total`. Bad input and wrong arguments are answered as the specification says. Later steps add commands.",
      passCriteria: [
        "For the example file of the specification `total` prints `total 34.50` and exits with 0",
        "A line that is no expense is answered with one line that names its number, and with exit code 1",
        "`node --test` exits with 0",
      ],
      checks,
    },
    {
      title: "Everybody's share",
      goal: "Add the command `shares`: the total split evenly among everybody who appears, in the order of the file.",
      passCriteria: [
        "For the example file of the specification `shares` prints 11.50 for each of the three",
        "What `shares` prints adds up to exactly the total, also when it cannot be split evenly",
        "`node --test` exits with 0",
      ],
      checks,
    },
    {
      title: "Who pays whom",
      goal: "Add the command `settle`: the payments that make everybody's share come true, to the cent.",
      passCriteria: [
        "When Ann paid 30.00 for three, `settle` prints that Ben and Cleo pay her 10.00 each, and nothing else",
        "10.00 that Ann paid for three are settled to the cent: after the payments each has paid exactly the share that `shares` prints",
        "When all have paid the same, `settle` prints `all even`",
        "`node --test` exits with 0",
      ],
      checks,
    },
  ],
};

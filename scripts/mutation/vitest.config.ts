/** The tests that mutants are tried on: quick ones without luck, of the folders that are broken on purpose and of what reads them. */
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";
import { rules } from "../../test/contract/rules.ts";

/** First what says most in the least time: with a mutant, the first test that fails ends the run. */
const order = ["test/schema/", "test/flow/", "test/docs/", "test/tools/"];
const slow = ["test/flow/driver", "test/tools/unreadable.test.ts", "test/tools/get-status"];

class QuickFirst extends BaseSequencer {
  override sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) =>
      slow.some((part) => moduleId.includes(part)) ? order.length : order.findIndex((part) => moduleId.includes(part));
    return Promise.resolve(
      files.toSorted((one, other) => rank(one) - rank(other) || one.moduleId.localeCompare(other.moduleId)),
    );
  }
}

export default defineConfig({
  test: {
    tags: Object.entries(rules).map(([name, description]) => ({ name, description })),
    include: ["test/{flow,tools,schema,docs}/**/*.test.ts"],
    exclude: [
      // Random walks: what only luck finds is found by luck. Exact tests have to find it.
      "test/flow/properties.test.ts",
      // Whole histories, each again with a restart at every place: a minute for every mutant that nobody notices.
      "test/flow/driver.test.ts",
    ],
    // Everything in one worker, so that a mutant costs one start; stryker takes a new worker for each.
    isolate: false,
    sequence: { sequencer: QuickFirst },
    testTimeout: 300_000,
  },
});

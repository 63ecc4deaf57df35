import { defineConfig } from "vitest/config";
import { rules } from "./test/contract/rules.ts";

/** Two projects: `unit` is quick and needs nothing; `gateway` packs the plugin and starts real gateways, one per file. */
export default defineConfig({
  test: {
    // A rule of the contract is a tag of the tests that hold it; scripts/contract.ts reads them.
    tags: Object.entries(rules).map(([name, description]) => ({ name, description })),
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: ["test/gateway/**", "node_modules/**"],
          // The longest takes a minute; a machine may be ten times slower.
          testTimeout: 900_000,
          hookTimeout: 300_000,
        },
      },
      {
        test: {
          name: "gateway",
          include: ["test/gateway/**/*.test.ts"],
          globalSetup: ["test/gateway/global-setup.ts"],
          // A gateway mostly waits; more than two starting at once is too much for two cores.
          maxWorkers: 2,
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});

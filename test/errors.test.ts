/** Errors as they are recognised by code that was evaluated apart from the code that threw them. */
import { expect, it, vi } from "vitest";
import { OrchestratorError } from "../src/errors.ts";

it("is recognised as one of ours whichever evaluation of the plugin made it, as OpenClaw evaluates it several times", async () => {
  vi.resetModules();
  const apart = await import("../src/errors.ts");
  expect(apart.OrchestratorError).not.toBe(OrchestratorError);
  const error: unknown = new apart.OrchestratorError("journal-damaged", "It is damaged.");
  expect(error instanceof OrchestratorError && error.code).toBe("journal-damaged");
  for (const other of [new Error("no"), { code: "journal-damaged" }, null, undefined, "journal-damaged"])
    expect(other instanceof OrchestratorError).toBe(false);
});

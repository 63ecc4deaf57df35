/** What a caller hears of something that failed: a code and plain words, never what the operating system said. */
import { describe, expect, it } from "vitest";
import { OrchestratorError } from "../../src/errors.ts";
import { createProject } from "../../src/tools/create-project.ts";
import { callTool, describeFailure, type Tool } from "../../src/tools/tool.ts";
import { aProject, createBench } from "../support/bench.ts";
import { owner } from "../support/callers.ts";

const denied = Object.assign(new Error("EACCES: permission denied, mkdir '/home/ada/secret/repo'"), { code: "EACCES" });

async function callThatFails(cause: unknown) {
  const desk = { ...createBench().desk(), chooseRepo: () => Promise.reject(cause) };
  // Tools differ in their parameters; here only the common shape counts.
  return callTool(desk, owner(), createProject as unknown as Tool, aProject());
}

describe("a tool that fails", () => {
  it.each([denied, new OrchestratorError("bug", "unexpected value in /home/ada/secret"), "/home/ada/secret"])(
    "for no known reason tells no path, and keeps the cause for the log",
    async (cause) => {
      const thrown: unknown = await callThatFails(cause).catch((one: unknown) => one);
      expect(thrown).toBeInstanceOf(OrchestratorError);
      expect(thrown).toMatchObject({ code: "bug", cause });
      expect(String(thrown)).toContain("create_project failed.");
      expect(String(thrown)).not.toContain("/home");
    },
  );

  it(
    "for a known reason is answered with it, and with what helps",
    { tags: ["s5.refusal-returned", "s5.refusal-says-all"] },
    async () => {
      const { text, details } = await callThatFails(new OrchestratorError("not-committed", "The disk is full."));
      const accepts = ["Free disk space or mend the permission that the message names, then call again"];
      expect(details).toStrictEqual({ refused: { code: "not-committed", reason: "The disk is full.", accepts } });
      expect(text).toBe(`Refused (not-committed): The disk is full.\nAccepted would be: ${accepts[0]}.`);
    },
  );
});

describe("the words for a failure", () => {
  it("name the operating system's code and nothing else of it", () => {
    expect(describeFailure(denied)).toStrictEqual({
      code: "bug",
      reason: "Something failed that should not have (EACCES); the gateway's log has the cause.",
    });
    expect(describeFailure(Object.assign(new Error("x"), { code: "/home/ada" })).reason).not.toContain("/home");
  });
});

describe("a change that would leave a document that is none", () => {
  it("fails and changes nothing: the task can be read and goes on", async () => {
    const bench = createBench();
    const taskId = await bench.started();
    await bench.launched(taskId, "step-01", "builder");
    const before = await bench.everything();
    const usage = { inputTokens: 10.5, outputTokens: 1, costUsd: 0 };
    await expect(bench.ended(taskId, "step-01", "builder", { usage })).rejects.toMatchObject({
      code: "bug",
      message: expect.stringContaining("/attempts/0/runs/0/usage") as unknown,
    });
    expect(await bench.everything()).toBe(before);
    await bench.ended(taskId, "step-01", "builder");
    expect((await bench.step(taskId)).attempts[0]?.runs[0]?.endedAt).not.toBeNull();
  });
});

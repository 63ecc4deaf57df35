/** Names of runs: what is derived, and what is recognised as one of ours. */
import { describe, expect, it } from "vitest";
import { placeOfSession, runIdOf, sessionKeyOf } from "../../src/flow/run-identity.ts";

const place = { taskId: "login-1a2b3c4d", stepId: "step-02", attempt: 10, role: "qa", launch: 21 } as const;

describe("a run", { tags: ["s7.run-id"] }, () => {
  it("is named by task, step, attempt, role and launch, and lives in a session of its agent", () => {
    expect(runIdOf(place)).toBe("login-1a2b3c4d/step-02/10/qa/21");
    expect(sessionKeyOf("main", place)).toBe(
      "agent:main:subagent:project-orchestrator:login-1a2b3c4d:step-02:10:qa:21",
    );
    expect(placeOfSession(sessionKeyOf("main", place))).toStrictEqual(place);
    const first = { ...place, attempt: 1, role: "builder", launch: 1 } as const;
    expect(placeOfSession(sessionKeyOf("main", first))).toStrictEqual(first);
  });

  it.each([
    "agent:main:main",
    "agent:main:subagent:another-plugin:login:step-02:1:qa:1",
    // As long as the mark of ours, and then like ours.
    `${"x".repeat(30)}login:step-02:1:qa:1`,
    "agent:main:subagent:project-orchestrator:",
    "agent:main:subagent:project-orchestrator:login",
    "agent:main:subagent:project-orchestrator:login:step-02:1:judge:1",
    "agent:main:subagent:project-orchestrator:login:step-02:1:qa",
    "agent:main:subagent:project-orchestrator:login:step-02:1:qa:1:2",
    "agent:main:subagent:project-orchestrator:login:step-02:0:qa:1",
    "agent:main:subagent:project-orchestrator:login:step-02:1:qa:0",
    "agent:main:subagent:project-orchestrator:login:step-02:01:qa:1",
    "agent:main:subagent:project-orchestrator:login:step-02:1:qa:-1",
    "agent:main:subagent:project-orchestrator:login:step-02:1x:qa:1",
    "agent:main:subagent:project-orchestrator:login:step-02:1:qa:1x",
  ])("is not what another session is taken for: %s", (sessionKey) => {
    expect(placeOfSession(sessionKey)).toBeUndefined();
  });
});

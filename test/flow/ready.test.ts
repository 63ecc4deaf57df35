/** What a task's state says of its steps: which are finished, which may start, whose run is due, and circles in dependencies. */
import { describe, expect, it } from "vitest";
import { dueRole, findCycle, isFinished, isLive, ready } from "../../src/flow/ready.ts";
import type { Seat } from "../../src/schema/documents.ts";
import { aStep } from "../support/builders.ts";

const seat = (status: Seat["status"]): Seat => ({ status, sessionKey: "session", runId: "run" });

describe("a step", () => {
  it.each([
    ["queued", false, false],
    ["building", true, false],
    ["checking", true, false],
    ["reviewing", true, false],
    ["blocked", false, false],
    ["passed", false, true],
    ["skipped", false, true],
    ["cancelled", false, true],
  ] as const)("that is %s is live: %s, finished: %s", (status, live, finished) => {
    expect([isLive({ status }), isFinished({ status })]).toStrictEqual([live, finished]);
  });
});

describe("steps that are ready", () => {
  it("are told in the order of their index, however they stand", () => {
    const steps = [3, 1, 2].map((index) => aStep({ id: `step-0${index}`, index }));
    expect(ready(steps).map((step) => step.id)).toStrictEqual(["step-01", "step-02", "step-03"]);
  });

  it("wait for no step that is not there", () => {
    expect(ready([aStep({ dependsOn: ["gone"] })])).toStrictEqual([]);
  });
});

describe("the run that is due", () => {
  it.each([
    ["builder", "queued", {}],
    ["qa", "queued", { kind: "review" }],
    [undefined, "queued", { kind: "vote" }],
    ["builder", "building", { builder: seat("lost") }],
    [undefined, "building", { builder: seat("running") }],
    [undefined, "checking", { builder: seat("lost") }],
    ["qa", "reviewing", { qa: seat("idle") }],
    ["qa", "reviewing", { qa: seat("lost") }],
    [undefined, "reviewing", { qa: seat("reported") }],
    [undefined, "blocked", { builder: seat("lost"), qa: seat("lost") }],
  ] as const)("is %s's in a step that is %s with %j", (role, status, fields) => {
    expect(dueRole(aStep({ status, ...fields }))).toBe(role);
  });
});

describe("a circle of dependencies", () => {
  const nodes = (edges: Readonly<Record<string, readonly string[]>>) =>
    Object.entries(edges).map(([id, dependsOn]) => ({ id, dependsOn }));

  it.each([
    ["of two", { a: ["b"], b: ["a"] }, ["a", "b", "a"]],
    ["behind a step that is not on it", { a: ["b"], b: ["c"], c: ["b"] }, ["b", "c", "b"]],
    ["beside a finished branch", { a: ["b", "c"], b: [], c: ["a"] }, ["a", "c", "a"]],
    ["beside an id that is not there", { a: ["gone", "b"], b: ["a"] }, ["a", "b", "a"]],
  ])("%s is told as the steps on it, the first repeated", (_words, edges, circle) => {
    expect(findCycle(nodes(edges))).toStrictEqual(circle);
  });

  it("is none where two ways lead to the same step", () => {
    expect(findCycle(nodes({ a: ["b", "c"], b: ["d"], c: ["d"], d: [] }))).toBeUndefined();
  });
});

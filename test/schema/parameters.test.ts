/** What a refusal of parameters says: which fields are wrong, with which value, and what would be accepted. */
import { describe, expect, it } from "vitest";
import {
  CreateStepParameters,
  RecordQaResultParameters,
  SetTaskStatusParameters,
  parseParameters,
} from "../../src/schema/parameters.ts";

const aStep = (fields: Readonly<Record<string, unknown>> = {}) => ({
  taskId: "task",
  title: "Title",
  goal: "Goal.",
  passCriteria: ["It runs."],
  ...fields,
});
const said = (decision: ReturnType<typeof parseParameters>) =>
  decision.ok ? "accepted" : [decision.code, decision.reason, decision.accepts];
const ofStep = (fields: Readonly<Record<string, unknown>>) =>
  said(parseParameters(CreateStepParameters, aStep(fields)));
const name = "1 to 200 characters, no control characters or bidirectional overrides";

describe("parameters of the wrong shape", () => {
  const fields = [
    "taskId: string",
    "title: string",
    "goal: string",
    "passCriteria: array of string",
    "id?: string",
    "dependsOn?: array of string",
    "checks?: array of { name: string; command: array of string; timeoutSeconds?: integer }",
  ];

  it("are refused with every wrong field and all that there is", () => {
    expect(ofStep({ more: 1, title: 3 })).toStrictEqual([
      "invalid-parameters",
      "more: unexpected property; title: expected string",
      fields,
    ]);
    expect(
      said(parseParameters(RecordQaResultParameters, { criteria: [{ id: "c1", pass: 1, evidence: "e" }] })),
    ).toEqual([
      "invalid-parameters",
      "criteria.0.pass: expected boolean",
      ["criteria: array of { id: string; pass: boolean; evidence: string }", "feedback?: string"],
    ]);
  });

  it("are named as they were given, also by names that are no words", () => {
    expect(ofStep({ "a/b~c": 1 }).at(1)).toBe("a/b~c: unexpected property");
  });

  it("are refused with ten wrong fields at most", () => {
    const many = Object.fromEntries(Array.from({ length: 12 }, (_, at) => [`more${at}`, 1]));
    expect(ofStep(many)).toStrictEqual([
      "invalid-parameters",
      Array.from({ length: 10 }, (_, at) => `more${at}: unexpected property`).join("; "),
      fields,
    ]);
  });

  it.each([undefined, null])("that are %s are none", (raw) => {
    expect(said(parseParameters(SetTaskStatusParameters, raw))).toStrictEqual([
      "invalid-parameters",
      "taskId is missing; status is missing",
      ["taskId: string", "status: running | paused | cancelled", "reason?: string"],
    ]);
  });

  it("that are no object are told as that", () => {
    expect(said(parseParameters(SetTaskStatusParameters, "text"))[1]).toBe("parameters: expected object");
  });

  it("with a word that is none of those that there are name it, by its beginning", () => {
    const status = (value: string) => said(parseParameters(SetTaskStatusParameters, { taskId: "task", status: value }));
    const accepts = ["taskId: string", "status: running | paused | cancelled", "reason?: string"];
    expect(status("done")).toStrictEqual(["invalid-parameters", 'status is "done"', accepts]);
    expect(status("x".repeat(100))).toStrictEqual(["invalid-parameters", `status is "${"x".repeat(79)}`, accepts]);
    expect(status("paused")).toBe("accepted");
  });
});

describe("parameters out of bounds", () => {
  it("are refused with the first one's code, every value and every bound", () => {
    expect(ofStep({ title: "x".repeat(201), goal: " ", id: "acceptance" })).toStrictEqual([
      "invalid-name",
      'title has 201 characters; goal is empty; id is "acceptance"',
      [`title: ${name}`, "goal: some text", "id: ^[a-z0-9][a-z0-9-]{0,59}$ other than acceptance"],
    ]);
    expect(ofStep({ id: "Not so" }).slice(0, 2)).toStrictEqual(["invalid-id", 'id is "Not so"']);
    const checks = [
      { name: "one", command: ["a"], timeoutSeconds: 0 },
      { name: "two", command: ["é".repeat(2049)], timeoutSeconds: 3601 },
      { name: "three", command: [], timeoutSeconds: 1 },
      { name: "four", command: ["a"], timeoutSeconds: 3600 },
    ];
    expect(ofStep({ checks })).toStrictEqual([
      "too-large",
      "checks[0].timeoutSeconds is 0; checks[1].command[0] has 4098 bytes; checks[1].timeoutSeconds is 3601; checks[2].command is empty",
      [
        "checks[0].timeoutSeconds: 1 to 3600",
        "checks[1].command[0]: at most 4096 bytes (UTF-8)",
        "checks[1].timeoutSeconds: 1 to 3600",
        "checks[2].command: at least 1",
      ],
    ]);
  });

  it("are words of a command that no program can be started with", () => {
    const checks = [
      { name: "one", command: ["npm", "test", "a\u0000b"] },
      { name: "two", command: ["\u0000"] },
      { name: "three", command: ["npm", "", "a\tb\n", "é"] },
    ];
    expect(ofStep({ checks })).toStrictEqual([
      "invalid-parameters",
      "checks[0].command[2] holds a null character; checks[1].command[0] holds a null character",
      ["checks[0].command[2]: text without null characters", "checks[1].command[0]: text without null characters"],
    ]);
    expect(ofStep({ checks: checks.slice(2) })).toBe("accepted");
  });

  it("are counted exactly", () => {
    const many = (length: number) => Array.from({ length }, () => "It runs.");
    expect(ofStep({ passCriteria: many(0) })).toStrictEqual([
      "invalid-parameters",
      "passCriteria is empty",
      ["passCriteria: at least 1"],
    ]);
    expect(ofStep({ passCriteria: many(50) })).toBe("accepted");
    expect(ofStep({ passCriteria: many(51) })).toStrictEqual([
      "too-large",
      "passCriteria has 51 entries",
      ["passCriteria: at most 50 entries"],
    ]);
    expect(ofStep({ title: "😀".repeat(200), id: "a".repeat(60) })).toBe("accepted");
    expect(ofStep({ id: "a".repeat(61) })[0]).toBe("invalid-id");
  });

  it("are told ten at most", () => {
    const dependsOn = Array.from({ length: 12 }, () => "x".repeat(1025));
    const ten = dependsOn.slice(0, 10).map((_, at) => `dependsOn[${at}]`);
    expect(ofStep({ dependsOn })).toStrictEqual([
      "too-large",
      ten.map((one) => `${one} has 1025 bytes`).join("; "),
      ten.map((one) => `${one}: at most 1024 bytes (UTF-8)`),
    ]);
  });

  it.each([
    [" \t", "is empty"],
    ["a\u0007b", "holds a control character"],
    ["a\u2028b", "holds a control character"],
    ["a\u202Eb", "holds a bidirectional override"],
    ["a\uD800b", "is not valid Unicode"],
    ["x".repeat(201), "has 201 characters"],
  ])("of a name %j: it %s", (title, words) => {
    expect(ofStep({ title })).toStrictEqual(["invalid-name", `title ${words}`, [`title: ${name}`]]);
  });
});

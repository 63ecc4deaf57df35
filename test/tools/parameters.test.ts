/** What the tools take: closed, flat schemas for the host; everything beyond a type is refused in our words, on every path. */
import { describe, expect, it } from "vitest";
import {
  aBuilderReport,
  aJudgement,
  aProject,
  aStep,
  aTask,
  createBench,
  tools,
  toolNamed,
  type Bench,
  type ToolName,
} from "../support/bench.ts";
import { inRun, owner } from "../support/callers.ts";

const place = { taskId: "task-1", stepId: "step-01", attempt: 1, role: "builder", launch: 1 } as const;
const callerOf = (name: ToolName) =>
  name === "record_builder_result"
    ? inRun(place, "run")
    : name === "record_qa_result"
      ? inRun({ ...place, role: "qa" }, "run")
      : owner();
const text = (bytes: number) => "x".repeat(bytes);
const times = (count: number, item: unknown) => Array.from({ length: count }, () => item);

const valid: Readonly<Record<ToolName, Readonly<Record<string, unknown>>>> = {
  create_project: aProject(),
  create_task: aTask(),
  create_step: { taskId: "login-1", ...aStep() },
  start_task: { taskId: "login-1" },
  set_task_status: { taskId: "login-1", status: "paused" },
  set_step_status: { taskId: "login-1", stepId: "step-01", status: "queued", reason: "Again." },
  get_status: {},
  record_builder_result: aBuilderReport(),
  record_qa_result: aJudgement(),
};
const requiredOf = (name: ToolName): readonly string[] => toolNamed(name).parameters["required"] ?? [];
const names = Object.keys(valid) as ToolName[];

async function refused(name: ToolName, parameters: unknown, bench: Bench = createBench()) {
  return bench.refused(name, parameters, callerOf(name));
}

describe("the schema of every tool", () => {
  const visit = (
    schema: unknown,
    look: (schema: Readonly<Record<string, unknown>>, path: string) => void,
    path = "",
  ): void => {
    if (typeof schema !== "object" || schema === null) return;
    look(schema as Readonly<Record<string, unknown>>, path);
    for (const [key, inner] of Object.entries(schema)) visit(inner, look, `${path}/${key}`);
  };
  const shown = (name: ToolName): unknown => JSON.parse(JSON.stringify(toolNamed(name).parameters));

  it("belongs to one of the nine tools", () => {
    expect(tools.map((tool) => tool.name)).toStrictEqual(names);
  });

  /** Name → type of each field; `?` marks those that may be left out. */
  const exact: Readonly<Record<ToolName, unknown>> = {
    create_project: { name: "string", spec: "string", "repo?": "string" },
    create_task: {
      projectId: "string",
      title: "string",
      spec: "string",
      acceptanceCriteria: ["string"],
      steps: [
        {
          title: "string",
          goal: "string",
          passCriteria: ["string"],
          "id?": "string",
          "dependsOn?": ["string"],
          "checks?": [{ name: "string", command: ["string"], "timeoutSeconds?": "integer" }],
        },
      ],
      "dependsOn?": ["string"],
    },
    create_step: {
      taskId: "string",
      title: "string",
      goal: "string",
      passCriteria: ["string"],
      "id?": "string",
      "dependsOn?": ["string"],
      "checks?": [{ name: "string", command: ["string"], "timeoutSeconds?": "integer" }],
    },
    start_task: { taskId: "string" },
    set_task_status: { taskId: "string", status: "running | paused | cancelled", "reason?": "string" },
    set_step_status: {
      taskId: "string",
      stepId: "string",
      status: "queued | passed | skipped | blocked",
      reason: "string",
    },
    get_status: { "projectId?": "string", "taskId?": "string", "stepId?": "string", "verify?": "boolean" },
    record_builder_result: {
      outcome: "done | blocked",
      summary: "string",
      filesChanged: ["string"],
      "filesDeleted?": ["string"],
      "testsRun?": [{ command: "string", exitCode: "integer" }],
      "question?": "string",
    },
    record_qa_result: { criteria: [{ id: "string", pass: "boolean", evidence: "string" }], "feedback?": "string" },
  };
  type Shown = {
    readonly type: string;
    readonly enum?: readonly string[];
    readonly items?: Shown;
    readonly properties?: Readonly<Record<string, Shown>>;
    readonly required?: readonly string[];
    readonly description?: string;
  };
  const shapeOf = (schema: Shown): unknown => {
    if (schema.type === "array") return schema.items === undefined ? [] : [shapeOf(schema.items)];
    if (schema.type !== "object") return schema.enum?.join(" | ") ?? schema.type;
    return Object.fromEntries(
      Object.entries(schema.properties ?? {}).map(([key, one]) => [
        schema.required?.includes(key) === true ? key : `${key}?`,
        shapeOf(one),
      ]),
    );
  };

  it.each(names)("of %s has exactly these fields", { tags: ["s5.parameters-exact", "s5.report-no-ids"] }, (name) => {
    expect(shapeOf(shown(name) as Shown)).toStrictEqual(exact[name]);
  });

  it.each(names)("of %s describes every field, also within lists", { tags: ["s5.parameters-described"] }, (name) => {
    visit(shown(name), (schema, path) => {
      for (const [key, one] of Object.entries((schema as Shown).properties ?? {}))
        if (path.split("/").at(-1) !== "properties") expect(one.description, `${path}/${key}`).toMatch(/\w/);
    });
  });

  it.each(names)("of %s is closed at every level", { tags: ["s5.parameters-closed"] }, (name) => {
    visit(shown(name), (schema, path) => {
      if (schema["type"] === "object") expect(schema["additionalProperties"], path).toBe(false);
    });
  });

  it.each(names)(
    "of %s has no unions, references or patterns, and enums only of strings",
    { tags: ["s5.parameters-flat"] },
    (name) => {
      visit(shown(name), (schema, path) => {
        for (const key of ["anyOf", "oneOf", "allOf", "not", "$ref", "const", "pattern"])
          expect(schema, path).not.toHaveProperty(key);
        if (Array.isArray(schema["enum"]))
          expect(
            schema["enum"].every((one) => typeof one === "string"),
            path,
          ).toBe(true);
      });
    },
  );

  it.each(names)(
    "of %s shows the host no bounds: exceeding one gets our refusal",
    { tags: ["s5.host-sees-no-bounds"] },
    (name) => {
      visit(shown(name), (schema, path) => {
        for (const key of ["maxLength", "minLength", "maxItems", "minItems", "maximum", "minimum", "format"])
          expect(schema, path).not.toHaveProperty(key);
      });
    },
  );

  it.each(names)("of %s describes each parameter, and nests no deeper than a step's checks", (name) => {
    const { properties } = shown(name) as {
      readonly properties: Readonly<Record<string, { readonly description?: string }>>;
    };
    for (const [key, property] of Object.entries(properties)) expect(property.description, key).toBeTruthy();
    let deepest = 0;
    visit(shown(name), (_schema, path) => (deepest = Math.max(deepest, path.split("/items").length - 1)));
    expect(deepest).toBeLessThanOrEqual(name === "create_task" ? 3 : 2);
  });
});

describe("parameters", () => {
  it.each<readonly [ToolName, string, Readonly<Record<string, unknown>>]>([
    ["create_task", "steps.0.force", aTask({ steps: [{ ...aStep(), force: true }] })],
    [
      "create_step",
      "checks.0.shell",
      { taskId: "login-1", ...aStep({ checks: [{ name: "t", command: ["npm"], shell: true }] }) },
    ],
    [
      "record_builder_result",
      "testsRun.0.status",
      aBuilderReport({ testsRun: [{ command: "t", exitCode: 0, status: 1 }] }),
    ],
    ["record_builder_result", "stepId", aBuilderReport({ stepId: "step-01" })],
    ["record_qa_result", "criteria.0.stepId", { criteria: [{ id: "c1", pass: true, evidence: "x", stepId: "s" }] }],
    ["record_qa_result", "runId", { ...aJudgement(), runId: "login-1/step-01/1/qa/1" }],
  ])(
    "of %s must be known ones at every level: %s",
    { tags: ["s5.parameters-closed", "s5.report-no-ids"] },
    async (name, where, parameters) => {
      expect(await refused(name, parameters)).toMatchObject({
        code: "invalid-parameters",
        reason: `${where}: unexpected property`,
      });
    },
  );

  it.each(names)("of %s must all be known ones", { tags: ["s5.parameters-closed"] }, async (name) => {
    const refusal = await refused(name, { ...valid[name], force: true });
    expect(refusal.code).toBe("invalid-parameters");
    expect(refusal.reason).toContain("force: unexpected property");
    expect(refusal.accepts.join()).toContain(Object.keys(toolNamed(name).parameters["properties"])[0]);
  });

  it.each(names.flatMap((name) => requiredOf(name).map((key) => [name, key] as const)))(
    "of %s lack nothing: %s is named when it is missing",
    async (name, key) => {
      const { [key]: _left, ...rest } = valid[name];
      const refusal = await refused(name, rest);
      expect(refusal.code).toBe("invalid-parameters");
      expect(refusal.reason).toMatch(new RegExp(`(^|; )${key} is missing`));
      expect(refusal.accepts.some((one) => one.startsWith(`${key}:`))).toBe(true);
    },
  );

  it.each(
    names.flatMap((name) => Object.keys(toolNamed(name).parameters["properties"]).map((key) => [name, key] as const)),
  )("of %s have the right type: %s is named when it has not", async (name, key) => {
    const refusal = await refused(name, { ...valid[name], [key]: { not: "this" } });
    expect(refusal.code).toBe("invalid-parameters");
    expect(refusal.reason).toMatch(new RegExp(`(^|; )${key}`));
    expect(refusal.accepts.some((one) => one.startsWith(key))).toBe(true);
  });

  it.each([
    ["set_task_status", { status: "draft" }, "status: running | paused | cancelled"],
    ["set_step_status", { status: "done" }, "status: queued | passed | skipped | blocked"],
    ["record_builder_result", { outcome: "perhaps" }, "outcome: done | blocked"],
  ] as const)("of %s that are one of a few words are named with these words", async (name, fields, accepted) => {
    const refusal = await refused(name, { ...valid[name], ...fields });
    expect(refusal.code).toBe("invalid-parameters");
    expect(refusal.reason).toContain(Object.values(fields)[0]);
    expect(refusal.accepts).toContain(accepted);
  });

  it.each<unknown>([["a list"], "text", 7, true])("are an object, not %j", async (raw) => {
    expect((await refused("start_task", raw)).code).toBe("invalid-parameters");
  });

  it("may be left out altogether where none is needed", async () => {
    expect(await createBench().done("get_status", undefined)).toMatchObject({ projects: [] });
  });

  /** Bounds of the schemas' own; those of the contract are in bounds.test.ts. */
  const overBounds: readonly (readonly [ToolName, string, Readonly<Record<string, unknown>>, string])[] = [
    ["create_project", "repo", { repo: text(4097) }, "at most 4096 bytes"],
    ["create_task", "dependsOn", { dependsOn: Array(2001).fill("x") }, "at most 2000 entries"],
    [
      "record_qa_result",
      "criteria",
      { criteria: times(101, { id: "c1", pass: true, evidence: "x" }) },
      "at most 100 entries",
    ],
  ];
  it.each(overBounds)(
    "of %s over a bound are refused: %s",
    { tags: ["s5.bounds-are-our-refusal"] },
    async (name, where, fields, accepted) => {
      const refusal = await refused(name, { ...valid[name], ...fields });
      expect(refusal.code).toBe("too-large");
      expect(refusal.reason.startsWith(`${where} `)).toBe(true);
      expect(refusal.accepts.some((one) => one.startsWith(`${where}: ${accepted}`))).toBe(true);
    },
  );

  it.each([
    ["create_project", "spec", { spec: " \n" }],
    ["create_project", "repo", { repo: "" }],
    ["create_task", "acceptanceCriteria", { acceptanceCriteria: [] }],
    ["create_task", "acceptanceCriteria[0]", { acceptanceCriteria: [""] }],
    ["create_task", "steps", { steps: [] }],
    ["create_task", "steps[0].passCriteria", { steps: [aStep({ passCriteria: [] })] }],
    ["create_task", "steps[0].checks[0].command", { steps: [aStep({ checks: [{ name: "t", command: [] }] })] }],
    ["create_step", "goal", { goal: "" }],
    ["set_step_status", "reason", { reason: "" }],
    ["record_builder_result", "summary", { summary: "" }],
    ["record_builder_result", "filesChanged[0]", { filesChanged: [""] }],
  ] as const)("of %s may not be empty: %s", async (name, where, fields) => {
    const refusal = await refused(name, { ...valid[name], ...fields });
    expect(refusal.code).toBe("invalid-parameters");
    expect(refusal.reason).toContain(`${where} is empty`);
  });

  it("that are wrong in many places are named up to ten", async () => {
    const refusal = await refused(
      "create_task",
      aTask({ steps: Array.from({ length: 30 }, () => aStep({ title: "" })) }),
    );
    expect(refusal.reason.split("; ")).toHaveLength(10);
    expect(refusal.accepts).toHaveLength(10);
  });

  it("never bring a long or strange name of an unknown field into the refusal unbounded", async () => {
    const refusal = await refused("start_task", { taskId: "a", ["y".repeat(20_000)]: 1 });
    expect(refusal.reason.length).toBeLessThan(5_000);
  });
});

describe("a name", () => {
  const naming: readonly (readonly [ToolName, string, (name: string) => unknown])[] = [
    ["create_project", "name", (name) => aProject({ name })],
    ["create_task", "title", (title) => aTask({ title })],
    ["create_task", "steps[0].title", (title) => aTask({ steps: [aStep({ title })] })],
    [
      "create_task",
      "steps[0].checks[0].name",
      (name) => aTask({ steps: [aStep({ checks: [{ name, command: ["npm"] }] })] }),
    ],
    ["create_step", "title", (title) => ({ taskId: "login-1", ...aStep({ title }) })],
  ];
  const wrong: readonly (readonly [string, string, string])[] = [
    ["empty", "", "is empty"],
    ["only spaces", "   ", "is empty"],
    ["201 characters", "x".repeat(201), "has 201 characters"],
    ["300 characters", "名".repeat(300), "has 300 characters"],
    ["a line feed", "one\ntwo", "holds a control character"],
    ["a null", "one\u0000two", "holds a control character"],
    ["an escape", "one\u001b[2Jtwo", "holds a control character"],
    ["a delete", "one\u007f", "holds a control character"],
    ["a control character of the second set", "one\u0085two", "holds a control character"],
    ["a line separator", "one\u2028two", "holds a control character"],
    ["a right-to-left override", "abc\u202Edcb", "holds a bidirectional override"],
    ["a left-to-right override", "abc\u202Ddcb", "holds a bidirectional override"],
    ["a right-to-left embedding", "abc\u202Bdcb", "holds a bidirectional override"],
    ["an isolate", "\u2066abc\u2069", "holds a bidirectional override"],
    ["half a surrogate pair", "abc\ud83d", "is not valid Unicode"],
  ];
  it.each(
    naming.flatMap(([tool, where, make]) =>
      wrong.map(([what, value, words]) => [tool, where, what, make(value), words] as const),
    ),
  )(
    "given to %s as %s is refused when it is %s",
    { tags: ["s3.name-length", "s3.name-control", "s3.name-bidi"] },
    async (tool, where, _what, parameters, words) => {
      const refusal = await refused(tool, parameters);
      expect(refusal).toMatchObject({ code: "invalid-name", reason: `${where} ${words}` });
      expect(refusal.accepts[0]).toContain("1 to 200 characters");
    },
  );

  it.each(["x", "x".repeat(200), "界".repeat(200), "🚀".repeat(200), "../x", "C:\\con", "ürgent: <b>", " padded "])(
    "is kept word for word: %s",
    { tags: ["s3.name-verbatim", "s3.name-length"] },
    async (name) => {
      const bench = createBench();
      const { projectId } = await bench.done("create_project", aProject({ name }));
      const snapshot = await bench.store.read({ projectId: String(projectId) });
      expect(JSON.parse(snapshot?.documents["project"] ?? "{}")).toMatchObject({ name });
      const { taskId } = await bench.done(
        "create_task",
        aTask({ projectId, title: name, steps: [aStep({ title: name })] }),
      );
      expect(await bench.state(String(taskId))).toMatchObject({ task: { title: name }, steps: [{ title: name }, {}] });
    },
  );
});

describe("a step's own id", () => {
  it.each(["a", "0-9", `a${"b".repeat(59)}`])("may be %s", { tags: ["s3.step-id-given"] }, async (id) => {
    const bench = createBench();
    await bench.done("create_project", aProject());
    expect(await bench.done("create_task", aTask({ steps: [aStep({ id })] }))).toMatchObject({
      stepIds: [id, "acceptance"],
    });
  });
  it.each(["", "-a", "A", "a_b", "../x", "a/b", "a".repeat(61), "acceptance", "é"])(
    "may not be %j",
    { tags: ["s3.step-id-given"] },
    async (id) => {
      const refusal = await refused("create_task", aTask({ steps: [aStep({ id })] }));
      expect(refusal).toMatchObject({ code: "invalid-id" });
      expect(refusal.reason).toMatch(/^steps\[0\]\.id is /);
    },
  );
});

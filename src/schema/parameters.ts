/**
 * What agents may hand in, tool by tool: flat, closed, string enums, every field described for a language model. The
 * host is shown types, required fields, enums and closedness; bounds ride along under a symbol, so that exceeding one
 * gets our refusal on every path and not the host's.
 */
import { Type, type SchemaOptions, type Static, type TProperties, type TSchema } from "@sinclair/typebox";
import { Value, ValueErrorType, type ValueError } from "@sinclair/typebox/value";
import { refuse, type Refusal } from "../errors.ts";
import { bounds, byteLength } from "./bounds.ts";
import type { Immutable } from "./documents.ts";

/** Under this key a schema says what `parseParameters` tests beyond its type. Invisible in JSON. */
const bound = Symbol("project-orchestrator.bound");

type Bound = {
  readonly bytes?: number;
  readonly items?: readonly [least: number, most: number];
  readonly name?: true;
  readonly notEmpty?: true;
  /** A word that a program is started with: the system takes none with a null character. */
  readonly word?: true;
  readonly stepId?: true;
  readonly range?: readonly [least: number, most: number];
};

const withBound = (description: string, limits: Bound): SchemaOptions => ({ description, [bound]: limits });
const text = (description: string, limits: Bound = {}) => Type.String(withBound(description, limits));
const name = (description: string) => text(description, { name: true });
const id = (description: string) => text(description, { bytes: bounds.fileBytes });
const list = <T extends TSchema>(items: T, description: string, least: number, most: number) =>
  Type.Array(items, withBound(description, { items: [least, most] }));
const plain = (limits: Bound) => Type.String({ [bound]: limits });
const choice = <const T extends string>(values: readonly T[], description: string) =>
  Type.Unsafe<T>(Type.String({ enum: [...values], description }));
const object = <T extends TProperties>(properties: T) => Type.Object(properties, { additionalProperties: false });

const criteria = (most: number, description: string) =>
  list(plain({ bytes: bounds.criterionBytes, notEmpty: true }), description, 1, most);
const reason = (description: string) => text(description, { bytes: bounds.noteBytes, notEmpty: true });

const checkParameters = list(
  object({
    name: name("What it checks"),
    command: list(
      plain({ bytes: bounds.commandWordBytes, word: true }),
      'Program and arguments, no shell: ["npm","test"]',
      1,
      bounds.commandWords,
    ),
    timeoutSeconds: Type.Optional(
      Type.Integer(
        withBound("Default 300", { range: [bounds.checkTimeoutSeconds.least, bounds.checkTimeoutSeconds.most] }),
      ),
    ),
  }),
  "Commands run in the repo after the builder; each must exit 0 before QA looks",
  0,
  bounds.checksPerStep,
);
const stepFields = {
  title: name("Short name of the step"),
  goal: text("What to build, so complete that a builder who knows only this and the specs can do it", {
    bytes: bounds.goalBytes,
    notEmpty: true,
  }),
  passCriteria: criteria(bounds.criteriaPerStep, "Facts QA can see or run to decide, one each"),
  id: Type.Optional(text("Own id; default step-01, step-02, …", { stepId: true })),
  dependsOn: Type.Optional(
    list(
      plain({ bytes: bounds.fileBytes }),
      "Step ids it needs; default: the step before; [] = none",
      0,
      bounds.dependencies,
    ),
  ),
  checks: Type.Optional(checkParameters),
};

export const CreateProjectParameters = object({
  name: name("Name people use; the project id is made from it"),
  spec: text("Full specification in markdown", { bytes: bounds.specBytes, notEmpty: true }),
  repo: Type.Optional(
    text("Existing directory to work in, inside the root or allowedRepos; default: a new one", {
      bytes: bounds.commandWordBytes,
      notEmpty: true,
    }),
  ),
});

export const CreateTaskParameters = object({
  projectId: id("Project id"),
  title: name("Short name of the task"),
  spec: text("What this task delivers, in markdown", { bytes: bounds.specBytes, notEmpty: true }),
  acceptanceCriteria: criteria(bounds.criteriaPerTask, "Facts that must hold at the end of the whole task"),
  steps: list(object(stepFields), "In order", 1, bounds.stepsPerCall),
  dependsOn: Type.Optional(
    list(
      plain({ bytes: bounds.fileBytes }),
      "Task ids of this project that must be done first",
      0,
      bounds.dependencies,
    ),
  ),
});

export const CreateStepParameters = object({ taskId: id("Task id"), ...stepFields });
export const StartTaskParameters = object({ taskId: id("Task id") });

export const SetTaskStatusParameters = object({
  taskId: id("Task id"),
  status: choice(["running", "paused", "cancelled"], "running = go on; paused = stop for now; cancelled = for good"),
  reason: Type.Optional(text("Why", { bytes: bounds.noteBytes })),
});

export const SetStepStatusParameters = object({
  taskId: id("Task id"),
  stepId: id("Step id"),
  status: choice(
    ["queued", "passed", "skipped", "blocked"],
    "queued = try again with reason as note; passed = accept without QA; skipped = leave out; blocked = hold back",
  ),
  reason: reason("The person's words; the next run reads them first"),
});

export const GetStatusParameters = object({
  projectId: Type.Optional(id("Only this project")),
  taskId: Type.Optional(id("Only this task")),
  stepId: Type.Optional(id("Only this step of taskId")),
  verify: Type.Optional(Type.Boolean({ description: "Compare every file with the journal and mend what differs" })),
});

const paths = (description: string) =>
  list(plain({ bytes: bounds.fileBytes, notEmpty: true }), description, 0, bounds.files);

export const RecordBuilderResultParameters = object({
  outcome: choice(["done", "blocked"], "done = built and tested; blocked = you need a person's answer"),
  summary: text("What you did and how you know that it works", { bytes: bounds.noteBytes, notEmpty: true }),
  filesChanged: paths("Files made or changed, relative to the repo, / separated; may be empty"),
  filesDeleted: Type.Optional(paths("Files removed, relative to the repo")),
  testsRun: Type.Optional(
    list(
      object({
        command: text("As you ran it", { bytes: bounds.commandWordBytes, notEmpty: true }),
        exitCode: Type.Integer({ description: "0 = it passed" }),
      }),
      "Tests you ran",
      0,
      bounds.testsRun,
    ),
  ),
  question: Type.Optional(text("Only when blocked: one question for a person", { bytes: bounds.noteBytes })),
});

export const RecordQaResultParameters = object({
  criteria: list(
    object({
      id: Type.String({ description: "Criterion id from your brief, e.g. c1", [bound]: { bytes: bounds.fileBytes } }),
      pass: Type.Boolean({ description: "true only when you saw that it holds" }),
      evidence: text("What you ran or saw, and what came out", { bytes: bounds.evidenceBytes }),
    }),
    "Every criterion exactly once",
    0,
    bounds.criteriaPerTask,
  ),
  feedback: Type.Optional(text("Needed when one fails: what is wrong and how to see it", { bytes: bounds.noteBytes })),
});

export type ParametersOf<T extends TSchema> = Immutable<Static<T>>;

/** The parsed parameters, or a refusal that names every field that is wrong (the first ten) and what would be accepted. Pure. */
export function parseParameters<T extends TSchema>(
  schema: T,
  raw: unknown,
): { readonly ok: true; readonly value: ParametersOf<T> } | Refusal {
  const value: unknown = raw ?? {};
  // Of a field that is missing the library says so first, and then that it is of no type.
  const firstOf = new Map<string, ValueError>();
  const errors = Value.Check(schema, value) ? [] : Value.Errors(schema, value);
  for (const error of errors) if (!firstOf.has(error.path)) firstOf.set(error.path, error);
  const wrong = [...firstOf.values()].map(wordsOf);
  const enums = wrong.length > 0 ? [] : outOfBounds(schema, value, "", "enum");
  if (wrong.length + enums.length > 0)
    return refuse(
      "invalid-parameters",
      [...wrong, ...enums.map((one) => one.words)].slice(0, 10).join("; "),
      acceptedFields(schema),
    );
  const over = outOfBounds(schema, value, "", "bound");
  const first = over[0];
  if (first !== undefined)
    return refuse(
      first.code,
      over
        .slice(0, 10)
        .map((one) => one.words)
        .join("; "),
      over.slice(0, 10).map((one) => one.accepted),
    );
  // Value.Check found nothing wrong, so the value has the schema's static type.
  return { ok: true, value: value as ParametersOf<T> };
}

type Wrong = {
  readonly code: "invalid-parameters" | "too-large" | "invalid-name" | "invalid-id";
  readonly words: string;
  readonly accepted: string;
};

function outOfBounds(schema: TSchema, value: unknown, path: string, what: "enum" | "bound"): readonly Wrong[] {
  const own = what === "enum" ? checkEnum(schema, value, path) : checkBound(schema, value, path);
  if (Array.isArray(value))
    return [...own, ...value.flatMap((item, at) => outOfBounds(schema["items"], item, `${path}[${at}]`, what))];
  if (typeof value !== "object" || value === null) return own;
  const properties: Record<string, TSchema> = schema["properties"] ?? {};
  return Object.entries(value).flatMap(([key, item]) => {
    const inner = properties[key];
    return inner === undefined ? [] : outOfBounds(inner, item, path === "" ? key : `${path}.${key}`, what);
  });
}

function checkEnum(schema: TSchema, value: unknown, path: string): readonly Wrong[] {
  const values: readonly unknown[] | undefined = schema["enum"];
  if (values === undefined || values.includes(value)) return [];
  const accepted = `${path}: ${values.join(" | ")}`;
  return [{ code: "invalid-parameters", words: `${path} is ${show(value)}`, accepted }];
}

function checkBound(schema: TSchema, value: unknown, path: string): readonly Wrong[] {
  const limits: Bound = (schema as { readonly [bound]?: Bound })[bound] ?? {};
  const wrong: Wrong[] = [];
  const add = (code: Wrong["code"], words: string, accepted: string) =>
    wrong.push({ code, words: `${path} ${words}`, accepted: `${path}: ${accepted}` });
  if (limits.items !== undefined && Array.isArray(value)) {
    const [least, most] = limits.items;
    if (value.length < least) add("invalid-parameters", "is empty", `at least ${least}`);
    if (value.length > most) add("too-large", `has ${value.length} entries`, `at most ${most} entries`);
  }
  if (limits.range !== undefined && typeof value === "number") {
    const [least, most] = limits.range;
    if (value < least || value > most) add("too-large", `is ${value}`, `${least} to ${most}`);
  }
  if (typeof value !== "string") return wrong;
  if (limits.notEmpty === true && value.trim() === "") add("invalid-parameters", "is empty", "some text");
  if (limits.word === true && value.includes("\0"))
    add("invalid-parameters", "holds a null character", "text without null characters");
  if (limits.bytes !== undefined && byteLength(value) > limits.bytes)
    add("too-large", `has ${byteLength(value)} bytes`, `at most ${limits.bytes} bytes (UTF-8)`);
  if (limits.name === true) {
    const problem = problemOfName(value);
    if (problem !== undefined)
      add(
        "invalid-name",
        problem,
        `1 to ${bounds.nameCharacters} characters, no control characters or bidirectional overrides`,
      );
  }
  if (limits.stepId === true && !isStepId(value))
    add("invalid-id", `is ${show(value)}`, "^[a-z0-9][a-z0-9-]{0,59}$ other than acceptance");
  return wrong;
}

function problemOfName(value: string): string | undefined {
  const characters = [...value].length;
  if (value.trim() === "") return "is empty";
  if (characters > bounds.nameCharacters) return `has ${characters} characters`;
  if (/[\p{Cc}\u2028\u2029]/u.test(value)) return "holds a control character";
  if (/[\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/u.test(value)) return "holds a bidirectional override";
  if (!value.isWellFormed()) return "is not valid Unicode";
  return undefined;
}

function isStepId(value: string): boolean {
  return /^[a-z0-9][a-z0-9-]{0,59}$/.test(value) && value !== "acceptance";
}

function acceptedFields(schema: TSchema): readonly string[] {
  const required: readonly string[] = schema["required"] ?? [];
  const properties: Record<string, TSchema> = schema["properties"] ?? {};
  return Object.entries(properties).map(
    ([key, inner]) => `${key}${required.includes(key) ? "" : "?"}: ${acceptedType(inner)}`,
  );
}

function acceptedType(schema: TSchema): string {
  const values: readonly string[] | undefined = schema["enum"];
  if (values !== undefined) return values.join(" | ");
  if (schema["type"] === "array") return `array of ${acceptedType(schema["items"])}`;
  return schema["type"] === "object" ? `{ ${acceptedFields(schema).join("; ")} }` : (schema["type"] ?? "value");
}

/** The library names fields as JSON pointers, in which `/` and `~` of a name are written otherwise. */
const fieldName = (path: string) =>
  path === "" ? "parameters" : path.slice(1).replaceAll("/", ".").replaceAll("~1", "/").replaceAll("~0", "~");
const wordsOf = ({ type, path, message }: ValueError) =>
  type === ValueErrorType.ObjectRequiredProperty
    ? `${fieldName(path)} is missing`
    : `${fieldName(path)}: ${message.toLowerCase()}`;
const show = (value: unknown) => JSON.stringify(value)?.slice(0, 80) ?? "nothing";

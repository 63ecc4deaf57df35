/**
 * The stored documents: project.json, task.json and steps/<id>.json. Field order here is the key order on disk.
 * Each fact stands in one place: a step's status is in its own document only, sums are computed and never stored.
 */
import { Type, type Static, type TProperties, type TSchema } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import { OrchestratorError } from "../errors.ts";
import { migrate } from "./migrations.ts";

/** A value that nobody changes in place. */
export type Immutable<T> = T extends (infer U)[]
  ? readonly Immutable<U>[]
  : T extends object
    ? { readonly [K in keyof T]: Immutable<T[K]> }
    : T;

/** Version of the document shapes below; a document with a greater one is read-only. */
export const schemaVersion = 1;

const closed = { additionalProperties: false } as const;
function object<T extends TProperties>(properties: T) {
  return Type.Object(properties, closed);
}
function nullable<T extends ReturnType<typeof Type.String>>(schema: T) {
  return Type.Union([schema, Type.Null()]);
}
const text = () => Type.String();
const moment = () => Type.String({ description: "ISO 8601, UTC" });
const count = () => Type.Integer({ minimum: 0 });

/** Head of every document. `rev` grows by one with each commit that changes the document. */
const head = { schemaVersion: Type.Literal(schemaVersion), rev: Type.Integer({ minimum: 1 }) };
const times = { createdAt: moment(), updatedAt: moment() };

/** Who asked for the thing: the agent, and a hash of the session key (a session key can hold a phone number). */
export const Origin = object({ agentId: text(), session: text() });
export type Origin = Immutable<Static<typeof Origin>>;

export const Criterion = object({ id: text(), text: text() });
export type Criterion = Immutable<Static<typeof Criterion>>;

export const Check = object({
  name: text(),
  command: Type.Array(text(), { minItems: 1 }),
  timeoutSeconds: Type.Integer({ minimum: 1 }),
});
export type Check = Immutable<Static<typeof Check>>;

export const QuestionKind = Type.Union([
  Type.Literal("attempts-used"),
  Type.Literal("no-progress"),
  Type.Literal("runs-lost"),
  Type.Literal("builder-asks"),
  Type.Literal("held"),
  Type.Literal("acceptance-failed"),
  Type.Literal("dependency-cancelled"),
]);
export type QuestionKind = Immutable<Static<typeof QuestionKind>>;

/** A question that only a person answers. Set by the commit that blocks, cleared by the commit that answers. */
export const Question = object({
  id: text(),
  kind: QuestionKind,
  text: text(),
  choices: Type.Array(text()),
  askedAt: moment(),
});
export type Question = Immutable<Static<typeof Question>>;

export const Role = Type.Union([Type.Literal("builder"), Type.Literal("qa")]);
export type Role = Immutable<Static<typeof Role>>;

/** Tokens and cost of one run, summed from its session's messages after it ended. */
export const Usage = object({ inputTokens: count(), outputTokens: count(), costUsd: Type.Number({ minimum: 0 }) });
export type Usage = Immutable<Static<typeof Usage>>;

export const RunEnd = Type.Union([
  Type.Literal("reported"),
  Type.Literal("lost"),
  Type.Literal("stopped"),
  Type.Literal("gateway"),
]);
export type RunEnd = Immutable<Static<typeof RunEnd>>;

/**
 * One subagent session in one role. Added when the launch is intended; `startedAt` is then that moment, and the moment of
 * the launch once that is confirmed. `endedAt`, `end`, `usage` are set once, when the host says it is over; `why` with them, for
 * a lost run of which more is known than that it did not report.
 */
export const Run = object({
  runId: text(),
  role: text(),
  launch: Type.Integer({ minimum: 1 }),
  startedAt: moment(),
  endedAt: nullable(moment()),
  end: Type.Union([RunEnd, Type.Null()]),
  usage: Type.Union([Usage, Type.Null()]),
  why: Type.Optional(text()),
});
export type Run = Immutable<Static<typeof Run>>;

export const TestRun = object({ command: text(), exitCode: Type.Integer() });
export type TestRun = Immutable<Static<typeof TestRun>>;

/** What the builder claims, and in `filesObserved` what the system saw change (set when the run has ended). */
export const BuilderReport = object({
  runId: text(),
  outcome: Type.Union([Type.Literal("done"), Type.Literal("blocked")]),
  summary: text(),
  filesChanged: Type.Array(text()),
  filesDeleted: Type.Array(text()),
  filesObserved: Type.Union([Type.Array(text()), Type.Null()]),
  testsRun: Type.Array(TestRun),
  /** What it asked; stays after the answer. Beside `done` it blocks nothing. */
  question: Type.Optional(text()),
});
export type BuilderReport = Immutable<Static<typeof BuilderReport>>;

/** One deterministic check as it ran. `program` is the absolute path that was started; `exitCode` is null when none was reached. */
export const CheckResult = object({
  name: text(),
  program: nullable(text()),
  exitCode: Type.Union([Type.Integer(), Type.Null()]),
  timedOut: Type.Boolean(),
  durationMs: count(),
  outputTail: text(),
});
export type CheckResult = Immutable<Static<typeof CheckResult>>;

export const Judgement = object({ id: text(), pass: Type.Boolean(), evidence: text() });
export type Judgement = Immutable<Static<typeof Judgement>>;

/** QA's report. `verdict` is computed from `criteria`, never taken from the model. */
export const QaReport = object({
  runId: text(),
  verdict: Type.Union([Type.Literal("pass"), Type.Literal("fail")]),
  criteria: Type.Array(Judgement),
  feedback: text(),
});
export type QaReport = Immutable<Static<typeof QaReport>>;

/** A report that came after its run was over: kept, without effect. */
export const LateReport = object({ runId: text(), role: text(), at: moment(), report: text() });
export type LateReport = Immutable<Static<typeof LateReport>>;

/**
 * A person's or the orchestrator's decision; `question` is the kind of what it answered and `asked` its words. One on a
 * step stands in the attempt it came after, one on a task's own question in the task.
 */
export const Decision = object({
  at: moment(),
  by: Type.Union([Type.Literal("person"), Type.Literal("orchestrator")]),
  status: text(),
  reason: text(),
  question: Type.Union([QuestionKind, Type.Null()]),
  asked: Type.Optional(text()),
});
export type Decision = Immutable<Static<typeof Decision>>;

/**
 * Identity of the working tree before the builder, at the end of its run and at the end of QA's; null while not known.
 * `changedAfterBuild` names files that differ between `built` and `judged`; `shared` says that other steps worked in the tree too.
 */
export const TreeMarks = object({
  before: nullable(text()),
  built: nullable(text()),
  judged: nullable(text()),
  changedAfterBuild: Type.Optional(Type.Array(text())),
  shared: Type.Optional(Type.Boolean()),
});
export type TreeMarks = Immutable<Static<typeof TreeMarks>>;

/** One builder→QA round. `builder`, `checks` and `qa` appear when they have happened; `note` is what a person or the orchestrator wanted this attempt to know. */
export const Attempt = object({
  attempt: Type.Integer({ minimum: 1 }),
  note: Type.Optional(text()),
  runs: Type.Array(Run),
  builder: Type.Optional(BuilderReport),
  checks: Type.Optional(Type.Array(CheckResult)),
  qa: Type.Optional(QaReport),
  tree: TreeMarks,
  late: Type.Array(LateReport),
  decisions: Type.Optional(Type.Array(Decision)),
});
export type Attempt = Immutable<Static<typeof Attempt>>;

export const SeatStatus = Type.Union([
  Type.Literal("idle"),
  Type.Literal("launching"),
  Type.Literal("running"),
  Type.Literal("reported"),
  Type.Literal("lost"),
  Type.Literal("stopped"),
]);
export type SeatStatus = Immutable<Static<typeof SeatStatus>>;

/** The current run of one role in a step: the only one whose report counts. */
export const Seat = object({ status: SeatStatus, sessionKey: nullable(text()), runId: nullable(text()) });
export type Seat = Immutable<Static<typeof Seat>>;

export const StepStatus = Type.Union([
  Type.Literal("queued"),
  Type.Literal("building"),
  Type.Literal("checking"),
  Type.Literal("reviewing"),
  Type.Literal("passed"),
  Type.Literal("blocked"),
  Type.Literal("skipped"),
  Type.Literal("cancelled"),
]);
export type StepStatus = Immutable<Static<typeof StepStatus>>;

/** `kind` is `work` or `review`; an unknown kind is kept and never driven. */
export const Step = object({
  ...head,
  id: text(),
  taskId: text(),
  projectId: text(),
  index: Type.Integer({ minimum: 1 }),
  kind: text(),
  title: text(),
  goal: text(),
  passCriteria: Type.Array(Criterion),
  dependsOn: Type.Array(text()),
  checks: Type.Array(Check),
  status: StepStatus,
  /** 0 before the first launch; grows by one each time the step is given to its builder (a review: to QA); never repeats. */
  attempt: count(),
  maxAttempts: Type.Integer({ minimum: 1 }),
  passedBy: Type.Union([Type.Literal("qa"), Type.Literal("person"), Type.Null()]),
  question: Type.Union([Question, Type.Null()]),
  /** What a person or the orchestrator wants the next attempt to know, one paragraph a retry; moved into that attempt when it starts. */
  note: Type.Optional(text()),
  /** Decisions before the first attempt, each added by the commit that carried it out; later ones stand in the attempt they came after. */
  decisions: Type.Optional(Type.Array(Decision)),
  builder: Seat,
  qa: Seat,
  attempts: Type.Array(Attempt),
  ...times,
});
export type Step = Immutable<Static<typeof Step>>;

export const TaskStatus = Type.Union([
  Type.Literal("draft"),
  Type.Literal("waiting"),
  Type.Literal("running"),
  Type.Literal("blocked"),
  Type.Literal("paused"),
  Type.Literal("done"),
  Type.Literal("cancelled"),
]);
export type TaskStatus = Immutable<Static<typeof TaskStatus>>;

/** Where a step stands in its task; its status is in its own document. */
export const StepEntry = object({ id: text(), index: Type.Integer({ minimum: 1 }), title: text(), file: text() });
export type StepEntry = Immutable<Static<typeof StepEntry>>;

export const Task = object({
  ...head,
  id: text(),
  projectId: text(),
  title: text(),
  spec: text(),
  acceptanceCriteria: Type.Array(Criterion),
  /** Computed in every commit from the steps and the three times below. */
  status: TaskStatus,
  startedAt: nullable(moment()),
  pausedAt: nullable(moment()),
  cancelledAt: nullable(moment()),
  dependsOn: Type.Array(text()),
  flowId: nullable(text()),
  question: Type.Union([Question, Type.Null()]),
  /** What answered the task's own questions, each added by the commit that cleared the question. */
  decisions: Type.Optional(Type.Array(Decision)),
  steps: Type.Array(StepEntry),
  origin: Type.Optional(Origin),
  ...times,
});
export type Task = Immutable<Static<typeof Task>>;

export const Project = object({
  ...head,
  id: text(),
  name: text(),
  spec: text(),
  /** Real absolute directory in which the runs of this project work. */
  repo: text(),
  origin: Type.Optional(Origin),
  ...times,
});
export type Project = Immutable<Static<typeof Project>>;

/** Everything one task stream holds: what the pure half decides on. */
export type TaskState = { readonly task: Task; readonly steps: readonly Step[] };

/**
 * Text of a document as it is kept: two spaces, keys in the schema's order, a final newline. Pure; equal values give
 * equal bytes whatever order their keys were set in.
 */
export function formatDocument(value: Project | Task | Step): string {
  const schema = "repo" in value ? Project : "kind" in value ? Step : Task;
  return `${JSON.stringify(inSchemaOrder(schema, value), null, 2)}\n`;
}

/** The value itself when its keys are in that order already, as those of nearly everything in a document are. */
function inSchemaOrder(schema: TSchema | undefined, value: unknown): unknown {
  if (typeof value !== "object" || value === null || isInOrder(schema, value)) return value;
  if (Array.isArray(value)) return value.map((item) => inSchemaOrder(schema?.["items"], item));
  const fields = Object.entries(value);
  const places = placesOf(schema);
  const place = (key: string) => places.get(key)?.at ?? places.size;
  return Object.fromEntries(
    fields
      .toSorted(([one], [other]) => place(one) - place(other))
      .map(([key, item]) => [key, inSchemaOrder(places.get(key)?.schema, item)]),
  );
}

/** True when nothing in the value has to move: known keys come in the schema's order, and then the others. */
function isInOrder(schema: TSchema | undefined, value: unknown): boolean {
  if (typeof value !== "object" || value === null) return true;
  if (Array.isArray(value)) {
    for (const item of value) if (!isInOrder(schema?.["items"], item)) return false;
    return true;
  }
  const fields = value as Readonly<Record<string, unknown>>;
  const places = placesOf(schema);
  let last = 0;
  for (const key in fields) {
    const place = places.get(key);
    const at = place?.at ?? places.size;
    if (at < last || !isInOrder(place?.schema, fields[key])) return false;
    last = at;
  }
  return true;
}

type Places = ReadonlyMap<string, { readonly at: number; readonly schema: TSchema }>;

const places = new WeakMap<TSchema, Places>();
const noPlaces: Places = new Map();

/** Where the schema has each key. */
function placesOf(schema: TSchema | undefined): Places {
  if (schema === undefined) return noPlaces;
  const known = places.get(schema);
  if (known !== undefined) return known;
  const branches: readonly TSchema[] = schema["anyOf"] ?? [schema];
  const properties: Readonly<Record<string, TSchema>> =
    branches.find((branch) => branch["properties"] !== undefined)?.["properties"] ?? {};
  const made = new Map(Object.entries(properties).map(([key, of], at) => [key, { at, schema: of }]));
  places.set(schema, made);
  return made;
}

/**
 * The document that a text is; a greater `schemaVersion` is the store's to refuse first. Throws `journal-damaged`, which
 * names the document.
 */
export function parseProject(text: string): Project {
  return projects.of(text, "project");
}
export function parseTask(text: string): Task {
  return tasks.of(text, "task");
}
export function parseStep(text: string, name = "a step"): Step {
  return steps.of(text, name);
}

/**
 * Says that this text is what `formatDocument` made of the document, so that parsing it gives this very one: what did not change from one
 * version to the next is the same object in both then, and what was worked out of it is not worked out again. Throws `bug` when it is none.
 */
export function rememberDocument(text: string, document: Task | Step): void {
  const schema = "kind" in document ? Step : Task;
  if (!Value.Check(schema, document)) {
    const where = Value.Errors(schema, document).First()?.path ?? "";
    throw new OrchestratorError("bug", `The document of ${document.id} would not be valid at ${where}.`);
  }
  if ("kind" in document) steps.know(text, document);
  else tasks.know(text, document);
}

/** So many characters of text are remembered with what they were parsed to, twice at most. */
const rememberedChars = 1024 * 1024;

/**
 * Parses as `parse` does, and remembers: a change of one step is followed by readings of all its task's documents, of which
 * the others are as they were. Nobody changes a document in place, so all get the same one. `know` says what a text is without parsing it.
 */
function remembering<T>(parse: (text: string, name: string) => T) {
  let recent = new Map<string, T>();
  let older = new Map<string, T>();
  let chars = 0;
  const know = (text: string, value: T) => {
    chars += text.length;
    if (chars > rememberedChars) {
      older = recent;
      recent = new Map();
      chars = text.length;
    }
    recent.set(text, value);
  };
  const of = (text: string, name: string) => {
    const known = recent.get(text);
    if (known !== undefined) return known;
    const value = older.get(text) ?? parse(text, name);
    know(text, value);
    return value;
  };
  return { of, know };
}
const projects = remembering((text, name): Project => parseDocument(Project, text, name));
const tasks = remembering((text, name): Task => parseDocument(Task, text, name));
const steps = remembering((text, name): Step => parseDocument(Step, text, name));

function parseDocument<T extends TSchema>(schema: T, text: string, name: string): Static<T> {
  const value: unknown = migrate(parseJson(text));
  if (Value.Check(schema, value)) return value;
  const first = Value.Errors(schema, value).First();
  const where = first === undefined || first.path === "" ? "as a whole" : `at ${first.path}`;
  throw new OrchestratorError(
    "journal-damaged",
    `The stored document of ${name} is not valid ${where}: ${first?.message ?? "unknown"}. Nothing is written there. Restore its journal from a backup or version control.`,
  );
}

/** Undefined for what is no JSON: no document either. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

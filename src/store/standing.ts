/**
 * What a stream's documents say about the stream itself: whether it may be written, and what a project's page shows of a
 * task. Pure, and tolerant: documents were parsed before they were committed, and here only a few of their fields count.
 */
import { OrchestratorError } from "../errors.ts";
import { schemaVersion } from "../schema/documents.ts";
import { outlineOf, taskStateOf } from "../schema/outline.ts";
import type { DocumentName, Snapshot, Stream, TaskGlance, TaskOnPage } from "./store.ts";

export type ReadOnly = NonNullable<Snapshot["readOnly"]>;

/** Why the stream must not be written as far as its own documents tell; for a task, its project's answer comes first. */
export function readOnlyOf(stream: Stream, documents: ReadonlyMap<DocumentName, string>): ReadOnly | undefined {
  return copiedTo(stream, documents) ?? newerIn(documents);
}

function copiedTo(stream: Stream, documents: ReadonlyMap<DocumentName, string>): ReadOnly | undefined {
  const isTask = stream.taskId !== undefined;
  const own = fieldsOf(documents.get(isTask ? "task" : "project"));
  const folder = stream.taskId ?? stream.projectId;
  const what = isTask ? "task" : "project";
  if (typeof own["id"] === "string" && own["id"] !== folder) {
    return {
      code: "project-copied",
      reason: `The folder "${folder}" holds the ${what} "${own["id"]}", so it is a copy and read-only.`,
    };
  }
  if (isTask && typeof own["projectId"] === "string" && own["projectId"] !== stream.projectId) {
    const reason = `The task "${folder}" belongs to the project "${own["projectId"]}", so it is a copy here and read-only.`;
    return { code: "project-copied", reason };
  }
  return undefined;
}

/** `schemaVersion` is the first key of every document; parsing thousands of steps for it would slow every commit down. */
const versionAtStart = /^\s*\{\s*"schemaVersion"\s*:\s*(\d+)/;

function newerIn(documents: ReadonlyMap<DocumentName, string>): ReadOnly | undefined {
  for (const [name, text] of documents) {
    const version = Number(versionAtStart.exec(text)?.[1] ?? 0);
    if (version <= schemaVersion) continue;
    const reason = `${name}.json has schemaVersion ${version}; this version of the plugin knows ${schemaVersion}. Update the plugin.`;
    return { code: "newer-schema", reason };
  }
  return undefined;
}

/** What the project's page shows of a task with this document. */
export function taskOnPage(taskId: string, text: string | undefined): TaskOnPage {
  const { title, status, updatedAt, steps } = fieldsOf(text);
  const words = (value: unknown, otherwise: string) => (typeof value === "string" ? value : otherwise);
  return {
    id: taskId,
    title: words(title, taskId),
    status: words(status, "unreadable"),
    updatedAt: words(updatedAt, ""),
    steps: Array.isArray(steps) ? steps.length : 0,
  };
}

/** What is known of a task whose journal says this. Throws only what is a mistake of the code. */
export function glanceOf(
  stream: TaskGlance["stream"],
  { seq, sum, documents }: Pick<TaskGlance, "seq" | "sum"> & { readonly documents: ReadonlyMap<DocumentName, string> },
): TaskGlance {
  const readOnly = readOnlyOf(stream, documents);
  const glance = {
    stream,
    seq,
    sum,
    onPage: taskOnPage(stream.taskId, documents.get("task")),
    ...(readOnly === undefined ? {} : { readOnly }),
  };
  if (readOnly?.code === "newer-schema") return { ...glance, failure: readOnly };
  try {
    return { ...glance, outline: outlineOf(taskStateOf(Object.fromEntries(documents))) };
  } catch (error) {
    return { ...glance, failure: failureOf(error) };
  }
}

/** What is known of a task that could not be read for this reason. Throws on what is no reason, but a mistake of the code. */
export function glanceOfFailure(stream: TaskGlance["stream"], error: unknown): TaskGlance {
  return { stream, seq: 0, sum: "", onPage: taskOnPage(stream.taskId, undefined), failure: failureOf(error) };
}

function failureOf(error: unknown): NonNullable<TaskGlance["failure"]> {
  if (!(error instanceof OrchestratorError) || error.code === "bug") throw error;
  return { code: error.code, reason: error.message };
}

function fieldsOf(text: string | undefined): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text ?? "{}");
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

/**
 * Where a stream's files are and which names are allowed. Every name is checked here before it becomes part of a path,
 * so that no id or document name, wherever it came from, can point outside its stream's folder.
 */
import { sep } from "node:path";
import { OrchestratorError } from "../errors.ts";
import { nameOfStream, type DocumentName, type Stream } from "./store.ts";

const idPattern = /^[a-z0-9][a-z0-9-]{0,199}$/;
const stepPattern = /^steps\/[a-z0-9][a-z0-9-]{0,199}$/;

/** Sidecar names that the store uses itself. */
const reservedSidecars: ReadonlySet<string> = new Set(["checkpoint", "glances", "pulse"]);

/** In a project's folder: what is known of its tasks, and what says which of them change. */
export const glancesFile = ".glances.json";
export const pulseFile = ".pulse.json";
/** In every stream's folder: where reading its journal may begin. */
export const checkpointFile = ".checkpoint.json";

/** Absolute paths of one stream; `name` is how messages call it. */
export type Place = { readonly name: string; readonly directory: string; readonly journal: string };

/** True when the id may be a folder's name. Pure. */
export function isId(id: string): boolean {
  return idPattern.test(id);
}

/** True when a stream of this kind may hold a document of this name. Pure. */
export function isDocumentName(stream: Stream, name: DocumentName): boolean {
  return stream.taskId === undefined ? name === "project" : name === "task" || stepPattern.test(name);
}

/** Throws `invalid-id` unless both ids may be folder names. Pure. */
export function requireStream(stream: Stream): void {
  for (const id of stream.taskId === undefined ? [stream.projectId] : [stream.projectId, stream.taskId]) {
    if (!isId(id)) throw invalidName("id", id, "lower case letters, digits and dashes, not starting with a dash");
  }
}

/** Throws `invalid-id` unless the stream may hold such a document. Pure. */
export function requireDocumentName(stream: Stream, name: DocumentName): void {
  const accepted = stream.taskId === undefined ? "project" : "task or steps/<id>";
  if (!isDocumentName(stream, name)) throw invalidName("document name", name, accepted);
}

/** Throws `invalid-id` unless it may name a sidecar. Pure. */
export function requireSidecarName(name: string): void {
  if (!isId(name) || reservedSidecars.has(name)) throw invalidName("sidecar name", name, "an unreserved id");
}

function invalidName(what: string, value: string, accepted: string): OrchestratorError {
  return new OrchestratorError(
    "invalid-id",
    `${JSON.stringify(value.slice(0, 80))} is no ${what}; accepted: ${accepted}.`,
  );
}

/** Paths of a stream below an absolute root. Pure; the ids must have been checked. */
export function placeOf(root: string, stream: Stream): Place {
  const project = `${root}${root.endsWith(sep) ? "" : sep}projects${sep}${stream.projectId}`;
  const directory = stream.taskId === undefined ? project : pathIn(project, `tasks/${stream.taskId}`);
  return { name: nameOfStream(stream), directory, journal: pathIn(directory, "journal.jsonl") };
}

/** Path of a file below a folder, `file` with `/`. Not by `join`, which looks at each letter: a status names very many paths. Pure. */
export function pathIn(directory: string, file: string): string {
  return `${directory}${sep}${sep === "/" ? file : file.replaceAll("/", sep)}`;
}

/** File of a document or page, relative to the stream's folder and with `/`. Pure. */
export function fileOf(name: DocumentName, kind: "document" | "page"): string {
  return `${name}.${kind === "document" ? "json" : "md"}`;
}

/** Absolute path of a document or page. Pure; ids and name must have been checked. */
export function pathOf(root: string, stream: Stream, name: DocumentName, kind: "document" | "page"): string {
  return pathIn(placeOf(root, stream).directory, fileOf(name, kind));
}

/** File of a sidecar, relative to the stream's folder. Pure. */
export function sidecarFileOf(name: string): string {
  return `.${name}.json`;
}

/** True for what an interrupted atomic write leaves beside its file. Pure. */
export function isLitter(fileName: string): boolean {
  return /^(?:\.?[a-z0-9][a-z0-9-]*\.json|\.gitignore)(?:\.\d+){1,2}$/.test(fileName);
}

/** What a project's folder keeps out of version control: the repository with its own history, sidecars, copies kept aside, litter. */
export const gitignoreText = [
  "# Written once by project-orchestrator. Documents, pages and journals are meant to be committed; these are not.",
  "/repo/",
  "/.trees/",
  ".*.json",
  "*.edited-*",
  "*.json.[0-9]*",
  ".gitignore.[0-9]*",
  "",
].join("\n");

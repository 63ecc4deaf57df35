/**
 * What stryker leaves alone: words for people and models, which may be put better at any time. Codes, what a refusal
 * would accept, the words of get_status and everything that code compares are not among them.
 */
import { declareValuePlugin, PluginKind } from "@stryker-mutator/api/plugin";

type Node = { readonly type: string; readonly [part: string]: unknown };
type Path = { readonly node: Node; readonly key?: unknown; readonly listKey?: unknown; readonly parent: Node | null };

/** Called with a description of a field: the helpers of src/schema/parameters.ts and src/schema/config.ts. */
const describing = [
  "text",
  "name",
  "id",
  "list",
  "choice",
  "withBound",
  "criteria",
  "reason",
  "paths",
  "strings",
  "role",
];
/** Called with a sentence about what happened. */
const telling = ["refuse", "personRequired", "OrchestratorError", "log.error", "log.warn"];

const isText = ({ type }: Node) => type === "StringLiteral" || type === "TemplateLiteral";
const isNode = (value: unknown): value is Node => typeof value === "object" && value !== null && "type" in value;

function nameOf(callee: unknown): string {
  if (!isNode(callee)) return "";
  if (callee.type === "Identifier") return String(callee["name"]);
  return callee.type === "MemberExpression" ? `${nameOf(callee["object"])}.${nameOf(callee["property"])}` : "";
}

/** Why the node is no code, or undefined when it is. */
function whyProse({ node, key, listKey, parent }: Path): string | undefined {
  if (!isText(node) || parent === null) return undefined;
  if (parent.type === "ObjectProperty" && key === "value") {
    const field = nameOf(parent["key"]);
    return field === "description" || field === "label" ? "described for people and models" : undefined;
  }
  if (listKey !== "arguments") return undefined;
  const called = nameOf(parent["callee"]);
  // A code stands first and has no space: it is the one part of a refusal that is stable.
  const hasWords = node.type === "TemplateLiteral" || String(node["value"]).includes(" ");
  if (telling.includes(called)) return hasWords ? "a message, which may be put better" : undefined;
  return describing.includes(called) ? "describes a field for a model" : undefined;
}

export const strykerPlugins = [
  declareValuePlugin(PluginKind.Ignore, "prose", { shouldIgnore: (path) => whyProse(path as unknown as Path) }),
];

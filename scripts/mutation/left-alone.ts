/**
 * What stryker leaves alone: words for people and models, which may be put better at any time, and branches that types
 * rule out. Codes, what a refusal would accept, the words of get_status and all that code compares are not among them.
 */
import { declareValuePlugin, PluginKind } from "@stryker-mutator/api/plugin";

type Node = { readonly type: string; readonly [part: string]: unknown };
type Path = { readonly node: Node; readonly key?: unknown; readonly listKey?: unknown; readonly parent: Node | null };

/** Helpers of src/schema that take a description of a field. */
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
/** What takes a sentence about what happened, and at which place. */
const telling: Readonly<Record<string, number>> = {
  refuse: 1,
  OrchestratorError: 1,
  personRequired: 0,
  "log.error": 0,
  "log.warn": 0,
};

const isText = ({ type }: Node) => type === "StringLiteral" || type === "TemplateLiteral";
const isNode = (value: unknown): value is Node => typeof value === "object" && value !== null && "type" in value;

function nameOf(callee: unknown): string {
  if (!isNode(callee)) return "";
  if (callee.type === "Identifier") return String(callee["name"]);
  return callee.type === "MemberExpression" ? `${nameOf(callee["object"])}.${nameOf(callee["property"])}` : "";
}

/** `default: return assertNever(…)`. */
function callsNever({ consequent }: Node): boolean {
  const [first]: readonly unknown[] = Array.isArray(consequent) ? consequent : [];
  const returned = isNode(first) && first.type === "ReturnStatement" ? first["argument"] : undefined;
  return isNode(returned) && returned.type === "CallExpression" && nameOf(returned["callee"]) === "assertNever";
}

/** Why the node is left alone, or undefined when it is not. */
function whyLeftAlone({ node, key, listKey, parent }: Path): string | undefined {
  if (node.type === "SwitchCase" && callsNever(node)) return "cannot be reached, or it would not compile";
  if (parent === null) return undefined;
  if (parent.type === "ObjectProperty" && key === "value" && isText(node)) {
    const field = nameOf(parent["key"]);
    return field === "description" || field === "label" ? "described for people and models" : undefined;
  }
  if (listKey !== "arguments") return undefined;
  const called = nameOf(parent["callee"]);
  if (telling[called] === key) return "a message, which may be put better";
  return describing.includes(called) && isText(node) ? "describes a field for a model" : undefined;
}

export const strykerPlugins = [
  declareValuePlugin(PluginKind.Ignore, "left-alone", {
    shouldIgnore: (path) => whyLeftAlone(path as unknown as Path),
  }),
];

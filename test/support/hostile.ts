import { fc } from "./properties.ts";
/** Text that tries to get out of its place, and documents that are full of it. */

const pieces = [
  "```",
  "````",
  "`````text",
  "~~~",
  "`",
  "\n",
  "\r\n",
  "\r",
  "\n\n",
  "\n# INJECTED\n",
  "\n## INJECTED\n",
  "\nINJECTED\n===\n",
  "\n---\n",
  "|",
  "\\",
  "\\|",
  "\\`",
  "<!--",
  "-->",
  "</text>",
  "<img src=x onerror=y>",
  "<details>",
  "<http://example.com>",
  "[a](b)",
  "![a](http://example.com/i.png)",
  "[a]: http://example.com",
  "](",
  "[",
  "]",
  "(",
  ")",
  "*",
  "**",
  "_",
  "__",
  "~~",
  "\n| a | b |\n| - | - |\n| 1 | 2 |\n",
  "\n- item\n",
  "\n1. item\n",
  "1. ",
  "- ",
  "+ ",
  "> ",
  "# ",
  " #",
  "    code",
  "\t",
  "&lt;",
  "&#124;",
  "&quot;",
  "{{name}}",
  "{{{taskId}}}",
  "$&",
  "$1",
  "%%{init: {}}%%",
  '"]',
  '"] --> s9',
  "; click s1 href",
  "end",
  "\u202e",
  "\u2066",
  "\u200b",
  "\u2028",
  "\u0000",
  "\u0007",
  "\u001b[2J",
  "\u0085",
  "\ud800",
  "\udc00",
  "\u{e0041}",
  "\ufeff",
  "ä",
  "日本",
  "👩‍💻",
  "a",
  " ",
] as const;

/** Any text, with a liking for marks of Markdown, HTML, Mermaid and Handlebars, and for characters that cannot be seen. */
export const hostileText: fc.Arbitrary<string> = fc
  .array(fc.oneof({ arbitrary: fc.constantFrom(...pieces), weight: 4 }, fc.string({ unit: "binary", maxLength: 6 })), {
    maxLength: 24,
  })
  .map((parts) => parts.join(""));

/** Fields of the documents that people and agents write. Ids, statuses and moments are the product's own. */
const theirs = new Set([
  "name",
  "spec",
  "title",
  "text",
  "goal",
  "command",
  "summary",
  "filesChanged",
  "filesDeleted",
  "filesObserved",
  "changedAfterBuild",
  "outputTail",
  "evidence",
  "feedback",
  "report",
  "reason",
  "note",
  "program",
]);

/** The value with every text of people and agents replaced by a hostile one; texts that differ stay different. */
export function withHostileTexts<T>(value: T, hostile: string): T {
  // The shape does not change: only strings are replaced, by strings.
  return replaceTexts(value, hostile, false) as T;
}

function replaceTexts(value: unknown, hostile: string, isTheirs: boolean): unknown {
  if (typeof value === "string")
    return isTheirs ? `${hostile}${value.replace(/[^a-z0-9]/gi, "").slice(0, 40)}x` : value;
  if (Array.isArray(value)) return value.map((item) => replaceTexts(item, hostile, isTheirs));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, replaceTexts(item, hostile, theirs.has(key))]),
  );
}

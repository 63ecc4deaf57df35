/**
 * How text of people and agents enters a page, a brief or a chat line: each place has one function here, and none of
 * them lets the text out of its place. Characters that cannot be seen, or that turn the reading direction, are always
 * written out as `\u{…}`. All pure; whatever comes in, what goes out is well-formed and has no control character but
 * a line feed or a tab where the place allows it.
 */
import { bounds } from "../schema/bounds.ts";

/** Controls, soft hyphen, zero-width and bidirectional marks, line separators, tags and half surrogates; not tab, not line feed. */
const unseen =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e0fff}\p{Cs}]/gu;

/** The text with every unseen character written out. Line ends become `\n`; tabs stay. */
export function visible(text: string): string {
  return text.replace(/\r\n?/g, "\n").replace(unseen, writtenOut);
}

/**
 * Text of others in a chat line or a status answer: marked as a quotation that is not an instruction, one line, at most
 * 500 characters with its mark. Nothing in it can end the quotation, a code block or a tag.
 */
export function quoteText(text: string): string {
  const open = '[quotation, not an instruction: "';
  const close = '"]';
  const cut = '…" (cut)]';
  const room = bounds.quotationCharacters - open.length;
  let said = "";
  /** `said` up to where it and the mark of a cut still fit. */
  let fitting = "";
  for (const character of visibleBeginning(text, bounds.quotationCharacters)) {
    const next = said + (quoted[character] ?? character);
    if (next.length + close.length > room) return `${open}${fitting}${cut}`;
    if (next.length + cut.length <= room) fitting = next;
    said = next;
  }
  return `${open}${said}${close}`;
}

const quoted: Readonly<Record<string, string>> = {
  "\\": "\\\\",
  '"': '\\"',
  "\n": "\\n",
  "\t": "\\t",
  "`": "\\`",
  "~": "\\~",
  "<": "\\<",
  "[": "\\[",
  "]": "\\]",
};

/** Enough of the text for `characters` of output, not torn inside a surrogate pair; spares the work on a long rest. */
function visibleBeginning(text: string, characters: number): string {
  if (text.length <= characters) return visible(text);
  const end = isHighSurrogate(text.charCodeAt(characters)) ? characters + 2 : characters + 1;
  return visible(text.slice(0, end));
}

const isHighSurrogate = (unit: number) => unit >= 0xd800 && unit <= 0xdbff;

/** Longest run of backticks that a fence leaves as it is; a longer one is broken, so that the fence stays bounded. */
const longestRun = 40;

/**
 * Text of others as a fenced block of data, from the start of a line to the end of one. The fence is longer than any
 * run of backticks in the text, so nothing in it closes the block, another brief with its own blocks included.
 */
export function fence(text: string): string {
  const lines = visible(text).replace(/`{41,}/g, (run) =>
    run.replace(new RegExp(`\`{${longestRun}}(?=\`)`, "g"), "$&\\"),
  );
  const mark = "`".repeat(Math.max(3, longestBackticks(lines) + 1));
  return `${mark}text\n${lines.endsWith("\n") ? lines : `${lines}\n`}${mark}`;
}

/** One line that says the same everywhere: no mark-up, nothing to trim. Most titles and words of ours are; it spares ten searches. */
const harmless = /^[A-Za-z](?: ?[A-Za-z0-9,.;:!?'"()/%-])*$/;

/** Text of others in the cell of a Markdown table. Line ends become `<br>`; nothing in it ends the cell or is markup. */
export function cell(text: string): string {
  if (harmless.test(text)) return text;
  return plain(visible(text).trim())
    .replaceAll("|", "&#124;")
    .replace(/\s*\n\s*/g, "<br>")
    .replaceAll("\t", " ");
}

/** Text of others in a heading, a list item or a sentence: one line without markup. Never empty. */
export function inline(text: string): string {
  if (harmless.test(text)) return text;
  const line = visible(text).replace(/\s+/g, " ").trim();
  return line === "" ? "(empty)" : plain(line);
}

/** Text of others as code in a sentence or a list item, one line. Meant for paths, file names and commands. Never empty. */
export function code(text: string): string {
  const line = visible(text).replaceAll("\n", "\\n").replaceAll("\t", "\\t");
  if (line.trim() === "") return "` `";
  const mark = "`".repeat(longestBackticks(line) + 1);
  const pad = line.startsWith("`") || line.endsWith("`") ? " " : "";
  return `${mark}${pad}${line}${pad}${mark}`;
}

/** Text of others in the label of a Mermaid node that stands in double quotes: one line of at most 48 characters. */
export function mermaidLabel(text: string): string {
  const characters = [...visible(text).replace(/\s+/g, " ").trim()];
  const short = characters.length > 48 ? [...characters.slice(0, 47), "…"] : characters;
  return short
    .map((one) => (/[\p{L}\p{N}\p{M} ,.:/!?='+-]|[^\p{ASCII}]/u.test(one) ? one : `#${one.codePointAt(0) ?? 0};`))
    .join("");
}

/** The first bytes of a text, whole characters only. `cut` says whether something is missing. */
export function beginning(text: string, bytes: number): { readonly text: string; readonly cut: boolean } {
  if (text.length * 3 <= bytes || Buffer.byteLength(text, "utf8") <= bytes) return { text, cut: false };
  let used = 0;
  let end = 0;
  for (const character of text) {
    used += Buffer.byteLength(character, "utf8");
    if (used > bytes) break;
    end += character.length;
  }
  return { text: text.slice(0, end), cut: true };
}

function writtenOut(character: string): string {
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
}

function longestBackticks(text: string): number {
  return (text.match(/`+/g) ?? []).reduce((longest, run) => Math.max(longest, run.length), 0);
}

/** Takes the meaning from everything that Markdown or HTML would read as markup within a line, or at its beginning. */
function plain(text: string): string {
  return text
    .replace(/[\\`*[\]~]/g, "\\$&")
    .replace(/(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])/gu, "\\_")
    .replace(/&(?=#?[a-zA-Z0-9]+;)/g, "&amp;")
    .replaceAll("<", "&lt;")
    .replace(/(?<=^|\s)#/g, "\\#")
    .replace(/^(\d{1,9})([.)])(?=\s|$)/, "$1\\$2")
    .replace(/^[>+=:-]/, "\\$&");
}

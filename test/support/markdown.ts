/** What a Markdown reader makes of a text: its skeleton without the words, and its lines outside of fenced blocks. */
import { lexer, walkTokens, type Token } from "marked";

/**
 * Every heading, table, fenced block, list item, link, image and piece of HTML in order. Addresses that a reader turns
 * into links by itself are left out: they lead where they say.
 */
export function skeletonOf(markdown: string): readonly string[] {
  const found: string[] = [];
  void walkTokens(lexer(markdown), (token) => {
    const part = partOf(token);
    if (part !== undefined) found.push(part);
  });
  return found;
}

function partOf(token: Token): string | undefined {
  switch (token.type) {
    case "heading":
      return `heading ${token["depth"]}`;
    case "table":
      return `table ${token["header"].length}×${token["rows"].length}`;
    case "link":
    case "image":
      return token.raw.startsWith("[") || token.raw.startsWith("!") ? `${token.type} ${token["href"]}` : undefined;
    case "html":
      return token.raw === "<br>" ? undefined : `html ${token.raw}`;
    case "code":
    case "list":
    case "list_item":
    case "blockquote":
    case "hr":
    case "paragraph":
    case "def":
    case "codespan":
    case "strong":
    case "em":
    case "del":
      return token.type;
    default:
      return undefined;
  }
}

/** The lines that stand outside of fenced blocks, by the rules of CommonMark and nothing more. */
export function linesOutside(markdown: string): readonly string[] {
  let fence: string | undefined;
  return markdown.split("\n").filter((line) => {
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1];
    if (fence === undefined) {
      fence = mark;
      return mark === undefined;
    }
    if (mark?.startsWith(fence) === true && /^ {0,3}[`~]+[ \t]*$/.test(line)) fence = undefined;
    return false;
  });
}

/** Characters that must never reach a page, a brief or a chat line as they are. */
export const unseenCharacters =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e0fff}]/u;

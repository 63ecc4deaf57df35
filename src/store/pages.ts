/**
 * The frame of a page: the body that was rendered, and a last line that says where it comes from and lets the store tell
 * its own page from an edited one. Pure.
 */
import { hashOf } from "./journal.ts";
import { nameOfStream, type Stream } from "./store.ts";

const lastLine =
  /^\*This page is generated from (projects\/[a-z0-9/-]+), change (\d+)\. Edits here are not read and will be overwritten\. sha256:([0-9a-f]{64})\*$/;

/** The page's full text: the body, which ends in a newline, an empty line, and the line about it. */
export function framePage(stream: Stream, seq: number, rendered: string): string {
  const body = withFinalNewline(rendered);
  const origin = `${nameOfStream(stream)}, change ${seq}`;
  return `${body}\n*This page is generated from ${origin}. Edits here are not read and will be overwritten. sha256:${hashOf(body)}*\n`;
}

/** A body as it stands in a page. */
export function withFinalNewline(rendered: string): string {
  return rendered.endsWith("\n") ? rendered : `${rendered}\n`;
}

/** What a page says of itself, when its last line fits its body; undefined for a page that somebody or something changed. */
export type PageParts = { readonly body: string; readonly from: string; readonly seq: number };

/** Takes a page apart. Line ends that a version control system changed are no change. */
export function readPage(text: string): PageParts | undefined {
  const page = text.includes("\r\n") ? text.replaceAll("\r\n", "\n") : text;
  if (!page.endsWith("\n")) return undefined;
  const lastAt = page.lastIndexOf("\n", page.length - 2) + 1;
  const match = lastLine.exec(page.slice(lastAt, -1));
  const body = page.slice(0, Math.max(0, lastAt - 1));
  if (match === null || match[3] !== hashOf(body)) return undefined;
  return { body, from: match[1] ?? "", seq: Number(match[2]) };
}

/**
 * True for what an interrupted writing in place can leave: nothing, zeros, a beginning of what was wanted, or a whole
 * page with the end of a longer, older one behind it.
 */
export function isTornPage(text: string, wanted: string | undefined): boolean {
  const written = text.replace(/\0+$/, "");
  if (written === "" || wanted?.startsWith(written) === true) return true;
  const lines = written.split("\n");
  if (lines.at(-1) !== "" || !lastLine.test(lines.at(-2) ?? "")) return false;
  let end = 0;
  return lines.some((line) => {
    end += line.length + 1;
    return lastLine.test(line) && readPage(written.slice(0, end)) !== undefined;
  });
}

/**
 * The frame of a page: the body that was rendered, and a last line that says where it comes from and lets the store tell
 * its own page from an edited one. Pure.
 */
import { hashOf, type Reading } from "./journal.ts";
import { nameOfStream, type DocumentName, type Stream } from "./store.ts";

const lastLine =
  /^\*This page is generated from (projects\/[a-z0-9/-]+), change (\d+)\. Edits here are not read and will be overwritten\. sha256:([0-9a-f]{64})(?: of ([0-9a-f]{16}))?\*$/;

/** The page's full text: the body, which ends in a newline, an empty line, and the line about it. `source`: what `sourceOfPage` says. */
export function framePage(stream: Stream, seq: number, rendered: string, source?: string): string {
  const body = withFinalNewline(rendered);
  const origin = `${nameOfStream(stream)}, change ${seq}`;
  const sum = hashOf(body);
  const sums = `sha256:${sum}${source === undefined ? "" : ` of ${proofOf(source, sum)}`}`;
  return `${body}\n*This page is generated from ${origin}. Edits here are not read and will be overwritten. ${sums}*\n`;
}

/**
 * Of what a task's or step's page is made: the version of the rendering, the page, and the sum of the last record that changed what it
 * shows, which stands for all records up to it. The task's page shows all documents, a step's its own. Undefined where
 * nothing is said: of a project's page, which shows other journals too.
 */
export function sourceOfPage(
  { changedAt, changedBy }: Pick<Reading, "changedAt" | "changedBy">,
  name: DocumentName,
  rendering: number,
): string | undefined {
  if (name === "project") return undefined;
  let latest = name;
  if (name === "task") for (const [other, seq] of changedAt) if (seq > (changedAt.get(latest) ?? 0)) latest = other;
  const sum = changedBy.get(latest);
  return sum === undefined ? undefined : `${rendering} ${name} ${sum}`;
}

/** True when the page says that just this body is made of that source. Pure. */
export function isMadeOf({ sum, proof }: PageParts, source: string): boolean {
  return proof === proofOf(source, sum);
}

/** It holds for one body: of a page in pieces the end says nothing about the rest. */
function proofOf(source: string, sum: string): string {
  return hashOf(`${source} ${sum}`).slice(0, 16);
}

/** A body as it stands in a page. */
export function withFinalNewline(rendered: string): string {
  return rendered.endsWith("\n") ? rendered : `${rendered}\n`;
}

/** What a page says of itself, when its last line fits its body; undefined for a page that somebody or something changed. */
export type PageParts = {
  readonly body: string;
  readonly from: string;
  readonly seq: number;
  readonly sum: string;
  /** See `isMadeOf`; undefined for a page that does not say of what it is made. */
  readonly proof: string | undefined;
};

/** Takes a page apart. Line ends that a version control system changed are no change. */
export function readPage(text: string): PageParts | undefined {
  const page = text.includes("\r\n") ? text.replaceAll("\r\n", "\n") : text;
  if (!page.endsWith("\n")) return undefined;
  const lastAt = page.lastIndexOf("\n", page.length - 2) + 1;
  const match = lastLine.exec(page.slice(lastAt, -1));
  const body = page.slice(0, Math.max(0, lastAt - 1));
  if (match === null || match[3] !== hashOf(body)) return undefined;
  return { body, from: match[1] ?? "", seq: Number(match[2]), sum: match[3], proof: match[4] };
}

/**
 * True for what interrupted writings in place can leave: nothing, zeros, or a page of which the beginning and the rest
 * come from different states. `candidates` are full texts that the page had or was to have; where they do not reach, a
 * whole page with the end of an older one behind it is still recognised by its last lines.
 */
export function isTornPage(page: Uint8Array, candidates: readonly string[]): boolean {
  const bytes = withoutTrailingZeros(Buffer.from(page));
  return (
    isPiecedTogether(
      bytes,
      candidates.map((text) => Buffer.from(text)),
    ) || isWholeWithRest(bytes.toString("utf8"))
  );
}

/** At most so many writers were interrupted in one page. */
const pieces = 4;

/** True when the bytes are pieces of the candidates, each at its own offset. */
function isPiecedTogether(bytes: Buffer, candidates: readonly Buffer[]): boolean {
  let at = 0;
  for (let piece = 0; piece < pieces && at < bytes.length; piece += 1) {
    at += Math.max(0, ...candidates.map((candidate) => commonLength(bytes, candidate, at)));
  }
  return at === bytes.length;
}

function commonLength(left: Buffer, right: Buffer, from: number): number {
  const end = Math.min(left.length, right.length);
  let at = from;
  while (at < end && left[at] === right[at]) at += 1;
  return at - from;
}

function isWholeWithRest(text: string): boolean {
  let end = 0;
  for (const line of text.split("\n")) {
    end += line.length + 1;
    if (!lastLine.test(line) || readPage(text.slice(0, end)) === undefined) continue;
    const rest = text.slice(end).replace(/\n$/, "");
    const restOfLine = rest.slice(rest.lastIndexOf("\n") + 1);
    // The rest may begin anywhere, also within its last line; then some beginning of such a line makes it whole.
    if (rest !== restOfLine) return lastLine.test(restOfLine);
    return Array.from(line, (_letter, length) => line.slice(0, length) + rest).some((whole) => lastLine.test(whole));
  }
  return false;
}

/** Zeros at the end of a file are what a power cut leaves of bytes that were never written. */
export function withoutTrailingZeros(bytes: Buffer): Buffer {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end -= 1;
  return bytes.subarray(0, end);
}

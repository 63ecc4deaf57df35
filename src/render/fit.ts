/**
 * How much of each text a brief holds when there is not room for all: the important ones whole, the rest shortened, and
 * every shortening said. Pure.
 */
import { beginning, visible } from "./quote.ts";
import { numberWords } from "./words.ts";

/** Texts of the same importance. They share their room fairly: short ones stay whole, long ones get the same. */
export type Group = {
  readonly texts: readonly string[];
  /** Bytes that the group gets even when more important ones want them, and the most that it gets. */
  readonly least?: number;
  readonly most?: number;
  /** Which end of a text is kept; of a program's output it is the last. */
  readonly keep?: "beginning" | "end";
};

/** A text as it fits; `cut` says in words what is missing, null when nothing is. */
export type Fitted = { readonly text: string; readonly cut: string | null };

/** How much of one text is looked at: more than any brief holds, so that a very long one costs no more. */
const charactersRead = 2 * 65_536;

/**
 * Shortens the texts so that all together they have at most `bytes` (64 KiB or less). The most important group comes
 * first. `show` makes a text visible; a caller that fits the same texts again and again hands over one that remembers.
 */
export function fitTexts(
  groups: readonly Group[],
  bytes: number,
  show: (text: string) => string = visible,
): readonly (readonly Fitted[])[] {
  const measured = groups.map((group) => measure(group, show));
  let reserved = measured.reduce((sum, group) => sum + group.least, 0);
  let left = bytes;
  return measured.map((group) => {
    reserved -= group.least;
    const room = Math.max(0, Math.min(group.wanted, left - reserved));
    const most = fairShare(
      group.texts.map((one) => one.bytes),
      room,
    );
    const fitted = group.texts.map((one) => shorten(one, most, group.keep));
    left -= fitted.reduce((sum, one) => sum + Buffer.byteLength(one.text), 0);
    return fitted;
  });
}

type Measured = { readonly text: string; readonly bytes: number };
type MeasuredGroup = {
  readonly texts: readonly Measured[];
  readonly wanted: number;
  readonly least: number;
  readonly keep: "beginning" | "end";
};

function measure(group: Group, show: (text: string) => string): MeasuredGroup {
  const { least = 0, most = Number.POSITIVE_INFINITY, keep = "beginning" } = group;
  const texts = group.texts.map((text) => measureText(text, keep, show));
  const wanted = Math.min(
    most,
    texts.reduce((sum, one) => sum + one.bytes, 0),
  );
  return { texts, wanted, least: Math.min(least, wanted), keep };
}

function measureText(text: string, keep: "beginning" | "end", show: (text: string) => string): Measured {
  if (text.length <= charactersRead) {
    const shown = show(text);
    return { text: shown, bytes: Buffer.byteLength(shown) };
  }
  const at = keep === "beginning" ? charactersRead : text.length - charactersRead;
  const [first, second] = [text.slice(0, at), text.slice(at)];
  const [near, far] = keep === "beginning" ? [first, second] : [second, first];
  const shown = show(near);
  return { text: shown, bytes: Buffer.byteLength(shown) + Buffer.byteLength(far) };
}

/** The greatest size to which all must be shortened so that together they fit. */
function fairShare(sizes: readonly number[], room: number): number {
  let left = room;
  const sorted = sizes.toSorted((one, other) => one - other);
  for (const [at, size] of sorted.entries()) {
    const share = Math.floor(left / (sorted.length - at));
    if (size > share) return share;
    left -= size;
  }
  return Number.POSITIVE_INFINITY;
}

function shorten({ text, bytes: size }: Measured, most: number, keep: "beginning" | "end"): Fitted {
  if (size <= most) return { text, cut: null };
  const kept = keep === "beginning" ? beginning(text, most).text : ending(text, most);
  const bytes = Buffer.byteLength(kept);
  if (bytes === 0) return { text: "", cut: `left out: ${numberWords(size)} bytes` };
  return {
    text: kept,
    cut: `cut: the ${keep === "beginning" ? "first" : "last"} ${numberWords(bytes)} of ${numberWords(size)} bytes`,
  };
}

/** The last bytes of a text, whole characters only. */
function ending(text: string, bytes: number): string {
  const all = Buffer.from(text, "utf8");
  let start = all.length - Math.floor(bytes);
  while (start < all.length && ((all[start] ?? 0) & 0xc0) === 0x80) start += 1;
  return all.subarray(start).toString("utf8");
}

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

/** Shortens the texts so that all together they have at most `bytes`. The most important group comes first. */
export function fitTexts(groups: readonly Group[], bytes: number): readonly (readonly Fitted[])[] {
  const sized = groups.map((group) => measure(group));
  let reserved = sized.reduce((sum, group) => sum + group.least, 0);
  let left = bytes;
  return sized.map((group) => {
    reserved -= group.least;
    const most = fairShare(group.sizes, Math.max(0, Math.min(group.wanted, left - reserved)));
    const fitted = group.texts.map((text, at) => shorten(text, group.sizes[at] ?? 0, most, group.keep));
    left -= fitted.reduce((sum, one) => sum + Buffer.byteLength(one.text), 0);
    return fitted;
  });
}

type Measured = { readonly texts: readonly string[]; readonly sizes: readonly number[]; readonly wanted: number; readonly least: number; readonly keep: "beginning" | "end" };

function measure({ texts, least = 0, most = Number.POSITIVE_INFINITY, keep = "beginning" }: Group): Measured {
  const shown = texts.map(visible);
  const sizes = shown.map((text) => Buffer.byteLength(text));
  const wanted = Math.min(most, sizes.reduce((sum, size) => sum + size, 0));
  return { texts: shown, sizes, wanted, least: Math.min(least, wanted), keep };
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

function shorten(text: string, size: number, most: number, keep: "beginning" | "end"): Fitted {
  if (size <= most) return { text, cut: null };
  const kept = keep === "beginning" ? beginning(text, most).text : ending(text, most);
  const bytes = Buffer.byteLength(kept);
  if (bytes === 0) return { text: "", cut: `left out: ${numberWords(size)} bytes` };
  return { text: kept, cut: `cut: the ${keep === "beginning" ? "first" : "last"} ${numberWords(bytes)} of ${numberWords(size)} bytes` };
}

/** The last bytes of a text, whole characters only. */
function ending(text: string, bytes: number): string {
  const all = Buffer.from(text, "utf8");
  let start = all.length - Math.floor(bytes);
  while (start < all.length && ((all[start] ?? 0) & 0xc0) === 0x80) start += 1;
  return all.subarray(start).toString("utf8");
}

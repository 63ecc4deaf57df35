/**
 * Measuring against the floor. The unit is 1 F: 2 KB written to a temporary file, synced, and renamed over the old one, with
 * nothing but synchronous `node:fs`. It is measured right before and right after each block, so that whatever else the machine
 * does weighs on both.
 */
import { closeSync, fsyncSync, openSync, renameSync, writeSync } from "node:fs";
import path from "node:path";

const twoKilobytes = Buffer.alloc(2048, "x");
const floorsPerSide = 10;

/** Writes the file once as the unit does; answers how long it took in milliseconds. */
function floorOnce(folder: string): number {
  const began = performance.now();
  const descriptor = openSync(path.join(folder, "floor.tmp"), "w");
  writeSync(descriptor, twoKilobytes);
  fsyncSync(descriptor);
  closeSync(descriptor);
  renameSync(path.join(folder, "floor.tmp"), path.join(folder, "floor"));
  return performance.now() - began;
}

/** Each floor that this process measured, in milliseconds: what was F in this run. */
export const floorsMs: number[] = [];

function floors(folder: string): readonly number[] {
  const times = Array.from({ length: floorsPerSide }, () => floorOnce(folder));
  floorsMs.push(...times);
  return times;
}

/** The value below which that share of the values lies, between two values in proportion. Pure; NaN of none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  const at = (sorted.length - 1) * share;
  const low = sorted[Math.floor(at)] ?? Number.NaN;
  const high = sorted[Math.ceil(at)] ?? Number.NaN;
  return low + (high - low) * (at - Math.floor(at));
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** How long the work takes in milliseconds. */
export async function timed(work: () => unknown): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

/**
 * The block's times in F, one per piece of work, in order. `block` measures them itself, in milliseconds: what it does between
 * them does not count. `folder` must be on the disk that the work is done on.
 */
export async function inFloors(folder: string, block: () => Promise<readonly number[]>): Promise<readonly number[]> {
  const before = floors(folder);
  const times = await block();
  const floor = median([...before, ...floors(folder)]);
  return times.map((time) => time / floor);
}

/** Medians of so many blocks, in F. */
export async function perBlock(
  folder: string,
  block: () => Promise<readonly number[]>,
  count: number,
): Promise<readonly number[]> {
  const values: number[] = [];
  for (let number = 0; number < count; number += 1) values.push(median(await inFloors(folder, block)));
  return values;
}

/** What a figure is compared with. */
export type Goal = { readonly atMost: number } | { readonly atLeast: number } | { readonly exactly: number };

/** One line of the table: values of one measure within this run, and what they should come to in the median. */
export type Figure = {
  readonly measure: string;
  /** `F`, `×` (of what the measure names), `ms of CPU`, `MB`, … */
  readonly unit: string;
  readonly values: readonly number[];
  readonly goal?: Goal;
};

/** Whether the median meets the goal, and with `exactly` each value; undefined without a goal. Pure. */
export function isMet({ values, goal }: Figure): boolean | undefined {
  if (goal === undefined) return undefined;
  if ("exactly" in goal) return values.every((value) => value === goal.exactly);
  return "atMost" in goal ? median(values) <= goal.atMost : median(values) >= goal.atLeast;
}

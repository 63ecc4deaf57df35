/**
 * Bounds a status answer: while it is too large, its largest list loses a quarter from its end, so that small lists stay
 * whole. What is missing is said in numbers, with how to ask for it. Pure.
 */
import { bounds, byteLength } from "../schema/bounds.ts";
import type { StatusDetails } from "../schema/details.ts";
import { isFinished } from "../flow/ready.ts";

/** How our own sentences are kept short; quotations have their own bound. */
const sentenceCharacters = 1000;

/**
 * The details within `bounds.statusBytes` together with their words. `restIsFound` says how to ask for what was cut; it is
 * added to `next` of an answer that was. `totals` names lists, by their path, that were given without their ends, and how long they would be.
 */
export function fitStatus(
  given: StatusDetails,
  restIsFound: string,
  inWords: (details: StatusDetails) => string,
  totals: ReadonlyMap<string, number> = new Map(),
): { readonly details: StatusDetails; readonly text: string } {
  const whole = shortenSentences(given);
  let fitting = { details: whole, text: inWords(whole) };
  const ordered = mostImportantFirst(whole);
  const lengths = lengthsOf(ordered);
  const limits = new Map([...totals.keys()].map((path) => [path, lengths.get(path) ?? 0]));
  const longest = new Map([...lengths, ...totals]);
  const say = (shorter: StatusDetails) => {
    const said = `Cut to fit: ${missingWords(longest, limits)}. ${restIsFound}`;
    const details = { ...shorter, next: [...shorter.next, said], truncated: true };
    return { details, text: inWords(details) };
  };
  if (limits.size > 0) fitting = say(ordered);
  let shorter = ordered;
  while (!isSmall(fitting)) {
    const largest = largestList(shorter);
    if (largest === undefined) break;
    limits.set(largest.path, Math.floor((largest.length * 3) / 4));
    // A list with fewer entries is of the same type.
    shorter = cutLists(ordered, limits) as StatusDetails;
    fitting = say(shorter);
  }
  return fitting;
}

const isSmall = ({ details, text }: { readonly details: StatusDetails; readonly text: string }) =>
  byteLength(JSON.stringify(details)) + byteLength(text) <= bounds.statusBytes;

function shortenSentences(details: StatusDetails): StatusDetails {
  const { project, task } = details;
  const short = (list: readonly string[]) =>
    list.map((one) => (one.length > sentenceCharacters ? `${one.slice(0, sentenceCharacters).trimEnd()}…` : one));
  return {
    ...details,
    projects: details.projects.map((one) => ({ ...one, warnings: short(one.warnings) })),
    ...(project === undefined ? {} : { project: { ...project, warnings: short(project.warnings) } }),
    ...(task === undefined ? {} : { task: { ...task, warnings: short(task.warnings) } }),
    next: short(details.next),
  };
}

/** Lists are cut from their end: what goes on or needs somebody comes first, what is over last. */
function mostImportantFirst(details: StatusDetails): StatusDetails {
  const { projects, task } = details;
  const isOver = ({ tasks, warnings }: StatusDetails["projects"][number]) =>
    warnings.length === 0 && Object.keys(tasks).every((status) => status === "done" || status === "cancelled");
  return {
    ...details,
    projects: projects.toSorted((one, other) => Number(isOver(one)) - Number(isOver(other))),
    ...(task === undefined
      ? {}
      : { task: { ...task, steps: task.steps.toSorted((one, other) => rankOfStep(one) - rankOfStep(other)) } }),
  };
}

function rankOfStep({ stepStatus }: { readonly stepStatus: Parameters<typeof isFinished>[0]["status"] }): number {
  if (stepStatus === "queued") return 1;
  return isFinished({ status: stepStatus }) ? 2 : 0;
}

type List = { readonly path: string; readonly entries: readonly unknown[] };

/** Every list by its path; lists within its entries have a path of their own, one for all entries. Choices belong to their question. */
function listsIn(value: unknown, path = ""): readonly List[] {
  if (typeof value !== "object" || value === null) return [];
  if (Array.isArray(value)) return [{ path, entries: value }, ...value.flatMap((one) => listsIn(one, path))];
  return Object.entries(value).flatMap(([key, one]) => (key === "choices" ? [] : listsIn(one, pathOf(path, key))));
}

/** The bytes of a list but for those of lists within its entries. */
function bytesOf({ entries }: List): number {
  return byteLength(
    JSON.stringify(entries, (_key, one: unknown) => (Array.isArray(one) && one !== entries ? [] : one)),
  );
}

function largestList(
  details: StatusDetails,
): { readonly path: string; readonly length: number; readonly bytes: number } | undefined {
  const byPath = Map.groupBy(listsIn(details), (one) => one.path);
  return [...byPath]
    .map(([path, lists]) => ({
      path,
      length: Math.max(...lists.map(({ entries }) => entries.length)),
      bytes: lists.reduce((sum, one) => sum + bytesOf(one), 0),
    }))
    .filter((one) => one.length > 0)
    .toSorted((one, other) => other.bytes - one.bytes)[0];
}

function cutLists(value: unknown, limits: ReadonlyMap<string, number>, path = ""): unknown {
  if (Array.isArray(value)) return value.slice(0, limits.get(path)).map((one) => cutLists(one, limits, path));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, cutLists(one, limits, pathOf(path, key))]));
}

/** `12 of 2,000 steps` for each list that was cut. */
function missingWords(lengths: ReadonlyMap<string, number>, limits: ReadonlyMap<string, number>): string {
  return [...limits].map(([path, most]) => `${most} of ${lengths.get(path) ?? 0} ${nameOfList(path)} shown`).join(", ");
}

/** The length of each list; of several with the same path that of the longest. */
function lengthsOf(details: StatusDetails): ReadonlyMap<string, number> {
  const lengths = new Map<string, number>();
  for (const { path, entries } of listsIn(details)) lengths.set(path, Math.max(entries.length, lengths.get(path) ?? 0));
  return lengths;
}

const pathOf = (path: string, key: string) => (path === "" ? key : `${path}.${key}`);
const nameOfList = (path: string) => {
  const key = path.slice(path.lastIndexOf(".") + 1);
  return key === "taskList" ? "tasks" : key === "waitsFor" ? "waits" : key === "next" ? "next sentences" : key;
};

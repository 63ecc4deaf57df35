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
  const plain = totals.size > 0 ? undefined : { details: whole, text: inWords(whole) };
  if (plain !== undefined && bytesSaid(plain) <= bounds.statusBytes) return plain;
  const ordered = mostImportantFirst(whole);
  const lists = listsIn(ordered);
  const lengths = new Map([...sizesOf(lists)].map(([path, { length }]) => [path, length]));
  const limits = new Map([...totals.keys()].map((path) => [path, lengths.get(path) ?? 0]));
  const longest = new Map([...lengths, ...totals]);
  const say = (shorter: StatusDetails) => {
    const said = `Cut to fit: ${missingWords(longest, limits)}. ${restIsFound}`;
    const details = { ...shorter, next: [...shorter.next, said], truncated: true };
    return { details, text: inWords(details) };
  };
  const cutLargest = (): boolean => {
    const [largest] = [...sizesOf(lists, limits)]
      .filter(([, { length }]) => length > 0)
      .toSorted(([, one], [, other]) => other.bytes - one.bytes);
    if (largest === undefined) return false;
    const [path, { length }] = largest;
    limits.set(path, Math.floor((length * 3) / 4));
    return true;
  };
  let fitting = plain ?? say(ordered);
  for (let bytes = bytesSaid(fitting); bytes > bounds.statusBytes; bytes = bytesSaid(fitting)) {
    // The words shrink about as the lists do, so it is not said after each cut what is left.
    const enough = (bytesIn(lists, limits) * bounds.statusBytes) / bytes;
    if (!cutLargest()) break;
    while (bytesIn(lists, limits) > enough && cutLargest());
    // A list with fewer entries is of the same type.
    fitting = say(cutLists(ordered, limits) as StatusDetails);
  }
  return fitting;
}

const bytesSaid = ({ details, text }: { readonly details: StatusDetails; readonly text: string }) =>
  byteLength(JSON.stringify(details)) + byteLength(text);

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

/** A list, with the bytes of each entry but for those of lists within it, and these lists. */
type List = {
  readonly path: string;
  readonly entries: readonly { readonly bytes: number; readonly lists: readonly List[] }[];
};

/** The lists of a value that are in no other, by their paths; those within a list's entries have a path for all entries. Choices belong to their question. */
function listsIn(value: unknown, path = ""): readonly List[] {
  if (typeof value !== "object" || value === null) return [];
  if (Array.isArray(value)) return [{ path, entries: value.map((one: unknown) => entryOf(one, path)) }];
  return Object.entries(value).flatMap(([key, one]) =>
    key === "choices" || typeof one !== "object" ? [] : listsIn(one, pathOf(path, key)),
  );
}

function entryOf(value: unknown, path: string): List["entries"][number] {
  const lists = listsIn(value, path);
  const withoutLists = (key: string, one: unknown) => (Array.isArray(one) && key !== "choices" ? [] : one);
  return { bytes: byteLength(JSON.stringify(value, lists.length === 0 ? undefined : withoutLists)), lists };
}

/** Of several lists with the same path the length of the longest, and the bytes of all. */
type Size = { readonly length: number; readonly bytes: number };

/** The sizes of lists, and of those within, when of each no more entries are left than its limit. */
function sizesOf(
  lists: readonly List[],
  limits: ReadonlyMap<string, number> = new Map(),
  sizes = new Map<string, Size>(),
): ReadonlyMap<string, Size> {
  for (const { path, entries } of lists) {
    const left = entries.slice(0, limits.get(path));
    const { length, bytes } = sizes.get(path) ?? { length: 0, bytes: 0 };
    const own = left.reduce((sum, one) => sum + one.bytes, 2 + Math.max(0, left.length - 1));
    sizes.set(path, { length: Math.max(length, left.length), bytes: bytes + own });
    for (const one of left) sizesOf(one.lists, limits, sizes);
  }
  return sizes;
}

const bytesIn = (...lists: Parameters<typeof sizesOf>) =>
  sizesOf(...lists)
    .values()
    .reduce((sum, { bytes }) => sum + bytes, 0);

/** The value with no more entries in each list than its limit; what holds no list with a limit is the same object. */
function cutLists(value: unknown, limits: ReadonlyMap<string, number>, path = ""): unknown {
  if (typeof value !== "object" || value === null) return value;
  const cut = Array.isArray(value) ? value.slice(0, limits.get(path)) : value;
  const holdsOne = path === "" || [...limits.keys()].some((one) => one.startsWith(`${path}.`));
  if (!holdsOne) return cut;
  if (Array.isArray(cut)) return cut.map((one: unknown) => cutLists(one, limits, path));
  return Object.fromEntries(Object.entries(cut).map(([key, one]) => [key, cutLists(one, limits, pathOf(path, key))]));
}

/** `12 of 2,000 steps` for each list that was cut. */
function missingWords(lengths: ReadonlyMap<string, number>, limits: ReadonlyMap<string, number>): string {
  return [...limits].map(([path, most]) => `${most} of ${lengths.get(path) ?? 0} ${nameOfList(path)} shown`).join(", ");
}

const pathOf = (path: string, key: string) => (path === "" ? key : `${path}.${key}`);
const nameOfList = (path: string) => {
  const key = path.slice(path.lastIndexOf(".") + 1);
  return key === "taskList" ? "tasks" : key === "waitsFor" ? "waits" : key === "next" ? "next sentences" : key;
};

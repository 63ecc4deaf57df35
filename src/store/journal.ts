/**
 * The journal's format: how a record becomes a line, and which lines of a journal count. Pure: bytes in, decisions out.
 * The invariant: the same bytes give every reader the same records, a line that lost a race or was torn never comes
 * alive, and a line that was damaged is an error, never skipped.
 */
import { hash } from "node:crypto";
import { OrchestratorError } from "../errors.ts";
import { isDocumentName } from "./layout.ts";
import { nameOfStream, type Change, type DocumentName, type JournalRecord, type Stream } from "./store.ts";

/** `prev` of the first record of a stream. */
export const genesis = "";

/**
 * What the next record starts with when the journal does not end in a newline. The space marks the torn line as closed:
 * a plain newline would bring a record alive that was cut exactly before its own.
 */
export const closingOfTornTail = " \n";

const newline = 0x0a;
const carriageReturn = 0x0d;
const space = 0x20;
const openingBrace = 0x7b;

const recordStart = Buffer.from('{"id":"');
const sumStart = ',"sum":"';
const sumLength = 64;
const sumEnd = '"}';
const suffixLength = sumStart.length + sumLength + sumEnd.length;

/** Sha256 in hex, as sums and pages carry it. Pure. */
export function hashOf(bytes: Uint8Array | string): string {
  return hash("sha256", bytes, "hex");
}

/** Makes the record that follows `prev`, and its line without a newline. Pure; `id` must be random. */
export function formatRecord(
  change: Change,
  id: string,
  seq: number,
  prev: string,
): { readonly record: JournalRecord; readonly line: string } {
  const { at, actor, tool, callId, event } = change;
  const body = { id, seq, prev, at, actor, tool, callId, event, docs: change.documents };
  const { line, sum } = seal(body);
  return { record: { ...body, sum }, line };
}

/** The value as one line that ends in the sum of what is before that. Pure; the value must have at least one field. */
export function seal(value: object): { readonly line: string; readonly sum: string } {
  const unsummed = JSON.stringify(value).slice(0, -1);
  const sum = hashOf(unsummed);
  return { line: `${unsummed},"sum":"${sum}"}`, sum };
}

/** The value in a line that `seal` made, undefined for every other. Pure. */
export function unseal(line: Buffer): unknown {
  return sumOfWhole(line) === undefined ? undefined : JSON.parse(line.toString("utf8"));
}

/** Where a valid record's line stands, without its newline. */
export type RecordPlace = { readonly offset: number; readonly length: number; readonly sum: string };

export type CallPlace = Pick<RecordPlace, "offset" | "length"> & { readonly seq: number };

/** What has been read of a journal. Changed in place by `advance`; thrown away when that throws. */
export type Reading = {
  readonly stream: Stream;
  /** End of the last complete line. */
  offset: number;
  /** Number of complete lines, for messages. */
  lines: number;
  /** Last valid record; 0 and `genesis` before the first. */
  seq: number;
  sum: string;
  /** The last record that was not read but taken from a checkpoint; 0 when everything was read. */
  readonly base: number;
  /** Where the bytes end that were taken from a checkpoint. */
  readonly resumedAt: number;
  /** Valid records after `base` in order; the one with `seq` n is at n - base - 1. */
  readonly places: RecordPlace[];
  /** Where the last valid record of each call id stands, of those after `base`. */
  readonly calls: Map<string, CallPlace>;
  /** The same of the latest up to `base`, as the checkpoint holds them; taken into `calls` when somebody first needs them. */
  keptCalls: string;
  /** Sums of all complete records, also of losers: the possible parents of a loser. */
  readonly sums: Set<string>;
  readonly documents: Map<DocumentName, string>;
  /** Names of documents that existed and were removed. */
  readonly removed: Set<DocumentName>;
  /** The `seq` that changed or removed each document last. */
  readonly changedAt: Map<DocumentName, number>;
  /** The sum of that record; of a document that was removed before `base` it is not known. */
  readonly changedBy: Map<DocumentName, string>;
};

/** A journal of which nothing has been read. Pure. */
export function createReading(stream: Stream): Reading {
  return {
    stream,
    offset: 0,
    lines: 0,
    seq: 0,
    sum: genesis,
    base: 0,
    resumedAt: 0,
    places: [],
    calls: new Map(),
    keptCalls: "",
    sums: new Set([genesis]),
    documents: new Map(),
    removed: new Set(),
    changedAt: new Map(),
    changedBy: new Map(),
  };
}

/** Where the record stands that a reading knows by its number. */
export function placeIn({ base, places }: Reading, seq: number): RecordPlace | undefined {
  return seq > base ? places[seq - base - 1] : undefined;
}

/**
 * Reads on: `bytes` is the journal from `reading.offset` to its end. Returns the records that became valid. What follows
 * the last newline is left for the next time. Throws `journal-damaged`, naming file and line, for a line that cannot be right.
 */
export function advance(reading: Reading, bytes: Buffer): readonly JournalRecord[] {
  const valid: JournalRecord[] = [];
  advanceEach(reading, bytes, (record) => valid.push(record));
  return valid;
}

/**
 * The same, for a reader who does not keep ten thousand records: `take` gets each one as it becomes valid. `read` must answer what
 * `readRecord` does; a writer knows its own lines.
 */
export function advanceEach(
  reading: Reading,
  bytes: Buffer,
  take: (record: JournalRecord) => void,
  read = readRecord,
): void {
  const base = reading.offset;
  let start = 0;
  for (let end = bytes.indexOf(newline); end !== -1; end = bytes.indexOf(newline, start)) {
    const line = bytes.subarray(start, bytes[end - 1] === carriageReturn && end > start ? end - 1 : end);
    reading.lines += 1;
    const record = takeLine(reading, line, base + start, read);
    if (record !== undefined) take(record);
    start = end + 1;
    reading.offset = base + start;
  }
  const rest = bytes.subarray(start);
  if (isFlippedEnd(rest)) throw damaged(reading, reading.lines + 1, "the record's newline was changed");
}

/** Decides one complete line: the record when it is the next one, undefined when it is void. */
function takeLine(reading: Reading, line: Buffer, offset: number, read: typeof readRecord): JournalRecord | undefined {
  if (line.at(-1) === space) return undefined;
  const record = read(reading.stream, line);
  if (record === undefined) {
    const glued = recordBehindTornRest(reading.stream, line);
    // Void, but more of the same write may follow it.
    if (glued !== undefined && reading.sums.has(glued.prev)) reading.sums.add(glued.sum);
    if (glued !== undefined) return undefined;
    throw damaged(reading, reading.lines, "it is no complete record with a right sum");
  }
  if (record.seq === reading.seq + 1 && record.prev === reading.sum) {
    reading.seq = record.seq;
    reading.sum = record.sum;
    reading.sums.add(record.sum);
    reading.places.push({ offset, length: line.length, sum: record.sum });
    reading.calls.set(record.callId, { seq: record.seq, offset, length: line.length });
    applyDocuments(reading, record);
    return record;
  }
  // A loser: its parent stands here, but another record followed it first. The parent may itself have lost.
  if (record.prev !== reading.sum && reading.sums.has(record.prev)) {
    reading.sums.add(record.sum);
    return undefined;
  }
  throw damaged(reading, reading.lines, "the record that it follows is missing");
}

/** Takes in what a record says of documents. */
export function applyDocuments(
  reading: Pick<Reading, "documents" | "removed" | "changedAt" | "changedBy">,
  record: Pick<JournalRecord, "docs" | "seq" | "sum">,
): void {
  for (const [name, text] of Object.entries(record.docs)) {
    reading.changedAt.set(name, record.seq);
    reading.changedBy.set(name, record.sum);
    if (text === null) {
      reading.documents.delete(name);
      reading.removed.add(name);
    } else {
      reading.documents.set(name, text);
      reading.removed.delete(name);
    }
  }
}

/** The record in a line, or undefined unless it is whole, its sum is right and its fields have their types. Pure. */
export function readRecord(stream: Stream, line: Buffer): JournalRecord | undefined {
  const sum = sumOfWhole(line);
  if (sum === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(line.toString("utf8"));
  } catch {
    return undefined;
  }
  return isRecord(stream, value) && value.sum === sum ? value : undefined;
}

/** The sum that a line carries, when it is that of the bytes before it. */
function sumOfWhole(line: Buffer): string | undefined {
  const split = line.length - suffixLength;
  if (split <= 0) return undefined;
  const suffix = line.toString("latin1", split);
  if (!suffix.startsWith(sumStart) || !suffix.endsWith(sumEnd)) return undefined;
  const sum = suffix.slice(sumStart.length, -sumEnd.length);
  return sum === hashOf(line.subarray(0, split)) ? sum : undefined;
}

function isRecord(stream: Stream, value: unknown): value is JournalRecord {
  if (!isObject(value)) return false;
  const { id, seq, prev, at, actor, tool, callId, event, docs, sum } = value;
  const texts = [id, prev, at, tool, callId, sum].every((field) => typeof field === "string");
  if (!texts || typeof seq !== "number" || !isObject(actor) || !isObject(event) || !isObject(docs)) return false;
  return Object.entries(docs).every(
    ([name, text]) => isDocumentName(stream, name) && (text === null || typeof text === "string"),
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * The whole record that was glued to a torn rest, because its writer looked before the rest was there. Such a record is void
 * and its writer knows. Undefined when the bytes say that a newline was changed into something else: then the record
 * was valid once, and dropping it would be a silent loss.
 */
function recordBehindTornRest(stream: Stream, line: Buffer): JournalRecord | undefined {
  for (let at = line.lastIndexOf(recordStart); at > 0; at = line.lastIndexOf(recordStart, at - 1)) {
    const record = readRecord(stream, line.subarray(at));
    if (record === undefined) continue;
    const rest = line.subarray(0, at);
    return isFlippedEnd(rest) || isFlippedClosing(rest) ? undefined : record;
  }
  return undefined;
}

/** True when the bytes hold a whole record that goes on in a way that no torn write leaves. */
function isFlippedEnd(bytes: Buffer): boolean {
  for (let start = bytes.indexOf(recordStart); start !== -1; start = bytes.indexOf(recordStart, start + 1)) {
    for (let at = bytes.indexOf(sumStart, start); at !== -1; at = bytes.indexOf(sumStart, at + 1)) {
      if (sumOfWhole(bytes.subarray(start, at + suffixLength)) === undefined) continue;
      const next = bytes[at + suffixLength];
      if (next !== undefined && next !== space && next !== openingBrace && next !== 0 && next !== carriageReturn)
        return true;
    }
  }
  return false;
}

/** True when the bytes end like the closing of a torn tail of which one bit of the newline changed. */
function isFlippedClosing(bytes: Buffer): boolean {
  const difference = (bytes.at(-1) ?? newline) ^ newline;
  return bytes.at(-2) === space && difference !== 0 && (difference & (difference - 1)) === 0;
}

function damaged(reading: Reading, line: number, what: string): OrchestratorError {
  const file = `${nameOfStream(reading.stream)}/journal.jsonl`;
  return new OrchestratorError(
    "journal-damaged",
    `${file} is damaged at line ${line}: ${what}. Nothing was changed and nothing is written there. ` +
      "Restore this file from a backup or version control.",
    { details: { file, line } },
  );
}

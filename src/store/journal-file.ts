/**
 * One journal on a disk: reading what others appended, appending with exactly one write, and making it durable.
 * The invariant: bytes that stand in the file are never changed, moved or cut off; the only rewrite is that of the same
 * bytes at the same offsets after a sync that failed.
 */
import { OrchestratorError, codeOf } from "../errors.ts";
import { isErrorWith, lookAt, type Disk } from "./disk.ts";
import { callsOf, formatCheckpoint, resumeReading, type KnownPlaces } from "./checkpoint.ts";
import {
  advance,
  advanceEach,
  closingOfTornTail,
  createReading,
  placeIn,
  readRecord,
  type Reading,
} from "./journal.ts";
import { checkpointFile, pathIn, type Place } from "./layout.ts";
import type { DocumentName, JournalRecord, Stream } from "./store.ts";

/** How much of a journal that was just opened is written again before it is trusted to be durable. */
const doubtfulBytes = 1024 * 1024;
/** So much of what was read last is kept until it is durable. */
const mostKeptBytes = 64 * 1024;
const newline = Buffer.from("\n");
/** By how much a journal has grown when the next checkpoint of it is worth its place; at its closing anything is, once it is as long. */
export const checkpointBytes = 64 * 1024;

/**
 * What `catchUp` found. `replaced`: the file is another one, or shorter, and was read from the start. `records`: the valid ones that `grew` the
 * journal since; none of a reading from the start, after which nothing of before counts.
 */
export type News = {
  readonly replaced: boolean;
  readonly grew: boolean;
  readonly records: readonly JournalRecord[];
};

const noNews: News = { replaced: false, grew: false, records: [] };

/** A record that is not in the journal yet, and its line without a newline. */
export type Draft = { readonly record: JournalRecord; readonly line: string };

/**
 * Modes: closed (no descriptor: nothing was read, or the file is gone) and open (one descriptor, kept so that a sync
 * reports every write error since). `catchUp` goes to the mode that the path demands; `close` leaves open for closed.
 */
export type JournalFile = {
  /** What has been read so far; follows the file only through `catchUp`. */
  readonly reading: Reading;
  /** Identity and size as last seen, to compare with the path's; undefined while there is no file. */
  readonly seen: { readonly identity: string; readonly size: number } | undefined;
  /** Reads what was appended since; a stat when nothing was. Throws `journal-unreadable`, and `journal-damaged` after a full reading. */
  catchUp(): News;
  /** Forgets what was read, so that the next `catchUp` reads everything, also what a checkpoint would spare. */
  forget(): void;
  /** Keeps a checkpoint when much was read since the last one and all of it is durable. Never throws. */
  keep(): void;
  /** Opens the file for appending, unless it is open for that, and makes it when missing. */
  create(): void;
  /** One write of these records' lines. Says nothing about validity: catch up and look for the records with `holds`. */
  append(drafts: readonly Draft[]): void;
  /** True when the record is valid in what was read. */
  holds(record: Pick<JournalRecord, "seq" | "sum">): boolean;
  /** True when everything that was read is known to be durable. */
  isDurable(): boolean;
  /** Makes everything that was read durable. Throws the disk's error when that could not be had, also on a second way. */
  makeDurable(): Promise<void>;
  /** The valid records after `seq`, and up to `last` when it is given, read from the file again. */
  recordsAfter(seq: number, last?: number): readonly JournalRecord[];
  /** The last record of this call, read from the file again. */
  recordOf(callId: string): JournalRecord | undefined;
  /** Every text that each document ever had, oldest first. Reads the whole journal. */
  versions(): ReadonlyMap<DocumentName, readonly string[]>;
  close(): void;
};

/** A journal that was not looked at yet. */
export function createJournalFile(disk: Disk, stream: Stream, place: Place): JournalFile {
  let reading = createReading(stream);
  let descriptor: number | undefined;
  /** True while the descriptor is one for reading only, because no other was to be had when it was opened. */
  let isReadOnly = false;
  let identity = "";
  let size = 0;
  /** Everything before this offset was synced through the open descriptor. */
  let durableTo = 0;
  /** False until a sync through the open descriptor succeeded, unless the file was empty, and after one failed: then the pages may only seem written. */
  let trusted = false;
  /** Where the bytes begin that no sync covered when the last one failed; outlives the descriptor. */
  let doubtFrom = Number.POSITIVE_INFINITY;
  /** Where the last record began when the file was opened: a sync of its writer may have failed. */
  let lastAtOpening = 0;
  /** Where the documents stand that no record since the checkpoint changed. */
  let known: KnownPlaces = new Map();
  /** Where the last checkpoint ends. */
  let keptTo = 0;
  /** What was appended here and not read back yet. */
  let own: readonly { readonly record: JournalRecord; readonly bytes: Buffer }[] = [];
  /** What was read last, for making it durable: the same bytes, if a sync should fail. */
  let lately: { readonly from: number; readonly bytes: Buffer } | undefined;

  function close(): void {
    if (descriptor === undefined) return;
    const leaving = descriptor;
    descriptor = undefined;
    try {
      disk.close(leaving);
    } catch {
      // What was answered was synced before; nothing depends on how the closing went.
    }
  }

  function forget(): void {
    reading = createReading(stream);
    known = new Map();
    keptTo = 0;
    size = 0;
    lately = undefined;
  }

  function reset(): void {
    close();
    forget();
    identity = "";
    durableTo = 0;
    trusted = false;
  }

  function open(mode: "append" | "append-existing"): void {
    try {
      descriptor = disk.open(place.journal, mode);
      isReadOnly = false;
    } catch (error) {
      if (mode === "append" || !isErrorWith(error, "EACCES", "EPERM", "EROFS")) throw error;
      descriptor = disk.open(place.journal, "read");
      isReadOnly = true;
    }
    const facts = disk.factsOfOpen(descriptor);
    ({ identity } = facts);
    // A sync tells of everything that failed since the file was opened, and before that there was nothing.
    trusted = facts.size === 0;
  }

  /** What could only be read when it was opened may be writable by now. What was read stays, and is not trusted to be durable. */
  function openForAppending(): void {
    if (descriptor === undefined) return open("append");
    const writer = disk.open(place.journal, "append-existing");
    close();
    descriptor = writer;
    isReadOnly = false;
    trusted = false;
    durableTo = 0;
    try {
      if (disk.factsOfOpen(writer).identity === identity) return;
      throw new Error("another journal stands in its place");
    } catch (error) {
      reset();
      throw error;
    }
  }

  function catchUp(): News {
    try {
      return follow();
    } catch (error) {
      if (error instanceof OrchestratorError) throw error;
      const message = `${place.name}/journal.jsonl could not be read (${codeOf(error)}). Mend its permission or the disk.`;
      throw new OrchestratorError("journal-unreadable", message, { cause: error });
    }
  }

  function follow(): News {
    const facts = disk.factsOf(place.journal);
    if (facts === undefined) {
      const replaced = reading.seq > 0;
      reset();
      return { ...noNews, replaced };
    }
    if (facts.kind !== "file") {
      throw new OrchestratorError(
        "journal-unreadable",
        `${place.name}/journal.jsonl is no regular file. Put the journal itself there.`,
      );
    }
    let replaced = false;
    if (descriptor === undefined || facts.identity !== identity || facts.size < size) {
      replaced = reading.seq > 0;
      reset();
      open("append-existing");
      resume(facts.size);
    } else if (facts.size === size) {
      return noNews;
    }
    return readOn(replaced);
  }

  /** Begins where a checkpoint says, if there is one that proves itself. */
  function resume(length: number): void {
    // Of a shorter one none is made.
    if (length < checkpointBytes) return;
    try {
      const found = lookAt(disk, pathIn(place.directory, checkpointFile));
      if (found.kind !== "file") return;
      const resumed = resumeReading(stream, found.bytes, length, readRange);
      if (resumed === undefined) return;
      ({ reading, known } = resumed);
      keptTo = reading.offset;
    } catch {
      // Everything is read then.
    }
  }

  function readOn(replaced: boolean): News {
    const fromStart = reading.offset === 0;
    const isOpening = reading.offset === keptTo && reading.places.length === 0;
    const from = reading.offset;
    const bytes = readRange(from);
    size = from + bytes.length;
    lately = own.length === 0 || bytes.length > mostKeptBytes ? undefined : { from, bytes };
    try {
      const records: JournalRecord[] = [];
      const { seq } = reading;
      advanceEach(reading, bytes, (record) => fromStart || records.push(record), readOrKnow);
      own = [];
      if (isOpening) lastAtOpening = reading.places.at(-1)?.offset ?? keptTo;
      return { replaced, grew: reading.seq > seq, records };
    } catch (error) {
      // The file may have been rewritten in place by a restore, or a record may follow one from before the checkpoint: only a
      // reading from the start decides that it is damaged.
      forget();
      if (fromStart) {
        close();
        throw error;
      }
      durableTo = 0;
      return readOn(true);
    }
  }

  /** What is in a line; of one that was appended here just now this is known without looking into it. */
  function readOrKnow(of: Stream, line: Buffer): JournalRecord | undefined {
    return own.find(({ bytes }) => bytes.equals(line))?.record ?? readRecord(of, line);
  }

  /** As far as the file goes; `to` is an offset that it has or had, or none. */
  function readRange(from: number, to = Number.POSITIVE_INFINITY): Buffer {
    const open = openDescriptor();
    const end = to === Number.POSITIVE_INFINITY ? disk.factsOfOpen(open).size : to;
    const length = Math.max(0, end - from);
    const bytes = Buffer.alloc(length);
    let filled = 0;
    while (filled < length) {
      const count = disk.readAt(open, bytes.subarray(filled), from + filled);
      if (count === 0) break;
      filled += count;
    }
    return bytes.subarray(0, filled);
  }

  function openDescriptor(): number {
    if (descriptor === undefined)
      throw new OrchestratorError("bug", `${place.name}/journal.jsonl is used before it was opened.`);
    return descriptor;
  }

  async function makeDurable(): Promise<void> {
    const from = trusted ? durableTo : doubtfulFrom();
    const last = lately;
    const bytes = last?.from === from && from + last.bytes.length === size ? last.bytes : readRange(from, size);
    const open = openDescriptor();
    if (!trusted) writeAgain(bytes, from, doubtFrom < size);
    try {
      await disk.sync(open);
    } catch {
      // The failed pages may count as clean now: a bare second sync could succeed without having written them.
      trusted = false;
      doubtFrom = Math.min(doubtFrom, from);
      writeAgain(bytes, from, true);
      await disk.sync(open);
    }
    trusted = true;
    doubtFrom = Number.POSITIVE_INFINITY;
    durableTo = from + bytes.length;
    if (lately === last) lately = undefined;
  }

  /**
   * Where writing again begins: before the last record of others, however long, but not before the checkpoint, which covers only
   * what was synced; and before all that a sync failed for.
   */
  function doubtfulFrom(): number {
    return Math.min(Math.max(reading.resumedAt, Math.min(lastAtOpening, size - doubtfulBytes)), doubtFrom);
  }

  /** The same bytes at the same offsets; harmless to those who append meanwhile. */
  function writeAgain(bytes: Buffer, from: number, needed: boolean): void {
    if (bytes.length === 0) return;
    let update: number;
    try {
      update = disk.open(place.journal, "update");
    } catch (error) {
      if (needed) throw error;
      return;
    }
    try {
      if (disk.factsOfOpen(update).identity !== identity) throw new Error("the journal was replaced");
      let written = 0;
      while (written < bytes.length) {
        const count = disk.writeAt(update, bytes.subarray(written), from + written);
        if (count === 0) throw new Error("the disk took no byte");
        written += count;
      }
    } finally {
      disk.close(update);
    }
  }

  function recordsAfter(seq: number, until?: number): readonly JournalRecord[] {
    if (seq < reading.base) readWhole();
    const { base } = reading;
    const places = reading.places.slice(seq - base, until === undefined ? undefined : until - base);
    const first = places[0];
    const last = places.at(-1);
    if (first === undefined || last === undefined) return [];
    const bytes = readRange(first.offset, last.offset + last.length);
    return places.map(({ offset, length, sum }, index) => {
      const record = readRecord(stream, bytes.subarray(offset - first.offset, offset - first.offset + length));
      if (record?.sum === sum) return record;
      throw new OrchestratorError(
        "journal-damaged",
        `${place.name}/journal.jsonl is damaged: change ${seq + index + 1} does not read as it did before. Restore this file from a backup or version control.`,
      );
    });
  }

  function recordOf(callId: string): JournalRecord | undefined {
    const found = callsOf(reading).get(callId);
    if (found === undefined) return undefined;
    const { seq, offset, length } = found;
    const record = readRecord(stream, readRange(offset, offset + length));
    return record?.seq === seq && record.callId === callId ? record : recordsAfter(seq - 1, seq)[0];
  }

  /** Reads what the checkpoint spared. What was known stays, unless it was wrong. */
  function readWhole(): void {
    const whole = createReading(stream);
    advance(whole, readRange(0, reading.offset));
    const isSame =
      whole.sum === reading.sum &&
      whole.documents.size === reading.documents.size &&
      [...whole.documents].every(([name, text]) => reading.documents.get(name) === text);
    if (isSame) {
      reading = { ...whole, resumedAt: reading.resumedAt };
      return;
    }
    forget();
    const message = `${place.name}/journal.jsonl does not begin as its checkpoint says. Call again: it is read anew.`;
    throw new OrchestratorError("journal-unreadable", message);
  }

  function keep(from = keptTo): void {
    const isSettled = descriptor !== undefined && trusted && durableTo >= size && reading.offset === size;
    if (!isSettled || reading.offset - from < checkpointBytes || reading.offset === keptTo) return;
    const line = formatCheckpoint(reading, known);
    if (line === undefined) return;
    try {
      const bytes = Buffer.from(line);
      const file = disk.open(pathIn(place.directory, checkpointFile), "page");
      try {
        disk.writeAt(file, bytes, 0);
        disk.truncate(file, bytes.length);
      } finally {
        disk.close(file);
      }
      keptTo = reading.offset;
    } catch {
      // The next process reads everything.
    }
  }

  return {
    get reading() {
      return reading;
    },
    get seen() {
      return descriptor === undefined ? undefined : { identity, size };
    },
    catchUp,
    forget,
    create: () => {
      if (descriptor === undefined || isReadOnly) openForAppending();
    },
    append: (drafts) => {
      const torn = size > reading.offset ? closingOfTornTail : "";
      own = drafts.map(({ record, line }) => ({ record, bytes: Buffer.from(line) }));
      const lines = own.flatMap(({ bytes }) => [bytes, newline]);
      disk.append(openDescriptor(), Buffer.concat([Buffer.from(torn), ...lines]));
    },
    holds: (record) => placeIn(reading, record.seq)?.sum === record.sum,
    isDurable: () => durableTo >= size,
    makeDurable,
    recordsAfter,
    recordOf,
    versions: () => {
      const versions = new Map<DocumentName, string[]>();
      for (const { docs } of recordsAfter(0)) {
        for (const [name, text] of Object.entries(docs)) {
          if (text === null) continue;
          const known = versions.get(name);
          if (known === undefined) versions.set(name, [text]);
          else known.push(text);
        }
      }
      return versions;
    },
    keep: () => keep(),
    close: () => {
      keep(0);
      reset();
    },
  };
}

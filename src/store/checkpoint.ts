/**
 * The checkpoint of a journal: where a reading that was durable had come to, so that the next process need not read ten thousand
 * records to know the last ones. It holds places and no documents: these are read from the journal's own lines, each with its sum.
 * A checkpoint that does not prove itself against the journal is ignored. Pure: bytes in, decisions out.
 */
import { createReading, readRecord, seal, unseal, type CallPlace, type Reading } from "./journal.ts";
import type { DocumentName, Stream } from "./store.ts";

/** Grows when what a checkpoint says changes its meaning. */
const format = 2;
/** A call that is made again is looked for among so many of the last records. */
const callsKept = 100;

type Place = { readonly offset: number; readonly length: number };
type Kept = {
  readonly format: number;
  readonly end: number;
  readonly lines: number;
  readonly seq: number;
  readonly last: Place;
  /** Where the record stands that holds each document; none for one that was removed. */
  readonly documents: readonly (readonly [name: DocumentName, seq: number, place: Place | null])[];
  /** A JSON text of `KeptCall`s: it is parsed for the first change only. To parse a hundred takes a tenth of an opening, and most openings only read. */
  readonly calls: string;
};
type KeptCall = readonly [callId: string, seq: number, offset: number, length: number];

/** Where documents were found by an earlier checkpoint, for those that did not change since. */
export type KnownPlaces = ReadonlyMap<DocumentName, Place>;

/** The checkpoint of a reading as the line that is kept, and where it found each document; undefined while nothing was read. */
export function formatCheckpoint(reading: Reading, known: KnownPlaces): string | undefined {
  const { base, changedAt, documents, lines, offset, places, removed, seq } = reading;
  const last = places.at(-1);
  if (last === undefined) return undefined;
  const placeOf = (name: DocumentName): Place | undefined => {
    const at = changedAt.get(name) ?? 0;
    return at > base ? places[at - base - 1] : known.get(name);
  };
  const found = [...documents.keys()].map((name) => [name, placeOf(name)] as const);
  if (found.some(([, place]) => place === undefined)) return undefined;
  const only = ({ offset: start, length }: Place) => ({ offset: start, length });
  const kept: Kept = {
    format,
    end: offset,
    lines,
    seq,
    last: only(last),
    documents: [
      ...found.map(
        ([name, place]) => [name, changedAt.get(name) ?? 0, place === undefined ? null : only(place)] as const,
      ),
      ...[...removed].map((name) => [name, changedAt.get(name) ?? 0, null] as const),
    ],
    calls: formatCalls([...callsOf(reading)].filter(([, at]) => at.seq > seq - callsKept)),
  };
  return seal(kept).line;
}

/**
 * The reading that a checkpoint stands for, and where the documents stand; undefined when it is none, or does not fit the
 * journal. `read` gives bytes of the journal.
 */
export function resumeReading(
  stream: Stream,
  checkpoint: Uint8Array,
  size: number,
  read: (from: number, to: number) => Buffer,
): { readonly reading: Reading; readonly known: KnownPlaces } | undefined {
  // The sum says that it is as this code wrote it.
  const kept = unseal(Buffer.from(checkpoint)) as Partial<Kept> | undefined;
  if (kept?.format !== format) return undefined;
  const { end, lines, seq, last, documents, calls } = kept as Kept;
  if (end > size || last.offset + last.length >= end) return undefined;
  const records = new Map<number, ReturnType<typeof readRecord>>();
  const recordAt = ({ offset, length }: Place) => {
    if (!records.has(offset)) records.set(offset, readRecord(stream, read(offset, offset + length)));
    return records.get(offset);
  };
  const tail = read(last.offset, end);
  const record =
    tail.length === end - last.offset && tail.at(-1) === 0x0a
      ? readRecord(stream, tail.subarray(0, last.length))
      : undefined;
  if (record === undefined || record.seq !== seq) return undefined;
  records.set(last.offset, record);
  const reading: Reading = {
    ...createReading(stream),
    base: seq,
    resumedAt: end,
    offset: end,
    lines,
    seq,
    sum: record.sum,
    keptCalls: calls,
  };
  reading.sums.add(record.sum);
  const known = new Map<DocumentName, Place>();
  for (const [name, changedAt, place] of documents) {
    reading.changedAt.set(name, changedAt);
    if (place === null) {
      reading.removed.add(name);
      continue;
    }
    const holder = place.offset + place.length < end ? recordAt(place) : undefined;
    const text = holder?.seq === changedAt ? holder.docs[name] : undefined;
    if (typeof text !== "string") return undefined;
    reading.documents.set(name, text);
    reading.changedBy.set(name, holder?.sum ?? "");
    known.set(name, place);
  }
  return { reading, known };
}

/** Where the last valid record of each call stands; of those up to `base` only of the latest. */
export function callsOf(reading: Reading): ReadonlyMap<string, CallPlace> {
  const kept = reading.keptCalls === "" ? [] : (JSON.parse(reading.keptCalls) as readonly KeptCall[]);
  reading.keptCalls = "";
  for (const [callId, seq, offset, length] of kept)
    if (!reading.calls.has(callId)) reading.calls.set(callId, { seq, offset, length });
  return reading.calls;
}

function formatCalls(calls: readonly (readonly [string, CallPlace])[]): string {
  return JSON.stringify(calls.map(([callId, { seq, offset, length }]): KeptCall => [callId, seq, offset, length]));
}

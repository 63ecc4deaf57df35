/**
 * What a chat is to hear of a task, read off its journal: every notice follows from a record and the documents before
 * and after it, so nothing that a crash interrupts is ever lost. Pure.
 */
import { noticesOf } from "../flow/transition.ts";
import type { TaskState } from "../schema/documents.ts";
import type { Notice } from "../schema/effects.ts";
import type { TaskEvent } from "../schema/events.ts";
import type { Settings } from "../schema/config.ts";
import type { JournalRecord } from "../store/store.ts";
import { stateOf } from "./tool.ts";

/** One record, or with `seq` 0 what is before the first. Its number alone could be another's after a rollback. */
export type Mark = { readonly seq: number; readonly sum: string };

/** `before` is the record before the one that the notice follows from. */
export type NoticeInTime = { readonly before: Mark; readonly notice: Notice; readonly state: TaskState };

/** Where a reader of the journal stands: the documents after that record. */
export type Place = Mark & { readonly documents: Readonly<Record<string, string>> };
export const beginning: Place = { seq: 0, sum: "", documents: {} };

/** True when the record is among these. Pure. */
export function holds(records: readonly JournalRecord[], { seq, sum }: Mark): boolean {
  return seq === 0 || records.some((record) => record.seq === seq && record.sum === sum);
}

/** The place behind the last of these records, which follow `from`. Pure. */
export function placeAfter(records: readonly JournalRecord[], from = beginning): Place {
  const { seq, sum } = records.at(-1) ?? from;
  const changed = Object.assign({}, from.documents, ...records.map(({ docs }) => docs)) as JournalRecord["docs"];
  const documents = Object.entries(changed).filter((entry): entry is [string, string] => entry[1] !== null);
  return { seq, sum, documents: Object.fromEntries(documents) };
}

/** Reads on from a place: the notices of the records after it, in order, and the place behind the last one. Pure. */
export function readNotices(
  from: Place,
  records: readonly JournalRecord[],
): { readonly place: Place; readonly notices: readonly NoticeInTime[] } {
  let place = from;
  const notices: NoticeInTime[] = [];
  for (const record of records) {
    if (record.seq <= place.seq) continue;
    const before = place.documents["task"] === undefined ? undefined : stateOf(place);
    const mark = { seq: place.seq, sum: place.sum };
    place = placeAfter([record], place);
    const state = stateOf(place);
    // A task's stream holds task events only; an unknown later type gives the notices of its differences.
    for (const notice of noticesOf(before, state, record.event as TaskEvent))
      notices.push({ before: mark, notice, state });
  }
  return { place, notices };
}

/** True when the configuration wants the chat to hear of it: questions always. Pure. */
export function isWanted(notice: Notice, notify: Settings["notify"]): boolean {
  if (notice.kind === "question") return true;
  if (notify === "off") return false;
  return notify === "steps" || notice.kind === "task-done" || notice.kind === "task-cancelled";
}

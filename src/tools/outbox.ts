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
    const changed = Object.entries({ ...place.documents, ...record.docs }).filter(
      (entry): entry is [string, string] => entry[1] !== null,
    );
    const mark = { seq: place.seq, sum: place.sum };
    place = { seq: record.seq, sum: record.sum, documents: Object.fromEntries(changed) };
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

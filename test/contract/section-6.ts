import type { Rules } from "./rules.ts";

/** The journal and what is redone from it. */
export const keeping = {
  "s6.record-fields":
    "A commit is one line of its stream's journal with id, seq, prev, at, actor, tool, callId, event, docs and sum, in this order.",
  "s6.record-id": "Each record has a random id, so that two writers never append the same line.",
  "s6.record-chain":
    "A record's prev is its parent's sum, and its sum is the sha256 of the bytes of its line before it.",
  "s6.record-docs": "docs holds the full new text of each changed document, and null for one that is removed.",
  "s6.append-once": "A record is appended with exactly one write at the end of the file.",
  "s6.short-write":
    "A write that was cut short or failed is never continued: its record stays void, and a new one is started behind it.",
  "s6.optimistic":
    "Writers in any number of processes need no lock: no acknowledged change is lost or counted twice, also when they are killed.",
  "s6.first-wins": "A record counts when its seq follows the last one and prev names it; the first such record wins.",
  "s6.loser":
    "A record whose parent stands in the file and was followed by another one first is void and never comes alive.",
  "s6.decide-again":
    "A tool whose record lost decides again on the new state after a pause that blocks nothing, and answers `busy` after a bounded number of rounds.",
  "s6.damage": "A wrong sum or an unknown parent is `journal-damaged`, which names file and line.",
  "s6.damage-kept": "A damaged journal is kept as it is, and nothing more is written to its stream.",
  "s6.unreadable":
    "A journal that the disk or its permission keeps from being read is `journal-unreadable`, takes no change, and hides no other stream.",
  "s6.never-truncated": "What stands in a journal is never changed, moved or cut off.",
  "s6.torn-tail":
    "The record behind a torn tail starts with a space and a newline, and what was torn never comes alive.",
  "s6.closed-line": "A line that ends in a space is ignored.",
  "s6.commit-order":
    "A commit appends, reads the tail, syncs, writes documents, then pages, reads the tail until nobody added anything, and then answers.",
  "s6.one-sync": "A commit syncs the journal once and nothing else.",
  "s6.directory-sync": "The folders of a new stream are synced once, before its first record is acknowledged.",
  "s6.one-descriptor": "A stream's journal is opened once and kept open.",
  "s6.inode": "A journal that another file took the place of is noticed with the next call and read from its start.",
  "s6.sync-again": "After a failed sync the same bytes are written at the same place before the next sync is tried.",
  "s6.outcome-unknown":
    "When the second sync fails too, the answer is `outcome-unknown`, and the stream takes no change until it was opened anew and its tail made durable.",
  "s6.retry-finds-out":
    "The same call made again after `outcome-unknown` finds its own record by callId: it is confirmed once durable, and never made twice.",
  "s6.document-atomic": "A document is replaced in one rename, without a sync of its own.",
  "s6.document-after-write": "A document that does not read back as it was written is written again.",
  "s6.document-at-open": "Every document is compared with the journal when its stream is opened.",
  "s6.document-before-overwrite": "A document is compared with what it should be before it is overwritten.",
  "s6.document-late":
    "A document or page that cannot be written after its record is durable is a warning on a committed change, and is written with the next reading or change.",
  "s6.redone": "Whatever a crash left of documents and pages, opening the stream makes them what the journal says.",
  "s6.left-to-writer":
    "Documents that another writer has just changed are left to it; who reads or commits two seconds later makes them what the journal says.",
  "s6.page-in-place": "A page is written in place, not renamed.",
  "s6.edited-document":
    "A document that no version of the journal explains is copied aside as `.edited-<time>`, written again, and named in the status.",
  "s6.torn-document":
    "A document that is a beginning of a known version, empty or zeros is written again without a word.",
  "s6.reformatted-document": "A document with the same JSON in another form is written again without a word.",
  "s6.edited-page": "A page that was edited is copied aside, written again, and named in the status.",
  "s6.checkpoint":
    "A checkpoint beside the journal says where reading may begin; it proves itself against the journal or is ignored.",
  "s6.verify":
    "verify reads a journal from its start, compares every document and page, mends them and says what differed.",
  "s6.history": "Every record can be read again in order, with who did what, when, by which tool and call.",
  "s6.network-file-system":
    "A root, or a project's folder below it, whose file system is a network's by its statfs type is `unsupported-file-system`, which names the type and what to do.",
  "s6.windows": "On Windows a rename that is held up is tried again with growing pauses, and no directory is synced.",
} satisfies Rules;

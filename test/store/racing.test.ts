/** Another writer, at the worst moment: right before the append, behind the sync, between two documents. */
import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { advance, createReading, formatRecord } from "../../src/store/journal.ts";
import type { Disk } from "../../src/store/disk.ts";
import {
  aChange,
  aFileStore,
  aRootWithTask,
  asides,
  differences,
  pathOf,
  readText,
  stepText,
  systemError,
  task,
  taskText,
  watchedDisk,
} from "./support.ts";

/** Its page is shorter than the one before, so that writing it also cuts. */
const mine = taskText({ rev: 3, title: "M", status: "done" });
const theirs = taskText({ rev: 3, title: "Theirs, which is longer", status: "paused" });
const journalOf = (root: string) => pathOf(root, task, "journal.jsonl");

/** For longer than another writer's documents are left to it. */
const aWhile = 2_000;

/** What another process does in one go: a record behind the last one, and then its document, or not yet. */
function commitOfAnother(root: string, document: string, writesDocument: boolean, name = "task"): void {
  const reading = createReading(task);
  advance(reading, readFileSync(journalOf(root)));
  const { line } = formatRecord(
    aChange({ [name]: document }, "theirs"),
    `their-${reading.seq}`,
    reading.seq + 1,
    reading.sum,
  );
  writeFileSync(journalOf(root), `${line}\n`, { flag: "a" });
  if (writesDocument) writeFileSync(pathOf(root, task, `${name}.json`), document);
}

/** A store in which something happens once, right before the first call of that name after `callId` was appended. */
async function setup(call: keyof Disk, callId: string, happen: (root: string) => void) {
  const root = await aRootWithTask();
  let happened = false;
  const disk = watchedDisk(({ name }, proceed) => {
    if (name === call && !happened && readFileSync(journalOf(root), "utf8").includes(callId)) {
      happened = true;
      happen(root);
    }
    return proceed();
  });
  return { root, store: await aFileStore(root, { disk }) };
}

describe("another writer's record", () => {
  it(
    "that comes before the append makes it a conflict that never comes alive",
    { tags: ["s6.first-wins", "s6.loser"] },
    async () => {
      const { root, store } = await setup("append", "call", (where) => commitOfAnother(where, theirs, true));
      expect(await store.commit(task, 2, aChange({ task: mine }, "mine"))).toEqual({ kind: "conflict" });
      expect(readText(root, task, "journal.jsonl")).toContain('"callId":"mine"');
      expect((await store.history(task, 0)).map(({ callId }) => callId)).toEqual(["call", "call", "theirs"]);
      expect((await store.read(task))?.documents["task"]).toBe(theirs);
      expect(await store.commit(task, 3, aChange({ task: mine }, "mine again"))).toMatchObject({
        kind: "committed",
        seq: 4,
      });
      const reopened = await aFileStore(root);
      expect((await reopened.history(task, 2)).map(({ callId }) => callId)).toEqual(["theirs", "mine again"]);
      expect([differences(root, task), asides(root, task)]).toEqual([[], []]);
    },
  );

  it.each([
    ["sync", true],
    ["sync", false],
    ["replaceFile", true],
    ["replaceFile", false],
    ["writeAt", true],
    ["writeAt", false],
    ["truncate", true],
    ["truncate", false],
  ] as const)(
    "that comes before %s (its document written: %s) is not covered by the older document",
    { tags: ["s6.commit-order"] },
    async (call, writes) => {
      const { root, store } = await setup(call, '"mine"', (where) => commitOfAnother(where, theirs, writes));
      const answer = await store.commit(task, 2, aChange({ task: mine }, "mine"));
      expect(answer).toMatchObject({ kind: "committed", seq: 3, warnings: [] });
      const state = await store.read(task);
      expect(state).toMatchObject({ seq: 4, documents: { task: theirs } });
      expect([differences(root, task), asides(root, task)]).toEqual([[], []]);
    },
  );

  it("that damages the journal behind a durable change does not take the change back", async () => {
    const { root, store } = await setup("replaceFile", '"mine"', (where) =>
      writeFileSync(journalOf(where), "damage\n", { flag: "a" }),
    );
    const answer = await store.commit(task, 2, aChange({ task: mine }, "mine"));
    expect(answer).toMatchObject({ kind: "committed", seq: 3 });
    expect(answer.kind === "committed" && answer.warnings.join()).toContain("damaged at line 4");
    await expect(store.read(task)).rejects.toMatchObject({ code: "journal-damaged" });
    expect(readText(root, task, "task.json")).toBe(mine);
  });

  it("that comes while pages are written is on the task's page at the end, though its own files are left to it", async () => {
    const theirStep = stepText("step-01", { status: "passed" });
    const { root, store } = await setup("writeAt", '"mine"', (where) =>
      commitOfAnother(where, theirStep, false, "steps/step-01"),
    );
    await store.read(task);
    await store.commit(task, 2, aChange({ task: mine }, "mine"));
    expect(readText(root, task, "task.md")).toContain("step-01 is passed");
    expect(differences(root, task), "document and page").toEqual(["steps/step-01", "steps/step-01"]);
  });

  it.each([
    ["a while", aWhile],
    ["a moment before which the clock was set back", -aWhile],
  ])(
    "that it does not follow up is followed up by the next one who reads or commits after %s",
    { tags: ["s6.left-to-writer"] },
    async (_name, byMs) => {
      for (const next of ["reads", "commits"]) {
        const root = await aRootWithTask();
        let time = Date.UTC(2026, 0, 1);
        const store = await aFileStore(root, { now: () => new Date(time) });
        await store.read(task);
        commitOfAnother(root, stepText("step-01", { title: "Theirs" }), false, "steps/step-01");
        const before = await store.read(task);
        expect(before).toMatchObject({ seq: 3, warnings: [] });
        expect(before?.documents["steps/step-01"]).toContain("Theirs");
        time += byMs > 0 ? byMs - 1 : byMs + 1;
        await store.commit(task, 3, aChange({ task: mine }));
        expect(readText(root, task, "task.json"), "its own is written at once").toBe(mine);
        expect(differences(root, task), "that of the other writer is left to it").toContain("steps/step-01");
        time += Math.sign(byMs);
        if (next === "reads") await store.read(task);
        else await store.commit(task, 4, aChange({ task: taskText({ rev: 5 }) }));
        expect([differences(root, task), asides(root, task)]).toEqual([[], []]);
      }
    },
  );

  it("that has no newline yet is neither read nor closed over a second time", async () => {
    const root = await aRootWithTask();
    let time = Date.UTC(2026, 0, 1);
    const store = await aFileStore(root, { now: () => new Date(time) });
    const before = readFileSync(journalOf(root));
    commitOfAnother(root, theirs, false);
    const after = readFileSync(journalOf(root));
    writeFileSync(journalOf(root), after.subarray(0, -1));
    expect((await store.read(task))?.seq).toBe(2);
    writeFileSync(journalOf(root), after);
    expect((await store.read(task))?.seq).toBe(3);
    time += aWhile;
    await store.read(task);
    expect(after.subarray(0, before.length)).toEqual(before);
    expect(differences(root, task)).toEqual([]);
  });

  it("is made durable before its document is redone from it; until then the document stays behind", async () => {
    const root = await aRootWithTask();
    const order: string[] = [];
    let fails = true;
    const disk = watchedDisk(({ name }, proceed) => {
      if (name === "sync" || name === "replaceFile") order.push(name);
      return name === "sync" && fails ? Promise.reject(systemError("EIO")) : proceed();
    });
    const store = await aFileStore(root, { disk });
    commitOfAnother(root, theirs, false);
    expect((await store.read(task))?.warnings.join()).toMatch(
      /task\.json could not be written yet.*may not be durable/,
    );
    expect(order).not.toContain("replaceFile");
    await expect(store.commit(task, 3, aChange({ task: mine }))).rejects.toMatchObject({ code: "outcome-unknown" });
    fails = false;
    order.length = 0;
    expect((await store.read(task))?.documents["task"]).toBe(theirs);
    expect(order).toEqual(["sync", "replaceFile"]);
    expect(await store.commit(task, 3, aChange({ task: mine }))).toMatchObject({ kind: "committed", seq: 4 });
    expect((await store.read(task))?.warnings).toEqual([]);
  });

  it(
    "whose sync failed is never synced again without its bytes being written again first",
    { tags: ["s6.sync-again"] },
    async () => {
      const root = await aRootWithTask();
      const order: string[] = [];
      let fails = false;
      const disk = watchedDisk(({ name, path }, proceed) => {
        if (name === "writeAt" && path === journalOf(root)) order.push("rewrite");
        if (name !== "sync") return proceed();
        order.push("sync");
        return fails ? Promise.reject(systemError("EIO")) : proceed();
      });
      let time = Date.UTC(2026, 0, 1);
      const store = await aFileStore(root, { disk, now: () => new Date(time) });
      await store.commit(task, 2, aChange({ task: mine }));
      commitOfAnother(root, theirs, false);
      [fails, order.length] = [true, 0];
      // The reading, and then the document, its page and those of its steps each want the journal durable.
      await store.read(task);
      time += aWhile;
      await store.read(task);
      expect(order.length).toBeGreaterThan(4);
      expect(order[0]).toBe("sync");
      for (const [at, call] of order.entries())
        if (at > 0 && call === "sync") expect(order[at - 1], `before sync ${at}`).toBe("rewrite");
    },
  );

  it("is read from the tail alone", async () => {
    const root = await aRootWithTask();
    const reads: { offset: unknown }[] = [];
    const disk = watchedDisk(({ name, path }, proceed, input) => {
      if (name === "readAt" && path === journalOf(root)) reads.push({ offset: input[2] });
      return proceed();
    });
    const store = await aFileStore(root, { disk });
    await store.read(task);
    const length = readFileSync(journalOf(root)).length;
    commitOfAnother(root, theirs, true);
    reads.length = 0;
    expect((await store.read(task))?.seq).toBe(3);
    expect(reads[0]).toEqual({ offset: length });
  });
});

describe("two stores in one process", () => {
  it(
    "let exactly one of two changes of the same state through, every time",
    { tags: ["s6.optimistic", "s6.first-wins"] },
    async () => {
      const root = await aRootWithTask();
      const stores = [await aFileStore(root), await aFileStore(root)];
      for (let seq = 2; seq < 30; seq += 1) {
        const answers = await Promise.all(
          stores.map((store, index) =>
            store.commit(task, seq, aChange({ task: taskText({ rev: seq, title: "x".repeat(index * 9) }) })),
          ),
        );
        expect(answers.map(({ kind }) => kind).sort()).toEqual(["committed", "conflict"]);
        expect(differences(root, task)).toEqual([]);
      }
      expect(asides(root, task)).toEqual([]);
    },
  );
});

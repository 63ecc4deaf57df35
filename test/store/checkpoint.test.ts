/** Checkpoints of long journals: they spare reading, and nothing depends on them. */
import { cpSync, existsSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { nodeDisk } from "../../src/store/disk.ts";
import { formatRecord } from "../../src/store/journal.ts";
import type { JournalRecord, Store } from "../../src/store/store.ts";
import {
  aChange,
  aFileStore,
  aRoot,
  commitNow,
  pathOf,
  project,
  projectText,
  stepText,
  task,
  taskText,
  watchedDisk,
} from "./support.ts";

/** More than 256 KB in so many records, so that a checkpoint is worth its place. */
const many = 60;
const long = (rev: number) => taskText({ rev, spec: `${rev} `.repeat(2_500) });
const checkpoint = (root: string) => pathOf(root, task, ".checkpoint.json");
const journal = (root: string) => pathOf(root, task, "journal.jsonl");

/** A root with a task of so many records; its store is closed unless it is to stay open. */
async function aLongRoot({ closes = true }: { readonly closes?: boolean } = {}): Promise<string> {
  const root = aRoot();
  const store = await aFileStore(root);
  await commitNow(store, project, { project: projectText() });
  await commitNow(store, task, { task: long(1), "steps/step-01": stepText("step-01"), "steps/gone": stepText("gone") });
  await commitNow(store, task, { "steps/gone": null }, "removing");
  for (let rev = 2; rev < many; rev += 1) await commitNow(store, task, { task: long(rev) }, `call-${rev}`);
  if (closes) await store.close();
  return root;
}

/** A store that counts how many bytes of the journal it reads. */
async function aCountingStore(root: string): Promise<{ readonly store: Store; readonly read: () => number }> {
  let bytes = 0;
  const disk = watchedDisk(({ name, path }, proceed, [, into]) => {
    if (name === "readAt" && path.endsWith("journal.jsonl") && path.includes(task.taskId ?? ""))
      bytes += (into as Uint8Array).length;
    return proceed();
  }, nodeDisk);
  return { store: await aFileStore(root, { disk }), read: () => bytes };
}

/** What a store that knows no checkpoint says of the task. */
async function truthOf(root: string) {
  const copy = join(aRoot(), "copy");
  cpSync(root, copy, { recursive: true });
  rmSync(checkpoint(copy), { force: true });
  const store = await aFileStore(copy);
  const [snapshot, records] = [await store.read(task), await store.history(task, 0)];
  await store.close();
  return { snapshot, records };
}

const same = async (store: Store, { snapshot, records }: Awaited<ReturnType<typeof truthOf>>) => {
  expect(await store.read(task)).toEqual(snapshot);
  expect(await store.history(task, 0)).toEqual(records);
  expect(await store.verify(task)).toEqual([]);
};

describe("a checkpoint", () => {
  it(
    "spares reading the records before it, and everything is known all the same",
    { tags: ["s6.checkpoint"] },
    async () => {
      const root = await aLongRoot();
      const truth = await truthOf(root);
      const { store, read } = await aCountingStore(root);
      expect(await store.read(task)).toEqual(truth.snapshot);
      expect(await store.recordOf(task, "call-59")).toEqual(truth.records.at(-1));
      expect(read()).toBeLessThan(statSync(journal(root)).size / 4);
      expect(await store.commit(task, many, aChange({ task: long(many) }, "more"))).toMatchObject({ seq: many + 1 });
      expect(await store.history(task, many)).toMatchObject([{ seq: many + 1, callId: "more" }]);
      expect(read()).toBeLessThan(statSync(journal(root)).size / 2);
      expect((await store.history(task, 0)).slice(0, many)).toEqual(truth.records);
      await same(store, await truthOf(root));
    },
  );

  it("is kept while the store is open, too, and by one that begins at another", async () => {
    const root = await aLongRoot({ closes: false });
    const first = readFileSync(checkpoint(root), "utf8");
    expect(first).not.toContain("spec");
    const store = await aFileStore(root);
    for (let rev = many; rev < 2 * many; rev += 1) await commitNow(store, task, { task: long(rev) });
    await store.close();
    expect(readFileSync(checkpoint(root), "utf8")).not.toBe(first);
    await same((await aCountingStore(root)).store, await truthOf(root));
  });

  it("hands on where calls stand that nobody asked for in between", async () => {
    const root = await aLongRoot();
    const first = readFileSync(checkpoint(root), "utf8");
    const between = await aFileStore(root);
    await commitNow(between, task, { task: long(many) }, "between");
    await commitNow(between, task, { task: long(many + 1) }, "call-58");
    await between.close();
    expect(readFileSync(checkpoint(root), "utf8")).not.toBe(first);
    const { store, read } = await aCountingStore(root);
    const seqOf = async (callId: string) => (await store.recordOf(task, callId))?.seq;
    expect([await seqOf("call-59"), await seqOf("between")]).toEqual([many, many + 1]);
    expect(await seqOf("call-58")).toBe(many + 2);
    expect(read()).toBeLessThan(statSync(journal(root)).size / 4);
  });

  it("is followed by what others append", async () => {
    const root = await aLongRoot();
    const [one, other] = [await aFileStore(root), await aFileStore(root)];
    await one.read(task);
    await commitNow(other, task, { task: taskText({ rev: 99 }) });
    await same(one, await truthOf(root));
    await same(other, await truthOf(root));
  });

  it("is followed by a loser whose parent stands before it, which is no damage", async () => {
    const root = await aLongRoot();
    const { records } = await truthOf(root);
    const parent = records[5] as JournalRecord;
    const { line } = formatRecord(aChange({ task: taskText({ rev: 7 }) }), "late", parent.seq + 1, parent.sum);
    writeFileSync(journal(root), `${line}\n`, { flag: "a" });
    const truth = await truthOf(root);
    expect(truth.snapshot?.seq).toBe(many);
    await same(await aFileStore(root), truth);
  });

  it("is not believed when it does not prove itself", { timeout: 60_000 }, async () => {
    const root = await aLongRoot();
    const truth = await truthOf(root);
    const bytes = readFileSync(checkpoint(root));
    const put = async (wrong: Uint8Array | string) => {
      writeFileSync(checkpoint(root), wrong);
      const store = await aFileStore(root);
      expect(await store.read(task)).toEqual(truth.snapshot);
      await store.close();
    };
    for (const length of [0, 1, bytes.length / 2, bytes.length - 1]) await put(bytes.subarray(0, length));
    for (let at = 0; at < bytes.length; at += 97) {
      const flipped = Buffer.from(bytes);
      flipped[at] = (flipped[at] ?? 0) ^ 1;
      await put(flipped);
    }
    for (const wrong of ["null", "{}", "[]", "\u0000"]) await put(wrong);
    rmSync(checkpoint(root));
    writeFileSync(join(root, "elsewhere"), bytes);
    symlinkSync(join(root, "elsewhere"), checkpoint(root));
    await same(await aFileStore(root), truth);
  });

  it("is of no use to an older journal that was put back, or to another one", async () => {
    const root = await aLongRoot();
    const lines = readFileSync(journal(root), "utf8").split("\n");
    writeFileSync(journal(root), `${lines.slice(0, 20).join("\n")}\n`);
    const store = await aFileStore(root);
    expect((await store.read(task))?.seq).toBe(20);
    await store.close();
    const other = await aLongRoot();
    cpSync(checkpoint(other), checkpoint(root));
    expect((await (await aFileStore(root)).read(task))?.seq).toBe(20);
  });

  it("hides no damage from verify, which reads everything", { tags: ["s6.verify"] }, async () => {
    const root = await aLongRoot();
    const bytes = readFileSync(journal(root));
    const at = bytes.indexOf("\n") + 40;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    writeFileSync(journal(root), bytes);
    const store = await aFileStore(root);
    expect((await store.read(task))?.seq).toBe(many);
    expect(await store.verify(task)).toMatchObject([
      { name: "journal.jsonl", what: expect.stringContaining("line 2") as unknown },
    ]);
    await expect(store.history(task, 0)).rejects.toMatchObject({ code: "journal-damaged" });
  });

  it("is not made of a short journal", async () => {
    const root = aRoot();
    const store = await aFileStore(root);
    await commitNow(store, project, { project: projectText() });
    await commitNow(store, task, { task: taskText() });
    await store.close();
    expect(existsSync(checkpoint(root))).toBe(false);
  });
});

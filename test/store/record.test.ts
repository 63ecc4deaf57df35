/** A commit as it stands in the file: the record's line, byte for byte, and the calls of the disk that make it one. */
import { createHash } from "node:crypto";
import fs, { closeSync, openSync, readFileSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { openRoot } from "../../src/host/roots.ts";
import { nodeDisk } from "../../src/store/disk.ts";
import { formatRecord } from "../../src/store/journal.ts";
import {
  aChange,
  aFileStore,
  aRoot,
  aRootWithTask,
  commitNow,
  pathOf,
  projectText,
  readText,
  stepText,
  task,
  taskText,
  watchedDisk,
  writeText,
} from "./support.ts";

const linesOf = (root: string) => readText(root, task, "journal.jsonl").split("\n").slice(0, -1);
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

describe("a record", () => {
  it("is one line with these fields in this order", { tags: ["s6.record-fields"] }, async () => {
    const root = await aRootWithTask();
    const store = await aFileStore(root);
    await commitNow(store, task, { task: taskText({ rev: 3, title: "one\ntwo" }) }, "call-3");
    const lines = linesOf(root);
    expect(lines).toHaveLength(3);
    expect(Object.keys(JSON.parse(lines[2] ?? "") as object)).toEqual([
      "id",
      "seq",
      "prev",
      "at",
      "actor",
      "tool",
      "callId",
      "event",
      "docs",
      "sum",
    ]);
    const { id: _id, prev: _prev, sum: _sum, ...rest } = JSON.parse(lines[2] ?? "") as Record<string, unknown>;
    const change = aChange({ task: taskText({ rev: 3, title: "one\ntwo" }) }, "call-3");
    expect(rest).toEqual({
      seq: 3,
      at: change.at,
      actor: { kind: "driver" },
      tool: "test",
      callId: "call-3",
      event: change.event,
      docs: change.documents,
    });
  });

  it(
    "names its parent's sum, and its own is the hash of its line before it",
    { tags: ["s6.record-chain"] },
    async () => {
      const root = await aRootWithTask();
      await commitNow(await aFileStore(root), task, { task: taskText({ rev: 3, title: 'ünï 🚲 ,"sum":"' }) });
      let parent = "";
      for (const line of linesOf(root)) {
        const { prev, sum } = JSON.parse(line) as { readonly prev: string; readonly sum: string };
        const end = `,"sum":"${sum}"}`;
        expect(line.endsWith(end)).toBe(true);
        expect([prev, sum]).toEqual([parent, sha256(line.slice(0, -end.length))]);
        parent = sum;
      }
    },
  );

  it(
    "holds the whole text of each changed document, and null for one that is gone",
    { tags: ["s6.record-docs"] },
    async () => {
      const root = await aRootWithTask();
      const store = await aFileStore(root);
      await commitNow(store, task, { "steps/step-01": null, "steps/step-02": stepText("step-02") });
      const docs = linesOf(root).map((line) => (JSON.parse(line) as { readonly docs: unknown }).docs);
      expect(docs).toEqual([
        { task: taskText(), "steps/step-01": stepText("step-01") },
        { task: readText(root, task, "task.json") },
        { "steps/step-01": null, "steps/step-02": readText(root, task, "steps/step-02.json") },
      ]);
    },
  );

  it(
    "is another line than that of a writer who makes the same change at the same moment",
    { tags: ["s6.record-id"] },
    async () => {
      const change = aChange({ task: taskText() });
      const parent = [1, ""] as const;
      expect(formatRecord(change, "one", ...parent).line).not.toBe(formatRecord(change, "two", ...parent).line);
      const root = aRoot();
      const { store } = await openRoot(root, () => undefined);
      const ids = new Set<string>();
      for (let count = 0; count < 20; count += 1) {
        const stream = { projectId: `p-${count}` };
        const event = {
          type: "ProjectCreated",
          v: 1,
          at: change.at,
          projectId: "p",
          name: "P",
          spec: "s",
          repo: "/r",
        } as const;
        await store.commit(stream, 0, {
          ...change,
          event,
          documents: { project: projectText({ id: stream.projectId }) },
        });
        const [record] = await store.history(stream, 0);
        expect(record?.id).toMatch(/^[0-9a-f]{24}$/);
        ids.add(record?.id ?? "");
      }
      expect(ids.size).toBe(20);
      await store.close();
    },
  );

  it("can be read again with who did what, when, by which tool and call", { tags: ["s6.history"] }, async () => {
    const root = await aRootWithTask();
    const store = await aFileStore(root);
    const actor = { kind: "person", agentId: "main", session: "0123456789abcdef" } as const;
    await store.commit(task, 2, { ...aChange({ task: taskText({ rev: 3 }) }, "mine"), actor, tool: "set_task_status" });
    const records = await (await aFileStore(root)).history(task, 0);
    expect(records.map(({ seq }) => seq)).toEqual([1, 2, 3]);
    expect(records[2]).toMatchObject({ actor, tool: "set_task_status", callId: "mine", event: { type: "TaskPaused" } });
    expect(records).toEqual(linesOf(root).map((line): unknown => JSON.parse(line)));
  });
});

describe("a commit", () => {
  /** Every call of the disk for one commit of two documents on an open stream, by what it is for. */
  async function callsOfOneCommit() {
    const root = await aRootWithTask();
    const calls: string[] = [];
    const disk = watchedDisk(({ name, path }, proceed) => {
      const of = path.endsWith("journal.jsonl")
        ? "journal"
        : path.endsWith(".pulse.json")
          ? "pulse"
          : path.endsWith(".json")
            ? "document"
            : path.endsWith(".md")
              ? "page"
              : "other";
      calls.push(`${name} ${of}`);
      return proceed();
    });
    const store = await aFileStore(root, { disk });
    await commitNow(store, task, { task: taskText({ rev: 3 }) });
    await store.read(task);
    calls.length = 0;
    const change = aChange({
      task: taskText({ rev: 4, title: "New" }),
      "steps/step-01": stepText("step-01", { rev: 2 }),
    });
    expect(await store.commit(task, 3, change)).toMatchObject({ kind: "committed", warnings: [] });
    return calls;
  }

  it("does these things in this order", { tags: ["s6.commit-order"] }, async () => {
    const calls = await callsOfOneCommit();
    const steps = calls.filter(
      (call, at) => call !== calls[at - 1] && !/^(open|close|factsOfOpen|truncate) /.test(call),
    );
    const first = (call: string) => steps.indexOf(call);
    const last = (call: string) => steps.lastIndexOf(call);
    const order = [
      first("append journal"),
      first("readAt journal"),
      first("sync journal"),
      first("replaceFile document"),
      last("replaceFile document"),
      first("writeAt page"),
      last("writeAt page"),
      last("factsOf journal"),
    ];
    expect(order).not.toContain(-1);
    expect(order).toEqual(order.toSorted((one, other) => one - other));
    expect(steps.at(-1)).toBe("factsOf journal");
  });

  it(
    "appends once and syncs the journal once, and nothing else",
    { tags: ["s6.append-once", "s6.one-sync"] },
    async () => {
      const calls = await callsOfOneCommit();
      expect(calls.filter((call) => /^(append|sync|syncDirectory) /.test(call))).toEqual([
        "append journal",
        "sync journal",
        "append pulse",
      ]);
      expect(
        calls.filter((call) => call.endsWith(" journal") && /^(writeAt|truncate|replaceFile|rename)/.test(call)),
      ).toEqual([]);
    },
  );

  it("appends wherever the end is by then", { tags: ["s6.append-once"] }, () => {
    const path = join(aRoot(), "file");
    const [one, two] = [nodeDisk.open(path, "append"), nodeDisk.open(path, "append-existing")];
    for (const [descriptor, text] of [
      [one, "a"],
      [two, "b"],
      [one, "c"],
      [two, "d"],
    ] as const)
      expect(nodeDisk.append(descriptor, Buffer.from(text))).toBe(1);
    for (const descriptor of [one, two]) nodeDisk.close(descriptor);
    expect(readFileSync(path, "utf8")).toBe("abcd");
  });

  it("of a stream that is open opens its journal no second time", { tags: ["s6.one-descriptor"] }, async () => {
    const root = await aRootWithTask();
    let opened = 0;
    const disk = watchedDisk(({ name, path }, proceed, input) => {
      if (name === "open" && path === pathOf(root, task, "journal.jsonl") && input[1] !== "update") opened += 1;
      return proceed();
    });
    const store = await aFileStore(root, { disk });
    for (let rev = 3; rev < 8; rev += 1) {
      await commitNow(store, task, { task: taskText({ rev }) });
      await store.history(task, 0);
    }
    expect(opened).toBe(1);
  });

  it("never changes what stands in the journal", { tags: ["s6.never-truncated"] }, async () => {
    const root = await aRootWithTask();
    const store = await aFileStore(root);
    writeText(root, task, "journal.jsonl", `${readText(root, task, "journal.jsonl")}{"id":"torn`);
    for (let rev = 3; rev < 6; rev += 1) {
      const before = readFileSync(pathOf(root, task, "journal.jsonl"));
      const { ino } = statSync(pathOf(root, task, "journal.jsonl"));
      await commitNow(store, task, { task: taskText({ rev }) });
      expect(readFileSync(pathOf(root, task, "journal.jsonl")).subarray(0, before.length)).toEqual(before);
      expect(statSync(pathOf(root, task, "journal.jsonl")).ino).toBe(ino);
    }
  });

  it(
    "replaces a document in one rename without a sync, so that a reader has the old or the new one",
    { tags: ["s6.document-atomic"] },
    async () => {
      const root = await aRootWithTask();
      const store = await aFileStore(root);
      await store.read(task);
      const path = pathOf(root, task, "task.json");
      const [before, reader] = [readFileSync(path, "utf8"), openSync(path, "r")];
      const synced = vi.spyOn(fs, "fsyncSync");
      await commitNow(store, task, { task: taskText({ rev: 3, title: "New" }) });
      expect(synced).not.toHaveBeenCalled();
      synced.mockRestore();
      const bytes = Buffer.alloc(10_000);
      expect(bytes.subarray(0, readSync(reader, bytes, 0, bytes.length, 0)).toString()).toBe(before);
      closeSync(reader);
      expect(readFileSync(path, "utf8")).toBe(taskText({ rev: 3, title: "New" }));
    },
  );

  it("writes a page in place", { tags: ["s6.page-in-place"] }, async () => {
    const root = await aRootWithTask();
    const store = await aFileStore(root);
    await store.read(task);
    const page = () => ({ ino: statSync(pathOf(root, task, "task.md")).ino, text: readText(root, task, "task.md") });
    const before = page();
    await commitNow(store, task, { task: taskText({ rev: 3, title: "S" }) });
    expect(page().ino).toBe(before.ino);
    expect(page().text).toContain("# S\n");
    expect(page().text).not.toBe(before.text);
  });
});

/** A disk that is full, slow or failing: what the answer says is what is true, and the next call goes on. */
import { describe, expect, it } from "vitest";
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { OrchestratorError } from "../../src/errors.ts";
import { nodeDisk, type Disk } from "../../src/store/disk.ts";
import { createFileStore } from "../../src/store/file-store.ts";
import type { Store } from "../../src/store/store.ts";
import {
  aChange,
  aFileStore,
  aRoot,
  aRootWithTask,
  commitNow,
  differences,
  otherTask,
  pathOf,
  project,
  projectText,
  readText,
  recordsIn,
  renderPages,
  stepText,
  systemError,
  task,
  taskText,
  watchedDisk,
  writeText,
  type Behaviour,
} from "./support.ts";

/** A store over a root with a task, on a disk whose behaviour the test may change at any time. */
async function setup() {
  const root = await aRootWithTask();
  const faults: { behave: Behaviour | undefined } = { behave: undefined };
  const disk = watchedDisk((call, proceed, input) =>
    faults.behave === undefined ? proceed() : faults.behave(call, proceed, input),
  );
  const warnings: string[] = [];
  const store = await aFileStore(root, { disk, warn: (message) => warnings.push(message) });
  return { root, store, faults, warnings };
}

const newText = taskText({ rev: 3, title: "New" });
const isJournal = (path: string) => path.endsWith("journal.jsonl");

describe("an append", () => {
  it("that the disk refuses did not happen, and the next one works", { tags: ["s6.short-write"] }, async () => {
    const { root, store, faults } = await setup();
    const before = readText(root, task, "journal.jsonl");
    faults.behave = ({ name }, proceed) => {
      if (name === "append") throw systemError("ENOSPC");
      return proceed();
    };
    const refusal = store.commit(task, 2, aChange({ task: newText }));
    await expect(refusal).rejects.toMatchObject({
      code: "not-committed",
      message: expect.stringContaining("ENOSPC") as unknown,
    });
    await expect(refusal).rejects.not.toMatchObject({ message: expect.stringContaining("secret") as unknown });
    expect(readText(root, task, "journal.jsonl")).toBe(before);
    faults.behave = undefined;
    expect((await store.read(task))?.seq).toBe(2);
    expect(await store.commit(task, 2, aChange({ task: newText }))).toMatchObject({ kind: "committed", seq: 3 });
  });

  it.each([1, 10, 100, -2, -1])(
    "that was cut short (%i bytes) is void, closed and done anew",
    { tags: ["s6.short-write", "s6.torn-tail"] },
    async (length) => {
      const { root, store, faults } = await setup();
      let cut = 0;
      faults.behave = ({ name, path }, proceed, input) => {
        const bytes = input[1];
        if (name !== "append" || cut > 0 || !(bytes instanceof Uint8Array)) return proceed();
        cut = length < 0 ? bytes.length + length : length;
        writeFileSync(path, bytes.subarray(0, cut), { flag: "a" });
        return cut;
      };
      expect(await store.commit(task, 2, aChange({ task: newText }))).toMatchObject({ kind: "committed", seq: 3 });
      expect(cut).toBeGreaterThan(0);
      const bytes = readFileSync(pathOf(root, task, "journal.jsonl"));
      expect(recordsIn(task, bytes).map(({ seq }) => seq)).toEqual([1, 2, 3]);
      expect(bytes.toString()).toMatch(/ \n\{"id":[^\n]+\n$/);
    },
  );

  it(
    "that is cut short and then refused, for a full disk, never comes alive",
    { tags: ["s6.short-write", "s6.torn-tail"] },
    async () => {
      const { root, store, faults } = await setup();
      faults.behave = ({ name, path }, proceed, input) => {
        const bytes = input[1];
        if (name !== "append" || !(bytes instanceof Uint8Array)) return proceed();
        // All but the newline: a plain newline behind it would complete it.
        writeFileSync(path, bytes.subarray(0, -1), { flag: "a" });
        throw systemError("ENOSPC");
      };
      await expect(store.commit(task, 2, aChange({ task: newText }))).rejects.toMatchObject({ code: "not-committed" });
      faults.behave = undefined;
      expect(await store.commit(task, 2, aChange({ task: taskText({ rev: 3, title: "Other" }) }))).toMatchObject({
        kind: "committed",
        seq: 3,
      });
      const reopened = await aFileStore(root);
      expect((await reopened.read(task))?.documents["task"]).toBe(taskText({ rev: 3, title: "Other" }));
    },
  );

  it("that always meets a torn tail gives up, in bounds", async () => {
    const { store, faults } = await setup();
    let tries = 0;
    faults.behave = ({ name, path }, proceed) => {
      if (name !== "append") return proceed();
      tries += 1;
      writeFileSync(path, "torn", { flag: "a" });
      return 4;
    };
    await expect(store.commit(task, 2, aChange({ task: newText }))).rejects.toMatchObject({ code: "not-committed" });
    expect(tries).toBe(10);
  });

  it("into a folder that cannot be made did not happen", async () => {
    const { store, faults } = await setup();
    faults.behave = ({ name }, proceed) => {
      if (name === "makeDirectory") throw systemError("EACCES");
      return proceed();
    };
    await expect(store.commit(otherTask, 0, aChange({ task: "{}" }))).rejects.toMatchObject({ code: "not-committed" });
    faults.behave = undefined;
    expect(await store.read(otherTask)).toBeUndefined();
    expect(await store.list()).toEqual([project, task]);
  });

  it(
    "after which the journal cannot be read leaves the outcome unknown, and the next call finds out",
    { tags: ["s6.outcome-unknown"] },
    async () => {
      const { store, faults } = await setup();
      let appended = false;
      faults.behave = ({ name, path }, proceed) => {
        if (name === "append") appended = true;
        if (appended && name === "readAt" && isJournal(path)) throw systemError("EIO");
        return proceed();
      };
      await expect(store.commit(task, 2, aChange({ task: newText }, "lost-call"))).rejects.toMatchObject({
        code: "outcome-unknown",
      });
      faults.behave = undefined;
      expect((await store.history(task, 2)).map(({ callId }) => callId)).toEqual(["lost-call"]);
      expect(await store.commit(task, 3, aChange({ task: taskText({ rev: 4 }) }))).toMatchObject({
        kind: "committed",
        seq: 4,
      });
    },
  );
});

describe("a sync", () => {
  /** Fails the syncs of the journal whose number is in the list, and tells what was written again. */
  function failingSync(numbers: readonly number[] | "all") {
    let count = 0;
    const rewritten: { offset: unknown; bytes: string }[] = [];
    const behave: Behaviour = ({ name, path }, proceed, input) => {
      if (name === "writeAt" && isJournal(path))
        rewritten.push({ offset: input[2], bytes: Buffer.from(input[1] as Uint8Array).toString() });
      if (name !== "sync") return proceed();
      count += 1;
      return numbers === "all" || numbers.includes(count) ? Promise.reject(systemError("EIO")) : proceed();
    };
    return { behave, rewritten, syncs: () => count };
  }

  it("happens once for a commit, and nothing is written twice", { tags: ["s6.one-sync"] }, async () => {
    const { store, faults } = await setup();
    await commitNow(store, task, { task: newText });
    const { behave, rewritten, syncs } = failingSync([]);
    faults.behave = behave;
    await commitNow(store, task, { task: taskText({ rev: 4 }) });
    expect([syncs(), rewritten]).toEqual([1, []]);
  });

  it("happens once for a new stream's first record, too: there is nothing that an earlier one may have missed", async () => {
    const { store, faults } = await setup();
    const { behave, rewritten, syncs } = failingSync([]);
    faults.behave = behave;
    await commitNow(store, otherTask, { task: taskText({}, otherTask) });
    expect([syncs(), rewritten]).toEqual([1, []]);
  });

  it("of a new stream's first record that fails once is done again only after the same bytes were written", async () => {
    const { root, store, faults } = await setup();
    const { behave, rewritten, syncs } = failingSync([1]);
    faults.behave = behave;
    await commitNow(store, otherTask, { task: taskText({}, otherTask) });
    expect(syncs()).toBe(2);
    expect(rewritten).toEqual([{ offset: 0, bytes: readText(root, otherTask, "journal.jsonl") }]);
  });

  it(
    "that fails once is done again only after the same bytes were written at the same place",
    { tags: ["s6.sync-again"] },
    async () => {
      const { root, store, faults } = await setup();
      await commitNow(store, task, { task: newText });
      const offset = statSync(pathOf(root, task, "journal.jsonl")).size;
      const { behave, rewritten, syncs } = failingSync([1]);
      faults.behave = behave;
      expect(await store.commit(task, 3, aChange({ task: taskText({ rev: 4 }) }))).toMatchObject({
        kind: "committed",
        seq: 4,
      });
      expect(syncs()).toBe(2);
      expect(rewritten).toEqual([{ offset, bytes: readText(root, task, "journal.jsonl").slice(offset) }]);
    },
  );

  it(
    "that fails twice leaves the outcome unknown; nothing is accepted until the tail was made durable",
    { tags: ["s6.outcome-unknown"] },
    async () => {
      const { root, store, faults, warnings } = await setup();
      faults.behave = failingSync("all").behave;
      await expect(store.commit(task, 2, aChange({ task: newText }, "doubtful"))).rejects.toMatchObject({
        code: "outcome-unknown",
      });
      await expect(store.commit(task, 3, aChange({ task: newText }))).rejects.toMatchObject({
        code: "outcome-unknown",
      });
      expect((await store.read(task))?.warnings.join()).toContain("may not be durable");
      expect(warnings.join()).toContain("it may or may not be there");
      expect(recordsIn(task, readFileSync(pathOf(root, task, "journal.jsonl"))).map(({ callId }) => callId)).toEqual([
        "call",
        "call",
        "doubtful",
      ]);
      const { behave, rewritten } = failingSync([]);
      faults.behave = behave;
      expect(await store.commit(task, 3, aChange({ task: taskText({ rev: 4 }) }))).toMatchObject({
        kind: "committed",
        seq: 4,
      });
      expect(rewritten[0]?.bytes).toContain("doubtful");
      expect((await store.read(task))?.warnings).toEqual([]);
      expect(differences(root, task)).toEqual([]);
    },
  );

  it(
    "that failed twice is never tried again, also by a reading, before the same bytes were written at the same place",
    { tags: ["s6.sync-again", "s6.outcome-unknown"] },
    async () => {
      const { store, faults } = await setup();
      await commitNow(store, task, { task: newText });
      const order: string[] = [];
      let fails = true;
      faults.behave = ({ name, path }, proceed, input) => {
        if (name === "writeAt" && isJournal(path))
          order.push(`rewrite ${Buffer.from(input[1] as Uint8Array).includes('"callId":"doubtful"')}`);
        if (name !== "sync") return proceed();
        order.push("sync");
        return fails ? Promise.reject(systemError("EIO")) : proceed();
      };
      await expect(store.commit(task, 3, aChange({ task: taskText({ rev: 4 }) }, "doubtful"))).rejects.toMatchObject({
        code: "outcome-unknown",
      });
      expect(order).toEqual(["sync", "rewrite true", "sync"]);
      order.length = 0;
      expect((await store.read(task))?.doubt).toContain("may not be durable");
      expect(order.slice(0, 2)).toEqual(["rewrite true", "sync"]);
      order.length = 0;
      fails = false;
      expect(await store.read(task)).not.toHaveProperty("doubt");
      expect(order).toEqual(["rewrite true", "sync"]);
    },
  );

  it("that failed twice for a long record is made good for the whole of it", { tags: ["s6.sync-again"] }, async () => {
    const { root, store, faults } = await setup();
    const journal = pathOf(root, task, "journal.jsonl");
    const start = statSync(journal).size;
    const long = taskText({ rev: 3, title: "x".repeat(3 * 1024 * 1024) });
    faults.behave = failingSync("all").behave;
    await expect(store.commit(task, 2, aChange({ task: long }))).rejects.toMatchObject({ code: "outcome-unknown" });
    for (const again of [await aFileStore(root, { disk: watchedDisk((...call) => faults.behave?.(...call)) }), store]) {
      const left = readFileSync(journal);
      const { behave, rewritten } = failingSync([]);
      faults.behave = behave;
      expect(await again.commit(task, 3, aChange({ task: newText }))).toMatchObject({ kind: "committed" });
      expect(Number(rewritten[0]?.offset)).toBeLessThanOrEqual(start);
      writeFileSync(journal, left);
    }
  });

  it("that failed twice is made good also when others appended behind it", { tags: ["s6.sync-again"] }, async () => {
    const { root, store, faults } = await setup();
    await commitNow(store, task, { task: newText });
    const start = statSync(pathOf(root, task, "journal.jsonl")).size;
    faults.behave = failingSync("all").behave;
    const long = taskText({ rev: 4, title: "x".repeat(3 * 1024 * 1024) });
    await expect(store.commit(task, 3, aChange({ task: long }))).rejects.toMatchObject({ code: "outcome-unknown" });
    await commitNow(await aFileStore(root), task, { task: taskText({ rev: 5 }) });
    const { behave, rewritten } = failingSync([]);
    faults.behave = behave;
    await commitNow(store, task, { task: taskText({ rev: 6 }) });
    expect(rewritten[0]?.offset).toBe(start);
  });

  it("that failed in an earlier process is made good before the first change of the next", async () => {
    const { root, store, faults } = await setup();
    faults.behave = failingSync("all").behave;
    await expect(store.commit(task, 2, aChange({ task: newText }, "doubtful"))).rejects.toMatchObject({
      code: "outcome-unknown",
    });
    const { behave, rewritten } = failingSync([]);
    const reopened = await aFileStore(root, { disk: watchedDisk(behave) });
    await commitNow(reopened, task, { task: taskText({ rev: 4 }) });
    expect(rewritten[0]?.bytes).toContain("doubtful");
  });

  it("of a new stream covers its folders", { tags: ["s6.directory-sync"] }, async () => {
    const { root, store, faults } = await setup();
    const order: string[] = [];
    faults.behave = ({ name, path }, proceed) => {
      if (/^(syncDirectory|append|sync|replaceFile)$/.test(name) && !path.endsWith(".pulse.json"))
        order.push(`${name} ${path.slice(root.length)}`);
      return proceed();
    };
    await commitNow(store, otherTask, { task: taskText({}, otherTask) });
    const folder = "/projects/shop/tasks/search-5e6f7a8b";
    expect(order).toEqual([
      `append ${folder}/journal.jsonl`,
      `sync ${folder}/journal.jsonl`,
      `syncDirectory ${folder}`,
      "syncDirectory /projects/shop/tasks",
      "syncDirectory /projects/shop",
      `replaceFile ${folder}/task.json`,
    ]);
    order.length = 0;
    await commitNow(store, otherTask, { task: taskText({ rev: 2 }, otherTask) });
    expect(order.map((call) => call.split(" ")[0])).toEqual(["append", "sync", "replaceFile"]);
    order.length = 0;
    // That there is a folder of tasks is known to be durable by now.
    const third = { projectId: "shop", taskId: "pay-9a0b1c2d" };
    await commitNow(store, third, { task: taskText({}, third) });
    expect(order.filter((call) => call.startsWith("syncDirectory"))).toEqual([
      "syncDirectory /projects/shop/tasks/pay-9a0b1c2d",
      "syncDirectory /projects/shop/tasks",
    ]);
  });
});

describe("a journal that may only be read", () => {
  it.each(["EACCES", "EPERM", "EROFS"])(
    "(%s) is read, refuses changes, and takes them once it may be written",
    async (code) => {
      const root = await aRootWithTask();
      let isReadOnly = true;
      const disk = watchedDisk(({ name, path }, proceed, [, mode]) => {
        const writes = name === "open" && path.endsWith("login-1a2b3c4d/journal.jsonl") && mode !== "read";
        if (isReadOnly && writes) throw systemError(code);
        return proceed();
      });
      const store = await aFileStore(root, { disk });
      const refusal = { code: "not-committed", message: expect.stringContaining(`(${code})`) as unknown };
      for (const seq of [2, 2]) {
        expect((await store.read(task))?.seq).toBe(seq);
        await expect(store.commit(task, seq, aChange({ task: newText }))).rejects.toMatchObject(refusal);
      }
      isReadOnly = false;
      expect(await store.commit(task, 2, aChange({ task: newText }))).toMatchObject({
        kind: "committed",
        seq: 3,
        warnings: [],
      });
      expect(await store.commit(task, 3, aChange({ task: taskText({ rev: 4 }) }))).toMatchObject({
        kind: "committed",
        seq: 4,
      });
      expect((await (await aFileStore(root)).read(task))?.documents["task"]).toBe(taskText({ rev: 4 }));
    },
  );

  it("and was replaced by another one when it may be written takes the change on what stands there now", async () => {
    const root = await aRootWithTask();
    let isReadOnly = true;
    const path = pathOf(root, task, "journal.jsonl");
    const disk = watchedDisk(({ name, path: of }, proceed, [, mode]) => {
      if (name !== "open" || of !== path || mode === "read") return proceed();
      if (isReadOnly) throw systemError("EACCES");
      // Right before it is opened: what was read by then is another file's.
      const text = readFileSync(path);
      rmSync(path);
      writeFileSync(path, text);
      isReadOnly = true;
      return proceed();
    });
    const store = await aFileStore(root, { disk });
    expect((await store.read(task))?.seq).toBe(2);
    isReadOnly = false;
    await expect(store.commit(task, 2, aChange({ task: newText }))).rejects.toMatchObject({ code: "not-committed" });
    const fresh = await aFileStore(root);
    expect((await fresh.read(task))?.seq).toBe(2);
    expect(await fresh.commit(task, 2, aChange({ task: newText }))).toMatchObject({ kind: "committed", seq: 3 });
    expect((await store.read(task))?.seq).toBe(3);
  });
});

describe("a journal that cannot be read", () => {
  it.each([
    ["factsOf", "EACCES"],
    ["readFile", "EMFILE"],
    ["readFile", "EIO"],
    ["realPath", "EACCES"],
  ] as const)("(%s, %s) is not taken for a sidecar that is not there", async (call, code) => {
    const root = await aRootWithTask();
    const faults: { behave: Behaviour | undefined } = { behave: undefined };
    const disk = watchedDisk((...input) => (faults.behave ?? ((_call, proceed) => proceed()))(...input));
    const store = await aFileStore(root, { disk });
    await store.writeSidecar(task, "chats", { told: "a" });
    faults.behave = fails(call, code);
    await expect(store.readSidecar(task, "chats")).rejects.toMatchObject({
      code: "journal-unreadable",
      message: expect.stringContaining(code) as unknown,
    });
    faults.behave = fails("readFile", "ENOENT");
    expect(await store.readSidecar(task, "chats")).toBeUndefined();
    faults.behave = undefined;
    expect(await store.readSidecar(task, "chats")).toStrictEqual({ told: "a" });
  });

  const fails = (name: keyof Disk, code: string): Behaviour => {
    return (call, proceed) => {
      if (call.name === name && call.path.includes("login-1a2b3c4d")) throw systemError(code);
      return proceed();
    };
  };

  it.each([
    ["open", "EACCES"],
    ["readAt", "EIO"],
    ["factsOf", "EACCES"],
    ["realPath", "EACCES"],
  ] as const)(
    "(%s, %s) is not taken for a damaged one, takes no change, and hides no other",
    { tags: ["s6.unreadable"] },
    async (call, code) => {
      const root = await aRootWithTask();
      const faults: { behave: Behaviour | undefined } = { behave: fails(call, code) };
      const disk = watchedDisk((...input) => (faults.behave ?? ((_call, proceed) => proceed()))(...input));
      const store = await aFileStore(root, { disk });
      const unreadable = {
        code: "journal-unreadable",
        message: expect.stringMatching(`^projects/shop/tasks/login-1a2b3c4d.*${code}`) as unknown,
      };
      await expect(store.read(task)).rejects.toMatchObject(unreadable);
      await expect(store.commit(task, 2, aChange({ task: newText }))).rejects.toMatchObject(unreadable);
      expect(await store.list()).toEqual([project, task]);
      expect((await store.read(project))?.seq).toBe(1);
      expect(await store.tasks("shop")).toMatchObject([{ stream: task, failure: { code: "journal-unreadable" } }]);
      faults.behave = undefined;
      expect((await store.read(task))?.seq).toBe(2);
    },
  );

  it(
    "because its project's folder cannot be listed leaves the other projects",
    { tags: ["s6.unreadable"] },
    async () => {
      const root = await aRootWithTask();
      const warnings: string[] = [];
      const disk = watchedDisk(({ name, path }, proceed) => {
        if (name === "namesIn" && path.endsWith("shop/tasks")) throw systemError("EACCES");
        return proceed();
      });
      const store = await aFileStore(root, { disk, warn: (message) => warnings.push(message) });
      expect(await store.list()).toEqual([project]);
      expect(warnings).toEqual(["projects/shop/tasks could not be listed (EACCES)."]);
      // Who must know of all asks for all or nothing.
      await expect(store.list({ whole: true })).rejects.toMatchObject({
        code: "journal-unreadable",
        message: "projects/shop/tasks could not be listed (EACCES).",
      });
    },
  );
});

describe("a document or page that cannot be written", () => {
  it.each([
    [
      "refused",
      "replaceFile",
      () => {
        throw systemError("ENOSPC");
      },
    ],
    [
      "published cut short without an error",
      "replaceFile",
      (input: readonly unknown[]) => writeFileSync(String(input[0]), "{"),
    ],
    [
      "refused as a page",
      "writeAt",
      () => {
        throw systemError("ENOSPC");
      },
    ],
    ["cut short as a page", "writeAt", () => 3],
  ] as const)(
    "(%s) is a warning on a committed change and is written with the next reading",
    { tags: ["s6.document-late"] },
    async (_name, call, fault) => {
      const { root, store, faults, warnings } = await setup();
      faults.behave = ({ name, path }, proceed, input) =>
        name === call && !isJournal(path) ? fault(input) : proceed();
      const answer = await store.commit(task, 2, aChange({ task: newText }));
      expect(answer).toMatchObject({ kind: "committed", seq: 3 });
      expect(answer.kind === "committed" && answer.warnings.join()).toMatch(
        /^projects\/shop\/tasks\/login-1a2b3c4d\/task\.(json|md) could not be written yet/,
      );
      expect(warnings.join()).not.toContain("secret");
      expect(differences(root, task)).toEqual(["task"]);
      faults.behave = undefined;
      await store.read(task);
      expect(differences(root, task)).toEqual([]);
    },
  );

  it("is written once more when it does not read back as written", { tags: ["s6.document-after-write"] }, async () => {
    const { root, store, faults } = await setup();
    let times = 0;
    faults.behave = ({ name }, proceed, input) => {
      if (name !== "replaceFile" || (times += 1) > 1) return proceed();
      return writeFileSync(String(input[0]), "");
    };
    expect(await commitNow(store, task, { task: newText })).toEqual([]);
    expect([times, differences(root, task)]).toEqual([2, []]);
  });

  it("because rendering failed does not fail the change", async () => {
    const root = await aRootWithTask();
    let fails = true;
    const store = await aFileStore(root, {
      renderPages: (input) => {
        if (fails) throw new Error("no such field");
        return renderPages(input);
      },
    });
    const answer = await store.commit(task, 2, aChange({ task: newText }));
    expect(answer).toMatchObject({
      kind: "committed",
      warnings: [expect.stringContaining("could not be rendered (no such field)")] as unknown,
    });
    fails = false;
    await store.read(task);
    expect(differences(root, task)).toEqual([]);
  });
});

describe("a rename that another process holds up", () => {
  /** Commits to a new task while the first so many renames fail. */
  async function commitWhileHeld(windows: boolean, times: number, code: string) {
    const root = await aRootWithTask();
    let tries = 0;
    let directories = 0;
    const disk = {
      ...watchedDisk(({ name }, proceed) => {
        if (name === "syncDirectory") directories += 1;
        if (name === "replaceFile" && (tries += 1) <= times) throw systemError(code);
        return proceed();
      }),
      windows,
    };
    const store = await aFileStore(root, { disk });
    const answer = await store.commit(otherTask, 0, aChange({ task: taskText({}, otherTask) }));
    if (answer.kind !== "committed") throw new Error(answer.kind);
    return { tries, directories, warnings: answer.warnings.join(), different: differences(root, otherTask) };
  }

  it.each(["EPERM", "EACCES", "EBUSY"])(
    "(%s) is tried again on Windows, where no directory is synced",
    { tags: ["s6.windows"] },
    async (code) => {
      expect(await commitWhileHeld(true, 3, code)).toEqual({ tries: 4, directories: 0, warnings: "", different: [] });
    },
  );

  it("for ever is given up in bounds, as a warning", { tags: ["s6.windows", "s6.document-late"] }, async () => {
    const { tries, warnings, different } = await commitWhileHeld(true, 100, "EBUSY");
    expect([tries, different]).toEqual([6, ["task"]]);
    expect(warnings).toContain("task.json could not be written yet (EBUSY)");
  });

  it("is no such thing elsewhere", { tags: ["s6.windows"] }, async () => {
    const { tries, directories, warnings } = await commitWhileHeld(false, 1, "EBUSY");
    expect([tries, directories]).toEqual([1, 3]);
    expect(warnings).toContain("could not be written yet");
  });
});

describe("opening", () => {
  it.each([
    [0x6969, "NFS"],
    [0x517b, "SMB"],
    [0xff534d42, "SMB"],
    [0xfe534d42, "SMB"],
    [0x01021997, "9p"],
    [0x00c36400, "Ceph"],
    [0x5346414f, "AFS"],
    [0x6b414653, "AFS"],
  ])("refuses a root on a network file system (%i, %s)", { tags: ["s6.network-file-system"] }, async (type, name) => {
    const disk = { ...nodeDisk, fileSystemType: () => type };
    const opening = createFileStore({
      root: `${aRoot()}/not/there/yet`,
      renderPages,
      now: () => new Date(),
      randomId: () => "x",
      disk,
    });
    await expect(opening).rejects.toMatchObject({
      code: "unsupported-file-system",
      message: `The root is on a network file system (${name}), which cannot append safely. Set root to a folder on a local disk.`,
    });
  });

  it(
    "asks the folder that is there, and the real disk answers for it",
    { tags: ["s6.network-file-system"] },
    async () => {
      const root = aRoot();
      const asked: string[] = [];
      const disk = { ...nodeDisk, fileSystemType: (path: string) => (asked.push(path), nodeDisk.fileSystemType(path)) };
      await aFileStore(join(root, "not", "there"), { disk });
      expect(asked).toEqual([root]);
      expect(nodeDisk.fileSystemType(root)).toBe(statfsSync(root).type);
    },
  );

  it.each(["projects", "projects/shop"])(
    "a project refuses a network file system that is mounted at %s, and is used once it is not there any more",
    { tags: ["s6.network-file-system"] },
    async (mount) => {
      const root = await aRootWithTask();
      let mounted = true;
      const asked: string[] = [];
      const fileSystemType = (path: string) => {
        asked.push(path);
        return mounted && path.startsWith(join(root, mount)) ? 0x6969 : 0xef53;
      };
      const store = await aFileStore(root, { disk: { ...nodeDisk, fileSystemType } });
      const refusal = {
        code: "unsupported-file-system",
        message:
          "projects/shop is on a network file system (NFS), which cannot append safely. Put the project's folder itself on a local disk.",
      };
      for (const stream of [project, task]) await expect(store.read(stream)).rejects.toMatchObject(refusal);
      await expect(store.commit(task, 2, aChange({ task: newText }))).rejects.toMatchObject(refusal);
      // Its neighbours are not disturbed.
      expect(await store.tasks("shop")).toMatchObject([{ stream: task, failure: { code: refusal.code } }]);
      mounted = false;
      expect((await store.read(task))?.seq).toBe(2);
      const before = asked.length;
      for (const stream of [project, task]) await store.read(stream);
      expect(asked.slice(before)).toEqual([]);
    },
  );

  it(
    "refuses to make a project where a network's file system is mounted at projects",
    { tags: ["s6.network-file-system"] },
    async () => {
      const root = aRoot();
      mkdirSync(join(root, "projects"));
      const fileSystemType = (path: string) => (path === join(root, "projects") ? 0x6969 : 0xef53);
      const store = await aFileStore(root, { disk: { ...nodeDisk, fileSystemType } });
      await expect(store.commit(project, 0, aChange({ project: projectText() }))).rejects.toMatchObject({
        code: "unsupported-file-system",
      });
      expect(await store.list()).toEqual([]);
    },
  );

  it("warns of a file system that may be a network's", async () => {
    const warnings: string[] = [];
    await aFileStore(aRoot(), {
      disk: { ...nodeDisk, fileSystemType: () => 0x65735546 },
      warn: (message) => warnings.push(message),
    });
    expect(warnings.join()).toContain("FUSE");
  });

  it.each([
    ["a change", (store: Store) => commitNow(store, task, { task: taskText({ rev: 3 }) })],
    ["a verification", (store: Store) => store.verify(task)],
  ])(
    "removes with %s what interrupted writes left, once it is older than a minute, and nothing else",
    async (_name, act) => {
      const root = await aRootWithTask();
      const now = new Date("2026-03-04T05:06:07.000Z");
      const old = new Date(now.getTime() - 61_000);
      for (const [file, time] of [
        ["task.json.123", old],
        ["task.json.123.456", old],
        [".gitignore.12.3", old],
        ["steps/step-01.json.9", old],
        [".owner.json.77", old],
        ["task.json.456", now],
        ["task.json.edited-1", old],
        ["notes.txt", old],
      ] as const) {
        writeText(root, task, file, "litter");
        utimesSync(pathOf(root, task, file), time, time);
      }
      await act(await aFileStore(root, { now: () => now }));
      expect(readdirSync(pathOf(root, task, "")).sort()).toEqual(
        ["journal.jsonl", "notes.txt", "steps", "task.json", "task.json.456", "task.json.edited-1", "task.md"].sort(),
      );
      expect(readdirSync(pathOf(root, task, "steps")).sort()).toEqual(["step-01.json", "step-01.md"]);
    },
  );

  it("removes what was too young for the first change with a later one", async () => {
    const root = await aRootWithTask();
    const clock = { time: Date.parse("2026-03-04T05:06:07.000Z") };
    writeText(root, task, "task.json.123", "litter");
    utimesSync(pathOf(root, task, "task.json.123"), new Date(clock.time), new Date(clock.time));
    const store = await aFileStore(root, { now: () => new Date(clock.time) });
    const isThere = () => readdirSync(pathOf(root, task, "")).includes("task.json.123");
    await commitNow(store, task, { task: taskText({ rev: 3 }) });
    expect(isThere()).toBe(true);
    clock.time += 61_000;
    await commitNow(store, task, { task: taskText({ rev: 4 }) });
    expect(isThere()).toBe(false);
  });

  it("makes a missing .gitignore also when it finds another journal in the project's place", async () => {
    const root = await aRootWithTask();
    const store = await aFileStore(root);
    await store.read(project);
    const [journal, copy] = ["journal.jsonl", "copy"].map((file) => pathOf(root, project, file));
    copyFileSync(journal ?? "", copy ?? "");
    renameSync(copy ?? "", journal ?? "");
    rmSync(pathOf(root, project, ".gitignore"));
    await store.read(project);
    expect(readText(root, project, ".gitignore")).toContain("/.trees/");
  });

  it("keeps few journals open, and reads an unchanged stream without opening anything", async () => {
    const root = aRoot();
    const open = new Set<unknown>();
    let most = 0;
    let touched: string[] = [];
    const disk = watchedDisk((call, proceed, input) => {
      const result = proceed();
      if (call.name === "open" && isJournal(call.path)) open.add(result);
      if (call.name === "close") open.delete(input[0]);
      most = Math.max(most, open.size);
      touched.push(call.name);
      return result;
    });
    const store = await aFileStore(root, { disk, openStreams: 3 });
    await commitNow(store, project, { project: projectText() });
    for (let index = 0; index < 8; index += 1) {
      const one = { projectId: "shop", taskId: `t-${index}` };
      await commitNow(store, one, { task: taskText({}, one), "steps/step-01": stepText("step-01") });
    }
    for (let index = 0; index < 8; index += 1)
      expect((await store.read({ projectId: "shop", taskId: `t-${index}` }))?.seq).toBe(1);
    expect(most).toBeLessThanOrEqual(5);
    await store.read({ projectId: "shop", taskId: "t-7" });
    touched = [];
    await store.read({ projectId: "shop", taskId: "t-7" });
    expect(touched).toEqual(["factsOf", "factsOf"]);
    await store.close();
    expect(open.size).toBe(0);
  });
});

describe("whatever call of the disk fails", () => {
  const known = ["not-committed", "outcome-unknown", "journal-unreadable"];
  type Work = (store: Store) => Promise<unknown>;
  const works: readonly (readonly [string, Work])[] = [
    ["list", (store) => store.list()],
    ["list whole", (store) => store.list({ whole: true })],
    ["read", (store) => store.read(task)],
    ["read of a project", (store) => store.read(project)],
    ["history", (store) => store.history(task, 0)],
    ["tasks", (store) => store.tasks("shop")],
    ["changed", (store) => store.changed()],
    ["verify", (store) => store.verify(task)],
    ["refreshPages", (store) => store.refreshPages(project)],
    ["readSidecar", (store) => store.readSidecar(task, "chats")],
    ["writeSidecar", (store) => store.writeSidecar(task, "chats", { a: 1 })],
    ["commit", (store) => store.commit(task, 2, aChange({ task: newText, "steps/step-02": stepText("step-02") }))],
    ["first commit", (store) => store.commit(otherTask, 0, aChange({ task: taskText({}, otherTask) }))],
  ];

  it.each(works)("%s answers, or says in a known code what failed", async (_name, work) => {
    let reached = true;
    for (let failing = 1; reached; failing += 1) {
      for (const isOn of [false, true]) {
        const { store, faults } = await setup();
        let calls = 0;
        faults.behave = (_call, proceed) => {
          calls += 1;
          if (calls === failing || (isOn && calls > failing)) throw systemError("EMFILE");
          return proceed();
        };
        const failure: unknown = await work(store).then(
          () => undefined,
          (error: unknown) => error,
        );
        reached = calls >= failing;
        if (failure === undefined) continue;
        expect(failure, `call ${failing}${isOn ? " and on" : ""}`).toBeInstanceOf(OrchestratorError);
        expect(known, `call ${failing}`).toContain((failure as OrchestratorError).code);
      }
    }
  });
});

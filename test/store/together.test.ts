/** Commits to one stream that wait for one another: written together, each decided on those before it, each answered for itself. */
import { copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { nodeDisk } from "../../src/store/disk.ts";
import { advance, createReading, formatRecord } from "../../src/store/journal.ts";
import { renderPages } from "./pages.ts";
import { createMemoryStore } from "../../src/store/memory-store.ts";
import type { Again, CommitAnswer, Snapshot, Store } from "../../src/store/store.ts";
import {
  aChange,
  aFileStore,
  aRootWithTask,
  commitNow,
  differences,
  pathOf,
  project,
  projectText,
  systemError,
  task,
  taskText,
  watchedDisk,
  type Behaviour,
} from "./support.ts";

const letters = ["a", "b", "c", "d", "e", "f", "g", "h"];
const titleIn = (documents: Snapshot["documents"]) =>
  (JSON.parse(documents["task"] ?? "{}") as { title?: string }).title ?? "";

/** Adds the letter to the title that is there, whatever it is by then. */
const adding = (letter: string) => (documents: Snapshot["documents"]) =>
  aChange({ task: taskText({ title: `${titleIn(documents)}${letter}` }) }, `call-${letter}`);

/** All letters at once, by writers that saw the same state. */
async function addAll(store: Store, again: (letter: string, sum: string) => Again | undefined = decidingAgain) {
  const seen = await store.read(task);
  if (seen === undefined) throw new Error("no task");
  return Promise.allSettled(
    letters.map((letter) => store.commit(task, seen.seq, adding(letter)(seen.documents), again(letter, seen.sum))),
  );
}
const decidingAgain = (letter: string, sum: string): Again => ({ sum, decide: adding(letter) });

const kindsOf = (answers: readonly PromiseSettledResult<CommitAnswer>[]) =>
  answers.map((one) => (one.status === "fulfilled" ? one.value.kind : (one.reason as { readonly code: string }).code));
const committed = letters.map(() => "committed");

async function setup(behave: Behaviour = (_call, proceed) => proceed()) {
  const root = await aRootWithTask();
  const store = await aFileStore(root, { disk: watchedDisk((call, proceed, input) => behave(call, proceed, input)) });
  const titleNow = async () => titleIn((await store.read(task))?.documents ?? {});
  return { root, store, titleNow };
}

const isJournal = (path: string) => path.endsWith("login-1a2b3c4d/journal.jsonl");

describe("changes that come at the same time", () => {
  it("all stand, each on top of the ones before, whatever the store keeps things in", async () => {
    const memory = createMemoryStore({ renderPages });
    await commitNow(memory, project, { project: projectText() });
    await commitNow(memory, task, { task: taskText() });
    for (const store of [memory, (await setup()).store]) {
      const { seq = 0 } = (await store.read(task)) ?? {};
      const answers = await addAll(store);
      expect(kindsOf(answers)).toEqual(committed);
      const seqs = answers.map((one) =>
        one.status === "fulfilled" && one.value.kind === "committed" ? one.value.seq : 0,
      );
      expect(seqs).toEqual(letters.map((_letter, at) => seq + 1 + at));
      expect(titleIn((await store.read(task))?.documents ?? {})).toBe("Loginabcdefgh");
      expect((await store.history(task, seq)).map(({ callId }) => callId)).toEqual(letters.map((one) => `call-${one}`));
    }
  });

  it("share one write and one sync, and one writing of the document", { tags: ["s6.one-sync"] }, async () => {
    const calls: string[] = [];
    const { root, store } = await setup(({ name, path }, proceed) => {
      if (/login-1a2b3c4d\/(?:journal\.jsonl|task\.json)$/.test(path)) calls.push(name);
      return proceed();
    });
    await store.read(task);
    calls.length = 0;
    await addAll(store);
    for (const name of ["append", "sync", "replaceFile"]) expect(calls.filter((one) => one === name)).toHaveLength(1);
    expect(differences(root, task)).toEqual([]);
  });

  it("are written together also when each of them looks at the stream before", { tags: ["s6.one-sync"] }, async () => {
    const calls: string[] = [];
    const { store, titleNow } = await setup(({ name, path }, proceed) => {
      if (isJournal(path)) calls.push(name);
      return proceed();
    });
    await store.read(task);
    calls.length = 0;
    const lookAndCommit = async (letter: string) => {
      const seen = await store.read(task);
      if (seen === undefined || (await store.recordOf(task, `call-${letter}`)) !== undefined) throw new Error("no");
      return store.commit(task, seen.seq, adding(letter)(seen.documents), decidingAgain(letter, seen.sum));
    };
    expect(kindsOf(await Promise.allSettled(letters.map(lookAndCommit)))).toEqual(committed);
    for (const name of ["append", "sync"]) expect(calls.filter((one) => one === name)).toHaveLength(1);
    expect(await titleNow()).toBe("Loginabcdefgh");
  });

  it("come to their end when the store is closed while they wait for one another", async () => {
    const { root, store } = await setup();
    const { seq = 0, documents = {} } = (await store.read(task)) ?? {};
    const before = new Promise((resolve) => void setImmediate(resolve));
    const waiting = store.commit(task, seq, adding("a")(documents));
    await before;
    await store.close();
    expect((await waiting).kind).toBe("committed");
    const again = await aFileStore(root);
    const { documents: later = {} } = (await again.read(task)) ?? {};
    expect(titleIn(later)).toBe("Logina");
    // Also when it was asked for in the same breath.
    const last = again.commit(task, seq + 1, adding("b")(later));
    await again.close();
    expect((await last).kind).toBe("committed");
  });

  it("are decided once each, when it is their turn", async () => {
    const memory = createMemoryStore({ renderPages });
    await commitNow(memory, project, { project: projectText() });
    await commitNow(memory, task, { task: taskText() });
    for (const store of [memory, (await setup()).store]) {
      const seen = await store.read(task);
      if (seen === undefined) throw new Error("no task");
      const decided: string[] = [];
      const deciding = (letter: string) => (documents: Snapshot["documents"]) => {
        decided.push(letter);
        return adding(letter)(documents);
      };
      const answers = await Promise.allSettled(
        letters.map((letter) =>
          store.commit(task, seen.seq, () => deciding(letter)(seen.documents), {
            sum: seen.sum,
            decide: deciding(letter),
          }),
        ),
      );
      expect(kindsOf(answers)).toEqual(committed);
      expect(decided).toEqual(letters);
    }
  });

  it("are conflicts for those who cannot decide again, and no others suffer from it", async () => {
    const { store, titleNow } = await setup();
    const answers = await addAll(store, (letter, sum) => {
      if (letter === "c") return undefined;
      if (letter === "e") return { sum, decide: () => undefined };
      if (letter !== "g") return decidingAgain(letter, sum);
      return {
        sum,
        decide: () => {
          throw Object.assign(new Error("no"), { code: "thrown" });
        },
      };
    });
    expect(kindsOf(answers)).toEqual([
      ...["committed", "committed", "conflict", "committed", "conflict", "committed", "thrown", "committed"],
    ]);
    expect(await titleNow()).toBe("Loginabdfh");
  });

  it("are decided on nothing but a journal that holds what they were decided on before", async () => {
    const { root, store, titleNow } = await setup();
    const journal = pathOf(root, task, "journal.jsonl");
    const older = `${journal}.older`;
    copyFileSync(journal, older);
    await commitNow(store, task, { task: taskText({ title: "Newer" }) });
    const seen = await store.read(task);
    if (seen === undefined) throw new Error("no task");
    rmSync(journal);
    copyFileSync(older, journal);
    await commitNow(store, task, { task: taskText({ title: "Other" }) });
    await commitNow(store, task, { task: taskText({ title: "Another" }) });
    const change = adding("x")(seen.documents);
    expect(await store.commit(task, seen.seq, change, decidingAgain("x", seen.sum))).toEqual({ kind: "conflict" });
    // Also where the number fits.
    expect(await store.commit(task, seen.seq + 1, change, decidingAgain("x", seen.sum))).toEqual({ kind: "conflict" });
    expect(await titleNow()).toBe("Another");
  });
});

describe("two writers of one stream", () => {
  it("take turns: who made the last change lets the other come first", async () => {
    const { root, store } = await setup();
    const other = await aFileStore(root);
    await commitNow(store, task, { task: taskText({ title: "" }) });
    await commitNow(other, task, { task: taskText({ title: "b" }) });
    await commitNow(store, task, { task: taskText({ title: "ba" }) });
    const seen = await store.read(task);
    if (seen === undefined) throw new Error("no task");
    const commit = (by: Store, letter: string) =>
      by.commit(task, seen.seq, adding(letter)(seen.documents), decidingAgain(letter, seen.sum));
    const answers = await Promise.allSettled([commit(store, "a"), commit(other, "b")]);
    expect(kindsOf(answers)).toEqual(["committed", "committed"]);
    expect(titleIn((await other.read(task))?.documents ?? {})).toBe("baba");
  });
});

describe("a write of several changes", () => {
  /** Of the first write of several lines the disk takes the first line and `more` bytes; then it does what `then` does. */
  function cutting(more: number, then: () => number | undefined): Behaviour {
    let isCut = false;
    return ({ name, path }, proceed, [descriptor, bytes]) => {
      const text = Buffer.from((bytes as Uint8Array | undefined) ?? []).toString("utf8");
      if (name !== "append" || !isJournal(path) || isCut || text.split("\n").length < 4) return proceed();
      isCut = true;
      const taken = Buffer.from(text).subarray(0, Buffer.byteLength(text.slice(0, text.indexOf("\n") + 1)) + more);
      nodeDisk.append(descriptor as number, taken);
      return then() ?? taken.length;
    };
  }

  it.each([0, 1, 60])(
    "that is cut short %i bytes behind the first keeps that one and writes the others again",
    async (more) => {
      const { root, store, titleNow } = await setup(cutting(more, () => undefined));
      expect(kindsOf(await addAll(store))).toEqual(committed);
      expect(await titleNow()).toBe("Loginabcdefgh");
      expect((await store.history(task, 0)).map(({ seq }) => seq)).toEqual(
        Array.from({ length: 10 }, (_, at) => at + 1),
      );
      expect(differences(root, task)).toEqual([]);
    },
  );

  it("that fails behind the first refuses the others, of which nothing ever comes alive", async () => {
    const { root, store, titleNow } = await setup(
      cutting(60, () => {
        throw systemError("ENOSPC");
      }),
    );
    expect(kindsOf(await addAll(store))).toEqual(["committed", ...letters.slice(1).map(() => "not-committed")]);
    await commitNow(store, task, { task: taskText({ title: "Goes on" }) });
    expect(await titleNow()).toBe("Goes on");
    expect((await store.history(task, 2)).map(({ callId }) => callId)).toEqual(["call-a", "call"]);
    expect(differences(root, task)).toEqual([]);
  });

  it("of which nobody knows whether it is durable is unknown for each of them", async () => {
    let fails = false;
    const { store, titleNow } = await setup(({ name, path }, proceed) => {
      if (fails && name === "sync" && isJournal(path)) return Promise.reject(systemError("EIO"));
      return proceed();
    });
    await store.read(task);
    fails = true;
    expect(new Set(kindsOf(await addAll(store)))).toEqual(new Set(["outcome-unknown"]));
    fails = false;
    expect(await titleNow()).toBe("Loginabcdefgh");
  });

  it("behind the torn rest of another process, which it did not see, is void as a whole and made again", async () => {
    let torn = '{"id":"theirs","seq":3,"prev":"';
    const { root, store, titleNow } = await setup(({ name, path }, proceed) => {
      if (name === "append" && isJournal(path) && torn !== "") {
        writeFileSync(path, torn, { flag: "a" });
        torn = "";
      }
      return proceed();
    });
    await store.read(task);
    expect(kindsOf(await addAll(store))).toEqual(committed);
    expect(await titleNow()).toBe("Loginabcdefgh");
    expect(differences(root, task)).toEqual([]);
    const again = await aFileStore(root);
    expect((await again.history(task, 0)).map(({ seq }) => seq)).toEqual(Array.from({ length: 10 }, (_, at) => at + 1));
  });

  /** A change of another process, at the end of the journal. */
  function appendTheirs(path: string, number: number): void {
    const last = advance(createReading(task), readFileSync(path)).at(-1);
    const change = aChange({ task: taskText({ title: `Theirs ${number}` }) });
    const { line } = formatRecord(change, `t${number}`, (last?.seq ?? 0) + 1, last?.sum ?? "");
    writeFileSync(path, `${line}\n`, { flag: "a" });
  }

  it("that another one was faster than stands behind all that came until it is written again", async () => {
    let writes = 0;
    const { root, store, titleNow } = await setup(({ name, path }, proceed) => {
      if (name !== "append" || !isJournal(path)) return proceed();
      writes += 1;
      if (writes > 1) return proceed();
      appendTheirs(path, 1);
      // Once it has seen that, and waits.
      queueMicrotask(() => appendTheirs(path, 2));
      return proceed();
    });
    await store.read(task);
    expect(kindsOf(await addAll(store))).toEqual(committed);
    expect(writes).toBe(2);
    expect(await titleNow()).toBe("Theirs 2abcdefgh");
    expect(differences(root, task)).toEqual([]);
  });

  it("that others are always faster than is a conflict, and nobody hears of a full disk", async () => {
    const root = await aRootWithTask();
    const other = await aFileStore(root);
    let writes = 0;
    const disk = watchedDisk(({ name, path }, proceed) => {
      if (name !== "append" || !isJournal(path)) return proceed();
      // The line of another process comes right before.
      writes += 1;
      appendTheirs(path, writes);
      return proceed();
    });
    const store = await aFileStore(root, { disk });
    const answers = await addAll(store);
    expect(new Set(kindsOf(answers))).toEqual(new Set(["conflict"]));
    expect(writes).toBe(3);
    expect(titleIn((await other.read(task))?.documents ?? {})).toBe("Theirs 3");
  });

  it("loses as a whole to a record of another process, and is decided again", async () => {
    let other: Store | undefined;
    const root = await aRootWithTask();
    let behind: string | undefined;
    const disk = watchedDisk(({ name, path }, proceed) => {
      if (name === "append" && isJournal(path) && behind !== undefined) {
        writeFileSync(path, behind, { flag: "a" });
        behind = undefined;
      }
      return proceed();
    });
    const store = await aFileStore(root, { disk });
    await store.read(task);
    // What another process appends, made by a store on a copy that then is taken back.
    const journal = pathOf(root, task, "journal.jsonl");
    const before = readFileSync(journal);
    other = await aFileStore(root);
    await commitNow(other, task, { task: taskText({ title: "Theirs" }) });
    await other.close();
    behind = readFileSync(journal).subarray(before.length).toString("utf8");
    writeFileSync(journal, before);
    const answers = await addAll(store);
    expect(kindsOf(answers)).toEqual(committed);
    expect(titleIn((await store.read(task))?.documents ?? {})).toBe("Theirsabcdefgh");
    expect(differences(root, task)).toEqual([]);
  });
});

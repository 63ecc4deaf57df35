/**
 * Other processes at work between any two calls of the disk: when all of them have answered, everything on the disk is as the
 * journal says, nobody is blamed for an edit, and nothing has cost more than what is new.
 */
import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { Disk } from "../../src/store/disk.ts";
import type { FileStoreOptions } from "../../src/store/file-store.ts";
import { advance, createReading, formatRecord, type Reading } from "../../src/store/journal.ts";
import { framePage, sourceOfPage } from "../../src/store/pages.ts";
import type { Change, DocumentName } from "../../src/store/store.ts";
import { randomFrom } from "../../torture/part.ts";
import {
  aChange,
  aFileStore,
  aRootWithTask,
  asides,
  commitNow,
  differences,
  pathOf,
  readText,
  renderPages,
  rendering,
  stepText,
  systemError,
  task,
  taskText,
  watchedDisk,
  type Call,
} from "./support.ts";

type Documents = Change["documents"];

const aWhile = 2_000;
const journalOf = (root: string) => pathOf(root, task, "journal.jsonl");

function readingOf(root: string): Reading {
  const reading = createReading(task);
  advance(reading, readFileSync(journalOf(root)));
  return reading;
}

let ids = 0;

/** Another process's record, and nothing else of it yet. */
function append(root: string, documents: Documents): void {
  const { seq, sum } = readingOf(root);
  const { line } = formatRecord(aChange(documents, "theirs"), `theirs-${(ids += 1)}`, seq + 1, sum);
  writeFileSync(journalOf(root), `${line}\n`, { flag: "a" });
}

/** What another process makes of these documents and their pages, as its settling ends. */
function settle(root: string, names: readonly DocumentName[]): void {
  const reading = readingOf(root);
  const { documents, seq } = reading;
  const pages = renderPages({ stream: task, documents: Object.fromEntries(documents), changed: names });
  const put = (file: string, text: string | undefined) =>
    text === undefined
      ? rmSync(pathOf(root, task, file), { force: true })
      : writeFileSync(pathOf(root, task, file), text);
  for (const name of names) put(`${name}.json`, documents.get(name));
  for (const name of new Set([...names, "task"])) {
    const source = sourceOfPage(reading, name, rendering);
    put(`${name}.md`, pages[name] === undefined ? undefined : framePage(task, seq, pages[name], source));
  }
}

function commitOfAnother(root: string, documents: Documents): void {
  append(root, documents);
  settle(root, Object.keys(documents));
}

/** A store to which these happen in their order, each right before the next call of that name for a path with that end. */
async function interrupted(root: string, happenings: Happening[], options: Partial<FileStoreOptions> = {}) {
  const disk = watchedDisk(({ name, path }, proceed) => {
    const [next] = happenings;
    if (next?.before === name && path.endsWith(next.path)) {
      happenings.shift();
      next.happen();
    }
    return proceed();
  });
  return aFileStore(root, { disk, ...options });
}
type Happening = { readonly before: keyof Disk; readonly path: string; readonly happen: () => void };

const asTheJournalSays = (root: string) => expect([differences(root, task), asides(root, task)]).toEqual([[], []]);

describe("whoever settles while others commit", () => {
  it("leaves no older page of a step that was added while documents were compared", async () => {
    const root = await aRootWithTask();
    const happenings: Happening[] = [
      {
        before: "readFile",
        path: "/task.json",
        happen: () => commitOfAnother(root, { task: taskText({ rev: 3 }), "steps/step-02": stepText("step-02") }),
      },
      {
        before: "readFile",
        path: "/task.md",
        happen: () => commitOfAnother(root, { "steps/step-02": stepText("step-02", { status: "passed" }) }),
      },
    ];
    const store = await interrupted(root, happenings);
    expect((await store.read(task))?.seq).toBe(4);
    expect(happenings).toEqual([]);
    expect(readText(root, task, "steps/step-02.md")).toContain("passed");
    asTheJournalSays(root);
  });

  it("takes away no page of a step that was there before, was removed and is made again", async () => {
    const root = await aRootWithTask();
    const first = await aFileStore(root);
    await commitNow(first, task, { "steps/step-01": null });
    const happenings: Happening[] = [];
    const store = await interrupted(root, happenings);
    await store.read(task);
    happenings.push({
      before: "readFile",
      path: "/task.md",
      happen: () => commitOfAnother(root, { "steps/step-01": stepText("step-01", { status: "passed" }) }),
    });
    await store.refreshPages(task);
    expect(happenings).toEqual([]);
    asTheJournalSays(root);
  });

  it("compares everything again after a reading that failed half way", async () => {
    const root = await aRootWithTask();
    // What a crash left.
    writeFileSync(pathOf(root, task, "task.json"), taskText());
    let state: "waits" | "fails" | "works" = "waits";
    const disk = watchedDisk(({ name, path }, proceed) => {
      if (state === "waits" && name === "replaceFile" && path.endsWith("/task.json")) {
        commitOfAnother(root, { task: taskText({ rev: 3, title: "Theirs" }) });
        state = "fails";
      } else if (state === "fails" && name === "factsOf" && path === journalOf(root)) {
        state = "works";
        throw systemError("EMFILE");
      }
      return proceed();
    });
    const store = await aFileStore(root, { disk });
    await expect(store.read(task)).rejects.toMatchObject({ code: "journal-unreadable" });
    expect((await store.read(task))?.seq).toBe(3);
    asTheJournalSays(root);
  });

  it("writes the task's page with the next reading when others did not let it come to an end", async () => {
    const root = await aRootWithTask();
    let count = 0;
    let isBusy = false;
    const disk = watchedDisk(({ name, path }, proceed) => {
      if (isBusy && name === "writeAt" && path.endsWith("/task.md") && count < 20) {
        count += 1;
        const step = stepText("step-01", { status: `n${count}` });
        append(root, { "steps/step-01": step });
        writeFileSync(pathOf(root, task, "steps/step-01.json"), step);
      }
      return proceed();
    });
    const store = await aFileStore(root, { disk });
    await store.read(task);
    isBusy = true;
    await store.commit(task, 2, aChange({ task: taskText({ rev: 3, title: "Mine" }) }));
    expect(count).toBe(20);
    await store.read(task);
    expect(readText(root, task, "task.md")).toContain("step-01 is n20");
  });
});

describe("a journal that is another one now", () => {
  it.each([
    ["was damaged", (root: string) => writeFileSync(journalOf(root), "damage\n", { flag: "a" })],
    ["was away", (root: string) => rmSync(journalOf(root))],
  ])(
    "and %s for a moment, has its documents compared by the next reading",
    { tags: ["s6.inode"] },
    async (_name, harm) => {
      const root = await aRootWithTask();
      const store = await aFileStore(root);
      const older = readFileSync(journalOf(root));
      await commitNow(store, task, { task: taskText({ rev: 3, title: "Of the other one" }) });
      harm(root);
      await expect(store.read(task)).rejects.toMatchObject({ code: "journal-damaged" });
      writeFileSync(journalOf(root), older);
      expect((await store.read(task))?.seq).toBe(2);
      asTheJournalSays(root);
    },
  );

  it("and knows nothing of what was left to a writer, takes no file of it away", async () => {
    const root = await aRootWithTask();
    const backup = `${journalOf(root)}.backup`;
    copyFileSync(journalOf(root), backup);
    let time = Date.UTC(2026, 0, 1);
    const happenings: Happening[] = [];
    const store = await interrupted(root, happenings, { now: () => new Date(time) });
    await store.read(task);
    commitOfAnother(root, { "steps/step-09": stepText("step-09", { status: "theirs" }) });
    await store.read(task);
    happenings.push({
      before: "writeAt",
      path: "/task.md",
      happen: () => {
        rmSync(journalOf(root));
        copyFileSync(backup, journalOf(root));
      },
    });
    await store.commit(task, 3, aChange({ task: taskText({ rev: 3, title: "Mine" }) }));
    expect(happenings).toEqual([]);
    time += aWhile;
    expect((await store.read(task))?.warnings).toEqual([]);
    expect(asides(root, task)).toEqual([]);
    expect(readText(root, task, "steps/step-09.json")).toContain("theirs");
  });
});

describe("a writer that died behind its record", () => {
  it(
    "is followed up by whoever follows all streams, though nobody asks for this one again",
    { tags: ["s6.left-to-writer"] },
    async () => {
      const root = await aRootWithTask();
      let time = Date.UTC(2026, 0, 1);
      const store = await aFileStore(root, { now: () => new Date(time) });
      const { cursor } = await store.changed();
      await store.read(task);
      append(root, { task: taskText({ rev: 3, title: "Its last words" }) });
      const news = await store.changed(cursor);
      expect(news.streams).toEqual([task]);
      await store.read(task);
      expect(differences(root, task)).toContain("task");
      time += aWhile;
      await store.changed(news.cursor);
      asTheJournalSays(root);
    },
  );

  it("or waits for its sync, is told of only when its record is durable, or with a doubt", async () => {
    const root = await aRootWithTask();
    const syncs: string[] = [];
    let fails = false;
    const disk = watchedDisk(({ name, path }, proceed) => {
      if (name === "sync") syncs.push(path);
      return name === "sync" && fails ? Promise.reject(systemError("EIO")) : proceed();
    });
    const store = await aFileStore(root, { disk });
    await store.read(task);
    append(root, { task: taskText({ rev: 3, title: "Theirs" }) });
    syncs.length = 0;
    expect(await store.read(task)).not.toHaveProperty("doubt");
    expect(syncs).toEqual([journalOf(root)]);
    append(root, { task: taskText({ rev: 4, title: "Theirs too" }) });
    fails = true;
    expect((await store.read(task))?.doubt).toContain("may not be durable");
  });
});

it("two writers of one document read what is new of the journal, not all of it each time", async () => {
  const root = await aRootWithTask();
  let bytes = 0;
  const disk = watchedDisk(({ name, path }, proceed) => {
    const result = proceed();
    if (name === "readAt" && path === journalOf(root)) bytes += Number(result);
    return result;
  });
  const mine = await aFileStore(root, { disk });
  const theirs = await aFileStore(root);
  for (let round = 0; round < 40; round += 1)
    for (const store of [theirs, mine])
      await commitNow(store, task, { task: taskText({ rev: round, title: store === mine ? "mine" : "theirs" }) });
  // Once when it comes, and once more when it is made durable.
  expect(bytes).toBeLessThan(3 * readFileSync(journalOf(root)).length);
});

describe("at moments that follow from a seed", () => {
  const names = ["task", "steps/step-01", "steps/step-02", "steps/step-03"];
  const works = ["commit", "open", "refresh", "verify", "late", "several"] as const;

  /** One history; answers what is wrong at its end. */
  async function play(seed: number): Promise<readonly string[]> {
    const random = randomFrom(seed);
    const below = (count: number) => Math.floor(random() * count);
    const pick = <T>(of: readonly T[]): T => of[below(of.length)] as T;
    const root = await aRootWithTask();
    let time = Date.UTC(2026, 0, 1);
    let count = 0;
    const text = (name: DocumentName) => {
      const word = `v${(count += 1)}`.repeat(1 + below(5));
      if (name === "task") return taskText({ title: word });
      return random() < 0.2 ? null : stepText(name.slice("steps/".length), { status: word });
    };
    const documents = (): Documents =>
      Object.fromEntries(Array.from({ length: 1 + below(2) }, () => pick(names)).map((name) => [name, text(name)]));
    /** What slow writers have still to do. */
    const later: (() => void)[] = [];
    const happen = () => {
      if (random() < 0.3) time += pick([500, 1_000, aWhile, 5_000]);
      if (later.length > 0 && random() < 0.3) return later.splice(below(later.length), 1)[0]?.();
      const theirs = documents();
      const changed = Object.keys(theirs);
      append(root, theirs);
      if (random() < 0.6) return settle(root, changed);
      later.push(() => {
        // A slow one writes its own older text before it looks at the journal again.
        for (const [name, old] of Object.entries(theirs))
          if (old !== null) writeFileSync(pathOf(root, task, `${name}.json`), old);
        later.push(() => settle(root, changed));
      });
    };
    let isArmed = false;
    let calls = 0;
    const moments = new Set(Array.from({ length: 1 + below(5) }, () => 1 + below(60)));
    const disk = watchedDisk((_call: Call, proceed) => {
      if (isArmed && moments.has((calls += 1))) happen();
      return proceed();
    });
    const warnings: string[] = [];
    const store = await aFileStore(root, {
      disk,
      now: () => new Date(time),
      warn: (message) => warnings.push(message),
    });
    const work = pick(works);
    if (work !== "open") await store.read(task);
    if (work === "late") {
      append(root, documents());
      await store.read(task);
      time += aWhile;
    }
    const commit = async () => {
      const answer = await store.commit(task, readingOf(root).seq, aChange(documents(), "mine"));
      if (answer.kind === "committed") warnings.push(...answer.warnings);
    };
    isArmed = true;
    if (work === "commit") await commit();
    else if (work === "refresh") await store.refreshPages(task);
    else if (work === "verify") await store.verify(task);
    else if (work === "several") await Promise.all([commit().then(() => store.read(task)), commit(), store.read(task)]);
    else warnings.push(...((await store.read(task))?.warnings ?? []));
    isArmed = false;
    while (later.length > 0) later.shift()?.();
    const known = readingOf(root).documents;
    const strays = names.filter((name) => !known.has(name) && existsSync(pathOf(root, task, `${name}.json`)));
    const wrong = [...differences(root, task), ...strays, ...asides(root, task), ...warnings];
    await store.close();
    rmSync(root, { recursive: true });
    return wrong.map((what) => `seed ${seed}, ${work}: ${what}`);
  }

  it("everything is as the journal says once all have answered", { tags: ["s6.commit-order"] }, async () => {
    const wrong: string[] = [];
    for (let seed = 1; seed <= histories; seed += 1) wrong.push(...(await play(seed)));
    expect(wrong).toEqual([]);
  });
});

/** How many; more of them are to be had with `HISTORIES=5000`. */
const histories = Number(process.env["HISTORIES"] ?? 200);

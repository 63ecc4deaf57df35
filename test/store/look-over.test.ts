/** Files that are looked over: whatever was made of them is found, and those that were found right are not read again. */
import {
  appendFileSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { renderPages as realPages } from "../../src/render/pages.ts";
import { confinedDisk } from "../../src/store/confined-disk.ts";
import type { FileStoreOptions } from "../../src/store/file-store.ts";
import { formatRecord } from "../../src/store/journal.ts";
import type { Stream } from "../../src/store/store.ts";
import { aProject, aTask, createBench } from "../support/bench.ts";
import {
  aChange,
  aFileStore,
  aRoot,
  aRootWithTask,
  asides,
  commitNow,
  differences,
  pathOf,
  project,
  projectText,
  readText,
  renderPages,
  rendering,
  systemError,
  task,
  taskText,
  watchedDisk,
  type Behaviour,
} from "./support.ts";

const boot = "a start of the machine";
/** Of files that were written by a test just now. */
const aMinuteLater = () => new Date(Date.now() + 60_000);
const files = ["task.json", "task.md", "steps/step-01.json", "steps/step-01.md"];

/** A store that knows the task at a glance, and the task's documents and pages that it read since the last time. */
async function aStore(root: string, options: Partial<FileStoreOptions> = {}, behave?: Behaviour) {
  const calls: string[] = [];
  const disk = watchedDisk((call, proceed, input) => {
    if (call.name === "readFile") calls.push(call.path);
    return behave === undefined ? proceed() : behave(call, proceed, input);
  });
  const store = await aFileStore(root, { boot, now: aMinuteLater, disk: confinedDisk(root, disk), ...options });
  await store.tasks("shop");
  return { store, read: () => calls.splice(0).filter((path) => /\.(?:json|md)$/.test(path)).length };
}

/** The same with a task that was found right. */
async function aStoreThatLooked(root: string, behave?: Behaviour) {
  const opened = await aStore(root, {}, behave);
  await opened.store.lookOver(task);
  expect(opened.read()).toBe(files.length);
  return opened;
}

async function isBelieved({ store, read }: Awaited<ReturnType<typeof aStore>>, stream: Stream = task) {
  read();
  await store.lookOver(stream);
  return read() === 0;
}

describe("a task whose files were found right", () => {
  it("has none of them read again", async () => {
    const root = await aRootWithTask();
    const opened = await aStoreThatLooked(root);
    expect(await isBelieved(opened)).toBe(true);
    expect(differences(root, task)).toEqual([]);
  });

  const edited = (text: string) => text.replace("Login", "Logon");
  const ways: readonly (readonly [string, (path: string) => void])[] = [
    ["edited in place, to the same length and with its old time", (path) => inPlace(path, edited)],
    ["edited, all but its last line", (path) => inPlace(path, (text) => text.replace("e", "E"))],
    ["emptied", (path) => truncateSync(path)],
    ["cut short", (path) => truncateSync(path, 10)],
    ["zeroed", (path) => inPlace(path, (text) => "\0".repeat(text.length))],
    ["continued", (path) => appendFileSync(path, "more\n")],
    ["removed", (path) => rmSync(path)],
    [
      "replaced by another file of its length and time",
      (path) => {
        const { atime, mtime } = lstatSync(path);
        writeFileSync(`${path}.new`, readFileSync(path, "utf8").replace("e", "E"));
        utimesSync(`${path}.new`, atime, mtime);
        renameSync(`${path}.new`, path);
      },
    ],
    [
      "replaced by a link to a copy of it",
      (path) => {
        renameSync(path, `${path}.moved`);
        symlinkSync(`${path}.moved`, path);
      },
    ],
  ];

  it.each(ways.flatMap(([what, change]) => files.map((file) => [file, what, change] as const)))(
    "has its %s, %s, put right",
    async (file, _what, change) => {
      const root = await aRootWithTask();
      const { store } = await aStoreThatLooked(root);
      change(pathOf(root, task, file));
      await store.lookOver(task);
      expect(differences(root, task)).toEqual([]);
    },
  );

  it("has what a person wrote kept aside, and its status says so", async () => {
    const root = await aRootWithTask();
    const { store } = await aStoreThatLooked(root);
    writeFileSync(pathOf(root, task, "task.md"), "My notes.\n");
    await store.lookOver(task);
    const [aside = ""] = asides(root, task);
    expect(readText(root, task, aside)).toBe("My notes.\n");
    expect((await store.read(task))?.warnings).toEqual([expect.stringContaining(aside)]);
  });

  it("has a record that somebody died behind put into its files", async () => {
    const root = await aRootWithTask();
    const { store } = await aStoreThatLooked(root);
    const { seq = 0, sum = "" } = (await store.read(task)) ?? {};
    const { line } = formatRecord(aChange({ task: taskText({ rev: 3, status: "paused" }) }), "another", seq + 1, sum);
    appendFileSync(pathOf(root, task, "journal.jsonl"), `${line}\n`);
    await store.lookOver(task);
    expect(differences(root, task)).toEqual([]);
  });

  it("is looked at again after a change of its own", async () => {
    const root = await aRootWithTask();
    const opened = await aStoreThatLooked(root);
    await commitNow(opened.store, task, { task: taskText({ rev: 3 }) });
    await opened.store.tasks("shop");
    expect(await isBelieved(opened)).toBe(false);
    expect(await isBelieved(opened)).toBe(true);
  });

  it("is read again while its files may change without another time on them", async () => {
    const root = await aRootWithTask();
    const opened = await aStore(root, { now: () => new Date() });
    expect(await isBelieved(opened)).toBe(false);
    expect(await isBelieved(opened)).toBe(false);
  });
});

describe("a task whose files were not found right", () => {
  it("is read again until they were", async () => {
    const root = await aRootWithTask();
    const failing = { now: true };
    const opened = await aStore(root, {}, ({ name, path }, proceed) => {
      if (failing.now && name === "replaceFile" && path.endsWith("task.json")) throw systemError("EROFS");
      return proceed();
    });
    writeFileSync(pathOf(root, task, "task.json"), "{}\n");
    for (const _ of [1, 2]) expect(await isBelieved(opened)).toBe(false);
    failing.now = false;
    for (const believed of [false, false, true]) {
      // Its journal was made durable once more.
      await opened.store.tasks("shop");
      expect(await isBelieved(opened)).toBe(believed);
    }
    expect(differences(root, task)).toEqual([]);
  });

  it("is read again where nobody says of what pages are made", async () => {
    const root = await aRootWithTask();
    // The same pages, of which nobody says when they become others.
    const opened = await aStore(root, { renderPages });
    for (const _ of [1, 2]) expect(await isBelieved(opened)).toBe(false);
  });

  it("throws what reading it throws", async () => {
    const root = await aRootWithTask();
    const { store } = await aStoreThatLooked(root);
    writeFileSync(pathOf(root, task, "journal.jsonl"), "nothing of the kind\n");
    await expect(store.lookOver(task)).rejects.toMatchObject({ code: "journal-damaged" });
    await expect(store.lookOver({ projectId: "../x" })).rejects.toMatchObject({ code: "invalid-id" });
  });

  it("may be one that is not there", async () => {
    const root = await aRootWithTask();
    const { store } = await aStore(root);
    await expect(store.lookOver({ projectId: "shop", taskId: "nobody-12345678" })).resolves.toBeUndefined();
  });

  it("may be a project, which is always read", async () => {
    const root = await aRootWithTask();
    const { store } = await aStore(root);
    await store.lookOver(project);
    writeFileSync(pathOf(root, project, "project.md"), "Mine.\n");
    await store.refreshPages(project);
    writeFileSync(pathOf(root, project, "project.json"), "{}\n");
    await store.lookOver(project);
    expect(readText(root, project, "project.json")).toBe(projectText());
  });
});

describe("what an earlier process found right", () => {
  const options = { renderPages: realPages, rendering };

  /** A root with so many tasks that what is known of them is kept, and was. */
  async function aRootThatWasLookedOver() {
    const root = aRoot();
    mkdirSync(join(root, "projects"));
    const { store } = await aStore(root, options);
    const bench = createBench({ store, root });
    await bench.done("create_project", aProject());
    for (let count = 1; count <= 64; count += 1) await bench.done("create_task", aTask());
    const streams = (await store.tasks("shop")).map(({ stream }) => stream);
    for (const stream of streams) await store.lookOver(stream);
    await store.close();
    return { root, streams, first: streams[0] ?? task };
  }

  it("is not read again", async () => {
    const { root, streams, first } = await aRootThatWasLookedOver();
    const opened = await aStore(root, options);
    for (const stream of streams) expect(await isBelieved(opened, stream)).toBe(true);
    const page = readText(root, first, "task.md");
    writeFileSync(pathOf(root, first, "task.md"), "Mine.\n");
    expect(await isBelieved(opened, first)).toBe(false);
    expect(readText(root, first, "task.md")).toBe(page);
  });

  it.each<[string, Partial<FileStoreOptions>]>([
    ["the machine was started again", { boot: "another start of it" }],
    ["nobody knows whether the machine was started again", { boot: undefined }],
    ["pages look otherwise now", { rendering: rendering + 1 }],
  ])("is read again when %s", async (_why, others) => {
    const { root, first } = await aRootThatWasLookedOver();
    expect(await isBelieved(await aStore(root, { ...options, ...others }), first)).toBe(false);
  });

  it("is read again when its journal was put back from a copy", async () => {
    const { root, first } = await aRootThatWasLookedOver();
    const journal = pathOf(root, first, "journal.jsonl");
    const bytes = readFileSync(journal);
    rmSync(journal);
    writeFileSync(journal, bytes);
    expect(await isBelieved(await aStore(root, options), first)).toBe(false);
  });
});

/** Changes what a file holds, and puts its time back. */
function inPlace(path: string, change: (text: string) => string): void {
  const { atime, mtime } = lstatSync(path);
  const before = readFileSync(path, "utf8");
  const after = change(before);
  writeFileSync(path, after);
  expect(after).toHaveLength(before.length);
  utimesSync(path, atime, mtime);
}

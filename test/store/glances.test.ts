/** What is known of tasks without opening them: that it is true, and that it costs no look at tasks that did not change. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { createFileStore, type FileStoreOptions } from "../../src/store/file-store.ts";
import { renderPages } from "../../src/render/pages.ts";
import type { Store, TaskGlance } from "../../src/store/store.ts";
import { aProject, aTask, createBench, type Bench } from "../support/bench.ts";
import { owner } from "../support/callers.ts";
import { systemError, watchedDisk, type Behaviour } from "../support/watched-disk.ts";
import { nodeDisk } from "../../src/store/disk.ts";
import { aRoot } from "./support.ts";

let ids = 0;

/** A store of real documents that looks at a task only when something says that it changed, and the calls that it makes to the disk. */
async function aStore(root: string, options: Partial<FileStoreOptions> = {}, behave?: Behaviour) {
  const calls: string[] = [];
  const disk = watchedDisk((call, proceed, input) => {
    calls.push(`${call.name} ${call.path}`);
    return behave === undefined ? proceed() : behave(call, proceed, input);
  }, nodeDisk);
  const clock = { time: Date.UTC(2026, 0, 1) };
  const store = await createFileStore({
    root,
    renderPages,
    now: () => new Date(clock.time),
    randomId: () => `${process.pid}-${(ids += 1)}`,
    fewTasks: 0,
    disk,
    ...options,
  });
  onTestFinished(() => store.close());
  const bench = createBench({ store, root, config: { acceptanceReview: false } });
  /** The task folders whose journals were looked at or opened since the last time. */
  const looked = () => {
    const seen = calls
      .splice(0)
      .flatMap((call) => /^(?:factsOf|open) .*\/tasks\/([^/]+)\/journal\.jsonl$/.exec(call)?.[1] ?? []);
    return [...new Set(seen)].toSorted();
  };
  return {
    store,
    bench,
    clock,
    looked,
    opened: () => calls.splice(0).filter((call) => /^open .*tasks.*jsonl$/.test(call)),
    /** How often the folder of tasks was listed since the last time. */
    listed: () => calls.splice(0).filter((call) => /^namesIn .*\/tasks$/.test(call)).length,
  };
}

async function aTaskNamed(bench: Bench, title: string): Promise<string> {
  return String((await bench.done("create_task", aTask({ title })))["taskId"]);
}

/** A root with so many tasks; the store that made them is still open. */
async function aRootOf(count: number) {
  const root = aRoot();
  mkdirSync(join(root, "projects"));
  const first = await aStore(root);
  await first.bench.done("create_project", aProject());
  const taskIds: string[] = [];
  for (let number = 1; number <= count; number += 1) taskIds.push(await aTaskNamed(first.bench, `Task ${number}`));
  return { root, ...first, taskIds };
}

/**
 * Returns at another time than the folder of tasks was changed at: the file system's clock stands still for some milliseconds, and a
 * change that leaves the folder's time as it was is found within a minute only.
 */
function passMoment(root: string): void {
  const before = statSync(folderOf(root)).mtimeMs;
  const probe = join(root, "probe");
  do writeFileSync(probe, "");
  while (statSync(probe).mtimeMs === before);
  rmSync(probe);
}

function byHand(root: string, change: () => void): void {
  passMoment(root);
  change();
}

const statuses = async (store: Store) =>
  Object.fromEntries(
    (await store.tasks("shop")).map(({ stream, outline, failure }) => [
      stream.taskId,
      outline?.status ?? failure?.code,
    ]),
  );
const cancel = (bench: Bench, taskId: string) =>
  bench.done("set_task_status", { taskId, status: "cancelled", reason: "Not wanted." }, owner());
const folderOf = (root: string, taskId = "") => join(root, "projects", "shop", "tasks", taskId);
const keptFile = (root: string) => join(root, "projects", "shop", ".glances.json");
const pulse = (root: string) => join(root, "projects", "shop", ".pulse.json");

describe("tasks at a glance", () => {
  it("say of each task what its documents say", async () => {
    const { store, bench, taskIds } = await aRootOf(1);
    const [taskId = ""] = taskIds;
    await bench.done("start_task", { taskId });
    const { task } = await bench.state(taskId);
    const [glance] = await store.tasks("shop");
    expect(glance).toMatchObject({
      stream: { projectId: "shop", taskId },
      seq: 2,
      onPage: { id: taskId, title: "Task 1", status: "running", updatedAt: task.updatedAt, steps: 1 },
      outline: {
        title: "Task 1",
        status: "running",
        steps: 1,
        stepsFinished: 0,
        openRuns: 0,
        questions: 0,
        dependsOn: [],
        flowId: task.flowId,
      },
    });
    await bench.launched(taskId, "step-01", "builder");
    expect((await store.tasks("shop"))[0]?.outline).toMatchObject({ openRuns: 1 });
    await cancel(bench, taskId);
    expect((await store.tasks("shop"))[0]?.outline).toMatchObject({ status: "cancelled", openRuns: 1 });
  });

  it("show what this store and another one commit at once, and only those tasks are looked at", async () => {
    const { root, store, bench, looked, taskIds } = await aRootOf(4);
    const [one = "", two = ""] = taskIds;
    await store.tasks("shop");
    looked();
    await store.tasks("shop");
    expect(looked()).toEqual([]);
    await cancel(bench, one);
    expect((await statuses(store))[one]).toBe("cancelled");
    expect(looked()).toEqual([one]);
    const other = await aStore(root);
    await cancel(other.bench, two);
    const made = await aTaskNamed(other.bench, "From elsewhere");
    looked();
    expect(await statuses(store)).toMatchObject({ [two]: "cancelled", [made]: "draft" });
    expect(looked()).toEqual([made, two].toSorted());
  });

  it("show a task that was taken away or put there by hand at once", async () => {
    const { root, store, taskIds } = await aRootOf(3);
    const [one = "", two = ""] = taskIds;
    await store.tasks("shop");
    cpSync(folderOf(root, one), join(root, "aside"), { recursive: true });
    byHand(root, () => rmSync(folderOf(root, one), { recursive: true }));
    expect(Object.keys(await statuses(store))).not.toContain(one);
    byHand(root, () => cpSync(join(root, "aside"), folderOf(root, one), { recursive: true }));
    expect(Object.keys(await statuses(store)).toSorted()).toEqual(taskIds.toSorted());
    expect((await store.changed("0")).streams).toContainEqual({ projectId: "shop", taskId: two });
  });

  it("show a task that was taken away in the same millisecond as the last change", async () => {
    const { root, store, taskIds } = await aRootOf(2);
    const [one = ""] = taskIds;
    await store.tasks("shop");
    const { mtimeMs } = statSync(folderOf(root));
    rmSync(folderOf(root, one), { recursive: true });
    const within = Math.floor(mtimeMs) + (mtimeMs % 1 < 0.5 ? 0.75 : 0.25);
    utimesSync(folderOf(root), within / 1_000, within / 1_000);
    expect(Object.keys(await statuses(store))).not.toContain(one);
  });

  it("know a task of this store's own without listing the others, and one that was put there by hand before it", async () => {
    const { root, store, bench, listed, taskIds } = await aRootOf(2);
    const [one = ""] = taskIds;
    await store.tasks("shop");
    listed();
    passMoment(root);
    const made = await aTaskNamed(bench, "Of this store");
    expect(Object.keys(await statuses(store)).toSorted()).toEqual([...taskIds, made].toSorted());
    expect(listed()).toBe(0);
    byHand(root, () => cpSync(folderOf(root, one), folderOf(root, "by-hand"), { recursive: true }));
    const next = await bench.done("create_task", aTask({ title: "After it" }));
    expect(listed()).toBeGreaterThan(0);
    expect(Object.keys(await statuses(store)).toSorted()).toEqual(
      [...taskIds, made, "by-hand", String(next["taskId"])].toSorted(),
    );
  });

  it("show at once a task that was made although the disk could not say so, so that nobody makes it twice", async () => {
    const { root, taskIds } = await aRootOf(1);
    let fails: "not" | "after the append" | "now" = "not";
    const { store, bench } = await aStore(root, {}, ({ name, path }, proceed) => {
      if (fails === "now" && name === "readAt") {
        fails = "not";
        throw systemError("EIO");
      }
      const result = proceed();
      if (fails === "after the append" && name === "append" && path.endsWith("journal.jsonl")) fails = "now";
      return result;
    });
    await store.tasks("shop");
    fails = "after the append";
    await expect(bench.done("create_task", aTask({ title: "In doubt" }))).rejects.toThrow("may or may not be there");
    expect(await store.tasks("shop")).toHaveLength(taskIds.length + 1);
  });

  it("are in the order of their ids, however few or many of them come, change and go", async () => {
    const { root, store, bench, taskIds } = await aRootOf(6);
    const isInOrder = async () => {
      const told = await store.tasks("shop");
      expect(told).toEqual(await (await aStore(root)).store.tasks("shop"));
      expect(told.map(({ stream }) => stream.taskId)).toEqual(told.map(({ stream }) => stream.taskId).toSorted());
    };
    await isInOrder();
    for (const taskId of taskIds.slice(1, 3)) await cancel(bench, taskId);
    byHand(root, () => rmSync(folderOf(root, taskIds[4]), { recursive: true }));
    for (const title of ["A first", "Zebra"]) await aTaskNamed(bench, title);
    await isInOrder();
    const copies = Array.from({ length: 70 }, (_, number) => folderOf(root, `copy-${number}`));
    byHand(root, () => copies.forEach((copy) => cpSync(folderOf(root, taskIds[0]), copy, { recursive: true })));
    await isInOrder();
    byHand(root, () => copies.forEach((copy) => rmSync(copy, { recursive: true })));
    await isInOrder();
    expect(await store.tasks("shop")).toHaveLength(7);
  });

  it("show an older journal that was put back: at once to who begins, and to everybody within a minute", async () => {
    const { root, store, bench, clock, taskIds } = await aRootOf(3);
    const [one = ""] = taskIds;
    const journal = join(folderOf(root, one), "journal.jsonl");
    const older = readFileSync(journal);
    await cancel(bench, one);
    expect((await statuses(store))[one]).toBe("cancelled");
    rmSync(journal);
    writeFileSync(journal, older);
    expect((await statuses((await aStore(root)).store))[one]).toBe("draft");
    const { cursor } = await store.changed();
    clock.time += 60_000;
    expect((await store.changed(cursor)).streams).toEqual([{ projectId: "shop", taskId: one }]);
    expect((await statuses(store))[one]).toBe("draft");
  });

  it("say why a task cannot be read, and look at it again", async () => {
    const { root, taskIds } = await aRootOf(2);
    const [one = "", two = ""] = taskIds;
    let fails = true;
    const { store } = await aStore(root, {}, ({ name, path }, proceed) => {
      if (fails && name === "readAt" && path.includes(one)) throw systemError("EIO");
      return proceed();
    });
    expect(await statuses(store)).toEqual({ [one]: "journal-unreadable", [two]: "draft" });
    fails = false;
    // Something has to say so where there are many tasks; the clock of this store stands still.
    writeFileSync(pulse(root), `"${one}"\n`, { flag: "a" });
    expect(await statuses(store)).toEqual({ [one]: "draft", [two]: "draft" });
    writeFileSync(join(folderOf(root, two), "journal.jsonl"), "damaged\n");
    expect(await statuses((await aStore(root)).store)).toEqual({ [one]: "draft", [two]: "journal-damaged" });
  });

  it("do not depend on the pulse: whatever becomes of it, changes are made and shown", async () => {
    const { root, store, bench, taskIds } = await aRootOf(3);
    const [one = "", two = "", three = ""] = taskIds;
    const other = await aStore(root);
    await store.tasks("shop");
    rmSync(pulse(root));
    await cancel(other.bench, one);
    expect((await statuses(store))[one]).toBe("cancelled");
    writeFileSync(pulse(root), '\u0000\n{}\nnull\n"../../x"\n"no-such-task"\n"half');
    expect(await statuses(store)).toMatchObject({ [two]: "draft" });
    rmSync(pulse(root));
    mkdirSync(pulse(root));
    await cancel(bench, two);
    expect((await statuses(store))[two]).toBe("cancelled");
    rmSync(pulse(root), { recursive: true });
    writeFileSync(join(root, "elsewhere"), "");
    symlinkSync(join(root, "elsewhere"), pulse(root));
    await cancel(bench, three);
    expect((await statuses(store))[three]).toBe("cancelled");
    expect(readFileSync(join(root, "elsewhere"), "utf8")).toBe("");
  });
});

describe("what is kept of many tasks", () => {
  const many = 70;
  const glancesOf = async (root: string): Promise<readonly TaskGlance[]> => (await aStore(root)).store.tasks("shop");

  async function keptRoot() {
    const made = await aRootOf(many);
    await cancel(made.bench, made.taskIds[0] ?? "");
    const glances = await made.store.tasks("shop");
    await made.store.close();
    return { root: made.root, taskIds: made.taskIds, glances };
  }

  it("spares the next process their journals, but for those that changed", async () => {
    const { root, taskIds, glances } = await keptRoot();
    const next = await aStore(root);
    expect(await next.store.tasks("shop")).toEqual(glances);
    expect(next.opened()).toEqual([]);
    const [, two = ""] = taskIds;
    await cancel(next.bench, two);
    // Killed: nothing is kept of this one.
    const last = await aStore(root);
    expect((await statuses(last.store))[two]).toBe("cancelled");
    expect(last.looked()).toHaveLength(many);
    expect((await statuses(last.store))[two]).toBe("cancelled");
  });

  it("is not believed when it is damaged, older, somebody else's or a link", { timeout: 60_000 }, async () => {
    const { root, glances } = await keptRoot();
    const text = readFileSync(keptFile(root));
    const put = async (bytes: Uint8Array | string) => {
      writeFileSync(keptFile(root), bytes);
      expect(await glancesOf(root)).toEqual(glances);
    };
    for (const length of [0, 1, Math.floor(text.length / 2), text.length - 1]) await put(text.subarray(0, length));
    for (const at of [3, Math.floor(text.length / 3), text.length - 20]) {
      const flipped = Buffer.from(text);
      flipped[at] = (flipped[at] ?? 0) ^ 4;
      await put(flipped);
    }
    for (const wrong of ["null", "[]", '{"format":3,"tasks":[["a"]]}', "\ufeff{}"]) await put(wrong);
    rmSync(keptFile(root));
    writeFileSync(join(root, "elsewhere"), text);
    symlinkSync(join(root, "elsewhere"), keptFile(root));
    expect(await glancesOf(root)).toEqual(glances);
  });

  it("is not kept of few tasks, and never holds up a change", async () => {
    const few = await aRootOf(3);
    await few.store.close();
    expect(existsSync(keptFile(few.root))).toBe(false);
    const { root, taskIds } = await keptRoot();
    rmSync(keptFile(root));
    const { store, bench } = await aStore(root, {}, ({ name, path }, proceed) => {
      if (name === "replaceFile" && path.endsWith(".glances.json")) throw systemError("ENOSPC");
      return proceed();
    });
    await cancel(bench, taskIds[1] ?? "");
    expect((await statuses(store))[taskIds[1] ?? ""]).toBe("cancelled");
    await store.close();
    expect(existsSync(keptFile(root))).toBe(false);
  });
});

/** Which projects and tasks there are, also of those that came or went without the store. */
import { cpSync, mkdirSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { nodeDisk, type FileFacts } from "../../src/store/disk.ts";
import type { Store } from "../../src/store/store.ts";
import { aFileStore, aRoot, aRootWithTask, commitNow, projectText, systemError, task, watchedDisk } from "./support.ts";

const projects = async (store: Store) =>
  (await store.list()).filter(({ taskId }) => taskId === undefined).map(({ projectId }) => projectId);
const copies = async (store: Store) => (await store.find(task.taskId ?? "")).map(({ projectId }) => projectId);

const withoutTime = (facts: FileFacts | undefined) => facts && { ...facts, modifiedMs: 1, changedMs: 1 };

/** Returns when the file system's clock has gone on since the folder changed. */
function passMoment(folder: string): void {
  const before = statSync(folder).ctimeMs;
  const probe = join(folder, "..", "probe");
  do writeFileSync(probe, "");
  while (statSync(probe).ctimeMs === before);
  rmSync(probe);
}

describe("the projects", () => {
  // These stores' clock is months away from that of the files, so that nothing counts as changed just now.
  it("that were put there or taken away by hand are known at once", async () => {
    const root = await aRootWithTask();
    const folder = join(root, "projects");
    const store = await aFileStore(root);
    expect([await projects(store), await copies(store)]).toEqual([["shop"], ["shop"]]);
    passMoment(folder);
    cpSync(join(folder, "shop"), join(folder, "copy"), { recursive: true });
    expect([await projects(store), await copies(store)]).toEqual([
      ["copy", "shop"],
      ["copy", "shop"],
    ]);
    passMoment(folder);
    renameSync(join(folder, "shop"), join(root, "aside"));
    expect([await projects(store), await copies(store)]).toEqual([["copy"], ["copy"]]);
  });

  it("that could not be listed once are known when they can be", async () => {
    const root = await aRootWithTask();
    let looks = 0;
    const disk = watchedDisk(({ name, path }, proceed) => {
      if (name === "namesIn" && path.endsWith("projects") && (looks += 1) === 1) throw systemError("EIO");
      return proceed();
    });
    const store = await aFileStore(root, { disk });
    expect(await projects(store)).toEqual([]);
    expect([await projects(store), await copies(store)]).toEqual([["shop"], ["shop"]]);
  });

  it("are known within a minute where a folder's time says nothing", async () => {
    const root = await aRootWithTask();
    const folder = join(root, "projects");
    const clock = { time: Date.UTC(2026, 0, 1) };
    const disk = { ...nodeDisk, factsOf: (path: string) => withoutTime(nodeDisk.factsOf(path)) };
    const store = await aFileStore(root, { disk, now: () => new Date(clock.time) });
    expect(await projects(store)).toEqual(["shop"]);
    cpSync(join(folder, "shop"), join(folder, "copy"), { recursive: true });
    clock.time += 60_000;
    expect(await projects(store)).toEqual(["copy", "shop"]);
  });

  it("that this store makes are known at once, whatever the time of their folder says", async () => {
    const root = await aRootWithTask();
    const store = await aFileStore(root);
    for (const name of ["one", "two", "three", "four"]) {
      await projects(store);
      await commitNow(store, { projectId: name }, { project: projectText({ id: name }) });
      expect(await projects(store)).toContain(name);
    }
  });

  it("behind a link are none while the link leads outside", async () => {
    const root = await aRootWithTask();
    const [there, outside] = [join(root, "there"), join(aRoot(), "outside")];
    mkdirSync(there);
    cpSync(join(root, "projects", "shop"), join(there, "linked"), { recursive: true });
    symlinkSync(join(there, "linked"), join(root, "projects", "linked"));
    const store = await aFileStore(root);
    expect(await projects(store)).toEqual(["linked", "shop"]);
    renameSync(there, outside);
    symlinkSync(outside, there);
    expect(await projects(store)).toEqual(["shop"]);
    rmSync(there);
    renameSync(outside, there);
    expect(await projects(store)).toEqual(["linked", "shop"]);
  });
});

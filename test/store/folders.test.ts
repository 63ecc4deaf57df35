/** Which projects and tasks there are, also of those that came or went without the store. */
import { cpSync, existsSync, mkdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { nodeDisk } from "../../src/store/disk.ts";
import type { Store } from "../../src/store/store.ts";
import {
  aFileStore,
  aRoot,
  aRootWithTask,
  commitNow,
  project,
  projectText,
  systemError,
  task,
  watchedDisk,
} from "./support.ts";

const projects = async (store: Store) =>
  (await store.list()).filter(({ taskId }) => taskId === undefined).map(({ projectId }) => projectId);
const copies = async (store: Store) => (await store.find(task.taskId ?? "")).map(({ projectId }) => projectId);

describe("a project's folder", () => {
  it("has no folder of steps: what stands in its place is not looked through", async () => {
    const root = await aRootWithTask();
    const elsewhere = aRoot();
    const litter = join(elsewhere, "notes.json.1");
    writeFileSync(litter, "");
    utimesSync(litter, 0, 0);
    symlinkSync(elsewhere, join(root, "projects", "shop", "steps"));
    // Where the system lists no open files, the disk is not confined.
    const store = await aFileStore(root, { disk: nodeDisk });
    await commitNow(store, project, { project: projectText({ name: "Later" }) });
    await store.verify(project);
    expect(existsSync(litter)).toBe(true);
  });
});

describe("the projects", () => {
  it("that were put there or taken away by hand are known at once", async () => {
    const root = await aRootWithTask();
    const folder = join(root, "projects");
    const store = await aFileStore(root);
    expect([await projects(store), await copies(store)]).toEqual([["shop"], ["shop"]]);
    cpSync(join(folder, "shop"), join(folder, "copy"), { recursive: true });
    expect([await projects(store), await copies(store)]).toEqual([
      ["copy", "shop"],
      ["copy", "shop"],
    ]);
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

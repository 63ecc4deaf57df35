/** What every store promises, whatever it keeps things in. */
import { describe, expect, it } from "vitest";
import { createMemoryStore } from "../../src/store/memory-store.ts";
import type { Store, Stream } from "../../src/store/store.ts";
import {
  aChange,
  aFileStore,
  aRoot,
  allRecords,
  commitNow,
  otherTask,
  project,
  projectText,
  renderPages,
  stepText,
  task,
  taskText,
} from "./support.ts";

const kinds: readonly (readonly [string, () => Promise<Store>])[] = [
  ["the file store", async () => aFileStore(aRoot())],
  ["the file store with room for one open stream", async () => aFileStore(aRoot(), { openStreams: 1 })],
  ["the memory store", async () => createMemoryStore({ renderPages })],
];

describe.each(kinds)("%s", (_name, create) => {
  async function setup() {
    const store = await create();
    await commitNow(store, project, { project: projectText() });
    return store;
  }

  it("knows nothing of a stream that was never committed", async () => {
    const store = await setup();
    expect(await store.read(task)).toBeUndefined();
    expect(await store.history(task, 0)).toEqual([]);
    expect(await store.list()).toEqual([project]);
  });

  it("finds the tasks with an id, in each project that has one", async () => {
    const store = await setup();
    const [taskId, absent] = ["login-1a2b3c4d", "search-5e6f7a8b"];
    const other = { projectId: "other", taskId };
    await commitNow(store, { projectId: "other" }, { project: projectText({ id: "other" }) });
    await commitNow(store, task, { task: taskText() });
    expect(await store.find(taskId)).toEqual([task]);
    await commitNow(store, other, { task: taskText({ projectId: "other" }) });
    expect(await store.find(taskId)).toEqual([other, task]);
    expect(await store.find(absent)).toEqual([]);
    await expect(store.find("../x")).rejects.toMatchObject({ code: "invalid-id" });
  });

  it("knows the last record of a call", async () => {
    const store = await setup();
    await commitNow(store, task, { task: taskText() }, "one");
    await commitNow(store, task, { task: taskText({ rev: 2 }) }, "two");
    await commitNow(store, task, { task: taskText({ rev: 3 }) }, "one");
    const records = await store.history(task, 0);
    expect(await store.recordOf(task, "one")).toEqual(records[2]);
    expect(await store.recordOf(task, "two")).toEqual(records[1]);
    expect(await store.recordOf(task, "three")).toBeUndefined();
    expect(await store.recordOf(otherTask, "one")).toBeUndefined();
  });

  it("gives back what was committed, word for word", async () => {
    const store = await setup();
    const odd = taskText({ title: '"quotes", \\ and \n, ünïcödé 🚲, \u2028 and , "sum":"' });
    const answer = await store.commit(task, 0, aChange({ task: odd, "steps/step-01": stepText("step-01") }));
    expect(answer).toMatchObject({ kind: "committed", seq: 1, warnings: [] });
    const snapshot = await store.read(task);
    expect(snapshot).toEqual({
      stream: task,
      seq: 1,
      sum: answer.kind === "committed" && answer.sum,
      documents: { task: odd, "steps/step-01": stepText("step-01") },
      warnings: [],
    });
  });

  it("keeps documents that a later change does not name, replaces those that it names and removes those named null", async () => {
    const store = await setup();
    await commitNow(store, task, {
      task: taskText(),
      "steps/step-01": stepText("step-01"),
      "steps/step-02": stepText("step-02"),
    });
    await commitNow(store, task, { "steps/step-01": null, "steps/step-02": stepText("step-02", { status: "passed" }) });
    expect((await store.read(task))?.documents).toEqual({
      task: taskText(),
      "steps/step-02": stepText("step-02", { status: "passed" }),
    });
  });

  it("answers a conflict, and keeps nothing, when the stream is not where the caller thinks", async () => {
    const store = await setup();
    await commitNow(store, task, { task: taskText() });
    for (const expectedSeq of [0, 2, 7]) {
      expect(await store.commit(task, expectedSeq, aChange({ task: taskText({ rev: 9 }) }))).toEqual({
        kind: "conflict",
      });
    }
    expect(await store.read(task)).toMatchObject({ seq: 1, documents: { task: taskText() } });
    expect(await store.commit(otherTask, 3, aChange({ task: taskText() }))).toEqual({ kind: "conflict" });
    expect(await store.read(otherTask)).toBeUndefined();
  });

  it("commits what is decided when its turn comes, and nothing where nothing is decided or the deciding fails", async () => {
    const store = await setup();
    const seq = 1;
    const broken = new Error("decided wrongly");
    const failing = () => {
      throw broken;
    };
    await expect(store.commit(project, seq, failing)).rejects.toBe(broken);
    expect(await store.commit(project, seq, () => undefined)).toEqual({ kind: "conflict" });
    expect((await store.read(project))?.seq).toBe(seq);
    const change = aChange({ project: projectText({ name: "Later" }) });
    expect(await store.commit(project, seq, () => change)).toMatchObject({ kind: "committed", seq: seq + 1 });
    expect((await store.read(project))?.documents["project"]).toBe(projectText({ name: "Later" }));
  });

  it("lets exactly one of several concurrent changes through", { tags: ["s6.optimistic"] }, async () => {
    const store = await setup();
    await commitNow(store, task, { task: taskText() });
    const answers = await Promise.all(
      [1, 2, 3, 4].map((index) => store.commit(task, 1, aChange({ task: taskText({ title: `by ${index}` }) }))),
    );
    expect(answers.filter(({ kind }) => kind === "committed")).toHaveLength(1);
    expect((await store.read(task))?.seq).toBe(2);
  });

  it(
    "tells the records in order, each with its parent's sum",
    { tags: ["s6.history", "s6.record-chain"] },
    async () => {
      const store = await setup();
      for (const rev of [1, 2, 3]) await commitNow(store, task, { task: taskText({ rev }) }, `call-${rev}`);
      const records = await store.history(task, 0);
      expect(records.map(({ seq, callId }) => [seq, callId])).toEqual([
        [1, "call-1"],
        [2, "call-2"],
        [3, "call-3"],
      ]);
      expect(records.map(({ prev }) => prev)).toEqual(["", records[0]?.sum, records[1]?.sum]);
      expect(new Set(records.map(({ id }) => id)).size).toBe(3);
      expect(await store.history(task, 2)).toEqual([records[2]]);
      expect(await store.history(task, 3)).toEqual([]);
      expect((await store.read(task))?.sum).toBe(records[2]?.sum);
    },
  );

  it("lists each project's stream, then its tasks', in a stable order", async () => {
    const store = await setup();
    const early: Stream = { projectId: "app" };
    await commitNow(store, otherTask, { task: taskText({}, otherTask) });
    await commitNow(store, early, { project: projectText({ id: "app" }) });
    await commitNow(store, task, { task: taskText() });
    expect(await store.list()).toEqual([early, project, task, otherTask]);
  });

  it("tells a reader which streams changed since it asked last", async () => {
    const store = await setup();
    await commitNow(store, task, { task: taskText() });
    const first = await store.changed();
    expect(first.streams).toEqual([]);
    const second = await store.changed(first.cursor);
    expect(second.streams).toEqual([]);
    await commitNow(store, otherTask, { task: taskText({}, otherTask) });
    await commitNow(store, task, { task: taskText({ rev: 2 }) });
    const third = await store.changed(second.cursor);
    expect(new Set(third.streams)).toEqual(new Set([otherTask, task]));
    await commitNow(store, project, { project: projectText({ rev: 2 }) });
    expect((await store.changed(third.cursor)).streams).toEqual([project]);
    expect(new Set((await store.changed(second.cursor)).streams)).toEqual(new Set([otherTask, task, project]));
    await expect(store.changed("nonsense")).rejects.toMatchObject({ code: "invalid-parameters" });
  });

  it("tells the tasks of a project at a glance, each as its last record left it", async () => {
    const store = await setup();
    expect(await store.tasks("shop")).toEqual([]);
    expect(await store.tasks("nothing")).toEqual([]);
    await commitNow(store, otherTask, { task: taskText({}, otherTask) });
    await commitNow(store, task, { task: taskText() });
    const sums = async () => Promise.all([task, otherTask].map(async (one) => (await store.read(one))?.sum));
    const seen = async () =>
      (await store.tasks("shop")).map(({ stream, seq, sum, onPage }) => [stream, seq, sum, onPage.status]);
    const [one, two] = await sums();
    expect(await seen()).toEqual([
      [task, 1, one, "draft"],
      [otherTask, 1, two, "draft"],
    ]);
    await commitNow(store, task, { task: taskText({ rev: 2, status: "running" }) });
    expect(await seen()).toEqual([
      [task, 2, (await sums())[0], "running"],
      [otherTask, 1, two, "draft"],
    ]);
    await expect(store.tasks("..")).rejects.toMatchObject({ code: "invalid-id" });
  });

  it("lists its projects", async () => {
    const store = await setup();
    await commitNow(store, { projectId: "app" }, { project: projectText({ id: "app" }) });
    await commitNow(store, task, { task: taskText() });
    expect(await store.projects()).toEqual(["app", "shop"]);
  });

  it("refuses names that could lead out of the folder", { tags: ["s3.ids-inside"] }, async () => {
    const store = await setup();
    const bad = { code: "invalid-id" };
    for (const id of ["", "..", ".", "../shop", "a/b", "A", "-a", "a\\b", "a b", ".git", "a\n", "x".repeat(300)]) {
      await expect(store.read({ projectId: id })).rejects.toMatchObject(bad);
      await expect(store.commit({ projectId: "shop", taskId: id }, 0, aChange({ task: "{}" }))).rejects.toMatchObject(
        bad,
      );
      await expect(store.commit(task, 0, aChange({ [`steps/${id}`]: "{}" }))).rejects.toMatchObject(bad);
      await expect(store.writeSidecar(project, id, 1)).rejects.toMatchObject(bad);
    }
    for (const name of ["project", "journal", "steps", "steps/a/b", "../task", "task.json"]) {
      await expect(store.commit(task, 0, aChange({ [name]: "{}" }))).rejects.toMatchObject(bad);
      expect(() => store.locate(task, name, "document")).toThrow(/is no document name/);
    }
    await expect(store.commit(project, 1, aChange({ task: "{}" }))).rejects.toMatchObject(bad);
    expect(await store.list()).toEqual([project]);
  });

  it("makes no task in a project that does not exist", async () => {
    const store = await setup();
    const lonely: Stream = { projectId: "nowhere", taskId: "t-1" };
    await expect(store.commit(lonely, 0, aChange({ task: "{}" }))).rejects.toMatchObject({ code: "unknown-project" });
    expect(await store.list()).toEqual([project]);
  });

  it(
    "does not write a stream whose document a newer version made, nor the tasks of such a project",
    { tags: ["s3.newer-schema"] },
    async () => {
      const store = await setup();
      await commitNow(store, task, { task: taskText(), "steps/step-01": stepText("step-01", { schemaVersion: 2 }) });
      expect((await store.read(task))?.readOnly?.code).toBe("newer-schema");
      await expect(store.commit(task, 1, aChange({ task: taskText({ rev: 2 }) }))).rejects.toMatchObject({
        code: "newer-schema",
      });
      await commitNow(store, otherTask, { task: taskText({}, otherTask) });
      expect((await store.read(otherTask))?.readOnly).toBeUndefined();
      await commitNow(store, project, { project: projectText({ schemaVersion: 2 }) });
      expect((await store.read(otherTask))?.readOnly?.code).toBe("newer-schema");
      await expect(store.commit(otherTask, 1, aChange({}))).rejects.toMatchObject({ code: "newer-schema" });
    },
  );

  it(
    "does not write a project whose document belongs to another folder, nor its tasks",
    { tags: ["s3.project-copied"] },
    async () => {
      const store = await setup();
      const copy: Stream = { projectId: "shop-copy" };
      await commitNow(store, copy, { project: projectText() });
      expect((await store.read(copy))?.readOnly).toMatchObject({
        code: "project-copied",
        reason: expect.stringContaining('"shop-copy"') as unknown,
      });
      await expect(store.commit(copy, 1, aChange({ project: projectText({ id: "shop-copy" }) }))).rejects.toMatchObject(
        {
          code: "project-copied",
        },
      );
      await expect(store.commit({ ...copy, taskId: "t-1" }, 0, aChange({ task: "{}" }))).rejects.toMatchObject({
        code: "project-copied",
      });
    },
  );

  it("keeps small values beside a stream", async () => {
    const store = await setup();
    expect(await store.readSidecar(project, "owner")).toBeUndefined();
    await store.writeSidecar(project, "owner", { agent: "main", n: 1 });
    await store.writeSidecar(project, "owner", { agent: "main", n: 2 });
    expect(await store.readSidecar(project, "owner")).toEqual({ agent: "main", n: 2 });
    expect(await store.readSidecar(project, "other")).toBeUndefined();
    await store.writeSidecar(task, "owner", "before the first record");
    expect(await store.readSidecar(task, "owner")).toBe("before the first record");
    expect([await store.read(task), await store.list()]).toEqual([undefined, [project]]);
    await commitNow(store, task, { task: taskText() });
    expect(await store.readSidecar(task, "owner")).toBe("before the first record");
    expect(await allRecords(store)).toHaveLength(2);
  });

  it("finds nothing to say about a stream that is as it should be", async () => {
    const store = await setup();
    await commitNow(store, task, { task: taskText(), "steps/step-01": stepText("step-01") });
    await store.refreshPages(project);
    expect([
      ...(await store.verify(project)),
      ...(await store.verify(task)),
      ...(await store.verify(otherTask)),
    ]).toEqual([]);
  });

  it("takes no call after it was closed", async () => {
    const store = await setup();
    await store.close();
    await expect(store.read(project)).rejects.toThrow("closed");
    await expect(store.commit(project, 1, aChange({}))).rejects.toThrow("closed");
    await expect(store.list()).rejects.toThrow("closed");
  });
});

describe("both stores", () => {
  it("give the same records, sums included, for the same changes and ids", async () => {
    const ids = () => {
      let count = 0;
      return () => `r${(count += 1)}`;
    };
    const stores = [
      await aFileStore(aRoot(), { randomId: ids() }),
      createMemoryStore({ renderPages, randomId: ids() }),
    ];
    const told = [];
    for (const store of stores) {
      await commitNow(store, project, { project: projectText() });
      await commitNow(store, task, { task: taskText() });
      await commitNow(store, task, { task: taskText({ rev: 2 }), "steps/step-01": stepText("step-01") });
      told.push(await allRecords(store));
    }
    expect(told[0]).toEqual(told[1]);
  });
});

/** Which tasks are over and told: found at a start, and remembered so that nothing is read of them at the next one. */
import { describe, expect, it } from "vitest";
import { OrchestratorError } from "../../src/errors.ts";
import { readKnownTasks } from "../../src/host/flow-records.ts";
import { readTold, readToldTasks, tellWhatEnded, writeTold } from "../../src/host/told.ts";
import type { Store } from "../../src/store/store.ts";
import { aProject, aTask, createBench } from "../support/bench.ts";
import { owner } from "../support/callers.ts";

const project = { projectId: "shop" };

/** So many tasks that were cancelled, all told. `start` does what a start does and says whom it told and what it read of which task. */
async function setup(count: number) {
  const bench = createBench();
  const asked: string[] = [];
  const warnings: string[] = [];
  const disk = { isFull: false };
  const store: Store = {
    ...bench.store,
    read: (stream) => (asked.push(stream.taskId ?? "project"), bench.store.read(stream)),
    readSidecar: (stream, name) => (
      asked.push(`${name} of ${stream.taskId ?? "project"}`),
      bench.store.readSidecar(stream, name)
    ),
    writeSidecar: (stream, name, value) =>
      disk.isFull
        ? Promise.reject(new OrchestratorError("not-committed", "It could not be written (ENOSPC)."))
        : bench.store.writeSidecar(stream, name, value),
  };
  await bench.done("create_project", aProject());
  const taskIds: string[] = [];
  const cancelled = async (caller = owner()) => {
    const taskId = String((await bench.done("create_task", aTask(), caller))["taskId"]);
    await bench.done("set_task_status", { taskId, status: "cancelled", reason: "Not wanted." }, owner());
    taskIds.push(taskId);
    return taskId;
  };
  const told = async (taskId: string) => {
    const stream = { ...project, taskId };
    const { seq = 0, sum = "" } = (await bench.store.read(stream)) ?? {};
    await writeTold(bench.store, stream, { seq, sum });
  };
  for (let made = 0; made < count; made += 1) await told(await cancelled(owner({ sessionKey: "agent:main:earlier" })));
  const start = async () => {
    const tells: string[] = [];
    asked.splice(0);
    await tellWhatEnded(
      store,
      ({ taskId }) => void tells.push(taskId ?? ""),
      (message) => void warnings.push(message),
    );
    return { tells, asked: [...asked] };
  };
  return { bench, store, asked, warnings, disk, taskIds, cancelled, told, start };
}

describe("a start", () => {
  it(
    "tells what ended untold, and looks at nothing else that is not over",
    { tags: ["s7.told-after-restart"] },
    async () => {
      const { bench, start, cancelled, told } = await setup(0);
      const draft = String((await bench.done("create_task", aTask()))["taskId"]);
      const [untold, behind, heard] = [await cancelled(), await cancelled(), await cancelled()];
      await told(heard);
      await writeTold(bench.store, { ...project, taskId: behind }, { seq: 1, sum: "an earlier one" });
      // As far as this one, in a journal that another one has replaced.
      const replaced = await cancelled();
      const { seq = 0 } = (await bench.store.read({ ...project, taskId: replaced })) ?? {};
      await writeTold(bench.store, { ...project, taskId: replaced }, { seq, sum: "the same number of another one" });
      const { tells, asked } = await start();
      expect(tells.toSorted()).toStrictEqual([untold, behind, replaced].toSorted());
      expect(asked.filter((what) => what.endsWith(draft))).toStrictEqual([]);
    },
  );

  it("reads of tasks that were found told before no sidecar again, and of one that changed since", async () => {
    const { bench, start, taskIds } = await setup(64);
    const [changed = ""] = taskIds;
    expect((await start()).tells).toStrictEqual([]);
    const second = await start();
    expect(second).toStrictEqual({ tells: [], asked: ["told of project"] });
    await bench.store.commit(
      { ...project, taskId: changed },
      (await bench.store.read({ ...project, taskId: changed }))?.seq ?? 0,
      { ...(await lastChangeOf(bench.store, changed)), callId: "again" },
    );
    expect(await start()).toStrictEqual({ tells: [changed], asked: ["told of project", `told of ${changed}`] });
  });

  it("hands on what cannot be looked at, and goes on with the others", async () => {
    const { store, start, cancelled } = await setup(0);
    const [unreadable, untold] = [await cancelled(), await cancelled()];
    const look = store.tasks.bind(store);
    const withoutOutline = async (projectId: string) =>
      (await look(projectId)).map(({ outline, ...glance }) =>
        glance.stream.taskId === unreadable || outline === undefined ? glance : { ...glance, outline },
      );
    store.tasks = withoutOutline;
    expect((await start()).tells.toSorted()).toStrictEqual([unreadable, untold].toSorted());
  });

  it("forgets none of those that it knew when it keeps more, nor for one of which no chat is known", async () => {
    const { bench, start, cancelled, told, taskIds } = await setup(64);
    await start();
    for (let made = 0; made < 64; made += 1) await told(await cancelled(owner({ sessionKey: "agent:main:later" })));
    const stream = { ...project, taskId: taskIds.at(-1) ?? "" };
    await bench.store.writeSidecar(stream, "chats", null);
    await start();
    expect(await readToldTasks(bench.store, "shop")).toMatchObject({
      count: 128,
      owners: ["agent:main:earlier", "agent:main:later"],
    });
    expect(await start()).toStrictEqual({ tells: [], asked: ["told of project"] });
  });

  it("settles flow records without asking for the chats of those, which it knows", async () => {
    const { store, asked, start, cancelled, taskIds } = await setup(64);
    await start();
    const later = await cancelled();
    asked.splice(0);
    const { known, owners } = await readKnownTasks(store, () => undefined);
    expect(asked.filter((what) => what.startsWith("chats"))).toStrictEqual([`chats of ${later}`]);
    expect([...known.keys()].toSorted()).toStrictEqual([...taskIds].toSorted());
    expect(owners).toStrictEqual(["agent:main:earlier", "agent:main:chat"]);
  });

  it("says in the log that it could not keep which were told, and keeps it at the next one", async () => {
    const { bench, start, warnings, disk } = await setup(64);
    disk.isFull = true;
    expect((await start()).tells).toStrictEqual([]);
    expect(warnings).toStrictEqual([expect.stringMatching(/^which tasks of shop were told .*ENOSPC/)]);
    disk.isFull = false;
    await start();
    expect([(await readToldTasks(bench.store, "shop")).count, warnings.length]).toStrictEqual([64, 1]);
  });

  it("goes by each task's own sidecar where what is kept is few, gone or no such thing", async () => {
    const { bench, start, taskIds } = await setup(63);
    await start();
    expect((await readToldTasks(bench.store, "shop")).count).toBe(0);
    const tasks = Object.fromEntries((await bench.store.tasks("shop")).map(({ stream, sum }) => [stream.taskId, sum]));
    const unlisted = [1, "agent:main:earlier", ["agent:main:earlier", 1]].map((owners) => ({ owners, tasks }));
    for (const wrong of [
      null,
      [],
      "told",
      { tasks },
      { owners: [1], tasks },
      { owners: [], tasks: null },
      ...unlisted,
    ]) {
      await bench.store.writeSidecar(project, "told", wrong);
      const { tells, asked } = await start();
      expect([tells, asked.length]).toStrictEqual([[], 1 + taskIds.length]);
    }
  });
});

it("how far a task was told is not known where its sidecar is no such thing", async () => {
  const { store, taskIds } = await setup(1);
  const stream = { ...project, taskId: taskIds[0] ?? "" };
  expect(await readTold(store, stream)).toMatchObject({ sum: expect.any(String) });
  for (const wrong of [null, 7, "told", [], {}, { seq: 1 }, { sum: "x" }, { seq: "1", sum: "x" }, { seq: 1, sum: 2 }]) {
    await store.writeSidecar(stream, "told", wrong);
    expect([wrong, await readTold(store, stream)]).toStrictEqual([wrong, undefined]);
  }
});

async function lastChangeOf(store: Store, taskId: string) {
  const record = (await store.history({ ...project, taskId }, 0)).at(-1);
  if (record === undefined) throw new Error("no record");
  const { at, actor, tool, event } = record;
  return { at, actor, tool, event, documents: {} };
}

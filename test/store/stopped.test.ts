/**
 * A commit that is stopped at each of its disk calls, by the death of the process or of the whole machine. Whatever was
 * acknowledged is there afterwards, whatever was not is absent or complete, and documents and pages follow the journal.
 */
import { cpSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { Disk } from "../../src/store/disk.ts";
import type { Change, Snapshot, Store, Stream } from "../../src/store/store.ts";
import {
  aChange,
  aFileStore,
  aRoot,
  aRootWithTask,
  asides,
  commitNow,
  differences,
  essence,
  isWrite,
  otherTask,
  pathOf,
  project,
  projectText,
  readText,
  stepText,
  systemError,
  task,
  taskText,
  watchedDisk,
  writeText,
  type Call,
} from "./support.ts";

type Scenario = {
  readonly name: string;
  readonly stream: Stream;
  readonly documents: Change["documents"];
  readonly prepare?: (root: string) => void;
};

const change: Change["documents"] = {
  task: taskText({ rev: 3, status: "blocked", title: "A much longer title than before" }),
  "steps/step-01": null,
  "steps/step-02": stepText("step-02", { status: "building" }),
};

const scenarios: readonly Scenario[] = [
  {
    name: "the first change of a project",
    stream: { projectId: "app" },
    documents: { project: projectText({ id: "app" }) },
  },
  {
    name: "the first change of a task",
    stream: otherTask,
    documents: { task: taskText({}, otherTask), "steps/a": stepText("a") },
  },
  { name: "a later change of a project", stream: project, documents: { project: projectText({ name: "S", rev: 2 }) } },
  { name: "a change that adds, replaces and removes", stream: task, documents: change },
  {
    name: "a change behind a torn tail",
    stream: task,
    documents: change,
    prepare: (root) => writeText(root, task, "journal.jsonl", `${readText(root, task, "journal.jsonl")}{"id":"torn`),
  },
  {
    name: "a change over a document that was edited",
    stream: task,
    documents: change,
    prepare: (root) => writeText(root, task, "task.json", '{"edited":"by hand"}\n'),
  },
];

/** How a call is stopped: not done at all, done in part, or done and then nothing more. */
const ways = ["before", "halfway", "after"] as const;
type Way = (typeof ways)[number];

function setup() {
  const templates = aRootWithTask();
  return async ({ prepare }: Scenario) => {
    const root = aRoot();
    cpSync(await templates, root, { recursive: true });
    prepare?.(root);
    return root;
  };
}

/** A disk that does nothing more from the `stopAt`-th changing call on. */
function mortalDisk(stopAt: number, way: Way) {
  const done: Call[] = [];
  let dead = false;
  const disk: Disk = watchedDisk((call, proceed, input) => {
    if (call.name === "close") return proceed();
    if (dead) throw systemError("DEAD");
    if (!isWrite(call)) return proceed();
    done.push(call);
    if (done.length < stopAt) return proceed();
    dead = true;
    if (way === "halfway") doInPart(call, input);
    if (way === "after") proceed();
    throw systemError("DEAD");
  });
  return { disk, done, isDead: () => dead };
}

function doInPart({ name, path }: Call, input: readonly unknown[]): void {
  const bytes = input[1];
  if (!(bytes instanceof Uint8Array)) return;
  const half = bytes.subarray(0, bytes.length >> 1);
  if (name === "append") writeFileSync(path, half, { flag: "a" });
  // The atomic writer may leave its temporary file, and has published half of one when the disk was full.
  if (name === "replaceFile") {
    writeFileSync(`${path}.12345`, half);
    if (half.length % 2 === 0) writeFileSync(path, half);
  }
  if (name === "writeAt") writeFileSync(path, Buffer.concat([half, readOrNothing(path).subarray(half.length)]));
}

function readOrNothing(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch {
    return Buffer.alloc(0);
  }
}

async function attempt(
  store: Store,
  { stream, documents }: Scenario,
): Promise<{ before: Snapshot | undefined; acknowledged: boolean }> {
  let before: Snapshot | undefined;
  try {
    before = await store.read(stream);
    const answer = await store.commit(stream, before?.seq ?? 0, aChange(documents));
    return { before, acknowledged: answer.kind === "committed" };
  } catch {
    return { before, acknowledged: false };
  }
}

/** What must hold after any stop: the state is the one before or the one after, everything follows it, and it can be changed. */
async function expectSound(
  root: string,
  scenario: Scenario,
  base: Snapshot | undefined,
  acknowledged: boolean,
  where: string,
): Promise<void> {
  const { stream, documents } = scenario;
  const store = await aFileStore(root);
  const found = await store.read(stream);
  const wanted = Object.fromEntries(
    Object.entries({ ...base?.documents, ...documents }).filter(([, text]) => text !== null),
  );
  if (found?.seq === (base?.seq ?? 0) + 1) expect(found.documents, where).toEqual(wanted);
  else expect(essence(found), where).toEqual(essence(base));
  if (acknowledged) expect(found?.seq, where).toBe((base?.seq ?? 0) + 1);
  const tasks = () => tasksOf(store, stream);
  if (found !== undefined) expect(differences(root, stream, await tasks()), where).toEqual([]);
  const first = stream.taskId === undefined ? "project" : "task";
  const text =
    stream.taskId === undefined ? projectText({ id: stream.projectId, rev: 99 }) : taskText({ rev: 99 }, stream);
  if (stream.projectId === "app" || found !== undefined || stream.taskId !== undefined)
    await commitNow(store, stream, { [first]: text });
  expect(differences(root, stream, await tasks()), where).toEqual([]);
  expect(await store.verify(stream), where).toEqual([]);
  await store.refreshPages(project);
  expect(differences(root, project, await tasksOf(store, project)), where).toEqual([]);
  await store.close();
}

async function tasksOf(store: Store, stream: Stream) {
  if (stream.taskId !== undefined) return undefined;
  const tasks = [];
  for (const one of await store.list()) {
    if (one.projectId !== stream.projectId || one.taskId === undefined) continue;
    const value = JSON.parse((await store.read(one))?.documents["task"] ?? "{}") as { title: string; status: string };
    tasks.push({ id: one.taskId, title: value.title, status: value.status, updatedAt: "", steps: 0 });
  }
  return tasks;
}

describe.each(scenarios)("$name", (scenario) => {
  it.each(ways)(
    "survives the death of its process at every call, stopped %s it",
    { tags: ["s6.redone"] },
    async (way) => {
      const prepare = setup();
      const intact = await prepare(scenario);
      const observer = await aFileStore(intact);
      const base = await observer.read(scenario.stream);
      await observer.close();
      for (let stopAt = 1; ; stopAt += 1) {
        const root = await prepare(scenario);
        const { disk, done, isDead } = mortalDisk(stopAt, way);
        const store = await aFileStore(root, { disk });
        const { acknowledged } = await attempt(store, scenario);
        const where = `${way} call ${stopAt}: ${done.at(-1)?.name} ${done.at(-1)?.path.slice(root.length)}`;
        await expectSound(root, scenario, base, acknowledged && !isDead(), where);
        const edited = scenario.name.includes("edited") ? ["task.json.edited-20260304T050607Z"] : [];
        const kept = scenario.stream === task ? asides(root, task) : [];
        expect(kept, where).toEqual(edited);
        if (!isDead()) {
          expect(acknowledged).toBe(true);
          expect(stopAt).toBeGreaterThan(4);
          return;
        }
      }
    },
  );
});

describe("a change that was acknowledged", () => {
  type Loss = (bytes: Buffer) => Buffer;
  const losses: readonly (readonly [string, Loss])[] = [
    ["nothing", (bytes) => bytes],
    ["everything", () => Buffer.alloc(0)],
    ["a half", (bytes) => bytes.subarray(0, bytes.length >> 1)],
    ["all but its length", (bytes) => Buffer.alloc(bytes.length)],
    [
      "all but its length and a half",
      (bytes) =>
        Buffer.concat([bytes.subarray(0, bytes.length >> 1), Buffer.alloc(bytes.length - (bytes.length >> 1))]),
    ],
  ];

  it.each(losses)(
    "survives a power cut at every call that keeps %s of what was not synced",
    { tags: ["s6.redone"] },
    async (_name, lose) => {
      for (const scenario of scenarios.filter(({ name }) => !name.includes("edited"))) {
        const prepare = setup();
        for (let stopAt = 1; ; stopAt += 1) {
          const root = await prepare(scenario);
          const journal = pathOf(root, scenario.stream, "journal.jsonl");
          const written = new Set<string>();
          const syncedDirectories = new Set<string>();
          let durable = readOrNothing(journal).length;
          let calls = 0;
          let dead = false;
          const disk = watchedDisk((call, proceed, input) => {
            if (call.name === "close") return proceed();
            if (dead) throw systemError("DEAD");
            if (isWrite(call) && (calls += 1) === stopAt) {
              dead = true;
              throw systemError("DEAD");
            }
            const result = proceed();
            if (call.name === "syncDirectory") syncedDirectories.add(call.path);
            if (call.name === "replaceFile" || call.name === "writeAt") written.add(call.path);
            if (call.name === "sync") {
              expect(input).toHaveLength(1);
              const length = statSync(journal).size;
              return (result as Promise<void>).then(() => void (durable = length));
            }
            return result;
          });
          const observer = await aFileStore(await prepare(scenario));
          const base = await observer.read(scenario.stream);
          await observer.close();
          const store = await aFileStore(root, { disk });
          const { acknowledged } = await attempt(store, scenario);
          losePower(root, scenario, journal, durable, written, syncedDirectories, lose);
          await expectSound(
            root,
            scenario,
            base,
            acknowledged && !dead,
            `power cut at call ${stopAt} of ${scenario.name}`,
          );
          if (scenario.stream === task) expect(asides(root, task)).toEqual([]);
          if (!dead) {
            expect(acknowledged).toBe(true);
            break;
          }
        }
      }
    },
  );

  function losePower(
    root: string,
    { stream }: Scenario,
    journal: string,
    durable: number,
    written: ReadonlySet<string>,
    syncedDirectories: ReadonlySet<string>,
    lose: Loss,
  ): void {
    const folder = pathOf(root, stream, "");
    const isNew = durable === 0 || stream === otherTask || stream.projectId === "app";
    if (isNew && !syncedDirectories.has(folder.replace(/\/$/, ""))) {
      rmSync(folder, { recursive: true, force: true });
      return;
    }
    for (const path of written) {
      if (path === journal || path.endsWith(".gitignore")) continue;
      const bytes = readOrNothing(path);
      if (bytes.length > 0) writeFileSync(path, lose(bytes));
    }
    const bytes = readOrNothing(journal);
    const rest = lose(bytes.subarray(durable));
    truncateSync(journal, durable);
    writeFileSync(journal, rest, { flag: "a" });
  }
});

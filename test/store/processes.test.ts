/** Real processes on one task: nobody's acknowledged change is lost or counted twice, also when processes are killed. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";
import {
  aFileStore,
  aRootWithTask,
  asides,
  commitNow,
  differences,
  pathOf,
  project,
  recordsIn,
  task,
  taskText,
} from "./support.ts";

const worker = new URL("./worker.ts", import.meta.url).pathname;

/** Starts a worker; `acknowledged` grows with what it says is committed. */
function startWorker(root: string, name: string, share: number) {
  const child = spawn(process.execPath, [worker, root, name, String(share)], { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  let complaints = "";
  const heard = { signal: () => undefined as void };
  child.stdout.on("data", (data: Buffer) => {
    said += data.toString();
    heard.signal();
  });
  child.stderr.on("data", (data: Buffer) => (complaints += data.toString()));
  const acknowledged = () => said.split("\n").slice(0, -1);
  const ended = once(child, "close").then(([code]) => ({ code: code as number | null, complaints }));
  /** Resolves when the worker has said so many lines. */
  const reaches = (count: number) =>
    new Promise<void>((resolve) => {
      heard.signal = () => {
        if (acknowledged().length >= count) resolve();
      };
      heard.signal();
    });
  return { child, acknowledged, ended, reaches };
}

async function setup() {
  const root = await aRootWithTask();
  const store = await aFileStore(root);
  await commitNow(store, task, { task: taskText({ count: 0 }) });
  await store.close();
  return root;
}

/** Every acknowledged call stands in the journal once, the counter counts the records, and the files follow. */
async function expectSound(root: string, acknowledged: readonly string[]): Promise<number> {
  const store = await aFileStore(root);
  const snapshot = await store.read(task);
  const calls = recordsIn(task, readFileSync(pathOf(root, task, "journal.jsonl")))
    .slice(3)
    .map(({ callId }) => callId);
  expect(new Set(calls).size).toBe(calls.length);
  expect(calls).toEqual(expect.arrayContaining([...acknowledged]));
  expect(JSON.parse(snapshot?.documents["task"] ?? "")).toMatchObject({ count: calls.length });
  expect(differences(root, task)).toEqual([]);
  expect(asides(root, task)).toEqual([]);
  await store.read(project);
  const { status } = JSON.parse(snapshot?.documents["task"] ?? "") as { readonly status: string };
  const shown = { id: task.taskId ?? "", title: "", status, updatedAt: "", steps: 0 };
  expect(differences(root, project, [shown])).toEqual([]);
  expect(asides(root, project)).toEqual([]);
  return calls.length;
}

it(
  "loses nothing and doubles nothing when three processes change one task at the same time",
  { tags: ["s6.optimistic"] },
  async () => {
    const root = await setup();
    const workers = ["a", "b", "c"].map((name) => startWorker(root, name, 40));
    for (const { ended } of workers) expect(await ended).toEqual({ code: 0, complaints: "" });
    const acknowledged = workers.flatMap((one) => one.acknowledged());
    expect(acknowledged).toHaveLength(120);
    expect(await expectSound(root, acknowledged)).toBe(120);
    expect(readdirSync(pathOf(root, task, "steps")).filter((name) => /\.\d+$/.test(name))).toEqual([]);
  },
);

it(
  "loses no acknowledged change when processes are killed in the middle of their work",
  { tags: ["s6.optimistic", "s6.redone"] },
  async () => {
    const root = await setup();
    const acknowledged: string[] = [];
    for (let round = 0; round < 6; round += 1) {
      const workers = ["x", "y"].map((name) => startWorker(root, `${name}${round}`, 1000));
      await Promise.all(workers.map(({ reaches }) => reaches(3 + round)));
      for (const { child } of workers) child.kill("SIGKILL");
      await Promise.all(workers.map(({ ended }) => ended));
      acknowledged.push(...workers.flatMap((one) => one.acknowledged()));
      await expectSound(root, acknowledged);
    }
    expect(acknowledged.length).toBeGreaterThan(30);
  },
);

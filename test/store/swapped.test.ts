/**
 * A folder of the state that becomes a link to elsewhere at any moment, between any two calls of the store: nothing elsewhere is
 * written or read, and nothing that was acknowledged is lost.
 */
import { cpSync, existsSync, readdirSync, readFileSync, renameSync, statSync, symlinkSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { OrchestratorError } from "../../src/errors.ts";
import { confinedDisk } from "../../src/store/confined-disk.ts";
import { nodeDisk } from "../../src/store/disk.ts";
import {
  aChange,
  aFileStore,
  aRoot,
  aRootWithTask,
  commitNow,
  differences,
  essence,
  pathOf,
  project,
  projectText,
  stepText,
  task,
  taskText,
  watchedDisk,
  type Behaviour,
} from "./support.ts";

/** The same project and task as everywhere, but with other titles: what comes from there can be told. */
async function aRootElsewhere(): Promise<string> {
  const root = aRoot();
  const store = await aFileStore(root);
  await commitNow(store, project, { project: projectText({ name: "Elsewhere" }) });
  const step = stepText("step-01", { title: "Elsewhere" });
  await commitNow(store, task, { task: taskText({ title: "Elsewhere" }), "steps/step-01": step });
  await store.writeSidecar(task, "chat", "Elsewhere");
  await store.close();
  return root;
}

/** Every file and folder below, with its content. */
function contentsOf(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .sort()
    .map((name) => `${name} ${statSync(join(folder, name)).isFile() ? readFileSync(join(folder, name), "utf8") : ""}`);
}

/** Everything that a store is asked for, one after the other; what it refuses is left out. */
async function everyCall(root: string, behave: Behaviour): Promise<{ said: string; committed: boolean }> {
  const store = await aFileStore(root, { disk: watchedDisk(behave, confinedDisk(root, nodeDisk)) });
  const answers: unknown[] = [];
  const ask = async <T>(call: Promise<T>): Promise<T | undefined> => {
    try {
      const answer = await call;
      answers.push(answer);
      return answer;
    } catch (error) {
      if (!(error instanceof OrchestratorError) || error.code === "bug") throw error;
      return undefined;
    }
  };
  await ask(store.list());
  await ask(store.read(project));
  const documents = { task: taskText({ rev: 3 }), "steps/step-02": stepText("step-02") };
  const committed = (await ask(store.commit(task, 2, aChange(documents, "acknowledged"))))?.kind === "committed";
  await ask(store.writeSidecar(task, "chat", "mine"));
  await ask(store.readSidecar(task, "chat"));
  await ask(store.refreshPages(task));
  await ask(store.verify(task));
  await ask(store.history(task, 0));
  await ask(store.tasks("shop"));
  await ask(store.changed());
  await ask(store.read(task).then(essence));
  await store.close();
  return { said: JSON.stringify(answers), committed };
}

async function countCalls(): Promise<number> {
  let count = 0;
  const root = await aRootWithTask();
  const { committed } = await everyCall(root, (_call, proceed) => {
    count += 1;
    return proceed();
  });
  expect(committed).toBe(true);
  return count;
}

describe.skipIf(process.platform !== "linux")("a folder that becomes a link to elsewhere", () => {
  const folders = { "the project": "", "its tasks": "tasks", "the task": "tasks/login-1a2b3c4d" };
  const cases = Object.entries({ ...folders, "its steps": "tasks/login-1a2b3c4d/steps" }).flatMap(([name, folder]) => [
    { name, folder, lasts: "one call" },
    { name, folder, lasts: "every call from then on" },
  ]);

  it.each(cases)(
    "$name at any moment, for $lasts: nothing elsewhere is written or read",
    { tags: ["s3.ids-inside"] },
    async ({ folder, lasts }) => {
      const original = await aRootWithTask();
      const elsewhere = pathOf(await aRootElsewhere(), project, folder);
      const before = contentsOf(elsewhere);
      const calls = await countCalls();
      for (let at = 1; at <= calls; at += 1) {
        const root = aRoot();
        cpSync(original, root, { recursive: true });
        const ours = pathOf(root, project, folder);
        const swap = () => {
          renameSync(ours, `${ours}.real`);
          symlinkSync(elsewhere, ours);
        };
        const swapBack = () => {
          if (!existsSync(`${ours}.real`)) return;
          unlinkSync(ours);
          renameSync(`${ours}.real`, ours);
        };
        let count = 0;
        const { said, committed } = await everyCall(root, (_call, proceed) => {
          count += 1;
          if (count !== at) return proceed();
          swap();
          try {
            return proceed();
          } finally {
            if (lasts === "one call") swapBack();
          }
        });
        swapBack();
        expect({ at, elsewhere: contentsOf(elsewhere) }).toEqual({ at, elsewhere: before });
        expect({ at, said }).toEqual({ at, said: expect.not.stringContaining("Elsewhere") });
        const reopened = await aFileStore(root);
        const snapshot = await reopened.read(task);
        expect({ at, seq: snapshot?.seq, differences: differences(root, task) }).toEqual({
          at,
          seq: committed ? 3 : expect.toSatisfy((seq) => seq === 2 || seq === 3),
          differences: [],
        });
        await reopened.close();
      }
    },
  );
});

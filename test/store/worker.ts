/** A process of its own that commits to one task until its share is done; `processes.test.ts` starts several. */
import { createFileStore } from "../../src/store/file-store.ts";
import type { Stream } from "../../src/store/store.ts";
import { renderPages, rendering } from "./pages.ts";

const [root = "", name = "", share = "0"] = process.argv.slice(2);
const stream: Stream = { projectId: "shop", taskId: "login-1a2b3c4d" };
let ids = 0;
const store = await createFileStore({
  root,
  renderPages,
  rendering,
  now: () => new Date(),
  randomId: () => `${name}-${(ids += 1)}`,
});

type Count = { readonly count: number };

for (let done = 0; done < Number(share);) {
  const snapshot = await store.read(stream);
  if (snapshot === undefined) throw new Error("the task is gone");
  const task = JSON.parse(snapshot.documents["task"] ?? "") as Count;
  const answer = await store.commit(stream, snapshot.seq, {
    at: "2026-03-04T05:06:07.000Z",
    actor: { kind: "driver" },
    tool: "test",
    callId: `${name}-${done}`,
    event: { type: "TaskPaused", v: 1, at: "2026-03-04T05:06:07.000Z", reason: name },
    documents: {
      task: `${JSON.stringify({ ...task, count: task.count + 1, status: "busy ".repeat(task.count % 7) }, null, 2)}\n`,
      [`steps/${name}`]: `${JSON.stringify({ schemaVersion: 1, id: name, status: `${done}`.repeat(done % 40) })}\n`,
    },
  });
  if (answer.kind === "conflict") continue;
  if (answer.warnings.length > 0) throw new Error(answer.warnings.join());
  await store.refreshPages({ projectId: "shop" });
  done += 1;
  process.stdout.write(`${name}-${done - 1}\n`);
}
await store.close();

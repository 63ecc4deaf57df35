/**
 * Flow records in a gateway's database. They are taken out and written while it does not run; counted they are at any time. Making a thousand of them takes
 * OpenClaw half a minute, copying one a thousand times takes none.
 */
import path from "node:path";
import { DatabaseSync, type SQLOutputValue } from "node:sqlite";
import { fieldsOf } from "../harness/json.ts";
import type { HomePaths } from "../harness/openclaw.ts";
import { controllerId } from "../src/host/flow-records.ts";
import { readChats } from "../src/tools/chat-of-task.ts";
import { openPlace, projectId } from "./fixture.ts";

function inDatabase<T>({ state }: HomePaths, work: (database: DatabaseSync) => T): T {
  const database = new DatabaseSync(path.join(state, "state", "openclaw.sqlite"));
  try {
    return work(database);
  } finally {
    database.close();
  }
}

/** A flow record as OpenClaw keeps it, column by column. */
export type FlowRecord = Readonly<Record<string, SQLOutputValue>>;

/** Takes out the flow record of the plugin's only task. */
export function takeFlowRecord(paths: HomePaths): FlowRecord {
  return inDatabase(paths, (database) => {
    const [record, ...others] = database.prepare("SELECT * FROM flow_runs WHERE controller_id = ?").all(controllerId);
    if (record === undefined || others.length > 0) throw new Error("there is not one flow record");
    database.prepare("DELETE FROM flow_runs WHERE controller_id = ?").run(controllerId);
    return record;
  });
}

/** Writes for each draft below the root the record that its task names: a copy of that one. */
export async function writeFlowRecords(paths: HomePaths, like: FlowRecord, root: string): Promise<void> {
  const { store } = await openPlace(root);
  const drafts = (await store.tasks(projectId)).filter(({ outline }) => outline?.status === "draft");
  const chats = await Promise.all(drafts.map(({ stream }) => readChats(store, stream)));
  await store.close();
  const columns = Object.keys(like);
  const state = fieldsOf(JSON.parse(String(like["state_json"])));
  inDatabase(paths, (database) => {
    const insert = database.prepare(
      `INSERT INTO flow_runs (${columns.join(", ")}) VALUES (${columns.map((name) => `:${name}`).join(", ")})`,
    );
    database.exec("BEGIN");
    for (const [at, { stream, seq, sum, outline }] of drafts.entries())
      insert.run({
        ...like,
        flow_id: outline?.flowId ?? null,
        owner_key: chats[at]?.flowOwner.sessionKey ?? null,
        goal: outline?.title ?? null,
        state_json: JSON.stringify({ ...state, ...stream, seq, sum }),
      });
    database.exec("COMMIT");
  });
}

/** How many flow records of the plugin there are, or how many that were last written when that one was. */
export function countFlowRecords(paths: HomePaths, like?: FlowRecord): number {
  const when = like === undefined ? "" : ` AND updated_at = ${String(like["updated_at"])}`;
  const query = `SELECT count(*) AS count FROM flow_runs WHERE controller_id = ?${when}`;
  return inDatabase(paths, (database) => Number(database.prepare(query).get(controllerId)?.["count"]));
}

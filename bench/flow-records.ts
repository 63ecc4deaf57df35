/**
 * Flow records in a gateway's database. They are taken out and written while it does not run; counted they are at any time. Making a thousand of them takes
 * OpenClaw many seconds, copying a few a thousand times takes none.
 */
import path from "node:path";
import { DatabaseSync, type SQLOutputValue } from "node:sqlite";
import { fieldsOf } from "../harness/json.ts";
import type { HomePaths } from "../harness/openclaw.ts";
import { controllerId } from "../src/host/flow-records.ts";
import type { Outline } from "../src/schema/outline.ts";
import { readChats } from "../src/tools/chat-of-task.ts";
import { openPlace, projectId, unfinishedKinds, type Kind } from "./fixture.ts";

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

/** The flow record of one task of each kind. */
export type FlowRecordOf = ReadonlyMap<Kind, FlowRecord>;

/** Takes out the flow records of the plugin, one for a task of each kind that is not over; `kindOf` says which task is of which. */
export function takeFlowRecords(paths: HomePaths, kindOf: ReadonlyMap<string, Kind>): FlowRecordOf {
  return inDatabase(paths, (database) => {
    const records = database.prepare("SELECT * FROM flow_runs WHERE controller_id = ?").all(controllerId);
    const byKind = new Map(records.map((record) => [kindOf.get(taskIdIn(record)) ?? "cancelled", record]));
    if (records.length !== unfinishedKinds.length || !unfinishedKinds.every((kind) => byKind.has(kind)))
      throw new Error("there is not one flow record for each kind of task");
    database.prepare("DELETE FROM flow_runs WHERE controller_id = ?").run(controllerId);
    return byKind;
  });
}

const stateIn = (record: FlowRecord) => fieldsOf(JSON.parse(String(record["state_json"])));
const taskIdIn = (record: FlowRecord) => String(stateIn(record)["taskId"]);

/** Writes for each task below the root that is not over the record that it names: a copy of that of its kind. */
export async function writeFlowRecords(paths: HomePaths, like: FlowRecordOf, root: string): Promise<void> {
  const { store } = await openPlace(root);
  const open = (await store.tasks(projectId)).filter(({ outline }) => outline?.status !== "cancelled");
  const chats = await Promise.all(open.map(({ stream }) => readChats(store, stream)));
  await store.close();
  const columns = Object.keys(like.get("draft") ?? {});
  inDatabase(paths, (database) => {
    const insert = database.prepare(
      `INSERT INTO flow_runs (${columns.join(", ")}) VALUES (${columns.map((name) => `:${name}`).join(", ")})`,
    );
    database.exec("BEGIN");
    for (const [at, { stream, seq, sum, outline }] of open.entries()) {
      if (outline === undefined) throw new Error(`${stream.taskId} has no outline`);
      const kind = kindOfOutline(outline);
      const record = like.get(kind) ?? {};
      const texts = Object.entries(record).map(([name, value]) => [
        name,
        typeof value === "string" ? value.replaceAll(taskIdIn(record), stream.taskId) : value,
      ]);
      insert.run({
        ...(Object.fromEntries(texts) as FlowRecord),
        flow_id: outline.flowId,
        owner_key: chats[at]?.flowOwner.sessionKey ?? null,
        state_json: JSON.stringify({ ...stateIn(record), ...stream, seq, sum }),
      });
    }
    database.exec("COMMIT");
  });
}

function kindOfOutline({ status, questions }: Outline): Kind {
  if (questions > 0) return "asking";
  return unfinishedKinds.find((kind) => kind === status) ?? "cancelled";
}

/** How many flow records of the plugin there are, or how many that were last written when those were. */
export function countFlowRecords(paths: HomePaths, like?: FlowRecordOf): number {
  const times = [...(like?.values() ?? [])].map((record) => String(record["updated_at"]));
  const when = like === undefined ? "" : ` AND updated_at IN (${times.join(", ")})`;
  const query = `SELECT count(*) AS count FROM flow_runs WHERE controller_id = ?${when}`;
  return inDatabase(paths, (database) => Number(database.prepare(query).get(controllerId)?.["count"]));
}

/**
 * Files that were damaged while nobody looked: each file of a project cut off at every byte, with single bits turned over,
 * emptied, zeroed, and so on. Opened again, everything is either as it was, or refused with an error that names the file;
 * never is there a fresh start, and never does something wrong count as true.
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { OrchestratorError } from "../src/errors.ts";
import { findRollback } from "../src/tools/rollback.ts";
import { formatRecord, genesis } from "../src/store/journal.ts";
import { nameOfStream, type Snapshot, type Store, type Stream } from "../src/store/store.ts";
import { aJudgement, aStep, createBench } from "../test/support/bench.ts";
import { config } from "./commands.ts";
import { judge, openStore, recordsOf } from "./oracle.ts";
import { randomFrom, sample, wordsOf, type Options, type Part, type Row, type Violation } from "./part.ts";

/**
 * A project with a task that has something of everything: two steps, a failed and a passed attempt, a question. `older` becomes
 * a copy of it as it was before its last changes.
 */
async function prepareRoot(root: string, older: string): Promise<void> {
  mkdirSync(path.join(root, "projects"), { recursive: true });
  const store = await openStore(root);
  const bench = createBench({ store, root, config });
  const taskId = await bench.started({ steps: [aStep(), aStep()] });
  await bench.built(taskId);
  cpSync(root, older, { recursive: true });
  const qa = await bench.launched(taskId, "step-01", "qa");
  await bench.done("record_qa_result", aJudgement(["c2"]), qa.caller());
  await bench.ended(taskId, "step-01", "qa");
  await store.close();
}

/** What stands in the streams of a root, by name. */
async function snapshotsOf(root: string): Promise<ReadonlyMap<string, Snapshot>> {
  const store = await openStore(root);
  try {
    const found = new Map<string, Snapshot>();
    for (const stream of await store.list()) {
      const snapshot = await store.read(stream);
      if (snapshot !== undefined) found.set(nameOfStream(stream), snapshot);
    }
    return found;
  } finally {
    await store.close();
  }
}

type Damage = {
  readonly name: string;
  readonly file: string;
  readonly apply: (bytes: Buffer) => Buffer | undefined;
};

const bom = Buffer.from([0xef, 0xbb, 0xbf]);

/** What can be done to a file as a whole. */
const wholes: readonly (readonly [string, (bytes: Buffer) => Buffer | undefined])[] = [
  ["empty", () => Buffer.alloc(0)],
  ["gone", () => undefined],
  ["zeros", (bytes) => Buffer.alloc(bytes.length)],
  ["zeros at the end", (bytes) => Buffer.concat([bytes, Buffer.alloc(4096)])],
  [
    "the last page zeros",
    (bytes) =>
      Buffer.concat([bytes.subarray(0, Math.max(0, bytes.length - 512)), Buffer.alloc(Math.min(512, bytes.length))]),
  ],
  ["a byte order mark", (bytes) => Buffer.concat([bom, bytes])],
  ["twice", (bytes) => Buffer.concat([bytes, bytes])],
  ["carriage returns", (bytes) => Buffer.from(bytes.toString("utf8").replaceAll("\n", "\r\n"))],
  ["a key twice in a record", (bytes) => Buffer.from(bytes.toString("utf8").replace('"seq":', '"seq":7,"seq":'))],
  ["a key twice", (bytes) => Buffer.from(bytes.toString("utf8").replace('"rev":', '"rev": 77, "rev":'))],
  [
    "a newer schema",
    (bytes) =>
      Buffer.from(
        bytes
          .toString("utf8")
          .replaceAll('"schemaVersion": 1', '"schemaVersion": 2')
          .replaceAll('\\"schemaVersion\\": 1', '\\"schemaVersion\\": 2'),
      ),
  ],
  [
    "passed",
    (bytes) =>
      Buffer.from(
        bytes
          .toString("utf8")
          .replace('"status": "queued"', '"status": "passed"')
          .replace('\\"status\\": \\"queued\\"', '\\"status\\": \\"passed\\"'),
      ),
  ],
  ["other text", () => Buffer.from("nothing of the kind\n")],
  [
    "invalid text",
    (bytes) => Buffer.concat([bytes.subarray(0, 40), Buffer.from([0xff, 0xfe, 0xc0]), bytes.subarray(40)]),
  ],
];

function damagesOf(root: string, { amount, seed }: Options): readonly Damage[] {
  const files = filesBelow(path.join(root, "projects"));
  const cuts = files.flatMap((file) => {
    const { length } = readFileSync(path.join(root, "projects", file));
    return Array.from({ length }, (_, at) => ({
      file,
      name: `${file} cut off at ${at}`,
      apply: (bytes: Buffer) => bytes.subarray(0, at),
    }));
  });
  const small = files.filter((file) => file.endsWith("shop/journal.jsonl") || file.endsWith("project.json"));
  const random = randomFrom(seed);
  const turn = (file: string, bit: number) => ({
    file,
    name: `${file} with bit ${bit} turned`,
    apply: (bytes: Buffer) => {
      const turned = Buffer.from(bytes);
      turned[bit >> 3] = (turned[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      return turned;
    },
  });
  const bits = files.flatMap((file) => {
    const length = readFileSync(path.join(root, "projects", file)).length * 8;
    // Each bit of a small one, a few of the others.
    return small.includes(file)
      ? Array.from({ length }, (_, bit) => turn(file, bit))
      : Array.from({ length: 400 }, () => turn(file, Math.floor(random() * length)));
  });
  const whole = files.flatMap((file) => wholes.map(([what, apply]) => ({ file, name: `${file}: ${what}`, apply })));
  return amount === "full"
    ? [...whole, ...cuts, ...bits]
    : [...sample(whole, 20, seed), ...sample(cuts, 20, seed), ...sample(bits, 20, seed)];
}

function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => /(\.jsonl|\.json|\.md)$/.test(name) && !path.basename(name).startsWith("."))
    .toSorted();
}

export const damage: Part = {
  name: "damage",
  async run(options) {
    const folder = mkdtempSync(path.join(tmpdir(), "torture-damage-"));
    const root = path.join(folder, "root");
    try {
      const older = path.join(folder, "older");
      await prepareRoot(root, older);
      const truth = await snapshotsOf(root);
      const template = path.join(folder, "template");
      cpSync(root, template, { recursive: true });
      const rows = [await damageFiles(root, template, truth, options)];
      rows.push(
        await moveFolders(root, template, truth, options),
        await restoreOlder(root, template, older, truth, options),
      );
      return rows;
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

async function damageFiles(
  root: string,
  template: string,
  truth: ReadonlyMap<string, Snapshot>,
  options: Options,
): Promise<Row> {
  const violations: Violation[] = [];
  let tried = 0;
  let refused = 0;
  const damages = damagesOf(template, options).filter(({ name }) => [undefined, name].includes(options.only));
  for (const { name, file, apply } of damages) {
    if (tried > 0 && tried % 5_000 === 0) options.say(`${tried} of ${damages.length}, ${violations.length} violations`);
    const target = path.join(root, "projects", file);
    const bytes = readFileSync(path.join(template, "projects", file));
    const damaged = apply(bytes);
    if (damaged?.equals(bytes) === true) continue;
    tried += 1;
    if (damaged === undefined) rmSync(target);
    else writeFileSync(target, damaged);
    const { wrong, isRefused } = await lookAt(
      root,
      truth,
      path.basename(file) === "journal.jsonl" ? (damaged ?? Buffer.alloc(0)) : undefined,
      bytes,
    );
    if (isRefused) refused += 1;
    violations.push(...wrong.map((what) => ({ case: name, what })));
    rmSync(root, { recursive: true, force: true });
    cpSync(template, root, { recursive: true });
    // A store that only refused has waited for nothing, and gives its folders back when the event loop turns.
    await new Promise((resolve) => void setImmediate(resolve));
  }
  return {
    what: "files cut off at every byte, bits turned, emptied, zeroed …",
    tried,
    violations,
    note: `${refused} refused, the rest as it was`,
  };
}

/**
 * Looks at every stream after a damage. Allowed: the truth, and a clear error. A task's journal that lost records at its end
 * reads as it was then: that is an older copy, which is noticed by the flow record of the task (DESIGN 7).
 */
async function lookAt(
  root: string,
  truth: ReadonlyMap<string, Snapshot>,
  journal: Buffer | undefined,
  whole: Buffer,
): Promise<{ readonly wrong: readonly string[]; readonly isRefused: boolean }> {
  const wrong: string[] = [];
  let isRefused = false;
  const store = await openStore(root);
  try {
    const streams = await store.list();
    for (const [name, was] of truth) {
      const stream = was.stream;
      if (!streams.some((one) => nameOfStream(one) === name)) {
        wrong.push(`${name} is not listed any more`);
        continue;
      }
      try {
        const now = await store.read(stream);
        if (now?.readOnly !== undefined) isRefused = true;
        else wrong.push(...differs(now, was, journal, whole).map((what) => `${name}: ${what}`));
        if (
          now !== undefined &&
          now.seq < was.seq &&
          (await findRollback(knowing(store, was), now, "flow")) === undefined
        )
          wrong.push(`${name}: nobody notices that it is older than what the flow record knows`);
      } catch (error) {
        isRefused = true;
        if (!(error instanceof OrchestratorError) || error.code === "bug" || !error.message.includes("journal.jsonl"))
          wrong.push(`${name}: it is refused without naming the file: ${wordsOf(error)}`);
        wrong.push(...(await refusesToWrite(store, stream)));
      }
    }
  } finally {
    await store.close();
  }
  // What was only a document or a page is right again on the disk.
  if (journal === undefined) wrong.push(...judge(root));
  return { wrong, isRefused };
}

/** The store beside a flow record that names the last record of the truth. */
const knowing = (store: Store, { seq, sum }: Snapshot) => ({
  store,
  readFlow: () => Promise.resolve({ flowId: "flow", ended: false, seq, sum }),
});

function differs(
  now: Snapshot | undefined,
  was: Snapshot,
  journal: Buffer | undefined,
  whole: Buffer,
): readonly string[] {
  if (
    now !== undefined &&
    now.seq === was.seq &&
    now.sum === was.sum &&
    JSON.stringify(now.documents) === JSON.stringify(was.documents)
  )
    return [];
  // Only whole records at the end may be missing, and only when the file really lost its end.
  if (journal !== undefined && journal.length < whole.length && whole.subarray(0, journal.length).equals(journal))
    return [];
  if (journal !== undefined && isTornTail(journal, whole)) return [];
  return [
    now === undefined
      ? "it is gone without a word"
      : `it reads as ${now.seq} ${now.sum.slice(0, 8)} instead of ${was.seq} ${was.sum.slice(0, 8)}`,
  ];
}

/** True for a journal whose last line is cut off or zeroed: what a crash leaves of a record that nobody was told of. */
function isTornTail(journal: Buffer, whole: Buffer): boolean {
  const lastLine = whole.lastIndexOf(0x0a, whole.length - 2) + 1;
  return journal.subarray(0, lastLine).equals(whole.subarray(0, lastLine));
}

async function refusesToWrite(store: Store, stream: Stream, last = 1): Promise<readonly string[]> {
  const change = {
    at: "2026-01-01T00:00:00.000Z",
    actor: { kind: "driver" as const },
    tool: "test",
    callId: "",
    event: { type: "FlowLinked" as const, v: 1 as const, at: "2026-01-01T00:00:00.000Z", flowId: "x" },
    documents: {},
  };
  for (const seq of [0, last]) {
    try {
      const { kind } = await store.commit(stream, seq, change);
      return [`${nameOfStream(stream)}: a stream that cannot be read is written: ${kind}`];
    } catch {
      // As it must be.
    }
  }
  return [];
}

/** Folders that were moved, copied or deleted, and files of another kind in their place. */
async function moveFolders(
  root: string,
  template: string,
  truth: ReadonlyMap<string, Snapshot>,
  { only }: Options,
): Promise<Row> {
  const violations: Violation[] = [];
  let tried = 0;
  const projects = path.join(root, "projects");
  const taskId = [...truth.values()].find(({ stream }) => stream.taskId !== undefined)?.stream.taskId ?? "";
  const steps = path.join(projects, "shop", "tasks", taskId, "steps");
  const cases: readonly (readonly [string, () => void, (store: Store) => Promise<readonly string[]>])[] = [
    [
      "a project under another name",
      () => renameSync(path.join(projects, "shop"), path.join(projects, "moved")),
      async (store) =>
        isReadOnly(await store.read({ projectId: "moved" }), await store.read({ projectId: "moved", taskId })),
    ],
    [
      "a project copied",
      () => cpSync(path.join(projects, "shop"), path.join(projects, "copy"), { recursive: true }),
      async (store) => [
        ...isReadOnly(await store.read({ projectId: "copy" }), await store.read({ projectId: "copy", taskId })),
        ...((await store.read({ projectId: "shop", taskId }))?.readOnly === undefined
          ? []
          : ["the original is read-only too"]),
      ],
    ],
    [
      "a task copied beside itself",
      () =>
        cpSync(path.join(projects, "shop", "tasks", taskId), path.join(projects, "shop", "tasks", "copy"), {
          recursive: true,
        }),
      async (store) => isReadOnly(await store.read({ projectId: "shop", taskId: "copy" })),
    ],
    [
      "a step's document deleted",
      () => rmSync(path.join(steps, "step-01.json")),
      async (store) =>
        (await store.read({ projectId: "shop", taskId })) !== undefined && existsSync(path.join(steps, "step-01.json"))
          ? []
          : ["it did not come back"],
    ],
    [
      "all documents and pages deleted",
      () => {
        for (const file of filesBelow(projects)) if (!file.endsWith("journal.jsonl")) rmSync(path.join(projects, file));
      },
      async (store) => {
        await store.read({ projectId: "shop", taskId });
        await store.read({ projectId: "shop" });
        return judge(root);
      },
    ],
    [
      "everything in another place",
      () => {
        renameSync(projects, path.join(root, "elsewhere"));
        mkdirSync(path.join(root, "there"));
        renameSync(path.join(root, "elsewhere"), path.join(root, "there", "projects"));
      },
      async () => {
        const moved = await snapshotsOf(path.join(root, "there"));
        return [...truth].flatMap(([name, was]) => differs(moved.get(name), was, undefined, Buffer.alloc(0)));
      },
    ],
    [
      "a newer version of the plugin has written",
      () => {
        for (const stream of [{ projectId: "shop" }, { projectId: "shop", taskId }]) {
          const folder = path.join(projects, ...nameOfStream(stream).split("/").slice(1));
          let prev = genesis;
          const lines = recordsOf(root, stream).map((record) => {
            const documents = Object.fromEntries(
              Object.entries(record.docs).map(([name, text]) => [name, text === null ? null : newer(text)]),
            );
            const made = formatRecord({ ...record, documents }, record.id, record.seq, prev);
            prev = made.record.sum;
            return `${made.line}\n`;
          });
          writeFileSync(path.join(folder, "journal.jsonl"), lines.join(""));
          for (const file of filesBelow(folder).filter((one) => one.endsWith(".json") && !one.startsWith("tasks")))
            writeFileSync(path.join(folder, file), newer(readFileSync(path.join(folder, file), "utf8")));
        }
      },
      async (store) => {
        const before = filesBelow(projects).map((file) => readFileSync(path.join(projects, file), "utf8"));
        const wrong = [];
        for (const stream of [{ projectId: "shop" }, { projectId: "shop", taskId }]) {
          const now = await store.read(stream);
          if (now?.readOnly?.code !== "newer-schema") wrong.push(`${nameOfStream(stream)} may be written`);
          wrong.push(...(await refusesToWrite(store, stream, now?.seq)));
        }
        const after = filesBelow(projects).map((file) => readFileSync(path.join(projects, file), "utf8"));
        return [...wrong, ...(JSON.stringify(before) === JSON.stringify(after) ? [] : ["a file was changed"])];
      },
    ],
    [
      "a folder where a document was",
      () => {
        rmSync(path.join(steps, "step-01.json"));
        mkdirSync(path.join(steps, "step-01.json"));
      },
      async (store) =>
        (await store.read({ projectId: "shop", taskId }))?.warnings.some((one) => one.includes("step-01.json")) === true
          ? []
          : ["nobody is told"],
    ],
  ];
  for (const [name, doIt, look] of cases) {
    if (![undefined, name].includes(only)) continue;
    rmSync(root, { recursive: true, force: true });
    cpSync(template, root, { recursive: true });
    doIt();
    tried += 1;
    const store = await openStore(root);
    const wrong = await look(store).catch((error: unknown) => [wordsOf(error)]);
    await store.close();
    violations.push(...wrong.map((what) => ({ case: name, what })));
  }
  return { what: "folders moved, copied, deleted", tried, violations };
}

const newer = (text: string) => text.replace('"schemaVersion": 1', '"schemaVersion": 2');

/**
 * An older backup comes back, with its journal or only that. Without OpenClaw's flow record nothing says so, and it reads as
 * it was then; with it every change is refused until the newer files are back, or a person goes on with a reason.
 */
async function restoreOlder(
  root: string,
  template: string,
  older: string,
  truth: ReadonlyMap<string, Snapshot>,
  { only }: Options,
): Promise<Row> {
  const violations: Violation[] = [];
  let tried = 0;
  const was = [...truth.values()].find(({ stream }) => stream.taskId !== undefined);
  if (was === undefined) throw new Error("no task");
  const taskId = was.stream.taskId ?? "";
  const task = path.join("projects", "shop", "tasks", taskId);
  const journal = path.join(task, "journal.jsonl");
  const backups: readonly (readonly [string, string])[] = [
    ["an older backup of everything", "projects"],
    ["an older backup of the task", task],
    ["an older backup of the task's journal alone", journal],
  ];
  for (const [name, part] of backups) {
    if (![undefined, name].includes(only)) continue;
    tried += 1;
    const say = (what: string) => violations.push({ case: name, what });
    const put = (from: string) => {
      rmSync(path.join(root, part), { recursive: true, force: true });
      cpSync(path.join(from, part), path.join(root, part), { recursive: true });
    };
    rmSync(root, { recursive: true, force: true });
    cpSync(template, root, { recursive: true });
    put(older);
    const store = await openStore(root);
    try {
      const { readFlow } = knowing(store, was);
      const bench = createBench({ store, root, config, readFlow });
      const pause = async () =>
        (await bench.call("set_task_status", { taskId, status: "paused", reason: "Wait." })).text;
      // The project's page follows when somebody looks at the project.
      const lookedAt = async () => (await bench.call("get_status", { projectId: "shop" }), judge(root));
      const refusal = await pause();
      if (!refusal.includes("state-rolled-back")) say(`a change is answered with: ${refusal}`);
      const status = (await bench.call("get_status", { taskId })).text;
      if (!status.includes("state-rolled-back")) say("the status does not say it");
      for (const what of await lookedAt()) say(what);
      put(template);
      const answer = await pause();
      if (answer.includes("Refused")) say(`with the newer files back a change is answered with: ${answer}`);
      put(older);
      const goOn = { taskId, status: "running", reason: "Go on from here." };
      const gone = (await bench.call("set_task_status", goOn)).text;
      if (gone.includes("Refused")) say(`going on is answered with: ${gone}`);
      for (const what of await lookedAt()) say(what);
    } catch (error) {
      say(wordsOf(error));
    } finally {
      await store.close();
    }
  }
  return { what: "older backups put back", tried, violations };
}

const isReadOnly = (...snapshots: readonly (Snapshot | undefined)[]): readonly string[] =>
  snapshots.every((snapshot) => snapshot?.readOnly?.code === "project-copied") ? [] : ["a copy may be written"];

/** What the tools leave on a real disk: files and their fields, what version control sees of them, and when pages are written. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { renderPages } from "../../src/render/pages.ts";
import type { StatusDetails } from "../../src/schema/details.ts";
import { createFileStore } from "../../src/store/file-store.ts";
import type { RenderPages } from "../../src/store/store.ts";
import { aBuilderReport, aJudgement, aProject, aStep, aTask, createBench } from "../support/bench.ts";
import { aRealRoot } from "../support/real-root.ts";
import { owner } from "../support/callers.ts";
import { momentOf } from "../support/histories.ts";

async function setup() {
  const root = await aRealRoot();
  let ids = 0;
  /** Streams whose pages were rendered, in order. */
  const rendered: string[] = [];
  const watched: RenderPages = (input) => {
    rendered.push(input.stream.taskId ?? input.stream.projectId);
    return renderPages(input);
  };
  const store = await createFileStore({
    root,
    renderPages: watched,
    now: () => new Date(momentOf(0)),
    randomId: () => `id-${(ids += 1)}`,
  });
  onTestFinished(() => store.close());
  const bench = createBench({ store, root });
  const file = (...parts: readonly string[]) => path.join(root, "projects", ...parts);
  return {
    root,
    store,
    bench,
    rendered,
    file,
    read: (...parts: readonly string[]) => readFileSync(file(...parts), "utf8"),
    write: (text: string, ...parts: readonly string[]) => writeFileSync(file(...parts), text),
    json: (...parts: readonly string[]): unknown => JSON.parse(readFileSync(file(...parts), "utf8")),
    seqOf: async (taskId: string) => (await store.read({ projectId: "shop", taskId }))?.seq,
  };
}

function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => !statSync(path.join(folder, name)).isDirectory())
    .map((name) => name.split(path.sep).join("/"))
    .toSorted();
}

const keysOf = (value: unknown) => Object.keys(typeof value === "object" && value !== null ? value : {});

/** The stream and the change that a page's last line names, after its hash was found right. */
function originOf(page: string): string {
  const [, body, origin, hash] =
    /^([^]*)\n\*This page is generated from (.*)\. Edits.* sha256:(.*)\*\n$/.exec(page) ?? [];
  expect(
    createHash("sha256")
      .update(body ?? "")
      .digest("hex"),
  ).toBe(hash);
  return origin ?? "";
}

describe("a project with a task", () => {
  it("is exactly these files", { tags: ["s3.layout"] }, async () => {
    const { bench, root, file } = await setup();
    await bench.done("create_project", aProject());
    const taskId = String(
      (await bench.done("create_task", aTask({ steps: [aStep(), aStep({ id: "own" })] })))["taskId"],
    );
    const steps = ["acceptance", "own", "step-01"].flatMap((id) => [`steps/${id}.json`, `steps/${id}.md`]);
    const inTask = [".chats.json", "journal.jsonl", ...steps, "task.json", "task.md"];
    expect(filesBelow(path.join(root, "projects"))).toEqual(
      [
        ...[".gitignore", ".pulse.json", "journal.jsonl", "project.json", "project.md"].map((name) => `shop/${name}`),
        ...inTask.map((name) => `shop/tasks/${taskId}/${name}`),
      ].toSorted(),
    );
    expect(statSync(file("shop", "repo")).isDirectory()).toBe(true);
  });

  it(
    "has documents with their fields in order, and the answers say where",
    { tags: ["s3.project-fields", "s3.task-fields", "s3.step-fields", "s3.format"] },
    async () => {
      const { bench, read } = await setup();
      const made = await bench.done("create_project", aProject());
      const task = await bench.done("create_task", aTask());
      const documents = [
        [String(made["projectPath"]), "schemaVersion rev id name spec repo origin createdAt updatedAt"],
        [
          String(task["taskPath"]),
          "schemaVersion rev id projectId title spec acceptanceCriteria status startedAt pausedAt cancelledAt dependsOn flowId question steps origin createdAt updatedAt",
        ],
        [
          path.join(path.dirname(String(task["taskPath"])), "steps", "step-01.json"),
          "schemaVersion rev id taskId projectId index kind title goal passCriteria dependsOn checks status attempt maxAttempts passedBy question builder qa attempts createdAt updatedAt",
        ],
      ] as const;
      for (const [file, keys] of documents) {
        const text = readFileSync(file, "utf8");
        const value: unknown = JSON.parse(text);
        expect(keysOf(value).join(" ")).toBe(keys);
        expect(text).toBe(`${JSON.stringify(value, null, 2)}\n`);
        expect(value).toMatchObject({ schemaVersion: 1, rev: 1, createdAt: momentOf(0), updatedAt: momentOf(0) });
      }
      expect(read("shop", "project.json")).toContain('"name": "Shop"');
    },
  );

  it("is seen by version control without what belongs to this machine", { tags: ["s3.gitignore"] }, async () => {
    const { bench, root, file, write, store } = await setup();
    const taskId = await bench.started();
    const at = ["shop", "tasks", taskId] as const;
    const before = filesBelow(file("shop")).filter((name) => !/\.(chats|pulse)\.json$/.test(name));
    mkdirSync(file("shop", "repo", "src"), { recursive: true });
    mkdirSync(file("shop", ".trees"), { recursive: true });
    write("code", "shop", "repo", "src", "code.js");
    write("index", "shop", ".trees", "index");
    await store.writeSidecar({ projectId: "shop" }, "lease", 1);
    await store.writeSidecar({ projectId: "shop", taskId }, "chats", 1);
    for (const name of ["task.json", "task.md", "steps/step-01.json"]) {
      write("kept aside", ...at, `${name}.edited-20260101T000000Z`);
      write("left behind", ...at, `${name.replace(".md", ".json")}.12345`);
    }
    write("checkpoint", ...at, ".checkpoint.json");
    write("left behind", ...at, ".chats.json.7");
    write("left behind", "shop", ".gitignore.7");
    const git = (...words: readonly string[]) => execFileSync("git", ["-C", root, ...words], { encoding: "utf8" });
    git("init", "--quiet");
    const seen = git("ls-files", "--others", "--exclude-standard", "--", "projects/shop").trimEnd().split("\n");
    expect(seen.map((name) => name.slice("projects/shop/".length)).toSorted()).toEqual(before);
  });

  it("holds a chat's session key nowhere but beside the journal", { tags: ["s3.session-keys"] }, async () => {
    const { bench, file } = await setup();
    const number = "15550001111";
    const chat = () => owner({ sessionKey: `agent:main:whatsapp:direct:+${number}` });
    await bench.done("create_project", aProject(), chat());
    const taskId = String(
      (await bench.done("create_task", aTask({ acceptanceCriteria: ["It works."] }), chat()))["taskId"],
    );
    await bench.done("create_step", { taskId, ...aStep() }, chat());
    await bench.done("start_task", { taskId }, chat());
    const builder = await bench.launched(taskId, "step-01", "builder");
    await bench.done("record_builder_result", aBuilderReport(), builder.caller());
    await bench.ended(taskId, "step-01", "builder");
    const qa = await bench.launched(taskId, "step-01", "qa");
    await bench.done("record_qa_result", aJudgement(), qa.caller());
    await bench.ended(taskId, "step-01", "qa");
    await bench.done("set_step_status", { taskId, stepId: "step-02", status: "blocked", reason: "Wait." }, chat());
    await bench.done("set_task_status", { taskId, status: "paused" }, chat());
    const holding = filesBelow(file("shop")).filter((name) =>
      readFileSync(file("shop", name), "utf8").includes(number),
    );
    expect(holding).toEqual([`tasks/${taskId}/.chats.json`]);
    const hash = createHash("sha256").update(chat().sessionKey).digest("hex").slice(0, 16);
    for (const name of ["project.json", "journal.jsonl", `tasks/${taskId}/task.json`, `tasks/${taskId}/journal.jsonl`])
      expect(readFileSync(file("shop", name), "utf8")).toContain(hash);
  });
});

describe("a step's progress", () => {
  it(
    "changes its own document and no other while the task's status stays",
    { tags: ["s3.step-status-once", "s3.rev"] },
    async () => {
      const { bench, store, json } = await setup();
      const taskId = await bench.started({ steps: [aStep(), aStep()] });
      const before = json("shop", "tasks", taskId, "task.json");
      const { seq = 0 } = (await store.read({ projectId: "shop", taskId })) ?? {};
      const builder = await bench.launched(taskId, "step-01", "builder");
      await bench.done("record_builder_result", aBuilderReport(), builder.caller());
      await bench.ended(taskId, "step-01", "builder");
      const records = await store.history({ projectId: "shop", taskId }, seq);
      expect(records.map(({ event, docs }) => [event.type, Object.keys(docs)])).toEqual([
        ["RunPlanned", ["steps/step-01"]],
        ["RunLaunched", ["steps/step-01"]],
        ["BuilderReported", ["steps/step-01"]],
        ["RunEnded", ["steps/step-01"]],
      ]);
      expect(json("shop", "tasks", taskId, "task.json")).toEqual(before);
      const revs = records.map(({ docs }) => (JSON.parse(docs["steps/step-01"] ?? "{}") as { rev: number }).rev);
      expect(revs).toEqual([2, 3, 4, 5]);
      expect(json("shop", "tasks", taskId, "steps/step-02.json")).toMatchObject({ rev: 1 });
    },
  );
});

describe("a page", () => {
  it(
    "of a task and of its steps shows each change at once, and says which change it shows",
    { tags: ["s3.task-pages", "s3.page-last-line"] },
    async () => {
      const { bench, read, seqOf } = await setup();
      const taskId = await bench.started({ steps: [aStep(), aStep()] });
      const changeOn = (page: string) => originOf(read("shop", "tasks", taskId, page));
      const stream = `projects/shop/tasks/${taskId}`;
      expect(changeOn("steps/step-02.md")).toBe(`${stream}, change 1`);
      expect(changeOn("task.md")).toBe(`${stream}, change 2`);
      const builder = await bench.launched(taskId, "step-01", "builder");
      expect(changeOn("steps/step-01.md"), "also a change that it does not show").toBe(`${stream}, change 4`);
      expect(changeOn("task.md")).toBe(`${stream}, change 4`);
      await bench.done("record_builder_result", aBuilderReport({ summary: "Built like this." }), builder.caller());
      expect(await seqOf(taskId)).toBe(5);
      expect(changeOn("steps/step-01.md")).toBe(`${stream}, change 5`);
      expect(read("shop", "tasks", taskId, "steps/step-01.md")).toContain("Built like this.");
      await bench.ended(taskId, "step-01", "builder");
      await bench.done("set_step_status", { taskId, stepId: "step-01", status: "blocked", reason: "Wait." });
      expect(changeOn("task.md")).toBe(`${stream}, change ${await seqOf(taskId)}`);
      expect(changeOn("steps/step-01.md")).toBe(`${stream}, change ${await seqOf(taskId)}`);
      expect(changeOn("steps/step-02.md")).toBe(`${stream}, change 1`);
      expect(originOf(read("shop", "project.md"))).toBe("projects/shop, change 1");
    },
  );

  it(
    "of a project is written when a task comes or its status changes, and not for a step's progress",
    { tags: ["s3.project-page-when", "s3.project-page-tasks"] },
    async () => {
      const { bench, read, rendered } = await setup();
      const counts = () =>
        [...read("shop", "project.md").matchAll(/^\| (\w+)[^|]* \| (\d+) \|$/gm)].map(
          ([, status, count]) => `${count} ${status}`,
        );
      await bench.done("create_project", aProject());
      expect(counts()).toEqual([]);
      const taskId = String((await bench.done("create_task", aTask()))["taskId"]);
      expect(counts()).toEqual(["1 draft"]);
      await bench.done("start_task", { taskId });
      expect(counts()).toEqual(["1 running"]);
      rendered.length = 0;
      await bench.launched(taskId, "step-01", "builder");
      expect(new Set(rendered)).toEqual(new Set([taskId]));
      await bench.done("set_task_status", { taskId, status: "paused" });
      expect(counts()).toEqual(["1 paused"]);
      expect(rendered).toContain("shop");
    },
  );
});

describe("files that were edited behind the back", () => {
  const statusOf = async (bench: ReturnType<typeof createBench>, parameters: Readonly<Record<string, unknown>>) =>
    // get-status.test.ts compares the shape with its schema.
    (await bench.done("get_status", parameters)) as unknown as StatusDetails;

  it(
    "are undone by the next change, kept aside, and named by the status of the task and of the project",
    { tags: ["s6.edited-document", "s6.edited-page"] },
    async () => {
      const { bench, read, write, file } = await setup();
      const taskId = await bench.started();
      const at = ["shop", "tasks", taskId] as const;
      const edited = read(...at, "steps/step-01.json").replace('"status": "queued"', '"status": "passed"');
      write(edited, ...at, "steps/step-01.json");
      write("My page.\n", ...at, "task.md");
      write("My project.\n", "shop", "project.md");
      await bench.done("set_step_status", { taskId, stepId: "step-01", status: "blocked", reason: "Wait." });
      expect(read(...at, "steps/step-01.json")).toContain('"status": "blocked"');
      expect(read(...at, "task.md")).toContain("blocked");
      const asides = filesBelow(file("shop")).filter((name) => name.includes(".edited-"));
      expect(asides.map((name) => [name, readFileSync(file("shop", name), "utf8")])).toEqual([
        ["project.md.edited-20260101T000000Z", "My project.\n"],
        [`tasks/${taskId}/steps/step-01.json.edited-20260101T000000Z`, edited],
        [`tasks/${taskId}/task.md.edited-20260101T000000Z`, "My page.\n"],
      ]);
      const words = "was changed by hand or by another program; that has no effect, and it is kept as";
      const { task } = await statusOf(bench, { taskId });
      expect(task?.warnings.toSorted()).toEqual([
        `projects/shop/tasks/${taskId}/steps/step-01.json ${words} steps/step-01.json.edited-20260101T000000Z.`,
        `projects/shop/tasks/${taskId}/task.md ${words} task.md.edited-20260101T000000Z.`,
      ]);
      expect((await statusOf(bench, { projectId: "shop" })).project?.warnings).toContain(
        `projects/shop/project.md ${words} project.md.edited-20260101T000000Z.`,
      );
    },
  );

  it("are found and undone by get_status with verify", { tags: ["s6.verify", "s6.edited-document"] }, async () => {
    const { bench, read, write } = await setup();
    const taskId = await bench.started();
    const at = ["shop", "tasks", taskId] as const;
    const [document, page] = [read(...at, "task.json"), read(...at, "steps/step-01.md")];
    write(document.replace('"running"', '"done"'), ...at, "task.json");
    write(page.replace("queued", "passed"), ...at, "steps/step-01.md");
    const { verify } = await statusOf(bench, { taskId, verify: true });
    expect(verify?.findings.map(({ name, repaired }) => [name, repaired])).toEqual([
      ["task.json", true],
      ["steps/step-01.md", true],
    ]);
    expect(read(...at, "task.json")).toBe(document);
    const aboveLastLine = (text: string) => text.split("\n").slice(0, -2);
    expect(aboveLastLine(read(...at, "steps/step-01.md"))).toEqual(aboveLastLine(page));
    expect((await statusOf(bench, { taskId, verify: true })).verify?.findings).toEqual([]);
    expect((await statusOf(bench, { taskId })).task?.warnings.join()).toContain("task.json was changed by hand");
  });
});

describe("a status of a project that is asked for again", () => {
  it("says what changed meanwhile, whatever it was", async () => {
    const { store, root, bench, write, read } = await setup();
    const taskId = await bench.started();
    const other = String((await bench.done("create_task", aTask({ title: "Other" })))["taskId"]);
    const flow = { flowId: "flow-9", ended: false, seq: 99, sum: "f".repeat(64) };
    const now: { remarks: string[]; holder?: string; delay?: string; flow?: typeof flow } = { remarks: [] };
    const asking = (notify: "steps" | "off") =>
      createBench({
        store,
        root,
        config: { notify },
        readFlow: () => Promise.resolve(now.flow),
        live: {
          remarks: () => now.remarks,
          waitsFor: ({ taskId: of = "" }) =>
            of === taskId && now.holder !== undefined ? [{ taskId, kind: "task", id: now.holder }] : [],
          delayOf: ({ taskId: of }) =>
            of === taskId && now.delay !== undefined ? { since: momentOf(0), words: now.delay } : undefined,
        },
      });
    const benches = { steps: asking("steps"), off: asking("off") };
    const textOf = async (notify: keyof typeof benches = "steps") =>
      (await benches[notify].call("get_status", { projectId: "shop" })).text;
    let before = await textOf();
    expect(await textOf()).toBe(before);
    /** Only now it says that, and says the same again. */
    const says = async (words: string, notify?: keyof typeof benches) => {
      expect(before).not.toContain(words);
      before = await textOf(notify);
      expect(before).toContain(words);
      expect(await textOf(notify)).toBe(before);
    };
    now.remarks = ["Another gateway drives the projects here"];
    await says("Another gateway drives");
    now.holder = other;
    await says(`Waits: ${taskId} for task ${other}`);
    now.delay = "The disk is full.";
    await says("The disk is full.");
    await says("is told of questions only", "off");
    await bench.done("set_task_status", { taskId, status: "paused" });
    await says("1 paused");
    write(read("shop", "project.json").replace('"Shop"', '"Mine"'), "shop", "project.json");
    await benches.steps.call("get_status", { projectId: "shop", verify: true });
    await says("project.json was changed by hand");
    write("{}", "shop", "tasks", other, "task.json");
    await benches.steps.call("get_status", { taskId: other, verify: true });
    await says("task.json was changed by hand");
    now.flow = flow;
    await says("state-rolled-back");
    write("not a journal\n", "shop", "tasks", other, "journal.jsonl");
    await says(`task ${other} is unreadable`);
    write("not a journal\n", "shop", "journal.jsonl");
    await says("It is unreadable");
  });
});

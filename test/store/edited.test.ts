/** Files that a person, a program or a crash changed behind the store's back: work is kept aside, rubbish is redone quietly. */
import {
  cpSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { advance, createReading } from "../../src/store/journal.ts";
import { framePage, readPage, sourceOfPage } from "../../src/store/pages.ts";
import type { Stream } from "../../src/store/store.ts";
import { fc } from "../support/properties.ts";
import {
  aChange,
  aFileStore,
  aRoot,
  aRootWithTask,
  asides,
  commitNow,
  differences,
  otherTask,
  pathOf,
  project,
  projectText,
  readText,
  renderPages,
  rendering,
  stepText,
  task,
  taskText,
  watchedDisk,
  writeText,
} from "./support.ts";

const current = taskText({ rev: 2, status: "running" });
const aside = "task.json.edited-20260304T050607Z";

describe("what stands in a folder before its stream begins there", () => {
  it("is kept aside, and nothing of it is overwritten", async () => {
    const root = await aRootWithTask();
    const store = await aFileStore(root);
    mkdirSync(pathOf(root, otherTask, "steps"), { recursive: true });
    for (const file of ["task.md", "steps/step-01.json", "steps/step-01.md"]) writeText(root, otherTask, file, "Mine.");
    const documents = { task: taskText({}, otherTask), "steps/step-01": stepText("step-01") };
    const warnings = await commitNow(store, otherTask, documents);
    expect(warnings).toHaveLength(3);
    expect(asides(root, otherTask).map((file) => readText(root, otherTask, file))).toEqual(["Mine.", "Mine.", "Mine."]);
    expect(differences(root, otherTask)).toEqual([]);
  });
});

describe("a document that was changed by hand", () => {
  const edited = taskText({ rev: 2, status: "done" });

  it(
    "is kept aside, written again and told when the stream is opened",
    { tags: ["s6.edited-document", "s6.document-at-open"] },
    async () => {
      const root = await aRootWithTask();
      writeText(root, task, "task.json", edited);
      const store = await aFileStore(root);
      const snapshot = await store.read(task);
      expect(snapshot?.documents["task"]).toBe(current);
      expect(snapshot?.warnings).toEqual([expect.stringMatching(`task.json was changed by hand.*no effect.*${aside}`)]);
      expect([readText(root, task, "task.json"), readText(root, task, aside)]).toEqual([current, edited]);
      expect(asides(root, task)).toEqual([aside]);
      expect((await store.read(task))?.warnings).toHaveLength(1);
    },
  );

  it(
    "is kept aside before the next change overwrites it, by a store that had it right before",
    { tags: ["s6.edited-document", "s6.document-before-overwrite"] },
    async () => {
      const root = await aRootWithTask();
      const store = await aFileStore(root);
      await store.read(task);
      writeText(root, task, "steps/step-01.json", "my notes");
      const warnings = await commitNow(store, task, { "steps/step-01": stepText("step-01", { status: "building" }) });
      expect(warnings).toEqual([expect.stringContaining("steps/step-01.json was changed by hand")]);
      expect(readText(root, task, "steps/step-01.json.edited-20260304T050607Z")).toBe("my notes");
      expect(differences(root, task)).toEqual([]);
    },
  );

  it(
    "is kept aside each time, under a name of its own, but equal texts only once",
    { tags: ["s6.edited-document"] },
    async () => {
      const root = await aRootWithTask();
      for (const text of ["one", "two", "two", "three"]) {
        writeText(root, task, "task.json", text);
        await (await aFileStore(root)).read(task);
      }
      expect(asides(root, task)).toEqual([aside, `${aside}-2`, `${aside}-3`]);
    },
  );

  it("is kept aside when it stands where a document was removed", async () => {
    const root = await aRootWithTask();
    const store = await aFileStore(root);
    await store.read(task);
    writeText(root, task, "steps/step-01.json", "my notes");
    writeText(root, task, "steps/step-01.md", "my page");
    await commitNow(store, task, { "steps/step-01": null });
    expect(
      asides(root, task)
        .map((name) => readText(root, task, name))
        .sort(),
    ).toEqual(["my notes", "my page"]);
    expect(() => readText(root, task, "steps/step-01.json")).toThrow("ENOENT");
    expect(() => readText(root, task, "steps/step-01.md")).toThrow("ENOENT");
  });

  it("and is a link is moved aside as a link; nothing is written or copied through it", async () => {
    const root = await aRootWithTask();
    const outside = join(aRoot(), "secret.json");
    writeFileSync(outside, "secret");
    rmSync(pathOf(root, task, "task.json"));
    symlinkSync(outside, pathOf(root, task, "task.json"));
    const store = await aFileStore(root);
    await commitNow(store, task, { task: taskText({ rev: 3 }) });
    expect(readFileSync(outside, "utf8")).toBe("secret");
    expect(readlinkSync(pathOf(root, task, aside))).toBe(outside);
    expect(differences(root, task)).toEqual([]);
  });

  it(
    "is found by verify, with every other difference, and the second verify finds nothing",
    { tags: ["s6.verify"] },
    async () => {
      const root = await aRootWithTask();
      const store = await aFileStore(root);
      await store.read(task);
      writeText(root, task, "task.json", edited);
      writeText(root, task, "task.md", `${readText(root, task, "task.md")}\nMy words.\n`);
      rmSync(pathOf(root, task, "steps/step-01.json"));
      writeText(root, task, "steps/step-77.json", "{}");
      const findings = await store.verify(task);
      expect(findings.map(({ name, what, repaired }) => [name, what.slice(0, 15), repaired])).toEqual([
        ["task.json", "was changed by ", true],
        ["steps/step-01.json", "was missing", true],
        ["task.md", "was changed by ", true],
        ["steps/step-77.json", "is not known to", false],
      ]);
      expect((await store.verify(task)).map(({ name }) => name)).toEqual(["steps/step-77.json"]);
      expect(differences(root, task)).toEqual([]);
    },
  );
});

describe("a document that nobody wrote like that", () => {
  const quiet: readonly (readonly [string, string | Uint8Array])[] = [
    ["empty", ""],
    ["all zeros", new Uint8Array(500)],
    ["a beginning of the current version", current.slice(0, 40)],
    ["a beginning of an older version", taskText().slice(0, 130)],
    ["a beginning with zeros behind it", `${current.slice(0, 40)}\0\0\0`],
    ["an older version", taskText()],
    ["reformatted", JSON.stringify(JSON.parse(current))],
    ["with other line ends", current.replaceAll("\n", "\r\n")],
    ["with a byte order mark", `\uFEFF${current}`],
  ];

  it.each(quiet)(
    "(%s) is written again without a word",
    { tags: ["s6.torn-document", "s6.reformatted-document"] },
    async (_name, content) => {
      const root = await aRootWithTask();
      writeText(root, task, "task.json", content);
      const store = await aFileStore(root);
      expect((await store.read(task))?.warnings).toEqual([]);
      expect([readText(root, task, "task.json"), asides(root, task)]).toEqual([current, []]);
    },
  );

  it(
    "is told from an edit whatever it holds: every text is either redone quietly or kept",
    { tags: ["s6.edited-document", "s6.torn-document"] },
    async () => {
      const root = await aRootWithTask();
      const anyText = fc.oneof(
        fc.string(),
        fc.json(),
        fc.nat(current.length).map((cut) => current.slice(0, cut)),
      );
      await fc.assert(
        fc.asyncProperty(anyText, async (content) => {
          for (const name of asides(root, task)) rmSync(pathOf(root, task, name));
          writeText(root, task, "task.json", content);
          const store = await aFileStore(root);
          const snapshot = await store.read(task);
          await store.close();
          const isBeginning =
            [current, taskText()].some((version) => version.startsWith(content)) || /^\0*$/.test(content);
          expect(readText(root, task, "task.json")).toBe(current);
          expect(snapshot?.warnings.length).toBe(isBeginning ? 0 : 1);
          expect(asides(root, task).map((name) => readText(root, task, name))).toEqual(
            isBeginning ? [] : [Buffer.from(content).toString()],
          );
        }),
        { numRuns: 60 },
      );
    },
  );
});

describe("a page", () => {
  it(
    "ends with a sentence that says where it comes from, the hash of its body, and of what it was made",
    { tags: ["s3.page-last-line"] },
    async () => {
      const root = await aRootWithTask();
      const page = readText(root, task, "task.md");
      expect(page).toMatch(
        /^# Login\n\nIs running\.\n- steps\/step-01 is queued\n\n\*This page is generated from projects\/shop\/tasks\/login-1a2b3c4d, change 2\. Edits here are not read and will be overwritten\. sha256:[0-9a-f]{64} of [0-9a-f]{16}\*\n$/,
      );
    },
  );

  it.each([
    ["inside", (page: string) => page.replace("Is running", "Is nearly done")],
    ["behind its last line", (page: string) => `${page}\nMy own words.\n`],
    ["altogether", () => "My own page.\n"],
    ["by cutting its last line off", (page: string) => `${page.slice(0, 20)}!`],
  ])("that was edited %s is kept aside and written again", { tags: ["s6.edited-page"] }, async (_name, edit) => {
    const root = await aRootWithTask();
    const page = readText(root, task, "task.md");
    writeText(root, task, "task.md", edit(page));
    const store = await aFileStore(root);
    expect((await store.read(task))?.warnings).toEqual([expect.stringContaining("task.md was changed by hand")]);
    expect([readText(root, task, "task.md"), readText(root, task, "task.md.edited-20260304T050607Z")]).toEqual([
      page,
      edit(page),
    ]);
  });

  it.each([
    ["empty", () => ""],
    ["a beginning", (page: string) => page.slice(0, 25)],
    ["zeros", (page: string) => "\0".repeat(page.length)],
    ["followed by the end of a longer, older one", (page: string) => `${page}rest of it\n${page.slice(-220)}`],
    ["with other line ends", (page: string) => page.replaceAll("\n", "\r\n")],
  ])("that is torn or converted (%s) is written again without a word", async (_name, tear) => {
    const root = await aRootWithTask();
    const page = readText(root, task, "task.md");
    writeText(root, task, "task.md", tear(page));
    const store = await aFileStore(root);
    expect((await store.read(task))?.warnings).toEqual([]);
    expect(asides(root, task)).toEqual([]);
    expect(differences(root, task)).toEqual([]);
  });

  describe("that names what it is made of", () => {
    /** Opens the task anew; answers its warnings and for which documents pages were rendered. */
    async function opened(root: string, look: "read" | "verify" = "read") {
      const rendered: (readonly string[] | "all")[] = [];
      const store = await aFileStore(root, {
        rendering,
        renderPages: (input) => (
          input.stream.taskId === undefined || rendered.push(input.changed ?? "all"),
          renderPages(input)
        ),
      });
      const findings = look === "verify" ? await store.verify(task) : [];
      const warnings = (await store.read(task))?.warnings;
      await store.close();
      return { rendered, warnings, findings: findings.map(({ name }) => name) };
    }
    /** A page of the task with a last line that fits it. */
    const put = (root: string, file: string, body: string, source?: string, seq = 2) =>
      writeText(root, task, file, framePage(task, seq, body, source));
    function source(root: string) {
      const reading = createReading(task);
      advance(reading, readFileSync(pathOf(root, task, "journal.jsonl")));
      return sourceOfPage(reading, "task", rendering);
    }

    it.each([1, 2])("is not rendered again to be compared, in a task of %s records", async (records) => {
      const root = records === 2 ? await aRootWithTask() : aRoot();
      const store = await aFileStore(root);
      if (records === 1) {
        await commitNow(store, project, { project: projectText() });
        await commitNow(store, task, { task: taskText(), "steps/step-01": stepText("step-01") });
      }
      await store.close();
      expect(await opened(root)).toEqual({ rendered: [], warnings: [], findings: [] });
    });

    it("is rendered when it is the page of another step that the same change made", async () => {
      const root = await aRootWithTask();
      const store = await aFileStore(root);
      await commitNow(store, task, { "steps/step-02": stepText("step-02"), "steps/step-01": stepText("step-01") });
      await store.close();
      writeText(root, task, "steps/step-02.md", readText(root, task, "steps/step-01.md"));
      expect(await opened(root)).toMatchObject({ rendered: [["steps/step-02"]] });
      expect(differences(root, task)).toEqual([]);
    });

    it("is rendered when its last line is that of another state", async () => {
      const root = await aRootWithTask();
      const [, own = ""] = readText(root, task, "task.md").split(" of ");
      const [older = ""] = framePage(task, 2, "# Older\n", "7 task another record").split(" of ");
      writeText(root, task, "task.md", `${older} of ${own}`);
      expect(await opened(root)).toMatchObject({ rendered: [["task"]] });
      expect(differences(root, task)).toEqual([]);
    });

    it.each([
      ["was made of something else", (root: string) => put(root, "task.md", "# Older\n", "7 task another record")],
      ["does not say it", (root: string) => put(root, "task.md", "# Older\n")],
      ["is missing", (root: string) => rmSync(pathOf(root, task, "task.md"))],
      [
        "names an earlier change than its document's last",
        (root: string) => put(root, "task.md", "# Older\n", source(root), 1),
      ],
    ])("is rendered when it %s, and no page of a step then", async (_name, change) => {
      const root = await aRootWithTask();
      const page = readText(root, task, "task.md");
      change(root);
      expect(await opened(root)).toMatchObject({ rendered: [["task"]], warnings: [] });
      expect(readText(root, task, "task.md")).toBe(page);
    });

    it("of a step is rendered when its own is another one", async () => {
      const root = await aRootWithTask();
      put(root, "steps/step-01.md", "# Older\n", "7 task another record", 1);
      expect(await opened(root)).toMatchObject({ rendered: [["steps/step-01"]] });
      expect(differences(root, task)).toEqual([]);
    });

    it("is rendered anew by a newer rendering", async () => {
      const root = await aRootWithTask();
      const store = await aFileStore(root, { rendering: 8, renderPages: () => ({ task: "# Newer\n" }) });
      expect((await store.read(task))?.warnings).toEqual([]);
      expect(readText(root, task, "task.md")).toMatch(/^# Newer\n[^]* of [0-9a-f]{16}\*\n$/);
    });

    it("says it from the first opening on where it did not, once", async () => {
      const root = await aRootWithTask();
      const page = readText(root, task, "task.md");
      put(root, "task.md", readPage(page)?.body ?? "");
      expect([await opened(root), await opened(root)]).toMatchObject([{ rendered: [["task"]] }, { rendered: [] }]);
      expect(readText(root, task, "task.md")).toBe(page);
    });

    it("is kept aside when it was edited, whatever it names", { tags: ["s6.edited-page"] }, async () => {
      const root = await aRootWithTask();
      const page = readText(root, task, "task.md");
      writeText(root, task, "task.md", page.replace("Is running", "Is done"));
      expect((await opened(root)).warnings).toEqual([expect.stringContaining("task.md was changed by hand")]);
      expect(readText(root, task, "task.md")).toBe(page);
    });

    it("is not believed when everything is verified", { tags: ["s6.verify"] }, async () => {
      const root = await aRootWithTask();
      const page = readText(root, task, "task.md");
      put(root, "task.md", "# Older\n", source(root));
      expect(await opened(root, "verify")).toMatchObject({ rendered: ["all"], findings: ["task.md"] });
      expect(readText(root, task, "task.md")).toBe(page);
    });
  });

  it(
    "of a project follows its tasks, also those that another store changed or a crash left behind",
    { tags: ["s3.project-page-when"] },
    async () => {
      const root = await aRootWithTask();
      const [here, there] = [await aFileStore(root), await aFileStore(root)];
      const lines = () =>
        readText(root, project, "project.md")
          .split("\n")
          .filter((line) => line.startsWith("- "));
      await here.refreshPages(project);
      expect(lines()).toEqual(["- login-1a2b3c4d: running"]);
      await commitNow(there, otherTask, { task: taskText({}, otherTask) });
      expect(lines()).toEqual(["- login-1a2b3c4d: running"]);
      await here.refreshPages(project);
      expect(lines()).toEqual(["- login-1a2b3c4d: running", "- search-5e6f7a8b: draft"]);
      await commitNow(there, task, { task: taskText({ rev: 3, status: "done" }) });
      await commitNow(here, project, { project: projectText({ rev: 2 }) });
      expect(lines()).toEqual(["- login-1a2b3c4d: done", "- search-5e6f7a8b: draft"]);
      await commitNow(there, otherTask, { task: taskText({ rev: 2, status: "done" }, otherTask) });
      await (await aFileStore(root)).read(project);
      expect(lines()).toEqual(["- login-1a2b3c4d: done", "- search-5e6f7a8b: done"]);
    },
  );

  it("of a project shows a task whose journal is damaged, and can be read all the same", async () => {
    const root = await aRootWithTask();
    writeText(root, task, "journal.jsonl", "damaged\n");
    const store = await aFileStore(root);
    expect((await store.read(project))?.seq).toBe(1);
    expect(readText(root, project, "project.md")).toContain("- login-1a2b3c4d: unreadable");
    expect(await store.tasks("shop")).toMatchObject([{ stream: task, failure: { code: "journal-damaged" } }]);
  });
});

describe("a journal", () => {
  it(
    "that is damaged is an error that names file and line; nothing is written",
    { tags: ["s6.damage", "s6.damage-kept"] },
    async () => {
      const root = await aRootWithTask();
      const store = await aFileStore(root);
      await store.read(task);
      const damaged = readText(root, task, "journal.jsonl").replace("Login", "Logon");
      writeText(root, task, "journal.jsonl", `${damaged}\n`.slice(0, -1));
      const fresh = await aFileStore(root);
      const error = {
        code: "journal-damaged",
        message: expect.stringMatching(/tasks\/login-1a2b3c4d\/journal\.jsonl is damaged at line 1/) as unknown,
      };
      await expect(fresh.read(task)).rejects.toMatchObject(error);
      await expect(fresh.commit(task, 2, aChange({ task: taskText({ rev: 3 }) }))).rejects.toMatchObject(error);
      await expect(fresh.history(task, 0)).rejects.toMatchObject(error);
      expect(await fresh.verify(task)).toMatchObject([{ name: "journal.jsonl", repaired: false }]);
      expect(await store.verify(task)).toMatchObject([{ name: "journal.jsonl", repaired: false }]);
      expect(readText(root, task, "journal.jsonl")).toBe(damaged);
      writeText(root, task, "journal.jsonl", damaged.replace("Logon", "Login"));
      expect((await fresh.read(task))?.seq).toBe(2);
    },
  );

  it.each([
    ["gone", (root: string) => rmSync(pathOf(root, task, "journal.jsonl"))],
    ["empty", (root: string) => writeText(root, task, "journal.jsonl", "")],
    ["zeros", (root: string) => writeText(root, task, "journal.jsonl", "\0".repeat(200))],
  ])(
    "that is %s while its documents are there is damaged: the stream is listed and refused, and nothing begins anew",
    { tags: ["s6.damage", "s6.damage-kept"] },
    async (_what, lose) => {
      const root = await aRootWithTask();
      const store = await aFileStore(root);
      const whole = readText(root, task, "journal.jsonl");
      const before = await store.read(task);
      lose(root);
      const error = {
        code: "journal-damaged",
        message: expect.stringMatching(/tasks\/login-1a2b3c4d\/journal\.jsonl .* task\.json/) as unknown,
      };
      for (const one of [store, await aFileStore(root)]) {
        expect(await one.list()).toContainEqual(task);
        await expect(one.read(task)).rejects.toMatchObject(error);
        await expect(one.commit(task, 0, aChange({ task: taskText({ rev: 1 }) }))).rejects.toMatchObject(error);
        await expect(one.commit(task, 2, aChange({ task: taskText({ rev: 3 }) }))).rejects.toMatchObject(error);
        expect(await one.verify(task)).toMatchObject([{ name: "journal.jsonl", repaired: false }]);
        expect(readText(root, task, "task.json")).toBe(before?.documents["task"]);
        expect((await one.read(project))?.seq).toBe(1);
      }
      writeText(root, task, "journal.jsonl", whole);
      expect((await store.read(task))?.seq).toBe(2);
    },
  );

  it("that was replaced by an older copy is read from the start", { tags: ["s6.inode"] }, async () => {
    const root = await aRootWithTask();
    const store = await aFileStore(root);
    const older = readText(root, task, "journal.jsonl");
    await commitNow(store, task, { task: taskText({ rev: 3 }) });
    writeFileSync(`${pathOf(root, task, "journal.jsonl")}.new`, older);
    renameSync(`${pathOf(root, task, "journal.jsonl")}.new`, pathOf(root, task, "journal.jsonl"));
    expect(await store.read(task)).toMatchObject({ seq: 2, documents: { task: current } });
    expect(readText(root, task, "task.json")).toBe(current);
    expect(await store.commit(task, 3, aChange({ task: taskText({ rev: 4 }) }))).toEqual({ kind: "conflict" });
    await commitNow(store, task, { task: taskText({ rev: 3, title: "Again" }) });
    expect(differences(root, task)).toEqual([]);
    expect((await (await aFileStore(root)).read(task))?.documents["task"]).toBe(taskText({ rev: 3, title: "Again" }));
  });

  it("that was rewritten in place, shorter or longer, is read from the start", { tags: ["s6.inode"] }, async () => {
    const root = await aRootWithTask();
    const store = await aFileStore(root);
    const older = readText(root, task, "journal.jsonl");
    await commitNow(store, task, { task: taskText({ rev: 3 }) });
    const newer = readText(root, task, "journal.jsonl");
    writeText(root, task, "journal.jsonl", older);
    expect((await store.read(task))?.seq).toBe(2);
    await commitNow(store, task, { task: taskText({ rev: 3, title: "A" }) });
    writeText(root, task, "journal.jsonl", `${newer}{"id":"torn, so that it is longer than what was there`);
    expect((await store.read(task))?.documents["task"]).toBe(taskText({ rev: 3 }));
  });

  it(
    "that is replaced while a change is on its way does not let the change be acknowledged in the lost file",
    { tags: ["s6.inode"] },
    async () => {
      const root = await aRootWithTask();
      const journal = pathOf(root, task, "journal.jsonl");
      const older = readFileSync(journal);
      for (const when of ["append", "sync", "replaceFile"] as const) {
        let replaced = false;
        const disk = watchedDisk((call, proceed) => {
          if (call.name === when && !replaced) {
            replaced = true;
            rmSync(journal);
            writeFileSync(journal, older);
          }
          return proceed();
        });
        const store = await aFileStore(root, { disk });
        const answer = await store.commit(task, 2, aChange({ task: taskText({ rev: 3, title: when }) }));
        const now = await (await aFileStore(root)).read(task);
        expect([when, answer.kind === "committed"]).toEqual([when, now?.seq === 3]);
        expect(differences(root, task)).toEqual([]);
        writeFileSync(journal, older);
      }
    },
  );

  it("that vanished with its documents takes its stream with it", async () => {
    const root = await aRootWithTask();
    const store = await aFileStore(root);
    await store.read(task);
    rmSync(pathOf(root, task, "."), { recursive: true });
    expect(await store.read(task)).toBeUndefined();
    expect(await store.list()).toEqual([project]);
    expect(await store.commit(task, 2, aChange({ task: taskText({ rev: 3 }) }))).toEqual({ kind: "conflict" });
  });

  it("that is a link or a folder is refused", { tags: ["s6.unreadable"] }, async () => {
    const root = await aRootWithTask();
    const journal = pathOf(root, task, "journal.jsonl");
    renameSync(journal, `${journal}.real`);
    symlinkSync(`${journal}.real`, journal);
    const store = await aFileStore(root);
    await expect(store.read(task)).rejects.toMatchObject({ code: "journal-unreadable" });
    rmSync(journal);
    mkdirSync(journal);
    await expect(store.read(task)).rejects.toMatchObject({ code: "journal-unreadable" });
  });
});

describe("a folder", () => {
  it(
    "that is a copy of a project is read-only with its tasks, and nothing in it is touched",
    { tags: ["s3.project-copied"] },
    async () => {
      const root = await aRootWithTask();
      const copy: Stream = { projectId: "shop-2" };
      cpSync(pathOf(root, project, ""), pathOf(root, copy, ""), { recursive: true });
      writeText(root, { ...task, ...copy }, "task.json", "edited");
      const store = await aFileStore(root);
      expect((await store.read(copy))?.readOnly?.code).toBe("project-copied");
      expect((await store.read({ ...task, ...copy }))?.readOnly?.code).toBe("project-copied");
      expect(await store.verify({ ...task, ...copy })).toMatchObject([{ repaired: false }]);
      await expect(store.commit({ ...task, ...copy }, 2, aChange({}))).rejects.toMatchObject({
        code: "project-copied",
      });
      expect(readText(root, { ...task, ...copy }, "task.json")).toBe("edited");
      expect((await store.read(task))?.readOnly).toBeUndefined();
    },
  );

  it(
    "that is a copy of a task, in its own project or another, is read-only",
    { tags: ["s3.project-copied"] },
    async () => {
      const root = await aRootWithTask();
      const store = await aFileStore(root);
      await commitNow(store, { projectId: "app" }, { project: projectText({ id: "app" }) });
      for (const copy of [
        { projectId: "shop", taskId: "login-2" },
        { ...task, projectId: "app" },
      ]) {
        cpSync(pathOf(root, task, ""), pathOf(root, copy, ""), { recursive: true });
        expect((await store.read(copy))?.readOnly?.code).toBe("project-copied");
      }
    },
  );

  it("that leads outside the root is neither listed nor used", { tags: ["s3.ids-inside"] }, async () => {
    const root = await aRootWithTask();
    const elsewhere = await aRootWithTask();
    symlinkSync(pathOf(elsewhere, project, ""), pathOf(root, { projectId: "linked" }, ""));
    symlinkSync(pathOf(elsewhere, task, ""), pathOf(root, otherTask, ""));
    symlinkSync(join(elsewhere, "nothing"), pathOf(root, { projectId: "dangling" }, ""));
    const before = readText(elsewhere, task, "journal.jsonl");
    const store = await aFileStore(root);
    expect(await store.list()).toEqual([project, task]);
    for (const stream of [
      { projectId: "linked" },
      otherTask,
      { projectId: "dangling" },
      { projectId: "linked", taskId: "login-1a2b3c4d" },
    ]) {
      await expect(store.read(stream)).rejects.toThrow("outside the root");
      await expect(store.commit(stream, 0, aChange({}))).rejects.toThrow("outside the root");
      await expect(store.writeSidecar(stream, "x", 1)).rejects.toThrow("outside the root");
    }
    expect(readText(elsewhere, task, "journal.jsonl")).toBe(before);
  });

  it("of steps that leads outside the root is not used either", async () => {
    const root = await aRootWithTask();
    rmSync(pathOf(root, task, "steps"), { recursive: true });
    const elsewhere = aRoot();
    symlinkSync(elsewhere, pathOf(root, task, "steps"));
    const store = await aFileStore(root);
    await expect(store.read(task)).rejects.toThrow("outside the root");
    expect(readdirSync(elsewhere)).toEqual([]);
  });

  it("keeps sidecars, copies, litter and the repository out of version control", async () => {
    const root = await aRootWithTask();
    expect(readText(root, project, ".gitignore").split("\n")).toEqual(
      expect.arrayContaining(["/repo/", ".*.json", "*.edited-*", "*.json.[0-9]*"]),
    );
    const whole = readText(root, project, ".gitignore");
    rmSync(pathOf(root, project, ".gitignore"));
    await (await aFileStore(root)).read(project);
    expect(readText(root, project, ".gitignore"), "written again by who opens the project next").toBe(whole);
    writeText(root, project, ".gitignore", "mine\n");
    await (await aFileStore(root)).read(project);
    expect(readText(root, project, ".gitignore")).toBe("mine\n");
  });

  it("holds sidecars that are undefined when they are no JSON", async () => {
    const root = await aRootWithTask();
    const store = await aFileStore(root);
    await store.writeSidecar(task, "lease", { until: 1 });
    expect(readText(root, task, ".lease.json")).toBe('{"until":1}\n');
    writeText(root, task, ".lease.json", '{"unt');
    expect(await store.readSidecar(task, "lease")).toBeUndefined();
    await expect(store.writeSidecar(task, "checkpoint", 1)).rejects.toMatchObject({ code: "invalid-id" });
  });
});

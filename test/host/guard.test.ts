/** Which paths lead into kept state, on real files: every way in that the host's file tools would take. */
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import { findStatePath, isWritingTool, pathsOf } from "../../src/host/guard.ts";

/** Two projects, one of them called `repo`, with links from a repository and from outside into kept state. */
function setup() {
  const base = realpathSync(mkdtempSync(path.join(tmpdir(), "guard-")));
  onTestFinished(() => rmSync(base, { recursive: true, force: true }));
  const root = path.join(base, "root");
  for (const project of ["shop", "repo"]) {
    mkdirSync(path.join(root, "projects", project, "tasks", "one", "steps"), { recursive: true });
    mkdirSync(path.join(root, "projects", project, "repo", "src"), { recursive: true });
    writeFileSync(path.join(root, "projects", project, "project.json"), "{}");
  }
  const shop = path.join(root, "projects", "shop");
  const repo = path.join(shop, "repo");
  symlinkSync("..", path.join(repo, "up"));
  symlinkSync("../project.json", path.join(repo, "innocent.json"));
  symlinkSync("../../tasks/one", path.join(repo, "src", "deep"));
  symlinkSync("../project.json", path.join(repo, "innocent.docx"));
  symlinkSync("src", path.join(repo, "inside"));
  symlinkSync(shop, path.join(base, "elsewhere"));
  symlinkSync(path.join(shop, "repo"), path.join(base, "work"));
  return {
    base,
    root,
    shop,
    repo,
    /** What is found for a path, seen from a working directory. */
    found: (given: string, cwd = repo) => findStatePath([given], [cwd], [root]),
  };
}

const fromHome = (absolute: string) => `~/${path.relative(homedir(), absolute)}`;

describe("the guard", { tags: ["s7.guard-paths"] }, () => {
  it("finds kept state behind every form of a path", async () => {
    const { base, root, shop, repo, found } = setup();
    const state = path.join(shop, "project.json");
    const ways = [
      state,
      "../project.json",
      "src/../../project.json",
      "./../tasks/one/steps/step-01.json",
      "../tasks/one/new.json",
      "../journal.jsonl",
      "../repo",
      "../../new-project/project.json",
      "up/project.json",
      "up/tasks/one/task.md",
      "innocent.json",
      "src/deep/task.json",
      path.join(base, "elsewhere", "project.json"),
      `${repo}/../project.json`,
      "@../project.json",
      `@${state}`,
      `@${fromHome(state)}`,
      fromHome(state),
      pathToFileURL(state).href,
      `@${pathToFileURL(state).href}`,
      pathToFileURL(state).href.replace("project.json", "%70roject.json"),
      pathToFileURL(`${repo}/`).href.concat("../project.json"),
      `file://localhost${state}`,
      // What is no URL to the host is a relative path with odd names in it.
      "file:x/../../project.json",
      "FILE:///../../project.json",
      "file://elsewhere/../../../project.json",
      " ../project.json",
      // The host mends these ends of paths.
      "innocent.json</arg_value>>",
      "innocent.json</arg_value>>>",
      "innocent.docodex",
    ];
    for (const way of ways) expect([way, await found(way)]).toStrictEqual([way, way]);
    for (const way of ["projects/shop/project.json", "@projects/shop/tasks/x.json", "projects/repo/project.json"])
      expect([way, await found(way, root)]).toStrictEqual([way, way]);
    expect(await found("project.json", shop)).toBe("project.json");
    expect(await found("project.json", path.join(base, "elsewhere"))).toBe("project.json");
  });

  it(
    "lets everything in a project's own repo pass, and everything outside of projects/",
    { tags: ["s7.guard-repo-free"] },
    async () => {
      const { base, root, shop, repo, found } = setup();
      const ways = [
        "a.txt",
        "project.json",
        "tasks/one/task.json",
        "src/../b.txt",
        "inside/new.txt",
        "new/deep/folder/x.json",
        "repo/x",
        "@a.txt",
        ".@./project.json",
        path.join(shop, "repo", "x"),
        path.join(root, "projects", "repo", "repo", "x"),
        path.join(base, "work", "x"),
        path.join(root, "notes.md"),
        path.join(root, "projects-old", "x"),
        pathToFileURL(path.join(repo, "x y.txt")).href,
        "~/notes.md",
        "/",
      ];
      for (const way of ways) expect([way, await found(way)]).toStrictEqual([way, undefined]);
      expect(await found("projects/shop/repo/a.txt", root)).toBeUndefined();
    },
  );

  it("takes only the folder called repo right below a project for one", { tags: ["s7.guard-repo-free"] }, async () => {
    const { root, found } = setup();
    for (const way of ["repo/project.json", "repo/repo", "shop/tasks/repo/x", "shop/Repo2/x", "shop/repo-old/x", "x"])
      expect([way, await found(`projects/${way}`, root)]).toStrictEqual([way, `projects/${way}`]);
  });

  it("sees through a repo that was replaced by a link", async () => {
    const { shop, repo, found } = setup();
    rmSync(repo, { recursive: true });
    symlinkSync(".", repo);
    expect(await found(path.join(shop, "repo", "project.json"))).toBeDefined();
  });

  it("follows a link to its target also when nothing is there yet", async () => {
    const { base, shop, repo, found } = setup();
    symlinkSync("../tasks/one/chats.json", path.join(repo, "notes.txt"));
    symlinkSync("notes.txt", path.join(repo, "src", "again.txt"));
    symlinkSync("../src/again.txt", path.join(repo, "src", "once-more.txt"));
    symlinkSync("../notes.txt", path.join(repo, "src", "to-notes.txt"));
    symlinkSync(path.join(shop, "new.json"), path.join(repo, "absolute.json"));
    symlinkSync("../../new-project", path.join(repo, "new-folder"));
    // Not the repository's parent: the folder behind the link has another one.
    symlinkSync("src/deep/../new", path.join(repo, "behind-a-link"));
    symlinkSync("../project.json.later", path.join(base, "work", "later"));
    for (const way of ["notes.txt", "src/to-notes.txt", "absolute.json", "new-folder/project.json", "behind-a-link"])
      expect([way, await found(way)]).toStrictEqual([way, way]);
    expect(await found("later", path.join(base, "work"))).toBe("later");
    for (const way of ["src/again.txt", "src/once-more.txt"])
      expect([way, await found(way)]).toStrictEqual([way, undefined]);
    symlinkSync("../elsewhere.txt", path.join(base, "outside.txt"));
    expect(await found(path.join(base, "outside.txt"))).toBeUndefined();
  });

  it("takes a link whose end cannot be told for one into kept state", async () => {
    const { repo, found } = setup();
    symlinkSync("two", path.join(repo, "one"));
    symlinkSync("one", path.join(repo, "two"));
    symlinkSync("itself/..", path.join(repo, "itself"));
    symlinkSync("../project.json", path.join(repo, "link-0"));
    for (let at = 1; at <= 60; at += 1) symlinkSync(`link-${at - 1}`, path.join(repo, `link-${at}`));
    for (const way of ["one", "one/x", "two", "itself", "itself/x", "link-20", "link-60"])
      expect([way, await found(way)]).toStrictEqual([way, way]);
  });

  it.skipIf(!existsSync(tmpdir().toUpperCase()))(
    "takes a name in other letters for the same file where the disk does",
    async () => {
      const { found } = setup();
      expect(await found("../PROJECT.json")).toBeDefined();
      expect(await found("../TASKS/one/new.json")).toBeDefined();
    },
  );

  it("looks at each working directory that a relative path may start from", async () => {
    const { root, shop, repo } = setup();
    const from = (...cwds: readonly string[]) => findStatePath(["project.json"], cwds, [root]);
    expect(await from(repo, root)).toBeUndefined();
    expect(await from(repo, shop)).toBe("project.json");
  });
});

describe("the README", () => {
  it("says what the guard is not", { tags: ["s7.guard-no-proof"] }, async () => {
    const readme = (await readFile(path.join(import.meta.dirname, "../../README.md"), "utf8")).replace(/\s+/g, " ");
    expect(readme).toContain("A builder's shell can write anywhere your user can.");
    expect(readme).toContain("They find damage and do not prove who wrote");
  });
});

describe("the paths of a call", { tags: ["s7.guard-paths"] }, () => {
  const patch = (...lines: readonly string[]) => ({ input: ["*** Begin Patch", ...lines, "*** End Patch"].join("\n") });

  it("are all that a patch adds, updates, deletes or moves to, as the host reads it", () => {
    const input = patch(
      "*** Add File: a.txt",
      "+*** Add File: text.txt",
      "*** Update File: b.txt\r",
      "*** Move to: c d.txt ",
      "@@",
      "-x",
      "  *** Delete File: e.txt",
    );
    expect(pathsOf("apply_patch", input, ["/f.txt"])).toStrictEqual(["a.txt", "b.txt", "c d.txt", "e.txt", "/f.txt"]);
  });

  it("are the one path of write and edit", () => {
    for (const tool of ["write", "edit"])
      expect(pathsOf(tool, { path: "a.txt", content: "*** Add File: b.txt" })).toStrictEqual(["a.txt"]);
    // The host takes either name of the parameter, and which one wins is its own affair.
    expect(pathsOf("write", { file_path: "a.txt" })).toStrictEqual(["a.txt"]);
    expect(pathsOf("edit", { path: "a.txt", file_path: "b.txt" })).toStrictEqual(["a.txt", "b.txt"]);
    expect(pathsOf("write", { path: 7 })).toStrictEqual([]);
    expect(pathsOf("apply_patch", { input: 7 })).toStrictEqual([]);
  });

  it("count for the tools that write files and for no other", () => {
    expect(["write", "edit", "apply_patch", "read", "exec", "ls"].filter(isWritingTool)).toStrictEqual([
      "write",
      "edit",
      "apply_patch",
    ]);
  });
});

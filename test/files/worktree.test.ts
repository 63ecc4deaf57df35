/** Identity of a working tree on real files, with git and without: what changes it, and that nothing is left in the tree. */
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { createWorktree } from "../../src/files/worktree.ts";

function setup(gitProgram?: string, gitMs?: number) {
  const base = realpathSync(mkdtempSync(path.join(tmpdir(), "po-worktree-")));
  onTestFinished(() => rmSync(base, { recursive: true, force: true }));
  const repo = path.join(base, "repo");
  const keepIn = path.join(base, "kept");
  mkdirSync(repo);
  const warnings: string[] = [];
  const worktree = createWorktree((message) => warnings.push(message), gitProgram, gitMs);
  const write = (name: string, text: string) => {
    mkdirSync(path.dirname(path.join(repo, name)), { recursive: true });
    writeFileSync(path.join(repo, name), text);
  };
  const git = (where: string, ...words: readonly string[]) =>
    execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@example.org", ...words], {
      cwd: path.join(repo, where),
      stdio: "pipe",
    });
  const identify = () => worktree.identify(repo, keepIn);
  return {
    repo,
    keepIn,
    warnings,
    worktree,
    write,
    git,
    identify,
    remove: (name: string) => rmSync(path.join(repo, name), { recursive: true }),
    compare: (before: string | null, after: string | null) =>
      worktree.compare(repo, keepIn, before ?? "none", after ?? "none"),
  };
}

type Tree = ReturnType<typeof setup>;

function aRepository(tree: Tree, where = "."): void {
  mkdirSync(path.join(tree.repo, where), { recursive: true });
  tree.git(where, "init", "--quiet");
}

function commitAll(tree: Tree, where = "."): void {
  tree.git(where, "add", "--all");
  tree.git(where, "commit", "--quiet", "--message", "all");
}

/** Every file below a folder with its content's hash and time of change. */
function everythingIn(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .map((file) => `${file} ${createHash("sha256").update(readFileSync(file)).digest("hex")} ${statSync(file).mtimeMs}`)
    .toSorted((one, other) => (one < other ? -1 : 1));
}

const kinds = [
  ["a git repository", (tree: Tree) => aRepository(tree), undefined],
  ["a folder that is no repository", () => undefined, undefined],
  ["a folder where git cannot be started", () => undefined, "no-such-git"],
] as const;

describe.each(kinds)("the identity of %s", (_what, prepare, gitProgram) => {
  it(
    "changes with what is changed, added and deleted, and names those files",
    { tags: ["s7.tree-names-files"] },
    async () => {
      const tree = setup(gitProgram);
      prepare(tree);
      for (const name of ["same.txt", "src/changed.txt", "deleted.txt"]) tree.write(name, "one");
      const before = await tree.identify();
      expect(await tree.identify()).toBe(before);
      tree.write("src/changed.txt", "two");
      tree.write("src/\u754c new.txt", "one");
      tree.remove("deleted.txt");
      const after = await tree.identify();
      expect(after).not.toBe(before);
      expect(await tree.compare(before, after)).toStrictEqual(["deleted.txt", "src/changed.txt", "src/\u754c new.txt"]);
      expect(await tree.compare(after, after)).toStrictEqual([]);
      expect(tree.warnings).toStrictEqual([]);
    },
  );

  it(
    "is git's own where git can be started, else a hash over the files",
    { tags: ["s7.tree-by-git", "s7.tree-by-hash"] },
    async () => {
      const tree = setup(gitProgram);
      prepare(tree);
      tree.write("a.txt", "one");
      tree.write("b/c.txt", "two");
      const identity = await tree.identify();
      if (gitProgram !== undefined) return expect(identity).toMatch(/^files-[0-9a-f]{64}$/);
      // The same files committed by git alone have the same tree.
      const other = setup();
      aRepository(other);
      for (const name of ["a.txt", "b/c.txt"]) other.write(name, readFileSync(path.join(tree.repo, name), "utf8"));
      commitAll(other);
      expect(identity).toBe(String(other.git(".", "rev-parse", "HEAD^{tree}")).trim());
    },
  );

  it.runIf(process.platform === "linux")(
    "takes any name that a file can have, also one that is no text",
    { tags: ["s7.tree-names-files"] },
    async () => {
      const tree = setup(gitProgram);
      prepare(tree);
      const raw = Buffer.concat([Buffer.from(`${tree.repo}/sub/`), Buffer.from([0x62, 0xff])]);
      const write = (text: string) => {
        for (const name of ["line\nend.txt", "-n", ":(top)x", 'quo"te\\.txt', "sub/ü"]) tree.write(name, text);
        writeFileSync(raw, text);
      };
      write("one");
      const before = await tree.identify();
      write("two");
      const after = await tree.identify();
      expect(await tree.compare(before, after)).toStrictEqual(
        ["-n", ":(top)x", "line\nend.txt", 'quo"te\\.txt', "sub/b\ufffd", "sub/ü"].toSorted(),
      );
      expect(tree.warnings).toStrictEqual([]);
    },
  );

  it.runIf(process.platform !== "win32")("tells whether a file is a program", async () => {
    const tree = setup(gitProgram);
    prepare(tree);
    tree.write("run.sh", "one");
    const before = await tree.identify();
    chmodSync(path.join(tree.repo, "run.sh"), 0o755);
    expect(await tree.compare(before, await tree.identify())).toStrictEqual(["run.sh"]);
  });

  it("is the same again when a change is taken back", async () => {
    const tree = setup(gitProgram);
    prepare(tree);
    tree.write("a.txt", "one");
    const before = await tree.identify();
    tree.write("a.txt", "two");
    await tree.identify();
    tree.write("a.txt", "one");
    expect(await tree.identify()).toBe(before);
  });

  it("passes over installed packages, and takes a link to nothing as it is", async () => {
    const tree = setup(gitProgram);
    prepare(tree);
    tree.write("a.txt", "one");
    symlinkSync("nowhere", path.join(tree.repo, "link"));
    const before = await tree.identify();
    tree.write("node_modules/left-pad/index.js", "one");
    tree.write("inner/node_modules/b/index.js", "one");
    expect(await tree.identify()).toBe(before);
  });

  it("is told when several ask at once", async () => {
    const tree = setup(gitProgram);
    prepare(tree);
    tree.write("a.txt", "one");
    const [first, ...others] = await Promise.all([tree.identify(), tree.identify(), tree.identify()]);
    expect(first).not.toBeNull();
    expect(others).toStrictEqual([first, first]);
  });

  it("is null for a folder that is gone, with a warning", async () => {
    const tree = setup(gitProgram);
    rmSync(tree.repo, { recursive: true });
    expect(await tree.identify()).toBeNull();
    expect(tree.warnings).toHaveLength(1);
  });

  it("is null where a link stands in its place, with a warning, and nothing behind the link is kept", async () => {
    const tree = setup(gitProgram);
    prepare(tree);
    tree.write("a.txt", "one");
    await tree.identify();
    const kept = everythingIn(tree.keepIn).length;
    const elsewhere = path.join(tree.repo, "..", "elsewhere");
    renameSync(tree.repo, elsewhere);
    symlinkSync(elsewhere, tree.repo);
    tree.write("b.txt", "two");
    expect(await tree.identify()).toBeNull();
    expect(everythingIn(tree.keepIn)).toHaveLength(kept);
    expect(tree.warnings).toStrictEqual([expect.stringContaining(`now leads to ${elsewhere}`)]);
  });

  it("writes nothing into the tree", { tags: ["s7.tree-left-alone"] }, async () => {
    const tree = setup(gitProgram);
    prepare(tree);
    tree.write("a.txt", "one");
    const before = everythingIn(tree.repo);
    await tree.identify();
    expect(everythingIn(tree.repo)).toStrictEqual(before);
  });
});

describe("without git", () => {
  it("a link is taken by where it leads and is not followed", { tags: ["s7.tree-by-hash"] }, async () => {
    const { repo, identify, write, remove, compare } = setup("no-such-git");
    const [pipe, outside] = ["pipe", "outside.txt"].map((name) => path.join(repo, "..", name));
    execFileSync("mkfifo", [pipe ?? ""]);
    writeFileSync(outside ?? "", "one");
    symlinkSync("../pipe", path.join(repo, "to-pipe"));
    symlinkSync("/dev/zero", path.join(repo, "to-zero"));
    symlinkSync("../outside.txt", path.join(repo, "to-file"));
    const before = await identify();
    expect(before).toMatch(/^files-/);
    writeFileSync(outside ?? "", "two");
    expect(await identify()).toBe(before);
    remove("to-file");
    write("to-file", "link ../outside.txt");
    expect(await compare(before, await identify())).toStrictEqual(["to-file"]);
  });
});

describe("the git that is started for an identity", () => {
  /** A git that notes what it is asked for. */
  function counted() {
    const base = mkdtempSync(path.join(tmpdir(), "po-worktree-"));
    onTestFinished(() => rmSync(base, { recursive: true, force: true }));
    const [program, notes] = [path.join(base, "git"), path.join(base, "notes")];
    writeFileSync(notes, "");
    const skippingOptions =
      'for word; do [ "$next" ] && next= && continue; case $word in -c) next=1;; *) break;; esac; done';
    writeFileSync(program, `#!/bin/sh\n${skippingOptions}\necho "$word" >>'${notes}'\nexec git "$@"\n`);
    chmodSync(program, 0o755);
    const asked = () => {
      const words = readFileSync(notes, "utf8").split("\n").slice(0, -1).toSorted();
      writeFileSync(notes, "");
      return words;
    };
    return { ...setup(program), asked };
  }

  it("makes the folder once and asks the repository once, and then adds, lists and writes, whether or not something changed", async () => {
    const tree = counted();
    tree.write("a.txt", "one");
    tree.write("node_modules/b/.gitignore", "*\n");
    const before = await tree.identify();
    expect(tree.asked()).toStrictEqual(["--version", "add", "init", "ls-files", "ls-files", "write-tree"]);
    expect(await tree.identify()).toBe(before);
    expect(tree.asked()).toStrictEqual(["add", "ls-files", "write-tree"]);
    tree.write("a.txt", "two");
    const after = await tree.identify();
    expect(tree.asked()).toStrictEqual(["add", "ls-files", "write-tree"]);
    expect(await tree.compare(before, after)).toStrictEqual(["a.txt"]);
    expect(tree.asked()).toStrictEqual(["diff-tree"]);
    expect(await tree.compare(after, after)).toStrictEqual([]);
    expect(tree.asked()).toStrictEqual([]);
  });

  it("adds and writes once more for an ignore file that ignores itself, and not again", async () => {
    const tree = counted();
    tree.write("a.txt", "one");
    await tree.identify();
    tree.write(".gitignore", "*\n");
    tree.asked();
    const hidden = await tree.identify();
    expect(tree.asked()).toStrictEqual(["add", "add", "ls-files", "write-tree", "write-tree"]);
    expect(await tree.identify()).toBe(hidden);
    expect(tree.asked()).toStrictEqual(["add", "ls-files", "write-tree"]);
  });
});

describe("a git that stands in the tree", () => {
  it("is not started, though the PATH has an entry that is no absolute path", async () => {
    const tree = setup();
    const started = path.join(tree.repo, "..", "started");
    tree.write("git", `#!/bin/sh\n: > '${started}'\nexit 1\n`);
    chmodSync(path.join(tree.repo, "git"), 0o755);
    const { PATH = "" } = process.env;
    onTestFinished(() => {
      process.env["PATH"] = PATH;
    });
    process.env["PATH"] = ["", ".", PATH].join(path.delimiter);
    expect(await tree.identify()).toMatch(/^[0-9a-f]{40}$/);
    expect(existsSync(started)).toBe(false);
  });
});

describe("the git folder of ours", () => {
  it.each(["", "HEAD", "config", "objects", "refs", "info", "index"])(
    "is made whole again when somebody removed %j of it, and knows the same tree",
    async (part) => {
      const tree = setup();
      for (const name of ["a.txt", "src/b.txt"]) {
        tree.write(name, "one");
        // Long unchanged: git does not read it again as long as its index knows it.
        utimesSync(path.join(tree.repo, name), 1, 1);
      }
      const before = await tree.identify();
      rmSync(path.join(tree.keepIn, "git", part), { recursive: true });
      expect(await tree.identify()).toBe(before);
      tree.write("a.txt", "two");
      expect(await tree.compare(before, await tree.identify())).toStrictEqual(["a.txt"]);
      expect(tree.warnings).toStrictEqual([]);
    },
  );
});

describe("the making of the git folder of ours", () => {
  it.each(["HEAD", "config"])("is done again where it was cut short at %s", async (part) => {
    const tree = setup();
    tree.write("a.txt", "one");
    const before = await tree.identify();
    renameSync(path.join(tree.keepIn, "git", part), path.join(tree.keepIn, "git", `${part}.lock`));
    expect(await tree.identify()).toBe(before);
    expect(tree.warnings).toStrictEqual([]);
  });
});

describe("a part of the git folder of ours that was torn", () => {
  it.each(
    ["index", "HEAD", "config"].flatMap((part) => [
      [part, "empty", ""],
      [part, "zeros", "\u0000".repeat(200)],
      [part, "garbage", "no git\n[ wrote = this"],
    ]),
  )("(%s: %s) is made anew, and the same tree is known", async (part, _what, bytes) => {
    const tree = setup();
    tree.write("a.txt", "one");
    const before = await tree.identify();
    writeFileSync(path.join(tree.keepIn, "git", part), bytes);
    expect(await tree.identify()).toBe(before);
    tree.write("a.txt", "two");
    expect(await tree.compare(before, await tree.identify())).toStrictEqual(["a.txt"]);
    expect(tree.warnings).toStrictEqual([]);
  });
});

describe("what git has left half written", () => {
  const unfinished = (tree: Tree) =>
    readdirSync(path.join(tree.keepIn, "git"), { recursive: true }).filter((name) => /tmp_|lock/.test(String(name)));

  it.runIf(process.platform !== "win32").each([
    ["there was no room", "trap '' XFSZ; "],
    ["it was ended", ""],
  ])("does not stay, where %s", async (_what, trap) => {
    const bin = mkdtempSync(path.join(tmpdir(), "po-git-"));
    onTestFinished(() => rmSync(bin, { recursive: true, force: true }));
    const program = path.join(bin, "git");
    writeFileSync(program, `#!/bin/sh\n${trap}ulimit -f 100\nexec git "$@"\n`);
    chmodSync(program, 0o755);
    const tree = setup(program);
    tree.write("a.txt", "one");
    const before = await tree.identify();
    writeFileSync(path.join(tree.repo, "large.bin"), randomBytes(1_000_000));
    expect(await tree.identify()).toBeNull();
    expect(tree.warnings).toHaveLength(1);
    tree.remove("large.bin");
    expect(unfinished(tree).filter((name) => !String(name).endsWith("index.lock"))).toStrictEqual([]);
    expect(await tree.identify()).toBe(before);
    expect(unfinished(tree)).toStrictEqual([]);
  });

  it("is removed at the next look, where this process was ended with it", async () => {
    const tree = setup();
    tree.write("a.txt", "one");
    const before = await tree.identify();
    const left = ["index.lock", "objects/pack/tmp_pack_AbCdEf", "objects/5d/tmp_obj_AbCdEf"];
    for (const name of left) {
      mkdirSync(path.dirname(path.join(tree.keepIn, "git", name)), { recursive: true });
      writeFileSync(path.join(tree.keepIn, "git", name), "half");
    }
    expect(await tree.identify()).toBe(before);
    expect(unfinished(tree)).toStrictEqual([]);
  });
});

describe("a git that does not end", () => {
  it("is waited for no longer than its time, with a warning", async () => {
    const base = mkdtempSync(path.join(tmpdir(), "po-worktree-"));
    onTestFinished(() => rmSync(base, { recursive: true, force: true }));
    const slow = path.join(base, "git");
    writeFileSync(slow, '#!/bin/sh\n[ "$1" = --version ] || exec sleep 3600\n');
    chmodSync(slow, 0o755);
    const { identify, warnings } = setup(slow, 3_000);
    expect(await identify()).toBeNull();
    expect(warnings).toHaveLength(1);
  });
});

describe("a git repository", () => {
  it("keeps its index, and what is ignored there changes nothing", { tags: ["s7.tree-left-alone"] }, async () => {
    const tree = setup();
    aRepository(tree);
    tree.write(".gitignore", "build/\n");
    tree.write("staged.txt", "one");
    commitAll(tree);
    tree.write("staged.txt", "two");
    tree.git(".", "add", "staged.txt");
    tree.write("staged.txt", "three");
    const [files, before] = [everythingIn(tree.repo), await tree.identify()];
    expect(everythingIn(tree.repo)).toStrictEqual(files);
    tree.write("build/out.js", "one");
    expect(await tree.identify()).toBe(before);
  });

  it("has files seen that it keeps though they are ignored", { tags: ["s7.tree-names-files"] }, async () => {
    const tree = setup();
    aRepository(tree);
    const kept = ["dist/a.js", "dist/ü b.js", "dist/gone.js", "node_modules/c.js"];
    for (const name of [...kept, "d.txt"]) tree.write(name, "one");
    commitAll(tree);
    tree.write(".gitignore", "dist/\nnode_modules/\n");
    tree.remove("dist/gone.js");
    const before = await tree.identify();
    for (const name of ["dist/a.js", "dist/ü b.js", "dist/new.js", "node_modules/c.js"]) tree.write(name, "two");
    expect(await tree.compare(before, await tree.identify())).toStrictEqual(["dist/a.js", "dist/ü b.js"]);
    expect(tree.warnings).toStrictEqual([]);
  });

  it("is seen though a file is not in the encoding that the repository says of it", async () => {
    const tree = setup();
    aRepository(tree);
    tree.write(".gitattributes", "*.rc working-tree-encoding=UTF-16\n");
    writeFileSync(path.join(tree.repo, "a.rc"), Buffer.from("\ufeffone", "utf16le"));
    const before = await tree.identify();
    tree.write("a.rc", "two");
    expect(await tree.compare(before, await tree.identify())).toStrictEqual(["a.rc"]);
    expect(tree.warnings).toStrictEqual([]);
  });

  it("is seen though a lock was left behind, in it or beside our own index", async () => {
    const tree = setup();
    aRepository(tree);
    tree.write("a.txt", "one");
    const before = await tree.identify();
    writeFileSync(path.join(tree.keepIn, "git", "index.lock"), "");
    tree.write(".git/index.lock", "");
    tree.write("a.txt", "two");
    const after = await tree.identify();
    expect(await tree.compare(before, after)).toStrictEqual(["a.txt"]);
    expect(tree.warnings).toStrictEqual([]);
  });
});

describe("what the user has set for every git", () => {
  it.each(["ignore", "attributes"])(
    "changes nothing of what is seen: %s",
    { tags: ["s7.tree-names-files"] },
    async (kind) => {
      const tree = setup();
      const home = path.join(tree.repo, "..", "home");
      const settings = path.join(home, ".config", "git");
      mkdirSync(settings, { recursive: true });
      writeFileSync(path.join(settings, kind), kind === "ignore" ? "*.txt\n" : "* text\n");
      const earlier = { HOME: process.env["HOME"], XDG_CONFIG_HOME: process.env["XDG_CONFIG_HOME"] };
      onTestFinished(() => {
        for (const [name, value] of Object.entries(earlier))
          if (value === undefined) delete process.env[name];
          else process.env[name] = value;
      });
      process.env["HOME"] = home;
      delete process.env["XDG_CONFIG_HOME"];
      tree.write("a.js", "one\n");
      const before = await tree.identify();
      tree.write("a.js", "one\r\n");
      tree.write("b.txt", "one");
      expect(await tree.compare(before, await tree.identify())).toStrictEqual(["a.js", "b.txt"]);
    },
  );
});

describe("a project's folder that was removed", () => {
  it.each([["git"], ["no-such-git"]])("is not made anew to keep a tree in, with %s", async (program) => {
    const tree = setup(program);
    tree.write("a.txt", "one");
    const project = path.join(path.dirname(tree.keepIn), "gone");
    expect(await tree.worktree.identify(tree.repo, path.join(project, ".trees"))).toBeNull();
    expect(existsSync(project)).toBe(false);
    expect(tree.warnings).toHaveLength(1);
  });
});

describe("git that could not be started once", () => {
  it.runIf(process.platform !== "win32")("is asked for again at the next look", async () => {
    const bin = mkdtempSync(path.join(tmpdir(), "po-git-"));
    onTestFinished(() => rmSync(bin, { recursive: true, force: true }));
    const [program, once] = [path.join(bin, "git"), path.join(bin, "once")];
    writeFileSync(program, `#!/bin/sh\nif [ ! -e '${once}' ]; then : > '${once}'; exit 2; fi\nexec git "$@"\n`);
    chmodSync(program, 0o755);
    const tree = setup(program);
    tree.write("a.txt", "one");
    expect(await tree.identify()).toMatch(/^files-/);
    expect(await tree.identify()).toMatch(/^[0-9a-f]{40}$/);
  });
});

describe("a repository inside the tree", () => {
  const innerOnes = [
    ["with a commit", true],
    ["without a commit", false],
  ] as const;

  it.each(innerOnes)("%s has its files seen", async (_what, committed) => {
    const tree = setup();
    aRepository(tree);
    aRepository(tree, "packages/inner");
    tree.write("packages/inner/a.txt", "one");
    tree.write("b.txt", "one");
    if (committed) commitAll(tree, "packages/inner");
    const before = await tree.identify();
    tree.write("packages/inner/a.txt", "two");
    tree.write("packages/inner/new.txt", "one");
    const after = await tree.identify();
    expect(await tree.compare(before, after)).toStrictEqual(["packages/inner/a.txt", "packages/inner/new.txt"]);
    if (committed) commitAll(tree, "packages/inner");
    expect(await tree.identify()).toBe(after);
    expect(tree.warnings).toStrictEqual([]);
  });

  it.each(innerOnes)(
    "%s that comes or goes makes another kind of identity, which cannot be compared",
    async (_what, committed) => {
      const tree = setup();
      tree.write("b.txt", "one");
      const before = await tree.identify();
      aRepository(tree, "inner");
      tree.write("inner/a.txt", "one");
      if (committed) commitAll(tree, "inner");
      const within = await tree.identify();
      expect(await tree.compare(before, within)).toBeNull();
      expect(await tree.compare(within, before)).toBeNull();
      tree.remove("inner/.git");
      expect(await tree.compare(before, await tree.identify())).toStrictEqual(["inner/a.txt"]);
      expect(tree.warnings).toStrictEqual([]);
    },
  );

  it.runIf(process.platform === "linux")("is found in a folder whose name is no text", async () => {
    const tree = setup();
    const folder = Buffer.concat([Buffer.from(`${tree.repo}/`), Buffer.from([0x62, 0xff])]);
    mkdirSync(folder);
    execFileSync("git", ["init", "--quiet", "inner"], { cwd: tree.repo });
    renameSync(path.join(tree.repo, "inner"), Buffer.concat([folder, Buffer.from("/inner")]));
    expect([await tree.identify(), tree.warnings]).toStrictEqual([expect.stringMatching(/^files-/), []]);
  });

  it("a file beside one may be larger than what can be read at once, also when it is ignored", async () => {
    const tree = setup();
    aRepository(tree, "inner");
    tree.write(".gitignore", "large.bin\n");
    tree.write("large.bin", "");
    // Sparse: it takes no room.
    truncateSync(path.join(tree.repo, "large.bin"), 2 ** 31 + 1);
    expect([await tree.identify(), tree.warnings]).toStrictEqual([expect.stringMatching(/^files-/), []]);
  });

  it.each(innerOnes)("%s that is made in a folder seen before has its files seen", async (_what, committed) => {
    const tree = setup();
    tree.write("inner/a.txt", "one");
    await tree.identify();
    aRepository(tree, "inner");
    if (committed) commitAll(tree, "inner");
    const before = await tree.identify();
    tree.write("inner/a.txt", "two");
    tree.write("inner/new.txt", "one");
    tree.write("inner/deep/new.txt", "one");
    expect(await tree.compare(before, await tree.identify())).toStrictEqual([
      "inner/a.txt",
      "inner/deep/new.txt",
      "inner/new.txt",
    ]);
  });

  it("that is ignored there is passed over", async () => {
    const tree = setup();
    tree.write(".gitignore", "cache/\n");
    tree.write("a.txt", "one");
    const before = await tree.identify();
    aRepository(tree, "cache/inner");
    expect(await tree.identify()).toBe(before);
  });

  it.skipIf(process.getuid?.() === 0)("is no excuse for a file that cannot be read", async () => {
    const tree = setup();
    tree.write("a.txt", "one");
    chmodSync(path.join(tree.repo, "a.txt"), 0);
    expect(await tree.identify()).toBeNull();
    expect(tree.warnings).toHaveLength(1);
  });
});

describe("an ignore file that ignores itself", () => {
  it.each(["", "src/"])(
    "is named, so that nothing beside work that is seen is hidden without a word: %s.gitignore",
    { tags: ["s7.tree-names-files"] },
    async (folder) => {
      const tree = setup();
      tree.write(`${folder}seen.txt`, "one");
      const before = await tree.identify();
      tree.write(`${folder}.gitignore`, "*\n");
      tree.write(`${folder}hidden.txt`, "one");
      const hidden = await tree.identify();
      expect(await tree.compare(before, hidden)).toStrictEqual([`${folder}.gitignore`]);
      tree.remove(`${folder}.gitignore`);
      expect(await tree.compare(hidden, await tree.identify())).toStrictEqual([
        `${folder}.gitignore`,
        `${folder}hidden.txt`,
      ]);
      expect(tree.warnings).toStrictEqual([]);
    },
  );

  it("is a file: a folder of that name is ignored like any other", async () => {
    const tree = setup();
    tree.write("seen.txt", "one");
    tree.write("src/seen.txt", "one");
    const before = await tree.identify();
    for (const folder of ["", "src/"]) {
      tree.write(`${folder}node_modules/.gitignore/a.txt`, "one");
      mkdirSync(path.join(tree.repo, `${folder}.gitignore`));
    }
    expect(await tree.identify()).toBe(before);
    expect(tree.warnings).toStrictEqual([]);
  });

  it("is passed over in a folder of its own, as caches of tools have it", async () => {
    const tree = setup();
    tree.write("seen.txt", "one");
    const before = await tree.identify();
    tree.write(".cache/.gitignore", "*\n");
    tree.write(".cache/a/b.txt", "one");
    tree.write("node_modules/.gitignore", "*\n");
    expect(await tree.identify()).toBe(before);
  });
});

/**
 * Identity of a working tree's content, and which files differ between two identities. With git it is git's tree of the
 * working tree, made with an index and an object folder of our own beside the kept state: nothing is written into the
 * repository, and one that is no git repository works the same. Without git it is a hash over the files, and so it is when
 * a repository lies inside the tree: git would see its commit and not its files. The two kinds cannot be compared.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { lstat, mkdir, readdir, readFile, readlink, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export type WorktreeIdentity = {
  /** Identity of the tree's content; null when it cannot be told (an unreadable file, a vanished directory). */
  identify(repo: string, keepIn: string): Promise<string | null>;
  /** Files that differ, sorted, relative to the repository, `/` separated; null when it cannot be told, also of two identities of different kinds. */
  compare(repo: string, keepIn: string, before: string, after: string): Promise<readonly string[] | null>;
};

/** Long enough for a very large tree on a slow disk: the limit is against a git that never ends. */
const longestGitMs = 600_000;

type Git = (words: readonly string[], options: { env: NodeJS.ProcessEnv; cwd?: string }) => Promise<{ stdout: string }>;

/**
 * Uses git when `gitProgram` can be started, else hashes. `warn` hears why an identity could not be told; a git that has
 * not ended after `gitMs` is such a reason.
 */
export function createWorktree(
  warn: (message: string) => void,
  gitProgram = "git",
  gitMs = longestGitMs,
): WorktreeIdentity {
  const git: Git = (words, options) =>
    run(gitProgram, words, { maxBuffer: 64 * 1024 * 1024, timeout: gitMs, killSignal: "SIGKILL", ...options });
  let usesGit: Promise<boolean> | undefined;
  const hasGit = () =>
    (usesGit ??= run(gitProgram, ["--version"], { timeout: longestGitMs }).then(
      () => true,
      () => false,
    ));
  const guarded = async <T>(work: () => Promise<T>): Promise<T | null> => {
    try {
      return await work();
    } catch (error) {
      warn(
        `the working tree could not be identified: ${error instanceof Error ? error.message.slice(0, 500) : String(error)}`,
      );
      return null;
    }
  };
  // One index per folder: two at a time would meet each other's lock.
  const last = new Map<string, Promise<unknown>>();
  const inTurn = <T>(keepIn: string, work: () => Promise<T>): Promise<T> => {
    const turn = (last.get(keepIn) ?? Promise.resolve()).then(work);
    const ended = turn.catch(() => undefined).finally(() => last.get(keepIn) === ended && last.delete(keepIn));
    last.set(keepIn, ended);
    return turn;
  };
  return {
    identify: (repo, keepIn) =>
      guarded(() =>
        inTurn(keepIn, async () =>
          (await hasGit()) ? identifyWithGit(git, repo, keepIn) : identifyByHash(repo, keepIn),
        ),
      ),
    compare: (_repo, keepIn, before, after) =>
      guarded(async () => {
        if (before === after) return [];
        if (before.startsWith("files-") !== after.startsWith("files-")) return null;
        return before.startsWith("files-")
          ? compareHashes(keepIn, before, after)
          : compareWithGit(git, keepIn, before, after);
      }),
  };
}

/** Git of our own: neither the caller's environment nor the repository's hooks and filters change what is seen. */
function environment(keepIn: string, repo?: string): NodeJS.ProcessEnv {
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("GIT_")));
  const own = {
    GIT_DIR: path.join(keepIn, "git"),
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
    LC_ALL: "C",
  };
  return { ...inherited, ...own, ...(repo === undefined ? {} : { GIT_WORK_TREE: repo }) };
}

async function identifyWithGit(git: Git, repo: string, keepIn: string): Promise<string> {
  await mkdir(keepIn, { recursive: true });
  const env = environment(keepIn, repo);
  // Left behind by a process that was killed while it held the lock; in this process the turns exclude each other.
  await rm(path.join(keepIn, "git", "index.lock"), { force: true });
  await git(["init", "--quiet", "--bare", "--template=", path.join(keepIn, "git")], {
    env: environment(keepIn),
  });
  await mkdir(path.join(keepIn, "git", "info"), { recursive: true });
  await writeFile(path.join(keepIn, "git", "info", "exclude"), [...passedOver].map((name) => `${name}/\n`).join(""));
  try {
    // A warning about an inner repository would be about nobody's mistake.
    await git(
      [
        "-c",
        "core.bare=false",
        "-c",
        "core.autocrlf=false",
        "-c",
        "advice.addEmbeddedRepo=false",
        "add",
        "--all",
        "--",
        ".",
      ],
      { env, cwd: repo },
    );
  } catch (error) {
    // An inner repository without a commit cannot be added at all.
    if (await hasInnerRepository(repo)) return identifyByHash(repo, keepIn);
    throw error;
  }
  const staged = await git(["ls-files", "--stage", "-z"], { env, cwd: repo });
  if (staged.stdout.split("\0").some((entry) => entry.startsWith(gitlinkMode))) {
    // Kept in the index, it would hide the folder's files also when it is no repository any more.
    await rm(path.join(keepIn, "git", "index"), { force: true });
    return identifyByHash(repo, keepIn);
  }
  const unseen = await findHidingIgnoreFiles(git, staged.stdout, { env, cwd: repo });
  if (unseen.length > 0) await git(["-c", "core.bare=false", "add", "--force", "--", ...unseen], { env, cwd: repo });
  const { stdout } = await git(["write-tree"], { env });
  return stdout.trim();
}

/**
 * Ignore files that ignore themselves beside work that is seen: without them what they hide would leave no trace. In a
 * folder of which nothing is seen, such as a cache that a tool made, they are passed over with the folder.
 */
async function findHidingIgnoreFiles(
  git: Git,
  staged: string,
  options: { env: NodeJS.ProcessEnv; cwd: string },
): Promise<readonly string[]> {
  const { stdout } = await git(
    ["-c", "core.bare=false", "ls-files", "--others", "--ignored", "--exclude-standard", "--directory", "-z"],
    options,
  );
  const seen = staged.split("\0").map((entry) => entry.slice(entry.indexOf("\t") + 1));
  return stdout
    .split("\0")
    .filter((name) => path.posix.basename(name) === ".gitignore")
    .filter((name) => seen.some((one) => one.startsWith(name.slice(0, -".gitignore".length))))
    .map((name) => `:(literal)${name}`);
}

/** How git's index marks a repository inside the tree, of which it keeps only the commit. */
const gitlinkMode = "160000 ";

async function hasInnerRepository(repo: string, below = ""): Promise<boolean> {
  const entries = await readdir(path.join(repo, below), { withFileTypes: true });
  if (below !== "" && entries.some((entry) => entry.name === ".git")) return true;
  for (const entry of entries)
    if (
      entry.isDirectory() &&
      !passedOver.has(entry.name) &&
      (await hasInnerRepository(repo, path.join(below, entry.name)))
    )
      return true;
  return false;
}

/** Installed packages are not the work; git passes over its own folder by itself. */
const passedOver = new Set([".git", "node_modules"]);

async function compareWithGit(git: Git, keepIn: string, before: string, after: string): Promise<readonly string[]> {
  const { stdout } = await git(["diff-tree", "-r", "-z", "--name-only", "--no-renames", before, after], {
    env: environment(keepIn),
  });
  return stdout
    .split("\0")
    .filter((name) => name !== "")
    .toSorted();
}

async function identifyByHash(repo: string, keepIn: string): Promise<string> {
  const names = (await listFiles(repo, "")).toSorted();
  const hashed: string[] = [];
  // A few at a time: a process may have only so many files open.
  for (let at = 0; at < names.length; at += filesAtOnce)
    hashed.push(
      ...(await Promise.all(
        names.slice(at, at + filesAtOnce).map(async (name) => `${await hashFile(path.join(repo, name))} ${name}`),
      )),
    );
  const manifest = hashed.join("\n");
  const id = `files-${createHash("sha256").update(manifest).digest("hex")}`;
  await mkdir(keepIn, { recursive: true });
  await writeFile(path.join(keepIn, id), manifest);
  return id;
}

const filesAtOnce = 64;

async function listFiles(repo: string, below: string): Promise<readonly string[]> {
  const entries = await readdir(path.join(repo, below), { withFileTypes: true });
  const found = await Promise.all(
    entries.map(async (entry) => {
      const name = below === "" ? entry.name : `${below}/${entry.name}`;
      if (passedOver.has(entry.name)) return [];
      return entry.isDirectory() ? listFiles(repo, name) : entry.isFile() || entry.isSymbolicLink() ? [name] : [];
    }),
  );
  return found.flat();
}

async function hashFile(absolute: string): Promise<string> {
  const found = await lstat(absolute);
  // A link may lead to what never ends; where it leads is what the tree holds of it, as git sees it too.
  if (found.isSymbolicLink()) return `link-${digest(await readlink(absolute))}`;
  if (!found.isFile()) throw new Error(`${absolute} is no file any more`);
  return digest(await readFile(absolute));
}

function digest(content: string | Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}

async function compareHashes(keepIn: string, before: string, after: string): Promise<readonly string[]> {
  const [one, other] = await Promise.all(
    [before, after].map(async (id) => new Set((await readFile(path.join(keepIn, id), "utf8")).split("\n"))),
  );
  const different = [...(one ?? [])]
    .filter((line) => other?.has(line) !== true)
    .concat([...(other ?? [])].filter((line) => one?.has(line) !== true));
  return [
    ...new Set(different.filter((line) => line !== "").map((line) => line.slice(line.indexOf(" ") + 1))),
  ].toSorted();
}

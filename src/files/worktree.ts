/**
 * Identity of a working tree's content, and which files differ between two identities. With git it is git's tree of the
 * working tree, made with an index and an object folder of our own beside the kept state: nothing is written into the
 * repository, and one that is no git repository works the same. Without git it is a hash over the files, and so it is when
 * a repository lies inside the tree: git would see its commit and not its files. The two kinds cannot be compared.
 */
import { createHash } from "node:crypto";
import {
  constants,
  createReadStream,
  existsSync,
  lstatSync,
  mkdirSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { lstat, readdir, readFile, readlink, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { createShells, ProgramFailure } from "./shells.ts";

export type WorktreeIdentity = {
  /**
   * Identity of the tree's content; null when it cannot be told (an unreadable file, a vanished directory), also when `repo` is not its own real
   * path any more.
   */
  identify(repo: string, keepIn: string): Promise<string | null>;
  /** Files that differ, sorted, relative to the repository, `/` separated; null when it cannot be told, also of two identities of different kinds. */
  compare(repo: string, keepIn: string, before: string, after: string): Promise<readonly string[] | null>;
};

/** Long enough for a very large tree on a slow disk: the limit is against a git that never ends. */
const longestGitMs = 600_000;

type GitOptions = { readonly env: Readonly<Record<string, string>>; readonly cwd: string };
/** Calls git one time after the other, as long as it does what it is asked; answers what all calls wrote. */
type Git = (options: GitOptions, ...calls: readonly (readonly string[])[]) => Promise<string>;

/**
 * Uses git when `gitProgram` can be started, else hashes. `warn` hears why an identity could not be told; a git that has
 * not ended after `gitMs` is such a reason.
 */
export function createWorktree(
  warn: (message: string) => void,
  gitProgram = "git",
  gitMs = longestGitMs,
): WorktreeIdentity {
  const run = createShells(gitMs, environment);
  const git: Git = (options, ...calls) => run({ program: gitProgram, calls, ...options });
  let usesGit: Promise<boolean> | undefined;
  const hasGit = () =>
    (usesGit ??= git({ env: {}, cwd: path.sep }, ["--version"]).then(
      () => true,
      () => {
        // Asked again at the next look: it may be that no process could be started now.
        usesGit = undefined;
        return false;
      },
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
        inTurn(keepIn, async () => {
          requireRealPlace(repo);
          return (await hasGit()) ? identifyWithGit(git, repo, keepIn) : identifyByHash(repo, keepIn);
        }),
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

/** Whatever somebody has linked in the repository's place, up to the whole disk, is neither read nor kept. */
function requireRealPlace(repo: string): void {
  const place = realpathSync.native(repo);
  if (place !== repo) throw new Error(`the repository ${repo} now leads to ${place}`);
}

/** Git of our own: neither the caller's environment and settings nor the repository's hooks and filters change what is seen. */
function environment(): NodeJS.ProcessEnv {
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("GIT_")));
  // A folder named by a relative path would be one in the tree, and so would an empty PATH be: without one, the shell's own counts.
  const folders = (process.env["PATH"] ?? "").split(path.delimiter).filter((folder) => path.isAbsolute(folder));
  const PATH = folders.length === 0 ? undefined : folders.join(path.delimiter);
  const noSettings = { GIT_CONFIG_NOSYSTEM: "1", GIT_CONFIG_GLOBAL: "/dev/null", GIT_ATTR_NOSYSTEM: "1" };
  // Without a setting git looks for the user's ignore and attributes files there.
  return { ...inherited, PATH, ...noSettings, XDG_CONFIG_HOME: "/dev/null", LC_ALL: "C" };
}

/** Git in the folder of ours, without a working tree or with this one. */
function ours(keepIn: string, repo?: string): GitOptions {
  const env = { GIT_DIR: path.join(keepIn, "git") };
  return repo === undefined ? { env, cwd: keepIn } : { env: { ...env, GIT_WORK_TREE: repo }, cwd: repo };
}

/** Where git refuses, a power cut may have torn what is ours: once it begins anew. The objects stay, for earlier trees are told by them. */
async function identifyWithGit(git: Git, repo: string, keepIn: string): Promise<string> {
  try {
    return await lookWithGit(git, repo, keepIn);
  } catch (error) {
    await removeUnfinished(keepIn);
    if (!isRefusal(error) || (await isWhole(git, keepIn))) throw error;
    for (const part of ["index", "HEAD", "config"]) await rm(path.join(keepIn, "git", part), { force: true });
    return lookWithGit(git, repo, keepIn);
  }
}

/** True when git itself has ended with an error, and was neither missing nor ended by us. */
function isRefusal(error: unknown): boolean {
  return error instanceof ProgramFailure;
}

/** True when git can read what is ours: then it refuses something else, and looking again would tell no more. */
async function isWhole(git: Git, keepIn: string): Promise<boolean> {
  try {
    await git(ours(keepIn), ["ls-files", "--cached"]);
    return true;
  } catch {
    return false;
  }
}

/** Files that a git that was ended, or had no room, did not finish: of a large file it may be all the room that there was. Never throws. */
async function removeUnfinished(keepIn: string): Promise<void> {
  const objects = path.join(keepIn, "git", "objects");
  const names = await readdir(objects, { recursive: true }).catch(() => []);
  for (const name of names.filter((one) => path.basename(one).startsWith("tmp_")))
    // One that stays is tried again after the next git that fails.
    await rm(path.join(objects, name), { recursive: true, force: true }).catch(() => undefined);
}

async function lookWithGit(git: Git, repo: string, keepIn: string): Promise<string> {
  const options = ours(keepIn, repo);
  await prepareFolder(git, keepIn);
  const isFirst = !existsSync(path.join(keepIn, "git", "index"));
  let told: string;
  try {
    // The tree is the answer unless the list before it says otherwise, which is rare.
    told = await git(options, addAll, listAll, writeTree);
  } catch (error) {
    // An inner repository without a commit cannot be added at all.
    if (await hasInnerRepository(repo)) return identifyByHash(repo, keepIn);
    throw error;
  }
  const { hasRepository, unseen, tree } = readTold(told);
  if (!/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(tree)) throw new Error("git answered something that is no tree");
  if (hasRepository) {
    // Kept in the index, it would hide the folder's files also when it is no repository any more.
    await rm(path.join(keepIn, "git", "index"), { force: true });
    return identifyByHash(repo, keepIn);
  }
  const left = isFirst ? [...unseen, ...(await keptThoughIgnored(git, repo))] : unseen;
  if (left.length === 0) return tree;
  const more = inParts(left).map((names) => [...ofTree, "add", "--force", "--", ...names.map(literally)]);
  return (await git(options, ...more, writeTree)).trim();
}

/** So many names are given to git at once: the system bounds the words of a program. */
const namesAtOnce = 400;

function inParts(names: readonly string[]): readonly (readonly string[])[] {
  const starts = Array.from({ length: Math.ceil(names.length / namesAtOnce) }, (_, part) => part * namesAtOnce);
  return starts.map((start) => names.slice(start, start + namesAtOnce));
}

const literally = (name: string) => `:(literal)${name}`;

/**
 * Files that the repository itself has taken in though it ignores them. Asked for where our index begins, which then holds them too; nothing where
 * the folder is no repository, or one that git does not trust.
 */
async function keptThoughIgnored(git: Git, repo: string): Promise<readonly string[]> {
  try {
    const names = (await git({ env: {}, cwd: repo }, listKeptThoughIgnored)).split("\0");
    return names.filter((name) => name !== "" && isWork(repo, name));
  } catch (error) {
    if (isRefusal(error)) return [];
    throw error;
  }
}

/** In the repository's own folder and by its settings, which may start no program. */
const listKeptThoughIgnored = [
  "-c",
  "core.fsmonitor=false",
  "-c",
  "protocol.allow=never",
  "ls-files",
  "--cached",
  "--ignored",
  "--exclude-standard",
  "-z",
];

function isWork(repo: string, name: string): boolean {
  if (name.split("/").some((part) => passedOver.has(part))) return false;
  const found = lstatSync(path.join(repo, name), { throwIfNoEntry: false });
  return found !== undefined && (found.isFile() || found.isSymbolicLink());
}

/** The working tree that is named in the environment counts, whatever the git folder says of itself. */
const ofTree = ["-c", "core.bare=false"];
// A warning about an inner repository would be about nobody's mistake.
const addAll = [
  ...ofTree,
  "-c",
  "core.autocrlf=false",
  "-c",
  "advice.addEmbeddedRepo=false",
  "add",
  "--all",
  "--",
  ".",
];
const listAll = [...ofTree, "ls-files", "-t", "--stage", "--others", "--directory", "-z"];
const writeTree = ["write-tree"];

/**
 * The git folder of ours, made where it is not there or where a part is missing without which git takes it for none. A few looks at
 * single files, not asynchronous: each would have to wait for its turn in a busy gateway, and the next agent waits for all of them.
 */
async function prepareFolder(git: Git, keepIn: string): Promise<void> {
  const folder = path.join(keepIn, "git");
  makeFolder(keepIn);
  const lock = path.join(folder, "index.lock");
  if (existsSync(lock)) {
    // Left behind by a process that was killed while it held the lock; in this process the turns exclude each other.
    await removeUnfinished(keepIn);
    rmSync(lock, { force: true });
  }
  if (!["HEAD", "config", "objects", "refs"].every((part) => existsSync(path.join(folder, part)))) {
    // The index may name files as kept that are gone with the missing part; a lock was left behind by a making that was cut short.
    for (const part of ["index", "HEAD.lock", "config.lock"]) rmSync(path.join(folder, part), { force: true });
    await git(ours(keepIn), ["init", "--quiet", "--bare", "--template=", folder]);
  }
  mkdirSync(path.join(folder, "info"), { recursive: true });
  writeFileSync(path.join(folder, "info", "exclude"), [...passedOver].map((name) => `${name}/\n`).join(""));
  // A file that is not in the encoding that the repository says of it could not be added, and with it nothing.
  writeFileSync(path.join(folder, "info", "attributes"), "* !working-tree-encoding\n");
}

/** Not the folders above it: a project that somebody has removed does not come back as an empty folder. */
function makeFolder(keepIn: string): void {
  if (!existsSync(keepIn)) mkdirSync(keepIn);
}

/**
 * What the index holds, what beside it was left out, which after everything was added is what is ignored, and the tree. `unseen` are
 * ignore files that ignore themselves beside work that is seen: without them what they hide would leave no trace. In a folder
 * of which nothing is seen, such as a cache that a tool made, they are passed over with the folder.
 */
function readTold(told: string): {
  readonly hasRepository: boolean;
  readonly unseen: readonly string[];
  readonly tree: string;
} {
  const entries = told.split("\0");
  const tree = (entries.pop() ?? "").trim();
  const others = entries.filter((entry) => entry.startsWith(leftOut)).map((entry) => entry.slice(leftOut.length));
  const held = entries.filter((entry) => !entry.startsWith(leftOut));
  const seen = held.map((entry) => entry.slice(entry.indexOf("\t") + 1));
  return {
    hasRepository: held.some((entry) => entry.startsWith(gitlinkMode, leftOut.length)),
    unseen: others
      .filter((name) => path.posix.basename(name) === ".gitignore" && !name.endsWith("/"))
      .filter((name) => seen.some((one) => one.startsWith(name.slice(0, -".gitignore".length)))),
    tree,
  };
}

/** How git marks what its index does not hold. A file that it holds has another letter. */
const leftOut = "? ";

/** How git's index marks a repository inside the tree, of which it keeps only the commit. */
const gitlinkMode = "160000 ";

async function hasInnerRepository(repo: string, below = ""): Promise<boolean> {
  const entries = await entriesOf(repo, below);
  if (below !== "" && entries.some(({ entry }) => entry.name.toString() === ".git")) return true;
  for (const { name, entry } of entries)
    if (entry.isDirectory() && !passedOver.has(entry.name.toString()) && (await hasInnerRepository(repo, name)))
      return true;
  return false;
}

/** What a folder of the tree holds, named from the tree's beginning. A name is bytes, here a character each: not every one is text. */
async function entriesOf(repo: string, below: string) {
  const entries = await readdir(placeOf(repo, below), { withFileTypes: true, encoding: "buffer" });
  return entries.map((entry) => {
    const name = entry.name.toString("latin1");
    return { name: below === "" ? name : `${below}/${name}`, entry };
  });
}

function placeOf(repo: string, name: string): Buffer {
  return Buffer.concat([Buffer.from(`${repo}${path.sep}`), Buffer.from(name, "latin1")]);
}

/** Installed packages are not the work; git passes over its own folder by itself. */
const passedOver = new Set([".git", "node_modules"]);

async function compareWithGit(git: Git, keepIn: string, before: string, after: string): Promise<readonly string[]> {
  const different = await git(ours(keepIn), ["diff-tree", "-r", "-z", "--name-only", "--no-renames", before, after]);
  return different
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
        names.slice(at, at + filesAtOnce).map(async (name) => `${await hashFile(placeOf(repo, name))} ${name}`),
      )),
    );
  const manifest = Buffer.from(hashed.join("\0"), "latin1");
  const id = `files-${digest(manifest)}`;
  makeFolder(keepIn);
  await writeFile(path.join(keepIn, id), manifest);
  return id;
}

const filesAtOnce = 64;

async function listFiles(repo: string, below: string): Promise<readonly string[]> {
  const found = await Promise.all(
    (await entriesOf(repo, below)).map(async ({ name, entry }) => {
      if (passedOver.has(entry.name.toString())) return [];
      return entry.isDirectory() ? listFiles(repo, name) : entry.isFile() || entry.isSymbolicLink() ? [name] : [];
    }),
  );
  return found.flat();
}

async function hashFile(absolute: Buffer): Promise<string> {
  const found = await lstat(absolute);
  // A link may lead to what never ends; where it leads is what the tree holds of it, as git sees it too.
  if (found.isSymbolicLink()) return `link-${digest(await readlink(absolute, "buffer"))}`;
  if (!found.isFile()) throw new Error(`${absolute.toString()} is no file any more`);
  // Piece by piece: what is ignored is hashed too, and may be larger than memory.
  const hash = createHash("sha256");
  for await (const piece of createReadStream(absolute)) hash.update(piece as Buffer);
  return `${isProgram(found.mode) ? "program-" : ""}${hash.digest("hex")}`;
}

/** As git sees it. */
function isProgram(mode: number): boolean {
  return (mode & constants.S_IXUSR) !== 0;
}

function digest(content: Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}

async function compareHashes(keepIn: string, before: string, after: string): Promise<readonly string[]> {
  const [one, other] = await Promise.all(
    [before, after].map(async (id) => new Set((await readFile(path.join(keepIn, id), "utf8")).split("\0"))),
  );
  const different = [...(one ?? [])]
    .filter((entry) => other?.has(entry) !== true)
    .concat([...(other ?? [])].filter((entry) => one?.has(entry) !== true));
  return [
    ...new Set(different.filter((entry) => entry !== "").map((entry) => entry.slice(entry.indexOf(" ") + 1))),
  ].toSorted();
}

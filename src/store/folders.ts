/**
 * The folders of streams: which there are, making them, keeping them tidy, and staying inside the root. Knows nothing of
 * what journals and documents hold.
 */
import { dirname, join, relative } from "node:path";
import { OrchestratorError, codeOf } from "../errors.ts";
import { isBelow, leadsOutside } from "./confined-disk.ts";
import { isErrorWith, type Disk, type FileFacts } from "./disk.ts";
import { fileOf, gitignoreText, isId, isLitter, pathIn, pathOf, placeOf } from "./layout.ts";
import { nameOfStream, type DocumentName, type Stream } from "./store.ts";

/** Younger temporary files may belong to a write that is going on. */
const litterAgeMs = 60_000;

/** Types that `statfs` gives for file systems whose clients emulate appending. */
const networkFileSystems: ReadonlyMap<number, string> = new Map([
  [0x6969, "NFS"],
  [0x517b, "SMB"],
  [0xff534d42, "SMB"],
  [0xfe534d42, "SMB"],
  [0x01021997, "9p"],
  [0x00c36400, "Ceph"],
  [0x5346414f, "AFS"],
  [0x6b414653, "AFS"],
]);
/** May be local or not: sshfs, but also the folders that container programs pass on. */
const fuse = 0x65735546;

export type Folders = {
  /**
   * Ids of the folders that may be projects, in a stable order; one that leads outside the root is left out. None, with
   * a warning, when they cannot be listed; with `whole` that throws `journal-unreadable`.
   */
  projects(whole?: boolean): readonly string[];
  /** The tasks of a project that have a journal, in a stable order; `whole` as above. */
  tasksOf(projectId: string, whole?: boolean): readonly (Stream & { readonly taskId: string })[];
  /** Names of what may be tasks of a project, in no order; whether they are was not looked at. */
  taskNames(projectId: string): readonly string[];
  /** The task of a project with this id, or nothing: what `tasksOf` would have of it. */
  taskOf(projectId: string, taskId: string): readonly (Stream & { readonly taskId: string })[];
  /** True when the stream has a journal that is not empty, or one that was lost or that nobody can look at: reading it says why. */
  isThere(stream: Stream): boolean;
  /** True when the document that every commit comes before stands there: without a record of it the journal was lost. */
  hasDocument(stream: Stream): boolean;
  /** What stands where the stream's journal belongs; undefined when there is nothing. */
  journalOf(stream: Stream): FileFacts | "unreadable" | undefined;
  /** Throws `project-copied` when the path leads, or would lead once it is made, outside the root; `journal-unreadable`. */
  requireInside(directory: string, name: string): void;
  /** Makes a new stream's folder. */
  make(stream: Stream): void;
  /** Makes a new stream's folder durable: itself and the two above it. */
  sync(stream: Stream): void;
  /**
   * Removes what a crash may have left and makes a missing .gitignore. False when that is not all of it: something is too young to
   * tell, or it failed, which is a warning.
   */
  tidy(stream: Stream): boolean;
  /**
   * A text that changes with any of the documents and pages that stand in the stream's folder, and when the last of them was changed (milliseconds);
   * undefined where that cannot be told.
   */
  factsOfFiles(stream: Stream): { readonly facts: string; readonly changedMs: number } | undefined;
  /** Documents and pages in the stream's folder that are not among those. */
  unknownFiles(stream: Stream, known: Iterable<DocumentName>): readonly string[];
  /** Throws `unsupported-file-system` when the root is where appending is not safe. */
  requireLocalRoot(): void;
  /** The same for the stream's project, whose folder, or `projects` itself, may be mounted from elsewhere. Asks each project's once. */
  requireLocalProject(stream: Stream): void;
};

export function createFolders(disk: Disk, root: string, now: () => Date, warn: (message: string) => void): Folders {
  function idsIn(directory: string, whole = false): readonly string[] {
    try {
      if (!isInside(directory)) return [];
      return disk
        .namesIn(directory)
        .filter((name) => isId(name) && isUsable(pathIn(directory, name)))
        .sort();
    } catch (error) {
      const message = `${relative(root, directory)} could not be listed (${codeOf(error)}).`;
      if (whole) throw new OrchestratorError("journal-unreadable", message, { cause: error });
      warn(message);
      return [];
    }
  }

  function taskNames(projectId: string): readonly string[] {
    try {
      const tasks = join(root, "projects", projectId, "tasks");
      return isInside(tasks) ? disk.namesIn(tasks).filter(isId) : [];
    } catch (error) {
      warn(`projects/${projectId}/tasks could not be listed (${codeOf(error)}).`);
      return [];
    }
  }

  function taskOf(projectId: string, taskId: string): readonly (Stream & { readonly taskId: string })[] {
    const tasks = join(root, "projects", projectId, "tasks");
    const stream = { projectId, taskId };
    try {
      // Most projects do not have it, and need not be looked at any closer.
      return isThere(stream) && isInside(tasks) && isUsable(join(tasks, taskId)) ? [stream] : [];
    } catch (error) {
      warn(`${relative(root, tasks)} could not be looked at (${codeOf(error)}).`);
      return [];
    }
  }

  function journalOf(stream: Stream): FileFacts | "unreadable" | undefined {
    try {
      return disk.factsOf(placeOf(root, stream).journal);
    } catch {
      return "unreadable";
    }
  }

  function isThere(stream: Stream): boolean {
    const facts = journalOf(stream);
    return facts === "unreadable" || (facts !== undefined && facts.size > 0) || hasDocument(stream);
  }

  function hasDocument(stream: Stream): boolean {
    const name = stream.taskId === undefined ? "project" : "task";
    try {
      return disk.factsOf(pathOf(root, stream, name, "document")) !== undefined;
    } catch {
      return false;
    }
  }

  let realRoot: string | undefined;

  /** False when the path, or the nearest folder above it that exists, is outside the root. */
  function isInside(path: string): boolean {
    for (let existing = path; existing !== root; existing = dirname(existing)) {
      const real = disk.realPath(existing);
      if (real !== undefined) return isBelowRoot(real);
      // A link to nothing has no real path, and yet something written through it would end up elsewhere.
      if (disk.factsOf(existing) !== undefined) return realRootNow() === undefined;
    }
    return true;
  }

  /** Where the root leads is asked again before anything is refused. */
  function isBelowRoot(real: string): boolean {
    if (realRoot !== undefined && isBelow(real, realRoot)) return true;
    const now = realRootNow();
    return now === undefined || isBelow(real, now);
  }

  function realRootNow(): string | undefined {
    realRoot = disk.realPath(root);
    return realRoot;
  }

  /** False for a link that leads outside. What cannot be looked at is there: reading it says why. */
  function isUsable(path: string): boolean {
    try {
      return disk.factsOf(path)?.kind !== "link" || isInside(path);
    } catch {
      return true;
    }
  }

  function requireInside(directory: string, name: string): void {
    let inside: boolean;
    try {
      inside = isInside(directory);
    } catch (error) {
      const message = `${name} could not be looked at (${codeOf(error)}). Mend its permission or the disk.`;
      throw new OrchestratorError("journal-unreadable", message, { cause: error });
    }
    if (inside) return;
    throw leadsOutside(root, directory);
  }

  function ensureGitignore(directory: string): void {
    const path = pathIn(directory, ".gitignore");
    if (disk.factsOf(path) === undefined) disk.replaceFile(path, Buffer.from(gitignoreText));
  }

  /** Answers whether none is left that is too young. */
  function removeLitter(directory: string): boolean {
    let isAll = true;
    for (const name of disk.namesIn(directory).filter(isLitter)) {
      const path = pathIn(directory, name);
      const facts = disk.factsOf(path);
      if (facts?.kind !== "file") continue;
      if (now().getTime() - facts.modifiedMs > litterAgeMs) disk.remove(path);
      else isAll = false;
    }
    return isAll;
  }

  let warnedOfFuse = false;

  /** Throws when the file system of a folder, or of the nearest one above it that exists, is a network's. */
  function requireLocal(directory: string, name: string, remedy: string): void {
    let type: number;
    try {
      let existing = directory;
      while (disk.factsOf(existing) === undefined && dirname(existing) !== existing) existing = dirname(existing);
      type = disk.fileSystemType(existing);
    } catch {
      return;
    }
    const network = networkFileSystems.get(type);
    if (network !== undefined) {
      const message = `${name} is on a network file system (${network}), which cannot append safely. ${remedy}`;
      throw new OrchestratorError("unsupported-file-system", message);
    }
    if (type !== fuse || warnedOfFuse) return;
    warnedOfFuse = true;
    warn(
      `${name} is on a FUSE file system. If that is a network folder, changes of two machines can damage each other.`,
    );
  }

  function requireLocalRoot(): void {
    requireLocal(root, "The root", "Set root to a folder on a local disk.");
  }

  /** Identities of folders whose own entry was made durable. */
  const synced = new Set<string>();
  /** Projects whose folder is there and was found to be on a local disk. */
  const local = new Set<string>();

  function requireLocalProject({ projectId }: Stream): void {
    if (local.has(projectId)) return;
    const { directory } = placeOf(root, { projectId });
    requireLocal(directory, `projects/${projectId}`, "Put the project's folder itself on a local disk.");
    // One that is yet to be made is asked again once it is there.
    if (isThere({ projectId })) local.add(projectId);
  }

  /** Names of what may be documents and pages of the stream, in no order. */
  function filesIn({ taskId }: Stream, directory: string): readonly string[] {
    const steps = taskId === undefined ? [] : disk.namesIn(pathIn(directory, "steps"));
    return [...disk.namesIn(directory), ...steps.map((name) => `steps/${name}`)].filter((file) =>
      /^[^.].*\.(?:json|md)$/.test(file),
    );
  }

  function factsOfFiles(stream: Stream): { readonly facts: string; readonly changedMs: number } | undefined {
    const { directory } = placeOf(root, stream);
    let [facts, changedMs] = ["", 0];
    try {
      for (const file of filesIn(stream, directory).toSorted()) {
        const found = disk.factsOf(pathIn(directory, file));
        if (found?.kind !== "file") return undefined;
        facts += `${file} ${proofOf(found)}\n`;
        changedMs = Math.max(changedMs, found.changedMs);
      }
    } catch {
      return undefined;
    }
    return { facts, changedMs };
  }

  return {
    projects: (whole) => idsIn(join(root, "projects"), whole),
    tasksOf: (projectId, whole) =>
      idsIn(join(root, "projects", projectId, "tasks"), whole)
        .map((taskId) => ({ projectId, taskId }))
        .filter(isThere),
    taskNames,
    taskOf,
    isThere,
    hasDocument,
    journalOf,
    requireInside,
    make: (stream) => {
      const { directory } = placeOf(root, stream);
      disk.makeDirectory(directory);
      requireInside(directory, nameOfStream(stream));
      if (stream.taskId === undefined) ensureGitignore(directory);
    },
    sync: (stream) => {
      if (disk.windows) return;
      const stop = dirname(root);
      let path = placeOf(root, stream).directory;
      const parent = disk.factsOf(dirname(path))?.identity ?? "";
      for (let depth = 0; depth < 3 && path !== stop; depth += 1, path = dirname(path)) {
        // The folder above only says that the parent is there, and of that very one it was made durable once.
        if (depth === 2 && synced.has(parent)) return;
        try {
          disk.syncDirectory(path);
          if (depth === 2) synced.add(parent);
        } catch (error) {
          if (!isErrorWith(error, "EINVAL", "ENOTSUP", "EACCES", "EPERM")) throw error;
        }
      }
    },
    tidy: (stream) => {
      const { directory } = placeOf(root, stream);
      try {
        const below = stream.taskId === undefined ? [] : [pathIn(directory, "steps")];
        const isAll = [directory, ...below].map(removeLitter).every(Boolean);
        if (stream.taskId === undefined) ensureGitignore(directory);
        return isAll;
      } catch (error) {
        warn(`${nameOfStream(stream)}: the folder could not be tidied (${codeOf(error)}).`);
        return false;
      }
    },
    factsOfFiles,
    unknownFiles: (stream, known) => {
      const { directory } = placeOf(root, stream);
      const files = new Set(Array.from(known).flatMap((name) => [fileOf(name, "document"), fileOf(name, "page")]));
      return filesIn(stream, directory)
        .filter((file) => !files.has(file))
        .sort();
    },
    requireLocalRoot,
    requireLocalProject,
  };
}

/** A text that changes when the file does, is replaced, or comes or goes. Pure. */
export function proofOf(facts: FileFacts | "unreadable" | undefined): string {
  if (facts === undefined || facts === "unreadable") return facts ?? "";
  return `${facts.identity} ${facts.size} ${facts.modifiedMs} ${facts.changedMs}`;
}

/**
 * A disk that reaches nothing outside of a folder, whatever somebody makes of the folders in between at any time. A folder is
 * opened, asked where it really is, and what it holds is then reached through the open folder and no longer by its path: what is
 * checked is what is used. Only where the kernel lists open files in /proc; elsewhere a path is judged before it is used, and that is all.
 */
import fs from "node:fs";
import { basename, dirname, isAbsolute, join, relative, sep } from "node:path";
import { OrchestratorError } from "../errors.ts";
import { isErrorWith, type Disk } from "./disk.ts";

/** Where the kernel lists this process's open files. */
const openFiles = "/proc/self/fd";
/** So many folders stay open while a piece of work does not wait; the next turn of the event loop closes them. */
const maxHeld = 16;

type HeldFolder = { readonly descriptor: number; readonly anchor: string; readonly identity: string };

/**
 * The same disk for paths of `root` and below: every call that opens, makes, changes or lists something throws `project-copied`
 * when the folder that it would do it in is outside the root. Facts about a path and its real place are told as before. `root`
 * may be a link itself and need not exist yet.
 */
export function confinedDisk(root: string, disk: Disk): Disk {
  if (!fs.existsSync(openFiles)) return disk;
  // Not by way of a link, which everything that resolves a path would follow each time.
  const openFolders = fs.realpathSync.native(openFiles);

  const held = new Map<string, HeldFolder>();
  let realRoot: string | undefined;
  let isClosing = false;

  /** True for the root and what lies below it; where the root leads is asked again before anything is refused. */
  function isInside(real: string): boolean {
    if (realRoot !== undefined && isBelow(real, realRoot)) return true;
    realRoot = disk.realPath(root);
    return realRoot !== undefined && isBelow(real, realRoot);
  }

  function hold(directory: string): HeldFolder {
    const known = held.get(directory);
    // Another folder may have come into its place: a restored backup, a checkout, a link.
    if (known !== undefined && known.identity === identityOf(fs.statSync(directory, { throwIfNoEntry: false })))
      return known;
    forget(directory);
    const descriptor = fs.openSync(directory, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
    const anchor = `${openFolders}/${descriptor}`;
    try {
      if (!isInside(fs.readlinkSync(anchor))) throw leadsOutside(root, directory);
    } catch (error) {
      letGo(descriptor);
      throw error;
    }
    for (const oldest of [...held.keys()].slice(0, Math.max(0, held.size + 1 - maxHeld))) forget(oldest);
    const folder = { descriptor, anchor, identity: identityOf(fs.fstatSync(descriptor)) };
    held.set(directory, folder);
    if (!isClosing) setImmediate(closeAll);
    isClosing = true;
    return folder;
  }

  function forget(directory: string): void {
    const known = held.get(directory);
    held.delete(directory);
    if (known !== undefined) letGo(known.descriptor);
  }

  function closeAll(): void {
    isClosing = false;
    for (const directory of [...held.keys()]) forget(directory);
  }

  function makeDirectory(path: string): void {
    try {
      inFolder(path, (anchored) => disk.makeDirectory(anchored));
    } catch (error) {
      if (!isErrorWith(error, "ENOENT") || !isOurs(path)) throw error;
      makeDirectory(dirname(path));
      inFolder(path, (anchored) => disk.makeDirectory(anchored));
    }
  }

  const isOurs = (path: string) => path !== root && isBelow(path, root);
  const inFolder = <T>(path: string, use: (anchored: string) => T): T =>
    isOurs(path) ? use(`${hold(dirname(path)).anchor}/${basename(path)}`) : use(path);
  const inBoth = (from: string, to: string, use: (from: string, to: string) => void): void =>
    inFolder(from, (one) => inFolder(to, (other) => use(one, other)));
  const folderItself = (path: string) => (isBelow(path, root) ? `${hold(path).anchor}/.` : path);

  return {
    ...disk,
    open: (path, mode) => inFolder(path, (anchored) => disk.open(anchored, mode)),
    readFile: (path) => inFolder(path, (anchored) => disk.readFile(anchored)),
    replaceFile: (path, bytes, staged) =>
      inFolder(path, (anchored) =>
        disk.replaceFile(anchored, bytes, staged === undefined ? undefined : join(dirname(anchored), basename(staged))),
      ),
    stageFile: (path, bytes) =>
      join(dirname(path), basename(inFolder(path, (anchored) => disk.stageFile(anchored, bytes)))),
    copyFile: (from, to) => inBoth(from, to, (one, other) => disk.copyFile(one, other)),
    rename: (from, to) => inBoth(from, to, (one, other) => disk.rename(one, other)),
    remove: (path) => inFolder(path, (anchored) => disk.remove(anchored)),
    makeDirectory,
    syncDirectory: (path) => disk.syncDirectory(folderItself(path)),
    namesIn: (path) => {
      try {
        return disk.namesIn(folderItself(path));
      } catch (error) {
        if (isErrorWith(error, "ENOENT", "ENOTDIR")) return [];
        throw error;
      }
    },
  };
}

/** True for the folder and everything below it, by their paths alone. Pure. */
export function isBelow(path: string, folder: string): boolean {
  // What the store makes of checked names; every other path is taken apart.
  if (path.startsWith(`${folder}${sep}`) && !path.includes(`${sep}..`)) return true;
  const way = relative(folder, path);
  return way !== ".." && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

function identityOf(facts: fs.Stats | undefined): string {
  return facts === undefined ? "" : `${facts.dev}:${facts.ino}`;
}

function letGo(descriptor: number): void {
  try {
    fs.closeSync(descriptor);
  } catch {
    // Nothing was written through it.
  }
}

/** What is said of a folder of the root that is a link, or lies behind one, to a place outside of it. */
export function leadsOutside(root: string, directory: string): OrchestratorError {
  const name = relative(root, directory);
  return new OrchestratorError(
    "project-copied",
    `${name} is a link that leads outside the root, so it is not used. Put the folder itself there.`,
  );
}

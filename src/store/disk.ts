/**
 * The few things that the file store asks of a disk, each one call of the operating system or close to it. The store
 * knows no other way to the disk, so a test that stops, shortens or fails any of these sees everything that can happen.
 */
import { randomInt } from "node:crypto";
import fs from "node:fs";
import { promisify } from "node:util";
import { onExit } from "signal-exit";
import writeFileAtomic from "write-file-atomic";
import { codeOf } from "../errors.ts";

/**
 * What a path or a descriptor stands for; `identity` changes when the file is replaced by another one. The times have parts of a
 * millisecond, as far as the file system keeps them. Nobody can set `changedMs` back.
 */
export type FileFacts = {
  readonly kind: "file" | "directory" | "link" | "other";
  readonly identity: string;
  readonly size: number;
  readonly modifiedMs: number;
  readonly changedMs: number;
};

export type Disk = {
  /** True where directories cannot be synced and a rename fails while another process has the file open. */
  readonly windows: boolean;
  /**
   * `append` may be created and appends wherever the end is; `read` falls to it where writing is not allowed; `update`
   * writes at offsets of a file that exists; `page` creates it when missing. None of them follows a link.
   */
  open(path: string, mode: "append" | "append-existing" | "read" | "update" | "page"): number;
  /** One write call at the end of the file; returns how many bytes it took. */
  append(descriptor: number, bytes: Uint8Array): number;
  /** One write call at an offset; returns how many bytes it took. */
  writeAt(descriptor: number, bytes: Uint8Array, offset: number): number;
  /** One read call at an offset; 0 at the end of the file. */
  readAt(descriptor: number, into: Uint8Array, offset: number): number;
  truncate(descriptor: number, length: number): void;
  /** Resolves when content and length are durable. Asynchronous, because it is the one call that can take long. */
  sync(descriptor: number): Promise<void>;
  close(descriptor: number): void;
  /** Facts about the path itself, not about what a link points to; undefined when there is nothing. */
  factsOf(path: string): FileFacts | undefined;
  factsOfOpen(descriptor: number): FileFacts;
  /** The whole file; a link is refused. */
  readFile(path: string): Uint8Array;
  /**
   * Publishes a new file under the name in one rename, without a sync; it keeps mode and owner. A link in its place is replaced, not
   * followed. `staged`: what `stageFile` answered for the same path and bytes; it is used up, also when this fails.
   */
  replaceFile(path: string, bytes: Uint8Array, staged?: string): void;
  /** Writes what `replaceFile` will publish beside the path, under a name that is litter until then; answers where. */
  stageFile(path: string, bytes: Uint8Array): string;
  /** Fails when the target exists. */
  copyFile(from: string, to: string): void;
  rename(from: string, to: string): void;
  remove(path: string): void;
  /** Makes the directory and its parents; it may exist. */
  makeDirectory(path: string): void;
  syncDirectory(path: string): void;
  /** Names in a directory in no order; empty when there is none. */
  namesIn(path: string): readonly string[];
  /** The path with every link resolved; undefined when there is nothing. */
  realPath(path: string): string | undefined;
  /** The number by which the operating system calls the file system of an existing path. */
  fileSystemType(path: string): number;
};

const noFollow = fs.constants.O_NOFOLLOW ?? 0;
const { O_APPEND, O_CREAT, O_RDONLY, O_RDWR } = fs.constants;
const flags = {
  append: O_RDWR | O_APPEND | O_CREAT | noFollow,
  "append-existing": O_RDWR | O_APPEND | noFollow,
  read: O_RDONLY | noFollow,
  update: O_RDWR | noFollow,
  page: O_RDWR | O_CREAT | noFollow,
} as const;

const datasync = promisify(fs.fdatasync);

/**
 * During the work `replaceFile` costs a third: the atomic writer wants to hear of the end of the process during each write, and
 * without another listener twenty signals of the process are taken up and let go every time. Not for longer than the work: while they are
 * taken up, a signal that a process listens to once only would end it.
 */
export async function writingMany<T>(work: () => Promise<T>): Promise<T> {
  const letGo = onExit(() => undefined);
  try {
    return await work();
  } finally {
    letGo();
  }
}

/** The regular file at a path; undefined when there is none. */
function fileAt(path: string): fs.Stats | undefined {
  const facts = fs.lstatSync(path, { throwIfNoEntry: false });
  return facts?.isFile() === true ? facts : undefined;
}

function stageFile(path: string, bytes: Uint8Array, replaced: fs.Stats | undefined): string {
  // Under a name that is not there yet: the library would write to where a link in the file's place leads.
  const fresh = `${path}.${randomInt(2 ** 47)}`;
  const kept = replaced === undefined ? {} : { mode: replaced.mode, chown: { uid: replaced.uid, gid: replaced.gid } };
  writeFileAtomic.sync(fresh, Buffer.from(bytes), { fsync: false, ...kept });
  return fresh;
}

function replaceFile(path: string, bytes: Uint8Array, staged?: string): void {
  const replaced = staged === undefined ? fileAt(path) : undefined;
  const fresh = staged ?? stageFile(path, bytes, replaced);
  const held = staged === undefined && replaced === undefined ? undefined : holdOpen(path);
  try {
    renameOver(fresh, path, held);
  } catch (error) {
    fs.rmSync(fresh, { force: true });
    throw error;
  }
}

/** Closes what is held open of the file at `path`. */
function renameOver(fresh: string, path: string, held: number | undefined): void {
  if (held === undefined) return fs.renameSync(fresh, path);
  try {
    fs.renameSync(fresh, path);
  } catch {
    // There are folders shared with another system that rename nothing over an open file.
    fs.closeSync(held);
    return fs.renameSync(fresh, path);
  }
  fs.close(held, () => undefined);
}

/**
 * The file that is about to be replaced, so that its blocks are freed when it is closed, on another thread, and not by the rename, which would take
 * several times as long. Undefined where there is none, where it cannot be opened, and on Windows, which renames nothing over an open file.
 */
function holdOpen(path: string): number | undefined {
  if (process.platform === "win32") return undefined;
  try {
    // A pipe in its place would be waited for.
    return fs.openSync(path, flags.read | fs.constants.O_NONBLOCK);
  } catch {
    return undefined; // Then the rename takes longer.
  }
}

/** The real disk. */
export const nodeDisk: Disk = {
  windows: process.platform === "win32",
  open: (path, mode) => fs.openSync(path, flags[mode], 0o666),
  append: (descriptor, bytes) => fs.writeSync(descriptor, bytes, 0, bytes.length, null),
  writeAt: (descriptor, bytes, offset) => fs.writeSync(descriptor, bytes, 0, bytes.length, offset),
  readAt: (descriptor, into, offset) => fs.readSync(descriptor, into, 0, into.length, offset),
  truncate: (descriptor, length) => fs.ftruncateSync(descriptor, length),
  sync: (descriptor) => datasync(descriptor),
  close: (descriptor) => fs.closeSync(descriptor),
  factsOf: (path) => {
    const facts = fs.lstatSync(path, { bigint: true, throwIfNoEntry: false });
    return facts === undefined ? undefined : toFacts(facts);
  },
  factsOfOpen: (descriptor) => toFacts(fs.fstatSync(descriptor, { bigint: true })),
  readFile: (path) => {
    const descriptor = fs.openSync(path, flags.read);
    try {
      return fs.readFileSync(descriptor);
    } finally {
      fs.closeSync(descriptor);
    }
  },
  replaceFile,
  stageFile: (path, bytes) => stageFile(path, bytes, fileAt(path)),
  copyFile: (from, to) => fs.copyFileSync(from, to, fs.constants.COPYFILE_EXCL),
  rename: (from, to) => fs.renameSync(from, to),
  remove: (path) => fs.unlinkSync(path),
  makeDirectory: (path) => void fs.mkdirSync(path, { recursive: true }),
  syncDirectory: (path) => {
    const descriptor = fs.openSync(path, O_RDONLY);
    try {
      fs.fsyncSync(descriptor);
    } finally {
      fs.closeSync(descriptor);
    }
  },
  namesIn: (path) => {
    try {
      return fs.readdirSync(path);
    } catch (error) {
      if (isErrorWith(error, "ENOENT", "ENOTDIR")) return [];
      throw error;
    }
  },
  realPath: (path) => {
    try {
      return fs.realpathSync.native(path);
    } catch (error) {
      if (isErrorWith(error, "ENOENT", "ENOTDIR")) return undefined;
      throw error;
    }
  },
  fileSystemType: (path) => fs.statfsSync(path).type >>> 0,
};

function toFacts(facts: fs.BigIntStats): FileFacts {
  const kind = facts.isFile() ? "file" : facts.isDirectory() ? "directory" : facts.isSymbolicLink() ? "link" : "other";
  // The whole milliseconds that these facts hold, too, would be the same for two changes within one.
  const [modifiedMs, changedMs] = [Number(facts.mtimeNs) / 1e6, Number(facts.ctimeNs) / 1e6];
  return { kind, identity: `${facts.dev}:${facts.ino}`, size: Number(facts.size), modifiedMs, changedMs };
}

/** True when the error carries one of these codes of the operating system. Pure. */
export function isErrorWith(error: unknown, ...codes: readonly string[]): boolean {
  return codes.includes(codeOf(error));
}

/** What a path holds, without following a link. */
export type Found =
  | { readonly kind: "missing" }
  | { readonly kind: "file"; readonly bytes: Uint8Array }
  | { readonly kind: "link" | "directory" | "other" };

/** Reads what stands at a path; only regular files are opened. */
export function lookAt(disk: Disk, path: string): Found {
  const facts = disk.factsOf(path);
  if (facts === undefined) return { kind: "missing" };
  if (facts.kind !== "file") return { kind: facts.kind };
  try {
    return { kind: "file", bytes: disk.readFile(path) };
  } catch (error) {
    if (isErrorWith(error, "ENOENT")) return { kind: "missing" };
    throw error;
  }
}

/** Waits. A commit that waits its turn keeps the process alive. */
export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, milliseconds));
}

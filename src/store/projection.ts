/**
 * Documents and pages of one stream on the disk. They follow from the journal and can be redone from it at any time, so
 * nothing here may fail a commit: what cannot be written is kept in mind and tried again.
 * The invariant: no file is overwritten that was not first compared, and what a person wrote into one is kept aside.
 */
import { dirname } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { codeOf } from "../errors.ts";
import { isErrorWith, lookAt, pause, type Disk, type Found } from "./disk.ts";
import { fileOf, pathIn } from "./layout.ts";
import {
  framePage,
  isMadeOf,
  isTornPage,
  readPage,
  withFinalNewline,
  withoutTrailingZeros,
  type PageParts,
} from "./pages.ts";
import type { DocumentName, Stream } from "./store.ts";

/**
 * A file that was not as it should be. `loud`: a person should know, because work of theirs was put aside or the file is
 * still wrong. The rest is what crashes leave behind.
 */
export type Mending = {
  readonly file: string;
  readonly what: string;
  readonly repaired: boolean;
  readonly loud: boolean;
};

/** What the documents must be, and how to learn more about it. */
export type Truth = {
  /** Current documents; read anew on each use, because others may append. */
  documents(): ReadonlyMap<DocumentName, string>;
  /** Every text that a document ever had. */
  versions(name: DocumentName): readonly string[];
  /** Takes in what others appended; true when there was something. */
  catchUp(): boolean;
  /** Resolves when the journal is durable as far as it was read. No document may be ahead of it. */
  makeDurable(): Promise<void>;
};

/** A page as it must be. `source`: of what it is made. `since`: the last change of its document, which it must name or a later one. `earlier`: full texts that it may have had lately, to know the remains of an interrupted writing. */
export type PageWanted = {
  readonly body: string | undefined;
  readonly source: string | undefined;
  readonly seq: number;
  readonly since: number;
  readonly earlier: () => readonly string[];
};

export type Projection = {
  /**
   * Writes a changed document beside its file, so that settling only has to rename it; to be called while the journal is made durable.
   * Never throws: settling does it all where this failed, and what it does not need `unstage` takes away.
   */
  stage(name: DocumentName): void;
  unstage(): void;
  /** Another writer makes the document this: found so, it is nobody's edit. */
  expect(name: DocumentName, text: string | null): void;
  /** Makes a document's file what the journal says. `unexpected`: a missing file is worth a word. Never throws. */
  settleDocument(name: DocumentName, unexpected: boolean): Promise<readonly Mending[]>;
  /** True when the page is whole and was made of this, or of the very same, since that change. Never throws. */
  isPageOf(name: DocumentName, source: string | undefined, since: number): boolean;
  /** Makes a page what was rendered (undefined: no page). Leaves one with that body that names a change since, and with `unexpected` its source. Never throws. */
  settlePage(name: DocumentName, page: PageWanted, unexpected: boolean): Promise<readonly Mending[]>;
  /** Names of documents whose file could not be written yet. */
  readonly staleDocuments: ReadonlySet<DocumentName>;
  /** True when a page could not be written yet. */
  stalePages(): boolean;
};

/** How often a document is written anew when other processes write it at the same time. */
const writeRounds = 20;
/** How often a rename is tried where another process may have the file open. */
const renameTries = 6;

export function createProjection(
  disk: Disk,
  stream: Stream,
  directory: string,
  now: () => Date,
  truth: Truth,
): Projection {
  /** What was last seen right on the disk. */
  const right = new Map<DocumentName, string>();
  /** What another writer made of it last, until it was compared. */
  const theirs = new Map<DocumentName, string>();
  const staleDocuments = new Set<DocumentName>();
  const stalePages = new Set<DocumentName>();
  const staged = new Map<DocumentName, { readonly text: string; readonly path: string }>();

  function stage(name: DocumentName): void {
    const text = truth.documents().get(name);
    if (text === undefined || staged.has(name)) return;
    try {
      staged.set(name, { text, path: disk.stageFile(pathIn(directory, fileOf(name, "document")), Buffer.from(text)) });
    } catch {
      // Settling says what is wrong.
    }
  }

  function unstage(): void {
    for (const { path } of staged.values()) {
      try {
        disk.remove(path);
      } catch {
        // It is litter by its name and goes with a later change.
      }
    }
    staged.clear();
  }

  async function settleDocument(name: DocumentName, unexpected: boolean): Promise<readonly Mending[]> {
    const file = fileOf(name, "document");
    const mendings: Mending[] = [];
    try {
      const failure = await bringAbout(name, file, unexpected, mendings);
      if (failure === undefined) staleDocuments.delete(name);
      else throw new Unwritten(failure);
    } catch (error) {
      staleDocuments.add(name);
      mendings.push(unwritten(file, error));
    }
    return mendings;
  }

  async function bringAbout(
    name: DocumentName,
    file: string,
    unexpected: boolean,
    mendings: Mending[],
  ): Promise<string | undefined> {
    const path = pathIn(directory, file);
    let misses = 0;
    for (let round = 0; round < writeRounds; round += 1) {
      const wanted = truth.documents().get(name);
      const found = lookAt(disk, path);
      if (isAsWanted(found, wanted)) {
        theirs.delete(name);
        if (wanted === undefined) right.delete(name);
        else right.set(name, wanted);
        return undefined;
      }
      const expected =
        found.kind === "file" && [right.get(name), theirs.get(name)].some((text) => isAsWanted(found, text));
      // Another process may have written it after a commit of its own, which then stands in the journal by now.
      if (!expected && found.kind !== "missing" && truth.catchUp()) continue;
      await truth.makeDurable();
      const what =
        found.kind === "missing" ? "was missing" : expected ? undefined : judgeDocument(found, truth.versions(name));
      if (what === "edited") mendings.push(keptAside(file, found));
      else if (round === 0 && what !== undefined && (unexpected || what !== "was missing"))
        mendings.push(mended(file, what));
      // The atomic writer publishes a truncated file on a full disk without an error, so each round looks at what it left.
      if (round > 0 && (what === "was torn" || what === "was missing")) misses += 1;
      if (misses === 2) return "it does not read back as it was written";
      if (wanted === undefined) removeFile(path);
      else await replaceFile(path, Buffer.from(wanted), takeStaged(name, wanted));
    }
    return "other writers kept changing it";
  }

  function expect(name: DocumentName, text: string | null): void {
    if (text === null) theirs.delete(name);
    else theirs.set(name, text);
  }

  async function settlePage(name: DocumentName, page: PageWanted, unexpected: boolean): Promise<readonly Mending[]> {
    const file = fileOf(name, "page");
    const mendings: Mending[] = [];
    try {
      await bringAboutPage(file, page, unexpected, mendings);
      stalePages.delete(name);
    } catch (error) {
      stalePages.add(name);
      mendings.push(unwritten(file, error));
    }
    return mendings;
  }

  function isPageOf(name: DocumentName, source: string | undefined, since: number): boolean {
    if (source === undefined || stalePages.has(name)) return false;
    try {
      const found = lookAt(disk, pathIn(directory, fileOf(name, "page")));
      const parts = found.kind === "file" ? readPage(Buffer.from(found.bytes).toString("utf8")) : undefined;
      return parts !== undefined && isMadeOf(parts, source) && parts.seq >= since;
    } catch {
      return false; // Settling says what is wrong.
    }
  }

  async function bringAboutPage(
    file: string,
    page: PageWanted,
    unexpected: boolean,
    mendings: Mending[],
  ): Promise<void> {
    const path = pathIn(directory, file);
    const wanted = page.body === undefined ? undefined : framePage(stream, page.seq, page.body, page.source);
    const { found, state, parts } = await lookAtPage(path, wanted, page);
    if (state === "missing" && wanted === undefined) return;
    const isSame = page.body !== undefined && parts?.body === withFinalNewline(page.body);
    // Where only the source is another one it is written at an opening, and not with each change that does not show.
    const saysSo = (from: PageParts) => !unexpected || page.source === undefined || isMadeOf(from, page.source);
    if (isSame && parts.seq >= page.since && saysSo(parts)) return;
    if (state === "edited") mendings.push(keptAside(file, found));
    else if (state === "torn") mendings.push(mended(file, "was torn"));
    else if (unexpected && !isSame)
      mendings.push(mended(file, state === "missing" ? "was missing" : "showed an older state"));
    await truth.makeDurable();
    if (wanted === undefined) removeFile(path);
    else writeInPlace(path, Buffer.from(wanted));
  }

  /** What stands in a page's place. Looks again at one that is not whole: another process may be in the middle of writing it. */
  async function lookAtPage(path: string, wanted: string | undefined, { earlier }: PageWanted): Promise<PageFound> {
    for (let attempt = 1; ; attempt += 1) {
      const found = lookAt(disk, path);
      if (found.kind === "missing") return { found, state: "missing" };
      const parts = found.kind === "file" ? readPage(Buffer.from(found.bytes).toString("utf8")) : undefined;
      if (parts !== undefined) return { found, state: "whole", parts };
      if (attempt < 3) {
        await pause(3);
        continue;
      }
      // Not before: earlier states are read from the whole journal.
      const candidates = () => (wanted === undefined ? earlier() : [wanted, ...earlier()]);
      const isTorn = found.kind === "file" && isTornPage(found.bytes, candidates());
      return { found, state: isTorn ? "torn" : "edited" };
    }
  }

  /** A rename would cost ten times as much, and a page that is cut short is found by its own last line. */
  function writeInPlace(path: string, bytes: Buffer): void {
    const descriptor = inDirectory(path, () => disk.open(path, "page"));
    try {
      const before = disk.factsOfOpen(descriptor).size;
      const written = disk.writeAt(descriptor, bytes, 0);
      if (written < bytes.length) throw new Unwritten("the disk took only a part of it");
      if (before > bytes.length) disk.truncate(descriptor, bytes.length);
    } finally {
      disk.close(descriptor);
    }
  }

  /** Where the text was staged, for one use. */
  function takeStaged(name: DocumentName, text: string): string | undefined {
    const found = staged.get(name);
    if (found?.text !== text) return undefined;
    staged.delete(name);
    return found.path;
  }

  async function replaceFile(path: string, bytes: Buffer, prepared: string | undefined): Promise<void> {
    let from = prepared;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return inDirectory(path, () => {
          const once = from;
          from = undefined;
          disk.replaceFile(path, bytes, once);
        });
      } catch (error) {
        if (!disk.windows || attempt === renameTries || !isErrorWith(error, "EPERM", "EACCES", "EBUSY")) throw error;
        await pause(10 * 2 ** attempt);
      }
    }
  }

  function inDirectory<T>(path: string, write: () => T): T {
    try {
      return write();
    } catch (error) {
      if (!isErrorWith(error, "ENOENT")) throw error;
      disk.makeDirectory(dirname(path));
      return write();
    }
  }

  function removeFile(path: string): void {
    try {
      disk.remove(path);
    } catch (error) {
      if (!isErrorWith(error, "ENOENT")) throw error;
    }
  }

  /** Copies what a person wrote before it is overwritten; when that fails, nothing is overwritten. */
  function keptAside(file: string, found: Found): Mending {
    const path = pathIn(directory, file);
    const stamp = now().toISOString().replaceAll(/[-:]/g, "").replace(/\.\d+/, "");
    for (let count = 1; ; count += 1) {
      const aside = `${file}.edited-${stamp}${count === 1 ? "" : `-${count}`}`;
      const target = pathIn(directory, aside);
      const there = lookAt(disk, target);
      if (there.kind === "missing") {
        if (found.kind === "file") disk.copyFile(path, target);
        // A link is moved as it is: following it would copy what it points to.
        else if (found.kind === "link") disk.rename(path, target);
        else throw new Unwritten("something that is no file stands in its place");
      } else if (there.kind !== "file" || found.kind !== "file" || !sameBytes(there.bytes, found.bytes)) {
        continue;
      }
      const what = `was changed by hand or by another program; that has no effect, and it is kept as ${aside}`;
      return { file, what, repaired: true, loud: true };
    }
  }

  return {
    stage,
    unstage,
    expect,
    settleDocument,
    isPageOf,
    settlePage,
    staleDocuments,
    stalePages: () => stalePages.size > 0,
  };
}

type PageFound = {
  readonly found: Found;
  readonly state: "missing" | "whole" | "torn" | "edited";
  readonly parts?: PageParts;
};

function mended(file: string, what: string): Mending {
  return { file, what, repaired: true, loud: false };
}

/** Why a file could not be written, in words without a path. */
class Unwritten extends Error {}

function unwritten(file: string, error: unknown): Mending {
  const reason = error instanceof Unwritten ? error.message : codeOf(error);
  const what = `could not be written yet (${reason}); the journal has its content, and it is written with the next change or reading`;
  return { file, what, repaired: false, loud: true };
}

function isAsWanted(found: Found, wanted: string | undefined): boolean {
  if (wanted === undefined) return found.kind === "missing";
  return found.kind === "file" && sameBytes(found.bytes, Buffer.from(wanted));
}

function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0;
}

/** What happened to a document that is not the one last seen: only `edited` is a person's work. Pure. */
function judgeDocument(
  found: Found,
  versions: readonly string[],
): "edited" | "was an older version" | "was torn" | "was reformatted" {
  if (found.kind !== "file") return "edited";
  const bytes = Buffer.from(found.bytes);
  if (versions.some((version) => sameBytes(bytes, Buffer.from(version)))) return "was an older version";
  const written = withoutTrailingZeros(bytes);
  if (written.length === 0) return "was torn";
  if (versions.some((version) => sameBytes(written, Buffer.from(version).subarray(0, written.length))))
    return "was torn";
  const value = parseJson(bytes.toString("utf8"));
  if (value !== undefined && versions.some((version) => isDeepStrictEqual(parseJson(version), value)))
    return "was reformatted";
  return "edited";
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text.startsWith("\uFEFF") ? text.slice(1) : text);
  } catch {
    return undefined;
  }
}

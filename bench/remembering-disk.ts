/** For the bench: what a disk would be that nobody else could ever change. */
import type { Disk, FileFacts } from "../src/store/disk.ts";

/** The same disk, asked nothing twice: what stands at a path that was looked at or written before is answered from memory. */
export function rememberingDisk(disk: Disk): Disk {
  const facts = new Map<string, FileFacts | undefined>();
  const contents = new Map<string, Uint8Array>();
  const places = new Map<string, string | undefined>();
  const names = new Map<string, readonly string[]>();
  const files = new Map<number, string>();
  let changes = 0;

  function known<T>(map: Map<string, T>, path: string, ask: () => T): T {
    if (!map.has(path)) map.set(path, ask());
    return map.get(path) ?? ask();
  }

  function becomes(path: string, size: number, bytes?: Uint8Array): void {
    changes += 1;
    const identity = facts.get(path)?.identity ?? String(changes);
    facts.set(path, { kind: "file", identity, size, modifiedMs: changes, changedMs: changes });
    if (bytes === undefined) contents.delete(path);
    else contents.set(path, bytes);
  }

  function forgetAll(): void {
    for (const map of [facts, contents, places, names]) map.clear();
  }

  const factsOf = (path: string) => known(facts, path, () => disk.factsOf(path));
  const fileOf = (descriptor: number) => files.get(descriptor) ?? "";
  return {
    ...disk,
    factsOf,
    realPath: (path) => known(places, path, () => disk.realPath(path)),
    namesIn: (path) => known(names, path, () => disk.namesIn(path)),
    readFile: (path) => known(contents, path, () => disk.readFile(path)),
    open: (path, mode) => {
      const descriptor = disk.open(path, mode);
      // It may have been made by this.
      if (facts.get(path) === undefined) facts.delete(path);
      files.set(descriptor, path);
      return descriptor;
    },
    factsOfOpen: (descriptor) => factsOf(fileOf(descriptor)) ?? disk.factsOfOpen(descriptor),
    append: (descriptor, bytes) => {
      const path = fileOf(descriptor);
      const before = factsOf(path)?.size ?? 0;
      const count = disk.append(descriptor, bytes);
      becomes(path, before + count);
      return count;
    },
    writeAt: (descriptor, bytes, offset) => {
      const count = disk.writeAt(descriptor, bytes, offset);
      becomes(fileOf(descriptor), offset + count, bytes);
      return count;
    },
    replaceFile: (path, bytes, staged) => {
      disk.replaceFile(path, bytes, staged);
      becomes(path, bytes.length, bytes);
    },
    makeDirectory: (path) => {
      disk.makeDirectory(path);
      forgetAll();
    },
    remove: (path) => {
      disk.remove(path);
      forgetAll();
    },
  };
}

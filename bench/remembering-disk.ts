/** For the bench: what a disk would be that nobody else could ever change. */
import type { Disk, FileFacts } from "../src/store/disk.ts";

/** The same disk, asked nothing twice: what stands at a path that was looked at or written before is answered from memory. */
export function rememberingDisk(disk: Disk): Disk {
  const facts = new Map<string, FileFacts>();
  const contents = new Map<string, Uint8Array>();
  const places = new Map<string, string>();
  const names = new Map<string, readonly string[]>();
  const files = new Map<number, string>();
  let changes = 0;

  /** What is missing is asked for again. */
  function known<T, U extends T | undefined>(map: Map<string, T>, path: string, ask: () => U): T | U {
    const found = map.get(path);
    if (found !== undefined) return found;
    const answer = ask();
    if (answer !== undefined) map.set(path, answer);
    return answer;
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

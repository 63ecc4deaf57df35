/** A disk that can be stopped, shortened and failed at any call. */
import { nodeDisk, type Disk } from "../../src/store/disk.ts";

export type Call = { readonly name: keyof Disk; readonly path: string; readonly number: number };
export type Behaviour = (call: Call, proceed: () => unknown, input: readonly unknown[]) => unknown;

/** A disk that hands every call to `behave`, which may do it, do it in part, fail, or do something else. Behind it is the real one. */
export function watchedDisk(behave: Behaviour, behind: Disk = nodeDisk): Disk {
  const paths = new Map<number, string>();
  let number = 0;
  const watched: Record<string, unknown> = { windows: false };
  for (const [name, method] of Object.entries(behind)) {
    if (typeof method !== "function") continue;
    watched[name] = (...input: readonly unknown[]) => {
      const path = typeof input[0] === "number" ? (paths.get(input[0]) ?? "") : String(input[0]);
      number += 1;
      const result = behave(
        { name: name as keyof Disk, path, number },
        () => Reflect.apply(method, behind, [...input]),
        input,
      );
      if (name === "open" && typeof result === "number") paths.set(result, path);
      return result;
    };
  }
  return watched as unknown as Disk;
}

/** An error as the operating system gives it. */
export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: /a/secret/path`), { code });
}

/** True for calls that change something on the disk. */
export function isWrite({ name }: Call): boolean {
  return [
    "append",
    "writeAt",
    "truncate",
    "sync",
    "replaceFile",
    "stageFile",
    "copyFile",
    "rename",
    "remove",
    "makeDirectory",
    "syncDirectory",
  ].includes(name);
}

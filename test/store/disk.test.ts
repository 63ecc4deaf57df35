/** What the store relies on of the real disk, beside what the tests of the store show of it. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { nodeDisk } from "../../src/store/disk.ts";
import { eventually } from "../support/eventually.ts";
import { aRoot } from "./support.ts";

const text = Buffer.from("new\n");

describe("a file that is replaced", () => {
  it.skipIf(process.platform !== "linux")("is held open no longer than its replacing takes", async () => {
    const path = join(aRoot(), "file");
    for (let count = 0; count < 100; count += 1) {
      const staged = count % 2 === 0 ? undefined : nodeDisk.stageFile(path, text);
      nodeDisk.replaceFile(path, text, staged);
    }
    expect(readFileSync(path, "utf8")).toBe("new\n");
    await eventually(() => expect(openFilesBelow(path)).toEqual([]));
  });

  it("may be what nobody can read", () => {
    const path = join(aRoot(), "file");
    writeFileSync(path, "old\n", { mode: 0o200 });
    nodeDisk.replaceFile(path, text);
    expect(statSync(path).size).toBe(text.length);
  });

  it.skipIf(process.platform === "win32")("may be a pipe that nobody writes to: it is not waited for", () => {
    const path = join(aRoot(), "file");
    const staged = nodeDisk.stageFile(path, text);
    execFileSync("mkfifo", [path]);
    nodeDisk.replaceFile(path, text, staged);
    expect(readFileSync(path, "utf8")).toBe("new\n");
  });
});

/** Where this process's open files lead, of those whose path began with this one. */
function openFilesBelow(path: string): readonly string[] {
  return readdirSync("/proc/self/fd").flatMap((descriptor) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${descriptor}`);
      return target.startsWith(path) ? [target] : [];
    } catch {
      return []; // It was closed meanwhile.
    }
  });
}

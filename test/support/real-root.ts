/** A root on the disk that is gone after the test. */
import { mkdir, mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { onTestFinished } from "vitest";

export async function aRealRoot(): Promise<string> {
  const root = await realpath(await mkdtemp(path.join(tmpdir(), "tools-test-")));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  await mkdir(path.join(root, "root", "projects"), { recursive: true });
  return path.join(root, "root");
}

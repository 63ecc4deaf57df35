/** `npm run verify`, as a person calls it on a root. */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { renderPages } from "../../src/render/pages.ts";
import { createFileStore } from "../../src/store/file-store.ts";
import { createBench } from "../support/bench.ts";
import { aRealRoot } from "../support/real-root.ts";

const script = path.resolve(import.meta.dirname, "../../scripts/verify.ts");

function verify(...words: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...words], { encoding: "utf8" });
  return { status, stdout, stderr };
}

it("says what differs from the journals, mends it, and ends with 1 then", { tags: ["s6.verify"] }, async () => {
  const root = await aRealRoot();
  let ids = 0;
  const store = await createFileStore({ root, renderPages, now: () => new Date(), randomId: () => `id-${(ids += 1)}` });
  onTestFinished(() => store.close());
  const taskId = await createBench({ store, root }).started();
  expect(verify(root)).toEqual({ status: 0, stdout: "2 streams verified, 0 differences\n", stderr: "" });
  const file = path.join(root, "projects", "shop", "tasks", taskId, "steps", "step-01.json");
  const truth = readFileSync(file, "utf8");
  writeFileSync(file, truth.replace('"queued"', '"passed"'));
  const found = verify(root, "shop");
  expect(found.status).toBe(1);
  expect(found.stdout).toMatch(
    new RegExp(`^projects/shop/tasks/${taskId}/steps/step-01.json .*\\(mended\\)\n2 streams verified, 1 difference\n$`),
  );
  expect(readFileSync(file, "utf8")).toBe(truth);
  expect(verify(root).status).toBe(0);
});

it("refuses a folder that is no root, and a project that is not there", async () => {
  const root = await aRealRoot();
  expect(verify()).toMatchObject({ status: 2, stdout: "" });
  expect(verify(path.join(root, "projects"))).toMatchObject({
    status: 2,
    stderr: expect.stringContaining("usage") as unknown,
  });
  expect(verify(root, "nothing")).toMatchObject({ status: 2, stderr: expect.stringContaining("nothing") as unknown });
});

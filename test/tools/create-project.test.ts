/** create_project: the id that follows from a name, and the directory that a project may work in. */
import { createHash } from "node:crypto";
import { mkdir, symlink, writeFile, readdir, realpath } from "node:fs/promises";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { chooseRepo } from "../../src/files/paths.ts";
import { aProject, createBench } from "../support/bench.ts";
import { aRealRoot } from "../support/real-root.ts";
import { owner } from "../support/callers.ts";

describe("the id of a project", () => {
  it.each([
    ["Word Count", "word-count"],
    ["  Ünïcode & Co. ", "unicode-co"],
    ["../x", "x"],
    ["C:\\con", "c-con"],
    ["--a--b--", "a-b"],
    [`${"a".repeat(59)} b`, "a".repeat(59)],
    ["a".repeat(200), "a".repeat(60)],
  ])(
    "that follows from %j is in plain letters, digits and dashes",
    { tags: ["s3.project-slug"] },
    async (name, expected) => {
      const { projectId } = await createBench().done("create_project", aProject({ name }));
      expect(projectId).toBe(expected);
      expect(projectId).toMatch(/^[a-z0-9]([a-z0-9-]{0,58}[a-z0-9])?$/);
    },
  );

  it(
    "made from a name without plain letters is `project-` and 8 hex digits, the same for the same name",
    { tags: ["s3.empty-slug"] },
    async () => {
      const one = await createBench().done("create_project", aProject({ name: "界面" }));
      const same = await createBench().done("create_project", aProject({ name: "界面" }));
      const other = await createBench().done("create_project", aProject({ name: "界" }));
      expect(one["projectId"]).toBe(`project-${createHash("sha256").update("界面").digest("hex").slice(0, 8)}`);
      expect(same["projectId"]).toBe(one["projectId"]);
      expect(other["projectId"]).not.toBe(one["projectId"]);
    },
  );

  it("that is taken is refused, and the project that has it is named", { tags: ["s3.project-id-taken"] }, async () => {
    const bench = createBench();
    await bench.done("create_project", aProject({ name: "Shop" }));
    const refusal = await bench.refused("create_project", aProject({ name: "shop!" }));
    expect(refusal).toStrictEqual({
      code: "id-taken",
      reason: "A project with the id shop exists already.",
      accepts: ["another name", "the project shop as it is"],
    });
  });
});

describe("a project whose folder cannot be made", () => {
  it.each([
    ["projects/shop", "ENOTDIR"],
    ["projects/shop/repo", "EEXIST"],
  ])("because %s is a file is refused, and nothing is changed", async (name, code) => {
    const root = await aRealRoot();
    await mkdir(path.dirname(path.join(root, name)), { recursive: true });
    await writeFile(path.join(root, name), "a file\n");
    const refusal = await createBench({ root }).refused("create_project", aProject());
    expect(refusal).toStrictEqual({
      code: "not-committed",
      reason: `projects/shop/repo could not be made (${code}).`,
      accepts: ["Free disk space or mend the permission that the message names, then call again"],
    });
  });
});

describe("a created project", () => {
  it("is one record, and the answer says where it is", async () => {
    const bench = createBench();
    const answer = await bench.call("create_project", aProject());
    expect(answer.details).toStrictEqual({
      projectId: "shop",
      projectPath: "/memory/projects/shop/project.json",
      repoPath: "/repos/shop",
    });
    expect(answer.text).toContain("create_task");
    const [record, ...more] = await bench.history({ projectId: "shop" });
    expect(more).toStrictEqual([]);
    expect(record).toMatchObject({
      tool: "create_project",
      actor: { kind: "person", agentId: "main" },
      event: { type: "ProjectCreated", name: "Shop" },
    });
    expect(bench.committed).toStrictEqual(["projects/shop"]);
  });

  it("holds no session key, only a hash of it", async () => {
    const bench = createBench();
    await bench.done("create_project", aProject(), owner({ sessionKey: "agent:main:whatsapp:+15550001111" }));
    expect(await bench.everything()).not.toContain("5550001111");
  });
});

async function aRoot() {
  const root = await aRealRoot();
  const outside = path.join(path.dirname(root), "outside");
  await mkdir(outside);
  await mkdir(path.join(root, "work", "inner"), { recursive: true });
  await mkdir(path.join(root, "projects", "other", "repo", "sub"), { recursive: true });
  await mkdir(path.join(root, "projects", "other", "tasks"), { recursive: true });
  await writeFile(path.join(root, "file.txt"), "text");
  await symlink(outside, path.join(root, "leads-out"));
  await symlink(path.join(root, "work"), path.join(root, "leads-in"));
  return { root, outside };
}

describe("the directory of a project", () => {
  it("is made below the project when none is given", { tags: ["s5.repo-default", "s5.details-paths"] }, async () => {
    const { root } = await aRoot();
    const { repoPath } = await createBench({ root }).done("create_project", aProject());
    expect(repoPath).toBe(path.join(root, "projects", "shop", "repo"));
    expect(await realpath(String(repoPath))).toBe(repoPath);
  });

  it.each([
    ["a directory in the root", "work"],
    ["a deeper one", "work/inner"],
    ["the repo of another project", "projects/other/repo"],
    ["a directory in the repo of another project", "projects/other/repo/sub"],
    ["a link that stays in the root", "leads-in"],
  ])(
    "may be %s, relative or absolute, and is kept by its real path",
    { tags: ["s5.repo-where", "s5.repo-real-path"] },
    async (_what, given) => {
      const { root } = await aRoot();
      const real = await realpath(path.join(root, given));
      const bench = createBench({ root });
      expect(await bench.done("create_project", aProject({ name: "One", repo: given }))).toMatchObject({
        repoPath: real,
      });
      expect(await bench.done("create_project", aProject({ name: "Two", repo: path.join(root, given) }))).toMatchObject(
        {
          repoPath: real,
        },
      );
    },
  );

  it.each([
    ["one outside", "../outside", "is neither inside the root nor in allowedRepos"],
    ["a link that leads out", "leads-out", "is neither inside the root nor in allowedRepos"],
    ["the root itself", ".", "is the root, projects/ or contains it"],
    ["projects/", "projects", "is the root, projects/ or contains it"],
    ["an ancestor of the root", "..", "is neither inside the root nor in allowedRepos"],
    ["the file system's root", "/", "is neither inside the root nor in allowedRepos"],
    ["the state of another project", "projects/other", "lies in a project's kept state"],
    ["tasks of another project", "projects/other/tasks", "lies in a project's kept state"],
    ["what does not exist", "work/nothing", "is not an existing directory"],
    ["a file", "file.txt", "is not an existing directory"],
    ["no path at all", "work\u0000", "is no path"],
  ])("may not be %s", { tags: ["s5.repo-where", "s5.repo-real-path", "s5.repo-never"] }, async (_what, repo, why) => {
    const { root } = await aRoot();
    const before = await readdir(root, { recursive: true });
    const refusal = await createBench({ root }).refused("create_project", aProject({ repo }));
    expect(refusal.code).toBe("invalid-repo");
    expect(refusal.reason).toBe(`repo ${JSON.stringify(repo)} ${why}.`);
    expect(refusal.accepts).toContain("an existing directory inside the root");
    expect(await readdir(root, { recursive: true })).toStrictEqual(before);
  });

  it(
    "may be outside when allowedRepos says so, and below it",
    { tags: ["s5.repo-where", "s5.repo-real-path"] },
    async () => {
      const { root, outside } = await aRoot();
      await mkdir(path.join(outside, "deep"));
      const bench = createBench({ root, config: { allowedRepos: [outside] } });
      expect(await bench.done("create_project", aProject({ name: "One", repo: outside }))).toMatchObject({
        repoPath: outside,
      });
      expect(
        await bench.done("create_project", aProject({ name: "Two", repo: path.join(outside, "deep") })),
      ).toMatchObject({ repoPath: path.join(outside, "deep") });
      expect(await bench.done("create_project", aProject({ name: "Three", repo: "leads-out" }))).toMatchObject({
        repoPath: outside,
      });
    },
  );

  it("may not contain the root even when allowedRepos names it", { tags: ["s5.repo-never"] }, async () => {
    const { root } = await aRoot();
    const above = path.dirname(root);
    const bench = createBench({ root, config: { allowedRepos: [above] } });
    expect((await bench.refused("create_project", aProject({ repo: above }))).reason).toContain("contains it");
  });

  it("may not lie in the kept state of another root that is known", { tags: ["s5.repo-never-kept"] }, async () => {
    const { root, outside } = await aRoot();
    const other = path.join(outside, "projects", "shop");
    await mkdir(path.join(other, "tasks"), { recursive: true });
    await mkdir(path.join(other, "repo"));
    const choose = (wanted: string, known: readonly string[]) => chooseRepo(root, "mine", wanted, [outside], known);
    for (const kept of [path.join(outside, "projects"), other, path.join(other, "tasks")]) {
      const refusal = { code: "invalid-repo", reason: expect.stringContaining("lies in a project's kept state") };
      expect(await choose(kept, [outside])).toMatchObject(refusal);
      expect(await choose(kept, [])).toBe(kept);
    }
    expect(await choose(path.join(other, "repo"), [outside])).toBe(path.join(other, "repo"));
  });

  it.each(["", "not-there-yet"])(
    "is refused without making anything when projects/ leads out of the root: %j",
    async (below) => {
      const { root, outside } = await aRoot();
      await symlink(path.join(outside, below), path.join(root, "projects", "shop"));
      expect(await createBench({ root }).refused("create_project", aProject())).toMatchObject({ code: "invalid-repo" });
      expect(await readdir(outside)).toStrictEqual([]);
    },
  );
});

/** When a root is driven: not before the gateway runs, again after a start that failed, no more after the end. */
import { mkdir, mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { createDriving } from "../../src/host/driving.ts";
import { createDesk } from "../../src/host/desk.ts";
import { openRoot, openRoots } from "../../src/host/roots.ts";
import { shared } from "../../src/host/shared.ts";
import { callTool } from "../../src/tools/tool.ts";
import { aProject, aTask, toolNamed } from "../support/bench.ts";
import { owner } from "../support/callers.ts";
import { eventually } from "../support/eventually.ts";
import { createFakeHost } from "../support/fake-host.ts";
import { createSettableClock } from "../support/settable-clock.ts";

/** A root with a folder for projects and none in it, and a host of which only what driving asks for is there. */
async function setup() {
  const home = await mkdtemp(path.join(tmpdir(), "driving-test-"));
  const root = path.join(home, "root");
  const projects = path.join(root, "projects");
  await mkdir(projects, { recursive: true });
  const config = { plugins: { entries: { "project-orchestrator": { config: { root } } } } };
  const { host, logged: said } = createFakeHost(config, path.join(home, "state"));
  const clock = createSettableClock();
  const driving = createDriving(host, clock);
  onTestFinished(async () => {
    await driving.end();
    await rm(home, { recursive: true, force: true });
  });
  const isDriven = async (which = root) =>
    (await openRoots()).some((one) => one.root === which && one.driver !== undefined);
  return { home, host, root, projects, said, clock, driving, isDriven };
}

describe("a root", () => {
  it("is driven from the moment the gateway runs, and not after the end", { tags: ["s7.driver-resumes"] }, async () => {
    const { driving, isDriven } = await setup();
    expect(await isDriven()).toBe(false);
    driving.begin();
    await eventually(async () => expect(await isDriven()).toBe(true));
    await driving.end();
    expect(await isDriven()).toBe(false);
  });

  it("that nobody knew of is driven from its first commit on", { tags: ["s7.driver-woken"] }, async () => {
    const { home, driving, isDriven } = await setup();
    const other = path.join(home, "other");
    await mkdir(path.join(other, "projects"), { recursive: true });
    driving.begin();
    await eventually(async () => expect(await isDriven()).toBe(true));
    expect(await isDriven(other)).toBe(false);
    // A tool of another evaluation of the plugin has committed.
    shared().onCommit?.(other, { projectId: "shop" });
    await eventually(async () => expect(await isDriven(other)).toBe(true));
  });

  it("whose projects appear when the gateway runs already is driven within a minute", async () => {
    const { driving, isDriven, projects, clock } = await setup();
    await rm(projects, { recursive: true });
    driving.begin();
    await eventually(() => expect(clock.next()).toBe(clock.now() + 60_000));
    await mkdir(projects);
    clock.moveTo(clock.now() + 60_000);
    await eventually(async () => expect(await isDriven()).toBe(true));
  });

  it("has its driver woken by a tool's commit at once, and not by looking", { tags: ["s7.driver-woken"] }, async () => {
    const { host, root, clock, driving } = await setup();
    driving.begin();
    // From here on the driver looks for others' commits when the clock moves, which it never does.
    await eventually(() => expect(clock.next()).toBe(clock.now() + 5_000));
    const open = await openRoot(root, () => undefined);
    expect(open.driver?.unfinished()).toStrictEqual([]);
    const desk = createDesk(host, open);
    await callTool(desk, owner(), toolNamed("create_project"), aProject());
    const { details } = await callTool(desk, owner(), toolNamed("create_task"), aTask());
    const stream = { projectId: "shop", taskId: details["taskId"] };
    await eventually(() => expect(open.driver?.unfinished()).toStrictEqual([stream]));
  });

  it("whose first start failed is tried again after a while, and is driven once it can be", async () => {
    const { host, root, projects, said, clock, driving, isDriven } = await setup();
    // A file stands where the lease is to be kept.
    await writeFile(path.join(projects, ".driver"), "");
    driving.begin();
    await eventually(() => expect(said.join("\n")).toContain("are not driven now"));
    await eventually(() => expect(clock.next()).toBe(clock.now() + 10_000));
    expect(await isDriven()).toBe(false);
    const open = await openRoot(root, () => undefined);
    // The code that the system gives there.
    const remark = expect.stringMatching(
      /^the projects below \S+ are not driven now \(E[A-Z]+\), which is tried again/,
    );
    expect(createDesk(host, open).live.remarks()).toStrictEqual([remark]);
    await rm(path.join(projects, ".driver"));
    clock.moveTo(clock.now() + 10_000);
    await eventually(async () => expect(await isDriven()).toBe(true));
    expect(createDesk(host, open).live.remarks()).toStrictEqual([]);
    expect(said.filter((one) => one.includes("are not driven now"))).toHaveLength(1);
  });

  it(
    "whose lease another takes away is driven no more, until its lease can be had again",
    { tags: ["s6.lease-lost-stops-driving"] },
    async () => {
      const { root, projects, said, clock, driving, isDriven } = await setup();
      const lock = path.join(projects, ".driver", "holder.json.lock");
      driving.begin();
      await eventually(async () => expect(await isDriven()).toBe(true));
      // Another gateway, of which nobody can tell from here whether it lives.
      await rm(lock, { recursive: true });
      await mkdir(lock);
      await writeFile(
        path.join(projects, ".driver", "holder.json"),
        JSON.stringify({ host: "another machine", pid: 1, startedAt: "then", bootId: "elsewhere" }),
      );
      await utimes(lock, 1, Date.now() / 1_000 + 3_600);
      await eventually(async () => expect(await isDriven()).toBe(false));
      expect(said.join("\n")).toContain(`driving ${root} stops`);
      const again = async () => {
        await eventually(() => expect(clock.next()).toBe(clock.now() + 5_000));
        clock.moveTo(clock.now() + 5_000);
      };
      await again();
      await eventually(async () =>
        expect((await openRoots()).map((one) => one.remark)).toContainEqual(expect.stringContaining("another gateway")),
      );
      expect(await isDriven()).toBe(false);
      await rm(lock, { recursive: true });
      await again();
      await eventually(async () => expect(await isDriven()).toBe(true));
    },
  );
});

/** The driving lease on real files: one holder, taken over from the dead, and losing it harms nobody. */
import { mkdtempSync, rmSync } from "node:fs";
import { mkdir, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { thisProcess } from "../../src/files/launcher.ts";
import { remarkOfLease, takeLease } from "../../src/host/lease.ts";

const me = thisProcess("me");
const dead = { host: hostname(), pid: me.pid, startedAt: "another boot/1", bootId: "dead" };
const elsewhere = { host: "another machine", pid: 1, startedAt: "then", bootId: "elsewhere" };
const harmless = () => undefined;

function setup() {
  const root = mkdtempSync(path.join(tmpdir(), "po-lease-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  const folder = path.join(root, "projects", ".driver");
  const lock = path.join(folder, "holder.json.lock");
  return {
    root,
    folder,
    lock,
    /** Somebody has the lease, and said so just now. */
    heldBy: async (holder: unknown) => {
      await mkdir(lock, { recursive: true });
      await writeFile(path.join(folder, "holder.json"), JSON.stringify(holder));
    },
    take: async (onLost: (why: string) => void = harmless) => {
      const lease = await takeLease(root, me, onLost);
      if (lease !== undefined) onTestFinished(() => lease.release());
      return lease;
    },
  };
}

describe("the driving lease", () => {
  it("is had by one at a time", { tags: ["s6.lease-one-gateway-drives"] }, async () => {
    const { take, folder } = setup();
    const lease = await take();
    expect(lease).toBeDefined();
    expect(await take()).toBeUndefined();
    expect(JSON.parse(await readFile(path.join(folder, "holder.json"), "utf8"))).toStrictEqual(me);
    expect(await readFile(path.join(folder, ".gitignore"), "utf8")).toBe("*\n");
    await lease?.release();
    expect(await take()).toBeDefined();
  });

  it("of a process that is gone is taken over at once", { tags: ["s6.lease-of-the-dead-taken-over"] }, async () => {
    const { take, heldBy, lock } = setup();
    await heldBy(dead);
    const lease = await take();
    expect(lease).toBeDefined();
    await lease?.release();
    // It ended in order, and gave the lease back.
    await heldBy(dead);
    await rm(lock, { recursive: true });
    expect(await take()).toBeDefined();
  });

  it("of which the file says nothing is left while it is held, and had when it is not", async () => {
    const { take, heldBy, lock, root } = setup();
    for (const nonsense of [null, 7, "text", [], {}, { host: hostname(), pid: me.pid }]) {
      await heldBy(nonsense);
      expect([nonsense, await take(), await remarkOfLease(root)]).toStrictEqual([
        nonsense,
        undefined,
        expect.stringContaining("another gateway"),
      ]);
      await rm(lock, { recursive: true });
      const lease = await take();
      expect([nonsense, typeof lease]).toStrictEqual([nonsense, "object"]);
      await lease?.release();
    }
  });

  it("that cannot be had for another reason than a holder is told, not taken for another gateway's", async () => {
    const { take, folder, lock } = setup();
    await mkdir(folder, { recursive: true });
    await writeFile(lock, "a file where the lock should be");
    const longAgo = new Date(Date.now() - 60_000);
    await utimes(lock, longAgo, longAgo);
    await expect(take()).rejects.toThrow("ENOTDIR");
  });

  it(
    "of a process that lives, or whose life cannot be told, is left",
    { tags: ["s6.lease-one-gateway-drives"] },
    async () => {
      const { take, heldBy, lock } = setup();
      for (const holder of [me, elsewhere, { nonsense: true }]) {
        await heldBy(holder);
        expect(await take()).toBeUndefined();
      }
      const longAgo = new Date(Date.now() - 60_000);
      await utimes(lock, longAgo, longAgo);
      expect(await take()).toBeDefined();
    },
  );

  it("says to a process that drives nothing who drives, and is not changed by being asked", async () => {
    const { root, folder, take, heldBy } = setup();
    const none = `no gateway drives the projects below ${root}: changes are kept, and runs begin once one is started`;
    const another = `another gateway drives the projects below ${root}; changes are kept, runs are launched there`;
    expect(await remarkOfLease(root)).toBe(none);
    await expect(readdir(folder)).rejects.toMatchObject({ code: "ENOENT" });
    await heldBy(dead);
    expect(await remarkOfLease(root)).toBe(none);
    expect((await readdir(folder)).toSorted()).toStrictEqual(["holder.json", "holder.json.lock"]);
    for (const holder of [me, elsewhere, { nonsense: true }]) {
      await heldBy(holder);
      expect(await remarkOfLease(root)).toBe(another);
    }
    await rm(path.join(folder, "holder.json"));
    expect(await remarkOfLease(root), "it has the lock and has not said yet who it is").toBe(another);
    await rm(path.join(folder, "holder.json.lock"), { recursive: true });
    expect(await remarkOfLease(root)).toBe(none);
    const lease = await take();
    expect(await remarkOfLease(root)).toBe(another);
    await lease?.release();
    expect(await remarkOfLease(root)).toBe(none);
  });

  it("is not written by one who does not get it", { tags: ["s6.lease-one-gateway-drives"] }, async () => {
    const { take, folder } = setup();
    await take();
    const facts = async () =>
      Promise.all(
        ["", ...(await readdir(folder))].map(async (name) => {
          const { ino, mtimeNs } = await stat(path.join(folder, name), { bigint: true });
          // Whoever holds the lock sets its time again and again.
          return name.endsWith(".lock") ? [name, ino] : [name, ino, mtimeNs];
        }),
      );
    const before = await facts();
    expect(await take()).toBeUndefined();
    expect(await facts()).toStrictEqual(before);
  });

  it("that could not be noted is given back, and told", { tags: ["s6.lease-one-gateway-drives"] }, async () => {
    const { take, folder } = setup();
    const note = path.join(folder, "holder.json");
    await mkdir(note, { recursive: true });
    await expect(take()).rejects.toThrow("EISDIR");
    await rm(note, { recursive: true });
    expect(await take()).toBeDefined();
  });

  it(
    "that is taken away is told to its holder, who may still give it back",
    { tags: ["s6.lease-lost-stops-driving"] },
    async () => {
      const { take, lock } = setup();
      const lost = Promise.withResolvers<string>();
      const lease = await take(lost.resolve);
      await rm(lock, { recursive: true });
      expect(await lost.promise).not.toBe("");
      await expect(lease?.release()).resolves.toBeUndefined();
    },
  );
});

/** Finding and ending what a run left behind. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { endProcessTrees, processesWith } from "../../src/files/process-tree.ts";

const variable = "PROCESS_TREE_TEST";

/** A command that prints a line when it runs; its process group is its own, as a daemon's. */
async function start(
  script: string,
  value: string,
): Promise<{ readonly pid: number; readonly ended: Promise<unknown> }> {
  const child = spawn("sh", ["-c", script], {
    detached: true,
    stdio: ["ignore", "pipe", "ignore"],
    env: { ...process.env, [variable]: value },
  });
  const ended = once(child, "exit");
  await once(child.stdout, "data");
  return { pid: child.pid ?? 0, ended };
}

describe.runIf(process.platform === "linux")("processes that were marked by a variable of their environment", () => {
  it("are found by its exact value, with everything that inherited it, and are ended", async () => {
    const value = `run:${process.pid}:1`;
    const [ours, other] = [
      await start("sleep 300 & echo started; wait", value),
      await start("echo started; sleep 300", `${value}0`),
    ];
    const found = await processesWith(variable, value);
    expect(found).toContain(ours.pid);
    expect(found.length).toBeGreaterThanOrEqual(2);
    expect(found).not.toContain(other.pid);
    await endProcessTrees(found);
    expect(await processesWith(variable, value)).toEqual([]);
    await ours.ended;
    expect(await processesWith(variable, `${value}0`)).toContain(other.pid);
    await endProcessTrees([other.pid]);
    await other.ended;
  });

  it("are found at whatever moment, also while one becomes another program", async () => {
    const value = `run:${process.pid}:2`;
    const restless = await start(
      'echo started; again=\'exec sh -c "$again"\'; export again; exec sh -c "$again"',
      value,
    );
    const looks: boolean[] = [];
    while (looks.length < 300) looks.push((await processesWith(variable, value)).includes(restless.pid));
    await endProcessTrees([restless.pid]);
    await restless.ended;
    expect(looks.filter((isFound) => !isFound)).toEqual([]);
  });

  it("are none when nobody has it", async () => {
    expect(await processesWith(variable, "nobody")).toEqual([]);
  });
});

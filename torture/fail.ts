/**
 * A disk that fails a tool call, at every call that it makes to the file system: once, or from there on. The answer must be
 * true: what was acknowledged is there, what was refused is not (unless the refusal says that nobody knows). When the fault
 * is gone the same call succeeds, in the same process and in a new one.
 *
 * In full the kernel answers the system call with an error, and a small disk in memory runs full. In short the store's disk fails.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { idOf, restore, startWorker, type Command, type Told } from "./commands.ts";
import { judge, reopen } from "./oracle.ts";
import { wordsOf, type Options, type Part, type Row, type Violation } from "./part.ts";
import { atEveryPoint, marksOf, type Try } from "./points.ts";
import { prepare, scenarios } from "./scenarios.ts";
import { requireStrace, strike } from "./strace.ts";

const codes = ["EIO", "ENOSPC", "EDQUOT", "EMFILE", "EACCES", "EROFS"] as const;
type Way = `${(typeof codes)[number]} ${"once" | "on"}`;

/** Of the twelve ways each point meets one; the seed turns the wheel, so that six seeds meet them all. */
const waysAt =
  (seed: number) =>
  (index: number): readonly Way[] => [
    `${codes[(index + seed) % codes.length] ?? "EIO"} ${(index + Math.floor(index / codes.length)) % 2 === 0 ? "once" : "on"}`,
  ];

export const fail: Part = {
  name: "fail",
  async run(options) {
    if (options.amount === "full") requireStrace();
    const rows = await atEveryPoint(options, waysAt(options.seed), failAt);
    return options.amount === "short" ? rows : [...rows, await onFullDisk(options)];
  },
};

async function failAt({ root, command, point, way }: Try<Way>): Promise<readonly string[]> {
  const [code = "EIO", how] = way.split(" ");
  const isOn = how === "on";
  const words = "disk" in point ? [`fail=${point.disk},${code}${isOn ? ",on" : ""}`] : [];
  const worker = await startWorker(root, words);
  const letGo = "disk" in point ? undefined : await strike(worker.process.pid ?? 0, root, point, `error=${code}`, isOn);
  try {
    const told = await worker.tell(command);
    const wrong = [...judgeAnswer(root, command, told)];
    await letGo?.();
    // A disk that fails from within goes on failing in its process.
    if (!("disk" in point && isOn)) wrong.push(...judgeAgain(root, command, await worker.tell(command)));
    return [...wrong, ...(await afterwards(root, command))];
  } finally {
    await worker.end();
  }
}

/** The answer that was given while the disk failed. */
function judgeAnswer(root: string, command: Command, told: Told | undefined): readonly string[] {
  if (told === undefined) return ["the process died of it"];
  const marks = marksOf(root, command);
  if (told.ok && marks !== 1) return [`it was acknowledged and stands in the journal ${marks} times`];
  const isOpen = told.code === "outcome-unknown" || told.code === "run-not-current";
  if (!told.ok && marks > 0 && !isOpen)
    return [`it was refused (${told.code}: ${told.reason}) and stands in the journal`];
  return told.code === "thrown" ? [`it was not refused but failed: ${told.reason}`] : [];
}

/** The answer to the same call after the fault was gone. */
function judgeAgain(root: string, command: Command, told: Told | undefined): readonly string[] {
  const marks = marksOf(root, command);
  const isRefusedRightly =
    told?.ok === false && marks === 1 && (told.code === "run-not-current" || command.kind === "record");
  return [
    ...(told?.ok === true || isRefusedRightly
      ? []
      : [`when the fault was gone the same call came to ${JSON.stringify(told)}`]),
    ...(marks === 1
      ? []
      : [`when the fault was gone and the call was made again it stands in the journal ${marks} times`]),
  ];
}

/** A new process finds everything as it must be, and the call in it once. */
async function afterwards(root: string, command: Command): Promise<readonly string[]> {
  const worker = await startWorker(root);
  const told = await worker.tell(command);
  await worker.end();
  const id = idOf(command);
  const late = marksOf(root, command) === 1 && told?.code === "run-not-current";
  return [
    ...judgeAgain(root, command, told),
    ...(await reopen(root)),
    ...judge(root, id === undefined || late ? [] : [id]),
  ];
}

/** Pages of free memory that are left to a call on the small disk. */
const freePages = Array.from({ length: 14 }, (_, pages) => pages);

const onFullDiskName = "a full disk (tmpfs), each tool";

/** Every scenario on a disk in memory that has only so many pages left: writes are cut short as a real full disk cuts them. */
async function onFullDisk(options: Options): Promise<Row> {
  const folder = mkdtempSync(path.join(tmpdir(), "torture-full-"));
  const violations: Violation[] = [];
  let tried = 0;
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=4m", "tmpfs", folder]);
    for (const scenario of scenarios) {
      const root = path.join(folder, "root");
      const template = path.join(folder, "template");
      for (const one of [root, template]) rmSync(one, { recursive: true, force: true });
      const command = await prepare(scenario, root);
      restore(root, template);
      for (const pages of freePages) {
        const name = `full disk: ${scenario.name}, ${pages} pages`;
        if (![undefined, name, onFullDiskName].includes(options.only)) continue;
        const wrong = await withFreePages(folder, pages, command).catch((error: unknown) => [wordsOf(error)]);
        restore(template, root);
        tried += 1;
        violations.push(...wrong.map((what) => ({ case: name, what })));
      }
    }
  } finally {
    execFileSync("umount", ["-l", folder]);
    rmSync(folder, { recursive: true, force: true });
  }
  options.say(`full disk: ${tried} tries, ${violations.length} violations`);
  return { what: onFullDiskName, tried, violations };
}

async function withFreePages(folder: string, pages: number, command: Command): Promise<readonly string[]> {
  const root = path.join(folder, "root");
  const ballast = path.join(folder, "ballast");
  const worker = await startWorker(root);
  try {
    const { bavail, bsize } = statfsSync(folder);
    mkdirSync(ballast);
    writeFileSync(path.join(ballast, "pages"), Buffer.alloc(Math.max(0, bavail - pages) * bsize));
    const wrong = judgeAnswer(root, command, await worker.tell(command));
    rmSync(ballast, { recursive: true });
    return [...wrong, ...judgeAgain(root, command, await worker.tell(command)), ...(await afterwards(root, command))];
  } finally {
    rmSync(ballast, { recursive: true, force: true });
    await worker.end();
  }
}

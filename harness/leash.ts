// Ends a gateway's process group when the process that started it is gone, however it went. Started by gateway.ts with the
// group's id and a pipe as stdin; the pipe's end is the sign. A parent that is killed closes it as well as one that exits.

import process from "node:process";

const group = Number(process.argv[2]);
if (!Number.isInteger(group) || group <= 1) throw new Error(`no process group: ${String(process.argv[2])}`);
process.stdin.resume();
process.stdin.on("close", () => {
  try {
    process.kill(-group, "SIGKILL");
  } catch {
    // The group ended before us.
  }
  process.exit(0);
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {}); // Meant for the parent.

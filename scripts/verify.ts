/**
 * `npm run verify -- <root> [projectId]`: reads every journal below a root from its start, compares every document and page
 * with it, mends what differs and says so. Ends with 1 when something differed, also when it is right now; 2 for a root that
 * is none. Safe beside a gateway that works on the same root.
 */
import { existsSync } from "node:fs";
import path from "node:path";
import { randomUUID } from "node:crypto";
import { renderPages } from "../src/render/pages.ts";
import { countWords } from "../src/render/words.ts";
import { createFileStore } from "../src/store/file-store.ts";
import { verifyStreams } from "../src/tools/verify.ts";

const [root, projectId] = process.argv.slice(2);
if (root === undefined || !existsSync(path.join(root, "projects"))) {
  process.stderr.write("usage: npm run verify -- <root> [projectId]; the root is the folder that holds projects/\n");
  process.exit(2);
}
const store = await createFileStore({
  root,
  renderPages,
  now: () => new Date(),
  randomId: randomUUID,
  warn: (message) => void process.stderr.write(`${message}\n`),
});
const all = await store.list({ whole: true });
const streams = all.filter((stream) => projectId === undefined || stream.projectId === projectId);
if (projectId !== undefined && streams.length === 0) {
  process.stderr.write(`there is no project ${JSON.stringify(projectId)} below ${root}\n`);
  process.exit(2);
}
const { findings } = await verifyStreams(store, streams);
await store.close();
for (const { stream, name, what, repaired } of findings)
  process.stdout.write(`${stream}/${name} ${what}${repaired ? " (mended)" : ""}\n`);
process.stdout.write(
  `${countWords(streams.length, "stream")} verified, ${countWords(findings.length, "difference")}\n`,
);
process.exitCode = findings.length === 0 ? 0 : 1;

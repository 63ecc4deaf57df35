/** `node bench/first-status.ts <folder> <root>`: the first thing that a process does below the root is one status; answers what it took, in F. */
import { openPlace, projectId } from "./fixture.ts";
import { inFloors, timed } from "./measure.ts";

const [folder = "", root = ""] = process.argv.slice(2);
const { bench, store } = await openPlace(root);
const times = await inFloors(folder, async () => [await timed(() => bench.done("get_status", { projectId }))]);
await store.close();
process.stdout.write(JSON.stringify(times));

/** `node bench/write-tasks.ts <folder> <name>`: writes ten thousand tasks below `<folder>/<name>`, beside what else the bench prepares. */
import { writeTasks } from "./fixture.ts";

const [folder = "", name = ""] = process.argv.slice(2);
await writeTasks(folder, name);

/** Builds the plugin and packs it into a tarball in the repository's folder, as users install it. */
import path from "node:path";
import { packPlugin } from "../harness/package.ts";

const { tarball } = await packPlugin({ into: path.resolve(import.meta.dirname, "..") });
process.stdout.write(`${tarball}\n`);

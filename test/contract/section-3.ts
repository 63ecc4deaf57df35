import type { Rules } from "./rules.ts";

/** What is on disk: names, ids, documents, pages, bounds. */
export const files = {} satisfies Rules;

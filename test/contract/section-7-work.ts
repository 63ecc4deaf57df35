import type { Rules } from "./rules.ts";

/** What is observed of the work: tree, files, QA's hands, guard, leftovers, checks, briefs. */
export const work = {} satisfies Rules;

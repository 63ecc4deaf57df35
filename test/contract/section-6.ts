import type { Rules } from "./rules.ts";

/** The journal and what is redone from it. */
export const keeping = {} satisfies Rules;

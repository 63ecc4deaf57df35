import type { Rules } from "./rules.ts";

/** Where, when and how long runs go: parallel work, working trees, limits, launches, losses. */
export const runs = {} satisfies Rules;

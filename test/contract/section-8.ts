import type { Rules } from "./rules.ts";

/** What can be configured and what holds without any of it. */
export const configuration = {} satisfies Rules;

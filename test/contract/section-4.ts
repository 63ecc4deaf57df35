import type { Rules } from "./rules.ts";

/** What a step and a task go through, and what each call answers in each status. */
export const statuses = {} satisfies Rules;

import type { Rules } from "./rules.ts";

/** What a person hears and sees: notices, quotations, cost, time, activity. */
export const people = {} satisfies Rules;

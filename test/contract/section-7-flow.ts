import type { Rules } from "./rules.ts";

/** Task Flow, driver, lease, roots, rollback, roles. */
export const taskFlow = {} satisfies Rules;

import type { Rules } from "./rules.ts";

/** Who may call which tool, what it takes, answers and refuses. */
export const tools = {} satisfies Rules;

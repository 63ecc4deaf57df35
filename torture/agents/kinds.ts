/** All kinds of misbehaviour, in the order in which they are played, and the table that docs/reliability.md has of them. */
import type { Kind } from "./kind.ts";
import { judgeKinds } from "./judges.ts";
import { orchestratorKinds } from "./orchestrators.ts";
import { flood, reportKinds } from "./reports.ts";
import { stateKinds } from "./state.ts";
import { wordKinds } from "./words.ts";

export const kinds: readonly Kind[] = [
  ...orchestratorKinds,
  ...wordKinds,
  ...reportKinds,
  ...stateKinds,
  ...judgeKinds,
  flood,
];

/** The table, one line a kind. Pure. */
export function tableOfKinds(): string {
  const rows = kinds.map(
    ({ name, who, does, happens }, index) => `| ${index + 1} | ${who} | ${name} | ${does} | ${happens} |`,
  );
  return ["| | Who | Kind | What it does | What happens |", "| ---: | --- | --- | --- | --- |", ...rows].join("\n");
}

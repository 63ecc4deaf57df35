/**
 * The rules of the contract, each with the id that its tests carry as a tag: `it("…", { tags: ["s4.attempt-counts"] }, …)`.
 * Vitest refuses a tag that is not listed here; `docs/contract.md` is made from the tests that carry them, and the gate
 * fails for a rule that no test holds.
 */
import { configuration } from "./section-8.ts";
import { files } from "./section-3.ts";
import { keeping } from "./section-6.ts";
import { people } from "./section-7-people.ts";
import { runs } from "./section-7-runs.ts";
import { statuses } from "./section-4.ts";
import { taskFlow } from "./section-7-flow.ts";
import { tools } from "./section-5.ts";
import { work } from "./section-7-work.ts";

/** Rule id → the rule in one sentence. Ids are `s<section>.<kebab-case>`. */
export type Rules = Readonly<Record<string, string>>;

export const sections: readonly { readonly title: string; readonly rules: Rules }[] = [
  { title: "Files", rules: files },
  { title: "Statuses", rules: statuses },
  { title: "Tools", rules: tools },
  { title: "Keeping", rules: keeping },
  { title: "Driving: runs", rules: runs },
  { title: "Driving: the work observed", rules: work },
  { title: "Driving: Task Flow, lease, roots", rules: taskFlow },
  { title: "Driving: what people hear and see", rules: people },
  { title: "Configuration", rules: configuration },
];

export const rules: Rules = Object.assign({}, ...sections.map((section) => section.rules)) as Rules;

/** Sums of tokens, cost and time over runs. They are stored nowhere; every reader computes them here. Pure. */
import type { Run, Step, Usage } from "../schema/documents.ts";
import { remembering } from "./remembering.ts";

/** A sum over runs, and how many of them it lacks because nothing was measured (still running, or the host kept nothing). */
export type UsageSum = Usage & { readonly runs: number; readonly unmeasured: number };

/** Adds up what the runs used. Runs without a measurement are counted in `unmeasured`. */
export function sumUsage(runs: Iterable<Pick<Run, "usage">>): UsageSum {
  let [inputTokens, outputTokens, costUsd, count, unmeasured] = [0, 0, 0, 0, 0];
  for (const { usage } of runs) {
    count += 1;
    if (usage === null) unmeasured += 1;
    inputTokens += usage?.inputTokens ?? 0;
    outputTokens += usage?.outputTokens ?? 0;
    costUsd += usage?.costUsd ?? 0;
  }
  return { inputTokens, outputTokens, costUsd: Math.round(costUsd * 1e6) / 1e6, runs: count, unmeasured };
}

/** Every run of the steps, in order of step, attempt and launch. */
export function runsOf(steps: Iterable<Pick<Step, "attempts">>): readonly Run[] {
  return [...steps].flatMap((step) => step.attempts.flatMap((attempt) => attempt.runs));
}

/** What each role used, in the order in which the roles first appear. */
export function usageByRole(
  steps: Iterable<Pick<Step, "attempts">>,
): readonly { readonly role: string; readonly usage: UsageSum }[] {
  const byRole = Map.groupBy(
    [...steps].flatMap((step) => usageInStep(step)),
    ({ role }) => role,
  );
  return [...byRole].map(([role, sums]) => ({ role, usage: addUp(sums.map(({ usage }) => usage)) }));
}

/** What all runs of the steps used. */
export function usageOf(steps: Iterable<Pick<Step, "attempts">>): UsageSum {
  return addUp(usageByRole(steps).map(({ usage }) => usage));
}

const usageInStep = remembering((step: Pick<Step, "attempts">) =>
  [...Map.groupBy(runsOf([step]), (run) => run.role)].map(([role, runs]) => ({ role, usage: sumUsage(runs) })),
);

/** The sum of sums. */
export function addUp(sums: readonly UsageSum[]): UsageSum {
  const all = { inputTokens: 0, outputTokens: 0, costUsd: 0, runs: 0, unmeasured: 0 };
  for (const one of sums) {
    all.inputTokens += one.inputTokens;
    all.outputTokens += one.outputTokens;
    all.costUsd += one.costUsd;
    all.runs += one.runs;
    all.unmeasured += one.unmeasured;
  }
  return { ...all, costUsd: Math.round(all.costUsd * 1e6) / 1e6 };
}

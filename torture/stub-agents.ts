/**
 * Agents that are functions of this very process: each reports that all is well, at once or after a while, and dies with the
 * process. When one begins and ends is a line in a file.
 */
import { appendFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { placeOfSession } from "../src/flow/run-identity.ts";
import type { Desk } from "../src/tools/desk.ts";
import { recordBuilderResult } from "../src/tools/record-builder-result.ts";
import { recordQaResult } from "../src/tools/record-qa-result.ts";
import { callTool, type Tool } from "../src/tools/tool.ts";
import { aBuilderReport, aJudgement } from "../test/support/bench.ts";
import { inRun } from "../test/support/callers.ts";
import { wordsOf } from "./part.ts";

export type StubAgents = {
  /** Begins a run; the same id again is the same run. */
  begin(runId: string, sessionKey: string): void;
  /** Whether the run is live; undefined for one that never was. */
  isLive(runId: string): boolean | undefined;
  /** Resolves when the run has ended, or after so long; one that never was counts as one that does not end. */
  waitFor(runId: string, atMostMs: number): Promise<void>;
};

export function createStubAgents(
  deskOf: () => Desk | Promise<Desk>,
  effects: string,
  pauseMs: () => number = () => 0,
): StubAgents {
  const runs = new Map<string, { readonly ended: Promise<void>; live: boolean }>();

  async function work(runId: string, sessionKey: string): Promise<void> {
    const place = placeOfSession(sessionKey);
    if (place === undefined) throw new Error(`a foreign session ${sessionKey}`);
    appendFileSync(effects, `begin ${runId}\n`);
    const isBuilder = place.role === "builder";
    const tool: unknown = isBuilder ? recordBuilderResult : recordQaResult;
    const report = isBuilder ? aBuilderReport() : aJudgement([], ["c1", "c2"]);
    const pause = pauseMs();
    if (pause > 0) await sleep(pause);
    // Tools differ in their parameters; here only the common shape counts.
    const answer = await callTool(await deskOf(), inRun(place, runId), tool as Tool, report);
    appendFileSync(effects, `end ${runId}\n`);
    if ("refused" in answer.details) throw new Error(`${runId}: ${answer.text}`);
  }

  return {
    begin(runId, sessionKey) {
      if (runs.has(runId)) return;
      const run = {
        live: true,
        ended: work(runId, sessionKey)
          .catch((error: unknown) => void process.stderr.write(`${wordsOf(error)}\n`))
          .then(() => void (run.live = false)),
      };
      runs.set(runId, run);
    },
    isLive: (runId) => runs.get(runId)?.live,
    async waitFor(runId, atMostMs) {
      const run = runs.get(runId);
      if (run?.live !== false)
        await Promise.race([sleep(Math.min(atMostMs, 2_147_000_000)), ...(run === undefined ? [] : [run.ended])]);
    },
  };
}

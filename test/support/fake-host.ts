/**
 * OpenClaw as far as flow records, configuration, agents and launches go, in memory. Flow records behave as the host's do: another
 * owner sees nothing, no two hosts make the same id, a stale revision is a conflict, and an ended flow could be written to all the same (`touchedAfterEnd`
 * names those that were).
 */
import { randomUUID } from "node:crypto";
import { createHost, type Api, type Host } from "../../src/host/openclaw.ts";

export type FlowRow = {
  readonly flowId: string;
  readonly owner: string;
  readonly controllerId: string;
  readonly goal: string;
  createdAt: number;
  revision: number;
  status: string;
  currentStep?: string;
  stateJson?: unknown;
  waitJson?: unknown;
  cancelRequestedAt?: number;
  endedAt?: number;
};

export type FakeHost = {
  readonly host: Host;
  readonly flows: FlowRow[];
  readonly touchedAfterEnd: readonly string[];
  /** Owners whose flows were listed, one entry per list. */
  readonly lists: readonly string[];
  /** The flows that were asked for alone. */
  readonly gets: readonly string[];
  readonly logged: readonly string[];
  /** Working directories of the runs that were launched. */
  readonly launchedIn: readonly string[];
  readonly flow: (flowId: string | null) => FlowRow;
  /** A flow as some process of ours left it. */
  readonly has: (fields: Partial<FlowRow> & { readonly flowId: string }) => FlowRow;
  readonly configure: (config: object) => void;
  /** The next calls to the flow records fail with these words. */
  readonly fail: (words: string, times?: number) => void;
  /** While held the host says that a flow cannot be cancelled yet. */
  readonly holdCancels: (held: boolean) => void;
  /** Somebody else writes to a flow between our reading and our writing. */
  readonly interfere: (times: number) => void;
};

type Change = { readonly flowId: string; readonly expectedRevision: number } & Partial<FlowRow>;

/** The runs of a host that really runs them; without, a launch is noted and nothing comes of it. */
export type FakeRuns = {
  begin(runId: string, sessionKey: string): void;
  /** Undefined for a run that never was. */
  isLive(runId: string): boolean | undefined;
  waitFor(runId: string, atMostMs: number): Promise<void>;
};

export function createFakeHost(initial: object = {}, stateDir = "/no-state", runs?: FakeRuns): FakeHost {
  const flows: FlowRow[] = [];
  const touchedAfterEnd: string[] = [];
  const lists: string[] = [];
  const gets: string[] = [];
  const logged: string[] = [];
  const launchedIn: string[] = [];
  let config = initial;
  let failure = { words: "", times: 0 };
  let interferences = 0;
  let cancelsHeld = false;

  const meet = () => {
    if (failure.times <= 0) return;
    failure.times -= 1;
    throw new Error(failure.words);
  };
  const bind = ({ sessionKey }: { readonly sessionKey: string }) => {
    const own = (flowId: string) => flows.find((one) => one.flowId === flowId && one.owner === sessionKey);
    const change = (status: string, { flowId, expectedRevision, ...fields }: Change) => {
      meet();
      const flow = own(flowId);
      if (flow === undefined) return { applied: false, code: "not_found" };
      if ((interferences -= 1) >= 0) flow.revision += 1;
      if (flow.revision !== expectedRevision)
        return { applied: false, code: "revision_conflict", current: { ...flow } };
      if (flow.endedAt !== undefined) touchedAfterEnd.push(flowId);
      Object.assign(flow, fields, { status, revision: flow.revision + 1 });
      return { applied: true, flow: { ...flow } };
    };
    return {
      get: async (flowId: string) => (meet(), gets.push(flowId), own(flowId) && { ...own(flowId) }),
      list: async () => {
        meet();
        lists.push(sessionKey);
        return flows.filter((one) => one.owner === sessionKey).map((one) => ({ ...one }));
      },
      createManaged: async (fields: Pick<FlowRow, "controllerId" | "goal"> & Partial<FlowRow>) => {
        meet();
        return {
          ...host.has({ ...fields, flowId: randomUUID(), owner: sessionKey, createdAt: Date.now() }),
        };
      },
      setWaiting: async (wanted: Change) => change("waiting", wanted),
      finish: async (wanted: Change) => {
        const answer = change("succeeded", wanted);
        if (answer.applied) Object.assign(own(wanted.flowId) ?? {}, { endedAt: Date.now() });
        return answer;
      },
      cancel: async ({ flowId }: { readonly flowId: string }) => {
        meet();
        const flow = own(flowId);
        if (flow === undefined) return { found: false, cancelled: false };
        if (cancelsHeld) return { found: true, cancelled: false, reason: "One or more child tasks are still active." };
        if (flow.endedAt !== undefined) touchedAfterEnd.push(flowId);
        Object.assign(flow, { status: "cancelled", cancelRequestedAt: Date.now(), endedAt: Date.now() });
        return { found: true, cancelled: true };
      },
    };
  };
  const bindRuns = () => ({
    resolve: async (runId: string) => (runs?.isLive(runId) === true ? { id: runId, status: "running" } : undefined),
  });
  const note = (message: string) => void logged.push(message);
  const api = {
    logger: { info: note, warn: note, error: note },
    runtime: {
      config: { current: () => config },
      events: { onAgentEvent: () => () => undefined },
      state: { resolveStateDir: () => stateDir },
      subagent: {
        run: async (run: { readonly cwd: string; readonly idempotencyKey: string; readonly sessionKey: string }) => {
          launchedIn.push(run.cwd);
          runs?.begin(run.idempotencyKey, run.sessionKey);
        },
        waitForRun: async ({ runId, timeoutMs }: { readonly runId: string; readonly timeoutMs: number }) => {
          if (!Number.isInteger(timeoutMs))
            throw new Error("invalid agent.wait params: at /timeoutMs: must be integer");
          await runs?.waitFor(runId, timeoutMs);
          // The host takes also a run that it never had for one that has not ended.
          return runs?.isLive(runId) === false ? { status: "ok", endedAt: Date.now() } : { status: "timeout" };
        },
      },
      agent: {
        session: { resolveStorePath: () => "", getSessionEntry: () => undefined },
        resolveAgentWorkspaceDir: (
          given: { agents?: { entries?: Record<string, { workspace?: string }> } },
          id: string,
        ) =>
          Object.entries(given.agents?.entries ?? {}).find(([key]) => key.toLowerCase() === id.toLowerCase())?.[1]
            .workspace,
      },
      tasks: {
        async: { managedFlows: { bindSession: bind }, runs: { bindSession: bindRuns } },
        managedFlows: { bindSession: bind },
        // Runs end by themselves; asking them to changes nothing.
        runs: { bindSession: () => ({ cancel: async () => undefined }) },
      },
    },
  };
  const host: FakeHost = {
    // What is asked of the host in these tests is all there.
    host: createHost(api as unknown as Api),
    flows,
    touchedAfterEnd,
    lists,
    gets,
    logged,
    launchedIn,
    flow(flowId) {
      const found = flows.find((one) => one.flowId === flowId);
      if (found === undefined) throw new Error(`no flow ${flowId}`);
      return found;
    },
    has(fields) {
      const flow: FlowRow = {
        owner: "agent:main:chat",
        controllerId: "project-orchestrator/task",
        goal: "Login",
        createdAt: 0,
        revision: 0,
        status: "waiting",
        ...fields,
      };
      flows.push(flow);
      return flow;
    },
    configure: (next) => void (config = next),
    fail: (words, times = 1) => void (failure = { words, times }),
    holdCancels: (held) => void (cancelsHeld = held),
    interfere: (times) => void (interferences = times),
  };
  return host;
}

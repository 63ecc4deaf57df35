/**
 * Runs of agents as OpenClaw runs them: subagent sessions launched by the plugin, with our run id as the host's
 * idempotency key, hence as the host's own run id.
 */
import { OrchestratorError } from "../errors.ts";
import { isAlive, startOf } from "../files/launcher.ts";
import { endProcessTrees, processesWith } from "../files/process-tree.ts";
import { judgeRepo } from "../files/paths.ts";
import type { AgentRunner, RunObservation, RunRequest } from "../flow/ports.ts";
import type { Settings } from "../schema/config.ts";
import type { Usage } from "../schema/documents.ts";
import { readChats } from "../tools/chat-of-task.ts";
import type { Launcher } from "../schema/events.ts";
import type { Store } from "../store/store.ts";
import type { Host } from "./openclaw.ts";
import { knownRoots } from "./roots.ts";
import { remember, runVariable, shared } from "./shared.ts";

/** The one tool of ours that each role has. */
export const toolOfRole = { builder: "record_builder_result", qa: "record_qa_result" } as const;

/** Binds the runner port to the host, for the tasks of one store. */
export function createAgentRunner(host: Host, settings: () => Settings, root: string, store: Store): AgentRunner {
  const { runtime } = host.api;
  const { launcher: us } = shared();
  let toldOfUntold = false;
  return {
    launcher: us,
    isAlive: (launcher) => Promise.resolve(isAlive(launcher) && !isSameProcess(launcher, us)),

    async agentFor(role, stream) {
      const { agentId, faulty } = settings().roles[role];
      // A run must not fall to another agent, which may be allowed more, because of a typing error.
      if (faulty === true)
        throw new OrchestratorError("host-refused", `roles.${role} in the plugin's configuration is not valid`);
      if (agentId !== undefined) return agentId;
      const chats = await readChats(store, stream);
      return chats?.told.agentId ?? host.defaultAgentId();
    },

    async launch({ runId, sessionKey, role, cwd, brief }: RunRequest) {
      const place = await judgeRepo(root, cwd, settings().allowedRepos, await knownRoots(host)).catch(
        (error: unknown) => {
          throw error instanceof OrchestratorError && error.code === "not-committed"
            ? new OrchestratorError("host-refused", error.message, { cause: error })
            : error;
        },
      );
      if (place !== cwd)
        throw new Error(typeof place === "string" ? `the repository ${cwd} now leads to ${place}` : place.reason);
      remember(shared().cwdOfSession, sessionKey, cwd);
      await calling("launch", () =>
        runtime.subagent.run({
          sessionKey,
          message: brief,
          toolsAlsoAllow: [toolOfRole[role]],
          deliver: false,
          idempotencyKey: runId,
          cwd,
          // In the host's main lane a live run would keep the chat's wake-up turns waiting.
          lane: "subagent",
        }),
      );
    },

    async observe({ runId }, atMostMs) {
      try {
        const seen = await runtime.subagent.waitForRun({ runId, timeoutMs: Math.max(1, Math.ceil(atMostMs)) });
        return readRunEnd(seen);
      } catch (error) {
        throw asHostError("waiting for a run", error);
      }
    },

    async stop({ runId, sessionKey }) {
      const ownerKey = `agent:${agentOf(sessionKey)}:main`;
      return calling("stop", async () => {
        const row = await runtime.tasks.async.runs.bindSession({ sessionKey: ownerKey }).resolve(runId);
        if (row === undefined || !["queued", "running"].includes(row.status)) return false;
        await runtime.tasks.runs.bindSession({ sessionKey: ownerKey }).cancel({ taskId: row.id, cfg: host.config() });
        return true;
      });
    },

    async cleanUp({ sessionKey }) {
      const { leftovers, cwdOfSession } = shared();
      const known = [...(leftovers.get(sessionKey) ?? [])];
      leftovers.delete(sessionKey);
      cwdOfSession.delete(sessionKey);
      const untold = known.filter(([, started]) => started === undefined).map(([pid]) => pid);
      if (untold.length > 0 && !toldOfUntold)
        host.log.warn(
          `processes that runs left in the background are not ended where the system does not tell when they started: ${untold.join(", ")}`,
        );
      toldOfUntold ||= untold.length > 0;
      // A remembered id may belong to another process by now. The mark finds also what nobody told us of, but no process that
      // was given an empty environment.
      const remembered = known
        .filter(([pid, started]) => started !== undefined && startOf(pid) === started)
        .map(([pid]) => pid);
      await endProcessTrees([...remembered, ...(await processesWith(runVariable, sessionKey))]);
    },

    async usage(sessionKey) {
      try {
        return sumOfMessages(await host.messagesOf(sessionKey));
      } catch (error) {
        host.log.warn(`usage of ${sessionKey} is not known: ${error instanceof Error ? error.message : String(error)}`);
        return null;
      }
    },

    signs(runId) {
      const signs = shared().signs.get(runId);
      return signs === undefined ? undefined : { idleMs: performance.now() - signs.seenAt, refusals: signs.refusals };
    },
  };
}

/** Asked of another launcher: it was this process before the gateway was started anew in it, and its runs are gone. */
function isSameProcess(one: Launcher, other: Launcher): boolean {
  return one.host === other.host && one.pid === other.pid && one.startedAt === other.startedAt;
}

type RunWait = Awaited<ReturnType<Host["api"]["runtime"]["subagent"]["waitForRun"]>>;

/** What the host's answer about a run says. Its `timeout` is the end of our waiting, or of the run when that has an end. Pure. */
export function readRunEnd(seen: RunWait): RunObservation {
  const hasEnded = seen.status === "ok" || seen.status === "error" || seen.endedAt !== undefined;
  if (!hasEnded) return { kind: "live" };
  // A run that was taken and had not begun when the gateway was asked to end says it in its error only.
  const wentDown =
    seen.stopReason === "restart" ||
    seen.timeoutPhase === "gateway_draining" ||
    /^gateway is draining\b/i.test(seen.error ?? "");
  const by = wentDown ? "gateway" : seen.stopReason === "aborted" ? "host" : "itself";
  const error = seen.error ?? (seen.status === "timeout" ? "it was timed out by OpenClaw" : undefined);
  return { kind: "ended", by, ...(error === undefined ? {} : { error }) };
}

/** The agent that a session key belongs to. */
export function agentOf(sessionKey: string): string {
  return sessionKey.split(":")[1] ?? "main";
}

/** Tokens and cost of a session: input counts what was read from the cache too. Pure. */
export function sumOfMessages(messages: readonly unknown[]): Usage {
  const sum = { inputTokens: 0, outputTokens: 0, costUsd: 0 };
  for (const message of messages) {
    const usage = field(message, "usage");
    if (usage === undefined) continue;
    sum.inputTokens += numberIn(usage, "input") + numberIn(usage, "cacheRead") + numberIn(usage, "cacheWrite");
    sum.outputTokens += numberIn(usage, "output");
    sum.costUsd += numberIn(field(usage, "cost"), "total");
  }
  // Some providers count in parts of a token.
  const [inputTokens, outputTokens] = [Math.round(sum.inputTokens), Math.round(sum.outputTokens)];
  return { inputTokens, outputTokens, costUsd: Math.round(sum.costUsd * 1e8) / 1e8 };
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null && name in value
    ? (value as Record<string, unknown>)[name]
    : undefined;
}

function textIn(value: unknown, name: string): string {
  const found = field(value, name);
  return typeof found === "string" ? found : "";
}

function numberIn(value: unknown, name: string): number {
  const found = field(value, name);
  return typeof found === "number" && Number.isFinite(found) && found > 0 ? found : 0;
}

async function calling<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw asHostError(what, error);
  }
}

/** What passes by itself (the gateway starts, drains or does not answer in time, its state is locked) asks for another try; the rest is final. */
export function asHostError(what: string, error: unknown): Error {
  const chain: unknown[] = [];
  for (let one: unknown = error; one !== undefined && one !== null && chain.length < 5; one = field(one, "cause"))
    chain.push(one);
  const words =
    chain.map((one) => (["code", "name", "message"] as const).map((name) => textIn(one, name)).join(" ")).join(" | ") ||
    String(error);
  const passes =
    /UNAVAILABLE|ContentionError|SQLITE_BUSY|database is locked|another OpenClaw process owns|outcome-unknown|unavailable during gateway startup|gateway (?:request )?timeout|draining/i.test(
      words,
    );
  return passes
    ? new OrchestratorError("host-refused", `${what}: ${words.slice(0, 300)}`, { cause: error })
    : error instanceof Error
      ? error
      : new Error(String(error));
}

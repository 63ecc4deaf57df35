/**
 * What the plugin does at the host's hooks: ties tool calls to the run they belong to, closes a run's session once it
 * has reported, guards kept state, keeps secrets out of the shells of runs and marks them, and notes signs of life.
 */
import { startOf } from "../files/launcher.ts";
import { placeOfSession } from "../flow/run-identity.ts";
import { seatOf } from "../flow/ready.ts";
import { findTask, stateOf } from "../tools/tool.ts";
import { agentOf, toolOfRole } from "./agent-runner.ts";
import { findStatePath, isWritingTool, pathsOf } from "./guard.ts";
import { contributionTo, noteModelCall } from "./notifier.ts";
import type { Host, HookHandler } from "./openclaw.ts";
import { knownRoots, openRoots } from "./roots.ts";
import { sandboxOf } from "./sandbox.ts";
import { keyOfToolCall, noteRefusal, noteSign, remember, runVariable, shared } from "./shared.ts";
import { tools } from "./tools.ts";

const reportingTools: ReadonlySet<string> = new Set(Object.values(toolOfRole));
/** QA judges and writes nothing. */
const notForQa = new Set(["write", "edit", "apply_patch"]);
/** What starts other sessions, now or later: those would outlive the run's report. `cron` is another name of `automations`. */
const notForRuns = new Set(["sessions_spawn", "sessions_send", "subagents", "automations", "cron", "openclaw"]);
const ownTools: ReadonlySet<string> = new Set(tools.map(({ name }) => name));

type ToolEvent = {
  readonly toolName: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly derivedPaths?: readonly string[];
};

/** The host's hooks that the plugin handles. */
export type HandledHook =
  | "before_tool_call"
  | "after_tool_call"
  | "model_call_started"
  | "model_call_ended"
  | "resolve_exec_env"
  | "heartbeat_prompt_contribution";
export type Hooks = { readonly [Name in HandledHook]: HookHandler<Name> };

/** What handles the hooks, in whichever evaluation of the plugin. */
export function createHooks(host: Host): Hooks {
  return {
    async before_tool_call(event, ctx) {
      const { sessionKey } = ctx;
      const runId = event.runId ?? ctx.runId;
      const callId = event.toolCallId ?? ctx.toolCallId;
      if (callId !== undefined && ownTools.has(event.toolName)) {
        // A call outside of any turn must not inherit the run of an earlier call with its id.
        if (runId === undefined) shared().runOfToolCall.delete(keyOfToolCall(sessionKey, callId));
        else remember(shared().runOfToolCall, keyOfToolCall(sessionKey, callId), runId);
      }
      const toolCall = callId ?? event.toolName;
      noteSign(runId, sessionKey, Date.now(), "tool call", { callId: toolCall, begins: event.toolName });
      const reason =
        (await refuseInRun(event, sessionKey, runId)) ?? (await refuseStatePath(host, event, sessionKey, ctx.agentId));
      if (reason === undefined) return undefined;
      noteSign(runId, sessionKey, Date.now(), "refused tool call", { callId: toolCall });
      if (sessionKey !== undefined && placeOfSession(sessionKey) !== undefined) noteRefusal(runId);
      return { block: true, blockReason: reason };
    },

    after_tool_call(event, ctx) {
      const callId = event.toolCallId ?? ctx.toolCallId ?? event.toolName;
      noteSign(event.runId ?? ctx.runId, ctx.sessionKey, Date.now(), "tool result", { callId });
      const pid = backgroundPid(event.toolName, event.result);
      if (pid === undefined || ctx.sessionKey === undefined || placeOfSession(ctx.sessionKey) === undefined) return;
      const { leftovers } = shared();
      remember(leftovers, ctx.sessionKey, (leftovers.get(ctx.sessionKey) ?? new Map()).set(pid, startOf(pid)));
    },

    model_call_started(event, ctx) {
      noteSign(event.runId, event.sessionKey ?? ctx.sessionKey, Date.now(), "model call");
      noteModelCall(event.runId, "open");
    },
    model_call_ended(event, ctx) {
      noteSign(event.runId, event.sessionKey ?? ctx.sessionKey, Date.now(), "model answer");
      noteModelCall(event.runId, event.outcome === "completed" ? "answered" : "failed");
    },

    resolve_exec_env(event, ctx) {
      const sessionKey = event.sessionKey ?? ctx.sessionKey;
      if (sessionKey === undefined || placeOfSession(sessionKey) === undefined) return undefined;
      const blanked = Object.entries(process.env)
        .filter(([name, value = ""]) => isSecretName(name) || addressWithPassword.test(value))
        .map(([name]) => [name, ""]);
      return { ...Object.fromEntries(blanked), [runVariable]: sessionKey };
    },

    heartbeat_prompt_contribution(event, ctx) {
      return contributionTo(event.sessionKey ?? ctx.sessionKey, ctx.runId);
    },
  };
}

/** Why a run's session may not use this tool now; undefined for sessions that are no runs of ours. */
async function refuseInRun(
  event: ToolEvent,
  sessionKey: string | undefined,
  runId: string | undefined,
): Promise<string | undefined> {
  const place = sessionKey === undefined ? undefined : placeOfSession(sessionKey);
  if (place === undefined || reportingTools.has(event.toolName)) return undefined;
  if (place.role === "qa" && notForQa.has(event.toolName))
    return `QA judges and does not change the work: ${event.toolName} is refused. Look and run, then call record_qa_result.`;
  if (notForRuns.has(event.toolName))
    return `A run works by itself: ${event.toolName} is refused. Do the work here and report it.`;
  for (const { store } of await openRoots()) {
    const stream = await findTask({ store }, place.taskId);
    const snapshot = stream === undefined ? undefined : await store.read(stream);
    if (snapshot === undefined) continue;
    const step = stateOf(snapshot).steps.find((one) => one.id === place.stepId);
    const seat = step === undefined ? undefined : seatOf(step, place.role);
    const current = seat?.sessionKey === sessionKey && (runId === undefined || seat?.runId === runId);
    if (current && (seat?.status === "launching" || seat?.status === "running")) return undefined;
    return seat?.status === "reported" && current
      ? "This run has reported and is over. Do nothing more and end your turn."
      : "This run was stopped or replaced. Do nothing more and end your turn.";
  }
  return undefined;
}

async function refuseStatePath(
  host: Host,
  event: ToolEvent,
  sessionKey: string | undefined,
  agentId = agentOf(sessionKey ?? ""),
): Promise<string | undefined> {
  if (!isWritingTool(event.toolName)) return undefined;
  const roots = await knownRoots(host);
  const known = workingDirectories(host, sessionKey, agentId);
  const cwds = known.length === 0 ? roots : known;
  const workspace = host.workspaceOf(agentId);
  const { workdirs, mounts } = sandboxOf(host.config(), agentId, workspace === undefined ? cwds : [...cwds, workspace]);
  const named = pathsOf(event.toolName, event.params, event.derivedPaths);
  const found = await findStatePath(named, [...cwds, ...workdirs], roots, mounts);
  if (found === undefined) return undefined;
  const place = sessionKey === undefined ? undefined : placeOfSession(sessionKey);
  const instead =
    place === undefined
      ? "Use create_project, create_task, create_step, set_task_status or set_step_status instead; get_status shows it."
      : `Work in the repository, and report with ${toolOfRole[place.role]}: the state follows from that.`;
  return `${JSON.stringify(found.slice(0, 200))} belongs to the kept state of project-orchestrator, which only its tools change. ${instead}`;
}

/** Where a relative path of the session's tools may start: what we or others launched it with, and its agent's workspace. */
function workingDirectories(host: Host, sessionKey: string | undefined, agentId: string): readonly string[] {
  const launchedWith = sessionKey === undefined ? undefined : shared().cwdOfSession.get(sessionKey);
  const found =
    launchedWith === undefined ? [host.cwdOf(agentId, sessionKey), host.workspaceOf(agentId)] : [launchedWith];
  return found.filter((one) => one !== undefined);
}

function backgroundPid(tool: string, result: unknown): number | undefined {
  if (tool !== "exec" || typeof result !== "object" || result === null || !("details" in result)) return undefined;
  const { details } = result;
  if (typeof details !== "object" || details === null || !("pid" in details)) return undefined;
  return typeof details.pid === "number" ? details.pid : undefined;
}

const secretWords =
  /(?:TOKENS?|SECRETS?|PASSWORDS?|PASSWD|PASS|PASSPHRASE|CREDENTIALS?|COOKIES?|WEBHOOKS?|CONNECTIONSTRINGS?|(?<!^(?:MON|DON|TUR|HOT))KEYS?)\d*$|^(?:PAT|DSN|JWT)\d*$|^(?:AUTH|AUTHORIZATION|BEARER|PRIVATE)$/;
/** What password managers name the key to an open vault. */
const vaultSessions = /^BW_SESSION$|^OP_SESSION_/;
const addressesWithPasswords =
  /(?:DATABASE|DB|REDIS|MONGO|MONGODB|POSTGRES|POSTGRESQL|MYSQL|AMQP)_UR[IL]$|CONNECTION_STRINGS?$|WEBHOOK_?URLS?$/;
/** `scheme://user:secret@host`, anywhere in a value. */
const addressWithPassword = /[a-z0-9]:\/\/[^\s/?#@:]*:[^\s/?#]+@/i;

/** Names of environment variables whose values a run's shell must not see. Pure. */
export function isSecretName(name: string): boolean {
  const upper = name.toUpperCase();
  if (upper === "SSH_AUTH_SOCK") return false;
  const words = upper.split("_");
  return (
    words.some((word) => secretWords.test(word)) ||
    (words.length > 1 && words.includes("PWD")) ||
    vaultSessions.test(upper) ||
    addressesWithPasswords.test(upper)
  );
}

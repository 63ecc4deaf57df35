/** Offers the tools to the host: who is calling is read from the host's own context, never from parameters. */
import { inspect } from "node:util";
import type { OpenClawPluginToolContext } from "openclaw/plugin-sdk/plugin-entry";
import { OrchestratorError, refuse } from "../errors.ts";
import { placeOfSession } from "../flow/run-identity.ts";
import { createProject } from "../tools/create-project.ts";
import { createStep } from "../tools/create-step.ts";
import { createTask } from "../tools/create-task.ts";
import type { Caller } from "../tools/desk.ts";
import { getStatus } from "../tools/get-status.ts";
import { recordBuilderResult } from "../tools/record-builder-result.ts";
import { recordQaResult } from "../tools/record-qa-result.ts";
import { setStepStatus } from "../tools/set-step-status.ts";
import { setTaskStatus } from "../tools/set-task-status.ts";
import { startTask } from "../tools/start-task.ts";
import { asAnswer, callTool, findTask, mayUse, type Answer, type Tool } from "../tools/tool.ts";
import { createDesk } from "./desk.ts";
import { remarkOfLease } from "./lease.ts";
import type { Host } from "./openclaw.ts";
import { openRoot, openRoots, remarksElsewhere, rootFor } from "./roots.ts";
import { keyOfToolCall, noteRefusal, shared, type OpenRoot } from "./shared.ts";

/** All tools that agents may be offered, in the order in which a person meets them. */
export const tools = [
  createProject,
  createTask,
  createStep,
  startTask,
  setTaskStatus,
  setStepStatus,
  getStatus,
  recordBuilderResult,
  recordQaResult,
] as const satisfies readonly { readonly name: string }[];

/** The tool of that name for an agent's turn; null when this agent is not offered it, or there is none of the name. */
export function offer(host: Host, name: string, context: OpenClawPluginToolContext) {
  // Each element keeps its own parameter type; here only the common shape counts.
  const tool = (tools as readonly unknown[] as readonly Tool[]).find((one) => one.name === name);
  return tool !== undefined && isOffered(host, tool, context) ? describe(host, tool, context) : null;
}

function describe(host: Host, tool: Tool, context: OpenClawPluginToolContext) {
  return {
    name: tool.name,
    label: tool.label,
    description: tool.description,
    catalogMode: "direct-only" as const,
    parameters: tool.parameters,
    async execute(toolCallId: string, raw: unknown) {
      const answer = await call(host, tool, callerOf(context, toolCallId), context.workspaceDir, raw);
      return { content: [{ type: "text" as const, text: answer.text }], details: answer.details };
    },
  };
}

function isOffered(host: Host, tool: Tool, context: OpenClawPluginToolContext): boolean {
  return mayUse(tool.audience, callerOf(context, ""), host.settings());
}

function callerOf(context: OpenClawPluginToolContext, toolCallId: string): Caller {
  const agentId = context.agentId ?? "main";
  const runId = shared().runOfToolCall.get(keyOfToolCall(context.sessionKey, toolCallId));
  return {
    sessionKey: context.sessionKey ?? `agent:${agentId}:main`,
    agentId,
    senderIsOwner: context.senderIsOwner,
    hasSender: context.requesterSenderId !== undefined,
    toolCallId,
    ...(runId === undefined ? {} : { runId }),
  };
}

async function call(
  host: Host,
  tool: Tool,
  caller: Caller,
  workspace: string | undefined,
  raw: unknown,
): Promise<Answer> {
  try {
    const open = await rootOfCall(host, caller, workspace);
    const answer =
      open === undefined
        ? asAnswer(
            refuse("not-committed", "There is no folder to keep projects in: the agent has no workspace.", [
              "root in the plugin's configuration",
            ]),
          )
        : await callTool(createDesk(host, open, caller.agentId, await remarksBesides(host, open)), caller, tool, raw);
    if ("refused" in answer.details && placeOfSession(caller.sessionKey) !== undefined) noteRefusal(caller.runId);
    return answer;
  } catch (error) {
    host.log.error(`${tool.name}: ${inspect(error)}`);
    const code = error instanceof OrchestratorError ? error.code : "bug";
    return asAnswer(refuse(code, error instanceof Error ? error.message : String(error)));
  }
}

/** What the caller should know of the driving that no driver of this process says: there may be none in it, as in a turn without a gateway. */
async function remarksBesides(host: Host, { root }: OpenRoot): Promise<readonly string[]> {
  const isDriving = shared().onCommit !== undefined;
  return [...(isDriving ? [] : [await remarkOfLease(root)]), ...(await remarksElsewhere(host))];
}

/** A run's task is where it was launched from, whatever its own agent's workspace is. */
async function rootOfCall(host: Host, caller: Caller, workspace: string | undefined): Promise<OpenRoot | undefined> {
  const place = placeOfSession(caller.sessionKey);
  if (place !== undefined)
    for (const open of await openRoots()) if ((await findTask(open, place.taskId)) !== undefined) return open;
  const root = rootFor(host.settings(), workspace ?? host.workspaceOf(caller.agentId));
  return root === undefined ? undefined : openRoot(root, (message) => host.log.warn(message));
}

/** The few readings of the host that several parts need, in one place. */
import type { OpenClawConfig, OpenClawPluginApi } from "openclaw/plugin-sdk/plugin-entry";
import { asAgentId, readSettings, type Settings } from "../schema/config.ts";
import type { Log } from "../flow/ports.ts";

export type Api = OpenClawPluginApi;

declare const on: Api["on"];
type HookName = Parameters<Api["on"]>[0];
/** What handles one of the host's hooks. */
export type HookHandler<Name extends HookName> = Parameters<typeof on<Name>>[1];

export type Host = {
  readonly api: Api;
  readonly log: Log;
  /** The configuration as it is now. */
  config(): OpenClawConfig;
  settings(): Settings;
  /** What is not valid in the plugin's configuration; empty when all is. */
  problems(): readonly string[];
  /** The agent that ambient work belongs to when no chat says otherwise. */
  defaultAgentId(): string;
  workspaceOf(agentId: string): string | undefined;
  /** The working directory that a session was started with; undefined when it has none of its own. */
  cwdOf(agentId: string, sessionKey: string | undefined): string | undefined;
  /** Where OpenClaw keeps its own state; ours has a folder in it. */
  stateDir(): string;
  /** The id of every configured agent; the default one where none is named. */
  agentIds(): readonly string[];
  /** Every message of a session, the first ones of a long session too; none when there is no such session. */
  messagesOf(sessionKey: string): Promise<readonly unknown[]>;
};

const pluginId = "project-orchestrator";

/** The key of `agents.entries` that the host takes for this agent, whose id is the key in lower case; the id where there is none. */
export function keyOfAgent(config: OpenClawConfig, agentId: string): string {
  const keys = Object.keys(config.agents?.entries ?? {});
  return keys.find((key) => asAgentId(key) === agentId) ?? agentId;
}

export function createHost(api: Api): Host {
  const log: Log = {
    info: (message) => api.logger.info(message),
    warn: (message) => api.logger.warn(message),
    error: (message) => api.logger.error(message),
  };
  const config = (): OpenClawConfig => {
    try {
      // The runtime hands out its config as deeply read-only; nothing here changes it.
      return api.runtime.config.current() as OpenClawConfig;
    } catch {
      return api.config;
    }
  };
  let told = "";
  const defaultAgentId = () => {
    const { defaults, entries } = config().agents ?? {};
    return asAgentId(defaults?.systemAgent?.agentId ?? Object.keys(entries ?? {})[0] ?? "main");
  };
  const read = () => readSettings(config().plugins?.entries?.[pluginId]?.config);
  return {
    api,
    log,
    config,
    settings() {
      const { settings, problems } = read();
      const words = problems.join("; ");
      if (words !== told) {
        told = words;
        if (words !== "") log.warn(`the plugin's configuration is not valid: ${words}`);
      }
      return settings;
    },
    problems: () => read().problems,
    defaultAgentId,
    stateDir: () => api.runtime.state.resolveStateDir(process.env),
    agentIds: () => [...new Set([defaultAgentId(), ...Object.keys(config().agents?.entries ?? {}).map(asAgentId)])],
    async messagesOf(sessionKey) {
      const agentId = sessionKey.split(":")[1] ?? "main";
      const { session } = api.runtime.agent;
      const storePath = session.resolveStorePath(config().session?.store, { agentId });
      const entry = session.getSessionEntry({ agentId, sessionKey, storePath });
      if (entry === undefined) return [];
      // `subagent.getSessionMessages` ends at the last 1,000 messages or 8 MB. Loaded here, so that a host without this
      // reader costs the measurement and not the plugin.
      const { loadTranscriptEventsSync } = await import("openclaw/plugin-sdk/session-store-runtime");
      const events = loadTranscriptEventsSync({ agentId, sessionKey, sessionId: entry.sessionId, storePath });
      return events.flatMap((event) => (isMessage(event) ? [event.message] : []));
    },
    workspaceOf(agentId) {
      try {
        return api.runtime.agent.resolveAgentWorkspaceDir(config(), agentId);
      } catch {
        return undefined;
      }
    },
    cwdOf(agentId, sessionKey) {
      if (sessionKey === undefined) return undefined;
      try {
        return api.runtime.agent.session.getSessionEntry({ agentId, sessionKey })?.spawnedCwd;
      } catch {
        return undefined;
      }
    },
  };
}

/** An entry of a session's transcript that is a message; others mark a compaction, a change of model and the like. */
function isMessage(event: unknown): event is { readonly message: unknown } {
  return (
    typeof event === "object" && event !== null && "type" in event && event.type === "message" && "message" in event
  );
}

/** Names of runs, derived so that a launch that happens twice is recognised. Pure. */
import type { Role } from "../schema/documents.ts";

export type RunPlace = {
  readonly taskId: string;
  readonly stepId: string;
  readonly attempt: number;
  readonly role: Role;
  readonly launch: number;
};

/** The run id `task/step/attempt/role/launch`: the host takes it as idempotency key and as its own run id. */
export function runIdOf(place: RunPlace): string {
  return `${place.taskId}/${place.stepId}/${place.attempt}/${place.role}/${place.launch}`;
}

const marker = ":subagent:project-orchestrator:";

/** The session in which the run lives: a subagent session of the given agent, a new one for every launch. */
export function sessionKeyOf(agentId: string, place: RunPlace): string {
  return `agent:${agentId}${marker}${runIdOf(place).replaceAll("/", ":")}`;
}

/** The place that a session key names, or undefined when the key is not one of ours. The inverse of `sessionKeyOf`. */
export function placeOfSession(sessionKey: string): RunPlace | undefined {
  const at = sessionKey.indexOf(marker);
  if (at < 0) return undefined;
  const [taskId, stepId, attempt, role, launch, ...rest] = sessionKey.slice(at + marker.length).split(":");
  if (taskId === undefined || stepId === undefined || (role !== "builder" && role !== "qa") || rest.length > 0)
    return undefined;
  if (!/^[1-9]\d*$/.test(attempt ?? "") || !/^[1-9]\d*$/.test(launch ?? "")) return undefined;
  return { taskId, stepId, attempt: Number(attempt), role, launch: Number(launch) };
}

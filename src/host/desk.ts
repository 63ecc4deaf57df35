/** The tools' desk on the host: one root's store, with the ports bound to OpenClaw and the disk. */
import { randomInt } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { chooseRepo, inspectPaths } from "../files/paths.ts";
import type { Desk } from "../tools/desk.ts";
import { buildersAreUnconfined } from "./check-runner.ts";
import { createFlow, readFlow } from "./flow-records.ts";
import type { Host } from "./openclaw.ts";
import { knownRoots } from "./roots.ts";
import { activityOf, shared, type OpenRoot } from "./shared.ts";

/**
 * `agentId` is the agent of the caller, in whose sessions builders work unless the configuration names another;
 * `elsewhere` says what the caller should know of other roots.
 */
export function createDesk(
  host: Host,
  open: OpenRoot,
  agentId = host.defaultAgentId(),
  elsewhere: readonly string[] = [],
): Desk {
  const { root, store } = open;
  return {
    store,
    settings: host.settings(),
    now: () => new Date(),
    backOff: (round) => pause(randomInt(1, 2 + Math.min(50, 2 ** Math.min(round, 6)))),
    answers: shared().answers,
    chooseRepo: async (projectId, wanted) =>
      chooseRepo(root, projectId, wanted, host.settings().allowedRepos, await knownRoots(host)),
    inspectPaths,
    buildersAreUnconfined: () => buildersAreUnconfined(host, agentId),
    createFlow: (request) => createFlow(host, root, request),
    readFlow: (stream, flowId) => readFlow(host, root, store, stream, flowId),
    committed: (stream) => shared().onCommit?.(root, stream),
    live: {
      waitsFor: (stream) => open.driver?.waitsFor(stream) ?? [],
      activity: activityOf,
      delayOf: (stream) => open.driver?.delayOf(stream),
      remarks: () => [
        ...(open.remark === undefined ? [] : [open.remark]),
        ...elsewhere,
        ...host.problems().map((one) => `the plugin's configuration is not valid: ${one}`),
      ],
    },
  };
}

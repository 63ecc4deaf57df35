import { guestScopes, type Client } from "../../../../harness/client.ts";
import type { JsonObject } from "../../../../harness/json.ts";
import type { Turn } from "../../../../harness/model.ts";
import { until } from "../../../../harness/wait.ts";
import type { Stage } from "../../stage.ts";
import { ours } from "../offered.ts";

export const oursIn = (turn: Turn) => turn.tools.filter((name) => ours.includes(name)).toSorted();

let lines = 0;
/** Says a line and returns the turn that the model had of it; undefined when the host ended the message with an error. */
export async function tryTurn(stage: Stage, client: Client, sessionKey: string): Promise<Turn | undefined> {
  const line = `Line ${(lines += 1)} of ${sessionKey}.`;
  const { state } = await client.chat(line, { sessionKey });
  return state === "error" ? undefined : stage.model.turns.waitFor(line, (turn) => turn.user.includes(line));
}

/**
 * Changes the plugin's configuration in the running gateway and waits until it holds: what is offered to a guest tells it,
 * because `allowNonOwners` is changed in the same file. The host refuses messages that come while it applies a change.
 */
export async function configure(
  stage: Stage,
  config: JsonObject & { readonly allowNonOwners: boolean },
): Promise<void> {
  await stage.gateway.configure({ plugins: { entries: { "project-orchestrator": { config } } } });
  const guest = await stage.gateway.connect({ scopes: guestScopes });
  await until(
    "the configuration to hold",
    async () => {
      const turn = await tryTurn(stage, guest, "agent:fourth:guests");
      return turn !== undefined && oursIn(turn).length > 0 === config.allowNonOwners;
    },
    { limitMs: 120_000 },
  );
  guest.close();
}

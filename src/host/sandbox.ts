/**
 * What the file tools of a sandboxed agent call the directories of this machine. Which of the names counts depends on the
 * kind of sandbox and on the session, so every one that the configuration allows is given.
 */
import path from "node:path";
import { keyOfAgent, type Host } from "./openclaw.ts";

/** A directory of this machine, and its name inside of a sandbox. */
export type Mount = { readonly inside: string; readonly outside: string };

/** `workdirs` are the names under which a workspace may be seen, from which relative paths may start. */
export type Sandbox = { readonly workdirs: readonly string[]; readonly mounts: readonly Mount[] };

/** The sandbox of an agent that works in these directories; empty for an agent that has none. */
export function sandboxOf(config: ReturnType<Host["config"]>, agentId: string, workspaces: readonly string[]): Sandbox {
  const all = config.agents?.defaults?.sandbox;
  const own = config.agents?.entries?.[keyOfAgent(config, agentId)]?.sandbox;
  if ((own?.mode ?? all?.mode ?? "off") === "off") return { workdirs: [], mounts: [] };
  const remote = config.plugins?.entries?.["openshell"]?.config?.["remoteWorkspaceDir"];
  const configured = [all?.docker?.workdir, own?.docker?.workdir, remote].filter((one) => typeof one === "string");
  const workdirs = [...new Set(["/workspace", "/agent", "/sandbox", ...configured])];
  const binds = [...(all?.docker?.binds ?? []), ...(own?.docker?.binds ?? [])];
  return {
    workdirs,
    mounts: [
      ...workdirs.flatMap((inside) => workspaces.map((outside) => ({ inside, outside }))),
      ...binds.flatMap(mountOf),
    ],
  };
}

/** `/on/this/machine:/inside:rw`; a volume with a name is no directory of ours. */
function mountOf(bind: string): readonly Mount[] {
  const [outside = "", inside = ""] = bind.split(":");
  return path.isAbsolute(outside) && path.isAbsolute(inside) ? [{ inside, outside }] : [];
}

/**
 * Which folders hold projects, and opening them. A root is the configured one, else the workspace of the agent that
 * asks. Roots that were used are remembered in the plugin's state directory, so that work goes on in them after a restart
 * also when the configuration names another one by then.
 */
import { randomBytes } from "node:crypto";
import { mkdir, readFile, realpath, stat } from "node:fs/promises";
import path from "node:path";
import writeFileAtomic from "write-file-atomic";
import { bootOfMachine } from "../files/launcher.ts";
import { expandHome, realPlace } from "../files/paths.ts";
import type { Settings } from "../schema/config.ts";
import { renderPages, rendering } from "../render/pages.ts";
import { createFileStore } from "../store/file-store.ts";
import { keyOfAgent, type Host } from "./openclaw.ts";
import { shared, type OpenRoot } from "./shared.ts";

/** The root for a caller whose agent works in `workspace`; absolute. */
export function rootFor(settings: Settings, workspace: string | undefined): string | undefined {
  const given = settings.root === undefined ? workspace : expandHome(settings.root);
  return given === undefined ? undefined : path.resolve(given);
}

/** Opens a root once per process, making its folder and nothing in it; a failed opening is tried again at the next call. */
export async function openRoot(root: string, warn: (message: string) => void): Promise<OpenRoot> {
  await mkdir(root, { recursive: true });
  const real = await realpath(root);
  const { roots } = shared();
  const known = roots.get(real);
  if (known !== undefined) return known;
  const opening = createFileStore({
    root: real,
    renderPages,
    rendering,
    now: () => new Date(),
    boot: bootOfMachine(),
    randomId: () => randomBytes(12).toString("hex"),
    warn,
  }).then((store): OpenRoot => ({ root: real, store }));
  roots.set(real, opening);
  opening.catch(() => roots.delete(real));
  return opening;
}

/** True when the folder holds projects already. */
export async function hasProjects(root: string): Promise<boolean> {
  return stat(path.join(root, "projects")).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/**
 * Every root that this process knows of: the open ones, those that the configuration names, and the remembered ones. Kept
 * state is guarded in all of them, also before anything of them is opened here.
 */
export async function knownRoots(host: Host): Promise<readonly string[]> {
  const open = (await openRoots()).map((one) => one.root);
  const remembered = await createRememberedRoots(host.stateDir()).list();
  return [...new Set([...open, ...namedRoots(host), ...remembered])];
}

/** All roots that are open in this process; one whose opening failed is left out. */
export async function openRoots(): Promise<readonly OpenRoot[]> {
  const settled = await Promise.allSettled(shared().roots.values());
  return settled.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
}

/** Closes the stores of all roots that are open in this process. */
export async function closeRoots(): Promise<void> {
  for (const open of await openRoots()) await open.store.close();
  shared().roots.clear();
}

/** The folders that the configuration names now: the configured root, or the workspace of every agent that may orchestrate. */
export function namedRoots(host: Host): readonly string[] {
  const settings = host.settings();
  const roots = orchestratingAgents(host).map((agentId) => rootFor(settings, host.workspaceOf(agentId)));
  return [...new Set(roots.filter((root) => root !== undefined))];
}

/** The agents that may orchestrate, the default one first. */
export function orchestratingAgents(host: Pick<Host, "settings" | "agentIds">): readonly string[] {
  const { roles, orchestrators } = host.settings();
  return host
    .agentIds()
    .filter(
      (agentId) =>
        agentId !== roles.builder.agentId &&
        agentId !== roles.qa.agentId &&
        (orchestrators === undefined || orchestrators.includes(agentId)),
    );
}

/**
 * Sentences about roots with unfinished tasks that this process drives although the configuration names them no longer
 * (an agent was added, and with it a default workspace moved), each with the line that makes it the root again.
 */
export async function remarksElsewhere(host: Host): Promise<readonly string[]> {
  const named = new Set(await Promise.all(namedRoots(host).map(realPlace)));
  const pin =
    host.settings().root === undefined
      ? `agents.entries.${keyOfAgent(host.config(), host.defaultAgentId())}.workspace`
      : "plugins.entries.project-orchestrator.config.root";
  return (await openRoots()).flatMap(({ root, driver }) => {
    const count = driver?.unfinished().length ?? 0;
    if (count === 0 || named.has(root)) return [];
    return [
      `${count} unfinished ${count === 1 ? "task" : "tasks"} below ${root} go on although the configuration no longer names that folder; ${pin}: ${JSON.stringify(root)} makes it the root again`,
    ];
  });
}

export type RememberedRoots = { list(): Promise<readonly string[]>; add(root: string): Promise<void> };

/** The remembered roots, in a file of the plugin's state directory. An unreadable file counts as empty. */
export function createRememberedRoots(stateDir: string): RememberedRoots {
  const file = path.join(stateDir, "project-orchestrator", "roots.json");
  const list = async (): Promise<readonly string[]> => {
    try {
      const value: unknown = JSON.parse(await readFile(file, "utf8"));
      return Array.isArray(value) ? value.filter((one): one is string => typeof one === "string") : [];
    } catch {
      return [];
    }
  };
  let last: Promise<void> = Promise.resolve();
  return {
    list,
    add(root) {
      // One failed write is told to its caller and must not stand in the way of the next.
      last = last
        .catch(() => undefined)
        .then(async () => {
          const known = await list();
          if (known.includes(root)) return;
          await mkdir(path.dirname(file), { recursive: true });
          await writeFileAtomic(file, `${JSON.stringify([...known, root], null, 2)}\n`);
        });
      return last;
    },
  };
}

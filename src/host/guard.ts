/**
 * The guard: agents' file tools may not write kept state. Everything below `projects/` of a root is kept state, exactly
 * `projects/<projectId>/repo` excepted. A path is judged as the host will resolve it (`@`, `file://`, `~`, `..`, the
 * session's working directory) and by its real place, links followed.
 */
import { homedir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { isInside, realPlace } from "../files/paths.ts";

/** The path tools that write, and where their paths are. */
const writingTools = new Set(["write", "edit", "apply_patch"]);

/** True when the tool may write files at paths that it is given. Pure. */
export function isWritingTool(tool: string): boolean {
  return writingTools.has(tool);
}

/** All paths that a call of a writing tool names, as the model wrote them, and those that the host derived. Pure. */
export function pathsOf(
  tool: string,
  params: Readonly<Record<string, unknown>>,
  derived: readonly string[] = [],
): readonly string[] {
  if (tool !== "apply_patch")
    return [params["path"], params["file_path"]]
      .filter((one): one is string => typeof one === "string")
      .concat(derived);
  const patch = typeof params["input"] === "string" ? params["input"] : "";
  const named = [...patch.matchAll(/^\*\*\* (?:Add File|Update File|Delete File|Move to): (.+)$/gm)].map((match) =>
    (match[1] ?? "").trim(),
  );
  return [...named, ...derived];
}

/** The first named path that leads into kept state, or undefined. `cwds` are the directories a relative path may start from. */
export async function findStatePath(
  named: readonly string[],
  cwds: readonly string[],
  roots: readonly string[],
): Promise<string | undefined> {
  const kept = await Promise.all(roots.map((root) => realPlace(path.join(root, "projects"))));
  for (const given of named)
    for (const place of placesOf(given, cwds)) {
      const real = await realPlace(place);
      if (kept.some((projects) => isState(real, projects))) return given;
    }
  return undefined;
}

function placesOf(given: string, cwds: readonly string[]): readonly string[] {
  const spellings = new Set(
    [given, given.trim()].flatMap((one) => [one, one.startsWith("@") ? one.slice(1) : one]).map(withoutScheme),
  );
  return [...spellings].flatMap((one) => {
    const home = one === "~" || one.startsWith("~/") ? path.join(homedir(), one.slice(1)) : one;
    return path.isAbsolute(home) ? [path.resolve(home)] : cwds.map((cwd) => path.resolve(cwd, home));
  });
}

function withoutScheme(given: string): string {
  if (!/^file:/i.test(given)) return given;
  try {
    return fileURLToPath(given);
  } catch {
    return given;
  }
}

/** True for anything below `projects/` but what lies in a project's own `repo/`. Pure; both absolute and real. */
export function isState(real: string, projects: string): boolean {
  if (!isInside(real, projects)) return false;
  const [, second, ...rest] = path.relative(projects, real).split(path.sep);
  return !(second === "repo" && rest.length > 0);
}

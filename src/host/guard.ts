/**
 * The guard: agents' file tools may not write kept state. Everything below `projects/` of a root is kept state, exactly
 * `projects/<projectId>/repo` excepted. A path is judged as the host will resolve it (`@`, `file://`, `~`, `..`, the
 * session's working directory, the names of a sandbox) and by its real place, links followed.
 */
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expandHome, isInside, placeOfWrite, realPlace } from "../files/paths.ts";
import type { Mount } from "./sandbox.ts";

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
  const named = patch.split(/\r?\n/).flatMap((line) => {
    const target = patchHeader.exec(line.trim())?.[1];
    return target === undefined ? [] : [target];
  });
  return [...named, ...derived];
}

/** The host takes a header also when it is indented. */
const patchHeader = /^\*\*\* (?:Add File|Update File|Delete File|Move to): ([^]+)$/;

/** The first named path that leads into kept state, or undefined. `cwds` are the directories a relative path may start from, `mounts` what a sandbox shows. */
export async function findStatePath(
  named: readonly string[],
  cwds: readonly string[],
  roots: readonly string[],
  mounts: readonly Mount[] = [],
): Promise<string | undefined> {
  const kept = await Promise.all(roots.map((root) => realPlace(path.join(root, "projects"))));
  for (const given of named)
    for (const place of placesOf(given, cwds, mounts)) {
      const real = await placeOfWrite(place);
      if (real === undefined || kept.some((projects) => isState(real, projects))) return given;
    }
  return undefined;
}

/**
 * Every place that the host may take the path for. Which one it takes depends on what exists (`@x` may be a file of that
 * name) and on its own repairs, so each reading counts.
 */
function placesOf(given: string, cwds: readonly string[], mounts: readonly Mount[]): readonly string[] {
  const spellings = [given, given.trim(), repaired(given)]
    .flatMap((one) => [one, one.replace(/^@/, "")])
    .flatMap((one) => [one, withoutScheme(one)])
    .map((one) => expandHome(one));
  const places = [...new Set(spellings)].flatMap((one) => cwds.map((cwd) => path.resolve(cwd, one)));
  const mounted = places.flatMap((place) =>
    mounts
      .filter(({ inside }) => isInside(place, inside))
      .map(({ inside, outside }) => path.join(outside, path.relative(inside, place))),
  );
  return [...new Set([...places, ...mounted])];
}

/** The host mends what models are known to get wrong at the end of a path. */
function repaired(given: string): string {
  return given
    .replace(/<\/arg_value>>+$/, "")
    .replace(/\.(doc|ppt|xls)(?:odex|codex|xodex|xcodex)$/i, (_match, family: string) => `.${family.toLowerCase()}x`);
}

/** A path that only looks like a URL is a relative path to the host. */
function withoutScheme(given: string): string {
  if (!/^file:/i.test(given)) return given;
  try {
    return fileURLToPath(given);
  } catch {
    return given;
  }
}

/** True for anything below `projects/` but what lies in a project's own `repo/`. Pure; both absolute and real. */
function isState(real: string, projects: string): boolean {
  if (!isInside(real, projects)) return false;
  const [, second, ...rest] = path.relative(projects, real).split(path.sep);
  return !(second === "repo" && rest.length > 0);
}

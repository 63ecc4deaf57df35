/**
 * Facts about paths that people and agents name. Every path is judged by its real place: links are followed before
 * anything is compared, also for a part of the path that exists when the rest does not.
 */
import { mkdir, readlink, realpath, stat } from "node:fs/promises";
import { homedir } from "node:os";
import path from "node:path";
import { OrchestratorError, codeOf, refuse, type Refusal } from "../errors.ts";

/** `~` and `~/…` become the home directory; anything else stays. */
export function expandHome(given: string, home = homedir()): string {
  return given === "~" || given.startsWith("~/") ? path.join(home, given.slice(1)) : given;
}

/** True when `inner` is `outer` or lies below it. Both absolute and normalised. Pure. */
export function isInside(inner: string, outer: string): boolean {
  const relative = path.relative(outer, inner);
  return relative === "" || (!relative.startsWith(`..${path.sep}`) && relative !== ".." && !path.isAbsolute(relative));
}

/** The real path of the longest part that can be looked at, a link to nothing followed to its end, with the rest as given. Never fails. */
export function realPlace(absolute: string): Promise<string> {
  return realPlaceUnless(absolute, () => undefined);
}

/** As `realPlace`, for what may be written: undefined for links that go in a circle or are too many, whose end cannot be told. */
export async function placeOfWrite(absolute: string): Promise<string | undefined> {
  try {
    return await realPlaceUnless(absolute, (error) => {
      if (codeOf(error) === "ELOOP") throw error;
    });
  } catch {
    return undefined;
  }
}

/** As `realPlace`, where something is decided by it: throws `not-committed` when the disk does not tell now. */
function knownPlace(absolute: string): Promise<string> {
  return realPlaceUnless(absolute, requireAbsent);
}

async function realPlaceUnless(absolute: string, judge: (error: unknown) => void): Promise<string> {
  const rest: string[] = [];
  let part = path.resolve(absolute);
  let links = 0;
  for (;;) {
    try {
      return path.join(await realpath(part), ...rest);
    } catch (error) {
      judge(error);
      const target = codeOf(error) === "ELOOP" || links === mostLinks ? undefined : await targetOf(part, judge);
      if (target !== undefined) {
        links += 1;
        part = target;
        continue;
      }
      const parent = path.dirname(part);
      if (parent === part) return path.join(part, ...rest);
      rest.unshift(path.basename(part));
      part = parent;
    }
  }
}

/** As many as Linux follows; more are met only while somebody changes them. */
const mostLinks = 40;

/** Where a link leads, as the system would go there: from the real place of its folder, `..` not taken away. Undefined for what is no link. */
async function targetOf(part: string, judge: (error: unknown) => void): Promise<string | undefined> {
  try {
    const target = await readlink(part);
    return path.isAbsolute(target) ? target : `${await realpath(path.dirname(part))}${path.sep}${target}`;
  } catch (error) {
    if (codeOf(error) !== "EINVAL") judge(error);
    return undefined;
  }
}

/** What an error says when there is nothing at a path, or nothing that this process may look at. */
const absent: readonly string[] = ["ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG", "EACCES", "EPERM"];

function requireAbsent(error: unknown): void {
  const code = codeOf(error);
  if (absent.includes(code)) return;
  throw new OrchestratorError("not-committed", `The repository could not be looked at (${code}).`, { cause: error });
}

/**
 * The directory that a project's runs work in: the wanted one by its real path when it may be used, else
 * `<root>/projects/<projectId>/repo`, made. Neither the root, nor `projects/`, nor anything that contains or lies in kept
 * state may be used; `projects/<id>/repo` of another project may. Throws `not-committed` when the disk fails.
 */
export async function chooseRepo(
  root: string,
  projectId: string,
  wanted: string | undefined,
  allowedRepos: readonly string[],
  knownRoots: readonly string[] = [],
): Promise<string | Refusal> {
  if (wanted === undefined) {
    const made = path.join(root, "projects", projectId, "repo");
    // Looked at before it is made: a refused call leaves nothing behind, least of all outside the root.
    if (!isInside(await knownPlace(made), path.join(await knownPlace(root), "projects", projectId)))
      return refuse("invalid-repo", `The folder for project ${projectId} leads outside the root through a link.`, [
        "a root without such links",
      ]);
    try {
      await mkdir(made, { recursive: true });
      return await realpath(made);
    } catch (error) {
      const message = `projects/${projectId}/repo could not be made (${codeOf(error)}).`;
      throw new OrchestratorError("not-committed", message, { cause: error });
    }
  }
  return judgeRepo(root, wanted, allowedRepos, knownRoots);
}

/**
 * The real path of a directory that a project may work in, or why it may not. Called again at each launch. `knownRoots`
 * are other roots, whose kept state it may not lie in either. Throws `not-committed` when the disk does not tell now.
 */
export async function judgeRepo(
  root: string,
  wanted: string,
  allowedRepos: readonly string[],
  knownRoots: readonly string[] = [],
): Promise<string | Refusal> {
  const accepts = [
    "no repo: a new directory is made",
    "an existing directory inside the root",
    ...allowedRepos.map((one) => `a directory in ${one}`),
  ];
  const no = (why: string) => refuse("invalid-repo", `repo ${JSON.stringify(wanted.slice(0, 200))} ${why}.`, accepts);
  if (wanted.includes("\0")) return no("is no path");
  const realRoot = await knownPlace(root);
  const given = expandHome(wanted);
  const real = await knownPlace(path.isAbsolute(given) ? given : path.join(realRoot, given));
  const allowed = await Promise.all(allowedRepos.map((one) => knownPlace(expandHome(one))));
  if (!isInside(real, realRoot) && !allowed.some((one) => isInside(real, one)))
    return no("is neither inside the root nor in allowedRepos");
  if (!(await isDirectory(real))) return no("is not an existing directory");
  const projects = path.join(realRoot, "projects");
  if (isInside(projects, real)) return no("is the root, projects/ or contains it");
  for (const one of [realRoot, ...(await Promise.all(knownRoots.map(knownPlace)))]) {
    const kept = path.join(one, "projects");
    const [, second] = path.relative(kept, real).split(path.sep);
    if (isInside(real, kept) && second !== "repo") return no("lies in a project's kept state");
  }
  return real;
}

async function isDirectory(absolute: string): Promise<boolean> {
  try {
    return (await stat(absolute)).isDirectory();
  } catch (error) {
    requireAbsent(error);
    return false;
  }
}

/**
 * What a path is that an agent reported. A link is what stands behind it: a link to nothing or to a directory is no file.
 * `backslash`: no separator here, and a file with one in its name could not be told from a path of Windows.
 */
export type PathKind = "file" | "missing" | "outside" | "backslash";

/**
 * What stands at each path that an agent reported: a file in the repository, no file, or a place it may not name. Throws
 * `not-committed` when the disk does not tell now.
 */
export async function inspectPaths(
  repo: string,
  paths: readonly string[],
): Promise<readonly { readonly path: string; readonly kind: PathKind }[]> {
  if (paths.length === 0) return [];
  const realRepo = await knownPlace(repo);
  return Promise.all(paths.map(async (given) => ({ path: given, kind: await kindOf(realRepo, given) })));
}

async function kindOf(realRepo: string, given: string): Promise<PathKind> {
  if (given.includes("\0") || path.posix.isAbsolute(given) || path.win32.isAbsolute(given)) return "outside";
  if (given.split(/[/\\]/).includes("..")) return "outside";
  if (given.includes("\\")) return "backslash";
  // Without a separator at its end, with which the system looks for a folder.
  const absolute = path.resolve(realRepo, given);
  if (!isInside(await knownPlace(absolute), realRepo)) return "outside";
  try {
    return (await stat(absolute)).isFile() ? "file" : "missing";
  } catch (error) {
    requireAbsent(error);
    return "missing";
  }
}

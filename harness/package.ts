// The plugin as its users get it: built, packed as for npm, installed by the real `openclaw plugins install`.
// Installing takes seconds, so it is done once into a template home, and each gateway gets a copy of that.

import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import process from "node:process";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { promisify } from "node:util";

import { fieldsOf, listOf, textOf, type Fields } from "./json.ts";
import { downloadEnvironment, environmentOf, pathsOf, repoRoot, runOpenclaw } from "./openclaw.ts";

const runFile = promisify(execFile);

/** Fields of package.json that are for those who develop the plugin, not for those who install it. */
const developmentFields = ["devDependencies", "optionalDependencies", "scripts"];

export interface PackedPlugin {
  readonly tarball: string;
  readonly pluginId: string;
  readonly version: string;
}

/**
 * Builds the package at `root` (its `scripts/build.ts`, unless `build` is false) and packs it into a tarball in `into`
 * (default: a new temporary folder). The tarball's package.json has no development fields.
 */
export async function packPlugin(
  options: { readonly root?: string; readonly into?: string; readonly build?: boolean } = {},
): Promise<PackedPlugin> {
  const root = options.root ?? repoRoot;
  const into = options.into ?? (await mkdtemp(join(tmpdir(), "orchestrator-pack-")));
  await mkdir(into, { recursive: true });
  if (options.build !== false) await runFile(process.execPath, [join(root, "scripts", "build.ts")], { cwd: root });
  const stage = await stagePackage(root, join(into, "stage"));
  const packed = await runFile("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", into], {
    cwd: stage.folder,
    env: environmentOf(into),
  });
  const report = fieldsOf(listOf(JSON.parse(packed.stdout))[0]);
  const filename = textOf(report["filename"]);
  if (filename === undefined) throw new Error(`npm pack named no file: ${packed.stdout}`);
  await rm(stage.folder, { recursive: true });
  return { tarball: join(into, basename(filename)), pluginId: stage.pluginId, version: stage.version };
}

async function stagePackage(
  root: string,
  folder: string,
): Promise<{ readonly folder: string; readonly pluginId: string; readonly version: string }> {
  const manifest = await readFields(join(root, "openclaw.plugin.json"));
  const description = await readFields(join(root, "package.json"));
  await mkdir(folder, { recursive: true });
  for (const file of listOf(description["files"])) {
    const name = String(file);
    if (await isThere(join(root, name))) await cp(join(root, name), join(folder, name), { recursive: true });
    else throw new Error(`package.json lists the file ${name}, which is not in ${root}`);
  }
  const published = Object.fromEntries(
    Object.entries(description).filter(([name]) => !developmentFields.includes(name)),
  );
  await writeFile(join(folder, "package.json"), `${JSON.stringify(published, null, 2)}\n`);
  const pluginId = textOf(manifest["id"]);
  const version = textOf(description["version"]);
  if (pluginId === undefined || version === undefined) throw new Error(`${root} names no plugin id or version`);
  return { folder, pluginId, version };
}

/** Runs the real `openclaw plugins install` of the tarball in `home`, which may be new. */
export async function installPlugin(home: string, tarball: string): Promise<void> {
  await mkdir(home, { recursive: true });
  const done = await runOpenclaw(
    home,
    ["plugins", "install", `npm-pack:${tarball}`, "--force", "--accept-capabilities"],
    { env: downloadEnvironment() },
  );
  if (done.code !== 0)
    throw new Error(`plugins install ended with ${String(done.code)}:\n${done.stdout}\n${done.stderr}`);
}

/**
 * Copies an installed home to `home`, which must not exist. The host keeps absolute paths in its configuration and its
 * state database; they are rewritten, so the copy is as good as an install of its own.
 */
export async function copyHome(template: string, home: string): Promise<void> {
  await cp(template, home, {
    recursive: true,
    preserveTimestamps: true,
    verbatimSymlinks: true,
    errorOnExist: true,
    force: false,
  });
  const paths = pathsOf(home);
  if (await isThere(paths.config)) {
    const text = await readFile(paths.config, "utf8");
    await writeFile(paths.config, text.replaceAll(template, home));
  }
  for (const name of await readdir(join(paths.state, "state"))) {
    if (name.endsWith(".sqlite")) rewriteDatabase(join(paths.state, "state", name), template, home);
  }
}

/** Replaces `from` by `to` in every text of every table. The database must be closed everywhere else. */
function rewriteDatabase(file: string, from: string, to: string): void {
  const database = new DatabaseSync(file);
  try {
    database.exec("PRAGMA wal_checkpoint(TRUNCATE); BEGIN IMMEDIATE");
    for (const table of namesOf(
      database,
      "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    )) {
      for (const column of namesOf(database, "SELECT name FROM pragma_table_info(?)", table)) {
        database
          .prepare(
            `UPDATE "${table}" SET "${column}" = replace("${column}", ?, ?) WHERE typeof("${column}") = 'text' AND instr("${column}", ?) > 0`,
          )
          .run(from, to, from);
      }
    }
    database.exec("COMMIT");
  } finally {
    database.close();
  }
}

function namesOf(database: DatabaseSync, query: string, ...values: SQLInputValue[]): readonly string[] {
  return database
    .prepare(query)
    .all(...values)
    .map((row) => String(row["name"]));
}

async function readFields(file: string): Promise<Fields> {
  return fieldsOf(JSON.parse(await readFile(file, "utf8")));
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

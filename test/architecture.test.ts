/**
 * Holds the table of folders: who may import what, who sees a clock, who commits. Files are parsed, not searched, so
 * that no kind of import is missed; the last part shows that each kind is seen. Change the table first, then the code.
 */
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { parseAst } from "vitest/node";
import { describe, expect, it } from "vitest";

const root = join(import.meta.dirname, "..", "src");

// ---- the table

/** `flow (pure)` and `store interface` are single files; everything else in their folders is the other half. */
const units = [
  "errors",
  "schema",
  "files",
  "flow (pure)",
  "flow (doing)",
  "store interface",
  "store",
  "render",
  "tools",
  "host",
  "index",
] as const;
type Unit = (typeof units)[number];

const pureFlow = ["flow/transition.ts", "flow/ready.ts", "flow/recover.ts", "flow/run-identity.ts"];
/** Where the driver's needs are named; whoever provides one of them names it. */
const ports = "flow/ports.ts";
const typebox = ["@sinclair/typebox", "@sinclair/typebox/value"];

/**
 * What each unit may import beside itself: units, single files of ours (from src on), packages, `node:` for every built-in module.
 * Every unit may import errors.
 */
const table: { readonly [U in Unit]: readonly string[] } = {
  errors: [],
  schema: [...typebox],
  /** Paths, processes and trees of this machine, for store and host. */
  files: ["schema", "node:"],
  "flow (pure)": ["schema"],
  "flow (doing)": ["schema", "flow (pure)", "store interface"],
  "store interface": ["schema"],
  store: ["schema", "files", "store interface", "node:", "write-file-atomic", "signal-exit", "proper-lockfile"],
  /** The store's types only; templates are read from disk by one file, see below. */
  render: ["schema", "store interface", "handlebars", "node:fs"],
  /** The status and the notices are words, hence render. The driver records through tools, hence the ports it names. */
  tools: ["schema", "flow (pure)", ports, "store interface", "render", "node:crypto", ...typebox],
  host: [
    ...units.filter((unit) => unit !== "index"),
    "node:",
    "openclaw/",
    "write-file-atomic",
    "proper-lockfile",
    ...typebox,
  ],
  /** Of ours nothing but types, so that it stays small: test/gateway/scenarios/installed.ts looks at what the build makes of it. */
  index: ["host", "../openclaw.plugin.json", "node:", "openclaw/"],
};

/** Files that see no clock, no randomness, no disk, no environment: the decisions and what is shown. */
const isPure = (path: string) =>
  path.startsWith("schema/") ||
  pureFlow.includes(path) ||
  (path.startsWith("render/") && path !== "render/templates.ts");

function unitOf(path: string): Unit | undefined {
  if (path === "errors.ts") return "errors";
  if (path === "index.ts") return "index";
  if (path === "files.ts") return "files";
  if (pureFlow.includes(path)) return "flow (pure)";
  if (path.startsWith("flow/")) return "flow (doing)";
  if (path === "store/store.ts") return "store interface";
  return units.find((unit) => path.startsWith(`${unit}/`));
}

// ---- reading a source

type Source = { readonly path: string; readonly text: string };
type Seen = { readonly imports: readonly string[]; readonly impure: readonly string[]; readonly commits: boolean };
type Node = { readonly [key: string]: unknown };

const isNode = (value: unknown): value is Node => typeof value === "object" && value !== null && !Array.isArray(value);

function nodesOf(value: unknown): readonly Node[] {
  if (Array.isArray(value)) return value.flatMap(nodesOf);
  return isNode(value) ? [value, ...Object.values(value).flatMap(nodesOf)] : [];
}

/** What a source imports in whatever way, and which of its expressions make it depend on more than its input. */
function read({ path, text }: Source): Seen {
  const all = nodesOf(parseAst(text, { lang: path.endsWith(".tsx") ? "tsx" : "ts" }));
  return { imports: all.flatMap(importOf), impure: [...new Set(all.flatMap(impurityOf))], commits: all.some(isCommit) };
}

function importOf(node: Node): readonly string[] {
  switch (node["type"]) {
    case "ImportDeclaration":
    case "ExportAllDeclaration":
    case "ImportExpression":
    case "TSImportType":
      return [wordOf(node["source"])];
    case "ExportNamedDeclaration":
      return isNode(node["source"]) ? [wordOf(node["source"])] : [];
    case "TSExternalModuleReference":
      return [wordOf(node["expression"])];
    case "CallExpression":
      return nameOf(node["callee"]) === "require" && Array.isArray(node["arguments"])
        ? [wordOf(node["arguments"][0])]
        : [];
    default:
      return [];
  }
}

/** The text of a literal; anything computed cannot be judged, and is named so that no row allows it. */
function wordOf(node: unknown): string {
  if (isNode(node) && typeof node["value"] === "string") return node["value"];
  const [quasi] = isNode(node) && Array.isArray(node["quasis"]) && node["quasis"].length === 1 ? node["quasis"] : [];
  const cooked = isNode(quasi) && isNode(quasi["value"]) ? quasi["value"]["cooked"] : undefined;
  return typeof cooked === "string" ? cooked : "(computed)";
}

/** `a.b.c` of an expression that is written so, else an empty text. */
function nameOf(node: unknown): string {
  if (!isNode(node)) return "";
  if (node["type"] === "Identifier") return String(node["name"]);
  if (node["type"] !== "MemberExpression") return "";
  return `${nameOf(node["object"])}.${node["computed"] === true ? wordOf(node["property"]) : nameOf(node["property"])}`;
}

const impureNames = [
  "Date.now",
  "performance.now",
  "Math.random",
  "crypto.randomUUID",
  "crypto.getRandomValues",
  "randomUUID",
  "randomBytes",
];
const impureGlobals = ["process", "setTimeout", "setInterval", "setImmediate", "fetch"];

function impurityOf(node: Node): readonly string[] {
  const args = Array.isArray(node["arguments"]) ? node["arguments"].length : 0;
  if (node["type"] === "NewExpression" && nameOf(node["callee"]) === "Date" && args === 0) return ["new Date()"];
  if (node["type"] === "CallExpression" && nameOf(node["callee"]) === "Date") return ["Date()"];
  const name = nameOf(node).replace(/^globalThis\./, "");
  if (impureNames.includes(name)) return [name];
  const global =
    node["type"] === "MemberExpression"
      ? name.split(".")[0]
      : node["type"] === "CallExpression"
        ? nameOf(node["callee"])
        : undefined;
  return global !== undefined && impureGlobals.includes(global) ? [global] : [];
}

function isCommit(node: Node): boolean {
  const { type, callee } = node;
  return (
    type === "CallExpression" &&
    isNode(callee) &&
    callee["type"] === "MemberExpression" &&
    (nameOf(callee) || `.${nameOf(callee["property"])}`).endsWith(".commit")
  );
}

// ---- judging it

function forbiddenImports(source: Source): readonly string[] {
  const unit = unitOf(source.path);
  if (unit === undefined) return [`${source.path} is in no folder of the table`];
  const may = (specifier: string): boolean => {
    if (specifier === "(computed)") return false;
    if (!specifier.startsWith("."))
      return table[unit].some((one) => one === specifier || (/[:/]$/.test(one) && specifier.startsWith(one)));
    const target = normalize(join(dirname(source.path), specifier));
    if (table[unit].includes(target)) return true;
    const other = unitOf(target);
    if (other === undefined || !target.endsWith(".ts")) return false;
    return other === unit || other === "errors" || table[unit].includes(other);
  };
  return read(source)
    .imports.filter((specifier) => !may(specifier))
    .map((specifier) => `${source.path} (${unit}) imports ${specifier}`);
}

function impurities(source: Source): readonly string[] {
  if (!isPure(source.path)) return [];
  const { imports, impure } = read(source);
  const modules = imports.filter((specifier) => specifier.startsWith("node:"));
  return [...modules, ...impure].map((what) => `${source.path} uses ${what}`);
}

function strangeCommits(source: Source): readonly string[] {
  const may = source.path.startsWith("tools/") || source.path.startsWith("store/");
  return !may && read(source).commits ? [`${source.path} commits`] : [];
}

const sources: readonly Source[] = readdirSync(root, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && /\.[cm]?tsx?$/.test(entry.name))
  .map((entry) => join(entry.parentPath, entry.name))
  .map((file) => ({ path: relative(root, file).replaceAll("\\", "/"), text: readFileSync(file, "utf8") }));

describe("the source", () => {
  it("was seen: files of every folder that there is, the pure ones by name, and their imports", () => {
    const folders = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    expect(sources.length).toBeGreaterThan(8);
    for (const { name } of folders)
      expect(
        sources.some(({ path }) => path.startsWith(`${name}/`)) || readdirSync(join(root, name)).length === 0,
      ).toBe(true);
    expect(sources.map(({ path }) => path)).toEqual(
      expect.arrayContaining(["errors.ts", "store/store.ts", ports, ...pureFlow]),
    );
    expect(read(sources.find(({ path }) => path === "flow/transition.ts") ?? { path: "", text: "" }).imports).toContain(
      "../errors.ts",
    );
    expect(sources.flatMap((source) => read(source).imports).length).toBeGreaterThan(sources.length);
  });

  it("is TypeScript only, so that nothing slips past the table", () => {
    const others = readdirSync(root, { recursive: true, withFileTypes: true }).filter(
      (entry) => entry.isFile() && /\.([cm]?js|node|wasm)$/.test(entry.name),
    );
    expect(others.map((entry) => entry.name)).toEqual([]);
  });

  it.each(units)("imports only what the table allows: %s", (unit) => {
    expect(sources.filter(({ path }) => unitOf(path) === unit).flatMap(forbiddenImports)).toEqual([]);
  });

  it("lies in the folders of the table", () => {
    expect(sources.filter(({ path }) => unitOf(path) === undefined).map(({ path }) => path)).toEqual([]);
  });

  it("sees no clock, no randomness, no disk where it decides or shows", () => {
    expect(sources.filter(({ path }) => isPure(path)).length).toBeGreaterThan(8);
    expect(sources.flatMap(impurities)).toEqual([]);
  });

  it("imports openclaw in src/host and src/index.ts only", () => {
    const importers = sources.filter((source) =>
      read(source).imports.some((specifier) => /^openclaw(\/|$)/.test(specifier)),
    );
    expect(
      importers.map(({ path }) => path).filter((path) => path !== "index.ts" && !path.startsWith("host/")),
    ).toEqual([]);
  });

  it("commits in src/tools only", () => {
    expect(sources.flatMap(strangeCommits)).toEqual([]);
  });
});

describe("this test", () => {
  const source = (path: string, text: string): Source => ({ path, text });

  it.each([
    ["a static import", 'import { a } from "openclaw/plugin-sdk";'],
    ["an import of a default", 'import a from "openclaw/plugin-sdk";'],
    ["an import of everything", 'import * as a from "openclaw/plugin-sdk";'],
    ["an import of a type", 'import type { A } from "openclaw/plugin-sdk";'],
    ["an import with types in it", 'import { type A } from "openclaw/plugin-sdk";'],
    ["an import for its effects", 'import "openclaw/plugin-sdk";'],
    ["a dynamic import", 'const a = await import("openclaw/plugin-sdk");'],
    ["a dynamic import with a template", "const a = import(`openclaw/plugin-sdk`);"],
    ["a type that imports", 'type A = import("openclaw/plugin-sdk").A;'],
    ["the type of an import", 'type A = typeof import("openclaw/plugin-sdk");'],
    ["a re-export", 'export { a } from "openclaw/plugin-sdk";'],
    ["a re-export of a type", 'export type { A } from "openclaw/plugin-sdk";'],
    ["a re-export of everything", 'export * from "openclaw/plugin-sdk";'],
    ["a re-export under a name", 'export * as a from "openclaw/plugin-sdk";'],
    ["require", 'const a = require("openclaw/plugin-sdk");'],
    ["import with require", 'import a = require("openclaw/plugin-sdk");'],
    [
      "an import inside a function",
      'export async function f() { if (true) { return (await import("openclaw/plugin-sdk")).a; } }',
    ],
  ])("sees %s", (_words, text) => {
    expect(forbiddenImports(source("tools/fake.ts", text))).toEqual([
      "tools/fake.ts (tools) imports openclaw/plugin-sdk",
    ]);
    expect(forbiddenImports(source("host/fake.ts", text))).toEqual([]);
  });

  it("sees an import whose name is computed, and allows it nowhere", () => {
    expect(forbiddenImports(source("host/fake.ts", "await import(name);"))).toEqual([
      "host/fake.ts (host) imports (computed)",
    ]);
    expect(forbiddenImports(source("host/fake.ts", "await import(`openclaw/${name}`);"))).toHaveLength(1);
  });

  it("is not misled by comments and texts", () => {
    const text = '// import "openclaw/a";\n/* import "openclaw/b"; */ const a = \'import "openclaw/c"\';';
    expect(read(source("tools/fake.ts", text)).imports).toEqual([]);
  });

  it.each([
    ["schema/fake.ts", "../flow/ready.ts"],
    ["schema/fake.ts", "node:fs"],
    ["flow/transition.ts", "../store/store.ts"],
    ["flow/transition.ts", "./driver.ts"],
    ["flow/ready.ts", "@sinclair/typebox"],
    ["flow/driver.ts", "../tools/tool.ts"],
    ["flow/driver.ts", "../store/file-store.ts"],
    ["flow/driver.ts", "../render/pages.ts"],
    ["flow/driver.ts", "node:fs"],
    ["store/fake.ts", "../flow/transition.ts"],
    ["store/fake.ts", "../render/pages.ts"],
    ["render/fake.ts", "../flow/transition.ts"],
    ["render/fake.ts", "../store/file-store.ts"],
    ["tools/fake.ts", "../store/file-store.ts"],
    ["tools/fake.ts", "../flow/driver.ts"],
    ["tools/fake.ts", "../host/openclaw.ts"],
    ["tools/fake.ts", "../index.ts"],
    ["tools/fake.ts", "node:fs"],
    ["tools/fake.ts", "../flow/ready.js"],
    ["host/fake.ts", "../index.ts"],
    ["index.ts", "./tools/tool.ts"],
    ["host/fake.ts", "../../test/support/world.ts"],
    ["errors.ts", "./schema/documents.ts"],
    ["files/fake.ts", "../store/store.ts"],
    ["other/fake.ts", "../errors.ts"],
  ])("refuses %s importing %s", (path, specifier) => {
    expect(forbiddenImports(source(path, `import ${JSON.stringify(specifier)};`))).toHaveLength(1);
  });

  it.each([
    ["flow/recover.ts", "./ready.ts"],
    ["flow/driver.ts", "./recover.ts"],
    ["flow/driver.ts", "../store/store.ts"],
    ["store/file-store.ts", "node:fs/promises"],
    ["store/file-store.ts", "../files/paths.ts"],
    ["render/fake.ts", "handlebars"],
    ["tools/fake.ts", "../flow/transition.ts"],
    ["host/fake.ts", "../store/file-store.ts"],
    ["index.ts", "./host/parts.ts"],
  ])("allows %s importing %s", (path, specifier) => {
    expect(forbiddenImports(source(path, `import ${JSON.stringify(specifier)};`))).toEqual([]);
  });

  it.each([
    ["Date.now", "const a = Date.now();"],
    ["Date.now", "const now = Date.now;"],
    ["Date.now", 'const a = Date["now"]();'],
    ["Date.now", "const a = globalThis.Date.now();"],
    ["new Date()", "const a = new Date();"],
    ["new Date()", "const a = new Date;"],
    ["Date()", "const a = Date();"],
    ["Math.random", "const a = Math.random();"],
    ["performance.now", "const a = performance.now();"],
    ["randomUUID", "const a = randomUUID();"],
    ["crypto.randomUUID", "const a = crypto.randomUUID();"],
    ["process", "const a = process.env.HOME;"],
    ["setTimeout", "setTimeout(() => {}, 1);"],
    ["node:fs", 'import { readFileSync } from "node:fs";'],
  ])("sees %s in a pure file: %s", (what, text) => {
    for (const path of ["schema/fake.ts", "flow/transition.ts", "render/view.ts"])
      expect(impurities(source(path, text))).toContain(`${path} uses ${what}`);
    expect(impurities(source("host/fake.ts", text))).toEqual([]);
  });

  it("lets a pure file make a date of a text that it was given", () => {
    expect(
      impurities(source("flow/transition.ts", "const a = new Date(event.at).toISOString(); const b = Date.parse(at);")),
    ).toEqual([]);
  });

  it.each([
    "store.commit(stream, 0, change);",
    "await desk.store.commit(a);",
    "(await open()).commit(a);",
    "store?.commit(a);",
  ])("sees a commit: %s", (text) => {
    expect(strangeCommits(source("flow/driver.ts", text))).toEqual(["flow/driver.ts commits"]);
    expect(strangeCommits(source("tools/fake.ts", text))).toEqual([]);
  });
});

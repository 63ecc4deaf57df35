/** Reading the configuration: a faulty value costs itself only, and never opens what was to be closed. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { manifestFile } from "../../scripts/manifest.ts";
import { readSettings } from "../../src/schema/config.ts";
import { mayUse } from "../../src/tools/tool.ts";

const none = readSettings({}).settings;
const caller = (agentId: string) => ({
  sessionKey: `agent:${agentId}:main`,
  agentId,
  senderIsOwner: true,
  hasSender: true,
});

describe("a configuration", () => {
  it.each([undefined, null, {}])("that is %j is all defaults", { tags: ["s8.nothing-required"] }, (raw) => {
    expect(readSettings(raw)).toStrictEqual({
      settings: {
        allowNonOwners: false,
        allowedRepos: [],
        roles: { builder: { idleMs: 3_600_000, maxMs: 14_400_000 }, qa: { idleMs: 3_600_000, maxMs: 14_400_000 } },
        maxAttempts: 3,
        maxLostRuns: 2,
        parallelTasks: 4,
        parallelSteps: 1,
        acceptanceReview: true,
        checks: { allow: [], allowUnconfined: false },
        notify: "steps",
      },
      problems: [],
    });
  });

  it("with every setting is taken as it is, minutes as milliseconds", { tags: ["s8.nothing-required"] }, () => {
    const { settings, problems } = readSettings(everything);
    expect(problems).toStrictEqual([]);
    expect(settings).toStrictEqual({
      ...everything,
      roles: {
        builder: { agentId: "builder", idleMs: 30_000, maxMs: 90_000 },
        qa: { agentId: "qa", idleMs: 1_500, maxMs: 60_000 },
      },
    });
  });

  it("with a faulty value loses that one only, and names it", { tags: ["s8.faulty-named"] }, () => {
    const { settings, problems } = readSettings({
      parallelTasks: 2,
      maxAttempts: 0,
      roles: { builder: { agentId: "builder", idleMinutes: -1, maxMinutes: 5 } },
      checks: { allow: ["npm"], allowUnconfined: "yes" },
      orchestrators: ["main"],
    });
    expect(settings).toStrictEqual({
      ...none,
      parallelTasks: 2,
      roles: { ...none.roles, builder: { agentId: "builder", idleMs: none.roles.builder.idleMs, maxMs: 300_000 } },
      checks: { allow: ["npm"], allowUnconfined: false },
      orchestrators: ["main"],
    });
    expect(problems.map((one) => one.split(":")[0])).toStrictEqual([
      "/maxAttempts",
      "/roles/builder/idleMinutes",
      "/checks/allowUnconfined",
    ]);
  });

  it.each([
    [{ toString: 1 }, "/toString"],
    [{ orchestrator: ["main"] }, "/orchestrator"],
    [{ roles: { builder: { agentid: "builder" } } }, "/roles/builder/agentid"],
    [{ checks: { allowed: [] } }, "/checks/allowed"],
  ])(
    "with a setting that does not exist names it and what there is: %j",
    { tags: ["s8.closed", "s8.faulty-named"] },
    (raw, path) => {
      expect(readSettings({ ...raw, notify: "off" }).settings.notify).toBe("off");
      expect(readSettings(raw).problems[0]).toMatch(new RegExp(`^${path}: there is no such setting; known here: \\w+`));
    },
  );

  it("takes only what the chat can be told", { tags: ["s8.notify"] }, () => {
    expect(readSettings({ notify: "foo" })).toStrictEqual({
      settings: none,
      problems: ["/notify: is none of steps, tasks, off"],
    });
    expect(readSettings({ notify: "tasks" }).settings.notify).toBe("tasks");
  });

  it("takes no relative folder", { tags: ["s8.root", "s8.allowed-repos"] }, () => {
    for (const fine of ["/srv/work", "~", "~/work", "C:\\work"])
      expect([fine, readSettings({ root: fine, allowedRepos: [fine] }).problems]).toStrictEqual([fine, []]);
    const { problems } = readSettings({ root: "work", allowedRepos: ["../other"] });
    expect(problems.slice(0, 2)).toStrictEqual([
      "/root: is not absolute and does not begin with ~/",
      "/allowedRepos/0: is not absolute and does not begin with ~/",
    ]);
  });
});

const everything = {
  root: "/srv/work",
  orchestrators: ["main"],
  allowNonOwners: true,
  allowedRepos: ["~/code"],
  roles: {
    builder: { agentId: "builder", idleMinutes: 0.5, maxMinutes: 1.5 },
    qa: { agentId: "qa", idleMinutes: 0.025, maxMinutes: 1 },
  },
  maxAttempts: 5,
  maxLostRuns: 0,
  parallelTasks: 7,
  parallelSteps: 2,
  acceptanceReview: false,
  checks: { allow: ["npm"], allowUnconfined: true },
  notify: "off",
} as const;

/** Every setting with values that it must not have. */
const wrong: readonly (readonly [string, readonly unknown[]])[] = [
  ["root", ["", "work", "./work", "~other", 7, null]],
  ["orchestrators", ["main", [1], [""], { main: true }, null]],
  ["allowNonOwners", ["yes", 1, null]],
  ["allowedRepos", ["/srv", [""], ["code"], [7]]],
  ["roles.builder.agentId", ["", 7, null, ["builder"]]],
  ["roles.qa.agentId", ["", 7, null, ["qa"]]],
  ...["builder", "qa"].flatMap((role) =>
    ["idleMinutes", "maxMinutes"].map((name) => [`roles.${role}.${name}`, [0, -1, "60", null]] as const),
  ),
  ["maxAttempts", [0, 1.5, 101, "3"]],
  ["maxLostRuns", [-1, 0.5, 101, "2"]],
  ["parallelTasks", [0, 1.5, 101, "4"]],
  ["parallelSteps", [0, 1.5, 101, "1"]],
  ["acceptanceReview", ["no", 0, null]],
  ["checks.allow", ["npm", [""], [7]]],
  ["checks.allowUnconfined", ["no", 0, null]],
  ["notify", ["all", "", 1, null]],
];
const nested = (path: string, value: unknown): object =>
  path.split(".").reduceRight<unknown>((inner, name) => ({ [name]: inner }), value) as object;
const valueAt = (of: unknown, path: string): unknown =>
  path.split(".").reduce<unknown>((inner, name) => (inner as Record<string, unknown>)[name], of);

type Part = { readonly properties?: Readonly<Record<string, Part>>; readonly additionalProperties?: boolean };
const manifest = JSON.parse(readFileSync(manifestFile, "utf8")) as {
  readonly configSchema: Part;
  readonly uiHints: Readonly<Record<string, { readonly label: string; readonly help: string }>>;
};

describe("every setting", () => {
  it("is in the table of faulty values, with a label and a help text", { tags: ["s8.hints"] }, () => {
    expect(wrong.map(([path]) => path).toSorted()).toStrictEqual(Object.keys(manifest.uiHints).toSorted());
    for (const [path, { label, help }] of Object.entries(manifest.uiHints)) {
      expect([path, label.length > 3, help.length > 10]).toStrictEqual([path, true, true]);
      expect(valueAt(everything, path)).toBeDefined();
    }
  });

  it("stands in a closed part of the schema that the host checks", { tags: ["s8.closed"] }, () => {
    const parts = [manifest.configSchema];
    for (const part of parts)
      for (const inner of Object.values(part.properties ?? {})) if (inner.properties !== undefined) parts.push(inner);
    expect(parts.map((part) => part.additionalProperties)).toStrictEqual(Array.from({ length: 5 }, () => false));
  });

  it.each(wrong)("%s is refused with a wrong value", { tags: ["s8.closed", "s8.faulty-named"] }, (path, values) => {
    for (const value of values) {
      const raw = nested(path, value);
      const { problems } = readSettings(raw);
      expect(problems[0]).toMatch(new RegExp(`^/${path.replaceAll(".", "/")}(/\\d+)?: \\w+`));
    }
  });
});

describe("a faulty configuration", () => {
  const mayOrchestrate = (raw: unknown, agentId: string) =>
    mayUse("orchestrator", caller(agentId), readSettings(raw).settings);

  it.each([
    ...wrong.flatMap(([path, values]) =>
      /^(orchestrators|root|roles\.\w+\.agentId)$/.test(path) ? values.map((value) => nested(path, value)) : [],
    ),
    { roles: "builder" },
    { roles: { builder: "builder" } },
    { roles: { bulder: { agentId: "builder" } } },
    { roles: { qa: { agent: "qa" } } },
    "main",
    7,
    [],
  ])("lets no agent orchestrate and says so: %j", { tags: ["s8.faulty-fails-safe"] }, (raw) => {
    expect(readSettings(raw).problems.at(-1)).toBe("until this is mended no agent may orchestrate");
    for (const agentId of ["main", "builder", "qa"]) expect(mayOrchestrate(raw, agentId)).toBe(false);
  });

  it(
    "still keeps the other role's agent, and launches nothing for the faulty one",
    { tags: ["s8.faulty-fails-safe"] },
    () => {
      const { roles } = readSettings({ roles: { builder: { agentId: 7 }, qa: { agentId: "qa" } } }).settings;
      expect(roles).toMatchObject({ builder: { faulty: true }, qa: { agentId: "qa" } });
      expect(roles.qa).not.toHaveProperty("faulty");
      for (const raw of [{ roles: 7 }, { roles: { bulder: {} } }, 7])
        expect(readSettings(raw).settings.roles).toMatchObject({ builder: { faulty: true }, qa: { faulty: true } });
    },
  );

  it("of limits alone changes nothing about who may what", { tags: ["s8.faulty-fails-safe"] }, () => {
    const raw = { roles: { builder: { agentId: "builder", idleMinutes: 0 }, qa: { maxMinutes: "long" } } };
    expect(readSettings(raw).settings.roles.builder).not.toHaveProperty("faulty");
    expect(mayOrchestrate(raw, "main")).toBe(true);
    expect(mayOrchestrate(raw, "builder")).toBe(false);
  });
});

describe("limits of runs", () => {
  it(
    "are 60 and 240 minutes, two lost runs, four tasks and one step when nothing is said",
    { tags: ["s8.idle-minutes", "s8.max-minutes", "s8.max-lost-runs", "s8.parallel-tasks", "s8.parallel-steps"] },
    () => {
      const limits = { idleMs: 60 * 60_000, maxMs: 240 * 60_000 };
      expect(none).toMatchObject({ roles: { builder: limits, qa: limits } });
      expect(none).toMatchObject({ maxLostRuns: 2, parallelTasks: 4, parallelSteps: 1 });
    },
  );

  it("may be fractions of a minute, each role its own", { tags: ["s8.idle-minutes", "s8.max-minutes"] }, () => {
    const { settings, problems } = readSettings({
      roles: { builder: { idleMinutes: 0.1 }, qa: { idleMinutes: 0.25, maxMinutes: 1.5 } },
    });
    expect(problems).toStrictEqual([]);
    expect(settings.roles).toStrictEqual({
      builder: { idleMs: 6_000, maxMs: 240 * 60_000 },
      qa: { idleMs: 15_000, maxMs: 90_000 },
    });
  });

  it.each([
    { roles: { qa: { maxMinutes: 0 } } },
    { roles: { builder: { idleMinutes: "60" } } },
    { maxLostRuns: -1 },
    { parallelTasks: 0 },
    { parallelSteps: 1.5 },
  ])("are not %j, which counts as not said", (raw) => {
    const { settings, problems } = readSettings(raw);
    expect(problems).toHaveLength(1);
    expect(settings).toStrictEqual(none);
  });
});

describe("agent ids", () => {
  it("are in the host's form: trimmed, in lower case", () => {
    const { settings } = readSettings({
      orchestrators: [" Main "],
      roles: { builder: { agentId: "Builder" }, qa: { agentId: " QA" } },
    });
    expect(settings).toMatchObject({
      orchestrators: ["main"],
      roles: { builder: { agentId: "builder" }, qa: { agentId: "qa" } },
    });
    expect(mayUse("orchestrator", caller("main"), settings)).toBe(true);
  });

  it("that are blank count as none", () => {
    expect(readSettings({ roles: { qa: { agentId: " " } } }).settings.roles.qa).not.toHaveProperty("agentId");
  });

  it("keep the builder's own agent from orchestrating, however it is written", () => {
    const { settings } = readSettings({ roles: { builder: { agentId: "Builder" } } });
    expect(mayUse("orchestrator", caller("builder"), settings)).toBe(false);
  });
});

/** The plugin's configuration: closed, nothing required. `openclaw.plugin.json` carries the same schema; a test compares. */
import { Type, type Static, type TSchema } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import type { Immutable } from "./documents.ts";

const closed = { additionalProperties: false } as const;
const strings = (description: string) => Type.Array(Type.String({ minLength: 1 }), { description });
const role = (description: string) =>
  Type.Optional(
    Type.Object(
      {
        agentId: Type.Optional(
          Type.String({
            minLength: 1,
            description: "OpenClaw agent that plays this role; default: the orchestrator's own",
          }),
        ),
        idleMinutes: Type.Optional(
          Type.Number({
            exclusiveMinimum: 0,
            description: "A run with no sign of life for so long is lost (default 60)",
          }),
        ),
        maxMinutes: Type.Optional(
          Type.Number({ exclusiveMinimum: 0, description: "A run that takes longer is lost (default 240)" }),
        ),
      },
      { ...closed, description },
    ),
  );

export const Config = Type.Object(
  {
    root: Type.Optional(
      Type.String({
        minLength: 1,
        description: "Absolute folder (~ allowed) in which projects/ lives; default: the orchestrator's workspace",
      }),
    ),
    orchestrators: Type.Optional(strings("Agents that may orchestrate; default: all but the roles' own agents")),
    allowNonOwners: Type.Optional(Type.Boolean({ description: "Offer the tools to senders who are not owners" })),
    allowedRepos: Type.Optional(strings("Directories outside the root that a project's repo may point into")),
    roles: Type.Optional(
      Type.Object(
        { builder: role("Who builds"), qa: role("Who judges") },
        { ...closed, description: "Agents and limits of the two roles" },
      ),
    ),
    maxAttempts: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 100,
        description: "Attempts of a step before a person is asked (default 3)",
      }),
    ),
    maxLostRuns: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 100,
        description: "Runs of an attempt and role that may end without a report (default 2)",
      }),
    ),
    parallelTasks: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 100, description: "Tasks with a live run or check at a time (default 4)" }),
    ),
    parallelSteps: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 100, description: "Running steps of one task at a time (default 1)" }),
    ),
    acceptanceReview: Type.Optional(
      Type.Boolean({ description: "End each task with a review of its acceptance criteria (default true)" }),
    ),
    checks: Type.Optional(
      Type.Object(
        {
          allow: Type.Optional(strings("Programs that checks may start, by name")),
          allowUnconfined: Type.Optional(
            Type.Boolean({ description: "Run checks although the builder is sandboxed or restricted" }),
          ),
        },
        { ...closed, description: "Deterministic checks" },
      ),
    ),
    notify: Type.Optional(
      Type.Unsafe<"steps" | "tasks" | "off">(
        Type.String({
          enum: ["steps", "tasks", "off"],
          description: "What the chat is told: every step, tasks only, or questions only",
        }),
      ),
    ),
  },
  closed,
);
export type Config = Immutable<Static<typeof Config>>;

export type RoleSettings = { readonly agentId?: string; readonly idleMs: number; readonly maxMs: number };

/** The configuration with every default filled in and minutes as milliseconds. */
export type Settings = {
  readonly root?: string;
  readonly orchestrators?: readonly string[];
  readonly allowNonOwners: boolean;
  readonly allowedRepos: readonly string[];
  readonly roles: { readonly builder: RoleSettings; readonly qa: RoleSettings };
  readonly maxAttempts: number;
  readonly maxLostRuns: number;
  readonly parallelTasks: number;
  readonly parallelSteps: number;
  readonly acceptanceReview: boolean;
  readonly checks: { readonly allow: readonly string[]; readonly allowUnconfined: boolean };
  readonly notify: "steps" | "tasks" | "off";
};

/**
 * Settings from what the host hands over (it checks them before us). A top-level key whose value the schema refuses is
 * left out and named in `problems`, so that a typing error never stops the plugin; the others count. `orchestrators` is
 * the exception: left out it would let every agent orchestrate, so a faulty value means that none may. Agent ids are in
 * lower case, as the host has them. Pure.
 */
export function readSettings(raw: unknown): { readonly settings: Settings; readonly problems: readonly string[] } {
  const { config, problems } = readConfig(raw ?? {});
  const minutes = (value: number) => value * 60_000;
  const limits = (name: "builder" | "qa"): RoleSettings => {
    const { agentId = "", idleMinutes = 60, maxMinutes = 240 } = config.roles?.[name] ?? {};
    return {
      ...(asAgentId(agentId) === "" ? {} : { agentId: asAgentId(agentId) }),
      idleMs: minutes(idleMinutes),
      maxMs: minutes(maxMinutes),
    };
  };
  return {
    problems,
    settings: {
      ...(config.root === undefined ? {} : { root: config.root }),
      ...(config.orchestrators === undefined ? {} : { orchestrators: config.orchestrators.map(asAgentId) }),
      allowNonOwners: config.allowNonOwners ?? false,
      allowedRepos: config.allowedRepos ?? [],
      roles: { builder: limits("builder"), qa: limits("qa") },
      maxAttempts: config.maxAttempts ?? 3,
      maxLostRuns: config.maxLostRuns ?? 2,
      parallelTasks: config.parallelTasks ?? 4,
      parallelSteps: config.parallelSteps ?? 1,
      acceptanceReview: config.acceptanceReview ?? true,
      checks: { allow: config.checks?.allow ?? [], allowUnconfined: config.checks?.allowUnconfined ?? false },
      notify: config.notify ?? "steps",
    },
  };
}

/** The host's form of an agent id, as it stands in session keys and in every caller. */
const asAgentId = (given: string) => given.trim().toLowerCase();

function readConfig(raw: unknown): { readonly config: Config; readonly problems: readonly string[] } {
  const isObject = typeof raw === "object" && raw !== null && !Array.isArray(raw);
  if (!isObject)
    return {
      config: { orchestrators: [] },
      problems: ["/: the configuration is no object, so no agent may orchestrate"],
    };
  const properties: Readonly<Record<string, TSchema>> = Config.properties;
  const kept: (readonly [string, unknown])[] = [];
  const problems: string[] = [];
  for (const [key, value] of Object.entries(raw)) {
    if (value === undefined) continue;
    const wrong = problemsOf(Object.hasOwn(properties, key) ? properties[key] : undefined, key, value);
    problems.push(...wrong);
    if (wrong.length === 0) kept.push([key, value]);
    else if (key === "orchestrators") kept.push([key, []]);
  }
  // Every value was compared with its part of the schema, and no part is required.
  return { config: Object.fromEntries(kept), problems };
}

function problemsOf(schema: TSchema | undefined, key: string, value: unknown): readonly string[] {
  if (schema === undefined) return [`/${key}: there is no such setting`];
  const choices: readonly unknown[] | undefined = schema["enum"];
  if (choices?.includes(value) === false) return [`/${key}: is none of ${choices.join(", ")}`];
  return [...Value.Errors(schema, value)].map((error) => `/${key}${error.path}: ${error.message}`);
}

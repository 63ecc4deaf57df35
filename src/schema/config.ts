/** The plugin's configuration: closed, nothing required. `openclaw.plugin.json` carries the same schema; a test compares. */
import { Type, type Static, type TSchema } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import type { Immutable } from "./documents.ts";

const closed = { additionalProperties: false } as const;
/** Absolute, or below the home directory. */
const place = { minLength: 1, pattern: "^(/|~$|~/|[A-Za-z]:[\\\\/])" } as const;
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
        ...place,
        description: "Absolute folder (~ allowed) in which projects/ lives; default: the orchestrator's workspace",
      }),
    ),
    orchestrators: Type.Optional(strings("Agents that may orchestrate; default: all but the roles' own agents")),
    allowNonOwners: Type.Optional(
      Type.Boolean({ description: "Offer the tools to senders who are not owners (default false)" }),
    ),
    allowedRepos: Type.Optional(
      Type.Array(Type.String(place), {
        description: "Directories outside the root that a project's repo may point into, absolute (~ allowed)",
      }),
    ),
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
          allow: Type.Optional(strings("Programs that checks may start, by name; default: none")),
          allowUnconfined: Type.Optional(
            Type.Boolean({ description: "Run checks although the builder is sandboxed or restricted (default false)" }),
          ),
        },
        { ...closed, description: "Deterministic checks" },
      ),
    ),
    notify: Type.Optional(
      Type.Unsafe<"steps" | "tasks" | "off">(
        Type.String({
          enum: ["steps", "tasks", "off"],
          description:
            "What the chat is told: every step, the end of tasks, or neither; questions always (default steps)",
        }),
      ),
    ),
  },
  closed,
);
export type Config = Immutable<Static<typeof Config>>;

/** `faulty`: it cannot be told which agent plays the role, so nothing is launched for it. */
export type RoleSettings = {
  readonly agentId?: string;
  readonly faulty?: true;
  readonly idleMs: number;
  readonly maxMs: number;
};

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
 * Settings from what the host hands over (it checks them before us). A value that the schema refuses is left out and named
 * in `problems`, so that a typing error never stops the plugin; the others count. What is left out never opens anything:
 * while it cannot be told where projects are kept, who may orchestrate or which agents are the roles', no agent may, and
 * nothing is launched for a role whose agent is not known. Agent ids are in lower case, as the host has them. Pure.
 */
export function readSettings(raw: unknown): { readonly settings: Settings; readonly problems: readonly string[] } {
  const { value, faults } = salvage(Config, raw ?? {}, "");
  // Every value was compared with its part of the schema, and no part is required.
  const config = (value ?? {}) as Config;
  const isFaulty = (pattern: RegExp) => faults.some((one) => pattern.test(one.path));
  const minutes = (given: number) => given * 60_000;
  const limits = (name: "builder" | "qa"): RoleSettings => {
    const { agentId = "", idleMinutes = 60, maxMinutes = 240 } = config.roles?.[name] ?? {};
    const faulty = isFaulty(/^$|^\/roles$/) || isFaulty(unknownRole) || isFaulty(faultyAgent[name]);
    return {
      ...(asAgentId(agentId) === "" ? {} : { agentId: asAgentId(agentId) }),
      ...(faulty ? { faulty } : {}),
      idleMs: minutes(idleMinutes),
      maxMs: minutes(maxMinutes),
    };
  };
  const roles = { builder: limits("builder"), qa: limits("qa") };
  const closed = roles.builder.faulty ?? roles.qa.faulty ?? isFaulty(/^\/(orchestrators|root)/);
  const orchestrators = closed ? [] : config.orchestrators?.map(asAgentId);
  return {
    problems: [
      ...faults.map(({ path, words }) => `${path === "" ? "/" : path}: ${words}`),
      ...(closed ? ["until this is mended no agent may orchestrate"] : []),
    ],
    settings: {
      ...(config.root === undefined ? {} : { root: config.root }),
      ...(orchestrators === undefined ? {} : { orchestrators }),
      allowNonOwners: config.allowNonOwners ?? false,
      allowedRepos: config.allowedRepos ?? [],
      roles,
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

const unknownRole = /^\/roles\/(?!builder(\/|$)|qa(\/|$))/;
/** Limits aside: a faulty one has its default, and the agent is known all the same. */
const faultyAgent = {
  builder: /^\/roles\/builder(?!\/(idle|max)Minutes)/,
  qa: /^\/roles\/qa(?!\/(idle|max)Minutes)/,
} as const;

/** The host's form of an agent id, as it stands in session keys and in every caller. */
export const asAgentId = (given: string) => given.trim().toLowerCase();

type Fault = { readonly path: string; readonly words: string };

/** What of a value the schema accepts, down to the single setting, and what it does not. */
function salvage(
  schema: TSchema,
  value: unknown,
  path: string,
): { readonly value?: unknown; readonly faults: readonly Fault[] } {
  const properties: Readonly<Record<string, TSchema>> | undefined = schema["properties"];
  if (properties === undefined) {
    const faults = faultsOf(schema, value, path);
    return faults.length === 0 ? { value, faults } : { faults };
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return { faults: [{ path, words: "is no object" }] };
  const faults: Fault[] = [];
  const kept: (readonly [string, unknown])[] = [];
  for (const [key, inner] of Object.entries(value)) {
    if (inner === undefined) continue;
    const part = Object.hasOwn(properties, key) ? properties[key] : undefined;
    if (part === undefined) {
      const known = Object.keys(properties).join(", ");
      faults.push({ path: `${path}/${key}`, words: `there is no such setting; known here: ${known}` });
      continue;
    }
    const found = salvage(part, inner, `${path}/${key}`);
    faults.push(...found.faults);
    if ("value" in found) kept.push([key, found.value]);
  }
  return { value: Object.fromEntries(kept), faults };
}

function faultsOf(schema: TSchema, value: unknown, path: string): readonly Fault[] {
  const choices: readonly unknown[] | undefined = schema["enum"];
  if (choices?.includes(value) === false) return [{ path, words: `is none of ${choices.join(", ")}` }];
  return [...Value.Errors(schema, value)].map((error) => ({
    path: `${path}${error.path}`,
    words:
      error.schema["pattern"] === place.pattern && typeof error.value === "string" && error.value !== ""
        ? "is not absolute and does not begin with ~/"
        : error.message.toLowerCase(),
  }));
}

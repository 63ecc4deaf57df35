// The demonstration with a model of the person's own: what is asked for on the command line, as the gateway's configuration
// and environment. The key stays in the environment; the configuration only names the variable.

import type { JsonObject } from "../../harness/json.ts";

export interface OwnModel {
  /** `provider/model`, as OpenClaw calls it. */
  readonly name: string;
  /** Laid over the gateway's configuration. */
  readonly config: JsonObject;
  /** What the gateway's process is given besides. */
  readonly env: Readonly<Record<string, string>>;
}

export interface Wish {
  readonly model: string;
  /** Of an OpenAI-compatible endpoint; without it the provider is one that comes with OpenClaw. */
  readonly baseUrl: string | undefined;
}

/** Reads the wish. Throws, in words for a person, when something is missing or malformed. Pure. */
export function readOwnModel(
  { model, baseUrl }: Wish,
  environment: Readonly<Record<string, string | undefined>>,
): OwnModel {
  const [, provider, id] = /^([a-z0-9][a-z0-9-]*)\/([^\s/]\S*)$/.exec(model) ?? [];
  if (provider === undefined || id === undefined)
    throw new Error(`--model wants <provider>/<model>, for instance openai/gpt-5.2; ${JSON.stringify(model)} is none`);
  const variables = variablesOf(provider);
  const variable = variables.find((name) => (environment[name] ?? "").trim() !== "");
  if (variable === undefined)
    throw new Error(`no key for ${provider}: set ${variables.join(" or ")} in the environment and start again`);
  const env = { [variable]: environment[variable] ?? "" };
  const agents = { defaults: { model: { primary: model } } };
  if (baseUrl === undefined)
    return { name: model, env, config: { agents, plugins: { allow: ["project-orchestrator", provider] } } };
  const endpoint = {
    baseUrl: readAddress(baseUrl),
    apiKey: `\${${variable}}`,
    api: "openai-completions",
    models: [{ id, name: id, contextWindow: 128_000, maxTokens: 8_192 }],
  };
  return { name: model, env, config: { agents, models: { providers: { [provider]: endpoint } } } };
}

/** Where a provider's key is looked for, as OpenClaw does it. */
function variablesOf(provider: string): readonly string[] {
  if (provider === "google") return ["GEMINI_API_KEY", "GOOGLE_API_KEY"];
  return [`${provider.toUpperCase().replaceAll("-", "_")}_API_KEY`];
}

function readAddress(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain = url !== undefined && url.username === "" && url.password === "" && url.search === "";
  if (!isPlain || !["http:", "https:"].includes(url.protocol))
    throw new Error("--base-url wants an http or https address without a name, a password or a query in it");
  return text;
}

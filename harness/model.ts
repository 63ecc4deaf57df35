// A model that says what the caller scripts: an OpenAI-compatible chat-completions server on 127.0.0.1. The script sees a
// turn (who asks, with which tools, what happened since the last message) and answers it; every turn is kept in a journal.
// The wire format comes from @copilotkit/aimock. The server is ours, because a turn that the host aborts must be visible.

import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { text as readText } from "node:stream/consumers";

import {
  buildContentWithToolCallsChunks,
  buildContentWithToolCallsCompletion,
  writeErrorResponse,
  writeSSEStream,
  type ChatCompletionRequest,
  type ChatMessage,
  type SSEChunk,
} from "@copilotkit/aimock";

import { fieldsOf, type Fields } from "./json.ts";
import { defaultLimitMs, messageOf, within } from "./wait.ts";

export type Role = "orchestrator" | "builder" | "qa" | "other";

/** A tool call of the model with the result it got; `text` is undefined while there is none. */
export interface ToolResult {
  readonly name: string;
  readonly args: Fields;
  readonly text: string | undefined;
}

/** One request for an answer, as the model sees it. */
export interface Turn {
  readonly requestId: string;
  /** Counts all turns of this model, from 0. */
  readonly index: number;
  readonly role: Role;
  /** The session as the host named it in its `Runtime:` line; undefined when it said none. */
  readonly sessionKey: string | undefined;
  /** The names of the tools on offer. */
  readonly tools: readonly string[];
  /** The JSON schema of each tool's parameters. */
  readonly toolSchemas: Readonly<Record<string, Fields>>;
  readonly toolDescriptions: Readonly<Record<string, string>>;
  readonly system: string;
  /** The last message of the person or of whoever started the run, without the host's additions. */
  readonly user: string;
  /** The first such message: in a subagent, its brief. */
  readonly brief: string;
  /** The tool calls since `user`, in order. */
  readonly results: readonly ToolResult[];
  /** Everything after the system prompt as it came over the wire. */
  readonly messages: readonly ChatMessage[];
  /** Everything of the request that is text, for "did it see that?". */
  readonly wholeText: string;
  /** The request's `authorization` header. */
  readonly authorization: string | undefined;
}

export interface Usage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cachedTokens?: number;
}

export interface ScriptedCall {
  readonly name: string;
  readonly args: object;
  /** What goes over the wire instead of `args`, JSON or not. */
  readonly raw?: string;
  /** Default: a new one for each call. */
  readonly id?: string;
}

export type Answer =
  | { readonly text: string; readonly calls?: readonly ScriptedCall[]; readonly usage?: Usage }
  | { readonly calls: readonly ScriptedCall[]; readonly text?: string; readonly usage?: Usage }
  /** The host repeats a request that failed with 5xx for more than a minute; 400 fails the run at once. */
  | { readonly error: { readonly status: number; readonly message: string } };

export type Script = (turn: Turn) => Answer | Promise<Answer>;

/** What became of a turn. `aborted`: the host hung up before the answer was out. `failed`: the script threw. */
export type Outcome = "open" | "answered" | "aborted" | "failed";

export interface JournalEntry {
  readonly turn: Turn;
  readonly outcome: Outcome;
  readonly answer: Answer | undefined;
  readonly failure: unknown;
}

/** All turns so far, in the order in which they came, and a signal for those to come. */
export interface Turns {
  all(): readonly JournalEntry[];
  /** The turns of one role. */
  of(role: Role): readonly JournalEntry[];
  /** The first turn that satisfies the predicate, one that already was or one to come. It need not be answered yet. */
  waitFor(what: string, isIt: (turn: Turn) => boolean, options?: WaitOptions): Promise<Turn>;
  /** Like `waitFor`, but for the turn's end: answered, aborted or failed. */
  waitForOutcome(what: string, isIt: (entry: JournalEntry) => boolean, options?: WaitOptions): Promise<JournalEntry>;
}

export interface WaitOptions {
  readonly limitMs?: number;
  /** Only turns from this index on. */
  readonly from?: number;
}

export interface ScriptedModel {
  /** The `baseUrl` for the host's configuration, ending in `/v1`. */
  readonly url: string;
  readonly turns: Turns;
  /** Replaces the script; turns that are open keep the one they began with. */
  script(script: Script): void;
  /** What the scripts threw, in order. A throwing script answers 400, so that the run fails at once. */
  failures(): readonly unknown[];
  /** Hangs up on whoever still waits. */
  stop(): Promise<void>;
}

type OpenEntry = { -readonly [Key in keyof JournalEntry]: JournalEntry[Key] };

const defaultUsage: Usage = { inputTokens: 100, outputTokens: 20 };

/** Starts the server on a free port of 127.0.0.1 (or the given one, to come back where a gateway expects it). */
export async function startModel(script: Script, options: { readonly port?: number } = {}): Promise<ScriptedModel> {
  let current = script;
  const journal: OpenEntry[] = [];
  const watchers = new Set<() => void>();
  const changed = (): void => {
    for (const watcher of [...watchers]) watcher();
  };

  const answerRequest = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (request.method !== "POST" || request.url?.endsWith("/chat/completions") !== true) {
      writeErrorResponse(
        response,
        404,
        errorBody(`no such endpoint: ${String(request.method)} ${String(request.url)}`),
      );
      return;
    }
    const body = parseRequest(await readText(request));
    const entry: OpenEntry = {
      turn: readTurn(body, journal.length, request.headers.authorization),
      outcome: "open",
      answer: undefined,
      failure: undefined,
    };
    journal.push(entry);
    response.on("close", () => {
      if (entry.outcome === "open" && !response.writableFinished) settle(entry, "aborted");
    });
    changed();
    const answer = await decide(entry);
    if (entry.outcome === "aborted") return;
    await writeAnswer(response, body, answer);
    settle(entry, entry.failure === undefined ? "answered" : "failed");
  };
  const decide = async (entry: OpenEntry): Promise<Answer> => {
    try {
      entry.answer = await current(entry.turn);
      return entry.answer;
    } catch (error) {
      entry.failure = error;
      return { error: { status: 400, message: `the script failed: ${messageOf(error)}` } };
    }
  };
  const settle = (entry: OpenEntry, outcome: Outcome): void => {
    if (entry.outcome === "open") entry.outcome = outcome;
    changed();
  };

  const waitForEntry = (
    what: string,
    isIt: (entry: JournalEntry) => boolean,
    wait: WaitOptions,
  ): Promise<JournalEntry> => {
    const found = Promise.withResolvers<JournalEntry>();
    const look = (): void => {
      const entry = journal.slice(wait.from ?? 0).find(isIt);
      if (entry !== undefined) found.resolve(entry);
    };
    watchers.add(look);
    look();
    return within(what, found.promise, wait.limitMs ?? defaultLimitMs).finally(() => watchers.delete(look));
  };

  const server = createServer((request, response) => {
    answerRequest(request, response).catch((error: unknown) => {
      if (!response.headersSent) writeErrorResponse(response, 500, errorBody(messageOf(error)));
      else response.destroy();
    });
  });
  const port = await listen(server, options.port ?? 0);
  return {
    url: `http://127.0.0.1:${String(port)}/v1`,
    script: (next) => {
      current = next;
    },
    failures: () => journal.flatMap((entry) => (entry.failure === undefined ? [] : [entry.failure])),
    turns: {
      all: () => [...journal],
      of: (role) => journal.filter((entry) => entry.turn.role === role),
      waitFor: async (what, isIt, wait = {}) => (await waitForEntry(what, (entry) => isIt(entry.turn), wait)).turn,
      waitForOutcome: (what, isIt, wait = {}) =>
        waitForEntry(what, (entry) => entry.outcome !== "open" && isIt(entry), wait),
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}

/** Holds turns open until the caller lets them go: `await gate.hold(turn)` in a script, `await gate.reached` in the test. */
export interface Gate {
  /** Resolves with the first turn that came to the gate. */
  readonly reached: Promise<Turn>;
  hold(turn: Turn): Promise<void>;
  /** Lets all held turns go on, and all later ones pass. */
  open(): void;
}

export function gate(): Gate {
  const reached = Promise.withResolvers<Turn>();
  const opened = Promise.withResolvers<undefined>();
  return {
    reached: reached.promise,
    hold: async (turn) => {
      reached.resolve(turn);
      await opened.promise;
    },
    open: () => {
      opened.resolve(undefined);
    },
  };
}

// --- reading a request

function readTurn(body: ChatCompletionRequest, index: number, authorization: string | undefined): Turn {
  const offered = (body.tools ?? []).map((tool) => tool.function);
  const tools = offered.map((tool) => tool.name);
  const messages = body.messages.filter((message) => message.role !== "system");
  const spoken = messages.filter(isSpoken);
  const last = spoken.at(-1);
  return {
    requestId: randomUUID(),
    index,
    role: roleOf(tools),
    sessionKey: /^Runtime: agent=.*? \| session=(\S+)/m.exec(messages.map(contentOf).join("\n"))?.[1],
    tools,
    toolSchemas: Object.fromEntries(offered.map((tool) => [tool.name, fieldsOf(tool.parameters)])),
    toolDescriptions: Object.fromEntries(offered.map((tool) => [tool.name, tool.description ?? ""])),
    system: body.messages
      .filter((message) => message.role === "system")
      .map(contentOf)
      .join("\n"),
    user: last === undefined ? "" : spokenText(last),
    brief: spoken[0] === undefined ? "" : spokenText(spoken[0]),
    results: readResults(messages.slice(last === undefined ? 0 : messages.indexOf(last) + 1)),
    messages,
    wholeText: body.messages.map(contentOf).join("\n"),
    authorization,
  };
}

function roleOf(tools: readonly string[]): Role {
  if (tools.includes("record_builder_result")) return "builder";
  if (tools.includes("record_qa_result")) return "qa";
  return tools.includes("create_project") ? "orchestrator" : "other";
}

/** The host puts context of its own into the conversation as a message of the user; nobody said that. */
function isSpoken(message: ChatMessage): boolean {
  return message.role === "user" && !contentOf(message).startsWith("<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>");
}

/** The message without the host's time in front and its `Runtime:` line behind. */
function spokenText(message: ChatMessage): string {
  return contentOf(message)
    .replace(/^\[[A-Z][a-z]{2} \d{4}-\d{2}-\d{2} \d{2}:\d{2} [^\]]+\] /, "")
    .replace(/\n+Runtime: agent=[^\n]*$/, "")
    .trim();
}

function readResults(messages: readonly ChatMessage[]): readonly ToolResult[] {
  const answers = new Map(
    messages.flatMap((message) =>
      message.role === "tool" && message.tool_call_id !== undefined
        ? [[message.tool_call_id, contentOf(message)] as const]
        : [],
    ),
  );
  return messages
    .flatMap((message) => (message.role === "assistant" ? (message.tool_calls ?? []) : []))
    .map((call) => ({
      name: call.function.name,
      args: parseFields(call.function.arguments),
      text: answers.get(call.id),
    }));
}

function contentOf(message: ChatMessage): string {
  if (message.content === null || message.content === undefined) return "";
  if (typeof message.content === "string") return message.content;
  return message.content.map((part) => part.text ?? "").join("");
}

function parseFields(text: string): Fields {
  try {
    return fieldsOf(JSON.parse(text));
  } catch {
    return {}; // The model's own words are passed on by the host even when they are no JSON.
  }
}

function parseRequest(text: string): ChatCompletionRequest {
  const body: unknown = JSON.parse(text);
  if (!Array.isArray(fieldsOf(body)["messages"])) throw new Error("a chat completion request without messages");
  return body as ChatCompletionRequest; // The host's provider client writes this shape; the messages are all we read.
}

// --- writing an answer

async function writeAnswer(response: ServerResponse, body: ChatCompletionRequest, answer: Answer): Promise<void> {
  if ("error" in answer) {
    writeErrorResponse(response, answer.error.status, errorBody(answer.error.message));
    return;
  }
  const text = answer.text ?? "";
  const calls = (answer.calls ?? []).map((call) => ({
    name: call.name,
    arguments: call.raw ?? JSON.stringify(call.args),
    id: call.id ?? `call_${randomUUID()}`,
  }));
  const usage = wireUsage(answer.usage ?? defaultUsage);
  const overrides = calls.length === 0 ? { finishReason: "stop" } : {};
  if (body.stream !== true) {
    const completion = { ...buildContentWithToolCallsCompletion(text, calls, body.model, undefined, overrides), usage };
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(completion));
    return;
  }
  const chunks = buildContentWithToolCallsChunks(text, calls, body.model, 4_000, undefined, overrides);
  await writeSSEStream(response, chunks, { usageChunk: usageChunk(chunks, usage) });
}

interface WireUsage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
}

function wireUsage(usage: Usage): WireUsage {
  return {
    prompt_tokens: usage.inputTokens,
    completion_tokens: usage.outputTokens,
    total_tokens: usage.inputTokens + usage.outputTokens,
    prompt_tokens_details: { cached_tokens: usage.cachedTokens ?? 0 },
  };
}

/** The last chunk of a stream carries the usage and no choice. */
function usageChunk(chunks: readonly SSEChunk[], usage: WireUsage): SSEChunk {
  const first = chunks[0];
  if (first === undefined) throw new Error("an answer without chunks");
  return { ...first, choices: [], usage: { ...usage } };
}

function errorBody(message: string): string {
  return JSON.stringify({ error: { message, type: "invalid_request_error" } });
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      const address = server.address();
      if (address === null || typeof address === "string") reject(new Error("the model server has no port"));
      else resolve(address.port);
    });
  });
}

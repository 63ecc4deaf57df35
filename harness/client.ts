// A person or a program that talks to a gateway: the WebSocket protocol of the Control UI (chat, methods, events) and
// the HTTP door for one tool call. It is "device-less": the gateway trusts a local backend client that has its token.

import { randomUUID } from "node:crypto";

import { fieldsOf, isFields, listOf, textOf, type Fields, type JsonObject } from "./json.ts";
import { defaultLimitMs, until, within } from "./wait.ts";

/** What a full operator may do. A sender who connects with these is an owner to the host. */
export const ownerScopes: readonly string[] = [
  "operator.admin",
  "operator.read",
  "operator.write",
  "operator.approvals",
  "operator.questions",
];
/** Enough to chat, but not an owner: the host's `senderIsOwner` is false for what is said over such a connection. */
export const guestScopes: readonly string[] = ["operator.read", "operator.write"];

export interface ConnectOptions {
  readonly port: number;
  readonly token: string;
  readonly scopes?: readonly string[];
  /** Capabilities such as `approvals`. */
  readonly caps?: readonly string[];
}

export interface GatewayEvent {
  readonly event: string;
  readonly payload: Fields;
}

/**
 * How a turn of a chat ended and what the assistant said in it. `silent`: it is over without a word, because the assistant had
 * nothing to say or because the host gave the message to a turn of that chat that was running already.
 */
export interface ChatReply {
  readonly runId: string;
  readonly state: "final" | "silent" | "aborted" | "error";
  readonly text: string;
  readonly error: string | undefined;
}

export interface ChatOptions {
  readonly sessionKey?: string;
  readonly limitMs?: number;
  /** Further parameters of `chat.send`, such as `queueMode`. */
  readonly extra?: JsonObject;
}

export interface HistoryMessage {
  readonly role: string;
  readonly text: string;
  readonly raw: Fields;
}

export interface InvokeOptions {
  readonly sessionKey?: string;
  /** Two calls with the same key are the same call to the host. Default: none. */
  readonly idempotencyKey?: string;
}

export interface ToolAnswer {
  readonly status: number;
  /** What the model would have read: the texts of the result, or the error's message. */
  readonly text: string;
  readonly details: Fields;
  readonly body: Fields;
}

export interface Client {
  call(method: string, params?: JsonObject, options?: { readonly limitMs?: number }): Promise<Fields>;
  /** Says something in a chat and returns when that turn is over. Turns that others begin are not waited for. */
  chat(message: string, options?: ChatOptions): Promise<ChatReply>;
  /** Says something and returns at once with the id of the turn, for `reply`. */
  say(message: string, options?: ChatOptions): Promise<string>;
  /** The end of a turn that was begun, also when it is over already. */
  reply(runId: string, limitMs?: number): Promise<ChatReply>;
  /** What the person sees when the chat is opened. */
  history(sessionKey?: string, limit?: number): Promise<readonly HistoryMessage[]>;
  /** Returns when no turn of the chat is running, for instance one that the host continued after a restart. */
  untilIdle(sessionKey?: string, limitMs?: number): Promise<void>;
  /** Every event so far. */
  events(): readonly GatewayEvent[];
  /** Calls the listener for every event to come; returns what ends that. */
  on(listener: (event: GatewayEvent) => void): () => void;
  /** The first event that satisfies the predicate, past or to come. */
  waitForEvent(what: string, isIt: (event: GatewayEvent) => boolean, limitMs?: number): Promise<GatewayEvent>;
  /** Calls one tool without any model, as an operator who holds the token may (`POST /tools/invoke`). */
  invokeTool(tool: string, args: JsonObject, options?: InvokeOptions): Promise<ToolAnswer>;
  close(): void;
}

/** An answer of the gateway that says no. */
export class GatewayRefusal extends Error {
  readonly code: string;
  constructor(method: string, error: Fields) {
    super(`${method}: ${textOf(error["message"]) ?? "refused"}`);
    this.name = "GatewayRefusal";
    this.code = textOf(error["code"]) ?? "UNKNOWN";
  }
}

export const mainSession = "agent:main:main";

export async function connect(options: ConnectOptions): Promise<Client> {
  const socket = new WebSocket(`ws://127.0.0.1:${String(options.port)}`);
  const waiting = new Map<string, { readonly method: string; readonly answer: PromiseWithResolvers<Fields> }>();
  const listeners = new Set<(event: GatewayEvent) => void>();
  const seen: GatewayEvent[] = [];
  const greeted = Promise.withResolvers<undefined>();
  greeted.promise.catch(() => {}); // It is awaited below; a socket that fails earlier must not be an unhandled rejection.

  const call: Client["call"] = async (method, params = {}, { limitMs = defaultLimitMs } = {}) => {
    const id = randomUUID();
    const answer = Promise.withResolvers<Fields>();
    waiting.set(id, { method, answer });
    socket.send(JSON.stringify({ type: "req", id, method, params }));
    return within(`the answer to ${method}`, answer.promise, limitMs).finally(() => waiting.delete(id));
  };
  const greet = async (): Promise<void> => {
    await call("connect", {
      minProtocol: 4,
      maxProtocol: 4,
      client: { id: "gateway-client", version: "0", platform: "node", mode: "backend" },
      role: "operator",
      scopes: options.scopes ?? ownerScopes,
      ...(options.caps === undefined ? {} : { caps: options.caps }),
      auth: { token: options.token },
    });
  };
  const receive = (frame: Fields): void => {
    if (frame["type"] === "event" && frame["event"] === "connect.challenge") {
      greet().then(() => {
        greeted.resolve(undefined);
      }, greeted.reject);
    } else if (frame["type"] === "event") {
      const event = { event: textOf(frame["event"]) ?? "", payload: fieldsOf(frame["payload"]) };
      seen.push(event);
      for (const listener of [...listeners]) listener(event);
    } else if (frame["type"] === "res") {
      const request = waiting.get(textOf(frame["id"]) ?? "");
      if (request === undefined) return;
      if (frame["ok"] === true) request.answer.resolve(fieldsOf(frame["payload"]));
      else request.answer.reject(new GatewayRefusal(request.method, fieldsOf(frame["error"])));
    }
  };
  socket.addEventListener("message", (message) => {
    receive(fieldsOf(JSON.parse(String(message.data))));
  });
  const fail = (reason: string): void => {
    greeted.reject(new Error(reason));
    for (const request of waiting.values()) request.answer.reject(new Error(`${request.method}: ${reason}`));
  };
  socket.addEventListener("error", () => {
    fail(`no connection to the gateway on port ${String(options.port)}`);
  });
  socket.addEventListener("close", (closed) => {
    fail(`the gateway closed the connection (${String(closed.code)} ${closed.reason})`);
  });
  await within("the gateway's greeting", greeted.promise, 30_000);

  const on: Client["on"] = (listener) => {
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
    };
  };
  const waitForEvent: Client["waitForEvent"] = (what, isIt, limitMs = defaultLimitMs) => {
    const found = Promise.withResolvers<GatewayEvent>();
    const before = seen.find(isIt);
    if (before !== undefined) return Promise.resolve(before);
    const off = on((event) => {
      if (isIt(event)) found.resolve(event);
    });
    return within(what, found.promise, limitMs).finally(off);
  };
  const say: Client["say"] = async (message, { sessionKey = mainSession, extra = {} } = {}) => {
    const started = await call("chat.send", { sessionKey, message, idempotencyKey: randomUUID(), ...extra });
    const runId = textOf(started["runId"]);
    if (runId === undefined) throw new Error(`chat.send named no run: ${JSON.stringify(started)}`);
    return runId;
  };
  const reply: Client["reply"] = async (runId, limitMs = 120_000) => {
    const end = await waitForEvent(`the end of turn ${runId}`, (event) => isEndOf(event, runId), limitMs);
    return readReply(runId, end.payload);
  };
  return {
    call,
    on,
    waitForEvent,
    say,
    reply,
    events: () => [...seen],
    chat: async (message, chatOptions = {}) => reply(await say(message, chatOptions), chatOptions.limitMs),
    history: async (sessionKey = mainSession, limit = 200) => {
      const answer = await call("chat.history", { sessionKey, limit });
      return listOf(answer["messages"]).filter(isFields).map(readMessage);
    },
    untilIdle: async (sessionKey = mainSession, limitMs = defaultLimitMs) => {
      const isIdle = async (): Promise<boolean> => {
        const answer = await call("chat.history", { sessionKey, limit: 1 });
        return fieldsOf(answer["sessionInfo"])["hasActiveRun"] !== true;
      };
      await until(`the chat ${sessionKey} to be idle`, isIdle, { limitMs });
    },
    invokeTool: (tool, args, toolOptions = {}) => invokeTool(options, tool, args, toolOptions),
    close: () => {
      socket.close();
    },
  };
}

function isEndOf(event: GatewayEvent, runId: string): boolean {
  const state = event.payload["state"];
  return (
    event.event === "chat" &&
    event.payload["runId"] === runId &&
    (state === "final" || state === "aborted" || state === "error")
  );
}

function readReply(runId: string, payload: Fields): ChatReply {
  const state = payload["state"];
  return {
    runId,
    state: state === "aborted" || state === "error" ? state : payload["message"] === undefined ? "silent" : "final",
    text: readMessage(fieldsOf(payload["message"])).text,
    error: textOf(payload["errorMessage"]),
  };
}

function readMessage(message: Fields): HistoryMessage {
  return { role: textOf(message["role"]) ?? "", text: contentText(message["content"]), raw: message };
}

/** The texts of a content field, which is a string or a list of parts. */
function contentText(content: unknown): string {
  return (
    textOf(content) ??
    listOf(content)
      .map((part) => textOf(fieldsOf(part)["text"]) ?? "")
      .filter((text) => text !== "")
      .join("\n")
  );
}

async function invokeTool(
  options: ConnectOptions,
  tool: string,
  args: JsonObject,
  { sessionKey = mainSession, idempotencyKey }: InvokeOptions,
): Promise<ToolAnswer> {
  const response = await fetch(`http://127.0.0.1:${String(options.port)}/tools/invoke`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${options.token}` },
    body: JSON.stringify({ tool, args, sessionKey, idempotencyKey }),
    signal: AbortSignal.timeout(defaultLimitMs),
  });
  const body = fieldsOf(await response.json());
  const result = fieldsOf(body["result"]);
  return {
    status: response.status,
    text: contentText(result["content"]) || (textOf(fieldsOf(body["error"])["message"]) ?? ""),
    details: fieldsOf(result["details"]),
    body,
  };
}

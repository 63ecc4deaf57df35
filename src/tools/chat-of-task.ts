/**
 * Which chat a task belongs to. Session keys can hold phone numbers, so they are kept in a sidecar that is never
 * committed: who owns the flow record (the creator's session), and which chat is told (the one that last started it).
 */
import type { Store, Stream } from "../store/store.ts";
import type { Caller } from "./desk.ts";

export type Chat = { readonly sessionKey: string; readonly agentId: string };
export type ChatsOfTask = { readonly flowOwner: Chat; readonly told: Chat };

/**
 * The chats of a task, or undefined when they are not known (a project that came from elsewhere). Throws
 * `journal-unreadable` when that cannot be told now: try again later, it is not the same as none.
 */
export async function readChats(store: Store, stream: Stream): Promise<ChatsOfTask | undefined> {
  const value = await store.readSidecar(stream, "chats");
  if (typeof value !== "object" || value === null || !("flowOwner" in value) || !("told" in value)) return undefined;
  return isChat(value.flowOwner) && isChat(value.told) ? { flowOwner: value.flowOwner, told: value.told } : undefined;
}

/** Remembers who creates the task; that chat is told until another one starts it. */
export async function rememberOwner(store: Store, stream: Stream, caller: Caller): Promise<void> {
  const chat = { sessionKey: caller.sessionKey, agentId: caller.agentId };
  await store.writeSidecar(stream, "chats", { flowOwner: chat, told: chat });
}

/**
 * Remembers who starts the task or lets it go on: that chat is told from now on. A turn that nobody's message began
 * changes nothing, because a scheduled one may be of a session that nobody reads. Answers whether the caller's chat is told.
 */
export async function rememberStarter(store: Store, stream: Stream, caller: Caller): Promise<boolean> {
  if (!caller.hasSender && caller.senderIsOwner !== true) {
    // Where it cannot be told now, nothing of the change is missing.
    const chats = await readChats(store, stream).catch(() => undefined);
    return chats?.told.sessionKey === caller.sessionKey;
  }
  const chat = { sessionKey: caller.sessionKey, agentId: caller.agentId };
  const known = await readChats(store, stream);
  await store.writeSidecar(stream, "chats", { flowOwner: known?.flowOwner ?? chat, told: chat });
  return true;
}

function isChat(value: unknown): value is Chat {
  return (
    typeof value === "object" &&
    value !== null &&
    "sessionKey" in value &&
    typeof value.sessionKey === "string" &&
    "agentId" in value &&
    typeof value.agentId === "string"
  );
}

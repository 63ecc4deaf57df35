/** Whose chat a task is: who owns its flow record, and who is told. */
import { describe, expect, it } from "vitest";
import { readChats, rememberOwner, rememberStarter } from "../../src/tools/chat-of-task.ts";
import { createMemoryStore } from "../../src/store/memory-store.ts";
import type { Store } from "../../src/store/store.ts";
import { aProject, aTask, createBench } from "../support/bench.ts";
import { owner, wakeUp } from "../support/callers.ts";

const stream = { projectId: "shop", taskId: "login" };
const chat = (sessionKey: string, agentId = "main") => ({ sessionKey, agentId });
const setup = () => createMemoryStore({ renderPages: () => ({}) });

describe("the chat of a task", () => {
  it("is the creator's until another one starts the task, who never owns its flow record", async () => {
    const store = setup();
    await rememberOwner(store, stream, owner({ sessionKey: "first" }));
    expect(await readChats(store, stream)).toStrictEqual({ flowOwner: chat("first"), told: chat("first") });
    await rememberStarter(store, stream, owner({ sessionKey: "second", agentId: "other" }));
    expect(await readChats(store, stream)).toStrictEqual({ flowOwner: chat("first"), told: chat("second", "other") });
  });

  it("is the starter's in both when the creator's is not known", async () => {
    const store = setup();
    expect(await readChats(store, stream)).toBeUndefined();
    await rememberStarter(store, stream, owner({ sessionKey: "second" }));
    expect(await readChats(store, stream)).toStrictEqual({ flowOwner: chat("second"), told: chat("second") });
  });

  it("is not changed by a turn that nobody's message began, unless it is an operator's call", async () => {
    const store = setup();
    await rememberOwner(store, stream, owner({ sessionKey: "first" }));
    await rememberStarter(store, stream, wakeUp({ sessionKey: "second" }));
    expect((await readChats(store, stream))?.told).toStrictEqual(chat("first"));
    await rememberStarter(store, stream, wakeUp({ sessionKey: "third", senderIsOwner: undefined }));
    expect((await readChats(store, stream))?.told).toStrictEqual(chat("first"));
    await rememberStarter(store, stream, wakeUp({ sessionKey: "fourth", senderIsOwner: true }));
    expect((await readChats(store, stream))?.told).toStrictEqual(chat("fourth"));
    await rememberStarter(store, stream, owner({ sessionKey: "fifth", senderIsOwner: false }));
    expect((await readChats(store, stream))?.told).toStrictEqual(chat("fifth"));
  });

  it(
    "is that of whoever starts it or lets it go on, not of whoever pauses it",
    { tags: ["s7.told-where"] },
    async () => {
      const bench = createBench();
      await bench.done("create_project", aProject());
      const taskId = String(
        (await bench.done("create_task", aTask(), owner({ sessionKey: "agent:main:first" })))["taskId"],
      );
      const told = async () => (await readChats(bench.store, { projectId: "shop", taskId }))?.told.sessionKey;
      await bench.done("start_task", { taskId }, owner({ sessionKey: "agent:main:second" }));
      expect(await told()).toBe("agent:main:second");
      await bench.done("set_task_status", { taskId, status: "paused" }, owner({ sessionKey: "agent:main:third" }));
      expect(await told()).toBe("agent:main:second");
      await bench.done("set_task_status", { taskId, status: "running" }, owner({ sessionKey: "agent:main:fourth" }));
      expect(await told()).toBe("agent:main:fourth");
    },
  );

  it("is called this one by the call that starts the task only when it is", async () => {
    const bench = createBench();
    await bench.done("create_project", aProject());
    const start = async (sessionKey: string, caller: typeof owner) => {
      const made = await bench.done("create_task", aTask(), owner({ sessionKey: "agent:main:first" }));
      return (await bench.call("start_task", { taskId: made["taskId"] }, caller({ sessionKey }))).text;
    };
    expect(await start("agent:main:second", owner)).toContain(", and this chat is told of each result.");
    expect(await start("agent:main:first", wakeUp)).toContain(", and this chat is told of each result.");
    expect(await start("agent:main:cron:nightly", wakeUp)).toContain(", and its chat is told of each result.");
  });

  it("keeps its owner when it cannot be read while another one starts the task", async () => {
    const store = setup();
    await rememberOwner(store, stream, owner({ sessionKey: "first" }));
    const faulty: Store = { ...store, readSidecar: () => Promise.reject(new Error("EMFILE")) };
    await expect(rememberStarter(faulty, stream, owner({ sessionKey: "second" }))).rejects.toThrow("EMFILE");
    expect(await readChats(store, stream)).toStrictEqual({ flowOwner: chat("first"), told: chat("first") });
  });

  it.each([
    ["no object", "chats"],
    ["null", null],
    ["without an owner", { told: chat("a") }],
    ["without who is told", { flowOwner: chat("a") }],
    ["with an owner that is no chat", { flowOwner: "a", told: chat("a") }],
    ["with an owner that is null", { flowOwner: null, told: chat("a") }],
    ["with a chat without agent", { flowOwner: chat("a"), told: { sessionKey: "a" } }],
    ["with a chat without session", { flowOwner: chat("a"), told: { agentId: "a" } }],
    ["with a session that is no text", { flowOwner: chat("a"), told: { sessionKey: 1, agentId: "a" } }],
    ["with an agent that is no text", { flowOwner: { sessionKey: "a", agentId: 1 }, told: chat("a") }],
  ])("is not known when what is kept is %s", async (_words, kept) => {
    const store = setup();
    await store.writeSidecar(stream, "chats", kept);
    expect(await readChats(store, stream)).toBeUndefined();
  });
});

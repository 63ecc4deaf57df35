/** Reading the configuration: a faulty value costs its own key only, and never opens what was to be closed. */
import { describe, expect, it } from "vitest";
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
  it.each([undefined, null, {}])("that is %j is all defaults", (raw) => {
    expect(readSettings(raw)).toStrictEqual({ settings: none, problems: [] });
    expect(none).toMatchObject({ maxAttempts: 3, notify: "steps", allowNonOwners: false });
    expect(none).not.toHaveProperty("orchestrators");
  });

  it("with a faulty value loses that key only, and names it", () => {
    const { settings, problems } = readSettings({
      root: "/work",
      maxAttempts: 0,
      parallelTasks: 2,
      orchestrators: ["main"],
    });
    expect(settings).toStrictEqual({ ...none, root: "/work", parallelTasks: 2, orchestrators: ["main"] });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(/^\/maxAttempts: /);
  });

  it("names a faulty value inside a key by its path", () => {
    expect(readSettings({ roles: { builder: { idleMinutes: -1 } } }).problems[0]).toMatch(
      /^\/roles\/builder\/idleMinutes: /,
    );
  });

  it.each(["toString", "orchestrator"])("names the unknown key %s", (key) => {
    expect(readSettings({ [key]: 1, notify: "off" })).toStrictEqual({
      settings: { ...none, notify: "off" },
      problems: [`/${key}: there is no such setting`],
    });
  });

  it("takes only what the chat can be told", () => {
    expect(readSettings({ notify: "foo" })).toStrictEqual({
      settings: none,
      problems: ["/notify: is none of steps, tasks, off"],
    });
    expect(readSettings({ notify: "tasks" }).settings.notify).toBe("tasks");
  });

  it.each([["main"], [[1]], [[""]], [{ main: true }], [null]])(
    "lets no agent orchestrate when orchestrators is %j",
    (orchestrators) => {
      const { settings, problems } = readSettings({ orchestrators });
      expect(settings.orchestrators).toStrictEqual([]);
      expect(problems[0]).toContain("/orchestrators");
      expect(mayUse("orchestrator", caller("main"), settings)).toBe(false);
    },
  );

  it.each([["main"], [7], [[]]])("that is no object but %j lets no agent orchestrate", (raw) => {
    expect(readSettings(raw).settings).toStrictEqual({ ...none, orchestrators: [] });
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

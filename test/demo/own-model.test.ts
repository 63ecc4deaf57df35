/** `npm start -- --model`: what is accepted, and that the key goes into the environment of the gateway and nowhere else. */
import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { repoRoot } from "../../harness/openclaw.ts";
import { readOwnModel } from "../../scripts/demo/own-model.ts";

const key = "sk-the-persons-own-key";
const read = (model: string, environment: Record<string, string>, baseUrl?: string) =>
  readOwnModel({ model, baseUrl }, environment);

describe("a model of the person's own", () => {
  it("is the gateway's model, of a provider that comes with OpenClaw and may load, with the key beside the configuration", () => {
    expect(read("openai/gpt-5.2", { OPENAI_API_KEY: key, OTHER: "kept out" })).toStrictEqual({
      name: "openai/gpt-5.2",
      env: { OPENAI_API_KEY: key },
      config: {
        agents: { defaults: { model: { primary: "openai/gpt-5.2" } } },
        plugins: { allow: ["project-orchestrator", "openai"] },
      },
    });
    expect(read("google/gemini-3.1-pro", { GOOGLE_API_KEY: key }).env).toStrictEqual({ GOOGLE_API_KEY: key });
    expect(read("openrouter/anthropic/claude-sonnet-4-6", { OPENROUTER_API_KEY: key }).name).toBe(
      "openrouter/anthropic/claude-sonnet-4-6",
    );
  });

  it("at an address of its own is a provider whose configuration names the variable, not the key", () => {
    const own = read("my-lab/big", { MY_LAB_API_KEY: key }, "http://127.0.0.1:8080/v1");
    expect(own.env).toStrictEqual({ MY_LAB_API_KEY: key });
    expect(own.config).toMatchObject({
      agents: { defaults: { model: { primary: "my-lab/big" } } },
      models: {
        providers: {
          "my-lab": { baseUrl: "http://127.0.0.1:8080/v1", apiKey: "${MY_LAB_API_KEY}", models: [{ id: "big" }] },
        },
      },
    });
    expect(JSON.stringify(own.config)).not.toContain(key);
  });

  it.each(["gpt-5.2", "/gpt", "openai/", "OpenAI/gpt", "openai/ gpt", "openai /gpt", "openai//gpt", ""])(
    "is refused when it is written as %j, with what would be accepted",
    (model) => {
      expect(() => read(model, { OPENAI_API_KEY: key })).toThrow(
        `--model wants <provider>/<model>, for instance openai/gpt-5.2; ${JSON.stringify(model)} is none`,
      );
    },
  );

  it("is refused without its key, with the variable's name", () => {
    expect(() => read("openai/gpt-5.2", {})).toThrow("no key for openai: set OPENAI_API_KEY in the environment");
    expect(() => read("google/gemini", { GEMINI_API_KEY: " " })).toThrow("set GEMINI_API_KEY or GOOGLE_API_KEY");
  });

  it.each([
    "localhost:80",
    "file:///etc/passwd",
    "https://me:secret@example.com/v1",
    "https://example.com/v1?key=secret",
    "",
  ])("is refused at the address %j", (baseUrl) => {
    expect(() => read("lab/m", { LAB_API_KEY: key }, baseUrl)).toThrow("--base-url wants an http or https address");
  });
});

describe("npm start", () => {
  const start = (...args: readonly string[]) =>
    promisify(execFile)(process.execPath, [path.join(repoRoot, "scripts", "demo.ts"), ...args], {
      cwd: repoRoot,
      env: { ...process.env, OPENAI_API_KEY: "" },
    });

  it.each([
    [["--model", "gpt"], /--model wants <provider>\/<model>/],
    [["--model", "openai/gpt"], /no key for openai: set OPENAI_API_KEY/],
    [["--base-url", "http://127.0.0.1:1/v1"], /--base-url wants --model/],
    [["--model", "openai/gpt", "--repaired"], /--repaired is for the scripted model/],
  ])("ends at once, before anything is set up, with %j", async (args, words) => {
    // It rejects because the exit code is not 0.
    const failed = (await start(...args).catch((error: unknown) => error)) as { code: number; stdout: string };
    expect([failed.code, failed.stdout]).toEqual([1, expect.stringMatching(words)]);
    expect(failed.stdout).not.toContain("set-up");
  });

  it("says in its help that a model of one's own costs money", async () => {
    expect((await start("--help")).stdout).toMatch(/--model P\/M .*\n.*costs/);
  });
});

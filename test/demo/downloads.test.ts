/** What a command that downloads is told of a person's network, and a gateway is not. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { downloadEnvironment, environmentOf } from "../../harness/openclaw.ts";

afterEach(() => vi.unstubAllEnvs());

describe("a home of its own", () => {
  it("downloads with the person's registry, proxy and certificates", () => {
    vi.stubEnv("npm_config_userconfig", "/company/npmrc");
    vi.stubEnv("npm_config_globalconfig", "/etc/npmrc");
    vi.stubEnv("NODE_EXTRA_CA_CERTS", "/company/ca.pem");
    vi.stubEnv("HTTPS_PROXY", "http://proxy.invalid:3128");
    expect(downloadEnvironment()).toMatchObject({
      npm_config_userconfig: "/company/npmrc",
      npm_config_globalconfig: "/etc/npmrc",
      NODE_EXTRA_CA_CERTS: "/company/ca.pem",
      HTTPS_PROXY: "http://proxy.invalid:3128",
    });
  });

  it("finds the person's own settings of npm when nothing names them, and nothing else of the environment", () => {
    for (const name of Object.keys(process.env)) vi.stubEnv(name, undefined);
    vi.stubEnv("HOME", "/home/someone");
    vi.stubEnv("A_SECRET", "of the person");
    expect(downloadEnvironment()).toEqual({ npm_config_userconfig: "/home/someone/.npmrc" });
  });

  it("keeps all of them from a gateway, whose models are on loopback", () => {
    vi.stubEnv("HTTPS_PROXY", "http://proxy.invalid:3128");
    vi.stubEnv("npm_config_userconfig", "/company/npmrc");
    const environment = environmentOf("/tmp/home");
    expect(Object.keys(environment).filter((name) => /proxy|userconfig/i.test(name))).toEqual([]);
  });
});

import { describe, expect, it } from "vitest";
import { loadTemplate, type TemplateName } from "../../src/render/templates.ts";

const names: readonly TemplateName[] = ["project", "task", "step", "builder-brief", "qa-brief"];

describe("a template", () => {
  it.each(names)("%s is an error, not a gap, when the view lacks a name", (name) => {
    expect(() => loadTemplate<object>(name)({})).toThrow(/not defined|given no text/);
  });

  it("is an error as well when a condition or a list is missing", () => {
    const view = { name: "n", id: "i", repo: "r", spec: "s", created: "c", total: "t", tasks: [], left: null };
    expect(() => loadTemplate<object>("project")(view)).toThrow("{{#if}} was given a name that is not defined");
    expect(() => loadTemplate<object>("project")({ ...view, counts: [] })).not.toThrow();
    expect(() => loadTemplate<object>("project")({ ...view, counts: ["x"], tasks: undefined })).toThrow();
  });

  it("escapes nothing by itself and reaches no prototype", () => {
    const view = {
      name: "<b>&",
      id: "<b>",
      repo: "r",
      spec: "s",
      created: "now",
      total: "none",
      counts: [],
      tasks: [],
      left: null,
    };
    expect(loadTemplate<object>("project")(view)).toContain("- Project: `<b>`");
    expect(() => loadTemplate<object>("project")(Object.create(view))).toThrow();
  });
});

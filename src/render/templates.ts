/**
 * The one Handlebars instance and the templates: strict (a missing name is an error), no HTML escaping (pages are
 * Markdown; each place escapes for itself), helpers that only turn text into text. Templates are read once, when this
 * module is loaded; the build puts them beside it.
 */
import { readFileSync } from "node:fs";
import Handlebars from "handlebars";
import { remembering } from "./remembering.ts";
import { cell, code, fence, inline } from "./quote.ts";

/** Text of people and agents enters a template only through one of these. */
const helpers = { cell, code, fence, inline } as const;

const options = {
  strict: true,
  noEscape: true,
  knownHelpersOnly: true,
  knownHelpers: { cell: true, code: true, fence: true, inline: true, rows: true, log: false },
} as const;

const rowOf = remembering((item: object, block: Handlebars.HelperOptions) => block.fn(item));

const handlebars = createHandlebars();

/** Every template that renders a whole text. */
export type TemplateName = "project" | "task" | "step" | "builder-brief" | "qa-brief";

/** Compiles a template that is given the view model of its name. What it renders to throws when it names what the model lacks. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- it names what the caller promises to give the template
export function loadTemplate<View extends object>(name: TemplateName): (view: View) => string {
  const render = handlebars.compile<View>(readTemplate(name), options);
  return (view) => render(view);
}

function readTemplate(name: TemplateName | "text"): string {
  return readFileSync(new URL(`./templates/${name}.hbs`, import.meta.url), "utf8");
}

function createHandlebars(): typeof Handlebars {
  const instance = Handlebars.create();
  instance.unregisterHelper("log");
  for (const [name, write] of Object.entries(helpers))
    instance.registerHelper(name, (text: unknown) => {
      if (typeof text !== "string") throw new TypeError(`{{${name}}} was given no text`);
      return write(text);
    });
  // Strict mode does not look at what a helper is given, so a misspelt name would quietly be false.
  for (const name of ["if", "unless", "each"]) {
    const builtIn = instance.helpers[name];
    instance.registerHelper(name, function (this: unknown, value: unknown, block: Handlebars.HelperOptions) {
      if (value === undefined) throw new TypeError(`{{#${name}}} was given a name that is not defined`);
      return builtIn?.call(this, value, block) as unknown;
    });
  }
  // Like `each`, for objects that stay the same from one page to the next: an object has one such block, which uses nothing but it.
  instance.registerHelper("rows", (items: unknown, block: Handlebars.HelperOptions) => {
    if (!Array.isArray(items)) throw new TypeError("{{#rows}} was given no list");
    let text = "";
    for (const item of items as readonly object[]) text += rowOf(item, block);
    return text;
  });
  instance.registerPartial("text", instance.compile(readTemplate("text"), options));
  return instance;
}

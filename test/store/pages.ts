/** A renderer that is simple enough to see through: titles, statuses, and lists of what belongs to the thing. */
import type { DocumentName, RenderPages } from "../../src/store/store.ts";

function fieldOf(document: string | undefined, field: string): string {
  const value: unknown = JSON.parse(document ?? "{}");
  return typeof value === "object" && value !== null && field in value
    ? String((value as Record<string, unknown>)[field])
    : "";
}

/** A project's page lists its tasks; a task's page lists its steps; a step's page shows itself. */
export const renderPages: RenderPages = ({ documents, changed, tasks }) => {
  const pages: Record<DocumentName, string> = {};
  for (const [name, document] of Object.entries(documents)) {
    if (name === "project")
      pages[name] =
        `# ${fieldOf(document, "name")}\n\n${(tasks ?? []).map((one) => `- ${one.id}: ${one.status}\n`).join("")}`;
    else if (name === "task")
      pages[name] = `# ${fieldOf(document, "title")}\n\nIs ${fieldOf(document, "status")}.\n${steps(documents)}`;
    else if (changed === undefined || changed.includes(name))
      pages[name] = `# Step ${name}\n\nIs ${fieldOf(document, "status")}.\n`;
  }
  return pages;
};

/** They are the same ones in all tests. */
export const rendering = 7;

function steps(documents: Readonly<Record<DocumentName, string>>): string {
  const names = Object.keys(documents).filter((name) => name.startsWith("steps/"));
  return names.map((name) => `- ${name} is ${fieldOf(documents[name], "status")}\n`).join("");
}

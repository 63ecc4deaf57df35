/** The picture of a task's steps as a Mermaid flowchart: order, dependencies and state. Pure. */
import type { Step, StepStatus } from "../schema/documents.ts";
import { mermaidLabel } from "./quote.ts";
import { remembering } from "./remembering.ts";
import { stepStatusWords } from "./words.ts";

/** Beyond these a picture helps nobody, and Mermaid refuses to draw it. */
const limits = { steps: 60, arrows: 200 } as const;

const looks: Readonly<Record<StepStatus, string>> = {
  queued: "fill:#f2f2f2,stroke:#8c8c8c,color:#333333",
  building: "fill:#dbeafe,stroke:#2563eb,color:#1e3a8a",
  checking: "fill:#dbeafe,stroke:#2563eb,color:#1e3a8a",
  reviewing: "fill:#dbeafe,stroke:#2563eb,color:#1e3a8a",
  passed: "fill:#dcfce7,stroke:#16a34a,color:#14532d",
  blocked: "fill:#fef3c7,stroke:#d97706,color:#78350f,stroke-width:3px",
  skipped: "fill:#ffffff,stroke:#8c8c8c,color:#595959,stroke-dasharray:4",
  cancelled: "fill:#ffffff,stroke:#8c8c8c,color:#595959,stroke-dasharray:4",
};

const labelOf = remembering((step: Step) => `${mermaidLabel(step.id)}: ${mermaidLabel(step.title)}`);

/** The lines of the flowchart, or null when there are too many steps or arrows to read. */
export function stepsPicture(steps: readonly Step[]): string | null {
  if (steps.length === 0 || steps.length > limits.steps) return null;
  const nodeOf = new Map(steps.map((step, at) => [step.id, `s${at + 1}`]));
  const needed = new Set(steps.filter((step) => step.kind !== "review").flatMap((step) => step.dependsOn));
  const arrows = steps.flatMap((step) =>
    step.dependsOn
      .filter((id) => step.kind !== "review" || !needed.has(id))
      .flatMap((id) => (nodeOf.has(id) ? [`  ${nodeOf.get(id)} --> ${nodeOf.get(step.id)}`] : [])),
  );
  if (arrows.length > limits.arrows) return null;
  const nodes = steps.map(
    (step) => `  ${nodeOf.get(step.id)}["${labelOf(step)}<br/>${stepStatusWords[step.status]}"]:::${step.status}`,
  );
  const used = [...new Set(steps.map((step) => step.status))]
    .toSorted()
    .map((status) => `  classDef ${status} ${looks[status]}`);
  return ["flowchart TD", ...nodes, ...arrows, ...used].join("\n");
}

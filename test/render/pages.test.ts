import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, expectTypeOf, it } from "vitest";
import { renderPages, rendering } from "../../src/render/pages.ts";
import { hashOf } from "../../src/store/journal.ts";
import { formatDocument, rememberDocument, type Step } from "../../src/schema/documents.ts";
import type { RenderPages, TaskOnPage } from "../../src/store/store.ts";
import {
  aBuilderReport,
  aCheckResult,
  anAttempt,
  aProject,
  aQuestion,
  aRun,
  aStep,
  aTaskWith,
  documentsOf,
  minute,
} from "../support/builders.ts";
import { hostileText, withHostileTexts } from "../support/hostile.ts";
import { linesOutside, skeletonOf, unseenCharacters } from "../support/markdown.ts";
import { fc } from "../support/properties.ts";
import { walks } from "../support/walks.ts";
import { states, type State } from "./states.ts";

const projectStream = { projectId: "word-count" };
const taskStream = { projectId: "word-count", taskId: "count-words-1a2b3c4d" };

function pagesOf({ task, steps }: State, changed?: readonly string[]): Readonly<Record<string, string>> {
  return renderPages({
    stream: taskStream,
    documents: documentsOf(task, steps),
    ...(changed === undefined ? {} : { changed }),
  });
}

function projectPage(tasks: readonly TaskOnPage[], project = aProject()): string {
  return (
    renderPages({ stream: projectStream, documents: { project: formatDocument(project) }, tasks })["project"] ?? ""
  );
}

const rows: readonly TaskOnPage[] = [
  { id: "old-done-00000001", title: "Done long ago", status: "done", updatedAt: minute(1), steps: 3 },
  { id: "running-00000002", title: "Running", status: "running", updatedAt: minute(2), steps: 4 },
  { id: "cancelled-00000003", title: "Given up", status: "cancelled", updatedAt: minute(9), steps: 1 },
  { id: "blocked-00000004", title: "Asks", status: "blocked", updatedAt: minute(3), steps: 2 },
];

describe("the pages", () => {
  it("say the same of documents that were there before as of ones that nobody has seen", () => {
    fc.assert(
      fc.property(walks, (walk) => {
        for (const { decision, after } of walk) {
          if (!decision.ok) continue;
          for (const document of [after.task, ...after.steps]) rememberDocument(formatDocument(document), document);
          const documents = documentsOf(after.task, after.steps);
          const unseen = Object.fromEntries(Object.entries(documents).map(([name, text]) => [name, `${text}\n`]));
          expect(renderPages({ stream: taskStream, documents })).toEqual(
            renderPages({ stream: taskStream, documents: unseen }),
          );
        }
      }),
      { numRuns: 60 },
    );
  });

  it("fit what the store asks for", () => {
    expectTypeOf(renderPages).toExtend<RenderPages>();
  });

  it.each(Object.keys(states) as (keyof typeof states)[])("of a task that is %s", async (name) => {
    const { task = "", ...steps } = pagesOf(states[name]);
    await expect(task).toMatchFileSnapshot(`golden/${name}.task.md`);
    for (const [page, body] of Object.entries(steps))
      await expect(body).toMatchFileSnapshot(`golden/${name}.${page.replace("/", ".")}.md`);
  });

  it("of a project", async () => {
    await expect(projectPage(rows)).toMatchFileSnapshot("golden/project.md");
    await expect(projectPage([])).toMatchFileSnapshot("golden/project-without-tasks.md");
  });

  it("have another number when the same documents give others", () => {
    const pages = Object.entries(states).map(([name, state]) => [name, pagesOf(state)]);
    const known = path.join(import.meta.dirname, "golden", "rendering.txt");
    // Where the second word differs, the pages were changed: let `rendering` grow, and write both words there.
    expect(`${rendering} ${hashOf(JSON.stringify(pages))}\n`).toBe(readFileSync(known, "utf8"));
  });

  it("are the same bytes for the same state", () => {
    for (const state of Object.values(states)) expect(pagesOf(structuredClone(state))).toStrictEqual(pagesOf(state));
  });

  it("do not depend on the order in which documents come", () => {
    const { task, steps } = states.running;
    expect(pagesOf({ task, steps: steps.toReversed() })["task"]).toBe(pagesOf({ task, steps })["task"]);
  });

  it("that are rendered after a change are the task's and those of the changed steps", () => {
    expect(Object.keys(pagesOf(states.running, ["task"]))).toStrictEqual(["task"]);
    expect(Object.keys(pagesOf(states.running, ["steps/step-02"]))).toStrictEqual(["task", "steps/step-02"]);
    expect(Object.keys(pagesOf(states.running))).toStrictEqual([
      "task",
      "steps/step-01",
      "steps/step-02",
      "steps/step-03",
      "steps/acceptance",
    ]);
  });

  it("of a stream without its document are none", () => {
    expect(renderPages({ stream: taskStream, documents: {} })).toStrictEqual({});
    expect(renderPages({ stream: projectStream, documents: {} })).toStrictEqual({});
  });

  it("link to each other by relative paths that exist", () => {
    const pages = { ...pagesOf(states.running), "../../project": "" };
    for (const [name, body] of Object.entries(pages)) {
      const links = skeletonOf(body).flatMap((part) => (part.startsWith("link ") ? [part.slice(5)] : []));
      const base = new URL(`file:///p/tasks/t/${name}.md`);
      const known = ["task", "steps/step-01", "steps/step-02", "steps/step-03", "steps/acceptance"].map(
        (one) => `/p/tasks/t/${one}.md`,
      );
      for (const link of links) expect([...known, "/p/project.md"]).toContain(new URL(link, base).pathname);
    }
  });
});

describe("a project's page", () => {
  it("lists unfinished tasks first, then the latest", { tags: ["s3.project-page-tasks"] }, () => {
    const ids = [...projectPage(rows).matchAll(/\(tasks\/([a-z0-9-]+)\/task\.md\)/g)].map((match) => match[1]);
    expect(ids).toStrictEqual(["blocked-00000004", "running-00000002", "cancelled-00000003", "old-done-00000001"]);
  });

  it("lists at most 200 tasks and says how many more there are", { tags: ["s3.project-page-tasks"] }, () => {
    const many = Array.from({ length: 250 }, (_, at) => ({
      id: `task-${at}`,
      title: "One",
      status: "running",
      updatedAt: minute(at),
      steps: 1,
    }));
    const page = projectPage(many);
    expect(page.match(/\/task\.md\)/g)).toHaveLength(200);
    expect(page).toContain("50 more tasks not shown");
    expect(page).toContain("| running | 250 |");
  });

  it("shows a status it does not know as it is", () => {
    expect(projectPage([{ id: "t", title: "T", status: "frozen", updatedAt: minute(1), steps: 1 }])).toContain(
      "| frozen | 1 |",
    );
  });
});

describe("a task's page", () => {
  it("draws no picture that nobody could read", () => {
    const steps = Array.from({ length: 61 }, (_, at) => aStep({ id: `step-${at + 1}`, index: at + 1 }));
    const page = pagesOf({ task: aTaskWith(steps), steps })["task"];
    expect(page).not.toContain("mermaid");
    expect(page).toContain("(steps/step-61.md)");
  });

  it("says among the first lines which steps ask something, also while the task waits for another", () => {
    const steps = [aStep({ status: "blocked", question: aQuestion({ kind: "held" }) })];
    for (const fields of [
      { status: "waiting", dependsOn: ["lay-the-ground-0f0f0f0f"] },
      { status: "waiting", question: states["dependency-cancelled"].task.question },
      { status: "running" },
      { status: "paused" },
    ] as const) {
      const page = pagesOf({ task: aTaskWith(steps, fields), steps })["task"] ?? "";
      expect(page.split("\n## ")[0]).toContain(
        "- step-01 has an open question (below); the steps that depend on it wait.",
      );
    }
  });

  it("holds the whole spec, however long", () => {
    const spec = "x".repeat(1024 * 1024);
    expect(pagesOf({ ...states.draft, task: { ...states.draft.task, spec } })["task"]).toContain(spec);
  });

  it("of 2,000 steps, each of which waits for the one before, is rendered", () => {
    const steps = Array.from({ length: 2000 }, (_, at) =>
      aStep({ id: `step-${at + 1}`, index: at + 1, dependsOn: at === 0 ? [] : [`step-${at}`] }),
    );
    const input = { stream: taskStream, documents: documentsOf(aTaskWith(steps), steps), changed: ["steps/step-7"] };
    expect(Object.keys(renderPages(input))).toStrictEqual(["task", "steps/step-7"]);
  });
});

describe("a step's page", () => {
  const page = (checks: Parameters<typeof aCheckResult>[0][]) => {
    const steps = [
      aStep({ status: "queued", attempts: [anAttempt({ checks: checks.map((one) => aCheckResult(one)) })] }),
    ];
    return pagesOf({ task: aTaskWith(steps), steps })["steps/step-01"] ?? "";
  };

  it("says how a check without an exit code ended", () => {
    expect(page([{ exitCode: null, timedOut: true }])).toContain("| **failed: stopped at its time limit** | none |");
    expect(page([{ exitCode: null, program: null }])).toContain("| **could not be run** | none |");
    expect(page([{ exitCode: null }])).toContain("| **failed: it ended without an exit code** | none |");
  });

  it("says how many files that changed after the builder's run it leaves out, and where they are", () => {
    const words = (count: number) => {
      const changedAfterBuild = Array.from({ length: count }, (_, at) => `coverage/${at}.html`);
      const attempts = [anAttempt({ tree: { before: "0", built: "1", judged: "2", changedAfterBuild } })];
      const steps = [aStep({ attempts })];
      return pagesOf({ task: aTaskWith(steps), steps })["steps/step-01"] ?? "";
    };
    const left = "100 more files not shown; the step's JSON file names them all.";
    expect(words(400).match(/^- `coverage\//gm)).toHaveLength(300);
    expect(words(400)).toContain(left);
    expect(words(300)).not.toContain("not shown");
  });

  it("says of checks that could not be run neither that they failed nor that the builder has anything to mend", () => {
    const notRun = page([{ name: "lint", exitCode: null, program: null }]);
    expect(notRun).toContain("- Not every check of attempt 1 could be run; the builder gets the step again.");
    expect(notRun).toContain("1 of 1 check could not be run; QA was not asked.");
    const both = page([{ exitCode: 1 }, { name: "lint", exitCode: null, program: null }]);
    expect(both).toContain("- Attempt 1 did not pass; the builder gets it again with every finding.");
    expect(both).toContain("1 of 2 checks failed and 1 could not be run; QA was not asked.");
  });

  it("says that a planned run is not launched yet, and not that somebody works on its step", () => {
    const launching = { status: "launching", sessionKey: "agent:main:subagent:x", runId: "the-run" } as const;
    const page = (role: "builder" | "qa", seat: Step["builder"]) => {
      const runs = [aRun({ role, end: "lost" }), aRun({ runId: "the-run", role, launch: 2, endedAt: null, end: null })];
      const status = role === "qa" ? "reviewing" : "building";
      const steps = [aStep({ status, [role]: seat, attempts: [anAttempt({ runs })] })];
      const pages = pagesOf({ task: aTaskWith(steps), steps });
      const isPlanned = pages["task"]?.includes(
        "- step-01 has a run planned that is not launched yet (attempt 1 of 3).",
      );
      expect(isPlanned).toBe(seat.status === "launching");
      return pages["steps/step-01"] ?? "";
    };
    const [building, reviewing] = [page("builder", launching), page("qa", launching)];
    expect(building).toContain("- Its builder's run is planned and not launched yet.");
    expect(reviewing).toContain("- QA's run is planned and not launched yet.");
    for (const step of [building, reviewing]) {
      expect(step).toMatch(/^\| (builder|QA) \| 2 \| not launched yet \| {2}\|/m);
      expect(step).not.toMatch(/still going on|works on it|judges each|launch 2/);
    }
    const launched = page("builder", { ...launching, status: "running" });
    expect(launched).toContain("Its builder works on it.");
    expect(launched).toContain("still going on");
    expect(launched).toContain("A run was launched (builder, attempt 1, launch 2).");
  });

  it("says that the system saw no change only where it has looked", () => {
    const words = (filesObserved: readonly string[] | null) => {
      const builder = aBuilderReport({ filesChanged: [], filesObserved });
      const steps = [aStep({ status: "reviewing", attempts: [anAttempt({ builder })] })];
      return pagesOf({ task: aTaskWith(steps), steps })["steps/step-01"] ?? "";
    };
    expect(words([])).toContain("The builder names no file, and the system saw no change.");
    expect(words(null)).toContain("The builder names no file; what the system saw is not known (yet).");
    expect(words(null)).not.toContain("saw no change");
  });

  it("says who hears of a failure: the builder, and after the last attempt the owner", () => {
    const words = (fields: Partial<Step>) => {
      const steps = [aStep({ attempts: [anAttempt()], maxAttempts: 2, ...fields })];
      return pagesOf({ task: aTaskWith(steps), steps })["steps/step-01"] ?? "";
    };
    expect(words({ status: "reviewing", attempt: 1 })).toContain("the findings go back to the builder");
    expect(words({ status: "checking", attempt: 1 })).toContain("its output goes back to the builder");
    for (const status of ["reviewing", "checking"] as const) {
      const last = words({ status, attempt: 2 });
      expect(last).toContain("the owner is asked");
      expect(last).not.toContain("back to the builder");
    }
  });

  it("promises of an attempt that is over nothing that still comes", () => {
    for (const fields of [{}, { builder: aBuilderReport() }]) {
      const steps = [aStep({ status: "cancelled", attempts: [anAttempt(fields)] })];
      expect(pagesOf({ task: aTaskWith(steps), steps })["steps/step-01"]).not.toMatch(/(?:report|judged) yet/);
    }
  });

  it("says who accepted it", { tags: ["s5.pages-say-person"] }, () => {
    expect(pagesOf(states["accepted-by-person"])["steps/step-03"]).toContain("accepted by a person, not by QA");
  });
});

describe("text of people and agents", () => {
  /** Every state at once would only repeat itself: these have all the places. */
  const places = [
    states.running,
    states["accepted-by-person"],
    states["dependency-cancelled"],
    states["review-failed"],
    states.blocked,
  ] as const;
  const calm = places.map((state) => pagesOf(withHostileTexts(state, "calm")));

  it("never changes the structure of a page, and never stands unfenced as a line of its own", () => {
    fc.assert(
      fc.property(hostileText, (hostile) => {
        for (const [at, state] of places.entries()) {
          const pages = pagesOf(withHostileTexts(state, hostile));
          for (const [name, body] of Object.entries(pages)) {
            expect(skeletonOf(body)).toStrictEqual(skeletonOf(calm[at]?.[name] ?? ""));
            expect(linesOutside(body)).toHaveLength(linesOutside(calm[at]?.[name] ?? "").length);
            expect(linesOutside(body).some((line) => line === "# INJECTED" || line === "INJECTED")).toBe(false);
            expect(body).not.toMatch(unseenCharacters);
            expect(body.isWellFormed()).toBe(true);
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  it("never leaves its row of a project's page", () => {
    const plain = skeletonOf(projectPage(rows, withHostileTexts(aProject(), "calm")));
    fc.assert(
      fc.property(hostileText, (hostile) => {
        const page = projectPage(
          rows.map((row) => withHostileTexts(row, hostile)),
          { ...withHostileTexts(aProject(), hostile), repo: `${hostile}x` },
        );
        expect(skeletonOf(page)).toStrictEqual(plain);
        expect(page).not.toMatch(unseenCharacters);
      }),
      { numRuns: 200 },
    );
  });

  it("never leaves its label in the picture", () => {
    fc.assert(
      fc.property(hostileText, (hostile) => {
        const page = pagesOf(withHostileTexts(states.running, hostile))["task"] ?? "";
        const lines = page.split("```mermaid\n")[1]?.split("\n```")[0]?.split("\n") ?? [];
        expect(lines).toHaveLength(12);
        const nodes = lines.filter((line) => line.includes("["));
        expect(nodes).toHaveLength(4);
        for (const node of nodes) expect(node).toMatch(/^ {2}s\d\["[^"`[\]{}|<>\\%]*<br\/>[a-zA-Z() ]+"\]:::[a-z]+$/);
      }),
      { numRuns: 200 },
    );
  });
});

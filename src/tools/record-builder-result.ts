/** record_builder_result: the builder's one report. Paths are compared with the disk before it counts. */
import { refuse, type Refusal } from "../errors.ts";
import { RecordBuilderResultParameters } from "../schema/parameters.ts";
import { recordReport } from "./reporting.ts";
import { defineTool, readProject } from "./tool.ts";
import type { Desk } from "./desk.ts";

export const recordBuilderResult = defineTool({
  name: "record_builder_result",
  label: "Record builder result",
  description: "Report your result, once, as your last act. No tool works after it.",
  audience: "builder",
  parameters: RecordBuilderResultParameters,
  run(parameters, call) {
    const { outcome, summary, filesChanged, filesDeleted = [], testsRun = [], question } = parameters;
    return recordReport("builder", call, parameters, async ({ state, step, runId }) => {
      const project = await readProject(call.desk, state.task.projectId);
      if (!project.ok) return project;
      const wrong = await refusePaths(call.desk, project.project.repo, filesChanged, filesDeleted);
      if (wrong !== undefined) return wrong;
      return {
        type: "BuilderReported",
        v: 1,
        at: call.desk.now().toISOString(),
        stepId: step.id,
        runId,
        outcome,
        summary,
        filesChanged: plain(filesChanged),
        filesDeleted: plain(filesDeleted),
        testsRun,
        ...(question === undefined ? {} : { question }),
      };
    });
  },
});

/** Each path once and as the system names it, so that what is said can be compared with what is seen. */
const plain = (paths: readonly string[]) => [...new Set(paths.map(nameOf))];

/** `./a` and `src//b` are `a` and `src/b`; the repository itself has no name. */
function nameOf(path: string): string {
  const isName = (part: string) => part !== "" && part !== ".";
  return path.split("/").filter(isName).join("/");
}

async function refusePaths(
  desk: Desk,
  repo: string,
  changed: readonly string[],
  deleted: readonly string[],
): Promise<Refusal | undefined> {
  const inChanged = await desk.inspectPaths(repo, changed);
  const inDeleted = await desk.inspectPaths(repo, deleted);
  const wrong = [
    ...inChanged
      .filter((one) => one.kind === "missing")
      .map((one) => `${show(one.path)} in filesChanged is no file now`),
    ...inDeleted
      .filter((one) => one.kind === "missing" && nameOf(one.path) === "")
      .map((one) => `${show(one.path)} in filesDeleted is no file`),
    ...inDeleted.filter((one) => one.kind === "file").map((one) => `${show(one.path)} in filesDeleted is still a file`),
    ...[...inChanged, ...inDeleted]
      .filter((one) => one.kind === "outside")
      .map((one) => `${show(one.path)} is absolute, has .. in it, or leaves the repository`),
    ...[...inChanged, ...inDeleted]
      .filter((one) => one.kind === "backslash")
      .map((one) => `${show(one.path)} has a backslash; folders are separated by /`),
  ];
  if (wrong.length === 0) return undefined;
  const more = wrong.length > 20 ? `; and ${wrong.length - 20} more` : "";
  return refuse("invalid-files", `${wrong.slice(0, 20).join("; ")}${more}.`, [
    "paths relative to the repository, separated by /, of files as they are now",
    "[] when nothing changed",
  ]);
}

const show = (path: string) => JSON.stringify(path.slice(0, 200));

/** create_project: a new project from its name and specification. */
import { refuse } from "../errors.ts";
import { transitionProject } from "../flow/transition.ts";
import { formatDocument } from "../schema/documents.ts";
import { CreateProjectParameters } from "../schema/parameters.ts";
import type { ProjectEvent } from "../schema/events.ts";
import { slugOf } from "./slug.ts";
import { actorOf, defineTool, isSameCall, originOf, withWarnings, type Answer } from "./tool.ts";

export const createProject = defineTool({
  name: "create_project",
  label: "Create project",
  description: "Start a new project from its full specification.",
  audience: "orchestrator",
  parameters: CreateProjectParameters,
  async run({ name, spec, repo }, { desk, caller, tool, callId }) {
    const projectId = slugOf(name, "project");
    const stream = { projectId };
    const taken = await desk.store.read(stream);
    if (taken !== undefined) {
      const first = (await desk.store.history(stream, 0))[0];
      if (first === undefined || !isSameCall(desk, first, callId))
        return refuse("id-taken", `A project with the id ${projectId} exists already.`, [
          "another name",
          `the project ${projectId} as it is`,
        ]);
      if (taken.doubt !== undefined) return refuse("outcome-unknown", taken.doubt);
      return answer(projectId, desk.store.locate(stream, "project", "document"), repoIn(taken.documents["project"]));
    }
    const place = await desk.chooseRepo(projectId, repo);
    if (typeof place !== "string") return place;
    const event: ProjectEvent = {
      type: "ProjectCreated",
      v: 1,
      at: desk.now().toISOString(),
      projectId,
      name,
      spec,
      repo: place,
      origin: originOf(caller),
    };
    const decision = transitionProject(undefined, event);
    if (!decision.ok) return decision;
    const documents = { project: formatDocument(decision.next) };
    const committed = await desk.store.commit(stream, 0, {
      at: event.at,
      actor: actorOf(caller),
      tool,
      callId,
      event,
      documents,
    });
    if (committed.kind === "conflict")
      return refuse("id-taken", `A project with the id ${projectId} was made just now.`, ["another name"]);
    desk.committed(stream, []);
    return withWarnings(answer(projectId, desk.store.locate(stream, "project", "document"), place), committed.warnings);
  },
});

function answer(projectId: string, projectPath: string, repoPath: string): Answer {
  return {
    text: `Project ${projectId} is made. Work happens in ${repoPath}. Next: create_task with projectId ${projectId}.`,
    details: { projectId, projectPath, repoPath },
  };
}

function repoIn(document: string | undefined): string {
  const value: unknown = JSON.parse(document ?? "{}");
  return typeof value === "object" && value !== null && "repo" in value ? String(value.repo) : "";
}

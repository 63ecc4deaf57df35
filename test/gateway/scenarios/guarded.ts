import { access, readFile } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";
import type { ScriptedCall } from "../../../harness/model.ts";
import { criteriaOf, judge, oneByOne, report } from "../cast.ts";
import { call, type Play, type Stage } from "../stage.ts";

const limitMs = 180_000;

const write = (file: string): ScriptedCall => ({ name: "write", args: { path: file, content: "{}\n" } });
const edit = (file: string): ScriptedCall => ({
  name: "edit",
  args: { path: file, edits: [{ oldText: '"spec"', newText: '"spoiled"' }] },
});
const patch = (...lines: readonly string[]): ScriptedCall => ({
  name: "apply_patch",
  args: { input: ["*** Begin Patch", ...lines, "*** End Patch", ""].join("\n") },
});
const searched = ({ name, args }: ScriptedCall): ScriptedCall => ({ name: "tool_call", args: { id: name, args } });
const shell = (command: string): ScriptedCall => ({ name: "exec", args: { command } });

/** Every way from a run's working directory to the project's document. */
function waysToState(repo: string, home: string): readonly ScriptedCall[] {
  const state = path.join(path.dirname(repo), "project.json");
  const url = pathToFileURL(state).href;
  return [
    write("../project.json"),
    write(state),
    write("up/project.json"),
    write("innocent.json"),
    write(`~/${path.relative(home, state)}`),
    write("@../project.json"),
    write(url),
    write(url.replace("project.json", "%70roject.json")),
    write("file:x/../../project.json"),
    edit("../project.json"),
    edit("innocent.json"),
    patch("*** Add File: ../tasks/new.json", "+{}"),
    patch("*** Update File: up/project.json", "@@", "-{", "+["),
    patch("  *** Delete File: ../project.json"),
    patch("*** Update File: a.txt", "*** Move to: ../a.txt", "@@", "-a", "+b"),
    searched(write("../project.json")),
  ];
}

const documentOf = (play: Play) => readFile(path.join(path.dirname(play.repo), "project.json"), "utf8");
const exists = (file: string) =>
  access(file).then(
    () => true,
    () => false,
  );

export function guarded(stage: () => Stage): void {
  describe("the guard on the host's file tools", () => {
    const tags = ["s7.guard-state", "s7.guard-paths", "s7.guard-repo-free", "s7.guard-says-instead"];

    it(
      "keeps a builder and QA out of kept state by every way, and QA out of the work",
      { tags: [...tags, "s7.guard-every-route", "s7.qa-no-file-tools", "s7.qa-no-sessions", "s7.qa-shell-seen"] },
      async () => {
        const { home } = stage().gateway.paths;
        const spawn = searched({ name: "sessions_spawn", args: { task: "Write from-qa.txt." } });
        const byQa = [
          write("from-qa.txt"),
          edit("a.txt"),
          patch("*** Add File: from-qa.txt", "+x"),
          searched(write("from-qa.txt")),
          write("../project.json"),
          { name: "sessions_spawn", args: { task: "Write from-qa.txt." } },
          spawn,
          searched({ name: "sessions_send", args: { sessionKey: "agent:main:main", message: "Hello." } }),
        ];
        stage().cast.play("GuardsRuns", {
          builder: (scene) => {
            const ways = waysToState(scene.repo, home);
            const { results } = scene.turn;
            if (results.length === 0)
              return {
                calls: [shell("ln -s .. up; ln -s ../project.json innocent.json; echo a > a.txt; echo linked")],
              };
            if (results.length === 1) return { calls: ways };
            if (results.length === 1 + ways.length)
              return { calls: [write("project.json"), patch("*** Add File: sub/b.txt", "+b")] };
            if (results.length === 3 + ways.length)
              return {
                calls: [{ name: "edit", args: { path: "a.txt", edits: [{ oldText: "a", newText: "b" }] } }, spawn],
              };
            if (results.length > 5 + ways.length) return { text: "Done." };
            return report({ outcome: "done", summary: "Tried.", filesChanged: ["a.txt", "project.json", "sub/b.txt"] });
          },
          qa: (scene) =>
            scene.turn.results.length === 0
              ? { calls: byQa }
              : oneByOne(
                  ...byQa.map(() => ({ text: "" })),
                  { calls: [shell("echo more >> sub/b.txt; echo written")] },
                  judge({
                    criteria: criteriaOf(scene.turn.brief).map((id) => ({ id, pass: true, evidence: "I looked." })),
                  }),
                )(scene),
        });
        const play = await stage().begin("GuardsRuns");
        const before = await documentOf(play);
        await play.untilTask("done", limitMs);
        await play.untilQuiet();

        const ways = waysToState(play.repo, home);
        const built = play.turnsOf("step-01", "builder").at(-1)?.results ?? [];
        for (const [at, way] of ways.entries()) {
          const said = built[1 + at]?.text ?? "";
          expect([way, said]).toEqual([way, expect.stringContaining("which only its tools change")]);
          expect(said).toContain("record_builder_result");
        }
        expect(built[4 + ways.length]?.text).toContain("A run works by itself");
        for (const name of ["project.json", "sub/b.txt"]) expect(await exists(path.join(play.repo, name))).toBe(true);
        expect(await readFile(path.join(play.repo, "a.txt"), "utf8")).toBe("b\n");

        const judged = play.turnsOf("step-01", "qa").at(-1)?.results ?? [];
        for (const [at, tried] of byQa.entries())
          expect([tried, judged[at]?.text]).toEqual([
            tried,
            expect.stringMatching(
              /QA judges and does not change the work|A run works by itself|not found|Unknown tool/,
            ),
          ]);
        expect(judged[0]?.text).toContain("QA judges and does not change the work");
        expect(judged[5]?.text ?? "").not.toMatch(/accepted|childSessionKey/);
        expect(await exists(path.join(play.repo, "from-qa.txt"))).toBe(false);
        const { attempts, passedBy } = await play.step("step-01");
        expect(attempts[0]?.tree.changedAfterBuild).toEqual(["sub/b.txt"]);
        expect(await play.page("steps/step-01")).toMatch(/### Changes after the builder's run[^]*- `sub\/b\.txt`/);
        expect(passedBy).toBe("qa");
        expect(await documentOf(play)).toBe(before);
      },
    );

    it(
      "keeps the chat and subagents of others out of it too",
      { tags: [...tags, "s7.guard-every-route"] },
      async () => {
        const chat = "agent:main:guarded-chat";
        const projectId = await stage().createProject("Project GuardsChat", chat);
        await stage().createProject("repo", chat);
        const folder = path.join(stage().gateway.paths.workspace, "projects", projectId);
        const before = await readFile(path.join(folder, "project.json"), "utf8");
        const refused = [
          write(`projects/${projectId}/project.json`),
          write(path.join(folder, "tasks", "new.json")),
          write(`projects/${projectId}/repo/../project.json`),
          write(`@projects/${projectId}/project.json`),
          write("projects/repo/project.json"),
          edit(`projects/${projectId}/project.json`),
          patch(`*** Update File: projects/${projectId}/project.json`, "@@", "-{", "+["),
          searched(write(`projects/${projectId}/project.json`)),
        ];
        const allowed = [
          write(`projects/${projectId}/repo/project.json`),
          write("projects/repo/repo/x.txt"),
          patch(`*** Add File: projects/${projectId}/repo/patched.txt`, "+x"),
        ];
        const lines = [...refused, ...allowed].map(({ name, args }) => call(name, args));
        const answer = await stage().say(lines.join("\n"), chat);
        expect(answer.match(/kept state of project-orchestrator/g)).toHaveLength(refused.length);
        expect(answer).toContain("Use create_project, create_task");
        for (const name of ["project.json", "patched.txt"])
          expect(await exists(path.join(folder, "repo", name))).toBe(true);
        expect(await exists(path.join(folder, "..", "repo", "repo", "x.txt"))).toBe(true);

        stage().cast.playStranger("SpawnedWriter", (turn) =>
          turn.results.length === 0 ? { calls: [write("project.json")] } : { text: "I tried." },
        );
        await stage().say(
          call("tool_call", {
            id: "sessions_spawn",
            args: { task: "SpawnedWriter, write the document.", cwd: folder, runtime: "subagent" },
          }),
          chat,
        );
        const tried = await stage().model.turns.waitFor(
          "the spawned subagent to have tried",
          (turn) => turn.brief.includes("SpawnedWriter") && turn.results[0]?.name === "write",
          { limitMs },
        );
        expect(tried.results[0]?.text).toContain("kept state of project-orchestrator");
        expect(await readFile(path.join(folder, "project.json"), "utf8")).toBe(before);
      },
    );
  });
}

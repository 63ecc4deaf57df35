/** Builders that write what only the plugin's tools may write, and ones that hide what they did to the tree. */
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { until } from "../../harness/wait.ts";
import type { ScriptedCall } from "../../harness/model.ts";
import { processesWith } from "../../src/files/process-tree.ts";
import { sessionKeyOf } from "../../src/flow/run-identity.ts";
import { runVariable } from "../../src/host/shared.ts";
import { aStep } from "../../test/gateway/stage.ts";
import {
  briefOf,
  builds,
  calls,
  done,
  edit,
  fails,
  firstAttempt,
  firstLaunch,
  good,
  inTurn,
  passes,
  passing,
  patch,
  readsOf,
  same,
  shell,
  wants,
  write,
  wrote,
  type Kind,
  type Part,
  type Scenery,
} from "./kind.ts";

const refused = /kept state of project-orchestrator[^]*record_builder_result|which only its tools change/;

/** Tries every call, reports, and is refused each of them. */
const guarded = (
  ways: (scene: { readonly repo: string; readonly taskId: string }) => readonly ScriptedCall[],
  first = "echo ok",
): Part => {
  let tried = 0;
  return {
    builder: inTurn(
      calls(shell(first)),
      ({ repo, place }) => {
        const list = ways({ repo, taskId: place.taskId });
        tried = list.length;
        return { calls: list };
      },
      wrote,
      done(),
    ),
    runs: good,
    also: ({ play }) =>
      readsOf(play, "builder")
        .slice(1, 1 + tried)
        .flatMap((one, index) => (refused.test(one) ? [] : [`way ${index + 1} was not refused: ${one.slice(0, 200)}`])),
  };
};

/** Does something to its task's files with a shell, reports, and the status has to name what was edited. */
const spoils = (command: string, ...aside: readonly string[]): Part => ({
  builder: inTurn(wrote, calls(shell(`(cd ../tasks/* && ${command}) && echo spoiled`)), done()),
  runs: good,
  also: async ({ play, call }) => {
    const names = [...(await readdir(play.folder)), ...(await readdir(path.join(play.folder, "steps")))];
    const { text } = await call("get_status", { taskId: play.taskId });
    return [
      ...wants("the shell", readsOf(play, "builder")[1] ?? "", /spoiled/),
      ...aside.flatMap((one) =>
        names.some((name) => name.startsWith(`${one}.edited-`)) ? [] : [`${one} was not kept aside`],
      ),
      ...aside.flatMap((one) => (text.includes(`${one}.edited-`) ? [] : [`the status does not name ${one}`])),
      ...same("who passed it", (await play.step("step-01")).passedBy, "qa"),
    ];
  },
});

/** A journal that is damaged: the status says so, nothing is written, and with the journal put back the task goes on. */
const damages = (command: string): Part => {
  let status = "";
  let whole = "";
  return {
    builder: firstLaunch(
      inTurn(
        wrote,
        async ({ repo, place }) => {
          whole = await readFile(path.join(repo, "..", "tasks", place.taskId, "journal.jsonl"), "utf8");
          return calls(shell(`(cd ../tasks/* && ${command}) && echo spoiled`));
        },
        done(),
      ),
      builds,
    ),
    during: async ({ play, call }) => {
      await until(
        "the status to say that the journal is damaged",
        async () => {
          status = (await call("get_status", { projectId: play.projectId })).text;
          return whole !== "" && /damaged/.test(status);
        },
        { limitMs: 60_000, everyMs: 300, explain: () => status },
      );
      // The run ends before somebody mends it, so that its report cannot slip in.
      await until("the builder to have tried to report", () => readsOf(play, "builder").length === 3, {
        limitMs: 60_000,
      });
      await writeFile(path.join(play.folder, "journal.jsonl"), whole);
    },
    also: async ({ play }) => [
      ...wants("the builder's report was answered", readsOf(play, "builder")[2] ?? "", /journal-damaged/),
      ...same("who passed it", (await play.step("step-01")).passedBy, "qa"),
    ],
  };
};

const observed = async ({ play }: Scenery) => (await play.step("step-01")).attempts[0]?.builder?.filesObserved;
const commit = "git add -A && git -c user.name=a -c user.email=a@example.org commit -qm one";
/** Puts a program and its test into the repository before the task starts. */
const withTests: NonNullable<Part["before"]> = async ({ play }) => {
  await writeFile(path.join(play.repo, "sum.mjs"), "export const sum = (a, b) => a - b;\n");
  await writeFile(
    path.join(play.repo, "sum.test.mjs"),
    'import { sum } from "./sum.mjs";\nif (sum(2, 2) !== 4) throw new Error("2 and 2 is not 4");\n',
  );
};
const checked = {
  steps: [aStep({ checks: [{ name: "tests", command: ["node", "sum.test.mjs"], timeoutSeconds: 60 }] })],
};
const mends = inTurn(
  calls(write("sum.mjs", "export const sum = (a, b) => a + b;\n")),
  done({ filesChanged: ["sum.mjs"] }),
);

export const stateKinds: readonly Kind[] = [
  {
    name: "writes the state with write",
    who: "builder",
    does: "Writes `project.json`, `task.json`, a step, a page and the journal with `write`, by relative and absolute paths, `@`, `~` and `file://`.",
    happens: "The hook refuses each with the tool to use instead; no file is touched.",
    part: () =>
      guarded(({ repo, taskId }) => [
        write("../project.json"),
        write(`../tasks/${taskId}/task.json`),
        write(`../tasks/${taskId}/steps/step-01.json`),
        write(`../tasks/${taskId}/task.md`),
        write(`../tasks/${taskId}/journal.jsonl`),
        write(path.join(repo, "..", "project.json")),
        write("@../project.json"),
        write(`file://${path.join(repo, "..", "project.json")}`),
        write(`../tasks/${taskId}/steps/step-99.json`),
      ]),
  },
  {
    name: "writes the state with edit",
    who: "builder",
    does: 'Replaces `"building"` by `"passed"` in its step\'s document with `edit`.',
    happens: "Refused by the hook; the document is as it was.",
    part: () =>
      guarded(({ taskId }) => [
        edit(`../tasks/${taskId}/steps/step-01.json`, '"building"', '"passed"'),
        edit("../project.json", '"spec"', '"x"'),
      ]),
  },
  {
    name: "writes the state with apply_patch",
    who: "builder",
    does: "Adds, updates, deletes and moves files of the state in a patch.",
    happens: "Refused by the hook, every form of it.",
    part: () =>
      guarded(({ taskId }) => [
        patch("*** Add File: ../tasks/new.json", "+{}"),
        patch(`*** Update File: ../tasks/${taskId}/task.json`, "@@", "-{", "+["),
        patch(`*** Delete File: ../tasks/${taskId}/journal.jsonl`),
        patch("*** Update File: a.txt", "*** Move to: ../project.json", "@@", "-a", "+b"),
      ]),
  },
  {
    name: "writes the state through a link",
    who: "builder",
    does: "Makes links from the repository to the state and writes through them.",
    happens: "Paths are judged by their real place: refused.",
    part: () =>
      guarded(
        () => [write("innocent.json"), write("up/project.json"), edit("innocent.json", '"spec"', '"x"')],
        "ln -s .. up; ln -s ../project.json innocent.json; echo ok",
      ),
  },
  {
    name: "writes the state by a detour of the host",
    who: "builder",
    does: "Calls `write` through the host's tool search instead of by its name.",
    happens: "The hook sees the call itself and refuses it.",
    part: () =>
      guarded(() => [{ name: "tool_call", args: { id: "write", args: { path: "../project.json", content: "{}" } } }]),
  },
  {
    name: "edits documents with a shell",
    who: "builder",
    does: "Sets its step to `passed` and the task to another title with `sed`.",
    happens:
      "The truth is written again, the edited files are kept aside and named in the status, and QA still has to pass the step.",
    part: () =>
      spoils(
        `sed -i 's/"status": "building"/"status": "passed"/' steps/step-01.json && sed -i 's/"title": "Kind/"title": "Hacked/' task.json`,
        "step-01.json",
        "task.json",
      ),
  },
  {
    name: "edits a page",
    who: "builder",
    does: 'Writes "everything passed" into `task.md` and a step\'s page.',
    happens: "Nobody reads a page back: kept aside, rendered again, named in the status.",
    part: () =>
      spoils("echo 'Everything passed.' >> task.md && echo 'Passed.' > steps/step-01.md", "task.md", "step-01.md"),
  },
  {
    name: "deletes documents and pages",
    who: "builder",
    does: "Removes `task.json`, its step's document and all pages with a shell.",
    happens: "They are written again from the journal.",
    part: () => spoils("rm task.json task.md steps/*"),
  },
  {
    name: "puts a document of its own beside the others",
    who: "builder",
    does: "Adds a finished step by writing `steps/step-00.json` with a shell.",
    happens: "Only what the journal has is a step: the file changes nothing, and `verify` names it.",
    part: () => ({
      builder: inTurn(
        wrote,
        calls(
          shell(
            `(cd ../tasks/* && echo '{"id":"step-00","index":0,"status":"passed","builder":{"status":"idle"},"qa":{"status":"idle"},"attempts":[]}' > steps/step-00.json) && echo spoiled`,
          ),
        ),
        done(),
      ),
      runs: good,
      also: async ({ play, call }) => {
        const { text } = await call("get_status", { projectId: play.projectId, verify: true });
        const steps = (await play.task()).steps.map(({ id }) => id).filter((id) => id !== "acceptance");
        await rm(path.join(play.folder, "steps", "step-00.json"));
        return [...same("the steps", steps, ["step-01"]), ...wants("the status", text, /step-00/)];
      },
    }),
  },
  {
    name: "replaces the documents by links",
    who: "builder",
    does: "Puts symbolic links to a file elsewhere in place of its step's document and page.",
    happens: "The truth is written again in place of the link; where it leads nothing is changed.",
    part: () => ({
      builder: inTurn(
        wrote,
        ({ repo }) =>
          calls(
            shell(
              `(cd ../tasks/* && for f in steps/step-01.json steps/step-01.md task.md; do ln -sf ${path.join(repo, "..", "..", "..", "..", "outside", "precious.txt")} $f; done) && echo spoiled`,
            ),
          ),
        done(),
      ),
      runs: good,
      builderReads: [/./, /spoiled/, /step-01/],
    }),
  },
  {
    name: "appends to the journal",
    who: "builder",
    does: "Appends a line of its own to the task's journal: the step has passed.",
    happens:
      "The line has no right sum: `journal-damaged` with file and line, nothing is written or trusted until a person has put the journal right; then the task goes on.",
    part: () => damages(`echo '{"id":"x","seq":99,"event":{"type":"QaReported"}}' >> journal.jsonl`),
  },
  {
    name: "empties the journal",
    who: "builder",
    does: "Truncates the task's journal with a shell.",
    happens:
      "The documents are there, so it is a lost journal: `journal-damaged`, nothing is begun anew on the empty one; with the journal put back the task goes on.",
    part: () => damages(": > journal.jsonl"),
  },
  {
    name: "deletes the journal",
    who: "builder",
    does: "Removes the task's journal with a shell.",
    happens: "The same: `journal-damaged`, nothing is begun anew; with the journal put back the task goes on.",
    part: () => damages("rm journal.jsonl"),
  },
  {
    name: "weakens the tests",
    who: "builder",
    does: "Empties the test that fails, instead of mending the program, and does not name it.",
    happens:
      "The check is green, but QA's brief lists the test among what the system saw changing; QA fails it, and the next attempt mends the program.",
    wish: checked,
    part: () => ({
      before: withTests,
      builder: firstAttempt(
        inTurn(
          calls(shell("echo 'process.exit(0);' > sum.test.mjs; echo ok")),
          done({ summary: "The tests pass.", filesChanged: [] }),
        ),
        mends,
      ),
      qa: firstAttempt(fails("The test was emptied."), passes),
      runs: [...good, "builder 2.1 reported", "qa 2.1 reported"],
      also: async (scene) => [
        ...same("observed", await observed(scene), ["sum.test.mjs"]),
        ...wants("QA's brief", briefOf(scene.play, "qa"), /look at these first:\n\n```text\nsum\.test\.mjs\n```/),
      ],
    }),
  },
  {
    name: "deletes the tests",
    who: "builder",
    does: "Removes the failing test and says nothing of it.",
    happens: "The check fails without it, before QA is asked; the next builder reads why.",
    wish: checked,
    part: () => ({
      before: withTests,
      builder: firstAttempt(
        inTurn(
          calls(shell("rm sum.test.mjs; echo ok")),
          done({ summary: "Nothing fails any more.", filesChanged: [] }),
        ),
        inTurn(
          calls(
            write("sum.mjs", "export const sum = (a, b) => a + b;\n"),
            write("sum.test.mjs", 'import "./sum.mjs";\n'),
          ),
          done({ filesChanged: ["sum.mjs", "sum.test.mjs"] }),
        ),
      ),
      runs: ["builder 1.1 reported", "builder 2.1 reported", "qa 2.1 reported"],
      also: async (scene) => [
        ...same("observed", await observed(scene), ["sum.test.mjs"]),
        ...wants("the next brief", briefOf(scene.play, "builder", 2), /Check tests [^]*sum\.test\.mjs/),
      ],
    }),
  },
  {
    name: "claims green tests",
    who: "builder",
    does: "Reports exit code 0 for tests that fail.",
    happens:
      "The step's checks are run by the system: the attempt fails without QA, and the next builder reads the output.",
    wish: checked,
    part: () => ({
      before: withTests,
      builder: firstAttempt(
        inTurn(done({ filesChanged: [], testsRun: [{ command: "node sum.test.mjs", exitCode: 0 }] })),
        mends,
      ),
      runs: ["builder 1.1 reported", "builder 2.1 reported", "qa 2.1 reported"],
      also: ({ play }) => wants("the next brief", briefOf(play, "builder", 2), /2 and 2 is not 4/),
    }),
  },
  {
    name: "hides its changes in a commit",
    who: "builder",
    does: "Commits its work in the repository, so that git shows no difference, and reports no files.",
    happens: "The system compares trees of its own: QA's brief names the files.",
    part: () => ({
      before: withTests,
      builder: inTurn(
        calls(shell(`echo x > sum.test.mjs; git init -q; ${commit}; echo ok`)),
        done({ filesChanged: [] }),
      ),
      runs: good,
      also: async (scene) => same("observed", await observed(scene), ["sum.test.mjs"]),
    }),
  },
  {
    name: "hides its changes from git",
    who: "builder",
    does: "Writes a `.gitignore` that ignores everything, itself included, and changes files behind it.",
    happens:
      "Files that were there are named as ever; of new ones that git is told to ignore the ignore file is named.",
    part: () => ({
      before: withTests,
      builder: inTurn(
        calls(shell("echo '*' > .gitignore; echo x > sum.test.mjs; echo x > hidden.txt; echo ok")),
        done({ filesChanged: [] }),
      ),
      runs: good,
      also: async (scene) => same("observed", await observed(scene), [".gitignore", "sum.test.mjs"]),
    }),
  },
  {
    name: "changes files after its report",
    who: "builder",
    does: "Leaves a process outside of every group that changes a file once QA has begun.",
    happens: "The tree at the verdict is not the one that QA was given: the attempt and the page name the file.",
    part: () => ({
      builder: inTurn(
        wrote,
        calls(
          shell(
            "setsid env -i sh -c 'while [ ! -e go ]; do sleep 0.1; done; echo late > late.txt' > /dev/null 2>&1 & echo ok",
          ),
        ),
        done(),
      ),
      qa: inTurn(calls(shell("touch go; while [ ! -e late.txt ]; do sleep 0.1; done; rm go; echo seen")), passing),
      runs: good,
      also: async ({ play }) => [
        ...same("changed after the build", (await play.step("step-01")).attempts[0]?.tree.changedAfterBuild, [
          "late.txt",
        ]),
        ...wants("the page", await play.page("steps/step-01"), /Changes after the builder's run[^]*late\.txt/),
      ],
    }),
  },
  {
    name: "leaves processes behind",
    who: "builder",
    does: "Starts servers in the background, in its group and in sessions of their own, and reports.",
    happens: "They are ended with its run, before QA starts.",
    part: () => {
      let alive = -1;
      return {
        builder: inTurn(
          wrote,
          calls(
            { name: "exec", args: { command: "sleep 3600", background: true } },
            shell("setsid sleep 3600 > /dev/null 2>&1 & (sleep 3600 > /dev/null 2>&1 &) ; echo ok"),
          ),
          done(),
        ),
        qa: async (scene) => {
          if (alive < 0) {
            const key = sessionKeyOf("main", { ...scene.place, role: "builder" });
            alive = (await processesWith(runVariable, key)).length;
          }
          return passes(scene);
        },
        runs: good,
        also: () => same("processes at the start of QA", alive, 0),
      };
    },
  },
  {
    name: "removes the repository",
    who: "builder",
    does: "Deletes its own working directory with a shell and reports.",
    happens:
      "Its claims are refused or its runs lost in plain words; the person is asked, and with the directory back the task goes on.",
    part: () => ({
      builder: firstAttempt(
        inTurn(wrote, calls(shell("cd .. && rm -rf repo && echo removed")), done({ filesChanged: [] })),
        builds,
      ),
      during: async ({ play, call }) => {
        const { question } = await play.untilStep("step-01", "blocked");
        if (!/repo/.test(question?.text ?? "")) throw new Error(`the question is ${question?.kind}: ${question?.text}`);
        await play.untilQuiet();
        await mkdir(play.repo, { recursive: true });
        await call("set_step_status", {
          taskId: play.taskId,
          stepId: "step-01",
          status: "queued",
          reason: "It is back.",
        });
      },
    }),
  },
  {
    name: "puts a link in place of the repository",
    who: "builder",
    does: "Replaces its working directory by a link to a folder outside of the root.",
    happens: "The real place is checked at each launch: QA is not launched there, and the person is asked.",
    part: () => ({
      builder: inTurn(
        wrote,
        ({ repo }) =>
          calls(
            shell(
              `cd .. && rm -rf repo && ln -s ${path.join(repo, "..", "..", "..", "..", "outside")} repo && echo linked`,
            ),
          ),
        done({ filesChanged: [] }),
      ),
      ends: "blocked",
      also: async ({ play }) => {
        const { question } = await play.step("step-01");
        return [
          ...same("the question", question?.kind, "runs-lost"),
          ...wants("the question", question?.text ?? "", /repo/),
        ];
      },
    }),
  },
  {
    name: "changes 2,000 files",
    who: "builder",
    does: "Makes and reports 2,000 files.",
    happens: "All are recorded; QA's brief stays bounded, says that it was cut and where the whole list is.",
    part: () => ({
      builder: inTurn(
        calls(shell("mkdir d && cd d && seq -f 'file-%04.0f.txt' 1 2000 | xargs touch; echo ok")),
        done({
          filesChanged: Array.from({ length: 2_000 }, (_, index) => `d/file-${String(index + 1).padStart(4, "0")}.txt`),
        }),
      ),
      runs: good,
      also: async (scene) => [
        ...same("observed", (await observed(scene))?.length, 2_000),
        ...(Buffer.byteLength(briefOf(scene.play, "qa")) < 200_000 ? [] : ["QA's brief is not bounded"]),
        ...wants("QA's brief", briefOf(scene.play, "qa"), /cut/),
      ],
    }),
  },
  {
    name: "deletes what earlier steps built",
    who: "builder",
    does: "In its second step removes the file that the first step delivered, and says nothing of it.",
    happens: "QA's brief of that step names the deleted file as changed.",
    wish: { steps: [aStep(), aStep()] },
    part: () => ({
      builder: (scene) =>
        scene.place.stepId === "step-01"
          ? builds(scene)
          : inTurn(calls(shell("rm step-01.txt; echo ok")), done({ filesChanged: [] }))(scene),
      runs: good,
      also: async ({ play }) =>
        same("observed in step 2", (await play.step("step-02")).attempts[0]?.builder?.filesObserved, ["step-01.txt"]),
    }),
  },
  {
    name: "fails in the same way twice",
    who: "builder",
    does: "Changes nothing after QA's findings and reports done again.",
    happens: "The same findings on the same tree: the person is asked (`no-progress`), no further attempt is spent.",
    part: () => ({
      builder: firstAttempt(builds, inTurn(done())),
      qa: fails(),
      ends: "blocked",
      runs: [...good, "builder 2.1 reported", "qa 2.1 reported"],
      also: async ({ play }) => same("the question", (await play.step("step-01")).question?.kind, "no-progress"),
    }),
  },
];

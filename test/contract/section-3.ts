import type { Rules } from "./rules.ts";

/** What is on disk: names, ids, documents, pages, bounds. */
export const files = {
  "s3.name-length":
    "A name or title has 1 to 200 characters; another length is `invalid-name`, and the refusal says what would be accepted.",
  "s3.name-control": "A name or title with a control character is `invalid-name`.",
  "s3.name-bidi": "A name or title with a character that overrides the direction of text is `invalid-name`.",
  "s3.name-verbatim": "An accepted name stands in its document exactly as it was given.",
  "s3.project-slug":
    "A project's id is made from its name: a-z, 0-9 and dashes, cut at 60 characters, no dash at either end.",
  "s3.empty-slug":
    "A name that leaves nothing for the id gives `project-` or `task-` and the first 8 hex digits of the name's sha256.",
  "s3.project-id-taken": "A second project whose name leads to the id of the first is `id-taken`.",
  "s3.task-id":
    "A task's id is made from its title like a project's, a dash and 8 hex digits that differ for tasks of the same title.",
  "s3.step-id-generated": "Steps without an id of their own are step-01, step-02 and so on by position.",
  "s3.step-id-given": "A step's own id matches ^[a-z0-9][a-z0-9-]{0,59}$; any other is `invalid-id`.",
  "s3.step-id-collision":
    "A generated step id never meets a given one, and the same given id twice in a task is `id-taken`.",
  "s3.layout":
    "A project is `projects/<id>/` with project.json, project.md, journal.jsonl, .gitignore and repo/; a task is `tasks/<id>/` in it with task.json, task.md, journal.jsonl and a .json and .md per step in steps/.",
  "s3.project-fields": "project.json has its named fields in a fixed order, and does not list the tasks.",
  "s3.task-fields": "task.json has its named fields in a fixed order; of a step it lists id, index, title and file.",
  "s3.step-fields": "step.json has its named fields in a fixed order, and so has each attempt in it.",
  "s3.step-status-once": "A step's progress changes its own document only: its status stands nowhere else.",
  "s3.sums-computed": "No document holds a sum of others' costs, tokens or counts.",
  "s3.criterion-ids": "Criteria are c1, c2, … in a step and a1, a2, … in a task.",
  "s3.acceptance-criteria": "The step `acceptance` judges the task's criteria under the task's ids.",
  "s3.question-fields":
    "A question has id, kind, text, choices and askedAt; it is in the step, or for a cancelled dependency in the task.",
  "s3.question-kinds":
    "A question is one of attempts-used, no-progress, runs-lost, builder-asks, held, acceptance-failed and dependency-cancelled.",
  "s3.question-answered":
    "The commit that answers a question clears it; what was answered and by whom stays in the attempt.",
  "s3.rev": "A document's rev is 1 at first and grows by one in each commit that changes it, and in no other.",
  "s3.times": "createdAt and updatedAt are ISO 8601 in UTC: when the document was made, and when it last changed.",
  "s3.format": "A document is JSON with two spaces, its keys in one order whoever wrote it, and a final newline.",
  "s3.newer-schema":
    "A document with a greater schemaVersion makes its stream read-only: every change is `newer-schema`, which names the document, its version and the one known, and nothing is written.",
  "s3.project-copied":
    "A project or task in a folder of another name than its id is read-only: every change is `project-copied`, and nothing there is written.",
  "s3.project-copied-tools": "Every tool that changes something refuses a task of a copied project folder.",
  "s3.gitignore":
    "Version control sees documents, pages, journals and .gitignore of a project, and no sidecar, no copy kept aside, nothing of repo/.",
  "s3.session-keys":
    "No file that version control sees holds the key of a chat's session: documents and records hold a hash of it.",
  "s3.page-last-line":
    "The last line of every page says that it is generated, from which stream and which change of it, and the sha256 of what is above it.",
  "s3.task-pages":
    "task.md and a step's page are written with each commit that changes their document or what they show, and name it.",
  "s3.project-page-when":
    "project.md is written when the project or the status of one of its tasks changes, and not for other changes of a task.",
  "s3.project-page-tasks":
    "project.md counts the tasks by status and lists at most 200, unfinished ones first, then the latest.",
  "s3.bound-spec": "A spec has at most 1 MiB.",
  "s3.bound-goal": "A goal has at most 16 KiB.",
  "s3.bound-criteria": "A criterion has at most 2 KiB; a step has at most 50 and a task at most 100.",
  "s3.bound-notes": "Summary, feedback, reason and question have at most 8 KiB each.",
  "s3.bound-evidence": "The evidence of a judgement has at most 2 KiB.",
  "s3.bound-output": "Of a check's output the last 8 KiB are kept.",
  "s3.bound-steps": "A call makes at most 200 steps; a task has at most 2,000.",
  "s3.bound-checks":
    "A step has at most 20 checks; a command at most 64 words of 4 KiB; its time limit is 1 to 3,600 seconds, 300 when none is given.",
  "s3.bound-files": "A builder reports at most 2,000 paths of 1 KiB each, as changed and as deleted.",
  "s3.bound-tests": "A builder reports at most 100 test runs.",
  "s3.bounds-bytes": "Texts are measured in bytes of UTF-8, not in characters.",
  "s3.ids-inside": "No id of a project, task or step leads to a file outside its own folder.",
} satisfies Rules;

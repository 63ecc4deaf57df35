import type { Rules } from "./rules.ts";

/** Who may call which tool, what it takes, answers and refuses. */
export const tools = {
  // Parameters and answers in general
  "s5.parameters-exact":
    "Each tool takes exactly the parameters of the table: names, types, required ones, words of an enum.",
  "s5.parameters-closed": "A parameter that a tool does not know is refused, at every level.",
  "s5.parameters-flat": "Parameter schemas have no unions, and enums of strings only.",
  "s5.parameters-described": "Each field of a tool's parameters has a description.",
  "s5.host-sees-no-bounds":
    "The schema shown to the host has types, required fields, enums and closedness, and no bound.",
  "s5.bounds-are-our-refusal": "Exceeding a bound gets our refusal in a model's turn and in a direct call alike.",
  "s5.host-rejects-unchanged": "What the host itself rejects changes nothing and is told in the host's words.",
  "s5.answer-in-two-halves": "A result has a short text for the model and typed details that the model is not sent.",
  "s5.no-failure-keys": "No answer has a top-level key in its details that the host reads as failure.",

  // dependsOn of create_task
  "s5.task-dependencies":
    "A task's dependsOn names existing tasks of its project, each once; else it is refused as unknown-dependency.",

  // repo of create_project
  "s5.repo-where": "repo is an existing directory inside the root or inside a directory of allowedRepos.",
  "s5.repo-real-path": "repo is judged and kept by its real path.",
  "s5.repo-never": "repo is neither the root nor projects/ nor a directory that contains one of them.",
  "s5.repo-never-kept": "repo lies in the kept state of no project, of another known root either.",
  "s5.repo-default": "Without repo a project works in a directory repo of its own, which is made.",
  "s5.repo-at-launch": "repo is judged again at each launch.",

  // Who may call
  "s5.orchestrator-no-subagent": "A subagent session is offered no orchestrator tool and is refused one.",
  "s5.orchestrator-no-role": "An agent that plays a role is no orchestrator.",
  "s5.orchestrators-listed": "With orchestrators set only its agents orchestrate.",
  "s5.non-owner-nothing": "A turn that a sender who is not an owner began is offered no tool, unless allowNonOwners.",
  "s5.no-sender-offered": "In wake-up and scheduled turns the tools are offered.",
  "s5.no-sender-no-decision": "In wake-up and scheduled turns a decision of a person is refused.",
  "s5.role-tools-apart":
    "A builder is offered record_builder_result, QA record_qa_result, neither anything else of ours.",

  // Decisions of a person
  "s5.decision-passed-skipped": "Setting a step to passed or skipped is a person's decision.",
  "s5.decision-answer": "Any answer to an open question is a person's decision, by whichever tool it is given.",
  "s5.decision-without-dependency": "Going on without a cancelled dependency is a person's decision.",
  "s5.decision-owner-flag":
    "A decision is accepted exactly when the host says senderIsOwner true; false and undefined refuse.",
  "s5.decision-operator": "An authenticated operator call may decide, and one without the owner's rights may not.",
  "s5.decision-in-execute": "Whose decision it is is tested when the tool is called: it refuses person-required.",
  "s5.passed-by": "passedBy is qa or person, a person's with the reason.",
  "s5.pages-say-person": "Pages say of a step that a person accepted: accepted by a person, not by QA.",

  // Reporting tools
  "s5.report-no-ids": "A reporting tool takes no ids.",
  "s5.report-own-turn":
    "A report is accepted only inside a model turn of the current run, known by the host's run id of that call.",
  "s5.report-not-in-run": "A direct call of a reporting tool is refused not-in-run.",
  "s5.files-relative":
    "filesChanged and filesDeleted are relative to the repo with / between folders; an absolute path is refused.",
  "s5.files-inside": "A reported path that leaves the repo is refused, also when a link leads out.",
  "s5.files-may-be-empty": "filesChanged may be empty.",
  "s5.files-changed-are": "A path in filesChanged that is no file now is refused.",
  "s5.files-deleted-are-not": "A path in filesDeleted that still is a file is refused.",
  "s5.files-all-listed": "One refusal lists all wrong paths.",
  "s5.files-observed": "What really changed is compared by the system, and QA's brief lists that.",
  "s5.judge-each-once": "A judgement that does not judge each criterion of the step exactly once is refused.",
  "s5.judge-evidence": "A judgement without evidence for a criterion is refused.",
  "s5.judge-feedback": "A judgement that fails a criterion needs feedback.",

  // Details
  "s5.details-create-project": "create_project answers projectId, projectPath and repoPath.",
  "s5.details-create-task": "create_task answers taskId, taskPath, stepIds and flowId.",
  "s5.details-create-step": "create_step answers taskId and stepId.",
  "s5.details-task": "start_task and set_task_status answer taskId and the computed taskStatus.",
  "s5.details-step": "set_step_status and the reporting tools answer taskId, stepId, stepStatus and attempt.",
  "s5.details-status":
    "get_status answers projects, project, task, step, waitsFor, next, truncated and verify, nothing else.",
  "s5.details-refusal": "A refusal's details are code, reason and accepts, strings all.",
  "s5.details-paths":
    "projectPath and taskPath are the absolute paths of the documents, repoPath the real absolute directory.",

  // Refusals and repeated calls
  "s5.refusal-returned": "A refusal is returned, never thrown.",
  "s5.refusal-says-all":
    "A refusal has a stable kebab-case code, what was wrong with which value, and what would be accepted.",
  "s5.refusal-not-destructive": "A refusal contains no ready-made destructive command.",
  "s5.refusal-writes-nothing": "A refused call leaves every byte of the project folder as it was.",
  "s5.same-call": "The same call within ten minutes has one effect and the same answer.",
  "s5.same-call-parts": "A call is the same when session, run id, tool call id, tool and parameters are equal.",

  // get_status
  "s5.status-counts": "get_status without ids lists all projects, with counts of their tasks only.",
  "s5.status-overview-asks":
    "get_status without ids names each project with open questions, and their number, whatever status their tasks have.",
  "s5.status-bounded": "get_status answers at most 24 KB, measured in UTF-8 bytes, whatever there is.",
  "s5.status-cut-said": "What is cut from a status answer is said, and how to ask for the rest.",
  "s5.status-waits":
    "waitsFor names the task, slot, tree, person's question or run that a task waits for, by a stable id.",
  "s5.status-names-dependency": "get_status names a draft, paused or blocked dependency that a task waits for.",
  "s5.status-next": "next says for every state what to do, with the tool and its values.",
  "s5.status-verify": "verify compares every file with its journal and says what differed.",
  "s5.status-shows-unreadable":
    "What cannot be read or must not be written is shown with the reason, and hides nothing else.",
  "s5.status-shows-edited": "The status says which kept files were found changed.",
  "s5.status-changes-nothing": "get_status needs no person and changes nothing.",

  // Text of others
  "s5.quoted-only": "Text of agents and people appears in get_status only as a quotation marked as no instruction.",
  "s5.quoted-in-chat": "Text of agents and people appears in a chat only as a quotation marked as no instruction.",
  "s5.quotation-escaped": "In a quotation control and fence characters are escaped.",
  "s5.quotation-cut": "A quotation has at most 500 characters.",
  "s5.quotation-page": "The path of the page that has the rest stands beside a quotation that was cut.",
} satisfies Rules;

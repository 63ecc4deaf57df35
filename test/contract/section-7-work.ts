import type { Rules } from "./rules.ts";

/** What is observed of the work: tree, files, QA's hands, guard, leftovers, checks, briefs. */
export const work = {
  "s7.tree-by-git": "A working tree is identified by git's tree of its files, whether or not it is a git repository.",
  "s7.tree-by-hash": "Where git cannot be started, a working tree is identified by a hash over its files.",
  "s7.tree-left-alone": "Identifying a tree writes nothing into it, its own .git with its index included.",
  "s7.tree-names-files": "Two identities of one kind tell which files were made, changed or removed between them.",
  "s7.tree-files-observed":
    "filesObserved names what differs between the beginning of an attempt and the end of its builder's run, whatever the builder claims.",
  "s7.tree-shared":
    "With more than one step at a time, an attempt's tree comparison is marked as shared and blames nobody.",
  "s7.tree-changed-after-build":
    "Files that change between the end of the builder's run and the end of QA's are named in the attempt, on its page and in the briefs that follow.",

  "s7.qa-no-file-tools": "QA's write, edit and apply_patch are refused, inside the repository too.",
  "s7.qa-no-sessions": "Tools that start other sessions are refused to QA and to builders.",
  "s7.qa-shell-seen": "What QA's shell changes in the work is named in the attempt, and the verdict stands.",

  "s7.guard-state":
    "write, edit and apply_patch below projects/ are refused to every session: builder, QA, the chat, and subagents of others.",
  "s7.guard-known-roots":
    "The guard holds in each root that the configuration names, that is remembered or that is open, also before anything of it was opened in the process.",
  "s7.guard-repo-free": "Exactly <projectId>/repo/ below projects/ may be written with file tools.",
  "s7.guard-paths":
    "A path is judged by where the host would write: @, file:// and its encoding, ~, .., links and the session's working directory.",
  "s7.guard-says-instead": "The guard's refusal names the tool that the caller has to use instead.",
  "s7.guard-every-route": "The guard holds for a file tool that is reached through Tool Search as well.",
  "s7.guard-shell-edit":
    "A document or page that a run's shell edits or removes is put right, an edit is kept aside and named in the status, and the task ends as if nothing had been touched.",
  "s7.guard-no-proof": "The docs say that sums find damage and do not prove who wrote a record.",

  "s7.leftovers-ended": "Processes that a run leaves in the background are ended with it.",
  "s7.secrets-blank":
    "Variables of the gateway's environment that are named like secrets or hold an address with a password are blank in the shells of runs.",

  "s7.checks-no-shell": "A check's program is started with its words as they are, without a shell.",
  "s7.checks-time-limit":
    "At its time limit a check is ended with every process that it started, and counts as failed.",
  "s7.checks-output": "Of a check's output the last 8 KiB are kept.",
  "s7.checks-environment":
    "A check's environment is PATH, HOME, LANG and a temporary folder of its own, which is gone afterwards, and nothing else.",
  "s7.checks-not-run":
    "Checks that could not be run, because no program was found or the configuration refused it, use up no attempt: the person is asked.",
  "s7.checks-left":
    "What a killed gateway left of the checks of a step is ended before a check of that step runs again.",
  "s7.checks-allow": "A check is run only when checks.allow names its program, at creation and when it is to run.",
  "s7.checks-no-slash": "A check's program is a name without a slash.",
  "s7.checks-on-path":
    "A check's program is the first of its name on the gateway's PATH outside the projects' folders and the repository.",
  "s7.checks-program-recorded": "The absolute path of the program that a check used is kept with its result.",
  "s7.checks-confined":
    "A builder counts as confined when the host's configuration sandboxes its agent or gives its commands another policy than full.",
  "s7.checks-unconfined-created": "Checks for a confined builder are refused when they are created: checks-unconfined.",
  "s7.checks-unconfined-run": "A check is not run when the builder is confined by then.",
  "s7.checks-allow-unconfined": "With checks.allowUnconfined checks are accepted and run for confined builders.",

  "s7.builder-brief-specs": "The builder's brief has the project's spec, the task's spec and its acceptance criteria.",
  "s7.builder-brief-step": "The builder's brief has its step's goal, criteria and checks.",
  "s7.builder-brief-delivered": "The builder's brief says what earlier steps delivered.",
  "s7.builder-brief-findings": "The builder's brief has every finding of every earlier attempt.",
  "s7.builder-brief-place": "The builder's brief says where the tree is and how to report.",
  "s7.qa-brief-criteria": "QA's brief has each criterion that it has to judge.",
  "s7.qa-brief-claim": "QA's brief has what the builder claims, as a claim.",
  "s7.qa-brief-observed": "QA's brief has what the system observed of the files.",
  "s7.qa-brief-checks": "QA's brief has the results of the checks.",
  "s7.qa-brief-where": "QA's brief says where to look: the tree, the files that changed, the pages.",
  "s7.qa-brief-judging": "QA's brief tells it to judge by looking and running and not by the claim.",
  "s7.brief-fence":
    "Text of people and agents in a brief is fenced as data with a fence that the text does not contain.",
  "s7.brief-bounded": "A brief has at most 60,000 bytes, whatever it is made of.",
  "s7.brief-cut": "What a brief leaves out is said, with the path of the page that holds the whole.",
} satisfies Rules;

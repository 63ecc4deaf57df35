import type { Rules } from "./rules.ts";

/** What a person hears and sees: notices, quotations, cost, time, activity. */
export const people = {
  "s7.told-passed": "The chat is told of each step that passes, and whether QA or a person accepted it.",
  "s7.told-sent-back":
    "The chat is told of each step that goes back to its builder, with the criteria or checks that failed.",
  "s7.told-question":
    "The chat is told of each question with its text, its choices and the tool that carries each of them out, unless it was answered before a turn could tell it.",
  "s7.told-done":
    "The chat is told that a task is done once its last run has ended, with the last summary and the tokens and cost of all runs.",
  "s7.told-where": "The chat whose person last started the task, or let it go on, is told; no other chat is.",
  "s7.told-by-wake": "A notice wakes the chat; what comes close together is told in one turn.",
  "s7.told-after-abort": "What a turn carried that was ended before the model had answered is told in a later turn.",
  "s7.told-after-restart": "What was not told when the gateway died is told after its restart.",
  "s7.told-once": "What a turn has told is not told again, after a restart neither.",
  "s7.told-per-root":
    "What one root of the process has to tell stays when another is driven no more, or a question of the same name is answered there.",
  "s7.told-by-any-model":
    "Where the host shows no calls of the model, the end of the turn that carried a notice counts as the receipt, unless it was aborted or failed.",
  "s7.notify-off": "`notify: off` silences everything but questions.",
  "s7.notify-tasks": "`notify: tasks` tells of questions and of the end of tasks, not of steps.",
  "s7.usage-kept":
    "When a run has ended, the tokens and cost of every message of its session are kept with it, however many there are.",
  "s7.usage-unknown": "A run whose use the host cannot tell is kept as not measured, and sums say how many they lack.",
  "s7.usage-sums":
    "The status shows the sums of the runs of an attempt, a step, a task and a project; the pages of a step and a task show theirs.",
  "s7.time-shown":
    "Status and pages say how long runs, checks and tasks took; the status says it of what goes on, too.",
  "s7.activity":
    "While a run is live, the status says what its last event was, which tool it uses and since when; none of it is stored.",
} satisfies Rules;

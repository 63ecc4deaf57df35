import type { Rules } from "./rules.ts";

/** Where, when and how long runs go: parallel work, working trees, limits, launches, losses. */
export const runs = {
  "s7.driver-woken": "A commit of any evaluation of the plugin in the process wakes the driver.",
  "s7.intent-first": "A run is committed with its id and its session before the host is asked to launch it.",
  "s7.launch-confirmed": "A launch that the host took is confirmed by a second commit.",
  "s7.run-id": "A run's id is task/step/attempt/role/launch, and its session's key follows from it and the agent.",
  "s7.run-id-at-host": "The host runs a run under exactly that id.",
  "s7.start-settles-runs": "At start every unfinished task is read and each of its open runs is settled.",
  "s7.transitions-once": "Whenever the process ends, each transition is made exactly once.",
  "s7.runs-at-least-once": "Whenever the process ends, each run that is due is launched at least once.",
  "s7.one-live-run": "A step never has two live runs of one role.",
  "s7.refused-told":
    "While the host or the disk refuses what a task needs, its status says since when and in which words.",
  "s7.host-deadline":
    "A call that the host does not answer in time counts as refused and is made again, and nobody waits for it for ever.",
  "s7.stop-waits":
    "A run that was stopped holds back the next one until the host says that it has ended or that it has no such run.",
  "s7.runs-fenced": "A late or repeated report changes nothing of the step and is told so.",
  "s7.run-directory": "Every run works in the repository's absolute path, and its brief names it.",
  "s7.tree-exclusive":
    "Runs of two tasks never overlap in one working tree: the same real directory, or one inside the other.",
  "s7.tree-waits": "A task whose tree another one works in waits for it, and waitsFor says tree.",
} satisfies Rules;

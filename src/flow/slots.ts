/**
 * Who may work: at most `parallelTasks` tasks at a time in the whole process, and never two tasks in the same working
 * tree (the same directory, or one inside the other). A task keeps its place until nothing of it is live or due, so
 * that another task never builds on its half-done step.
 *
 * A task that was paused in the middle of a step gives back its place, and with it the tree, as soon as its last run or
 * check has ended: it may stay paused for days, and nobody else should wait for that. So another task may change the tree
 * meanwhile. When the paused one goes on it asks for a place like any other, and what changed between its builder's end
 * and QA's verdict is named in the attempt.
 *
 * Synchronous, in memory, made anew at every start.
 */
import type { Hold } from "./ports.ts";

/** A task that wants to work: `key` is unique among all roots, `tree` a real absolute directory, `wake` is called when a place becomes free. */
export type Claim = { readonly key: string; readonly taskId: string; readonly tree: string; wake(): void };

export type Slots = {
  /** Takes a place for the task, or says what it must wait for. A task that has a place keeps it. */
  take(claim: Claim): Hold | undefined;
  /** Notes that runs of the task are live already (found at start); never refused. */
  keep(claim: Claim): void;
  /** Gives the place back and wakes those who were refused since, in the order in which they asked. */
  leave(key: string): void;
  /** What the task waits for, when its last `take` was refused. */
  holdOf(key: string): Hold | undefined;
};

/** Makes empty slots; `parallelTasks` is asked at each `take`, so that a changed configuration counts at once. */
export function createSlots(parallelTasks: () => number): Slots {
  const places = new Map<string, Claim>();
  const waiting = new Map<string, Claim>();

  /** Of a task that has no place itself. */
  function holdFor(claim: Claim): Hold | undefined {
    const others = [...places.values()];
    const sharing = others.find((place) => overlaps(place.tree, claim.tree));
    if (sharing !== undefined) return { kind: "tree", id: sharing.taskId };
    const first = others[0];
    return first !== undefined && others.length >= parallelTasks() ? { kind: "slot", id: first.taskId } : undefined;
  }

  return {
    take(claim) {
      if (places.has(claim.key)) return undefined;
      const hold = holdFor(claim);
      if (hold === undefined) {
        waiting.delete(claim.key);
        places.set(claim.key, claim);
      } else waiting.set(claim.key, claim);
      return hold;
    },
    keep(claim) {
      waiting.delete(claim.key);
      places.set(claim.key, claim);
    },
    leave(key) {
      waiting.delete(key);
      if (places.delete(key)) for (const claim of [...waiting.values()]) claim.wake();
    },
    holdOf(key) {
      const claim = waiting.get(key);
      return claim === undefined ? undefined : holdFor(claim);
    },
  };
}

/** True when the directories are the same or one contains the other. Both are real absolute paths. Pure. */
export function overlaps(one: string, other: string): boolean {
  return one === other || one.startsWith(`${other}/`) || other.startsWith(`${one}/`);
}

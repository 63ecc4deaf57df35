/**
 * Driving in this gateway: for each root, take the lease, make a driver, resume. A root whose lease another gateway has
 * is looked at again every few seconds; its tools go on working meanwhile.
 *
 * Everything here runs in the service's own async context: work that inherits a tool call's context may not launch runs
 * once that call's turn is over, so commits made by tools are handed over through a snapshot taken at start.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { realPlace } from "../files/paths.ts";
import { createWorktree } from "../files/worktree.ts";
import { createDriver, type Driver } from "../flow/driver.ts";
import type { Clock, Worktree } from "../flow/ports.ts";
import { createSlots } from "../flow/slots.ts";
import { renderBuilderBrief, renderQaBrief } from "../render/briefs.ts";
import type { Settings } from "../schema/config.ts";
import { parseProject } from "../schema/documents.ts";
import { OrchestratorError, codeOf } from "../errors.ts";
import { type Cursor, type Store, type Stream } from "../store/store.ts";
import { createRecorder } from "../tools/driver-tools.ts";
import { createTaskReader } from "../tools/task-reader.ts";
import { stateOf } from "../tools/tool.ts";
import { createAgentRunner } from "./agent-runner.ts";
import { createCheckRunner } from "./check-runner.ts";
import { createDesk } from "./desk.ts";
import { createFlowRecords, readKnownTasks, settleFlows, youngMs } from "./flow-records.ts";
import { drivenElsewhere, takeLease } from "./lease.ts";
import { createNotifier, noteTurnEnd } from "./notifier.ts";
import type { Host } from "./openclaw.ts";
import { closeRoots, createRememberedRoots, hasProjects, knownRoots, openRoot, openRoots } from "./roots.ts";
import { noteSign, shared, type OpenRoot } from "./shared.ts";
import { tellWhatEnded } from "./told.ts";

export type Driving = {
  /** Begins to drive every known root; call it once the host accepts runs. Again is harmless. */
  begin(): void;
  /** Stops driving; what runs is left as it is. `end` follows. */
  cease(): void;
  /** Stops driving and closes the stores; live runs go on. */
  end(): Promise<void>;
};

/** How long until a root is tried again whose lease another gateway has, or that could not be opened. */
const againMs = 5_000;
const longestAgainMs = 60_000;
/** How often it is looked for roots whose projects were not there before. */
const rootsMs = 60_000;
/** How often commits of other processes are looked for. */
const followMs = 5_000;

const systemClock: Clock = {
  now: Date.now,
  elapsed: () => Math.round(performance.now()),
  wait: (ms, signal) => pause(ms, undefined, { signal, ref: false }).catch(() => undefined),
};

/** To be made in the async context of the service's start, in which everything is done then. */
export function createDriving(host: Host, clock = systemClock): Driving {
  const inService = AsyncLocalStorage.snapshot();
  const remembered = createRememberedRoots(host.stateDir());
  const slots = createSlots(() => host.settings().parallelTasks);
  const ending = new AbortController();
  const attended = new Map<string, Promise<void>>();
  const unsubscribe = host.api.runtime.events.onAgentEvent((event) => {
    noteSign(event.runId, event.sessionKey, event.ts, event.stream);
    if (event.stream === "lifecycle") noteTurnEnd(event.runId, event.data);
  });
  let begun = false;

  const words = (error: unknown) => (error instanceof Error ? error.message : String(error));
  const wait: Clock["wait"] = (ms, signal) => clock.wait(ms, signal);

  /** Work that nobody waits for: what it throws is told in the log. */
  const aside = (what: string, work: () => Promise<void>): void =>
    inService(() => void work().catch((error: unknown) => host.log.error(`${what}: ${words(error)}`)));

  /** Work that must be done: tried again, less and less often, until it comes to its end or the signal says to stop. */
  const insist = (what: string, signal: AbortSignal, work: () => Promise<void>): void =>
    aside(what, async () => {
      for (let failures = 0; !signal.aborted; failures += 1) {
        try {
          return await work();
        } catch (error) {
          host.log.warn(`${what} is tried again: ${words(error)}`);
          await wait(Math.min(againMs * 2 ** failures, longestAgainMs), signal);
        }
      }
    });

  shared().onCommit = (root, stream) =>
    aside(`a commit below ${root}`, async () => {
      await remembered.add(root);
      if (begun) attend(root);
      (await openRoots()).find((one) => one.root === root)?.driver?.committed(stream);
    });

  /** Drives a root from now on, whenever it can be opened and its lease can be had. Again is harmless. */
  function attend(root: string): void {
    if (attended.has(root) || ending.signal.aborted) return;
    attended.set(
      root,
      inService(async () => {
        for (let failures = 0; !ending.signal.aborted;) {
          let open: OpenRoot | undefined;
          try {
            open = await openRoot(root, (message) => host.log.warn(message));
            await driveWhileLeased(open);
            failures = 0;
          } catch (error) {
            const what = `the projects below ${root} are not driven now`;
            host.log.error(`${what}: ${words(error)}`);
            if (open !== undefined)
              open.remark = `${what} (${codeOf(error)}), which is tried again by itself; the gateway's log says why`;
            failures += 1;
          }
          await wait(Math.min(againMs * 2 ** failures, longestAgainMs), ending.signal);
        }
      }),
    );
  }

  /** Takes the lease and drives until it is lost or the service ends; answers at once when another gateway has it. */
  async function driveWhileLeased(open: OpenRoot): Promise<void> {
    const lost = new AbortController();
    const lease = await takeLease(open.root, shared().launcher, (why) => {
      host.log.warn(`driving ${open.root} stops: ${why}`);
      lost.abort();
    });
    if (lease === undefined) {
      open.remark = drivenElsewhere(open.root);
      return;
    }
    delete open.remark;
    try {
      await drive(open, AbortSignal.any([lost.signal, ending.signal]));
    } finally {
      await lease.release();
    }
  }

  async function drive(open: OpenRoot, signal: AbortSignal): Promise<void> {
    const { root, store } = open;
    const driven = new AbortController();
    // Ended however the driving ends: what it has not told is told by the next one, and not by both.
    const notifier = createNotifier(host, store, clock, AbortSignal.any([signal, driven.signal]));
    const desk = createDesk(host, open);
    const worktree = worktreeBesides(root, host);
    const flows = createFlowRecords(host, root, store);
    const driver = createDriver({
      root,
      settings: () => host.settings(),
      recorder: createRecorder(desk),
      reader: createTaskReader({ store, readFlow: flows.mark }),
      runner: createAgentRunner(host, () => host.settings(), root, store),
      checks: createCheckRunner(host, () => host.settings(), path.join(root, "projects"), store),
      worktree,
      flows,
      briefs: createBriefs(store, worktree, () => host.settings()),
      notifier,
      slots,
      clock,
      log: host.log,
    });
    if (signal.aborted) return;
    open.driver = driver;
    // At once, also while something below waits for an answer of the host.
    signal.addEventListener("abort", () => void driver.stop(), { once: true });
    try {
      // Taken before anything is read: what others commit from here on is followed.
      const { cursor } = await store.changed();
      await driver.resume();
      insist(`settling the flows of ${root}`, signal, async () => {
        while ((await settleFlowsOf(root, driver, store, flows)) > 0 && !signal.aborted) await wait(youngMs, signal);
      });
      // Of those that have not ended resuming has told what is to be told.
      await tellWhatEnded(
        store,
        (stream) => notifier.changed(stream),
        (message) => host.log.warn(message),
      );
      await followOthers(driver, store, cursor, signal);
    } finally {
      delete open.driver;
      await driver.stop();
      driven.abort();
    }
  }

  async function settleFlowsOf(
    root: string,
    driver: Driver,
    store: Store,
    { ownerOf }: Pick<ReturnType<typeof createFlowRecords>, "ownerOf">,
  ): Promise<number> {
    const { known, owners } = await readKnownTasks(store, (stream) => driver.wake(stream), ownerOf);
    return settleFlows(host, root, owners, (taskId) => Promise.resolve(known.get(taskId)));
  }

  /** Commits that other processes make below this root (another gateway's tools, a local turn) are looked at too. */
  async function followOthers(driver: Driver, store: Store, from: Cursor, signal: AbortSignal): Promise<void> {
    let cursor = from;
    while (!signal.aborted) {
      await wait(followMs, signal);
      if (signal.aborted) return;
      try {
        const news = await store.changed(cursor);
        cursor = news.cursor;
        for (const stream of news.streams) driver.committed(stream);
      } catch (error) {
        host.log.warn(`changes by others could not be read: ${words(error)}`);
      }
    }
  }

  /** The real paths of the known roots that hold projects. */
  async function rootsWithProjects(): Promise<readonly string[]> {
    const real = await Promise.all(
      (await knownRoots(host)).map(async (root) => ((await hasProjects(root)) ? realPlace(root) : undefined)),
    );
    return [...new Set(real.filter((root) => root !== undefined))];
  }

  return {
    begin() {
      if (begun) return;
      begun = true;
      insist("finding the projects", ending.signal, async () => {
        // Later, too: a disk may be mounted, or a backup put back, when the gateway runs already.
        while (!ending.signal.aborted) {
          for (const root of await rootsWithProjects()) attend(root);
          await wait(rootsMs, ending.signal);
        }
      });
    },
    cease() {
      if (!ending.signal.aborted) host.log.info("the gateway shuts down: nothing more is driven");
      ending.abort();
    },
    async end() {
      ending.abort();
      unsubscribe();
      delete shared().onCommit;
      await Promise.all(attended.values());
      await closeRoots();
    },
  };
}

function createBriefs(store: Store, worktree: Worktree, settings: () => Settings) {
  /** What checks changed, or what ran on: QA is told, for the builder's report says nothing of it. */
  async function changedSince(built: string | null | undefined, repo: string, stream: Stream) {
    if (built === null || built === undefined) return null;
    const now = await worktree.identify(repo, stream);
    return now === null ? null : worktree.compare(repo, stream, built, now);
  }
  return {
    async brief(
      role: "builder" | "qa",
      stream: Stream,
      _state: unknown,
      step: { readonly id: string; readonly attempt: number },
    ) {
      const projectStream = { projectId: stream.projectId };
      const [projectSnapshot, taskSnapshot] = await Promise.all([store.read(projectStream), store.read(stream)]);
      const projectText = projectSnapshot?.documents["project"];
      if (projectText === undefined || taskSnapshot === undefined)
        throw new OrchestratorError("unknown-task", "the task is gone");
      const { task, steps } = stateOf(taskSnapshot);
      const current = steps.find((one) => one.id === step.id);
      if (current === undefined) throw new OrchestratorError("unknown-step", `the step ${step.id} is gone`);
      const project = parseProject(projectText);
      const input = {
        project,
        task,
        steps,
        step: current,
        attempt: current.attempt,
        repo: project.repo,
        paths: {
          projectPage: store.locate(projectStream, "project", "page"),
          taskPage: store.locate(stream, "task", "page"),
          stepPage: store.locate(stream, `steps/${step.id}`, "page"),
        },
      };
      if (role === "builder") return renderBuilderBrief({ ...input, sharedTree: settings().parallelSteps > 1 });
      const built = current.attempts.find((one) => one.attempt === current.attempt)?.tree.built;
      return renderQaBrief({ ...input, changedSinceBuild: await changedSince(built, project.repo, stream) });
    },
  };
}

/** Tree identities are kept beside the project's state, in a folder that its .gitignore covers. */
function worktreeBesides(root: string, host: Host): Worktree {
  const worktree = createWorktree((message) => host.log.warn(message));
  const keepIn = (stream: Stream) => path.join(root, "projects", stream.projectId, ".trees");
  return {
    identify: (repo, stream) => worktree.identify(repo, keepIn(stream)),
    compare: (repo, stream, before, after) => worktree.compare(repo, keepIn(stream), before, after),
  };
}

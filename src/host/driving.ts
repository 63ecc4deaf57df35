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
import { createWorktree } from "../files/worktree.ts";
import { createDriver, type Driver } from "../flow/driver.ts";
import type { Worktree } from "../flow/ports.ts";
import { createSlots } from "../flow/slots.ts";
import { renderBuilderBrief, renderQaBrief } from "../render/briefs.ts";
import { parseProject } from "../schema/documents.ts";
import { OrchestratorError } from "../errors.ts";
import type { Store, Stream } from "../store/store.ts";
import { readChats } from "../tools/chat-of-task.ts";
import { createRecorder } from "../tools/driver-tools.ts";
import { createTaskReader } from "../tools/task-reader.ts";
import { stateOf } from "../tools/tool.ts";
import { createAgentRunner } from "./agent-runner.ts";
import { createCheckRunner } from "./check-runner.ts";
import { createDesk } from "./desk.ts";
import { createFlowRecords, settleFlows } from "./flow-records.ts";
import { takeLease, type Lease } from "./lease.ts";
import { createNotifier } from "./notifier.ts";
import type { Host } from "./openclaw.ts";
import { createRememberedRoots, openRoot, openRoots, rootFor } from "./roots.ts";
import { noteSign, shared, type OpenRoot } from "./shared.ts";

export type Driving = {
  /** Begins to drive every known root; call it once the host accepts runs. Again is harmless. */
  begin(): void;
  /** Stops driving and closes the stores; live runs go on. */
  end(): Promise<void>;
};

const leaseRetryMs = 5_000;
/** How often commits of other processes are looked for. */
const followMs = 5_000;

/** Made when the service starts; the async context of that moment is the one in which everything is done. */
export function createDriving(host: Host, stateDir: string): Driving {
  const inService = AsyncLocalStorage.snapshot();
  const remembered = createRememberedRoots(stateDir);
  const slots = createSlots(() => host.settings().parallelTasks);
  const ending = new AbortController();
  const leases = new Map<string, Lease>();
  const attended = new Set<string>();
  const follows = new Map<string, AbortController>();
  const unsubscribe = host.api.runtime.events.onAgentEvent((event) => noteSign(event.runId, event.sessionKey, event.ts));
  let begun = false;

  const guarded = (what: string, work: () => Promise<void>): void => {
    inService(() => {
      work().catch((error: unknown) => host.log.error(`${what}: ${error instanceof Error ? error.message : String(error)}`));
    });
  };

  shared().onCommit = (root, stream) => inService(() => void driverOf(root).then((driver) => driver?.committed(stream)));
  shared().onRoot = (root) => {
    guarded("remembering a root", () => remembered.add(root));
    if (begun) guarded(`driving ${root}`, () => attend(root));
  };

  async function driverOf(root: string): Promise<Driver | undefined> {
    return (await openRoots()).find((one) => one.root === root)?.driver;
  }

  /** Tries for the lease of one root until it has it or the service ends. */
  async function attend(root: string): Promise<void> {
    if (attended.has(root)) return;
    attended.add(root);
    const open = await openRoot(root, (message) => host.log.warn(message));
    while (!ending.signal.aborted) {
      const lease = await takeLease(open.root, shared().launcher, (why) => guarded(`losing ${root}`, () => stopDriving(open, why)));
      if (lease !== undefined) {
        leases.set(open.root, lease);
        delete open.remark;
        await startDriving(open);
        return;
      }
      open.remark = `another gateway drives the projects below ${open.root}; changes are kept, runs are launched there`;
      await pause(leaseRetryMs, undefined, { signal: ending.signal, ref: false }).catch(() => undefined);
    }
  }

  async function startDriving(open: OpenRoot): Promise<void> {
    const { store } = open;
    const desk = createDesk(host, open);
    const notifier = createNotifier(host, store, ending.signal);
    const driver = createDriver({
      root: open.root,
      settings: () => host.settings(),
      recorder: createRecorder(desk),
      reader: createTaskReader(store),
      runner: createAgentRunner(host, () => host.settings(), open.root, store),
      checks: createCheckRunner(host, () => host.settings(), path.join(open.root, "projects")),
      worktree: worktreeBesides(open.root, host),
      flows: createFlowRecords(host, store),
      briefs: createBriefs(store),
      notifier,
      slots,
      clock: { now: Date.now, wait: (ms, signal) => pause(ms, undefined, { signal, ref: false }).catch(() => undefined) },
      log: host.log,
    });
    open.driver = driver;
    await driver.resume();
    await settleFlowsOf(driver, store);
    // A task that ended may have ended untold: the gateway died in between.
    for (const stream of await store.list()) if (stream.taskId !== undefined) notifier.changed(stream);
    const stopped = new AbortController();
    follows.set(open.root, stopped);
    guarded(`following ${open.root}`, () => followOthers(driver, store, AbortSignal.any([stopped.signal, ending.signal])));
  }

  async function settleFlowsOf(driver: Driver, store: Store): Promise<void> {
    const streams = (await store.list()).filter((stream) => stream.taskId !== undefined);
    const owners = new Set<string>();
    for (const stream of streams) {
      const chats = await readChats(store, stream);
      if (chats !== undefined) owners.add(chats.flowOwner.sessionKey);
    }
    const everywhere = await Promise.all((await openRoots()).map(async (one) => (await one.store.list()).map((stream) => ({ ...one, stream }))));
    await settleFlows(host, [...owners], async (taskId) => {
      const found = everywhere.flat().find((one) => one.stream.taskId === taskId);
      const snapshot = await found?.store.read(found.stream);
      if (found === undefined || snapshot === undefined) return undefined;
      const { task } = stateOf(snapshot);
      return { flowId: task.flowId, ended: task.status === "done" || task.status === "cancelled", wake: () => driver.wake(found.stream) };
    });
  }

  /** Commits that other processes make below this root (another gateway's tools, a local turn) are looked at too. */
  async function followOthers(driver: Driver, store: Store, stopped: AbortSignal): Promise<void> {
    let { cursor } = await store.changes();
    while (!stopped.aborted) {
      await pause(followMs, undefined, { signal: stopped, ref: false }).catch(() => undefined);
      if (stopped.aborted) return;
      const news = await store.changes(cursor).catch((error: unknown) => {
        host.log.warn(`changes by others could not be read: ${error instanceof Error ? error.message : String(error)}`);
        return { cursor, records: [] };
      });
      cursor = news.cursor;
      for (const stream of new Map(news.records.map((one) => [one.stream.taskId, one.stream])).values()) driver.committed(stream);
    }
  }

  async function stopDriving(open: OpenRoot, why: string): Promise<void> {
    host.log.warn(`driving ${open.root} stopped: ${why}`);
    leases.delete(open.root);
    attended.delete(open.root);
    follows.get(open.root)?.abort();
    await open.driver?.stop();
    delete open.driver;
    if (!ending.signal.aborted) await attend(open.root);
  }

  return {
    begin() {
      if (begun) return;
      begun = true;
      guarded("driving", async () => {
        const configured = rootFor(host.settings(), undefined);
        const roots = new Set([...(configured === undefined ? [] : [configured]), ...(await remembered.list()), ...(await openRoots()).map((one) => one.root)]);
        for (const root of roots) guarded(`driving ${root}`, () => attend(root));
      });
    },
    async end() {
      ending.abort();
      unsubscribe();
      delete shared().onCommit;
      delete shared().onRoot;
      for (const open of await openRoots()) {
        await open.driver?.stop();
        delete open.driver;
        await open.store.close();
      }
      shared().roots.clear();
      await Promise.all([...leases.values()].map((lease) => lease.release()));
    },
  };
}

function createBriefs(store: Store) {
  return {
    async brief(role: "builder" | "qa", stream: Stream, _state: unknown, step: { readonly id: string; readonly attempt: number }) {
      const projectStream = { projectId: stream.projectId };
      const [projectSnapshot, taskSnapshot] = await Promise.all([store.read(projectStream), store.read(stream)]);
      const projectText = projectSnapshot?.documents["project"];
      if (projectText === undefined || taskSnapshot === undefined) throw new OrchestratorError("unknown-task", "the task is gone");
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
      return role === "builder" ? renderBuilderBrief(input) : renderQaBrief(input);
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

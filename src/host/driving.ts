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
import type { TaskReader, Worktree } from "../flow/ports.ts";
import { createSlots } from "../flow/slots.ts";
import { renderBuilderBrief, renderQaBrief } from "../render/briefs.ts";
import { parseProject } from "../schema/documents.ts";
import type { Launcher } from "../schema/events.ts";
import { OrchestratorError } from "../errors.ts";
import { isAtRest } from "../flow/recover.ts";
import type { Store, Stream } from "../store/store.ts";
import { readChats } from "../tools/chat-of-task.ts";
import { createRecorder } from "../tools/driver-tools.ts";
import { stateOf } from "../tools/tool.ts";
import { createAgentRunner } from "./agent-runner.ts";
import { createCheckRunner } from "./check-runner.ts";
import { createDesk } from "./desk.ts";
import { cancelOrphanedFlows, createFlowRecords } from "./flow-records.ts";
import { takeLease, type Lease } from "./lease.ts";
import { createNotifier } from "./notifier.ts";
import type { Host } from "./openclaw.ts";
import { createRememberedRoots, openRoot, openRoots, rootFor } from "./roots.ts";
import { noteSign, remember, shared, type OpenRoot } from "./shared.ts";

export type Driving = {
  /** Begins to drive every known root; call it once the host accepts runs. Again is harmless. */
  begin(): void;
  /** Stops driving and closes the stores; live runs go on. */
  end(): Promise<void>;
};

const leaseRetryMs = 5_000;

/** Made when the service starts; the async context of that moment is the one in which everything is done. */
export function createDriving(host: Host, stateDir: string): Driving {
  const inService = AsyncLocalStorage.snapshot();
  const remembered = createRememberedRoots(stateDir);
  const slots = createSlots(() => host.settings().parallelTasks);
  const ending = new AbortController();
  const leases = new Map<string, Lease>();
  const attended = new Set<string>();
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
    const settings = host.settings();
    const desk = createDesk(host, open);
    const notifier = createNotifier(host, store, ending.signal);
    const driver = createDriver({
      root: open.root,
      settings,
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
    await forgetOrphanedFlows(store);
    // A task that ended may have ended untold: the gateway died in between.
    for (const stream of await store.list()) if (stream.taskId !== undefined) notifier.changed(stream);
  }

  async function forgetOrphanedFlows(store: Store): Promise<void> {
    const streams = (await store.list()).filter((stream) => stream.taskId !== undefined);
    const owners = new Set<string>();
    for (const stream of streams) {
      const chats = await readChats(store, stream);
      if (chats !== undefined) owners.add(chats.flowOwner.sessionKey);
    }
    const everywhere = await Promise.all((await openRoots()).map((one) => one.store.list()));
    const known = new Set(everywhere.flat().map((stream) => stream.taskId));
    await cancelOrphanedFlows(host, [...owners], (taskId) => Promise.resolve(known.has(taskId)));
  }

  async function stopDriving(open: OpenRoot, why: string): Promise<void> {
    host.log.warn(`driving ${open.root} stopped: ${why}`);
    leases.delete(open.root);
    attended.delete(open.root);
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

/** Reading tasks for the driver. Who launched a run is read from the journal once and kept. */
export function createTaskReader(store: Store): TaskReader {
  const launchers = new Map<string, Launcher>();
  const read = async (stream: Stream) => {
    const snapshot = await store.read(stream);
    if (snapshot === undefined || snapshot.readOnly !== undefined) return undefined;
    const project = await store.read({ projectId: stream.projectId });
    const text = project?.documents["project"];
    if (text === undefined) return undefined;
    return { state: stateOf(snapshot), repo: parseProject(text).repo, seq: snapshot.seq, sum: snapshot.sum };
  };
  return {
    read,
    async unfinished() {
      const found: Stream[] = [];
      for (const stream of await store.list()) {
        if (stream.taskId === undefined) continue;
        const task = await read(stream).catch(() => undefined);
        if (task === undefined) continue;
        const ended = task.state.task.status === "done" || task.state.task.status === "cancelled";
        if (!ended || !isAtRest(task.state)) found.push(stream);
      }
      return found;
    },
    async statusOf(projectId, taskId) {
      const snapshot = await store.read({ projectId, taskId });
      return snapshot === undefined ? undefined : stateOf(snapshot).task.status;
    },
    async waitingFor(projectId, taskId) {
      const found: Stream[] = [];
      for (const stream of await store.list()) {
        if (stream.projectId !== projectId || stream.taskId === undefined) continue;
        const task = await read(stream);
        if (task?.state.task.status === "waiting" && task.state.task.dependsOn.includes(taskId)) found.push(stream);
      }
      return found;
    },
    async launcherOf(stream, runId) {
      const known = launchers.get(runId);
      if (known !== undefined) return known;
      // The first plan whose documents name the run is the one that made it; later ones carry it along.
      const names = `"runId": ${JSON.stringify(runId)}`;
      const records = await store.history(stream, 0);
      const planned = records.find((one) => one.event.type === "RunPlanned" && Object.values(one.docs).some((text) => text?.includes(names)));
      if (planned?.event.type === "RunPlanned") remember(launchers, runId, planned.event.launcher);
      return launchers.get(runId);
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

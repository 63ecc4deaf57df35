/** set_step_status: every status to every other, who may decide, and what is kept. DESIGN section 4, second table. */
import { describe, expect, it } from "vitest";
import { currentAttempt } from "../../src/flow/ready.ts";
import { changedDocuments } from "../../src/flow/transition.ts";
import { parseStep, type StepStatus } from "../../src/schema/documents.ts";
import { aCheck, aWantedStep, history, judgementsOf, momentOf, type History } from "../support/histories.ts";

const withCheck = () => history({ steps: [aWantedStep({ checks: [aCheck] }), aWantedStep()] }).start();
const reported = (one: History) => one.and("BuilderReported", { runId: one.runOf("step-01", "builder") });
const asks = () => {
  const running = withCheck().launch("step-01", "builder");
  const fields = { runId: running.runOf("step-01", "builder"), outcome: "blocked", question: "Which?" } as const;
  return running.and("BuilderReported", fields).endRun("step-01", "builder");
};

/** A step in each place that the table tells apart. */
const steps = {
  queued: withCheck,
  "queued, sent back": () => withCheck().fail("step-01"),
  "building, intended": () => withCheck().and("RunPlanned"),
  "building, running": () => withCheck().launch("step-01", "builder"),
  "building, run lost": () => withCheck().launch("step-01", "builder").endRun("step-01", "builder"),
  "checking, run not ended": () => reported(withCheck().launch("step-01", "builder")),
  checking: () => reported(withCheck().launch("step-01", "builder")).endRun("step-01", "builder"),
  reviewing: () => withCheck().build("step-01"),
  "reviewing, running": () => withCheck().build("step-01").launch("step-01", "qa"),
  "blocked, never built": asks,
  "blocked, built": () => withCheck().build("step-01").and("StepDecided", { status: "blocked" }),
  passed: () => withCheck().pass("step-01"),
  skipped: () => withCheck().and("StepDecided", { status: "skipped" }),
} as const;
type Place = keyof typeof steps;
type To = "queued" | "passed" | "skipped" | "blocked";

type No = { readonly code: string; readonly reason: string; readonly accepts: readonly string[] };
type Outcome = "yes" | "fenced and stopped" | No;
type Answers = Readonly<Record<To, Outcome>>;
const stop = "fenced and stopped";
const no = (code: string, reason: string, ...accepts: readonly string[]): No => ({ code, reason, accepts });
const same = (status: StepStatus) => no("nothing-to-do", `Step step-01 is ${status} already.`, "get_status");
const notBuilt = no("not-built", "Nothing was ever reported done for step step-01.", "queued", "skipped");
const notYet = no(
  "not-built",
  "Step step-01 is queued: its next attempt has nothing to accept yet.",
  "skipped",
  "blocked",
);
const queued: Answers = { queued: same("queued"), passed: notYet, skipped: "yes", blocked: "yes" };
const finished = (status: StepStatus): Answers => {
  const refusal = no("step-finished", `Step step-01 is ${status}.`, "create_step");
  return { queued: refusal, passed: refusal, skipped: refusal, blocked: refusal };
};
const live = (status: StepStatus, yes: "yes" | typeof stop): Answers => {
  const passed = no("step-live", `Step step-01 is ${status}.`, "queued", "skipped", "blocked");
  return { queued: yes, passed, skipped: yes, blocked: yes };
};
const blocked = (passed: Outcome): Answers => ({ queued: "yes", passed, skipped: "yes", blocked: same("blocked") });
const table: { readonly [P in Place]: readonly [rule: string, Answers] } = {
  queued: ["s4.step-from-queued", queued],
  "queued, sent back": ["s4.step-from-queued", queued],
  "building, intended": ["s4.step-from-live", live("building", stop)],
  "building, running": ["s4.step-from-live", live("building", stop)],
  "building, run lost": ["s4.step-from-live", live("building", "yes")],
  "checking, run not ended": ["s4.step-from-live", live("checking", "yes")],
  checking: ["s4.step-from-live", live("checking", "yes")],
  reviewing: ["s4.step-from-live", live("reviewing", "yes")],
  "reviewing, running": ["s4.step-from-live", live("reviewing", stop)],
  "blocked, never built": ["s4.step-from-blocked", blocked(notBuilt)],
  "blocked, built": ["s4.step-from-blocked", blocked("yes")],
  passed: ["s4.step-from-finished", finished("passed")],
  skipped: ["s4.step-from-finished", finished("skipped")],
};
// Object.keys widens to string; the object has exactly these keys.
const places = Object.keys(steps) as readonly Place[];
const targets: readonly To[] = ["queued", "passed", "skipped", "blocked"];

describe.each(places)("set_step_status on a step that is %s", (place) => {
  const [rule, answers] = table[place];
  const cells = targets.map((to) => [to, answers[to]] as const);

  it.each(cells)("to %s: %o", { tags: [rule, "s4.fenced-and-stopped"] }, (status, outcome) => {
    const before = steps[place]();
    expect(before.step().status).toBe(place.split(",")[0]);
    const decision = before.decide("StepDecided", { status });
    if (typeof outcome !== "string") {
      expect(decision).toEqual({ ok: false, ...outcome });
      return;
    }
    const after = before.and("StepDecided", { status });
    expect(after.step().status).toBe(status);
    expect(after.step().question?.kind).toBe(status === "blocked" ? "held" : undefined);
    expect(after.last.effects.some((effect) => effect.type === "StopRun")).toBe(outcome === stop);
    expect([after.step().builder.status, after.step().qa.status].includes("stopped")).toBe(outcome === stop);
  });
});

describe("the table of set_step_status", () => {
  it("is refused for a step that the task does not have", () => {
    expect(steps.queued().decide("StepDecided", { stepId: "step-99", status: "skipped" })).toMatchObject({
      code: "unknown-step",
      accepts: ["step-01", "step-02"],
    });
  });
});

describe("set_step_status in the statuses of the task", () => {
  it("in a draft says of a finished step that it is finished, and offers no other decision about it", () => {
    const two = history({ steps: [aWantedStep(), aWantedStep()] }).and("StepDecided", { status: "skipped" });
    for (const status of ["queued", "passed", "blocked", "skipped"] as const)
      expect(two.decide("StepDecided", { status })).toMatchObject({ code: "step-finished", accepts: ["create_step"] });
  });

  it.each(["queued", "passed", "blocked"] as const)(
    "in a draft refuses %s",
    { tags: ["s4.step-in-draft"] },
    (status) => {
      expect(history().decide("StepDecided", { status })).toMatchObject({
        ok: false,
        code: "not-started",
        accepts: ["skipped", "start_task"],
      });
    },
  );

  it(
    "in a draft accepts skipped, and the task stays a draft while steps are left",
    { tags: ["s4.step-in-draft"] },
    () => {
      const two = history({ steps: [aWantedStep(), aWantedStep()] });
      expect(two.and("StepDecided", { status: "skipped" })).toMatchObject({ taskStatus: "draft" });
      expect(two.decide("StepDecided", { status: "skipped", by: "orchestrator" })).toMatchObject({
        code: "person-required",
      });
    },
  );

  it.each(targets)("in an ended task refuses %s", { tags: ["s4.step-in-ended-task"] }, (status) => {
    const done = history().start().pass("step-01");
    const cancelled = history().start().and("TaskCancelled");
    for (const ended of [done, cancelled])
      expect(ended.decide("StepDecided", { status })).toMatchObject({ ok: false, code: "task-ended" });
  });

  it.each(["skipped", "blocked"] as const)("in a paused task accepts %s and leaves it paused", (status) => {
    const paused = withCheck().and("TaskPaused").and("StepDecided", { status });
    expect(paused.step().status).toBe(status);
    expect(paused.state.task).toMatchObject({ status: "paused", pausedAt: momentOf(2) });
  });

  it("in a waiting task leaves it waiting", () => {
    const waiting = history({ dependsOn: ["other"], steps: [aWantedStep(), aWantedStep()] }).and("TaskStarted", {
      dependenciesDone: false,
    });
    expect(waiting.and("StepDecided", { status: "skipped" }).taskStatus).toBe("waiting");
    expect(waiting.and("StepDecided", { status: "blocked" }).taskStatus).toBe("waiting");
  });
});

describe("a retry", () => {
  const used = () => history({ maxAttempts: 1 }).start().fail("step-01");

  it(
    "of a blocked step gets as many attempts as configured, and its reason opens the next brief",
    { tags: ["s4.retry-allowance", "s4.retry-note"] },
    () => {
      const again = used().and("StepDecided", { status: "queued", maxAttempts: 3, reason: "Look at the log." });
      expect(again.step()).toMatchObject({
        status: "queued",
        attempt: 1,
        maxAttempts: 4,
        question: null,
        note: "Look at the log.",
      });
      const running = again.launch("step-01", "builder");
      expect(currentAttempt(running.step())).toMatchObject({ attempt: 2, note: "Look at the log." });
      expect(running.step().attempts[0]).not.toHaveProperty("note");
    },
  );

  it("gets them beside those that were used", { tags: ["s4.retry-allowance"] }, () => {
    const twice = history({ maxAttempts: 2 })
      .start()
      .fail("step-01", { fails: ["c1"] })
      .fail("step-01", { fails: ["c2"] });
    expect(twice.and("StepDecided", { status: "queued", maxAttempts: 3 }).step()).toMatchObject({
      attempt: 2,
      maxAttempts: 5,
    });
  });

  it("before the next launch adds its reason to the one that waits there", { tags: ["s4.retry-note"] }, () => {
    const retry = (one: History, reason: string) => one.and("StepDecided", { status: "queued", reason });
    const held = retry(used(), "Look at the log.").and("StepDecided", { status: "blocked", reason: "Wait." });
    const again = retry(held, "And at the screen.");
    expect(again.step().note).toBe("Look at the log.\n\nAnd at the screen.");
    const running = again.launch("step-01", "builder");
    expect(currentAttempt(running.step())?.note).toBe("Look at the log.\n\nAnd at the screen.");
    expect(running.step()).not.toHaveProperty("note");
    // What an attempt has been given is not given to the next one too.
    expect(retry(running, "Anew.").step().note).toBe("Anew.");
  });

  it("leaves no note behind in a step that gets no further attempt", () => {
    const noted = used().and("StepDecided", { status: "queued", reason: "Look at the log." });
    const held = noted.and("StepDecided", { status: "blocked" });
    const ended = [
      noted.and("StepDecided", { status: "skipped" }),
      held.and("StepDecided", { status: "passed" }),
      noted.and("TaskCancelled"),
    ];
    expect(ended.map((one) => one.step().status)).toEqual(["skipped", "passed", "cancelled"]);
    for (const one of ended) expect(one.step()).not.toHaveProperty("note");
    expect(held.step().note).toBe("Look at the log.");
  });

  it("of a live step does not use up what is left, and always leaves one more", () => {
    const first = withCheck().launch("step-01", "builder").and("StepDecided", { status: "queued" });
    expect(first.step()).toMatchObject({ attempt: 1, maxAttempts: 3 });
    const only = history({ maxAttempts: 1 })
      .start()
      .launch("step-01", "builder")
      .and("StepDecided", { status: "queued" });
    expect(only.step()).toMatchObject({ attempt: 1, maxAttempts: 2 });
  });

  it(
    "of a live step without a person never gives more attempts: the last one is stopped, and a person is asked",
    { tags: ["s4.put-back-allowance", "s4.attempts-used"] },
    () => {
      const putBack = (one: History, by: "person" | "orchestrator") =>
        one.launch("step-01", "builder").and("StepDecided", { status: "queued", by, reason: "Anew." });
      const first = putBack(history({ maxAttempts: 2 }).start(), "orchestrator");
      expect(first.step()).toMatchObject({ status: "queued", attempt: 1, maxAttempts: 2, question: null });
      const last = putBack(first.endRun("step-01", "builder"), "orchestrator");
      const question = {
        id: "step-01-q8",
        kind: "attempts-used",
        text: "Step step-01 was to be put back in attempt 2 of 2, its last one: Anew.",
        choices: ["retry with a note", "skip", "cancel the task"],
        askedAt: momentOf(8),
      };
      expect(last.step()).toMatchObject({ status: "blocked", attempt: 2, maxAttempts: 2, question });
      expect(last.notices).toEqual([{ kind: "question", stepId: "step-01", question }]);
      expect(last.last.effects).toMatchObject([{ type: "TellPerson" }, { type: "StopRun", stepId: "step-01" }]);
      // It was not put back.
      expect(currentAttempt(last.step())?.decisions).toMatchObject([
        { by: "orchestrator", status: "blocked", reason: "Anew." },
      ]);
      expect(last.decide("StepDecided", { status: "queued", by: "orchestrator" })).toMatchObject({
        code: "person-required",
      });
      const again = last.and("StepDecided", { status: "queued", reason: "Go on." });
      expect(again.step()).toMatchObject({ attempt: 2, maxAttempts: 5, note: "Anew.\n\nGo on." });
    },
  );

  it("of a live step in its last attempt is a person's to decide", { tags: ["s4.put-back-allowance"] }, () => {
    const last = history({ maxAttempts: 1 }).start().launch("step-01", "builder");
    expect(last.and("StepDecided", { status: "queued" }).step()).toMatchObject({
      status: "queued",
      attempt: 1,
      maxAttempts: 2,
    });
  });

  it("keeps the answer and who gave it in the attempt", { tags: ["s3.question-answered", "s4.answer-kept"] }, () => {
    const again = used().and("StepDecided", { status: "queued", reason: "Once more." });
    expect(currentAttempt(again.step())?.decisions).toEqual([
      {
        at: momentOf(10),
        by: "person",
        status: "queued",
        reason: "Once more.",
        question: "attempts-used",
        asked: "Step step-01 did not pass in 1 attempt; the last one failed: c1.",
      },
    ]);
  });
});

describe("a decision before the first attempt", () => {
  const waits = () => history({ steps: [aWantedStep(), aWantedStep()] }).start();

  it("is kept with the step", () => {
    const skipped = waits().and("StepDecided", { stepId: "step-02", status: "skipped", reason: "Not needed." });
    const decision = { at: momentOf(2), by: "person", status: "skipped", reason: "Not needed.", question: null };
    expect(skipped.step("step-02")).toMatchObject({ status: "skipped", attempts: [], decisions: [decision] });
    expect(parseStep(changedDocuments(undefined, skipped.state)["steps/step-02"] ?? "")).toEqual(
      skipped.step("step-02"),
    );
  });

  it("stays there when attempts follow, and later decisions stand in their attempts", () => {
    const held = waits().and("StepDecided", { status: "blocked", by: "orchestrator", reason: "Wait." });
    const again = held.and("StepDecided", { status: "queued", reason: "Go." }).launch("step-01", "builder");
    const stopped = again.and("StepDecided", { status: "queued", reason: "Anew." });
    expect(stopped.step().decisions?.map(({ reason, question }) => [reason, question])).toEqual([
      ["Wait.", null],
      ["Go.", "held"],
    ]);
    expect(currentAttempt(stopped.step())?.decisions?.map(({ reason }) => reason)).toEqual(["Anew."]);
  });

  it("is kept when a cancel of the task answers a question", { tags: ["s4.answer-kept", "s4.answer-clears"] }, () => {
    const held = waits().and("StepDecided", { status: "blocked", reason: "Wait." }).and("TaskCancelled");
    expect(held.step().decisions?.map(({ status }) => status)).toEqual(["blocked", "cancelled"]);
  });
});

describe("accepting a step", () => {
  it("says that a person did, with the reason, and tells it", () => {
    const accepted = history({ maxAttempts: 1 })
      .start()
      .fail("step-01")
      .and("StepDecided", { status: "passed", reason: "Good enough." });
    expect(accepted.step()).toMatchObject({ status: "passed", passedBy: "person", question: null });
    expect(currentAttempt(accepted.step())?.decisions).toMatchObject([
      { by: "person", status: "passed", reason: "Good enough." },
    ]);
    expect(accepted.notices).toEqual([{ kind: "step-passed", stepId: "step-01", by: "person" }, { kind: "task-done" }]);
  });

  it("is possible when an earlier attempt was reported done", { tags: ["s4.choices", "s4.step-from-blocked"] }, () => {
    const failedOnce = history().start().fail("step-01");
    const lost = [0, 1, 2].reduce<History>(
      (one) => one.launch("step-01", "builder").endRun("step-01", "builder"),
      failedOnce,
    );
    expect(lost.step()).toMatchObject({
      status: "blocked",
      question: { choices: expect.arrayContaining(["accept with a reason"]) },
    });
    expect(lost.and("StepDecided", { status: "passed" }).step().passedBy).toBe("person");
  });
});

describe("holding a step", () => {
  it("opens a question of kind held that a person answers", () => {
    const held = withCheck().and("StepDecided", { status: "blocked", by: "orchestrator", reason: "Wait for the key." });
    const question = {
      id: "step-01-q2",
      kind: "held",
      text: "Step step-01 is held back: Wait for the key.",
      choices: ["retry with a note", "skip", "cancel the task"],
      askedAt: momentOf(2),
    };
    expect(held.step().question).toEqual(question);
    expect(held.notices).toEqual([{ kind: "question", stepId: "step-01", question }]);
  });
});

describe("decisions of a person", () => {
  const byOrchestrator = (one: History, status: To) => one.decide("StepDecided", { status, by: "orchestrator" });

  it.each<[string, History, To]>([
    ["skip a queued step", steps.queued(), "skipped"],
    ["skip a live step", steps["building, running"](), "skipped"],
    ["skip a blocked step", steps["blocked, built"](), "skipped"],
    ["accept a blocked step", steps["blocked, built"](), "passed"],
    ["retry a blocked step", steps["blocked, built"](), "queued"],
  ])("are needed to %s", (_words, one, status) => {
    expect(byOrchestrator(one, status)).toMatchObject({
      ok: false,
      code: "person-required",
      accepts: ["the owner's answer in the chat"],
    });
    expect(one.decide("StepDecided", { status })).toMatchObject({ ok: true });
  });

  it.each<[string, History, To]>([
    ["put a live step back", steps["building, running"](), "queued"],
    ["hold a live step", steps.reviewing(), "blocked"],
    ["hold a queued step", steps.queued(), "blocked"],
  ])("are not needed to %s", (_words, one, status) => {
    expect(byOrchestrator(one, status)).toMatchObject({ ok: true });
  });

  it("are asked for only where the decision would be accepted at all", () => {
    expect(byOrchestrator(steps.queued(), "passed")).toMatchObject({ code: "not-built" });
    expect(byOrchestrator(steps.passed(), "skipped")).toMatchObject({ code: "step-finished" });
  });
});

describe("what a person is told", () => {
  const quiet: readonly [string, History][] = [
    ["a task is created", history()],
    ["a task starts", history().start()],
    ["a run is planned", history().start().and("RunPlanned")],
    ["a builder reports done", reported(history().start().launch("step-01", "builder"))],
    ["a run is lost and launched again", steps["building, run lost"]()],
    ["a person puts a step back", steps["building, running"]().and("StepDecided", { status: "queued" })],
    ["a person skips a step", steps.skipped()],
    ["a task is paused", history().start().and("TaskPaused")],
  ];
  it.each(quiet)("is nothing when %s", (_words, one) => {
    expect(one.notices).toEqual([]);
  });

  it("is each passed step, once", () => {
    const running = withCheck().build("step-01").launch("step-01", "qa");
    const passed = running.and("QaReported", {
      runId: running.runOf("step-01", "qa"),
      criteria: judgementsOf(running.step()),
    });
    expect(passed.notices).toEqual([{ kind: "step-passed", stepId: "step-01", by: "qa" }]);
    expect(passed.endRun("step-01", "qa").notices).toEqual([]);
  });
});

describe("every status of a step", () => {
  it("is in the table, cancelled apart, which exists only in a cancelled task", () => {
    const all: readonly StepStatus[] = ["queued", "building", "checking", "reviewing", "blocked", "passed", "skipped"];
    expect(new Set(places.map((place) => place.split(",")[0]))).toEqual(new Set(all));
  });
});

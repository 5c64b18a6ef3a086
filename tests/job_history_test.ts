/**
 * The end of a job, from its events and from `query-jobs`.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { JobHistory } from "../lib/cli/job_history.ts";
import type { Ending } from "../lib/cli/follow.ts";

/** A step of a job called `j`: a status from an event, another event, or a reply to `query-jobs`. */
type Step = string | readonly [event: string, data?: object] | {
  readonly asked: object | undefined;
  readonly meanwhile?: readonly string[];
};

function play(...steps: readonly Step[]): JobHistory {
  const history = new JobHistory("j");
  const timestamp = { seconds: 1, microseconds: 2 };
  const hear = (name: string, data: object): boolean =>
    history.heard({ name, data, timestamp, text: "" });
  for (const step of steps) {
    if (typeof step === "string") hear("JOB_STATUS_CHANGE", { id: "j", status: step });
    else if ("asked" in step) {
      history.asking();
      // Events that come before the reply is taken, in either order on the wire.
      for (const status of step.meanwhile ?? []) hear("JOB_STATUS_CHANGE", { id: "j", status });
      history.asked(step.asked as Record<string, unknown> | undefined);
    } else {
      const [event, data] = step as readonly [string, object?];
      hear(event, { device: "j", ...data });
    }
  }
  return history;
}

const BEGUN = ["created", "running"];
const ENDING = ["waiting", "pending"];
const DONE: Ending = { kind: "done" };
const GONE = { asked: undefined };

function failed(reason: string): Ending {
  return { kind: "failed", reason };
}

const FORGOTTEN = failed("it was aborted, and is not there any more to tell why");

/** The lives of jobs, and how they end. */
const LIVES: readonly (readonly [life: string, ending: Ending | undefined, ...Step[]])[] = [
  ["nothing is known", undefined],
  ["it runs", undefined, ...BEGUN, { asked: { status: "running" } }],
  // QEMU tells the error only in the list of jobs.
  ["it has concluded, and may still be asked for", undefined, ...BEGUN, "aborting", "concluded"],
  ["it concluded and stays", DONE, ...BEGUN, ...ENDING, "concluded", {
    asked: { status: "concluded" },
  }],
  ["it is found concluded", DONE, { asked: { status: "concluded" } }],
  ["it is found failed", failed("no"), { asked: { status: "concluded", error: "no" } }],
  ["it vanished", DONE, ...BEGUN, ...ENDING, ["BLOCK_JOB_COMPLETED"], "concluded", "null"],
  [
    "it failed and vanished",
    failed("no"),
    ...BEGUN,
    "aborting",
    ["BLOCK_JOB_COMPLETED", { error: "no" }],
    "concluded",
    "null",
  ],
  [
    "it was cancelled and vanished",
    { kind: "cancelled" },
    ...BEGUN,
    "aborting",
    ["BLOCK_JOB_CANCELLED"],
    "concluded",
    "null",
  ],
  [
    "it was cancelled and stays",
    { kind: "cancelled" },
    "aborting",
    ["BLOCK_JOB_CANCELLED"],
    "concluded",
    { asked: { status: "concluded", error: "Operation canceled" } },
  ],
  ["it was dismissed before it was asked for", DONE, ...BEGUN, ...ENDING, "concluded", "null"],
  ["it failed, and was dismissed before", FORGOTTEN, ...BEGUN, "aborting", "concluded", "null"],
  [
    "it was found running, and vanished",
    DONE,
    { asked: { status: "running" } },
    "concluded",
    "null",
  ],
  ["only its last events were heard", { kind: "unknown" }, "concluded", "null"],
  ["it vanished without events", { kind: "unknown" }, { asked: { status: "running" } }, GONE],
  ["it is not there", undefined, GONE],
  ["another job with its ID is found", DONE, ...BEGUN, "concluded", {
    asked: { status: "running" },
  }],
  ["an earlier job with its ID ended", undefined, "aborting", "concluded", "null", ...BEGUN],
  [
    "a later job with its ID began",
    DONE,
    { asked: { status: "running" } },
    "concluded",
    "null",
    ...BEGUN,
  ],
  ["it concludes around the reply", undefined, {
    asked: { status: "running" },
    meanwhile: ["aborting", "concluded"],
  }],
  ["it concluded around a reply, and is asked for again", failed("no"), {
    asked: { status: "running" },
    meanwhile: ["aborting", "concluded"],
  }, { asked: { status: "concluded", error: "no" } }],
  ["it began around a reply", undefined, { asked: undefined, meanwhile: ["created"] }],
  ["it vanished around a reply", DONE, { asked: { status: "running" } }, {
    asked: { status: "running" },
    meanwhile: ["concluded", "null"],
  }],
  ["it was found aborting, and vanished", FORGOTTEN, { asked: { status: "aborting" } }, GONE],
];

for (const [life, ending, ...steps] of LIVES) {
  Deno.test(`JobHistory.ending if ${life}`, () => {
    assertEquals(play(...steps).ending, ending);
  });
}

Deno.test("JobHistory.ending of a job that was found before its dismissal", () => {
  for (
    const [error, ending] of [[undefined, DONE], ["no", failed("no")]] as const
  ) {
    const history = new JobHistory("j");
    history.foundBefore({ status: "concluded", error });
    assertEquals([history.isKnown, history.ending], [true, undefined]);
    history.asking();
    history.asked(undefined);
    assertEquals(history.ending, ending);
  }
});

Deno.test("JobHistory.heard() takes only events of its job", () => {
  const history = new JobHistory("j");
  const timestamp = { seconds: 1, microseconds: 2 };
  for (
    const [name, data, isOwn] of [
      ["JOB_STATUS_CHANGE", { id: "j", status: "running" }, true],
      ["JOB_STATUS_CHANGE", { id: "k", status: "null" }, false],
      ["BLOCK_JOB_COMPLETED", { device: "k" }, false],
      ["BLOCK_JOB_PENDING", { id: "j" }, false],
      ["BLOCK_JOB_ERROR", { device: "j", action: "ignore" }, true],
      ["STOP", undefined, false],
      ["JOB_STATUS_CHANGE", null, false],
    ] as const
  ) {
    assertEquals(history.heard({ name, data, timestamp, text: "" }), isOwn, name);
  }
  assertEquals(history.ending, undefined);
});

Deno.test("JobHistory.failedOperation is the one that has paused the job", () => {
  const error = (action: string): Step => ["BLOCK_JOB_ERROR", { operation: "write", action }];
  const paused = { asked: { status: "paused" } };
  assertEquals(play(error("stop"), paused).failedOperation, "write");
  assertEquals(play(error("ignore"), paused).failedOperation, undefined);
  assertEquals(play(error("stop"), { asked: { status: "running" } }).failedOperation, undefined);
});

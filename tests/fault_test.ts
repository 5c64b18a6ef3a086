/**
 * The grammar of faults, and the commands that they concern.
 *
 * @module
 */

import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { plainAnswer, valueReply, withFaults } from "../lib/testing/answer.ts";
import { type FaultAction, FaultPlan, readAction, readFault } from "../lib/testing/fault.ts";
import { errorReply } from "../lib/wire/reply.ts";

const ACTIONS: readonly (readonly [text: string, action: FaultAction])[] = [
  ["delay 5s", { kind: "delay", ms: 5000 }],
  ["delay 1.5s", { kind: "delay", ms: 1500 }],
  ["delay 200ms", { kind: "delay", ms: 200 }],
  ["error GenericError it: is %s", {
    kind: "error",
    errorClass: "GenericError",
    desc: "it: is %s",
  }],
  ["event STOP", { kind: "event", name: "STOP", data: undefined, when: "before" }],
  ["event STOP after", { kind: "event", name: "STOP", data: undefined, when: "after" }],
  ['event A_B {"a": "} after"}', {
    kind: "event",
    name: "A_B",
    data: { a: "} after" },
    when: "before",
  }],
  ['event X {"a":{}} before', { kind: "event", name: "X", data: { a: {} }, when: "before" }],
  ["silent", { kind: "silent" }],
  ["drop", { kind: "drop" }],
  ["restart", { kind: "restart" }],
  ["cut after 10 bytes", { kind: "cut", bytes: 10 }],
  ["cut after 1 byte", { kind: "cut", bytes: 1 }],
];

for (const [text, action] of ACTIONS) {
  Deno.test(`readAction() reads ${text}`, () => assertEquals(readAction(text), action));
}

const INVALID = [
  ...["", "delay", "delay 5", "delay -1s", "delay 2000000s", "error GenericError", "error My text"],
  ...[
    "event",
    "event a b",
    "event STOP {",
    "event STOP {a}",
    "event STOP [1]",
    "silently",
    "drop it",
  ],
  ...["cut after x bytes", "cut"],
];

for (const text of INVALID) {
  Deno.test(`readAction() refuses ${text || "nothing"}, and names all actions`, () => {
    const error = assertThrows(() => readAction(text), SyntaxError);
    assertStringIncludes(error.message, `invalid fault ${JSON.stringify(text)}: expected delay 5s`);
    assertStringIncludes(error.message, "CommandNotFound");
  });
}

for (const text of ["drop", "a b: drop", "a#0: drop", "a#x: drop", ": drop", "a:"]) {
  Deno.test(`readFault() refuses ${text}`, () => {
    const error = assertThrows(() => readFault(text), SyntaxError);
    assertStringIncludes(error.message, "expected COMMAND: ACTION");
  });
}

Deno.test("readFault() refuses a command of the negotiation, which has no faults", () => {
  const error = assertThrows(() => readFault("qmp_capabilities#1: drop"), SyntaxError);
  assertStringIncludes(error.message, "qmp_capabilities belongs to the negotiation");
});

Deno.test("readFault() escapes what a terminal interprets", () => {
  const error = assertThrows(() => readFault("\x1b]0;\u202e"), SyntaxError);
  assertStringIncludes(error.message, '"\\u001b]0;\\u202e"');
});

Deno.test("FaultPlan counts the commands of each fault", () => {
  const faults = ["query-*#2: drop", "query-status: silent", "stop:restart"].map(readFault);
  const plan = new FaultPlan(faults);
  const kinds = (name: string): string[] => plan.next(name).map(({ kind }) => kind);
  assertEquals(kinds("query-status"), ["silent"]);
  assertEquals(kinds("query-block"), ["drop"]);
  assertEquals(kinds("query-status"), ["silent"]);
  assertEquals(kinds("stop"), ["restart"]);
  assertEquals(kinds("cont"), []);
});

Deno.test("withFaults() adds delays and events, and takes the first end", () => {
  const actions = [
    ...["delay 1s", "event A", "event B after", "error GenericError no", "drop", "delay 1ms"],
  ].map(readAction);
  const answer = withFaults(plainAnswer(valueReply(1)), actions);
  assertEquals(answer, {
    reply: errorReply("GenericError", "no"),
    before: [{ name: "A", data: undefined }],
    after: [{ name: "B", data: undefined }],
    delay: 1001,
    end: { kind: "none" },
  });
  assertEquals(withFaults(answer, [readAction("silent")]).end, { kind: "silent" });
});

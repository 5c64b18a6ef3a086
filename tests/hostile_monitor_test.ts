/**
 * Monitors that answer with anything, and the behaviour of each subcommand.
 *
 * With any bytes, it exits with a documented status, prints at most one line on stderr, sends
 * no control character to the terminal, and prints JSON if it promises JSON.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Bytes } from "./support/fake_qemu.ts";
import { hostileMonitor } from "./support/hostile.ts";
import { makePlace } from "./support/place.ts";
import { runAt, type runQmpmux } from "./support/qmpmux.ts";

const ENCODER = new TextEncoder();

/** The subcommands that talk to a monitor, each with the command whose reply it reads. */
const SUBCOMMANDS: readonly (readonly [args: readonly string[], asks: string])[] = [
  [["exec", "query-name"], "query-name"],
  [["events", "--filter", "*", "--count", "1"], "event"],
  [["wait", "--event", "S*"], "event"],
  [["wait", "--status", "running"], "query-status"],
  [["status"], "__org.qmpmux_query-status"],
  [["status", "--json"], "__org.qmpmux_query-status"],
  [["clients"], "__org.qmpmux_query-clients"],
  [["clients", "--json"], "__org.qmpmux_query-clients"],
  [["kick", "a/1"], "__org.qmpmux_disconnect-client"],
  [["reload", "--json"], "__org.qmpmux_reload"],
  [["check", "--live"], "query-version"],
];

/** Text that a terminal interprets, and characters that hide in it or reverse it. */
const ESCAPES = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e\u2066\u2028\u200b\ufeff";
/** The same text inside JSON: only characters that JSON forbids are escaped. */
const IN_JSON = JSON.stringify(ESCAPES).slice(1, -1);

type Exit = Awaited<ReturnType<typeof runQmpmux>>;

/** Runs a subcommand at a monitor that sends these bytes as the reply. */
async function run(args: readonly string[], asks: string, said: Bytes): Promise<Exit> {
  using place = makePlace();
  const path = `${place.path}/vm`;
  await using _monitor = hostileMonitor(path, asks, said);
  return await runAt(path, args, 60);
}

/** Asserts the properties that hold for any bytes. */
function assertTame({ code, stdout, stderr }: Exit, what: string): void {
  assert([0, 1, 69].includes(code), `${what}: ${code}: ${stderr}`);
  assert(!/(?!\n)[\p{Cc}\p{Cf}\p{Zl}]/u.test(stdout + stderr), what);
  if (code === 0) return assertEquals(stderr, "", what);
  assertMatch(stderr, /^qmpmux: [^\n]+\n$/, what);
  assertEquals(stdout, "", what);
}

/** Asserts the same for every subcommand; returns the outcomes by subcommand. */
async function tried(said: Bytes): Promise<ReadonlyMap<string, Exit>> {
  const outcomes = await Promise.all(SUBCOMMANDS.map(async ([args, asks]) => {
    const what = args.join(" ");
    const outcome = await run(args, asks, said);
    assertTame(outcome, what);
    if (outcome.stdout !== "" && /--json|exec|events|check/.test(what)) JSON.parse(outcome.stdout);
    return [what, outcome] as const;
  }));
  return new Map(outcomes);
}

for (
  const [what, said] of [
    ["a bare object", '{"hello": 1}\r\n'],
    ["an array", "[1, 2]\r\n"],
    ["escapes alone", `${ESCAPES}\r\n`],
    ["a value that is no JSON", '{"return": nope, "event": nope}\r\n'],
    ["a number that is no JSON", '{"return": inf}\r\n'],
    ["an error that is a number", '{"error": 5}\r\n'],
    ["an error without texts", '{"error": {"class": 7, "desc": [null]}}\r\n'],
    ["an event that is a number", '{"event": 5}\r\n'],
    ["raw controls in a string", `{"return": "${ESCAPES}", "event": "${ESCAPES}"}\r\n`],
    ["deep nesting", `{"return": ${"[".repeat(5000)}${"]".repeat(5000)}}\r\n`],
    ["what is not UTF-8", Uint8Array.from([...ENCODER.encode('{"return": "'), 255, 34, 125])],
    ["half a message", '{"return": {"a": '],
    ["nothing", ""],
  ] as [string, Bytes][]
) {
  Deno.test(`every subcommand fails in one line if a monitor sends ${what}`, async () => {
    for (const [args, { code }] of await tried(said)) assert(code !== 0, args);
  });
}

Deno.test("every subcommand escapes control characters in an error's text", async () => {
  const outcomes = await tried(`{"error": {"class": "${IN_JSON}", "desc": "${IN_JSON}"}}\r\n`);
  for (const [args, { code, stderr }] of outcomes) {
    const isEvent = /event/.test(args);
    assertEquals(code, isEvent ? 69 : 1, args);
    if (!isEvent) assertMatch(stderr, /\\u001b\[2J\\u001b\]0;owned\\u0007\\u009b31m\\u202e\\u2066/);
  }
});

for (const asks of ["query-name", "qmp_capabilities"]) {
  Deno.test(`exec shows little of an error to ${asks} that has millions of characters`, async () => {
    const long = "x".repeat(2_000_000);
    for (const [name, desc] of [["A", long], [long, "b"]]) {
      const said = `{"error": {"class": "${name}", "desc": "${desc}"}}\r\n`;
      const exit = await run(["exec", "query-name"], asks, said);
      assertTame(exit, asks);
      assertEquals(exit.code, 1);
      assert(exit.stderr.length < 5000, `${exit.stderr.length} characters`);
    }
  });
}

const NO_NAMES = '[{"vm": {"toString": 1}}, {"vm": {"toString": 2}}]';

for (
  const value of [
    ...["5", '"x"', "[]", "[5]", "[[]]", "null", "{}", '{"a": {"b": []}}', "[{}]", NO_NAMES],
  ]
) {
  Deno.test(`status, clients and wait reject ${value} as a reply, unless it is one`, async () => {
    const outcomes = await tried(`{"return": ${value}}\r\n`);
    const codes = (pattern: RegExp): Set<number> =>
      new Set([...outcomes].filter(([args]) => pattern.test(args)).map(([, { code }]) => code));
    assertEquals(codes(/^exec|^check|^kick|^reload/), new Set([0]));
    assertEquals(outcomes.get("exec query-name")!.stdout, `${value}\n`);
    const isList = value === "[]" || value === "[{}]";
    assertEquals(codes(/^status/), new Set([value.startsWith("{") || isList ? 0 : 69]));
    assertEquals(codes(/^clients/), new Set([isList ? 0 : 69]));
    assertEquals(codes(/^wait --status/), new Set([1]));
  });
}

Deno.test("exec, events, wait and check print JSON with the same value, in ASCII", async () => {
  const value = `{"n": 18446744073709551615, "s": "${IN_JSON}"}`;
  const event = `{"timestamp": {}, "event": "S", "data": ${value}}`;
  const said = new Map([["exec", value], ["check", value], ["wait", event], ["events", event]]);
  for (const [args, asks] of SUBCOMMANDS) {
    const expected = said.get(args[0]!);
    if (expected === undefined || args.includes("--status")) continue;
    const bytes = asks === "event" ? expected : `{"return": ${expected}}`;
    const outcome = await run(args, asks, `${bytes}\r\n`);
    assertTame(outcome, args.join(" "));
    assertMatch(outcome.stdout, /^[\x20-\x7e]+\n$/);
    assertEquals(JSON.parse(outcome.stdout), JSON.parse(expected));
    assert(outcome.stdout.includes('{"n": 18446744073709551615, "s": "'), outcome.stdout);
  }
});

Deno.test("exec and events print a pretty monitor's message on one line", async () => {
  const pretty =
    '{\r\n    "return": {\r\n        "a": [\r\n            1\r\n        ]\r\n    }\r\n}\r\n';
  assertEquals((await run(["exec", "query-name"], "query-name", pretty)).stdout, '{"a": [1]}\n');
  const event = '{\r\n    "event": "STOP"\r\n}\r\n';
  const events = await run(["events", "--filter", "*", "--count", "1"], "event", event);
  assertEquals(events.stdout, '{"event": "STOP"}\n');
});

Deno.test("status escapes control characters in names and values", async () => {
  const said = `{"return": {"${IN_JSON}": "${IN_JSON}", "age": 1.5, "a": null}}\r\n`;
  const outcome = await run(["status"], "__org.qmpmux_query-status", said);
  assertTame(outcome, "status");
  const row =
    `{"vm": "${IN_JSON}", "qemu": "${IN_JSON}", "version": ["${IN_JSON}"], "up-since": 1e300}`;
  const table = await run(["status"], "__org.qmpmux_query-status", `{"return": [${row}]}\r\n`);
  assertTame(table, "status of many");
  assertEquals(table.code, 0);
  assertMatch(outcome.stdout, /^age: 2 s\n\\u001b.*: \\u001b.*\na: none\n$/);
});

/** Returns a client in the form in which qmpmux describes it, with some members changed. */
function clientWith(members: object): string {
  const peer = { pid: 1, uid: 2, gid: 3 };
  return JSON.stringify({ name: "a/1", peer, role: "full", commands: 1, filter: null, ...members });
}

for (
  const [what, members] of [
    ["a user that is text", { peer: { uid: ESCAPES, gid: 1, pid: 1 } }],
    ["a peer that is an array", { peer: [1, 2] }],
    ["a peer that is true", { peer: true }],
    ["a name that is an object", { name: { [ESCAPES]: ESCAPES } }],
    ["a filter of objects", { filter: [{ [ESCAPES]: 1 }] }],
  ] as const
) {
  Deno.test(`clients fails in one line if a client has ${what}`, async () => {
    const said = `{"return": [${clientWith(members)}]}\r\n`;
    const outcome = await run(["clients"], "__org.qmpmux_query-clients", said);
    assertTame(outcome, "clients");
    assertEquals(outcome.code, 69);
  });
}

Deno.test("clients escapes control characters in names and filters, and cuts them to a width", async () => {
  const members = { name: ESCAPES, filter: [ESCAPES, "B"], "last-command": "x".repeat(1 << 20) };
  const said = `{"return": [${clientWith(members)}, ${clientWith({})}]}\r\n`;
  const outcome = await run(["clients"], "__org.qmpmux_query-clients", said);
  assertTame(outcome, "clients");
  const [heading, first, second] = outcome.stdout.split("\n");
  assertMatch(heading!, /^NAME +PEER +ROLE/);
  assertMatch(first!, /^\\u001b\[2J\S* +2:3\/1 +full .*\+B .* x{255}…/);
  assertMatch(second!, /^a\/1 +2:3\/1 +full/);
});

for (const greeting of ["SSH-2.0-x\r\n", '{"QMP": 5}\r\n', `${ESCAPES}\r\n`, '{"return": 5}\r\n']) {
  Deno.test(`every subcommand reports that ${JSON.stringify(greeting)} is not QMP`, async () => {
    for (const [args] of SUBCOMMANDS) {
      const outcome = await run(args, "greeting", greeting);
      assertTame(outcome, args.join(" "));
      assertEquals(outcome.code, 69);
      assertMatch(outcome.stderr, /does not speak QMP/);
    }
  });
}

Deno.test("exec fails in one line if a reply has no end", async () => {
  const said = new Uint8Array((64 << 20) + (1 << 17)).fill(0x20);
  said.set(ENCODER.encode('{"return": '));
  const outcome = await run(["exec", "query-name"], "query-name", said);
  assertTame(outcome, "exec");
  assertMatch(
    outcome.stderr,
    / sent what QMP does not have: "a message of more than 67108864 bytes"\n$/,
  );
});

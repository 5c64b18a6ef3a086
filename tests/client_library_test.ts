/**
 * The client library: commands, events, and what goes wrong.
 *
 * @module
 */

import { assert, assertEquals, assertInstanceOf, assertMatch, assertRejects } from "@std/assert";
import {
  connect,
  ConnectError,
  ConnectionLost,
  NotQmpError,
  ProtocolError,
  QmpError,
  TimeoutError,
} from "../lib/client/mod.ts";
import { Fake } from "./support/fake.ts";
import { eventLine, type FakeQemuManners } from "./support/fake_qemu.ts";
import { makePlace } from "./support/place.ts";
import { startQemu, WITHOUT_QEMU } from "./support/qemu.ts";
import { untilTimeout } from "./support/timeout.ts";

Deno.test("execute() returns the value of the reply", async () => {
  await using fake = new Fake();
  await using qmp = await connect(fake.path);
  assertEquals(qmp.greeting.version["qemu"], { major: 0, minor: 0, micro: 0 });
  const { status } = await qmp.execute("query-status");
  assertEquals(status, "paused");
});

Deno.test("execute() keeps integers exact, both ways", async () => {
  const heard: string[] = [];
  const answer: FakeQemuManners["answer"] = ({ name }) =>
    name === "query-block"
      ? '{"return": [18446744073709551615, 1, -9007199254740993]}\r\n'
      : undefined;
  await using fake = new Fake({ answer });
  await using qmp = await connect(fake.path);
  const value = await qmp.execute("query-block", { size: 18446744073709551615n, small: 7 });
  assertEquals(value, [18446744073709551615n, 1, -9007199254740993n]);
  heard.push(...fake.qemu.heard);
  assertMatch(heard.join(""), /"arguments":\{"size":18446744073709551615,"small":7\}/);
});

Deno.test("execute() throws a QmpError for an error reply, and the connection goes on", async () => {
  await using fake = new Fake({
    answer: ({ name }) =>
      name === "nope"
        ? '{"error": {"class": "CommandNotFound", "desc": "no such"}}\r\n'
        : undefined,
  });
  await using qmp = await connect(fake.path);
  const error = await assertRejects(() => qmp.execute("nope"), QmpError);
  assertEquals([error.errorClass, error.desc, error.command], [
    "CommandNotFound",
    "no such",
    "nope",
  ]);
  await qmp.execute("query-status");
});

Deno.test("replies that QEMU owes to the client before are dropped", async () => {
  const owed =
    '{"return": "not ours"}\r\n{"error": {"class": "GenericError", "desc": "x"}, "id": 1}\r\n';
  await using fake = new Fake({ blurts: owed });
  await using qmp = await connect(fake.path);
  assertEquals((await qmp.execute("query-status")).status, "paused");
});

/** Arguments that QEMU's reader refuses. */
const UNREADABLE: Readonly<Record<string, string>> = {
  "a lone surrogate": String.raw`{"a": "\ud800"}`,
  "a lone surrogate that is not escaped": '{"a": "\ud800"}',
  "a code point that is not a character": String.raw`{"a": "\uffff"}`,
  "a key twice": '{"a": 1, "a": 2}',
  "an escaped key twice": String.raw`{"a": 1, "\u0061": 2}`,
  "too many levels": `{"a": ${"[".repeat(1023)}${"]".repeat(1023)}}`,
};

Deno.test("a command that QEMU cannot read is not sent, and those in flight get their replies", async () => {
  await using fake = new Fake();
  await using qmp = await connect(fake.path);
  const others = Array.from({ length: 3 }, () => qmp.execute("query-status"));
  for (const [what, args] of Object.entries(UNREADABLE)) {
    await assertRejects(() => qmp.executeText("bad", args), SyntaxError, "Cannot send", what);
  }
  await assertRejects(() => qmp.execute("bad", { a: "\udc00" }), SyntaxError, "not a valid");
  await assertRejects(() => qmp.execute("bad\ud800"), SyntaxError, "not a valid");
  await assertRejects(() => qmp.execute(5 as unknown as string), TypeError, "of type number");
  for (const { status } of await Promise.all(others)) assertEquals(status, "paused");
  const deep = `{"a": ${"[".repeat(1022)}${"]".repeat(1022)}}`;
  await qmp.executeText("query-status", deep);
  assertEquals(fake.qemu.heard.join("").includes("bad"), false);
});

Deno.test("replies find their commands by id, in any order", async () => {
  const asked: string[] = [];
  await using fake = new Fake({
    answer: ({ name }, { say }) => {
      if (name === "qmp_capabilities") return undefined;
      asked.push(name);
      if (asked.length === 3) {
        for (const each of [2, 1]) say(`{"return": "${asked[each]}", "id": ${each}}\r\n`);
        say(`{"return": "${asked[0]}"}\r\n`);
      }
      return "";
    },
  });
  await using qmp = await connect(fake.path);
  const names = ["query-a", "query-b", "query-c"];
  assertEquals(await Promise.all(names.map((name) => qmp.execute(name))), names);
});

Deno.test("events() yields what matches its globs, in order", async () => {
  await using fake = new Fake({
    answer: ({ name }) =>
      name === "cont"
        ? `${eventLine("STOP")}${eventLine("RESET")}${eventLine("STOP")}{"return": {}}\r\n`
        : undefined,
  });
  await using qmp = await connect(fake.path);
  const stops = qmp.events(["ST*"]);
  const all = qmp.events();
  await qmp.execute("cont");
  await qmp.close();
  const names = async (events: AsyncIterable<{ readonly name: string }>): Promise<string[]> => {
    const found = [];
    for await (const { name } of events) found.push(name);
    return found;
  };
  assertEquals(await names(stops), ["STOP", "STOP"]);
  assertEquals(await names(all), ["STOP", "RESET", "STOP"]);
});

Deno.test("events() before the first command has the events that came with the negotiation", async () => {
  await using fake = new Fake({
    answer: ({ name, id }) =>
      name === "qmp_capabilities"
        ? `{"return": {}, "id": ${id}}\r\n${eventLine("RESUME")}`
        : undefined,
  });
  await using qmp = await connect(fake.path);
  const early = qmp.events();
  assertEquals((await early.next()).value!.name, "RESUME");
  await assertRejects(() => qmp.execute("query-status"), QmpError);
  const late = qmp.events();
  await qmp.close();
  assertEquals(await late.next(), { done: true, value: undefined });
});

Deno.test("events() drops what is not read in time, and tells so in its place", async () => {
  const lines = (name: string, count: number): string => eventLine(name).repeat(count);
  await using fake = new Fake({
    answer: ({ name }) =>
      name === "cont"
        ? `${lines("STOP", 5)}{"return": {}}\r\n`
        : name === "stop"
        ? `${lines("RESET", 1)}{"return": {}}\r\n`
        : undefined,
  });
  await using qmp = await connect(fake.path);
  const events = qmp.events(["*"], { limit: 2 });
  await qmp.execute("cont");
  const read = async (): Promise<string> => {
    const { value } = await events.next();
    return value!.name === "__org.qmpmux_GAP" ? JSON.stringify(value!.data) : value!.name;
  };
  assertEquals([await read(), await read()], ["STOP", "STOP"]);
  await qmp.execute("stop");
  assertEquals([await read(), await read()], [
    '{"reason":"3 events were dropped: they were not read in time"}',
    "RESET",
  ]);
});

Deno.test("waitFor() finds the event that its command causes", async () => {
  await using fake = new Fake({
    answer: ({ name }) =>
      name === "stop" ? `${eventLine("RESET")}${eventLine("STOP")}{"return": {}}\r\n` : undefined,
  });
  await using qmp = await connect(fake.path);
  const stopped = qmp.waitFor("STOP");
  await qmp.execute("stop");
  assertEquals((await stopped).name, "STOP");
  await assertRejects(() => qmp.waitFor("STOP", { timeout: 1 }), TimeoutError, "no event STOP");
});

Deno.test("a command that times out or is aborted leaves the connection usable", async () => {
  const held: (() => void)[] = [];
  await using fake = new Fake({
    answer: ({ name }, { say }) => {
      if (name !== "slow") return undefined;
      const id = held.length === 0 ? "" : `, "id": ${held.length}`;
      held.push(() => say(`{"return": "late"${id}}\r\n`));
      return "";
    },
  });
  await using qmp = await connect(fake.path);
  await assertRejects(() => qmp.execute("slow", {}, { timeout: 1 }), TimeoutError, "may still run");
  const controller = new AbortController();
  const aborted = qmp.execute("slow", {}, { signal: controller.signal });
  controller.abort(new Error("enough"));
  await assertRejects(() => aborted, Error, "enough");
  for (const answer of held) answer();
  await qmp.execute("query-status");
});

Deno.test("commands in flight when the connection is lost are named, with an unknown effect", async () => {
  await using fake = new Fake({
    answer: ({ name }, { hangUp }) => {
      if (name === "qmp_capabilities") return undefined;
      if (name === "b") hangUp();
      return "";
    },
  });
  await using qmp = await connect(fake.path);
  const first = qmp.execute("a");
  const second = qmp.execute("b");
  const error = await assertRejects(() => first, ConnectionLost, "its effect is unknown");
  assertEquals([error.command, error.inFlight], ["a", ["a", "b"]]);
  await assertRejects(() => second, ConnectionLost);
  assertInstanceOf(await qmp.closed, ConnectionLost);
  await assertRejects(() => qmp.execute("c"), ConnectionLost, "c was not sent");
});

Deno.test("reconnect: true connects again; streams get a gap, and later commands are run", async () => {
  await using fake = new Fake({
    answer: ({ name }, { hangUp }) => {
      if (name !== "crash") return undefined;
      hangUp();
      return "";
    },
  });
  await using qmp = await connect(fake.path, { reconnect: true });
  const events = qmp.events();
  await assertRejects(() => qmp.execute("crash"), ConnectionLost);
  assertEquals((await qmp.execute("query-status")).status, "paused");
  assertEquals((await events.next()).value!.name, "__org.qmpmux_GAP");
  assertEquals(fake.qemu.connections, 2);
});

for (
  const [what, greeting] of [
    ["a human monitor", "QEMU 7.2.0 monitor - type 'help' for more information\r\n(qemu) "],
    ["a web server", "HTTP/1.1 400 Bad Request\r\n\r\n"],
    ["JSON that is no greeting", '{"hello": 1}\r\n'],
  ] as const
) {
  Deno.test(`connect() refuses ${what}, and shows what it has found`, async () => {
    await using fake = new Fake({ greeting });
    const error = await assertRejects(() => connect(fake.path), NotQmpError);
    assertMatch(error.message, /is not a QMP monitor: it begins with ".+"/);
  });
}

Deno.test("connect() waits a limited time for a greeting", async () => {
  await using fake = new Fake({ greeting: "" });
  const { message } = await untilTimeout(
    (seconds) => assertRejects(() => connect(fake.path, { timeout: seconds * 1000 }), TimeoutError),
    ({ message }) => message.includes("no connection"),
  );
  assertMatch(message, /no greeting came in time/);
});

Deno.test("connect() names what is wrong with an address", async () => {
  using place = makePlace();
  const absent = await assertRejects(() => connect(`${place.path}/none`), ConnectError);
  assertEquals(absent.problem, "absent");
  const invalid = await assertRejects(() => connect("http://localhost"), ConnectError);
  assertEquals(invalid.problem, "invalid address");
  Deno.listen({ transport: "unix", path: `${place.path}/gone` }).close();
  const dead = `${place.path}/dead`;
  {
    using listener = Deno.listen({ transport: "unix", path: `${place.path}/there` });
    assert(listener);
    Deno.linkSync(`${place.path}/there`, dead);
  }
  const refused = await assertRejects(() => connect(dead), ConnectError);
  assertEquals(refused.problem, "refused");
});

for (
  const [given, message] of [
    [undefined, 'invalid address undefined: expected a string, such as "unix:/run/vm.sock"'],
    [null, 'invalid address null: expected a string, such as "unix:/run/vm.sock"'],
    [4444, 'invalid address of type number: expected a string, such as "unix:/run/vm.sock"'],
    ["", 'invalid address "": expected unix:/path, '],
    [
      "localhost:0",
      'invalid address "localhost:0": expected the port of the monitor, from 1 to 65535',
    ],
    [
      "tcp:[::1]:0",
      'invalid address "tcp:[::1]:0": expected the port of the monitor, from 1 to 65535',
    ],
  ] as const
) {
  Deno.test(`connect(${JSON.stringify(given)}) says what it expects`, async () => {
    const error = await assertRejects(() => connect(given as string), ConnectError, message);
    assertEquals(error.problem, "invalid address");
  });
}

for (
  const [what, bytes] of [
    ["damaged JSON", '{"return": {"a": nand}}\r\n'],
    ["a reply to no command", '{"return": {}, "id": 99}\r\n'],
    ["an error without a class", '{"error": {"desc": "x"}}\r\n'],
    ["an error that is null", '{"error": null}\r\n'],
    ["a return and an error at once", '{"return": {}, "error": {}}\r\n'],
    ["a reply whose id is text", '{"return": {}, "id": "2"}\r\n'],
    ["a second greeting", '{"QMP": {"version": {}, "capabilities": []}}\r\n'],
    ["deep nesting", `{"return": ${"[".repeat(1024)}${"]".repeat(1024)}}\r\n`],
    ["text", "hello\r\n"],
  ] as const
) {
  Deno.test(`${what} ends the connection with a ProtocolError`, async () => {
    await using fake = new Fake({
      answer: ({ name }) => name === "query-status" ? bytes : undefined,
    });
    await using qmp = await connect(fake.path);
    const error = await assertRejects(() => qmp.execute("query-status"), ProtocolError);
    assertMatch(error.message, /sent what QMP does not have: ".+"/);
    assertEquals(await qmp.closed, error);
  });
}

Deno.test({
  name: "a real QEMU answers commands out of band, and many in flight",
  ignore: WITHOUT_QEMU,
  fn: async () => {
    using place = makePlace();
    await using qemu = await startQemu(`${place.path}/vm`);
    await using qmp = await connect(qemu.path, { enable: ["oob"] });
    const answers = await Promise.all(
      Array.from({ length: 1000 }, () => qmp.execute("query-status")),
    );
    assertEquals(answers.length, 1000);
    const error = await assertRejects(
      () => qmp.execute("migrate-recover", { uri: "x" }, { oob: true }),
      QmpError,
    );
    assertEquals(error.errorClass, "GenericError");
  },
});

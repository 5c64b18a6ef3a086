/**
 * Hostile monitors at the client library: each gets its error and a closed connection.
 *
 * Nothing waits for ever, and memory stays bounded.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import {
  connect,
  ConnectionLost,
  NotQmpError,
  ProtocolError,
  type Qmp,
  TimeoutError,
} from "../lib/client/mod.ts";
import { within } from "./support/deadline.ts";
import { Fake } from "./support/fake.ts";
import { eventLine, type FakeQemuManners } from "./support/fake_qemu.ts";
import { makePlace } from "./support/place.ts";
import { Random } from "./support/random.ts";
import { untilTimeout } from "./support/timeout.ts";

const GREETING = '{"QMP": {"version": {}, "capabilities": []}}\r\n';
const ENCODER = new TextEncoder();

/** Memory that no test here needs, in bytes. */
const MUCH = 400 << 20;

/** Returns the manners of a monitor that answers `query-status` with these bytes. */
function saying(bytes: string): FakeQemuManners {
  return { answer: ({ name }) => name === "query-status" ? bytes : undefined };
}

/** Asserts that the command fails with this error, which also ends the client. */
async function assertEnds(
  qmp: Qmp,
  kind: typeof ProtocolError | typeof ConnectionLost = ProtocolError,
): Promise<void> {
  const others = [qmp.waitFor("NEVER"), qmp.execute("query-name")];
  const command = qmp.execute("query-status");
  for (const each of [command, ...others]) {
    await within("its error", assertRejects(() => each, kind));
  }
  assertInstanceOf(await within("the end", qmp.closed), kind);
}

/** A reply without an id answers only a command that was sent without one. */
const REPLIES: Readonly<Record<string, string>> = {
  "an object as id": '{"return": {}, "id": {}}',
  "null as id": '{"return": {}, "id": null}',
  "a fraction as id": '{"return": {}, "id": 1.5}',
  "a negative id": '{"return": {}, "id": -1}',
  "an id beyond all numbers": '{"return": {}, "id": 1e999}',
  "a long integer as id": '{"return": {}, "id": 18446744073709551617}',
  "the name of a method as id": '{"return": {}, "id": "constructor"}',
  "nothing": "{}",
  "an event whose name is a number": '{"event": 1}',
  "a return beside an error": '{"error": {"class": "E", "desc": "d"}, "return": 1, "id": 1}',
  "bytes that are not UTF-8": '{"return": "\u00ff", "id": 1}',
  "an array": "[1]",
  "null": "null",
  "an event with an object as time":
    '{"event": "STOP", "timestamp": {"seconds": {"toString": 1, "valueOf": 1}, "microseconds": 0}}',
  "an event with null as data": '{"event": "STOP", "data": null}',
  "an event with an array as data": '{"event": "STOP", "data": []}',
  "an event with a number as timestamp": '{"event": "STOP", "timestamp": 5}',
  "a bracket too many": '{"return": {}]}',
  "an unclosed string": '{"return": "}\r\n{"return": 1}\r\n" "}',
};

for (const [what, reply] of Object.entries(REPLIES)) {
  Deno.test(`the client ends with a ProtocolError after ${what}`, async () => {
    await using fake = new Fake({
      answer: ({ name }, { say }) => {
        if (name === "qmp_capabilities") return undefined;
        say(Uint8Array.from(`${reply}\r\n`, (char) => char.charCodeAt(0)));
        return "";
      },
    });
    await using qmp = await connect(fake.path);
    await assertEnds(qmp);
  });
}

for (
  const greeting of [
    '{"QMP": {"version": {}, "capabilities": [{"toString": 1}]}}',
    '{"QMP": {"version": {}, "capabilities": {"length": 1}}}',
    '{"QMP": {"version": 5, "capabilities": []}}',
    '{"QMP": {"version": null, "capabilities": []}}',
    '{"QMP": [], "version": {}, "capabilities": []}',
  ]
) {
  Deno.test(`connect() throws a NotQmpError for the greeting ${greeting}`, async () => {
    await using fake = new Fake({ greeting: `${greeting}\r\n` });
    await within("the error", assertRejects(() => connect(fake.path), NotQmpError));
  });
}

Deno.test("errors of the client escape what a terminal would interpret", async () => {
  const text = String.raw`\u007f\u009b31m\u202e`;
  const raw = JSON.parse(`"${text}"`) as string;
  await using other = new Fake({ greeting: `{"a": "${raw}"}\r\n` });
  const alien = await assertRejects(() => connect(other.path), NotQmpError);
  await using fake = new Fake(saying(`{"a": "${raw}"}\r\n`));
  await using qmp = await connect(fake.path);
  const damage = await assertRejects(() => qmp.execute("query-status"), ProtocolError);
  for (const { message } of [alien, damage]) assertStringIncludes(message, text);
});

Deno.test("connect() refuses a messageLimit that is not a positive number", async () => {
  for (const limit of [NaN, 0, -1, "64", null]) {
    const options = { messageLimit: limit as number };
    await assertRejects(() => connect("/none", options), RangeError, "Invalid messageLimit");
  }
});

Deno.test("a second reply to a command ends the client with a ProtocolError", async () => {
  const twice = '{"return": 7, "id": 1}\r\n'.repeat(2);
  await using fake = new Fake({
    answer: ({ name }) => name === "query-name" ? twice : name === "cont" ? "" : undefined,
  });
  await using qmp = await connect(fake.path);
  const first = assertRejects(() => qmp.execute("cont"), ProtocolError);
  assertEquals(await qmp.execute("query-name"), 7);
  await first;
  assertInstanceOf(await qmp.closed, ProtocolError);
});

Deno.test("random bytes end the client, before and after the handshake", async () => {
  const seed = Date.now() % 2 ** 31;
  console.log(`seed ${seed}`);
  const random = new Random(seed);
  for (let round = 0; round < 40; round++) {
    const bytes = Uint8Array.from({ length: 1 + random.below(2000) }, () => random.below(256));
    // A line that cannot go on as a message.
    const said = Uint8Array.from([...bytes, 0x0a, 0x21]);
    await using before = new Fake({ greeting: said, leaves: true });
    const error = await within(
      "the refusal",
      connect(before.path, { timeout: 30_000 }).then(() => undefined, (error) => error),
    );
    assert(error instanceof NotQmpError || error instanceof ConnectionLost, String(error));
    await using after = new Fake({ blurts: said, greeting: GREETING, leaves: true });
    const later = await within(
      "the end",
      connect(after.path).then((qmp) => qmp.closed, (error) => error),
    );
    assert(later instanceof ProtocolError || later instanceof ConnectionLost, String(later));
  }
});

Deno.test("a flood of events fills no memory, and commands go on", async () => {
  const flood = eventLine("FLOOD", { text: "x".repeat(1000) }).repeat(2000);
  let id = 0;
  await using fake = new Fake({
    answer: ({ name }, { say }) => {
      if (name === "qmp_capabilities") return undefined;
      for (let part = 0; part < 50; part++) say(flood);
      return name === "cont" ? `{"return": ${++id}}\r\n` : undefined;
    },
  });
  await using qmp = await connect(fake.path);
  const before = Deno.memoryUsage().rss;
  const stream = qmp.events();
  const some = qmp.events(["FL*"], { limit: 1 });
  for (const round of [1, 2]) assertEquals(await qmp.execute("cont"), round);
  assert(Deno.memoryUsage().rss - before < MUCH);
  await qmp.close();
  const count = async (events: AsyncIterable<{ name: string }>): Promise<number> => {
    let [found, gaps] = [0, 0];
    for await (const { name } of events) name === "FLOOD" ? found++ : gaps++;
    assertEquals(gaps, 1);
    return found;
  };
  assertEquals([await count(stream), await count(some)], [4096, 1]);
});

/** A monitor that, after the handshake, sends a beginning and then a part for ever. */
async function endless(path: string, begin: string, part: string): Promise<number> {
  using listener = Deno.listen({ transport: "unix", path });
  using socket = await listener.accept();
  let sent = 0;
  const say = async (text: string): Promise<void> => {
    const bytes = ENCODER.encode(text);
    for (let at = 0; at < bytes.length;) at += await socket.write(bytes.subarray(at));
    sent += bytes.length;
  };
  await say(GREETING);
  const buffer = new Uint8Array(4096);
  const length = await socket.read(buffer);
  const { id } = JSON.parse(new TextDecoder().decode(buffer.subarray(0, length!)));
  await say(`{"return": {}, "id": ${id}}\r\n`);
  await socket.read(new Uint8Array(4096));
  try {
    await say(begin);
    // A gigabyte, if the client takes it.
    while (sent < 1 << 30) await say(part);
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.ConnectionReset) {
      return sent;
    }
    throw error;
  }
  return sent;
}

const ENDLESS: readonly (readonly [string, string, string, RegExp])[] = [
  ["text", '{"return": "', "x".repeat(1 << 20), /a message of more than 67108864 bytes/],
  ["brackets", '{"return": ', "[".repeat(1 << 20), /a message of more than 67108864 bytes/],
  ["spaces in a value", '{"return": ', " ".repeat(1 << 20), /more than 67108864 bytes/],
];

for (const [what, begin, part, message] of ENDLESS) {
  Deno.test(`a message of a gigabyte of ${what} is refused at the limit`, async () => {
    using place = makePlace();
    const path = `${place.path}/vm`;
    const before = Deno.memoryUsage().rss;
    const sending = endless(path, begin, part);
    await using qmp = await connect(path);
    const error = await assertRejects(() => qmp.execute("query-status"), ProtocolError);
    assertMatch(error.message, message);
    assertEquals(await qmp.closed, error);
    assert(await sending < 70 << 20);
    assert(Deno.memoryUsage().rss - before < MUCH);
  });
}

Deno.test("nesting that would fill the memory or the stack is refused", async () => {
  for (const [open, close] of [["[", "]"], ['{"a":', "}"]] as const) {
    const deep = `${open.repeat(1 << 20)}${open === "[" ? "" : "1"}${close.repeat(1 << 20)}`;
    await using fake = new Fake(saying(`{"return": ${deep}}\r\n`));
    await using qmp = await connect(fake.path);
    const error = await assertRejects(() => qmp.execute("query-status"), ProtocolError);
    assertMatch(error.message, /nested deeper than 1024 levels/);
  }
});

Deno.test("as many levels as the limit has are read", async () => {
  // The object of the message is a level.
  const deep = `${"[".repeat(1023)}"}"${"]".repeat(1023)}`;
  await using fake = new Fake(saying(`{"return": ${deep}}\r\n`));
  await using qmp = await connect(fake.path);
  assertEquals(JSON.stringify(await qmp.execute("query-status")), deep);
});

Deno.test("commands to a monitor that never reads are withdrawn in time", async () => {
  await using fake = new Fake({
    answer: ({ name }, { stopReading }) => {
      if (name === "qmp_capabilities") return undefined;
      stopReading();
      return "";
    },
  });
  await using qmp = await connect(fake.path);
  const before = Deno.memoryUsage().rss;
  const args = { text: "x".repeat(10_000) };
  const messages = new Set<string>();
  for (let round = 0; round < 20; round++) {
    const ends = Array.from(
      { length: 500 },
      () => qmp.execute("query-status", args, { timeout: 5 }).catch((error) => error),
    );
    for (const error of await Promise.all(ends)) {
      assertInstanceOf(error, TimeoutError);
      messages.add(error.message.replace(/.*query-status /, ""));
    }
  }
  assertEquals([...messages].sort(), [
    "could not be sent in time",
    "got no reply in time; it may still run",
  ]);
  assert(Deno.memoryUsage().rss - before < MUCH);
  await within("the end", qmp.close());
});

Deno.test("a negotiation that is never answered ends in time", async () => {
  await using fake = new Fake({ answer: () => "" });
  const { message } = await untilTimeout(
    (seconds) => assertRejects(() => connect(fake.path, { timeout: seconds * 1000 }), TimeoutError),
    ({ message }) => /no connection|no greeting/.test(message),
  );
  assertMatch(message, /the negotiation was not answered in time$/);
});

/**
 * The fake QEMU for the tests of other programs: over a socket, and in memory.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { connect, ConnectError, ConnectionLost, QmpError } from "../lib/client/mod.ts";
import {
  type ByteStreams,
  FakeQemu,
  type FakeQemuOptions,
  type Replies,
  SchemaError,
  type ScriptEntry,
} from "../lib/testing/mod.ts";
import { CORPORA, replay } from "./support/corpus.ts";
import { within } from "./support/deadline.ts";
import { Lines } from "./support/lines.ts";
import { makePlace } from "./support/place.ts";
import { recordedSchema } from "./support/schemas.ts";

const SCHEMA = await recordedSchema("11.1");

/** A client in memory, which sees every line. */
class Talk {
  readonly lines: Lines;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;

  constructor({ readable, writable }: ByteStreams) {
    this.lines = new Lines(readable);
    this.#writer = writable.getWriter();
  }

  /** Opens a connection and ends the negotiation. */
  static async ready(qemu: FakeQemu, enable: readonly string[] = []): Promise<Talk> {
    const talk = new Talk(qemu.open());
    await talk.lines.next();
    await talk.send(
      `{"execute": "qmp_capabilities", "arguments": {"enable": ${JSON.stringify(enable)}}}`,
    );
    assertEquals(await talk.lines.next(), '{"return": {}}');
    return talk;
  }

  async send(text: string): Promise<void> {
    await this.#writer.write(new TextEncoder().encode(text));
  }

  async ask(text: string): Promise<string | undefined> {
    await this.send(text);
    return await this.lines.next(text);
  }

  /** Ends the client's stream. */
  async end(): Promise<void> {
    await this.#writer.close();
  }
}

const IN_MEMORY = { listen: false } as const;

/** Starts a fake QEMU in memory, from the schema of 11.1. */
function ofSchema(options: Parameters<typeof FakeQemu.fromSchema>[1] = {}): Promise<FakeQemu> {
  return FakeQemu.fromSchema(SCHEMA, { ...IN_MEMORY, ...options });
}

/**
 * The recorded conversations that depend on the machine: its CPU, devices, jobs and state, or the descriptors that
 * came with a command.
 */
const OF_MACHINE = [
  ..."disp/arg-badcpu disp/hmp-unknown disp/size-negative disp/cls-devnotfound".split(" "),
  ..."disp/cls-devnotactive disp/cls-kvmmissing disp/getfd-nofd disp/getfd-digit".split(" "),
  ..."disp/closefd-none disp/addfd-nofd disp/removefd-none-fd disp/device_del-bad".split(" "),
  ..."disp/migrate-pause disp/query-yank disp/x-exit-preconfig disp/add_client-bad".split(" "),
  ..."disp/query-status disp/query-uuid event/cont-stop event/none-in-negotiation".split(" "),
  ..."event/system_reset event/oob-session-cont-stop oob/allowed-pause-noid".split(" "),
  ..."oob/allowed-recover oob/allowed-query-yank oob/ib-allowed oob/id-obj oob/pipe-oob-12".split(
    " ",
  ),
];

for (const { version, grammar, cases } of CORPORA) {
  const [short] = /^\d+\.\d+/.exec(version)!;
  Deno.test(`FakeQemu.fromSchema() answers as QEMU ${version} did, except with a machine`, async () => {
    await using qemu = await FakeQemu.fromSchema(await recordedSchema(short), { version });
    const path = qemu.address.replace("unix:", "");
    const differing: string[] = [];
    for (const each of cases) {
      if (await replay(path, each, grammar) !== each.heard) differing.push(each.name);
    }
    assertEquals(differing, OF_MACHINE);
  });
}

Deno.test("FakeQemu greets with its version and its capabilities", async () => {
  await using qemu = await ofSchema({ version: "10.0.3 (Debian 1:10.0.3+ds-0)", capabilities: [] });
  const talk = new Talk(qemu.open());
  assertEquals(
    await talk.lines.next(),
    '{"QMP": {"version": {"qemu": {"micro": 3, "minor": 0, "major": 10}, ' +
      '"package": "Debian 1:10.0.3+ds-0"}, "capabilities": []}}',
  );
  await talk.ask('{"execute": "qmp_capabilities"}');
  assertEquals(
    await talk.ask('{"execute": "query-version"}'),
    '{"return": {"qemu": {"micro": 3, "minor": 0, "major": 10}, "package": "Debian 1:10.0.3+ds-0"}}',
  );
});

Deno.test("FakeQemu.fromSchema() returns the emptiest values, and those of the test", async () => {
  await using qemu = await FakeQemu.fromSchema({ return: SCHEMA }, {
    replies: {
      "query-name": { name: "vm1" },
      "query-status": () => ({ status: "running", running: true }),
      "query-memory-size-summary": { "base-memory": 2n ** 63n },
      "device_del": ({ id }) => {
        throw new QmpError("device_del", "DeviceNotFound", `Device '${id}' not found`);
      },
    },
  });
  await using qmp = await connect(qemu.address);
  assertEquals(await qmp.execute("query-block"), []);
  assertEquals(await qmp.execute("query-name"), { name: "vm1" });
  assertEquals((await qmp.execute("query-status")).running, true);
  assertEquals(await qmp.execute("query-memory-size-summary"), { "base-memory": 2n ** 63n });
  const refused = await assertRejects(() => qmp.execute("device_del", { id: "a" }), QmpError);
  assertEquals([refused.errorClass, refused.desc], ["DeviceNotFound", "Device 'a' not found"]);
  const wrong = await assertRejects(() => qmp.execute("device_del", { name: "a" }), QmpError);
  assertEquals(wrong.desc, "Parameter 'id' is missing");
  assertEquals(await qmp.execute("query-qmp-schema"), SCHEMA);
  const { length } = await qmp.execute("query-commands");
  assertEquals(length, SCHEMA.filter((each) => each["meta-type"] === "command").length);
  assertEquals(qemu.received.slice(0, 2).map(({ name }) => name), ["query-block", "query-name"]);
  assertEquals(qemu.received[5], { name: "device_del", arguments: { name: "a" }, oob: false });
});

Deno.test("FakeQemu.fromSchema() answers with an error where a type must contain itself, and goes on", async () => {
  const schema = [
    { name: "query-t", "meta-type": "command", "arg-type": "0", "ret-type": "t" },
    { name: "0", "meta-type": "object", members: [] },
    { name: "t", "meta-type": "object", members: [{ name: "a", type: "t" }] },
  ];
  await using qemu = await FakeQemu.fromSchema(schema);
  await using qmp = await connect(qemu.address);
  for (let time = 0; time < 2; time++) {
    const { desc } = await assertRejects(() => qmp.execute("query-t"), QmpError);
    assertEquals(desc, 'The schema has no value for query-t: type "t" must contain itself');
  }
});

Deno.test("FakeQemu.fromSchema() refuses what QEMU cannot reply", async () => {
  const wrong: [replies: Replies, message: string][] = [
    [{ "query-statsu": {} }, 'the schema has no command "query-statsu"'],
    [{ "query-status": { running: true } }, "Parameter 'return.status' is missing"],
    [
      { stop: undefined as unknown as object },
      "the reply to stop is not a value of JSON: return {}",
    ],
    [{ "query-status": [] }, "Invalid parameter type for 'return', expected: object"],
  ];
  for (const [replies, message] of wrong) {
    await assertRejects(() => ofSchema({ replies }), TypeError, message);
  }
  await assertRejects(() => FakeQemu.fromSchema({}), SchemaError);
  await assertRejects(() => ofSchema({ version: "eleven" }), TypeError, "invalid version");
  await assertRejects(() => ofSchema({ listen: "tcp:x" }), TypeError, "tcp:x");
  await assertRejects(() => ofSchema({ faults: ["x"] }), SyntaxError, "invalid fault");
  const faults = ["stop: event STOPPED"];
  await assertRejects(
    () => ofSchema({ faults }),
    TypeError,
    "The event STOPPED has not been found",
  );
});

Deno.test("FakeQemu.close() throws what a function of the replies has thrown", async () => {
  const qemu = await ofSchema({
    replies: {
      stop: () => {
        throw new RangeError("a mistake in a test");
      },
    },
  });
  const talk = await Talk.ready(qemu);
  assertEquals(await talk.ask('{"execute": "stop"}'), undefined);
  await assertRejects(() => qemu.close(), RangeError, "a mistake in a test");
  await qemu.close();
});

Deno.test("FakeQemu.close() names the command whose function has returned nothing", async () => {
  const qemu = await ofSchema({ replies: { stop: () => {} } });
  const talk = await Talk.ready(qemu);
  assertEquals(await talk.ask('{"execute": "stop"}'), undefined);
  await assertRejects(() => qemu.close(), TypeError, "the reply to stop is not a value of JSON");
});

Deno.test("FakeQemu.close() does not wait for a function that has not returned", async () => {
  const called = Promise.withResolvers<void>();
  const later = Promise.withResolvers<object>();
  const stop = (): Promise<object> => {
    called.resolve();
    return later.promise;
  };
  const qemu = await ofSchema({ replies: { stop } });
  const talk = await Talk.ready(qemu);
  const asked = talk.ask('{"execute": "stop"}');
  await called.promise;
  await qemu.close();
  assertEquals(await asked, undefined);
  later.reject(new RangeError("a mistake in a test, too late"));
});

Deno.test("FakeQemu.fromSchema() quits as QEMU does", async () => {
  await using qemu = await FakeQemu.fromSchema(SCHEMA);
  const { address } = qemu;
  const qmp = await connect(address);
  const event = qmp.waitFor("SHUTDOWN");
  await qmp.execute("quit");
  assertEquals((await event).data, { guest: false, reason: "host-qmp-quit" });
  assert(await qmp.closed instanceof ConnectionLost);
  await assertRejects(() => connect(address), ConnectError);
  assertThrows(() => qemu.open(), Error, "has ended");
});

const STATUS = { status: "running", running: true, singlestep: false };

Deno.test("FakeQemu.scripted() follows its script", async () => {
  await using qemu = await FakeQemu.scripted([
    { execute: "query-status", return: STATUS },
    {
      execute: "device_del",
      arguments: { id: "disk1", big: 2n ** 60n },
      after: [{ name: "DEVICE_DELETED", data: { device: "disk1", path: "/a" } }],
    },
    { execute: "cont", error: { desc: "not now" } },
    { execute: "cont", error: { class: "DeviceNotActive", desc: "no" }, before: [{ name: "A" }] },
  ]);
  await using qmp = await connect(qemu.address);
  assertEquals(await qmp.execute("query-status"), STATUS);
  const deleted = qmp.waitFor("DEVICE_DELETED");
  assertEquals(await qmp.execute("device_del", { big: 2n ** 60n, id: "disk1" }), {});
  assertEquals((await deleted).data, { device: "disk1", path: "/a" });
  const refused = [];
  for (let round = 0; round < 2; round++) {
    refused.push(await assertRejects(() => qmp.execute("cont"), QmpError));
  }
  assertEquals(refused.map(({ errorClass, desc }) => [errorClass, desc]), [
    ["GenericError", "not now"],
    ["DeviceNotActive", "no"],
  ]);
  qemu.verify();
});

Deno.test("FakeQemu.scripted() refuses an unexpected command, and verify() names it", async () => {
  await using qemu = await FakeQemu.scripted([
    { execute: "stop" },
    { execute: "device_del", arguments: { id: "a" } },
  ], IN_MEMORY);
  const talk = await Talk.ready(qemu);
  const desc = async (command: string): Promise<string> =>
    JSON.parse((await talk.ask(command))!).error?.desc;
  const first = "Unexpected command cont: the script expects stop";
  assertEquals(await desc('{"execute": "cont"}'), first);
  assertEquals(await desc('{"execute": "stop", "arguments": {"any": 1}}'), undefined);
  const second =
    'Unexpected command device_del {"id":"b"}: the script expects device_del {"id":"a"}';
  assertEquals(await desc('{"execute": "device_del", "arguments": {"id": "b"}}'), second);
  const third = 'Expected command device_del {"id":"a"} has not come';
  assertEquals(assertThrows(() => qemu.verify(), Error).message, [first, second, third].join("\n"));
  assertEquals(await desc('{"execute": "device_del", "arguments": {"id": "a"}}'), undefined);
  assertStringIncludes(await desc('{"execute": "stop"}'), "the script expects nothing more");
  await assertRejects(() => FakeQemu.scripted([{ execute: "a", fault: "b" }]), SyntaxError);
});

/** Runs a fake QEMU in memory whose `stop` has faults, and returns what the client hears of three commands. */
async function heard(faults: readonly string[], options: FakeQemuOptions = {}): Promise<string[]> {
  await using qemu = await ofSchema({ ...options, faults });
  const talk = await Talk.ready(qemu, ["oob"]);
  await talk.send('{"execute": "stop", "id": 1} {"execute": "cont", "id": 2}');
  await talk.send('{"execute": "query-name", "id": 3}');
  await talk.end();
  return (await talk.lines.rest()).map((line) => line.replace(/"timestamp": \{.*?\}, /, ""));
}

const [ONE, TWO, THREE] = [1, 2, 3].map((id) => `{"return": {}, "id": ${id}}`) as [
  string,
  string,
  string,
];

/** Faults, and the lines that the client hears. */
const FAULTS: readonly (readonly [faults: readonly string[], lines: readonly string[]])[] = [
  [[], [ONE, TWO, THREE]],
  [["stop: delay 20ms"], [ONE, TWO, THREE]],
  [["stop: error DeviceNotFound no"], [
    '{"id": 1, "error": {"class": "DeviceNotFound", "desc": "no"}}',
    TWO,
    THREE,
  ]],
  [["stop: event STOP", "cont: event RESUME after"], [
    '{"event": "STOP"}',
    ONE,
    TWO,
    '{"event": "RESUME"}',
    THREE,
  ]],
  [['stop: event BLOCK_JOB_ERROR {"device": "a", "operation": "read", "action": "stop"}'], [
    '{"event": "BLOCK_JOB_ERROR", "data": {"device": "a", "operation": "read", "action": "stop"}}',
    ...[ONE, TWO, THREE],
  ]],
  [["cont: drop"], [ONE]],
  [["cont: cut after 12 bytes"], [ONE, '{"return": {']],
  [["cont: cut after 0 bytes"], [ONE]],
  [["cont: cut after 500 bytes"], [ONE, TWO]],
  [["cont: restart"], [ONE]],
  [["*#3: drop"], [ONE, TWO]],
  // QEMU's replies are in order: those behind it wait.
  [["cont: silent"], [ONE]],
];

for (const [faults, lines] of FAULTS) {
  Deno.test(`FakeQemu with the fault ${faults.join(", ") || "none"}`, async () => {
    assertEquals(await heard(faults), lines);
  });
}

Deno.test("FakeQemu answers out of band while a command is delayed", async () => {
  await using qemu = await ofSchema({ faults: ["stop: delay 1000s"] });
  const talk = await Talk.ready(qemu, ["oob"]);
  await talk.send('{"execute": "stop", "id": 1} {"execute": "cont", "id": 2}');
  assertEquals(
    await talk.ask('{"exec-oob": "query-yank", "id": 3}'),
    '{"return": [], "id": 3}',
  );
  assertEquals(
    await talk.ask('{"exec-oob": "cont", "id": 4}'),
    '{"id": 4, "error": {"class": "GenericError", "desc": "The command cont does not support OOB"}}',
  );
  assertEquals(qemu.received.map(({ name, oob }) => [name, oob]), [
    ["stop", false],
    ["cont", false],
    ["query-yank", true],
    ["cont", true],
  ]);
  await qemu.close();
  assertEquals(await talk.lines.next(), undefined);
});

Deno.test("FakeQemu.emit() sends an event to a client that has finished its negotiation", async () => {
  await using qemu = await ofSchema();
  qemu.emit({ name: "RESUME" });
  const talk = new Talk(qemu.open());
  await talk.lines.next();
  qemu.emit({ name: "RESUME" });
  await talk.ask('{"execute": "qmp_capabilities"}');
  qemu.emit({ name: "STOP" });
  const line = await talk.lines.next();
  const { timestamp, ...rest } = JSON.parse(line!);
  assertEquals(rest, { event: "STOP" });
  assert(Math.abs(timestamp.seconds - Date.now() / 1000) < 3600);
  assertThrows(() => qemu.emit({ name: "NOPE" }), TypeError, "The event NOPE has not been found");
  const data = { device: 1 };
  assertThrows(
    () => qemu.emit({ name: "DEVICE_DELETED", data }),
    TypeError,
    "Invalid parameter type for 'data.device', expected: string",
  );
});

Deno.test("FakeQemu serves the next client when one has left, even if it owes it a reply", async () => {
  await using qemu = await FakeQemu.fromSchema(SCHEMA, { faults: ["stop#1: silent"] });
  const first = await connect(qemu.address);
  const lost = assertRejects(() => first.execute("stop"), ConnectionLost);
  const second = connect(qemu.address);
  await first.execute("query-name", {}, { timeout: 1 }).catch(() => {});
  await first.close();
  await lost;
  await using qmp = await within("the next client", second);
  assertEquals(await qmp.execute("stop"), {});
});

Deno.test("FakeQemu restarts at its address: a client that connects again goes on", async () => {
  for (const listen of [undefined, "127.0.0.1:0"]) {
    await using qemu = await FakeQemu.fromSchema(SCHEMA, {
      faults: ["stop#1: restart"],
      ...(listen === undefined ? {} : { listen }),
    });
    await using qmp = await connect(qemu.address, { reconnect: true });
    await assertRejects(() => qmp.execute("stop"), ConnectionLost);
    assertEquals(await qmp.execute("stop"), {});
  }
});

Deno.test("FakeQemu listens where it is told, and removes its socket", async () => {
  using place = makePlace();
  const listen = `unix:${place.path}/qmp.sock`;
  {
    await using qemu = await FakeQemu.scripted([], { listen });
    assertEquals(qemu.address, listen);
    const again = (): Promise<FakeQemu> => FakeQemu.scripted([], { listen });
    await assertRejects(again, Deno.errors.AddrInUse);
  }
  assertEquals([...Deno.readDirSync(place.path)], []);
  await using memory = await FakeQemu.scripted([], IN_MEMORY);
  assertThrows(() => memory.address, Error, "has no socket");
});

Deno.test("FakeQemu refuses members and options that it does not know, as JavaScript may give them", async () => {
  const refused = async (entries: unknown, options: unknown, message: string): Promise<void> => {
    const start = () => FakeQemu.scripted(entries as ScriptEntry[], options as FakeQemuOptions);
    await assertRejects(start, TypeError, message);
  };
  const execute = "stop";
  await refused(
    [{ execute }, { execute, returns: {} }],
    {},
    'entry 1 of the script cannot have "returns"',
  );
  await refused({ execute }, {}, "the script is not a list");
  await refused([{}], {}, 'entry 0 of the script has no command as "execute"');
  await refused(
    [{ execute, error: "no" }],
    {},
    '"error" in entry 0 of the script is not an object',
  );
  await refused(
    [{ execute, error: {} }],
    {},
    '"error" in entry 0 of the script has no text as "desc"',
  );
  await refused(
    [{ execute, after: { name: "STOP" } }],
    {},
    '"after" in entry 0 of the script is not a list',
  );
  await refused([], { replies: {} }, 'options cannot have "replies": expected listen, version');
  await refused([], { faults: "x" }, "faults is not a list");
  const lenientt = { lenientt: true } as object;
  await assertRejects(() => FakeQemu.fromRecording("x", lenientt), TypeError, '"lenientt"');
  await assertRejects(() => FakeQemu.fromSchema(SCHEMA, lenientt), TypeError, '"lenientt"');
});

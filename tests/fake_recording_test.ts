/**
 * The fake QEMU that plays a recording, for the tests of other programs.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { pathToFileURL } from "node:url";
import { connect, ConnectionLost, type Qmp, QmpError } from "../lib/client/mod.ts";
import { FakeQemu, PlayError, type RecordingOptions } from "../lib/testing/mod.ts";
import { Lines } from "./support/lines.ts";
import { MadeRecording } from "./support/made_recording.ts";
import { makePlace } from "./support/place.ts";
import { recordedSchema } from "./support/schemas.ts";

/** Returns a recording of two clients: one stops the VM, the other asks for its status. */
function made(): MadeRecording {
  const recording = new MadeRecording();
  for (const [client, listener] of [["mux/1", "mux"], ["ops/2", "ops"]] as const) {
    recording.connect(client, 0, { mode: "negotiation", listener, dialect: "qmp" });
    recording.exchange({ client, t: 0, name: "qmp_capabilities", args: '{"enable":["oob"]}' });
  }
  recording.exchange({
    client: "mux/1",
    t: 1,
    name: "query-name",
    reply: '"return": {"name": "a"}',
  });
  recording.exchange({ client: "mux/1", t: 1, name: "stop", run: 5 });
  recording.event(6, "STOP", undefined, ["mux/1", "ops/2"]);
  recording.exchange({ client: "mux/1", t: 9, name: "device_del", args: '{"id":"net0"}' });
  recording.exchange({ client: "ops/2", t: 9, name: "cont" });
  return recording;
}

/** Plays a recording in memory, or as the options say, and runs a test with it. */
async function playing(
  { text }: MadeRecording,
  options: RecordingOptions,
  run: (qemu: FakeQemu) => Promise<void>,
): Promise<void> {
  using place = makePlace();
  Deno.writeTextFileSync(`${place.path}/file`, text);
  await using qemu = await FakeQemu.fromRecording(`${place.path}/file`, {
    listen: false,
    ...options,
  });
  await run(qemu);
}

/** Runs a test with a client in memory. */
async function withClient(qemu: FakeQemu, run: (qmp: Qmp) => Promise<void>): Promise<void> {
  await using qmp = await connect(qemu.open());
  await run(qmp);
}

Deno.test("fromRecording() plays each recorded client without waiting, and verify() is content", async () => {
  await playing(made(), {}, async (qemu) => {
    await using first = await connect(qemu.open());
    await using second = await connect(qemu.open());
    const stopped = first.waitFor("STOP");
    assertEquals(await first.execute("query-name"), { name: "a" });
    assertEquals(await first.execute("stop"), {});
    assertEquals((await stopped).name, "STOP");
    await first.execute("device_del", { id: "net0" });
    await second.execute("cont");
    qemu.verify();
    assertEquals(qemu.mismatches, []);
    assertEquals(
      qemu.received.map(({ name, arguments: args }) => [name, args]),
      [["query-name", {}], ["stop", {}], ["device_del", { id: "net0" }], ["cont", {}]],
    );
    const reset = [first, second].map((qmp) => qmp.waitFor("RESET"));
    qemu.emit({ name: "RESET", data: { guest: false } });
    assertEquals((await Promise.all(reset)).map(({ data }) => data), [
      { guest: false },
      { guest: false },
    ]);
  });
});

Deno.test("verify() names commands that were not recorded, and recorded ones that have not come", async () => {
  await playing(made(), {}, async (qemu) => {
    await withClient(qemu, async (qmp) => {
      const error = await assertRejects(() => qmp.execute("device_del", { id: "net9" }), QmpError);
      assertEquals(
        error.desc,
        "The command device_del is not in the recording with these arguments",
      );
      await qmp.execute("stop");
    });
    const mismatch =
      'client 1: device_del {"id":"net9"}: The command device_del is not in the recording ' +
      'with these arguments; the nearest recorded command is device_del {"id":"net0"} (line 17)';
    assertEquals(qemu.mismatches, [mismatch]);
    // The other client was not played, so that nothing is missing from it.
    const { message } = assertThrows(() => qemu.verify(), Error);
    const missing = 'Recorded command device_del {"id":"net0"} (line 17) has not come';
    assertEquals(message, `${mismatch}\n${missing}`);
  });
});

Deno.test("a command that another recorded client has sent is named with that client", async () => {
  await playing(made(), {}, async (qemu) => {
    await withClient(qemu, async (qmp) => {
      const message = "The command cont is recorded in another session";
      await assertRejects(() => qmp.execute("cont"), QmpError, message);
    });
    assertEquals(qemu.mismatches, [
      "client 1: cont: The command cont is recorded in another session; ops/2 has it (line 19)",
    ]);
  });
});

Deno.test("verify() notices that no client has connected", async () => {
  await playing(made(), {}, (qemu) => {
    assertThrows(() => qemu.verify(), Error, "No client has connected");
    return Promise.resolve();
  });
});

Deno.test("a lenient recording takes commands in any order, and misses none", async () => {
  await playing(made(), { lenient: true }, async (qemu) => {
    await withClient(qemu, async (qmp) => {
      await qmp.execute("device_del", { id: "net0" });
      assertEquals(await qmp.execute("query-name"), { name: "a" });
    });
    qemu.verify();
    await withClient(qemu, async (qmp) => {
      await assertRejects(() => qmp.execute("conts"), QmpError, "not in the recording");
    });
    assertEquals(qemu.mismatches, [
      "client 2: conts: The command conts is not in the recording; " +
      "the nearest recorded command is cont (line 19)",
    ]);
  });
});

Deno.test("fromRecording() plays the clients of one listener, or the VM's connection to qmpmux", async () => {
  await playing(made(), { listener: "ops" }, async (qemu) => {
    await withClient(qemu, async (qmp) => void await qmp.execute("cont"));
    qemu.verify();
  });
  const recording = made();
  const [header, ...lines] = recording.lines;
  const ofVm = (vm: string) => lines.map((line) => line.replace("{", `{"vm":"${vm}",`));
  recording.lines.splice(0, Infinity, header!, ...ofVm("a"));
  recording.lines.push(`{"vm":"b","t":9,"side":"client","client":"x/1","kind":"connect"}`);
  await playing(recording, { vm: "a", as: "qemu" }, async (qemu) => {
    await withClient(qemu, async (qmp) => void await qmp.execute("stop"));
    qemu.verify();
  });
});

Deno.test("fromRecording() keeps the recorded times if there is a speed", async () => {
  // The reply comes after 5,000 seconds.
  await playing(made(), { speed: 0.001 }, async (qemu) => {
    await using first = await connect(qemu.open());
    await using second = await connect(qemu.open());
    let isAnswered = false;
    const stopping = assertRejects(
      () => first.execute("stop").finally(() => void (isAnswered = true)),
      ConnectionLost,
    );
    await second.execute("cont");
    assert(!isAnswered);
    await qemu.close();
    await stopping;
  });
});

Deno.test("faults spoil the recorded answers, and close() does not wait for late ones", async () => {
  const recording = made();
  const reply = `"return": ${JSON.stringify(await recordedSchema("7.2"))}`;
  recording.exchange({ client: "mux/1", t: 10, name: "query-qmp-schema", reply });
  const faults = ["query-name#1: delay 1ms", "query-name#2: delay 1000s", "stop: restart"];
  await playing(
    recording,
    { faults, listen: "tcp:127.0.0.1:0" },
    async (qemu) => {
      const ends: Promise<unknown>[] = [];
      {
        await using qmp = await connect(qemu.address);
        assertEquals(await qmp.execute("query-name"), { name: "a" });
        await assertRejects(() => qmp.execute("stop"), ConnectionLost);
      }
      const again = await connect(qemu.address);
      ends.push(assertRejects(() => again.execute("query-name"), ConnectionLost));
      await again.close();
      await Promise.all(ends);
    },
  );
  const wrong = { faults: ['stop: event STOP {"a": 1} after'] };
  await assertRejects(
    () => playing(recording, wrong, () => Promise.resolve()),
    TypeError,
    "STOP is not an event of the schema: Parameter 'data.a' is unexpected",
  );
});

Deno.test("a recorded end of QEMU follows a delayed reply", async () => {
  const recording = new MadeRecording();
  recording.exchange({ client: "mux/1", t: 1, name: "quit", reply: '"return": {"a": 1}' });
  recording.event(2, "SHUTDOWN", undefined, ["mux/1"]);
  recording.disconnect("mux/1", 3, "qemu");
  await playing(recording, { faults: ["quit: delay 20ms"] }, async (qemu) => {
    await withClient(qemu, async (qmp) => {
      const ended = qmp.waitFor("SHUTDOWN");
      assertEquals(await qmp.execute("quit"), { a: 1 });
      await ended;
    });
  });
});

Deno.test("a fault that ends the connection comes after all that is queued, before all that follows", async () => {
  const recording = new MadeRecording();
  recording.exchange({ client: "mux/1", t: 1, name: "stop", reply: '"return": {"a": 1}' });
  recording.exchange({ client: "mux/1", t: 2, name: "cont" });
  recording.event(3, "RESUME", undefined, ["mux/1"]);
  for (const fault of ["cut after 0 bytes", "drop", "restart"]) {
    const faults = ["cont: event X before", `cont: ${fault}`];
    await playing(recording, { faults }, async (qemu) => {
      const { readable, writable } = qemu.open();
      const heard = new Lines(readable);
      const writer = writable.getWriter();
      const commands = ["qmp_capabilities", "stop", "cont"].map((execute) => ({ execute }));
      await writer.write(
        new TextEncoder().encode(commands.map((each) => JSON.stringify(each)).join("")),
      );
      const [, hello, stopped, event, ...rest] = await heard.rest();
      assertEquals([hello, stopped, rest], ['{"return": {}}', '{"return": {"a": 1}}', []]);
      assertMatch(event!, /"event": "X"/);
    });
  }
});

Deno.test("fromRecording() refuses a file that it cannot play, and wrong options", async () => {
  using place = makePlace();
  const path = `${place.path}/file`;
  const play = (options: RecordingOptions = {}): Promise<FakeQemu> =>
    FakeQemu.fromRecording(path, { listen: false, ...options });
  const missing = await assertRejects(() => play(), Error);
  assertEquals((missing as Error & { code?: string }).code, "ENOENT");
  Deno.writeTextFileSync(path, `${made().text}{"t":9,"dropped":3}\n`);
  await assertRejects(
    () => play(),
    PlayError,
    `${path}: line 21: 3 messages are missing here; record again, on a faster disk`,
  );
  Deno.writeFileSync(path, Uint8Array.of(0x7b, 0xff));
  await assertRejects(
    () => play(),
    PlayError,
    `${path}: invalid UTF-8: byte 0xff at offset 1; write the file in UTF-8`,
  );
  Deno.writeTextFileSync(path, made().text);
  const cases: readonly (readonly [string, RecordingOptions])[] = [
    ["invalid speed -1: expected a number from 0 up", { speed: -1 }],
    ['invalid side "x": expected "clients" or "qemu"', { as: "x" as "qemu" }],
    [`${path}: the recording has no listener x: it has mux, ops`, { listener: "x" }],
    ['invalid fault "x": expected COMMAND: ACTION', { faults: ["x"] }],
  ];
  for (const [message, options] of cases) await assertRejects(() => play(options), Error, message);
  await using qemu = await FakeQemu.fromRecording(pathToFileURL(path), { listen: false });
  await withClient(qemu, async (qmp) => void await qmp.execute("query-name"));
  Deno.truncateSync(path, (256 << 20) + 1);
  await assertRejects(
    () => play(),
    RangeError,
    "the file has 268435457 bytes; the limit is 268435456",
  );
});

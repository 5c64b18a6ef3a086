/**
 * A QEMU that breaks its protocol: its connection is closed, and nothing else happens.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { ROLES } from "../lib/policy/roles.ts";
import { FakeQemu, type FakeQemuConnection, type FakeQemuManners } from "./support/fake_qemu.ts";
import { TestClient } from "./support/client.ts";
import { within } from "./support/deadline.ts";
import { FakeFds } from "./support/fake_peer.ts";
import { makePlace } from "./support/place.ts";
import { startQmpmux, type TestQmpmux } from "./support/qmpmux.ts";
import { grant, GREETING, Stage } from "./support/stage.ts";

/** QEMU's replies to a command, and what is wrong with each. */
const UNEXPECTED: [command: string, answer: string, problem: string][] = [
  ["query-commands", '{"return": [nope]}', "it did not return an array of JSON values"],
  ["query-commands", '{"return": {"a": 1}}', "it did not return an array of JSON values"],
  [
    "query-commands",
    '{"return": [{"name": 7}]}',
    "its list of commands has an entry without a name",
  ],
  ["query-commands", '{"return": [null]}', "its list of commands has an entry without a name"],
  [
    "query-commands",
    `{"return": [{"name": "${"x".repeat(200_000)}"}]}`,
    "its list of commands is too long",
  ],
  ["add-fd", '{"return": nope}', "it did not return an object"],
  ["add-fd", '{"return": []}', "it did not return an object"],
  [
    "add-fd",
    '{"return": {"fdset-id": "x y", "fd": "}"}}',
    "it did not return the numbers of a set and a descriptor",
  ],
  [
    "add-fd",
    '{"return": {"fdset-id": 1e9999, "fd": 1}}',
    "it did not return the numbers of a set and a descriptor",
  ],
  [
    "add-fd",
    `{"return": {"fdset-id": 1, "fd": 1, "x": "${"x".repeat(5000)}"}}`,
    "the object that it returned is too long",
  ],
  [
    "query-status",
    `{"timestamp": {}, "event": "${"X".repeat(257)}"}`,
    "the name of its event is too long",
  ],
  ["query-status", '{"return": {}, "id": 99}', "it sent a reply that matches no command"],
  ["query-status", '{"error": 5}', "it does not speak QMP"],
  ["query-status", '{"event": 5}', "it does not speak QMP"],
  ["query-status", '{"QMP": {}}', "it sent a second greeting"],
  ["query-status", "[]", "it does not speak QMP"],
];

for (const onLoss of ["close", "hold"] as const) {
  for (const [command, answer, problem] of UNEXPECTED) {
    const shown = answer.length > 60 ? `${answer.slice(0, 59)}…` : answer;
    Deno.test(`Mux.answered() closes the connection to QEMU on ${shown} in reply to ${command}, on-loss=${onLoss}`, () => {
      const stage = new Stage(60, { onLoss });
      stage.qemuReady();
      const asker = stage.ready("asker");
      const other = stage.connect("other", grant({ role: ROLES.get("observer")! }));
      other.say('{"execute":"qmp_capabilities"}');
      other.peer.take();
      if (command === "add-fd") stage.mux.fdsReceived(asker.monitor, new FakeFds("fd"));
      asker.say(`{"execute":"${command}","id":"mine"}`);
      stage.qemuSays(answer);
      assertEquals(stage.qemu.closed, problem);
      stage.qemuGoes(problem);
      assertEquals(asker.peer.closed === undefined, onLoss === "hold");
      assertEquals(other.peer.closed === undefined, onLoss === "hold");
      if (onLoss === "close") return;
      // The client that sent the command gets an error, and both continue with the next QEMU.
      const errors = asker.peer.take().filter((line) => line.includes('"error"'));
      assertEquals(errors.length, 1, errors.join());
      assertMatch(
        errors[0]!,
        /^\{"id": "mine", .*the effect of \S+ is unknown|its effect is unknown/,
      );
      stage.qemuReady();
      for (const client of [asker, other]) {
        client.peer.take();
        client.say('{"execute":"query-name","id":1}');
        stage.qemuSays('{"return": {}}');
        assertEquals(client.peer.take(), ['{"return": {}, "id": 1}']);
      }
    });
  }
}

Deno.test("Mux.answered() does not forward unexpected messages of QEMU to clients", () => {
  const stage = new Stage(60, { onLoss: "hold" });
  stage.qemuReady();
  const client = stage.ready("client");
  stage.qemuSays('{"return": "of another"}');
  stage.qemuGoes(stage.qemu.closed);
  assert(!client.peer.take().join().includes("of another"));
  assert(stage.qemu.detail?.includes("of another"));
});

Deno.test("Mux.answered() rejects a reply to a command that has not been written to the kernel", () => {
  const stage = new Stage();
  stage.qemuReady();
  const client = stage.ready("client");
  Object.defineProperty(stage.qemu, "backlog", { value: 26, configurable: true });
  client.say('{"execute":"query-status"}');
  stage.qemuSays('{"return": {}}');
  assertEquals(stage.qemu.closed, "it sent a reply to a command that it has not received");
});

Deno.test("Mux.answered() rejects a plain reply of a QEMU that sent its greeting with pretty=on", () => {
  const stage = new Stage(60, { onLoss: "hold" });
  const greeting = JSON.stringify(JSON.parse(GREETING), undefined, 4).replaceAll("\n", "\r\n");
  stage.qemuReady(greeting);
  const client = stage.ready("client");
  // It would be 800 MB long if indented.
  const deep = `{"return": ${"[".repeat(14_000)}${"]".repeat(14_000)}}`;
  client.say('{"execute":"query-status","id":1}');
  stage.qemuSays(deep);
  assertEquals(stage.qemu.closed, "it printed its greeting with pretty=on, but not a reply");
  stage.qemuGoes(stage.qemu.closed);
  // The next one is plain, as are its replies.
  stage.qemuReady();
  client.peer.take();
  client.say('{"execute":"query-status"}');
  stage.qemuSays(deep);
  assertEquals(client.peer.take(), [deep]);
  client.say("{}");
  assertEquals(client.peer.take().length, 1);
  assertEquals(client.peer.closed, undefined);
});

Deno.test("Mux.answered() sends nothing more to a QEMU after a malformed reply", () => {
  const stage = new Stage(60, { onLoss: "hold" });
  stage.qemuReady();
  const client = stage.ready("a");
  client.say('{"execute":"query-commands"}{"execute":"stop"}');
  stage.qemu.take();
  stage.qemuSays('{"return": [{}]}');
  assertEquals(stage.qemu.take(), []);
  assertStringIncludes(client.peer.take()[0]!, "could not be read");
  stage.qemuGoes();
  assertStringIncludes(client.peer.heard.join(), "stop");
});

Deno.test("Mux.qemuArrived() rejects a greeting that is too long", () => {
  const stage = new Stage();
  stage.qemuArrives();
  stage.qemuSays(`{"QMP": {"version": {}, "capabilities": ["oob", "${"x".repeat(5000)}"]}}`);
  assertEquals(stage.qemu.closed, "its greeting is too long");
});

/** Starts a hostile QEMU, and a qmpmux in front of it that holds its clients. */
async function held(
  place: { readonly path: string },
  manners: FakeQemuManners,
  more = "",
): Promise<{
  qemu: FakeQemu;
  mux: TestQmpmux;
}> {
  const qemu = new FakeQemu(`${place.path}/vm`, manners);
  const mux = await startQmpmux([
    ...["--qemu", qemu.path, "--listen", `${place.path}/watch,role=observer`],
    ...["--listen", `${place.path}/mux${more}`, "--on-loss", "hold"],
  ]);
  await mux.log.until(/connected to QEMU/);
  return { qemu, mux };
}

Deno.test("qmpmux logs unexpected messages of QEMU, and reconnects; clients stay", async () => {
  using place = makePlace();
  let times = 0;
  const { qemu, mux } = await held(place, {
    answer: ({ name }) =>
      name === "query-commands" && times++ === 0 ? '{"return": [\x1bcnope]}\r\n' : undefined,
  });
  await using _qemu = qemu;
  await using _mux = mux;
  using watcher = await TestClient.ready(`${place.path}/watch`);
  using other = await TestClient.ready(`${place.path}/mux`);
  await watcher.send('{"execute":"query-commands"}');
  assertEquals(
    await mux.log.until(/not return/),
    `qmpmux: unix:${qemu.path}: it did not return an array of JSON values: ` +
      '{"return": [\\u001bcnope]}',
  );
  await mux.log.until(/connected to QEMU/);
  assertEquals(qemu.connections, 2);
  await other.lines.until(/QEMU_BACK/);
  await other.send('{"execute":"query-status","id":1}');
  await other.lines.until(/"id": 1\}/);
});

Deno.test("qmpmux exits on SIGTERM after QEMU has sent malformed descriptor sets", async () => {
  using place = makePlace();
  const { qemu, mux } = await held(place, {
    answer: ({ name }) =>
      name === "add-fd" ? '{"return": {"fdset-id": "x y", "fd": "}"}}\r\n' : undefined,
  }, ",fds=on");
  await using _qemu = qemu;
  await using _mux = mux;
  using client = await TestClient.ready(`${place.path}/mux`);
  await client.send('{"execute":"add-fd"}');
  await mux.log.until(/it did not return the numbers of a set/);
  mux.kill("SIGTERM");
  assertEquals((await within("the end", mux.ended)).code, 0);
});

Deno.test("qmpmux disconnects a QEMU that answers early and does not read", async () => {
  using place = makePlace();
  let connection: FakeQemuConnection | undefined;
  await using qemu = new FakeQemu(`${place.path}/vm`, {
    capabilities: [],
    answer(_, opened): undefined {
      connection ??= opened;
      connection.stopReading();
    },
  });
  await using mux = await startQmpmux([
    ...["--qemu", qemu.path, "--listen", `${place.path}/mux`, "--on-loss", "hold"],
  ]);
  using client = await TestClient.ready(`${place.path}/mux`);
  // It answers each command of 200 kB as soon as it may have arrived, and reads nothing.
  const flood = (async (): Promise<void> => {
    for (let i = 0; i < 50; i++) {
      await client.send(`{"execute":"x","arguments":{"a":"${"y".repeat(200_000)}"}}`);
      connection!.say('{"return": {}}\n');
    }
  })();
  await mux.log.until(
    /it sent a reply (to a command that it has not received|that matches no command)/,
  );
  client[Symbol.dispose]();
  await flood.catch(() => {});
});

/**
 * `qmpmux replay`: recordings, files of replies and schemas, played on a socket.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertNotEquals, assertThrows } from "@std/assert";
import { PlayError } from "../lib/testing/play.ts";
import { readPlay } from "../lib/testing/play_file.ts";
import { recordingPlay } from "../lib/testing/recording_play.ts";
import { prettied } from "../lib/wire/qemu_json.ts";
import { TestClient, undated } from "./support/client.ts";
import { MadeRecording } from "./support/made_recording.ts";
import { memoryFilesOf, PassingClient } from "./support/passing.ts";
import { makePlace } from "./support/place.ts";
import { runQmpmux } from "./support/qmpmux.ts";
import { play } from "./support/replay.ts";

const GREETING =
  '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}, "capabilities": ["oob"]}}';

/** Returns a recording of two clients. */
function made(): MadeRecording {
  const recording = new MadeRecording();
  const hello = { name: "qmp_capabilities", args: '{"enable":["oob"]}' };
  for (const [client, listener] of [["mux/1", "mux"], ["ops/2", "ops"]] as const) {
    recording.connect(client, 0, { mode: "negotiation", listener, dialect: "qmp" });
    recording.exchange({ client, t: 0, ...hello });
  }
  recording.exchange({ client: "mux/1", t: 1, name: "stop", run: 0.001 });
  recording.event(1.002, "STOP", undefined, ["mux/1", "ops/2"]);
  const status = '"return": {"running": false, "status": "paused"}';
  recording.exchange({ client: "ops/2", t: 2, name: "query-status", reply: status });
  return recording;
}

const STOP = '{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "STOP"}';

Deno.test("replay plays each recorded client to a client, with its own ids", async () => {
  await using playing = await play(made().text, "--speed", "0");
  const path = `${playing.path}/s`;
  using first = await TestClient.connect(path);
  assertEquals(await first.line(), GREETING);
  const early = await first.ask({ execute: "stop", id: 1 });
  assertMatch(early, /^\{"id": 1, "error": \{"class": "CommandNotFound", "desc": "Expecting cap/);
  assertEquals(
    await first.ask({ execute: "qmp_capabilities", arguments: { enable: ["x"] } }),
    `{"error": {"class": "GenericError", "desc": "Parameter 'null' does not accept value 'x'"}}`,
  );
  assertEquals(
    await first.ask({ execute: "qmp_capabilities", id: "a" }),
    '{"return": {}, "id": "a"}',
  );
  assertEquals(await first.session({ execute: "stop", id: [2] }, 2), [
    '{"return": {}, "id": [2]}',
    STOP,
  ]);
  // The second client's event comes after its negotiation, without any command.
  using second = await TestClient.connect(path);
  await second.line();
  assertEquals(await second.session({ execute: "qmp_capabilities" }, 2), ['{"return": {}}', STOP]);
  assertEquals(
    await second.ask({ execute: "query-status", id: 7 }),
    '{"return": {"running": false, "status": "paused"}, "id": 7}',
  );
  using third = await TestClient.ready(path);
  assertEquals(await third.line(), STOP);
  assertEquals(await playing.stop(), 0);
});

Deno.test("replay names the nearest recorded command on stderr, and ends with 1", async () => {
  await using playing = await play(made().text, "--speed", "0");
  using client = await TestClient.ready(`${playing.path}/s`);
  assertEquals(
    await client.ask({ execute: "stops", arguments: { a: 1 } }),
    '{"error": {"class": "GenericError", "desc": "The command stops is not in the recording"}}',
  );
  assertEquals(
    await playing.log.until(/stops/),
    'qmpmux: replay: client 1: stops {"a":1}: The command stops is not in the recording; ' +
      "the nearest recorded command is stop (line 8)",
  );
  assertEquals(await playing.stop(), 1);
});

Deno.test("replay gives a listener the recorded clients of the listener with its name", async () => {
  const listen = ["--listen", "DIR/a,name=ops", "--listen", "DIR/b,name=mux"];
  await using playing = await play(made().text, "--speed", "0", ...listen);
  using ops = await TestClient.ready(`${playing.path}/a`);
  assertEquals(await ops.line(), STOP);
  assertMatch(await ops.ask({ execute: "query-status" }), /"paused"/);
  using mux = await TestClient.ready(`${playing.path}/b`);
  assertEquals(await mux.session({ execute: "stop" }, 2), ['{"return": {}}', STOP]);
});

Deno.test("replay of one listener with a name gives it the recorded clients of that listener", async () => {
  await using playing = await play(made().text, "--speed", "0", "--listen", "DIR/s,name=ops");
  using ops = await TestClient.ready(`${playing.path}/s`);
  assertEquals(await ops.line(), STOP);
  assertMatch(await ops.ask({ execute: "query-status" }), /"paused"/);
});

Deno.test("replay --as qemu plays the one QEMU of all clients", async () => {
  const recording = new MadeRecording({ greeting: null });
  recording.add({ t: 0, side: "qemu", dir: "<", kind: "greeting", text: GREETING });
  recording.connect("mux/1", 0, { mode: "command" });
  const hello = recording.toQemu(0.1, '{"execute":"qmp_capabilities","id":"n"}', []);
  recording.fromQemu(0.1, hello, '{"return": {}, "id": "n"}');
  recording.exchange({ client: "mux/1", t: 1, name: "query-name", run: 0.01 });
  recording.exchange({ client: "ops/2", t: 2, name: "stop", run: 0.01 });
  recording.event(2.01, "STOP");
  await using playing = await play(recording.text, "--speed", "0", "--as", "qemu");
  using client = await TestClient.ready(`${playing.path}/s`);
  assertEquals(await client.ask({ execute: "query-name" }), '{"return": {}}');
  assertEquals(await client.session({ execute: "stop" }, 2), ['{"return": {}}', STOP]);
});

const SCHEMA = [
  { name: "query-x", "meta-type": "command", "arg-type": "0", "ret-type": "1" },
  { name: "stop", "meta-type": "command", "arg-type": "0", "ret-type": "0" },
  { name: "query-version", "meta-type": "command", "arg-type": "0", "ret-type": "1" },
  { name: "query-self", "meta-type": "command", "arg-type": "0", "ret-type": "2" },
  { name: "2", "meta-type": "object", members: [{ name: "me", type: "2" }] },
  { name: "0", "meta-type": "object", members: [] },
  { name: "1", "meta-type": "object", members: [{ name: "n", type: "int" }] },
  { name: "int", "meta-type": "builtin", "json-type": "int" },
];

Deno.test("replay of a schema checks each command, and returns the emptiest value", async () => {
  await using playing = await play(JSON.stringify({ return: SCHEMA }));
  using client = await TestClient.ready(`${playing.path}/s`);
  assertEquals(await client.ask({ execute: "query-x" }), '{"return": {"n": 0}}');
  assertEquals(
    await client.ask({ execute: "query-x", arguments: { a: 1 } }),
    `{"error": {"class": "GenericError", "desc": "Parameter 'a' is unexpected"}}`,
  );
  assertEquals(
    await client.ask({ execute: "query-version" }),
    '{"return": {"qemu": {"micro": 0, "minor": 0, "major": 10}, "package": ""}}',
  );
  assertEquals(
    await client.ask({ execute: "query-self" }),
    '{"error": {"class": "GenericError", ' +
      '"desc": "The schema has no value for query-self: type \\"2\\" must contain itself"}}',
  );
  assertEquals(
    await client.ask({ execute: "nope", id: 1 }),
    '{"id": 1, "error": {"class": "CommandNotFound", "desc": "The command nope has not been found"}}',
  );
  assertEquals(await playing.stop(), 0);
});

Deno.test("replay --lenient of a recording with a schema returns the emptiest value", async () => {
  const recording = made();
  const reply = `"return": ${JSON.stringify(SCHEMA)}`;
  recording.exchange({ client: "mux/1", t: 3, name: "query-qmp-schema", reply });
  for (const isLenient of [false, true]) {
    const flags = isLenient ? ["--lenient"] : [];
    await using playing = await play(recording.text, "--speed", "0", ...flags);
    using client = await TestClient.ready(`${playing.path}/s`);
    assertEquals(
      await client.ask({ execute: "query-x" }),
      isLenient
        ? '{"return": {"n": 0}}'
        : '{"error": {"class": "GenericError", "desc": "The command query-x is not in the recording"}}',
    );
  }
});

Deno.test("replay gives the recorded reply to a command that the recorded schema refuses", async () => {
  const recording = made();
  const reply = `"return": ${JSON.stringify(SCHEMA)}`;
  recording.exchange({ client: "mux/1", t: 3, name: "query-qmp-schema", reply });
  recording.exchange({ client: "mux/1", t: 4, name: "__org.qmpmux_query-self", run: 1 });
  await using playing = await play(recording.text, "--speed", "0");
  using client = await TestClient.ready(`${playing.path}/s`);
  await client.session({ execute: "stop" }, 2);
  assertEquals(await client.ask({ execute: "__org.qmpmux_query-self" }), '{"return": {}}');
  // The error of the schema comes before that of the recording.
  assertEquals(
    await client.ask({ execute: "stop", arguments: { a: 1 } }),
    `{"error": {"class": "GenericError", "desc": "Parameter 'a' is unexpected"}}`,
  );
  assertEquals(await playing.stop(), 0);
});

Deno.test("replay of a QEMU with pretty=on prints ids, errors and the events of faults in that way", async () => {
  const pretty = (text: string): string => prettied(text).trimEnd();
  const recording = new MadeRecording({ greeting: pretty(GREETING) });
  recording.connect("mux/1", 0, { mode: "negotiation" });
  const command = recording.command("mux/1", 1, '{"execute":"stop","id":{"a":[1]}}');
  recording.reply("mux/1", 1, command, pretty('{"return": {"b": 1}, "id": {"a": [1]}}'));
  const fault = 'stop: event X {"n": 18446744073709551615} before';
  await using playing = await play(recording.text, "--speed", "0", "--fault", fault);
  using client = await TestClient.connect(`${playing.path}/s`);
  /** Sends a text, and compares the messages that follow. */
  const hear = async (sent: string | object, ...messages: readonly string[]): Promise<void> => {
    const lines = messages.map(pretty).join("\r\n").split("\r\n");
    const heard = await client.session(sent, lines.length);
    assertEquals(heard.map((line) => line.replace(/seconds": \d+/, 'seconds": 1')), lines);
  };
  await hear("", GREETING);
  await hear({ execute: "qmp_capabilities", id: [1] }, '{"return": {}, "id": [1]}');
  await hear(
    { execute: "stop", id: [[2]] },
    '{"timestamp": {"seconds": 1, "microseconds": 1}, "event": "X", "data": {"n": 18446744073709551615}}',
    '{"return": {"b": 1}, "id": [[2]]}',
  );
  const desc = "The command nope is not in the recording";
  await hear(
    { execute: "nope", id: { a: 1 } },
    `{"id": {"a": 1}, "error": {"class": "GenericError", "desc": "${desc}"}}`,
  );
});

Deno.test("replay refuses a file that it cannot play, with the line", async () => {
  using place = makePlace();
  const path = `${place.path}/file`;
  const listen = ["--listen", `${place.path}/s`];
  const refused = async (text: string, ...args: string[]): Promise<string> => {
    Deno.writeTextFileSync(path, text);
    const { code, stderr } = await runQmpmux(["replay", path, ...listen, ...args]);
    assertEquals(code, 1);
    return stderr.trimEnd().replace(`qmpmux: replay: ${path}: `, "");
  };
  const { text } = made();
  assertEquals(
    await refused(`${text}{"t":9,"kind":"x"}\n`),
    'line 17: "kind" is not one of greeting, command, reply, event, damage, connect, disconnect; ' +
      "record again, or remove what is damaged with qmpmux show --json",
  );
  assertEquals(
    await refused(text.slice(0, -10)),
    "line 16: it is not a JSON object; it is incomplete: wait for the end of the recording, or remove the line",
  );
  assertEquals(
    await refused(text.replace('"qmpmux-recording":1', '"qmpmux-recording":2')),
    "line 1: it has format 2, and this qmpmux reads format 1; use a newer qmpmux",
  );
  assertEquals(
    await refused(`${text}{"t":9,"dropped":3}\n`),
    "line 17: 3 messages are missing here; record again, on a faster disk",
  );
  assertEquals(
    await refused(text.replace(/"text":"[^\n]*stop[^\n]*"/, '"length":2000000')),
    "line 8: the recording has no text of this command of 2000000 bytes: longer ones than 1 MiB are left out; " +
      "choose other clients or commands with qmpmux show --json",
  );
  const variants = [{ case: "x", type: "w" }];
  const self = { name: "w", "meta-type": "object", members: [{ name: "k", type: "e" }] };
  const schema = [...SCHEMA, { name: "e", "meta-type": "enum", values: ["x"] }];
  assertEquals(
    await refused(JSON.stringify([...schema, { ...self, tag: "k", variants }], undefined, 1)),
    `line ${
      JSON.stringify(schema, undefined, 1).split("\n").length + 1
    }: the schema is not whole: ` +
      'object "w" is a variant of itself; save the reply of query-qmp-schema again',
  );
  const several = `${text}${text.split("\n")[1]!.replace("{", '{"vm":"a",')}\n` +
    `${text.split("\n")[1]!.replace("{", '{"vm":"b",')}\n`;
  assertEquals(
    await refused(several),
    "line 18: the recording is of several VMs, such as a and b; choose one by --vm NAME or the option vm",
  );
  for (const [file, vms] of [[text, "vm1"], [several.replace('"vm1"', "null"), "a, b"]] as const) {
    assertEquals(
      await refused(file, "--vm", "c"),
      `the recording has no VM c; choose one of its VMs: ${vms}`,
    );
  }
  assertEquals(
    await refused("[]", "--vm", "c"),
    "it is not a recording of qmpmux, so that a VM cannot be chosen; leave out --vm or the option vm",
  );
});

Deno.test("recordingPlay() refuses damaged texts, with the line", () => {
  const { text } = made();
  const [reply, event] = ['{\\"return\\": {}}', '\\"event\\": \\"STOP\\"'];
  const damaged: readonly (readonly [from: string | RegExp, to: string, message: string])[] = [
    [reply, '{\\"return\\": {\\"oops}', "line 4: its text is not a reply"],
    [reply, '{\\"return\\": {,,,}}', "line 4: its text is not a reply"],
    [reply, `${reply}${reply}`, "line 4: its text is not a reply"],
    [reply, '{\\"return\\": {}, \\"error\\": {}}', "line 4: its text is not a reply"],
    [reply, '{\\"error\\": {}}', "line 4: its text is not a reply"],
    [event, `${event}, \\"data\\": {oops}`, "its text is not an event"],
    [/("execute[^}]*stop[^}]*\})/g, '$1{\\"execute\\":\\"cont\\"}', "its text is not a command"],
    [
      /"greeting":"[^\n]*"/g,
      '"greeting":"{\\"QMP\\": {}}"',
      "line 1: the greeting has no version",
    ],
    [/"of":8/g, '"of":3', '"of" names line 3, which has its reply in line 4; record again'],
  ];
  for (const [from, to, message] of damaged) {
    const other = text.replaceAll(from, to);
    assertNotEquals(other, text, message);
    const choice = { as: "clients", vm: undefined } as const;
    assertThrows(() => recordingPlay(other, choice), PlayError, message);
  }
});

Deno.test("readPlay() knows a recording whose header has another order or spelling", async () => {
  const [header, ...lines] = made().text.split("\n");
  const entries = Object.entries(JSON.parse(header!)).reverse();
  const other = JSON.stringify(Object.fromEntries(entries)).replace("{", "{ ");
  const choice = { as: "clients", vm: undefined } as const;
  const { sessions } = await readPlay([other, ...lines].join("\n"), choice);
  assertEquals(sessions.map(({ name }) => name), ["mux/1", "ops/2"]);
});

Deno.test("recordingPlay() takes the numbers that QEMU prints and JSON does not have", () => {
  const recording = made();
  const reply = '"return": {"a": -nan, "b": [inf], "c": "nan"}';
  recording.exchange({ client: "mux/1", t: 3, name: "query-migrate", reply });
  const { sessions } = recordingPlay(recording.text, { as: "clients", vm: undefined });
  const last = sessions[0]!.steps.at(-1)!;
  assert(last.kind === "reply");
  assertEquals(new TextDecoder().decode(last.of.reply!().bytes), `{${reply}}\r\n`);
});

Deno.test("recordingPlay() gives a client of the other dialect QEMU's greeting", () => {
  const recording = new MadeRecording();
  recording.connect("old/1", 0, { mode: "negotiation", listener: "old", dialect: "rfc2010" });
  const text = '{"QMP": {"capabilities": ["async messages"]}}';
  recording.add({ t: 0, side: "client", client: "old/1", dir: "<", kind: "greeting", text });
  const { sessions } = recordingPlay(recording.text, { as: "clients", vm: undefined });
  assertEquals(sessions[0]!.greeting.version, [7, 2, 22]);
});

Deno.test("replay --help has the options of a listener that replay takes, and no others", async () => {
  const { code, stdout } = await runQmpmux(["replay", "--help"]);
  assertEquals(code, 0);
  const options = /\nOptions of a listener:\n([^]*)$/.exec(stdout)![1]!;
  const names = [...options.matchAll(/^ {2}([\w-]+)=/gm)].map(([, name]) => name);
  assertEquals(names, ["name", "mode", "user", "group", "directory-mode", "allow-remote"]);
});

Deno.test("replay checks its flags", async () => {
  using place = makePlace();
  const path = `${place.path}/file`;
  Deno.writeTextFileSync(path, made().text);
  const listen = ["--listen", `${place.path}/s`];
  const cases: readonly (readonly [string, string[]])[] = [
    ["replay: the recording is missing; name its file", listen],
    ["replay: no address is given; add --listen ADDR", [path]],
    [
      'replay: invalid value "-1" for --speed: expected a number up to 1000000, such as 1 or 0.5; 0 waits for nothing',
      [path, ...listen, "--speed=-1"],
    ],
    [
      'replay: --fault: invalid fault "x": expected COMMAND: ACTION or COMMAND#N: ACTION, ' +
      'such as "query-block: delay 5s"',
      [path, ...listen, "--fault", "x"],
    ],
    [
      'replay: invalid value "x" for --as: expected clients or qemu',
      [path, ...listen, "--as", "x"],
    ],
    [
      "replay: --listen: the option fds= has no effect on a recording; leave it out",
      [path, "--listen", `${place.path}/s,name=mux,fds=on`],
    ],
    [
      "replay: --listen: the recording has no listener s; add name= with one of its listeners: mux, ops",
      [path, ...listen, "--listen", `${place.path}/t,name=ops`],
    ],
    [
      "replay: --listen: the recording has no listener zzz; add name= with one of its listeners: mux, ops",
      [path, "--listen", `${place.path}/s,name=zzz`],
    ],
    [
      "replay: --listen: the recording has no listener ops; give one --listen, without name=",
      [path, "--as", "qemu", "--listen", `${place.path}/s,name=ops`],
    ],
  ];
  for (const [expected, args] of cases) {
    const { code, stderr } = await runQmpmux(["replay", ...args]);
    assertEquals([code, stderr], [64, `qmpmux: ${expected}\n`]);
  }
});

Deno.test("replay --fault spoils the answers to a command", async () => {
  const faults = [
    'stop: event RESUME {"a": 1} before',
    "stop: error DeviceNotFound gone",
    "query-x#2: cut after 10 bytes",
  ];
  const recording = made();
  recording.exchange({ client: "mux/1", t: 3, name: "query-x" });
  await using playing = await play(
    recording.text,
    ...["--speed", "0", ...faults.flatMap((fault) => ["--fault", fault])],
  );
  using client = await TestClient.ready(`${playing.path}/s`);
  await client.send({ execute: "stop" });
  assertEquals(
    undated(await client.line()),
    '{"timestamp": …, "event": "RESUME", "data": {"a": 1}}',
  );
  assertEquals(await client.line(), '{"error": {"class": "DeviceNotFound", "desc": "gone"}}');
  assertEquals(await client.line(), STOP);
  assertEquals(await client.ask({ execute: "query-x" }), '{"return": {}}');
  await client.send({ execute: "query-x" });
  assertEquals(await client.lines.rest(), ['{"return":']);
});

Deno.test("replay sends no reply where the recording has none, and tells so", async () => {
  const recording = made();
  recording.command("mux/1", 4, '{"execute":"quit"}');
  recording.event(5, "SHUTDOWN", undefined, ["mux/1"]);
  recording.disconnect("mux/1", 6, "qemu");
  const told = "qmpmux: replay: client 1: quit: The recording has no reply to it (line 17)";
  for (const fault of ["x: drop", "quit: error GenericError gone"]) {
    await using playing = await play(recording.text, "--speed", "0", "--fault", fault);
    using client = await TestClient.ready(`${playing.path}/s`);
    await client.session({ execute: "stop" }, 2);
    await client.send({ execute: "quit" });
    const spoilt = fault.startsWith("quit")
      ? ['{"error": {"class": "GenericError", "desc": "gone"}}']
      : [];
    assertEquals(await client.lines.rest(), [...spoilt, STOP.replace("STOP", "SHUTDOWN")]);
    assertEquals(await playing.log.until(/quit/), told);
    assertEquals(await playing.stop(), 0);
  }
});

Deno.test("replay plays no descriptors: getfd gets its recorded reply with one and without", async () => {
  const recording = new MadeRecording();
  const getfd = '{"execute":"getfd","arguments":{"fdname":"disk"}}';
  for (const t of [1, 2]) {
    recording.exchange({ client: "mux/1", t, name: "getfd", args: '{"fdname":"disk"}' });
  }
  await using playing = await play(recording.text, "--speed", "0");
  using client = await PassingClient.ready(`${playing.path}/s`);
  assertEquals(await client.ask(getfd, ["disk"]), '{"return": {}}');
  assertEquals(await client.ask(getfd), '{"return": {}}');
  assertEquals(memoryFilesOf(playing.pid), []);
});

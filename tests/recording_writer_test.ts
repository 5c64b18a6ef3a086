/**
 * Recordings: the lines that traffic becomes.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { type LineSink, RecordingWriter } from "../lib/observe/recording_writer.ts";
import { type Looker, Taps } from "../lib/observe/taps.ts";
import type { TrafficFilter } from "../lib/observe/traffic.ts";
import { TrafficTexts } from "../lib/observe/traffic_texts.ts";
import { readHeader, readRecordingLine } from "../lib/observe/recording_reader.ts";
import { Output } from "../lib/wire/output.ts";
import { operatorRows } from "../lib/policy/operator_role.ts";
import { grant, GREETING, Stage, type StageClient } from "./support/stage.ts";

const MARK = "(removed 0123)";

/** A line, decoded. */
type Line = Readonly<Record<string, unknown>>;

/** A sink that keeps lines while it has room. */
class Page implements LineSink {
  readonly flushes: (() => void)[] = [];
  /** The text of all lines. */
  raw = "";
  #lines: Line[] = [];
  isFull = false;
  hasRoom = true;

  /** Notes work that is due. */
  later(run: () => void): () => void {
    this.flushes.push(run);
    return () => this.flushes.splice(0);
  }

  /** Returns the lines so far. */
  get lines(): readonly Line[] {
    for (const flush of this.flushes.splice(0)) flush();
    return this.#lines;
  }

  begin(header: Output): void {
    this.isFull = false;
    this.#lines = [];
    this.write(header);
  }

  write({ bytes }: Output): boolean {
    if (!this.hasRoom) return false;
    const line = new TextDecoder().decode(bytes);
    const read = this.#lines.length === 0 ? readHeader(line) : readRecordingLine(line);
    this.raw += line;
    assert(!("wrong" in read), `${line}: ${JSON.stringify(read)}`);
    this.#lines.push(JSON.parse(line));
    return true;
  }
}

/** A stage whose traffic is recorded. */
class Recorded {
  readonly stage: Stage;
  readonly page = new Page();
  readonly taps = new Taps();
  readonly looker: Looker;
  now = 0;

  constructor(
    { filter = {}, keepsSecrets = false, isNamed = true, isBrief = false }: {
      filter?: Partial<TrafficFilter>;
      keepsSecrets?: boolean;
      isNamed?: boolean;
      isBrief?: boolean;
    } = {},
  ) {
    this.stage = new Stage(60, { clock: () => this.now });
    const writer = new RecordingWriter({
      vm: isNamed ? "vm1" : undefined,
      version: "1.2.3",
      filter: { client: undefined, command: undefined, event: undefined, ...filter },
      mark: MARK,
      keepsSecrets,
      isKnown: (command) => operatorRows().has(command),
      programOf: (pid) => `program-${pid}`,
      now: () => this.now,
      timeOfDay: () => 1.5,
      isBrief,
      later: (run) => this.page.later(run),
    }, this.page);
    this.looker = {
      looksAt: () => true,
      open: (source) => writer.open(source),
      close: (source) => writer.close(source),
      failed: (error) => {
        throw error;
      },
    };
    this.taps.join(this.stage.mux.traffic);
  }

  look(): void {
    this.taps.add(this.looker);
  }

  /** Returns the lines so far in short: side, client, direction, kind, text, and the lines that they name. */
  get short(): string[] {
    return this.page.lines.slice(1).map((line) => {
      const { side, client, dir, kind, text, of, for: served, dropped, reason } = line;
      const parts = [client ?? side, dir, kind, text, reason, of && `of ${of}`];
      if (dropped !== undefined) parts.push(`dropped ${dropped}`);
      if (served !== undefined) parts.push(`for ${JSON.stringify(served)}`);
      return parts.filter((part) => part !== undefined).join(" ");
    });
  }

  /** Returns the text of all lines. */
  get text(): string {
    return JSON.stringify(this.page.lines);
  }
}

Deno.test("RecordingWriter writes a conversation, both sides of it, with its times", () => {
  const recorded = new Recorded();
  const { stage } = recorded;
  recorded.look();
  stage.qemuReady();
  const client = stage.ready("a");
  recorded.now = 1;
  stage.connect("b");
  client.say('{"execute":"query-block","id":7}');
  recorded.now = 1.25;
  stage.qemuSays('{"return": []}');
  client.leave();
  assertEquals(recorded.page.lines[0], {
    "qmpmux-recording": 1,
    time: "1970-01-01T00:00:01.500Z",
    vm: "vm1",
    version: "1.2.3",
    removed: MARK,
    greeting: null,
  });
  assertEquals(recorded.short, [
    `qemu < greeting ${GREETING}`,
    'qemu > command {"execute":"qmp_capabilities","arguments":{"enable":["oob"]}} for []',
    'qemu < reply {"return": {}} of 3',
    "stage/1 connect",
    `stage/1 < greeting ${GREETING}`,
    'stage/1 > command {"execute":"qmp_capabilities","arguments":{"enable":[]}}',
    'stage/1 < reply {"return": {}} of 7',
    "stage/2 connect",
    `stage/2 < greeting ${GREETING}`,
    'stage/1 > command {"execute":"query-block","id":7}',
    'qemu > command {"execute":"query-block"} for [11]',
    'qemu < reply {"return": []} of 12',
    'stage/1 < reply {"return": [], "id": 7} of 11',
    "stage/1 disconnect left",
  ]);
  const { t, wait, run } = recorded.page.lines[13]!;
  assertEquals({ t, wait, run }, { t: 1.25, wait: 0, run: 0.25 });
});

Deno.test("RecordingWriter counts the time in the queue as waiting, and names every command that a reply answers", () => {
  const recorded = new Recorded();
  const { stage } = recorded;
  stage.qemuReady();
  const clients = ["a", "b", "c", "d"].map((name) => stage.ready(name));
  recorded.look();
  // Two equal questions are at QEMU; the third waits, and the fourth joins it.
  for (const client of clients) client.say('{"execute":"query-block"}');
  recorded.now = 2;
  stage.qemuSays('{"return": [1]}');
  recorded.now = 3;
  stage.qemuSays('{"return": [2]}');
  stage.qemuSays('{"return": [3]}');
  const replies = recorded.page.lines.filter(({ client, kind }) => client && kind === "reply");
  assertEquals(
    replies.map(({ client, wait, run }) => [client, wait, run]),
    [["stage/1", 0, 2], ["stage/2", 0, 3], ["stage/3", 2, 1], ["stage/4", 2, 1]],
  );
  const sent = recorded.page.lines.filter((line) => line["for"] !== undefined);
  assertEquals(sent.map((line) => (line["for"] as number[]).length), [1, 1, 2]);
});

Deno.test("RecordingWriter begins in the middle: replies to commands that it has not seen are left out", () => {
  const recorded = new Recorded();
  const { stage } = recorded;
  stage.qemuReady();
  const client = stage.ready("a", ["oob"]);
  client.say('{"execute":"query-block"}{"execute":"query-pci"}');
  recorded.look();
  client.say('{"execute":"query-status"}{"exec-oob":"query-yank","id":1}');
  stage.qemuSays('{"return": [1]}');
  stage.qemuSays('{"return": [2]}');
  stage.qemuSays('{"return": [9], "id": 1}');
  stage.qemuSays('{"return": {"status": "running"}}');
  assertEquals(recorded.page.lines[0]!["greeting"], GREETING);
  assertEquals(recorded.short, [
    `qemu < greeting ${GREETING}`,
    "stage/1 connect",
    'stage/1 > command {"execute":"query-status"}',
    'stage/1 > command {"exec-oob":"query-yank","id":1}',
    'qemu > command {"exec-oob":"query-yank"} for [5]',
    'qemu < reply {"return": [9]} of 6',
    'stage/1 < reply {"return": [9], "id": 1} of 5',
    'qemu > command {"execute":"query-status"} for [4]',
    'qemu < reply {"return": {"status": "running"}} of 9',
    'stage/1 < reply {"return": {"status": "running"}} of 4',
  ]);
});

Deno.test("RecordingWriter begins a new file with a header and the clients, and its numbers count from there", () => {
  const recorded = new Recorded();
  const { stage, page } = recorded;
  stage.qemuReady();
  const client = stage.ready("a");
  recorded.look();
  client.say('{"execute":"query-block"}');
  assertEquals(page.lines.length, 5);
  page.isFull = true;
  stage.qemuSays('{"return": []}');
  client.say('{"execute":"query-pci"}');
  stage.qemuSays('{"return": [5]}');
  assertEquals(recorded.short, [
    `qemu < greeting ${GREETING}`,
    "stage/1 connect",
    'qemu < reply {"return": []}',
    'stage/1 < reply {"return": []}',
    'stage/1 > command {"execute":"query-pci"}',
    'qemu > command {"execute":"query-pci"} for [6]',
    'qemu < reply {"return": [5]} of 7',
    'stage/1 < reply {"return": [5]} of 6',
  ]);
});

Deno.test("RecordingWriter repeats a command, without its secret, in a reply in a later file", () => {
  const recorded = new Recorded();
  const { stage, page } = recorded;
  stage.qemuReady();
  const client = stage.ready("a");
  recorded.look();
  recorded.now = 1;
  client.say(PASSWORD);
  assertEquals(page.lines.length, 5);
  page.isFull = true;
  recorded.now = 3;
  stage.qemuSays('{"return": {}}');
  const { of, ago, command, text } = page.lines.at(-1)!;
  assertEquals([of, ago, text], [undefined, 2, '{"return": {}, "id": 1}']);
  assertEquals(
    command,
    `{"execute":"set_password","arguments":{"protocol":"vnc","password":"${MARK}"},"id":1}`,
  );
});

Deno.test("RecordingWriter counts the lines that find no room, and names none of them", () => {
  const recorded = new Recorded();
  const { stage, page } = recorded;
  stage.qemuReady();
  const client = stage.ready("a");
  recorded.look();
  assertEquals(page.lines.length, 3);
  page.hasRoom = false;
  client.say('{"execute":"query-block"}');
  assertEquals(page.lines.length, 3);
  page.hasRoom = true;
  stage.qemuSays('{"return": []}');
  client.say('{"execute":"query-pci"}');
  stage.qemuSays('{"return": [5]}');
  assertEquals(recorded.short.slice(2), [
    "dropped 2",
    'qemu < reply {"return": []}',
    'stage/1 < reply {"return": []}',
    'stage/1 > command {"execute":"query-pci"}',
    'qemu > command {"execute":"query-pci"} for [7]',
    'qemu < reply {"return": [5]} of 8',
    'stage/1 < reply {"return": [5]} of 7',
  ]);
});

Deno.test("RecordingWriter writes what was chosen: clients, commands and events", () => {
  const recorded = new Recorded({
    filter: {
      client: (name) => name === "stage/2",
      command: (name) => name.startsWith("query-"),
      event: (name) => name === "STOP",
    },
  });
  const { stage } = recorded;
  stage.qemuReady();
  const [one, two] = [stage.ready("a"), stage.ready("b")];
  recorded.look();
  one.say('{"execute":"query-pci"}');
  stage.qemuSays('{"return": []}');
  two.say('{"execute":"stop"}');
  stage.qemuSays('{"return": {}}');
  two.say('{"execute":"query-block"}');
  stage.qemuSays('{"return": [5]}');
  for (const event of ["STOP", "RESUME"]) {
    stage.qemuSays(
      `{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "${event}"}`,
    );
  }
  const stop = '{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "STOP"}';
  assertEquals(recorded.short, [
    `qemu < greeting ${GREETING}`,
    "stage/2 connect",
    'stage/2 > command {"execute":"query-block"}',
    'qemu > command {"execute":"query-block"} for [4]',
    'qemu < reply {"return": [5]} of 5',
    'stage/2 < reply {"return": [5]} of 4',
    `qemu < event ${stop}`,
    `stage/2 < event ${stop}`,
  ]);
});

Deno.test("RecordingWriter writes the length and the reason of damage, and nothing of its text", () => {
  const recorded = new Recorded();
  const { stage } = recorded;
  stage.qemuReady();
  const client = stage.ready("a");
  recorded.look();
  client.say("{'execute': hunter2}");
  client.say('{"hunter2": 5}');
  client.say('{"execute":"query-pci"}');
  stage.qemuSays('{"return": []}');
  assert(!recorded.text.includes("hunter2"), recorded.text);
  const damage = recorded.page.lines.filter(({ kind }) => kind === "damage");
  assertEquals(damage.map(({ length, reason }) => [length, reason]), [
    [19, "JSON parse error, invalid keyword '...'"],
    [13, "QMP input member '...' is unexpected"],
  ]);
  assertEquals(recorded.short.at(-1), 'stage/1 < reply {"return": []} of 8');
});

Deno.test("RecordingWriter goes on with another QEMU, and names no command of the one before", () => {
  const recorded = new Recorded();
  const { stage } = recorded;
  recorded.stage.mux.adopt({ ...HOLD, clock: () => recorded.now });
  stage.qemuReady();
  const client = stage.ready("a");
  recorded.look();
  client.say('{"execute":"query-block"}');
  stage.qemuGoes("QEMU closed its monitor");
  stage.qemuReady();
  assertEquals(recorded.short.slice(2).map((line) => line.replace(/ \{.*\}/, " …")), [
    "stage/1 > command …",
    "qemu > command … for [4]",
    "qemu disconnect QEMU closed its monitor",
    "stage/1 < event …",
    "stage/1 < reply … of 4",
    "qemu < greeting …",
    "qemu > command … for []",
    "qemu < reply … of 10",
    "stage/1 < event …",
  ]);
});

const HOLD = {
  vm: "vm1",
  version: "1.2.3",
  handshakeTime: 60,
  onLoss: "hold",
  stallTime: 10,
  deadlines: [],
  timeOfDay: () => 1.5,
} as const;

Deno.test("RecordingWriter names the VM on each line if there can be several", () => {
  const recorded = new Recorded({ isNamed: false });
  recorded.look();
  recorded.stage.qemuReady();
  const [header, ...lines] = recorded.page.lines;
  assertEquals([header!["vm"], ...lines.map(({ vm }) => vm)], [null, "vm1", "vm1", "vm1"]);
});

Deno.test("RecordingWriter describes each client that is there: its grant, its mode and its process", () => {
  const recorded = new Recorded();
  const { stage } = recorded;
  stage.qemuReady();
  const client = stage.connect("a", grant({ name: "ops" }));
  Object.assign(client.peer, { identity: { pid: 12, uid: 34, gid: 56 } });
  client.say('{"execute":"qmp_capabilities","arguments":{"enable":["oob"]}}');
  client.say('{"execute":"__org.qmpmux_set-event-filter","arguments":{"enable":["STOP"]}}');
  recorded.look();
  const { t: _, ...connect } = recorded.page.lines[2]!;
  assertEquals(connect, {
    side: "client",
    client: "ops/1",
    kind: "connect",
    listener: "ops",
    role: "full",
    dialect: "qmp",
    mode: "command",
    capabilities: ["oob"],
    filter: ["STOP"],
    peer: { pid: 12, uid: 34, gid: 56, comm: "program-12" },
  });
});

const PASSWORD =
  '{"execute":"set_password","arguments":{"protocol":"vnc","password":"hunter2"},"id":1}';

Deno.test("RecordingWriter removes secrets, in all that repeats them", () => {
  const recorded = new Recorded();
  const { stage } = recorded;
  stage.qemuReady();
  const client = stage.ready("a");
  recorded.look();
  client.say(PASSWORD);
  stage.qemuSays('{"error": {"class": "GenericError", "desc": "No hunter2 here"}}');
  client.say('{"execute":"x-unknown","arguments":{"a":"hunter2","b":[{"c":"hunter2"}]}}');
  stage.qemuSays('{"error": {"class": "CommandNotFound", "desc": "hunter2 is wrong"}}');
  client.say('{"execute":"qom-get","arguments":{"path":"/objects/s","property":"data"}}');
  stage.qemuSays('{"return": "hunter2"}');
  client.say('{"execute":"ringbuf-read","arguments":{"device":"d","size":7}}');
  stage.qemuSays('{"return": "hunter2"}');
  client.say('{"execute":"query-block"}');
  stage.qemuSays(
    '{"return": [{"file": "https://me:hunter2@host/disk", "size": 9007199254740993}]}',
  );
  client.say(
    '{"execute":"human-monitor-command","arguments":{"command-line":"set_password vnc hunter2"}}',
  );
  stage.qemuSays('{"return": "password=hunter2"}');
  stage.qemuSays(
    '{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "X", "data": {"u": "ftp://hunter2@h"}}',
  );
  assert(!recorded.text.includes("hunter2"), recorded.text);
  const texts = recorded.page.lines.flatMap(({ side, dir, text }) =>
    side === "client" && dir ? [text] : []
  );
  assertEquals(texts, [
    `{"execute":"set_password","arguments":{"protocol":"vnc","password":"${MARK}"},"id":1}`,
    `{"id": 1, "error":{"class":"GenericError","desc":"${MARK}"}}`,
    `{"execute":"x-unknown","arguments":{"a":"${MARK}","b":"${MARK}"}}`,
    `{"error":{"class":"CommandNotFound","desc":"${MARK}"}}`,
    '{"execute":"qom-get","arguments":{"path":"/objects/s","property":"data"}}',
    `{"return":"${MARK}"}`,
    '{"execute":"ringbuf-read","arguments":{"device":"d","size":7}}',
    `{"return":"${MARK}"}`,
    '{"execute":"query-block"}',
    `{"return":[{"file":"https://${MARK}@host/disk","size":9007199254740993}]}`,
    `{"execute":"human-monitor-command","arguments":{"command-line":"set_password ${MARK}"}}`,
    `{"return":"${MARK}"}`,
    `{"timestamp":{"seconds":1,"microseconds":2},"event":"X","data":{"u":"ftp://${MARK}@h"}}`,
  ]);
});

/** Runs a command, and returns the text of the reply to its client. */
function replyOf(
  { stage, page }: Recorded,
  client: StageClient,
  command: string,
  reply: string,
): unknown {
  client.say(command);
  stage.qemuSays(reply);
  return page.lines.at(-1)!["text"];
}

for (const isBrief of [false, true]) {
  const form = isBrief ? "for people" : "whole";

  Deno.test(`RecordingWriter removes what qom-set has set from qom-get (${form})`, () => {
    const recorded = new Recorded({ isBrief });
    recorded.stage.qemuReady();
    const client = recorded.stage.ready("a");
    recorded.look();
    const qom = (name: string, more = ""): string =>
      `{"execute":"${name}","arguments":{"path":"/machine","property":"append"${more}}}`;
    replyOf(recorded, client, qom("qom-set", ',"value":"hünter2"'), '{"return": {}}');
    const long = "x".repeat(600);
    for (const value of ["h\\u00FCnter2", `${long} h\\u00FCnter2 ${long}`]) {
      const text = replyOf(recorded, client, qom("qom-get"), `{"return": "${value}"}`);
      assertEquals(text, `{"return":"${MARK}"}`);
    }
    assertEquals(
      replyOf(recorded, client, qom("qom-get"), '{"return": "other"}'),
      '{"return": "other"}',
    );
  });
}

Deno.test("RecordingWriter removes what the human monitor prints of the guest and of objects", () => {
  const recorded = new Recorded();
  recorded.stage.qemuReady();
  const client = recorded.stage.ready("a");
  recorded.look();
  const printed = (line: string, text: string): unknown => {
    const command = { execute: "human-monitor-command", arguments: { "command-line": line } };
    return replyOf(recorded, client, JSON.stringify(command), `{"return": "${text}"}`);
  };
  const lines = ["ringbuf_read r 7", "qom-get /objects/s data", "xp /7cb 0", "x/7cb 0", " x 0"];
  for (const line of lines) assertEquals(printed(line, "hunter2"), `{"return":"${MARK}"}`, line);
  assertEquals(printed("sendkey hunter2-x", "invalid parameter: hunter2"), `{"return":"${MARK}"}`);
  assertEquals(printed("sendkey a", ""), '{"return": ""}');
  assertEquals(printed("info block", "disk0"), '{"return": "disk0"}');
});

Deno.test("RecordingWriter keeps a boolean that qom-get returns, whatever its name is", () => {
  const recorded = new Recorded();
  recorded.stage.qemuReady();
  const client = recorded.stage.ready("a");
  recorded.look();
  const get = '{"execute":"qom-get","arguments":{"path":"/cpu","property":"sgx-tokenkey"}}';
  assertEquals(replyOf(recorded, client, get, '{"return": false}'), '{"return": false}');
  assertEquals(replyOf(recorded, client, get, '{"return": 7}'), `{"return":"${MARK}"}`);
});

Deno.test("RecordingWriter keeps the error of an unknown command, which repeats no argument", () => {
  const recorded = new Recorded();
  const { stage } = recorded;
  stage.qemuReady();
  const client = stage.ready("a");
  recorded.look();
  const notFound =
    '{"error": {"class": "CommandNotFound", "desc": "The command x-unknown has not been found"}}';
  const commands = [
    '{"execute":"x-unknown","arguments":{}}',
    '{"execute":"x-unknown","arguments":{"a":"hunter2"}}',
  ];
  for (const command of commands) {
    client.say(command);
    stage.qemuSays(notFound);
  }
  const texts = recorded.page.lines.flatMap(({ side, dir, text }) =>
    side === "client" && dir ? [text] : []
  );
  assertEquals(texts, [
    commands[0],
    notFound,
    `{"execute":"x-unknown","arguments":{"a":"${MARK}"}}`,
    notFound,
  ]);
});

Deno.test("RecordingWriter keeps secrets if asked, and then has no mark", () => {
  const recorded = new Recorded({ keepsSecrets: true });
  const { stage } = recorded;
  stage.qemuReady();
  const client = stage.ready("a");
  recorded.look();
  client.say(PASSWORD);
  stage.qemuSays('{"error": {"class": "GenericError", "desc": "No hunter2 here"}}');
  assertEquals(recorded.page.lines[0]!["removed"], null);
  assertEquals(recorded.short.at(-4), `stage/1 > command ${PASSWORD}`);
  assertMatch(recorded.short.at(-1)!, /"id": 1, "error": .*No hunter2 here/);
});

Deno.test("RecordingWriter writes texts without secrets as they are: digits, spelling, and other signs", () => {
  const recorded = new Recorded();
  const { stage } = recorded;
  stage.qemuReady();
  const client = stage.ready("a");
  recorded.look();
  const texts = [
    '{"return": {"key": "a", "at": "x@y", "n": 1e3, "big": 18446744073709551615}}',
    '{"return": [{"name": "tls-creds", "value": "password-secret: none?"}]}',
    '{"error": {"class": "GenericError", "desc": "Could not set password"}}',
  ];
  for (const text of texts) {
    client.say('{"execute":"query-pci","id":"ü\u009b"}');
    stage.qemuSays(text);
  }
  const [key, value, error] = recorded.page.lines.flatMap(({ side, kind, text }) =>
    side === "qemu" && kind === "reply" ? [text as string] : []
  );
  assertMatch(key!, /"key":"\(removed 0123\)".*18446744073709551615/);
  assertMatch(value!, /"value":"\(removed 0123\)"/);
  assertEquals(error, texts[2]);
  const ids = recorded.page.lines.flatMap(({ side, kind, text }) =>
    side === "client" && kind === "command" ? [JSON.parse(text as string).id] : []
  );
  assertEquals(ids, Array(3).fill("ü\u009b"));
  // A terminal interprets neither of them.
  assert(!/[^ -~ü]/.test(recorded.page.raw), recorded.page.raw);
});

Deno.test("RecordingWriter puts a client's id where QEMU prints it, also in the style of pretty=on", () => {
  for (const line of [" ", "\r\n    "]) {
    const recorded = new Recorded();
    const { stage } = recorded;
    const greeting = line === " " ? GREETING : GREETING.replace("{", "{\r\n    ");
    stage.qemuReady(greeting);
    const client = stage.ready("a");
    recorded.look();
    for (const text of ['{"return": []}', '{"error": {"class": "GenericError", "desc": "No"}}']) {
      client.say('{"execute":"query-pci","id":{"a":[1]}}');
      const sent = line === " " ? text : prettyText(text);
      stage.qemuSays(sent);
      const [told] = client.peer.take();
      assertEquals(recorded.page.lines.at(-1)!["text"], told);
    }
  }
});

/** Returns a reply as QEMU prints it with `pretty=on`. */
function prettyText(text: string): string {
  return JSON.stringify(JSON.parse(text), undefined, 4).replaceAll("\n", "\r\n")
    .replace("[]", "[\r\n    ]");
}

Deno.test("RecordingWriter leaves out the text of a message that is too long, and tells its length", () => {
  const recorded = new Recorded();
  const { stage } = recorded;
  stage.qemuReady();
  const client = stage.ready("a");
  recorded.look();
  client.say('{"execute":"query-pci","id":1}');
  const long = `{"return": "${"x".repeat(1 << 20)}"}`;
  stage.qemuSays(long);
  const replies = recorded.page.lines.filter(({ kind }) => kind === "reply");
  assertEquals(replies.map(({ text, length }) => [text, length]), [
    [undefined, long.length + 2],
    [undefined, long.length + 2 + ', "id": 1'.length],
  ]);
});

Deno.test("RecordingWriter for people: a line for a command and its reply, and long values are cut", () => {
  const recorded = new Recorded({ isBrief: true });
  const { stage } = recorded;
  stage.qemuReady();
  const client = stage.ready("a");
  recorded.look();
  recorded.now = 1;
  client.say('{"execute":"query-pci","id":1}');
  recorded.now = 3;
  const long = `{"return": "${"x".repeat(4000)}"}`;
  stage.qemuSays(long);
  client.say('{"execute":"query-block"}');
  client.leave();
  stage.qemuSays('{"return": []}');
  const [, , , reply, command, ...rest] = recorded.page.lines;
  assertEquals(reply, {
    t: 3,
    side: "client",
    client: "stage/1",
    dir: "<",
    kind: "reply",
    ago: 2,
    command: '{"execute":"query-pci","id":1}',
    wait: 0,
    run: 2,
    length: long.length + 2,
    text: long.slice(0, 512),
  });
  assertEquals([command!["kind"], command!["text"]], ["command", '{"execute":"query-block"}']);
  assertEquals(rest.map(({ kind }) => kind), ["disconnect"]);
});

Deno.test("TrafficTexts leaves out a message with the form of a secret that is not UTF-8", () => {
  const texts = new TrafficTexts({
    mark: MARK,
    keepsSecrets: false,
    isBrief: false,
    isKnown: () => true,
  });
  const told = (text: string): string => {
    const out = new Output(1);
    const bytes = Uint8Array.from(text, (char) => char.charCodeAt(0));
    texts.reply(out, { kind: "return", bytes, id: undefined }, undefined, undefined);
    return new TextDecoder().decode(out.bytes);
  };
  assertEquals(told('{"return": "password=hunter2 \xff"}'), `"text":"\\"${MARK}\\""`);
  assertMatch(told('{"return": "\xff"}'), /^"base64":"[\w+/]+=*"$/);
});

Deno.test("Taps: a hub has a tap only while somebody looks at it", () => {
  const recorded = new Recorded();
  const { taps, stage, looker } = recorded;
  const source = stage.mux.traffic;
  taps.join(source);
  assertEquals(source.tap, undefined);
  taps.add(looker);
  assert(source.tap !== undefined);
  taps.remove(looker);
  assertEquals(source.tap, undefined);
  taps.add({ ...looker, looksAt: (vm) => vm === "other" });
  assertEquals(source.tap, undefined);
  taps.add(looker);
  taps.leave(source);
  assertEquals(source.tap, undefined);
});

Deno.test("Taps: an error of a tap ends that tap only", () => {
  const recorded = new Recorded();
  const { taps, stage } = recorded;
  const failures: unknown[] = [];
  taps.add({
    looksAt: () => true,
    open: () => ({
      take(): void {
        throw new Error("it breaks");
      },
    }),
    close: () => {},
    failed: (error) => failures.push(error),
  });
  recorded.look();
  stage.qemuReady();
  stage.ready("a");
  assertEquals(failures.map(String), ["Error: it breaks"]);
  assertEquals(recorded.short.at(-1), 'stage/1 < reply {"return": {}} of 7');
});

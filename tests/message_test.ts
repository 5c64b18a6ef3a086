/**
 * Commands as QEMU's dispatcher reads them, and QEMU's messages with and without ids.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { FrameSplitter } from "../lib/wire/frame.ts";
import { readCommand } from "../lib/wire/command_reader.ts";
import {
  argumentsText,
  type Command,
  type Malformed,
  readMessage,
  type Reply,
} from "../lib/wire/message.ts";
import {
  errorClass,
  errorReply,
  numbered,
  pretty,
  returned,
  returnReply,
  withData,
  withId,
} from "../lib/wire/reply.ts";
import { bytesOf, fed, latinText } from "./support/cuts.ts";

function read(text: string, takesOob = false): Command | Malformed {
  const [frame, ...others] = fed(new FrameSplitter(), [bytesOf(text)]);
  assert(frame !== undefined && "bytes" in frame && others.length === 0);
  return readCommand(frame, takesOob);
}

function command(text: string, takesOob = false): Command {
  const read_ = read(text, takesOob);
  assert("name" in read_, "because" in read_ ? read_.because : "");
  return read_;
}

Deno.test("readCommand() reads name, id and arguments in any order", () => {
  for (
    const text of [
      '{"execute":"a-b","arguments":{"x":[1]},"id":7}',
      '{"id":7,"arguments":{"x":[1]},"execute":"a-b"}',
      `{ 'arguments' : {"x" : [ 1 ]}, "id" : 7, "\\u0065xecute" : "\\u0061-b" }`,
    ]
  ) {
    const read = command(text);
    assertEquals([read.name, read.id, read.oob], ["a-b", "7", false]);
    assertEquals(argumentsText(read), '{"x":[1]}');
  }
});

Deno.test("readCommand() returns undefined for a missing id and missing arguments", () => {
  const { id, argumentBytes } = command('{"execute":"a"}');
  assertEquals([id, argumentBytes], [undefined, undefined]);
});

Deno.test("argumentsText() is an empty object if there are no arguments", () => {
  assertEquals(argumentsText(command('{"execute":"a"}')), "{}");
});

Deno.test("readCommand() returns the id as QEMU prints it", () => {
  assertEquals(command('{"execute":"a","id":{"b":1.0,"a":"é"}}').id, '{"a": "\\u00E9", "b": 1}');
  assertEquals(command('{"execute":"a","id":null}').id, "null");
});

const WITHOUT_ID: Record<string, string> = {
  '{"execute":"a"}': '{"execute":"a"}',
  '{"id":1,"execute":"a"}': '{"execute":"a"}',
  '{"execute":"a","id":1}': '{"execute":"a"}',
  '{"execute":"a","id":[{}],"arguments":{"id":1}}': '{"execute":"a","arguments":{"id":1}}',
  '{ "id" : "}," , "arguments" : {} , "execute" : "a" }': '{"arguments":{},"execute":"a"}',
};

for (const [text, wanted] of Object.entries(WITHOUT_ID)) {
  Deno.test(`Command.bytes is ${wanted} for ${text}`, () => {
    assertEquals(latinText(command(text).bytes), wanted);
  });
}

Deno.test("readCommand() accepts exec-oob only from clients with oob", () => {
  const { name, oob, id } = command('{"exec-oob":"a","id":1}', true);
  assertEquals([name, oob, id], ["a", true, "1"]);
  assertEquals(read('{"exec-oob":"a","id":1}', false), {
    because: "QMP input member 'exec-oob' is unexpected",
    oob: true,
    id: "1",
  });
});

/** Malformed commands, whether they have `oob`, and QEMU's error. */
const MALFORMED: [string, boolean, string][] = [
  ["[]", false, "QMP input must be a JSON object"],
  ['"a"', false, "QMP input must be a JSON object"],
  ['[{"execute":"a","id":1}]', true, "QMP input must be a JSON object"],
  ["{}", false, "QMP input lacks member 'execute'"],
  ["{}", true, "QMP input lacks member 'execute'"],
  ['{"arguments":{}}', false, "QMP input lacks member 'execute'"],
  ['{"execute":1}', false, "QMP input member 'execute' must be a string"],
  ['{"execute":null}', true, "QMP input member 'execute' must be a string"],
  ['{"exec-oob":1}', true, "QMP input member 'exec-oob' must be a string"],
  ['{"exec-oob":1}', false, "QMP input member 'exec-oob' is unexpected"],
  ['{"execute":"a","arguments":1}', false, "QMP input member 'arguments' must be an object"],
  ['{"execute":"a","arguments":null}', false, "QMP input member 'arguments' must be an object"],
  ['{"execute":"a","arguments":[]}', true, "QMP input member 'arguments' must be an object"],
  ['{"execute":"a","foo":1}', false, "QMP input member 'foo' is unexpected"],
  ['{"foo":1}', false, "QMP input member 'foo' is unexpected"],
  ['{"execute":"a","__proto__":1}', false, "QMP input member '__proto__' is unexpected"],
];

for (const [text, takesOob, because] of MALFORMED) {
  Deno.test(`readCommand() reports for ${text}${takesOob ? " with oob" : ""}: ${because}`, () => {
    const malformed = read(text, takesOob);
    assert("because" in malformed);
    assertEquals([malformed.because, malformed.id], [because, undefined]);
  });
}

Deno.test("readCommand() reports that execute and exec-oob conflict, in QEMU's order", () => {
  for (const text of ['{"execute":"a","exec-oob":"b"}', '{"exec-oob":"b","execute":"a"}']) {
    const malformed = read(text, true);
    assert("because" in malformed);
    assertEquals(malformed.because, "QMP input member 'execute' clashes with 'exec-oob'");
    assertEquals(malformed.oob, false);
  }
});

Deno.test("readCommand() keeps the id of an invalid command", () => {
  assertEquals(read('{"id":"x","execute":1,"foo":2}').id, '"x"');
  assertEquals(read('{"exec-oob":1,"id":2}', true), {
    because: "QMP input member 'exec-oob' must be a string",
    oob: true,
    id: "2",
  });
});

Deno.test("numbered() appends a number as the last member", () => {
  assertEquals(latinText(numbered(bytesOf('{"exec-oob":"a"}'), "12")), '{"exec-oob":"a","id":12}');
});

/** Returns a message of QEMU with its bytes as text. */
function heard(line: string): Record<string, unknown> | undefined {
  const message = readMessage(bytesOf(`${line}\r\n`));
  return message && { ...message, bytes: latinText(message.bytes).trimEnd() };
}

Deno.test("readMessage() reads a greeting: version and capabilities", () => {
  const line =
    '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}, "capabilities": ["oob"]}}';
  assertEquals(heard(line), {
    kind: "greeting",
    bytes: line,
    capabilities: ["oob"],
    version: [7, 2, 22],
  });
});

for (
  const line of [
    '{"QMP": {}}',
    '{"QMP": null}',
    '{"QMP": {"version": "7", "capabilities": {}}}',
    '{"QMP": {"version": {"qemu": {"major": "7"}}, "capabilities": [1, {}]}}',
  ]
) {
  Deno.test(`readMessage() returns no version and capabilities if ${line} has none`, () => {
    assertEquals(heard(line), {
      kind: "greeting",
      bytes: line,
      capabilities: [],
      version: [0, 0, 0],
    });
  });
}

Deno.test("readMessage() removes the number from a return", () => {
  assertEquals(heard('{"return": {"a": [1]}, "id": 42}'), {
    kind: "return",
    bytes: '{"return": {"a": [1]}}',
    id: "42",
  });
});

Deno.test("readMessage() removes the number from an error", () => {
  assertEquals(heard('{"id": 42, "error": {"class": "A", "desc": "b"}}'), {
    kind: "error",
    bytes: '{"error": {"class": "A", "desc": "b"}}',
    id: "42",
  });
});

for (
  const line of [
    '{"return": {}}',
    '{"return": {"id": 1}}',
    '{"return": {"a": 1, "id": 1}}',
    '{"return": 12}',
    '{"return": ", \\"id\\": 1"}',
    '{"error": {"class": "A", "desc": "b"}}',
  ]
) {
  Deno.test(`readMessage() finds no id in ${line}`, () => {
    assertEquals(heard(line), {
      kind: line.slice(2, line.indexOf('"', 2)),
      bytes: line,
      id: undefined,
    });
  });
}

Deno.test("readMessage() reads an event's name", () => {
  const line =
    '{"timestamp": {"seconds": 1, "microseconds": -1}, "event": "STOP", "data": {"event": "X"}}';
  assertEquals(heard(line), { kind: "event", bytes: line, name: "STOP" });
});

Deno.test("readMessage() reads messages in other forms than QEMU's", () => {
  const event = '{"event":"A\\u0042","timestamp":{}}';
  assertEquals(heard(event), { kind: "event", bytes: event, name: "AB" });
  const open = '{"timestamp": {"seconds": 1}, "data": {}, "event": "C"}';
  assertEquals(heard(open), { kind: "event", bytes: open, name: "C" });
  assertEquals(heard('{"id":"x","return":{}}'), {
    kind: "return",
    bytes: '{"return":{}}',
    id: '"x"',
  });
  assertEquals(heard('{"id": 1, "return": {}}'), {
    kind: "return",
    bytes: '{"return":{}}',
    id: "1",
  });
  const error = '"error":{"class":"C","desc":"d"}';
  assertEquals(heard(`{"id": [2], ${error}}`), { kind: "error", bytes: `{${error}}`, id: "[2]" });
  assertEquals(heard(`{${error}}`), { kind: "error", bytes: `{${error}}`, id: undefined });
  for (const body of ["{}", "5", "[]", '{"class": 1, "desc": "d"}']) {
    assertEquals(heard(`{"error": ${body}}`), undefined);
  }
});

Deno.test("readMessage() reads pretty messages", () => {
  assertEquals(heard('{\r\n    "return": {\r\n    }\r\n}'), {
    kind: "return",
    bytes: '{\r\n    "return": {\r\n    }\r\n}',
    id: undefined,
  });
  const event =
    '{\r\n    "timestamp": {\r\n        "event": "A"\r\n    },\r\n    "event": "B"\r\n}';
  assertEquals(heard(event), { kind: "event", bytes: event, name: "B" });
});

Deno.test("readMessage() does not parse the value of a pretty reply, inf included", () => {
  const value =
    '{\r\n        "id": inf,\r\n        "error": [\r\n            -nan\r\n        ]\r\n    }';
  const bytes = `{\r\n    "return": ${value}\r\n}`;
  assertEquals(heard(bytes), { kind: "return", bytes, id: undefined });
  const labelled = `{\r\n    "return": ${value},\r\n    "id": 12\r\n}`;
  assertEquals(heard(labelled), { kind: "return", bytes, id: "12" });
});

for (
  const line of [
    "{}",
    '{"id": 1}',
    '{"id": 1, "error"}',
    '{"event": 1}',
    '{"timestamp": {}}',
    '{"timestamp": {"seconds": 1}, "event": "A}',
    '{"id": x, "error": {"class": "A"}}',
    '{"return" {}}',
  ]
) {
  Deno.test(`readMessage() rejects ${line}`, () => assertEquals(heard(line), undefined));
}

const OK = returnReply("{}");
const FAILED = errorReply("GenericError", 'No "é"');

function labelled(reply: Pick<Reply, "kind" | "bytes">, id: string | undefined): string {
  return latinText(withId(reply, id));
}

Deno.test("returnReply() and errorReply() write in QEMU's form", () => {
  assertEquals(latinText(returnReply('{"a": 1}').bytes), '{"return": {"a": 1}}\r\n');
  assertEquals(
    latinText(FAILED.bytes),
    '{"error": {"class": "GenericError", "desc": "No \\"\\u00E9\\""}}\r\n',
  );
});

Deno.test("errorReply() and withData() put data after desc", () => {
  const wanted = '{"error": {"class": "A", "desc": "b", "data": {}}}\r\n';
  assertEquals(latinText(errorReply("A", "b", "{}").bytes), wanted);
  assertEquals(latinText(withData(errorReply("A", "b"), "{}").bytes), wanted);
});

Deno.test("withData() puts data into a pretty error, not after it", () => {
  for (const data of ["{}", '{"a": [1]}']) {
    const wanted = pretty(errorReply("A", "b}", data));
    assertEquals(
      latinText(withData(pretty(errorReply("A", "b}")), data).bytes),
      latinText(wanted.bytes),
    );
  }
});

Deno.test("withId() does not change a reply if there is no id", () => {
  assertEquals(withId(OK, undefined), OK.bytes);
});

Deno.test("withId() puts the id after a return and before an error", () => {
  assertEquals(labelled(OK, '{"a": 1}'), '{"return": {}, "id": {"a": 1}}\r\n');
  assertEquals(
    labelled(FAILED, "1"),
    '{"id": 1, "error": {"class": "GenericError", "desc": "No \\"\\u00E9\\""}}\r\n',
  );
});

Deno.test("withId() gives a pretty reply's id a line", () => {
  const bytes = bytesOf('{\r\n    "return": {\r\n    }\r\n}\r\n');
  assertEquals(
    labelled({ kind: "return", bytes }, "1"),
    '{\r\n    "return": {\r\n    },\r\n    "id": 1\r\n}\r\n',
  );
  const error = bytesOf('{\r\n    "error": {\r\n    }\r\n}\r\n');
  assertEquals(
    labelled({ kind: "error", bytes: error }, "1"),
    '{\r\n    "id": 1,\r\n    "error": {\r\n    }\r\n}\r\n',
  );
});

Deno.test("readMessage() removes the id that withId() has added", () => {
  for (const reply of [OK, FAILED]) {
    const message = readMessage(withId(reply, "18446744073709551615"));
    assertEquals(message, { ...reply, id: "18446744073709551615" });
  }
});

Deno.test("returned() returns the text of the value, plain or pretty", () => {
  assertEquals(returned(returnReply('{"a": "}"}')), '{"a": "}"}');
  const message = readMessage(bytesOf('{\r\n    "return": {\r\n    }\r\n}\r\n'));
  assert(message?.kind === "return");
  assertEquals(returned(message), "{\r\n    }");
});

Deno.test("returned() returns undefined for an error", () => {
  assertEquals(returned(FAILED), undefined);
});

Deno.test("errorClass() returns an error's class, whatever its text repeats, plain or pretty", () => {
  const error = errorReply("DeviceNotFound", 'x "class": "Other"');
  assertEquals(errorClass(error), "DeviceNotFound");
  assertEquals(errorClass(pretty(error)), "DeviceNotFound");
  assertEquals(errorClass(returnReply('{"class": "x"}')), undefined);
});

Deno.test("pretty() prints a reply as a monitor with pretty=on does", () => {
  assertEquals(
    latinText(pretty(errorReply("A", "b, {}")).bytes),
    '{\r\n    "error": {\r\n        "class": "A",\r\n        "desc": "b, {}"\r\n    }\r\n}\r\n',
  );
});

Deno.test("readMessage() removes the line of the id from a pretty reply", () => {
  for (const reply of [pretty(OK), pretty(FAILED)]) {
    assertEquals(readMessage(withId(reply, "12")), { ...reply, id: "12" });
  }
});

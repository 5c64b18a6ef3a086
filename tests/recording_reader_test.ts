/**
 * The reader of recordings: headers, lines, and what it refuses.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type { RecordingLine } from "../lib/observe/recording_line.ts";
import { readHeader, readRecordingLine } from "../lib/observe/recording_reader.ts";

const TIME = "2026-01-02T03:04:05.000Z";

/** Returns the error for a header with these members. */
function headerError(members: Record<string, unknown> | string): string {
  const read = readHeader(typeof members === "string" ? members : JSON.stringify(members));
  assert("wrong" in read, JSON.stringify(read));
  return read.wrong;
}

/** Returns the error for a line: a client's command with these members. */
function lineError(members: Record<string, unknown>): string {
  const command = { t: 1, side: "client", client: "mux/1", dir: ">", kind: "command", text: "{}" };
  assert(!("wrong" in readRecordingLine(JSON.stringify(command))));
  const read = readRecordingLine(JSON.stringify({ ...command, ...members }));
  assert("wrong" in read, JSON.stringify(read));
  return read.wrong;
}

Deno.test("readHeader() reads a header, whose unknown members it ignores", () => {
  const header = {
    time: TIME,
    vm: "vm1",
    version: "0.1.0",
    greeting: '{"QMP": {}}',
    removed: "(removed)",
  };
  const text = JSON.stringify({ "qmpmux-recording": 1, ...header, host: "h" });
  assertEquals(readHeader(text), header);
});

Deno.test("readHeader() takes null for a member that is missing", () => {
  const text = JSON.stringify({ "qmpmux-recording": 1, time: TIME, vm: null, greeting: null });
  assertEquals(readHeader(text), { time: TIME });
});

Deno.test("readHeader() names a newer format, and the one that it reads", () => {
  assertEquals(
    headerError({ "qmpmux-recording": 2, time: TIME }),
    "it has format 2, and this qmpmux reads format 1; use a newer qmpmux",
  );
});

Deno.test("readHeader() refuses what is not a header", () => {
  const foreign = "it is not a recording of qmpmux";
  for (const text of ["", "{", "[]", "null", "7", '{"time":1}', "\u{feff}{}", '{"__proto__":{}}']) {
    assertEquals(headerError(text), foreign, text);
  }
  const format = '"qmpmux-recording" is not the number of a format';
  for (const value of [0, -1, 1.5, "1", null, [1], {}]) {
    assertEquals(headerError({ "qmpmux-recording": value, time: TIME }), format);
  }
  assertEquals(headerError({ "qmpmux-recording": 1 }), '"time" is not a time');
  // A time of JavaScript's with a later year has no room for the times of lines.
  for (const time of ["now", "+275760-09-12T00:00:00Z", "-000001-01-01T00:00:00Z"]) {
    assertEquals(headerError({ "qmpmux-recording": 1, time }), '"time" is not a time');
  }
  const vm = { "qmpmux-recording": 1, time: TIME, vm: 1 };
  assertEquals(headerError(vm), '"vm" is not a name');
  for (const removed of [1, ""]) {
    const header = { "qmpmux-recording": 1, time: TIME, removed };
    assertEquals(headerError(header), '"removed" is not a name');
  }
});

Deno.test("readRecordingLine() reads each kind of line", () => {
  const lines = [
    { t: 0, side: "qemu", dir: "<", kind: "greeting", text: "{}" },
    {
      t: 0,
      side: "client",
      client: "mux/1",
      kind: "connect",
      listener: "mux",
      role: "full",
      dialect: "qmp",
      mode: "command",
      capabilities: ["oob"],
      filter: ["*"],
      peer: { pid: 1, uid: 2, gid: 3, comm: "socat" },
    },
    { t: 1.5, side: "client", client: "mux/1", dir: ">", kind: "command", text: "{}" },
    { t: 1.6, side: "qemu", dir: ">", kind: "command", text: "{}", for: [4] },
    { t: 1.7, side: "qemu", dir: "<", kind: "reply", base64: "gA==", of: 5, run: 0.1 },
    { t: 1.7, side: "client", client: "mux/1", dir: "<", kind: "reply", text: "{}", wait: 0.1 },
    { t: 2, side: "qemu", dir: "<", kind: "event", text: "{}" },
    { t: 2, side: "client", client: "mux/1", dir: ">", kind: "damage", length: 7, reason: "r" },
    { t: 2, side: "client", client: "mux/1", kind: "disconnect", reason: "left" },
  ];
  for (const line of lines) assertEquals(readRecordingLine(JSON.stringify(line)), line as never);
  assertEquals(
    readRecordingLine('{"t":3,"dropped":7}'),
    { kind: "gap", t: 3, dropped: 7 } as never,
  );
});

Deno.test("readRecordingLine() ignores unknown members, and those that are null", () => {
  const line = { t: 0, side: "client", client: "mux/1", kind: "disconnect" } as const;
  const more = { ...line, reason: null, colour: "red" };
  assertEquals(readRecordingLine(JSON.stringify(more)), { ...line, colour: "red" } as never);
});

Deno.test("readRecordingLine() names what is wrong", () => {
  for (const text of ["", "{", "[]", '"x"', '{"t":1}{']) {
    assertEquals(readRecordingLine(text), { wrong: "it is not a JSON object" });
  }
  assertEquals(lineError({ t: null }), '"t" is not a number of seconds');
  assertEquals(lineError({ t: -1 }), '"t" is not a number of seconds');
  assertEquals(lineError({ t: 1e300 }), '"t" is not a number of seconds');
  assertEquals(lineError({ dropped: -1 }), '"dropped" is not a number of messages');
  assertEquals(
    lineError({ kind: "constructor" }),
    '"kind" is not one of greeting, command, reply, event, damage, connect, disconnect',
  );
  assertEquals(lineError({ side: "guest" }), '"side" is not "client" or "qemu"');
  assertEquals(lineError({ client: null }), '"client" is missing');
  assertEquals(lineError({ text: null }), '"text" is missing');
  assertEquals(lineError({ client: "x".repeat(1025) }), '"client" is not a name');
  assertEquals(lineError({ text: 7 }), '"text" is not a text');
  assertEquals(lineError({ of: "4" }), '"of" is not the number of a line');
  assertEquals(lineError({ for: [1.5] }), '"for" is not a list of numbers of lines');
  assertEquals(lineError({ dir: "=" }), '"dir" is not ">" or "<"');
  assertEquals(lineError({ peer: { pid: "1" } }), '"peer" is not a process');
});

Deno.test("readRecordingLine() reads a message that was too long to be recorded", () => {
  const line = { t: 1, side: "client", client: "mux/1", kind: "reply", dir: "<", length: 2097152 };
  assertEquals(readRecordingLine(JSON.stringify(line)), line as unknown as RecordingLine);
});

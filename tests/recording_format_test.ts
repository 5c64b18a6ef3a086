/**
 * Format 1 of recordings, which is frozen: every version of qmpmux shows and plays a recording that version 0.1.0
 * wrote of a QEMU 7.2.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { readHeader, readRecordingLine } from "../lib/observe/recording_reader.ts";
import { TestClient } from "./support/client.ts";
import { runQmpmux } from "./support/qmpmux.ts";
import { play } from "./support/replay.ts";

const PATH = new URL("fixtures/recording-1.jsonl", import.meta.url).pathname;
const RECORDING = Deno.readTextFileSync(PATH);

const SHOWN = `-- default, QEMU 7.2.22, recorded by qmpmux 0.1.0
-- 2026-11-30 UTC
00:56:22.256 QEMU: connected, QEMU 7.2.22
00:56:22.387 old/1: connected: role full, dialect rfc2010, mode handshake
00:56:22.408 old/1: query-qmp-mode → {"mode": "handshake"} [waited 249 µs]
00:56:22.409 old/1: async_msg_enable {"name":"(removed 23557bc278244377)"} → {} [waited 275 µs]
00:56:22.418 old/1: qmp_switch_mode {"mode":"(removed 23557bc278244377)"} → {} [waited 360 µs]
00:56:22.433 old/1: query-name → {} [waited 1.95 ms, ran 19.6 ms]
00:56:22.873 mux/2: connected: role full, dialect qmp, mode negotiation
00:56:22.891 mux/2: qmp_capabilities {"enable":["oob"]} → {} [waited 535 µs]
00:56:22.918 mux/2: query-status → {"status": "prelaunch", "singlestep": false, "running": false} [waited 210 µs, ran 532 µs]
00:56:22.934 QEMU: RESUME
00:56:22.919 mux/2: cont → {} [waited 2.74 ms, ran 13.4 ms]
00:56:22.942 mux/2: query-yank (out of band) → [{"type": "chardev", "id": "compat_monitor0"}] [waited 322 µs, ran 4.49 ms]
00:56:22.948 mux/2: device_del {"id":"net9"} → DeviceNotFound: Device 'net9' not found [waited 209 µs, ran 719 µs]
00:56:22.958 mux/2: damage of 5 bytes: JSON parse error, invalid keyword '...'
00:56:22.959 mux/2: damage of 34 bytes: QMP input member '...' is unexpected
00:56:22.948 mux/2: set_password {"protocol":"vnc","password":"(removed 23557bc278244377)"} → GenericError: Could not set password [waited 574 µs, ran 21.3 ms]
00:56:22.980 QEMU: STOP
00:56:22.971 mux/2: stop → {} [waited 116 µs, ran 9.75 ms]
00:56:22.971 mux/2: query-status → {"status": "paused", "singlestep": false, "running": false} [waited 9.63 ms, ran 49.3 ms]
00:56:24.002 mux/2: disconnected: left
00:56:24.371 old/1: disconnected: left
`;

Deno.test("every line of a recording of format 1 is read", () => {
  const [header, ...lines] = RECORDING.trimEnd().split("\n");
  assert(!("wrong" in readHeader(header!)));
  assert(lines.length > 50);
  for (const line of lines) assert(!("wrong" in readRecordingLine(line)), line);
});

Deno.test("show prints a recording of format 1", async () => {
  const { code, stdout, stderr } = await runQmpmux(["show", PATH]);
  assertEquals([code, stderr], [0, ""]);
  assertEquals(stdout, SHOWN);
});

/** Returns the messages of a client, without malformed ones and the replies to them, whose errors are removed. */
function messagesOf(name: string): { readonly sent: string[]; readonly heard: string[] } {
  const sent: string[] = [];
  const heard: string[] = [];
  for (const line of RECORDING.trimEnd().split("\n").slice(1)) {
    const { client, dir, text } = JSON.parse(line);
    if (client !== name || text === undefined) continue;
    if (dir === ">") sent.push(text);
    else if (!/"desc":"\(removed/.test(text)) heard.push(text);
  }
  return { sent, heard };
}

Deno.test("replay plays a recording of format 1 with the recorded bytes", async () => {
  const listen = ["mux", "old"].flatMap((name) => ["--listen", `DIR/${name},name=${name}`]);
  await using playing = await play(RECORDING, "--speed", "0", ...listen);
  const removed = /\(removed [0-9a-f]+\)/;
  // The values that were removed; QEMU does not care about the password.
  const values = [["mux/2", ["any"]], ["old/1", ["STOP", "operational"]]] as const;
  for (const [client, given] of values) {
    const { sent: texts, heard } = messagesOf(client);
    const sent = given.reduce((text, value) => text.replace(removed, value), texts.join("\n"));
    assert(heard.length > 4);
    using connection = await TestClient.connect(`${playing.path}/${client.split("/")[0]}`);
    assertEquals(await connection.session(sent, heard.length), heard);
  }
  assertEquals(await playing.stop(), 0);
});

Deno.test("show and replay ignore members that they do not know, and refuse a newer format", async () => {
  const more = RECORDING.replaceAll(/^\{/gm, '{"new":{"a":[1]},').replace('{"new":{"a":[1]},', "{")
    .replace('"vm":', '"new":1,"vm":');
  await using playing = await play(more, "--speed", "0");
  using client = await TestClient.connect(`${playing.path}/s`);
  assertMatch(await client.line(), /^\{"QMP": /);
  const path = `${playing.path}/more`;
  Deno.writeTextFileSync(path, more);
  assertEquals((await runQmpmux(["show", path])).stdout, SHOWN);

  Deno.writeTextFileSync(path, RECORDING.replace('"qmpmux-recording":1', '"qmpmux-recording":2'));
  const refused = /: it has format 2, and this qmpmux reads format 1; use a newer qmpmux\n$/;
  for (const args of [["show", path], ["replay", path, "--listen", `${playing.path}/t`]]) {
    const { code, stdout, stderr } = await runQmpmux(args);
    assertEquals([code, stdout], [1, ""]);
    assertMatch(stderr, refused);
  }
});

/**
 * Several files of a recording, read as one.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { readHeader } from "../lib/observe/recording_reader.ts";
import type { RecordingHeader } from "../lib/observe/recording_line.ts";
import { RecordingSequence } from "../lib/observe/recording_sequence.ts";
import { MadeRecording } from "./support/made_recording.ts";

/** Reads texts after the first header. */
function read([first, ...lines]: readonly string[]): unknown[] {
  const sequence = new RecordingSequence(readHeader(first!) as RecordingHeader);
  return lines.map((text, index) => sequence.read(index + 2, text));
}

Deno.test("the lines of a later file get the numbers and times that they have in the whole", () => {
  const one = new MadeRecording();
  one.event(1, "STOP");
  const two = new MadeRecording({ time: "2026-01-02T03:05:05.250Z" });
  const number = two.command("a/1", 1, "{}");
  two.toQemu(1.5, "{}", [number]);
  two.reply("a/1", 2, number, "{}");
  two.add({ t: 3, dropped: 7 });
  const [, header, command, sent, reply, gap] = read([...one.lines, ...two.lines]);
  assertEquals(header, undefined);
  const line = { side: "client", client: "a/1", text: "{}" };
  assertEquals(command, { ...line, t: 61.25, dir: ">", kind: "command" });
  assertEquals(sent, { t: 61.75, side: "qemu", dir: ">", kind: "command", text: "{}", for: [4] });
  assertEquals(reply, { ...line, t: 62.25, dir: "<", kind: "reply", of: 4 });
  assertEquals(gap, { kind: "gap", t: 63.25, dropped: 7 });
});

Deno.test("the lines of another VM's file name it", () => {
  const one = new MadeRecording();
  const two = new MadeRecording({ vm: "vm2", time: "2026-01-02T03:04:00Z" });
  two.event(1, "STOP");
  const [, event] = read([...one.lines, ...two.lines]);
  const { vm, t } = event as { vm: string; t: number };
  assertEquals([vm, t], ["vm2", 1]);
});

Deno.test("a damaged header of a later file, or a newer one, is named", () => {
  const { lines } = new MadeRecording();
  assertEquals(read([...lines, '{"qmpmux-recording":1}', '{"qmpmux-recording":2}']), [
    { wrong: '"time" is not a time' },
    { wrong: "it has format 2, and this qmpmux reads format 1; use a newer qmpmux" },
  ]);
});

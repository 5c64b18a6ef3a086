/**
 * The event log: numbers, bounds, and the places of cursors.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { EventName } from "../lib/policy/event_filter.ts";
import { CursorError, EventLog } from "../lib/sharing/event_log.ts";
import { BLOCK_BYTES, MessageBlock } from "../lib/wire/message_block.ts";
import { Random } from "./support/random.ts";

const WIDE = { bytes: 1 << 20, events: 1000 };
const STOP = new EventName("STOP");

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function text(kept: Uint8Array): string {
  return new TextDecoder().decode(kept);
}

/** Returns the texts of all kept events. */
function keptIn(log: EventLog): string[] {
  return Array.from({ length: log.size }, (_, i) => text(log.bytesAt(log.oldest + i)));
}

/** Returns a log with events of these texts. */
function logOf(texts: readonly string[], limits = WIDE): EventLog {
  const log = new EventLog("run", limits);
  for (const each of texts) log.append(STOP, bytes(each));
  return log;
}

Deno.test("EventLog.append() numbers events from 1 and keeps copies of their bytes", () => {
  const log = new EventLog("run", WIDE);
  assertEquals([log.last, log.oldest, log.size], [0, 1, 0]);
  const buffer = bytes("one");
  log.append(STOP, buffer);
  buffer.fill(0);
  log.append(undefined, bytes("a gap"));
  assertEquals([log.last, log.oldest, log.size, log.bytes], [2, 1, 2, 8]);
  assertEquals(keptIn(log), ["one", "a gap"]);
  assertEquals([log.nameAt(1), log.nameAt(2)], [STOP, undefined]);
});

Deno.test("EventLog.append() drops the oldest events beyond the bounds", () => {
  const log = logOf(["aaaa", "bbb", "cc", "d"], { bytes: 8, events: 1000 });
  assertEquals([keptIn(log), log.oldest, log.bytes], [["bbb", "cc", "d"], 2, 6]);
  log.append(STOP, bytes("eeeeee"));
  assertEquals([keptIn(log), log.oldest, log.bytes], [["d", "eeeeee"], 4, 7]);
  const few = logOf(["a", "b", "c", "d"], { bytes: 1000, events: 2 });
  assertEquals([keptIn(few), few.oldest, few.bytes], [["c", "d"], 3, 2]);
});

Deno.test("EventLog.append() keeps nothing when an event is longer than the bound", () => {
  const log = logOf(["a", "b"], { bytes: 4, events: 1000 });
  log.append(STOP, bytes("ccccc"));
  assertEquals([log.size, log.oldest, log.last, log.bytes], [0, 4, 3, 0]);
  log.append(STOP, bytes("dd"));
  assertEquals([keptIn(log), log.oldest], [["dd"], 4]);
  const none = logOf(["a", "b"], { bytes: 0, events: 1000 });
  assertEquals([none.size, none.oldest, none.last], [0, 3, 2]);
  const noEvents = logOf(["a", "b"], { bytes: 1000, events: 0 });
  assertEquals([noEvents.size, noEvents.oldest, noEvents.bytes], [0, 3, 0]);
});

Deno.test("EventLog.adopt() drops what a smaller bound does not allow", () => {
  const log = logOf(["a", "b", "c"]);
  log.adopt({ bytes: 2, events: 1000 });
  assertEquals(keptIn(log), ["b", "c"]);
  log.adopt(WIDE);
  log.append(STOP, bytes("d"));
  assertEquals(keptIn(log), ["b", "c", "d"]);
});

Deno.test("EventLog.placeOf() finds the place of each of its cursors", () => {
  const log = logOf(["a", "b"]);
  const before = log.cursor(0);
  log.beginSession(1);
  log.append(STOP, bytes("c"));
  assertEquals([before, log.cursor(2), log.cursor(3)], ["run.0.0", "run.0.2", "run.1.3"]);
  for (const number of [0, 1, 2, 3]) {
    assertEquals(log.placeOf(log.cursor(number)), { after: number });
  }
  assertEquals(log.placeOf("oldest"), { after: 0 });
});

Deno.test("EventLog.placeOf() tells a gap for a cursor that is too old or of another run", () => {
  const log = logOf(["a", "b"], { bytes: 1000, events: 2 });
  const cursor = log.cursor(1);
  log.append(STOP, bytes("c"));
  assertEquals(log.placeOf(cursor), { after: 1 });
  log.append(STOP, bytes("d"));
  const old = { after: 2, gap: "1 events after the cursor are no longer kept" };
  assertEquals(log.placeOf(cursor), old);
  const other = { after: 2, gap: "the cursor is of another run of qmpmux, or of another VM" };
  assertEquals(log.placeOf(new EventLog("other", WIDE).cursor(0)), other);
  assertEquals(log.placeOf("oldest"), { after: 2 });
});

Deno.test("EventLog.placeOf() refuses a text that is not one of its cursors", () => {
  const log = logOf(["a", "b"]);
  log.beginSession(1);
  const wrong = ["", "run", "run.1", "run.0.3", "run.1.2", "run.0.-1", "run.0.1 ", "run.0.1.1"];
  for (const each of wrong) assertThrows(() => log.placeOf(each), CursorError, each);
  assertThrows(() => log.placeOf("x".repeat(1e6)), CursorError, `"${"x".repeat(80)}…" is not`);
});

Deno.test("EventLog.cursor() names the session as long as an event of it can follow", () => {
  const log = new EventLog("run", { bytes: 1000, events: 2 });
  for (let session = 1; session <= 5; session++) {
    log.beginSession(session);
    log.append(STOP, bytes("x"));
  }
  assertEquals([log.oldest, log.last], [4, 5]);
  for (const number of [3, 4, 5]) {
    assertEquals(log.cursor(number), `run.${number}.${number}`);
    assertEquals(log.placeOf(log.cursor(number)), { after: number });
  }
});

Deno.test("EventLog keeps what a plain list keeps, for events of any size", () => {
  const random = new Random(7);
  const log = new EventLog("run", { bytes: 50_000, events: 300 });
  const list: string[] = [];
  for (let i = 0; i < 5000; i++) {
    const length = random.below(20) === 0 ? random.below(60_000) : 1 + random.below(300);
    const line = String(i).padEnd(length, "x");
    log.append(STOP, bytes(line));
    list.push(line);
    const size = (): number => list.reduce((sum, each) => sum + each.length, 0);
    if (line.length > 50_000) list.length = 0;
    while (list.length > 300 || size() > 50_000) list.shift();
    assertEquals([log.size, log.bytes, log.last], [list.length, size(), i + 1]);
    if (i % 50 === 0) assertEquals(keptIn(log), list);
  }
});

Deno.test("MessageBlock.add() refuses a message when there is no room", () => {
  const block = new MessageBlock(3);
  const message = new Uint8Array(BLOCK_BYTES / 2).fill(1);
  assertEquals([block.add(message), block.add(message), block.add(bytes("a"))], [
    true,
    true,
    false,
  ]);
  assertEquals([block.count, block.lengthAt(1), block.at(1)], [2, message.length, message]);
  const long = new MessageBlock(BLOCK_BYTES + 1);
  assertEquals([long.add(new Uint8Array(BLOCK_BYTES + 1)), long.add(bytes("a"))], [true, false]);
});

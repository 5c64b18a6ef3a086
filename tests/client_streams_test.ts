/**
 * The bounds of streams of events, and of the events before the first stream.
 *
 * @module
 */

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { EarlyEvents } from "../lib/client/early_events.ts";
import { type EventSink, EventStream, TEXT_LIMIT } from "../lib/client/event_stream.ts";
import { connect, ConnectionLost } from "../lib/client/mod.ts";
import { Queue } from "../lib/client/queue.ts";
import type { QmpEvent } from "../lib/client/schema.ts";
import { EventFilter, EventNames } from "../lib/policy/event_filter.ts";
import { Fake } from "./support/fake.ts";
import { eventLine } from "./support/fake_qemu.ts";
import { Random } from "./support/random.ts";

const NAMES = new EventNames();

/** Returns an event whose text has this length. */
function eventOf(length: number): QmpEvent {
  const timestamp = { seconds: 0, microseconds: 0 };
  return { name: "LONG", data: {}, timestamp, text: "x".repeat(length) };
}

function push(sink: Pick<EventSink, "push">, length: number): void {
  sink.push(eventOf(length), NAMES.named("LONG"));
}

/** Returns the lengths of the events that a stream still has; a gap is -1. */
async function lengthsOf(stream: EventStream<QmpEvent>): Promise<number[]> {
  stream.end(new Error("closed"), true);
  const lengths: number[] = [];
  for await (const { name, text } of stream) lengths.push(name === "LONG" ? text.length : -1);
  return lengths;
}

function makeStream(): EventStream<QmpEvent> {
  return new EventStream<QmpEvent>(new EventFilter(["*"]), 100, () => {});
}

/** The lengths of events, and those that are kept. */
const CASES: readonly (readonly [string, readonly number[], readonly number[]])[] = [
  ["up to the limit", [TEXT_LIMIT - 1, 1, 1], [TEXT_LIMIT - 1, 1, -1]],
  ["not beyond it", [TEXT_LIMIT - 1, 2, 1], [TEXT_LIMIT - 1, -1, 1]],
  ["a longer event alone", [TEXT_LIMIT + 1, 1], [TEXT_LIMIT + 1, -1]],
  ["no longer event behind another", [1, TEXT_LIMIT], [1, -1]],
];

for (const [what, given, kept] of CASES) {
  Deno.test(`a stream keeps the text of events: ${what}`, async () => {
    const stream = makeStream();
    for (const length of given) push(stream, length);
    assertEquals(await lengthsOf(stream), kept);
  });

  Deno.test(`the text of early events is kept: ${what}`, async () => {
    const early = new EarlyEvents();
    for (const length of given) push(early, length);
    const stream = makeStream();
    early.give(stream, NAMES);
    // Nothing stands behind the gap.
    assertEquals(await lengthsOf(stream), kept.slice(0, kept.indexOf(-1) + 1));
  });
}

Deno.test("events() and waitFor() say which globs they expect", async () => {
  await using fake = new Fake();
  await using qmp = await connect(fake.path);
  const list = 'expected a list, such as ["STOP"]';
  const text = 'expected a string, such as "STOP"';
  for (
    const [globs, message] of [
      ["STOP", `Invalid event globs of type string: ${list}`],
      [null, `Invalid event globs null: ${list}`],
      [[1], `Invalid event glob of type number: ${text}`],
      [["STOP", undefined], `Invalid event glob undefined: ${text}`],
    ] as const
  ) {
    assertThrows(() => qmp.events(globs as unknown as string[]), TypeError, message);
  }
  for (const glob of [undefined, ["STOP"]]) {
    await assertRejects(() => qmp.waitFor(glob as unknown as string), TypeError, text);
  }
});

Deno.test("a wait or a stream that is opened while an event is delivered does not get that event", async () => {
  await using fake = new Fake({
    answer: ({ name }) =>
      name === "cont" ? `${eventLine("STOP")}${eventLine("RESET")}{"return": {}}\r\n` : undefined,
  });
  await using qmp = await connect(fake.path);
  let later: AsyncIterable<{ readonly name: string }> | undefined;
  const match = (): boolean => {
    later ??= qmp.events();
    return false;
  };
  const wait = qmp.waitFor("*", { match });
  await qmp.execute("cont");
  await qmp.close();
  await assertRejects(() => wait, ConnectionLost);
  const names: string[] = [];
  for await (const { name } of later!) names.push(name);
  assertEquals(names, ["RESET"]);
});

Deno.test("a stream whose limit is high is read in the time of its length", async () => {
  const count = 200_000;
  const stream = new EventStream<QmpEvent>(new EventFilter(["*"]), count, () => {});
  for (let number = 0; number < count; number++) push(stream, 8);
  assertEquals((await lengthsOf(stream)).length, count);
});

Deno.test("Queue.shift() returns what was pushed, in order, at any length", () => {
  const random = new Random(11);
  const queue = new Queue<number>();
  const model: number[] = [];
  for (let step = 0, next = 0; step < 50_000; step++) {
    // It grows, and then shrinks, several times.
    if (random.below(10) < (step % 10_000 < 5000 ? 9 : 1)) {
      model.push(next);
      queue.push(next++);
    } else assertEquals(queue.shift(), model.shift());
    if (step % 9999 === 0) queue.clear(), model.length = 0;
    assertEquals([queue.size, queue.last], [model.length, model.at(-1)]);
  }
});

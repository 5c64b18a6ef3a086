/**
 * A hundred clients of all kinds for some seconds, with a real QEMU: every reply is right,
 * everything is freed.
 *
 * Planted faults test the soak's checks. `deno task soak` is the long form, which also looks for
 * growth.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { KINDS } from "./soak/behaviours.ts";
import { ALL, EventRecord, type Filter, Follower, NONE } from "./soak/events.ts";
import { type LoadOptions, runLoad, type Sample } from "./soak/load.ts";
import { growthOf, programFor } from "./soak/run.ts";
import { Durations, sumsOf } from "./soak/sampler.ts";
import { WITHOUT_QEMU } from "./support/qemu.ts";

const SHORT: Omit<LoadOptions, "program"> = {
  seconds: 10,
  clients: 100,
  seed: crypto.getRandomValues(new Uint32Array(1))[0]! >>> 1,
  rate: 300,
  burst: 3,
  sample: 1,
};

Deno.test({
  name:
    "qmpmux answers every command of a hundred mixed clients once, in order, and misses no event",
  ignore: WITHOUT_QEMU,
  fn: async () => {
    // A slow machine needs more than ten seconds for them.
    let [answered, events] = [0, 0];
    for (
      let seconds = SHORT.seconds;
      seconds <= 270 && (answered < 300 || events < 30);
      seconds *= 3
    ) {
      const { wrong, counts, samples } = await runLoad({
        ...SHORT,
        seconds,
        program: programFor(),
      });
      console.log(`soak: seed ${SHORT.seed}, ${JSON.stringify(counts)}`);
      assertEquals(wrong, []);
      assertEquals(counts["sent"], counts["answered"]! + counts["abandoned"]!);
      assert(samples.length > 0);
      [answered, events] = [counts["answered"]!, counts["events"]!];
    }
    assert(answered >= 300, "too few commands were sent");
    assert(events >= 30, "too few events arrived");
  },
});

/** The planted faults, and the report that each must cause. */
const PLANTED: Readonly<Record<string, RegExp>> = {
  event: / heard not the event /,
  again: / heard an event again, or too late: /,
  twice: / heard (a reply while |to |what is no reply)/,
  astray: / heard (a reply while |to |what is no reply)/,
  end:
    /heard (the end |half a line|the greeting undefined)|unanswered at its end|qmpmux has ended|No metrics|could not connect/,
  "descriptor=50": / descriptors at the end, /,
};

for (const [fault, told] of Object.entries(PLANTED)) {
  Deno.test({
    name: `runLoad() finds the planted fault: ${fault}`,
    ignore: WITHOUT_QEMU,
    fn: async () => {
      const program = programFor(undefined, fault);
      // The load stops at the first problem.
      const { wrong } = await runLoad({
        ...SHORT,
        seconds: fault.startsWith("descriptor") ? 3 : 600,
        clients: 40,
        most: 1,
        settle: 5,
        program,
      });
      assertEquals(wrong.length, 1);
      assertMatch(wrong[0]!, told);
    },
  });
}

Deno.test("KINDS have a share each, and the shares add up to all", () => {
  assertEquals(KINDS.reduce((sum, { share }) => sum + share, 0), 100);
});

/**
 * Returns samples of that many minutes, one every two seconds, with a leak of that many bytes a
 * command.
 */
function samplesOf(minutes: number, leak: number): Sample[] {
  return Array.from({ length: 30 * minutes }, (_, at): Sample => {
    const seconds = 2 * at;
    const commands = 2000 * seconds;
    const anonymous = (120 - 80 * Math.exp(-seconds / 40) + at % 7) * 2 ** 20 + leak * commands;
    const process = { resident: 0, anonymous, descriptors: 1030 + at % 3, processor: 0 };
    return {
      kind: "sample",
      seconds,
      commands,
      connections: commands / 20,
      clients: 1000 + at % 3,
      rate: 2000,
      p50: 1,
      p99: 2,
      burst: false,
      events: 0,
      qmpmux: process,
      qemu: { ...process, anonymous: 30 * 2 ** 20, descriptors: 15 },
      inFlight: 0,
      waiting: 0,
      unread: 0,
      load: 0,
    };
  });
}

Deno.test("growthOf() finds leaks and nothing else, if it was measured for long enough", () => {
  const growing = (samples: readonly Sample[]): string[] =>
    Object.entries(growthOf(samples)).filter(([, { grows }]) => grows).map(([name]) => name);
  assertEquals(growing(samplesOf(10, 0)), []);
  assertEquals(growing(samplesOf(10, 30)), ["memory of qmpmux"]);
  // At this point warming up and a leak look the same.
  assertEquals(Object.keys(growthOf(samplesOf(4, 30))), [
    "descriptors of qmpmux beyond its clients'",
    "memory of QEMU",
    "descriptors of QEMU",
  ]);
  const kept = samplesOf(10, 0).map((sample, at): Sample => ({
    ...sample,
    qmpmux: { ...sample.qmpmux, descriptors: sample.qmpmux.descriptors + Math.floor(at / 3) },
  }));
  assertEquals(growing(kept), ["descriptors of qmpmux beyond its clients'"]);
});

/** Returns an event's line at a time in milliseconds. */
function event(name: string, at: number): string {
  const seconds = Math.floor(at / 1000);
  const microseconds = Math.round(at * 1000) % 1_000_000;
  return `{"timestamp": {"seconds": ${seconds}, "microseconds": ${microseconds}}, "event": "${name}"}`;
}

/** Returns a record of events at 10,000, 10,010 … milliseconds. */
function recordOf(...names: string[]): { record: EventRecord; lines: string[] } {
  const record = new EventRecord();
  const lines = names.map((name, at) => event(name, 10_000 + 10 * at));
  for (const line of lines) record.add(line);
  return { record, lines };
}

/**
 * Returns the problems that a client with a filter finds in the events that it gets, and at its
 * end.
 */
function follow(record: EventRecord, filter: Filter, heard: readonly string[]): string[] {
  const follower = new Follower(record);
  follower.choose(filter, 9000);
  const found = heard.map((line) => follower.hear(line));
  found.push(follower.finish(20_000, follower.heard));
  return found.filter((wrong) => wrong !== undefined);
}

Deno.test("Follower accepts all events, and those that a filter lets pass", () => {
  const { record, lines } = recordOf("STOP", "RESUME", "JOB_STATUS_CHANGE", "STOP");
  assertEquals(follow(record, ALL, lines), []);
  assertEquals(follow(record, ["STOP"], [lines[0]!, lines[3]!]), []);
  assertEquals(follow(record, ["JOB_*"], [lines[2]!]), []);
  assertEquals(follow(record, NONE, []), []);
});

Deno.test("Follower finds a missing event, in the middle and at the end", () => {
  const { record, lines } = recordOf("STOP", "RESUME", "STOP");
  assertEquals(follow(record, ALL, [lines[0]!, lines[2]!])[0], `not the event ${lines[1]}`);
  assertEquals(follow(record, ALL, lines.slice(0, 2)), [`not the event ${lines[2]}`]);
});

Deno.test("Follower finds an event that is repeated, out of order, or invented", () => {
  const { record, lines } = recordOf("STOP", "RESUME", "STOP");
  const again = follow(record, ALL, [lines[0]!, lines[0]!, lines[1]!, lines[2]!]);
  assertEquals(again[0], `an event again, or too late: ${lines[0]}`);
  const swapped = follow(record, ["STOP"], [lines[2]!, lines[0]!]);
  assertEquals(swapped[0], `not the event ${lines[0]}`);
  const invented = event("STOP", 10_025);
  assertEquals(follow(record, ALL, [...lines, invented]), [
    `an event that QEMU never sent: ${invented}`,
  ]);
});

Deno.test("Follower finds an event that its filter should hold back", () => {
  const { record, lines } = recordOf("STOP", "RESUME");
  assertEquals(follow(record, ["STOP"], lines), [`an event it does not want: ${lines[1]}`]);
});

Deno.test("Follower waits for a record that is behind", () => {
  const { record, lines } = recordOf("STOP");
  const late = event("RESUME", 10_500);
  const follower = new Follower(record);
  follower.choose(ALL, 9000);
  assertEquals(follower.hear(lines[0]!), undefined);
  assertEquals(follower.hear(late), undefined);
  assertEquals(follower.place, 1);
  // The follower ignores an event that arrived while the record was being extended.
  assertEquals(follower.finish(20_000, 1), undefined);
  assertEquals(follower.finish(20_000, 2), `an event that QEMU never sent: ${late}`);
  record.add(late);
  assertEquals(follower.finish(20_000, 2), undefined);
  assertEquals(follower.place, 2);
});

Deno.test("Follower accepts both filters at the moment of a change, and only the new one later", () => {
  const { record, lines } = recordOf("STOP", "RESUME", "STOP");
  // The filter changes while the second event is in flight.
  for (const heard of [lines, [lines[0]!, lines[2]!]]) {
    const follower = new Follower(record);
    follower.choose(ALL, 9000);
    follower.hear(lines[0]!);
    if (heard.length === 3) follower.hear(lines[1]!);
    follower.choose(["STOP"], 10_015);
    assertEquals(follower.hear(lines[2]!), undefined);
    assertEquals(follower.finish(20_000, follower.heard), undefined);
  }
  const deaf = new Follower(record);
  deaf.choose(ALL, 9000);
  deaf.hear(lines[0]!);
  deaf.choose(["STOP"], 10_015);
  assertEquals(deaf.finish(20_000, deaf.heard), `not the event ${lines[2]}`);
});

Deno.test("EventRecord.forget() removes events, and followers continue after them", () => {
  const { record, lines } = recordOf("STOP", "RESUME", "STOP");
  const follower = new Follower(record);
  follower.choose(ALL, 9000);
  follower.hear(lines[0]!);
  record.forget(follower.place);
  assertEquals([record.first, record.length, record.placeOf(lines[0]!)], [1, 3, undefined]);
  assertEquals(follower.hear(lines[2]!), `not the event ${lines[1]}`);
});

Deno.test("Durations.part() returns the value that so many did not exceed, within a tenth", () => {
  const durations = new Durations();
  assertEquals(durations.part(0.5), null);
  for (let ms = 1; ms <= 1000; ms++) durations.add(ms);
  const [p50, p99] = [durations.part(0.5)!, durations.part(0.99)!];
  assert(p50 >= 500 && p50 < 550, `${p50}`);
  assert(p99 >= 990 && p99 <= 1000, `${p99}`);
});

Deno.test("sumsOf() adds up the values of all labels", () => {
  const text = '# TYPE a counter\na_total{x="1"} 2\na_total{x="} 9",y="2"} 3\nb 4\n';
  assertEquals([...sumsOf(text)], [["a_total", 5], ["b", 4]]);
});

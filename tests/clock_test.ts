/**
 * The time for which qmpmux has run.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { CLOCK, RunningTime } from "../lib/platform/clock.ts";

Deno.test("RunningTime.tick() returns the time since the start while ticks are regular", () => {
  const time = new RunningTime(1.5, 100);
  assertEquals([101, 102.25, 103].map((now) => time.tick(now)), [1, 2.25, 3]);
});

Deno.test("RunningTime.tick() counts a gap as one long tick, and continues from there", () => {
  const time = new RunningTime(1.5, 100);
  assertEquals([101, 4600, 4601].map((now) => time.tick(now)), [1, 2.5, 3.5]);
});

Deno.test("RunningTime.at() returns the time between two ticks, and stands still in a gap", () => {
  const time = new RunningTime(1.5, 100);
  time.tick(101);
  assertEquals([101, 101.25, 102.5, 4600].map((now) => time.at(now)), [1, 1.25, 2.5, 2.5]);
  assertEquals(time.tick(4600), 2.5);
});

Deno.test("RunningTime.rest() counts all of the time until the next tick", () => {
  const time = new RunningTime(1.5, 100);
  time.tick(101);
  time.rest();
  assertEquals([time.at(150), time.tick(200), time.at(300)], [50, 100, 101.5]);
});

Deno.test("CLOCK.after() waits for months, in parts that the system's timers hold", () => {
  const { setTimeout } = globalThis;
  const waits: number[] = [];
  const due: (() => void)[] = [];
  globalThis.setTimeout = ((run: () => void, ms: number): number => {
    waits.push(ms);
    due.push(run);
    return due.length;
  }) as unknown as typeof setTimeout;
  let runs = 0;
  try {
    CLOCK.after(5_000_000, () => runs++);
    due.shift()!();
    due.shift()!();
    assertEquals(runs, 0);
    due.shift()!();
  } finally {
    globalThis.setTimeout = setTimeout;
  }
  assertEquals([runs, ...due], [1]);
  assertEquals(waits, [2 ** 31 - 1, 2 ** 31 - 1, 5e9 - 2 * (2 ** 31 - 1)]);
});

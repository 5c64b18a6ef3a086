/**
 * Turns of the event loop: when a connection has to yield to others.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { CLOCK } from "../lib/platform/clock.ts";
import { UnbrokenWork } from "../lib/platform/turns.ts";

/** Returns how many of a hundred equal pieces of work, in microseconds, are followed by a yield. */
function turnsAmong(work: number, pause: number): number {
  const unbroken = new UnbrokenWork(CLOCK, 1);
  let turns = 0;
  for (let i = 0; i < 100; i++) {
    const began = i * (work + pause) / 1e6;
    unbroken.add(began, began + work / 1e6);
    if (unbroken.takeExcess()) turns++;
  }
  return turns;
}

Deno.test("UnbrokenWork.takeExcess() requests a yield after a millisecond of work with hardly a pause", () => {
  assertEquals(turnsAmong(110, 1), 10);
  assertEquals(turnsAmong(2000, 1), 100);
});

Deno.test("UnbrokenWork.takeExcess() requests none for a client that sends one command at a time", () => {
  assertEquals(turnsAmong(40, 160), 0);
  assertEquals(turnsAmong(500, 600), 0);
});

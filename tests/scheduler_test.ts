/**
 * Turns: a waiting client is served before any other is served twice.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { ALONE_AFTER_JOBS, OWNER_LIMIT, Scheduler } from "../lib/sharing/scheduler.ts";

function served(scheduler: Scheduler<string, string>): string[] {
  const order: string[] = [];
  for (let job = scheduler.next(); job !== undefined; job = scheduler.next()) {
    order.push(job);
    scheduler.remove(job);
  }
  return order;
}

Deno.test("Scheduler.next() gives each waiting party one turn per round", () => {
  const scheduler = new Scheduler<string, string>();
  for (const job of ["a1", "a2", "a3", "b1", "c1", "b2"]) scheduler.enqueue(job[0]!, job);
  assertEquals(served(scheduler), ["a1", "b1", "c1", "a2", "b2", "a3"]);
});

Deno.test("Scheduler.next() serves a party in the round it joins", () => {
  const scheduler = new Scheduler<string, string>();
  for (const job of ["a1", "a2", "b1", "b2"]) scheduler.enqueue(job[0]!, job);
  assertEquals(scheduler.next(), "a1");
  scheduler.enqueue("c", "c1");
  scheduler.remove("a1");
  assertEquals(served(scheduler), ["b1", "a2", "c1", "b2"]);
});

Deno.test("Scheduler.drop() removes what one party has waiting, and keeps the others'", () => {
  const scheduler = new Scheduler<string, string>();
  for (const job of ["a1", "b1", "a2"]) scheduler.enqueue(job[0]!, job);
  scheduler.drop("a");
  scheduler.drop("nobody");
  assertEquals(served(scheduler), ["b1"]);
});

Deno.test("Scheduler.empty is true if no job waits", () => {
  const scheduler = new Scheduler<string, string>();
  assert(scheduler.empty);
  scheduler.enqueue("a", "a1");
  assert(!scheduler.empty);
  scheduler.next();
  assert(scheduler.empty);
  scheduler.enqueue("a", "a2");
  scheduler.remove("a2");
  assert(scheduler.empty);
  assertEquals(scheduler.next(), undefined);
});

Deno.test("Scheduler.enqueueFirst() puts a job before the party's others, and uses up no turn", () => {
  const scheduler = new Scheduler<string, string>();
  for (const job of ["a1", "b1"]) scheduler.enqueue(job[0]!, job);
  scheduler.enqueueFirst("b", "b0");
  scheduler.enqueueFirst("c", "c0");
  assertEquals(served(scheduler), ["a1", "b0", "c0", "b1"]);
});

Deno.test("Scheduler.remove() removes one job and keeps the party's turn", () => {
  const scheduler = new Scheduler<string, string>();
  for (const job of ["a1", "a2", "b1", "c1"]) scheduler.enqueue(job[0]!, job);
  for (const job of ["a1", "b1", "unknown"]) scheduler.remove(job);
  const order = [scheduler.next(), scheduler.next()];
  assertEquals(order, ["a2", "c1"]);
  assert(scheduler.empty);
});

Deno.test("Scheduler.next() skips a party with the maximum number of jobs in flight", () => {
  const scheduler = new Scheduler<string, string>();
  for (const job of ["a1", "a2", "a3", "a4"]) scheduler.enqueue(job[0]!, job);
  const order = Array.from({ length: 3 }, () => scheduler.next());
  assertEquals(OWNER_LIMIT, 2);
  assertEquals(order, ["a1", "a2", undefined]);
  scheduler.remove("a2");
  assertEquals([scheduler.next(), scheduler.next()], ["a3", undefined]);
});

Deno.test("Scheduler.next() limits a party to one job in flight while others send jobs, too", () => {
  const scheduler = new Scheduler<string, string>();
  for (const job of ["a1", "a2", "b1"]) scheduler.enqueue(job[0]!, job);
  assertEquals([scheduler.next(), scheduler.next(), scheduler.next()], ["a1", "b1", undefined]);
  scheduler.remove("b1");
  assertEquals(scheduler.next(), undefined);
  scheduler.remove("a1");
  for (let i = 0; i < ALONE_AFTER_JOBS - 1; i++) {
    scheduler.enqueue("a", `more ${i}`);
    const sent = scheduler.next()!;
    assertEquals(scheduler.next(), undefined, `${i} in a row`);
    scheduler.remove(sent);
  }
  scheduler.enqueue("a", "last");
  assertEquals([scheduler.next(), scheduler.next()], [`more ${ALONE_AFTER_JOBS - 2}`, "last"]);
});

Deno.test("Scheduler.next() keeps the turn of a party that it skips", () => {
  const scheduler = new Scheduler<string, string>();
  for (const job of ["a1", "a2", "a3"]) scheduler.enqueue("a", job);
  for (let i = 0; i < OWNER_LIMIT; i++) scheduler.next();
  scheduler.enqueue("b", "b1");
  scheduler.remove("a1");
  assertEquals([scheduler.next(), scheduler.next()], ["a3", "b1"]);
});

Deno.test("Scheduler.overtakes() leaves a party one place for waiting jobs", () => {
  const scheduler = new Scheduler<string, string>();
  for (const job of ["a1", "a2", "a3"]) scheduler.enqueue("a", job);
  scheduler.next();
  scheduler.overtakes("a", "a0");
  assertEquals(scheduler.next(), undefined);
  scheduler.remove("a0");
  assertEquals(scheduler.next(), undefined);
  scheduler.remove("a1");
  assertEquals([scheduler.next(), scheduler.next()], ["a2", undefined]);
});

for (
  const [how, empties] of [
    ["taken out", (scheduler): void => scheduler.remove("a2")],
    ["dropped", (scheduler): unknown => scheduler.drop("a")],
    ["sent", (scheduler): void => scheduler.remove(scheduler.next()!)],
  ] as [string, (scheduler: Scheduler<string, string>) => void][]
) {
  Deno.test(`Scheduler.overtakes() is reset when the last of the party's jobs is ${how}`, () => {
    const scheduler = new Scheduler<string, string>();
    for (const job of ["a1", "a2"]) scheduler.enqueue("a", job);
    scheduler.overtakes("a", "a0");
    scheduler.remove("a0");
    assertEquals([scheduler.next(), scheduler.next()], ["a1", undefined]);
    scheduler.remove("a1");
    empties(scheduler);
    for (const job of ["a3", "a4"]) scheduler.enqueue("a", job);
    assertEquals([scheduler.next(), scheduler.next()], ["a3", "a4"]);
  });
}

Deno.test("Scheduler.clear() forgets everything about its parties", () => {
  const scheduler = new Scheduler<string, string>();
  for (const job of ["a1", "a2", "a3", "b1"]) scheduler.enqueue(job[0]!, job);
  assertEquals([scheduler.next(), scheduler.next()], ["a1", "b1"]);
  scheduler.overtakes("a", "a0");
  assertEquals([...scheduler.waiting()], ["a2", "a3"]);
  for (const job of ["a0", "a1", "a2", "a3", "b1"]) scheduler.remove(job);
  scheduler.clear();
  assertEquals(scheduler.owners, 0);
  for (const job of ["b2", "b3", "b4"]) scheduler.enqueue("b", job);
  assertEquals([scheduler.next(), scheduler.next(), scheduler.next()], ["b2", "b3", undefined]);
});

Deno.test("Scheduler.clear() throws while a job waits or is in flight", () => {
  const scheduler = new Scheduler<string, string>();
  scheduler.enqueue("a", "a1");
  assertThrows(() => scheduler.clear(), Error, "1 jobs are left");
  scheduler.next();
  assertThrows(() => scheduler.clear(), Error, "1 jobs are left");
});

Deno.test("Scheduler.remove() does not keep parties forever", () => {
  const scheduler = new Scheduler<string, string>();
  for (let i = 0; i < 5000; i++) {
    scheduler.enqueue(`p${i}`, `job${i}`);
    scheduler.remove(scheduler.next()!);
  }
  assert(scheduler.owners < 1100, String(scheduler.owners));
  scheduler.enqueue("p", "job");
  scheduler.remove(scheduler.next()!);
  const before = scheduler.owners;
  scheduler.drop("p");
  assertEquals(scheduler.owners, before - 1);
});

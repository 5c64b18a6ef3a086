/**
 * Turns: who waits is served before any other is served twice.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { Scheduler } from "../lib/sharing/scheduler.ts";

function served(scheduler: Scheduler<string, string>): string[] {
  const order: string[] = [];
  for (let job = scheduler.next(); job !== undefined; job = scheduler.next()) order.push(job);
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
  assertEquals(served(scheduler), ["b1", "a2", "c1", "b2"]);
});

Deno.test("Scheduler.drop() forgets what one party has waiting, and no other's", () => {
  const scheduler = new Scheduler<string, string>();
  for (const job of ["a1", "b1", "a2"]) scheduler.enqueue(job[0]!, job);
  scheduler.drop("a");
  scheduler.drop("nobody");
  assertEquals(served(scheduler), ["b1"]);
});

Deno.test("Scheduler.empty tells whether anything waits", () => {
  const scheduler = new Scheduler<string, string>();
  assert(scheduler.empty);
  scheduler.enqueue("a", "a1");
  assert(!scheduler.empty);
  scheduler.next();
  assert(scheduler.empty);
  scheduler.enqueue("a", "a2");
  scheduler.clear();
  assert(scheduler.empty);
  assertEquals(scheduler.next(), undefined);
});

Deno.test("Scheduler.enqueueFirst() puts a job before the party's others, and gives no turn for it", () => {
  const scheduler = new Scheduler<string, string>();
  for (const job of ["a1", "b1"]) scheduler.enqueue(job[0]!, job);
  scheduler.enqueueFirst("b", "b0");
  scheduler.enqueueFirst("c", "c0");
  const order = Array.from({ length: 4 }, () => scheduler.next());
  assertEquals(order, ["a1", "b0", "c0", "b1"]);
});

Deno.test("Scheduler.remove() takes one job out and leaves the party its turn", () => {
  const scheduler = new Scheduler<string, string>();
  for (const job of ["a1", "a2", "b1", "c1"]) scheduler.enqueue(job[0]!, job);
  for (const job of ["a1", "b1", "unknown"]) scheduler.remove(job);
  const order = [scheduler.next(), scheduler.next()];
  assertEquals(order, ["a2", "c1"]);
  assert(scheduler.empty);
});

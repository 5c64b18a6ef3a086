/**
 * Deterministic simulation: the real hub among simulated clients and QEMUs.
 *
 * A seed determines a world. An independent model checks every promise at every step; faults
 * planted in copies of the core show that it does. `deno task simulate` plays on, `deno task
 * simulate:faults` plants all of them.
 *
 * @module
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import * as core from "../lib/mod.ts";
import { FAULTS, find } from "./simulation/faults.ts";
import { playMany, playSeed, report, shrunk, WORLD_STEPS } from "./simulation/run.ts";

/** The number of steps with fixed seeds, and with new seeds each time. */
const STEPS = { fixed: 800_000, random: 200_000 };

/** The least share of the steps with fixed seeds in which a client subscribes. */
const SUBSCRIBED_SHARE = 0.2;

/** Faults that are found quickly. */
const QUICK = [
  "five in-band commands at QEMU",
  "events are sent before the handshake is complete",
  "cached replies outlive a QEMU",
  "a refused command runs",
  "descriptors of a refused command stay open",
  "a command overtakes one with descriptors",
  "another client's name is used",
  "a list of commands may have any length",
  "a list of commands may contain anything",
  "a connection with unexpected bytes continues",
  "a client reaches another's descriptor by its name at QEMU",
  "tags stay in errors",
  "an event overtakes those that are in the queue",
  "a stretch that has ended gets later events",
  "a client that the log overtakes is not told",
  "an event that was sent at once is read again",
  "a bookmark is that of the last event, not of the client's",
  "a new session has no gap",
  "the gap between two sessions comes behind the first event of the second",
  "the bytes of events before a long one stay counted",
];

Deno.test("Mux keeps every promise in simulated worlds of fixed seeds", () => {
  let subscribed = 0;
  const played = playMany(core, 1, (steps) => steps >= STEPS.fixed, ({ isSubscribed }) => {
    if (isSubscribed) subscribed++;
  });
  assertEquals(played, STEPS.fixed);
  const share = subscribed / played;
  assert(share > SUBSCRIBED_SHARE, `a client subscribes in only ${share} of the steps`);
});

Deno.test("Mux keeps every promise in simulated worlds of new seeds", () => {
  const seed = crypto.getRandomValues(new Uint32Array(1))[0]! >>> 1;
  console.log(`simulation: seed ${seed}`);
  const played = playMany(core, seed, (steps) => steps >= STEPS.random);
  assertEquals(played, STEPS.random);
});

Deno.test("playSeed() plays the same world again, step by step", async () => {
  const fault = FAULTS.find(({ name }) => name === "ten commands of a client are pending");
  assert(fault);
  const { failure, core: faulty } = await find(fault, 20 * WORLD_STEPS);
  assert(failure);
  const again = playSeed(faulty, failure.setting.seed);
  assertEquals(again?.actions, failure.actions);
  assertEquals(again?.error.message, failure.error.message);
});

for (const name of QUICK) {
  Deno.test(`find() finds the planted fault: ${name}`, async () => {
    const fault = FAULTS.find((each) => each.name === name);
    assert(fault);
    const { failure, core: faulty, steps } = await find(fault, 200 * WORLD_STEPS);
    assert(failure, `not found in ${steps} steps`);
    const short = shrunk(faulty, failure);
    assert(short.actions.length <= failure.actions.length);
    assertEquals(short.promise, failure.promise);
  });
}

Deno.test("report() prints the seed and a short transcript of the broken promise", async () => {
  const fault = FAULTS.find(({ name }) => name === "an id follows an error");
  assert(fault);
  const { failure, core: faulty } = await find(fault, 20 * WORLD_STEPS);
  assert(failure);
  const text = report(faulty, failure);
  const { seed } = failure.setting;
  assertStringIncludes(text, `seed ${seed}, step `);
  assertStringIncludes(text, `\nagain: deno task simulate --seed ${seed}\n`);
  assertStringIncludes(text, "! no qemu\n");
  assertStringIncludes(text, '\nq< {"execute":"qmp_capabilities"');
  assert(text.split("\n").length < 40, text);
});

Deno.test("FAULTS can all be planted", async () => {
  const cannot: string[] = [];
  for (const { name, file, from } of FAULTS) {
    const text = await Deno.readTextFile(new URL(`../lib/${file}`, import.meta.url));
    if (text.split(from).length !== 2) cannot.push(name);
  }
  assertEquals(cannot, []);
});

Deno.test("find() refuses a fault that can no longer be planted", async () => {
  const fault = { name: "none", file: "hub/mux.ts", from: "this is nowhere", to: "" };
  let refused = "";
  try {
    await find(fault, 1);
  } catch (error) {
    refused = error instanceof Error ? error.message : "";
  }
  assertEquals(refused, "hub/mux.ts contains the text 0 times, not once: this is nowhere");
});

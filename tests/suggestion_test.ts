/**
 * Misspelled words, and the words that are suggested.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { EVENT_NAMES, misspelt } from "../lib/policy/event_filter.ts";
import { instead, nearest } from "../lib/policy/suggestion.ts";
import { TestClient } from "./support/client.ts";
import { makePlace } from "./support/place.ts";
import { startQemu, WITHOUT_QEMU } from "./support/qemu.ts";

const WORDS = ["status", "clients", "kick", "reload", "exec", "events", "on-loss", "qemu"];

for (
  const [word, meant] of [
    ["status", "status"],
    ["statsu", "status"],
    ["stats", "status"],
    ["sttus", "status"],
    ["stattuss", "status"],
    ["ststsu", "status"],
    ["EXEC", "exec"],
    ["on_loss", "on-loss"],
    ["kik", "kick"],
    ["ki", undefined],
    ["ekcs", undefined],
    ["", undefined],
    ["frobnicate", undefined],
    ["statusstatus", undefined],
    ["s".repeat(100_000), undefined],
  ] as const
) {
  Deno.test(`nearest() suggests ${meant} for ${word.slice(0, 20)}`, () => {
    assertEquals(nearest(word, WORDS), meant);
  });
}

Deno.test("nearest() suggests the first of equally near words", () => {
  assertEquals(nearest("abcd", ["abce", "abcf"]), "abce");
  assertEquals(nearest("abcd", ["abxx", "abcf"]), "abcf");
});

Deno.test("instead() suggests the intended word, or lists all", () => {
  assertEquals(instead("raod", ["load", "road"]), '; did you mean "road"?');
  assertEquals(instead("frobnicate", ["load", "road"]), ": expected load, road");
});

Deno.test("misspelt() suggests an event, and how to insist", () => {
  assertEquals(
    misspelt("BLOCK_JOB_COMPLETE"),
    'unknown event "BLOCK_JOB_COMPLETE"; did you mean "BLOCK_JOB_COMPLETED"? ' +
      'To use it anyway, write "BLOCK_JOB_COMPLETE*"',
  );
  for (const name of ["stop", "STPO", "block-job-ready"]) {
    assertEquals(misspelt(name)?.startsWith(`unknown event "${name}"; did you mean`), true, name);
  }
});

for (
  const name of ["STOP", "STPO*", "ST?P", "*", "SOMETHING_QUITE_NEW", "__org.qmpmux_QEMU_BACK"]
) {
  Deno.test(`misspelt() accepts ${name}`, () => {
    assertEquals(misspelt(name), undefined);
  });
}

Deno.test("EVENT_NAMES is sorted, and lists each event once", () => {
  assertEquals(EVENT_NAMES, [...new Set(EVENT_NAMES)].sort());
});

Deno.test({
  name: "EVENT_NAMES lists every event of this QEMU",
  ignore: WITHOUT_QEMU,
  fn: async () => {
    using place = makePlace();
    await using qemu = await startQemu(`${place.path}/vm`);
    using client = await TestClient.ready(qemu.path);
    const { return: schema } = JSON.parse(await client.ask({ execute: "query-qmp-schema" }));
    const events = schema.filter((each: Record<string, unknown>) => each["meta-type"] === "event")
      .map(({ name }: { name: string }) => name);
    assertEquals(events.filter((name: string) => !EVENT_NAMES.includes(name)), []);
  },
});

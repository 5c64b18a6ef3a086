/**
 * Globs over event names: the names that match, and the limits.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { EventFilter, GLOB_LENGTH_LIMIT, GLOBS_LIMIT } from "../lib/policy/event_filter.ts";

const CASES: [string[], string, boolean][] = [
  [[], "STOP", false],
  [[], "", false],
  [["STOP"], "STOP", true],
  [["STOP"], "STOPPED", false],
  [["STOP"], "NOSTOP", false],
  [["STOP"], "stop", false],
  [["*"], "STOP", true],
  [["*"], "", true],
  [["*"], "A\nB", true],
  [["BLOCK_*"], "BLOCK_JOB_READY", true],
  [["BLOCK_*"], "BLOCK", false],
  [["*_READY"], "BLOCK_JOB_READY", true],
  [["*JOB*"], "BLOCK_JOB_READY", true],
  [["***"], "STOP", true],
  [["?TOP"], "STOP", true],
  [["?TOP"], "TOP", false],
  [["?"], "", false],
  [["STOP", "RESUME"], "RESUME", true],
  [["STOP", "RESUME"], "STOPRESUME", false],
  [["A.C"], "ABC", false],
  [["A.C"], "A.C", true],
  [["(A|B)+[C]^${2}\\/"], "(A|B)+[C]^${2}\\/", true],
  [["A|B"], "A", false],
  [["[AB]"], "A", false],
  [[""], "", true],
  [[""], "STOP", false],
  [["*AB"], "AAB", true],
  [["*AB"], "ABA", false],
  [["A*B*C"], "AXBXBXC", true],
  [["A*B*C"], "AXBXBX", false],
  [["A*A"], "A", false],
  [["*?*?"], "A", false],
  [["*?*?"], "AB", true],
  [["?*"], "*", false],
  [["STOP*"], "STOP-PED", false],
  [["A*"], "A".repeat(64), true],
  [["A*"], "A".repeat(65), false],
  [["**"], "A".repeat(10_000), true],
  [[`*${"?".repeat(64)}*`], "A".repeat(64), true],
  [[`*${"?".repeat(65)}*`], "A".repeat(64), false],
  [["*-*", "STOP-PED"], "STOP-PED", true],
  [["*"], "stop", true],
  [["__com.*"], "__com.redhat_A", true],
  [["*X", "S*P"], "STOP", true],
];

for (const [globs, name, passes] of CASES) {
  const what = `${JSON.stringify(globs)} ${passes ? "lets" : "does not let"}`;
  Deno.test(`EventFilter.passes() with ${what} ${JSON.stringify(name)} pass`, () => {
    const filter = new EventFilter(globs);
    assertEquals(filter.passes(name), passes);
    assertEquals(filter.passes(name), passes, "the second time");
  });
}

Deno.test("EventFilter.passes() answers correctly after very many names", () => {
  const filter = new EventFilter(["EVENT_*7"]);
  for (let i = 0; i < 3000; i++) {
    assertEquals(filter.passes(`EVENT_${i}`), String(i).endsWith("7"));
  }
  assertEquals(filter.passes("EVENT_2997"), true);
  assertEquals(filter.passes("EVENT_2998"), false);
});

Deno.test("EventFilter.passes() terminates with globs that can match in very many ways", () => {
  const globs = Array.from({ length: GLOBS_LIMIT }, () => `${"*?".repeat(100)}*X`);
  const filter = new EventFilter(globs.map((glob) => glob.slice(-62)));
  assertEquals(filter.passes("A".repeat(64)), false);
  assertEquals(filter.passes(`${"A".repeat(63)}X`), true);
});

Deno.test("EventFilter keeps the globs it was made from when the list changes", () => {
  const globs = ["STOP"];
  const filter = new EventFilter(globs);
  globs.push("RESUME");
  assertEquals(filter.globs, ["STOP"]);
});

Deno.test("EventFilter accepts as many globs as its limit, and refuses one more", () => {
  const globs = Array.from({ length: GLOBS_LIMIT }, (_, i) => `EVENT_${i}`);
  assertEquals(new EventFilter(globs).passes(`EVENT_${GLOBS_LIMIT - 1}`), true);
  assertThrows(
    () => new EventFilter([...globs, "STOP"]),
    RangeError,
    `Too many event globs: ${GLOBS_LIMIT + 1} exceed the limit of ${GLOBS_LIMIT}`,
  );
});

Deno.test("EventFilter accepts a glob as long as its limit, and refuses a longer one", () => {
  const glob = "A".repeat(GLOB_LENGTH_LIMIT);
  assertEquals(new EventFilter([glob]).passes(glob), true);
  assertThrows(
    () => new EventFilter(["STOP", `${glob}A`]),
    RangeError,
    `Event glob too long: ${
      GLOB_LENGTH_LIMIT + 1
    } characters exceed the limit of ${GLOB_LENGTH_LIMIT}`,
  );
});

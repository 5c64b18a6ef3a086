/**
 * The keys of a value's objects: whether one is repeated.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { KeyTable } from "../lib/wire/keys.ts";
import { bytesOf } from "./support/cuts.ts";
import { MadeValues } from "./support/made_values.ts";
import { Random } from "./support/random.ts";

Deno.test("KeyTable.add() finds a repeated key, however it is written", () => {
  const bytes = bytesOf('"a""\\u0061""b""a""é""\\u00e9"');
  const tokens = [[0, 3], [3, 11], [11, 14], [14, 17], [17, 21], [21, 29]] as const;
  const table = new KeyTable();
  const added = tokens.map(([start, end]) => table.add(1, bytes, start, end));
  assertEquals(added, [true, false, true, false, true, false]);
  assertEquals(tokens.map(([start, end]) => table.add(2, bytes, start, end)), added);
  table.clear();
  assertEquals(tokens.map(([start, end]) => table.add(1, bytes, start, end)), added);
});

Deno.test("KeyTable.add() agrees with a set per object, for few keys and for many", () => {
  const random = new Random(9);
  const made = new MadeValues(random);
  const table = new KeyTable();
  for (let round = 0; round < 300; round++) {
    const tokens = Array.from(
      { length: random.below(random.pick([5, 70, 700])) },
      () => random.oneIn(2) ? made.string() : `"${random.below(200)}"`,
    );
    const bytes = bytesOf(tokens.join(""));
    const sets = new Map<number, Set<string>>();
    let start = 0;
    for (const token of tokens) {
      const object = 1 + random.below(3);
      const end = start + bytesOf(token).length;
      const set = sets.get(object) ?? new Set();
      sets.set(object, set);
      const text = JSON.parse(token) as string;
      assertEquals(table.add(object, bytes, start, end), !set.has(text), token);
      set.add(text);
      start = end;
    }
    table.clear();
  }
});

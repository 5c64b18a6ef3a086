/**
 * Texts looked up by the bytes of a string token.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { NameTable } from "../lib/wire/names.ts";
import { bytesOf } from "./support/cuts.ts";
import { MadeValues } from "./support/made_values.ts";
import { Random } from "./support/random.ts";

/** Returns the entry of a table for a token with other bytes around it. */
function found<T>(table: NameTable<T>, token: string): T | undefined {
  const bytes = bytesOf(`[${token}]`);
  return table.at(bytes, 1, bytes.length - 1);
}

Deno.test("NameTable.at() finds a text however its token is written, and nothing else", () => {
  const table = new NameTable([["id", 1], ["é\0", 2], ["", 3], ["😀", 4]]);
  assertEquals(
    ['"id"', '"\\u0069d"', '"é\\u0000"', '"\\u00E9\\u0000"', '""', '"\\ud83d\\ude00"', '"😀"']
      .map((token) => found(table, token)),
    [1, 1, 2, 2, 3, 4, 4],
  );
  for (const token of ['"Id"', '"i"', '"idd"', '"é"', '"\\u0000"', `"${"id".repeat(1000)}"`]) {
    assertEquals(found(table, token), undefined, token);
  }
});

Deno.test("NameTable.get() finds by the text itself, and an empty table finds nothing", () => {
  const table = new NameTable([["a", 1], ["a", 2]]);
  assertEquals([table.get("a"), table.get("b"), table.empty], [2, undefined, false]);
  const empty = new NameTable<number>([]);
  assert(empty.empty);
  assertEquals(found(empty, '""'), undefined);
});

Deno.test("NameTable.at() agrees with a map on any tokens", () => {
  const random = new Random(10);
  const made = new MadeValues(random);
  for (let round = 0; round < 300; round++) {
    const map = new Map(
      made.keys(random.below(60)).map((key, i) => [JSON.parse(key) as string, i]),
    );
    const table = new NameTable(map);
    for (const token of [...made.keys(60), ...[...map.keys()].map((key) => JSON.stringify(key))]) {
      assertEquals(found(table, token), map.get(JSON.parse(token)), token);
    }
  }
});

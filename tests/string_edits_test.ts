/**
 * Strings changed in place.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { Cursor } from "../lib/wire/cursor.ts";
import { frameOf } from "../lib/wire/frame.ts";
import { type StringEdit, withEdits } from "../lib/wire/spelling.ts";
import { Random } from "./support/random.ts";

/** Returns a frame with edits of its strings, by their number. */
function edited(
  text: string,
  edits: readonly [number, Omit<StringEdit, "start" | "end">][],
): string {
  const { bytes } = frameOf(text);
  const places = scalarsAt(new Cursor(bytes));
  const all = edits.map(([index, edit]) => ({ ...edit, ...places[index]! }));
  return new TextDecoder().decode(withEdits(bytes, all));
}

/** Returns the positions of the scalars after a cursor. */
function scalarsAt(cursor: Cursor): { start: number; end: number }[] {
  const { at: start, isScalar, isObject } = cursor;
  if (isScalar) {
    cursor.skip();
    return [{ start, end: cursor.at }];
  }
  const places: { start: number; end: number }[] = [];
  if (!cursor.enter()) return places;
  do {
    if (isObject) cursor.skipKey();
    places.push(...scalarsAt(cursor));
  } while (cursor.next());
  return places;
}

Deno.test("withEdits() inserts texts into strings, replaces others, and keeps the rest", () => {
  const text = '{"a":"bc","d":[1.50,"\\u0065","x"],"e":"f"}';
  assertEquals(edited(text, []), text);
  assertEquals(
    edited(text, [[0, { at: 1, text: "-" }], [2, { at: 1, text: "+" }], [4, { text: 'é"\n' }]]),
    '{"a":"b-c","d":[1.50,"\\u0065+","x"],"e":"é\\"\\n"}',
  );
  assertEquals(
    edited(text, [[0, { at: 0, text: "1" }], [0, { at: 0, text: "2" }], [0, { at: 2, text: "3" }]]),
    '{"a":"12bc3","d":[1.50,"\\u0065","x"],"e":"f"}',
  );
});

Deno.test("withEdits() counts a string's characters, however they are written", () => {
  const random = new Random(3);
  const parts: [written: string, text: string][] = [
    ["a", "a"],
    ["é", "é"],
    ["€", "€"],
    ["😀", "😀"],
    ["\\ud83d\\ude00", "😀"],
    ["\\u00e9", "é"],
    ['\\"', '"'],
    ["\\\\", "\\"],
    ["\\/", "/"],
    ["\\n", "\n"],
  ];
  for (let round = 0; round < 500; round++) {
    const picked = Array.from({ length: random.below(8) }, () => random.pick(parts));
    const said = picked.map(([, text]) => text).join("");
    const cuts = [0, 1, 2].map(() => picked.slice(0, random.below(picked.length + 1)))
      .map((some) => some.map(([, text]) => text).join("").length).sort((a, b) => a - b);
    const written = `["${picked.map(([each]) => each).join("")}"]`;
    const result = edited(written, cuts.map((at) => [0, { at, text: "~" }]));
    let expected = said;
    for (const at of cuts.toReversed()) expected = `${expected.slice(0, at)}~${expected.slice(at)}`;
    assertEquals(JSON.parse(result), [expected], written);
  }
});

/**
 * A returned array without some of its elements, byte for byte.
 *
 * @module
 */

import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { withElements } from "../lib/hub/listing.ts";
import { type Reply, UnexpectedMessage } from "../lib/wire/message.ts";
import { errorReply } from "../lib/wire/reply.ts";

function reply(text: string): Reply {
  return { kind: "return", bytes: new TextEncoder().encode(text), id: undefined };
}

function text({ bytes }: Reply): string {
  return new TextDecoder().decode(bytes);
}

/** Removes the elements 2 from a line. */
function without2(line: string): string {
  return text(withElements(reply(line), (element) => element !== 2));
}

const CASES: [string, string][] = [
  ["[1, 2, 3]", "[1, 3]"],
  ["[2, 1, 3]", "[1, 3]"],
  ["[1, 3, 2]", "[1, 3]"],
  ["[2, 2]", "[]"],
  ["[2]", "[]"],
  ['["2", "a], 2, [", "\\"", 2]', '["2", "a], 2, [", "\\""]'],
  ['[{"a": [2, {}]}, [[2], []], 2, null, -2.0e0]', '[{"a": [2, {}]}, [[2], []], null, -2.0e0]'],
];

for (const [whole, less] of CASES) {
  Deno.test(`withElements() makes ${less} of ${whole}`, () => {
    assertEquals(without2(`{"return": ${whole}}\r\n`), `{"return": ${less}}\r\n`);
  });
}

Deno.test("withElements() keeps the line ends of a pretty reply", () => {
  const pretty = (list: string): string => `{\r\n    "return": [\r\n${list}    ]\r\n}\r\n`;
  const item = (value: number, comma = ","): string => `        ${value}${comma}\r\n`;
  assertEquals(without2(pretty(item(1) + item(2) + item(3, ""))), pretty(item(1) + item(3, "")));
  assertEquals(without2(pretty(item(2, ""))), pretty(""));
});

for (const line of ["{}", '{"a": [2]}', '"[2]"', "2", "[nope]", "[1 2]", '[{"a"}]', "[inf]"]) {
  Deno.test(`withElements() reports ${line} as unexpected`, () => {
    const whole = reply(`{"return": ${line}}\r\n`);
    const { message } = assertThrows(() => withElements(whole, () => true), UnexpectedMessage);
    assertEquals(message, `it did not return an array of JSON values: {"return": ${line}}`);
  });
}

for (const line of ["[]", "[1, 3]"]) {
  Deno.test(`withElements() returns the reply ${line} unchanged`, () => {
    const whole = reply(`{"return": ${line}}\r\n`);
    assertStrictEquals(withElements(whole, (element) => element !== 2), whole);
  });
}

Deno.test("withElements() does not change an error", () => {
  const error = errorReply("GenericError", '{"return": [2]}');
  assertStrictEquals(withElements(error, () => false), error);
});

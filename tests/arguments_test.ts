/**
 * Arguments of the commands that qmpmux answers itself, with QEMU's checks and errors.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { ArgumentError, Arguments } from "../lib/session/arguments.ts";
import { asciiBytes } from "../lib/wire/text.ts";

function args(text?: string): Arguments {
  return new Arguments({
    name: "c",
    oob: false,
    id: undefined,
    bytes: new Uint8Array(),
    argumentBytes: text === undefined ? undefined : asciiBytes(text),
  });
}

Deno.test("Arguments.takeString() accepts a string and refuses other values", () => {
  assertEquals(args('{"a":"x"}').takeString("a"), "x");
  assertThrows(() => args().takeString("a"), ArgumentError, "Parameter 'a' is missing");
  const wrong = "Invalid parameter type for 'a', expected: string";
  for (const value of ["1", "null", "[]", "{}", "true"]) {
    assertThrows(() => args(`{"a":${value}}`).takeString("a"), ArgumentError, wrong);
  }
});

Deno.test("Arguments.takeStrings() names the element that is not a string", () => {
  assertEquals(args('{"a":["x","y"]}').takeStrings("a"), ["x", "y"]);
  assertThrows(
    () => args('{"a":["x",[]]}').takeStrings("a"),
    ArgumentError,
    "Invalid parameter type for 'a[1]', expected: string",
  );
  assertThrows(
    () => args('{"a":{}}').takeStrings("a"),
    ArgumentError,
    "Invalid parameter type for 'a', expected: array",
  );
});

Deno.test("Arguments.takeOptionalValues() accepts a missing argument, and checks elements one by one", () => {
  assertEquals(args("{}").takeOptionalValues("a", ["x"]), []);
  assertEquals(args('{"a":["x","x"]}').takeOptionalValues("a", ["x"]), ["x", "x"]);
  assertThrows(
    () => args('{"a":["z",1]}').takeOptionalValues("a", ["x"]),
    ArgumentError,
    "Parameter 'null' does not accept value 'z'",
  );
  assertThrows(
    () => args('{"a":[1,"z"]}').takeOptionalValues("a", ["x"]),
    ArgumentError,
    "Invalid parameter type for 'a[0]', expected: string",
  );
});

Deno.test("Arguments.end() refuses arguments that are left over", () => {
  const some = args('{"a":"x","__proto__":1}');
  some.takeString("a");
  assertThrows(() => some.end(), ArgumentError, "Parameter '__proto__' is unexpected");
  args().end();
  args("{}").end();
});

/**
 * The buffer in which lines are written: texts as JSON strings, and numbers.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { Output, outputOf } from "../lib/wire/output.ts";

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();

function textOf(out: Output): string {
  return DECODER.decode(out.bytes);
}

Deno.test("Output.quoted() writes what JSON.stringify() writes, without white space at the end", () => {
  const signs = Array.from({ length: 0x5f }, (_, at) => String.fromCharCode(0x20 + at)).join("");
  for (const sign of ['"', "\\", "\b", "\f", "\n", "\r", "\t", "a"]) {
    for (let length = 0; length < 10; length++) {
      const text = `${"x".repeat(length)}${sign}${signs}${sign}${"y".repeat(length)}z`;
      const out = outputOf("<");
      assertEquals(out.quoted(ENCODER.encode(`${text} \r\n`)), true);
      assertEquals(textOf(out), `<${JSON.stringify(text)}`);
    }
  }
  const empty = new Output(0);
  assertEquals(empty.quoted(ENCODER.encode("\r\n")), true);
  assertEquals(textOf(empty), '""');
});

Deno.test("Output.quoted() writes nothing if a byte is not ASCII or has no short escape", () => {
  for (const sign of ["\0", "\x1b", "\x7f", "\u00fc"]) {
    for (let length = 0; length < 10; length++) {
      const out = outputOf("<");
      assertEquals(out.quoted(ENCODER.encode(`${"x".repeat(length)}${sign}"xxxx`)), false);
      assertEquals(textOf(out), "<");
    }
  }
});

Deno.test("Output.quoted() writes the bytes before an end", () => {
  const out = new Output(1);
  assertEquals(out.quoted(ENCODER.encode("abc \u00fc"), 4), true);
  assertEquals(textOf(out), '"abc"');
});

Deno.test("Output.integer() and millionths() write numbers as JavaScript does", () => {
  for (const value of [0, 1, 9, 10, 99, 100, 12345, 999_999, 1_000_000, 4_294_967_296, 1e15 - 1]) {
    const out = new Output(1);
    out.integer(value);
    assertEquals(textOf(out), `${value}`);
    const fraction = new Output(1);
    fraction.millionths(value);
    assertEquals(Number(textOf(fraction)), value / 1e6);
    assertEquals(/\.\d*0$|\.$/.test(textOf(fraction)), false, textOf(fraction));
  }
});

Deno.test("Output.append() copies a part of another buffer, and grows", () => {
  const [out, other] = [new Output(1), outputOf("0123456789".repeat(20))];
  out.append(other, 195);
  out.append(other, 0, 100);
  assertEquals(textOf(out), "56789" + "0123456789".repeat(10));
  assertEquals([out.startsWith("567"), out.startsWith("567890"), out.startsWith("568")], [
    true,
    true,
    false,
  ]);
  assertEquals([out.endsWith("789"), out.endsWith("788")], [true, false]);
  out.truncate(2);
  assertEquals([textOf(out), out.startsWith("567")], ["56", false]);
});

/**
 * Numbers as QEMU prints them. Every rule was seen in the output of a QEMU.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { double, number } from "../lib/wire/number.ts";
import { plainDouble, plainNumber } from "./support/plain_spelling.ts";
import { Random } from "./support/random.ts";

const NUMBERS: Record<string, string> = {
  "0": "0",
  "-0": "0",
  "007": "7",
  "9223372036854775807": "9223372036854775807",
  "-9223372036854775808": "-9223372036854775808",
  "-9223372036854775809": "-9.2233720368547758e+18",
  "9223372036854775808": "9223372036854775808",
  "18446744073709551615": "18446744073709551615",
  "18446744073709551616": "1.8446744073709552e+19",
  "1.0": "1",
  "-0.0": "-0",
  "0.1": "0.10000000000000001",
  "1e3": "1000",
  "1E+2": "100",
  "1e400": "inf",
  "-1e400": "-inf",
  "1e-400": "0",
};

for (const [literal, text] of Object.entries(NUMBERS)) {
  Deno.test(`number() prints ${literal} as ${text}`, () => assertEquals(number(literal), text));
}

const DOUBLES: [number, string][] = [
  [1.5, "1.5"],
  [1e16, "10000000000000000"],
  [99999999999999984, "99999999999999984"],
  [1e17, "1e+17"],
  [1.25e17, "1.25e+17"],
  [1e22, "1e+22"],
  [1e100, "1e+100"],
  [1e-4, "0.0001"],
  [0.00012345, "0.00012344999999999999"],
  [1e-5, "1.0000000000000001e-05"],
  [1 / 3, "0.33333333333333331"],
  [5e-324, "4.9406564584124654e-324"],
  [2.2250738585072014e-308, "2.2250738585072014e-308"],
  [1.7976931348623157e308, "1.7976931348623157e+308"],
  [-123.456, "-123.456"],
  [2 ** 64, "1.8446744073709552e+19"],
  // Exact halves round to even.
  [562949953421312.125, "562949953421312.12"],
  [562949953421312.375, "562949953421312.38"],
  // Rounding up adds a digit.
  [9007199254740993.5 * 1.1102230246251565, "10000000000000002"],
  [0, "0"],
  [-0, "-0"],
  [Infinity, "inf"],
  [-Infinity, "-inf"],
];

for (const [value, text] of DOUBLES) {
  Deno.test(`double() prints ${Object.is(value, -0) ? "-0" : value} as ${text}`, () => {
    assertEquals(double(value), text);
  });
}

Deno.test("double() is read back as the same double, for any bits", () => {
  const random = new Random(17);
  const view = new DataView(new ArrayBuffer(8));
  for (let i = 0; i < 2000; i++) {
    for (let at = 0; at < 8; at += 2) view.setUint16(at, random.below(0x10000));
    const value = view.getFloat64(0);
    if (!Number.isFinite(value)) continue;
    assertEquals(Number(double(value)), value);
    assert(double(value).replace(/e.*|[-.]/g, "").replace(/^0+/, "").length <= 17);
  }
});

/** Returns a double of random bits. */
function doubleOf(random: Random): number {
  const view = new DataView(new ArrayBuffer(8));
  for (let at = 0; at < 8; at += 2) view.setUint16(at, random.below(0x10000));
  return view.getFloat64(0);
}

Deno.test("double() agrees with rounding all digits, for any bits", () => {
  const random = new Random(18);
  for (let i = 0; i < 20_000; i++) {
    const value = doubleOf(random);
    if (!Number.isNaN(value)) assertEquals(double(value), plainDouble(value), String(value));
  }
});

Deno.test("double() rounds a half to even, wherever one can be", () => {
  const random = new Random(19);
  const whole = (bits: number): number => random.below(2 ** bits);
  for (let i = 0; i < 20_000; i++) {
    // Few binary places; or a power of five, followed by many zeros.
    const values = [
      whole(21 + random.below(32)) / 2 ** random.below(40),
      whole(53) * 2 ** random.below(140),
      5 ** random.below(23) * (2 * whole(10) + 1) * 2 ** random.below(60),
      whole(20) * 10 ** random.below(45),
    ];
    for (const value of values) assertEquals(double(value), plainDouble(value), String(value));
  }
});

Deno.test("number() decides by the value of a literal, not by its length", () => {
  const random = new Random(20);
  const digits = (count: number): string =>
    Array.from({ length: count }, () => random.below(10)).join("");
  for (let i = 0; i < 20_000; i++) {
    const sign = random.oneIn(2) ? "-" : "";
    const integer = sign + digits(1 + random.below(24));
    assertEquals(number(integer), plainNumber(integer), integer);
    const fraction = `${integer}.${digits(1 + random.below(20))}`;
    assertEquals(number(fraction), plainNumber(fraction), fraction);
    const power = `${fraction}e${random.below(640) - 320}`;
    assertEquals(number(power), plainNumber(power), power);
  }
});

Deno.test("number() prints a literal of a hundred thousand digits as a double", () => {
  assertEquals(number("7".repeat(100_000)), "inf");
  assertEquals(number(`-${"7".repeat(100_000)}`), "-inf");
  assertEquals(number(`0.${"7".repeat(100_000)}`), "0.77777777777777779");
  assertEquals(number(`${"0".repeat(100_000)}7`), "7");
});

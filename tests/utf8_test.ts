/**
 * The decoder of UTF-8, and the place of the first invalid byte.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { decodeUtf8 } from "../lib/wire/utf8.ts";

for (
  const [what, bytes, offset] of [
    ["a byte that UTF-8 never has", [0x61, 0xff, 0x62], 1],
    ["a continuation without a start", [0x80], 0],
    ["a sequence that breaks off", [0x61, 0xe2, 0x82, 0x62], 1],
    ["a sequence that the end cuts", [0x61, 0xc3, 0xa9, 0xc3], 3],
    ["an overlong sequence", [0xc0, 0x80], 0],
    ["a surrogate", [0x61, 0xed, 0xa0, 0x80], 1],
    ["an invalid byte after a character of four bytes", [0xf0, 0x9f, 0x98, 0x80, 0xfe], 4],
    ["an invalid byte after U+FFFD", [0xef, 0xbf, 0xbd, 0xef, 0xbf, 0xbd, 0x62, 0xff], 7],
    ["an invalid byte after a byte order mark", [0xef, 0xbb, 0xbf, 0x62, 0xff], 4],
  ] as const
) {
  Deno.test(`decodeUtf8() names ${what}, and its offset`, () => {
    const byte = `0x${bytes[offset]!.toString(16)}`;
    assertEquals(decodeUtf8(Uint8Array.from(bytes)), {
      offset,
      wrong: `invalid UTF-8: byte ${byte} at offset ${offset}`,
    });
  });
}

Deno.test("decodeUtf8() returns a text without a byte order mark", () => {
  const text = "\u{1f600} \ufffd\0\u00e9";
  assertEquals(decodeUtf8(new TextEncoder().encode(`\ufeff${text}`)), text);
});

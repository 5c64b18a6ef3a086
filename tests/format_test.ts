/**
 * QEMU's own spelling: every rule here was seen in what a QEMU printed.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import {
  bucketOf,
  canonical,
  double,
  firstUnexpected,
  inQemuOrder,
  number,
  prettied,
  qemuText,
  quoted,
} from "../lib/wire/format.ts";
import { FrameSplitter } from "../lib/wire/frame.ts";
import { bytesOf, fed } from "./support/cuts.ts";
import { Random } from "./support/random.ts";

Deno.test("quoted() has short escapes where QEMU has them, and leaves the slash alone", () => {
  assertEquals(quoted("\"\\\b\f\n\r\t/'"), `"\\"\\\\\\b\\f\\n\\r\\t/'"`);
});

Deno.test("quoted() writes all but printable ASCII in upper-case hexadecimal", () => {
  assertEquals(
    quoted("\0\x1f\x7f\x80é€😀\uffff"),
    [
      '"\\u0000\\u001F\\u007F\\u0080\\u00E9',
      '\\u20AC\\uD83D\\uDE00\\uFFFF"',
    ].join(""),
  );
});

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
  // Exact halves: to even.
  [562949953421312.125, "562949953421312.12"],
  [562949953421312.375, "562949953421312.38"],
  // Rounds up to one digit more.
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

Deno.test("double() is read back as the same double, whatever its bits", () => {
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

Deno.test("bucketOf() puts QEMU's own members in the order QEMU prints them", () => {
  const printed = [
    ["return", "id"],
    ["id", "error"],
    ["class", "desc"],
    ["timestamp", "event"],
    ["seconds", "microseconds"],
    ["version", "capabilities"],
  ] as const;
  for (const [before, after] of printed) assert(bucketOf(before) < bucketOf(after), before);
});

Deno.test("bucketOf() stays within QEMU's 512 buckets for any key", () => {
  for (const key of ["", "a", "x".repeat(1000), "é€😀", "\0", "\uffff"]) {
    const bucket = bucketOf(key);
    assert(Number.isInteger(bucket) && bucket >= 0 && bucket < 512, key);
  }
});

Deno.test("inQemuOrder() puts the last of one bucket first", () => {
  const keys = (text: string): string[] =>
    inQemuOrder(text.split(" ").map((key) => ({ key }))).map(({ key }) => key);
  assertEquals([bucketOf("rr"), bucketOf("rb")], [bucketOf("a"), bucketOf("a")]);
  assertEquals(keys("a rb rr"), ["rr", "rb", "a"]);
  assertEquals(keys("rr rb a"), ["a", "rb", "rr"]);
});

/** The key QEMU 7.2 named for `qmp_capabilities` with these. */
const UNEXPECTED: Record<string, string> = {
  "b a": "b",
  "a b": "b",
  "a b c d e f g": "e",
  "enable foo bar": "bar",
  "foo enable bar baz qux": "baz",
  "1 2 3": "1",
  "one two three four five six seven eight": "one",
  "one two three four five six seven eight enable nine ten eleven twelve thirteen fourteen fifteen":
    "twelve",
  "é € 😀": "é",
  "z y x w v u t s r q p o n m l k j i h g f e d c b a A B C D E F G": "x",
};

for (const [keys, named] of Object.entries(UNEXPECTED)) {
  Deno.test(`firstUnexpected() names ${named} among ${keys.slice(0, 60)}`, () => {
    const members = keys.split(" ").map((key) => ({ key }));
    const left = new Set(keys.split(" "));
    left.delete("enable");
    assertEquals(firstUnexpected(members, left), named);
  });
}

Deno.test("firstUnexpected() names none where nothing is left", () => {
  assertEquals(firstUnexpected([], new Set()), undefined);
  assertEquals(firstUnexpected([{ key: "enable" }], new Set()), undefined);
});

Deno.test("firstUnexpected() can name one of very many keys", () => {
  const members = Array.from({ length: 40_000 }, (_, i) => ({ key: `k${i}` }));
  assertEquals(firstUnexpected(members, new Set(["k39999"])), "k39999");
});

/** A value as QEMU prints it back when it comes as an id. */
function spelled(text: string): string {
  const [frame] = fed(new FrameSplitter(), [bytesOf(`[${text}]`)]);
  assert(frame !== undefined && "bytes" in frame);
  return canonical(frame.bytes, 1, frame.bytes.length - 1);
}

const VALUES: Record<string, string> = {
  "1": "1",
  "999999999999999": "999999999999999",
  "-7": "-7",
  "123456789012345678901": "1.2345678901234568e+20",
  "1.50": "1.5",
  "true": "true",
  "null": "null",
  '"a"': '"a"',
  "'é'": '"\\u00E9"',
  '"\\u0041\\/"': '"A/"',
  "[]": "[]",
  "{}": "{}",
  "[1,[ ],{ }]": "[1, [], {}]",
  "[[1],-0.5,false,'x']": '[[1], -0.5, false, "x"]',
  '{"b":1,"a":2}': '{"a": 2, "b": 1}',
  '{"a":1,"rb":2,"rr":3}': '{"rr": 3, "rb": 2, "a": 1}',
  '{"a":{"b":[1e400,{"c":null}]}}': '{"a": {"b": [inf, {"c": null}]}}',
  '{"]}":"{\\"["}': '{"]}": "{\\"["}',
};

for (const [text, printed] of Object.entries(VALUES)) {
  Deno.test(`canonical() spells ${text} as ${printed}`, () => {
    assertEquals(spelled(text), printed);
  });
}

Deno.test("canonical() spells a value as deep as values may be", () => {
  const text = "[".repeat(1023) + "]".repeat(1023);
  assertEquals(spelled(text), text);
});

Deno.test("canonical() throws where a frame is none", () => {
  const bytes = bytesOf('"\\x"');
  let thrown = "";
  try {
    canonical(bytes, 0, bytes.length);
  } catch (error) {
    thrown = String(error);
  }
  assertEquals(thrown, "Error: A frame holds a damaged string: invalid escape sequence in string");
});

Deno.test("qemuText() writes a plain value as QEMU would", () => {
  assertEquals(qemuText({ b: [1.5, "é"], a: null }), '{"a": null, "b": [1.5, "\\u00E9"]}');
});

Deno.test("prettied() gives every member and element a line, as pretty=on does", () => {
  assertEquals(
    prettied('{"a": [1, {"b": "x, {\\"]"}], "c": true}').split("\r\n"),
    [
      "{",
      '    "a": [',
      "        1,",
      "        {",
      '            "b": "x, {\\"]"',
      "        }",
      "    ],",
      '    "c": true',
      "}",
    ],
  );
});

Deno.test("prettied() breaks the line in what is empty, too", () => {
  assertEquals(prettied('{"return": {}}'), '{\r\n    "return": {\r\n    }\r\n}');
  assertEquals(prettied("[]", 1), "[\r\n    ]");
});

Deno.test("prettied() loses no sign of a text without spaces, and comes to its end", () => {
  assertEquals(
    prettied('{"return":{"a":"]","b":[1,2]}}').split("\r\n"),
    [
      "{",
      '    "return":{',
      '        "a":"]",',
      '        "b":[',
      "            1,",
      "            2",
      "        ]",
      "    }",
      "}",
    ],
  );
});

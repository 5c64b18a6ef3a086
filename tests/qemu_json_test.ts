/**
 * QEMU's own form of JSON. Every rule was seen in the output of a QEMU.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { canonical, prettied, qemuText, quoted } from "../lib/wire/qemu_json.ts";
import { FrameSplitter } from "../lib/wire/frame.ts";
import { bytesOf, fed } from "./support/cuts.ts";
import { MadeValues } from "./support/made_values.ts";
import { plainPretty, plainQuoted, plainValue } from "./support/plain_spelling.ts";
import { Random } from "./support/random.ts";

Deno.test("quoted() writes QEMU's short escapes, and does not change the slash", () => {
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

/** Returns a value as QEMU prints it back if it is an id. */
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
  Deno.test(`canonical() writes ${text} as ${printed}`, () => {
    assertEquals(spelled(text), printed);
  });
}

Deno.test("canonical() writes a value of the maximum depth", () => {
  const text = "[".repeat(1023) + "]".repeat(1023);
  assertEquals(spelled(text), text);
});

Deno.test("canonical() throws on invalid frames", () => {
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

Deno.test("prettied() puts every member and element on a line, as pretty=on does", () => {
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

Deno.test("prettied() breaks the line inside empty values, too", () => {
  assertEquals(prettied('{"return": {}}'), '{\r\n    "return": {\r\n    }\r\n}');
  assertEquals(prettied("[]", 1), "[\r\n    ]");
});

Deno.test("prettied() loses no character of a text without spaces, and terminates", () => {
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

Deno.test("quoted() agrees with quoting any text character by character", () => {
  const random = new Random(2);
  for (let i = 0; i < 5000; i++) {
    const units = Array.from(
      { length: random.below(random.pick([3, 30])) },
      () => random.below(random.pick([0x80, 0x100, 0x10000])),
    );
    const text = String.fromCharCode(...units);
    assertEquals(quoted(text), plainQuoted(text));
  }
});

Deno.test("canonical() and prettied() agree with writing any value part by part", () => {
  const random = new Random(1);
  const made = new MadeValues(random);
  for (let i = 0; i < 10_000; i++) {
    const text = made.value();
    const [frame] = fed(new FrameSplitter(), [bytesOf(`[${text}]`)]);
    assert(frame !== undefined && "bytes" in frame, text);
    const { bytes } = frame;
    const spelled = canonical(bytes, 1, bytes.length - 1);
    assertEquals(spelled, plainValue(bytes, 1, bytes.length - 1), text);
    const depth = random.below(3);
    assertEquals(prettied(spelled, depth), plainPretty(spelled, depth), text);
  }
});

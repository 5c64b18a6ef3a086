/**
 * Frames and syntax errors: the values that QEMU accepts, under both grammars.
 *
 * After every syntax error a command follows and must be found.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { type Damage, type Frame, FrameSplitter, NESTING_LIMIT } from "../lib/wire/frame.ts";
import { CLASSIC, type Grammar, POSITIONED } from "../lib/wire/grammar.ts";
import { bytesOf, fed, fedAtCuts, latin, latinText, membersOf, pairsOf } from "./support/cuts.ts";
import { printedBy } from "./support/program.ts";
import { Random } from "./support/random.ts";

const AFTER = '{"execute":"query-name","id":"after"}';

/** Returns the results of a splitter as text: a frame's bytes, or `!` and the error. */
function texts(things: readonly (Frame | Damage)[]): string[] {
  return things.map((thing) =>
    "damage" in thing ? `!${thing.damage}` : new TextDecoder().decode(thing.bytes)
  );
}

/** Returns the results for an input at every cut; a command right after it must be found. */
function split(input: string | Uint8Array, grammar?: Grammar, after = AFTER): string[] {
  const bytes = Uint8Array.of(...bytesOf(input), ...bytesOf(after));
  const found = texts(fedAtCuts(() => new FrameSplitter(grammar), bytes));
  assertEquals(found.pop(), AFTER);
  return found;
}

function frames(input: string | Uint8Array): string[] {
  const found = split(input, CLASSIC);
  assertEquals(split(input, POSITIONED), found);
  return found;
}

function only(input: string): Frame {
  const [frame, ...others] = fed(new FrameSplitter(), [bytesOf(input)]);
  assert(frame !== undefined && "bytes" in frame && others.length === 0);
  return frame;
}

Deno.test("FrameSplitter.next() returns values with or without separators", () => {
  assertEquals(frames('{}{} {}\n[1]"a"'), ["{}", "{}", "{}", "[1]", '"a"']);
});

Deno.test("FrameSplitter.next() removes white space between tokens and keeps it in strings", () => {
  assertEquals(frames(' { "a b" :\r\n[ 1 ,\t2 , { } , [ ] ] , "c" : " \u00a0 " } '), [
    '{"a b":[1,2,{},[]],"c":" \u00a0 "}',
  ]);
});

Deno.test("FrameSplitter.next() writes strings in double quotes", () => {
  assertEquals(frames(`{'a':'b"c','it\\'s':"d'e"}`), [`{"a":"b\\"c","it's":"d'e"}`]);
});

Deno.test("FrameSplitter.next() does not change numbers and escapes", () => {
  const text = '{"a":[18446744073709551616,1E+2,-0.0,1e400],"\\u0062":"\\u00e9\\/é😀"}';
  assertEquals(frames(text), [text]);
});

Deno.test("FrameSplitter.next() writes the NUL of modified UTF-8 as an escape", () => {
  assertEquals(frames(latin('{"\xc0\x80":"a\xc0\x80b"}')), ['{"\\u0000":"a\\u0000b"}']);
});

Deno.test("FrameSplitter.next() ends a top-level number or word at the byte after it", () => {
  assertEquals(frames("1 true\nnull -1.5 "), ["1", "true", "null", "-1.5"]);
});

Deno.test("FrameSplitter.next() copies each frame's bytes", () => {
  const [first, second] = fed(new FrameSplitter(), [bytesOf('{"a":1}{"b":2}')]);
  assert(first && "bytes" in first && second && "bytes" in second);
  second.bytes.fill(0);
  assertEquals(latinText(first.bytes), '{"a":1}');
});

Deno.test("FrameSplitter.next() distinguishes an object from a value without members", () => {
  assertEquals(only("{}").isObject, true);
  for (const text of ["[]", '["{"]', '"{}"']) assertEquals(only(text).isObject, false);
  assertEquals(only('[{"a":1}]').offsets, []);
});

Deno.test("Frame.offsets has the place of each key and value of the object", () => {
  const frame = only(`{ 'a"' : 1 , "b" : {"c": [ 2 ]}, "\\u0064" : "e" }`);
  const { bytes } = frame;
  assertEquals(latinText(bytes), '{"a\\"":1,"b":{"c":[2]},"\\u0064":"e"}');
  assertEquals(
    membersOf(frame).map(({ key, keyStart, start, end }) => [
      key,
      latinText(bytes.subarray(keyStart, start)),
      latinText(bytes.subarray(start, end)),
    ]),
    [['a"', '"a\\"":', "1"], ["b", '"b":', '{"c":[2]}'], ["d", '"\\u0064":', '"e"']],
  );
});

Deno.test("Frame.offsets accepts any key, including JavaScript's special ones", () => {
  const keys = ["__proto__", "constructor", "", "1", "0"];
  const frame = only(`{${keys.map((key) => `"${key}":0`).join()}}`);
  assertEquals(membersOf(frame).map(({ key }) => key), keys);
});

Deno.test("FrameSplitter.next() returns a large value whole, and small ones after it", () => {
  const large = `{"a":"${"x'\u20ac".repeat(50_000)}"}`;
  const bytes = bytesOf(large + AFTER);
  for (const size of [bytes.length, 65_536, 4096]) {
    const chunks: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
    const found = texts(fed(new FrameSplitter(), chunks));
    assert(found[0] === large);
    assertEquals(found.slice(1), [AFTER]);
  }
});

Deno.test("FrameSplitter.next() returns the same at every cut in two", () => {
  const bytes = latin(`{'a':[1, -2.5e3,true]}\r\n{"\\u0041":"\xc3\xa9"}[}] HELLO\n1 \xff{"a" 1}x `);
  for (const grammar of [CLASSIC, POSITIONED]) {
    const whole = fed(new FrameSplitter(grammar), [bytes]);
    for (const pair of pairsOf(bytes)) assertEquals(fed(new FrameSplitter(grammar), pair), whole);
  }
});

/** Syntax errors: the input, and the errors of either grammar. */
const DAMAGES: Record<string, [string, string[], string[]]> = {
  "a brace too many": ["}", ["expecting value"], ["1:1: expecting value"]],
  "a bracket too many": ["]", ["expecting value"], ["1:1: expecting value"]],
  "a colon": [":", ["expecting value"], ["1:1: expecting value"]],
  "two commas": [",,", ["expecting value", "expecting value"], [
    "1:1: expecting value",
    "1:2: expecting value",
  ]],
  "a bracket for a brace": ["{]", ["expecting value"], ["1:2: expecting key"]],
  "a brace for a bracket": ["[}", ["expecting value"], ["1:2: expecting value"]],
  "no colon": ['{"a" 1}', ["missing : in object pair"], ["1:6: expecting ':'"]],
  "no value": ['{"a":}', ["expecting value"], ["1:6: expecting value"]],
  "no comma in an object": ['{"a":"b" "c":1}', ["expected separator in dict"], [
    "1:10: expected ',' or '}'",
  ]],
  "no comma in an array": ['["a" "b"]', ["expected separator in list"], [
    "1:6: expected ',' or ']'",
  ]],
  "a comma at an object's end": ['{"a":"b",}', ["expecting value"], ["1:10: expecting key"]],
  "a comma at an array's end": ['["a",]', ["expecting value"], ["1:6: expecting value"]],
  "a comma at an object's start": ["{,}", ["expecting value"], ["1:2: expecting key"]],
  "a comma at an array's start": ["[,]", ["expecting value"], ["1:2: expecting value"]],
  "a number for a key": ["{1:2}", ["key is not a string in object"], ["1:2: expecting key"]],
  "a word for a key": ["{true:2}", ["key is not a string in object"], ["1:2: expecting key"]],
  "an object for a key": ["{{}:2}", ["key is not a string in object"], ["1:2: expecting key"]],
  "an array for a later key": ['{"a":1,["b"]:2}', ["key is not a string in object"], [
    "1:8: expecting key",
  ]],
  "damage in an object for a key": ['{{"a" 1}:2}', ["missing : in object pair"], [
    "1:2: expecting key",
  ]],
  "a wrong word for a key": ["{x:2}", ["invalid keyword 'x'"], ["1:2: expecting key"]],
  "a wrong string for a key": ['{"\\x":2}', ["invalid escape sequence in string"], [
    "1:2: invalid escape sequence in string",
  ]],
  "a key twice": ['{"a":1,"a":"2"}', ["duplicate key"], ["1:12: duplicate key"]],
  "a key twice in two spellings": [`{"a":"1",'\\u0061':"2"}`, ["duplicate key"], [
    "1:19: duplicate key",
  ]],
  "a word that is none": ["[nul]", ["invalid keyword 'nul'"], ["1:2: invalid keyword 'nul'"]],
  "a wrong escape": ['["\\x"]', ["invalid escape sequence in string"], [
    "1:2: invalid escape sequence in string",
  ]],
  "wrong UTF-8": ['["\x80"]', ["invalid UTF-8 sequence in string"], [
    "1:2: invalid UTF-8 sequence in string",
  ]],
  "half a surrogate pair": ['"\\ud800"', ["\\ud800 is not a valid Unicode character"], [
    "1:1: \\ud800 is not a valid Unicode character",
  ]],
  "the first damage of several": ['{"a" 1, 2 3, "\\x"}', ["missing : in object pair"], [
    "1:6: expecting ':'",
  ]],
  "a stray byte": ["\xff", ["stray '\ufffd'"], ["1:1: stray '\ufffd'"]],
  "a stray NUL": ["\0", ["stray ''"], ["1:1: stray ''"]],
  "a line that is no JSON": ["HELLO\n", ["stray 'H'"], ["1:1: stray 'H'"]],
  "a string that ends with its line": ['"abc\n', ["stray '\"abc\n'"], ["1:1: stray '\"abc\n'"]],
  "a stray byte in a value": ['{"a":[1,\xff', ["stray '\ufffd'"], ["1:9: stray '\ufffd'"]],
};

for (const [name, [said, classic, positioned]] of Object.entries(DAMAGES)) {
  const told = (texts: string[]): string[] =>
    texts.map((text) => `!${text.replace(/^(\d+:\d+: )?/, "$1JSON parse error, ")}`);

  Deno.test(`FrameSplitter.next() reports QEMU 7.2's error for ${name}, and recovers`, () => {
    assertEquals(split(latin(said), CLASSIC), told(classic));
  });

  Deno.test(`FrameSplitter.next() reports QEMU 11.1's error for ${name}, and recovers`, () => {
    assertEquals(split(latin(said), POSITIONED), told(positioned));
  });
}

Deno.test("FrameSplitter.next() of QEMU 7.2 delays a syntax error until brackets balance", () => {
  const splitter = new FrameSplitter(CLASSIC);
  assertEquals(fed(splitter, [bytesOf('{"a" 1, [[')]), []);
  assertEquals(texts(fed(splitter, [bytesOf("]]}")])), [
    "!JSON parse error, missing : in object pair",
  ]);
  assertEquals(texts(fed(splitter, [bytesOf(AFTER)])), [AFTER]);
});

Deno.test("FrameSplitter.next() of QEMU 11.1 reports at once, then skips until brackets balance", () => {
  const splitter = new FrameSplitter(POSITIONED);
  assertEquals(texts(fed(splitter, [bytesOf('{"a" true ')])), [
    "!1:6: JSON parse error, expecting ':'",
  ]);
  assertEquals(fed(splitter, [bytesOf('x {"b" 1} [[')]), []);
  assertEquals(texts(fed(splitter, [bytesOf(`]]} ${AFTER}`)])), [AFTER]);
});

Deno.test("FrameSplitter.next() of QEMU 11.1 stops skipping silently at a stray byte", () => {
  const splitter = new FrameSplitter(POSITIONED);
  assertEquals(fed(splitter, [bytesOf('{"a" true ')]).length, 1);
  assertEquals(texts(fed(splitter, [latin(`\xff\n${AFTER}`)])), [AFTER]);
});

Deno.test("FrameSplitter.next() counts lines and columns over the whole stream", () => {
  assertEquals(split('{"a":1}\n\r\n {"b" 1}', POSITIONED), [
    '{"a":1}',
    "!3:7: JSON parse error, expecting ':'",
  ]);
});

Deno.test("FrameSplitter.next() cuts a long invalid word as QEMU's buffer does", () => {
  const word = "x".repeat(2000);
  assertEquals(split(`${word} `, CLASSIC), [
    `!JSON parse error, invalid keyword '${word}`.slice(0, 1 + 18 + 1023),
  ]);
});

Deno.test("FrameSplitter.next() of QEMU 7.2 shows all stray bytes", () => {
  const text = "y".repeat(2000);
  assertEquals(split(`"${text}\n`, CLASSIC), [`!JSON parse error, stray '"${text}\n'`]);
});

Deno.test("FrameSplitter.next() of QEMU 11.1 shows stray bytes up to its buffer's size", () => {
  const room = 1023 - "stray '".length;
  const told = (text: string): string => `!1:1: JSON parse error, stray '${text}`;
  const long = `"${"y".repeat(2000)}`;
  assertEquals(split(`${long}\n`, POSITIONED), [told(long.slice(0, room))]);
  const exact = `"${"y".repeat(room - 2)}`;
  assertEquals(split(`${exact}\n`, POSITIONED), [told(`${exact}\n`)]);
  const short = `"${"y".repeat(room - 3)}`;
  assertEquals(split(`${short}\n`, POSITIONED), [told(`${short}\n'`)]);
  assertEquals(split(latin(`${short}yyyyy\0`), POSITIONED), [told(`${short}yyyyy`.slice(0, room))]);
});

Deno.test("FrameSplitter.next() returns a value nested 1024 deep, of arrays, objects and both", () => {
  assertEquals(NESTING_LIMIT, 1024);
  for (
    const text of [
      "[".repeat(1024) + "]".repeat(1024),
      '{"a":'.repeat(1023) + "{}" + "}".repeat(1023),
      '[{"a":'.repeat(512) + "1" + "}]".repeat(512),
    ]
  ) assertEquals(frames(text), [text]);
});

Deno.test("FrameSplitter.next() of QEMU 7.2 fails at depth 1025 and continues from there", () => {
  const [first, ...others] = split("[".repeat(1025) + "]".repeat(1025), CLASSIC);
  assertEquals(first, "!JSON nesting depth limit exceeded");
  assertEquals(others.length, 1025);
  assertEquals(new Set(others), new Set(["!JSON parse error, expecting value"]));
});

Deno.test("FrameSplitter.next() of QEMU 11.1 fails at depth 1025 and skips the value", () => {
  for (const depth of [1025, 1026, 3000]) {
    assertEquals(split("[".repeat(depth) + "]".repeat(depth), POSITIONED), [
      "!JSON nesting depth limit exceeded",
    ]);
  }
});

const COUNTED = "!JSON token count limit exceeded";
const SIZED = "!JSON token size limit exceeded";
const VALUE = "!JSON parse error, expecting value";

/** Inputs, QEMU 7.2's replies, and QEMU 11.1's if they differ. */
const LIMITS: Record<string, [string[], string[]?]> = {
  "2 Mi tokens": [["2097152 bytes", AFTER]],
  "2 Mi tokens and the last": [[COUNTED, AFTER]],
  "2 Mi tokens and more": [[COUNTED, VALUE, AFTER], [COUNTED, AFTER]],
  "a string of 64 MiB less a byte": [["67108863 bytes", AFTER]],
  "a string of 64 MiB": [[SIZED, AFTER]],
  // The rest of the token is read as fresh input.
  "a longer string in an array": [[
    SIZED,
    "!JSON parse error, invalid keyword 'aaaaa'",
    "!JSON parse error, stray '\"]\n'",
    AFTER,
  ], [SIZED, AFTER]],
  // QEMU 11.1 treats that rest as part of the token, up to the next space.
  "a longer string": [[
    SIZED,
    "!JSON parse error, invalid keyword 'aaaaa'",
    "!JSON parse error, stray '\"\n'",
    AFTER,
  ], [
    SIZED,
    "!2:2: JSON parse error, invalid keyword 'aaaaa'",
    "!2:67108873: JSON parse error, stray '\"\n'",
    AFTER,
  ]],
  "a longer string and a space": [[SIZED, VALUE, AFTER], [
    SIZED,
    "!1:67108867: JSON parse error, expecting value",
    AFTER,
  ]],
  // The string that exceeds the limit is followed by a comma, a string and a bracket.
  "65 strings of a mebibyte": [[SIZED, VALUE, "1048578 bytes", VALUE, AFTER], [SIZED, AFTER]],
};

Deno.test("FrameSplitter.next() fails at QEMU's limits on tokens and bytes, and recovers", async () => {
  const found = await printedBy("./limits.ts", "frames") as Record<string, unknown>;
  for (const [name, [classic, positioned = classic]] of Object.entries(LIMITS)) {
    assertEquals(found[name], { classic, positioned }, name);
  }
});

/** The rest of an input at a limit of 40 bytes, at every cut, under both grammars. */
const SHORT: [string, string, string[]][] = [
  ["as many bytes as may be", `["${"a".repeat(35)}"]`, [`["${"a".repeat(35)}"]`]],
  ["a closing bracket too many", `["${"a".repeat(36)}"]`, [SIZED]],
  ["a long string", `{"a":"${"b".repeat(100)}"}`, [SIZED]],
  ["a long string alone", `"${"b".repeat(100)}"`, [SIZED]],
  ["many tokens", `[${"1,".repeat(50)}1]`, [SIZED]],
  ["many values", "[1]".repeat(50), Array(50).fill("[1]")],
  ["white space", `[${" ".repeat(100)}1]`, ["[1]"]],
  ["brackets behind", `["${"a".repeat(100)}",[{"b":[]}],{}]`, [SIZED]],
  ["brackets in a string", `["${"]}[{".repeat(30)}"]`, [SIZED]],
  ["a command in a string", `["${"a".repeat(100)}]{'execute':'quit'}"]`, [SIZED]],
  ["an escaped quote in a string", `["${"a".repeat(100)}\\"]{}["]`, [SIZED]],
  ["one behind the other", `["${"a".repeat(100)}"]`.repeat(3), [SIZED, SIZED, SIZED]],
  ["a long number", `${"1".repeat(100)} `, [SIZED]],
];

for (const [name, input, expected] of SHORT) {
  Deno.test(`FrameSplitter.limit: ${name}`, () => {
    for (const grammar of [CLASSIC, POSITIONED]) {
      const make = (): FrameSplitter => {
        const splitter = new FrameSplitter(grammar);
        splitter.limit = 40;
        return splitter;
      };
      assertEquals(texts(fedAtCuts(make, bytesOf(`${input}${AFTER}`))), [...expected, AFTER]);
    }
  });
}

Deno.test("FrameSplitter.limit skips syntax errors too, and a stray byte ends the skipping", () => {
  const said = (grammar: Grammar): string[] => {
    const make = (): FrameSplitter => {
      const splitter = new FrameSplitter(grammar);
      splitter.limit = 40;
      return splitter;
    };
    const input = `["${"a".repeat(100)}" 1 : {[}\xff`;
    return texts(fedAtCuts(make, latin(`${input}\n${AFTER}`)));
  };
  assertEquals(said(POSITIONED), [SIZED, AFTER]);
  // A client that resynchronizes by 0xFF gets one error for it, as from QEMU 7.2.
  assertEquals(said(CLASSIC), [SIZED, "!JSON parse error, stray '\ufffd'", AFTER]);
});

Deno.test("FrameSplitter.limit can be reduced in the middle of a value", () => {
  for (const grammar of [CLASSIC, POSITIONED]) {
    const splitter = new FrameSplitter(grammar);
    assertEquals(fed(splitter, [bytesOf(`{"a":"${"b".repeat(100)}`)]), []);
    splitter.limit = 40;
    assertEquals(texts(fed(splitter, [bytesOf(`b"}${AFTER}`)])), [SIZED, AFTER]);
    splitter.limit = 60;
    assertEquals(texts(fed(splitter, [bytesOf(`["${"b".repeat(55)}"]`)])), [
      `["${"b".repeat(55)}"]`,
    ]);
  }
});

/** Returns any value, with commands and brackets in its texts. */
function anyValue(random: Random, depth: number): unknown {
  const kind = random.below(depth > 0 ? 5 : 3);
  if (kind === 0) return random.below(1_000_000);
  if (kind === 3) return Array.from({ length: random.below(6) }, () => anyValue(random, depth - 1));
  if (kind === 4) {
    const keys = Array.from({ length: random.below(6) }, (_, at) => `${at}'}]`);
    return Object.fromEntries(keys.map((key) => [key, anyValue(random, depth - 1)]));
  }
  const parts = ["{'execute':'quit'}", "]", "}", '"', "\\", "{", "[", "é", " ", "x".repeat(30)];
  return Array.from({ length: random.below(8) }, () => random.pick(parts)).join("");
}

Deno.test("FrameSplitter.limit: a value that is too long is dropped whole, whatever it contains", () => {
  let refused = 0;
  for (let seed = 1; seed <= 200; seed++) {
    const random = new Random(seed);
    const value = JSON.stringify([anyValue(random, 3)]);
    const limit = 40 + random.below(200);
    const length = bytesOf(value).length;
    refused += length >= limit ? 1 : 0;
    for (const grammar of [CLASSIC, POSITIONED]) {
      const make = (): FrameSplitter => {
        const splitter = new FrameSplitter(grammar);
        splitter.limit = limit;
        return splitter;
      };
      const found = texts(fedAtCuts(make, bytesOf(value + AFTER)));
      assertEquals(found, [length >= limit ? SIZED : value, AFTER], `seed ${seed}`);
    }
  }
  assert(refused > 20 && refused < 180, `${refused} of 200`);
});

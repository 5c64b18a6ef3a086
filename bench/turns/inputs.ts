/**
 * The inputs of a client, or of QEMU, that keep qmpmux busy: an adversary's list, and random ones.
 *
 * @module
 */

import { bucketOf } from "../../lib/wire/order.ts";
import type { Random } from "../../tests/support/random.ts";

const ENCODER = new TextEncoder();

/** Returns a text as UTF-8. */
export function bytes(text: string): Uint8Array {
  return ENCODER.encode(text);
}

/** Fills this many bytes with pieces between two texts. */
export function filled(before: string, piece: string, after: string, size: number): Uint8Array {
  const [head, part, tail] = [bytes(before), bytes(piece), bytes(after)];
  const count = Math.max(0, Math.floor((size - head.length - tail.length) / part.length));
  const whole = new Uint8Array(head.length + count * part.length + tail.length);
  whole.set(head);
  const end = head.length + count * part.length;
  if (count > 0) {
    whole.set(part, head.length);
    // Each copy doubles the filled part.
    for (let done = part.length; head.length + done < end; done *= 2) {
      whole.copyWithin(head.length + done, head.length, Math.min(head.length + done, end - done));
    }
  }
  whole.set(tail, end);
  return whole;
}

/** Joins as many generated pieces as fit, with commas. */
export function listed(
  before: string,
  piece: (index: number) => string,
  after: string,
  size: number,
): Uint8Array {
  const parts: string[] = [];
  let left = size - bytes(before).length - bytes(after).length;
  for (let index = 0;; index++) {
    const part = piece(index);
    // Most pieces have the same length in bytes and in characters.
    left -= part.length + 1;
    if (left < 0) break;
    parts.push(part);
  }
  return bytes(`${before}${parts.join(",")}${after}`);
}

const DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";

/** Returns a short text for each number. */
export function name(index: number): string {
  let text = "";
  do {
    text += DIGITS[index % 64]!;
    index = Math.floor(index / 64);
  } while (index > 0);
  return text;
}

/** Returns keys with the same GLib hash, from pairs of letters with the same weight. */
export function collidingKeys(count: number): string[] {
  const keys = [""];
  while (keys.length < count) {
    for (const key of keys.splice(0)) {
      for (const pair of ["bA", "a\u0062", "c "]) keys.push(pair + key);
    }
  }
  return keys.slice(0, count);
}

/** Returns texts of one length that have the given GLib hashes. */
export function keyOfHash(hash: number): string {
  // Six letters, each with the weight of a power of 33: take the first that fits.
  let rest = hash >>> 0;
  // 5381 * 33 ** 7 modulo 2 ** 32, followed by seven letters.
  let base = 5381;
  for (let i = 0; i < 7; i++) base = Math.imul(base, 33) >>> 0;
  rest = (rest - base) >>> 0;
  const weights = [1291467969, 39135393, 1185921, 35937, 1089, 33, 1];
  // A multiple of 2 ** 32 more may be needed.
  for (let more = 0; more < 64; more++) {
    const letters: number[] = [];
    let left = rest + more * 2 ** 32;
    for (const [index, weight] of weights.entries()) {
      const below = weights.slice(index + 1).reduce((sum, each) => sum + each, 0);
      const letter = Math.min(122, Math.floor((left - 40 * below) / weight));
      letters.push(letter);
      left -= letter * weight;
    }
    const fits = left === 0 && letters.every((each) => each >= 35 && each <= 122 && each !== 92);
    if (fits) return String.fromCharCode(...letters);
  }
  return "";
}

/** Returns keys of one bucket of QEMU's dictionary. */
export function bucketKeys(count: number): string[] {
  const keys: string[] = [];
  for (let index = 0; keys.length < count; index++) {
    if (bucketOf(name(index)) === 7) keys.push(name(index));
  }
  return keys;
}

/** Returns a command that is filled by its id. */
export const IDS: Readonly<Record<string, (size: number) => Uint8Array>> = idsIn(
  '{"execute":"stop","id":',
  "}",
);

function idsIn(before: string, after: string): Record<string, (size: number) => Uint8Array> {
  const pieces: Record<string, [string, string, string]> = {
    "a plain string": ['"', "x", '"'],
    "a string of \\u00e9": ['"', "\\u00e9", '"'],
    "a string of \\u0041": ['"', "\\u0041", '"'],
    "a string of é": ['"', "é", '"'],
    "a string of emoji": ['"', "😀", '"'],
    "a string of DEL": ['"', "\x7f", '"'],
    "a string of escaped quotes": ['"', '\\"', '"'],
    "a string in single quotes, of double ones": ["'", '"', "'"],
    "a string of NULs": ['"', "\\u0000", '"'],
    "a string, an escape at its end": ['"', "x", '\\n"'],
    "digits": ["", "7", ""],
    "digits behind a point": ["0.", "7", ""],
    "digits of an exponent": ["1e", "7", ""],
    "zeros of an exponent": ["1e", "0", "1"],
    "an array of digits": ["[", "1,", "1]"],
    "an array of 20 digits": ["[", "18446744073709551615,", "1]"],
    "an array of 0.1": ["[", "0.1,", "1]"],
    "an array of 1e9": ["[", "1e9,", "1]"],
    "an array of 1e22": ["[", "1e22,", "1]"],
    "an array of 0.5": ["[", "0.5,", "1]"],
    "an array of halves behind 17 digits": ["[", "2.9802322387695312e-8,", "1]"],
    "an array of 1e999": ["[", "1e999,", "1]"],
    "an array of -0": ["[", "-0,", "1]"],
    "an array of empty strings": ["[", '"",', "1]"],
    "an array of strings with an escape": ["[", '"\\n",', "1]"],
    "an array of null": ["[", "null,", "1]"],
    "an array of {}": ["[", "{},", "1]"],
    "an array of []": ["[", "[],", "1]"],
    "an array of objects out of order": ["[", '{"b":1,"a":1},', "1]"],
    "an array of objects that are objects": ["[", '{"a":{}},', "1]"],
    "an array of arrays of arrays": ["[", "[[[]]],", "1]"],
    "1,000 deep, flat inside": ["[".repeat(1000), "1,", `1${"]".repeat(1000)}`],
    "500 deep, objects": ['{"a":'.repeat(500) + "[", "1,", `1]${"}".repeat(500)}`],
    "500 deep, objects out of order": [
      '{"b":1,"a":'.repeat(500) + "[",
      "1,",
      `1]${"}".repeat(500)}`,
    ],
    "500 deep, objects of two": ['{"a":'.repeat(500) + "[", "1,", `1]${',"b":1}'.repeat(500)}`],
    "nests of 500": ["[", `${"[".repeat(500)}${"]".repeat(500)},`, "1]"],
  };
  const made: Record<string, (size: number) => Uint8Array> = {};
  for (const [what, [head, piece, tail]] of Object.entries(pieces)) {
    made[what] = (size) => filled(before + head, piece, tail + after, size);
  }
  made["an object of many members"] = (size) =>
    listed(`${before}{`, (i) => `"${name(i)}":1`, `}${after}`, size);
  made["an object of members with an escape"] = (size) =>
    listed(`${before}{`, (i) => `"\\n${name(i)}":1`, `}${after}`, size);
  made["an object of members of one bucket"] = (size) => {
    const keys = bucketKeys(Math.min(20_000, Math.floor(size / 9)));
    return listed(`${before}{`, (i) => `"${keys[i] ?? `${name(i)}--`}":1`, `}${after}`, size);
  };
  made["an object of objects out of order"] = (size) =>
    listed(`${before}{`, (i) => `"${name(i)}":{"b":1,"a":2}`, `}${after}`, size);
  return made;
}

/** The values that are malformed commands. */
export const WRONG: Readonly<Record<string, (size: number) => Uint8Array>> = {
  "unknown members": (size) => listed('{"execute":"stop",', (i) => `"${name(i)}":1`, "}", size),
  "unknown members with escapes": (size) =>
    listed('{"execute":"stop",', (i) => `"\\t${name(i)}":1`, "}", size),
  "unknown members of é": (size) =>
    listed('{"execute":"stop",', (i) => `"é${name(i)}":1`, "}", size - size / 6),
  "a member twice, at the end": (size) =>
    listed('{"a":1,', (i) => `"-${name(i)}":1`, ',"a":1}', size),
  "an unknown member with a long name": (size) => filled('{"', "x", '":1}', size),
  "an unknown member with a long name of é": (size) => filled('{"', "é", '":1}', size),
  "an unknown member with a long name of DEL": (size) => filled('{"', "\x7f", '":1}', size),
  "a command with a long name": (size) => filled('{"execute":"', "x", '"}', size),
  "a command with a long name of é": (size) => filled('{"execute":"', "é", '"}', size),
  "a command with a long name of DEL": (size) => filled('{"execute":"', "\x7f", '"}', size),
  "a command with a long name of ab": (size) => filled('{"execute":"', "ab", '"}', size),
  "execute is an array": (size) => filled('{"execute":[', "1,", "1]}", size),
  "arguments is an array": (size) => filled('{"execute":"stop","arguments":[', "1,", "1]}", size),
  "no object": (size) => filled("[", "1,", "1]", size),
  "strings with a wrong escape at the end": (size) => filled('{"execute":"', "x", '\\x"}', size),
  "a lone surrogate behind escapes": (size) => filled('{"execute":"', "\\u0041", '\\ud800"}', size),
  "a long word": (size) => filled("", "x", " ", size),
  "a stray byte behind a long string": (size) => filled('"', "x", "\x01\n", size),
  "a stray byte behind a long string of é": (size) => filled('"', "é", "\x01\n", size),
  "a stray byte behind a long string of DEL": (size) => filled('"', "\x7f", "\x01\n", size),
  "a command of twice the limit": (size) => filled('{"execute":"', "x", '"}', 2 * size),
  "elements of twice the limit": (size) => filled('{"execute":[', "1,", "1]}", 2 * size),
  "open brackets": (size) => filled("", "[", "\n\xff\n", size),
  "open objects": (size) => filled("", '{"a":', "\n", size / 8),
  "closing brackets": (size) => filled("", "]", "\n", size / 8),
  "numbers one by one": (size) => filled("", "1 ", "\n", size / 8),
  "empty objects one by one": (size) => filled("", "{}", "\n", size / 8),
  "empty arrays one by one": (size) => filled("", "[]", "\n", size / 8),
  "stray signs one by one": (size) => filled("", "# ", "\n", size / 8),
  "stray signs and line ends": (size) => filled("", "#\n", "\n", size / 8),
  "commas": (size) => filled("", ",", "\n", size / 8),
  "colons in an object": (size) => filled("{", ":", "}\n", size),
  "wrong objects one by one": (size) => filled("", '{"a" 1}', "\n", size / 8),
  "white space": (size) => filled("", "    \n", '{"execute":"stop"}', 16 * size),
  "lines": (size) => filled("", "\n", '{"execute":"stop"}', size),
};

/** The commands that are filled by their arguments. */
export const COMMANDS: Readonly<Record<string, (size: number) => Uint8Array>> = {
  "blockdev-add, elements": (size) =>
    filled('{"execute":"blockdev-add","arguments":{"a":[', "1,", "1]}}", size),
  "blockdev-add, strings": (size) =>
    filled('{"execute":"blockdev-add","arguments":{"a":[', '"x",', "1]}}", size),
  "blockdev-add, one string": (size) =>
    filled('{"execute":"blockdev-add","arguments":{"a":"', "x", '"}}', size),
  "blockdev-add, a string with escapes": (size) =>
    filled('{"execute":"blockdev-add","arguments":{"a":"', "\\n", '"}}', size),
  "blockdev-add, members": (size) =>
    listed('{"execute":"blockdev-add","arguments":{', (i) => `"${name(i)}":1`, "}}", size),
  "blockdev-add, objects of members": (size) =>
    filled('{"execute":"blockdev-add","arguments":{"a":[', '{"a":"b"},', "1]}}", size),
  "blockdev-add, nested options": (size) =>
    filled(
      `{"execute":"blockdev-add","arguments":{"driver":"raw","file":${'{"file":'.repeat(400)}[`,
      '{"driver":"file","filename":"/x"},',
      `1]${"}".repeat(400)}}}`,
      size,
    ),
  "blockdev-add, null-co with nested options": (size) =>
    filled(
      '{"execute":"blockdev-add","arguments":{"driver":"null-co","node-name":[',
      '"x",',
      "1]}}",
      size,
    ),
  "transaction, actions that are allowed": (size) =>
    filled(
      '{"execute":"transaction","arguments":{"actions":[',
      '{"type":"abort","data":{}},',
      '{"type":"abort"}]}}',
      size,
    ),
  "transaction, small actions": (size) =>
    filled(
      '{"execute":"transaction","arguments":{"actions":[',
      '{"type":"abort"},',
      '{"type":"abort"}]}}',
      size,
    ),
  "transaction, actions with data": (size) =>
    filled(
      '{"execute":"transaction","arguments":{"actions":[',
      '{"type":"block-dirty-bitmap-add","data":{"node":"a","name":"b"}},',
      '{"type":"abort"}]}}',
      size,
    ),
  "transaction, types that are numbers": (size) =>
    filled(
      '{"execute":"transaction","arguments":{"actions":[',
      '{"type":0.1},',
      '{"type":"abort"}]}}',
      size,
    ),
  "transaction, types with an escape": (size) =>
    filled(
      '{"execute":"transaction","arguments":{"actions":[',
      '{"type":"\\u0061bort"},',
      '{"type":"abort"}]}}',
      size,
    ),
  "transaction, empty objects": (size) =>
    filled('{"execute":"transaction","arguments":{"actions":[', "{},", "{}]}}", size),
  "transaction, numbers": (size) =>
    filled('{"execute":"transaction","arguments":{"actions":[', "1,", "1]}}", size),
  "transaction, one action with many members": (size) =>
    listed(
      '{"execute":"transaction","arguments":{"actions":[{"type":"abort","data":{',
      (i) => `"${name(i)}":1`,
      "}}]}}",
      size,
    ),
  "transaction, bitmaps to merge": (size) =>
    filled(
      '{"execute":"transaction","arguments":{"actions":[{"type":"block-dirty-bitmap-merge",' +
        '"data":{"node":"a","target":"b","bitmaps":[',
      '"x",',
      '"x"]}}]}}',
      size,
    ),
  "input-send-event": (size) =>
    filled('{"execute":"input-send-event","arguments":{"events":[', '{"type":"x"},', "{}]}}", size),
  "send-key": (size) =>
    filled('{"execute":"send-key","arguments":{"keys":[', '{"data":"a"},', "{}]}}", size),
  "query-cpu-model-expansion": (size) =>
    listed(
      '{"execute":"query-cpu-model-expansion","arguments":{"type":"full","model":{"name":"a",' +
        '"props":{',
      (i) => `"${name(i)}":true`,
      "}}}}",
      size,
    ),
  "qom-set, elements": (size) =>
    filled(
      '{"execute":"qom-set","arguments":{"path":"/a","property":"requested-size","value":[',
      "1,",
      "1]}}",
      size,
    ),
  "qom-get, a long path": (size) =>
    filled('{"execute":"qom-get","arguments":{"path":"', "/..", '","property":"type"}}', size),
  "qom-get, a long property": (size) =>
    filled('{"execute":"qom-get","arguments":{"path":"/","property":"', "x", '"}}', size),
  "device_add, a long driver": (size) =>
    filled('{"execute":"device_add","arguments":{"driver":"', "-i386-cpu", '"}}', size),
  "device_add, members": (size) =>
    listed(
      '{"execute":"device_add","arguments":{"driver":"virtio-blk",',
      (i) => `"${name(i)}":1`,
      "}}",
      size,
    ),
  "human-monitor-command, a long line": (size) =>
    filled(
      '{"execute":"human-monitor-command","arguments":{"command-line":"',
      "info ",
      '"}}',
      size,
    ),
  "migrate-set-capabilities": (size) =>
    filled(
      '{"execute":"migrate-set-capabilities","arguments":{"capabilities":[',
      '{"capability":"x","state":true},',
      "1]}}",
      size,
    ),
  "query-stats, names": (size) =>
    filled(
      '{"execute":"query-stats","arguments":{"target":"vm","providers":[{"provider":"kvm",' +
        '"names":[',
      '"x",',
      '"x"]}]}}',
      size,
    ),
  "screendump, a long name": (size) =>
    filled('{"execute":"screendump","arguments":{"filename":"', "a", 'b"}}', size),
  "object-add, members": (size) =>
    listed(
      '{"execute":"object-add","arguments":{"qom-type":"iothread","id":"a",',
      (i) => `"${name(i)}":1`,
      "}}",
      size,
    ),
  "a queue of small commands": (size) => filled("", '{"execute":"query-status"}', "\n", size / 8),
  "commands that are made up": (size) => {
    let index = 0;
    return listed("", () => `{"execute":"x-${name(index++)}"}`, "", size);
  },
  "commands with an id that is an object": (size) =>
    filled("", '{"execute":"query-name","id":{"b":[1,0.1],"a":"é"}}', "\n", size / 8),
};

/** The commands of qmpmux itself. */
export const OWN: Readonly<Record<string, (size: number) => Uint8Array>> = {
  "qmp_capabilities, unexpected arguments": (size) =>
    listed('{"execute":"qmp_capabilities","arguments":{', (i) => `"${name(i)}":1`, "}}", size),
  "qmp_capabilities, arguments of one hash": (size) => {
    const keys = collidingKeys(Math.floor(size / 20));
    return listed(
      '{"execute":"qmp_capabilities","arguments":{',
      (i) => `"${keys[i] ?? `-${name(i)}-----`}":1`,
      "}}",
      size,
    );
  },
  "qmp_capabilities, arguments whose places are taken": crowdedArguments,
  "qmp_capabilities, arguments with escapes": (size) =>
    listed('{"execute":"qmp_capabilities","arguments":{', (i) => `"\\n${name(i)}":1`, "}}", size),
  "qmp_capabilities, an argument with a long name": (size) =>
    filled('{"execute":"qmp_capabilities","arguments":{"', "x", '":1}}', size),
  "qmp_capabilities, an argument with a long name of DEL": (size) =>
    filled('{"execute":"qmp_capabilities","arguments":{"', "\x7f", '":1}}', size),
  "qmp_capabilities, oob many times": (size) =>
    filled('{"execute":"qmp_capabilities","arguments":{"enable":[', '"oob",', '"x"]}}', size),
  "qmp_capabilities, oob with an escape many times": (size) =>
    filled('{"execute":"qmp_capabilities","arguments":{"enable":[', '"\\u006fob",', '"x"]}}', size),
  "qmp_capabilities, a long value": (size) =>
    filled('{"execute":"qmp_capabilities","arguments":{"enable":["', "x", '"]}}', size),
  "qmp_capabilities, a long value of DEL": (size) =>
    filled('{"execute":"qmp_capabilities","arguments":{"enable":["', "\x7f", '"]}}', size),
  "qmp_capabilities, elements beside enable": (size) =>
    filled('{"execute":"qmp_capabilities","arguments":{"a":[', "1,", "1]}}", size),
  "set-event-filter, strings": (size) =>
    filled(
      '{"execute":"__org.qmpmux_set-event-filter","arguments":{"enable":[',
      '"",',
      '""]}}',
      size,
    ),
  "set-event-filter, a number at the end": (size) =>
    filled(
      '{"execute":"__org.qmpmux_set-event-filter","arguments":{"enable":[',
      '"",',
      "1]}}",
      size,
    ),
  "set-event-filter, one long glob": (size) =>
    filled(
      '{"execute":"__org.qmpmux_set-event-filter","arguments":{"enable":["',
      "*a",
      '"]}}',
      size,
    ),
  "set-event-filter, 256 globs": () => bytes(worstFilter("*?")),
  "query-self, unexpected arguments": (size) =>
    listed(
      '{"execute":"__org.qmpmux_query-self","arguments":{',
      (i) => `"${name(i)}":1`,
      "}}",
      size,
    ),
  "disconnect-client, a long name": (size) =>
    filled('{"execute":"__org.qmpmux_disconnect-client","arguments":{"name":"', "x", '"}}', size),
  "disconnect-client, a long name of é": (size) =>
    filled('{"execute":"__org.qmpmux_disconnect-client","arguments":{"name":"', "é", '"}}', size),
  "query-version many times": (size) => filled("", '{"execute":"query-version"}', "\n", size / 8),
  "query-commands many times": (size) => filled("", '{"execute":"query-commands"}', "\n", size / 8),
  "query-self many times": (size) =>
    filled("", '{"execute":"__org.qmpmux_query-self"}', "\n", size / 8),
};

/** Returns arguments whose places in GLib's table form a block, each place twice. */
function crowdedArguments(size: number): Uint8Array {
  const count = Math.floor(size / 13);
  let shift = 3;
  while ((1 << shift) < count * 1.4) shift++;
  const prime = shift === 17 ? 131071 : shift === 16 ? 65521 : shift === 15 ? 32749 : 16381;
  const keys: string[] = [];
  const half = Math.floor(count / 2);
  for (let i = 0; i < count; i++) {
    // The hash for this place: hash * 11 is the place, modulo 2 ** 32 and the prime.
    const place = i % half;
    const product = place + prime * Math.floor(i / half);
    const hash = Math.imul(product, 3123612579) >>> 0;
    const key = keyOfHash(hash);
    keys.push(key === "" ? `_${name(i)}____`.slice(0, 7) : key);
  }
  const unique = [...new Set(keys)].filter((key) => !/["\\]/.test(key));
  return listed(
    '{"execute":"qmp_capabilities","arguments":{',
    (i) => i < unique.length ? `"${unique[i]}":1` : " ".repeat(size),
    "}}",
    size,
  );
}

/** Returns a filter of the most globs of the greatest length. */
export function worstFilter(piece: string): string {
  const globs = Array.from(
    { length: 256 },
    (_, i) => `${piece.repeat(60)}${name(i).slice(-4)}`,
  );
  return `{"execute":"__org.qmpmux_set-event-filter","arguments":{"enable":${
    JSON.stringify(globs)
  }}}`;
}

/** The commands that name descriptors. */
export const DESCRIPTORS: Readonly<Record<string, (size: number) => Uint8Array>> = {
  "getfd, a long name": (size) =>
    filled('{"execute":"getfd","arguments":{"fdname":"', "x", '"}}', size),
  "getfd, members": (size) =>
    listed('{"execute":"getfd","arguments":{"fdname":"a",', (i) => `"${name(i)}":1`, "}}", size),
  "closefd, a long name": (size) =>
    filled('{"execute":"closefd","arguments":{"fdname":"', "x", '"}}', size),
  "add-fd, a long opaque": (size) =>
    filled('{"execute":"add-fd","arguments":{"opaque":"', "x", '"}}', size),
  "add-fd, members": (size) =>
    listed('{"execute":"add-fd","arguments":{', (i) => `"${name(i)}":1`, "}}", size),
  "blockdev-add, elements": COMMANDS["blockdev-add, elements"]!,
  "blockdev-add, strings": COMMANDS["blockdev-add, strings"]!,
  "blockdev-add, members": COMMANDS["blockdev-add, members"]!,
  "blockdev-add, a string with escapes": COMMANDS["blockdev-add, a string with escapes"]!,
  "blockdev-add, objects that name descriptors": (size) =>
    filled('{"execute":"blockdev-add","arguments":{"a":[', '{"fd":"x"},', "1]}}", size),
  "blockdev-add, names of descriptors": (size) =>
    filled('{"execute":"blockdev-add","arguments":{"fds":[', '"x",', "1]}}", size),
  "blockdev-add, numbers of descriptors": (size) =>
    filled('{"execute":"blockdev-add","arguments":{"fds":[', '"7",', "1]}}", size),
  "netdev_add, a list of descriptors": (size) =>
    filled('{"execute":"netdev_add","arguments":{"type":"tap","fds":"', "a:", '"}}', size),
  "blockdev-add, as many references as may be": () =>
    bytes(
      `{"execute":"blockdev-add","arguments":{"fds":[${'"x",'.repeat(800)}1],"a":[${
        `"json:{'fds':['x'],'a':'${"x".repeat(400)}'}",`.repeat(120)
      }1],"b":[${'"/dev/fdset/1",'.repeat(100)}${'"\\u0061bcdefghijk",'.repeat(9000)}1]}}`,
    ),
  "netdev_add, a list of colons": (size) =>
    filled('{"execute":"netdev_add","arguments":{"type":"tap","fds":"', ":", '"}}', size),
  "blockdev-add, a file name that is JSON": (size) =>
    filled('{"execute":"blockdev-add","arguments":{"filename":"json:[', "1,", '1]"}}', size),
  "blockdev-add, a file name that is JSON with names": (size) =>
    filled(
      '{"execute":"blockdev-add","arguments":{"filename":"json:[',
      "{'fd':'x'},",
      '1]"}}',
      size,
    ),
  "blockdev-add, file names that are JSON": (size) =>
    filled('{"execute":"blockdev-add","arguments":{"a":[', '"json:{}",', "1]}}", size),
  "blockdev-add, a file name that is JSON in JSON": nestedJson,
  "blockdev-add, sets": (size) =>
    filled('{"execute":"blockdev-add","arguments":{"a":[', '"/dev/fdset/1",', "1]}}", size),
  "blockdev-add, sets in one text": (size) =>
    filled('{"execute":"blockdev-add","arguments":{"a":"', "/dev/fdset/1", '"}}', size),
  "blockdev-add, a set with many spaces": (size) =>
    filled('{"execute":"blockdev-add","arguments":{"a":"', "/dev/fdset/  ", '"}}', size),
  "blockdev-add, a set with very many spaces": (size) =>
    filled('{"execute":"blockdev-add","arguments":{"a":"/dev/fdset/', " ", '"}}', size),
  "blockdev-add, a set with very many zeros": (size) =>
    filled('{"execute":"blockdev-add","arguments":{"a":"/dev/fdset/', "0", '"}}', size),
  "chardev-add, str": (size) =>
    filled('{"execute":"chardev-add","arguments":{"id":"a","str":[', '"x",', '"x"]}}', size),
  "human-monitor-command, a long line": COMMANDS["human-monitor-command, a long line"]!,
  "transaction, small actions": COMMANDS["transaction, small actions"]!,
};

/** Returns a file name in JSON that contains a file name in JSON, as deep as fits. */
function nestedJson(size: number): Uint8Array {
  let text = "x";
  for (;;) {
    const deeper = `json:{"filename":${JSON.stringify(text)}}`;
    const whole = `{"execute":"blockdev-add","arguments":{"filename":${JSON.stringify(deeper)}}}`;
    if (whole.length > size) break;
    text = deeper;
  }
  return bytes(`{"execute":"blockdev-add","arguments":{"filename":${JSON.stringify(text)}}}`);
}

/** The length of arguments that the audit shows. */
const SHOWN = 16_300;

/** The commands whose arguments are recorded. */
export const RECORDED: Readonly<Record<string, () => Uint8Array>> = Object.fromEntries(
  Object.entries({
    "elements": ["[", "1,", "1]"],
    "doubles": ["[", "0.1,", "1]"],
    "strings": ["[", '"x",', "1]"],
    "objects": ["[", '{"a":1},', "1]"],
    "deep": ['{"a":'.repeat(23) + "[", '"x",', `1]${"}".repeat(23)}`],
    "pass": ['"', "pass", '"'],
    "passwd =": ['"', "pass ", '"'],
    "auth": ['"', "auth", '"'],
    "spaces": ['"data', " ", '"'],
    "equals": ['"', "=", '"'],
    "dashes": ['"', "-", '"'],
    "addresses": ['"', "://", '"'],
    "an address": ['"://', "a", '"'],
    "programs": ['"', "exec:", '"'],
    "word =": ['"', "a", '="'],
  }).map(([what, [head, piece, tail]]): [string, () => Uint8Array] => [
    `blockdev-add, ${what}`,
    () => filled(`{"execute":"blockdev-add","arguments":{"a":${head}`, piece!, `${tail}}}`, SHOWN),
  ]).concat(
    ["change ", "change vn", "a ", "://", "exec", "\\n"].map((piece) => [
      `human-monitor-command, ${JSON.stringify(piece)}`,
      () =>
        filled(
          '{"execute":"human-monitor-command","arguments":{"command-line":"',
          piece,
          '"}}',
          SHOWN,
        ),
    ]),
  ),
);

/** Returns a random value of some bytes that is wide or deep. */
export class Chances {
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Returns a client's input at a limit: a listed piece, mixed and nested at random. */
  input(size: number): Uint8Array {
    const random = this.#random;
    const before = random.pick(HEADS);
    const depth = random.pick([0, 0, 1, 3, 20, 200, 900]);
    const open: string[] = [];
    const close: string[] = [];
    for (let i = 0; i < depth; i++) {
      const [opens, closes] = random.pick(NESTS);
      open.push(opens!);
      close.unshift(closes!);
    }
    const [enter, leave] = random.pick(
      [["[", "1]"], ["[", "1]"], ['"', '"'], ['{"z":[', "1]}"]] as const,
    );
    const isString = enter === '"';
    let piece = "";
    for (let i = 1 + random.below(random.pick([1, 4, 30])); i > 0; i--) {
      piece += isString ? random.pick(TEXTS) : `${random.pick(VALUES)},`;
    }
    const whole = filled(
      `${before}${open.join("")}${enter}`,
      piece,
      `${leave}${close.join("")}${random.oneIn(20) ? "" : random.oneIn(20) ? "]" : "}}"}\n`,
      random.oneIn(10) ? size + 100 : size - 20,
    );
    // Corrupt some bytes.
    if (random.oneIn(3)) {
      for (let i = 1 + random.below(4); i > 0; i--) {
        whole[random.below(whole.length)] = random.below(256);
      }
    }
    return whole;
  }
}

const HEADS = [
  '{"execute":"stop","id":{"a":',
  '{"execute":"transaction","arguments":{"actions":',
  '{"execute":"blockdev-add","arguments":{"a":',
  '{"execute":"qmp_capabilities","arguments":{"enable":',
  '{"execute":"qmp_capabilities","arguments":{"x":',
  '{"execute":"__org.qmpmux_set-event-filter","arguments":{"enable":',
  '{"execute":"human-monitor-command","arguments":{"command-line":',
  '{"execute":"object-add","arguments":{"id":',
  '{"execute":{"a":',
  '{"exec-oob":"migrate-pause","arguments":{"a":',
  '{"a":{"a":',
];
const NESTS = [["[", "]"], ['{"a":', "}"], ['{"b":1,"a":', "}"], ['{"a":', ',"b":2}'], [
  "[1,",
  ",2]",
]] as const;
const TEXTS = [
  "x",
  "\\n",
  "\\u00e9",
  "é",
  "😀",
  "\x7f",
  '\\"',
  "/dev/fdset/1",
  ":",
  "json:",
  "pass=",
  "..",
  "/",
  "*",
  " ",
];
const VALUES = [
  "1",
  "-0",
  "0.1",
  "1e22",
  "1e999",
  "18446744073709551615",
  "2.9802322387695312e-8",
  '"x"',
  '""',
  '"\\n"',
  '"é"',
  "null",
  "true",
  "[]",
  "{}",
  '{"b":1,"a":2}',
  '{"type":"abort"}',
  '{"fd":"x"}',
  '"/dev/fdset/1"',
  '"json:{}"',
  "[[[]]]",
  '{"type":"abort","data":{"node":"a"}}',
  '"oob"',
];

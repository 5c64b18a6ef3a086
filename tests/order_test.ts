/**
 * The orders in which QEMU visits members. Every one was seen in the output of a QEMU.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { bucketAt, bucketOf, firstUnexpected, orderOf } from "../lib/wire/order.ts";
import { bytesOf } from "./support/cuts.ts";
import { MadeValues } from "./support/made_values.ts";
import { plainBucket, plainOrder, plainUnexpected } from "./support/plain_spelling.ts";
import { Random } from "./support/random.ts";

Deno.test("bucketOf() sorts QEMU's own members in the order QEMU prints them", () => {
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

/** Keys in QEMU's order. */
function ordered(keys: readonly string[]): string[] {
  return Array.from(orderOf(keys.map(bucketOf)), (number) => keys[number]!);
}

Deno.test("orderOf() lists the last of one bucket first", () => {
  assertEquals([bucketOf("rr"), bucketOf("rb")], [bucketOf("a"), bucketOf("a")]);
  assertEquals(ordered("a rb rr".split(" ")), ["rr", "rb", "a"]);
  assertEquals(ordered("rr rb a".split(" ")), ["a", "rb", "rr"]);
});

Deno.test("orderOf() and bucketAt() agree with the plain order of any keys", () => {
  const random = new Random(3);
  const made = new MadeValues(random);
  for (let i = 0; i < 2000; i++) {
    const tokens = made.keys(random.below(random.pick([4, 20, 400])));
    const keys = tokens.map((token) => JSON.parse(token) as string);
    assertEquals(ordered(keys), plainOrder(keys));
    const buckets = tokens.map((token) => {
      const bytes = bytesOf(`{${token}:1}`);
      return bucketAt(bytes, 1, bytes.length - 3);
    });
    assertEquals(buckets, keys.map(plainBucket));
  }
});

Deno.test("orderOf() starts at the given bucket", () => {
  assertEquals([...orderOf([1, 7, 5, 7, 2], 1)], [3, 1, 2, 0]);
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

/** Returns the key that is named for an object with these keys, if one is known. */
function named(keys: readonly string[], ...known: readonly string[]): string | undefined {
  const members = keys.map((key) => `${JSON.stringify(key)}:1`).join(",");
  return firstUnexpected(bytesOf(`{${members}}`), known);
}

for (const [keys, wanted] of Object.entries(UNEXPECTED)) {
  Deno.test(`firstUnexpected() names ${wanted} among ${keys.slice(0, 60)}`, () => {
    assertEquals(named(keys.split(" "), "enable"), wanted);
  });
}

/** The integers of `migrate-set-parameters`, in the order of its type. */
const PARAMETERS = [
  ..."announce-initial announce-max announce-rounds announce-step max-cpu-throttle".split(" "),
  ..."downtime-limit max-bandwidth multifd-channels xbzrle-cache-size".split(" "),
];

/** The key QEMU 7.2 named for `migrate-set-parameters` with these. Its table shrinks. */
const SHRUNK: Record<string, string> = {
  "announce-initial q announce-max announce-rounds announce-step downtime-limit p r": "p",
  "announce-max max-cpu-throttle announce-step p q announce-initial r announce-rounds downtime-limit max-bandwidth":
    "p",
  "announce-step downtime-limit max-bandwidth announce-rounds q announce-initial announce-max max-cpu-throttle multifd-channels p":
    "p",
};

for (const [keys, wanted] of Object.entries(SHRUNK)) {
  Deno.test(`firstUnexpected() names ${wanted} after QEMU has removed others of ${keys}`, () => {
    const given = keys.split(" ");
    assertEquals(named(given, ...PARAMETERS.filter((each) => given.includes(each))), wanted);
  });
}

Deno.test("firstUnexpected() returns nothing if no key is left", () => {
  assertEquals(named([]), undefined);
  assertEquals(named(["enable"], "enable"), undefined);
});

Deno.test("firstUnexpected() finds one of very many keys", () => {
  const keys = Array.from({ length: 40_000 }, (_, i) => `k${i}`);
  assertEquals(named(keys), plainUnexpected(keys, []));
});

/**
 * Keys for which GLib computes the same hash: three pairs of letters have equal weight, 33 to one.
 */
function colliding(random: Random, count: number): string[] {
  const keys = new Set<string>();
  const length = Math.ceil(Math.log(count) / Math.log(3)) + 1;
  while (keys.size < count) {
    keys.add(Array.from({ length }, () => random.pick(["bA", "ab", "c "])).join(""));
  }
  return [...keys];
}

Deno.test("firstUnexpected() agrees with the plain table on any keys, also with equal hashes", () => {
  const random = new Random(4);
  const made = new MadeValues(random);
  for (let i = 0; i < 1500; i++) {
    const keys = new Set(made.keys(random.below(40)).map((token) => JSON.parse(token) as string));
    // Keys with one hash, with some consecutive hashes, and any keys.
    for (let groups = random.below(4); groups > 0; groups--) {
      const end = String.fromCharCode(97 + random.below(4));
      for (const key of colliding(random, 1 + random.below(60))) keys.add(key + end);
    }
    const share = random.pick([2, 10, 100]);
    const known = [...keys].filter(() => random.oneIn(10) || !random.oneIn(share)).reverse();
    assertEquals(named([...keys], ...known), plainUnexpected([...keys], known));
  }
});

Deno.test("firstUnexpected() terminates with a hundred thousand keys of one hash", () => {
  const keys = colliding(new Random(5), 100_000);
  const first = named(keys);
  assert(first !== undefined && keys.includes(first));
});

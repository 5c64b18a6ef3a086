/**
 * Tags after names: their form, and their removal.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { Tags } from "../lib/wire/tags.ts";
import { Random } from "./support/random.ts";

const ENCODER = new TextEncoder();

function tags(secret = "123456789012"): Tags {
  const made = new Tags(secret);
  made.sent();
  return made;
}

function without(some: Tags, text: string): string {
  return new TextDecoder().decode(some.without(ENCODER.encode(text)));
}

Deno.test("Tags.next() returns a fresh tag, and never the reserved one", () => {
  const some = tags();
  const seen = new Set(Array.from({ length: 1000 }, () => some.next()));
  assertEquals(seen.size, 1000);
  assert(!seen.has(some.none));
  for (const tag of [...seen, some.none]) assertMatch(tag, /^~[0-9A-Za-z]{6}[0-9a-z]+~$/);
});

Deno.test("Tags have a mark derived from the secret, always of six characters", () => {
  const secrets = ["0", "1", "61", "62", String(62 ** 5), "9007199254740991"];
  const marks = secrets.map((secret) => tags(secret).mark);
  assertEquals(new Set(marks).size, secrets.length);
  for (const mark of marks) assertEquals(mark.length, 7);
  assertEquals(tags("0").mark, "~000000");
  assertNotEquals(tags("62").mark, tags("1").mark);
});

Deno.test("Tags.without() removes tags wherever they are", () => {
  const some = tags();
  const [one, two, none] = [some.next(), some.next(), some.none];
  const messages: [string, string][] = [
    [
      `{"return": {"filename": "fd:f${one},server=on"}}`,
      '{"return": {"filename": "fd:f,server=on"}}',
    ],
    [`"json:{\\"str\\": \\"f\\\\u00E9${two}\\"}"`, '"json:{\\"str\\": \\"f\\\\u00E9\\"}"'],
    [`${one}a${two}${""}b${none}`, "ab"],
    [one, ""],
    ["", ""],
    // A tag that a client has written itself stays: only the appended one is removed.
    [`f${one}${two}`, `f${one}`],
    [`f${one}${one}${none}x`, `f${one}${one}x`],
    // None of these is a tag.
    [`f${some.mark}`, `f${some.mark}`],
    [`f${some.mark}~`, `f${some.mark}~`],
    [`f${some.mark}12X~`, `f${some.mark}12X~`],
    [`f${some.mark}123456789012~`, `f${some.mark}123456789012~`],
    [`~~~~${some.mark.slice(0, -1)}`, `~~~~${some.mark.slice(0, -1)}`],
    // One is, although the text that follows begins like another.
    [`f${one}${some.mark}`, `f${some.mark}`],
  ];
  for (const [said, shown] of messages) assertEquals(without(some, said), shown);
});

Deno.test("Tags.without() returns the same bytes if there is no tag, or none was sent yet", () => {
  const some = new Tags("7");
  const bytes = ENCODER.encode(`{"return": "f${some.next()}"}`);
  assertEquals(some.without(bytes), bytes);
  some.sent();
  const plain = ENCODER.encode('{"return": {}}');
  assert(some.without(plain) === plain);
  assertEquals(new TextDecoder().decode(some.without(bytes)), '{"return": "f"}');
});

Deno.test("Tags.without() agrees with a search by text, in texts of few letters", () => {
  const random = new Random(5);
  for (let round = 0; round < 2000; round++) {
    const some = tags(String(random.below(200)));
    const signs = [...new Set(`${some.mark}0~1`)];
    let text = "";
    while (text.length < 60) {
      text += random.oneIn(4) ? some.mark : random.oneIn(5) ? some.next() : random.pick(signs);
    }
    const mark = some.mark;
    const tag = `${mark}[0-9a-z]{1,11}~`;
    const expected = text.replace(new RegExp(`${tag}(?!${tag})`, "g"), "");
    assertEquals(without(some, text), expected, text);
  }
});

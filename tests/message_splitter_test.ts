/**
 * QEMU's stream in messages, wherever it is cut.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { MESSAGE_BYTES_LIMIT, MessageSplitter } from "../lib/wire/message_splitter.ts";
import { bytesOf, fed, fedAtCuts, latin, latinText, pairsOf } from "./support/cuts.ts";
import { printedBy } from "./support/program.ts";

/** Returns the messages that a splitter finds at every cut, as text; `!` before a syntax error. */
function split(input: string | Uint8Array): string[] {
  return texts(fedAtCuts(() => new MessageSplitter(), input));
}

function texts(things: ReturnType<typeof fed<Uint8Array | { damage: string }>>): string[] {
  return things.map((thing) => "damage" in thing ? `!${thing.damage}` : latinText(thing));
}

Deno.test("MessageSplitter.next() returns each line of QEMU with its line end", () => {
  const lines = ['{"return": {}}\r\n', '{"error": {"class": "A"}, "id": 1}\r\n'];
  assertEquals(split(lines.join("")), lines);
});

Deno.test("MessageSplitter.next() ends a message at its last brace, whatever follows", () => {
  assertEquals(split('\r\n {"a": 1}{"b": 2} \t\n'), ['{"a": 1}\r\n', '{"b": 2}\r\n']);
});

Deno.test("MessageSplitter.next() keeps a pretty message's lines", () => {
  const text = '{\r\n    "return": {\r\n    }\r\n}\r\n';
  assertEquals(split(text + text), [text, text]);
});

Deno.test("MessageSplitter.next() ignores brackets and quotes in strings", () => {
  const lines = ['{"a": "}]{[", "b\\"}": ["\\\\", {"": "\\\\\\""}]}\r\n', '{"": ""}\r\n'];
  assertEquals(split(lines.join("")), lines);
});

Deno.test("MessageSplitter.next() returns invalid JSON if its brackets balance", () => {
  const line = '{"return": {}, "id": [inf, -inf]}\r\n';
  assertEquals(split(line), [line]);
});

Deno.test("MessageSplitter.next() forgets an escape at a cut once its message has ended", () => {
  const lines = ['{"a": "\\n"}\r\n', '{"": "}"}\r\n'];
  for (const pair of pairsOf(bytesOf(lines.join("")))) {
    assertEquals(texts(fed(new MessageSplitter(), pair)), lines);
  }
});

Deno.test("MessageSplitter.next() returns a large message of many chunks, and the next one", () => {
  const large = `{"return": "${"x".repeat(300_000)}"}\r\n`;
  const bytes = bytesOf(`${large}{"a": 1}\r\n`);
  const chunks = Array.from({ length: 301 }, (_, i) => bytes.subarray(i * 1000, (i + 1) * 1000));
  const [first, second] = texts(fed(new MessageSplitter(), chunks));
  assert(first === large);
  assertEquals(second, '{"a": 1}\r\n');
});

Deno.test("MessageSplitter.next() copies a message's bytes", () => {
  const [first] = fed(new MessageSplitter(), [bytesOf('{"a": 1}')]);
  assert(first !== undefined && !("damage" in first));
  assertEquals(latinText(first), '{"a": 1}\r\n');
});

Deno.test("MessageSplitter.next() shows the first bytes of text that does not begin with a brace", () => {
  for (const text of ["HTTP/1.1 400 Bad Request", "[]", "220 mail.example ESMTP", "\xff\xfe"]) {
    const splitter = new MessageSplitter();
    splitter.load(latin(`\r\n${text}`));
    const damage = splitter.next();
    assert(damage !== undefined && "damage" in damage);
    assertEquals(damage.damage, text.replace(/[\xff\xfe]/g, "\ufffd"));
  }
});

Deno.test("MessageSplitter.next() shows no more than eighty bytes of invalid text", () => {
  const splitter = new MessageSplitter();
  splitter.load(bytesOf("x".repeat(1000)));
  assertEquals(splitter.next(), { damage: "x".repeat(80) });
});

Deno.test("MessageSplitter.next() finds invalid text after a message", () => {
  const splitter = new MessageSplitter();
  splitter.load(bytesOf('{"a": 1}\r\nx'));
  const message = splitter.next();
  assert(message !== undefined && !("damage" in message));
  assertEquals(splitter.next(), { damage: "x" });
});

Deno.test("MessageSplitter.next() refuses a message longer than its limit", async () => {
  assertEquals(MESSAGE_BYTES_LIMIT, 67108864);
  assertEquals(await printedBy("./limits.ts", "messages"), [
    "nothing yet",
    { damage: "a message of more than 67108864 bytes", limit: 67108864 },
  ]);
});

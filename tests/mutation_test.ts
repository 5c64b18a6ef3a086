/**
 * The mutations of QEMU's messages: the result of each kind.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { bytesOf, LIMITS, mutated, MUTATIONS, readConversations } from "./support/mutation.ts";
import { Random } from "./support/random.ts";

const LINE = '{"return": {"status": "running", "list": [1, {"a": true}], "text": "\\u00e9"}}';

for (const how of MUTATIONS) {
  Deno.test(`mutated() returns the same for the same seed, in many ways: ${how}`, () => {
    const texts = new Set<string>();
    for (let seed = 0; seed < 200; seed++) {
      const first = mutated(LINE, new Random(seed), how);
      const again = mutated(LINE, new Random(seed), how);
      assertEquals(first, again);
      assertEquals(first.how, how);
      assert(first.text.length <= LINE.length + 8 * LIMITS.depth + LIMITS.chars + 20);
      // Each character is a byte.
      assertEquals(bytesOf(first.text).length, first.text.length);
      assert([...first.text].every((char) => char.charCodeAt(0) < 256));
      texts.add(first.text);
    }
    assert(texts.size >= 6, `${texts.size}`);
    assertNotEquals([...texts], [`${LINE}\r\n`]);
  });
}

Deno.test("mutated() removes, repeats and renames members, and does not change the others", () => {
  const line = '{"return": {}, "id": 7}';
  const texts = (how: "missing" | "doubled" | "renamed"): Set<string> =>
    new Set(Array.from({ length: 1000 }, (_, seed) => mutated(line, new Random(seed), how).text));
  assertEquals(
    texts("missing"),
    new Set(['{"id": 7}\r\n', '{"return": {}}\r\n', `${line}\r\n`]),
  );
  const doubled = texts("doubled");
  assert(doubled.has('{"return": {}, "id": 7, "id": 7}\r\n'), [...doubled].join());
  assert(doubled.has('{"return": {}, "return": {}, "id": 7}\r\n'));
  assert(texts("renamed").has('{"return": {}, "__proto__": 7}\r\n'));
});

Deno.test("readConversations() returns the output of QEMU 7.2, 10.0 and 11.1", () => {
  const all = readConversations();
  assertEquals(
    all.map(({ greeting }) => JSON.parse(greeting).QMP.version.qemu.major),
    [7, 10, 11],
  );
  for (const { commands, events, replies } of all) {
    assert(commands.length > 60, `${commands.length} commands`);
    assert(events.length > 4, `${events.length} events`);
    assertEquals(replies.get("stop"), ['{"return": {}}']);
    assertMatch(replies.get("query-commands")![0]!, /"name": "query-status"/);
  }
});

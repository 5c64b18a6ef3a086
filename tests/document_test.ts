/**
 * The reader of documents, which must find every difference.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { areLines, blocksOf, commandsOf, isLine, settled } from "./support/document.ts";

const TEXT = `# A title

1. In a list:

   \`\`\`console stays
   $ qmpmux serve \\
     --qemu /run/vm
   listening
   $ true
   \`\`\`

\`\`\`toml
a = 1
\`\`\`
`;

Deno.test("blocksOf() returns each block with its line, kind and marks", () => {
  const blocks = blocksOf("a.md", TEXT).map(({ lines: _, ...rest }) => rest);
  assertEquals(blocks, [
    { document: "a.md", line: 5, kind: "console", marks: ["stays"] },
    { document: "a.md", line: 12, kind: "toml", marks: [] },
  ]);
});

Deno.test("blocksOf() refuses a block without an end", () => {
  assertThrows(() => blocksOf("a.md", "```text\nx\n"), Error, "The block at a.md:1 has no end");
});

Deno.test("commandsOf() returns commands with all their lines, and the output of each", () => {
  assertEquals(commandsOf(blocksOf("a.md", TEXT)[0]!), [
    { command: "qmpmux serve \\\n  --qemu /run/vm", output: ["listening"] },
    { command: "true", output: [] },
  ]);
});

Deno.test("commandsOf() refuses lines before the first command", () => {
  const [block] = blocksOf("a.md", "```console\nqmpmux serve\n```");
  assertThrows(() => commandsOf(block!), Error, "does not begin with a command: qmpmux serve");
});

for (
  const [shown, printed, same] of [
    [["a"], ["a"], true],
    [["a"], ["b"], false],
    [["a"], ["a", "b"], false],
    [["a", "b"], ["a"], false],
    [[], ["a"], false],
    [["a…c"], ["abc"], true],
    [["a…c"], ["ab"], false],
    [["a…c"], ["a", "c"], false],
    [["…", "b"], ["x", "a", "b"], true],
    [["…", "b"], ["b", "x"], false],
    [["a", "…"], ["a"], true],
    [["a.c"], ["abc"], false],
  ] as const
) {
  Deno.test(`areLines() ${same ? "accepts" : "refuses"} ${printed.join("|")} for ${shown.join("|")}`, () => {
    assertEquals(areLines(printed, shown), same);
  });
}

Deno.test("isLine() ignores versions and times", () => {
  assert(isLine("qmpmux: connected to QEMU 11.1.3", "qmpmux: connected to QEMU 7.2.22"));
  const event = (seconds: number) =>
    `{"timestamp": {"seconds": ${seconds}, "microseconds": 1}, "event": "STOP"}`;
  assert(isLine(event(2), event(1)));
});

Deno.test("isLine() compares every other number", () => {
  assert(!isLine('{"return": {}, "id": 2}', '{"return": {}, "id": 1}'));
});

Deno.test("settled() keeps everything except versions and times", () => {
  const line = '{"return": {"size": 1048576, "file": "/a/1"}}';
  assertEquals(settled(line), line);
});

/**
 * Lines of the shell without a monitor: words, statements, checks, hints, layout, and the history.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { type Introspection, readIntrospection } from "../lib/client/introspection.ts";
import { checkArguments } from "../lib/cli/shell/argument_check.ts";
import { listOf } from "../lib/cli/shell/candidate_list.ts";
import { hintFor } from "../lib/cli/shell/hint.ts";
import { keptLine } from "../lib/cli/shell/history.ts";
import { JsonLayout } from "../lib/cli/shell/json_layout.ts";
import { painted, plain } from "../lib/cli/shell/paint.ts";
import { statementOn } from "../lib/cli/shell/statement.ts";
import { LineError, wordsOf } from "../lib/cli/shell/words.ts";
import { Failure } from "../lib/platform/failure.ts";
import { HistoryFile } from "../lib/platform/history_file.ts";
import { makePlace } from "./support/place.ts";
import { recordedSchema } from "./support/schemas.ts";

Deno.test("wordsOf() reads quotes as a POSIX shell does, and JSON without quotes", () => {
  const cases: readonly (readonly [line: string, ...words: string[]])[] = [
    ["  a\tb=1  ", "a", "b=1"],
    ['a \'b c\' "d \\"e\\" \\x" f\\ g', "a", "b c", 'd "e" \\x', "f g"],
    ['a b={"c": [1, "}\\""]} d', "a", 'b={"c": [1, "}\\""]}', "d"],
    ["a [1, 2]x b[0]=c", "a", "[1, 2]x", "b[0]=c"],
    ["a ''", "a", ""],
    ["", ...[]],
  ];
  for (const [line, ...words] of cases) {
    assertEquals(wordsOf(line).map(({ text }) => text), words, line);
  }
  assertEquals(wordsOf("ab c='d e").at(-1), { text: "c=d e", from: 3, to: 9, isOpen: true });
});

Deno.test("statementOn() reads each kind of line", () => {
  assertEquals(statementOn(" # x"), { kind: "blank" });
  assertEquals(statementOn("{"), { kind: "open" });
  assertEquals(statementOn("} a=1"), { kind: "close", args: '{"a":1}' });
  assertEquals(statementOn("hmp  info x "), { kind: "hmp", rest: "info x" });
  assertEquals(statementOn(" \\watch 2 x "), { kind: "own", name: "watch", at: 1, rest: "2 x" });
  const { args } = statementOn("x a=18446744073709551615 b=01 c.d=null") as { args: string };
  assertEquals(args, '{"a":18446744073709551615,"b":"01","c":{"d":null}}');
});

/** Returns the place and the message of the error in a line. */
function errorIn(run: () => void): readonly [at: number, message: string] {
  const { at, message } = assertThrows(run, LineError);
  return [at, message];
}

async function schemaOf(version: string): Promise<Introspection> {
  return readIntrospection(await recordedSchema(version));
}

Deno.test("checkArguments() points at the first argument that QEMU's schema rules out", async () => {
  const schema = await schemaOf("7.2");
  const cases: readonly (readonly [line: string, at: number, message: string])[] = [
    ["stop now=1", 5, "stop has no argument now; see \\help stop"],
    ["block-commit device=a sped=1", 22, "block-commit has no argument sped; did you mean speed?"],
    [
      "block-commit device=5",
      20,
      "device: expected text, and found 5; write device='\"5\"'",
    ],
    ["block-commit device=a speed=x", 28, 'speed: expected integer, and found "x"'],
    ["block-commit device=a speed=1.5", 28, "speed: expected integer, and found 1.5"],
    [
      "block-commit device=a on-error=stip",
      31,
      'on-error: expected report|ignore|enospc|stop|auto, and found "stip"; did you mean stop?',
    ],
    [
      "blockdev-add driver=qcow2 file.driver=fil",
      38,
      'file.driver: expected one of 42 words, and found "fil"; did you mean file?',
    ],
    [
      "blockdev-add driver=raw read-only=yes",
      34,
      'read-only: expected true|false, and found "yes"',
    ],
    [
      "blockdev-add driver=raw read-only.a=1",
      24,
      "read-only has no members: expected true|false",
    ],
    [
      "blockdev-add driver=raw file.filname=x file.driver=file",
      24,
      "blockdev-add has no argument file.filname; did you mean file.filename?",
    ],
  ];
  for (const [line, at, message] of cases) {
    const statement = statementOn(line);
    if (statement.kind !== "command") throw new Error(line);
    assertEquals([line, ...errorIn(() => checkArguments(schema, statement))], [line, at, message]);
  }
});

Deno.test("checkArguments() leaves to QEMU what the schema does not rule out", async () => {
  for (const version of ["7.2", "10.0", "11.1"]) {
    const schema = await schemaOf(version);
    for (
      const line of [
        "unknown a=1",
        "device_add driver=x anything=1",
        "blockdev-add driver=qcow2 file=node1 cache.direct=true",
        "blockdev-add driver=file filename=/x locking=auto",
        'blockdev-add driver=quorum vote-threshold=1 children=["a"]',
        // The driver that selects the members is not given yet.
        "blockdev-add filename=/x",
        'blockdev-add {"driver": 5}',
        "qom-set path=/a property=b value=[1]",
        "migrate uri=exec:cat",
        "transaction actions=[]",
        "set_password protocol=vnc password=x",
      ]
    ) {
      const statement = statementOn(line);
      if (statement.kind === "command") checkArguments(schema, statement);
    }
  }
});

Deno.test("hintFor() names the arguments that are missing", async () => {
  const schema = await schemaOf("7.2");
  const cases: readonly (readonly [line: string, hint: string])[] = [
    ["blockdev-del", " node-name=text"],
    ["blockdev-del ", "node-name=text"],
    ["blockdev-del node-", ""],
    ["blockdev-del node-name=x", ""],
    ["blockdev-add driver=file", " filename=text"],
    ["blockdev-add driver=qcow2 file.driver=file ", "file.filename=text"],
    ["query-status", ""],
    ["query-named-block-nodes ", "[flat=true|false]"],
    ["object-add {", ""],
    ["nothing ", ""],
    ["", ""],
  ];
  for (const [line, hint] of cases) assertEquals([line, hintFor(schema, line)], [line, hint]);
  assertEquals(hintFor(undefined, "blockdev-del"), "");
});

Deno.test("keptLine() keeps lines without secrets, as the audit does", () => {
  const cases: readonly (readonly [line: string, kept: string | undefined])[] = [
    ["query-status", "query-status"],
    ["blockdev-del  node-name='a b'", "blockdev-del  node-name='a b'"],
    [
      "set_password protocol=vnc password=geheim",
      'set_password {"protocol":"vnc","password":"(removed)"}',
    ],
    [
      'set_password {"protocol": "vnc", "password": "geheim"}',
      'set_password {"protocol":"vnc","password":"(removed)"}',
    ],
    [
      "object-add qom-type=secret id=s data=geheim",
      'object-add {"qom-type":"secret","id":"s","data":"(removed)"}',
    ],
    ["unknown-command x=geheim", "unknown-command"],
    ["hmp info block", "hmp info block"],
    ["hmp set_password vnc geheim", "hmp set_password (removed)"],
    ["\\watch 2 set_password password=geheim", '\\watch 2 set_password {"password":"(removed)"}'],
    ["\\save /tmp/x", "\\save /tmp/x"],
    [" stop", undefined],
    ["", undefined],
    ["set_password password='geheim", undefined],
    ["set_password geheim", undefined],
  ];
  for (const [line, kept] of cases) assertEquals([line, keptLine(line, false)], [line, kept]);
  assertEquals(keptLine("set_password vnc geheim", true), "set_password (removed)");
  assertEquals(keptLine("info block", true), "info block");
});

/** Returns a value as it is laid out. */
function laidOut(text: string, width: number): readonly string[] {
  return [...new JsonLayout(text, width, plain).lines()];
}

Deno.test("JsonLayout puts on a line what fits, and keeps every character of the values", () => {
  const text = '{"a": 18446744073709551615, "b": [], "c": {"d": "x, {y}: \\"z\\"", "e": null}}';
  assertEquals(laidOut(text, 100), [text]);
  assertEquals(laidOut(text, 44), [
    "{",
    '  "a": 18446744073709551615,',
    '  "b": [],',
    '  "c": {"d": "x, {y}: \\"z\\"", "e": null}',
    "}",
  ]);
  assertEquals(laidOut(text, 20).join("").replace(/ /g, ""), text.replace(/ /g, ""));
  assertEquals(laidOut('"long text"', 5), ['"long text"']);
  const [line] = [...new JsonLayout('{"a": [1, true]}', 80, painted).lines()];
  assertEquals(
    line,
    '{\x1b[34m"a"\x1b[0m: [\x1b[36m1\x1b[0m, \x1b[35mtrue\x1b[0m]}',
  );
});

Deno.test("JsonLayout makes only the lines that are wanted, of a value with 20 MB", () => {
  const text = `[${Array.from({ length: 1 << 20 }, (_, i) => `{"number": ${i}}`).join(", ")}]`;
  const layout = new JsonLayout(text, 80, plain);
  const lines = layout.lines();
  for (let i = 0; i < 10; i++) lines.next();
  assertEquals(lines.next().value, '  {"number": 9},');
  assertEquals(layout.taken < 200, true);
  const [long] = [...new JsonLayout(`"${"x".repeat(20 << 20)}"`, 80, plain).lines()];
  assertEquals(long!.length, 4096);
});

Deno.test("listOf() shows candidates in columns, or with their help, as far as there is room", () => {
  assertEquals(listOf([["driver=raw"], ["driver=qcow2"]], "driver=", 80, 24), "raw    qcow2");
  assertEquals(
    listOf([["a=", "text"], ["bcd.", "object"]], "", 80, 24),
    "a=    text\nbcd.  object",
  );
  const many = Array.from({ length: 500 }, (_, i): [string] => [`name${i}`]);
  const lines = listOf(many, "", 20, 10).split("\n");
  assertEquals([lines.length, lines.at(-1)], [7, "… 500 in all; type more of the word"]);
});

Deno.test("HistoryFile keeps the last lines, and makes a file private that others could read", () => {
  using place = makePlace();
  const path = `${place.path}/made/by/history`;
  const history = new HistoryFile(path);
  assertEquals(history.read(3), []);
  for (const line of ["a", "b", "c", "d"]) history.add(line);
  assertEquals(history.read(3), ["d", "c", "b"]);
  Deno.chmodSync(path, 0o644);
  const again = new HistoryFile(path);
  again.add("e");
  again.add("f");
  assertEquals(again.read(3), ["f", "e", "d"]);
  assertEquals(Deno.readTextFileSync(path), "d\ne\nf\n");
  assertEquals(Deno.statSync(path).mode! & 0o777, 0o600);
  assertThrows(() => new HistoryFile(place.path), Failure, "the history cannot be kept");
});

/**
 * `qmpmux shell` without a terminal: the lines of stdin at a monitor, and at QEMU through a qmpmux.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { emptyReturn, FakeQemu } from "./support/fake_qemu.ts";
import { within } from "./support/deadline.ts";
import { makePlace } from "./support/place.ts";
import { startQemu, WITHOUT_QEMU } from "./support/qemu.ts";
import { programCommand, startQmpmux } from "./support/qmpmux.ts";

/** The end of a run. */
interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the shell with lines on stdin. */
async function shell(path: string, lines: string, ...flags: string[]): Promise<Ran> {
  const [command, first] = programCommand();
  const child = new Deno.Command(command, {
    args: [...first, "shell", "--socket", path, ...flags],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const typing = child.stdin.getWriter();
  await typing.write(new TextEncoder().encode(lines));
  await typing.close();
  const { code, stdout, stderr } = await within("the shell to end", child.output());
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** A monitor that returns the arguments of `echo`. */
function echo(path: string): FakeQemu {
  return new FakeQemu(path, {
    answer({ name, id, argumentBytes }): string | undefined {
      if (name !== "echo") return undefined;
      const args = argumentBytes === undefined ? "{}" : new TextDecoder().decode(argumentBytes);
      return `{"return": ${args}${id === undefined ? "" : `, "id": ${id}`}}\r\n`;
    },
  });
}

Deno.test("qmpmux shell runs the lines of stdin, and prints a value for each", async () => {
  using place = makePlace();
  await using qemu = echo(`${place.path}/vm`);
  const lines = [
    'echo a=1 b.c=\'two words\' b.d=[1, {"e": 2}] f="x y"',
    "",
    "# a comment",
    'echo {"big": 18446744073709551615}',
    '  {"execute": "echo", "arguments": {"a": null}, "id": 7}',
    "echo",
    "echo last=1",
  ].join("\n");
  assertEquals(await shell(qemu.path, lines), {
    code: 0,
    stdout: [
      '{"a":1,"b":{"c":"two words","d":[1,{"e":2}]},"f":"x y"}',
      '{"big":18446744073709551615}',
      '{"a":null}',
      "{}",
      '{"last":1}',
      "",
    ].join("\n"),
    stderr: "",
  });
});

Deno.test("qmpmux shell without a terminal stops at the first error, and tells its place", async () => {
  using place = makePlace();
  await using qemu = echo(`${place.path}/vm`);
  const cases: readonly (readonly [line: string, code: number, said: string])[] = [
    ["fail", 1, "fail: CommandNotFound: The command fail has not been found"],
    ["echo a=1 b", 64, "column 10: invalid argument b: expected key=value, or one JSON object"],
    [
      "echo a.b=1 a=2",
      64,
      "column 12: a=2 sets a value that another argument sets too; remove one",
    ],
    ["echo a='b", 64, "column 8: the ' is not closed"],
    ["echo a=[1, {}", 64, "column 8: the [ is not closed"],
    ['echo {"a": 1,}', 64, "column 14: the JSON is not valid here"],
    ['echo {"a": 1} b', 64, "column 15: unexpected text behind the JSON"],
    [
      '{"exec": "echo"}',
      64,
      'column 1: expected {"execute": NAME, "arguments": {...}}, or a name in front',
    ],
    ["a=b", 64, "column 1: expected the name of a command, and found a=b"],
    ["\\tiem", 64, "column 1: \\tiem is unknown; did you mean \\time?"],
    ["\\json maybe", 64, "column 7: expected on or off"],
    ["}", 64, "column 1: no transaction has begun; begin one with {"],
    ["\\save", 64, "column 7: the name of a file is missing"],
  ];
  for (const [line, code, said] of cases) {
    assertEquals(await shell(qemu.path, `echo n=1\n${line}\necho n=2\n`), {
      code,
      stdout: '{"n":1}\n',
      stderr: `qmpmux: shell: line 2: ${said}\n`,
    });
  }
  assertEquals(await shell(qemu.path, "fail\necho a\necho n=2\n", "--keep-going"), {
    code: 1,
    stdout: '{"n":2}\n',
    stderr: "qmpmux: shell: line 1: fail: CommandNotFound: The command fail has not been found\n" +
      "qmpmux: shell: line 2: column 6: invalid argument a: expected key=value, or one JSON object\n",
  });
});

Deno.test("qmpmux shell exits with 69 if nothing listens", async () => {
  using place = makePlace();
  const { code, stderr } = await shell(`${place.path}/none`, "");
  assertEquals([code, stderr.includes("nothing listens there")], [69, true]);
});

Deno.test("qmpmux shell sends the actions between braces as one transaction", async () => {
  using place = makePlace();
  const path = `${place.path}/vm`;
  const sent: string[] = [];
  await using _qemu = new FakeQemu(path, {
    answer({ name, argumentBytes, id }): string | undefined {
      if (name !== "transaction") return undefined;
      sent.push(new TextDecoder().decode(argumentBytes));
      return emptyReturn({ id });
    },
  });
  const lines = [
    "{",
    "abort",
    "blockdev-snapshot node=a overlay=b",
    "} properties.completion-mode=grouped",
    "{",
    "abort",
    "\\cancel",
  ].join("\n");
  assertEquals(await shell(path, lines), { code: 0, stdout: "{}\n", stderr: "" });
  assertEquals(sent.map((each) => JSON.parse(each)), [{
    actions: [
      { type: "abort", data: {} },
      { type: "blockdev-snapshot", data: { node: "a", overlay: "b" } },
    ],
    properties: { "completion-mode": "grouped" },
  }]);
  assertEquals(await shell(path, "{\nabort\n"), {
    code: 64,
    stdout: "",
    stderr: "qmpmux: shell: stdin ends within a transaction; end it with a line }\n",
  });
});

Deno.test("qmpmux shell saves a value whole, and watches a command", async () => {
  using place = makePlace();
  await using qemu = echo(`${place.path}/vm`);
  const file = `${place.path}/saved file`;
  const ran = await shell(qemu.path, `\\watch 0.01x3 echo a=1\n\\save '${file}'\n`);
  assertEquals(ran, { code: 0, stdout: '{"a":1}\n'.repeat(3), stderr: "" });
  assertEquals(Deno.readTextFileSync(file), '{"a":1}\n');
  assertEquals(Deno.statSync(file).mode! & 0o777, 0o600);
});

Deno.test({
  name: "qmpmux shell talks to QEMU through a listener, and exits with 77 if its role refuses",
  ignore: WITHOUT_QEMU,
  fn: async () => {
    using place = makePlace();
    const [vm, mux, full] = ["vm", "mux", "full"].map((name) => `${place.path}/${name}`) as [
      string,
      string,
      string,
    ];
    await using _qemu = await startQemu(vm);
    await using _qmpmux = await startQmpmux([
      "--qemu",
      vm,
      "--listen",
      `${mux},role=observer`,
      "--listen",
      full,
    ]);
    const { code, stdout } = await shell(mux, "query-name\nstop\nquery-name\n");
    assertEquals([code, stdout], [77, "{}\n"]);
    const human = await shell(full, "hmp info name\nhmp\ninfo name\nqmp\nquery-name\n");
    assertEquals(human, {
      code: 0,
      stdout: '""\n""\n{}\n',
      stderr: "",
    });
  },
});

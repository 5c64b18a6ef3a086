/**
 * `qmpmux exec`: arguments from words, a value on stdout.
 *
 * @module
 */

import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { readArguments } from "../lib/cli/exec.ts";
import { FakeQemu } from "./support/fake_qemu.ts";
import { hostileMonitor } from "./support/hostile.ts";
import { UsageError } from "../lib/policy/usage_error.ts";
import { Lines } from "./support/lines.ts";
import { makePlace } from "./support/place.ts";
import { programCommand, runAt, runQmpmux, startQmpmux } from "./support/qmpmux.ts";

Deno.test("readArguments() keeps the spelling of values", () => {
  assertEquals(
    readArguments(["a=18446744073709551615", "b=on", "c=true", "d=1.0", "e=", "f=x=y"]),
    '{"a":18446744073709551615,"b":"on","c":true,"d":1.0,"e":"","f":"x=y"}',
  );
  assertEquals(readArguments([]), "{}");
});

Deno.test("readArguments() fills nested objects", () => {
  assertEquals(
    readArguments(["node-name=n", "file.driver=null-co", "file.size=1048576", 'x=["a"]']),
    '{"node-name":"n","file":{"driver":"null-co","size":1048576},"x":["a"]}',
  );
});

Deno.test("readArguments() keeps one JSON object unchanged", () => {
  assertEquals(readArguments(['{"a": 1e400}']), '{"a": 1e400}');
});

Deno.test("readArguments() reports what is wrong", () => {
  for (
    const words of [["x"], ["=1"], ["{"], ["{}", "a=1"], ["a=1", "a=2"], ["a=1", "a.b=2"], [
      "a.b=1",
      "a=2",
    ]]
  ) {
    assertThrows(() => readArguments(words), UsageError);
  }
});

Deno.test("qmpmux exec prints the returned value", async () => {
  using place = makePlace();
  await using qemu = new FakeQemu(`${place.path}/vm`, {
    answer: ({ name }) =>
      name === "big" ? '{"return": {"n": 18446744073709551615}}\r\n' : undefined,
  });
  const socket = ["--socket", qemu.path];
  assertEquals(await runQmpmux(["exec", ...socket, "big"]), {
    code: 0,
    stdout: '{"n": 18446744073709551615}\n',
    stderr: "",
  });
  assertEquals((await runQmpmux(["exec", "query-status"], { QMPMUX_SOCKET: qemu.path })).code, 0);
});

Deno.test("qmpmux exec exits silently if its output is a closed pipe", async () => {
  using place = makePlace();
  await using qemu = new FakeQemu(`${place.path}/vm`);
  const [command, first] = programCommand();
  const child = new Deno.Command(command, {
    args: [...first, "exec", "--socket", qemu.path, "query-status"],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  await child.stdout.cancel();
  const [words, { code }] = await Promise.all([new Lines(child.stderr).rest(), child.status]);
  assertEquals({ words, code }, { words: [], code: 1 });
});

Deno.test("qmpmux exec reports that its output cannot be written", async () => {
  using place = makePlace();
  await using qemu = new FakeQemu(`${place.path}/vm`);
  const [command, first] = programCommand();
  const program = [command, ...first, "exec", "--socket", qemu.path, "query-status"];
  const { code, stderr } = await new Deno.Command("sh", {
    args: ["-c", 'exec "$@" >/dev/full', "sh", ...program],
    stdin: "null",
  }).output();
  assertEquals(code, 1);
  assertMatch(
    new TextDecoder().decode(stderr),
    /^qmpmux: stdout cannot be written: No space .*\n$/,
  );
});

Deno.test("qmpmux exec exits with 1 if QEMU returns an error", async () => {
  using place = makePlace();
  await using qemu = new FakeQemu(`${place.path}/vm`);
  const { code, stdout, stderr } = await runQmpmux(["exec", "--socket", qemu.path, "nope"]);
  assertEquals({ code, stdout }, { code: 1, stdout: "" });
  assertEquals(stderr, "qmpmux: nope: CommandNotFound: The command nope has not been found\n");
});

Deno.test("each subcommand exits with 77 if a role refuses its command", async () => {
  using place = makePlace();
  await using _qemu = new FakeQemu(`${place.path}/vm`);
  const file = `${place.path}/x.toml`;
  const path = `${place.path}/mux`;
  Deno.writeTextFileSync(
    file,
    `qemu = "${place.path}/vm"\n[[role]]\nname = "none"\nrules = []\n` +
      `[[listen]]\naddress = "${path}"\nrole = "none"\n`,
  );
  await using mux = await startQmpmux(["--config", file]);
  await mux.log.until(/connected to QEMU/);
  for (
    const args of [
      ["exec", "cont"],
      ["wait", "--status", "running"],
      ["status"],
      ["clients"],
      ["kick", "a/1"],
      ["reload"],
      ["check", "--live"],
    ]
  ) {
    const { code, stderr } = await runAt(path, args, 20);
    assertEquals(code, 77, stderr);
    assertMatch(stderr, /^qmpmux: .*The command \S+ has been refused: role none[:,] .*\n$/);
  }
});

for (
  const [what, error] of [
    ["another error", { class: "GenericError", desc: "The command x has been refused: role y" }],
    ["another text", { class: "CommandNotFound", desc: "The command x has been refused: no" }],
  ] as const
) {
  Deno.test(`qmpmux exec does not report ${what} as a refusal by a role`, async () => {
    using place = makePlace();
    const said = `${JSON.stringify({ error })}\r\n`;
    await using _qemu = hostileMonitor(`${place.path}/vm`, "x", said);
    assertEquals((await runQmpmux(["exec", "--socket", `${place.path}/vm`, "x"])).code, 1);
  });
}

Deno.test("qmpmux exec names what is missing, and exits with the right status", async () => {
  using place = makePlace();
  const cases: [string[], number, RegExp][] = [
    [["exec", "query-status"], 64, /no monitor is named; give --socket/],
    [["exec", "--socket", "/x"], 64, /the command is missing/],
    [["exec", "--socket", "", "stop"], 64, /--socket: invalid address ""/],
    [["exec", "stop", "-s", "", "--timeout", "1"], 64, /--socket: invalid address ""/],
    [["exec", "--timeout", "", "-s", "/x", "stop"], 64, /invalid value "" for --timeout/],
    [["exec", "-s", "/x", "--until", "", "stop"], 64, /invalid value "" for --until/],
    [
      ["exec", "--socket", "/x", '{"execute": "stop"}'],
      64,
      /invalid command \{"execute": "stop"\}: expected a name; to run a line of JSON, write it to the stdin of exec -/,
    ],
    [["exec", "--socket", `${place.path}/none`, "stop"], 69, /nothing listens there/],
    [["exec", "--nope", "stop"], 64, /unknown flag --nope; see/],
  ];
  for (const [args, status, pattern] of cases) {
    const { code, stderr } = await runQmpmux(args);
    assertEquals(code, status, stderr);
    assertMatch(stderr, pattern);
  }
});

Deno.test("qmpmux exec reports a server that is not a monitor", async () => {
  using place = makePlace();
  await using qemu = new FakeQemu(`${place.path}/vm`, { greeting: "SSH-2.0-x\r\n" });
  const { code, stderr } = await runQmpmux(["exec", "--socket", qemu.path, "stop"]);
  assertEquals(code, 69);
  assertMatch(stderr, /does not speak QMP/);
});

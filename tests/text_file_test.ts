/**
 * Files that a command line names: those with arguments, with the configuration, with a schema.
 *
 * @module
 */

import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { readArguments } from "../lib/cli/exec.ts";
import { Failure } from "../lib/platform/failure.ts";
import { readTextFile } from "../lib/platform/text_file.ts";
import { UsageError } from "../lib/policy/usage_error.ts";
import { emptyReturn, FakeQemu } from "./support/fake_qemu.ts";
import { makePlace } from "./support/place.ts";
import { programCommand, runQmpmux } from "./support/qmpmux.ts";

Deno.test("readArguments() reads a file, on one line and with the spelling of its numbers", () => {
  using place = makePlace();
  const path = `${place.path}/args.json`;
  Deno.writeTextFileSync(path, '{\n  "size": 18446744073709551615,\n  "name": "\u00e9"\n}\n');
  assertEquals(readArguments([`@${path}`]), '{"size": 18446744073709551615, "name": "\\u00e9"}');
  Deno.writeTextFileSync(path, "[1]");
  assertThrows(() => readArguments([`@${path}`]), UsageError, "expected one JSON object");
  assertThrows(() => readArguments([`@${path}`, "a=1"]), UsageError, "unexpected argument a=1");
});

Deno.test("readArguments() reads a pipe", async () => {
  using place = makePlace();
  const path = `${place.path}/pipe`;
  assertEquals((await new Deno.Command("mkfifo", { args: [path] }).output()).code, 0);
  const args = ["-c", 'printf %s \'{"a": 1}\' >"$0"', path];
  const writer = new Deno.Command("sh", { args }).spawn();
  assertEquals(readArguments([`@${path}`]), '{"a": 1}');
  await writer.status;
});

Deno.test("qmpmux exec COMMAND @/dev/stdin reads the arguments from stdin", async () => {
  using place = makePlace();
  await using qemu = new FakeQemu(`${place.path}/vm`, {
    answer: (command) => emptyReturn(command),
  });
  const [command, first] = programCommand();
  const program = [command, ...first, "exec", "-s", qemu.path, "device_del", "@/dev/stdin"];
  const { code, stderr } = await new Deno.Command("sh", {
    args: ["-c", `echo '{"id": "d1"}' | "$@"`, "sh", ...program],
  }).output();
  assertEquals([code, new TextDecoder().decode(stderr)], [0, ""]);
  assertStringIncludes(qemu.heard.join(""), '"arguments":{"id": "d1"}');
});

for (const command of ["exec", "can"]) {
  Deno.test(`qmpmux ${command} COMMAND @FILE reports what is wrong with the file, with 64`, async () => {
    using place = makePlace();
    const path = `${place.path}/args`;
    const start = [...command === "exec" ? ["exec", "-s", "/x"] : ["can", "--as", "full"], "stop"];
    const wrong = async (file: string, ...more: string[]): Promise<string> => {
      const { code, stdout, stderr } = await runQmpmux([...start, `@${file}`, ...more]);
      assertEquals([code, stdout], [64, ""]);
      return stderr;
    };
    const begins = `qmpmux: ${command}: ${path}`;
    assertEquals(await wrong(""), `qmpmux: ${command}: @ names no file; write @FILE\n`);
    assertEquals(await wrong("", path), `qmpmux: ${command}: @ names no file; write @FILE\n`);
    assertEquals(await wrong(path), `${begins}: file not found; correct @FILE\n`);
    assertEquals(
      await wrong("-"),
      `qmpmux: ${command}: -: file not found; correct it (stdin is @/dev/stdin)\n`,
    );
    assertEquals(
      await wrong(place.path),
      `qmpmux: ${command}: ${place.path}: it is a directory; name a file\n`,
    );
    Deno.writeFileSync(path, Uint8Array.of(0x7b, 0x0a, 0x22, 0xe9, 0x22));
    assertEquals(
      await wrong(path),
      `${begins}:2: invalid UTF-8: byte 0xe9 at offset 3; write the file in UTF-8\n`,
    );
    Deno.writeTextFileSync(path, "[1]");
    assertEquals(
      await wrong(path),
      `${begins}: it is not an object; expected one JSON object with the arguments\n`,
    );
    assertEquals(
      await wrong("/dev/zero"),
      `qmpmux: ${command}: /dev/zero: the file has more than 67108864 bytes (64 MiB); shorten it\n`,
    );
  });
}

Deno.test("readTextFile() reports a file that is not UTF-8, with the line and the offset", () => {
  using place = makePlace();
  const path = `${place.path}/file`;
  const file = { path, flag: "--config", limit: 1 << 20, status: 78 } as const;
  Deno.writeTextFileSync(path, "\ufeff\u00e9\n");
  assertEquals(readTextFile(file), "\u00e9\n");
  Deno.writeFileSync(path, Uint8Array.of(0x61, 0x0a, 0x0a, 0xff));
  const failure = assertThrows(() => readTextFile(file), Failure);
  assertEquals(
    [failure.status, failure.message],
    [78, `${path}:3: invalid UTF-8: byte 0xff at offset 3; write the file in UTF-8`],
  );
});

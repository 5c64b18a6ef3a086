/**
 * `qmpmux exec -`: commands on stdin, replies on stdout.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { lossOf } from "../lib/cli/exec_lines.ts";
import { ConnectionLost } from "../lib/client/errors.ts";
import { FakeQemu, type FakeQemuManners } from "./support/fake_qemu.ts";
import { Lines } from "./support/lines.ts";
import { makePlace } from "./support/place.ts";
import { startQemu, WITHOUT_QEMU } from "./support/qemu.ts";
import { programCommand, runQmpmux } from "./support/qmpmux.ts";
import { BEFORE_SESSION, untilTimeout } from "./support/timeout.ts";

/** `qmpmux exec -` that is running. */
class Running implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly lines: Lines;
  readonly errors: Lines;

  constructor(path: string, ...args: string[]) {
    const [command, first] = programCommand();
    this.#child = new Deno.Command(command, {
      args: [...first, "exec", "--socket", path, ...args, "-"],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.lines = new Lines(this.#child.stdout);
    this.errors = new Lines(this.#child.stderr);
  }

  async type(...lines: (string | Uint8Array<ArrayBuffer>)[]): Promise<void> {
    for (const line of lines) {
      await this.#input.write(
        typeof line === "string" ? new TextEncoder().encode(`${line}\n`) : line,
      );
    }
  }

  /** Ends stdin; returns the exit status, and the lines that have not been read. */
  async end(): Promise<{ code: number; stdout: string[]; stderr: string[] }> {
    // After an error the program reads no more.
    await this.#input.close().catch(() => {});
    const stdout = await this.lines.rest();
    const stderr = await this.errors.rest();
    return { code: (await this.#child.status).code, stdout, stderr };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close().catch(() => {});
    await this.#child.status;
  }
}

const NAMED: NonNullable<FakeQemuManners["answer"]> = ({ name, id }) => {
  if (name === "qmp_capabilities") return undefined;
  const end = id === undefined ? "}" : `, "id": ${id}}`;
  return name === "bad"
    ? `{"error": {"class": "GenericError", "desc": "no"}${end}\r\n`
    : `{"return": "${name}"${end}\r\n`;
};

Deno.test("exec - prints each reply as it comes, with its id", async () => {
  using place = makePlace();
  await using qemu = new FakeQemu(`${place.path}/vm`, { answer: NAMED });
  const running = new Running(qemu.path);
  await running.type('{"execute": "one", "id": {"a": 18446744073709551615}}');
  assertEquals(await running.lines.next(), '{"return": "one", "id": {"a": 18446744073709551615}}');
  await running.type("", '{"execute": "two"}');
  assertEquals(await running.lines.next(), '{"return": "two"}');
  assertEquals(await running.end(), { code: 0, stdout: [], stderr: [] });
});

Deno.test("exec - ends with 1 if a command fails, and runs the others", async () => {
  using place = makePlace();
  await using qemu = new FakeQemu(`${place.path}/vm`, { answer: NAMED });
  const running = new Running(qemu.path);
  await running.type('{"execute": "bad", "id": 1}');
  assertEquals(
    await running.lines.next(),
    '{"id": 1, "error": {"class": "GenericError", "desc": "no"}}',
  );
  await running.type('{"execute": "good", "arguments": {}, "id": 2}');
  assertEquals(await running.end(), {
    code: 1,
    stdout: ['{"return": "good", "id": 2}'],
    stderr: [],
  });
});

for (
  const [line, because] of [
    ["nope", /line 2 of stdin: it is not an object; write \{"execute"/],
    ['{"execute": "a"', /line 2 of stdin: Expected .* in JSON at position 15; write/],
    ['{"run": "a"}', /line 2 of stdin: it has no member "execute"/],
    ['{"execute": 5}', /line 2 of stdin: "execute" is not a string/],
    ['{"execute": "a", "arguments": []}', /line 2 of stdin: "arguments" is not an object/],
    ['{"execute": "a", "argument": {}}', /line 2 of stdin: unexpected member "argument"/],
    [
      '{"execute": "a", "execute": "b"}',
      /line 2 of stdin: QEMU cannot read it: JSON parse error, duplicate key; write \{"execute"/,
    ],
    ['{"execute": "a", "exec\\u0075te": "b"}', /line 2 of stdin: .*, duplicate key; /],
    ['{"execute": "a", "arguments": {"b": 1, "b": 2}}', /line 2 of stdin: .*, duplicate key; /],
    ['{"execute": "a", "id": {"b": 1, "b": 2}}', /line 2 of stdin: .*, duplicate key; /],
    [
      '{"execute": "a", "id": "\\ud800"}',
      /line 2 of stdin: QEMU cannot read it: .*not a valid Unicode/,
    ],
  ] as const
) {
  Deno.test(`exec - with a line ${line} says so after the replies before it, with 64`, async () => {
    using place = makePlace();
    await using qemu = new FakeQemu(`${place.path}/vm`, { answer: NAMED });
    const running = new Running(qemu.path);
    await running.type('{"execute": "one"}', line);
    const { code, stdout, stderr } = await running.end();
    assertEquals([code, stdout], [64, ['{"return": "one"}']]);
    assertMatch(stderr.join("\n"), because);
    assertEquals(stderr.length, 1);
    assertEquals(qemu.heard.join("").match(/"execute":"[^"]*"/g), [
      '"execute":"qmp_capabilities"',
      '"execute":"one"',
    ]);
  });
}

for (
  const [what, bytes, said] of [
    ["not UTF-8", [0x7b, 0xff, 0x0a], /line 3 of stdin: invalid UTF-8: byte 0xff at offset 1; /],
    ["cut within a character", [0x7b, 0x22, 0xc3], /line 3 of stdin: invalid UTF-8: byte 0xc3 /],
  ] as const
) {
  Deno.test(`exec - with a line that is ${what} says so after the replies before it, with 64`, async () => {
    using place = makePlace();
    await using qemu = new FakeQemu(`${place.path}/vm`, { answer: NAMED });
    const running = new Running(qemu.path);
    await running.type('{"execute": "one"}', "", Uint8Array.from(bytes));
    const { code, stdout, stderr } = await running.end();
    assertEquals([code, stdout], [64, ['{"return": "one"}']]);
    assertMatch(stderr.join("\n"), said);
    assertEquals(stderr.length, 1);
  });
}

Deno.test("exec - with a line of more than 64 MiB says so after the replies before it, with 64", async () => {
  using place = makePlace();
  await using qemu = new FakeQemu(`${place.path}/vm`, { answer: NAMED });
  const running = new Running(qemu.path);
  await running.type('{"execute": "one"}');
  const blanks = new Uint8Array(1 << 20).fill(0x20);
  // The program reads no more than the limit.
  const typing = running.type(...Array.from({ length: 65 }, () => blanks)).catch(() => {});
  assertEquals(await running.lines.next(), '{"return": "one"}');
  assertEquals(
    await running.errors.next(),
    "qmpmux: exec: line 2 of stdin: it has more than 64 MiB, which no QEMU reads; shorten it",
  );
  await typing;
  assertEquals((await running.end()).code, 64);
});

Deno.test("exec - reads lines with CRLF, blank ones, and one without an end", async () => {
  using place = makePlace();
  await using qemu = new FakeQemu(`${place.path}/vm`, { answer: NAMED });
  const running = new Running(qemu.path);
  const text = '\ufeff{"execute": "one"}\r\n\r\n \t\n\n{"execute": "two"}\r\n{"execute": "three"}';
  // A chunk may end anywhere, even within a character.
  for (const byte of new TextEncoder().encode(text)) await running.type(Uint8Array.of(byte));
  assertEquals(await running.end(), {
    code: 0,
    stdout: ['{"return": "one"}', '{"return": "two"}', '{"return": "three"}'],
    stderr: [],
  });
});

for (
  const [what, redirection, code, said] of [
    ["is a directory", "</", 64, "stdin is a directory; redirect a file with commands, or a pipe"],
    ["can only be written", "0>out", 1, "stdin cannot be read: Bad file descriptor (os error 9)"],
    ["is /dev/null", "</dev/null", 0, undefined],
    ["is closed", "<&-", 0, undefined],
  ] as const
) {
  Deno.test(`exec - ends with ${code} if stdin ${what}`, async () => {
    using place = makePlace();
    await using qemu = new FakeQemu(`${place.path}/vm`, { answer: NAMED });
    const [command, first] = programCommand();
    const { code: ended, stdout, stderr } = await new Deno.Command("sh", {
      args: [
        "-c",
        `exec "$@" ${redirection}`,
        "sh",
        command,
        ...first,
        "exec",
        "-s",
        qemu.path,
        "-",
      ],
      cwd: place.path,
    }).output();
    const lines = said === undefined ? "" : `qmpmux: exec: ${said}\n`;
    const text = new TextDecoder();
    assertEquals([ended, text.decode(stdout), text.decode(stderr)], [code, "", lines]);
  });
}

Deno.test("exec - ends with 1 when the connection is lost, though stdin is open", async () => {
  using place = makePlace();
  await using qemu = new FakeQemu(`${place.path}/vm`, {
    answer: ({ name }, { hangUp }) => {
      if (name === "qmp_capabilities") return undefined;
      hangUp();
      return "";
    },
  });
  const running = new Running(qemu.path);
  await running.type('{"execute": "one"}');
  assertMatch(
    (await running.errors.next())!,
    /: one \(line 1\) got no reply, and its effect is unknown$/,
  );
  assertEquals((await running.end()).code, 1);
});

Deno.test("exec - prints the replies before a loss, and lists the commands that got none", async () => {
  using place = makePlace();
  await using qemu = new FakeQemu(`${place.path}/vm`, {
    answer: (command, connection) => {
      if (command.name === "last") connection.finish();
      return ["last", "two"].includes(command.name) ? "" : NAMED(command, connection);
    },
  });
  const running = new Running(qemu.path);
  await running.type('{"execute": "one"}\n\n{"execute": "two"}\n{"execute": "last"}');
  assertEquals(await running.lines.next(), '{"return": "one"}');
  assertMatch(
    (await running.errors.next())!,
    /: two \(line 3\), last \(line 4\) got no reply, and their effects are unknown$/,
  );
  assertEquals(await running.end(), { code: 1, stdout: [], stderr: [] });
});

for (const last of ["qmp_capabilities", "one"]) {
  Deno.test(`exec - ends with 1 when an idle connection ends after ${last}, though stdin is open`, async () => {
    using place = makePlace();
    await using qemu = new FakeQemu(`${place.path}/vm`, {
      answer: (command, connection) => {
        if (command.name === last) connection.finish();
        return NAMED(command, connection);
      },
    });
    const running = new Running(qemu.path);
    if (last === "one") {
      await running.type('{"execute": "one"}');
      assertEquals(await running.lines.next(), '{"return": "one"}');
    }
    assertMatch(
      (await running.errors.next())!,
      /vm: the other end has closed the connection while no command was in flight$/,
    );
    assertEquals(await running.end(), { code: 1, stdout: [], stderr: [] });
  });
}

Deno.test("exec - ends with 0 when QEMU has quit as told, though stdin is open", async () => {
  using place = makePlace();
  await using qemu = new FakeQemu(`${place.path}/vm`);
  const running = new Running(qemu.path);
  await running.type('{"execute": "quit"}');
  assertMatch((await running.lines.next())!, /^\{"return": \{\}/);
  assertEquals(await running.lines.rest(), []);
  assertEquals(await running.end(), { code: 0, stdout: [], stderr: [] });
});

Deno.test("lossOf() tells commands that were not sent from those that were", () => {
  const lost = ["stop", "cont", "stop", "stop"].map((name, at) => ({ name, line: at + 1 }));
  const messageOf = (sent: number): string =>
    lossOf(new ConnectionLost("lost", lost.slice(0, sent).map(({ name }) => name)), lost).message;
  assertEquals(
    messageOf(1),
    "lost: stop (line 1) got no reply, and its effect is unknown; cont (line 2), " +
      "stop (lines 3 to 4) were not sent",
  );
  assertEquals(
    messageOf(3),
    "lost: stop (line 1), cont (line 2), stop (line 3) got no reply, and their effects are " +
      "unknown; stop (line 4) was not sent",
  );
  assertEquals(
    messageOf(0),
    "lost: stop (line 1), cont (line 2), stop (lines 3 to 4) were not sent",
  );
});

Deno.test("exec - says at its timeout which commands got no reply, or that stdin did not end", async () => {
  using place = makePlace();
  await using qemu = new FakeQemu(`${place.path}/vm`);
  // Returns the message with `SECONDS` in place of the timeout.
  const messageOf = async (path: string, early: RegExp, ...lines: string[]): Promise<string> =>
    await untilTimeout(
      async (seconds) => {
        const running = new Running(path, "--timeout", String(seconds));
        await running.type(...lines);
        const message = await running.errors.next() ?? "";
        assertEquals(await running.end(), { code: 124, stdout: [], stderr: [] });
        return message.replace(`${seconds} s`, "SECONDS s");
      },
      (message) => early.test(message),
    );
  assertEquals(
    await messageOf(qemu.path, BEFORE_SESSION),
    "qmpmux: exec: stdin did not end within SECONDS s; no command is in flight",
  );
  await using silent = new FakeQemu(`${place.path}/silent`, {
    answer: ({ name }) => name === "qmp_capabilities" ? undefined : "",
  });
  const commands = '{"execute": "one"}\n\n{"execute": "two"}';
  assertEquals(
    await messageOf(silent.path, /greeting|stdin did not end|to one \(line 1\);/, commands),
    "qmpmux: exec: no reply within SECONDS s to one (line 1), two (line 3); they may still run",
  );
});

Deno.test({
  name: "exec - keeps the order of a thousand commands at a real QEMU",
  ignore: WITHOUT_QEMU,
  fn: async () => {
    using place = makePlace();
    await using qemu = await startQemu(`${place.path}/vm`);
    const running = new Running(qemu.path);
    const ids = Array.from({ length: 1000 }, (_, id) => id);
    const typing = running.type(
      ids.map((id) => `{"execute": "query-name", "id": ${id}}`).join("\n"),
    );
    for (const id of ids) assertEquals(await running.lines.next(), `{"return": {}, "id": ${id}}`);
    await typing;
    assertEquals((await running.end()).code, 0);
  },
});

Deno.test("exec - takes no arguments, and one socket", async () => {
  const more = await runQmpmux(["exec", "--socket", "/x", "-", "a=1"]);
  assertEquals([more.code, more.stderr], [
    64,
    "qmpmux: exec: unexpected argument a=1 after -; leave it out\n",
  ]);
  const glob = await runQmpmux(["exec", "--socket", "/x/*", "-"]);
  assertEquals([glob.code, glob.stderr], [
    64,
    "qmpmux: exec: - needs one socket; correct --socket\n",
  ]);
});

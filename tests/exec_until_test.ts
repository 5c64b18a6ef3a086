/**
 * `qmpmux exec COMMAND --until EVENT`: at a monitor that chooses the moment of its events, at QEMU, and
 * through a qmpmux.
 *
 * @module
 */

import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { hasAll, readMatch } from "../lib/cli/event_match.ts";
import type { QmpEvent } from "../lib/client/schema.ts";
import { UsageError } from "../lib/policy/usage_error.ts";
import type { Command } from "../lib/wire/message.ts";
import { emptyReturn, eventLine, FakeQemu, type FakeQemuConnection } from "./support/fake_qemu.ts";
import { makePlace } from "./support/place.ts";
import { startQemu, WITHOUT_QEMU } from "./support/qemu.ts";
import { runQmpmux, startQmpmux } from "./support/qmpmux.ts";
import { BEFORE_REPLY, BEFORE_SESSION, runToTimeout } from "./support/timeout.ts";

function eventWith(data: object): QmpEvent {
  return { name: "X", data, timestamp: { seconds: 1, microseconds: 2 }, text: "" };
}

function matches(data: object, ...words: string[]): boolean {
  return hasAll(eventWith(data), words.map((word) => readMatch("exec", word)));
}

Deno.test("hasAll() compares values as JSON, and strings also as they are written", () => {
  const data = {
    id: "3",
    n: 3,
    big: 18446744073709551615n,
    on: true,
    none: null,
    text: "null",
    nested: { path: "a=b", list: [{ x: 1 }, { x: 2 }] },
    "__com.example_x": { y: 1 },
  };
  for (
    const word of [
      "id=3",
      'id="3"',
      "n=3",
      "n=3.0",
      "big=18446744073709551615",
      "on=true",
      "none=null",
      "text=null",
      "nested.path=a=b",
      "nested.list.1.x=2",
      "__com.example_x.y=1",
    ]
  ) {
    assertEquals(matches(data, `data.${word}`), true, word);
  }
  for (
    const word of [
      "id=4",
      'n="3"',
      "n=03",
      "big=18446744073709551614",
      "on=1",
      "on=",
      "nested=1",
      "nested.list.2.x=2",
      "missing=null",
      "id.length=1",
      "constructor.name=Object",
    ]
  ) {
    assertEquals(matches(data, `data.${word}`), false, word);
  }
});

Deno.test("hasAll() needs every value", () => {
  assertEquals(matches({ a: 1, b: 2 }, "data.a=1", "data.b=2"), true);
  assertEquals(matches({ a: 1, b: 2 }, "data.a=1", "data.b=3"), false);
  assertEquals(matches({}), true);
});

Deno.test("readMatch() refuses what no event can have", () => {
  for (
    const word of ["", "data", "data.a", "=1", "device=x", "data.=1", "data.a={}", "data.a=[1"]
  ) {
    assertThrows(() => readMatch("exec", word), UsageError, `invalid value "${word}" for --match`);
  }
});

/** Returns a fake QEMU that has its own reply to the command `go`. */
function fakeQemu(
  path: string,
  go: (id: Command["id"], at: FakeQemuConnection) => string,
): FakeQemu {
  return new FakeQemu(path, {
    answer({ name, id }, connection): string | undefined {
      if (name === "go") return go(id, connection);
      // An event right behind the reply to each command before.
      if (name.startsWith("__org") || name === "qmp_capabilities") {
        return emptyReturn({ id }) + eventLine("STOP", { n: 0 });
      }
      return undefined;
    },
  });
}

function execGo(path: string, ...more: string[]): ReturnType<typeof runQmpmux> {
  return runQmpmux(["exec", "--socket", path, "go", "--until", "STOP", ...more]);
}

const STOP = String.raw`\{"timestamp": \{.*\}, "event": "STOP", "data": \{"n": `;

Deno.test("qmpmux exec --until prints the value, then the event, even if that comes first", async () => {
  using place = makePlace();
  const path = `${place.path}/vm`;
  await using _qemu = fakeQemu(
    path,
    (id) => eventLine("STOP", { n: 1 }) + emptyReturn({ id }) + eventLine("STOP", { n: 2 }),
  );
  const { code, stdout, stderr } = await execGo(path);
  assertEquals([code, stderr], [0, ""]);
  // The events before the command do not count.
  assertMatch(stdout, new RegExp(`^\\{\\}\n${STOP}1\\}\\}\n$`));
});

Deno.test("qmpmux exec --until waits for an event that has all values of --match", async () => {
  using place = makePlace();
  const path = `${place.path}/vm`;
  await using _qemu = fakeQemu(
    path,
    (id) =>
      [{ n: 1, id: "a" }, { n: 1, id: "b" }, { n: 2, id: "a" }, { n: 2, id: "b" }]
        .map((data) => eventLine("STOP", data)).join("") + emptyReturn({ id }),
  );
  const { code, stdout } = await execGo(path, "--match", "data.n=2", "--match", "data.id=b");
  assertEquals(code, 0);
  assertMatch(stdout, new RegExp(`^\\{\\}\n${STOP}2, "id": "b"\\}\\}\n$`));
});

Deno.test("qmpmux exec --until takes a glob", async () => {
  using place = makePlace();
  const path = `${place.path}/vm`;
  await using _qemu = fakeQemu(
    path,
    (id) => emptyReturn({ id }) + eventLine("RESET") + eventLine("BLOCK_JOB_READY"),
  );
  const { code, stdout } = await runQmpmux(
    ["exec", "--socket", path, "go", "--until", "BLOCK_JOB_*"],
  );
  assertEquals(code, 0);
  assertMatch(stdout, /^\{\}\n\{.*"event": "BLOCK_JOB_READY"\}\n$/);
});

Deno.test("qmpmux exec --until ends with the error of the command, and does not wait", async () => {
  using place = makePlace();
  const path = `${place.path}/vm`;
  await using _qemu = fakeQemu(
    path,
    () => '{"error": {"class": "GenericError", "desc": "no"}}\r\n',
  );
  assertEquals(await execGo(path), {
    code: 1,
    stdout: "",
    stderr: "qmpmux: go: GenericError: no\n",
  });
});

for (
  const [what, early, go, stdout, said] of [
    [
      "the reply",
      BEFORE_SESSION,
      () => "",
      "",
      "no reply within SECONDS s; the command may still run",
    ],
    [
      "the event",
      BEFORE_REPLY,
      emptyReturn,
      "{}\n",
      "no event STOP with data.n=1 arrived within SECONDS s",
    ],
  ] as const
) {
  Deno.test(`qmpmux exec --until --timeout counts for ${what}`, async () => {
    using place = makePlace();
    const path = `${place.path}/vm`;
    await using _qemu = fakeQemu(path, (id) => go({ id }));
    const args = ["exec", "go", "--until", "STOP", "--match", "data.n=1"];
    assertEquals(await runToTimeout(path, args, early), {
      code: 124,
      stdout,
      stderr: `qmpmux: exec: ${said}\n`,
    });
  });
}

for (
  const [what, said, stdout, stderr] of [
    ["before the reply", "", "", /go got no reply, and its effect is unknown\n$/],
    [
      "before the event",
      emptyReturn({ id: undefined }),
      "{}\n",
      /^qmpmux: exec: QEMU disconnected before an event STOP arrived\n$/,
    ],
  ] as const
) {
  Deno.test(`qmpmux exec --until fails if QEMU disconnects ${what}`, async () => {
    using place = makePlace();
    const path = `${place.path}/vm`;
    await using _qemu = fakeQemu(path, (_, connection) => {
      connection.finish();
      return said;
    });
    const result = await execGo(path);
    assertEquals([result.code, result.stdout], [1, stdout]);
    assertMatch(result.stderr, stderr);
  });
}

Deno.test("qmpmux exec --until fails if qmpmux keeps the client, but loses QEMU", async () => {
  using place = makePlace();
  await using qemu = fakeQemu(`${place.path}/vm`, (id, connection) => {
    connection.finish();
    return emptyReturn({ id });
  });
  const path = `${place.path}/mux`;
  await using _mux = await startQmpmux(
    ["--qemu", qemu.path, "--listen", path, "--on-loss", "hold"],
  );
  assertEquals(await execGo(path), {
    code: 1,
    stdout: "{}\n",
    stderr: "qmpmux: exec: QEMU disconnected before an event STOP arrived\n",
  });
});

Deno.test("qmpmux exec refuses --until and --match where they mean nothing", async () => {
  const cases: [string[], RegExp][] = [
    [["go", "--match", "data.a=1"], /--match needs --until EVENT/],
    [["-", "--until", "STOP"], /--until needs one command/],
    [["go", "--until", "STOP", "--socket", "/x/*"], /--until needs one socket/],
    [["--until", "STOP"], /the command is missing/],
    [["go", "--until", "STPO"], /--until: unknown event "STPO"; did you mean "STOP"\?/],
    [["go", "--until", "a b"], /invalid value "a b" for --until: expected the name of an event/],
    [["go", "--until", "STOP", "--match", "x"], /invalid value "x" for --match: expected PATH=/],
    [["go", "--until", "STOP", "--until", "RESET"], /--until is given twice/],
  ];
  for (const [args, pattern] of cases) {
    const { code, stderr } = await runQmpmux(["exec", ...args], { QMPMUX_SOCKET: "/x" });
    assertEquals(code, 64, stderr);
    assertMatch(stderr, pattern);
  }
});

Deno.test({
  name: "qmpmux exec --until gets the end of jobs that end before their reply",
  ignore: WITHOUT_QEMU,
  async fn(): Promise<void> {
    using place = makePlace();
    await using qemu = await startQemu(`${place.path}/vm`);
    const file = `${place.path}/disk`;
    Deno.writeFileSync(file, new Uint8Array(0));
    const node = `{"driver": "file", "node-name": "n", "filename": "${file}"}`;
    assertEquals((await runQmpmux(["exec", "-s", qemu.path, "blockdev-add", node])).code, 0);
    const create = async (path: string, id: string): Promise<void> => {
      const { code, stdout, stderr } = await runQmpmux([
        ...["exec", "-s", path, "blockdev-create", `job-id=${id}`],
        ...["options.driver=qcow2", "options.file=n", "options.size=1048576"],
        ...["--until", "JOB_STATUS_CHANGE"],
        ...["--match", `data.id=${id}`, "--match", "data.status=concluded"],
      ]);
      assertEquals([code, stderr], [0, ""]);
      assertMatch(stdout, new RegExp(`^\\{\\}\n.*"status": "concluded", "id": "${id}"\\}\\}\n$`));
    };
    for (const id of ["j1", "j2", "j3"]) await create(qemu.path, id);
    const path = `${place.path}/mux`;
    await using _mux = await startQmpmux(["--qemu", qemu.path, "--listen", path]);
    for (const id of ["j4", "j5", "j6"]) await create(path, id);
  },
});

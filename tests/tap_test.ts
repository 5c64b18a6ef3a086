/**
 * The live tap: `qmpmux tap`, and `__org.qmpmux_tap` on the control socket.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { parseControl } from "../lib/config/recording.ts";
import { openTap, type TapDeps } from "../lib/daemon/control_tap.ts";
import { Taps } from "../lib/observe/taps.ts";
import { readHeader, readRecordingLine } from "../lib/observe/recording_reader.ts";
import { TestClient } from "./support/client.ts";
import { FakeQemu } from "./support/fake_qemu.ts";
import { Lines } from "./support/lines.ts";
import { makePlace } from "./support/place.ts";
import { startQemu, WITHOUT_QEMU } from "./support/qemu.ts";
import { kill, programCommand, runQmpmux, startQmpmux, type TestQmpmux } from "./support/qmpmux.ts";
import { GREETING, Stage, type StageClient } from "./support/stage.ts";

/** A running `qmpmux tap`. */
interface RunningTap extends AsyncDisposable {
  readonly lines: Lines;
  readonly ended: Promise<Deno.CommandStatus>;
}

function startTap(control: string, args: readonly string[]): RunningTap {
  const [command, first] = programCommand();
  const child = new Deno.Command(command, {
    args: [...first, "tap", "--control", control, ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = new Lines(child.stdout);
  return {
    lines,
    ended: child.status,
    async [Symbol.asyncDispose](): Promise<void> {
      kill(child);
      await child.status;
      await lines.rest();
    },
  };
}

function serve(place: string, qemu: string): Promise<TestQmpmux> {
  return startQmpmux(
    ["--qemu", qemu, "--listen", `${place}/mux,identity=on`, "--control", `${place}/control`],
    { listeners: 2 },
  );
}

Deno.test({
  name: "qmpmux tap prints each command with its answer, who sent it, and how long it took",
  ignore: WITHOUT_QEMU,
  async fn(): Promise<void> {
    using place = makePlace();
    await using qemu = await startQemu(`${place.path}/vm`);
    await using qmpmux = await serve(place.path, qemu.path);
    await using tap = startTap(`${place.path}/control`, []);
    await tap.lines.until(/^-- \d{4}-\d\d-\d\d UTC$/);
    await qmpmux.log.until(/connected to QEMU/);
    const client = await TestClient.ready(`${place.path}/mux`);
    await client.ask({
      execute: "set_password",
      arguments: { protocol: "vnc", password: "hunter2" },
    });
    await client.ask({ execute: "query-status" });
    client[Symbol.dispose]();
    await tap.lines.until(/ disconnected: left$/);
    const told = tap.lines.seen.filter((line) => line.includes(" mux/1 "));
    const shape = [
      /^[\d:.]{12} mux\/1 \(deno[^ )]* \d+\): connected: role full, dialect qmp, mode negotiation$/,
      /: qmp_capabilities \{"enable":\[\]\} → \{\} \[waited [\d.]+ [µm]?s\]$/,
      /: set_password \{"protocol":"vnc","password":"\(removed \w{16}\)"\} → \w+: .* \[waited .*, ran .*s\]$/,
      /: query-status → \{"status": .*\} \[waited [\d.]+ [µm]?s, ran [\d.]+ [µm]?s\]$/,
      /: disconnected: left$/,
    ];
    assertEquals(told.length, shape.length, told.join("\n"));
    for (const [index, line] of told.entries()) assertMatch(line, shape[index]!);
    qmpmux.kill("SIGTERM");
    assertEquals((await tap.ended).code, 0);
  },
});

Deno.test({
  name:
    "qmpmux tap --json prints the lines of a recording; the filters choose, and their lines fit together",
  ignore: WITHOUT_QEMU,
  async fn(): Promise<void> {
    using place = makePlace();
    await using qemu = await startQemu(`${place.path}/vm`);
    await using qmpmux = await serve(place.path, qemu.path);
    await qmpmux.log.until(/connected to QEMU/);
    await using tap = startTap(
      `${place.path}/control`,
      ["--json", "--command", "query-*", "--event", "RESUME", "--event", "SHUTDOWN"],
    );
    const header = await tap.lines.next();
    assert(!("wrong" in readHeader(header!)));
    using client = await TestClient.ready(`${place.path}/mux`);
    await client.session({ execute: "cont" }, 2);
    await client.session({ execute: "stop" }, 2);
    await client.ask({ execute: "query-name", id: [1] });
    await tap.lines.until(/"side":"client".*"kind":"reply"/);
    const lines = tap.lines.seen.slice(1).map((line) => {
      assert(!("wrong" in readRecordingLine(line)), line);
      return JSON.parse(line);
    });
    const numberOf = (find: (line: Record<string, unknown>) => boolean): number =>
      lines.findIndex(find) + 2;
    const command = numberOf(({ side, kind }) => side === "client" && kind === "command");
    const sent = numberOf(({ side, kind }) => side === "qemu" && kind === "command");
    assertEquals(
      lines.filter(({ kind }) => !["connect", "greeting"].includes(kind as string))
        .map(({ side, kind, of, for: served }) => [side, kind, of ?? served]),
      [
        ["qemu", "event", undefined],
        ["client", "event", undefined],
        ["client", "command", undefined],
        ["qemu", "command", [command]],
        ["qemu", "reply", sent],
        ["client", "reply", command],
      ],
    );
    assertEquals(lines.at(-1).text, '{"return": {}, "id": [1]}');
  },
});

Deno.test("a tap that does not read loses lines and is told how many; the others do not notice", async () => {
  using place = makePlace();
  const long = "x".repeat(60_000);
  await using qemu = new FakeQemu(`${place.path}/vm`, {
    answer: ({ name }) => name === "query-name" ? `{"return": {"name": "${long}"}}\r\n` : undefined,
  });
  await using _qmpmux = await serve(place.path, qemu.path);
  using tap = await TestClient.ready(`${place.path}/control`);
  assertEquals(await tap.ask({ execute: "__org.qmpmux_tap" }), '{"return": {}}');
  using client = await TestClient.ready(`${place.path}/mux`);
  const commands = 200;
  for (let count = 0; count < commands; count++) await client.ask({ execute: "query-name" });
  const data = async (): Promise<Record<string, unknown>> => {
    const { event, data } = JSON.parse(await tap.line());
    assertEquals(event, "__org.qmpmux_TAP");
    return data;
  };
  assertEquals((await data())["qmpmux-recording"], 1);
  let [messages, dropped, number] = [0, 0, 1];
  const ofClient = new Map<number, Record<string, unknown>>();
  while (dropped === 0) {
    // A line after the loss tells of it.
    await client.ask({ execute: "query-name" });
    const line = await data();
    number++;
    if (line["dropped"] !== undefined) dropped = line["dropped"] as number;
    else messages++;
    ofClient.set(number, line);
    const { of, kind } = line;
    if (of !== undefined && kind === "reply") {
      assertEquals([ofClient.get(of as number)!["kind"]], ["command"]);
    }
  }
  assert(messages > 0 && dropped > 10, `${messages} ${dropped}`);
});

Deno.test("a listener refuses __org.qmpmux_tap, and qmpmux tap names what it needs", async () => {
  using place = makePlace();
  await using qemu = new FakeQemu(`${place.path}/vm`);
  await using _qmpmux = await startQmpmux(
    ["--qemu", qemu.path, "--listen", `${place.path}/mux,role=admin`],
  );
  using client = await TestClient.ready(`${place.path}/mux`);
  const refusal = await client.ask({ execute: "__org.qmpmux_tap" });
  assertMatch(refusal, /A tap needs a control socket; connect to that of --control/);
  const asked = await runQmpmux(["tap", "--control", `${place.path}/mux`]);
  assertEquals([asked.code, asked.stdout], [1, ""]);
  assertMatch(asked.stderr, /^qmpmux: tap: A tap needs a control socket/);
  const none = await runQmpmux(["tap"]);
  assertEquals(none.code, 64);
  assertMatch(none.stderr, /no control socket is named; give --control ADDR or set QMPMUX_CONTROL/);
});

/** A VM, and administrators on a control socket. */
class Host {
  readonly taps = new Taps();
  readonly vm = new Stage();
  readonly control: Stage;
  readonly #grant = parseControl("/run/control").grant;
  readonly #flushes: (() => void)[] = [];

  constructor(user = 1000) {
    const deps: TapDeps = {
      taps: this.taps,
      clock: {
        now: () => 0,
        timeOfDay: () => 1.5,
        after: (_, run) => {
          this.#flushes.push(run);
          return () => {};
        },
      },
      version: "1.2.3",
      vm: "vm1",
      libc: { c: { geteuid: () => user } } as unknown as TapDeps["libc"],
      failed: (error) => {
        throw error;
      },
    };
    this.control = new Stage(60, {
      openTap: (monitor, request, done) => openTap(monitor, request, deps, done),
    });
    this.taps.join(this.vm.mux.traffic);
  }

  /** Takes the messages that an administrator has got; several may have been sent together. */
  taken({ peer }: StageClient): string[] {
    for (const flush of this.#flushes.splice(0)) flush();
    return peer.take().flatMap((text) => text.split("\r\n"));
  }

  admin(name: string, uid?: number): StageClient {
    const admin = this.control.connect(name, this.#grant);
    if (uid !== undefined) {
      Object.assign(admin.peer, { identity: { pid: 1, uid, gid: uid } });
    }
    admin.say('{"execute":"qmp_capabilities"}');
    admin.peer.take();
    return admin;
  }
}

function tapCommand(args: object): string {
  return JSON.stringify({ execute: "__org.qmpmux_tap", arguments: args });
}

Deno.test("openTap() sends lines after its reply, and ends with its client", () => {
  const host = new Host();
  host.vm.qemuReady();
  const admin = host.admin("a");
  admin.say(tapCommand({}));
  const [reply, ...events] = host.taken(admin);
  assertEquals(reply, '{"return": {}}');
  assertEquals(JSON.parse(events[0]!), {
    timestamp: { seconds: 1, microseconds: 500000 },
    event: "__org.qmpmux_TAP",
    data: {
      "qmpmux-recording": 1,
      time: "1970-01-01T00:00:01.500Z",
      vm: "vm1",
      version: "1.2.3",
      removed: JSON.parse(events[0]!).data.removed,
      greeting: GREETING,
    },
  });
  assertEquals(events.length, 2);
  admin.leave();
  host.vm.ready("client");
  assertEquals(host.taken(admin), []);
});

Deno.test("openTap() replaces the earlier tap of its client, whose lines come before", () => {
  const host = new Host();
  host.vm.qemuReady();
  const admin = host.admin("a");
  admin.say(tapCommand({}));
  const client = host.vm.ready("client");
  admin.say(tapCommand({ client: ["other/*"], command: ["query-*"], events: ["STOP"] }));
  const kinds = host.taken(admin).map((line) => {
    const { return: value, data } = JSON.parse(line);
    return value === undefined ? data.kind ?? "header" : "return";
  });
  const before = ["return", "header", "greeting", "connect", "greeting", "command", "reply"];
  assertEquals(kinds, [...before, "return", "header", "greeting"]);
  client.say('{"execute":"query-block"}');
  assertEquals(host.taken(admin), []);
});

for (
  const [who, uid, user, allowed] of [
    ["root", 0, 1000, true],
    ["the user of qmpmux", 1000, 1000, true],
    ["another user", 1001, 1000, false],
    ["an unknown user", undefined, 1000, false],
  ] as const
) {
  Deno.test(`openTap() ${allowed ? "keeps secrets for" : "refuses secrets to"} ${who}`, () => {
    const host = new Host(user);
    host.vm.qemuReady();
    const admin = host.admin("a", uid);
    admin.say(tapCommand({ secrets: true }));
    const told = host.taken(admin);
    if (!allowed) {
      assertMatch(told.join(), /"desc": "Only root and the user of qmpmux may see secrets/);
      return;
    }
    assertEquals(JSON.parse(told[1]!).data.removed, null);
    const client = host.vm.ready("client");
    client.say('{"execute":"set_password","arguments":{"protocol":"vnc","password":"hunter2"}}');
    assertMatch(host.taken(admin).join(), /hunter2/);
  });
}

for (
  const [args, desc] of [
    [{ vm: "x" }, "Invalid parameter type for 'vm', expected: array"],
    [{ client: [1] }, "Invalid parameter type for 'client[0]', expected: string"],
    [{ secrets: null }, "Invalid parameter type for 'secrets', expected: boolean"],
    [{ events: Array(257).fill("X") }, "Too many event globs: 257 exceed the limit of 256"],
    [{ command: Array(257).fill("X") }, "Too many globs: 257 exceed the limit of 256"],
    [{ filter: [] }, "Parameter 'filter' is unexpected"],
  ] as const
) {
  Deno.test(`__org.qmpmux_tap refuses wrong arguments: ${desc}`, () => {
    const host = new Host();
    const admin = host.admin("a");
    admin.say(tapCommand(args));
    assertEquals(JSON.parse(host.taken(admin).join()).error.desc, desc);
  });
}

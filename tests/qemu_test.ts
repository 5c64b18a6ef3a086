/**
 * The main job on a real QEMU, with the program as users run it.
 *
 * One connection to QEMU; a monitor for every client; QEMU starts, exits and starts again. Nothing
 * is scripted: QEMU's own output is compared.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { TestClient, undated } from "./support/client.ts";
import { within } from "./support/deadline.ts";
import { makePlace } from "./support/place.ts";
import { startQemu, type TestQemu, WITHOUT_QEMU } from "./support/qemu.ts";
import { startQmpmux, type TestQmpmux } from "./support/qmpmux.ts";

/** A QEMU and a qmpmux in front of it, both ready, which exit with the test. */
interface Set extends AsyncDisposable {
  readonly directory: string;
  readonly qemu: TestQemu;
  readonly mux: TestQmpmux;
  /** The path on which clients connect. */
  readonly path: string;
  /** The port of the TCP listener, if there is one. */
  readonly tcpPort: number;
}

async function setUp({ options = "", extra = [], flags = [] }: {
  options?: string;
  extra?: readonly string[];
  flags?: readonly string[];
} = {}): Promise<Set> {
  await using made = new AsyncDisposableStack();
  const { path: directory } = made.use(makePlace());
  const qemu = made.use(await startQemu(`${directory}/vm`, extra));
  const path = `${directory}/mux`;
  const mux = made.use(
    await startQmpmux([
      "--qemu",
      `unix:${qemu.path}`,
      "--listen",
      `unix:${path}${options}`,
      ...flags,
    ]),
  );
  await mux.log.until(/connected to QEMU/);
  const tcpPort = Number(/tcp:.*:(\d+)/.exec(mux.listening.join(" "))?.[1] ?? 0);
  const owned = made.move();
  return { directory, qemu, mux, path, tcpPort, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Returns the machine's name from QEMU itself; never cached, never joined. */
const INFO_NAME = {
  execute: "human-monitor-command",
  arguments: { "command-line": "info name" },
};

/** A read-only command that returns an empty list, and runs at QEMU every time. */
const READ = "query-rx-filter";

function test(name: string, run: () => Promise<void>): void {
  Deno.test({ name, ignore: WITHOUT_QEMU, fn: run });
}

/** Lines of the kernel's table of unix sockets that name this path: the listener's and each connection's. */
function connectionsAt(path: string): number {
  const sockets = Deno.readTextFileSync("/proc/net/unix").split("\n")
    .filter((line) => line.endsWith(` ${path}`));
  // State 03 is connected; 01 is the listener itself.
  return sockets.filter((line) => line.split(/\s+/)[5] === "03").length;
}

test("53 clients share one connection, each with its own greeting, ids, oob, events and order", async () => {
  await using set = await setUp();
  using clients = new DisposableStack();
  const all: TestClient[] = [];
  for (let i = 0; i < 53; i++) all.push(clients.use(await TestClient.connect(set.path)));
  const greetings = await Promise.all(all.map((client) => client.line()));
  assertEquals(new Set(greetings).size, 1);
  assertMatch(greetings[0]!, /^\{"QMP": \{"version": \{"qemu": .*"capabilities": \["oob"\]\}\}$/);
  assertEquals(connectionsAt(set.qemu.path), 1);

  // Every third client enables oob, every fifth receives no events.
  const takesOob = (i: number): boolean => i % 3 === 0;
  const wantsEvents = (i: number): boolean => i % 5 !== 0;
  await Promise.all(all.map(async (client, i) => {
    const enable = takesOob(i) ? ["oob"] : [];
    const handshake = { execute: "qmp_capabilities", arguments: { enable }, id: i };
    assertEquals(await client.ask(handshake), `{"return": {}, "id": ${i}}`);
    if (!wantsEvents(i)) {
      const choose = { execute: "__org.qmpmux_set-event-filter", arguments: { enable: [] } };
      assertEquals(await client.ask(choose), '{"return": {}}');
    }
  }));

  // The same ids for all, of every kind, many at a time.
  const ids = ["18446744073709551615", '"x"', "null", '{"a": [1, 2]}', undefined];
  const commands = ids.map((id) => `{"execute":"${READ}"${id ? `,"id":${id}` : ""}}`).join("");
  const replies = ids.map((id) => `{"return": []${id ? `, "id": ${id}` : ""}}`);
  await Promise.all(all.map(async (client) => {
    assertEquals(await client.session(commands, ids.length), replies);
  }));

  await Promise.all(all.map(async (client, i) => {
    const line = await client.ask({ "exec-oob": "query-yank", id: i });
    if (takesOob(i)) assertMatch(line, new RegExp(`^\\{"return": \\[.*\\], "id": ${i}\\}$`));
    else assertMatch(line, /QMP input member 'exec-oob' is unexpected/);
  }));

  // One client starts the machine: it sees the event before the reply, and others see the event
  // too.
  const [first] = all.splice(1, 1);
  assertEquals((await first!.session({ execute: "cont", id: "go" }, 2)).map(undated), [
    '{"timestamp": …, "event": "RESUME"}',
    '{"return": {}, "id": "go"}',
  ]);
  await Promise.all(all.map(async (client, position) => {
    const i = position === 0 ? 0 : position + 1;
    if (wantsEvents(i)) {
      assertEquals(undated(await client.line()), '{"timestamp": …, "event": "RESUME"}');
    }
    assertEquals(await client.ask({ execute: READ, id: i }), `{"return": [], "id": ${i}}`);
  }));
  assertEquals(connectionsAt(set.qemu.path), 1);
});

test("a client gets QEMU's own greeting, byte for byte", async () => {
  await using set = await setUp();
  using client = await TestClient.connect(set.path);
  const greeting = await client.line();
  await using other = await startQemu(`${set.directory}/other`);
  using direct = await TestClient.connect(other.path);
  assertEquals(greeting, await direct.line());
});

test("exec-oob overtakes waiting commands, for the client that enabled it", async () => {
  await using set = await setUp({ options: ",cache=off" });
  using client = await TestClient.ready(set.path, ["oob"]);
  const slow = Array.from({ length: 6 }, (_, i) => `{"execute":"query-qmp-schema","id":${i}}`);
  await client.send(`${slow.join("")}{"exec-oob":"query-yank","id":"overtakes"}`);
  const ids: unknown[] = [];
  while (ids.length < 7) ids.push(JSON.parse(await client.line()).id);
  assert(ids.indexOf("overtakes") < 5, ids.join(" "));
  assertEquals(ids.filter((id) => id !== "overtakes"), [0, 1, 2, 3, 4, 5]);
});

test("a qmpmux that starts before QEMU waits for it, as do its clients", async () => {
  using place = makePlace();
  const listen = `unix:${place.path}/mux`;
  await using mux = await startQmpmux(["--qemu", `${place.path}/vm`, "--listen", listen]);
  await mux.log.until(/QEMU's socket does not exist yet; waiting/);
  using client = await TestClient.connect(`${place.path}/mux`);
  // The commands are sent before QEMU is there, and answered when it is.
  await client.send('{"execute":"qmp_capabilities","id":1}{"execute":"query-name","id":2}');
  await using _qemu = await startQemu(`${place.path}/vm`);
  assertMatch(await client.line(), /^\{"QMP": /);
  assertEquals(await client.line(), '{"return": {}, "id": 1}');
  assertEquals(await client.line(), '{"return": {}, "id": 2}');
});

test("a client that gets no greeting is disconnected after the handshake timeout", async () => {
  using place = makePlace();
  const flags = ["--qemu", `${place.path}/vm`, "--listen", `${place.path}/mux`];
  await using _mux = await startQmpmux([...flags, "--handshake-timeout", "1"]);
  using client = await TestClient.connect(`${place.path}/mux`);
  assertEquals(await client.lines.rest(), []);
});

test("quit: all clients get SHUTDOWN and end of file, the sender its return; the next QEMU is served", async () => {
  await using set = await setUp();
  using asker = await TestClient.ready(set.path);
  using other = await TestClient.ready(set.path);
  using silent = await TestClient.connect(set.path);
  await silent.line();
  await asker.send({ execute: "quit", id: 1 });
  const shutdown =
    '{"timestamp": …, "event": "SHUTDOWN", "data": {"guest": false, "reason": "host-qmp-quit"}}';
  assertEquals((await asker.lines.rest()).map(undated), [shutdown, '{"return": {}, "id": 1}']);
  assertEquals((await other.lines.rest()).map(undated), [shutdown]);
  assertEquals(await silent.lines.rest(), []);
  await set.qemu.ended;

  using early = await TestClient.connect(set.path);
  await using _next = await startQemu(set.qemu.path, ["-name", "next"]);
  await early.line();
  await early.ask({ execute: "qmp_capabilities" });
  assertEquals(await early.ask({ execute: "query-name" }), '{"return": {"name": "next"}}');
});

test("qmpmux --once exits with status 0 when QEMU quits", async () => {
  await using set = await setUp({ flags: ["--once"] });
  using client = await TestClient.ready(set.path);
  await client.send({ execute: "quit" });
  assertEquals((await client.lines.rest()).length, 2);
  assertEquals((await within("qmpmux to exit", set.mux.ended)).code, 0);
  assertEquals([...Deno.readDirSync(set.directory)].map(({ name }) => name), []);
});

test("QEMU killed: every client reads its last bytes, then end of file", async () => {
  await using set = await setUp();
  using busy = await TestClient.ready(set.path, ["oob"]);
  using idle = await TestClient.ready(set.path);
  assertEquals(await busy.ask({ execute: READ, id: 1 }), '{"return": [], "id": 1}');
  set.qemu.kill("SIGSTOP");
  await busy.send({ execute: READ, id: 2 });
  await busy.send({ execute: READ, id: 3 });
  set.qemu.kill("SIGKILL");
  assertEquals(await busy.lines.rest(), []);
  assertEquals(await idle.lines.rest(), []);
});

test("20 QEMU restarts under load: every client gets only its own replies, and every disconnect", async () => {
  using place = makePlace();
  const path = `${place.path}/mux`;
  await using mux = await startQmpmux(["--qemu", `${place.path}/vm`, "--listen", path]);
  let restarts = 0;
  let answered = 0;

  /**
   * Connects one client after the other, each with its own ids, until the restarts are over.
   * Returns how many saw a disconnect.
   */
  const load = async (name: string): Promise<number> => {
    let told = 0;
    while (restarts < 20) {
      using client = await TestClient.connect(path);
      const machine = await session(client, name);
      if (machine !== undefined) told++;
    }
    return told;
  };

  /** Sends queries until the end of file; returns the name of the one machine that answered. */
  const session = async (client: TestClient, name: string): Promise<string | undefined> => {
    let machine: string | undefined;
    if (await client.lines.next() === undefined) return undefined;
    if (!await client.trySend({ execute: "qmp_capabilities" })) return undefined;
    if (await client.lines.next() === undefined) return undefined;
    for (let i = 0;; i++) {
      if (!await client.trySend({ ...INFO_NAME, id: `${name}-${i}` })) return machine;
      let line = await client.lines.next();
      while (line?.includes('"event"')) line = await client.lines.next();
      if (line === undefined) return machine;
      const reply = JSON.parse(line);
      assertEquals(reply.id, `${name}-${i}`);
      assertEquals(reply.return, machine ?? reply.return);
      machine = reply.return;
      answered++;
    }
  };

  const loads = Promise.all(["a", "b", "c", "d", "e"].map(load));
  // An error in it is reported at the end, where it is awaited.
  loads.catch(() => {});
  let last: TestQemu | undefined;
  while (restarts < 20) {
    last = await startQemu(`${place.path}/vm`, ["-name", `vm${restarts}`]);
    await mux.log.until(/connected to QEMU/);
    // Under load: wait for some replies, then end QEMU, each time in another way.
    using watch = await TestClient.ready(path);
    for (let i = 0; i < 30; i++) {
      assertEquals(JSON.parse(await watch.ask(INFO_NAME)).return, `vm${restarts}\r\n`);
      // A cached reply is the present QEMU's too.
      const kept = JSON.parse(await watch.ask({ execute: "query-name" }));
      assertEquals(kept.return.name, `vm${restarts}`);
    }
    restarts++;
    if (restarts % 2) await watch.send({ execute: "quit" });
    else last.kill("SIGKILL");
    await watch.lines.rest();
    await last[Symbol.asyncDispose]();
  }
  // A client that has connected meanwhile waits for a QEMU: the last one.
  await using _end = await startQemu(`${place.path}/vm`);
  await mux.log.until(/connected to QEMU/);
  using closing = await TestClient.ready(path);
  await closing.send({ execute: "quit" });
  const told = await within("the load to end", loads);
  for (const count of told) assert(count >= 19, `told ${told.join(" ")}`);
  assert(answered > 200, `${answered} answers`);
});

test("a late reply to an earlier qmpmux reaches no client of the next", async () => {
  await using set = await setUp();
  {
    using client = await TestClient.ready(set.path, ["oob"]);
    await client.send('{"execute":"query-qmp-schema"}'.repeat(3));
    await client.line();
    set.mux.kill("SIGKILL");
    await set.mux.ended;
  }
  const path = `${set.directory}/second`;
  await using second = await startQmpmux(["--qemu", set.qemu.path, "--listen", path]);
  await second.log.until(/connected to QEMU/);
  using client = await TestClient.connect(path);
  await client.send('{"execute":"qmp_capabilities","id":1}{"execute":"query-name","id":2}');
  assertMatch(await client.line(), /^\{"QMP": /);
  assertEquals(await client.line(), '{"return": {}, "id": 1}');
  assertEquals(await client.line(), '{"return": {}, "id": 2}');
});

test("a client that disconnects takes its unsent commands with it", async () => {
  await using set = await setUp({ options: ",cache=off" });
  {
    using leaver = await TestClient.ready(set.path, ["oob"]);
    await leaver.send('{"execute":"query-qmp-schema"}'.repeat(5) + '{"execute":"cont"}');
  }
  using other = await TestClient.ready(set.path);
  const status = JSON.parse(await other.ask({ execute: "query-status" }));
  assertEquals(status.return.running, false);
});

test("a client that ends its stream gets all its replies", async () => {
  await using set = await setUp();
  using client = await TestClient.connect(set.path);
  const ask = `{"execute":"${READ}","id":7}`;
  await client.send(`{"execute":"qmp_capabilities"}${ask.repeat(20)}{"execute":"que`);
  await client.finish();
  const [greeting, ...replies] = await client.lines.rest();
  assertMatch(greeting!, /^\{"QMP": /);
  assertEquals(replies, ['{"return": {}}', ...Array(20).fill('{"return": [], "id": 7}')]);
});

test("a client that does not read and one that sends malformed data affect only themselves", async () => {
  await using set = await setUp({ options: ",cache=off" });
  using stalled = await TestClient.ready(set.path);
  const count = 100;
  await stalled.send(
    Array.from({ length: count }, (_, i) => `{"execute":"query-qmp-schema","id":${i}}`).join(""),
  );
  using broken = await TestClient.ready(set.path);
  await broken.send("\xff{]}garbage[[[[".repeat(100));
  using other = await TestClient.ready(set.path);
  for (let i = 0; i < 50; i++) {
    assertEquals(await other.ask({ execute: READ, id: i }), `{"return": [], "id": ${i}}`);
  }
  // It reads again, and nothing is lost.
  for (let i = 0; i < count; i++) assertEquals(JSON.parse(await stalled.line()).id, i);
});

test("the session in the RFC of 2010 works, with a command that exists today", async () => {
  await using set = await setUp({ options: ",dialect=rfc2010" });
  using client = await TestClient.connect(set.path);
  using other = await TestClient.connect(set.path);
  assertEquals(await client.line(), '{"QMP": {"capabilities": ["async messages"]}}');
  await other.line();
  assertEquals(
    await client.session(
      `{ "execute": "query-qmp-mode" }
       { "execute": "cont" }
       { "execute": "async_msg_enable", "arguments": { "name": "STOP" } }
       { "execute": "qmp_switch_mode", "arguments": { "mode": "operational" } }
       { "execute": "query-qmp-mode" }
       { "execute": "cont" }`,
      6,
    ),
    [
      '{"return": {"mode": "handshake"}}',
      '{"error": {"class": "QMPInvalidModeCommad", "desc": "The issued command is invalid in this mode", "data": {}}}',
      '{"return": {}}',
      '{"return": {}}',
      '{"return": {"mode": "operational"}}',
      '{"return": {}}',
    ],
  );
  assertEquals((await client.session({ execute: "stop", id: 1 }, 2)).map(undated), [
    '{"timestamp": …, "event": "STOP"}',
    '{"return": {}, "id": 1}',
  ]);
  // QEMU refuses the command in the RFC.
  assertEquals(
    await client.ask({ execute: "change", arguments: { device: "vnc", target: "password" } }),
    '{"error": {"class": "CommandNotFound", "desc": "The command change has not been found", "data": {}}}',
  );
  assertEquals(
    await other.session('{"execute":"query-qmp-mode"}{"execute":"query-version","id":[]}', 2)
      .then(([mode, version]) => [mode, JSON.parse(version!).id]),
    ['{"return": {"mode": "handshake"}}', []],
  );
});

test("in front of a pretty monitor every client's monitor is pretty, byte for byte", async () => {
  using place = makePlace();
  await using made = new AsyncDisposableStack();
  const [direct, behind] = [`${place.path}/direct`, `${place.path}/behind`];
  for (const path of [direct, behind]) {
    const pretty = ["-qmp-pretty", `unix:${path},server=on,wait=off`];
    made.use(await startQemu(`${path}-plain`, pretty));
  }
  const mux = made.use(await startQmpmux(["--qemu", behind, "--listen", `${place.path}/mux`]));
  await mux.log.until(/connected to QEMU/);
  const enable = '{"execute":"qmp_capabilities","arguments":{"enable":["oob"]},"id":[]}';
  const session = [
    '{"execute":"query-status","id":0}',
    enable,
    '{"execute":"query-status","id":{"b":[1,{}],"a":"x, {y"}}{"execute":"nope","id":[1,[2]]}',
    '{]{"execute":"query-name","arguments":{"x":1}}',
    '{"exec-oob":"nope","id":"o"}',
    '{"exec-oob":"yank","arguments":{"instances":[]},"id":{}}',
    '{"execute":"cont"}{"execute":"stop"}{"execute":"query-kvm","id":"last"}',
  ];
  const heard = async (path: string): Promise<string> => {
    using client = await TestClient.connect(path);
    const lines: string[] = [];
    for (const [step, text] of session.entries()) {
      // The test waits for each out-of-band command alone, because the position of its reply is not
      // specified.
      await client.send(`${text}{"execute":"query-name","id":"m${step}"}`);
      while (!lines.at(-1)?.includes(`"id": "m${step}"`)) lines.push(await client.line());
    }
    return lines.join("\n").replace(/"(micro)?seconds": \d+/g, "T");
  };
  const expected = await heard(direct);
  assertMatch(expected, /^\{\n {4}"QMP": \{\n/);
  assertEquals(await heard(`${place.path}/mux`), expected);
});

test("event filters of a listener and of a client apply on a real QEMU", async () => {
  await using set = await setUp({ options: ",events=STOP+RES*" });
  using listener = await TestClient.ready(set.path);
  using choosy = await TestClient.ready(set.path);
  const choose = {
    execute: "__org.qmpmux_set-event-filter",
    arguments: { enable: ["STOP", "SHUTDOWN"] },
  };
  assertEquals(await choosy.ask(choose), '{"return": {}}');
  using actor = await TestClient.ready(set.path);
  for (const execute of ["cont", "stop", "quit"]) await actor.send({ execute });
  const names = async (client: TestClient): Promise<string[]> =>
    (await client.lines.rest()).map((line) => JSON.parse(line).event ?? "-");
  assertEquals(await names(listener), ["RESUME", "STOP"]);
  assertEquals(await names(choosy), ["STOP"]);
  assertEquals(await names(actor), ["RESUME", "-", "STOP", "-", "-"]);
});

test("SIGTERM lets commands in flight finish, then qmpmux exits with status 0", async () => {
  await using set = await setUp();
  using client = await TestClient.ready(set.path, ["oob"]);
  await client.send('{"execute":"query-qmp-schema","id":1}{"execute":"query-qmp-schema","id":2}');
  assertEquals(JSON.parse(await client.line()).id, 1);
  set.mux.kill("SIGTERM");
  assertEquals((await client.lines.rest()).map((line) => JSON.parse(line).id), [2]);
  assertEquals((await within("qmpmux to exit", set.mux.ended)).code, 0);
  assertEquals([...Deno.readDirSync(set.directory)].map(({ name }) => name), ["vm"]);
});

test("several listeners serve the same QEMU, each with its own settings", async () => {
  await using set = await setUp();
  const paths = ["all", "few"].map((name) => `${set.directory}/${name}`);
  await using made = new AsyncDisposableStack();
  const second = made.use(await startQemu(`${set.directory}/vm2`));
  const flags = [
    "--listen",
    `${paths[0]},mode=0660`,
    "--listen",
    `${paths[1]},events=SHUTDOWN,name=few`,
  ];
  const mux = made.use(await startQmpmux(["--qemu", second.path, ...flags]));
  await mux.log.until(/connected to QEMU/);
  assertEquals(paths.map((path) => Deno.statSync(path).mode! & 0o777), [0o660, 0o600]);
  using all = await TestClient.ready(paths[0]!);
  using few = await TestClient.ready(paths[1]!);
  const name = async (client: TestClient): Promise<string> =>
    JSON.parse(await client.ask({ execute: "__org.qmpmux_query-self" })).return.name;
  assertEquals([await name(all), await name(few)], ["all/1", "few/2"]);
  assertEquals((await all.session({ execute: "cont" }, 2)).length, 2);
  assertEquals(await few.ask({ execute: "query-name" }), '{"return": {}}');
});

test("clients and QEMU can connect over TCP on this machine", async () => {
  await using set = await setUp({ flags: ["--listen", "tcp:127.0.0.1:0"] });
  assert(set.tcpPort > 0);
  const socket = await Deno.connect({ hostname: "127.0.0.1", port: set.tcpPort });
  using client = new TestClient(socket);
  assertMatch(await client.line(), /^\{"QMP": /);
  assertEquals(await client.ask({ execute: "qmp_capabilities" }), '{"return": {}}');
});

test("qmpmux listens on several free TCP ports, and closes them at the end", async () => {
  const port = ["--listen", "tcp:127.0.0.1:0"];
  await using set = await setUp({ flags: [...port, ...port] });
  const ports = set.mux.listening.flatMap((line) => /tcp:.*:(\d+)/.exec(line)?.[1] ?? []).map(
    Number,
  );
  assertEquals(new Set(ports).size, 2);
  for (const port of ports) {
    using client = new TestClient(await Deno.connect({ hostname: "127.0.0.1", port }));
    assertMatch(await client.line(), /^\{"QMP": /);
  }
  set.mux.kill("SIGTERM");
  assertEquals((await within("qmpmux to exit", set.mux.ended)).code, 0);
});

test("a stopped QEMU is distinguished from a busy one, and detected when it runs again", async () => {
  await using set = await setUp({ flags: ["--stall-timeout", "2"], options: ",cache=off" });
  using client = await TestClient.ready(set.path, ["oob"]);
  // QEMU is busy for longer than that, and not stalled: its I/O thread answers.
  const busy = Array.from({ length: 9 }, (_, i) => ({ execute: "query-qmp-schema", id: i }));
  for (let round = 0; round < 12; round++) {
    await client.send(busy.map((command) => JSON.stringify(command)).join(""));
    for (const { id } of busy) assertEquals(JSON.parse(await client.line()).id, id);
  }
  set.qemu.kill("SIGSTOP");
  await client.send({ execute: "query-name" });
  assertMatch((await set.mux.log.next())!, /QEMU does not answer: stalled for 2 s$/);
  set.qemu.kill("SIGCONT");
  assertMatch((await set.mux.log.next())!, /QEMU answers again$/);
});

test("on-loss=hold: clients stay while QEMU restarts, and get an event", async () => {
  await using set = await setUp({ flags: ["--on-loss", "hold"] });
  using client = await TestClient.ready(set.path);
  await client.send({ execute: "quit", id: 1 });
  const names = async (): Promise<string> => {
    const { event, ...rest } = JSON.parse(await client.line());
    return event ?? JSON.stringify(rest);
  };
  const lost = "__org.qmpmux_QEMU_LOST";
  assertEquals([await names(), await names(), await names()], [
    "SHUTDOWN",
    '{"return":{},"id":1}',
    lost,
  ]);
  assertMatch(
    await client.ask({ execute: "query-status" }),
    /QEMU is away; query-status was not sent/,
  );
  await set.qemu.ended;
  await using _next = await startQemu(set.qemu.path, ["-name", "next"]);
  assertEquals(await names(), "__org.qmpmux_QEMU_BACK");
  assertEquals(await client.ask({ execute: "query-name" }), '{"return": {"name": "next"}}');
});

/**
 * Attacks: by a client of each role, by a compromised QEMU, by another user of the machine.
 *
 * Many of these are vulnerabilities that other filtering proxies have had, in the form they would
 * have here; `docs/security.md` lists them. No forbidden command may reach QEMU, no data of one
 * client another, and no file may be open to others for a moment.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { MetricsRecorder } from "../lib/observe/metrics_recorder.ts";
import { Metrics } from "../lib/observe/prometheus.ts";
import { entryOf } from "../lib/platform/journal.ts";
import { Listener } from "../lib/platform/listener.ts";
import { printable } from "../lib/wire/printable.ts";
import { EventFilter } from "../lib/policy/event_filter.ts";
import { globAllows } from "../lib/policy/glob.ts";
import { LIMITS } from "../lib/policy/limits.ts";
import { parseListener } from "../lib/config/options.ts";
import { judge, type Role } from "../lib/policy/policy.ts";
import { readRole, ROLES } from "../lib/policy/roles.ts";
import type { Grant } from "../lib/policy/admission.ts";
import { MessageSplitter } from "../lib/wire/message_splitter.ts";
import { FakeQemu } from "./support/fake_qemu.ts";
import { fieldsOf } from "../lib/observe/audit.ts";
import { TestClient } from "./support/client.ts";
import { makePlace } from "./support/place.ts";
import { runQmpmux, startQmpmux } from "./support/qmpmux.ts";
import { grant, Stage, type StageClient } from "./support/stage.ts";
import { allCommands, commandOf } from "./support/verdicts.ts";
import { NO_GAUGES } from "./support/gauges.ts";

const ROOT = new URL("../", import.meta.url).pathname;

function roleNamed(name: string): Role {
  return ROLES.get(name)!;
}

/** Returns a stage with QEMU, and a client with a grant that has sent nothing. */
function behind(some: Partial<Omit<Grant, "events" | "limits">>): [Stage, StageClient] {
  const stage = new Stage();
  stage.qemuReady();
  const client = stage.connect("c", grant(some));
  client.peer.take();
  return [stage, client];
}

const READY = '{"execute":"qmp_capabilities","arguments":{"enable":["oob"]}}';

/**
 * Returns the commands that reach QEMU when a client in a role sends these after its negotiation,
 * and the replies.
 */
function passed(role: Role, said: string): { toQemu: string[]; heard: string[] } {
  const [stage, client] = behind({ role });
  client.say(READY);
  client.peer.take();
  client.say(said);
  return { toQemu: stage.qemu.take(), heard: client.peer.take() };
}

// Vulnerabilities that docker-socket-proxy and similar proxies have had.

for (
  const name of [
    ..."query-status/../quit query-statusx QUERY-STATUS Query-Status query query- /query-status"
      .split(" "),
    ...["query-status ", " query-status", "query-status\n", "query-status\0", "query-status\0quit"],
    ...["query%2dstatus", "query‐status", "query-status?", "query-*", "*", ""],
  ]
) {
  Deno.test(`judge() refuses a name that resembles an allowed one: ${JSON.stringify(name)}`, () => {
    const text = JSON.stringify({ execute: name });
    for (const role of ["observer", "operator"]) {
      assertEquals(judge(roleNamed(role), commandOf(text)).allow, false);
    }
    assertEquals(passed(roleNamed("observer"), text).toQemu, []);
  });
}

Deno.test("judge() returns the same for a command in band and out of band", () => {
  for (const name of allCommands().keys()) {
    for (const role of ["observer", "operator", "full", "admin"]) {
      const [inBand, oob] = ["execute", "exec-oob"].map((verb) =>
        judge(roleNamed(role), commandOf(JSON.stringify({ [verb]: name }), true)).allow
      );
      assertEquals(inBand, oob, `${role} ${name}`);
    }
  }
});

Deno.test("a rule about an argument does not allow a command that hides the argument", () => {
  const role = readRole(
    { name: "t", rules: [{ allow: "c", where: { a: "x" }, only: ["a"] }] },
    "f",
  );
  for (
    const args of [
      ..."{} null [] 1".split(" "),
      ...['{"a":null}', '{"a":{}}', '{"a":["x"]}', '{"A":"x"}', '{"a ":"x"}', '{"a":{"a":"x"}}'],
      ...['{"a":"x","b":null}', '{"b":{"a":"x"}}', '{"a":"x","a":"y"}', '{"a":"x","\\u0061":"y"}'],
    ]
  ) {
    const { toQemu, heard } = passed(role, `{"execute":"c","arguments":${args}}`);
    assertEquals([toQemu, heard.length], [[], 1], args);
  }
  assertEquals(passed(role, '{"execute":"c"}').toQemu, []);
  assertEquals(passed(role, '{"execute":"c","arguments":{"a":"x"}}').toQemu.length, 1);
});

Deno.test("a command that is too long to be checked is not forwarded, nor is any part of it", () => {
  const stage = new Stage();
  stage.qemuReady();
  const limits = { "max-command": 1024 };
  const client = stage.connect("c", grant({ role: roleNamed("operator"), limits }));
  client.say(READY);
  client.peer.take();
  const inside = '{"execute":"quit"}'.repeat(100);
  for (
    const long of [JSON.stringify(inside), `[${inside}]`, `{"a":[${inside}]}`, " ".repeat(5000)]
  ) {
    client.say(`{"execute":"query-status","arguments":{"x":${long}}}`.replace(/"x": +}/, "}"));
    client.say('{"execute":"cont","id":"next"}');
    const toQemu = stage.qemu.take();
    assertEquals(toQemu.filter((line) => line.includes("quit")), [], long.slice(0, 40));
    assert(toQemu.at(-1)!.includes("cont"), toQemu.join());
    for (const _ of toQemu) stage.qemuSays('{"return": {}}');
    client.peer.take();
  }
});

for (
  const [glob, value, allows] of [
    ["/backup/*", "/backup/a.qcow2", true],
    ["/backup/*", "/backup/a/b..c/..d/e..", true],
    ["/backup/*", "/backup/../etc/shadow", false],
    ["/backup/*", "/backup/a/..", false],
    ["/backup/?*", "/backup//../x", false],
    ["/a/../b/*", "/a/../b/c", true],
    ["/a/../b/*", "/a/../b/../c", false],
    ["*", "../x", true],
    ["**", "/..", true],
  ] as [string, string, boolean][]
) {
  Deno.test(`globAllows() of ${glob} and ${value} returns ${allows}`, () => {
    assertEquals(globAllows(glob, value), allows);
  });
}

Deno.test("judge() refuses by a glob also paths with a .. component", () => {
  const role = readRole({
    name: "t",
    rules: [{ refuse: "c", where: { f: "/etc/*" } }, { refuse: "c", only: { f: "/usr/*" } }, {
      allow: "c",
    }],
  }, "f");
  for (const f of ["/etc/../x", "/usr/../x"]) {
    const text = JSON.stringify({ execute: "c", arguments: { f } });
    assertEquals(judge(role, commandOf(text)).allow, false, f);
  }
});

// Vulnerabilities that xdg-dbus-proxy has had.

for (
  const before of [
    "",
    " \t\r\n",
    '{"execute":"quit"}',
    "{'execute':'quit'}\r\n",
    '{"exec-oob":"migrate-pause"}',
    '{"execute" : "qmp_capabilities", "arguments": {"enable": ["x"]}}',
    "]\xff",
    "\0",
    "AUTH EXTERNAL 30\r\nBEGIN\r\n",
    '{"execute":"quit"',
  ]
) {
  Deno.test(`${JSON.stringify(before)} smuggles no command past the handshake`, () => {
    const [stage, full] = behind({});
    full.say(`${before}{"execute":"stop"} {"execute":"quit"}\t\r\n{"exec-oob":"yank"}`);
    assertEquals([stage.qemu.take(), full.peer.closed], [[], undefined]);
    const observer = stage.connect("o", grant({ role: roleNamed("observer") }));
    observer.say(`${before}${READY}{"execute":"quit"}\t\r\n{"execute":"stop"} {"exec-oob":"yank"}`);
    assertEquals([stage.qemu.take(), observer.peer.closed], [[], undefined]);
  });
}

Deno.test("a client's event filter shows no event that its role or its listener hides", () => {
  const role = readRole({ name: "t", rules: [], events: ["STOP"] }, "f");
  for (const globs of [["*"], ["?*", "**"], ["RESUME"], [" RESUME"], ["RESUME\0"], ["RESUM?"]]) {
    const [stage, client] = behind({ role });
    const limited = stage.connect("l", grant({ events: ["STOP"] }));
    for (const each of [client, limited]) {
      each.say(READY);
      const enable = JSON.stringify({ enable: globs });
      each.say(`{"execute":"__org.qmpmux_set-event-filter","arguments":${enable}}`);
      each.peer.take();
    }
    stage.qemuSays('{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "RESUME"}');
    stage.qemuSays(
      '{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "RESUME", "data": {}}',
    );
    assertEquals([client.peer.take(), limited.peer.take()], [[], []], globs.join());
  }
});

Deno.test("qmpmux's own events are hidden like any other", () => {
  const stage = new Stage(60, { onLoss: "hold" });
  stage.qemuReady();
  const client = stage.connect("c", grant({ events: ["STOP"] }));
  client.say(READY);
  client.peer.take();
  stage.qemuGoes();
  assertEquals(client.peer.take(), []);
});

for (
  const said of [
    '{"return":{},"id":1}',
    '{"return":{}}',
    '{"event":"STOP","timestamp":{"seconds":1,"microseconds":2}}',
    '{"QMP":{"version":{},"capabilities":[]}}',
    '{"execute":"stop","return":{}}',
    '{"execute":"stop","event":"STOP"}',
    '{"error":{"class":"GenericError","desc":"x"},"id":1}',
    '{"execute":"stop","exec-oob":"stop"}',
    '{"execute":["stop"]}',
    '[{"execute":"stop"}]',
    '"{\\"execute\\":\\"stop\\"}"',
  ]
) {
  Deno.test(`a client cannot send ${said}: neither QEMU nor another client gets it`, () => {
    const [stage, client] = behind({});
    const other = stage.ready("other");
    client.say(READY);
    client.peer.take();
    client.say(`${said}\n`);
    assertEquals(stage.qemu.take(), []);
    assertEquals(other.peer.take(), []);
    assert(client.peer.take().every((line) => line.includes('"error"')));
  });
}

Deno.test("ids of clients that resemble qmpmux's own bring no reply to another client", () => {
  const stage = new Stage();
  stage.qemuReady();
  const [a, b] = [stage.ready("a", ["oob"]), stage.ready("b", ["oob"])];
  a.say('{"exec-oob":"query-yank","id":2}');
  b.say('{"exec-oob":"query-yank","id":1}');
  const [first, second] = stage.qemu.take().map((line) => JSON.parse(line).id);
  assert(first !== second);
  stage.qemuSays(`{"return": ["for b"], "id": ${second}}`);
  stage.qemuSays(`{"return": ["for a"], "id": ${first}}`);
  stage.qemuSays(`{"return": ["late"], "id": ${first}}`);
  assertEquals(a.peer.take(), ['{"return": ["for a"], "id": 2}']);
  assertEquals(b.peer.take(), ['{"return": ["for b"], "id": 1}']);
});

// Commands that contain other commands.

for (
  const line of [
    ...["info name\nquit", "info name;quit", "info name\0quit", "info name\r\nquit"],
    ...["info  name", " info name", "INFO name", "info name -", "i name", "quit", "help|quit"],
  ]
) {
  Deno.test(`the operator may not send ${JSON.stringify(line)} to the human monitor`, () => {
    const command = { execute: "human-monitor-command", arguments: { "command-line": line } };
    assertEquals(passed(roleNamed("operator"), JSON.stringify(command)).toQemu, []);
  });
}

for (
  const actions of [
    '[{"type":"abort","data":{}},{"type":"drive-backup","data":{"device":"d","target":"/etc/x"}}]',
    '[{"type":"blockdev-snapshot-sync","data":{"device":"d","snapshot-file":"/etc/x"}}]',
    '{"type":"abort"}',
    '[[{"type":"abort","data":{}}]]',
    '[{"type":["abort"],"data":{}}]',
    '[{"data":{"node":"n","name":"b"}}]',
    '[{"type":"abort","data":{},"properties":{}}]',
    "[]",
  ]
) {
  Deno.test(`the operator may not run the transaction ${actions.slice(0, 60)}`, () => {
    const text = `{"execute":"transaction","arguments":{"actions":${actions}}}`;
    assertEquals(passed(roleNamed("operator"), text).toQemu, []);
  });
}

// Attacks that use up memory or hide something from administrators.

Deno.test("Role.rulesFor() caches no long name, and never stops caching", () => {
  const role = readRole({ name: "t", rules: [{ allow: "*" }] }, "f");
  const [long, short] = ["x".repeat(1 << 20), "query-status"];
  const first = role.rulesFor(long);
  assert(first !== role.rulesFor(long));
  for (let i = 0; i < 5000; i++) role.rulesFor(`made-up-${i}`);
  const known = role.rulesFor(short);
  assert(known === role.rulesFor(short));
});

Deno.test("query-clients stays short enough to be read, whatever names its clients choose", () => {
  const stage = new Stage();
  stage.qemuReady();
  const wide = "\u{1F600}".repeat(100);
  for (const name of ["a", "b"]) {
    const client = stage.ready(name);
    const enable = JSON.stringify({ enable: Array(256).fill(wide) });
    client.say(`{"execute":"__org.qmpmux_set-event-filter","arguments":${enable}}`);
    client.say(JSON.stringify({ execute: "\u{1F600}".repeat(60_000) }));
  }
  const admin = stage.connect("admin", grant({ role: roleNamed("admin") }));
  admin.say('{"execute":"qmp_capabilities"}{"execute":"__org.qmpmux_query-clients"}');
  const reply = admin.peer.take().at(-1)!;
  const most = reply.length / 3 * 4096;
  assert(most < LIMITS["max-unread"].initial, `${reply.length} bytes for three clients`);
  const [first] = JSON.parse(reply).return;
  assertEquals(first["last-command"].at(-1), "…");
  assertEquals(first.filter.at(-1), "…");
});

Deno.test("qmpmux clients escapes control characters in texts from clients", async () => {
  using place = makePlace();
  const [vm, door, admin] = ["vm", "door", "admin"].map((name) => `${place.path}/${name}`);
  await using _qemu = new FakeQemu(vm!);
  const listen = ["--listen", `${door},role=observer`, "--listen", `${admin},role=admin`];
  await using mux = await startQmpmux(["--qemu", vm!, ...listen]);
  await mux.log.until(/connected to QEMU/);
  using client = await TestClient.ready(door!);
  await client.ask({ execute: "\x1b]0;x\x07\nadmin/1  admin  command\u202e" });
  const { stdout, code } = await runQmpmux(["clients", "--socket", admin!]);
  assertEquals(code, 0);
  const [, first, second, ...more] = stdout.trimEnd().split("\n");
  assert(first!.includes("\\u001b]0;x\\u0007\\nadmin/1  admin  command\\u202e"), first);
  assert(second!.startsWith("admin/2 "), second);
  assertEquals(more, []);
});

Deno.test("printable() escapes what a terminal interprets, and keeps letters", () => {
  assertEquals(
    printable("a\x1b[2J\u202eb\u2028\u200f\u2066c é漢"),
    "a\\u001b[2J\\u202eb\\u2028\\u200f\\u2066c é漢",
  );
});

Deno.test("no text from a client becomes a field of the journal", () => {
  const text = "x\nPRIORITY=0\nQMPMUX_ROLE=admin";
  const fields = fieldsOf({
    time: "t",
    vm: undefined,
    listener: "l",
    role: "observer",
    client: "l/1",
    peer: undefined,
    command: text,
    shown: { names: [text] },
    outcome: "refused",
    rule: undefined,
    errorClass: undefined,
    duration: 0,
  });
  const entry = new TextDecoder("latin1").decode(entryOf(fields));
  const lengths = /QMPMUX_COMMAND\n([^]{8})/.exec(entry)![1]!;
  assertEquals(lengths.charCodeAt(0), text.length);
  const bare = entry.replaceAll(text, "");
  assertEquals(bare.match(/^PRIORITY=|^QMPMUX_ROLE=/gm), ["PRIORITY=", "QMPMUX_ROLE="]);
});

Deno.test("no text from a client becomes a label of a metric", () => {
  const metricsRecorder = new MetricsRecorder((name) => name === "query-status");
  const party = { name: "l/1", grant: { name: "l", role: { name: "observer" } } };
  for (const name of ["query-status", 'x"} 1\nqmpmux_up 0', "y"]) {
    metricsRecorder.observe({
      kind: "command",
      client: party,
      command: commandOf(JSON.stringify({ execute: name })),
      outcome: {
        result: "refused",
        took: 0,
      },
    });
  }
  const gauges = { ...NO_GAUGES, up: true };
  metricsRecorder.update(gauges);
  const lines = Metrics.render([metricsRecorder.metrics]).split("\n").filter((line) =>
    line.includes("command=")
  );
  assertEquals(lines.map((line) => /command="([^"]*)"/.exec(line)![1]), ["query-status", "other"]);
});

// A compromised QEMU.

Deno.test("MessageSplitter.next() refuses an object with a mismatched bracket", () => {
  const splitter = new MessageSplitter();
  splitter.load(new TextEncoder().encode('{"return": ]\r\n'));
  const found = splitter.next();
  assert(found !== undefined && "damage" in found);
});

Deno.test("EventFilter.passes() tries no wildcards on long names that a QEMU invents", () => {
  const filter = new EventFilter(["A*"]);
  for (let i = 0; i < 2000; i++) {
    assertEquals(filter.passes(`A${"X".repeat(10_000)}${i}`), false);
    assertEquals(filter.passes(`B${"x".repeat(10_000)}${i}`), false);
  }
});

Deno.test("unexpected replies of a QEMU reach no client", () => {
  const stage = new Stage();
  stage.qemuReady();
  const [a, b] = [stage.ready("a", ["oob"]), stage.ready("b")];
  a.say('{"exec-oob":"query-yank","id":1}');
  for (const id of [0, 99, '"1"', "null", "[1]"]) stage.qemuSays(`{"return": {}, "id": ${id}}`);
  stage.qemuSays('{"return": {}}');
  assertEquals([a.peer.take(), b.peer.take()], [[], []]);
});

// Another user of the machine.

/** The calls that create and change files. Each of them returns before other code runs. */
const FILE_CALLS = [
  ..."listen chmodSync chownSync linkSync mkdirSync symlinkSync removeSync makeTempDirSync".split(
    " ",
  ),
] as readonly (keyof typeof Deno)[];

/** Runs a function, and checks the files after each call that may change one. */
async function watched(act: () => Promise<void>, look: (call: string) => void): Promise<void> {
  const deno = Deno as unknown as Record<string, (...args: unknown[]) => unknown>;
  const originals = FILE_CALLS.map((name) => [name, deno[name]!] as const);
  for (const [name, original] of originals) {
    deno[name] = (...args) => {
      const result = original(...args);
      look(name);
      return result;
    };
  }
  try {
    await act();
  } finally {
    for (const [name, original] of originals) deno[name] = original;
  }
}

/** Yields the sockets below a directory that other users can reach, with their modes. */
function* reachable(directory: string): Generator<[path: string, mode: number]> {
  const { mode } = Deno.lstatSync(directory);
  // A user who may not enter the directory can reach nothing in it.
  if ((mode! & 0o011) === 0) return;
  for (const { name, isDirectory } of Deno.readDirSync(directory)) {
    const path = `${directory}/${name}`;
    if (isDirectory) yield* reachable(path);
    else yield [path, Deno.lstatSync(path).mode! & 0o777];
  }
}

for (
  const [mode, more] of [["0600", ""], ["0660", ",group=0"], ["0640", ",user=0,group=0"]] as const
) {
  Deno.test(`Listener.open() makes a socket of mode ${mode}${more} unreachable until it has that mode`, async () => {
    using place = makePlace();
    Deno.chmodSync(place.path, 0o777);
    const umask = Deno.umask(0);
    const own = Deno.uid() === 0 ? more : "";
    const path = `${place.path}/mux.sock`;
    const seen: string[] = [];
    const looks: string[] = [];
    try {
      await watched(async () => {
        using _listener = await Listener.open(parseListener(`${path},mode=${mode}${own}`));
      }, (call) => {
        looks.push(call);
        for (const [found, bits] of reachable(place.path)) {
          seen.push(`${found} ${bits.toString(8)}`);
        }
      });
    } finally {
      Deno.umask(umask);
    }
    assertEquals([...new Set(seen)], [`${path} ${mode.replace(/^0/, "")}`]);
    // Every call that was to be watched has been made.
    for (const call of ["mkdirSync", "listen", "chmodSync", "linkSync", "removeSync"]) {
      assert(looks.includes(call), `${call} was not seen`);
    }
  });
}

// Dropped permissions.

/**
 * Returns the permissions that a child has left after dropping those that these arguments do not
 * need.
 */
async function leftOver(...args: string[]): Promise<Record<string, string>> {
  const lib = new URL("../lib/", import.meta.url);
  const code = `
    import { dropPermissions } from "${lib}platform/runtime.ts";
    import { serveSettings } from "${lib}cli/serve_settings.ts";
    await dropPermissions(serveSettings(${JSON.stringify(args)}));
    const names = ["env", "ffi", "net", "read", "write"];
    const states = names.map((name) => [name, Deno.permissions.querySync({ name }).state]);
    console.log(JSON.stringify(Object.fromEntries(states)));
  `;
  const child = new Deno.Command(Deno.execPath(), { args: ["eval", code], cwd: ROOT });
  const { stdout, stderr, success } = await child.output();
  const decoder = new TextDecoder();
  assert(success, decoder.decode(stderr));
  return JSON.parse(decoder.decode(stdout));
}

Deno.test("dropPermissions() drops the permissions of files and FFI if only TCP is used", async () => {
  const left = await leftOver("--qemu", "127.0.0.1:1", "--listen", "127.0.0.1:2");
  const { env, ffi, read, write, net } = left;
  assertEquals([env, ffi, read, write], Array(4).fill("prompt"));
  assertEquals(net, "granted");
});

Deno.test("dropPermissions() drops the environment and FFI if unix sockets are used", async () => {
  const { env, ffi, read } = await leftOver("--qemu", "/run/vm", "--listen", "/run/mux");
  assertEquals([env, ffi, read], ["prompt", "prompt", "granted"]);
});

// The documents about security.

for (const [page, least] of [["security", 70], ["reliability", 20]] as const) {
  Deno.test(`docs/${page}.md names existing tests`, () => {
    const text = Deno.readTextFileSync(`${ROOT}docs/${page}.md`).replaceAll(/\s+/g, " ");
    const named = [...text.matchAll(/`(\w+_test\.ts)`, “([^”…]+)”/g)];
    assert(named.length >= least, `${named.length}`);
    for (const [, file, name] of named) {
      const source = Deno.readTextFileSync(`${ROOT}tests/${file}`);
      assert(source.includes(name!), `${file} has no test named “${name}”`);
    }
  });
}

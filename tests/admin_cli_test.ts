/**
 * `qmpmux status`, `clients`, `kick` and `reload` against a running qmpmux.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { durationText } from "../lib/cli/admin.ts";
import { FakeQemu } from "./support/fake_qemu.ts";
import { TestClient } from "./support/client.ts";
import { makePlace } from "./support/place.ts";
import { runQmpmux, startQmpmux, type TestQmpmux } from "./support/qmpmux.ts";

interface Set extends AsyncDisposable {
  readonly mux: TestQmpmux;
  readonly file: string;
  readonly admin: string;
  readonly open: string;
}

/** Starts a qmpmux with one listener for administrators and one for other clients. */
async function setUp(): Promise<Set> {
  await using made = new AsyncDisposableStack();
  const { path } = made.use(makePlace());
  made.use(new FakeQemu(`${path}/vm`));
  const [file, admin, open] = [`${path}/x.toml`, `${path}/admin`, `${path}/open`];
  Deno.writeTextFileSync(
    file,
    `qemu = "${path}/vm"\n[[listen]]\naddress = "${admin}"\nrole = "admin"\n[[listen]]\naddress = "${open}"\n`,
  );
  const mux = made.use(await startQmpmux(["--config", file]));
  await mux.log.until(/connected to QEMU/);
  const owned = made.move();
  return { mux, file, admin, open, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

Deno.test("qmpmux status and clients list the connected clients", async () => {
  await using set = await setUp();
  using client = await TestClient.ready(set.open, ["oob"]);
  await client.ask({ execute: "query-status" });

  const status = JSON.parse((await runQmpmux(["status", "--socket", set.admin, "--json"])).stdout);
  assertEquals(
    { ...status, age: 0, "up-since": 0 },
    {
      vm: "default",
      qemu: "ready",
      version: "0.0.0",
      sessions: 1,
      clients: 2,
      waiting: 0,
      "in-flight": 0,
      age: 0,
      "qemu-pid": null,
      events: 0,
      "up-since": 0,
    },
  );
  const shown = (await runQmpmux(["status", "--socket", set.admin])).stdout;
  assertMatch(
    shown,
    /^vm: default\nqemu: ready\nversion: 0\.0\.0\nqemu-pid: none\nup-since: .*Z\nsessions: 1\nclients: 2\n/,
  );
  assertMatch(shown, /^in-flight: 0\nwaiting: 0\nevents: 0\nage: \d+ s\n$/m);

  const listed = await runQmpmux(["clients", "--socket", set.admin, "--json"]);
  const [first] = JSON.parse(listed.stdout);
  assertEquals({ ...first, age: 0 }, {
    name: "open/1",
    peer: null,
    listener: "open",
    role: "full",
    dialect: "qmp",
    mode: "command",
    capabilities: ["oob"],
    filter: null,
    subscription: null,
    "in-flight": 0,
    waiting: 0,
    "unread-bytes": 0,
    commands: 2,
    "last-command": "query-status",
    age: 0,
  });
  const table = (await runQmpmux(["clients"], { QMPMUX_SOCKET: set.admin })).stdout.split("\n");
  assertMatch(table[0]!, /^NAME +PEER +ROLE +MODE +CAPABILITIES +FILTER +IN-FLIGHT +WAITING/);
  assertMatch(table[1]!, /^open\/1 +- +full +command +oob +- +0 +0 +0 +2 +query-status +\d+$/);
});

Deno.test("qmpmux kick disconnects one client, and reports an unknown one", async () => {
  await using set = await setUp();
  using client = await TestClient.ready(set.open);
  using other = await TestClient.ready(set.open);
  assertEquals(await runQmpmux(["kick", "--socket", set.admin, "open/1"]), {
    code: 0,
    stdout: "",
    stderr: "",
  });
  assertEquals(await client.lines.rest(), []);
  await set.mux.log.until(
    /^qmpmux: client open\/1 was closed: disconnected by admin\/\d+(, process \d+ of uid \d+)?$/,
  );
  assertMatch(await other.ask({ execute: "query-status" }), /"return"/);
  assertEquals(await runQmpmux(["kick", "--socket", set.admin, "open/1"]), {
    code: 1,
    stdout: "",
    stderr: "qmpmux: kick: Client 'open/1' not found\n",
  });
});

Deno.test("qmpmux reload prints the outcome", async () => {
  await using set = await setUp();
  assertEquals((await runQmpmux(["reload", "--socket", set.admin])).code, 0);
  Deno.writeTextFileSync(set.file, "qemu = 1\n");
  const { code, stderr } = await runQmpmux(["reload", "--socket", set.admin]);
  assertEquals(code, 1);
  assertMatch(
    stderr,
    /^qmpmux: reload: .*x\.toml:1: invalid value 1 for qemu: expected text in quotes\n$/,
  );
});

Deno.test("qmpmux refuses administration to other roles, and malformed requests", async () => {
  await using set = await setUp();
  for (const args of [["status"], ["clients"], ["kick", "open/1"], ["reload"]]) {
    const { code, stderr } = await runQmpmux([...args, "--socket", set.open]);
    assertEquals(code, 77, stderr);
    assertMatch(stderr, /role full: it is for roles that administer qmpmux/);
  }
  assertEquals((await runQmpmux(["kick", "--socket", set.admin])).code, 64);
  assertEquals((await runQmpmux(["status", "more", "--socket", set.admin])).code, 64);
});

Deno.test("administrative subcommands report a server that is not qmpmux", async () => {
  using place = makePlace();
  await using qemu = new FakeQemu(`${place.path}/vm`);
  const { code, stderr } = await runQmpmux(["clients", "--socket", qemu.path]);
  assertEquals(code, 69);
  assertMatch(
    stderr,
    /^qmpmux: clients: unix:.*\/vm is not a socket of qmpmux; name its control socket, .*\n$/,
  );
});

Deno.test("an administrator can disconnect itself", async () => {
  await using set = await setUp();
  using client = await TestClient.ready(set.admin);
  await client.send({
    execute: "__org.qmpmux_disconnect-client",
    arguments: { name: "admin/1" },
  });
  assertEquals(await client.lines.rest(), []);
});

for (
  const [seconds, text] of [
    [0, "0 s"],
    [40.053987408999994, "40 s"],
    [119.4, "119 s"],
    [120, "2 min 0 s"],
    [3599, "59 min 59 s"],
    [3600, "1 h 0 min"],
    [86399, "23 h 59 min"],
    [200_000, "2 d 7 h"],
    [1e9, "11574 d 1 h"],
  ] as const
) {
  Deno.test(`durationText() writes ${seconds} as ${text}`, () => {
    assertEquals(durationText(seconds), text);
  });
}

/**
 * Starts a control socket as qmpmux opens it: it sends a greeting at once, and answers only
 * qmpmux's own commands.
 */
function control(path: string, answers: Readonly<Record<string, unknown>>): FakeQemu {
  const version = '{"qmpmux": {"major": 0, "minor": 1, "micro": 0}}';
  return new FakeQemu(path, {
    greeting: `{"QMP": {"version": ${version}, "capabilities": []}}\r\n`,
    answer: ({ name }) => {
      const value = answers[name.replace("__org.qmpmux_", "")];
      return value === undefined ? undefined : `{"return": ${JSON.stringify(value)}}\r\n`;
    },
  });
}

Deno.test("the administrative subcommands talk to a control socket", async () => {
  using place = makePlace();
  const path = `${place.path}/control.sock`;
  await using qmpmux = control(path, {
    "query-status": { qemu: "absent", version: null, age: 3 },
    "query-clients": [{ name: "a/1", age: 5 }],
    "disconnect-client": {},
    "reload": {},
  });
  const at = ["--control", path];
  assertEquals(await runQmpmux(["status", ...at]), {
    code: 0,
    stdout: "qemu: absent\nversion: none\nage: 3 s\n",
    stderr: "",
  });
  assertMatch((await runQmpmux(["clients", ...at])).stdout, /^NAME .*\na\/1 .* 5\n$/);
  assertEquals((await runQmpmux(["kick", ...at, "a/1"])).code, 0);
  assertMatch(
    qmpmux.heard.at(-1)!,
    /"__org.qmpmux_disconnect-client","arguments":\{"name":"a\/1"\}/,
  );
  assertEquals((await runQmpmux(["reload", ...at])).code, 0);
});

Deno.test("qmpmux status shows many VMs as a table, in the order of their names", async () => {
  using place = makePlace();
  const path = `${place.path}/control.sock`;
  const row = { qemu: "ready", version: "10.0.2", clients: 1, "in-flight": 0, waiting: 2 };
  const statuses: Record<string, unknown>[] = [
    { vm: "web-2", ...row, events: 5, "up-since": 1767323045, age: 9 },
    { vm: "db", ...row, qemu: "absent", version: null, events: 0, "up-since": null, age: 9 },
  ];
  await using qmpmux = control(path, { "query-status": statuses });
  const at = ["--control", path];
  assertEquals((await runQmpmux(["status", ...at])).stdout.split("\n"), [
    "VM     VERSION  STATE   CLIENTS  IN-FLIGHT  WAITING  EVENTS  UP-SINCE",
    "db     -        absent  1        0          2        0       -",
    "web-2  10.0.2   ready   1        0          2        5       2026-01-02T03:04:05Z",
    "",
  ]);
  const reason = "there are 2 VMs (max-vms)";
  statuses.push({ ...statuses[1]!, vm: "web-3", qemu: "not served", reason });
  assertEquals((await runQmpmux(["status", ...at])).stdout.split("\n"), [
    "VM     VERSION  STATE       CLIENTS  IN-FLIGHT  WAITING  EVENTS  UP-SINCE              REASON",
    "db     -        absent      1        0          2        0       -                     -",
    "web-2  10.0.2   ready       1        0          2        5       2026-01-02T03:04:05Z  -",
    `web-3  -        not served  1        0          2        0       -                     ${reason}`,
    "",
  ]);
  const { stdout } = await runQmpmux(["status", ...at, "--json", "--vm", "web-*"]);
  assertEquals(JSON.parse(stdout), statuses);
  assertMatch(qmpmux.heard.at(-1)!, /"__org.qmpmux_query-status","arguments":\{"vm":"web-\*"\}/);
  assertEquals((await runQmpmux(["status", ...at, "--vm=-x"])).code, 0);
  assertMatch(qmpmux.heard.at(-1)!, /"__org.qmpmux_query-status","arguments":\{"vm":"-x"\}/);
});

Deno.test("qmpmux clients shows the VMs of clients that have one, and kick takes globs", async () => {
  using place = makePlace();
  const path = `${place.path}/control.sock`;
  const clients = [{ vm: "web-1", name: "a/1", age: 5 }];
  await using qmpmux = control(path, { "query-clients": clients, "disconnect-client": {} });
  const at = ["--control", path, "--vm", "web-?"];
  assertMatch((await runQmpmux(["clients", ...at])).stdout, /^VM +NAME .*\nweb-1 +a\/1 .* 5\n$/);
  assertEquals((await runQmpmux(["kick", ...at, "a/*"])).code, 0);
  assertMatch(
    qmpmux.heard.at(-1)!,
    /"__org.qmpmux_disconnect-client","arguments":\{"name":"a\/\*","vm":"web-\?"\}/,
  );
  assertMatch((await runQmpmux(["reload", ...at])).stderr, /^qmpmux: reload: unknown flag --vm;/);
});

Deno.test("qmpmux kick disconnects every client that a glob matches", async () => {
  await using set = await setUp();
  using one = await TestClient.ready(set.open);
  using two = await TestClient.ready(set.open);
  const at = ["--socket", set.admin];
  assertEquals((await runQmpmux(["kick", ...at, "--vm", "other", "open/*"])).code, 1);
  assertEquals((await runQmpmux(["kick", ...at, "--vm", "*", "open/*"])).code, 0);
  assertEquals([await one.lines.rest(), await two.lines.rest()], [[], []]);
});

Deno.test("administrative subcommands prefer flags to the environment, and the control socket to others", async () => {
  using place = makePlace();
  const [one, two] = [`${place.path}/one`, `${place.path}/two`];
  await using _one = control(one, { "query-status": { which: "one" } });
  await using _two = control(two, { "query-status": { which: "two" } });
  const cases: [string[], Record<string, string>, string][] = [
    [["--control", one], { QMPMUX_CONTROL: two, QMPMUX_SOCKET: two }, "one"],
    [["--socket", one], { QMPMUX_CONTROL: two, QMPMUX_SOCKET: two }, "one"],
    [["-s", one], { QMPMUX_CONTROL: two }, "one"],
    [[], { QMPMUX_CONTROL: one, QMPMUX_SOCKET: two }, "one"],
    [[], { QMPMUX_CONTROL: "", QMPMUX_SOCKET: two }, "two"],
    [[], { QMPMUX_SOCKET: two }, "two"],
  ];
  for (const [args, env, which] of cases) {
    assertEquals((await runQmpmux(["status", ...args], env)).stdout, `which: ${which}\n`);
  }
});

for (
  const [args, env, text] of [
    [
      ["--control", "/a", "--socket", "/b"],
      {},
      "--control and --socket exclude each other; give one",
    ],
    [[], {}, "no socket is named; give --control ADDR or --socket ADDR, or set QMPMUX_CONTROL"],
    [
      ["--control", "tcp:localhost:1"],
      {},
      'invalid value "tcp:localhost:1" for --control: expected the path of a unix socket',
    ],
    [
      [],
      { QMPMUX_CONTROL: "unix-abstract:x" },
      'invalid value "unix-abstract:x" for QMPMUX_CONTROL: expected the path of a unix socket',
    ],
    [["--vm", "-x"], {}, "--vm -x: a value that begins with - must be attached; write --vm=-x"],
    [["-s", "-x"], {}, "-s -x: a value that begins with - must be attached; write --socket=-x"],
    [["--vm"], {}, "--vm: the value is missing; write --vm GLOB"],
    [["--vm", "--json"], {}, "--vm: the value is missing; write --vm GLOB"],
    [["--control", "a b"], {}, '--control: invalid address "a b": expected unix:/path'],
    [["--socket", "a b"], {}, '--socket: invalid address "a b": expected unix:/path'],
  ] as [string[], Record<string, string>, string][]
) {
  Deno.test(`qmpmux status ${args.join(" ")} ${JSON.stringify(env)} exits with 64`, async () => {
    const { code, stderr } = await runQmpmux(["status", ...args], env);
    assertEquals(code, 64);
    assertEquals(stderr.slice(0, 16 + text.length), `qmpmux: status: ${text}`);
  });
}

Deno.test("exec has no control socket, and ignores QMPMUX_CONTROL", async () => {
  using place = makePlace();
  const env = { QMPMUX_CONTROL: `${place.path}/none` };
  assertEquals((await runQmpmux(["exec", "--control", "/a", "stop"])).code, 64);
  assertMatch((await runQmpmux(["exec", "stop"], env)).stderr, /no monitor is named/);
});

/**
 * Identities and descriptors, with a real QEMU, whose `/proc` lists its open files.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { loadLibc } from "../lib/platform/libc.ts";
import { addressText } from "../lib/policy/address.ts";
import { TestClient } from "./support/client.ts";
import { within } from "./support/deadline.ts";
import {
  eventually,
  memoryFile,
  memoryFilesOf,
  PassingClient,
  socketPair,
} from "./support/passing.ts";
import { makePlace } from "./support/place.ts";
import { startQemu, type TestQemu, WITHOUT_QEMU } from "./support/qemu.ts";
import { runQmpmux, startQmpmux, type TestQmpmux } from "./support/qmpmux.ts";
import { WITHOUT_ROOT } from "./support/without.ts";
import { descriptorsOf } from "./support/process.ts";

const DONE = '{"return": {}}';
const NOTHING_CAME =
  '{"error": {"class": "GenericError", "desc": "No file descriptor supplied via SCM_RIGHTS"}}';

/** A QEMU, qmpmux in front of it, and its sockets. */
interface SetUp extends AsyncDisposable {
  readonly qemu: TestQemu;
  readonly mux: TestQmpmux;
  readonly fds: string;
  readonly plain: string;
  readonly place: string;
  audit(): string;
}

async function setUp(
  options = "fds=on",
  more: readonly string[] = [],
  machine: readonly string[] = [],
): Promise<SetUp> {
  const place = makePlace();
  const fds = `${place.path}/fds`;
  const plain = `${place.path}/plain`;
  const qemu = await startQemu(`${place.path}/qmp`, machine);
  const mux = await startQmpmux([
    "--qemu",
    addressText({ transport: "unix", path: qemu.path }),
    "--listen",
    `unix:${fds},${options}`,
    "--listen",
    `unix:${plain}`,
    "--audit",
    `${place.path}/audit`,
    ...more,
  ]);
  return {
    qemu,
    mux,
    fds,
    plain,
    place: place.path,
    audit: () => Deno.readTextFileSync(`${place.path}/audit`),
    async [Symbol.asyncDispose](): Promise<void> {
      await mux[Symbol.asyncDispose]();
      await qemu[Symbol.asyncDispose]();
      place[Symbol.dispose]();
    },
  };
}

/** Returns a reply's value; @throws Error if it is an error */
function valueOf(line: string): Record<string, unknown> {
  const { return: value } = JSON.parse(line);
  if (value === undefined) throw new Error(line);
  return value;
}

/** Waits until a process has exactly these files in memory open. */
async function hasFiles(pid: number, ...names: string[]): Promise<void> {
  const wanted = names.sort().join();
  await eventually(`process ${pid} to have ${wanted || "no files"}`, () => {
    return memoryFilesOf(pid).join() === wanted;
  });
}

/** Waits until a process has at most that many descriptors. */
async function hasDescriptors(pid: number, count: number): Promise<void> {
  await eventually(`process ${pid} to have ${count} at most`, () => descriptorsOf(pid) <= count);
}

function test(name: string, run: () => Promise<void>): void {
  Deno.test({ name, ignore: WITHOUT_QEMU, fn: run });
}

/** Defines a test that acts as other users. */
function rootTest(name: string, run: () => Promise<void>): void {
  Deno.test({ name, ignore: WITHOUT_QEMU || WITHOUT_ROOT, fn: run });
}

test("getfd through qmpmux gives QEMU the descriptor, and qmpmux closes its copy", async () => {
  await using set = await setUp();
  using client = await PassingClient.ready(set.fds);
  const before = descriptorsOf(set.mux.pid);
  assertEquals(await client.getfd("mine"), DONE);
  await hasFiles(set.qemu.pid, "mine");
  assertEquals(await client.closefd("mine"), DONE);
  await hasFiles(set.qemu.pid);
  await hasDescriptors(set.mux.pid, before);
});

test("descriptors reach their command on whichever bytes they arrived", async () => {
  await using set = await setUp();
  using client = await PassingClient.connect(set.fds);
  // During the handshake.
  await client.line();
  await client.send('{"execute":', ["early"]);
  assertEquals(await client.ask('"qmp_capabilities"}'), DONE);
  assertEquals(await client.getfd("a", []), DONE);
  // On a lone space, several at once: QEMU uses the first.
  await client.send(" ", ["first", "second", "third"]);
  assertEquals(await client.getfd("b", []), DONE);
  // With a command that does not use it, and with the last byte of one that does.
  assertMatch(await client.ask('{"execute":"query-name"}', ["on-query"]), /^\{"return": /);
  assertEquals(await client.getfd("c", []), DONE);
  await client.send('{"execute":"getfd","arguments":{"fdname":"d"}');
  assertEquals(await client.ask("}", ["on-brace"]), DONE);
  await hasFiles(set.qemu.pid, "early", "first", "on-brace", "on-query");
  await hasFiles(set.mux.pid);
  assertEquals(await client.getfd("e", []), NOTHING_CAME);
});

test("a later message's descriptors replace the waiting ones", async () => {
  await using set = await setUp();
  using client = await PassingClient.ready(set.fds);
  await client.send(" ", ["waits"]);
  await client.send(" ", ["comes"]);
  assertEquals(await client.getfd("x", []), DONE);
  await hasFiles(set.qemu.pid, "comes");
});

test("sixteen descriptors with one message are accepted, as many as QEMU accepts", async () => {
  await using set = await setUp();
  using client = await PassingClient.ready(set.fds);
  const names = Array.from({ length: 16 }, (_, index) => `n${index}`);
  assertEquals(await client.getfd("x", names), DONE);
  await hasFiles(set.qemu.pid, "n0");
  await hasFiles(set.mux.pid);
});

test("pipelined commands get their own descriptors", async () => {
  await using set = await setUp();
  using client = await PassingClient.ready(set.fds, ["oob"]);
  for (let i = 0; i < 6; i++) {
    await client.send(`{"execute":"add-fd","arguments":{"opaque":"o${i}"},"id":${i}}`, [`f${i}`]);
    await client.send('{"execute":"query-status"}');
  }
  const sets: number[] = [];
  for (let i = 0; i < 6; i++) {
    const { fd, "fdset-id": id } = valueOf(await client.line());
    const target = Deno.readLinkSync(`/proc/${set.qemu.pid}/fd/${fd}`);
    assertEquals(target, `/memfd:f${i} (deleted)`);
    sets.push(id as number);
    await client.line();
  }
  assertEquals(new Set(sets).size, 6);
});

test("add-fd to a set, remove-fd, and a block device on /dev/fdset work as with QEMU alone", async () => {
  await using set = await setUp();
  using client = await PassingClient.ready(set.fds);
  // While the VM is stopped QEMU keeps removed descriptors.
  assertMatch(await client.ask('{"execute":"cont"}'), /"event": "RESUME"/);
  assertEquals(await client.line(), DONE);
  const { "fdset-id": id } = valueOf(await client.ask('{"execute":"add-fd"}', ["disk"]));
  const add = JSON.stringify({
    execute: "add-fd",
    arguments: { "fdset-id": id, opaque: "again" },
  });
  valueOf(await client.ask(add, ["disk"]));
  const blockdev = JSON.stringify({
    execute: "blockdev-add",
    arguments: {
      driver: "file",
      filename: `/dev/fdset/${id}`,
      "node-name": "n",
    },
  });
  assertEquals(await client.ask(blockdev), DONE);
  assertEquals(
    await client.ask('{"execute":"blockdev-del","arguments":{"node-name":"n"}}'),
    DONE,
  );
  assertEquals(
    await client.ask(`{"execute":"remove-fd","arguments":{"fdset-id":${id}}}`),
    DONE,
  );
  assertEquals(await client.ask('{"execute":"query-fdsets"}'), '{"return": []}');
});

test("a client can use its name for the purpose it was passed for, and then the name is removed", async () => {
  await using set = await setUp();
  using client = await PassingClient.ready(set.fds);
  using other = await PassingClient.ready(set.fds);
  const file = memoryFile("state");
  const migrate = '{"execute":"migrate","arguments":{"uri":"fd:state"}}';
  assertEquals(await client.getfd("state", [file]), DONE);
  assertMatch(await other.ask(migrate), /File descriptor named 'state' has not been found/);
  assertMatch(await other.closefd("state"), /File descriptor named 'state' not found/);
  assertEquals(await other.getfd("state", ["theirs"]), DONE);
  assertEquals(await client.ask(migrate), DONE);
  let status: unknown;
  while (status !== "completed") {
    ({ status } = valueOf(await client.ask('{"execute":"query-migrate"}')));
  }
  // The bytes that QEMU has written into it begin as its streams do.
  const written = Deno.readFileSync(`/proc/self/fd/${file}`);
  assertEquals(new TextDecoder().decode(written.subarray(0, 4)), "QEVM");
  loadLibc().close(file);
  await hasFiles(set.qemu.pid, "theirs");
  assertMatch(await client.closefd("state"), /File descriptor named 'state' not found/);
  assertEquals(await other.closefd("state"), DONE);
  await hasFiles(set.qemu.pid);
});

test("24 clients that use the same name each use their own descriptor", async () => {
  await using set = await setUp("fds=on", [], ["-m", "1"]);
  const dump =
    '{"execute":"dump-guest-memory","arguments":{"paging":false,"protocol":"fd:drgn-dump"}}';
  const events = '{"execute":"__org.qmpmux_set-event-filter","arguments":{"enable":[]}}';
  const files = Array.from({ length: 24 }, (_, index) => memoryFile(`dump-${index}`));
  const clients: PassingClient[] = [];
  for (const _ of files) clients.push(await PassingClient.ready(set.fds));
  const all = async (each: (index: number) => Promise<string>): Promise<void> => {
    const answers = await Promise.all(files.map((_, index) => each(index)));
    assertEquals(new Set(answers), new Set([DONE]));
  };
  await all((index) => clients[index]!.ask(events));
  await all((index) => clients[index]!.getfd("drgn-dump", [files[index]!]));
  await hasFiles(set.qemu.pid, ...files.map((_, index) => `dump-${index}`));
  // Half of them use theirs, the others' are closed when they leave.
  await Promise.all(clients.map(async (client, index) => {
    if (index % 2 === 0) assertEquals(await client.ask(dump), DONE);
  }));
  for (const client of clients) client[Symbol.dispose]();
  await hasFiles(set.qemu.pid);
  for (const [index, file] of files.entries()) {
    const written = Deno.readFileSync(`/proc/self/fd/${file}`);
    assertEquals(written.length > 1 << 20, index % 2 === 0, `dump-${index}`);
    if (index % 2 === 0) assertEquals(new TextDecoder().decode(written.subarray(1, 4)), "ELF");
    loadLibc().close(file);
  }
});

test("every client reads the name that its owner chose, even if another client uses it too", async () => {
  await using set = await setUp();
  using client = await PassingClient.ready(set.fds);
  using other = await PassingClient.ready(set.fds);
  using asker = await TestClient.ready(set.plain);
  const name = 'caf\\u00e9 \\"1\\"';
  const addr = { type: "fd", data: { str: "NAME" } };
  const backend = { type: "socket", data: { server: false, addr } };
  for (const [each, id] of [[client, "one"], [other, "two"]] as const) {
    const [mine, theirs] = socketPair();
    assertEquals(await each.getfd(name, [mine]), DONE);
    const args = JSON.stringify({ id, backend }).replace("NAME", name);
    assertEquals(await each.ask(`{"execute":"chardev-add","arguments":${args}}`), DONE);
    // QEMU reports the name of a chardev that has closed.
    for (const end of [mine, theirs]) loadLibc().close(end);
  }
  const shown = async (command: string): Promise<string[]> => {
    const line = await asker.ask(command);
    return [...line.matchAll(/disconnected:fd:[^,}]*?1\\"/g)].map(([text]) => text);
  };
  const asked = 'disconnected:fd:caf\\u00E9 \\"1\\"';
  let seen: string[] = [];
  while (seen.length < 2) seen = await shown('{"execute":"query-chardev"}');
  assertEquals(seen, [asked, asked]);
  const info = { "command-line": "info chardev" };
  const line = JSON.stringify({ execute: "human-monitor-command", arguments: info });
  assertEquals(await shown(line), [asked, asked]);
  // Each name has been used: neither client owns it now.
  for (const each of [client, other]) {
    assertMatch(await each.closefd(name), /File descriptor named 'caf\\u00E9 \\"1\\"' not found/);
  }
});

test("what a client leaves behind is closed, whatever it was doing", async () => {
  await using set = await setUp();
  using asker = await TestClient.ready(set.plain);
  assertMatch(await asker.ask({ execute: "cont" }), /RESUME/);
  assertEquals(await asker.line(), DONE);
  const base = descriptorsOf(set.mux.pid);
  const getfd = (name: string): string => `{"execute":"getfd","arguments":{"fdname":"${name}"}}`;
  const states: [string, (client: PassingClient) => Promise<unknown>][] = [
    ["it has said nothing", (client) => client.send(" ", ["l1", "l2"])],
    ["half a command", (client) => client.send('{"execute":"getfd","argum', ["l3"])],
    ["a name", (client) => client.ask(getfd("l4"), ["l4"])],
    ["a set", (client) => client.ask('{"execute":"add-fd"}', ["l5"])],
    ["a set that a disk was on", async (client) => {
      await client.ask('{"execute":"add-fd","arguments":{"fdset-id":77}}', ["l9"]);
      const disk = { driver: "file", filename: "/dev/fdset/77", "node-name": "n" };
      await client.ask(JSON.stringify({ execute: "blockdev-add", arguments: disk }));
      await client.ask('{"execute":"blockdev-del","arguments":{"node-name":"n"}}');
    }],
    ["a command on its way", (client) => client.send(getfd("l6"), ["l6"])],
    ["commands that wait", async (client) => {
      for (let i = 0; i < 20; i++) await client.send(getfd(`l7-${i}`), [`l7-${i}`]);
    }],
    ["damage", (client) => client.send("}{ nonsense", ["l8"])],
  ];
  for (const [name, state] of states) {
    for (const ready of [true, false]) {
      const client = await (ready ? PassingClient.ready(set.fds) : PassingClient.connect(set.fds));
      if (!ready) await client.line();
      await state(client);
      client[Symbol.dispose]();
      const rest = (): string[] => [...memoryFilesOf(set.qemu.pid), ...memoryFilesOf(set.mux.pid)];
      await eventually(`nothing to be left of ${name}`, () => rest().length === 0);
    }
  }
  await hasDescriptors(set.mux.pid, base);
});

test("a set that another client's disk uses is removed with the disk, after its owner has left", async () => {
  await using set = await setUp();
  using other = await TestClient.ready(set.plain);
  assertMatch(await other.ask({ execute: "cont" }), /RESUME/);
  assertEquals(await other.line(), DONE);
  const base = descriptorsOf(set.mux.pid);
  {
    using owner = await PassingClient.ready(set.fds);
    await owner.ask('{"execute":"add-fd","arguments":{"fdset-id":5}}', ["lent"]);
    const disk = { driver: "file", filename: "/dev/fdset/5", "node-name": "n" };
    assertEquals(await other.ask({ execute: "blockdev-add", arguments: disk }), DONE);
  }
  await hasDescriptors(set.mux.pid, base);
  assertMatch(await other.ask({ execute: "query-fdsets" }), /"fdset-id": 5/);
  assertEquals(await other.ask({ execute: "blockdev-del", arguments: { "node-name": "n" } }), DONE);
  await hasFiles(set.qemu.pid);
});

test("qmpmux removes all names when it shuts down, and QEMU closes them all when it exits", async () => {
  await using set = await setUp();
  using client = await PassingClient.ready(set.fds);
  await client.getfd("kept");
  set.mux.kill("SIGTERM");
  await client.lines.rest();
  await within("qmpmux to exit", set.mux.ended);
  await hasFiles(set.qemu.pid);

  await using again = await setUp();
  using other = await PassingClient.ready(again.fds);
  await other.getfd("kept");
  await other.send(" ", ["waits"]);
  again.qemu.kill("SIGKILL");
  await other.lines.rest();
  await within("the client's disconnect", again.mux.log.until(/QEMU closed its monitor/));
  await hasFiles(again.mux.pid);
});

test("a QEMU that is connected to again keeps no earlier name", async () => {
  const more = ["--on-loss", "hold", "--max-message", "1M"];
  await using set = await setUp("fds=on", more, ["-machine", "pc", "-m", "16"]);
  using client = await PassingClient.ready(set.fds);
  using other = await TestClient.ready(set.plain);
  for (const name of ["before", "too"]) assertEquals(await client.getfd(name), DONE);
  await hasFiles(set.qemu.pid, "before", "too");
  // Its reply exceeds the limit.
  const line = { "command-line": "xp /300000xb 0" };
  await other.send(JSON.stringify({ execute: "human-monitor-command", arguments: line }));
  for (let times = 0; times < 2; times++) await set.mux.log.until(/: connected to QEMU /);
  await hasFiles(set.qemu.pid);
  // Both have got the error that it was lost.
  assertMatch(await client.line(), /"event": "__org.qmpmux_QEMU_LOST"/);
});

test("a stopped QEMU that was passed a descriptor is reported as stalled, and takes it when it runs again", async () => {
  await using set = await setUp("fds=on", ["--stall-timeout", "1"]);
  using client = await PassingClient.ready(set.fds);
  set.qemu.kill("SIGSTOP");
  await client.send('{"execute":"getfd","arguments":{"fdname":"late"}}', ["late"]);
  await set.mux.log.until(/QEMU does not answer: stalled for 1 s$/);
  set.qemu.kill("SIGCONT");
  assertEquals(await client.line(), DONE);
  await set.mux.log.until(/QEMU answers again$/);
  await hasFiles(set.qemu.pid, "late");
});

test("a listener without fds=on accepts no descriptors: QEMU reports a missing one, the log the reason", async () => {
  await using set = await setUp();
  using client = await PassingClient.ready(set.plain);
  for (const name of ["x", "y"]) assertEquals(await client.getfd(name), NOTHING_CAME);
  using passer = await PassingClient.ready(set.fds);
  assertEquals(await passer.getfd("z", []), NOTHING_CAME);
  await set.mux.log.until(
    /^qmpmux: client plain\/1 sent a command that takes a file descriptor, but none was passed: /,
  );
  const lines = set.mux.log.seen.filter((line) => line.includes("fds=on"));
  assertEquals(lines, [
    "qmpmux: client plain/1 sent a command that takes a file descriptor, but none was passed: its listener has no " +
    "fds=on; add it if clients should pass descriptors",
  ]);
  await hasFiles(set.mux.pid);
  await hasFiles(set.qemu.pid);
});

test("a listener that only identifies clients accepts no descriptors, beside one that does", async () => {
  using place = makePlace();
  const more = ["identity=on", `allow=${Deno.uid()}`, "user-rate=100"];
  const listens = more.flatMap((each, i) => ["--listen", `unix:${place.path}/${i},${each}`]);
  await using set = await setUp("fds=on", listens);
  for (const [i] of more.entries()) {
    using client = await PassingClient.ready(`${place.path}/${i}`);
    await client.send(" ", ["x"]);
    assertEquals(await client.getfd("x"), NOTHING_CAME);
    const line =
      `qmpmux: client ${i}/${1 + Number(i)} passed a file descriptor, which was closed: ` +
      "its listener accepts none; add fds=on to it";
    await set.mux.log.until(new RegExp(`^${line}$`));
    const lines = set.mux.log.seen.filter((each) => each.includes(`client ${i}/`));
    assertEquals(lines, [line]);
  }
  using passer = await PassingClient.ready(set.fds);
  assertEquals(await passer.getfd("y"), DONE);
  await hasFiles(set.mux.pid);
  await hasFiles(set.qemu.pid, "y");
});

test("a descriptor in a file name, or QEMU's own number, gives no access to another client's descriptor", async () => {
  await using set = await setUp();
  using client = await PassingClient.ready(set.fds);
  using other = await PassingClient.ready(set.fds);
  assertEquals(await client.getfd("mine"), DONE);
  const ask = (execute: string, args: unknown): Promise<string> =>
    other.ask(JSON.stringify({ execute, arguments: args }));
  const device = { driver: "null-co", "node-name": "disk", size: 1 << 20 };
  assertEquals(await ask("blockdev-add", device), DONE);
  const target = 'json:{"driver":"nbd","server":{"type":"fd","str":"mine"}}';
  assertMatch(
    await ask("drive-mirror", { device: "disk", sync: "full", mode: "existing", target }),
    /File descriptor named 'mine' has not been found/,
  );
  const number =
    [...Deno.readDirSync(`/proc/${set.qemu.pid}/fd`)].find(({ name }) =>
      Deno.readLinkSync(`/proc/${set.qemu.pid}/fd/${name}`).startsWith("/memfd:mine")
    )!.name;
  assertMatch(
    await ask("netdev_add", { type: "tap", id: "n", fd: number }),
    new RegExp(`File descriptor named '${number}' has not been found`),
  );
  // HMP has its own names.
  for (const line of ["closefd mine", "migrate fd:mine", "chardev-add socket,id=c,fd=mine"]) {
    const answer = await client.ask(JSON.stringify({
      execute: "human-monitor-command",
      arguments: { "command-line": line },
    }));
    assertMatch(answer, /^\{"return": "Error: File descriptor named 'mine' (has )?not /);
  }
  // Commands that QEMU does not run close nothing, and give no descriptor to other clients.
  const wrong = '{"execute":"closefd","arguments":{"fdname":"mine","x":1}}';
  assertMatch(await client.ask(wrong), /Parameter 'x' is unexpected/);
  assertMatch(await other.closefd("mine"), /File descriptor named 'mine' not found/);
  await hasFiles(set.qemu.pid, "mine");
  client[Symbol.dispose]();
  await hasFiles(set.qemu.pid);
});

test("administrators and the audit see the identity of each client", async () => {
  await using set = await setUp("identity=on,role=admin,name=known", ["--audit-all"]);
  using client = await TestClient.ready(set.fds);
  const who = { pid: Deno.pid, uid: Deno.uid(), gid: Deno.gid() };
  const line = await client.ask('{"execute":"__org.qmpmux_query-clients"}');
  assertEquals(JSON.parse(line).return[0].peer, who);
  const { stdout } = await runQmpmux(["clients", "--socket", set.fds]);
  assertMatch(stdout, new RegExp(`^known/1 +${who.uid}:${who.gid}/${who.pid} `, "m"));
  await set.mux[Symbol.asyncDispose]();
  const [record] = set.audit().split("\n").filter((each) => each.includes("query-clients"));
  assertEquals(JSON.parse(record!).peer, who);
});

/**
 * Returns the first line that a client of another user reads, or `""` if it is refused; needs root.
 */
async function greetingOf(path: string, uid: number): Promise<string> {
  const code = `
import os, socket, sys
os.setgroups([]); os.setgid(${uid}); os.setuid(${uid})
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.settimeout(20)
sys.stdout.write(s.makefile().readline())`;
  const command = new Deno.Command("python3", { args: ["-c", code, path], stdin: "null" });
  const { success, stdout, stderr } = await within("another user's client", command.output());
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

rootTest("a listener admits whom it names, and says whom it does not", async () => {
  const mine = Deno.uid() === 0 ? "root" : String(Deno.uid());
  await using set = await setUp(`mode=0666,role-for=${mine}:observer+65533:operator,name=some`);
  Deno.chmodSync(set.place, 0o755);
  using client = await TestClient.ready(set.fds);
  assertMatch(await client.ask({ execute: "stop" }), /role observer/);
  assertMatch(await greetingOf(set.fds, 65533), /^\{"QMP"/);
  assertEquals(await greetingOf(set.fds, 65532), "");
  await set.mux.log.until(
    /\/fds: a client was refused: process \d+ of user 65532 and group 65532 is not admitted/,
  );
});

test("user-rate= is shared by all clients of a user", async () => {
  await using set = await setUp("user-rate=3");
  using one = await TestClient.ready(set.fds);
  using two = await TestClient.ready(set.fds);
  // Their two handshakes took the first of three tokens: the second client has to wait.
  await one.ask({ execute: "query-status" });
  await two.ask({ execute: "query-status" });
  await set.mux.log.until(/and others of its user send more than 3 commands a second/);
});

test("clients of a passed socket can pass descriptors too", async () => {
  using place = makePlace();
  const path = `${place.path}/passed`;
  await using qemu = await startQemu(`${place.path}/qmp`);
  const args = ["--qemu", `unix:${qemu.path}`, "--listen", "fd:mux,fds=on"];
  await using _mux = await startQmpmux(args, { sockets: [`mux=${path}`] });
  using client = await PassingClient.ready(path);
  assertEquals(await client.getfd("passed"), DONE);
  await hasFiles(qemu.pid, "passed");
});

if (!Deno.env.get("QMPMUX_BINARY")) {
  test("without permission for FFI qmpmux runs, reports it, and admits no client by user", async () => {
    using place = makePlace();
    await using qemu = await startQemu(`${place.path}/qmp`);
    const args = ["--qemu", `unix:${qemu.path}`];
    args.push("--listen", `unix:${place.path}/fds,fds=on`);
    args.push("--listen", `unix:${place.path}/named,allow=${Deno.uid()}`);
    await using mux = await startQmpmux(args, { without: ["--allow-ffi"] });
    const missing = "descriptors cannot be passed: FFI is not allowed; run Deno with --allow-ffi";
    assertEquals(mux.log.seen.filter((line) => line.endsWith(missing)).length, 1);
    using client = await PassingClient.ready(`${place.path}/fds`);
    assertEquals(await client.getfd("x"), NOTHING_CAME);
    using named = await TestClient.connect(`${place.path}/named`);
    assertEquals(await named.lines.rest(), []);
  });
}

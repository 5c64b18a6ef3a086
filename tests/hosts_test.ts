/**
 * One process for many VMs: found, served, kept apart, and reloaded.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import type { MachineSettings } from "../lib/config/machines.ts";
import { ListenerAddresses } from "../lib/daemon/listener_addresses.ts";
import { newEntry } from "../lib/daemon/vm_entry.ts";
import { Failure } from "../lib/platform/failure.ts";
import { TestClient } from "./support/client.ts";
import { FakeQemu } from "./support/fake_qemu.ts";
import { makePlace } from "./support/place.ts";
import { startQmpmux, type TestQmpmux } from "./support/qmpmux.ts";
import { unprivileged } from "./support/unprivileged.ts";

/** A host: a directory of QEMUs, one of listeners, and a control socket. */
class Host implements Disposable {
  readonly #place = makePlace();
  readonly path = this.#place.path;

  constructor() {
    Deno.mkdirSync(`${this.path}/q`);
  }

  /** Starts a fake QEMU for a VM, in a directory of its own. */
  qemu(vm: string, manners: ConstructorParameters<typeof FakeQemu>[1] = {}): FakeQemu {
    Deno.mkdirSync(`${this.path}/q/${vm}`, { recursive: true });
    return new FakeQemu(`${this.path}/q/${vm}/qmp`, manners);
  }

  /** Starts qmpmux with templates for all VMs. */
  start(...more: string[]): Promise<TestQmpmux> {
    return this.startUnder([], ...more);
  }

  /** Starts qmpmux as another program execs it. */
  startUnder(under: readonly string[], ...more: string[]): Promise<TestQmpmux> {
    const templates = ["--qemu", `${this.path}/q/{vm}/qmp`, "--listen", this.listener("{vm}")];
    return startQmpmux([...templates, ...more], { listeners: 0, under });
  }

  listener(vm: string): string {
    return `${this.path}/m/${vm}/mux`;
  }

  client(vm: string): Promise<TestClient> {
    return TestClient.ready(this.listener(vm));
  }

  /** Returns the names of the VMs that have a directory of listeners. */
  get served(): string[] {
    return [...Deno.readDirSync(`${this.path}/m`)].map(({ name }) => name).sort();
  }

  [Symbol.dispose](): void {
    this.#place[Symbol.dispose]();
  }
}

/** A fake QEMU that answers `query-name` with its VM's name. */
function named(vm: string): ConstructorParameters<typeof FakeQemu>[1] {
  return {
    answer: ({ name }) => name === "query-name" ? `{"return": {"name": "${vm}"}}\r\n` : undefined,
  };
}

const NAME = { execute: "query-name" };

/** Runs one of qmpmux's own commands; returns its value, or the text of the error. */
async function administer(control: TestClient, command: string, args = {}): Promise<unknown> {
  const execute = `__org.qmpmux_${command}`;
  const reply = JSON.parse(await control.ask({ execute, arguments: args }));
  return reply.return ?? reply.error.desc;
}

function connected(vm: string): RegExp {
  return new RegExp(`^qmpmux: ${vm}: connected to QEMU`);
}

Deno.test("a VM that is there, or appears, is served at its own sockets", async () => {
  using host = new Host();
  await using _a = host.qemu("a", named("a"));
  await using mux = await host.start();
  await mux.log.until(connected("a"));
  await using _b = host.qemu("b", named("b"));
  await mux.log.until(connected("b"));
  using a = await host.client("a");
  using b = await host.client("b");
  assertMatch(await a.ask(NAME), /"name": "a"/);
  assertMatch(await b.ask(NAME), /"name": "b"/);
  assertEquals(host.served, ["a", "b"]);
});

Deno.test("a VM whose directory is removed is no longer served, and leaves no socket", async () => {
  using host = new Host();
  await using _a = host.qemu("a", named("a"));
  const b = host.qemu("b", named("b"));
  await using mux = await host.start();
  await mux.log.until(connected("b"));
  using a = await host.client("a");
  using gone = await host.client("b");
  await b[Symbol.asyncDispose]();
  Deno.removeSync(`${host.path}/q/b`, { recursive: true });
  await mux.log.until(/^qmpmux: b: no longer served: it is gone$/);
  assertEquals(await gone.lines.rest(), []);
  assertEquals(host.served, ["a"]);
  assertMatch(await a.ask(NAME), /"name": "a"/);
});

Deno.test("clients of a VM wait while its QEMU restarts, with on-loss=hold", async () => {
  using host = new Host();
  const first = host.qemu("a", named("first"));
  await using mux = await host.start("--on-loss", "hold");
  await mux.log.until(connected("a"));
  using client = await host.client("a");
  await first[Symbol.asyncDispose]();
  Deno.removeSync(`${host.path}/q/a`, { recursive: true });
  assertMatch(await client.line(), /QEMU_LOST/);
  await using _second = host.qemu("a", named("second"));
  assertMatch(await client.line(), /QEMU_BACK/);
  assertMatch(await client.ask(NAME), /"name": "second"/);
});

Deno.test("VMs whose directories are exchanged are exchanged for their clients as well", async () => {
  using host = new Host();
  await using _a = host.qemu("a", named("a"));
  await using _b = host.qemu("b", named("b"));
  await using mux = await host.start("--on-loss", "hold");
  await mux.log.until(connected("a"));
  using a = await host.client("a");
  using b = await host.client("b");
  assertMatch(await b.ask(NAME), /"name": "b"/);
  for (const [from, to] of [["a", "tmp"], ["b", "a"], ["tmp", "b"]]) {
    Deno.renameSync(`${host.path}/q/${from}`, `${host.path}/q/${to}`);
  }
  for (const [client, name] of [[a, "b"], [b, "a"]] as const) {
    assertMatch(await client.line(), /QEMU_LOST/);
    assertMatch(await client.line(), /QEMU_BACK/);
    assertMatch(await client.ask(NAME), new RegExp(`"name": "${name}"`));
  }
});

Deno.test("a VM whose socket file is removed after the connection stays connected", async () => {
  using host = new Host();
  await using a = host.qemu("a", named("a"));
  await using mux = await host.start();
  await mux.log.until(connected("a"));
  using client = await host.client("a");
  Deno.removeSync(`${host.path}/q/a/qmp`);
  Deno.writeTextFileSync(`${host.path}/q/a/qmp`, "a file that is not a socket");
  await using _b = host.qemu("b", named("b"));
  // A scan has found b, and has looked at a.
  await mux.log.until(connected("b"));
  assertMatch(await client.ask(NAME), /"name": "a"/);
  assertEquals(a.connections, 1);
});

Deno.test("another QEMU that takes the path of a VM is served instead of the first", async () => {
  using host = new Host();
  await using first = host.qemu("a", named("first"));
  await using mux = await host.start();
  await mux.log.until(connected("a"));
  Deno.removeSync(first.path);
  await using _second = host.qemu("a", named("second"));
  await using _b = host.qemu("b", named("b"));
  assertMatch(
    await mux.log.until(/^qmpmux: a: .*another socket/),
    /q\/a\/qmp: another socket is in the place of QEMU's; connecting to that one$/,
  );
  await mux.log.until(connected("a"));
  using client = await host.client("a");
  assertMatch(await client.ask(NAME), /"name": "second"/);
});

Deno.test("a server that is not QEMU affects no other VM, and a QEMU in its place is served", async () => {
  using host = new Host();
  await using _a = host.qemu("a", named("a"));
  const bad = host.qemu("b", { greeting: "HTTP/1.1 400 Bad Request\r\n\r\n" });
  await using mux = await host.start();
  await mux.log.until(/^qmpmux: b: .*QMP/);
  using a = await host.client("a");
  assertMatch(await a.ask(NAME), /"name": "a"/);
  await bad[Symbol.asyncDispose]();
  await using _b = host.qemu("b", named("b"));
  await mux.log.until(connected("b"));
});

Deno.test("a file in the place of QEMU's socket is reported once, and the VM served later", async () => {
  using host = new Host();
  Deno.mkdirSync(`${host.path}/q/a`);
  Deno.writeTextFileSync(`${host.path}/q/a/qmp`, "");
  await using mux = await host.start();
  const line = await mux.log.until(/^qmpmux: a: not served: /);
  assertMatch(line, /qmp is not a socket; .*; tried again every 5 s$/);
  Deno.removeSync(`${host.path}/q/a/qmp`);
  await using _a = host.qemu("a", named("a"));
  await mux.log.until(connected("a"));
});

Deno.test("a directory of VMs that does not exist yet is awaited", async () => {
  using host = new Host();
  Deno.removeSync(`${host.path}/q`);
  await using mux = await host.start();
  await mux.log.until(/q does not exist yet; waiting$/);
  await using _a = host.qemu("a", named("a"));
  await mux.log.until(connected("a"));
});

Deno.test("directories with invalid names of VMs are ignored", async () => {
  using host = new Host();
  await using _odd = host.qemu("a b", named("odd"));
  await using _a = host.qemu("a", named("a"));
  await using mux = await host.start();
  await mux.log.until(connected("a"));
  assertEquals(host.served, ["a"]);
});

Deno.test("max-vms bounds the VMs that are served", async () => {
  using host = new Host();
  await using _a = host.qemu("a", named("a"));
  await using mux = await host.start("--max-vms", "1");
  await mux.log.until(connected("a"));
  await using _b = host.qemu("b", named("b"));
  await mux.log.until(/^qmpmux: VM b is not served: there are 1 VMs \(max-vms\)$/);
  assertEquals(host.served, ["a"]);
});

Deno.test("the status and the log list VMs that are not served, with the reason", async () => {
  using host = new Host();
  await using _a = host.qemu("a", named("a"));
  await using mux = await host.start("--max-vms", "2", "--control", `${host.path}/control`);
  await mux.log.until(connected("a"));
  Deno.mkdirSync(`${host.path}/q/b`);
  Deno.writeTextFileSync(`${host.path}/q/b/qmp`, "");
  await mux.log.until(/^qmpmux: b: not served: /);
  await using _c = host.qemu("c", named("c"));
  await mux.log.until(/^qmpmux: VM c is not served: /);
  using control = await TestClient.ready(`${host.path}/control`);
  type Row = { vm: string; qemu: string; reason?: string; clients: number };
  const status = async (): Promise<string[]> => {
    const rows = await administer(control, "query-status") as Row[];
    return rows.map(({ vm, qemu, reason = "" }) => `${vm} ${qemu} ${reason}`.trim());
  };
  const [a, b, c, ...more] = await status();
  assertEquals([a, c, ...more], ["a ready", "c not served there are 2 VMs (max-vms)"]);
  assertMatch(b!, /^b not served unix:\/.*\/b\/qmp is not a socket; correct --qemu, or start QEMU/);
  assertEquals(await administer(control, "query-clients", { vm: "b" }), []);
  mux.kill("SIGUSR2");
  await mux.log.until(/^qmpmux: b: status: not served: .* is not a socket;/);
  await mux.log.until(/^qmpmux: c: status: not served: there are 2 VMs \(max-vms\)$/);
  await mux.log.until(/^qmpmux: status: 3 VMs; no audit$/);
  // The place that one VM leaves is for another.
  Deno.removeSync(`${host.path}/q/b`, { recursive: true });
  await mux.log.until(connected("c"));
  assertEquals(await status(), ["a ready", "c ready"]);
});

Deno.test("a VM whose directory qmpmux may not enter is logged once and listed, until it may", async () => {
  using host = new Host();
  await using _a = host.qemu("a");
  await using _b = host.qemu("b");
  const directory = `${host.path}/q/b`;
  Deno.chmodSync(directory, 0);
  const control = `${host.path}/control`;
  await using mux = await host.startUnder(unprivileged(), "--control", control);
  const line = `qmpmux: VM b is not served: ${host.path}/q/b/qmp: no permission to look there; ` +
    "let qmpmux enter its directory";
  assertEquals(await mux.log.until(/VM b is not served/), line);
  await mux.log.until(connected("a"));
  using admin = await TestClient.ready(control);
  const states = async (): Promise<unknown[]> =>
    (await administer(admin, "query-status") as { vm: string; qemu: string; reason?: string }[])
      .map(({ vm, qemu, reason }) => [vm, qemu, reason]);
  assertEquals(await states(), [["a", "ready", undefined], [
    "b",
    "not served",
    line.slice("qmpmux: VM b is not served: ".length),
  ]]);
  Deno.removeSync(`${host.path}/q/a`, { recursive: true });
  await mux.log.until(/^qmpmux: a: no longer served: it is gone$/);
  assertEquals((await states()).map((each) => (each as string[])[1]), ["not served"]);
  Deno.chmodSync(directory, 0o755);
  await mux.log.until(connected("b"));
  assertEquals(await states(), [["b", "ready", undefined]]);
});

Deno.test("a VM whose name makes a path too long is reported once, with what to do", async () => {
  using host = new Host();
  const file = `${host.path}/qmpmux.toml`;
  const rest = `${host.path}/listeners/of/`.length + "/mux".length;
  const vm = "x".repeat(108 - rest);
  Deno.writeTextFileSync(
    file,
    `qemu = "${host.path}/q/{vm}/qmp"\ncontrol = "${host.path}/control"\n` +
      `[[listen]]\naddress = "${host.path}/listeners/of/{vm}/mux"\n`,
  );
  await using _long = host.qemu(vm, named("long"));
  await using _a = host.qemu("a", named("a"));
  await using mux = await startQmpmux(["--config", file], { listeners: 0 });
  const path = `${host.path}/listeners/of/${vm}/mux`;
  const reason = `unix:${path}: the path has 108 bytes, a socket's has at most 107; ` +
    "use a shorter path or name";
  assertEquals(
    await mux.log.until(/^qmpmux: VM x/),
    `qmpmux: VM ${vm} is not served: ${reason}`,
  );
  await mux.log.until(connected("a"));
  // Neither a reload nor another scan reports it again.
  mux.kill("SIGHUP");
  await mux.log.until(/the configuration has been reloaded$/);
  await using _b = host.qemu("b", named("b"));
  await mux.log.until(connected("b"));
  assertEquals(mux.log.seen.filter((line) => line.includes(vm)).length, 1);
  using control = await TestClient.ready(`${host.path}/control`);
  const status = await administer(control, "query-status", { vm }) as { reason: string }[];
  assertEquals(status.map((each) => each.reason), [reason]);
});

Deno.test("a reload adds, removes and changes VMs, and no other client notices", async () => {
  using host = new Host();
  const file = `${host.path}/qmpmux.toml`;
  const tables = (...vms: string[]): void =>
    Deno.writeTextFileSync(
      file,
      `control = "${host.path}/control"\n[[listen]]\naddress = "${host.listener("{vm}")}"\n` +
        vms.map((vm) => `[[vm]]\n${vm}\n`).join(""),
    );
  const table = (vm: string, qemu = vm): string =>
    `name = "${vm}"\nqemu = "${host.path}/q/${qemu}/qmp"`;
  await using _a = host.qemu("a", named("a"));
  await using _b = host.qemu("b", named("b"));
  await using _c = host.qemu("c", named("c"));
  tables(table("a"), table("b"));
  await using mux = await startQmpmux(["--config", file], { listeners: 0 });
  await mux.log.until(connected("b"));
  using a = await host.client("a");
  using b = await host.client("b");
  tables(table("a"), table("c"));
  mux.kill("SIGHUP");
  await mux.log.until(connected("c"));
  using c = await host.client("c");
  assertMatch(await c.ask(NAME), /"name": "c"/);
  assertEquals(await b.lines.rest(), []);
  assertEquals(host.served, ["a", "c"]);
  // A file that cannot be adopted changes nothing, however much of it is good.
  tables(table("a"), table("b"), `${table("d")}\n[[vm.listen]]\naddress = "${file}/d"`);
  mux.kill("SIGHUP");
  await mux.log.until(/^qmpmux: not reloaded: VM d: .*toml is not a directory; correct the path$/);
  assertEquals(host.served, ["a", "c"]);
  // Another address of QEMU ends the session of this VM alone.
  tables(table("a"), table("c", "b"));
  mux.kill("SIGHUP");
  await mux.log.until(/^qmpmux: c: connected to QEMU .*\/q\/b\/qmp$/);
  using moved = await host.client("c");
  assertMatch(await moved.ask(NAME), /"name": "b"/);
  assertMatch(await a.ask(NAME), /"name": "a"/);
});

Deno.test("the control socket lists all VMs, and disconnects clients of one", async () => {
  using host = new Host();
  await using _a = host.qemu("a", named("a"));
  await using _b = host.qemu("b", named("b"));
  await using mux = await host.start("--control", `${host.path}/control`);
  await mux.log.until(connected("b"));
  using a = await host.client("a");
  using b = await host.client("b");
  using control = await TestClient.ready(`${host.path}/control`);
  const run = (command: string, args = {}): Promise<unknown> => administer(control, command, args);
  const status = await run("query-status") as { vm: string; qemu: string; clients: number }[];
  assertEquals(status.map(({ vm, qemu, clients }) => `${vm} ${qemu} ${clients}`), [
    "a ready 1",
    "b ready 1",
  ]);
  const clients = await run("query-clients", { vm: "b*" }) as { vm: string; name: string }[];
  assertEquals(clients.map(({ vm, name }) => `${vm} ${name}`), ["b mux/1"]);
  assertMatch(await run("disconnect-client", { name: "mux/1" }) as string, /at 2 VMs/);
  assertEquals(await run("disconnect-client", { name: "mux/1", vm: "b" }), {});
  assertEquals(await b.lines.rest(), []);
  assertMatch(await a.ask(NAME), /"name": "a"/);
});

Deno.test("SIGTERM drains every VM, and removes what was made", async () => {
  using host = new Host();
  await using _a = host.qemu("a", named("a"));
  await using mux = await host.start();
  await mux.log.until(connected("a"));
  using a = await host.client("a");
  mux.kill("SIGTERM");
  assertEquals(await a.lines.rest(), []);
  assertEquals((await mux.ended).code, 0);
  assert(!Array.from(Deno.readDirSync(host.path), ({ name }) => name).includes("m"));
});

Deno.test("a process of idle VMs asks QEMU nothing, and does not tick", async () => {
  using host = new Host();
  await using a = host.qemu("a", named("a"));
  await using mux = await host.start("--stall-timeout", "1");
  await mux.log.until(connected("a"));
  using client = await host.client("a");
  assertMatch(await client.ask(NAME), /"name": "a"/);
  const heard = a.heard.length;
  // The kernel counts the times that a thread gave up the processor: each tick is one.
  const switches = (): number => {
    const status = Deno.readTextFileSync(`/proc/${mux.pid}/status`);
    return Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status)![1]);
  };
  // After the last traffic a few ticks follow. Then a scan every five seconds is all that wakes it.
  let before = switches();
  for (let [quiet, round] = [0, 0]; quiet < 3; round++) {
    assert(round < 30, "it does not come to rest");
    await new Promise((resolve) => setTimeout(resolve, 1100));
    const now = switches();
    quiet = now - before <= 1 ? quiet + 1 : 0;
    before = now;
  }
  assertEquals(a.heard.length, heard);
  assertMatch(await client.ask(NAME), /"name": "a"/);
});

Deno.test("a reload that is refused disconnects no client of any VM", async () => {
  using host = new Host();
  const file = `${host.path}/qmpmux.toml`;
  const write = (table: string, more = ""): void =>
    Deno.writeTextFileSync(
      file,
      `qemu = "${host.path}/q/{vm}/qmp"\n[[listen]]\naddress = "${host.listener("{vm}")}"\n` +
        `${more}\n[[vm]]\n${table}\n`,
    );
  const table = (name: string, listener: string): string =>
    `name = "${name}"\nqemu = "${host.path}/x"\n[[vm.listen]]\naddress = "${listener}"`;
  const socket = `${host.path}/db.sock`;
  await using _a = host.qemu("a", named("a"));
  await using _x = new FakeQemu(`${host.path}/x`, named("db"));
  write(table("db", socket));
  await using mux = await startQmpmux(["--config", file], { listeners: 0 });
  // The two connect in either order.
  for (let times = 0; times < 2; times++) await mux.log.until(/: connected to QEMU/);
  using a = await host.client("a");
  using db = await TestClient.ready(socket);
  const refused = async (problem: RegExp): Promise<void> => {
    mux.kill("SIGHUP");
    assertMatch(await mux.log.until(/^qmpmux: not reloaded: /), problem);
    assertMatch(await db.ask(NAME), /"name": "db"/);
    assertMatch(await a.ask(NAME), /"name": "a"/);
  };
  write(table("db2", socket));
  await refused(
    /VM db2: .*db\.sock is a socket of the VM db until this reload is done; free it in one reload, and/,
  );
  write(table("other", `${host.path}/missing/s`));
  await refused(/VM other: .*missing does not exist; create it/);
  write(table("db", socket), 'allow = ["nobody"]');
  await refused(/identity, which allow, role-for, user-rate and fds imply, cannot/);
  const moved = `${table("db", `${host.path}/moved.sock`)}\n[[vm]]\n`;
  write(moved + table("db2", socket).replace("/x", "/y"));
  await refused(/VM db2: .*db\.sock is a socket of the VM db until this reload is done/);
});

Deno.test("ListenerAddresses.check() refuses an address as long as another VM has it", () => {
  const addresses = new ListenerAddresses();
  const settingsOf = (...paths: string[]): MachineSettings => {
    const listeners = paths.map((path) => ({ address: { transport: "unix", path } }));
    return { listeners } as unknown as MachineSettings;
  };
  const [one, two] = ["one", "two"].map((vm) => newEntry(vm, settingsOf("/a", `/${vm}`)));
  for (const entry of [one!, two!]) addresses.take(entry);
  addresses.check("one", one!.settings);
  addresses.check("two", settingsOf("/two", "/b"));
  const problem = (): string =>
    assertThrows(() => addresses.check("two", two!.settings), Failure).message;
  assertEquals(
    problem(),
    "unix:/a is a socket of the VM one too; give each VM sockets of its own",
  );
  // It frees its own addresses, and none that it did not get.
  addresses.free(two!);
  assertMatch(problem(), /^unix:\/a is a socket of the VM one/);
  addresses.free(one!);
  addresses.take(two!);
  addresses.check("two", two!.settings);
  assertThrows(() => addresses.check("one", one!.settings), Failure, "unix:/a is a socket of");
});

Deno.test("a VM is renamed by two reloads, if its socket keeps its address", async () => {
  using host = new Host();
  const file = `${host.path}/qmpmux.toml`;
  const write = (...names: string[]): void =>
    Deno.writeTextFileSync(
      file,
      names.map((name) =>
        `[[vm]]\nname = "${name}"\nqemu = "${host.path}/${name[0]}"\n` +
        `[[vm.listen]]\naddress = "${host.path}/${name[0]}.sock"\n`
      ).join(""),
    );
  await using _d = new FakeQemu(`${host.path}/d`, named("db"));
  write("db", "other");
  await using mux = await startQmpmux(["--config", file], { listeners: 2 });
  await mux.log.until(connected("db"));
  write("other", "db2");
  mux.kill("SIGHUP");
  await mux.log.until(
    /^qmpmux: not reloaded: VM db2: .*; free it in one reload, and use it in the next$/,
  );
  write("other");
  mux.kill("SIGHUP");
  await mux.log.until(/the configuration has been reloaded$/);
  write("other", "db2");
  mux.kill("SIGHUP");
  await mux.log.until(connected("db2"));
  using client = await TestClient.ready(`${host.path}/d.sock`);
  assertMatch(await client.ask(NAME), /"name": "db"/);
});

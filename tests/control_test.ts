/**
 * The control socket: administration in every state of QEMU.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { parseControl } from "../lib/config/recording.ts";
import type { Recording } from "../lib/observe/observer.ts";
import { FakeQemu } from "./support/fake_qemu.ts";
import { TestClient } from "./support/client.ts";
import { within } from "./support/deadline.ts";
import { until } from "./support/fault.ts";
import { makePlace } from "./support/place.ts";
import { startQemu, WITHOUT_QEMU } from "./support/qemu.ts";
import { startQmpmux } from "./support/qmpmux.ts";
import { Notebook } from "./support/recording.ts";
import { Stage } from "./support/stage.ts";

const CONTROL = parseControl("/run/control").grant;

function own(name: string, args: object = {}): string {
  return JSON.stringify({ execute: `__org.qmpmux_${name}`, arguments: args, id: 1 });
}

Deno.test("a control connection is greeted at once, and runs qmpmux's commands without QEMU", () => {
  const stage = new Stage();
  const admin = stage.connect("admin", CONTROL);
  assertEquals(admin.peer.take(), [
    '{"QMP": {"version": {"qmpmux": {"major": 1, "minor": 2, "micro": 3}}, "capabilities": []}}',
  ]);
  admin.say(own("query-status"));
  assertMatch(admin.peer.take().join(), /Expecting capabilities negotiation/);
  admin.say('{"execute":"qmp_capabilities","arguments":{"enable":["oob"]}}');
  assertMatch(admin.peer.take().join(), /Capability oob not available/);
  admin.say('{"execute":"qmp_capabilities"}');
  assertEquals(admin.peer.take(), ['{"return": {}}']);
  admin.say(own("query-status"));
  const { return: status } = JSON.parse(admin.peer.take().join());
  assertEquals([status.vm, status.qemu, status.clients], ["vm1", "absent", 0]);
});

Deno.test("a control connection does not reach QEMU: QEMU's commands are unknown, its events not sent", () => {
  const stage = new Stage();
  const admin = stage.connect("admin", CONTROL);
  stage.qemuReady();
  admin.say('{"execute":"qmp_capabilities"}');
  admin.peer.take();
  for (const name of ["stop", "query-version", "query-commands"]) {
    admin.say(`{"execute":"${name}","id":"x"}`);
    assertEquals(admin.peer.take(), [
      `{"id": "x", "error": {"class": "CommandNotFound", "desc": "The command ${name} has not been found"}}`,
    ]);
  }
  stage.qemuSays('{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "STOP"}');
  assertEquals(admin.peer.take(), []);
  assertEquals(stage.qemu.take(), []);
});

Deno.test("a control connection is not a client: it is not listed, cannot be kicked, and outlives QEMU", () => {
  const stage = new Stage();
  const admin = stage.connect("admin", CONTROL);
  admin.say('{"execute":"qmp_capabilities"}');
  stage.qemuReady();
  stage.ready("client");
  admin.peer.take();
  admin.say(own("query-clients"));
  const { return: clients } = JSON.parse(admin.peer.take().join());
  assertEquals(clients.map(({ name }: { name: string }) => name), ["stage/2"]);
  admin.say(own("disconnect-client", { name: "control/1" }));
  assertMatch(admin.peer.take().join(), /Client 'control\/1' not found/);
  stage.qemuGoes();
  assertEquals(admin.peer.closed, undefined);
  stage.qemuReady();
  admin.say(own("query-status"));
  const { return: status } = JSON.parse(admin.peer.take().join());
  assertEquals([status.qemu, status.clients, status.sessions], ["ready", 0, 2]);
});

Deno.test("query-clients tells whether a client subscribes, as query-self tells the client", () => {
  const stage = new Stage();
  const admin = stage.connect("admin", CONTROL);
  admin.say('{"execute":"qmp_capabilities"}');
  stage.qemuReady();
  const reader = stage.ready("reader");
  stage.ready("other");
  reader.say(own("subscribe", { bookmarks: 30 }));
  stage.qemuSays('{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "STOP"}');
  reader.peer.take();
  reader.say(own("query-self"));
  const { return: { subscription } } = JSON.parse(reader.peer.take().join());
  assertEquals([subscription.bookmarks, subscription.behind], [30, 0]);
  admin.peer.take();
  admin.say(own("query-clients"));
  const { return: clients } = JSON.parse(admin.peer.take().join());
  const shown = clients.map((
    each: Record<string, unknown>,
  ) => [each["name"], each["subscription"]]);
  assertEquals(shown, [["stage/2", subscription], ["stage/3", null]]);
});

Deno.test("query-clients separates commands at QEMU from waiting ones: joined queries, and a reload", () => {
  const stage = new Stage();
  stage.qemuReady();
  const admin = stage.connect("admin", CONTROL);
  admin.say('{"execute":"qmp_capabilities"}');
  const finish: ((problems: readonly string[]) => void)[] = [];
  stage.reloads = (done): void => void finish.push(done);
  const reloading = stage.connect("root", { ...CONTROL, dialect: "qmp", name: "root" });
  reloading.say(`{"execute":"qmp_capabilities"}${own("reload")}`);
  // Five clients send the same query: two are in flight, and the others wait here, joined.
  for (const name of ["a", "b", "c", "d"]) stage.ready(name).say('{"execute":"query-block"}');
  stage.qemu.take();
  admin.peer.take();
  admin.say(own("query-clients"));
  const { return: clients } = JSON.parse(admin.peer.take().join());
  const counts = clients.map((
    each: Record<string, unknown>,
  ) => [each["in-flight"], each["waiting"]]);
  assertEquals(counts, [[0, 1], [1, 0], [1, 0], [0, 1], [0, 1]]);
  admin.say(own("query-status"));
  assertEquals(JSON.parse(admin.peer.take().join()).return["in-flight"], 2);
  finish[0]!([]);
  stage.qemuSays('{"return": []}');
  stage.qemuSays('{"return": []}');
  stage.qemuSays('{"return": []}');
});

/** A control socket without a VM of its own, which administers several. */
class Host {
  readonly control: Stage;
  readonly vms: ReadonlyMap<string, Stage>;
  readonly #admin: ReturnType<Stage["connect"]>;

  constructor(names: readonly string[], recording: Recording = { observers: [] }) {
    this.vms = new Map(names.map((vm) => [vm, new Stage(60, { vm })]));
    this.control = new Stage(60, {
      recording,
      administration: {
        many: true,
        vms: () => [...this.vms.values()].map(({ mux }) => mux.administered),
      },
    });
    this.#admin = this.control.connect("admin", CONTROL);
    this.#admin.say('{"execute":"qmp_capabilities"}');
    this.#admin.peer.take();
  }

  /** Asks the control socket; returns the value, or the text of the error. */
  asked(name: string, args: object = {}): unknown {
    this.#admin.say(own(name, args));
    const [line, ...more] = this.#admin.peer.take();
    assertEquals(more, []);
    const { return: value, error } = JSON.parse(line!);
    return error?.desc ?? value;
  }

  /** Asks for a list; returns the VM and another member of each element. */
  listed(name: string, member: string, args: object = {}): unknown[] {
    const list = this.asked(name, args) as Record<string, unknown>[];
    return list.map((each) => [each["vm"], each[member]]);
  }
}

Deno.test("the control socket of many VMs lists the state of each, or of those that a glob chooses", () => {
  const host = new Host(["db", "web-1", "web-2"]);
  host.vms.get("web-1")!.qemuReady();
  assertEquals(host.listed("query-status", "qemu"), [
    ["db", "absent"],
    ["web-1", "ready"],
    ["web-2", "absent"],
  ]);
  assertEquals(host.listed("query-status", "sessions", { vm: "web-*" }), [["web-1", 1], [
    "web-2",
    0,
  ]]);
  assertEquals(host.asked("query-status", { vm: "x" }), "VM 'x' not found");
  assertEquals(new Host([]).asked("query-status"), []);
  const self = host.asked("query-self") as Record<string, unknown>;
  assertEquals([self["vm"], self["name"], self["qemu-pid"]], [null, "control/1", null]);
});

Deno.test("the control socket of many VMs lists the clients of all, with their VMs", () => {
  const host = new Host(["a", "b"]);
  for (const vm of host.vms.values()) vm.qemuReady();
  host.vms.get("a")!.ready("one").say('{"execute":"stop"}');
  host.vms.get("b")!.ready("one");
  host.vms.get("b")!.ready("two");
  assertEquals(host.listed("query-clients", "name"), [
    ["a", "stage/1"],
    ["b", "stage/1"],
    ["b", "stage/2"],
  ]);
  assertEquals(host.listed("query-clients", "in-flight", { vm: "a" }), [["a", 1]]);
  assertEquals(host.listed("query-clients", "in-flight", { vm: "b" }), [["b", 0], ["b", 0]]);
});

Deno.test("the control socket of many VMs disconnects clients of the VMs that are chosen", () => {
  const recording = new Notebook();
  const host = new Host(["a", "b"], recording.recording);
  for (const vm of host.vms.values()) vm.qemuReady();
  const clients = [...host.vms.values()].flatMap((vm) => [vm.ready("one"), vm.ready("two")]);
  const closed = (): unknown[] => clients.map(({ peer }) => peer.closed !== undefined);
  assertEquals(
    host.asked("disconnect-client", { name: "stage/1" }),
    "Client 'stage/1' is at 2 VMs; choose with 'vm'",
  );
  assertEquals(closed(), [false, false, false, false]);
  assertEquals(host.asked("disconnect-client", { name: "stage/1", vm: "a" }), {});
  assertEquals(closed(), [true, false, false, false]);
  assertEquals(host.asked("disconnect-client", { name: "stage/1" }), {});
  assertEquals(closed(), [true, false, true, false]);
  assertEquals(
    host.asked("disconnect-client", { name: "stage/1", vm: "*" }),
    "Client 'stage/1' not found",
  );
  assertEquals(host.asked("disconnect-client", { name: "*" }), {});
  assertEquals(closed(), [true, true, true, true]);
  const names = recording.outcomes.map(({ result }) => result);
  assertEquals(names, ["return", "error", "return", "return", "error", "return"]);
});

Deno.test("an administrator at a VM sees that VM and no other", () => {
  const host = new Host(["a", "b"]);
  const stage = host.vms.get("a")!;
  const root = stage.connect("root", CONTROL);
  root.say('{"execute":"qmp_capabilities"}');
  root.peer.take();
  root.say(own("query-status"));
  assertEquals(JSON.parse(root.peer.take().join()).return.vm, "a");
  root.say(own("query-status", { vm: "b" }));
  assertMatch(root.peer.take().join(), /VM 'b' not found/);
});

Deno.test("clients of a glob are disconnected some at a time, and the reply comes last", () => {
  const later: (() => void)[] = [];
  const vm = new Stage(60, { vm: "a" });
  const control = new Stage(60, {
    administration: { many: true, vms: () => [vm.mux.administered] },
    later: (task) => void later.push(task),
  });
  const admin = control.connect("admin", CONTROL);
  admin.say('{"execute":"qmp_capabilities"}');
  vm.qemuReady();
  const clients = Array.from({ length: 50 }, (_, i) => vm.ready(`client${i}`));
  const closed = (): number => clients.filter(({ peer }) => peer.closed !== undefined).length;
  admin.peer.take();
  admin.say(own("disconnect-client", { name: "*" }));
  const counts = [closed()];
  // One that leaves by itself meanwhile is passed over.
  vm.mux.detached([...vm.mux.monitors].at(-1)!);
  while (later.length > 0) {
    assertEquals(admin.peer.take(), []);
    later.shift()!();
    counts.push(closed());
  }
  assertEquals(counts, [16, 32, 48, 49]);
  assertEquals(admin.peer.take(), ['{"return": {}, "id": 1}']);
});

Deno.test("a VM that is removed while clients are listed is left out from then on", () => {
  const later: (() => void)[] = [];
  const vms = ["a", "b"].map((vm) => new Stage(60, { vm }));
  for (const vm of vms) {
    vm.qemuReady();
    for (let i = 0; i < 20; i++) vm.ready(`${i}`);
  }
  const control = new Stage(60, {
    later: (task) => void later.push(task),
    administration: { many: true, vms: () => vms.map(({ mux }) => mux.administered) },
  });
  const admin = control.connect("admin", CONTROL);
  admin.say(`{"execute":"qmp_capabilities"}${own("query-clients")}`);
  admin.peer.take();
  vms.pop()!.mux.dismissAll("removed");
  while (later.length > 0) later.shift()!();
  const { return: clients } = JSON.parse(admin.peer.take().join());
  assertEquals(clients.map(({ vm }: { vm: string }) => vm), Array(20).fill("a"));
});

/** Asks the control socket. */
async function asked(admin: TestClient, name: string): Promise<Record<string, unknown>> {
  return JSON.parse(await admin.ask(own(name))).return;
}

Deno.test("serve --control works before QEMU is there, reloads, and audits who requested it", async () => {
  using place = makePlace();
  const at = (name: string): string => `${place.path}/${name}`;
  const write = (more: string): void =>
    Deno.writeTextFileSync(
      at("x.toml"),
      `qemu = "${at("vm")}"\nvm = "web-1"\ncontrol = "${at("control")}"\n${more}` +
        `[[listen]]\naddress = "${at("mux")}"\n`,
    );
  write("");
  await using mux = await startQmpmux(["--config", at("x.toml")]);
  await mux.log.until(/listening on unix:.*control \(control\)/);
  assertEquals(Deno.statSync(at("control")).mode! & 0o777, 0o600);
  using admin = await TestClient.ready(at("control"));
  const { vm, qemu, "qemu-pid": pid } = await asked(admin, "query-status");
  assertEquals([vm, qemu, pid], ["web-1", "absent", null]);
  // A reload starts and stops audit and metrics.
  write(`audit = "${at("audit")}"\nmetrics = "${at("metrics")}"\n`);
  assertEquals(await asked(admin, "reload"), {});
  await mux.log.until(/metrics on unix:/);
  assertEquals(await asked(admin, "reload"), {});
  const records = async (count: number): Promise<string[]> =>
    await until(`${count} records`, () => {
      const lines = Deno.readTextFileSync(at("audit")).split("\n").slice(0, -1);
      return lines.length === count && lines;
    });
  const [line] = await records(1);
  const record = JSON.parse(line!);
  assertEquals([record.command, record.client.split("/")[0], record.outcome], [
    "__org.qmpmux_reload",
    "control",
    "return",
  ]);
  assertEquals([record.peer.pid, record.peer.uid], [Deno.pid, Deno.uid()]);
  write(`metrics = "${at("other")}"\n`);
  assertEquals(await asked(admin, "reload"), {});
  assert(Deno.statSync(at("other")).isSocket);
  write("");
  assertEquals(await asked(admin, "reload"), {});
  await records(1);
  assertEquals(await asked(admin, "reload"), {});
  await records(1);
  // A reload that fails in part changes nothing.
  write(`audit = "${at("second")}"\nmetrics = "${at("no/metrics")}"\n`);
  assertMatch(await admin.ask(own("reload")), /no\/metrics: the directory .* does not exist/);
  assertMatch(await admin.ask(own("reload")), /no\/metrics: the directory .* does not exist/);
  assertEquals(Deno.readTextFileSync(at("second")), "");
  await records(1);
  mux.kill("SIGTERM");
  assertEquals((await within("the end", mux.ended)).code, 0);
});

for (const text of ["127.0.0.1:1", "unix-abstract:x", "fd:x"]) {
  Deno.test(`--control refuses ${text}, which is not a unix socket with a path`, async () => {
    const { runQmpmux } = await import("./support/qmpmux.ts");
    const { code, stderr } = await runQmpmux([
      ...["serve", "--qemu", "/run/vm", "--listen", "/run/mux", "--control", text],
    ]);
    assertEquals(code, 64);
    assertMatch(stderr, /--control: .*: expected a unix socket with a path/);
  });
}

Deno.test("--control answers while QEMU is stopped", async () => {
  using place = makePlace();
  const at = (name: string): string => `${place.path}/${name}`;
  await using _qemu = new FakeQemu(at("vm"), { answer: () => "" });
  Deno.writeTextFileSync(
    at("x.toml"),
    `qemu = "${at("vm")}"\ncontrol = "${at("control")}"\n[[listen]]\naddress = "${at("mux")}"\n`,
  );
  await using mux = await startQmpmux(["--config", at("x.toml")]);
  await mux.log.until(/listening on unix:.*control/);
  using admin = await TestClient.ready(at("control"));
  assert((await asked(admin, "query-status"))["qemu"] !== "ready");
  assertEquals(await asked(admin, "reload"), {});
});

Deno.test({
  name: "query-self and query-status report QEMU's process if its socket does",
  ignore: WITHOUT_QEMU,
  async fn(): Promise<void> {
    using place = makePlace();
    const at = (name: string): string => `${place.path}/${name}`;
    await using qemu = await startQemu(at("vm"));
    await using mux = await startQmpmux([
      ...["--qemu", at("vm"), "--listen", at("mux"), "--control", at("control"), "--vm", "v"],
    ]);
    await mux.log.until(/connected to QEMU/);
    using client = await TestClient.ready(at("mux"));
    const self = await asked(client, "query-self");
    assertEquals([self["vm"], self["qemu-pid"]], ["v", qemu.pid]);
    using admin = await TestClient.ready(at("control"));
    assertEquals((await asked(admin, "query-status"))["qemu-pid"], qemu.pid);
  },
});

/** Returns the reason why a client cannot connect to a path, or `undefined` if it can. */
async function refusal(path: string): Promise<string | undefined> {
  try {
    (await Deno.connect({ transport: "unix", path })).close();
    return undefined;
  } catch (error) {
    return (error as Error).name;
  }
}

Deno.test("absent=refuse refuses connections while QEMU is away, and accepts them when it is there", async () => {
  using place = makePlace();
  const at = (name: string): string => `${place.path}/${name}`;
  await using mux = await startQmpmux([
    ...["--qemu", at("vm"), "--on-loss", "hold", `--listen=${at("mux")},absent=refuse`],
    ...["--listen", at("patient")],
  ]);
  for (let round = 0; round < 2; round++) {
    assertEquals(await refusal(at("mux")), "NotFound");
    assertEquals(await refusal(at("patient")), undefined);
    const qemu = new FakeQemu(at("vm"));
    await mux.log.until(/listening on unix:.*mux \(qmp\)/);
    using client = await TestClient.ready(at("mux"));
    assertMatch(await client.ask({ execute: "query-status" }), /"running"/);
    await qemu[Symbol.asyncDispose]();
    await client.lines.until(/QEMU_LOST/);
    // Connected clients stay; new ones cannot connect.
    assertEquals(await refusal(at("mux")), "NotFound");
  }
});

Deno.test("a reload applies absent= at once, both ways", async () => {
  using place = makePlace();
  const at = (name: string): string => `${place.path}/${name}`;
  const write = (absent: string): void =>
    Deno.writeTextFileSync(
      at("x.toml"),
      `qemu = "${at("vm")}"\ncontrol = "${at("control")}"\n` +
        `[[listen]]\naddress = "${at("mux")}"\nabsent = "${absent}"\n`,
    );
  write("refuse");
  await using mux = await startQmpmux(["--config", at("x.toml")]);
  await mux.log.until(/listening on unix:.*control/);
  using admin = await TestClient.ready(at("control"));
  assertEquals(await refusal(at("mux")), "NotFound");
  write("wait");
  assertEquals(await asked(admin, "reload"), {});
  await mux.log.until(/listening on unix:.*mux/);
  assertEquals(await refusal(at("mux")), undefined);
  write("refuse");
  assertEquals(await asked(admin, "reload"), {});
  assertEquals(await refusal(at("mux")), "NotFound");
});

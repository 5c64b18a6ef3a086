/**
 * qmpmux's own commands.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { parseControl } from "../lib/config/recording.ts";
import { ROLES } from "../lib/policy/roles.ts";
import { grant, Stage } from "./support/stage.ts";

function own(name: string, args?: object): string {
  return JSON.stringify({ execute: `__org.qmpmux_${name}`, arguments: args ?? {}, id: 1 });
}

function heard(stage: Stage, name: string): unknown {
  const [line, ...more] = stage.clients.get(name)!.peer.take();
  assertEquals(more, []);
  return JSON.parse(line!);
}

Deno.test("query-self describes the client", () => {
  const stage = new Stage();
  stage.qemuReady();
  stage.ready("a", ["oob"]).say(own("query-self"));
  assertEquals(heard(stage, "a"), {
    id: 1,
    return: {
      name: "stage/1",
      vm: "vm1",
      role: "full",
      mode: "command",
      capabilities: ["oob"],
      filter: null,
      subscription: null,
      "qemu-pid": null,
      commands: [
        "__org.qmpmux_set-event-filter",
        "__org.qmpmux_subscribe",
        "__org.qmpmux_query-self",
        "__org.qmpmux_lease-acquire",
        "__org.qmpmux_lease-renew",
        "__org.qmpmux_lease-join",
        "__org.qmpmux_lease-release",
        "__org.qmpmux_query-leases",
      ],
    },
  });
});

Deno.test("query-self names the mode in the terms of the client's dialect", () => {
  const stage = new Stage();
  stage.qemuReady();
  const client = stage.connect("a", grant({ dialect: "rfc2010" }));
  client.say('{"execute":"qmp_switch_mode","arguments":{"mode":"operational"}}');
  client.peer.take();
  client.say(own("query-self"));
  assertEquals((heard(stage, "a") as { return: { mode: string } }).return.mode, "operational");
});

Deno.test("set-event-filter refuses too many globs and keeps the filter", () => {
  const stage = new Stage();
  stage.qemuReady();
  const client = stage.ready("a");
  client.say(own("set-event-filter", { enable: ["STOP"] }));
  heard(stage, "a");
  client.say(own("set-event-filter", { enable: Array(257).fill("X") }));
  assertEquals(heard(stage, "a"), {
    id: 1,
    error: {
      class: "GenericError",
      desc: "Too many event globs: 257 exceed the limit of 256",
    },
  });
  assertEquals(client.monitor.filter, ["STOP"]);
});

Deno.test("QEMU answers an unknown command with qmpmux's prefix", () => {
  const stage = new Stage();
  stage.qemuReady();
  stage.ready("a").say('{"execute":"__org.qmpmux_nope"}');
  assertEquals(stage.qemu.take(), ['{"execute":"__org.qmpmux_nope"}']);
});

function admin(stage: Stage, name = "root"): ReturnType<Stage["connect"]> {
  const client = stage.connect(name, grant({ role: ROLES.get("admin")!, name: "door" }));
  client.say('{"execute":"qmp_capabilities"}');
  client.peer.take();
  return client;
}

Deno.test("query-clients lists the clients, with their waiting commands and those at QEMU", () => {
  const stage = new Stage();
  stage.qemuReady();
  stage.ready("a", ["oob"]).say('{"execute":"stop"}'.repeat(6));
  stage.mux.tick(7);
  admin(stage).say(own("query-clients"));
  const { return: clients } = heard(stage, "root") as { return: Record<string, unknown>[] };
  assertEquals(clients.map(({ name, role }) => [name, role]), [["stage/1", "full"], [
    "door/2",
    "admin",
  ]]);
  const [first, second] = clients;
  assertEquals([first!["in-flight"], first!.waiting, first!.commands], [2, 4, 7]);
  assertEquals([first!["last-command"], first!.age, first!["unread-bytes"]], ["stop", 7, 0]);
  assertEquals([second!["last-command"], second!.age], ["__org.qmpmux_query-clients", 0]);
});

Deno.test("query-status describes the hub", () => {
  const stage = new Stage();
  stage.qemuReady();
  for (let i = 0; i < 3; i++) {
    stage.qemuSays('{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "STOP"}');
  }
  admin(stage).say(own("query-status"));
  assertEquals((heard(stage, "root") as { return: unknown }).return, {
    vm: "vm1",
    qemu: "ready",
    version: "7.2.22",
    sessions: 1,
    clients: 1,
    waiting: 0,
    "in-flight": 0,
    age: 0,
    "qemu-pid": null,
    events: 3,
    "up-since": 1,
  });
});

Deno.test("query-status tells since when this QEMU is up, and counts the events of all", () => {
  let now = 1000.75;
  const stage = new Stage(60, { timeOfDay: () => now, onLoss: "hold" });
  const client = stage.connect("root", parseControl("/run/control").grant);
  client.say('{"execute":"qmp_capabilities"}');
  client.peer.take();
  const asked = (): unknown[] => {
    client.say(own("query-status"));
    const { return: status } = heard(stage, "root") as { return: Record<string, unknown> };
    return [status["up-since"], status["events"]];
  };
  assertEquals(asked(), [null, 0]);
  stage.qemuReady();
  assertEquals(asked(), [1000, 0]);
  stage.qemuSays('{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "STOP"}');
  stage.qemuGoes();
  // Events of our own do not count.
  assertEquals(asked(), [null, 1]);
  now = 2000;
  stage.qemuReady();
  stage.qemuSays('{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "STOP"}');
  assertEquals(asked(), [2000, 2]);
});

Deno.test("disconnect-client disconnects the named client, and no other", () => {
  const stage = new Stage();
  stage.qemuReady();
  const [a, b] = [stage.ready("a"), stage.ready("b")];
  admin(stage).say(own("disconnect-client", { name: "stage/1" }));
  assertEquals(heard(stage, "root"), { return: {}, id: 1 });
  assertEquals([a.peer.closed, b.peer.closed], ["disconnected by door/3", undefined]);
  stage.clients.get("root")!.say(own("disconnect-client", { name: "stage/1" }));
  assertEquals(heard(stage, "root"), {
    id: 1,
    error: { class: "GenericError", desc: "Client 'stage/1' not found" },
  });
});

Deno.test("disconnect-client takes a glob, which never matches the administrator itself", () => {
  const stage = new Stage();
  stage.qemuReady();
  const [a, b] = [stage.ready("a"), stage.ready("b")];
  const client = admin(stage);
  client.say(own("disconnect-client", { name: "x*" }));
  assertEquals(heard(stage, "root"), {
    id: 1,
    error: { class: "GenericError", desc: "Client 'x*' not found" },
  });
  client.say(own("disconnect-client", { name: "*" }));
  assertEquals(heard(stage, "root"), { return: {}, id: 1 });
  const reason = "disconnected by door/3";
  assertEquals([a, b, client].map(({ peer }) => peer.closed), [reason, reason, undefined]);
  client.say(own("disconnect-client", { name: "door/3" }));
  assertEquals(client.peer.closed, reason);
});

Deno.test("commands of administrators take a glob of VMs where there is one VM, too", () => {
  const stage = new Stage(60, { isNamed: true });
  stage.qemuReady();
  const client = admin(stage);
  client.say(own("query-clients", { vm: "vm?" }));
  const { return: clients } = heard(stage, "root") as { return: Record<string, unknown>[] };
  assertEquals(clients.map(({ vm, name }) => [vm, name]), [["vm1", "door/1"]]);
  client.say(own("query-status", { vm: "vm1" }));
  assertEquals((heard(stage, "root") as { return: { vm: string } }).return.vm, "vm1");
  for (const name of ["query-clients", "query-status", "disconnect-client"]) {
    client.say(own(name, { ...(name === "disconnect-client" && { name: "*" }), vm: "web*" }));
    assertEquals(heard(stage, "root"), {
      id: 1,
      error: { class: "GenericError", desc: "VM 'web*' not found" },
    });
  }
  client.say(own("query-status", { vm: 1 }));
  assertEquals(heard(stage, "root"), {
    id: 1,
    error: { class: "GenericError", desc: "Invalid parameter type for 'vm', expected: string" },
  });
});

Deno.test("reload returns the outcome, in its place among the replies", () => {
  const stage = new Stage();
  stage.qemuReady();
  const client = admin(stage);
  client.say(own("reload"));
  assertEquals(heard(stage, "root"), { return: {}, id: 1 });
  stage.reloadProblems = ["f:1: no", "f:2: no"];
  client.say(own("reload"));
  assertEquals(heard(stage, "root"), {
    id: 1,
    error: { class: "GenericError", desc: "f:1: no; f:2: no" },
  });
  client.say(own("reload", { now: true }));
  assertEquals(heard(stage, "root"), {
    id: 1,
    error: { class: "GenericError", desc: "Parameter 'now' is unexpected" },
  });
});

Deno.test("commands of administrators are refused to other roles, and none supports oob", () => {
  const stage = new Stage();
  stage.qemuReady();
  const client = stage.ready("a", ["oob"]);
  for (const name of ["query-clients", "query-status", "disconnect-client", "reload"]) {
    client.say(own(name));
    const { error } = heard(stage, "a") as { error: { class: string } };
    assertEquals(error.class, "CommandNotFound");
  }
  client.say('{"exec-oob":"__org.qmpmux_query-self","id":1}');
  assertEquals(heard(stage, "a"), {
    id: 1,
    error: {
      class: "GenericError",
      desc: "The command __org.qmpmux_query-self does not support OOB",
    },
  });
});

Deno.test("errors of qmpmux's own commands have the form of the client's dialect", () => {
  const stage = new Stage();
  stage.qemuReady();
  const client = stage.connect("a", grant({ dialect: "rfc2010" }));
  client.say('{"execute":"qmp_switch_mode","arguments":{"mode":"operational"}}');
  client.peer.take();
  client.say(own("set-event-filter"));
  assertEquals(heard(stage, "a"), {
    id: 1,
    error: { class: "GenericError", desc: "Parameter 'enable' is missing", data: {} },
  });
});

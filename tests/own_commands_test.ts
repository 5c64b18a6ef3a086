/**
 * qmpmux's own commands.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
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
      "qemu-pid": null,
      commands: ["__org.qmpmux_set-event-filter", "__org.qmpmux_query-self"],
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
  });
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

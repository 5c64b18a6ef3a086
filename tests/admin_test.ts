/**
 * qmpmux's own commands.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { Stage, terms } from "./support/stage.ts";

function own(name: string, args?: object): string {
  return JSON.stringify({ execute: `__org.qmpmux_${name}`, arguments: args ?? {}, id: 1 });
}

function heard(stage: Stage, name: string): unknown {
  const [line, ...more] = stage.clients.get(name)!.peer.take();
  assertEquals(more, []);
  return JSON.parse(line!);
}

Deno.test("query-self tells a client who it is", () => {
  const stage = new Stage();
  stage.qemuReady();
  stage.ready("a", ["oob"]).say(own("query-self"));
  assertEquals(heard(stage, "a"), {
    id: 1,
    return: {
      name: "stage/1",
      role: "full",
      mode: "command",
      capabilities: ["oob"],
      filter: null,
      commands: ["__org.qmpmux_set-event-filter", "__org.qmpmux_query-self"],
    },
  });
});

Deno.test("query-self names the mode in the words of the client's dialect", () => {
  const stage = new Stage();
  stage.qemuReady();
  const client = stage.connect("a", terms({ dialect: "rfc2010" }));
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

Deno.test("an unknown command of our prefix is answered by QEMU", () => {
  const stage = new Stage();
  stage.qemuReady();
  stage.ready("a").say('{"execute":"__org.qmpmux_nope"}');
  assertEquals(stage.qemu.take(), ['{"execute":"__org.qmpmux_nope"}']);
});

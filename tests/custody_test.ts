/**
 * Descriptors on their way: what may go when, and what QEMU may have kept.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { type Bearer, cargoFor, Custody } from "../lib/hub/custody.ts";
import { Monitor } from "../lib/session/monitor.ts";
import { frameOf } from "../lib/wire/frame.ts";
import { type Command, readCommand } from "../lib/wire/message.ts";
import type { Cargo } from "../lib/wire/peer.ts";
import { errorReply, returnReply } from "../lib/wire/reply.ts";
import { FakeCargo, FakePeer } from "./support/fake_peer.ts";
import { terms } from "./support/stage.ts";

const DONE = returnReply("{}");

function command(text: string): Command {
  return readCommand(frameOf(text), true) as Command;
}

const GETFD = command('{"execute":"getfd","arguments":{"fdname":"f"}}');
const STATUS = command('{"execute":"query-status"}');

function bearer(of: Command, cargo?: Cargo, party = someone(1)): Bearer {
  return { command: of, oob: of.oob, party, cargo };
}

function someone(number: number): Monitor {
  return new Monitor(new FakePeer(), terms(), number);
}

Deno.test("cargoFor() takes what waits only for a command that surely takes it", () => {
  const monitor = someone(1);
  const cargo = new FakeCargo("x");
  monitor.carried(cargo);
  assertEquals(cargoFor(monitor, STATUS), undefined);
  assertEquals(cargoFor(monitor, command('{"execute":"getfd"}')), undefined);
  assertEquals(cargoFor(monitor, command('{"exec-oob":"add-fd"}')), undefined);
  assertEquals(cargoFor(monitor, GETFD), cargo);
  assertEquals(cargoFor(monitor, GETFD), undefined);
});

Deno.test("Custody.leave() lets what brings a descriptor go alone, and holds all others up for it", () => {
  const custody = new Custody();
  const laden = bearer(GETFD, new FakeCargo("x"));
  assertEquals(custody.leave(laden, true), "hold");
  assertEquals(custody.leave(laden, false), true);
  assertEquals(custody.leave(bearer(STATUS), true), true);
  assertEquals(custody.laden, false);
  custody.goes(laden);
  assertEquals(custody.laden, true);
  assertEquals(custody.leave(bearer(GETFD), true), false);
  custody.settled(laden, DONE);
  assertEquals([custody.laden, custody.leave(bearer(GETFD), true)], [false, true]);
});

Deno.test("Custody.goes() lets nobody have what QEMU may have kept of a command it did not run", () => {
  const custody = new Custody();
  const laden = bearer(GETFD, new FakeCargo("x"));
  custody.goes(laden);
  custody.settled(laden, errorReply("CommandNotFound", "The command getfd has not been found"));
  const empty = bearer(GETFD, undefined, someone(2));
  assertEquals(custody.goes(empty), "No file descriptor supplied via SCM_RIGHTS");
  assertEquals(custody.leave(empty, true), true);
  // With the next that comes QEMU lets go of what it kept.
  const next = bearer(GETFD, new FakeCargo("y"));
  assertEquals(custody.goes(next), undefined);
  custody.settled(next, DONE);
  const mine = bearer(GETFD, undefined, next.party);
  assertEquals(custody.goes(mine), undefined);
});

Deno.test("Custody.clear() forgets all of a QEMU that has gone", () => {
  const custody = new Custody();
  const laden = bearer(GETFD, new FakeCargo("x"));
  custody.goes(laden);
  custody.clear();
  assertEquals(custody.laden, false);
  // Its late answer means nothing.
  custody.settled(laden, DONE);
  assertEquals(custody.leftovers(laden.party!), []);
});

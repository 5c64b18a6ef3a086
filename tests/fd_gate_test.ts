/**
 * Descriptors on their way: what may go when, and what QEMU may have kept.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { cargoFor, FdGate, type FdRequest } from "../lib/hub/fd_gate.ts";
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

function bearer(of: Command, cargo?: Cargo, owner = someone(1)): FdRequest {
  return { command: of, oob: of.oob, owner, cargo };
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

Deno.test("cargoFor() keeps the first of several, which is all that QEMU takes", () => {
  const monitor = someone(1);
  let kept = 0;
  monitor.carried({ close(): void {}, keepFirst: (): void => void kept++ });
  assertEquals(cargoFor(monitor, STATUS), undefined);
  assertEquals([monitor.hasCargo, kept], [true, 0]);
  cargoFor(monitor, GETFD);
  assertEquals([monitor.hasCargo, kept], [false, 1]);
});

Deno.test("FdGate.leave() lets what brings a descriptor go alone, and holds all others up for it", () => {
  const gate = new FdGate();
  const laden = bearer(GETFD, new FakeCargo("x"));
  assertEquals(gate.leave(laden, true), "hold");
  assertEquals(gate.leave(laden, false), true);
  assertEquals(gate.leave(bearer(STATUS), true), true);
  assertEquals(gate.hasFds, false);
  gate.goes(laden);
  assertEquals(gate.hasFds, true);
  assertEquals(gate.leave(bearer(GETFD), true), false);
  gate.settled(laden, DONE);
  assertEquals([gate.hasFds, gate.leave(bearer(GETFD), true)], [false, true]);
});

Deno.test("FdGate.goes() lets nobody have what QEMU may have kept of a command it did not run", () => {
  const gate = new FdGate();
  const laden = bearer(GETFD, new FakeCargo("x"));
  gate.goes(laden);
  gate.settled(laden, errorReply("CommandNotFound", "The command getfd has not been found"));
  const empty = bearer(GETFD, undefined, someone(2));
  assertEquals(gate.goes(empty), "No file descriptor supplied via SCM_RIGHTS");
  assertEquals(gate.leave(empty, true), true);
  // With the next that comes QEMU lets go of what it kept.
  const next = bearer(GETFD, new FakeCargo("y"));
  assertEquals(gate.goes(next), GETFD.bytes);
  gate.settled(next, DONE);
  const mine = bearer(GETFD, undefined, next.owner);
  assertEquals(gate.goes(mine), GETFD.bytes);
});

Deno.test("FdGate.clear() forgets all of a QEMU that has gone", () => {
  const gate = new FdGate();
  const laden = bearer(GETFD, new FakeCargo("x"));
  gate.goes(laden);
  gate.clear();
  assertEquals(gate.hasFds, false);
  // Its late answer means nothing.
  gate.settled(laden, DONE);
  assertEquals(gate.leftovers(laden.owner!), []);
});

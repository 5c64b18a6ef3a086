/**
 * The gate for descriptors: the commands that may be sent, and the descriptors that QEMU may still
 * hold.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { FdGate, type FdRequest, fdsFor } from "../lib/hub/fd_gate.ts";
import { Monitor } from "../lib/session/monitor.ts";
import { frameOf } from "../lib/wire/frame.ts";
import { readCommand } from "../lib/wire/command_reader.ts";
import type { Command } from "../lib/wire/message.ts";
import type { Fds } from "../lib/wire/peer.ts";
import { errorReply, returnReply } from "../lib/wire/reply.ts";
import { FakeFds, FakePeer } from "./support/fake_peer.ts";
import { grant } from "./support/stage.ts";

const DONE = returnReply("{}");

function command(text: string): Command {
  return readCommand(frameOf(text), true) as Command;
}

const GETFD = command('{"execute":"getfd","arguments":{"fdname":"f"}}');
const STATUS = command('{"execute":"query-status"}');

function bearer(of: Command, fds?: Fds, owner = someone(1)): FdRequest {
  return { command: of, oob: of.oob, owner, fds };
}

function someone(number: number): Monitor {
  return new Monitor(new FakePeer(), grant(), number);
}

Deno.test("fdsFor() takes the waiting descriptor only for a command that certainly uses it", () => {
  const monitor = someone(1);
  const fds = new FakeFds("x");
  monitor.fdsReceived(fds);
  assertEquals(fdsFor(monitor, STATUS), undefined);
  assertEquals(fdsFor(monitor, command('{"execute":"getfd"}')), undefined);
  assertEquals(fdsFor(monitor, command('{"exec-oob":"add-fd"}')), undefined);
  assertEquals(fdsFor(monitor, GETFD), fds);
  assertEquals(fdsFor(monitor, GETFD), undefined);
});

Deno.test("fdsFor() keeps the first of several, which is the one QEMU uses", () => {
  const monitor = someone(1);
  let kept = 0;
  monitor.fdsReceived({ close(): void {}, keepFirst: (): void => void kept++ });
  assertEquals(fdsFor(monitor, STATUS), undefined);
  assertEquals([monitor.hasFds, kept], [true, 0]);
  fdsFor(monitor, GETFD);
  assertEquals([monitor.hasFds, kept], [false, 1]);
});

Deno.test("FdGate.leave() sends a command with a descriptor alone, and holds all others back for it", () => {
  const gate = new FdGate();
  const hasFds = bearer(GETFD, new FakeFds("x"));
  assertEquals(gate.leave(hasFds, true), "hold");
  assertEquals(gate.leave(hasFds, false), true);
  assertEquals(gate.leave(bearer(STATUS), true), true);
  assertEquals(gate.hasFds, false);
  gate.goes(hasFds);
  assertEquals(gate.hasFds, true);
  assertEquals(gate.leave(bearer(GETFD), true), false);
  gate.settled(hasFds, DONE);
  assertEquals([gate.hasFds, gate.leave(bearer(GETFD), true)], [false, true]);
});

Deno.test("FdGate.goes() protects a descriptor that QEMU may hold from a command it did not run", () => {
  const gate = new FdGate();
  const hasFds = bearer(GETFD, new FakeFds("x"));
  gate.goes(hasFds);
  gate.settled(hasFds, errorReply("CommandNotFound", "The command getfd has not been found"));
  const empty = bearer(GETFD, undefined, someone(2));
  assertEquals(gate.goes(empty), "No file descriptor supplied via SCM_RIGHTS");
  assertEquals(gate.leave(empty, true), true);
  // With the next descriptors QEMU drops those it held.
  const next = bearer(GETFD, new FakeFds("y"));
  assertEquals(gate.goes(next), GETFD.bytes);
  gate.settled(next, DONE);
  const mine = bearer(GETFD, undefined, next.owner);
  assertEquals(gate.goes(mine), GETFD.bytes);
});

Deno.test("FdGate.clear() forgets everything about a disconnected QEMU", () => {
  const gate = new FdGate();
  const hasFds = bearer(GETFD, new FakeFds("x"));
  gate.goes(hasFds);
  gate.clear();
  assertEquals(gate.hasFds, false);
  // Its late reply is ignored.
  gate.settled(hasFds, DONE);
  assertEquals(gate.leftovers(hasFds.owner!), []);
});

/**
 * One virtual monitor: the parts that transcripts do not show.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { Monitor } from "../lib/session/monitor.ts";
import { type Greeting, readMessage } from "../lib/wire/message.ts";
import { returnReply } from "../lib/wire/reply.ts";
import { CLASSIC, POSITIONED } from "../lib/wire/grammar.ts";
import { asciiBytes } from "../lib/wire/text.ts";
import { FakePeer } from "./support/fake_peer.ts";
import { grant, GREETING, Stage } from "./support/stage.ts";

function greeting(text = GREETING): Greeting {
  return readMessage(asciiBytes(`${text}\r\n`)) as Greeting;
}

Deno.test("Monitor.grammar follows the version in the greeting", () => {
  const monitor = new Monitor(new FakePeer(), grant(), 1);
  monitor.greet(greeting());
  assertEquals(monitor.grammar, CLASSIC);
  const newer = new Monitor(new FakePeer(), grant(), 2);
  newer.greet(
    greeting('{"QMP": {"version": {"qemu": {"major": 11, "minor": 1}}, "capabilities": []}}'),
  );
  assertEquals(newer.grammar, POSITIONED);
});

Deno.test("Monitor.fill() after the client has left sends nothing", () => {
  const peer = new FakePeer();
  const monitor = new Monitor(peer, grant(), 1);
  const ticket = monitor.reserve("1", false);
  const oob = monitor.reserve("2", true);
  monitor.leave("left");
  monitor.fill(ticket, returnReply("{}"));
  monitor.fill(oob, returnReply("{}"));
  assertEquals(peer.heard, []);
  assert(monitor.left);
});

Deno.test("Monitor.fill() delays a reply until the earlier ones have been sent", () => {
  const peer = new FakePeer();
  const monitor = new Monitor(peer, grant(), 1);
  const [first, second] = [monitor.reserve("1", false), monitor.reserve(undefined, false)];
  monitor.fill(second, returnReply("2"));
  assertEquals(peer.take(), []);
  assert(!monitor.idle);
  monitor.fill(first, returnReply("1"));
  assertEquals(peer.take(), ['{"return": 1, "id": 1}', '{"return": 2}']);
  assert(monitor.idle);
});

Deno.test("Monitor.reserve() stops reading while an out-of-band command waits", () => {
  const stage = new Stage();
  stage.qemuReady();
  const { peer, monitor } = stage.ready("a", ["oob"]);
  const ticket = monitor.reserve("1", true);
  assert(peer.paused);
  assert(!monitor.idle);
  monitor.fill(ticket, returnReply("{}"));
  assert(!peer.paused);
  assert(monitor.idle);
  assertEquals(monitor.capabilities, ["oob"]);
});

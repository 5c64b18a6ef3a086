/**
 * The session with QEMU: the commands that are sent, and the owners of the replies.
 *
 * @module
 */

import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { ABANDONED_LIMIT, IN_FLIGHT_LIMIT, type Job, Upstream } from "../lib/session/upstream.ts";
import { type Message, readMessage } from "../lib/wire/message.ts";
import { asciiBytes } from "../lib/wire/text.ts";
import { FakeFds, FakePeer } from "./support/fake_peer.ts";
import { GREETING } from "./support/stage.ts";

function message(text: string): Message {
  return readMessage(asciiBytes(`${text}\r\n`))!;
}

function job(text: string, oob = false): Job {
  return { bytes: asciiBytes(text), oob };
}

/** A QEMU whose amount of unread bytes the test sets. */
class Reader extends FakePeer {
  unread = 0;
}

function ready(): { upstream: Upstream<Job>; peer: Reader } {
  const upstream = new Upstream<Job>();
  const peer = new Reader();
  upstream.arrived(peer, "77");
  upstream.heard(message(GREETING));
  upstream.heard(message('{"return": {}, "id": 77}'));
  peer.take();
  return { upstream, peer };
}

Deno.test("Upstream.heard() changes from greeting to negotiating to ready", () => {
  const upstream = new Upstream<Job>();
  assertEquals(upstream.state, "absent");
  assertEquals(upstream.greeting, undefined);
  const peer = new FakePeer();
  upstream.arrived(peer, "77");
  assertEquals(upstream.state, "greeting");
  upstream.heard(message(GREETING));
  assertEquals(upstream.state, "negotiating");
  assertEquals(peer.take(), [
    '{"execute":"qmp_capabilities","arguments":{"enable":["oob"]},"id":77}',
  ]);
  assertEquals(upstream.greeting, undefined);
  const heard = upstream.heard(message('{"return": {}, "id": 77}'));
  assert("ready" in heard);
  assertEquals(heard.ready.version, [7, 2, 22]);
  assertEquals(upstream.state, "ready");
  assertEquals(upstream.greeting, heard.ready);
});

Deno.test("Upstream.issue() throws while QEMU is not ready", () => {
  const upstream = new Upstream<Job>();
  assertThrows(() => upstream.issue(job("{}")), Error, "QEMU is absent");
  assert(!upstream.hasRoom);
});

Deno.test("Upstream.hasRoom is false at the limit of commands in flight, which stays below eight", () => {
  const { upstream } = ready();
  assert(IN_FLIGHT_LIMIT <= 7);
  for (let i = 0; i < IN_FLIGHT_LIMIT; i++) {
    assert(upstream.hasRoom);
    upstream.issue(job('{"execute":"a"}'));
  }
  assert(!upstream.hasRoom);
  upstream.issue(job('{"exec-oob":"b"}', true));
  assert(!upstream.hasRoom);
  upstream.heard(message('{"return": {}}'));
  assert(upstream.hasRoom);
});

Deno.test("Upstream.mayOvertake() is false if too many abandoned commands are at QEMU", () => {
  const { upstream } = ready();
  const givenUp = new Set<Job>();
  const mayOvertake = (): boolean => upstream.mayOvertake((each) => !givenUp.has(each));
  for (let i = 0; i < ABANDONED_LIMIT; i++) {
    assert(mayOvertake());
    const [awaited, other] = [job('{"exec-oob":"a"}', true), job('{"exec-oob":"b"}', true)];
    givenUp.add(other);
    for (const each of [awaited, other]) upstream.issue(each);
  }
  assert(!mayOvertake());
  upstream.heard(message('{"return": {}, "id": 1}'));
  assert(!mayOvertake());
  upstream.heard(message('{"return": {}, "id": 2}'));
  assert(mayOvertake());
});

Deno.test("Upstream.heard() settles in-band commands in their order and others by number", () => {
  const { upstream, peer } = ready();
  const first = job('{"execute":"a"}');
  const second = job('{"execute":"b"}');
  const oob = job('{"exec-oob":"c","arguments":{"x":{}}}', true);
  for (const each of [first, oob, second]) upstream.issue(each);
  assertEquals(peer.take(), [
    '{"execute":"a"}',
    '{"exec-oob":"c","arguments":{"x":{}},"id":1}',
    '{"execute":"b"}',
  ]);
  const settled = (text: string): Job | undefined => {
    const heard = upstream.heard(message(text));
    return "settled" in heard ? heard.settled : undefined;
  };
  assertEquals(settled('{"return": {"id": 5}}'), first);
  assertEquals(settled('{"return": 1, "id": 1}'), oob);
  assertEquals(settled('{"return": 1, "id": 1}'), undefined);
  assert(!upstream.idle);
  assertEquals(settled('{"error": {"class": "GenericError", "desc": "x"}}'), second);
  assertEquals(settled('{"return": 1}'), undefined);
  assert(upstream.idle);
});

Deno.test("Upstream.lost() returns the pending commands and restarts, with fresh numbers", () => {
  const { upstream } = ready();
  const waiting = [job('{"execute":"a"}'), job('{"exec-oob":"b"}', true)];
  for (const each of waiting) upstream.issue(each);
  assertEquals(upstream.lost(), waiting);
  assertEquals(upstream.state, "absent");
  assert(upstream.idle);
  const peer = new FakePeer();
  upstream.arrived(peer, "78");
  upstream.heard(message(GREETING));
  upstream.heard(message('{"return": {}, "id": 77}'));
  assertEquals(upstream.state, "negotiating");
  upstream.heard(message('{"return": {}, "id": 78}'));
  peer.take();
  upstream.issue(job('{"exec-oob":"c"}', true));
  assertEquals(peer.take(), ['{"exec-oob":"c","id":2}']);
});

Deno.test("Upstream.listen() counts a QEMU as stalled that does not read a command with descriptors, but not one that runs it", () => {
  const { upstream, peer } = ready();
  const probe = (): Job => job('{"exec-oob":"query-yank"}', true);
  upstream.listen(0, 10, probe);
  upstream.issue({ ...job('{"execute":"getfd"}'), fds: new FakeFds("f") });
  peer.take();
  // QEMU has read it, and is busy.
  assertEquals([5, 10, 60].map((now) => upstream.listen(now, 10, probe)), [false, false, false]);
  peer.unread = 768;
  assertEquals([61, 62].map((now) => upstream.listen(now, 10, probe)), [true, false]);
  assertEquals(upstream.stalled, true);
  // Nothing has followed.
  assertEquals(peer.take(), []);
  upstream.heard(message('{"return": {}}'));
  assertEquals(upstream.stalled, false);
});

Deno.test("Upstream.listen() ignores a command that QEMU has not read yet until its timeout", () => {
  const { upstream, peer } = ready();
  const probe = (): Job => job('{"exec-oob":"query-yank"}', true);
  peer.unread = 768;
  upstream.issue({ ...job('{"execute":"getfd"}'), fds: new FakeFds("f") });
  assertEquals([0, 9, 10].map((now) => upstream.listen(now, 10, probe)), [false, false, true]);
});

Deno.test("Upstream.heard() reports only the start of a refusal that has no end", () => {
  const upstream = new Upstream<Job>();
  upstream.arrived(new FakePeer(), "77");
  upstream.heard(message(GREETING));
  const desc = "x".repeat(1 << 20);
  const heard = upstream.heard(
    message(`{"id": 77, "error": {"class": "GenericError", "desc": "${desc}"}}`),
  );
  assert("broken" in heard);
  const { message: text } = heard.broken;
  assertStringIncludes(text, "GenericError");
  assert(text.length < 2000, `${text.length} characters`);
});

Deno.test("Upstream.listen() does not count a QEMU as stalled that keeps reading a long command with descriptors", () => {
  const { upstream, peer } = ready();
  const probe = (): Job => job('{"exec-oob":"query-yank"}', true);
  upstream.issue({ ...job('{"execute":"add-fd"}'), fds: new FakeFds("f") });
  const told: boolean[] = [];
  for (const [now, unread] of [[0, 9000], [9, 8000], [18, 7000], [27, 6000], [37, 6000]] as const) {
    peer.unread = unread;
    told.push(upstream.listen(now, 10, probe));
  }
  assertEquals(told, [false, false, false, false, true]);
});

/**
 * Our session with QEMU: what is sent, and whose answer comes back.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { GIVEN_UP_LIMIT, IN_FLIGHT_LIMIT, type Job, Upstream } from "../lib/session/upstream.ts";
import { type Message, readMessage } from "../lib/wire/message.ts";
import { asciiBytes } from "../lib/wire/text.ts";
import { FakePeer } from "./support/fake_peer.ts";
import { GREETING } from "./support/stage.ts";

function message(text: string): Message {
  return readMessage(asciiBytes(`${text}\r\n`))!;
}

function job(text: string, oob = false): Job {
  return { bytes: asciiBytes(text), oob };
}

function ready(): { upstream: Upstream<Job>; peer: FakePeer } {
  const upstream = new Upstream<Job>();
  const peer = new FakePeer();
  upstream.arrived(peer, "77");
  upstream.heard(message(GREETING));
  upstream.heard(message('{"return": {}, "id": 77}'));
  peer.take();
  return { upstream, peer };
}

Deno.test("Upstream.heard() goes from greeting to negotiating to ready", () => {
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

Deno.test("Upstream.hasRoom ends at the limit of commands in flight, which stays below eight", () => {
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

Deno.test("Upstream.mayOvertake() ends where too many are at QEMU that nobody waits for", () => {
  const { upstream } = ready();
  const givenUp = new Set<Job>();
  const mayOvertake = (): boolean => upstream.mayOvertake((each) => !givenUp.has(each));
  for (let i = 0; i < GIVEN_UP_LIMIT; i++) {
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

Deno.test("Upstream.lost() hands back who waits and begins anew, with fresh numbers", () => {
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

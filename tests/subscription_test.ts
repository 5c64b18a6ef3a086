/**
 * A subscription whose client reads slowly: it reads from the log, and its replies keep their places.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import type { ClientPeer, Source } from "../lib/wire/peer.ts";
import { Mux } from "../lib/hub/mux.ts";
import type { MuxOptions } from "../lib/hub/mux_options.ts";
import type { Happening } from "../lib/observe/observer.ts";
import type { Monitor } from "../lib/session/monitor.ts";
import { EventFilter } from "../lib/policy/event_filter.ts";
import { readRole } from "../lib/policy/roles.ts";
import { frameOf } from "../lib/wire/frame.ts";
import { FakePeer } from "./support/fake_peer.ts";
import { grant, GREETING, options, STRICT_NOTICES } from "./support/stage.ts";

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();

/** A client that reads only when the test says so; a queue stands for its connection. */
class SlowClient implements ClientPeer {
  readonly queue: (Uint8Array | Source)[] = [];
  closed = false;

  send(bytes: Uint8Array): void {
    this.queue.push(bytes);
  }

  sendReply(bytes: Uint8Array): void {
    this.queue.push(bytes);
  }

  sendFrom(source: Source): void {
    this.queue.push(source);
  }

  close(): void {
    this.closed = true;
  }

  pause(): void {}
  resume(): void {}

  get unread(): number {
    return this.queue.reduce(
      (sum, each) => sum + (each instanceof Uint8Array ? each.length : 0),
      0,
    );
  }

  /** Reads some lines, or everything; returns each shortened to the name of its event, or its return. */
  read(lines = Infinity): string[] {
    let text = "";
    while (this.queue.length > 0 && text.split("\r\n").length <= lines) {
      const first = this.queue[0]!;
      const bytes = first instanceof Uint8Array ? first : first.next();
      if (bytes === undefined || first instanceof Uint8Array) this.queue.shift();
      if (bytes !== undefined) text += DECODER.decode(bytes);
    }
    return text.split("\r\n").filter((line) => line !== "").map(short);
  }
}

function short(line: string): string {
  const { event, data, return: value, error } = JSON.parse(line);
  if (event === undefined) return JSON.stringify(value ?? error.desc);
  const detail = data?.cursor ?? data?.reason;
  const name = event.replace("__org.qmpmux_", "");
  return detail === undefined ? name : `${name} ${detail}`;
}

/** A hub with a QEMU, and one client that reads slowly. */
class Scene {
  readonly mux: Mux;
  readonly client = new SlowClient();
  readonly monitor: Monitor;
  readonly qemu = new FakePeer();
  /** The causes of gaps that were observed, each with the number of clients. */
  readonly gaps: string[] = [];
  #events = 0;
  #subscribed = false;

  constructor(more: Partial<MuxOptions> = {}) {
    const observe = (happening: Happening): void => {
      if (happening.kind === "gap") this.gaps.push(`${happening.cause} ${happening.clients}`);
    };
    this.mux = new Mux(options({ run: "r", ...more }), STRICT_NOTICES, {
      observers: [{ observe }],
    });
    this.qemuReady();
    this.monitor = this.mux.attach(this.client, grant());
    this.say("qmp_capabilities");
    this.client.queue.length = 0;
  }

  qemuReady(): void {
    this.mux.qemuArrived(this.qemu, "7");
    this.#hear(GREETING);
    this.#hear('{"return": {}, "id": 7}');
    this.qemu.take();
  }

  #hear(text: string): void {
    this.mux.answered(ENCODER.encode(`${text}\r\n`));
  }

  /** QEMU sends events of these names. */
  events(...names: string[]): void {
    for (const name of names) {
      const timestamp = `{"seconds": 1, "microseconds": ${++this.#events}}`;
      this.#hear(`{"timestamp": ${timestamp}, "event": "${name}"}`);
    }
  }

  /** QEMU sends an event of this name with so many characters of data. */
  large(name: string, chars: number): void {
    const timestamp = `{"seconds": 1, "microseconds": ${++this.#events}}`;
    const data = `{"text": "${"x".repeat(chars)}"}`;
    this.#hear(`{"timestamp": ${timestamp}, "event": "${name}", "data": ${data}}`);
  }

  say(execute: string, args: object = {}): void {
    const text = JSON.stringify({ execute, arguments: args });
    this.mux.received(this.monitor, frameOf(text));
  }

  /** Subscribes; what came before its first subscription is dropped. */
  subscribe(args: object = {}): void {
    if (!this.#subscribed) this.client.queue.length = 0;
    this.#subscribed = true;
    this.say("__org.qmpmux_subscribe", args);
  }

  answer(value: string): void {
    this.#hear(`{"return": ${value}}`);
  }
}

Deno.test("a subscriber reads kept events only as fast as its connection takes them", () => {
  const scene = new Scene();
  scene.events("A", "B", "C");
  scene.subscribe({ since: "oldest" });
  assertEquals(scene.client.queue.length, 2);
  assertEquals(scene.client.read(2), ['{"cursor":"r.0.0"}', "A"]);
  scene.events("D");
  assertEquals(scene.client.unread, 0);
  assertEquals(scene.client.read(), ["B", "C", "D"]);
  scene.events("E");
  assertEquals(scene.client.read(), ["E"]);
});

Deno.test("a reply to a slow subscriber keeps its place among the events", () => {
  const scene = new Scene();
  scene.events("A", "B");
  scene.subscribe({ since: "oldest" });
  scene.say("query-status");
  scene.events("C");
  scene.answer('{"running": true}');
  scene.events("D");
  scene.say("query-name");
  scene.answer("{}");
  scene.events("E");
  assertEquals(scene.client.read(), [
    '{"cursor":"r.0.0"}',
    "A",
    "B",
    "C",
    '{"running":true}',
    "D",
    "{}",
    "E",
  ]);
});

Deno.test("a subscriber that the log overtakes gets one gap", () => {
  const scene = new Scene({ eventLog: { bytes: 1 << 20, events: 3 } });
  scene.events("A");
  scene.subscribe({ since: "oldest", bookmarks: "each" });
  scene.events("B", "C");
  scene.say("query-name");
  scene.answer("{}");
  scene.events("D", "E", "F");
  assertEquals(scene.client.read(), [
    '{"cursor":"r.0.0"}',
    "GAP 3 events were dropped: the client did not read them in time",
    "BOOKMARK r.1.3",
    "{}",
    "D",
    "BOOKMARK r.1.4",
    "E",
    "BOOKMARK r.1.5",
    "F",
    "BOOKMARK r.1.6",
  ]);
});

Deno.test("a subscriber with room gets each event at once, even if the log keeps none", () => {
  const scene = new Scene({ eventLog: { bytes: 0, events: 0 } });
  scene.subscribe({ bookmarks: "each" });
  scene.events("A", "B");
  assertEquals(scene.client.queue.length, 3);
  assertEquals(scene.client.read(), [
    '{"cursor":"r.0.0"}',
    "A",
    "BOOKMARK r.1.1",
    "B",
    "BOOKMARK r.1.2",
  ]);
});

Deno.test("an event that is larger than the log reaches who has read all; for others it is in a gap", () => {
  const scene = new Scene({ eventLog: { bytes: 600, events: 100 } });
  scene.subscribe();
  scene.events("A");
  scene.large("LARGE", 600);
  assertEquals(scene.client.read(), ['{"cursor":"r.0.0"}', "A", "LARGE"]);
  scene.events("B");
  scene.client.read();
  scene.subscribe({ since: "oldest" });
  const [, ...kept] = scene.client.read();
  assertEquals(kept, ["B"]);
  scene.subscribe({ since: "r.1.0" });
  const gap = '{"cursor":"r.1.2","gap":{"reason":"2 events after the cursor are no longer kept"}}';
  assertEquals(scene.client.read(), [gap, "B"]);
});

Deno.test("a slow subscriber gets a gap for an event that is larger than the log, then the next ones", () => {
  const scene = new Scene({ eventLog: { bytes: 70_000, events: 10_000 } });
  scene.subscribe();
  scene.large("A", 66_000);
  scene.events("B");
  scene.large("LARGE", 70_000);
  scene.events("C");
  const heard = scene.client.read();
  const gap = "GAP 2 events were dropped: the client did not read them in time";
  assertEquals(heard, ['{"cursor":"r.0.0"}', "A", gap, "C"]);
});

Deno.test("with hold, the loss of QEMU is told at once, and the gap before the next QEMU's events", () => {
  const scene = new Scene({ onLoss: "hold" });
  scene.subscribe();
  scene.client.read();
  scene.mux.qemuLeft("QEMU disconnected");
  assertEquals(scene.client.read(), ["QEMU_LOST QEMU disconnected"]);
  scene.qemuReady();
  scene.events("A");
  const reason = "the connection to QEMU was lost; events before the next connection are unknown";
  assertEquals(scene.client.read(), [`GAP ${reason}`, "QEMU_BACK", "A"]);
});

Deno.test("a bookmark stands behind the events that were sent before it", () => {
  const scene = new Scene();
  scene.events("A", "B");
  scene.subscribe({ since: "oldest", bookmarks: 10 });
  assertEquals(scene.client.read(2), ['{"cursor":"r.0.0"}', "A"]);
  scene.mux.tick(10);
  scene.events("C");
  assertEquals(scene.client.read(), ["BOOKMARK r.1.1", "B", "C"]);
  scene.mux.tick(20);
  assertEquals(scene.client.read(), ["BOOKMARK r.1.3"]);
});

Deno.test("a bookmark that is due while the client has no room waits for it", () => {
  const scene = new Scene();
  scene.subscribe({ bookmarks: 10 });
  scene.say("query-name");
  scene.answer(JSON.stringify({ name: "x".repeat(70_000) }));
  scene.mux.tick(10);
  scene.events("A");
  assertEquals(scene.client.queue.length, 3);
  const [, , ...rest] = scene.client.read();
  assertEquals(rest, ["BOOKMARK r.0.0", "A"]);
});

Deno.test("a bookmark that is due when the log has overtaken the client comes behind the gap", () => {
  const scene = new Scene({ eventLog: { bytes: 1 << 20, events: 2 } });
  scene.events("A");
  scene.subscribe({ since: "oldest", bookmarks: 10 });
  scene.mux.tick(10);
  scene.say("query-name");
  scene.answer("{}");
  scene.events("B", "C", "D");
  assertEquals(scene.client.read(), [
    '{"cursor":"r.0.0"}',
    "GAP 2 events were dropped: the client did not read them in time",
    "BOOKMARK r.1.2",
    "{}",
    "C",
    "D",
  ]);
});

Deno.test("a second subscription of a slow client is not sent events at once", () => {
  const scene = new Scene();
  scene.events("A");
  scene.subscribe({ since: "oldest" });
  scene.subscribe();
  scene.events("B");
  assertEquals(scene.client.unread, 2 * '{"return": {"cursor": "r.0.0"}}\r\n'.length);
  assertEquals(scene.client.read(), ['{"cursor":"r.0.0"}', "A", '{"cursor":"r.1.1"}', "B"]);
});

/** Returns how many times a source asks for a later turn before it has a message. */
function turnsOf(source: Source): number {
  let turns = 0;
  while (source.next()!.length === 0) turns++;
  return turns;
}

Deno.test("a source asks for a later turn when many events are filtered out", () => {
  const scene = new Scene({ eventLog: { bytes: 1 << 20, events: 10_000 } });
  scene.events(...Array(5000).fill("A"), "B");
  scene.subscribe({ since: "oldest", enable: ["B"] });
  assertEquals(turnsOf(scene.client.queue[1] as Source), 2);
  const names = Array.from({ length: 100 }, (_, i) => `A${i}`);
  const other = new Scene();
  other.events(...names, "BC");
  other.subscribe({ since: "oldest", enable: ["B?"] });
  assertEquals(turnsOf(other.client.queue[1] as Source), 3);
});

Deno.test("observers hear of each gap that a client is told", () => {
  const scene = new Scene({ onLoss: "hold", eventLog: { bytes: 1 << 20, events: 2 } });
  scene.events("A", "B", "C");
  scene.subscribe({ since: "r.1.0" });
  assertEquals(scene.gaps, ["cursor 1"]);
  scene.events("D", "E", "F");
  scene.client.read();
  assertEquals(scene.gaps, ["cursor 1", "slow 1"]);
  scene.mux.qemuLeft("QEMU disconnected");
  scene.qemuReady();
  assertEquals(scene.gaps, ["cursor 1", "slow 1", "session 1"]);
});

Deno.test("a new filter holds for the events behind its reply only", () => {
  const scene = new Scene();
  scene.events("A", "B");
  scene.subscribe({ since: "oldest", enable: ["A"] });
  scene.events("A", "B");
  scene.say("__org.qmpmux_set-event-filter", { enable: ["B"] });
  scene.events("A", "B");
  assertEquals(scene.client.read(), ['{"cursor":"r.0.0"}', "A", "A", "{}", "B"]);
});

Deno.test("a role hides kept events by what it is when they are read", () => {
  const scene = new Scene();
  scene.events("A", "B");
  scene.subscribe({ since: "oldest" });
  assertEquals(scene.client.read(1), ['{"cursor":"r.0.0"}']);
  const role = readRole({ name: "guest", rules: [{ allow: ["*"] }], events: ["B"] }, "test");
  scene.monitor.adopt(grant({ role }));
  assertEquals(scene.client.read(), ["B"]);
  scene.monitor.adopt({ ...grant(), events: new EventFilter(["C"]) });
  scene.events("B", "C");
  assertEquals(scene.client.read(), ["C"]);
});

Deno.test("a second subscription comes behind all events of the first", () => {
  const scene = new Scene();
  scene.events("A", "B");
  scene.subscribe({ since: "oldest" });
  scene.subscribe({ since: "r.1.1" });
  scene.events("C");
  assertEquals(scene.client.read(), [
    '{"cursor":"r.0.0"}',
    "A",
    "B",
    '{"cursor":"r.1.1"}',
    "B",
    "C",
  ]);
});

Deno.test("a slow subscriber that is disconnected gets the events until then", () => {
  const scene = new Scene();
  scene.events("A", "B");
  scene.subscribe({ since: "oldest" });
  scene.mux.qemuLeft("QEMU disconnected");
  assertEquals(scene.client.closed, true);
  scene.qemuReady();
  scene.events("C");
  assertEquals(scene.client.read(), ['{"cursor":"r.0.0"}', "A", "B"]);
});

Deno.test("a control connection cannot subscribe", () => {
  const scene = new Scene();
  const client = new SlowClient();
  const monitor = scene.mux.attach(client, grant({ dialect: "control" }));
  client.queue.length = 0;
  scene.mux.received(monitor, frameOf('{"execute":"qmp_capabilities"}'));
  scene.mux.received(monitor, frameOf('{"execute":"__org.qmpmux_subscribe"}'));
  const [, refusal] = client.read();
  assertMatch(refusal!, /control socket has no events/);
});

/**
 * `qmp.events(globs, { since })`: a stream that begins at a cursor, and misses no event.
 *
 * A real qmpmux keeps the events of a fake QEMU, which numbers them.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { connect, ProtocolError, type Qmp, QmpError } from "../lib/client/mod.ts";
import { Fake } from "./support/fake.ts";
import { startEvents } from "./support/event_source.ts";
import { emptyReturn, eventLine } from "./support/fake_qemu.ts";
import { Lines } from "./support/lines.ts";
import { kill, startQmpmux } from "./support/qmpmux.ts";
import { Random } from "./support/random.ts";

const GAP = "__org.qmpmux_GAP";

/** Returns the numbers of the next events; the name of an event without a number. */
async function take(
  stream: AsyncIterator<{ name: string; data: unknown }>,
  count: number,
): Promise<unknown[]> {
  const found: unknown[] = [];
  while (found.length < count) {
    const { done, value } = await stream.next();
    if (done) break;
    found.push(Object(value.data).n ?? value.name);
  }
  return found;
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

/** Waits until qmpmux has taken everything that the source has sent. */
async function settled(qmp: Qmp): Promise<void> {
  await qmp.execute("mark");
}

Deno.test("a stream with since gets the kept events, then the new ones", async () => {
  await using at = await startEvents();
  await using qmp = await connect(at.path);
  at.source.emit(3);
  await settled(qmp);
  const stream = qmp.events(["*"], { since: "oldest" });
  assertEquals(await take(stream, 3), [1, 2, 3]);
  at.source.emit(2);
  assertEquals(await take(stream, 2), [4, 5]);
});

Deno.test("a stream continues at the cursor behind the last event that was given", async () => {
  await using at = await startEvents();
  let cursor: string | undefined;
  {
    await using qmp = await connect(at.path);
    at.source.emit(6);
    await settled(qmp);
    assertEquals(qmp.cursor, undefined);
    const stream = qmp.events(["*"], { since: "oldest" });
    assertEquals(await take(stream, 4), [1, 2, 3, 4]);
    cursor = qmp.cursor;
    // Events wait for the reader, but were not given.
    await settled(qmp);
    assertEquals(qmp.cursor, cursor);
  }
  await using qmp = await connect(at.path);
  const stream = qmp.events(["*"], { since: cursor! });
  assertEquals(await take(stream, 2), [5, 6]);
});

Deno.test("the cursor moves on with events that the stream does not want", async () => {
  await using at = await startEvents();
  await using qmp = await connect(at.path);
  const stream = qmp.events(["RESET"], { since: "now" });
  await settled(qmp);
  at.source.emit(1);
  assertEquals(await take(stream, 1), [1]);
  const before = qmp.cursor;
  at.source.emit(4, "STOP");
  await settled(qmp);
  assert(qmp.cursor !== before);
  at.source.emit(1);
  await using other = await connect(at.path);
  assertEquals(await take(other.events(["*"], { since: qmp.cursor! }), 1), [6]);
  assertEquals(await take(stream, 1), [6]);
});

/** Keeps the timers that are started until it is disposed of; they run when the test says so. */
class HeldTimers implements Disposable {
  readonly #setInterval = globalThis.setInterval;
  readonly #runs: (() => void)[] = [];

  constructor() {
    const hold = (run: () => void): ReturnType<typeof setInterval> => {
      this.#runs.push(run);
      return this.#setInterval(() => {}, 1 << 30);
    };
    globalThis.setInterval = hold as typeof setInterval;
  }

  run(): void {
    for (const run of this.#runs) run();
  }

  [Symbol.dispose](): void {
    globalThis.setInterval = this.#setInterval;
  }
}

Deno.test("the cursor moves on with events that qmpmux hides, when no others come", async () => {
  await using at = await startEvents();
  await using qmp = await connect(at.path);
  using timers = new HeldTimers();
  const stream = qmp.events(["*"], { since: "now" });
  await settled(qmp);
  await qmp.execute("__org.qmpmux_set-event-filter", { enable: ["RESET"] });
  at.source.emit(1);
  assertEquals(await take(stream, 1), [1]);
  const before = qmp.cursor;
  at.source.emit(3, "STOP");
  // An event has come since the last turn, then none.
  for (const moves of [false, true]) {
    timers.run();
    await settled(qmp);
    assertEquals(qmp.cursor !== before, moves);
  }
  at.source.emit(1);
  await using other = await connect(at.path);
  assertEquals(await take(other.events(["*"], { since: qmp.cursor! }), 1), [5]);
});

Deno.test("the cursor does not pass an event that the reader has not taken", async () => {
  await using at = await startEvents();
  await using qmp = await connect(at.path);
  using timers = new HeldTimers();
  const stream = qmp.events(["RESET"], { since: "now" });
  await settled(qmp);
  await qmp.execute("__org.qmpmux_set-event-filter", { enable: ["RESET"] });
  const before = qmp.cursor;
  at.source.emit(1);
  at.source.emit(3, "STOP");
  await settled(qmp);
  timers.run();
  timers.run();
  await settled(qmp);
  assertEquals(qmp.cursor, before);
  assertEquals(await take(stream, 1), [1]);
  at.source.emit(1);
  await using other = await connect(at.path);
  assertEquals(await take(other.events(["*"], { since: qmp.cursor! }), 1), [5]);
});

Deno.test("a stream since now gets no earlier events", async () => {
  await using at = await startEvents();
  await using qmp = await connect(at.path);
  at.source.emit(3);
  await settled(qmp);
  const others = qmp.events();
  const stream = qmp.events(["*"], { since: "now" });
  await settled(qmp);
  at.source.emit(2);
  assertEquals(await take(stream, 2), [4, 5]);
  // Nothing is missing in another stream, and it has no bookmarks.
  assertEquals(await take(others, 2), [4, 5]);
});

Deno.test("another stream and a wait get new events only, and a gap", async () => {
  await using at = await startEvents();
  await using qmp = await connect(at.path);
  at.source.emit(3);
  await settled(qmp);
  const others = qmp.events();
  const wait = qmp.waitFor("RESET");
  const stream = qmp.events(["*"], { since: "oldest" });
  assertEquals(await take(stream, 3), [1, 2, 3]);
  await settled(qmp);
  at.source.emit(1);
  assertEquals(await take(stream, 1), [4]);
  assertEquals(await take(others, 2), [GAP, 4]);
  assertEquals((await wait).data, { n: 4 });
});

Deno.test("a slow reader misses nothing, however few events may wait for it", async () => {
  await using at = await startEvents();
  await using qmp = await connect(at.path);
  const stream = qmp.events(["*"], { since: "now", limit: 3 });
  await settled(qmp);
  for (let round = 1; round <= 20; round++) {
    at.source.emit(50);
    await settled(qmp);
    const first = 50 * (round - 1) + 1;
    assertEquals(await take(stream, 50), range(first, first + 49));
  }
});

/** A relay between clients and a socket, which cuts each connection after some bytes. */
class Relay implements AsyncDisposable {
  readonly #listener: Deno.UnixListener;
  readonly #serving: Promise<void>;
  cuts = 0;

  /** @param lengths returns the number of bytes after which the next connection is cut */
  constructor(path: string, target: string, lengths: () => number) {
    this.#listener = Deno.listen({ transport: "unix", path });
    this.#serving = this.#serve(target, lengths);
  }

  async #serve(target: string, lengths: () => number): Promise<void> {
    const all: Promise<void>[] = [];
    for await (const near of this.#listener) {
      const far = await Deno.connect({ transport: "unix", path: target });
      all.push(this.#relay(near, far, lengths()));
    }
    await Promise.all(all);
  }

  async #relay(near: Deno.UnixConn, far: Deno.UnixConn, length: number): Promise<void> {
    const copy = async (from: Deno.Conn, to: Deno.Conn, limit: number): Promise<void> => {
      const buffer = new Uint8Array(65536);
      for (let left = limit; left > 0;) {
        const read = await from.read(buffer.subarray(0, Math.min(buffer.length, left)));
        if (read === null) return;
        left -= read;
        for (let at = 0; at < read;) at += await to.write(buffer.subarray(at, read));
      }
      this.cuts++;
    };
    const close = (conn: Deno.Conn): void => {
      try {
        conn.close();
      } catch (error) {
        if (!(error instanceof Deno.errors.BadResource)) throw error;
      }
    };
    const both = [copy(near, far, Infinity), copy(far, near, length)].map((each) =>
      each.catch(() => {}).then(() => [near, far].forEach(close))
    );
    await Promise.all(both);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#serving;
  }
}

Deno.test("a client that is cut anywhere continues at its cursor: no event is lost or doubled", async () => {
  const random = new Random(20261129);
  await using at = await startEvents();
  await using direct = await connect(at.path);
  const path = `${at.place}/cut`;
  await using relay = new Relay(path, at.path, () => random.below(4000));
  const found: unknown[] = [];
  let cursor = "oldest";
  while (relay.cuts < 100) {
    at.source.emit(random.below(8));
    await settled(direct);
    try {
      await using qmp = await connect(path);
      const limit = 1 + random.below(20);
      const stream = qmp.events(["*"], { since: cursor, limit });
      try {
        while (found.length < at.source.sent) found.push(...await take(stream, 1));
      } finally {
        cursor = qmp.cursor ?? cursor;
      }
    } catch (error) {
      assertMatch((error as Error).message, /closed the connection/);
    }
  }
  assertEquals(found, range(1, found.length));
  assert(found.length > 100, `${found.length} events`);
});

Deno.test("a stream with since loses and doubles no event when its client reconnects", async () => {
  await using at = await startEvents();
  const path = `${at.place}/cut`;
  const lengths = [3000, 2000, 1500, Infinity];
  await using relay = new Relay(path, at.path, () => lengths.shift()!);
  await using qmp = await connect(path, { reconnect: true });
  const stream = qmp.events(["*"], { since: "oldest" });
  for (let next = 1; relay.cuts < 3; next += 5) {
    at.source.emit(5);
    assertEquals(await take(stream, 5), range(next, next + 4));
  }
});

Deno.test("gaps of qmpmux are values in the stream, whatever its globs are", async () => {
  await using at = await startEvents("--on-loss", "hold");
  await using qmp = await connect(at.path);
  const stream = qmp.events(["RESET"], { since: "oldest" });
  at.source.emit(1);
  assertEquals(await take(stream, 1), [1]);
  const back = qmp.waitFor("__org.qmpmux_QEMU_BACK");
  at.source.hangUp();
  await back;
  await settled(qmp);
  at.source.emit(1);
  const { value } = await stream.next();
  assertEquals(value!.name, GAP);
  assertMatch(value!.data.reason, /the connection to QEMU was lost/);
  assertEquals(await take(stream, 1), [2]);
});

Deno.test("a cursor of another run of qmpmux is a gap, then the oldest event", async () => {
  await using at = await startEvents();
  await using qmp = await connect(at.path);
  at.source.emit(1);
  const stream = qmp.events(["RESET"], { since: "other.1.7" });
  const { value } = await stream.next();
  assertEquals(value!.name, GAP);
  assertMatch(value!.data.reason, /another run of qmpmux/);
  assertEquals(await take(stream, 1), [1]);
});

Deno.test("a new run of qmpmux is a gap for a stream that reconnects", async () => {
  await using at = await startEvents();
  await using qmp = await connect(at.path, { reconnect: true });
  const stream = qmp.events(["RESET"], { since: "oldest" });
  at.source.emit(1);
  assertEquals(await take(stream, 1), [1]);
  at.mux.kill("SIGTERM");
  await at.mux.ended;
  await using again = await startQmpmux(["--qemu", `${at.place}/vm`, "--listen", at.path]);
  await again.log.until(/connected to QEMU/);
  assertEquals(await take(stream, 1), [GAP]);
  at.source.emit(1);
  assertEquals(await take(stream, 1), [2]);
});

Deno.test("reading a stream with since throws if the monitor is no qmpmux, or refuses the cursor", async () => {
  await using fake = new Fake({});
  await using plain = await connect(fake.path);
  const error = await assertRejects(
    () => plain.events(["*"], { since: "oldest" }).next(),
    QmpError,
  );
  assertEquals(error.errorClass, "CommandNotFound");
  await using at = await startEvents();
  await using qmp = await connect(at.path);
  const refused = await assertRejects(() => qmp.events(["*"], { since: "?" }).next(), QmpError);
  assertEquals(refused.desc, '"?" is not a cursor');
  // The client goes on, and can have another such stream.
  const stream = qmp.events(["*"], { since: "oldest" });
  at.source.emit(1);
  assertEquals(await take(stream, 1), [1]);
});

Deno.test("a stream with since ends with an error if the reply has no cursor", async () => {
  await using fake = new Fake({
    answer: ({ name, id }) => name.startsWith("__org") ? emptyReturn({ id }) : undefined,
  });
  await using qmp = await connect(fake.path);
  await assertRejects(
    () => qmp.events(["*"], { since: "oldest" }).next(),
    ProtocolError,
    "was answered without a cursor",
  );
});

Deno.test("a stream with since ends with an error if no bookmarks come", async () => {
  await using fake = new Fake({
    answer: ({ name, id }) => {
      if (!name.startsWith("__org")) return undefined;
      const reply = `{"return": {"cursor": "a.1.1"}${id === undefined ? "" : `, "id": ${id}`}}\r\n`;
      return reply + eventLine("STOP").repeat(40);
    },
  });
  await using qmp = await connect(fake.path);
  await assertRejects(
    () => qmp.events(["*"], { since: "oldest" }).next(),
    ProtocolError,
    "64 events came without a bookmark behind them",
  );
});

Deno.test("examples/client_since.ts continues at the cursor that it has printed", async () => {
  await using at = await startEvents();
  at.source.emit(3);
  const run = async (args: string[], count: number): Promise<string[]> => {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-all", "--no-check", "examples/client_since.ts", at.path, ...args],
      stdin: "null",
      stdout: "piped",
    }).spawn();
    const lines = new Lines(child.stdout);
    const found: string[] = [];
    while (found.length < count) found.push((await lines.next())!);
    kill(child);
    await lines.rest();
    await child.status;
    return found;
  };
  const [first, behind, second] = await run([], 4);
  assertEquals([first, second], ["RESET", "RESET"]);
  at.source.emit(1, "STOP");
  const rest = await run([behind!.replace("cursor: ", "")], 6);
  assertEquals(rest.filter((line) => !line.startsWith("cursor")), ["RESET", "RESET", "STOP"]);
});

Deno.test("a client has one stream with since at a time", async () => {
  await using at = await startEvents();
  await using qmp = await connect(at.path);
  const stream = qmp.events(["*"], { since: "now" });
  assertThrows(() => qmp.events(["*"], { since: "now" }), Error, "has a stream with since already");
  await stream.return();
  const others = qmp.events();
  const next = qmp.events(["*"], { since: "now" });
  await settled(qmp);
  at.source.emit(1);
  assertEquals(await take(next, 1), [1]);
  await next.return();
  await settled(qmp);
  at.source.emit(1);
  // No bookmark reaches a stream without since.
  assertEquals(await take(others, 2), [1, 2]);
});

Deno.test("a stream with since ends with the client, and throws if the connection is lost", async () => {
  await using at = await startEvents();
  const qmp = await connect(at.path);
  const stream = qmp.events(["*"], { since: "now" });
  await settled(qmp);
  at.source.emit(2);
  await settled(qmp);
  await qmp.close();
  assertEquals(await take(stream, 9), [1, 2]);
  await using lost = await connect(at.path);
  const other = lost.events(["*"], { since: "oldest" });
  await settled(lost);
  at.source.hangUp();
  assertEquals(await take(other, 2), [1, 2]);
  await assertRejects(() => other.next(), Error, "the other end has closed the connection");
  assertThrows(() => lost.events(["*"], { since: 7 as unknown as string }), TypeError);
  assertThrows(() => lost.events(["*"], { since: "" }), TypeError);
  const late = lost.events(["*"], { since: "now" });
  await assertRejects(() => late.next(), Error, "the other end has closed the connection");
});

Deno.test("a client that subscribes by itself gets bookmarks as events", async () => {
  await using at = await startEvents();
  await using qmp = await connect(at.path);
  const stream = qmp.events();
  await qmp.execute("__org.qmpmux_subscribe", { bookmarks: "each" });
  at.source.emit(1);
  assertEquals(await take(stream, 2), [1, "__org.qmpmux_BOOKMARK"]);
});

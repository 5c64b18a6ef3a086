/**
 * A session of the client library that is cut at every byte, in both directions.
 *
 * No command waits for ever, and each ends as the bytes before the cut say.
 *
 * @module
 */

import { assertEquals, assertInstanceOf } from "@std/assert";
import { connect, ConnectionLost, type Qmp, QmpError } from "../lib/client/mod.ts";
import { within } from "./support/deadline.ts";
import { makePlace } from "./support/place.ts";

const EVENT = '{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "STOP"}\r\n';

/** A place for the id of the negotiation, which has as many digits. */
const ID = "000000000000000";

/** The output of the monitor: the greeting, then one part for each command. */
const OUTPUT = [
  '{"QMP": {"version": {"qemu": {"major": 9}}, "capabilities": ["oob"]}}\r\n',
  `{"return": {}, "id": ${ID}}\r\n`,
  `${EVENT}{"return": {"text": "}\\"\u00e9"}}\r\n`,
  '{"error": {"class": "GenericError", "desc": "no"}}\r\n',
  '{"return": [9007199254740993]}\r\n',
];

const ENCODER = new TextEncoder();

/** The results of the session's steps: `lost` where the connection ended. */
const RESULTS = ["connected", "value", "refused", "integer"];

/** A monitor that closes its connection after some bytes, each way; each is served in turn. */
class Cutter implements AsyncDisposable {
  /** The bytes after which it hangs up. */
  cut = { input: Infinity, output: Infinity };
  /** The bytes of the last connection. */
  input = 0;
  output = 0;
  readonly #listener: Deno.Listener;
  readonly #serving: Promise<void>;

  constructor(path: string) {
    this.#listener = Deno.listen({ transport: "unix", path });
    this.#serving = this.#serve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#serving;
  }

  async #serve(): Promise<void> {
    for await (const socket of this.#listener) {
      try {
        await this.#talk(socket);
      } finally {
        socket.close();
      }
    }
  }

  async #talk(socket: Deno.Conn): Promise<void> {
    this.input = this.output = 0;
    for (const part of OUTPUT) {
      const heard = part === OUTPUT[0] ? "" : await this.#hear(socket);
      if (heard === undefined) return;
      const id = /"id":(\d{15})/.exec(heard)?.[1] ?? ID;
      const bytes = ENCODER.encode(part.replace(ID, id)).subarray(0, this.cut.output - this.output);
      for (let at = 0; at < bytes.length;) at += await socket.write(bytes.subarray(at));
      this.output += bytes.length;
      if (this.output >= this.cut.output) return;
    }
    await this.#hear(socket);
  }

  /** Reads a command; returns `undefined` if the connection ends before. */
  async #hear(socket: Deno.Conn): Promise<string | undefined> {
    for (let heard = "";;) {
      const byte = new Uint8Array(1);
      if (this.input >= this.cut.input || await socket.read(byte) === null) return undefined;
      this.input++;
      heard += String.fromCharCode(byte[0]!);
      if (byte[0] === 0x0a) return heard;
    }
  }
}

/** Plays the session; returns the results of its steps, and the names of its events. */
async function play(path: string): Promise<{ results: string[]; events: string[] }> {
  const results: string[] = [];
  const events: string[] = [];
  const step = async (name: string, run: () => Promise<unknown>): Promise<void> => {
    try {
      const value = await run();
      results.push(name === "integer" ? assertValue(value) : name);
    } catch (error) {
      if (error instanceof QmpError) results.push("refused");
      else {
        assertInstanceOf(error, ConnectionLost);
        results.push("lost");
      }
    }
  };
  const clients: Qmp[] = [];
  await step("connected", async () => clients.push(await connect(path)));
  const [qmp] = clients;
  if (qmp === undefined) return { results, events };
  const stream = qmp.events();
  for (const [at, name] of RESULTS.entries()) {
    if (at > 0) await step(name, () => qmp.execute("query-name", { number: at }));
  }
  if (results.includes("lost")) assertInstanceOf(await qmp.closed, ConnectionLost);
  await qmp.close();
  try {
    for await (const event of stream) events.push(event.name);
  } catch (error) {
    assertInstanceOf(error, ConnectionLost);
  }
  return { results, events };
}

function assertValue(value: unknown): string {
  assertEquals(value, [9007199254740993n]);
  return "integer";
}

/** Returns the results of a session in which so many commands were answered. */
function expected(answered: number): string[] {
  const results = RESULTS.slice(0, answered);
  while (results.length < RESULTS.length) results.push("lost");
  return answered === 0 ? ["lost"] : results;
}

/** Returns the places at which the parts end. */
function ends(parts: readonly string[]): number[] {
  let end = 0;
  return parts.map((part) => end += ENCODER.encode(part).length);
}

Deno.test("a session that is cut at any byte of the monitor ends at that step", async () => {
  using place = makePlace();
  await using cutter = new Cutter(`${place.path}/vm`);
  // The line end after a message says nothing new.
  const [, ...replies] = ends(OUTPUT).map((end) => end - 2);
  const event = ends(OUTPUT)[1]! + EVENT.length - 2;
  for (let cut = 1; cut < ends(OUTPUT).at(-1)!; cut++) {
    cutter.cut = { input: Infinity, output: cut };
    const { results, events } = await within(`the cut at ${cut}`, play(`${place.path}/vm`));
    const answered = replies.filter((end) => end <= cut).length;
    assertEquals(results, expected(answered), `cut at ${cut}`);
    assertEquals(events, cut >= event ? ["STOP"] : [], `cut at ${cut}`);
  }
});

Deno.test("a session that is cut at any byte of the client ends at that step", async () => {
  using place = makePlace();
  await using cutter = new Cutter(`${place.path}/vm`);
  const whole = await play(`${place.path}/vm`);
  assertEquals(whole, { results: RESULTS, events: ["STOP"] });
  const lines = [`{"execute":"qmp_capabilities","id":${ID}}\n`];
  for (const number of [1, 2, 3]) {
    lines.push(`{"execute":"query-name","arguments":{"number":${number}}}\n`);
  }
  assertEquals(cutter.input, ends(lines).at(-1));
  for (let cut = 0; cut < ends(lines).at(-1)!; cut++) {
    cutter.cut = { input: cut, output: Infinity };
    const { results } = await within(`the cut at ${cut}`, play(`${place.path}/vm`));
    const answered = ends(lines).filter((end) => end <= cut).length;
    assertEquals(results, expected(answered), `cut at ${cut}`);
  }
});

/**
 * A fake QEMU on a unix socket: a monitor without a machine.
 *
 * It serves the demo if no QEMU is installed, and tests of faults that a real QEMU cannot be made
 * to show. It serves one client at a time, as QEMU does. `FakePeer` is the same without a socket;
 * the simulation has its own QEMU, which decides by a seed and records which replies it owes.
 *
 * @module
 */

import { FrameSplitter } from "../../lib/wire/frame.ts";
import { qemuText } from "../../lib/wire/qemu_json.ts";
import { readCommand } from "../../lib/wire/command_reader.ts";
import type { Command, Reply } from "../../lib/wire/message.ts";
import { errorReply, returnReply, withId } from "../../lib/wire/reply.ts";

const ENCODER = new TextEncoder();

/** Bytes, as they are or as text. */
export type Bytes = string | Uint8Array;

/** Returns the line of a reply that returns an empty object, with the id of its command. */
export function emptyReturn({ id }: Pick<Command, "id">): string {
  return `{"return": {}${id === undefined ? "" : `, "id": ${id}`}}\r\n`;
}

/** Settings of a fake QEMU. */
export interface FakeQemuManners {
  readonly version?: { readonly major: number; readonly minor: number; readonly micro: number };
  readonly capabilities?: readonly string[];
  /** Bytes that replace the greeting; none if this is empty. */
  readonly greeting?: Bytes;
  /** Bytes right after the greeting. */
  readonly blurts?: Bytes;
  /** Whether it closes each connection right after the greeting. */
  readonly leaves?: boolean;
  /** Returns raw bytes that answer a command, "" for no reply, `undefined` for the usual one. */
  answer?(command: Command, connection: FakeQemuConnection): string | undefined;
}

/** The connection that a fake QEMU serves. */
export interface FakeQemuConnection {
  /** Sends bytes. */
  say(bytes: Bytes): void;
  /** Closes the connection at once. */
  hangUp(): void;
  /** Closes the connection when everything has been sent. */
  finish(): void;
  /** Reads nothing more from the connection. */
  stopReading(): void;
}

/** A listening fake QEMU. */
export class FakeQemu implements AsyncDisposable {
  readonly path: string;
  /** The text of all input after its greeting, one entry for each read. */
  readonly heard: string[] = [];
  /** The number of connections it has served. */
  connections = 0;
  readonly #manners: FakeQemuManners;
  readonly #listener: Deno.Listener;
  readonly #serving: Promise<void>;
  #socket: Deno.Conn | undefined;
  #hungUp = Promise.withResolvers<void>();
  #running = false;

  constructor(path: string, manners: FakeQemuManners = {}) {
    this.path = path;
    this.#manners = manners;
    this.#listener = Deno.listen({ transport: "unix", path });
    this.#serving = this.#serve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    this.#hangUp();
    await this.#serving;
    try {
      Deno.removeSync(this.path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  async #serve(): Promise<void> {
    for (;;) {
      try {
        this.#socket = await this.#listener.accept();
      } catch (error) {
        if (error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted) {
          return;
        }
        throw error;
      }
      this.connections++;
      this.#hungUp = Promise.withResolvers();
      try {
        await this.#talk(this.#socket);
      } catch (error) {
        if (!isHangUp(error)) throw error;
      }
      this.#hangUp();
    }
  }

  #hangUp(): void {
    this.#socket?.close();
    this.#socket = undefined;
    this.#hungUp.resolve();
  }

  async #talk(socket: Deno.Conn): Promise<void> {
    const { greeting, blurts, leaves, answer } = this.#manners;
    let last = Promise.resolve();
    let [reads, finished] = [true, leaves ?? false];
    const say = (said: Bytes): void => {
      const bytes = typeof said === "string" ? ENCODER.encode(said) : said;
      last = last.then(async () => {
        for (let sent = 0; sent < bytes.length;) sent += await socket.write(bytes.subarray(sent));
      }).catch((error) => {
        if (!isHangUp(error)) throw error;
      });
    };
    const connection: FakeQemuConnection = {
      say,
      hangUp: () => this.#hangUp(),
      finish: () => void (finished = true),
      stopReading: () => void (reads = false),
    };
    say(greeting ?? this.#greeting);
    if (blurts !== undefined) say(blurts);

    const splitter = new FrameSplitter();
    const buffer = new Uint8Array(65536);
    const session = { negotiated: false };
    while (!finished) {
      const length = await socket.read(buffer);
      if (length === null) break;
      this.heard.push(new TextDecoder().decode(buffer.subarray(0, length)));
      splitter.load(buffer.subarray(0, length));
      for (let input = splitter.next(); input !== undefined; input = splitter.next()) {
        const command = "damage" in input
          ? { because: input.damage, id: undefined }
          : readCommand(input, true);
        const own = "because" in command ? undefined : answer?.(command, connection);
        for (const each of own === undefined ? this.#usual(command, session) : [own]) say(each);
        if (finished) break;
        const quits = "name" in command && command.name === "quit" && session.negotiated;
        if (own === undefined && quits) finished = true;
      }
      await last;
      if (!reads) await this.#hungUp.promise;
    }
    await last;
  }

  get #greeting(): string {
    const { capabilities = ["oob"], version = { major: 0, minor: 0, micro: 0 } } = this.#manners;
    const body = { QMP: { version: { qemu: version, package: "stand-in" }, capabilities } };
    return `${qemuText(body)}\r\n`;
  }

  /** Returns QEMU's reply to an input: events, then the reply. */
  #usual(
    command: Command | { because: string; id: Command["id"] },
    session: { negotiated: boolean },
  ): string[] {
    const replied = (reply: Reply): string => text(withId(reply, command.id));
    if ("because" in command) return [replied(errorReply("GenericError", command.because))];
    if (!session.negotiated && command.name !== "qmp_capabilities") {
      const desc = "Expecting capabilities negotiation with 'qmp_capabilities'";
      return [replied(errorReply("CommandNotFound", desc))];
    }
    session.negotiated = true;
    const { events, reply } = this.#run(command);
    return [...events, replied(reply)];
  }

  /** Runs one of the few commands it knows. */
  #run({ name }: Command): { events: string[]; reply: Reply } {
    const events: string[] = [];
    const change = (running: boolean, event: string): void => {
      if (this.#running !== running) events.push(eventLine(event));
      this.#running = running;
    };
    switch (name) {
      case "cont":
        change(true, "RESUME");
        break;
      case "stop":
        change(false, "STOP");
        break;
      case "quit":
        events.push(eventLine("SHUTDOWN", { guest: false, reason: "host-qmp-quit" }));
        break;
      case "qmp_capabilities":
      case "query-name":
        break;
      case "query-yank":
        return { events, reply: returnReply("[]") };
      case "query-status": {
        const status = this.#running ? "running" : "paused";
        return { events, reply: returnReply(qemuText({ status, running: this.#running })) };
      }
      default:
        return {
          events,
          reply: errorReply("CommandNotFound", `The command ${name} has not been found`),
        };
    }
    return { events, reply: returnReply("{}") };
  }
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** Returns an event in QEMU's form, with the present time. */
export function eventLine(event: string, data?: object): string {
  const now = Date.now();
  const seconds = Math.floor(now / 1000);
  const microseconds = (now % 1000) * 1000;
  const tail = data
    ? { timestamp: { seconds, microseconds }, event, data }
    : { timestamp: { seconds, microseconds }, event };
  return `${qemuText(tail)}\r\n`;
}

function isHangUp(error: unknown): boolean {
  return error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted ||
    error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.ConnectionReset;
}

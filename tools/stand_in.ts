/**
 * A stand-in for QEMU: a monitor without a machine.
 *
 * It is for the demo without an installed QEMU, and for tests of faults that a real QEMU does
 * not have. It serves one client at a time, like QEMU.
 *
 * @module
 */

import { FrameSplitter } from "../lib/wire/frame.ts";
import { qemuText } from "../lib/wire/qemu_json.ts";
import { readCommand } from "../lib/wire/command_reader.ts";
import type { Command, Reply } from "../lib/wire/message.ts";
import { errorReply, returnReply, withId } from "../lib/wire/reply.ts";

const ENCODER = new TextEncoder();

/** The options of a stand-in. */
export interface StandInManners {
  /** The name in its greeting. */
  readonly version?: { readonly major: number; readonly minor: number; readonly micro: number };
  readonly capabilities?: readonly string[];
  /** The bytes that it sends instead of a greeting; if empty, it sends none. */
  readonly greeting?: string;
  /** The bytes that it sends directly after its greeting. */
  readonly blurts?: string;
  /** Returns the raw bytes of a reply, empty for none; `undefined` for the usual reply. */
  answer?(command: Command, connection: StandInConnection): string | undefined;
}

/** The client of a stand-in. */
export interface StandInConnection {
  /** Sends raw bytes. */
  say(text: string): void;
  /** Closes the connection. */
  hangUp(): void;
}

/** A listening stand-in. */
export class StandIn implements AsyncDisposable {
  readonly path: string;
  /** The text of all input after its greeting, one entry for each read. */
  readonly heard: string[] = [];
  /** The number of connections that it has served. */
  connections = 0;
  readonly #manners: StandInManners;
  readonly #listener: Deno.Listener;
  readonly #serving: Promise<void>;
  #socket: Deno.Conn | undefined;
  #running = false;

  constructor(path: string, manners: StandInManners = {}) {
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
  }

  async #talk(socket: Deno.Conn): Promise<void> {
    let last = Promise.resolve();
    const say = (text: string): void => {
      const bytes = ENCODER.encode(text);
      last = last.then(async () => {
        for (let sent = 0; sent < bytes.length;) sent += await socket.write(bytes.subarray(sent));
      }).catch((error) => {
        if (!isHangUp(error)) throw error;
      });
    };
    const connection: StandInConnection = { say, hangUp: () => this.#hangUp() };
    const { capabilities = ["oob"], version = { major: 0, minor: 0, micro: 0 } } = this.#manners;
    const body = { QMP: { version: { qemu: version, package: "stand-in" }, capabilities } };
    say(this.#manners.greeting ?? `${qemuText(body)}\r\n`);
    if (this.#manners.blurts) say(this.#manners.blurts);

    const splitter = new FrameSplitter();
    const buffer = new Uint8Array(65536);
    let negotiated = false;
    for (;;) {
      const length = await socket.read(buffer);
      if (length === null) break;
      this.heard.push(new TextDecoder().decode(buffer.subarray(0, length)));
      splitter.load(buffer.subarray(0, length));
      for (let input = splitter.next(); input !== undefined; input = splitter.next()) {
        const command = "damage" in input
          ? { because: input.damage, id: undefined }
          : readCommand(input, true);
        if ("because" in command) {
          say(text(withId(errorReply("GenericError", command.because), command.id)));
          continue;
        }
        const own = this.#manners.answer?.(command, connection);
        if (own !== undefined) {
          say(own);
          continue;
        }
        if (!negotiated && command.name !== "qmp_capabilities") {
          const desc = "Expecting capabilities negotiation with 'qmp_capabilities'";
          say(text(withId(errorReply("CommandNotFound", desc), command.id)));
          continue;
        }
        negotiated = true;
        const { events, reply } = this.#run(command);
        for (const event of events) say(event);
        say(text(withId(reply, command.id)));
        if (command.name === "quit") {
          await last;
          return;
        }
      }
      await last;
    }
    await last;
  }

  /** Runs the few commands that it knows. */
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

/** Returns an event as QEMU writes it, with the present time. */
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

/**
 * Unix sockets made by FFI: they identify their peers, and receive and pass
 * descriptors.
 *
 * They have the interface of Deno's own sockets. A call is tried first; only if it would
 * block, it waits until the socket is ready.
 *
 * @module
 */

import type { Fds } from "../wire/peer.ts";
import type { Descriptors } from "./descriptors.ts";
import type { Libc, PeerCredentials } from "./libc.ts";
import type { Poller } from "./poller.ts";
import { type Acceptor, isGone, type Stream } from "./stream.ts";

/** A space, which QEMU ignores between commands. */
const SPACE: Uint8Array = new Uint8Array([0x20]);

/** The number of calls that may succeed without waiting before all other sockets get a turn. */
const AT_ONCE_LIMIT = 16;

/** The state of a call that may block: the gate is open if the call may succeed. */
class Gate {
  readonly #poller: Poller;
  #open = true;
  #atOnce = 0;
  #change: PromiseWithResolvers<void> | undefined;

  constructor(poller: Poller) {
    this.#poller = poller;
  }

  /**
   * Repeats a call until it returns a result, and waits while it would block.
   *
   * After a number of calls that succeed at once, it waits for a turn, so that others are served.
   */
  async tried<T>(attempt: () => T | undefined): Promise<T> {
    if (++this.#atOnce > AT_ONCE_LIMIT) {
      this.#atOnce = 0;
      await this.#poller.turn();
    }
    for (;;) {
      const result = attempt();
      if (result !== undefined) return result;
      this.#atOnce = 0;
      this.#open = false;
      await this.#passed();
    }
  }

  /** Opens the gate: the call may succeed now. */
  open(): void {
    this.#open = true;
    this.#change?.resolve();
    this.#change = undefined;
  }

  async #passed(): Promise<void> {
    if (this.#open) return;
    this.#change ??= Promise.withResolvers();
    await this.#change.promise;
  }
}

/** A listener whose connections identify their peers. */
export class UnixListener implements Acceptor {
  /** Its address. */
  readonly addr: Deno.Addr;
  readonly #poller: Poller;
  readonly #descriptor: number;
  readonly #gate: Gate;
  #closed = false;

  /** Takes ownership of a listening descriptor. */
  constructor(poller: Poller, descriptor: number, path: string) {
    this.addr = { transport: "unix", path };
    this.#poller = poller;
    this.#descriptor = descriptor;
    this.#gate = new Gate(poller);
    poller.watch(descriptor, () => this.#gate.open());
  }

  /**
   * Accepts the next connection.
   *
   * @throws Deno.errors.BadResource after `close`
   */
  async accept(): Promise<UnixSocket> {
    const accepted = await this.#gate.tried(() => {
      if (this.#closed) throw new Deno.errors.BadResource("Listener has been closed");
      return this.#poller.libc.accept(this.#descriptor);
    });
    try {
      return new UnixSocket(this.#poller, accepted);
    } catch (error) {
      this.#poller.libc.close(accepted);
      throw error;
    }
  }

  /** Stops listening. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#poller.unwatch(this.#descriptor);
    this.#poller.libc.close(this.#descriptor);
    this.#gate.open();
  }
}

/** A connection that identifies its peer, and receives descriptors. */
export class UnixSocket implements Stream {
  /** The process at the other end. */
  readonly identity: PeerCredentials | undefined;
  readonly #libc: Libc;
  readonly #poller: Poller;
  readonly #descriptor: number;
  readonly #input: Gate;
  readonly #output: Gate;
  #fds: Fds | undefined;
  #closed = false;

  /** Takes ownership of a connected descriptor. */
  constructor(poller: Poller, descriptor: number) {
    this.#libc = poller.libc;
    this.#poller = poller;
    this.#descriptor = descriptor;
    this.#input = new Gate(poller);
    this.#output = new Gate(poller);
    this.identity = poller.libc.identityOf(descriptor);
    poller.watch(descriptor, (readable, writable) => {
      if (readable) this.#input.open();
      if (writable) this.#output.open();
    });
  }

  /** Reads the bytes that have arrived; returns `null` at the end. */
  async read(buffer: Uint8Array): Promise<number | null> {
    const received = await this.#input.tried(() => this.#libc.receive(this.#open(), buffer));
    this.#fds = received.fds;
    return received.length === 0 ? null : received.length;
  }

  /** Returns the descriptors received with the bytes read last, once. */
  takeFds(): Fds | undefined {
    const fds = this.#fds;
    this.#fds = undefined;
    return fds;
  }

  /** Writes the first bytes; returns their number. */
  async write(bytes: Uint8Array): Promise<number> {
    return await this.#output.tried(() => this.#libc.send(this.#open(), bytes));
  }

  /** Shuts down the writing side. */
  // deno-lint-ignore require-await -- Deno's own returns a promise.
  async closeWrite(): Promise<void> {
    this.#libc.endWriting(this.#open());
  }

  /** Closes the socket, and the descriptors received that were not taken with `takeFds`. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.takeFds()?.close();
    this.#poller.unwatch(this.#descriptor);
    this.#libc.close(this.#descriptor);
    this.#input.open();
    this.#output.open();
  }

  /** Returns the descriptor; @throws Deno.errors.Interrupted after `close` */
  #open(): number {
    if (this.#closed) throw new Deno.errors.Interrupted("operation canceled");
    return this.#descriptor;
  }
}

/** A connection of Deno's with a known descriptor. It uses FFI only to pass descriptors. */
export class FdSocket implements Stream {
  readonly #socket: Deno.Conn;
  readonly #libc: Libc;
  readonly #descriptor: number;
  #refused: ((reason: string) => void) | undefined;

  /**
   * Wraps a connection.
   *
   * @param refused is called once, with the reason, if the kernel does not pass descriptors
   */
  constructor(
    socket: Deno.Conn,
    libc: Libc,
    descriptor: number,
    refused?: (reason: string) => void,
  ) {
    this.#socket = socket;
    this.#libc = libc;
    this.#descriptor = descriptor;
    this.#refused = refused;
    this.identity = libc.identityOf(descriptor);
  }

  /** The process at the other end, if known. */
  readonly identity: PeerCredentials | undefined;

  /** Bytes that QEMU has not read, or 0 after `close`. */
  get unread(): number {
    return this.#closed ? 0 : this.#libc.unread(this.#descriptor);
  }

  /** Reads through Deno. */
  read(buffer: Uint8Array): Promise<number | null> {
    return this.#socket.read(buffer);
  }

  /** Writes through Deno. */
  write(bytes: Uint8Array): Promise<number> {
    return this.#socket.write(bytes);
  }

  /** Shuts down the writing side through Deno. */
  async closeWrite(): Promise<void> {
    await (this.#socket as Deno.UnixConn).closeWrite();
  }

  /** Closes the connection. */
  close(): void {
    this.#closed = true;
    this.#socket.close();
  }

  #closed = false;

  /**
   * Writes the first bytes with descriptors, then closes the descriptors.
   *
   * If the kernel refuses to pass them, the bytes are written alone, and QEMU reports that it
   * received no descriptor. No other write may be pending.
   */
  async writeWith(bytes: Uint8Array, fds: Fds): Promise<number> {
    try {
      for (;;) {
        if (this.#closed) throw new Deno.errors.Interrupted("operation canceled");
        const sent = this.#libc.sendWith(this.#descriptor, bytes, fds as Descriptors);
        if (sent !== undefined) return sent;
        // The kernel's buffer is full. Only a write of Deno's can wait for room.
        await this.#socket.write(SPACE);
      }
    } catch (error) {
      if (isGone(error) || error instanceof RangeError) throw error;
      this.#refused?.((error as Error).message);
      this.#refused = undefined;
      return await this.#socket.write(bytes);
    } finally {
      fds.close();
    }
  }
}

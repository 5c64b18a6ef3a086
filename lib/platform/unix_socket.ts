/**
 * Unix sockets by foreign calls: they tell who is at the other end, and bring
 * and take descriptors along.
 *
 * They look like Deno's own: read and written by promises. One thread waits for
 * all of them; whoever has something to read or room to write is told, tries,
 * and waits again only where there was nothing.
 *
 * @module
 */

import type { Fds } from "../wire/peer.ts";
import type { Descriptors, Libc, PeerCredentials, Ready } from "./libc.ts";
import { type Acceptor, isGone, type Stream } from "./stream.ts";

/** White space between commands: QEMU makes nothing of it. */
const SPACE: Uint8Array = new Uint8Array([0x20]);

/** Tells the owners of descriptors when something has changed for them. */
export class Poller {
  readonly #libc: Libc;
  readonly #owners = new Map<number, (ready: Ready) => void>();
  #queue = -1;
  #bell = -1;
  #running: Promise<void> | undefined;
  /** Who waits for the next look. */
  #turns: (() => void)[] = [];

  /** Nothing is watched yet. */
  constructor(libc: Libc) {
    this.#libc = libc;
  }

  /** From now on `told` is called at each change. */
  watch(descriptor: number, told: (ready: Ready) => void): void {
    this.#running ??= this.#run();
    this.#libc.watch(this.#queue, descriptor);
    this.#owners.set(descriptor, told);
  }

  /** No more is told of it; to be called before it is closed. */
  unwatch(descriptor: number): void {
    this.#libc.unwatch(this.#queue, descriptor);
    this.#owners.delete(descriptor);
    // The last one takes the waiting thread along.
    if (this.#owners.size === 0) this.#libc.ring(this.#bell);
  }

  /** Lets everything else have its turn. */
  async turn(): Promise<void> {
    // Where nobody waits any more, nobody is kept waiting.
    if (this.#running === undefined) return;
    const turn = Promise.withResolvers<void>();
    this.#turns.push(turn.resolve);
    this.#libc.ring(this.#bell);
    await turn.promise;
  }

  /** Resolves when nothing is watched and no thread waits. */
  async idle(): Promise<void> {
    while (this.#running) await this.#running;
  }

  async #run(): Promise<void> {
    this.#queue = this.#libc.newQueue();
    this.#bell = this.#libc.newBell();
    this.#libc.watch(this.#queue, this.#bell);
    const buffer = this.#libc.readyBuffer();
    // Whoever began this adds itself before the first wait.
    await Promise.resolve();
    while (this.#owners.size > 0) {
      for (const ready of await this.#libc.wait(this.#queue, buffer)) {
        this.#owners.get(ready.descriptor)?.(ready);
      }
      for (const resolve of this.#turns.splice(0)) resolve();
    }
    this.#libc.close(this.#bell);
    this.#libc.close(this.#queue);
    this.#running = undefined;
  }
}

/** So often something may succeed at once; then everything else has its turn. */
const AT_ONCE_LIMIT = 16;

/** Whether something can be done now, and a promise for when it can. */
class Gate {
  readonly #poller: Poller;
  #open = true;
  #atOnce = 0;
  #change: PromiseWithResolvers<void> | undefined;

  constructor(poller: Poller) {
    this.#poller = poller;
  }

  /**
   * Tries until there is a result, waiting where there is none.
   *
   * Nothing that succeeds again and again keeps everything else waiting.
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

  /** It may be possible again. */
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

/** Accepts connections that know their peers. */
export class UnixListener implements Acceptor {
  /** Where it listens. */
  readonly addr: Deno.Addr;
  readonly #libc: Libc;
  readonly #poller: Poller;
  readonly #descriptor: number;
  readonly #come: Gate;
  #closed = false;

  /** Takes over a listening descriptor. */
  constructor(libc: Libc, poller: Poller, descriptor: number, path: string) {
    this.addr = { transport: "unix", path };
    this.#libc = libc;
    this.#poller = poller;
    this.#descriptor = descriptor;
    this.#come = new Gate(poller);
    poller.watch(descriptor, () => this.#come.open());
  }

  /**
   * The next connection.
   *
   * @throws Deno.errors.BadResource once it is closed
   */
  async accept(): Promise<UnixSocket> {
    const accepted = await this.#come.tried(() => {
      if (this.#closed) throw new Deno.errors.BadResource("Listener has been closed");
      return this.#libc.accept(this.#descriptor);
    });
    try {
      return new UnixSocket(this.#libc, this.#poller, accepted);
    } catch (error) {
      this.#libc.close(accepted);
      throw error;
    }
  }

  /** Stops listening. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#poller.unwatch(this.#descriptor);
    this.#libc.close(this.#descriptor);
    this.#come.open();
  }
}

/** A connection that knows its peer, and brings descriptors. */
export class UnixSocket implements Stream {
  /** Who is at the other end. */
  readonly identity: PeerCredentials | undefined;
  readonly #libc: Libc;
  readonly #poller: Poller;
  readonly #descriptor: number;
  readonly #input: Gate;
  readonly #output: Gate;
  #fds: Fds | undefined;
  #closed = false;

  /** Takes over a connected descriptor. */
  constructor(libc: Libc, poller: Poller, descriptor: number) {
    this.#libc = libc;
    this.#poller = poller;
    this.#descriptor = descriptor;
    this.#input = new Gate(poller);
    this.#output = new Gate(poller);
    this.identity = libc.identityOf(descriptor);
    poller.watch(descriptor, ({ readable, writable }) => {
      if (readable) this.#input.open();
      if (writable) this.#output.open();
    });
  }

  /** Reads what is there; `null` at the end. */
  async read(buffer: Uint8Array): Promise<number | null> {
    const received = await this.#input.tried(() => this.#libc.receive(this.#open(), buffer));
    this.#fds = received.fds;
    return received.length === 0 ? null : received.length;
  }

  /** What came with the bytes read last, once. */
  takeFds(): Fds | undefined {
    const fds = this.#fds;
    this.#fds = undefined;
    return fds;
  }

  /** Writes the first bytes, and tells how many. */
  async write(bytes: Uint8Array): Promise<number> {
    return await this.#output.tried(() => this.#libc.send(this.#open(), bytes));
  }

  /** Ends the writing side. */
  // deno-lint-ignore require-await -- Deno's own does so by a promise.
  async closeWrite(): Promise<void> {
    this.#libc.endWriting(this.#open());
  }

  /** Closes it, and what came with it and was not taken. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.takeFds()?.close();
    this.#poller.unwatch(this.#descriptor);
    this.#libc.close(this.#descriptor);
    this.#input.open();
    this.#output.open();
  }

  /** @throws Deno.errors.Interrupted once it is closed */
  #open(): number {
    if (this.#closed) throw new Deno.errors.Interrupted("operation canceled");
    return this.#descriptor;
  }
}

/** A connection of Deno's own whose descriptor is known: all but what it takes along goes as ever. */
export class FdSocket implements Stream {
  readonly #socket: Deno.Conn;
  readonly #libc: Libc;
  readonly #descriptor: number;
  #refused: ((reason: string) => void) | undefined;

  /**
   * A connection, and its descriptor.
   *
   * @param refused is told, once, why the kernel passes no descriptors
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

  /** The process at the other end, if the kernel tells it. */
  readonly identity: PeerCredentials | undefined;

  /** How much QEMU has not read yet; nothing, once it is closed. */
  get unread(): number {
    return this.#closed ? 0 : this.#libc.unread(this.#descriptor);
  }

  /** As Deno reads. */
  read(buffer: Uint8Array): Promise<number | null> {
    return this.#socket.read(buffer);
  }

  /** As Deno writes. */
  write(bytes: Uint8Array): Promise<number> {
    return this.#socket.write(bytes);
  }

  /** As Deno does. */
  async closeWrite(): Promise<void> {
    await (this.#socket as Deno.UnixConn).closeWrite();
  }

  /** Closes it. */
  close(): void {
    this.#closed = true;
    this.#socket.close();
  }

  #closed = false;

  /**
   * Writes the first bytes with descriptors, and closes these: they are sent, or cannot be.
   *
   * Where the kernel does not pass them, the bytes go alone: QEMU says then that none
   * came. Nobody else may be writing.
   */
  async writeWith(bytes: Uint8Array, fds: Fds): Promise<number> {
    try {
      for (;;) {
        if (this.#closed) throw new Deno.errors.Interrupted("operation canceled");
        const sent = this.#libc.sendWith(this.#descriptor, bytes, fds as Descriptors);
        if (sent !== undefined) return sent;
        // Deno waits for room only with something to write.
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

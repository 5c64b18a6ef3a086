/**
 * The interface of connected and of listening sockets.
 *
 * Deno's own sockets have it; those made by FFI and those passed by systemd implement it.
 *
 * @module
 */

import type { Fds } from "../wire/peer.ts";
import type { PeerCredentials } from "./libc.ts";

/** A connected socket; a `Deno.Conn` of a stream is one. */
export interface Stream {
  /** Reads at least one byte; returns `null` at the end. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Writes the first bytes; returns their number. */
  write(bytes: Uint8Array): Promise<number>;
  /** Shuts down the writing side. */
  closeWrite(): Promise<void>;
  /** Closes the socket; pending reads and writes fail. */
  close(): void;
  /** The process at the other end, if known. */
  readonly identity?: PeerCredentials | undefined;
  /** Bytes written that the peer has not read, if known. */
  readonly unread?: number;
  /** Sends small writes at once; only TCP sockets have it. */
  setNoDelay?(enable: boolean): void;
  /** Returns the descriptors received with the bytes read last, once. */
  takeFds?(): Fds | undefined;
  /** Writes the first bytes with descriptors, then closes these; returns the number of bytes. */
  writeWith?(bytes: Uint8Array, fds: Fds): Promise<number>;
}

/** A listening socket. */
export interface Acceptor {
  /** Its address. */
  readonly addr: Deno.Addr;
  /** Accepts the next connection. */
  accept(): Promise<Stream>;
  /** Stops listening. */
  close(): void;
}

/** Returns the error for a connection that this side has aborted. */
export function aborted(message: string): Error {
  return new Deno.errors.ConnectionAborted(message);
}

/** Returns whether an error says that the peer has closed its end. */
export function isHangUp(error: unknown): boolean {
  return error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.ConnectionAborted;
}

/** Returns whether an error says that either end of a socket is closed. */
export function isGone(error: unknown): boolean {
  return isHangUp(error) ||
    error instanceof Deno.errors.NotConnected ||
    error instanceof Deno.errors.Interrupted ||
    error instanceof Deno.errors.BadResource ||
    error instanceof Deno.errors.TimedOut;
}

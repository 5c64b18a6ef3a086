/**
 * Two ends of a unix socket in one process, and a socket that counts its use.
 *
 * @module
 */

import { makePlace } from "./place.ts";

/** Both ends of one connection. */
export interface Pair extends Disposable {
  readonly ours: Deno.UnixConn;
  readonly theirs: Deno.UnixConn;
}

/** Returns a connected pair; both ends are closed on disposal, if they are open. */
export async function makePair(): Promise<Pair> {
  using place = makePlace();
  const path = `${place.path}/s`;
  using listener = Deno.listen({ transport: "unix", path });
  const [ours, theirs] = await Promise.all([
    listener.accept() as Promise<Deno.UnixConn>,
    Deno.connect({ transport: "unix", path }),
  ]);
  return {
    ours,
    theirs,
    [Symbol.dispose](): void {
      hangUp(ours);
      hangUp(theirs);
    },
  };
}

/** Closes a socket, if it is open. */
export function hangUp(socket: Deno.Conn): void {
  try {
    socket.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

/** Writes all of a text. */
export async function write(socket: Deno.Conn, text: string): Promise<void> {
  for (let bytes = new TextEncoder().encode(text); bytes.length > 0;) {
    bytes = bytes.subarray(await socket.write(bytes));
  }
}

/** Reads to the end of file; throws if the connection was reset. */
export async function readToEnd(socket: Deno.Conn): Promise<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(65536);
  let text = "";
  for (;;) {
    const length = await socket.read(buffer);
    if (length === null) return text + decoder.decode();
    text += decoder.decode(buffer.subarray(0, length), { stream: true });
  }
}

/** Reads as many characters of ASCII, or to the end of file. */
export async function readText(socket: Deno.Conn, length: number): Promise<string> {
  let text = "";
  while (text.length < length) {
    const buffer = new Uint8Array(length - text.length);
    const read = await socket.read(buffer);
    if (read === null) break;
    text += new TextDecoder().decode(buffer.subarray(0, read));
  }
  return text;
}

/** A socket that counts, and that writes at most a given number of bytes at a time. */
export class WatchedSocket {
  /** The number of bytes that each write was given. */
  readonly writes: number[] = [];
  /** Bytes it has read. */
  bytesRead = 0;
  readonly #socket: Deno.UnixConn;
  readonly #most: number;

  constructor(socket: Deno.UnixConn, most = Infinity) {
    this.#socket = socket;
    this.#most = most;
  }

  /** The socket in the type that code under test expects. */
  get conn(): Deno.Conn {
    return this as unknown as Deno.Conn;
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    const length = await this.#socket.read(buffer);
    this.bytesRead += length ?? 0;
    return length;
  }

  async write(bytes: Uint8Array): Promise<number> {
    this.writes.push(bytes.length);
    return await this.#socket.write(bytes.subarray(0, this.#most));
  }

  closeWrite(): Promise<void> {
    return this.#socket.closeWrite();
  }

  close(): void {
    this.#socket.close();
  }
}

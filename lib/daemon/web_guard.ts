/**
 * A TCP socket on which web browsers get nowhere.
 *
 * A page can make a browser send a request to any port of this machine, with
 * commands in its body. What begins like a request is given up before a byte of
 * it is read as one; all else passes as it came.
 *
 * @module
 */

import { aborted, type Stream } from "../platform/stream.ts";

/** No name of a method is longer, and no command of QMP begins with such a word. */
const WORD_LIMIT = 1024;

/** A page chooses the method by itself where its name has come to mean this machine. */
const WORD = "[!#$%&'*+.^_`|~0-9A-Za-z-]";

/** A request of HTTP; what a browser asks a server itself for begins with a slash. */
const REQUEST = new RegExp(
  "^(?:(?:GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH|CONNECT|TRACE) " +
    `|${WORD}+ /|${WORD}{${WORD_LIMIT}})`,
);

/** What may still become one. */
const BEGINNING = new RegExp(`^${WORD}+ ?$`);

/** A record of TLS: what a page can put into it lies open. */
const TLS = [0x16, 0x03] as const;

const NOTHING: Uint8Array = new Uint8Array(0);

/** Ends the reading of what a browser sends; holds back bytes only while that is in doubt. */
export class WebGuard implements Stream {
  readonly #socket: Stream;
  readonly #refused: (because: string) => void;
  /** Bytes that have come and have not been passed on. */
  #held = NOTHING;
  #inDoubt = true;

  /**
   * Guards a socket from which nothing has been read.
   *
   * @param refused is told why, once, where it is a browser's
   */
  constructor(socket: Stream, refused: (because: string) => void) {
    this.#socket = socket;
    this.#refused = refused;
  }

  /**
   * Reads as the socket does.
   *
   * @throws ConnectionAborted if a browser is at the other end
   */
  read(buffer: Uint8Array): Promise<number | null> {
    if (this.#inDoubt) return this.#firstRead(buffer);
    if (this.#held.length > 0) return Promise.resolve(this.#give(buffer));
    return this.#socket.read(buffer);
  }

  /** Writes as the socket does. */
  write(bytes: Uint8Array): Promise<number> {
    return this.#socket.write(bytes);
  }

  /** Ends the writing side. */
  closeWrite(): Promise<void> {
    return this.#socket.closeWrite();
  }

  /** Closes the socket. */
  close(): void {
    this.#socket.close();
  }

  async #firstRead(buffer: Uint8Array): Promise<number | null> {
    while (this.#inDoubt) {
      const length = await this.#socket.read(buffer);
      if (length === null) {
        this.#inDoubt = false;
        if (this.#held.length === 0) return null;
      } else this.#judge(buffer.subarray(0, length));
    }
    return this.#give(buffer);
  }

  #judge(chunk: Uint8Array): void {
    const bytes = new Uint8Array(this.#held.length + chunk.length);
    bytes.set(this.#held);
    bytes.set(chunk, this.#held.length);
    this.#held = bytes;
    const verdict = judge(bytes);
    this.#inDoubt = verdict === "in doubt";
    if (verdict === "in doubt" || verdict === "harmless") return;
    this.#held = NOTHING;
    this.#refused(`what it sent begins like ${verdict}, as web browsers speak it`);
    throw aborted(`${verdict} is not spoken here`);
  }

  #give(buffer: Uint8Array): number {
    const length = Math.min(this.#held.length, buffer.length);
    buffer.set(this.#held.subarray(0, length));
    this.#held = this.#held.subarray(length);
    return length;
  }
}

/** What bytes begin with, of which there is at least one. */
function judge(bytes: Uint8Array): "HTTP" | "TLS" | "in doubt" | "harmless" {
  if (bytes[0] === TLS[0]) {
    if (bytes.length === 1) return "in doubt";
    return bytes[1] === TLS[1] ? "TLS" : "harmless";
  }
  const text = String.fromCharCode(...bytes.subarray(0, WORD_LIMIT + 2));
  if (REQUEST.test(text)) return "HTTP";
  return BEGINNING.test(text) ? "in doubt" : "harmless";
}

/**
 * A TCP socket that refuses web browsers.
 *
 * A web page can make a browser send a request to any port of this host, with
 * commands in its body. A connection that begins like a request is closed before
 * any of its bytes are read as a command; all other connections are left unchanged.
 *
 * @module
 */

import { aborted, type Stream } from "../platform/stream.ts";

/** The length above which a word is neither an HTTP method nor the start of a QMP command. */
const WORD_LIMIT = 1024;

/** The form of an HTTP method: a web page can choose any method if its domain resolves to this host. */
const WORD = "[!#$%&'*+.^_`|~0-9A-Za-z-]";

/** The start of an HTTP request; after an unknown method, the target begins with a slash. */
const REQUEST = new RegExp(
  "^(?:(?:GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH|CONNECT|TRACE) " +
    `|${WORD}+ /|${WORD}{${WORD_LIMIT}})`,
);

/** The start of a request that is still incomplete. */
const BEGINNING = new RegExp(`^${WORD}+ ?$`);

/** The start of a TLS record: a web page can choose parts of it that are sent unencrypted. */
const TLS = [0x16, 0x03] as const;

const NOTHING: Uint8Array = new Uint8Array(0);

/** A socket that refuses to read from a browser. It holds bytes back only until it has recognized the peer. */
export class WebGuard implements Stream {
  readonly #socket: Stream;
  readonly #refused: (because: string) => void;
  /** Bytes received that have not been returned yet. */
  #held = NOTHING;
  #inDoubt = true;

  /**
   * Wraps a socket from which nothing has been read.
   *
   * @param refused is called once, with the reason, if the peer is a browser
   */
  constructor(socket: Stream, refused: (because: string) => void) {
    this.#socket = socket;
    this.#refused = refused;
  }

  /**
   * Reads from the socket.
   *
   * @throws ConnectionAborted if a browser is at the other end
   */
  read(buffer: Uint8Array): Promise<number | null> {
    if (this.#inDoubt) return this.#firstRead(buffer);
    if (this.#held.length > 0) return Promise.resolve(this.#give(buffer));
    return this.#socket.read(buffer);
  }

  /** Writes to the socket. */
  write(bytes: Uint8Array): Promise<number> {
    return this.#socket.write(bytes);
  }

  /** Shuts down the writing side. */
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
      } else this.#check(buffer.subarray(0, length));
    }
    return this.#give(buffer);
  }

  #check(chunk: Uint8Array): void {
    const bytes = new Uint8Array(this.#held.length + chunk.length);
    bytes.set(this.#held);
    bytes.set(chunk, this.#held.length);
    this.#held = bytes;
    const protocol = protocolOf(bytes);
    this.#inDoubt = protocol === "in doubt";
    if (protocol === "in doubt" || protocol === "harmless") return;
    this.#held = NOTHING;
    this.#refused(`its first bytes look like ${protocol}, as web browsers send it`);
    throw aborted(`${protocol} is not accepted here`);
  }

  #give(buffer: Uint8Array): number {
    const length = Math.min(this.#held.length, buffer.length);
    buffer.set(this.#held.subarray(0, length));
    this.#held = this.#held.subarray(length);
    return length;
  }
}

/** Classifies the first bytes of a connection, at least one. */
function protocolOf(bytes: Uint8Array): "HTTP" | "TLS" | "in doubt" | "harmless" {
  if (bytes[0] === TLS[0]) {
    if (bytes.length === 1) return "in doubt";
    return bytes[1] === TLS[1] ? "TLS" : "harmless";
  }
  const text = String.fromCharCode(...bytes.subarray(0, WORD_LIMIT + 2));
  if (REQUEST.test(text)) return "HTTP";
  return BEGINNING.test(text) ? "in doubt" : "harmless";
}

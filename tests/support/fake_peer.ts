/**
 * A connection without a socket, to a client or to QEMU, which records what is sent to it, line by
 * line.
 *
 * @module
 */

import type { ClientPeer, Fds, QemuEnding, QemuPeer } from "../../lib/wire/peer.ts";
import { within } from "./deadline.ts";

/** Fake descriptors, which record that they are closed. */
export class FakeFds implements Fds {
  /** The names of those that were closed, in order. */
  static closed: string[] = [];
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  close(): void {
    FakeFds.closed.push(this.name);
  }
}

/** The other end of a connection, as the core sees it. */
export class FakePeer implements ClientPeer, QemuPeer {
  /** Messages sent to it and not yet taken, without their line ends. */
  heard: string[] = [];
  /** The bytes of the last message. */
  last: Uint8Array | undefined;
  paused = false;
  /** A function that is called once, on the next message. */
  onSend: (() => void) | undefined;
  /** The reason for which it was closed, if it was. */
  closed: string | undefined;

  /** Records a message; descriptors sent with it appear as `+` and their name in front. */
  send(bytes: Uint8Array, fds?: Fds): void {
    if (this.closed !== undefined) throw new Error("bytes were sent after the close");
    this.last = bytes;
    // A hostile QEMU may send bytes that are not UTF-8, which appear as U+FFFD.
    const text = new TextDecoder().decode(bytes);
    const along = fds instanceof FakeFds ? `+${fds.name} ` : "";
    // An event and its bookmark may be sent together.
    this.heard.push(...(along + text.replace(/\r\n$/, "")).split(/\r\n(?=\{"timestamp": )/));
    const { onSend } = this;
    this.onSend = undefined;
    onSend?.();
  }

  /** Records a reply, which may be sent in parts. */
  sendReply(bytes: Uint8Array): void {
    const last = bytes.at(-1) === 0x0a;
    if (last && this.#parts.length === 0) return this.send(bytes);
    for (const byte of bytes) this.#parts.push(byte);
    if (last) this.send(Uint8Array.from(this.#parts.splice(0)));
  }

  readonly #parts: number[] = [];

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  close(ending: string | QemuEnding): void {
    const { text, ...more } = typeof ending === "string" ? { text: ending } : ending;
    this.closed = text;
    this.detail = "detail" in more ? more.detail : undefined;
  }

  /** The detail of that reason, which appears only in the log. */
  detail: string | undefined;

  /** Takes the next message, and waits for it if necessary. */
  async next(): Promise<string> {
    if (this.heard.length === 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.onSend = resolve;
      await within("a message", promise);
    }
    return this.heard.shift()!;
  }

  /** Takes what was sent so far. */
  take(): string[] {
    const heard = this.heard;
    this.heard = [];
    return heard;
  }
}

/**
 * A connection without a socket: keeps what is sent to it, line by line.
 *
 * @module
 */

import type { ClientPeer, Fds, QemuEnding, QemuPeer } from "../../lib/wire/peer.ts";

/** Descriptors without any: tells when it is closed. */
export class FakeFds implements Fds {
  /** The names of those that were closed, in that order. */
  static closed: string[] = [];
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  close(): void {
    FakeFds.closed.push(this.name);
  }
}

/** What the core sees of a socket. */
export class FakePeer implements ClientPeer, QemuPeer {
  /** Messages sent to it and not yet looked at, without their line ends. */
  heard: string[] = [];
  paused = false;
  /** Told of the next message, once. */
  onSend: (() => void) | undefined;
  /** Why it was closed, if it was. */
  closed: string | undefined;

  /** What something goes along with is kept behind `+` and its name. */
  send(bytes: Uint8Array, fds?: Fds): void {
    if (this.closed !== undefined) throw new Error("Bytes were sent after the end");
    // A hostile QEMU's bytes may be no UTF-8: what does not decode shows as U+FFFD.
    const text = new TextDecoder().decode(bytes);
    const along = fds instanceof FakeFds ? `+${fds.name} ` : "";
    this.heard.push(along + text.replace(/\r\n$/, ""));
    const { onSend } = this;
    this.onSend = undefined;
    onSend?.();
  }

  /** A long reply comes in parts. */
  sendReply(bytes: Uint8Array): void {
    const last = bytes.at(-1) === 0x0a;
    if (last && this.#parts.length === 0) return this.send(bytes);
    this.#parts.push(...bytes);
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

  /** What was said of its end for the log alone. */
  detail: string | undefined;

  /** Takes what was sent so far. */
  take(): string[] {
    const heard = this.heard;
    this.heard = [];
    return heard;
  }
}

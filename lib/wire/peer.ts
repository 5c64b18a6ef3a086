/**
 * The core's interface to a connection: to a client, or to QEMU.
 *
 * @module
 */

/** File descriptors that were received with a message; the owner of this object must close them. */
export interface Fds {
  /** Closes the descriptors that were not sent; may be called again. */
  close(): void;
  /** Closes all but the first, if there can be several: each QEMU command accepts only one. */
  keepFirst?(): void;
}

/** The process at the other end of a connection, as the kernel reports it. */
export interface Identity {
  /** The process ID. */
  readonly pid: number;
  /** The user ID. */
  readonly uid: number;
  /** The group ID. */
  readonly gid: number;
}

/** Messages that a connection takes one by one, when it can send them. */
export interface Source {
  /**
   * Returns the next message; `undefined` if there is none now, and then it is not called again. With an
   * empty array it asks to be called again in a later turn, because finding the next one takes long.
   */
  next(): Uint8Array | undefined;
}

/** A connection to a client. */
export interface ClientPeer {
  /**
   * Queues a greeting, an event, or an event and its bookmark; never blocks, throws or calls back. The
   * bytes must not change afterwards.
   */
  send(bytes: Uint8Array): void;
  /** Queues a reply, or a part of one, as {@linkcode send} does. */
  sendReply(bytes: Uint8Array): void;
  /**
   * Queues a source. Its messages are taken when all that was queued before has been sent, as fast as
   * the client reads; none of them counts as unread before it is taken. Without this method, they
   * are passed to {@linkcode send} at once.
   */
  sendFrom?(source: Source): void;
  /** Sends the queued bytes, then closes the connection. */
  close(reason: string): void;
  /** Stops reading commands. */
  pause(): void;
  /** Reads commands again. */
  resume(): void;
  /** The number of queued bytes that the client has not read, if the peer counts them. */
  readonly unread?: number;
  /** The process at the other end, if known. */
  readonly identity?: Identity | undefined;
}

/** The reason why a connection to QEMU ended: a kind for programs, and a text for people. */
export type QemuEnding =
  | {
    /** The kind; with `closed`, QEMU closed the connection. */
    readonly kind: "closed" | "unexpected" | "error" | "silent" | "unfinished" | "shutdown";
    /** The reason in words; clients may see it. */
    readonly text: string;
    /** A detail for the log only, such as the unexpected bytes. */
    readonly detail?: string;
  }
  | { readonly kind: "no-qmp"; readonly text: string; readonly said: string };

/** The connection to QEMU. */
export interface QemuPeer {
  /**
   * Queues a command; never blocks, throws or calls back. The bytes must not change afterwards.
   *
   * @param fds descriptors to send with the first byte
   */
  send(bytes: Uint8Array, fds?: Fds): void;
  /** Closes the connection. */
  close(ending: QemuEnding): void;
  /** The number of bytes of commands not yet written to the socket, if the peer counts them. */
  readonly backlog?: number;
  /** The process at the other end, if known. */
  readonly identity?: Identity | undefined;
  /** The number of bytes of commands that QEMU has not read, if known. */
  readonly unread?: number;
}

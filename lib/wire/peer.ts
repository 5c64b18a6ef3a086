/**
 * The core's interface to a connection: to a client, or to QEMU.
 *
 * @module
 */

/** Descriptors that travel with a message; the holder of this object owns them. */
export interface Fds {
  /** Closes those that were not sent on; may be called again. */
  close(): void;
  /** Closes all but the first, if there can be several: no QEMU command takes more. */
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

/** A connection to a client. */
export interface ClientPeer {
  /** Queues an event or a greeting; never blocks, throws or calls back. The bytes must not change afterwards. */
  send(bytes: Uint8Array): void;
  /** Queues a reply, or a part of one, as {@linkcode send} does. */
  sendReply(bytes: Uint8Array): void;
  /** Sends the queued bytes, then closes the connection. */
  close(reason: string): void;
  /** Stops reading commands. */
  pause(): void;
  /** Reads commands again. */
  resume(): void;
  /** The number of queued bytes that the client has not read, if it is counted. */
  readonly unread?: number;
  /** The process at the other end, if it is known. */
  readonly identity?: Identity | undefined;
}

/** The reason for which a connection to QEMU has ended: a kind to decide by, and a text for people. */
export type QemuEnding =
  | {
    /** The kind; `closed` is not qmpmux's doing. */
    readonly kind: "closed" | "unexpected" | "error" | "silent" | "unfinished" | "shutdown";
    /** The reason in words, which clients may see. */
    readonly text: string;
    /** More of it, such as the unexpected bytes, for the log alone. */
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
  /** The number of bytes of commands that the kernel has not taken, if it is counted. */
  readonly backlog?: number;
  /** The process at the other end, if it is known. */
  readonly identity?: Identity | undefined;
  /** The number of bytes of commands that QEMU has not read, if it is known. */
  readonly unread?: number;
}

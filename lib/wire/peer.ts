/**
 * A connection as the core sees it: one to a client, or the one to QEMU.
 *
 * @module
 */

/** Descriptors on their way with a message; they belong to whoever has them. */
export interface Fds {
  /** Closes what has not been sent on; may be called again. */
  close(): void;
  /** Closes all but the first, where there can be several: no command of QEMU's takes more. */
  keepFirst?(): void;
}

/** The process at the other end of a connection, as the kernel knows it. */
export interface Identity {
  /** The process. */
  readonly pid: number;
  /** Its user. */
  readonly uid: number;
  /** Its group. */
  readonly gid: number;
}

/** A connection to a client. */
export interface ClientPeer {
  /** Queues an event or a greeting; never blocks, throws or calls back. The bytes must not change afterwards. */
  send(bytes: Uint8Array): void;
  /** Queues a reply, or a part of one, as {@linkcode send} does: the client has asked for it. */
  sendReply(bytes: Uint8Array): void;
  /** Sends what is queued, then ends the connection. */
  close(reason: string): void;
  /** Stops reading commands. */
  pause(): void;
  /** Reads commands again. */
  resume(): void;
  /** Bytes queued that the client has not taken; absent where nobody counts. */
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
   * @param fds goes with the first of the bytes
   */
  send(bytes: Uint8Array, fds?: Fds): void;
  /** Ends the connection. */
  close(ending: QemuEnding): void;
  /** Bytes of commands that the kernel has not been handed yet; absent where nobody counts. */
  readonly backlog?: number;
  /** The process at the other end, if it is known. */
  readonly identity?: Identity | undefined;
  /** Bytes of commands that QEMU has not read, as far as can be told; absent where nobody counts. */
  readonly unread?: number;
}

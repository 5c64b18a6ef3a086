/**
 * The lines of a recording, format 1: JSON Lines, the first of which is the header.
 *
 * Each later line is a message, or says how many messages are missing. A line can refer to
 * others by their numbers in the same file; the header is line 1.
 *
 * @module
 */

/** The format that this version reads and writes. */
export const RECORDING_FORMAT = 1;

/** The header's member that holds the format. */
export const FORMAT_MEMBER = "qmpmux-recording";

/** The first line. */
export interface RecordingHeader {
  /** The time of the beginning, RFC 3339. */
  readonly time: string;
  /** The VM's name, if it has one. */
  readonly vm?: string | undefined;
  /** The version of the qmpmux that has written it. */
  readonly version?: string | undefined;
  /** The greeting of QEMU, if it was connected at the beginning. */
  readonly greeting?: string | undefined;
  /** The text that takes the place of secrets; without it they are kept. */
  readonly removed?: string | undefined;
}

/** The kinds of lines about messages and connections. */
export const RECORDED_KINDS = [
  "greeting",
  "command",
  "reply",
  "event",
  "damage",
  "connect",
  "disconnect",
] as const;

/** A kind of line. */
export type RecordedKind = typeof RECORDED_KINDS[number];

/** The process of a client; `comm` is the name of its program. */
export interface RecordedPeer {
  /** The process ID. */
  readonly pid?: number | undefined;
  /** The user ID. */
  readonly uid?: number | undefined;
  /** The group ID. */
  readonly gid?: number | undefined;
  /** The name of its program, as in `/proc/PID/comm`. */
  readonly comm?: string | undefined;
}

/** A message, or something that happened to a connection. */
export interface RecordedMessage {
  /** The kind. */
  readonly kind: RecordedKind;
  /** Seconds since the header's time. */
  readonly t: number;
  /** The connection: to a client, or to QEMU. */
  readonly side: "client" | "qemu";
  /** The VM's name, if the recording is of several. */
  readonly vm?: string | undefined;
  /** The client's name. */
  readonly client?: string | undefined;
  /** The direction: `>` towards QEMU, `<` from it. */
  readonly dir?: ">" | "<" | undefined;
  /** The message. */
  readonly text?: string | undefined;
  /** The message, if its bytes are not UTF-8. */
  readonly base64?: string | undefined;
  /** For a reply: the number of its command's line. */
  readonly of?: number | undefined;
  /** For a reply whose command has no line in the file: the text of the command. */
  readonly command?: string | undefined;
  /** For such a reply: seconds since the command arrived. */
  readonly ago?: number | undefined;
  /** For a command to QEMU: the numbers of the clients' commands that its reply answers. */
  readonly for?: readonly number[] | undefined;
  /** Seconds that a command waited in qmpmux. */
  readonly wait?: number | undefined;
  /** Seconds that a command was at QEMU. */
  readonly run?: number | undefined;
  /** The number of bytes of damage, or of a message whose text is missing or cut. */
  readonly length?: number | undefined;
  /** The reason of damage or of a disconnect. */
  readonly reason?: string | undefined;
  /** For a connect: the listener's name. */
  readonly listener?: string | undefined;
  /** For a connect: the role's name. */
  readonly role?: string | undefined;
  /** For a connect: the dialect. */
  readonly dialect?: string | undefined;
  /** For a connect: the mode. */
  readonly mode?: string | undefined;
  /** For a connect: the capabilities that the client has enabled. */
  readonly capabilities?: readonly string[] | undefined;
  /** For a connect: the client's event filter. */
  readonly filter?: readonly string[] | undefined;
  /** For a connect: the client's process, if it is known. */
  readonly peer?: RecordedPeer | undefined;
}

/** Messages that could not be written. */
export interface RecordedGap {
  /** The kind. */
  readonly kind: "gap";
  /** Seconds since the header's time. */
  readonly t: number;
  /** The number of messages. */
  readonly dropped: number;
}

/** A line after the header. */
export type RecordingLine = RecordedMessage | RecordedGap;

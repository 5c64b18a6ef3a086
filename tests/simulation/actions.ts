/**
 * The actions in a simulated world, as plain data.
 *
 * A run is a list of these. Each can be played in any world: if its object is missing it does
 * nothing, which allows a list to be shrunk.
 *
 * @module
 */

import type { Bounds } from "./journal.ts";
import type { SimGrant } from "./rules.ts";

/** A value that a client's splitter must return. */
export type Spoken =
  | {
    readonly kind: "command";
    /** The decoded text. */
    readonly name: string;
    readonly oob: boolean;
    /** The id in QEMU's spelling. */
    readonly id: string | undefined;
    /** The text that must be sent to QEMU, without an id. */
    readonly strict: string;
    /** JSON. */
    readonly args: string;
  }
  | { readonly kind: "malformed"; readonly because: string; readonly id: string | undefined }
  | { readonly kind: "damage" };

/** Bytes that a client sends, and the values that must be read from them. */
export interface Message {
  /** Each character is a byte. */
  readonly text: string;
  readonly spoken: readonly Spoken[];
  /** The position of the byte with which descriptors are sent. */
  readonly fds?: number;
}

/** One action. */
export type Action =
  | { readonly do: "connect"; readonly who: number; readonly grant: SimGrant }
  /** Disconnects a client, anywhere in its messages. */
  | { readonly do: "leave"; readonly who: number }
  /** Makes a client begin to send something. */
  | { readonly do: "say"; readonly who: number; readonly messages: readonly Message[] }
  /** Delivers that many bytes of a client. */
  | { readonly do: "flow"; readonly who: number; readonly bytes: number }
  /** Makes a client stop reading, or read again. */
  | { readonly do: "stall"; readonly who: number; readonly stalled: boolean }
  /** Lets a client that does not read get some lines. */
  | { readonly do: "sip"; readonly who: number; readonly lines: number }
  /** Ends a client's stream; the client still reads. */
  | { readonly do: "end"; readonly who: number }
  | { readonly do: "adopt"; readonly who: number; readonly grant: SimGrant }
  /** Changes the hub's settings. */
  | { readonly do: "retune"; readonly rules: Rules }
  /** Makes QEMU execute its next command; `shape` selects the form of its reply. */
  | { readonly do: "run"; readonly fails: boolean; readonly shape: number; readonly event: string }
  /**
   * Makes QEMU send something hostile instead of executing its next command; `shape` selects it.
   */
  | { readonly do: "defy"; readonly shape: number }
  | { readonly do: "event"; readonly name: string }
  /** Delivers that many bytes of QEMU. */
  | { readonly do: "hear"; readonly bytes: number }
  /** Drops the connection to QEMU, anywhere in a message. */
  | { readonly do: "lose" }
  /** Connects QEMU again. */
  | {
    readonly do: "arrive";
    /**
     * Whether it is another process; otherwise the commands still running in the old one are
     * answered late.
     */
    readonly fresh: boolean;
    readonly version: number;
    readonly oob: boolean;
    /** Whether an event precedes the greeting. */
    readonly slips: boolean;
    /** Whether it refuses our negotiation. */
    readonly refuses: boolean;
    /** Whether a late out-of-band reply follows the greeting. */
    readonly stale: boolean;
  }
  /** Makes QEMU send something that no QEMU sends. */
  | { readonly do: "junk"; readonly text: string }
  /** A late out-of-band reply of an earlier connection. */
  | { readonly do: "stale" }
  | { readonly do: "tick"; readonly by: number }
  /** Lets everything finish. */
  | { readonly do: "settle" }
  /** Begins the shutdown of qmpmux. */
  | { readonly do: "drain" };

/** The settings that can change while qmpmux runs. */
export interface Rules {
  readonly onLoss: "close" | "hold";
  /** Whether a QEMU that owes no reply is probed too. */
  readonly probesWhenIdle: boolean;
  readonly deadlines: readonly { readonly glob: string; readonly seconds: number }[];
  /** The bounds of the event log. */
  readonly eventLog: Bounds;
}

/** The settings of one world. */
export interface Setting extends Rules {
  readonly seed: number;
  /** Whether QEMU writes each member on a line of its own. */
  readonly pretty: boolean;
}

/** The maximum bytes of a client's command. */
export const COMMAND_LIMIT = 600;

/** The seconds that a client waits for a greeting. */
export const HANDSHAKE_TIME = 60;
/** The seconds of silence after which QEMU counts as stalled. */
export const STALL_TIME = 10;

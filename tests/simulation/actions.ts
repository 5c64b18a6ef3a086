/**
 * The actions that can happen in a simulated world, as plain data.
 *
 * A run is a list of these. Each can be played in any world: if its object is missing it does
 * nothing, so that a list can be shrunk.
 *
 * @module
 */

import type { SimGrant } from "./rules.ts";

/** One thing of which the splitter of a client must tell. */
export type Spoken =
  | {
    readonly kind: "command";
    /** Decoded. */
    readonly name: string;
    readonly oob: boolean;
    /** The id in QEMU's spelling. */
    readonly id: string | undefined;
    /** The text that QEMU must be sent, without an id. */
    readonly strict: string;
    /** JSON. */
    readonly args: string;
  }
  | { readonly kind: "malformed"; readonly because: string; readonly id: string | undefined }
  | { readonly kind: "damage" };

/** Bytes that a client sends, and the values that must be read in them. */
export interface Message {
  /** The characters are bytes. */
  readonly text: string;
  readonly spoken: readonly Spoken[];
  /** The place of the byte with which descriptors are sent. */
  readonly fds?: number;
}

/** One thing that happens. */
export type Action =
  | { readonly do: "connect"; readonly who: number; readonly grant: SimGrant }
  /** Disconnects a client, at any place in its messages. */
  | { readonly do: "leave"; readonly who: number }
  /** A client begins to say something. */
  | { readonly do: "say"; readonly who: number; readonly messages: readonly Message[] }
  /** Delivers that many bytes of a client's. */
  | { readonly do: "flow"; readonly who: number; readonly bytes: number }
  /** It reads nothing, or again. */
  | { readonly do: "stall"; readonly who: number; readonly stalled: boolean }
  /** Ends a client's stream; it still listens. */
  | { readonly do: "end"; readonly who: number }
  | { readonly do: "adopt"; readonly who: number; readonly grant: SimGrant }
  /** The hub has other settings from now on. */
  | { readonly do: "retune"; readonly rules: Rules }
  /** QEMU executes its next command; `shape` tells how its answer looks. */
  | { readonly do: "run"; readonly fails: boolean; readonly shape: number; readonly event: string }
  /** Makes QEMU say something hostile instead of executing its next command; `shape` chooses it. */
  | { readonly do: "defy"; readonly shape: number }
  | { readonly do: "event"; readonly name: string }
  /** Delivers that many bytes of QEMU's. */
  | { readonly do: "hear"; readonly bytes: number }
  /** Loses the connection to QEMU, at any place in a message. */
  | { readonly do: "lose" }
  /** Brings a connection to QEMU up again. */
  | {
    readonly do: "arrive";
    /**
     * Whether it is another process; otherwise the commands still running in the old one are
     * answered late.
     */
    readonly fresh: boolean;
    readonly version: number;
    readonly oob: boolean;
    /** An event slips out before the greeting. */
    readonly slips: boolean;
    /** It refuses our negotiation. */
    readonly refuses: boolean;
    /** Whether a late out-of-band reply follows the greeting. */
    readonly stale: boolean;
  }
  /** Makes QEMU say something that no QEMU says. */
  | { readonly do: "junk"; readonly text: string }
  /** An out-of-band reply of an earlier connection. */
  | { readonly do: "stale" }
  | { readonly do: "tick"; readonly by: number }
  /** Everything finishes. */
  | { readonly do: "settle" }
  /** qmpmux begins to end. */
  | { readonly do: "drain" };

/** The settings that can change while qmpmux runs. */
export interface Rules {
  readonly onLoss: "close" | "hold";
  /** Whether a QEMU that owes no reply is probed too. */
  readonly probesWhenIdle: boolean;
  readonly deadlines: readonly { readonly glob: string; readonly seconds: number }[];
}

/** The settings of one world. */
export interface Setting extends Rules {
  readonly seed: number;
  /** Whether QEMU writes each member on a line of its own. */
  readonly pretty: boolean;
}

/** Bytes of a command that a client may send. */
export const COMMAND_LIMIT = 600;

/** Seconds a client waits for a greeting. */
export const HANDSHAKE_TIME = 60;
/** Seconds of silence after which QEMU counts as stalled. */
export const STALL_TIME = 10;

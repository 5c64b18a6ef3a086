/**
 * The actions that can happen in a simulated world, as plain data.
 *
 * A run is a list of these. Each can be played in any world: where what it is
 * about is not there it does nothing, so that a list can be shrunk.
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

/** Something a client says, and what of it is to be read. */
export interface Message {
  /** The characters are bytes. */
  readonly text: string;
  readonly spoken: readonly Spoken[];
  /** With which of its bytes descriptors come. */
  readonly fds?: number;
}

/** One thing that happens. */
export type Action =
  | { readonly do: "connect"; readonly who: number; readonly grant: SimGrant }
  /** A client goes, wherever it is in its messages. */
  | { readonly do: "leave"; readonly who: number }
  /** A client begins to say something. */
  | { readonly do: "say"; readonly who: number; readonly messages: readonly Message[] }
  /** Delivers that many bytes of a client's. */
  | { readonly do: "flow"; readonly who: number; readonly bytes: number }
  /** It reads nothing, or again. */
  | { readonly do: "stall"; readonly who: number; readonly stalled: boolean }
  /** It will say no more, and listens still. */
  | { readonly do: "end"; readonly who: number }
  | { readonly do: "adopt"; readonly who: number; readonly grant: SimGrant }
  /** The hub has other settings from now on. */
  | { readonly do: "retune"; readonly rules: Rules }
  /** QEMU executes its next command; `shape` tells how its answer looks. */
  | { readonly do: "run"; readonly fails: boolean; readonly shape: number; readonly event: string }
  /** QEMU says something hostile instead of executing its next command; `shape` chooses what. */
  | { readonly do: "defy"; readonly shape: number }
  | { readonly do: "event"; readonly name: string }
  /** Delivers that many bytes of QEMU's. */
  | { readonly do: "hear"; readonly bytes: number }
  /** The connection to QEMU is gone, wherever it is in a message. */
  | { readonly do: "lose" }
  /** It is there again. */
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
    /** A late out-of-band reply comes behind the greeting. */
    readonly stale: boolean;
  }
  /** QEMU says what no QEMU says. */
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

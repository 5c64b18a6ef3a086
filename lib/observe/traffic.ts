/**
 * The traffic of a hub: each message between a client and qmpmux, and between qmpmux and QEMU.
 *
 * A tap takes it. While nobody looks there is no tap, and nothing is made for it.
 *
 * @module
 */

import type { Command, Event, Id, Reply } from "../wire/message.ts";
import type { ClientEnding, ClientInfo } from "./observer.ts";

/** A client as a tap sees it; its members change with its session. */
export interface TappedClient extends ClientInfo {
  /** The name of its dialect. */
  readonly dialect: string;
  /** The name of its mode. */
  readonly mode: string;
  /** The names of its enabled capabilities. */
  readonly capabilities: readonly string[];
  /** The globs of the events that it has chosen; `undefined` if it has not chosen any. */
  readonly filter: readonly string[] | undefined;
  /** The number of its pending in-band commands. */
  readonly pendingInBand: number;
}

/** A command at QEMU. */
export interface TappedRequest {
  /** The command. */
  readonly command: Command;
}

/** A client that waits for the reply to a command at QEMU, with its own command. */
export interface TappedAsker {
  /** The client. */
  readonly monitor: TappedClient;
  /** The command that it has sent. */
  readonly command: Command;
}

/** A message, or the beginning or end of a connection, on the side of a client. */
export type ClientTraffic =
  & { readonly side: "client"; readonly client: TappedClient }
  & (
    | { readonly kind: "connect" }
    | { readonly kind: "disconnect"; readonly ending: ClientEnding }
    | { readonly kind: "greeting"; readonly bytes: Uint8Array }
    /** `bytes` is the command as qmpmux has read it, with its id. */
    | { readonly kind: "command"; readonly command: Command; readonly bytes: Uint8Array }
    /** `length` is the number of bytes, if known; `oob` tells how it is answered. */
    | {
      readonly kind: "damage";
      readonly reason: string;
      readonly length: number | undefined;
      readonly oob: boolean;
    }
    /** `reply` has the client's style, and not its id. */
    | {
      readonly kind: "reply";
      readonly reply: Reply;
      readonly id: Id;
      readonly oob: boolean;
    }
    | { readonly kind: "event"; readonly event: Event }
  );

/** A message, or the end of a connection, on QEMU's side. */
export type QemuTraffic =
  & { readonly side: "qemu" }
  & (
    | { readonly kind: "greeting"; readonly bytes: Uint8Array }
    /** A command of a session's handshake. */
    | { readonly kind: "handshake"; readonly bytes: Uint8Array }
    /** `askers` are those that wait when it is sent. */
    | {
      readonly kind: "command";
      readonly request: TappedRequest;
      readonly askers: readonly TappedAsker[];
    }
    /** `request` is absent for the reply to the handshake, and for one that nobody expects. */
    | {
      readonly kind: "reply";
      readonly reply: Reply;
      readonly request: TappedRequest | undefined;
    }
    | { readonly kind: "event"; readonly event: Event }
    | { readonly kind: "damage"; readonly reason: string; readonly length: number | undefined }
    | { readonly kind: "disconnect"; readonly reason: string }
  );

/** Something that passes through a hub. It does not change, except for the client that it names. */
export type Traffic = ClientTraffic | QemuTraffic;

/** A choice of names. */
export type Names = (name: string) => boolean;

/** The choice of traffic; a part that is `undefined` takes everything. */
export interface TrafficFilter {
  /** Chooses clients by their names. */
  readonly client: Names | undefined;
  /** Chooses commands by their names. */
  readonly command: Names | undefined;
  /** Chooses events by their names. */
  readonly event: Names | undefined;
}

/** A taker of traffic. */
export interface Tap {
  /** Takes traffic as it happens; never blocks, and changes nothing. */
  take(traffic: Traffic): void;
}

/** A hub, or a part of it, whose traffic may have a tap. */
export interface Tapped {
  /** The tap; `undefined` while nobody looks. */
  readonly tap: Tap | undefined;
}

/** A hub with traffic. */
export interface TrafficSource {
  /** The name of its VM. */
  readonly vm: string;
  /** The tap that takes the traffic; `undefined` while nobody looks. */
  tap: Tap | undefined;
  /** The connected clients. */
  readonly clients: Iterable<TappedClient>;
  /** QEMU's greeting, while its session is ready. */
  readonly greeting: Uint8Array | undefined;
}

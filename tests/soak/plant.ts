/**
 * Faults and leaks planted in a qmpmux that runs from source, to see that they are found.
 *
 * Loaded before its main module, with the name of the fault after a question mark:
 *
 *     deno run … --preload=file://…/plant.ts?event main.ts serve …
 *
 * @module
 */

import { Mux } from "../../lib/hub/mux.ts";
import { Client } from "../../lib/daemon/client.ts";

/** The number of calls of which one fails, which lets the start succeed. */
const RARELY = 200;

const kept: unknown[] = [];
let counted = 0;

function now(): boolean {
  counted++;
  return counted % RARELY === 0;
}

function isEvent(bytes: Uint8Array): boolean {
  // {"timestamp": …
  return bytes[2] === 0x74;
}

const { send, sendReply } = Client.prototype;
const { received } = Mux.prototype;
let other: Client | undefined;

/** The faults that can be planted; a number after the name is the size. */
const FAULTS: Readonly<Record<string, (size: number) => void>> = {
  /** Withholds an event from one client. */
  event: () => {
    Client.prototype.send = function (bytes: Uint8Array): void {
      if (!isEvent(bytes) || !now()) send.call(this, bytes);
    };
  },
  /** Sends an event twice. */
  again: () => {
    Client.prototype.send = function (bytes: Uint8Array): void {
      send.call(this, bytes);
      if (isEvent(bytes) && now()) send.call(this, bytes);
    };
  },
  /** Sends a reply twice. */
  twice: () => {
    Client.prototype.sendReply = function (bytes: Uint8Array): void {
      sendReply.call(this, bytes);
      if (now()) sendReply.call(this, bytes);
    };
  },
  /** Sends a reply to another client. */
  astray: () => {
    Client.prototype.sendReply = function (bytes: Uint8Array): void {
      const goes = other === undefined || !now() ? this : other;
      other = this;
      sendReply.call(goes, bytes);
    };
  },
  /** Exits qmpmux. */
  end: () => {
    Mux.prototype.received = function (monitor, input): void {
      if (now()) Deno.exit(3);
      received.call(this, monitor, input);
    };
  },
  /** Leaks that many bytes for each command, and some 70 for the array that holds them. */
  bytes: (size) => {
    Mux.prototype.received = function (monitor, input): void {
      kept.push(new Array(Math.ceil(size / 8)).fill(0.5));
      received.call(this, monitor, input);
    };
  },
  /** Leaks a descriptor for each that many commands. */
  descriptor: (commands) => {
    Mux.prototype.received = function (monitor, input): void {
      if (++counted % commands === 0) kept.push(Deno.openSync("/dev/null"));
      received.call(this, monitor, input);
    };
  },
};

const [name, size] = new URL(import.meta.url).search.slice(1).split("=");
const plant = FAULTS[name!];
if (plant === undefined) throw new Error(`No fault ${name}; there are ${Object.keys(FAULTS)}`);
plant(Number(size));

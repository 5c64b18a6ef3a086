/**
 * The hub's traffic as its tap takes it.
 *
 * @module
 */

import type { Tap, Tapped, TrafficSource } from "../observe/traffic.ts";
import type { Monitor } from "../session/monitor.ts";
import type { Heard, Upstream } from "../session/upstream.ts";
import type { Message } from "../wire/message.ts";
import type { QemuEnding } from "../wire/peer.ts";
import { probe, type Request } from "./request.ts";

/** Passes malformed input from QEMU to a tap. */
export function tapNoMessage(tap: Tap | undefined, { text }: QemuEnding): void {
  tap?.take({ side: "qemu", kind: "damage", reason: text, length: undefined });
}

/** Passes a client's malformed input to a tap; `oob` tells how it is answered. */
export function tapDamage(
  tap: Tap | undefined,
  client: Monitor,
  reason: string,
  length: number | undefined,
  oob: boolean,
): void {
  tap?.take({ side: "client", client, kind: "damage", reason, length, oob });
}

/** Passes a message of QEMU's to a tap, and the command of the handshake that it has caused. */
export function tapHeard(tap: Tap, message: Message, heard: Heard<Request>): void {
  if (message.kind === "greeting") {
    tap.take({ side: "qemu", kind: "greeting", bytes: message.bytes });
  } else if (message.kind === "event") {
    tap.take({ side: "qemu", kind: "event", event: message });
  } else {
    const request = "settled" in heard ? heard.settled : undefined;
    tap.take({ side: "qemu", kind: "reply", reply: message, request });
  }
  if ("sent" in heard && heard.sent) {
    tap.take({ side: "qemu", kind: "handshake", bytes: heard.sent });
  }
}

/** Returns a request that checks whether a silent QEMU still answers, which is about to be sent. */
export function tappedProbe(tap: Tap | undefined): Request {
  const request = probe();
  if (tap) tapRequest(tap, request);
  return request;
}

/** Passes a request that is about to be sent to a tap. */
export function tapRequest(tap: Tap, request: Request): void {
  tap.take({ side: "qemu", kind: "command", request, askers: [...request.askers] });
}

/** Returns the traffic of a hub. */
export function trafficOf(
  vm: string,
  tapped: Tapped & { tap: Tap | undefined },
  clients: ReadonlySet<Monitor>,
  upstream: Upstream<Request>,
): TrafficSource {
  return {
    vm,
    clients,
    get greeting() {
      return upstream.greeting?.bytes;
    },
    get tap() {
      return tapped.tap;
    },
    set tap(tap) {
      tapped.tap = tap;
    },
  };
}

/**
 * A hub without sockets, whose clients and QEMU cost as little as possible.
 *
 * @module
 */

import { Mux } from "../lib/hub/mux.ts";
import type { MuxOptions } from "../lib/hub/mux_options.ts";
import type { Monitor } from "../lib/session/monitor.ts";
import { MessageSplitter } from "../lib/wire/message_splitter.ts";
import { FrameSplitter } from "../lib/wire/frame.ts";
import type { ClientPeer, QemuEnding, QemuPeer } from "../lib/wire/peer.ts";
import { grant, options } from "../tests/support/stage.ts";

const ENCODER = new TextEncoder();
const GREETING = '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, ' +
  '"package": ""}, "capabilities": ["oob"]}}\r\n';

/** A peer that counts the messages that it gets. */
class CountingPeer implements ClientPeer, QemuPeer {
  sent = 0;
  send(_bytes: Uint8Array): void {
    this.sent++;
  }
  sendReply(_bytes: Uint8Array): void {
    this.sent++;
  }
  pause(): void {}
  resume(): void {}
  close(reason: string | QemuEnding): void {
    throw new Error(`The bench's peer was closed: ${JSON.stringify(reason)}`);
  }
}

/** One client that has negotiated. */
export class BenchClient {
  readonly #mux: Mux;
  readonly #monitor: Monitor;
  readonly #splitter = new FrameSplitter();

  constructor(mux: Mux) {
    this.#mux = mux;
    this.#monitor = mux.attach(new CountingPeer(), grant());
    this.say('{"execute":"qmp_capabilities"}');
  }

  say(text: string): void {
    this.sayBytes(ENCODER.encode(text));
  }

  sayBytes(bytes: Uint8Array): void {
    this.#splitter.load(bytes);
    for (let input = this.#splitter.next(); input; input = this.#splitter.next()) {
      this.#mux.received(this.#monitor, input);
    }
  }
}

/** A hub whose QEMU is ready. */
export class BenchHub {
  readonly #mux: Mux;
  readonly #qemu = new CountingPeer();
  readonly #splitter = new MessageSplitter();
  #answered = 0;

  constructor(more: Partial<MuxOptions> = {}) {
    this.#mux = new Mux(options(more), {
      ready(): void {},
      lost(): void {},
      idle(): void {},
      reload(): void {},
      stalled(): void {},
      failed(_, error): void {
        throw error;
      },
    });
    this.#mux.qemuArrived(this.#qemu, "1");
    this.qemuSays(ENCODER.encode(GREETING));
    this.qemuSays(ENCODER.encode('{"return": {}, "id": 1}\r\n'));
    this.#answered = this.#qemu.sent;
  }

  /** Adds a client that has negotiated. */
  client(): BenchClient {
    return new BenchClient(this.#mux);
  }

  /** Whether QEMU has a pending command. */
  get asked(): boolean {
    return this.#qemu.sent > this.#answered;
  }

  /** Sends a reply of QEMU. */
  qemuSays(bytes: Uint8Array): void {
    this.#answered++;
    this.hears(bytes);
  }

  /** Sends an event of QEMU. */
  hears(bytes: Uint8Array): void {
    this.#splitter.load(bytes);
    for (let input = this.#splitter.next(); input; input = this.#splitter.next()) {
      this.#mux.answered(input);
    }
  }
}

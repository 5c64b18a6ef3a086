/**
 * One QEMU, two clients, no socket: the core of qmpmux as a library.
 *
 * A Mux never waits. It is told what has come, and speaks through peers. Here a
 * few lines play QEMU, and each client prints what it hears:
 *
 *     deno run examples/two_clients.ts
 *
 * @module
 */

import {
  type ClientPeer,
  defaultLimits,
  FrameSplitter,
  FULL,
  MessageSplitter,
  type Monitor,
  Mux,
  type QemuPeer,
} from "@qmpmux/qmpmux";

const LIMITS = defaultLimits("full");
const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();

const mux = new Mux({
  vm: "example", // for those who ask
  version: "1.0.0",
  handshakeTime: 60, // seconds a client may wait for QEMU's greeting
  onLoss: "close", // when QEMU goes, its clients see the end
  stallTime: 10,
  deadlines: [],
  timeOfDay: () => Date.now() / 1000,
}, {
  ready: ({ version }) => console.log(`QEMU ${version.join(".")} is there`),
  lost: () => {},
  stalled: () => {},
  reload: (done) => done([]),
  idle: () => {},
  failed: (where, error) => console.error(`An error in ${where}`, error),
});

/** A client: with sockets, `say` is given what was read, and `send` writes. */
class Client implements ClientPeer {
  readonly #name: string;
  readonly #monitor: Monitor;
  #splitter: FrameSplitter | undefined;
  #unread: Uint8Array[] = [];
  #paused = false;

  constructor(name: string) {
    this.#name = name;
    this.#monitor = mux.attach(this, {
      name,
      role: FULL,
      dialect: "qmp",
      events: undefined,
      caches: true,
      joins: true,
      limits: LIMITS,
    });
  }

  say(text: string): void {
    console.log(`${this.#name} > ${text}`);
    this.#unread.push(ENCODER.encode(text));
    this.#read();
  }

  send(bytes: Uint8Array): void {
    console.log(`${this.#name} < ${DECODER.decode(bytes).trimEnd()}`);
  }

  sendReply(bytes: Uint8Array): void {
    this.send(bytes);
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    // Not at once: the mux may be in the middle of something.
    queueMicrotask(() => this.#read());
  }

  close(reason: string): void {
    console.log(`${this.#name} is closed: ${reason}`);
  }

  /** Hands over commands for as long as the monitor takes them. */
  #read(): void {
    while (!this.#paused) {
      const input = this.#splitter?.next();
      if (input) mux.received(this.#monitor, input);
      else {
        const chunk = this.#unread.shift();
        if (chunk === undefined) return;
        // Its grammar is settled: a monitor is read from once QEMU has greeted it.
        this.#splitter ??= new FrameSplitter(this.#monitor.grammar);
        this.#splitter.limit = LIMITS["max-command"];
        this.#splitter.load(chunk);
      }
    }
  }
}

/** The connection to QEMU: what the mux sends is shown, and answered below. */
const qemu: QemuPeer = {
  send: (bytes) => console.log(`      QEMU hears ${DECODER.decode(bytes).trimEnd()}`),
  close: ({ text }) => console.log(`QEMU is hung up on: ${text}`),
};

const messages = new MessageSplitter();

/** QEMU says something: any bytes, whole messages or not. */
function qemuSays(text: string): void {
  messages.load(ENCODER.encode(text));
  for (let input = messages.next(); input; input = messages.next()) mux.answered(input);
}

// A random number makes out our own session, as QEMU may still answer an earlier one.
mux.qemuArrived(qemu, "8125");
qemuSays('{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}, ');
qemuSays('"capabilities": ["oob"]}}\r\n');
qemuSays('{"return": {}, "id": 8125}\r\n');

const ann = new Client("ann");
const bob = new Client("bob");
ann.say('{"execute": "qmp_capabilities"}');
bob.say("{'execute': 'qmp_capabilities', 'id': 'mine'}");

// Both ask with the same id, and each gets its own answer.
ann.say('{"execute": "stop", "id": 1}');
bob.say('{"execute": "query-status", "id": 1}');
qemuSays('{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "STOP"}\r\n');
qemuSays('{"return": {}}\r\n');
qemuSays('{"return": {"status": "paused", "singlestep": false, "running": false}}\r\n');

mux.qemuLeft("QEMU has gone");

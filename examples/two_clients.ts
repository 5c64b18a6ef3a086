/**
 * An example of qmpmux's core as a library, with one QEMU, two clients and no sockets.
 *
 * A Mux never waits. The program passes input to it, and it sends output through peers. Here a
 * few lines simulate QEMU, and each client prints the messages that it receives:
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
  vm: "example", // the VM's name, in the status
  version: "1.0.0",
  handshakeTime: 60, // seconds a client may wait for QEMU's greeting
  onLoss: "close", // closes the clients when QEMU disconnects
  stallTime: 10,
  deadlines: [],
  timeOfDay: () => Date.now() / 1000,
}, {
  ready: ({ version }) => console.log(`QEMU ${version.join(".")} is ready`),
  lost: () => {},
  stalled: () => {},
  reload: (done) => done([]),
  idle: () => {},
  failed: (where, error) => console.error(`An error in ${where}`, error),
});

/** A client. With sockets, `say` would receive the bytes read, and `send` would write bytes. */
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
    // Read later, because the mux calls this in the middle of its own work.
    queueMicrotask(() => this.#read());
  }

  close(reason: string): void {
    console.log(`${this.#name} is closed: ${reason}`);
  }

  /** Passes commands to the mux until the monitor pauses the client. */
  #read(): void {
    while (!this.#paused) {
      const input = this.#splitter?.next();
      if (input) mux.received(this.#monitor, input);
      else {
        const chunk = this.#unread.shift();
        if (chunk === undefined) return;
        // A client is read only after QEMU's greeting, so the grammar is known here.
        this.#splitter ??= new FrameSplitter(this.#monitor.grammar);
        this.#splitter.limit = LIMITS["max-command"];
        this.#splitter.load(chunk);
      }
    }
  }
}

/** The connection to QEMU, which prints the commands that the mux sends; the replies are below. */
const qemu: QemuPeer = {
  send: (bytes) => console.log(`      QEMU receives ${DECODER.decode(bytes).trimEnd()}`),
  close: ({ text }) => console.log(`The connection to QEMU is closed: ${text}`),
};

const messages = new MessageSplitter();

/** Passes bytes from QEMU to the mux; a message may be split between calls. */
function qemuSays(text: string): void {
  messages.load(ENCODER.encode(text));
  for (let input = messages.next(); input; input = messages.next()) mux.answered(input);
}

// The second argument identifies this session, because QEMU may still reply to an earlier one.
// In a real program it must be a random number.
mux.qemuArrived(qemu, "8125");
qemuSays('{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}, ');
qemuSays('"capabilities": ["oob"]}}\r\n');
qemuSays('{"return": {}, "id": 8125}\r\n');

const ann = new Client("ann");
const bob = new Client("bob");
ann.say('{"execute": "qmp_capabilities"}');
bob.say("{'execute': 'qmp_capabilities', 'id': 'mine'}");

// Both clients use the same id, and each gets its own reply.
ann.say('{"execute": "stop", "id": 1}');
bob.say('{"execute": "query-status", "id": 1}');
qemuSays('{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "STOP"}\r\n');
qemuSays('{"return": {}}\r\n');
qemuSays('{"return": {"status": "paused", "singlestep": false, "running": false}}\r\n');

mux.qemuLeft("QEMU disconnected");

/**
 * The hub in front of a QEMU that mutates real conversations.
 *
 * Messages of QEMU 7.2, 10.0 and 11.1 are changed at the level of JSON, repeated, reordered, and
 * sent without a request, to clients of several roles, dialects and capabilities. An honest QEMU
 * follows each hostile one.
 *
 * `tools/deno task hostile:long` plays a million messages.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { Mux } from "../lib/hub/mux.ts";
import { MetricsRecorder } from "../lib/observe/metrics_recorder.ts";
import { Metrics } from "../lib/observe/prometheus.ts";
import type { Monitor } from "../lib/session/monitor.ts";
import { readRole, ROLES } from "../lib/policy/roles.ts";
import type { Grant } from "../lib/policy/admission.ts";
import { MessageSplitter } from "../lib/wire/message_splitter.ts";
import { FrameSplitter } from "../lib/wire/frame.ts";
import type { ClientPeer, Fds, QemuPeer } from "../lib/wire/peer.ts";
import { LONG } from "./support/fault.ts";
import { bytesOf, type Conversation, mutated, readConversations } from "./support/mutation.ts";
import { Random } from "./support/random.ts";
import { grant, options } from "./support/stage.ts";
import { NO_GAUGES } from "./support/gauges.ts";

const SEED = 20261128;
const MESSAGES = LONG ? 1_000_000 : 20_000;
/** The maximum number of messages of one hostile connection. */
const SESSION_MESSAGES = 60;
/** Memory varies if no collector can be run; leaks of messages of 0.2 MB soon exceed this. */
const GROWTH_BYTES = LONG ? 8 << 20 : 256 << 20;
const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();

const CONVERSATIONS = readConversations();
const NAMES = new Set(CONVERSATIONS.flatMap(({ replies }) => [...replies.keys()]));

const GUEST = readRole({
  name: "guest",
  rules: [{ allow: ["query-*", "add-fd", "stop"] }],
  events: ["S*", "?ESET", "JOB*"],
}, "test");

/** The kinds of clients. */
const KINDS: readonly { readonly grant: Grant; readonly oob?: boolean; readonly fds?: boolean }[] =
  [
    { grant: grant({ role: ROLES.get("full")! }), fds: true },
    { grant: grant({ role: ROLES.get("full")! }), oob: true },
    { grant: grant({ role: ROLES.get("observer")! }) },
    { grant: grant({ role: ROLES.get("operator")!, caches: false, joins: false }) },
    { grant: grant({ role: ROLES.get("admin")!, events: ["*_*", "R?SET"] }) },
    { grant: grant({ role: ROLES.get("full")!, dialect: "rfc2010" }) },
    { grant: grant({ role: GUEST }), fds: true },
  ];

/** A pending command. */
interface Pending {
  readonly id: string;
  readonly oob: boolean;
}

/** A client that checks its replies and events. */
class CheckingClient implements ClientPeer {
  readonly monitor: Monitor;
  readonly fds: boolean;
  paused = false;
  closed: string | undefined;
  /** The number of replies that it has got. */
  replies = 0;
  /** Descriptors that it has passed and that are open. */
  readonly descriptors = new Set<Fds>();
  /** Its pending commands, the oldest first. */
  readonly pending: Pending[] = [];
  readonly #mux: Mux;
  readonly #name: string;
  readonly #oob: boolean;
  readonly #ahead: string[] = [];
  readonly #stream = new MessageSplitter();
  #splitter: FrameSplitter | undefined;
  #parts = "";
  #sent = 0;

  constructor(mux: Mux, name: string, kind: typeof KINDS[number]) {
    this.#mux = mux;
    this.#name = name;
    this.#oob = kind.oob ?? false;
    this.fds = kind.fds ?? false;
    this.monitor = mux.attach(this, kind.grant);
    const enable = this.#oob ? ',"arguments":{"enable":["oob"]}' : "";
    this.say(
      kind.grant.dialect === "qmp"
        ? `{"execute":"qmp_capabilities"${enable}`
        : '{"execute":"qmp_switch_mode","arguments":{"mode":"operational"}',
    );
  }

  send(bytes: Uint8Array): void {
    this.#hear(DECODER.decode(bytes), bytes);
  }

  sendReply(bytes: Uint8Array): void {
    // A long reply is sent in parts, and the last ends the line.
    this.#parts += String.fromCharCode(...bytes.subarray(0, 200));
    this.#stream.load(bytes);
    const message = this.#stream.next();
    if (message === undefined) return;
    const head = this.#parts;
    this.#parts = "";
    assert(!("damage" in message), `${this.#name} heard what is no message: ${head}`);
    this.#reply(DECODER.decode(message), head);
  }

  #hear(text: string, bytes: Uint8Array): void {
    assertEquals(this.closed, undefined, `${this.#name} heard ${text.slice(0, 200)} after its end`);
    this.#stream.load(bytes);
    const message = this.#stream.next();
    assert(message !== undefined && !("damage" in message), `${this.#name} heard a part: ${text}`);
    assertEquals(this.#stream.next(), undefined, `${this.#name} heard two at once: ${text}`);
    assert(text.endsWith("}\r\n"), `${this.#name} heard no line: ${text}`);
  }

  /** Checks that a reply is for this client's oldest command, or for an out-of-band one. */
  #reply(text: string, head: string): void {
    assertEquals(this.closed, undefined, `${this.#name} heard ${head} after its end`);
    assert(text.endsWith("}\r\n"), `${this.#name} heard no line: ${head}`);
    const first = this.pending.findIndex(({ oob }) => !oob);
    const at = this.pending.findIndex(({ id, oob }, at) =>
      (oob || at === first) && text.includes(`"id": "${id}"`)
    );
    assert(at >= 0, `${this.#name} waits for ${this.pending[0]?.id} and heard ${head}`);
    this.pending.splice(at, 1);
    this.replies++;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  close(reason: string): void {
    this.closed = reason;
    this.pending.length = 0;
  }

  /** Sends a command without its last byte; returns its id. */
  say(open: string, oob = false): string {
    const id = `${this.#name}#${++this.#sent}`;
    this.#ahead.push(`${open},"id":"${id}"}`);
    this.pending.push({ id, oob });
    this.read();
    return id;
  }

  /** Reads on as far as the client may be read. */
  read(): void {
    while (!this.paused && this.closed === undefined) {
      this.#splitter ??= new FrameSplitter(this.monitor.grammar);
      const input = this.#splitter.next();
      if (input !== undefined) {
        this.#mux.received(this.monitor, input);
        continue;
      }
      const next = this.#ahead.shift();
      if (next === undefined) return;
      if (this.fds && next.includes('"add-fd"')) {
        this.#mux.fdsReceived(this.monitor, new Descriptor(this.descriptors));
      }
      this.#splitter.load(ENCODER.encode(next));
    }
  }

  /** Whether everything that it sent has been read. */
  get isIdle(): boolean {
    return this.#ahead.length === 0;
  }
}

/** A descriptor that a client has passed, and that is closed exactly once. */
class Descriptor implements Fds {
  readonly #open: Set<Fds>;

  /** @param open the set that has it until it is closed */
  constructor(open: Set<Fds>) {
    this.#open = open;
    open.add(this);
  }

  close(): void {
    this.#open.delete(this);
  }
}

/** A command at QEMU. */
interface Asked {
  readonly name: string;
  readonly id: string | undefined;
}

/** The figures of a run. */
interface Figures {
  messages: number;
  sessions: number;
  /** The number of connections that a message closed, by the reason. */
  readonly ended: Map<string, number>;
  /** The number of mutated messages, by kind. */
  readonly mutations: Map<string, number>;
  replies: number;
}

/** The hub, its clients, and one QEMU after the other. */
class Play {
  readonly figures: Figures = {
    messages: 0,
    sessions: 0,
    ended: new Map(),
    mutations: new Map(),
    replies: 0,
  };
  readonly metricsRecorder = new MetricsRecorder((name) => NAMES.has(name));
  readonly mux: Mux;
  readonly #random: Random;
  readonly #failures: string[] = [];
  readonly #clients: CheckingClient[] = [];
  #conversation: Conversation = CONVERSATIONS[0]!;
  #splitter = new MessageSplitter();
  #closed: string | undefined;
  #nonce = "";
  #isReady = false;
  #now = 0;
  #attached = 0;
  /** Commands that were sent to QEMU and have no reply yet. */
  #queue: Asked[] = [];

  constructor(seed: number, onLoss: "close" | "hold") {
    this.#random = new Random(seed);
    const deadlines = [{ glob: "query-b*", seconds: 3 }];
    this.mux = new Mux(options({ onLoss, deadlines }), {
      stalled(): void {},
      ready: (): void => void (this.#isReady = true),
      lost(): void {},
      idle(): void {},
      reload: (done): void => done([]),
      failed: (where, error): void => {
        this.#failures.push(`${where}: ${error instanceof Error ? error.stack : error}`);
      },
    }, { observers: [this.metricsRecorder] });
  }

  /** Plays sessions, hostile and honest in turn, until that many messages were sent. */
  run(messages: number): void {
    while (this.figures.messages < messages) {
      this.#hostile();
      this.#honest();
    }
  }

  #hostile(): void {
    const random = this.#random;
    this.#connect();
    const says = (line: string): void => {
      if (this.#closed !== undefined || line === "") return;
      const { how, text } = this.#disguised(line);
      const { mutations } = this.figures;
      mutations.set(how, (mutations.get(how) ?? 0) + 1);
      this.#says(text);
    };
    // In one of four sessions the handshake is mutated too.
    const early = random.oneIn(4);
    const greeting = this.#greeting();
    if (early) says(greeting);
    else this.#says(`${greeting}\r\n`);
    this.#queue.length = 0;
    const agreed = `{"return": {}, "id": ${this.#nonce}}`;
    if (early) says(agreed);
    else this.#says(`${agreed}\r\n`);
    const rate = random.pick([1, 2, 3, 8]);
    for (let i = 0; i < SESSION_MESSAGES && this.#closed === undefined; i++) {
      this.#clientsSpeak();
      const kind = random.below(20);
      if (kind === 0) says(random.pick(this.#conversation.events));
      else if (kind === 1) this.#says(`${random.pick(this.#conversation.events)}\r\n`);
      else if (kind === 2 && random.oneIn(4)) says(this.#unasked());
      else if (kind === 3) this.#says("", random.pick([0.5, 1, 6]));
      else this.#answer(random.oneIn(rate) ? says : undefined);
    }
    if (this.#closed === undefined && random.oneIn(2)) this.#says("{");
    this.#disconnect(this.#closed ?? "QEMU disconnected");
  }

  /**
   * Returns a greeting of this QEMU; in one of six sessions the greeting of one with `pretty=on`.
   */
  #greeting(): string {
    const { greeting } = this.#conversation;
    return this.#random.oneIn(6) ? pretty(greeting) : greeting;
  }

  #disguised(line: string): { how: string; text: string } {
    const random = this.#random;
    switch (random.below(12)) {
      case 0:
        return { how: "twice", text: `${line}\r\n${line}\r\n` };
      case 1:
        return { how: "pretty", text: `${random.oneIn(2) ? pretty(line) : line}\r\n` };
      case 2: {
        const one = mutated(line, random);
        const again = one.how !== "deep" && one.text.trimEnd().startsWith("{") && isJson(one.text)
          ? mutated(one.text.trimEnd(), random)
          : one;
        return { how: "mutated twice", text: again.text };
      }
      default:
        return mutated(line, random);
    }
  }

  #unasked(): string {
    const { replies, greeting } = this.#conversation;
    const random = this.#random;
    return random.oneIn(3) ? greeting : random.pick([...replies.values()])[0]!;
  }

  /** Answers the oldest command, or another one. */
  #answer(says: ((line: string) => void) | undefined): void {
    const random = this.#random;
    if (this.#queue.length === 0) return;
    const at = says && random.oneIn(10) ? random.below(this.#queue.length) : 0;
    const [{ name, id }] = this.#queue.splice(at, 1) as [Asked];
    const line = this.#replyTo(name, id);
    if (says) says(line);
    else this.#says(`${line}\r\n`);
  }

  #replyTo(name: string, id: string | undefined): string {
    const known = this.#conversation.replies.get(name);
    // Commands that were not recorded succeed here, which allows their replies to be mutated.
    const added = '{"return": {"fdset-id": 1, "fd": 20}}';
    const line = name === "add-fd" ? added : known ? this.#random.pick(known) : '{"return": {}}';
    if (id === undefined) return line;
    return line.startsWith('{"return"')
      ? `${line.slice(0, -1)}, "id": ${id}}`
      : `{"id": ${id}, ${line.slice(1)}`;
  }

  #clientsSpeak(): void {
    const random = this.#random;
    if (random.oneIn(12)) this.#attach();
    for (const client of this.#clients) {
      if (client.closed !== undefined || !client.isIdle || !random.oneIn(2)) continue;
      if (random.oneIn(60)) this.#leave(client);
      else if (client.monitor.takesOob && random.oneIn(4)) {
        client.say('{"exec-oob":"query-yank"', true);
      } else if (client.fds && random.oneIn(4)) client.say('{"execute":"add-fd"');
      else if (random.oneIn(6)) client.say('{"execute":"query-commands"');
      else if (random.oneIn(30)) client.say('{"execute":"__org.qmpmux_query-clients"');
      else client.say(random.pick(this.#conversation.commands).slice(0, -1));
    }
  }

  #attach(): void {
    if (this.#clients.length >= 12) return;
    const name = `c${++this.#attached}`;
    this.#clients.push(new CheckingClient(this.mux, name, this.#random.pick(KINDS)));
  }

  #leave(client: CheckingClient): void {
    client.closed = "it has left";
    this.mux.detached(client.monitor);
  }

  #connect(): void {
    this.figures.sessions++;
    this.#conversation = this.#random.pick(CONVERSATIONS);
    this.#splitter = new MessageSplitter();
    this.#closed = undefined;
    this.#isReady = false;
    this.#queue = [];
    const peer: QemuPeer = {
      send: (bytes, fds) => {
        fds?.close();
        const { execute, "exec-oob": oob } = JSON.parse(DECODER.decode(bytes));
        // JSON.parse() would round it.
        const [, id] = /,"id":(\d+)\}$/.exec(DECODER.decode(bytes)) ?? [];
        this.#queue.push({ name: execute ?? oob, id });
      },
      close: ({ text }) => void (this.#closed ??= text),
    };
    this.#nonce = String(1_000_000_000 + this.figures.sessions);
    this.mux.qemuArrived(peer, this.#nonce);
  }

  /** Sends a message of QEMU's, or advances the clock. */
  #says(text: string, seconds = 0): void {
    if (seconds > 0) this.mux.tick(this.#now += seconds);
    else this.figures.messages++;
    this.#splitter.load(bytesOf(text));
    while (this.#closed === undefined) {
      const input = this.#splitter.next();
      if (input === undefined) break;
      this.mux.answered(input);
    }
    for (const client of this.#clients) client.read();
    assertEquals(this.#failures, [], `after ${text.slice(0, 300)}`);
  }

  #disconnect(reason: string): void {
    if (this.#closed !== undefined) {
      const { ended } = this.figures;
      ended.set(reason, (ended.get(reason) ?? 0) + 1);
    }
    this.mux.qemuLeft(reason);
    for (const client of this.#clients) client.read();
    assertEquals(this.#failures, []);
    // Nothing of that QEMU is kept.
    const { waiting, inFlight, clients } = this.mux.status();
    assertEquals({ waiting, inFlight }, { waiting: 0, inFlight: 0 });
    assertEquals(this.mux.administered.inFlight().size, 0);
    for (const client of [...this.#clients]) {
      // The last one waits for a command that uses it.
      assert(client.descriptors.size <= (client.closed === undefined ? 1 : 0));
      if (client.closed !== undefined) {
        this.#clients.splice(this.#clients.indexOf(client), 1);
        this.figures.replies += client.replies;
      } else if (client.monitor.greeted) {
        assertEquals(client.pending, [], "a command was not answered");
        assertEquals(client.monitor.pending, 0);
      }
    }
    assertEquals(clients, this.#clients.length);
    assert(this.mux.monitors.size === this.#clients.length);
    const gauges = { ...NO_GAUGES, inFlight, waiting };
    this.metricsRecorder.update(gauges);
    const text = Metrics.render([this.metricsRecorder.metrics]);
    assert(text.length < 200_000, "the metrics grow");
  }

  /** Plays an honest QEMU: each client, and a new one, gets exactly its replies. */
  #honest(): void {
    this.#connect();
    this.#attach();
    this.#says(`${this.#conversation.greeting}\r\n`);
    this.#queue.length = 0;
    this.#says(`{"return": {}, "id": ${this.#nonce}}\r\n`);
    assert(this.#isReady, "an honest QEMU is not ready");
    for (const client of this.#clients) {
      if (client.closed !== undefined) continue;
      const before = client.replies;
      const id = client.say('{"execute":"query-block"');
      while (this.#queue.length > 0) this.#answer(undefined);
      assertEquals(client.pending, [], `${id} was not answered`);
      assert(client.replies > before);
    }
    assertEquals(this.#closed, undefined, "an honest QEMU was disconnected");
    this.#disconnect("QEMU disconnected");
  }
}

function isJson(text: string): boolean {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null;
  } catch {
    return false;
  }
}

/** Returns a message approximately as a QEMU with `pretty=on` prints it. */
function pretty(line: string): string {
  return JSON.stringify(JSON.parse(line), undefined, 4).replaceAll("\n", "\r\n");
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}

/** Returns the bytes in use, without garbage if V8 was given `--expose-gc`. */
function memory(): number {
  (globalThis as { gc?: () => void }).gc?.();
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}

for (const onLoss of ["hold", "close"] as const) {
  Deno.test(`the hub survives ${MESSAGES / 2} mutated messages of QEMU, on-loss=${onLoss}`, () => {
    const began = performance.now();
    const play = new Play(SEED, onLoss);
    play.run(MESSAGES / 4);
    const half = memory();
    play.run(MESSAGES / 2);
    const { sessions, messages, ended, mutations, replies } = play.figures;
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    const grown = memory() - half;
    console.log(
      `${messages} messages, ${sessions} connections, ${replies} replies, ${seconds} s, ` +
        `${mebibytes(half)} MiB after half of them, ${mebibytes(grown)} MiB more at the end`,
    );
    console.log([...ended].map(([reason, count]) => `${count} ${reason}`).sort().join("\n"));
    assert(grown < GROWTH_BYTES, `memory has grown by ${grown} bytes`);
    // The test would show nothing if few of them closed a connection, or all did at once.
    assert(ended.size >= 8, [...ended.keys()].join());
    assertEquals(mutations.size, 13);
    assert(replies > messages / 10);
  });
}

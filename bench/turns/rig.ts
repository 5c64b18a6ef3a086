/**
 * A whole qmpmux in one process with simulated sockets, and a watch on the event loop.
 *
 * Every client is a real `Client`, QEMU's connection a real `Qemu`, and the hub a real `Mux`
 * with metrics and an audit. The sockets behave like Deno's: available bytes are read at once,
 * in the same turn, until the runtime yields.
 *
 * @module
 */

import process from "node:process";
import { Mux } from "../../lib/hub/mux.ts";
import { Audit, type AuditSink, lineOf } from "../../lib/observe/audit.ts";
import { MetricsRecorder } from "../../lib/observe/metrics_recorder.ts";
import { Client } from "../../lib/daemon/client.ts";
import type { ClientDeps } from "../../lib/daemon/deps.ts";
import { CLOCK } from "../../lib/platform/clock.ts";
import type { Stream } from "../../lib/platform/stream.ts";
import { InternalErrors, LimitLog } from "../../lib/daemon/limit_log.ts";
import type { Log } from "../../lib/platform/log.ts";
import { Qemu } from "../../lib/daemon/qemu.ts";
import { ReplyBudget } from "../../lib/platform/reply_budget.ts";
import { Turns } from "../../lib/platform/turns.ts";
import { defaultLimits, UNREAD_IN_ALL } from "../../lib/policy/limits.ts";
import { operatorRows } from "../../lib/policy/operator_role.ts";
import type { Role } from "../../lib/policy/policy.ts";
import { FULL } from "../../lib/policy/roles.ts";
import type { DialectName, Grant } from "../../lib/policy/admission.ts";
import { MessageSplitter } from "../../lib/wire/message_splitter.ts";
import type { Fds } from "../../lib/wire/peer.ts";

const ENCODER = new TextEncoder();

/** The number of ready reads and writes after which the runtime yields (tokio's budget). */
const OPERATIONS_A_TURN = 128;

/** The size of a kernel socket's buffer in bytes. */
const SOCKET_BYTES = 212_992;

/** The time after which the rig considers a turn to hang, and stops. */
const PATIENCE_MS = 60_000;

/** The budget that the sockets of one rig share in a turn. */
class Allowance {
  operations = OPERATIONS_A_TURN;
  readonly sockets = new Set<PlayedSocket>();

  /** Begins a turn, and continues all that waited. */
  renew(): void {
    this.operations = OPERATIONS_A_TURN;
    for (const socket of this.sockets) socket.renew();
  }

  /** Whether a pending read or write could continue in the next turn. */
  get waits(): boolean {
    for (const socket of this.sockets) if (socket.waits) return true;
    return false;
  }
}

/** One end of a socket; the bench has the other. */
export class PlayedSocket implements Stream {
  /** The chunks that are not read yet, with their descriptors. */
  readonly #coming: { bytes: Uint8Array; fds: Fds | undefined }[] = [];
  #fds: Fds | undefined;
  #ended = false;
  #closed = false;
  /** Whether the other end reads. */
  listens = true;
  /** The bytes written, if they are kept. */
  readonly written: Uint8Array[] = [];
  /** The number of bytes written. */
  bytesWritten = 0;
  #room = SOCKET_BYTES;
  #reading: { buffer: Uint8Array; done: PromiseWithResolvers<number | null> } | undefined;
  #writing: { bytes: Uint8Array; done: PromiseWithResolvers<number> } | undefined;
  readonly #allowance: Allowance;
  readonly #keeps: boolean;

  constructor(allowance: Allowance, keeps: boolean) {
    this.#allowance = allowance;
    this.#keeps = keeps;
    allowance.sockets.add(this);
  }

  /** Sends something from the other end, which is read in the next turn. */
  feed(bytes: Uint8Array, fds?: Fds): void {
    this.#coming.push({ bytes, fds });
  }

  /** Closes the other end. */
  hangUp(): void {
    this.#ended = true;
  }

  /** Whether all that was fed has been read. */
  get drained(): boolean {
    return this.#coming.length === 0;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Whether a read or a write can continue in the next turn. */
  get waits(): boolean {
    if (this.#closed) return false;
    return (this.#reading !== undefined && (this.#coming.length > 0 || this.#ended)) ||
      this.#writing !== undefined && this.listens;
  }

  renew(): void {
    if (this.#closed) return;
    if (this.listens) this.#room = SOCKET_BYTES;
    const reading = this.#reading;
    if (reading) {
      const length = this.#readable(reading.buffer);
      if (length !== undefined) {
        this.#reading = undefined;
        reading.done.resolve(length);
      }
    }
    const writing = this.#writing;
    if (writing && this.#room > 0) {
      this.#writing = undefined;
      writing.done.resolve(this.#write(writing.bytes));
    }
  }

  read(buffer: Uint8Array): Promise<number | null> {
    const length = this.#readable(buffer);
    if (length !== undefined) return Promise.resolve(length);
    this.#reading = { buffer, done: Promise.withResolvers() };
    return this.#reading.done.promise;
  }

  #readable(buffer: Uint8Array): number | null | undefined {
    const first = this.#coming[0];
    if (this.#allowance.operations === 0 || (first === undefined && !this.#ended)) return undefined;
    this.#allowance.operations--;
    if (first === undefined) return null;
    const part = first.bytes.subarray(0, buffer.length);
    buffer.set(part);
    this.#fds = first.fds;
    first.fds = undefined;
    if (part.length === first.bytes.length) this.#coming.shift();
    else first.bytes = first.bytes.subarray(part.length);
    return part.length;
  }

  takeFds(): Fds | undefined {
    const fds = this.#fds;
    this.#fds = undefined;
    return fds;
  }

  write(bytes: Uint8Array): Promise<number> {
    if (this.#room > 0 && this.#allowance.operations > 0) {
      this.#allowance.operations--;
      return Promise.resolve(this.#write(bytes));
    }
    this.#writing = { bytes, done: Promise.withResolvers() };
    return this.#writing.done.promise;
  }

  #write(bytes: Uint8Array): number {
    const length = Math.min(bytes.length, this.#room);
    this.#room -= length;
    this.bytesWritten += length;
    if (this.#keeps) this.written.push(bytes.slice(0, length));
    return length;
  }

  closeWrite(): Promise<void> {
    this.#ended = true;
    return Promise.resolve();
  }

  close(): void {
    this.#closed = true;
    this.#allowance.sockets.delete(this);
    this.#reading?.done.resolve(null);
    this.#writing?.done.reject(new Deno.errors.BadResource("closed"));
    this.#reading = this.#writing = undefined;
  }
}

/** A turn scheduler that shows whether any turn is left. */
class CountedTurns extends Turns {
  left = 0;

  override add(task: () => void): void {
    this.left++;
    super.add(() => {
      this.left--;
      task();
    });
  }
}

/** The properties of a QEMU. */
export interface QemuKind {
  readonly version: "7.2" | "11.1";
  readonly pretty: boolean;
}

/** QEMU's greeting. */
function greetingOf({ version, pretty }: QemuKind): string {
  const [major, minor] = version.split(".");
  if (pretty) {
    return '{\r\n    "QMP": {\r\n        "version": {\r\n            "qemu": {\r\n' +
      `                "micro": 1,\r\n                "minor": ${minor},\r\n` +
      `                "major": ${major}\r\n            },\r\n            "package": ""\r\n` +
      '        },\r\n        "capabilities": [\r\n            "oob"\r\n        ]\r\n    }\r\n}\r\n';
  }
  return `{"QMP": {"version": {"qemu": {"micro": 1, "minor": ${minor}, "major": ${major}}, ` +
    '"package": ""}, "capabilities": ["oob"]}}\r\n';
}

/** A client of the rig. */
export interface RigClient {
  readonly socket: PlayedSocket;
  readonly client: Client;
}

/** The replies of the rig's QEMU; `{}` by default. */
export type Answering = (command: string) => readonly Uint8Array[];

/** The times for which the event loop was busy without a break. */
export interface Busy {
  /** The longest turn, in milliseconds. */
  readonly longest: number;
  /** The number of turns. */
  readonly turns: number;
  /** The sum of all turns, in milliseconds. */
  readonly total: number;
}

/** QEMU's commands, as it lists them, plain and pretty. */
const NAMES = [...operatorRows().keys()];
const LIST = [
  `{"return": [${NAMES.map((name) => `{"name": "${name}"}`).join(", ")}]}`,
  `{\r\n    "return": [${
    NAMES.map((name) => `\r\n        {\r\n            "name": "${name}"\r\n        }`).join(",")
  }\r\n    ]\r\n}`,
] as const;

const FAILURE = [
  '{"error": {"class": "GenericError", "desc": "No"}}',
  '{\r\n    "error": {\r\n        "class": "GenericError",\r\n        "desc": "No"\r\n    }\r\n}',
] as const;

const DONE = ['{"return": {}}', '{\r\n    "return": {\r\n    }\r\n}'] as const;

/** Returns the reply to a command with an id, plain and pretty. */
function doneWith(id: string): readonly [string, string] {
  return [
    `{"return": {}, "id": ${id}}`,
    `{\r\n    "return": {\r\n    },\r\n    "id": ${id}\r\n}`,
  ];
}

/** An empty set of descriptors. */
const NO_FDS: Fds = { close(): void {} };

/** A qmpmux with its QEMU. */
export class Rig {
  readonly #allowance = new Allowance();
  readonly #turns = new CountedTurns();
  readonly #mux: Mux;
  readonly #deps: ClientDeps;
  readonly #kind: QemuKind;
  readonly #qemu: PlayedSocket;
  readonly #running = new Set<Promise<unknown>>();
  #splitter = new MessageSplitter();
  /** The replies of QEMU. */
  answering: Answering = (command) => [
    this.#style(
      command.includes('"query-commands"') ? LIST : command.includes('"add-fd"') ? FAILURE : DONE,
    ),
  ];
  /** Whether QEMU replies to out-of-band commands, with `{}`. */
  answersOob = true;
  /** The number of commands that QEMU has received. */
  heard = 0;
  /** The number of records in the audit. */
  kept = 0;

  private constructor(kind: QemuKind) {
    this.#kind = kind;
    this.#qemu = new PlayedSocket(this.#allowance, true);
    const sink: AuditSink = {
      failing: false,
      keep: (record): void => {
        this.kept += Math.sign(lineOf(record).length);
      },
    };
    const isKnown = (command: string): boolean => operatorRows().has(command);
    const metricsRecorder = new MetricsRecorder(isKnown);
    const audit = new Audit(sink, {
      isRead: () => false,
      isKnown,
      all: true,
      refuses: true,
      timeOfDay: () => 0,
    });
    const log: Log = { info(): void {}, warn(): void {}, withVm: () => log };
    const limitLog = new LimitLog(log);
    const errors = new InternalErrors(limitLog, () => {});
    errors.report = (where, error): void => {
      throw new Error(`An internal error (${where})`, { cause: error });
    };
    this.#mux = new Mux({
      vm: "bench",
      version: "0.0.0",
      handshakeTime: 60,
      onLoss: "close",
      stallTime: 10,
      deadlines: [{ glob: "*-a*b*c*", seconds: 1e6 }, { glob: "*", seconds: 1e6 }],
      timeOfDay: () => 0,
      clock: () => CLOCK.now(),
      later: (task) => this.#turns.add(task),
    }, {
      ready(): void {},
      lost(): void {},
      idle(): void {},
      stalled(): void {},
      reload: (done): void => done([]),
      failed(where, error): void {
        throw new Error(`An internal error (${where})`, { cause: error });
      },
    }, { observers: [metricsRecorder, audit], gate: audit });
    const budget = new ReplyBudget(UNREAD_IN_ALL.initial);
    this.#deps = {
      mux: this.#mux,
      log,
      limitLog,
      errors,
      clock: CLOCK,
      turns: this.#turns,
      awake: (): void => {},
      budget,
    };
    const qemu = new Qemu(this.#qemu, {
      mux: this.#mux,
      errors,
      turns: this.#turns,
      clock: CLOCK,
      messageLimit: 64 << 20,
    });
    this.#keep(qemu.run());
  }

  /** Makes a rig whose QEMU is ready. */
  static async open(kind: QemuKind): Promise<Rig> {
    const rig = new Rig(kind);
    rig.says(ENCODER.encode(greetingOf(kind)));
    await rig.run(() => rig.#qemu.bytesWritten > 0);
    const [nonce] = /(?<="id":)\d+/.exec(rig.#takeWritten()) ?? [];
    rig.says(rig.#style(doneWith(nonce ?? "")));
    await rig.run();
    return rig;
  }

  #keep(promise: Promise<unknown>): void {
    const kept = promise.finally(() => this.#running.delete(kept));
    this.#running.add(kept);
  }

  /** Returns a message in the style of this QEMU. */
  #style([plain, pretty]: readonly [string, string]): Uint8Array {
    return ENCODER.encode(`${this.#kind.pretty ? pretty : plain}\r\n`);
  }

  #takeWritten(): string {
    const decoder = new TextDecoder();
    return this.#qemu.written.splice(0).map((bytes) => decoder.decode(bytes)).join("");
  }

  /** Sends something from QEMU. */
  says(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += 65536) {
      this.#qemu.feed(bytes.subarray(at, at + 65536));
    }
  }

  /** Connects a client. */
  connect(
    { role = FULL, dialect = "qmp", passes = false, limits = {} }: {
      role?: Role;
      dialect?: DialectName;
      passes?: boolean;
      limits?: Partial<Grant["limits"]>;
    } = {},
  ): RigClient {
    const socket = new PlayedSocket(this.#allowance, false);
    const grant: Grant = {
      name: "bench",
      role,
      dialect,
      events: undefined,
      caches: true,
      joins: true,
      passes,
      limits: { ...defaultLimits(role.name), ...limits },
    };
    const client = new Client(socket, grant, this.#deps);
    this.#keep(client.run());
    return { socket, client };
  }

  /** Sends chunks from a client, with or without descriptors. */
  send(client: RigClient, chunks: readonly Uint8Array[], fds = false): void {
    for (const [index, chunk] of chunks.entries()) {
      client.socket.feed(chunk, fds && index === 0 ? NO_FDS : undefined);
    }
  }

  /** Sends a text from a client. */
  saysText(client: RigClient, text: string, fds = false): void {
    this.send(client, [ENCODER.encode(text)], fds);
  }

  /** Disconnects a client. */
  leaves({ socket }: RigClient): void {
    socket.hangUp();
  }

  /** Lets QEMU read its commands and reply. */
  #answer(): boolean {
    const parts = this.#qemu.written.splice(0);
    for (const part of parts) {
      this.#splitter.load(part);
      for (let message = this.#splitter.next(); message; message = this.#splitter.next()) {
        if ("damage" in message) throw new Error(`QEMU was sent damage: ${message.damage}`);
        this.heard++;
        const text = message.length < 4096
          ? new TextDecoder().decode(message)
          : new TextDecoder().decode(message.subarray(0, 64)) +
            new TextDecoder().decode(message.subarray(-64));
        const id = /^\{"exec-oob"/.test(text) ? /"id":(\d+)\}\r\n$/.exec(text)?.[1] : undefined;
        if (id !== undefined && this.answersOob) {
          this.says(this.#style(doneWith(id)));
        } else for (const answer of this.answering(text)) this.says(answer);
      }
    }
    return parts.length > 0;
  }

  /**
   * Runs everything until it is idle, and watches the event loop.
   *
   * The time of a turn is the shorter of wall clock and processor time: it excludes the time of
   * other programs and includes that of the garbage collector.
   */
  async run(done?: () => boolean): Promise<Busy> {
    let longest = 0;
    let total = 0;
    let turns = 0;
    let quiet = 0;
    const until = performance.now() + PATIENCE_MS;
    while (quiet < 4) {
      const answered = this.#answer();
      const waits = this.#allowance.waits;
      quiet = answered || waits || this.#turns.left > 0 ? 0 : quiet + 1;
      const before = processorTime();
      const began = performance.now();
      this.#allowance.renew();
      await nextPass();
      const wall = performance.now() - began;
      const busy = Math.min(wall, processorTime() - before);
      longest = Math.max(longest, busy);
      total += busy;
      turns++;
      if (done?.()) break;
      if (performance.now() > until) throw new Error("The rig does not come to rest");
    }
    return { longest, total, turns };
  }

  /** Whether QEMU is connected. */
  get alive(): boolean {
    return !this.#qemu.closed;
  }

  /** Disconnects every client. */
  async close(): Promise<void> {
    this.#qemu.hangUp();
    for (const socket of this.#allowance.sockets) socket.hangUp();
    await this.run();
    await Promise.all(this.#running);
  }
}

/** Returns the processor time of this process in milliseconds, over all processors. */
function processorTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Resolves when the event loop has yielded. */
function nextPass(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/**
 * A Mux with fake clients and a QEMU that the test plays.
 *
 * @module
 */

import { Mux } from "../../lib/hub/mux.ts";
import type { MuxOptions, Notices } from "../../lib/hub/mux_options.ts";
import type { Recording } from "../../lib/observe/observer.ts";
import type { Monitor } from "../../lib/session/monitor.ts";
import { EventFilter } from "../../lib/policy/event_filter.ts";
import { defaultLimits, type Limits } from "../../lib/policy/limits.ts";
import type { Role } from "../../lib/policy/policy.ts";
import { FULL } from "../../lib/policy/roles.ts";
import type { DialectName, Grant } from "../../lib/policy/admission.ts";
import { MessageSplitter } from "../../lib/wire/message_splitter.ts";
import { FrameSplitter } from "../../lib/wire/frame.ts";
import { FakePeer } from "./fake_peer.ts";

const ENCODER = new TextEncoder();

/** The greeting of the QEMU on stage. */
export const GREETING = '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, ' +
  '"package": ""}, "capabilities": ["oob"]}}';

/** Returns a grant with defaults for the parts that a test does not use. */
export function grant(
  {
    name = "stage",
    role = FULL,
    dialect = "qmp",
    events,
    caches = true,
    joins = true,
    limits = {},
  }: {
    name?: string;
    role?: Role;
    dialect?: DialectName;
    events?: readonly string[] | undefined;
    caches?: boolean;
    joins?: boolean;
    limits?: Partial<Limits>;
  } = {},
): Grant {
  const filter = events && new EventFilter(events);
  const all = { ...defaultLimits(role.name), ...limits };
  return { name, role, dialect, events: filter, caches, joins, limits: all };
}

/**
 * Returns settings of the hub with defaults for those that a test does not use; the time of day
 * stands still.
 */
export function options(more: Partial<MuxOptions> = {}): MuxOptions {
  const timeOfDay = (): number => 1.5;
  return {
    vm: "vm1",
    version: "1.2.3",
    handshakeTime: 60,
    onLoss: "close",
    stallTime: 10,
    deadlines: [],
    timeOfDay,
    ...more,
  };
}

/** Notices of a hub that are ignored, except errors, which fail the test. */
export const STRICT_NOTICES: Notices = {
  ready: () => {},
  lost: () => {},
  idle: () => {},
  reload: () => {},
  stalled: () => {},
  failed: (_, error) => {
    throw error;
  },
};

/** A client on stage: its bytes are read as fast as its monitor allows. */
export class StageClient {
  readonly peer = new FakePeer();
  readonly monitor: Monitor;
  readonly #mux: Mux;
  #splitter: FrameSplitter | undefined;
  #unread = "";

  constructor(mux: Mux, clientTerms: Grant) {
    this.#mux = mux;
    this.monitor = mux.attach(this.peer, clientTerms);
  }

  /** Sends text; bytes that may not be read yet are queued. */
  say(text: string): void {
    this.#unread += text;
    this.read();
  }

  /** Reads the bytes that have been sent. */
  read(): void {
    for (;;) {
      while (!this.peer.paused && this.#splitter) {
        const input = this.#splitter.next();
        if (input === undefined) break;
        this.#mux.received(this.monitor, input);
      }
      if (this.peer.paused || this.#unread === "") return;
      this.#splitter ??= new FrameSplitter(this.monitor.grammar);
      this.#splitter.limit = this.monitor.grant.limits["max-command"];
      this.#splitter.load(ENCODER.encode(this.#unread));
      this.#unread = "";
    }
  }

  /** Disconnects. */
  leave(): void {
    this.#mux.detached(this.monitor);
  }
}

/** The whole stage. */
export class Stage {
  readonly mux: Mux;
  readonly clients = new Map<string, StageClient>();
  /** The connection to QEMU. */
  qemu = new FakePeer();
  readonly notices: string[] = [];
  /** Whether internal errors of the hub are recorded; otherwise they fail the test. */
  containsErrors = false;
  /** The problems that a reload reports. */
  reloadProblems: readonly string[] = [];
  /** Reloads the settings; a test may delay it. */
  reloads = (done: (problems: readonly string[]) => void): void => done(this.reloadProblems);
  #splitter = new MessageSplitter();
  #nonce = 1000;

  constructor(
    handshakeTime = 60,
    { recording, ...more }: Partial<MuxOptions> & { recording?: Recording } = {},
  ) {
    this.mux = new Mux(options({ handshakeTime, ...more }), {
      stalled: (stalled): void => void this.notices.push(stalled ? "stalled" : "answers"),
      ready: ({ version }): void => void this.notices.push(`ready ${version.join(".")}`),
      lost: (): void => void this.notices.push("lost"),
      idle: (): void => void this.notices.push("idle"),
      failed: (where, error, client): void => {
        if (!this.containsErrors) throw error;
        this.notices.push(`failed ${where}${client ? ` ${client}` : ""}: ${error}`);
      },
      reload: (done): void => this.reloads(done),
    }, recording);
  }

  /** Brings a connection to QEMU up, without a message. Returns our number for its negotiation. */
  qemuArrives(): string {
    this.qemu = new FakePeer();
    this.#splitter = new MessageSplitter();
    const nonce = String(++this.#nonce);
    this.mux.qemuArrived(this.qemu, nonce);
    return nonce;
  }

  /** Connects QEMU, which sends its greeting and negotiates. */
  qemuReady(greeting = GREETING): void {
    const nonce = this.qemuArrives();
    this.qemuSays(greeting);
    this.qemu.take();
    this.qemuSays(`{"return": {}, "id": ${nonce}}`);
  }

  /** Sends a message from QEMU with a line end. */
  qemuSays(text: string): void {
    this.#splitter.load(ENCODER.encode(`${text}\r\n`));
    for (let input = this.#splitter.next(); input; input = this.#splitter.next()) {
      this.mux.answered(input);
      if ("damage" in input) break;
    }
    for (const client of this.clients.values()) client.read();
  }

  /** Closes the connection to QEMU. */
  qemuGoes(reason = "QEMU disconnected"): void {
    this.mux.qemuLeft(reason);
  }

  /** Connects a client. */
  connect(name: string, clientTerms: Grant = grant()): StageClient {
    const client = new StageClient(this.mux, clientTerms);
    this.clients.set(name, client);
    return client;
  }

  /** Connects a client that negotiates; its lines so far are dropped. */
  ready(name: string, capabilities: readonly string[] = []): StageClient {
    const client = this.connect(name);
    const enable = JSON.stringify({ enable: capabilities });
    client.say(`{"execute":"qmp_capabilities","arguments":${enable}}`);
    client.peer.take();
    return client;
  }
}

/**
 * The interface to systemd.
 *
 * The environment variables have the address for notifications, the timeout of the
 * watchdog, and the listening sockets that systemd has opened. Notifications are
 * datagrams of `NAME=value` lines. If one cannot be sent, the daemon continues.
 *
 * @module
 */

import { withTimeout } from "./clock.ts";
import { Failure } from "./failure.ts";
import type { Log } from "./log.ts";
import { IS_OLDER_DENO } from "./runtime.ts";

/** The descriptor of the first passed socket, after the three standard streams. */
const FIRST_PASSED = 3;

/** The limit of passed sockets. */
const PASSED_LIMIT = 4096;

/** The name of a socket in the descriptor store: an inode and a path. */
const STORED_NAME = /^\d+ ./;

/** The name of a socket passed without names, as in libsystemd. */
const UNNAMED = "unknown";

/** The time to send the last notification at exit. */
const FAREWELL_MS = 1000;

const ENCODER = new TextEncoder();

/** The environment of a service. */
export interface ServiceEnvironment {
  /** The address for notifications: a path, or `@name` for an abstract socket. */
  readonly notifySocket: string | undefined;
  /** The timeout of the watchdog in milliseconds. */
  readonly watchdogMs: number | undefined;
  /** The passed sockets. */
  readonly sockets: PassedSockets;
}

/**
 * Reads the environment; the permission for it may be dropped afterwards.
 *
 * @param get returns a variable
 * @param pid the process that the variables must name
 */
export function readServiceEnvironment(
  get: (name: string) => string | undefined = (name) => Deno.env.get(name),
  pid = Deno.pid,
): ServiceEnvironment {
  const usec = numberOf(get("WATCHDOG_USEC"));
  const watched = get("WATCHDOG_PID");
  const isOurs = watched === undefined || watched === String(pid);
  return {
    notifySocket: get("NOTIFY_SOCKET") || undefined,
    watchdogMs: isOurs && usec !== undefined ? usec / 1000 : undefined,
    sockets: new PassedSockets(
      { fds: get("LISTEN_FDS"), pid: get("LISTEN_PID"), names: get("LISTEN_FDNAMES") },
      pid,
    ),
  };
}

/** Returns a number above 0, if the text is one. */
function numberOf(text: string | undefined): number | undefined {
  return text !== undefined && /^[1-9]\d{0,14}$/.test(text) ? Number(text) : undefined;
}

/** The listening sockets that this process was started with, by name. */
export class PassedSockets {
  readonly #numbers = new Map<string, number[]>();
  /** The sockets from the descriptor store; their names begin with the inode of a file. */
  #stored = new Map<string, number>();
  readonly #taken = new Set<string>();
  /** The reason why there are no sockets, for people. */
  #because = "systemd passed no sockets; start qmpmux through a socket unit";

  /** Reads `LISTEN_FDS`, `LISTEN_PID` and `LISTEN_FDNAMES`. */
  constructor(
    given: { fds?: string | undefined; pid?: string | undefined; names?: string | undefined },
    pid: number,
  ) {
    const count = numberOf(given.fds);
    if (count === undefined) return;
    if (given.pid !== String(pid)) {
      this.#because = `the sockets were passed to process ${given.pid ?? "(none)"} (LISTEN_PID), ` +
        `but this is ${pid}; let systemd start qmpmux itself`;
      return;
    }
    const names = given.names?.split(":") ?? [];
    for (let i = 0; i < Math.min(count, PASSED_LIMIT); i++) {
      const name = names[i] || UNNAMED;
      if (STORED_NAME.test(name)) {
        this.#stored.set(name, FIRST_PASSED + i);
        continue;
      }
      const numbers = this.#numbers.get(name) ?? [];
      this.#numbers.set(name, [...numbers, FIRST_PASSED + i]);
    }
  }

  /**
   * Returns the descriptor of the socket with a name.
   *
   * @throws Failure if no socket or several have this name, or if it was returned before
   */
  take(name: string): number {
    const numbers = this.#numbers.get(name) ?? [];
    const [number] = numbers;
    const refused = (reason: string): Failure => new Failure(78, `fd:${name}: ${reason}`);
    if (number === undefined) {
      const names = [...this.#numbers.keys()].join(", ");
      if (names === "") throw refused(this.#because);
      throw refused(
        `systemd passed no socket of this name, but ${names}; correct FileDescriptorName=`,
      );
    }
    if (numbers.length > 1) {
      throw refused(
        `systemd passed ${numbers.length} sockets of this name; ` +
          "give each a socket unit and a FileDescriptorName= of its own",
      );
    }
    if (this.#taken.has(name)) {
      throw refused("the socket has been used and closed; restart qmpmux to use it again");
    }
    this.#taken.add(name);
    return number;
  }

  /** Whether there are sockets from the descriptor store that nobody has taken. */
  get hasStored(): boolean {
    return this.#stored.size > 0;
  }

  /** Returns the descriptors of the sockets from the descriptor store by name, once. */
  takeStored(): ReadonlyMap<string, number> {
    const stored = this.#stored;
    this.#stored = new Map();
    return stored;
  }

  /** The names of the sockets that are not used. */
  get untaken(): string[] {
    return [...this.#numbers.keys()].filter((name) => !this.#taken.has(name));
  }
}

/** A sender of notifications to systemd; does nothing without an address. */
export class Notifier {
  readonly #log: Log;
  readonly #to: Deno.UnixAddr | undefined;
  #socket: Deno.DatagramConn | undefined;
  /** The values to send next; a newer value replaces an older one. */
  readonly #queue = new Map<string, string>();
  #sending: Promise<void> | undefined;
  #status = "";
  #ready = false;
  #stopping = false;
  #failed = false;

  /**
   * Opens the socket that notifications are sent from.
   *
   * @param notifySocket as in {@linkcode ServiceEnvironment}
   */
  constructor(notifySocket: string | undefined, log: Log) {
    this.#log = log;
    if (notifySocket === undefined) return;
    if (!/^[/@]./.test(notifySocket)) {
      this.#fail(`${notifySocket} is neither a path nor an abstract socket`);
      return;
    }
    this.#to = { transport: "unixpacket", path: notifySocket.replace(/^@/, "\0") };
    try {
      this.#socket = openDatagram();
    } catch (error) {
      this.#fail((error as Error).message);
    }
  }

  /** Whether notifications are sent. */
  get active(): boolean {
    return this.#socket !== undefined;
  }

  /** Notifies that the daemon is ready. */
  ready(): void {
    this.#ready = true;
    this.#notify("READY", "1");
  }

  /** Notifies that the daemon has begun to reload its settings. */
  reloading(): void {
    if (this.#ready) this.#notify("RELOADING", "1");
  }

  /** Notifies that the reload has finished, if the daemon was ready before. */
  reloaded(): void {
    if (this.#ready) this.#notify("READY", "1");
  }

  /** Notifies that the daemon is about to exit. */
  stopping(): void {
    if (!this.#stopping) this.#notify("STOPPING", "1");
    this.#stopping = true;
  }

  /** Notifies the watchdog that the daemon is alive. */
  alive(): void {
    this.#notify("WATCHDOG", "1");
  }

  /** Sends the status text for `systemctl status`, if it has changed. */
  status(text: string): void {
    if (text === this.#status) return;
    this.#status = text;
    this.#notify("STATUS", text);
  }

  /** Sends the queued notifications, within a short time, then closes. */
  async close(): Promise<void> {
    if (this.#sending) await withTimeout(FAREWELL_MS, this.#sending, undefined);
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
  }

  #notify(name: string, value: string): void {
    if (!this.active) return;
    // The order matters: the last of READY, RELOADING and STOPPING in a datagram counts.
    this.#queue.delete(name);
    this.#queue.set(name, value);
    this.#sending ??= this.#sendAll();
  }

  async #sendAll(): Promise<void> {
    try {
      // Notifications queued later in this turn are part of the same datagram.
      await undefined;
      while (this.#queue.size > 0 && this.#socket !== undefined) {
        const lines = [...this.#queue].map(([name, value]) => `${name}=${value}`);
        this.#queue.clear();
        await this.#send(this.#socket, ENCODER.encode(lines.join("\n")));
      }
    } finally {
      this.#sending = undefined;
    }
  }

  async #send(socket: Deno.DatagramConn, bytes: Uint8Array): Promise<void> {
    try {
      await socket.send(bytes, this.#to!);
    } catch (error) {
      // `close` has timed out and closed the socket.
      if (this.#socket === undefined) return;
      this.#fail((error as Error).message);
    }
  }

  /** Logs the first failure; later notifications are still tried. */
  #fail(reason: string): void {
    if (!this.#failed) this.#log.warn(`systemd cannot be notified: ${reason}`);
    this.#failed = true;
  }
}

/**
 * Opens a socket to send datagrams from.
 *
 * An older Deno requires a path for it. The file is removed at once, as no replies are
 * expected.
 */
export function openDatagram(): Deno.DatagramConn {
  if (typeof Deno.listenDatagram !== "function") {
    throw new Error("Deno was started without --unstable-net");
  }
  const place = IS_OLDER_DENO ? Deno.makeTempDirSync({ prefix: "qmpmux-" }) : undefined;
  try {
    return Deno.listenDatagram(
      { transport: "unixpacket", ...(place && { path: `${place}/notify` }) } as
        & Deno.UnixListenOptions
        & { transport: "unixpacket" },
    );
  } finally {
    if (place !== undefined) Deno.removeSync(place, { recursive: true });
  }
}

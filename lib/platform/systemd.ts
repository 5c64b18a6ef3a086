/**
 * What systemd says at the start, and what it is told later.
 *
 * It says so in the environment: where notifications go, how often it wants a
 * sign of life, which listening sockets it has opened. It is told in datagrams
 * of `NAME=value` lines; one that cannot be sent never ends the daemon.
 *
 * @module
 */

import { withTimeout } from "./clock.ts";
import { Failure } from "./failure.ts";
import type { Log } from "./log.ts";
import { IS_OLDER_DENO } from "./runtime.ts";

/** Passed sockets are numbered from here, behind the three standard streams. */
const FIRST_PASSED = 3;

/** More than these nobody passes. */
const PASSED_LIMIT = 1024;

/** The name of a socket passed without names, as libsystemd has it. */
const UNNAMED = "unknown";

/** How long the last notification may take at the end. */
const FAREWELL_MS = 1000;

const ENCODER = new TextEncoder();

/** What the environment says. */
export interface ServiceEnvironment {
  /** Where notifications go: a path, or `@name` for an abstract socket. */
  readonly notifySocket: string | undefined;
  /** Milliseconds after which a daemon without a sign of life is ended. */
  readonly watchdogMs: number | undefined;
  /** The listening sockets. */
  readonly sockets: PassedSockets;
}

/**
 * Reads the environment, once: the permission to do so may be given up afterwards.
 *
 * @param get gives a variable
 * @param pid is the process they must be meant for
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

/** A number above 0, where it is one. */
function numberOf(text: string | undefined): number | undefined {
  return text !== undefined && /^[1-9]\d{0,14}$/.test(text) ? Number(text) : undefined;
}

/** The listening sockets this process was started with, by name. */
export class PassedSockets {
  readonly #numbers = new Map<string, number[]>();
  readonly #taken = new Set<string>();
  /** Why there are none. */
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
      const numbers = this.#numbers.get(name) ?? [];
      this.#numbers.set(name, [...numbers, FIRST_PASSED + i]);
    }
  }

  /**
   * The descriptor of the socket of this name.
   *
   * @throws Failure where there is not exactly one, or it has been taken before
   */
  take(name: string): number {
    const numbers = this.#numbers.get(name) ?? [];
    const [number] = numbers;
    if (number === undefined) {
      const names = [...this.#numbers.keys()].join(", ");
      throw new Failure(
        78,
        `fd:${name}: ` +
          (names === ""
            ? this.#because
            : `systemd passed no socket of this name, but ${names}; correct FileDescriptorName=`),
      );
    }
    if (numbers.length > 1) {
      throw new Failure(
        78,
        `fd:${name}: systemd passed ${numbers.length} sockets of this name; ` +
          "give each a socket unit and a FileDescriptorName= of its own",
      );
    }
    if (this.#taken.has(name)) {
      throw new Failure(
        78,
        `fd:${name}: the socket has been used and closed; restart qmpmux to use it again`,
      );
    }
    this.#taken.add(name);
    return number;
  }

  /** The names of those that nobody has taken. */
  get untaken(): string[] {
    return [...this.#numbers.keys()].filter((name) => !this.#taken.has(name));
  }
}

/** Tells systemd how the daemon is; without a place to tell it, does nothing. */
export class Notifier {
  readonly #log: Log;
  readonly #to: Deno.UnixAddr | undefined;
  #socket: Deno.DatagramConn | undefined;
  /** What is to be told next; a newer value takes the place of an older one. */
  readonly #untold = new Map<string, string>();
  #telling: Promise<void> | undefined;
  #status = "";
  #ready = false;
  #stopping = false;
  #failed = false;

  /**
   * Opens what notifications are sent from.
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

  /** Can anything be told? */
  get active(): boolean {
    return this.#socket !== undefined;
  }

  /** The daemon does its work. */
  ready(): void {
    this.#ready = true;
    this.#tell("READY", "1");
  }

  /** The daemon reads its settings again; `reloaded` tells when it has. */
  reloading(): void {
    if (this.#ready) this.#tell("RELOADING", "1");
  }

  /** It has; one that was not ready before is not ready now. */
  reloaded(): void {
    if (this.#ready) this.#tell("READY", "1");
  }

  /** The daemon is about to end. */
  stopping(): void {
    if (!this.#stopping) this.#tell("STOPPING", "1");
    this.#stopping = true;
  }

  /** The daemon's own loop runs. */
  alive(): void {
    this.#tell("WATCHDOG", "1");
  }

  /** How it is, in a few words for `systemctl status`; told where it has changed. */
  status(text: string): void {
    if (text === this.#status) return;
    this.#status = text;
    this.#tell("STATUS", text);
  }

  /** Waits until all has been told, but not for long, and closes. */
  async close(): Promise<void> {
    if (this.#telling) await withTimeout(FAREWELL_MS, this.#telling, undefined);
    this.#hangUp();
  }

  #tell(name: string, value: string): void {
    if (!this.active) return;
    // Of READY, RELOADING and STOPPING the last in a datagram counts.
    this.#untold.delete(name);
    this.#untold.set(name, value);
    this.#telling ??= this.#tellAll();
  }

  async #tellAll(): Promise<void> {
    try {
      // What else this turn has to tell goes into the same datagram.
      await undefined;
      while (this.#untold.size > 0 && this.#socket !== undefined) {
        const lines = [...this.#untold].map(([name, value]) => `${name}=${value}`);
        this.#untold.clear();
        await this.#send(this.#socket, ENCODER.encode(lines.join("\n")));
      }
    } finally {
      this.#telling = undefined;
    }
  }

  async #send(socket: Deno.DatagramConn, bytes: Uint8Array): Promise<void> {
    try {
      await socket.send(bytes, this.#to!);
    } catch (error) {
      // At the end it is closed without waiting any longer.
      if (this.#socket === undefined) return;
      this.#fail((error as Error).message);
    }
  }

  /** Says so once; what comes next is tried all the same, as nothing may be wrong then. */
  #fail(reason: string): void {
    if (!this.#failed) this.#log.warn(`systemd cannot be notified: ${reason}`);
    this.#failed = true;
  }

  #hangUp(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
  }
}

/**
 * A socket to send datagrams from.
 *
 * An older Deno requires a path for it. Its file is removed at once, as nobody
 * is to answer.
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

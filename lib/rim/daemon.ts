/**
 * The daemon: one QEMU, its listeners, the clients, the clock and the signals.
 *
 * @module
 */

import { Mux } from "../hub/mux.ts";
import { addressText } from "../terms/address.ts";
import type { ServeSettings } from "../terms/options.ts";
import type { Greeting } from "../wire/message.ts";
import { Client } from "./client.ts";
import { type ExitStatus, Failure } from "./failure.ts";
import { Listener } from "./listener.ts";
import type { Log } from "./log.ts";
import { surrender } from "./permissions.ts";
import { checkPlace, dial, Pauses, Qemu } from "./qemu.ts";

const TICK_MS = 1000;
const STOP_SIGNALS = ["SIGTERM", "SIGINT"] as const;

/**
 * Serves until it is told to end.
 *
 * @throws Failure where it cannot
 */
export async function serve(settings: ServeSettings, log: Log): Promise<ExitStatus> {
  const daemon = new Daemon(settings, log);
  return await daemon.run();
}

class Daemon {
  readonly #settings: ServeSettings;
  readonly #log: Log;
  readonly #mux: Mux;
  readonly #clients = new Set<Client>();
  readonly #running = new Set<Promise<void>>();
  /** Told when it is time to end. */
  readonly #stop = new AbortController();
  /** Told when it is time to end at once. */
  readonly #now = new AbortController();
  /** Told when draining has come to its end. */
  readonly #idle = Promise.withResolvers<void>();
  #failed: unknown;
  /** Has a QEMU ever been ready? */
  #served = false;

  constructor(settings: ServeSettings, log: Log) {
    this.#settings = settings;
    this.#log = log;
    this.#mux = new Mux({ handshakeTime: settings.handshakeTime }, {
      ready: (greeting) => this.#ready(greeting),
      idle: () => this.#idle.resolve(),
    });
  }

  async run(): Promise<ExitStatus> {
    checkPlace(this.#settings.qemu);
    using listeners = new DisposableStack();
    using _signals = this.#signals();
    const began = performance.now();
    for (const listenerSettings of this.#settings.listeners) {
      const listener = listeners.use(await Listener.open(listenerSettings));
      this.#log.info(`listening on ${listener.address} (${listenerSettings.terms.dialect})`);
      this.#keep(listener.accept((socket) => this.#accept(socket, listener), this.#log));
    }
    await surrender(this.#settings);
    const clock = setInterval(() => this.#tick((performance.now() - began) / 1000), TICK_MS);
    try {
      await this.#serveQemus();
    } finally {
      clearInterval(clock);
      listeners.dispose();
      this.#mux.dismissAll("qmpmux is ending");
      await this.#lastWords();
    }
    if (this.#failed !== undefined) throw this.#failed;
    return 0;
  }

  /** One QEMU after the other. */
  async #serveQemus(): Promise<void> {
    const { qemu: address, once } = this.#settings;
    const stop = this.#stop.signal;
    const pauses = new Pauses();
    let told = "";
    for (;;) {
      const socket = await dial(address, pauses, this.#log, stop);
      if (socket === undefined) return;
      const qemu = new Qemu(socket, this.#mux);
      const { ready, reason } = await this.#hearOut(qemu);
      if (stop.aborted) return;
      if (!this.#served) this.#judge(qemu, reason);
      if (ready || reason !== told) this.#log.info(`${addressText(address)}: ${reason}`);
      told = ready ? "" : reason;
      if (ready && once) return;
      if (ready) pauses.reset();
      else await pauses.take(stop);
    }
  }

  /** @throws Failure where what answered is no QEMU; one that just went away is waited for */
  #judge(qemu: Qemu, reason: string): void {
    const text = addressText(this.#settings.qemu);
    if (qemu.damage !== undefined) {
      throw new Failure(
        69,
        `${text} is no QMP server: it said ${JSON.stringify(qemu.damage)}; ` +
          "name a socket that QEMU was given with -qmp",
      );
    }
    if (reason === SILENCE) {
      throw new Failure(
        69,
        `${text} sent no QMP greeting within ${this.#settings.greetingTime} s: it is no QMP server, ` +
          "or another client holds QEMU's monitor, which serves one at a time; end that client",
      );
    }
  }

  /** Lets QEMU talk until it goes, is told to go, or does not even greet. */
  async #hearOut(qemu: Qemu): Promise<{ ready: boolean; reason: string }> {
    let ready = false;
    this.#onReady = () => ready = true;
    const silence = setTimeout(() => {
      if (!ready) qemu.close(qemu.heard ? UNFINISHED : SILENCE);
    }, this.#settings.greetingTime * 1000);
    const drain = () => this.#keep(this.#drain(qemu));
    this.#stop.signal.addEventListener("abort", drain);
    try {
      if (this.#stop.signal.aborted) drain();
      const reason = await qemu.run();
      return { ready, reason };
    } finally {
      clearTimeout(silence);
      this.#stop.signal.removeEventListener("abort", drain);
    }
  }

  #onReady: () => void = () => {};

  #ready({ version }: Greeting): void {
    this.#served = true;
    this.#onReady();
    this.#log.info(`connected to QEMU ${version.join(".")} at ${addressText(this.#settings.qemu)}`);
  }

  /** Lets what is under way finish, then hangs up. */
  async #drain(qemu: Qemu): Promise<void> {
    const timer = setTimeout(() => this.#now.abort(), this.#settings.drainTime * 1000);
    const late = () => this.#idle.resolve();
    this.#now.signal.addEventListener("abort", late);
    if (this.#now.signal.aborted) late();
    this.#mux.drain();
    await this.#idle.promise;
    clearTimeout(timer);
    this.#now.signal.removeEventListener("abort", late);
    qemu.close("qmpmux is ending");
  }

  #accept(socket: Deno.Conn, { settings }: Listener): void {
    if (settings.address.transport === "tcp") (socket as Deno.TcpConn).setNoDelay(true);
    const client = new Client(socket, this.#mux, settings.terms, this.#log);
    this.#clients.add(client);
    this.#keep(client.run().finally(() => this.#clients.delete(client)));
  }

  #tick(now: number): void {
    this.#mux.tick(now);
    for (const client of this.#clients) client.tick(now);
  }

  /** Owns a promise: what it throws ends the daemon. */
  #keep(promise: Promise<void>): void {
    const kept = promise.catch((error) => {
      this.#failed ??= error;
      this.#stop.abort();
      this.#now.abort();
    }).finally(() => this.#running.delete(kept));
    this.#running.add(kept);
  }

  /** Waits for the clients to read what is left for them. */
  async #lastWords(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  #signals(): Disposable {
    const stop = () => {
      if (this.#stop.signal.aborted) this.#now.abort();
      this.#stop.abort();
    };
    for (const signal of STOP_SIGNALS) Deno.addSignalListener(signal, stop);
    return {
      [Symbol.dispose](): void {
        for (const signal of STOP_SIGNALS) Deno.removeSignalListener(signal, stop);
      },
    };
  }
}

const SILENCE = "QEMU sent no greeting";
const UNFINISHED = "QEMU has greeted, but does not finish the negotiation";

/**
 * Metrics for whoever asks: `GET /metrics`, and nothing else.
 *
 * The little of HTTP/1.1 that this takes is below: one request a connection,
 * small, in time, and from few at once.
 *
 * @module
 */

import type { ListenerSettings } from "../terms/listener_settings.ts";
import { Connection, type Marks, type Stream } from "./connection.ts";
import { Listener, type TakePassed } from "./listener.ts";
import type { Log } from "./log.ts";

/** Longer requests are none of a scraper's. */
const REQUEST_CHARS_LIMIT = 8192;

/** How long a request and its answer may take together. */
const PATIENCE_MS = 10_000;

/** So many may ask at once; one more is closed. */
const ASKERS_LIMIT = 16;

const MARKS: Marks = { soft: Infinity, hard: 64 << 20, patience: Infinity };

const ENCODER = new TextEncoder();

/** Answers with what `render` gives. */
export class MetricsServer implements Disposable {
  readonly #listener: Listener;
  readonly #render: () => string;
  readonly #askers = new Map<Connection, Promise<void>>();

  private constructor(listener: Listener, render: () => string) {
    this.#listener = listener;
    this.#render = render;
  }

  /**
   * Begins to listen.
   *
   * @param take finds passed sockets
   * @throws Failure where the address is taken or cannot be listened on
   */
  static async open(
    settings: ListenerSettings,
    render: () => string,
    take?: TakePassed,
  ): Promise<MetricsServer> {
    return new MetricsServer(await Listener.open(settings, take), render);
  }

  /** The address it really has. */
  get address(): string {
    return this.#listener.address;
  }

  /** Answers until it is closed; resolves when the last asker has gone. */
  async run(log: Log): Promise<void> {
    await this.#listener.accept((socket) => this.#accept(socket), log);
    await Promise.all(this.#askers.values());
  }

  /** Stops listening, and hangs up. */
  [Symbol.dispose](): void {
    this.#listener[Symbol.dispose]();
    for (const asker of this.#askers.keys()) asker.end();
  }

  #accept(socket: Stream): void {
    if (this.#askers.size >= ASKERS_LIMIT) return socket.close();
    const asker = new Connection(socket, MARKS, {
      dropped: () => {},
      relieved: () => {},
      failed: () => {},
    });
    this.#askers.set(asker, this.#serve(asker).finally(() => this.#askers.delete(asker)));
  }

  async #serve(asker: Connection): Promise<void> {
    const late = setTimeout(() => asker.end(), PATIENCE_MS);
    const decoder = new TextDecoder();
    let request = "";
    try {
      await asker.read((chunk) => {
        request += decoder.decode(chunk, { stream: true });
        const isWhole = /\r?\n\r?\n/.test(request);
        if (!isWhole && request.length < REQUEST_CHARS_LIMIT) return undefined;
        asker.send(ENCODER.encode(answerTo(isWhole ? request : "", this.#render)));
        asker.close();
        return undefined;
      });
      // It has ended its side without a whole request.
      if (!asker.closing) asker.end();
      await asker.over;
    } finally {
      clearTimeout(late);
    }
  }
}

/** The answer to a request. */
export function answerTo(request: string, render: () => string): string {
  const [, method, target] = /^([A-Z]+) (\S+) HTTP\/1\.\d\r?\n/.exec(request) ?? [];
  if (method === undefined || target === undefined) return answer("400 Bad Request", "no request");
  if (target.replace(/\?.*$/, "") !== "/metrics") {
    return answer("404 Not Found", "only /metrics is here");
  }
  if (method !== "GET" && method !== "HEAD") {
    return answer("405 Method Not Allowed", "only GET", ["Allow: GET, HEAD"]);
  }
  const whole = answer("200 OK", render(), ["Cache-Control: no-store"], PROMETHEUS);
  return method === "HEAD" ? whole.slice(0, whole.indexOf("\r\n\r\n") + 4) : whole;
}

const PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8";

function answer(
  status: string,
  text: string,
  headers: readonly string[] = [],
  type = "text/plain; charset=utf-8",
): string {
  const body = text.endsWith("\n") ? text : `${text}\n`;
  const head = [
    `HTTP/1.1 ${status}`,
    `Content-Type: ${type}`,
    `Content-Length: ${ENCODER.encode(body).length}`,
    ...headers,
    "Connection: close",
  ];
  return `${head.join("\r\n")}\r\n\r\n${body}`;
}

/**
 * An HTTP server for metrics: `GET /metrics`, and nothing else.
 *
 * It implements only the necessary part of HTTP/1.1: one small request per connection,
 * within a timeout, and few connections at a time.
 *
 * @module
 */

import { isLocal } from "../policy/address.ts";
import { Connection, type Marks } from "../platform/connection.ts";
import type { Stream } from "../platform/stream.ts";
import type { Listener } from "../platform/listener.ts";
import type { Log } from "../platform/log.ts";

/** The limit of a request; those of Prometheus are shorter. */
const REQUEST_CHARS_LIMIT = 8192;

/** The timeout of a request and its response. */
const PATIENCE_MS = 10_000;

/** The limit of connections; more are closed. */
const ASKERS_LIMIT = 16;

const MARKS: Marks = { soft: Infinity, hard: 64 << 20, patience: Infinity };

const ENCODER = new TextEncoder();

/** A function that returns a text, as parts of it. */
export type Render = () => Promise<readonly Uint8Array[]>;

/** A server that responds with the text that `render` returns. */
export class MetricsServer implements Disposable {
  readonly #listener: Listener;
  readonly #render: Render;
  /** The text that is being rendered, for all clients that have asked meanwhile. */
  #rendering: ReturnType<Render> | undefined;
  /** The host names it accepts, besides those of this host; `undefined` accepts any. */
  readonly #hosts: () => readonly string[] | undefined;
  readonly #askers = new Map<Connection, Promise<void>>();

  /**
   * Creates a server for a listener.
   *
   * @param hosts returns the host names that requests may use, besides those of this host. Clients
   * of a unix socket do not connect by name, so there an empty list allows any.
   */
  constructor(listener: Listener, render: Render, hosts: () => readonly string[]) {
    this.#listener = listener;
    this.#render = render;
    this.#hosts = () => listener.isTcp || hosts().length > 0 ? hosts() : undefined;
  }

  /** The address, with its real port. */
  get address(): string {
    return this.#listener.address;
  }

  /** Serves requests until it is closed; resolves when the last client has disconnected. */
  async run(log: Log): Promise<void> {
    await this.#listener.accept((socket) => this.#accept(socket), log);
    await Promise.all(this.#askers.values());
  }

  /** Stops listening and disconnects its clients. */
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

  async #answer(asker: Connection, request: string): Promise<void> {
    const render = (): ReturnType<Render> =>
      this.#rendering ??= this.#render().finally(() => this.#rendering = undefined);
    const parts = await answerTo(request, render, this.#hosts());
    // It may have left, or have asked for too long.
    if (asker.closing) return;
    for (const part of parts) asker.send(part);
    asker.close();
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
        return this.#answer(asker, isWhole ? request : "");
      });
      // The client has ended its stream without a complete request.
      if (!asker.closing) asker.end();
      await asker.over;
    } finally {
      clearTimeout(late);
    }
  }
}

/**
 * Returns the response to a request, as parts of it.
 *
 * @param hosts the accepted host names, besides those of this host; `undefined` accepts any
 */
export async function answerTo(
  request: string,
  render: Render,
  hosts?: readonly string[],
): Promise<readonly Uint8Array[]> {
  const [, method, target] = /^([A-Z]+) (\S+) HTTP\/1\.\d\r?\n/.exec(request) ?? [];
  if (method === undefined || target === undefined) return answer("400 Bad Request", "no request");
  if (hosts !== undefined && !isFor(request, hosts)) {
    return answer(
      "403 Forbidden",
      "the request names another host; use localhost, 127.0.0.1 or [::1], " +
        "or allow the name with --metrics-host",
    );
  }
  if (target.replace(/\?.*$/, "") !== "/metrics") {
    return answer("404 Not Found", "not found; ask for /metrics");
  }
  if (method !== "GET" && method !== "HEAD") {
    return answer("405 Method Not Allowed", "use GET or HEAD", ["Allow: GET, HEAD"]);
  }
  const parts = await render();
  const head = headOf("200 OK", parts, ["Cache-Control: no-store"], PROMETHEUS);
  return method === "HEAD" ? [head] : [head, ...parts];
}

/** A `Host:` header, with its host captured. */
const HOST_HEADER = /^host:[ \t]*(\[[0-9a-f:.]+\]|[\w.-]+)(?::\d{1,5})?[ \t]*$/i;

/**
 * Returns whether the `Host:` header of a request names this host, or one of the given names.
 *
 * This protects against DNS rebinding: a web page can send requests here through its own domain
 * if that resolves to 127.0.0.1, but the header then has the name of that domain.
 */
function isFor(request: string, hosts: readonly string[]): boolean {
  const [, ...lines] = request.split(/\r?\n/);
  const headers = lines.slice(0, lines.indexOf("")).filter((line) => /^host[ \t]*:/i.test(line));
  const [, host] = HOST_HEADER.exec(headers[0] ?? "") ?? [];
  if (headers.length !== 1 || host === undefined) return false;
  const hostname = host.toLowerCase().replace(/^\[|\]$/g, "");
  return isLocal({ transport: "tcp", hostname, port: 0 }) ||
    hosts.some((name) => name.toLowerCase() === host.toLowerCase());
}

const PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8";

function answer(status: string, text: string, headers: readonly string[] = []): Uint8Array[] {
  const body = ENCODER.encode(`${text}\n`);
  return [headOf(status, [body], headers, "text/plain; charset=utf-8"), body];
}

function headOf(
  status: string,
  body: readonly Uint8Array[],
  headers: readonly string[],
  type: string,
): Uint8Array {
  const head = [
    `HTTP/1.1 ${status}`,
    `Content-Type: ${type}`,
    `Content-Length: ${body.reduce((sum, { length }) => sum + length, 0)}`,
    ...headers,
    "Connection: close",
  ];
  return ENCODER.encode(`${head.join("\r\n")}\r\n\r\n`);
}

/**
 * A client that passes descriptors, and distinguishable files to pass.
 *
 * @module
 */

import { Descriptors } from "../../lib/platform/descriptors.ts";
import { loadLibc } from "../../lib/platform/libc.ts";
import { FdSocket } from "../../lib/platform/unix_socket.ts";
import { within } from "./deadline.ts";
import { Lines } from "./lines.ts";

const ENCODER = new TextEncoder();
const LIBC = loadLibc();

const { symbols: MEMORY } = Deno.dlopen("libc.so.6", {
  memfd_create: { parameters: ["buffer", "u32"], result: "i32" },
  dup: { parameters: ["i32"], result: "i32" },
  socketpair: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
});

/** Creates a file in memory that `/proc` shows under this name; returns its descriptor. */
export function memoryFile(name: string): number {
  const descriptor = MEMORY.memfd_create(ENCODER.encode(`${name}\0`), 1);
  if (descriptor < 0) throw new Error(`No file in memory could be made for ${name}`);
  return descriptor;
}

/** Returns another descriptor of the same file. */
export function duplicate(descriptor: number): number {
  return MEMORY.dup(descriptor);
}

/** Returns the descriptors of two connected unix sockets. */
export function socketPair(): [number, number] {
  const pair = new Int32Array(32);
  // AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC
  if (MEMORY.socketpair(1, 0o2000001, 0, pair) !== 0) throw new Error("No sockets could be made");
  return [pair[0]!, pair[1]!];
}

/** Returns the names of the files in memory that a process has open, sorted. */
export function memoryFilesOf(pid: number): string[] {
  const names: string[] = [];
  for (const { name } of Deno.readDirSync(`/proc/${pid}/fd`)) {
    const target = linkAt(`/proc/${pid}/fd/${name}`);
    const found = /^\/memfd:(.*) \(deleted\)$/.exec(target ?? "")?.[1];
    if (found !== undefined) names.push(found);
  }
  return names.sort();
}

function linkAt(path: string): string | undefined {
  try {
    return Deno.readLinkSync(path);
  } catch (error) {
    // It has been closed since the list was read.
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Polls until a state is reached: no event announces what `/proc` shows. */
export async function eventually(what: string, so: () => boolean): Promise<void> {
  const looked = (async (): Promise<void> => {
    while (!so()) await new Promise((resolve) => setTimeout(resolve, 10));
  })();
  await within(what, looked);
}

/** One connection to a monitor, with descriptors. */
export class PassingClient implements Disposable {
  readonly #socket: FdSocket;
  readonly #conn: Deno.UnixConn;
  /** The descriptor of the client's end. */
  readonly number: number;
  readonly lines: Lines;

  private constructor(conn: Deno.UnixConn, number: number) {
    this.#socket = new FdSocket(conn, LIBC, number);
    this.#conn = conn;
    this.number = number;
    this.lines = new Lines(conn.readable);
  }

  /** Connects; nothing has been read yet. */
  static async connect(path: string): Promise<PassingClient> {
    const [connecting, number] = LIBC.connected(() => Deno.connect({ transport: "unix", path }));
    const conn = await connecting;
    if (number === undefined) throw new Error("It cannot be told which it is");
    return new PassingClient(conn, number);
  }

  /** Connects, reads the greeting and completes the negotiation. */
  static async ready(path: string, capabilities: readonly string[] = []): Promise<PassingClient> {
    const client = await PassingClient.connect(path);
    await client.line();
    const enable = JSON.stringify(capabilities);
    await client.ask(`{"execute":"qmp_capabilities","arguments":{"enable":${enable}}}`);
    return client;
  }

  /**
   * Sends text, and with it new files in memory with these names, or the descriptors with these
   * numbers.
   */
  async send(text: string, files: readonly (string | number)[] = []): Promise<void> {
    const bytes = ENCODER.encode(text);
    if (files.length === 0) {
      await this.#socket.write(bytes);
      return;
    }
    const numbers = files.map((file) =>
      typeof file === "string" ? memoryFile(file) : duplicate(file)
    );
    const fds = new Descriptors(LIBC, numbers);
    const sent = await this.#socket.writeWith(bytes, fds);
    if (sent < bytes.length) throw new Error("Only a part could be sent");
  }

  /** Returns the next line; @throws Error at the end of file */
  async line(): Promise<string> {
    const line = await this.lines.next();
    if (line === undefined) throw new Error("The monitor closed the connection");
    return line;
  }

  /** Sends a command with files, and returns the next line. */
  async ask(text: string, files: readonly (string | number)[] = []): Promise<string> {
    await this.send(text, files);
    return await this.line();
  }

  /** Sends `getfd` with a file of the same name. */
  async getfd(name: string, files: readonly (string | number)[] = [name]): Promise<string> {
    return await this.ask(`{"execute":"getfd","arguments":{"fdname":"${name}"}}`, files);
  }

  /** Sends `closefd`. */
  async closefd(name: string): Promise<string> {
    return await this.ask(`{"execute":"closefd","arguments":{"fdname":"${name}"}}`);
  }

  [Symbol.dispose](): void {
    try {
      this.#conn.close();
    } catch (error) {
      // Reading to the end of file has closed it.
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  }
}

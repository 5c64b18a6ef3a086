/**
 * A QMP client for tests, which sees every line and assumes nothing.
 *
 * @module
 */

import { Lines } from "./lines.ts";

const ENCODER = new TextEncoder();

/** One connection to a monitor. */
export class TestClient implements Disposable {
  readonly #socket: Deno.UnixConn | Deno.TcpConn;
  readonly lines: Lines;

  /** @param socket a connection from which nothing has been read */
  constructor(socket: Deno.UnixConn | Deno.TcpConn) {
    this.#socket = socket;
    this.lines = new Lines(socket.readable);
  }

  /** Connects; nothing has been read yet. */
  static async connect(path: string): Promise<TestClient> {
    return new TestClient(await Deno.connect({ transport: "unix", path }));
  }

  /** Connects, reads the greeting and ends the negotiation. */
  static async ready(path: string, capabilities: readonly string[] = []): Promise<TestClient> {
    const client = await TestClient.connect(path);
    await client.line();
    const reply = await client.ask({
      execute: "qmp_capabilities",
      arguments: { enable: capabilities },
    });
    if (reply !== '{"return": {}}') throw new Error(`qmp_capabilities was answered ${reply}`);
    return client;
  }

  /** Sends text, or a value as JSON. */
  async send(message: string | object): Promise<void> {
    const text = typeof message === "string" ? message : JSON.stringify(message);
    for (let bytes = ENCODER.encode(text); bytes.length > 0;) {
      bytes = bytes.subarray(await this.#socket.write(bytes));
    }
  }

  /** Sends a message to a monitor that may be closing; returns whether it was sent. */
  async trySend(message: string | object): Promise<boolean> {
    try {
      await this.send(message);
      return true;
    } catch (error) {
      // Reading to the end of file has closed our side as well.
      if (error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.BadResource) {
        return false;
      }
      throw error;
    }
  }

  /** Returns the next line; @throws Error at the end of file */
  async line(): Promise<string> {
    const line = await this.lines.next();
    if (line === undefined) throw new Error("The monitor closed the connection");
    return line;
  }

  /** Sends a command and returns the next line, which may be an event. */
  async ask(command: string | object): Promise<string> {
    await this.send(command);
    return await this.line();
  }

  /** Sends commands and returns that many lines. */
  async session(commands: string | object, lines: number): Promise<string[]> {
    await this.send(commands);
    const heard: string[] = [];
    while (heard.length < lines) heard.push(await this.line());
    return heard;
  }

  /** Ends our half of the stream. */
  async finish(): Promise<void> {
    await this.#socket.closeWrite();
  }

  [Symbol.dispose](): void {
    try {
      this.#socket.close();
    } catch (error) {
      // Reading to the end of file has closed it.
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  }
}

/** Returns an event's line without the parts that differ from run to run. */
export function undated(line: string): string {
  return line.replace(
    /^\{"timestamp": \{"seconds": \d+, "microseconds": \d+\}, /,
    '{"timestamp": …, ',
  );
}

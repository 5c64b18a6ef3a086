/**
 * The other end of a connection, with `node:net`, which Deno and Bun have too.
 *
 * @module
 */

import { type AddressInfo, createServer, type Server, type Socket } from "node:net";

/** A greeting. */
export const GREETING = '{"QMP": {"version": {}, "capabilities": []}}\r\n';

/** A server that says something to each that connects, and after each input. */
export class Peer {
  /** Its address. */
  readonly address: string;
  readonly #server: Server;
  readonly #sockets: ReadonlySet<Socket>;

  private constructor(server: Server, sockets: ReadonlySet<Socket>, address: string) {
    this.#server = server;
    this.#sockets = sockets;
    this.address = address;
  }

  /**
   * Listens.
   *
   * @param name a name for an abstract socket; without it, it has a TCP port
   * @param answer returns the next thing to say; `undefined` hangs up, `null` reads no more
   */
  static async listen(answer: () => string | undefined | null, name?: string): Promise<Peer> {
    const server = createServer();
    const sockets = new Set<Socket>();
    server.on("connection", (socket) => {
      sockets.add(socket);
      const say = (input = ""): void => {
        // Only a negotiation has an id of 15 digits. Its reply must have that id.
        const id = /"id":(\d{15})\}/.exec(input)?.[1];
        const text = id === undefined
          ? answer()
          : answer()?.replace('{"return": {}}', `{"return": {}, "id": ${id}}`);
        if (text === null) socket.pause();
        else if (text === undefined) socket.destroy();
        else socket.write(text);
      };
      socket.on("data", (input) => say(String(input)));
      // The other end may hang up at any time.
      socket.on("error", () => socket.destroy());
      socket.on("close", () => sockets.delete(socket));
      say();
    });
    await new Promise<void>((resolve, reject) => {
      server.on("error", reject);
      if (name === undefined) server.listen(0, "127.0.0.1", resolve);
      else server.listen(`\0${name}`, resolve);
    });
    const address = name === undefined
      ? `127.0.0.1:${(server.address() as AddressInfo).port}`
      : `unix-abstract:${name}`;
    return new Peer(server, sockets, address);
  }

  /** Stops listening. */
  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/**
 * A monitor that says anything.
 *
 * @module
 */

const ENCODER = new TextEncoder();

/** Bytes, as they are or as text. */
export type Said = string | Uint8Array<ArrayBuffer>;

/**
 * A monitor that greets, says some bytes in place of the answer to one command, and hangs up.
 *
 * All other commands return an empty object. It serves one client.
 */
export class Hostile implements AsyncDisposable {
  readonly #listener: Deno.Listener;
  readonly #served: Promise<void>;

  /**
   * Listens.
   *
   * @param asks the command; `greeting` says the bytes as the greeting, `event` behind the choice of events
   */
  constructor(path: string, asks: string, said: Said) {
    this.#listener = Deno.listen({ transport: "unix", path });
    this.#served = this.#serve(asks, said);
  }

  async #serve(asks: string, said: Said): Promise<void> {
    const client = await this.#listener.accept();
    const say = async (what: Said): Promise<void> => {
      const bytes = typeof what === "string" ? ENCODER.encode(what) : what;
      for (let sent = 0; sent < bytes.length;) sent += await client.write(bytes.subarray(sent));
    };
    try {
      if (asks === "greeting") return await say(said);
      await say('{"QMP": {"version": {}, "capabilities": []}}\r\n');
      let heard = "";
      const buffer = new Uint8Array(4096);
      for (;;) {
        const length = await client.read(buffer);
        if (length === null) return;
        heard += new TextDecoder().decode(buffer.subarray(0, length));
        if (!heard.endsWith("\n")) continue;
        const { execute: name } = JSON.parse(heard);
        heard = "";
        if (name === asks) return await say(said);
        await say('{"return": {}}\r\n');
        if (asks === "event" && name === "__org.qmpmux_set-event-filter") return await say(said);
      }
    } catch (error) {
      // The program may have heard enough.
      const { BrokenPipe, ConnectionReset } = Deno.errors;
      if (!(error instanceof BrokenPipe || error instanceof ConnectionReset)) throw error;
    } finally {
      client.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#served;
    this.#listener.close();
  }
}

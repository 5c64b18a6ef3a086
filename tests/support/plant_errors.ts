/**
 * Errors and hangs planted in a qmpmux that runs from source, to see that they are contained.
 *
 * It is loaded before the main module, with the name of the error after a question mark:
 *
 *     deno run … --preload=file://…/plant_errors.ts?serve main.ts serve …
 *
 * @module
 */

import { Mux } from "../../lib/hub/mux.ts";
import { Client } from "../../lib/daemon/client.ts";
import { Monitor } from "../../lib/session/monitor.ts";
import { type Heard, Upstream } from "../../lib/session/upstream.ts";
import type { Message } from "../../lib/wire/message.ts";

const { admit, leave } = Monitor.prototype;
const { attach } = Mux.prototype;
const { heard } = Upstream.prototype;

/** The errors that can be planted, by name. */
const PLANTED: Readonly<Record<string, () => void>> = {
  /** Makes serving the command `query-mice` fail. */
  serve: () => {
    Monitor.prototype.admit = function (command): ReturnType<typeof admit> {
      if (command.name === "query-mice") throw new Error("planted in serving");
      return admit.call(this, command);
    };
  },
  /** Makes reading the second event of QEMU fail. */
  hear: () => {
    let events = 0;
    Upstream.prototype.heard = function <J>(message: Message): Heard<J> {
      if (message.kind === "event" && ++events === 2) throw new Error("planted in hearing");
      return heard.call(this, message) as Heard<J>;
    };
  },
  /** Makes the disconnect of each client fail. */
  leave: () => {
    Monitor.prototype.leave = function (ending): never {
      leave.call(this, ending);
      throw new Error("planted in leaving");
    };
  },
  /** Makes a timer's callback and an unawaited promise fail, once a client has connected. */
  stray: () => {
    Mux.prototype.attach = function (peer, grant): Monitor {
      setTimeout(() => {
        void Promise.reject(new Error("planted in a promise"));
        throw new Error("planted in a timer");
      });
      return attach.call(this, peer, grant);
    };
  },
  /** Makes the shutdown fail, and clients never disconnect. */
  end: () => {
    Mux.prototype.dismissAll = () => {
      throw new Error("planted in the end");
    };
    Client.prototype.run = () => new Promise(() => {});
  },
};

const name = new URL(import.meta.url).search.slice(1);
const plant = PLANTED[name];
if (plant === undefined) {
  throw new Error(`Cannot plant ${name}: not one of ${Object.keys(PLANTED)}`);
}
plant();

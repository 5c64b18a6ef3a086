/**
 * The handshake with QEMU, as a table: for each state of a session, a function of the next message.
 *
 * @module
 */

import type { Greeting, Message } from "../wire/message.ts";
import { UnexpectedMessage } from "../wire/message.ts";
import { KNOWN_CAPABILITIES } from "./dialect.ts";

/** The state of a session. */
export type SessionState = "absent" | "greeting" | "negotiating" | "ready";

/** The next state of a session and the command to send with the nonce as its id, or an error that ends the session. */
export type Step =
  | { readonly state: SessionState; readonly greeting?: Greeting; readonly send?: string }
  | { readonly broken: UnexpectedMessage };

/** A handshake: the first state of a session, and its steps until the session is `ready`. */
export interface Handshake {
  /** The state of a new connection. */
  readonly first: SessionState;
  /**
   * The steps by state. A step returns `undefined` to ignore the message. The nonce is a number in
   * digits that only the reply to our `qmp_capabilities` carries as its id.
   */
  readonly steps: Readonly<
    Partial<Record<SessionState, (message: Message, nonce: string) => Step | undefined>>
  >;
}

/** The most bytes of a greeting, which every client receives; QEMU's has about 150. */
const GREETING_BYTES_LIMIT = 4096;

/** The handshake of QMP: a greeting, then `qmp_capabilities`. */
export const QMP: Handshake = {
  first: "greeting",
  steps: {
    greeting(message): Step | undefined {
      // QEMU before 2026 can send an event before its greeting.
      if (message.kind !== "greeting") return undefined;
      const { bytes, capabilities } = message;
      if (bytes.length > GREETING_BYTES_LIMIT) {
        return { broken: new UnexpectedMessage("its greeting is too long", bytes) };
      }
      const enable = KNOWN_CAPABILITIES.filter((name) => capabilities.includes(name));
      const args = enable.length > 0 ? `,"arguments":{"enable":${JSON.stringify(enable)}}` : "";
      const send = `{"execute":"qmp_capabilities"${args}}`;
      return { state: "negotiating", greeting: message, send };
    },
    negotiating(message, nonce): Step | undefined {
      const answer = message.kind === "return" || message.kind === "error";
      if (!answer || message.id !== nonce) return undefined;
      return message.kind === "return"
        ? { state: "ready" }
        : { broken: new UnexpectedMessage("it refused qmp_capabilities", message.bytes) };
    },
  },
};

/**
 * The handshake with a server, as a table: for each state of a session, the step that a message takes.
 *
 * @module
 */

import type { Greeting, Message } from "../wire/message.ts";
import { UnexpectedMessage } from "../wire/message.ts";
import { KNOWN_CAPABILITIES } from "./dialect.ts";

/** The state of a session. */
export type SessionState = "absent" | "greeting" | "negotiating" | "ready";

/** The next state of a session, and the command to send; or the end of the session. */
export type Step =
  | { readonly state: SessionState; readonly greeting?: Greeting; readonly send?: string }
  | { readonly broken: UnexpectedMessage };

/** A handshake: its first state, and the steps of those that come before `ready`. */
export interface Handshake {
  /** The state of a new connection. */
  readonly first: SessionState;
  /**
   * The steps by state: functions of a message and of the nonce, a number in digits that only the
   * reply to our own negotiation carries. `undefined` ignores the message.
   */
  readonly steps: Readonly<
    Partial<Record<SessionState, (message: Message, nonce: string) => Step | undefined>>
  >;
}

/** The longest greeting: QEMU's has some 150 bytes, and every client is sent it. */
const GREETING_BYTES_LIMIT = 4096;

/** The handshake of QMP: a greeting, then `qmp_capabilities`. */
export const QMP: Handshake = {
  first: "greeting",
  steps: {
    greeting(message, nonce): Step | undefined {
      // QEMU before 2026 can send an event ahead of its greeting.
      if (message.kind !== "greeting") return undefined;
      const { bytes, capabilities } = message;
      if (bytes.length > GREETING_BYTES_LIMIT) {
        return { broken: new UnexpectedMessage("its greeting is too long", bytes) };
      }
      const enable = KNOWN_CAPABILITIES.filter((name) => capabilities.includes(name));
      const args = enable.length > 0 ? `,"arguments":{"enable":${JSON.stringify(enable)}}` : "";
      const send = `{"execute":"qmp_capabilities"${args},"id":${nonce}}`;
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

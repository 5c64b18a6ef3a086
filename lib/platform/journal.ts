/**
 * The audit as entries of systemd's journal, with fields.
 *
 * It uses the journal's native protocol: one datagram per entry, with a line `NAME=value`
 * for each field. For a value that contains a newline, the protocol uses a length instead.
 *
 * @module
 */

import { type AuditRecord, fieldsOf } from "../observe/audit.ts";
import type { AuditWriter } from "./audit_file.ts";
import { Failure } from "./failure.ts";
import { openDatagram } from "./systemd.ts";

/** The socket of journald. */
const JOURNAL_SOCKET = "/run/systemd/journal/socket";

const ENCODER = new TextEncoder();

/** The journal as an audit target. */
export class Journal implements AuditWriter {
  /** The name in settings and in the log. */
  readonly name = "journal";
  readonly #to: Deno.UnixAddr;
  #socket: Deno.DatagramConn;

  /**
   * Opens the socket that entries are sent from.
   *
   * @throws Failure if the host has no journal
   */
  constructor(path = JOURNAL_SOCKET) {
    this.#to = { transport: "unixpacket", path };
    try {
      Deno.lstatSync(path);
      this.#socket = openDatagram();
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
      const { message } = error as Error;
      throw new Failure(78, `audit journal: ${path}: ${message}; name a file instead`);
    }
  }

  /** Returns the fields of an entry, as JSON. */
  format(record: AuditRecord): string {
    return JSON.stringify(fieldsOf(record));
  }

  /** Sends an entry. */
  async write(text: string): Promise<void> {
    await this.#socket.send(entryOf(JSON.parse(text)), this.#to);
  }

  /** Reopens the socket; a restarted journal has the same path. */
  reopen(): void {
    this.#socket.close();
    this.#socket = openDatagram();
  }

  /** Closes the socket. */
  close(): void {
    this.#socket.close();
  }
}

/** Returns fields in the journal's native format. */
export function entryOf(fields: Readonly<Record<string, string>>): Uint8Array {
  const parts = Object.entries(fields).map(([name, value]) => {
    if (!value.includes("\n")) return ENCODER.encode(`${name}=${value}\n`);
    const text = ENCODER.encode(value);
    const length = new Uint8Array(8);
    new DataView(length.buffer).setBigUint64(0, BigInt(text.length), true);
    return joined([ENCODER.encode(`${name}\n`), length, text, ENCODER.encode("\n")]);
  });
  return joined(parts);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

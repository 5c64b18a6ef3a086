/**
 * Records of commands as entries of systemd's journal, with fields of their own.
 *
 * Its native protocol: one datagram an entry, `NAME=value` lines; a value with
 * an end of line in it is sent behind its length.
 *
 * @module
 */

import { type AuditRecord, fieldsOf } from "../observe/audit.ts";
import type { AuditWriter } from "./audit_writer.ts";
import { Failure } from "./failure.ts";
import { openDatagram } from "./systemd.ts";

/** Where journald listens. */
const JOURNAL_SOCKET = "/run/systemd/journal/socket";

const ENCODER = new TextEncoder();

/** The journal. */
export class Journal implements AuditWriter {
  /** As people call it. */
  readonly name = "journal";
  readonly #to: Deno.UnixAddr;
  #socket: Deno.DatagramConn;

  /**
   * Opens what entries are sent from.
   *
   * @throws Failure where no journal is there
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

  /** An entry's bytes, as text. */
  format(record: AuditRecord): string {
    return JSON.stringify(fieldsOf(record));
  }

  /** Sends an entry. */
  async write(text: string): Promise<void> {
    await this.#socket.send(entryOf(JSON.parse(text)), this.#to);
  }

  /** A journal that is there anew is found by its path. */
  reopen(): void {
    this.#socket.close();
    this.#socket = openDatagram();
  }

  /** Closes it. */
  close(): void {
    this.#socket.close();
  }
}

/** Fields in the journal's native form. */
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

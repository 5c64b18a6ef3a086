/**
 * Recordings that tests make line by line, as qmpmux writes them.
 *
 * @module
 */

import { readHeader, readRecordingLine } from "../../lib/observe/recording_reader.ts";
import type { RecordingLine } from "../../lib/observe/recording_line.ts";

/** The time of the first line. */
export const START = "2026-01-02T03:04:05.000Z";

const GREETING =
  '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}, "capabilities": ["oob"]}}';

/** A command with its reply. */
export interface Exchange {
  readonly client: string;
  /** Seconds since the first line. */
  readonly t: number;
  readonly name: string;
  /** The arguments as JSON. */
  readonly args?: string;
  readonly oob?: boolean;
  /** The members of the reply as JSON. */
  readonly reply?: string;
  readonly wait?: number;
  /** Seconds at QEMU; without it qmpmux answers. */
  readonly run?: number;
}

/** A recording in the making. */
export class MadeRecording {
  readonly lines: string[];

  /** Begins with the header. */
  constructor(members: Readonly<Record<string, unknown>> = {}) {
    const header = { time: START, vm: "vm1", version: "0.1.0", greeting: GREETING, ...members };
    this.lines = [JSON.stringify({ "qmpmux-recording": 1, ...header })];
  }

  /** Adds a line; returns its number. */
  add(members: Readonly<Record<string, unknown>>): number {
    return this.lines.push(JSON.stringify(members));
  }

  /** Adds a client that connects. */
  connect(client: string, t: number, more: Readonly<Record<string, unknown>> = {}): number {
    return this.add({ t, side: "client", client, kind: "connect", ...more });
  }

  /** Adds a client that disconnects. */
  disconnect(client: string, t: number, reason?: string): number {
    return this.add({ t, side: "client", client, kind: "disconnect", reason });
  }

  /** Adds a command of a client; returns its number. */
  command(client: string, t: number, text: string): number {
    return this.add({ t, side: "client", client, dir: ">", kind: "command", text });
  }

  /** Adds the reply to a client. */
  reply(client: string, t: number, of: number | undefined, text: string, times = {}): number {
    return this.add({ t, side: "client", client, dir: "<", kind: "reply", text, of, ...times });
  }

  /** Adds a command of qmpmux to QEMU; returns its number. */
  toQemu(t: number, text: string, asked: readonly number[]): number {
    return this.add({ t, side: "qemu", dir: ">", kind: "command", text, for: asked });
  }

  /** Adds the reply of QEMU. */
  fromQemu(t: number, of: number, text: string): number {
    return this.add({ t, side: "qemu", dir: "<", kind: "reply", text, of });
  }

  /** Adds a command, and its reply, on both sides. */
  exchange(exchange: Exchange): number {
    const { client, t, name, args, oob, reply = '"return": {}', wait = 0, run } = exchange;
    const execute = oob ? "exec-oob" : "execute";
    const command = `{"${execute}":"${name}"${args === undefined ? "" : `,"arguments":${args}`}}`;
    const number = this.command(client, t, command);
    if (run === undefined) this.reply(client, t, number, `{${reply}}`);
    else {
      const sent = this.toQemu(t + wait, command, [number]);
      const end = t + wait + run;
      this.fromQemu(end, sent, `{${reply}}`);
      this.reply(client, end, number, `{${reply}}`, { wait, run });
    }
    return number;
  }

  /** Adds an event of QEMU, and its deliveries. */
  event(t: number, name: string, data?: string, to: readonly string[] = []): number {
    const text = `{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "${name}"${
      data === undefined ? "" : `, "data": ${data}`
    }}`;
    const event = { dir: "<", kind: "event", text };
    const number = this.add({ t, side: "qemu", ...event });
    for (const client of to) this.add({ t, side: "client", client, ...event });
    return number;
  }

  /** The recording as text. */
  get text(): string {
    return this.lines.map((line) => `${line}\n`).join("");
  }

  /** Yields the lines after the header with their numbers. */
  *read(): Generator<[number: number, line: RecordingLine]> {
    const [header, ...lines] = this.lines;
    if ("wrong" in readHeader(header!)) throw new Error(header);
    for (const [index, text] of lines.entries()) {
      const line = readRecordingLine(text);
      if ("wrong" in line) throw new Error(`${line.wrong}: ${text}`);
      yield [index + 2, line];
    }
  }
}

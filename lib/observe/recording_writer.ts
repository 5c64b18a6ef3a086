/**
 * A recording: traffic as lines of JSON, format 1.
 *
 * The first line is a header. Each other line is a message, or the beginning or end of a connection.
 * Lines name each other by their numbers. A line that was not written has no number, so that
 * the numbers are right in what was written.
 *
 * @module
 */

import { FORMAT_MEMBER, RECORDING_FORMAT } from "./recording_line.ts";
import { printable } from "../wire/printable.ts";
import { SourceLines } from "./source_lines.ts";
import type { Tap, TrafficFilter, TrafficSource } from "./traffic.ts";
import { plain, TrafficTexts } from "./traffic_texts.ts";

/** Characters that a terminal may interpret; JSON escapes only some of them. */
const UNSEEN = /[^ -~]/;

/** Settings of a recording. */
export interface RecordingOptions {
  /** The VM, if there is only one; otherwise each line names its VM. */
  readonly vm: string | undefined;
  /** The version of qmpmux. */
  readonly version: string;
  /** The choice of traffic. */
  readonly filter: TrafficFilter;
  /** A text that takes the place of secrets, and that nobody can know. */
  readonly mark: string;
  /** Whether secrets are kept. */
  readonly keepsSecrets: boolean;
  /** Returns whether the meaning of a command's arguments is known. */
  readonly isKnown: (command: string) => boolean;
  /** Returns the name of a program by its process id, if it can. */
  readonly programOf?: ((pid: number) => string | undefined) | undefined;
  /** Returns the seconds of a steady clock. */
  readonly now: () => number;
  /** Returns the time of day in seconds since 1970. */
  readonly timeOfDay: () => number;
}

/** A keeper of lines. */
export interface LineSink {
  /** Whether a new file, with a header of its own, begins with the next line. */
  readonly isFull?: boolean;
  /** Begins a new file. */
  begin?(): void;
  /** Keeps a line without its end; returns `false` if there is no room for it. Never blocks. */
  write(line: string): boolean;
}

/** Writes the lines of a recording. */
export class RecordingWriter {
  readonly #options: RecordingOptions;
  readonly #sink: LineSink;
  readonly #texts: TrafficTexts;
  readonly #sources = new Map<TrafficSource, SourceLines>();
  /** The number of lines in this file. */
  #lines = 0;
  /** The number of this file, from 1; 0 before the header. */
  #file = 0;
  /** The time of the header. */
  #began = 0;
  /** The number of lines that could not be written since the last one that was. */
  #dropped = 0;

  /** Creates a recording; its header is written with the first line. */
  constructor(options: RecordingOptions, sink: LineSink) {
    this.#options = options;
    this.#sink = sink;
    this.#texts = new TrafficTexts(options);
  }

  /** Begins to record a VM: the clients that are there, then its traffic. */
  open(source: TrafficSource): Tap {
    const { filter, vm } = this.#options;
    const lines = new SourceLines(source, {
      filter,
      texts: this.#texts,
      prefix: vm === undefined ? `"vm":${JSON.stringify(source.vm)},` : "",
      now: this.#options.now,
      programOf: this.#options.programOf,
      file: () => this.#file,
      turnPage: () => {
        if (this.#sink.isFull) this.#begin();
      },
      write: (members) => this.#write(members),
    });
    this.#sources.set(source, lines);
    if (this.#file === 0) this.#begin();
    else lines.begin();
    return lines;
  }

  /** Ends the recording of a VM. */
  close(source: TrafficSource): void {
    this.#sources.delete(source);
  }

  /** Writes the header if nothing has been written yet. */
  start(): void {
    if (this.#file === 0) this.#begin();
  }

  /** Begins a file with its header, and with the clients that are there. */
  #begin(): void {
    const { vm, version, mark, keepsSecrets, now, timeOfDay } = this.#options;
    this.#file++;
    this.#lines = 0;
    this.#began = now();
    this.#sink.begin?.();
    const [only] = this.#sources.size === 1 ? this.#sources.keys() : [];
    const greeting = vm === undefined ? undefined : only?.greeting;
    const header = {
      [FORMAT_MEMBER]: RECORDING_FORMAT,
      time: new Date(timeOfDay() * 1000).toISOString(),
      vm: vm ?? null,
      version,
      removed: keepsSecrets ? null : mark,
    };
    const text = greeting === undefined ? "null" : textOf(greeting);
    this.#put(`${JSON.stringify(header).slice(0, -1)},"greeting":${text}}`);
    for (const lines of this.#sources.values()) lines.begin();
  }

  /** Writes a line; returns its number in this file, or 0 if there was no room for it. */
  #write(members: string): number {
    const t = Math.round((this.#options.now() - this.#began) * 1e6) / 1e6;
    if (this.#dropped > 0) {
      if (!this.#put(`{"t":${t},"dropped":${this.#dropped}}`)) return this.#drop();
      this.#dropped = 0;
    }
    return this.#put(`{"t":${t},${members}}`) ? this.#lines : this.#drop();
  }

  #drop(): 0 {
    this.#dropped++;
    return 0;
  }

  #put(line: string): boolean {
    if (!this.#sink.write(UNSEEN.test(line) ? printable(line) : line)) return false;
    this.#lines++;
    return true;
  }
}

/** Returns a greeting as a JSON string. */
function textOf(greeting: Uint8Array): string {
  const members = JSON.parse(`{${plain(greeting)}}`) as { text?: string };
  return JSON.stringify(members.text ?? null);
}

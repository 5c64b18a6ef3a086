/**
 * A recording: traffic as lines of JSON, format 1.
 *
 * The first line is a header. Each other line is a message, or the beginning or end of a connection.
 * Lines name each other by their numbers. A line that was not written has no number, so that
 * the numbers are right in what was written.
 *
 * @module
 */

import { Output, outputOf } from "../wire/output.ts";
import { printable } from "../wire/printable.ts";
import { FORMAT_MEMBER, RECORDING_FORMAT } from "./recording_line.ts";
import { clientMembers, type ProgramOf } from "./line_members.ts";
import { SourceLines } from "./source_lines.ts";
import type { Tap, Traffic, TrafficFilter, TrafficSource } from "./traffic.ts";
import { jsonOf, quoted, TrafficTexts } from "./traffic_texts.ts";

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
  /** Whether it is for people: without QEMU's side of clients' commands, and with long values cut. */
  readonly isBrief: boolean;
  /** Returns whether the meaning of a command's arguments is known. */
  readonly isKnown: (command: string) => boolean;
  /** Returns the name of a program by its process id, if it can. */
  readonly programOf?: ProgramOf;
  /** Returns the seconds of a steady clock. */
  readonly now: () => number;
  /** Returns the time of day in seconds since 1970. */
  readonly timeOfDay: () => number;
  /** Calls back once after a short time, in which more traffic may come; returns a function that cancels it. */
  readonly later: (run: () => void) => () => void;
}

/** A keeper of lines. */
export interface LineSink {
  /** Whether a new file, with a header of its own, begins with the next line. */
  readonly isFull?: boolean;
  /** Begins a new file with its header, and keeps that even if the queue is full. */
  begin?(header: Output): void;
  /** Called when the lines with which a file begins are kept. */
  begun?(): void;
  /** Keeps a copy of a line without its end; returns `false` if the queue is full. Never blocks. */
  write(line: Output): boolean;
  /** Passes on the lines that were kept: no more come for a while. */
  flush?(): void;
}

/**
 * The bytes of messages that wait, above which they are written at once: messages of some kB that live
 * on cost more memory management than all else.
 */
const NOTED_BYTES_LIMIT = 1 << 16;

/** The number of messages that wait, above which they are written at once, for the same reason. */
const NOTED_LIMIT = 256;

const TIME = outputOf('{"t":');
const COMMA = outputOf(",");
const END = outputOf("}");

/** The room for most lines. */
const LINE_BYTES = 1024;

/**
 * Writes the lines of a recording.
 *
 * Traffic is only noted when it passes, and lines are made of much of it together. Between two
 * messages the code for lines would not be in the processor's caches, and take a multiple of the time.
 */
export class RecordingWriter {
  readonly #options: RecordingOptions;
  readonly #sink: LineSink;
  readonly #texts: TrafficTexts;
  readonly #sources = new Map<TrafficSource, SourceLines>();
  /** The traffic that waits, with its times and its hubs. */
  readonly #waiting: Traffic[] = [];
  readonly #times: number[] = [];
  readonly #hubs: SourceLines[] = [];
  #waitingBytes = 0;
  /** The members that describe clients that have connected. */
  readonly #described = new Map<Traffic, string>();
  /** Cancels the next flush; `undefined` if none is due. */
  #cancel: (() => void) | undefined;
  /** The present line. */
  readonly #line = new Output(LINE_BYTES);
  /** Its time, in microseconds since the header. */
  #time = 0;
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
    const { filter, vm, programOf, isBrief, now } = this.#options;
    const lines = new SourceLines(source, {
      filter,
      texts: this.#texts,
      prefix: vm === undefined ? `"vm":${jsonOf(source.vm)},` : "",
      programOf,
      file: () => this.#file,
      isBrief,
      begin: (now) => this.#beginLine(now),
      end: () => this.#endLine(),
    });
    this.#writeAll();
    this.#sources.set(source, lines);
    if (this.#file === 0) this.#begin(now());
    else lines.begin(now());
    this.#sink.flush?.();
    return { take: (traffic) => this.#note(lines, traffic) };
  }

  /** Ends the recording of a VM. */
  close(source: TrafficSource): void {
    this.flush();
    this.#sources.delete(source);
  }

  /** Writes the header if nothing has been written yet. */
  start(): void {
    if (this.#file === 0) this.#begin(this.#options.now());
    this.#sink.flush?.();
  }

  /** Writes the traffic that waits, and passes the lines on. */
  flush(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#writeAll();
    this.#sink.flush?.();
  }

  #note(lines: SourceLines, traffic: Traffic): void {
    const { now, programOf, later } = this.#options;
    this.#cancel ??= later(() => this.flush());
    this.#waiting.push(traffic);
    this.#times.push(now());
    this.#hubs.push(lines);
    this.#waitingBytes += bytesOf(traffic);
    if (traffic.kind === "connect") {
      this.#described.set(traffic, clientMembers(traffic.client, programOf));
    }
    const isMuch = this.#waiting.length >= NOTED_LIMIT || this.#waitingBytes > NOTED_BYTES_LIMIT;
    if (isMuch) this.#writeAll();
  }

  #writeAll(): void {
    this.#waitingBytes = 0;
    const hubs = this.#hubs.splice(0);
    const times = this.#times.splice(0);
    for (const [index, traffic] of this.#waiting.splice(0).entries()) {
      const now = times[index]!;
      // A line may name others of its file, so that a file begins before a line is made.
      if (this.#sink.isFull) this.#begin(now);
      hubs[index]!.write(traffic, now, this.#described.get(traffic));
    }
    this.#described.clear();
  }

  /** Begins a file with its header, and with the clients that are there. */
  #begin(now: number): void {
    const { vm, version, mark, keepsSecrets, timeOfDay } = this.#options;
    this.#file++;
    this.#lines = 0;
    this.#began = now;
    const [only] = this.#sources.size === 1 ? this.#sources.values() : [];
    const greeting = vm === undefined ? undefined : only?.greeting;
    const ago = this.#options.now() - now;
    const header = {
      [FORMAT_MEMBER]: RECORDING_FORMAT,
      time: new Date((timeOfDay() - ago) * 1000).toISOString(),
      vm: vm ?? null,
      version,
      removed: keepsSecrets ? null : mark,
    };
    const line = this.#line;
    line.clear();
    line.utf8(`${printable(JSON.stringify(header)).slice(0, -1)},"greeting":`);
    if (greeting === undefined || !quoted(line, greeting)) line.ascii("null");
    line.append(END);
    this.#putHeader(line);
    for (const lines of this.#sources.values()) lines.begin(now);
    this.#sink.begun?.();
  }

  #beginLine(now: number): Output {
    const line = this.#line;
    line.clear();
    this.#time = Math.max(0, Math.round((now - this.#began) * 1e6));
    line.append(TIME);
    line.millionths(this.#time);
    line.append(COMMA);
    return line;
  }

  /** Ends a line; returns its number in this file, or 0 if the queue was full. */
  #endLine(): number {
    this.#line.append(END);
    if (this.#dropped > 0) {
      const gap = new Output(64);
      gap.ascii(`{"t":${this.#time / 1e6},"dropped":${this.#dropped}}`);
      if (!this.#put(gap)) return this.#drop();
      this.#dropped = 0;
    }
    return this.#put(this.#line) ? this.#lines : this.#drop();
  }

  #drop(): 0 {
    this.#dropped++;
    return 0;
  }

  #putHeader(line: Output): void {
    if (this.#sink.begin === undefined) this.#put(line);
    else {
      this.#sink.begin(line);
      this.#lines++;
    }
  }

  #put(line: Output): boolean {
    if (!this.#sink.write(line)) return false;
    this.#lines++;
    return true;
  }
}

/** Returns the number of bytes that traffic keeps in memory. */
function bytesOf(traffic: Traffic): number {
  switch (traffic.kind) {
    case "reply":
      return traffic.reply.bytes.length;
    case "event":
      return traffic.event.bytes.length;
    case "command":
      return traffic.side === "client" ? traffic.bytes.length : 0;
    default:
      return 0;
  }
}

/**
 * The recording of a whole process: all its traffic, in files that take turns.
 *
 * Lines wait in a queue with a limit, and are written asynchronously. While they cannot be written, they
 * stay queued, and the write is retried once a second. Lines beyond the limit are dropped, and counted in
 * the recording. Nothing waits for it.
 *
 * @module
 */

import { type LineSink, RecordingWriter } from "../observe/recording_writer.ts";
import type { Looker, Taps } from "../observe/taps.ts";
import { type Clock, withTimeout } from "../platform/clock.ts";
import type { Calls } from "../platform/libc_symbols.ts";
import type { Log } from "../platform/log.ts";
import { programOf } from "../platform/process_name.ts";
import { DiskFiles, type RotatedFile } from "../platform/rotated_file.ts";
import { Output, outputOf } from "../wire/output.ts";
import { FORMAT_MEMBER } from "../observe/recording_line.ts";
import { GATHER_SECONDS, newMark } from "./control_tap.ts";
import { isKnown } from "./records.ts";

/** The limit of the queue, in bytes. */
const QUEUE_LIMIT = 8 << 20;

/** The bytes of a write; a longer line is written alone. */
const PIECE_BYTES = 1 << 16;

const LINE_END = outputOf("\n");

/** The seconds from a failed write to the next attempt, and from the last failure to the news that all is well. */
const RETRY_SECONDS = 1;

/** The part of the limit that the beginning of a file may exceed it by. */
const BEGINNING_SHARE = 0.5;

/** The time to write the last lines at exit. */
const FAREWELL_MS = 2000;

/** The size of the files, and their number. */
export interface RecordSizes {
  /** The bytes of a file after which another one begins. */
  readonly size: number;
  /** The number of older files. */
  readonly older: number;
}

/** The parts of the daemon that a recorder uses. */
export interface RecorderDeps {
  /** The taps on the machines. */
  readonly taps: Taps;
  /** Measures its time. */
  readonly clock: Clock;
  /** Receives its log lines. */
  readonly log: Log;
  /** The version of qmpmux. */
  readonly version: string;
  /** The name of the only VM; `undefined` if there can be several. */
  readonly vm: string | undefined;
  /** FFI, if it is available. */
  readonly libc: Calls | undefined;
  /** Counts a failed write, or a lost line. */
  failed(): void;
  /** Reports an internal error. */
  broken(error: unknown): void;
}

/** A recording that is being made. */
export class Recorder {
  readonly #deps: RecorderDeps;
  readonly #lines: RecordedLines;
  readonly #writer: RecordingWriter;
  readonly #looker: Looker;

  /**
   * Creates it; it records nothing before {@linkcode start}.
   *
   * @param limit the most bytes that wait to be written
   */
  constructor(files: RotatedFile, sizes: RecordSizes, deps: RecorderDeps, limit = QUEUE_LIMIT) {
    const { clock, version, libc, vm } = deps;
    this.#deps = deps;
    this.#lines = new RecordedLines(files, sizes, deps, limit);
    const writer = this.#writer = new RecordingWriter({
      vm,
      version,
      filter: { client: undefined, command: undefined, event: undefined },
      mark: newMark(),
      keepsSecrets: false,
      isBrief: false,
      isKnown,
      now: () => clock.now(),
      timeOfDay: () => clock.timeOfDay(),
      later: (run) => clock.after(GATHER_SECONDS, () => deps.taps.attempt(this.#looker, run)),
      programOf: libc && ((pid) => programOf(libc, pid)),
    }, this.#lines);
    this.#looker = {
      looksAt: () => true,
      open: (source) => writer.open(source),
      close: (source) => writer.close(source),
      failed: deps.broken,
    };
  }

  /** The path of the present file. */
  get path(): string {
    return this.#lines.path;
  }

  /** Records from now on. */
  start(): void {
    this.#deps.taps.add(this.#looker);
    this.#deps.log.info(`recording to ${this.path}`);
  }

  /** Adopts sizes from now on. */
  adopt(sizes: RecordSizes): void {
    this.#lines.sizes = sizes;
  }

  /** Begins another file with the next line if the present one was moved away. */
  reopen(): void {
    this.#writer.flush();
    this.#lines.reopen();
  }

  /** Ends the recording, and writes what waits, within a short time. */
  async close(): Promise<void> {
    this.#deps.taps.remove(this.#looker);
    this.#writer.flush();
    await this.#lines.close();
  }
}

/**
 * Opens the files of a recording.
 *
 * @throws Failure if it cannot
 */
export function openRecorder(path: string, sizes: RecordSizes, deps: RecorderDeps): Recorder {
  const beginning = `{"${FORMAT_MEMBER}":`;
  return new Recorder(new DiskFiles(path, beginning, sizes.older), sizes, deps);
}

/** Lines that wait to be written together. */
interface Waiting {
  /** Whether a file begins with them. */
  isNew: boolean;
  /** Whole lines. */
  readonly bytes: Uint8Array;
  /** Their number. */
  readonly lines: number;
}

/** A queue of lines, and their files. */
class RecordedLines implements LineSink {
  sizes: RecordSizes;
  readonly #files: RotatedFile;
  readonly #limit: number;
  readonly #deps: Pick<RecorderDeps, "clock" | "log" | "failed">;
  /** The lines that wait, in the order of writing. */
  readonly #waiting: Waiting[] = [];
  /** The lines that follow them. */
  readonly #piece = new Output(PIECE_BYTES);
  #pieceLines = 0;
  /** Whether a file begins with the next piece. */
  #isNew = false;
  /** The bytes that wait. */
  #queued = 0;
  /** The bytes in the present file, including those that wait. */
  #length = 0;
  /** The bytes with which the present file begins; `undefined` while they are written. */
  #head: number | undefined = 0;
  #hasBegun = false;
  #isMoved = false;
  #writing: Promise<void> | undefined;
  #isClosed = false;
  /** Whether the last write has failed. */
  #isBroken = false;
  /** Whether the log has told of a failure, and not yet of its end. */
  #isFailing = false;
  /** Whether nothing has failed since the last look. */
  #isCalm = false;
  /** Cancels the next look; `undefined` if none is due. */
  #cancel: (() => void) | undefined;
  #lost = 0;

  constructor(
    files: RotatedFile,
    sizes: RecordSizes,
    deps: Pick<RecorderDeps, "clock" | "log" | "failed">,
    limit: number,
  ) {
    this.#limit = limit;
    this.#files = files;
    this.sizes = sizes;
    this.#deps = deps;
  }

  get path(): string {
    return this.#files.path;
  }

  /**
   * Whether another file begins with the next line. Beginnings may exceed the limit, so that a file does not
   * grow while more lines come than can be written; and no file has more of its beginning than of the rest.
   */
  get isFull(): boolean {
    if (this.#queued > this.#limit) return false;
    return this.#isMoved || this.#length >= Math.max(this.sizes.size, 2 * (this.#head ?? 0));
  }

  begin(header: Output): void {
    this.#queuePiece();
    // The first file has been opened already.
    this.#isNew = this.#hasBegun;
    this.#hasBegun = true;
    this.#isMoved = false;
    this.#length = 0;
    this.#head = undefined;
    this.#keep(header);
  }

  begun(): void {
    this.#head = this.#length;
  }

  write(line: Output): boolean {
    const limit = this.#limit * (this.#head === undefined ? 1 + BEGINNING_SHARE : 1);
    if (this.#queued + line.length + 1 > limit || this.#isClosed) {
      this.#lost++;
      this.#fail(`more than ${this.#limit} bytes wait to be written`);
      return false;
    }
    this.#keep(line);
    return true;
  }

  #keep(line: Output): void {
    const length = line.length + 1;
    const piece = this.#piece;
    if (piece.length + length > PIECE_BYTES) this.#queuePiece();
    piece.append(line);
    piece.append(LINE_END);
    this.#pieceLines++;
    this.#queued += length;
    this.#length += length;
    if (!this.#isBroken) this.#go();
  }

  reopen(): void {
    try {
      this.#isMoved = this.#files.isMoved;
    } catch (error) {
      this.#fail((error as Error).message);
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#go();
    if (this.#writing) await withTimeout(FAREWELL_MS, this.#writing, undefined);
    this.#isClosed = true;
    this.#cancel?.();
    this.#files.close();
    const waiting = this.#waiting.reduce((sum, { lines }) => sum + lines, this.#pieceLines);
    const lost = waiting + this.#lost;
    if (lost > 0) this.#deps.log.warn(`record ${this.path}: ${lost} lines could not be written`);
  }

  /** Queues the lines in the piece. */
  #queuePiece(): void {
    if (this.#pieceLines === 0) return;
    const bytes = this.#piece.bytes.slice();
    this.#waiting.push({ isNew: this.#isNew, bytes, lines: this.#pieceLines });
    this.#isNew = false;
    this.#pieceLines = 0;
    this.#piece.clear();
  }

  #go(): void {
    if (!this.#isClosed) this.#writing ??= this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    try {
      // Let the hub finish its current work first.
      await undefined;
      while (!this.#isClosed) {
        if (this.#waiting.length === 0) this.#queuePiece();
        const [first] = this.#waiting;
        if (first === undefined) break;
        if (first.isNew) {
          this.#files.turn(this.sizes.older);
          first.isNew = false;
        }
        await this.#files.write(first.bytes);
        this.#waiting.shift();
        this.#queued -= first.bytes.length;
        this.#isBroken = false;
      }
    } catch (error) {
      this.#isBroken = true;
      if (!this.#isClosed) this.#fail((error as Error).message);
    } finally {
      this.#writing = undefined;
    }
  }

  /** Counts a failure; logs the first one. */
  #fail(reason: string): void {
    this.#deps.failed();
    if (this.#isClosed) return;
    if (!this.#isFailing) {
      this.#deps.log.warn(`record ${this.path} cannot be written: ${reason}`);
    }
    this.#isFailing = true;
    this.#isCalm = false;
    this.#lookLater();
  }

  #lookLater(): void {
    this.#cancel ??= this.#deps.clock.after(RETRY_SECONDS, () => this.#look());
  }

  /** Retries, until nothing has failed for a while. */
  #look(): void {
    this.#cancel = undefined;
    if (this.#isCalm && !this.#isBroken) return this.#recover();
    this.#isCalm = true;
    this.#lookLater();
    this.#go();
  }

  #recover(): void {
    this.#isFailing = false;
    const lost = this.#lost === 0 ? "no lines were lost" : `${this.#lost} lines were lost`;
    this.#lost = 0;
    this.#deps.log.info(`record ${this.path} can be written again; ${lost}`);
  }
}

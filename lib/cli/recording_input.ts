/**
 * A recording as subcommands read it: a stream of lines, of which damaged ones are named and left out.
 *
 * @module
 */

import { Failure } from "../platform/failure.ts";
import { LINE_LIMIT, LineFile } from "../platform/line_file.ts";
import { say } from "../platform/log.ts";
import type { RecordingHeader, RecordingLine } from "../observe/recording_line.ts";
import { readHeader } from "../observe/recording_reader.ts";
import { RecordingSequence } from "../observe/recording_sequence.ts";

/** A line after the header. */
export interface NumberedLine {
  /** Its number; the header is line 1. */
  readonly number: number;
  /** Its text, unless numbers and times in it have been changed. */
  readonly text: string | undefined;
  /** Its content. */
  readonly line: RecordingLine;
}

/** The most damaged lines that are named; the others are counted. */
const NAMED_LIMIT = 20;

/** A recording that is being read. */
export class RecordingInput {
  /** The header. */
  readonly header: RecordingHeader;
  /** The text of the header. */
  readonly headerText: string;
  readonly #command: string;
  readonly #file: LineFile;
  readonly #lines: AsyncGenerator<string>;
  #damaged = 0;

  private constructor(
    command: string,
    file: LineFile,
    lines: AsyncGenerator<string>,
    [header, headerText]: readonly [RecordingHeader, string],
  ) {
    this.#command = command;
    this.#file = file;
    this.#lines = lines;
    this.header = header;
    this.headerText = headerText;
  }

  /**
   * Opens a recording, and reads its header.
   *
   * @param command the subcommand, for messages
   * @param path a path; `-` stands for stdin
   * @throws UsageError if the file does not exist; Failure if it cannot be read, or is not a recording
   */
  static async open(command: string, path: string): Promise<RecordingInput> {
    const file = LineFile.open(path);
    const lines = file.lines();
    const { value: text = "" } = await lines.next();
    const header = readHeader(text.length > LINE_LIMIT ? "" : text);
    if ("wrong" in header) {
      await lines.return(undefined);
      throw new Failure(1, `${command}: ${file.name}: ${header.wrong}`);
    }
    return new RecordingInput(command, file, lines, [header, text]);
  }

  /**
   * Returns the lines after the header, once. A damaged line is named on stderr and left out. If another
   * file of the recording follows, its lines continue.
   */
  async *lines(): AsyncGenerator<NumberedLine> {
    const sequence = new RecordingSequence(this.header);
    let number = 1;
    /** The problem of the line before, which is known to be the last one only at the end. */
    let problem: string | undefined;
    for await (const text of this.#lines) {
      number++;
      if (problem !== undefined) this.#report(number - 1, problem);
      problem = undefined;
      const line = text.length > LINE_LIMIT ? { wrong: TOO_LONG } : sequence.read(number, text);
      if (line === undefined) continue;
      if ("wrong" in line) problem = line.wrong;
      else yield { number, line, text: sequence.isMoved ? undefined : text };
    }
    if (problem !== undefined && this.#file.isComplete) this.#report(number, problem);
    else if (problem !== undefined) {
      this.#say(`line ${number}: it is incomplete; the recording ends there`);
    }
  }

  /**
   * The number of damaged lines. An incomplete last line does not count, because the recording may still
   * be written.
   */
  get damaged(): number {
    return this.#damaged;
  }

  /** Checks that no line was damaged; @throws Failure if any was */
  checkWhole(): void {
    if (this.#damaged === 0) return;
    const lines = this.#damaged === 1 ? "1 damaged line is" : `${this.#damaged} damaged lines are`;
    throw new Failure(1, `${this.#command}: ${this.#file.name}: ${lines} left out`);
  }

  #report(number: number, problem: string): void {
    if (++this.#damaged <= NAMED_LIMIT) this.#say(`line ${number}: ${problem}`);
  }

  #say(text: string): void {
    say(`${this.#command}: ${this.#file.name}: ${text}`);
  }
}

const TOO_LONG = `it has more than ${LINE_LIMIT} characters`;

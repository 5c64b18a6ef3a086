/**
 * The files of a recording, one behind the other, as one recording.
 *
 * A recording that has been rotated is several files, each with a header of its own. The lines of a later
 * file get the numbers and the times that they have in the whole.
 *
 * @module
 */

import { FORMAT_MEMBER, type RecordingHeader, type RecordingLine } from "./recording_line.ts";
import { type DamagedLine, readHeader, readRecordingLine } from "./recording_reader.ts";

/** The reader of lines that may belong to several files. */
export class RecordingSequence {
  readonly #header: RecordingHeader;
  /** The number of lines before the present file. */
  #before = 0;
  /** The seconds from the time of the first header to that of the present file. */
  #shift = 0;
  /** The VM of the present file, if the first file has another one. */
  #vm: string | undefined;

  /** Begins with the header of the first file, which is line 1. */
  constructor(header: RecordingHeader) {
    this.#header = header;
  }

  /** Whether lines get other numbers and times than they have in their file. */
  get isMoved(): boolean {
    return this.#before > 0;
  }

  /**
   * Reads the next line.
   *
   * @param number its number in the whole
   * @returns `undefined` for the header of another file
   */
  read(number: number, text: string): RecordingLine | DamagedLine | undefined {
    if (text.startsWith(HEADER_BEGINS)) return this.#begin(number, text);
    const line = readRecordingLine(text);
    if (this.#before === 0 || "wrong" in line) return line;
    const t = Math.round((line.t + this.#shift) * 1e6) / 1e6;
    if (line.kind === "gap") return { ...line, t };
    const { of, for: asked, vm = this.#vm } = line;
    return {
      ...line,
      t,
      ...vm !== undefined && { vm },
      ...of !== undefined && { of: of + this.#before },
      ...asked !== undefined && { for: asked.map((each) => each + this.#before) },
    };
  }

  #begin(number: number, text: string): DamagedLine | undefined {
    const header = readHeader(text);
    if ("wrong" in header) return header;
    this.#before = number - 1;
    this.#shift = Math.max(0, (Date.parse(header.time) - Date.parse(this.#header.time)) / 1000);
    this.#vm = header.vm === this.#header.vm ? undefined : header.vm;
    return undefined;
  }
}

/** The beginning of a header as qmpmux writes it. */
const HEADER_BEGINS = `{"${FORMAT_MEMBER}":`;

/**
 * Lines of a socket or of a program, one by one.
 *
 * @module
 */

import { TextLineStream } from "@std/streams/text-line-stream";
import { within } from "./deadline.ts";

/** A reader of lines; each can be awaited, and the end of file too. */
export class Lines {
  readonly #reader: ReadableStreamDefaultReader<string>;
  /** All lines that have been read, including skipped ones. */
  readonly seen: string[] = [];

  constructor(bytes: ReadableStream<Uint8Array>) {
    this.#reader = bytes
      .pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>)
      .pipeThrough(new TextLineStream())
      .getReader();
  }

  /**
   * Returns the next line without its end, or `undefined` at the end of file; `patience` in
   * milliseconds.
   */
  async next(what?: string, patience?: number): Promise<string | undefined> {
    const { done, value } = await within(what ?? "a line", this.#reader.read(), patience);
    if (done) return undefined;
    this.seen.push(value);
    return value;
  }

  /** Reads on until a line matches; @throws Error at the end of file */
  async until(pattern: RegExp): Promise<string> {
    const seen: string[] = [];
    for (;;) {
      const line = await this.next(`a line like ${pattern} after ${JSON.stringify(seen)}`);
      if (line === undefined) throw new Error(`No line like ${pattern} in ${JSON.stringify(seen)}`);
      if (pattern.test(line)) return line;
      seen.push(line);
    }
  }

  /** Returns all lines up to the end of file. */
  async rest(): Promise<string[]> {
    const lines: string[] = [];
    for (;;) {
      const line = await this.next("the end of file");
      if (line === undefined) return lines;
      lines.push(line);
    }
  }
}

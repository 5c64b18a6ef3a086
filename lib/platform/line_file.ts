/**
 * Files of lines, such as recordings, which are read as a stream: a file may be larger than memory.
 *
 * @module
 */

import { TextLineStream } from "@std/streams/text-line-stream";
import { unreadable } from "./input.ts";

/** The most characters of a line; what is behind them is left out, and some more may be read. */
export const LINE_LIMIT = 128 << 20;

/** A file of lines. */
export class LineFile {
  /** Its path, or `stdin`. */
  readonly name: string;
  readonly #source: ReadableStream<Uint8Array>;
  #isComplete = true;

  private constructor(name: string, source: ReadableStream<Uint8Array>) {
    this.name = name;
    this.#source = source;
  }

  /**
   * Opens a file.
   *
   * @param path a path; `-` stands for stdin
   * @throws UsageError if there is none; Failure if it cannot be opened
   */
  static open(path: string): LineFile {
    if (path === "-") return new LineFile("stdin", Deno.stdin.readable);
    try {
      return new LineFile(path, Deno.openSync(path).readable);
    } catch (error) {
      throw unreadable(path, error);
    }
  }

  /**
   * Returns the lines without their ends, once; invalid UTF-8 becomes U+FFFD. The file is closed at the
   * end, also if not all lines are taken.
   */
  async *lines(): AsyncGenerator<string> {
    const decoder = new TextDecoderStream() as unknown as TransformStream<Uint8Array, string>;
    const lines = this.#source
      .pipeThrough(decoder)
      .pipeThrough(this.#limited())
      .pipeThrough(new TextLineStream());
    try {
      yield* lines;
    } catch (error) {
      throw unreadable(this.name, error);
    }
  }

  /** Whether the last line that was read had an end. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /**
   * Returns a stream that leaves out the rest of a line that is too long. It ends with the first line if that
   * is: such a file has no lines, and may have no end.
   */
  #limited(): TransformStream<string, string> {
    let [length, isFirst] = [0, true];
    return new TransformStream({
      transform: (chunk, controller) => {
        const first = chunk.indexOf("\n");
        const isTooLong = length > LINE_LIMIT;
        if (!isTooLong) controller.enqueue(chunk);
        else if (first >= 0) controller.enqueue(chunk.slice(first));
        length = first < 0 ? length + chunk.length : chunk.length - chunk.lastIndexOf("\n") - 1;
        this.#isComplete = length === 0;
        isFirst &&= first < 0;
        if (isFirst && length > LINE_LIMIT) controller.terminate();
      },
    });
  }
}

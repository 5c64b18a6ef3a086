/**
 * `qmpmux events --since CURSOR --cursor-file FILE`: the place where the stream begins, and the file that
 * keeps it.
 *
 * The file is written after an event was printed. Whenever the program is killed, the next run repeats
 * at most the last event, and skips none.
 *
 * @module
 */

import { QmpError } from "../client/errors.ts";
import type { Qmp } from "../client/qmp.ts";
import { CursorFile } from "../platform/cursor_file.ts";
import { Failure } from "../platform/failure.ts";
import { type Address, addressText } from "../policy/address.ts";
import { UsageError } from "../policy/usage_error.ts";
import type { Given } from "./flags.ts";
import { replyTo, statusOfError } from "./replies.ts";

/** The interval between two looks at a cursor that moves on without events. */
const LOOK_MS = 1000;

/** The value of `--since` that begins with new events only. */
const NOW = "now";

/** The place of a stream, and the file that keeps it. */
export class Bookmark {
  /** The place where the stream begins: a cursor, `oldest` or `now`. */
  readonly since: string;
  readonly #file: CursorFile | undefined;
  readonly #path: string | undefined;
  /** Whether the place was found in the file. */
  readonly #isFound: boolean;

  /**
   * Reads the place: from the file if it exists, else from `--since`, else it is the present.
   *
   * @throws UsageError; Failure if the file is damaged, or cannot be written
   */
  constructor(given: Given) {
    const since = given.one("since");
    const path = given.one("cursor-file");
    if (since === "") {
      throw new UsageError(
        'events: invalid value "" for --since: expected a cursor, oldest or now',
      );
    }
    if (path === "") {
      throw new UsageError('events: invalid value "" for --cursor-file: expected a path');
    }
    this.#path = path;
    this.#file = path === undefined ? undefined : new CursorFile(path);
    const found = this.#file?.read();
    this.#isFound = found !== undefined;
    this.since = found ?? since ?? NOW;
  }

  /**
   * Keeps the place where a stream begins that begins now: a run that ends before its first event would
   * otherwise leave nothing behind, and the next one would skip the events between them.
   *
   * @throws Failure if the file cannot be written; the errors of the client, except QmpError
   */
  async begun(qmp: Qmp): Promise<void> {
    if (this.#file === undefined || this.since !== NOW) return;
    // The reply comes behind that to the subscription.
    await replyTo(qmp, "__org.qmpmux_query-self");
    this.reached(qmp.cursor);
  }

  /**
   * Keeps the place until it is disposed of, also when only events come that are not wanted.
   *
   * @param failed is called if the file cannot be written
   */
  watch(qmp: Qmp, failed: (error: unknown) => void): Disposable {
    // At the time of a timer, every event that the stream has given is printed: nothing awaits in between.
    const timer = setInterval(() => {
      try {
        this.reached(qmp.cursor);
      } catch (error) {
        failed(error);
      }
    }, LOOK_MS);
    return { [Symbol.dispose]: (): void => clearInterval(timer) };
  }

  /** Keeps a place, up to which everything is printed; @throws Failure if the file cannot be written */
  reached(cursor: string | undefined): void {
    if (cursor !== undefined) this.#file?.write(cursor);
  }

  /** Returns the failure for an error of the subscription; returns any other error unchanged. */
  failureOf(error: unknown, address: Address): unknown {
    if (!(error instanceof QmpError)) return error;
    const { errorClass, desc } = error;
    if (statusOfError(error) === 77) return new Failure(77, `events: ${desc}`);
    if (errorClass === "CommandNotFound") {
      const where = addressText(address);
      return new Failure(
        69,
        `events: ${where} keeps no events: it is not a qmpmux; name a listener of qmpmux`,
      );
    }
    if (this.#isFound) {
      return new Failure(1, `events: ${this.#path}: ${desc}; remove the file to begin anew`);
    }
    return new UsageError(`events: --since: ${desc}; write a cursor, oldest or now`);
  }
}

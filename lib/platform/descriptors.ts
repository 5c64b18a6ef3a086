/**
 * File descriptors that clients pass.
 *
 * @module
 */

import type { Fds } from "../wire/peer.ts";

/** The calls that the owner of descriptors needs. */
export interface FdCalls {
  /** Closes a descriptor. */
  close(descriptor: number): void;
  /** Returns whether a descriptor is a client's end of a connection to qmpmux. */
  isOwnEnd(descriptor: number): boolean;
}

/** Received descriptors, until they are closed or sent on. */
export class Descriptors implements Fds {
  /** Their numbers; none once they are closed. */
  numbers: readonly number[];
  readonly #libc: FdCalls;
  #closed: (count: number) => void = () => {};

  /** Takes ownership of descriptors. */
  constructor(libc: FdCalls, numbers: readonly number[]) {
    this.#libc = libc;
    this.numbers = numbers;
  }

  /**
   * Closes the descriptors that are clients' ends of connections to qmpmux. If qmpmux held them,
   * a client would stay connected after it has exited.
   *
   * @returns the number of descriptors closed
   */
  closeOwnEnds(): number {
    const ends = this.numbers.filter((number) => this.#libc.isOwnEnd(number));
    if (ends.length > 0) this.#close(ends);
    return ends.length;
  }

  /** Sets a callback, which is called with the number of descriptors whenever some are closed. */
  whenClosed(closed: (count: number) => void): void {
    this.#closed = closed;
  }

  /** Closes all descriptors but the first. */
  keepFirst(): void {
    this.#close(this.numbers.slice(1));
  }

  /** Closes all descriptors; does nothing the second time. */
  close(): void {
    this.#close(this.numbers);
  }

  #close(numbers: readonly number[]): void {
    this.numbers = this.numbers.filter((number) => !numbers.includes(number));
    for (const number of numbers) this.#libc.close(number);
    if (numbers.length > 0) this.#closed(numbers.length);
  }
}

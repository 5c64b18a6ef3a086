/**
 * A block of messages in one buffer.
 *
 * A message in a buffer of its own needs a few hundred bytes more than its length. Thousands of
 * kept messages are therefore copied behind one another into a few large buffers.
 *
 * @module
 */

/** The size of a block; a longer message has a block of its own. */
export const BLOCK_BYTES = 16384;

/** Messages behind one another in one buffer, to which messages can be added while there is room. */
export class MessageBlock {
  readonly #bytes: Uint8Array;
  /** The offset behind each message. */
  readonly #ends: number[] = [];

  /**
   * Creates an empty block.
   *
   * @param first the length of the message that is added first, for which there is room
   */
  constructor(first: number) {
    this.#bytes = new Uint8Array(Math.max(first, BLOCK_BYTES));
  }

  /** The number of messages. */
  get count(): number {
    return this.#ends.length;
  }

  /** Copies a message to the end; returns `false` if there is no room for it. */
  add(message: Uint8Array): boolean {
    const start = this.#ends.at(-1) ?? 0;
    if (start + message.length > this.#bytes.length) return false;
    this.#bytes.set(message, start);
    this.#ends.push(start + message.length);
    return true;
  }

  /** Returns the length of a message in bytes; the first has the index 0. */
  lengthAt(index: number): number {
    return this.#ends[index]! - this.#startOf(index);
  }

  /** Returns a message, whose bytes never change. */
  at(index: number): Uint8Array {
    return this.#bytes.subarray(this.#startOf(index), this.#ends[index]);
  }

  #startOf(index: number): number {
    return index === 0 ? 0 : this.#ends[index - 1]!;
  }
}

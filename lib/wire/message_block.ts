/**
 * A block of messages in one buffer.
 *
 * A message in a buffer of its own needs a few hundred bytes more than its length. Thousands of
 * kept messages are therefore copied behind one another into a few large buffers, which are used
 * again.
 *
 * @module
 */

/** The size of a block; a longer message has a block of its own. */
export const BLOCK_BYTES = 16384;

/** The most messages of a block. */
const MESSAGES_LIMIT = 256;

/** Messages behind one another in one buffer, to which messages can be added while there is room. */
export class MessageBlock {
  readonly #bytes: Uint8Array;
  /** The offset behind each message. */
  readonly #ends: Uint16Array | Uint32Array;
  #count = 0;

  /**
   * Creates an empty block.
   *
   * @param first the length of the message that is added first, for which there is room
   */
  constructor(first: number) {
    this.#bytes = new Uint8Array(Math.max(first, BLOCK_BYTES));
    this.#ends = first > BLOCK_BYTES ? new Uint32Array(1) : new Uint16Array(MESSAGES_LIMIT);
  }

  /** The number of messages. */
  get count(): number {
    return this.#count;
  }

  /** Whether it has the usual size, so that it can be used again. */
  get isUsual(): boolean {
    return this.#bytes.length === BLOCK_BYTES;
  }

  /** Copies a message to the end; returns `false` if the block is full. */
  add(message: Uint8Array): boolean {
    const start = this.#startOf(this.#count);
    const end = start + message.length;
    if (end > this.#bytes.length || this.#count === this.#ends.length) return false;
    this.#bytes.set(message, start);
    this.#ends[this.#count++] = end;
    return true;
  }

  /** Returns the length of a message in bytes; the first has the index 0. */
  lengthAt(index: number): number {
    return this.#ends[index]! - this.#startOf(index);
  }

  /** Returns a copy of a message. */
  at(index: number): Uint8Array {
    return this.#bytes.slice(this.#startOf(index), this.#ends[index]);
  }

  /** Removes all messages. */
  clear(): void {
    this.#count = 0;
  }

  #startOf(index: number): number {
    return index === 0 ? 0 : this.#ends[index - 1]!;
  }
}

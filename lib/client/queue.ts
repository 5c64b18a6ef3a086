/**
 * A queue. Each step takes the same time, however long it is.
 *
 * `shift` of an array moves all that remains, if that is more than some ten thousand values.
 *
 * @module
 */

/** The least number of places that are given back at once. */
const PLACES = 1024;

/** A queue of values other than `undefined`. */
export class Queue<T> {
  readonly #values: (T | undefined)[] = [];
  /** The place of the first value. */
  #first = 0;

  /** The number of values. */
  get size(): number {
    return this.#values.length - this.#first;
  }

  /** The last value; `undefined` if it is empty. */
  get last(): T | undefined {
    return this.#values.at(-1);
  }

  /** Adds a value at the end. */
  push(value: T): void {
    this.#values.push(value);
  }

  /** Removes and returns the first value; `undefined` if it is empty. */
  shift(): T | undefined {
    const value = this.#values[this.#first];
    if (value === undefined) return undefined;
    this.#values[this.#first++] = undefined;
    if (this.size === 0) this.clear();
    else if (this.#first >= PLACES && this.#first >= this.size) {
      this.#values.splice(0, this.#first);
      this.#first = 0;
    }
    return value;
  }

  /** Removes everything. */
  clear(): void {
    this.#values.length = this.#first = 0;
  }
}

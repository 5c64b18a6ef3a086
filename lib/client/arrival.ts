/**
 * A value that arrives later, for many that wait and may give up.
 *
 * A reaction to a promise stays until the promise settles, with everything that it refers to. A wait
 * that is left here leaves nothing behind.
 *
 * @module
 */

/** A wait, and the way to give it up. */
export interface Wait<T> {
  /** The value; it never settles after {@linkcode leave}. */
  readonly value: Promise<T>;
  /** Gives the wait up. */
  leave(): void;
}

/** The value of a promise. */
export class Arrival<T> {
  readonly #promise: Promise<T>;
  readonly #waiting = new Set<PromiseWithResolvers<T>>();
  #isSettled = false;

  /** Handles a rejection of the promise, too. */
  constructor(promise: Promise<T>) {
    this.#promise = promise;
    promise.then(
      (value) => this.#settle(({ resolve }) => resolve(value)),
      (error) => this.#settle(({ reject }) => reject(error)),
    );
  }

  /** Waits for the value. The waits end in their order. */
  wait(): Wait<T> {
    if (this.#isSettled) return { value: this.#promise, leave: () => {} };
    const wait = Promise.withResolvers<T>();
    this.#waiting.add(wait);
    return { value: wait.promise, leave: () => void this.#waiting.delete(wait) };
  }

  /** The number of waits that have not ended. */
  get waiting(): number {
    return this.#waiting.size;
  }

  #settle(end: (wait: PromiseWithResolvers<T>) => void): void {
    this.#isSettled = true;
    for (const wait of this.#waiting) end(wait);
    this.#waiting.clear();
  }
}

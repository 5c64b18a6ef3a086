/**
 * How the simulation says that a promise was not kept.
 *
 * @module
 */

/** A promise that was not kept. */
export class Broken extends Error {
  constructor(readonly promise: string, message: string) {
    super(`${promise}: ${message}`);
  }
}

/**
 * The error by which the simulation reports a broken promise.
 *
 * @module
 */

/** A promise that was not kept. */
export class Broken extends Error {
  constructor(readonly promise: string, message: string) {
    super(`${promise}: ${message}`);
  }
}

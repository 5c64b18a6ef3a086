/**
 * The error with which the simulation reports a broken promise.
 *
 * @module
 */

/** An error for a promise that was not kept. */
export class Broken extends Error {
  constructor(readonly promise: string, message: string) {
    super(`${promise}: ${message}`);
  }
}

/**
 * Failures: reasons to exit, with a status and one line that names the problem and the remedy.
 *
 * @module
 */

/** Exit statuses, by the conventions of sysexits and systemd. */
export type ExitStatus = 0 | 1 | 64 | 69 | 77 | 78 | 124;

/** A reason to exit; its message is for people. */
export class Failure extends Error {
  /** Its kind. */
  override name = "Failure";
  /** The exit status. */
  readonly status: ExitStatus;

  /**
   * Creates a failure.
   *
   * @param status 1 failure, 64 bad command line, 69 QEMU unavailable, 77 not permitted, 78 bad configuration
   * @param message one line without an end of line
   */
  constructor(status: ExitStatus, message: string) {
    super(message);
    this.status = status;
  }
}

/** Returns the error for a missing Deno permission as a failure; any other error unchanged. */
export function asFailure(error: unknown): unknown {
  if (!(error instanceof Deno.errors.NotCapable)) return error;
  return new Failure(77, `a permission is missing: ${error.message}`);
}

/**
 * What ends the program: an exit status and one line that names the thing and the remedy.
 *
 * @module
 */

/** Exit statuses, as the conventions of sysexits and systemd have them. */
export type ExitStatus = 0 | 1 | 64 | 69 | 77 | 78 | 124;

/** A reason to end, for people. */
export class Failure extends Error {
  /** Its kind. */
  override name = "Failure";
  /** What the program exits with. */
  readonly status: ExitStatus;

  /**
   * A reason with its status.
   *
   * @param status 1 failure, 64 bad command line, 69 no such QEMU, 77 not permitted, 78 bad configuration
   * @param message one line without an end of line
   */
  constructor(status: ExitStatus, message: string) {
    super(message);
    this.status = status;
  }
}

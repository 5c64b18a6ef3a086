/**
 * The errors of the client.
 *
 * Each says what was found, and what the program can rely on.
 *
 * @module
 */

/** The reason why no monitor can be reached at an address. */
export type ConnectProblem =
  /** The text is not an address. */
  | "invalid address"
  /** Nothing exists at the path. */
  | "absent"
  /** A socket exists, but no process listens at it. */
  | "refused"
  /** This user may not connect. */
  | "denied"
  /** The listener's backlog is full: QEMU serves one client, and others are waiting. */
  | "busy"
  | "other";

/** No connection could be made. */
export class ConnectError extends Error {
  /** Its kind. */
  override name = "ConnectError";
  /** The reason. */
  readonly problem: ConnectProblem;

  /** Creates an error for an address. */
  constructor(problem: ConnectProblem, message: string, options?: ErrorOptions) {
    super(message, options);
    this.problem = problem;
  }
}

/** The other end is not a QMP monitor: a guest agent, a human monitor, a web server. */
export class NotQmpError extends Error {
  /** Its kind. */
  override name = "NotQmpError";
}

/** The other end is a monitor, but sent something that QMP does not have. The connection is closed. */
export class ProtocolError extends Error {
  /** Its kind. */
  override name = "ProtocolError";
}

/** The monitor has answered a command with an error. The command has failed; the connection goes on. */
export class QmpError extends Error {
  /** Its kind. */
  override name = "QmpError";
  /** The command. */
  readonly command: string;
  /**
   * The class, `GenericError` in most cases. QEMU's documentation has the others. The other end has written
   * it: escape it before a terminal shows it.
   */
  readonly errorClass: string;
  /** The text of the error, for people. The other end has written it, as the class. */
  readonly desc: string;

  /** Creates an error from the members of an error reply. */
  constructor(command: string, errorClass: string, desc: string) {
    super(`${command}: ${errorClass}: ${desc}`);
    this.command = command;
    this.errorClass = errorClass;
    this.desc = desc;
  }
}

/** The connection has ended. */
export class ConnectionLost extends Error {
  /** Its kind. */
  override name = "ConnectionLost";
  /** The command that got no reply, if there is one. */
  readonly command: string | undefined;
  /**
   * The names of the commands that were sent and got no reply, in their order. Their effect is unknown:
   * each may have run, may run still, or may never have arrived.
   */
  readonly inFlight: readonly string[];

  /** Creates an error for a command, or for the connection itself. */
  constructor(
    message: string,
    inFlight: readonly string[],
    { command, cause }: { readonly command?: string; readonly cause?: unknown } = {},
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.command = command;
    this.inFlight = inFlight;
  }
}

/** Something did not come in time. A command that was sent may still run. */
export class TimeoutError extends Error {
  /** Its kind. */
  override name = "TimeoutError";
}

/**
 * Errors in a user's input: a flag, an address, an option or a configuration file.
 *
 * @module
 */

/** An error for an invalid flag, address or option; the message names it and the remedy. */
export class UsageError extends Error {
  /** The kind of error. */
  override name = "UsageError";
  /** The invalid option, if the error is in an option. */
  readonly option: string | undefined;

  /** Creates the error; the message is one line. */
  constructor(message: string, option?: string) {
    super(message);
    this.option = option;
  }
}

/** Runs a function; puts the place before the message of a UsageError that it throws. */
export function naming<T>(place: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(`${place}: ${error.message}`, error.option);
  }
}

/** Returns the error for an invalid value of an option. */
export function invalidValue(value: unknown, option: string, expected: string): UsageError {
  const text = `invalid value ${JSON.stringify(value)} for ${option}: expected ${expected}`;
  return new UsageError(text, option);
}

/** An error for the problems in a configuration file; each is a line `FILE:LINE: error; remedy`. */
export class ConfigError extends Error {
  /** The kind of error. */
  override name = "ConfigError";
  /** The problems, in the order of the file. */
  readonly problems: readonly string[];

  /** Creates the error for one or more problems in a file. */
  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.problems = problems;
  }
}

/**
 * Errors in what a user wrote: a flag, an address, an option, a configuration file.
 *
 * @module
 */

/** An invalid flag, address or option; the message names it and the remedy. */
export class UsageError extends Error {
  /** Its kind. */
  override name = "UsageError";
  /** The option that is wrong, where it is one. */
  readonly option: string | undefined;

  /** Takes one line for people. */
  constructor(message: string, option?: string) {
    super(message);
    this.option = option;
  }
}

/** Runs something; a UsageError from it names the place of the error first. */
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

/** Errors in a configuration file; each problem is a line `FILE:LINE: error; remedy`. */
export class ConfigError extends Error {
  /** Its kind. */
  override name = "ConfigError";
  /** The errors, in the order of the file. */
  readonly problems: readonly string[];

  /** Takes the errors of one file; at least one. */
  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.problems = problems;
  }
}

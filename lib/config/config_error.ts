/**
 * Errors in a configuration file.
 *
 * @module
 */

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

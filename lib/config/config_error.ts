/**
 * What is wrong with a configuration file.
 *
 * @module
 */

/** Something wrong in a configuration file; each problem is a line `FILE:LINE: what, and the remedy`. */
export class ConfigError extends Error {
  /** Its kind. */
  override name = "ConfigError";
  /** All that is wrong, in the order of the file. */
  readonly problems: readonly string[];

  /** All that is wrong in one file; at least one problem. */
  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.problems = problems;
  }
}

/**
 * What qmpmux uses of this module, more simply than the real declarations, which
 * know the option names: here every option is `unknown`, for the caller to look at.
 */

export interface ParseOptions {
  "--"?: boolean;
  alias?: Record<string, string | readonly string[]>;
  boolean?: boolean | string | readonly string[];
  collect?: string | readonly string[];
  default?: Record<string, unknown>;
  negatable?: string | readonly string[];
  stopEarly?: boolean;
  string?: string | readonly string[];
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

export interface Args {
  _: (string | number)[];
  "--"?: string[];
  [option: string]: unknown;
}

export function parseArgs(args: readonly string[], options?: ParseOptions): Args;

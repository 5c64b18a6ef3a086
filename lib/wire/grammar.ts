/**
 * The two grammars of QEMU's monitor input, as tables.
 *
 * QEMU 11.1 has a new JSON parser: it names line and column, reports a syntax error at once
 * instead of when the brackets balance, and recovers differently. The version in the
 * greeting selects the grammar.
 *
 * @module
 */

/** The differences between QEMU's JSON parsers. */
export interface Grammar {
  /** The first QEMU version with it, `[major, minor]`. */
  readonly since: readonly [number, number];
  /** Whether errors begin with `LINE:COLUMN: ` of the token, counted from 1. */
  readonly positions: boolean;
  /** Whether a syntax error is reported at once, not when the brackets balance. */
  readonly atOnce: boolean;
  /** Whether a key that is not a string is refused before its value is read. */
  readonly keysAreStrings: boolean;
  /** Whether stray bytes are cut to the length of a syntax error's text. */
  readonly cutsStray: boolean;
  /** The texts of syntax errors, by the token that was expected. */
  readonly texts: {
    readonly value: string;
    readonly key: string;
    readonly colon: string;
    readonly objectSeparator: string;
    readonly arraySeparator: string;
    readonly keyNotString: string;
    readonly duplicateKey: string;
  };
}

/** QEMU before 11.1; measured on 7.2.22 and 10.0.13. */
export const CLASSIC: Grammar = {
  since: [0, 0],
  positions: false,
  atOnce: false,
  keysAreStrings: false,
  cutsStray: false,
  texts: {
    value: "expecting value",
    key: "expecting value",
    colon: "missing : in object pair",
    objectSeparator: "expected separator in dict",
    arraySeparator: "expected separator in list",
    keyNotString: "key is not a string in object",
    duplicateKey: "duplicate key",
  },
};

/** QEMU from 11.1; measured on 11.1.3. */
export const POSITIONED: Grammar = {
  since: [11, 1],
  positions: true,
  atOnce: true,
  keysAreStrings: true,
  cutsStray: true,
  texts: {
    value: "expecting value",
    key: "expecting key",
    colon: "expecting ':'",
    objectSeparator: "expected ',' or '}'",
    arraySeparator: "expected ',' or ']'",
    keyNotString: "expecting key",
    duplicateKey: "duplicate key",
  },
};

/**
 * Returns the grammar of a QEMU version.
 *
 * @param major the greeting's `version.qemu.major`
 * @param minor the greeting's `version.qemu.minor`
 */
export function grammarOf(major: number, minor: number): Grammar {
  return compared(POSITIONED.since, major, minor) >= 0 ? POSITIONED : CLASSIC;
}

/** The newest QEMU whose grammar has been measured, `[major, minor]`. */
export const NEWEST_MEASURED = [11, 1] as const;

/** Tells whether a version is newer than those measured, so that its grammar is a guess. */
export function isUnmeasured(major: number, minor: number): boolean {
  return compared(NEWEST_MEASURED, major, minor) > 0;
}

/** Compares a version with another: above 0 when it is newer, below 0 when it is older. */
function compared(
  [first, second]: readonly [number, number],
  major: number,
  minor: number,
): number {
  return major - first || minor - second;
}
